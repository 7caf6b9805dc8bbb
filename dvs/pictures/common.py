"""What the pictures share: what they take, and how palettes become Matplotlib's colours."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray, Recording, Sliceable
from dvs.palettes import Colour, Palette
from dvs.statistics import rate_over_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, ListedColormap
    from matplotlib.legend import Legend

Drawable = Sliceable | EventArray
Size = tuple[int, int]

_DAY_US = 86_400_000_000


def recorded(source: Drawable, size: Size | None = None) -> Recording:
    """The source as a recording in memory; bare events need the (width, height) of their sensor."""
    if isinstance(source, Recording):
        return source
    if isinstance(source, Sliceable):
        return source[:]
    if size is None:
        raise ParameterError("events alone do not know their sensor; give size=(width, height), or a Recording")
    start_us = int(source["t"][0]) if source.size else 0
    return Recording(events=source, width=size[0], height=size[1], start_us=start_us)


def clock(recording: Sliceable) -> tuple[int, str]:
    """The time in us that the axis counts from, and its label: what counts from 1970 is counted from its beginning."""
    if recording.start_us < _DAY_US:
        return 0, "time (s)"
    return recording.start_us, "time since the beginning (s)"


def rate_steps(
    recording: Recording, bin_us: int, polarity: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Events a second in bins of bin_us, (bins,), and the edges of the bins in seconds from `clock` on, (bins + 1,).

    Events in no time have no rate: one bin of 0 then.
    """
    rates = rate_over_time(recording, bin_us, polarity)
    edges_us = np.append(np.arange(recording.start_us, recording.stop_us, bin_us), recording.stop_us)
    if rates.size == 0:
        rates, edges_us = np.zeros(1), recording.start_us + np.arange(2)
    return rates, (edges_us - clock(recording)[0]) * 1e-6


def rgb(colour: Colour) -> tuple[float, float, float]:
    """A colour as Matplotlib has it."""
    red, green, blue = (part / 255 for part in colour)
    return red, green, blue


def three_colours(palette: Palette) -> "ListedColormap":
    """Background, OFF and ON for 0, 1 and 2."""
    from matplotlib.colors import ListedColormap

    return ListedColormap([rgb(palette.background), rgb(palette.off), rgb(palette.on)])


def two_sided(palette: Palette) -> "Colormap":
    """From OFF through the background to ON."""
    from matplotlib.colors import LinearSegmentedColormap

    ends = [rgb(palette.off), rgb(palette.background), rgb(palette.on)]
    # An odd number, so that 0 is exactly the background.
    return LinearSegmentedColormap.from_list("two-sided", ends, N=257)


def note(ax: "Axes", text: str) -> None:
    """A line above the axes, in ink."""
    from dvs.charts import INK

    ax.set_title(text, color=INK, fontsize=9, loc="left")


def legend(ax: "Axes", palette: Palette, **place: Any) -> "Legend":
    """The legend on the ground of the palette, where each of its colours is seen."""
    from dvs.charts import INK

    ink = "white" if palette.is_dark else INK
    look = {"fontsize": 9, "framealpha": 1, "edgecolor": "none", "fancybox": False, "borderpad": 0.25}
    return ax.legend(**{"labelcolor": ink, "facecolor": rgb(palette.background), **look, **place})


def polarity_legend(ax: "Axes", palette: Palette, **place: Any) -> "Legend":
    """Which colour is ON and which OFF, above the right corner, outside the data."""
    from matplotlib.patches import Patch

    swatches = [Patch(color=rgb(palette.on), label="ON"), Patch(color=rgb(palette.off), label="OFF")]
    look = {"fontsize": 8, "ncols": 2, "handlelength": 0.8, "handletextpad": 0.4, "columnspacing": 0.9}
    where = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
    return legend(ax, palette, handles=swatches, **{**look, **where, **place})


def round_us(t_us: float) -> int:
    """The nearest of 1, 2, 5, 10, 20, ... microseconds.

    >>> round_us(9_216), round_us(0.1), round_us(3_300)
    (10000, 1, 2000)
    """
    decade = 10 ** int(np.floor(np.log10(max(t_us, 1))))
    return min((step * decade for step in (1, 2, 5, 10)), key=lambda step: abs(step - t_us))
