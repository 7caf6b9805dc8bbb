"""Different solutions of one task, by following ridges down from the point where a network has decided nothing.

Three wires, one of which carries the spikes of a sample: which? Two neurons with membranes of 5 and 20 ms hear all
three, and three readouts hear both neurons. Where all weights in are equal, and none lead out, nothing tells the labels
apart: no weight has a slope there, by symmetry, and yet each neuron has two ways down. Gradient descent takes the
steepest; Ridge Rider (Parker-Holder et al. 2020) follows each of them, to both sides, and branches where it ends in
another saddle. What it finds are solutions with different hidden codes: which neuron answers which wire, and which wire
is told by silence. As the wires are alike, each kind of solution comes in up to six, one for each order of the wires.
Restarts of gradient descent get as many gradients. Weights are held near where they begin by a squared price.

    python examples/29_ridge_rider.py [--rides 24] [--depth 2] [--step 0.2] [--price 0.01] [--trains 3] [--rate 0.5]
        [--spread 0.5] [--seed 0] [--codegen numpy] [--output ridge_rider.png]
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from brian2 import BrianLogger, Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms, prefs
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

import learning
from dvs.charts import colour_bar, name_axes, prepare
from learning.landscape.objective import Objective, of_model
from learning.landscape.ridges import Comparison, Solutions, Tree, compare_with_restarts, ridge_rider, saddle

STEPS, WIRES, NEURONS = 30, 3, 2


def network_of() -> Network:
    """Wires, two neurons, three readouts; all weights in equal, none out."""
    wires = SpikeGeneratorGroup(WIRES, [], [] * ms, name="wires")
    cells = NeuronGroup(
        NEURONS, "dv/dt = -v / tau : 1\ntau : second (constant)", threshold="v > 1", reset="v -= 1", method="exact",
        name="cells",
    )  # fmt: skip
    cells.tau = [5, 20] * ms
    readout = NeuronGroup(WIRES, "dv/dt = -v / (20*ms) : 1", method="exact", name="readout")
    entry = Synapses(wires, cells, "w : 1", on_pre="v_post += w", name="entry")
    exit_ = Synapses(cells, readout, "w : 1", on_pre="v_post += w", name="exit")
    for synapses, weight in ((entry, 0.5), (exit_, 0.0)):
        synapses.connect()
        synapses.w = weight
    return Network(wires, cells, readout, entry, exit_)


def task(trains: int, seed: int) -> tuple[list[NDArray], NDArray]:
    """Each train of six spikes on each of the wires, and which it was."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(trains):
        when = rng.choice(STEPS - 8, 6, replace=False)
        for wire in range(WIRES):
            samples.append(np.zeros((STEPS, WIRES), int))
            samples[-1][when, wire] = 1
    return samples, np.tile(np.arange(WIRES), trains)


def priced(f: Objective, price: float) -> Objective:
    """A loss plus what it costs to leave the start."""

    def slope(x: NDArray) -> tuple[float, NDArray]:
        value, gradient = f.slope(x)
        return value + price / 2 * float((x - f.start) @ (x - f.start)), gradient + price * (x - f.start)

    return replace(f, value=lambda x: slope(x)[0], slope=slope)


def problem(
    trains: int, price: float, seed: int
) -> tuple[Objective, Callable[[NDArray], NDArray], Callable[[NDArray], float]]:
    """The loss; the hidden code of weights, spikes (neurons, wires); and how often they are right with real spikes."""
    network = network_of()
    shared = {
        "inputs": network["wires"], "output": "readout.v", "parameters": [network["entry"].w, network["exit"].w],
        "duration": STEPS * ms, "surrogate": learning.surrogates.sigmoid(4.0), "precision": "float64", "threads": 1,
        "namespace": {},
    }  # fmt: skip
    smooth = learning.trainable(network, smooth=True, through_reset=True, **shared)
    spiking = learning.trainable(network, **shared)
    loss = learning.losses.mean_over_time()
    samples, labels = task(trains, seed)
    batch = smooth.encode(samples)
    f = of_model(smooth, batch, labels, loss)
    fresh, fresh_labels = task(30, seed + 1000)

    def put(model: learning.Model, x: NDArray) -> None:
        for name, part in f.names.items():
            model.parameters[name][...] = x[part].reshape(model.parameters[name].shape)
        model.changed()

    def code(x: NDArray) -> NDArray:
        put(smooth, x)
        counts = smooth.forward(batch).counts["cells"].reshape(-1, WIRES, NEURONS).mean(axis=0).T
        put(smooth, f.start)
        return counts

    def right(x: NDArray) -> float:
        put(spiking, x)
        return spiking.evaluate(fresh, fresh_labels, loss)[1]

    return priced(f, price), code, right


