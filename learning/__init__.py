"""learning: Brian2 models that learn, by the derivative of their own equations, or while they run.

    import learning
    from brian2 import ms

    model = learning.trainable(
        network, inputs=eye, output=readout.v, parameters=[weights_in.w, weights_out.w], duration=100 * ms
    )
    history = model.fit(recordings, labels, loss=learning.losses.max_over_time(), optimiser=learning.Adam(1e-3))

The network then holds what was learnt, and runs in Brian2 as always. `attach` puts a three-factor rule beside synapses
that exist, `eprop` one whose traces are derived from the neurons' equations. Modules: for training, `losses`,
`surrogates`, `optimisers` and `augmentation`; for learning online, `rules`, `modulators`, `td`, `continuous_td` and
`alignment`; for wake and sleep, `sampling`, `wake_sleep` and `sleep`; `landscape` asks why descent works. This file is
a table of names; each is imported when it is first used.
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
    __name__,
    _HOMES,
    modules=(
        "alignment",
        "augmentation",
        "continuous_td",
        "landscape",
        "losses",
        "modulators",
        "optimisers",
        "rules",
        "sampling",
        "sleep",
        "surrogates",
        "td",
        "wake_sleep",
    ),
)

if TYPE_CHECKING:
    from learning import (
        alignment,
        augmentation,
        continuous_td,
        landscape,
        losses,
        modulators,
        optimisers,
        rules,
        sampling,
        sleep,
        surrogates,
        td,
        wake_sleep,
    )
    from learning.e_prop import EProp, RateGoal, eprop
    from learning.history import History
    from learning.model import Model, trainable
    from learning.optimisers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSProp
    from learning.parameters import Parameter
    from learning.plasticity import Plasticity, Rule, attach
    from learning.training import fit
