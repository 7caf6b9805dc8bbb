"""Noise as a first-passage problem, and how bandwidth, leak and noise depend on light.

The photoreceptor's noise n(t) is Gaussian with standard deviation sigma. It reaches a level at
distance d for the first time at the rate nu(d) = f0 exp(-d^2 / (2 sigma^2)) (Rice 1944,
"Mathematical analysis of random noise", eq. 3.3-14), f0 being the rate of independent
attempts: the bandwidth. The data sheet gives the rate R of a still pixel, whose distance is
the threshold, R = nu(theta). That fixes sigma, and with u = d / theta

    h(u) = f0 exp(-c u^2),      c = ln(f0 / R),      h(1) = R.

A still scene thus fires at exactly the requested rate, and a signal near threshold fires early.

Rare noise (R far below the bandwidth) does not come from the photoreceptor alone, and taken as if it
did it would lower every threshold: c is at most `SHARPEST`, so that with R the effect vanishes too.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dvs.sensors import Sensor

FASTEST_ATTEMPTS_HZ = 1e4
"""Attempts a second of a pixel whose photoreceptor is not limited: the amplifier behind it is."""

SHARPEST = 6.0
"""Largest c: at the threshold a pixel is at most exp(6) = 400 times as noisy as at rest."""

QUIET_HZ = 1e-9
"""Shot-noise rate that stands for none in a sensor with hot pixels (one event in 30 years)."""

NO_LIMIT_PER_US = 1e6
"""Inverse time constant of an unlimited photoreceptor: it settles within a picosecond."""

# Columns of the table of light laws.
LAW_RATE, LAW_LEAK, LAW_ATTEMPTS, LAW_ON, LAW_OFF, LAW_BOOST = range(6)
LAW_STEPS_PER_LN = 16
LAW_SPAN_LN = 24.0


def light_laws(sensor: Sensor, illuminance_lux: float, dark_offset: float) -> tuple[NDArray[np.float64], float]:
    """What a pixel does at each level of light, tabulated over log luminance.

    Returns (table, lowest): row i holds, at L = lowest + i / LAW_STEPS_PER_LN (ln of luminance
    relative to white, dark offset included), the columns

    0. inverse time constant of the photoreceptor, 1/us: tau is the sum of a part that falls with
       light and of a constant one, tau = (E_ref / E)^n / (2 pi cutoff) + 1 / (2 pi cutoff_max);
    1. leak rate, events/us: (1 - share) + share E / E_ref (Nozaki & Delbruck 2017, "Temperature
       and parasitic photocurrent effects in dynamic vision sensors");
    2. f0 of the shot noise, 1/us;
    3. c of ON noise;  4. c of OFF noise;
    5. f0 of a pixel that fires at rest once a microsecond: a hot pixel's is in proportion.

    Requested rates are those of a still pixel with everything at work, see `_underlying`.
    """
    lowest = math.log(dark_offset) if dark_offset > 0 else math.log(1e-6)
    levels = lowest + np.arange(int(LAW_SPAN_LN * LAW_STEPS_PER_LN) + 1) / LAW_STEPS_PER_LN
    light = illuminance_lux * np.exp(levels) / sensor.reference_lux
    table = np.empty((levels.size, 6))

    tau_us = np.full(levels.size, 1.0 / NO_LIMIT_PER_US)
    if math.isfinite(sensor.cutoff_hz):
        tau_us += 1e6 / (2 * math.pi * sensor.cutoff_hz) * light**-sensor.cutoff_light_exponent
    if math.isfinite(sensor.cutoff_max_hz):
        tau_us += 1e6 / (2 * math.pi * sensor.cutoff_max_hz)
    table[:, LAW_RATE] = 1.0 / tau_us

    share = sensor.leak_light_share
    leak_hz = sensor.leak_hz * ((1 - share) + share * light)
    noise_hz = np.minimum(
        sensor.shot_noise_hz * light**-sensor.shot_noise_light_exponent,
        max(sensor.shot_noise_max_hz, sensor.shot_noise_hz),
    )
    noise_hz = np.maximum(noise_hz, QUIET_HZ)
    on_hz = noise_hz * sensor.shot_noise_on_share
    off_hz = noise_hz - on_hz

    attempts_hz = np.minimum(1e6 * table[:, LAW_RATE] / (2 * math.pi), FASTEST_ATTEMPTS_HZ)
    louder_hz = np.maximum(on_hz, off_hz)
    c = np.clip(np.log(attempts_hz / louder_hz), 1.0, SHARPEST)
    with np.errstate(divide="ignore"):
        # A polarity without noise gets a hazard of exp(-80), once in the age of the universe.
        table[:, LAW_ON] = np.minimum(c + np.log(louder_hz / on_hz), 80.0)
        table[:, LAW_OFF] = np.minimum(c + np.log(louder_hz / off_hz), 80.0)
    drift_hz, gain = _underlying(sensor, leak_hz, on_hz, off_hz, table[:, LAW_ON], table[:, LAW_OFF])
    table[:, LAW_LEAK] = drift_hz * 1e-6
    table[:, LAW_ATTEMPTS] = gain * louder_hz * np.exp(c) * 1e-6
    table[:, LAW_BOOST] = louder_hz * np.exp(c) / noise_hz
    return table, lowest


def _underlying(
    sensor: Sensor,
    leak_hz: NDArray[np.float64],
    on_hz: NDArray[np.float64],
    off_hz: NDArray[np.float64],
    c_on: NDArray[np.float64],
    c_off: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leak rate and gain of the noise with which a still pixel fires ON at leak + noise, OFF at noise.

    Leak brings a pixel nearer to ON, where noise fires it before the leak would; noise starts the leak
    anew; and after each event the pixel is blind. What a data sheet gives are the rates that come out.
    They are those of a renewal process (Cox 1962): after an event, with s the share of the leak's
    cycle that is over, the hazards are f0 exp(-c u^2) at u = 1 - s (ON) and 1 + s theta_on / theta_off
    (OFF), and s = 1 is an ON event. All arguments and results (levels of light,).
    """
    blind_s = sensor.refractory_us * 1e-6
    total_hz = leak_hz + on_hz + off_hz
    seeing = 1.0 - np.minimum(total_hz * blind_s, 0.99)
    drift_hz, gain = leak_hz / seeing, 1.0 / seeing
    if sensor.leak_hz == 0 or not is_noisy(sensor):
        return drift_hz, gain

    s = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 200)])
    at_on, at_off = (1 - s) ** 2, (1 + s * sensor.theta_on / sensor.theta_off) ** 2
    on = on_hz[:, None] * np.exp(c_on[:, None] * (1 - at_on))
    off = off_hz[:, None] * np.exp(c_off[:, None] * (1 - at_off))
    for _ in range(100):
        per_cycle = gain / drift_hz
        area = _integral(on + off, s) * per_cycle[:, None]
        survival = np.exp(-area)
        length_s = _integral(survival, s)[:, -1] / drift_hz + blind_s
        off_events = _integral(off * survival, s)[:, -1] * per_cycle
        obtained_off_hz, obtained_hz = off_events / length_s, 1.0 / length_s
        # Where there is no OFF noise to compare with, the ON noise is left as it is.
        gain_step = np.where(off_hz > 0, off_hz / np.maximum(obtained_off_hz, 1e-300), 1.0)
        noise_hz = np.where(off_hz > 0, obtained_off_hz * (on_hz + off_hz) / np.maximum(off_hz, 1e-300), on_hz * gain)
        drift_step = leak_hz / np.maximum(obtained_hz - noise_hz, 1e-3 * leak_hz)
        if max(abs(gain_step - 1).max(), abs(drift_step - 1).max()) < 1e-4:
            break
        gain *= np.clip(gain_step, 0.5, 2.0) ** 0.5
        drift_hz *= np.clip(drift_step, 0.5, 2.0) ** 0.5
    return drift_hz, gain


def _integral(values: NDArray[np.float64], s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integral of each row of `values` from 0 to every s, by the trapezoidal rule."""
    steps = 0.5 * (values[:, 1:] + values[:, :-1]) * np.diff(s)
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(steps, axis=1)], axis=1)


def is_noisy(sensor: Sensor) -> bool:
    """Whether any pixel of the sensor has shot noise."""
    return sensor.shot_noise_hz > 0 or (sensor.hot_pixel_fraction > 0 and sensor.hot_pixel_hz > 0)
