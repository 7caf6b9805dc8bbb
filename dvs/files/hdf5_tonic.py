"""One sample in the cache of tonic's `DiskCachedDataset` (tonic 1.7); read only.

/data/0 holds the events as one structured array with the fields x, y, t (microseconds) and p in any order, LZF
compressed; further pieces of the sample and /target, its label, are left alone. Nothing says how large the sensor is.
What was put into the cache after a transform into frames holds no events.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvs.events import EventArray, Recording
from dvs.files.attributes import recording_from_events
from dvs.files.format import Format
from dvs.files.hdf5 import opened
from dvs.files.hdf5_chunks import EventRows, event_records

if TYPE_CHECKING:
    import h5py


def read(path: Path) -> Recording:
    """The events of the sample; the sensor ends at the outermost one."""
    with opened(path) as file:
        return recording_from_events(_events(file).events(), {})


def attributes(path: Path) -> Mapping[str, Any]:
    """None: the cache holds none."""
    return {}


def blocks(path: Path) -> Iterator[EventArray]:
    """The events as the file holds them."""
    with opened(path) as file:
        yield from _events(file).blocks()


def _events(file: "h5py.File") -> EventRows:
    return event_records(file["data/0"])


def recognises(path: Path) -> bool:
    """Whether the first piece of data has the fields x, y, t and p."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with opened(path) as file:
        fields = getattr(getattr(file.get("data/0"), "dtype", None), "names", None)
        return fields is not None and {"x", "y", "t", "p"} <= set(fields)


FORMAT = Format(
    name="tonic",
    suffixes=(".hdf5", ".h5"),
    recognises=recognises,
    read=read,
    attributes=attributes,
    blocks=blocks,
    loses=("size", "span", "provenance"),
)
