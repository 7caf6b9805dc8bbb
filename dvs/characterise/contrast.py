"""Contrast: how much light must change for an event, and how unlike pixels are in that."""

import numpy as np

from dvs.characterise.bench import (
    JUMP_S,
    LARGEST_LN,
    below,
    pixel_intervals_s,
    polarities,
    population,
    quiet,
    settling_s,
    slowly_s,
    time_constant_s,
    watch,
)
from dvs.characterise.measurement import Floats, Measurement, Number, curve
from dvs.sensors import Sensor
from dvs.statistics import count_map


def contrast_threshold(
    sensor: Sensor, *, seed: int = 0, illuminance_lux: float = 1000.0, pixels: int = 400
) -> Measurement:
    """The S-curve: probability that a jump of light makes an event, against the contrast.

    With thresholds that are normal over pixels it is P = (1 + erf((D - theta) / (sqrt(2) sigma))) / 2.
    Threshold and mismatch are the mean and the standard deviation of the distribution that the
    curve is (Spearman 1908, Kaerber 1931), so no shape is assumed.
    """
    bare = quiet(sensor)
    curves, numbers = {}, {}
    for name, polarity, sign, theta in polarities(sensor):
        reach = max(5 * sensor.theta_sigma, 0.25 * theta)
        contrast = np.linspace(max(theta - reach, 0.05 * theta), theta + reach, 34)
        counts = _answers(bare, sign * contrast, JUMP_S, polarity, pixels, seed, illuminance_lux)
        share = (counts > 0).mean(axis=0)
        error = np.sqrt(share * (1 - share) / pixels)
        curves[name] = curve(contrast, share, error=error, theory=below(contrast, theta, sensor.theta_sigma))
        numbers |= _moments(name, contrast, share, error, theta, sensor.theta_sigma)
    return Measurement(
        title="Contrast threshold",
        procedure=f"jumps of light by each contrast, {pixels} pixels each; no leak, no noise",
        x_label="contrast |ln(E / E0)|",
        y_label="share of pixels that fire",
        y_range=(0.0, 1.0),
        curves=curves,
        numbers=numbers,
    )


def events_per_contrast(
    sensor: Sensor, *, seed: int = 0, illuminance_lux: float = 1000.0, pixels: int = 100
) -> Measurement:
    """Mean number of events against contrast: a slow change has floor(D / theta), a jump fewer.

    While a pixel is blind for T after an event the rest of a jump, D - theta, decays by
    exp(-T / tau) unseen; the reference is then taken from what is left.
    """
    bare = quiet(sensor)
    slow_s = slowly_s(sensor, illuminance_lux)
    curves = {}
    for name, polarity, sign, theta in polarities(sensor):
        # No contrast is a whole number of thresholds, where the answer hangs on the last digit.
        contrast = theta * (np.arange(26) + 0.5) / 6
        contrast = contrast[contrast < LARGEST_LN]
        for pace, change_s in (("", slow_s), (" jump", JUMP_S)):
            counts = _answers(bare, sign * contrast, change_s, polarity, pixels, seed, illuminance_lux)
            if pace:
                theory = _after_jumps(sensor, theta, sign * contrast, illuminance_lux)
            else:
                theory = np.floor(contrast / population(sensor, theta)[0]).mean(axis=0)
            error = counts.std(axis=0) / np.sqrt(pixels)
            curves[name + pace] = curve(contrast, counts.mean(axis=0), error=error, theory=theory)
    return Measurement(
        title="Events per contrast",
        procedure=f"each contrast once slowly, over {slow_s:.3g} s, and once as a jump; no leak, no noise",
        x_label="contrast |ln(E / E0)|",
        y_label="events per pixel",
        curves=curves,
    )


