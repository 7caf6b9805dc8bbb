"""Assertions on recordings, and the pytest plugin run on small test suites of a user."""

import subprocess
import sys
from importlib.metadata import entry_points

import numpy as np
import pytest

from dvs import assertions
from dvs.events import Recording, empty_events, make_events
from dvs.files import write

# Installed, the plugin registers itself; a second time under another name is an error.
INSTALLED = any(point.value == "dvs.pytest_plugin" for point in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "dvs.pytest_plugin")


def four_events():
    """Three ON events and one OFF in 2 s: 2 Hz, ON share 0.75."""
    events = make_events([1, 1, 2, 0], [0, 0, 1, 3], [100, 500, 500, 900], [1, 0, 1, 1])
    return Recording(events=events, width=4, height=4, stop_us=2_000_000)


def noise(rate_hz=20.0, seconds=2.0, seed=1):
    """16 x 16 Poisson pixels."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(256 * rate_hz * seconds)
    t_us = np.sort(rng.integers(0, int(seconds * 1e6), n))
    x, y, p = rng.integers(0, 16, n), rng.integers(0, 16, n), rng.integers(0, 2, n)
    return Recording(events=make_events(x, y, t_us, p), width=16, height=16, stop_us=int(seconds * 1e6))


# The assertions


def test_what_is_so_passes():
    recording = four_events()
    assertions.assert_event_rate(recording, 2.0)
    assertions.assert_on_share(recording, 0.75)
    assertions.assert_same_events(recording, recording)
    assertions.assert_no_hot_pixels(recording)
    assertions.assert_spatial_correlation(recording, recording, at_least=0.999)
    assertions.assert_silent(empty_events())
    assertions.assert_intervals_exponential(noise())


def test_a_bare_array_is_watched_from_zero_to_its_last_event():
    """4 events in 900 us are 4444 Hz."""
    assertions.assert_event_rate(four_events().events, 4444.4, rtol=1e-4)


def test_the_order_of_simultaneous_events_is_free():
    events = four_events().events
    assertions.assert_same_events(events, events[[0, 2, 1, 3]])


def test_times_may_differ_by_the_tolerance():
    earlier, later = four_events().events, four_events().events
    later["t"] += 3
    assertions.assert_same_events(earlier, later, tolerance_us=3)
    with pytest.raises(AssertionError, match=r"4 of 4 events differ by more than 2 us.*3 us apart"):
        assertions.assert_same_events(earlier, later, tolerance_us=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: assertions.assert_event_rate(r, 4.0), r"event rate is 2 Hz, expected 4 Hz .*-50 %"),
        (lambda r: assertions.assert_on_share(r, 0.5), r"0\.75, expected 0\.5.*4 events \(3 ON, 1 OFF\)"),
        (lambda r: assertions.assert_on_share(empty_events(), 0.0), "0 events"),
        (assertions.assert_silent, r"found 4 events .*; the first is ON at \(1, 0\), 100 us"),
        (
            lambda r: assertions.assert_same_events(r, r.events[:3]),
            r"a has 4 events and b has 3; .* ON at \(0, 3\), 900 us in a, missing in b",
        ),
        (
            lambda r: assertions.assert_same_events(r.events[[0, 1, 2]], r.events[[0, 1, 3]]),
            r"ON at \(2, 1\), 500 us in a, ON at \(0, 3\), 900 us in b",
        ),
        (lambda r: assertions.assert_intervals_exponential(empty_events()), "record for longer"),
    ],
)
def test_what_is_not_so_fails_and_says_what_was_found(call, message):
    with pytest.raises(AssertionError, match=message):
        call(four_events())


def test_a_loud_pixel_is_named_with_its_count():
    quiet = noise()
    loud = make_events(np.full(2000, 5), np.full(2000, 7), np.arange(2000) * 1000, np.ones(2000))
    events = np.concatenate([quiet.events, loud])
    events = events[np.argsort(events["t"], kind="stable")]
    with pytest.raises(AssertionError, match=r"1 hot pixels.*\(5, 7\) with 20\d\d events"):
        assertions.assert_no_hot_pixels(Recording(events=events, width=16, height=16, stop_us=2_000_000))


def test_a_dead_time_makes_intervals_too_long():
    """Events closer than 20 ms to the one kept before them are lost: no short intervals remain."""
    recording = noise()
    last_us = np.full((16, 16), -1_000_000)
    kept = []
    for index, (x, y, t_us, _) in enumerate(recording.events.tolist()):
        if t_us - last_us[y, x] > 20_000:
            last_us[y, x] = t_us
            kept.append(index)
    dead = Recording(events=recording.events[kept], width=16, height=16, stop_us=recording.stop_us)
    with pytest.raises(AssertionError, match="too many long ones"):
        assertions.assert_intervals_exponential(dead)


def test_unlike_maps_say_how_unlike():
    a, b = (Recording(events=make_events([x], [x], [0], [1]), width=16, height=16, stop_us=10) for x in (2, 12))
    with pytest.raises(AssertionError, match=r"count maps, blurred by 1 px, correlate with r = -0\.\d+"):
        assertions.assert_spatial_correlation(a, b, at_least=0.9)


# The plugin

SUITE = """
    from dvs.events import Recording, make_events

    def recording(count=4):
        times = [100 * k for k in range(count)]
        events = make_events([1] * count, [2] * count, times, [1] * count)
        return Recording(events=events, width=4, height=4, stop_us=1000)
