"""One file format, as a record of names and functions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dvs.events import EventArray, Recording
from dvs.files.attributes import Attributes
from dvs.files.spool import Spool

Loss = Literal["size", "span", "provenance", "polarity"]
"""What a file may lack: sensor size, watched span, where the events come from, ON and OFF."""

_LOST = {
    "size": "the sensor size",
    "span": "the watched span",
    "provenance": "where the events come from",
    "polarity": "ON and OFF",
}


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one kind of file is named, recognised, written and read.

    `recognises(path)` looks at the content, cheaply. `attributes(path)` are those that the file holds, and
    `blocks(path)` the events in the order of the file, with memory that does not grow with it; where the file is
    damaged, what is certainly good comes first, then a `FormatError` that says where. `read(path)`, if a format has
    its own, may raise what its library raises: the caller turns that into one line. `between(path, start_us, stop_us)`
    finds the events of a span without reading all, where a file has an index.

    `write(path, spool, attributes)` writes a new file; it raises `OSError` where the disk fails; None for what is
    only read. A format that cannot hold every int64 time, or every sensor, says which it can, so that the first event
    it cannot hold is refused, not the finished file. loses: what does not come back from it.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path], bool]
    write: Callable[[Path, Spool, Attributes], None] | None = None
    read: Callable[[Path], Recording] | None = None
    attributes: Callable[[Path], Mapping[str, Any]] | None = None
    blocks: Callable[[Path], Iterator[EventArray]] | None = None
    between: Callable[[Path, int, int], EventArray] | None = None
    first_us: int = -(2**63)
    last_us: int = 2**63 - 1
    largest: tuple[int, int] = (2**15 - 1, 2**15 - 1)  # width and height
    loses: tuple[Loss, ...] = ()
    folder: bool = False  # of files
    signed: bool = True  # whether `recognises` finds a mark that no file of another kind has
    requires: str | None = None  # a module of the extra "formats"

    @property
    def lost(self) -> str:
        """What it loses, in words; "" for nothing."""
        return ", ".join(_LOST[each] for each in self.loses)
