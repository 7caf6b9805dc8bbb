"""Accuracy on real events: `learning` beside snnTorch, a better network, and both of ours again in Brian2.

    python benchmarks/accuracy.py --json accuracy.json [--data FILE.npz] [--peers-python PATH] [--seeds 5]

1000 training samples of N-MNIST (Orchard et al. 2015): the first 800 by sample_id are learnt, the last 200 are the
test; the first 300 ms of each. They are not part of the repository; without them there is nothing to measure.

Plain: 2312-200-10, both libraries with the same cells, first weights, loss, optimiser, batches of 64 and number of
epochs. Each takes the gain of the first weights and the learning rate, of the same few, that are best on 160 of the 800
samples when it learns from the others. Best: a network whose settings were chosen by cross-validation in the 800
samples; augmentation makes the difference. Seeds change first weights, order and augmentation. Written back: Brian2
runs the 200 samples through each trained network, and its answers are counted that differ from those of the kernels, in
float32, in which they learnt, and in float64.

The peer runs in this Python or in that of --peers-python.
"""

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import BrianLogger, Network, ms
from numpy.typing import NDArray

import learning
from dvs.events import Recording, make_events
from learning.augmentation import Augmentation, chain, rotate, shift
from learning.optimisers import Adam, Cosine, Optimiser
from snn.inputs import EventInput
from snn.networks import Dense, feedforward
from snn.neurons import leaky_readout, lif
from snn.running import run

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data" / "labelled" / "nmnist_train1000.npz"

SIDE, DURATION = 34, 300 * ms
LEARNT, VALIDATION, TEST = np.arange(640), np.arange(640, 800), np.arange(800, 1000)
TAU, SLOPE, BATCH = 20 * ms, 25.0, 64
LOSS = learning.losses.max_over_time()

NEURON = lif(tau=TAU, reset="soft")
READOUT = Dense(10, leaky_readout(tau=TAU), name="readout")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network, and how it is trained."""

    architecture: str
    layers: Sequence[Dense]
    optimiser: Optimiser
    steps: int
    epochs: int
    augment: Augmentation | None = None

    def build(self, seed: int) -> tuple[EventInput, Network]:
        """The network with its first weights."""
        eye = EventInput(width=SIDE, height=SIDE, dt=DURATION / self.steps, collisions="first")
        return eye, feedforward(eye, self.layers, seed=seed)

    def model(self, eye: EventInput, network: Network, precision: str = "float32") -> learning.Model:
        """What learns."""
        return learning.trainable(
            network,
            inputs=eye,
            output=network["readout"].v,
            parameters=[network[f"{layer.name}_in"].w for layer in self.layers],
            duration=DURATION,
            surrogate=learning.surrogates.fast_sigmoid(SLOPE),
            precision=precision,
        )


def plain(gain: float, rate: float) -> Recipe:
    """What both libraries can say; gain: of the first weights, rate: of learning."""
    layers = [Dense(200, NEURON, gain=gain, name="hidden"), READOUT]
    return Recipe(architecture="2312-200-10", layers=layers, optimiser=Adam(rate), steps=100, epochs=15)


# Gain and learning rate, of which each library takes those that are best for it.
SETTINGS = tuple(itertools.product((1.0, 2.0), (1e-3, 2e-3, 4e-3)))

EPOCHS = 60
BEST = Recipe(
    architecture="2312-400-10, each sample shifted by up to 2 pixels and turned by up to 15 degrees",
    layers=[Dense(400, NEURON, gain=2.0, name="hidden"), READOUT],
    optimiser=Adam(Cosine(2e-3, over=EPOCHS * math.ceil((LEARNT.size + VALIDATION.size) / BATCH))),
    steps=50,
    epochs=EPOCHS,
    augment=chain(shift(2), rotate(15)),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Recordings in the order of their numbers in the data set, and their labels."""

    recordings: list[Recording]
    labels: NDArray[np.int64]

    def of(self, chosen: NDArray[np.int64]) -> list[Recording]:
        """Some of the recordings."""
        return [self.recordings[k] for k in chosen]


