"""Words of Prophesee's formats to events and back, compiled.

A decoder takes up the `state` that the call before it left, fills `events` until the words or the room for
events end, and returns how many words it used and how many events it made; so a stream can be cut anywhere.
An encoder does the same the other way round.

`state` of a decoder, int64: the high part of the time (-1 before the first one), how often it rolled over,
its low part, row, base column and polarity of vectors (-1 before they are known), width and height of the
sensor, the words of earlier calls, how many events lay outside the sensor, the word of the first of them, the
latest time, and whether one was earlier than that.
`state` of an encoder: high part of the time with all its roll-overs, low part, row, base column, polarity.
"""

import numpy as np
from numba import njit

HIGH, LOOPS, LOW, ROW, BASE, ON, WIDTH, HEIGHT, WORDS, OUTSIDE, FIRST_OUTSIDE, LAST, UNSORTED = range(13)

VECTOR = 32  # columns that one vector covers

# How many events each word of EVT3 is: one of type 2, as many as it has bits of types 4 and 5.
_WORDS = np.arange(1 << 16)
_BITS = np.bitwise_count(_WORDS & 0xFFF)
EVENTS_OF_WORD = np.where(_WORDS >> 13 == 2, _BITS, _WORDS >> 12 == 2).astype(np.uint8)


def decoder_state(width, height):
    """The state before the first word of a file with a sensor of this size."""
    state = np.zeros(UNSORTED + 1, np.int64)
    state[[HIGH, ROW, BASE, ON]] = -1
    state[WIDTH], state[HEIGHT], state[LAST] = width, height, -(2**63)
    return state


def encoder_state():
    """The state before the first event of a file."""
    return np.full(5, -1, np.int64)


@njit(cache=True, nogil=True)
def decode_evt2(words, state, events):
    """EVT2: words (N,) uint32 of 4 bits type, 6 bits time, 11 bits column, 11 bits row."""
    high, loops = state[HIGH], state[LOOPS]
    last, unsorted = state[LAST], state[UNSORTED]
    width, height = state[WIDTH], state[HEIGHT]
    base = loops << 34 | high << 6
    used = made = 0
    while used < words.size and made < events.size:
        word = np.int64(words[used])
        used += 1
        kind = word >> 28
        if kind <= 1:
            if high >= 0:
                x, y = word >> 11 & 0x7FF, word & 0x7FF
                if x < width and y < height:
                    t_us = base | word >> 22 & 0x3F
                    _put(events[made], x, y, t_us, kind)
                    made += 1
                    unsorted |= t_us < last
                    last = t_us
                else:
                    _note_outside(state, used)
        elif kind == 8:
            high, loops = _advance(high, loops, word & 0xFFFFFFF, 1 << 27)
            base = loops << 34 | high << 6
    state[HIGH], state[LOOPS] = high, loops
    state[LAST], state[UNSORTED] = last, unsorted
    state[WORDS] += used
    return used, made


@njit(cache=True, nogil=True)
def decode_evt21(words, state, events, head):
    """EVT2.1: words (N, 2) uint32, column `head` as in EVT2, the other one the mask of 32 columns from there on."""
    high, loops = state[HIGH], state[LOOPS]
    last, unsorted = state[LAST], state[UNSORTED]
    width, height = state[WIDTH], state[HEIGHT]
    used = made = 0
    while used < words.shape[0] and made <= events.size - VECTOR:
        word, mask = np.int64(words[used, head]), np.int64(words[used, 1 - head])
        used += 1
        kind = word >> 28
        if kind <= 1:
            if high >= 0:
                x, y = word >> 11 & 0x7FF, word & 0x7FF
                t_us = loops << 34 | high << 6 | word >> 22 & 0x3F
                unsorted |= t_us < last
                last = t_us
                while mask:
                    if mask & 1:
                        if x < width and y < height:
                            _put(events[made], x, y, t_us, kind)
                            made += 1
                        else:
                            _note_outside(state, used)
                    x += 1
                    mask >>= 1
        elif kind == 8:
            high, loops = _advance(high, loops, word & 0xFFFFFFF, 1 << 27)
    state[HIGH], state[LOOPS] = high, loops
    state[LAST], state[UNSORTED] = last, unsorted
    state[WORDS] += used
    return used, made


