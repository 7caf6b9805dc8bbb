"""A step of light becomes events: how many, and when.

The light of every pixel rises by a factor of 3 within 10 ms. A pixel with the threshold theta answers with
floor(ln(3) / theta) ON events; between two frames log luminance is a straight line, so the k-th event
comes at k theta / ln(3) of the way. Lichtsteiner, Posch & Delbruck 2008, "A 128x128 120 dB 15 us latency
asynchronous temporal contrast vision sensor", IEEE JSSC 43:566.

    python examples/01_step_to_events.py [--contrast 3] [--theta 0.2]
"""

import argparse
import math

import numpy as np

from dvs.emulator import emulate
from dvs.sensors import Sensor


def main() -> None:
    """Emulate the step and print each event beside its closed form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contrast", type=float, default=3.0, help="light after the step over light before")
    parser.add_argument("--theta", type=float, default=0.2, help="threshold, ln units")
    options = parser.parse_args()

    light = np.array([0.1, 0.1 * options.contrast]).reshape(2, 1, 1)
    sensor = Sensor(theta_on=options.theta, theta_off=options.theta)
    recording = emulate(light, sensor, fps=100, dark_offset=1e-9)

    change = math.log(options.contrast)
    print(f"a step of {change:.3f} ln units over thresholds of {options.theta}: {len(recording)} events")
    for k, event in enumerate(recording.events, start=1):
        expected_us = 1e4 * k * options.theta / abs(change)
        print(f"  {'ON ' if event['p'] else 'OFF'} at {event['t']:5d} us, expected {expected_us:8.2f} us")


if __name__ == "__main__":
    main()
