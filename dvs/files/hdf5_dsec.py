"""HDF5 in the layout of the DSEC data set (Gehrig et al. 2021, "DSEC: A Stereo Event Camera Dataset").

    /events/x, /events/y   uint16
    /events/t              uint32, microseconds after t_offset
    /events/p              uint8, 0 = OFF, 1 = ON
    /ms_to_idx             uint64, index of the first event with t >= 1000 ms, one for each ms
    /t_offset              int64, microseconds

Sensor size, watched span and provenance are attributes of the root, which other readers ignore.

t_offset is 0, so that /events/t is the clock of the recording, as long as uint32 can hold its
times. Before time 0 or after 2^32 us (71.6 minutes) it is the whole millisecond of the first
event. A recording that is itself longer has /events/t as int64: no time wraps around, and a
reader of h5py arrays, DSEC's own included, notices no difference.
"""

import operator
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError
from dvs.events import EventArray, Recording
from dvs.files import spool as queue
from dvs.files.attributes import Attributes, recording_from_events
from dvs.files.format import Format
from dvs.files.hdf5 import new_hdf5, opened, root_attributes
from dvs.files.hdf5_chunks import (
    GZIP,
    MAX_MS,
    deflated,
    event_columns,
    in_order,
    milliseconds,
    pieces,
)  # fmt: skip
from dvs.files.spool import BLOCK, Spool

if TYPE_CHECKING:
    import h5py


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events; raises `FormatError` for a recording of more than 11 days."""
    first_us, last_us = map(int, spool.ends["t"]) if len(spool) else (0, -1)
    offset_us = 0 if first_us >= 0 and last_us < 2**32 else max(first_us // 1000 * 1000, np.iinfo(np.int64).min)
    last_us -= offset_us
    if last_us // 1000 >= MAX_MS:
        raise FormatError(
            f"the events span {last_us / 86_400e6:.1f} days; DSEC's millisecond index holds 11: "
            "write .npz or .aedat4, or correct the times"
        )
    types = {"x": "u2", "y": "u2", "t": "u4" if last_us < 2**32 else "i8", "p": "u1"}
    step = max(1, min(queue.BLOCK, len(spool)))
    layout = {"chunks": (step,), "maxshape": (None,), **GZIP}

    def packed(block: EventArray) -> tuple[NDArray[np.int64], list[bytes]]:
        """Times after the offset, and the chunk of each column."""
        t = block["t"] - offset_us
        columns = ((t if name == "t" else block[name]).astype(dtype) for name, dtype in types.items())
        return t, [deflated(column, step) for column in columns]

    with new_hdf5(path) as (file, disk):
        file.attrs.update(attributes)
        file["t_offset"] = np.int64(offset_us)
        columns = [file.create_dataset(f"events/{name}", len(spool), dtype, **layout) for name, dtype in types.items()]
        index = file.create_dataset("ms_to_idx", last_us // 1000 + 1, "u8", chunks=(BLOCK,), maxshape=(None,), **GZIP)
        count = ms = 0
        for t, chunks in in_order(packed, spool):
            for column, chunk in zip(columns, chunks, strict=True):
                column.id.write_direct_chunk((count,), chunk)
            for piece in pieces(ms, int(t[-1]) // 1000 + 1):
                ms = int(piece[-1]) + 1
                index[int(piece[0]) : ms] = count + np.searchsorted(t, piece * 1000)
            count += t.size
            disk.check()


def read(path: Path) -> Recording:
    """A recording from DSEC's layout, DSEC's own files (no size, no span, Blosc) included.

    Times are absolute: /events/t + t_offset.
    Raises `MissingExtraError` where the file needs a compression filter that h5py lacks.
    """
    with opened(path) as file:
        return recording_from_events(event_columns(file, "events", _offset_us(file)).events(), root_attributes(path))


def blocks(path: Path) -> Iterator[EventArray]:
    """The events as the file holds them."""
    with opened(path) as file:
        yield from event_columns(file, "events", _offset_us(file)).blocks()


def between(path: Path, start_us: int, stop_us: int) -> EventArray:
    """The events of [start_us, stop_us), found through the millisecond index."""
    with opened(path) as file:
        offset_us = _offset_us(file)
        guess = milliseconds(file, "ms_to_idx", offset_us)
        return event_columns(file, "events", offset_us).between(start_us, stop_us, guess)


def _offset_us(file: "h5py.File") -> int:
    if "t_offset" not in file:
        return 0
    offset = file["t_offset"]
    if getattr(offset, "size", 0) != 1:
        raise FormatError(f"{file.filename}: /t_offset is not one number; it is damaged, or of another kind")
    return operator.index(np.asarray(offset[()]).item())


def recognises(path: Path) -> bool:
    """Whether the file has the group /events with the columns x, y, t and p."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with opened(path) as file:
        return all(f"events/{name}" in file for name in "xytp")


FORMAT = Format(
    name="dsec",
    suffixes=(".h5", ".hdf5"),
    recognises=recognises,
    write=write,
    read=read,
    attributes=root_attributes,
    blocks=blocks,
    between=between,
)
