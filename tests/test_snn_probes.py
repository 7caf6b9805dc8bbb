"""What units respond to: probes against point processes whose answer is known."""

import numpy as np
import pytest
from brian2 import Hz, Quantity, ms, mV, second
from point_processes import NO_SAMPLES, SILENT, poisson, trains
from scipy.special import ndtr

from dvs.errors import InputError, MicrosaccadeError, ParameterError
from dvs.events import empty_events, make_events
from snn import probes

# Raster


def test_rows_of_a_raster_are_classes_then_samples_then_neurons():
    """Samples 0, 1, 2 of classes b, a, b come in the order 1, 0, 2, each with rows for neurons 0 and 1."""
    seen = probes.raster(trains([(0, 1, 5), (1, 0, 7), (2, 0, 9)], samples=3, neurons=2), ["b", "a", "b"])
    assert seen.row.tolist() == [3, 0, 4]
    assert seen.sample_of_row.tolist() == [1, 1, 0, 0, 2, 2]
    assert seen.neuron_of_row.tolist() == [0, 1] * 3
    assert (seen.classes.tolist(), seen.class_ends.tolist()) == (["a", "b"], [2, 6])


def test_a_raster_about_the_decision_leaves_out_samples_without_one():
    """Decisions at 20 ms and never: 15 ms is 5 ms before the first, 40 ms is 20 after it, past the window."""
    spikes = trains([(0, 0, 15), (0, 0, 40), (1, 0, 15)], samples=2, neurons=1)
    seen = probes.raster(spikes, align=[20, np.nan] * ms, window=(-10 * ms, 10 * ms))
    assert seen.t / ms == pytest.approx([-5])
    assert seen.sample_of_row.tolist() == [0]


def test_rows_follow_the_order_in_which_neurons_were_asked_for():
    seen = probes.raster(trains([(0, 0, 1), (0, 2, 2)], samples=1, neurons=3), neurons=[2, 0])
    assert seen.row.tolist() == [1, 0]
    number = seen.plot().yaxis.get_major_formatter()
    assert [number(row) for row in (0, 1, 2)] == ["2", "0", ""]


# Peristimulus time histogram


def test_the_mean_and_its_error_are_those_of_the_counts():
    """One spike and three spikes in a bin of 10 ms: 2 +- sd/sqrt(2) = sqrt(2)/sqrt(2) = 1 spike, 200 +- 100 Hz."""
    spikes = trains([(0, 0, 1), (1, 0, 2), (1, 0, 3), (1, 0, 4)], samples=2, neurons=1, duration=20 * ms)
    found = probes.psth(spikes)
    assert found.t / ms == pytest.approx([5, 15])
    assert found.rate / Hz == pytest.approx(np.array([[200, 0]]))
    assert found.sem / Hz == pytest.approx(np.array([[100, 0]]))


def test_a_poisson_rate_is_found_in_every_bin_with_its_error():
    """n samples, bins of b: the count has mean and variance rate b, so the error is sqrt(rate / (n b)).

    80 Hz, n = 2000, b = 10 ms: 2 Hz. The largest of 20 bins stays within 4 errors (p = 0.001).
    """
    found = probes.psth(poisson(np.full((2000, 2), 80)), bin_width=10 * ms)
    assert np.abs(found.rate / Hz - 80).max() < 8
    assert found.sem / Hz == pytest.approx(2, rel=0.15)


def test_no_spike_is_lost_between_bins():
    """Rate times bin, summed, is the mean count of the sample, whatever bin holds the spike: also on its very edge."""
    spikes = trains([(0, 0, 0.1 * k) for k in range(1000)], samples=1, neurons=1)
    for bin_ms in (0.1, 0.3, 1, 10):
        found = probes.psth(spikes, bin_width=bin_ms * ms)
        per_bin = found.rate / Hz * bin_ms / 1000
        assert per_bin == pytest.approx(np.full((1, found.t.size), 10 * bin_ms))