@njit(cache=True, nogil=True)
def decode_evt3(words, state, events):
    """EVT3: words (N,) uint16 of 4 bits type and 12 bits that change row, time or vector, or are an event."""
    high, loops, low = state[HIGH], state[LOOPS], state[LOW]
    last, unsorted = state[LAST], state[UNSORTED]
    row, base, on = state[ROW], state[BASE], state[ON]
    width, height = state[WIDTH], state[HEIGHT]
    t_us = loops << 24 | high << 12 | low
    used = made = 0
    while used < words.size and made <= events.size - 12:
        word = np.int64(words[used])
        used += 1
        kind, value = word >> 12, word & 0xFFF
        if kind == 2:
            if high >= 0 and row >= 0:
                x = value & 0x7FF
                if x < width and row < height:
                    _put(events[made], x, row, t_us, value >> 11)
                    made += 1
                    unsorted |= t_us < last
                    last = t_us
                else:
                    _note_outside(state, used)
        elif kind == 6:
            low = value if high >= 0 else 0
            t_us = t_us & ~0xFFF | low
        elif kind == 0:
            row = value & 0x7FF
        elif kind == 4 or kind == 5:
            if high >= 0 and row >= 0 and base >= 0:
                unsorted |= t_us < last
                last = t_us
                length = 12 if kind == 4 else 8
                if base + length <= width and row < height:
                    for bit in range(length):
                        if value >> bit & 1:
                            _put(events[made], base + bit, row, t_us, on)
                            made += 1
                else:
                    for bit in range(length):
                        if value >> bit & 1:
                            if base + bit < width and row < height:
                                _put(events[made], base + bit, row, t_us, on)
                                made += 1
                            else:
                                _note_outside(state, used)
                base += length
        elif kind == 3:
            base, on = value & 0x7FF, value >> 11
        elif kind == 8:
            high, loops = _advance(high, loops, value, 1 << 11)
            t_us = loops << 24 | high << 12 | low
        elif kind == 1:
            row = -1  # a row of the second system of early sensors: what follows is no contrast event
    state[HIGH], state[LOOPS], state[LOW] = high, loops, low
    state[ROW], state[BASE], state[ON] = row, base, on
    state[LAST], state[UNSORTED] = last, unsorted
    state[WORDS] += used
    return used, made


@njit(cache=True, nogil=True)
def decode_dat(words, state, events):
    """DAT: words (N, 2) uint32, the time and then 4 bits polarity, 14 bits row, 14 bits column."""
    high, loops = state[HIGH], state[LOOPS]
    last, unsorted = state[LAST], state[UNSORTED]
    width, height = state[WIDTH], state[HEIGHT]
    used = made = 0
    if _is_plain(words, high, last - (loops << 32), width, height) and words.shape[0] <= events.size:
        for k in range(words.shape[0]):
            word = words[k, 1]
            _put(events[k], word & 0x3FFF, word >> 14 & 0x3FFF, loops << 32 | np.int64(words[k, 0]), word >> 28 & 1)
        used = made = words.shape[0]
        high = np.int64(words[used - 1, 0])
        last = loops << 32 | high
    while used < words.shape[0] and made < events.size:
        word = np.int64(words[used, 1])
        high, loops = _advance(high, loops, np.int64(words[used, 0]), 1 << 31)
        used += 1
        x, y = word & 0x3FFF, word >> 14 & 0x3FFF
        if x < width and y < height:
            t_us = loops << 32 | high
            _put(events[made], x, y, t_us, word >> 28 & 1)
            made += 1
            unsorted |= t_us < last
            last = t_us
        else:
            _note_outside(state, used)
    state[HIGH], state[LOOPS] = high, loops
    state[LAST], state[UNSORTED] = last, unsorted
    state[WORDS] += used
    return used, made


@njit(cache=True, nogil=True)
def _is_plain(words, high, last, width, height):
    """Whether words of DAT are in order of time and on the sensor, as nearly always: seen without branches."""
    if words.shape[0] == 0 or words[0, 0] < max(high, last):
        return False
    plain = True
    for k in range(words.shape[0]):
        word = words[k, 1]
        plain &= (word & 0x3FFF < width) & (word >> 14 & 0x3FFF < height)
    for k in range(1, words.shape[0]):
        plain &= words[k, 0] >= words[k - 1, 0]
    return plain


@njit(cache=True, nogil=True, inline="always")
def _advance(high, loops, value, half):
    """The high part of the time becomes `value`; a fall by half its range or more is a roll-over."""
    return value, loops + (high >= value + half)


@njit(cache=True, nogil=True, inline="always")
def _put(event, x, y, t_us, p):
    event.x = x
    event.y = y
    event.t = t_us
    event.p = p


@njit(cache=True, nogil=True)
def _note_outside(state, used):
    if state[OUTSIDE] == 0:
        state[FIRST_OUTSIDE] = state[WORDS] + used - 1
    state[OUTSIDE] += 1


@njit(cache=True, nogil=True)
def most_evt21(words, head):
    """How many events the words of EVT2.1 hold at most."""
    most = 0
    for k in range(words.shape[0]):
        most += _bits(words[k, 1 - head])
    return most


