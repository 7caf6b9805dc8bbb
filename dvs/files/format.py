"""One file format, as a record of names and functions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvs.events import EventArray, Recording
from dvs.files.attributes import Attributes
from dvs.files.spool import Spool


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one kind of file is named, recognised, written and read.

    `write(path, spool, attributes)` writes a new file; it raises `OSError` where the disk fails.
    `read(path)` may raise what its library raises: the caller turns that into one line.
    `recognises(path)` looks at the content, cheaply. A format that cannot hold every int64 time
    says which it can, so that the first event it cannot hold is refused, not the finished file.
    A format that can be read in part has `attributes(path)`, those that the file holds, and
    `blocks(path)`, the events in the order of the file.
    """

    name: str
    suffixes: tuple[str, ...]
    write: Callable[[Path, Spool, Attributes], None]
    read: Callable[[Path], Recording]
    recognises: Callable[[Path], bool]
    first_us: int = -(2**63)
    last_us: int = 2**63 - 1
    attributes: Callable[[Path], Mapping[str, Any]] | None = None
    blocks: Callable[[Path], Iterator[EventArray]] | None = None
    requires: str | None = None  # a module of the extra "formats"
