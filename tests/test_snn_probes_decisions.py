"""When and why a network decides: latencies, races, accuracy in time, and lesions, against known answers."""

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    PoissonGroup,
    Quantity,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    kHz,
    linked_var,
    ms,
    mV,
    second,
    set_device,
)
from point_processes import NO_SAMPLES, SILENT, poisson, trains

from dvs.errors import InputError, ParameterError
from snn import probes
from snn.running import run

# Latency of the first spike


def test_latency_is_to_the_first_spike_from_the_onset_on():
    spikes = trains([(0, 0, 5), (0, 0, 20), (0, 0, 30), (1, 1, 25)], samples=2, neurons=2)
    found = probes.first_spikes(spikes, onset=20 * ms)
    assert found.t / ms == pytest.approx(np.array([[0, np.nan], [np.nan, 5]]), nan_ok=True)
    assert found.watched / ms == pytest.approx(80)
    assert found.responded.tolist() == [0.5, 0.5]


def test_latencies_of_a_poisson_unit_are_exponential():
    """Rate r: median ln 2 / r, and a share of 1 - exp(-r T) ever responds. r = 20 Hz, T = 100 ms: 34.7 ms, 0.865.

    n = 10 000: errors are sqrt(0.865 * 0.135 / n) = 0.0034 of the share and 1 / (r sqrt n) = 0.5 ms of the median.
    """
    found = probes.first_spikes(poisson(np.full((10_000, 1), 20)))
    assert found.responded == pytest.approx([1 - np.exp(-2)], abs=4 * 0.0034)
    assert found.quantile() / ms == pytest.approx([np.log(2) / 0.02], abs=4 * 0.5)


def test_silent_samples_make_the_median_later_not_fewer():
    """Spikes in 3 of 5 samples, at 10, 20, 30 ms: half of five, the third, is there at 30 ms, 80 % never."""
    found = probes.first_spikes(trains([(0, 0, 10), (1, 0, 20), (2, 0, 30)], samples=5, neurons=1))
    assert found.quantile() / ms == pytest.approx([30])
    assert found.quantile(0.4) / ms == pytest.approx([20])
    assert np.isnan(found.quantile(0.8))


# Decisions


def test_a_tie_decides_nothing_and_a_lead_does():
    """Counts of (A, B): 1-0 at 10 ms, 1-1 at 20, 2-1 at 30, 3-1 at 40. A lead of 2 is there at 40 ms; a bound of 1 at
    10 ms; a bound of 2 at 30 ms. Two spikes at once, sample 1, are a tie until A fires again at 50 ms.
    """
    rows = [(0, 0, 10), (0, 1, 20), (0, 0, 30), (0, 0, 40), (1, 0, 15), (1, 1, 15), (1, 0, 50)]
    spikes = trains(rows, samples=2, neurons=2)
    for rule, times_ms in (({"lead": 2}, [40, np.nan]), ({"bound": 1}, [10, 50]), ({"bound": 2}, [30, 50])):
        found = probes.decide(spikes, dt=0.1 * ms, **rule)
        assert found.t / ms == pytest.approx(times_ms, nan_ok=True)
        assert found.choice.tolist() == [0 if t == t else -1 for t in times_ms]


def test_two_poisson_units_decide_as_wald_says():
    """Rates a > b and a lead of n: the difference of the counts is a walk that ends at n or -n. It ends right with
    P = 1 / (1 + (b/a)^n) (gambler's ruin), after n (2 P - 1) / (a - b) on average (Wald's identity, 1944).
    """
    a, b, n, samples = 100, 60, 3, 4000
    spikes = poisson(np.tile([a, b], (samples, 1)), duration=1 * second)
    found = probes.decide(spikes, dt=0.1 * ms, lead=n)
    right = 1 / (1 + (b / a) ** n)
    assert (found.choice >= 0).all()
    assert (found.choice == 0).mean() == pytest.approx(right, abs=4 * np.sqrt(right * (1 - right) / samples))
    t_s = np.asarray(found.t / second)
    assert t_s.mean() == pytest.approx(n * (2 * right - 1) / (a - b), abs=4 * t_s.std() / np.sqrt(samples))


