"""Spikes that sample, and dreams: against enumeration, and in the eyes of an independent judge.

    python benchmarks/three_factor_sampler.py [--json sampler.json] [--seeds 0 1 2 3 4] [--small]
        [--without turns|sleep|cooling]

sampler: 5 neurons, tau 20 of their steps, weights and biases normal with sd 1, drawn anew for each seed. What is
compared with the exact law p of the 32 states is the share q of 40,000 sweeps (each neuron moves once, one after the
other) that was spent in each: KL(q || p), in nats. `--without turns`: all neurons move at once.
dreams: the machine of examples/18_dreams.py, 100 hidden neurons, 40,000 days; all digits, 50 dreams of each with the
label held and nothing coming in. A dream is for how much of its last 50 steps each pixel was on; two differ if they do
when pixels are made black or white. The judge is kernel ridge regression on the 800 real digits that the machine saw,
too, tried on 200 others. Variety and novelty are 1 if dreams of a digit are as far from each other, and from what was
seen, as new real digits are (Euclidean distances of grey pixels). `--without sleep`: nothing is unlearnt at night;
`--without cooling`: dreams are at temperature 1 from their start. The twin learns the same by Gibbs sampling of whole
layers in NumPy, without spikes.
"""

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from brian2 import defaultclock, ms
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist
from scipy.special import expit

from learning import sampling, wake_sleep

DREAMS = 50
ABLATIONS = ("turns", "sleep", "cooling")


