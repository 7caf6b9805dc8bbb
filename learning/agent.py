"""An agent that lives in an environment and knows of it only what an event camera sees: eyes, retina, actor and critic.

    events -> wide-field cells -> retina -> actors and critic -> action, and a TD error for all synapses

Wide-field cells sum the events of many pixels, each with a weight, ON as +1 and OFF as -1, like those of a fly's lobula
plate (Krapp & Hengstenberg 1996). With a weight that grows across the picture the sum is how far things have moved, and
its sign the direction. Each sum is kept twice: one fades soon, which is motion, one late, which is where things are. A
retina's cells spike at the rate of one of them or of its negative, divided by how strong all are together (Carandini &
Heeger 2012, "Normalization as a canonical neural computation"). Beside them are cells that tell what has just been
done, an efference copy (von Holst & Mittelstaedt 1950), which soon fades: how an action has changed the motion is not
seen yet when the next one is chosen. What all these say is heard by the actors and the critic of `learning.td`, which
learn while the network runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import Network, NeuronGroup, Quantity, Synapses, ms, second
from brian2 import seed as seed_brian
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from dvs.events import EventArray
from learning.progress import training_bar
from learning.td import RESTART_ORDER, ActorCritic, actor_critic
from snn.inputs import EventInput
from snn.spikes import SpikeTrains
from snn.stepper import Stepper

if TYPE_CHECKING:
    from learning.event_env import EventEnv


# What an action counts in the step after the next, of what it counts in the next.
_DEED_KEPT = 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class WideFields:
    """What wide-field cells sum: weights (cells, height, width) of the pixels; each sum fades twice.

    where_gain, motion_gain: (cells,) what makes the late and the soon fading sum about 1. where_tau, motion_tau: their
    time constants.
    """

    weights: NDArray[np.float64]
    where_gain: NDArray[np.float64]
    motion_gain: NDArray[np.float64]
    where_tau: Quantity = field(default_factory=lambda: 2 * second)
    motion_tau: Quantity = field(default_factory=lambda: 30 * ms)

    def __post_init__(self) -> None:
        if self.weights.ndim != 3 or {self.where_gain.shape, self.motion_gain.shape} != {(len(self.weights),)}:
            raise ParameterError(
                f"weights, where_gain and motion_gain have shapes {self.weights.shape}, {self.where_gain.shape} and "
                f"{self.motion_gain.shape}, expected (cells, height, width) and twice (cells,)"
            )


def ramps(width: int, height: int, bands: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Weights (bands, height, width) that rise from -1 on the left to 1 on the right, in rows [top, bottom) of each.

    >>> ramps(3, 2, [(0, 1)]).tolist()
    [[[-1.0, 0.0, 1.0], [-0.0, 0.0, 0.0]]]
    """
    rows = np.arange(height)[:, None]
    for top, bottom in bands:
        if not 0 <= top < bottom <= height:
            raise ParameterError(f"a band is ({top}, {bottom}), expected rows from 0 to {height}, the upper one first")
    return np.stack([np.linspace(-1, 1, width) * ((rows >= top) & (rows < bottom)) for top, bottom in bands])


def decorrelated(
    env: "EventEnv",
    weights: NDArray[np.float64],
    *,
    where_tau: Quantity = 2 * second,
    motion_tau: Quantity = 30 * ms,
    steps: int = 1500,
    seed: int = 0,
) -> WideFields:
    """Wide-field cells that say different things: weights mixed so that their sums are uncorrelated and of size 1.

    The environment is watched while random actions are taken, and the late fading sums are whitened by their principal
    components, as retinas do with natural scenes (Atick & Redlich 1992). Reward has no part in it. weights: (cells,
    height, width). Raises InputError if one of the cells then sees nothing new.
    """
    fades = np.exp(-env.step_us * 1e-6 / np.array([[float(where_tau)], [float(motion_tau)]]))
    rng = np.random.default_rng(seed)
    env.action_space.seed(int(rng.integers(2**31)))
    events, _ = env.reset(seed=int(rng.integers(2**31)))
    sums, seen = np.zeros((2, len(weights))), []
    for _ in range(steps):
        events, _, terminated, truncated, _ = env.step(env.action_space.sample())
        signs = 2.0 * events["p"] - 1
        sums = fades * sums + weights[:, events["y"], events["x"]] @ signs
        seen.append(sums)
        if terminated or truncated:
            env.reset()
            sums = np.zeros_like(sums)
    where, motion = np.array(seen).transpose(1, 0, 2)
    spread = where.std(axis=0)
    if not spread.all():
        raise InputError(
            f"wide-field cell {int(np.argmin(spread))} saw no event in {steps} steps; give it other pixels"
        )
    variance, components = np.linalg.eigh(np.cov((where / spread).T).reshape(2 * (len(weights),)))
    if variance[0] < 1e-6:
        raise InputError(f"{len(weights)} wide-field cells see the same: a sum of them is always 0; give fewer")
    mix = (components / np.sqrt(variance)).T / spread
    return WideFields(
        weights=np.tensordot(mix, weights, 1),
        where_gain=np.ones(len(weights)),
        motion_gain=1 / (motion @ mix.T).std(axis=0),
        where_tau=where_tau,
        motion_tau=motion_tau,
    )


