"""How close are learning rules to the gradient? From weight perturbation to backpropagation, on one network.

The continuum is that of Richards & Kording 2023, "The study of plasticity has always been about gradients", Journal of
Physiology 601, and Lillicrap et al. 2020, "Backpropagation and the brain": rules differ in what a synapse is told of
its share in an error. A recurrent network of adaptive neurons learns a wave, its errors fed back through random
weights; now and then all rules are asked what they make of the same trial. Random feedback begins anywhere, and comes
nearer the gradient because the readout's weights learn too (Lillicrap et al. 2016). A cosine with the surrogate
gradient depends on how much that is damped where it passes the recurrent synapses: undamped it explodes, and is then a
direction that nobody should follow. So another picture asks the network what a step along each does to the loss. And
the input may have noise: over fresh trials every estimate varies (weight perturbation does so without), and so many of
them must be averaged for a signal as large as its noise.

    python examples/21_alignment.py [--by "random feedback"] [--trials 60] [--every 15] [--dampings 0 0.1 0.3 1]
        [--draws 500] [--fresh 20] [--seed 0] [--codegen numpy] [--output alignment.png]
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, TimedArray, defaultclock, ms, prefs
from matplotlib.figure import Figure
from numpy.typing import NDArray

import learning
from dvs.charts import INK
from learning.alignment import LossChange, cosine, loss_change, noise, online_estimates, weight_perturbation
from snn.probes.pictures import legend, name_axes, prepare

STEPS = 300
COLOURS = {
    "weight perturbation": "#9aa5b1",
    "broadcast": "#7b61a8",
    "random feedback": "#e07b2a",
    "e-prop": "#3d7fd6",
    "gradient": "#102a43",
}


def input_spikes(rng: np.random.Generator, kept: NDArray | None = None, share: float = 0.2) -> NDArray:
    """A raster (STEPS, 40) of 50 spikes a second; or one that was kept, of which a share is drawn anew."""
    drawn = rng.random((STEPS, 40)) < 0.05
    return drawn if kept is None else np.where(rng.random(kept.shape) < share, drawn, kept)


def show(wires: SpikeGeneratorGroup, raster: NDArray) -> None:
    """Let the wires have these spikes in each trial."""
    step, wire = np.nonzero(raster)
    wires.set_spikes(wire, step * ms, period=STEPS * ms)


def recurrent_network(rng: np.random.Generator) -> Network:
    """Input, adaptive neurons that hear it and each other, and a leaky readout."""
    wires = SpikeGeneratorGroup(40, [], [] * ms, name="wires")
    cells = NeuronGroup(
        60,
        """dv/dt = -v / (20*ms) : 1
        da/dt = -a / (200*ms) : 1""",
        threshold="v > 1 + 0.1*a",
        reset="v -= 1; a += 1",
        method="exact",
        name="cells",
    )
    readout = NeuronGroup(1, "dv/dt = -v / (20*ms) : 1", method="exact", name="readout")
    network = Network(wires, cells, readout)
    gains = {"entry": (wires, cells, 1.5), "recurrent": (cells, cells, 0.8), "exit": (cells, readout, 0.3)}
    for name, (source, target, gain) in gains.items():
        synapses = Synapses(source, target, "w : 1", on_pre="v_post += w", name=name)
        synapses.connect()
        synapses.w = gain / np.sqrt(len(source)) * rng.standard_normal(len(synapses))
        network.add(synapses)
    return network


def without_readout(direction: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The part of a direction that is compared."""
    return {name: value for name, value in direction.items() if name != "exit.w"}


