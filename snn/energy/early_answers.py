"""What an answer costs that is given early, and what each class costs."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import Network, Quantity, second
from brian2.core.namespace import get_local_namespace
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from snn.energy.accounting import Account, account
from snn.energy.counting import count
from snn.energy.counts import Counts
from snn.energy.prefixes import prefix_for
from snn.energy.prices import PriceList
from snn.energy.sensing import Source, sensed
from snn.energy.structure import Structure, read_structure
from snn.probes.accuracy import accuracy_over_time
from snn.probes.evidence import Evidence
from snn.probes.pictures import BLUE, INK, name_axes, prepare
from snn.spikes import Responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class AnytimeCurve:
    """Accuracy against energy, the answer being taken at each of some times.

    t: (K,) since the sample began. accuracy, accuracy_low, accuracy_high: (K,) with Wilson's interval. accounts: (K,)
    of an inference that ends there. chance: 1 / classes.
    """

    t: Quantity
    accuracy: NDArray[np.float64]
    accuracy_low: NDArray[np.float64]
    accuracy_high: NDArray[np.float64]
    accounts: tuple[Account, ...]
    chance: float

    @property
    def joules(self) -> NDArray[np.float64]:
        """(K,) energy of an inference."""
        return np.array([one.total.joules for one in self.accounts])

    def reaches(self, accuracy: float) -> Account | None:
        """The cheapest account from whose time on accuracy stays at or above this; None if there is none."""
        below = np.flatnonzero(self.accuracy < accuracy)
        first = below[-1] + 1 if below.size else 0
        return self.accounts[first] if first < len(self.accounts) else None

    def plot(self, ax: "Axes | None" = None, *, color: str = BLUE, label: str | None = None) -> "Axes":
        """Accuracy with its interval over energy, the time beside each point; "≥" where something has no price."""
        ax = prepare(ax)
        joules = self.joules
        size, prefix = prefix_for(float(joules.max(initial=0)))
        ax.fill_between(joules / size, self.accuracy_low, self.accuracy_high, color=color, alpha=0.2, linewidth=0)
        ax.plot(joules / size, self.accuracy, "o-", color=color, linewidth=1.4, markersize=4, label=label)
        for x, y, t in zip(joules / size, self.accuracy, np.asarray(self.t / second), strict=True):
            ax.annotate(f"{1000 * t:.3g} ms", (x, y), (4, -11), color=INK, fontsize=8, textcoords="offset points")
        ax.axhline(self.chance, color=INK, linewidth=0.8, linestyle="--")
        ax.set_ylim(0, 1.02)
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        at_least = "≥ " if any(one.total.at_least for one in self.accounts) else ""
        name_axes(ax, f"energy of an inference ({at_least}{prefix}J)", "accuracy")
        return ax


def anytime(
    network: Network | Structure,
    responses: Responses,
    evidence: Evidence,
    labels: ArrayLike,
    prices: PriceList | str | os.PathLike[str],
    *,
    times: Quantity,
    class_of: ArrayLike | None = None,
    recordings: Sequence[Source] | None = None,
    namespace: Mapping[str, Any] | None = None,
    **options: Any,
) -> AnytimeCurve:
    """Accuracy and energy of answers that are given at `times`, all that comes later being saved.

    responses: with the spikes of all groups, as `count` wants them. evidence: what the answer is read from, as in
    `snn.probes.accuracy_over_time`: output spikes, or a readout (samples, steps, classes). labels: (samples,). times:
    (K,), each more than 0 and at most the duration of the samples. recordings: what the sensor sent, a sample each, if
    it is in the account. options: of `account`.

    The hardware runs in real time, so that it takes as long as the answer. Raises `ParameterError` for other times.
    """
    structure = network
    if isinstance(network, Network):
        structure = read_structure(network, get_local_namespace(level=1) if namespace is None else namespace)
    times_s = np.atleast_1d(np.asarray(times / second))
    if not (times_s.size and np.all(times_s > 0) and np.all(times_s <= float(responses.duration) * (1 + 1e-9))):
        raise ParameterError(f"times are {times}, expected some above 0 and up to {responses.duration}")
    curve = accuracy_over_time(evidence, labels, dt=responses.dt, class_of=class_of)
    # The evidence that is there when the answer is given: that of the last step before it.
    step = np.clip(np.rint(times_s / float(responses.dt)).astype(int) - 1, 0, curve.t.size - 1)
    accounts = []
    for t_s in times_s:
        sensor = None if recordings is None else sensed(recordings, duration=t_s * second)
        counts = count(structure, responses, duration=t_s * second, sensor=sensor)
        accounts.append(account(counts, prices, **options))
    return AnytimeCurve(
        t=times_s * second,
        accuracy=curve.accuracy[step],
        accuracy_low=curve.low[step],
        accuracy_high=curve.high[step],
        accounts=tuple(accounts),
        chance=curve.chance,
    )


def by_class(
    counts: Counts, prices: PriceList | str | os.PathLike[str], labels: ArrayLike | None = None, **options: Any
) -> dict[Any, Account]:
    """The account of an inference of each class, in order of the labels; plot them side by side with `plot`.

    labels: (samples,), by default those of the counts. options: of `account`. Raises `InputError` without labels.
    """
    found = counts.labels if labels is None else np.asarray(labels)
    if found is None or found.shape != (counts.samples,):
        came = "none" if found is None else f"labels of shape {found.shape}"
        raise InputError(f"{came} came, expected ({counts.samples},): one label for each sample")
    return {
        label.item(): account(counts.of_samples(found == label), prices, title=f"class {label}", **options)
        for label in np.unique(found)
    }
