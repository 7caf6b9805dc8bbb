"""A loss along a line and over a plane through a point (Li, Xu, Taylor, Studer & Goldstein 2018).

    landscape.plane(f).plot()

Weights that are ten times as large, and divided by ten in the next layer, make the same network, but a random step of
one length looks ten times as small beside them. So each filter of a random direction, the weights into one neuron, gets
the length of that filter at the point (Li et al. 2018, section 4): pictures of the two networks are then the same.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, ON, colour_bar, name_axes, prepare
from dvs.errors import ParameterError
from learning.landscape.finding import Finding
from learning.landscape.objective import Objective, Vector
from learning.progress import training_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def filter_normalised(objective: Objective, direction: ArrayLike, *, at: ArrayLike | None = None) -> Vector:
    """The direction (size,), each filter of it as long as that of x; where x has a filter of zeros, zero.

    >>> from learning.landscape import of_function
    >>> f = of_function(lambda x: 0.0, lambda x: 0 * x, [3.0, 4.0, 0.1], filters=[0, 0, 1])
    >>> filter_normalised(f, [1.0, 0.0, -7.0]).tolist()
    [5.0, 0.0, -0.1]
    """
    x, d = objective.at(at), objective.at(direction)
    lengths, wanted = (np.sqrt(np.bincount(objective.filters, weights=vector**2)) for vector in (d, x))
    factors = np.divide(wanted, lengths, out=np.zeros_like(wanted), where=lengths > 0)
    return d * factors[objective.filters]


def random_direction(objective: Objective, *, at: ArrayLike | None = None, seed: int = 0) -> Vector:
    """A direction drawn from a Gaussian, filter by filter as long as x."""
    drawn = np.random.default_rng(seed).standard_normal(objective.size)
    return filter_normalised(objective, drawn, at=at)


@dataclass(frozen=True, kw_only=True, eq=False)
class Line(Finding):
    """A loss along a line. distances (k,): in lengths of the direction; losses (k,)."""

    distances: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def width(self) -> float:
        """The length over which the loss stays below twice its value in the middle; infinite if all of it does."""
        middle = int(np.argmin(np.abs(self.distances)))
        high = np.flatnonzero(self.losses > 2 * self.losses[middle])
        left, right = high[high < middle], high[high > middle]
        if not left.size or not right.size:
            return np.inf
        return float(self.distances[right[0]] - self.distances[left[-1]])

    @property
    def reading(self) -> str:
        """How low, how wide, and whether the middle is the lowest place."""
        middle = int(np.argmin(np.abs(self.distances)))
        lowest = int(np.argmin(self.losses))
        wide = f"twice that {self.width:.3g} apart" if np.isfinite(self.width) else "less than twice that at an end"
        lower = "" if lowest == middle else f"; lower, {self.losses[lowest]:.3g}, at {self.distances[lowest]:.3g}"
        return f"loss {self.losses[middle]:.3g} in the middle, {wide}{lower}"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The loss over the distance."""
        ax = prepare(ax)
        ax.plot(self.distances, self.losses, color=ON)
        ax.axvline(0, color=INK, linewidth=0.6, linestyle=":")
        name_axes(ax, "distance (lengths of the weights)", "loss")
        return ax


def line(
    objective: Objective,
    *,
    direction: ArrayLike | None = None,
    at: ArrayLike | None = None,
    span: float = 1.0,
    points: int = 41,
    seed: int = 0,
    progress: bool = True,
) -> Line:
    """The loss from -span to span along a direction through x; without one, along one that the seed draws.

    The random direction has the lengths of the filters of x; a direction that is given is taken as it is.
    """
    _check(span, points)
    x = objective.at(at)
    d = random_direction(objective, at=x, seed=seed) if direction is None else objective.at(direction)
    distances = np.linspace(-span, span, points)
    with training_bar(points, 0, progress) as advance:
        losses = []
        for distance in distances:
            losses.append(objective.value(x + distance * d))
            advance("line", "")
    return Line(distances=distances, losses=np.array(losses))


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane(Finding):
    """A loss over a plane. first (m,) and second (n,): distances along its directions; losses (n, m)."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def reading(self) -> str:
        """How deep it is, and how round."""
        low, high = self.losses.min(), self.losses.max()
        row, column = np.unravel_index(np.argmin(self.losses), self.losses.shape)
        return (
            f"loss from {low:.3g} at ({self.first[column]:.2g}, {self.second[row]:.2g}) to {high:.3g}; "
            f"{count_valleys(self.losses)} place(s) lower than all around"
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The loss as colours with lines of equal height."""
        ax = prepare(ax, width_in=5.0, height_in=4.2, grid=False)
        draw_heights(ax, self.first, self.second, self.losses)
        ax.plot(0, 0, "x", color="white", markeredgewidth=2)
        ax.set_aspect("equal")
        name_axes(ax, "along the first direction", "along the second")
        return ax


def plane(
    objective: Objective,
    *,
    directions: tuple[ArrayLike, ArrayLike] | None = None,
    at: ArrayLike | None = None,
    span: float = 1.0,
    points: int = 21,
    seed: int = 0,
    progress: bool = True,
) -> Plane:
    """The loss over a square of -span to span around x; without two directions, over two that the seed draws."""
    _check(span, points)
    x = objective.at(at)
    if directions is None:
        pair = [random_direction(objective, at=x, seed=2 * seed + k) for k in range(2)]
    else:
        pair = [objective.at(direction) for direction in directions]
    distances = np.linspace(-span, span, points)
    return Plane(
        first=distances, second=distances, losses=heights(objective, x, pair, distances, distances, progress=progress)
    )


def heights(
    objective: Objective,
    origin: Vector,
    directions: list[Vector],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    progress: bool,
) -> NDArray[np.float64]:
    """The loss at each point of a grid, (second, first)."""
    found = np.empty((second.size, first.size))
    with training_bar(found.size, 0, progress) as advance:
        for row, along_second in enumerate(second):
            for column, along_first in enumerate(first):
                x = origin + along_first * directions[0] + along_second * directions[1]
                found[row, column] = objective.value(x)
                advance("plane", "")
    return found


def draw_heights(ax: "Axes", first: NDArray, second: NDArray, losses: NDArray) -> None:
    """Colours and lines of equal height, even in the logarithm where losses span decades."""
    from matplotlib.colors import LogNorm, Normalize

    low, high = float(losses.min()), float(losses.max())
    decades = low > 0 and high > 20 * low
    levels = np.geomspace(low, high, 14) if decades else np.linspace(low, high if high > low else low + 1, 14)
    norm = LogNorm(low, high) if decades else Normalize(levels[0], levels[-1])
    image = ax.contourf(first, second, losses, levels=levels, norm=norm, cmap="cividis", extend="both")
    ax.contour(first, second, losses, levels=levels, colors="white", linewidths=0.4, alpha=0.6)
    colour_bar(ax, image, "loss", format="%.2g", ticks=levels[::3])


def count_valleys(losses: NDArray) -> int:
    """Places on a grid that are lower than their eight neighbours; those at the edge do not count."""
    inner = losses[1:-1, 1:-1]
    around = [
        losses[1 + row : losses.shape[0] - 1 + row, 1 + column : losses.shape[1] - 1 + column]
        for row in (-1, 0, 1)
        for column in (-1, 0, 1)
        if (row, column) != (0, 0)
    ]
    return int(np.all([inner < other for other in around], axis=0).sum())


def _check(span: float, points: int) -> None:
    if not span > 0:
        raise ParameterError(f"span is {span}, expected more than 0")
    if points < 3:
        raise ParameterError(f"points is {points}, expected 3 or more")
