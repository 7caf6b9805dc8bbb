"""A moving bar meets orientation-selective cells, and their tuning curves tell what they were made for.

The weights of a cell are a Gabor function, as in simple cells of the visual cortex (Jones & Palmer 1987, "An evaluation
of the two-dimensional Gabor filter model of simple receptive fields", J. Neurophysiol. 58:1233): ON events excite
where it is positive, OFF events where it is negative, and the other way round they inhibit. The bar is half a
wavelength wide, so that both its edges excite at once. Its angle is that of its movement, 0 to the right, 90 down;
the orientation is that of the waves. A bar that moves at right angles to it meets whole waves, whose weights cancel:
the selectivity index should be 1.

    python examples/03_moving_bar_tuning.py [--directions 16] [--output tuning.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import Hz, ms, prefs, second
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

import dvs
import snn
from dvs.scenes import moving_bar
from snn.neurons import lif
from snn.probes import TuningCurve, orientation_selectivity, tuning_curve

ORIENTATIONS_DEG = np.arange(15, 180, 30)
WAVELENGTH_PX = 8
SIZE_PX = 15
SENSOR_PX = 31


def gabor(orientation_deg: float, sigma_px: float = 3.5) -> NDArray[np.float64]:
    """Waves along the orientation under a bell, (SIZE_PX, SIZE_PX); a uniform field does not excite it."""
    y, x = np.indices((SIZE_PX, SIZE_PX)) - SIZE_PX // 2
    along = x * np.cos(np.radians(orientation_deg)) + y * np.sin(np.radians(orientation_deg))
    bell = np.exp(-(x**2 + y**2) / (2 * sigma_px**2))
    waves = np.cos(2 * np.pi * along / WAVELENGTH_PX)
    weights = bell * (waves - (bell * waves).sum() / bell.sum())
    return weights / np.abs(weights).sum()


def picture(gabors: NDArray[np.float64], curve: TuningCurve, neurons: NDArray[np.int64]) -> Figure:
    """The Gabors, and below them the tuning curves of one neuron each."""
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    boxes = figure.subplot_mosaic([[*range(len(gabors))], ["curves"] * len(gabors)], height_ratios=[1, 2.4])
    for k, (angle, neuron) in enumerate(zip(ORIENTATIONS_DEG, neurons, strict=True)):
        colour = colormaps["Dark2"](k)
        boxes[k].imshow(gabors[k], cmap="gray")
        boxes[k].set_axis_off()
        boxes[k].set_title(f"{angle}°", color=colour, weight="bold", fontsize=11)
        curve.plot(boxes["curves"], neuron=neuron, color=colour)
    boxes["curves"].set(
        xlabel="direction of the bar (degrees)", xticks=range(0, 360, 45), ylim=(0, 1.05 * np.max(curve.mean / Hz))
    )
    return figure


def main() -> None:
    """Show bars of all directions to all cells, print what the cells prefer, draw their tuning curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directions", type=int, default=16, help="of the bar, an even number over 360 degrees")
    parser.add_argument("--output", type=Path, default=Path("tuning.png"))
    options = parser.parse_args()
    prefs.codegen.target = "numpy"  # for so short a run, compiling takes longer

    sensor = dvs.load_sensor("davis346").with_(width=None, height=None)  # a corner of it
    directions_deg = np.arange(options.directions) * 360 / options.directions
    bars = []
    for angle in directions_deg:
        scene = moving_bar(direction_deg=angle, bar_px=WAVELENGTH_PX / 2, width=SENSOR_PX, height=SENSOR_PX)
        bars.append(dvs.emulate(scene, sensor, seed=1))

    gabors = np.array([gabor(angle) for angle in ORIENTATIONS_DEG])
    weights = 8 * np.stack([-gabors, gabors], axis=1)  # of OFF and of ON; the threshold is 1
    eye = snn.EventInput(width=SENSOR_PX, height=SENSOR_PX, dt=1 * ms, collisions="first")
    cells = snn.Conv(len(gabors), lif(tau=10 * ms), size=SIZE_PX, stride=8, weights=weights, name="cells")
    network = snn.feedforward(eye, [cells], seed=0)
    duration = max(bar.duration_s for bar in bars) * second
    responses = snn.run(network, bars, input=eye, duration=duration)

    curve = tuning_curve(responses.spikes["cells"].rates(), directions_deg)
    selectivity = orientation_selectivity(curve)
    # Neurons of a Conv layer are numbered (orientation, place): each Gabor looks at 3 x 3 places.
    places = len(network["cells"]) // len(gabors)
    made_for_deg = np.repeat(ORIENTATIONS_DEG, places)
    error_deg = (selectivity.preferred_deg - made_for_deg + 90) % 180 - 90
    print("made for (deg)    preferred (deg)    selectivity index    1 - circular variance")
    for angle in ORIENTATIONS_DEG:
        own = made_for_deg == angle
        prefers = angle + error_deg[own]
        print(
            f"{angle:9d}{prefers.mean():17.1f} +- {prefers.std():.1f}"
            f"{selectivity.index[own].mean():16.2f}{selectivity.resultant[own].mean():22.2f}"
        )
    middle = np.arange(len(gabors)) * places + places // 2
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(gabors, curve, middle).savefig(options.output, dpi=100)
    print(f"all {len(error_deg)} cells within {np.abs(error_deg).max():.1f} deg; see {options.output}")


if __name__ == "__main__":
    main()
