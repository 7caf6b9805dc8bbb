"""Choice probability: does a unit's count foretell the decision when the stimulus does not? (Britten et al. 1996)"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from dvs.errors import InputError
from snn.probes.arguments import classes_of, responses_of
from snn.probes.chance import against_shuffles, check_shuffles
from snn.probes.pictures import INK, dots_against_chance, name_axes, prepare

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AT_ONCE = 1 << 22


@dataclass(frozen=True, kw_only=True, eq=False)
class ChoiceProbability:
    """Probability that a count from a sample with the choice exceeds one from a sample without, ties half.

    value: (neurons,) area under the ROC curve; NaN if only one choice was ever made. low, high: (neurons,) where
    chance would put it, with the confidence asked for. p_value: (neurons,) two-sided. samples: how many entered.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_value: NDArray[np.float64]
    samples: int

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Every unit, from lowest to highest, over the interval of chance."""
        ax = prepare(ax, height_in=3.4)
        ax.axvline(0.5, color=INK, linewidth=0.8, linestyle="--")
        dots_against_chance(ax, self.value, self.low, self.high, "more for the choice", "less")
        name_axes(ax, "choice probability", "unit")
        return ax


def choice_probability(
    counts: ArrayLike,
    choice: ArrayLike,
    stimulus: ArrayLike | None = None,
    *,
    permutations: int = 1000,
    confidence: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> ChoiceProbability:
    """Choice probability of every unit, from counts (samples, neurons) and the choice made (samples,), true or false.

    stimulus: (samples,) values; counts are then z-scored within each, and choices are shuffled within each only (the
    "grand" choice probability of Britten et al. 1996). Samples of a stimulus that always got the same choice are left
    out. Where choices are very uneven within a stimulus, z-scoring pulls the value towards 0.5 (Kang & Maunsell 2012).
    The interval of chance and the p value come from shuffled choices. Raises `InputError` for wrong shapes or a choice
    that is not true or false.
    """
    values = responses_of(counts)
    check_shuffles(permutations, confidence)
    chose = _as_choice(choice, len(values))
    conditions = [np.arange(len(values))]
    if stimulus is not None:
        shown, which = classes_of(stimulus, len(values), "stimulus values")
        conditions = [np.flatnonzero(which == k) for k in range(shown.size)]
    conditions = [members for members in conditions if chose[members].any() and not chose[members].all()]
    if not conditions:
        unknown = np.full(values.shape[1], np.nan)
        return ChoiceProbability(value=unknown, low=unknown, high=unknown, p_value=unknown, samples=0)
    scores = [values[members] if stimulus is None else _zscored(values[members]) for members in conditions]
    chosen = [chose[members] for members in conditions]
    ranks = rankdata(np.concatenate(scores), axis=0)
    value = _areas(np.concatenate(chosen)[None], ranks)[0]

    rng = np.random.default_rng(seed)
    chunk = max(1, _AT_ONCE // len(ranks))
    shuffled = []
    for first in range(0, permutations, chunk):
        rows = min(chunk, permutations - first)
        shuffled.append(_areas(_shuffled(chosen, rows, rng), ranks))
    low, high, p_value = against_shuffles(value, np.concatenate(shuffled), confidence)
    return ChoiceProbability(value=value, low=low, high=high, p_value=p_value, samples=len(ranks))


def _as_choice(choice: ArrayLike, samples: int) -> NDArray[np.bool_]:
    made, which = classes_of(choice, samples, "choices")
    if not np.isin(made, (0, 1)).all():
        raise InputError(
            f"choices are {made[:5].tolist()}, expected true or false; ask for one class with choice == {made[-1]!r}"
        )
    return made.astype(bool)[which]


def _zscored(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zero mean and unit variance over samples; zero where nothing varies."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _shuffled(chosen: list[NDArray[np.bool_]], rows: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choices shuffled within each condition, (rows, samples)."""
    return np.concatenate([rng.permuted(np.tile(part, (rows, 1)), axis=1) for part in chosen], axis=1)


def _areas(chosen: NDArray[np.bool_], ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area under the ROC curve for each row of choices and each unit: the Mann-Whitney statistic of the ranks."""
    n = chosen[0].sum()
    above = chosen.astype(np.float64) @ ranks - n * (n + 1) / 2
    return above / (n * (chosen.shape[1] - n))
