"""Baird's star: what happens to a rule that is the gradient of nothing.

landscape.baird("semi-gradient").plot()
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from dvs.errors import InputError, ParameterError
from learning.landscape.finding import Finding
from learning.landscape.objective import Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BairdRule = Literal["semi-gradient", "on-policy", "residual", "tdc"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Baird(Finding):
    """Learning by temporal differences on Baird's star.

    weights (steps + 1, 8). values (steps + 1,): root mean square of the seven values, all of which should be 0.
    growth: of the values a step, as a logarithm, over the last half. expected: what it should tend to, the logarithm
    of the largest |1 + rate * eigenvalue| of the expected update that the values show.
    """

    rule: BairdRule
    weights: NDArray[np.float64]
    values: Vector
    growth: float
    expected: float

    @property
    def reading(self) -> str:
        """Whether it goes away or comes home."""
        fate = "diverges" if self.values[-1] > self.values[0] else "converges"
        return (
            f"{self.rule} {fate}: values from {self.values[0]:.3g} to {self.values[-1]:.3g} in {len(self.values) - 1} "
            f"steps, at last by {self.growth:+.3g} a step in the logarithm; its eigenvalues say {self.expected:+.3g}"
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The eight weights over the steps, as in figure 11.2 of Sutton & Barto."""
        ax = prepare(ax)
        for k, weight in enumerate(self.weights.T):
            colour, name = ("#9aa5b1", "1 to 6") if k < 6 else ((ON, "7") if k == 6 else (OFF, "8"))
            ax.plot(weight, color=colour, linewidth=1.2, label=f"weight {name}" if k in (0, 6, 7) else None)
        ax.axhline(0, color=INK, linewidth=0.6)
        name_axes(ax, "step", f"weights, {self.rule}")
        legend(ax)
        return ax


def baird(
    rule: BairdRule = "semi-gradient",
    *,
    gamma: float = 0.99,
    rate: float = 0.01,
    second_rate: float = 0.05,
    steps: int = 1000,
    start: ArrayLike = (1, 1, 1, 1, 1, 1, 10, 1),
    sampled: bool = False,
    seed: int = 0,
) -> Baird:
    """Baird's star of seven states and eight weights, on which a rule that is no gradient runs away.

    Baird (1995), "Residual algorithms"; numbers as in Sutton & Barto (2018), figure 11.1. The values are 2 w_k + w_8 of
    the first six states and w_7 + 2 w_8 of the seventh; the solid action leads to the seventh, the dashed one to any
    of the six, and reward is 0. The behaviour visits all states alike (dashed with probability 6/7), and the policy
    that is evaluated always goes solid.

    rule: "semi-gradient" is TD(0). "on-policy": the same, of the values of the behaviour itself, which converges
    (Tsitsiklis & Van Roy 1997). "residual": the gradient of the squared error (Baird 1995), which sees the only next
    state there is. "tdc": TD with gradient correction (Sutton et al. 2009), whose second weights learn at `second_rate`
    from 0. sampled: one state, action and next state a step, drawn from `seed`; otherwise the expected update.

    With w_1 = ... = w_6 the expected semi-gradient update has three eigenvalues: 0, and

        lambda = (17 gamma - 15 +- sqrt((17 gamma - 15)^2 - 104 (1 - gamma))) / 14

    so that it runs away for gamma above 15/17, if the rate is small.
    """
    if rule not in get_args(BairdRule):
        raise ParameterError(f"rule is {rule!r}, expected one of {list(get_args(BairdRule))}")
    if steps < 4:
        raise ParameterError(f"steps is {steps}, expected 4 or more")
    w = np.array(start, float)
    if w.shape != (8,) or not np.isfinite(w).all():
        raise InputError(f"start has shape {w.shape}, expected 8 finite weights")
    features = _star_features()
    change = _star_update(rule, features, gamma, rate, second_rate)
    z = np.concatenate([w, np.zeros(len(change) - 8)])
    weights = np.empty((steps + 1, 8))
    weights[0] = w
    moves = _star_samples(features, rule, gamma, rate, second_rate, seed) if sampled else None
    for step in range(steps):
        z = z + (next(moves)(z) if moves else change @ z)
        weights[step + 1] = z[:8]
    values = np.sqrt(np.square(weights @ features.T).mean(axis=1))
    half = steps // 2
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    eigenvalues, vectors = np.linalg.eig(change)
    # Directions of weights that no value shows neither grow nor matter.
    shown = np.linalg.norm(features @ vectors[:8], axis=0) > 1e-9
    return Baird(
        rule=rule,
        weights=weights,
        values=values,
        growth=float((logs[-1] - logs[half]) / (steps - half)),
        expected=float(np.log(np.abs(1 + eigenvalues[shown]).max())),
    )


def _star_features() -> NDArray[np.float64]:
    features = np.zeros((7, 8))
    features[:6, :6], features[:6, 7] = 2 * np.eye(6), 1
    features[6, 6:] = 1, 2
    return features


def _star_update(rule: BairdRule, phi: NDArray, gamma: float, rate: float, second_rate: float) -> NDArray:
    """M of the expected update z -> z + M z; z are the weights, and the second ones of "tdc" after them."""
    solid = np.zeros((7, 7))
    solid[:, 6] = 1
    chain = np.full((7, 7), 1 / 7) if rule == "on-policy" else solid
    error = (gamma * chain - np.eye(7)) @ phi  # of the values, a row for each state
    if rule == "residual":
        return -rate * error.T @ error / 7
    if rule != "tdc":
        return rate * phi.T @ error / 7
    return np.block(
        [
            [rate * phi.T @ error / 7, -rate * gamma * (chain @ phi).T @ phi / 7],
            [second_rate * phi.T @ error / 7, -second_rate * phi.T @ phi / 7],
        ]
    )


def _star_samples(
    phi: NDArray, rule: BairdRule, gamma: float, rate: float, second_rate: float, seed: int
) -> Iterator[Callable[[Vector], Vector]]:
    """Sampled updates of z, one a step, along one walk of the behaviour; the policy's action weighs 7 or 0."""
    rng = np.random.default_rng(seed)
    state = int(rng.integers(7))
    while True:
        after = int(rng.integers(7))
        weight = 1.0 if rule == "on-policy" else 7.0 * (after == 6)
        x, new = phi[state], phi[after]

        def update(z: Vector, x: Vector = x, new: Vector = new, weight: float = weight) -> Vector:
            error = weight * (gamma * new - x) @ z[:8]
            if rule == "residual":
                return rate * error * (x - gamma * new)
            if rule != "tdc":
                return rate * error * x
            seen = x @ z[8:]
            return np.concatenate(
                [rate * (error * x - weight * gamma * seen * new), second_rate * (error - weight * seen) * x]
            )

        yield update
        state = after
