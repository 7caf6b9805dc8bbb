"""Parts of the sensor."""

from dataclasses import dataclass

import numpy as np

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import SensorSize, check_fields, put, taken
from dvs.transforms.streamed import Streamed


@dataclass(frozen=True)
class Crop(Streamed):
    """The events of a box of width x height pixels whose first pixel is (left, top), which becomes (0, 0)."""

    left: int
    top: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1:
            raise ParameterError(f"the box is {self.width}x{self.height}, expected at least one pixel")

    def advance(self, state: None, events: EventArray) -> tuple[EventArray, None]:
        """The next events that lie in the box."""
        check_fields(events, "xy")
        x, y = events["x"], events["y"]
        right, bottom = self.left + self.width, self.top + self.height
        inside = taken(events, (self.left <= x) & (x < right) & (self.top <= y) & (y < bottom))
        return put(inside, x=inside["x"].astype(np.int64) - self.left, y=inside["y"].astype(np.int64) - self.top), state


@dataclass(frozen=True)
class CenterCrop(Streamed):
    """The events of the middle of the sensor; size is (W', H'), or one number for a square.

    A size larger than the sensor shifts the events into the middle of it.
    """

    sensor_size: SensorSize
    size: int | tuple[int, int]

    def advance(self, state: None, events: EventArray) -> tuple[EventArray, None]:
        """The next events that lie in the middle."""
        width, height = (int(size) for size in np.broadcast_to(self.size, 2))
        left, top = (self.sensor_size[0] - width) // 2, (self.sensor_size[1] - height) // 2
        return Crop(left, top, width, height).advance(state, events)
