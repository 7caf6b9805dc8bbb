"""All experiments on a sensor, in the order in which a poster shows them."""

from collections.abc import Callable
from functools import partial
from math import inf

from dvs.characterise.background import noise_intervals, noise_rates, on_share
from dvs.characterise.bus import bus_delay, bus_throughput
from dvs.characterise.contrast import contrast_threshold, events_per_contrast, thresholds
from dvs.characterise.measurement import Measurement
from dvs.characterise.speed import bandwidth, frequency_response, latency, refractory_ceiling
from dvs.errors import ParameterError
from dvs.sensors import Sensor


def experiments(
    sensor: Sensor, *, seed: int = 0, illuminance_lux: float = 1000.0
) -> dict[str, Callable[[], Measurement]]:
    """What can be measured, by name; calling one does it. Those that vary the light choose it themselves.

    Raises ParameterError unless the illuminance is a finite number above 0.
    """
    if not 0 < illuminance_lux < inf:
        raise ParameterError(f"illuminance is {illuminance_lux:g} lux, expected a finite number above 0")
    here = {"seed": seed, "illuminance_lux": illuminance_lux}
    return {
        "contrast_threshold": partial(contrast_threshold, sensor, **here),
        "events_per_contrast": partial(events_per_contrast, sensor, **here),
        "thresholds": partial(thresholds, sensor, **here),
        "on_share": partial(on_share, sensor, seed=seed),
        "latency": partial(latency, sensor, seed=seed),
        "frequency_response": partial(frequency_response, sensor, seed=seed),
        "bandwidth": partial(bandwidth, sensor, seed=seed),
        "refractory_ceiling": partial(refractory_ceiling, sensor, **here),
        "noise_rates": partial(noise_rates, sensor, seed=seed),
        "noise_intervals": partial(noise_intervals, sensor, **here),
        "bus_throughput": partial(bus_throughput, sensor, **here),
        "bus_delay": partial(bus_delay, sensor, **here),
    }
