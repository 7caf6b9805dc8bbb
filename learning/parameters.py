"""Which numbers of a Brian2 network are trained, in which units, and within which limits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from brian2 import Network, NeuronGroup, Quantity, Subgroup, Synapses, get_unit, have_same_dimensions, second
from brian2.core.variables import ArrayVariable, VariableView
from brian2.groups.group import Group
from brian2.units.fundamentalunits import DIMENSIONLESS
from numpy.typing import NDArray

from dvs.errors import ParameterError

# A variable as the object that Brian2 hands out, `synapses.w`, or by its name, "synapses.w".
Named = VariableView | str


@dataclass(frozen=True)
class Parameter:
    """A variable that is trained, and how.

    variable: `group.name` of Brian2, or that as a text. scale: the step of 1 of an optimiser, in the variable's unit;
    by default 1 where it has no unit, and otherwise the root mean square of its values now, so that a learning rate
    means the same for millivolts and nanosiemens. limits: between which its values stay; times stay at least one step
    of the simulation long by default.
    """

    variable: Named
    scale: Quantity | float | None = None
    limits: tuple[Quantity | float | None, Quantity | float | None] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A parameter that was found in a network: value in SI units = scale * what the optimiser sees."""

    owner: Group
    variable: ArrayVariable
    scale: float
    limits: tuple[float, float]

    @property
    def name(self) -> str:
        """As in Brian2."""
        return f"{self.owner.name}.{self.variable.name}"

    @property
    def key(self) -> tuple[str, str]:
        """Group and variable."""
        return self.owner.name, self.variable.name

    def read(self) -> NDArray[np.float64]:
        """The values that Brian2 has, in units of the scale, 1-D."""
        return np.atleast_1d(np.array(self.variable.get_value(), float)) / self.scale

    def write(self, values: NDArray) -> None:
        """Give Brian2 values in units of the scale."""
        si = np.asarray(values, float) * self.scale
        self.variable.set_value(si.item() if self.variable.scalar else si)

    def neurons(self) -> NDArray[np.int64]:
        """Of each value, the neuron that it feeds or belongs to; 0 for what all share."""
        if self.variable.scalar:
            return np.zeros(1, np.int64)
        if isinstance(self.owner, Synapses):
            return np.array(self.owner.j[:], np.int64)
        return np.arange(self.variable.size)

    def limit(self, values: NDArray) -> None:
        """Move values that are outside to the limit, in place."""
        low, high = (limit / self.scale for limit in self.limits)
        if math.isfinite(low) or math.isfinite(high):
            np.clip(values, low, high, out=values)


def find(network: Network, parameters: Sequence[Parameter | Named], dt: Quantity) -> list[Trained]:
    """The variables in the network; raises `ParameterError` for what is not there or cannot be trained."""
    if isinstance(parameters, Parameter | str | VariableView):
        parameters = [parameters]
    found = [_found(network, given if isinstance(given, Parameter) else Parameter(given), dt) for given in parameters]
    if not found:
        raise ParameterError("no parameters are given; name what is to learn, such as parameters=[synapses.w]")
    names = [trained.name for trained in found]
    if len(set(names)) != len(names):
        raise ParameterError(f"parameters are {names}; name each once")
    return found


def place(network: Network, given: Named, what: str) -> tuple[Group, str]:
    """The group, and the name of one of its variables, that somebody means."""
    if isinstance(given, VariableView):
        owner, name = given.group, given.name
        group_name = owner.name
    elif isinstance(given, str) and given.count(".") == 1:
        group_name, name = given.split(".")
    else:
        raise ParameterError(
            f"{what} is {given!r}, a {type(given).__name__}, expected a variable such as synapses.w or its name, "
            "'synapses.w'; a number in a namespace becomes a variable by a line 'tau : second (constant)' in the "
            "equations"
        )
    for obj in network.objects:
        if obj.name == group_name and isinstance(obj, NeuronGroup | Synapses):
            return obj, name
        if isinstance(obj, Subgroup) and obj.name == group_name:
            break
    known = sorted(obj.name for obj in network.objects if isinstance(obj, NeuronGroup | Synapses))
    raise ParameterError(f"{what} {group_name}.{name}: there is no group {group_name!r} in the network, only {known}")


def _found(network: Network, given: Parameter, dt: Quantity) -> Trained:
    owner, name = place(network, given.variable, "parameter")
    variable = owner.variables.get(name)
    if isinstance(owner, Synapses) and name == "delay":
        raise ParameterError(
            f"{owner.name}.delay is a number of steps, in which a spike has no derivative; train weights of synapses "
            "with several fixed delays instead"
        )
    if (
        not isinstance(variable, ArrayVariable)
        or np.dtype(variable.dtype).kind != "f"
        or name in ("t", "dt", "lastspike")
    ):
        known = sorted(
            key
            for key, value in owner.variables.items()
            if isinstance(value, ArrayVariable) and value.owner.name == owner.name and key in owner.equations.names
        )
        raise ParameterError(
            f"{owner.name}.{name} is not a variable with values of its own, those of {owner.name} are {known}; "
            f"a number in a namespace becomes one by a line '{name} : 1 (constant)' with its unit in the equations"
        )
    values = np.array(variable.get_value(), float)
    unit = 1.0 if variable.dim is DIMENSIONLESS else get_unit(variable.dim)
    low, high = given.limits or (dt if variable.dim is second.dim else None, None)
    limits = (
        -math.inf if low is None else _si(low, unit, f"limit of {owner.name}.{name}"),
        math.inf if high is None else _si(high, unit, f"limit of {owner.name}.{name}"),
    )
    if not limits[0] < limits[1]:
        raise ParameterError(f"limits of {owner.name}.{name} are {given.limits}, expected the lower one first")
    if given.scale is not None:
        scale = _si(given.scale, unit, f"scale of {owner.name}.{name}")
    elif variable.dim is DIMENSIONLESS:
        scale = 1.0
    else:
        scale = float(np.sqrt(np.mean(values**2)))
    if not (scale > 0 and math.isfinite(scale)):
        raise ParameterError(
            f"{owner.name}.{name} has a scale of {scale}, expected a number above 0; "
            "give Parameter(variable, scale=...) where all values are zero"
        )
    return Trained(owner=owner, variable=variable, scale=scale, limits=limits)


def _si(value: Quantity | float, unit: Quantity | float, what: str) -> float:
    if not have_same_dimensions(value, unit):
        raise ParameterError(f"{what} is {value}, expected a quantity in units of {unit}")
    return float(value)
