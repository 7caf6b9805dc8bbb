"""The picture of an account: where the joules of an inference go, one bar for each account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from dvs.errors import ParameterError
from snn.energy.prefixes import prefix_for, with_prefix
from snn.energy.terms import MEMORY
from snn.probes.pictures import INK, name_axes, prepare

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from snn.energy.bill import Bill, Line

# Told apart by the colour-blind, next to each other also by lightness; blue is what happens, orange what is outside.
COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "synapses": "#3d7fd6",
        "neurons": "#a9cdf5",
        "arithmetic": "#123a75",
        "memory": "#2a9d8f",
        "learning": "#8b5fbf",
        "traffic": "#f2cf63",
        "static power": "#aab4c0",
        "host": "#e07b2a",
        "sensor": "#8a3c00",
    }
)
"""Kinds of expense, in the order of a bar."""

_KINDS = {
    "synaptic_operations": "synapses",
    "macs": "synapses",
    "neuron_updates_driven": "neurons",
    "neuron_updates_idle": "neurons",
    "spikes": "neurons",
    "synapse_updates": "learning",
    "plasticity_events": "learning",
    "additions": "arithmetic",
    "multiplications": "arithmetic",
    "functions": "arithmetic",
    **dict.fromkeys(MEMORY, "memory"),
    "packets": "traffic",
    "hops_east_west": "traffic",
    "hops_north_south": "traffic",
    "time_steps": "traffic",
}


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Of a bar: one kind of expense, joules an inference."""

    kind: str
    joules: float

    @property
    def colour(self) -> str:
        """As in `COLOURS`."""
        return COLOURS[self.kind]


def segments(account: "Bill") -> tuple[Segment, ...]:
    """The expenses of an account by kind, without those of nothing; their sum is the total."""
    sums = dict.fromkeys(COLOURS, 0.0)
    for line in account.lines:
        sums[_kind(line)] += line.joules
    return tuple(Segment(kind=kind, joules=joules) for kind, joules in sums.items() if joules > 0)


def _kind(line: "Line") -> str:
    if line.part != "network":
        return line.part
    return "static power" if line.kind == "static" else _KINDS[line.term]


def plot(accounts: "Bill | Sequence[Bill]", ax: "Axes | None" = None) -> "Axes":
    """Where the energy of an inference goes: a bar for each account, from the top, all on one scale.

    The whisker below a bar goes from the low to the high total. A hatched end and "≥" mean that something has no price.
    The tick across it is what synaptic operations alone would cost: for comparison with papers, not an energy of the
    system. Raises ParameterError if there is no account.
    """
    accounts = list(accounts) if isinstance(accounts, Sequence) else [accounts]
    if not accounts:
        raise ParameterError("there is no account to draw; give at least one")
    ax = prepare(ax, width_in=7.2, height_in=1.3 + 0.85 * len(accounts))
    ax.grid(visible=False, axis="y")
    largest = max(max(account.total.high, account.total.joules) for account in accounts)
    factor, prefix = prefix_for(largest)
    right = largest / factor or 1.0
    for row, account in enumerate(accounts):
        _draw_bar(ax, row, account, factor, right)
        ax.text(0, row - _TALL / 2 - 0.08, account.title, va="bottom", color=INK, fontsize=10)
    ax.set(xlim=(0, 1.18 * right), ylim=(len(accounts) - 0.5, -0.62), yticks=[])
    ax.spines["left"].set_visible(False)
    name_axes(ax, f"energy of an inference ({prefix}J)", "")
    handles = _handles(accounts)
    columns = min(5, len(handles))
    # Legends are filled column by column; people read row by row.
    order = [number for column in range(columns) for number in range(column, len(handles), columns)]
    ax.legend(
        [handles[number] for number in order], [handles[number].get_label() for number in order], ncols=columns,
        frameon=False, labelcolor=INK, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0,
        columnspacing=1.3, handlelength=1.3, handleheight=1.0,
    )  # fmt: skip
    return ax


_TALL = 0.4
_HATCH = {"facecolor": "none", "edgecolor": INK, "hatch": "//////", "linewidth": 0}


def _draw_bar(ax: "Axes", row: int, account: "Bill", factor: float, right: float) -> None:
    """One bar. factor: joules of a unit of the axis; right: how long the longest bar is, in these units."""
    total, start = account.total, 0.0
    for segment in segments(account):
        width = segment.joules / factor
        ax.barh(row, width, _TALL, left=start, color=segment.colour, edgecolor="white", linewidth=0.8)
        if width > 0.065 * right:
            share = f"{100 * segment.joules / total.joules:.0f} %"
            ink = INK if _is_light(segment.colour) else "white"
            ax.text(start + width / 2, row, share, ha="center", va="center", color=ink, fontsize=9)
        start += width
    end = start
    if total.at_least:
        end += 0.03 * right
        ax.barh(row, end - start, _TALL, left=start, **_HATCH)
    if total.high > total.low:
        ends, below = [total.low / factor, total.high / factor], [row + _TALL / 2 + 0.11] * 2
        ax.plot(ends, below, color=INK, linewidth=1.2, marker="|", markersize=6, markeredgewidth=1.2)
    if account.synops_only is not None:
        across = [row - _TALL / 2 - 0.05, row + _TALL / 2 + 0.05]
        for colour, width in (("white", 3.6), (INK, 1.6)):
            ax.plot([account.synops_only.joules / factor] * 2, across, color=colour, linewidth=width)
    text = f"{'≥ ' if total.at_least else ''}{with_prefix(total.joules, 'J')}"
    ax.annotate(text, (end, row), (5, 0), textcoords="offset points", va="center", color=INK, fontsize=10)


def _handles(accounts: Sequence["Bill"]) -> list["Artist"]:
    """What the legend explains: the colours in their order, and the signs that are used."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    there = {segment.kind for account in accounts for segment in segments(account)}
    handles: list[Artist] = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items() if kind in there]
    if any(account.total.at_least for account in accounts):
        handles.append(Patch(label="without a price", **_HATCH))
    sign = {"color": INK, "markeredgewidth": 1.4}
    if any(account.total.high > account.total.low for account in accounts):
        handles.append(Line2D([], [], marker="|", markersize=6, linewidth=1.2, label="low to high", **sign))
    if any(account.synops_only is not None for account in accounts):
        handles.append(Line2D([], [], marker="|", markersize=11, linewidth=0, label="SynOps only", **sign))
    return handles


def _is_light(colour: str) -> bool:
    red, green, blue = bytes.fromhex(colour[1:])
    return 0.299 * red + 0.587 * green + 0.114 * blue > 140
