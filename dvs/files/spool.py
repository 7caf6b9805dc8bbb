"""Events on their way to a file: appended in pieces of any size, read back in blocks of one size.

The events wait in a nameless temporary file beside the target. So memory stays flat, nothing
is left behind even by a killed process, a format knows the count, the span and the provenance
before it writes its first byte, and the file does not depend on how the events were cut.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from dvs.events import EVENT_DTYPE, EventArray, empty_events

BLOCK = 65_536  # events; large enough for vector code and good compression, 0.85 MB in memory


class Spool:
    """A queue of events on disk; `len` counts the events, iteration yields blocks of `BLOCK`."""

    def __init__(self, folder: Path) -> None:
        # Closed by __exit__. Unbuffered: a write that fails leaves nothing that is written later.
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._count = 0
        self._stopped = False
        self.ends = empty_events()  # the first and the last event, shape (2,); (0,) before any came

    def append(self, events: EventArray) -> None:
        """Append events of dtype `EVENT_DTYPE`, shape (N,), or raise `OSError` and keep none of them."""
        if events.size == 0:
            return
        self._file.seek(self._count * EVENT_DTYPE.itemsize)
        rest = memoryview(np.ascontiguousarray(events).view(np.uint8))
        while rest:
            rest = rest[self._file.write(rest) :]
        ends = np.concatenate([self.ends[:1], events[:1], events[-1:]])[[0, -1]]
        # In one step: an interrupt between the two would leave a count without its ends.
        self._count, self.ends = self._count + events.size, ends

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[EventArray]:
        self._stopped = False
        for start in range(0, self._count, BLOCK):
            if self._stopped:
                raise InterruptedError("writing was stopped")
            size = min(BLOCK, self._count - start)
            self._file.seek(start * EVENT_DTYPE.itemsize)
            yield np.frombuffer(self._file.read(size * EVENT_DTYPE.itemsize), EVENT_DTYPE)

    def stop(self) -> None:
        """End an iteration in another thread at its next block, by an exception there."""
        self._stopped = True

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
