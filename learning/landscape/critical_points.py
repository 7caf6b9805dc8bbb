"""Critical points: how many of their directions lead down, against height and number of parameters.

    found = landscape.index_law(landscape.random_field(20), starts=40)
    print(found)
    found.plot()

In one dimension every second critical point is a minimum. In n dimensions a minimum has n directions that all go up,
and a random symmetric matrix hardly ever does that; what a descent meets is a saddle (Dauphin et al. 2014, "Identifying
and attacking the saddle point problem in high-dimensional non-convex optimization"). Three laws stand beside what is
measured:

- Wigner's semicircle, moved by c: of eigenvalues with mean c on a semicircle of radius R the share below zero is
  1/2 - (arcsin(c/R) + c/R sqrt(1 - (c/R)^2)) / pi. In a Gaussian field c falls in proportion to the height, which
  makes high critical points saddles and low ones minima (Bray & Dean 2007, "Statistics of critical points of Gaussian
  fields on large-dimensional spaces", Phys. Rev. Lett. 98:150201).
- All eigenvalues of a matrix of the Gaussian orthogonal ensemble (GOE) are positive with a probability that falls as
  exp(-(ln 3)/4 n^2) (Dean & Majumdar 2006, "Large deviations of extreme eigenvalues of random matrices", Phys. Rev.
  Lett. 97:160201), where n coins would have 2^-n.
- Critical points of a Gaussian field are at heights of their own, and more often where the Hessian's determinant is
  large. With both, few more of them are minima than of the coins: `field_shares`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from dvs.errors import InputError, ParameterError
from learning.landscape.curvature import hessian
from learning.landscape.finding import Finding
from learning.landscape.objective import Objective, Vector, needs_exact, of_function
from learning.progress import training_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 2000  # numbers up to which whole Hessians are computed
_PLAIN = "#9aa5b1"


def semicircle_index(shift: ArrayLike) -> NDArray[np.float64]:
    """Share below zero of a semicircle of eigenvalues whose mean is `shift` radii; of the shape of shift.

    >>> semicircle_index([-2, 0, 0.5, 1]).round(4).tolist()
    [1.0, 0.5, 0.1955, 0.0]
    """
    s = np.clip(np.asarray(shift, float), -1, 1)
    return 0.5 - (np.arcsin(s) + s * np.sqrt(1 - s**2)) / np.pi


def all_uphill(size: int) -> float:
    """Probability that all eigenvalues of a GOE matrix of this size are positive; exact, for 1 to 12.

    The joint density |prod (a_i - a_j)| exp(-sum a_i^2 / 2) is integrated over the half line and over the whole one,
    each by a Pfaffian (de Bruijn 1955, "On some multiple integrals involving determinants"): any monic polynomials may
    stand in the determinant, and those orthogonal on the domain keep the digits.

    >>> [round(all_uphill(size), 6) for size in (1, 2, 3)]  # 1/2, (2 - sqrt(2))/4, 1/4 - 1/(sqrt(2) pi)
    [0.5, 0.146447, 0.024921]
    """
    if not 1 <= size <= 12:
        raise ParameterError(f"size is {size}, expected 1 to 12; beyond it is about exp(-0.2747 size^2)")
    return float(np.exp(_log_pfaffian(size, 0.0) - _log_pfaffian(size, -12.0)))


def _log_pfaffian(size: int, low: float) -> float:
    """Logarithm of the integral over (low, 12)^size, but for a factor that depends on the size alone."""
    count = 240
    nodes, weights = np.polynomial.legendre.leggauss(count)
    x, weights = low + (nodes + 1) * (12 - low) / 2, weights * (12 - low) / 2
    bell = np.exp(-(x**2) / 2)
    # Orthonormal polynomials for exp(-x^2) by Stieltjes' recursion; `logs` holds what makes them monic again.
    columns, logs = [np.ones(count)], 0.0
    for degree in range(size):
        for _ in range(2):
            for known in columns[:degree]:
                columns[degree] = columns[degree] - (weights * bell**2 * columns[degree]) @ known * known
        length = np.sqrt((weights * bell**2) @ columns[degree] ** 2)
        columns[degree] = columns[degree] / length
        logs += np.log(length) * (size - degree)
        columns.append(x * columns[degree])
    f = np.stack(columns[:size]) * bell
    # Integrals from `low` to each node, without error for what these nodes resolve: Legendre series, integrated.
    legendre = np.polynomial.legendre.legvander(nodes, count - 1)
    series = (f * weights * 2 / (12 - low)) @ legendre * (np.arange(count) + 0.5)
    upto = np.polynomial.legendre.legval(nodes, np.polynomial.legendre.legint(series.T, lbnd=-1)) * (12 - low) / 2
    whole = f @ weights
    matrix = 2 * (upto * weights) @ f.T - np.outer(whole, whole)
    if size % 2:
        matrix = np.block([[matrix, whole[:, None]], [-whole[None, :], np.zeros((1, 1))]])
    return float(np.linalg.slogdet(matrix)[1]) / 2 + logs


def field_shares(size: int, *, draws: int = 20_000, seed: int = 0) -> NDArray[np.float64]:
    """Of the critical points of an isotropic Gaussian field, the share with 0, 1 ... size directions down (size + 1,).

    For a Gaussian covariance (and, as shares do not depend on it, for any whose Hessian is a GOE matrix plus a normal
    number z of the variance of its elements, times the identity). By Kac & Rice a point counts |det H|; with it the
    density of z and the eigenvalues is that of size + 1 eigenvalues of the GOE, times exp(-z^2/4) (after Fyodorov 2004,
    "Complexity of random energy landscapes", Phys. Rev. Lett. 92:240601). So the share with k directions down is in
    proportion to the mean of exp(-a_k^2/4), where a_k is the k-th of size + 1 eigenvalues. That mean is over `draws`
    matrices. In two dimensions it gives 1/4, 1/2, 1/4; in three minima are (29 - 6 sqrt(6))/116 = 0.1233 of all
    (Bardeen, Bond, Kaiser & Szalay 1986, "The statistics of peaks of Gaussian random fields").
    """
    if size < 1 or draws < 1:
        raise ParameterError(f"size and draws are {size} and {draws}, expected 1 or more")
    rng = np.random.default_rng(seed)
    sums = np.zeros(size + 1)
    for first in range(0, draws, 1000):
        values = np.linalg.eigvalsh(goe(size + 1, rng, count=min(1000, draws - first)))
        sums += np.exp(-(values**2) / 4).sum(axis=0)
    sums += sums[::-1]  # a field and its negative are equally likely
    return sums / sums.sum()


def goe(size: int, rng: np.random.Generator, *, count: int = 1) -> NDArray[np.float64]:
    """Symmetric random matrices (count, size, size): variance 1 beside the diagonal, 2 on it; radius 2 sqrt(size)."""
    drawn = rng.standard_normal((count, size, size))
    return (drawn + drawn.transpose(0, 2, 1)) / np.sqrt(2)


def random_field(size: int, *, waves: int = 500, seed: int = 0) -> Objective:
    """A random landscape: f(x) = sqrt(2/waves) sum cos(k.x + phase), with normal k of variance 1.

    For many waves a Gaussian field of variance 1 and covariance exp(-d^2/2). At height f its Hessian is then a GOE
    matrix, less f times the identity, and the law of its index `semicircle_index(-f / (2 sqrt(size)))`.
    """
    if size < 1 or waves < 1:
        raise ParameterError(f"size and waves are {size} and {waves}, expected 1 or more")
    rng = np.random.default_rng(seed)
    k, phases = rng.standard_normal((waves, size)), rng.uniform(0, 2 * np.pi, waves)
    scale = np.sqrt(2 / waves)
    return of_function(
        lambda x: scale * float(np.cos(k @ x + phases).sum()),
        lambda x: -scale * np.sin(k @ x + phases) @ k,
        np.zeros(size),
        product=lambda x, v: -scale * (np.cos(k @ x + phases) * (k @ v)) @ k,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class IndexLaw(Finding):
    """Critical points of a function, and which share of their directions leads down.

    heights (found,): the function there. points (found, size). slopes (found,): lengths of the gradient that was left.
    eigenvalues (found, size): of the Hessian, ascending; what is within `flat` of zero, relative to the largest, is
    neither up nor down. tried: starts; those that are missing ended where the gradient is not zero, though it gets no
    smaller nearby.
    """

    heights: NDArray[np.float64]
    points: NDArray[np.float64]
    slopes: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    tried: int
    flat: float

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.eigenvalues.shape[1]

    @property
    def down(self) -> NDArray[np.float64]:
        """Share of the directions that lead down (found,)."""
        return (self.eigenvalues < -self._limits).mean(axis=1)

    @property
    def up(self) -> NDArray[np.float64]:
        """Share of the directions that lead up (found,)."""
        return (self.eigenvalues > self._limits).mean(axis=1)

    @property
    def shift(self) -> NDArray[np.float64]:
        """Mean of the eigenvalues in radii of the semicircle that has their mean and spread (found,)."""
        radius = 2 * self.eigenvalues.std(axis=1, ddof=min(1, self.size - 1))
        mean = self.eigenvalues.mean(axis=1)
        return np.divide(mean, radius, out=np.copysign(np.inf, mean), where=radius > 0)

    @property
    def law(self) -> NDArray[np.float64]:
        """The share below zero of that semicircle (found,)."""
        return semicircle_index(self.shift)

    @property
    def distinct(self) -> int:
        """How many heights there are, to six digits: a point that was found twice, or its mirror image, is one."""
        return len(np.unique(np.round(self.heights, 6)))

    @property
    def correlation(self) -> float:
        """Spearman's rank correlation of height and share of directions down; NaN if one of them does not vary."""
        from scipy.stats import spearmanr

        if len(self.heights) < 3 or not np.ptp(self.heights) or not np.ptp(self.down):
            return float("nan")
        return float(spearmanr(self.heights, self.down).statistic)

    @property
    def reading(self) -> str:
        """How the index goes with the height, whether it is the semicircle's, and what was not found."""
        found = len(self.heights)
        if not found:
            return f"none of {self.tried} starts ended at a critical point of these {self.size} numbers"
        off = self.down - self.law
        minima = int((self.down == 0).sum())
        known = self.correlation
        with_height = "" if np.isnan(known) else f"; rank correlation with height {known:.2f}"
        return (
            f"{found} of {self.tried} starts in {self.size} numbers ended at critical points, of {self.distinct} "
            f"heights: {100 * self.down.mean():.3g} % of directions lead down, {100 * self.up.mean():.3g} % up, in "
            f"{minima} points none down{with_height}; the semicircle is off by {100 * np.abs(off).mean():.2g} points "
            "on average"
        )

    @property
    def _limits(self) -> NDArray[np.float64]:
        return self.flat * np.abs(self.eigenvalues).max(axis=1, keepdims=True)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Share of directions down over height, and the semicircle's whose shift is linear in height."""
        ax = prepare(ax)
        ax.scatter(self.heights, 100 * self.down, s=20, color=ON, alpha=0.8, label="critical points", zorder=3)
        use = np.isfinite(self.shift)
        if use.sum() > 2 and np.ptp(self.heights[use]) > 0:
            line = np.polynomial.Polynomial.fit(self.heights[use], self.shift[use], 1)
            at = np.linspace(self.heights.min(), self.heights.max(), 200)
            ax.plot(at, 100 * semicircle_index(line(at)), color=OFF, label="moved semicircle")
        ax.set_ylim(-3, 103 if self.down.size and self.down.max() > 0.65 else 68)
        name_axes(ax, "height (value at the critical point)", "directions down (%)")
        legend(ax)
        return ax


