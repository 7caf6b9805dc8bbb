"""Neurons that dream up a distribution: a Boltzmann machine whose samples are spikes.

Buesing, Bill, Nessler & Maass (2011), "Neural dynamics as sampling: a model for stochastic computation in recurrent
networks of spiking neurons", PLoS Comput. Biol. 7:e1002211. A spike puts its neuron on (z = 1) for `tau` steps, in
which it cannot spike; a neuron that may spike does so in a step with probability sigma(u - log tau), where
u = bias + sum w z is its membrane potential. Of all times, the states then have the share

    p(z) = exp(sum_k b_k z_k + sum_{k<m} w_km z_k z_m) / Z

and that of a machine of few neurons is counted out by `boltzmann`. The chance is in the neurons: nothing needs to come
in for it to go on. With tau = 1 this is Gibbs sampling.

The law is exact if neurons that are coupled move one after the other. `turns` lets the neurons of a group take turns;
`place` lets groups follow one another within a step, such as the layers of a restricted machine. With turns=1 all move
at once, as in tissue: then the law holds up to terms of 1/tau.
"""

from collections.abc import Sequence

import numpy as np
from brian2 import Network, NeuronGroup, StateMonitor, Synapses
from brian2 import seed as seed_brian
from numpy.typing import ArrayLike, NDArray

from dvs.errors import ParameterError
from snn.seeds import random_state_kept

CLAMP = 500.0
"""What a clamped neuron is driven with, up or down: it then spikes with probability 1 - exp(-500), or exp(-500)."""

_MOST_NEURONS = 20

_EQUATIONS = """
zeta : integer  # steps until the neuron is off, or spikes again
z = int(zeta > 0) : 1
bias : 1
received : 1
drive : 1  # 0, or what clamps the neuron
temperature = {temperature} : 1 (shared)
u = drive + (bias + received)/temperature : 1
moves = t_in_timesteps % turns == i % turns : boolean
"""

# Within "thresholds", so that whatever else happens in a step sees all neurons after their move.
_SLOT, _ORDERS = "thresholds", 10


def sampling_neurons(
    n: int,
    *,
    tau: int = 20,
    turns: int = 1,
    place: int = 0,
    temperature: str = "1",
    more: str = "",
    name: str = "sampler*",
) -> NeuronGroup:
    """Neurons of Buesing et al. (2011), all off and with bias 0, on Brian2's clock.

    tau: for how many of its steps a spike keeps a neuron on. turns: neuron k moves in each turns-th step of the clock,
    from step k on; turns=n makes the neurons of a coupled group move one after the other. place: groups that are
    coupled move in this order within a step. temperature: Brian2 text, in t; bias and what comes from other neurons
    are divided by it. more: equations that are added.

    Variables: zeta; z, 0 or 1; bias; drive (see `clamp`); received, what synapses bring; u, the membrane potential.
    Connect with `couple` or `couple_layers`.
    """
    for what, value, least in (("n", n, 1), ("tau", tau, 1), ("turns", turns, 1), ("place", place, 0)):
        if value != int(value) or value < least:
            raise ParameterError(f"{what} of sampling neurons is {value}, expected a whole number, {least} or more")
    group = NeuronGroup(
        int(n),
        _EQUATIONS.format(temperature=temperature) + more,
        threshold="moves and zeta == 0 and rand() < 1/(1 + exp(log_tau - u))",
        reset="zeta = tau",
        namespace={"tau": int(tau), "log_tau": float(np.log(tau)), "turns": int(turns)},
        name=name,
    )
    first = _ORDERS * int(place)
    group.run_regularly("zeta -= int(moves and zeta > 0)", when=_SLOT, order=first + 1, name=f"{group.name}_countdown")
    group.thresholder["spike"].when, group.thresholder["spike"].order = _SLOT, first + 2
    group.resetter["spike"].when, group.resetter["spike"].order = _SLOT, first + 3
    return group


def couple(neurons: NeuronGroup, weights: ArrayLike, *, name: str = "couplings*") -> Synapses:
    """Synapses `w` within a group: weights (K, K), symmetric, with an empty diagonal.

    The group may have a multiple of K neurons: then it is as many machines beside each other, independent of each
    other. Raises ParameterError if the weights are none of a Boltzmann machine.
    """
    weights = _checked(weights)
    size = len(weights)
    if size < 2:
        raise ParameterError("one neuron has no couplings; run the sampling neurons by themselves")
    machines, rest = divmod(len(neurons), size)
    if rest:
        raise ParameterError(f"{len(neurons)} neurons and weights of {size}: expected a multiple of {size} neurons")
    pre, post = np.nonzero(~np.eye(size, dtype=bool))
    offset = size * np.repeat(np.arange(machines), len(pre))
    synapses = Synapses(neurons, neurons, "w : 1\nreceived_post = w*z_pre : 1 (summed)", name=name)
    synapses.connect(i=np.tile(pre, machines) + offset, j=np.tile(post, machines) + offset)
    synapses.w = np.tile(weights[pre, post], machines)
    _hear_before_moving(synapses, "received_post", neurons)
    return synapses


def couple_layers(below: NeuronGroup, above: NeuronGroup, weights: ArrayLike, *, name: str = "couplings*") -> Synapses:
    """One synapse `w` for each pair of two layers, heard at both ends: weights (below, above).

    The layers of a restricted Boltzmann machine: with place=0 and place=1 they move one after the other, and the law
    is exact.
    """
    weights = np.asarray(weights, float)
    if weights.shape != (len(below), len(above)):
        raise ParameterError(f"weights have shape {weights.shape}, expected {(len(below), len(above))}: below, above")
    synapses = Synapses(
        below,
        above,
        "w : 1\nreceived_post = w*z_pre : 1 (summed)\nreceived_pre = w*z_post : 1 (summed)",
        name=name,
    )
    i, j = np.indices(weights.shape).reshape(2, -1)
    synapses.connect(i=i, j=j)
    synapses.w = weights.ravel()
    _hear_before_moving(synapses, "received_post", above)
    _hear_before_moving(synapses, "received_pre", below)
    return synapses


