"""How the pictures of the probes look: the house's ink, blue and orange; no window is ever opened."""

from typing import TYPE_CHECKING

import numpy as np
from brian2 import Quantity, ms
from numpy.typing import NDArray

from dvs.charts import INK, OFF, ON
from dvs.charts import colour_bar as colour_bar
from dvs.charts import legend as legend
from dvs.charts import name_axes as name_axes
from dvs.charts import prepare as prepare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

BLUE, ORANGE = ON, OFF


def whole_ticks(ax: "Axes", *names: str) -> None:
    """Ticks at whole numbers only, on "x", "y" or both."""
    from matplotlib.ticker import MaxNLocator

    for name in names:
        getattr(ax, f"{name}axis").set_major_locator(MaxNLocator(integer=True))


def in_ms(t: Quantity) -> NDArray[np.float64]:
    """Times as numbers of milliseconds."""
    return np.asarray(t / ms)


def rising() -> "Colormap":
    """From nothing (white) through blue to ink, and grey where nobody looked: for what is never negative."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("rising", ["#ffffff", BLUE, INK]).with_extremes(bad="#d5dae0")


def two_sided() -> "Colormap":
    """From orange through white to blue: for what has a sign."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("two-sided", ["#8a3c00", ORANGE, "#ffffff", BLUE, "#123a75"])


def dots_against_chance(
    ax: "Axes",
    value: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    above: str,
    below: str,
) -> None:
    """A dot for each unit, the lowest value at the bottom, over the interval in which chance would put it."""
    order = np.argsort(value)[: np.count_nonzero(np.isfinite(value))]
    value, low, high = value[order], low[order], high[order]
    row = np.arange(order.size)
    tall = float(np.clip(120 / max(order.size, 1), 0.8, 7))
    ax.hlines(row, low, high, color=INK, alpha=0.22, linewidth=tall, label="chance")
    kinds = [
        (value > high, BLUE, above),
        (value < low, ORANGE, below),
        ((value >= low) & (value <= high), INK, "like chance"),
    ]
    for kind, colour, name in kinds:
        if kind.any():
            dot = float(np.clip(tall, 3, 5.5))
            ax.plot(value[kind], row[kind], "o", color=colour, markersize=dot, markeredgewidth=0, label=name)
    ax.set_yticks([])
    ax.margins(y=0.04)
    ax.legend(
        frameon=False, labelcolor=INK, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0,
        columnspacing=1.2, handlelength=1.2,
    )  # fmt: skip
