"""Events summed in bins of time that blend into each other."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import SensorSize, are_on, check_fields, pixels, times


@dataclass(frozen=True)
class ToVoxelGrid:
    """ON minus OFF events of each pixel, shared between two bins of time: (n_time_bins, 1, H, W) float64.

    An event at s = n_time_bins (t - first) / (last - first) gives 1 - (s - k) of its sign to bin k = floor(s), and the
    rest to bin k + 1; there is no bin n_time_bins, so of events in the last one a part is lost. (Zhu et al.
    2019, eq. 1, has n_time_bins - 1 in this place, so that nothing is lost. Here it is as in tonic, because
    networks were trained on that.) Where all events are at one time they are in bin 0.

    tonic's grid is the same up to rounding for p of a signed dtype in {0, 1} and two times at least. It counts every
    event as ON where p is bool, and fails for unsigned p, for one event and for none.
    """

    sensor_size: SensorSize
    n_time_bins: int

    def __post_init__(self) -> None:
        if not self.n_time_bins >= 1:
            raise ParameterError(f"n_time_bins is {self.n_time_bins}, expected 1 or more")

    def __call__(self, events: EventArray) -> NDArray[np.float64]:
        """The grid of these events; `InputError` for events out of order or off the sensor."""
        check_fields(events)
        width, height = self.sensor_size[:2]
        grid = np.zeros((self.n_time_bins, 1, height, width))
        if events.size:
            _share(grid.reshape(self.n_time_bins, -1), pixels(events, self.sensor_size), times(events), are_on(events))
        return grid


@njit(cache=True, nogil=True)
def _share(grid: NDArray, pixel: NDArray, t: NDArray, on: NDArray) -> None:
    bins = grid.shape[0]
    span = float(t[-1] - t[0])
    scale = bins / span if span > 0 else 0.0
    for i in range(t.size):
        s = scale * float(t[i] - t[0])
        k = int(s)
        late = s - k
        sign = 2.0 * on[i] - 1.0
        if k < bins:
            grid[k, pixel[i]] += sign * (1.0 - late)
        if k + 1 < bins:
            grid[k + 1, pixel[i]] += sign * late
