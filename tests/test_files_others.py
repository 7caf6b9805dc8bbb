"""Event Stream, N-MNIST, MATLAB and EVREAL files: their layouts, other readers, and what damage does."""

import json
import struct
import tracemalloc

import faery
import h5py
import numpy as np
import pytest
import scipy.io
import tonic.io
from hypothesis import given, settings
from hypothesis import strategies as st

from dvs.errors import FormatError, InputError
from dvs.events import EVENT_DTYPE, empty_events, join_events, make_events
from dvs.files import event_stream, evreal, mat, nmnist
from dvs.files.spool import BLOCK, Spool

WRITTEN = {"es": event_stream, "nmnist": nmnist, "evreal": evreal}


def write(module, path, events, *, width=346, height=260, start_us=0, stop_us=10**9):
    known = {"width": width, "height": height, "start_us": start_us, "stop_us": stop_us, "provenance": '{"a": 1}'}
    with Spool(path.parent) as spool:
        spool.append(events)
        module.FORMAT.write(path, spool, known)
    return known


def read(module, path):
    return join_events([empty_events(), *module.FORMAT.blocks(path)])


def read_until_damage(module, path):
    """The events in front of the damage, and what is said about it; None where nothing is."""
    parts, damage = [empty_events()], None
    try:
        parts.extend(module.FORMAT.blocks(path))
    except (FormatError, InputError) as error:
        damage = error
    assert "\n" not in str(damage)
    return join_events(parts), damage


def random_events(count, width, height, *, seed=0, length_us=8_000_000):
    rng = np.random.default_rng(seed)
    t_us = np.sort(rng.integers(0, length_us, count))
    return make_events(rng.integers(0, width, count), rng.integers(0, height, count), t_us, rng.integers(0, 2, count))


@pytest.mark.parametrize("name", WRITTEN)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_sorted_events_come_back(name, data, tmp_path_factory):
    """On the largest sensor, at any time the format holds; an .es within the hour, else it is long to write."""
    item = WRITTEN[name].FORMAT
    width, height = item.largest
    times = st.integers(item.first_us, min(item.last_us, 10**9) if name == "es" else item.last_us)
    event = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), times, st.integers(0, 1))
    rows = sorted(data.draw(st.lists(event, max_size=40)), key=lambda row: row[2])
    events = np.array(rows, EVENT_DTYPE)
    path = tmp_path_factory.getbasetemp() / f"any{item.suffixes[0]}"
    write(WRITTEN[name], path, events, width=width, height=height)
    np.testing.assert_array_equal(read(WRITTEN[name], path), events)


@pytest.mark.parametrize("name", WRITTEN)
def test_blocks_of_events_come_back(name, tmp_path):
    events, path = random_events(3 * BLOCK + 5, 240, 180), tmp_path / "a"
    write(WRITTEN[name], path, events)
    assert WRITTEN[name].FORMAT.recognises(path)
    np.testing.assert_array_equal(read(WRITTEN[name], path), events)


# Event Stream


def es_file(*body, kind=1, version=2, width=4, height=3):
    return b"Event Stream" + bytes([version, 0, 0, kind]) + struct.pack("<HH", width, height) + bytes(body)


def test_an_event_stream_made_by_hand_is_read(tmp_path):
    """Time in the upper 7 bits, ON in the lowest; 0xff adds 127 us, 0xfe nothing; y counts from the bottom of 3 rows.

    10 us, then 127 + 127 + 3 us later, then at once.
    """
    body = (10 << 1 | 1, 1, 0, 0, 0, 0xFE, 0xFF, 0xFE, 0xFF, 3 << 1, 3, 0, 2, 0, 0 << 1 | 1, 0, 0, 1, 0)
    (tmp_path / "a.es").write_bytes(es_file(*body))
    expected = make_events([1, 3, 0], [2, 0, 1], [10, 267, 267], [1, 0, 1])
    np.testing.assert_array_equal(read(event_stream, tmp_path / "a.es"), expected)
    assert event_stream.FORMAT.attributes(tmp_path / "a.es") == {"width": 4, "height": 3}
    write(event_stream, tmp_path / "b.es", expected, width=4, height=3)
    assert (tmp_path / "b.es").read_bytes() == es_file(*(byte for byte in body if byte != 0xFE))


