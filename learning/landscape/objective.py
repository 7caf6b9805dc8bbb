"""A loss as a function of one vector, which is all that the landscape's tools know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from learning.landscape.weights import Vector, Weights
from learning.losses import Loss, Regulariser
from learning.model import Model


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective:
    """A differentiable function of a vector x (size,).

    value(x): the loss. slope(x): the loss and its gradient (size,). start: an x to begin with. product(x, v): the
    Hessian at x times v, where a formula is known; else it is measured from gradients. filters: for each number of x
    which filter it is part of (size,), from 0 on: the numbers that together decide on one neuron. names: which numbers
    of x each parameter holds. exact: whether `slope` is the derivative of `value`; a surrogate gradient of spikes is
    that of no function.
    """

    value: Callable[[Vector], float]
    slope: Callable[[Vector], tuple[float, Vector]]
    start: Vector
    product: Callable[[Vector, Vector], Vector] | None = None
    filters: NDArray[np.int64]
    names: Mapping[str, slice] = field(default_factory=dict)
    exact: bool = True

    @property
    def size(self) -> int:
        """How many numbers x has."""
        return self.start.size

    def at(self, x: ArrayLike | None) -> Vector:
        """X as a vector, or the start; raises `InputError` for one of another size or that is not finite."""
        if x is None:
            return self.start.copy()
        found = np.array(x, float)
        if found.shape != self.start.shape or not np.isfinite(found).all():
            raise InputError(f"x has shape {found.shape}, expected {self.start.shape} finite numbers")
        return found


def of_function(
    value: Callable[[Vector], float],
    gradient: Callable[[Vector], Vector],
    start: ArrayLike,
    *,
    product: Callable[[Vector, Vector], Vector] | None = None,
    filters: ArrayLike | None = None,
) -> Objective:
    """Any differentiable function. filters: without them all numbers are one.

    >>> bowl = of_function(lambda x: float(x @ x), lambda x: 2 * x, [1.0, 2.0])
    >>> bowl.slope(bowl.start)
    (5.0, array([2., 4.]))
    """
    start = np.array(start, float)
    if start.ndim != 1 or not start.size:
        raise InputError(f"start has shape {start.shape}, expected one dimension")
    labels = np.zeros(start.size, int) if filters is None else np.asarray(filters, int)
    if labels.shape != start.shape:
        raise InputError(
            f"filters have shape {labels.shape}, expected one number for each of the {start.size} of start"
        )
    return Objective(
        value=lambda x: float(value(x)),
        slope=lambda x: (float(value(x)), np.asarray(gradient(x), float)),
        start=start,
        product=product,
        filters=labels,
    )


def of_model(
    model: Model,
    samples: Any,
    targets: ArrayLike,
    loss: Loss,
    *,
    regularisers: Mapping[str, Regulariser] | None = None,
) -> Objective:
    """The loss of a `learning.Model` on some samples, as a function of all its parameters, one after the other.

    It begins where the model is, and leaves the model as it was. For curvature make the model with
    `smooth=True, through_reset=True, precision="float64"`: then the gradient is the derivative of the loss. Another
    one gives an objective that is not `exact`.

    Raises `InputError` where x leaves the limits of a parameter, as there the model would not follow.
    """
    batch, targets = model.encode(samples), np.asarray(targets)
    regularisers = dict(regularisers or {})
    weights = Weights(model)

    def there(x: Vector, work: Callable[[], Any]) -> Any:
        def checked(settled: Vector) -> Any:
            off = np.flatnonzero(settled != weights.rounded(x))
            if off.size:
                name = next(name for name, part in weights.names.items() if off[0] < part.stop)
                raise InputError(f"x leaves the limits of {name}; make the model with wider limits, or stay inside")
            return work()

        return weights.at(x, checked)

    def value() -> float:
        run = model.forward(batch)
        found, _, _ = loss.evaluate(run.output, targets)
        return float(found + sum(price.evaluate(run.counts[name])[0] for name, price in regularisers.items()))

    def slope() -> tuple[float, Vector]:
        found = model.gradient(batch, targets, loss, regularisers)
        return float(found.value), weights.joined(found.gradients)

    filters, count = [], 0
    for neurons in model.neurons().values():
        _, labels = np.unique(neurons, return_inverse=True)
        filters.append(count + labels)
        count += int(labels.max()) + 1
    settings = model.settings()
    return Objective(
        value=lambda x: there(x, value),
        slope=lambda x: there(x, slope),
        start=weights.start,
        filters=np.concatenate(filters),
        names=weights.names,
        exact=settings["smooth"] == settings["through_reset"] == "True" and float(settings["damping"]) == 1,
    )


def needs_exact(objective: Objective, what: str) -> None:
    """Raise `ParameterError` where the slope is not the derivative of the value."""
    if not objective.exact:
        raise ParameterError(
            f"{what} needs a loss whose gradient is its derivative; make the model with smooth=True, "
            'through_reset=True, damping=1 and precision="float64"'
        )
