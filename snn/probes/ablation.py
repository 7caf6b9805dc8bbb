"""What changes without a unit or without a synapse: lesions of an ordinary Brian2 network, undone afterwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import Network, NetworkOperation, NeuronGroup, Synapses, get_device
from brian2.core.variables import ArrayVariable
from brian2.devices.device import RuntimeDevice
from numpy.typing import ArrayLike, NDArray

from dvs.errors import ParameterError
from snn.probes.arguments import chosen
from snn.probes.pictures import BLUE, INK, ORANGE, name_axes, prepare, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@contextmanager
def silenced(network: Network, group: Any, units: ArrayLike | slice | None = None) -> Iterator[Network]:
    """The network, in which nobody hears the spikes of some units of a group; None is all of them.

    A silenced unit integrates, crosses its threshold and is reset as ever, but its spikes reach no synapse and no
    monitor, whatever the synapses: static, plastic, or with one weight shared by many. `group` is any group of the
    network that spikes, or its name: neurons, input, Poisson. On leaving, the network is as it was; its state is not
    touched, so restore it before each run that is to be compared. A `Runner` or `Stepper` knows the network as it was
    when it was made: make it inside.

        with silenced(network, "hidden", [3, 7]):
            network.restore()
            network.run(100 * ms)

    Raises `ParameterError` for an unknown group, for units out of range, and in C++ standalone mode, which never comes
    back to Python to have spikes taken away.
    """
    _at_runtime()
    source = _group(network, group)
    mute = np.zeros(len(source), bool)
    mute[chosen(units, len(source), "units")] = True
    events = source.events if isinstance(source, NeuronGroup) else ("spike",)
    lesion = [operation for event in events for operation in _muting(source, event, mute)]
    network.add(*lesion)
    try:
        yield network
    finally:
        network.remove(*lesion)


def _muting(source: Any, event: str, mute: NDArray[np.bool_]) -> list[NetworkOperation]:
    """Operations that take an event of some units away from all but its reset."""
    # The neurons of the step, and how many of them count in the last place.
    space = source.variables[f"_{event}space"].get_value()
    taken = np.empty(0, space.dtype)

    def write(fired: NDArray) -> None:
        space[: fired.size] = fired
        space[-1] = fired.size

    def take() -> None:
        nonlocal taken
        fired = space[: space[-1]].copy()
        taken = fired[mute[fired]]
        if taken.size:
            write(fired[~mute[fired]])

    def give_back() -> None:
        if taken.size:
            write(np.union1d(space[: space[-1]], taken))

    # Half an order fits between the threshold and monitors, which stand one after it. The reset sees all spikes.
    thresholder = getattr(source, "thresholder", {}).get(event, source)
    resetter = getattr(source, "resetter", {}).get(event)
    places = [(take, thresholder, 0.5)]
    if resetter is not None:
        places += [(give_back, resetter, -0.5), (take, resetter, 0.5)]
    return [
        NetworkOperation(call, clock=source.clock, when=step.when, order=step.order + shift)
        for call, step, shift in places
    ]


@contextmanager
def cut(synapses: Synapses, which: ArrayLike | slice | None = None, *, weight: str = "w") -> Iterator[Synapses]:
    """The synapses, some of them (numbers, a slice or a mask; None is all) with a weight of zero until the end.

    `weight` names their variable. Afterwards the weights from before are back, also where plasticity has changed them
    in the meantime. Raises `ParameterError` for an unknown variable, in standalone mode, and for a weight that several
    synapses share, which no single one can lose: silence units instead.

        with cut(synapses, synapses.i[:] == 3):
            ...
    """
    _at_runtime()
    variable = synapses.variables.get(weight)
    if not isinstance(variable, ArrayVariable) or variable.read_only:
        own = sorted(set(synapses.equations.names) & set(synapses.variables))
        raise ParameterError(f"{synapses.name} has no weight {weight!r} that can be set, only {own}; name the weight")
    if variable.scalar or variable.owner.name != synapses.name or synapses.variables.indices[weight] != "_idx":
        raise ParameterError(f"{weight!r} of {synapses.name} is shared by several synapses; silence units instead")
    intact = np.array(variable.get_value())
    lost = intact.copy()
    lost[chosen(which, intact.size, "synapses")] = 0
    variable.set_value(lost)
    try:
        yield synapses
    finally:
        variable.set_value(intact)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ablation:
    """A score with all units, and without each unit, or set of units, in turn.

    units: what was silenced together. intact: the score with all. without: (len(units),) the score without them.
    """

    group: str
    units: tuple[tuple[int, ...], ...]
    intact: float
    without: NDArray[np.float64]

    @property
    def drop(self) -> NDArray[np.float64]:
        """What the score loses, (len(units),)."""
        return self.intact - self.without

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The score without each unit, hanging from the score with all."""
        ax = prepare(ax)
        place = np.arange(len(self.units))
        if all(len(unit) == 1 for unit in self.units):
            place = np.array([unit[0] for unit in self.units], np.int64)
            whole_ticks(ax, "x")
        else:
            ax.set_xticks(place, [", ".join(map(str, unit)) for unit in self.units])
        colours = np.where(self.drop >= 0, ORANGE, BLUE)
        ax.vlines(
            place, self.without, self.intact, colors=colours, linewidth=float(np.clip(160 / max(place.size, 1), 1, 3))
        )
        ax.scatter(place, self.without, color=colours, s=22, linewidth=0, zorder=3)
        ax.axhline(self.intact, color=INK, linewidth=0.8, linestyle="--")
        ax.annotate(
            "all units", (1, self.intact), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
            color=INK, fontsize=9, ha="right", va="bottom",
        )  # fmt: skip
        name_axes(ax, f"silenced unit of {self.group}", "score")
        return ax


def ablate(
    score: Callable[[], float],
    network: Network,
    group: Any,
    units: Sequence[int] | Sequence[Sequence[int]] | None = None,
) -> Ablation:
    """The score of the network, and without each of some units (None: all) of a group, silenced one at a time.

    score: runs the network and says how well it did. It must begin from the same state each time and with the same
    chance: call `network.restore()` first, and give seeds. Each entry of `units` may be a set of units that are
    silenced together. Raises what `silenced` raises.
    """
    source = _group(network, group)
    entries = range(len(source)) if units is None else units
    sets = tuple(tuple(int(unit) for unit in chosen(entry, len(source), "units")) for entry in entries)
    intact = float(score())
    without = np.empty(len(sets))
    for k, together in enumerate(sets):
        with silenced(network, source, together):
            without[k] = score()
    return Ablation(group=source.name, units=sets, intact=intact, without=without)


def _at_runtime() -> None:
    if not isinstance(get_device(), RuntimeDevice):
        raise ParameterError(
            "lesions were asked for in standalone mode, expected runtime mode; call set_device('runtime')"
        )


def _group(network: Network, group: Any) -> Any:
    """The group of the network that spikes, given itself or its name."""
    name = getattr(group, "name", group)
    spiking = {thing.name: thing for thing in network.objects if "_spikespace" in getattr(thing, "variables", {})}
    # Monitors and synapses look at the spikes of a group, they have none of their own.
    spiking = {name: thing for name, thing in spiking.items() if thing.variables["_spikespace"].owner.name == name}
    if name not in spiking:
        raise ParameterError(f"{name!r} is no group of the network that spikes, expected one of {sorted(spiking)}")
    return spiking[name]
