"""What is read of a network is what Brian2 does: a plain simulation of the records, spike for spike beside it."""

import brian2 as b2
import numpy as np
import pytest
import sympy
from brian2 import Mohm, ms, mV, nA, nS

import snn
from dvs.errors import InputError
from learning.reading import read_network
from learning.symbols import symbol
from snn.neurons import alif, coba_lif, cuba_lif, integrate_and_fire, leaky_readout, lif
from snn.synapses import connect, dense, sparse

STEPS, INPUTS, CELLS = 80, 12, 9


def numbers(expression, names):
    """The value of an expression, names being those of all that it may depend on."""
    return sympy.lambdify([symbol(name) for name in names], expression, "numpy")(*names.values())


def simulated(reading, incoming):
    """Spikes [step] and states [step][name] of all populations, by definition: update, threshold, synapses, reset."""
    populations = {p.name: p for p in reading.populations}
    state = {name: dict(p.start) for name, p in populations.items()}
    last = {name: np.full(p.n, -(10**9)) for name, p in populations.items()}
    spikes = {name: [] for name in (*populations, *reading.inputs)}
    trace = {name: [] for name in populations}
    for now in range(STEPS):
        free = {}
        for name, p in populations.items():
            held = np.zeros(p.n, bool) if p.refractory_steps is None else now - last[name] < p.refractory_steps
            before = {**p.constants, "dt": reading.dt_s, **state[name]}
            with np.errstate(all="ignore"):  # the formula of the other case may divide by zero
                state[name] = {
                    key: np.where(held, numbers(p.held[key], before), numbers(p.step[key], before)) * np.ones(p.n)
                    for key in p.states
                }
            fired = np.zeros(p.n, bool)
            if p.margin is not None:
                margin = numbers(p.margin, {**p.constants, "dt": reading.dt_s, **state[name]}) * np.ones(p.n)
                fired = ((margin >= 0) if p.inclusive else (margin > 0)) & ~held
            last[name][fired] = now
            free[name] = ~held & ~fired if p.refractory_steps is not None else np.ones(p.n, bool)
            spikes[name].append(np.flatnonzero(fired))
        for name in reading.inputs:
            spikes[name].append(incoming[now])
        for q in reading.projections:
            values = {key: v[q.index[key]] if key in q.index else v for key, v in q.values.items()}
            for delay in np.unique(q.delay_steps[q.delay_steps <= now]):
                arrives = (q.delay_steps == delay) & np.isin(q.pre, spikes[q.source][now - delay])
                for key, add in q.adds.items():
                    heard = arrives
                    if key in populations[q.target].guarded:
                        heard = arrives & free[q.target][q.post]
                    np.add.at(state[q.target][key], q.post[heard], (numbers(add, values) * np.ones(q.pre.size))[heard])
        for name, p in populations.items():
            fired, before = spikes[name][now], {**p.constants, "dt": reading.dt_s, **state[name]}
            after = {key: numbers(value, before) * np.ones(p.n) for key, value in p.reset.items()}
            for key, value in after.items():
                state[name][key][fired] = value[fired]
            trace[name].append({key: value.copy() for key, value in state[name].items()})
    return spikes, trace


def sparks(seed=0):
    """(steps, neurons) of the input, each cell at most once."""
    rng = np.random.default_rng(seed)
    return np.unique(np.stack([rng.integers(0, STEPS, 250), rng.integers(0, INPUTS, 250)], axis=1), axis=0)


def source():
    b2.defaultclock.dt = 1 * ms
    fired = sparks()
    return b2.SpikeGeneratorGroup(INPUTS, fired[:, 1], fired[:, 0] * ms, name="input")


def layered(model, gain, *, delay=None, recurrent=False):
    kind = snn.Recurrent if recurrent else snn.Dense
    options = {"recurrent_gain": gain / 2} if recurrent else {}
    layer = kind(CELLS, model, gain=gain, delay=delay, **options)
    return snn.feedforward(source(), [layer, snn.Dense(3, leaky_readout(), gain=1.0)], seed=1)


