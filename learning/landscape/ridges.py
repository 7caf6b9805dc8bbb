"""Ridge Rider: solutions that differ, found by following eigenvectors of the Hessian down from a saddle.

    f = landscape.of_model(model, samples, labels, loss)
    saddle = landscape.saddle(f, near=x)
    tree = landscape.ridge_rider(f, saddle, step=0.05)
    print(tree)
    tree.plot()

Gradient descent leaves a saddle by its steepest way and finds the solution that lies there. Ridge Rider takes each way
of negative curvature, to both sides, and keeps to it as it turns; where it no longer leads down it takes the ways that
begin there (Parker-Holder, Metz, Resnick, Hu, Lerer, Letcher, Peysakhovich, Pacchiano & Foerster 2020, "Ridge Rider:
finding diverse solutions by following eigenvectors of the Hessian", algorithms 1 and 2). Unlike there, the end of a
ridge is first taken to the critical point beside it: the next ridges begin where no slope competes with them, and a
place that several orders of turns lead to is known again, and not ridden from twice.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from dvs.errors import InputError, ParameterError
from learning.landscape.curvature import Index, eigenpairs, hessian, hessian_operator, index
from learning.landscape.finding import Finding
from learning.landscape.objective import Objective, Vector, needs_exact
from learning.landscape.tracking import Meter, descend, track
from learning.progress import training_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Same = Callable[[Vector, Vector], bool]
Code = Callable[[Vector], ArrayLike]
Kind = Literal["saddle", "solution", "known", "lost"]

_DENSE = 500  # numbers up to which Newton's method has all of the Hessian


@dataclass(frozen=True, kw_only=True, eq=False)
class Saddle(Finding):
    """A critical point.

    x (size,); loss; gradient: length of what is left of it; distance: from where the search began; index: shares of
    the directions that lead down and up; gradients: how many it took.
    """

    x: Vector
    loss: float
    gradient: float
    distance: float
    index: Index
    gradients: int

    @property
    def reading(self) -> str:
        """What was found, and how well."""
        return (
            f"loss {self.loss:.4g}, a gradient of {self.gradient:.2g} is left, {self.distance:.3g} from the start; "
            f"{self.index.reading}"
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The eigenvalues where all are known, or the three shares."""
        if self.index.eigenvalues is None:
            return self.index.plot(ax)
        ax = prepare(ax)
        values = self.index.eigenvalues
        ax.bar(np.arange(1, values.size + 1), values, color=np.where(values < 0, OFF, ON))
        ax.axhline(0, color=INK, linewidth=0.6)
        name_axes(ax, "rank", "eigenvalue")
        return ax


def saddle(
    objective: Objective,
    near: ArrayLike | None = None,
    *,
    within: ArrayLike | None = None,
    tolerance: float = 1e-8,
    limit: int = 200,
    seed: int = 0,
    progress: bool = True,
) -> Saddle:
    """A critical point close to a point, by default to the start.

    By Newton's method on g(x) = 0 within trusted steps, that is least squares of the gradient with the Hessian as its
    derivative (`scipy.optimize.least_squares`). It may end where |g| is least and not zero: `gradient` says what is
    left. within (size, k): directions in which alone x is moved, to where the loss is least. If a symmetry of the loss
    leaves the points of this plane, and only them, where they are, its critical points are critical in all directions
    (Palais 1979, "The principle of symmetric criticality"): neurons with equal weights, for one.

    tolerance: a gradient as short is zero. limit: of steps. seed: of `index`, for more than two thousand numbers.
    """
    needs_exact(objective, "a saddle")
    _positive(tolerance=tolerance, limit=limit)
    meter = Meter(objective)
    f, first = meter.objective, objective.at(near)
    if within is None:
        x = _critical(f, first, tolerance, limit)
    else:
        plane = np.asarray(within, float)
        if plane.ndim != 2 or len(plane) != first.size:
            raise InputError(f"within has shape {plane.shape}, expected ({first.size}, directions)")
        plane, _ = np.linalg.qr(plane)
        inside = Objective(
            value=lambda z: f.value(first + plane @ z),
            slope=lambda z: (lambda found: (found[0], plane.T @ found[1]))(f.slope(first + plane @ z)),
            start=np.zeros(plane.shape[1]),
            filters=np.zeros(plane.shape[1], int),
        )
        z = descend(inside, inside.start, length=1.0, tolerance=tolerance, limit=limit)
        x = first + plane @ z
    loss, gradient = f.slope(x)
    return Saddle(
        x=x,
        loss=loss,
        gradient=float(np.linalg.norm(gradient)),
        distance=float(np.linalg.norm(x - first)),
        index=index(f, at=x, seed=seed, progress=progress),
        gradients=meter.gradients,
    )


