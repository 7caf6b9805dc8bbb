"""NIR against what other libraries compute of the same files, against slow NumPy, and there and back."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from brian2 import (
    Hz,
    Mohm,
    Network,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    linked_var,
    ms,
    mV,
    nA,
    network_operation,
    second,
    us,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from dvs.errors import FormatError, InputError, MissingExtraError, OutputError, ParameterError
from snn import neurons
from snn.exchange import from_nir, read_nir, to_nir, write_nir
from snn.inputs import EventInput
from snn.synapses import connect, conv2d, dense, one_to_one, pool2d, short_term_plasticity, stdp_pair

nir = pytest.importorskip("nir", reason="reads and writes NIR")

FILES = Path(__file__).parent / "data" / "nir"
DT_S = 1e-4


def ones(value, shape):
    return np.full(shape, float(value))


def lif(n, *, tau_s=1e-3, r=None, v_leak=0.0, v_threshold=1.0, v_reset=0.0, **metadata):
    """n equal LIF nodes; by default a spike of weight 1 moves v by 1, as snnTorch writes it for steps of 0.1 ms."""
    values = {"tau": tau_s, "r": tau_s / DT_S if r is None else r, "v_leak": v_leak}
    values |= {"v_threshold": v_threshold, "v_reset": v_reset}
    return nir.LIF(**{key: ones(value, n) for key, value in values.items()}, metadata=metadata)


def chain(*nodes):
    """A graph in which each node leads to the next, from "input" over "0", "1" ... to "output"."""
    names = ["input", *map(str, range(len(nodes) - 2)), "output"]
    edges = list(pairwise(names))
    return nir.NIRGraph(dict(zip(names, nodes, strict=True)), edges, type_check=False)


def feed_forward(weights, node):
    """Input, Linear, and the node, whose neurons the rows of the weights (n_post, n_pre) reach."""
    weights = np.asarray(weights, float)
    return chain(nir.Input([weights.shape[1]]), nir.Linear(weights), node, nir.Output([weights.shape[0]]))


def show(network, spikes, dt_s=DT_S):
    """Let the group "input" send spikes (steps, n)."""
    step, neuron = np.nonzero(spikes)
    network["input"].set_spikes(neuron, step * dt_s * second)


def responses(network, names, spikes, *, after=0, dt_s=DT_S):
    """Spikes (steps + after, n) of the groups to the spikes (steps, n) of the input."""
    show(network, spikes, dt_s)
    monitors = [SpikeMonitor(network[name]) for name in names]
    network.add(monitors)
    network.run((len(spikes) + after) * dt_s * second)
    out = []
    for name, monitor in zip(names, monitors, strict=True):
        seen = np.zeros((len(spikes) + after, network[name].N), bool)
        seen[np.round(monitor.t / (dt_s * second)).astype(int), monitor.i] = True
        out.append(seen)
    return out


def traces(network, name, variable, spikes, *, after=0, dt_s=DT_S):
    """The variable at the end of each step, (steps + after, n)."""
    show(network, spikes, dt_s)
    monitor = StateMonitor(network[name], variable, record=True, when="end")
    network.add(monitor)
    network.run((len(spikes) + after) * dt_s * second)
    return np.asarray(getattr(monitor, variable)).T


def random_spikes(steps, n, share=0.2, seed=0):
    return np.random.default_rng(seed).random((steps, n)) < share


# What other libraries computed of files that they wrote


PEERS = [
    # file, output, its layer, how many layers, how to read the file
    ("snntorch_leaky", "output", "lif_3", 2, {}),
    ("snntorch_leaky", "subtract", "lif_3", 2, {"reset": "subtract-late"}),
    ("snntorch_leaky", "subtract_at_once", "lif_3", 2, {"reset": "subtract"}),
    ("snntorch_synaptic", "output", "cubalif_3", 2, {}),
    ("snntorch_convolution", "output", "lif_5", 2, {}),
    ("snntorch_recurrent", "output", "lif_1_lif", 1, {}),
    ("norse_lif_box", "output", "lif_3", 2, {}),
    ("norse_lif", "read_back", "cubalif_1", 1, {}),
    ("norse_iaf", "output", "if_1", 1, {"dt": 1 * second}),
]


@pytest.mark.parametrize(("file", "output", "name", "layers", "options"), PEERS, ids=lambda value: str(value))
def test_a_network_spikes_as_in_the_library_that_wrote_it(file, output, name, layers, options):
    """Layer n spikes n steps later than in snnTorch or Norse, before that never, and else in the very same steps."""
    peer = np.load(FILES / f"{file}.npz")
    step = options.get("dt", float(peer["dt"]) * second)
    network = read_nir(FILES / f"{file}.nir", **{"dt": step, **options})
    (spikes,) = responses(network, [name], peer["input"], after=layers, dt_s=float(step))
    assert not spikes[:layers].any()
    np.testing.assert_array_equal(spikes[layers:], peer[output])


def test_a_file_cannot_tell_how_snntorch_resets():
    """Three networks that reset differently wrote this one file; read as it stands, only reset to zero agrees."""
    peer = np.load(FILES / "snntorch_leaky.npz")
    (spikes,) = responses(read_nir(FILES / "snntorch_leaky.nir", dt=0.1 * ms), ["lif_3"], peer["input"], after=2)
    assert (spikes[2:] == peer["output"]).all()
    assert (spikes[2:] != peer["subtract"]).any()
    assert (spikes[2:] != peer["subtract_at_once"]).any()


def test_norses_lif_cell_adds_whole_weights_and_its_file_does_not():
    """Norse computes i <- i + w x; the file has w_in = 1, and so tau_syn di/dt = w x, that is i <- i + w x dt/tau_syn.

    With w_in = tau_syn/dt in the file the two are the same.
    """
    peer = np.load(FILES / "norse_lif.npz")
    graph = nir.read(FILES / "norse_lif.nir", type_check=False)
    (as_written,) = responses(from_nir(graph, dt=1 * ms), ["cubalif_1"], peer["input"], after=1, dt_s=1e-3)
    assert as_written.sum() < 0.5 * peer["output"].sum()
    graph.nodes["1"].w_in = graph.nodes["1"].tau_syn / 1e-3
    (corrected,) = responses(from_nir(graph, dt=1 * ms), ["cubalif_1"], peer["input"], after=1, dt_s=1e-3)
    np.testing.assert_array_equal(corrected[1:], peer["output"])


def test_a_readout_has_the_membrane_of_norses():
    """The same v one step later, up to the rounding of float32; v starts at the leak potential, 0.2."""
    peer = np.load(FILES / "norse_li_box.npz")
    network = read_nir(FILES / "norse_li_box.nir", dt=1 * ms)
    v = traces(network, "li_1", "v", peer["input"], after=1, dt_s=1e-3)
    np.testing.assert_allclose(v[1:], peer["output"], atol=1e-5)


# What a step computes


def test_input_of_one_step_spikes_in_the_next():
    """Libraries: v <- beta v + W x, z = [v > 1], v <- 0 where z. Brian2: the same z, one step later.

    Twin in NumPy, beta = 0.9, with input in the steps of spikes too, which the reset must leave alone.
    """
    weights = np.random.default_rng(1).normal(0.2, 0.5, (6, 8))
    spikes = random_spikes(60, 8, share=0.4)
    v, expected = np.zeros(6), []
    for x in spikes:
        v = 0.9 * v + weights @ x
        expected.append(v > 1)
        v = np.where(v > 1, 0, v)
    (seen,) = responses(from_nir(feed_forward(weights, lif(6)), dt=DT_S * second), ["lif_1"], spikes, after=1)
    assert np.sum(expected) > 50
    np.testing.assert_array_equal(seen[1:], expected)


@settings(max_examples=8, deadline=None)
@given(
    kind=st.sampled_from(["LIF", "CubaLIF", "IF"]),
    numbers=st.lists(st.floats(0.5, 4), min_size=12, max_size=12),
    seed=st.integers(0, 1000),
)
def test_neurons_with_numbers_of_their_own_follow_the_slow_twin(kind, numbers, seed):
    """Three neurons; tau = (numbers) ms, and Euler steps of NIR's equations with a spike as a current of 1 for dt."""
    tau, tau_syn, r, leak = np.reshape(numbers, (4, 3)) * [[1e-3], [1e-3], [5.0], [0.1]]
    threshold, v_reset, w_in = leak + 0.5, leak - 0.2, np.array([5.0, 10.0, 20.0])
    if kind == "IF":
        node = nir.IF(r=r * 500, v_threshold=threshold, v_reset=v_reset)
    elif kind == "LIF":
        node = nir.LIF(tau=tau, r=r, v_leak=leak, v_threshold=threshold, v_reset=v_reset)
    else:
        node = nir.CubaLIF(
            tau_syn=tau_syn, tau_mem=tau, r=r, v_leak=leak, v_threshold=threshold, v_reset=v_reset, w_in=w_in
        )
    weights = np.random.default_rng(seed).normal(0.3, 0.5, (3, 4))
    spikes = random_spikes(50, 4, seed=seed)
    v, current, expected = (leak if kind != "IF" else 0 * leak), np.zeros(3), []
    for x in spikes:
        if kind == "CubaLIF":
            current = current + w_in * (weights @ x) * DT_S / tau_syn
            v = v + DT_S / tau * (leak - v + r * current)
            current = current - DT_S / tau_syn * current
        else:
            dv = r * 500 * (weights @ x) if kind == "IF" else (leak - v + r * (weights @ x)) / tau
            v = v + DT_S * dv
        expected.append(v)
        v = np.where(v > threshold, v_reset, v)
    name = f"{kind.lower()}_1"
    graph = feed_forward(weights, node)
    # Before the reset of its step, v is what the threshold saw.
    network = from_nir(graph, dt=DT_S * second)
    show(network, spikes)
    monitor = StateMonitor(network[name], "v", record=True, when="before_resets")
    network.add(monitor)
    network.run(51 * DT_S * second)
    np.testing.assert_allclose(monitor.v.T[1:], expected, rtol=1e-9, atol=1e-12)


