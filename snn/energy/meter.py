"""A meter beside a network that runs: spikes of all its groups, kept for the count."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from brian2 import EventMonitor, Network, Quantity, SpikeMonitor, SpikeSource, get_device, second
from brian2.core.namespace import get_local_namespace
from brian2.devices.device import RuntimeDevice
from brian2.synapses.synapses import SynapticPathway

from dvs.errors import InputError
from snn.energy.counting import count
from snn.energy.counts import Counts
from snn.spikes import SpikeTrains, spike_trains


class Meter:
    """Watches all that spikes in a network, from now on, whatever runs it.

        meter = Meter(network)
        network.run(1 * second)
        print(meter.counts().spikes)

    It adds a monitor for each group, and works with Brian2's runtime and with its C++ standalone. Where samples are
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
        self._monitors: dict[str, EventMonitor] = {}
        for group in [obj for obj in network.sorted_objects if isinstance(obj, SpikeSource)]:
            for event in getattr(group, "events", ("spike",)):
                name = group.name if event == "spike" else f"{group.name}.{event}"
                monitor = f"{name.replace('.', '_')}_meter*"
                self._monitors[name] = (
                    SpikeMonitor(group, name=monitor) if event == "spike" else EventMonitor(group, event, name=monitor)
                )
        network.add(*self._monitors.values())

    @property
    def spikes(self) -> Mapping[str, SpikeTrains]:
        """What was seen, by group, as one sample that began when the meter was made."""
        duration = self._network.t - self._start
        if not duration > 0 * second:
            raise InputError("the network has not run since the meter was made; run it first")
        found = {}
        for name, monitor in self._monitors.items():
            t = Quantity(np.asarray(monitor.t_) - float(self._start), dim=second.dim)
            found[name] = spike_trains(np.asarray(monitor.i), t, neurons=len(monitor.source), duration=duration)
        return found

    def counts(
        self, *, inputs: Collection[str] | None = None, namespace: Mapping[str, Any] | None = None, **options: Any
    ) -> Counts:
        """The counts of all that happened, as one inference; options are those of `snn.energy.count`."""
        namespace = get_local_namespace(level=1) if namespace is None else namespace
        return count(self._network, self.spikes, inputs=inputs, namespace=namespace, **options)

    def remove(self) -> None:
        """Take the monitors out of the network."""
        self._network.remove(*self._monitors.values())
