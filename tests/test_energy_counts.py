"""Counts are exact: the spikes that were recorded say what every synapse and every neuron did."""

from itertools import pairwise

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    ms,
    seed,
    set_device,
)

import snn
from dvs.errors import FormatError, InputError, ParameterError
from snn import Conv, Dense, Pool, Recurrent
from snn.energy import Meter, count, load, place, read_structure
from snn.energy.prices import Cores
from snn.energy.terms import Widths
from snn.neurons import leaky_readout, lif
from snn.synapses import SynapseModel, connect, conv2d, dense, sparse, stdp_pair

STEPS = 60


def random_network(number, counting=False):
    """An input and a population that hears it and itself, with zero weights; delays in every second one, plasticity in
    every third, and in every fourth a convolution.

    counting: every synapse counts how often its code is executed, and every neuron in how many steps it was reached.
    """
    rng = np.random.default_rng(number)
    size = int(rng.integers(4, 8))
    wiring = {"forth": sparse(int(rng.integers(5, 20)), int(rng.integers(5, 20)), 0.5, 1.0, seed=rng)}
    if number % 4 == 2:
        kernel = rng.choice([0.0, 0.3, 0.9], (2, 1, 3, 3))
        wiring["forth"] = conv2d(kernel, (1, size, size), stride=2, padding=1)
    n_in, n = wiring["forth"].n_pre, wiring["forth"].n_post
    wiring["back"] = sparse(n, n, 0.3, 1.0, seed=rng)
    events = np.unique(np.stack([rng.integers(0, n_in, 80), rng.integers(0, STEPS, 80)], axis=1), axis=0)
    source = SpikeGeneratorGroup(n_in, events[:, 0], events[:, 1] * ms, dt=1 * ms, name="source")
    counters = "\nhit : boolean\nreached : integer" if counting else ""
    cells = NeuronGroup(
        n, f"dv/dt = -v/(8*ms) : 1{counters}", threshold="v > 1", reset="v = 0", method="exact", dt=1 * ms, name="cells"
    )
    if counting:
        cells.run_regularly("reached += int(hit)\nhit = False", when="end")
    parts = [source, cells]
    for before, name in ((source, "forth"), (cells, "back")):
        learns = number % 3 == 0 and name == "forth"
        rule = SynapseModel(
            name="counted" if counting else "plain",
            equations="w : {unit}"
            + ("\ndP/dt = -P/(5*ms) : 1 (event-driven)" if learns else "")
            + ("\nruns : integer\nruns_behind : integer" if counting else ""),
            on_pre="{onto} += {w}"
            + ("\nP += 0.1" if learns else "")
            + ("\nruns += 1\nhit_post = True" if counting else ""),
            on_post=("w = clip(w + 0.01*P, 0, 1)" + ("\nruns_behind += 1" if counting else "")) if learns else None,
        )
        synapses = connect(before, cells, wiring[name], rule, name=name)
        if wiring[name].shared is None:
            synapses.w = rng.choice([0.0, 0.3, 0.9], len(synapses))
        for pathway in synapses._pathways if number % 2 else ():
            pathway.delay = rng.integers(0, 6, len(synapses)) * ms
        parts.append(synapses)
    return Network(*parts)


@pytest.mark.parametrize("number", range(10))
def test_counts_equal_those_that_every_synapse_keeps_of_itself(number):
    network, twin = random_network(number), random_network(number, counting=True)
    meter = Meter(network)
    network.run(STEPS * ms)
    twin.run(STEPS * ms)
    counts = meter.counts()
    assert counts.spikes.sum() > 0
    for projection in counts.projections:
        counted = np.asarray(
            getattr(twin[projection.synapses], "runs" if projection.side == "pre" else "runs_behind")[:]
        )
        assert projection.delivered.tolist() == [counted.sum()]
        if projection.side == "pre" and projection.nonzero is not None:
            assert projection.nonzero.tolist() == [counted[np.asarray(twin[projection.synapses].w[:]) != 0].sum()]
    cells = next(one for one in counts.populations if one.name == "cells")
    assert cells.driven.tolist() == [np.asarray(twin["cells"].reached[:]).sum()]
    assert (cells.idle + cells.driven).tolist() == [len(network["cells"]) * STEPS]


