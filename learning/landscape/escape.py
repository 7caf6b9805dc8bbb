"""How long a descent stays at a saddle: measured, and what is known of it.

    f = landscape.quadratic([1.0, -0.1])
    found = landscape.escape_time(f, landscape.by_optimiser(SGD, noise=0.01), 0.1, radius=1.0)
    landscape.share_outside(found.most, curvature=-0.1, rate=0.1, noise=0.01, radius=1.0)

Along a direction of curvature -c descent with the rate eta is x -> (1 + eta c) x: it leaves by itself unless it stands
where x = 0. Noise puts it off that place (Ge et al. 2015, "Escaping from saddle points"; Jin et al. 2017, "How to
escape saddle points efficiently"); Newton's method, which divides by the curvature, goes there from anywhere (Dauphin
et al. 2014, "Identifying and attacking the saddle point problem").
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, ON, legend, name_axes, prepare
from dvs.errors import InputError, ParameterError
from learning.landscape.curvature import hessian
from learning.landscape.finding import Finding
from learning.landscape.methods import GRADIENT_COST, Method, Task, as_task
from learning.landscape.objective import Objective, Vector, of_function
from learning.optimisers import SGD, Momentum, Nesterov, Optimiser, rate_at
from learning.progress import training_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def quadratic(curvatures: ArrayLike, *, start: ArrayLike | None = None) -> Objective:
    """sum_i c_i x_i^2/2, a saddle at 0 if some of the curvatures c are negative. start: 0 by default.

    >>> quadratic([1.0, -2.0]).slope(np.array([1.0, 1.0]))
    (-0.5, array([ 1., -2.]))
    """
    c = np.array(curvatures, float)
    return of_function(
        lambda x: c @ x**2 / 2,
        lambda x: c * x,
        np.zeros(c.shape) if start is None else start,
        product=lambda x, v: c * v,
    )


# What is known


def growth(optimiser: Optimiser, curvature: float) -> float:
    """By which factor a step multiplies the distance along a direction of negative curvature, in the long run.

    With a = rate |curvature| it is 1 + a for SGD; the larger root of z^2 - (1 + beta + a) z + beta for Momentum; that
    of z^2 - (1 + beta)(1 + a) z + beta (1 + a) for Nesterov. Others divide by the gradient, and have none.
    """
    return _modes(optimiser, curvature)[0]


def steps_to_leave(optimiser: Optimiser, *, curvature: float, nudge: float, radius: float) -> float:
    """Steps from the distance nudge to the radius, at rest at first: ln(radius/nudge)/ln(1 + a) for SGD.

    With momentum the distance is A z^k + (nudge - A) y^k of the two roots z > 1 > y, the second of which has faded.
    """
    if not 0 < nudge <= radius:
        raise ParameterError(
            f"nudge is {nudge} and radius {radius}, expected 0 < nudge <= radius; without one it stays"
        )
    z, y, first = _modes(optimiser, curvature)
    return float(np.log(radius * (z - y) / (nudge * (first - y))) / np.log(z))


def noise_variance(steps: ArrayLike, *, curvature: float, rate: float, noise: float) -> NDArray[np.float64]:
    """Of the place along a direction after k steps of SGD from the saddle: s^2 (q^k - 1)/(q - 1).

    q = (1 - rate curvature)^2, s = rate noise, with noise the standard deviation that is added to the gradient.
    """
    k, q = np.asarray(steps, float), (1 - rate * curvature) ** 2
    return (rate * noise) ** 2 * (k if q == 1 else (q**k - 1) / (q - 1))


def share_outside(
    steps: ArrayLike, *, curvature: float, rate: float, noise: float, radius: float, directions: int = 1
) -> NDArray[np.float64]:
    """Share of runs of SGD with noise that are beyond the radius at step k, having begun at the saddle.

    directions: how many have this curvature. The squared distance over `noise_variance` is chi-squared with as many
    degrees of freedom. It counts who is outside, not who has been: for noise far below the radius that is nearly
    the same, as who is outside is driven on; `first_passage` is without error.
    """
    from scipy.stats import chi2

    with np.errstate(divide="ignore"):
        return chi2.sf(radius**2 / noise_variance(steps, curvature=curvature, rate=rate, noise=noise), directions)


def first_passage(most: int, *, curvature: float, rate: float, noise: float, radius: float) -> NDArray[np.float64]:
    """Share of runs in one direction that have left by the steps 1 to most, (most,).

    The density of those that are still within is carried from step to step by an integral over [-radius, radius], by
    Gauss-Legendre quadrature: p(y) = int p(x) N(y; (1 - rate curvature) x, rate noise) dx.
    """
    sigma = rate * noise
    if not 0 < sigma <= radius or radius > 300 * sigma:
        raise ParameterError(
            f"radius is {radius}, expected 1 to 300 times the noise of a step, {sigma:g}; "
            "beyond that `share_outside` is as good"
        )
    nodes, weights = np.polynomial.legendre.leggauss(int(4 * radius / sigma) + 40)
    nodes, weights = radius * nodes, radius * weights

    def bell(z: NDArray) -> NDArray:
        return np.exp(-((z / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))

    onward = bell(nodes[:, None] - (1 - rate * curvature) * nodes) * weights
    density, left = bell(nodes), []
    for _ in range(most):
        left.append(1 - weights @ density)
        density = onward @ density
    return np.array(left)


def _modes(optimiser: Optimiser, curvature: float) -> tuple[float, float, float]:
    """The roots of a step, the larger first, and the distance after the first step from 1 and at rest."""
    if not curvature < 0:
        raise ParameterError(f"curvature is {curvature}, expected one below 0; no descent leaves a valley")
    a = rate_at(optimiser.learning_rate, 0) * -curvature
    if isinstance(optimiser, Nesterov):
        beta = optimiser.momentum
        total, product, first = (1 + beta) * (1 + a), beta * (1 + a), 1 + a * (1 + beta)
    elif isinstance(optimiser, Momentum):
        total, product, first = 1 + optimiser.momentum + a, optimiser.momentum, 1 + a
    elif type(optimiser) is SGD:
        total, product, first = 1 + a, 0.0, 1 + a
    else:
        raise ParameterError(f"{type(optimiser).__name__} is not linear in the gradient, and has no factor of growth")
    z = (total + np.sqrt(total**2 - 4 * product)) / 2
    return float(z), float(product / z), float(first)


# What is measured


@dataclass(frozen=True, kw_only=True, eq=False)
class Escape(Finding):
    """After how many steps each run was beyond the radius, (seeds,); inf if it was not after the most steps.

    cost: what a step costs on average, in units.
    """

    method: str
    steps: Vector
    most: int
    radius: float
    cost: float

    @property
    def left(self) -> float:
        """Share of the runs that left."""
        return float(np.isfinite(self.steps).mean())

    @property
    def median(self) -> float:
        """Of the steps; inf if half of the runs stayed."""
        return float(np.percentile(self.steps, 50, method="inverted_cdf"))

    @property
    def reading(self) -> str:
        """How many left, and when."""
        if not self.left:
            return f"{self.method} stayed at the saddle for {self.most} steps, in all of {self.steps.size} runs"
        low, middle, high = np.percentile(self.steps, [25, 50, 75], method="inverted_cdf")
        who = f"{int(np.isfinite(self.steps).sum())} of {self.steps.size} runs"
        when = f"median {middle:.4g}" + (f", quartiles {low:.4g} and {high:.4g}" if low < high else "")
        return f"{self.method} left the saddle in {who}, after {when} steps of cost {self.cost:.3g}"

    def plot(self, ax: "Axes | None" = None, *, law: ArrayLike | None = None, color: str = ON) -> "Axes":
        """Share of the runs that have left over the steps; law: what is expected after the steps 1, 2, ..."""
        ax = prepare(ax)
        at = np.sort(self.steps[np.isfinite(self.steps)])
        share = np.arange(1, at.size + 1) / self.steps.size
        end = self.most if self.left < 1 else at[-1]
        ax.step([0, *at, end], [0, *share, self.left], where="post", color=color, label=self.method)
        if law is not None:
            law = np.asarray(law, float)[: int(end)]
            ax.plot(np.arange(1, law.size + 1), law, "--", color=INK, linewidth=1, label="expected")
        ax.set_ylim(-0.03, 1.03)
        name_axes(ax, "steps", "share that has left")
        legend(ax)
        return ax


def escape_time(
    what: Task | Objective,
    method: Method,
    rate: float | None = None,
    *,
    saddle: ArrayLike | None = None,
    radius: float,
    nudge: float | ArrayLike = 0.0,
    away: Callable[[Vector], float] | None = None,
    most: int = 1000,
    seeds: Sequence[int] = tuple(range(20)),
    progress: bool = True,
) -> Escape:
    """After how many steps a method is further than the radius from a saddle at which it began.

    rate: by default the first of the method's. saddle: by default the start of the objective. nudge: distance at which
    it begins, in a direction drawn by the seed, or the vector (size,) of where it begins from the saddle. away: the
    distance of an x, by default its Euclidean distance from the saddle; for a `tied` saddle, that from what is tied.
    A run that ends because its gradient is no longer finite has left.
    """
    task = as_task(what)
    centre = task.start if saddle is None else np.array(saddle, float)
    if centre.shape != task.start.shape:
        raise InputError(f"saddle has shape {centre.shape}, expected {task.start.shape}")
    if not radius > 0 or most < 1 or not seeds:
        raise ParameterError(f"radius {radius}, {most} steps, {len(seeds)} seeds: expected all to be above 0")
    rate = method.rates[0] if rate is None else rate
    left, costs = [], []
    with training_bar(len(seeds), 0, progress) as advance:
        for seed in seeds:
            place, chance = np.random.default_rng(seed).spawn(2)
            begun = replace(task, start=centre + _nudge(nudge, centre.size, place))
            walk = method.walk(begun, rate, chance, float(most * GRADIENT_COST * task.samples))
            left.append(_left(walk, away or (lambda x: float(np.linalg.norm(x - centre))), radius, most, costs))
            advance(method.name, "")
    return Escape(method=method.name, steps=np.array(left), most=most, radius=radius, cost=float(np.mean(costs)))


def newton(objective: Objective) -> Method:
    """Newton's method, x - rate H^-1 g, by the whole Hessian: a control, which saddles attract.

    It costs a gradient and, for each number, two more.
    """

    def walk(task: Task, rate: float, rng: np.random.Generator, cost: float) -> Iterator[tuple[float, Vector]]:
        x = task.start
        while True:
            x = x - rate * np.linalg.solve(hessian(objective, at=x), task.slope(x, None)[1])
            yield GRADIENT_COST * task.samples * (1 + 2 * x.size), x

    return Method(name="Newton", rates=(1.0,), walk=walk)


# Saddles of a network


def tied(x: ArrayLike, groups: ArrayLike) -> Vector:
    """X with all numbers of a group at their mean; groups (size,): 0 and up.

    >>> tied([1.0, 3.0, 5.0], [0, 0, 1]).tolist()
    [2.0, 2.0, 5.0]
    """
    x, groups = np.asarray(x, float), np.asarray(groups, int)
    return (np.bincount(groups, x) / np.bincount(groups))[groups]


def tied_minimum(
    objective: Objective, groups: ArrayLike, *, at: ArrayLike | None = None, steps: int = 2000, tolerance: float = 1e-9
) -> Vector:
    """The lowest point among those whose numbers are equal within each group, from x tied: a saddle, or a minimum.

    With weights tied so that all hidden neurons are alike, the gradient is tied too, by symmetry: what has no slope
    among the tied has none at all. By BFGS (SciPy), until the gradient is as short as the tolerance. Raises
    `InputError` if it stays longer, or where the gradient is not tied, as then the groups are no symmetry.
    """
    from scipy.optimize import minimize

    groups = np.asarray(groups, int)
    if groups.shape != objective.start.shape:
        raise InputError(f"groups have shape {groups.shape}, expected {objective.start.shape}, one for each number")
    begin = tied(objective.at(at), groups)
    first = np.unique(groups, return_index=True)[1]
    slope = objective.slope(begin)[1]
    if np.linalg.norm(slope - tied(slope, groups)) > 1e-6 * np.linalg.norm(slope):
        raise InputError("the gradient at a tied x is not tied; give groups of numbers that a symmetry exchanges")
    # In root-sized units a step among the tied is as long as among all.
    root = np.sqrt(np.bincount(groups))

    def among(z: Vector) -> tuple[float, Vector]:
        value, gradient = objective.slope((z / root)[groups])
        return value, np.bincount(groups, gradient) / root

    found = minimize(among, begin[first] * root, jac=True, method="BFGS", options={"maxiter": steps, "gtol": tolerance})
    length = float(np.linalg.norm(found.jac))
    if length > 100 * tolerance:
        raise InputError(
            f"the gradient is still {length:.2g} after {found.nit} steps; give more, or a larger tolerance"
        )
    return (found.x / root)[groups]


def _nudge(nudge: float | ArrayLike, size: int, rng: np.random.Generator) -> Vector:
    if np.ndim(nudge):
        return np.asarray(nudge, float)
    direction = rng.standard_normal(size)
    return float(nudge) * direction / np.linalg.norm(direction)


def _left(
    walk: Iterator[tuple[float, Vector]],
    away: Callable[[Vector], float],
    radius: float,
    most: int,
    costs: list[float],
) -> float:
    k = 0
    try:
        for k, (cost, x) in enumerate(islice(walk, most), 1):
            costs.append(cost)
            if not away(x) <= radius:
                return k
    except InputError:
        return k
    return np.inf
