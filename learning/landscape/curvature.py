"""The Hessian of a loss: its products with vectors, its ends, its spectrum and the share of ways down.

    f = landscape.of_model(model, events, labels, loss)
    print(landscape.eigenpairs(f, 10))
    landscape.density(f).plot()

A Hessian-vector product is exact where the objective has a formula for it, and otherwise the difference of two exact
gradients, symmetric about x:

    H v = (g(x + h v) - g(x - h v)) / 2h + O(h^2)

Two lengths h and 2h say how far off it is: their products differ by three times the error of the shorter one, as long
as it is the third derivative that counts, and by the rounding where it is not. Lanczos' method needs nothing else of a
Hessian (Lanczos 1950; Golub & Van Loan, "Matrix Computations", 4th ed., 10.1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from dvs.errors import InputError, ParameterError
from learning.landscape.finding import Finding
from learning.landscape.objective import Objective, Vector, needs_exact
from learning.progress import training_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from scipy.sparse.linalg import LinearOperator

Ends = Literal["largest", "smallest", "both"]

_DENSE = 2000  # numbers up to which all of a Hessian is computed for its index


@dataclass(frozen=True, kw_only=True, eq=False)
class Product:
    """A Hessian times a vector (size,), and the estimated length of its error."""

    value: Vector
    error: float


def hessian_product(
    objective: Objective, vector: ArrayLike, *, at: ArrayLike | None = None, step: float | None = None
) -> Product:
    """The Hessian at x times a vector.

    at: x, by default the start. step: how far along the vector the gradients lie that are subtracted, as a length; by
    default so short that rounding costs the eighth digit. From four gradients, as the two more say what the error is.
    Raises `ParameterError` for an objective that is not `exact`.
    """
    needs_exact(objective, "a Hessian")
    x, v = objective.at(at), objective.at(vector)
    if objective.product is not None:
        return Product(value=np.asarray(objective.product(x, v), float), error=0.0)
    if not v.any():
        return Product(value=np.zeros_like(v), error=0.0)
    step = _step(x) if step is None else step
    near, far = (_difference(objective, x, v, length) for length in (step, 2 * step))
    return Product(value=near, error=float(np.linalg.norm(far - near)) / 3)


def hessian_operator(
    objective: Objective, *, at: ArrayLike | None = None, step: float | None = None
) -> "LinearOperator":
    """The Hessian at x as SciPy's linear operator, two gradients a product."""
    from scipy.sparse.linalg import LinearOperator

    needs_exact(objective, "a Hessian")
    x = objective.at(at)
    return LinearOperator((x.size, x.size), matvec=_multiplier(objective, x, step), dtype=float)


