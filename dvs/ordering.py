"""Events of many tiles, put into the order of time.

Within a tile events come pixel by pixel. A counting sort by the microsecond (radix sort with
digits of 16 bits when a frame interval is longer than 65 ms) puts those of one frame interval in
order; events of the same microsecond keep the order of their pixels, so the result does not
depend on how the work was shared out.
"""

import numpy as np
from numba import njit

_DIGIT = 16
_DIGIT_MASK = (1 << _DIGIT) - 1


@njit(cache=True, nogil=True)
def order_interval(interval, tile_times, tile_addresses, tile_ends, width, start_us, events):
    """Write the events of one frame interval into `events`, sorted by time.

    tile_times, tile_addresses: (tiles, room), address = 2 * pixel + polarity; tile_ends:
    (tiles, intervals), where each interval ends in its row; start_us: no event is earlier.
    """
    size = events.size
    if size == 0:
        return
    keys = np.empty(size, np.int64)
    addresses = np.empty(size, np.int32)
    filled = 0
    latest = 0
    for tile in range(tile_ends.shape[0]):
        first = tile_ends[tile, interval - 1] if interval > 0 else 0
        for j in range(first, tile_ends[tile, interval]):
            keys[filled] = tile_times[tile, j] - start_us
            addresses[filled] = tile_addresses[tile, j]
            latest = max(latest, keys[filled])
            filled += 1
    shift = 0
    while latest >> shift > _DIGIT_MASK:
        keys, addresses = _sorted_by_digit(keys, addresses, shift, _DIGIT_MASK)
        shift += _DIGIT
    places = _places(keys, shift, latest >> shift)
    for j in range(size):
        digit = (keys[j] >> shift) & _DIGIT_MASK
        event = events[places[digit]]
        places[digit] += 1
        pixel = addresses[j] >> 1
        event.y = pixel // width
        event.x = pixel % width
        event.t = keys[j] + start_us
        event.p = addresses[j] & 1


@njit(cache=True, nogil=True)
def _places(keys, shift, highest):
    """Where the first key of each digit goes."""
    places = np.zeros(highest + 2, np.int64)
    for key in keys:
        places[((key >> shift) & _DIGIT_MASK) + 1] += 1
    for digit in range(highest + 1):
        places[digit + 1] += places[digit]
    return places


@njit(cache=True, nogil=True)
def _sorted_by_digit(keys, addresses, shift, highest):
    places = _places(keys, shift, highest)
    new_keys, new_addresses = np.empty_like(keys), np.empty_like(addresses)
    for j in range(keys.size):
        digit = (keys[j] >> shift) & _DIGIT_MASK
        new_keys[places[digit]] = keys[j]
        new_addresses[places[digit]] = addresses[j]
        places[digit] += 1
    return new_keys, new_addresses