@pytest.mark.parametrize("number", [1, 3, 5])
def test_what_was_sent_either_arrived_or_is_in_the_queue(number):
    """Conservation: emitted = delivered + what Brian2 itself still holds in its queues after the last step."""
    network = random_network(number)
    meter = Meter(network)
    network.run(STEPS * ms)
    for projection in meter.counts().projections:
        synapses = network[projection.synapses]
        queue = getattr(synapses, projection.side).queue._full_state()[1]
        waiting = len(queue) if isinstance(queue, np.ndarray) else sum(len(spikes) for spikes in queue)
        assert projection.in_flight.tolist() == [waiting]


def test_emitted_is_spikes_times_fan_out():
    """Of every neuron, the spikes that a SpikeMonitor counts times the synapses that Brian2 counts."""
    network = random_network(4)
    meter, monitor = Meter(network), SpikeMonitor(network["cells"])
    network.add(monitor)
    network.run(STEPS * ms)
    back = next(one for one in meter.counts().projections if one.synapses == "back")
    assert back.emitted.sum() == (np.asarray(monitor.count) * np.asarray(network["back"].N_outgoing_pre)).sum()


def test_plasticity_events_are_spikes_before_times_fan_out_and_behind_times_fan_in():
    rng = np.random.default_rng(0)
    eye = SpikeGeneratorGroup(6, rng.integers(0, 6, 40), np.arange(40) * ms, dt=1 * ms, name="eye")
    cells = lif().group(5, name="cells", dt=1 * ms)
    synapses = connect(eye, cells, sparse(6, 5, 0.6, 0.9, seed=1), stdp_pair(), name="stdp")
    network = Network(eye, cells, synapses)
    meter, before, behind = Meter(network), SpikeMonitor(eye), SpikeMonitor(cells)
    network.add(before, behind)
    network.run(41 * ms)
    counts = meter.counts()
    fan_out, fan_in = np.asarray(synapses.N_outgoing_pre), np.asarray(synapses.N_incoming_post)
    by_side = {one.side: one for one in counts.projections}
    assert by_side["pre"].learns
    assert by_side["post"].learns
    assert not by_side["post"].delivers
    # N_outgoing_pre and N_incoming_post are per synapse in `Synapses`, so they are taken from the pairs here.
    fan_out = np.bincount(np.asarray(synapses.i[:]), minlength=6)
    fan_in = np.bincount(np.asarray(synapses.j[:]), minlength=5)
    pre, post = (np.asarray(before.count) * fan_out).sum(), (np.asarray(behind.count) * fan_in).sum()
    assert post > 0
    assert by_side["pre"].delivered.tolist() == [pre]
    assert by_side["post"].delivered.tolist() == [post]
    charges = {(one.term, one.where): one.total for one in counts.charges()}
    assert charges["plasticity_events", "stdp_pre"] + charges["plasticity_events", "stdp_post"] == pre + post
    # Each of them writes the weight once: 32 bits.
    assert charges["weight_write_bits", "stdp_pre"] == 32 * pre
    assert by_side["pre"].nonzero is None  # weights that change have no fixed zeros


