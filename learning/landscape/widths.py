"""How wide should it be? Error of a fit against its number of parameters, with the peak where they meet the samples.

    counts = model.forward(recordings).counts["hidden"]
    found = landscape.width_sweep(counts, labels, samples=100, noise=0.2, ridge="tuned")
    print(found)
    found.plot()

With as many parameters p as samples n a fit must go through all of them and has no choice how: it follows their noise
wherever that leads. With more parameters it may choose the smallest of many solutions, and errs less again ("double
descent", Belkin et al. 2019, "Reconciling modern machine-learning practice and the classical bias-variance trade-off",
PNAS 116:15849). For linear least squares on Gaussian features the expected error is known for every p and n:
`least_squares_risk`. A readout that is fitted to the spikes of a fixed random layer is linear least squares, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from dvs.errors import InputError, ParameterError
from learning.landscape.finding import Finding
from learning.progress import training_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
Ridge = float | Literal["tuned"] | None

_GRID = np.logspace(-10, 2, 49)  # ridges that are tried, relative to the largest squared singular value


def least_squares_risk(widths: ArrayLike, samples: int, *, seen: ArrayLike, rest: ArrayLike) -> Array:
    """Expected squared error on new samples of the smallest least-squares fit, for p features of n samples.

    Features are independent and normal with variance 1. seen: squared length of the true coefficients of the p
    features; rest: that of the others, plus the variance of the noise; as numbers or for each p.

    Belkin, Hsu & Xu 2020, "Two models of double descent for weak features", SIAM J. Math. Data Sci. 2:1167, theorem 1.
    What is not seen is noise of variance `rest`. Below n the fit errs by rest tr (X'X)^-1 in coefficients, whose mean
    is p/(n-p-1) (inverse Wishart); above by rest tr (XX')^-1, n/(p-n-1), and by the part of the coefficients outside
    of n random directions of p, 1 - n/p. Infinite for p from n - 1 to n + 1.

    >>> least_squares_risk([5, 10, 40], 10, seen=1.0, rest=0.5).round(3).tolist()
    [1.125, inf, 1.422]
    """
    p, n = np.asarray(widths, float), float(samples)
    seen, rest = np.broadcast_arrays(np.asarray(seen, float), np.asarray(rest, float))
    below, above = p <= n - 2, p >= n + 2
    gap = np.where(below, n - p - 1, np.where(above, p - n - 1, np.nan))
    risk = np.where(below, rest * (1 + p / gap), seen * (1 - n / np.maximum(p, n)) + rest * (1 + n / gap))
    return np.where(below | above, risk, np.inf)


def ridge_risk(widths: ArrayLike, samples: int, *, ridge: ArrayLike | None, seen: ArrayLike, rest: ArrayLike) -> Array:
    """The same where ridge |coefficients|^2 is added to the sum of squares; in the limit of large p and n.

    Hastie, Montanari, Rosset & Tibshirani 2022, "Surprises in high-dimensional ridgeless least squares interpolation",
    Ann. Statist. 50:949, corollary 5, with Stieltjes' transform of the Marchenko-Pastur law. ridge: None for the best,
    p rest / seen, at which there is no peak.
    """
    p, n = np.asarray(widths, float), float(samples)
    seen, rest = np.asarray(seen, float), np.asarray(rest, float)
    best = p * rest / seen if ridge is None else np.asarray(ridge, float)
    gamma, z = p / n, best / n
    # m solves gamma z m^2 + (1 - gamma + z) m - 1 = 0; its derivative by -z follows from the same.
    b = 1 - gamma + z
    root = np.sqrt(b**2 + 4 * gamma * z)
    m = np.where(b > 0, 2 / (np.abs(b) + root), (root - b) / (2 * gamma * z))  # whichever subtracts nothing
    slope = (gamma * m**2 + m) / (2 * gamma * z * m + b)
    return rest * (1 + gamma * (m - z * slope)) + seen * z**2 * slope


@dataclass(frozen=True, kw_only=True, eq=False)
class WidthSweep(Finding):
    """Errors of fits against their number of parameters.

    widths (widths,): parameters p of each output, ascending; samples: n. fits: names of the fits, the smallest of all
    least-squares fits first. test, train (fits, widths, repeats): mean squared errors of new samples and of those that
    were fitted, summed over outputs. wrong: share of wrong labels of new samples, of the same shape; or None. ranks
    (widths,): of the features that were fitted, mean of the repeats. law (fits, widths): expected test error, or None.
    """

    widths: NDArray[np.int64]
    samples: int
    fits: tuple[str, ...]
    test: Array
    train: Array
    wrong: Array | None
    ranks: Array
    law: Array | None

    @property
    def peak(self) -> int:
        """Where the fit without ridge errs most: the parameters at the largest median of the test error."""
        return int(self.widths[self._middle[0].argmax()])

    @property
    def best(self) -> NDArray[np.int64]:
        """Parameters at the lowest median of each fit (fits,)."""
        return self.widths[self._middle.argmin(axis=1)]

    @property
    def reading(self) -> str:
        """Where it peaks, how high, and what the ridge makes of it."""
        middle = self._middle
        top, widest = middle[0].max(), middle[0, -1]
        ends = ", the widest" if self.peak == self.widths[-1] else ""
        text = (
            f"{self.samples} samples: the test error of the smallest fit is highest at {self.peak} parameters{ends}, "
            f"{top:.3g}, and {widest:.3g} at {self.widths[-1]}; lowest, {middle[0].min():.3g}, at {self.best[0]}"
        )
        for name, curve, at in zip(self.fits[1:], middle[1:], self.best[1:], strict=True):
            text += f"; {name} it is {curve.max():.3g} at most, and lowest, {curve.min():.3g}, at {at}"
        return text

    @property
    def _middle(self) -> Array:
        return np.median(self.test, axis=2)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Medians over the repeats with quartiles, the law as a thin line, training errors dotted."""
        ax = prepare(ax, 6.4, 3.6)
        for number, (name, colour) in enumerate(zip(self.fits, (ON, OFF), strict=False)):
            low, middle, high = np.quantile(self.test[number], [0.25, 0.5, 0.75], axis=1)
            ax.fill_between(self.widths, low, high, color=colour, alpha=0.2, linewidth=0)
            ax.plot(self.widths, middle, "o-" if self.law is None else "o", color=colour, ms=3.5, label=f"test, {name}")
            trained = np.median(self.train[number], axis=1)
            shown = np.where(trained > 1e-3 * self._middle.min(), trained, np.nan)  # 0 has no place on this axis
            ax.plot(self.widths, shown, ":", color=colour, label=f"training, {name}")
            if self.law is not None:
                law = np.where(np.isfinite(self.law[number]), self.law[number], np.nan)
                ax.plot(self.widths, law, color=INK, linewidth=1, label=None if number else "expected")
        ax.axvline(self.samples, color=INK, linewidth=0.8, linestyle="--")
        ax.set(xscale="log", yscale="log")
        ax.annotate(" p = n", (self.samples, 1), xycoords=("data", "axes fraction"), va="top", color=INK, fontsize=9)
        name_axes(ax, "parameters p", "squared error")
        legend(ax)
        return ax


def gaussian_sweep(
    coefficients: ArrayLike,
    *,
    samples: int = 40,
    noise: float = 0.5,
    widths: Sequence[int] | None = None,
    ridge: Ridge = None,
    repeats: int = 20,
    seed: int = 0,
    progress: bool = True,
) -> WidthSweep:
    """Linear regression on the first p of D normal features, with the closed form beside it.

    y = x.coefficients + noise, all of variance 1 but the noise, whose standard deviation is given. Each repeat draws
    samples anew; the error on new ones, noise included, follows from the coefficients that were fitted. ridge: adds a
    second fit, as for `width_sweep`; its law is that of `ridge_risk`, of the best ridge where it is tuned.
    """
    beta = np.asarray(coefficients, float)
    if beta.ndim != 1 or not beta.size or not np.isfinite(beta).all():
        raise InputError(f"coefficients have shape {beta.shape}, expected one dimension of finite numbers")
    if noise < 0:
        raise ParameterError(f"noise is {noise}, expected a standard deviation of 0 or more")

    def draw(rng: np.random.Generator) -> "_Drawn":
        x = rng.standard_normal((samples, beta.size))
        y = (x @ beta + noise * rng.standard_normal(samples))[:, None]

        def errors(chosen: NDArray[np.int64], fitted: Array) -> tuple[float, float]:
            missed = beta.copy()
            missed[chosen] -= fitted[:, 0]
            return float(missed @ missed) + noise**2, np.nan

        return _Drawn(x, y, np.arange(beta.size), errors)

    widths = _widths(widths, samples, beta.size)
    seen = np.cumsum(beta**2)[widths - 1]
    rest = np.sum(beta**2) - seen + noise**2
    law = [least_squares_risk(widths, samples, seen=seen, rest=rest)]
    if ridge is not None:
        amount = None if ridge == "tuned" else ridge
        law.append(ridge_risk(widths, samples, ridge=amount, seen=seen, rest=rest))
    found = _sweep(draw, widths, samples, ridge, repeats, seed, progress)
    return WidthSweep(**found | {"wrong": None}, law=np.array(law))


def width_sweep(
    features: ArrayLike,
    targets: ArrayLike,
    *,
    samples: int,
    noise: float = 0.0,
    widths: Sequence[int] | None = None,
    ridge: Ridge = None,
    repeats: int = 20,
    seed: int = 0,
    progress: bool = True,
) -> WidthSweep:
    """A linear readout of p features, fitted to n samples and tried on the others.

    features (all, D): spike counts of the hidden neurons for each sample, traces, anything. targets: labels (all,) of
    whole numbers, or numbers (all,) or (all, outputs). samples: n; each repeat draws anew which they are, and an order
    of the features, of which the first p are used. noise: share of the fitted labels that are changed to another class,
    or standard deviation of what is added to fitted numbers; those of the test stay clean.

    The fit is the smallest of all least-squares fits (by singular values, as NumPy's pinv). ridge: adds a second one,
    with ridge |weights|^2 added to the sum of squares, or "tuned": the ridge that generalised cross-validation of the
    fitted samples likes best (Golub, Heath & Wahba 1979, Technometrics 21:215). There is no intercept; add a column of
    ones if you want one. Features that are always alike, such as neurons that never fire, are parameters that do not
    count: the peak is where the `ranks` reach n.
    """
    x, y = np.asarray(features, float), np.asarray(targets)
    if x.ndim != 2 or len(x) != len(y) or y.ndim not in (1, 2) or not np.isfinite(x).all():
        raise InputError(
            f"features have shape {x.shape} and targets {y.shape}, expected finite (all, D), and (all,) or "
            "(all, outputs)"
        )
    if not 1 <= samples < len(x):
        raise ParameterError(f"samples is {samples}, expected 1 to {len(x) - 1}, as some of {len(x)} are for the test")
    labelled = y.ndim == 1 and np.issubdtype(y.dtype, np.integer)
    if noise < 0 or (labelled and noise > 1):
        raise ParameterError(f"noise is {noise}, expected a share of labels from 0 to 1, or a standard deviation")
    if labelled:
        names, y = np.unique(y, return_inverse=True)
        count = len(names)
        if count < 2:
            raise InputError("all targets are one label; expected two or more classes")
    else:
        y = y.astype(float).reshape(len(y), -1)

    def goals(labels: NDArray[np.int64]) -> Array:
        return np.eye(count)[labels] - 1 / count

    def draw(rng: np.random.Generator) -> "_Drawn":
        order = rng.permutation(len(x))
        fitted, new = order[:samples], order[samples:]
        y_fitted, y_new = y[fitted], y[new]
        if labelled:
            others = (y_fitted + rng.integers(1, count, samples)) % count
            # So many and no more: a share that is the same in each repeat.
            changed = rng.permutation(samples) < round(noise * samples)
            y_fitted, truth = goals(np.where(changed, others, y_fitted)), goals(y_new)
        else:
            y_fitted, truth = y_fitted + noise * rng.standard_normal(y_fitted.shape), y_new

        def errors(chosen: NDArray[np.int64], weights: Array) -> tuple[float, float]:
            told = x[np.ix_(new, chosen)] @ weights
            wrong = float((told.argmax(axis=1) != y_new).mean()) if labelled else np.nan
            return float(((told - truth) ** 2).sum(axis=1).mean()), wrong

        return _Drawn(x[fitted], y_fitted, rng.permutation(x.shape[1]), errors)

    found = _sweep(draw, _widths(widths, samples, x.shape[1]), samples, ridge, repeats, seed, progress)
    return WidthSweep(**found | ({} if labelled else {"wrong": None}), law=None)


@dataclass(frozen=True)
class _Drawn:
    """One repeat: what is fitted, in which order features come, and how a fit of some features errs."""

    x: Array
    y: Array
    order: NDArray[np.int64]
    errors: Callable[[NDArray[np.int64], Array], tuple[float, float]]


def _sweep(
    draw: Callable[[np.random.Generator], _Drawn],
    widths: NDArray[np.int64],
    samples: int,
    ridge: Ridge,
    repeats: int,
    seed: int,
    progress: bool,
) -> dict[str, object]:
    if repeats < 1:
        raise ParameterError(f"repeats is {repeats}, expected 1 or more")
    if isinstance(ridge, str) and ridge != "tuned":
        raise ParameterError(f"ridge is {ridge!r}, expected a number, 'tuned' or None")
    if not isinstance(ridge, str | None) and ridge <= 0:
        raise ParameterError(f"ridge is {ridge}, expected more than 0; the fit without one is there anyway")
    named = {None: (), "tuned": ("tuned ridge",)}.get(ridge, (f"ridge {ridge}",))
    fits = ("no ridge", *named)
    test, train, wrong = np.zeros((3, len(fits), len(widths), repeats))
    ranks = np.zeros((len(widths), repeats))
    with training_bar(len(widths) * repeats, 0, progress) as advance:
        for repeat, rng in enumerate(np.random.default_rng(seed).spawn(repeats)):
            drawn = draw(rng)
            for number, p in enumerate(widths):
                chosen = drawn.order[:p]
                weights, ranks[number, repeat] = _fits(drawn.x[:, chosen], drawn.y, ridge)
                for fit, one in enumerate(weights):
                    left = drawn.x[:, chosen] @ one - drawn.y
                    train[fit, number, repeat] = (left**2).sum(axis=1).mean()
                    test[fit, number, repeat], wrong[fit, number, repeat] = drawn.errors(chosen, one)
                advance("widths", f"{p} parameters")
    return {
        "widths": widths,
        "samples": samples,
        "fits": fits,
        "test": test,
        "train": train,
        "wrong": wrong,
        "ranks": ranks.mean(axis=1),
    }


def _fits(x: Array, y: Array, ridge: Ridge) -> tuple[list[Array], int]:
    """Weights (p, outputs) without and with the ridge, and the rank of x (n, p)."""
    from scipy.linalg import svd

    left, s, right = svd(x, full_matrices=False, check_finite=False)
    some = s > s[0] * max(x.shape) * np.finfo(float).eps
    left, s, right = left[:, some], s[some], right[some]
    inside = left.T @ y
    weights = [right.T @ (inside / s[:, None])]
    if ridge is not None:
        amount = _tuned(s, inside, y) if ridge == "tuned" else ridge
        weights.append(right.T @ (inside * (s / (s**2 + amount))[:, None]))
    return weights, len(s)


def _tuned(s: Array, inside: Array, y: Array) -> float:
    """Least generalised cross-validation: |y - fit|^2 over the square of the share of y that is left free."""
    if not s.size:
        return 1.0
    ridges = _GRID * s[0] ** 2
    kept = ridges[:, None] / (s**2 + ridges[:, None])  # (ridges, rank): what is left of each singular direction
    power = (inside**2).sum(axis=1)
    outside = max(0.0, float((y**2).sum() - power.sum()))
    scores = (kept**2 @ power + outside) / (len(y) - len(s) + kept.sum(axis=1)) ** 2
    return float(ridges[scores.argmin()])


def _widths(widths: Sequence[int] | None, samples: int, features: int) -> NDArray[np.int64]:
    """Sorted; by default evenly on a logarithmic axis, and more about the number of samples."""
    if samples < 1:
        raise ParameterError(f"samples is {samples}, expected 1 or more")
    if widths is None:
        about = samples * (1 + np.array([-0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2]))
        found = np.concatenate([np.geomspace(max(1, samples / 10), features, 24), about])
        found = np.unique(np.rint(found).astype(int))
        return found[(found >= 1) & (found <= features)]
    found = np.unique(np.asarray(widths, int))
    if not found.size or found[0] < 1 or found[-1] > features:
        raise ParameterError(f"widths are {list(widths)}, expected from 1 to the {features} features that there are")
    return found
