"""Events counted into frames."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import SensorSize, are_on, check_fields, extent, pixels, times
from dvs.transforms.slicing import Bounds, by_event_bins, by_event_count, by_time_bins, by_time_window


@dataclass(frozen=True)
class ToFrame:
    """Events of each slice, polarity and pixel, counted: (T, P, H, W) int16.

    Exactly one of the first four says how the recording is cut. time_window: slices of that length; event_count: of
    that many events; n_time_bins: so many of equal length; n_event_bins: so many with equally many events. overlap is
    a time with time_window, a number of events with event_count, and the share by which a bin is longer with bins.
    include_incomplete: the last slice may be shorter (time_window, event_count). start_time, end_time: of all slices
    (time_window), by default the first event and the last. sensor_size is (W, H, P); with P = 1 all events must
    be of one polarity; None takes the smallest that fits, and events without y make frames (T, P, W).

    The frames are tonic's, but for these. A count above 32767 is not wrapped around: the frames of that recording are
    int32. The last event is counted with n_time_bins and with include_incomplete too, and so are a single event and the
    rest that n_event_bins does not divide. -1/+1 are OFF and ON. Frames of no events have the shape and dtype of
    others. Bins that overlap begin a whole bin apart, to the end of the recording. The events are left as they are.
    """

    sensor_size: SensorSize | None
    time_window: float | None = None
    event_count: int | None = None
    n_time_bins: int | None = None
    n_event_bins: int | None = None
    overlap: float = 0
    include_incomplete: bool = False
    start_time: float | None = None
    end_time: float | None = None

    def __post_init__(self) -> None:
        ways = (self.time_window, self.event_count, self.n_time_bins, self.n_event_bins)
        if sum(way is not None for way in ways) != 1:
            raise ParameterError("give exactly one of time_window, event_count, n_time_bins and n_event_bins")

    def __call__(self, events: EventArray) -> NDArray[np.signedinteger]:
        """The frames of these events; `InputError` for events out of order or off the sensor."""
        return _counted(events, self.sensor_size, self._bounds(events))

    def _bounds(self, events: EventArray) -> Bounds:
        if self.event_count is not None:
            return by_event_count(events.size, self.event_count, int(self.overlap), self.include_incomplete)
        if self.n_event_bins is not None:
            return by_event_bins(events.size, self.n_event_bins, self.overlap)
        check_fields(events, "t")
        t = times(events)
        if self.n_time_bins is not None:
            return by_time_bins(t, self.n_time_bins, self.overlap)
        return by_time_window(
            t, self.time_window, self.overlap, self.include_incomplete, self.start_time, self.end_time
        )


@dataclass(frozen=True)
class ToImage:
    """All events of each polarity and pixel, counted: (P, H, W) int16, as `ToFrame` counts them."""

    sensor_size: SensorSize

    def __call__(self, events: EventArray) -> NDArray[np.signedinteger]:
        """The image of these events."""
        return ToFrame(self.sensor_size, event_count=max(events.size, 1))(events)[0]


def _counted(events: EventArray, sensor_size: SensorSize | None, bounds: Bounds) -> NDArray[np.signedinteger]:
    check_fields(events, "xp")
    on = are_on(events)
    if sensor_size is None:
        sensor_size = (*extent(events), np.unique(on).size)
    width, height, polarities = sensor_size
    if polarities == 1 and on.any() and not on.all():
        raise InputError("events are ON and OFF, but the sensor has one polarity; use MergePolarities or OnlyPolarity")
    shape = (polarities, height, width) if "y" in events.dtype.names else (polarities, width)
    places = pixels(events, sensor_size)
    if polarities > 1:
        places += on * np.int64(width * height)
    firsts, ends = bounds
    # Narrow frames are written faster, and a count that needs more is rare.
    for dtype in (np.int16, np.int32):
        frames = np.zeros((firsts.size, *shape), dtype)
        if _count(frames.reshape(firsts.size, -1), places, firsts, ends):
            return frames
    raise InputError(f"a pixel has more than {np.iinfo(np.int32).max} events in a frame; cut the recording finer")


@njit(cache=True, nogil=True)
def _count(frames: NDArray, places: NDArray, firsts: NDArray, ends: NDArray) -> bool:
    """Count the events of each slice at their places; False where a count no longer fits."""
    for k in range(firsts.size):
        frame = frames[k]
        for i in range(firsts[k], ends[k]):
            frame[places[i]] += 1
            if frame[places[i]] < 0:
                return False
    return True
