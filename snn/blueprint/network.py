"""`describe` reads a network, `Blueprint.build` makes another one of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

import numpy as np
from brian2 import (
    BrianObject,
    Clock,
    Group,
    Network,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    Quantity,
    SpikeGeneratorGroup,
    Subgroup,
    Synapses,
    get_device,
    linked_var,
    second,
)
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS, DEFAULT_UNITS
from brian2.devices.device import RuntimeDevice
from brian2.groups.group import CodeRunner
from brian2.utils.stringtools import get_identifiers

from dvs.errors import InputError
from snn.blueprint.attached import MONITORS, MonitorRecord, PoissonInputRecord, RunnerRecord
from snn.blueprint.groups import NeuronGroupRecord, PoissonGroupRecord, SpikeGeneratorRecord
from snn.blueprint.part import Members, Part, Slot
from snn.blueprint.synapses import SynapsesRecord

_RECORDS: Mapping[type, type[Part]] = {
    NeuronGroup: NeuronGroupRecord,
    PoissonGroup: PoissonGroupRecord,
    SpikeGeneratorGroup: SpikeGeneratorRecord,
    Synapses: SynapsesRecord,
    PoissonInput: PoissonInputRecord,
    CodeRunner: RunnerRecord,
    **dict.fromkeys(MONITORS, MonitorRecord),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ForeignRecord(Part):
    """An object that cannot be built anew, and why; contains: the names of the objects in it."""

    reason: str
    contains: frozenset[str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Blueprint:
    """A network as data: frozen records of Brian2's own texts and numbers.

    parts: groups, synapses, inputs and monitors by name. contained: in which other part a part is. slots: when in a
    step each object acts, also those that Brian2 makes for a part (updaters, thresholds, resets, pathways).
    clocks: the time step of each, or the times at which it ticks. t: how long the network has run.
    """

    name: str
    t: Quantity
    schedule: tuple[str, ...]
    clocks: Mapping[str, Quantity]
    parts: Mapping[str, Part]
    contained: Mapping[str, str]
    slots: Mapping[str, Slot]

    def with_parts(self, *parts: Part) -> "Blueprint":
        """The same with some parts changed; a part takes the place of the one of its name."""
        return changed(self, parts={**self.parts, **{part.name: part for part in parts}})

    def build(self, replace: Mapping[str, BrianObject | None] | None = None) -> Network:
        """A fresh network that does what the described one does from now on, spike for spike.

        It has the same names, values and time; chance is Brian2's, so give it the same seed. Monitors are empty.
        replace: an object to use for the part of that name, together with all that is in it, or None to leave it out.
        Raises InputError if a part cannot be built and is not replaced, if the default time step has changed, or if
        the network has run and is to be compiled (C++ standalone begins at 0 s).
        """
        if self.t and not isinstance(get_device(), RuntimeDevice):
            raise InputError(f"a compiled network begins at 0 s, this one is at {self.t}; describe it before it runs")
        given = dict(replace or {})
        self._check(given)
        workshop = _Workshop(self, given)
        network = Network(name=self.name)
        for name, part in self.parts.items():
            if given.get(name, part) is None or any(outer in given for outer in self._around(name)):
                continue
            obj = workshop.part(name)
            if name not in self.contained:
                network.add(obj)
            elif not isinstance(part, RunnerRecord):  # which Brian2 has put into its group
                workshop.part(self.contained[name]).contained_objects.append(obj)
            if name not in given:
                for member in (obj, *_workers(obj)):
                    member._name = _fixed_name(member, obj)
                    # As if it had been run, or Brian2 warns of unused objects if this network never is.
                    member._network = network.id
                    if member.name in self.slots:
                        slot = self.slots[member.name]
                        member.when, member.order, member._active = slot.when, slot.order, slot.active
        network.schedule = list(self.schedule)
        network.t_ = float(self.t)
        return network

    def _around(self, name: str) -> Iterator[str]:
        while name in self.contained:
            name = self.contained[name]
            yield name

    def _check(self, given: Mapping[str, BrianObject | None]) -> None:
        for name, obj in given.items():
            if name not in self.parts:
                raise InputError(f"{name!r} cannot be replaced, the network has only {', '.join(self.parts)}")
            if obj is not None and not isinstance(obj, BrianObject):
                raise InputError(f"the replacement of {name!r} is a {type(obj).__name__}, expected a Brian2 object")
            if obj is not None and obj._network is not None:
                raise InputError(f"the replacement of {name!r} has run in another network; make a new one")
        foreign = [part for part in self.parts.values() if isinstance(part, ForeignRecord) and part.name not in given]
        if foreign:
            names = ", ".join(f"{part.name!r}: ..." for part in foreign)
            raise InputError(
                f"{'; '.join(part.reason for part in foreign)}; "
                f"hand in a fresh object, replace={{{names}}}, or None to leave it out"
            )


def describe(network: Network, namespace: Mapping[str, Any] | None = None) -> Blueprint:
    """Any Brian2 network as data, as it is now; the network stays as it is.

    namespace: where to find external names that groups do not have in their own namespace, as in `Network.run`; names
    found nowhere stay open, and are looked up when the copy runs. TimedArrays and functions are shared, not copied.
    What `Network.store` has stored is left out. An object that cannot be copied (a NetworkOperation) becomes a
    `ForeignRecord`, for which `build` wants a replacement.

    >>> from brian2 import ms
    >>> cells = NeuronGroup(3, "dv/dt = -v / tau : 1", namespace={"tau": 10 * ms}, method="exact", name="cells")
    >>> blueprint = describe(Network(cells))
    >>> blueprint.parts["cells"].namespace
    {'tau': 10. * msecond}
    >>> blueprint.build()["cells"] is cells
    False
    """
    found = {obj.name: (obj, container) for obj, container in _parts_in(network.objects)}
    if not found:
        raise InputError("the network has no objects; for Brian2's magic network, give Network(collect())")
    parts = {name: _read(found[name][0]) for name in sorted(found)}
    _check_complete(parts)
    clocks, slots = {}, {}
    for name, (obj, _) in found.items():
        for member in [] if isinstance(parts[name], ForeignRecord) else [obj, *_workers(obj)]:
            clocks[member.clock.name] = _ticks(member.clock)
            # A worker that was taken out of its group does not act.
            acts = member.active and (member is obj or member in obj.contained_objects)
            slots[_fixed_name(member, obj)] = Slot(when=member.when, order=member.order, active=acts)
    return Blueprint(
        name=network.name,
        t=network.t,
        schedule=tuple(network.schedule),
        clocks=clocks,
        parts={
            name: _with_names(part, found[name][0], parts.values(), namespace or {}) for name, part in parts.items()
        },
        contained={name: container for name, (_, container) in found.items() if container is not None},
        slots=slots,
    )


class _Workshop:
    """Makes each part once, and first the parts that it needs."""

    def __init__(self, blueprint: Blueprint, given: Mapping[str, BrianObject | None]) -> None:
        self._blueprint = blueprint
        inside = {obj.name: obj for each in given.values() if each is not None for obj in _tree(each)}
        self._made: dict[str, BrianObject | None] = {**inside, **given}
        self._subgroups: dict[Members, Subgroup] = {}
        self._clocks: dict[str, Clock] = {}

    def part(self, name: str) -> BrianObject:
        """The part of that name."""
        if name not in self._made:
            record = self._blueprint.parts[name]
            made = self._made[name] = record.build(self)
            for variable, link in record.links.items():
                setattr(made, variable, linked_var(self.part(link.of), link.variable, index=link.index))
        obj = self._made[name]
        if obj is None:
            raise InputError(f"{name!r} is left out, but other parts need it; hand in an object, or leave them out too")
        return obj

    def members(self, some: Members) -> Group:
        """The group, or the part of one."""
        group = self.part(some.of)
        if some.start is None:
            return group
        if some not in self._subgroups:
            self._subgroups[some] = Subgroup(group, some.start, some.stop, name=some.name)
        return self._subgroups[some]

    def clock(self, name: str) -> Clock:
        """The clock of that name: Brian2's default clock, or a fresh one."""
        ticks = self._blueprint.clocks[name]
        default = get_device().defaultclock
        if name == default.name:
            if default.dt != ticks:
                raise InputError(
                    f"the network has been described with a default time step of {ticks}, now it is {default.dt}; "
                    "set defaultclock.dt back"
                )
            return default
        if name not in self._clocks:
            self._clocks[name] = _event_clock(ticks, name) if np.ndim(ticks) else Clock(ticks, name=name)
        return self._clocks[name]


