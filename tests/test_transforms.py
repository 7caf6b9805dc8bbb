"""Own transforms give what tonic's give where tonic is right, and what follows from the definition where it is not.

Streams may be cut anywhere: what comes out is the same.
"""

from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
import tonic.transforms as theirs
from hypothesis import given, settings
from hypothesis import strategies as st

from dvs import transforms as ours
from dvs.errors import InputError, ParameterError
from dvs.events import EVENT_DTYPE, make_events

WIDTH, HEIGHT = 12, 9
SIZE = (WIDTH, HEIGHT, 2)
LATER_US = 100_000  # tonic's Denoise takes silent pixels for active ones until the filter time has passed

# Those of tonic's data sets: its own reader, N-MNIST, CIFAR10-DVS, TUM-VIE, NERDD.
DTYPES = [
    EVENT_DTYPE,
    np.dtype([("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "?")]),
    np.dtype([("x", int), ("y", int), ("t", int), ("p", int)]),
    np.dtype([("t", "u8"), ("x", "u2"), ("y", "u2"), ("p", "?")]),
    np.dtype([("p", int), ("t", int), ("x", int), ("y", int)]),
    np.dtype([("t", "i4"), ("x", "i2"), ("y", "i2"), ("p", "u1")]),
]
every_dtype = pytest.mark.parametrize(
    "dtype", DTYPES, ids=lambda dtype: ",".join(f"{n}:{dtype[n]}" for n in dtype.names)
)


def random_events(count=3000, seed=0, span_us=200_000, first_us=LATER_US):
    rng = np.random.default_rng(seed)
    t_us = first_us + np.sort(rng.integers(0, span_us, count))
    return make_events(rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count), t_us, rng.integers(0, 2, count))


def as_dtype(events, dtype):
    other = np.empty(events.size, dtype)
    for name in dtype.names:
        other[name] = events[name]
    return other


@st.composite
def sorted_events(draw):
    """Few pixels and few times, so that equal times, repeats and neighbours are common."""
    count = draw(st.integers(0, 40))
    columns = [draw(st.lists(st.integers(0, high), min_size=count, max_size=count)) for high in (3, 2, 60, 1)]
    x, y, t, p = (np.array(column, int) for column in columns)
    return make_events(x, y, np.sort(t), p)


# Streams

STREAMED = [
    ours.Denoise(filter_time=7),
    ours.RefractoryPeriod(delta=9),
    ours.Decimation(n=3),
    ours.EventPooling(sensor_size=(4, 3, 2), target_size=(2, 2), threshold=2),
    ours.DropPixel(coordinates=[(1, 0), (3, 2)]),
    ours.DropPixel(coordinates=np.eye(3, 4, dtype=bool)),
    ours.Downsample(time_factor=0.5, spatial_factor=0.5),
    ours.Crop(1, 0, 2, 2),
    ours.CenterCrop(sensor_size=(4, 3, 2), size=(2, 3)),
    ours.MergePolarities(),
    ours.OnlyPolarity(1),
    ours.FlipPolarity(),
    ours.FlipLR(sensor_size=(4, 3, 2)),
    ours.FlipUD(sensor_size=(4, 3, 2)),
    ours.Compose([ours.RefractoryPeriod(delta=4), ours.Denoise(filter_time=9), ours.FlipPolarity()]),
]


@pytest.mark.parametrize("transform", STREAMED, ids=lambda transform: type(transform).__name__)
@settings(deadline=None, max_examples=60)
@given(events=sorted_events(), cuts=st.lists(st.integers(0, 40), max_size=4))
def test_how_a_stream_is_cut_does_not_show(transform, events, cuts):
    before = events.copy()
    whole = transform(events)
    pieces = list(transform.stream(np.split(events, sorted(cuts))))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert whole.dtype == events.dtype
    np.testing.assert_array_equal(events, before)


@pytest.mark.parametrize("transform", STREAMED, ids=lambda transform: type(transform).__name__)
def test_a_copy_of_the_state_goes_on_from_the_same_place(transform):
    """All that a transform remembers is in its state."""
    events = random_events(60, first_us=0)
    events["x"] %= 4
    events["y"] %= 3
    _, state = transform.advance(transform.start(), events[:30])
    first, second = (transform.advance(copied, events[30:])[0] for copied in (deepcopy(state), state))
    np.testing.assert_array_equal(first, second)


def test_a_stream_refuses_what_needs_all_events():
    with pytest.raises(ParameterError, match=r"ToImage.*needs all events at once"):
        ours.Compose([ours.ToImage(SIZE)]).start()
    with pytest.raises(ParameterError, match="give their coordinates"):
        ours.DropPixel(hot_pixel_frequency=10).start()


# The same as tonic


@every_dtype
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Denoise", {"filter_time": 500}),
        ("Decimation", {"n": 3}),
        ("Downsample", {"spatial_factor": 0.25, "time_factor": 0.5}),
        ("Downsample", {"spatial_factor": (0.5, 0.75)}),
        ("Downsample", {"sensor_size": SIZE, "target_size": (6, 3)}),
        ("CenterCrop", {"sensor_size": SIZE, "size": (6, 4)}),
        ("CenterCrop", {"sensor_size": SIZE, "size": 5}),
        ("MergePolarities", {}),
        ("DropPixel", {"coordinates": [(0, 0), (3, 4), (11, 8)]}),
        ("DropPixel", {"hot_pixel_frequency": 150}),
        ("ToFrame", {"sensor_size": SIZE, "time_window": 30_000}),
        ("ToFrame", {"sensor_size": SIZE, "time_window": 30_000, "overlap": 5000, "include_incomplete": True}),
        ("ToFrame", {"sensor_size": SIZE, "time_window": 30_000, "start_time": 0, "end_time": 400_000}),
        ("ToFrame", {"sensor_size": SIZE, "event_count": 700}),
        ("ToFrame", {"sensor_size": SIZE, "event_count": 700, "overlap": 100, "include_incomplete": True}),
        ("ToFrame", {"sensor_size": SIZE, "event_count": 7000}),
        ("ToFrame", {"sensor_size": SIZE, "n_event_bins": 10}),
        ("ToFrame", {"sensor_size": None, "event_count": 1000}),
        ("ToImage", {"sensor_size": SIZE}),
        ("ToTimesurface", {"sensor_size": SIZE, "dt": 30_000, "tau": 10_000}),
    ],
)
def test_results_are_those_of_tonic(name, arguments, dtype):
    events = as_dtype(random_events(), dtype)
    mine = getattr(ours, name)(**arguments)(events)
    reference = getattr(theirs, name)(**arguments)(events.copy())
    assert mine.dtype == reference.dtype
    np.testing.assert_array_equal(mine, reference)
    assert mine.size


