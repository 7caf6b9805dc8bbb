"""Any bytes are a recording or an error of ours: what mutated files have shown, and some more of them each time."""

import io
import struct
import time
import tracemalloc
import warnings
import zipfile
from dataclasses import replace

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

import dvs
from dvs.errors import FormatError, InputError, MicrosaccadeError
from dvs.events import EVENT_DTYPE, Recording, check_events, join_events, make_events
from dvs.files import FORMATS, hdf5_metavision

COUNT = 60
T_US = np.arange(COUNT) * 50
EVENTS = make_events(T_US % 31, T_US % 17, T_US, T_US % 4 > 0)
LARGEST = {"width": 2**15, "height": 2**15, "start_us": -(2**63), "stop_us": 2**63 - 1}
RECORDING = Recording(events=EVENTS, width=34, height=34, stop_us=3000, provenance={"a": 1})


def refused(path, reason):
    """By `dvs.read` and by `dvs.open`, in one line that names the file."""
    with pytest.raises((FormatError, InputError), match=reason) as caught:
        dvs.read(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert len(message) < 1000
    with pytest.raises((FormatError, InputError), match=reason):
        list(dvs.open(path).blocks())


def alike(path, events, **about):
    """`dvs.read`, with and without "keep", and `dvs.open` find these events, and say this of them."""
    parts = dvs.open(path)
    for found in (dvs.read(path), dvs.read(path, on_error="keep"), parts):
        assert {name: getattr(found, name) for name in about} == about
        np.testing.assert_array_equal(join_events(list(found.blocks())), events)


# What a file says of its events


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("width 0", "width is 0, expected a whole number from 1 to 32767"),
        ("height -9223372036854775808", "height is -9223372036854775808, expected"),
        ("width 32768", "width is 32768, expected"),
        ("width 1e3", "width is 1e3, expected"),
        ("width " + "9" * 5000, "width is 9{40}, expected"),
        ("stop_us 9223372036854775808", "stop_us is 9223372036854775808, expected"),
        ("stop_us -1", "ends at -1 us, before it starts at 0 us"),
        ("provenance [1]", r"provenance is \[1\], expected a JSON object"),
        ("provenance " + "[" * 100_000, "cannot be read"),
    ],
)
def test_what_no_recording_has_is_refused(line, reason, tmp_path):
    name = line.split()[0]
    known = {"width": "width 9", "height": "height 9", "start_us": "start_us 0", "stop_us": "stop_us 9"} | {name: line}
    (tmp_path / "a.txt").write_text("".join(f"# {text}\n" for text in known.values()) + "0.000001 2 3 1\n")
    refused(tmp_path / "a.txt", reason)


def test_a_sensor_without_rows_is_refused(tmp_path):
    (tmp_path / "a.es").write_bytes(b"Event Stream\2\0\0\1" + struct.pack("<HH", 346, 0))
    refused(tmp_path / "a.es", "height is 0, expected")


@pytest.mark.parametrize("number", [b"Infinity", b"NaN", b"[1, 2]", b"null", b"0.5", b"1e30"])
def test_a_start_that_is_no_time_is_refused(number, tmp_path):
    dvs.write(tmp_path / "a.evreal", RECORDING)
    metadata = tmp_path / "a.evreal" / "metadata.json"
    metadata.write_bytes(metadata.read_bytes().replace(b'"start_us": 0', b'"start_us": ' + number))
    refused(tmp_path / "a.evreal", "start_us is .*, expected a whole number")


@pytest.mark.parametrize("value", [64, 64.0, "64", b"64", np.array([64]), np.uint8(64)])
def test_a_size_may_be_kept_in_any_form(value, tmp_path):
    dvs.write(tmp_path / "a.h5", RECORDING)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["width"] = value
    alike(tmp_path / "a.h5", EVENTS, width=64)


def test_a_file_that_ends_before_it_starts_is_refused_when_opened(tmp_path):
    dvs.write(tmp_path / "a.aedat", RECORDING)
    content = (tmp_path / "a.aedat").read_bytes()
    (tmp_path / "a.aedat").write_bytes(content.replace(b"# start_us 0", b"# start_us 4611686018427387904"))
    with pytest.raises(InputError, match="ends at 3000 us, before it starts at 4611686018427387904 us"):
        dvs.open(tmp_path / "a.aedat")


