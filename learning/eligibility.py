"""Eligibility traces, derived: what a weight has done to a neuron's next spike, as text for Brian2's synapses.

The derivative of a loss by a weight factorises (Bellec et al. 2020, equation 1): a learning signal for each spike of
the postsynaptic neuron, times an eligibility trace e, which is local to the synapse. The trace is carried forward by
the Jacobian of the neuron's own step:

    epsilon <- d state/d state * epsilon            when the neuron's state is updated
    e = surrogate slope * d margin/d state * epsilon    when the threshold is compared
    epsilon <- epsilon + d state/d w                when a presynaptic spike arrives
    epsilon <- d reset/d state * epsilon            when the neuron itself spikes
    epsilon <- epsilon + jump * e                   of states that a spike changes and an error passes through

Everything on the right is derived from the text of the neuron and of the synapse, so a leaky integrate-and-fire neuron
gets one trace, an adaptive one two, and a model of one's own as many as its states need.
"""

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import truediv
from typing import Any

import numpy as np
import sympy
from brian2 import NeuronGroup, Quantity, Synapses
from brian2.core.namespace import DEFAULT_UNITS
from brian2.core.variables import Variable, VariableView
from brian2.groups.group import Group
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS, Dimension, get_dimensions, get_unit
from brian2.utils.stringtools import get_identifiers

from dvs.errors import InputError
from learning.brian_text import brian_text
from learning.derivation import Derivation
from learning.plasticity import Rule
from learning.reading import Population, Projection, Reading
from learning.surrogates import Surrogate, U, fast_sigmoid
from learning.symbols import symbol
from learning.threshold import distance, jumps

Value = Quantity | float

# The name of the trace that a learning signal is multiplied with.
ELIGIBILITY = "eligibility"


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What a synapse remembers of what it did to a neuron: the first four parts of a `Rule`.

    trace: the name of what a learning signal is multiplied with; its unit is 1 over that of the weight, or, for a
    neuron without a threshold, that of the state over that of the weight. states: those of the neuron that a weight
    acts on, directly or not, in the order of the traces epsilon_<state>. factors: other variables of the synapses that
    the traces need, for `attach`. past: the margin over its scale. slopes: by state that the threshold compares, that
    of the spike by the state; both as text of the synapses.
    """

    trace: str
    states: tuple[str, ...]
    equations: str
    on_pre: str
    on_post: str | None
    regularly: Mapping[str, str]
    parameters: Mapping[str, Value] = field(default_factory=dict)
    factors: Mapping[str, VariableView] = field(default_factory=dict)
    past: str = ""
    slopes: Mapping[str, str] = field(default_factory=dict)

    def rule(self, change: str, **more: object) -> Rule:
        """A learning rule with these traces; `change` may use the trace and third factors."""
        parts = Rule(
            name="derived",
            equations=self.equations,
            on_pre=self.on_pre,
            on_post=self.on_post,
            regularly=self.regularly,
            parameters=self.parameters,
            change=change,
            source="Bellec et al. (2020)",
        )
        return replace(parts, **more)


def eligibility(
    reading: Reading,
    derivation: Derivation,
    projection: Projection,
    synapses: Synapses,
    *,
    weight: str = "w",
    surrogate: Surrogate | None = None,
    scale: Value | None = None,
    through_reset: bool = False,
    output: str | None = None,
    namespace: Mapping[str, Any] | None = None,
) -> Traces:
    """The traces of the synapses of one projection.

    reading, derivation: of the network, and of the group behind the synapses. synapses: the Brian2 object. weight: its
    variable that learns. surrogate, scale, through_reset, namespace: as for `learning.trainable`. output: for a neuron
    without a threshold, the state that a loss looks at.

    Raises InputError where a trace cannot be local: through a summed variable, or if the weight does not act on what
    carries the neuron to its threshold.
    """
    p = derivation.population
    said = f"{synapses.name}: the eligibility of {weight!r}"
    if any(c.target == p.name for c in reading.couplings):
        raise InputError(f"{said} passes through a (summed) variable of {p.name}, which is not local; leave that out")
    group = _target(synapses)
    direct = {state: sympy.diff(add, symbol(weight)) for state, add in projection.adds.items()}
    direct = {state: slope for state, slope in direct.items() if slope != 0}
    jumped = jumps(derivation, through_reset) if output is None else {}
    goal = set(derivation.margin) if output is None else {output}
    states = _between(derivation, direct, goal & set(p.states), jumped)
    if not set(direct) & set(states):
        raise InputError(f"{said} is always 0: the weight does not act on what {sorted(goal)} of {p.name} depends on")
    names = _Names(group, synapses, p, weight, namespace)
    unit = names.unit
    equations = [f"epsilon_{state} : {unit_of_quotient(names.dim(state), unit)}" for state in states]
    before = _propagation(derivation, states, names)
    regularly = {"before_groups": before} if before else {}
    on_pre = _arrival(direct, states, projection, p.guarded, names)
    on_post = None
    past, slopes = "", {}
    if output is None:
        equations.append(f"{ELIGIBILITY} : {unit_of_quotient(DIMENSIONLESS, unit)}")
        past, slope = _crossing(derivation, names, surrogate or fast_sigmoid(), distance(p, scale))
        moved = {state: names.text(derivation.margin[state]) for state in states if state in derivation.margin}
        slopes = {state: f"{slope}*({one})/distance_{p.name}" for state, one in moved.items()}
        sum_of_moved = " + ".join(_term(one, f"epsilon_{state}") for state, one in moved.items())
        regularly["after_groups"] = f"past = {past}\n{ELIGIBILITY} = {slope}*({sum_of_moved})/distance_{p.name}"
        on_post = _reset(derivation, states, names)
        if lines := _jumping(jumped, states, names):
            regularly["before_resets"] = lines
    return Traces(
        trace=ELIGIBILITY if output is None else f"epsilon_{output}",
        states=states,
        equations="\n".join(equations),
        on_pre=on_pre,
        on_post=on_post,
        regularly=regularly,
        parameters=names.parameters,
        factors=names.factors,
        past=past,
        slopes=slopes,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Slopes:
    """A group that works out the slope of a neuron's next spike by its states, once a step; `text` says how."""

    group: NeuronGroup
    text: str

    def rewritten(self, traces: Traces) -> Traces:
        """Traces that look slopes up here, and need not work them out for each synapse."""
        found = {f"slope_{state}": getattr(self.group, f"slope_{state}") for state in traces.slopes}
        crossing = " + ".join(f"slope_{state}*epsilon_{state}" for state in traces.slopes)
        return replace(
            traces,
            regularly={**traces.regularly, "after_groups": f"{ELIGIBILITY} = {crossing}"},
            factors={**traces.factors, **found},
        )


