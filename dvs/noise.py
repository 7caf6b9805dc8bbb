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
LAW_RATE, LAW_LEAK, LAW_ATTEMPTS, LAW_ON, LAW_OFF = range(5)
LAW_STEPS_PER_LN = 16
LAW_SPAN_LN = 24.0


def light_laws(
    sensor: Sensor, illuminance_lux: float, dark_offset: float
) -> tuple[NDArray[np.float64], float]:
    """What a pixel does at each level of light, tabulated over log luminance.

    Returns (table, lowest): row i holds, at L = lowest + i / LAW_STEPS_PER_LN (ln of luminance
    relative to white, dark offset included), the columns

    0. inverse time constant of the photoreceptor, 1/us: tau is the sum of a part that falls with
       light and of a constant one, tau = (E_ref / E)^n / (2 pi cutoff) + 1 / (2 pi cutoff_max);
    1. leak rate, events/us: (1 - share) + share E / E_ref (Nozaki & Delbruck 2017, "Temperature
       and parasitic photocurrent effects in dynamic vision sensors");
    2. f0 of the shot noise, 1/us;
    3. c of ON noise;  4. c of OFF noise.

    Requested rates count events obtained: a pixel that is blind for T after each event must fire
    at R / (1 - R T) while it sees.
    """
    lowest = math.log(dark_offset) if dark_offset > 0 else math.log(1e-6)
    levels = lowest + np.arange(int(LAW_SPAN_LN * LAW_STEPS_PER_LN) + 1) / LAW_STEPS_PER_LN
    light = illuminance_lux * np.exp(levels) / sensor.reference_lux
    table = np.empty((levels.size, 5))

    tau_us = np.full(levels.size, 1.0 / NO_LIMIT_PER_US)
    if math.isfinite(sensor.cutoff_hz):
        tau_us += 1e6 / (2 * math.pi * sensor.cutoff_hz) * light**-sensor.cutoff_light_exponent
    if math.isfinite(sensor.cutoff_max_hz):
        tau_us += 1e6 / (2 * math.pi * sensor.cutoff_max_hz)
    table[:, 0] = 1.0 / tau_us

    def while_seeing(rate_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        blind = np.minimum(rate_hz * sensor.refractory_us * 1e-6, 0.99)
        return rate_hz / (1.0 - blind)

    share = sensor.leak_light_share
    table[:, 1] = while_seeing(sensor.leak_hz * ((1 - share) + share * light)) * 1e-6

    rate_hz = np.minimum(
        sensor.shot_noise_hz * light**-sensor.shot_noise_light_exponent,
        max(sensor.shot_noise_max_hz, sensor.shot_noise_hz),
    )
    rate_hz = while_seeing(np.maximum(rate_hz, QUIET_HZ))
    on_hz = rate_hz * sensor.shot_noise_on_share
    off_hz = rate_hz - on_hz
    attempts_hz = np.minimum(1e6 * table[:, 0] / (2 * math.pi), FASTEST_ATTEMPTS_HZ)
    c = np.clip(np.log(attempts_hz / np.maximum(on_hz, off_hz)), 1.0, SHARPEST)
    attempts_hz = np.maximum(on_hz, off_hz) * np.exp(c)
    table[:, 2] = attempts_hz * 1e-6
    with np.errstate(divide="ignore"):
        # A polarity without noise gets a hazard of exp(-80), once in the age of the universe.
        table[:, 3] = np.minimum(np.log(attempts_hz / on_hz), 80.0)
        table[:, 4] = np.minimum(np.log(attempts_hz / off_hz), 80.0)
    return table, lowest


def is_noisy(sensor: Sensor) -> bool:
    """Whether any pixel of the sensor has shot noise."""
    return sensor.shot_noise_hz > 0 or (sensor.hot_pixel_fraction > 0 and sensor.hot_pixel_hz > 0)
