"""Events in space and time: the cloud, and a slice through it in which motion is a slope."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dvs.charts import INK, name_axes, prepare
from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.palettes import Palette, find_palette
from dvs.pictures.common import Drawable, Size, clock, note, polarity_legend, recorded, rgb, round_us
from dvs.statistics import count_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def space_time(
    recording: Drawable,
    *,
    max_events: int = 20_000,
    palette: str | Palette = "light",
    size: Size | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Events as points at (t, x, y). More than `max_events` are thinned evenly, and the title says so.

    `ax` must have three dimensions: `figure.add_subplot(projection="3d")`.
    """
    from matplotlib.figure import Figure

    if max_events < 1:
        raise ParameterError(f"max_events = {max_events}; give a whole number from 1 on")
    if ax is None:
        ax = Figure(figsize=(7.2, 4.2)).add_axes((-0.07, 0, 1.06, 1), projection="3d")
    if ax.name != "3d":
        raise ParameterError("a cloud needs axes of three dimensions; make them with projection='3d'")
    whole, colours = recorded(recording, size), find_palette(palette)
    width, height = whole.width, whole.height
    events = thinned(whole.events, max_events)
    origin_us, time_name = clock(whole)
    ax.scatter(
        (events["t"] - origin_us) * 1e-6, events["x"], events["y"], c=_colours(events, colours),
        s=float(np.clip(3e4 / max(events.size, 1), 1.2, 12)), linewidths=0, depthshade=False,
    )  # fmt: skip
    start_s, stop_s = (whole.start_us - origin_us) * 1e-6, (whole.stop_us - origin_us) * 1e-6
    ax.set(ylim=(0, width), zlim=(height, 0), xlim=(start_s, stop_s if stop_s > start_s else start_s + 1e-6))
    names = (time_name, "x (pixels)", "y (pixels)")
    for axis, name in zip((ax.xaxis, ax.yaxis, ax.zaxis), names, strict=True):
        axis.set_label_text(name, color=INK)
        axis.set_pane_color((*rgb(colours.background), 1.0))
        axis.pane.set_edgecolor(INK)
        axis.pane.set_linewidth(0.6)
        axis.line.set_color(INK)
        axis.line.set_linewidth(0.6)
    ax.set(yticks=_ticks(width), zticks=_ticks(height))
    ax.tick_params(colors=INK, labelsize=8)
    ax.grid(visible=False)
    ax.xaxis.labelpad = 8
    ax.set_box_aspect((2.4, 1, height / width), zoom=1.25)
    ax.view_init(elev=16, azim=-58)
    of = f"{events.size:,} of " if events.size < len(whole) else ""
    ax.set_title(f"{of}{len(whole):,} events", color=INK, fontsize=9, y=0.96)
    polarity_legend(ax, colours, loc="center right", bbox_to_anchor=(1, 0.928))
    return ax


def _ticks(pixels: int) -> list[int]:
    """Where the ticks of a side stand: three or so, none at the far corner, where two sides meet."""
    return list(range(0, math.ceil(0.95 * pixels), round_us(pixels / 3)))


def thinned(events: EventArray, most: int) -> EventArray:
    """At most so many of the events, evenly spread over their order."""
    if events.size <= most:
        return events
    return events[np.arange(most) * events.size // most]


def time_slice(
    recording: Drawable,
    *,
    along: str = "x",
    at: int | None = None,
    thickness: int = 1,
    palette: str | Palette = "light",
    size: Size | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Events of some rows over x and time (along="x"), or of some columns over y and time (along="y").

    What moves makes slanted lines, and their slope is its speed in pixels a second. `at` is the first of `thickness`
    rows or columns, by default where there are most events.
    """
    if along not in ("x", "y"):
        raise ParameterError(f"along = {along!r}; give 'x' for some rows over time, or 'y' for some columns")
    whole, colours = recorded(recording, size), find_palette(palette)
    across = "y" if along == "x" else "x"
    lines, length = (whole.height, whole.width) if along == "x" else (whole.width, whole.height)
    if not 1 <= thickness <= lines:
        raise ParameterError(f"thickness = {thickness}; give 1 to {lines}")
    if at is None:
        per_line = np.cumsum(np.append(0, count_map(whole).sum(axis=1 if along == "x" else 0)))
        at = int(np.argmax(per_line[thickness:] - per_line[:-thickness]))
    if not 0 <= at <= lines - thickness:
        raise ParameterError(f"at = {at}; {thickness} lines from 0 to {lines - thickness} on are on the sensor")
    place = whole.events[across]
    events = whole.events[(place >= at) & (place < at + thickness)]
    ax = prepare(ax, 6.4, 3.6)
    ax.set_facecolor(rgb(colours.background))
    # Dots as small as a pixel, but seen.
    dot = float(np.clip(20_000 / max(events.size, 1), 1.0, 6.0))
    origin_us, time_name = clock(whole)
    t_s = (events["t"] - origin_us) * 1e-6
    ax.scatter(t_s, events[along], c=_colours(events, colours), s=dot, linewidths=0, rasterized=True)
    if whole.stop_us > whole.start_us:
        ax.set_xlim((whole.start_us - origin_us) * 1e-6, (whole.stop_us - origin_us) * 1e-6)
    # Rows count from the top, as in every picture of the sensor.
    ax.set_ylim((0, length) if along == "x" else (length, 0))
    name_axes(ax, time_name, f"{along} (pixels)")
    line = "row" if along == "x" else "column"
    note(ax, f"{line} {at}" if thickness == 1 else f"{line}s {at} to {at + thickness - 1}")
    polarity_legend(ax, colours)
    return ax


def _colours(events: EventArray, palette: Palette) -> NDArray[np.float64]:
    return np.array([rgb(palette.off), rgb(palette.on)])[events["p"]]