@njit(cache=True, nogil=True)
def most_evt3(words):
    """How many events the words of EVT3 hold at most."""
    most = 0
    for word in words:
        most += EVENTS_OF_WORD[word]
    return most


@njit(cache=True, nogil=True, inline="always")
def _bits(mask):
    """How many bits of 32 are set, by sums of neighbours (Warren, "Hacker's Delight", 2002)."""
    mask = np.int64(mask)
    mask -= mask >> 1 & 0x55555555
    mask = (mask & 0x33333333) + (mask >> 2 & 0x33333333)
    return ((mask + (mask >> 4) & 0x0F0F0F0F) * 0x01010101 & 0xFFFFFFFF) >> 24


@njit(cache=True, nogil=True)
def encode_evt2(events, state, words):
    """Events to EVT2: the high part of the time where it changes, then one word an event."""
    high = state[0]
    used = made = 0
    while used < events.size and made < words.size:
        event = events[used]
        target = event.t >> 6
        if high < target:
            high = target if high >> 28 == target >> 28 else _towards_roll_over(high, 0xFFFFFFF)
            words[made] = 0x80000000 | high & 0xFFFFFFF
        else:
            words[made] = np.int64(event.p) << 28 | (event.t & 0x3F) << 22 | np.int64(event.x) << 11 | np.int64(event.y)
            used += 1
        made += 1
    state[0] = high
    return used, made


@njit(cache=True, nogil=True)
def encode_evt3(events, state, words, width):
    """Events to EVT3: what changes of time and row, then single events or vectors of 12, 12 and 8 columns.

    High parts of the time follow each other without a gap, as a sensor sends them, but for silences of more
    than a whole turn (16.8 s). A vector stays on the sensor, as OpenEB's decoder demands.
    """
    high, low, row, base, on = state[0], state[1], state[2], state[3], state[4]
    used = made = 0
    while used < events.size and made <= words.size - 6:
        event = events[used]
        target = event.t >> 12
        if high < target:
            high = high + 1 if target - high <= 0xFFF else _towards_roll_over(high, 0xFFF)
            words[made] = 0x8000 | high & 0xFFF
            made += 1
            low = -1
            continue
        if low != event.t & 0xFFF:
            low = event.t & 0xFFF
            words[made] = 0x6000 | low
            made += 1
        if row != event.y:
            row = np.int64(event.y)
            words[made] = row
            made += 1
        x, p = np.int64(event.x), np.int64(event.p)
        known = on == p and 0 <= base <= x < base + VECTOR <= width
        first = base if known else max(min(x, width - VECTOR), 0)
        mask, count = _vector(events, used, first)
        if count > (3 if known else 4) and width >= VECTOR:
            if not known:
                words[made] = 0x3000 | p << 11 | first
                made += 1
            words[made] = 0x4000 | mask & 0xFFF
            words[made + 1] = 0x4000 | mask >> 12 & 0xFFF
            words[made + 2] = 0x5000 | mask >> 24
            made += 3
            used += count
            base, on = first + VECTOR, p
        else:
            words[made] = 0x2000 | p << 11 | x
            made += 1
            used += 1
            base = -1  # faery takes the column of a single event for the beginning of the next vector
    state[0], state[1], state[2], state[3], state[4] = high, low, row, base, on
    return used, made


@njit(cache=True, nogil=True, inline="always")
def _vector(events, used, first):
    """The columns of the events from `used` on that fit one vector from column `first` on, in their order."""
    event = events[used]
    t_us, y, p, x = event.t, event.y, event.p, np.int64(event.x)
    mask, count = np.int64(1) << (x - first), 1
    while used + count < events.size:
        event = events[used + count]
        if event.t != t_us or event.y != y or event.p != p or event.x <= x or event.x >= first + VECTOR:
            break
        x = np.int64(event.x)
        mask |= np.int64(1) << (x - first)
        count += 1
    return mask, count


@njit(cache=True, nogil=True, inline="always")
def _towards_roll_over(high, last):
    """Next step of a high part whose target lies beyond its roll-over: to the last value, and then over it.

    Never by half the range or more: faery takes that for a step back.
    """
    return high + 1 if high & last == last else min(high + (last >> 1), high | last)


@njit(cache=True, nogil=True)
def encode_dat(events, state, words):
    """Events to DAT: words (N, 2) uint32."""
    made = min(events.size, words.shape[0])
    for k in range(made):
        event = events[k]
        words[k, 0] = event.t
        words[k, 1] = np.int64(event.p) << 28 | np.int64(event.y) << 14 | np.int64(event.x)
    return made, made
