"""AEDAT 3.1, the .aedat of cAER: typed packets after lines of text, little-endian. Read only.

A packet (iniVation, "AEDAT 3.1") has 28 bytes of header: int16 type and source, then int32 size of an event, offset of
its time, overflow of the times, capacity, number and valid number of events. Type 1 are polarity events of 8 bytes:
bit 0 is 1 for valid ones, bit 1 for ON, bits 2-16 are y, 17-31 x, with (0, 0) at the upper left; then int32
microseconds, whose 31 bits the packet's overflow continues. Other types are skipped, and so are other sources than the
first that has polarity events. The compressed variants of the format are not read.
"""

import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dvs.errors import FormatError
from dvs.events import EventArray, empty_events
from dvs.files.format import Format

MARK = b"#!AER-DAT3.1"
END_OF_HEADER = b"#!END-HEADER\r\n"
MAX_HEADER = 1 << 20
HEADER = struct.Struct("<hhiiiiii")
RECORD = np.dtype([("data", "<u4"), ("t", "<i4")])
POLARITY = 1
SIZES = {"DVS128": (128, 128), "DAVIS240": (240, 180), "DAVIS346": (346, 260), "DAVIS640": (640, 480)}
BLOCK = 1 << 18  # records read at a time; a packet may claim any number


def attributes(path: Path) -> Mapping[str, Any]:
    """The sensor size, where the header names one source and its camera is known."""
    with path.open("rb") as file:
        sources = _sources(file, path)
    sizes = {size for text in sources for name, size in SIZES.items() if text.upper().startswith(name)}
    return dict(zip(("width", "height"), sizes.pop(), strict=True)) if len(sources) == len(sizes) == 1 else {}


def blocks(path: Path) -> Iterator[EventArray]:
    """The valid polarity events, packet by packet."""
    with path.open("rb") as file:
        _sources(file, path)
        length = os.fstat(file.fileno()).st_size
        chosen = None
        while (at := file.tell()) < length:
            header = file.read(HEADER.size)
            if len(header) < HEADER.size:
                raise FormatError(f"{path} is cut short: the packet header at byte {at} is not complete")
            kind, source, size, _, overflow, capacity, number, _ = HEADER.unpack(header)
            if size < 0 or not 0 <= number <= capacity or overflow < 0:
                raise FormatError(f"{path} is damaged: the packet header at byte {at} makes no sense")
            if kind == POLARITY and size != RECORD.itemsize:
                raise FormatError(f"{path} is damaged: the polarity events at byte {at} have {size} bytes, expected 8")
            if kind == POLARITY and chosen in (None, source):
                chosen = source
                yield from _events(file, number, overflow)
            end = at + HEADER.size + size * capacity
            if end > length and at + HEADER.size + size * number != length:
                raise FormatError(f"{path} is cut short: the packet at byte {at} does not end in the file")
            file.seek(end)


def _events(file: BinaryIO, count: int, overflow: int) -> Iterator[EventArray]:
    while count > 0:
        data = file.read(min(count, BLOCK) * RECORD.itemsize)
        records = np.frombuffer(data, RECORD, len(data) // RECORD.itemsize)
        if records.size == 0:
            return
        count -= records.size
        records = records[(records["data"] & 1) == 1]
        events = empty_events(records.size)
        events["x"] = records["data"] >> 17
        events["y"] = (records["data"] >> 2) & 0x7FFF
        events["p"] = (records["data"] >> 1) & 1
        events["t"] = records["t"].astype(np.int64) + (overflow << 31)
        yield events


def _sources(file: BinaryIO, path: Path) -> list[str]:
    """The sources that the header names; the file is left behind it."""
    sources = []
    while (line := file.readline(MAX_HEADER)) != END_OF_HEADER:
        if not (line.startswith(b"#") and line.endswith(b"\n")) or file.tell() > MAX_HEADER:
            raise FormatError(
                f"{path} is cut short or damaged: its header does not end with {END_OF_HEADER.decode().strip()}"
            )
        text = line.decode("latin-1").strip()
        if text.startswith("#Format:") and text != "#Format: RAW":
            raise FormatError(f"{path} has the {text[1:]:.80}; only RAW is read, so record or convert it uncompressed")
        if found := re.match(r"#Source \d+: (.*)", text):
            sources.append(found[1])
    return sources


def recognises(path: Path) -> bool:
    """Whether the file begins with the mark of AEDAT 3.1."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


FORMAT = Format(name="aedat3", suffixes=(".aedat",), recognises=recognises, attributes=attributes, blocks=blocks)