def _event_clock(times: Quantity, name: str) -> Any:
    from brian2 import EventClock  # since Brian2 2.10

    return EventClock(times, name=name)


def _ticks(clock: Any) -> Quantity:
    # Brian2 adds infinity to the times of an EventClock.
    return clock.dt if isinstance(clock, Clock) else clock.variables["times"].get_value()[:-1] * second


def _tree(obj: BrianObject) -> Iterator[BrianObject]:
    yield obj
    for inner in obj.contained_objects:
        yield from _tree(inner)


def _workers(obj: BrianObject) -> list[BrianObject]:
    """The objects that Brian2 itself makes for a group or for synapses."""
    single = [getattr(obj, name, None) for name in ("state_updater", "subexpression_updater")]
    tables = [getattr(obj, name, {}).values() for name in ("thresholder", "resetter", "summed_updaters")]
    return [
        *(worker for worker in single if worker is not None),
        *(worker for table in tables for worker in table),
        *getattr(obj, "_pathways", ()),
    ]


def _fixed_name(worker: BrianObject, obj: BrianObject) -> str:
    """The name of a worker; the one that Brian2 numbers, as names are taken, without its number."""
    numbered = worker is getattr(obj, "subexpression_updater", None)
    return f"{obj.name}_subexpression_update" if numbered else worker.name


