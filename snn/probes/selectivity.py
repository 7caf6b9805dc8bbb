"""How much the counts of a unit say about the class of the sample."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from dvs.errors import InputError
from snn.probes.arguments import classes_of, responses_of, sums
from snn.probes.chance import check_shuffles
from snn.probes.pictures import colour_bar, name_axes, prepare, two_sided, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELLS = 1 << 22


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassSelectivity:
    """What each unit tells of the class.

    classes: (classes,) labels, rising. mean, dprime: (neurons, classes). information_bits, sparseness: (neurons,).
    """

    classes: NDArray
    mean: NDArray[np.float64]
    dprime: NDArray[np.float64]
    information_bits: NDArray[np.float64]
    sparseness: NDArray[np.float64]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The d' of every unit for every class, units in the order of the class they tell best."""
        ax = prepare(ax, 4.2, 3.6, grid=False)
        finite = np.nan_to_num(self.dprime, posinf=np.inf, neginf=-np.inf)
        order = np.lexsort([-finite.max(axis=1, initial=-np.inf), finite.argmax(axis=1)]) if finite.size else []
        shown = finite[order]
        largest = np.max(np.abs(shown), where=np.isfinite(shown), initial=1e-9)
        if shown.size:
            image = ax.imshow(
                np.clip(shown, -largest, largest), aspect="auto", interpolation="none", cmap=two_sided(),
                vmin=-largest, vmax=largest,
            )  # fmt: skip
            colour_bar(ax, image, "d'")
        ax.set_xticks(np.arange(self.classes.size), [str(label) for label in self.classes])
        whole_ticks(ax, "y")
        ax.tick_params(length=0)
        name_axes(ax, "class", "unit, by best class")
        return ax


def class_selectivity(
    counts: ArrayLike, labels: ArrayLike, *, shuffles: int = 20, seed: int | np.random.Generator = 0
) -> ClassSelectivity:
    """d', information and sparseness of every unit, from counts (samples, neurons) and labels (samples,).

    See `dprime`, `information_bits` and `sparseness` for each of them.
    """
    values = responses_of(counts)
    classes, which = classes_of(labels, len(values))
    mean = (sums(values, which) / np.bincount(which)[:, None]).T
    return ClassSelectivity(
        classes=classes,
        mean=mean,
        dprime=dprime(values, labels),
        information_bits=information_bits(values, labels, shuffles=shuffles, seed=seed),
        sparseness=sparseness(mean, axis=1),
    )


def dprime(counts: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """The d' of each unit for each class against all others, (neurons, classes).

    (mean in the class - mean outside) / sqrt((variance in the class + variance outside) / 2), Green & Swets 1966.
    Infinite for counts that differ and never vary; NaN for a unit that does not vary at all, or fewer than two samples
    in or outside the class.
    """
    values = responses_of(counts)
    classes, which = classes_of(labels, len(values))
    result = np.empty((values.shape[1], classes.size))
    for k in range(classes.size):
        inside, outside = values[which == k], values[which != k]
        if min(len(inside), len(outside)) < 2:
            result[:, k] = np.nan
            continue
        noise = np.sqrt((inside.var(axis=0, ddof=1) + outside.var(axis=0, ddof=1)) / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            result[:, k] = (inside.mean(axis=0) - outside.mean(axis=0)) / noise
    return result


def information_bits(
    counts: ArrayLike, labels: ArrayLike, *, shuffles: int = 20, seed: int | np.random.Generator = 0
) -> NDArray[np.float64]:
    """Mutual information between the count of each unit and the class, in bits, (neurons,).

    The information in the table of counts, less the mean of what is left when labels are shuffled: few samples seem
    to inform by chance (Optican et al. 1991; Panzeri et al. 2007). Around 0 for a unit that knows nothing, and then as
    often below 0 as above. counts: (samples, neurons), whole numbers.

    >>> information_bits([[0], [0], [5], [5]] * 100, [1, 1, 2, 2] * 100).round(2)
    array([1.])
    """
    values = responses_of(counts)
    classes, which = classes_of(labels, len(values))
    check_shuffles(shuffles, 0.5)
    if (values != np.round(values)).any():
        raise InputError("counts have fractions, expected whole numbers; round them into levels first")
    samples, neurons = values.shape
    if samples == 0:
        return np.full(neurons, np.nan)
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(which) for _ in range(shuffles)]
    seen, level = np.unique(values, return_inverse=True)
    level = level.reshape(values.shape)
    result = np.empty(neurons)
    chunk = max(1, _CELLS // (seen.size * classes.size))
    for first in range(0, neurons, chunk):
        piece = slice(first, first + chunk)
        found = _table_bits(level[:, piece], which, seen.size, classes.size)
        chance = [_table_bits(level[:, piece], labelling, seen.size, classes.size) for labelling in shuffled]
        result[piece] = found - np.mean(chance, axis=0)
    return result


def _table_bits(level: NDArray[np.int64], which: NDArray[np.int64], levels: int, classes: int) -> NDArray[np.float64]:
    """Information in the table of (level, class) of each unit: H(level) + H(class) - H(level, class)."""
    samples, neurons = level.shape
    cell = (np.arange(neurons) * levels + level) * classes + which[:, None]
    table = np.bincount(cell.ravel(), minlength=neurons * levels * classes).reshape(neurons, levels, classes)
    joint, by_level, by_class = table, table.sum(axis=2), table.sum(axis=1)
    n_log_n = xlogy(joint, joint).sum(axis=(1, 2)) - xlogy(by_level, by_level).sum(axis=1)
    n_log_n -= xlogy(by_class, by_class).sum(axis=1)
    return (np.log(samples) + n_log_n / samples) / np.log(2)


def sparseness(rates: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """0 for responses all alike, 1 for a response to one only; NaN for none (Vinje & Gallant 2000).

    (1 - a) / (1 - 1/n) with a = mean(r)^2 / mean(r^2), the measure of Treves & Rolls (1991). Over the stimuli of one
    unit it is lifetime sparseness, over the units of one stimulus population sparseness.

    >>> sparseness([[1, 1, 1, 1], [0, 0, 8, 0]]).tolist()
    [0.0, 1.0]
    """
    rates = np.asarray(rates, np.float64)
    n = rates.shape[axis]
    with np.errstate(divide="ignore", invalid="ignore"):
        a = rates.sum(axis=axis) ** 2 / (n * (rates**2).sum(axis=axis))
        return (1 - a) / (1 - np.divide(1, n))