def test_a_sensor_without_events_is_opened_as_it_is_read(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"% evt 2.0\n% format EVT2;height=200;width=346\n% end\n")
    alike(tmp_path / "a.raw", EVENTS[:0], width=346, height=200, start_us=0, stop_us=0)


def test_a_camera_that_is_another_one_is_found_out_by_every_reader(tmp_path):
    """system_ID 21 has 640x480 pixels; an event at (1000, 5) is of another camera. High part 1 of the time is 64 us."""
    words = struct.pack("<III", 8 << 28 | 1, 1 << 28 | 30 << 11 | 5, 1 << 28 | 1 << 22 | 1000 << 11 | 5)
    header = b"% evt 2.0\n% system_ID 21\n"
    expected = make_events([30, 1000], [5, 5], [64, 65], [1, 1])
    (tmp_path / "a.raw").write_bytes(header + words)
    alike(tmp_path / "a.raw", expected, width=1001, height=6, start_us=64, stop_us=65)
    (tmp_path / "a.raw").write_bytes(header + words[:8])
    alike(tmp_path / "a.raw", expected[:1], width=640, height=480, start_us=64, stop_us=64)


# Text and numbers


def test_a_long_name_of_a_column_is_cut(tmp_path):
    (tmp_path / "a.csv").write_text(f"t,x,y,{'p' * 5000}\n1,2,3,1\n")
    refused(tmp_path / "a.csv", "has the columns t, x, y, p+; expected t, x, y and p")


