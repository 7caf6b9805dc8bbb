"""Formulas as lines of code: what does not change in time gets a name and is computed once, before the kernel runs."""

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy.printing.pycode import PythonCodePrinter

from learning.symbols import numeric, readable, simplified, symbol

Numbers = float | NDArray[np.float64]

# Names that the text of a kernel has for other things.
_TAKEN = {"sample", "step", "row", "neuron", "synapse", "spike", "count", "held", "slope", "through", "sent", "then"}
_TAKEN |= {"first", "last", "begin", "end", "keep", "mode", "output", "output_gradient", "real", "math", "np"}
_TAKEN |= {"a", "b", "d", "u", "z", "abs", "min", "max", "range"}
_MADE = re.compile(r"(part\d+|_adjoint)$")


def local(name: str) -> str:
    """The name of a state within a loop over neurons."""
    return f"{name}_" if name in _TAKEN or keyword.iskeyword(name) or _MADE.search(name) else name


@dataclass(eq=False)
class Coefficients:
    """Names for what does not change in time, of one group.

    owner: of the names. arrays: constants that have one value a neuron; all others are numbers.
    """

    owner: str
    arrays: frozenset[str]
    named: dict[str, sympy.Expr] = field(default_factory=dict)

    def name(self, value: sympy.Expr, hint: str) -> str:
        """The name of an expression of constants; one name for all ways in which it can be written."""
        value = readable(value)
        for name, known in self.named.items():
            if known == value:
                return name
        name, number = f"{self.owner}_{hint}", 2
        while name in self.named:
            name, number = f"{self.owner}_{hint}_{number}", number + 1
        self.named[name] = value
        return name

    def code(self, value: sympy.Expr, hint: str) -> str:
        """A number or a name, the latter with the neuron's index if there is one a neuron."""
        if not value.free_symbols:
            return literal(float(value))
        name = self.name(value, hint)
        return f"{name}[neuron]" if {free.name for free in value.free_symbols} & self.arrays else name

    def values(self, constants: Mapping[str, Numbers]) -> dict[str, Numbers]:
        """The value of each name."""
        found = {}
        for name, value in self.named.items():
            used = sorted(free.name for free in value.free_symbols)
            with np.errstate(all="ignore"):
                found[name] = numeric(value)(*(constants[other] for other in used))
        return found


def lines(
    formulas: Mapping[str, sympy.Expr], states: Iterable[str], coefficients: Coefficients, hint: str
) -> tuple[list[str], dict[str, str]]:
    """Lines to put before, and the code of each formula, by states as local names.

    A formula that is linear in the states becomes a sum of coefficients times states; from others the parts that do
    not change are taken out, and parts that come twice are computed once.
    """
    by = [symbol(name) for name in states]
    codes, others = {}, {}
    for name, value in formulas.items():
        slopes = {state: sympy.diff(value, state) for state in by if value.has(state)}
        if any(slope.has(*by) for slope in slopes.values()):
            others[name] = _constants_named(value, set(by), coefficients, hint)
        else:
            codes[name] = _linear(value, slopes, coefficients, f"{hint}{name}")
    rename = {state: sympy.Symbol(local(state.name), real=True) for state in by}
    shared, reduced = sympy.cse(
        [value.xreplace(rename) for value in others.values()], symbols=sympy.numbered_symbols(f"{hint}part")
    )
    before = [f"{name} = {_Code().doprint(value)}" for name, value in shared]
    codes |= {name: _Code().doprint(value) for name, value in zip(others, reduced, strict=True)}
    return before, {name: codes[name] for name in formulas}


def synapse_lines(formulas: Iterable[sympy.Expr], names: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Lines to put before, and the code of each formula of a synapse, by the code of each name in it."""
    rename = {symbol(name): sympy.Symbol(code, real=True) for name, code in names.items()}
    shared, reduced = sympy.cse([value.xreplace(rename) for value in formulas], symbols=sympy.numbered_symbols("part"))
    return [f"{name} = {_Code().doprint(value)}" for name, value in shared], [_Code().doprint(v) for v in reduced]


def literal(value: float) -> str:
    """A number in the kernel's precision."""
    return f"real({value!r})"


def scalar_code(value: sympy.Expr, variable: sympy.Symbol) -> str:
    """The code of an expression of one variable and numbers."""
    return _Code().doprint(_constants_named(value, {variable}, Coefficients(owner="", arrays=frozenset()), ""))


def _linear(value: sympy.Expr, slopes: Mapping[sympy.Symbol, sympy.Expr], coefficients: Coefficients, hint: str) -> str:
    rest = value.xreplace({state: sympy.Integer(0) for state in slopes})
    terms = []
    for state, slope in slopes.items():
        if slope == 1:
            terms.append(local(state.name))
        elif slope == -1:
            terms.append(f"-{local(state.name)}")
        else:
            terms.append(f"{coefficients.code(slope, f'{hint}_by_{state.name}')} * {local(state.name)}")
    if simplified(rest) != 0 or not terms:
        terms.append(coefficients.code(rest, f"{hint}_constant" if terms else hint))
    return " + ".join(terms).replace("+ -", "- ")


def _constants_named(
    value: sympy.Basic, varying: set[sympy.Symbol], coefficients: Coefficients, hint: str
) -> sympy.Basic:
    """The expression with a symbol, whose name is code, for each part that does not change."""
    if not isinstance(value, sympy.Expr):  # a condition, or a pair of a value and its condition
        if not value.args:
            return value
        return value.func(*(_constants_named(part, varying, coefficients, hint) for part in value.args))
    if not value.has(*varying):
        if value in (1, -1):
            return value
        return sympy.Symbol(coefficients.code(value, f"{hint}constant"), real=True)
    if value in varying:
        return value
    if isinstance(value, sympy.Pow) and value.exp.is_Integer:
        return sympy.Pow(_constants_named(value.base, varying, coefficients, hint), value.exp, evaluate=False)
    if isinstance(value, sympy.Add | sympy.Mul):
        fixed, changing = value.as_independent(*varying)
        parts = changing.args if isinstance(changing, value.func) else (changing,)
        named = [_constants_named(part, varying, coefficients, hint) for part in parts]
        if fixed != value.identity:
            named.insert(0, _constants_named(fixed, varying, coefficients, hint))
        return value.func(*named)
    return value.func(*(_constants_named(part, varying, coefficients, hint) for part in value.args))


class _Code(PythonCodePrinter):
    """Code for one neuron, in which numbers have the kernel's precision; a whole number would make it double."""

    def _print_Integer(self, number: sympy.Integer) -> str:  # noqa: N802  (sympy looks printers up by class name)
        return literal(float(number))

    def _print_Rational(self, number: sympy.Rational) -> str:  # noqa: N802
        return literal(float(number))

    def _print_Float(self, number: sympy.Float) -> str:  # noqa: N802
        return literal(float(number))

    def _print_Pow(self, power: sympy.Pow, rational: bool = False) -> str:  # noqa: N802
        base = self.parenthesize(power.base, 100)
        if power.exp.is_Integer and 0 < abs(power.exp) <= 4:
            product = " * ".join([base] * abs(int(power.exp)))
            return f"({product})" if power.exp > 0 else f"(real(1.0) / ({product}))"
        if power.exp == sympy.Rational(1, 2):
            return f"math.sqrt({self._print(power.base)})"
        return f"{base} ** {self.parenthesize(power.exp, 100)}"
