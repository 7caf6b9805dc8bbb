"""What is attached to groups: Poisson inputs, code that runs regularly, and monitors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from brian2 import (
    EventMonitor,
    PoissonInput,
    PopulationRateMonitor,
    Quantity,
    SpikeMonitor,
    StateMonitor,
)
from brian2.groups.group import CodeRunner

from snn.blueprint.part import Members, Part, Workshop


@dataclass(frozen=True, kw_only=True, eq=False)
class PoissonInputRecord(Part):
    """A PoissonInput: n spike trains onto a variable of each neuron."""

    on: Members
    variable: str
    n: int
    rate: Quantity
    weight: Quantity | float | str

    @classmethod
    def read(cls, source: PoissonInput) -> Self:
        """The record of an input."""
        return cls(
            name=source.name,
            on=Members.read(source._group),
            variable=source.target_var,
            n=source.N,
            rate=source.rate,
            weight=source.weight,
        )

    @property
    def code(self) -> Iterable[str]:
        """The texts in which Brian2 looks up external names, as names of the group."""
        return [self.weight] if isinstance(self.weight, str) else []

    def build(self, workshop: Workshop) -> PoissonInput:
        """A fresh input."""
        source = PoissonInput(workshop.members(self.on), self.variable, self.n, self.rate, self.weight)
        source._name = self.name  # which Brian2 lets nobody choose
        return source


@dataclass(frozen=True, kw_only=True, eq=False)
class RunnerRecord(Part):
    """Code that a group runs regularly."""

    on: Members
    text: str
    clock: str

    @classmethod
    def read(cls, runner: CodeRunner) -> Self:
        """The record of what `run_regularly` made."""
        on = Members.read(runner.group)
        return cls(name=runner.name, on=on, text=runner.abstract_code, clock=runner.clock.name)

    @property
    def code(self) -> Iterable[str]:
        """The texts in which Brian2 looks up external names, as names of the group."""
        return [self.text]

    def build(self, workshop: Workshop) -> CodeRunner:
        """A fresh runner; Brian2 puts it into its group."""
        return workshop.members(self.on).run_regularly(self.text, clock=workshop.clock(self.clock), name=self.name)


@dataclass(frozen=True, kw_only=True, eq=False)
class MonitorRecord(Part):
    """A monitor: what it records, not what it has recorded."""

    on: Members
    kind: type
    options: Mapping[str, Any]
    clock: str

    @classmethod
    def read(cls, monitor: EventMonitor | StateMonitor | PopulationRateMonitor) -> Self:
        """The record of a monitor."""
        kind = type(monitor)
        on = Members.read(monitor.source)
        return cls(name=monitor.name, on=on, kind=kind, options=MONITORS[kind](monitor), clock=monitor.clock.name)

    def build(self, workshop: Workshop) -> EventMonitor | StateMonitor | PopulationRateMonitor:
        """A fresh, empty monitor."""
        clock = {"clock": workshop.clock(self.clock)} if self.kind is StateMonitor else {}
        return self.kind(workshop.members(self.on), **self.options, **clock, name=self.name)


def _of_spikes(monitor: EventMonitor) -> dict[str, Any]:
    return {"variables": sorted(monitor.record_variables - {"i", "t"}), "record": monitor.record}


def _of_events(monitor: EventMonitor) -> dict[str, Any]:
    return {"event": monitor.event, **_of_spikes(monitor)}


def _of_states(monitor: StateMonitor) -> dict[str, Any]:
    variables = sorted(monitor.record_variables)
    options = {"variables": variables, "record": True if monitor.record_all else monitor.record.copy()}
    own_types = {name: monitor.variables[name].dtype for name in variables}
    if any(monitor.source.variables[name].dtype != dtype for name, dtype in own_types.items()):
        options["dtype"] = own_types
    return options


def _of_rate(monitor: PopulationRateMonitor) -> dict[str, Any]:
    return {"dtype": monitor.variables["rate"].dtype}


MONITORS: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    SpikeMonitor: _of_spikes,
    EventMonitor: _of_events,
    StateMonitor: _of_states,
    PopulationRateMonitor: _of_rate,
}
"""How the options of each kind of monitor are read."""
