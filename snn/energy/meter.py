"""A meter beside a network that runs: spikes of all its groups, kept for the count."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from brian2 import BrianObject, EventMonitor, Network, Quantity, SpikeSource, get_device, second
from brian2.core.namespace import get_local_namespace
from brian2.devices.device import RuntimeDevice
from brian2.synapses.synapses import SynapticPathway

from dvs.errors import InputError
from snn.energy.counting import count
from snn.energy.counts import Counts
from snn.recording import SpikeRecorder, trains
from snn.spikes import SpikeTrains, spike_trains


class _Watch(BrianObject):
    """Keeps the spikes of a group; a monitor of Brian2 takes several times as long in each step."""

    def __init__(self, group: SpikeSource, event: str) -> None:
        super().__init__(clock=group.clock, when="end", name=f"{group.name}_{event}_meter*")
        self._group, self._recorder = group, SpikeRecorder(group, event)
        self.run = self._recorder  # called by Brian2 in every step

    def spikes(self, start: Quantity, duration: Quantity) -> SpikeTrains:
        """Those since `start`, as one sample."""
        dt = self._group.clock.dt
        columns = self._recorder.columns(first_step=round(float(start / dt)))
        return trains([columns], len(self._group), dt, duration)

    def _full_state(self) -> int:
        return len(self._recorder)

    def _restore_from_full_state(self, state: int) -> None:
        self._recorder.shorten(state)


class _Monitor(EventMonitor):
    """The same in C++ standalone, where no Python is called."""

    def spikes(self, start: Quantity, duration: Quantity) -> SpikeTrains:
        """Those since `start`, as one sample."""
        t = Quantity(np.asarray(self.t_) - float(start), dim=second.dim)
        return spike_trains(np.asarray(self.i), t, neurons=len(self.source), duration=duration)


class Meter:
    """Watches all that spikes in a network, from now on, whatever runs it.

        meter = Meter(network)
        network.run(1 * second)
        print(meter.counts().spikes)

    It adds an observer of each group, and works with Brian2's runtime and with its C++ standalone. Where samples are
    shown one after the other, `snn.run(..., record="all")` keeps what is needed, and no meter is.
    Raises `InputError` if spikes are under way: what they did when they were sent is not known any more.
    """

    def __init__(self, network: Network) -> None:
        self._network, self._start = network, network.t
        if isinstance(get_device(), RuntimeDevice):
            for obj in network.sorted_objects:
                waiting = obj.queue._full_state()[1] if isinstance(obj, SynapticPathway) else []
                if sum(len(spikes) for spikes in waiting):
                    raise InputError(f"spikes are on their way in {obj.name}; make the meter before the network runs")
        watch = _Watch if isinstance(get_device(), RuntimeDevice) else _Monitor
        self._watches: dict[str, _Watch | _Monitor] = {}
        for group in [obj for obj in network.sorted_objects if isinstance(obj, SpikeSource)]:
            for event in getattr(group, "events", ("spike",)):
                self._watches[group.name if event == "spike" else f"{group.name}.{event}"] = watch(group, event)
        network.add(*self._watches.values())

    @property
    def spikes(self) -> Mapping[str, SpikeTrains]:
        """What was seen, by group, as one sample that began when the meter was made."""
        duration = self._network.t - self._start
        if not duration > 0 * second:
            raise InputError("the network has not run since the meter was made; run it first")
        return {name: watch.spikes(self._start, duration) for name, watch in self._watches.items()}

    def counts(
        self, *, inputs: Collection[str] | None = None, namespace: Mapping[str, Any] | None = None, **options: Any
    ) -> Counts:
        """The counts of all that happened, as one inference; options are those of `snn.energy.count`."""
        namespace = get_local_namespace(level=1) if namespace is None else namespace
        return count(self._network, self.spikes, inputs=inputs, namespace=namespace, **options)

    def remove(self) -> None:
        """Take its observers out of the network."""
        self._network.remove(*self._watches.values())
