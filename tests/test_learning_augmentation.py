"""What each augmentation does to a recording, what it leaves alone, and that its chance is that of its generator."""

import numpy as np
import pytest
from brian2 import Hz, ms, second, us
from tonic import transforms

from dvs.errors import InputError, ParameterError
from dvs.events import Recording, make_events
from learning.augmentation import (
    add_noise,
    chain,
    drop_events,
    flip,
    from_tonic,
    jitter_place,
    jitter_time,
    rotate,
    shift,
)

WIDTH, HEIGHT, START_US, STOP_US = 34, 30, 1_000, 101_000
SIZE = (WIDTH, HEIGHT)

ALL = {
    "flip": flip(1.0),
    "shift": shift(5),
    "rotate": rotate(30),
    "jitter_place": jitter_place(2.0),
    "jitter_time": jitter_time(5 * ms),
    "drop_events": drop_events(0.3),
    "add_noise": add_noise(2 * Hz),
    "tonic": from_tonic(transforms.SpatialJitter(sensor_size=(WIDTH, HEIGHT, 2), var_x=9, var_y=9)),
    "chain": chain(flip(), shift(2), jitter_time(1 * ms), add_noise(1 * Hz)),
}
every_augmentation = pytest.mark.parametrize("augment", ALL.values(), ids=ALL)


@pytest.fixture
def recording():
    """2000 events at any place and time."""
    rng = np.random.default_rng(1)
    columns = (rng.integers(0, limit, 2000) for limit in (WIDTH, HEIGHT))
    t = np.sort(rng.integers(START_US, STOP_US, 2000))
    return recorded(*columns, t, rng.integers(0, 2, 2000))


def recorded(x, y, t, p):
    events = make_events(x, y, t, p)
    return Recording(
        events=events, width=WIDTH, height=HEIGHT, start_us=START_US, stop_us=STOP_US, provenance={"seed": 1}
    )


