"""An agent learns to balance a pole that it sees only through an event camera.

Gymnasium's CartPole-v1 is rendered; dvs' emulator turns what changes in the picture into events; a spiking network
hears them, pushes the cart left or right every 20 ms, and learns from one thing alone: -1 when the pole has fallen. It
has never seen a state, and a pole at rest it does not see at all; it knows what it sees, and where it has just pushed.
Actor and critic: Fremaux, Sprekeler & Gerstner 2013, "Reinforcement learning using a continuous time actor-critic
framework with spiking neurons", PLoS Comput. Biol. 9.

Chance keeps the pole up for 21.5 steps. After 40 000 steps, which take some five minutes, it mostly stands for the 500
that an episode lasts at most; with luck after a third of that.

    python examples/20_gym_agent.py [--steps 40000] [--watched 1500] [--seed 0] [--codegen numpy]
        [--output gym_agent.png] [--video agent.mp4]
"""

import argparse
from pathlib import Path

import gymnasium
import numpy as np
from brian2 import defaultclock, ms, prefs, second
from matplotlib.figure import Figure

from dvs.charts import INK, OFF, ON
from learning.agent import EventAgent, Life, WideFields, decorrelated, ramps, train
from learning.event_env import EventEnv
from snn.probes.pictures import legend, name_axes, prepare

LEARNING = {
    "rate": 280 / second, "tau": 5 * ms, "strength": 8.0, "efference": 1.0, "focus": 135 * second,
    "settle": 400 * second, "gamma": 0.98, "trace_decay": 0.9, "eta": 0.0025, "eta_value": 2.5e-4, "actors_each": 40,
}  # fmt: skip
CHANCE = 21.5  # mean length of an episode of random actions


def world() -> EventEnv:
    """CartPole before an event camera of 240 x 30 pixels, which sees the band in which the pole moves."""
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array", sutton_barto_reward=True)
    return EventEnv(env, sensor="ideal", crop=(0, 166, 600, 150), size=(240, 30), rise=4 * ms)


def eyes(steps: int = 1500) -> WideFields:
    """Eyes for the upper pole and for the cart, formed while so many random actions were watched."""
    # In a world of its own: in the one in which the agent is to live, the camera begins anew.
    return decorrelated(world(), ramps(240, 30, [(0, 12), (23, 30)]), motion_tau=60 * ms, steps=steps, seed=1000)


def picture(life: Life, random: float = CHANCE) -> Figure:
    """How long each pole stood."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = prepare(figure.subplots())
    steps = np.cumsum(life.lengths)
    axes.plot(steps, life.lengths, "o", color=ON, alpha=0.35, markersize=4, label="one episode")
    window = min(20, life.lengths.size)
    if window:
        mean = np.convolve(life.lengths, np.full(window, 1 / window), "valid")
        axes.plot(steps[window - 1 :], mean, color=OFF, linewidth=2.5, label=f"mean of {window}")
    axes.axhline(random, color=INK, linewidth=1, linestyle="--", label=f"random actions, {random:g}")
    name_axes(axes, "steps of 20 ms lived so far", "steps until the pole fell")
    axes.set_ylim(0, max(60, 1.05 * life.lengths.max(initial=0)))
    legend(axes)
    return figure


def main() -> None:
    """Train, print how long the last poles stood, draw the learning curve, and film the agent if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40_000, help="of 20 ms")
    parser.add_argument("--watched", type=int, default=1500, help="steps of random actions that form the eyes before")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("gym_agent.png"))
    parser.add_argument("--video", type=Path, help="an .mp4 of world, events, spikes, value and TD error")
    parser.add_argument("--video-steps", type=int, default=500)
    options = parser.parse_args()
    prefs.codegen.target = options.codegen
    defaultclock.dt = 1 * ms

    record = ("retina", "agent_actors") if options.video else ()
    env, agent = world(), EventAgent(eyes(options.watched), actions=2, record=record, **LEARNING)
    life = train(env, agent, options.steps, seed=options.seed)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(life).savefig(options.output, dpi=100)
    if options.video:
        from learning.agent_video import film

        film(options.video, env, agent, steps=options.video_steps, seed=options.seed + 1, overwrite=True)
    print(
        f"the last {min(20, life.lengths.size)} of {life.lengths.size} poles stood {life.last():.0f} steps on average"
    )
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
