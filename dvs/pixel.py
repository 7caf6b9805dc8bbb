"""The pixel, solved in continuous time.

Between two frames the log luminance is a straight line, L(t) = a + b t. Everything below is
exact for that line, so an event does not depend on how often the scene was sampled:

* the photoreceptor is a first-order low-pass with time constant tau:
  v(t) = a + b (t - tau) + (v0 - a + b tau) exp(-t / tau);
* the change amplifier remembers r, which leaks towards ON: r(t) = r0 - leak t;
* an event is the first root of v - r = theta_on or of v - r = -theta_off. The difference has
  at most one turning point; on each side of it the root is bracketed and found by Newton;
* for the refractory time after an event the pixel is blind; then r = v (Lichtsteiner, Posch
  & Delbruck 2008; iniVation, "User guide: biasing"), and bandwidth, leak and noise are taken
  at the light of that moment: the operating point the circuit is linearised around;
* shot noise is a race: a fuse of exponential length burns with the hazard of `dvs.noise`,
  and whichever comes first, root or end of the fuse, is the event.

Pixels are independent, so they are worked through tile by tile, several frames at a time, while
the state of a tile stays in the processor's cache. Loops that the compiler vectorises move every
pixel by one frame and find those in which something happens; only these are solved.
"""

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

from dvs.draws import exponential, normal, uniform
from dvs.noise import LAW_ATTEMPTS, LAW_BOOST, LAW_LEAK, LAW_OFF, LAW_ON, LAW_RATE, LAW_STEPS_PER_LN

TILE = 1056
"""Pixels worked through together: few enough for their state to stay in the second-level cache, and no power of two,
which would send all fields of a pixel to the same few lines of a cache."""

# A tile's state is two blocks of (field, TILE). Double precision carries the microsecond:
PHOTORECEPTOR, MEMORY, LIGHT, HOLD, FUSE = (np.uint64(field * TILE) for field in range(5))
WIDE_FIELDS = 5
# what it was at the start of the frame interval is kept in the worker's copy only.
PHOTORECEPTOR_BEFORE, MEMORY_BEFORE, LIGHT_BEFORE = (np.uint64(field * TILE) for field in range(5, 8))
WIDE_WORK_FIELDS = 8
# Single precision describes the pixel. Thresholds are relative to the nominal ones, so that a
# sensor without mismatch has exactly the thresholds that were asked for.
THETA_ON, THETA_OFF, RATE, LEAK, ATTEMPTS = (np.uint64(field * TILE) for field in range(5))
NOISE_ON, NOISE_OFF, RATE_FACTOR, LEAK_FACTOR, NOISE_FACTOR = (np.uint64(field * TILE) for field in range(5, 10))
NARROW_FIELDS = 10
# Least distance of v - r to either threshold within the frame, ln units.
NEAR_ON, NEAR_OFF = np.uint64(10 * TILE), np.uint64(11 * TILE)
NARROW_WORK_FIELDS = 12

# Lanes: the pixels of a tile in which something happens, side by side, in double precision.
# Where a lane stands within the frame interval, and what holds until its next event:
NOW, V, R, A, B, TH_ON, TH_OFF, FUEL = (np.uint64(field * TILE) for field in range(8))
K, DRIFT, FIRE, C_ON, C_OFF, K_FACTOR, DRIFT_FACTOR, FIRE_FACTOR = (np.uint64(field * TILE) for field in range(8, 16))
# The way ahead: v - r = X + SLOPE w + BEND (exp(-K w) - 1), to END after SPAN, the end of the frame;
# HAZARD, the highest on that way, HAZARD_ON and HAZARD_OFF, those when the fuse ends; WAIT, until the next event.
X, SLOPE, BEND, SPAN, END, NEAREST_ON, NEAREST_OFF = (np.uint64(field * TILE) for field in range(16, 23))
HAZARD, HAZARD_ON, HAZARD_OFF, WAIT = (np.uint64(field * TILE) for field in range(23, 27))
LANE_FIELDS = 27
LANES_AT_ONCE = 32
"""Vectorised loops take whole groups of lanes, the last one filled up with stale ones: a rest of a group would be
worked through one by one, at ten times the cost."""