def a_point(x=17, y=15, count=4000):
    """ON events of one pixel at half time."""
    return recorded(*(np.full(count, value) for value in (x, y, (START_US + STOP_US) // 2, 1)))


def chance(seed=0):
    return np.random.default_rng(seed)


# What all have in common


@every_augmentation
def test_what_comes_out_is_a_recording_of_the_same_sensor_and_span(augment, recording):
    """Order, places and span are checked whenever a `Recording` is made."""
    out = augment(recording, chance())
    assert (out.width, out.height) == SIZE
    assert (out.start_us, out.stop_us) == (START_US, STOP_US)
    assert out.provenance == {"seed": 1}
    assert len(out) > 0


@every_augmentation
def test_the_recording_that_goes_in_is_left_as_it_is(augment, recording):
    before = recording.events.copy()
    augment(recording, chance())
    np.testing.assert_array_equal(recording.events, before)


@every_augmentation
def test_the_generator_alone_decides(augment, recording):
    """The same with generators of the same seed, whatever NumPy's global one does, which is left as it is."""
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    first = augment(recording, chance(5)).events
    assert np.random.random() == expected  # noqa: NPY002
    np.testing.assert_array_equal(augment(recording, chance(5)).events, first)
    if augment is not ALL["flip"]:
        assert not np.array_equal(augment(recording, chance(6)).events, first)


@every_augmentation
def test_silence_stays_silent(augment):
    silence = recorded([], [], np.array([], int), [])
    assert augment(silence, chance()) is silence


@pytest.mark.parametrize("make", [flip, shift, rotate, jitter_place, add_noise], ids=lambda make: make.__name__)
def test_events_without_a_recording_need_the_size_of_the_sensor(make, recording):
    amount = {"flip": 0.5, "shift": 3, "rotate": 10, "jitter_place": 1.0, "add_noise": 3 * Hz}[make.__name__]
    events = recording.events.copy()
    with pytest.raises(InputError, match=r"does not know its sensor; give size=\(width, height\)"):
        make(amount)(events, chance())
    out = make(amount, size=SIZE)(events, chance())
    assert out.dtype == events.dtype
    assert out["x"].max() < WIDTH


def test_times_and_losses_need_no_size(recording):
    for augment in (jitter_time(1 * ms), drop_events(0.5)):
        assert len(augment(recording.events, chance())) > 0


# What each does


def test_a_chain_is_one_after_the_other(recording):
    there_and_back = chain(flip(1.0), flip(1.0, axis="y"), flip(1.0), flip(1.0, axis="y"))
    np.testing.assert_array_equal(there_and_back(recording, chance()).events, recording.events)
    np.testing.assert_array_equal(chain()(recording, chance()).events, recording.events)


def test_a_mirror_maps_the_first_column_to_the_last_and_the_first_row_to_the_last(recording):
    np.testing.assert_array_equal(flip(1.0)(recording, chance()).events["x"], WIDTH - 1 - recording.events["x"])
    out = flip(1.0, axis="y")(recording, chance()).events
    np.testing.assert_array_equal(out["y"], HEIGHT - 1 - recording.events["y"])
    np.testing.assert_array_equal(out["x"], recording.events["x"])


def test_a_mirror_is_used_as_often_as_it_should(recording):
    """1000 trials of probability 0.3: 300, with a standard deviation of 14.5; five of those."""
    rng, few = chance(), recorded([0], [0], [START_US], [1])
    flipped = sum(flip(0.3)(few, rng).events["x"][0] == WIDTH - 1 for _ in range(1000))
    assert flipped == pytest.approx(300, abs=73)


def test_shifts_move_all_events_alike_by_each_whole_number_equally_often():
    """25 pairs (dx, dy) for at most 2 pixels: 1000 trials have 40 of each, standard deviation 6.2."""
    rng, two = chance(), recorded([10, 20], [12, 7], [START_US, STOP_US], [1, 0])
    moves = np.zeros((5, 5), int)
    for _ in range(1000):
        events = shift(2)(two, rng).events
        dx, dy = events["x"] - [10, 20], events["y"] - [12, 7]
        assert dx[0] == dx[1]
        assert dy[0] == dy[1]
        moves[dx[0], dy[0]] += 1  # -1 is the last but one
    assert moves == pytest.approx(40, abs=31)


def test_what_is_shifted_off_the_sensor_is_lost():
    """An event in the corner stays for 3 of 5 moves along each axis: 9 of 25."""
    rng, corner = chance(), recorded([0], [0], [START_US], [1])
    kept = sum(len(shift(2)(corner, rng)) for _ in range(1000))
    assert kept == pytest.approx(360, abs=76)


def test_rotation_keeps_the_distance_from_the_centre():
    """To the rounding of a pixel, 1/sqrt(2) at most; turned by no more than asked, and by what is between."""
    rng, middle = chance(), np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    point = recorded([27], [15], [START_US], [1])  # 10.5 and 0.5 from the middle
    angles = []
    for _ in range(300):
        (event,) = rotate(20)(point, rng).events
        dx, dy = np.array([event["x"], event["y"]]) - middle
        assert np.hypot(dx, dy) == pytest.approx(np.hypot(10.5, 0.5), abs=2**-0.5)
        angles.append(np.rad2deg(np.arctan2(dy, dx) - np.arctan2(0.5, 10.5)))
    assert max(angles) == pytest.approx(20, abs=4)
    assert min(angles) == pytest.approx(-20, abs=4)


def test_jitter_of_places_has_its_standard_deviation_and_no_bias():
    """4000 events; rounding to pixels adds a variance of 1/12."""
    events = jitter_place(1.5)(a_point(), chance()).events
    for axis, middle in (("x", 17), ("y", 15)):
        assert events[axis].mean() == pytest.approx(middle, abs=5 * 1.53 / 4000**0.5)
        assert events[axis].std() == pytest.approx((1.5**2 + 1 / 12) ** 0.5, rel=0.06)


def test_jitter_of_times_has_its_standard_deviation_and_no_bias():
    """Far from the ends of the span, at 51 ms, no event is lost, and they are in order again."""
    events = jitter_time(2 * ms)(a_point(), chance()).events
    assert events.size == 4000
    assert events["t"].mean() == pytest.approx(51_000, abs=5 * 2000 / 4000**0.5)
    assert events["t"].std() == pytest.approx(2000, rel=0.06)
    assert (np.diff(events["t"]) >= 0).all()


def test_what_is_moved_out_of_the_watched_span_is_lost():
    """At the start of the span every second event goes before it; five standard deviations."""
    at_start = recorded(*(np.full(4000, value) for value in (3, 3, START_US, 1)))
    assert len(jitter_time(100 * us)(at_start, chance())) == pytest.approx(2000 + 8, abs=5 * 1000**0.5)


def test_times_of_many_years_keep_their_microseconds():
    late_us = 10**16 + 1  # which float64 does not have
    events = make_events([1], [1], [late_us], [1])
    recording = Recording(events=events, width=4, height=4, stop_us=late_us + 1)
    assert shift(0)(recording, chance()).events["t"].tolist() == [late_us]


def test_each_event_is_lost_on_its_own():
    """Binomial: 4000 of 0.7, standard deviation 29."""
    assert len(drop_events(0.3)(a_point(), chance())) == pytest.approx(2800, abs=145)
    assert len(drop_events(0.0)(a_point(), chance())) == 4000


def test_noise_has_its_rate_in_every_pixel_and_both_polarities():
    """Poisson: 20 Hz * 0.1 s * 34 * 30 pixels = 2040 events, standard deviation 45; the first is the sample's."""
    one = recorded([0], [0], [START_US], [1])
    noise = add_noise(20 * Hz)(one, chance()).events[1:]
    assert noise.size == pytest.approx(2040, abs=5 * 45)
    assert noise["p"].mean() == pytest.approx(0.5, abs=5 * 0.011)
    for name, low, high in (("x", 0, WIDTH), ("y", 0, HEIGHT), ("t", START_US, STOP_US)):
        edge = (high - low) / 10
        assert low <= noise[name].min() < low + edge
        assert high - edge < noise[name].max() < high


def test_transforms_of_tonic_are_put_in_order_and_onto_the_sensor(recording):
    """A jitter of tonic is neither; a share of time that it drops is gone."""
    jitter = from_tonic(transforms.TimeJitter(std=5000, clip_negative=False, sort_timestamps=False))
    out = jitter(recording, chance()).events
    assert (np.diff(out["t"]) >= 0).all()
    assert out["t"].min() >= START_US
    dropped = from_tonic(transforms.DropEventByTime(0.3))(recording, chance())
    assert len(dropped) == pytest.approx(1400, abs=150)


# What is refused


def test_what_is_no_recording_is_refused(recording):
    with pytest.raises(InputError, match=r"a list cannot be augmented, expected a dvs.Recording or an event array"):
        shift(1)([1, 2, 3], chance())
    with pytest.raises(InputError, match=r"a ndarray cannot be augmented"):
        shift(1)(np.ones((3, 4)), chance())
    frames = transforms.ToFrame(sensor_size=(WIDTH, HEIGHT, 2), n_event_bins=3)
    with pytest.raises(InputError, match=r"ToFrame\(.*\) made no events of the events, but a ndarray"):
        from_tonic(frames)(recording, chance())


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: flip(1.5), "probability is 1.5, expected 0 to 1"),
        (lambda: flip(axis="t"), "axis is 't', expected 'x' or 'y'"),
        (lambda: shift(1.5), "pixels is 1.5, expected a whole number, 0 or more"),
        (lambda: shift(-1), "pixels is -1"),
        (lambda: rotate(-3), "degrees is -3, expected 0 or more"),
        (lambda: jitter_place(np.inf), "pixels is inf"),
        (lambda: jitter_time(3), r"sd is 3, expected 0 or more with its unit, such as 2\*ms"),
        (lambda: jitter_time(-1 * second), "sd is -1. s, expected 0 or more"),
        (lambda: drop_events(-0.1), "share is -0.1"),
        (lambda: add_noise(3 * ms), r"rate is 3. ms, expected 0 or more with its unit, such as 0.1\*Hz"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make, problem):
    with pytest.raises(ParameterError, match=problem):
        make()
