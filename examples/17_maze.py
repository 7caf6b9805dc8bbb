"""A spiking actor and critic look for the way to a goal behind walls, beside an actor without a critic.

The agent of Frémaux, Sprekeler & Gerstner 2013, "Reinforcement learning using a continuous time actor-critic framework
with spiking neurons", PLoS Computational Biology 9, e1003024. Place cells excite 100 neurons whose rate is the value of
a place, and a ring of 180 neurons that points where to go. The error of the value, in continuous time, is one number
for all synapses. Beside it lives a second agent with the same ring, place cells and rewards, but no critic (R-max).
Both lives are one program, compiled by Brian2.

    python examples/17_maze.py [--seconds 500] [--seed 0] [--codegen cpp_standalone] [--output maze.png]
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from brian2 import Network, SpikeMonitor, StateMonitor, defaultclock, ms, prefs, second, seed, set_device
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from learning.continuous_td import ActorCritic, actor_critic
from learning.worlds.maze import Maze

ACTOR_CRITIC, ALONE = "#0072b2", "#d55e00"  # a pair that the colour-blind tell apart


def maps(ax: Axes, maze: Maze, brain: ActorCritic) -> None:
    """Strength of what the place cells tell the critic, and where they send the actor."""
    side = np.linspace(-maze.half, maze.half, 81)
    x, y = np.meshgrid(side, side)
    share = np.asarray(maze.rates(x.ravel(), y.ravel()))
    share = share / share.sum(axis=1, keepdims=True)
    cells = maze.cells**2
    value = share @ brain.to_critic.w[:].reshape(cells, -1).mean(axis=1)
    ring = brain.to_actor.w[:].reshape(cells, -1)
    pointing = ring @ np.exp(2j * np.pi * np.arange(ring.shape[1]) / ring.shape[1]) / ring.shape[1]
    image = ax.pcolormesh(x, y, value.reshape(x.shape), cmap="cividis", shading="gouraud", rasterized=True)
    ax.figure.colorbar(image, ax=ax, label="mean weight to the critic", shrink=0.8)
    places = np.array([(a, b) for a in range(-7, 8) for b in range(-7, 8) if maze.is_free(a, b)], float)
    near = np.asarray(maze.rates(*places.T))
    arrows = near / near.sum(axis=1, keepdims=True) @ pointing
    arrows /= np.abs(arrows) + 1e-12
    ax.quiver(*places.T, arrows.real, arrows.imag, color="white", scale=24, width=0.005)
    maze.plot(ax)
    ax.set(title="value and policy", xlabel="x (10 cm)", ylabel="y (10 cm)")


def paths(ax: Axes, maze: Maze, place: StateMonitor, trials: int = 12) -> None:
    """The ways of the last trials."""
    x, y = np.asarray(place.x[0] / maze.unit), np.asarray(place.y[0] / maze.unit)
    on_way = np.asarray(place.phase[0]) == 1
    cuts = np.flatnonzero(np.diff(on_way.astype(int))) + 1
    ways = [part for part in np.split(np.arange(x.size), cuts) if on_way[part[0]]]
    for way in ways[-trials:]:
        ax.plot(x[way], y[way], color=ACTOR_CRITIC, linewidth=1, alpha=0.7)
    maze.plot(ax)
    ax.set(title=f"last {min(trials, len(ways))} ways", xlabel="x (10 cm)")


def latencies(ax: Axes, both: dict[str, NDArray[np.float64]], limit: float) -> None:
    """How long each trial took."""
    for (name, seconds), colour in zip(both.items(), (ACTOR_CRITIC, ALONE), strict=True):
        trials = np.arange(1, seconds.size + 1)
        ax.plot(trials, seconds, ".-", color=colour, label=name, linewidth=0.8, markersize=5)
    ax.axhline(limit, color="0.7", linewidth=0.8, linestyle="--")
    ax.set(title="time to the goal", xlabel="trial", ylabel="latency (s)", ylim=(0, 1.15 * limit))
    ax.legend(frameon=False, loc="center right")


def main() -> None:
    """Let both agents live, say how fast they are at the end, and draw what the first one has learnt."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=500, help="of life")
    parser.add_argument("--limit", type=float, default=50, help="seconds after which a trial ends")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--codegen", default="cpp_standalone", help="or numpy, for a short run without compiling")
    parser.add_argument("--output", type=Path, default=Path("maze.png"))
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        if options.codegen == "cpp_standalone":
            set_device("cpp_standalone", directory=folder)
        else:
            prefs.codegen.target = options.codegen
        defaultclock.dt = 1 * ms
        seed(options.seed)
        maze = Maze(limit=options.limit * second)
        brains = {"actor and critic": actor_critic(maze), "no critic (R-max)": actor_critic(maze, method="R-max")}
        first = brains["actor and critic"]
        ends = {name: SpikeMonitor(brain.world, variables=["latency"]) for name, brain in brains.items()}
        place = StateMonitor(first.world, ["x", "y", "phase"], record=True, dt=20 * ms)
        both = Network(*(brain.network.objects for brain in brains.values()), *ends.values(), place)
        both.run(options.seconds * second)

        took = {name: np.asarray(monitor.latency / second) for name, monitor in ends.items()}
        for name, seconds in took.items():
            last = f"{np.median(seconds[-10:]):.1f} s" if seconds.size else "-"
            print(f"{name}: median latency of the last 10 of {seconds.size} trials {last} (limit {options.limit:g} s)")
        figure = Figure(figsize=(13, 4.2), layout="constrained")
        boxes = figure.subplots(1, 3, width_ratios=[1.15, 0.95, 1.2])
        maps(boxes[0], maze, first)
        paths(boxes[1], maze, place)
        latencies(boxes[2], took, options.limit)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=110)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
