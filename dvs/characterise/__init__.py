"""Sensor characterisation: what one would measure of the camera on a bench, from emulated events alone.

`python -m dvs.characterise --sensor davis346` measures a sensor and draws a poster; each
measurement is also a function, from a sensor to a `Measurement`.
"""

from dvs.characterise.background import noise_intervals, noise_rates, on_share
from dvs.characterise.bus import bus_delay, bus_throughput
from dvs.characterise.contrast import contrast_threshold, events_per_contrast, thresholds
from dvs.characterise.experiments import experiments
from dvs.characterise.measurement import Curve, Measurement, Number
from dvs.characterise.poster import poster
from dvs.characterise.speed import bandwidth, frequency_response, latency, refractory_ceiling

__all__ = [
    "Curve",
    "Measurement",
    "Number",
    "bandwidth",
    "bus_delay",
    "bus_throughput",
    "contrast_threshold",
    "events_per_contrast",
    "experiments",
    "frequency_response",
    "latency",
    "noise_intervals",
    "noise_rates",
    "on_share",
    "poster",
    "refractory_ceiling",
    "thresholds",
]
