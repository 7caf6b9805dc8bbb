"""HDF5 in the layout of v2e (Hu, Liu and Delbruck 2021): dataset "events", uint32, (N, 4).

Columns are t (microseconds), x, y, p (0 = OFF, 1 = ON), gzip-compressed. Times end at 2^32 us
(71.6 minutes). Sensor size, watched span and provenance are attributes of the root; v2e itself
writes none, so from its files they are inferred.

v2e's own times pass through float32 seconds on their way here, so they are off by up to 1 us
after 10 s, 8 us after 100 s and 63 us after 10 minutes. What stands in the file is read; the
true times are lost. Where that puts neighbours out of order, `dvs.read` sorts them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dvs.events import EventArray, Recording
from dvs.files import spool as queue
from dvs.files.attributes import Attributes, recording_from_events
from dvs.files.format import Format
from dvs.files.hdf5 import new_hdf5, opened, root_attributes
from dvs.files.hdf5_chunks import GZIP, EventRows, Rows, deflated, in_order
from dvs.files.spool import Spool

if TYPE_CHECKING:
    import h5py


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events as one matrix."""
    step = max(1, min(queue.BLOCK, len(spool)))

    def packed(block: EventArray) -> bytes:
        matrix = np.empty((block.size, 4), np.uint32)
        for column, name in zip(matrix.T, "txyp", strict=True):
            column[:] = block[name]
        return deflated(matrix, step)

    with new_hdf5(path) as (file, disk):
        file.attrs.update(attributes)
        matrix = file.create_dataset("events", (len(spool), 4), "u4", chunks=(step, 4), maxshape=(None, 4), **GZIP)
        for number, chunk in enumerate(in_order(packed, spool)):
            matrix.id.write_direct_chunk((number * step, 0), chunk)
            disk.check()


def read(path: Path) -> Recording:
    """A recording from v2e's layout."""
    with opened(path) as file:
        return recording_from_events(_events(file).events(), root_attributes(path))


def blocks(path: Path) -> Iterator[EventArray]:
    """The events as the file holds them."""
    with opened(path) as file:
        yield from _events(file).blocks()


def between(path: Path, start_us: int, stop_us: int) -> EventArray:
    """The events of [start_us, stop_us), found by bisection."""
    with opened(path) as file:
        return _events(file).between(start_us, stop_us)


def _events(file: "h5py.File") -> EventRows:
    return EventRows(
        rows=(Rows(file["events"]),),
        columns=lambda matrix: (matrix[:, 1], matrix[:, 2], matrix[:, 0], matrix[:, 3]),
        times=lambda matrix: matrix[:, 0],
    )


def recognises(path: Path) -> bool:
    """Whether the file has a dataset /events of four columns."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with opened(path) as file:
        return "events" in file and getattr(file["events"], "shape", ())[1:] == (4,)


FORMAT = Format(
    name="v2e",
    suffixes=(".v2e.h5", ".v2e.hdf5"),
    recognises=recognises,
    write=write,
    read=read,
    attributes=root_attributes,
    blocks=blocks,
    between=between,
    first_us=0,
    last_us=2**32 - 1,
)
