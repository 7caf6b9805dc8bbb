"""Derivatives of what a step does: how each state depends on the states, and on the constants, before it.

The same derivatives carry an error back through time (the adjoint) and an eligibility trace forward. The threshold is
the only place that has none; there a surrogate stands in, times the derivative of the margin, which is here.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy

from dvs.errors import InputError, ParameterError
from learning.reading import Population
from learning.symbols import numeric, readable, symbol

# (what, by what) to the derivative; those that are zero are left out.
Jacobian = Mapping[tuple[str, str], sympy.Expr]


@dataclass(frozen=True, kw_only=True, eq=False)
class Derivation:
    """A population with the derivatives of its parts.

    step, held, reset: of each state, by each state and by each of the `constants` that are asked for. margin: by
    state or constant.
    """

    population: Population
    constants: tuple[str, ...]
    step: Jacobian
    held: Jacobian
    reset: Jacobian
    margin: Mapping[str, sympy.Expr]

    def equations(self) -> str:
        """What was derived, line by line.

        >>> from brian2 import Network, ms
        >>> from learning.reading import read_network
        >>> from snn.neurons import lif
        >>> (cells,) = read_network(Network(lif(tau=10 * ms).group(1, name="cells"))).populations
        >>> print(derive(cells).equations())
        cells
          update    v <- v*exp(-dt/tau) + v_rest - v_rest*exp(-dt/tau)
          d v / d v = exp(-dt/tau)
          spikes    -threshold + v > 0
          d margin / d v = 1
          reset     v <- v_reset
        """
        p = self.population
        lines = [f"update    {name} <- {value}" for name, value in p.step.items()]
        lines += [f"d {what} / d {by} = {value}" for (what, by), value in self.step.items()]
        if p.margin is not None:
            lines.append(f"spikes    {p.margin} {'>=' if p.inclusive else '>'} 0")
            lines += [f"d margin / d {by} = {value}" for by, value in self.margin.items()]
        lines += [f"reset     {name} <- {value}" for name, value in p.reset.items()]
        lines += [f"d {what} / d {by} = {value}" for (what, by), value in self.reset.items()]
        return "\n  ".join([p.name, *lines])

    def latex(self) -> str:
        """The same for a notebook: `IPython.display.Math(derivation.latex())`."""
        p = self.population
        rows = [f"{_tex(name)} &\\leftarrow {sympy.latex(value)}" for name, value in p.step.items()]
        rows += [_partial(what, by, value) for (what, by), value in self.step.items()]
        if p.margin is not None:
            relation = r"\ge" if p.inclusive else ">"
            rows.append(rf"\mathrm{{spikes}} &: {sympy.latex(p.margin)} {relation} 0")
        rows += [f"{_tex(name)} &\\leftarrow {sympy.latex(value)}" for name, value in p.reset.items()]
        rows += [_partial(what, by, value) for (what, by), value in self.reset.items()]
        return "\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}"


def derive(population: Population, constants: Collection[str] = ()) -> Derivation:
    """The derivatives of a population, by its states and by some of its constants.

    Raises `ParameterError` for a constant that it has not, and `InputError` where a formula has no derivative, or no
    value: the exact solution of two equations divides by the difference of their time constants.
    """
    unknown = set(constants) - set(population.constants)
    if unknown:
        known = sorted(population.constants)
        raise ParameterError(f"{population.name} has no constant {sorted(unknown)}, only {known}")
    by = (*population.states, *constants)
    _check_finite(population)
    margin = {} if population.margin is None else {"margin": population.margin}
    return Derivation(
        population=population,
        constants=tuple(constants),
        step=_jacobian(population.name, population.step, by),
        held=_jacobian(population.name, population.held, by),
        reset=_jacobian(population.name, population.reset, by),
        margin={name: value for (_, name), value in _jacobian(population.name, margin, by).items()},
    )


def _jacobian(owner: str, values: Mapping[str, sympy.Expr], by: Iterable[str]) -> dict[tuple[str, str], sympy.Expr]:
    found = {}
    for what, value in values.items():
        for name in by:
            derivative = readable(sympy.diff(value, symbol(name)))
            if derivative.has(sympy.Derivative, sympy.Subs, sympy.DiracDelta):
                raise InputError(f"{owner}: {value} has no derivative by {name}; write it without steps or roundings")
            if derivative != 0:
                found[what, name] = derivative
    return found


def _check_finite(population: Population) -> None:
    """A value for each formula at the start, or the reason why there is none."""
    for name, value in population.step.items():
        if not np.isfinite(value_of(value, population, population.start)).all():
            raise InputError(
                f"the step of {name} in {population.name} is not a finite number: {value}; where two time constants "
                "are equal its exact solution divides by zero: write both as one name, or use another method"
            )


def value_of(value: sympy.Expr, population: Population, states: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of an expression for each neuron, (n,), at some states, each (n,)."""
    names = {**population.constants, **states}
    used = sorted(free.name for free in value.free_symbols)
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(numeric(value)(*(names[name] for name in used)), float), population.n)


def _tex(name: str) -> str:
    return sympy.latex(symbol(name))


def _partial(what: str, by: str, value: sympy.Expr) -> str:
    return f"\\frac{{\\partial {_tex(what)}}}{{\\partial {_tex(by)}}} &= {sympy.latex(value)}"