def wired(cells, weights, on="v", **options):
    """The cells behind the input, through dense weights."""
    rng = np.random.default_rng(2)
    group = source()
    synapses = connect(group, cells, dense(weights * rng.normal(size=(INPUTS, CELLS))), onto=on, name="in", **options)
    return b2.Network(group, cells, synapses)


def with_subexpressions():
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (drive - v)/tau : 1\ndrive = bias*gain : 1\ngain = 1 - a : 1\nda/dt = -a/(30*ms) : 1\n"
        "bias : 1 (constant)\ntau : second (constant)",
        threshold="v > top", reset="v = 0; a += 0.1", method="euler", name="layer1", namespace={"top": 0.8},
    )  # fmt: skip
    cells.bias = np.linspace(0.5, 2, CELLS)
    cells.tau = np.linspace(5, 20, CELLS) * ms
    return wired(cells, 0.3)


def with_delays_of_their_own():
    cells = lif(refractory=2 * ms).group(CELLS, name="layer1")
    network = wired(cells, 1.0)
    network["in"].pre.delay = np.random.default_rng(3).integers(0, 6, len(network["in"])) * ms
    return network


def with_a_shared_kernel():
    fired = sparks()
    b2.defaultclock.dt = 1 * ms
    group = b2.SpikeGeneratorGroup(INPUTS, fired[:, 1], fired[:, 0] * ms, name="input")
    return snn.feedforward(group, [snn.Conv(2, lif(), size=2, gain=3, name="layer1")], seed=3, shape=(1, 3, 4))


def with_sparse_loops():
    cells = lif(reset="soft", refractory=3 * ms).group(CELLS, name="layer1")
    network = wired(cells, 0.8)
    rng = np.random.default_rng(4)
    loops = sparse(CELLS, CELLS, 0.4, weights=0.5, seed=rng)
    network.add(connect(cells, cells, loops, delay=2 * ms, name="loops"))
    return network


def with_a_current_that_is_reset():
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (R*I - v)/(15*ms) : volt\ndI/dt = -I/(4*ms) : amp", threshold="v >= 10*mV",
        reset="v -= 10*mV; I *= 0.5", method="exponential_euler", name="layer1", namespace={"R": 100 * Mohm},
    )  # fmt: skip
    return wired(cells, 0.5 * nA, "I")


def runge_kutta(method):
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (v*v + 0.1 - w)/(8*ms) : 1\ndw/dt = (0.5*v - w)/(40*ms) : 1", threshold="0.9 < v",
        reset="v = -0.2; w += 0.05", method=method, name="layer1",
    )  # fmt: skip
    rng = np.random.default_rng(5)
    synapses = b2.Synapses(inputs := source(), cells, "j_syn : 1", on_pre="v_post += 0.5*j_syn", name="in")
    synapses.connect()
    synapses.j_syn = rng.normal(0.3, 0.3, INPUTS * CELLS)
    return b2.Network(inputs, cells, synapses)


MODELS = {
    "lif": lambda: layered(lif(), 3.0),
    "lif, soft reset, refractory": lambda: layered(lif(reset="soft", refractory=3 * ms), 3.0),
    "lif in volts, delayed": lambda: layered(lif(threshold=-50 * mV), 60 * mV, delay=4 * ms),
    "currents": lambda: layered(cuba_lif(), 3.0),
    "currents, refractory, recurrent": lambda: layered(cuba_lif(refractory=2 * ms), 3.0, recurrent=True),
    "currents, equal time constants": lambda: layered(cuba_lif(tau=10 * ms, tau_syn=10 * ms), 3.0),
    "adaptive": lambda: layered(alif(refractory=2 * ms), 3.0),
    "conductances": lambda: layered(coba_lif(), 20 * nS),
    "counter": lambda: layered(integrate_and_fire(), 3.0),
    "rk2": lambda: runge_kutta("rk2"),
    "rk4": lambda: runge_kutta("rk4"),
    "subexpressions": with_subexpressions,
    "delays": with_delays_of_their_own,
    "kernel": with_a_shared_kernel,
    "sparse loops": with_sparse_loops,
    "inclusive threshold": with_a_current_that_is_reset,
}


