"""What is kept of a network while it runs step by step: spikes of groups, values of variables."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from brian2 import Network, NeuronGroup, Quantity, SpikeSource, second
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from snn.inputs import EventInput
from snn.spikes import SpikeTrains


@dataclass(frozen=True, kw_only=True)
class Part:
    """What was recorded of one sample: (neuron, step) of each group's spikes, (steps, neurons) of each variable."""

    spikes: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
    states: Mapping[tuple[str, str], NDArray]


class SpikeRecorder:
    """Copies the spikes of a group, or another of its events, at the end of each step; called by a `Drive`."""

    def __init__(self, group: SpikeSource, event: str = "spike") -> None:
        self._step = group.clock.variables["timestep"].get_value()
        # A step costs less than a microsecond this way, with arrays three times as much.
        self._spikes = memoryview(group.variables[f"_{event}space"].get_value())
        self._last = len(self._spikes) - 1
        self.clear()

    def clear(self) -> None:
        """Forget what was recorded."""
        self.shorten(0)

    def shorten(self, count: int) -> None:
        """Forget all but the first `count` steps that had spikes."""
        if not count:
            self._neurons: list[bytes] = []
            self._steps: list[int] = []
        del self._neurons[count:], self._steps[count:]

    def __len__(self) -> int:
        return len(self._steps)

    def __call__(self) -> None:
        """Copy the spikes of this step."""
        count = self._spikes[self._last]
        if count:
            self._neurons.append(self._spikes[:count].tobytes())
            self._steps.append(self._step.item())

    def taken(self, first_step: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(neuron, step since `first_step`) of each spike since the last time, in order."""
        columns = self.columns(first_step)
        self.clear()
        return columns

    def columns(self, first_step: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same, without forgetting them."""
        neurons = np.frombuffer(b"".join(self._neurons), np.int32)
        sizes = np.fromiter(map(len, self._neurons), np.int64, len(self)) // neurons.itemsize
        return neurons.astype(np.int64), np.repeat(np.array(self._steps, np.int64) - first_step, sizes)


class StateRecorder:
    """Copies one variable of a group at the end of each step; called by a `Drive`."""

    def __init__(self, group: NeuronGroup, name: str) -> None:
        self._variable = group.variables[name]
        self._values: list[NDArray] = []

    def __call__(self) -> None:
        """Copy the values of this step."""
        self._values.append(np.array(self._variable.get_value()))

    def taken(self) -> NDArray:
        """The values since the last time, (steps, neurons)."""
        values = np.array(self._values)
        self._values = []
        return values


def trains(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], neurons: int, dt: Quantity, duration: Quantity
) -> SpikeTrains:
    """The (neuron, step) columns of one sample after the other, as one record."""
    sizes = [neuron.size for neuron, _ in parts]
    nothing = [np.empty(0, np.int64)]
    return SpikeTrains(
        sample=np.repeat(np.arange(len(parts)), sizes),
        neuron=np.concatenate([neuron for neuron, _ in parts] or nothing),
        t=Quantity(np.concatenate([step for _, step in parts] or nothing) * float(dt), dim=second.dim),
        samples=len(parts),
        neurons=neurons,
        duration=duration,
    )


def recorded_groups(
    network: Network, names: Collection[str] | Literal["all"] | None, input: object
) -> dict[str, SpikeSource]:
    """The groups of these names; by default all that have a threshold, but not the one that is the input."""
    if isinstance(input, EventInput) and input.group.name not in network:
        raise InputError(f"the input {input.group.name!r} is not in the network; add it: network.add(eye.group)")
    if names == "all":
        return {
            obj.name: obj
            for obj in network.sorted_objects
            if isinstance(obj, SpikeSource) and "spike" in getattr(obj, "events", ("spike",))
        }
    if names is None:
        groups = [obj for obj in network if isinstance(obj, NeuronGroup) and "spike" in obj.events]
        return {group.name: group for group in groups if not (isinstance(input, EventInput) and group is input.group)}
    return {name: named_group(network, name) for name in names}


def named_group(network: Network, name: str) -> NeuronGroup:
    """The group of that name in the network, or a `ParameterError` with the names that there are."""
    if name not in network or not isinstance(network[name], NeuronGroup):
        groups = sorted(obj.name for obj in network if isinstance(obj, NeuronGroup))
        raise ParameterError(f"the network has no group {name!r}; its groups are {groups}")
    return network[name]