def main() -> None:
    """Learn, ask all rules now and then, say how close they are, draw the three pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60, help="of learning")
    parser.add_argument("--by", choices=["broadcast", "random feedback", "e-prop"], default="random feedback")
    parser.add_argument("--every", type=int, default=15, help="trials between two looks")
    parser.add_argument("--dampings", type=float, nargs="+", default=[0, 0.1, 0.3, 1], help="of the gradient")
    parser.add_argument("--draws", type=int, default=500, help="of weight perturbation")
    parser.add_argument("--fresh", type=int, default=20, help="trials with another noise of the input, for variances")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("alignment.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen
    defaultclock.dt = 1 * ms

    rng = np.random.default_rng(options.seed)
    network = recurrent_network(rng)
    t = np.arange(STEPS) / STEPS
    goal = (np.sin(2 * np.pi * t) + 0.5 * np.sin(4 * np.pi * t + 1) - 0.5 * np.sin(1))[:, None]
    names = ("entry", "recurrent", "exit")
    shared = {
        "output": network["readout"].v, "weights": [network[name].w for name in names], "trial": STEPS * ms,
        "surrogate": learning.surrogates.triangle(), "target": "goal(t % (STEPS*ms), i)", "seed": options.seed,
        "namespace": {"goal": TimedArray(goal, dt=1 * ms), "STEPS": STEPS},
    }  # fmt: skip
    kinds = {"broadcast": "broadcast", "random feedback": "random", "e-prop": "symmetric"}
    rules = {name: learning.eprop(network, feedback=kind, **shared) for name, kind in kinds.items()}
    models = {
        damping: learning.trainable(
            network, inputs=network["wires"], output="readout.v", duration=STEPS * ms, damping=damping,
            parameters=[network[name].w for name in names], surrogate=shared["surrogate"], precision="float64",
            namespace={},
        )
        for damping in options.dampings
    }  # fmt: skip
    model = models[options.dampings[0]]
    for rule in rules.values():
        network.add(*rule.objects)

    wires, raster = network["wires"], input_spikes(rng)
    show(wires, raster)
    spikes = [raster]
    loss, adam = learning.losses.mean_squared_error(), learning.Adam(0.01)
    state = adam.start(model.parameters)
    looks: list[int] = []
    noises: list[dict[str, float]] = []
    changes: dict[str, list[LossChange]] = {}
    cosines: dict[str, list[list[float]]] = {name: [] for name in COLOURS if name != "gradient"}
    for trial in range(options.trials + 1):
        found = online_estimates(network, rules, STEPS * ms)
        # The readout's weights learn by one formula in all rules; what is compared are the others.
        estimates = {name: without_readout(one) for name, one in found.items()}
        if trial % options.every == 0 or trial == options.trials:
            slopes = {d: one.gradient(spikes, goal[None], loss).gradients for d, one in models.items()}
            gradients = {d: without_readout(slope) for d, slope in slopes.items()}
            draws = list(weight_perturbation(model, spikes, goal[None], loss, draws=options.draws, seed=options.seed))
            estimates["weight perturbation"] = {
                key: np.mean([one[key] for one in draws], axis=0) for key in gradients[options.dampings[0]]
            }
            for name, seen in cosines.items():
                seen.append([cosine(estimates[name], gradient) for gradient in gradients.values()])
            looks.append(trial)
            value, _ = model.evaluate(spikes, goal[None], loss)
            print(
                f"trial {trial:3}: loss {value:.3f}; cosine with the gradient, damped by {options.dampings[0]:g}:",
                end=" ",
            )
            print(", ".join(f"{name} {seen[-1][0]:.2f}" for name, seen in cosines.items()))
            varied = {name: [] for name in COLOURS} | {"weight perturbation": [without_readout(one) for one in draws]}
            for n in range(options.fresh):
                other = input_spikes(np.random.default_rng((options.seed, n)), raster)
                show(wires, other)
                there = online_estimates(network, rules, STEPS * ms)
                there["gradient"] = model.gradient([other], goal[None], loss).gradients
                for name, one in there.items():
                    varied[name].append(without_readout(one))
            show(wires, raster)
            noises.append({name: noise(several) for name, several in varied.items()})
            print("  trials to average for a signal as large as its noise:", end=" ")
            print(", ".join(f"{name} {one:.2g}" for name, one in noises[-1].items()))
        if trial in (0, options.trials):
            directions = {name: estimates[name] for name in cosines}
            directions |= {f"gradient, damped by {d:g}": gradient for d, gradient in gradients.items()}
            for name, direction in directions.items():
                change = loss_change(model, spikes, goal[None], loss, direction, step=0.3, seed=options.seed)
                changes.setdefault(name, []).append(change)
                print(f"  a step of {change.step:.3g} by {name}: loss {change.mean:+.4f} +- {change.error:.4f}")
        step = {key: np.reshape(found[options.by][key], value.shape) for key, value in model.parameters.items()}
        model.parameters, state = adam.step(step, state, model.parameters)
        for one in models.values():
            one.parameters = {key: value.copy() for key, value in model.parameters.items()}
            one.changed()
        model.write()

    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(options.dampings, looks, cosines, noises, changes).savefig(options.output, dpi=100)
    print(f"see {options.output}")


def picture(
    dampings: list[float],
    looks: list[int],
    cosines: Mapping[str, list],
    noises: list[dict[str, float]],
    changes: Mapping[str, list[LossChange]],
) -> Figure:
    """Cosine by damping, cosine and noise over training, and what steps do."""
    figure = Figure(figsize=(12.5, 8.4), layout="constrained")
    (by_damping, over_time), (spread, steps) = figure.subplots(2, 2)
    for name, found in cosines.items():
        values: NDArray = np.array(found)
        prepare(by_damping).plot(dampings, values[-1], "o-", color=COLOURS[name], label=name)
        prepare(over_time).plot(looks, values[:, 0], "o-", color=COLOURS[name], label=name)
    for name, colour in COLOURS.items():
        prepare(spread).plot(looks, [one[name] for one in noises], "o-", color=colour, label=name)
    name_axes(by_damping, "damping of the gradient in loops (1: none)", "cosine with the gradient, after learning")
    name_axes(over_time, "trial", f"cosine with the gradient, damped by {dampings[0]:g}")
    name_axes(spread, "trial", "variance / squared mean")
    spread.set_yscale("log")
    for box in (by_damping, over_time):
        box.axhline(0, color=INK, linewidth=0.6)
    legend(by_damping)
    legend(spread)
    for row, (name, (first, last)) in enumerate(changes.items()):
        colour = COLOURS.get(name, COLOURS["gradient"])
        for change, place, fill in ((first, row - 0.12, colour), (last, row + 0.12, "white")):
            prepare(steps).errorbar(
                change.mean / change.step, place, xerr=2 * change.error / change.step, fmt="o", color=colour,
                markerfacecolor=fill, capsize=3,
            )  # fmt: skip
    steps.set_yticks(range(len(changes)), changes)
    steps.invert_yaxis()
    steps.axvline(0, color=INK, linewidth=0.6)
    name_axes(steps, "change of loss / length of step", "")
    steps.set_title("full: before learning, open: after", loc="left", color=INK, fontsize=10)
    return figure


if __name__ == "__main__":
    main()
