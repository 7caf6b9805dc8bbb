"""The two e-prop tasks whose losses NEST publishes, as Brian2 networks.

NEST's neurons decay before input is added, Brian2's afterwards, so input and reset are divided by the decay here; and
a spike of NEST's input acts in the step in which it comes, so inputs are shown one step earlier.
Source of constants and losses: NEST simulator, test_eprop_bsshslm_2020_plasticity; tasks of Bellec et al. (2020).
"""

from dataclasses import dataclass

import numpy as np
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, StateMonitor, Synapses, TimedArray, defaultclock, ms

from learning.e_prop import EProp, RateGoal, eprop
from learning.optimisers import SGD, Adam
from learning.surrogates import triangle

REGRESSION = (101.964356999041, 103.466731126205, 103.340607074771, 103.680244037686, 104.412775748752)
CLASSIFICATION = {
    1: (0.741152550006, 0.740388187700, 0.665785233177, 0.663644193322, 0.729428962844),
    2: (0.702163370672, 0.735555303152, 0.740354864111, 0.683882815282, 0.707841122268),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A network that learns, with a monitor of its readout; target: (steps, readouts) of all trials."""

    network: Network
    rule: EProp
    readout: StateMonitor
    target: np.ndarray
    trial: int


def fully(source, target, weights, code, name, *, itself=True):
    """Synapses with weights (target, source), as NEST has them."""
    synapses = Synapses(source, target, "w : 1", on_pre=code, name=name)
    post, pre = np.nonzero(np.ones(weights.shape) if itself else 1 - np.eye(len(weights)))
    synapses.connect(i=pre, j=post)
    synapses.w = weights[post, pre].astype(float)
    return synapses


def shown(raster, name="inputs"):
    """An input of spikes (steps, neurons); the first step is silent."""
    steps, which = np.nonzero(raster[1:])
    return SpikeGeneratorGroup(raster.shape[1], which, steps * ms, name=name)


def regression(trials=5, seed=1, **options) -> Task:
    """100 inputs, 100 recurrent neurons and a readout that learns a sum of four sines."""
    defaultclock.dt = 1 * ms
    rng = np.random.RandomState(seed)
    n, steps = 100, 1000
    weights_in = (rng.randn(n, n).T / np.sqrt(n)).astype(np.float32)
    weights_rec = (rng.randn(n, n).T / np.sqrt(n)).astype(np.float32)
    weights_out = (rng.randn(n, 1).T / np.sqrt(n)).astype(np.float32)
    feedback = (rng.randn(n, 1) / np.sqrt(n)).astype(np.float32)
    raster = rng.rand(steps, n) < 0.05
    raster[0] = False
    amplitudes, phases = rng.uniform(0.5, 2.0, 4), rng.uniform(0.0, 2 * np.pi, 4)
    goal = sum(
        amplitude * np.sin(np.linspace(phase, phase + 2 * np.pi * (steps // period), steps))
        for amplitude, phase, period in zip(amplitudes, phases, (1000, 500, 333, 200), strict=True)
    )
    goal = (goal - goal[0]) / np.abs(goal - goal[0]).max()
    inputs = shown(np.tile(raster, (trials, 1)))
    namespace = {"tau": 30 * ms, "threshold": 0.03}
    cells = NeuronGroup(
        n,
        "dv/dt = -v/tau : 1",
        threshold="v >= threshold",
        reset="v -= threshold/exp(-dt/tau)",
        method="exact",
        namespace=namespace,
        name="cells",
    )
    readout = NeuronGroup(1, "dv/dt = -v/tau : 1", method="exact", namespace=namespace, name="readout")
    adds = "v_post += w*(1 - exp(-dt/(30*ms)))"
    to_cells = f"{adds}/exp(-dt/(30*ms))"
    synapses = [
        fully(inputs, cells, weights_in, to_cells, "input_synapses"),
        fully(cells, cells, weights_rec, to_cells, "recurrent_synapses", itself=False),
        fully(cells, readout, weights_out, adds, "output_synapses"),
    ]
    target = np.tile(goal, trials)[:, None]
    return _task(inputs, (cells,), readout, synapses, target, steps, {"cells": feedback}, **{
        "optimiser": SGD(1e-4), **options,
    })  # fmt: skip


def evidence(batch, rng, *, inputs=40, cues=7, steps=2250, recall=150):
    """Spikes (batch, steps, inputs) of cues on the left or right, and the side (batch,) that had more of them."""
    size = inputs // 4
    choices = np.array([0.3, 0.7], dtype=np.float32)
    which = rng.choice([0, 1], batch)
    probabilities = np.zeros((batch, 2), dtype=np.float32)
    probabilities[:, 0], probabilities[:, 1] = choices[which], choices[1 - which]
    sides = np.array([rng.choice([0, 1], cues, p=one) for one in probabilities])
    rates = np.zeros((batch, steps, inputs))
    for trial, row in enumerate(sides):
        for cue, side in enumerate(row):
            start = cue * 150 + 50
            rates[trial, start : start + 100, side * size : (side + 1) * size] = 0.04
    rates[:, -recall:, 2 * size : 3 * size] = 0.04
    rates[:, :, 3 * size :] = 0.01
    spikes = rates > rng.rand(rates.size).reshape(rates.shape)
    spikes[:, 0] = False
    return spikes, (sides.sum(axis=1) > cues // 2).astype(int)


def classification(batch=1, updates=5, seed=1, **options) -> Task:
    """50 plain and 50 adaptive neurons that say which side had more cues, a second after the last."""
    defaultclock.dt = 1 * ms
    rng = np.random.RandomState(seed)
    n_in, n, n_out, steps, recall = 40, 100, 2, 2250, 150
    weights_in = (rng.randn(n_in, n).T / np.sqrt(n_in)).astype(np.float32)
    weights_rec = (rng.randn(n, n).T / np.sqrt(n)).astype(np.float32)
    limit = np.sqrt(3 / ((n + n_out) / 2))
    weights_out = rng.uniform(-limit, limit, (n, n_out)).T.astype(np.float32)
    feedback = rng.randn(n, n_out).astype(np.float32)
    shows = [evidence(batch, rng) for _ in range(updates)]
    raster = np.concatenate([spikes.reshape(-1, n_in) for spikes, _ in shows])
    sides = np.concatenate([one for _, one in shows])
    target = np.repeat(np.eye(n_out)[sides], steps, axis=0)
    inputs = shown(raster)
    namespace = {"tau": 20 * ms, "tau_a": 2000 * ms, "threshold": 0.6}
    cells = NeuronGroup(
        n,
        """dv/dt = -v/tau : 1
        da/dt = -a/tau_a : 1
        beta : 1 (constant)""",
        threshold="v >= threshold + beta*a",
        reset="v -= threshold/exp(-dt/tau); a += exp(dt/tau_a)",
        refractory=5 * ms,
        method="exact",
        namespace=namespace,
        name="cells",
    )
    cells.beta = np.repeat([0.0, 1.7 * (1 - np.exp(-1 / 2000)) / (1 - np.exp(-1 / 20))], n // 2)
    readout = NeuronGroup(n_out, "dv/dt = -v/tau : 1", method="exact", namespace=namespace, name="readout")
    synapses = [
        fully(inputs, cells, weights_in, "v_post += w/exp(-dt/(20*ms))", "input_synapses"),
        fully(cells, cells, weights_rec, "v_post += w/exp(-dt/(20*ms))", "recurrent_synapses", itself=False),
        fully(cells, readout, weights_out, "v_post += w*(1 - exp(-dt/(20*ms)))", "output_synapses"),
    ]
    adam = Adam(5e-3, fading_epsilon=True)
    return _task(inputs, (cells,), readout, synapses, target, steps, {"cells": feedback}, **{
        "optimiser": adam, "batch": batch, "loss": "cross_entropy", "window": recall * ms, "average": True,
        "scale": {"cells": 0.6}, **options,
    })  # fmt: skip


def _task(inputs, populations, readout, synapses, target, trial, feedback, **options) -> Task:
    network = Network(inputs, *populations, readout, *synapses)
    rule = eprop(
        network,
        output=readout.v,
        target="goal_of(t, i)",
        weights=[one.w for one in synapses],
        trial=trial * ms,
        surrogate=triangle(height=0.3, width=1.0),
        restart=True,
        namespace={"goal_of": TimedArray(target, dt=1 * ms)},
        **{"feedback": feedback, "rate": RateGoal(strength=300.0), **options},
    )
    monitor = StateMonitor(readout, "v", record=True, when="end")
    network.add(*rule.objects, monitor)
    return Task(network=network, rule=rule, readout=monitor, target=target, trial=trial)


def squared_errors(task: Task) -> np.ndarray:
    """Half the sum of squared errors of each trial."""
    output = np.asarray(task.readout.v).T
    errors = 0.5 * ((output - task.target) ** 2).sum(axis=1)
    return errors.reshape(-1, task.trial).sum(axis=1)


def cross_entropies(task: Task, batch=1, recall=150) -> np.ndarray:
    """Minus the mean log of the softmax at the right readout, over the recall of all trials of an update."""
    output = np.asarray(task.readout.v).T
    share = np.exp(output - output.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    prices = -np.log((task.target * share).sum(axis=1)).reshape(-1, batch, task.trial)
    return prices[:, :, -recall:].mean(axis=(1, 2))
