"""Spikes of many samples as rows of dots: the first look at any recording."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Quantity, second
from numpy.typing import ArrayLike, NDArray

from snn.probes.arguments import chosen, classes_of, watched_s, window_s, zeros_s
from snn.probes.pictures import INK, in_ms, name_axes, prepare, whole_ticks
from snn.spikes import SpikeTrains

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """Spikes in rows: of each sample the chosen neurons, one row each.

    t: (S,) from the zero of the sample. row: (S,) from the top. sample_of_row, neuron_of_row: (rows,). classes: the
    labels in rising order, and class_ends: the row at which the block of each ends; both empty without labels.
    """

    t: Quantity
    row: NDArray[np.int64]
    sample_of_row: NDArray[np.int64]
    neuron_of_row: NDArray[np.int64]
    classes: NDArray
    class_ends: NDArray[np.int64]
    start: Quantity
    stop: Quantity

    def __len__(self) -> int:
        return self.row.size

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """A tick for each spike; classes are blocks, shaded in turn."""
        rows = self.sample_of_row.size
        ax = prepare(ax, height_in=3.4, grid=False)
        height = ax.get_window_extent().height * 72 / ax.figure.dpi
        ax.plot(
            in_ms(self.t), self.row, linestyle="none", marker="|", color=INK, rasterized=True,
            markersize=float(np.clip(0.9 * height / max(rows, 1), 1.6, 9)), markeredgewidth=0.8,
        )  # fmt: skip
        start_ms, stop_ms = in_ms(self.start), in_ms(self.stop)
        if start_ms < 0 < stop_ms:
            ax.axvline(0, color=INK, linewidth=0.8, linestyle="--")
        ax.set(xlim=(start_ms, stop_ms), ylim=(max(rows, 1) - 0.5, -0.5))
        ax.tick_params(axis="y", length=0)
        if self.classes.size:
            edges = np.concatenate([[0], self.class_ends]) - 0.5
            for first, last in zip(edges[:-1:2], edges[1::2], strict=False):
                ax.axhspan(first, last, color=INK, alpha=0.07, linewidth=0)
            ax.set_yticks((edges[:-1] + edges[1:]) / 2, [str(label) for label in self.classes])
            what = "class"
        else:
            whole_ticks(ax, "y")
            samples, neurons = np.unique(self.sample_of_row).size, np.unique(self.neuron_of_row).size
            what = f"{samples} samples of {neurons} neurons"
            if 1 in (samples, neurons):
                what, number = ("sample", self.sample_of_row) if neurons == 1 else ("neuron", self.neuron_of_row)
                ax.yaxis.set_major_formatter(lambda row, _: f"{number[int(row)]}" if 0 <= row < rows else "")
        name_axes(ax, "time (ms)", what)
        return ax


def raster(
    spikes: SpikeTrains,
    labels: ArrayLike | None = None,
    *,
    neurons: ArrayLike | slice | None = None,
    align: Quantity | None = None,
    window: tuple[Quantity, Quantity] | None = None,
) -> Raster:
    """The spikes of all samples in rows, samples of a class together if there are `labels` (samples,).

    neurons: which of them, in this order (numbers, a slice or a mask). align: zero of time, one for all or (samples,),
    such as the time of the decision; a sample with NaN is left out. window: (start, stop) about that zero, by default
    all that was watched. Raises `ParameterError` for arguments out of range, `InputError` for a wrong shape.
    """
    zero_s = zeros_s(spikes, align)
    start_s, stop_s = watched_s(spikes, zero_s) if window is None else window_s(window)
    units = chosen(neurons, spikes.neurons, "neurons")
    samples = np.flatnonzero(np.isfinite(zero_s))
    classes, ends = np.empty(0), np.empty(0, np.int64)
    if labels is not None:
        classes, which = classes_of(labels, spikes.samples)
        samples = samples[np.argsort(which[samples], kind="stable")]
        ends = np.searchsorted(which[samples], np.arange(classes.size), side="right") * units.size
    place = np.full(spikes.samples, -1)
    place[samples] = np.arange(samples.size)
    rank = np.full(spikes.neurons, -1)
    rank[units] = np.arange(units.size)
    t_s = np.asarray(spikes.t / second) - zero_s[spikes.sample]
    shown = (place[spikes.sample] >= 0) & (rank[spikes.neuron] >= 0) & (t_s >= start_s) & (t_s < stop_s)
    return Raster(
        t=t_s[shown] * second,
        row=place[spikes.sample[shown]] * units.size + rank[spikes.neuron[shown]],
        sample_of_row=np.repeat(samples, units.size),
        neuron_of_row=np.tile(units, samples.size),
        classes=classes,
        class_ends=ends,
        start=start_s * second,
        stop=stop_s * second,
    )
