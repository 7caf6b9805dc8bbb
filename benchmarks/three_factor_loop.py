"""Agents that see through event cameras and learn from a temporal-difference error: CartPole and Catch, in C++.

    python benchmarks/three_factor_loop.py [--seeds 5] [--small] [--without critic]

Each world, its eyes and its agent are one Brian2 network, built once and run with each seed. Settings were chosen on
the seeds 100 to 109, those of CartPole on the seeds 200 to 210 of the same loop in Numba. CartPole: 40,000 control
steps of 20 ms; a score is the mean length of the last 20 episodes, of 500 at most. Catch: 25,000 steps of 50 ms; the
mean reward of the last 500 episodes. `--without` takes something away from all rows: critic, motion, sustained,
learning, error, decrease.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from learning.closed_loop import CompiledLoop, Life, cartpole_loop, catch_loop, compiled_loop

ABLATIONS = {
    "learning": "random policy",
    "critic": "no critic",
    "motion": "no motion channels",
    "sustained": "no sustained channels",
    "error": "third factor by chance",
    "decrease": "rectified dopamine, negative reward only",
}


def row(name: str, target: str, each: Sequence[float], seeds: Sequence[int], met: bool | None) -> dict[str, Any]:
    """One line of the results: mean and standard deviation over seeds."""
    return {
        "name": name,
        "target": target,
        "got": float(np.mean(each)),
        "spread": float(np.std(each, ddof=min(1, len(each) - 1))),
        "seeds": list(seeds),
        "each": [round(float(one), 4) for one in each],
        "met": None if met is None else bool(met),
    }


def rows(
    seeds: Sequence[int], *, small: bool = False, without: str | None = None, progress: bool = True
) -> list[dict[str, Any]]:
    """CartPole, its ablations and its robustness, Catch and the speed of the loop."""
    say = print if progress else (lambda *_: None)
    found = []
    with compiled_loop(cartpole_loop, 500 if small else 40_000) as run:
        lives = [run(seed, run.loop.ablation(without)) for seed in seeds]
        found += _cartpole(lives, seeds)
        say(found[0])
        if without is None:
            for name, words in ABLATIONS.items():
                each = [run(seed, run.loop.ablation(name)) for seed in seeds]
                scores = [float(np.mean(life.lengths if name == "learning" else life.lengths[-20:])) for life in each]
                failed = None if name != "decrease" else all(score < 50 for score in scores)
                target = "fails (Potjans, Diesmann & Morrison 2011)" if name == "decrease" else "reported"
                found.append(row(f"event CartPole, two strips: {words}", target, scores, seeds, failed))
                say(found[-1])
        for words, changed in _hardware(run).items():
            each = [run(seed, changed(life, seed)) for seed, life in zip(seeds, lives, strict=True)]
            scores = [float(np.mean(life.lengths)) for life in each]
            found.append(row(f"CartPole policy, frozen: {words}", "reported against float", scores, seeds, None))
            say(found[-1])
    with compiled_loop(catch_loop, 500 if small else 25_000) as run:
        given = run.loop.ablation(without)
        scores = [float(np.mean(run(seed, given).returns[-500:])) for seed in seeds]
        found.append(
            row(
                "event Catch",
                ">= +0.8 of 1, no collapsed seed",
                scores,
                seeds,
                np.mean(scores) >= 0.8 and min(scores) > 0,
            )
        )
        say(found[-1])
        if without is None:
            scores = [float(np.mean(run(seed, run.loop.ablation("learning")).returns)) for seed in seeds]
            found.append(row("event Catch: random policy", "reported", scores, seeds, None))
    return found


def _cartpole(lives: Sequence[Life], seeds: Sequence[int]) -> list[dict[str, Any]]:
    scores = [float(np.mean(life.lengths[-20:])) for life in lives]
    best = [_best_run_of_20(life) for life in lives]
    speed = [life.value.size * 0.02 / life.seconds for life in lives]
    enough = sum(score >= 400 for score in scores) >= 0.8 * len(scores)
    return [
        row("event CartPole, two strips", "last-20 mean >= 400 of 500 in >= 4 of 5 seeds", scores, seeds, enough),
        row("event CartPole, two strips: best 20 episodes on end", "reported", best, seeds, None),
        row("speed of the closed loop in C++ (times real time)", ">= 100", speed, seeds, min(speed) >= 100),
    ]


def _best_run_of_20(life: Life) -> float:
    n = min(20, life.lengths.size)
    return float(np.convolve(life.lengths, np.full(n, 1 / n), "valid").max())


def _hardware(run: CompiledLoop) -> Mapping[str, Callable[[Life, int], dict]]:
    """Settings under which a learned policy runs on, without learning."""
    agent = run.loop.agent

    def with_weights(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Callable[[Life, int], dict]:
        def settings(life: Life, seed: int) -> dict:
            weights = change(life.policy.ravel(), np.random.default_rng(seed))
            return {agent.policy.w: weights, **agent.ablation("learning")}

        return settings

    def half_dead(life: Life, seed: int) -> dict:
        # Of each action half of its actors: that a lesion favours an action is another question.
        each = np.tile(np.arange(len(agent.actors) // 2) % 2, (2, 1))
        alive = np.random.default_rng(seed).permuted(each, axis=1).ravel().astype(float)
        return {**with_weights(lambda w, rng: w)(life, seed), agent.actors.alive: alive}

    def quantised(w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        step = max(np.abs(w).max(), 1e-12) / 127
        return np.round(w / step) * step

    return {
        "float": with_weights(lambda w, rng: w),
        "8 bits": with_weights(quantised),
        "20 % weight noise": with_weights(lambda w, rng: w * (1 + 0.2 * rng.standard_normal(w.size))),
        "half of the actors dead": half_dead,
    }


def main() -> None:
    """Print the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="500 steps: nothing is learnt")
    parser.add_argument("--without", help="an ablation, for all rows")
    options = parser.parse_args()
    print(json.dumps({"results": rows(range(options.seeds), small=options.small, without=options.without)}, indent=1))


if __name__ == "__main__":
    main()
