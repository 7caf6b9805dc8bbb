"""Value of a linear track, and a maze with an obstacle, with and without a critic; after Frémaux et al. (2013).

Each network is compiled once and lives once for each seed. The track: 50 trials of 4 s; the mean value over trials 30
to 50 is compared with 100 exp(-(T - t)/tau_r) at all times of the way, T being the time at which the reward comes. The
maze: 1000 s of life, in which trials end at the goal or after 50 s; it is solved if the median latency of the last 10
trials is below 10 s. A row is met if every seed meets its target. R-max has the same life.

    python benchmarks/three_factor_maze.py [--seeds 0 1 2 3 4] [--small] [--without critic]
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from brian2 import (
    BrianLogger,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    ms,
    second,
    start_scope,
)
from numpy.typing import NDArray

from learning.continuous_td import ActorCritic, actor_critic
from learning.worlds.maze import Maze
from learning.worlds.track import Track
from snn.compiling import compiled

SOLVED_S = 10.0
LAST = 10
TAU_R = 4 * second


def lives(
    make: Callable[[], tuple[ActorCritic, dict[str, tuple[object, str]]]], duration: Quantity, seeds: Sequence[int]
) -> list[dict[str, NDArray]]:
    """What was recorded in a life of each seed, of a network that is compiled once.

    make: gives a brain and what to keep, as {name: (monitor, variable)}.
    """
    start_scope()
    with compiled(make, lambda made: made[0].network.run(duration)) as program:
        kept = program.made[1]
        found = []
        for seed in seeds:
            program(seed)
            found.append({name: program.read(monitor, variable) for name, (monitor, variable) in kept.items()})
        return found


def track_errors(seeds: Sequence[int], trials: int = 50, average: int = 20) -> list[float]:
    """The largest relative error of the mean value over the last trials, of each seed."""
    track = Track(rest=1 * second)
    cycle = track.hold + track.duration + track.rest

    def make() -> tuple[ActorCritic, dict]:
        brain = actor_critic(track, tau_r=TAU_R, critic_start=0.65, critic_limits=(0.0, 6.0))
        values = StateMonitor(brain.td, "V", record=True, dt=10 * ms, when="end")
        phases = StateMonitor(brain.world, "phase", record=True, dt=10 * ms, when="end")
        brain.network.add(values, phases)
        return brain, {"V": (values, "V"), "phase": (phases, "phase")}

    errors = []
    for life in lives(make, trials * cycle + 1 * second, seeds):
        begins = np.flatnonzero(np.diff((life["phase"] == 1).astype(int)) == 1) + 1
        steps = round(float(track.duration / (10 * ms)))
        ways = np.array([life["V"][begin : begin + steps] for begin in begins[trials - average : trials]])
        expected = track.value(np.arange(steps) * 10 * ms, TAU_R)
        errors.append(float(np.abs(ways.mean(axis=0) / expected - 1).max()))
    return errors


def maze_latencies(seeds: Sequence[int], method: str, duration: Quantity, maze: Maze) -> list[NDArray[np.float64]]:
    """Latencies of all trials in seconds, of each seed."""

    def make() -> tuple[ActorCritic, dict]:
        brain = actor_critic(maze, method=method, tau_r=TAU_R)
        ends = SpikeMonitor(brain.world, variables=["latency"])
        brain.network.add(ends)
        return brain, {"latency": (ends, "latency")}

    return [life["latency"] for life in lives(make, duration, seeds)]


def rows(
    seeds: Sequence[int], *, small: bool = False, without: str | None = None, progress: bool = True
) -> list[dict[str, object]]:
    """The rows of this topic; `without="critic"` leaves the actor-critic out and measures R-max alone."""
    found = []

    def add(name: str, target: str, each: list[float], met: Callable[[float], bool]) -> None:
        found.append(
            {
                "name": name,
                "target": target,
                "got": float(np.mean(each)),
                "spread": float(np.std(each)),
                "seeds": len(each),
                "each": each,
                "met": all(map(met, each)),
            }
        )
        if progress:
            print(f"{name}: {np.round(each, 3).tolist()} in {time.perf_counter() - began:.0f} s", flush=True)

    began = time.perf_counter()
    maze = replace(Maze(), limit=2 * second) if small else Maze()
    life = (9 if small else 1000) * second
    if without != "critic":
        errors = track_errors(seeds, *((3, 2) if small else (50, 20)))
        add("linear track", "largest relative error of the value <= 0.1", errors, lambda error: error <= 0.1)
        latencies = maze_latencies(seeds, "TD-LTP", life, maze)
        last = [float(np.median(latency[-LAST:])) for latency in latencies]
        add("maze", f"median latency of the last {LAST} trials < {SOLVED_S:g} s of 50", last, lambda s: s < SOLVED_S)
    latencies = maze_latencies(seeds, "R-max", life, maze)
    last = [float(np.median(latency[-LAST:])) for latency in latencies]
    limit = float(maze.limit / second)
    add("maze without critic (R-max)", "not solved: median latency at the limit", last, lambda s: s > 0.9 * limit)
    return found


def main() -> None:
    """Measure, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--small", action="store_true", help="a few seconds of life, to see that it runs")
    parser.add_argument("--without", choices=["critic"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    BrianLogger.log_level_error()
    found = rows(options.seeds, small=options.small, without=options.without)
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
