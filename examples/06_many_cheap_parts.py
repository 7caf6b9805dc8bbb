"""Many cheap parts do what one precise part does: the error of N analog neurons falls as 1 / sqrt(N).

Analog neurons that are made alike differ in their time constants and thresholds (Büchel et al. 2021, Scientific
Reports 11:23376). Let N of them see the same input and read it from their mean rate. The readout knows how such
neurons fire on average, not the ones on this chip; what is left is the error of a mean of N independent numbers, as in
von Neumann 1956, "Probabilistic logics and the synthesis of reliable organisms from unreliable components".

    python examples/06_many_cheap_parts.py [--parts 8192] [--spread 0.1 0.2 0.4] [--output many_cheap_parts.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import Network, SpikeMonitor, ms, prefs
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from snn.hardware import mismatch
from snn.neurons import lif

# Input in units of the current that just reaches the threshold. From here on the rate rises almost in a straight line.
INPUTS = np.linspace(1.5, 4, 6)


def ideal_parts(count: int) -> Network:
    """Integrate-and-fire neurons that are all alike, each at its own point between two spikes."""
    cells = lif(current=True).group(count, name="parts", dt=0.5 * ms)
    cells.v = np.random.default_rng(1).random(count)
    return Network(cells, SpikeMonitor(cells, record=False, name="counter"))


def rates_hz(network: Network, duration_ms: float) -> NDArray[np.float64]:
    """Rate of each part in response to each input, (inputs, parts)."""
    counts = [np.array(network["counter"].count)]
    for strength in INPUTS:
        network["parts"].I = strength
        network.run(duration_ms * ms)
        counts.append(np.array(network["counter"].count))
    return np.diff(counts, axis=0) / (duration_ms * 1e-3)


def errors(rates_hz: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Root mean square error of the input as read from chips of each size, as a share of the range of inputs."""
    readout = np.polyfit(rates_hz.mean(axis=1), INPUTS, 2)
    found = []
    for size in sizes:
        chips = rates_hz[:, : rates_hz.shape[1] // size * size].reshape(len(INPUTS), -1, size).mean(axis=2)
        found.append(np.sqrt(np.mean((np.polyval(readout, chips) - INPUTS[:, None]) ** 2)))
    return np.array(found) / np.ptp(INPUTS)


def slope(errors: NDArray[np.float64], sizes: NDArray[np.int64]) -> float:
    """The exponent of N; the larger chips are, the fewer there are, and the less their error counts."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1, w=1 / np.sqrt(sizes))[0])


def main() -> None:
    """Measure the error against the number of parts for several spreads, print the slopes, draw a picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, default=8192, help="neurons of which chips are made")
    parser.add_argument("--spread", type=float, nargs="+", default=[0.1, 0.2, 0.4], help="coefficients of variation")
    parser.add_argument("--duration", type=float, default=300.0, help="how long each input is seen, ms")
    parser.add_argument("--output", type=Path, default=Path("many_cheap_parts.png"), help="the picture")
    options = parser.parse_args()
    prefs.codegen.target = "numpy"  # for so short a run, compiling takes longer

    ideal = ideal_parts(options.parts)
    chips = {spread: mismatch(ideal, {"tau": spread, "threshold": spread}, seed=2) for spread in options.spread}
    sizes = 2 ** np.arange(int(np.log2(options.parts / 32)) + 1)
    (perfect,) = errors(rates_hz(ideal, options.duration), sizes[:1])
    print(f"one ideal part: error {perfect:.2%} of the range, from counting spikes for {options.duration:g} ms")

    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.add_subplot(
        xscale="log", yscale="log", xlabel="parts in parallel", ylabel="error, share of the range"
    )
    for colour, (spread, chip) in zip(
        colormaps["viridis"](np.linspace(0, 0.8, len(chips))), chips.items(), strict=True
    ):
        error = errors(rates_hz(chip, options.duration), sizes)
        print(
            f"parts that differ by {spread:.0%}: error {error[0]:.1%} of one, {error[-1]:.2%} of {sizes[-1]}; "
            f"it falls as N^{slope(error, sizes):.2f}"
        )
        axes.plot(sizes, error, "o", color=colour, label=f"parts that differ by {spread:.0%}")
        axes.plot(sizes, error[0] / np.sqrt(sizes), color=colour, linewidth=0.8)
    axes.axhline(perfect, color="black", linestyle="--", linewidth=0.8, label="one ideal part")
    axes.set_title("lines: error of one / sqrt(N)", fontsize=10, loc="left")
    axes.legend(frameon=False)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=120)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