def hessian(objective: Objective, *, at: ArrayLike | None = None) -> NDArray[np.float64]:
    """All of the Hessian (size, size), made symmetric; for some thousand numbers at most."""
    needs_exact(objective, "a Hessian")
    x = objective.at(at)
    multiply = _multiplier(objective, x, None)
    columns = np.stack([multiply(unit) for unit in np.eye(x.size)], axis=1)
    return (columns + columns.T) / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Eigenpairs(Finding):
    """Extreme eigenvalues of a Hessian, the largest first, and their directions.

    values (k,); vectors (size, k), of length 1; residuals (k,): |H v - value v|, within which an eigenvalue of the
    Hessian lies, but for errors (k,): how far off H v is, as its differences tell. products: Hessian-vector products
    that it took.
    """

    values: NDArray[np.float64]
    vectors: NDArray[np.float64]
    residuals: NDArray[np.float64]
    errors: NDArray[np.float64]
    products: int

    @property
    def reading(self) -> str:
        """Sharpness, and the deepest way down."""
        lowest = self.values[-1]
        down = f"the steepest way down has curvature {lowest:.3g}" if lowest < 0 else "none of them leads down"
        off = float(np.max(self.errors / np.maximum(np.abs(self.values), np.finfo(float).tiny)))
        rough = f"; at this step differences are {100 * off:.0f} % off" if off > 0.01 else ""
        return f"{self.values.size} eigenvalues from {self.values[0]:.3g} to {lowest:.3g}; {down}{rough}"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The eigenvalues in their order."""
        ax = prepare(ax)
        ranks = np.arange(1, self.values.size + 1)
        colours = np.where(self.values < 0, OFF, ON)
        ax.vlines(ranks, 0, self.values, colors=colours, linewidth=2)
        ax.scatter(ranks, self.values, c=colours, s=18, zorder=3)
        ax.axhline(0, color=INK, linewidth=0.6)
        ax.xaxis.get_major_locator().set_params(integer=True)
        name_axes(ax, "rank", "eigenvalue")
        return ax


def eigenpairs(
    objective: Objective,
    count: int = 10,
    *,
    ends: Ends = "largest",
    at: ArrayLike | None = None,
    tolerance: float = 1e-6,
    step: float | None = None,
    first: ArrayLike | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Eigenpairs:
    """Extreme eigenpairs of the Hessian at x, by Lanczos' method with restarts (ARPACK, through SciPy).

    ends: "largest", "smallest" (the most negative), or "both", half of each. tolerance: of an eigenvalue, relative to
    it. first: a vector to begin with, as one that is known from nearby; by default the seed draws one. Raises
    `InputError` where gradients are too rough for it, which is the fate of float32.
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    needs_exact(objective, "a Hessian")
    x = objective.at(at)
    if not 1 <= count <= x.size:
        raise ParameterError(f"count is {count}, expected 1 to {x.size} eigenpairs of {x.size} numbers")
    which = {"largest": "LA", "smallest": "SA", "both": "BE"}.get(ends)
    if which is None:
        raise ParameterError(f"ends is {ends!r}, expected 'largest', 'smallest' or 'both'")
    multiply = _multiplier(objective, x, step)
    done = 0
    with training_bar(None, 0, progress) as advance:

        def counted(v: Vector) -> Vector:
            nonlocal done
            done += 1
            advance("eigenpairs", f"{done} Hessian-vector products")
            return multiply(v)

        if x.size < max(2 * count + 2, 20):
            whole = np.stack([counted(unit) for unit in np.eye(x.size)], axis=1)
            values, vectors = eigh((whole + whole.T) / 2)
            chosen = _chosen(x.size, count, ends)
            values, vectors = values[chosen], vectors[:, chosen]
        else:
            begin = np.random.default_rng(seed).standard_normal(x.size) if first is None else objective.at(first)
            operator = LinearOperator((x.size, x.size), matvec=counted, dtype=float)
            try:
                values, vectors = eigsh(operator, count, which=which, tol=tolerance, v0=begin)
            except ArpackNoConvergence as error:
                raise InputError(
                    f"{len(error.eigenvalues)} of {count} eigenvalues converged to {tolerance:g} in {done} products; "
                    "give a larger tolerance, or a model of float64"
                ) from error
        order = np.argsort(values)[::-1]
        values, vectors = values[order], vectors[:, order]
        images = [hessian_product(objective, v, at=x, step=step) for v in vectors.T]
        residuals = [
            np.linalg.norm(image.value - value * v) for image, value, v in zip(images, values, vectors.T, strict=True)
        ]
    return Eigenpairs(
        values=values,
        vectors=vectors,
        residuals=np.array(residuals),
        errors=np.array([image.error for image in images]),
        products=done + len(images),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Density(Finding):
    """The spectrum of a Hessian, as far as some random vectors see it.

    nodes and weights (probes, depth): eigenvalues that each vector sees, and its share of each, which sum to 1.
    """

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    size: int

    def mean(self, power: int = 1) -> float:
        """The mean of a power of the eigenvalues: 1 for the trace over the size."""
        return float((self.weights * self.nodes**power).sum(axis=1).mean())

    def share(self, low: float, high: float) -> float:
        """Share of the eigenvalues in [low, high)."""
        inside = (self.nodes >= low) & (self.nodes < high)
        return float((self.weights * inside).sum(axis=1).mean())

    def curve(self, at: ArrayLike, width: float) -> NDArray[np.float64]:
        """The density at some values, each eigenvalue as a Gaussian of this standard deviation."""
        at = np.asarray(at, float)
        z = (at[..., None] - self.nodes.ravel()) / width
        bells = np.exp(-(z**2) / 2) / (width * np.sqrt(2 * np.pi))
        return bells @ self.weights.ravel() / len(self.nodes)

    @property
    def reading(self) -> str:
        """Ends, middle and how much of it is nearly flat."""
        top = float(np.abs(self.nodes).max())
        flat = self.share(-0.01 * top, 0.01 * top)
        return (
            f"eigenvalues from {self.nodes.min():.3g} to {self.nodes.max():.3g}, mean {self.mean():.3g}; "
            f"{100 * flat:.1f} % within 1 % of the largest around zero, {100 * self.share(-np.inf, 0):.1f} % below zero"
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The density on a logarithmic scale, as most eigenvalues are nearly zero."""
        ax = prepare(ax)
        span = float(np.ptp(self.nodes)) or 1.0
        at = np.linspace(self.nodes.min() - 0.05 * span, self.nodes.max() + 0.05 * span, 1000)
        curve = self.curve(at, 0.01 * span)
        ax.semilogy(at, curve, color=ON)
        ax.fill_between(at, 1e-12, curve, where=at < 0, color=OFF, alpha=0.3, label="ways down")
        ax.set_ylim(curve.max() * 1e-7, 3 * curve.max())
        name_axes(ax, "eigenvalue", "density")
        legend(ax)
        return ax


def density(
    objective: Objective,
    *,
    at: ArrayLike | None = None,
    probes: int = 8,
    depth: int = 40,
    step: float | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Density:
    """The spectrum of the Hessian at x by stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017, algorithm 1).

    probes: random vectors of +1 and -1 over the square root of the size. depth: Lanczos steps of each; as many as
    there are different eigenvalues give it without error, fewer the moments up to 2 depth - 1.
    """
    needs_exact(objective, "a Hessian")
    x = objective.at(at)
    for name, number in {"probes": probes, "depth": depth}.items():
        if number < 1:
            raise ParameterError(f"{name} is {number}, expected 1 or more")
    depth = min(depth, x.size)
    rng = np.random.default_rng(seed)
    multiply = _multiplier(objective, x, step)
    nodes, weights = np.zeros((2, probes, depth))
    with training_bar(probes * depth, 0, progress) as advance:

        def counted(v: Vector) -> Vector:
            advance("spectrum", "")
            return multiply(v)

        for probe in range(probes):
            first = rng.choice([-1.0, 1.0], x.size) / np.sqrt(x.size)
            found, share = _quadrature(counted, first, depth)
            nodes[probe, : found.size], weights[probe, : found.size] = found, share
            nodes[probe, found.size :] = found[-1]
    return Density(nodes=nodes, weights=weights, size=x.size)


def _quadrature(multiply: Callable[[Vector], Vector], first: Vector, depth: int) -> tuple[Vector, Vector]:
    """Nodes and weights of Gauss' quadrature from Lanczos' tridiagonal matrix (Golub & Welsch 1969)."""
    from scipy.linalg import eigh_tridiagonal

    basis = [first]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        image = multiply(basis[-1])
        diagonal.append(float(image @ basis[-1]))
        if len(basis) == depth:
            break
        # Twice against all that came before: rounding would let directions that are done come back as copies.
        for _ in range(2):
            for known in basis:
                image -= (image @ known) * known
        length = float(np.linalg.norm(image))
        if length <= 1e-10 * max(map(abs, diagonal + beside), default=0.0):
            break  # the vector sees no other eigenvalues
        beside.append(length)
        basis.append(image / length)
    nodes, vectors = eigh_tridiagonal(np.array(diagonal), np.array(beside))
    return nodes, vectors[0] ** 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Index(Finding):
    """Which share of the directions at x leads down.

    negative, flat, positive: shares, which sum to 1; flat is closer to zero than what can be told from it. error:
    standard error of the negative share, 0 where all eigenvalues were computed.
    """

    negative: float
    flat: float
    positive: float
    error: float
    eigenvalues: NDArray[np.float64] | None

    @property
    def reading(self) -> str:
        """What kind of a point it is."""
        kind = "no way down" if self.negative == 0 else "a maximum" if self.negative == 1 else "a saddle or a slope"
        spread = f" +- {100 * self.error:.2g}" if self.error else ""
        return (
            f"{100 * self.negative:.3g}{spread} % of the directions lead down, {100 * self.positive:.3g} % up, "
            f"{100 * self.flat:.3g} % are flat: {kind}"
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The three shares."""
        ax = prepare(ax, width_in=4.0)
        shares = {"down": self.negative, "flat": self.flat, "up": self.positive}
        ax.bar(shares.keys(), [100 * share for share in shares.values()], color=[OFF, "#9aa5b1", ON])
        name_axes(ax, "", "directions (%)")
        return ax


def index(
    objective: Objective,
    *,
    at: ArrayLike | None = None,
    flat: float = 1e-6,
    probes: int = 16,
    depth: int = 60,
    seed: int = 0,
    progress: bool = True,
) -> Index:
    """The share of negative directions of the Hessian at x.

    flat: what counts as zero, as a share of the largest eigenvalue. Up to two thousand numbers all eigenvalues are
    computed, beyond it is estimated from the `density`, of so many probes and of this depth.
    """
    x = objective.at(at)
    if x.size <= _DENSE:
        values = np.linalg.eigvalsh(hessian(objective, at=x))
        limit = flat * float(np.abs(values).max())
        down, up = float((values < -limit).mean()), float((values > limit).mean())
        flat = float((np.abs(values) <= limit).mean())
        return Index(negative=down, flat=flat, positive=up, error=0.0, eigenvalues=values)
    seen = density(objective, at=x, probes=probes, depth=depth, seed=seed, progress=progress)
    limit = flat * float(np.abs(seen.nodes).max())
    by_probe = (seen.weights * (seen.nodes < -limit)).sum(axis=1)
    down, up = float(by_probe.mean()), seen.share(limit, np.inf)
    error = float(by_probe.std(ddof=1)) / np.sqrt(probes) if probes > 1 else np.nan
    return Index(negative=down, flat=max(0.0, 1 - down - up), positive=up, error=error, eigenvalues=None)


def _chosen(size: int, count: int, ends: Ends) -> NDArray[np.int64]:
    """Places in ascending eigenvalues."""
    below = {"largest": 0, "smallest": count, "both": count // 2}[ends]
    return np.concatenate([np.arange(below), np.arange(size - (count - below), size)])


def _step(x: Vector) -> float:
    """A step at which rounding costs about the eighth digit.

    The rule for functions as wide as x is long, eps^(1/3), is too long for spikes: a neuron at its threshold turns a
    valley into a ledge within a thousandth of the weights.
    """
    return float(10 * np.finfo(float).eps ** (1 / 2) * (1 + np.linalg.norm(x)))


def _difference(objective: Objective, x: Vector, v: Vector, length: float) -> Vector:
    norm = float(np.linalg.norm(v))
    shift = length / norm * v
    return (objective.slope(x + shift)[1] - objective.slope(x - shift)[1]) * (norm / (2 * length))


def _multiplier(objective: Objective, x: Vector, step: float | None) -> Callable[[Vector], Vector]:
    """V -> H v."""
    if objective.product is not None:
        return lambda v: np.asarray(objective.product(x, np.ravel(v)), float)
    length = _step(x) if step is None else step
    return lambda v: _difference(objective, x, np.ravel(v), length)
