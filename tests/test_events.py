"""Events and recordings: what breaks the contract is named, not passed on."""

import numpy as np
import pytest

from dvs.errors import InputError
from dvs.events import EVENT_DTYPE, Recording, check_events, empty_events, make_events


def test_columns_become_events_and_come_back():
    events = make_events([3, 4], [0, 1], [10, 25], [True, False])
    assert events.dtype == EVENT_DTYPE
    assert events.tolist() == [(3, 0, 10, 1), (4, 1, 25, 0)]


def test_nothing_happened_is_an_empty_array():
    assert make_events([], [], [], []).shape == (0,)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0, 1], [0], [5, 6], [0, 1]), "differ in shape"),
        (([[0]], [[0]], [[5]], [[0]]), "1-D columns"),
        (([0], [0], [0.5], [0]), "expected whole microseconds"),
        (([0], [0], [5], [-1]), "expected 0 .OFF. and 1 .ON."),
        (([2**15], [0], [5], [1]), "x goes from 32768 to 32768, expected -32768 to 32767"),
        (([0], [-(2**15) - 1], [5], [1]), "y goes from -32769"),
        (([np.nan], [0], [5], [1]), "x goes from nan"),
        (([0], [0], [2**63], [1]), "t goes from 9223372036854775808"),
    ],
)
def test_columns_that_are_no_events_are_refused(columns, message):
    """16 bits hold coordinates up to 2**15 - 1, 64 bits times up to 2**63 - 1; nothing may wrap around."""
    with pytest.raises(InputError, match=message):
        make_events(*columns)


def test_the_outermost_numbers_that_fit_are_kept():
    events = make_events([2**15 - 1], [-(2**15)], [2**63 - 1], [1])
    assert events.tolist() == [(2**15 - 1, -(2**15), 2**63 - 1, 1)]


def test_events_without_the_four_fields_are_refused():
    with pytest.raises(InputError, match="expected the fields x, y, t, p"):
        check_events(np.zeros(2, [("x", "i2")]), 4, 3)


def test_events_in_two_dimensions_are_refused():
    with pytest.raises(InputError, match="expected one dimension"):
        check_events(np.zeros((2, 2), EVENT_DTYPE), 4, 3)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ((4, 0, 20, 1), r"events\[1\] has x = 4, outside the 4x3 sensor"),
        ((0, -1, 20, 1), r"events\[1\] has y = -1, outside the 4x3 sensor"),
        ((0, 0, 9, 1), r"events\[1\] is at 9 us, before the event in front of it \(10 us\)"),
        ((0, 0, 20, 2), r"events\[1\] has polarity 2, expected 0 \(OFF\) or 1 \(ON\)"),
    ],
)
def test_the_first_event_that_breaks_the_contract_is_named(event, message):
    events = np.array([(0, 0, 10, 1), event], EVENT_DTYPE)
    with pytest.raises(InputError, match=message):
        check_events(events, 4, 3)


def test_sound_events_pass_unchanged():
    events = make_events([0, 3], [2, 0], [10, 10], [0, 1])
    assert check_events(events, 4, 3) is events
    assert check_events(empty_events(), 4, 3).size == 0


def test_a_recording_ends_with_its_last_event_unless_told():
    assert Recording(events=make_events([0], [0], [10], [1]), width=1, height=1).stop_us == 10
    assert Recording(events=empty_events(), width=1, height=1, start_us=7).stop_us == 7


def test_a_silent_second_lasts_a_second():
    assert Recording(events=empty_events(), width=1, height=1, stop_us=1_000_000).duration_s == 1.0


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ({"start_us": 11}, "first event is at 10 us, before start_us = 11"),
        ({"stop_us": 9}, "last event is at 10 us, after stop_us = 9"),
        ({"start_us": 5, "stop_us": 4}, "last event is at 10 us, after stop_us = 4"),
    ],
)
def test_events_outside_the_watched_span_are_refused(span, message):
    with pytest.raises(InputError, match=message):
        Recording(events=make_events([0], [0], [10], [1]), width=1, height=1, **span)


def test_a_part_keeps_its_times_and_its_last_microsecond_is_the_next_part_s():
    """[a, b) and [b, c) share no event: together they are [a, c)."""
    recording = Recording(events=make_events([0] * 3, [0] * 3, [10, 20, 30], [1] * 3), width=1, height=1)
    first, second = recording.between(10, 20), recording.between(20, 31)
    assert [first.events["t"].tolist(), second.events["t"].tolist()] == [[10], [20, 30]]
    with pytest.raises(InputError, match="before it starts"):
        recording.between(20, 10)
