"""Wake, sleep, dream: a machine of spiking neurons learns what it sees, and goes on with its eyes closed.

Awake, the visible neurons are held to a picture and its label; asleep, nothing comes in and the machine goes on by
itself. A synapse grows by how often its two neurons are on together awake, and shrinks by how often they are asleep:

    dw = eta phase z_pre z_post in each step,   phase +1 awake, -1 asleep, 0 while the neurons settle

That is a rule of three factors, and what it climbs is the probability that the machine, asleep, gives to what it saw
awake: Ackley, Hinton & Sejnowski (1985), "A learning algorithm for Boltzmann machines", Cogn. Sci. 9:147. With this
gate and spikes it is event-driven contrastive divergence, Neftci, Das, Pedroni, Kreutz-Delgado & Cauwenberghs (2014),
Front. Neurosci. 7:272; but that each dream goes on where the last one stopped, Tieleman (2008). Neurons and couplings
are those of `learning.sampling`, in two layers; biases are synapses, too, from a neuron in each layer that is always
on. All of this runs inside Brian2; NumPy prepares the table of pictures and reads weights and spikes afterwards.

    machine = newborn(seen, hidden=100)
    machine = train(machine, seen, Schedule(days=40_000), seed=0)
    z = dream(machine, known, seed=0)

seen (N, visible) has one picture a row: the probabilities with which visible neurons are on, such as grey pixels from
0 to 1, and behind them the label as a code. `known` says in the same way what a dream is about: 0, 1, or NaN for
what is free.
"""

from dataclasses import dataclass

import numpy as np
from brian2 import Network, NeuronGroup, SpikeMonitor, Synapses, TimedArray, defaultclock
from brian2 import seed as seed_brian
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from learning.plasticity import Rule, attach
from learning.sampling import CLAMP, clamp, couple_layers, sampling_neurons
from snn.seeds import random_state_kept


