"""What the average event of a part of the sensor has around it."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import SensorSize, are_on, check_fields, pixels, times

_DECAYS = ("exp", "lin")


@dataclass(frozen=True)
class ToAveragedTimesurface:
    """Average time surface of each cell and polarity: (cells, P, surface_size, surface_size) float32.

    The sensor is cut into cells of cell_size x cell_size pixels, row by row. The surface of an event has 1 in its
    middle, and each earlier event of its cell and polarity, at most time_window ago, adds exp(-(t - t_j) / tau) at
    its offset, or 1 - (t - t_j) / (3 tau) with decay = "lin" (Sironi et al. 2018, HATS). surface_size is odd. Cells
    without events have zeros.

    tonic's are the same up to rounding, but for times above 2**24 (16 s in us), which it rounds to single precision.
    """

    sensor_size: SensorSize
    surface_size: int = 5
    cell_size: int = 10
    time_window: float = 1e3
    tau: float = 100
    decay: str = "exp"

    def __post_init__(self) -> None:
        if not (1 <= self.surface_size <= self.cell_size and self.surface_size % 2 == 1):
            raise ParameterError(
                f"surface_size is {self.surface_size}, expected an odd number up to cell_size {self.cell_size}"
            )
        if not (self.tau > 0 and self.time_window >= 0):
            raise ParameterError(f"tau is {self.tau} and time_window {self.time_window}, expected times above 0")
        if self.decay not in _DECAYS:
            raise ParameterError(f"decay is {self.decay!r}, expected one of {', '.join(_DECAYS)}")

    def __call__(self, events: EventArray) -> NDArray[np.float32]:
        """The surfaces of these events; `InputError` for events out of order or off the sensor."""
        check_fields(events)
        width, height, polarities = self.sensor_size
        across, down = -(-width // self.cell_size), -(-height // self.cell_size)
        y, x = np.divmod(pixels(events, self.sensor_size), width)
        group = (y // self.cell_size * across + x // self.cell_size) * polarities
        if polarities > 1:
            group += are_on(events)
        order = np.argsort(group, kind="stable")
        surfaces = np.zeros((across * down * polarities, self.surface_size, self.surface_size))
        columns = (column[order] for column in (group, x, y, times(events)))
        _add_up(surfaces, *columns, float(self.time_window), float(self.tau), self.decay == "lin")
        counts = np.bincount(group, minlength=len(surfaces))
        surfaces /= np.maximum(counts, 1)[:, None, None]
        return surfaces.reshape(-1, polarities, *surfaces.shape[1:]).astype(np.float32)


@njit(cache=True, nogil=True)
def _add_up(
    surfaces: NDArray,
    group: NDArray,
    x: NDArray,
    y: NDArray,
    t: NDArray,
    time_window: float,
    tau: float,
    linear: bool,
) -> None:
    """Add the surface of each event to that of its group; the events of a group are next to each other."""
    reach = surfaces.shape[1] // 2
    for i in range(t.size):
        surface = surfaces[group[i]]
        surface[reach, reach] += 1
        for j in range(i - 1, -1, -1):
            ago = float(t[i] - t[j])
            if group[j] != group[i] or ago > time_window:
                break
            dx, dy = x[j] - x[i], y[j] - y[i]
            if abs(dx) <= reach and abs(dy) <= reach:
                surface[reach + dy, reach + dx] += 1 - ago / (3 * tau) if linear else np.exp(-ago / tau)
