"""HDF5 of others and of ours: chunks, the layouts of DSEC, v2e, M3ED, Metavision and tonic, and damage."""

import itertools
from contextlib import suppress

import h5py
import numpy as np
import pytest
import tonic
from hypothesis import given, settings
from hypothesis import strategies as st

from dvs.errors import FormatError, InputError, MissingExtraError
from dvs.events import Recording, join_events, make_events
from dvs.files import ecf, hdf5_chunks, hdf5_dsec, hdf5_m3ed, hdf5_metavision, hdf5_tonic, hdf5_v2e
from dvs.files.attributes import pack_attributes
from dvs.files.input import one_line
from dvs.files.spool import BLOCK, Spool

LAYOUTS = {"dsec": hdf5_dsec, "v2e": hdf5_v2e, "m3ed": hdf5_m3ed, "metavision": hdf5_metavision, "tonic": hdf5_tonic}
WRITABLE = {name: LAYOUTS[name] for name in ("dsec", "v2e", "metavision")}
every_layout = pytest.mark.parametrize("layout", WRITABLE.values(), ids=WRITABLE)


def random_events(count, *, seed=0, width=640, height=480, length_us=1_000_000, start_us=0):
    rng = np.random.default_rng(seed)
    t_us = np.sort(rng.integers(start_us, start_us + length_us, count))
    return make_events(rng.integers(0, width, count), rng.integers(0, height, count), t_us, rng.integers(0, 2, count))


def written(layout, events, path, **about):
    start_us = min(0, int(events["t"][0])) if events.size else 0
    recording = Recording(events=events, **{"width": 640, "height": 480, "start_us": start_us} | about)
    with Spool(path.parent) as spool:
        spool.append(events)
        layout.write(path, spool, pack_attributes(recording))
    return recording


def until_damage(layout, path):
    """The events in front of the damage, and what is said of it."""
    good = []
    with pytest.raises(FormatError) as caught:
        good.extend(layout.blocks(path))
    assert "\n" not in str(caught.value)
    return join_events(good), str(caught.value)


def by_h5py(path, name):
    with h5py.File(path) as file:
        return file[name][:]


# Chunks that are compressed here


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i8"])
def test_a_chunk_is_what_hdf5_itself_would_have_compressed(dtype, tmp_path):
    """HDF5 reads ours, we read HDF5's."""
    numbers = np.random.default_rng(0).integers(0, 200, 1000).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        ours = file.create_dataset("ours", 1000, dtype, chunks=(300,), **hdf5_chunks.GZIP)
        for first in range(0, 1000, 300):
            ours.id.write_direct_chunk((first,), hdf5_chunks.deflated(numbers[first : first + 300], 300))
        theirs = file.create_dataset("theirs", data=numbers, chunks=(300,), compression="gzip", shuffle=True)
        np.testing.assert_array_equal(ours[:], numbers)
        for dataset in (ours, theirs):
            rows = hdf5_chunks.Rows(dataset)
            read, problem = rows.decode(rows.fetch(250, 950), 250, 950)
            assert problem is None
            np.testing.assert_array_equal(read, numbers[250:950])


@pytest.mark.parametrize(
    "filters",
    [{}, {"compression": "gzip"}, {"shuffle": True}, {"compression": "lzf"}, {"fletcher32": True}],
)  # fmt: skip
@pytest.mark.parametrize("chunks", [None, 7, 1000])
def test_any_filter_and_any_chunk_of_hdf5_is_read(filters, chunks, tmp_path):
    events = random_events(5000)
    layout = {"chunks": (chunks,), **filters} if chunks else {}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, dtype in {"x": "u2", "y": "u2", "t": "u4", "p": "bool"}.items():
            file.create_dataset(f"events/{name}", data=events[name].astype(dtype), **layout)
    np.testing.assert_array_equal(join_events(list(hdf5_dsec.blocks(tmp_path / "a.h5"))), events)
    np.testing.assert_array_equal(hdf5_dsec.between(tmp_path / "a.h5", 400_000, 400_500), cut(events, 400_000, 400_500))