def slopes_of(traces: Traces, neurons: NeuronGroup) -> Slopes:
    """The slopes of these traces as a group of its own, beside the neurons behind the synapses.

    Most of an eligibility trace differs from synapse to synapse, but not how near a neuron is to its threshold.
    """
    lines = [f"past = {traces.past}", *(f"slope_{state} = {text}" for state, text in traces.slopes.items())]
    text = re.sub(r"\b(\w+)_post\b", r"\1_now", "\n".join(lines))
    units = {state: unit_of_quotient(DIMENSIONLESS, neurons.variables[state].dim) for state in traces.slopes}
    group = NeuronGroup(
        len(neurons),
        "\n".join(f"slope_{state} : {unit}" for state, unit in units.items()),
        clock=neurons.clock,
        namespace=dict(traces.parameters),
        name=f"{neurons.name}_slopes*",
    )
    for name in sorted(get_identifiers(text)):
        if name.endswith("_now"):
            group.variables.add_reference(name, neurons, name.removesuffix("_now"))
    group.run_regularly(text, when="after_groups", order=-1)
    return Slopes(group=group, text=text)


@dataclass(frozen=True, kw_only=True)
class LowPass:
    """What a readout makes of a spike, as a filter of the eligibility trace: its name and parts of a `Rule`."""

    trace: str
    equations: str
    step: str
    parameters: Mapping[str, Value]


