"""Charts of what an accumulator has seen: when, how often again, and how evenly pixels fire.

Each returns a Matplotlib figure; `figure.savefig(path)` keeps it, no window is opened.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dvs.statistics import INTERVAL_EDGES_US, Accumulator, count_map, rate_hz

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue and orange: told apart by the colour-blind, and legible on white and on black.
ON, OFF = "#3d7fd6", "#e07b2a"

# Everything but data. A colour nothing else has, so that a page can put its own in place of it.
INK = "#102a43"

_MOST_BINS = 256


def rate_chart(seen: Accumulator) -> "Figure":
    """Events a second over time, ON upwards and OFF downwards."""
    axes = prepare(None, width_in=10.7)
    counts, bin_us = seen.bin_counts, seen.bin_us
    span_us = seen.stop_us - seen.start_us
    while span_us > _MOST_BINS * bin_us:
        counts, bin_us = counts.reshape(2, -1, 2).sum(axis=2), 2 * bin_us
    used = max(1, math.ceil(span_us / bin_us))
    edges_us = np.minimum(np.arange(used + 1) * bin_us, span_us)
    # An event at the very end of the span may be in a bin of its own, of no length.
    counts = np.concatenate([counts[:, : used - 1], counts[:, used - 1 :].sum(axis=1, keepdims=True)], axis=1)
    off_hz, on_hz = counts / np.diff(edges_us) * 1e6
    times_s = (seen.start_us + edges_us) * 1e-6
    axes.stairs(on_hz, times_s, fill=True, color=ON)
    axes.stairs(-off_hz, times_s, fill=True, color=OFF)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.margins(x=0)
    axes.yaxis.set_major_formatter(lambda value, _: with_prefix(abs(value), "").strip())
    name_axes(axes, f"time (s), in bins of {bin_us / 1000:g} ms", "events a second")
    return axes.figure


def interval_chart(seen: Accumulator) -> "Figure":
    """How long a pixel waits for its next event, against Poisson pixels of the same mean rate."""
    axes = prepare(None)
    edges_us = INTERVAL_EDGES_US[1:]
    decades = np.diff(np.log10(edges_us))
    found = seen.interval_counts[1:-1] / max(int(seen.interval_counts.sum()), 1) / decades
    active = max(int(np.count_nonzero(count_map(seen))), 1)
    poisson = -np.diff(np.exp(-rate_hz(seen) / active * 1e-6 * edges_us)) / decades
    axes.stairs(found, edges_us, fill=True, color=INK, alpha=0.35)
    axes.stairs(poisson, edges_us, color=INK, linestyle="--", linewidth=1.2, baseline=None)
    shown = np.flatnonzero((found > 0) | (poisson > 0.01))
    axes.set(xscale="log", ylim=(0, None))
    if shown.size:  # not if all intervals are below the 10 us where the chart begins
        axes.set_xlim(edges_us[shown[0]], edges_us[shown[-1] + 1])
    axes.xaxis.set_major_formatter(lambda value, _: time_text(value))
    name_axes(axes, "interval", "share a decade")
    return axes.figure


def pixel_rate_chart(seen: Accumulator) -> "Figure":
    """Share of all pixels that fire at least at a rate."""
    axes = prepare(None)
    for polarity, name, colour in ((1, "ON", ON), (0, "OFF", OFF)):
        counts = np.sort(count_map(seen, polarity), axis=None)
        steps, first = np.unique(counts, return_index=True)
        share = 1 - first / counts.size
        fired = steps > 0
        if fired.any():
            axes.step(steps[fired] / seen.duration_s, share[fired], color=colour, label=name)
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_formatter(lambda value, _: with_prefix(value, "ev/s"))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.12g} %")
    name_axes(axes, "rate of a pixel", "share of pixels")
    legend(axes)
    return axes.figure


def prepare(ax: "Axes | None", width_in: float = 5.2, height_in: float = 2.9, *, grid: bool = True) -> "Axes":
    """The axes in the house's dress; those of a new figure if there are none. `ax.figure.savefig(path)` keeps it."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(width_in, height_in), layout="constrained").add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)
    ax.tick_params(which="both", colors=INK, labelsize=9)
    if grid:
        ax.grid(color=INK, alpha=0.12, linewidth=0.6)
        ax.set_axisbelow(True)
    return ax


def name_axes(ax: "Axes", x: str, y: str) -> None:
    """Axis labels in ink."""
    ax.set_xlabel(x, color=INK)
    ax.set_ylabel(y, color=INK)


def legend(ax: "Axes") -> None:
    """A legend without a box, if there is anything to explain."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, labelcolor=INK, fontsize=9)


def colour_bar(ax: "Axes", image: Any, name: str, **options: Any) -> None:
    """A slim colour bar beside the picture; `options` as of Matplotlib's `colorbar`."""
    # An inset is as high as the picture, also where its pixels are square.
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.02, 0, 0.022, 1)), **options)
    bar.set_label(name, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=9)


def with_prefix(value: float, unit: str) -> str:
    """Three digits, a prefix from a thousand on, and the unit.

    >>> with_prefix(33_403, "Hz"), with_prefix(0.371, "Hz"), with_prefix(999.7, "Hz")
    ('33.4 kHz', '0.371 Hz', '1 kHz')
    """
    value = _three_digits(value)
    thousands = min(3, max(0, math.floor(math.log10(value) / 3))) if value > 0 else 0
    return f"{value / 1000**thousands:g} {('', 'k', 'M', 'G')[thousands]}{unit}"


def time_text(t_us: float) -> str:
    """Three digits and the unit that suits.

    >>> time_text(10_940), time_text(2.36e6), time_text(999.7)
    ('10.9 ms', '2.36 s', '1 ms')
    """
    t_us = _three_digits(t_us)
    for unit, size_us in (("h", 3.6e9), ("min", 60e6), ("s", 1e6), ("ms", 1e3)):
        if t_us >= size_us:
            return f"{_three_digits(t_us / size_us):g} {unit}"
    return f"{t_us:g} µs"


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
