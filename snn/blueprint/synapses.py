"""Synapses: their model, what events do to them, which pairs they connect and what they know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from brian2 import Equations, Expression, Quantity, Synapses
from brian2.equations.equations import DIFFERENTIAL_EQUATION, SUBEXPRESSION, SingleEquation
from brian2.synapses.synapses import SynapticPathway
from numpy.typing import NDArray

from snn.blueprint.part import (
    Members,
    Part,
    Values,
    Workshop,
    dtypes,
    read_array,
    read_links,
    read_values,
    set_values,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PathwayRecord:
    """What an event of the source ("pre") or of the target ("post") does at a synapse.

    delay: one for all, (), or one a synapse, (S,). queue: the spikes on their way, as Brian2 keeps them.
    """

    name: str
    prepost: str
    event: str
    code: str
    delay: Quantity
    queue: Any

    @classmethod
    def read(cls, pathway: SynapticPathway) -> Self:
        """The record of a pathway as it is now."""
        delay = pathway.variables["delay"]
        return cls(
            name=pathway.objname,
            prepost=pathway.prepost,
            event=pathway.event,
            code=pathway.code,
            delay=read_array(delay)[0] if delay.scalar else read_array(delay),
            queue=None if pathway.queue is None else pathway.queue._full_state(),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SynapsesRecord(Part):
    """Synapses. `equations` are the whole model; i and j, (S,), count within source and target.

    values: of all variables that are stored, each (S,), or (1,) if it is shared; also `lastupdate`.
    """

    source: Members
    target: Members
    equations: Equations
    options: Mapping[str, Any]
    pathways: tuple[PathwayRecord, ...]
    connected: bool
    i: NDArray[np.int32]
    j: NDArray[np.int32]
    namespace: Mapping[str, Any]
    values: Values
    clock: str

    @classmethod
    def read(cls, synapses: Synapses) -> Self:
        """The record of synapses as they are now."""
        equations = _whole_model(synapses)
        options = {"multisynaptic_index": synapses.multisynaptic_index}
        if synapses.state_updater:
            updater = synapses.state_updater
            options |= {"method": updater.method_choice, "method_options": updater.method_options}
        return cls(
            name=synapses.name,
            source=Members.read(synapses.source),
            target=Members.read(synapses.target),
            equations=equations,
            options=options,
            pathways=tuple(PathwayRecord.read(pathway) for pathway in synapses._pathways),
            connected=synapses._connect_called,
            i=synapses.variables["_synaptic_pre"].get_value() - getattr(synapses.source, "start", 0),
            j=synapses.variables["_synaptic_post"].get_value() - getattr(synapses.target, "start", 0),
            namespace=dict(synapses.namespace),
            values=read_values(synapses, [*equations, "lastupdate"] if synapses.event_driven else equations),
            clock=synapses.clock.name,
            links=read_links(synapses),
        )

    @property
    def code(self) -> Iterable[str]:
        """The texts in which Brian2 looks up external names."""
        return [*self.equations.identifiers, *(pathway.code for pathway in self.pathways)]

    def build(self, workshop: Workshop) -> Synapses:
        """Fresh synapses between the same pairs, without their links."""
        pathways = self.pathways
        synapses = Synapses(
            workshop.members(self.source),
            workshop.members(self.target),
            self.equations,
            on_pre={pathway.name: pathway.code for pathway in pathways if pathway.prepost == "pre"},
            on_post={pathway.name: pathway.code for pathway in pathways if pathway.prepost == "post"},
            on_event={pathway.name: pathway.event for pathway in pathways},
            delay={pathway.name: pathway.delay for pathway in pathways if pathway.delay.ndim == 0},
            namespace=dict(self.namespace),
            dtype=dtypes(self.values),
            clock=workshop.clock(self.clock),
            name=self.name,
            **self.options,
        )
        if self.i.size:
            synapses.connect(i=self.i, j=self.j, namespace={})
        elif self.connected:
            synapses.connect(condition=False)  # Brian2 takes no empty arrays
        set_values(synapses, self.values)
        for pathway in pathways:
            fresh = getattr(synapses, pathway.name)
            set_values(fresh, {"delay": pathway.delay})
            if fresh.queue is not None:  # a compiled network has none
                fresh.queue._restore_from_full_state(pathway.queue)
        return synapses


def _whole_model(synapses: Synapses) -> Equations:
    """The model, which Brian2 takes apart: what is integrated, driven by events, summed, or constant over a step."""
    updater = synapses.subexpression_updater
    per_step = dict(line.split(" = ", 1) for line in updater.abstract_code.splitlines()) if updater else {}
    event_driven = [eq for eq in (synapses.event_driven or {}).values() if eq.type == DIFFERENTIAL_EQUATION]
    model = []
    for equation in [*synapses.equations.values(), *event_driven]:
        name, unit, kind = equation.varname, equation.dim, equation.var_type
        if name in per_step:
            flags = [*equation.flags, "constant over dt"]
            model.append(SingleEquation(SUBEXPRESSION, name, unit, kind, Expression(per_step[name]), flags))
        elif name != synapses.multisynaptic_index:
            model.append(equation)
    for name, summed in synapses.summed_updaters.items():
        unit = summed.target_var.dim
        model.append(SingleEquation(SUBEXPRESSION, name, unit, expr=summed.expression, flags=["summed"]))
    return Equations(model)