@every_dtype
def test_a_voxel_grid_is_tonic_s_whatever_the_polarity_is_written_in(dtype):
    """tonic is right for a signed 0/1; those are the numbers for all."""
    events = random_events()
    reference = theirs.ToVoxelGrid(sensor_size=SIZE, n_time_bins=7)(events)
    grid = ours.ToVoxelGrid(sensor_size=SIZE, n_time_bins=7)(as_dtype(events, dtype))
    assert (grid.shape, grid.dtype) == (reference.shape, reference.dtype)
    np.testing.assert_allclose(grid, reference, atol=1e-9)


@pytest.mark.parametrize("decay", ["exp", "lin"])
def test_averaged_surfaces_are_those_of_tonic(decay):
    """12 x 9 pixels in cells of 5 are 3 x 2 cells, the last ones cut off. Times are below 2**24."""
    options = {"sensor_size": SIZE, "surface_size": 3, "cell_size": 5, "time_window": 9000, "tau": 4000, "decay": decay}
    events = random_events(500)
    mine = ours.ToAveragedTimesurface(**options)(events)
    reference = theirs.ToAveragedTimesurface(**options)(events)
    assert (mine.shape, mine.dtype) == (reference.shape, reference.dtype) == ((6, 2, 3, 3), np.float32)
    np.testing.assert_allclose(mine, reference, rtol=1e-4)


