"""How long ago each pixel fired."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import SensorSize, are_on, check_fields, pixels, times
from dvs.transforms.slicing import by_time_window


@dataclass(frozen=True)
class ToTimesurface:
    """exp(-(T - t) / tau) of the last event of each polarity and pixel at the end T of each dt: (T, P, H, W) float64.

    0 where none came yet (Lagorce et al. 2017, HOTS, for the whole sensor). dt and tau are in the unit of the times;
    the last dt counts if it is complete, and the first always. The surfaces are tonic's, but that -1/+1 are OFF and
    ON, and that no events make one surface of zeros.
    """

    sensor_size: SensorSize
    dt: float
    tau: float

    def __post_init__(self) -> None:
        if not (self.dt > 0 and self.tau > 0):
            raise ParameterError(f"dt is {self.dt} and tau {self.tau}, expected times above 0")

    def __call__(self, events: EventArray) -> NDArray[np.float64]:
        """The surfaces of these events; `InputError` for events out of order or off the sensor."""
        check_fields(events)
        width, height, polarities = self.sensor_size
        t = times(events)
        places = pixels(events, self.sensor_size)
        if polarities > 1:
            places += are_on(events) * np.int64(width * height)
        firsts, ends = by_time_window(t, self.dt)
        surfaces = np.zeros((firsts.size, polarities, height, width))
        since = t - t[0] if t.size else t
        last = np.full(surfaces[0].size, -np.inf)
        for k, (first, end) in enumerate(zip(firsts, ends, strict=True)):
            # Of events of one pixel the latest stays.
            last[places[first:end]] = since[first:end]
            np.exp((last.reshape(surfaces[k].shape) - (k + 1) * self.dt) / self.tau, out=surfaces[k])
        return surfaces
