"""Sleep: what a network forgot while it learnt something new comes back, by its own activity and plain plasticity.

A network of rectified linear units without biases learns a task A, then a task B, and then no longer knows A. It is
not gone: the units of A are outbid by those of B. Asleep, the same weights connect leaky integrate-and-fire neurons
whose input is noise; a synapse whose two neurons fire in turn gets stronger, one whose target fires without it weaker,
and what fires most is weakened most. Nothing of A is used, and labels of B only to know when to wake. The weights then
go back to the rectified units:

    weights = train(train(first_weights([196, 200, 200, 10], rng), *a, rng=rng), *b, rng=rng)
    weights = normalised(weights, b_inputs)
    night = sleep(weights, b_inputs.mean(axis=0), seed=0, goes_on=keeps(weights, b_inputs, b_labels))
    accuracy(night.weights, a_inputs, a_labels)

Golden, Delanois, Sanda & Bazhenov (2022), PLoS Comput. Biol. 18:e1010628, in a network with rewards; Tadros, Krishnan,
Ramyaa & Bazhenov (2022), "Sleep-like unsupervised replay reduces catastrophic forgetting in artificial neural
networks", Nat. Commun. 13:7742, with units such as these. What differs from the latter is said at `hebbian`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from brian2 import Network, NeuronGroup, PoissonGroup, Quantity, SpikeMonitor, Synapses, TimedArray, ms, second
from brian2 import seed as set_seed
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from snn.neurons import NeuronModel, Reset, lif
from snn.seeds import random_state_kept
from snn.spikes import SpikeTrains, spike_trains
from snn.synapses import SynapseModel, connect, dense, static

Weights = list[NDArray[np.float64]]


# Awake


def first_weights(sizes: Sequence[int], rng: np.random.Generator) -> Weights:
    """Normal weights (n_in, n_out) of each layer, half as large as those of He et al. (2015).

    Small first weights leave more to be learnt by features than by the readout.
    """
    return [rng.normal(0, np.sqrt(0.5 / n_in), (n_in, n_out)) for n_in, n_out in pairwise(sizes)]


def activities(weights: Weights, inputs: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Activities of all layers for inputs (samples, n_in): the inputs, rectified hidden layers, the linear output."""
    layers = [inputs]
    for matrix in weights[:-1]:
        layers.append(np.maximum(layers[-1] @ matrix, 0))
    return [*layers, layers[-1] @ weights[-1]]


