"""ECF, the event compression of Prophesee's HDF5 files (filter 0x8ECF): the bytes of a chunk into events and back.

A chunk of N events, at most 65535, all numbers little-endian:

    uint32    N << 2 | all_packed << 1 | x_packed
    uint64    time of the first event in microseconds (two's complement)
    times     bytes d << 4 | n: time moves on by d < 15, then n events have it; n = 15: the number follows as uint16.
              Bytes 0xF0 | v in front of it: time first moves on by v, v << 4, v << 8, ... added up
    all_packed
      events  y << 12 | x << 1 | p, four at a time in three uint32, k = 8
    else
      y       uint16 y << 5 | n: n events in this row; n = 31: the number follows as uint16
      x_packed
        x, p  x << 1 | p, four at a time in three uint16, k = 4
      else
        x     uint16 x << 5 | mask: an event at x, and one at x + 1 ... x + 5 for each bit of the mask from the top
        p     bytes p << 7 | n: n events of this polarity; n = 127: the number follows as uint16

Four values a, b, c, d of 3k bits lie in words of 4k bits as a << k | (low k bits of b), (rest of b) << 2k |
(low 2k bits of c), (rest of c) << 3k | d. x and y have 11 bits. There is no check sum: of damage only what breaks
this grammar is noticed.

Source: hdf5_ecf by Prophesee (github.com/prophesee-ai/hdf5_ecf), README and decoder.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.events import EventArray

FILTER = 0x8ECF
LARGEST = 65_535  # events in a chunk
RECORD = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")], align=True)  # 16 bytes, no gap

_HEADER = 12
_ROOM = 24  # bytes; an event takes at most 16 + 1 for its time and 2 + 2 + 1, and a run of 15 two more


def encode(events: EventArray) -> bytes:
    """Events in order of time, shape (N,) with 0 < N <= 65535, as a chunk; the shortest of the three ways.

    >>> from dvs.events import make_events
    >>> encode(make_events([5], [2], [1000], [1])).hex(" ")
    '04 00 00 00 e8 03 00 00 00 00 00 00 01 41 00 a0 00 81'
    """
    x, y, t, p = (np.ascontiguousarray(events[name]) for name in "xytp")
    room = np.empty(_HEADER + _ROOM * (len(events) + 4) + _ROOM, np.uint8)
    return room[: _encode(x, y, t, p, room)].tobytes()


def decode(content: bytes) -> NDArray[np.void]:
    """The events of a chunk, dtype `RECORD`; raises `ValueError` where the bytes are no ECF."""
    data = np.frombuffer(content, np.uint8)
    count = int.from_bytes(content[:4], "little") >> 2
    if len(data) < _HEADER or count > LARGEST:
        raise ValueError(f"ECF chunk of {len(data)} bytes claims {count} events, expected at most {LARGEST}")
    records = np.zeros(count, RECORD)
    end = _decode(data, records["x"], records["y"], records["t"], records["p"])
    if end < 0:
        raise ValueError(f"ECF breaks off or runs over at byte {-end} of {len(data)}")
    return records


@njit(cache=True, nogil=True)
def _put(room, at, value, size):
    for byte in range(size):
        room[at + byte] = value >> 8 * byte & 255
    return at + size


@njit(cache=True, nogil=True)
def _get(data, at, size):
    value = np.int64(0)
    for byte in range(size):
        value |= np.int64(data[at + byte]) << 8 * byte
    return value


@njit(cache=True, nogil=True)
def _encode(x, y, t, p, room):
    """Fill `room` and return the bytes used."""
    count = len(x)
    first = np.uint64(t[0])
    for byte in range(8):
        room[4 + byte] = (first >> np.uint64(8 * byte)) & np.uint64(255)
    at = _encode_times(t, room, _HEADER)
    words = 4 * ((count + 3) // 4)
    rows = _encode_rows(y, room, at)
    masks = _encode_masks(x, room, rows)
    signs = _encode_signs(p, room, masks)
    mode = 0
    end = signs
    if words // 2 * 3 < signs - rows:  # x and p packed: 12 bits each
        mode, end = 1, rows + words // 2 * 3
    if words * 3 <= end - at:  # all packed: 24 bits each
        mode, end = 2, at + words * 3
    if mode == 1:
        _pack(x, y, p, room, rows, False)
    elif mode == 2:
        _pack(x, y, p, room, at, True)
    header = count << 2 | mode
    for byte in range(4):
        room[byte] = header >> 8 * byte & 255
    return end


@njit(cache=True, nogil=True)
def _encode_times(t, room, at):
    now = t[0]
    index = 0
    while index < len(t):
        step = np.uint64(t[index] - now)
        now = t[index]
        if step >= np.uint64(15):
            while step > np.uint64(0):
                room[at] = np.uint64(0xF0) | (step & np.uint64(15))
                step >>= np.uint64(4)
                at += 1
        end = index + 1
        while end < len(t) and t[end] == now:
            end += 1
        run = end - index
        room[at] = (np.int64(step) << 4) | min(run, 15)
        at += 1
        if run >= 15:
            at = _put(room, at, run, 2)
        index = end
    return at


@njit(cache=True, nogil=True)
def _encode_rows(y, room, at):
    index = 0
    while index < len(y):
        end = index + 1
        while end < len(y) and y[end] == y[index]:
            end += 1
        run = end - index
        at = _put(room, at, np.int64(y[index]) << 5 | min(run, 31), 2)
        if run >= 31:
            at = _put(room, at, run, 2)
        index = end
    return at


@njit(cache=True, nogil=True)
def _encode_masks(x, room, at):
    index = 0
    while index < len(x):
        base = np.int64(x[index])
        index += 1
        mask = 0
        for ahead in range(1, 6):
            if index < len(x) and x[index] == base + ahead:
                mask |= 1 << (5 - ahead)
                index += 1
        at = _put(room, at, base << 5 | mask, 2)
    return at


@njit(cache=True, nogil=True)
def _encode_signs(p, room, at):
    index = 0
    while index < len(p):
        end = index + 1
        while end < len(p) and p[end] == p[index]:
            end += 1
        run = end - index
        room[at] = np.int64(p[index]) << 7 | min(run, 127)
        at += 1
        if run >= 127:
            at = _put(room, at, run, 2)
        index = end
    return at


@njit(cache=True, nogil=True)
def _pack(x, y, p, room, at, with_y):
    """Four events a, b, c, d into three words; the last ones are filled with zeros."""
    k = 8 if with_y else 4
    values = np.zeros(4, np.int64)
    for index in range(0, len(x), 4):
        for slot in range(4):
            values[slot] = 0
            if index + slot < len(x):
                values[slot] = np.int64(x[index + slot]) << 1 | np.int64(p[index + slot])
                if with_y:
                    values[slot] |= np.int64(y[index + slot]) << 12
        a, b, c, d = values
        at = _put(room, at, a << k | b & (1 << k) - 1, k // 2)
        at = _put(room, at, b >> k << 2 * k | c & (1 << 2 * k) - 1, k // 2)
        at = _put(room, at, c >> 2 * k << 3 * k | d, k // 2)
    return at


@njit(cache=True, nogil=True)
def _decode(data, x, y, t, p):
    """Fill the columns, shape (N,), and return the bytes used; minus the place where the bytes are no ECF."""
    mode = data[0] & 3
    at = _decode_times(data, t)
    if at < 0:
        return at
    if mode & 2:
        return _unpack(data, at, x, y, p, True)
    at = _decode_rows(data, at, y)
    if at < 0:
        return at
    if mode & 1:
        return _unpack(data, at, x, y, p, False)
    at = _decode_masks(data, at, x)
    if at < 0:
        return at
    return _decode_signs(data, at, p)


@njit(cache=True, nogil=True)
def _decode_times(data, t):
    now = np.uint64(0)
    for byte in range(8):
        now |= np.uint64(data[4 + byte]) << np.uint64(8 * byte)
    at = _HEADER
    index = 0
    shift = 0
    while index < len(t):
        if at >= len(data):
            return -at
        value = np.int64(data[at])
        step, run = value >> 4, value & 15
        at += 1
        if step == 15:
            if shift >= 64:
                return -at
            now += np.uint64(run) << np.uint64(shift)
            shift += 4
            continue
        shift = 0
        now += np.uint64(step)
        if run == 15:
            if at + 2 > len(data):
                return -at
            run = _get(data, at, 2)
            at += 2
        if index + run > len(t):
            return -at
        t[index : index + run] = np.int64(now)
        index += run
    return at


@njit(cache=True, nogil=True)
def _decode_rows(data, at, y):
    index = 0
    while index < len(y):
        if at + 2 > len(data):
            return -at
        value = _get(data, at, 2)
        at += 2
        run = value & 31
        if run == 31:
            if at + 2 > len(data):
                return -at
            run = _get(data, at, 2)
            at += 2
        if index + run > len(y):
            return -at
        y[index : index + run] = value >> 5
        index += run
    return at


@njit(cache=True, nogil=True)
def _decode_masks(data, at, x):
    index = 0
    while index < len(x):
        if at + 2 > len(data):
            return -at
        value = _get(data, at, 2)
        at += 2
        x[index] = value >> 5
        index += 1
        for ahead in range(1, 6):
            # Prophesee's encoder compares with what lies behind the last event: such bits mean nothing.
            if value >> (5 - ahead) & 1 and index < len(x):
                x[index] = (value >> 5) + ahead
                index += 1
    return at


@njit(cache=True, nogil=True)
def _decode_signs(data, at, p):
    index = 0
    while index < len(p):
        if at >= len(data):
            return -at
        value = np.int64(data[at])
        at += 1
        run = value & 127
        if run == 127:
            if at + 2 > len(data):
                return -at
            run = _get(data, at, 2)
            at += 2
        if index + run > len(p):
            return -at
        p[index : index + run] = value >> 7
        index += run
    return at


@njit(cache=True, nogil=True)
def _unpack(data, at, x, y, p, with_y):
    k = 8 if with_y else 4
    values = np.zeros(4, np.int64)
    for index in range(0, len(x), 4):
        if at + 3 * (k // 2) > len(data):
            return -at
        one, two, three = _get(data, at, k // 2), _get(data, at + k // 2, k // 2), _get(data, at + k, k // 2)
        at += 3 * (k // 2)
        values[0] = one >> k
        values[1] = one & (1 << k) - 1 | two >> 2 * k << k
        values[2] = two & (1 << 2 * k) - 1 | three >> 3 * k << 2 * k
        values[3] = three & (1 << 3 * k) - 1
        for slot in range(min(4, len(x) - index)):
            p[index + slot] = values[slot] & 1
            x[index + slot] = values[slot] >> 1 & 2047
            if with_y:
                y[index + slot] = values[slot] >> 12 & 2047
    return at
