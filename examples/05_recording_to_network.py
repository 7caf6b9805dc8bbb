"""A recording of a street streams into motion detectors, which tell the cars that go right from those that go left.

A place of the picture has two cells, as in the rabbit's retina (Barlow & Levick 1965, "The mechanism of directionally
selective units in rabbit's retina", J. Physiol. 178:477). Events of the place excite both; events of its neighbour on
one side veto one of them for a while, by shunting inhibition. What comes from the other side has passed before the
veto arrives. The cells are integrate-and-fire neurons with conductances (Vogels & Abbott 2005).

The events are those of a real camera (see data/README.md), read from the file as they are needed. To check the cells,
they are divided into those of the far and of the near side of the road, and a line is fitted through x against time.
Cars that are there at the first moment excite every cell: nothing came before that could veto them.

    python examples/05_recording_to_network.py [--seconds 2.36] [--veto 300] [--output street.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import BrianObject, Network, SpikeMonitor, ms, mV, nS, prefs, second
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

import dvs
import snn
from dvs.charts import INK, OFF, ON
from snn.neurons import coba_lif
from snn.probes import psth
from snn.synapses import Wiring, connect, one_to_one

STREET = Path(__file__).parent / "data" / "street.h5"
POOL = 2  # a place is 2 x 2 pixels
COLOURS = {"right": ON, "left": OFF}


def detectors(eye: snn.EventInput, name: str, veto_from: int, veto_ns: float) -> list[BrianObject]:
    """Cells that events excite, unless there were some at the neighbour `veto_from` (1 right, -1 left) just before."""
    cells = coba_lif(tau_i=50 * ms, E_i=-60 * mV).group(len(eye.group), name=name, clock=eye.group.clock)
    number = np.arange(len(cells)).reshape(eye.shape)
    # From the neighbour to the cell, or the other way round where the neighbour is on the left.
    pre, post = (number[:, :, 1:], number[:, :, :-1])[::veto_from]
    veto = Wiring(
        pre=pre.ravel(), post=post.ravel(), weights=np.full(pre.size, veto_ns) * nS,
        in_shape=eye.shape, out_shape=eye.shape,
    )  # fmt: skip
    return [
        cells,
        connect(eye.group, cells, one_to_one(len(cells), 6 * nS), onto="g_e", name=f"{name}_excitation"),
        connect(eye.group, cells, veto, onto="g_i", name=f"{name}_veto"),
    ]


def is_near(x_px: ArrayLike, y_px: ArrayLike) -> NDArray[np.bool_]:
    """Whether a place is on the near side of the road's middle."""
    return np.asarray(y_px) > 298 - 0.464 * np.asarray(x_px)


def main() -> None:
    """Run the network, print what moves on each side of the road and what the cells say, draw both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.36, help="how much of the recording")
    parser.add_argument(
        "--veto", type=float, default=300.0, help="conductance, nS; with 0 both kinds of cell are alike"
    )
    parser.add_argument("--output", type=Path, default=Path("street.png"))
    options = parser.parse_args()
    prefs.codegen.target = "numpy"  # for so short a run, compiling takes longer

    eye = snn.event_input(STREET, dt=1 * ms, pool=POOL, collisions="first")
    network = Network(eye.group, detectors(eye, "right", 1, options.veto), detectors(eye, "left", -1, options.veto))
    monitors = {name: SpikeMonitor(network[name]) for name in COLOURS}
    network.add(monitors.values())
    network.run(options.seconds * second)

    recording = dvs.read(STREET)
    recording = recording.between(recording.start_us, recording.start_us + int(options.seconds * 1e6))
    events, t_s = recording.events, (recording.events["t"] - recording.start_us) * 1e-6
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=[2, 1])
    above.plot(t_s * 1000, events["x"], ",", color=INK, alpha=0.3)
    near = {}
    for name, monitor in monitors.items():
        x_px, y_px = POOL * eye.group.x[:][monitor.i], POOL * eye.group.y[:][monitor.i]
        near[name] = is_near(x_px, y_px)
        above.plot(monitor.t / ms, x_px, ".", color=COLOURS[name], markersize=1.5)
        together = snn.spike_trains(0 * monitor.i, monitor.t, neurons=1, duration=network.t)
        rate = psth(together, bin_width=20 * ms, smooth=20 * ms)
        rate.plot(below, color=COLOURS[name], label=f"all cells for motion to the {name}")
    above.set_ylabel("x (pixels)", color=INK)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=100)

    near_events = is_near(events["x"], events["y"])
    for side, is_side in (("far", False), ("near", True)):
        here = near_events == is_side
        speed_px_s = np.polyfit(t_s[here], events["x"][here], 1)[0]
        counts = {name: int((found == is_side).sum()) for name, found in near.items()}
        print(
            f"{side} side: {here.sum():6,} events move by {speed_px_s:+4.0f} px/s; "
            f"{counts['right']} spikes say right, {counts['left']} left"
        )
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