def test_the_first_to_five_spikes_takes_the_time_of_five_intervals():
    """With a rival that is silent the time is Erlang's: mean 5 / r, deviation sqrt(5) / r."""
    spikes = poisson(np.tile([200, 0], (2000, 1)), duration=0.2 * second)
    found = probes.decide(spikes, dt=0.1 * ms, bound=5)
    error_s = np.sqrt(5) / 200 / np.sqrt(2000)
    # The grid of 0.1 ms adds half a step.
    assert float(found.t.mean() / second) == pytest.approx(5 / 200 + 0.05e-3, abs=4 * error_s)


def test_a_readout_decides_at_the_step_at_which_brian_recorded_it():
    """States rise by 1 and 0.5 a step from (1, 0.5) on: the lead reaches 1.5 at the third step, 2 * dt."""
    steps = np.arange(1, 6)[None, :, None]
    found = probes.decide(steps * [[[1, 0.5]]], dt=2 * ms, lead=1.5)
    assert (found.choice.tolist(), float(found.t[0] / ms)) == ([0], pytest.approx(4))
    assert found.duration / ms == pytest.approx(10)


def test_neurons_may_speak_for_a_class_together():
    """Neurons 0 and 1 have one spike each, neuron 2 has two, at 30 ms: alone neuron 2 wins, pooled nobody does."""
    spikes = trains([(0, 0, 10), (0, 1, 20), (0, 2, 30), (0, 2, 40)], samples=1, neurons=3)
    assert probes.decide(spikes, dt=1 * ms, bound=2).choice.tolist() == [2]
    assert probes.decide(spikes, dt=1 * ms, bound=2, class_of=[0, 0, 1]).t / ms == pytest.approx([20])


def test_decisions_and_accuracy_do_not_depend_on_the_size_of_the_parts(monkeypatch):
    spikes, labels = poisson(np.full((23, 3), 50.0)), np.arange(23) % 3
    whole = probes.decide(spikes, dt=1 * ms, lead=2), probes.accuracy_over_time(spikes, labels, dt=1 * ms)
    monkeypatch.setattr("snn.probes.evidence._CELLS", 1000)
    parts = probes.decide(spikes, dt=1 * ms, lead=2), probes.accuracy_over_time(spikes, labels, dt=1 * ms)
    np.testing.assert_array_equal(parts[0].t, whole[0].t)
    np.testing.assert_array_equal(parts[0].choice, whole[0].choice)
    np.testing.assert_allclose(parts[1].accuracy, whole[1].accuracy)


# Accuracy in time


def test_accuracy_rises_from_chance_as_first_spikes_arrive():
    """Only the right one of C outputs fires, at rate r from 20 ms on: a sample is right once it has fired, and by a
    coin before: 1 - exp(-r (t - 20 ms)) (1 - 1/C). Within 4 errors, sqrt(1 / (4 n)), at all times.
    """
    classes, samples, rate_hz = 4, 4000, 50
    label = np.arange(samples) % classes
    spikes = poisson(rate_hz * np.eye(classes)[label], start=20 * ms)
    found = probes.accuracy_over_time(spikes, label, dt=1 * ms)
    since_s = np.maximum(np.asarray(found.t / second) - 0.02, 0)
    expected = 1 - np.exp(-rate_hz * since_s) * (1 - 1 / classes)
    assert found.accuracy[:20] == pytest.approx(0.25)
    assert np.abs(found.accuracy - expected).max() < 4 * np.sqrt(1 / (4 * samples))
    assert found.chance == 0.25


