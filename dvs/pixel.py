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
from dvs.noise import LAW_STEPS_PER_LN

TILE = 2048
"""Pixels worked through together: at 76 bytes each their state stays in the second-level cache."""

# A tile's state is two blocks of (field, TILE). Double precision carries the microsecond:
PHOTORECEPTOR, MEMORY, LIGHT = 0 * TILE, 1 * TILE, 2 * TILE
WIDE_FIELDS = 3
# The next two live in the worker's copy only: light and photoreceptor at the end of the frame.
LIGHT_NEXT, PHOTORECEPTOR_NEXT = 3 * TILE, 4 * TILE
WIDE_WORK_FIELDS = 5
# Single precision describes the pixel. Thresholds are relative to the nominal ones, so that a
# sensor without mismatch has exactly the thresholds that were asked for.
THETA_ON, THETA_OFF, RATE, LEAK, HOLD = 0 * TILE, 1 * TILE, 2 * TILE, 3 * TILE, 4 * TILE
FUSE, ATTEMPTS, NOISE_ON, NOISE_OFF = 5 * TILE, 6 * TILE, 7 * TILE, 8 * TILE
RATE_FACTOR, LEAK_FACTOR, NOISE_LOG_FACTOR = 9 * TILE, 10 * TILE, 11 * TILE
NARROW_FIELDS = 12
# Least distance to either threshold within the frame (1: a full threshold away, 0: reached).
NEAR_ON, NEAR_OFF = 12 * TILE, 13 * TILE
NARROW_WORK_FIELDS = 14

NO_EVENT, OFF, ON = -1, 0, 1

# Draws that describe the pixel itself; those in time count up from 0, so the two never meet.
# A normal number takes two.
_FIXED = 1 << 40
DRAW_THETA_ON, DRAW_THETA_OFF, DRAW_CUTOFF, DRAW_LEAK, DRAW_NOISE = range(_FIXED, _FIXED + 10, 2)
DRAW_LEAK_PHASE, DRAW_HOT = _FIXED + 10, _FIXED + 11

LOWEST_THETA = 0.1
"""Lowest threshold that mismatch makes of a pixel, relative to the nominal one."""

_PRECISION_US = 1e-3
_ROUNDING = np.float32(1e-5)
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)


def _light(value, table):
    """Log luminance of a frame's number: itself if it is a float, else looked up by its code."""
    raise NotImplementedError


@overload(_light, inline="always")
def _light_of_kind(value, table):
    if isinstance(value, types.Float):
        return lambda value, table: value
    return lambda value, table: table[value]


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _exp_minus(x):
    """exp(-x) for 0 <= x <= 40, to 1e-10, in a form that the compiler vectorises."""
    x *= 1.0 / 1024.0
    p = 1.0 - x * (1.0 - x * (1 / 2) * (1.0 - x * (1 / 3) * (1.0 - x * (1 / 4) * (1.0 - x * (1 / 5)))))
    for _ in range(10):
        p *= p
    return p


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _exp_minus_single(x):
    """exp(-x) for x >= 0 in single precision, to 1e-4: enough for a hazard."""
    x = min(x, np.float32(80.0)) * np.float32(1 / 128)
    p = _ONE - x * (_ONE - x * np.float32(1 / 2) * (_ONE - x * np.float32(1 / 3) * (_ONE - x * np.float32(1 / 4))))
    for _ in range(7):
        p *= p
    return p


@njit(cache=True, nogil=True, error_model="numpy")
def _sweep(wide, narrow, theta_on, theta_off, dt):
    """Move the tile by `dt` us as if nothing happened, noting how near v - r comes to each threshold.

    v is monotone unless it crosses the light; then it stays between v0 and
    v0 + (extreme light - v0) (1 - exp(-dt / tau)).
    """
    to_on, to_off = 1.0 / theta_on, 1.0 / theta_off
    for i in range(TILE):
        light, light_next = wide[LIGHT + i], wide[LIGHT_NEXT + i]
        v, memory = wide[PHOTORECEPTOR + i], wide[MEMORY + i]
        x = narrow[RATE + i] * dt
        decay = _exp_minus(min(x, 40.0))
        lag = (light_next - light) / x
        v_next = light_next - lag + (v - light + lag) * decay
        wide[PHOTORECEPTOR_NEXT + i] = v_next
        monotone = (light - v) * (light_next - v_next) >= 0.0
        highest = v + max(max(light, light_next) - v, 0.0) * (1.0 - decay)
        lowest = v + min(min(light, light_next) - v, 0.0) * (1.0 - decay)
        highest = max(v, v_next) if monotone else highest
        lowest = min(v, v_next) if monotone else lowest
        highest += narrow[LEAK + i] * dt
        narrow[NEAR_ON + i] = 1.0 - (highest - memory) * to_on / narrow[THETA_ON + i]
        narrow[NEAR_OFF + i] = 1.0 - (memory - lowest) * to_off / narrow[THETA_OFF + i]