@pytest.mark.parametrize("count", [1, 2 * BLOCK + 5])
def test_our_event_stream_is_read_by_faery_as_it_is_and_by_event_stream_upside_down(count, tmp_path):
    """Both come from the author of the format; the latter hands out the row as it is stored, from the bottom."""
    events, path = random_events(count, 346, 260), tmp_path / "a.es"
    write(event_stream, path, events)
    stream = faery.events_stream_from_file(path)
    assert stream.dimensions() == (346, 260)
    found = np.concatenate(list(stream))
    for name, theirs in {"x": "x", "y": "y", "t": "t", "p": "on"}.items():
        np.testing.assert_array_equal(found[theirs], events[name])
    library = pytest.importorskip("event_stream", reason="event_stream is not installed")
    found = np.concatenate(list(library.Decoder(str(path))))
    for name, theirs in {"x": "x", "t": "t", "p": "on"}.items():
        np.testing.assert_array_equal(found[theirs], events[name])
    np.testing.assert_array_equal(259 - found["y"].astype(int), events["y"])


def test_a_real_event_stream_is_read_as_faery_reads_it(shared_data):
    path = shared_data / "formats" / "dvs.es"
    expected, found = np.concatenate(list(faery.events_stream_from_file(path))), read(event_stream, path)
    assert len(found) == 473_225
    for name, theirs in {"x": "x", "y": "y", "t": "t", "p": "on"}.items():
        np.testing.assert_array_equal(found[name], expected[theirs])


def test_an_event_stream_of_other_things_is_named(shared_data, tmp_path):
    with pytest.raises(FormatError, match="version 2 with generic events; expected DVS events"):
        read(event_stream, shared_data / "formats" / "generic.es")
    (tmp_path / "a.es").write_bytes(es_file(kind=2))
    with pytest.raises(FormatError, match="with ATIS events"):
        read(event_stream, tmp_path / "a.es")
    (tmp_path / "a.es").write_bytes(es_file(kind=77, version=1))
    with pytest.raises(FormatError, match="version 1 with unknown events"):
        read(event_stream, tmp_path / "a.es")


def test_an_event_stream_cut_anywhere_gives_whole_events(tmp_path):
    """Nothing in the file says where it ends, so a cut between events cannot be seen."""
    events, path = random_events(9, 346, 260, length_us=9 * 127), tmp_path / "a.es"
    write(event_stream, path, events)
    content, pieces = path.read_bytes(), set()
    for size in range(16, len(content)):
        path.write_bytes(content[:size])
        found, error = read_until_damage(event_stream, path)
        np.testing.assert_array_equal(found, events[: len(found)])
        pieces.add((len(found), error is None))
    assert pieces == {(count, clean) for count in range(9) for clean in (False, True)}


def test_an_event_off_the_sensor_of_an_event_stream_is_damage(tmp_path):
    (tmp_path / "a.es").write_bytes(es_file(2, 1, 0, 1, 0, 2, 4, 0, 0, 0, 2, 1, 0, 1, 0))
    found, error = read_until_damage(event_stream, tmp_path / "a.es")
    assert (len(found), "the event at byte 25 is off its 4x3 sensor" in str(error)) == (1, True)


def test_a_silence_longer_than_the_room_for_bytes_is_written_in_pieces(tmp_path):
    """1000 s are 7 874 015 bytes of 127 us, and 95 us more."""
    events, path = make_events([1, 2], [1, 2], [0, 10**9], [1, 0]), tmp_path / "a.es"
    write(event_stream, path, events, width=4, height=3)
    assert path.stat().st_size == 20 + 5 + 7_874_015 + 5
    np.testing.assert_array_equal(read(event_stream, path), events)


# N-MNIST


