"""An agent that sees Gymnasium's CartPole only through the emulated event camera; and what a step of it costs.

    python benchmarks/three_factor_gym.py [--seeds 5] [--small] [--without critic] [--json gym.json]

CartPole-v1 is rendered at 600 x 400 and seen by an ideal sensor of 240 x 30 pixels over the band of cart and pole,
which does not follow the cart, on a screen that takes 4 ms to show a new picture. 40,000 steps of 20 ms, learning all
the while; a score is the mean length of the last 20 episodes, of 500 at most. World, eyes and agent are those of
examples/20_gym_agent.py, with settings chosen on seeds from 100 on. `--without`: critic, learning, error, decrease
(`learning.td`), where, motion (one of the two sums of each wide-field cell), efference (what the agent has just done).
The steps are timed in processor time of this thread, so that neighbours do not count: network, renderer and emulator
apart.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from brian2 import defaultclock, ms, start_scope

from learning.agent import EventAgent, Life, train
from learning.event_env import EventEnv

SIGHTS = ("where", "motion")


def example() -> ModuleType:
    """examples/20_gym_agent.py, where world and agent are."""
    path = Path(__file__).parents[1] / "examples" / "20_gym_agent.py"
    spec = spec_from_file_location("gym_agent", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agent_without(shown: ModuleType, without: str | None) -> EventAgent:
    """The agent of the example, with something taken away."""
    fields = shown.eyes()
    if without in SIGHTS:
        name = f"{without}_gain"
        fields = replace(fields, **{name: np.zeros_like(getattr(fields, name))})
    learning = {**shown.LEARNING, **({"efference": 0.0} if without == "efference" else {})}
    agent = EventAgent(fields, actions=2, **learning)
    if without is not None and without not in (*SIGHTS, "efference"):
        for view, value in agent.brain.ablation(without).items():
            view.group.variables[view.name].get_value()[:] = value
    return agent


def life(seed: int, steps: int, without: str | None = None) -> Life:
    """One agent's life."""
    start_scope()
    defaultclock.dt = 1 * ms
    shown = example()
    agent = agent_without(shown, without)
    return train(shown.world(), agent, steps, seed=seed)


def rows(
    seeds: Sequence[int], *, small: bool = False, without: str | None = None, progress: bool = True
) -> list[dict[str, Any]]:
    """Event CartPole in two dimensions, and the times of a step."""
    scores = []
    for seed in seeds:
        began = time.perf_counter()
        lived = life(seed, 500 if small else 40_000, without)
        scores.append(lived.last())
        if progress:
            taken_s = time.perf_counter() - began
            print(
                f"event CartPole 2-D, seed {seed}: {scores[-1]:.1f} of {lived.lengths.size} ({taken_s:.0f} s)",
                flush=True,
            )
    name = "event CartPole 2-D" + (f", without {without}" if without else "")
    enough = sum(score >= 400 for score in scores) >= 0.8 * len(scores)
    found = [row(name, "last-20 mean >= 400 of 500 in >= 4 of 5 seeds", scores, seeds, None if without else enough)]
    if without is None:
        times = cpu_ms(100 if small else 1000)
        target = "<= 0.4 ms per 10 ms"
        found.append(row("stepper ms per 10 ms", target, [times["network"]], [0], times["network"] <= 0.4))
        for part in ("render", "emulator"):
            found.append(row(f"{part} ms per 20 ms step", "reported apart", [times[part]], [0], None))
    return found


def cpu_ms(steps: int) -> dict[str, float]:
    """Medians of the processor time of this thread: network a 10 ms, render and emulator a step of 20 ms."""
    start_scope()
    defaultclock.dt = 1 * ms
    shown = example()
    agent = agent_without(shown, None)
    env: EventEnv = shown.world()
    taken: dict[str, list[float]] = {"network": [], "render": [], "step": []}
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(steps):
        began = time.thread_time()
        env.render()
        rendered = time.thread_time()
        events, reward, terminated, truncated, info = env.step(env.action_space.sample())
        stepped = time.thread_time()
        agent.act(events, float(reward), terminated, truncated, since_us=info["since_us"])
        acted = time.thread_time()
        for part, span in (("render", rendered - began), ("step", stepped - rendered), ("network", acted - stepped)):
            taken[part].append(1e3 * span)
        if terminated or truncated:
            env.reset()
    medians = {part: float(np.median(spans)) for part, spans in taken.items()}
    per_10_ms = medians["network"] * 10_000 / env.step_us
    return {"network": per_10_ms, "render": medians["render"], "emulator": medians["step"] - medians["render"]}


def row(name: str, target: str, each: Sequence[float], seeds: Sequence[int], met: bool | None) -> dict[str, Any]:
    """One line of the results: mean and standard deviation over seeds."""
    return {
        "name": name, "target": target, "got": float(np.mean(each)),
        "spread": float(np.std(each, ddof=min(1, len(each) - 1))), "seeds": list(seeds),
        "each": [round(float(one), 4) for one in each], "met": met,
    }  # fmt: skip


def main() -> None:
    """Print the rows, and write them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0, help="100 and later are for choosing settings")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--without", choices=("critic", "learning", "error", "decrease", *SIGHTS, "efference"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found = rows(seeds, small=options.small, without=options.without)
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps({"results": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
