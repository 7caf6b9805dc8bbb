"""What the caller asks of a source, whatever its kind."""

from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from dvs.frames import check_positive
from dvs.luminance import Encoding


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which frames of a source, and what to believe instead of its own word.

    `start_s` <= t < `stop_s` on the time line of the source, whose first frame is at 0.
    """

    start_s: float = 0.0
    stop_s: float = inf
    fps: float | None = None
    timestamps: Path | None = None
    encoding: Encoding | None = None
    transfer: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.stop_s:
            raise ParameterError(f"the span is {self.start_s} to {self.stop_s} s, expected 0 <= start < stop")
        if self.fps is not None:
            check_positive("fps", self.fps)
        if self.encoding is not None and self.transfer is not None:
            raise ParameterError("both encoding and transfer are given; make transfer part of the encoding")

    # Half a microsecond of grace: the frame at 1/10 s is not lost because 0.1 is not exactly that.
    def is_before(self, t_us: float) -> bool:
        """Whether a frame at this time comes before the span."""
        return t_us < self.start_s * 1e6 - 0.5

    def is_after(self, t_us: float) -> bool:
        """Whether a frame at this time comes after the span."""
        return t_us >= self.stop_s * 1e6 - 0.5

    def slice_of(self, times_us: NDArray[np.float64], name: str) -> slice:
        """Which of the frames with these times (T,) lie in the span; InputError if fewer than two."""
        first = sum(map(self.is_before, times_us))
        last = len(times_us) - sum(map(self.is_after, times_us))
        if last - first < 2:
            raise InputError(
                f"{name} has {max(last - first, 0)} of its {len(times_us)} frames in the span "
                f"{self.start_s} to {self.stop_s} s, expected at least 2: events come from change"
            )
        return slice(first, last)

    def encoding_of(self, own: Encoding) -> Encoding:
        """What to believe of codes that would mean `own`."""
        if self.encoding is not None:
            return self.encoding
        return own if self.transfer is None else replace(own, transfer=self.transfer)
