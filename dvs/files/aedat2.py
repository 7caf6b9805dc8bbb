"""AEDAT 2, the .aedat of jAER: big-endian pairs of a 32-bit address and an int32 of microseconds after lines of text.

Address (iniVation, "AEDAT 2.0"; jAER's extractors DVS128.java and DavisBaseCamera.java):

DAVIS   bit 31 is 1 for samples of frames and inertia, bit 10 for external signals: neither is an event. Bits 22-30
        are y, 12-21 x, bit 11 is 1 for ON.
DVS128  bits 8-14 are y, 1-7 x, bit 0 is 0 for ON; anything above is an external signal. iniVation's page has ON as 1,
        jAER turns it round, and in jAER's own recording of a moving dark box the front is OFF only if jAER is right.

jAER counts y from the bottom and x of both cameras from the right; here (0, 0) is the upper left, so both are turned,
as `tonic.io.read_davis_346` does. Files of v2e do not name their camera; it is then the smallest that has room for all
addresses. Times roll over with 32 bits and are followed as long as no gap is longer than 35 minutes.

Written is the smallest of the cameras in which the sensor has room; its size, the span and the provenance stand in
lines of text of their own, with the number of events, which tells a file that is cut short.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError
from dvs.events import EventArray, empty_events
from dvs.files.attributes import ATTRIBUTES, Attributes
from dvs.files.format import Format
from dvs.files.spool import Spool

MARK = b"#!AER-DAT2"
END_OF_HEADER = "#End Of ASCII Header"
MAX_HEADER = 1 << 24  # jAER writes all its settings there
NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
RECORD = np.dtype([("address", ">u4"), ("t", ">i4")])
BLOCK = 1 << 18  # records


@dataclass(frozen=True, kw_only=True)
class Camera:
    """jAER's name of a camera, and where its addresses hold what. `other`: bits that are 0 in every event."""

    chip: str
    width: int
    height: int
    x_shift: int
    y_shift: int
    x_mask: int
    y_mask: int
    p_shift: int
    on: int
    other: int

    def is_event(self, address: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which addresses are of events, and not of frames, inertia or external signals."""
        return (address & np.uint32(self.other)) == 0

    def encode(self, events: EventArray) -> NDArray[np.uint32]:
        """The addresses of events."""
        x = (self.width - 1 - events["x"]).astype(np.uint32) << self.x_shift
        y = (self.height - 1 - events["y"]).astype(np.uint32) << self.y_shift
        return x | y | ((events["p"] == self.on).astype(np.uint32) << self.p_shift)


def _davis(chip: str, width: int, height: int) -> Camera:
    return Camera(
        chip=f"eu.seebetter.ini.chips.davis.{chip}", width=width, height=height, x_shift=12, y_shift=22,
        x_mask=0x3FF, y_mask=0x1FF, p_shift=11, on=1, other=0x8000_0400,
    )  # fmt: skip


DVS128 = Camera(
    chip="ch.unizh.ini.jaer.chip.retina.DVS128", width=128, height=128, x_shift=1, y_shift=8,
    x_mask=0x7F, y_mask=0x7F, p_shift=0, on=0, other=0xFFFF_8000,
)  # fmt: skip
CAMERAS = (DVS128, _davis("DAVIS240C", 240, 180), _davis("Davis346B", 346, 260), _davis("Davis640", 640, 480))
EXTERNAL = 0x400  # DAVIS: an external signal


@dataclass(frozen=True, kw_only=True)
class _Header:
    known: Mapping[str, Any]
    chip: str | None
    events: int | None
    start: int


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the text and the events.

    A first event of a DAVIS whose address begins like a line of text, with "#", would be taken for one by readers that
    do not look for the end of the text; an external signal in front of it, which is no event, keeps them right.
    """
    camera = next(c for c in CAMERAS if int(attributes["width"]) <= c.width and int(attributes["height"]) <= c.height)
    lines = [
        "#!AER-DAT2.0",
        "# This is a raw AE data file - do not edit",
        "# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event",
        "# Timestamps tick is 1 us",
        f"# AEChip: {camera.chip}",
        *(f"# {name} {attributes[name]}" for name in ATTRIBUTES),
        f"# events {len(spool)}",
        END_OF_HEADER,
        "",
    ]
    with path.open("wb") as file:
        file.write("\r\n".join(lines).encode("ascii"))
        if len(spool) and camera.encode(spool.ends[:1])[0] >> 24 == ord("#"):
            file.write(np.array([(EXTERNAL, spool.ends["t"][0])], RECORD).tobytes())
        for block in spool:
            records = np.empty(block.size, RECORD)
            records["address"], records["t"] = camera.encode(block), block["t"]
            file.write(records.tobytes())


def attributes(path: Path) -> Mapping[str, Any]:
    """Sensor size, and what `write` put beside it."""
    header = _header(path)
    if {"width", "height"} <= set(header.known):
        return header.known
    camera = _camera(path, header)
    return {"width": camera.width, "height": camera.height, **header.known}


def blocks(path: Path) -> Iterator[EventArray]:
    """The events, times beyond 32 bits followed."""
    from dvs.files.byte_kernels import events_of_addresses

    header = _header(path)
    camera = _camera(path, header)
    layout = astuple(camera)[1:]
    t_us, count, at = 0, 0, header.start
    for records in _records(path, header.start):
        events = empty_events(records.size)
        used, found, t_us = events_of_addresses(records.view("<u4"), layout, t_us, events)
        yield events[:found]
        count += found
        at += RECORD.itemsize * used
        if used < records.size:
            raise FormatError(
                f"{path} is damaged or of another camera: the event at byte {at} "
                f"is off the {camera.width}x{camera.height} sensor of {camera.chip}"
            )
    size = path.stat().st_size
    if at != size:
        raise FormatError(f"{path} is cut short: it ends {size - at} bytes into the record at byte {at}")
    if header.events is not None and count != header.events:
        raise FormatError(f"{path} is cut short or damaged: it has {count} of its {header.events} events")


def _records(path: Path, start: int) -> Iterator[NDArray[np.void]]:
    """All whole records, `BLOCK` at a time."""
    with path.open("rb") as file:
        file.seek(start)
        while data := file.read(BLOCK * RECORD.itemsize):
            if whole := len(data) // RECORD.itemsize:
                yield np.frombuffer(data, RECORD, whole)


def _header(path: Path) -> _Header:
    """The lines of text. Without the line that ends them, they end before the first that is none."""
    known: dict[str, Any] = {}
    chip = events = None
    with path.open("rb") as file:
        while file.peek(1)[:1] == b"#":
            start = file.tell()
            line = file.readline(MAX_HEADER)
            if NO_TEXT.search(line):
                file.seek(start)
                break
            if not line.endswith(b"\n") or file.tell() > MAX_HEADER:
                raise FormatError(f"{path} is cut short or damaged: a line of its header does not end")
            text = line.decode("latin-1").strip()
            if text == END_OF_HEADER:
                break
            key, _, value = text.lstrip("# ").partition(" ")
            if key == "AEChip:":
                chip = value.strip()
            elif key == "events" and value.isdecimal():
                events = int(value)
            elif key in ATTRIBUTES:
                known[key] = value if key == "provenance" else int(value)
        return _Header(known=known, chip=chip, events=events, start=file.tell())


def _camera(path: Path, header: _Header) -> Camera:
    """The camera that the header names, else the smallest that has room for all addresses."""
    if header.chip is not None:
        number = re.search(r"(?i)(dvs|davis)\D*(\d+)[^.]*$", header.chip)
        for camera in CAMERAS:
            known = re.search(r"(?i)(dvs|davis)\D*(\d+)[^.]*$", camera.chip)
            if number and known and [s.lower() for s in number.groups()] == [s.lower() for s in known.groups()]:
                return camera
        raise FormatError(
            f"{path} is of the camera {header.chip:.80}; known are DVS128, DAVIS240, DAVIS346 and DAVIS640"
        )
    davis = CAMERAS[1]
    used = x = y = 0
    for records in _records(path, header.start):
        address = records["address"].astype(np.uint32)
        used |= int(np.bitwise_or.reduce(address))
        address = address[davis.is_event(address)]
        x = max(x, int(((address >> davis.x_shift) & davis.x_mask).max(initial=0)))
        y = max(y, int(((address >> davis.y_shift) & davis.y_mask).max(initial=0)))
    if used < 2**16:
        return DVS128
    return next((c for c in CAMERAS[1:] if x < c.width and y < c.height), CAMERAS[-1])


def recognises(path: Path) -> bool:
    """Whether the file begins with the mark of AEDAT 2."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


FORMAT = Format(
    name="aedat2",
    suffixes=(".aedat",),
    recognises=recognises,
    write=write,
    attributes=attributes,
    blocks=blocks,
    first_us=0,
    last_us=2**31 - 1,
    largest=(CAMERAS[-1].width, CAMERAS[-1].height),
)
