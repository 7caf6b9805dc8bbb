"""What the records of all parts of a network have in common, and how parts find each other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
from brian2 import BrianObject, Clock, Group, Quantity, Subgroup, Synapses
from brian2.core.variables import ArrayVariable, Subexpression
from numpy.typing import NDArray

from dvs.errors import InputError

Values = Mapping[str, Quantity | NDArray]


@dataclass(frozen=True, kw_only=True)
class Members:
    """A group, or its neurons from `start` to before `stop` as the Subgroup `name`."""

    of: str
    start: int | None = None
    stop: int | None = None
    name: str | None = None

    @classmethod
    def read(cls, group: Group) -> Self:
        """Where a group is to be found again."""
        if isinstance(group, Subgroup):
            return cls(of=group.source.name, start=group.start, stop=group.stop, name=group.name)
        return cls(of=group.name)


@dataclass(frozen=True, kw_only=True, eq=False)
class Link:
    """A linked variable: its numbers are those of `variable` in the group `of`, picked by `index`.

    index: a variable of the linking group, (N,) numbers, or None where Brian2 finds it by itself.
    """

    of: str
    variable: str
    index: str | NDArray[np.integer] | None


@dataclass(frozen=True, kw_only=True)
class Slot:
    """When in a step an object acts, and whether it does."""

    when: str
    order: int
    active: bool


class Workshop(Protocol):
    """Where parts are made: each asks it for the parts and clocks that it needs."""

    def members(self, some: Members) -> Group:
        """The group, or the part of one."""

    def clock(self, name: str) -> Clock:
        """The clock of that name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A Brian2 object as data. `links` are its linked variables."""

    name: str
    links: Mapping[str, Link] = field(default_factory=dict)

    @property
    def needs(self) -> set[str]:
        """Names of the parts that this one refers to."""
        members = (value.of for value in vars(self).values() if isinstance(value, Members))
        return {*members, *(link.of for link in self.links.values())}

    @property
    def code(self) -> Iterable[str]:
        """The texts in which Brian2 looks up external names."""
        return ()

    def build(self, workshop: Workshop) -> BrianObject:
        """A fresh object, without its links."""
        raise NotImplementedError


def read_values(group: Group, names: Iterable[str]) -> dict[str, Quantity | NDArray]:
    """A copy of the numbers that a group itself keeps of these variables."""
    own = {name: group.variables.get(name) for name in names if name not in group._linked_variables}
    return {name: read_array(variable) for name, variable in own.items() if isinstance(variable, ArrayVariable)}


def read_array(variable: ArrayVariable) -> Quantity | NDArray:
    """A copy of a variable's numbers, with its unit if it has one."""
    numbers = variable.get_value().copy()
    numbers.flags.writeable = False
    return numbers if variable.dim.is_dimensionless else Quantity(numbers, dim=variable.dim, copy=False)


def set_values(group: Group, values: Values) -> None:
    """Give the variables of a group their numbers."""
    for name, value in values.items():
        group.variables[name].set_value(np.asarray(value))


def dtypes(values: Values) -> dict[str, np.dtype]:
    """The types of the numbers, as Brian2 wants to be told."""
    return {name: value.dtype for name, value in values.items()}


def read_links(group: Group) -> dict[str, Link]:
    """The linked variables of a group that are linked to something."""
    return {name: _read_link(group, name) for name in sorted(group._linked_variables) if name in group.variables}


def _read_link(group: Group, name: str) -> Link:
    variable = group.variables[name]
    index = group.variables.indices[name]
    if isinstance(variable, Subexpression):
        raise InputError(
            f"{name!r} of {group.name!r} is linked to an expression; link it to its variables and write it anew"
        )
    if isinstance(group, Synapses) and "_index_" in index:
        raise InputError(
            f"{name!r} of {group.name!r} is linked to a part of {variable.owner.name!r}; "
            "link it to the whole group, with an index"
        )
    if index in ("_idx", "0"):
        index = None
    elif index.startswith("_") and not isinstance(group, Synapses):
        # Brian2's name for numbers given as an array, or for those of a subgroup.
        index = group.variables[index].get_value().astype(int)
    return Link(of=variable.owner.name, variable=variable.name, index=index)
