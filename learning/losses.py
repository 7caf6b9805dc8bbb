"""Losses: from what the network put out and what was wanted to one number and its gradient.

The output is an array (samples, steps, units): a variable of the readout at the end of each step (`on` is "state"), or
its spikes, 0 or 1 (`on` is "spikes"). What is wanted is a label a sample, or a trace a unit.

>>> output = np.zeros((2, 3, 4))
>>> output[0, 1, 3] = output[1, 2, 0] = 5.0
>>> value, gradient, predictions = max_over_time().evaluate(output, np.array([3, 0]))
>>> round(value, 4), gradient.shape, predictions.tolist()
(0.02, (2, 3, 4), [3, 0])

A classification reads scores from the output and takes their cross-entropy, so that those losses differ in the reading
only. A `Regulariser` looks at how often hidden units spike, wants nothing of the readout and is added to a loss.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from brian2 import Quantity, have_same_dimensions
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError

# From an output to scores (samples, readings, units) and to the function that carries their gradient back.
Reading = Callable[[NDArray], tuple[NDArray, Callable[[NDArray], NDArray]]]

# From an output and a target of its shape to the mean over samples and its gradient.
Distance = Callable[[NDArray, NDArray], tuple[float, NDArray]]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A name, what it is read from, and either a `reading` (targets are labels) or a `distance` (targets are traces).

    source: author, year.
    """

    name: str
    on: Literal["state", "spikes"]
    reading: Reading | None = None
    distance: Distance | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if (self.reading is None) == (self.distance is None):
            raise ParameterError(f"loss {self.name!r} needs a reading or a distance, one of the two")
        if self.on not in ("state", "spikes"):
            raise ParameterError(f"loss {self.name!r} is on {self.on!r}, expected 'state' or 'spikes'")

    def evaluate(self, output: NDArray, target: ArrayLike) -> tuple[float, NDArray, NDArray[np.int64] | None]:
        """Mean loss over samples, its gradient by the output (same shape and dtype), and the predicted labels.

        output: (samples, steps, units), float32 or float64. target: labels (samples,), 0 to units - 1, or traces of
        the shape of the output, for which there are no predictions (None). Raises InputError for anything else.
        """
        _check_output(output)
        if self.reading is None:
            value, gradient = self.distance(output.astype(np.float64), _traces(target, output.shape))
            return value, gradient.astype(output.dtype), None
        labels = _labels(target, output)
        scores, back = self.reading(output)
        value, by_score = _cross_entropy(scores, labels)
        return value, back(by_score.astype(output.dtype)), _winners(scores)

    def predict(self, output: NDArray) -> NDArray[np.int64]:
        """The label of the highest score of each sample, (samples,); the lowest such label if several are equal."""
        if self.reading is None:
            raise ParameterError(
                f"loss {self.name!r} compares traces and predicts no labels; use a classification loss"
            )
        _check_output(output)
        return _winners(self.reading(output)[0])


