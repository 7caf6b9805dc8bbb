"""Rules that are gradients and rules that are not, and how few events change a decision.

    python benchmarks/landscape_field.py [--seeds 0 1 2 3 4] [--digits 40] [--pushed 8] [--json results.json]

Closed forms first. Then a recurrent network of 8 spiking neurons: the asymmetry of its surrogate gradient at several
lengths; and networks that read digits of five classes from one saccade (578 inputs, 64 hidden, 5 readouts): how many
events the greedy search changes until half of the decisions are others, and how many at random.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import (
    BrianLogger,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    Synapses,
    defaultclock,
    ms,
    prefs,
    start_scope,
)
from numpy.typing import NDArray

import dvs
import learning
import snn
from dvs.scenes import microsaccades
from learning.landscape.bairds_star import baird
from learning.landscape.field import asymmetry, loop_work, td_field, update_field
from learning.landscape.objective import Objective, of_function, of_model
from learning.landscape.pushes import KINDS, robustness
from snn.neurons import leaky_readout, lif

DIGITS = Path(__file__).parents[1] / "examples" / "data" / "digits.npz"
LENGTHS = (1e-5, 1e-3, 1e-1, 0.3)


def row(name: str, target: str, each: Sequence[float], met: bool | None = None) -> dict[str, Any]:
    """One line: mean, spread and what each seed gave."""
    values = np.asarray(each, float)
    return {
        "name": name,
        "target": target,
        "got": float(values.mean()),
        "spread": float(values.std(ddof=1)) if values.size > 1 else 0.0,
        "each": [float(f"{one:.4g}") for one in values],
        "met": met,
    }


def closed_forms(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Relative errors against what is known."""
    descent, td, probes, loop = [], [], [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        ways = rng.standard_normal((4, 20)) / 2
        f = of_function(lambda x, a=ways: np.exp(a @ x).sum(), lambda x, a=ways: a.T @ np.exp(a @ x), np.ones(20) / 4)
        descent.append(asymmetry(update_field(f), f.start).asymmetry)
        chain = rng.random((10, 10)) ** 3
        chain /= chain.sum(axis=1, keepdims=True)
        phi, visits = rng.standard_normal((10, 4)), np.full(10, 0.1)
        matrix = phi.T * visits @ (0.9 * chain - np.eye(10)) @ phi
        true = np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix + matrix.T)
        td.append(asymmetry(td_field(chain, features=phi, visits=visits), np.ones(4)).asymmetry / true - 1)
        large = rng.standard_normal((1000, 1000))
        found = asymmetry(lambda x, a=large: a @ x, np.zeros(1000), steps=[1.0], progress=False)
        true = np.linalg.norm(large - large.T) / np.linalg.norm(large + large.T)
        probes.append((found.asymmetry - true) / found.error)
        corners = rng.standard_normal((5, 2))
        area = 0.5 * np.sum(
            corners[:, 0] * np.roll(corners[:, 1], -1) - np.roll(corners[:, 0], -1) * corners[:, 1]
        )  # fmt: skip
        loop.append(loop_work(lambda x: np.array([-x[1], x[0]]), corners).work / (2 * area) - 1)
    bowl = of_function(lambda x: float(x @ x) / 2, lambda x: x, np.ones(3))
    m = np.arange(1, 10)
    s = np.sum((10 - m) * 0.9 ** (2 * m))
    momentum = asymmetry(update_field(bowl, learning.Momentum(0.1), steps=10), np.ones(30)).asymmetry
    star = baird(steps=8000)
    samples = [baird(sampled=True, steps=8000, seed=seed).growth for seed in seeds]

    def below(each: Sequence[float], limit: float) -> bool:
        return bool(np.abs(each).max() < limit)

    ball = [momentum / np.sqrt(s / (20 + s)) - 1]
    growth = [star.growth / star.expected - 1]
    drawn = f"Baird's star by samples, growth a step ({star.expected:.5f} in the mean)"
    return [
        row("asymmetry of descent on a smooth function", "0, below 1e-7", descent, below(descent, 1e-7)),
        row("TD(0), relative error of its asymmetry", "0, within 1e-7", td, below(td, 1e-7)),
        row("1000 numbers by 32 probes, error in standard errors", "within 4", probes, below(probes, 4)),
        row("work around a rotation, relative error to twice the area", "0, within 1e-9", loop, below(loop, 1e-9)),
        row("momentum, relative error of its asymmetry", "0, within 1e-7", ball, below(ball, 1e-7)),
        row("Baird's star, relative error of its growth", "0, within 1e-4", growth, below(growth, 1e-4)),
        row(drawn, "above 0", samples, min(samples) > 0),
    ]


