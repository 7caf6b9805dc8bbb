"""A number for each pixel of a sensor whose size is known only from the events that came so far."""

import numpy as np
from numpy.typing import DTypeLike, NDArray

# So far back that no difference to a time overflows.
_NEVER = -(2**62)


def no_pixels(dtype: DTypeLike) -> NDArray:
    """The memory of a sensor of which no event has come yet."""
    return np.zeros((0, 0), dtype)


def widened(memory: NDArray, width: int, height: int, fill: float) -> NDArray:
    """The memory (H, W), itself where it has these pixels; else a larger copy, `fill` in what is new."""
    old_height, old_width = memory.shape
    if height <= old_height and width <= old_width:
        return memory
    wide = np.full((max(height, old_height), max(width, old_width)), fill, memory.dtype)
    wide[:old_height, :old_width] = memory
    return wide


def last_times(memory: NDArray, width: int, height: int, t: NDArray) -> NDArray:
    """A memory of times, `widened` to width x height pixels and of the dtype of t."""
    return widened(memory.astype(t.dtype, copy=False), width, height, _NEVER)
