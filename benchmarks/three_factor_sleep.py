"""Sleep brings back a forgotten task: digits 0 to 4, then 5 to 9, then a night, without a single old digit.

    python benchmarks/three_factor_sleep.py [--seeds 0 1 2 3 4] [--without sleep|plasticity|order|neurons] [--small]
    python benchmarks/three_factor_sleep.py --stand-in [--tune 100]

The network is 196-200-200-10, its digits those of examples/data (14x14): the first 70 of each class to learn from, the
other 30 to judge by. A seed is one of first weights, order of training and noise. Before and after sleep the
same rectified units are judged, among all ten classes.

No old digit is used in or after the training of the new task. The noise has the mean of the new digits, and the night
ends before the network names less than 95 % of the new digits it learnt from. That share and the numbers of `Sleep` and
of the training were chosen with stand-ins for the old task, seeds 100 to 104: the new digits turned or mirrored are
"old", the same digits upright are new. Of the 70 digits of each of the classes 5 to 9, 50 taught there and 20 judged;
only a first, wider search had all 100 of them. `--stand-in` measures two kinds with seeds 100 to 102; `--tune` walks on
from these numbers at random.

How often the tasks themselves were looked at: seeds 0 to 4 three times. A night without dropout by day came to 0.777
for the mean, one with dropout but of fixed length to 0.736 for the old task; each time the stand-ins then chose what to
change. Seeds 5 to 9 were looked at once, when all was settled, and are the fairer number: old task 0.756 +- 0.046, mean
0.817 +- 0.019. The images that judge are the same for all seeds: the spread does not hold that of the choice of images.

without: "sleep" is the network as it is in the evening; "plasticity", a night that changes nothing; "order" and
"neurons", the same plasticity at the spikes of a real night, steps or neurons of which are permuted. Rehearsal, which
needs the old digits, is the upper bound: the evening's network learns from both.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from brian2 import BrianLogger, prefs
from numpy.typing import NDArray

from learning.sleep import Sleep, Weights, accuracy, first_weights, keeps, normalised, relive, shuffled, sleep, train
from snn.progress import progress_bar

Task = tuple[NDArray[np.float64], NDArray[np.int64]]
DIGITS = Path(__file__).parents[1] / "examples" / "data" / "digits.npz"
SIZES = [196, 200, 200, 10]
KNOWN = 70  # of 100 digits of a class
WITHOUT = ("sleep", "plasticity", "order", "neurons")
TURNS = {"upside down": partial(np.flip, axis=1), "on its side": partial(np.rot90, axes=(1, 2))}
TUNING_SEEDS = (100, 101, 102)


def digits() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Images (1000, 14, 14) from 0 to 1, labels, and which of its class each one is."""
    with np.load(DIGITS) as file:
        images, labels = file["images"], file["labels"]
    ordinal = np.zeros(labels.size, np.int64)
    for label in range(10):
        ordinal[labels == label] = np.arange((labels == label).sum())
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)) / 255, labels, ordinal


def tasks() -> tuple[list[Task], list[Task]]:
    """The old and the new task: to learn from, to judge by."""
    images, labels, ordinal = digits()
    inputs, known = images.reshape(len(images), -1), ordinal < KNOWN
    halves = (labels < 5, labels >= 5)
    return tuple([(inputs[half & part], labels[half & part]) for half in halves] for part in (known, ~known))


def stand_ins(seed: int, turn: str) -> tuple[list[Task], list[Task]]:
    """The same with turned digits 5 to 9 for the old task, and of what the new task has to learn from alone."""
    images, labels, ordinal = digits()
    rank = np.random.default_rng(seed).permutation(KNOWN)
    groups = []
    for start, stop in ((0, 50), (50, KNOWN)):
        chosen = (labels >= 5) & np.isin(ordinal, rank[start:stop])
        upright, own = images[chosen], labels[chosen]
        turned = TURNS[turn](upright)
        groups.append([(turned.reshape(len(own), -1), own - 5), (upright.reshape(len(own), -1), own)])
    return groups[0], groups[1]


def evening(old: Task, new: Task, seed: int, epochs: int = 80) -> Weights:
    """A network that learnt the old task and then the new one."""
    rng = np.random.default_rng(seed)
    weights = train(first_weights(SIZES, rng), *old, rng=rng, epochs=epochs)
    return normalised(train(weights, *new, rng=rng, epochs=epochs), new[0])


def night(weights: Weights, new: Task, plan: Sleep, seed: int, without: str | None = None) -> Weights:
    """The weights in the morning; of the night it knows new digits only."""
    if without == "sleep":
        return weights
    intensity = new[0].mean(axis=0)
    if without == "plasticity":
        return sleep(weights, intensity, plan.without_plasticity(), seed=seed).weights
    slept = sleep(weights, intensity, plan, seed=seed, goes_on=keeps(weights, *new))
    if without is None:
        return slept.weights
    return relive(weights, shuffled(slept, without, np.random.default_rng(seed)), slept.plan)


def rehearsed(weights: Weights, learn: Sequence[Task], seed: int, epochs: int) -> Weights:
    """The upper bound: both tasks are learnt from once more, together."""
    both = (np.concatenate(column) for column in zip(*learn, strict=True))
    return train(weights, *both, rng=np.random.default_rng(seed), epochs=epochs)