def wake_sleep(*, eta: float) -> Rule:
    """The rule dw = eta rate phase z_pre z_post, in each step, with two third factors.

    phase: +1 awake, -1 asleep. rate: 1 for a young machine, less for an old one. Summed over time, z_pre z_post is by
    how much the two rectangles overlap that follow a pair of spikes: tau - |t_pre - t_post|, a window that is the same
    whoever spikes first. Ackley, Hinton & Sejnowski (1985); with such a window and gate Neftci et al. (2014).
    """
    return Rule(
        name="wake_sleep",
        change="eta*rate*phase*z_pre*z_post",
        parameters={"eta": eta},
        source="Ackley, Hinton & Sejnowski (1985); Neftci et al. (2014)",
    )


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Days of a machine, in steps of Brian2's clock.

    days: how many pictures it sees; each is seen for `half` steps, and then it sleeps for as many. In the first
    `settle` of each half nothing is learnt. tau: for how many steps a spike keeps a neuron on. eta: by how much a day
    changes the weight of two neurons that are always on when awake, never when asleep. last: what is left of eta on
    the last day; it falls exponentially. unlearns: False leaves out what a night does to the weights.
    """

    days: int
    half: int = 8
    settle: int = 4
    tau: int = 4
    eta: float = 0.02
    last: float = 0.025
    unlearns: bool = True

    def __post_init__(self) -> None:
        if not (self.days >= 1 and 0 <= self.settle < self.half and self.tau >= 1):
            raise ParameterError(
                f"schedule has {self.days} days, halves of {self.half}, settle {self.settle}, tau {self.tau}; expected "
                "a day, settle shorter than a half, and tau at least 1"
            )
        if not (self.eta >= 0 and 0 < self.last <= 1):
            raise ParameterError(f"eta is {self.eta} and last {self.last}, expected 0 or more, and above 0 to 1")

    @property
    def steps(self) -> int:
        """Of all days and nights."""
        return 2 * self.half * self.days


@dataclass(frozen=True, kw_only=True, eq=False)
class Machine:
    """A restricted Boltzmann machine: weights (visible, hidden), and the biases of both layers."""

    weights: NDArray[np.float64]
    visible: NDArray[np.float64]
    hidden: NDArray[np.float64]

    def synapses(self) -> NDArray[np.float64]:
        """(visible + 1, hidden + 1): the biases are the weights of a last neuron of the other layer, always on."""
        return np.block([[self.weights, self.visible[:, None]], [self.hidden[None], np.zeros((1, 1))]])

    def free_energy(self, visible: ArrayLike) -> NDArray[np.float64]:
        """F (N,) of visible states (N, visible): p(v) = exp(-F(v)) / Z, the hidden neurons summed over."""
        visible = np.asarray(visible, float)
        return -visible @ self.visible - np.logaddexp(0, visible @ self.weights + self.hidden).sum(axis=1)

    def classify(self, pictures: ArrayLike, codes: ArrayLike) -> NDArray[np.float64]:
        """How probable each label is, (N, classes), given pictures (N, pixels); codes (classes, label neurons)."""
        pictures, codes = np.asarray(pictures, float), np.asarray(codes, float)
        asked = [
            -self.free_energy(np.hstack([pictures, np.broadcast_to(code, (len(pictures), len(code)))]))
            for code in codes
        ]
        log_p = np.stack(asked, axis=1)
        p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


def newborn(seen: ArrayLike, hidden: int, *, seed: int = 0) -> Machine:
    """A machine that knows the mean picture only: biases of pixels and label, and small random weights (sd 0.01)."""
    mean = _table(seen).mean(axis=0).clip(0.01, 0.99)
    weights = 0.01 * np.random.default_rng(seed).standard_normal((len(mean), hidden))
    return Machine(weights=weights, visible=np.log(mean / (1 - mean)), hidden=np.full(hidden, -1.0))


def days_and_nights(machine: Machine, seen: ArrayLike, schedule: Schedule) -> tuple[Network, Synapses]:
    """The network that sees a random row of `seen` by day and dreams by night, and the synapses that learn.

    Its groups are "day", one neuron with the third factors phase and rate; "below", the visible, and "above", the
    hidden layer. Run it for schedule.steps steps.
    """
    seen = _table(seen, machine)
    dt, half = defaultclock.dt, schedule.half * defaultclock.dt
    day = NeuronGroup(1, "awake : integer\nphase : 1\nrate : 1\npicture : integer", name="day")
    phase = "2*awake - 1" if schedule.unlearns else "awake"
    day.run_regularly(
        f"awake = int(t_in_timesteps % {2 * schedule.half} < {schedule.half})\n"
        f"phase = ({phase})*int(t_in_timesteps % {schedule.half} >= {schedule.settle})\n"
        f"rate = exp({float(np.log(schedule.last)) / schedule.steps}*t_in_timesteps)",
        when="start",
        name="day_phase",
    )
    day.run_regularly(f"picture = int(rand()*{len(seen)})", dt=2 * half, when="start", name="day_picture")

    below, above = _layers(machine, schedule.tau, more="dreamt : integer\non : integer")
    for layer in (below, above):
        layer.variables.add_reference("awake", day, "awake", index="0")
        layer.variables.add_reference("picture", day, "picture", index="0")
    # The neuron that is always on sees an "on" pixel, by night, too.
    below.namespace["shown"] = TimedArray(np.hstack([seen, np.ones((len(seen), 1))]), dt=dt, name="shown")
    below.run_regularly(
        "dreamt = awake*zeta + (1 - awake)*dreamt\n"
        "on = int(rand() < shown((picture + 0.5)*dt, i))\n"
        "zeta = awake*on*tau + (1 - awake)*dreamt\n"
        f"drive = {CLAMP}*(2*on - 1)*int(awake == 1 or i == N - 1)",
        dt=half,
        when="start",
        order=1,
        name="below_eyes",
    )
    above.run_regularly(
        "dreamt = awake*zeta + (1 - awake)*dreamt\nzeta = awake*zeta + (1 - awake)*dreamt",
        dt=half,
        when="start",
        order=1,
        name="above_eyes",
    )
    couplings = couple_layers(below, above, machine.synapses(), name="couplings")
    rule = wake_sleep(eta=schedule.eta / (schedule.half - schedule.settle))
    plasticity = attach(couplings, rule, {"phase": day.phase, "rate": day.rate}, name="plasticity")
    return Network(day, below, above, couplings, plasticity), couplings


def train(machine: Machine, seen: ArrayLike, schedule: Schedule, *, seed: int = 0) -> Machine:
    """The machine after its days and nights, run in Brian2."""
    network, couplings = days_and_nights(machine, seen, schedule)
    with random_state_kept(seed):
        seed_brian(seed)
        network.run(schedule.steps * defaultclock.dt, namespace={})
    learnt = np.array(couplings.w[:]).reshape(machine.synapses().shape)
    return Machine(weights=learnt[:-1, :-1], visible=learnt[:-1, -1], hidden=learnt[-1, :-1])


def dream(
    machine: Machine,
    known: ArrayLike,
    *,
    steps: int = 300,
    tau: int = 4,
    hot: float = 3.0,
    seed: int = 0,
) -> NDArray[np.int8]:
    """What the visible neurons do in dreams, one after the other: z (dreams, steps, visible), run in Brian2.

    known (dreams, visible): 0 or 1 for neurons that are held, such as those of a label; NaN for all others, to which
    nothing comes in. Each dream begins hot, at temperature `hot`, cools down for 0.7 of its steps, and then wanders at
    temperature 1, that of learning; hot=1 lets it wander from the start.
    """
    known = np.asarray(known, float)
    if known.ndim != 2 or known.shape[1] != len(machine.visible):
        raise InputError(
            f"known has shape {known.shape}, expected (dreams, {len(machine.visible)}), NaN for what is free"
        )
    if not (steps >= 1 and hot >= 1):
        raise ParameterError(f"dreams of {steps} steps from temperature {hot}, expected at least 1 and 1")
    dt, pixels = defaultclock.dt, known.shape[1]
    temperature = f"1 + {hot - 1}*clip(1 - (t_in_timesteps % {steps})/{0.7 * steps}, 0, 1)**2"
    below, above = _layers(machine, tau, temperature=temperature)
    drive = np.nan_to_num(CLAMP * (2 * known - 1))
    told = TimedArray(np.hstack([drive, np.full((len(known), 1), CLAMP)]), dt=steps * dt, name="told")
    below.namespace["told"] = told
    below.run_regularly("drive = told(t + 0.5*dt, i)", dt=steps * dt, when="start", name="below_told")
    couplings = couple_layers(below, above, machine.synapses(), name="couplings")
    spikes = SpikeMonitor(below, name="spikes")
    with random_state_kept(seed):
        seed_brian(seed)
        Network(below, above, couplings, spikes).run(len(known) * steps * dt, namespace={})
    step, neuron = np.rint(np.asarray(spikes.t / dt)).astype(int), np.asarray(spikes.i)
    z = np.zeros((len(known) * steps + tau, pixels + 1), np.int8)
    for later in range(tau):
        z[step + later, neuron] = 1
    return z[: len(known) * steps, :pixels].reshape(len(known), steps, pixels)


def rates(z: ArrayLike, window: int) -> NDArray[np.float64]:
    """For how much of the last `window` steps each neuron was on; z and the answer (..., steps, neurons).

    >>> rates([[0], [1], [1], [0]], window=2).ravel().tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    total = np.cumsum(np.asarray(z, float), axis=-2)
    total[..., window:, :] -= total[..., :-window, :].copy()
    return total / window


