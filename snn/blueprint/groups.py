"""Groups that spike: neurons, Poisson groups, and spikes at given times."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from brian2 import Equations, NeuronGroup, PoissonGroup, Quantity, SpikeGeneratorGroup, second
from brian2.core.variables import Subexpression
from numpy.typing import NDArray

from snn.blueprint.part import Part, Values, Workshop, dtypes, read_array, read_links, read_values, set_values


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronGroupRecord(Part):
    """A NeuronGroup. `equations` are as the user wrote them.

    events: the condition of each event, that of "spike" is the threshold. codes: what an event does, that of "spike"
    is the reset. values: of all variables that are stored, also `lastspike` and `not_refractory`.
    """

    size: int
    equations: Equations
    method: Any
    method_options: Mapping[str, Any] | None
    refractory: Quantity | str | bool
    events: Mapping[str, str]
    codes: Mapping[str, str]
    namespace: Mapping[str, Any]
    values: Values
    clock: str

    @classmethod
    def read(cls, group: NeuronGroup) -> Self:
        """The record of a group as it is now."""
        return cls(
            name=group.name,
            size=len(group),
            equations=group.user_equations,
            method=group.method_choice,
            method_options=group.state_updater.method_options,
            refractory=group._refractory,
            events=dict(group.events),
            codes=dict(group.event_codes),
            namespace=dict(group.namespace),
            values=read_values(group, group.equations),
            clock=group.clock.name,
            links=read_links(group),
        )

    @property
    def code(self) -> Iterable[str]:
        """The texts in which Brian2 looks up external names."""
        return [*self.equations.identifiers, *self.events.values(), *self.codes.values(), str(self.refractory)]

    def build(self, workshop: Workshop) -> NeuronGroup:
        """A fresh group, without its links."""
        group = NeuronGroup(
            self.size,
            self.equations,
            method=self.method,
            method_options=self.method_options,
            refractory=self.refractory,
            events=dict(self.events),
            namespace=dict(self.namespace),
            dtype=dtypes(self.values),
            clock=workshop.clock(self.clock),
            name=self.name,
        )
        for event, code in self.codes.items():
            group.run_on_event(event, code)
        set_values(group, self.values)
        return group


@dataclass(frozen=True, kw_only=True, eq=False)
class PoissonGroupRecord(Part):
    """A PoissonGroup. rates: a text, or (N,) numbers."""

    size: int
    rates: str | Quantity
    namespace: Mapping[str, Any]
    clock: str

    @classmethod
    def read(cls, group: PoissonGroup) -> Self:
        """The record of a group as it is now."""
        rates = group.variables["rates"]
        return cls(
            name=group.name,
            size=len(group),
            rates=rates.expr if isinstance(rates, Subexpression) else read_array(rates),
            namespace=dict(group.namespace),
            clock=group.clock.name,
        )

    @property
    def code(self) -> Iterable[str]:
        """The texts in which Brian2 looks up external names."""
        return [self.rates] if isinstance(self.rates, str) else []

    def build(self, workshop: Workshop) -> PoissonGroup:
        """A fresh group."""
        clock = workshop.clock(self.clock)
        return PoissonGroup(self.size, self.rates, namespace=dict(self.namespace), clock=clock, name=self.name)


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeGeneratorRecord(Part):
    """A SpikeGeneratorGroup. indices, times: (S,), in order of time. state: how far it is, as Brian2 keeps it."""

    size: int
    indices: NDArray[np.int32]
    times: Quantity
    period: Quantity
    clock: str
    state: Mapping[str, Any]

    @classmethod
    def read(cls, group: SpikeGeneratorGroup) -> Self:
        """The record of a group as it is now."""
        state = group._full_state()
        return cls(
            name=group.name,
            size=len(group),
            indices=state["neuron_index"][0],
            times=state["spike_time"][0] * second,
            period=state["period"][0].item() * second,
            clock=group.clock.name,
            state=state,
        )

    def build(self, workshop: Workshop) -> SpikeGeneratorGroup:
        """A fresh group that is as far as this one."""
        clock = workshop.clock(self.clock)
        group = SpikeGeneratorGroup(
            self.size, self.indices, self.times, period=self.period, sorted=True, clock=clock, name=self.name
        )
        group._restore_from_full_state(self.state)
        return group
