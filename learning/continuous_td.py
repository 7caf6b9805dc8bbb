"""Actor and critic of spiking neurons with a TD error in continuous time: Frémaux, Sprekeler & Gerstner (2013).

Place cells excite critic and actor. The critic's rate is the value, V = nu/N sum_i (Y_i * kappa) + V0, with Y_i the
spike trains of N neurons and kappa(t) = (exp(-t/tau_slow) - exp(-t/tau_fast))/(tau_slow - tau_fast). Its TD error needs
no value of the past, because the filter can be differentiated in place of what it filters:

    delta = dV/dt - V/tau_r + r = nu/N sum_i (Y_i * (kappa' - kappa/tau_r)) - V0/tau_r + r

Each synapse of a place cell learns by `td_ltp`: what has arrived since the neuron's last spike and meets its next one,
filtered by kappa, times delta. The actor is a ring of directions, of which lateral synapses let neighbours be active
only; the agent goes where the ring's activity points. `r_max` learns without a critic, from the reward itself.

    brain = actor_critic(Maze())
    brain.network.run(500 * second)

Numbers are those of two programs that repeat the paper (gw.c of numericalbrainorg/snsbook, SNNLab.jl by Akihiro-Na),
where they agree; what was chosen here is said at each function. They have delta_u = 2 mV, as the actor here; the
critic's 5 mV makes a wider range of rates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from brian2 import BrianObject, Hz, Network, NeuronGroup, Quantity, Synapses, cm, linked_var, metre, ms, mV, second

from dvs.errors import ParameterError
from learning.plasticity import Rule, attach
from learning.worlds.maze import Maze
from learning.worlds.track import Track
from snn.neurons import NeuronModel
from snn.parameters import with_changes

Value = Quantity | float
Method = Literal["TD-LTP", "R-max"]

EPSILON = 20 * mV * ms  # area of the potential that a spike causes through a weight of 1
_ARRIVAL: Mapping[str, Value] = MappingProxyType({"tau_m": 20 * ms, "tau_s": 5 * ms, "epsilon": EPSILON})
_ESCAPE: Mapping[str, Value] = MappingProxyType({"rho0": 60 * Hz, "threshold": 16 * mV, "delta_u": 5 * mV})
_KAPPA: Mapping[str, Value] = MappingProxyType({"tau_slow": 200 * ms, "tau_fast": 50 * ms})


def srm0(**parameters: Value) -> NeuronModel:
    """A neuron that spikes by chance and then forgets what it has heard: SRM0 with escape noise.

    u(t) = sum_j w_j sum_f epsilon(t - t_j^f) + v_reset exp(-(t - t_last)/tau_m), over the input f since its own last
    spike at t_last, where epsilon(t) = 20 mV ms (exp(-t/tau_m) - exp(-t/tau_s))/(tau_m - tau_s). That is a membrane v
    with a current I, both reset; a synapse of weight w adds w EPSILON/tau_s to I. The spike rate is
    rho = rho0 exp((v - threshold)/delta_u).
    Parameters: tau_m 20 ms, tau_s 5 ms, v_reset -5 mV, rho0 60 Hz, threshold 16 mV, delta_u 5 mV.
    Source: Gerstner & Kistler (2002); numbers of gw.c, but for delta_u.
    """
    defaults = {"tau_m": 20 * ms, "tau_s": 5 * ms, "v_reset": -5 * mV}
    return NeuronModel(
        name="srm0",
        equations="dv/dt = (I - v)/tau_m : volt\ndI/dt = -I/tau_s : volt\nrho = rho0*exp((v - threshold)/delta_u) : Hz",
        threshold="rand() < 1 - exp(-rho*dt)",
        reset="v = v_reset\nI = 0*mV",
        parameters=with_changes("srm0", {**defaults, **_ESCAPE}, parameters),
        input="I",
        source="Gerstner & Kistler (2002)",
    )


def td_ltp(**parameters: Value) -> Rule:
    """dw/dt = eta delta [Y_i (X_j since t_i * epsilon)] * kappa: TD error times Hebbian LTP.

    Third factor: `delta`, in Hz. Parameters: eta 0.02 ms/mV, that is the paper's over tau_r; tau_m 20 ms, tau_s 5 ms
    and epsilon 20 mV ms of the neuron; tau_slow 200 ms, tau_fast 50 ms of kappa.
    Source: Frémaux, Sprekeler & Gerstner (2013), equation 17.
    """
    return Rule(
        name="td_ltp",
        equations="""
        dheard/dt = -heard/tau_m : 1 (event-driven)
        dfresh/dt = -fresh/tau_s : 1 (event-driven)
        dslow/dt = -slow/tau_slow : 1 (clock-driven)
        dfast/dt = -fast/tau_fast : 1 (clock-driven)
        """,
        on_pre="heard += 1\nfresh += 1",
        on_post="slow += heard - fresh\nfast += heard - fresh\nheard = 0\nfresh = 0",
        change="eta*delta*dt*epsilon/(tau_m - tau_s)*(slow - fast)/(tau_slow - tau_fast)",
        parameters=with_changes("td_ltp", {**_ARRIVAL, **_KAPPA, "eta": 0.02 * ms / mV}, parameters),
        source="Frémaux, Sprekeler & Gerstner (2013)",
    )


def r_max(**parameters: Value) -> Rule:
    """dw/dt = eta (r - baseline) z: reward times the gradient of the chance of what the neuron did.

    tau_e dz/dt = -z + (Y_i - rho_i) (X_j since t_i * epsilon)/delta_u. In a step, rho_i is the probability of a spike,
    so that z is 0 on average. Third factor: `r`, in Hz. Parameters: eta 0.02 ms, baseline 0 Hz, tau_e 200 ms, and
    tau_m, tau_s, epsilon, rho0, threshold and delta_u of the neuron, as in `srm0`.
    Source: Xie & Seung (2004), Pfister et al. (2006), Florian (2007). Chosen: eta and tau_e.
    """
    others = {"eta": 0.02 * ms, "baseline": 0 * Hz, "tau_e": 200 * ms, **_ESCAPE}
    return Rule(
        name="r_max",
        equations="""
        dheard/dt = -heard/tau_m : 1 (clock-driven)
        dfresh/dt = -fresh/tau_s : 1 (clock-driven)
        dz/dt = -z/tau_e : 1 (clock-driven)
        """,
        on_pre="heard += 1\nfresh += 1",
        on_post="z += heard - fresh\nheard = 0\nfresh = 0",
        regularly={"after_groups": "z -= (1 - exp(-rho0*exp((v_post - threshold)/delta_u)*dt))*(heard - fresh)"},
        change="eta*(r - baseline)*dt*epsilon/(tau_m - tau_s)/delta_u*z/tau_e",
        parameters=with_changes("r_max", {**_ARRIVAL, **others}, parameters),
        source="Xie & Seung (2004)",
    )


def td_error(critic: NeuronGroup, world: NeuronGroup, **parameters: Value) -> tuple[NeuronGroup, Synapses]:
    """Value and TD error of a critic, as a group of one neuron with `V` and `delta`, and the synapses to it.

    world: one neuron with the reward `r` in Hz, `present`, 1 or 0, and `plastic`, 1 or 0. While the agent is nowhere
    the value is not the critic's: it goes to 0 with tau_slow. While nothing is to be learnt delta is 0.
    Parameters: nu 2 s, V0 -40, tau_r 4 s, tau_slow 200 ms, tau_fast 50 ms.
    Source: Frémaux, Sprekeler & Gerstner (2013).
    """
    defaults = {**_KAPPA, "nu": 2 * second, "V0": -40.0, "tau_r": 4 * second}
    group = NeuronGroup(
        1,
        """dslow/dt = -slow/tau_slow : 1
        dfast/dt = -fast/tau_fast : 1
        read : 1
        V : 1
        delta : Hz
        r : Hz (linked)
        present : integer (linked)
        plastic : integer (linked)""",
        method="exact",
        namespace=with_changes("td_error", defaults, parameters),
        name="td_error*",
    )
    group.r, group.present, group.plastic = (linked_var(world, name) for name in ("r", "present", "plastic"))
    group.run_regularly(
        """before = read
        read = V0 + nu*(slow - fast)/(tau_slow - tau_fast)
        slope = present*(read - before)/dt - (1 - present)*V/tau_slow
        V = present*read + (1 - present)*V*exp(-dt/tau_slow)
        delta = plastic*(slope - V/tau_r + r)""",
        when="end",
        order=-1,  # before monitors, and before weights change
    )
    readout = Synapses(critic, group, on_pre=f"slow_post += {1 / len(critic)!r}\nfast_post += {1 / len(critic)!r}")
    readout.connect(i=np.arange(len(critic)), j=np.zeros(len(critic), int))
    return group, readout


def lateral(
    actor: NeuronGroup, *, inhibition: float = -300.0, excitation: float = 100.0, zeta: float = 8.0
) -> Synapses:
    """Synapses of a ring: neighbours excite each other, all inhibit all, so that one bump is active.

    w_ij = inhibition/N + excitation f_ij/sum_j f_ij, f_ij = exp(zeta cos(theta_i - theta_j)) for i != j.
    Form: Frémaux, Sprekeler & Gerstner (2013), figure 3B. Both strengths are chosen, so that there is one bump.
    """
    count = len(actor)
    pre, post = (~np.eye(count, dtype=bool)).nonzero()
    ring = np.exp(zeta * (np.cos(2 * np.pi * np.arange(1, count) / count) - 1))
    between = np.exp(zeta * (np.cos(2 * np.pi * (pre - post) / count) - 1))
    synapses = Synapses(actor, actor, "w : 1", on_pre="I_post += w*epsilon/tau_s", namespace=_passed(actor))
    synapses.connect(i=pre, j=post)
    synapses.w = inhibition / count + excitation * between / ring.sum()
    return synapses


def heading(
    actor: NeuronGroup, *, speed: Quantity = 1 * metre / second, **parameters: Value
) -> tuple[NeuronGroup, Synapses]:
    """Where a ring of neurons points: a group of one neuron with `vx` and `vy`, and the synapses to it.

    Each spike of neuron k of N adds the direction 2 pi k/N, filtered by (exp(-t/tau_slow) - exp(-t/tau_fast))/(tau_slow
    - tau_fast); speed: of a ring whose neurons all point in one direction and fire at 10 Hz.
    Parameters: tau_slow 50 ms, tau_fast 20 ms. Source: Frémaux, Sprekeler & Gerstner (2013).
    """
    defaults = {"tau_slow": 50 * ms, "tau_fast": 20 * ms}
    group = NeuronGroup(
        1,
        """dslow_x/dt = -slow_x/tau_slow : 1
        dfast_x/dt = -fast_x/tau_fast : 1
        dslow_y/dt = -slow_y/tau_slow : 1
        dfast_y/dt = -fast_y/tau_fast : 1
        vx : metre/second
        vy : metre/second""",
        method="exponential_euler",  # exact, too, where each decays alone, and found without a matrix
        namespace={**with_changes("heading", defaults, parameters), "way": speed / (10 * Hz)},
        name="heading*",
    )
    group.run_regularly(
        "vx = way*(slow_x - fast_x)/(tau_slow - tau_fast)\nvy = way*(slow_y - fast_y)/(tau_slow - tau_fast)", when="end"
    )
    count = len(actor)
    synapses = Synapses(
        actor,
        group,
        "across : 1 (constant)\nup : 1 (constant)",
        on_pre="slow_x_post += across\nfast_x_post += across\nslow_y_post += up\nfast_y_post += up",
    )
    synapses.connect(i=np.arange(count), j=np.zeros(count, int))
    angle = 2 * np.pi * np.arange(count) / count
    synapses.across, synapses.up = np.cos(angle) / count, np.sin(angle) / count
    return group, synapses


def excite(cells: NeuronGroup, target: NeuronGroup, weight: float, spread: float, *, name: str) -> Synapses:
    """Synapses from all cells to all of a target of `srm0`, with weights by chance: normal about `weight`."""
    synapses = Synapses(
        cells, target, "w : 1", on_pre="I_post += w*epsilon/tau_s", namespace=_passed(target), name=name
    )
    pre, post = np.indices((len(cells), len(target))).reshape(2, -1)
    synapses.connect(i=pre, j=post)
    synapses.w = f"{weight!r} + {spread!r}*randn()"
    return synapses


@dataclass(frozen=True, kw_only=True)
class ActorCritic:
    """A network and its parts: none of the actor on a track, none of the critic without one."""

    network: Network
    world: NeuronGroup
    place_cells: NeuronGroup
    actor: NeuronGroup | None
    td: NeuronGroup | None
    to_actor: Synapses | None
    to_critic: Synapses | None


def actor_critic(
    maze: Maze,
    *,
    method: Method = "TD-LTP",
    critics: int = 100,
    actors: int = 180,
    speed: Quantity = 80 * cm / second,
    eta_critic: Quantity = 0.1 * ms / mV,
    eta_actor: Quantity = 0.05 * ms / mV,
    eta_reward: Quantity = 0.06 * ms,
    tau_r: Quantity = 4 * second,
    critic_start: float = 1.0,
    critic_limits: tuple[float, float] = (0.75, 6.0),
    actor_limits: tuple[float, float] = (0.3, 3.0),
) -> ActorCritic:
    """An agent in a maze, which learns while the network runs; seed Brian2 for its chances.

    method: "TD-LTP" with a critic; "R-max" without one, with eta_reward. On a `Track` only the critic learns. speed: as
    in `heading`. critic_start: mean of the critic's first weights. critic_limits, actor_limits: of weights.
    From gw.c: numbers of neurons, tau_r. Chosen: speed, rates of learning, first weights, limits.

    The critic's first weights make a value of about 16 everywhere. As no reward comes, what is done is unlearnt, and
    the agent explores. Their lower limit keeps the value above 0. If walls made it negative, -V/tau_r would reward all
    that is done away from them; if it stayed far above 0, all weights of the actor would fall: the agent stands still.
    """
    if method not in get_args(Method):
        raise ParameterError(f"method is {method!r}, expected one of {list(get_args(Method))}")
    parts: list[BrianObject] = []
    actor = steering = to_actor = td = to_critic = None
    if isinstance(maze, Track):
        world = maze.world()
    else:
        actor = srm0(delta_u=2 * mV).group(actors, name="actor*")
        steering, reading = heading(actor, speed=speed)
        world = maze.world((steering.vx, steering.vy))
        parts += [actor, steering, reading, lateral(actor)]
    cells = maze.place_cells(world)
    if method == "TD-LTP":
        critic = srm0().group(critics, name="critic*")
        td, reading = td_error(critic, world, tau_r=tau_r)
        to_critic = excite(cells, critic, critic_start, 0.1, name="to_critic*")
        rule = attach(
            to_critic, td_ltp(eta=eta_critic), {"delta": td.delta}, limits=critic_limits, forget=world.restart
        )
        parts += [critic, td, reading, to_critic, rule]
    if actor is not None:
        to_actor = excite(cells, actor, 0.65, 0.1, name="to_actor*")
        if td is not None:
            rule, factors = td_ltp(eta=eta_actor), {"delta": td.delta}
        else:
            rule, factors = r_max(eta=eta_reward, delta_u=2 * mV), {"r": world.r}
        parts += [to_actor, attach(to_actor, rule, factors, limits=actor_limits, forget=world.restart)]
    return ActorCritic(
        network=Network(world, cells, *parts),
        world=world,
        place_cells=cells,
        actor=actor,
        td=td,
        to_actor=to_actor,
        to_critic=to_critic,
    )


def _passed(target: NeuronGroup) -> dict[str, Value]:
    return {"epsilon": EPSILON, "tau_s": target.namespace["tau_s"]}