def test_accuracy_holds_its_final_value_from_the_time_it_is_reached():
    """The readout is right at steps 1, 3, 4 of 5 for all: 90 % of the final 1 is kept from step 3 on, not from 1."""
    right = np.array([0, 1, 0, 1, 1])
    readout = np.stack([right, 1 - right], axis=1)[None].repeat(3, axis=0)
    found = probes.accuracy_over_time(readout, [0, 0, 0], dt=5 * ms)
    assert found.accuracy.tolist() == right.tolist()
    assert found.reaches() / ms == pytest.approx(15)


def test_the_interval_is_wilsons():
    """None right of n: the upper bound is z^2 / (n + z^2), all right: the lower n / (n + z^2); 95 %: z = 1.960."""
    readout = np.tile([1, 0], (10, 1, 1))
    z2 = 1.959964**2
    none, every = (probes.accuracy_over_time(readout, np.full(10, label), dt=1 * ms) for label in (1, 0))
    assert (none.low[0], none.high[0]) == pytest.approx((0, z2 / (10 + z2)))
    assert (every.low[0], every.high[0]) == pytest.approx((10 / (10 + z2), 1))


# Before the decision or after


def test_a_unit_that_leads_and_one_that_follows_are_told_apart():
    """Decisions spread over 20 to 80 ms. Unit 0 fires 5 ms before each, unit 1 5 ms after: all and none of their spikes
    are before, and decisions of other samples would not have done so. Unit 2 fires at the instant: too late to cause.
    In 40 of 40 samples, the sign test gives 2 / 2^40.
    """
    decided = np.linspace(20, 80, 40)
    rows = [(k, unit, t + d) for k, t in enumerate(decided) for unit, d in ((0, -5), (1, 5), (2, 0))]
    found = probes.decision_timing(trains(rows, samples=40, neurons=4), decided * ms)
    assert found.share_before[:3].tolist() == [1, 0, 0]
    assert (found.p_value[:3] == 1 / 1001).all()
    assert found.high[0] < 1
    assert found.low[1] > 0
    assert (found.first_before.tolist(), found.first_after.tolist()) == ([40, 0, 0, 0], [0, 40, 40, 0])
    assert found.sign_p_value[:3] == pytest.approx(2.0**-39)
    assert np.isnan([found.share_before[3], found.p_value[3], found.sign_p_value[3]]).all()


def test_spikes_that_know_nothing_of_the_decision_lie_where_chance_puts_them():
    """Poisson units and decisions drawn evenly: the share before is the mean decision time over the duration, 0.5, and
    5 % of 200 units lie outside the interval: 10 +- 3.1, so fewer than 23 (4 deviations).
    """
    rng = np.random.default_rng(0)
    found = probes.decision_timing(poisson(np.full((100, 200), 60)), rng.uniform(0, 100, 100) * ms, permutations=400)
    assert found.share_before.mean() == pytest.approx(0.5, abs=0.1)
    assert np.count_nonzero(found.p_value < 0.05) < 23
    assert np.count_nonzero((found.share_before < found.low) | (found.share_before > found.high)) < 23


def test_samples_without_a_decision_are_left_out():
    spikes = trains([(0, 0, 10), (1, 0, 10), (2, 0, 90)], samples=3, neurons=1)
    found = probes.decision_timing(spikes, [50, np.nan, 50] * ms, permutations=5)
    assert (found.before.tolist(), found.after.tolist()) == ([1], [1])


# Lesions


@pytest.fixture
def wired():
    """Three inputs fire in turn, each drives its hidden unit; only hidden unit 2 reaches the output.

    An input spike adds 1.5 thresholds, and the reset takes all, so each input spike makes one hidden spike.
    """
    source = SpikeGeneratorGroup(3, np.tile([0, 1, 2], 4), np.arange(1, 13) * ms, name="source")
    hidden = NeuronGroup(3, "v : 1", threshold="v > 1", reset="v = 0", name="hidden")
    output = NeuronGroup(1, "v : 1", threshold="v > 1", reset="v = 0", name="output")
    feed = Synapses(source, hidden, "w : 1", on_pre="v_post += w", name="feed")
    feed.connect(j="i")
    feed.w = 1.5
    read = Synapses(hidden, output, "w : 1", on_pre="v_post += w", name="read")
    read.connect()
    read.w = [0, 0, 1.5]
    watch = [SpikeMonitor(hidden, name="watch_hidden"), SpikeMonitor(output, name="watch_output")]
    network = Network(source, hidden, output, feed, read, *watch)
    network.store()
    return network