NO_EVENT, OFF, ON, UNSOLVED = -1, 0, 1, 2
ASLEEP, DISTURBED, REACHING = 0, 1, 2

# Draws that describe the pixel itself; those in time count up from 0, so the two never meet.
# A normal number takes two.
_FIXED = 1 << 40
DRAW_THETA_ON, DRAW_THETA_OFF, DRAW_CUTOFF, DRAW_LEAK, DRAW_NOISE = range(_FIXED, _FIXED + 10, 2)
DRAW_LEAK_PHASE, DRAW_HOT = _FIXED + 10, _FIXED + 11

LOWEST_THETA = 0.1
"""Lowest threshold that mismatch makes of a pixel, relative to the nominal one."""

# a * b + c in one instruction, and nothing else of "fast maths".
_FUSED = {"contract"}

_PRECISION_US = 1e-6
_PRECISION_LN = 1e-10
_ROUNDING = np.float32(1e-6)
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
# Unsigned, like the fields: Numba asks of a signed index whether it counts from the end.
_TILE = np.uint64(TILE)
_NEXT = np.uint64(1)


def _light(value, table):
    """Log luminance of a frame's number: itself if it is a float, else looked up by its code."""
    raise NotImplementedError


@overload(_light, inline="always")
def _light_of_kind(value, table):
    if isinstance(value, types.Float):
        return lambda value, table: value
    return lambda value, table: table[value]


@njit(cache=True, nogil=True, inline="always", error_model="numpy", fastmath=_FUSED)
def _exp_minus(x):
    """exp(-x) for x >= 0, to 1e-12 of its value at 0, in a form that the compiler vectorises."""
    x = min(x, 40.0) * (1 / 128)
    p = 1 / 720
    p = p * x - 1 / 120
    p = p * x + 1 / 24
    p = p * x - 1 / 6
    p = p * x + 1 / 2
    p = p * x - 1.0
    p = p * x + 1.0
    for _ in range(7):
        p *= p
    return p