def _critical(f: Objective, x: Vector, tolerance: float, limit: int) -> Vector:
    """Where the gradient is zero, or least, near x."""
    from scipy.optimize import least_squares

    if np.linalg.norm(f.slope(x)[1]) <= tolerance:
        return x
    dense = x.size <= _DENSE
    derivative = (lambda x: hessian(f, at=x)) if dense else (lambda x: hessian_operator(f, at=x))
    found = least_squares(
        lambda x: f.slope(x)[1], x, derivative, xtol=1e-14, ftol=1e-14, gtol=1e-4 * tolerance, max_nfev=limit,
        tr_solver="exact" if dense else "lsmr",
    )  # fmt: skip
    return found.x


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """Where a ride ended, and the ride.

    parent: number of the node where it began, None for the first. rank, sign: which eigenvector was followed, 0 the
    most negative, and to which side. kind: "saddle", "solution", "known" (it came to node `known`), "lost" (no
    critical point). x (size,), loss, gradient (length of what is left): there. depth: rides from the first node.
    length: of the ride, and to the critical point at its end. losses, curvatures, overlaps (steps,): along the ride;
    overlap is that of each eigenvector with the one before. path (steps, size), where it was asked for.
    """

    parent: int | None
    rank: int
    sign: int
    kind: Kind
    known: int | None = None
    x: Vector
    loss: float
    gradient: float
    depth: int
    length: float
    losses: Vector
    curvatures: Vector
    overlaps: Vector
    path: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Solutions:
    """Distinct minima.

    x (k, size); losses (k,); codes (k, features), or None; found_after (k,): gradients that were spent by then; tries:
    descents; gradients: that were spent in all.
    """

    x: NDArray[np.float64]
    losses: NDArray[np.float64]
    codes: NDArray[np.float64] | None
    found_after: NDArray[np.int64]
    tries: int
    gradients: int

    def __len__(self) -> int:
        return len(self.losses)

    def below(self, loss: float) -> "Solutions":
        """Those with a lower loss: of minima the ones that solve the task."""
        good = self.losses < loss
        return Solutions(
            x=self.x[good],
            losses=self.losses[good],
            codes=None if self.codes is None else self.codes[good],
            found_after=self.found_after[good],
            tries=self.tries,
            gradients=self.gradients,
        )

    @property
    def diversity(self) -> float:
        """Mean distance of two solutions; NaN for fewer."""
        return _mean_distance(self.x)

    @property
    def code_diversity(self) -> float:
        """Mean distance of two codes; NaN without."""
        return np.nan if self.codes is None else _mean_distance(self.codes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree(Finding):
    """All rides from a saddle: the nodes, the first of which is the saddle, and the solutions among them."""

    nodes: tuple[Node, ...]
    solutions: Solutions
    gradients: int

    @property
    def diversity(self) -> float:
        """Mean distance of two solutions."""
        return self.solutions.diversity

    def count(self, kind: Kind) -> int:
        """How many nodes are of a kind."""
        return sum(node.kind == kind for node in self.nodes)

    @property
    def reading(self) -> str:
        """How many solutions, how good, how far from each other."""
        found, rides = self.solutions, len(self.nodes) - 1
        what = "no solution" if not len(found) else "1 solution" if len(found) == 1 else f"{len(found)} solutions"
        losses = f" of loss {found.losses.min():.3g} to {found.losses.max():.3g}" if len(found) else ""
        apart = f", {found.diversity:.3g} apart on average" if len(found) > 1 else ""
        return (
            f"{rides} rides from a saddle of loss {self.nodes[0].loss:.3g}, over {self.count('saddle') - 1} more, came "
            f"to {what}{losses}{apart}; {self.count('known')} to a place that was known, {self.count('lost')} to none; "
            f"{self.gradients} gradients"
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The tree: each ride as the loss along it, from saddle to saddle to solution."""
        ax = prepare(ax, height_in=3.6)
        places = self._places()
        for number, node in enumerate(self.nodes[1:], start=1):
            end = number if node.known is None else node.known
            losses = np.append(node.losses, node.loss)
            steps = np.linspace(0, 1, losses.size)
            across = places[node.parent] + (places[end] - places[node.parent]) * steps
            seen = {"solution": (ON, 1.4, 1.0), "saddle": (OFF, 1.4, 1.0), "lost": (INK, 0.8, 0.4)}
            colour, width, alpha = seen.get(node.kind, (INK, 0.5, 0.15))
            ax.plot(across, losses, color=colour, linewidth=width, alpha=alpha, zorder=1 + (node.kind != "known"))
        marks: dict[Kind, tuple[str, str, str]] = {
            "saddle": ("o", "white", OFF),
            "solution": ("o", ON, ON),
            "lost": ("x", INK, INK),
        }
        for kind, (marker, face, edge) in marks.items():
            chosen = [number for number, node in enumerate(self.nodes) if node.kind == kind]
            if chosen:
                inside = {} if marker == "x" else {"edgecolors": edge}
                ax.scatter(
                    [places[number] for number in chosen], [self.nodes[number].loss for number in chosen], s=30,
                    marker=marker, c=face, label=kind, zorder=3, **inside,
                )  # fmt: skip
        ax.set_xticks([])
        name_axes(ax, "rides, the most curved of each saddle in its middle", "loss")
        legend(ax)
        return ax

    def _places(self) -> list[float]:
        """Across the picture: leaves side by side, a saddle over the middle of what it led to first."""
        children: list[list[int]] = [[] for _ in self.nodes]
        for number, node in enumerate(self.nodes):
            if node.parent is not None and node.known is None:
                children[node.parent].append(number)
        places, leaves = [0.0] * len(self.nodes), 0

        def set_out(number: int) -> None:
            nonlocal leaves
            below = sorted(children[number], key=lambda n: self.nodes[n].sign * (1 + self.nodes[n].rank))
            for child in below:
                set_out(child)
            if below:
                places[number] = float(np.mean([places[child] for child in below]))
            else:
                places[number] = float(leaves)
                leaves += 1

        set_out(0)
        return places


def ridge_rider(
    objective: Objective,
    saddle: Saddle | ArrayLike | None = None,
    *,
    step: float = 0.05,
    depth: int = 8,
    branches: int = 6,
    rides: int = 200,
    order: Literal["breadth", "curvature"] = "breadth",
    curvature: float = 1e-4,
    apart: float = 1e-3,
    same: Same | None = None,
    code: Code | None = None,
    tolerance: float = 1e-6,
    limit: int = 500,
    keep_paths: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Tree:
    """The tree of solutions below a saddle, by default below the start.

    From each saddle the `branches` most negative eigenvectors are followed to both sides in steps of length `step`,
    each time along the eigenvector that overlaps most with the last. A ride ends where its curvature turns positive,
    the loss would rise, or after `limit` steps. If ways down remain there, it moves to the critical point beside it,
    and is a new saddle; else, or at the last `depth`, it descends to a solution. At most so many `rides`, in the
    `order` of depth and then curvature, or of curvature alone.

    curvature: an eigenvalue above minus this leads nowhere. apart: solutions, and saddles, that are closer are one;
    `same(x, y)` decides instead where it is given, for one up to the order of neurons. code(x): features of a
    solution, as hidden activity, kept beside it. tolerance: a gradient as short is zero. keep_paths: keep all x of a
    ride. seed: of Lanczos' method at saddles; between equal eigenvalues it also chooses the directions.

    Raises `InputError` where no way leads down, and where the slope is steeper than the first step is curved.
    """
    needs_exact(objective, "a ridge")
    _positive(step=step, depth=depth, branches=branches, rides=rides, apart=apart, tolerance=tolerance, limit=limit)
    if order not in ("breadth", "curvature"):
        raise ParameterError(f"order is {order!r}, expected 'breadth' or 'curvature'")
    meter = Meter(objective)
    rider = _Rider(meter.objective, step, branches, curvature, tolerance, limit, seed)
    same = same or (lambda one, other: float(np.linalg.norm(one - other)) <= apart)
    start = objective.at(saddle.x if isinstance(saddle, Saddle) else saddle)
    loss, slope = meter.objective.slope(start)
    values, vectors = rider.ways_down(start)
    gradient = float(np.linalg.norm(slope))
    if not values.size:
        raise InputError(f"no eigenvalue is below {-curvature:g}: no ridge begins here; give a saddle")
    if gradient > -values[0] * step / 2:
        raise InputError(
            f"the gradient is {gradient:.2g} and the curvature {values[0]:.2g}, not felt in a step of {step:g}; "
            "give a critical point, as `saddle` finds them, or a longer step"
        )
    none = np.zeros(0)
    nodes = [
        Node(parent=None, rank=0, sign=0, kind="saddle", x=start, loss=loss, gradient=gradient, depth=0, length=0.0,
             losses=none, curvatures=none, overlaps=none)
    ]  # fmt: skip
    archive: list[tuple[float, float, int, int, int]] = []
    directions: dict[int, NDArray[np.float64]] = {}
    found_after: list[int] = []

    def branch(number: int, values: Vector, vectors: NDArray[np.float64]) -> None:
        directions[number] = vectors
        for rank, value in enumerate(values):
            for sign in (1, -1):
                first = nodes[number].depth if order == "breadth" else 0
                heapq.heappush(archive, (first, float(value), number, rank, -sign))

    branch(0, values, vectors)
    with training_bar(None, 0, progress) as advance:
        while archive and len(nodes) <= rides:
            _, value, parent, rank, mirrored = heapq.heappop(archive)
            origin = nodes[parent]
            ride = rider.ride(origin.x, origin.loss, -mirrored * directions[parent][:, rank], value)
            end = rider.settle(ride.x, ride.loss, deeper=origin.depth + 1 < depth)
            known = next((n for n, node in enumerate(nodes) if node.kind == end.kind and same(node.x, end.x)), None)
            nodes.append(
                Node(
                    parent=parent, rank=rank, sign=-mirrored, kind=end.kind if known is None else "known", known=known,
                    x=end.x, loss=end.loss, gradient=end.gradient, depth=origin.depth + 1,
                    length=step * (len(ride.losses) - 1) + float(np.linalg.norm(end.x - ride.x)),
                    losses=np.array(ride.losses), curvatures=np.array(ride.curvatures),
                    overlaps=np.array(ride.overlaps), path=np.array(ride.path) if keep_paths else None,
                )
            )  # fmt: skip
            if nodes[-1].kind == "solution":
                found_after.append(meter.gradients)
            elif nodes[-1].kind == "saddle":
                branch(len(nodes) - 1, end.values, end.vectors)
            advance("ridges", f"{len(nodes) - 1} rides, {len(found_after)} solutions")
    minima = [node for node in nodes if node.kind == "solution"]
    return Tree(
        nodes=tuple(nodes),
        solutions=_solutions(
            objective, [(n.x, n.loss) for n in minima], found_after, len(nodes) - 1, meter.gradients, code
        ),
        gradients=meter.gradients,
    )


@dataclass(kw_only=True)
class _Ride:
    x: Vector
    loss: float
    losses: list[float]
    curvatures: list[float]
    overlaps: list[float]
    path: list[Vector]


@dataclass(frozen=True, kw_only=True)
class _End:
    kind: Kind
    x: Vector
    loss: float
    gradient: float
    values: Vector
    vectors: NDArray[np.float64]


@dataclass(frozen=True)
class _Rider:
    """What a ride needs to know of where it goes and when it ends."""

    objective: Objective
    step: float
    branches: int
    curvature: float
    tolerance: float
    limit: int
    seed: int

    def ways_down(self, x: Vector) -> tuple[Vector, NDArray[np.float64]]:
        """The most negative eigenvalues, the lowest first, and their directions (GetRidges)."""
        count = min(self.branches, x.size)
        found = eigenpairs(self.objective, count, ends="smallest", at=x, seed=self.seed, progress=False)
        values, vectors = found.values[::-1], found.vectors[:, ::-1]
        down = values < -self.curvature
        # An eigenvector has no sign of its own; its largest number is made positive.
        signs = np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(count)])
        return values[down], (signs * vectors)[:, down]

    def ride(self, x: Vector, loss: float, direction: Vector, value: float) -> _Ride:
        """Steps along an eigenvector while it bends down (UpdateRidge, EndRide)."""
        done = _Ride(x=x, loss=loss, losses=[loss], curvatures=[value], overlaps=[1.0], path=[x])
        for _ in range(self.limit):
            x = x + self.step * direction
            loss, _ = self.objective.slope(x)
            if not loss < done.loss:
                break
            found = track(hessian_operator(self.objective, at=x).matvec, direction)
            direction = found.vector
            done.x, done.loss = x, loss
            done.losses.append(loss)
            done.curvatures.append(found.value)
            done.overlaps.append(found.overlap)
            done.path.append(x)
            if found.value >= 0:
                break
        return done

    def settle(self, x: Vector, loss: float, *, deeper: bool) -> _End:
        """The critical point at the end of a ride: a saddle where ways down remain, if one is wanted."""
        if deeper and self.ways_down(x)[0].size:
            near = self._end(_critical(self.objective, x, self.tolerance / 10, 50), deeper)
            if near.kind == "saddle" and near.loss <= loss + self.tolerance:
                return near
        place = descend(self.objective, x, length=self.step, tolerance=self.tolerance, limit=20 * self.limit)
        return self._end(place, deeper)

    def _end(self, x: Vector, deeper: bool) -> _End:
        loss, slope = self.objective.slope(x)
        gradient = float(np.linalg.norm(slope))
        values, vectors = np.zeros(0), np.zeros((x.size, 0))
        if gradient > self.tolerance:
            kind: Kind = "lost"
        else:
            if deeper:
                values, vectors = self.ways_down(x)
            kind = "saddle" if values.size else "solution"
        return _End(kind=kind, x=x, loss=loss, gradient=gradient, values=values, vectors=vectors)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison(Finding):
    """Solutions of Ridge Rider, and of descents from random points, for as many gradients."""

    ridges: Solutions
    restarts: Solutions

    @property
    def reading(self) -> str:
        """Who found more, and more different ones."""
        sides = []
        for name, found in {"ridges": self.ridges, "restarts": self.restarts}.items():
            apart = f", {found.diversity:.3g} apart" if len(found) > 1 else ""
            best = f" (best loss {found.losses.min():.3g}{apart})" if len(found) else ""
            sides.append(f"{name} found {len(found)} distinct solutions{best} in {found.tries} tries")
        return f"with {self.ridges.gradients} gradients " + ", ".join(sides)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Distinct solutions against gradients that were spent."""
        ax = prepare(ax)
        for name, found, colour in (("ridges", self.ridges, ON), ("restarts", self.restarts, OFF)):
            spent = np.concatenate([[0], found.found_after, [self.ridges.gradients]])
            ax.step(spent, np.append(np.arange(len(found) + 1), len(found)), where="post", color=colour, label=name)
        ax.set_ylim(bottom=0)
        ax.yaxis.get_major_locator().set_params(integer=True)
        name_axes(ax, "gradients", "distinct solutions")
        legend(ax)
        return ax


def compare_with_restarts(
    objective: Objective,
    tree: Tree,
    *,
    start: Callable[[np.random.Generator], Vector] | None = None,
    spread: float = 0.01,
    steps: int = 100,
    rate: float = 0.01,
    noise: float = 0.0,
    apart: float = 1e-3,
    same: Same | None = None,
    code: Code | None = None,
    tolerance: float = 1e-6,
    limit: int = 10_000,
    seed: int = 0,
    progress: bool = True,
) -> Comparison:
    """What descents from random points find for the gradients that a tree took.

    start(rng): where each begins, by default the saddle plus `spread` times normal numbers. Each takes so many `steps`
    of gradient descent of this `rate`, `noise` times normal numbers added to the gradient, and then goes on to the
    minimum as a ride does. A descent that the gradients are not enough for does not count. apart, same, code,
    tolerance: as for the tree. No one asks whether ways down remain, which is in the restarts' favour.
    """
    needs_exact(objective, "a comparison with ridges")
    _positive(apart=apart, tolerance=tolerance, limit=limit)
    if steps < 0 or not rate > 0 or not noise >= 0 or not spread >= 0:
        raise ParameterError(
            f"steps, rate, noise, spread are {steps}, {rate}, {noise}, {spread}, expected 0 or more, and a rate above 0"
        )
    rng = np.random.default_rng(seed)
    origin = tree.nodes[0].x
    start = start or (lambda rng: origin + spread * rng.standard_normal(origin.size))
    same = same or (lambda one, other: float(np.linalg.norm(one - other)) <= apart)
    meter = Meter(objective)
    minima: list[tuple[Vector, float]] = []
    found_after: list[int] = []
    tries = 0
    with training_bar(None, 0, progress) as advance:
        while meter.gradients < tree.gradients:
            x = objective.at(start(rng))
            for _ in range(steps):
                gradient = meter.objective.slope(x)[1]
                x = x - rate * (gradient + noise * rng.standard_normal(x.size))
            x = descend(meter.objective, x, length=rate, tolerance=tolerance, limit=limit)
            loss, gradient = meter.objective.slope(x)
            if meter.gradients > tree.gradients:
                break
            tries += 1
            if np.linalg.norm(gradient) <= tolerance and not any(same(known, x) for known, _ in minima):
                minima.append((x, loss))
                found_after.append(meter.gradients)
            advance("restarts", f"{tries} descents, {len(minima)} solutions")
    return Comparison(
        ridges=tree.solutions, restarts=_solutions(objective, minima, found_after, tries, tree.gradients, code)
    )


def _solutions(
    objective: Objective,
    minima: list[tuple[Vector, float]],
    found_after: list[int],
    tries: int,
    gradients: int,
    code: Code | None,
) -> Solutions:
    codes = None
    if code is not None and minima:
        codes = np.stack([np.ravel(np.asarray(code(x), float)) for x, _ in minima])
    return Solutions(
        x=np.stack([x for x, _ in minima]) if minima else np.zeros((0, objective.size)),
        losses=np.array([loss for _, loss in minima]),
        codes=codes,
        found_after=np.array(found_after, int),
        tries=tries,
        gradients=gradients,
    )


def _mean_distance(points: NDArray[np.float64]) -> float:
    apart = [float(np.linalg.norm(one - other)) for one, other in combinations(points, 2)]
    return float(np.mean(apart)) if apart else np.nan


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not (np.isfinite(number) and number > 0):
            raise ParameterError(f"{name} is {number}, expected a number above 0")
