"""Event files: what is written is read back, by us and by others, and no file is ever harmed."""

import errno
import json
import os
import resource
import signal
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import aedat
import faery
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dvs
from dvs.errors import FormatError, InputError, MissingExtraError, OutputError, ParameterError
from dvs.events import EVENT_DTYPE, Recording, empty_events, make_events
from dvs.files import FORMATS, open_writer, read, write
from dvs.files.hdf5 import QuietFile
from dvs.files.spool import BLOCK

WRITTEN = [item for item in FORMATS if item.write is not None and not item.folder]
SUFFIX = {item.name: item.suffixes[0] for item in WRITTEN if item.largest >= (1280, 720)}
KEEP_ALL = [item.name for item in WRITTEN if not item.loses]
# The others are streams: one that ends between two events is a shorter stream.
KNOW_THEIR_END = ["dsec", "v2e", "metavision", "npz", "csv", "txt", "aedat4"]
NOTES = {
    "sensor": "ideal",
    "theta": 0.2,
    "cutoff_hz": float("inf"),
    "source": {"name": "é <&> \"'\n", "frames": [1, 2]},
}
every_format = pytest.mark.parametrize("name", SUFFIX)


def random_recording(count, *, seed=0, width=1280, height=720, length_us=2_000_000):
    """Events spread evenly over sensor and time, the last of them at the end of the time."""
    rng = np.random.default_rng(seed)
    t_us = np.sort(rng.integers(0, length_us, count))
    events = make_events(rng.integers(0, width, count), rng.integers(0, height, count), t_us, t_us % 2)
    return Recording(events=events, width=width, height=height, stop_us=length_us, provenance=NOTES)


@st.composite
def recordings(draw, item):
    """Up to 40 events on any sensor and at any time that a format holds."""
    width, height = (draw(st.integers(1, size)) for size in item.largest)
    start_us = draw(st.integers(item.first_us, item.last_us))
    end_us = min(start_us + 10**7, item.last_us)
    event = st.tuples(
        st.integers(0, width - 1),
        st.integers(0, height - 1),
        st.integers(start_us, end_us),
        st.integers(0, 1),
    )
    rows = sorted(draw(st.lists(event, max_size=40)), key=lambda row: row[2])
    return Recording(
        events=np.array(rows, EVENT_DTYPE),
        width=width,
        height=height,
        start_us=start_us,
        stop_us=end_us,
        provenance=draw(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()), max_size=3)),
    )


def assert_same(one, other):
    assert one.events.dtype == other.events.dtype
    np.testing.assert_array_equal(one.events, other.events)
    assert (one.width, one.height, one.start_us, one.stop_us, one.provenance) == (
        other.width, other.height, other.start_us, other.stop_us, other.provenance
    )  # fmt: skip


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may grow beyond `limit` bytes: the system then fails writes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Round trips


@pytest.mark.parametrize("name", KEEP_ALL)
def test_what_is_written_is_read_back(name, tmp_path_factory):
    """Events, size, span and provenance, for any recording in the times the format holds."""
    item = next(item for item in FORMATS if item.name == name)
    path = tmp_path_factory.mktemp(name) / f"events{item.suffixes[0]}"

    @settings(max_examples=30, deadline=None)
    @given(recordings(item))
    def round_trip(recording):
        write(path, recording, format=name, overwrite=True)
        assert_same(read(path), recording)

    round_trip()


def test_csv_keeps_the_events_and_infers_the_sensor_and_the_span(tmp_path):
    """The outermost events are at x = 6 and y = 2: a sensor of 7 x 3, watched from 5 to 900 us."""
    events = make_events([6, 0], [0, 2], [5, 900], [1, 0])
    write(tmp_path / "a.csv", Recording(events=events, width=640, height=480, stop_us=1000, provenance=NOTES))
    assert_same(read(tmp_path / "a.csv"), Recording(events=events, width=7, height=3, start_us=5, stop_us=900))


@every_format
def test_a_million_events_survive(name, tmp_path):
    recording = random_recording(1_000_000)
    path = tmp_path / f"million{SUFFIX[name]}"
    write(path, recording)
    np.testing.assert_array_equal(read(path).events, recording.events)


