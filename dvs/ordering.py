"""Events of many tiles, put into the order of time.

Within a tile events come round by round, not by time. A counting sort by the microsecond (a radix sort
when a frame interval is longer than a second) puts those of one frame interval in order; events of the
same microsecond keep the order in which the tiles gave them, so the result does not depend on how the
work was shared out.
"""

import numpy as np
from numba import njit

from dvs.events import EventArray, empty_events

_DIGIT = 20
_DIGIT_MASK = (1 << _DIGIT) - 1


@njit(cache=True, nogil=True)
def order_intervals(intervals, tile_times, tile_addresses, tile_ends, width, bounds_us, ends, events):
    """Write the events of the named frame intervals into `events`, sorted by time.

    tile_times, tile_addresses: (tiles, room), address = 2 * pixel + polarity; tile_ends:
    (tiles, intervals), where each interval ends in its row; bounds_us: first and last microsecond of
    an interval, (intervals, 2); ends: where its events end in `events`.
    """
    for interval in intervals:
        first = ends[interval - 1] if interval > 0 else 0
        if ends[interval] > first:
            _order(
                interval,
                tile_times,
                tile_addresses,
                tile_ends,
                width,
                bounds_us[interval],
                events[first : ends[interval]],
            )


@njit(cache=True, nogil=True)
def _order(interval, tile_times, tile_addresses, tile_ends, width, bounds_us, events):
    start_us = bounds_us[0]
    longest = bounds_us[1] - start_us
    if longest > _DIGIT_MASK:
        _order_long(interval, tile_times, tile_addresses, tile_ends, width, start_us, longest, events)
        return
    places = np.zeros(longest + 2, np.int64)
    for tile in range(tile_ends.shape[0]):
        for j in _of_interval(tile_ends[tile], interval):
            places[tile_times[tile, j] - start_us + 1] += 1
    _counts_to_places(places)
    for tile in range(tile_ends.shape[0]):
        for j in _of_interval(tile_ends[tile], interval):
            key = tile_times[tile, j] - start_us
            _put(events[places[key]], tile_times[tile, j], tile_addresses[tile, j], width)
            places[key] += 1


@njit(cache=True, nogil=True, inline="always")
def _of_interval(ends, interval):
    """Where the events of one frame interval stand in the row of a tile."""
    return range(ends[interval - 1] if interval > 0 else 0, ends[interval])


@njit(cache=True, nogil=True, inline="always")
def _counts_to_places(counts):
    """Counts, each one place late, become the places at which the first of each key goes."""
    for key in range(counts.size - 1):
        counts[key + 1] += counts[key]


@njit(cache=True, nogil=True, inline="always")
def _put(event, t_us, address, width):
    pixel = np.uint32(address) >> np.uint32(1)
    y = pixel // np.uint32(width)
    event.y = y
    event.x = pixel - y * np.uint32(width)
    event.t = t_us
    event.p = address & 1


@njit(cache=True, nogil=True)
def _order_long(interval, tile_times, tile_addresses, tile_ends, width, start_us, longest, events):
    """Digit by digit, from the lowest (Knuth, TAOCP vol. 3, 5.2.5)."""
    keys = np.empty(events.size, np.int64)
    addresses = np.empty(events.size, np.int32)
    filled = 0
    for tile in range(tile_ends.shape[0]):
        for j in _of_interval(tile_ends[tile], interval):
            keys[filled] = tile_times[tile, j] - start_us
            addresses[filled] = tile_addresses[tile, j]
            filled += 1
    shift = 0
    while longest >> shift > 0:
        places = np.zeros(_DIGIT_MASK + 2, np.int64)
        for key in keys:
            places[((key >> shift) & _DIGIT_MASK) + 1] += 1
        _counts_to_places(places)
        new_keys, new_addresses = np.empty_like(keys), np.empty_like(addresses)
        for j in range(keys.size):
            digit = (keys[j] >> shift) & _DIGIT_MASK
            new_keys[places[digit]] = keys[j]
            new_addresses[places[digit]] = addresses[j]
            places[digit] += 1
        keys, addresses = new_keys, new_addresses
        shift += _DIGIT
    for j in range(keys.size):
        _put(events[j], keys[j] + start_us, addresses[j], width)


def sorted_by_time(events: EventArray) -> EventArray:
    """The events in the order of time; those of the same microsecond stay as they are."""
    if events.size == 0:
        return events
    start_us, span_us = int(events["t"].min()), int(np.ptp(events["t"]))
    if span_us > _DIGIT_MASK:
        return events[np.argsort(events["t"], kind="stable")]
    ordered = empty_events(events.size)
    _count_sort(events, start_us, span_us, ordered)
    return ordered


@njit(cache=True, nogil=True)
def _count_sort(events, start_us, span_us, ordered):
    places = np.zeros(span_us + 2, np.int64)
    for event in events:
        places[event.t - start_us + 1] += 1
    _counts_to_places(places)
    for event in events:
        key = event.t - start_us
        ordered[places[key]] = event
        places[key] += 1
