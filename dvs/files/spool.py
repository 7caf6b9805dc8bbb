"""Events on their way to a file: appended in pieces of any size, read back in blocks of one size.

The events wait in a nameless temporary file beside the target. So memory stays flat, nothing
is left behind even by a killed process, a format knows the count, the span and the provenance
before it writes its first byte, and the file does not depend on how the events were cut.
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np

from dvs.events import EVENT_DTYPE, EventArray, empty_events

BLOCK = 65_536  # events; large enough for vector code and good compression, 0.85 MB in memory


class Spool:
    """A queue of events on disk; `len` counts the events, iteration yields blocks of `BLOCK`."""

    def __init__(self, folder: Path) -> None:
        # Closed by __exit__: the spool is a context manager itself.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._count = 0
        self.ends = empty_events()  # the first and the last event, shape (2,); (0,) before any came

    def append(self, events: EventArray) -> None:
        """Append events of dtype `EVENT_DTYPE`, shape (N,)."""
        if events.size == 0:
            return
        self._file.seek(self._count * EVENT_DTYPE.itemsize)
        self._file.write(np.ascontiguousarray(events).view(np.uint8))
        self._file.flush()
        self._count += events.size
        self.ends = np.concatenate([self.ends[:1], events[:1], events[-1:]])[[0, -1]]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[EventArray]:
        size = BLOCK * EVENT_DTYPE.itemsize
        for start in range(0, self._count * EVENT_DTYPE.itemsize, size):
            self._file.seek(start)
            yield np.frombuffer(self._file.read(size), EVENT_DTYPE)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What a full disk did not take is of no interest any more.
        with suppress(OSError):
            self._file.close()
