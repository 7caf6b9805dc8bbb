"""A recording that stays in its file: events are read block by block, as they are needed."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dvs.errors import InputError
from dvs.events import EventArray, Recording, Sliceable, check_events, join_events
from dvs.files.attributes import LIMITS, stated
from dvs.files.format import Format
from dvs.files.input import OnError, check_on_error, kept, one_line, read
from dvs.files.table import format_to_read


@dataclass(frozen=True, kw_only=True)
class RecordingFile(Sliceable):
    """What a `Recording` says, its events left in the file; `blocks()` reads them in order, with flat memory.

    `recording[t0:t1]` reads a span, `by_time` and `by_count` go through all of it part by part; len() counts the
    events, which reads the file once.
    """

    path: Path
    width: int
    height: int
    start_us: int
    stop_us: int
    provenance: Mapping[str, Any] = field(default_factory=dict)
    format: Format
    on_error: OnError = "raise"

    @property
    def duration_s(self) -> float:
        """Length of the watched span in seconds."""
        return (self.stop_us - self.start_us) * 1e-6

    @property
    def sensor_size(self) -> tuple[int, int, int]:
        """(width, height, polarities): what tonic calls `sensor_size`."""
        return self.width, self.height, 2

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _count(self) -> int:
        return sum(block.size for block in self.blocks())

    def blocks(self) -> Iterator[EventArray]:
        """The events, in order of time, some ten thousand at a time; each block is checked as a `Recording` is.

        Raises what `dvs.read` raises, when the block that is wrong is reached.
        """
        last_us = self.start_us
        with one_line(self.path):
            for events in kept(self.format.blocks(self.path), self.on_error):
                if events.size == 0:
                    continue
                t_us = events["t"]
                if t_us[0] < last_us or t_us[-1] > self.stop_us or (t_us[1:] < t_us[:-1]).any():
                    raise InputError(
                        f"events from {t_us[0]} to {t_us[-1]} us are out of order, after {last_us} us, in a recording "
                        f"that ends at {self.stop_us} us; read it with dvs.read, which sorts, and write it again"
                    )
                check_events(events, self.width, self.height)
                last_us = int(t_us[-1])
                yield events

    def between(self, start_us: int, stop_us: int) -> Recording:
        """The part watched in [start_us, stop_us), read without the rest where the file has an index."""
        if stop_us < start_us:
            raise InputError(f"the span ends at {stop_us} us, before it starts at {start_us} us")
        if self.format.between is not None:
            with one_line(self.path):
                return self._part(self.format.between(self.path, start_us, stop_us), start_us, stop_us)
        found = []
        for events in self.blocks():
            if events["t"][0] >= stop_us:
                break
            first, last = np.searchsorted(events["t"], [start_us, stop_us])
            found.append(events[first:last])
        return self._part(join_events(found), start_us, stop_us)

    def _part(self, events: EventArray, start_us: int, stop_us: int) -> Recording:
        return Recording(
            events=events, width=self.width, height=self.height, start_us=start_us, stop_us=stop_us,
            provenance=self.provenance,
        )  # fmt: skip


def open(
    path: str | os.PathLike[str], *, format: str | None = None, on_error: OnError = "raise"
) -> RecordingFile | Recording:
    """The recording in a file, its events left there where the format allows it, read otherwise.

    A file that lacks sensor size or span is read through once to find them, as `dvs.read` does. on_error: "keep" takes
    what is good in front of a place that is damaged, and warns. Raises what `dvs.read` raises.
    """
    path = Path(path)
    check_on_error(on_error)
    with one_line(path):
        chosen = format_to_read(path, format)
    if chosen.attributes is None or chosen.blocks is None:
        return read(path, format=format, on_error=on_error)
    with one_line(path):
        known = dict(chosen.attributes(path))
        if not LIMITS.keys() <= known.keys():
            known = _inferred(kept(chosen.blocks(path), on_error)) | known
        if not LIMITS.keys() <= known.keys():
            raise InputError("no events and no sensor size; write it again with dvs.write, which keeps the size")
        return RecordingFile(path=path, format=chosen, on_error=on_error, **stated(known))


def _inferred(blocks: Iterator[EventArray]) -> dict[str, int]:
    """Sensor up to the outermost event, span from the first event to the last."""
    ends = [
        (events["x"].max(), events["y"].max(), events["t"].min(), events["t"].max()) for events in blocks if events.size
    ]
    if not ends:
        return {"start_us": 0, "stop_us": 0}
    x, y, first, last = zip(*ends, strict=True)
    return {"width": int(max(x)) + 1, "height": int(max(y)) + 1, "start_us": int(min(first)), "stop_us": int(max(last))}
