"""Derived eligibility traces: times the total learning signal they are the gradient, for any neuron that is read."""

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    Quantity,
    SpikeGeneratorGroup,
    SpikeMonitor,
    TimedArray,
    defaultclock,
    get_unit,
    ms,
    mV,
)
from uncompiled import uncompiled

import learning
from learning.derivation import derive
from learning.eligibility import eligibility
from learning.plasticity import attach
from learning.reading import read_network
from learning.surrogates import fast_sigmoid
from snn.neurons import alif, cuba_lif, leaky_readout, lif
from snn.synapses import connect, dense

STEPS, INPUTS, CELLS, OUTPUTS = 60, 6, 5, 2


def own_model(name="cells"):
    """A neuron that no library has: its step, its reset and its adaptation are not linear."""
    cells = NeuronGroup(
        CELLS,
        """dv/dt = (0.3*v**2 - v + g*(2 - v) - b)/tau : 1
        dg/dt = -g/(5*ms) : 1
        db/dt = (0.1*v - b)/(30*ms) : 1
        tau : second (constant)""",
        threshold="v > 0.9 + 0.2*b**2",
        reset="v = 0.3*v - 0.1; b = b + 0.2*(1 - b)",
        method="euler",
        name=name,
    )
    cells.tau = np.linspace(8, 14, CELLS) * ms
    return cells, "g", 1.0


MODELS = {
    "lif, hard reset": lambda: (lif().group(CELLS, name="cells"), "v", 1.0),
    "lif, soft reset": lambda: (lif(reset="soft").group(CELLS, name="cells"), "v", 1.0),
    "lif in mV with refractory time": lambda: (
        lif(threshold=-55 * mV, refractory=3 * ms).group(CELLS, name="cells"),
        "v",
        12 * mV,
    ),
    "adaptive threshold": lambda: (alif(tau_a=30 * ms, beta=0.4).group(CELLS, name="cells"), "v", 1.0),
    "synaptic current, refractory": lambda: (cuba_lif(refractory=2 * ms).group(CELLS, name="cells"), "I", 3.0),
    "a model of one's own": own_model,
}


def network_of(make, seed=0):
    """Inputs, recurrent cells, leaky readouts; and an input that spikes once at each step, with weights of 0."""
    rng = np.random.default_rng(seed)
    defaultclock.dt = 1 * ms
    cells, onto, size = make()
    raster = rng.random((STEPS, INPUTS)) < 0.15
    when, which = np.nonzero(raster)
    inputs = SpikeGeneratorGroup(INPUTS, which, when * ms, dt=1 * ms, name="inputs")
    clockwork = SpikeGeneratorGroup(STEPS, np.arange(STEPS), np.arange(STEPS) * ms, dt=1 * ms, name="clockwork")
    readout = leaky_readout(tau=15 * ms).group(OUTPUTS, name="readout")
    weights = {
        "S": (inputs, cells, onto, rng.normal(0.25, 0.3, (INPUTS, CELLS)) * size),
        "R": (cells, cells, onto, rng.normal(0, 0.3, (CELLS, CELLS)) * size),
        "O": (cells, readout, "v", rng.normal(0, 1, (CELLS, OUTPUTS))),
        "toS": (clockwork, cells, onto, np.zeros((STEPS, CELLS)) * size),
        "toO": (clockwork, readout, "v", np.zeros((STEPS, OUTPUTS))),
    }
    synapses = {
        name: connect(source, target, dense(w), onto=variable, name=name)
        for name, (source, target, variable, w) in weights.items()
    }
    return Network(inputs, clockwork, cells, readout, *synapses.values()), synapses, raster


def weight_of(synapses):
    """The parameter, as a number in SI units."""
    return learning.Parameter(synapses.w, scale=Quantity(1.0, dim=synapses.variables["w"].dim))


def learning_signals(network, synapses, raster, goal, surrogate):
    """dE/dz (STEPS, CELLS) of each spike, all its ways to the loss included, and the gradient by each weight.

    A spike of neuron j adds its weights to what its synapses reach. What adding costs at a step is the gradient by the
    weight, 0, of a synapse from a neuron that spikes in that step only.
    """
    groups = {obj.name: obj for obj in network.objects}
    model = learning.trainable(
        network,
        inputs=[groups["inputs"], groups["clockwork"]],
        output=groups["readout"].v,
        parameters=[weight_of(one) for one in synapses.values()],
        duration=STEPS * ms,
        surrogate=surrogate,
        precision="float64",
        namespace={},
    )
    samples = {"inputs": raster[None], "clockwork": np.eye(STEPS, dtype=bool)[None]}
    found = model.gradient(samples, goal[None], learning.losses.mean_squared_error()).gradients
    slopes = {name: found[f"{name}.w"].reshape(-1) for name in synapses}
    signals = np.zeros((STEPS, CELLS))
    for name, reached, size in (("R", "toS", CELLS), ("O", "toO", OUTPUTS)):
        weights = np.asarray(synapses[name].w).reshape(CELLS, size)
        signals += slopes[reached].reshape(STEPS, size) @ weights.T
    return signals, slopes


def accumulated(network, synapses, name, signals, surrogate, *, check=True):
    """The sum over time of signal times eligibility (S,), by a companion that learns while Brian2 runs."""
    groups = {obj.name: obj for obj in network.objects}
    reading = read_network(network)
    (projection,) = (q for q in reading.projections if q.name == f"{name}_pre")
    (cells,) = (p for p in reading.populations if p.name == "cells")
    traces = eligibility(reading, derive(cells), projection, synapses[name], surrogate=surrogate)
    unit = get_unit(synapses[name].variables["w"].dim)
    table = TimedArray(signals, dt=1 * ms)
    teacher = NeuronGroup(CELLS, "L : 1", dt=1 * ms, namespace={"table": table})
    teacher.run_regularly("L = table(t, i)", when="end")
    rule = traces.rule("L*eligibility*unit**2", parameters={**traces.parameters, "unit": unit})
    # Summed and never applied: the weights stay what they were.
    companion = attach(synapses[name], rule, {"L": teacher.L, **traces.factors}, every=STEPS * ms)
    spikes = SpikeMonitor(groups["cells"])
    network.add(teacher, companion, spikes)
    network.run(STEPS * ms)
    assert not check or 10 < spikes.num_spikes < 0.5 * STEPS * CELLS
    return np.asarray(companion.change_sum)


@pytest.mark.parametrize("name", MODELS)
def test_eligibility_times_the_total_learning_signal_is_the_gradient(name):
    """Bellec et al. (2020), equation 1: dE/dw_ji = sum over t of dE/dz_j(t) e_ji(t), exactly, recurrence included."""
    surrogate = fast_sigmoid(5.0)
    network, synapses, raster = network_of(MODELS[name])
    goal = np.random.default_rng(1).normal(0, 1, (STEPS, OUTPUTS))
    with uncompiled():
        signals, slopes = learning_signals(network, synapses, raster, goal, surrogate)
    for projection in ("S", "R"):
        found = accumulated(*network_of(MODELS[name])[:2], projection, signals, surrogate)
        largest = np.abs(slopes[projection]).max()
        assert largest > 0
        np.testing.assert_allclose(found, slopes[projection], rtol=1e-12, atol=1e-12 * largest)
