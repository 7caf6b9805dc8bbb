"""Firing rate about an instant of each sample: the peristimulus time histogram (Gerstein & Kiang 1960)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Hz, Quantity, ms, second
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dvs.errors import ParameterError
from snn.probes.arguments import chosen, step_of, time_s, watched_s, whole_steps, window_s, zeros_s
from snn.probes.pictures import BLUE, INK, colour_bar, in_ms, legend, name_axes, prepare, rising, whole_ticks
from snn.spikes import SpikeTrains

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class PSTH:
    """Rate of each neuron in bins about the zero of the samples.

    t: (bins,) middle of each bin. rate, sem: (neurons, bins) mean over samples and its standard error. samples:
    (bins,) samples that were watched through the whole bin. Where there are none, or for `sem` only one: NaN.
    """

    t: Quantity
    rate: Quantity
    sem: Quantity
    samples: NDArray[np.int64]
    bin_width: Quantity

    def plot(
        self, ax: "Axes | None" = None, *, neuron: int | None = None, color: str = BLUE, label: str | None = None
    ) -> "Axes":
        """The rate of one neuron with its standard error; without `neuron`, the rates of all as a map."""
        units = len(self.rate)
        ax = prepare(ax, grid=neuron is not None or units == 1)
        t_ms, half_ms = in_ms(self.t), in_ms(self.bin_width) / 2
        rate_hz, sem_hz = np.asarray(self.rate / Hz), np.asarray(self.sem / Hz)
        if neuron is None and units != 1:
            extent = (t_ms[0] - half_ms, t_ms[-1] + half_ms, units - 0.5, -0.5)
            image = ax.imshow(
                rate_hz, extent=extent, aspect="auto", interpolation="none", cmap=rising(), vmin=0,
                vmax=np.nanmax(rate_hz, initial=1e-9, where=np.isfinite(rate_hz)),
            )  # fmt: skip
            colour_bar(ax, image, "rate (Hz)")
            whole_ticks(ax, "y")
            what = "neuron"
        else:
            unit = int(chosen(neuron or 0, units, "neuron")[0])
            low_hz, high_hz = rate_hz[unit] - sem_hz[unit], rate_hz[unit] + sem_hz[unit]
            ax.fill_between(t_ms, low_hz, high_hz, color=color, alpha=0.25, linewidth=0)
            ax.plot(t_ms, rate_hz[unit], color=color, linewidth=1.6, label=label)
            ax.set_ylim(bottom=0, auto=True)  # another curve may be higher
            legend(ax)
            what = "rate (Hz)"
        ax.set_xlim(t_ms[0] - half_ms, t_ms[-1] + half_ms)
        if t_ms[0] < 0 < t_ms[-1]:
            ax.axvline(0, color=INK, linewidth=0.8, linestyle="--")
        name_axes(ax, "time (ms)", what)
        return ax


def psth(
    spikes: SpikeTrains,
    *,
    align: Quantity | None = None,
    window: tuple[Quantity, Quantity] | None = None,
    bin_width: Quantity = 10 * ms,
    smooth: Quantity | None = None,
) -> PSTH:
    """Mean rate of every neuron about an instant, with its standard error over samples.

    align: zero of time, one for all or (samples,), such as the onset of a stimulus or the time of the decision; a
    sample with NaN is left out. window: (start, stop) about it, by default all that any sample was watched.
    smooth: standard deviation of a Gaussian over the bins of each sample; at the ends of what was watched it is
    divided by the weight that lies inside, so a constant rate stays constant.

    A bin takes only samples that were watched through all of it, so a decision late in the sample does not make the
    rate after it look low. Raises `ParameterError` or `InputError` for arguments out of range or of a wrong shape.

    >>> from snn.spikes import spike_trains
    >>> spikes = spike_trains([0, 0, 0], [1, 2, 15] * ms, neurons=1, duration=20 * ms)
    >>> psth(spikes, bin_width=10 * ms).rate
    array([[200., 100.]]) * hertz
    """
    zero_s = zeros_s(spikes, align)
    start_s, stop_s = watched_s(spikes, zero_s) if window is None else window_s(window)
    bin_s = time_s(bin_width, "bin_width", positive=True)
    bins = whole_steps(stop_s - start_s, bin_s)
    if bins == 0:
        raise ParameterError(
            f"the window of {(stop_s - start_s) * second} holds no bin of {bin_width}; give shorter bins"
        )
    watched = _watched(spikes, zero_s, start_s, bin_s, bins)
    used = watched.sum(axis=0)
    cell, first = _cells(spikes, zero_s, start_s, bin_s, watched)
    sigma = 0.0 if smooth is None else time_s(smooth, "smooth", positive=True) / bin_s
    weight = _smoothed(watched, sigma)
    rate, sem = np.empty((2, spikes.neurons, bins))
    with np.errstate(divide="ignore", invalid="ignore"):
        for neuron in range(spikes.neurons):
            counts = np.bincount(cell[first[neuron] : first[neuron + 1]], minlength=watched.size)
            each = np.where(watched, _smoothed(counts.reshape(watched.shape), sigma) / weight, 0)
            rate[neuron] = each.sum(axis=0) / used
            spread = np.where(watched, (each - rate[neuron]) ** 2, 0).sum(axis=0)
            sem[neuron] = np.sqrt(spread / (used - 1) / used)
    sem[:, used < 2] = np.nan
    return PSTH(
        t=(start_s + (np.arange(bins) + 0.5) * bin_s) * second,
        rate=rate / bin_s * Hz,
        sem=sem / bin_s * Hz,
        samples=used,
        bin_width=bin_width,
    )


def _watched(
    spikes: SpikeTrains, zero_s: NDArray[np.float64], start_s: float, bin_s: float, bins: int
) -> NDArray[np.bool_]:
    """Whether a sample was watched through a bin, (samples, bins)."""
    begin = (start_s + zero_s[:, None]) / bin_s + np.arange(bins)
    with np.errstate(invalid="ignore"):
        return (begin > -1e-6) & (begin + 1 < float(spikes.duration / second) / bin_s + 1e-6)


def _cells(
    spikes: SpikeTrains, zero_s: NDArray[np.float64], start_s: float, bin_s: float, watched: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each spike of a watched bin as sample * bins + bin, neuron by neuron, and where each neuron begins."""
    bins = watched.shape[1]
    t_s = np.asarray(spikes.t / second) - zero_s[spikes.sample] - start_s
    timed = np.flatnonzero(np.isfinite(t_s))
    bin_of = step_of(t_s[timed], bin_s)
    cell = spikes.sample[timed] * bins + np.clip(bin_of, 0, bins - 1)
    counted = (bin_of >= 0) & (bin_of < bins) & watched.ravel()[cell]
    neuron = spikes.neuron[timed[counted]]
    order = np.argsort(neuron, kind="stable")
    return cell[counted][order], np.searchsorted(neuron[order], np.arange(spikes.neurons + 1))


def _smoothed(values: NDArray, sigma: float) -> NDArray[np.float64]:
    values = values.astype(np.float64)
    return gaussian_filter1d(values, sigma, axis=1, mode="constant") if sigma else values