def read_samples(path: Path) -> Samples:
    """All samples of the file."""
    with np.load(path) as file:
        columns = dict(file)
    recordings, order = [], np.argsort(columns["sample_id"], kind="stable")
    for k in order:
        own = slice(columns["offsets"][k], columns["offsets"][k + 1])
        t_us = np.cumsum(columns["dt"][own], dtype=np.int64)
        events = make_events(columns["x"][own], columns["y"][own], t_us, columns["p"][own])
        recordings.append(Recording(events=events, width=SIDE, height=SIDE, stop_us=int(t_us[-1]) + 1))
    return Samples(recordings=recordings, labels=columns["label"][order].astype(np.int64))


@dataclass
class Accuracies:
    """What came of a recipe, seed by seed; answers in the test that are others in Brian2 than in the kernels."""

    of_seeds: list[float] = field(default_factory=list)
    minutes: float = 0.0
    cpu_minutes: float = 0.0
    compared: int = 0
    different: int = 0
    different_float64: int = 0

    @property
    def mean(self) -> float:
        """Over seeds."""
        return statistics.mean(self.of_seeds)

    @property
    def sd(self) -> float:
        """Over seeds, 0 of one."""
        return statistics.stdev(self.of_seeds) if len(self.of_seeds) > 1 else 0.0


def trained(
    recipe: Recipe, samples: Samples, chosen: NDArray[np.int64], seed: int
) -> tuple[EventInput, Network, learning.Model]:
    """Input, network and model after training on some samples."""
    eye, network = recipe.build(seed)
    model = recipe.model(eye, network)
    model.fit(
        samples.of(chosen),
        samples.labels[chosen],
        loss=LOSS,
        optimiser=recipe.optimiser,
        epochs=recipe.epochs,
        batch=BATCH,
        augment=recipe.augment,
        seed=seed,
        progress=False,
    )
    return eye, network, model


def best_setting(samples: Samples) -> tuple[tuple[float, float], list[float]]:
    """Gain and learning rate that are best in validation, and the accuracy with each."""
    found = []
    for gain, rate in SETTINGS:
        _, _, model = trained(plain(gain, rate), samples, LEARNT, seed=0)
        found.append(model.evaluate(samples.of(VALIDATION), samples.labels[VALIDATION], LOSS)[1])
    return SETTINGS[int(np.argmax(found))], found


def measure(recipe: Recipe, samples: Samples, seeds: int) -> Accuracies:
    """Train with each seed, test, and compare with Brian2."""
    found = Accuracies()
    learnt, test, labels = np.concatenate([LEARNT, VALIDATION]), samples.of(TEST), samples.labels[TEST]
    for seed in range(seeds):
        began, cpu_began = time.perf_counter(), time.process_time()
        eye, network, model = trained(recipe, samples, learnt, seed)
        predicted = model.predict(test, LOSS)
        found.of_seeds.append(float(np.mean(predicted == labels)))
        found.minutes += (time.perf_counter() - began) / 60
        found.cpu_minutes += (time.process_time() - cpu_began) / 60
        responses = run(
            network, test, input=eye, duration=DURATION, record=[], states={"readout": ["v"]}, progress=False
        )
        in_brian2 = LOSS.predict(responses.states["readout"]["v"])
        found.compared += len(test)
        found.different += int(np.sum(in_brian2 != predicted))
        exact = recipe.model(eye, network, "float64").predict(test, LOSS)
        found.different_float64 += int(np.sum(in_brian2 != exact))
    return found


