"""How a training went, epoch by epoch: numbers, a table, a picture."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dvs.charts import INK, OFF, ON

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Column = NDArray[np.float64]

# Rows of a table that is read at a glance, and epochs up to which each is a dot.
_MOST_ROWS, _MOST_DOTS = 12, 25

# The largest loss over the smallest from which their curve is drawn on a logarithmic scale.
_WIDE_RANGE = 20


def _none() -> Column:
    return np.empty(0)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class History:
    """One number an epoch in each column, (epochs,); NaN where there is none, as without a validation set.

    loss, accuracy: mean over the samples of the epoch, each seen before the step that learns from it; prices of
    regularisers are part of the training loss only. gradient_norm: mean over minibatches, before clipping;
    gradient_norm_max: the largest. spikes: by population, mean number of a neuron in a sample. seconds: time taken,
    validation included. interrupted: whether it ended by Ctrl-C.

    >>> history = History().with_epoch({"loss": 2.3, "seconds": 1.0}, spikes={"hidden": 0.5})
    >>> history = history.with_epoch({"loss": 1.5, "seconds": 0.8}, spikes={"hidden": 0.75})
    >>> print(history)
    epoch  loss  seconds  hidden spikes
        1   2.3        1            0.5
      * 2   1.5      0.8           0.75
    """

    loss: Column = field(default_factory=_none)
    accuracy: Column = field(default_factory=_none)
    validation_loss: Column = field(default_factory=_none)
    validation_accuracy: Column = field(default_factory=_none)
    gradient_norm: Column = field(default_factory=_none)
    gradient_norm_max: Column = field(default_factory=_none)
    seconds: Column = field(default_factory=_none)
    spikes: Mapping[str, Column] = field(default_factory=dict)
    interrupted: bool = False

    def __len__(self) -> int:
        """Epochs that were finished."""
        return self.loss.size

    @property
    def best(self) -> int:
        """The epoch, from 1, of the lowest validation loss, or training loss without validation; 0 before any."""
        loss = self.loss if np.isnan(self.validation_loss).all() else self.validation_loss
        return int(np.nanargmin(loss)) + 1 if loss.size else 0

    def columns(self) -> dict[str, Column]:
        """The columns that have one number an epoch, by name; spikes are on their own."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.type is Column}

    def with_epoch(self, numbers: Mapping[str, float], spikes: Mapping[str, float]) -> "History":
        """One more epoch, its numbers by column."""
        columns = {name: np.append(column, numbers.get(name, np.nan)) for name, column in self.columns().items()}
        more = {name: np.append(self.spikes.get(name, ()), value) for name, value in spikes.items()}
        return replace(self, **columns, spikes=more)

    def plot(self, ax: "Axes | Sequence[Axes] | None" = None) -> "Figure":
        """Curves of loss and, for a classification, accuracy; the best epoch has a ring.

        ax: where to draw, one for the loss, a second one for the accuracy; by default a figure of its own.
        """
        import matplotlib.pyplot as plt

        if ax is None:
            size, panels = self._layout()
            _, ax = plt.subplots(1, panels, figsize=size, layout="constrained")
        axes = np.ravel(ax)
        self._draw(axes)
        return axes[0].figure

    def __repr__(self) -> str:
        rows = list(self._rows())
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join([*lines, *(["interrupted"] if self.interrupted else [])])

    def _repr_png_(self) -> bytes:
        from matplotlib.figure import Figure

        size, panels = self._layout()
        figure = Figure(figsize=size, layout="constrained")
        self._draw(np.ravel(figure.subplots(1, panels)))
        png = BytesIO()
        figure.savefig(png, dpi=144)
        return png.getvalue()

    def _repr_html_(self) -> str:
        head, *rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._rows())
        table = f"<tr>{head.replace('td>', 'th>')}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}"
        picture = b64encode(self._repr_png_()).decode()
        width = round(96 * self._layout()[0][0])
        return (
            f'<img width="{width}" alt="Curves of loss and accuracy" src="data:image/png;base64,{picture}">'
            f"<table>{table}</table>{'<p>interrupted</p>' if self.interrupted else ''}"
        )

    def _rows(self) -> Iterator[list[str]]:
        """Head and epochs of a table: the columns that say something, and not more epochs than one likes to read."""
        shown = {name: column for name, column in self.columns().items() if not np.isnan(column).all()}
        percent = {name for name in shown if name.endswith("accuracy")}
        shown |= {f"{name} spikes": column for name, column in self.spikes.items()}
        yield ["epoch", *(name.replace("_", " ") for name in shown)]
        spread = np.linspace(1, len(self), min(len(self), _MOST_ROWS)).round().astype(int)
        for epoch in sorted({*spread.tolist(), self.best} - {0}):
            cells = {name: column[epoch - 1] for name, column in shown.items()}
            yield [
                f"{'* ' * (epoch == self.best)}{epoch}",
                *(_percent(value) if name in percent else f"{value:.4g}" for name, value in cells.items()),
            ]

    def _layout(self) -> tuple[tuple[float, float], int]:
        """Size of a figure in inches, and its panels."""
        panels = 1 if np.isnan(self.accuracy).all() else 2
        return (4.4 * panels, 3.0), panels

    def _draw(self, axes: "Sequence[Axes]") -> None:
        for ax, name in zip(axes, ("loss", "accuracy"), strict=False):
            curves = {"training": getattr(self, name), "validation": getattr(self, f"validation_{name}")}
            curves = {label: curve for label, curve in curves.items() if not np.isnan(curve).all()}
            self._style(ax, name)
            if curves:
                self._curves(ax, curves, _percent if name == "accuracy" else "{:.3g}".format)
                _scale(ax, name, *ax.dataLim.intervaly)

    def _curves(self, ax: "Axes", curves: Mapping[str, Column], text: Callable[[float], str]) -> None:
        epochs = np.arange(1, len(self) + 1)
        for (label, curve), colour in zip(curves.items(), (ON, OFF), strict=False):
            best = curve[self.best - 1]
            ax.plot(epochs, curve, color=colour, linewidth=1.8, label=f"{label} {text(best)}")
            if len(self) <= _MOST_DOTS:
                ax.plot(epochs, curve, ".", color=colour)
            ax.plot(
                self.best, best, "o", color=colour, markerfacecolor="white", markersize=7, markeredgewidth=1.8,
                clip_on=False, zorder=3,
            )  # fmt: skip
        ax.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0, frameon=False, fontsize=9,
            handlelength=0, handletextpad=0, labelcolor="linecolor",
        )  # fmt: skip

    def _style(self, ax: "Axes", name: str) -> None:
        ax.set_title(name, loc="left", color=INK, fontsize=11, fontweight="bold")
        ax.set_xlabel(f"epoch (ring: the best, {self.best})" if self.best else "epoch", color=INK, fontsize=9)
        ax.set_xlim(0.5, max(len(self), 1) + 0.5)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(INK)
        ax.tick_params(which="both", colors=INK, labelsize=9)
        ax.grid(color=INK, alpha=0.12, linewidth=0.6)


def _scale(ax: "Axes", name: str, lowest: float, highest: float) -> None:
    """Of an accuracy what is left to 100 %, of a loss what is left to 0, by decades where it fell far."""
    from matplotlib.ticker import LogLocator, NullLocator

    if name == "accuracy":
        ax.set_ylim(min(lowest - 0.04, 0.9), 1.01)
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
    elif lowest > 0 and highest > _WIDE_RANGE * lowest:
        ax.set_yscale("log")
        ax.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), minor_locator=NullLocator(), major_formatter="{x:g}")
    elif lowest >= 0:
        ax.set_ylim(0, 1.06 * highest)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
