"""Is a learning rule the gradient of anything? What can be told from its updates alone.

    rule = landscape.update_field(f)                      # x -> update
    print(landscape.asymmetry(rule, f.start))             # is its Jacobian symmetric?
    print(landscape.loop_work(rule, [a, b, c]))           # does a way around give anything back?

An update field that is smooth is the gradient of some function, uphill or downhill, where its Jacobian J is symmetric,
and only there: the second derivatives of a function do not depend on their order. What is left over, J - J', turns
instead of falling. Around a closed way the work of a gradient is zero; that also holds where a field jumps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from dvs.errors import InputError, ParameterError
from learning.landscape.finding import Finding
from learning.landscape.objective import Objective, Vector
from learning.optimisers import Optimiser
from learning.progress import training_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Field = Callable[[Vector], ArrayLike]
"""From x (size,) to what a rule adds to it (size,)."""

_DENSE = 400  # numbers up to which all of a Jacobian is computed
_ROUNDING = 1e-6  # an asymmetry below this is what differences of doubles leave


# Rules as fields


def update_field(objective: Objective, optimiser: Optimiser | None = None, steps: int = 1) -> Field:
    """What descent adds to x, as a field; without an optimiser minus the slope, whether that is exact or not.

    With one, the field is that of a whole piece of learning, seen in the weights alone: it takes the weights of
    `steps` successive steps (steps * size,), one after the other, and returns the update of each. The optimiser begins
    with an empty memory. A rule that remembers nothing has a Jacobian of blocks on the diagonal. Of one that remembers
    the past acts on what comes later, and not the other way round: heavy ball of momentum b has the blocks
    -rate b^(k-j) H for j <= k and 0 above, so that its asymmetry, for one H and n steps, is

        sqrt(S/(2 n + S)),  S = sum over m from 1 to n - 1 of (n - m) b^(2m)

    whatever H is; b/sqrt(2 - b^2) after many steps.
    """
    if optimiser is None:
        if steps != 1:
            raise ParameterError(f"steps is {steps}, but the slope remembers nothing; give an optimiser")
        return lambda x: -objective.slope(x)[1]
    if steps < 1:
        raise ParameterError(f"steps is {steps}, expected 1 or more")

    def updates(x: Vector) -> Vector:
        state, found = optimiser.start({"x": objective.start}), []
        for weights in x.reshape(steps, objective.size):
            after, state = optimiser.step({"x": objective.slope(weights)[1]}, state, {"x": weights})
            found.append(after["x"] - weights)
        return np.concatenate(found)

    return updates


def td_field(
    transitions: ArrayLike,
    *,
    features: ArrayLike | None = None,
    rewards: ArrayLike | None = None,
    gamma: float = 0.9,
    visits: ArrayLike | None = None,
) -> Field:
    """The expected update of TD(0) in the weights w (k,) of the values `features @ w`, learning rate 1.

        Phi' D (rewards + gamma P Phi w - Phi w)

    transitions: P (n, n), from state to state. features: Phi (n, k), by default a weight for each state. rewards:
    (n,), expected when a state is left. visits: (n,), the diagonal of D, by default the chain's stationary
    distribution. Its Jacobian, Phi' D (gamma P - I) Phi, is symmetric if D P is: for chains that look the same
    backwards in time. Barnard (1993), "Temporal-difference methods and Markov models"; Sutton & Barto (2018), 9.4.
    """
    chain = _chain(transitions)
    n = len(chain)
    phi = np.eye(n) if features is None else np.asarray(features, float)
    reward = np.zeros(n) if rewards is None else np.asarray(rewards, float)
    visited = stationary(chain) if visits is None else np.asarray(visits, float)
    for name, array in {"features": phi, "rewards": reward, "visits": visited}.items():
        if array.shape[:1] != (n,) or array.ndim != (2 if name == "features" else 1):
            raise InputError(f"{name} have shape {array.shape}, expected a row for each of {n} states")
    if not 0 <= gamma <= 1:
        raise ParameterError(f"gamma is {gamma}, expected 0 to 1")
    weighted = phi.T * visited
    return lambda w: weighted @ (reward + (gamma * chain - np.eye(n)) @ (phi @ w))


def stationary(transitions: ArrayLike) -> Vector:
    """How often a chain visits each state in the long run, (n,); it sums to 1.

    Raises `ParameterError` if that depends on where it begins.

    >>> stationary([[0.5, 0.5], [1.0, 0.0]]).round(3).tolist()
    [0.667, 0.333]
    """
    chain = _chain(transitions)
    still = chain.T - np.eye(len(chain))
    if np.linalg.matrix_rank(still) < len(chain) - 1:
        raise ParameterError("the chain has several parts that it never leaves; give visits=")
    equations = np.vstack([still, np.ones(len(chain))])
    found, *_ = np.linalg.lstsq(equations, np.append(np.zeros(len(chain)), 1.0), rcond=None)
    return np.clip(found, 0, None)


# Symmetric or not


@dataclass(frozen=True, kw_only=True, eq=False)
class Asymmetry(Finding):
    """How much of the Jacobian J of an update field is that of no function.

    asymmetry: |J - J'| / |J + J'| in Frobenius norms, of the shortest step: 0 for a gradient, 1 where half of it
    turns, infinite for a rotation. error: of it, from two step lengths, and one standard error where J was probed.
    steps (k,): lengths along which J was measured, the shortest first. by_step, errors (k,): the asymmetry at each,
    and its standard error, 0 where all of J was computed. antisymmetric, symmetric (k,): |J - J'| and |J + J'|.
    probes: random vectors that saw it, 0 where all of it was computed. jacobian (size, size): of the shortest step,
    None where it was probed.
    """

    asymmetry: float
    error: float
    steps: Vector
    by_step: Vector
    errors: Vector
    antisymmetric: Vector
    symmetric: Vector
    probes: int
    jacobian: NDArray[np.float64] | None

    @property
    def plane(self) -> NDArray[np.float64]:
        """The two directions (2, size), of length 1, in whose plane the rule turns most, the first towards the second.

        Raises `ParameterError` where the Jacobian was only probed.
        """
        if self.jacobian is None:
            raise ParameterError("a Jacobian that was probed has no plane; measure all of it with probes=0")
        left, _, right = np.linalg.svd(self.jacobian - self.jacobian.T)
        return np.stack([right[0], left[:, 0]])

    @property
    def reading(self) -> str:
        """A gradient or not, as far as can be told."""
        a, error = self.asymmetry, self.error
        if a <= _ROUNDING:
            verdict = "the rule is a gradient here"
        elif a > 3 * error:
            verdict = "the rule is the gradient of nothing"
        else:
            verdict = "cannot be told from zero"
        found = f"|J - J'| / |J + J'| is {a:.3g} +- {error:.2g}: {verdict}"
        if self.steps.size > 2:
            found += f"; over steps from {self.steps[0]:.2g} to {self.steps[-1]:.2g} it is " + ", ".join(
                f"{one:.2g}" for one in self.by_step
            )
        return found

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Asymmetry against the length of the steps with which it was seen."""
        ax = prepare(ax)
        ax.errorbar(self.steps, self.by_step, yerr=self.errors, fmt="o-", color=ON, capsize=3)
        ax.set_xscale("log")
        if self.by_step.min() > 0 and np.isfinite(self.by_step).all():
            ax.set_yscale("log")
        name_axes(ax, "length of the step", "|J - J'| / |J + J'|")
        return ax


