"""Networks from lists of layers: shapes, names, chance, and a slow twin in NumPy, spike for spike."""

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, defaultclock, ms, mV

import dvs
from dvs.errors import ParameterError
from snn.inputs import EventInput
from snn.networks import Conv, Dense, Pool, Recurrent, feedforward
from snn.neurons import coba_lif, leaky_readout, lif
from snn.synapses import free_weights, stdp_pair


def silent(number):
    return SpikeGeneratorGroup(number, [], [] * ms, name="input")


def names_of(network):
    return {thing.name for thing in network.objects}


def test_layers_are_found_by_name():
    layers = [Conv(4, lif()), Pool(2), Recurrent(20, lif(), name="hidden"), Dense(10, leaky_readout(), name="output")]
    network = feedforward(EventInput(width=10, height=8), layers, seed=1)
    assert isinstance(network, Network)
    assert {"input", "layer1", "layer1_in", "layer2", "layer2_in", "hidden", "hidden_in"} <= names_of(network)
    assert {"hidden_recurrent", "output", "output_in"} <= names_of(network)
    # (2, 8, 10) -> (4, 6, 8) -> (4, 3, 4)
    sizes = [network[name].N for name in ("input", "layer1", "layer2", "hidden", "output")]
    assert sizes == [160, 192, 48, 20, 10]
    assert free_weights(network["layer1_in"])[:].shape == (4 * 2 * 3 * 3,)
    network.run(1 * ms)


def test_a_network_computes_what_a_few_lines_of_numpy_do():
    """Brian2's order in a step: v decays, thresholds are compared, spikes of this step arrive, v is reset."""
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(3)
    events = rng.random((60, 30)) < 0.2
    step, neuron = np.nonzero(events)
    source = SpikeGeneratorGroup(30, neuron, step * ms)
    layers = [
        Dense(20, lif(reset="soft"), gain=2.0),
        Recurrent(10, lif(), gain=3.0, recurrent_gain=1.5),
        Dense(3, leaky_readout(tau=10 * ms)),
    ]
    network = feedforward(source, layers, seed=4)
    monitors = [SpikeMonitor(network[name], record=False) for name in ("layer1", "layer2")]
    network.add(monitors)
    network.run(60 * ms)

    w1, w2, w3 = (
        np.reshape(network[f"layer{k}_in"].w, shape) for k, shape in ((1, (30, 20)), (2, (20, 10)), (3, (10, 3)))
    )
    recurrent = np.reshape(network["layer2_recurrent"].w, (10, 10))
    v1, v2, v3 = np.zeros(20), np.zeros(10), np.zeros(3)
    counts1, counts2 = np.zeros(20, int), np.zeros(10, int)
    for x in events:
        v1, v2, v3 = v1 * np.exp(-1 / 20), v2 * np.exp(-1 / 20), v3 * np.exp(-1 / 10)
        z1, z2 = v1 > 1, v2 > 1
        v1, v2, v3 = v1 + x @ w1 - z1, v2 + z1 @ w2 + z2 @ recurrent, v3 + z2 @ w3
        v2[z2] = 0
        counts1, counts2 = counts1 + z1, counts2 + z2
    assert counts1.sum() > 20
    assert counts2.sum() > 20
    np.testing.assert_array_equal(monitors[0].count, counts1)
    np.testing.assert_array_equal(monitors[1].count, counts2)
    np.testing.assert_allclose(network["layer3"].v, v3, rtol=1e-9, atol=1e-12)


def test_an_event_prints_the_kernel_turned_round():
    """One ON event at (x, y) = (2, 3): neuron (row, column) of the map hears it through kernel[3 - row, 2 - column]."""
    kernel = np.arange(18.0).reshape(1, 2, 3, 3)
    eye = EventInput(width=6, height=7, dt=1 * ms)
    eye.show(dvs.make_events(x=[2], y=[3], t_us=[0], p=[1]))
    network = feedforward(eye, [Conv(1, leaky_readout(), weights=kernel)], seed=0)
    network.run(1 * ms)
    expected = np.zeros((5, 4))
    expected[1:4, 0:3] = kernel[0, 1, ::-1, ::-1]
    np.testing.assert_array_equal(np.reshape(network["layer1"].v, (5, 4)), expected)


