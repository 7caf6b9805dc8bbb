"""From sympy back to Brian2: a formula as text that every target of Brian2 compiles."""

from collections.abc import Mapping

import sympy
from sympy.printing.str import StrPrinter


def brian_text(value: sympy.Expr, names: Mapping[str, str] | None = None) -> str:
    """The text of an expression, with some names replaced.

    >>> u = sympy.Symbol("u", real=True)
    >>> brian_text(sympy.Piecewise((1 - abs(u), abs(u) < 1), (0, True)), {"u": "v_post"})
    'int(abs(v_post) < 1.0)*(1.0 - abs(v_post))'
    """
    rename = {free: sympy.Symbol(names[free.name]) for free in value.free_symbols if free.name in (names or {})}
    return _Text({"order": "none"}).doprint(value.xreplace(rename))


class _Text(StrPrinter):
    """Brian2's spelling: no conditional expressions, whole numbers as floats so that 1/2 is a half."""

    def _print_Integer(self, number: sympy.Integer) -> str:  # noqa: N802  (sympy looks printers up by class name)
        return repr(float(number))

    def _print_Rational(self, number: sympy.Rational) -> str:  # noqa: N802
        return repr(float(number))

    def _print_Float(self, number: sympy.Float) -> str:  # noqa: N802
        return repr(float(number))

    def _print_Pow(self, power: sympy.Pow, rational: bool = False) -> str:  # noqa: N802
        base = self.parenthesize(power.base, 100)
        if power.exp == sympy.Rational(1, 2):
            return f"sqrt({self._print(power.base)})"
        if power.exp.is_Integer:
            return f"{base}**{int(power.exp)}" if power.exp > 0 else f"{base}**({int(power.exp)})"
        return f"{base}**{self.parenthesize(power.exp, 100)}"

    def _print_Abs(self, value: sympy.Abs) -> str:  # noqa: N802
        return f"abs({self._print(value.args[0])})"

    def _print_Max(self, value: sympy.Max) -> str:  # noqa: N802
        return self._chosen(value, ">=")

    def _print_Min(self, value: sympy.Min) -> str:  # noqa: N802
        return self._chosen(value, "<=")

    def _chosen(self, value: sympy.Max | sympy.Min, relation: str) -> str:
        first, *others = value.args
        text = self._print(first)
        for other in map(self._print, others):
            text = f"(int({text} {relation} {other})*({text}) + (1 - int({text} {relation} {other}))*({other}))"
        return text

    def _print_Piecewise(self, value: sympy.Piecewise) -> str:  # noqa: N802
        parts, before = [], []
        for result, condition in value.args:
            here = [] if condition == sympy.true else [f"int({self._print(condition)})"]
            if result != 0:
                parts.append("*".join([*before, *here, f"({self._print(result)})"]))
            before += [f"(1 - {one})" for one in here]
        return f"({' + '.join(parts)})" if len(parts) > 1 else "".join(parts) or "0.0"

    def _print_Relational(self, value: sympy.Rel) -> str:  # noqa: N802
        return f"{self._print(value.lhs)} {value.rel_op} {self._print(value.rhs)}"