def rows(seeds: Sequence[int], *, small: bool = False, without: str | None = None, progress: bool = True) -> list[dict]:
    """One row for each number: accuracy on new images of both tasks in the evening, the morning, after rehearsal."""
    if without not in (None, *WITHOUT):
        raise ValueError(f"without {without!r}; there are {WITHOUT}")
    learn, judge = tasks()
    epochs, plan = (10, Sleep(steps=200, parts=2)) if small else (80, Sleep())
    found = []
    with progress_bar("sleep", len(seeds), progress) as done:
        for seed in seeds:
            before = evening(*learn, seed, epochs)
            after = night(before, learn[1], plan, seed, without)
            both = rehearsed(before, learn, seed, epochs)
            found.append([[accuracy(weights, *task) for task in judge] for weights in (before, after, both)])
            done()
    before, after, both = np.moveaxis(np.array(found), 1, 0)  # each (seeds, tasks)
    label = f"sleep without {without}" if without else "sleep"
    return [
        _row("evening: old task", "<= 0.05", before[:, 0], seeds),
        _row("evening: new task", None, before[:, 1], seeds),
        _row(f"{label}: old task", ">= 0.75", after[:, 0], seeds),
        _row(f"{label}: new task", None, after[:, 1], seeds),
        _row(f"{label}: mean of both", ">= 0.78", after.mean(axis=1), seeds),
        _row("rehearsal: mean of both", None, both.mean(axis=1), seeds),
    ]


def _row(name: str, target: str | None, each: NDArray[np.float64], seeds: Sequence[int]) -> dict:
    got = float(each.mean())
    limit = float(target.split()[1]) if target else 0.0
    return {
        "name": name,
        "target": target,
        "got": got,
        "spread": float(each.std(ddof=1)) if len(each) > 1 else 0.0,
        "seeds": list(seeds),
        "each": each.tolist(),
        "met": got <= limit if target and target[0] == "<" else got >= limit,
    }


def judged(plan: Sleep, networks: Sequence[tuple[int, Weights, list[Task], list[Task]]], seed: int) -> NDArray:
    """Accuracy on both tasks of the stand-ins in the morning, (networks, tasks)."""
    return np.array(
        [
            [accuracy(night(weights, learn[1], plan, 1000 * seed + own), *task) for task in judge]
            for own, weights, learn, judge in networks
        ]
    )


def tune(draws: int) -> Sleep:
    """A random walk from the numbers of `Sleep` to better ones, by the stand-ins alone; prints each step."""
    networks = [
        (seed, evening(*learn, seed), learn, judge)
        for seed in TUNING_SEEDS
        for learn, judge in (stand_ins(seed, turn) for turn in TURNS)
    ]
    rng, best, most = np.random.default_rng(TUNING_SEEDS[0]), Sleep(), -np.inf
    for draw in range(draws + 1):
        plan = best if draw == 0 else nearby(best, rng)
        found = judged(plan, networks, draw)
        # Both tasks count, the worse one twice, and networks should not differ much.
        score = 0.5 * found.mean() + 0.5 * found.mean(axis=0).min() - 0.2 * found.std(axis=0).mean()
        if score > most:
            best, most = plan, score
            print(f"{draw}: {score:.3f}, old task {found[:, 0].mean():.3f}, new {found[:, 1].mean():.3f}: {plan}")
    return best


def nearby(plan: Sleep, rng: np.random.Generator) -> Sleep:
    """Numbers that differ by factors."""
    width = rng.choice([0.1, 0.2, 0.5])

    def factor() -> float:
        return float(np.exp(width * rng.standard_normal()))

    hidden, output = factor(), factor()
    shares = (hidden, hidden, output)
    return replace(
        plan,
        steps=min(round(plan.steps * factor()), 5000),
        rate=min(plan.rate * factor(), 1.0),
        thresholds=tuple(threshold * factor() for threshold in plan.thresholds),
        tau=plan.tau * factor(),
        inc=tuple(inc * factor() for inc in plan.inc),
        dec=tuple(min(dec * share, 0.5) for dec, share in zip(plan.dec, shares, strict=True)),
    )


def main() -> None:
    """Print the rows as a table, or measure the stand-ins."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--without", choices=WITHOUT)
    parser.add_argument("--small", action="store_true", help="little training and a short night, to see that it runs")
    parser.add_argument("--stand-in", action="store_true", help="measure on what the numbers were chosen by")
    parser.add_argument("--tune", type=int, default=0, metavar="DRAWS", help="walk on from there")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    prefs.codegen.target = "numpy"
    BrianLogger.log_level_error()
    if options.stand_in or options.tune:
        tune(options.tune)
        return
    results = rows(options.seeds, small=options.small, without=options.without)
    for row in results:
        target = f", target {row['target']}: {'met' if row['met'] else 'missed'}" if row["target"] else ""
        print(f"{row['name']}: {row['got']:.3f} +- {row['spread']:.3f} {np.round(row['each'], 3)}{target}")
    if options.json:
        options.json.write_text(json.dumps({"results": results}, indent=1))


if __name__ == "__main__":
    main()