def asymmetry(
    field: Field,
    at: ArrayLike,
    *,
    steps: ArrayLike | None = None,
    probes: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Asymmetry:
    """How far the Jacobian J of an update field is from symmetric at x: |J - J'| / |J + J'|, Frobenius norms.

    Products with J are differences of the field, symmetric about x, of some step lengths: by default the one at which
    rounding and curvature are about even, and twice it. Several say more of fields that jump, as those of spikes do.

    probes: None for all columns of J up to 400 numbers, and 32 random vectors beyond. Products with J' are not at
    hand, and not needed: for independent vectors u and v of +1 and -1,

        u.(J v) - v.(J u) = u'(J - J')v,  whose mean square is the sum of all squares of J - J', |J - J'|^2

    and likewise for the sum. All pairs of the vectors are taken; the standard error is a jackknife's over vectors
    (Efron & Stein 1981).

    >>> rotation_and_fall = np.array([[-1.0, 2.0], [-2.0, -1.0]])
    >>> round(asymmetry(lambda x: rotation_and_fall @ x, [0.3, 0.1]).asymmetry, 6)
    2.0
    """
    x = np.array(at, float)
    if x.ndim != 1 or not x.size or not np.isfinite(x).all():
        raise InputError(f"at has shape {x.shape}, expected one dimension of finite numbers")
    shortest = float(np.finfo(float).eps ** (1 / 3) * (1 + np.linalg.norm(x)))
    lengths = np.sort(np.atleast_1d(np.asarray((shortest, 2 * shortest) if steps is None else steps, float)))
    if lengths.ndim != 1 or not (lengths > 0).all() or not np.isfinite(lengths).all():
        raise ParameterError(f"steps are {lengths}, expected lengths above 0")
    if probes is None:
        probes = 0 if x.size <= _DENSE else 32
    if probes and probes < 3:
        raise ParameterError(f"probes is {probes}, expected 3 or more, or 0 for all of the Jacobian")
    ways = np.random.default_rng(seed).choice([-1.0, 1.0], (probes, x.size)) if probes else np.eye(x.size)

    norms, errors, jacobian = [], [], None
    with training_bar(lengths.size * len(ways), 0, progress) as advance:
        for length in lengths:
            images = np.empty_like(ways)
            for k, way in enumerate(ways):
                images[k] = _difference(field, x, way, length)
                advance("Jacobian", "")
            seen = ways @ images.T  # (i, j): way i times J times way j
            if jacobian is None and not probes:
                jacobian = seen
            found, error = _norms(seen, bool(probes))
            norms.append(found)
            errors.append(error)
    antisymmetric, symmetric = np.array(norms).T
    by_step = np.array([_ratio(*pair) for pair in norms])
    error = errors[0]
    if lengths.size > 1 and lengths[1] > lengths[0]:
        # The error of a symmetric difference goes with the square of the step.
        with np.errstate(invalid="ignore"):
            between = abs(by_step[1] - by_step[0]) / ((lengths[1] / lengths[0]) ** 2 - 1)
        error = float(np.hypot(error, 0.0 if np.isnan(between) else between))
    return Asymmetry(
        asymmetry=float(by_step[0]),
        error=error,
        steps=lengths,
        by_step=by_step,
        errors=np.array(errors),
        antisymmetric=antisymmetric,
        symmetric=symmetric,
        probes=probes,
        jacobian=jacobian,
    )


def _norms(seen: NDArray, probed: bool) -> tuple[tuple[float, float], float]:
    """|J - J'| and |J + J'|, and the standard error of their ratio."""
    parts = seen - seen.T, seen + seen.T
    if not probed:
        return tuple(float(np.linalg.norm(part)) for part in parts), 0.0
    p = len(seen)
    each = np.array([np.square(part).sum(axis=1) - np.diag(part) ** 2 for part in parts])  # (2, p), pairs with one
    total = each.sum(axis=1) / 2
    squares = total / (p * (p - 1) / 2)
    without = (total[:, None] - each) / ((p - 1) * (p - 2) / 2)
    ratios = np.sqrt(without[0] / np.maximum(without[1], np.finfo(float).tiny))
    error = np.sqrt((p - 1) / p * np.square(ratios - ratios.mean()).sum())
    return tuple(float(root) for root in np.sqrt(squares)), float(error)


def _ratio(antisymmetric: float, symmetric: float) -> float:
    if antisymmetric == 0:
        return 0.0
    # What is left of a symmetric part that rounding alone has made is none.
    return antisymmetric / symmetric if symmetric > 1e-9 * antisymmetric else np.inf


# Work around a loop


@dataclass(frozen=True, kw_only=True, eq=False)
class LoopWork(Finding):
    """What an update field gives back on a closed way; 0 for every gradient, however far around.

    work: the integral of field.dx. error: its estimate by the quadrature. circulation: work over the integral of
    |field| |dx|, from -1 to 1: the mean cosine between field and way. corners (m, size). way (k,), height (k,): length
    gone and work done until there.
    """

    work: float
    error: float
    circulation: float
    corners: NDArray[np.float64]
    way: Vector
    height: Vector

    @property
    def reading(self) -> str:
        """Whether something is left after a round."""
        found = f"once around gives {self.work:.3g} +- {self.error:.2g}, a mean cosine of {self.circulation:.2g}: "
        if abs(self.work) <= _ROUNDING * float(np.ptp(self.height)):
            return found + "nothing, as for a gradient"
        if abs(self.work) <= 3 * self.error:
            return found + "cannot be told from nothing"
        return found + "the rule is the gradient of nothing"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The work along the way, which ends at 0 for a gradient."""
        ax = prepare(ax)
        ax.plot(self.way, self.height, color=ON)
        ax.plot(self.way[-1], self.height[-1], "o", color=OFF, label="after one round")
        ax.axhline(0, color=INK, linewidth=0.6)
        name_axes(ax, "length of the way", "work done")
        legend(ax)
        return ax


def loop_work(
    field: Field, corners: ArrayLike, *, tolerance: float = 1e-8, pieces: int = 1000, progress: bool = True
) -> LoopWork:
    """The line integral of a field around the closed polygon of some corners (m, size), m >= 3.

    By Gauss-Kronrod quadrature (`scipy.integrate.quad_vec`) along each side, to a relative tolerance, in at most so
    many pieces a side; a field that jumps needs many for few digits.
    Raises `InputError` for corners that are no polygon, or a field that is not finite there.

    >>> turning = lambda x: np.array([-x[1], x[0]])
    >>> round(loop_work(turning, [[0, 0], [1, 0], [0, 1]]).work, 9)  # twice the area
    1.0
    """
    from scipy.integrate import quad_vec

    points = np.asarray(corners, float)
    if points.ndim != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise InputError(f"corners have shape {points.shape}, expected three or more finite points (m, size)")
    way, height, error, strength = [0.0], [0.0], 0.0, 0.0
    with training_bar(len(points), 0, progress) as advance:
        for begin, end in zip(points, np.roll(points, -1, axis=0), strict=True):
            side = end - begin
            length = float(np.linalg.norm(side))

            def along(s: float, begin: Vector = begin, side: Vector = side, length: float = length) -> Vector:
                force = _value(field, begin + s * side)
                return np.array([force @ side, np.linalg.norm(force) * length])

            _, off, info = quad_vec(along, 0, 1, epsrel=tolerance, epsabs=1e-14, limit=pieces, full_output=True)
            gone, order = way[-1], np.argsort(info.intervals[:, 0])
            for (_, stop), (work, force) in zip(info.intervals[order], info.integrals[order], strict=True):
                way.append(gone + stop * length)
                height.append(height[-1] + work)
                strength += force
            error += float(off)
            advance("loop", "")
    return LoopWork(
        work=float(height[-1]),
        error=error,
        circulation=float(height[-1] / strength) if strength else 0.0,
        corners=points,
        way=np.array(way),
        height=np.array(height),
    )


# Within


def _difference(field: Field, x: Vector, way: Vector, length: float) -> Vector:
    norm = float(np.linalg.norm(way))
    shift = length / norm * way
    return (_value(field, x + shift) - _value(field, x - shift)) * (norm / (2 * length))


def _value(field: Field, x: Vector) -> Vector:
    found = np.asarray(field(x), float)
    if found.shape != x.shape:
        raise InputError(f"the field gives {found.shape} for x of shape {x.shape}; an update has the shape of x")
    if not np.isfinite(found).all():
        raise InputError("the field is NaN or inf there; begin elsewhere, or take shorter steps")
    return found


def _chain(transitions: ArrayLike) -> NDArray[np.float64]:
    chain = np.asarray(transitions, float)
    if chain.ndim != 2 or chain.shape[0] != chain.shape[1] or not chain.size:
        raise InputError(f"transitions have shape {chain.shape}, expected a square")
    if (chain < 0).any() or not np.allclose(chain.sum(axis=1), 1):
        raise InputError("transitions have a row that is no distribution; give probabilities 0 to 1 that sum to 1")
    return chain