def index_law(
    objective: Objective,
    *,
    starts: int | ArrayLike = 30,
    spread: float = 1.0,
    descents: Sequence[int] = (0, 0, 2, 5, 15, 200),
    tolerance: float = 1e-8,
    steps: int = 100,
    flat: float = 1e-6,
    seed: int = 0,
    progress: bool = True,
) -> IndexLaw:
    """Find critical points of many heights, and count in which directions they lead down.

    From each start the function first descends for some steps (L-BFGS; `descents`, one after the other and again), and
    then |gradient|^2 does, from wherever that is, by Levenberg and Marquardt's method with the Hessian as derivative of
    the gradient (MINPACK, through SciPy). The first makes the heights differ, the second goes uphill as readily as
    down. It may end where the Hessian maps the gradient to nothing, at a slope that is no critical point (Frye et al.
    2021, "Critical point-finding methods reveal gradient-flat regions of deep network losses"); kept are points whose
    gradient is shorter than `tolerance`. They are no fair sample: each is found as often as starts lead to it.

    starts: how many, normal about the objective's own with standard deviation `spread`; or an array (starts, size).
    flat: eigenvalues this close to zero, relative to the largest of a point, are neither. Costs a Hessian a step: of
    2000 numbers at most. Raises `ParameterError` for more, and for an objective that is not `exact`.
    """
    from scipy.optimize import least_squares, minimize

    needs_exact(objective, "a critical point")
    if objective.size > _MOST:
        raise ParameterError(f"the objective has {objective.size} numbers, expected {_MOST} at most")
    if min(descents, default=-1) < 0:
        raise ParameterError(f"descents are {tuple(descents)}, expected one or more numbers of steps")
    rng = np.random.default_rng(seed)
    if np.ndim(starts) == 0:
        begins = objective.start + spread * rng.standard_normal((int(starts), objective.size))
    else:
        begins = np.array(starts, float)
    if begins.ndim != 2 or begins.shape[1] != objective.size or not len(begins):
        raise InputError(f"starts have shape {begins.shape}, expected (starts, {objective.size})")

    def jacobian(x: Vector) -> NDArray[np.float64]:
        if objective.product is not None:
            return hessian(objective, at=x)
        # One gradient a column, half of what an accurate Hessian takes; it only has to show the way.
        here, step = objective.slope(x)[1], 1e-7 * (1 + np.abs(x).max())
        return np.stack([objective.slope(x + step * unit)[1] - here for unit in np.eye(x.size)], axis=1) / step

    points: list[Vector] = []
    with training_bar(len(begins), 0, progress) as advance:
        for number, x in enumerate(begins):
            if descent := descents[number % len(descents)]:
                x = minimize(objective.slope, x, jac=True, method="L-BFGS-B", options={"maxiter": descent}).x
            ended = least_squares(
                lambda x: objective.slope(x)[1],
                x,
                jac=jacobian,
                method="lm",
                xtol=1e-15,
                ftol=1e-6,  # of |gradient|^2 in a step: what gets no smaller is given up
                gtol=1e-15,
                max_nfev=steps,
            )
            if np.linalg.norm(ended.fun) < tolerance:
                points.append(ended.x)
            advance("critical points", f"{len(points)} found")
    at = np.array(points).reshape(-1, objective.size)
    slopes = [objective.slope(x) for x in at]
    return IndexLaw(
        heights=np.array([value for value, _ in slopes]),
        points=at,
        slopes=np.array([np.linalg.norm(slope) for _, slope in slopes]),
        eigenvalues=np.array([np.linalg.eigvalsh(hessian(objective, at=x)) for x in at]).reshape(at.shape),
        tried=len(begins),
        flat=flat,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class IndexBySize(Finding):
    """Critical points of functions of ever more numbers.

    sizes (functions,), ascending; found: critical points of each. up, down, errors (functions,): mean shares of their
    directions, and the standard error of `up`. minima (functions,): share of the points in which nothing leads down.
    All are NaN where too few points were found.
    """

    sizes: NDArray[np.int64]
    found: NDArray[np.int64]
    up: NDArray[np.float64]
    down: NDArray[np.float64]
    errors: NDArray[np.float64]
    minima: NDArray[np.float64]

    @property
    def reading(self) -> str:
        """From the fewest to the most numbers."""
        ends = [
            f"{size} numbers {100 * up:.3g} +- {100 * error:.2g} % up, {100 * minima:.3g} % of {found} points with no "
            "way down"
            for size, found, up, error, minima in zip(
                self.sizes, self.found, self.up, self.errors, self.minima, strict=True
            )
            if found
        ]
        if not ends:
            return f"no critical points were found, from {self.sizes[0]} to {self.sizes[-1]} numbers"
        return f"with {ends[0]}" + (f"; with {ends[-1]}" if len(ends) > 1 else "")

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Both shares over the number of parameters, on logarithmic axes, with what random matrices would do."""
        ax = prepare(ax)
        ax.errorbar(self.sizes, self.up, self.errors, color=ON, marker="o", ms=4, capsize=2, label="directions up")
        some = self.minima > 0  # 0 has no place on this axis
        ax.plot(self.sizes[some], self.minima[some], "s", color=OFF, ms=5, label="points with no way down")
        at = np.arange(1, min(int(self.sizes.max()), 12) + 1)
        field = [field_shares(int(size), draws=5000)[0] for size in at]
        for name, law, style in (
            ("Gaussian field", field, "-"),
            ("GOE matrix", [all_uphill(int(size)) for size in at], ":"),
        ):
            ax.plot(at, law, style, color=INK, linewidth=1, label=f"all up, {name}")
        ax.set(xscale="log", yscale="log", ylim=(1e-4, 1.6))
        name_axes(ax, "parameters", "share")
        legend(ax)
        return ax


def index_by_size(findings: Sequence[IndexLaw]) -> IndexBySize:
    """What `index_law` found for functions of several sizes, side by side.

    Raises `InputError` if there is none.
    """
    if not findings:
        raise InputError("there are no findings; give what index_law returned for one or more functions")
    every = sorted(findings, key=lambda one: one.size)
    found = np.array([len(one.heights) for one in every])
    up, down, minima, errors = np.full((4, len(every)), np.nan)
    for number, one in enumerate(every):
        if found[number]:
            up[number], down[number], minima[number] = one.up.mean(), one.down.mean(), (one.down == 0).mean()
        if found[number] > 1:
            errors[number] = one.up.std(ddof=1) / np.sqrt(found[number])
    return IndexBySize(
        sizes=np.array([one.size for one in every]), found=found, up=up, down=down, errors=errors, minima=minima
    )
