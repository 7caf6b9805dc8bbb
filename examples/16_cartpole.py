"""A pole on a cart, seen by two strips of an event camera, balanced by spiking neurons that learn while they do it.

The world is that of Barto, Sutton & Anderson 1983, "Neuronlike adaptive elements that can solve difficult learning
control problems", IEEE Trans. Syst. Man Cybern. 13:834-846, with the constants of Gymnasium's CartPole-v1. The agent is
told nothing but a -1 when the pole has fallen or the cart has left its track. It sees no state, only changes of light:
31 pixels watch the pole, 41 the cart. A critic learns the value of what is seen; its temporal-difference error
(Sutton 1988) is the one number that all plastic synapses hear. World, camera and agent are one Brian2 network.

    python examples/16_cartpole.py [--steps 40000] [--seed 0] [--without critic] [--runtime] [--out cartpole.png]

By default it is compiled: 40,000 pushes, 800 s in the life of the pole, then take seconds. `--runtime` compiles
nothing.
`--without` takes away critic, motion, sustained, learning, error or decrease: compare.
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import defaultclock, ms, prefs
from matplotlib.figure import Figure

from dvs.charts import INK, OFF, ON
from learning.closed_loop import Life, cartpole_loop, compiled_loop, run_loop
from snn.probes.pictures import legend, name_axes, prepare

RANDOM = 21.5  # steps until a pole falls that is pushed by chance


def picture(life: Life) -> Figure:
    """The length of each episode; value and error in the first ones and in the longest one."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    above, below = figure.subfigures(2, height_ratios=[1, 1.2])
    curve = prepare(above.subplots())
    number = np.arange(1, life.lengths.size + 1)
    curve.plot(number, life.lengths, ".", color=ON, markersize=4, label="an episode")
    n = min(20, life.lengths.size)
    mean = np.convolve(life.lengths, np.full(n, 1 / n), "valid")
    curve.plot(number[n - 1 :], mean, color=INK, linewidth=1.8, label=f"mean of the last {n}")
    curve.axhline(RANDOM, color=OFF, linestyle="--", linewidth=1.2, label="pushed by chance")
    name_axes(curve, "episode", "steps until the fall")
    curve.set_ylim(0, 520)
    legend(curve)
    last = int(np.argmax(life.lengths)) if life.lengths.size else 0
    first_end = int(life.ends[min(4, life.ends.size - 1)])
    parts = (
        ("the first episodes", slice(0, first_end + 1)),
        ("the longest episode", slice(int(life.ends[last - 1]) + 1 if last else 0, int(life.ends[last]) + 1)),
    )
    for (value, error), (title, part) in zip(below.subplots(2, 2, sharey="row", sharex="col").T, parts, strict=True):
        t_s = 0.02 * np.arange(life.value[part].size)
        for box, line, colour, name in (
            (value, life.value[part], ON, "value"), (error, life.td_error[part], OFF, "TD error")
        ):  # fmt: skip
            prepare(box).plot(t_s, line, color=colour, linewidth=1.2)
            name_axes(box, "time (s)" if box is error else "", name if title.startswith("the first") else "")
            for end in life.ends[(life.ends >= part.start) & (life.ends < part.stop)]:
                box.axvline(0.02 * (end - part.start), color=INK, linewidth=0.8, alpha=0.5)
        value.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
    return figure


def main() -> None:
    """Live once, say how long the last episodes were, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", choices=["critic", "motion", "sustained", "learning", "error", "decrease"])
    parser.add_argument("--runtime", action="store_true", help="NumPy, no compiler; slow")
    parser.add_argument("--out", type=Path, default=Path("cartpole.png"))
    options = parser.parse_args()
    if options.runtime:
        prefs.codegen.target = "numpy"
        defaultclock.dt = 1 * ms
        loop = cartpole_loop()
        life = run_loop(loop, options.steps, seed=options.seed, settings=loop.ablation(options.without))
    else:
        with compiled_loop(cartpole_loop, options.steps) as run:
            life = run(options.seed, run.loop.ablation(options.without))
    if not life.lengths.size:
        raise SystemExit(f"no episode ended within {options.steps} steps; give more with --steps")
    speed = 0.02 * options.steps / life.seconds
    print(f"{life.lengths.size} episodes in {life.seconds:.1f} s, {speed:.0f} times as fast as the pole")
    print(f"last 20 episodes: {life.lengths[-20:].mean():.0f} steps of 500 (by chance {RANDOM})")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    picture(life).savefig(options.out, dpi=100)
    print(f"see {options.out}")


if __name__ == "__main__":
    main()
