"""What watches a conversion while it goes: counts, a warning, and what the report will show."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs import statistics
from dvs.emulator import Batch
from dvs.errors import InputError
from dvs.events import Recording
from dvs.files.recording_file import RecordingFile
from dvs.frames import Frames, TimedFrames
from dvs.interpolation import largest_motion
from dvs.luminance import Encoding
from dvs.rendering import Picture, screen_codes
from dvs.report import write_report
from dvs.sensors import Sensor

_LONGEST_INTERVAL_S = 100
_STILL_US = 33_000  # of the film; the exposure of the report's picture of events
_LARGE_MOTION_PX = 2.0
_OFTEN = 0.1
_MANY_LOST = 0.01


class Gate:
    """Frames on their way to the sensor: counted, and ended when asked.

    `passed` counts them, `first` holds the first with its time, `was_cut` says whether the end came by
    `stopped`. A forgiving gate takes a source that fails for one that ends, and keeps its `complaint`.
    Frames so far apart that noise alone would fill the memory are an `InputError`.
    """

    def __init__(self, frames: Frames, stopped: Callable[[], bool], *, forgiving: bool = False) -> None:
        self.frames = replace(frames, read=self._read)
        self.passed = 0
        self.first: list[tuple[float, NDArray]] = []
        self.was_cut = False
        self.complaint: str | None = None
        self._source = frames
        self._stopped = stopped
        self._forgiving = forgiving

    def _read(self) -> TimedFrames:
        before_us = math.inf
        try:
            for t_us, frame in self._source.read():
                if self._stopped():
                    self.was_cut = True
                    return
                if t_us - before_us > _LONGEST_INTERVAL_S * 1e6:
                    raise InputError(
                        f"{self._source.name} has frames {(t_us - before_us) * 1e-6:g} s apart, expected at "
                        f"most {_LONGEST_INTERVAL_S}; give the rate of the frames (fps)"
                    )
                if not self.passed:
                    self.first = [(t_us, frame)]
                self.passed += 1
                before_us = t_us
                yield t_us, frame
        except InputError as error:
            # Ctrl-C ends the program at the other end of a pipe as well.
            self.was_cut = self._stopped()
            if self._forgiving and self.passed > 1:
                self.complaint = f"{error}; the files hold what came before"
            elif not self.was_cut:
                raise


class Tally:
    """Counts of events, and the time up to which they are known."""

    def __init__(self) -> None:
        self.events = self.on_events = self.dropped = self.stop_us = 0

    def look(self, batch: Batch) -> None:
        """Count the events of a batch."""
        self.events += batch.events.size
        self.on_events += int(np.count_nonzero(batch.events["p"]))
        self.dropped = batch.dropped
        self.stop_us = math.ceil(batch.until_us)

    @property
    def complaint(self) -> str | None:
        """What is wrong if the bus loses many events."""
        lost = self.dropped / max(self.events + self.dropped, 1)
        if lost <= _MANY_LOST:
            return None
        return f"the bus of the sensor lost {100 * lost:.2g} % of the events: there were more than it carries"


class MotionWatch:
    """Looks now and then at how far things move from one frame to the next."""

    def __init__(self, encoding: Encoding, every: int = 50) -> None:
        # A look takes as long as several frames of the emulator.
        self._every = every
        self._encoding = encoding
        self._seen_px: list[float] = []
        self._next = 0
        self._before: list[NDArray] = []

    def look(self, batch: Batch) -> None:
        """Measure one pair of frames of the batch, if it is time."""
        pair = [*self._before, *batch.pictures[:2]][-2:]
        if len(pair) == 2 and batch.frames >= self._next:
            self._seen_px.append(largest_motion(*pair, self._encoding))
            self._next = batch.frames + self._every
        # A copy, so that it does not hold all the frames of the batch.
        self._before = [picture.copy() for picture in batch.pictures[-1:]]

    @property
    def complaint(self) -> str | None:
        """What is wrong if things often move far."""
        often = np.mean([px > _LARGE_MOTION_PX for px in self._seen_px] or [False])
        if often <= _OFTEN:
            return None
        return (
            f"things move by up to {max(self._seen_px):.0f} pixels from frame to frame: edges fade from here "
            "to there instead of passing; --interpolate flow makes the missing frames"
        )


class ReportNotes:
    """Statistics of all events, and a moment to show: a frame, and the events in front of it.

    Not the busiest moment, which is often a cut, but the one that comes nearest to an event in every
    tenth pixel.
    """

    def __init__(self, frames: Frames, slow_motion: float) -> None:
        self._statistics = statistics.begin(frames.width, frames.height)
        self._encoding = frames.encoding
        self._exposure_us = _STILL_US / slow_motion
        self._wanted = max(frames.width * frames.height / 10, 1.0)
        self._misfit = math.inf
        self._stills: dict[str, Picture | Recording] = {}

    def look(self, batch: Batch) -> None:
        """Take note of a batch."""
        self._statistics = statistics.advance(self._statistics, batch.events, math.ceil(batch.until_us))
        if batch.times_us.size == 0:
            return
        last = np.searchsorted(batch.events["t"], batch.times_us)
        first = np.searchsorted(batch.events["t"], batch.times_us - self._exposure_us)
        misfits = np.abs(np.log((last - first + 1) / self._wanted))
        best = int(np.argmin(misfits))
        if misfits[best] < self._misfit:
            self._misfit = misfits[best]
            picture, t_us = batch.pictures[best], batch.times_us[best]
            before = Recording(
                events=batch.events[first[best] : last[best]].copy(),
                width=picture.shape[1],
                height=picture.shape[0],
                start_us=math.floor(t_us - self._exposure_us),
                stop_us=math.ceil(t_us),
            )
            self._stills = {
                f"The frame at {t_us * 1e-6:.3f} s": screen_codes(picture, self._encoding),
                f"Events of the {self._exposure_us * 1e-3:g} ms before: ON blue, OFF orange": before,
            }

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        source: str,
        sensor: Sensor,
        provenance: Mapping[str, Any],
        player: Recording | RecordingFile | None,
        warnings: Sequence[str],
        overwrite: bool,
    ) -> None:
        """Write the report; raises `OutputError`."""
        write_report(
            self._statistics,
            path,
            title=f"Events of {Path(source).name}",
            sensor=sensor,
            provenance=provenance,
            pictures=self._stills,
            player=player,
            warnings=warnings,
            overwrite=overwrite,
        )
