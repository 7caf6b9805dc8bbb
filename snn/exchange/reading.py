"""Brian2 texts as formulas, and formulas as numbers: what export needs to recognise a model by its equations."""

from collections.abc import Mapping

import numpy as np
import sympy
from brian2.core.functions import Function
from brian2.core.variables import Constant, Subexpression, Variable
from brian2.groups.group import Group
from brian2.parsing.sympytools import str_to_sympy
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray

from dvs.errors import InputError

_TIME = {"t", "t_in_timesteps", "lastspike", "lastupdate", "not_refractory"}


class Reader:
    """Reads the texts of one group or of one Synapses, with names as Brian2 looks them up."""

    def __init__(self, group: Group, namespace: Mapping[str, object]) -> None:
        self._group = group
        self._namespace = namespace
        self._known: dict[str, Variable | Function] = {}

    def formula(self, text: str) -> sympy.Expr:
        """The text as a sympy formula, with subexpressions written out.

        InputError for chance, for time, and for what changes in another group.
        """
        formula = str_to_sympy(str(text), self._names(get_identifiers(str(text))))
        for symbol in formula.free_symbols:
            variable = self.variable(symbol)
            if _moves(variable) and variable.owner.name != self._group.name:
                raise self.refused(
                    f"{str(text)!r} depends on {variable.name} of {variable.owner.name!r}, which changes"
                )
            if isinstance(variable, Subexpression):
                formula = formula.xreplace({symbol: self.formula(variable.expr)})
        return formula

    def variable(self, symbol: sympy.Symbol) -> Variable:
        """The Brian2 variable of a name."""
        return self._names([symbol.name])[symbol.name]

    def numbers(self, formula: sympy.Expr | float) -> NDArray[np.float64]:
        """The value of a formula in SI units, () or one of each neuron or synapse; it must not depend on the state."""
        symbols = sorted(sympy.sympify(formula).free_symbols, key=str)
        functions = {name: known.pyfunc for name, known in self._known.items() if isinstance(known, Function)}
        compute = sympy.lambdify(symbols, formula, modules=[functions, "numpy"])
        return np.asarray(compute(*(self._value(symbol) for symbol in symbols)), np.float64)

    def refused(self, reason: str) -> InputError:
        """An error that names the object."""
        return InputError(f"{self._group.name!r} cannot be written as NIR: {reason}")

    def _value(self, symbol: sympy.Symbol) -> NDArray | float:
        variable = self.variable(symbol)
        if isinstance(variable, Constant):
            return variable.get_value()
        return np.asarray(self._group.state(symbol.name, use_units=False)[:])

    def _names(self, names: set[str] | list[str]) -> dict[str, Variable | Function]:
        for name in sorted(set(names) - {*self._known}):
            try:
                found = self._group.resolve_all([name], self._namespace)[name]
            except KeyError as error:
                raise self.refused(f"{name!r} has no value; pass namespace={{{name!r}: ...}}") from error
            if name in _TIME:
                raise self.refused(f"{name!r} makes it depend on time, which NIR's nodes do not know")
            if isinstance(found, Function) and not found.stateless:
                raise self.refused(f"{name}() is chance, which NIR does not have")
            self._known[name] = found
        return self._known


def _moves(variable: Variable) -> bool:
    """Whether equations say how a variable changes; a subexpression of another group may."""
    equations = getattr(variable.owner, "equations", None)
    return isinstance(variable, Subexpression) or (equations is not None and variable.name in equations.diff_eq_names)
