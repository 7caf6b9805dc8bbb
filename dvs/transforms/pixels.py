"""Pixels that are better not heard."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import check_fields, extent, pixels, taken
from dvs.transforms.memory import widened
from dvs.transforms.streamed import Streamed


@dataclass(frozen=True, eq=False)
class DropPixel(Streamed):
    """All events of some pixels are dropped.

    coordinates: the pixels (x, y), shape (n, 2); or a map, bool (H, W), such as `dvs.statistics.hot_pixels` gives.
    hot_pixel_frequency: instead, pixels that fire more often than this many times a second of the time from
    the first event to the last (of times in microseconds) are dropped: a bound for the whole sensor, which takes a
    busy edge for hot; a stream needs `coordinates`, since which pixels are hot is known at its end.
    """

    coordinates: Sequence[tuple[int, int]] | NDArray | None = None
    hot_pixel_frequency: float | None = None

    def __post_init__(self) -> None:
        if (self.coordinates is None) == (self.hot_pixel_frequency is None):
            raise ParameterError("give either coordinates or hot_pixel_frequency")
        if self.hot_pixel_frequency is not None and not self.hot_pixel_frequency > 0:
            raise ParameterError(f"hot_pixel_frequency is {self.hot_pixel_frequency!r}, expected Hertz above 0")

    def __call__(self, events: EventArray) -> EventArray:
        """The events of the other pixels."""
        if self.hot_pixel_frequency is None:
            return super().__call__(events)
        hot = busy_pixels(events, self.hot_pixel_frequency)
        return DropPixel(coordinates=hot)(events)

    def start(self) -> NDArray[np.bool_]:
        """Which pixels are dropped, (H, W)."""
        if self.coordinates is None:
            raise ParameterError("which pixels are hot is known at the end of a stream; give their coordinates")
        given = np.asarray(self.coordinates)
        if given.dtype == bool and given.ndim == 2:
            return given
        given = given.reshape(-1, 2) if given.size == 0 else given
        if given.ndim != 2 or given.shape[1] != 2 or (given.size and (given.dtype.kind not in "iu" or given.min() < 0)):
            raise ParameterError(f"coordinates have shape {given.shape}, expected pairs (x, y) or a bool map (H, W)")
        dropped = np.zeros(given.max(axis=0, initial=-1)[::-1] + 1, bool)
        dropped[given[:, 1], given[:, 0]] = True
        return dropped

    def advance(self, state: NDArray[np.bool_], events: EventArray) -> tuple[EventArray, NDArray[np.bool_]]:
        """The next events of the other pixels."""
        check_fields(events, "xy")
        dropped = widened(state, *extent(events), False)
        return taken(events, ~dropped.reshape(-1)[pixels(events, dropped.shape[::-1])]), dropped


def busy_pixels(events: EventArray, frequency_hz: float) -> NDArray[np.bool_]:
    """Pixels with more events than frequency_hz times the span of the events in us, bool (H, W)."""
    check_fields(events, "xyt")
    if events.size == 0:
        return np.zeros((0, 0), bool)
    width, height = extent(events)
    count = np.bincount(pixels(events, (width, height, 2)), minlength=width * height).reshape(height, width)
    return count > frequency_hz * (float(events["t"][-1]) - float(events["t"][0])) * 1e-6