def counts_of(network):
    """Spikes of the hidden units and of the output in a run from the beginning."""
    network.restore()
    network.run(15 * ms)
    return np.array(network["watch_hidden"].count), int(network["watch_output"].count[0])


def test_only_the_unit_that_carries_the_answer_is_missed(wired):
    """All 4 output spikes come through hidden unit 2, so without it all 4 are lost and without another none."""
    found = probes.ablate(lambda: counts_of(wired)[1], wired, "hidden")
    assert found.intact == 4
    assert found.units == ((0,), (1,), (2,))
    assert found.drop.tolist() == [0, 0, 4]


def test_sets_of_units_are_silenced_together(wired):
    found = probes.ablate(lambda: counts_of(wired)[1], wired, wired["hidden"], [[0, 1], [1, 2]])
    assert found.units == ((0, 1), (1, 2))
    assert found.drop.tolist() == [0, 4]
    assert found.plot().get_xticklabels()[1].get_text() == "1, 2"


@pytest.mark.parametrize("group", ["hidden", "source", "output"])
def test_any_group_that_spikes_can_be_silenced(wired, group):
    with probes.silenced(wired, group, None):
        hidden, output = counts_of(wired)
    assert output == 0
    assert hidden.sum() == (12 if group == "output" else 0)


def test_nobody_hears_a_silenced_unit_yet_it_is_reset(wired):
    """Without a reset v would be at 4 * 1.5 = 6 in the end; with one it is at 0, as in the unit that is heard."""
    with probes.silenced(wired, "hidden", [2]):
        hidden, _ = counts_of(wired)
    assert hidden.tolist() == [4, 4, 0]
    assert np.asarray(wired["hidden"].v).tolist() == [0, 0, 0]


def test_responses_of_many_samples_lack_what_is_silenced(wired):
    """The recorder looks at the end of the step, when the reset has had all spikes back."""
    for units, counts in ((None, [0, 0, 0]), ([0], [0, 4, 4])):
        wired.restore()
        with probes.silenced(wired, "hidden", units):
            seen = run(wired, [None], input=lambda _: None, duration=15 * ms, record=["hidden"], progress=False)
        assert seen.counts("hidden").tolist() == [counts]


def test_lesions_add_up(wired):
    with probes.silenced(wired, "hidden", [1]), probes.silenced(wired, "hidden", [1, 2]):
        hidden, output = counts_of(wired)
    assert (hidden.tolist(), output) == ([4, 0, 0], 0)
    assert np.asarray(wired["hidden"].v).tolist() == [0, 0, 0]


def test_a_lesion_leaves_no_trace_even_after_an_error(wired):
    before, names = counts_of(wired), {thing.name for thing in wired.objects}
    with pytest.raises(RuntimeError, match="in the middle"), probes.silenced(wired, "hidden", [2]):
        raise RuntimeError("in the middle")
    assert {thing.name for thing in wired.objects} == names
    after = counts_of(wired)
    np.testing.assert_array_equal(after[0], before[0])
    assert after[1] == before[1]


def test_poisson_units_and_refractory_units_fall_silent_too():
    noise = PoissonGroup(4, 1 * kHz, name="noise")
    held = NeuronGroup(2, "dv/dt = 1/ms : 1 (unless refractory)", threshold="v > 1", reset="v = 0", refractory=3 * ms,
                       method="euler", name="held")  # fmt: skip
    watch = {"noise": SpikeMonitor(noise), "held": SpikeMonitor(held)}
    network = Network(noise, held, *watch.values())
    with probes.silenced(network, "noise", slice(1, 3)), probes.silenced(network, "held", 0):
        network.run(50 * ms)
    assert (np.array(watch["noise"].count) > 0).tolist() == [True, False, False, True]
    assert (np.array(watch["held"].count) > 0).tolist() == [False, True]


