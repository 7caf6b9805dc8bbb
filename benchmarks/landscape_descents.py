"""Escape from saddles against closed forms, optimisers and noise side by side, and the band of gains.

The network: 6 inputs, of which a pair fires at 0.5 a step for each of three classes and the others at 0.2; spiking
neurons; a leaky readout of mean cross-entropy over 20 steps; 60 samples to learn from and 300 to test. Escape is
measured on its smooth twin, from the saddle at which all hidden neurons are alike. Optimisers are compared on the
network that spikes, each from the same five draws of its weights.

    python benchmarks/landscape_descents.py [--steps 60] [--seeds 0 1 2 3 4] [--json]
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, defaultclock, ms, prefs, start_scope
from numpy.typing import NDArray

from learning import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSProp, losses, surrogates, trainable
from learning.landscape.curvature import hessian
from learning.landscape.escape import (
    escape_time,
    first_passage,
    newton,
    quadratic,
    share_outside,
    steps_to_leave,
    tied,
    tied_minimum,
)
from learning.landscape.gain import gain_sweep
from learning.landscape.methods import Descents, Task, by_optimiser, descents, standard_methods, task_of
from learning.landscape.objective import Objective, of_model
from learning.model import Model
from snn.networks import Dense, feedforward
from snn.neurons import leaky_readout, lif

INPUTS, CLASSES, STEPS = 6, 3, 20
LOSS = losses.mean_over_time()

Row = dict[str, Any]


def samples_of(count: int, seed: int) -> tuple[NDArray, NDArray]:
    """Spikes (count, STEPS, INPUTS) and labels."""
    labels = np.arange(count) % CLASSES
    chance = np.where(np.arange(INPUTS) // 2 == labels[:, None], 0.5, 0.2)
    return (np.random.default_rng(seed).random((count, STEPS, INPUTS)) < chance[:, None]).astype(int), labels


def model_of(hidden: int, seed: int, *, smooth: bool) -> Model:
    """The network with so many hidden neurons."""
    start_scope()
    source = SpikeGeneratorGroup(INPUTS, [], [] * ms, name="source")
    layers = [
        Dense(hidden, lif(reset="soft"), gain=2.0, name="hidden"),
        Dense(CLASSES, leaky_readout(), name="readout"),
    ]
    network: Network = feedforward(source, layers, seed=seed)
    return trainable(
        network, inputs=source, output=network["readout"].v, duration=STEPS * ms, precision="float64", threads=1,
        parameters=[network["hidden_in"].w, network["readout_in"].w], surrogate=surrogates.sigmoid(), smooth=smooth,
        through_reset=smooth,
    )  # fmt: skip


def row(name: str, target: str, got: str, met: bool | None = None) -> Row:
    """As the other benchmarks have them; met: None where nothing is asked for."""
    return {"name": name, "target": target, "got": got, "met": None if met is None else bool(met)}


def quadratic_rows() -> list[Row]:
    """Where everything is known."""
    found = []
    f = quadratic([1.0, -0.1])
    for optimiser in (SGD(0.1), Momentum(0.1), Nesterov(0.1)):
        errors = []
        for nudge in (1e-2, 1e-4, 1e-6, 1e-8):
            out = escape_time(
                f, by_optimiser(lambda rate, used=optimiser: used), radius=1.0, nudge=[0, nudge], seeds=[0], most=5000
            )
            errors.append(out.steps[0] - steps_to_leave(optimiser, curvature=-0.1, nudge=nudge, radius=1.0))
        worst = float(np.abs(errors).max())
        name = f"escape from a quadratic saddle, {type(optimiser).__name__}, nudge 1e-2 to 1e-8"
        found.append(row(name, "the step after ln(r/e)/ln(growth)", f"{worst:.2f} steps later at most", worst <= 1))
    for noise in (0.05, 0.1, 0.3):
        law = {"curvature": -0.1, "rate": 0.1, "noise": noise, "radius": 1.0}
        out = escape_time(
            quadratic([-0.1]), by_optimiser(SGD, noise=noise), 0.1, radius=1.0, most=1500, seeds=range(500)
        )
        passed = first_passage(1500, **law)
        measured = (out.steps[:, None] <= np.arange(1, 1501)).mean(axis=0)
        distance, limit = float(np.abs(measured - passed).max()), 1.63 / np.sqrt(500)
        median = int(np.searchsorted(passed, 0.5)) + 1
        name = f"escape by noise {noise:g}: Kolmogorov's distance of 500 runs from the law"
        got = f"{distance:.3f}; median {out.median:.0f}, expected {median} ({100 * (out.median / median - 1):+.1f} %)"
        found.append(row(name, f"<= {limit:.3f}", got, distance <= limit))
    kept = escape_time(f, newton(f), radius=1.0, nudge=0.99, most=200)
    return [*found, row("Newton's method leaves the saddle", "never", f"{kept.left:.0%} of runs", kept.left == 0)]


def twins(model: Model, hidden: int, seed: int) -> tuple[Objective, Task, NDArray, NDArray]:
    """The saddle of a network whose hidden neurons are alike: objective, task, the saddle, the groups."""
    samples, labels = samples_of(42, seed)
    f = of_model(model, samples, labels, LOSS)
    groups = np.concatenate([np.repeat(np.arange(INPUTS), hidden), INPUTS + np.tile(np.arange(CLASSES), hidden)])
    begin = np.concatenate([np.full(INPUTS * hidden, 0.3), np.tile([0.1, 0.0, -0.1], hidden)])
    saddle = tied_minimum(f, groups, at=begin, tolerance=1e-6)
    return f, task_of(model, samples, labels, LOSS), saddle, groups


def network_rows(seeds: Sequence[int], hidden: int = 8) -> list[Row]:
    """The spiking network at its symmetric saddle: 5 runs each from the saddle of each seed's samples."""
    model = model_of(hidden, 0, smooth=True)
    ways = {
        "GD": (by_optimiser(SGD), 0.5),
        "SGD, batch 6": (by_optimiser(SGD, batch=6), 0.5),
        "Adam": (by_optimiser(Adam), 0.03),
        **{f"GD, noise {noise:g}": (by_optimiser(SGD, noise=noise), 0.5) for noise in (1e-4, 1e-3, 1e-2)},
        "SGD, batch 6, noise 0.001": (by_optimiser(SGD, batch=6, noise=1e-3), 0.5),
        "Momentum, noise 0.001": (by_optimiser(Momentum, noise=1e-3), 0.5),
        "Nesterov, noise 0.001": (by_optimiser(Nesterov, noise=1e-3), 0.5),
        "AdaGrad, noise 0.001": (by_optimiser(AdaGrad, noise=1e-3), 0.03),
        "RMSProp, noise 0.001": (by_optimiser(RMSProp, noise=1e-3), 0.03),
        "Adam, noise 0.001": (by_optimiser(Adam, noise=1e-3), 0.03),
    }
    most, radius = 300, 0.3
    medians: dict[str, list[float]] = {name: [] for name in ways}
    expected: dict[str, list[float]] = {name: [] for name in ways}
    saddles, equal = [], []
    for seed in seeds:
        f, task, saddle, groups = twins(model, hidden, seed)
        values = np.linalg.eigvalsh(hessian(f, at=saddle))
        saddles.append(values[0])
        equal.append(np.ptp(values[: hidden - 1]) / abs(values[0]))
        for name, (method, rate) in ways.items():
            # What is certain needs few runs, and takes all the steps.
            runs = range(5) if "noise" in name else range(2)
            out = escape_time(
                task, method, rate, saddle=saddle, radius=radius, most=most, seeds=runs,
                away=lambda x, groups=groups: float(np.linalg.norm(x - tied(x, groups))),
            )  # fmt: skip
            medians[name].append(out.median)
            if name.startswith("GD, noise"):
                law = share_outside(
                    np.arange(1, 5001), curvature=values[0], rate=rate, noise=float(name.split()[-1]), radius=radius,
                    directions=hidden - 1,
                )  # fmt: skip
                expected[name].append(float(np.searchsorted(law, 0.5)) + 1)
    found = [
        row(
            f"saddle of {hidden} equal hidden neurons: the lowest eigenvalue, {hidden - 1} times",
            "below 0, equal to 1e-3",
            f"{', '.join(f'{value:.2g}' for value in saddles)} by seed, equal to {max(equal):.1g}",
            max(saddles) < 0 and max(equal) < 1e-3,
        )
    ]
    for name, values in medians.items():
        steps = ", ".join(f"{value:.0f}" if np.isfinite(value) else f"> {most}" for value in values)
        target, met = "-", None
        if name in ("GD", "SGD, batch 6", "Adam"):
            target, met = f"stays {most} steps", bool(np.isinf(values).all())
        if expected[name]:
            target = ", ".join(f"{value:.0f}" for value in expected[name]) + " (quadratic saddle)"
        found.append(row(f"escape of the spiking network, {name}: median steps by seed", target, steps, met))
    return found