def test_spikes_locked_to_the_decision_share_one_bin():
    """A spike 12 ms before a decision that wanders is always in [-15, -10) ms: 1 spike / 5 ms = 200 Hz, no error."""
    decided = np.array([30, 47, 61.5])
    spikes = trains([(k, 0, t - 12) for k, t in enumerate(decided)], samples=3, neurons=1)
    found = probes.psth(spikes, align=decided * ms, window=(-20 * ms, 5 * ms), bin_width=5 * ms)
    assert found.rate / Hz == pytest.approx(np.array([[0, 200, 0, 0, 0]]))
    assert found.sem / Hz == pytest.approx(0)


def test_a_bin_counts_only_samples_that_were_watched_through_it():
    """A unit at 1 kHz, decisions at 20 and 90 of 100 ms: only the first was watched 10 to 80 ms after the decision,
    only the second 90 to 20 ms before. The rate is 1 kHz all along, for the empty end of a sample is no silence.
    """
    spikes = trains([(k, 0, t + 0.5) for k in range(2) for t in range(100)], samples=2, neurons=1)
    found = probes.psth(spikes, align=[20, 90] * ms)
    assert found.rate / Hz == pytest.approx(np.full((1, 17), 1000))
    assert found.samples.tolist() == [1] * 7 + [2] * 3 + [1] * 7
    assert np.isnan(found.sem[0, :7]).all()
    assert found.sem[0, 7:10] / Hz == pytest.approx(0)


def test_smoothing_spreads_a_spike_as_a_gaussian():
    """One spike in the middle, sigma = 5 ms, far from the ends: the peak is 1 / (sigma sqrt(2 pi)) = 79.8 Hz."""
    found = probes.psth(trains([(0, 0, 50.5)], samples=1, neurons=1), bin_width=1 * ms, smooth=5 * ms)
    assert found.rate[0, 50] / Hz == pytest.approx(1 / (0.005 * np.sqrt(2 * np.pi)), rel=1e-3)


def test_smoothing_leaves_a_constant_rate_alone_up_to_the_ends():
    spikes = trains([(k, 0, t + 0.5) for k in range(2) for t in range(100)], samples=2, neurons=1)
    found = probes.psth(spikes, align=[20, 90] * ms, smooth=20 * ms)
    assert found.rate / Hz == pytest.approx(1000)


# Tuning


def test_a_tuning_curve_has_the_mean_and_error_of_each_stimulus():
    """Rates 1, 3 at 0 and 5 at 90: means 2 and 5; error of the first sqrt(2)/sqrt(2) = 1, of one sample unknown."""
    curve = probes.tuning_curve(np.array([[1], [5], [3]]) * Hz, [0, 90, 0])
    assert curve.stimulus.tolist() == [0, 90]
    assert curve.mean / Hz == pytest.approx(np.array([[2, 5]]))
    assert curve.sem / Hz == pytest.approx(np.array([[1, np.nan]]), nan_ok=True)
    assert curve.preferred.tolist() == [90]


@pytest.mark.parametrize("preferred_deg", [0, 45, 157.5])
def test_a_cosine_of_the_orientation_has_half_its_depth_as_resultant(preferred_deg):
    """R = 1 + a cos 2(angle - preferred): the vector sum is a n / 2 along `preferred`, the sum n, so a / 2; the
    response a quarter turn away is 1 - a, so the index is ((1 + a) - (1 - a)) / 2 = a.
    """
    angle = np.arange(8) * 22.5
    response = 1 + 0.6 * np.cos(2 * np.deg2rad(angle - preferred_deg))
    found = probes.orientation_selectivity(probes.tuning_curve(response[:, None], angle))
    assert found.resultant == pytest.approx([0.3])
    assert found.preferred_deg == pytest.approx([preferred_deg])
    assert found.index == pytest.approx([0.6])


def test_a_unit_for_one_direction_may_have_no_orientation():
    """R = 1 + a cos(angle - preferred): opposite directions add up to the same for all orientations."""
    angle = np.arange(0, 360, 30)
    curve = probes.tuning_curve((1 + 0.8 * np.cos(np.deg2rad(angle - 210)))[:, None], angle)
    direction, orientation = probes.direction_selectivity(curve), probes.orientation_selectivity(curve)
    assert direction.preferred_deg == pytest.approx([210])
    assert (direction.resultant, direction.index) == (pytest.approx([0.4]), pytest.approx([0.8]))
    assert orientation.resultant == pytest.approx([0])
    assert np.isnan(orientation.preferred_deg).all()