def test_subtracting_late_is_subtracting_after_the_leak():
    """snnTorch by default: v <- beta v + W x - theta z of the step before. At once: v <- beta (v - theta z) + W x.

    One neuron, beta = 0.5, theta = 1; input 1.5 and then nothing: v = 1.5, and then -0.25 or 0.25.
    """
    graph = feed_forward([[1.5]], lif(1, tau_s=2e-4))
    spikes = np.array([[True], [False], [False]])
    for reset, then in (("file", 0.0), ("subtract", 0.25), ("subtract-late", -0.25)):
        network = from_nir(graph, dt=DT_S * second, reset=reset)
        show(network, spikes)
        monitor = StateMonitor(network["lif_1"], "v", record=True, when="thresholds")
        network.add(monitor)
        network.run(3 * DT_S * second)
        assert monitor.v[0] == pytest.approx([0, 1.5, then])


def test_a_bias_begins_at_once_in_every_layer():
    """v after n steps of a constant b: b (1 - beta^(n-1)) / (1 - beta), n - 1 as the current is first there after one.

    Libraries give the second layer its first b together with its first input; here it is one step ahead of that.
    """
    first, second_layer = (nir.Affine(np.zeros((1, 1)), np.array([bias])) for bias in (0.0, 0.05))
    graph = chain(nir.Input([1]), first, lif(1), second_layer, lif(1), nir.Output([1]))
    v = traces(from_nir(graph, dt=DT_S * second), "lif_3", "v", np.zeros((30, 1), bool))[:, 0]
    np.testing.assert_allclose(v, 0.05 * (1 - 0.9 ** np.arange(30)) / 0.1, rtol=1e-12)


def test_a_threshold_is_a_neuron_without_memory():
    """Threshold 0.5: spikes where the weights of a step's input add up to more, whatever came before."""
    weights = np.array([[0.4, 0.2, -0.3], [0.5, 0.6, 0.1]])
    spikes = random_spikes(40, 3, share=0.5)
    graph = feed_forward(weights, nir.Threshold(threshold=np.array([0.5, 0.5])))
    (seen,) = responses(from_nir(graph, dt=DT_S * second), ["threshold_1"], spikes, after=1)
    np.testing.assert_array_equal(seen[1:], spikes @ weights.T > 0.5)


# Nodes between neurons


def reached(nodes, shape, n_out):
    """The matrix (n_out, n_in) that a chain of nodes makes of synapses onto an IF node, and its delays in steps."""
    target = nir.IF(r=ones(1 / DT_S, n_out), v_threshold=ones(1, n_out))
    graph = chain(nir.Input(list(shape)), *nodes, target, nir.Output([n_out]))
    network = from_nir(graph, dt=DT_S * second)
    (synapses,) = (part for part in network.objects if isinstance(part, Synapses))
    matrix = np.zeros((n_out, int(np.prod(shape))))
    np.add.at(matrix, (synapses.j[:], synapses.i[:]), synapses.w[:])
    return matrix, synapses