def test_weights_shared_by_many_synapses_are_silenced_as_any(wired):
    """The same network with the one weight of the readout kept in the hidden unit: v_post += u_pre."""
    hidden = NeuronGroup(2, "u : 1", threshold="True", name="sharing")
    hidden.u = [1.5, 0]
    output = NeuronGroup(2, "v : 1", threshold="v > 1", reset="v = 0", name="sink")
    read = Synapses(hidden, output, on_pre="v_post += u_pre")
    read.connect()
    watch = SpikeMonitor(output)
    network = Network(hidden, output, read, watch)
    with probes.silenced(network, "sharing", [0]):
        network.run(2 * ms)
    assert watch.num_spikes == 0


def test_cut_synapses_are_whole_again_afterwards(wired):
    read = wired["read"]
    with probes.cut(read, read.i[:] == 2):
        assert np.asarray(read.w).tolist() == [0, 0, 0]
        hidden, output = counts_of_running(wired)
    assert (hidden.tolist(), output) == ([4, 4, 4], 0)
    assert np.asarray(read.w).tolist() == [0, 0, 1.5]
    with probes.cut(wired["feed"], [0]):
        assert np.asarray(wired["feed"].w).tolist() == [0, 1.5, 1.5]


def counts_of_running(network):
    """Spikes of a run that goes on from where the network stands; `restore` would restore weights, too."""
    network.run(15 * ms)
    return np.array(network["watch_hidden"].count), int(network["watch_output"].count[0])


def test_a_weight_that_synapses_share_cannot_be_cut(wired):
    hidden, output = wired["hidden"], wired["output"]
    scalar = Synapses(hidden, output, "w : 1 (shared)", on_pre="v_post += w", name="scalar")
    scalar.connect()
    kernel = NeuronGroup(1, "weight : 1", name="kernel")
    linked = Synapses(hidden, output, "w : 1 (linked)\nk : integer (constant)", on_pre="v_post += w", name="linked")
    linked.connect()
    linked.w = linked_var(kernel, "weight", index="k")
    for synapses in (scalar, linked):
        with pytest.raises(ParameterError, match="is shared by several synapses; silence units"), probes.cut(synapses):
            pass


# Nothing happened, and pictures


def results(spikes):
    """Every probe of this file on the same spikes."""
    labels = np.arange(spikes.samples) % 2
    decisions = probes.decide(spikes, dt=1 * ms, lead=2)
    yield probes.first_spikes(spikes)
    yield decisions
    yield probes.accuracy_over_time(spikes, labels, dt=1 * ms)
    yield probes.decision_timing(spikes, decisions.t, permutations=10)
    yield probes.Ablation(group="hidden", units=((0,), (1,)), intact=0.9, without=np.array([0.95, 0.4]))
    yield probes.Ablation(group="hidden", units=(), intact=0.9, without=np.empty(0))


@pytest.mark.parametrize("spikes", [SILENT, NO_SAMPLES, poisson(np.full((6, 2), 90.0))], ids=["silent", "none", "some"])
def test_pictures_of_much_and_of_nothing_are_drawn_without_a_window(spikes):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    for result in results(spikes):
        axes = result.plot()
        axes.figure.canvas.draw()
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        mine = Figure().add_subplot()
        assert result.plot(mine) is mine
    decisions = probes.decide(spikes, dt=1 * ms, lead=2)
    decisions.plot(labels=np.zeros(spikes.samples, int)).figure.canvas.draw()
    assert plt.get_fignums() == []