def low_pass(
    derivation: Derivation,
    projection: Projection,
    synapses: Synapses,
    output: str,
    *,
    weight: str = "w",
    of: Dimension = DIMENSIONLESS,
    remembers: bool = True,
    namespace: Mapping[str, Any] | None = None,
) -> LowPass:
    """The memory of a readout, for the synapses before the neurons that it hears.

    A loss that looks at the state `output` of a leaky readout hears a spike as long as the readout remembers it. What
    the readout does to a spike is done to the eligibility trace instead, so that the learning signal is the error of
    now (Bellec et al. 2020, equation 4). derivation: of the readout; projection, synapses, weight: to it. of: the
    dimension of the weight that learns. remembers: False for a spike that counts in its own step only. Raises
    InputError for a readout that is not linear, or that has a threshold.
    """
    p = derivation.population
    if p.margin is not None:
        raise InputError(f"{p.name} has a threshold; an error is heard from the state of a readout that does not spike")
    slopes = {state: sympy.diff(add, symbol(weight)) for state, add in projection.adds.items()}
    slopes = {state: slope for state, slope in slopes.items() if slope != 0}
    if any(slope.has(symbol(weight)) for slope in slopes.values()):
        raise InputError(f"{synapses.name}: what a spike adds is not proportional to {weight!r}")
    states = _between(derivation, slopes, {output}, {})
    moving = [symbol(state) for state in p.states]
    steps = {pair: value for pair, value in derivation.step.items() if set(pair) <= set(states)}
    if any(value.has(*moving) for value in steps.values()):
        raise InputError(f"{p.name} is not linear; an error of now would need what its states were")
    names = _Names(_target(synapses), synapses, p, weight, namespace, elsewhere=True)
    rows = {}
    for state in states:
        past = [by for by in states if (state, by) in steps and remembers]
        terms = [_term(names.text(steps[state, by]), f"heard_{by}") for by in past]
        terms += [_term(names.synapse_text(slopes[state]), ELIGIBILITY)] if state in slopes else []
        rows[f"heard_{state}"] = " + ".join(terms) or f"0*heard_{state}"
    return LowPass(
        trace=f"heard_{output}",
        equations="\n".join(
            f"heard_{state} : {unit_of_quotient(names.dim(state), names.unit, of)}" for state in states
        ),
        step="\n".join(_assigned(rows)),
        parameters=names.parameters,
    )


def _target(synapses: Synapses) -> NeuronGroup:
    return getattr(synapses.target, "source", synapses.target)


def _between(
    derivation: Derivation, direct: Collection[str], goal: set[str], jumped: Mapping[str, sympy.Expr]
) -> tuple[str, ...]:
    """States on a way from those that a weight changes to those that matter, in the order of the population."""
    p = derivation.population
    links = {(by, what) for table in (derivation.step, derivation.held, derivation.reset) for what, by in table}
    links |= {(by, what) for what in jumped for by in derivation.margin}
    after = _reach(set(direct), links)
    before = _reach(goal, {(what, by) for by, what in links})
    return tuple(state for state in p.states if state in after & before)


def _reach(start: set[str], links: Iterable[tuple[str, str]]) -> set[str]:
    found, links = set(start), list(links)
    while more := {b for a, b in links if a in found} - found:
        found |= more
    return found


class _Names:
    """How formulas of a neuron and its synapses are written in a companion of these, and what they need there.

    elsewhere: the text is for other synapses, in which only numbers that are the same for all neurons can be written.
    """

    def __init__(
        self,
        group: NeuronGroup,
        synapses: Synapses,
        p: Population,
        weight: str,
        namespace: Mapping[str, Any] | None,
        elsewhere: bool = False,
    ) -> None:
        self.parameters: dict[str, Value] = {}
        self.factors: dict[str, VariableView] = {}
        self.unit = synapses.variables[weight].dim
        self._group, self._synapses, self._p, self._weight = group, synapses, p, weight
        self._namespace, self._elsewhere = dict(namespace or {}), elsewhere

    def dim(self, name: str) -> Dimension:
        """Of a variable of the neuron."""
        return self._group.variables[name].dim

    def text(self, value: sympy.Expr) -> str:
        """A formula of the neuron, by its states and constants."""
        return brian_text(value, {free.name: self._of_neuron(free.name) for free in value.free_symbols})

    def synapse_text(self, value: sympy.Expr) -> str:
        """A formula of the synapse."""
        return brian_text(value, {free.name: self._of_synapse(free.name) for free in value.free_symbols})

    def dimension(self, text: str) -> Dimension:
        """Of a text that was made here."""
        known = {name: Variable(name, dimensions=get_dimensions(value)) for name, value in self.parameters.items()}
        known |= self._synapses.resolve_all(get_identifiers(text) - set(known), {})
        return parse_expression_dimensions(text, known)

    def _of_neuron(self, name: str) -> str:
        if name == "dt" or name in DEFAULT_UNITS:
            return name
        if name in self._group.variables and not self._elsewhere:
            return f"{name}_post"
        return self._number(name, self._group, self._p.constants[name])

    def _of_synapse(self, name: str) -> str:
        if name == self._weight:
            return "w"
        if name == "dt" or name in DEFAULT_UNITS:
            return name
        if self._elsewhere and (name in self._synapses.variables or name.endswith(("_pre", "_post"))):
            raise InputError(f"{name} of {self._synapses.name} is in what a spike adds; give it in the weight")
        if name.endswith(("_pre", "_post")):
            return name
        if name in self._synapses.variables:
            self.factors[name] = getattr(self._synapses, name)
            return name
        return self._number(name, self._synapses, None)

    def _number(self, name: str, owner: Group, value: Any) -> str:
        variable = owner.resolve_all({name}, self._namespace)[name]
        value = variable.get_value() if value is None else value
        if np.ndim(value):
            raise InputError(f"{name} of {owner.name} differs from neuron to neuron; make it one number for all")
        known = f"{name}_{self._group.name}"
        self.parameters[known] = Quantity(float(value), dim=variable.dim)
        return known


