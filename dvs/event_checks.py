"""The contract of events in one pass, compiled: for arrays so long that compiling pays."""

from numba import njit


@njit(cache=True, nogil=True)
def keeps_contract(events, width, height):
    """Whether times are in order, coordinates on the sensor and polarities 0 or 1."""
    good = True
    last = events[0].t if events.size else 0
    for event in events:
        good &= (event.x >= 0) & (event.x < width) & (event.y >= 0) & (event.y < height)
        good &= (event.p >= 0) & (event.p <= 1) & (event.t >= last)
        last = event.t
    return good
