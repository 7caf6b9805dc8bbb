"""Pixels that share a neuron: fewer pixels and fewer events at once."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import SensorSize, are_on, check_fields, pixels, taken, with_columns
from dvs.transforms.downsampling import scaled_to
from dvs.transforms.streamed import Streamed


@dataclass(frozen=True)
class EventPooling(Streamed):
    """The pixels of a block share an integrate-and-fire neuron that sends the events of the smaller sensor.

    An ON event adds 1 to the neuron of its block, an OFF event takes 1 away. At +threshold the neuron sends an ON
    event, at -threshold an OFF event, with the time of the event that brought it there, and begins at 0 again. So
    threshold times ON minus OFF stays within `threshold` of what it was, while ON and OFF of a shaking camera or of
    noise cancel (the integrator of Ghosh et al. 2023, "Insect-inspired spatio-temporal downsampling of event-based
    input", event by event and not in steps of time). sensor_size is (W, H, P), target_size (W', H').
    """

    sensor_size: SensorSize
    target_size: tuple[int, int]
    threshold: int = 1

    def __post_init__(self) -> None:
        if not self.threshold >= 1 or self.threshold != int(self.threshold):
            raise ParameterError(f"threshold is {self.threshold!r}, expected a whole number of 1 or more")
        for size, target in zip(self.sensor_size, self.target_size, strict=False):
            if not 1 <= target <= size:
                raise ParameterError(
                    f"target_size is {self.target_size}, expected 1 up to sensor_size {self.sensor_size[:2]}"
                )

    def start(self) -> NDArray[np.int64]:
        """What each neuron has integrated, (H', W')."""
        return np.zeros(self.target_size[::-1], np.int64)

    def advance(self, state: NDArray[np.int64], events: EventArray) -> tuple[EventArray, NDArray[np.int64]]:
        """What the neurons send at the next events."""
        check_fields(events)
        pixels(events, self.sensor_size)
        pooled = with_columns(events, **scaled_to(events, self.sensor_size, self.target_size))
        sends = _sending(state.reshape(-1), pixels(pooled, (*self.target_size, 2)), are_on(events), int(self.threshold))
        return taken(pooled, sends), state


@njit(cache=True, nogil=True)
def _sending(level: NDArray, pixel: NDArray, on: NDArray, threshold: int) -> NDArray:
    sends = np.empty(pixel.size, np.bool_)
    for i in range(pixel.size):
        k = pixel[i]
        level[k] += 2 * np.int64(on[i]) - 1
        # It gets there only by an event of its own sign, so that event has the polarity to send.
        sends[i] = abs(level[k]) == threshold
        if sends[i]:
            level[k] = 0
    return sends