def test_an_nmnist_file_made_by_hand_is_read(tmp_path):
    """x, y, then ON in the highest of 24 bits and the time; from a row 240 on times are 2^13 us later."""
    (tmp_path / "a.bin").write_bytes(
        bytes(
            [1, 2, 0x80, 0, 7, 33, 0, 0x01, 0x02, 0x03, 0, 240, 0, 0, 0, 3, 4, 0, 0, 1, 5, 240, 0, 0, 0, 3, 4, 0, 0, 2]
        )
    )
    times = [7, 1 << 16 | 2 << 8 | 3, 8192 + 1, 2 * 8192 + 2]
    np.testing.assert_array_equal(
        read(nmnist, tmp_path / "a.bin"), make_events([1, 33, 3, 3], [2, 0, 4, 4], times, [1, 0, 0, 0])
    )


def test_marks_of_late_times_count_in_the_blocks_behind_them(tmp_path, monkeypatch):
    monkeypatch.setattr(nmnist, "BLOCK", 2)
    rows = [(1, 1, 0), (0, 240, 0), (1, 1, 0), (0, 240, 0), (0, 240, 0), (1, 1, 5)]
    (tmp_path / "a.bin").write_bytes(b"".join(bytes([x, y, 0, 0, t]) for x, y, t in rows))
    assert read(nmnist, tmp_path / "a.bin")["t"].tolist() == [0, 8192, 3 * 8192 + 5]


