"""A recurrent network remembers which of two cues it saw, for fifty times as long as its membranes do.

The task is store and recall of Bellec et al. 2018, "Long short-term memory and learning-to-learn in networks of spiking
neurons", NeurIPS 31, with one bit: a cue comes on the wires of "left" or of "right"; then there is noise alone; then,
at a signal that is always the same, two membranes that hear the network are to tell which cue it was. A membrane
forgets in 20 ms. What lasts are the thresholds: each spike of a neuron raises its own, for a second. So the memory is
silent, and a negative: at recall those neurons answer that did not hear the cue.

The derivative goes back through all steps, and in each through the recurrent synapses: there it explodes, and clipping
what comes out does not help. `damping` makes it smaller at each such passage. Both are tried.

    python examples/12_memory.py [--trials 400] [--delay 1000] [--epochs 16] [--seed 0] [--codegen numpy]
        [--output memory.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import Network, NeuronGroup, Quantity, SpikeGeneratorGroup, Synapses, defaultclock, ms, prefs
from matplotlib.figure import Figure
from numpy.typing import NDArray

import learning
import snn
from dvs.charts import INK, OFF, ON
from snn.probes import raster
from snn.probes.pictures import legend, name_axes, prepare

adaptive = """
dv/dt = -v / (20*ms) : 1
da/dt = -a / (1*second) : 1
"""
WIRES = 20  # of each kind: left, right, recall, noise
CUE = RECALL = 50 * ms


def recurrent_network(rng: np.random.Generator) -> Network:
    """Wires to adaptive neurons, those to each other, and to two membranes that never spike."""
    wires = SpikeGeneratorGroup(4 * WIRES, [], [] * ms, name="wires")
    cells = NeuronGroup(100, adaptive, threshold="v > 1 + 0.2*a", reset="v -= 1; a += 1", method="exact", name="cells")
    readout = NeuronGroup(2, "dv/dt = -v / (20*ms) : 1", method="exact", name="readout")
    network = Network(wires, cells, readout)
    # A spike is heard by the others one step later, as always in Brian2; that is all the delay a loop needs.
    gains = {"entry": (wires, cells, 2.0), "recurrent": (cells, cells, 3.5), "exit": (cells, readout, 0.3)}
    for name, (source, target, gain) in gains.items():
        synapses = Synapses(source, target, "w : 1", on_pre="v_post += w", name=name)
        synapses.connect()
        synapses.w = gain / np.sqrt(len(source)) * rng.standard_normal(len(synapses))
        network.add(synapses)
    return network


def trial(cue: int, delay: Quantity, rng: np.random.Generator) -> tuple[NDArray[np.int64], Quantity]:
    """Which wires spike, and when: those of the cue, later those of recall, at 100 Hz, those of noise always at 10."""
    stop = [round(float(part / ms)) for part in (CUE, CUE + delay, CUE + delay + RECALL)]
    rate_hz = np.zeros((stop[-1], 4))
    rate_hz[: stop[0], cue] = rate_hz[stop[1] :, 2] = 100
    rate_hz[:, 3] = 10
    step, wire = np.nonzero(rng.random((stop[-1], 4 * WIRES)) < np.repeat(rate_hz, WIRES, axis=1) / 1000)
    return wire, step * ms


def picture(responses: snn.Responses, cues: NDArray[np.int64], history: learning.History) -> Figure:
    """A trial of each cue: spikes; thresholds of the quarter that hears a cue most; readout. Then the training."""
    figure = Figure(figsize=(9, 8.4), layout="constrained")
    above, below = figure.subfigures(2, height_ratios=[2.4, 1])
    boxes = above.subplots(3, 2, sharex=True, sharey="row", height_ratios=[2, 1, 1])
    spikes, a, v = responses.spikes["cells"], responses.states["cells"]["a"], responses.states["readout"]["v"]
    at_cue = spikes.between(0 * ms, CUE).counts()
    order = np.argsort(at_cue[cues == 1].mean(axis=0) - at_cue[cues == 0].mean(axis=0))
    t_ms = np.arange(v.shape[1]) * float(responses.dt / ms)
    for cue, (dots, threshold, readout) in enumerate(boxes.T):
        k = np.flatnonzero(cues == cue)[0]
        raster(spikes.of_sample(k), neurons=order).plot(dots)
        for side, name, quarter, colour in ((0, "left", order[:25], ON), (1, "right", order[-25:], OFF)):
            threshold.plot(t_ms, 1 + 0.2 * a[k][:, quarter].mean(axis=1), color=colour, label=f"hear {name}")
            readout.plot(t_ms, v[k, :, side], color=colour, label=f"says {name}")
        for box, name in ((dots, "neuron"), (threshold, "threshold"), (readout, "readout v")):
            prepare(box).axvspan(0, float(CUE / ms), color=(ON, OFF)[cue], alpha=0.2, linewidth=0)
            box.axvspan(t_ms[-1] - float(RECALL / ms), t_ms[-1], color=INK, alpha=0.12, linewidth=0)
            name_axes(box, "time (ms)" if box is readout else "", name if cue == 0 else "")
        dots.set_title(
            f"{('left', 'right')[cue]}, delay, recall", loc="left", color=INK, fontsize=11, fontweight="bold"
        )
        dots.set_yticks([])
    legend(boxes[1, 0])
    legend(boxes[2, 0])
    history.plot(below.subplots(1, 2))
    return figure


def main() -> None:
    """Train without and with damping, let Brian2 recall the cues of new trials, draw a picture of the latter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=400, help="a quarter of them is kept for the test")
    parser.add_argument("--delay", type=int, default=1000, help="between cue and recall, in ms")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0, help="of first weights, trials and training")
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("memory.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen
    defaultclock.dt = 1 * ms

    rng = np.random.default_rng(options.seed)
    delay, known = options.delay * ms, options.trials * 3 // 4
    cues = np.arange(options.trials) % 2
    trials = [trial(cue, delay, rng) for cue in cues]
    duration, loss = CUE + delay + RECALL, learning.losses.last()
    for damping in (1.0, 0.3):
        network = recurrent_network(np.random.default_rng(options.seed))
        # An error passes what a spike adds to `a`, which is what lasts; here it passes the reset of `v`, too.
        model = learning.trainable(
            network, inputs=network["wires"], output="readout.v", parameters=["entry.w", "recurrent.w", "exit.w"],
            duration=duration, surrogate=learning.surrogates.triangle(height=1), through_reset=True, damping=damping,
        )  # fmt: skip
        history = model.fit(
            trials[:known], cues[:known], loss=loss, optimiser=learning.Adam(2e-3), epochs=options.epochs, batch=20,
            clip=1.0, regularisers={"cells": learning.losses.rate_band(0, 10, strength=0.02)},
            validation=(trials[known:], cues[known:]), seed=options.seed,
        )  # fmt: skip
        wires = network["wires"]
        responses = snn.run(
            network, range(known, options.trials), input=lambda k, wires=wires: wires.set_spikes(*trials[k]),
            duration=duration, record=["cells"], states={"cells": ["a"], "readout": ["v"]},
        )  # fmt: skip
        recalled = loss.predict(responses.states["readout"]["v"]) == cues[known:]
        print(
            f"damping {damping}: norm of the gradient up to {history.gradient_norm_max.max():.3g}; "
            f"Brian2 recalls {recalled.mean():.1%} of {recalled.size} new cues (chance 50%)"
        )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(responses, cues[known:], history).savefig(options.output, dpi=100)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
