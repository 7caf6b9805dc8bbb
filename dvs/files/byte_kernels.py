"""Compiled loops of AEDAT and Event Stream files; a module of their own, so that Numba is imported with them."""

import numpy as np
from numba import njit

SILENCE_US = 127  # what one byte of an Event Stream without an event stands for


@njit(cache=True, nogil=True)
def events_of_records(records, events):
    """Copy AEDAT4's records (N,) into events (N,): NumPy goes field by field, and not in two threads at once."""
    for k in range(records.size):
        events[k].x = records[k].x
        events[k].y = records[k].y
        events[k].t = records[k].t
        events[k].p = records[k].p != 0


@njit(cache=True, nogil=True)
def records_of_events(events, records):
    """Copy events (N,) into AEDAT4's records (N,)."""
    for k in range(events.size):
        records[k].x = events[k].x
        records[k].y = events[k].y
        records[k].t = events[k].t
        records[k].p = events[k].p


@njit(cache=True, nogil=True)
def events_of_addresses(words, layout, t_us, events):
    """AEDAT2's words (2 N,), big-endian, as events, as far as they are on the sensor.

    Returns how many records were used, how many events found, and the time reached, from `t_us` on.
    """
    width, height, x_shift, y_shift, x_mask, y_mask, p_shift, on, other = layout
    count = 0
    for k in range(words.size // 2):
        address, stamp = _swapped(words[2 * k]), _swapped(words[2 * k + 1])
        step = ((stamp - t_us + 2**31) & 0xFFFF_FFFF) - 2**31
        if address & other == 0:
            x = width - 1 - ((address >> x_shift) & x_mask)
            y = height - 1 - ((address >> y_shift) & y_mask)
            if x < 0 or y < 0:
                return k, count, t_us
            events[count].x = x
            events[count].y = y
            events[count].t = t_us + step
            events[count].p = ((address >> p_shift) & 1) == on
            count += 1
        t_us += step
    return words.size // 2, count, t_us


@njit(cache=True, nogil=True, inline="always")
def _swapped(word):
    word = np.int64(word)
    return (word >> 24) | ((word >> 8) & 0xFF00) | ((word << 8) & 0xFF_0000) | ((word & 0xFF) << 24)


@njit(cache=True, nogil=True)
def decode_stream(data, width, height, t_us, events):
    """Events in bytes, as far as they are whole and on the sensor: bytes used, events found, time reached."""
    used = count = 0
    while used < data.size:
        first = np.int64(data[used])
        if first == 0xFF:
            t_us += SILENCE_US
            used += 1
        elif first == 0xFE:
            used += 1
        else:
            if used + 5 > data.size:
                break
            column = np.int64(data[used + 1]) | (np.int64(data[used + 2]) << 8)
            row = np.int64(data[used + 3]) | (np.int64(data[used + 4]) << 8)
            if column >= width or row >= height:
                break
            t_us += first >> 1
            events[count].x = column
            events[count].y = height - 1 - row
            events[count].t = t_us
            events[count].p = first & 1
            count += 1
            used += 5
    return used, count, t_us


@njit(cache=True, nogil=True)
def encode_stream(events, done, height, t_us, data):
    """Events from `done` on as bytes, as far as there is room: bytes written, events done, time reached."""
    used = 0
    while done < events.size:
        event = events[done]
        while event.t - t_us >= SILENCE_US and used < data.size:
            data[used] = 0xFF
            used += 1
            t_us += SILENCE_US
        if used + 5 > data.size:
            break
        column, row = np.int64(event.x), np.int64(height - 1 - event.y)
        data[used] = ((event.t - t_us) << 1) | event.p
        data[used + 1] = column & 0xFF
        data[used + 2] = column >> 8
        data[used + 3] = row & 0xFF
        data[used + 4] = row >> 8
        used += 5
        t_us = event.t
        done += 1
    return used, done, t_us
