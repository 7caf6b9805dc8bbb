"""Events over time: how many of the whole sensor, and when at single pixels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dvs.charts import INK, name_axes, prepare, time_text, with_prefix
from dvs.errors import ParameterError
from dvs.palettes import Palette, find_palette
from dvs.pictures.common import Drawable, Size, clock, legend, note, rate_steps, recorded, rgb, round_us
from dvs.statistics import count_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 200


def event_rate(
    recording: Drawable,
    *,
    bin_us: int | None = None,
    palette: str | Palette = "light",
    size: Size | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Events a second over time, ON upwards and OFF downwards, in bins of `bin_us` (by default about 200 of them)."""
    whole, colours = recorded(recording, size), find_palette(palette)
    span_us = whole.stop_us - whole.start_us
    bin_us = round_us(span_us / _BINS) if bin_us is None else bin_us
    ax = prepare(ax, 6.4, 2.6)
    ax.set_facecolor(rgb(colours.background))
    for polarity, name, colour, sign in ((1, "ON", colours.on, 1), (0, "OFF", colours.off, -1)):
        rates, edges_s = rate_steps(whole, bin_us, polarity)
        ax.stairs(sign * rates, edges_s, fill=True, color=rgb(colour), label=name)
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.margins(x=0)
    ax.yaxis.set_major_formatter(lambda value, _: with_prefix(abs(value), "").strip())
    name_axes(ax, f"{clock(whole)[1]}, in bins of {time_text(bin_us)}", "events a second")
    # Beside the bars there is no room for it.
    legend(ax, colours, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    return ax


def pixel_raster(
    recording: Drawable,
    *,
    pixels: Sequence[tuple[int, int]] | None = None,
    most: int = 20,
    palette: str | Palette = "light",
    size: Size | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """A line of ticks for each pixel (x, y): ON above it, OFF below, so that no colour is needed to tell them.

    Without `pixels`, those `most` that fired most, the most active at the top.
    """
    whole, colours = recorded(recording, size), find_palette(palette)
    if most < 1:
        raise ParameterError(f"most = {most}; give a number of pixels from 1 on")
    if pixels is None:
        counts = count_map(whole)
        order = np.argsort(-counts, axis=None, kind="stable")[:most]
        order = order[counts.ravel()[order] > 0]
        pixels = [(int(index % whole.width), int(index // whole.width)) for index in order]
    for x, y in pixels:
        if not (0 <= x < whole.width and 0 <= y < whole.height):
            raise ParameterError(f"pixel ({x}, {y}) is outside the {whole.width}x{whole.height} sensor")
    ax = prepare(ax, 6.4, float(np.clip(0.22 * len(pixels) + 0.9, 1.8, 8)), grid=False)
    ax.set_facecolor(rgb(colours.background))
    row_of = np.full((whole.height, whole.width), -1)
    for row, (x, y) in enumerate(pixels):
        row_of[y, x] = row
    rows = row_of[whole.events["y"], whole.events["x"]]
    origin_us, time_name = clock(whole)
    t_s = (whole.events["t"] - origin_us) * 1e-6
    start_s, stop_s = (whole.start_us - origin_us) * 1e-6, (whole.stop_us - origin_us) * 1e-6
    ax.hlines(np.arange(len(pixels)), start_s, stop_s, color=INK, alpha=0.25, linewidth=0.5)
    # Rows count downwards, so what is above has the smaller number.
    for polarity, name, colour, tip in ((1, "ON", colours.on, -0.42), (0, "OFF", colours.off, 0.42)):
        chosen = (rows >= 0) & (whole.events["p"] == polarity)
        row = rows[chosen]
        ax.vlines(t_s[chosen], row, row + tip, color=rgb(colour), linewidth=0.8, label=name)
    ax.set_yticks(np.arange(len(pixels)), [f"({x}, {y})" for x, y in pixels])
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.set_ylim(max(len(pixels), 1) - 0.5, -0.5)
    if stop_s > start_s:
        ax.set_xlim(start_s, stop_s)
    name_axes(ax, time_name, "pixel (x, y)")
    note(ax, "ON above the line, OFF below")
    return ax