def compared(seeds: Sequence[int], steps: int, hidden: int = 16, noise: float = 0.1) -> Descents:
    """All standard methods on the network that spikes."""
    model, twin = (model_of(hidden, 0, smooth=smooth) for smooth in (False, True))
    samples, labels = samples_of(60, 0)
    curvature = of_model(twin, samples, labels, LOSS)
    task = task_of(model, samples, labels, LOSS, test=samples_of(300, 1), curvature=curvature)

    def weights(rng: np.random.Generator) -> NDArray:
        first = rng.standard_normal(INPUTS * hidden) * 2 / np.sqrt(INPUTS)
        return np.concatenate([first, rng.standard_normal(hidden * CLASSES) / np.sqrt(hidden)])

    # Many tries: of three, descent took a rate that then failed from two weights of five, and noise seemed to help.
    return descents(task, methods=standard_methods(noise=noise), steps=steps, start=weights, seeds=seeds, tries=10)


def optimiser_rows(found: Descents) -> list[Row]:
    """One for each method, and one for each kind of noise against descent without."""
    rows, quiet = [], next(one for one in found.methods if one.name == "GD")
    for one in found.methods:
        steps, cost = one.after_steps, one.after_cost
        got = (
            f"rate {one.rate:g}; {found.steps} steps: loss {steps.loss.mean():.3f} +- {steps.loss.std(ddof=1):.3f}; "
            f"cost {found.cost:g}: loss {cost.loss.mean():.3f} +- {cost.loss.std(ddof=1):.3f}, "
            f"test {100 * cost.accuracy.mean():.1f} +- {100 * cost.accuracy.std(ddof=1):.1f} %, "
            f"sharpness {cost.sharpness.mean():.1f} +- {cost.sharpness.std(ddof=1):.1f}"
        )
        rows.append(row(f"spiking network, {one.name}", "-", got))
    for one in found.methods:
        if "noise" in one.name or one.name.startswith("SGD"):
            parts = []
            for at in ("after_steps", "after_cost"):
                for kind, scale, unit in (("loss", 1, ""), ("accuracy", 100, " %"), ("sharpness", 1, "")):
                    change = scale * (getattr(getattr(one, at), kind) - getattr(getattr(quiet, at), kind))
                    error = change.std(ddof=1) / np.sqrt(change.size)
                    parts.append(f"{at.replace('_', ' ')} {kind} {change.mean():+.3f}{unit} +- {error:.3f}")
            rows.append(
                row(f"spiking network, {one.name} less GD, by seed, with standard error", "-", "; ".join(parts))
            )
    return [*rows, row("spiking network, all methods", "-", found.reading)]


