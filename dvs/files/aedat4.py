"""AEDAT4, the format of iniVation's DV: packets of events, frames and other data, compressed one by one.

Layout (iniVation, "AEDAT 4.0"; schemas of dv-processing): 14 bytes of mark; the flatbuffer IOHE with the kind of
compression, the position of the table of packets and an XML text about the streams; packets of two int32 (stream,
size) and as many bytes; the table of packets, FTAB. A packet of events is, unpacked, the flatbuffer EVTS: one vector of
16-byte records of int64 microseconds, int16 x, int16 y and a bool, read as it is. (0, 0) is the upper left.

Written is LZ4; read are LZ4, Zstandard (library `zstandard`) and plain. Times are absolute microseconds. Sensor size,
watched span and provenance stand in the XML text of the stream (sizeX, sizeY as DV writes them); other readers ignore
what they do not know. Of a file with several streams of events the first is read.
"""

import os
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any, BinaryIO
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError, MissingExtraError
from dvs.events import EventArray, empty_events
from dvs.files.attributes import ATTRIBUTES, Attributes
from dvs.files.format import Format
from dvs.files.spool import Spool

MARK = b"#!AER-DAT4.0\r\n"
NONE, LZ4, LZ4_HIGH, ZSTD, ZSTD_HIGH = range(5)
THREADS = 2  # that unpack
BATCH = 1 << 18  # packed bytes that one of them takes at once; DV's packets are small
OUT_INFO = "/mainloop/Recorder/outInfo/"