@njit(cache=True, nogil=True, error_model="numpy")
def _wake(narrow, awake, dt, noisy):
    """Mark the pixels in which something can happen; burn the fuses at their highest hazard."""
    single_dt = np.float32(dt)
    for i in range(TILE):
        near_on, near_off = narrow[NEAR_ON + i], narrow[NEAR_OFF + i]
        awake[i] = (near_on < _ROUNDING) | (near_off < _ROUNDING) | (narrow[HOLD + i] > _ZERO)
        if noisy:
            near_on, near_off = max(near_on, _ZERO), max(near_off, _ZERO)
            hazard = _exp_minus_single(narrow[NOISE_ON + i] * near_on * near_on)
            hazard += _exp_minus_single(narrow[NOISE_OFF + i] * near_off * near_off)
            burnt = narrow[ATTEMPTS + i] * single_dt * hazard
            awake[i] |= burnt >= narrow[FUSE + i]
            narrow[FUSE + i] -= _ZERO if awake[i] else burnt


@njit(cache=True, nogil=True, error_model="numpy")
def _settle(wide, narrow, awake, dt):
    """Take over the sweep's result for every pixel that slept; the others have been solved."""
    for i in range(TILE):
        wide[LIGHT + i] = wide[LIGHT_NEXT + i]
        wide[PHOTORECEPTOR + i] = wide[PHOTORECEPTOR + i] if awake[i] else wide[PHOTORECEPTOR_NEXT + i]
        wide[MEMORY + i] -= 0.0 if awake[i] else narrow[LEAK + i] * dt


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _hazards(level, theta_on, theta_off, c_on, c_off):
    """exp(-c u^2) of an ON and of an OFF event when v - r is at `level`."""
    to_on, to_off = max(1.0 - level / theta_on, 0.0), max(1.0 + level / theta_off, 0.0)
    return math.exp(-c_on * to_on * to_on), math.exp(-c_off * to_off * to_off)


@njit(cache=True, nogil=True, error_model="numpy")
def _race(i, pixel, x, slope, transient, k, span, theta_on, theta_off, narrow, draws, seed):
    """First noise event within [0, span]: (time, polarity), or (span, NO_EVENT).

    Thinning (Lewis & Shedler 1979, "Simulation of nonhomogeneous Poisson processes by thinning"):
    candidates come at the highest hazard that the path can meet; each is real with the
    probability that its own hazard is of the highest. Exact for any path.
    """
    c_on, c_off = np.float64(narrow[NOISE_ON + i]), np.float64(narrow[NOISE_OFF + i])
    drift = slope * span
    settled = transient * (math.exp(-k * span) - 1.0)
    end = x + drift + settled
    start_slope, end_slope = slope - k * transient, slope - k * (transient + settled)
    highest, lowest = max(x, end), min(x, end)
    if start_slope * end_slope < 0.0:
        highest = x + max(drift, 0.0) + max(settled, 0.0)
        lowest = x + min(drift, 0.0) + min(settled, 0.0)
    highest_on, _ = _hazards(highest, theta_on, theta_off, c_on, c_off)
    _, highest_off = _hazards(lowest, theta_on, theta_off, c_on, c_off)
    rate = narrow[ATTEMPTS + i] * (highest_on + highest_off)
    fuse = np.float64(narrow[FUSE + i])
    wait = 0.0
    while True:
        if fuse >= (span - wait) * rate:
            narrow[FUSE + i] = fuse - (span - wait) * rate
            return span, NO_EVENT
        wait += fuse / rate
        fuse = exponential(seed, pixel, draws[i] + 1)
        level = x + slope * wait + transient * (math.exp(-k * wait) - 1.0)
        on, off = _hazards(level, theta_on, theta_off, c_on, c_off)
        lot = uniform(seed, pixel, draws[i]) * (highest_on + highest_off)
        draws[i] += 2
        if lot < on + off:
            narrow[FUSE + i] = fuse
            return wait, ON if lot < on else OFF