def slow_convolution(kernel, shape, stride, padding, dilation, groups):
    """Cross-correlation by seven loops, as PyTorch's manual defines it: matrix (n_out, n_in)."""
    out_channels, per_group, *window = kernel.shape
    channels, *size = shape
    out_size = [(size[a] + 2 * padding[a] - dilation[a] * (window[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)]
    matrix = np.zeros((out_channels, *out_size, channels, *size))
    for out in range(out_channels):
        group = out // (out_channels // groups)
        for y, x in np.ndindex(*out_size):
            for channel, ky, kx in np.ndindex(per_group, *window):
                y_in = y * stride[0] - padding[0] + ky * dilation[0]
                x_in = x * stride[1] - padding[1] + kx * dilation[1]
                if 0 <= y_in < size[0] and 0 <= x_in < size[1]:
                    matrix[out, y, x, group * per_group + channel, y_in, x_in] += kernel[out, channel, ky, kx]
    return matrix.reshape(out_channels * out_size[0] * out_size[1], -1)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [
        ((1, 1), (0, 0), (1, 1), 1),
        ((2, 1), (1, 2), (1, 1), 1),
        ((1, 2), (0, 1), (2, 1), 2),
        ((1, 1), "same", (1, 1), 4),
    ],
)
def test_a_convolution_is_the_sum_that_the_manual_writes(stride, padding, dilation, groups):
    kernel = np.random.default_rng(0).normal(size=(4, 4 // groups, 3, 3))
    numbers = (1, 1) if padding == "same" else padding
    expected = slow_convolution(kernel, (4, 6, 5), stride, numbers, dilation, groups)
    node = nir.Conv2d((6, 5), kernel, stride, padding, dilation, groups, np.zeros(4))
    matrix, _ = reached([node, nir.Flatten(None, 0)], (4, 6, 5), len(expected))
    np.testing.assert_allclose(matrix, expected)


def test_a_convolution_over_one_axis():
    """Conv1d of (2, 7) with a kernel of 3, stride 2 and padding 1 is Conv2d of (2, 1, 7)."""
    kernel = np.random.default_rng(0).normal(size=(3, 2, 3))
    expected = slow_convolution(kernel[:, :, None], (2, 1, 7), (1, 2), (0, 1), (1, 1), 1)
    node = nir.Conv1d(7, kernel, 2, 1, 1, 1, np.zeros(3))
    matrix, _ = reached([node, nir.Flatten(None, 0)], (2, 7), len(expected))
    np.testing.assert_allclose(matrix, expected)


def test_a_plain_convolution_keeps_one_kernel_for_all_synapses():
    """3 x 2 x 3 x 3 numbers, and not one for each of the synapses."""
    kernel = np.random.default_rng(0).normal(size=(3, 2, 3, 3))
    node = nir.Conv2d((6, 6), kernel, 1, 1, 1, 1, np.zeros(3))
    _, synapses = reached([node, nir.Flatten(None, 0)], (2, 6, 6), 108)
    (weights,) = (part for part in synapses.contained_objects if part.name.endswith("_weights"))
    assert weights.w[:] == pytest.approx(kernel.ravel())


@pytest.mark.parametrize(("kind", "share"), [("SumPool2d", 1), ("AvgPool2d", 1 / 4)])
def test_a_pool_adds_or_averages_its_window(kind, share):
    node = getattr(nir, kind)(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([1, 0]))
    expected = slow_convolution(np.full((3, 1, 2, 2), share), (3, 4, 6), (2, 2), (1, 0), (1, 1), 3)
    matrix, _ = reached([node, nir.Flatten(None, 0)], (3, 4, 6), len(expected))
    np.testing.assert_allclose(matrix, expected)


def test_matrices_in_a_row_multiply_and_biases_pass_through():
    """y = C s (A x + a) + c: weights C diag(s) A, bias C diag(s) a + c."""
    rng = np.random.default_rng(0)
    first, second_matrix, scale = rng.normal(size=(4, 3)), rng.normal(size=(2, 4)), rng.normal(size=4)
    a, c = rng.normal(size=4), rng.normal(size=2)
    nodes = [nir.Affine(first, a), nir.Scale(scale), nir.Affine(second_matrix, c)]
    matrix, synapses = reached(nodes, (3,), 2)
    np.testing.assert_allclose(matrix, second_matrix @ np.diag(scale) @ first)
    np.testing.assert_allclose(synapses.target.bias[:], second_matrix @ (scale * a) + c)


def test_delays_before_and_after_the_weights_add_up():
    """Sender i waits i ms, receiver j 10 j ms: their synapse i + 10 j ms."""
    nodes = [nir.Delay(np.arange(3) * 1e-3), nir.Linear(np.ones((2, 3))), nir.Delay(np.arange(2) * 1e-2)]
    _, synapses = reached(nodes, (3,), 2)
    np.testing.assert_allclose(synapses.delay / ms, synapses.i[:] + 10 * synapses.j[:])


def test_ways_that_meet_are_added():
    """Two matrices from the input to one neuron act as their sum, in one Synapses."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 2, 3))
    nodes = {"input": nir.Input([3]), "a": nir.Linear(one), "b": nir.Linear(other), "cells": lif(2)}
    nodes["output"] = nir.Output([2])
    edges = [("input", "a"), ("input", "b"), ("a", "cells"), ("b", "cells"), ("cells", "output")]
    synapses = from_nir(nir.NIRGraph(nodes, edges), dt=DT_S * second)["input_to_cells"]
    matrix = np.zeros((2, 3))
    matrix[synapses.j[:], synapses.i[:]] = synapses.w[:]
    np.testing.assert_allclose(matrix, one + other)


def test_a_graph_within_the_graph_is_the_same_as_its_nodes():
    """A recurrent layer, once flat and once nested as snnTorch's exporter has it."""
    rng = np.random.default_rng(3)
    into, back = nir.Linear(rng.normal(0.3, 0.4, (5, 4))), nir.Linear(rng.normal(0, 0.4, (5, 5)))
    flat = nir.NIRGraph(
        {"input": nir.Input([4]), "into": into, "cells": lif(5), "back": back, "output": nir.Output([5])},
        [("input", "into"), ("into", "cells"), ("cells", "back"), ("back", "cells"), ("cells", "output")],
    )
    inner = nir.NIRGraph(
        {"input": nir.Input([5]), "lif": lif(5), "w_rec": back, "output": nir.Output([5])},
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    nested = nir.NIRGraph(
        {"input": nir.Input([4]), "into": into, "layer": inner, "output": nir.Output([5])},
        [("input", "into"), ("into", "layer"), ("layer", "output")],
    )
    spikes = random_spikes(50, 4)
    (first,) = responses(from_nir(flat, dt=DT_S * second), ["cells"], spikes)
    (again,) = responses(from_nir(nested, dt=DT_S * second), ["layer_lif"], spikes)
    assert first.sum() > 30
    np.testing.assert_array_equal(first, again)


# From Brian2 to NIR


def one_layer(group, *, n_in=3, weight=0.4, onto="v", on_pre=None):
    """The group with n_in spike sources, "input", all connected to all."""
    source = SpikeGeneratorGroup(n_in, [], [] * second, name="input")
    if on_pre is None:
        synapses = connect(source, group, dense(np.full((n_in, group.N), 1.0) * weight), onto=onto, name="into")
    else:
        synapses = Synapses(source, group, "w : 1", on_pre=on_pre, name="into")
        synapses.connect()
        synapses.w = weight
    return Network(source, group, synapses)


TAU = {"tau_m": 20 * ms, "El": -70 * mV, "Vt": -50 * mV, "gL": 2e-9, "C": 4e-11, "rate": 50 * Hz}
SPELLINGS = [
    # dv/dt, threshold, reset: all are tau 20 ms, leak 0, threshold 1, reset 0
    ("dv/dt = -v/tau_m : 1", "v > 1", "v = 0"),
    ("dv/dt = -gL*v/C/second : 1", "1 < v", "v = 1 - 1"),
    ("dv/dt = rate*(0 - v) : 1", "v - 1 > 0", "v *= 0"),
    ("dv/dt = decay : 1\ndecay = -v*rate : Hz", "v > 2*k\n", "v = 0\n"),
    ("dv/dt = (b - v + sin(0)*tau_m/second)/(a*second) : 1\na : 1\nb : 1 (shared)", "v > top", "v = bottom"),
]


@pytest.mark.parametrize(("equations", "threshold", "reset"), SPELLINGS, ids=range(len(SPELLINGS)))
def test_a_leaky_neuron_is_known_by_its_formula(equations, threshold, reset):
    k, top, bottom = 0.5, 1.0, 0.0
    group = NeuronGroup(2, equations, threshold=threshold, reset=reset, method="exact", namespace=TAU, name="cells")
    if "a" in group.variables:
        group.a = 0.02
    node = to_nir(one_layer(group), namespace={"k": k, "top": top, "bottom": bottom}).nodes["cells"]
    assert type(node) is nir.LIF
    np.testing.assert_allclose(node.tau, [0.02, 0.02], rtol=1e-15)
    assert (node.v_leak.tolist(), node.v_threshold.tolist(), node.v_reset.tolist()) == ([0, 0], [1, 1], [0, 0])


def test_numbers_go_through_a_file_unchanged(tmp_path):
    """Volts, amperes and seconds as Brian2 holds them, to the last bit; weights too."""
    cells = neurons.cuba_lif(threshold=-50 * mV, tau=13 * ms, R=70 * Mohm).group(2, name="cells")
    network = one_layer(cells, weight=0.3 * nA, onto="I")
    network["into"].w = "(i + 1)*(j + 1)/7*nA"
    write_nir(tmp_path / "cells.nir", network)
    graph = nir.read(tmp_path / "cells.nir")
    node = graph.nodes["cells"]
    parameters = neurons.cuba_lif(threshold=-50 * mV, tau=13 * ms, R=70 * Mohm).parameters
    named = {"tau": "tau_mem", "tau_syn": "tau_syn", "R": "r", "v_rest": "v_leak", "threshold": "v_threshold"}
    for ours, theirs in (named | {"v_reset": "v_reset"}).items():
        assert getattr(node, theirs).tolist() == [float(parameters[ours])] * 2
    assert graph.nodes["into"].weight.T.ravel().tolist() == np.asarray(network["into"].w[:]).tolist()
    assert graph.metadata["dt"] == float(cells.clock.dt)


def test_a_spike_adds_its_weight_in_a_step_of_euler():
    """In NIR a spike is a current of 1 for dt: it moves v by r w dt/tau, I by w_in w dt/tau_syn. Both must be w."""
    jump = to_nir(one_layer(neurons.lif().group(1, name="cells"))).nodes["cells"]
    assert jump.r * DT_S / jump.tau == pytest.approx([1])
    current = to_nir(one_layer(neurons.cuba_lif().group(1, name="cells"), onto="I")).nodes["cells"]
    assert current.w_in * DT_S / current.tau_syn == pytest.approx([1])
    counter = NeuronGroup(1, "v : 1", threshold="v > 1", reset="v = 0", name="cells")
    assert to_nir(one_layer(counter)).nodes["cells"].r * DT_S == pytest.approx([1])


def test_what_a_spike_does_is_read_whatever_it_says():
    """-w times a constant of the receiver times a number: row j of the matrix is -0.2 k_j."""
    group = NeuronGroup(2, "dv/dt = -v/(5*ms) : 1\nk : 1 (constant)", threshold="v > 1", reset="v = 0", name="cells")
    group.k = [3, 5]
    graph = to_nir(one_layer(group, weight=0.4, on_pre="v_post -= w*k_post/2"))
    np.testing.assert_allclose(graph.nodes["into"].weight, [[-0.6] * 3, [-1.0] * 3])


def test_names_are_looked_up_where_the_call_stands(tmp_path):
    """A time constant that is a variable of this function, and a weight that is linked to a container of numbers."""
    tau_here = 7 * ms
    shared = NeuronGroup(1, "w : 1", name="shared")
    shared.w = 0.25
    network = one_layer(cells("dv/dt = -v/tau_here : 1"))
    network.remove(network["into"])
    model = "which : integer (constant)\nw : 1 (linked)"
    synapses = Synapses(network["input"], network["cells"], model, on_pre="v_post += w", name="into")
    synapses.connect(j="i")
    synapses.w = linked_var(shared, "w", index="which")
    network.add(synapses, shared)
    write_nir(tmp_path / "a.nir", network)
    for graph in (to_nir(network), nir.read(tmp_path / "a.nir")):
        assert graph.nodes["cells"].tau.tolist() == [float(tau_here)] * 3
        assert graph.nodes["into"].weight.tolist() == (0.25 * np.eye(3)).tolist()
        assert "shared" not in graph.nodes


def test_parts_of_groups_have_their_place_in_the_matrix():
    """Senders 1 and 2 of three reach receiver 1 of two, twice."""
    source, group = PoissonGroup(3, 10 * Hz, name="input"), neurons.lif().group(2, name="cells")
    synapses = Synapses(source[1:], group[1:], on_pre="v_post += 0.5", name="into")
    synapses.connect(n=2)
    assert to_nir(Network(source, group, synapses)).nodes["into"].weight.tolist() == [[0, 0, 0], [0, 1, 1]]


def cells(equations, *, threshold="v > threshold", reset="v = v_reset", method="euler", n=3, **namespace):
    values = {"threshold": 0.5, "v_reset": 0.1, "tau": 2 * ms, "tau_syn": 1 * ms, "R": 3.0} | namespace
    return NeuronGroup(n, equations, threshold=threshold, reset=reset, method=method, namespace=values, name="cells")


ROUND_TRIPS = {
    "LIF, v jumps": (lambda: neurons.lif(tau=2 * ms, v_reset=0.2).group(3, name="cells"), "v"),
    "LIF, soft": (lambda: neurons.lif(tau=2 * ms, reset="soft").group(3, name="cells"), "v"),
    "LIF, current": (lambda: cells("dv/dt = (R*I - v)/tau : 1\ndI/dt = -I/dt : 1"), "I"),
    "LIF, bias": (lambda: cells("dv/dt = (R*I - v)/tau : 1\ndI/dt = (b - I)/dt : 1", b=0.05), "I"),
    "LIF, constant drive": (lambda: cells("dv/dt = (0.4 + R*b - v)/tau : 1", method="exact", b=0.05), "v"),
    "LIF, rk2": (lambda: cells("dv/dt = -v/tau : 1", method="rk2"), "v"),
    "CubaLIF": (lambda: neurons.cuba_lif(tau=3 * ms, tau_syn=1 * ms).group(3, name="cells"), "I"),
    "CubaLIF, equal times": (lambda: neurons.cuba_lif(tau=3 * ms, tau_syn=3 * ms).group(3, name="cells"), "I"),
    "CubaLIF, bias": (lambda: cells("dv/dt = (R*I - v)/tau : 1\ndI/dt = (b - I)/tau_syn : 1", b=0.05), "I"),
    "IF, v jumps": (lambda: cells("v : 1"), "v"),
    "IF, counter": (lambda: neurons.integrate_and_fire().group(3, name="cells"), "v"),
    "IF, current": (lambda: cells("dv/dt = R*I*kHz : 1\ndI/dt = -I/dt : 1", R=7), "I"),
    "IF, drift": (lambda: cells("dv/dt = 20*Hz : 1"), "v"),
    "LI": (lambda: neurons.leaky_readout(tau=2 * ms).group(3, name="cells"), "v"),
    "CubaLI": (lambda: cells("dv/dt = (R*I - v)/tau : 1\ndI/dt = -I/tau_syn : 1", threshold=None, reset=None), "I"),
    "I": (lambda: cells("dv/dt = R*I*kHz : 1\ndI/dt = -I/dt : 1", threshold=None, reset=None), "I"),
    "Threshold": (lambda: cells("dv/dt = (I - v)/dt : 1\ndI/dt = -I/dt : 1", reset=""), "I"),
}  # fmt: skip


@pytest.mark.parametrize("model", ROUND_TRIPS)
def test_there_and_back_the_network_does_the_same(model, tmp_path):
    """Through a file and back: v of every neuron in every step, up to rounding, and with it all spikes."""
    make, onto = ROUND_TRIPS[model]
    original = one_layer(make(), onto=onto)
    original["into"].w = "0.1 + 0.1*i + 0.15*j"
    if model == "LIF, constant drive":
        original["cells"].v = 0.4 + 3 * 0.05  # NIR's networks begin at rest
    write_nir(tmp_path / "cells.nir", original, record=("soft reset", "inclusive threshold"))
    kind = type(nir.read(tmp_path / "cells.nir").nodes["cells"]).__name__
    assert kind == model.split(",")[0]
    spikes = random_spikes(60, 3, share=0.3)
    before = traces(original, "cells", "v", spikes)
    after = traces(read_nir(tmp_path / "cells.nir"), "cells", "v", spikes)
    assert np.ptp(before) > 0.3
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-12)


def test_numbers_delays_and_loops_come_back_too(tmp_path):
    """Two layers, parameters of each neuron, delays of each sender and of each pair, a loop, two synapses of a pair."""
    rng = np.random.default_rng(5)
    network = one_layer(cells("dv/dt = (El - v)/tau_m : 1\nEl : 1 (constant)\ntau_m : second (constant)", n=4))
    first = network["cells"]
    first.El, first.tau_m = [0, 0.1, 0.2, 0.3], [1, 2, 3, 4] * ms
    first.v = "El"
    network["into"].delay = "0.3*i*ms"
    last = neurons.cuba_lif(tau=2 * ms).group(3, name="last")
    onward = connect(first, last, dense(rng.normal(0.5, 0.3, (4, 3))), onto="I", name="onward", delay=0.2 * ms)
    loop = connect(
        first, first, dense(rng.normal(0, 0.2, (4, 4))), name="loop", delay=rng.integers(0, 3, 16) * 0.1 * ms
    )
    again = Synapses(first, last, on_pre="I_post += 0.2", name="again")
    again.connect(j="i", n=2, skip_if_invalid=True)
    network.add(last, onward, loop, again)
    spikes = random_spikes(80, 3, share=0.3)
    write_nir(tmp_path / "both.nir", network)
    assert nir.read(tmp_path / "both.nir").metadata["dt"] == DT_S
    before = responses(network, ["cells", "last"], spikes)
    after = responses(read_nir(tmp_path / "both.nir"), ["cells", "last"], spikes)
    assert min(seen.sum() for seen in before) > 20
    for seen, again_seen in zip(before, after, strict=True):
        np.testing.assert_array_equal(again_seen, seen)


def test_convolutions_and_pools_are_found_in_the_synapses():
    """A kernel with stride and padding, one that is a number a channel, and both pools, by the shapes of the grids."""
    kernel = np.random.default_rng(0).normal(size=(3, 2, 3, 2))
    eye = EventInput(width=6, height=8, name="input")
    wide = conv2d(kernel, eye.shape, stride=(2, 1), padding=(1, 0))
    scale = np.diag([0.5, 2.0, 3.0])[:, :, None, None]
    apart = conv2d(scale, wide.out_shape)
    summed, averaged = pool2d(apart.out_shape, 2, stride=1), pool2d((3, 3, 4), (2, 1), kind="average")
    network, source, shapes = Network(eye.group), eye.group, {"input": eye.shape}
    for name, wiring in {"wide": wide, "apart": apart, "summed": summed, "averaged": averaged}.items():
        group = neurons.lif().group(wiring.n_post, name=name)
        network.add(group, connect(source, group, wiring, name=f"to_{name}"))
        source, shapes[name] = group, wiring.out_shape
    last = neurons.lif().group(2, name="last")
    network.add(last, connect(source, last, dense(np.ones((averaged.n_post, 2))), name="to_last"))
    nodes = to_nir(network, shapes=shapes).nodes
    np.testing.assert_array_equal(nodes["to_wide"].weight, kernel)
    assert (nodes["to_wide"].stride.tolist(), nodes["to_wide"].padding.tolist()) == ([2, 1], [1, 0])
    np.testing.assert_array_equal(nodes["to_apart"].weight, scale)
    assert (type(nodes["to_summed"]), nodes["to_summed"].kernel_size.tolist()) == (nir.SumPool2d, [2, 2])
    assert (type(nodes["to_averaged"]), nodes["to_averaged"].stride.tolist()) == (nir.AvgPool2d, [2, 1])
    assert nodes["to_last_flatten"].output_type["output"].tolist() == [averaged.n_post]


def test_a_graph_says_where_it_begins_and_ends():
    """Groups that send to none but themselves are outputs, all others if they are named."""
    first, last = neurons.lif().group(2, name="first"), neurons.lif().group(2, name="last")
    parts = [connect(first, last, one_to_one(2)), connect(last, last, one_to_one(2))]
    network = one_layer(first)
    network.add(last, parts, SpikeMonitor(last))
    assert [edge for edge in to_nir(network).edges if edge[1] == "output"] == [("last", "output")]
    both = to_nir(network, outputs=["first", "last"]).edges
    assert {("first", "output"), ("last", "last_output")} <= set(both)
    with pytest.raises(ParameterError, match="outputs are \\['input'\\], expected some of the neurons"):
        to_nir(network, outputs=["input"])


def test_a_soft_reset_is_kept_where_it_is_asked_for():
    """v -= threshold - v_reset in volts: others read a reset to v_reset, from_nir subtracts again."""
    model = neurons.lif(threshold=-50 * mV, reset="soft")
    network = one_layer(model.group(2, name="cells"), weight=20 * mV)
    with pytest.raises(InputError, match="'cells' cannot be written as NIR: NIR has no soft reset; record="):
        to_nir(network)
    graph = to_nir(network, record=["soft reset"])
    assert graph.nodes["cells"].v_reset.tolist() == [-0.065, -0.065]
    assert graph.nodes["cells"].metadata["reset"] == "subtract"
    assert from_nir(graph)["cells"].event_codes["spike"] == "v -= threshold - v_reset"


LEAK = "dv/dt = -v/tau : 1"
DECAY = "dI/dt = -I/tau : 1"
REFUSED_NEURONS = {
    "noise": ({"equations": "dv/dt = -v/tau + xi*tau**-0.5 : 1"}, "have noise"),
    "quadratic": ({"equations": "dv/dt = v**2/tau : 1"}, "not linear"),
    "conductance": ({"equations": "dv/dt = -v*(1 + I)/tau : 1\n" + DECAY, "onto": "I"}, "not linear"),
    "growth": ({"equations": "dv/dt = v/tau : 1"}, "time constant of v is -0.002 s"),
    "resonance": ({"equations": "dv/dt = (I - v)/tau : 1\ndI/dt = -(I + v)/tau : 1", "onto": "I"}, "depends on v"),
    "third state": ({"equations": "\n".join([LEAK, DECAY, "da/dt = -a/tau : 1"])}, "has the states v, I, a"),
    "a current that nothing feeds": ({"equations": "\n".join([LEAK, DECAY])}, "has the states v, I"),
    "eternal current": ({"equations": "dv/dt = (I - v)/tau : 1\nI : 1", "onto": "I"}, "never decays"),
    "still current": ({"equations": "dv/dt = (I - v)/tau : 1\ndI/dt = 0*Hz : 1", "onto": "I"}, "never decays"),
    "IF with a current": ({"equations": "dv/dt = I*Hz : 1\n" + DECAY, "onto": "I"}, "no leak"),
    "time": ({"equations": "dv/dt = (sin(t/tau) - v)/tau : 1"}, "on time"),
    "unknown name": ({"equations": "dv/dt = -v/foo : 1"}, "'foo' has no value"),
    "two conditions": ({"threshold": "v > 1 and v < 2"}, "its threshold is 'v > 1 and v < 2'"),
    "from above": ({"threshold": "v < -1"}, "its threshold is 'v < -1'"),
    "inclusive threshold": ({"threshold": "v >= 1"}, "no inclusive threshold"),
    "adaptive threshold": (
        {"equations": LEAK + "\nda/dt = -a/tau : 1", "threshold": "v > 1 + a", "reset": "v = 0; a += 1"},
        "no adaptive threshold",
    ),
    "no reset": ({"reset": ""}, "it has no reset"),
    "reset of more": ({"equations": LEAK + "\nk : 1", "reset": "v = 0; k += 1"}, "resets v alone"),
    "halving reset": ({"reset": "v = v/2"}, "expected 'v = constant'"),
    "readout of two": (
        {"equations": "dv/dt = (u - v)/tau : 1\ndu/dt = (v - u)/tau : 1", "threshold": None, "reset": None},
        "never spikes and has the states",
    ),
}


@pytest.mark.parametrize("what", REFUSED_NEURONS)
def test_a_neuron_that_nir_does_not_have_is_refused_in_one_line(what):
    options, message = REFUSED_NEURONS[what]
    options = {"equations": LEAK, "onto": "v"} | options
    onto = options.pop("onto")
    with pytest.raises(InputError, match=f"'cells' cannot be written as NIR: .*{message}") as caught:
        to_nir(one_layer(cells(**options), onto=onto), namespace={})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (neurons.lif(refractory=2 * ms), "it is refractory after a spike"),
        (neurons.alif(), "no adaptive threshold"),
        (neurons.escape_noise_lif(), r"rand\(\) is chance"),
    ],
    ids=["lif", "alif", "escape_noise_lif"],
)
def test_a_model_that_nir_does_not_have_is_refused_by_name(model, message):
    with pytest.raises(InputError, match=f"'cells' cannot be written as NIR: .*{message}"):
        to_nir(one_layer(model.group(2, name="cells")))


@pytest.mark.parametrize(
    ("on_pre", "message"),
    [
        ("v_post += w; w *= 0.9", "expected one line"),
        ("v_post *= w", "expected one line"),
        ("w += 1", "expected one line"),
        ("v_post += w*(1 - v_post)", "depends on v of 'cells', which changes"),
        ("v_post += w*int(rand() < 0.5)", r"rand\(\) is chance"),
        ("v_post += w*int(t < 5*ms)", "on time"),
    ],
)
def test_a_synapse_that_does_more_than_add_is_refused(on_pre, message):
    with pytest.raises(InputError, match=f"'into' cannot be written as NIR: .*{message}"):
        to_nir(one_layer(cells(LEAK), on_pre=on_pre), namespace={"ms": ms})


@pytest.mark.parametrize("rule", [stdp_pair(), short_term_plasticity()], ids=["STDP", "short-term plasticity"])
def test_plasticity_is_refused(rule):
    source, group = PoissonGroup(3, 5 * Hz), cells(LEAK)
    with pytest.raises(InputError, match="'into' cannot be written as NIR"):
        to_nir(Network(source, group, connect(source, group, one_to_one(3), rule, name="into")))


def test_whatever_else_nir_cannot_say_is_refused_by_name():
    source, group = PoissonGroup(10, 5 * Hz, name="source"), cells(LEAK, n=10)

    @network_operation(name="teacher")
    def teach():
        pass

    slow = PoissonGroup(10, 5 * Hz, dt=1 * ms)
    eye = EventInput(width=5, height=1, collisions="count").group
    current = cells("dv/dt = (I - v)/tau : 1\ndI/dt = (b - I)/tau : 1", n=10, b=1)
    both = connect(source, current, one_to_one(10)), connect(source, current, one_to_one(10), onto="I")
    totals = cells("dv/dt = (a - v)/tau : 1\na : 1", n=10)
    summed = Synapses(source, totals, "a_post = rates_pre*ms : 1 (summed)")
    regular, sender = cells(LEAK), neurons.lif().group(10)
    regular.run_regularly("v = 0", dt=1 * ms)
    learning = Synapses(sender, group, on_post="v_post += 1")
    linked = cells("dv/dt = (other - v)/tau : 1\nother : 1 (linked)", n=10)
    linked.other = linked_var(sender, "v")
    all_pairs, times = dense(np.ones((10, 10))), np.arange(100) * us
    refused = {
        "is a PoissonInput": [group, PoissonInput(group, "v", 10, 5 * Hz, weight=0.1)],
        "'teacher' .* is a NetworkOperation": [group, teach],
        "expected one dt for all": [slow, group, connect(slow, group, one_to_one(10))],
        "spikes are not graded": [eye, group, connect(eye, group, one_to_one(10))],
        r"synapses change its \['I', 'v'\]": [source, current, *both],
        "constant current of its own": [current],
        "dynamics of their own": [source, totals, summed],
        "code that runs regularly": [source, regular],
        "'source', which is not in the network": [group, connect(source, group, one_to_one(10))],
        "100 different delays, expected at most 64": [source, group, connect(source, group, all_pairs, delay=times)],
        "depends on v of .*, which changes": [sender, linked],
        "postsynaptic": [sender, group, learning],
    }
    for synapses in (summed, learning):
        synapses.connect(j="i")
    for message, parts in refused.items():
        with pytest.raises(InputError, match=message):
            to_nir(Network(parts))


# What from_nir refuses, and its arguments


def looped():
    """Two matrices that feed each other, beside a neuron."""
    nodes = {"input": nir.Input([2]), "a": nir.Linear(np.eye(2)), "b": nir.Linear(np.eye(2)), "cells": lif(2)}
    nodes["output"] = nir.Output([2])
    edges = [("input", "a"), ("a", "b"), ("b", "a"), ("a", "cells"), ("cells", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def two_ended():
    """An inner graph with two inputs."""
    inner = nir.NIRGraph(
        {"one": nir.Input([1]), "two": nir.Input([1]), "cells": lif(1), "output": nir.Output([1])},
        [("one", "cells"), ("two", "cells"), ("cells", "output")],
    )
    return chain(nir.Input([1]), inner, nir.Output([1]))


def readout():
    return nir.LI(tau=ones(1e-3, 2), r=ones(1, 2), v_leak=ones(0, 2))


def one_node(node, shape=(3,)):
    return chain(nir.Input(list(shape)), node, lif(2), nir.Output([2]))


def convolution(shape, padding=0):
    return one_node(nir.Conv2d(None, np.ones((1, 1, 2, 2)), 1, padding, 1, 1, np.zeros(1)), shape)


UNREAD = {
    r"the node '0' is a Identity, which cannot be said": lambda: one_node(nir.ir.graph.Identity({"input": [3]})),
    r"'0' \(LI\) does not spike, but '1' \(Linear\) takes": lambda: chain(
        nir.Input([2]), readout(), nir.Linear(np.eye(2)), lif(2), nir.Output([2])
    ),
    r"the output 'output' comes from '0' \(Linear\)": lambda: chain(
        nir.Input([2]), nir.Linear(np.eye(2)), nir.Output([2])
    ),
    r"form a loop without a neuron": looped,
    r"the inner graph '0' has not one Input and one Output": two_ended,
    r"an edge names the node 'nowhere'": lambda: nir.NIRGraph(
        {"input": nir.Input([2])}, [("input", "nowhere")], type_check=False
    ),
    r"'0' \(Linear\) has \(2, 5\), expected weights \(n, 3\)": lambda: one_node(nir.Linear(np.ones((2, 5)))),
    r"'0' \(Scale\) has \(5,\), expected 3 factors": lambda: one_node(nir.Scale(np.ones(5))),
    r"'0' \(Conv2d\) has \(3,\), expected an input \(C, H, W\)": lambda: convolution([3]),
    r"'0' \(Conv2d\) .* expected a kernel for 3 channels": lambda: convolution([3, 4, 4]),
    r"padding 'same' of the node '0'": lambda: convolution([1, 4, 4], "same"),
    r"'1' \(LIF\) takes 3 values, but '0' \(Linear\) gives 1": lambda: feed_forward([[1.0, 2.0]], lif(3)),
    r"the shape of '0' \(Flatten\) cannot be known": lambda: nir.NIRGraph(
        {"0": nir.Flatten(None), "output": nir.Output([2])}, [("0", "output")], type_check=False
    ),
    r"time constant of -0.001 s": lambda: feed_forward([[1.0]], lif(1, tau_s=-1e-3)),
}


@pytest.mark.parametrize("message", UNREAD)
def test_what_brian2_cannot_say_is_refused_in_one_line(message):
    with pytest.raises(InputError, match=message) as caught:
        from_nir(UNREAD[message](), dt=DT_S * second)
    assert "\n" not in str(caught.value)


def test_nothing_is_subtracted_late_from_what_is_forgotten():
    with pytest.raises(InputError, match="forgets v within a step"):
        from_nir(feed_forward([[1.0]], lif(1, tau_s=DT_S)), dt=DT_S * second, reset="subtract-late")


def test_an_event_camera_can_take_the_place_of_an_input():
    """An ON event at pixel (1, 0) of a 2 x 1 sensor is neuron (1 * 1 + 0) * 2 + 1 = 3; with a weight of 2 it spikes."""
    from dvs.events import make_events

    eye = EventInput(width=2, height=1, dt=1 * ms, name="eye")
    eye.show(make_events(x=[1], y=[0], t_us=[2500], p=[1]))
    graph = feed_forward(2 * np.eye(4), lif(4, tau_s=5e-3, r=5))
    network = from_nir(graph, dt=1 * ms, inputs={"input": eye.group})
    monitor = SpikeMonitor(network["lif_1"])
    network.add(monitor)
    network.run(6 * ms)
    assert (monitor.i[:].tolist(), (monitor.t / ms).tolist()) == ([3], [3.0])


def test_names_that_brian2_cannot_have_are_changed():
    nodes = {"in.put": nir.Input([1]), "a b": lif(1), "a.b": lif(1), "_c": lif(1), "output": nir.Output([1])}
    edges = [("in.put", "a b"), ("a b", "a.b"), ("a.b", "_c"), ("_c", "output")]
    network = from_nir(nir.NIRGraph(nodes, edges), dt=DT_S * second)
    assert {"in_put", "a_b", "a_b_", "lif_c", "in_put_to_a_b", "a_b_to_a_b_"} <= {part.name for part in network.objects}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "does not say in what steps it was made; give dt"),
        ({"dt": 0 * ms}, "dt is .*, expected one time of more than 0"),
        ({"dt": 1 * mV}, "dt is .*, expected one time of more than 0"),
        ({"dt": 1 * ms, "reset": "soft"}, "reset is 'soft', expected one of file, subtract, subtract-late"),
        (
            {"dt": 1 * ms, "inputs": {"eye": 2}},
            "inputs names 'eye' with 2 neurons; the graph's inputs are {'input': 1}",
        ),
        ({"dt": 1 * ms, "inputs": {"input": 2}}, "inputs names 'input' with 2 neurons"),
        ({"dt": 2 * ms, "inputs": {"input": 1}}, "the input 'input' has steps of 1. ms, the graph of 2. ms"),
    ],
)
def test_arguments_of_from_nir_are_checked(options, message):
    given = {key: PoissonGroup(n, 5 * Hz, dt=1 * ms) for key, n in options.get("inputs", {}).items()}
    with pytest.raises(ParameterError, match=message):
        from_nir(feed_forward([[1.0]], lif(1)), **options | ({"inputs": given} if given else {}))