def example() -> ModuleType:
    """The digits, the judge and the picture are those of the example."""
    path = Path(__file__).parents[1] / "examples" / "18_dreams.py"
    spec = importlib.util.spec_from_file_location("dreams", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["dreams"] = module
    spec.loader.exec_module(module)
    return module


def divergence(seed: int, sweeps: int, *, in_turn: bool) -> float:
    """KL of what a machine of five did from what it should."""
    rng = np.random.default_rng(seed)
    weights, biases = np.triu(rng.normal(size=(5, 5)), 1), rng.normal(size=5)
    weights += weights.T
    z = sampling.sample(weights, biases, sweeps, tau=20, in_turn=in_turn, seed=seed)
    return sampling.kl(sampling.shares(z), sampling.boltzmann(weights, biases))


def gibbs(
    machine: wake_sleep.Machine, seen: NDArray[np.float64], schedule: wake_sleep.Schedule, seed: int
) -> wake_sleep.Machine:
    """The twin's days and nights: one Gibbs sweep a night from where the last dream stopped, a picture a day."""
    rng = np.random.default_rng(seed)
    w, a, b = machine.weights.copy(), machine.visible.copy(), machine.hidden.copy()
    asleep = rng.random(len(b)) < 0.5
    for day in range(schedule.days):
        rate = schedule.eta * schedule.last ** (day / schedule.days)
        v = rng.random(len(a)) < seen[rng.integers(len(seen))]
        h = expit(v @ w + b)
        v_asleep = rng.random(len(a)) < expit(w @ asleep + a)
        h_asleep = expit(v_asleep @ w + b)
        asleep = rng.random(len(b)) < h_asleep
        w += rate * (np.outer(v, h) - schedule.unlearns * np.outer(v_asleep, h_asleep))
        a += rate * (v - schedule.unlearns * v_asleep.astype(float))
        b += rate * (h - schedule.unlearns * h_asleep)
    return wake_sleep.Machine(weights=w, visible=a, hidden=b)


def gibbs_dreams(
    machine: wake_sleep.Machine, known: NDArray[np.float64], sweeps: int, hot: float, seed: int
) -> NDArray[np.float64]:
    """The twin's dreams (dreams, visible): the mean of the last tenth of the sweeps, cooled as the spiking ones."""
    rng = np.random.default_rng(seed)
    free = np.isnan(known)
    v = np.where(free, 0, known)
    h = rng.random((len(known), len(machine.hidden))) < 0.5
    last, total = max(sweeps // 10, 1), np.zeros(known.shape)
    for sweep in range(sweeps):
        heat = 1 + (hot - 1) * max(1 - sweep / (0.7 * sweeps), 0) ** 2
        p = expit((h @ machine.weights.T + machine.visible) / heat)
        v = np.where(free, rng.random(p.shape) < p, known)
        h = rng.random(h.shape) < expit((v @ machine.weights + machine.hidden) / heat)
        total += v * (sweep >= sweeps - last)
    return total / last


def dreams(seed: int, *, small: bool, without: str | None) -> dict[str, float]:
    """Everything that is asked of the dreams of one machine, and of those of its twin."""
    module = example()
    known = module.digits(seed)
    judge = module.Judge(known)
    count, days, target = (4, 30, "numpy") if small else (DREAMS, 40_000, "standalone")
    labels = np.repeat(np.arange(10), count)
    held, seen = module.held(labels), known.seen()
    schedule = wake_sleep.Schedule(days=days, unlearns=without != "sleep")
    hot = 1.0 if without == "cooling" else 3.0
    first = wake_sleep.newborn(seen, 20 if small else 100, seed=seed)
    began = time.perf_counter()
    with module.brian2_target(target):
        machine = wake_sleep.train(first, seen, schedule, seed=seed)
    with module.brian2_target(target):
        z = wake_sleep.dream(machine, held, steps=module.STEPS, hot=hot, seed=seed)
    taken_s = time.perf_counter() - began
    twin = gibbs(first, seen, schedule, seed)
    found = {
        "judge": (judge(known.new_pictures) == known.new_labels).mean(),
        "named": (machine.classify(known.new_pictures, module.CODES).argmax(axis=1) == known.new_labels).mean(),
        "seconds": taken_s,
    }
    pixels = module.SIDE**2
    for name, all_dreams in (
        ("spiking", z[:, -module.LOOK :].mean(axis=1)),
        ("twin", gibbs_dreams(twin, held, 200, hot, seed)),
    ):
        pictures = all_dreams[:, :pixels]
        right = (judge(pictures) == labels).reshape(10, count).mean(axis=1)
        found[f"{name}_right"], found[f"{name}_worst"] = right.mean(), right.min()
        distinct = [module.different(pictures[labels == digit]) for digit in range(10)]
        found[f"{name}_distinct"], found[f"{name}_fewest"] = np.mean(distinct), min(distinct)
        found[f"{name}_variety"] = np.mean(
            [
                pdist(pictures[labels == digit]).mean() / pdist(known.new_pictures[known.new_labels == digit]).mean()
                for digit in range(10)
            ]
        )
        nearest = [np.median(cdist(one, known.pictures).min(axis=1)) for one in (pictures, known.new_pictures)]
        found[f"{name}_novelty"] = nearest[0] / nearest[1]
        found[f"{name}_digits"] = np.round(right, 3).tolist()
    return found


def row(name: str, target: str, each: Sequence[float], seeds: Sequence[int], met: bool | None, **more: Any) -> dict:
    """One object of the results."""
    spread = float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
    got = float(np.mean(each))
    return {
        "name": name, "target": target, "got": got, "spread": spread, "seeds": list(seeds),
        "each": [float(one) for one in each], "met": met, **more,
    }  # fmt: skip


def rows(
    seeds: Sequence[int], *, small: bool = False, without: str | None = None, progress: bool = True
) -> list[dict[str, Any]]:
    """The rows "sampler" and "dreams"; small: a few steps, to see that it runs. without: one of ABLATIONS."""
    if without not in (None, *ABLATIONS):
        raise ValueError(f"without={without!r} is no ablation here, expected one of {ABLATIONS}")
    defaultclock.dt = 1 * ms
    kl, found = [], []
    for seed in seeds:
        kl.append(divergence(seed, 400 if small else 40_000, in_turn=without != "turns"))
        if progress:
            print(f"seed {seed}: KL {kl[-1]:.5f}", file=sys.stderr, flush=True)
    table = [row("sampler", "KL <= 0.005 nats", kl, seeds, max(kl) <= 0.005)]
    if without == "turns":
        return table
    for seed in seeds:
        found.append(dreams(seed, small=small, without=without))
        if progress:
            print(f"seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
    each = {name: [one[name] for one in found] for name in found[0]}
    per_digit = np.mean(each.pop("spiking_digits"), axis=0).round(3).tolist()
    for name, target, key, least in (
        ("dreams", ">= 0.85 judged the digit that was held", "spiking_right", 0.85),
        ("dreams, worst digit", "", "spiking_worst", None),
        ("dreams, distinct of 50, digit with the fewest", ">= 40", "spiking_fewest", 40),
        ("dreams, distance between two of a digit, over that of real ones", "", "spiking_variety", None),
        ("dreams, distance to the nearest picture seen, over that of new ones", "", "spiking_novelty", None),
        ("dreams, judge on new real digits", ">= 0.93", "judge", 0.93),
        ("dreams, the machine names new real digits", "", "named", None),
        ("dreams of the twin (Gibbs sampling in NumPy, no spikes)", "", "twin_right", None),
        ("dreams of the twin, distinct of 50, digit with the fewest", "", "twin_fewest", None),
        ("dreams, seconds for learning and dreaming, with compiling", "", "seconds", None),
    ):
        met = None if least is None else bool(np.mean(each[key]) >= least)
        table.append(row(name, target, each[key], seeds, met))
    table[1]["per_digit"] = per_digit
    return table


def main() -> None:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--without", choices=ABLATIONS)
    options = parser.parse_args()
    results = rows(options.seeds, small=options.small, without=options.without)
    for one in results:
        print(f"{one['name']:70} {one['got']:8.4f} +- {one['spread']:.4f}  {one['target']}")
    if options.json:
        options.json.write_text(json.dumps({"results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
