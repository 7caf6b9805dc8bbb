"""How close is a learning rule to the gradient? Cosine, spread, and what a step along it really does to the loss.

    damped = {damping: learning.trainable(network, ..., damping=damping) for damping in (0, 0.1, 0.3, 1)}
    rules = {"e-prop": eprop(network, ...), "random feedback": eprop(network, ..., feedback="random", seed=1)}
    network.add(*rules["e-prop"].objects, *rules["random feedback"].objects)
    estimates = online_estimates(network, rules, trial=1000 * ms)
    cosines = {name: cosine(estimate, damped[0.1].gradient(...).gradients) for name, estimate in estimates.items()}

The surrogate gradient of a recurrent network explodes unless it is damped where it passes a synapse of a loop, and an
exploded gradient is nobody's direction: so a rule has a cosine for each damping, a curve, and `loss_change` tells which
direction lowers the loss. An estimate here is that of a gradient: a step goes against it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Network, Quantity
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from learning.e_prop import EProp
from learning.losses import Loss
from learning.model import Model
from learning.plasticity import Plasticity

Arrays = Mapping[str, NDArray]


def cosine(one: Arrays, other: Arrays) -> float:
    """Of the angle between two directions, over all parameters that both have; 0 where one of them is 0.

    >>> cosine({"w": np.array([1.0, 0.0])}, {"w": np.array([3.0, 4.0])})
    0.6
    """
    names = sorted(set(one) & set(other))
    if not names:
        raise InputError(
            f"{sorted(one)} and {sorted(other)} have no parameter in common; give the same weights to both"
        )
    sizes = {name: (np.size(one[name]), np.size(other[name])) for name in names}
    if wrong := {name: size for name, size in sizes.items() if size[0] != size[1]}:
        raise InputError(f"sizes differ: {wrong}; give the same weights to both")
    # Norms first: the products of an exploded gradient are too large for a number.
    vectors = [
        [_unit(np.ravel(part[name]).astype(float), _norm(part, names)) for name in names] for part in (one, other)
    ]
    return float(sum(a @ b for a, b in zip(*vectors, strict=True)))


def noise(estimates: Iterable[Arrays]) -> float:
    """Variance of estimates over the square of their mean's length: how many must be averaged to see the mean.

    From several trials, or draws. Its own mean is biased by variance/count, which is taken off.

    >>> round(noise([{"w": np.array([1.0, 1.0])}, {"w": np.array([1.0, -1.0])}, {"w": np.array([1.0, 0.0])}]), 6)
    1.5
    """
    stacked = [np.concatenate([np.ravel(one[name]) for name in sorted(one)]) for one in estimates]
    if len(stacked) < 2:
        raise InputError(f"{len(stacked)} estimates came, expected two or more, whose spread can be seen")
    values = np.array(stacked, float)
    variance = values.var(axis=0, ddof=1).sum()
    squared = np.square(values.mean(axis=0)).sum() - variance / len(values)
    return float(variance / squared) if squared > 0 else np.inf


def online_estimates(
    network: Network, rules: Mapping[str, EProp | Plasticity | Sequence[Plasticity]], trial: Quantity
) -> dict[str, dict[str, NDArray]]:
    """What several rules of one network make of one trial, by rule and "synapses.w"; nothing is learnt by it.

    The rules are in the network, with trials of this length or longer: from `eprop`, or from `attach`, of which the
    estimate is minus the change. They all hear the same spikes; so one of them at most may change a weight in each
    step, others sum their changes (`attach(..., every=...)`). Runs the network from its present state for a trial, and
    puts it back. Raises InputError for a rule that is not in the network, or two that change a weight.
    """
    companions = {name: _companions(rule) for name, rule in rules.items()}
    present = {obj.name for obj in network.objects}
    changed_by: dict[str, str] = {}
    for name, rule in companions.items():
        if {one.name for one in rule} - present:
            raise InputError(f"rule {name!r} is not in the network; network.add(*objects) of it first")
        for one in rule:
            if "change_sum" not in one.variables and changed_by.setdefault(_weight(one), name) != name:
                raise InputError(
                    f"rules {changed_by[_weight(one)]!r} and {name!r} both change {_weight(one)} in each step; attach "
                    "one of them with every=, so that its changes are summed"
                )
    before = {_weight(one): np.array(one.w, float) for rule in companions.values() for one in rule}
    network.store("before an estimate")
    try:
        network.run(trial)
        return {
            name: rule.estimate()
            if isinstance(rule, EProp)
            else {_weight(one): -_change(one, before[_weight(one)]) for one in companions[name]}
            for name, rule in rules.items()
        }
    finally:
        network.restore("before an estimate")


def _companions(rule: EProp | Plasticity | Sequence[Plasticity]) -> Sequence[Plasticity]:
    if isinstance(rule, EProp):
        return list(rule.plasticity.values())
    return [rule] if isinstance(rule, Plasticity) else rule


def _weight(companion: Plasticity) -> str:
    return f"{companion.synapses.name}.{companion.weight}"


def _change(companion: Plasticity, before: NDArray) -> NDArray:
    summed = "change_sum" in companion.variables
    return np.array(companion.change_sum if summed else companion.w, float) - (0 if summed else before)


def weight_perturbation(
    model: Model,
    samples: Any,
    target: ArrayLike,
    loss: Loss,
    *,
    sigma: float = 0.01,
    draws: int = 100,
    seed: int | np.random.Generator = 0,
) -> Iterator[dict[str, NDArray]]:
    """One estimate a draw: all weights are shaken by sigma times normal numbers; (E(w + shake) - E(w)) shake/sigma**2.

    The far end of the continuum: nothing is known of the network. In n weights its cosine with the gradient is about
    1/sqrt(n) a draw, and sqrt(draws/n) of the mean of few draws. Werfel, Xie & Seung (2005), equation 6.
    """
    rng = np.random.default_rng(seed)
    batch = model.encode(samples)
    start = {name: value.copy() for name, value in model.parameters.items()}
    base, _ = model.evaluate(batch, target, loss)
    try:
        for _ in range(draws):
            shake = {name: sigma * rng.standard_normal(value.shape) for name, value in start.items()}
            shaken = _loss_at(model, start, shake, batch, target, loss)
            yield {name: (shaken - base) / sigma**2 * one for name, one in shake.items()}
    finally:
        _put(model, start)


@dataclass(frozen=True, kw_only=True)
class LossChange:
    """What a step along a direction does: mean over draws, and the standard error of that; step: in the weights."""

    mean: float
    error: float
    step: float

    @property
    def lowers(self) -> bool:
        """Whether the loss falls by more than twice its standard error."""
        return self.mean < -2 * self.error


def loss_change(
    model: Model,
    samples: Any,
    target: ArrayLike,
    loss: Loss,
    direction: Arrays,
    *,
    step: float = 0.3,
    jitter: float = 1e-3,
    draws: int = 12,
    seed: int | np.random.Generator = 0,
) -> LossChange:
    """By how much the loss changes if all weights go one step, of this length together, against a direction.

    A spike that comes or goes moves the loss by a jump, so one difference says little: weights are jittered `draws`
    times by normal numbers of this size, and the same jitter is taken with the step and without. The step is halved,
    eight times at most, while the change of the whole step is not twice that of the half, as a direction's would be,
    and doubled, while jumps hide it (the change is below its standard error).
    """
    if not step > 0:
        raise ParameterError(f"step is {step}, expected a length above 0")
    norm = _norm(direction, sorted(direction))
    if not (norm > 0 and np.isfinite(norm)):
        raise InputError(f"the direction has length {norm}; there is no step along it")
    if unknown := set(direction) - set(model.parameters):
        raise InputError(f"the direction is also in {sorted(unknown)}, which the model does not train")
    rng = np.random.default_rng(seed)
    batch = model.encode(samples)
    start = {name: value.copy() for name, value in model.parameters.items()}
    jitters = [{name: jitter * rng.standard_normal(value.shape) for name, value in start.items()} for _ in range(draws)]
    along = {
        name: np.reshape(_unit(np.asarray(direction.get(name, np.zeros(value.shape)), float), norm), value.shape)
        for name, value in start.items()
    }

    def losses(length: float) -> NDArray:
        shifts = ({name: value - length * along[name] for name, value in one.items()} for one in jitters)
        return np.array([_loss_at(model, start, shift, batch, target, loss) for shift in shifts])

    def change(length: float) -> LossChange:
        differences = losses(length) - losses_here
        return LossChange(
            mean=float(differences.mean()), error=float(differences.std(ddof=1) / np.sqrt(draws)), step=length
        )

    try:
        losses_here = losses(0.0)
        return _adapted(change, step)
    finally:
        _put(model, start)


def _adapted(change: Callable[[float], LossChange], step: float) -> LossChange:
    found = change(step)
    for _ in range(8):
        if abs(found.mean) < found.error:
            bigger = change(2 * found.step)
            if abs(bigger.mean) < bigger.error:
                break
            found = bigger
            continue
        half = change(found.step / 2)
        if abs(found.mean - 2 * half.mean) <= abs(found.mean) / 4 + 2 * np.hypot(found.error, 2 * half.error):
            break
        found = half
    return found


def _loss_at(model: Model, start: Arrays, shift: Arrays, batch: Any, target: ArrayLike, loss: Loss) -> float:
    _put(model, {name: value + np.asarray(shift[name], value.dtype) for name, value in start.items()})
    return model.evaluate(batch, target, loss)[0]


def _put(model: Model, values: Arrays) -> None:
    for name, value in values.items():
        model.parameters[name][...] = value
    model.changed()


def _norm(part: Arrays, names: list[str]) -> float:
    largest = max((float(np.abs(part[name]).max(initial=0)) for name in names), default=0.0)
    if largest == 0:
        return 0.0
    return largest * float(np.sqrt(sum(np.square(np.asarray(part[name], float) / largest).sum() for name in names)))


def _unit(values: NDArray, norm: float) -> NDArray:
    return values / norm if norm > 0 else np.zeros_like(values)
