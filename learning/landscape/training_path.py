"""The way that training took: in the plane where most of it lies, and how sharp the valley was along it.

kept = landscape.Kept(model)
model.fit(events, labels, ..., on_epoch=kept)
landscape.trajectory(f, kept.points).plot()
landscape.sharpness(f, kept.points, learning_rate=0.1).plot()
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from dvs.errors import InputError
from learning.history import History
from learning.landscape.curvature import eigenpairs
from learning.landscape.finding import Finding
from learning.landscape.objective import Objective, Vector
from learning.landscape.slices import draw_heights, heights
from learning.landscape.weights import Weights
from learning.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Kept:
    """Keeps where a model is: now, and after each epoch of a training that gets this as `on_epoch`.

    points: each (size,), in the order of `of_model`.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.points: list[Vector] = []
        self._weights = Weights(model)
        self()

    def __call__(self, history: History | None = None) -> None:
        """Keep one point more."""
        self.points.append(self._weights.joined(self._model.parameters))


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory(Finding):
    """A way in the plane of its principal directions.

    path (k, 2): where it went, seen from its end. explained (2,): shares of its variance in the two directions.
    first (m,), second (n,), losses (n, m): the loss over the plane through the end.
    """

    path: NDArray[np.float64]
    explained: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def reading(self) -> str:
        """How much of the way the picture shows, and how straight it was."""
        steps = np.linalg.norm(np.diff(self.path, axis=0), axis=1).sum()
        straight = np.linalg.norm(self.path[-1] - self.path[0]) / steps if steps else 1.0
        return (
            f"two directions hold {100 * self.explained.sum():.1f} % of the way's variance; in their plane it went "
            f"{steps:.3g} far, {100 * straight:.0f} % of that straight to its end"
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The way over the heights of the plane."""
        ax = prepare(ax, width_in=5.4, height_in=4.2, grid=False)
        draw_heights(ax, self.first, self.second, self.losses)
        ax.plot(*self.path.T, "o-", color="white", markersize=3, linewidth=1.2)
        ax.plot(*self.path[-1], "*", color=OFF, markersize=11)
        shares = [f"direction {k + 1} ({100 * share:.0f} %)" for k, share in enumerate(self.explained)]
        name_axes(ax, *shares)
        return ax


def trajectory(
    objective: Objective,
    points: Sequence[ArrayLike],
    *,
    grid: int = 21,
    margin: float = 0.3,
    progress: bool = True,
) -> Trajectory:
    """The way through these points in the plane of its two principal components (Li et al. 2018, section 7).

    Components are those of the differences to the last point. grid: points of the plane each way. margin: how far it
    reaches beyond the way, as a share. Raises `InputError` for fewer than three points.
    """
    way = np.stack([objective.at(point) for point in points])
    if len(way) < 3:
        raise InputError(f"{len(way)} points came, expected 3 or more; keep one after each epoch with landscape.Kept")
    offsets = way - way[-1]
    if not offsets.any():
        raise InputError("all points are the same; give those of a training")
    _, lengths, directions = np.linalg.svd(offsets, full_matrices=False)
    path = offsets @ directions[:2].T
    axes = []
    for along in path.T:
        reach = margin * max(float(np.ptp(along)), 0.1 * float(np.ptp(path)))
        axes.append(np.linspace(along.min() - reach, along.max() + reach, grid))
    losses = heights(objective, way[-1], list(directions[:2]), *axes, progress=progress)
    explained = (lengths**2 / (lengths**2).sum())[:2]
    return Trajectory(path=path, explained=explained, first=axes[0], second=axes[1], losses=losses)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sharpness(Finding):
    """The largest eigenvalue of the Hessian along a way.

    values (k,) and losses (k,) at its points, which lie after so many `epochs` (k,); limit: curvature 2 / learning rate
    from which on gradient descent leaves a quadratic valley, None where no rate was given.
    """

    values: NDArray[np.float64]
    losses: NDArray[np.float64]
    epochs: NDArray[np.int64]
    limit: float | None

    @property
    def reading(self) -> str:
        """Where it began, where it ended, and where that is beside what gradient descent can hold."""
        text = f"sharpness from {self.values[0]:.3g} to {self.values[-1]:.3g}, {self.values.max():.3g} at most"
        if self.limit is None:
            return text
        share = self.values[-1] / self.limit
        return f"{text}; gradient descent holds up to {self.limit:.3g}, at the end it is {share:.2g} times that"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Sharpness over the points, and the limit."""
        ax = prepare(ax)
        ax.plot(self.epochs, self.values, "o-", color=ON, markersize=3, label="largest eigenvalue")
        if self.limit is not None:
            ax.axhline(self.limit, color=INK, linestyle="--", linewidth=1, label="2 / learning rate")
        ax.set_ylim(bottom=min(0.0, float(self.values.min())))
        ax.xaxis.get_major_locator().set_params(integer=True)
        name_axes(ax, "epoch", "sharpness")
        legend(ax)
        return ax


def sharpness(
    objective: Objective,
    points: Sequence[ArrayLike],
    *,
    epochs: ArrayLike | None = None,
    learning_rate: float | None = None,
    tolerance: float = 1e-3,
    seed: int = 0,
    progress: bool = True,
) -> Sharpness:
    """The largest eigenvalue of the Hessian at each of the points.

    epochs: after how many each lies, by default 0, 1, 2, ... learning_rate: of gradient descent; it holds a valley of
    curvature below 2 / learning rate, at which training often settles (Cohen et al. 2021, "Gradient descent on neural
    networks typically occurs at the edge of stability").
    """
    values, losses = [], []
    first = None
    for point in points:
        x = objective.at(point)
        found = eigenpairs(objective, 1, at=x, tolerance=tolerance, seed=seed, first=first, progress=progress)
        first = found.vectors[:, 0]  # the direction turns slowly
        values.append(float(found.values[0]))
        losses.append(objective.value(x))
    if not values:
        raise InputError("no points came; keep one after each epoch with landscape.Kept")
    limit = None if learning_rate is None else 2 / learning_rate
    after = np.arange(len(values)) if epochs is None else np.asarray(epochs)
    if after.shape != (len(values),):
        raise InputError(f"epochs have shape {after.shape}, expected one for each of the {len(values)} points")
    return Sharpness(values=np.array(values), losses=np.array(losses), epochs=after, limit=limit)
