"""What both functions of a kernel are written with: coefficients, lines that load states, small pieces of code."""

from collections.abc import Iterable, Mapping

import sympy

from learning.kernels.formulas import Coefficients, local, scalar_code
from learning.kernels.plan import Plan
from learning.kernels.text import Text
from learning.reading import Coupling, Population
from learning.symbols import symbol

U = symbol("u")


class Writer:
    """A plan that is being written down; the coefficients, by group, collect what the text needs to be given."""

    def __init__(self, plan: Plan, coefficients: Mapping[str, Coefficients]) -> None:
        self.plan, self.wiring, self.coefficients = plan, plan.wiring, coefficients

    def _values_of(self, text: Text, c: Coupling, used: Iterable[sympy.Expr]) -> dict[str, str]:
        """Code of the numbers of a synapse that some expressions use."""
        names = {free.name for value in used for free in value.free_symbols}
        return {
            name: text.argument(f"{c.name}_{name}") + ("[synapse]" if is_array(value) else "")
            for name, value in c.values.items()
            if name in names
        }

    def _primitive(self, p: Population) -> str:
        """The smooth spike of a neuron at its margin."""
        primitive, _ = self.plan.surrogates[p.name].expressions()
        margin = sympy.Symbol(f"{p.name}_margin[neuron]", real=True)
        return scalar_code(primitive.xreplace({U: margin}), margin)

    def _buffered(self, p: Population) -> tuple[str, ...]:
        """States to which synapses add only where a neuron is not refractory."""
        if p.refractory_steps is None:
            return ()
        heard = {s for q in self.plan.reading.projections if q.target == p.name for s in q.adds}
        return tuple(s for s in p.states if s in heard and s in p.guarded)

    def _load(self, text: Text, p: Population, states: Iterable[str]) -> None:
        for state in states:
            text.line(f"{local(state)} = {p.name}_{state}[neuron]")

    def _load_kept(self, text: Text, p: Population, states: Iterable[str], moment: str) -> None:
        for state in states:
            text.line(f"{local(state)} = {text.argument(f'{p.name}_{state}_{moment}')}[sample, row, neuron]")


def fired(p: Population) -> str:
    """Code for whether a neuron spikes."""
    return f"{p.name}_margin[neuron] {'>=' if p.inclusive else '>'} 0"


def is_array(value: object) -> bool:
    """Whether there is a number for each, and not one for all."""
    return getattr(value, "ndim", 0) > 0


def used(states: Iterable[str], values: Iterable[sympy.Expr], also: Iterable[str] = ()) -> list[str]:
    """The states that some expressions need, and some others."""
    names = {free.name for value in values for free in value.free_symbols} | set(also)
    return [state for state in states if state in names]


def either(held: str, free: str) -> str:
    """Code of a value that depends on whether a neuron is refractory."""
    held, free = (f"({code})" if " " in code else code for code in (held, free))
    return f"{held} if held else {free}"


def times(slope: str, adjoint: str) -> str:
    """Code of a product; a factor of one is left out."""
    if slope == "real(1.0)":
        return adjoint
    if slope == "real(-1.0)":
        return f"-{adjoint}"
    return f"({slope}) * {adjoint}" if " " in slope else f"{slope} * {adjoint}"


def added(terms: Iterable[str]) -> str:
    """Code of a sum; of nothing it is zero."""
    return " + ".join(terms).replace("+ -", "- ") or "real(0.0)"
