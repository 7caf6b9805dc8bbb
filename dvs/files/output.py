"""Writing events to a file that appears whole or not at all.

Nothing carries the name of the target until it is complete; then it is renamed in one step.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dvs.errors import InputError, OutputError, ParameterError
from dvs.events import EVENT_DTYPE, EventArray, Recording, check_events
from dvs.files.attributes import pack_attributes
from dvs.files.format import Format
from dvs.files.recording_file import RecordingFile
from dvs.files.spool import Spool
from dvs.files.table import format_to_write
from dvs.new_file import appearing, clear_errors, refuse_existing


def write(
    path: str | os.PathLike[str],
    events: Recording | RecordingFile | EventArray,
    *,
    width: int | None = None,
    height: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a recording in the format that the suffix, or `format`, names; one in a file block by block.

    width, height: of the sensor, for bare events. Raises `FormatError` for an unknown suffix, `InputError` for events
    that the format cannot hold, `OutputError` where the file exists or cannot be written, `ParameterError` for bare
    events without a sensor, and `MissingExtraError`.
    """
    if isinstance(path, Recording | RecordingFile | np.ndarray):
        raise ParameterError("events came first; write dvs.write(path, events)")
    if not isinstance(events, Recording | RecordingFile):
        if width is None or height is None:
            raise ParameterError(
                f"{np.size(events):,} events came without a sensor; give width= and height=, or a Recording"
            )
        events = Recording(events=events, width=width, height=height)
    elif (width, height) != (None, None):
        raise ParameterError("a recording has the size of its sensor; leave out width= and height=")
    with open_writer(path, events.width, events.height, format=format, overwrite=overwrite) as writer:
        for block in events.blocks():
            writer.append(block)
        writer.finish(events.start_us, events.stop_us, events.provenance)


@contextmanager
def open_writer(
    path: str | os.PathLike[str],
    width: int,
    height: int,
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> Iterator["Writer"]:
    """A `Writer` for events that come in pieces; the file appears when it is finished.

    Leaving the block finishes what `finish` has not; leaving it by an exception discards what
    was appended, unless `finish` came first.

    Raises what `write` raises; an existing file is refused before any work.
    """
    target = Path(path)
    chosen = format_to_write(target, format)
    for name, size, largest in zip(("width", "height"), (width, height), chosen.largest, strict=True):
        if not 0 < size <= largest:
            raise ParameterError(
                f"{target}: {name} is {size}, expected 1 to {largest} pixels in {chosen.name}; write .h5 or .npz, crop "
                "(--crop), or make it smaller (--size, --downsample)"
            )
    refuse_existing(target, overwrite)
    with clear_errors(target):
        spool = Spool(target.parent)
    with spool:
        writer = Writer(target, chosen, spool, width, height, overwrite)
        yield writer
        if not writer.finished:
            writer.finish()


class Writer:
    """Takes events in pieces of any size, in order; made by `open_writer`. Memory stays flat."""

    def __init__(self, target: Path, format: Format, spool: Spool, width: int, height: int, overwrite: bool) -> None:
        self.finished = False
        self._target = target
        self._format = format
        self._spool = spool
        self._width = width
        self._height = height
        self._overwrite = overwrite

    def append(self, events: EventArray) -> None:
        """Append events of dtype `EVENT_DTYPE`, shape (N,), none earlier than those before.

        Raises `InputError` for events that break the contract or that the format cannot hold;
        nothing of them is kept then.
        """
        if self.finished:
            raise OutputError(f"{self._target} is finished; open another file for more events")
        if events.dtype != EVENT_DTYPE:
            raise InputError(
                f"events have dtype {events.dtype}, expected {EVENT_DTYPE}; "
                "build them with dvs.make_events(x, y, t_us, p)"
            )
        check_events(events, self._width, self._height)
        if events.size == 0:
            return
        first_us, last_us = int(events["t"][0]), int(events["t"][-1])
        if len(self._spool) and first_us < self._spool.ends["t"][-1]:
            raise InputError(
                f"events begin at {first_us} us, before the last one appended "
                f"({self._spool.ends['t'][-1]} us); append them in order of time"
            )
        for t_us in (first_us, last_us):
            if not self._format.first_us <= t_us <= self._format.last_us:
                raise InputError(
                    f"{self._target}: an event is at {t_us} us; {self._format.name} holds {self._format.first_us} to "
                    f"{self._format.last_us} us: write .h5 or .npz, or let the times begin at 0 (--rebase)"
                )
        with clear_errors(self._target):
            self._spool.append(events)

    def finish(
        self, start_us: int = 0, stop_us: int | None = None, provenance: Mapping[str, Any] | None = None
    ) -> None:
        """Write the file and give it its name.

        `start_us` and `stop_us` bound the time that was watched; without `stop_us` it ends with
        the last event. `provenance` is kept as JSON; what JSON lacks is kept as text.
        """
        if self.finished:
            raise OutputError(f"{self._target} is finished already")
        watched = Recording(
            events=self._spool.ends,
            width=self._width,
            height=self._height,
            start_us=start_us,
            stop_us=stop_us,
            provenance=provenance or {},
        )
        with appearing(self._target, self._overwrite) as temporary, clear_errors(self._target):
            self._write(temporary, watched)
        self.finished = True

    def _write(self, temporary: Path, watched: Recording) -> None:
        """Write in a thread of its own: interrupts reach the main thread only.

        One that hit a library in the middle of a write would crash the process (HDF5 does).
        """
        with ThreadPoolExecutor(max_workers=1) as thread:
            try:
                attributes = pack_attributes(watched)
                thread.submit(self._format.write, temporary, self._spool, attributes).result()
            except BaseException:
                self._spool.stop()
                raise
