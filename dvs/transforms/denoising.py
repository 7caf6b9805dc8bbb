"""Events that nothing around them confirms are taken for noise."""

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
class Denoise(Streamed):
    """An event is kept if one of its four neighbours fired less than `filter_time` before it.

    The neighbours share a side with its pixel; events of both polarities confirm, those that are dropped too, and at
    equal times the one that comes first in the array (background activity filter, Delbruck 2008, there with eight
    neighbours). filter_time is in the unit of the times. tonic keeps the same, but for the time from 0 to
    filter_time, in which it takes pixels that have never fired for neighbours that just did.
    """

    filter_time: float

    def __post_init__(self) -> None:
        if not self.filter_time >= 0:
            raise ParameterError(f"filter_time is {self.filter_time!r}, expected a time of 0 or more")

    def start(self) -> NDArray:
        """When the last event of each pixel was, (H + 2, W + 2): with a rim of pixels that never fire."""
        return no_pixels(np.int64)

    def advance(self, state: NDArray, events: EventArray) -> tuple[EventArray, NDArray]:
        """Those of the next events that are confirmed."""
        check_fields(events, "xyt")
        t = times(events)
        width, height = extent(events)
        last = last_times(state, width + 2, height + 2, t)
        rim = last.shape[1] + 1
        pixel = pixels(events, last.shape[::-1])
        pixel += rim
        keep = _confirmed(last.reshape(-1), last.shape[1], pixel, t, float(self.filter_time))
        return taken(events, keep), last


@njit(cache=True, nogil=True)
def _confirmed(last: NDArray, width: int, pixel: NDArray, t: NDArray, filter_time: float) -> NDArray:
    keep = np.empty(t.size, np.bool_)
    for i in range(t.size):
        k, now = pixel[i], t[i]
        last[k] = now
        latest = max(max(last[k - 1], last[k + 1]), max(last[k - width], last[k + width]))
        keep[i] = now - latest < filter_time
    return keep