def test_the_refractory_period_is_tonic_s_where_no_dropped_event_matters():
    """Each pixel fires in pairs 10 us apart, pairs 1000 us apart; the second of each is dropped by both."""
    starts = np.arange(1, 200) * 1000
    t_us = np.sort(np.concatenate([starts, starts + 10]))
    events = make_events(np.zeros(t_us.size, int), np.zeros(t_us.size, int), t_us, np.ones(t_us.size, int))
    mine = ours.RefractoryPeriod(delta=100)(events)
    np.testing.assert_array_equal(mine, theirs.RefractoryPeriod(delta=100)(events))
    np.testing.assert_array_equal(mine["t"], starts)


@given(events=sorted_events(), filter_time=st.integers(0, 30))
@settings(deadline=None, max_examples=100)
def test_an_event_is_noise_unless_one_of_four_neighbours_fired_within_the_filter_time(events, filter_time):
    """The definition, pair by pair."""
    expected = [
        any(
            abs(int(a["x"]) - int(b["x"])) + abs(int(a["y"]) - int(b["y"])) == 1 and b["t"] - a["t"] < filter_time
            for a in events[:k]
        )
        for k, b in enumerate(events)
    ]
    kept = ours.Denoise(filter_time=filter_time)(events)
    np.testing.assert_array_equal(kept, events[np.array(expected, bool)])


@given(events=sorted_events(), delta=st.integers(0, 30))
@settings(deadline=None, max_examples=100)
def test_a_dead_time_counts_from_the_last_event_that_was_kept(events, delta):
    """The definition, event by event."""
    last, expected = {}, []
    for event in events:
        pixel = int(event["x"]), int(event["y"])
        if pixel not in last or event["t"] - last[pixel] > delta:
            last[pixel] = event["t"]
            expected.append(event)
    kept = ours.RefractoryPeriod(delta=delta)(events)
    np.testing.assert_array_equal(kept, np.array(expected, EVENT_DTYPE))


# Where tonic is wrong


def test_a_pixel_faster_than_its_dead_time_is_heard_at_every_second_event():
    """Every 6 us under 10 us: 6 < 10 < 12. tonic hears the first one only."""
    t_us = 6 * np.arange(1, 101)
    events = make_events(np.zeros(100, int), np.zeros(100, int), t_us, np.ones(100, int))
    assert ours.RefractoryPeriod(delta=10)(events)["t"].tolist() == t_us[::2].tolist()


def test_the_first_event_survives_the_dead_time_even_at_zero():
    events = make_events([1], [1], [0], [1])
    assert ours.RefractoryPeriod(delta=10)(events).size == 1


def test_a_lone_event_is_noise_at_any_time():
    """Also before the filter time has passed for the first time."""
    assert ours.Denoise(filter_time=1000)(make_events([5], [5], [3], [1])).size == 0


def test_frames_count_beyond_sixteen_bits():
    """40 000 events in a pixel; tonic has 40000 - 65536."""
    count = 40_000
    events = make_events(np.ones(count, int), np.ones(count, int), np.arange(count), np.ones(count, int))
    frames = ours.ToFrame(sensor_size=SIZE, n_event_bins=1)(events)
    assert frames.dtype == np.int32
    assert frames[0, 1, 1, 1] == frames.sum() == count
    assert ours.ToFrame(sensor_size=SIZE, n_event_bins=2)(events).dtype == np.int16


@pytest.mark.parametrize("count", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    "way",
    [
        {"n_time_bins": 7},
        {"n_event_bins": 7},
        {"time_window": 999, "include_incomplete": True},
        {"time_window": 9990, "include_incomplete": True},
        {"event_count": 7, "include_incomplete": True},
    ],
    ids=str,
)
def test_every_event_is_in_one_frame(way, count):
    """Events 10 us apart: 1000 of them span 9990 us, ten windows of 999 us to the last event."""
    events = random_events(count)
    events["t"] = 10 * np.arange(count)
    frames = ours.ToFrame(sensor_size=SIZE, **way)(events)
    np.testing.assert_array_equal(frames.sum(axis=0), ours.ToImage(SIZE)(events))
    assert frames.sum() == count