@pytest.mark.parametrize("name", KEEP_ALL)
def test_a_still_scene_is_an_observation_too(name, tmp_path):
    """No events, but a sensor that was watched for a second."""
    still = Recording(events=empty_events(), width=346, height=260, stop_us=1_000_000, provenance=NOTES)
    (suffix,) = (item.suffixes[0] for item in WRITTEN if item.name == name)
    write(tmp_path / f"still{suffix}", still, format=name)
    assert_same(read(tmp_path / f"still{suffix}"), still)


def test_a_csv_without_events_does_not_invent_a_sensor(tmp_path):
    write(tmp_path / "still.csv", Recording(events=empty_events(), width=346, height=260))
    with pytest.raises(InputError, match="no events and no sensor size"):
        read(tmp_path / "still.csv")


def test_provenance_that_json_lacks_is_kept_in_its_nearest_form(tmp_path):
    notes = {"theta": np.float64(0.2), "size": np.array([3, 4]), "path": Path("a.mp4")}
    write(tmp_path / "a.h5", Recording(events=empty_events(), width=3, height=4, provenance=notes))
    assert read(tmp_path / "a.h5").provenance == {"theta": 0.2, "size": [3, 4], "path": "a.mp4"}


@pytest.mark.parametrize("name", sorted(set(SUFFIX) - {"npz"}))  # a zip archive holds the time of day
def test_the_file_does_not_depend_on_how_the_events_were_cut(name, tmp_path):
    recording = random_recording(3000)
    whole, cut = tmp_path / f"whole{SUFFIX[name]}", tmp_path / f"cut{SUFFIX[name]}"
    write(whole, recording)
    with open_writer(cut, recording.width, recording.height) as writer:
        for piece in np.split(recording.events, [0, 1, 7, 7, 1000, 2999]):
            writer.append(piece)
        writer.finish(recording.start_us, recording.stop_us, recording.provenance)
    assert cut.read_bytes() == whole.read_bytes()


@every_format
def test_ten_times_the_events_take_no_more_memory(name, tmp_path, monkeypatch):
    """40 000 and 400 000 events, in blocks of 8192."""
    monkeypatch.setattr("dvs.files.spool.BLOCK", 8192)
    piece = random_recording(10_000, length_us=10_000).events

    def peak(pieces):
        tracemalloc.start()
        with open_writer(tmp_path / f"{pieces}{SUFFIX[name]}", 1280, 720) as writer:
            for number in range(pieces):
                shifted = piece.copy()
                shifted["t"] += number * 10_000
                writer.append(shifted)
        bytes_held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return bytes_held

    peak(1)  # imports and caches
    # All events would be 4.7 MB more; buffers of threads come and go.
    assert peak(40) < peak(4) + 1_500_000


# Other readers


def test_the_millisecond_index_is_that_of_dsec(tmp_path):
    """The example in DSEC's eventslicer.py: index of the first event at or after each millisecond."""
    t_us = [0, 500, 2100, 5000, 5000, 7100, 7200, 7200, 8100, 9000]
    events = make_events([0] * 10, [0] * 10, t_us, [1] * 10)
    write(tmp_path / "a.h5", Recording(events=events, width=1, height=1))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["ms_to_idx"][:].tolist() == [0, 2, 2, 3, 3, 3, 5, 5, 8, 9]


def test_h5_is_what_a_reader_of_dsec_expects(tmp_path):
    recording = random_recording(3 * BLOCK, width=640, height=480)
    write(tmp_path / "a.h5", recording)
    with h5py.File(tmp_path / "a.h5") as file:
        types = {name: file[f"events/{name}"].dtype.str for name in "xytp"}
        assert types == {"x": "<u2", "y": "<u2", "t": "<u4", "p": "|u1"}
        assert (file["ms_to_idx"].dtype, file["t_offset"].dtype) == (np.uint64, np.int64)
        for name in "xytp":
            assert (file["events"][name].compression, file["events"][name].shuffle) == ("gzip", True)
            np.testing.assert_array_equal(file["events"][name], recording.events[name])
        t, index = file["events/t"][:].astype(np.int64), file["ms_to_idx"][:].astype(np.int64)
        assert len(index) == t[-1] // 1000 + 1
        np.testing.assert_array_equal(index, np.searchsorted(t, np.arange(len(index)) * 1000))
        assert dict(file.attrs) == {
            "width": 640, "height": 480, "start_us": 0, "stop_us": 2_000_000, "provenance": json.dumps(NOTES)
        }  # fmt: skip


