"""Networks of many kinds for the tests of learning: each has inputs that spike, and cells, "layer1", that hear them."""

import brian2 as b2
import numpy as np
from brian2 import Mohm, ms, mV, nA, nS

import snn
from learning import trainable
from snn.neurons import alif, coba_lif, cuba_lif, integrate_and_fire, leaky_readout, lif
from snn.synapses import connect, dense, sparse

STEPS, INPUTS, CELLS = 80, 12, 9


def sparks(seed=0):
    """(steps, neurons) of the input, each cell at most once."""
    rng = np.random.default_rng(seed)
    return np.unique(np.stack([rng.integers(0, STEPS, 250), rng.integers(0, INPUTS, 250)], axis=1), axis=0)


def in_steps(fired):
    """The neurons of each step, of (step, neuron) rows."""
    return [fired[fired[:, 0] == now, 1] for now in range(STEPS)]


def source(name="input", seed=0):
    b2.defaultclock.dt = 1 * ms
    fired = sparks(seed)
    return b2.SpikeGeneratorGroup(INPUTS, fired[:, 1], fired[:, 0] * ms, name=name)


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
    layer = snn.Conv(2, lif(), size=2, gain=3, name="layer1")
    return snn.feedforward(source(), [layer], seed=3, shape=(1, 3, 4))


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


def with_gap_junctions():
    """Current flows between neurons by the difference of their potentials."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (gap - v)/(10*ms) : 1 (unless refractory)\ngap : 1", threshold="v > 0.7", reset="v = 0",
        refractory=2 * ms, method="euler", name="layer1",
    )  # fmt: skip
    network = wired(cells, 0.6)
    gaps = b2.Synapses(cells, cells, "g : 1\ngap_post = g*(v_pre - v_post) : 1 (summed)", name="gaps")
    gaps.connect(condition="i != j and (i + 2*j) % 3 > 0")
    gaps.g = np.random.default_rng(6).uniform(0, 0.4, len(gaps))
    network.add(gaps)
    return network


def with_slow_receptors():
    """Receptors that saturate: the gating variable s of each neuron opens the channels behind it (NMDA)."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (g*(3 - v)/(1 + exp(-v)/3.57) - v)/(12*ms) : 1\nds/dt = -s/(60*ms) + x*(1 - s)/(3*ms) : 1\n"
        "dx/dt = -x/(2*ms) : 1\ng : 1\nreceptors : 1 (constant)",
        threshold="v > 0.9", reset="v = 0; x += 1", method="rk2", name="layer1",
    )  # fmt: skip
    cells.receptors = np.linspace(0.5, 1.5, CELLS)
    network = wired(cells, 0.6)
    slow = b2.Synapses(cells, cells, "w : 1\ng_post = w*receptors_post*s_pre*scale : 1 (summed)", name="nmda")
    slow.namespace["scale"] = 0.3
    slow.connect(condition="(i + j) % 2 == 0")
    slow.w = np.random.default_rng(7).uniform(0, 0.5, len(slow))
    network.add(slow)
    return network


def with_a_mean_that_returns():
    """The mean of all neurons, summed by one more, is taken from each of them in the same step."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (1.5 - mean - v)/(10*ms) : 1\nmean : 1", threshold="v > 0.8", reset="v = 0", method="euler",
        name="layer1",
    )  # fmt: skip
    pool = b2.NeuronGroup(1, "m : 1", name="pool")
    there = b2.Synapses(cells, pool, "m_post = v_pre/N_pre : 1 (summed)", name="a_there")
    back = b2.Synapses(pool, cells, "w : 1\nmean_post = w*m_pre : 1 (summed)", name="b_back")
    there.connect()
    back.connect()
    back.w = np.linspace(0.2, 0.8, CELLS)
    network = wired(cells, 0.4)
    network.add(pool, there, back)
    return network


def with_a_sum_before_the_synapse():
    """(summed) variables may also belong to the source of the synapses; N_incoming counts those of a target."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (0.5*load - v)/(10*ms) : 1\nload : 1", threshold="v > 0.7", reset="v = 0", method="heun",
        name="layer1",
    )  # fmt: skip
    others = b2.NeuronGroup(3, "du/dt = (level - u)/(20*ms) : 1\nlevel : 1", method="exact", name="others")
    others.level = [0.5, 1, 2]
    listen = b2.Synapses(cells, others, "load_pre = u_post/N_incoming : 1 (summed)", name="listen")
    listen.connect(condition="i % 3 <= j")
    network = wired(cells, 0.6)
    network.add(others, listen)
    return network


