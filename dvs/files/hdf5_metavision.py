"""HDF5 of Prophesee's Metavision (OpenEB's HDF5EventFileWriter).

    /CD/events     records x, y (uint16), p (int16, 0 = OFF, 1 = ON), t (int64, microseconds), in chunks of 16384
                   behind the filter ECF (dvs/files/ecf.py); other filters and none are read as well
    /CD/indexes    records id (uint64), ts (int64): entry k is the first event of the last 2 ms that had any in front of
                   2 k ms after the first event, and its time after the first event; attribute "offset" is minus the
                   time of the first event. The first entry is (0, -1); one more entry follows the last
    /EXT_TRIGGER   as /CD, for triggers; here empty, but Metavision wants it to be there

Attributes of the root are texts, as Metavision reads each of them as one: "version", "geometry" ("1280x720"), and
ours. Times are those of the file; its "time_shift", if any, is not subtracted. ECF holds 11 bits of x and y.

Source: OpenEB 5 (Prophesee), sdk/modules/stream, hdf5_event_file_writer.cpp and hdf5_event_file_reader.cpp.
"""

import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError
from dvs.events import EventArray, Recording, empty_events, join_events
from dvs.files.attributes import Attributes, recording_from_events
from dvs.files.format import Format
from dvs.files.hdf5 import filters_of, new_hdf5, opened, root_attributes, safe
from dvs.files.hdf5_chunks import BROKEN, MAX_MS, EventRows, event_records, in_order, pieces
from dvs.files.spool import Spool

if TYPE_CHECKING:
    import h5py

CHUNK = 16_384  # events, and entries of the index
PERIOD_US = 2000  # of the index
ECF = 0x8ECF
ENTRY = np.dtype([("id", "<u8"), ("ts", "<i8")])
TRIGGER = np.dtype({"names": ["p", "t", "id"], "formats": ["<i2", "<i8", "<i2"], "offsets": [0, 8, 16], "itemsize": 24})


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events behind ECF, and their index."""
    import h5py

    from dvs.files import ecf

    first_us, last_us = map(int, spool.ends["t"]) if len(spool) else (0, 0)
    if (last_us - first_us) // 1000 >= MAX_MS:
        raise FormatError(
            f"the events span {(last_us - first_us) / 86_400e6:.1f} days; Metavision's index is kept below 12: "
            "write .npz or .aedat4, or correct the times"
        )
    # Texts of ASCII: HDF5 converts none of another kind, and Metavision reads all attributes as texts.
    text = h5py.string_dtype("ascii")
    texts = {"version": "1.0", "geometry": f"{attributes['width']}x{attributes['height']}", **attributes}
    growing = {"maxshape": (None,), "chunks": (CHUNK,)}
    packed = {"compression": ecf.FILTER, "allow_unknown_filter": True}

    def encoded(events: EventArray) -> tuple[NDArray[np.int64], NDArray[np.int64], list[bytes]]:
        """Times after the first event, the periods they lie in, and the chunks."""
        t = events["t"] - first_us
        return t, t // PERIOD_US, [ecf.encode(events[at : at + CHUNK]) for at in range(0, events.size, CHUNK)]

    with new_hdf5(path) as (file, disk):
        for name, value in texts.items():
            file.attrs.create(name, str(value), dtype=text)
        events = file.create_dataset("CD/events", len(spool), ecf.RECORD, **growing, **packed)
        entries = (last_us - first_us) // PERIOD_US + 2 if len(spool) else 0
        index = file.create_dataset("CD/indexes", entries, ENTRY, **growing)
        file.create_dataset("EXT_TRIGGER/events", 0, TRIGGER, **growing)
        file.create_dataset("EXT_TRIGGER/indexes", 0, ENTRY, **growing)
        if entries:
            index.attrs.create("offset", str(-first_us), dtype=text)
        count, period, last = 0, 0, np.array([(0, -1)], ENTRY)
        for t, periods, chunks in in_order(encoded, _whole_chunks(spool)):
            for number, chunk in enumerate(chunks):
                events.id.write_direct_chunk((count + number * CHUNK,), chunk)
            times, starts = _starts(t, periods, count, last)
            stop = int(times[-1]) + 1 if count + t.size < len(spool) else entries
            for piece in pieces(period, stop):
                period = int(piece[-1]) + 1
                index[int(piece[0]) : period] = starts[np.searchsorted(times, piece) - 1]
            count += t.size
            last = starts[-1:]
            disk.check()


def _starts(
    t: NDArray[np.int64], periods: NDArray[np.int64], count: int, last: NDArray[np.void]
) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    """The periods that have events, and the entry of each: the `last` one known, then those that begin with these."""
    periods = np.concatenate([last["ts"] // PERIOD_US, periods])
    first = np.flatnonzero(np.diff(periods))
    entries = np.empty(first.size, ENTRY)
    entries["id"], entries["ts"] = count + first, t[first]
    return np.concatenate([periods[:1], periods[first + 1]]), np.concatenate([last, entries])


def _whole_chunks(spool: Spool) -> Iterator[EventArray]:
    """The events in whole multiples of `CHUNK`, the last of them fewer."""
    rest = empty_events()
    for block in spool:
        events = join_events([rest, block])
        whole = events.size // CHUNK * CHUNK
        if whole:
            yield events[:whole]
        rest = events[whole:]
    if rest.size:
        yield rest


def read(path: Path) -> Recording:
    """A recording; the sensor is that of "geometry", or ends at the outermost event."""
    with opened(path) as file:
        return recording_from_events(_events(file).events(), attributes(path))


def attributes(path: Path) -> dict[str, Any]:
    """Ours, or the sensor size that Metavision writes."""
    known = root_attributes(path)
    with opened(path) as file:
        size = re.fullmatch(r"(\d+)x(\d+)", str(file.attrs.get("geometry", "")))
    return known if size is None else {"width": size[1], "height": size[2]} | known


def blocks(path: Path) -> Iterator[EventArray]:
    """The events as the file holds them."""
    with opened(path) as file:
        yield from _events(file).blocks()


def between(path: Path, start_us: int, stop_us: int) -> EventArray:
    """The events of [start_us, stop_us), found through the index."""
    with opened(path) as file:

        def guess(us: int) -> int | None:
            try:
                index = safe(file["CD/indexes"])
                period = (us + int(str(index.attrs["offset"]))) // PERIOD_US + 1
                return operator.index(index[min(max(period, 0), len(index) - 1)]["id"])
            except (*BROKEN, AttributeError):  # there is no such index, or it is damaged
                return None

        return _events(file).between(start_us, stop_us, guess)


def _events(file: "h5py.File") -> EventRows:
    dataset = file["CD/events"]
    if filters_of(dataset) != [ECF]:
        return event_records(dataset)
    from dvs.files import ecf

    return event_records(dataset, ecf.decode)


def recognises(path: Path) -> bool:
    """Whether the file has the records /CD/events."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with opened(path) as file:
        fields = getattr(getattr(file.get("CD/events"), "dtype", None), "names", None)
        return fields is not None and {"x", "y", "t", "p"} <= set(fields)


FORMAT = Format(
    name="metavision",
    suffixes=(".metavision.h5", ".metavision.hdf5"),
    recognises=recognises,
    write=write,
    read=read,
    attributes=attributes,
    blocks=blocks,
    between=between,
    largest=(2048, 2048),
)
