"""Where slices of a recording begin and end, for `ToFrame` and `ToTimesurface`."""

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError

Bounds = tuple[NDArray[np.int64], NDArray[np.int64]]
"""First event of each slice, and the first one after it."""


def by_time_window(
    t: NDArray,
    window: float,
    overlap: float = 0,
    include_incomplete: bool = False,
    start: float | None = None,
    end: float | None = None,
) -> Bounds:
    """Windows [start + k stride, + window) with stride = window - overlap, from the first event to the last.

    With `include_incomplete` the last event is always in a window; tonic drops it where the last window ends just
    at its time. An `end` that is given is the end of the last window, without an event at that time.
    """
    stride = window - overlap
    if not (window > 0 and stride > 0):
        raise ParameterError(
            f"time_window is {window} and overlap {overlap}, expected a window longer than the overlap"
        )
    ends_with_event = end is None
    if start is None:
        start = t[0] if t.size else 0
    if end is None:
        end = t[-1] if t.size else start
    strides = (end - start - window) / stride
    if not include_incomplete:
        count = int(np.floor(strides)) + 1
    elif ends_with_event:
        count = int(np.floor(strides)) + 2
    else:
        count = int(np.ceil(strides)) + 1
    begins = start + np.arange(max(count, 1)) * stride
    return np.searchsorted(t, begins), np.searchsorted(t, begins + window)


def by_time_bins(t: NDArray, bins: int, overlap: float = 0) -> Bounds:
    """So many bins of equal length from the first event to the last, which is in the last bin.

    Each bin is made longer by the share `overlap` of it.
    """
    _check_bins(bins, overlap)
    if t.size == 0:
        return np.zeros(bins, np.int64), np.zeros(bins, np.int64)
    since = t - t[0]
    # Where no time passes all is in the first bin.
    span = since[-1] or bins
    index = np.arange(bins)
    # First the product: bins that begin on a whole number do so exactly.
    firsts = np.searchsorted(since, index * span / bins)
    ends = np.searchsorted(since, (index + 1) * span / bins + overlap * span / bins)
    ends[-1] = t.size
    return firsts, ends


def by_event_count(events: int, count: int, overlap: int = 0, include_incomplete: bool = False) -> Bounds:
    """Slices of `count` events, each beginning with the last `overlap` of the one before."""
    stride = count - overlap
    if not (count >= 1 and stride >= 1):
        raise ParameterError(f"event_count is {count} and overlap {overlap}, expected more events than overlap")
    size = min(count, events)
    strides = (events - size) / stride
    slices = int(np.ceil(strides) if include_incomplete else np.floor(strides)) + 1
    firsts = (np.arange(slices) * stride).astype(np.int64)
    return firsts, np.minimum(firsts + size, events)


def by_event_bins(events: int, bins: int, overlap: float = 0) -> Bounds:
    """So many slices with equally many events, to within one: none is left over.

    Each slice is made longer by the share `overlap` of it.
    """
    _check_bins(bins, overlap)
    index = np.arange(bins)
    firsts = index * events // bins
    ends = (index + 1) * events // bins
    return firsts, np.minimum(ends + int(events / bins * overlap), events)


def _check_bins(bins: int, overlap: float) -> None:
    if bins < 1 or not 0 <= overlap < 1:
        raise ParameterError(
            f"there are {bins} bins with an overlap of {overlap}, expected 1 or more and a share below 1"
        )