def test_a_graph_and_groups_are_expected():
    with pytest.raises(ParameterError, match="the graph is a str, expected a NIRGraph; read_nir takes"):
        from_nir("a.nir")
    with pytest.raises(ParameterError, match="the input 'input' is a EventInput, expected a group of Brian2"):
        from_nir(feed_forward([[1.0]], lif(1)), dt=1 * ms, inputs={"input": EventInput(width=1, height=1)})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"record": ["plasticity"]}, ParameterError, r"record names \['plasticity'\], expected 'soft reset' or"),
        ({"shapes": {"cells": (1, 1, 4)}}, ParameterError, r"shapes has 'cells': \(1, 1, 4\), expected \(C, H, W\)"),
        ({"shapes": {"cells": (1, 1, 3)}}, InputError, "'into' is no convolution from 'input' None to 'cells'"),
        ({"shapes": {"cells": (1, 1, 3), "input": (1, 1, 3)}}, InputError, "leave 'cells' out of shapes"),
    ],
)
def test_arguments_of_to_nir_are_checked(options, error, message):
    network = one_layer(cells(LEAK))
    network["into"].w = "0.1*i*j"
    with pytest.raises(error, match=message):
        to_nir(network, **options)


# Files


def test_a_file_that_exists_is_not_harmed(tmp_path):
    target = tmp_path / "a.nir"
    target.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        write_nir(target, one_layer(cells(LEAK)))
    assert target.read_text() == "precious"
    write_nir(target, one_layer(cells(LEAK)), overwrite=True)
    assert read_nir(target)["cells"].N == 3