def gain_rows(gains: int = 201) -> list[Row]:
    """A leaky neuron that is told 1 in each step: it dies and saturates at known weights."""
    start_scope()
    source = SpikeGeneratorGroup(1, [], [] * ms, name="source")
    one = np.ones((1, 1))
    layers = [Dense(1, lif(tau=10 * ms, reset="soft"), weights=one, name="hidden")]
    network = feedforward(source, [*layers, Dense(2, leaky_readout(), weights=np.array([[0.1, -0.1]]), name="readout")])
    steps = 200
    model = trainable(
        network, inputs=source, output=network["readout"].v, duration=steps * ms, precision="float64", threads=1,
        parameters=[network["hidden_in"].w, network["readout_in"].w],
    )  # fmt: skip
    swept = np.geomspace(0.05, 5, gains)
    found = gain_sweep(
        model, np.ones((1, steps, 1), int), [0], LOSS, swept, scaled=["hidden_in.w"], saturated=(steps - 1.5) / steps,
        steps=0,
    )  # fmt: skip
    kept, grid = np.exp(-1 / 10), swept[1] / swept[0]
    rows = []
    for name, expected, got in (
        ("rheobase, (1 - k)/k", (1 - kept) / kept, swept[np.argmax(found.dead["hidden"] < 1)]),
        ("one spike a step, 1/k", 1 / kept, swept[np.argmax(found.saturated["hidden"] == 1)]),
    ):
        met = bool(1 / grid <= got / expected <= grid)
        rows.append(row(f"gain sweep: {name}", f"{expected:.4f} within {grid - 1:.1%}", f"{got:.4f}", met))
    return rows


def rows(seeds: Sequence[int] = (0, 1, 2, 3, 4), steps: int = 60) -> list[Row]:
    """All of them, as {name, target, got, met}."""
    prefs.codegen.target = "numpy"
    defaultclock.dt = 1 * ms
    return [*quadratic_rows(), *network_rows(seeds), *optimiser_rows(compared(seeds, steps)), *gain_rows()]


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60, help="of descent on all samples, to which costs are equal")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = rows(options.seeds, options.steps)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        mark = {True: "met   ", False: "MISSED", None: "      "}[one["met"]]
        print(f"{mark} {one['name']}: {one['got']}" + (f" (target {one['target']})" if one["target"] != "-" else ""))


if __name__ == "__main__":
    main()