def snntorch_answer(python: Path, samples: Samples, seeds: int) -> dict[str, Any] | None:
    """What snnTorch makes of the same; None where it is not installed."""
    if subprocess.run([python, "-c", "import snntorch"], capture_output=True).returncode:
        return None
    recipe = plain(gain=1.0, rate=1e-3)
    eye, network = recipe.build(0)
    cells = recipe.model(eye, network).encode(samples.recordings).inputs["input"]
    networks = [recipe.build(seed)[1] for seed in range(seeds)]
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder, "problem.npz")
        np.savez(
            problem,
            starts=cells.starts,
            neurons=cells.neurons,
            labels=samples.labels,
            learnt=LEARNT,
            validation=VALIDATION,
            test=TEST,
            first=np.array([n["hidden_in"].w[:].reshape(2 * SIDE**2, -1) for n in networks], np.float32),
            second=np.array([n["readout_in"].w[:].reshape(-1, 10) for n in networks], np.float32),
            decay=np.exp(-float(DURATION / recipe.steps / TAU)),
            slope=SLOPE,
            epochs=recipe.epochs,
            batch=BATCH,
            settings=SETTINGS,
        )
        done = subprocess.run(
            [python, HERE / "accuracy_peer.py", problem], stdout=subprocess.PIPE, text=True, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def table(figures: dict[str, Any]) -> str:
    """Accuracy of each network."""
    rows = [("ours", figures["ours_mean"], figures["ours_sd"], figures["architecture"])]
    if figures["snntorch_mean"] is not None:
        rows.append(("snnTorch", figures["snntorch_mean"], figures["snntorch_sd"], figures["architecture"]))
    best, written = figures["best"], figures["written_back"]
    rows.append(("ours, best", best["mean"], best["sd"], best["architecture"]))
    lines = [f"{name:12}{100 * mean:6.1f} +- {100 * sd:.1f} %  {network}" for name, mean, sd, network in rows]
    lines.append(
        f"{figures['seeds']} seeds; the best network took {best['minutes']:.1f} minutes, "
        f"{best['cpu_minutes']:.1f} of one core"
    )
    lines.append(
        f"in Brian2 {written['different']} of {written['samples']} answers differ from those of the float32 kernels, "
        f"{written['different_float64']} from those of float64"
    )
    return "\n".join(lines)


def main() -> None:
    """Measure everything, print it, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--data", type=Path, default=DATA, help="nmnist_train1000.npz")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable), help="a Python that has snnTorch")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if not options.data.is_file():
        print(f"{options.data} is absent: the N-MNIST samples are not part of the repository; give --data")
        raise SystemExit(2)
    # Networks that are trained are not always run.
    BrianLogger.suppress_name("unused_brian_object")
    samples = read_samples(options.data)
    best = measure(BEST, samples, options.seeds)
    setting, validation = best_setting(samples)
    recipe = plain(*setting)
    ours = measure(recipe, samples, options.seeds)
    peer = snntorch_answer(options.peers_python, samples, options.seeds)
    if peer is None:
        print("snntorch is absent: install it, or name a Python that has it with --peers-python", file=sys.stderr)
    theirs = Accuracies(of_seeds=peer["accuracies"]) if peer else None
    figures = {
        "dataset": "N-MNIST, 1000 samples of the training set: 800 learnt, 200 tested",
        "architecture": recipe.architecture,
        "ours_mean": ours.mean,
        "ours_sd": ours.sd,
        "snntorch_mean": theirs and theirs.mean,
        "snntorch_sd": theirs and theirs.sd,
        "seeds": options.seeds,
        "best": {
            "architecture": BEST.architecture,
            "mean": best.mean,
            "sd": best.sd,
            "minutes": best.minutes,
            "cpu_minutes": best.cpu_minutes,
        },
        "written_back": {
            "samples": best.compared + ours.compared,
            "different": best.different + ours.different,
            "different_float64": best.different_float64 + ours.different_float64,
        },
        "details": {
            "best": best.of_seeds,
            "ours": ours.of_seeds,
            "settings": SETTINGS,
            "ours_validation": validation,
            "ours_setting": setting,
            "snntorch": peer,
        },
    }
    print(json.dumps(figures, indent=2))
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