@pytest.mark.parametrize(("stride", "padding", "expected"), [(1, 1, 94**2), (2, 1, 47**2)])
def test_taps_of_a_convolution_have_a_closed_form(stride, padding, expected):
    """3x3 on 32x32 with padding 1: along an axis 32 windows of 3 taps lose one at each edge, 3*32 - 2 = 94; with
    stride 2 16 windows lose one at the first edge only, 3*16 - 1 = 47. Every neuron spikes once, and the taps are
    94^2 = 8836 and 47^2 = 2209.
    """
    everything = SpikeGeneratorGroup(1024, np.arange(1024), np.zeros(1024) * ms, dt=1 * ms, name="everything")
    wiring = conv2d(np.ones((1, 1, 3, 3)), (1, 32, 32), stride=stride, padding=padding)
    layer = lif(threshold=1e9).group(wiring.n_post, name="layer", dt=1 * ms)
    network = Network(everything, layer, connect(everything, layer, wiring, name="taps"))
    network.add(layer.contained_objects)
    meter = Meter(network)
    network.run(2 * ms)
    counts = meter.counts()
    assert counts.synaptic_operations.tolist() == [expected]
    assert counts.projections[0].dense == 2 * expected
    assert counts.projections[0].stored.weights == 9  # a kernel is stored once


def test_a_dense_layer_drives_all_neurons_in_steps_in_which_anything_spikes():
    """Three steps with spikes out of ten, of which two are the same: 5 neurons driven in 3 steps, idle in 7."""
    source = SpikeGeneratorGroup(4, [0, 1, 2, 3], [1, 4, 4, 7] * ms, dt=1 * ms, name="source")
    cells = lif().group(5, name="cells", dt=1 * ms)
    network = Network(source, cells, connect(source, cells, dense(np.zeros((4, 5))), name="way"))
    meter = Meter(network)
    network.run(10 * ms)
    (way,), (_, cells) = meter.counts().projections, meter.counts().populations
    assert (cells.driven.tolist(), cells.idle.tolist()) == ([15], [35])
    assert (way.delivered.tolist(), way.nonzero.tolist()) == ([20], [0])


def test_a_sum_in_every_step_is_a_mac_for_each_synapse():
    """A (summed) variable weighs a value: 12 synapses in 10 steps are 120 multiply-accumulates, and nobody is idle."""
    cells = NeuronGroup(4, "dv/dt = (I - v)/(10*ms) : 1\nI : 1", method="euler", dt=1 * ms, name="cells")
    synapses = Synapses(cells, cells, "g : 1\nI_post = g*v_pre : 1 (summed)", name="gap", dt=1 * ms)
    synapses.connect(condition="i != j")
    network = Network(cells, synapses, SpikeGeneratorGroup(1, [0], [1] * ms, dt=1 * ms, name="tick"))
    meter = Meter(network)
    network.run(10 * ms)
    counts = meter.counts()
    charges = {one.term: one.total for one in counts.charges()}
    assert charges["macs"] == 120
    (driven,) = (one.driven.tolist() for one in counts.populations if one.name == "cells")
    assert driven == [40]


def test_values_that_spikes_carry_are_macs():
    eye = snn.EventInput(width=4, height=4, dt=1 * ms, collisions="count")
    network = snn.feedforward(eye, [Dense(3, lif())], seed=0)
    (pathway,) = read_structure(network, {}).pathways
    assert pathway.graded


def samples_of_spikes(number, neurons, steps, seed):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        cells = np.unique(np.stack([rng.integers(0, steps, 60), rng.integers(0, neurons, 60)], axis=1), axis=0)
        found.append((cells[:, 1], cells[:, 0] * ms))
    return found


def test_the_compiled_model_and_brian2_count_alike():
    """`learning`'s kernel and Brian2 are given the same spikes; every number of the account is the same."""
    learning = pytest.importorskip("learning")
    source = SpikeGeneratorGroup(2 * 6 * 6, [], [] * ms, dt=1 * ms, name="source")
    layers = [Conv(2, lif(), size=3), Pool(2), Recurrent(6, lif(), gain=2.0), Dense(3, leaky_readout())]
    network = snn.feedforward(source, layers, seed=3, shape=(2, 6, 6))
    samples = samples_of_spikes(4, 72, 30, seed=5)
    responses = snn.run(
        network, samples=[[sample] for sample in samples], input=lambda one: source.set_spikes(*one[0]),
        duration=30 * ms, record="all", progress=False,
    )  # fmt: skip
    model = learning.trainable(
        network, inputs=source, output=network["layer4"].v, parameters=[network["layer4_in"].w], duration=30 * ms
    )
    ours = count(network, model.respond(samples, inputs=True))
    theirs = count(network, responses)
    assert theirs.spikes.sum() > 0
    assert ours.charges() == theirs.charges()


