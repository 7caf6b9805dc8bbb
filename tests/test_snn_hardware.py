"""Imperfect hardware: how far weights move, how parts differ, what is silent and what gets lost."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from brian2 import (
    EventMonitor,
    Network,
    NeuronGroup,
    PoissonGroup,
    SpikeMonitor,
    Synapses,
    kHz,
    linked_var,
    ms,
    nS,
    second,
    seed,
    siemens,
)

from dvs.errors import InputError, ParameterError
from dvs.events import make_events
from snn.hardware import dead_units, mismatch, quantise, spike_loss
from snn.inputs import EventInput
from snn.probes.ablation import silenced


def lif(n, name="cells", **options):
    """LIF cells that are driven to 2 from 0, with the threshold 1: the first spike comes after tau ln 2."""
    model = "dv/dt = (2 - v) / tau : 1 (unless refractory)"
    texts = {"model": model, "threshold": "v > v_th", "reset": "v = 0", "method": "exact"}
    return NeuronGroup(n, **{**texts, "namespace": {"tau": 20 * ms, "v_th": 1.0}, "name": name, **options})


def wired(weights, **options):
    """A network of one Synapses object with this matrix of weights, (n_pre, n_post)."""
    n_pre, n_post = weights.shape
    before, after = lif(n_pre, "before"), NeuronGroup(n_post, "v : 1\ng : siemens", name="after")
    unit = "siemens" if hasattr(weights, "dim") else "1"
    onto = "g" if unit == "siemens" else "v"
    synapses = Synapses(before, after, f"w : {unit}", on_pre=f"{onto}_post += w", name="synapses", **options)
    i, j = np.nonzero(np.ones(weights.shape))
    synapses.connect(i=i, j=j)
    synapses.w = weights.ravel()
    return Network(before, after, synapses)


def weights_of(network, shape):
    return np.asarray(network["synapses"].w[:]).reshape(shape)


def random_weights(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# Weights of few bits


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_quantised_weights_have_few_levels_close_by(bits):
    """2**bits - 1 levels m / (2**(bits - 1) - 1) apart, 0 among them; the nearest is half of that away at most."""
    weights = random_weights((30, 20))
    rounded = weights_of(quantise(wired(weights), bits), weights.shape)
    level = np.abs(weights).max() / (2 ** (bits - 1) - 1)
    assert np.unique(rounded).size <= 2**bits - 1
    assert np.abs(rounded - weights).max() <= level / 2 * (1 + 1e-12)
    np.testing.assert_allclose(rounded / level, np.rint(rounded / level), atol=1e-9)


@pytest.mark.parametrize("per", ["tensor", "neuron"])
@pytest.mark.parametrize("bits", [8, 4, 3])
def test_quantising_twice_changes_nothing(bits, per):
    once = quantise(wired(random_weights((30, 20))), bits, per=per)
    twice = quantise(once, bits, per=per)
    np.testing.assert_array_equal(twice["synapses"].w, once["synapses"].w)


def test_ternary_weights_by_hand():
    """Mean |w| = 0.575: all up to 0.4025 become 0, and the others the mean of 0.9 and 1.1."""
    network = quantise(wired(np.array([[0.1, -0.2, 0.9, -1.1]])), "ternary")
    assert weights_of(network, 4).tolist() == pytest.approx([0, 0, 1, -1])
    assert weights_of(quantise(network, "ternary"), 4).tolist() == pytest.approx([0, 0, 1, -1])


def test_each_neuron_has_its_own_levels():
    """A column 100 times as strong leaves the levels of the others alone if each neuron has its own."""
    weights = random_weights((30, 3)) * [1, 1, 100]
    by_neuron = weights_of(quantise(wired(weights), 4, per="neuron"), weights.shape)
    level = np.abs(weights).max(axis=0) / 7
    assert (np.abs(by_neuron - weights).max(axis=0) <= level / 2 * (1 + 1e-12)).all()
    together = weights_of(quantise(wired(weights), 4), weights.shape)
    assert not together[:, :2].any()


def shared_kernel(kernel):
    """Two channels of 3 neurons, which look at 5 inputs through 3 shared weights each; kernel (2, 3)."""
    before, after = lif(5, "before"), NeuronGroup(6, "v : 1", name="after")
    store = NeuronGroup(6, "k : 1", name="store")
    store.k = kernel.ravel()
    model = "m : integer (constant)\nw : 1 (linked)"
    synapses = Synapses(before, after, model, on_pre="v_post += w", name="synapses")
    channel, x, dx = (axis.ravel() for axis in np.indices((2, 3, 3)))
    synapses.connect(i=x + dx, j=channel * 3 + x)
    synapses.m = channel * 3 + dx
    synapses.w = linked_var(store, "k", index="m")
    synapses.contained_objects.append(store)
    return Network(before, after, synapses)


def test_shared_weights_are_quantised_where_they_are_kept():
    """Weights that meet in a neuron are those of a channel: 2 bits make -m, 0 and m of each row."""
    kernel = np.array([[0.1, 0.4, -1.0], [10.0, -2.0, 6.0]])
    network = quantise(shared_kernel(kernel), 2, per="neuron")
    assert np.asarray(network["store"].k[:]).tolist() == [0, 0, -1, 10, 0, 10]
    assert network["synapses"].w[0, 0] == 0
    network["store"].k = 3
    assert set(network["synapses"].w[:]) == {3}


def test_weights_keep_their_unit_and_type():
    weights = random_weights((4, 5)) * nS
    network = quantise(wired(weights, dtype={"w": np.float32}), 3)
    assert network["synapses"].w[:].dim is siemens.dim
    assert network["synapses"].variables["w"].dtype == np.float32
    assert np.unique(network["synapses"].w[:]).size <= 7


def test_weights_that_are_all_zero_stay_so():
    for bits in (4, "ternary"):
        assert not weights_of(quantise(wired(np.zeros((3, 3))), bits), (3, 3)).any()


def test_the_given_network_keeps_its_weights():
    weights = random_weights((5, 5))
    network = wired(weights)
    quantise(network, 2)
    np.testing.assert_array_equal(weights_of(network, weights.shape), weights)


# Parts that differ


@pytest.mark.parametrize("distribution", ["lognormal", "normal"])
def test_mismatch_has_the_given_mean_and_spread(distribution):
    """Of n values with CV c: standard errors c / sqrt(n) of the mean and sqrt((k - 1) / 4n) of the SD, relative.

    k, the kurtosis, is 3 for the normal and w**4 + 2 w**3 + 3 w**2 - 3 with w = 1 + c**2 for the log-normal. Five of
    each.
    """
    n, c = 5000, 0.2
    w = 1 + c**2
    kurtosis = 3 if distribution == "normal" else w**4 + 2 * w**3 + 3 * w**2 - 3
    tau = mismatch(Network(lif(n)), {"tau": c}, seed=3, distribution=distribution)["cells"].tau[:] / (20 * ms)
    assert tau.mean() == pytest.approx(1, abs=5 * c / np.sqrt(n))
    assert tau.std() / c == pytest.approx(1, abs=5 * np.sqrt((kurtosis - 1) / (4 * n)))


def test_each_cell_fires_by_its_own_constants():
    """v reaches v_th after tau ln(2 / (2 - v_th)); the spike is seen at the end of the step of 0.1 ms."""
    network = Network(lif(40))
    chip = mismatch(network, {"tau": 0.2, "v_th": 0.1}, seed=5)
    cells, monitor = chip["cells"], SpikeMonitor(chip["cells"])
    chip.add(monitor)
    chip.run(40 * ms)
    first = [train[0] / ms for train in monitor.spike_trains().values()]
    expected = np.asarray(cells.tau / ms) * np.log(2 / (2 - np.asarray(cells.v_th)))
    assert np.std(expected) > 1
    np.testing.assert_allclose(first, expected, atol=0.11)
    assert "tau" not in cells.namespace
    assert network["cells"].namespace["tau"] == 20 * ms


def test_a_seed_is_a_chip():
    network = Network(lif(10))
    one, again, other = (mismatch(network, {"tau": 0.2}, seed=s)["cells"].tau[:] for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.any(one == other)


def test_mismatch_scatters_the_values_that_parameters_have():
    """Weights 1 and 100: each times a factor of CV 0.1, which never reaches 2."""
    network = mismatch(wired(np.array([[1.0, 100.0]] * 50)), {"w": 0.1}, seed=1)
    factors = weights_of(network, (50, 2)) / [1, 100]
    assert np.unique(factors).size == 100
    assert factors.min() > 0.5
    assert factors.max() < 2


def test_no_mismatch_is_no_change():
    network = Network(lif(10))
    assert (mismatch(network, {"tau": 0.0}, seed=1)["cells"].tau[:] == 20 * ms).all()


def test_mismatch_finds_constants_that_are_given_when_a_network_runs():
    cells = lif(10, namespace=None)
    network = mismatch(Network(cells), {"tau": 0.2}, seed=1, namespace={"tau": 20 * ms, "v_th": 1})
    assert np.unique(network["cells"].tau[:]).size == 10
    assert network["cells"].namespace == {"v_th": 1}


def test_a_constant_of_neurons_and_their_synapses_is_refused():
    """As a variable of the cells, `tau` would be theirs in the equations of the synapses too."""
    cells = lif(3)
    model = "w : 1\ndx/dt = -x / tau : 1 (event-driven)"
    synapses = Synapses(cells, cells, model, on_pre="x += w", namespace={"tau": 5 * ms}, name="synapses")
    synapses.connect()
    with pytest.raises(ParameterError, match="'tau' is a constant of 'cells' and of its synapses 'synapses' as well"):
        mismatch(Network(cells, synapses), {"tau": 0.2}, seed=1)
    scattered = mismatch(Network(cells, synapses), {"tau": 0.2}, seed=1, parts=["synapses"])
    assert scattered["synapses"].tau[:].shape == (9,)


# Dead parts


def test_dead_units_are_silent_and_the_others_unchanged():
    network = Network(lif(50))
    damaged = dead_units(dead_units(network, "cells", 0.2, seed=1), "cells", 0.2, seed=2)
    dead = np.asarray(damaged["cells"].dead[:])
    assert 10 < dead.sum() <= 20
    counts = []
    for each in (network, damaged):
        monitor = SpikeMonitor(each["cells"], record=False)
        each.add(monitor)
        each.run(50 * ms)
        counts.append(np.asarray(monitor.count))
    np.testing.assert_array_equal(counts[1], np.where(dead, 0, counts[0]))
    assert counts[0].min() > 0


# Spikes that get lost


def fan_out(n=200, **options):
    """Each cell has two targets of its own, which count what arrives; `back` counts spikes by `on_post`."""
    cells = lif(n, **options)
    targets = NeuronGroup(2 * n, "heard : 1", name="targets")
    synapses = Synapses(cells, targets, on_pre="heard_post += 1", delay=1 * ms, name="synapses")
    synapses.connect(j="2 * i + k for k in range(2)")
    back = Synapses(targets, cells, "back : 1", on_post="back += 1", name="back")
    back.connect(i=np.arange(n), j=np.arange(n))
    return Network(cells, targets, synapses, back, SpikeMonitor(cells, name="spikes"))


def lost(network, duration=100 * ms):
    """Spikes fired, and how many of them arrived at each of the two targets of each cell, after the delay."""
    seed(8)
    network.run(duration)
    network["cells"].thresholder["spike"].active = False
    network.run(2 * ms)
    heard = np.asarray(network["targets"].heard[:]).reshape(-1, 2)
    return network["spikes"].count[:], heard


@pytest.mark.parametrize("options", [{}, {"refractory": 2 * ms}])
def test_the_bus_loses_the_given_share_for_all_targets_at_once(options):
    """n spikes lost with probability p each: p n, standard deviation sqrt(n p (1 - p)); five of them."""
    p = 0.3
    fired, heard = lost(spike_loss(fan_out(**options), p))
    n = fired.sum()
    assert n > 1000
    assert n - heard[:, 0].sum() == pytest.approx(p * n, abs=5 * np.sqrt(n * p * (1 - p)))
    np.testing.assert_array_equal(heard[:, 0], heard[:, 1])
    assert (heard[:, 0] <= fired).all()


def test_two_buses_in_a_row_lose_what_each_loses():
    """1 - (1 - 0.3) (1 - 0.2) = 0.44."""
    fired, heard = lost(spike_loss(spike_loss(fan_out(), 0.3), 0.2))
    n = fired.sum()
    assert n - heard[:, 0].sum() == pytest.approx(0.44 * n, abs=5 * np.sqrt(n * 0.44 * 0.56))


def test_a_neuron_whose_spike_is_lost_has_fired_all_the_same():
    """Monitors and `on_post` see every spike, and it fires as without losses; the event "sent" says what left."""
    network = fan_out()
    lossy = spike_loss(network, 0.5)
    sent = EventMonitor(lossy["cells"], "sent")
    lossy.add(sent)
    fired, _ = lost(network)
    fired_too, heard = lost(lossy)
    np.testing.assert_array_equal(fired_too, fired)
    np.testing.assert_array_equal(lossy["back"].back, fired)
    np.testing.assert_array_equal(sent.count, heard[:, 0])


def test_a_perfect_bus_changes_nothing_and_a_cut_one_everything():
    """Also for cells with the flag `unless refractory` but no refractory time: an input counts while they spike."""
    cells = lif(20, reset="v -= 1")
    cells.v = "i / 20.0"
    synapses = Synapses(cells, cells, on_pre="v_post += 0.05", name="synapses")
    synapses.connect(condition="i != j")
    network = Network(cells, synapses, SpikeMonitor(cells, name="spikes"))
    networks = [network, spike_loss(network, 0), spike_loss(network, 1)]
    trains = []
    for each in networks:
        each.run(60 * ms)
        trains.append(np.stack([each["spikes"].i[:], each["spikes"].t / second]))
    np.testing.assert_array_equal(trains[1], trains[0])
    assert trains[2].shape[1] < trains[0].shape[1]


# What is refused


def test_an_event_input_wants_a_fresh_one():
    def eye():
        made = EventInput(width=2, height=1, polarity="merge")
        made.show(make_events([0], [0], [1000], [1]))
        return made.group

    seeing, cells = eye(), NeuronGroup(1, "v : 1", name="cells")
    synapses = Synapses(seeing, cells, "w : 1", on_pre="v_post += w", name="synapses")
    synapses.connect()
    synapses.w = [0.3, 1.0]
    network = Network(seeing, cells, synapses)
    with pytest.raises(InputError, match=r"hand in a fresh object, replace=\{'input': \.\.\.\}"):
        quantise(network, 2)
    rough = quantise(network, 2, replace={"input": eye()})
    rough.run(2 * ms)
    assert rough["synapses"].w[:].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: quantise(n, 1), "bits is 1, expected 2 to 16 or 'ternary'"),
        (lambda n: quantise(n, 4, per="layer"), "per is 'layer'"),
        (lambda n: quantise(n, 4, synapses=["cells"]), "'cells' cannot be changed so; the network has back, synapses"),
        (lambda n: quantise(n, 4, synapses=["synapses"]), "'synapses' has no variable 'w'"),
        (lambda n: quantise(n, 4), "no synapses have the variable 'w'"),
        (lambda n: mismatch(n, {"tau": -0.1}, seed=1), "the spread of tau is -0.1"),
        (lambda n: mismatch(n, {"tau": 0.1}, seed=1, distribution="uniform"), "distribution is 'uniform'"),
        (lambda n: mismatch(n, {"tua": 0.1}, seed=1), "no part of the network has the constant 'tua'"),
        (lambda n: mismatch(n, {"v": 0.1}, seed=1), "no part of the network has the constant 'v'"),
        (lambda n: dead_units(n, "cells", 1.5, seed=1), "fraction is 1.5"),
        (lambda n: dead_units(n, "cell", 0.5, seed=1), "'cell' cannot be changed so"),
        (lambda n: dead_units(n, "targets", 0.5, seed=1), "'targets' has no threshold"),
        (lambda n: spike_loss(n, -0.5), "probability is -0.5"),
        (lambda n: spike_loss(n, 0.5, groups=["other"]), "no synapses hear other"),
        (lambda n: spike_loss(n, 0.5, groups=["noise"]), "'noise' cannot be changed so"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    network = fan_out(5)
    network.add(lif(3, "other"), PoissonGroup(2, 1 * kHz, name="noise"))
    with pytest.raises(ParameterError, match=message):
        call(network)


def test_names_that_the_group_uses_itself_are_refused():
    cells = lif(2, model="dv/dt = (2 - v) / tau : 1\ndead : 1", events={"sent": "v > 0.5"})
    synapses = Synapses(cells, cells, on_pre="v_post += 1", name="loop")
    synapses.connect()
    network = Network(cells, synapses)
    with pytest.raises(ParameterError, match="a variable 'dead' of its own"):
        dead_units(network, "cells", 0.5, seed=1)
    with pytest.raises(ParameterError, match="an event 'sent' of its own"):
        spike_loss(network, 0.5)


# The example


def test_many_cheap_parts_average_their_errors_away():
    """The error of N independent parts falls as N**-0.5; how well the exponent is known follows from the chips.

    Of K chips the logarithm of a root mean square has the standard error 1 / sqrt(2 K), and the fit with weights K
    has that of the exponent, sqrt(0.5 / sum K (x - mean x)**2), x = ln N. Five of them.
    """
    path = Path(__file__).parents[1] / "examples" / "06_many_cheap_parts.py"
    spec = importlib.util.spec_from_file_location("many_cheap_parts", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    sizes = 2 ** np.arange(7)
    chips, x = 2048 / sizes, np.log(sizes)
    chip = mismatch(example.ideal_parts(2048), {"tau": 0.2, "threshold": 0.2}, seed=6)
    error = example.errors(example.rates_hz(chip, 100), sizes)
    known_to = np.sqrt(0.5 / np.sum(chips * (x - np.average(x, weights=chips)) ** 2))
    assert example.slope(error, sizes) == pytest.approx(-0.5, abs=5 * known_to)


def test_a_silenced_unit_is_silent_on_a_bus_that_loses_spikes_too():
    """There synapses listen to what the bus carries, not to the spikes themselves."""
    clockwork = NeuronGroup(3, "", threshold="True", reset="", name="clockwork", dt=1 * ms)
    sink = NeuronGroup(3, "n : 1", name="sink", dt=1 * ms)
    wires = Synapses(clockwork, sink, on_pre="n_post += 1", name="wires")
    wires.connect(j="i")
    network = spike_loss(Network(clockwork, sink, wires), 0.0)
    with silenced(network, "clockwork", [1]):
        network.run(20 * ms)
    assert network["sink"].n[1] == 0
    assert network["sink"].n[0] == network["sink"].n[2] > 10