def test_a_unit_for_one_angle_only_is_perfectly_selective():
    curve = probes.tuning_curve([[0, 0], [7, 0], [0, 0], [0, 0]], [0, 45, 90, 135])
    found = probes.orientation_selectivity(curve)
    assert (found.resultant[0], found.index[0], found.preferred_deg[0]) == pytest.approx((1, 1, 45))
    assert np.isnan([found.resultant[1], found.index[1], found.preferred_deg[1], curve.preferred[1]]).all()


# Receptive fields

WIDTH, HEIGHT = 5, 4


def noise_events(rate_hz, duration_us, samples, seed=0):
    """Poisson events, equally frequent at all pixels and polarities."""
    rng = np.random.default_rng(seed)
    shown = []
    for _ in range(samples):
        n = rng.poisson(rate_hz * 2 * WIDTH * HEIGHT * duration_us * 1e-6)
        t_us = np.sort(rng.integers(0, duration_us, n))
        shown.append(make_events(rng.integers(0, WIDTH, n), rng.integers(0, HEIGHT, n), t_us, rng.integers(0, 2, n)))
    return shown


def test_the_field_is_where_and_when_the_driving_events_were():
    """The unit fires 25 ms after each ON event at (3, 1), so that pixel has one event more than usual in the bin
    [20, 30) ms, and every other pixel and bin has its usual number: rate * bin, 20 Hz * 10 ms = 0.2.

    About n = 4 * 20 Hz * 4.9 s = 390 spikes: the error of a mean of Poisson counts is sqrt(0.2 / n) = 0.023.
    Five errors for the largest of 200 numbers.
    """
    events = noise_events(20, 5_000_000, 4)
    fired = []
    for k, shown in enumerate(events):
        drive = shown[(shown["x"] == 3) & (shown["y"] == 1) & (shown["p"] == 1)]["t"] / 1000 + 25
        fired += [(k, 0, t) for t in drive if t < 5000]
    spikes = trains(fired, samples=4, neurons=1, duration=5 * second)
    found = probes.receptive_field(spikes, events, width=WIDTH, height=HEIGHT, window=50 * ms, lags=5)
    expected = np.zeros((1, 5, 2, HEIGHT, WIDTH))
    expected[0, 2, 1, 1, 3] = 1
    assert found.lag / ms == pytest.approx([5, 15, 25, 35, 45])
    assert np.abs(found.field - expected).max() < 5 * np.sqrt(0.2 / found.spikes[0])
    assert found.mean == pytest.approx(0.2, rel=0.3)