def test_drawn_weights_have_the_deviation_of_the_paper():
    """gain/sqrt(inputs) = 3/20 for 400 inputs; of 40000 draws it is known to 1/sqrt(2 40000), here 5 times that."""
    network = feedforward(silent(400), [Recurrent(100, lif(), gain=3.0, recurrent_gain=2.0)], seed=2)
    assert np.std(network["layer1_in"].w) == pytest.approx(3 / 20, rel=5 / np.sqrt(80_000))
    assert np.std(network["layer1_recurrent"].w) == pytest.approx(2 / 10, rel=5 / np.sqrt(20_000))


def test_the_same_seed_is_the_same_network():
    """And what a layer draws does not change if another is given its weights."""
    given = np.ones((5, 4))
    first, second = [], []
    for seed, weights in ((1, None), (1, given), (2, None)):
        network = feedforward(silent(5), [Dense(4, lif(), weights=weights), Dense(3, lif())], seed=seed)
        first.append(np.array(network["layer1_in"].w))
        second.append(np.array(network["layer2_in"].w))
    np.testing.assert_array_equal(second[0], second[1])
    np.testing.assert_array_equal(first[1], given.ravel())
    assert (second[0] != second[2]).all()


def test_all_runs_on_the_clock_of_the_input():
    eye = EventInput(width=3, height=3, dt=2 * ms)
    network = feedforward(eye, [Conv(1, lif()), Dense(2, lif(), rule=stdp_pair())], seed=1)
    for name in ("layer1", "layer1_in", "layer2", "layer2_in"):
        assert network[name].clock is eye.group.clock
    assert {id(thing.clock) for thing in network.sorted_objects} == {id(eye.group.clock)}


def test_layers_have_units_rules_and_delays():
    network = feedforward(
        silent(4),
        [Dense(3, lif(threshold=-50 * mV), gain=2 * mV), Dense(2, lif(), rule=stdp_pair(), delay=3 * ms)],
        seed=1,
    )
    assert network["layer1_in"].w[:].dim is mV.dim
    assert network["layer2_in"].delay[:] == 3 * ms
    assert "w_max" in network["layer2_in"].namespace


def test_any_source_of_spikes_may_have_a_shape():
    network = feedforward(silent(2 * 5 * 5), [Conv(3, lif(), size=3)], shape=(2, 5, 5), seed=1)
    assert network["layer1"].N == 3 * 3 * 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: feedforward(silent(9), [], shape=(2, 2, 2), seed=1),
            r"has 9 neurons, which is not its shape \(2, 2, 2\)",
        ),
        (lambda: feedforward(silent(9), [Conv(3, lif())], seed=1), r"Conv layer is given neurons of shape \(9,\)"),
        (lambda: feedforward(silent(9), [Pool(2)], seed=1), r"Pool layer is given neurons of shape \(9,\)"),
        (
            lambda: feedforward(silent(9), [Conv(3, lif(), size=4)], shape=(1, 3, 3), seed=1),
            "a window of 4 does not fit into 3",
        ),
        (
            lambda: feedforward(silent(9), [Dense(3, lif(), weights=np.ones((3, 9)))], seed=1),
            r"weights have shape \(3, 9\), expected \(9, 3\)",
        ),
        (
            lambda: feedforward(silent(9), [Recurrent(3, lif(), recurrent_weights=np.ones(3))], seed=1),
            r"recurrent_weights have shape \(3,\), expected \(3, 3\)",
        ),
        (
            lambda: feedforward(silent(9), [Dense(3, coba_lif())], seed=1),
            "'g_e' of 'layer1': a plain number came",
        ),
        (
            lambda: feedforward(silent(9), [Dense(3, lif(), name="a"), Dense(3, lif(), name="a")], seed=1),
            "give each a name of its own",
        ),
        (lambda: feedforward(silent(9), [Dense(3, lif(), name="input")], seed=1), "give each a name of its own"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
