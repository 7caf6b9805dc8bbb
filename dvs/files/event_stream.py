"""Event Stream, the .es of Alexandre Marcireau's tools: a byte of time, five in all, for an event. DVS events.

Layout (event_stream, "Version 2.0"): "Event Stream", three bytes of version, one of kind (1 = DVS), uint16 width and
height; then bytes one after the other. 0xff is 127 us without an event, 0xfe means nothing; any other byte begins an
event: microseconds since the last one in the upper 7 bits, ON in the lowest, then uint16 x and y.

y counts from the bottom: the specification does not say so, but its author's own programs draw and read it that way
(es_to_frame, faery); the library event_stream hands out y as it is stored. Here (0, 0) is the upper left.

Times are whole microseconds from 0 on. A silence takes a byte for each 127 us, 680 MB a day, so a day is the most that
is written. Watched span and provenance are not kept.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dvs.errors import FormatError
from dvs.events import EventArray, empty_events
from dvs.files.attributes import Attributes
from dvs.files.format import Format
from dvs.files.spool import Spool

MARK = b"Event Stream"
KINDS = ("generic", "DVS", "ATIS", "display", "colour")
DVS = 1
HEADER = 20  # bytes
CHUNK = 1 << 20  # bytes read or written at a time


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write header and events."""
    width, height = int(attributes["width"]), int(attributes["height"])
    from dvs.files.byte_kernels import encode_stream

    data = np.empty(CHUNK, np.uint8)
    t_us = 0
    with path.open("wb") as file:
        file.write(MARK + bytes([2, 0, 0, DVS]) + width.to_bytes(2, "little") + height.to_bytes(2, "little"))
        for block in spool:
            done = 0
            while done < block.size:
                used, done, t_us = encode_stream(block, done, height, t_us, data)
                file.write(data[:used])


def attributes(path: Path) -> Mapping[str, int]:
    """The sensor size."""
    with path.open("rb") as file:
        return _size(file, path)


def blocks(path: Path) -> Iterator[EventArray]:
    """The events, as many at a time as a megabyte holds."""
    from dvs.files.byte_kernels import decode_stream

    with path.open("rb") as file:
        width, height = _size(file, path).values()
        at, t_us, rest = HEADER, 0, b""
        while more := file.read(CHUNK - len(rest)):
            data = rest + more
            events = empty_events(len(data) // 5)
            used, count, t_us = decode_stream(np.frombuffer(data, np.uint8), width, height, t_us, events)
            yield events[:count]
            at, rest = at + used, data[used:]
            if len(rest) >= 5:
                raise FormatError(f"{path} is damaged: the event at byte {at} is off its {width}x{height} sensor")
        if rest:
            raise FormatError(f"{path} is cut short: the event at byte {at} is not complete")


def _size(file: BinaryIO, path: Path) -> dict[str, int]:
    header = file.read(HEADER)
    if len(header) > 15 and (header[12] != 2 or header[15] != DVS):
        kind = KINDS[header[15]] if header[15] < len(KINDS) else "unknown"
        raise FormatError(
            f"{path} is an Event Stream of version {header[12]} with {kind} events; "
            "expected DVS events in version 2, convert it with another program"
        )
    if len(header) < HEADER:
        raise FormatError(f"{path} is cut short: it has {len(header)} bytes of a header of {HEADER}")
    return {"width": int.from_bytes(header[16:18], "little"), "height": int.from_bytes(header[18:20], "little")}


def recognises(path: Path) -> bool:
    """Whether the file begins with the mark of Event Stream."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


FORMAT = Format(
    name="es",
    suffixes=(".es",),
    recognises=recognises,
    write=write,
    attributes=attributes,
    blocks=blocks,
    first_us=0,
    last_us=24 * 3600 * 10**6 - 1,
    loses=("span", "provenance"),
)