def likeness(codes: NDArray) -> float:
    """Mean correlation of two codes; 0 is that of codes that have nothing to do with each other."""
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in combinations(codes, 2)]))


def main() -> None:
    """Find the saddle, ride, restart, say what was found, draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rides", type=int, default=24)
    parser.add_argument("--depth", type=int, default=2, help="rides one after the other")
    parser.add_argument("--step", type=float, default=0.2, help="length of a step in the weights")
    parser.add_argument("--price", type=float, default=0.01, help="of squared distance from the start")
    parser.add_argument("--trains", type=int, default=3, help="of spikes, each on every wire")
    parser.add_argument("--rate", type=float, default=0.5, help="of the gradient descents")
    parser.add_argument("--spread", type=float, default=0.5, help="of the weights where they begin")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("ridge_rider.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen
    BrianLogger.suppress_name("unused_brian_object")  # the models run, Brian2 does not
    defaultclock.dt = 1 * ms

    f, code, right = problem(options.trains, options.price, options.seed)
    shaken = f.start + 0.02 * np.random.default_rng(options.seed).standard_normal(f.size)
    undecided = saddle(f, shaken)
    print(f"saddle: {undecided}")
    print(f"  the symmetric point, ln 3 = {np.log(3):.4f}, is {np.linalg.norm(undecided.x - f.start):.1g} from it")

    shared = {"apart": 0.01, "tolerance": 1e-5, "code": code, "seed": options.seed}
    tree = ridge_rider(
        f, undecided, step=options.step, depth=options.depth, rides=options.rides, curvature=1e-3, **shared
    )
    print(f"ridges: {tree}")
    found = tree.solutions
    for n in np.argsort(found.losses):
        answers = "; ".join(" ".join(f"{spikes:4.1f}" for spikes in row) for row in found.codes[n].reshape(NEURONS, -1))
        print(f"  loss {found.losses[n]:.4f}, {100 * right(found.x[n]):3.0f} % right with spikes; code {answers}")

    compared = compare_with_restarts(f, tree, spread=options.spread, steps=20, rate=options.rate, **shared)
    print(f"both: {compared}")
    for name, one in {"ridges": found, "restarts": compared.restarts}.items():
        if len(one) > 1:
            apart, like = one.code_diversity, likeness(one.codes)
            print(f"  {name}: codes are {apart:.1f} spikes apart on average, and correlated by {like:+.2f}")

    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(tree, compared).savefig(options.output, dpi=110)
    print(f"see {options.output}")


def picture(tree: Tree, compared: Comparison) -> Figure:
    """The tree, the codes at its ends, and solutions against gradients."""
    figure = Figure(figsize=(12.5, 6.4), layout="constrained")
    above, below = figure.subfigures(2, height_ratios=[5, 2])
    tree_axes, curves = above.subplots(1, 2, width_ratios=[3, 2])
    tree.plot(tree_axes)
    tree_axes.set_title("rides from the undecided network", fontsize=10)
    compared.plot(curves)
    curves.set_title("as many gradients for restarts", fontsize=10)
    codes(below, tree.solutions)
    return figure


def codes(figure: SubFigure, found: Solutions, most: int = 12) -> None:
    """What each neuron answers to each wire, best solutions first."""
    order = np.argsort(found.losses, kind="stable")[:most]
    if not len(order):
        return
    axes = figure.subplots(1, len(order), squeeze=False)[0]
    top = max(float(found.codes[order].max()), 1.0)
    for ax, n in zip(axes, order, strict=True):
        image = prepare(ax, grid=False).imshow(found.codes[n].reshape(NEURONS, -1), cmap="Blues", vmin=0, vmax=top)
        ax.set_title(f"{found.losses[n]:.3f}", fontsize=9)
        ax.set_xticks(range(WIRES), list("ABC"))
        ax.set_yticks([])
        name_axes(ax, "wire", "")
    axes[0].set_yticks(range(NEURONS), ["5 ms", "20 ms"])
    colour_bar(axes[-1], image, "spikes")
    figure.suptitle("hidden codes of the solutions, with their losses", fontsize=10)


if __name__ == "__main__":
    main()