@dataclass(frozen=True, kw_only=True)
class Regulariser:
    """A price on how often hidden units spike."""

    name: str
    price: Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]
    source: str = ""

    def evaluate(self, counts: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """Price of the spike counts (samples, units), and its gradient, of the same shape.

        A count is a sum over steps: its gradient is that of a spike of that unit in any step of that sample. Raises
        InputError for counts of another shape, and for NaN.
        """
        counts = np.asarray(counts, dtype=np.float64)
        if counts.ndim != 2 or not counts.size:
            raise InputError(f"spike counts have shape {counts.shape}, expected (samples, units)")
        if not np.isfinite(counts).all():
            raise InputError("spike counts hold NaN or inf; the model has diverged: lower the learning rate")
        return self.price(counts)


def max_over_time() -> Loss:
    """Cross-entropy of each unit's highest value. Cramer et al. (2022), "The Heidelberg spiking data sets"."""
    return Loss(name="max over time", on="state", reading=_highest, source="Cramer et al. (2022)")


def last() -> Loss:
    """Cross-entropy of the values at the end of the last step."""
    return Loss(name="last", on="state", reading=_last)


def mean_over_time() -> Loss:
    """Cross-entropy of each unit's mean value: the membrane cross-entropy."""
    return Loss(name="mean over time", on="state", reading=_mean)


def every_step() -> Loss:
    """Mean over the steps of the cross-entropy of each step; the prediction is that of the mean value.

    Asks for the right answer early and throughout. Deng et al. (2022), "Temporal efficient training".
    """
    return Loss(name="every step", on="state", reading=_each, source="Deng et al. (2022)")


def rate(gain: float = 1.0) -> Loss:
    """Cross-entropy of gain times each unit's spike count.

    One spike more multiplies the odds of its label by exp(gain). snnTorch's `ce_count_loss` has gain 1.
    """
    return Loss(name="rate", on="spikes", reading=partial(_count, gain=_positive("gain", gain)))


def latency(tau: Quantity | float, dt: Quantity | float = 1.0) -> Loss:
    """Cross-entropy of -t/tau, with t the time of each unit's first spike: the first to spike is the prediction.

    tau, dt: both with units of time, or tau in steps. With spikes s, the number of steps before the first is

        t = sum_k (1 - s_0)(1 - s_1) ... (1 - s_k)

    which is exact for 0 and 1, is all steps if there is no spike, and has a derivative: a spike added f steps before
    the first brings t forward by f, and taking the first away puts t off until the second. So a silent unit has a
    gradient too. Softmin over spike times as in Mostafa (2018) and Göltz et al. (2021).
    """
    return Loss(
        name="latency",
        on="spikes",
        reading=partial(_first_spike, tau_steps=_steps(tau, dt)),
        source="Mostafa (2018), Göltz et al. (2021)",
    )


def van_rossum(tau: Quantity | float, dt: Quantity | float = 1.0) -> Loss:
    """Distance of spike trains to target trains, summed over units: D^2 = 1/tau int_0^inf (f - g)^2 dt.

    f and g are the trains, each spike an exponential exp(-t/tau). tau, dt: both with units of time, or tau in steps.
    One spike too many costs 1/2, wherever it is, and one that is a time d off costs 1 - exp(-d/tau). van Rossum
    (2001), "A novel spike distance".
    """
    distance = partial(_filtered_distance, tau_steps=_steps(tau, dt))
    return Loss(name="van Rossum", on="spikes", distance=distance, source="van Rossum (2001)")


def mean_squared_error() -> Loss:
    """Mean over samples, steps and units of the squared difference to the target traces."""
    return Loss(name="mean squared error", on="state", distance=_squared)


def mean_absolute_error() -> Loss:
    """Mean over samples, steps and units of the absolute difference to the target traces; flat where it is 0."""
    return Loss(name="mean absolute error", on="state", distance=_absolute)


def rate_band(fewest: float, most: float, strength: float = 1.0) -> Regulariser:
    """Squared distance of n to the band from `fewest` to `most`, mean over units, times strength.

    n: spikes of a unit in a sample, mean over the samples at hand, so that a unit may be silent in some and busy in
    others. fewest = most is a target rate. Bellec et al. (2018); bounds as in Zenke & Vogels (2021).
    """
    if not 0 <= fewest <= most < math.inf:
        raise ParameterError(f"band from {fewest} to {most} spikes a sample, expected 0 <= fewest <= most")
    price = partial(_band_price, fewest=fewest, most=most, strength=_positive("strength", strength))
    return Regulariser(name="rate band", price=price, source="Bellec et al. (2018), Zenke & Vogels (2021)")


def sparsity(strength: float = 1.0) -> Regulariser:
    """Mean number of spikes of a unit in a sample, times strength: every spike costs the same."""
    return Regulariser(name="sparsity", price=partial(_spike_price, strength=_positive("strength", strength)))


# Readings: scores (samples, readings, units) of an output (samples, steps, units)


def _highest(output: NDArray) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
    step = output.argmax(axis=1, keepdims=True)  # the first of several

    def back(by_score: NDArray) -> NDArray:
        gradient = np.zeros_like(output)
        np.put_along_axis(gradient, step, by_score, axis=1)
        return gradient

    return np.take_along_axis(output, step, axis=1), back


def _last(output: NDArray) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
    def back(by_score: NDArray) -> NDArray:
        gradient = np.zeros_like(output)
        gradient[:, -1:] = by_score
        return gradient

    return output[:, -1:], back


def _mean(output: NDArray) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
    def back(by_score: NDArray) -> NDArray:
        return np.repeat(by_score / output.shape[1], output.shape[1], axis=1)

    return output.mean(axis=1, keepdims=True, dtype=np.float64), back


def _each(output: NDArray) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
    return output, lambda by_score: by_score


def _count(output: NDArray, gain: float) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
    def back(by_score: NDArray) -> NDArray:
        return np.repeat(by_score * gain, output.shape[1], axis=1)

    return gain * output.sum(axis=1, keepdims=True, dtype=np.float64), back


def _first_spike(output: NDArray, tau_steps: float) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
    silent = np.cumprod(1 - output, axis=1, dtype=np.float64)  # 1 until the first spike, then 0

    def back(by_score: NDArray) -> NDArray:
        # dt/ds_k = -(1 - s_0)...(1 - s_{k-1}) wait_k, wait_k = 1 + (1 - s_{k+1}) wait_{k+1}: steps from k to the next
        # spike. A division by 1 - s_k would be simpler, and 0/0 at every spike.
        gradient = np.empty_like(output)
        wait = np.ones_like(by_score[:, 0], dtype=np.float64)
        for k in range(output.shape[1] - 1, -1, -1):
            before = silent[:, k - 1] if k else 1.0
            gradient[:, k] = by_score[:, 0] / tau_steps * before * wait
            wait = 1 + (1 - output[:, k]) * wait
        return gradient

    return -silent.sum(axis=1, keepdims=True) / tau_steps, back


def _cross_entropy(scores: NDArray, labels: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
    """-log softmax of the label, mean over samples and readings; its gradient is (softmax - one-hot)/count."""
    scores = scores.astype(np.float64)
    scores -= scores.max(axis=2, keepdims=True)
    total = np.exp(scores).sum(axis=2, keepdims=True)
    label = np.broadcast_to(labels[:, None, None], (*scores.shape[:2], 1))
    value = float(np.mean(np.log(total) - np.take_along_axis(scores, label, axis=2)))
    gradient = np.exp(scores) / total
    np.put_along_axis(gradient, label, np.take_along_axis(gradient, label, axis=2) - 1, axis=2)
    return value, gradient / total.size


def _winners(scores: NDArray) -> NDArray[np.int64]:
    return scores.mean(axis=1, dtype=np.float64).argmax(axis=1)


# Distances


def _filtered_distance(output: NDArray, target: NDArray, tau_steps: float) -> tuple[float, NDArray]:
    kept = math.exp(-1 / tau_steps)
    difference = output - target
    for k in range(1, output.shape[1]):
        difference[:, k] += kept * difference[:, k - 1]
    # Between two steps the square decays by kept^2: its integral over tau is (1 - kept^2)/2; 1/2 after the last.
    weight = np.full((output.shape[1], 1), (1 - kept**2) / 2)
    weight[-1] = 0.5
    value = float((weight * difference**2).sum() / len(output))
    gradient = 2 * weight * difference / len(output)
    for k in range(output.shape[1] - 2, -1, -1):
        gradient[:, k] += kept * gradient[:, k + 1]
    return value, gradient


def _squared(output: NDArray, target: NDArray) -> tuple[float, NDArray]:
    difference = output - target
    return float(np.mean(difference**2)), 2 * difference / difference.size


def _absolute(output: NDArray, target: NDArray) -> tuple[float, NDArray]:
    difference = output - target
    return float(np.mean(np.abs(difference))), np.sign(difference) / difference.size


# Prices of spike counts


def _band_price(counts: NDArray, fewest: float, most: float, strength: float) -> tuple[float, NDArray]:
    mean = counts.mean(axis=0)
    outside = mean - np.clip(mean, fewest, most)
    by_count = 2 * strength * outside / counts.size
    return strength * float(np.mean(outside**2)), np.broadcast_to(by_count, counts.shape).copy()


def _spike_price(counts: NDArray, strength: float) -> tuple[float, NDArray]:
    return strength * float(counts.mean()), np.full(counts.shape, strength / counts.size)


# Checks


def _check_output(output: NDArray) -> None:
    if np.ndim(output) != 3 or not np.size(output):
        raise InputError(f"output has shape {np.shape(output)}, expected (samples, steps, units), none of them 0")
    if output.dtype not in (np.float32, np.float64):
        raise InputError(f"output is {output.dtype}, expected float32 or float64; convert it with .astype")
    if not np.isfinite(output).all():
        raise InputError("output holds NaN or inf; the model has diverged: lower the learning rate or clip gradients")


def _labels(target: ArrayLike, output: NDArray) -> NDArray[np.int64]:
    samples, _, units = output.shape
    labels = np.asarray(target)
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels are {labels.dtype} {labels.shape}, expected a whole number for each of {samples} samples"
        )
    if labels.min() < 0 or labels.max() >= units:
        raise InputError(
            f"labels go from {labels.min()} to {labels.max()}, expected 0 to {units - 1}, one a readout unit"
        )
    return labels.astype(np.int64)


def _traces(target: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    traces = np.asarray(target, dtype=np.float64)
    if traces.shape != shape:
        raise InputError(f"target traces have shape {traces.shape}, expected that of the output, {shape}")
    if not np.isfinite(traces).all():
        raise InputError("target traces hold NaN or inf; give a number for every step")
    return traces


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ParameterError(f"{name} is {value}, expected a positive number")
    return value


def _steps(tau: Quantity | float, dt: Quantity | float) -> float:
    if not have_same_dimensions(tau, dt):
        raise ParameterError(f"tau is {tau} and dt is {dt}, expected two times, such as tau=10*ms, dt=1*ms")
    return _positive("tau/dt", float(tau / dt))
