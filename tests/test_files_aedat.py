"""AEDAT files: the bytes of the published layouts, what other readers make of ours, and what damage does."""

import struct
import tracemalloc
from pathlib import Path

import aedat
import faery
import numpy as np
import pytest
import tonic.io
from hypothesis import given, settings
from hypothesis import strategies as st

from dvs.errors import FormatError, MissingExtraError
from dvs.events import EVENT_DTYPE, empty_events, join_events, make_events
from dvs.files import aedat2, aedat4, aedat31
from dvs.files.spool import BLOCK, Spool

lz4_frame = pytest.importorskip("lz4.frame")

NOTES = '{"sensor": "\\u00e9 <&> \\"", "theta": 0.2}'


def attributes(width, height, stop_us=10**7):
    return {"width": width, "height": height, "start_us": 0, "stop_us": stop_us, "provenance": NOTES}


def write(module, path, events, known):
    with Spool(path.parent) as spool:
        spool.append(events)
        module.FORMAT.write(path, spool, known)


def read(module, path):
    return join_events(list(module.FORMAT.blocks(path)))


def read_until_damage(module, path):
    """The events in front of the damage, and what is said about it; None where nothing is."""
    parts, damage = [empty_events()], None
    try:
        parts.extend(module.FORMAT.blocks(path))
    except (FormatError, MissingExtraError) as error:
        damage = error
    assert "\n" not in str(damage)
    return join_events(parts), damage


def random_events(count, width, height, *, seed=0, length_us=10**7):
    rng = np.random.default_rng(seed)
    t_us = np.sort(rng.integers(0, length_us, count))
    return make_events(rng.integers(0, width, count), rng.integers(0, height, count), t_us, rng.integers(0, 2, count))


def sorted_events(width, height, last_us, size=40):
    """Any events, in order, on a sensor of that size, as a strategy."""
    event = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), st.integers(0, last_us), st.integers(0, 1))
    return st.lists(event, max_size=size).map(lambda rows: np.array(sorted(rows, key=lambda row: row[2]), EVENT_DTYPE))


def assert_columns(found, expected, **names):
    assert len(found) == len(expected)
    for name in "xytp":
        np.testing.assert_array_equal(found[names.get(name, name)], expected[name])


# AEDAT4


def aedat4_file(compression, *packets, kind="EVTS", table=True):
    """A file by hand, in the order of the schema: IOHE has the fields compression, dataTablePosition, infoNode."""
    text = (
        '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="7" path="x">'
        f'<attr key="typeIdentifier" type="string">{kind}</attr><node name="info" path="y">'
        '<attr key="sizeX" type="int">64</attr><attr key="sizeY" type="int">48</attr></node></node></node></dv>'
    ).encode()
    # Root at 20 (counted behind the size), vtable at 8 + 2: 10 bytes for 3 fields, of a table of 20 bytes.
    header = struct.pack("<I4s2x5Hi", 20, b"IOHE", 10, 24, 16, 8, 4, 10)
    header += struct.pack("<Iqi", 20, -1, compression)  # infoNode lies 20 bytes behind its offset; then the others
    header += b"\0" * 4 + struct.pack("<I", len(text)) + text + b"\0"
    body = b"".join(struct.pack("<ii", 7, len(packet)) + packet for packet in packets)
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header + body


def aedat4_packet(*events):
    """EVTS: a table with one field, a vector of 16-byte structs (int64 t, int16 x, int16 y, bool on, 3 of padding)."""
    body = struct.pack("<I4s3H2xiII", 16, b"EVTS", 6, 8, 4, 8, 4, len(events))
    body += b"".join(struct.pack("<qhh?3x", t, x, y, on) for x, y, t, on in events)
    return struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("compression", "pack"), [(0, bytes), (1, lz4_frame.compress), (2, lambda data: lz4_frame.compress(data, 9))]
)
def test_an_aedat4_made_by_hand_is_read(compression, pack, tmp_path):
    path = tmp_path / "a.aedat4"
    packets = [aedat4_packet((63, 0, 5, True), (0, 47, 5, False)), aedat4_packet(), aedat4_packet((1, 2, 2**40, True))]
    path.write_bytes(aedat4_file(compression, *map(pack, packets)))
    np.testing.assert_array_equal(read(aedat4, path), make_events([63, 0, 1], [0, 47, 2], [5, 5, 2**40], [1, 0, 1]))
    assert aedat4.FORMAT.attributes(path) == {"width": 64, "height": 48}