class EventAgent:
    """A spiking network that is shown events and says what to do; it learns as it goes.

    fields: its wide-field cells, for a camera of their size. actions: how many there are. interval: how long it
    thinks, one step of the environment. copies: cells of the retina for each sign of each sum; their phases are
    spread. rate: of a cell whose sum is 1. efference: of an action that begins, in such units; 0: the agent does
    not know what it does. strength: what sums are divided by is 1 where their squares add up to much less than
    this. focus: while it grows older by so much, what the retina tells the actors becomes stronger by what it was
    at first, so that chance, which they learn from, decides less and less (the gain of Aston-Jones & Cohen 2005);
    None: always the same. settle: while it grows older by so much, its actors' learning rate falls to a half of
    what it was at first, then to a third, and so on; None: never. record: names of groups whose spikes are kept in
    `spikes`: "retina", "agent_actors". Other options are those of `learning.td.actor_critic`.

    `network` is an ordinary Brian2 network on Brian2's clock (1 ms is fine); `brain` its actors and critic.
    """

    def __init__(
        self,
        fields: WideFields,
        actions: int = 2,
        *,
        interval: Quantity = 20 * ms,
        copies: int = 5,
        rate: Quantity = 100 / second,
        strength: float = 4.0,
        efference: float = 1.0,
        focus: Quantity | None = None,
        settle: Quantity | None = None,
        record: Sequence[str] = (),
        **options: Any,
    ) -> None:
        cells, height, width = fields.weights.shape
        self.fields = fields
        self.eyes = EventInput(width=width, height=height, collisions="count", name="eyes")
        sums = NeuronGroup(
            2 * cells, "dm/dt = -m/tau : 1\ntau : second (constant)\ngain : 1 (constant)", method="exact", name="sums"
        )
        sums.tau = np.repeat([float(fields.where_tau), float(fields.motion_tau)], cells) * second
        sums.gain = np.concatenate([fields.where_gain, fields.motion_gain])
        seeing = _seeing(self.eyes, sums, fields.weights)
        pool = NeuronGroup(1, "energy : 1", name="pool")
        pooling = Synapses(sums, pool, "energy_post = (gain_pre*m_pre)**2 : 1 (summed)", name="pooling")
        pooling.connect()
        deeds = NeuronGroup(actions, "m : 1", name="deeds")
        retina = _retina(sums, pool, deeds, copies, rate, strength, efference)
        self.brain: ActorCritic = actor_critic(retina, actions, interval=interval, **options)
        sums.variables.add_reference("going", self.brain.critic, "going", index="0")
        sums.run_regularly("m *= going", dt=interval, when="start", order=RESTART_ORDER)
        self.network = Network(self.eyes.group, sums, seeing, pool, pooling, deeds, retina, *self.brain.objects)
        self._stepper = Stepper(self.network, input=self.eyes, interval=interval, record=record, namespace={})
        self._focus_s, self._settle_s = (np.inf if age is None else float(age) for age in (focus, settle))
        self._settled = 1.0
        self._gain = self.brain.policy.variables["gain"].get_value()
        self._eta = self.brain.policy_learning.variables["eta"].get_value()
        self._deeds = deeds.variables["m"].get_value()
        self.recorded = tuple(record)
        self.spikes: Mapping[str, SpikeTrains] = {}

    def act(
        self,
        events: EventArray,
        reward: float = 0.0,
        terminated: bool = False,
        truncated: bool = False,
        *,
        since_us: int = 0,
    ) -> int:
        """Hear what the last step of the environment brought, and say what to do next.

        events: of one interval, which began at `since_us`. The reward came in the same interval. When an episode has
        ended the answer means nothing; the next call begins a new one.
        """
        relative = events.copy()
        relative["t"] -= since_us
        now_s = float(self._stepper.t)
        self._gain[0] = 1 + now_s / self._focus_s
        settled = 1 + now_s / self._settle_s
        self._eta[0] *= self._settled / settled
        self._settled = settled
        self.spikes = self._stepper.step(relative)
        # The critic compares at the beginning of the next interval, when it has heard the events.
        self._tell(reward, terminated or truncated, truncated)
        action = int(self.brain.choice.variables["action"].get_value()[0])
        self._deeds *= 0 if terminated or truncated else _DEED_KEPT
        self._deeds[action] += not (terminated or truncated)
        return action

    def begin(self) -> None:
        """Let the next call of `act` begin a new episode; the last one counts as cut short, wherever it was."""
        self._tell(0.0, True, True)
        self._deeds *= 0

    def _tell(self, reward: float, ended: bool, truncated: bool) -> None:
        """What the critic is to know when it compares next."""
        for name, value in (("reward", reward), ("ended", ended), ("truncated", truncated)):
            self.brain.critic.variables[name].get_value()[0] = value

    @property
    def value(self) -> float:
        """What the critic expects now."""
        return float(self.brain.critic.variables["value"].get_value()[0])

    @property
    def td_error(self) -> float:
        """The error at the beginning of the last interval."""
        return float(self.brain.critic.variables["td_error"].get_value()[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Life:
    """The episodes that an agent lived through, in order: how long each was, and the sum of its rewards."""

    lengths: NDArray[np.int64]
    returns: NDArray[np.float64]

    def last(self, episodes: int = 20) -> float:
        """Mean length of the last episodes."""
        return float(self.lengths[-episodes:].mean()) if self.lengths.size else 0.0


def train(
    env: "EventEnv",
    agent: EventAgent,
    steps: int,
    *,
    seed: int = 0,
    watch: Callable[[EventAgent, EventArray, dict[str, Any]], None] | None = None,
    progress: bool = True,
) -> Life:
    """Let the agent live for so many steps of the environment; an episode that they cut short is not counted.

    seed: of the environment's beginnings and of the network's chance (Brian2's generator). watch: called after each
    step with the agent, the events it saw and the step's info. progress: a bar on a terminal or in a notebook.
    """
    seed_brian(seed)
    lengths: list[int] = []
    returns: list[float] = []
    events, info = env.reset(seed=seed)
    agent.begin()
    action, length, total = agent.act(events, since_us=info["since_us"] if events.size else 0), 0, 0.0
    with training_bar(steps, 0, progress) as advance:
        for _ in range(steps):
            events, reward, terminated, truncated, info = env.step(action)
            action = agent.act(events, float(reward), terminated, truncated, since_us=info["since_us"])
            length, total = length + 1, total + float(reward)
            if watch is not None:
                watch(agent, events, info)
            if terminated or truncated:
                lengths.append(length)
                returns.append(total)
                events, info = env.reset()
                action, length, total = agent.act(events), 0, 0.0
            recent = f"{np.mean(lengths[-20:]):.0f} steps each, of late" if lengths else ""
            advance(f"episode {len(lengths) + 1}", recent)
    return _life(lengths, returns)


def _life(lengths: ArrayLike, returns: ArrayLike) -> Life:
    return Life(lengths=np.array(lengths, np.int64), returns=np.array(returns, np.float64))


def _seeing(eyes: EventInput, sums: NeuronGroup, weights: NDArray[np.float64]) -> Synapses:
    """ON events raise a sum by the weight of their pixel, OFF events lower it."""
    p, y, x = eyes.channels.coordinates()
    signed = weights[:, y, x] * (2 * p - 1)
    cell, channel = np.nonzero(signed)
    seeing = Synapses(eyes.group, sums, "w : 1 (constant)", on_pre="m_post += w*count_pre", name="seeing")
    both = np.concatenate([cell, cell + len(weights)])
    seeing.connect(i=np.tile(channel, 2), j=both)
    seeing.w = np.tile(signed[cell, channel], 2)
    return seeing


def _retina(
    sums: NeuronGroup,
    pool: NeuronGroup,
    deeds: NeuronGroup,
    copies: int,
    rate: Quantity,
    strength: float,
    efference: float,
) -> NeuronGroup:
    """Cells that spike regularly at the rate of a normalised sum or of its negative; then those that always do so at
    `rate`; then those that tell what was done.
    """
    if copies < 1:
        raise ParameterError(f"copies is {copies}, expected at least 1")
    count, actions = len(sums), len(deeds)
    kinds = 2 * count + 1 + actions
    retina = NeuronGroup(
        kinds * copies,
        """
        phase : 1
        side : 1 (constant)
        always : 1 (constant)
        told : 1 (constant)
        of_sum : integer (constant)
        of_deed : integer (constant)
        """,
        threshold="phase >= 1",
        reset="phase -= 1",
        namespace={"rate": rate, "strength": strength},
        name="retina",
    )
    retina.side = np.repeat([*np.tile([1, -1], count), *np.zeros(1 + actions)], copies)
    retina.always = np.repeat([*np.zeros(2 * count), 1, *np.zeros(actions)], copies)
    retina.told = np.repeat([*np.zeros(2 * count + 1), *np.full(actions, efference)], copies)
    retina.of_sum = np.repeat([*np.repeat(np.arange(count), 2), *np.zeros(1 + actions, int)], copies)
    retina.of_deed = np.repeat([*np.zeros(2 * count + 1, int), *np.arange(actions)], copies)
    retina.phase = np.tile((np.arange(copies) + 0.5) / copies, kinds)
    for name in ("m", "gain"):
        retina.variables.add_reference(name, sums, name, index="of_sum")
    retina.variables.add_reference("deed", deeds, "m", index="of_deed")
    retina.variables.add_reference("energy", pool, "energy", index="0")
    retina.run_regularly(
        "phase += rate*dt*(always + told*deed + clip(side*gain*m, 0, inf)/sqrt(1 + energy/strength))",
        when="before_thresholds",
    )
    return retina
