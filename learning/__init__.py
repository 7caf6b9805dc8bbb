"""learning: Brian2 models that learn, by the derivative of their own equations.

    import learning
    from brian2 import ms

    model = learning.trainable(
        network, inputs=eye, output=readout.v, parameters=[weights_in.w, weights_out.w], duration=100 * ms
    )
    history = model.fit(recordings, labels, loss=learning.losses.max_over_time(), optimiser=learning.Adam(1e-3))

The network then holds what was learnt, and runs in Brian2 as always. `learning.losses`, `learning.surrogates`,
`learning.optimisers` and `learning.augmentation` are modules. This file is a table of names; each is imported when it
is first used.
"""

from typing import TYPE_CHECKING

from dvs.lazy import lazy_names

_HOMES = {
    "learning.e_prop": ("EProp", "RateGoal", "eprop"),
    "learning.history": ("History",),
    "learning.model": ("Model", "trainable"),
    "learning.optimisers": ("SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "Nesterov", "RMSProp"),
    "learning.parameters": ("Parameter",),
    "learning.plasticity": ("Plasticity", "Rule", "attach"),
    "learning.training": ("fit",),
}

__all__, __getattr__, __dir__ = lazy_names(
    __name__, _HOMES, modules=("augmentation", "losses", "optimisers", "surrogates")
)

if TYPE_CHECKING:
    from learning import augmentation, losses, optimisers, surrogates
    from learning.history import History
    from learning.model import Model, trainable
    from learning.optimisers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSProp
    from learning.parameters import Parameter
    from learning.training import fit