def test_a_refused_network_leaves_no_file(tmp_path):
    with pytest.raises(InputError):
        write_nir(tmp_path / "a.nir", one_layer(cells(LEAK, reset="")))
    assert not list(tmp_path.iterdir())


def test_what_is_no_graph_is_named(tmp_path):
    import h5py

    text, single, strange = (tmp_path / name for name in ("text.nir", "single.nir", "strange.nir"))
    text.write_text("not HDF5")
    nir.write(single, lif(1))
    nir.write(strange, feed_forward([[1.0]], lif(1)))
    with h5py.File(strange, "r+") as file:
        del file["node/nodes/1/type"]
        file["node/nodes/1/type"] = "Hodgkin"
    with pytest.raises(FormatError, match=r"text\.nir cannot be read"):
        read_nir(text)
    with pytest.raises(FormatError, match=r"single\.nir holds one LIF, expected a graph"):
        read_nir(single)
    with pytest.raises(InputError, match=r"strange\.nir: the node '1' is a Hodgkin, which nir"):
        read_nir(strange)
    with pytest.raises(InputError, match=r"absent\.nir cannot be opened"):
        read_nir(tmp_path / "absent.nir")


def test_without_the_library_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "nir", None)
    for call in (
        lambda: read_nir(tmp_path / "a.nir"),
        lambda: write_nir(tmp_path / "a.nir", one_layer(cells(LEAK))),
        lambda: to_nir(one_layer(cells(LEAK))),
    ):
        with pytest.raises(MissingExtraError, match=r'pip install "microsaccade\[nir\]"'):
            call()


