"""How the davis346 preset was calibrated: thresholds fitted to the first half of a recording.

    python benchmarks/calibrate_davis346.py RECORDING.aedat4

The recording holds the events and the frames of the same pixels. What is minimised (Nelder & Mead 1965) over
frames 0 to 29 is 2 (1 - r of the signed maps) + 2 (1 - r of the count maps) + 0.2 |ln(count ratio)|; everything else
stays as the preset says. The dark offset is not fitted: thresholds and offset can be traded for each other along a
valley of nearly equal agreement. The second half is only reported.
"""

import sys
from pathlib import Path

import numpy as np
from fidelity import FIRST_HALF, SECOND_HALF, Traffic, compare, read_traffic
from numpy.typing import NDArray
from scipy.optimize import minimize

from dvs.sensors import Sensor, load_sensor


def cost(values: NDArray[np.float64], traffic: Traffic, sensor: Sensor) -> float:
    """What the fit minimises, from ln(theta_on, theta_off)."""
    theta_on, theta_off = np.exp(values)
    agreement = compare(traffic, sensor.with_(theta_on=theta_on, theta_off=theta_off), half=FIRST_HALF)
    return 2 * (1 - agreement.signed_r) + 2 * (1 - agreement.count_r) + 0.2 * abs(np.log(agreement.count_ratio))


def main(path: Path) -> None:
    """Fit, and print the fitted values and the agreement on both halves."""
    traffic = read_traffic(path)
    sensor = load_sensor("davis346")
    start = np.log([0.2, 0.2])
    simplex = np.vstack([start, start + 0.2 * np.eye(2)])
    options = {"initial_simplex": simplex, "maxfev": 60, "xatol": 0.005, "fatol": 1e-4}
    best = minimize(cost, start, args=(traffic, sensor), method="Nelder-Mead", options=options)
    theta_on, theta_off = np.exp(best.x)
    print(f"theta_on {theta_on:.4f}  theta_off {theta_off:.4f}  cost {best.fun:.4f}")
    fitted = sensor.with_(theta_on=theta_on, theta_off=theta_off)
    for name, half in (("first", FIRST_HALF), ("second", SECOND_HALF)):
        print(f"{name} half: {compare(traffic, fitted, half=half)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
