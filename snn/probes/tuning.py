"""Response against a stimulus value, and how sharply it singles out an orientation or a direction of motion."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Hz, Quantity
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError
from snn.probes.arguments import chosen, classes_of, responses_of, sums
from snn.probes.pictures import BLUE, INK, legend, name_axes, prepare

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class TuningCurve:
    """Mean response of each neuron to each value of the stimulus.

    stimulus: (values,) rising. mean, sem: (neurons, values), standard error NaN where there is one sample only.
    samples: (values,).
    """

    stimulus: NDArray[np.float64]
    mean: Quantity | NDArray[np.float64]
    sem: Quantity | NDArray[np.float64]
    samples: NDArray[np.int64]

    @property
    def preferred(self) -> NDArray[np.float64]:
        """Stimulus of the largest mean response, (neurons,); NaN for a neuron that responds alike to all."""
        mean = np.asarray(self.mean)
        return np.where(np.ptp(mean, axis=1) > 0, self.stimulus[mean.argmax(axis=1)], np.nan)

    def plot(self, ax: "Axes | None" = None, *, neuron: int = 0, color: str = BLUE, label: str | None = None) -> "Axes":
        """The curve of one neuron with its standard errors."""
        ax = prepare(ax)
        unit = int(chosen(neuron, len(self.mean), "neuron")[0])
        rated = isinstance(self.mean, Quantity) and self.mean.dim is Hz.dim
        ax.errorbar(
            self.stimulus, np.asarray(self.mean)[unit], np.nan_to_num(np.asarray(self.sem)[unit]), fmt="o-",
            color=color, linewidth=1.6, markersize=4.5, elinewidth=1, label=label,
        )  # fmt: skip
        ax.set_ylim(bottom=np.min(np.asarray(self.mean)[unit], initial=0), auto=True)  # another may be higher
        name_axes(ax, "stimulus", "rate (Hz)" if rated else "response")
        legend(ax)
        return ax


@dataclass(frozen=True, kw_only=True, eq=False)
class AngularSelectivity:
    """How sharply each neuron singles out one angle of a cycle (180 degrees for orientation, 360 for direction).

    angle_deg: (angles,). preferred_deg: (neurons,) direction of the vector sum of the responses. resultant: (neurons,)
    its length over the sum of all responses, 0 for a neuron that responds alike to all and 1 for one that responds to
    one angle; this is 1 - circular variance (Ringach, Shapley & Hawken 2002, eq. 1-2). index: (neurons,) contrast
    (R_preferred - R_opposed) / (R_preferred + R_opposed) of the largest response and that half a cycle from it, the
    orthogonal orientation or the opposite direction; NaN where that angle was not shown. All NaN without a response.
    """

    cycle_deg: float
    angle_deg: NDArray[np.float64]
    preferred_deg: NDArray[np.float64]
    resultant: NDArray[np.float64]
    index: NDArray[np.float64]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Each neuron in the unit disc: its angle preferred, its distance from the centre the resultant."""
        ax = prepare(ax, 3.6, 3.4, grid=False)
        ax.set_aspect("equal")
        ax.set_axis_off()
        turn = np.linspace(0, 2 * np.pi, 200)
        for radius in (0.5, 1.0):
            ax.plot(radius * np.cos(turn), radius * np.sin(turn), color=INK, alpha=0.25, linewidth=0.8)
            ax.text(0.02, radius - 0.02, f"{radius:g}", color=INK, alpha=0.7, fontsize=8, va="top")
        for quarter in range(4):
            x, y = np.cos(quarter * np.pi / 2), np.sin(quarter * np.pi / 2)
            ax.plot([0, x], [0, y], color=INK, alpha=0.12, linewidth=0.6)
            ax.text(
                1.14 * x,
                1.14 * y,
                f"{quarter * self.cycle_deg / 4:g}°",
                color=INK,
                fontsize=9,
                ha="center",
                va="center",
            )
        phase = 2 * np.pi * self.preferred_deg / self.cycle_deg
        ax.plot(
            self.resultant * np.cos(phase), self.resultant * np.sin(phase), "o", color=BLUE, markersize=5, alpha=0.7,
            markeredgewidth=0,
        )  # fmt: skip
        ax.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
        what = {180: "orientation", 360: "direction"}[int(self.cycle_deg)]
        ax.set_title(f"preferred {what}, resultant", color=INK, fontsize=10)
        return ax