@given(times=st.lists(st.integers(0, 1000), min_size=1, max_size=30), bins=st.integers(1, 9))
@settings(deadline=None)
def test_time_bins_are_of_equal_length(times, bins):
    """Bin k holds the events with k <= bins (t - first) / span < k + 1, in whole numbers; the last one the last."""
    t = np.sort(np.array(times)) + 2**50
    events = make_events(np.zeros(t.size, int), np.zeros(t.size, int), t, np.ones(t.size, int))
    span = int(t[-1] - t[0])
    expected = np.bincount(np.minimum(bins * (t - t[0]) // max(span, 1), bins - 1), minlength=bins)
    frames = ours.ToFrame(sensor_size=SIZE, n_time_bins=bins)(events)
    np.testing.assert_array_equal(frames.sum(axis=(1, 2, 3)), expected)


def test_bins_that_overlap_share_events_and_reach_the_end():
    """1000 events, one a us, in 4 bins of 250 (of 249.75 us): each made longer by half, but for the end."""
    events = random_events(1000)
    events["t"] = np.arange(1000)
    by_events = ours.ToFrame(sensor_size=SIZE, n_event_bins=4, overlap=0.5)(events)
    assert by_events.sum(axis=(1, 2, 3)).tolist() == [375, 375, 375, 250]
    by_time = ours.ToFrame(sensor_size=SIZE, n_time_bins=4, overlap=0.5)(events)
    # 374.625 us from 0, 249.75, 499.5 and 749.25: events 0-374, 250-624, 500-874, 750-999.
    assert by_time.sum(axis=(1, 2, 3)).tolist() == [375, 375, 375, 250]


@pytest.mark.parametrize(
    "write", [lambda p: p.astype(bool), lambda p: p.astype("u1"), lambda p: 2 * p.astype("i1") - 1]
)
def test_polarity_means_the_same_however_it_is_written(write):
    """bool, unsigned and -1/+1 give the frames, grids and surfaces of 0/1."""
    events = random_events()
    p = write(events["p"])
    other = as_dtype(events, np.dtype([("t", "i8"), ("p", p.dtype), ("y", "i2"), ("x", "i2")]))
    other["p"] = p
    for transform in (
        ours.ToFrame(sensor_size=SIZE, n_time_bins=4),
        ours.ToVoxelGrid(sensor_size=SIZE, n_time_bins=4),
        ours.ToTimesurface(sensor_size=SIZE, dt=50_000, tau=10_000),
        ours.ToAveragedTimesurface(sensor_size=SIZE),
    ):
        np.testing.assert_array_equal(transform(other), transform(events))
    for polarity in (0, 1):
        np.testing.assert_array_equal(ours.OnlyPolarity(polarity)(other)["t"], events["t"][events["p"] == polarity])
    np.testing.assert_array_equal(ours.FlipPolarity()(other)["p"], 1 - events["p"])


def test_no_events_make_what_some_events_make_but_empty():
    """Shapes and dtypes are those of other recordings, so they stack."""
    none, some = random_events(0), random_events(50)
    for transform, count in [
        (ours.ToFrame(sensor_size=SIZE, n_time_bins=4), 4),
        (ours.ToFrame(sensor_size=SIZE, n_event_bins=4), 4),
        (ours.ToFrame(sensor_size=SIZE, time_window=10), 1),
        (ours.ToFrame(sensor_size=SIZE, time_window=10, start_time=0, end_time=50), 5),
        (ours.ToFrame(sensor_size=SIZE, event_count=10), 1),
        (ours.ToVoxelGrid(sensor_size=SIZE, n_time_bins=4), 4),
        (ours.ToTimesurface(sensor_size=SIZE, dt=10, tau=10), 1),
        (ours.ToAveragedTimesurface(sensor_size=SIZE), 2),
    ]:
        result, other = transform(none), transform(some)
        assert result.shape == (count, *other.shape[1:])
        assert result.dtype == other.dtype
        assert not result.any()
    assert ours.ToImage(SIZE)(none).shape == (2, HEIGHT, WIDTH)


def test_one_event_is_one_in_a_voxel_grid():
    """All of it in bin 0: no time has passed. tonic has NaN."""
    grid = ours.ToVoxelGrid(sensor_size=SIZE, n_time_bins=3)(make_events([2], [1], [77], [0]))
    assert grid[0, 0, 1, 2] == grid.sum() == -1


def test_pixel_49_of_49_is_1():
    """49 * (1 / 49) is 0.999... in floating point; times as long as an epoch stay exact too."""
    events = make_events([49, 48], [98, 97], [1_700_000_000_000_007, 1_700_000_000_000_009], [1, 0])
    small = ours.Downsample(spatial_factor=1 / 49, time_factor=0.1)(events)
    assert small["x"].tolist() == [1, 0]
    assert small["y"].tolist() == [2, 1]
    assert small["t"].tolist() == [170_000_000_000_000, 170_000_000_000_000]
    target = ours.Downsample(sensor_size=(98, 98, 2), target_size=(2, 2))(events[1:])
    assert (target["x"][0], target["y"][0]) == (0, 1)


def test_a_data_set_of_one_dimension_makes_frames_of_one_dimension():
    """Spoken digits have x, t and p = 1 only: (T, 1, W), as tonic has it."""
    dtype = np.dtype([("t", int), ("x", int), ("p", int)])
    rng = np.random.default_rng(0)
    sound = np.zeros(200, dtype)
    sound["t"], sound["x"], sound["p"] = np.sort(rng.integers(0, 1000, 200)), rng.integers(0, 70, 200), 1
    mine = ours.ToFrame(sensor_size=(70, 1, 1), time_window=100)(sound)
    reference = theirs.ToFrame(sensor_size=(70, 1, 1), time_window=100)(sound.copy())
    np.testing.assert_array_equal(mine, reference)
    assert mine.shape[1:] == (1, 70)


def test_times_may_be_fractions():
    """In seconds the same events are noise and refractory as in microseconds."""
    events = random_events()
    seconds = as_dtype(events, np.dtype([("x", "i2"), ("y", "i2"), ("t", "f8"), ("p", "i1")]))
    seconds["t"] = events["t"] / 2**20  # exact
    for transform, scaled in [
        (ours.Denoise(filter_time=512), ours.Denoise(filter_time=512 / 2**20)),
        (ours.RefractoryPeriod(delta=9000), ours.RefractoryPeriod(delta=9000 / 2**20)),
    ]:
        kept = transform(events)
        assert 0 < kept.size < events.size
        np.testing.assert_array_equal(scaled(seconds)["t"] * 2**20, kept["t"])


# The rest


def test_decimation_keeps_a_third_of_each_pixel():
    """Of k events of a pixel floor(k / 3) are kept."""
    events = random_events()
    counts, kept = (np.zeros((HEIGHT, WIDTH), int) for _ in range(2))
    np.add.at(counts, (events["y"], events["x"]), 1)
    third = ours.Decimation(n=3)(events)
    np.add.at(kept, (third["y"], third["x"]), 1)
    np.testing.assert_array_equal(kept, counts // 3)


@given(
    t=st.lists(st.integers(-(2**53), 2**53) | st.integers(-200, 200), min_size=1, max_size=20),
    factor=st.sampled_from(
        [Fraction(1, 1000), Fraction(2, 3), Fraction(1, 49), Fraction(999_983, 10**6), Fraction(7, 2)]
    ),
)
@settings(deadline=None)
def test_times_are_multiplied_as_fractions_and_rounded_down(t, factor):
    """floor(t * factor) in whole numbers, for a factor given in floating point."""
    t = np.sort(np.array(t))
    events = make_events(np.zeros(t.size, int), np.zeros(t.size, int), t, np.ones(t.size, int))
    expected = [int(one) * factor.numerator // factor.denominator for one in t]
    assert ours.Downsample(time_factor=float(factor))(events)["t"].tolist() == expected


@given(events=sorted_events(), threshold=st.integers(1, 4))
@settings(deadline=None, max_examples=100)
def test_pooling_keeps_on_minus_off_to_within_the_threshold(events, threshold):
    """A neuron holds what it has integrated less what it sent, and that is less than the threshold."""
    pooled = ours.EventPooling(sensor_size=(4, 3, 2), target_size=(2, 1), threshold=threshold)(events)
    came, sent = np.zeros((1, 2), int), np.zeros((1, 2), int)
    np.add.at(came, (events["y"] // 3, events["x"] // 2), 2 * events["p"].astype(int) - 1)
    np.add.at(sent, (pooled["y"], pooled["x"]), 2 * pooled["p"].astype(int) - 1)
    assert (np.abs(came - threshold * sent) < threshold).all()
    assert (np.diff(pooled["t"]) >= 0).all()


def test_pooling_cancels_what_flickers():
    """ON and OFF in turn of neighbours in one block never reach 2, three ON events do once."""
    flicker = make_events([0, 1] * 10, [0] * 20, np.arange(20), [1, 0] * 10)
    pool = ours.EventPooling(sensor_size=(4, 4, 2), target_size=(2, 2), threshold=2)
    assert pool(flicker).size == 0
    sent = pool(make_events([2, 3, 2], [3, 2, 2], [5, 6, 7], [1, 1, 1]))
    assert sent.tolist() == [(1, 1, 6, 1)]


def test_a_crop_moves_its_corner_to_the_origin():
    events = make_events([2, 3, 4, 5], [1, 1, 2, 2], [0, 1, 2, 3], [1, 1, 1, 1])
    assert ours.Crop(3, 1, 2, 2)(events).tolist() == [(0, 0, 1, 1), (1, 1, 2, 1)]


def test_mirrors_are_their_own_inverse():
    events = random_events()
    for mirror in (ours.FlipLR(SIZE), ours.FlipUD(SIZE), ours.FlipPolarity()):
        assert (mirror(events) != events).any()
        np.testing.assert_array_equal(mirror(mirror(events)), events)
    assert ours.FlipLR(SIZE)(make_events([0], [2], [0], [1])).tolist() == [(WIDTH - 1, 2, 0, 1)]
    assert ours.FlipUD(SIZE)(make_events([0], [2], [0], [1])).tolist() == [(0, HEIGHT - 3, 0, 1)]


def test_own_and_tonic_s_transforms_compose():
    """In tonic's Compose as in the own one; and no events make frames all the same."""
    steps = [ours.Denoise(filter_time=500), theirs.TimeJitter(std=0.0), ours.ToFrame(sensor_size=SIZE, n_time_bins=3)]
    events = random_events()
    np.testing.assert_array_equal(ours.Compose(steps)(events), theirs.Compose(steps)(events))
    assert ours.Compose([steps[0], steps[2]])(events[:1]).shape == (3, 2, HEIGHT, WIDTH)


def test_events_may_be_every_second_of_an_array():
    """A view whose events are not next to each other."""
    events = random_events()
    for transform in (ours.Denoise(filter_time=500), ours.FlipLR(SIZE), ours.ToFrame(SIZE, n_time_bins=3)):
        np.testing.assert_array_equal(transform(events[::2]), transform(events[::2].copy()))


# What is refused


@pytest.mark.parametrize(
    "make",
    [
        lambda: ours.ToFrame(sensor_size=SIZE),
        lambda: ours.ToFrame(sensor_size=SIZE, event_count=3, n_time_bins=3),
        lambda: ours.ToFrame(sensor_size=SIZE, time_window=10, overlap=10)(random_events(3)),
        lambda: ours.ToFrame(sensor_size=SIZE, event_count=10, overlap=10)(random_events(3)),
        lambda: ours.ToFrame(sensor_size=SIZE, n_time_bins=0)(random_events(3)),
        lambda: ours.ToFrame(sensor_size=SIZE, n_event_bins=3, overlap=1)(random_events(3)),
        lambda: ours.ToVoxelGrid(sensor_size=SIZE, n_time_bins=0),
        lambda: ours.ToTimesurface(sensor_size=SIZE, dt=0, tau=1),
        lambda: ours.ToAveragedTimesurface(sensor_size=SIZE, surface_size=4),
        lambda: ours.ToAveragedTimesurface(sensor_size=SIZE, tau=0),
        lambda: ours.ToAveragedTimesurface(sensor_size=SIZE, decay="log"),
        lambda: ours.Denoise(filter_time=-1),
        lambda: ours.Denoise(filter_time=float("nan")),
        lambda: ours.RefractoryPeriod(delta=-1),
        lambda: ours.RefractoryPeriod(delta=(0, 10)),
        lambda: ours.Decimation(n=0),
        lambda: ours.Decimation(n=1.5),
        lambda: ours.EventPooling(sensor_size=SIZE, target_size=(3, 3), threshold=0),
        lambda: ours.EventPooling(sensor_size=SIZE, target_size=(30, 3)),
        lambda: ours.DropPixel(),
        lambda: ours.DropPixel(coordinates=[(1, 1)], hot_pixel_frequency=3),
        lambda: ours.DropPixel(hot_pixel_frequency=0),
        lambda: ours.DropPixel(coordinates=[(1, 1, 1)])(random_events(3)),
        lambda: ours.DropPixel(coordinates=[(-1, 1)])(random_events(3)),
        lambda: ours.Downsample(spatial_factor=0),
        lambda: ours.Downsample(target_size=(3, 3)),
        lambda: ours.Crop(0, 0, 0, 3),
        lambda: ours.OnlyPolarity(2),
    ],
)
def test_parameters_out_of_range_are_refused(make):
    with pytest.raises(ParameterError, match=r"expected|give"):
        make()


NEED_ORDER = [
    ours.Denoise(filter_time=5),
    ours.RefractoryPeriod(delta=5),
    ours.ToFrame(sensor_size=SIZE, n_time_bins=2),
    ours.ToVoxelGrid(sensor_size=SIZE, n_time_bins=2),
    ours.ToTimesurface(sensor_size=SIZE, dt=5, tau=5),
]


@pytest.mark.parametrize("transform", NEED_ORDER, ids=lambda transform: type(transform).__name__)
def test_events_out_of_order_are_refused(transform):
    with pytest.raises(InputError, match=r"events\[2\] is at 4, after one at 9; sort"):
        transform(make_events([1, 1, 1], [1, 1, 1], [5, 9, 4], [1, 1, 1]))


ON_SENSOR = [
    ours.ToFrame(sensor_size=SIZE, event_count=2),
    ours.ToVoxelGrid(sensor_size=SIZE, n_time_bins=2),
    ours.ToTimesurface(sensor_size=SIZE, dt=5, tau=5),
    ours.ToAveragedTimesurface(sensor_size=SIZE),
    ours.FlipLR(SIZE),
    ours.EventPooling(sensor_size=SIZE, target_size=(3, 3)),
]


@pytest.mark.parametrize(("x", "y"), [(WIDTH, 0), (0, HEIGHT), (-1, 0), (0, -1)])
@pytest.mark.parametrize("transform", ON_SENSOR, ids=lambda transform: type(transform).__name__)
def test_events_off_the_sensor_are_refused(transform, x, y):
    with pytest.raises(InputError, match=r"[xy] goes from .*, expected 0 to .*; give the right sensor_size, or crop"):
        transform(make_events([1, x], [1, y], [0, 3], [1, 1]))


def test_what_is_no_events_is_refused():
    for wrong in (np.zeros((5, 4)), np.zeros(3, [("x", int), ("t", int)]), random_events(4).reshape(2, 2)):
        with pytest.raises(InputError, match="events have"):
            ours.Denoise(filter_time=5)(wrong)


def test_coordinates_that_a_dtype_cannot_hold_are_refused():
    """260 pixels in the middle of 300 begin at 20, and 250 + 20 is no byte."""
    events = as_dtype(make_events([250], [0], [0], [1]), np.dtype([("x", "u1"), ("y", "u1"), ("t", int), ("p", int)]))
    with pytest.raises(InputError, match="x would go from 270 to 270, which its dtype uint8 cannot hold"):
        ours.CenterCrop(sensor_size=(260, 10, 2), size=(300, 10))(events)


def test_a_sensor_of_one_polarity_takes_one_polarity():
    events = random_events()
    with pytest.raises(InputError, match="ON and OFF, but the sensor has one polarity"):
        ours.ToFrame(sensor_size=(WIDTH, HEIGHT, 1), n_event_bins=2)(events)
    on = ours.OnlyPolarity(1)(events)
    assert ours.ToFrame(sensor_size=(WIDTH, HEIGHT, 1), n_event_bins=2)(on).sum() == on.size