@pytest.mark.parametrize("number", ["1e308", "-1e308", "inf", "nan", "1e400"])
def test_infinite_seconds_are_refused_without_a_warning(number, tmp_path):
    (tmp_path / "a.csv").write_text(f"0.5,1,1,1\n{number},2,3,1\n")
    refused(tmp_path / "a.csv", "not a number of seconds below 142 years")
    dvs.write(tmp_path / "a.evreal", RECORDING)
    with (tmp_path / "a.evreal" / "events_ts.npy").open("r+b") as file:
        file.seek(-8, io.SEEK_END)
        file.write(np.float64(number).tobytes())
    refused(tmp_path / "a.evreal", "not a number of seconds below 142 years")


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_matlab_s_infinite_numbers_are_refused_without_a_warning(kind, tmp_path):
    """Small floats: half precision ends at 65504, far below the limit that numbers are compared with."""
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        for name in "xytp":
            file[name] = np.array([1, 1, np.inf if name == "t" else 1], kind)
    with (tmp_path / "a.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    refused(tmp_path / "a.mat", "not whole numbers, or too large")


# Arrays of NumPy


def npy(header, data=b""):
    """A file of an array with this header (NumPy Enhancement Proposal 1)."""
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


CLAIM = b"{'descr': '<i8', 'fortran_order': False, 'shape': (%s), }\n"
DAMAGED = {
    "a zero byte": npy(b"{'descr': '<i8', \0"),
    "a text without end": npy(b"{'descr': '<i8"),
    "a bracket without end": npy(b"{'descr': (3L, "),
    "a character": npy(b"{'descr': '<i8', \x17 3L"),
    "more than memory": npy(CLAIM % b"4611686018427387904,"),
    "more than int64": npy(CLAIM % b"10000000000000000000000,"),
    "less than nothing": npy(CLAIM % b"-4,"),
    "a gigabyte": npy(CLAIM % b"125000000,", bytes(100)),
    "a product beyond int64": npy(CLAIM % b"4294967296, 4294967296"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_an_array_whose_header_is_damaged_is_refused(name, tmp_path):
    dvs.write(tmp_path / "a.evreal", RECORDING)
    (tmp_path / "a.evreal" / "events_ts.npy").write_bytes(DAMAGED[name])
    refused(tmp_path / "a.evreal", "events_ts.npy cannot be read")
    archive(tmp_path / "a.npz", t=DAMAGED[name])
    tracemalloc.start()
    refused(tmp_path / "a.npz", "cannot be read|cannot hold")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def as_npy(column):
    with io.BytesIO() as file:
        np.save(file, column)
        return file.getvalue()


def archive(path, compression=zipfile.ZIP_STORED, **arrays):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, array in ({name: as_npy(EVENTS[name]) for name in "xytp"} | arrays).items():
            file.writestr(f"{name}.npy", array)


def test_sizes_that_python_2_wrote_are_read_without_a_warning(tmp_path):
    dvs.write(tmp_path / "a.evreal", RECORDING)
    (tmp_path / "a.evreal" / "events_ts.npy").write_bytes(
        npy(CLAIM.replace(b"i8", b"f8") % b"60L,", (T_US / 1e6).tobytes())
    )
    alike(tmp_path / "a.evreal", EVENTS, width=34)
    archive(tmp_path / "a.npz", t=npy(CLAIM % b"60L,", T_US.tobytes()))
    alike(tmp_path / "a.npz", EVENTS, width=31)


def test_pickled_objects_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("it was loaded",)

    archive(tmp_path / "a.npz", t=as_npy(np.array([Trap()] * COUNT)))
    refused(tmp_path / "a.npz", "allow_pickle=False")
    archive(tmp_path / "a.npz", width=as_npy(np.array(Trap())))
    refused(tmp_path / "a.npz", "allow_pickle=False")


def test_arrays_that_are_no_columns_are_left_packed(tmp_path):
    """As is an object beside them, which is of no concern."""
    archive(tmp_path / "a.npz", frames=DAMAGED["a gigabyte"], labels=as_npy(np.array([{}])))
    alike(tmp_path / "a.npz", EVENTS, width=31, height=17)


def test_a_compression_that_expands_without_limit_is_refused(tmp_path):
    archive(tmp_path / "a.npz", zipfile.ZIP_BZIP2, t=as_npy(np.zeros(10**6)))
    assert (tmp_path / "a.npz").stat().st_size < 3000
    refused(tmp_path / "a.npz", "has compression 12; write it with")


def test_a_name_that_does_not_end_is_cut(tmp_path):
    """The length of a name, in the head of its member, at byte 26."""
    archive(tmp_path / "a.npz")
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[26:28] = struct.pack("<H", len(content) - 200)
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz", "cannot be read")


# HDF5


@pytest.mark.parametrize("chunks", [(COUNT, 1), (7, 2), (100, 3), (9, 4)])
def test_a_matrix_in_chunks_of_some_of_its_columns_is_read_right(chunks, tmp_path):
    """h5py chooses such chunks by itself for long matrices."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        matrix = np.stack([EVENTS[name] for name in "txyp"], 1).astype("u4")
        file.create_dataset("events", data=matrix, chunks=chunks, maxshape=(None, 4), compression="gzip")
    alike(tmp_path / "a.h5", EVENTS, width=31, height=17)
    np.testing.assert_array_equal(dvs.open(tmp_path / "a.h5")[500:700].events, EVENTS[10:14])


def dsec_file(path, **wrong):
    with h5py.File(path, "w") as file:
        for name in "xytp":
            file[f"events/{name}"] = EVENTS[name]
        for name, value in wrong.items():
            place = f"events/{name}" if name in "xytp" else name
            if place in file:
                del file[place]
            file[place] = value
    return path


def test_a_group_in_place_of_a_column_is_refused(tmp_path):
    with h5py.File(dsec_file(tmp_path / "a.h5"), "r+") as file:
        del file["events/t"]
        file.create_group("events/t")
    refused(tmp_path / "a.h5", "events/t is a single value or a group")


@pytest.mark.parametrize("offset", [np.zeros(2, "i8"), h5py.Empty("i8")])
def test_an_offset_that_is_not_one_number_is_refused(offset, tmp_path):
    refused(dsec_file(tmp_path / "a.h5", t_offset=offset), "t_offset is not one number")


@pytest.mark.parametrize("offset", [0.5, "abc", 1j])
def test_an_offset_that_is_no_whole_number_is_refused(offset, tmp_path):
    refused(dsec_file(tmp_path / "a.h5", t_offset=offset), "cannot be read")


def test_an_offset_that_claims_gigabytes_gets_none(tmp_path):
    with h5py.File(dsec_file(tmp_path / "a.h5"), "r+") as file:
        file.create_dataset("t_offset", (2**40,), "u1", chunks=(1000,))
    refused(tmp_path / "a.h5", "t_offset is not one number")


@pytest.mark.parametrize(
    "index",
    [h5py.SoftLink("/ms_to_idx"), np.zeros(0, "u8"), np.full(4, 1j), np.full(4, np.nan), "a", h5py.Empty("u8")],
    ids=["link to itself", "empty", "complex", "nan", "text", "nothing"],
)
def test_an_index_that_is_none_does_not_hide_the_events(index, tmp_path):
    dsec_file(tmp_path / "a.h5", ms_to_idx=index)
    np.testing.assert_array_equal(dvs.open(tmp_path / "a.h5")[500:700].events, EVENTS[10:14])


def test_an_empty_index_of_metavision_does_not_hide_the_events(tmp_path):
    dvs.write(tmp_path / "a.metavision.h5", RECORDING)
    with h5py.File(tmp_path / "a.metavision.h5", "r+") as file:
        file["CD/indexes"].resize((0,))
    np.testing.assert_array_equal(dvs.open(tmp_path / "a.metavision.h5")[500:700].events, EVENTS[10:14])


def test_columns_that_were_never_written_are_refused(tmp_path):
    """h5py then takes whatever lies in memory for the size of a chunk."""
    with h5py.File(dsec_file(tmp_path / "a.h5"), "r+") as file:
        del file["events/x"]
        file.create_dataset("events/x", COUNT, "u2", chunks=(10,), compression="gzip")
    refused(tmp_path / "a.h5", "events/x claims 60 rows, but the file holds 0 at most")


@pytest.mark.parametrize("packed", [{"compression": "gzip"}, {"compression": "lzf"}, {"fletcher32": True}], ids=str)
def test_a_chunk_that_claims_gigabytes_gets_none(packed, tmp_path):
    """What is in front of it is kept."""
    with h5py.File(dsec_file(tmp_path / "a.h5"), "r+") as file:
        del file["events/y"]
        column = file.create_dataset("events/y", data=EVENTS["y"], chunks=(10,), **packed)
        chunk = column.id.get_chunk_info_by_coord((30,))
    content, entry = (tmp_path / "a.h5").read_bytes(), struct.pack("<IIQ", chunk.size, chunk.filter_mask, 30)
    assert content.count(entry) == 1
    (tmp_path / "a.h5").write_bytes(content.replace(entry, struct.pack("<IIQ", 2**32 - 1, 0, 30)))
    refused(tmp_path / "a.h5", "a chunk of 4294967295 bytes in a file of")
    with pytest.warns(UserWarning, match="the rest is lost"):
        found = dvs.read(tmp_path / "a.h5", on_error="keep")
    np.testing.assert_array_equal(found.events, EVENTS[:30])


def test_columns_in_other_files_are_refused(tmp_path):
    """/dev/zero has as many rows as anyone wants; so has a virtual data set, of its fill value."""
    with h5py.File(dsec_file(tmp_path / "a.h5"), "r+") as file:
        del file["events/y"]
        file.create_dataset("events/y", (2**40,), "i4", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
    refused(tmp_path / "a.h5", "events/y lies in other files; copy it into one")
    layout = h5py.VirtualLayout((2**40,), "i4")
    layout[:COUNT] = h5py.VirtualSource(tmp_path / "none.h5", "y", (COUNT,))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["events/y"]
        file.create_virtual_dataset("events/y", layout, fillvalue=1)
    refused(tmp_path / "a.h5", "events/y lies in other files; copy it into one")


@pytest.mark.parametrize("size", [0, 3])
def test_a_chunk_without_its_check_sum_is_refused_before_hdf5_crashes(size, tmp_path):
    """The table of chunks has stored size (uint32), mask of filters, first row; 44 bytes are 10 numbers and the sum."""
    with h5py.File(dsec_file(tmp_path / "a.h5"), "r+") as file:
        del file["events/y"]
        file.create_dataset("events/y", data=np.zeros(COUNT, "i4"), chunks=(10,), fletcher32=True)
    content, entry = (tmp_path / "a.h5").read_bytes(), struct.pack("<IIQ", 44, 0, 30)
    assert content.count(entry) == 1
    (tmp_path / "a.h5").write_bytes(content.replace(entry, struct.pack("<IIQ", size, 0, 30)))
    refused(tmp_path / "a.h5", "events/y is damaged: a chunk has no check sum")


def test_a_heap_of_texts_in_which_hdf5_walks_for_ever_is_refused(tmp_path):
    """An object without number and length, as HDF5 marks what is free, at byte 16 of the heap that begins GCOL."""
    dvs.write(tmp_path / "a.metavision.h5", RECORDING)
    content = bytearray((tmp_path / "a.metavision.h5").read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = bytes(16)
    (tmp_path / "a.metavision.h5").write_bytes(content)
    refused(tmp_path / "a.metavision.h5", f"the heap of texts at byte {heap} does not end")


# All formats


def aedat3_file():
    text = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 0: DVS128\r\n#!END-HEADER\r\n"
    packet = struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, COUNT, COUNT, COUNT)
    return (
        text + packet + b"".join(struct.pack("<Ii", x << 17 | y << 2 | p << 1 | 1, t) for x, y, t, p in EVENTS.tolist())
    )


def evt21_file():
    """Words of time, and of eight events each."""
    words = [(0, 8 << 28 | k, 0x0F0F, 1 << 28 | k << 22 | 3 << 11 | k % 17) for k in range(COUNT)]
    header = b"% evt 2.1\n% format EVT21;height=34;width=34\n% end\n"
    return header + b"".join(struct.pack("<IIII", *word) for word in words)


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    """One small file, or folder, of each format by name."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5_metavision, "CHUNK", 32)
        for item in FORMATS:
            if item.write is not None:
                dvs.write(folder / item.name, RECORDING, format=item.name)
    (folder / "aedat3").write_bytes(aedat3_file())
    (folder / "evt2.1").write_bytes(evt21_file())
    scipy.io.savemat(folder / "mat", {name: EVENTS[name].astype("f8") for name in "xytp"}, appendmat=False)
    with h5py.File(folder / "m3ed", "w") as file:
        for name in "xytp":
            file.create_dataset(f"prophesee/left/{name}", data=EVENTS[name], chunks=(20,), compression="lzf")
        file["prophesee/left/calib/resolution"] = [34, 34]
        file["prophesee/left/ms_map_idx"] = [0, 20, 40]
    with h5py.File(folder / "tonic", "w") as file:
        file.create_dataset("data/0", data=EVENTS, chunks=(20,), compression="gzip")
    return folder


def keeps_the_contract(recording):
    assert recording.events.dtype == EVENT_DTYPE
    check_events(recording.events, recording.width, recording.height)
    assert -(2**63) <= recording.start_us <= recording.stop_us < 2**63
    assert 0 < recording.width <= 2**15 >= recording.height > 0


def look(path, name):
    """Read in all ways; what is raised is ours, in one line, and what comes keeps the contract of a recording."""
    found = {}
    for kind, read in {
        "named": lambda: dvs.read(path, format=name),
        "whole": lambda: dvs.read(path),
        "kept": lambda: dvs.read(path, on_error="keep"),
        "blocks": lambda: replace(RECORDING, events=join_events(list(dvs.open(path).blocks())), **LARGEST),
        "part": lambda: dvs.open(path)[500:1500],
    }.items():
        message = "an error of some words, in one line"
        try:
            found[kind] = read()
        except MicrosaccadeError as error:
            message = str(error)
        assert 20 < len(message) < 2000
        assert "\n" not in message
    for recording in found.values():
        keeps_the_contract(recording)
    if {"whole", "blocks"} <= found.keys():
        np.testing.assert_array_equal(found["whole"].events, found["blocks"].events)


NUMBERS = (0, 1, 127, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = (b"nan", b"-1", b"1e400", b"9" * 40, b"\xff", b"\n", b",", b'"', b"{", b"% ", b"# width 0\n")
number = st.builds(lambda value, size: value.to_bytes(8, "little")[:size], st.sampled_from(NUMBERS), st.integers(1, 8))
change = st.tuples(
    st.floats(0, 1, exclude_max=True),  # where
    st.sampled_from(("replace", "replace", "insert", "cut", "leave out", "twice")),
    number | st.sampled_from(TEXTS) | st.binary(min_size=1, max_size=9),
)


def changed(content, changes):
    for where, how, piece in changes:
        at = int(where * len(content))
        if how == "replace":
            content = content[:at] + piece + content[at + len(piece) :]
        elif how == "insert":
            content = content[:at] + piece + content[at:]
        elif how == "cut":
            content = content[:at]
        elif how == "leave out":
            content = content[:at] + content[at + len(piece) :]
        else:
            content = content[:at] + content[at : at + 40] + content[at:]
    return content


@pytest.mark.parametrize("item", FORMATS, ids=lambda item: item.name)
def test_a_changed_file_is_events_or_an_error(item, good_files, tmp_path):
    path, good = tmp_path / f"a{item.suffixes[0]}", good_files / item.name
    members = sorted(good.iterdir()) if item.folder else [good]
    if item.folder:
        path.mkdir()

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(st.lists(change, max_size=3), st.sampled_from(members))
    def one(changes, wrong):
        for member in members:
            content = member.read_bytes()
            place = path / member.name if item.folder else path
            place.write_bytes(changed(content, changes) if member is wrong else content)
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the rest is lost|.* events came before their time")
            look(path, item.name)
        assert time.process_time() - begin < 2

    one()