def test_what_happened_until_a_moment_is_less_and_at_the_end_it_is_all():
    network = random_network(5)
    meter = Meter(network)
    network.run(STEPS * ms)
    structure = read_structure(network, {})
    delivered = [
        count(structure, meter.spikes, duration=until * ms).synaptic_operations.item() for until in range(1, STEPS + 1)
    ]
    assert delivered == sorted(delivered)
    assert delivered[-1] == meter.counts().synaptic_operations.item()
    assert delivered[0] < delivered[-1]


def test_several_samples_are_counted_each_for_itself():
    """Samples in one call give what each gives alone."""
    eye = SpikeGeneratorGroup(8, [], [] * ms, dt=1 * ms, name="eye")
    network = snn.feedforward(eye, [Dense(6, lif(), gain=3.0, delay=2 * ms), Dense(2, lif())], seed=2)
    samples = [[one] for one in samples_of_spikes(3, 8, 20, seed=1)]

    def run(chosen):
        return count(
            network,
            snn.run(
                network, chosen, input=lambda one: eye.set_spikes(*one[0]), duration=20 * ms, record="all",
                progress=False,
            ),
        )  # fmt: skip

    together, alone = run(samples), [run([one]) for one in samples]
    assert together.synaptic_operations.tolist() == [one.synaptic_operations.item() for one in alone]
    assert together.of_samples([1]).charges() == alone[1].charges()
    assert [one.driven.tolist() for one in together.populations] == [
        [each.populations[k].driven.item() for each in alone] for k in range(3)
    ]


def test_a_packet_goes_to_each_core_where_the_spike_is_heard():
    """Four neurons a core, one core a tile, two tiles a row. 4 + 4 neurons: cores 0 and 1, side by side. A spike of a
    neuron that reaches both layers makes two packets: one within the tile, one with a hop to the east.
    """
    source = SpikeGeneratorGroup(1, [0], [0] * ms, dt=1 * ms, name="source")
    first, second = (lif(threshold=0.5).group(4, name=name, dt=1 * ms) for name in ("first", "second"))
    network = Network(
        source, first, second,
        connect(source, first, dense(np.ones((1, 4))), name="a"),
        connect(first, first, dense(np.zeros((4, 4))), name="b"),
        connect(first, second, dense(np.zeros((4, 4))), name="c"),
    )  # fmt: skip
    meter = Meter(network)
    network.run(3 * ms)
    cores = Cores(
        neurons=4, synapses=None, per_tile=1, tiles_per_row=2, per_chip=4, evidence="estimated", source="test"
    )
    placement = place(read_structure(network, {}), cores)
    assert (placement.cores, placement.chips) == (2, 1)
    counts = {one.name: one for one in meter.counts(placement=placement).populations}
    assert counts["first"].spikes.tolist() == [4]
    assert counts["first"].packets.tolist() == [8]
    assert counts["first"].hops_east_west.tolist() == [4]
    assert counts["source"].packets.tolist() == [1]


def test_a_neuron_that_fits_no_core_is_refused():
    source = SpikeGeneratorGroup(9, [0], [0] * ms, dt=1 * ms, name="source")
    cells = lif().group(2, name="cells", dt=1 * ms)
    network = Network(source, cells, connect(source, cells, dense(np.ones((9, 2)))))
    cores = Cores(neurons=4, synapses=8, per_tile=1, tiles_per_row=2, per_chip=4, evidence="estimated", source="test")
    with pytest.raises(ParameterError, match="a neuron of cells has 9 synapses, a core holds 8"):
        place(read_structure(network, {}), cores)


