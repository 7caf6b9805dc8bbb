"""A recording that stays in its file: events are read block by block, as they are needed."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvs.errors import InputError
from dvs.events import EventArray, Recording, check_events
from dvs.files.input import one_line, read
from dvs.files.table import format_to_read


@dataclass(frozen=True, kw_only=True)
class RecordingFile:
    """What a `Recording` says, its events left in the file; `blocks()` reads them in order, with flat memory."""

    path: Path
    width: int
    height: int
    start_us: int
    stop_us: int
    provenance: Mapping[str, Any] = field(default_factory=dict)
    read_blocks: Callable[[Path], Iterator[EventArray]]

    @property
    def duration_s(self) -> float:
        """Length of the watched span in seconds."""
        return (self.stop_us - self.start_us) * 1e-6

    def blocks(self) -> Iterator[EventArray]:
        """The events, in order of time, some ten thousand at a time; each block is checked as a `Recording` is.

        Raises what `dvs.read` raises, when the block that is wrong is reached.
        """
        last_us = self.start_us
        with one_line(self.path):
            for events in self.read_blocks(self.path):
                if events.size == 0:
                    continue
                check_events(events, self.width, self.height)
                if events["t"][0] < last_us or events["t"][-1] > self.stop_us:
                    raise InputError(
                        f"events from {events['t'][0]} to {events['t'][-1]} us come after {last_us} us in a recording "
                        f"that ends at {self.stop_us} us; read it with dvs.read, which sorts, and write it again"
                    )
                last_us = int(events["t"][-1])
                yield events


def open_recording(path: str | os.PathLike[str], *, format: str | None = None) -> RecordingFile | Recording:
    """The recording in a file, its events left there where the format allows it (HDF5), read otherwise.

    An HDF5 file of others that lacks sensor size or span is read through once to find them, as `dvs.read` does.
    Raises what `dvs.read` raises.
    """
    path = Path(path)
    with one_line(path):
        chosen = format_to_read(path, format)
    if chosen.attributes is None or chosen.blocks is None:
        return read(path, format=format)
    with one_line(path):
        known = dict(chosen.attributes(path))
        if not {"width", "height", "start_us", "stop_us"} <= set(known):
            known = _inferred(chosen.blocks(path)) | known
        return RecordingFile(
            path=path,
            width=int(known["width"]),
            height=int(known["height"]),
            start_us=int(known["start_us"]),
            stop_us=int(known["stop_us"]),
            provenance=json.loads(str(known.get("provenance", "{}"))),
            read_blocks=chosen.blocks,
        )


def _inferred(blocks: Iterator[EventArray]) -> dict[str, int]:
    """Sensor up to the outermost event, span from the first event to the last."""
    ends = [
        (events["x"].max(), events["y"].max(), events["t"].min(), events["t"].max()) for events in blocks if events.size
    ]
    if not ends:
        raise InputError("no events and no sensor size; write it again with dvs.write, which keeps the size")
    x, y, first, last = zip(*ends, strict=True)
    return {"width": int(max(x)) + 1, "height": int(max(y)) + 1, "start_us": int(min(first)), "stop_us": int(max(last))}
