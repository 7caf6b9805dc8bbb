"""Speed: how late a pixel answers, how fast a flicker it follows, how often it can fire."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dvs.characterise.bench import (
    JUMP_S,
    LARGEST_LN,
    bright_enough,
    cutoff_hz,
    lux_text,
    nearest,
    polarities,
    population,
    quiet,
    settling_s,
    time_constant_s,
    watch,
)
from dvs.characterise.measurement import Floats, Measurement, Number, curve
from dvs.events import Recording
from dvs.sensors import Sensor
from dvs.statistics import inter_event_intervals_us

_LUX = tuple(np.logspace(-1, 5, 13).tolist())
_NO_LIMIT = "the photoreceptor has no limit"

# A flicker is sampled so that straight lines between the frames lose 0.2 % of it.
_FRAMES_PER_PERIOD = 40
_PERIODS_TO_GROW, _PERIODS = 8, 13


def latency(sensor: Sensor, *, lux: Sequence[float] = _LUX, seed: int = 0, pixels: int = 2048) -> Measurement:
    """Time from a jump of light by three thresholds to the first event, against light.

    The photoreceptor gets there exponentially: t = -tau(E) ln(1 - theta / D), and the readout adds
    its own latency. Medians over pixels.
    """
    bare = quiet(sensor)
    levels = bright_enough(sensor, lux)
    curves, numbers = {}, {}
    for name, polarity, sign, theta in polarities(sensor):
        jump = min(3 * theta, LARGEST_LN)
        thetas, speed = population(sensor, theta)
        # Pixels whose threshold is above the jump stay silent.
        times_tau = np.median(-np.log(1 - np.minimum(thetas / jump, 1 - 1e-12)) / speed)
        light = np.zeros((3, -(-pixels // 64), 64))
        light[1:] = sign * jump
        found, errors, expected = [], [], []
        for level in levels:
            times_s = [0.0, JUMP_S, JUMP_S + settling_s(sensor, level)]
            first_us = _first_us(watch(bare, times_s, light, seed=seed, illuminance_lux=level), polarity)
            lower, median, upper = np.quantile(first_us, [0.25, 0.5, 0.75])
            found.append(median)
            # Of the median of a normal distribution with these quartiles.
            errors.append(1.253 * (upper - lower) / 1.349 / math.sqrt(first_us.size))
            expected.append(1e6 * time_constant_s(sensor, level) * times_tau + sensor.latency_us)
        curves[name] = curve(levels, found, error=errors, theory=expected)
        if levels:
            at = nearest(levels, sensor.reference_lux)
            numbers[f"{name} at {lux_text(levels[at])}"] = Number(
                measured=found[at], theory=expected[at], error=errors[at], unit="µs"
            )
    instant = not _is_limited(sensor) and sensor.latency_us == 0
    return Measurement(
        title="Latency",
        procedure="first event after a jump of three thresholds, median of pixels; "
        "readout latency and jitter included, no bus, no leak, no noise",
        x_label="illuminance (lux)",
        y_label="latency (µs)",
        x_log=True,
        y_log=True,
        curves=curves,
        numbers=numbers,
        note="events come at once" if instant else _note(levels),
    )


def frequency_response(
    sensor: Sensor, *, lux: Sequence[float] = (1.0, 10.0, 100.0, 1000.0), seed: int = 0, pixels: int = 2048
) -> Measurement:
    """Gain of the photoreceptor against the frequency of a flicker, 1 / sqrt(1 + (f / fc)^2).

    The amplitude that just makes half of the pixels fire is theta / gain. Counting events a period
    would measure blind time along with bandwidth, and bandwidth at every light that the flicker
    passes; here the pixel is at its threshold and has not fired yet, so that it is linear.
    """
    levels = bright_enough(sensor, lux)
    curves = {}
    for level in levels:
        frequencies_hz, gains, errors = _gains(sensor, level, 13, seed, pixels)
        fc_hz = cutoff_hz(sensor, level) * population(sensor, 1.0)[1][0]
        theory = np.exp(-0.5 * np.log1p((frequencies_hz[:, None] / fc_hz) ** 2).mean(axis=1))
        # Gain is relative to the slowest flicker, for pixels as for theory.
        curves[lux_text(level)] = curve(frequencies_hz, gains, error=errors, theory=theory / theory[0])
    return Measurement(
        title="Frequency response",
        procedure=f"amplitude of a flicker that makes half of {pixels} pixels fire; no leak, no noise",
        x_label="frequency (Hz)",
        y_label="relative gain",
        x_log=True,
        y_log=True,
        curves=curves,
        note=_note(levels) if _is_limited(sensor) else _NO_LIMIT,
    )


def bandwidth(sensor: Sensor, *, lux: Sequence[float] = _LUX[::2], seed: int = 0, pixels: int = 2048) -> Measurement:
    """The -3 dB frequency against light, fitted to the frequency response at each."""
    levels = bright_enough(sensor, lux)
    fits = [_fitted_cutoff(*_gains(sensor, level, 7, seed, pixels)) for level in levels]
    found, errors = np.reshape(fits, (-1, 2)).T
    expected = [cutoff_hz(sensor, level) for level in levels]
    numbers = {}
    if levels:
        at = nearest(levels, sensor.reference_lux)
        numbers[f"at {lux_text(levels[at])}"] = Number(
            measured=found[at], theory=expected[at], error=errors[at], unit="Hz"
        )
    return Measurement(
        title="Bandwidth",
        procedure="-3 dB frequency of the first-order low-pass that fits the response to flicker; no leak, no noise",
        x_label="illuminance (lux)",
        y_label="-3 dB frequency (Hz)",
        x_log=True,
        y_log=True,
        curves={"bandwidth": curve(levels, found, error=errors, theory=expected)},
        numbers=numbers,
        note=_note(levels) if _is_limited(sensor) else _NO_LIMIT,
    )


def refractory_ceiling(
    sensor: Sensor, *, seed: int = 0, illuminance_lux: float = 1000.0, pixels: int = 64
) -> Measurement:
    """Events a second of a pixel against the speed of the light that drives it, up to 1 / blind time.

    At |d ln E / dt| = b a pixel that is blind for T fires every T + theta / b; the median of its
    intervals leaves out those in which the light turned round.
    """
    theta = sensor.theta_on
    fast = quiet(sensor).with_(
        cutoff_hz=math.inf,
        cutoff_max_hz=math.inf,
        theta_off=theta,
        theta_sigma=0.0,
        latency_us=0.0,
        jitter_us=0.0,
    )
    blind_s = sensor.refractory_us * 1e-6
    height = min(max(6.0, 10 * theta), LARGEST_LN)
    slopes = (height / blind_s if blind_s > 0 else 1e5 * theta) * np.geomspace(1e-4, 1.0, 13)
    # Pixels begin anywhere, so that they do not all turn round in the same state.
    start = height * ((np.arange(pixels) + 0.5) / pixels - 0.5)
    rates, shortest_us = [], math.inf
    for slope in slopes:
        sweep_s = height / slope
        sweeps = 2 * math.ceil(2 + 10 * blind_s / sweep_s)
        light = np.concatenate([[start], np.resize([[height / 2], [-height / 2]], (sweeps, 1)) + 0 * start])
        times_s = sweep_s * np.arange(sweeps + 1)
        recording = watch(fast, times_s, light[:, None, :], seed=seed, illuminance_lux=illuminance_lux)
        events = recording.events[recording.events["t"] > 1e6 * sweep_s]
        intervals_us = inter_event_intervals_us(replace(recording, events=events))
        rates.append(1e6 / np.median(intervals_us))
        shortest_us = min(shortest_us, float(intervals_us.min()))
    return Measurement(
        title="Refractory ceiling",
        procedure=f"light runs up and down over {height:.3g} ln, ever faster; instantaneous photoreceptor, "
        "equal thresholds, no leak, no noise, no jitter",
        x_label="speed of light |d ln E / dt| (1/s)",
        y_label="events a second of a pixel",
        x_log=True,
        y_log=True,
        curves={"rate": curve(slopes, rates, theory=1 / (blind_s + theta / slopes))},
        numbers={"shortest interval": Number(measured=shortest_us, theory=sensor.refractory_us, unit="µs")},
        note="" if blind_s > 0 else "there is no blind time",
    )


def _is_limited(sensor: Sensor) -> bool:
    return math.isfinite(sensor.cutoff_hz) or math.isfinite(sensor.cutoff_max_hz)


def _note(levels: Sequence[float]) -> str:
    return "" if levels else "a day is not enough for the photoreceptor to answer"


def _first_us(recording: Recording, polarity: int) -> Floats:
    """Time of the first event of each pixel that has one."""
    events = recording.events[recording.events["p"] == polarity]
    pixel = events["y"].astype(np.int64) * recording.width + events["x"]
    _, first = np.unique(pixel, return_index=True)
    return events["t"][first].astype(np.float64)


def _gains(sensor: Sensor, lux: float, count: int, seed: int, pixels: int) -> tuple[Floats, Floats, Floats]:
    """Frequencies (count,), gain relative to the lowest of them, and its standard error."""
    # Only whether a pixel fires is of interest: the longest blind time saves all further events.
    bare = quiet(sensor).with_(refractory_us=1e6, latency_us=0.0, jitter_us=0.0)
    theta = min(sensor.theta_on, sensor.theta_off)
    lowest, highest = 0.4 * theta, min(30 * theta, LARGEST_LN)
    amplitudes = np.exp(np.linspace(math.log(lowest), math.log(highest), pixels)).reshape(-1, 1)
    fc_hz = cutoff_hz(sensor, lux)
    # Ten times the bandwidth, if the bench has light enough to show it.
    fastest = min(10.0, highest / theta / 2)
    frequencies_hz = np.geomspace(0.05, fastest, count) * (fc_hz if math.isfinite(fc_hz) else 1000.0)
    phase = 2 * math.pi * np.arange(_PERIODS * _FRAMES_PER_PERIOD + 1) / _FRAMES_PER_PERIOD
    # A flicker that grows slowly from nothing has no beginning that the pixel would answer to.
    growth = (1 - np.cos(np.minimum(phase / (2 * _PERIODS_TO_GROW), math.pi))) / 2
    light = (growth * np.sin(phase))[:, None, None] * amplitudes
    step_ln = math.log(highest / lowest) / pixels
    log_threshold, variance = np.empty(count), np.empty(count)
    for k, frequency_hz in enumerate(frequencies_hz):
        recording = watch(bare, phase / (2 * math.pi * frequency_hz), light, seed=seed, illuminance_lux=lux)
        fired = np.zeros(pixels)
        fired[recording.events["y"]] = 1.0
        # Each pixel has an amplitude of its own, evenly spread in the logarithm: the share that
        # fires is how far down the thresholds reach (Spearman 1908, Kaerber 1931).
        log_threshold[k] = math.log(highest) - step_ln * fired.sum()
        # A pixel fires with the probability that its neighbours show; the rest is binomial.
        smooth = np.convolve(fired, np.ones(33) / 33, mode="same")
        variance[k] = step_ln**2 * (np.maximum(smooth * (1 - smooth), 0.0).sum() + 1 / 12)
    gains = np.exp(log_threshold[0] - log_threshold)
    return frequencies_hz, gains, gains * np.sqrt(variance + variance[0])


def _fitted_cutoff(frequencies_hz: Floats, gains: Floats, errors: Floats) -> tuple[float, float]:
    """-3 dB frequency and its standard error; infinite where the gain does not fall."""
    from scipy.optimize import curve_fit

    if gains.min() > 0.95:
        return math.inf, 0.0

    def log_gain(log_frequency: Floats, scale: float, log_fc: float) -> Floats:
        return scale - 0.5 * np.log1p(np.exp(2 * (log_frequency - log_fc)))

    start = (0.0, math.log(frequencies_hz[np.argmin(np.abs(gains - math.sqrt(0.5)))]))
    spread = np.maximum(errors / gains, 1e-3)
    found, covariance = curve_fit(log_gain, np.log(frequencies_hz), np.log(gains), start, spread)
    fc_hz = math.exp(found[1])
    return fc_hz, fc_hz * math.sqrt(covariance[1, 1])