def test_bits_are_words_times_their_width():
    """One spike over three static synapses in a row reads three weights and states, writes the states, and looks up one
    address: from there on a counter finds the others.
    """
    source = SpikeGeneratorGroup(1, [0], [0] * ms, dt=1 * ms, name="source")
    cells = lif(threshold=9.0).group(3, name="cells", dt=1 * ms)
    network = Network(source, cells, connect(source, cells, dense(np.ones((1, 3))), name="way"))
    meter = Meter(network)
    network.run(1 * ms)
    charges = {
        one.term: one.total
        for one in meter.counts().charges(Widths(weight=8, state=16, index=10))
        if one.where == "way_pre"
    }
    expected = {
        "synaptic_operations": 3, "additions": 3, "weight_read_bits": 24, "state_read_bits": 48,
        "state_write_bits": 48, "index_read_bits": 10,
    }  # fmt: skip
    assert charges == expected


def test_only_where_targets_do_not_follow_each_other_are_they_looked_up():
    """Neuron 0 reaches 0, 1, 2 and 5: two runs. The pixel in the middle of 7x7 reaches a window of 3x3 among
    5x5 neurons: three rows, so of 9 synapses 3 are looked up, each with its target and its weight.
    """
    source = SpikeGeneratorGroup(2, [0, 1], [0, 0] * ms, dt=1 * ms, name="source")
    cells = lif(threshold=9.0).group(6, name="cells", dt=1 * ms)
    synapses = Synapses(source, cells, "w : 1", on_pre="v_post += w", name="way")
    synapses.connect(i=[0, 0, 0, 0, 1], j=[5, 1, 0, 2, 3])
    (way,) = read_structure(Network(source, cells, synapses), {}).pathways
    assert [way.addressed[first:last].sum() for first, last in pairwise(way.starts)] == [2, 1]
    picture = SpikeGeneratorGroup(49, [24], [0] * ms, dt=1 * ms, name="picture")
    wiring = conv2d(np.ones((1, 1, 3, 3)), (1, 7, 7))
    layer = lif().group(wiring.n_post, name="layer", dt=1 * ms)
    network = Network(picture, layer, connect(picture, layer, wiring, name="taps"))
    meter = Meter(network)
    network.run(1 * ms)
    (taps,) = meter.counts().projections
    assert (taps.delivered.item(), taps.work["index_reads"].item()) == (9, 2 * 3)


def test_counts_come_back_from_their_file(tmp_path):
    network = random_network(3)
    meter = Meter(network)
    network.run(STEPS * ms)
    counts = meter.counts(labels=[1])
    counts.save(tmp_path / "counts.json")
    back = load(tmp_path / "counts.json")
    assert back.charges() == counts.charges()
    assert back.labels.tolist() == [1]
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(FormatError, match=r"other\.json holds no counts"):
        load(tmp_path / "other.json")


def test_spikes_that_were_not_recorded_are_asked_for_by_name():
    network = random_network(2)
    responses = snn.run(network, [[0]], input=lambda _: None, duration=STEPS * ms, progress=False)
    with pytest.raises(ParameterError, match=r"spikes of 'source' are needed .*record='all'"):
        count(network, responses)


def test_a_meter_refuses_what_is_already_under_way():
    network = random_network(5)
    network.run(4 * ms)
    with pytest.raises(InputError, match="spikes are on their way"):
        Meter(network)


