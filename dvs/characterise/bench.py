"""The bench: light for the pixels, and the laws of a sensor as a data sheet would state them.

A field of pixels stands in for repetitions: each has its own thresholds, bandwidth and noise.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from dvs.characterise.measurement import Floats
from dvs.emulator import emulate
from dvs.events import Recording
from dvs.frames import Frames
from dvs.luminance import LINEAR
from dvs.sensors import Sensor

# Far below every light that is shown, and taken out of it again: on the bench, log luminance is exact.
_DARK_OFFSET_LN = -16.0

LARGEST_LN = 14.0
"""Largest contrast that the bench can show, a factor of a million."""

JUMP_S = 1e-6
"""Time in which light jumps: the resolution of events."""

# Quantiles that stand for all the thresholds and all the bandwidths of a field.
_THRESHOLDS, _BANDWIDTHS = 999, 99
_LOWEST_THETA = 0.1


def watch(sensor: Sensor, times_s: ArrayLike, light_ln: ArrayLike, *, seed: int, illuminance_lux: float) -> Recording:
    """What the sensor sends while log luminance, (T, H, W), runs straight between `times_s`, (T,).

    Zero is the luminance of white, which is seen at `illuminance_lux`.
    """
    light_ln = np.asarray(light_ln, np.float64)
    times_us = np.asarray(times_s, np.float64) * 1e6
    dark = math.exp(_DARK_OFFSET_LN)

    def read() -> Iterator[tuple[float, Floats]]:
        return ((t_us, np.exp(frame) - dark) for t_us, frame in zip(times_us, light_ln, strict=True))

    _, height, width = light_ln.shape
    frames = Frames(width=width, height=height, encoding=LINEAR, read=read, count=len(times_us), name="bench")
    return emulate(frames, sensor, seed=seed, illuminance_lux=illuminance_lux, dark_offset=dark)


def pixels_of(sensor: Sensor) -> Sensor:
    """The bare pixels, in a field of any size, with no bus that they would have to share."""
    return sensor.with_(width=None, height=None, readout="none")


def quiet(sensor: Sensor) -> Sensor:
    """Bare pixels without a background: what remains answers to light alone.

    With leak the reference of a still pixel would lie anywhere within a threshold.
    """
    return pixels_of(sensor).with_(leak_hz=0.0, shot_noise_hz=0.0, hot_pixel_fraction=0.0)


def polarities(sensor: Sensor) -> tuple[tuple[str, int, float, float], ...]:
    """Name, polarity of the event, sign of the change of light and threshold, of ON and of OFF."""
    return ("ON", 1, 1.0, sensor.theta_on), ("OFF", 0, -1.0, sensor.theta_off)


def time_constant_s(sensor: Sensor, lux: float) -> float:
    """Tau = (E_ref / E)^n / (2 pi cutoff) + 1 / (2 pi cutoff_max); 0 where nothing limits it."""
    light = lux / sensor.reference_lux
    return light**-sensor.cutoff_light_exponent / (2 * math.pi * sensor.cutoff_hz) + 1 / (
        2 * math.pi * sensor.cutoff_max_hz
    )


def cutoff_hz(sensor: Sensor, lux: float) -> float:
    """The -3 dB bandwidth, 1 / (2 pi tau); infinite where nothing limits it."""
    tau_s = time_constant_s(sensor, lux)
    return 1 / (2 * math.pi * tau_s) if tau_s > 0 else math.inf


def lux_text(lux: float) -> str:
    """Three digits, without powers of ten.

    >>> lux_text(1000.0), lux_text(0.31623)
    ('1000 lux', '0.316 lux')
    """
    return f"{float(f'{lux:.3g}'):,g} lux".replace(",", "")


def nearest(levels: Sequence[float], value: float) -> int:
    """Which of the levels is nearest to a value, on the log scale."""
    return int(np.argmin(np.abs(np.log(np.asarray(levels) / value))))


def bright_enough(sensor: Sensor, lux: Sequence[float]) -> list[float]:
    """The levels of light at which a day is enough for the photoreceptor to answer."""
    return [level for level in lux if time_constant_s(sensor, level) < 86400]


def settling_s(sensor: Sensor, lux: float) -> float:
    """Time in which the slowest pixel of any field comes to rest, 30 time constants."""
    return 30 * time_constant_s(sensor, lux) * math.exp(4 * sensor.cutoff_sigma) + sensor.refractory_us * 1e-6 + 1e-3


def slowly_s(sensor: Sensor, lux: float) -> float:
    """Time beside which bandwidth and blind time do not count at this light; at most three years."""
    return min(1e4 * settling_s(sensor, lux), 1e8)


def leak_hz(sensor: Sensor, lux: float) -> float:
    """Leak asked for: a part that is proportional to light, and a constant one."""
    share = sensor.leak_light_share
    return sensor.leak_hz * (1 - share + share * lux / sensor.reference_lux)


def shot_noise_hz(sensor: Sensor, lux: float) -> float:
    """Shot noise asked for, ON and OFF: a power of the light, up to a maximum."""
    rate_hz = sensor.shot_noise_hz * (lux / sensor.reference_lux) ** -sensor.shot_noise_light_exponent
    return min(rate_hz, max(sensor.shot_noise_max_hz, sensor.shot_noise_hz))


def population(sensor: Sensor, theta: float) -> tuple[Floats, Floats]:
    """Equally likely thresholds, (999, 1), and bandwidths relative to the median, (1, 99)."""
    normal = [ndtri((np.arange(count) + 0.5) / count) for count in (_THRESHOLDS, _BANDWIDTHS)]
    thresholds = np.maximum(theta + sensor.theta_sigma * normal[0], _LOWEST_THETA * theta)
    return thresholds[:, None], np.exp(sensor.cutoff_sigma * normal[1])[None, :]


def below(value: ArrayLike, mean: float, sd: float) -> Floats:
    """P(X <= value) of a normal X; where the sd is 0, a step."""
    distance = np.asarray(value, np.float64) - mean
    return ndtr(distance / sd) if sd > 0 else (distance >= 0).astype(np.float64)


def pixel_intervals_s(recording: Recording) -> tuple[Floats, Floats]:
    """Mean interval of each pixel that fired twice or more, and the standard deviation of its intervals."""
    pixel = recording.events["y"].astype(np.int64) * recording.width + recording.events["x"]
    order = np.argsort(pixel, kind="stable")
    pixel, t_s = pixel[order], recording.events["t"][order] * 1e-6
    again = pixel[1:] == pixel[:-1]
    owner, intervals_s = pixel[1:][again], np.diff(t_s)[again]
    counts = np.bincount(owner)
    means = np.bincount(owner, intervals_s) / np.maximum(counts, 1)
    variances = np.bincount(owner, (intervals_s - means[owner]) ** 2) / np.maximum(counts, 1)
    return means[counts > 0], np.sqrt(variances[counts > 0])
