"""Which noise helps a descent? Out of a saddle, and down the loss of a spiking network.

A network whose hidden neurons all begin with the same weights has a problem: by symmetry they get the same gradient,
and stay alike for ever. Descent then ends at a saddle, where the best network with one kind of neuron sits: it has no
slope, and hidden - 1 equally steep ways down, which all tell one neuron from the others. The first picture shows when
descent leaves it: never without noise, never by drawing batches, as these treat all neurons alike too, and with noise
on the gradient after about as many steps as a quadratic saddle lets one calculate. (Ge et al. 2015, "Escaping from
saddle points"; the saddle is that of Fukumizu & Amari 2000, "Local minima and plateaus in hierarchical structures".) It
is measured on the smooth twin of the network, whose gradient is the derivative of its loss.

From random weights there is no such saddle, and the question is another: who is lower at equal cost? The second picture
and the table compare all optimisers, each with the best of the learning rates that were tried for it.

    python examples/31_descents.py [--hidden 8] [--steps 15] [--seeds 3] [--tries 2] [--runs 6] [--noise 0.1]
        [--batches 14] [--most 150] [--codegen numpy] [--output descents.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import BrianLogger, SpikeGeneratorGroup, defaultclock, ms, prefs
from matplotlib.figure import Figure
from numpy.typing import NDArray

import learning
from dvs.charts import legend, prepare
from learning.landscape.curvature import hessian
from learning.landscape.escape import escape_time, share_outside, tied, tied_minimum
from learning.landscape.methods import Task, by_optimiser, descents, standard_methods, task_of
from learning.landscape.objective import Objective, of_model
from snn.networks import Dense, feedforward
from snn.neurons import leaky_readout, lif

INPUTS, CLASSES, STEPS = 6, 3, 20
RADIUS = 0.3  # what counts as away from the saddle


def patterns(count: int, seed: int) -> tuple[NDArray, NDArray]:
    """Spikes (count, STEPS, INPUTS): of each class another pair of inputs fires more. And the labels."""
    labels = np.arange(count) % CLASSES
    chance = np.where(np.arange(INPUTS) // 2 == labels[:, None], 0.5, 0.2)
    return (np.random.default_rng(seed).random((count, STEPS, INPUTS)) < chance[:, None]).astype(int), labels


def saddle_of(f: Objective, hidden: int) -> tuple[NDArray, NDArray]:
    """The lowest point where all hidden neurons are alike, and which weights are equal there."""
    equal = np.concatenate([np.repeat(np.arange(INPUTS), hidden), INPUTS + np.tile(np.arange(CLASSES), hidden)])
    begin = np.concatenate([np.full(INPUTS * hidden, 0.3), np.tile([0.8, 0.0, -0.8], hidden) / hidden])
    return tied_minimum(f, equal, at=begin, tolerance=1e-6), equal


def escapes(f: Objective, task: Task, options: argparse.Namespace, ax: object) -> None:
    """Print and draw when descent leaves the saddle, by noise."""
    saddle, equal = saddle_of(f, options.hidden)
    values = np.linalg.eigvalsh(hessian(f, at=saddle))
    lowest, rate = float(values[0]), 1 / float(values[-1])
    ways = int((values < 0.9 * lowest).sum())
    print(
        f"the saddle: loss {f.value(saddle):.3f}, {ways} ways down of curvature {lowest:.3f}; learning rate {rate:.2g}"
    )
    methods = {
        by_optimiser(learning.SGD, name="no noise"): ("#9aa5b1", 0.0),
        by_optimiser(learning.SGD, name="batches of 6", batch=6): ("#7b61a8", 0.0),
        by_optimiser(learning.SGD, name="noise 0.0003", noise=3e-4): ("#3d7fd6", 3e-4),
        by_optimiser(learning.SGD, name="noise 0.003", noise=3e-3): ("#e07b2a", 3e-3),
        by_optimiser(learning.Momentum, name="noise 0.0003, momentum", noise=3e-4): ("#2f9e6e", 0.0),
    }
    for number, (method, (colour, noise)) in enumerate(methods.items()):
        runs = range(options.runs if "noise 0" in method.name else 1)
        out = escape_time(
            task, method, rate, saddle=saddle, radius=RADIUS, most=options.most, seeds=runs,
            away=lambda x: float(np.linalg.norm(x - tied(x, equal))),
        )  # fmt: skip
        steps = np.arange(1, options.most + 1)
        law = None
        if noise:
            law = share_outside(steps, curvature=lowest, rate=rate, noise=noise, radius=RADIUS, directions=ways)
            within = f"{np.searchsorted(law, 0.5) + 1} steps" if law[-1] > 0.5 else f"more than {options.most} steps"
            print(f"  {method.name} leaves a quadratic saddle after {within}, the median; measured:")
        print(f"  {out}")
        out.plot(ax, color=colour)
        if law is not None:
            ax.plot(steps, law, "--", color=colour, linewidth=1, label="expected" if number == 2 else None)
    ax.set(xscale="log", xlim=(1, options.most), title="Leaving the saddle of equal neurons")
    legend(ax)


def main() -> None:
    """Escape from the saddle, then all methods side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=8, help="neurons")
    parser.add_argument("--steps", type=int, default=15, help="of descent on all samples; its cost is everyone's")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the weights")
    parser.add_argument("--tries", type=int, default=2, help="draws from which each learning rate is tried")
    parser.add_argument("--runs", type=int, default=6, help="from the saddle")
    parser.add_argument("--most", type=int, default=150, help="steps at the saddle")
    parser.add_argument("--noise", type=float, default=0.1, help="on each number of the gradient, from random weights")
    parser.add_argument("--batches", type=int, nargs="+", default=[14], help="samples of a step")
    parser.add_argument("--codegen", default="numpy", help="of Brian2, which here makes the network and runs nothing")
    parser.add_argument("--output", type=Path, default=Path("descents.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen
    BrianLogger.suppress_name("unused_brian_object")  # the models run, Brian2 does not
    defaultclock.dt = 1 * ms

    source = SpikeGeneratorGroup(INPUTS, [], [] * ms, name="source")
    layers = [Dense(options.hidden, lif(reset="soft"), gain=2.0, name="hidden"), Dense(CLASSES, leaky_readout())]
    network = feedforward(source, layers, seed=0)
    spiking, smooth = (
        learning.trainable(
            network, inputs=source, output=network["layer2"].v, duration=STEPS * ms, precision="float64",
            parameters=[network["hidden_in"].w, network["layer2_in"].w], surrogate=learning.surrogates.sigmoid(),
            smooth=twin, through_reset=twin, threads=1,
        )
        for twin in (False, True)
    )  # fmt: skip
    (samples, labels), loss = patterns(42, 2), learning.losses.mean_over_time()
    f = of_model(smooth, samples, labels, loss)

    figure = Figure(figsize=(13.5, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    escapes(f, task_of(smooth, samples, labels, loss), options, prepare(left))

    def weights(rng: np.random.Generator) -> NDArray:
        first = rng.standard_normal(INPUTS * options.hidden) * 2 / np.sqrt(INPUTS)
        return np.concatenate([first, rng.standard_normal(options.hidden * CLASSES) / np.sqrt(options.hidden)])

    found = descents(
        task_of(spiking, samples, labels, loss, test=patterns(300, 1), curvature=f),
        methods=standard_methods(batches=options.batches, noise=options.noise),
        steps=options.steps,
        start=weights,
        seeds=range(options.seeds),
        tries=options.tries,
    )
    print(found.table())
    print(found)
    found.plot(right).set_title("From random weights, at equal cost")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=100)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
