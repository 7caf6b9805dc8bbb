"""When a network has made up its mind, and for what: a race to a bound, or a lead over the second."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Quantity, second
from numpy.typing import ArrayLike, NDArray

from dvs.errors import ParameterError
from snn.probes.arguments import classes_of, time_s
from snn.probes.evidence import Evidence, evidence_in_parts
from snn.probes.pictures import BLUE, INK, ORANGE, in_ms, legend, name_axes, prepare
from snn.spikes import SpikeTrains

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """The decision of each sample.

    choice: (samples,) class, -1 where none was made. t: (samples,) its time, NaN where none was made until `duration`.
    """

    choice: NDArray[np.int64]
    t: Quantity
    duration: Quantity

    def plot(self, ax: "Axes | None" = None, labels: ArrayLike | None = None) -> "Axes":
        """Share of samples decided by each time; with `labels`, right and wrong apart."""
        ax = prepare(ax)
        everyone = self.choice >= 0
        kinds = [(everyone, INK, "decided")]
        if labels is not None:
            classes, which = classes_of(labels, self.choice.size)
            right = everyone & (classes[which] == self.choice)
            kinds = [(right, BLUE, "right"), (everyone & ~right, ORANGE, "wrong")]
        end_ms = float(in_ms(self.duration))
        for kind, colour, name in kinds:
            t_ms = np.sort(in_ms(self.t)[kind])
            share = np.arange(t_ms.size + 1) / max(self.choice.size, 1)
            ax.stairs(
                share, np.concatenate([[0], t_ms, [end_ms]]), baseline=None, color=colour, linewidth=1.6, label=name
            )
        ax.set(xlim=(0, end_ms), ylim=(0, 1.02))
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        name_axes(ax, "time (ms)", "samples decided")
        legend(ax)
        return ax


def decide(
    evidence: Evidence,
    *,
    dt: Quantity,
    bound: float | None = None,
    lead: float | None = None,
    class_of: ArrayLike | None = None,
) -> Decisions:
    """The first instant at which one class is ahead of all others, has reached `bound`, and leads by `lead`.

    A `bound` alone is a race (the first to n spikes), a `lead` alone a random walk between two bounds (Wald 1947:
    the sequential probability ratio test of two Poisson processes); both together, both. A tie decides nothing.

    evidence: SpikeTrains of the output, counted at every k dt (give the dt of the simulation, and decisions fall on
    spikes), class_of saying which class each neuron speaks for, by default its own; or a readout (samples, steps,
    classes), step k being at k dt as in Brian2's monitors. Raises `ParameterError` or `InputError` for arguments out
    of range or of a wrong shape.
    """
    if bound is None and lead is None:
        raise ParameterError("neither bound nor lead was given, expected at least one; try lead=3")
    if lead is not None and not lead > 0:
        raise ParameterError(f"lead is {lead}, expected more than 0")
    choices, steps = [np.empty(0, np.int64)], [np.empty(0)]
    longest = 0
    for _, seen in evidence_in_parts(evidence, dt, class_of):
        second_best, best = np.moveaxis(np.partition(seen, -2, axis=-1)[..., -2:], -1, 0)
        decided = best > second_best
        if bound is not None:
            decided &= best >= bound
        if lead is not None:
            decided &= best - second_best >= lead
        longest = seen.shape[1]
        # A column at the end that is always true catches those that never decide.
        step = np.argmax(np.pad(decided, ((0, 0), (0, 1)), constant_values=True), axis=1)
        never = step == longest
        winner = seen.argmax(axis=-1)[np.arange(len(seen)), np.minimum(step, longest - 1)]
        choices.append(np.where(never, -1, winner))
        steps.append(np.where(never, np.nan, step))
    dt_s = time_s(dt, "dt")
    return Decisions(
        choice=np.concatenate(choices),
        t=np.concatenate(steps) * dt_s * second,
        duration=evidence.duration if isinstance(evidence, SpikeTrains) else longest * dt_s * second,
    )