def test_fields_agree_with_a_slow_twin():
    """Each spike and each event looked at in turn, as the definition says."""
    rng = np.random.default_rng(3)
    events = noise_events(15, 100_000, 3, seed=4)
    rows = [(k, n, t / 10) for k in range(3) for n in range(2) for t in rng.choice(1000, 12, replace=False)]
    spikes = trains(rows, samples=3, neurons=2)
    found = probes.receptive_field(spikes, events, width=WIDTH, height=HEIGHT, window=30 * ms, lags=3)
    total, used = np.zeros((2, 3, 2, HEIGHT, WIDTH)), np.zeros(2)
    for sample, neuron, t_ms in rows:
        if t_ms < 30:
            continue
        used[neuron] += 1
        for event in events[sample]:
            lag_us = round(t_ms * 1000) - event["t"]
            if 0 <= lag_us < 30_000:
                total[neuron, lag_us // 10_000, event["p"], event["y"], event["x"]] += 1
    assert found.spikes.tolist() == used.tolist()
    np.testing.assert_allclose(found.field + found.mean, total / used[:, None, None, None, None], atol=1e-12)


def test_a_unit_that_fires_all_the_time_has_no_field():
    """Spikes on a grid of 0.1 ms after events on the same grid: their mean over spikes is that over all instants."""
    events = [make_events([0, 4, 2], [0, 3, 2], [1_500, 30_000, 98_000], [1, 0, 1])]
    spikes = trains([(0, 0, 0.1 * k) for k in range(1000)], samples=1, neurons=1)
    found = probes.receptive_field(spikes, events, width=WIDTH, height=HEIGHT, window=10 * ms, lags=5)
    assert np.abs(found.field).max() < 1e-12
    assert found.mean.max() > 0


def test_events_after_the_spike_and_of_other_samples_do_not_count():
    events = [make_events([1], [1], [50_001], [1]), make_events([2], [1], [49_000], [1])]
    spikes = trains([(0, 0, 50)], samples=2, neurons=2)
    found = probes.receptive_field(spikes, events, width=WIDTH, height=HEIGHT, window=20 * ms, lags=2)
    np.testing.assert_array_equal(found.field[0], -found.mean)
    assert np.isnan(found.field[1]).all()


# Selectivity for classes


def test_dprime_is_the_distance_in_standard_deviations():
    """Normal counts, 1.5 standard deviations apart; the error with n = 4000 in each is about sqrt(2/n) = 0.02."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["left", "right"], 4000)
    counts = rng.normal(size=(8000, 1)) * 3 + 4.5 * (labels == "right")[:, None]
    found = probes.dprime(counts, labels)
    assert found[0, 1] == pytest.approx(1.5, abs=0.1)
    assert found[0, 0] == pytest.approx(-found[0, 1])


def test_dprime_has_no_number_where_nothing_varies():
    """A silent unit has none; one that tells the classes apart without fail has an infinite one."""
    found = probes.dprime([[0, 1], [0, 1], [0, 4], [0, 4]], [0, 0, 1, 1])
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [-np.inf, np.inf]


def test_a_noisy_wire_carries_one_minus_the_entropy_of_its_errors():
    """A bit that is flipped with probability e carries 1 - H(e) bits; e = 0.1: 0.531."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 20_000)
    counts = (label ^ (rng.random(label.size) < 0.1))[:, None]
    entropy = -0.1 * np.log2(0.1) - 0.9 * np.log2(0.9)
    assert probes.information_bits(counts, label) == pytest.approx([1 - entropy], abs=0.02)


def test_units_that_know_nothing_inform_by_nothing_on_average():
    """Unshuffled, R = 5 levels and C = 4 classes in N = 200 samples seem to inform by (R - 1)(C - 1) / (2 N ln 2) =
    0.043 bits (Panzeri & Treves 1996). Corrected, the mean of 400 units is 0 within 4 of its own errors.
    """
    rng = np.random.default_rng(2)
    found = probes.information_bits(rng.integers(0, 5, (200, 400)), rng.integers(0, 4, 200))
    error = found.std() / np.sqrt(found.size)
    assert abs(found.mean()) < 4 * error < 0.043 / 4


def test_information_does_not_depend_on_how_many_units_are_asked_at_once(monkeypatch):
    rng = np.random.default_rng(3)
    counts, labels = rng.integers(0, 6, (50, 9)), rng.integers(0, 3, 50)
    at_once = probes.information_bits(counts, labels)
    monkeypatch.setattr("snn.probes.selectivity._CELLS", 40)
    np.testing.assert_array_equal(probes.information_bits(counts, labels), at_once)


def test_sparseness_of_one_in_four_and_two_in_four():
    """k equal responses among n: a = k / n, so (1 - k/n) / (1 - 1/n); k = 2, n = 4 gives 2/3."""
    rates = np.array([[3, 0, 0, 0], [5, 5, 0, 0], [2, 2, 2, 2], [0, 0, 0, 0]])
    found = probes.sparseness(rates, axis=1)
    assert found[:3] == pytest.approx([1, 2 / 3, 0])
    assert np.isnan(found[3])


def test_selectivity_gathers_its_parts():
    labels, counts = [2, 2, 7, 7], np.array([[0, 3], [2, 3], [5, 3], [5, 4]])
    found = probes.class_selectivity(counts, labels, seed=5)
    assert found.classes.tolist() == [2, 7]
    assert found.mean.tolist() == [[1, 5], [3, 3.5]]
    np.testing.assert_array_equal(found.dprime, probes.dprime(counts, labels))
    np.testing.assert_array_equal(found.sparseness, probes.sparseness(found.mean))


# Choice probability


def test_choice_probability_is_the_area_under_the_curve_of_two_normals():
    """Normals d apart: the one exceeds the other with probability Phi(d / sqrt 2); d = 1: 0.760."""
    rng = np.random.default_rng(0)
    choice = rng.random(4000) < 0.5
    found = probes.choice_probability(rng.normal(size=(4000, 1)) + choice[:, None], choice, permutations=200)
    assert found.value == pytest.approx([ndtr(1 / np.sqrt(2))], abs=0.03)
    assert found.value > found.high
    assert found.p_value == pytest.approx([1 / 201])


def test_ties_count_half():
    """Against 1 and 2, a count of 2 wins once and ties once: (1 + 0.5) / 2."""
    found = probes.choice_probability([[2], [1], [2]], [1, 0, 0], permutations=10)
    assert found.value == pytest.approx([0.75])


def test_shuffled_choices_foretell_nothing():
    """The area has standard deviation sqrt((n + 1) / (12 n1 n0)) about 0.5 (Mann & Whitney 1947): 0.0409 for 100 + 100;
    the interval of 95 % is 1.96 of these. Of 200 units 5 % lie outside: 10 +- 3.1, so fewer than 23 (4 deviations).
    """
    rng = np.random.default_rng(1)
    choice = rng.permutation(np.repeat([True, False], 100))
    found = probes.choice_probability(rng.normal(size=(200, 200)), choice)
    deviation = np.sqrt(201 / (12 * 100 * 100))
    assert found.value.mean() == pytest.approx(0.5, abs=4 * deviation / np.sqrt(200))
    assert found.high - 0.5 == pytest.approx(1.96 * deviation, rel=0.15)
    assert 0.5 - found.low == pytest.approx(1.96 * deviation, rel=0.15)
    assert np.count_nonzero(found.p_value < 0.05) < 23


def test_what_the_stimulus_explains_is_no_choice_probability():
    """Counts and choices both follow the stimulus, and each other not beyond it: grand 0.5, although the raw area is
    near 1. A stimulus that always got the same choice leaves no trace, 100 of the samples.
    """
    rng = np.random.default_rng(2)
    stimulus = np.repeat([0, 1, 2], [100, 1000, 1000])
    choice = rng.random(2100) < np.array([0, 0.2, 0.8])[stimulus]
    counts = 20.0 * stimulus[:, None] + rng.normal(size=(2100, 1))
    raw = probes.choice_probability(counts, choice, permutations=20)
    grand = probes.choice_probability(counts, choice, stimulus, permutations=200)
    assert raw.value > 0.75
    assert grand.low < grand.value < grand.high
    assert grand.value == pytest.approx([0.5], abs=0.06)
    assert grand.samples == 2000


def test_the_same_seed_makes_the_same_interval():
    rng = np.random.default_rng(3)
    counts, choice = rng.poisson(4, (60, 3)), rng.random(60) < 0.4
    one, two = (probes.choice_probability(counts, choice, seed=7) for _ in range(2))
    np.testing.assert_array_equal(one.low, two.low)
    assert (probes.choice_probability(counts, choice, seed=8).low != one.low).any()


# Nothing happened, and pictures


def results(spikes):
    """Every probe of this file on the same spikes."""
    events = [empty_events()] * spikes.samples
    labels = np.arange(spikes.samples) % 2
    curve = probes.tuning_curve(spikes.rates(), 90 * labels)
    yield probes.raster(spikes)
    yield probes.raster(spikes, labels)
    yield probes.psth(spikes)
    yield probes.psth(spikes.of_neurons([0]), align=np.full(spikes.samples, np.nan) * second)
    yield curve
    yield probes.receptive_field(spikes, events, width=WIDTH, height=HEIGHT, window=20 * ms)
    yield probes.class_selectivity(spikes.counts(), labels)
    yield probes.choice_probability(spikes.counts(), labels, permutations=10)
    if spikes.samples:
        yield probes.orientation_selectivity(curve)


@pytest.mark.parametrize("spikes", [SILENT, NO_SAMPLES, poisson(np.full((6, 2), 50.0))], ids=["silent", "none", "some"])
def test_pictures_of_much_and_of_nothing_are_drawn_without_a_window(spikes):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    for result in results(spikes):
        axes = result.plot()
        axes.figure.canvas.draw()
        mine = Figure().add_subplot()
        assert result.plot(mine) is mine
    assert plt.get_fignums() == []


def test_a_silent_population_has_zero_rates():
    found = probes.psth(SILENT)
    assert found.rate / Hz == pytest.approx(np.zeros((2, 10)))
    assert np.isnan(probes.psth(NO_SAMPLES).rate).all()


# Arguments


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: probes.raster(SILENT, [0, 1]), r"labels have shape \(2,\), expected \(3,\)"),
        (lambda: probes.raster(SILENT, neurons=[5]), "expected numbers from 0 to 1"),
        (lambda: probes.psth(SILENT, align="decision"), "align is 'decision', expected times with a unit"),
        (lambda: probes.psth(SILENT, align=3 * mV), "expected times"),
        (lambda: probes.psth(SILENT, align=[1, 2] * ms), r"align has shape \(2,\)"),
        (lambda: probes.psth(SILENT, window=(50 * ms, -50 * ms)), "the window ends at -50. ms, not after its start"),
        (lambda: probes.psth(SILENT, window=50 * ms), r"expected \(start, stop\)"),
        (lambda: probes.psth(SILENT, bin_width=-1 * ms), "bin_width is -1. ms, expected one finite time above zero"),
        (lambda: probes.psth(SILENT, bin_width=1 * second), "holds no bin of 1. s"),
        (lambda: probes.psth(SILENT, smooth=0 * ms), "smooth is 0. s, expected one finite time above zero"),
        (lambda: probes.tuning_curve([1, 2], [0, 1]), r"responses have shape \(2,\), expected \(samples, neurons\)"),
        (lambda: probes.tuning_curve([[1], [2]], [0]), r"stimulus values have shape \(1,\), expected \(2,\)"),
        (lambda: probes.tuning_curve([[1], [2]], ["a", "b"]), "expected numbers"),
        (
            lambda: probes.direction_selectivity(probes.tuning_curve([[1], [2], [3]], [0, 45, 90])),
            "divide 360 degrees evenly",
        ),
        (
            lambda: probes.direction_selectivity(probes.tuning_curve([[-1], [2]], [0, 180])),
            "a mean response is -1",
        ),
        (lambda: field(events=[empty_events()]), "events of 1 samples came with spikes of 3"),
        (lambda: field(window=-5 * ms), "window is -5. ms, expected one finite time above zero"),
        (lambda: field(window=200 * ms), "expected less than the 100. ms of a sample"),
        (lambda: field(lags=0), "lags is 0"),
        (lambda: field(events=[make_events([0], [0], [-5], [1])] * 3), r"events\[0\] begin at -5 us"),
        (lambda: field(events=[make_events([9], [0], [5], [1])] * 3), "outside the 5x4 sensor"),
        (lambda: field().plot(neuron=4), "neuron 4 was not probed"),
        (lambda: probes.information_bits([[0.5]], [1]), "expected whole numbers"),
        (lambda: probes.information_bits([[1]], [1], shuffles=0), "0 shuffles were asked for"),
        (lambda: probes.choice_probability([[1], [2], [3]], [0, 1, 2]), "expected true or false"),
        (lambda: probes.choice_probability([[1], [2]], [0, 1], permutations=0), "0 shuffles"),
        (lambda: probes.choice_probability([[1], [2]], [0, 1], confidence=95), "confidence is 95"),
    ],
)
def test_a_wrong_argument_says_what_came_and_what_was_expected(ask, says):
    with pytest.raises((InputError, ParameterError), match=says) as caught:
        ask()
    assert isinstance(caught.value, MicrosaccadeError)
    assert "\n" not in str(caught.value)


def field(**changes):
    known = {"events": [empty_events()] * 3, "width": WIDTH, "height": HEIGHT, "window": 20 * ms}
    return probes.receptive_field(SILENT, **{**known, **changes})


def test_results_wear_units():
    found = probes.psth(SILENT)
    assert all(isinstance(part, Quantity) for part in (found.t, found.rate, found.sem))
    assert probes.tuning_curve(SILENT.rates(), [0, 0, 1]).mean.dim is Hz.dim
    assert isinstance(probes.tuning_curve(SILENT.counts(), [0, 0, 1]).mean, np.ndarray)


def test_the_table_of_names_is_complete():
    assert all(getattr(probes, name).__name__ == name for name in probes.__all__)