def unit_of_quotient(above: Dimension, *below: Dimension) -> str:
    """The unit of a quotient as equations spell it."""
    if functools.reduce(truediv, below, above) is DIMENSIONLESS:
        return "1"
    names = [repr(get_unit(dim)) for dim in (above, *below) if dim is not DIMENSIONLESS]
    if above is DIMENSIONLESS and all(name.isidentifier() for name in names):
        return "/".join(["1", *names])
    return repr(get_unit(functools.reduce(truediv, below, above)))


def _term(factor: str, trace: str) -> str:
    return trace if factor == "1.0" else f"({factor})*{trace}"


def _sum(slopes: Mapping[tuple[str, str], sympy.Expr], what: str, states: Collection[str], names: _Names) -> str:
    """A row of a Jacobian times the traces."""
    terms = [_term(names.text(slopes[what, by]), f"epsilon_{by}") for by in states if (what, by) in slopes]
    return " + ".join(terms) or f"0*epsilon_{what}"


def _assigned(rows: Mapping[str, str]) -> list[str]:
    """Statements that give traces new values at once, each by the old values of all."""
    rows = {trace: row for trace, row in rows.items() if row != trace}
    kept = [
        trace
        for k, trace in enumerate(rows)
        if any(trace in get_identifiers(row) for row in list(rows.values())[k + 1 :])
    ]
    return [
        *(f"{trace}_now = {rows[trace]}" for trace in kept),
        *(f"{trace} = {row}" for trace, row in rows.items() if trace not in kept),
        *(f"{trace} = {trace}_now" for trace in kept),
    ]


def _propagation(derivation: Derivation, states: Collection[str], names: _Names) -> str:
    p = derivation.population
    rows = {}
    for state in states:
        row = _sum(derivation.step, state, states, names)
        if p.refractory_steps is not None:
            held = _sum(derivation.held, state, states, names)
            row = row if held == row else f"ready*({row}) + (1 - ready)*({held})"
        rows[f"epsilon_{state}"] = row
    lines = _assigned(rows)
    if any("ready" in line for line in lines):
        steps = np.unique(p.refractory_steps)
        if steps.size != 1:
            raise InputError(f"{p.name} has refractory times of {steps} steps; an eligibility needs one for all")
        # Brian2 works this out while it updates the state; the trace needs it before.
        lines.insert(0, f"ready = int(timestep(t - lastspike_post, dt) >= {steps[0]})")
    return "\n".join(lines)


def _crossing(derivation: Derivation, names: _Names, surrogate: Surrogate, scale: float) -> tuple[str, str]:
    """The margin over its scale, and the slope of the spike by that."""
    p = derivation.population
    margin = names.text(p.margin)
    names.parameters[f"distance_{p.name}"] = Quantity(scale, dim=names.dimension(margin))
    slope = brian_text(surrogate.expressions()[1], {U.name: "past"})
    if p.refractory_steps is not None:
        slope = f"int(not_refractory_post)*{slope}"
    return f"({margin})/distance_{p.name}", slope


def _arrival(
    direct: Mapping[str, sympy.Expr],
    states: Collection[str],
    projection: Projection,
    guarded: Collection[str],
    names: _Names,
) -> str:
    lines = []
    for state in states:
        if state in direct:
            factors = [names.synapse_text(direct[state])]
            factors += [f"{projection.carries}_pre"] if projection.carries else []
            # What arrives while a neuron is refractory is lost where its state is held.
            factors += ["int(not_refractory_post)"] if state in guarded else []
            factors = [one for one in factors if one != "1.0"] or ["1"]
            lines.append(f"epsilon_{state} += {'*'.join(f'({one})' if len(factors) > 1 else one for one in factors)}")
    return "\n".join(lines)


def _reset(derivation: Derivation, states: Collection[str], names: _Names) -> str | None:
    changed = [state for state in states if state in derivation.population.reset]
    lines = _assigned({f"epsilon_{state}": _sum(derivation.reset, state, states, names) for state in changed})
    return "\n".join(lines) or None


def _jumping(jumped: Mapping[str, sympy.Expr], states: Collection[str], names: _Names) -> str:
    lines = [
        f"epsilon_{state} += {_term(names.text(jumped[state]), ELIGIBILITY)}"
        for state in states
        if jumped.get(state, 0) != 0
    ]
    return "\n".join(lines)
