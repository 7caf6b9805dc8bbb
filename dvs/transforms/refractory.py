"""A dead time after each event."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import check_fields, extent, pixels, taken, times
from dvs.transforms.memory import last_times, no_pixels
from dvs.transforms.streamed import Streamed


@dataclass(frozen=True)
class RefractoryPeriod(Streamed):
    """An event is kept if more than `delta` has passed since the last *kept* event of its pixel.

    That is a dead time as a pixel or a counter has it: what happens within it is lost and does not prolong it
    (Muller 1973: non-paralyzable). So a pixel that fires every 6 us under a delta of 10 us is heard every 12 us.
    In tonic a dropped event restarts the clock, and that pixel falls silent; and an event at t = 0 is lost. With
    no event inside the dead time of one that was dropped, both keep the same. Polarity plays no role. delta is in the
    unit of the times; there is no random delta here.
    """

    delta: float

    def __post_init__(self) -> None:
        if isinstance(self.delta, tuple | list) or not self.delta >= 0:
            raise ParameterError(f"delta is {self.delta!r}, expected a time of 0 or more")

    def start(self) -> NDArray:
        """When the last kept event of each pixel was, (H, W)."""
        return no_pixels(np.int64)

    def advance(self, state: NDArray, events: EventArray) -> tuple[EventArray, NDArray]:
        """Those of the next events that are kept."""
        check_fields(events, "xyt")
        t = times(events)
        last = last_times(state, *extent(events), t)
        keep = _awake(last.reshape(-1), pixels(events, last.shape[::-1]), t, float(self.delta))
        return taken(events, keep), last


@njit(cache=True, nogil=True)
def _awake(last: NDArray, pixel: NDArray, t: NDArray, delta: float) -> NDArray:
    keep = np.empty(t.size, np.bool_)
    for i in range(t.size):
        keep[i] = t[i] - last[pixel[i]] > delta
        if keep[i]:
            last[pixel[i]] = t[i]
    return keep