@pytest.mark.parametrize("model", MODELS)
def test_what_is_read_does_what_brian2_does(model):
    """Spikes are the same ones; states agree to 1e-12 of the largest, rounding of formulas in another order."""
    network = MODELS[model]()
    reading = read_network(network)
    read = next(p for p in reading.populations if p.name == "layer1")
    spikes = b2.SpikeMonitor(network["layer1"])
    states = {name: b2.StateMonitor(network["layer1"], name, record=True, when="end") for name in read.states}
    network.add(spikes, *states.values())
    network.run(STEPS * ms)
    fired = sparks()
    expected, trace = simulated(reading, [fired[fired[:, 0] == now, 1] for now in range(STEPS)])
    steps = np.rint(spikes.t / ms).astype(int)
    assert spikes.num_spikes > 10
    np.testing.assert_array_equal(steps, np.repeat(np.arange(STEPS), [n.size for n in expected["layer1"]]))
    np.testing.assert_array_equal(spikes.i, np.concatenate(expected["layer1"]))
    for name, monitor in states.items():
        theirs = np.asarray(getattr(monitor, name)).T
        ours = np.array([step[name] for step in trace["layer1"]])
        assert np.abs(ours - theirs).max() <= 1e-12 * np.abs(theirs).max(), name


def refused(**changes):
    """A network with something that cannot be differentiated."""
    text = {"model": "dv/dt = -v/(10*ms) : 1", "threshold": "v > 1", "reset": "v = 0", "method": "euler"}
    cells = b2.NeuronGroup(CELLS, **{**text, **changes}, name="cells")
    return b2.Network(cells)


def with_synapses(model, **code):
    b2.defaultclock.dt = 1 * ms
    cells = b2.NeuronGroup(CELLS, "v : 1\nu : 1", threshold="v > 1", reset="v = 0", name="cells")
    group = source()
    synapses = b2.Synapses(group, cells, model, **code, name="in")
    synapses.connect()
    return b2.Network(group, cells, synapses)


def test_what_cannot_be_differentiated_is_refused_by_name():
    noisy = "dv/dt = -v/(10*ms) + 0.1*xi*ms**-0.5 : 1"
    cases = [
        (refused(threshold="v > 1 and v < 2"), "threshold of cells is .* expected one inequality"),
        (refused(model="dv/dt = (sin(t/ms) - v)/(10*ms) : 1"), "cells depends on t"),
        (refused(model=noisy), "cells (uses|depends on) .*"),
        (refused(reset="v = rand()"), r"cells uses rand"),
        (with_synapses("w : 1", on_pre="v_post += w", on_post="w += 0.1"), "in_post is plastic"),
        (with_synapses("w : 1", on_pre="v_post = w"), "in_pre adds .* depends on"),
        (with_synapses("w : 1", on_pre="v_post += w*u_post"), "in_pre adds .* depends on"),
        (with_synapses("w : 1", on_pre="w += 0.1"), "in_pre changes w"),
        (with_synapses("da/dt = -a/(5*ms) : 1 (event-driven)", on_pre="a += 1; v_post += a"), "in_pre is plastic"),
    ]
    for network, message in cases:
        with pytest.raises(InputError, match=message):
            read_network(network)
    network = refused()
    network.add(b2.NetworkOperation(lambda: None, name="meddler"))
    with pytest.raises(InputError, match="meddler cannot be differentiated: it is Python code"):
        read_network(network)
    network = refused()
    network["cells"].run_regularly("v += 1", dt=5 * ms)
    with pytest.raises(InputError, match=r"run_regularly.* cannot be differentiated"):
        read_network(network)