KINDS = np.dtype([("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "i1")])


@pytest.mark.parametrize("count", [1, BLOCK + 5])
def test_our_nmnist_file_is_read_by_tonic(count, tmp_path):
    events, path = random_events(count, 256, 240, length_us=2**23), tmp_path / "a.bin"
    write(nmnist, path, events, width=256, height=240)
    np.testing.assert_array_equal(tonic.io.read_mnist_file(path, KINDS), events)


def test_a_sample_of_ncaltech101_is_read_as_tonic_reads_it(shared_data):
    path = shared_data / "formats" / "faces_easy_0001.bin"
    found = read(nmnist, path)
    assert len(found) == 67_445
    np.testing.assert_array_equal(found, tonic.io.read_mnist_file(path, KINDS))
    assert nmnist.FORMAT.recognises(path)


def test_an_nmnist_file_cut_anywhere_gives_whole_events(tmp_path):
    events, path = random_events(9, 34, 34, length_us=300_000), tmp_path / "a.bin"
    write(nmnist, path, events, width=34, height=34)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        found, error = read_until_damage(nmnist, path)
        np.testing.assert_array_equal(found, events[: size // 5])
        assert (error is None) == (size % 5 == 0)
        assert error is None or f"the event at byte {size // 5 * 5} is not complete" in str(error)


def test_other_bin_files_are_not_taken_for_events(tmp_path):
    """Half of random times go back; 10 000 bytes hold 2000 events."""
    (tmp_path / "a.bin").write_bytes(np.random.default_rng(0).bytes(10_000))
    assert not nmnist.FORMAT.recognises(tmp_path / "a.bin")
    (tmp_path / "b.bin").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert not nmnist.FORMAT.recognises(tmp_path / "b.bin")


# MATLAB

COLUMNS = {"x": [3, 1, 2], "y": [0, 9, 4], "t": [20, 50, 50], "p": [1, 0, 1]}
EXPECTED = make_events(*COLUMNS.values())


def as_arrays(kind="f8", **names):
    return {names.get(name, name): np.array(column, kind) for name, column in COLUMNS.items()}


@pytest.mark.parametrize(
    "variables",
    [
        as_arrays(),
        as_arrays("u2", t="ts"),
        as_arrays("i4", p="pol", t="timestamp") | {"width": 10},
        {name: column[:, None] for name, column in as_arrays().items()},
        {"TD": as_arrays(t="ts")},
        {
            "events": np.stack(
                [COLUMNS["x"], COLUMNS["y"], [-1 if p == 0 else p for p in COLUMNS["p"]], COLUMNS["t"]], 1
            )
        },
        {"events": np.stack([COLUMNS["t"], COLUMNS["x"], COLUMNS["y"], COLUMNS["p"]]).astype("f8")},
        as_arrays() | {"t": np.array(COLUMNS["t"]) * 1e-6},
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_5_in_all_its_shapes(variables, compressed, tmp_path):
    """Vectors, columns, a struct, a matrix of columns or rows, times in seconds."""
    scipy.io.savemat(tmp_path / "a.mat", variables, do_compression=compressed)
    assert mat.FORMAT.recognises(tmp_path / "a.mat")
    np.testing.assert_array_equal(read(mat, tmp_path / "a.mat"), EXPECTED)


@pytest.mark.parametrize("group", ["", "TD/"])
def test_matlab_7_is_hdf5_behind_512_bytes(group, tmp_path):
    """MATLAB stores a row of N as an HDF5 array of N x 1."""
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        for name, column in as_arrays().items():
            file[f"{group}{name}"] = column[:, None]
    with (tmp_path / "a.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    assert mat.FORMAT.recognises(tmp_path / "a.mat")
    np.testing.assert_array_equal(read(mat, tmp_path / "a.mat"), EXPECTED)


def test_a_real_matlab_file(shared_data):
    """x, y, -1/+1, t: 202 235 rows, counted by SciPy; nothing but -1 and 1 in the third column, times in order."""
    path = shared_data / "formats" / "garfield.mat"
    x, y, p, t = scipy.io.loadmat(path)["events"].T
    np.testing.assert_array_equal(read(mat, path), make_events(x, y, t, p > 0))
    assert len(x) == 202_235


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"w": np.zeros((3, 3))}, "has the variables w; expected x, y, t and p, or a matrix"),
        ({"w": np.full((9, 4), 7)}, "does not show which is t and which p"),
        (as_arrays() | {"x": np.zeros(2)}, "not four columns of numbers of one length"),
        (as_arrays() | {"x": "abc"}, "not four columns of numbers"),
        (as_arrays() | {"x": np.array([0.5, 1, 2])}, "not whole numbers"),
        (as_arrays() | {"t": np.array([1, np.nan, 2])}, "not whole numbers"),
        (as_arrays() | {"t": np.array([1.0, 1e300, 2e300])}, "or too large"),
    ],
)
def test_matlab_files_of_other_things_are_named(variables, reason, tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", variables)
    with pytest.raises(FormatError, match=reason):
        read(mat, tmp_path / "a.mat")


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 10**6), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_matlab_file_is_a_clear_error_or_events(at, flip, cut, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    scipy.io.savemat(path, as_arrays(), do_compression=bool(flip % 2))
    content = bytearray(path.read_bytes())
    at = 128 + at % (len(content) - 128)  # behind the text
    content[at] ^= flip
    path.write_bytes(content[:at] if cut else content)
    tracemalloc.start()
    read_until_damage(mat, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


# EVREAL


def evreal_folder(path, xy, ts, p, metadata='{"sensor_resolution": [180, 240]}'):
    """As EVREAL's own tools save it."""
    path.mkdir()
    for name, column in {"xy": xy, "ts": ts, "p": p}.items():
        np.save(path / f"events_{name}.npy", column, allow_pickle=False)
    if metadata is not None:
        (path / "metadata.json").write_text(metadata)
    return path


def test_a_folder_of_evreal_is_read(tmp_path):
    """Float seconds are rounded: 0.000003 s is 3 us, though no float is."""
    folder = evreal_folder(
        tmp_path / "a", np.array([[1, 2], [3, 4]], "i2"), np.array([[0.000003], [1.1]]), np.array([True, False])
    )
    assert evreal.FORMAT.recognises(folder)
    assert evreal.FORMAT.attributes(folder) == {"width": 240, "height": 180}
    np.testing.assert_array_equal(read(evreal, folder), make_events([1, 3], [2, 4], [3, 1_100_000], [1, 0]))


def test_our_folder_is_what_evreal_maps_into_memory(tmp_path):
    """The arrays and types of its dataset.py; sensor_resolution has the height first."""
    events, folder = random_events(BLOCK + 5, 346, 260), tmp_path / "a.evreal"
    known = write(evreal, folder, events)
    t, xy, p = (np.load(folder / f"events_{name}.npy", mmap_mode="r") for name in ("ts", "xy", "p"))
    assert [(a.dtype.str, a.shape) for a in (t, xy, p)] == [
        ("<f8", (BLOCK + 5,)), ("<i2", (BLOCK + 5, 2)), ("|b1", (BLOCK + 5,))
    ]  # fmt: skip
    np.testing.assert_array_equal(t, events["t"] / 1e6)
    np.testing.assert_array_equal(xy, np.stack([events["x"], events["y"]], axis=1))
    np.testing.assert_array_equal(p, events["p"] == 1)
    assert json.loads((folder / "metadata.json").read_text())["sensor_resolution"] == [260, 346]
    assert evreal.FORMAT.attributes(folder) == known


def test_a_folder_takes_the_place_of_the_empty_file_with_its_temporary_name(tmp_path):
    (tmp_path / "a.part").touch()
    write(evreal, tmp_path / "a.part", random_events(3, 346, 260))
    assert evreal.FORMAT.recognises(tmp_path / "a.part")


def test_a_folder_without_metadata_leaves_the_sensor_to_its_events(tmp_path):
    folder = evreal_folder(tmp_path / "a", np.zeros((1, 2), "i2"), np.zeros(1), np.zeros(1, bool), metadata=None)
    assert evreal.FORMAT.attributes(folder) == {}


@pytest.mark.parametrize("metadata", ["{", "[]", "{}", '{"sensor_resolution": 3}', '{"sensor_resolution": ["a", "b"]}'])
def test_metadata_that_is_none_is_named(metadata, tmp_path):
    folder = evreal_folder(tmp_path / "a", np.zeros((1, 2), "i2"), np.zeros(1), np.zeros(1, bool), metadata)
    with pytest.raises(FormatError, match="has no sensor_resolution of height and width"):
        evreal.FORMAT.attributes(folder)


@pytest.mark.parametrize(
    ("xy", "ts", "p", "reason"),
    [
        (np.zeros((2, 2), "i2"), np.zeros(3), np.zeros(3, bool), "has 3 times, 2 places, 3 polarities"),
        (np.zeros(3, "i2"), np.zeros(3), np.zeros(3, bool), "expected an array"),
        (np.zeros((1, 2), "i2"), np.array([np.inf]), np.zeros(1, bool), "not a number of seconds below 142 years"),
        (np.zeros((1, 2), "f4"), np.zeros(1), np.zeros(1, bool), "column x has dtype float32"),
        (np.full((1, 2), 70_000), np.zeros(1), np.zeros(1, bool), "column x goes from 70000"),
        (np.zeros((1, 2), "i2"), np.array(["1"]), np.zeros(1, bool), "not numbers of seconds"),
    ],
)
def test_arrays_that_are_no_events_are_named(xy, ts, p, reason, tmp_path):
    with pytest.raises((FormatError, InputError), match=reason):
        read(evreal, evreal_folder(tmp_path / "a", xy, ts, p))


@pytest.mark.parametrize("name", ["events_ts", "events_xy", "events_p"])
def test_an_array_cut_anywhere_or_missing_is_named(name, tmp_path):
    folder = tmp_path / "a.evreal"
    write(evreal, folder, random_events(9, 346, 260))
    path = folder / f"{name}.npy"
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        found, error = read_until_damage(evreal, folder)
        assert (len(found), f"{name}.npy cannot be read" in str(error)) == (0, True)
    path.unlink()
    assert not evreal.FORMAT.recognises(folder)
    with pytest.raises(FormatError, match=f"has no {name}.npy"):
        read(evreal, folder)


# All


@pytest.mark.parametrize("name", ["es", "nmnist"])
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_events_or_a_clear_error(name, data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"any_bytes.{name}"
    path.write_bytes(es_file(*data, width=64, height=64) if name == "es" else data)
    found, _ = read_until_damage(WRITTEN[name], path)
    assert len(found) <= len(data) // 5