def _others(obj: BrianObject) -> list[BrianObject]:
    """What somebody else has put into an object."""
    workers = _workers(obj)
    return [inner for inner in obj.contained_objects if inner not in workers]


def _stranger(obj: BrianObject) -> BrianObject | None:
    """The first object, itself or in it, that cannot be read."""
    if type(obj) not in (*_RECORDS, Subgroup):
        return obj
    strangers = (_stranger(inner) for inner in _others(obj))
    return next((stranger for stranger in strangers if stranger is not None), None)


def _parts_in(objects: Iterable[BrianObject], container: str | None = None) -> Iterator[tuple[BrianObject, str | None]]:
    """Each part and the name of the part in which it is."""
    for obj in objects:
        if isinstance(obj, Subgroup):  # is there only for the code that it runs
            yield from _parts_in(obj.contained_objects, container)
            continue
        yield obj, container
        if _stranger(obj) is None:
            yield from _parts_in(_others(obj), obj.name)


def _read(obj: BrianObject) -> Part:
    stranger = _stranger(obj)
    if stranger is None:
        return _RECORDS[type(obj)].read(obj)
    what = "is" if stranger is obj else f"contains {stranger.name!r},"
    return ForeignRecord(
        name=obj.name,
        reason=f"{obj.name!r} cannot be copied: it {what} a {type(stranger).__name__}",
        contains=frozenset(inner.name for inner in _tree(obj)),
    )


def _check_complete(parts: Mapping[str, Part]) -> None:
    foreign = (part.contains for part in parts.values() if isinstance(part, ForeignRecord))
    known = set(parts).union(*foreign)
    for part in parts.values():
        for name in sorted(part.needs - known):
            raise InputError(f"{part.name!r} refers to {name!r}, which is not in the network; add it")


def _with_names(part: Part, obj: BrianObject, parts: Iterable[Part], namespace: Mapping[str, Any]) -> Part:
    """The part with the external names that it uses and does not have."""
    if not hasattr(part, "namespace"):
        return part
    attached = [other for other in parts if isinstance(other, PoissonInputRecord | RunnerRecord)]
    users = [part, *(other for other in attached if other.on.of == part.name)]
    used = get_identifiers("\n".join(text for user in users for text in user.code))
    used -= {*obj.variables, *DEFAULT_CONSTANTS, *DEFAULT_FUNCTIONS, *DEFAULT_UNITS}
    found = {name: namespace[name] for name in sorted(used & {*namespace})}
    return changed(part, namespace={**found, **part.namespace})
