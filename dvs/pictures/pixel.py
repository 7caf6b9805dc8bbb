"""The picture that explains an event camera: one pixel, its light, the level it remembers, its events."""

from typing import TYPE_CHECKING

import numpy as np

from dvs.charts import INK, name_axes, prepare
from dvs.palettes import Palette, find_palette
from dvs.pictures.common import legend, note, rgb
from dvs.pixel_trace import PixelTrace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SAME_LN = 1e-3


def one_pixel(trace: PixelTrace, *, palette: str | Palette = "light", ax: "Axes | None" = None) -> "Axes":
    """Log intensity of one pixel with the reference and its band of thresholds; below, the events.

    Each time the photoreceptor leaves the band there is an event, and the band is laid around it again.

        from dvs import pictures, pixel_trace, scenes

        pictures.one_pixel(pixel_trace.watch_pixel(scenes.flicker(), "ideal", x=0, y=0))
    """
    colours = find_palette(palette)
    ax = prepare(ax, 6.8, 3.9)
    ax.set_facecolor(rgb(colours.background))
    ink = "white" if colours.is_dark else INK
    t_ms, reference = trace.times_us * 1e-3, trace.reference_ln
    upper, lower = reference + trace.theta_on, reference - trace.theta_off
    ax.fill_between(t_ms, reference, upper, color=rgb(colours.on), alpha=0.16, linewidth=0)
    ax.fill_between(t_ms, lower, reference, color=rgb(colours.off), alpha=0.16, linewidth=0)
    ax.plot(t_ms, upper, color=rgb(colours.on), linewidth=0.9, label=r"ON threshold, $r + \theta_\mathrm{on}$")
    ax.plot(t_ms, reference, color=ink, linewidth=0.9, linestyle=(0, (4, 2)), label="remembered reference, $r$")
    ax.plot(t_ms, lower, color=rgb(colours.off), linewidth=0.9, label=r"OFF threshold, $r - \theta_\mathrm{off}$")
    if np.abs(trace.light_ln - trace.photoreceptor_ln).max() > _SAME_LN:
        ax.plot(t_ms, trace.light_ln, color=ink, alpha=0.4, linewidth=1.6, label="log intensity, $L$")
        ax.plot(t_ms, trace.photoreceptor_ln, color=ink, linewidth=1.8, label="photoreceptor, $v$")
    else:
        ax.plot(t_ms, trace.photoreceptor_ln, color=ink, linewidth=1.8, label="log intensity, $L = v$")

    ends = [np.nanmin([trace.light_ln, lower]), np.nanmax([trace.light_ln, upper])]
    room = max(ends[1] - ends[0], 0.1)
    ax.set_ylim(ends[0] - 0.3 * room, ends[1] + 0.04 * room)
    ax.set_xlim(t_ms[0], t_ms[-1])
    _events(ax, trace, colours, line=ends[0] - 0.16 * room, tall=0.09 * room)
    name_axes(ax, "time (ms)", "log intensity (ln units)")
    on = int(np.count_nonzero(trace.events["p"]))
    note(ax, f"pixel ({trace.x}, {trace.y}): {on} ON and {trace.events.size - on} OFF events")
    beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0}
    legend(ax, colours, fontsize=8.5, handlelength=1.6, borderpad=0.5, **beside)
    return ax


def _events(ax: "Axes", trace: PixelTrace, colours: Palette, line: float, tall: float) -> None:
    """ON upwards and OFF downwards from a line of their own."""
    ax.axhline(line, color=INK, linewidth=0.6, alpha=0.5)
    for polarity, name, colour, tip in ((1, "ON event", colours.on, tall), (0, "OFF event", colours.off, -tall)):
        t_us = trace.events["t"][trace.events["p"] == polarity]
        t_ms = t_us * 1e-3
        crossed = np.interp(t_us, trace.times_us, trace.photoreceptor_ln)
        ax.plot(
            t_ms, crossed, "o", color=rgb(colour), markersize=4, markeredgecolor="white", markeredgewidth=0.6, zorder=3
        )
        ax.vlines(t_ms, line, line + tip, color=rgb(colour), linewidth=1.6, label=name)