"""


@pytest.fixture
def suite(pytester):
    """Runs a test file of a user, with the helper `recording(count)` in it."""

    def run(tests, *arguments):
        pytester.makepyfile(test_user=SUITE + tests)
        return pytester.runpytest(*PLUGIN, *arguments)

    return run


CHECK = """
    def test_lamp(event_statistics):
        event_statistics.check(recording({count}))
"""


def test_nothing_stored_fails_and_writes_nothing(suite, pytester):
    result = suite(CHECK.format(count=4))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no event statistics are stored in *--update-event-statistics*"])
    assert not (pytester.path / "event_statistics").exists()


def test_stored_statistics_are_compared(suite, pytester):
    """4 events stored; 4 pass, 5 are 25 % too many and the table says so."""
    stored = suite(CHECK.format(count=4), "--update-event-statistics")
    stored.assert_outcomes(passed=1)
    stored.stdout.fnmatch_lines(["stored event statistics: *test_lamp.json"])
    path = pytester.path / "event_statistics" / "test_user" / "test_lamp.json"
    before = path.read_bytes()

    suite(CHECK.format(count=4)).assert_outcomes(passed=1)
    changed = suite(CHECK.format(count=5))
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(
        [
            "*event statistics differ from *",
            "*field *stored *got *difference *tolerance",
            "*events *4 *5 *+25 % *1 %",
        ]
    )
    changed.stdout.no_fnmatch_line("*on_share *")
    assert path.read_bytes() == before


def test_a_tolerance_can_name_its_fields(suite):
    """With the counts and rates free to differ by 30 %, only they may."""
    suite(CHECK.format(count=4), "--update-event-statistics")
    free = "dict(events=0.3, rate_hz=0.3, rate_per_pixel_hz=0.3)"
    test = f"""
    def test_lamp(event_statistics):
        event_statistics.check(recording(5), rtol={free})
    """
    suite(test).assert_outcomes(passed=1)


def test_an_unknown_field_is_named(suite):
    test = """
    def test_lamp(event_statistics):
        event_statistics.check(recording(), rtol={"evnts": 0.1})
    """
    result = suite(test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*rtol names*evnts*the fields are*events*"])


def test_two_checks_of_one_test_need_names(suite, pytester):
    test = """
    def test_lamp(event_statistics):
        event_statistics.check(recording(3), "dim / red")
        event_statistics.check(recording(4), "bright")
        event_statistics.check(recording(5), "bright")
    """
    result = suite(test, "--update-event-statistics")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*bright is checked twice*"])
    folder = pytester.path / "event_statistics" / "test_user"
    assert sorted(path.name for path in folder.iterdir()) == ["bright.json", "dim-red.json"]


def test_a_field_that_is_gone_or_new_is_a_difference(suite, pytester):
    suite(CHECK.format(count=4), "--update-event-statistics")
    path = pytester.path / "event_statistics" / "test_user" / "test_lamp.json"
    path.write_text(path.read_text().replace('"events"', '"spikes"'))
    result = suite(CHECK.format(count=4))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*events *None *4 *", "*spikes *4 *None *"])


def test_every_assertion_is_a_fixture(suite):
    test = """
    import dvs.assertions

    def test_all(
        assert_event_rate, assert_on_share, assert_silent, assert_same_events,
        assert_intervals_exponential, assert_no_hot_pixels, assert_spatial_correlation,
    ):
        for name, fixture in locals().items():
            assert fixture is getattr(dvs.assertions, name)

    def test_one_that_fails(assert_silent):
        assert_silent(recording())
    """
    result = suite(test)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([">*assert_silent(recording())", "E*expected silence, found 4 events*"])


def test_a_recording_is_read_from_beside_the_test(suite, pytester):
    write(pytester.path / "lamp.npz", four_events())
    test = """
    def test_lamp(recording_file, assert_event_rate):
        assert_event_rate(recording_file("lamp.npz"), 2.0)
    """
    suite(test).assert_outcomes(passed=1)


def test_loading_the_plugin_imports_nothing_heavy():
    """Every pytest run of the environment loads it."""
    code = "import sys, dvs.pytest_plugin; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "numba", "scipy", "matplotlib", "brian2"} & set(loaded.split())