# What other libraries make of our files; they are no dependencies


def in_snntorch(path, spikes):
    torch = pytest.importorskip("torch", reason="asks snnTorch what it reads")
    reader = pytest.importorskip("snntorch.import_nir", reason="asks snnTorch what it reads")
    network = reader.import_from_nir(nir.read(path))
    steps = [network(torch.tensor(step[None]).float()) for step in spikes]
    return np.array([(step[0] if isinstance(step, tuple) else step).detach().numpy()[0] for step in steps])


def in_norse(path, spikes):
    torch = pytest.importorskip("torch", reason="asks Norse what it reads")
    reader = pytest.importorskip("norse.torch.utils.import_nir", reason="asks Norse what it reads")
    network, state, out = reader.from_nir(nir.read(path), dt=DT_S), None, []
    for step in spikes:
        z, state = network(torch.tensor(step[None]).float(), state)
        out.append(z.detach().numpy()[0])
    return np.array(out)


BOX = "dI/dt = -I/dt : 1"
READ_BY_OTHERS = {
    # the library, equations, R, size of the weights
    "LIF in snnTorch": (in_snntorch, "dv/dt = (R*I - v)/tau : 1\n" + BOX, 10.0, 0.3),
    "CubaLIF in snnTorch": (in_snntorch, "dv/dt = (R*I - v)/tau : 1\ndI/dt = -I/tau_syn : 1", 10.0, 0.05),
    "LIF in Norse": (in_norse, "dv/dt = (R*I - v)/tau : 1\n" + BOX, 1.0, 3.0),
    "CubaLIF in Norse": (in_norse, "dv/dt = (R*I - v)/tau : 1\ndI/dt = -I/tau_syn : 1", 10.0, 0.05),
    "IF in Norse": (in_norse, "dv/dt = R*I/dt : 1\n" + BOX, 1.0, 0.1),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", READ_BY_OTHERS)
def test_other_libraries_compute_the_same_from_our_files(what, tmp_path):
    """Two layers, in steps of 0.1 ms, which snnTorch supposes: the same spikes two steps earlier.

    Norse takes r of an LIF for 1, so it is 1 there.
    """
    run, equations, resistance, scale = READ_BY_OTHERS[what]
    rng = np.random.default_rng(0)
    numbers = {"tau": 1 * ms, "tau_syn": 0.4 * ms, "R": resistance}
    source = SpikeGeneratorGroup(12, [], [] * second, name="input")
    hidden, last = (
        NeuronGroup(n, equations, threshold="v > 1", reset="v = 0", method="euler", namespace=numbers, name=name)
        for n, name in ((10, "hidden"), (5, "last"))
    )
    network = Network(source, hidden, last)
    for pre, post in ((source, hidden), (hidden, last)):
        network.add(connect(pre, post, dense(rng.normal(scale, scale, (pre.N, post.N))), onto="I"))
    write_nir(tmp_path / "ours.nir", network)
    spikes = random_spikes(60, 12)
    theirs = run(tmp_path / "ours.nir", spikes)
    (ours,) = responses(network, ["last"], spikes, after=2)
    assert 20 < ours.sum() < 0.9 * ours.size
    np.testing.assert_array_equal(theirs, ours[2:])


def test_where_v_jumps_others_are_one_leak_ahead(tmp_path):
    """A weight w added to v has leaked for k steps at the k-th threshold after it; NIR's current, k - 1 steps.

    What others read, `from_nir` reads too without the note that v jumps: v is 1/beta times as large.
    """
    network = one_layer(neurons.lif(tau=1 * ms).group(1, name="cells"), n_in=1)
    graph = to_nir(network)
    del graph.nodes["cells"].metadata["onto"]
    spikes = np.zeros((20, 1), bool)
    spikes[2] = True
    jumps = traces(network, "cells", "v", spikes)[3:, 0]
    currents = traces(from_nir(graph), "cells", "v", spikes)[3:, 0]
    steps = np.arange(1, 18)
    np.testing.assert_allclose(jumps, 0.4 * np.exp(-0.1 * steps))
    np.testing.assert_allclose(currents, 0.4 * 0.9 ** (steps - 1))
