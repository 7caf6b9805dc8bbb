"""Statistics of events against sums done by hand, laws of chance, and any cutting into chunks."""

import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvs import statistics
from dvs.errors import InputError, ParameterError
from dvs.events import Recording, empty_events, make_events

WIDTH, HEIGHT = 6, 4


def recording_of(rows, **span):
    """A recording on the 6 x 4 sensor from rows (x, y, t_us, p)."""
    x, y, t_us, p = np.array(rows, np.int64).reshape(-1, 4).T
    return Recording(events=make_events(x, y, t_us, p), width=WIDTH, height=HEIGHT, **span)


def poisson_recording(rates_hz, seconds, seed=0):
    """Each pixel of the map (H, W) fires as a Poisson process of its rate; polarities are coins."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rates_hz * seconds).ravel()
    pixel = np.repeat(np.arange(counts.size), counts)
    t_us = rng.integers(0, int(seconds * 1e6), pixel.size)
    order = np.argsort(t_us, kind="stable")
    height, width = rates_hz.shape
    events = make_events(pixel[order] % width, pixel[order] // width, t_us[order], rng.integers(0, 2, pixel.size))
    return Recording(events=events, width=width, height=height, stop_us=int(seconds * 1e6))


@pytest.fixture
def three_pixels():
    """Five events of three pixels in 10 ms: (1, 2) ON, OFF, OFF; (0, 0) ON; (5, 3) OFF."""
    rows = [(1, 2, 100, 1), (0, 0, 300, 1), (1, 2, 350, 0), (1, 2, 1350, 0), (5, 3, 1350, 0)]
    return recording_of(rows, stop_us=10_000)


def test_the_rate_is_events_over_the_watched_time(three_pixels):
    """5 events in 0.01 s are 500 Hz; shared by 24 pixels."""
    assert statistics.rate_hz(three_pixels) == pytest.approx(500)
    assert statistics.rate_per_pixel_hz(three_pixels) == pytest.approx(500 / 24)


def test_maps_count_events_where_they_happened(three_pixels):
    both, on = statistics.count_map(three_pixels), statistics.count_map(three_pixels, 1)
    assert both.shape == (HEIGHT, WIDTH)
    assert (both[2, 1], both[0, 0], both[3, 5], both.sum()) == (3, 1, 1, 5)
    assert (on[2, 1], on[0, 0], on[3, 5]) == (1, 1, 0)
    np.testing.assert_array_equal(on + statistics.count_map(three_pixels, 0), both)
    assert statistics.signed_map(three_pixels)[2, 1] == -1


def test_two_of_five_events_are_on(three_pixels):
    assert statistics.on_share(three_pixels) == pytest.approx(0.4)


def test_intervals_are_within_a_pixel(three_pixels):
    """Only (1, 2) fires again: 250 us and 1000 us later; its OFF events are 1000 us apart."""
    assert statistics.inter_event_intervals_us(three_pixels).tolist() == [250, 1000]
    assert statistics.inter_event_intervals_us(three_pixels, same_polarity=True).tolist() == [1000]


def test_one_of_two_successors_flips(three_pixels):
    assert statistics.polarity_flips(three_pixels) == pytest.approx(0.5)


def test_the_last_bin_is_divided_by_its_own_length(three_pixels):
    """Bins [0, 4), [4, 8), [8, 10] ms of a recording with two events more, at 8 and 10 ms.

    5 events in 4 ms are 1250 Hz, 2 events in 2 ms are 1000 Hz.
    """
    rows = [*three_pixels.events.tolist(), (0, 0, 8_000, 1), (0, 0, 10_000, 1)]
    rates = statistics.rate_over_time(recording_of(rows), bin_us=4_000)
    assert rates == pytest.approx([1250, 0, 1000])


def test_rates_of_the_polarities_add_up():
    recording = poisson_recording(np.full((HEIGHT, WIDTH), 30.0), seconds=1.0)
    on, off = (statistics.rate_over_time(recording, 7_000, polarity) for polarity in (1, 0))
    assert on + off == pytest.approx(statistics.rate_over_time(recording, 7_000))


def test_the_summary_of_a_silent_recording_is_zeros():
    silent = Recording(events=empty_events(), width=WIDTH, height=HEIGHT)
    numbers = statistics.summary(silent).to_dict()
    assert numbers.pop("median_interval_us") is None
    assert (numbers.pop("width"), numbers.pop("height")) == (WIDTH, HEIGHT)
    assert set(numbers.values()) == {0}


def test_every_function_takes_a_silent_recording():
    silent = Recording(events=empty_events(), width=WIDTH, height=HEIGHT, stop_us=1000)
    assert statistics.rate_hz(silent) == statistics.on_share(silent) == statistics.polarity_flips(silent) == 0
    assert not statistics.count_map(silent).any()
    assert not statistics.hot_pixels(silent).any()
    assert statistics.inter_event_intervals_us(silent).size == 0
    assert statistics.interval_quantiles(silent).size == 0
    assert statistics.rate_over_time(silent, 500).tolist() == [0, 0]
    assert statistics.temporal_correlation(silent, silent, 100) == 0
    assert statistics.spatial_correlation(silent, silent) == 0
    assert statistics.count_ratio(silent, silent) == 1


def test_a_silent_reference_makes_the_ratio_infinite(three_pixels):
    silent = Recording(events=empty_events(), width=WIDTH, height=HEIGHT)
    assert statistics.count_ratio(three_pixels, silent) == np.inf
    assert statistics.count_ratio(silent, three_pixels) == 0


def test_the_summary_survives_json(three_pixels):
    summary = statistics.summary(three_pixels)
    assert statistics.Summary(**json.loads(json.dumps(summary.to_dict()))) == summary


def test_the_median_interval_lies_in_the_bin_of_the_true_median():
    """Intervals 100, 200, ..., 900 us have the median 500 us; bins are 10**0.1 wide."""
    t_us = np.cumsum([0, *range(100, 1000, 100)])
    recording = recording_of([(0, 0, t, 1) for t in t_us])
    assert statistics.summary(recording).median_interval_us == pytest.approx(500, rel=10**0.1 - 1)


def test_every_interval_has_its_bin():
    """A bin is [edge, next edge): each edge opens its bin and the microsecond before it does not."""
    edges = statistics.INTERVAL_EDGES_US[1:]
    for offset, bins in ((0, np.arange(1, edges.size + 1)), (-1, np.arange(edges.size))):
        for edge, expected in zip(edges[:40] + offset, bins, strict=False):
            twice = recording_of([(0, 0, 0, 1), (0, 0, edge, 1)])
            assert np.flatnonzero(statistics.accumulate(twice).interval_counts).tolist() == [expected]


# Chunks


event_rows = st.lists(
    st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(0, 3_000_000), st.integers(0, 1)),
    max_size=60,
).map(lambda rows: sorted(rows, key=lambda row: row[2]))


@settings(max_examples=60, deadline=None)
@given(rows=event_rows, cuts=st.lists(st.integers(0, 60), max_size=6).map(sorted))
def test_any_cutting_into_chunks_gives_the_same_statistics(rows, cuts):
    recording = recording_of(rows, stop_us=3_100_000)
    whole = statistics.accumulate(recording)
    seen = statistics.begin(WIDTH, HEIGHT)
    for events in np.split(recording.events, cuts):
        seen = statistics.advance(seen, events)
    seen = statistics.advance(seen, empty_events(), until_us=recording.stop_us)
    for field in fields(seen):
        np.testing.assert_array_equal(getattr(seen, field.name), getattr(whole, field.name), field.name)
    assert statistics.summary(seen) == statistics.summary(recording)


def test_an_accumulator_stands_in_for_its_recording(three_pixels):
    seen = statistics.accumulate(three_pixels)
    assert statistics.rate_hz(seen) == statistics.rate_hz(three_pixels)
    assert statistics.on_share(seen) == statistics.on_share(three_pixels)
    assert statistics.polarity_flips(seen) == statistics.polarity_flips(three_pixels)
    np.testing.assert_array_equal(statistics.signed_map(seen), statistics.signed_map(three_pixels))
    assert statistics.spatial_correlation(seen, three_pixels, signed=True) == pytest.approx(1)


def test_advancing_leaves_the_earlier_state_alone(three_pixels):
    earlier = statistics.begin(WIDTH, HEIGHT)
    statistics.advance(earlier, three_pixels.events)
    assert len(earlier) == 0
    assert statistics.summary(earlier) == statistics.summary(
        Recording(events=empty_events(), width=WIDTH, height=HEIGHT)
    )


def test_bins_pair_up_to_cover_any_span(three_pixels):
    """1024 bins of 1 ms cover less than 1.024 s; 5 s need bins of 8 ms (4 ms cover 4.096 s)."""
    seen = statistics.advance(statistics.begin(WIDTH, HEIGHT), three_pixels.events, until_us=1_023_999)
    assert seen.bin_us == 1000
    assert seen.bin_counts[:, :2].tolist() == [[1, 2], [2, 0]]
    seen = statistics.advance(seen, empty_events(), until_us=5_000_000)
    assert seen.bin_us == 8000
    assert seen.bin_counts.sum(axis=1).tolist() == [3, 2]


def test_chunks_out_of_order_are_refused(three_pixels):
    seen = statistics.advance(statistics.begin(WIDTH, HEIGHT), three_pixels.events)
    with pytest.raises(InputError, match="in order of time"):
        statistics.advance(seen, three_pixels.events)
    with pytest.raises(InputError, match="begin at start_us"):
        statistics.advance(statistics.begin(WIDTH, HEIGHT, start_us=200), three_pixels.events)


# Chance


def test_intervals_of_poisson_pixels_are_uniform_quantiles():
    """By construction, whatever the rates (here 0.2 to 20 Hz) and however short the recording.

    The largest distance of n uniform numbers to the diagonal exceeds 1.95 / sqrt(n) once in 1000.
    """
    rates_hz = np.geomspace(0.2, 20, 1200).reshape(30, 40)
    quantiles = np.sort(statistics.interval_quantiles(poisson_recording(rates_hz, seconds=3.0)))
    distance = np.abs(quantiles - (np.arange(quantiles.size) + 0.5) / quantiles.size).max()
    assert quantiles.size > 5000
    assert distance < 1.95 / np.sqrt(quantiles.size)


def test_a_clock_is_not_poisson():
    """Ten ticks at 1, 2, ..., 10 of 10: every interval is 1 of the 11 - i that remain, i to come."""
    clock = recording_of([(0, 0, t, 1) for t in range(100, 1001, 100)], stop_us=1000)
    m = np.arange(10, 0, -1)
    assert statistics.interval_quantiles(clock) == pytest.approx(1 - (1 - 1 / m) ** m)


def test_independent_polarities_flip_half_the_time():
    """Coins flip with probability 1/2; n pairs have a standard error of 0.5 / sqrt(n); five of them."""
    recording = poisson_recording(np.full((20, 20), 20.0), seconds=2.0)
    n = len(recording) - 400
    assert statistics.polarity_flips(recording) == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(n))


def test_a_loud_pixel_among_quiet_ones_is_hot():
    """Also beside another one, and in a corner; and nothing else is hot."""
    rates_hz = np.full((40, 60), 1.0)
    loud = [(0, 0), (17, 31), (17, 32), (39, 30)]
    for y, x in loud:
        rates_hz[y, x] = 100.0
    hot = statistics.hot_pixels(poisson_recording(rates_hz, seconds=2.0))
    assert [tuple(place) for place in np.argwhere(hot).tolist()] == loud


def test_a_bright_line_is_not_hot():
    """Each of its pixels has busy neighbours, though a bound of mean + 5 sd would take it for hot."""
    rates_hz = np.full((40, 60), 1.0)
    rates_hz[:, 30] = 100.0
    recording = poisson_recording(rates_hz, seconds=2.0)
    assert not statistics.hot_pixels(recording).any()


def test_false_alarms_are_as_rare_as_promised():
    """Sound pixels whose rates spread by 30 %: 20 recordings, 0.2 false alarms expected at most.

    More than 3 have a chance below 1e-4 (Poisson).
    """
    rng = np.random.default_rng(5)
    alarms = 0
    for seed in range(20):
        rates_hz = rng.lognormal(0, 0.3, (40, 60))
        alarms += statistics.hot_pixels(poisson_recording(rates_hz, seconds=3.0, seed=seed)).sum()
    assert alarms <= 3


def test_few_events_in_the_dark_are_chance():
    """Three events of a lone pixel and 24 silent neighbours: chance (1/25)**3 = 6.4e-5 a pixel.

    0.01 alarms over 24 pixels allow 4.2e-4 each: hot. Over 346 x 260 pixels, 1.1e-7: not hot.
    """
    events = make_events([3, 3, 3], [2, 2, 2], [10, 20, 30], [1, 1, 1])
    assert statistics.hot_pixels(Recording(events=events, width=8, height=3)).any()
    assert not statistics.hot_pixels(Recording(events=events, width=346, height=260)).any()


# Likeness


def test_a_recording_is_like_itself(three_pixels):
    assert statistics.spatial_correlation(three_pixels, three_pixels) == pytest.approx(1)
    assert statistics.temporal_correlation(three_pixels, three_pixels, bin_us=500) == pytest.approx(1)
    assert statistics.count_ratio(three_pixels, three_pixels) == 1


def test_opposite_polarities_are_opposite_in_the_signed_map(three_pixels):
    rows = [(x, y, t, 1 - p) for x, y, t, p in three_pixels.events.tolist()]
    opposite = recording_of(rows, stop_us=10_000)
    assert statistics.spatial_correlation(three_pixels, opposite, signed=True) == pytest.approx(-1)
    assert statistics.spatial_correlation(three_pixels, opposite) == pytest.approx(1)


def test_pearson_of_two_bins_by_hand():
    """Counts (2, 0, 1) and (0, 0, 3): r = (1 * -1 + -1 * -1 + 0) / sqrt(2 * 6) = 0."""
    a = recording_of([(0, 0, 1, 1), (0, 0, 2, 1), (0, 0, 25, 1)], stop_us=30)
    b = recording_of([(0, 0, 21, 1), (0, 0, 22, 1), (0, 0, 29, 1)], stop_us=30)
    c = recording_of([(0, 0, 5, 1), (0, 0, 29, 1)], stop_us=30)
    assert statistics.temporal_correlation(a, b, bin_us=10) == pytest.approx(0)
    # (1, -1, 0) . (1/3, -2/3, 1/3) / sqrt(2 * 2/3)
    assert statistics.temporal_correlation(a, c, bin_us=10) == pytest.approx(np.sqrt(3) / 2)


def test_only_the_shared_span_is_compared():
    """Watched are [0, 40] and [20, 60]: the shared bins [20, 30), [30, 40] hold (1, 0) in both."""
    a = recording_of([(0, 0, 5, 1), (0, 0, 6, 1), (0, 0, 25, 1)], stop_us=40)
    b = recording_of([(0, 0, 22, 1), (0, 0, 55, 1)], start_us=20, stop_us=60)
    assert statistics.temporal_correlation(a, b, bin_us=10) == pytest.approx(1)


def test_a_blur_forgives_one_pixel():
    """Unblurred maps of one event each, a pixel apart, correlate at -1/23 (one of 24 pixels each)."""
    a, b = recording_of([(2, 2, 0, 1)]), recording_of([(3, 2, 0, 1)])
    assert statistics.spatial_correlation(a, b, sigma_px=0) == pytest.approx(-1 / 23)
    assert statistics.spatial_correlation(a, b, sigma_px=1) > 0.5


def test_halves_of_a_street_scene_are_alike_but_not_the_same(shared_data):
    """Even and odd events of a real recording sample one scene: r near 1, and half of it each."""
    aedat = pytest.importorskip("aedat", reason="reads the real recording")
    packets = aedat.Decoder(str(shared_data / "recordings" / "davis346_traffic.aedat4"))
    raw = np.concatenate([packet["events"] for packet in packets if "events" in packet])
    t_us = raw["t"].astype(np.int64) - int(raw["t"][0])
    columns = raw["x"].astype(np.int16), raw["y"].astype(np.int16), t_us, raw["on"]
    even, odd = (
        Recording(events=make_events(*(column[half::2] for column in columns)), width=346, height=260)
        for half in (0, 1)
    )
    assert statistics.count_ratio(even, odd) == pytest.approx(1, abs=0.01)
    assert 0.9 < statistics.spatial_correlation(even, odd) < 1
    assert statistics.summary(even).hot_pixels == 0


# What is refused


def test_sensors_of_different_size_are_not_compared(three_pixels):
    other = Recording(events=empty_events(), width=WIDTH + 1, height=HEIGHT)
    with pytest.raises(InputError, match="6x4, the second 7x4"):
        statistics.spatial_correlation(three_pixels, other)


def test_spans_that_do_not_meet_are_not_compared():
    early = recording_of([], stop_us=1_000)
    late = recording_of([], start_us=5_000, stop_us=9_000)
    with pytest.raises(InputError, match="fewer than two bins"):
        statistics.temporal_correlation(early, late, bin_us=100)


def test_events_without_a_span_have_no_rate():
    with pytest.raises(InputError, match="stop_us"):
        statistics.rate_hz(recording_of([(0, 0, 0, 1)]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: statistics.count_map(r, 2), "polarity = 2"),
        (lambda r: statistics.rate_over_time(r, 0), "bin_us = 0"),
        (lambda r: statistics.rate_over_time(r, 10, polarity=-1), "polarity = -1"),
        (lambda r: statistics.temporal_correlation(r, r, 0), "bin_us = 0"),
        (lambda r: statistics.spatial_correlation(r, r, -1), "sigma_px = -1"),
        (lambda r: statistics.hot_pixels(r, false_alarms=0), "false_alarms = 0"),
        (lambda r: statistics.hot_pixels(r, ratio=0.5), "ratio = 0.5"),
    ],
)
def test_parameters_out_of_range_are_named(three_pixels, call, message):
    with pytest.raises(ParameterError, match=message):
        call(three_pixels)
