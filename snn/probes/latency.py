"""How long a unit takes to its first spike, knowing that some never fire while they are watched."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Quantity, ms, second
from numpy.typing import NDArray

from dvs.errors import ParameterError
from snn.probes.arguments import chosen, time_s
from snn.probes.pictures import BLUE, INK, in_ms, legend, name_axes, prepare
from snn.spikes import SpikeTrains

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class Latencies:
    """Time from the onset to the first spike of each neuron in each sample.

    t: (samples, neurons), NaN where there was no spike. watched: how long there was to spike; a NaN says that the
    latency is longer than this (it is censored), not that it is unknown.
    """

    t: Quantity
    watched: Quantity

    @property
    def responded(self) -> NDArray[np.float64]:
        """Share of samples in which each neuron spiked, (neurons,); NaN with no samples."""
        fired = np.isfinite(np.asarray(self.t))
        return fired.mean(axis=0) if len(fired) else np.full(fired.shape[1], np.nan)

    def quantile(self, share: float = 0.5) -> Quantity:
        """The time by which `share` of all samples have spiked, (neurons,); NaN where fewer ever did.

        Silent samples count as later than all others, so that the median of a unit that often fails is not too early.
        With one time of censoring for all this is the estimate of Kaplan & Meier (1958).
        """
        if not 0 < share <= 1:
            raise ParameterError(f"share is {share}, expected above 0 and up to 1")
        t_s = np.sort(np.asarray(self.t / second), axis=0)  # NaN come last
        if not len(t_s):
            return np.full(t_s.shape[1], np.nan) * second
        return t_s[int(np.ceil(share * len(t_s) - 1e-9)) - 1] * second

    def plot(
        self, ax: "Axes | None" = None, *, neuron: int | None = None, color: str = BLUE, label: str | None = None
    ) -> "Axes":
        """Share of samples that have spiked by each time, for one neuron or faintly for all; a dot marks the median."""
        ax = prepare(ax)
        t_ms, end_ms = in_ms(self.t), float(in_ms(self.watched))
        samples, units = t_ms.shape
        drawn = chosen(neuron, units, "neuron")
        median_ms = in_ms(self.quantile(0.5))
        for k, unit in enumerate(drawn):
            fired = np.sort(t_ms[np.isfinite(t_ms[:, unit]), unit])
            edges = np.concatenate([[0], fired, [end_ms]])
            ax.stairs(
                np.arange(fired.size + 1) / max(samples, 1), edges, baseline=None, color=color,
                alpha=max(0.25, drawn.size**-0.5), linewidth=1.4, label=label if k == 0 else None,
            )  # fmt: skip
        ax.plot(median_ms[drawn], np.full(drawn.size, 0.5), "o", color=INK, markersize=4)
        ax.set(xlim=(0, end_ms), ylim=(0, 1.02))
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        name_axes(ax, "time from onset (ms)", "samples with a spike")
        legend(ax)
        return ax


def first_spikes(spikes: SpikeTrains, *, onset: Quantity = 0 * ms) -> Latencies:
    """Latency of the first spike at or after `onset` of each neuron in each sample.

    Raises `ParameterError` for an onset outside the sample.

    >>> from snn.spikes import spike_trains
    >>> first_spikes(spike_trains([0, 0], [3, 7] * ms, neurons=2, duration=10 * ms), onset=5 * ms).t
    array([[ 2., nan]]) * msecond
    """
    onset_s, duration_s = time_s(onset, "onset"), float(spikes.duration / second)
    if not 0 <= onset_s < duration_s:
        raise ParameterError(f"onset is {onset}, expected 0 or more and before the end at {spikes.duration}")
    t_s = np.asarray(spikes.t / second)
    late = t_s >= onset_s
    first_s = np.full(spikes.samples * spikes.neurons, np.inf)
    np.minimum.at(first_s, spikes.sample[late] * spikes.neurons + spikes.neuron[late], t_s[late] - onset_s)
    first_s[np.isinf(first_s)] = np.nan
    return Latencies(t=first_s.reshape(spikes.samples, spikes.neurons) * second, watched=spikes.duration - onset)
