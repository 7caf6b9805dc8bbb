"""HDF5 in the layout of v2e (Hu, Liu and Delbruck 2021): dataset "events", uint32, (N, 4).

Columns are t (microseconds), x, y, p (0 = OFF, 1 = ON), gzip-compressed. Times end at 2^32 us
(71.6 minutes). Sensor size, watched span and provenance are attributes of the root; v2e itself
writes none, so from its files they are inferred.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dvs.events import EventArray, Recording
from dvs.files.attributes import Attributes, events_from_columns, recording_from_columns
from dvs.files.format import Format
from dvs.files.hdf5 import COMPRESSION, new_hdf5, readable, root_attributes
from dvs.files.spool import BLOCK, Spool


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events as one matrix."""
    with new_hdf5(path) as (file, disk):
        file.attrs.update(attributes)
        layout = {"chunks": (BLOCK, 4), "maxshape": (None, 4), **COMPRESSION}
        matrix = file.create_dataset("events", (len(spool), 4), "u4", **layout)
        count = 0
        for block in spool:
            matrix[count : count + block.size] = np.stack([block[name] for name in "txyp"], axis=1)
            count += block.size
            disk.check()


def read(path: Path) -> Recording:
    """A recording from v2e's layout."""
    import h5py

    with h5py.File(path) as file:
        t, x, y, p = readable(file["events"])[:].T
        return recording_from_columns(x, y, t, p, file.attrs)


def blocks(path: Path) -> Iterator[EventArray]:
    """The events as the file holds them, `BLOCK` at a time."""
    import h5py

    with h5py.File(path) as file:
        matrix = readable(file["events"])
        for first in range(0, len(matrix), BLOCK):
            t, x, y, p = matrix[first : first + BLOCK].T
            yield events_from_columns(x, y, t, p)


def recognises(path: Path) -> bool:
    """Whether the file has a dataset /events of four columns."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        return "events" in file and getattr(file["events"], "shape", ())[1:] == (4,)


FORMAT = Format(
    name="v2e",
    suffixes=(".v2e.h5", ".v2e.hdf5"),
    write=write,
    read=read,
    recognises=recognises,
    attributes=root_attributes,
    blocks=blocks,
    first_us=0,
    last_us=2**32 - 1,
)