def test_times_beyond_32_bits_do_not_wrap_around(tmp_path):
    """72 minutes are 4.32e9 us > 2^32; the index has one entry for each of 4 320 001 ms."""
    events = make_events([0, 1], [0, 1], [7, 72 * 60 * 10**6], [0, 1])
    recording = Recording(events=events, width=2, height=2)
    write(tmp_path / "a.h5", recording)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["events/t"][:].tolist() == [7, 4_320_000_000]
        assert (file["ms_to_idx"].size, file["ms_to_idx"][0], file["ms_to_idx"][1]) == (4_320_001, 0, 1)
    assert_same(read(tmp_path / "a.h5"), recording)


@pytest.mark.parametrize("first_us", [1_633_953_690_975_950, -1500])
def test_times_outside_32_bits_count_from_a_whole_millisecond(first_us, tmp_path):
    """So that the short recordings of a camera with a wall clock keep DSEC's uint32."""
    events = make_events([0, 1], [0, 1], [first_us, first_us + 1234], [0, 1])
    write(tmp_path / "a.h5", Recording(events=events, width=2, height=2, start_us=first_us))
    with h5py.File(tmp_path / "a.h5") as file:
        offset_us = int(file["t_offset"][()])
        assert (offset_us % 1000, file["events/t"].dtype) == (0, np.uint32)
        assert (file["events/t"][:].astype(np.int64) + offset_us).tolist() == [first_us, first_us + 1234]
    np.testing.assert_array_equal(read(tmp_path / "a.h5").events, events)


def test_a_wrong_time_does_not_fill_the_disk_with_an_index(tmp_path):
    """2e9 ms between two events would take an index of 16 GB."""
    events = make_events([0, 0], [0, 0], [0, 2 * 10**12], [0, 1])
    with pytest.raises(FormatError, match=r"span 23\.1 days"):
        write(tmp_path / "a.h5", Recording(events=events, width=1, height=1))
    assert not any(tmp_path.iterdir())


def test_v2e_layout_is_a_matrix_of_txyp(tmp_path):
    recording = random_recording(1000)
    write(tmp_path / "a.v2e.h5", recording)
    with h5py.File(tmp_path / "a.v2e.h5") as file:
        assert file["events"].dtype == np.uint32
        np.testing.assert_array_equal(file["events"][:], np.stack([recording.events[name] for name in "txyp"], axis=1))


def test_npz_gives_numpy_four_columns_and_the_notes(tmp_path):
    recording = random_recording(1000)
    write(tmp_path / "a.npz", recording)
    with np.load(tmp_path / "a.npz") as archive:
        for name in "xytp":
            assert archive[name].dtype == EVENT_DTYPE[name]
            np.testing.assert_array_equal(archive[name], recording.events[name])
        scalars = {name: archive[name].item() for name in archive.files if name not in "xytp"}
    assert json.loads(scalars.pop("provenance")) == NOTES
    assert scalars == {"width": 1280, "height": 720, "start_us": 0, "stop_us": 2_000_000}


def test_csv_is_a_header_and_whole_microseconds(tmp_path):
    recording = random_recording(1000)
    write(tmp_path / "a.csv", recording)
    assert (tmp_path / "a.csv").read_text().startswith("t,x,y,p\n")
    columns = np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=1, dtype=np.int64).T
    for name, column in zip("txyp", columns, strict=True):
        np.testing.assert_array_equal(column, recording.events[name])


def test_txt_has_exact_decimals_at_any_time(tmp_path):
    """float32 seconds lose the microsecond after 8 s, float64 ones print as 1e-06."""
    events = make_events([1, 2, 3], [4, 5, 6], [1, 999_999, 1_633_953_690_975_950], [0, 1, 1])
    write(tmp_path / "a.txt", Recording(events=events, width=9, height=9))
    lines = (tmp_path / "a.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("# ")] == [
        "0.000001 1 4 0", "0.999999 2 5 1", "1633953690.975950 3 6 1"
    ]  # fmt: skip
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "a.txt")[:, 1], events["x"])


def test_aedat4_is_read_alike_by_aedat_and_faery(tmp_path):
    recording = random_recording(3 * BLOCK + 5)
    write(tmp_path / "a.aedat4", recording)
    decoder = aedat.Decoder(tmp_path / "a.aedat4")
    assert decoder.id_to_stream() == {0: {"type": "events", "width": 1280, "height": 720}}
    by_aedat = np.concatenate([packet["events"] for packet in decoder])
    stream = faery.events_stream_from_file(tmp_path / "a.aedat4")
    assert stream.dimensions() == (1280, 720)
    by_faery = np.concatenate(list(stream))
    for name in "xytp":
        np.testing.assert_array_equal(by_aedat[name], recording.events[name])
        np.testing.assert_array_equal(by_faery[name], recording.events[name])


