"""Neurons learn how long to remember: a task of two time scales, and membranes that all begin with the same 20 ms.

Somewhere in a sample two clicks are heard on one set of wires, 3 or 15 ms apart, and two on another, 50 or 200 ms
apart, among noise. Which of the four combinations was it? A neuron that is to answer the first pair must have forgotten
after 15 ms, one that answers the second must remember for 50. Perez-Nieves, Leung, Dragotti & Goodman 2021, "Neural
heterogeneity promotes robust learning", Nat. Commun. 12:5791, find that tasks with a temporal structure of their own
are learnt better by neurons that differ, whether their time constants are drawn or learnt. Here are both, and neurons
that are all alike: over three seeds 88 +- 3 %, 90 +- 1 %, and 76 +- 4 % with the best time constant.

    python examples/11_time_constants_learnt.py [--neurons 100] [--samples 1200] [--epochs 20] [--seed 0]
        [--alike 5 10 20 50 100 200] [--codegen numpy] [--output time_constants.png]
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

GAPS_MS = (3, 15), (50, 200)
WIRES = 10  # of each pair of clicks
STEPS = 400  # of 1 ms
LOOK = STEPS * ms


def heard(label: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Spikes (steps, wires) of two pairs of clicks; label: 2 x is the first gap long + is the second gap long.

    A click is heard by nine wires in ten, give or take 1 ms; each wire makes two more spikes a second.
    """
    spikes = rng.random((STEPS, 2 * WIRES)) < 0.002
    for pair, long in enumerate(divmod(label, 2)):
        gap = GAPS_MS[pair][long]
        first = rng.integers(20, STEPS - gap - 40)
        for click in (first, first + gap):
            step = click + np.rint(rng.normal(size=WIRES)).astype(int)
            spikes[step, pair * WIRES + np.arange(WIRES)] |= rng.random(WIRES) < 0.9
    return spikes


def network_of(neurons: int) -> Network:
    """Wires, neurons with a time constant each, and a membrane for each label."""
    wires = SpikeGeneratorGroup(2 * WIRES, [], [] * ms, name="wires")
    cells = NeuronGroup(
        neurons, "dv/dt = -v / tau : 1\ntau : second (constant)", threshold="v > 1", reset="v = 0", method="exact",
        name="cells",
    )  # fmt: skip
    readout = NeuronGroup(4, "dv/dt = -v / (100*ms) : 1", method="exact", name="readout")
    entry = Synapses(wires, cells, "w : 1", on_pre="v_post += w", name="entry")
    exit_ = Synapses(cells, readout, "w : 1", on_pre="v_post += w", name="exit")
    for synapses in (entry, exit_):
        synapses.connect()
    return Network(wires, cells, readout, entry, exit_)


def picture(alike: dict[float, float], drawn: float, learnt: float, tau_ms: NDArray[np.float64]) -> Figure:
    """Accuracy of neurons with one time constant, drawn ones and learnt ones; and the learnt ones."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(alike.keys(), alike.values(), "o-", color=INK, label="the same for all")
    left.axhline(drawn, color=ON, linestyle="--", label="drawn for each")
    left.axhline(learnt, color=OFF, label="learnt")
    left.axhline(0.25, color="0.7", linewidth=0.8, label="chance")
    left.set(xlabel="time constant (ms)", ylabel="right on new samples", ylim=(0, 1))
    left.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    left.legend(frameon=False, ncols=2, loc="lower center", fontsize=9, bbox_to_anchor=(0.5, 0))
    right.hist(tau_ms, bins=np.geomspace(2, 500, 25), color=OFF)
    for pair, gaps in enumerate(GAPS_MS):
        right.axvspan(
            *gaps, color="0.93", linewidth=0, zorder=0, label=None if pair else "from short to long gap of a pair"
        )
    right.axvline(20, color=INK, linestyle=":", label="before learning")
    right.set(xlabel="time constant learnt (ms)", ylabel="neurons")
    right.legend(frameon=False, ncols=2, loc="lower center", fontsize=9, bbox_to_anchor=(0.5, 1))
    for axes in (left, right):
        axes.set(xscale="log", xticks=[2, 5, 10, 20, 50, 100, 200, 500], xticklabels=[2, 5, 10, 20, 50, 100, 200, 500])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Train weights alone with several time constants, then weights and time constants; print and draw accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--samples", type=int, default=1200, help="a third of them is kept for the test")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of samples and first weights")
    parser.add_argument("--alike", type=float, nargs="+", default=[5, 10, 20, 50, 100, 200], help="in ms")
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("time_constants.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen
    defaultclock.dt = 1 * ms

    rng = np.random.default_rng(options.seed)
    labels = rng.permutation(np.arange(options.samples) % 4)
    samples = [heard(label, rng) for label in labels]
    first_new = options.samples * 2 // 3
    network = network_of(options.neurons)
    wires, cells, entry, exit_ = (network[name] for name in ("wires", "cells", "entry", "exit"))
    first_weights = rng.normal(0, 0.07, len(entry)), rng.normal(0, 0.3, len(exit_))
    loss = learning.losses.mean_over_time()

    def trained(start: Quantity, *more: learning.Parameter) -> float:
        """Share of new samples that are named right, when weights are trained, and `more`."""
        cells.tau = start
        entry.w, exit_.w = np.abs(first_weights[0]), first_weights[1]
        model = learning.trainable(
            network, inputs=wires, output="readout.v", parameters=[entry.w, exit_.w, *more], duration=LOOK
        )
        model.fit(
            samples[:first_new], labels[:first_new], loss=loss, optimiser=learning.Adam(5e-3), epochs=options.epochs,
            batch=32,
        )  # fmt: skip
        return float((model.predict(samples[first_new:], loss) == labels[first_new:]).mean())

    print(f"right on {options.samples - first_new} new samples (chance 25%):")
    alike = {}
    for tau_ms in options.alike:
        alike[tau_ms] = trained(tau_ms * ms)
        print(f"  {alike[tau_ms]:.1%}  all time constants {tau_ms:g} ms")
    drawn = trained(np.exp(rng.uniform(np.log(2), np.log(500), options.neurons)) * ms)
    print(f"  {drawn:.1%}  time constants drawn, 2 to 500 ms")
    # A step of the optimiser is 5e-3 of the scale: 1.5 ms.
    learnt = trained(20 * ms, learning.Parameter(cells.tau, scale=300 * ms, limits=(2 * ms, 500 * ms)))
    low, high = np.quantile(cells.tau / ms, [0.1, 0.9])
    print(
        f"  {learnt:.1%}  time constants learnt, from 20 ms to {low:.0f} ms in a tenth, above {high:.0f} ms in another"
    )

    def show(sample: NDArray[np.bool_]) -> None:
        step, wire = np.nonzero(sample)
        wires.set_spikes(wire, step * ms)

    responses = snn.run(network, samples[first_new:], input=show, duration=LOOK, states={"readout": ["v"]})
    read = loss.predict(responses.states["readout"]["v"])
    print(f"  {(read == labels[first_new:]).mean():.1%}  these, run by Brian2")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(alike, drawn, learnt, cells.tau / ms).savefig(options.output, dpi=100)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
