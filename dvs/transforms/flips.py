"""Mirror images."""

from dataclasses import dataclass

import numpy as np

from dvs.events import EventArray
from dvs.transforms.columns import SensorSize, check_fields, pixels, with_columns
from dvs.transforms.streamed import Streamed


@dataclass(frozen=True)
class FlipLR(Streamed):
    """Left becomes right: x' = W - 1 - x. sensor_size is (W, H, P)."""

    sensor_size: SensorSize

    def advance(self, state: None, events: EventArray) -> tuple[EventArray, None]:
        """The next events, mirrored."""
        return _mirrored(events, self.sensor_size, "x", self.sensor_size[0]), state


@dataclass(frozen=True)
class FlipUD(Streamed):
    """Up becomes down: y' = H - 1 - y. sensor_size is (W, H, P)."""

    sensor_size: SensorSize

    def advance(self, state: None, events: EventArray) -> tuple[EventArray, None]:
        """The next events, mirrored."""
        return _mirrored(events, self.sensor_size, "y", self.sensor_size[1]), state


def _mirrored(events: EventArray, sensor_size: SensorSize, name: str, size: int) -> EventArray:
    check_fields(events, "xy")
    pixels(events, sensor_size)
    return with_columns(events, **{name: size - 1 - events[name].astype(np.int64)})
