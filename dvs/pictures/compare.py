"""Two recordings side by side: an emulation and the real one, before a filter and after it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dvs.charts import INK, colour_bar, name_axes, prepare, time_text, with_prefix
from dvs.palettes import Palette, find_palette
from dvs.pictures.common import (
    Drawable,
    Size,
    clock,
    legend,
    note,
    rate_steps,
    recorded,
    rgb,
    round_us,
    two_sided,
)
from dvs.pictures.frames import full_colour
from dvs.statistics import count_ratio, signed_map, spatial_correlation, temporal_correlation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 100


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How alike two recordings are.

    count_ratio: events of the first for each of the second. temporal_r: Pearson's r of the events in bins of `bin_us`
    over the span that both watched, None where they share fewer than two bins. count_r and signed_r: Pearson's r of
    the maps of events, and of ON minus OFF, blurred by `sigma_px`.
    """

    count_ratio: float
    temporal_r: float | None
    count_r: float
    signed_r: float
    bin_us: int
    sigma_px: float


def agreement(
    a: Drawable, b: Drawable, *, bin_us: int | None = None, sigma_px: float = 1.0, size: Size | None = None
) -> Agreement:
    """How alike two recordings of one sensor size are; bins are by default a hundredth of the shorter one."""
    a, b = recorded(a, size), recorded(b, size)
    shorter_us = min(a.stop_us - a.start_us, b.stop_us - b.start_us)
    bin_us = round_us(shorter_us / _BINS) if bin_us is None else bin_us
    shared_us = min(a.stop_us, b.stop_us) - max(a.start_us, b.start_us)
    return Agreement(
        count_ratio=count_ratio(a, b),
        temporal_r=temporal_correlation(a, b, bin_us) if shared_us >= 2 * bin_us else None,
        count_r=spatial_correlation(a, b, sigma_px),
        signed_r=spatial_correlation(a, b, sigma_px, signed=True),
        bin_us=bin_us,
        sigma_px=sigma_px,
    )


def comparison(
    a: Drawable,
    b: Drawable,
    *,
    names: tuple[str, str] = ("first", "second"),
    bin_us: int | None = None,
    sigma_px: float = 1.0,
    palette: str | Palette = "light",
    size: Size | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Rates over time, maps of ON minus OFF and their difference, and the numbers of `agreement` above.

    The place of `ax` is divided among four panels, its `child_axes`: rates, first, second, first minus second.
    """
    a, b, colours = recorded(a, size), recorded(b, size), find_palette(palette)
    numbers = agreement(a, b, bin_us=bin_us, sigma_px=sigma_px)
    if ax is None:
        from matplotlib.figure import Figure

        tall = 9.4 / 3 * a.height / a.width
        ax = Figure(figsize=(9.8, float(np.clip(tall + 3, 4, 10))), layout="constrained").add_subplot()
    ax.set_axis_off()
    rates = prepare(ax.inset_axes((0, 0.6, 1, 0.4)))
    rates.set_facecolor(rgb(colours.background))
    for recording, name, colour, filled in ((a, names[0], colours.on, True), (b, names[1], colours.off, False)):
        # Where the two agree both are seen: one is an area, the other a line.
        look = {"fill": True, "alpha": 0.45} if filled else {"linewidth": 1.4, "baseline": None}
        rates.stairs(*rate_steps(recording, numbers.bin_us), color=rgb(colour), label=name, **look)
    rates.yaxis.set_major_formatter(lambda value, _: with_prefix(value, "").strip())
    rates.margins(x=0, y=0.25)  # room for the legend
    rates.set_ylim(bottom=0)
    name_axes(rates, f"{clock(a)[1]}, in bins of {time_text(numbers.bin_us)}", "events a second")
    legend(rates, colours)
    note(rates, _text(numbers, len(a), len(b)))

    maps = [signed_map(a), signed_map(b)]
    full = max(full_colour(each) for each in maps)
    panels = zip((*names, f"{names[0]} minus {names[1]}"), (*maps, maps[0] - maps[1]), strict=True)
    for k, (name, counts) in enumerate(panels):
        panel = prepare(ax.inset_axes((0.335 * k, 0, 0.31, 0.46)), grid=False)
        image = panel.imshow(counts, cmap=two_sided(colours), vmin=-full, vmax=full, interpolation="nearest")
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set(visible=True, color=INK, linewidth=0.6)
        note(panel, name)
    colour_bar(panel, image, "ON minus OFF events")
    return ax


def _text(numbers: Agreement, events_a: int, events_b: int) -> str:
    # Adding 0 makes a zero of -0.
    maps, signed, ratio = (round(r, 2) + 0.0 for r in (numbers.count_r, numbers.signed_r, numbers.count_ratio))
    temporal = numbers.temporal_r
    rates = "not defined: spans differ" if temporal is None else f"{round(temporal, 2) + 0.0:.2f}"
    return (
        f"{events_a:,} and {events_b:,} events, ratio {ratio:.2f}\n"
        f"correlation: maps {maps:.2f}, signed maps {signed:.2f}, rates {rates}"
    )