def accuracy(weights: Weights, inputs: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Share of inputs (samples, n_in) whose largest output, among all, is that of their label."""
    return float((activities(weights, inputs)[-1].argmax(axis=1) == labels).mean())


def train(
    weights: Weights,
    inputs: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    rng: np.random.Generator,
    epochs: int = 80,
    rate: float = 0.01,
    momentum: float = 0.9,
    batch: int = 32,
    dropout: float = 0.25,
) -> Weights:
    """New weights that bring the outputs nearer to 1 of the label and 0 of all others, by gradient descent.

    The error is half the squared distance; classes that do not occur are taught to be 0, and so are forgotten.
    dropout: the share of hidden units left out at random in each step (Srivastava et al. 2014), as in Tadros et al.;
    more units then carry a class, and what remains of a forgotten one is worth more.
    """
    learnt = [matrix.copy() for matrix in weights]
    velocity = [np.zeros_like(matrix) for matrix in weights]
    targets = np.eye(weights[-1].shape[1])[labels]
    for _ in range(epochs):
        order = rng.permutation(len(inputs))
        for chosen in np.split(order, range(batch, len(order), batch)):
            layers, kept = [inputs[chosen]], []
            for matrix in learnt[:-1]:
                kept.append((rng.random((len(chosen), matrix.shape[1])) >= dropout) / (1 - dropout))
                layers.append(np.maximum(layers[-1] @ matrix, 0) * kept[-1])
            error = (layers[-1] @ learnt[-1] - targets[chosen]) / len(chosen)
            for k in reversed(range(len(learnt))):
                gradient = layers[k].T @ error
                if k:
                    error = (error @ learnt[k].T) * (layers[k] > 0) * kept[k - 1]
                velocity[k] = momentum * velocity[k] - rate * gradient
                learnt[k] += velocity[k]
    return learnt


def normalised(weights: Weights, inputs: NDArray[np.float64], percentile: float = 99.9) -> Weights:
    """The same network in other units: the largest activity of each layer, for these inputs, becomes 1.

    Rectified units without biases only pass the factors on: every output is divided by one number, so that no decision
    changes. Diehl et al. (2015), "Fast-classifying, high-accuracy spiking deep networks", with the percentile of
    Rueckauer et al. (2017).
    """
    layers = activities(weights, inputs)[1:]
    largest = [1.0, *(float(np.percentile(np.maximum(layer, 0), percentile)) for layer in layers)]
    if not min(largest) > 0:
        raise InputError(f"the largest activities are {largest}, expected all above 0; a layer is silent")
    return [matrix * before / own for matrix, (before, own) in zip(weights, pairwise(largest), strict=True)]


# Asleep


def hebbian(inc: float, dec: float, window: Quantity = 1.5 * ms) -> SynapseModel:
    """At a spike of the target, w grows by the share `inc` if the source fired just before, else falls by `dec`.

    "Just before" is less than `window` ago; a spike of the source in the same step comes too late. A weight keeps its
    sign: an inhibitory synapse that gets weaker comes nearer to 0, too. If the source fires before a share p of the
    target's spikes, the logarithm of the weight drifts by p ln(1 + inc) + (1 - p) ln(1 - dec) a spike.

    Tadros et al. (2022) add inc s(w) or subtract dec s(w), with a step-like s. A change in proportion to the weight,
    as depression is in tissue (van Rossum, Bi & Turrigiano 2000), makes rates alike (see `balanced_rate`).
    """
    if inc < 0 or not 0 <= dec < 1:
        raise ParameterError(f"inc is {inc} and dec {dec}, expected inc of 0 or more and dec from 0 to below 1")
    return SynapseModel(
        name="hebbian",
        equations="w : {unit}\nlast : second",
        on_pre="{onto} += {w}\nlast = t",
        on_post="paired = int(t - last < window)\nw *= 1 + inc*paired - dec*(1 - paired)",
        parameters={"inc": inc, "dec": dec, "window": window},
        start={"last": -1 * second},
        source="Tadros et al. (2022), in proportion to the weight",
    )


def balanced_rate(rate: ArrayLike, dec: float, steps: ArrayLike) -> NDArray[np.float64]:
    """Spikes a step after a sleep in which a neuron's weights only fall, of one that began with `rate`.

    Its rate r is proportional to its weights, and each spike takes the share `dec` of these: dr/dt = -dec r^2. So
    r = rate/(1 + dec rate t), and when dec rate t is large it is 1/(dec t), whatever it was: neurons that spoke loudly
    and those that whispered are then heard alike, and those that never spoke are left alone.
    """
    rate = np.asarray(rate, float)
    return rate / (1 + dec * rate * np.asarray(steps, float))


@dataclass(frozen=True, kw_only=True)
class Sleep:
    """A night of a network: its noise, neurons and plasticity.

    steps of dt, at most, in so many parts. rate: probability that an input of intensity 1 fires in a step. thresholds,
    inc, dec: of each layer that receives, from the first hidden one to the output. tau, reset: of the membranes.
    """

    steps: int = 4000
    parts: int = 20
    dt: Quantity = field(default_factory=lambda: 1 * ms, hash=False)
    rate: float = 0.12
    thresholds: tuple[float, ...] = (0.11, 0.13, 0.6)
    tau: Quantity = field(default_factory=lambda: 17 * ms, hash=False)
    reset: Reset = "hard"
    inc: tuple[float, ...] = (0.00016, 0.00016, 0.002)
    dec: tuple[float, ...] = (0.0032, 0.0032, 0.04)

    def __post_init__(self) -> None:
        sizes = {name: len(getattr(self, name)) for name in ("thresholds", "inc", "dec")}
        if len(set(sizes.values())) != 1:
            raise ParameterError(f"layers have {sizes}; give one number of each a layer")
        if self.steps < 0 or self.parts < 1 or not 0 <= self.rate <= 1:
            raise ParameterError(
                f"steps is {self.steps}, parts {self.parts}, rate {self.rate}; expected 0 or more, 1 or more, 0 to 1"
            )

    @property
    def duration(self) -> Quantity:
        """How long the night is in the network's time."""
        return self.steps * self.dt

    def without_plasticity(self) -> "Sleep":
        """The same noise and neurons, with weights that stay."""
        none = (0.0,) * len(self.dec)
        return replace(self, inc=none, dec=none)

    def neurons(self) -> list[NeuronModel]:
        """The neurons of each layer that receives."""
        return [lif(threshold=threshold, tau=self.tau, reset=self.reset) for threshold in self.thresholds]

    def rules(self) -> list[SynapseModel]:
        """The synapses to each of these layers."""
        return [
            hebbian(inc, dec, window=1.5 * self.dt) if inc or dec else static()
            for inc, dec in zip(self.inc, self.dec, strict=True)
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Night:
    """What a sleep leaves: spikes of each layer, the input first, and the weights in its course.

    plan: of the night as it was, with the steps until its end. course: the weights before it and at the end of each of
    its parts, the last of which are `weights`.
    """

    plan: Sleep
    course: list[Weights]
    spikes: list[SpikeTrains]

    @property
    def weights(self) -> Weights:
        """Those of the morning."""
        return self.course[-1]


def spiking_copy(
    weights: Weights,
    source: NeuronGroup | PoissonGroup,
    neurons: Sequence[NeuronModel],
    rules: Sequence[SynapseModel] | None = None,
) -> Network:
    """Spiking neurons in place of units: groups layer1, layer2, ..., synapses into them synapses1, synapses2, ...

    A spike is heard by the next layer in the next step. rules: of the synapses to each layer, static by default.
    """
    if len(neurons) != len(weights):
        raise ParameterError(f"there are neurons for {len(neurons)} layers, the weights are of {len(weights)}")
    layers = [
        model.group(matrix.shape[1], name=f"layer{k}", clock=source.clock)
        for k, (model, matrix) in enumerate(zip(neurons, weights, strict=True), 1)
    ]
    return _network(weights, [source, *layers], rules or [static()] * len(weights))


def sleep(
    weights: Weights,
    intensity: NDArray[np.float64],
    plan: Sleep | None = None,
    *,
    seed: int,
    goes_on: Callable[[Weights], bool] | None = None,
) -> Night:
    """Let noise run through the network, and its synapses change by themselves; returns new weights.

    weights: as `normalised` makes them. intensity: (n_in,), from 0 to 1, how often each input fires; the mean of the
    inputs that the network has seen last, so that nothing of what came before is needed. seed: of the noise. goes_on:
    asked after each part of the night; once it says no, the night ends, as if that part had not been (`keeps`).
    """
    plan = plan or Sleep()
    if np.shape(intensity) != weights[0].shape[:1]:
        raise InputError(f"intensity has shape {np.shape(intensity)}, expected {weights[0].shape[:1]}, one an input")
    noise = PoissonGroup(len(intensity), plan.rate * np.asarray(intensity) / plan.dt, dt=plan.dt, name="layer0")
    network = spiking_copy(weights, noise, plan.neurons(), plan.rules())
    monitors = [SpikeMonitor(network[f"layer{k}"], name=f"spikes{k}") for k in range(len(weights) + 1)]
    network.add(monitors)
    course, steps = [weights], 0
    with random_state_kept(seed):
        set_seed(seed)
        for part in np.diff(np.linspace(0, plan.steps, plan.parts + 1).astype(int)):
            network.run(part * plan.dt, namespace={})
            now = _weights(network, weights)
            if goes_on is not None and not goes_on(now):
                break
            course.append(now)
            steps += int(part)
    spikes = [
        spike_trains(monitor.i, monitor.t, neurons=len(monitor.source), duration=plan.duration) for monitor in monitors
    ]
    stop = (steps - 0.5) * plan.dt
    spikes = [replace(trains.between(-plan.dt, stop), duration=steps * plan.dt) for trains in spikes]
    return Night(plan=replace(plan, steps=steps), course=course, spikes=spikes)


def keeps(
    weights: Weights, inputs: NDArray[np.float64], labels: NDArray[np.int64], share: float = 0.95
) -> Callable[[Weights], bool]:
    """Whether other weights name at least this share of what these do: for a sleep that ends before it does harm.

    inputs (samples, n_in) and labels: of the new task, which is still there to ask. The share of 0.95 is, like the
    numbers of `Sleep`, one at which stand-ins of old and new tasks came out alike (benchmarks/three_factor_sleep.py).
    """
    least = share * accuracy(weights, inputs, labels)
    return lambda now: accuracy(now, inputs, labels) >= least


# Controls


def relive(weights: Weights, spikes: Sequence[SpikeTrains], plan: Sleep) -> Weights:
    """What the plasticity of a night makes of given spikes of all layers, whoever fired them: its own, shuffled."""
    sizes = [weights[0].shape[0], *(matrix.shape[1] for matrix in weights)]
    if [trains.neurons for trains in spikes] != sizes:
        raise InputError(f"spikes are of {[trains.neurons for trains in spikes]} neurons, the weights of {sizes}")
    layers = []
    for k, trains in enumerate(spikes):
        fires = np.zeros((plan.steps + 1, trains.neurons))
        fires[_steps(trains, plan), trains.neuron] = 1
        layers.append(
            NeuronGroup(
                trains.neurons,
                "v : 1",
                threshold="fires(t, i) > 0.5",
                reset="",
                namespace={"fires": TimedArray(fires, dt=plan.dt)},
                dt=plan.dt,
                name=f"layer{k}",
            )
        )
    network = _network(weights, layers, plan.rules())
    network.run(plan.duration, namespace={})
    return _weights(network, weights)


def shuffled(night: Night, what: Literal["order", "neurons"], rng: np.random.Generator) -> list[SpikeTrains]:
    """The spikes of a night in the wrong places, each layer by itself; how many there are stays.

    "order": the steps of the night are put into another order, so that a neuron fires as often as before, but no
    longer after those that made it fire. "neurons": each neuron fires the spikes of another one of its layer.
    """
    if what not in ("order", "neurons"):
        raise ParameterError(f"{what!r} cannot be shuffled, expected 'order' or 'neurons'")
    moved = []
    for trains in night.spikes:
        step, neuron = _steps(trains, night.plan), trains.neuron
        if what == "order":
            step = rng.permutation(night.plan.steps)[step]
        else:
            neuron = rng.permutation(trains.neurons)[neuron]
        moved.append(spike_trains(neuron, step * night.plan.dt, neurons=trains.neurons, duration=trains.duration))
    return moved


def _steps(trains: SpikeTrains, plan: Sleep) -> NDArray[np.int64]:
    return np.rint(np.asarray(trains.t / plan.dt)).astype(np.int64)


def _network(weights: Weights, layers: Sequence[NeuronGroup], rules: Sequence[SynapseModel]) -> Network:
    network = Network(*layers)
    for k, (matrix, rule) in enumerate(zip(weights, rules, strict=True), 1):
        synapses = connect(layers[k - 1], layers[k], dense(matrix), rule, name=f"synapses{k}")
        if rule.on_post:
            synapses.post.order = -1  # before the sources' spikes of this step are known
        network.add(synapses)
    return network


def _weights(network: Network, like: Weights) -> Weights:
    found: list[Synapses] = [network[f"synapses{k}"] for k in range(1, len(like) + 1)]
    return [synapses.w[:].reshape(matrix.shape).copy() for synapses, matrix in zip(found, like, strict=True)]