@njit(cache=True, nogil=True, inline="always", error_model="numpy", fastmath=_FUSED)
def _exp_minus_single(x):
    """exp(-x) for x >= 0 in single precision, to 1e-4: enough for a hazard."""
    x = min(x, np.float32(60.0)) * np.float32(1 / 64)
    p = np.float32(1 / 24)
    p = p * x - np.float32(1 / 6)
    p = p * x + np.float32(1 / 2)
    p = p * x - _ONE
    p = p * x + _ONE
    for _ in range(6):
        p *= p
    return p


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _sweep(wide, narrow, theta_on, theta_off, dt):
    """Move the tile by `dt` us as if nothing happened, noting how near v - r comes to each threshold.

    v is monotone unless it crosses the light; then it stays between v0 and
    v0 + (extreme light - v0) (1 - exp(-dt / tau)).
    """
    per_us = 1.0 / dt
    for i in range(_TILE):
        light, light_next = wide[LIGHT_BEFORE + i], wide[LIGHT + i]
        v, memory = wide[PHOTORECEPTOR + i], wide[MEMORY + i]
        decay = _exp_minus(narrow[RATE + i] * dt)
        # One over a single-precision number, in single precision: a tenth of the time, and exact enough.
        lag = (light_next - light) * per_us * (_ONE / narrow[RATE + i])
        v_next = light_next - lag + (v - light + lag) * decay
        monotone = (light - v) * (light_next - v_next) >= 0.0
        highest = v + max(max(light, light_next) - v, 0.0) * (1.0 - decay)
        lowest = v + min(min(light, light_next) - v, 0.0) * (1.0 - decay)
        highest = max(v, v_next) if monotone else highest
        lowest = min(v, v_next) if monotone else lowest
        drift = narrow[LEAK + i] * dt
        narrow[NEAR_ON + i] = narrow[THETA_ON + i] * theta_on - (highest + drift - memory)
        narrow[NEAR_OFF + i] = narrow[THETA_OFF + i] * theta_off - (memory - lowest)
        wide[PHOTORECEPTOR_BEFORE + i] = v
        wide[MEMORY_BEFORE + i] = memory
        wide[PHOTORECEPTOR + i] = v_next
        wide[MEMORY + i] = memory - drift


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _wake(wide, narrow, awake, dt, noisy):
    """Say of each pixel whether it sleeps, is noisy or blind, or comes to a threshold; burn the fuses.

    A fuse burns at the highest hazard within the frame; it is long enough, or the pixel wakes.
    """
    single_dt = np.float32(dt)
    for i in range(_TILE):
        near_on, near_off = narrow[NEAR_ON + i], narrow[NEAR_OFF + i]
        reaches = (near_on < _ROUNDING) | (near_off < _ROUNDING)
        disturbed = wide[HOLD + i] > 0.0
        if noisy:
            near_on, near_off = max(near_on, _ZERO), max(near_off, _ZERO)
            hazard = _exp_minus_single(narrow[NOISE_ON + i] * near_on * near_on)
            hazard += _exp_minus_single(narrow[NOISE_OFF + i] * near_off * near_off)
            burnt = narrow[ATTEMPTS + i] * single_dt * hazard
            disturbed |= burnt >= wide[FUSE + i]
            wide[FUSE + i] -= _ZERO if reaches | disturbed else burnt
        awake[i] = REACHING if reaches else (DISTURBED if disturbed else ASLEEP)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _root(x, slope, transient, k, level, low, high):
    """The w in [low, high] where x + slope w + transient (exp(-k w) - 1) passes `level`.

    Newton's method from the root of the straight part, kept inside a shrinking bracket.
    """
    rising = x + slope * high + transient * (math.exp(-k * high) - 1.0) >= level
    w = min(max((level - x + transient) / slope, low), high) if slope != 0.0 else high
    for _ in range(60):
        decay = math.exp(-k * w)
        miss = x + slope * w + transient * (decay - 1.0) - level
        if (miss >= 0.0) == rising:
            high = w
        else:
            low = w
        step = miss / (slope - k * transient * decay)
        guess = w - step
        if not (low <= guess <= high):
            guess = 0.5 * (low + high)
        elif abs(step) < _PRECISION_US:
            return guess
        if high - low < _PRECISION_US:
            return guess
        w = guess
    return w


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _crossing(x, slope, transient, k, span, theta_on, theta_off):
    """First time in [0, span] at which x + slope w + transient (exp(-k w) - 1) leaves the thresholds.

    Returns (time, polarity), or (span, NO_EVENT).
    """
    if x >= theta_on:
        return 0.0, ON
    if x <= -theta_off:
        return 0.0, OFF
    turn = span
    ratio = k * transient / slope if slope != 0.0 else 0.0
    if ratio > 1.0:
        turn = min(math.log(ratio) / k, span)
    start = 0.0
    for end in (turn, span):
        at_end = x + slope * end + transient * (math.exp(-k * end) - 1.0)
        if at_end >= theta_on:
            return _root(x, slope, transient, k, theta_on, start, end), ON
        if at_end <= -theta_off:
            return _root(x, slope, transient, k, -theta_off, start, end), OFF
        if end == span:
            break
        start = end
    return span, NO_EVENT


@njit(cache=True, nogil=True, inline="always", error_model="numpy", fastmath=_FUSED)
def _law(laws, column, place):
    """The law in this column, `place` rows down its table (a fraction lies in between)."""
    row = np.uint64(min(place, laws.shape[0] - 2.0))
    return laws[row, column] + (place - row) * (laws[row + _NEXT, column] - laws[row, column])


@njit(cache=True, nogil=True, inline="always", error_model="numpy", fastmath=_FUSED)
def _attempts(laws, place, factor):
    """The f0 of a pixel `factor` times as noisy as the law says; below 0 it is hot, its rate -factor at any light."""
    return _law(laws, LAW_ATTEMPTS, place) * factor if factor >= 0.0 else -_law(laws, LAW_BOOST, place) * factor


@njit(cache=True, nogil=True, inline="always", error_model="numpy", fastmath=_FUSED)
def _place(laws, lowest, light):
    return min(max((light - lowest) * LAW_STEPS_PER_LN, 0.0), laws.shape[0] - 1.0)