def with_parts_and_pathways():
    """Synapses from and to parts of groups, with two pathways of several statements and constants of all kinds."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (I - v)/tau + pull : 1 (unless refractory)\ndI/dt = -I/(5*ms) : 1\npull = rate*offset : Hz\n"
        "tau : second (shared, constant)\nrate : Hz (shared)\noffset : 1\nhold : second (constant)\n"
        "gain : 1 (constant)",
        threshold="v > 0.6 + 0.01*i", reset="v = 0", refractory="hold + 1*ms", method="exponential_euler",
        name="layer1",
    )  # fmt: skip
    cells.tau, cells.rate = 8 * ms, 5 * b2.Hz
    cells.offset, cells.gain = np.linspace(0, 1, CELLS), np.linspace(0.5, 2, CELLS)
    cells.hold = np.arange(CELLS) % 3 * ms
    left, right = source("left", 1), source("right", 2)
    fast_and_slow = {
        "fast": "twice = 2*w; v_post += twice*gain_post/4; I += 0.1*w",
        "slow": "I_post += w*exp(-(i - j)**2/20)",
    }
    forward = b2.Synapses(left, cells[2:], "w : 1", on_pre=fast_and_slow, delay={"slow": 3 * ms}, name="in_left")
    forward.connect(condition="(i + 3*j) % 5 < 3")
    forward.w = np.random.default_rng(8).uniform(0, 0.8, len(forward))
    plain = b2.Synapses(right, cells[:4], "w : 1 (shared)", on_pre="v_post += w*(1 + sqrt(k))/2", name="in_right")
    plain.namespace["k"] = 4
    plain.connect(condition="(i + j) % 2 == 0")
    plain.w = 0.2
    within = b2.Synapses(cells[5:], cells[:3], "w : 1\nhalf = w/2 : 1", on_pre="I_post -= half", name="within")
    within.connect()
    within.w, within.pre.delay = 0.4, np.arange(len(within)) % 4 * ms
    return b2.Network(left, right, cells, forward, plain, within)


def with_functions_of_brian():
    """sqrt, log10 and exprel: at the threshold, 0.9, the argument of exprel is 0."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (0.3*sqrt(v*v + n) - v)/(6*ms) : 1\nn : 1", threshold="v > 0.9",
        reset="v = 0; n = 0.1*exprel(v - 0.9) + log10(1 + n)", method="euler", name="layer1",
    )  # fmt: skip
    return wired(cells, 0.6)


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
    "gap junctions": with_gap_junctions,
    "slow receptors": with_slow_receptors,
    "mean": with_a_mean_that_returns,
    "sum before": with_a_sum_before_the_synapse,
    "parts": with_parts_and_pathways,
    "functions": with_functions_of_brian,
}


def spikes_of(network):
    """(step, neurons) of each group of SpikeGeneratorGroup in a network of these models."""
    seeds = {"input": 0, "left": 1, "right": 2}
    return {group.name: in_steps(sparks(seeds[group.name])) for group in network.objects if group.name in seeds}


def inputs_of(network):
    """The groups of a network that spike as they are told, by name."""
    groups = (obj for obj in network.objects if isinstance(obj, b2.SpikeGeneratorGroup))
    return {group.name: group for group in sorted(groups, key=lambda group: group.name)}


def weights_of(network):
    """A variable of each synapses that hear an input, by name."""
    hearing = (
        obj for obj in network.objects if isinstance(obj, b2.Synapses) and obj.source in inputs_of(network).values()
    )
    return [
        f"{obj.name}.{'j_syn' if 'j_syn' in obj.variables else 'w'}"
        for obj in sorted(hearing, key=lambda obj: obj.name)
    ]


def samples_of(network, count=2):
    """Spikes (i, t) of each input in some samples; those of the first are the network's own."""
    first = {"input": 0, "left": 1, "right": 2}
    given = {name: [sparks(first[name] + 10 * k) for k in range(count)] for name in inputs_of(network)}
    return {name: [(fired[:, 1], fired[:, 0] * ms) for fired in samples] for name, samples in given.items()}


def model_of(network, output="layer1.v", **options):
    """A model of a network of spike generators, in double precision."""
    known = {"inputs": list(inputs_of(network).values()), "parameters": weights_of(network), "duration": STEPS * ms}
    return trainable(network, output=output, **{"precision": "float64", "threads": 1, **known, **options})
