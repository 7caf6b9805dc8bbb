"""Parts of a recording, in memory and in a file: nothing is lost, nothing is there twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dvs
from dvs.errors import FormatError, InputError, ParameterError
from dvs.files import FORMATS
from dvs.files.format import Format
from dvs.files.recording_file import RecordingFile

BLOCK_US = 10_000


def recording(t_us, stop_us=None):
    t_us = np.asarray(t_us, np.int64)
    events = dvs.make_events(t_us % 7, t_us % 5, t_us, t_us % 2)
    return dvs.Recording(events=events, width=7, height=5, stop_us=stop_us)


def in_a_file(whole, path, blocks=3, damage=None):
    """The same as a file that is read in some blocks, of which the one with the number `damage` cannot be."""

    def read(path):
        for k, block in enumerate(np.array_split(whole.events, blocks)):
            if k == damage:
                raise FormatError(f"{path} is damaged at byte {k}")
            yield block

    path.touch()
    return RecordingFile(
        path=path, width=7, height=5, start_us=whole.start_us, stop_us=whole.stop_us,
        format=Format(name="made up", suffixes=(), recognises=lambda path: True, blocks=read),
    )  # fmt: skip


times = st.lists(st.integers(0, 1000), max_size=60).map(sorted)


@given(times, st.integers(0, 1000), st.integers(0, 1000))
def test_a_span_holds_the_events_from_its_beginning_to_before_its_end(t_us, one, other):
    start, stop = sorted((one, other))
    part = recording(t_us, 1000)[start:stop]
    assert part.events["t"].tolist() == [t for t in t_us if start <= t < stop]
    assert (part.start_us, part.stop_us) == (start, stop)


@given(times, st.integers(1, 400))
def test_parts_by_time_are_all_of_it_and_each_as_long(t_us, step):
    whole = recording(t_us, 1000)
    parts = list(whole.by_time(step))
    assert [t for part in parts for t in part.events["t"].tolist()] == t_us
    assert [part.stop_us - part.start_us for part in parts[:-1]] == [step] * (len(parts) - 1)
    assert (parts[0].start_us, parts[-1].stop_us) == (0, 1000)
    assert len(parts) == -(-1000 // step)


@given(times.filter(bool), st.integers(1, 30))
def test_parts_by_count_are_all_of_it_and_each_as_many(t_us, count):
    parts = list(recording(t_us, 1000).by_count(count))
    assert [t for part in parts for t in part.events["t"].tolist()] == t_us
    assert [len(part) for part in parts[:-1]] == [count] * (len(parts) - 1)


@given(times, st.integers(1, 5), st.integers(1, 400))
def test_a_file_is_cut_as_memory_is(t_us, blocks, step):
    whole = recording(t_us, 1000)
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        left = in_a_file(whole, Path(folder) / "events", blocks)
        assert len(left) == len(whole)
        for ours, theirs in ((left.by_time(step), whole.by_time(step)), (left.by_count(step), whole.by_count(step))):
            assert [part.events.tolist() for part in ours] == [part.events.tolist() for part in theirs]
        assert left[100:700].events.tolist() == whole[100:700].events.tolist()
        assert left[:].events.tolist() == whole.events.tolist()


def test_open_ends_reach_to_the_ends():
    whole = recording([0, 3, 10])
    assert [len(whole[:]), len(whole[3:]), len(whole[:3])] == [3, 2, 1]
    assert (whole[3:].start_us, whole[3:].stop_us) == (3, 10)


def test_what_is_no_span_is_refused():
    whole = recording([0, 3, 10])
    for wrong in (3, slice(0, 5, 2), slice(0.5, 2)):
        with pytest.raises(ParameterError, match=r"came, expected a span|is 0\.5, expected a whole number"):
            whole[wrong]
    with pytest.raises(ParameterError, match="step_us is 0"):
        next(whole.by_time(0))
    with pytest.raises(ParameterError, match="count is 0"):
        next(whole.by_count(0))
    with pytest.raises(InputError, match="ends at 1 us, before it starts"):
        whole[5:1]


def test_what_is_in_front_of_damage_can_be_kept(tmp_path):
    """Three blocks of two events, the second one damaged: two events, and a warning; or one error."""
    from dataclasses import replace

    left = in_a_file(recording([1, 2, 3, 4, 5, 6]), tmp_path / "events", damage=1)
    with pytest.raises(FormatError, match="damaged at byte 1"):
        list(left.blocks())
    with pytest.warns(UserWarning, match="the rest is lost: .* damaged at byte 1"):
        assert [block["t"].tolist() for block in replace(left, on_error="keep").blocks()] == [[1, 2]]


@pytest.mark.parametrize("item", [item for item in FORMATS if item.write], ids=lambda item: item.name)
def test_a_span_of_every_format_is_that_of_the_recording(item, tmp_path):
    """100 events in 100 ms; 25 of them in [25 ms, 50 ms)."""
    if item.requires:
        pytest.importorskip(item.requires)
    events = dvs.make_events(np.arange(100) % 34, np.arange(100) % 20, 1000 * np.arange(100), np.arange(100) % 2)
    whole = dvs.Recording(events=events, width=34, height=20, stop_us=100_000)
    path = tmp_path / f"events{item.suffixes[0]}"
    dvs.write(path, whole, format=item.name)
    left = dvs.open(path, format=item.name)
    assert left[25_000:50_000].events.tolist() == whole[25_000:50_000].events.tolist()
    assert sum(len(part) for part in left.by_time(10_000)) == len(left) == 100


def test_bare_events_are_written_with_their_sensor_and_a_file_without_being_loaded(tmp_path):
    events = recording([0, 3, 10]).events
    dvs.write(tmp_path / "bare.npz", events, width=7, height=5)
    got = dvs.read(tmp_path / "bare.npz")
    assert (got.events.tolist(), got.sensor_size) == (events.tolist(), (7, 5, 2))
    dvs.write(tmp_path / "copy.h5", in_a_file(recording([1, 2, 3, 4], 9), tmp_path / "left"))
    copy = dvs.read(tmp_path / "copy.h5")
    assert (copy.events["t"].tolist(), copy.stop_us) == ([1, 2, 3, 4], 9)
    with pytest.raises(ParameterError, match="3 events came without a sensor"):
        dvs.write(tmp_path / "lost.npz", events)
    with pytest.raises(ParameterError, match="leave out width"):
        dvs.write(tmp_path / "twice.npz", got, width=7, height=5)
    with pytest.raises(ParameterError, match="events came first"):
        dvs.write(got, tmp_path / "old.npz")
