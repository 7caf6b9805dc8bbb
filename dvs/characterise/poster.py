"""The poster: all measurements of a sensor on one page, dots for what was measured, lines for theory."""

import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from dvs.characterise.measurement import Measurement, Number
from dvs.charts import INK, OFF, ON
from dvs.sensors import SET_BY_USER, Sensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
_LINE_PT = 10.5

_VIOLET, _GREEN = "#8a5cc2", "#2f9e77"

# Colour and marker of curves that have a name of their own; a series gets shades of the ink.
_STYLES = {
    "ON": (ON, "^"),
    "OFF": (OFF, "v"),
    "ON jump": (ON, "^"),
    "OFF jump": (OFF, "v"),
    "shot noise": (_VIOLET, "o"),
    "still scene": (_VIOLET, "o"),
    "leak": (_GREEN, "o"),
    "flicker": (_GREEN, "o"),
}


def poster(sensor: Sensor, measurements: Mapping[str, Measurement], *, seed: int, illuminance_lux: float) -> "Figure":
    """A panel for each measurement; `figure.savefig(path)` keeps it, no window is opened."""
    from matplotlib.figure import Figure

    rows = -(-len(measurements) // _COLUMNS)
    figure = Figure(figsize=(4.25 * _COLUMNS, 3.9 * rows + 1.2), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.1, rect=(0.005, 0.035, 0.99, 0.905))
    figure.text(0.012, 0.985, sensor.name, fontsize=26, fontweight="bold", color=INK, va="top")
    legend = "dots: measured from emulated events, with one standard error\nlines: theory, or what was asked for"
    figure.text(0.988, 0.982, legend, fontsize=11, color=INK, va="top", ha="right", linespacing=1.4)
    figure.text(0.012, 0.012, _footer(sensor, seed, illuminance_lux), fontsize=9, color=INK, alpha=0.75)
    panels = list(measurements.values())
    for row in range(rows):
        shown = panels[row * _COLUMNS : (row + 1) * _COLUMNS]
        lines = max(len(panel.numbers) for panel in shown)
        for column, panel in enumerate(shown):
            axes = figure.add_subplot(rows, _COLUMNS, row * _COLUMNS + column + 1)
            _head(axes, panel, lines)
            _draw(axes, panel)
    return figure


def value_text(number: Number) -> tuple[str, str]:
    """What was measured, give or take, and what theory says.

    >>> value_text(Number(measured=0.189663, error=0.00072, theory=0.19, unit="ln"))
    ('0.18966 ± 0.00072 ln', '0.19 ln')
    """
    value, error, unit = number.measured, number.error, f" {number.unit}" * bool(number.unit)
    theory = "" if math.isnan(number.theory) else f"{number.theory:.4g}{unit}"
    if math.isnan(value):
        return "not measured", theory
    if value == 0 and error > 0:
        return f"0 ± {error:.2g}{unit}", theory
    if math.isfinite(value) and 1e-6 * abs(value) < error < math.inf:
        decimals = max(1 - math.floor(math.log10(error)), 0)
        return f"{value:.{decimals}f} ± {error:.2g}{unit}", theory
    return f"{value:.4g}{unit}", theory


def _head(axes: "Axes", panel: Measurement, lines: int) -> None:
    """Title and numbers above the panel; `lines`, the most that a panel of the row has, keep rows level."""
    height_pt = 1.25 * _LINE_PT * lines
    style = {"xycoords": "axes fraction", "textcoords": "offset points", "color": INK}
    axes.annotate(panel.title, (0, 1), (0, height_pt + 12), fontsize=13, fontweight="bold", va="bottom", **style)
    texts = [(name, *value_text(number)) for name, number in panel.numbers.items()]
    numbers = "\n".join(f"{name}  {found}" + f"  ({theory})" * bool(theory) for name, found, theory in texts)
    axes.annotate(numbers, (0, 1), (0, height_pt + 9), fontsize=8.5, linespacing=1.25, va="top", **style)


def _draw(axes: "Axes", panel: Measurement) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(which="both", colors=INK, labelsize=9)
    axes.grid(color=INK, alpha=0.10, linewidth=0.6)
    axes.set_xlabel(panel.x_label, color=INK)
    axes.set_ylabel(panel.y_label, color=INK)
    if not _has_dots(panel):
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, panel.note, transform=axes.transAxes, ha="center", color=INK, style="italic")
        return
    for place, (name, line) in enumerate(panel.curves.items()):
        shade = {"alpha": 1.0 if name in _STYLES else 0.35 + 0.65 * (place + 1) / len(panel.curves)}
        colour, marker = _STYLES.get(name, (INK, "o"))
        hollow = name.endswith("jump")
        axes.plot(line.x, line.theory, "--" if hollow else "-", color=colour, linewidth=1.2, **shade)
        axes.errorbar(
            line.x, line.measured, line.error, fmt=marker, color=colour, label=name, markersize=4.5,
            elinewidth=1, markerfacecolor="white" if hollow else colour, **shade,
        )  # fmt: skip
    if len(panel.curves) > 1:
        axes.legend(frameon=False, labelcolor=INK, fontsize=8.5)
    axes.text(0.5, 0.06, panel.note, transform=axes.transAxes, ha="center", color=INK, style="italic")
    if panel.x_log:
        axes.set_xscale("log")
    if panel.y_log:
        axes.set_yscale("log")
        values = np.concatenate([[*line.measured, *line.theory] for line in panel.curves.values()])
        values = values[np.isfinite(values) & (values > 0)]
        # At least a decade, so that a scatter of one percent looks like one.
        margin = max(1.4, math.sqrt(10 * values.min() / values.max()))
        axes.set_ylim(values.min() / margin, values.max() * margin)
    if panel.y_range:
        low, high = panel.y_range
        axes.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))


def _has_dots(panel: Measurement) -> bool:
    """Whether any measured value can be drawn: on the log scale only what is above 0."""
    values = np.concatenate([np.empty(0), *(line.measured for line in panel.curves.values())])
    return bool((np.isfinite(values) & ((values > 0) | (not panel.y_log))).any())


def _footer(sensor: Sensor, seed: int, illuminance_lux: float) -> str:
    size = f"{sensor.width} x {sensor.height} pixels" if sensor.width and sensor.height else "any size"
    estimates = sum(source.estimate for source in sensor.sources.values())
    changed = [
        f"{field} = {getattr(sensor, field)}"
        for field, source in sensor.sources.items()
        if source.source == SET_BY_USER
    ]
    parts = [
        f"microsaccade {version('microsaccade')}",
        f"sensor {sensor.name}, {size}, {estimates} of {len(sensor.sources)} stated parameters are estimates",
        f"{illuminance_lux:g} lux where the light is not varied",
        f"seed {seed}",
        f"{SET_BY_USER}: {', '.join(changed)}" if changed else "",
    ]
    return "  |  ".join(part for part in parts if part)
