"""One event in n of each pixel."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import check_fields, extent, pixels, taken
from dvs.transforms.memory import no_pixels, widened
from dvs.transforms.streamed import Streamed


@dataclass(frozen=True)
class Decimation(Streamed):
    """The n-th, 2n-th, ... event of each pixel is kept; polarity plays no role."""

    n: int

    def __post_init__(self) -> None:
        if not self.n >= 1 or self.n != int(self.n):
            raise ParameterError(f"n is {self.n!r}, expected a whole number of 1 or more")

    def start(self) -> NDArray[np.int64]:
        """How many events each pixel had since its last kept one, (H, W)."""
        return no_pixels(np.int64)

    def advance(self, state: NDArray[np.int64], events: EventArray) -> tuple[EventArray, NDArray[np.int64]]:
        """Those of the next events that complete n."""
        check_fields(events, "xy")
        count = widened(state, *extent(events), 0)
        keep = _completing(count.reshape(-1), pixels(events, count.shape[::-1]), int(self.n))
        return taken(events, keep), count


@njit(cache=True, nogil=True)
def _completing(count: NDArray, pixel: NDArray, n: int) -> NDArray:
    keep = np.empty(pixel.size, np.bool_)
    for i in range(pixel.size):
        k = pixel[i]
        count[k] += 1
        keep[i] = count[k] == n
        if keep[i]:
            count[k] = 0
    return keep
