"""Background: the events that a still scene makes, and the balance of ON and OFF."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dvs.characterise.bench import (
    LARGEST_LN,
    below,
    leak_hz,
    lux_text,
    nearest,
    pixel_intervals_s,
    pixels_of,
    quiet,
    shot_noise_hz,
    slowly_s,
    watch,
)
from dvs.characterise.measurement import Measurement, Number, curve
from dvs.events import Recording
from dvs.sensors import Sensor
from dvs.statistics import count_map, interval_quantiles

_LUX = tuple(np.logspace(-1, 4, 11).tolist())
_COLUMNS = 64
_SILENT = "a still scene is silent"


def noise_rates(sensor: Sensor, *, lux: Sequence[float] = _LUX, seed: int = 0, pixels: int = 2048) -> Measurement:
    """ON and OFF events of a still pixel against light: leak and shot noise together, as asked for."""
    seen = [_still_counts(sensor, level, seed, pixels) for level in lux]
    at = nearest(lux, sensor.reference_lux)
    curves, numbers = {}, {}
    for name, polarity in (("ON", 1), ("OFF", 0)):
        found, error = np.array([_mean_rate(counts[polarity], seconds) for seconds, counts in seen]).T
        asked = [_asked_hz(sensor, level)[polarity] for level in lux]
        curves[name] = curve(lux, found, error=error, theory=asked)
        numbers[f"{name} at {lux_text(lux[at])}"] = Number(
            measured=found[at], theory=asked[at], error=error[at], unit="Hz"
        )
    return Measurement(
        title="Background rate",
        procedure=f"{pixels} pixels look at a still scene; leak and shot noise together, no hot pixels",
        x_label="illuminance (lux)",
        y_label="events a second of a pixel",
        x_log=True,
        y_log=True,
        curves=curves,
        numbers=numbers,
        note="" if _has_background(sensor) else _SILENT,
    )


def noise_intervals(
    sensor: Sensor, *, seed: int = 0, illuminance_lux: float = 1000.0, pixels: int = 1024
) -> Measurement:
    """Intervals between the events of a still pixel, each source of noise on its own.

    Shot noise is a Poisson process: in units of the pixel's mean interval they are exponential,
    tested after Kolmogorov & Smirnov. Leak is a clock: each pixel has a period of its own, and
    periods are log-normal over pixels.
    """
    from scipy.stats import kstest

    # Bins of a tenth of a decade, the period of a clock without spread in the middle of one.
    edges = 10 ** np.arange(-2.05, 1.1, 0.1)
    middle = np.sqrt(edges[1:] * edges[:-1])
    still = pixels_of(sensor).with_(hot_pixel_fraction=0.0)
    curves, numbers = {}, {}

    rate_hz = shot_noise_hz(sensor, illuminance_lux)
    if rate_hz > 0:
        pure = still.with_(leak_hz=0.0, refractory_us=0.0)
        quantiles = interval_quantiles(_still(pure, 20 / rate_hz, illuminance_lux, seed, pixels))
        # Exponential, if the quantiles are uniform.
        intervals = -np.log1p(-quantiles[quantiles < 1])
        expected = -np.diff(np.exp(-edges))
        share = np.histogram(intervals, edges)[0] / intervals.size
        error = np.sqrt(expected / intervals.size)
        curves["shot noise"] = curve(middle, share, error=error, theory=expected)
        numbers["shot noise, sd / mean of intervals"] = Number(
            measured=intervals.std() / intervals.mean(), theory=1.0, error=1 / math.sqrt(intervals.size)
        )
        numbers["shot noise, P of the KS test"] = Number(measured=kstest(quantiles, "uniform").pvalue, theory=math.nan)

    rate_hz = leak_hz(sensor, illuminance_lux)
    if rate_hz > 0:
        pure = still.with_(shot_noise_hz=0.0)
        periods_s, deviations_s = pixel_intervals_s(_still(pure, 30 / rate_hz, illuminance_lux, seed, pixels))
        # The mean rate is that asked for, so that the median pixel is slower by exp(sigma^2 / 2).
        sigma = sensor.leak_sigma
        expected = np.diff(below(np.log(edges), sigma**2 / 2, sigma))
        share = np.histogram(periods_s * rate_hz, edges)[0] / periods_s.size
        error = np.sqrt(expected / periods_s.size)
        curves["leak"] = curve(middle, share, error=error, theory=expected)
        spread = np.log(periods_s).std()
        numbers["leak, sd of ln period over pixels"] = Number(
            measured=spread, theory=sigma, error=spread / math.sqrt(2 * periods_s.size)
        )
        numbers["leak, sd / mean of intervals"] = Number(measured=(deviations_s / periods_s).mean(), theory=0.0)
    return Measurement(
        title="Intervals of the background",
        procedure="shot noise in units of the mean interval of each pixel, no leak, no blind time; "
        "leak as one period a pixel in units of 1 / rate, no shot noise; no hot pixels",
        x_label="interval x rate",
        y_label="share",
        x_log=True,
        curves=curves,
        numbers=numbers,
        note="" if curves else _SILENT,
    )


def on_share(sensor: Sensor, *, lux: Sequence[float] = _LUX, seed: int = 0, pixels: int = 2048) -> Measurement:
    """Share of ON among the events of a still scene, and of a slow flicker that returns to where it was.

    A round trip of the light has ON : OFF = theta_off : theta_on.
    """
    found = {"still scene": [], "flicker": []}
    for level in lux:
        found["still scene"].append(_share(*_still_counts(sensor, level, seed, pixels)[1].sum(axis=1)))
        found["flicker"].append(_share(*_flicker_counts(sensor, level, seed, pixels)))
    asked = [_share(*_asked_hz(sensor, level))[0] for level in lux]
    theory = {"still scene": asked, "flicker": sensor.theta_off / (sensor.theta_on + sensor.theta_off)}
    curves = {}
    for name, shares in found.items():
        share, error = np.array(shares).T
        curves[name] = curve(lux, share, error=error, theory=theory[name])
    if not _has_background(sensor):
        del curves["still scene"]
    return Measurement(
        title="Share of ON events",
        procedure="still scene: leak and shot noise, no hot pixels; "
        "flicker: slow, over many thresholds, no leak, no noise",
        x_label="illuminance (lux)",
        y_label="share of ON",
        x_log=True,
        y_range=(0.0, 1.0),
        curves=curves,
    )


def _has_background(sensor: Sensor) -> bool:
    return sensor.leak_hz > 0 or sensor.shot_noise_hz > 0


def _asked_hz(sensor: Sensor, lux: float) -> tuple[float, float]:
    """OFF and ON events a second of a still pixel."""
    shot_hz = shot_noise_hz(sensor, lux)
    on_hz = sensor.shot_noise_on_share * shot_hz
    return shot_hz - on_hz, on_hz + leak_hz(sensor, lux)


def _still(sensor: Sensor, duration_s: float, lux: float, seed: int, pixels: int) -> Recording:
    """A still scene; frames follow each other within a tenth of a leak period."""
    frames = 2 + math.ceil(10 * duration_s * leak_hz(sensor, lux))
    light = np.zeros((frames, -(-pixels // _COLUMNS), _COLUMNS))
    return watch(sensor, np.linspace(0.0, duration_s, frames), light, seed=seed, illuminance_lux=lux)


def _still_counts(sensor: Sensor, lux: float, seed: int, pixels: int) -> tuple[float, NDArray[np.int64]]:
    """Seconds, and OFF and ON events of each pixel (2, n) in them, once it has forgotten the beginning."""
    rate_hz = max(_asked_hz(sensor, lux))
    duration_s = 6 / rate_hz if rate_hz > 0 else 1.0
    recording = _still(pixels_of(sensor).with_(hot_pixel_fraction=0.0), duration_s, lux, seed, pixels)
    later = recording.between(recording.stop_us // 6, recording.stop_us)
    return later.duration_s, np.stack([count_map(later, polarity).ravel() for polarity in (0, 1)])


def _mean_rate(counts: NDArray[np.int64], seconds: float) -> tuple[float, float]:
    """Mean over pixels, which differ, and its standard error; no event at all is as good as up to one."""
    error = max(counts.std() * math.sqrt(counts.size), 1.0)
    return counts.mean() / seconds, error / counts.size / seconds


def _flicker_counts(sensor: Sensor, lux: float, seed: int, pixels: int) -> tuple[int, int]:
    """OFF and ON events while light runs up and down slowly, over many thresholds."""
    height = min(20 * max(sensor.theta_on, sensor.theta_off), LARGEST_LN)
    turns = np.resize([0.5, -0.5], 21) * height
    light = turns[:, None, None] * np.ones((max(1, pixels // _COLUMNS // 8), _COLUMNS))
    times_s = slowly_s(sensor, lux * math.exp(-height / 2)) * np.arange(turns.size)
    recording = watch(quiet(sensor), times_s, light, seed=seed, illuminance_lux=lux)
    return int(count_map(recording, 0).sum()), int(count_map(recording, 1).sum())


def _share(off: float, on: float) -> tuple[float, float]:
    """Share of ON and its standard error."""
    if on + off == 0:
        return math.nan, math.nan
    share = on / (on + off)
    return share, math.sqrt(share * (1 - share) / (on + off))