# Files of others


def test_a_dsec_file_without_attributes(tmp_path):
    """t_offset counts; size and span are inferred."""
    with h5py.File(tmp_path / "events.h5", "w") as file:
        for name, column in {"x": [3, 1], "y": [0, 9], "t": [20, 50], "p": [1, 0]}.items():
            file[f"events/{name}"] = np.array(column, {"t": "u4", "p": "u1"}.get(name, "u2"))
        file["t_offset"] = np.int64(5_000_000_000)
        file["ms_to_idx"] = np.zeros(1, "u8")
    assert_same(
        read(tmp_path / "events.h5"),
        Recording(
            events=make_events([3, 1], [0, 9], [5_000_000_020, 5_000_000_050], [1, 0]),
            width=4, height=10, start_us=5_000_000_020, stop_us=5_000_000_050,
        ),
    )  # fmt: skip


def test_a_compression_that_h5py_lacks_is_named(tmp_path):
    """DSEC's files are compressed with Blosc; 305 (LZO) is one that no plug-in here decodes."""
    with h5py.File(tmp_path / "events.h5", "w") as file:
        for name in "xytp":
            column = file.create_dataset(
                f"events/{name}", 2, "u4", chunks=(2,), compression=305, allow_unknown_filter=True
            )
            column.id.write_direct_chunk((0,), b"unreadable")
    with pytest.raises(MissingExtraError, match="pip install hdf5plugin"):
        read(tmp_path / "events.h5")


def test_the_content_tells_v2e_from_dsec(tmp_path):
    """Both are .h5 in the wild; v2e writes no attributes."""
    with h5py.File(tmp_path / "events.h5", "w") as file:
        file["events"] = np.array([[10, 5, 6, 0], [20, 7, 8, 1]], np.uint32)
    recording = read(tmp_path / "events.h5")
    np.testing.assert_array_equal(recording.events, make_events([5, 7], [6, 8], [10, 20], [0, 1]))
    assert (recording.width, recording.height) == (8, 9)