def test_zstandard_is_read_too(tmp_path):
    zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
    path = tmp_path / "a.aedat4"
    path.write_bytes(aedat4_file(3, zstandard.compress(aedat4_packet((1, 2, 3, True)))))
    np.testing.assert_array_equal(read(aedat4, path), make_events([1], [2], [3], [1]))


def test_zstandard_names_the_library_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    (tmp_path / "a.aedat4").write_bytes(aedat4_file(4))
    with pytest.raises(MissingExtraError, match="pip install zstandard"):
        read(aedat4, tmp_path / "a.aedat4")


@pytest.mark.parametrize("count", [0, 1, 3 * BLOCK + 5])
def test_our_aedat4_is_read_alike_by_aedat_and_faery(count, tmp_path):
    events, path = random_events(count, 1280, 720), tmp_path / "a.aedat4"
    write(aedat4, path, events, attributes(1280, 720))
    decoder = aedat.Decoder(path)
    assert decoder.id_to_stream() == {0: {"type": "events", "width": 1280, "height": 720}}
    stream = faery.events_stream_from_file(path)
    assert stream.dimensions() == (1280, 720)
    for found in ([packet["events"] for packet in decoder], list(stream)):
        assert sum(map(len, found)) == count
        if count:
            assert_columns(np.concatenate(found), events, p="on")


def test_our_aedat4_has_a_table_of_packets_as_faery_understands_it(tmp_path):
    """The place of a packet is that of its bytes, behind the eight of its header (as in files of DV)."""
    events, path = random_events(2 * BLOCK + 5, 1280, 720), tmp_path / "a.aedat4"
    write(aedat4, path, events, attributes(1280, 720))
    with faery.aedat.Decoder(path) as decoder:
        entries = decoder.file_data_definitions()
    assert [entry.elements_count for entry in entries] == [BLOCK, BLOCK, 5]
    assert [entry.start_t for entry in entries] == events["t"][[0, BLOCK, 2 * BLOCK]].tolist()
    assert [entry.end_t for entry in entries] == events["t"][[BLOCK - 1, 2 * BLOCK - 1, -1]].tolist()
    content = path.read_bytes()
    assert [content[entry.byte_offset :][:4] for entry in entries] == [b"\x04\x22\x4d\x18"] * 3  # the mark of LZ4


@pytest.mark.parametrize("count", [0, 1, 2 * BLOCK + 5])
def test_our_aedat4_is_read_by_dv_processing(count, tmp_path):
    """It checks each flatbuffer and its alignment, and finds spans in the table of packets."""
    dv = pytest.importorskip("dv_processing", reason="dv-processing is not installed")
    events, path = random_events(count, 640, 480), tmp_path / "a.aedat4"
    write(aedat4, path, events, attributes(640, 480))
    recording = dv.io.MonoCameraRecording(str(path))
    assert recording.getEventResolution() == (640, 480)
    parts = []
    while (batch := recording.getNextEventBatch()) is not None:
        parts.append(batch.numpy())
    assert sum(map(len, parts)) == count
    if count:
        assert_columns(np.concatenate(parts), events, t="timestamp", p="polarity")
        part = recording.getEventsTimeRange(2_000_000, 3_000_000)
        assert len(part) == ((events["t"] >= 2_000_000) & (events["t"] < 3_000_000)).sum()


@pytest.mark.parametrize("count", [1, BLOCK + 5])
def test_our_aedat4_is_read_by_evutils(count, tmp_path):
    io = pytest.importorskip("evutils.io", reason="evutils is not installed")
    events, path = random_events(count, 640, 480), tmp_path / "a.aedat4"
    write(aedat4, path, events, attributes(640, 480))
    with io.EventReader(str(path)) as reader:
        parts = list(reader)
    for name in "xytp":
        np.testing.assert_array_equal(np.concatenate([np.asarray(getattr(part, name)) for part in parts]), events[name])


