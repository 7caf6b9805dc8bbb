"""Memory for many events, whose pages a thread prepares while others fill it.

A system hands out a page of memory, filled with zeros, when it is first written to; for ten million events that takes a
third of the time in which they are decoded. Linux does it ahead, and in any thread, where it is asked to: madvise with
MADV_POPULATE_WRITE (Linux 5.14, man 2 madvise). Elsewhere the pages come as they always do.
"""

import ctypes
import mmap
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from dvs.events import EventArray, empty_events

_POPULATE_WRITE = 23
_LARGE = 1 << 24  # bytes
_STEP = 1 << 23


@contextmanager
def prepared_events(count: int) -> Iterator[EventArray]:
    """Uninitialised events, shape (count,), to be filled from the front while the block lasts."""
    events = empty_events(count)
    if sys.platform != "linux" or events.nbytes < _LARGE:
        yield events
        return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_populate, events)
        yield events


def _populate(events: EventArray) -> None:
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    begin = events.ctypes.data
    # Whole pages inside the array; what its ends share with others is small.
    first, end = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE, (begin + events.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    for start in range(first, end, _STEP):
        if madvise(start, min(_STEP, end - start), _POPULATE_WRITE):
            return  # an older Linux