@njit(cache=True, nogil=True, error_model="numpy")
def _operate(i, narrow, light, laws, lowest, theta_on):
    """Set bandwidth, leak and noise of pixel `i` of the tile to those at this log luminance."""
    place = min(max((light - lowest) * LAW_STEPS_PER_LN, 0.0), laws.shape[0] - 1.0)
    row = min(int(place), laws.shape[0] - 2)
    part = place - row
    here, there = laws[row], laws[row + 1]
    narrow[RATE + i] = (here[0] + part * (there[0] - here[0])) * narrow[RATE_FACTOR + i]
    leak_rate = (here[1] + part * (there[1] - here[1])) * narrow[LEAK_FACTOR + i]
    narrow[LEAK + i] = leak_rate * theta_on * narrow[THETA_ON + i]
    narrow[ATTEMPTS + i] = here[2] + part * (there[2] - here[2])
    louder = narrow[NOISE_LOG_FACTOR + i]
    narrow[NOISE_ON + i] = max(here[3] + part * (there[3] - here[3]) - louder, 0.0)
    narrow[NOISE_OFF + i] = max(here[4] + part * (there[4] - here[4]) - louder, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(i, pixel, wide, narrow, draws, pixels, laws, lowest, t0, dt, seed, noisy, out_t, out_address, count):
    """All events of one pixel within one frame interval, one after the other; the new count."""
    nominal_on, nominal_off, refractory_us = pixels
    theta_on = narrow[THETA_ON + i] * nominal_on
    theta_off = narrow[THETA_OFF + i] * nominal_off
    light, memory, v = wide[LIGHT + i], wide[MEMORY + i], wide[PHOTORECEPTOR + i]
    b = (wide[LIGHT_NEXT + i] - light) / dt
    now, blind_until = 0.0, np.float64(narrow[HOLD + i])
    while True:
        k = np.float64(narrow[RATE + i])
        lag = b / k
        transient = v - (light + b * now) + lag
        if blind_until > now:
            end = min(blind_until, dt)
            v = light + b * end - lag + transient * math.exp(-k * (end - now))
            now = end
            memory = v
            if now >= dt:
                narrow[HOLD + i] = blind_until - dt
                break
            _operate(i, narrow, light + b * now, laws, lowest, nominal_on)
            continue
        span = dt - now
        slope = b + narrow[LEAK + i]
        wait, polarity = _crossing(v - memory, slope, transient, k, span, theta_on, theta_off)
        if noisy:
            sooner, kind = _race(
                i, pixel, v - memory, slope, transient, k, wait, theta_on, theta_off, narrow, draws, seed
            )
            if kind != NO_EVENT:
                wait, polarity = sooner, kind
        v = light + b * (now + wait) - lag + transient * math.exp(-k * wait)
        if polarity == NO_EVENT:
            memory -= narrow[LEAK + i] * wait
            narrow[HOLD + i] = 0.0
            break
        now += wait
        if count < out_t.size:
            out_t[count] = np.int64(np.rint(t0 + now))
            out_address[count] = 2 * pixel + polarity
        count += 1
        blind_until = now + refractory_us
        if refractory_us == 0.0:
            memory = v
            _operate(i, narrow, light + b * now, laws, lowest, nominal_on)
    wide[PHOTORECEPTOR + i] = v
    wide[MEMORY + i] = memory
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def advance_tile(
    tile, size, frames, table, times_us, state_wide, state_narrow, state_draws,
    pixels, laws, lowest, seed, noisy, out_t, out_address, ends,
):
    """One tile through all frame intervals of a chunk; returns how many events that makes.

    frames: (F, N) codes or log luminances at times_us[1:], the state being that at times_us[0].
    Events go to out_t (us) and out_address (2 * pixel + polarity); those of interval f end at
    ends[f]. If they are more than fit, the state is left as it was: call again with more room.
    """
    wide = np.empty(WIDE_WORK_FIELDS * TILE)
    narrow = np.empty(NARROW_WORK_FIELDS * TILE, np.float32)
    awake = np.empty(TILE, np.bool_)
    busy_pixels = np.empty(TILE, np.int32)
    wide[: WIDE_FIELDS * TILE] = state_wide
    wide[WIDE_FIELDS * TILE :] = 0.0
    narrow[: NARROW_FIELDS * TILE] = state_narrow
    draws = state_draws.copy()
    nominal_on, nominal_off, _ = pixels
    first = tile * TILE
    count = 0
    for f in range(frames.shape[0]):
        t0 = times_us[f]
        dt = times_us[f + 1] - t0
        for i in range(size):
            wide[LIGHT_NEXT + i] = _light(frames[f, first + i], table)
        _sweep(wide, narrow, nominal_on, nominal_off, dt)
        _wake(narrow, awake, dt, noisy)
        busy = 0
        for i in range(size):
            busy_pixels[busy] = i
            busy += awake[i]
        for j in range(busy):
            i = busy_pixels[j]
            count = _solve(
                i, first + i, wide, narrow, draws, pixels, laws, lowest, t0, dt, seed, noisy,
                out_t, out_address, count,
            )
        _settle(wide, narrow, awake, dt)
        ends[f] = count
    if count <= out_t.size:
        state_wide[:] = wide[: WIDE_FIELDS * TILE]
        state_narrow[:] = narrow[: NARROW_FIELDS * TILE]
        state_draws[:] = draws
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def advance_tiles(
    tiles, frames, table, times_us, wide, narrow, draws, pixels, laws, lowest, seed, noisy, out_t, out_address, ends,
):
    """The tiles named in `tiles`, one after the other; arguments as in `advance_tile`, one row a tile."""
    count = frames.shape[1]
    for tile in tiles:
        size = min(TILE, count - tile * TILE)
        advance_tile(
            tile, size, frames, table, times_us, wide[tile], narrow[tile], draws[tile],
            pixels, laws, lowest, seed, noisy, out_t[tile], out_address[tile], ends[tile],
        )


@njit(cache=True, nogil=True, error_model="numpy")
def start_tiles(tiles, frame, table, wide, narrow, draws, pixels, spreads, leaks, hot, laws, lowest, seed):
    """Pixels that have watched the first frame for long: settled, with a random phase of their leak.

    Fixed pattern, drawn once from the seed. spreads: standard deviations of (theta_on, theta_off)
    relative to the nominal thresholds, of ln(bandwidth), of ln(leak rate), of ln(noise rate); the
    last two keep the mean rate. hot: (share of hot pixels, ln of how much louder they are).
    """
    nominal_on = pixels[0]
    for tile in tiles:
        w, n = wide[tile], narrow[tile]
        # Pixels that only fill up the last tile never wake.
        w[:] = 0.0
        n[:] = 0.0
        n[THETA_ON : THETA_OFF + TILE] = 1.0
        n[RATE : RATE + TILE] = 1.0
        n[FUSE : FUSE + TILE] = np.inf
        for i in range(min(TILE, frame.size - tile * TILE)):
            pixel = tile * TILE + i
            light = _light(frame[pixel], table)
            n[THETA_ON + i] = max(1.0 + spreads[0] * normal(seed, pixel, DRAW_THETA_ON), LOWEST_THETA)
            n[THETA_OFF + i] = max(1.0 + spreads[1] * normal(seed, pixel, DRAW_THETA_OFF), LOWEST_THETA)
            n[RATE_FACTOR + i] = math.exp(spreads[2] * normal(seed, pixel, DRAW_CUTOFF))
            n[LEAK_FACTOR + i] = math.exp(spreads[3] * (normal(seed, pixel, DRAW_LEAK) - 0.5 * spreads[3]))
            n[NOISE_LOG_FACTOR + i] = spreads[4] * (normal(seed, pixel, DRAW_NOISE) - 0.5 * spreads[4])
            if uniform(seed, pixel, DRAW_HOT) < hot[0]:
                n[NOISE_LOG_FACTOR + i] = hot[1]
            n[FUSE + i] = exponential(seed, pixel, 0)
            draws[tile, i] = 1
            w[LIGHT + i] = w[PHOTORECEPTOR + i] = w[MEMORY + i] = light
            _operate(i, n, light, laws, lowest, nominal_on)
            if leaks:
                w[MEMORY + i] -= uniform(seed, pixel, DRAW_LEAK_PHASE) * n[THETA_ON + i] * nominal_on
