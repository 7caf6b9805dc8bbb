"""From Brian2's abstract code to sympy: statements are folded into one expression for each variable."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import sympy
from brian2.core.variables import Subexpression, Variable
from brian2.parsing.statements import parse_statement
from brian2.parsing.sympytools import str_to_sympy

from dvs.errors import InputError
from snn.statements import statements

# Operations from which a formula is left as it is.
_LONG = 40

NOT_REFRACTORY = sympy.Symbol("not_refractory", real=True)


def symbol(name: str) -> sympy.Symbol:
    """The symbol by which Brian2 calls a variable."""
    return sympy.Symbol(name, real=True)


def expression(text: str, variables: Mapping[str, Variable]) -> sympy.Expr:
    """A Brian2 expression with its subexpressions put in."""
    found = str_to_sympy(text, variables)
    # One symbol for one name: Brian2 knows of some that they are positive, and sympy takes those for others.
    found = found.xreplace({free: symbol(free.name) for free in found.free_symbols})
    for _ in range(len(variables) + 1):
        inner = {
            free: expression(variables[free.name].expr, variables)
            for free in found.free_symbols
            if isinstance(variables.get(free.name), Subexpression)
        }
        if not inner:
            return found
        found = found.xreplace(inner)
    raise InputError(f"the subexpressions of {text!r} refer to each other; write one of them out")


def folded(code: str, variables: Mapping[str, Variable]) -> dict[str, sympy.Expr]:
    """What each variable is after some statements, by what all were before.

    >>> after = folded("u = v; v += 2*u", {})
    >>> after["v"]
    3*v
    """
    after: dict[sympy.Symbol, sympy.Expr] = {}
    for line in statements(code):
        name, operation, text, _ = parse_statement(line)
        value = expression(text, variables).xreplace(after)
        before = after.get(symbol(name), symbol(name))
        match operation:
            case "=" | ":=":
                after[symbol(name)] = value
            case "+=":
                after[symbol(name)] = before + value
            case "-=":
                after[symbol(name)] = before - value
            case "*=":
                after[symbol(name)] = before * value
            case "/=":
                after[symbol(name)] = before / value
            case _:
                raise InputError(f"{name} is changed by {operation!r}; write it with =, +=, -=, *= or /=")
    return {key.name: value for key, value in after.items()}


@lru_cache(maxsize=4096)
def simplified(value: sympy.Expr) -> sympy.Expr:
    """The shortest form that sympy finds; it is remembered, since the same formulas come forward and backward."""
    return sympy.simplify(value)


def readable(value: sympy.Expr) -> sympy.Expr:
    """The same where the formula is short; longer ones would take seconds and help nobody."""
    return simplified(value) if value.count_ops() < _LONG else value


@lru_cache(maxsize=1024)
def numeric(value: sympy.Expr) -> Callable[..., Any]:
    """A NumPy function of the names in an expression, in alphabetical order."""
    names = sorted(free.name for free in value.free_symbols)
    return sympy.lambdify([symbol(name) for name in names], value, ["scipy", "numpy"])


def where_refractory(value: sympy.Expr, refractory: bool) -> sympy.Expr:
    """The expression for a neuron that is, or is not, refractory."""
    number = sympy.Integer(0 if refractory else 1)
    # Brian2 makes a number of the flag by its own function int, which sympy does not know.
    return value.xreplace({NOT_REFRACTORY: number}).replace(
        lambda part: part.is_Function and part.func.__name__.rstrip("_") == "int" and part.args == (number,),
        lambda part: number,
    )
