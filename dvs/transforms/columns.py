"""The columns of an event array as the loops want them, whatever order and dtype the fields have."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import InputError
from dvs.events import EventArray

SensorSize = tuple[int, int, int]
"""(width, height, polarities), as tonic has it."""

# Longer than any sensor; and the memory of the pixels grows with the coordinates that come.
_LARGEST = 2**15 - 1


def check_fields(events: EventArray, names: str = "xytp") -> None:
    """`InputError` for anything but a one-dimensional structured array with these fields."""
    found = events.dtype.names
    if found is None or not set(names) <= set(found):
        raise InputError(f"events have dtype {events.dtype}, expected a structured array with the fields {list(names)}")
    if events.ndim != 1:
        raise InputError(f"events have shape {events.shape}, expected one dimension")


def times(events: EventArray) -> NDArray:
    """t, contiguous, int64 or float64; `InputError` where an event is before the one in front of it."""
    t = events["t"]
    t = np.ascontiguousarray(t, np.float64 if t.dtype.kind == "f" else np.int64)
    if not (t[1:] >= t[:-1]).all():
        first = int(np.argmin(t[1:] >= t[:-1])) + 1
        raise InputError(
            f"events[{first}] is at {t[first]}, after one at {t[first - 1]}; "
            "sort with events[np.argsort(events['t'], kind='stable')]"
        )
    return t


def are_on(events: EventArray) -> NDArray[np.int8]:
    """1 for ON and 0 for OFF, whether these are True and False, 1 and 0, or +1 and -1."""
    p = events["p"]
    return (p if p.dtype == bool else p > 0).view(np.int8)


def pixels(events: EventArray, sensor_size: SensorSize) -> NDArray[np.int64]:
    """Y * width + x, or x where there is no y; `InputError` for a pixel that is not on the sensor."""
    width, height = sensor_size[:2]
    x = _native(events["x"])
    y = _native(events["y"]) if "y" in events.dtype.names else np.broadcast_to(np.int16(0), x.shape)
    pixel, fine = _pixels(x, y, int(width), int(height))
    if not fine:
        for name, column, size in (("x", x, width), ("y", y, height)):
            _check_range(name, column, size)
    return pixel


def _native(column: NDArray) -> NDArray:
    """Whole numbers in the order of bytes and of a signedness that a loop takes."""
    return column if column.dtype in (np.int16, np.int64) else column.astype(np.int64)


@njit(cache=True, nogil=True)
def _pixels(x: NDArray, y: NDArray, width: int, height: int) -> tuple[NDArray, bool]:
    pixel = np.empty(x.size, np.int64)
    fine = True
    for i in range(x.size):
        column, row = np.int64(x[i]), np.int64(y[i])
        fine &= (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel[i] = row * width + column
    return pixel, fine


def extent(events: EventArray) -> tuple[int, int]:
    """(width, height) of the smallest sensor that has all these events; (0, 0) for none."""
    if events.size == 0:
        return 0, 0
    names = [name for name in "xy" if name in events.dtype.names]
    for name in names:
        _check_range(name, events[name], _LARGEST + 1)
    width, height = (int(events[name].max()) + 1 if name in names else 1 for name in "xy")
    return width, height


def _check_range(name: str, column: NDArray, size: int) -> None:
    if column.size and not (column.min() >= 0 and column.max() < size):
        raise InputError(
            f"{name} goes from {column.min()} to {column.max()}, expected 0 to {size - 1}; "
            "give the right sensor_size, or crop"
        )


def taken(events: EventArray, which: NDArray[np.bool_]) -> EventArray:
    """events[which], a copy; as raw bytes, since NumPy copies packed records field by field."""
    return _raw(events).take(np.flatnonzero(which)).view(events.dtype)


def _raw(events: EventArray) -> NDArray[np.void]:
    return np.ascontiguousarray(events).view(f"V{events.dtype.itemsize}")


def with_columns(events: EventArray, **columns: NDArray) -> EventArray:
    """A copy with other numbers in these fields; `InputError` for numbers that do not fit into them."""
    return put(_raw(events).copy().view(events.dtype), **columns)


def put(events: EventArray, **columns: NDArray) -> EventArray:
    """The same array, now with these numbers in these fields; for an array that is one's own."""
    for name, column in columns.items():
        dtype = events.dtype[name]
        if dtype.kind in "iu" and column.size:
            limits = np.iinfo(dtype)
            if not (limits.min <= column.min() and column.max() <= limits.max):
                raise InputError(
                    f"{name} would go from {column.min()} to {column.max()}, which its dtype {dtype} cannot hold; "
                    "convert the events to a wider one first"
                )
        events[name] = column
    return events