RECORD = np.dtype(
    {"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "u1"], "offsets": [0, 8, 10, 12], "itemsize": 16}
)

# One entry of the table of packets: a flatbuffer table of two structs, five int64 wide, behind its own head.
ENTRY = np.dtype(
    [
        *(("vtable", "<i4"), ("pad", "<i4"), ("offset", "<i8"), ("stream", "<i4"), ("size", "<i4")),
        *(("count", "<i8"), ("first_us", "<i8"), ("last_us", "<i8")),
    ]
)
ENTRY_FIELDS = (8, 16, 24, 32, 40)  # where each begins in the entry


# Reading


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What stands in front of the packets. `stop` is where they end, at the table or at the end of the file."""

    unpack: Callable[[bytes], bytes]
    stream: int
    streams: frozenset[int]
    known: Mapping[str, Any]
    start: int
    stop: int
    complete: bool


def attributes(path: Path) -> Mapping[str, Any]:
    """Sensor size, and what `write` put beside it."""
    with path.open("rb") as file:
        return _header(file, path).known


def blocks(path: Path) -> Iterator[EventArray]:
    """The events of the first stream, some packets at a time and some unpacked ahead in other threads."""
    with path.open("rb") as file, ThreadPoolExecutor(THREADS) as pool:
        header = _header(file, path)
        waiting: deque[Future[tuple[EventArray, FormatError | None]]] = deque()
        for batch in _batches(file, header, path):
            waiting.append(pool.submit(_unpacked, batch, header, path))
            if len(waiting) > THREADS:
                yield from _good(*waiting.popleft().result())
        for future in waiting:
            yield from _good(*future.result())


def _good(events: EventArray, error: FormatError | None) -> Iterator[EventArray]:
    """What could be unpacked, and then why not all."""
    yield events
    if error is not None:
        raise error


def _batches(file: BinaryIO, header: _Header, path: Path) -> Iterator[list[tuple[int, bytes | FormatError]]]:
    """Places and bytes of packets; what is wrong comes as the last of them, so that those before it count."""
    at, batch, size = header.start, [], 0
    for at, packet in _packets(file, header, path):
        batch.append((at, packet))
        size += len(packet) if isinstance(packet, bytes) else 0
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _packets(file: BinaryIO, header: _Header, path: Path) -> Iterator[tuple[int, bytes | FormatError]]:
    at = header.start
    while at < header.stop:
        file.seek(at)
        head = file.read(min(8, header.stop - at))
        stream, size = struct.unpack("<ii", head) if len(head) == 8 else (0, -1)
        if not 0 <= size <= header.stop - at - 8:
            reason = f"{path} is cut short or damaged: the packet at byte {at} does not end in the file"
            yield at, FormatError(reason)
            return
        if stream not in header.streams:
            yield at, FormatError(f"{path} is damaged: the packet at byte {at} is of stream {stream}, which it lacks")
            return
        if stream == header.stream:
            yield at, file.read(size)
        at += 8 + size
    if not header.complete:
        yield at, FormatError(f"{path} is cut short: its table of packets lies beyond its end, at byte {header.stop}")


def _unpacked(
    batch: list[tuple[int, bytes | FormatError]], header: _Header, path: Path
) -> tuple[EventArray, FormatError | None]:
    """The events of the packets in front of the first that is damaged, and what is wrong with that one."""
    from dvs.files.byte_kernels import events_of_records

    parts, damage = [], None
    for at, packet in batch:
        try:
            if isinstance(packet, FormatError):
                damage = packet
                break
            parts.append(_records(header.unpack(packet)))
        except (RuntimeError, ValueError, struct.error) as error:
            damage = FormatError(f"{path} is damaged in the packet at byte {at}: {error}")
            break
    events = empty_events(sum(part.size for part in parts))
    first = 0
    for part in parts:
        events_of_records(part, events[first : first + part.size])
        first += part.size
    return events, damage


def _header(file: BinaryIO, path: Path) -> _Header:
    length = os.fstat(file.fileno()).st_size
    try:
        file.seek(len(MARK))
        size = _number("<I", prefix := file.read(4), 0)
        if size > length - len(MARK) - 4:
            raise ValueError(f"{size} bytes in a file of {length}")
        data = prefix + file.read(size)
        compression, table, text = (_field(data, "IOHE", index) for index in range(3))
        kind = _number("<i", data, compression) if compression else NONE
        position = _number("<q", data, table) if table else -1
        streams = _streams(_text(data, text))
    except (ValueError, struct.error, ElementTree.ParseError) as error:
        raise FormatError(f"{path} cannot be read: its AEDAT4 header is damaged: {error}") from error
    of_events = {number: known for number, known in streams.items() if known is not None}
    if not of_events:
        raise FormatError(f"{path} has no stream of events")
    start = len(MARK) + 4 + size
    return _Header(
        unpack=_unpacker(kind, path),
        stream=min(of_events),
        streams=frozenset(streams),
        known=of_events[min(of_events)],
        start=start,
        stop=position if start <= position <= length else length,
        complete=position <= length,
    )


def _streams(text: str) -> dict[int, dict[str, Any] | None]:
    """The numbers of all streams, and the attributes of those of events."""
    if "<!DOCTYPE" in text:
        raise ValueError("a document type in the XML text")
    streams: dict[int, dict[str, Any] | None] = {}
    for node in ElementTree.fromstring(text).iterfind(".//node[@name='outInfo']/node"):
        number = int(node.get("name", ""))
        streams[number] = None
        if node.findtext("attr[@key='typeIdentifier']") == "EVTS":
            kept = {item.get("key"): item.text or "" for item in node.iterfind("node[@name='info']/attr")}
            whole = {"width": "sizeX", "height": "sizeY", "start_us": "start_us", "stop_us": "stop_us"}
            known: dict[str, Any] = {name: int(kept[key]) for name, key in whole.items() if key in kept}
            streams[number] = known | {name: kept[name] for name in ("provenance",) if name in kept}
    return streams


def _records(packet: bytes) -> NDArray[np.void]:
    """The records of a flatbuffer of events."""
    at = _field(packet, "EVTS", 0)
    if not at:
        return np.empty(0, RECORD)
    vector = at + _number("<I", packet, at)
    return np.frombuffer(packet, RECORD, _number("<I", packet, vector), vector + 4)


def _field(data: bytes, mark: str, index: int) -> int:
    """Where a field of the flatbuffer's first table lies, 0 where it is not given; the size stands in front."""
    if data[8:12] != mark.encode() or _number("<I", data, 0) > len(data) - 4:
        raise ValueError(f"no complete flatbuffer {mark}")
    table = 4 + _number("<I", data, 4)
    fields = table - _number("<i", data, table)
    entry = 4 + 2 * index
    offset = _number("<H", data, fields + entry) if entry + 2 <= _number("<H", data, fields) else 0
    return table + offset if offset else 0


def _text(data: bytes, at: int) -> str:
    if not at:
        raise ValueError("no XML text about the streams")
    start = at + _number("<I", data, at) + 4
    return data[start : start + _number("<I", data, start - 4)].decode()


def _number(kind: str, data: bytes, at: int) -> int:
    """A number of a flatbuffer, whose offsets may be wrong."""
    if at < 0:
        raise ValueError("an offset before the first byte")
    return struct.unpack_from(kind, data, at)[0]


def _unpacker(kind: int, path: Path) -> Callable[[bytes], bytes]:
    """The function that unpacks a packet."""
    if kind == NONE:
        return bytes
    if kind in (LZ4, LZ4_HIGH):
        return _UnpackerLZ4()
    if kind not in (ZSTD, ZSTD_HIGH):
        raise FormatError(f"{path} has compression {kind}, expected 0 to 4; its header is damaged, or it is newer")
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtraError(f"{path} is compressed with Zstandard: pip install zstandard") from error

    def unpack(packet: bytes) -> bytes:
        pieces, left = [], 1000 * len(packet) + 2**16  # more than events can shrink; a damaged frame may grow further
        with zstandard.ZstdDecompressor().stream_reader(packet) as reader:
            try:
                while left > 0 and (piece := reader.read(2**20)):
                    pieces.append(piece)
                    left -= len(piece)
            except zstandard.ZstdError as error:
                raise ValueError(str(error)) from error
        return b"".join(pieces)

    return unpack


class _UnpackerLZ4(local):
    """One decompressor a thread: to make a new one for each of DV's small packets takes longer than to unpack it."""

    def __init__(self) -> None:
        import lz4.frame

        self.frame, self.info = lz4.frame.LZ4FrameDecompressor(), lz4.frame.get_frame_info

    def __call__(self, packet: bytes) -> bytes:
        # Where the frame does not say how long it is unpacked, the flatbuffer does, in its first four bytes.
        self.frame.reset()
        size = self.info(packet)["content_size"]
        head = b"" if size else self.frame.decompress(packet, max_length=4)
        size = size or int.from_bytes(head, "little")
        if size > 255 * len(packet):
            raise ValueError(f"{len(packet)} bytes of LZ4 cannot hold {size}")
        rest = self.frame.decompress(b"" if head else packet, max_length=size + 1)
        unpacked = head + rest if head else rest
        if not self.frame.eof:
            raise ValueError("its LZ4 frame does not end")
        return unpacked


# Writing


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events, one packet for each block of the spool."""
    import lz4.frame

    # Independent blocks unpack faster than DV's linked ones, and Java's LZ4 needs them; the check sums, which cost next
    # to nothing on packed bytes, tell damage from events.
    options = {"block_linked": False, "block_checksum": True}
    text = _description(attributes)
    with path.open("wb") as file:
        file.write(_file_header(text, 0))
        entries = []
        for block in spool:
            data = lz4.frame.compress(_packet(block), **options)
            file.write(struct.pack("<ii", 0, len(data)))
            entries.append((0, 0, file.tell(), 0, len(data), block.size, block["t"][0], block["t"][-1]))
            file.write(data)
        position = file.tell()
        file.write(lz4.frame.compress(_table(np.array(entries, ENTRY)), **options))
        file.seek(0)
        file.write(_file_header(text, position))


def _description(attributes: Attributes) -> str:
    """DV's tree for one stream of events."""

    def node(path: str, *children: str) -> str:
        return f'<node name="{path.split("/")[-2]}" path="{path}">{"".join(children)}</node>'

    def items(kind: str, **values: int | str) -> str:
        return "".join(f'<attr key="{key}" type="{kind}">{escape(str(text))}</attr>' for key, text in values.items())

    known = {name: attributes[name] for name in ATTRIBUTES}
    info = node(
        f"{OUT_INFO}0/info/",
        items("int", sizeX=known["width"], sizeY=known["height"]),
        items("long", start_us=known["start_us"], stop_us=known["stop_us"]),
        items("string", source="microsaccade", provenance=known["provenance"]),
    )
    kind = items("string", compression="LZ4", originalModuleName="microsaccade", originalOutputName="events")
    kind += items("string", typeDescription="Array of events (polarity ON/OFF).", typeIdentifier="EVTS")
    return f'<dv version="2.0">{node(OUT_INFO, node(f"{OUT_INFO}0/", kind, info))}</dv>'


def _file_header(text: str, table: int) -> bytes:
    """The mark and the flatbuffer IOHE; readers that check its alignment count from its size on."""
    data = text.encode()
    # Vtable at 14 (its size, the table's, three fields), the table at 24, the text at 44.
    body = struct.pack("<I4s2x5HiiqII", 20, b"IOHE", 10, 20, 4, 8, 16, 10, LZ4, table, 4, len(data)) + data
    body += b"\0" * (1 + -(len(body) + 5) % 8)
    return MARK + struct.pack("<I", len(body)) + body


def _packet(events: EventArray) -> NDArray[np.uint8]:
    """The flatbuffer EVTS: 32 bytes with vtable, table and count, then the records."""
    from dvs.files.byte_kernels import records_of_events

    packet = np.zeros(32 + RECORD.itemsize * events.size, np.uint8)
    head = struct.pack("<II4s3H2xiII", packet.size - 4, 16, b"EVTS", 6, 8, 4, 8, 4, events.size)
    packet[:32] = np.frombuffer(head, np.uint8)
    records_of_events(events, packet[32:].view(RECORD))
    return packet


def _table(entries: NDArray[np.void]) -> bytes:
    """The flatbuffer FTAB: a vector of offsets to the entries, which share the vtable of five fields."""
    shared, own, root, vector = 12, 26, 32, 40  # the two vtables, the root, its vector
    first = vector + 4 + 4 * entries.size
    first += -first % 8
    places = first + ENTRY.itemsize * np.arange(entries.size)
    entries["vtable"] = places - shared
    offsets = places - (vector + 4 + 4 * np.arange(entries.size))
    body = struct.pack("<I4s", root - 4, b"FTAB") + struct.pack("<7H", 14, ENTRY.itemsize, *ENTRY_FIELDS)
    body += struct.pack("<3HiII", 6, 8, 4, root - own, 4, entries.size) + offsets.astype("<u4").tobytes()
    body += b"\0" * (first - 4 - len(body)) + entries.tobytes()
    return struct.pack("<I", len(body)) + body


def recognises(path: Path) -> bool:
    """Whether the file begins with the mark of AEDAT4."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


FORMAT = Format(
    name="aedat4",
    suffixes=(".aedat4",),
    recognises=recognises,
    write=write,
    attributes=attributes,
    blocks=blocks,
    first_us=0,
    requires="lz4",
)