def thresholds(sensor: Sensor, *, seed: int = 0, illuminance_lux: float = 1000.0, pixels: int = 2048) -> Measurement:
    """The threshold of every pixel, from the time between its events while the light runs up, or down.

    On a ramp of slope b a pixel fires every theta / b; the ramp is so slow that blind time and
    bandwidth do not count.
    """
    bare = quiet(sensor)
    curves, numbers = {}, {}
    for name, _, sign, theta in polarities(sensor):
        height = min(8 * theta, LARGEST_LN)
        ramp_s = slowly_s(sensor, illuminance_lux * np.exp(min(0.0, sign * height)))
        light = np.array([0.0, sign * height])[:, None, None] * np.ones((-(-pixels // 64), 64))
        recording = watch(bare, [0.0, ramp_s], light, seed=seed, illuminance_lux=illuminance_lux)
        found = height / ramp_s * pixel_intervals_s(recording)[0]
        mean, sd = found.mean(), np.round(found.std(), 9)
        reach = 4 * sensor.theta_sigma or 0.1 * theta
        edges = np.linspace(theta - reach, theta + reach, 26)
        share = np.histogram(found, edges)[0] / found.size
        expected = np.diff(below(edges, theta, sensor.theta_sigma))
        curves[name] = curve((edges[1:] + edges[:-1]) / 2, share, error=np.sqrt(expected / found.size), theory=expected)
        numbers[f"{name} threshold"] = Number(measured=mean, theory=theta, error=sd / np.sqrt(found.size), unit="ln")
        numbers[f"{name} mismatch"] = Number(
            measured=sd, theory=sensor.theta_sigma, error=sd / np.sqrt(2 * found.size), unit="ln"
        )
    return Measurement(
        title="Thresholds of single pixels",
        procedure="light runs up and down by 8 thresholds, very slowly; no leak, no noise",
        x_label="threshold of a pixel (ln)",
        y_label="share of pixels",
        curves=curves,
        numbers=numbers,
    )


def _answers(
    sensor: Sensor,
    changes: Floats,
    change_s: float,
    polarity: int,
    pixels: int,
    seed: int,
    illuminance_lux: float,
) -> Floats:
    """Events of one polarity, (pixels, changes), when each column of the field sees another change."""
    light = np.zeros((3, pixels, changes.size))
    light[1:] = changes
    rest_s = settling_s(sensor, illuminance_lux * np.exp(min(0.0, changes.min())))
    times_s = [0.0, change_s, change_s + rest_s]
    return count_map(watch(sensor, times_s, light, seed=seed, illuminance_lux=illuminance_lux), polarity)


def _moments(
    name: str, contrast: Floats, share: Floats, error: Floats, theta: float, sigma: float
) -> dict[str, Number]:
    """Mean and standard deviation of the distribution whose integral is `share`, on an even grid."""
    grid = contrast[1] - contrast[0]
    weight = np.diff(share) / (share[-1] - share[0])
    middle = (contrast[1:] + contrast[:-1]) / 2
    mean = (weight * middle).sum()
    # A bin adds the variance of an even spread (Sheppard 1898).
    variance = (weight * (middle - mean) ** 2).sum() - grid**2 / 12
    sd = np.sqrt(max(variance, 0.0))
    # Where all pixels are in one bin, they could lie anywhere in it.
    in_bin = grid / np.sqrt(12) if sd < grid else 0.0
    mean_error = np.hypot(grid * np.sqrt((error**2).sum()), in_bin)
    variance_error = 2 * grid * np.sqrt(((contrast - mean) ** 2 * error**2).sum())
    sd_error = variance_error / (2 * sd) if sd > 0 else in_bin
    return {
        f"{name} threshold": Number(measured=mean, theory=theta, error=mean_error, unit="ln"),
        f"{name} mismatch": Number(measured=sd, theory=sigma, error=sd_error, unit="ln"),
    }


def _after_jumps(sensor: Sensor, theta: float, jumps: Floats, illuminance_lux: float) -> Floats:
    """Mean number of events after each jump of the light (n,), over thresholds and bandwidths."""
    thresholds_ln, speed = population(sensor, theta)
    blind_s = sensor.refractory_us * 1e-6

    def unseen(lux: float) -> Floats:
        tau_s = time_constant_s(sensor, lux)
        return np.exp(-blind_s / tau_s * speed) if tau_s > 0 else np.full(speed.shape, float(blind_s == 0))

    means = []
    for jump in jumps:
        rest = np.full(np.broadcast_shapes(thresholds_ln.shape, speed.shape), abs(jump))
        count = np.zeros(rest.shape)
        # Bandwidth is that of the light at which the pixel last looked: at first, that before the jump.
        decay = unseen(illuminance_lux)
        while (fires := rest >= thresholds_ln).any():
            count += fires
            rest = np.where(fires, (rest - thresholds_ln) * decay, 0.0)
            decay = unseen(illuminance_lux * np.exp(jump))
        means.append(count.mean())
    return np.array(means)
