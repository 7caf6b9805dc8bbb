"""The .bin of N-MNIST and N-Caltech101: five bytes an event, without a header.

Layout (Orchard et al. 2015, their event-Python): x, y, then 24 bits, big-endian: ON in the highest, microseconds in
the other 23. y = 240, a row that the ATIS does not have, is no event: from there on times are 8192 us later.

Nothing but events is kept: read back, the sensor ends at the outermost event (N-MNIST has 34x34 pixels), and was
watched from the first event to the last. Written are times below 2^23 us = 8.4 s, without such marks.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError
from dvs.events import EventArray, empty_events
from dvs.files.attributes import Attributes
from dvs.files.format import Format
from dvs.files.spool import BLOCK, Spool

OVERFLOW_ROW = 240
OVERFLOW_US = 2**13
TIME_BITS = 23
WIDTH = 5  # bytes of an event


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events; the attributes are not kept."""
    with path.open("wb") as file:
        for block in spool:
            data = np.empty((block.size, WIDTH), np.uint8)
            data[:, 0], data[:, 1] = block["x"], block["y"]
            stamp = (block["t"] | (block["p"].astype(np.int64) << TIME_BITS)).astype(">u4")
            data[:, 2:] = stamp.view(np.uint8).reshape(-1, 4)[:, 1:]
            file.write(data.tobytes())


def blocks(path: Path) -> Iterator[EventArray]:
    """The events, `BLOCK` at a time."""
    late_us = at = 0
    with path.open("rb") as file:
        while data := file.read(BLOCK * WIDTH):
            rows = np.frombuffer(data, np.uint8, len(data) // WIDTH * WIDTH).reshape(-1, WIDTH)
            yield _events(rows, late_us)
            late_us += OVERFLOW_US * int((rows[:, 1] == OVERFLOW_ROW).sum())
            at += rows.size
            if rows.size < len(data):
                raise FormatError(f"{path} is cut short: the event at byte {at} is not complete")


def _events(rows: NDArray[np.uint8], late_us: int) -> EventArray:
    stamp = np.zeros((len(rows), 4), np.uint8)
    stamp[:, 1:] = rows[:, 2:]
    stamps = stamp.view(">u4").ravel().astype(np.int64)
    overflow = rows[:, 1] == OVERFLOW_ROW
    times = (stamps & (2**TIME_BITS - 1)) + late_us + OVERFLOW_US * np.cumsum(overflow)
    events = empty_events(len(rows))
    events["x"], events["y"], events["t"], events["p"] = rows[:, 0], rows[:, 1], times, stamps >> TIME_BITS
    return events[~overflow]


def recognises(path: Path) -> bool:
    """Whether the file begins like events: of the first thousand, nearly none is earlier than the one before."""
    with path.open("rb") as file:
        data = file.read(1000 * WIDTH)
    rows = np.frombuffer(data, np.uint8, len(data) // WIDTH * WIDTH).reshape(-1, WIDTH)
    back = np.diff(_events(rows, 0)["t"]) < 0
    return int(back.sum()) <= len(rows) // 10


FORMAT = Format(
    name="nmnist",
    suffixes=(".bin",),
    recognises=recognises,
    signed=False,
    write=write,
    blocks=blocks,
    first_us=0,
    last_us=2**TIME_BITS - 1,
    largest=(256, OVERFLOW_ROW),
    loses=("size", "span", "provenance"),
)
