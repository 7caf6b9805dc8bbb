"""World, eyes, brain and reward as one Brian2 network, which may be compiled and then runs by itself.

`join` ties a world to an agent: the action goes one way; the reward and the episode's end the other. A `Loop` is what
a run needs and what may be taken away from it:

    with compiled_loop(cartpole_loop, steps=40_000) as run:      # C++: built once
        lives = [run(seed) for seed in range(5)]

    life = run_loop(cartpole_loop(), steps=100, seed=0)     # any runtime target
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import brian2
import numpy as np
from brian2 import (
    Clock,
    Network,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    ms,
)
from brian2.groups.group import Group
from numpy.typing import NDArray

from dvs.errors import ParameterError
from learning.td import ERROR_ORDER, WORLD_ORDER, ActorCritic, actor_critic
from learning.worlds.cartpole import cartpole
from learning.worlds.catch import catch
from learning.worlds.strips import Camera, Strip, camera, strips
from snn.compiling import Compiled, Settings, compiled


@dataclass(frozen=True, kw_only=True, eq=False)
class Loop:
    """A closed loop, ready to run."""

    world: NeuronGroup
    camera: Camera
    agent: ActorCritic
    network: Network
    episode: StateMonitor
    mind: StateMonitor
    spikes: SpikeMonitor

    def ablation(self, without: str | None) -> Settings:
        """The settings that take something away."""
        if without is None:
            return {}
        owners = {"motion": self.camera, "sustained": self.camera}
        return owners.get(without, self.agent).ablation(without)


@dataclass(frozen=True, kw_only=True, eq=False)
class Life:
    """What happened in a run of T control steps.

    lengths, returns: (episodes,) steps and sum of rewards of each episode that ended. ends: (episodes,) the control
    step where. value, td_error: (T,). policy, values: the weights at the end, (features, actors) and (features,).
    spikes: of the features, in all. seconds: of the computer.
    """

    lengths: NDArray[np.float64]
    returns: NDArray[np.float64]
    ends: NDArray[np.int64]
    value: NDArray[np.float64]
    td_error: NDArray[np.float64]
    policy: NDArray[np.float64]
    values: NDArray[np.float64]
    spikes: int
    seconds: float


def join(world: NeuronGroup, agent: ActorCritic) -> None:
    """The world hears the agent's action; the critic hears the world's reward and whether an episode ended."""
    tick = {"clock": agent.clock, "when": "start"}
    world.variables.add_reference("chosen", agent.choice, "action")
    world.run_regularly("action = chosen", **tick, order=WORLD_ORDER - 1)
    told = ("reward", "ended", "truncated")
    for variable in told:
        agent.critic.variables.add_reference(f"{variable}_of_world", world, variable)
    code = "\n".join(f"{variable} = {variable}_of_world" for variable in told)
    agent.critic.run_regularly(code, **tick, order=ERROR_ORDER - 5)


def loop(world: NeuronGroup, camera: Camera, agent: ActorCritic) -> Loop:
    """Join them, and record what `Life` tells."""
    join(world, agent)
    tick = {"clock": agent.clock, "when": "start"}
    episode = StateMonitor(world, ["steps", "ended", "reward"], record=True, **tick, order=WORLD_ORDER + 1)
    mind = StateMonitor(agent.critic, ["value", "td_error"], record=True, **tick, order=ERROR_ORDER + 1)
    spikes = SpikeMonitor(agent.features, record=False)
    network = Network(world, *camera.objects, *agent.objects, episode, mind, spikes)
    return Loop(world=world, camera=camera, agent=agent, network=network, episode=episode, mind=mind, spikes=spikes)


# Of a spike of a sustained and of a motion neuron: the former are many, and each by chance.
_WEIGHTS = (0.1, 1.0)

CARTPOLE_STRIPS = (
    Strip(watches="theta_seen", farthest=15 * np.pi / 180, pixels=31, width=3.5 * np.pi / 180),
    Strip(watches="x_seen", farthest=2.5, pixels=41, width=0.25),
)


def cartpole_loop() -> Loop:
    """CartPole seen by two strips of an event camera, one for the angle and one for the place.

    The cart goes slowly, and each push jerks it; its motion is heard for 80 ms, four pushes. Both are remembered where
    they stand for 4 s, the life of a cart that drifts away.
    """
    clock = Clock(dt=20 * ms)
    world = cartpole(interval=clock)
    seen = strips(world, CARTPOLE_STRIPS, tau=4000 * ms, interval=clock)
    pixels = [row.pixels for row in CARTPOLE_STRIPS]
    on_and_off = [np.tile(np.repeat(pole_and_cart, pixels), 2) for pole_and_cart in ([1.0, 0.3], [20, 80])]
    agent = actor_critic(
        seen.channels, weights=[0.1, on_and_off[0]], tau=[20 * ms, on_and_off[1] * ms], interval=clock,
        gamma=0.995, trace_decay=0.97, eta=0.003, eta_value=6e-4,
    )  # fmt: skip
    return loop(world, seen, agent)


def catch_loop(*, columns: int = 5, rows: int = 10) -> Loop:
    """Catch seen by an eye that rides on the paddle, a pixel for each place where the ball can be."""
    interval = Clock(dt=50 * ms)
    world = catch(interval=interval, columns=columns, rows=rows)
    above, side = np.indices((rows, 2 * columns - 1)).reshape(2, -1)
    seen = camera(
        world, "int(abs(row - above) < 0.5)*int(abs(aside - side) < 0.5)", watches=["row", "aside"],
        places={"above": above, "side": side - (columns - 1)}, interval=interval,
    )  # fmt: skip
    agent = actor_critic(seen.channels, 3, weights=_WEIGHTS, interval=interval, eta=0.1, eta_value=0.1, largest=2)
    return loop(world, seen, agent)


def run_loop(loop: Loop, steps: int, *, seed: int | None = None, settings: Settings | None = None) -> Life:
    """Run at once, in the target that Brian2 is set to; seed: of chance, by `brian2.seed`.

    settings: variables that get another value before, such as `loop.ablation("critic")`. The first interval of a run
    is for looking, so steps control steps are steps - 1 that act.
    """
    _check_steps(steps)
    brian2.seed(seed)
    for view, value in (settings or {}).items():
        view.set_item(slice(None), value)
    began = time.perf_counter()
    loop.network.run(steps * loop.agent.interval, namespace={})
    return _life(loop, lambda owner, name: np.array(getattr(owner, name)[:]), time.perf_counter() - began)


@contextmanager
def compiled_loop(
    make: Callable[[], Loop], steps: int, *, directory: Path | None = None, dt: Quantity = 1 * ms
) -> Iterator["CompiledLoop"]:
    """A loop in C++ standalone, built once, to be called with a seed as often as you like.

    make: makes the loop, for this device, at this dt. directory: as of `snn.compiled`.
    """
    _check_steps(steps)

    def run(loop: Loop) -> None:
        loop.network.run(steps * loop.agent.interval, namespace={})

    with compiled(make, run, directory=directory, dt=dt) as program:
        yield CompiledLoop(program)


class CompiledLoop:
    """The program that `compiled_loop` has built. loop: what it is made of."""

    def __init__(self, program: Compiled[Loop]) -> None:
        self.loop, self._program = program.made, program

    def __call__(self, seed: int, settings: Settings | None = None) -> Life:
        """One life, from the first draws on; settings as of `run_loop`."""
        seconds = self._program(seed, settings)
        return _life(self.loop, self._program.read, seconds)


def _life(loop: Loop, read: Callable[[Group, str], NDArray], seconds: float) -> Life:
    episode = {name: read(loop.episode, name).ravel() for name in ("steps", "ended", "reward")}
    mind = {name: read(loop.mind, name).ravel() for name in ("value", "td_error")}
    ends = np.flatnonzero(episode["ended"])
    weights = {part: read(getattr(loop.agent, part), "w") for part in ("policy", "values")}
    return Life(
        lengths=episode["steps"][ends],
        returns=np.diff(np.cumsum(episode["reward"])[ends], prepend=0.0),
        ends=ends,
        value=mind["value"],
        td_error=mind["td_error"],
        policy=weights["policy"].reshape(len(loop.agent.features), -1),
        values=weights["values"],
        spikes=int(read(loop.spikes, "count").sum()),
        seconds=seconds,
    )


def _check_steps(steps: int) -> None:
    if steps != int(steps) or steps < 1:
        raise ParameterError(f"steps is {steps}, expected a whole number of control steps, 1 or more")
