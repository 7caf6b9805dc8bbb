"""How much of the answer is there how early: accuracy against the time since the sample began."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Quantity, second
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from snn.probes.arguments import time_s
from snn.probes.evidence import Evidence, evidence_in_parts
from snn.probes.pictures import BLUE, INK, in_ms, name_axes, prepare
from snn.spikes import SpikeTrains

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class AccuracyCurve:
    """Share of samples whose leading class is the right one.

    t, accuracy, low, high: (steps,), the last two the bounds of the interval. chance: 1 / classes. NaN with no samples.
    """

    t: Quantity
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    samples: int
    chance: float

    def reaches(self, share: float = 0.9) -> Quantity:
        """The time from which on accuracy stays at or above `share` of its final value; NaN with no samples."""
        if not 0 < share <= 1:
            raise ParameterError(f"share is {share}, expected above 0 and up to 1")
        if not self.samples or not self.t.size:
            return np.nan * second
        below = np.flatnonzero(self.accuracy < share * self.accuracy[-1])
        return self.t[below[-1] + 1 if below.size else 0]

    def plot(
        self, ax: "Axes | None" = None, *, share: float = 0.9, color: str = BLUE, label: str | None = None
    ) -> "Axes":
        """Accuracy with its interval, chance, and the time at which the given share of the final accuracy is there."""
        ax = prepare(ax)
        t_ms = in_ms(self.t)
        ax.fill_between(t_ms, self.low, self.high, color=color, alpha=0.25, linewidth=0)
        ax.plot(t_ms, self.accuracy, color=color, linewidth=1.6, label=label)
        ax.axhline(self.chance, color=INK, linewidth=0.8, linestyle="--")
        if self.samples and self.t.size:
            reached_ms, height = float(in_ms(self.reaches(share))), share * self.accuracy[-1]
            ax.plot([reached_ms, reached_ms], [0, height], color=INK, linewidth=0.8)
            ax.plot(reached_ms, height, "o", color=INK, markersize=4)
            side, shift = ("right", -6) if reached_ms > t_ms[-1] / 2 else ("left", 6)
            ax.annotate(
                f"{100 * share:g} % of final at {reached_ms:.3g} ms", (reached_ms, 0), (shift, 6), ha=side, color=INK,
                fontsize=9, textcoords="offset points",
            )  # fmt: skip
            ax.set_xlim(t_ms[0], t_ms[-1])
        ax.set_ylim(0, 1.02)
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        name_axes(ax, "time (ms)", "accuracy")
        return ax


def accuracy_over_time(
    evidence: Evidence,
    labels: ArrayLike,
    *,
    dt: Quantity,
    class_of: ArrayLike | None = None,
    confidence: float = 0.95,
) -> AccuracyCurve:
    """Accuracy of the class that leads so far, at every k dt, with Wilson's interval (Wilson 1927).

    evidence: SpikeTrains of the output, whose counts accumulate, class_of saying which class each neuron speaks for,
    by default its own; or a readout (samples, steps, classes). labels: (samples,) classes 0, 1, ... Classes that tie
    share the point, as a coin would: before the first spike accuracy is that of chance. Raises `InputError` for labels
    of a wrong length or unknown to the evidence.
    """
    if not 0 < confidence < 1:
        raise ParameterError(f"confidence is {confidence}, expected a share between 0 and 1, such as 0.95")
    dt_s = time_s(dt, "dt", positive=True)
    samples = evidence.samples if isinstance(evidence, SpikeTrains) else len(np.asarray(evidence))
    label = np.asarray(labels)
    if label.shape != (samples,) or (label.size and label.dtype.kind not in "iu"):
        raise InputError(
            f"labels have shape {label.shape} and dtype {label.dtype}, expected ({samples},) whole numbers"
        )
    right, steps, classes = 0.0, 0, 0
    for piece, seen in evidence_in_parts(evidence, dt, class_of):
        _, steps, classes = seen.shape
        if label.size and not (label.min() >= 0 and label.max() < classes):
            raise InputError(f"labels go from {label.min()} to {label.max()}, expected 0 to {classes - 1}")
        leads = seen == seen.max(axis=-1, keepdims=True)
        won = np.take_along_axis(leads, label[piece].astype(np.int64)[:, None, None], axis=-1)[..., 0]
        right = right + (won / leads.sum(axis=-1)).sum(axis=0)
    accuracy = np.full(steps, np.nan) if samples == 0 else right / samples
    low, high = _wilson(accuracy, samples, confidence)
    return AccuracyCurve(
        t=np.arange(steps) * dt_s * second,
        accuracy=accuracy,
        low=low,
        high=high,
        samples=samples,
        chance=1 / classes if classes else np.nan,
    )


def _wilson(share: NDArray[np.float64], n: int, confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if n == 0:
        return share, share
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return centre - half, centre + half
