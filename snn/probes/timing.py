"""Does a unit fire before the decision or after it? The first may cause it, the second can only report it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Quantity, second
from numpy.typing import NDArray
from scipy.stats import binom

from dvs.errors import InputError
from snn.probes.arguments import times_s
from snn.probes.chance import against_shuffles, check_shuffles
from snn.probes.pictures import dots_against_chance, name_axes, prepare
from snn.spikes import SpikeTrains

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionTiming:
    """Spikes of each unit before and after the decision, all (neurons,).

    before, after: spikes; one at the very instant of the decision is after, for it came too late to cause it. low,
    high, p_value: where the share of spikes before would lie if decision times had nothing to do with the spikes of
    their sample (they are shuffled among samples), and the two-sided p value. first_before, first_after: samples in
    which the unit's first spike came before, or not before, the decision. sign_p_value: two-sided sign test of these.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_value: NDArray[np.float64]
    first_before: NDArray[np.int64]
    first_after: NDArray[np.int64]
    sign_p_value: NDArray[np.float64]

    @property
    def share_before(self) -> NDArray[np.float64]:
        """Share of each unit's spikes that come before the decision; NaN for a silent unit."""
        return _share(self.before, self.before + self.after)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Share of spikes before the decision of each unit, over the interval of chance."""
        ax = prepare(ax, height_in=3.4)
        dots_against_chance(ax, self.share_before, self.low, self.high, "before the decision", "after it")
        ax.set_xlim(-0.02, 1.02)
        ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        name_axes(ax, "spikes before the decision", "unit")
        return ax


def decision_timing(
    spikes: SpikeTrains,
    decided: Quantity,
    *,
    permutations: int = 1000,
    confidence: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> DecisionTiming:
    """Whether each unit fires before or after the decision of its sample.

    decided: (samples,) times, such as `decide(...).t`; samples with NaN are left out. Raises `InputError` for a wrong
    shape.
    """
    decided_s = times_s(decided, "decided")
    if decided_s.shape != (spikes.samples,):
        raise InputError(f"decided has shape {decided_s.shape}, expected ({spikes.samples},), one time for each sample")
    check_shuffles(permutations, confidence)
    in_decided = np.isfinite(decided_s)[spikes.sample]
    sample = (np.cumsum(np.isfinite(decided_s)) - 1)[spikes.sample[in_decided]]
    neuron, t_s = spikes.neuron[in_decided], np.asarray(spikes.t / second)[in_decided]
    decided_s = decided_s[np.isfinite(decided_s)]

    def spikes_before(times_s: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.bincount(neuron[t_s < times_s[sample]], minlength=spikes.neurons)

    before, total = spikes_before(decided_s), np.bincount(neuron, minlength=spikes.neurons)
    rng = np.random.default_rng(seed)
    shuffled = np.stack([spikes_before(rng.permutation(decided_s)) for _ in range(permutations)])
    low, high, p_value = against_shuffles(_share(before, total), _share(shuffled, total), confidence)

    # Spikes are sorted by time in a sample: the first of each (sample, neuron) is its first spike.
    _, first = np.unique(sample * spikes.neurons + neuron, return_index=True)
    leads = t_s[first] < decided_s[sample[first]]
    first_before = np.bincount(neuron[first][leads], minlength=spikes.neurons)
    first_after = np.bincount(neuron[first][~leads], minlength=spikes.neurons)
    tail = binom.cdf(np.minimum(first_before, first_after), first_before + first_after, 0.5)
    return DecisionTiming(
        before=before,
        after=total - before,
        low=low,
        high=high,
        p_value=p_value,
        first_before=first_before,
        first_after=first_after,
        sign_p_value=np.where(total > 0, np.minimum(1, 2 * tail), np.nan),
    )


def _share(part: NDArray[np.int64], total: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return part / total