def test_a_silent_network_never_decides():
    found = probes.decide(SILENT, dt=1 * ms, lead=1)
    assert found.choice.tolist() == [-1, -1, -1]
    assert np.isnan(found.t / ms).all()
    assert probes.accuracy_over_time(SILENT, [0, 1, 0], dt=1 * ms).accuracy == pytest.approx(0.5)
    assert np.isnan(probes.accuracy_over_time(NO_SAMPLES, [], dt=1 * ms).reaches() / ms)
    assert isinstance(found.t, Quantity)


# Arguments


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: probes.first_spikes(SILENT, onset=-1 * ms), "onset is -1. ms, expected 0 or more"),
        (lambda: probes.first_spikes(SILENT, onset=20), "onset is 20, expected times with a unit"),
        (lambda: probes.first_spikes(SILENT).quantile(0), "share is 0, expected above 0"),
        (lambda: probes.decide(SILENT, dt=1 * ms), "neither bound nor lead was given"),
        (lambda: probes.decide(SILENT, dt=1 * ms, lead=0), "lead is 0, expected more than 0"),
        (lambda: probes.decide(SILENT, dt=0 * ms, lead=1), "dt is 0. s, expected one finite time above zero"),
        (lambda: probes.decide(SILENT, dt=1 * ms, lead=1, class_of=[0, 0]), "evidence is for 1 class"),
        (lambda: probes.decide(SILENT, dt=1 * ms, lead=1, class_of=[0]), r"class_of has shape \(1,\)"),
        (lambda: probes.decide(np.zeros((2, 3)), dt=1 * ms, lead=1), r"expected \(samples, steps, classes\)"),
        (lambda: probes.decide(np.zeros((2, 0, 3)), dt=1 * ms, lead=1), r"expected \(samples, steps, classes\)"),
        (lambda: probes.decide(np.full((1, 1, 2), np.nan), dt=1 * ms, lead=1), "values that are not finite"),
        (
            lambda: probes.decide(np.zeros((1, 1, 2)), dt=1 * ms, lead=1, class_of=[0, 1]),
            "class_of came with a readout",
        ),
        (lambda: probes.accuracy_over_time(SILENT, [0], dt=1 * ms), r"labels have shape \(1,\)"),
        (lambda: probes.accuracy_over_time(SILENT, [0, 1, 2], dt=1 * ms), "labels go from 0 to 2, expected 0 to 1"),
        (lambda: probes.accuracy_over_time(SILENT, [0, 1, 0], dt=1 * ms, confidence=2), "confidence is 2"),
        (lambda: probes.accuracy_over_time(SILENT, [0, 1, 0], dt=1 * ms).reaches(2), "share is 2"),
        (lambda: probes.decision_timing(SILENT, [1, 2] * ms), r"decided has shape \(2,\)"),
        (lambda: probes.decision_timing(SILENT, [1, 2, 3] * mV), "decided is .* expected times"),
    ],
)
def test_a_wrong_argument_says_what_came_and_what_was_expected(ask, says):
    with pytest.raises((InputError, ParameterError), match=says) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_a_lesion_of_what_is_not_there_says_what_is(wired):
    stranger = NeuronGroup(1, "v : 1", threshold="v > 1", name="stranger")
    watched = StateMonitor(wired["hidden"], "v", record=True, name="trace")
    for group in ("hiden", stranger, watched, wired["read"]):
        with pytest.raises(ParameterError, match=r"expected one of \['hidden', 'output', 'source'\]"):
            probes.silenced(wired, group).__enter__()
    with pytest.raises(ParameterError, match="expected numbers from 0 to 2"):
        probes.silenced(wired, "hidden", [3]).__enter__()
    with pytest.raises(ParameterError, match=r"read has no weight 'g' that can be set, only \['w'\]"):
        probes.cut(wired["read"], weight="g").__enter__()


def test_standalone_networks_cannot_be_lesioned(wired):
    set_device("cpp_standalone", build_on_run=False)
    with pytest.raises(ParameterError, match="expected runtime mode"):
        probes.silenced(wired, "hidden").__enter__()