def test_columns_whose_chunks_differ_are_put_together(tmp_path):
    """h5py chooses the length of a chunk by the size of its numbers."""
    events = random_events(100_000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, dtype, chunk in [("x", "u2", 999), ("y", "u2", 500), ("t", "i8", 70_000), ("p", "i1", 4096)]:
            file.create_dataset(f"events/{name}", data=events[name].astype(dtype), chunks=(chunk,), compression="gzip")
    np.testing.assert_array_equal(hdf5_dsec.read(tmp_path / "a.h5").events, events)


@every_layout
def test_the_bytes_do_not_depend_on_the_number_of_threads(layout, tmp_path, monkeypatch):
    events = random_events(3 * BLOCK + 5)
    for threads in (1, 2, 5):
        monkeypatch.setattr(hdf5_chunks, "THREADS", threads)
        written(layout, events, tmp_path / f"{threads}.h5")
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes() == (tmp_path / "5.h5").read_bytes()


@every_layout
@pytest.mark.parametrize("count", [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_any_number_of_events_is_read_back(layout, count, tmp_path):
    recording = written(layout, random_events(count), tmp_path / "a.h5")
    read = layout.read(tmp_path / "a.h5")
    np.testing.assert_array_equal(read.events, recording.events)
    assert (read.width, read.height, read.start_us, read.stop_us) == (640, 480, 0, recording.stop_us)
    np.testing.assert_array_equal(join_events(list(layout.blocks(tmp_path / "a.h5"))), recording.events)


def test_the_order_of_results_is_that_of_the_items():
    assert list(hdf5_chunks.in_order(lambda number: number**2, range(100))) == [number**2 for number in range(100)]


# Spans


def cut(events, start_us, stop_us):
    return events[(events["t"] >= start_us) & (events["t"] < stop_us)]


@every_layout
def test_a_span_is_what_a_filter_by_time_leaves(layout, tmp_path):
    """At the ends, in silence, between events of one time, in bursts that fill several blocks, and in front of all."""
    t_us = np.concatenate([np.full(BLOCK + 7, 5), np.full(BLOCK, 1000), np.arange(2000, 2000 + BLOCK), [9_000_000]])
    events = make_events(np.arange(t_us.size) % 640, np.zeros(t_us.size, int), t_us, np.ones(t_us.size, int))
    written(layout, events, tmp_path / "a.h5")
    times = [-7, 0, 5, 6, 999, 1000, 1001, 2000, 30_500, 60_000, 8_000_000, 9_000_000, 9_000_001, 10**10]
    for start_us, stop_us in itertools.combinations_with_replacement(times, 2):
        expected = cut(events, start_us, stop_us)
        np.testing.assert_array_equal(layout.between(tmp_path / "a.h5", start_us, stop_us), expected)


@pytest.mark.parametrize("layout", [hdf5_dsec, hdf5_metavision])
@pytest.mark.parametrize("wrong", [0, 10**15])
def test_a_wrong_index_makes_a_span_slower_but_not_wrong(layout, wrong, tmp_path):
    events = random_events(3 * BLOCK)
    written(layout, events, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        if layout is hdf5_dsec:
            file["ms_to_idx"][:] = wrong
        else:
            file["CD/indexes"][:] = np.array([(wrong, 0)] * len(file["CD/indexes"]), hdf5_metavision.ENTRY)
    for start_us in (0, 333_333, 999_000):
        span = start_us, start_us + 10_000
        np.testing.assert_array_equal(layout.between(tmp_path / "a.h5", *span), cut(events, *span))


def test_a_span_far_from_time_0_is_found_through_the_offset(tmp_path):
    events = random_events(BLOCK, start_us=1_633_953_690_000_000)
    written(hdf5_dsec, events, tmp_path / "a.h5", start_us=0)
    span = 1_633_953_690_400_000, 1_633_953_690_410_000
    np.testing.assert_array_equal(hdf5_dsec.between(tmp_path / "a.h5", *span), cut(events, *span))


def test_a_span_needs_events_in_order_of_time(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = np.array([[9, 0, 0, 0], [5, 0, 0, 0]], "u4")
    with pytest.raises(FormatError, match=r"out of order of time; read it with dvs\.read, which sorts"):
        hdf5_v2e.between(tmp_path / "a.h5", 0, 100)
    with pytest.warns(UserWarning, match="1 of 2 events came before their time"):
        assert hdf5_v2e.read(tmp_path / "a.h5").events["t"].tolist() == [5, 9]


def test_dsec_s_own_slicer_finds_the_events(tmp_path):
    """As eventslicer.py of DSEC does: whole milliseconds through ms_to_idx, then a search within them."""
    events = random_events(50_000)
    written(hdf5_dsec, events, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        index = file["ms_to_idx"][:].astype(int)
        for start_us, stop_us in ((0, 1000), (123_456, 234_567), (999, 1001)):
            first, last = index[start_us // 1000], index[-(-stop_us // 1000)]
            t = file["events/t"][first:last].astype(np.int64) + int(file["t_offset"][()])
            inside = (t >= start_us) & (t < stop_us)
            np.testing.assert_array_equal(t[inside], cut(events, start_us, stop_us)["t"])


# ECF


def ecf_chunk(count, mode, *parts):
    return (count << 2 | mode).to_bytes(4, "little") + b"".join(parts)


def time_bytes(first_us, *runs):
    return int(first_us).to_bytes(8, "little", signed=True) + bytes(runs)


def words(size, *values):
    return b"".join(value.to_bytes(size, "little") for value in values)


def test_ecf_in_rows_with_masks():
    """Two events at 1000 us in row 7, x = 20 and 22, ON; one 3 us later in row 8, x = 5, OFF.

    times: 0 | 2 and 3 | 1; y: 7 << 5 | 2 and 8 << 5 | 1; x: 20 with the second bit of five, then 5; p: 1 | 2 and 0 | 1.
    """
    rows, masks = words(2, 7 << 5 | 2, 8 << 5 | 1), words(2, 20 << 5 | 0b01000, 5 << 5)
    chunk = ecf_chunk(3, 0, time_bytes(1000, 0x02, 0x31), rows, masks, bytes([0x82, 0x01]))
    expected = make_events([20, 22, 5], [7, 7, 8], [1000, 1000, 1003], [1, 1, 0])
    decoded = ecf.decode(chunk)
    for name in "xytp":
        np.testing.assert_array_equal(decoded[name], expected[name])


def test_ecf_with_long_runs():
    """300 events at one time in one row, of one sign: the number follows the mark; x is 0 ... 299 in steps of six."""
    count = (300).to_bytes(2, "little")
    masks = words(2, *(x << 5 | 0b11111 for x in range(0, 300, 6)))
    chunk = ecf_chunk(300, 0, time_bytes(-5, 0x0F), count, words(2, 9 << 5 | 31), count, masks, bytes([0xFF]), count)
    events = make_events(np.arange(300), [9] * 300, [-5] * 300, [1] * 300)
    assert ecf.encode(events) == chunk
    np.testing.assert_array_equal(ecf.decode(chunk)["x"], events["x"])
    assert set(ecf.decode(chunk)["t"].tolist()) == {-5}


def test_ecf_with_long_silence():
    """0x123 us pass: nibbles 3, 2, 1 behind the mark 15, lowest first, then one event after 0 us more."""
    chunk = ecf_chunk(2, 0, time_bytes(7, 0x01, 0xF3, 0xF2, 0xF1, 0x01), words(2, 2, 0, 0), bytes([0x02]))
    assert ecf.decode(chunk)["t"].tolist() == [7, 7 + 0x123]
    assert ecf.encode(make_events([0, 0], [0, 0], [7, 7 + 0x123], [0, 0])) == chunk


def test_ecf_with_x_and_p_packed():
    """Values of 12 bits 0x123, 0x456, 0x789, 0xABC: three words 0x1236, 0x4589, 0x7ABC; their last bit is p."""
    values = [0x123, 0x456, 0x789, 0xABC]
    chunk = ecf_chunk(4, 1, time_bytes(0, 0x04), words(2, 3 << 5 | 4), words(2, 0x1236, 0x4589, 0x7ABC))
    decoded = ecf.decode(chunk)
    assert (decoded["x"] << 1 | decoded["p"]).tolist() == values
    assert decoded["y"].tolist() == [3] * 4


def test_ecf_with_all_packed():
    """Values of 24 bits: 0x123456, 0x234567, 0x345678, 0x456789 in the words 0x12345667, 0x23455678, 0x34456789."""
    values = [0x123456, 0x234567, 0x345678, 0x456789]
    chunk = ecf_chunk(4, 2, time_bytes(0, 0x04), words(4, 0x12345667, 0x23455678, 0x34456789))
    decoded = ecf.decode(chunk)
    assert (decoded["y"].astype(int) << 12 | decoded["x"].astype(int) << 1 | decoded["p"]).tolist() == values


def test_ecf_ignores_what_lies_behind_the_last_event():
    """Prophesee's encoder may set bits of the last mask for events that are not there."""
    chunk = ecf_chunk(1, 0, time_bytes(0, 0x01), words(2, 1, 40 << 5 | 0b11111), bytes([0x01]))
    assert ecf.decode(chunk)["x"].tolist() == [40]


def test_ecf_takes_the_shortest_way():
    """Noise: 24 bits an event and its time; one row: x and p in 12 bits; a bar: six events in a mask."""
    noise = make_events([900, 3, 700, 20], [8, 1, 9, 2], [0, 1, 2, 3], [0, 1, 0, 1])
    assert ecf.encode(noise)[0] & 3 == 2
    scattered = make_events(np.arange(100, 0, -1) * 9, [5] * 100, [0] * 100, [0, 1] * 50)
    assert ecf.encode(scattered)[0] & 3 == 1
    bar = make_events(np.arange(100), [5] * 100, [0] * 100, [1] * 100)
    assert ecf.encode(bar)[0] & 3 == 0


step_us = st.integers(0, 40) | st.integers(0, 2**40)
ecf_event = st.tuples(
    st.integers(0, 2047) | st.integers(0, 8), st.integers(0, 2047) | st.just(3), step_us, st.booleans()
)


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2**61), 2**61), st.lists(ecf_event, min_size=1, max_size=80))
def test_ecf_keeps_any_events(first_us, rows):
    x, y, step, p = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    events = make_events(x, y, first_us + np.cumsum(step), p)
    decoded = ecf.decode(ecf.encode(events))
    for name in "xytp":
        np.testing.assert_array_equal(decoded[name], events[name])


def decode_or_say_why(content):
    try:
        count = len(ecf.decode(content))
    except ValueError as error:
        count = 0 if "ECF" in str(error) else None
    assert count is not None
    assert count <= 65_535


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_ecf_damaged_is_events_or_an_error(data):
    """Any byte may be any other, and the end may be missing: never a crash, never more events than 65535."""
    chunk = bytearray(ecf.encode(random_events(data.draw(st.integers(1, 60)), length_us=500)))
    for place in data.draw(st.lists(st.integers(0, len(chunk) - 1), max_size=3)):
        chunk[place] = data.draw(st.integers(0, 255))
    decode_or_say_why(bytes(chunk[: data.draw(st.integers(0, len(chunk)))]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_ecf_of_any_bytes_is_events_or_an_error(content):
    decode_or_say_why(content)


# Metavision


def test_metavision_s_index_names_the_last_period_that_had_events(tmp_path):
    """Periods of 2 ms after the first event, at 77 us: events at +0, +1, +2500, +2600, +4100, +8100 us.

    Entry k is the first event of the last period in front of k that had any; (0, -1) where there is none; one more at
    the end. So as OpenEB's IndexesWriter does event by event.
    """
    events = make_events([0] * 6, [0] * 6, np.array([0, 1, 2500, 2600, 4100, 8100]) + 77, [1] * 6)
    written(hdf5_metavision, events, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        index = file["CD/indexes"]
        assert index.attrs["offset"] == "-77"
        assert index[:].tolist() == [(0, -1), (0, 0), (2, 2500), (4, 4100), (4, 4100), (5, 8100)]


def test_metavision_finds_its_datasets_and_texts(tmp_path):
    """Records of 16 bytes as in EventCD of OpenEB, chunks of 16384, the filter ECF and nothing else."""
    written(hdf5_metavision, random_events(40_000), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        events, attributes = file["CD/events"], dict(file.attrs)
        created = events.id.get_create_plist()
        assert [created.get_filter(index)[0] for index in range(created.get_nfilters())] == [0x8ECF]
        assert (events.shape, events.chunks, events.maxshape) == ((40_000,), (16_384,), (None,))
        assert [(name, events.dtype.fields[name][0].str, events.dtype.fields[name][1]) for name in "xypt"] == [
            ("x", "<u2", 0), ("y", "<u2", 2), ("p", "<i2", 4), ("t", "<i8", 8)
        ]  # fmt: skip
        assert {name: len(file[f"EXT_TRIGGER/{name}"]) for name in file["EXT_TRIGGER"]} == {"events": 0, "indexes": 0}
        assert (attributes["geometry"], attributes["version"]) == ("640x480", "1.0")
        assert all(isinstance(value, str) for value in attributes.values())
        last = ecf.decode(events.id.read_direct_chunk((32_768,))[1])
        assert len(last) == 40_000 - 32_768  # as OpenEB writes it: not filled up


@pytest.mark.parametrize("filters", [{}, {"compression": "gzip", "shuffle": True}, {"compression": "lzf"}])
def test_records_without_ecf_and_in_another_order_are_read(filters, tmp_path):
    events = random_events(30_000)
    records = np.zeros(30_000, [("t", "<i8"), ("p", "<i2"), ("y", "<u2"), ("x", "<u2")])
    for name in "xytp":
        records[name] = events[name]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("CD/events", data=records, **({"chunks": (9000,)} if filters else {}), **filters)
        file.attrs["geometry"] = "1280x720"
    read = hdf5_metavision.read(tmp_path / "a.h5")
    np.testing.assert_array_equal(read.events, events)
    assert (read.width, read.height) == (1280, 720)
    np.testing.assert_array_equal(hdf5_metavision.between(tmp_path / "a.h5", 5000, 6000), cut(events, 5000, 6000))


def test_a_wrong_time_does_not_fill_the_disk_with_metavision_s_index(tmp_path):
    events = make_events([0, 0], [0, 0], [0, 2 * 10**12], [0, 1])
    with pytest.raises(FormatError, match=r"span 23\.1 days"):
        written(hdf5_metavision, events, tmp_path / "a.h5")


# M3ED, v2e, tonic


def test_the_left_camera_of_m3ed_is_read(tmp_path):
    events = random_events(20_000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, dtype in {"x": "u2", "y": "u2", "t": "i8", "p": "u1"}.items():
            file.create_dataset(f"prophesee/left/{name}", data=events[name].astype(dtype), compression="lzf")
        file["prophesee/left/ms_map_idx"] = np.searchsorted(events["t"], np.arange(999) * 1000).astype("u8")
        file["prophesee/left/calib/resolution"] = np.array([1280, 720])
        file["prophesee/right/x"] = np.zeros(3, "u2")
    read = hdf5_m3ed.read(tmp_path / "a.h5")
    np.testing.assert_array_equal(read.events, events)
    assert (read.width, read.height) == (1280, 720)
    np.testing.assert_array_equal(hdf5_m3ed.between(tmp_path / "a.h5", 7000, 9000), cut(events, 7000, 9000))


def test_v2e_s_times_are_read_as_they_stand(tmp_path):
    """600.000033 s in float32 is 600.00006: v2e writes 600000061, off by 28 us. The file does not know better."""
    t_us = int(np.float32(600.000033) * np.float64(1e6))
    assert abs(t_us - 600_000_033) > 10
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("events", data=np.array([[t_us, 1, 2, 0]], "u4"), maxshape=(None, 4), compression="gzip")
    assert hdf5_v2e.read(tmp_path / "a.h5").events["t"].tolist() == [t_us]


class OneSample(tonic.Dataset):
    """A data set of one recording, with the fields in an order of its own."""

    def __init__(self, events, names):
        super().__init__("unused")
        self.events = np.zeros(events.size, [(name, {"t": "<i8", "p": "i1"}.get(name, "<i2")) for name in names])
        for name in names:
            self.events[name] = events[name]

    def __getitem__(self, index):
        return self.events, 7

    def __len__(self):
        return 1


@pytest.mark.parametrize("names", ["xytp", "txyp", "ptxy"])
@pytest.mark.parametrize("compress", [True, False])
def test_tonic_s_cache_gives_the_events_that_were_put_in(names, compress, tmp_path):
    events = random_events(9000)
    cache = tonic.DiskCachedDataset(OneSample(events, names), cache_path=str(tmp_path), compress=compress)
    _, label = cache[0]
    assert label == 7
    path = tmp_path / "0_0.hdf5"
    assert [name for name, layout in LAYOUTS.items() if layout.recognises(path)] == ["tonic"]
    np.testing.assert_array_equal(hdf5_tonic.read(path).events, events)


def test_frames_in_tonic_s_cache_are_no_events(tmp_path):
    with h5py.File(tmp_path / "0_0.hdf5", "w") as file:
        file["data/0"] = np.zeros((3, 2, 10, 10), "i2")
    assert not any(layout.recognises(tmp_path / "0_0.hdf5") for layout in LAYOUTS.values())


@every_layout
def test_each_layout_is_recognised_by_its_own_reader_only(layout, tmp_path):
    written(layout, random_events(10), tmp_path / "a.h5")
    assert [other for other in LAYOUTS.values() if other.recognises(tmp_path / "a.h5")] == [layout]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_what_is_no_hdf5_is_not_recognised(layout, tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a")
    assert not layout.recognises(tmp_path / "a.h5")
    (tmp_path / "a.h5").write_bytes(b"")
    assert not layout.recognises(tmp_path / "a.h5")


# Damage


@pytest.mark.parametrize("name", ["x", "t", "p"])
def test_events_in_front_of_a_damaged_chunk_are_good(name, tmp_path):
    """One bit of the third chunk of one column: its check sum does not fit."""
    events = random_events(4 * BLOCK)
    written(hdf5_dsec, events, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        place = file[f"events/{name}"].id.get_chunk_info(2)
    content = bytearray((tmp_path / "a.h5").read_bytes())
    content[place.byte_offset + place.size // 2] ^= 1
    (tmp_path / "a.h5").write_bytes(content)
    good, problem = until_damage(hdf5_dsec, tmp_path / "a.h5")
    np.testing.assert_array_equal(good, events[: 2 * BLOCK])
    assert f"a.h5: /events/{name} is damaged from row {2 * BLOCK} on, byte {place.byte_offset}" in problem
    with pytest.raises(FormatError, match="is damaged from row"):
        hdf5_dsec.read(tmp_path / "a.h5")


def test_events_in_front_of_a_chunk_that_hdf5_cannot_read_are_good(tmp_path):
    """LZF, which HDF5 undoes itself, under a check sum of HDF5: 1000 events a chunk, the 31st is bad."""
    events = random_events(50_000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "xytp":
            column = events[name].astype("u4")
            file.create_dataset(f"events/{name}", data=column, chunks=(1000,), compression="lzf", fletcher32=True)
    with h5py.File(tmp_path / "a.h5") as file:
        place = file["events/y"].id.get_chunk_info(30)
    content = bytearray((tmp_path / "a.h5").read_bytes())
    content[place.byte_offset + 100] ^= 255
    (tmp_path / "a.h5").write_bytes(content)
    good, problem = until_damage(hdf5_dsec, tmp_path / "a.h5")
    np.testing.assert_array_equal(good, events[:30_000])
    assert f"/events/y is damaged from row 30000 on, byte {place.byte_offset}" in problem


def test_a_chunk_that_is_missing_ends_the_events(tmp_path):
    events = random_events(4 * BLOCK)
    written(hdf5_dsec, events[: 2 * BLOCK], tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        for name in "xytp":
            file[f"events/{name}"].resize((2**60,))
    good, problem = until_damage(hdf5_dsec, tmp_path / "a.h5")
    np.testing.assert_array_equal(good, events[: 2 * BLOCK])
    assert f"from row {2 * BLOCK} on" in problem
    with pytest.raises(FormatError, match=f"claims {2**60} rows, but the file holds {2 * BLOCK} at most"):
        hdf5_dsec.read(tmp_path / "a.h5")


@pytest.mark.parametrize("layout", [hdf5_v2e, hdf5_metavision, hdf5_tonic])
def test_a_count_that_the_file_cannot_hold_is_no_allocation(layout, tmp_path):
    """2^50 rows, of which none was ever stored: HDF5 alone would give zeros without end."""
    about = {"chunks": (1000,), "maxshape": (None,), "compression": "lzf"}
    record = [("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if layout is hdf5_v2e:
            file.create_dataset("events", (2**50, 4), "u4", **{**about, "chunks": (1000, 4), "maxshape": (None, 4)})
        else:
            file.create_dataset("data/0" if layout is hdf5_tonic else "CD/events", 2**50, record, **about)
    assert layout.recognises(tmp_path / "a.h5")
    _, problem = until_damage(layout, tmp_path / "a.h5")
    assert f"claims {2**50} rows, but the file holds 0 at most" in problem


def test_columns_of_unequal_length_end_with_the_shortest(tmp_path):
    events = random_events(100)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "xytp":
            file[f"events/{name}"] = events[name][: 60 if name == "p" else 100].astype("u4")
    good, problem = until_damage(hdf5_dsec, tmp_path / "a.h5")
    np.testing.assert_array_equal(good, events[:60])
    assert "60 to 100 rows" in problem


@pytest.mark.parametrize(("name", "value"), [("x", 40_000), ("y", 65_535), ("p", 2)])
def test_events_in_front_of_a_number_that_is_none_are_good(name, value, tmp_path):
    events = random_events(100)
    columns = {column: events[column].astype("u4") for column in "xytp"}
    columns[name][70] = value
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = np.stack([columns[column] for column in "txyp"], axis=1)
    good, problem = until_damage(hdf5_v2e, tmp_path / "a.h5")
    np.testing.assert_array_equal(good, events[:70])
    assert f"from row 70 on: {name} is {value}" in problem


def test_a_column_of_seconds_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "xytp":
            file[f"events/{name}"] = np.zeros(3, "f8" if name == "t" else "u2")
    assert "column t has dtype float64, expected whole numbers" in until_damage(hdf5_dsec, tmp_path / "a.h5")[1]


@every_layout
def test_a_damaged_file_gives_events_or_an_error(layout, tmp_path):
    """Every hundredth byte of a small file, one after the other, and the file cut short there."""
    path = tmp_path / "a.h5"
    events = random_events(300)
    written(layout, events, path)
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 150)):
        for broken in (content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :], content[:place]):
            path.write_bytes(broken)
            with suppress(FormatError, InputError, MissingExtraError), one_line(path):
                if layout.recognises(path):
                    assert sum(block.size for block in layout.blocks(path)) <= 300
                    assert layout.between(path, 0, 10**6).size <= 300


def test_ecf_damaged_in_a_file_keeps_what_is_in_front(tmp_path):
    """Chunk 5 of 16384 events claims more than ECF may hold; four chunks are read in one go, yet none is lost."""
    events = random_events(100_000)
    written(hdf5_metavision, events, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        place = file["CD/events"].id.get_chunk_info(5)
    content = bytearray((tmp_path / "a.h5").read_bytes())
    content[place.byte_offset : place.byte_offset + 4] = b"\xff" * 4
    (tmp_path / "a.h5").write_bytes(content)
    good, problem = until_damage(hdf5_metavision, tmp_path / "a.h5")
    np.testing.assert_array_equal(good, events[: 5 * 16_384])
    assert f"from row {5 * 16_384} on, byte {place.byte_offset}" in problem
    assert "claims 1073741823 events, expected at most 65535" in problem
