"""Optimisers: from parameters, gradients and a state to new parameters and a new state.

Each is a record of numbers with the two functions `start` and `step`. What it remembers is in the `State`, arrays that
a checkpoint can keep:

>>> adam = Adam(0.1)
>>> weights = {"w": np.array([1.0, -2.0])}
>>> state = adam.start(weights)
>>> weights, state = adam.step({"w": np.array([0.5, -3.0])}, state, weights)
>>> weights["w"].round(6).tolist(), state.steps
([0.9, -1.9], 1)

The learning rate is a number or a schedule, which is any function of the number of steps done. Below, g is the
gradient, p a parameter, k the number of this step from 1, and all is element by element. Equations are those of the
papers in the form that PyTorch computes, so that numbers found there can be used here.
"""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from learning.kernels.denormals import flush_denormals, restore

Arrays = Mapping[str, NDArray]
Schedule = Callable[[int], float]


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """What an optimiser remembers: steps done, and for each parameter its running values by name."""

    steps: int = 0
    memory: Mapping[str, Mapping[str, NDArray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Optimiser(ABC):
    """What all optimisers have in common: a learning rate, and the walk over the parameters."""

    learning_rate: float | Schedule
    _: KW_ONLY

    remembered: ClassVar[tuple[str, ...]] = ()
    shares: ClassVar[tuple[str, ...]] = ()  # fields in [0, 1)
    small: ClassVar[tuple[str, ...]] = ()  # fields above 0

    def __post_init__(self) -> None:
        if not callable(self.learning_rate):
            _positive("learning rate", self.learning_rate)
        for name in self.shares:
            if not 0 <= getattr(self, name) < 1:
                raise ParameterError(f"{name} is {getattr(self, name)}, expected 0 <= {name} < 1")
        for name in self.small:
            _positive(name, getattr(self, name))

    def start(self, parameters: Arrays) -> State:
        """The state before the first step: all zeros."""
        return State(
            memory={
                name: {kind: np.zeros_like(value) for kind in self.remembered} for name, value in parameters.items()
            }
        )

    def step(
        self, gradients: Arrays, state: State, parameters: Arrays, *, in_place: bool = False
    ) -> tuple[dict[str, NDArray], State]:
        """New parameters and new state, of the shapes and dtypes of the old.

        in_place: overwrite the arrays of `parameters` and `state` and return them, which saves their memory. Raises
        InputError if names or shapes differ, or a gradient holds NaN or inf; nothing is overwritten then.
        """
        self._check(gradients, state, parameters, in_place)
        rate = rate_at(self.learning_rate, state.steps)
        changed, memory = {}, {}
        for name, value in parameters.items():
            old = [value, *(state.memory[name][kind] for kind in self.remembered)]
            new = old if in_place else [np.array(array, order="C") for array in old]
            flat = [np.ravel(gradients[name]), *(array.reshape(-1) for array in new)]
            _in_parts(partial(self._update, rate, state.steps + 1), flat)
            changed[name], memory[name] = new[0], dict(zip(self.remembered, new[1:], strict=True))
        return changed, State(steps=state.steps + 1, memory=memory)

    @abstractmethod
    def _update(self, rate: float, k: int, *arrays: NDArray) -> None:
        """Change the parameter and what is remembered, which follow the gradient; all flat."""

    def _check(self, gradients: Arrays, state: State, parameters: Arrays, in_place: bool) -> None:
        for given, kind in ((gradients, "gradients"), (state.memory, "the optimiser's state")):
            if set(given) != set(parameters):
                raise InputError(f"{kind}: for {sorted(given)}, expected the parameters {sorted(parameters)}")
        for name, value in parameters.items():
            memory = state.memory[name]
            if set(memory) != set(self.remembered):
                raise InputError(
                    f"state remembers {sorted(memory)}, {type(self).__name__} needs {sorted(self.remembered)}; "
                    "begin with the state of its own start()"
                )
            if not isinstance(value, np.ndarray) or value.dtype not in (np.float32, np.float64):
                found = getattr(value, "dtype", type(value).__name__)
                raise InputError(f"parameter {name!r} is {found}, expected an array of float32 or float64")
            for kind, array in {"gradient": gradients[name], **memory}.items():
                if np.shape(array) != value.shape:
                    raise InputError(f"{kind} of {name!r} has shape {np.shape(array)}, expected {value.shape}, its own")
            if not math.isfinite(joint_norm({name: gradients[name]})):
                raise InputError(f"gradient of {name!r} holds NaN or inf; lower the learning rate or clip gradients")
            if in_place and not all(a.flags.c_contiguous and a.flags.writeable for a in (value, *memory.values())):
                raise InputError(f"parameter {name!r} cannot be overwritten; give a writeable, contiguous array")


@dataclass(frozen=True)
class SGD(Optimiser):
    """Stochastic gradient descent: p - rate g. Robbins & Monro (1951)."""

    learning_rate: float | Schedule = 1e-2

    def _update(self, rate: float, k: int, *arrays: NDArray) -> None:
        _sgd(rate, *arrays)


@dataclass(frozen=True)
class Momentum(Optimiser):
    """Heavy ball: velocity = momentum velocity + g, p - rate velocity. Polyak (1964)."""

    learning_rate: float | Schedule = 1e-2
    _: KW_ONLY
    momentum: float = 0.9

    remembered: ClassVar[tuple[str, ...]] = ("velocity",)
    shares: ClassVar[tuple[str, ...]] = ("momentum",)

    def _update(self, rate: float, k: int, *arrays: NDArray) -> None:
        _heavy_ball(rate, self.momentum, *arrays)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Momentum that looks ahead: velocity as in `Momentum`, p - rate (g + momentum velocity).

    Nesterov (1983) in the form of Sutskever et al. (2013), with p at the place looked ahead to.
    """

    def _update(self, rate: float, k: int, *arrays: NDArray) -> None:
        _nesterov(rate, self.momentum, *arrays)


@dataclass(frozen=True)
class AdaGrad(Optimiser):
    """Sum of all squares: total = total + g^2, p - rate g/(sqrt(total) + epsilon).

    Duchi, Hazan & Singer (2011).
    """

    learning_rate: float | Schedule = 1e-2
    _: KW_ONLY
    epsilon: float = 1e-10

    remembered: ClassVar[tuple[str, ...]] = ("total",)
    small: ClassVar[tuple[str, ...]] = ("epsilon",)

    def _update(self, rate: float, k: int, *arrays: NDArray) -> None:
        _adagrad(rate, self.epsilon, *arrays)


@dataclass(frozen=True)
class RMSProp(Optimiser):
    """Running mean of squares: square = decay square + (1 - decay) g^2, p - rate g/(sqrt(square) + epsilon).

    Tieleman & Hinton (2012), lecture 6.5, whose decay is 0.9; PyTorch's is 0.99.
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    decay: float = 0.9
    epsilon: float = 1e-8

    remembered: ClassVar[tuple[str, ...]] = ("square",)
    shares: ClassVar[tuple[str, ...]] = ("decay",)
    small: ClassVar[tuple[str, ...]] = ("epsilon",)

    def _update(self, rate: float, k: int, *arrays: NDArray) -> None:
        _rmsprop(rate, self.decay, self.epsilon, *arrays)


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adaptive moments: p - rate m/(sqrt(v) + epsilon), m and v the unbiased running means of g and g^2.

    mean = beta1 mean + (1 - beta1) g and m = mean/(1 - beta1^k); likewise square, beta2 and v. Kingma & Ba (2015),
    algorithm 1. fading_epsilon: epsilon/sqrt(1 - beta2^k) in its place, the form at the end of their section 2, which
    TensorFlow and NEST compute: it holds back the first steps of weights with very small gradients.
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    fading_epsilon: bool = False

    remembered: ClassVar[tuple[str, ...]] = ("mean", "square")
    shares: ClassVar[tuple[str, ...]] = ("beta1", "beta2")
    small: ClassVar[tuple[str, ...]] = ("epsilon",)

    def _update(self, rate: float, k: int, *arrays: NDArray) -> None:
        _adam(rate, self.beta1, self.beta2, self._epsilon(k), 0.0, k, *arrays)

    def _epsilon(self, k: int) -> float:
        return self.epsilon / math.sqrt(1 - self.beta2**k) if self.fading_epsilon else self.epsilon


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: before the step of `Adam`, p (1 - rate weight_decay).

    Loshchilov & Hutter (2019), algorithm 2. As in PyTorch the decay is in units of the learning rate, and follows its
    schedule.
    """

    _: KW_ONLY
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.weight_decay < math.inf:
            raise ParameterError(f"weight_decay is {self.weight_decay}, expected 0 or more")

    def _update(self, rate: float, k: int, *arrays: NDArray) -> None:
        _adam(rate, self.beta1, self.beta2, self._epsilon(k), rate * self.weight_decay, k, *arrays)


@dataclass(frozen=True)
class StepDecay:
    """A rate that is multiplied by `factor` after every `every` steps."""

    rate: float
    _: KW_ONLY
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _positive("rate", self.rate)
        _positive("every", self.every)
        _positive("factor", self.factor)

    def __call__(self, steps: int) -> float:
        """The learning rate after a number of steps."""
        return self.rate * self.factor ** (steps // self.every)


@dataclass(frozen=True)
class Cosine:
    """From `rate` down to `floor` along half a cosine of length `over` steps, and `floor` ever after.

    Loshchilov & Hutter (2017), "SGDR", equation 5, without restarts.
    """

    rate: float
    _: KW_ONLY
    over: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        _positive("rate", self.rate)
        _positive("over", self.over)
        if not 0 <= self.floor <= self.rate:
            raise ParameterError(f"floor is {self.floor}, expected 0 to the rate, {self.rate}")

    def __call__(self, steps: int) -> float:
        """The learning rate after a number of steps."""
        share = min(steps / self.over, 1.0)
        return self.floor + (self.rate - self.floor) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class WarmUp:
    """A learning rate or schedule that grows linearly to its full height over the first `over` steps.

    The first step has 1/over of it. Goyal et al. (2017), section 2.2.
    """

    rate: float | Schedule
    _: KW_ONLY
    over: int

    def __post_init__(self) -> None:
        if not callable(self.rate):
            _positive("rate", self.rate)
        _positive("over", self.over)

    def __call__(self, steps: int) -> float:
        """The learning rate after a number of steps."""
        return rate_at(self.rate, steps) * min((steps + 1) / self.over, 1.0)


def rate_at(rate: float | Schedule, steps: int) -> float:
    """The learning rate after a number of steps; a number is a constant schedule.

    >>> rate_at(StepDecay(0.1, every=100, factor=0.5), 250)
    0.025
    """
    value = float(rate(steps)) if callable(rate) else float(rate)
    if not 0 <= value < math.inf:
        raise ParameterError(f"schedule gives a learning rate of {value} after {steps} steps, expected 0 or more")
    return value


def clip_by_norm(gradients: Arrays, max_norm: float) -> tuple[dict[str, NDArray], float]:
    """Gradients shortened to a joint norm of at most `max_norm`, and the norm they had before.

    The direction stays; gradients that are short enough are returned as they are. Raises InputError for NaN and inf.
    Pascanu, Mikolov & Bengio (2013), algorithm 1.
    """
    _positive("max_norm", max_norm)
    norm = joint_norm(gradients)
    if not math.isfinite(norm):
        raise InputError(f"gradients of {_not_finite(gradients)} hold NaN or inf; damp the recurrent gradient")
    if norm <= max_norm:
        return dict(gradients), norm
    return {name: gradient * (max_norm / norm) for name, gradient in gradients.items()}, norm


def joint_norm(gradients: Arrays) -> float:
    """Euclidean norm of all gradients taken as one vector, summed in float64 lest large ones overflow."""
    total = 0.0
    for gradient in gradients.values():
        flat = np.ravel(gradient)
        total += _square_sum(flat)
    return math.sqrt(total)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _square_sum(flat: NDArray) -> float:
    total = 0.0
    for i in range(flat.size):  # iterating over `flat` itself is not vectorised
        total += np.float64(flat[i]) ** 2
    return total


# Elements that one thread changes while others change theirs.
_PART = 1 << 20


def _in_parts(change: Callable[..., None], arrays: Sequence[NDArray]) -> None:
    """change(*arrays), large ones in several threads; an element depends on those at its place only."""
    firsts = range(0, arrays[0].size, _PART)
    if len(firsts) <= 1:
        change(*arrays)
        return
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(lambda first: change(*(array[first : first + _PART] for array in arrays)), firsts))


# The equations, element by element, in place. Flat arrays: the gradient, the parameter, what is remembered. Where a
# running mean fades it ends as zero, not as a denormal number, which would stay for ever and slow down every step.
# Numbers are those of the arrays: with doubles among them all would be computed in double precision.

_BY_ELEMENT = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_BY_ELEMENT)
def _sgd(rate: float, gradient: NDArray, value: NDArray) -> None:
    step = value.dtype.type(rate)
    for i in range(value.size):
        value[i] -= step * gradient[i]


@njit(**_BY_ELEMENT)
def _heavy_ball(rate: float, momentum: float, gradient: NDArray, value: NDArray, velocity: NDArray) -> None:
    step, kept = value.dtype.type(rate), value.dtype.type(momentum)
    mode = flush_denormals()
    for i in range(value.size):
        velocity[i] = kept * velocity[i] + gradient[i]
        value[i] -= step * velocity[i]
    restore(mode)


@njit(**_BY_ELEMENT)
def _nesterov(rate: float, momentum: float, gradient: NDArray, value: NDArray, velocity: NDArray) -> None:
    step, kept = value.dtype.type(rate), value.dtype.type(momentum)
    mode = flush_denormals()
    for i in range(value.size):
        velocity[i] = kept * velocity[i] + gradient[i]
        value[i] -= step * (gradient[i] + kept * velocity[i])
    restore(mode)


@njit(**_BY_ELEMENT)
def _adagrad(rate: float, epsilon: float, gradient: NDArray, value: NDArray, total: NDArray) -> None:
    step, least = value.dtype.type(rate), value.dtype.type(epsilon)
    for i in range(value.size):
        total[i] += gradient[i] * gradient[i]
        value[i] -= step * gradient[i] / (math.sqrt(total[i]) + least)


@njit(**_BY_ELEMENT)
def _rmsprop(rate: float, decay: float, epsilon: float, gradient: NDArray, value: NDArray, square: NDArray) -> None:
    real = value.dtype.type
    step, kept, added, least = real(rate), real(decay), real(1 - decay), real(epsilon)
    mode = flush_denormals()
    for i in range(value.size):
        square[i] = kept * square[i] + added * gradient[i] * gradient[i]
        value[i] -= step * gradient[i] / (math.sqrt(square[i]) + least)
    restore(mode)


@njit(**_BY_ELEMENT)
def _adam(
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    lost: float,
    k: int,
    gradient: NDArray,
    value: NDArray,
    mean: NDArray,
    square: NDArray,
) -> None:
    real = value.dtype.type
    step, root_of_share = real(rate / (1 - beta1**k)), real(math.sqrt(1 - beta2**k))
    kept1, added1, kept2, added2 = real(beta1), real(1 - beta1), real(beta2), real(1 - beta2)
    left, least = real(1 - lost), real(epsilon)
    mode = flush_denormals()
    for i in range(value.size):
        mean[i] = kept1 * mean[i] + added1 * gradient[i]
        square[i] = kept2 * square[i] + added2 * gradient[i] * gradient[i]
        deviation = math.sqrt(square[i]) / root_of_share
        value[i] = left * value[i] - step * mean[i] / (deviation + least)
    restore(mode)


def _not_finite(gradients: Arrays) -> str:
    return ", ".join(name for name, gradient in gradients.items() if not np.isfinite(gradient).all())


def _positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ParameterError(f"{name} is {value}, expected a positive number")
