"""HDF5 in the layout of the M3ED data set (Chaney et al. 2023, "M3ED: Multi-Robot, Multi-Sensor, Multi-Environment
Event Dataset"); read only.

    /prophesee/left/x, y, t, p     one number for each event, t in microseconds
    /prophesee/left/ms_map_idx     index of the first event of each millisecond
    /prophesee/left/calib/resolution   width and height

The left camera is read; a file without one is no M3ED file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvs.events import EventArray, Recording
from dvs.files.attributes import recording_from_events
from dvs.files.format import Format
from dvs.files.hdf5 import opened
from dvs.files.hdf5_chunks import array_of, event_columns, milliseconds

CAMERA = "prophesee/left"


def read(path: Path) -> Recording:
    """A recording of the left camera."""
    with opened(path) as file:
        return recording_from_events(event_columns(file, CAMERA).events(), attributes(path))


def attributes(path: Path) -> dict[str, Any]:
    """The sensor size, where the calibration is there."""
    with opened(path) as file:
        size = file.get(f"{CAMERA}/calib/resolution")
        if getattr(size, "shape", None) != (2,):
            return {}
        return dict(zip(("width", "height"), array_of(size), strict=True))


def blocks(path: Path) -> Iterator[EventArray]:
    """The events as the file holds them."""
    with opened(path) as file:
        yield from event_columns(file, CAMERA).blocks()


def between(path: Path, start_us: int, stop_us: int) -> EventArray:
    """The events of [start_us, stop_us), found through the millisecond index."""
    with opened(path) as file:
        guess = milliseconds(file, f"{CAMERA}/ms_map_idx")
        return event_columns(file, CAMERA).between(start_us, stop_us, guess)


def recognises(path: Path) -> bool:
    """Whether the file has the columns x, y, t and p of a left Prophesee camera."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with opened(path) as file:
        return all(f"{CAMERA}/{name}" in file for name in "xytp")


FORMAT = Format(
    name="m3ed",
    suffixes=(".h5", ".hdf5"),
    recognises=recognises,
    read=read,
    attributes=attributes,
    blocks=blocks,
    between=between,
    loses=("span", "provenance"),
)