def recurrent(seed: int, **options: Any) -> Objective:
    """The loss of a small recurrent network as a function of its 128 weights."""
    start_scope()
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(seed)
    source = SpikeGeneratorGroup(6, [], [] * ms, name="source")
    cells = NeuronGroup(8, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v -= 1", method="exact", name="cells")
    readout = NeuronGroup(2, "dv/dt = -v/(20*ms) : 1", method="exact", name="readout")
    network = Network(source, cells, readout)
    wires = []
    for name, pre, post, gain in (
        ("entry", source, cells, 1.5),
        ("loops", cells, cells, 0.7),
        ("exit", cells, readout, 1.0),
    ):
        synapses = Synapses(pre, post, "w : 1", on_pre="v_post += w", name=name)
        synapses.connect()
        synapses.w = gain / np.sqrt(len(pre)) * rng.standard_normal(len(synapses))
        network.add(synapses)
        wires.append(synapses.w)
    samples, labels = (rng.random((20, 25, 6)) < 0.3).astype(int), rng.integers(0, 2, 20)
    model = learning.trainable(
        network, inputs=source, output=readout.v, parameters=wires, duration=25 * ms, threads=1, through_reset=True,
        surrogate=learning.surrogates.sigmoid(), precision="float64", namespace={}, **options,
    )  # fmt: skip
    return of_model(model, samples, labels, learning.losses.mean_over_time())


def rules(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Asymmetry of what is used to train spiking networks."""
    found: dict[str, list] = {"exact": [], "e-prop": [], "spikes": []}
    ways = {"exact": {"smooth": True}, "e-prop": {"smooth": True, "damping": 0.0}, "spikes": {}}
    for seed in seeds:
        for name, options in ways.items():
            loss = recurrent(seed, **options)
            seen = asymmetry(update_field(loss), loss.start, steps=LENGTHS, progress=False)
            found[name].append(seen.by_step)
    by_length = np.array(found["spikes"]).T
    exact, eprop = (np.array(found[name])[:, 0] for name in ("exact", "e-prop"))
    return [
        row("smooth twin, exact gradient: asymmetry", "0, below 1e-6", exact, bool(exact.max() < 1e-6)),
        row("smooth twin, e-prop: asymmetry", "above 0", eprop, bool(eprop.min() > 1e-3)),
        *(
            row(f"surrogate gradient, asymmetry over steps of {length:g}", "above 0", each, bool(min(each) > 0))
            for length, each in zip(LENGTHS, by_length, strict=True)
        ),
        row("exact gradient, the same over steps of 0.3, by truncation", "reported", np.array(found["exact"])[:, -1]),
    ]


def seen(image: NDArray[np.uint8], seed: int) -> dvs.Recording:
    """The events of a moving eye."""
    sensor = dvs.Sensor(theta_on=0.3, theta_off=0.3)
    return dvs.emulate(microsaccades(0.2 + 0.4 * image / 255, margin_px=3, fps=250), sensor, seed=seed)


def pushes(seeds: Sequence[int], digits: int, pushed: int) -> list[dict[str, Any]]:
    """Events that turn half of the decisions of networks that read digits."""
    with np.load(DIGITS) as file:
        chosen = np.concatenate([np.flatnonzero(file["labels"] == k)[:digits] for k in range(5)])
        images, labels = file["images"][chosen], file["labels"][chosen]
    recordings = [seen(image, seed) for seed, image in enumerate(images)]
    events = [one.events[one.events["t"] < 105_000] for one in recordings]
    greedy: dict[str, list[float]] = {kind: [] for kind in KINDS}
    chance: dict[str, list[float]] = {kind: [] for kind in KINDS}
    accuracy, turned = [], {kind: [] for kind in KINDS}
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(labels))
        new, known = order[: len(order) // 5], order[len(order) // 5 :]
        eye = snn.EventInput(width=34, height=34, dt=1 * ms, pool=2, collisions="first", name="eye")
        layers = [
            snn.Dense(64, lif(tau=20 * ms), gain=2, name="hidden"),
            snn.Dense(5, leaky_readout(tau=20 * ms), name="readout"),
        ]
        network = snn.feedforward(eye, layers, seed=seed)
        loss = learning.losses.max_over_time()
        model = learning.trainable(
            network, inputs=eye, output="readout.v", parameters=["hidden_in.w", "readout_in.w"], duration=105 * ms
        )
        model.fit(
            [events[k] for k in known], labels[known], loss=loss, optimiser=learning.Adam(3e-3), epochs=12, batch=20,
            seed=seed, progress=False,
        )  # fmt: skip
        told = model.predict([events[k] for k in new], loss)
        accuracy.append(float((told == labels[new]).mean()))
        right = new[told == labels[new]][:pushed]
        found = robustness(
            model, [events[k] for k in right], labels[right], loss, counts=(10, 50, 100, 200, 400), seeds=(seed,),
            most=100, candidates=64, progress=False,
        )  # fmt: skip
        for kind in KINDS:
            # inf where most stand: counted as the limit, which makes it a lower bound.
            greedy[kind].append(float(np.median(np.minimum(found.needed[kind], 101))))
            chance[kind].append(float(np.median(np.minimum(found.needed_random[kind], 401))))
            turned[kind].append(float((found.needed_random[kind] <= 100).mean()))
        print(f"seed {seed}: {accuracy[-1]:.2f} right; {found}", flush=True)
    lines = [row("digits of five classes, share right", "reported", accuracy)]
    for kind in KINDS:
        lines.append(
            row(
                f"{kind}: median events that change a decision, greedy (101: more than 100)",
                "fewer than at random",
                greedy[kind],
                bool(np.all(np.array(greedy[kind]) < chance[kind])),
            )
        )
        lines.append(row(f"{kind}: the same at random (401: more than 400)", "reported", chance[kind]))
        lines.append(row(f"{kind}: share turned by 100 random ones", "reported", turned[kind]))
    return lines


def rows(seeds: Sequence[int] = range(5), *, digits: int = 40, pushed: int = 8) -> list[dict[str, Any]]:
    """All lines of this file."""
    return [*closed_forms(seeds), *rules(seeds), *pushes(seeds, digits, pushed)]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--digits", type=int, default=40, help="of each of five classes")
    parser.add_argument("--pushed", type=int, default=8, help="digits a seed")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    prefs.codegen.target = "numpy"
    BrianLogger.suppress_name("unused_brian_object")  # the models run, Brian2 does not
    found = rows(options.seeds, digits=options.digits, pushed=options.pushed)
    for one in found:
        verdict = {None: "", True: "met", False: "MISSED"}[one["met"]]
        print(f"{one['name']}: {one['got']:.4g} +- {one['spread']:.2g} (target: {one['target']}) {verdict}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
