"""Temporal differences between what was expected and what came: a critic and actors that hear spikes, as Brian2 text.

The critic is one neuron. Its membrane is the value V of what is seen. At the end of each control interval it compares
V with what it was one interval ago, and what comes out is one number for all synapses, a neuromodulator (Sutton 1988):

    td_error = reward + gamma*V' - V;  at a terminal state, which is worth nothing, reward - V

The actors are neurons that spike by chance, at rho exp(u) (escape noise). Those of an action vote for it with their
spikes; the most votes of an interval win. A synapse keeps an eligibility z, which fades by gamma*trace_decay an
interval, and the neuromodulator turns it into change, w <- w + eta*td_error*z (Sutton & Barto 2018, section 13.5).
That is the rule `td_lambda`, for two trails:

    of the critic              z <- gamma*trace_decay*z + x
    of an actor of action a    z <- gamma*trace_decay*z + (chosen(a) - P(a))*x

x is the trail of the spikes that the synapse has heard. chosen(a) is 1 if the population chose the actor's action:
actors that learn from what all of them have decided, and not each from its own noise, learn faster the more they are
(Urbanczik & Senn 2009). P(a) is how probable that was. An episode's end makes all eligibility 0.

Whoever knows the reward writes `critic.reward`, `critic.ended` and `critic.truncated` between two intervals;
`choice.action` is up to date after every step:

    agent = actor_critic(eyes)
    network = Network(eyes, *agent.objects)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from brian2 import (
    BrianObject,
    Clock,
    NeuronGroup,
    Quantity,
    SpikeSource,
    Synapses,
    defaultclock,
    have_same_dimensions,
    ms,
    second,
)
from brian2.core.variables import VariableView
from numpy.typing import ArrayLike, NDArray

from dvs.errors import ParameterError
from learning.plasticity import Plasticity, Rule, attach
from snn.parameters import unit_words

Without = Literal["critic", "learning", "error", "decrease"]

# Where at "start" of a control interval: the world has moved before; monitors look after all of it.
WORLD_ORDER, ERROR_ORDER, _CHANGE_ORDER, RESTART_ORDER, WORLD_RESET_ORDER = -70, -60, -50, -40, -30


@dataclass(frozen=True, kw_only=True, eq=False)
class ActorCritic:
    """An agent: `objects` go into a Network.

    critic: one neuron; `value` and `td_error` to record, `reward`, `ended` and `truncated` to write. choice: one
    neuron; its `action` is a whole number from 0. features: a neuron for each one of the eyes, with the trail x of its
    spikes. actors: first those of action 0; an actor whose `alive` is 0 is silent. values, policy: the synapses from
    the features to the critic and to the actors, with weights `w`. values_learning, policy_learning: what changes
    these, with eligibility `z` and learning rate `eta`. clock: of the intervals.
    """

    critic: NeuronGroup
    choice: NeuronGroup
    features: NeuronGroup
    actors: NeuronGroup
    values: Synapses
    policy: Synapses
    values_learning: Plasticity
    policy_learning: Plasticity
    clock: Clock
    objects: tuple[BrianObject, ...]

    @property
    def interval(self) -> Quantity:
        """From one action to the next."""
        return self.clock.dt

    def ablation(self, without: Without) -> Mapping[VariableView, float]:
        """The variables that take something away, and their values: "critic", V stays 0; "learning"; "error", the
        neuromodulator is chance, +1 or -1; "decrease", it cannot fall below 0, as a rate cannot (Potjans, Diesmann &
        Morrison 2011).
        """
        if without not in get_args(Without):
            raise ParameterError(f"without is {without!r}, expected one of {list(get_args(Without))}")
        return {
            "critic": {self.values.gain: 0.0},
            "learning": {self.values_learning.eta: 0.0, self.policy_learning.eta: 0.0},
            "error": {self.critic.chance: 1.0},
            "decrease": {self.critic.rectified: 1.0},
        }[without]


def actor_critic(
    eyes: SpikeSource | Sequence[SpikeSource],
    actions: int = 2,
    *,
    weights: Sequence[ArrayLike] | None = None,
    interval: Quantity | Clock = 20 * ms,
    gamma: float = 0.98,
    trace_decay: float = 0.9,
    eta: float = 0.004,
    eta_value: float = 3e-4,
    largest: float = 0.5,
    actors_each: int = 20,
    rho: Quantity = 30 / second,
    tau: Quantity | Sequence[Quantity] = 20 * ms,
    name: str = "agent",
) -> ActorCritic:
    """An agent that hears the spikes of `eyes`, chooses one of `actions` an interval, and learns from reward.

    weights: what a spike of each of the eyes adds to a trail, one number for all of its neurons or one for each, 1 if
    none are given; many spikes of little weight are less noise than few of much. gamma: what a reward is worth if it
    comes one interval later. trace_decay: lambda of TD(lambda). eta, eta_value: learning rates of actors and critic;
    the critic's times the sum of all x**2 is to be well below 1 - gamma*lambda, or its error grows. largest: size of an
    actor's weight. actors_each: of each action. rho: rate of an actor that hears nothing. tau: of trails and of what
    they do to membranes; if not one for all, then given like weights.

    On Brian2's clock, whose dt divides `interval`. Raises ParameterError if a number is out of its range.
    """
    sources = list(eyes) if isinstance(eyes, Sequence) else [eyes]
    _check(actions, actors_each, interval, gamma, trace_decay, rho)
    each_weight = _of_each("weights", [1.0] * len(sources) if weights is None else weights, sources)
    tau_s = _of_each("tau", [tau] * len(sources) if isinstance(tau, Quantity) and tau.ndim == 0 else tau, sources)
    taus_s, part = np.unique(tau_s, return_inverse=True)
    clock = control_clock(interval)
    features, hearing = _features(sources, each_weight, tau_s, part, name)
    critic = td_error_neuron(interval=clock, gamma=gamma, tau=taus_s * second, name=f"{name}_critic")
    actors = NeuronGroup(
        actions * actors_each,
        f"""
        {_membrane("u", len(taus_s))}
        p : 1
        expected : 1
        will : 1
        option : integer (constant)
        alive : 1 (constant)
        """,
        threshold="rand() < p",
        reset="",
        method="exact",
        namespace={"rho": rho, **_taus(taus_s)},
        name=f"{name}_actors",
    )
    actors.option = np.repeat(np.arange(actions), actors_each)
    actors.alive = 1
    actors.run_regularly("p = alive*clip(rho*dt*exp(u), 0, 1)\nexpected += p", when="before_thresholds")
    choice, options, voting = _choice(actors, actions, clock, name)
    values, policy = (
        _all_to_all(features, target, _hearing(membrane, len(taus_s)), f"{name}_{what}")
        for target, membrane, what in ((critic, "value", "values"), (actors, "u", "policy"))
    )
    fade = gamma * trace_decay
    values_learning, policy_learning = (
        attach(
            synapses, td_lambda(eta=rate, fade=fade, trail=trail), {"dopamine": critic.dopamine},
            limits=limits, forget=critic.ended, dt=clock, when="start", order=_CHANGE_ORDER,
            name=f"{synapses.name}_learning",
        )
        for synapses, rate, trail, limits in (
            (values, eta_value, "x_pre", (None, None)),
            (policy, eta, "will_post*x_pre", (-largest, largest)),
        )
    )  # fmt: skip
    for group, code in ((features, "x *= going"), (actors, _times_going("u", len(taus_s)))):
        group.variables.add_reference("going", critic, "going", index="0")
        group.run_regularly(code, clock=clock, when="start", order=RESTART_ORDER)
    return ActorCritic(
        critic=critic, choice=choice, features=features, actors=actors, values=values, policy=policy, clock=clock,
        values_learning=values_learning, policy_learning=policy_learning,
        objects=(
            features, *hearing, critic, actors, options, choice, *voting, values, policy, values_learning,
            policy_learning,
        ),
    )  # fmt: skip


def td_lambda(*, eta: float, fade: float, trail: str = "x_pre") -> Rule:
    """TD(lambda) with accumulating traces, once an interval: w <- w + eta dopamine z, then z <- fade z + trail.

    Third factor: `dopamine`, the TD error. `eta` may be changed while the network runs. fade: gamma*lambda. trail: an
    expression, of what the synapse has heard, for a critic; times what the neuron has done, for an actor.
    Source: Sutton & Barto (2018), sections 12.2 and 13.5.
    """
    return Rule(
        name="td_lambda",
        equations="z : 1\neta : 1 (shared)",
        change="eta*dopamine*z",
        after_change=f"z = fade*z + {trail}",
        parameters={"fade": fade},
        start={"eta": eta},
        source="Sutton & Barto (2018)",
    )


def control_clock(interval: Quantity | Clock) -> Clock:
    """Of an interval, or the one that is given: what shares a clock is cheap."""
    return interval if isinstance(interval, Clock) else Clock(dt=interval)


def td_error_neuron(*, interval: Quantity | Clock, gamma: float, tau: Quantity, name: str = "critic*") -> NeuronGroup:
    """One neuron whose membrane `value` is what synapses have told it, and whose `td_error` is new every interval.

    tau: what is told to it fades so fast. If it is several, `value` is the sum of `value_0`, `value_1` ...
    Between two intervals somebody writes `reward`; `ended`, 1 if an episode ended; `truncated`, 1 if it ended for no
    reason of the world's, as at a limit of time: what is seen then still has its value. The first interval of an
    episode has no error: there is nothing to compare with. `going` is 0 in the step after an end, where membrane and
    traces become 0, else 1. `dopamine` is what synapses hear: the error; if `rectified` is 1, what is positive in it;
    if `chance` is 1, +1 or -1.
    """
    clock = control_clock(interval)
    taus_s = np.atleast_1d(tau / second)
    critic = NeuronGroup(
        1,
        f"""
        {_membrane("value", len(taus_s))}
        reward : 1
        ended : 1
        truncated : 1
        going : 1
        value_before : 1
        td_error : 1
        dopamine : 1
        rectified : 1
        chance : 1
        """,
        method="exact",
        namespace={"gamma": gamma, **_taus(taus_s)},
        name=name,
    )
    critic.run_regularly(
        """
        td_error = going*(reward + gamma*value*(1 - ended*(1 - truncated)) - value_before)
        dopamine = td_error*int(td_error > 0 or rectified == 0)
        dopamine = chance*(2*int(rand() < 0.5) - 1) + (1 - chance)*dopamine
        value_before = value
        going = 1 - ended
        """,
        clock=clock,
        when="start",
        order=ERROR_ORDER,
    )
    critic.run_regularly(_times_going("value", len(taus_s)), clock=clock, when="start", order=RESTART_ORDER)
    return critic


def _all_to_all(source: NeuronGroup, target: NeuronGroup, on_pre: str, name: str) -> Synapses:
    synapses = Synapses(source, target, "w : 1\ngain : 1 (shared)", on_pre=on_pre, name=name)
    pre, post = np.indices((len(source), len(target))).reshape(2, -1)
    synapses.connect(i=pre, j=post)
    synapses.gain = 1
    return synapses


def _parts(variable: str, n: int) -> list[str]:
    return [variable] if n == 1 else [f"{variable}_{k}" for k in range(n)]


def _membrane(variable: str, n: int) -> str:
    """Equations of a membrane that is the sum of what fades with tau_0, with tau_1 ..."""
    parts = _parts(variable, n)
    lines = [f"d{one}/dt = -{one}/tau_{k} : 1" for k, one in enumerate(parts)]
    return "\n".join(lines + [f"{variable} = {' + '.join(parts)} : 1"] * (n > 1))


def _hearing(variable: str, n: int) -> str:
    parts = enumerate(_parts(variable, n))
    return "\n".join(f"{one}_post += int(part_pre == {k})*gain*weight_pre*w" for k, one in parts)


def _times_going(variable: str, n: int) -> str:
    return "\n".join(f"{one} *= going" for one in _parts(variable, n))


def _taus(taus_s: NDArray) -> dict[str, Quantity]:
    return {f"tau_{k}": one * second for k, one in enumerate(taus_s)}


def _of_each(name: str, given: Sequence[ArrayLike], sources: Sequence[SpikeSource]) -> NDArray[np.float64]:
    """One number for each neuron of all sources."""
    if len(given) != len(sources):
        raise ParameterError(f"{name} are {len(given)}, expected one for each of {len(sources)} sources")
    return np.concatenate([np.broadcast_to(one, len(source)) for one, source in zip(given, sources, strict=True)])


def _features(
    sources: Sequence[SpikeSource], weights: NDArray, tau_s: NDArray, part: NDArray, name: str
) -> tuple[NeuronGroup, list[Synapses]]:
    """A neuron for each of all sources, which repeats its spikes one step later and keeps their trail."""
    features = NeuronGroup(
        sum(len(source) for source in sources),
        """
        dx/dt = -x/tau : 1
        heard : 1
        weight : 1 (constant)
        tau : second (constant)
        part : integer (constant)
        """,
        threshold="heard > 0",
        reset="x += weight\nheard -= 1",  # what comes in this very step is heard already, and waits
        method="exact",
        name=f"{name}_features",
    )
    features.weight, features.tau, features.part = weights, tau_s * second, part
    hearing, first = [], 0
    for number, source in enumerate(sources):
        one_to_one = Synapses(source, features, on_pre="heard_post += 1", name=f"{name}_hearing_{number}")
        pre = np.arange(len(source))
        one_to_one.connect(i=pre, j=first + pre)
        hearing.append(one_to_one)
        first += len(source)
    return features, hearing


def _choice(
    actors: NeuronGroup, actions: int, clock: Clock, name: str
) -> tuple[NeuronGroup, NeuronGroup, list[Synapses]]:
    """One neuron that knows the action with the most votes, and one an action that counts its votes.

    A tie is broken by the half vote or less that each begins with. Votes are sums of many chances; that those of one
    action are more than those of another is a probit of the difference over its spread, and a logistic function of 1.7
    times it is that within 0.01.
    """
    options = NeuronGroup(actions, "votes : 1\nexpected : 1\nwill : 1", name=f"{name}_options")
    each = range(actions)
    choice = NeuronGroup(
        1,
        "action : 1\nmost : 1\nscale : 1\nall : 1\n" + "\n".join(f"option_{k} : integer (constant)" for k in each),
        name=f"{name}_choice",
    )
    for k in each:
        setattr(choice, f"option_{k}", k)
        for variable in ("votes", "expected"):
            choice.variables.add_reference(f"{variable}_{k}", options, variable, index=f"option_{k}")
    code = ["action = 0", "most = votes_0"]
    for k in each[1:]:
        code += [
            f"action = int(votes_{k} > most)*{k} + int(votes_{k} <= most)*action",
            f"most = clip(most, votes_{k}, inf)",
        ]
    choice.run_regularly("\n".join(code), when="end")
    at_start = {"clock": clock, "when": "start"}
    choice.run_regularly(
        f"scale = 1.7/sqrt(1e-9 + {' + '.join(f'expected_{k}' for k in each)})\n"
        f"all = {' + '.join(f'exp(scale*expected_{k})' for k in each)}",
        **at_start,
        order=_CHANGE_ORDER - 3,
    )
    for variable in ("action", "scale", "all"):
        options.variables.add_reference(variable, choice, variable, index="0")
    options.run_regularly("will = int(i == action) - exp(scale*expected)/all", **at_start, order=_CHANGE_ORDER - 2)
    options.run_regularly("votes = 0.5*rand()", **at_start, order=RESTART_ORDER)
    actors.variables.add_reference("will_of_option", options, "will", index="option")
    actors.run_regularly("will = will_of_option\nexpected = 0", **at_start, order=_CHANGE_ORDER - 1)
    votes = Synapses(actors, options, on_pre="votes_post += 1", name=f"{name}_votes")
    expectation = Synapses(
        actors, options, "expected_post = expected_pre : 1 (summed)", clock=clock, name=f"{name}_expectation"
    )
    for synapses in (votes, expectation):
        synapses.connect(i=np.arange(len(actors)), j=np.repeat(np.arange(actions), len(actors) // actions))
    updater = expectation.summed_updaters["expected_post"]
    updater.when, updater.order = "start", _CHANGE_ORDER - 4
    return choice, options, [votes, expectation]


def _check(
    actions: int, actors_each: int, interval: Quantity | Clock, gamma: float, trace_decay: float, rho: Quantity
) -> None:
    interval = interval.dt if isinstance(interval, Clock) else interval
    for name, number, least in (("actions", actions, 2), ("actors_each", actors_each, 1)):
        if number != int(number) or number < least:
            raise ParameterError(f"{name} is {number}, expected a whole number, {least} or more")
    for name, share in (("gamma", gamma), ("trace_decay", trace_decay)):
        if not 0 <= share <= 1:
            raise ParameterError(f"{name} is {share}, expected a share from 0 to 1")
    if not have_same_dimensions(rho, 1 / second):
        raise ParameterError(f"rho is {unit_words(rho)}, expected a rate")
    steps = float(interval / defaultclock.dt) if have_same_dimensions(interval, second) else 0
    if round(steps) < 2 or abs(steps - round(steps)) > 1e-6:
        raise ParameterError(f"interval is {interval}, expected two or more whole steps of {defaultclock.dt}")