def tuning_curve(response: ArrayLike | Quantity, stimulus: ArrayLike) -> TuningCurve:
    """Mean response of each neuron at each value of the stimulus.

    response: (samples, neurons), counts or rates, such as `spikes.rates()` or `spikes.between(a, b).counts()`; a unit
    stays. stimulus: (samples,) numbers. Raises `InputError` for wrong shapes.

    >>> tuning_curve([[1, 0], [3, 0], [5, 2]], [0, 0, 90]).mean.tolist()
    [[2.0, 5.0], [0.0, 2.0]]
    """
    values = responses_of(response)
    shown, which = classes_of(stimulus, len(values), "stimulus values")
    if shown.dtype.kind not in "iufb":
        raise InputError(
            f"stimulus values have dtype {shown.dtype}, expected numbers; for classes, see class_selectivity"
        )
    samples = np.bincount(which)
    mean = sums(values, which) / samples[:, None]
    spread = sums((values - mean[which]) ** 2, which)
    with np.errstate(divide="ignore", invalid="ignore"):
        sem = np.sqrt(spread / (samples - 1)[:, None] / samples[:, None])
    sem[samples < 2] = np.nan
    unit = Quantity.with_dimensions(1.0, response.dim) if isinstance(response, Quantity) else 1
    return TuningCurve(stimulus=shown.astype(np.float64), mean=mean.T * unit, sem=sem.T * unit, samples=samples)


def orientation_selectivity(curve: TuningCurve) -> AngularSelectivity:
    """Selectivity for orientation of a curve over angles in degrees; opposite directions count as one orientation.

    The angles must divide 180 degrees evenly, or the vector sum is drawn to where they are dense; raises `InputError`.
    """
    return _selectivity(curve, 180.0)


def direction_selectivity(curve: TuningCurve) -> AngularSelectivity:
    """Selectivity for direction of a curve over angles in degrees, which must divide 360 degrees evenly.

    Raises `InputError` if they do not.
    """
    return _selectivity(curve, 360.0)


def _selectivity(curve: TuningCurve, cycle_deg: float) -> AngularSelectivity:
    angle_deg, which = np.unique(np.round(curve.stimulus % cycle_deg, 6) % cycle_deg, return_inverse=True)
    gaps = np.diff(angle_deg, append=angle_deg[:1] + cycle_deg)
    if angle_deg.size < 2 or np.ptp(gaps) > 1e-3:
        raise InputError(
            f"angles are {angle_deg.tolist()} degrees, expected two or more that divide {cycle_deg:g} degrees evenly"
        )
    response = np.asarray(curve.mean)
    if response.size and response.min() < 0:
        raise InputError(f"a mean response is {response.min():g}; take counts or rates, which are never negative")
    folded = np.stack([response[:, which == k].mean(axis=1) for k in range(angle_deg.size)], axis=1)
    phase = 2 * np.pi * angle_deg / cycle_deg
    vector = folded @ np.exp(1j * phase)
    total = folded.sum(axis=1)
    units = np.arange(len(folded))
    best = folded.argmax(axis=1)
    peak, opposed = folded[units, best], np.full(units.size, np.nan)
    if angle_deg.size % 2 == 0:
        opposed = folded[units, (best + angle_deg.size // 2) % angle_deg.size]
    with np.errstate(divide="ignore", invalid="ignore"):
        resultant = np.abs(vector) / total
        index = (peak - opposed) / (peak + opposed)
    # A vector sum of nothing but rounding has no direction.
    preferred_deg = np.where(resultant > 1e-12, np.angle(vector) / (2 * np.pi) * cycle_deg % cycle_deg, np.nan)
    return AngularSelectivity(
        cycle_deg=cycle_deg, angle_deg=angle_deg, preferred_deg=preferred_deg, resultant=resultant, index=index
    )