def clamp(neurons: NeuronGroup, which: ArrayLike, values: ArrayLike) -> None:
    """Hold neurons on (1) or off (0), from now on: a current that decides alone.

    A neuron that is held on spikes each time it can. `release` lets them go.
    """
    values = np.broadcast_to(np.asarray(values, float), np.shape(which))
    if not np.isin(values, (0, 1)).all():
        raise ParameterError(f"neurons are to be clamped to {np.unique(values)}, expected 0 or 1")
    neurons.drive[which] = CLAMP * (2 * values - 1)
    neurons.zeta[which] = (neurons.namespace["tau"] * values).astype(int)


def release(neurons: NeuronGroup, which: ArrayLike | slice = slice(None)) -> None:
    """Neurons that were clamped move by chance again."""
    neurons.drive[which] = 0


def sample(
    weights: ArrayLike,
    biases: ArrayLike,
    sweeps: int,
    *,
    tau: int = 20,
    in_turn: bool = True,
    clamped: dict[int, int] | None = None,
    start: Sequence[int] | None = None,
    seed: int = 0,
) -> NDArray[np.int8]:
    """States (sweeps, K) of a machine of K spiking neurons, run in Brian2; in a sweep each neuron moves once.

    in_turn: one after the other, which is exact; else all at once. clamped: neurons that are held, and their values.
    start: the state before the first sweep, else all are off.
    """
    weights, biases = _checked(weights), np.asarray(biases, float)
    turns = len(weights) if in_turn else 1
    neurons = sampling_neurons(len(weights), tau=tau, turns=turns)
    neurons.bias = biases
    synapses = couple(neurons, weights)
    if start is not None:
        neurons.zeta = tau * np.asarray(start, int)
    if clamped:
        clamp(neurons, list(clamped), list(clamped.values()))
    dt = neurons.clock.dt
    # Sampled at the start of the next sweep: all have moved.
    monitor = StateMonitor(neurons, "zeta", record=True, dt=turns * dt, when="start")
    with random_state_kept(seed):
        seed_brian(seed)
        Network(neurons, synapses, monitor).run((sweeps * turns + 1) * dt, namespace={})
    return (monitor.zeta[:, 1:].T > 0).astype(np.int8)


def states(size: int) -> NDArray[np.int8]:
    """All states (2**K, K) of K neurons; that of number n has its bits, the first neuron the lowest.

    >>> states(2).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    if not 1 <= size <= _MOST_NEURONS:
        raise ParameterError(f"all states of {size} neurons are asked for, expected 1 to {_MOST_NEURONS}")
    return (np.arange(2**size)[:, None] >> np.arange(size) & 1).astype(np.int8)


def boltzmann(weights: ArrayLike, biases: ArrayLike, *, clamped: dict[int, int] | None = None) -> NDArray[np.float64]:
    """The probability (2**K,) of each of `states`, by counting them all; 0 where a clamped neuron has another value.

    >>> boltzmann([[0, 1], [1, 0]], [0, -1]).round(3).tolist()
    [0.297, 0.297, 0.109, 0.297]
    """
    weights, biases = _checked(weights), np.asarray(biases, float)
    z = states(len(weights)).astype(float)
    log_p = z @ biases + 0.5 * np.einsum("nk,kl,nl->n", z, weights, z)
    for neuron, value in (clamped or {}).items():
        log_p[z[:, neuron] != value] = -np.inf
    p = np.exp(log_p - log_p.max())
    return p / p.sum()


def shares(z: ArrayLike) -> NDArray[np.float64]:
    """How much of the time (T, K) was spent in each of `states`, (2**K,)."""
    z = np.asarray(z, np.int64)
    number = z @ (1 << np.arange(z.shape[1]))
    return np.bincount(number, minlength=2 ** z.shape[1]) / len(z)


def kl(q: ArrayLike, p: ArrayLike) -> float:
    """Kullback-Leibler divergence sum q log(q/p), in nats.

    With q the `shares` of a run and p exact it is finite, and even of n independent perfect samples of m states about
    (m - 1)/2n.

    >>> round(kl([0.5, 0.5, 0.0], [0.25, 0.25, 0.5]), 6), round(float(np.log(2)), 6)
    (0.693147, 0.693147)
    """
    q, p = np.asarray(q, float), np.asarray(p, float)
    there = q > 0
    return float(np.sum(q[there] * np.log(q[there] / p[there])))


def correlations(p: ArrayLike) -> NDArray[np.float64]:
    """<z_k z_m> (K, K) under the probabilities (2**K,) of `states`; the mean of each neuron is on the diagonal."""
    p = np.asarray(p, float)
    z = states(int(np.log2(len(p)))).astype(float)
    return (z.T * p) @ z


def _checked(weights: ArrayLike) -> NDArray[np.float64]:
    weights = np.asarray(weights, float)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise ParameterError(f"weights of a Boltzmann machine have shape {weights.shape}, expected (K, K)")
    if not np.array_equal(weights, weights.T) or np.diagonal(weights).any():
        raise ParameterError("weights of a Boltzmann machine must be symmetric, and 0 on the diagonal")
    return weights


def _hear_before_moving(synapses: Synapses, received: str, neurons: NeuronGroup) -> None:
    updater = synapses.summed_updaters[received]
    updater.when, updater.order = _SLOT, neurons.thresholder["spike"].order - 2