@njit(cache=True, nogil=True, inline="always", error_model="numpy", fastmath=_FUSED)
def _load_lane(j, i, wide, narrow, lanes, nominal_on, nominal_off, per_us):
    """Copy pixel `i`, as it was at the start of the frame interval, into lane `j`."""
    theta_on = narrow[THETA_ON + i] * nominal_on
    lanes[NOW + j] = 0.0
    lanes[V + j] = wide[PHOTORECEPTOR_BEFORE + i]
    lanes[R + j] = wide[MEMORY_BEFORE + i]
    lanes[A + j] = wide[LIGHT_BEFORE + i]
    lanes[B + j] = (wide[LIGHT + i] - wide[LIGHT_BEFORE + i]) * per_us
    lanes[TH_ON + j] = theta_on
    lanes[TH_OFF + j] = narrow[THETA_OFF + i] * nominal_off
    lanes[FUEL + j] = wide[FUSE + i]
    lanes[K + j] = narrow[RATE + i]
    lanes[DRIFT + j] = narrow[LEAK + i]
    lanes[FIRE + j] = narrow[ATTEMPTS + i]
    lanes[C_ON + j] = narrow[NOISE_ON + i]
    lanes[C_OFF + j] = narrow[NOISE_OFF + i]
    lanes[K_FACTOR + j] = narrow[RATE_FACTOR + i]
    lanes[DRIFT_FACTOR + j] = narrow[LEAK_FACTOR + i] * theta_on
    lanes[FIRE_FACTOR + j] = narrow[NOISE_FACTOR + i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _store_lane(j, i, wide, narrow, lanes, dt):
    """Copy lane `j`, which has reached the end of the frame interval, back to pixel `i`."""
    wide[PHOTORECEPTOR + i] = lanes[V + j]
    wide[MEMORY + i] = lanes[R + j]
    wide[HOLD + i] = max(lanes[NOW + j] - dt, 0.0)
    wide[FUSE + i] = lanes[FUEL + j]
    narrow[RATE + i] = lanes[K + j]
    narrow[LEAK + i] = lanes[DRIFT + j]
    narrow[ATTEMPTS + i] = lanes[FIRE + j]
    narrow[NOISE_ON + i] = lanes[C_ON + j]
    narrow[NOISE_OFF + i] = lanes[C_OFF + j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _operate(lanes, count, kinds, laws, lowest, dt):
    """Set bandwidth, leak and noise of lanes that see again after an event to those at this light."""
    for j in range(np.uint64(count)):
        place = _place(laws, lowest, lanes[A + j] + lanes[B + j] * lanes[NOW + j])
        event = (kinds[j] != NO_EVENT) & (lanes[NOW + j] < dt)
        lanes[K + j] = _law(laws, LAW_RATE, place) * lanes[K_FACTOR + j] if event else lanes[K + j]
        lanes[DRIFT + j] = _law(laws, LAW_LEAK, place) * lanes[DRIFT_FACTOR + j] if event else lanes[DRIFT + j]
        lanes[FIRE + j] = _attempts(laws, place, lanes[FIRE_FACTOR + j]) if event else lanes[FIRE + j]
        # The kernels measure distance in ln units, so c is that over the square of the threshold.
        c_on = _law(laws, LAW_ON, place) / lanes[TH_ON + j] ** 2
        c_off = _law(laws, LAW_OFF, place) / lanes[TH_OFF + j] ** 2
        lanes[C_ON + j] = c_on if event else lanes[C_ON + j]
        lanes[C_OFF + j] = c_off if event else lanes[C_OFF + j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _end_blindness(lanes, count, hold, kinds, dt):
    """Take lanes that are blind for `hold` us, (count,), to where they see again; like after an event."""
    for j in range(np.uint64(count)):
        blind = hold[j] > 0.0
        way = min(hold[j], dt)
        lag = lanes[B + j] * (_ONE / np.float32(lanes[K + j]))
        v = (
            lanes[A + j]
            + lanes[B + j] * way
            - lag
            + (lanes[V + j] - lanes[A + j] + lag) * _exp_minus(lanes[K + j] * way)
        )
        lanes[V + j] = v
        lanes[R + j] = v if blind else lanes[R + j]
        lanes[NOW + j] = hold[j]
        kinds[j] = ON if blind else NO_EVENT


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _look_ahead(lanes, count, dt, noisy):
    """The way of each lane to the end of the frame, how near it comes to the thresholds, its hazard."""
    for j in range(np.uint64(count)):
        now, v, k, b = lanes[NOW + j], lanes[V + j], lanes[K + j], lanes[B + j]
        span = max(dt - now, 0.0)
        bend = v - (lanes[A + j] + b * now) + b * (_ONE / np.float32(k))
        slope = b + lanes[DRIFT + j]
        x = v - lanes[R + j]
        decay = _exp_minus(k * span)
        run, settled = slope * span, bend * (decay - 1.0)
        end = x + run + settled
        straight = (slope - k * bend) * (slope - k * bend * decay) >= 0.0
        highest = max(x, end) if straight else x + max(run, 0.0) + max(settled, 0.0)
        lowest = min(x, end) if straight else x + min(run, 0.0) + min(settled, 0.0)
        lanes[X + j] = x
        lanes[SLOPE + j] = slope
        lanes[BEND + j] = bend
        lanes[SPAN + j] = span
        lanes[END + j] = end
        nearest_on, nearest_off = lanes[TH_ON + j] - highest, lanes[TH_OFF + j] + lowest
        lanes[NEAREST_ON + j] = nearest_on
        lanes[NEAREST_OFF + j] = nearest_off
        hazard = 0.0
        if noisy:
            nearest_on, nearest_off = max(nearest_on, 0.0), max(nearest_off, 0.0)
            hazard = _exp_minus(lanes[C_ON + j] * nearest_on * nearest_on)
            hazard += _exp_minus(lanes[C_OFF + j] * nearest_off * nearest_off)
        lanes[HAZARD + j] = lanes[FIRE + j] * hazard


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _store_quiet(lanes, count, lane_pixels, wide, narrow, dt):
    """Store the lanes to which nothing more happens within the frame; the others move up: their number."""
    left = np.uint64(0)
    for j in range(np.uint64(count)):
        span, burnt = lanes[SPAN + j], lanes[SPAN + j] * lanes[HAZARD + j]
        near = (lanes[NEAREST_ON + j] <= 0.0) | (lanes[NEAREST_OFF + j] <= 0.0)
        if near | (burnt >= lanes[FUEL + j]):
            if left < j:
                for field in range(np.uint64(0), np.uint64(LANE_FIELDS * TILE), _TILE):
                    lanes[field + left] = lanes[field + j]
                lane_pixels[left] = lane_pixels[j]
            left += _NEXT
            continue
        leaked = lanes[DRIFT + j] * span
        lanes[V + j] += lanes[END + j] - lanes[X + j] - leaked
        lanes[R + j] -= leaked
        lanes[FUEL + j] -= burnt
        _store_lane(j, lane_pixels[j], wide, narrow, lanes, dt)
    return np.int64(left)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _cross(lanes, count, kinds):
    """When each lane first meets a threshold: WAIT and kind; NO_EVENT and all of the span if it does not.

    On a monotone way the root is found by three Newton steps from the inverse Hermite cubic
    (slopes limited after Fritsch & Carlson 1980, so that it stays inside); lanes for which that is
    not enough, and ways that turn round, are left UNSOLVED.
    """
    for j in range(np.uint64(count)):
        k, x, slope, bend, end = lanes[K + j], lanes[X + j], lanes[SLOPE + j], lanes[BEND + j], lanes[END + j]
        span = lanes[SPAN + j]
        on, off = end >= lanes[TH_ON + j], end <= -lanes[TH_OFF + j]
        level = lanes[TH_ON + j] if on else -lanes[TH_OFF + j]
        decay = _exp_minus(k * span)
        speed, end_speed = slope - k * bend, slope - k * bend * decay
        straight = speed * end_speed >= 0.0
        part = (level - x) / (end - x)
        steep = min(max((end - x) / (speed * span), 0.0), 3.0)
        end_steep = min(max((end - x) / (end_speed * span), 0.0), 3.0)
        rest = 1.0 - part
        w = span * (part * part * (3.0 - 2.0 * part) + part * rest * (steep * rest - end_steep * part))
        step = 0.0
        for _ in range(3):
            decay = _exp_minus(k * w)
            speed = slope - k * bend * decay
            step = (x + slope * w + bend * (decay - 1.0) - level) / speed
            w = min(max(w - step, 0.0), span)
        # After its last step Newton's error is about k step^2; what is left of it in level, the memory keeps.
        left = k * step * step
        good = (left < 1e-3) & (left * abs(speed) < _PRECISION_LN)
        near = (lanes[NEAREST_ON + j] <= 0.0) | (lanes[NEAREST_OFF + j] <= 0.0)
        solved = straight & (on | off) & good
        lanes[WAIT + j] = w if solved else span
        kinds[j] = (ON if on else OFF) if solved else (UNSOLVED if near else NO_EVENT)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _candidates(lanes, count):
    """Hazards of ON and OFF at the moment at which each lane's fuse ends."""
    for j in range(np.uint64(count)):
        w = lanes[FUEL + j] / lanes[HAZARD + j]
        level = lanes[X + j] + lanes[SLOPE + j] * w + lanes[BEND + j] * (_exp_minus(lanes[K + j] * w) - 1.0)
        to_on, to_off = max(lanes[TH_ON + j] - level, 0.0), max(lanes[TH_OFF + j] + level, 0.0)
        lanes[HAZARD_ON + j] = lanes[FIRE + j] * _exp_minus(lanes[C_ON + j] * to_on * to_on)
        lanes[HAZARD_OFF + j] = lanes[FIRE + j] * _exp_minus(lanes[C_OFF + j] * to_off * to_off)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _race(lanes, count, kinds, lane_pixels, first, draws, seed):
    """Shot noise against signal: whichever comes first is the lane's event.

    Thinning (Lewis & Shedler 1979, "Simulation of nonhomogeneous Poisson processes by thinning"):
    candidates come at the highest hazard of the way ahead, and each is real with the probability
    that its own hazard is of the highest. That is exact for any way. After a false candidate the lane
    goes on from there.
    """
    for j in range(np.uint64(count)):
        w = lanes[FUEL + j] / lanes[HAZARD + j]
        if w >= lanes[WAIT + j]:
            lanes[FUEL + j] -= lanes[WAIT + j] * lanes[HAZARD + j]
            continue
        i = np.int64(lane_pixels[j])
        lot = uniform(seed, first + i, draws[i]) * lanes[HAZARD + j]
        lanes[FUEL + j] = exponential(seed, first + i, draws[i] + 1)
        draws[i] += 2
        on, off = lanes[HAZARD_ON + j], lanes[HAZARD_OFF + j]
        lanes[WAIT + j] = w
        kinds[j] = ON if lot < on else (OFF if lot < on + off else NO_EVENT)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _go(lanes, count, kinds, dt, refractory_us):
    """Move each lane to its event and on to where it sees again, or to the end of the frame."""
    for j in range(np.uint64(count)):
        event = kinds[j] != NO_EVENT
        now, wait = lanes[NOW + j], lanes[WAIT + j]
        then = now + wait + refractory_us if event else max(now, min(now + wait, dt))
        way = max(min(then, dt) - now, 0.0)
        v = lanes[V + j] + lanes[B + j] * way + lanes[BEND + j] * (_exp_minus(lanes[K + j] * way) - 1.0)
        lanes[R + j] = v if event else lanes[R + j] - lanes[DRIFT + j] * wait
        lanes[V + j] = v
        lanes[NOW + j] = then


@njit(cache=True, nogil=True, inline="always")
def _whole(count):
    return (np.int64(count) + LANES_AT_ONCE - 1) // LANES_AT_ONCE * LANES_AT_ONCE


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _solve(
    lanes, count, reaching, lane_pixels, kinds, wide, narrow, draws, first, laws, lowest,
    t0, dt, refractory_us, seed, noisy, out_t, out_address, emitted,
):  # fmt: skip
    """All events of the lanes within one frame interval; returns how many were emitted by now.

    Each round takes every lane to its next event. In the first one only the lanes in front, `reaching`
    in number, can meet a threshold.
    """
    _look_ahead(lanes, _whole(count), dt, noisy)
    while count > 0:
        _cross(lanes, _whole(reaching), kinds)
        for j in range(np.uint64(reaching)):
            if kinds[j] == UNSOLVED:
                lanes[WAIT + j], kinds[j] = _crossing(
                    lanes[X + j], lanes[SLOPE + j], lanes[BEND + j], lanes[K + j], lanes[SPAN + j],
                    lanes[TH_ON + j], lanes[TH_OFF + j],
                )  # fmt: skip
        for j in range(np.uint64(reaching), np.uint64(count)):
            lanes[WAIT + j] = lanes[SPAN + j]
            kinds[j] = NO_EVENT
        if noisy:
            _candidates(lanes, _whole(count))
            _race(lanes, count, kinds, lane_pixels, first, draws, seed)
        for j in range(np.uint64(count)):
            if emitted < out_t.size:
                out_t[emitted] = np.int64(np.rint(t0 + lanes[NOW + j] + lanes[WAIT + j]))
                out_address[emitted] = 2 * (first + np.int64(lane_pixels[j])) + kinds[j]
            emitted += np.int64(kinds[j] != NO_EVENT)
        _go(lanes, _whole(count), kinds, dt, refractory_us)
        _operate(lanes, count, kinds, laws, lowest, dt)
        _look_ahead(lanes, _whole(count), dt, noisy)
        count = reaching = _store_quiet(lanes, count, lane_pixels, wide, narrow, dt)
    return emitted


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def advance_tiles(
    tiles, frames, table, times_us, state_wide, state_narrow, state_draws,
    pixels, laws, lowest, seed, noisy, out_t, out_address, ends,
):  # fmt: skip
    """The tiles named in `tiles`, one after the other, through all frame intervals of a chunk.

    frames: (F, N) codes or log luminances at times_us[1:], the state being that at times_us[0]. pixels:
    (theta_on, theta_off, refractory_us). Events of a tile go to its row of out_t (us) and out_address
    (2 * pixel + polarity); those of interval f end at ends[tile, f]. If they are more than fit, the state
    of the tile is left as it was: call again with more room.
    """
    theta_on, theta_off, refractory_us = pixels
    wide = np.zeros(WIDE_WORK_FIELDS * TILE)
    narrow = np.zeros(NARROW_WORK_FIELDS * TILE, np.float32)
    awake = np.empty(TILE, np.int8)
    lanes = np.zeros(LANE_FIELDS * TILE)
    lane_pixels = np.empty(TILE + 1, np.uint64)
    kinds = np.zeros(TILE, np.int8)
    hold = np.zeros(TILE)
    for tile in tiles:
        wide[: WIDE_FIELDS * TILE] = state_wide[tile]
        narrow[: NARROW_FIELDS * TILE] = state_narrow[tile]
        draws = state_draws[tile].copy()
        first = tile * TILE
        size = min(TILE, frames.shape[1] - first)
        emitted = 0
        for f in range(frames.shape[0]):
            t0 = times_us[f]
            dt = times_us[f + 1] - t0
            picture = frames[f, first : first + size]
            for i in range(np.uint64(size)):
                wide[LIGHT_BEFORE + i] = wide[LIGHT + i]
                wide[LIGHT + i] = _light(picture[i], table)
            _sweep(wide, narrow, theta_on, theta_off, dt)
            _wake(wide, narrow, awake, dt, noisy)
            # Without branches: which pixels are awake cannot be predicted.
            count = np.uint64(0)
            reaching = count
            for wanted in (REACHING, DISTURBED):
                for i in range(np.uint64(size)):
                    lane_pixels[count] = i
                    count += np.uint64(awake[i] == wanted)
                if wanted == REACHING:
                    reaching = count
            blind = False
            for j in range(count):
                i = lane_pixels[j]
                hold[j] = wide[HOLD + i]
                blind |= hold[j] > 0.0
                _load_lane(j, i, wide, narrow, lanes, theta_on, theta_off, 1.0 / dt)
            if blind:
                _end_blindness(lanes, _whole(count), hold, kinds, dt)
                _operate(lanes, count, kinds, laws, lowest, dt)
                reaching = count
            emitted = _solve(
                lanes, count, reaching, lane_pixels, kinds, wide, narrow, draws, first, laws, lowest,
                t0, dt, refractory_us, seed, noisy, out_t[tile], out_address[tile], emitted,
            )  # fmt: skip
            ends[tile, f] = emitted
        if emitted <= out_t.shape[1]:
            state_wide[tile] = wide[: WIDE_FIELDS * TILE]
            state_narrow[tile] = narrow[: NARROW_FIELDS * TILE]
            state_draws[tile] = draws


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def _spread(deviation, seed, pixel, draw):
    return deviation * normal(seed, pixel, draw) if deviation > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
def start_tiles(tiles, frame, table, wide, narrow, draws, pixels, spreads, still_us, hot, laws, lowest, seed):
    """Pixels that have watched the first frame for `still_us`: settled, with a random phase of their leak.

    Fixed pattern, drawn once from the seed. spreads: standard deviations of (theta_on, theta_off)
    relative to the nominal thresholds, of ln(bandwidth), of ln(leak rate), of ln(noise rate); the
    last two keep the mean rate. hot: (share of hot pixels, their rate while they see, 1/us).
    """
    for tile in tiles:
        w, n = wide[tile], narrow[tile]
        # Pixels that only fill up the last tile never wake.
        w[:] = 0.0
        n[:] = 0.0
        for i in range(_TILE):
            n[THETA_ON + i] = n[THETA_OFF + i] = n[RATE + i] = 1.0
            w[FUSE + i] = np.inf
        for i in range(np.uint64(min(TILE, frame.size - tile * TILE))):
            pixel = tile * TILE + np.int64(i)
            n[THETA_ON + i] = max(1.0 + _spread(spreads[0], seed, pixel, DRAW_THETA_ON), LOWEST_THETA)
            n[THETA_OFF + i] = max(1.0 + _spread(spreads[1], seed, pixel, DRAW_THETA_OFF), LOWEST_THETA)
            n[RATE_FACTOR + i] = math.exp(_spread(spreads[2], seed, pixel, DRAW_CUTOFF))
            n[LEAK_FACTOR + i] = math.exp(_spread(spreads[3], seed, pixel, DRAW_LEAK) - 0.5 * spreads[3] ** 2)
            n[NOISE_FACTOR + i] = math.exp(_spread(spreads[4], seed, pixel, DRAW_NOISE) - 0.5 * spreads[4] ** 2)
            if uniform(seed, pixel, DRAW_HOT) < hot[0]:
                n[NOISE_FACTOR + i] = -hot[1]
            w[FUSE + i] = exponential(seed, pixel, 0)
            draws[tile, i] = 1
            light = _light(frame[pixel], table)
            w[LIGHT + i] = w[PHOTORECEPTOR + i] = w[MEMORY + i] = light
            place = _place(laws, lowest, light)
            n[RATE + i] = _law(laws, LAW_RATE, place) * n[RATE_FACTOR + i]
            n[LEAK + i] = _law(laws, LAW_LEAK, place) * n[LEAK_FACTOR + i] * n[THETA_ON + i] * pixels[0]
            n[ATTEMPTS + i] = _attempts(laws, place, n[NOISE_FACTOR + i])
            n[NOISE_ON + i] = _law(laws, LAW_ON, place) / (n[THETA_ON + i] * pixels[0]) ** 2
            n[NOISE_OFF + i] = _law(laws, LAW_OFF, place) / (n[THETA_OFF + i] * pixels[1]) ** 2
            # The last event was at any time since the scene became still; a whole cycle of the leak at most.
            leaked = min(n[LEAK + i] * still_us, n[THETA_ON + i] * pixels[0])
            w[MEMORY + i] -= uniform(seed, pixel, DRAW_LEAK_PHASE) * leaked