@settings(max_examples=50, deadline=None)
@given(events=sorted_events(2**15 - 1, 2**15 - 1, 2**62))
def test_any_sorted_events_come_back_from_aedat4(events, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.aedat4"
    known = attributes(2**15 - 1, 2**15 - 1, 2**62)
    write(aedat4, path, events, known)
    np.testing.assert_array_equal(read(aedat4, path), events)
    assert aedat4.FORMAT.attributes(path) == known


@pytest.mark.parametrize(("file", "count"), [("davis346_traffic", 78_830), ("davis346_flicker_lab", 117_667)])
def test_recordings_of_dv_are_read_as_aedat_reads_them(file, count, shared_data):
    """Files with events, frames and inertial data; the counts stand in the data's README."""
    path = shared_data / "recordings" / f"{file}.aedat4"
    expected = np.concatenate([packet["events"] for packet in aedat.Decoder(path) if "events" in packet])
    found = read(aedat4, path)
    assert len(found) == count
    assert_columns(found, expected)
    assert aedat4.FORMAT.attributes(path) == {"width": 346, "height": 260}


@pytest.mark.parametrize("file", ["test_data_gray16", "test_data_unknown_then_gray16"])
def test_an_aedat4_of_frames_has_no_events(file, shared_data):
    with pytest.raises(FormatError, match=r"gray16\.aedat4 has no stream of events"):
        read(aedat4, shared_data / "formats" / f"{file}.aedat4")


@pytest.fixture(scope="module")
def small_aedat4(tmp_path_factory):
    """Three packets of ten events: the file, its events, and where the packets begin."""
    path = tmp_path_factory.mktemp("small") / "a.aedat4"
    events = random_events(30, 64, 48)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dvs.files.spool.BLOCK", 10)
        write(aedat4, path, events, attributes(64, 48))
    content = path.read_bytes()
    return content, events, 18 + struct.unpack_from("<I", content, 14)[0]


def test_an_aedat4_cut_anywhere_gives_whole_packets_and_says_so(small_aedat4, tmp_path):
    content, events, _ = small_aedat4
    path = tmp_path / "cut.aedat4"
    whole = set()
    for size in range(14, len(content)):
        path.write_bytes(content[:size])
        found, error = read_until_damage(aedat4, path)
        np.testing.assert_array_equal(found, events[: len(found)])
        # The table of packets lies behind the last of them: a file cut inside it still has all events.
        assert error is not None or (len(found) == len(events) and size > len(content) // 2)
        whole.add(len(found))
    assert whole == {0, 10, 20, 30}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_flipped_byte_of_an_aedat4_never_passes_for_other_events(small_aedat4, data, tmp_path_factory):
    """Behind the header each byte stands under a check sum or in a size, a stream or the table."""
    content, events, start = small_aedat4
    at = data.draw(st.integers(14, len(content) - 1))
    damaged = bytearray(content)
    damaged[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.aedat4"
    path.write_bytes(damaged)
    tracemalloc.start()
    found, error = read_until_damage(aedat4, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    if at >= start:
        np.testing.assert_array_equal(found, events[: len(found)])
        assert error is not None or len(found) == len(events)


@pytest.mark.parametrize("claimed", [2**31, 2**62])
def test_a_frame_that_claims_gigabytes_gets_none(claimed, tmp_path):
    """An LZ4 frame with a content size (bit 3 of its flags): 8 bytes behind mark and two flags, check sum corrected."""
    frame = bytearray(lz4_frame.compress(aedat4_packet((1, 2, 3, True))))
    assert frame[4] & 8
    frame[6:14] = struct.pack("<Q", claimed)
    path = tmp_path / "a.aedat4"
    path.write_bytes(aedat4_file(1, bytes(frame)))
    tracemalloc.start()
    found, error = read_until_damage(aedat4, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found), peak < 2**20) == (0, True)
    assert error is not None


def test_a_count_beyond_the_packet_is_damage(tmp_path):
    packet = bytearray(aedat4_packet((1, 2, 3, True)))
    for count in (2, 2**32 - 1):
        packet[28:32] = struct.pack("<I", count)
        (tmp_path / "a.aedat4").write_bytes(aedat4_file(0, aedat4_packet((9, 9, 9, False)), bytes(packet)))
        found, error = read_until_damage(aedat4, tmp_path / "a.aedat4")
        np.testing.assert_array_equal(found, make_events([9], [9], [9], [0]))
        assert "damaged in the packet at byte" in str(error)


# AEDAT2


def aedat2_file(*records, lines=("#!AER-DAT2.0",)):
    """Lines of text, then big-endian pairs of address and time."""
    return b"".join(f"{line}\r\n".encode() for line in lines) + b"".join(struct.pack(">Ii", *pair) for pair in records)


def test_addresses_of_a_davis_count_from_the_lower_right(tmp_path):
    """(3, 5) of 346x260 is column 345 - 3 = 342 at bit 12 and row 259 - 5 = 254 at bit 22; ON is bit 11.

    A sample of a frame (bit 31) and an external signal (bit 10) are no events.
    """
    on, frame, external, off = (342 << 12 | 254 << 22 | 1 << 11, 1 << 31 | 5, 1 << 10, 0)
    path = tmp_path / "a.aedat"
    chip = "# AEChip: eu.seebetter.ini.chips.davis.Davis346red"
    path.write_bytes(aedat2_file((on, 10), (frame, 11), (external, 12), (off, 13), lines=("#!AER-DAT2.0", chip)))
    np.testing.assert_array_equal(read(aedat2, path), make_events([3, 345], [5, 259], [10, 13], [1, 0]))
    assert aedat2.FORMAT.attributes(path) == {"width": 346, "height": 260}


def test_addresses_of_a_dvs128_have_on_as_zero(tmp_path):
    """(3, 5) of 128x128 is column 124 at bit 1 and row 122 at bit 8; bit 15 is an external signal."""
    on, external, off = 124 << 1 | 122 << 8, 1 << 15, 1
    path = tmp_path / "a.aedat"
    path.write_bytes(aedat2_file((on, 10), (external, 11), (off, 12)))
    np.testing.assert_array_equal(read(aedat2, path), make_events([3, 127], [5, 127], [10, 12], [1, 0]))
    assert aedat2.FORMAT.attributes(path) == {"width": 128, "height": 128}


@pytest.mark.parametrize(("x", "y", "width"), [(239, 179, 240), (240, 0, 346), (0, 180, 346), (346, 0, 640)])
def test_a_file_that_does_not_name_its_camera_is_of_the_smallest_that_has_room(x, y, width, tmp_path):
    """As v2e's files are."""
    (tmp_path / "a.aedat").write_bytes(aedat2_file((x << 12 | y << 22, 0)))
    assert aedat2.FORMAT.attributes(tmp_path / "a.aedat")["width"] == width
    assert read(aedat2, tmp_path / "a.aedat")["x"].tolist() == [width - 1 - x]


def test_times_are_followed_beyond_32_bits(tmp_path, monkeypatch):
    """2^31 - 1 is followed by -2^31, which is one microsecond later, and so on; a step back is a step back."""
    monkeypatch.setattr(aedat2, "BLOCK", 2)
    stamps = [2**31 - 2, 2**31 - 1, -(2**31), -5, 3, 1, 2**31 - 1]
    (tmp_path / "a.aedat").write_bytes(aedat2_file(*((1 << 12, stamp) for stamp in stamps)))
    assert read(aedat2, tmp_path / "a.aedat")["t"].tolist() == [
        2**31 - 2, 2**31 - 1, 2**31, 2**32 - 5, 2**32 + 3, 2**32 + 1, 2**32 + 2**31 - 1
    ]  # fmt: skip


def test_the_front_of_a_moving_dark_box_is_off(shared_data):
    """jAER's own recording: where the box goes it gets dark, where it leaves it gets bright.

    In bins of 0.1 s the middle of the OFF events lies ahead of that of the ON events, in the direction of motion.
    """
    events = read(aedat2, shared_data / "formats" / "MovingDarkBox.aedat")
    assert len(events) == (3_918_888 - 216) // 8
    number = (events["t"] - events["t"][0]) // 100_000
    ahead, last = [], None
    for chosen in (events[number == k] for k in range(number[-1])):
        if len(chosen) < 500:
            last = None
            continue
        middle = np.array([np.median(chosen[axis]) for axis in "xy"])
        off, on = (np.array([np.median(chosen[axis][chosen["p"] == p]) for axis in "xy"]) for p in (0, 1))
        if last is not None:
            ahead.append(np.sign((middle - last) @ (off - on)))
        last = middle
    assert len(ahead) > 100
    assert np.mean(ahead) > 0.5


@pytest.mark.parametrize("count", [0, 1, 2 * BLOCK + 5])
def test_our_aedat2_is_read_by_tonic(count, tmp_path):
    events, path = random_events(count, 346, 260), tmp_path / "a.aedat"
    write(aedat2, path, events, attributes(346, 260))
    shape, _, found = tonic.io.read_davis_346(path)
    assert shape == (346, 260)
    assert_columns(found, events)


@pytest.mark.parametrize("y", range(110, 126))
def test_a_first_address_that_looks_like_text_shifts_no_event(y, tmp_path):
    """Rows 140 to 143 of the address begin with 0x23, "#": tonic, like others, would read a line of text there.

    259 - 140 = 119 to 116 are these rows. The external signal in front of them is one event more to tonic.
    """
    events, path = random_events(100, 346, 260), tmp_path / "a.aedat"
    events["y"][0] = y
    write(aedat2, path, events, attributes(346, 260))
    found = tonic.io.read_davis_346(path)[2]
    assert len(found) == 100 + (116 <= y <= 119)
    assert_columns(found[-100:], events)
    np.testing.assert_array_equal(read(aedat2, path), events)


@pytest.mark.parametrize(
    ("width", "height", "chip"),
    [
        (128, 128, "DVS128"),
        (34, 34, "DVS128"),
        (240, 180, "DAVIS240C"),
        (346, 260, "Davis346B"),
        (640, 480, "Davis640"),
    ],
)
def test_our_aedat2_names_a_camera_of_jaer(width, height, chip, tmp_path):
    events, path = random_events(1000, width, height), tmp_path / "a.aedat"
    write(aedat2, path, events, attributes(width, height))
    assert f".{chip}\r\n" in path.read_bytes()[:400].decode("latin-1")
    np.testing.assert_array_equal(read(aedat2, path), events)
    known = aedat2.FORMAT.attributes(path)
    assert dict(known) == attributes(width, height)


@settings(max_examples=50, deadline=None)
@given(events=sorted_events(640, 480, 2**31 - 1))
def test_any_sorted_events_come_back_from_aedat2(events, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.aedat"
    write(aedat2, path, events, attributes(640, 480, 2**31 - 1))
    np.testing.assert_array_equal(read(aedat2, path), events)


def test_an_aedat2_cut_anywhere_gives_whole_events_and_says_so(tmp_path):
    """Ours says how many events it has; one of others is known to be cut only inside an event."""
    events, path = random_events(9, 346, 260), tmp_path / "a.aedat"
    write(aedat2, path, events, attributes(346, 260))
    content = path.read_bytes()
    for size in range(len(content) - 72, len(content)):
        path.write_bytes(content[:size])
        found, error = read_until_damage(aedat2, path)
        np.testing.assert_array_equal(found, events[: (size - len(content) + 72) // 8])
        assert "is cut short" in str(error)
    path.write_bytes(aedat2_file((1 << 12, 5)) + b"abc")
    found, error = read_until_damage(aedat2, path)
    assert (len(found), "ends 3 bytes into the record at byte 22" in str(error)) == (1, True)


def test_an_event_off_the_sensor_is_damage(tmp_path):
    """Column 400 of a DAVIS346, in the second of three events."""
    chip = "# AEChip: DAVIS346"
    path = tmp_path / "a.aedat"
    path.write_bytes(aedat2_file((1 << 31, 0), (5 << 12, 1), (400 << 12, 2), (0, 3), lines=("#!AER-DAT2.0", chip)))
    found, error = read_until_damage(aedat2, path)
    assert found["x"].tolist() == [340]
    assert f"the event at byte {14 + len(chip) + 2 + 16} is off the 346x260 sensor" in str(error)


def test_an_unknown_camera_is_named(tmp_path):
    (tmp_path / "a.aedat").write_bytes(aedat2_file(lines=("#!AER-DAT2.0", "# AEChip: org.cochlea.AMS1c")))
    with pytest.raises(FormatError, match=r"is of the camera org\.cochlea\.AMS1c; known are DVS128"):
        read(aedat2, tmp_path / "a.aedat")


# AEDAT 3.1


def aedat3_file(*packets, lines=("#Format: RAW", "#Source 0: DAVIS346", "#Start-Time: 2026-01-01 00:00:00 (TZ+0000)")):
    text = "".join(f"{line}\r\n" for line in ("#!AER-DAT3.1", *lines, "#!END-HEADER"))
    return text.encode() + b"".join(packets)


def aedat3_packet(*events, kind=1, source=0, overflow=0, size=8):
    """Header of 28 bytes; polarity events have valid at bit 0, ON at bit 1, y at bit 2, x at bit 17, then the time."""
    header = struct.pack("<hhiiiiii", kind, source, size, 4, overflow, len(events), len(events), len(events))
    return header + b"".join(struct.pack("<Ii", x << 17 | y << 2 | on << 1 | valid, t) for x, y, t, on, valid in events)


AEDAT3 = (
    aedat3_packet((345, 259, 7, 1, 1), (1, 2, 8, 1, 0), (0, 0, 9, 0, 1)),
    aedat3_packet((0, 0, 9, 0, 1), kind=0),
    aedat3_packet((5, 6, 3, 1, 1), overflow=2),
)
AEDAT3_EVENTS = ([345, 0, 5], [259, 0, 6], [7, 9, 2**32 + 3], [1, 0, 1])


def test_an_aedat3_made_by_hand_is_read(tmp_path):
    """The event that is not valid, and the packet of special events, are left out; overflow 2 is 2 x 2^31 us."""
    path = tmp_path / "a.aedat"
    path.write_bytes(aedat3_file(*AEDAT3))
    np.testing.assert_array_equal(read(aedat31, path), make_events(*AEDAT3_EVENTS))
    assert aedat31.FORMAT.attributes(path) == {"width": 346, "height": 260}


def test_evutils_reads_the_same_from_it(tmp_path):
    io = pytest.importorskip("evutils.io", reason="evutils is not installed")
    (tmp_path / "a.aedat").write_bytes(aedat3_file(*AEDAT3))
    with io.EventReader(str(tmp_path / "a.aedat")) as reader:
        parts = list(reader)
    for name, expected in zip("xytp", AEDAT3_EVENTS, strict=True):
        assert np.concatenate([np.asarray(getattr(part, name)) for part in parts]).tolist() == expected


def test_of_two_sources_the_first_is_read(tmp_path):
    other = aedat3_packet((9, 9, 1, 1, 1), source=1)
    lines = ("#Format: RAW", "#Source 0: DAVIS346", "#Source 1: DVS128")
    (tmp_path / "a.aedat").write_bytes(aedat3_file(AEDAT3[0], other, AEDAT3[2], lines=lines))
    assert read(aedat31, tmp_path / "a.aedat")["x"].tolist() == AEDAT3_EVENTS[0]
    assert aedat31.FORMAT.attributes(tmp_path / "a.aedat") == {}


def test_an_aedat3_cut_anywhere_gives_whole_events_and_says_so(tmp_path):
    path, content = tmp_path / "a.aedat", aedat3_file(*AEDAT3)
    ends = np.cumsum([len(aedat3_file()), *map(len, AEDAT3)])
    for size in range(len(content)):
        path.write_bytes(content[:size])
        found, error = read_until_damage(aedat31, path)
        assert found["x"].tolist() == AEDAT3_EVENTS[0][: len(found)]
        assert (error is None) == (size in ends)


def test_a_compressed_aedat3_is_refused(tmp_path):
    (tmp_path / "a.aedat").write_bytes(aedat3_file(lines=("#Format: Serial-TS",)))
    with pytest.raises(FormatError, match="has the Format: Serial-TS; only RAW is read"):
        read(aedat31, tmp_path / "a.aedat")


@pytest.mark.parametrize(
    "header",
    [
        (1, 0, 8, 4, 0, 2**31 - 1, 2**31 - 1, 0),
        (1, 0, 8, 4, 0, -1, -1, 0),
        (1, 0, -8, 4, 0, 1, 1, 1),
        (1, 0, 16, 4, 0, 1, 1, 1),
        (0, 0, 0, 4, 0, 0, 5, 0),
    ],
)
def test_an_aedat3_header_that_makes_no_sense_is_damage(header, tmp_path):
    (tmp_path / "a.aedat").write_bytes(aedat3_file(AEDAT3[0], struct.pack("<hhiiiiii", *header)))
    tracemalloc.start()
    found, error = read_until_damage(aedat31, tmp_path / "a.aedat")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found["x"].tolist(), peak < 2**23) == ([345, 0], True)
    assert "damaged" in str(error) or "cut short" in str(error)


# All


@pytest.mark.parametrize("module", [aedat2, aedat31, aedat4])
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_behind_the_mark_are_events_or_a_clear_error(module, data, tmp_path_factory):
    path: Path = tmp_path_factory.getbasetemp() / f"any_{module.FORMAT.name}"
    mark = {"aedat2": b"#!AER-DAT2.0\r\n", "aedat3": aedat3_file(), "aedat4": b"#!AER-DAT4.0\r\n"}[module.FORMAT.name]
    path.write_bytes(mark + data)
    assert module.FORMAT.recognises(path)
    found, _ = read_until_damage(module, path)
    assert len(found) <= len(data) // 8
