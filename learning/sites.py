"""Where trained numbers act in a network: from parameters to weights and constants, and their derivatives back."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy
from brian2 import Network, NeuronGroup, Synapses
from brian2.core.variables import Subexpression, Variable
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray

from dvs.errors import ParameterError
from learning.kernels.passes import Slopes
from learning.kernels.plan import Synapses as Wiring
from learning.parameters import Trained
from learning.reading import Coupling, Population, Projection, Reading
from learning.symbols import numeric, symbol

# Values of a group's variable in SI units, by group and name.
Numbers = Mapping[tuple[str, str], NDArray]


class Sites:
    """The places in a reading at which each trained parameter acts.

    wiring: of each projection. Raises `ParameterError` for a parameter that acts nowhere, or where no derivative is
    taken.
    """

    def __init__(
        self, reading: Reading, network: Network, trained: Sequence[Trained], wiring: Mapping[str, Wiring]
    ) -> None:
        self._reading, self._wiring = reading, wiring
        self._trained = {one.key: one for one in trained}
        self._owner = {
            obj.name: (obj.synapses if isinstance(obj, SynapticPathway) else obj.group).name
            for obj in network.sorted_objects
            if isinstance(obj, SynapticPathway | SummedVariableUpdater)
        }
        self._fixed: dict[tuple[str, str], NDArray] = {}
        acting = {self.key(link, name) for link in (*reading.projections, *reading.couplings) for name in link.values}
        acting |= {(p.name, name) for p in reading.populations for name in (*p.states, *p.constants)}
        acting -= {(c.target, c.variable) for c in reading.couplings}  # set in every step, whatever they were
        for one in trained:
            if one.key not in acting:
                raise ParameterError(f"{one.name} does not act on any state, so it cannot be trained; leave it out")
            _check_elsewhere(network, one, acting)
        # Of each projection: a state it adds to, a trained number in what it adds, and the derivative by that.
        self._derivatives = {
            q.name: [
                (state, name, sympy.diff(value, symbol(name)))
                for state, value in q.adds.items()
                for name in sorted(set(_names(value)) & set(self.trained_in(q)))
            ]
            for q in reading.projections
        }

    def key(self, link: Projection | Coupling, name: str) -> tuple[str, str]:
        """The group, and the name there, of a number of a synapse."""
        return link.borrowed.get(name, (self._owner[link.name], name))

    def trained_in(self, link: Projection | Coupling) -> tuple[str, ...]:
        """The numbers of a synapse that are trained."""
        return tuple(name for name in link.values if self.key(link, name) in self._trained)

    def trained_constants(self, p: Population) -> tuple[str, ...]:
        """Of a population."""
        return tuple(name for name in p.constants if (p.name, name) in self._trained)

    def trained_starts(self, p: Population) -> tuple[str, ...]:
        """States of a population whose initial values are trained."""
        return tuple(name for name in p.states if (p.name, name) in self._trained)

    def targets(self, one: Trained) -> set[str]:
        """The populations on which a parameter acts directly."""
        owner, name = one.key
        found = {p.name for p in self._reading.populations if p.name == owner and name in (*p.states, *p.constants)}
        links = (*self._reading.projections, *self._reading.couplings)
        return found | {link.target for link in links if one.key in {self.key(link, name) for name in link.values}}

    def weights(self, q: Projection, state: str, numbers: Numbers, real: type) -> NDArray:
        """What each synapse adds to a state, in the kernel's shape; the parameter itself where that is the same."""
        names = _names(q.adds[state])
        fixed = not any(self.key(q, name) in numbers for name in names)
        if fixed and (q.name, state) in self._fixed:
            return self._fixed[q.name, state]
        by_synapse = _value(q.adds[state], [self.value(q, name, numbers) for name in names])
        by_synapse = np.broadcast_to(np.asarray(by_synapse, real), q.pre.size)
        found = np.ascontiguousarray(self._wiring[q.name].weights(by_synapse))
        if fixed:
            self._fixed[q.name, state] = found
        return found

    def value(self, link: Projection | Coupling, name: str, numbers: Numbers) -> Any:
        """A number of each synapse, (S,), or one for all."""
        value = _like(link.values[name], numbers.get(self.key(link, name), link.values[name]))
        return value[link.index[name]] if name in link.index else value

    def constants(self, p: Population, numbers: Numbers) -> dict[str, Any]:
        """The constants of a population, in double precision: formulas take small differences of time constants."""
        known = {name: np.asarray(numbers.get((p.name, name), value), float) for name, value in p.constants.items()}
        return {name: _like(p.constants[name], value) for name, value in known.items()}

    def starts(self, p: Population, numbers: Numbers) -> dict[str, NDArray]:
        """The initial values of its states."""
        return {name: numbers.get((p.name, name), value) for name, value in p.start.items()}

    def gradients(self, slopes: Slopes, numbers: Numbers, parameters: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """Derivatives by each parameter, in its shape and units, from those at the places where it acts."""
        parts: dict[tuple[str, str], list[NDArray]] = {key: [] for key in self._trained}
        for q in self._reading.projections:
            for state, name, slope in self._derivatives[q.name]:
                by_synapse = self._wiring[q.name].by_synapse(slopes.weights[q.name, state])
                if slope != 1:
                    factor = _value(slope, [self.value(q, other, numbers) for other in _names(slope)])
                    by_synapse = by_synapse * factor
                parts[self.key(q, name)].append(_reduced(by_synapse, q, name))
        for c in self._reading.couplings:
            for name in self.trained_in(c):
                parts[self.key(c, name)].append(_reduced(slopes.couplings[c.name, name], c, name))
        for key, slope in (*slopes.constants.items(), *slopes.starts.items()):
            if key in self._trained:
                shared = self._trained[key].variable.scalar
                parts[key].append(slope.sum(keepdims=True) if shared else slope)
        return {one.name: _total(parts[key], one.scale, parameters[one.name]) for key, one in self._trained.items()}


def _check_elsewhere(network: Network, one: Trained, acting: Collection[tuple[str, str]]) -> None:
    """A parameter acts under its own name only, and on nothing that comes in whole steps."""
    groups = (obj for obj in network.objects if isinstance(obj, NeuronGroup | Synapses))
    for group in sorted(groups, key=lambda group: group.name):
        for name, variable in group.variables.items():
            if variable is one.variable and (group.name, name) in acting and (group.name, name) != one.key:
                raise ParameterError(
                    f"{one.name} is also {group.name}.{name}, by a link, and would be trained in one place only; give "
                    f"{group.name} a variable of its own"
                )
        refractory = getattr(group, "_refractory", False)
        if isinstance(refractory, str) and any(found is one.variable for found in _used(group, refractory)):
            raise ParameterError(
                f"{one.name} is part of the refractory time of {group.name}, {refractory!r}, which is whole steps and "
                "has no derivative; give the refractory time a constant of its own"
            )


def _used(group: NeuronGroup, text: str) -> Iterator[Variable]:
    """The variables of a group in an expression, and in subexpressions that it leads to."""
    for name in get_identifiers(text) & set(group.variables):
        variable = group.variables[name]
        yield variable
        if isinstance(variable, Subexpression):
            yield from _used(group, variable.expr)


def _names(value: sympy.Expr) -> list[str]:
    return sorted(free.name for free in value.free_symbols)


def _value(value: sympy.Expr, numbers: Sequence[Any]) -> Any:
    """An expression at the values of its names, in their order; a name alone is its value, not a copy."""
    return numeric(value)(*numbers)


def _like(old: Any, new: Any) -> Any:
    """A number where there was one for all, else an array."""
    return new if np.ndim(old) else float(np.reshape(new, ()))


def _reduced(by_synapse: NDArray, link: Projection | Coupling, name: str) -> NDArray:
    """What synapses that share a number add to its derivative."""
    value = link.values[name]
    if name in link.index:
        return np.bincount(link.index[name], by_synapse, minlength=np.size(value))
    return by_synapse if np.ndim(value) else by_synapse.sum(keepdims=True)


def _total(parts: Sequence[NDArray], scale: float, parameter: NDArray) -> NDArray:
    if not parts:
        return np.zeros_like(parameter)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return np.ascontiguousarray(total if scale == 1 else total * scale, parameter.dtype)