@pytest.mark.filterwarnings("ignore:1 of 2 events came before their time")
@pytest.mark.parametrize(
    "text",
    [
        "t,x,y,p\n10,5,6,0\n20,7,8,1\n",
        "x,y,polarity,timestamp\n5,6,0,10\n7,8,1,20\n",
        "x, y, t, extra, p\n5, 6, 10, 99, -1\n7, 8, 20, 99, 1\n",
        "10,5,6,-1\n20,7,8,1\n",
        "#!events.txt\n# made by hand\n0.00001 5 6 0\n2e-05 7 8 1\n",
        "0.000010400\t5 6 -1\n0.000019600\t7 8 1\n",
        "20 7 8 1\n10 5 6 0\n",
        "\ufefft,x,y,p\r\n10,5,6,0\r\n20,7,8,1\r\n",
    ],
)
def test_text_of_others_is_understood(text, tmp_path):
    """Columns by name or in the order t x y p, -1/+1, seconds with a point, events out of order, Excel."""
    for suffix in (".csv", ".txt"):
        path = tmp_path / f"events{suffix}"
        path.write_text(text, encoding="utf-8")
        np.testing.assert_array_equal(read(path).events, make_events([5, 7], [6, 8], [10, 20], [0, 1]))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b,c,d\n1,2,3,4\n", "has the columns a, b, c, d; expected t, x, y and p"),
        ("t,x,y,p\n1,2,3,4\n", r"polarities are \[4\], expected 0/1 or -1/\+1"),
        ("t,x,y,p\n1,2,3\n", "has no event in line 2: .*column"),
        ("t,x,y,p\n1,2,3,one\n", "could not convert string 'one'"),
        ("t,x,y,p\r1,2,3,0\r", "no events and no sensor size"),
        ("1 2 3 0\r2 2 3 1\r", "has no event in line 1: .*embedded newline"),
        ("t,x,y,p\n1,2,3,0\n1.5,2,3,0\n", "could not convert string '1.5'"),
        (
            "t,x,y,p\n1,70000,3,0\n",
            "column x goes from 70000 to 70000, expected numbers from -32768 to 32767",
        ),
        ("t,x,y,p\n1,-2,3,0\n", "x = -2, outside"),
        ("nan 1 1 1\n", "has the columns nan, 1, 1, 1"),
        ("1e300 1 1 1\n", "not a number of seconds below 142 years"),
        ("t,x,y,p\n", "no events and no sensor size"),
        ("", "is empty; write the recording again"),
    ],
)
def test_text_that_is_no_events_is_refused_in_one_line(text, reason, tmp_path):
    (tmp_path / "events.csv").write_text(text)
    with pytest.raises((FormatError, InputError), match=reason) as caught:
        read(tmp_path / "events.csv")
    assert str(tmp_path / "events.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("file", "count"), [("davis346_traffic", 78_830), ("davis346_flicker_lab", 117_667)])
def test_real_recordings_are_read_as_aedat_reads_them(file, count, shared_data):
    """Files of DV with events, frames and inertial data; the counts stand in the data's README."""
    path = shared_data / "recordings" / f"{file}.aedat4"
    recording = read(path)
    expected = np.concatenate([packet["events"] for packet in aedat.Decoder(path) if "events" in packet])
    assert (len(recording), recording.sensor_size) == (count, (346, 260, 2))
    for name in "xytp":
        np.testing.assert_array_equal(recording.events[name], expected[name])


@pytest.mark.parametrize("name", KNOW_THEIR_END)
def test_a_file_cut_short_is_refused_in_one_line(name, tmp_path):
    path = tmp_path / f"cut{SUFFIX[name]}"
    write(path, random_recording(2000))
    content = path.read_bytes()
    for share in (0.0, 0.001, 0.03, 0.5, 0.9):
        # A text cut inside a line: whole lines alone would be a valid, shorter text.
        keep = content[: int(share * len(content))].rpartition(b"\n")[0] + b"\n1"
        path.write_bytes(keep if name in ("csv", "txt") else content[: int(share * len(content))])
        with pytest.raises((FormatError, InputError)) as caught:
            read(path)
        assert "\n" not in str(caught.value)


@every_format
def test_a_file_of_another_kind_is_refused_in_one_line(name, tmp_path):
    path = tmp_path / f"picture{SUFFIX[name]}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(FormatError, match="of another kind than its suffix says") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_arrays_and_layouts_of_other_things_are_named(tmp_path):
    np.savez(tmp_path / "weights.npz", w=np.zeros(3))
    with pytest.raises(FormatError, match=r"holds the arrays \['w'\]; expected x, y, t and p"):
        read(tmp_path / "weights.npz")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["w"] = np.zeros(3)
    with pytest.raises(FormatError, match="does not hold events as dsec or v2e"):
        read(tmp_path / "weights.h5")


def test_a_damaged_header_of_aedat4_is_no_crash(tmp_path, capfd):
    """A wrong length of the header (byte 14), which makes other readers crash."""
    path = tmp_path / "a.aedat4"
    write(path, random_recording(10))
    content = bytearray(path.read_bytes())
    content[14] = 0
    path.write_bytes(content)
    with pytest.raises(FormatError, match="its AEDAT4 header is damaged"):
        read(path)


def test_what_is_no_file_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        read(tmp_path / "nothing.h5")
    with pytest.raises(FormatError, match="is a folder, and not one of files that make up a recording"):
        read(tmp_path)


def test_the_good_lines_of_a_text_can_be_kept(tmp_path):
    """100,000 events, more than one block, then a line that breaks off."""
    path = tmp_path / "cut.csv"
    lines = [f"{t},{t % 30},{t % 20},{t % 2}" for t in range(100_000)]
    path.write_text("t,x,y,p\n" + "\n".join(lines) + "\n100000,3")
    with pytest.raises(FormatError, match="has no event in line 100002"):
        read(path)
    with pytest.warns(UserWarning, match="the rest is lost: .* line 100002"):
        kept = read(path, on_error="keep")
    assert (len(kept), int(kept.events["t"][-1])) == (100_000, 99_999)


def test_a_large_text_is_read_with_flat_memory(tmp_path):
    """A million events in 12 MB of text, in memory a block at a time: below 50 bytes for each of 65,536."""
    path = tmp_path / "large.txt"
    path.write_text("".join(f"{t} {t % 30} {t % 20} {t % 2}\n" for t in range(300_000)))
    opened = dvs.open(path)
    tracemalloc.start()
    count = sum(block.size for block in opened.blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 300_000
    assert peak < 20e6


# Names of formats


@pytest.mark.parametrize(
    ("name", "kind"), [("evt3", "evt3"), ("evt2.csv", "evt2"), ("dsec.raw", "dsec"), ("aedat4.bin", "aedat4")]
)
def test_the_content_decides_where_a_suffix_does_not(name, kind, tmp_path):
    """No suffix, or a wrong one: the mark at the beginning says what a file is."""
    recording = random_recording(1000)
    write(tmp_path / name, recording, format=kind)
    np.testing.assert_array_equal(read(tmp_path / name).events, recording.events)


@pytest.mark.parametrize("path", ["events.xyz", "events", "events.aedat5"])
def test_an_unknown_suffix_names_the_known_ones(path, tmp_path):
    (tmp_path / path).write_bytes(bytes(range(200)))
    with pytest.raises(FormatError, match=r"expected one of .h5, .hdf5, .v2e.h5, .*\.aedat4"):
        read(tmp_path / path)
    with pytest.raises(FormatError, match=r"expected one of .h5, .hdf5, .v2e.h5, .*\.aedat4"):
        write(tmp_path / path, random_recording(1))


def test_the_format_can_be_named_instead(tmp_path):
    recording = random_recording(100)
    write(tmp_path / "events", recording, format="v2e")
    assert_same(read(tmp_path / "events", format="v2e"), recording)
    with pytest.raises(ParameterError, match=r"format is 'hdf', expected one of dsec, v2e, .*npz"):
        write(tmp_path / "b", recording, format="hdf")
    with pytest.raises(FormatError, match="cannot be read"):
        read(tmp_path / "events", format="npz")


def test_suffixes_may_be_capitals(tmp_path):
    recording = random_recording(100)
    write(tmp_path / "A.V2E.H5", recording)
    assert_same(read(tmp_path / "A.V2E.H5"), recording)
    with h5py.File(tmp_path / "A.V2E.H5") as file:
        assert file["events"].shape == (100, 4)


def test_a_missing_library_names_the_line_that_installs_it(tmp_path, monkeypatch):
    (tmp_path / "a.aedat4").write_bytes(b"#!AER-DAT4.0\r\n")
    monkeypatch.setitem(sys.modules, "lz4", None)
    for attempt in (
        lambda: read(tmp_path / "a.aedat4"),
        lambda: write(tmp_path / "b.aedat4", random_recording(1)),
    ):
        with pytest.raises(MissingExtraError, match=r'pip install "microsaccade\[formats\]"'):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["a.aedat4"]


# What a writer refuses


def test_events_must_keep_the_contract(tmp_path):
    """Refused events are not kept, and those before and after them are."""
    first, second = make_events([1], [1], [10], [1]), make_events([2], [2], [20], [0])
    with open_writer(tmp_path / "a.h5", 4, 3) as writer:
        writer.append(first)
        with pytest.raises(InputError, match="x = 4, outside the 4x3 sensor"):
            writer.append(make_events([4], [1], [15], [1]))
        with pytest.raises(InputError, match="before the event in front of it"):
            writer.append(make_events([1, 1], [1, 1], [15, 14], [1, 1]))
        with pytest.raises(InputError, match="begin at 9 us, before the last one appended"):
            writer.append(make_events([1], [1], [9], [1]))
        with pytest.raises(InputError, match=r"have dtype .*, expected .*make_events"):
            writer.append(np.zeros(1, [("t", "f8"), ("x", "i2"), ("y", "i2"), ("p", "i1")]))
        with pytest.raises(InputError, match="before start_us = 11"):
            writer.finish(start_us=11)
        with pytest.raises(InputError, match="after stop_us = 9"):
            writer.finish(stop_us=9)
        writer.append(second)
    np.testing.assert_array_equal(read(tmp_path / "a.h5").events, np.concatenate([first, second]))


@pytest.mark.parametrize(("suffix", "t_us"), [(".v2e.h5", 2**32), (".v2e.h5", -1), (".txt", -1), (".aedat4", -1)])
def test_a_time_that_the_format_cannot_hold_is_refused_at_once(suffix, t_us, tmp_path):
    with (
        open_writer(tmp_path / f"a{suffix}", 1, 1) as writer,
        pytest.raises(InputError, match=r"write \.h5 or \.npz"),
    ):
        writer.append(make_events([0], [0], [t_us], [1]))


@pytest.mark.parametrize("size", [0, -3, 2**15])
def test_a_sensor_has_a_size(size, tmp_path):
    recording = replace(random_recording(1), events=empty_events(), height=size)
    with pytest.raises(ParameterError, match=f"height is {size}, expected 1 to 32767 pixels"):
        write(tmp_path / "a.h5", recording)


def test_a_finished_file_takes_no_more(tmp_path):
    with open_writer(tmp_path / "a.h5", 1, 1) as writer:
        writer.finish()
        with pytest.raises(OutputError, match="is finished"):
            writer.append(empty_events())
        with pytest.raises(OutputError, match="is finished"):
            writer.finish()


# No file is ever harmed


@every_format
def test_the_name_appears_with_the_finished_file(name, tmp_path):
    path = tmp_path / f"a{SUFFIX[name]}"
    with open_writer(path, 1280, 720) as writer:
        writer.append(random_recording(10).events)
        assert not path.exists()
        writer.finish(0, 2_000_000)
        assert len(read(path)) == 10
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@every_format
def test_an_exception_leaves_nothing_behind(name, tmp_path):
    path = tmp_path / f"a{SUFFIX[name]}"
    path.write_text("precious")

    def fail_in_the_middle():
        with open_writer(path, 1280, 720, overwrite=True) as writer:
            writer.append(random_recording(10).events)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    assert path.read_text() == "precious"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_interrupt_keeps_what_is_finished(tmp_path):
    """What a command does at Ctrl-C: it finishes what was done, then passes the interrupt on."""

    def convert():
        with open_writer(tmp_path / "a.h5", 1280, 720) as writer:
            try:
                writer.append(random_recording(10).events)
                raise KeyboardInterrupt
            except KeyboardInterrupt:
                writer.finish(0, 2_000_000, {"complete": False})
                raise

    with pytest.raises(KeyboardInterrupt):
        convert()
    assert len(read(tmp_path / "a.h5")) == 10
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("name", ["dsec", "v2e"])
def test_an_interrupt_in_the_middle_of_a_write_is_no_crash(name, tmp_path, monkeypatch, request):
    """Ctrl-C while HDF5 waits for the disk; an exception through HDF5 would end this process."""
    written = QuietFile.write
    # A suite that runs in the background of a shell inherits an ignored Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def write_and_interrupt(self, data):
        signal.raise_signal(signal.SIGINT)
        return written(self, data)

    path = tmp_path / f"a{SUFFIX[name]}"
    with open_writer(path, 1280, 720) as writer:
        writer.append(random_recording(2 * BLOCK).events)
        monkeypatch.setattr(QuietFile, "write", write_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            writer.finish()
        assert not any(tmp_path.iterdir())
        monkeypatch.undo()
    assert len(read(path)) == 2 * BLOCK


def test_leaving_the_block_finishes_the_file(tmp_path):
    """As a recording: from 0 to the last event."""
    recording = random_recording(10)
    with open_writer(tmp_path / "a.h5", 1280, 720) as writer:
        writer.append(recording.events)
    assert_same(read(tmp_path / "a.h5"), replace(recording, stop_us=None, provenance={}))


@every_format
def test_an_existing_file_is_refused_before_any_work(name, tmp_path):
    path = tmp_path / f"a{SUFFIX[name]}"
    path.write_text("precious")
    writer = open_writer(path, 1, 1)
    with pytest.raises(OutputError, match="exists; choose another name, or overwrite it"):
        writer.__enter__()
    assert path.read_text() == "precious"
    write(path, random_recording(10), overwrite=True)
    assert len(read(path)) == 10


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    """The events are kept under the temporary name that the message gives."""
    path = tmp_path / "a.h5"

    def convert():
        with open_writer(path, 1280, 720) as writer:
            writer.append(random_recording(10).events)
            path.write_text("precious")

    with pytest.raises(OutputError, match=r"appeared .* kept in .*\.part$") as caught:
        convert()
    assert path.read_text() == "precious"
    assert len(read(str(caught.value).split("kept in ")[1], format="dsec")) == 10


@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_and_devices_are_never_replaced(overwrite, tmp_path):
    (tmp_path / "folder.h5").mkdir()
    for target in (tmp_path / "folder.h5", Path("/dev/null")):
        with pytest.raises(OutputError, match="is not a regular file"):
            write(target, random_recording(1), format="dsec", overwrite=overwrite)


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(folder, tmp_path):
    (tmp_path / "file").write_text("precious")
    writer = open_writer(tmp_path / folder / "a.h5", 1, 1)
    with pytest.raises(OutputError, match=r"a.h5 cannot be written: (there is no folder|.*directory)") as caught:
        writer.__enter__()
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@every_format
@pytest.mark.parametrize("limit", [0, 500, 5_000, 60_000])
def test_a_full_disk_leaves_the_existing_file(name, limit, tmp_path):
    """It fails in the middle of the file or at its end, as bytes are left; 65 536 random events need more."""
    path = tmp_path / f"a{SUFFIX[name]}"
    path.write_text("precious")
    with open_writer(path, 1280, 720, overwrite=True) as writer:
        writer.append(random_recording(BLOCK).events)
        with (
            full_disk(limit),
            pytest.raises(OutputError, match="cannot be written: File too large") as caught,
        ):
            writer.finish(0, 2_000_000, NOTES)
        assert "\n" not in str(caught.value)
        assert path.read_text() == "precious"
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        writer.finish(0, 2_000_000, NOTES)  # after some space was freed
    assert len(read(path)) == BLOCK


def test_a_disk_that_fills_while_events_come_is_told_at_once(tmp_path):
    with open_writer(tmp_path / "a.h5", 1280, 720) as writer:
        with full_disk(10_000), pytest.raises(OutputError, match="cannot be written: File too large"):
            writer.append(random_recording(BLOCK).events)
        writer.append(random_recording(10, length_us=10).events)
    assert len(read(tmp_path / "a.h5")) == 10


def test_no_space_left_is_said_in_one_line(tmp_path, monkeypatch):
    def no_space(path, spool, attributes):
        path.write_text("some bytes")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("dvs.files.output.format_to_write", lambda path, name: replace(FORMATS[0], write=no_space))
    with pytest.raises(OutputError, match=r"^\S*a.h5 cannot be written: No space left on device; free some space"):
        write(tmp_path / "a.h5", random_recording(1))
    assert not any(tmp_path.iterdir())


def test_the_finished_file_has_ordinary_permissions(tmp_path):
    """Those of any new file of the user, not the private ones of a temporary file."""
    (tmp_path / "ordinary").touch()
    write(tmp_path / "a.h5", random_recording(1))
    assert (tmp_path / "a.h5").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("name", ["r.h5", "r.v2e.h5", "r.npz"])
def test_a_recording_left_in_its_file_gives_the_same_events_block_by_block(tmp_path, name):
    """More events than one block holds, so that the blocks have to join without loss or overlap."""
    count = 2 * BLOCK + 17
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 10**7, count))
    events = make_events(rng.integers(0, 20, count), rng.integers(0, 10, count), t, rng.integers(0, 2, count))
    recording = Recording(events=events, width=20, height=10, stop_us=10**7, provenance={"source": "test"})
    write(tmp_path / name, recording)
    left = dvs.open(tmp_path / name)
    blocks = [left.events] if isinstance(left, Recording) else list(left.blocks())
    np.testing.assert_array_equal(np.concatenate(blocks), events)
    assert (left.width, left.height, left.start_us, left.stop_us) == (20, 10, 0, 10**7)
    assert left.provenance == {"source": "test"}
    assert left.duration_s == 10


def test_a_file_of_others_is_searched_for_its_size_and_span(tmp_path):
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["events"] = np.array([[5, 3, 1, 0], [9, 0, 7, 1]], np.uint32)
    left = dvs.open(tmp_path / "foreign.h5")
    assert (left.width, left.height, left.start_us, left.stop_us) == (4, 8, 5, 9)
    assert [block["p"].tolist() for block in left.blocks()] == [[0, 1]]


def test_a_file_whose_events_are_out_of_order_is_named_when_read_in_blocks(tmp_path):
    t = np.arange(2 * BLOCK, dtype=np.uint32)[::-1]
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["events"] = np.stack([t, 0 * t, 0 * t, 0 * t], axis=1)
    with pytest.raises(InputError, match=r"foreign.h5.*dvs.read, which sorts"):
        list(dvs.open(tmp_path / "foreign.h5").blocks())
    with pytest.warns(UserWarning, match="131,071 of 131,072 events came before their time; all are sorted"):
        assert len(read(tmp_path / "foreign.h5")) == 2 * BLOCK