def test_a_poisson_group_is_an_input():
    seed(1)
    source = PoissonGroup(20, 300 * Hz, dt=1 * ms, name="source")
    cells = lif().group(4, name="cells", dt=1 * ms)
    network = Network(source, cells, connect(source, cells, dense(np.full((20, 4), 0.1))))
    meter = Meter(network)
    network.run(50 * ms)
    counts = meter.counts()
    source, cells = counts.populations
    assert source.is_input
    assert source.updates == 0
    assert counts.synaptic_operations.item() == 4 * source.spikes.item()
    assert cells.updates == 200


def test_synapses_between_parts_of_groups_are_counted_where_they_are():
    """Of neurons 0 to 5, all spike once; synapses leave 2, 3 and 4 only, to two of the others each: 6 operations, of
    which neurons 0 and 1 get three each, in one step.
    """
    source = NeuronGroup(6, "v : 1", threshold="v > 0.5", reset="v = 0", name="source", dt=1 * ms)
    source.v = 1
    cells = lif(threshold=9.0).group(8, name="cells", dt=1 * ms)
    synapses = Synapses(source[2:5], cells[:2], "w : 1", on_pre="v_post += w", name="way")
    synapses.connect()
    network = Network(source, cells, synapses)
    meter = Meter(network)
    network.run(2 * ms)
    counts = meter.counts()
    assert counts.synaptic_operations.tolist() == [6]
    assert counts.populations[1].driven.tolist() == [2]


def test_events_that_are_no_spikes_have_their_own_pathway():
    """Each of 3 neurons crosses v > 0.5 in one step of ten, and then reaches 2 others: 6 operations without a spike."""
    cells = NeuronGroup(3, "v : 1", events={"halfway": "v > 0.5"}, threshold="v > 9", reset="", name="cells", dt=1 * ms)
    cells.run_on_event("halfway", "v = 0")
    cells.v = 1
    others = lif(threshold=9.0).group(2, name="others", dt=1 * ms)
    synapses = Synapses(cells, others, "w : 1", on_pre="v_post += w", on_event="halfway", name="way")
    synapses.connect()
    network = Network(cells, others, synapses)
    meter = Meter(network)
    network.run(10 * ms)
    counts = meter.counts(inputs=["cells"])
    (way,) = counts.projections
    assert way.delivered.tolist() == [6]


def test_a_rule_that_learns_by_a_clock_is_counted_in_every_step():
    """`learning.attach` gives each of 6 synapses a trace that decays in every one of 20 steps: 120 updates."""
    learning = pytest.importorskip("learning")
    source = SpikeGeneratorGroup(3, [0, 1, 2], [1, 2, 3] * ms, dt=1 * ms, name="source")
    cells = lif().group(2, name="cells", dt=1 * ms)
    way = connect(source, cells, dense(np.ones((3, 2))), name="way")
    dopamine = NeuronGroup(1, "D : 1", name="dopamine", dt=1 * ms)
    rule = learning.Rule(
        name="trace", equations="dc/dt = -c/(20*ms) : 1", on_pre="c += 1", change="0.001*D*c", source="made up"
    )
    plastic = learning.attach(way, rule, {"D": dopamine.D}, name="rule")
    network = Network(source, cells, dopamine, way, plastic)
    meter = Meter(network)
    network.run(20 * ms)
    counts = meter.counts()
    charges = {(one.term, one.where): one.total for one in counts.charges()}
    assert sum(total for (term, _), total in charges.items() if term == "synapse_updates") == 120
    assert sum(total for (term, _), total in charges.items() if term == "weight_write_bits") == 120 * 32
    assert next(one for one in counts.projections if one.name == "way_pre").nonzero is None


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_a_compiled_network_is_metered_too(tmp_path):
    """Brian2's C++ standalone and its runtime: the same network, the same counts."""
    network = random_network(5)
    meter = Meter(network)
    network.run(STEPS * ms)
    ours = meter.counts().charges()
    set_device("cpp_standalone", directory=str(tmp_path / "code"))
    compiled = random_network(5)
    meter = Meter(compiled)
    compiled.run(STEPS * ms)
    assert meter.counts().charges() == ours