def film(grey: ArrayLike, *, scale: int = 4) -> NDArray[np.float64]:
    """Frames (T, scale*side, scale*side) of pictures (T, side*side), linear light from 0.1 (off) to 0.9 (on)."""
    grey = np.asarray(grey, float)
    side = round(grey.shape[1] ** 0.5)
    if side * side != grey.shape[1]:
        raise InputError(f"pictures have {grey.shape[1]} pixels, expected a square number")
    return np.kron(0.1 + 0.8 * grey.reshape(-1, side, side), np.ones((1, scale, scale)))


def _layers(machine: Machine, tau: int, **options: str) -> tuple[NeuronGroup, NeuronGroup]:
    """Both layers, each with a last neuron that is always on."""
    layers = []
    for place, (name, biases) in enumerate((("below", machine.visible), ("above", machine.hidden))):
        layer = sampling_neurons(len(biases) + 1, tau=tau, place=place, name=name, **options)
        clamp(layer, [len(biases)], 1)
        layers.append(layer)
    return layers[0], layers[1]


def _table(seen: ArrayLike, machine: Machine | None = None) -> NDArray[np.float64]:
    seen = np.asarray(seen, float)
    if seen.ndim != 2 or not len(seen) or not ((seen >= 0) & (seen <= 1)).all():
        raise InputError(f"what is seen has shape {seen.shape}, expected (pictures, visible) of numbers from 0 to 1")
    if machine is not None and seen.shape[1] != len(machine.visible):
        raise InputError(
            f"what is seen has {seen.shape[1]} values a row, expected one a visible neuron, {len(machine.visible)}"
        )
    return seen
