"""A neuron group's equations, threshold and reset as the numbers of a NIR neuron, if they are one.

The model is recognised by its formulas, whatever its variables are called:

    tau dv/dt = v_leak - v + r I  or  dv/dt = r I,    tau_syn dI/dt = bias - I,    v > threshold,    v = v_reset
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import sympy
from brian2 import NeuronGroup, second
from brian2.groups.neurongroup import Resetter, StateUpdater, Thresholder
from brian2.parsing.statements import parse_statement
from numpy.typing import NDArray

from snn.exchange.reading import Reader
from snn.statements import statements

Numbers = NDArray[np.float64]
Formula = sympy.Expr

SOFT_RESET, INCLUSIVE_THRESHOLD = "soft reset", "inclusive threshold"


@dataclass(frozen=True, kw_only=True, eq=False)
class Membrane:
    """The numbers of a NIR neuron, in SI units; arrays are () or (n,).

    tau: None without a leak. r: None where a synapse adds to v itself. tau_syn: None where a current lasts one step.
    bias: a current that is always there. threshold, v_reset: None where there is none. method: of integration.
    soft: at a spike v falls by threshold - v_reset. inclusive: a spike is where v >= threshold.
    """

    tau: Numbers | None
    v_leak: Numbers
    r: Numbers | None
    tau_syn: Numbers | None
    bias: Numbers
    threshold: Numbers | None
    v_reset: Numbers | None
    method: str
    soft: bool
    inclusive: bool


def read_membrane(
    group: NeuronGroup, onto: str | None, namespace: Mapping[str, object], record: Collection[str]
) -> Membrane:
    """The numbers of a group whose variable `onto` synapses change (None: no synapse does).

    record: what may be kept although NIR has no word for it (`SOFT_RESET`, `INCLUSIVE_THRESHOLD`).
    Raises InputError, which names the group and what NIR cannot say of it.
    """
    reader = Reader(group, namespace)
    _check_parts(group, reader)
    rates = {
        _symbol(name): sympy.expand(reader.formula(group.user_equations[name].expr))
        for name in sorted(group.user_equations.diff_eq_names)
    }
    target = None if onto is None else _symbol(onto)
    v, threshold, inclusive = _threshold(group, target, rates, reader)
    currents = [state for state in rates if state != v]
    if len(currents) > 1 or (currents and target == v):
        names = ", ".join(map(str, currents))
        raise reader.refused(f"it has the states {v}, {names}; a NIR neuron has a potential and one synaptic current")
    if target not in (None, v, *currents):
        raise reader.refused(f"synapses add to {target}, which never decays; give it d{target}/dt = -{target}/tau")
    current = currents[0] if currents else None
    tau, v_leak, r, drift = _potential(v, current, rates, reader)
    tau_syn, bias = _current(v, current, rates, reader)
    method = group.method_choice if isinstance(group.method_choice, str) else "exact"
    boxed = current is not None and method == "euler" and bool(np.all(reader.numbers(tau_syn) == group.clock.dt_))
    if current is not None and tau is None and not boxed:
        raise reader.refused(f"{v} has no leak but its current {current} decays; NIR has no such neuron")
    if drift != 0:
        bias += drift / r if current else drift * _symbol("dt")
    v_reset, soft = _reset(group, v, threshold, reader)
    for what, found in ((SOFT_RESET, soft), (INCLUSIVE_THRESHOLD, inclusive)):
        if found and what not in record:
            raise reader.refused(
                f"NIR has no {what}; record=({what!r},) keeps it in metadata, which other readers do not heed"
            )

    def numbers(formula: Formula | None) -> Numbers | None:
        return None if formula is None else reader.numbers(formula)

    return Membrane(
        tau=numbers(tau),
        v_leak=reader.numbers(v_leak),
        r=numbers(r),
        tau_syn=None if boxed else numbers(tau_syn),
        bias=reader.numbers(bias),
        threshold=numbers(threshold),
        v_reset=numbers(v_reset),
        method=method,
        soft=soft,
        inclusive=inclusive,
    )


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)


def _check_parts(group: NeuronGroup, reader: Reader) -> None:
    refractory = group._refractory
    if not (refractory is False or (not isinstance(refractory, str) and refractory == 0 * second)):
        raise reader.refused("it is refractory after a spike, which NIR's neurons are not")
    if group.user_equations.is_stochastic:
        raise reader.refused("its equations have noise (xi), which NIR's do not")
    if set(group.event_codes) - {"spike"}:
        raise reader.refused(f"it has code for the events {sorted(set(group.event_codes) - {'spike'})}; NIR has spikes")
    for part in group.contained_objects:
        if not isinstance(part, Thresholder | Resetter | StateUpdater):
            raise reader.refused(f"it has {part.name!r}, code that runs regularly; NIR has equations only")


def _threshold(
    group: NeuronGroup, target: sympy.Symbol | None, rates: Mapping[sympy.Symbol, Formula], reader: Reader
) -> tuple[sympy.Symbol, Formula | None, bool]:
    """The potential, its threshold (None if it never spikes), and whether the threshold itself is a spike."""
    text = group.events.get("spike")
    if text is None:
        return _readout(target, rates, reader), None, False
    condition = reader.formula(text)
    expected = f"its threshold is {text!r}, expected 'v > threshold' with one potential and a constant"
    if not isinstance(condition, sympy.StrictGreaterThan | sympy.GreaterThan | sympy.StrictLessThan | sympy.LessThan):
        raise reader.refused(expected)
    margin = sympy.expand(condition.gts - condition.lts)
    states = margin.free_symbols & set(rates) or margin.free_symbols & {target}
    if len(states) != 1:
        raise reader.refused(f"{expected}; NIR has no adaptive threshold")
    v = states.pop()
    if margin.diff(v) != 1:
        raise reader.refused(expected)
    return v, sympy.expand(v - margin), not isinstance(condition, sympy.StrictGreaterThan | sympy.StrictLessThan)


def _readout(target: sympy.Symbol | None, rates: Mapping[sympy.Symbol, Formula], reader: Reader) -> sympy.Symbol:
    """The potential of a group that never spikes: the state that no other depends on."""
    last = [
        state for state in rates if not any(state in rates[other].free_symbols for other in rates if other != state)
    ]
    if len(last) == 1 or (not rates and target is not None):
        return last[0] if last else target
    raise reader.refused(f"it never spikes and has the states {[*map(str, rates)]}; NIR's has one potential")


def _potential(
    v: sympy.Symbol, current: sympy.Symbol | None, rates: Mapping[sympy.Symbol, Formula], reader: Reader
) -> tuple[Formula | None, Formula, Formula | None, Formula]:
    """tau, v_leak, r and a drift: of dv/dt = (v_leak - v + r I)/tau or dv/dt = r I + drift."""
    slope, gain, rest = _linear(v, current, rates, reader)
    zero = sympy.Integer(0)
    if slope == 0:
        return None, zero, None if current is None else gain, rest
    tau = sympy.simplify(-1 / slope)
    _check_positive(f"time constant of {v}", tau, reader)
    return tau, sympy.simplify(-rest / slope), None if current is None else sympy.simplify(-gain / slope), zero


def _current(
    v: sympy.Symbol, current: sympy.Symbol | None, rates: Mapping[sympy.Symbol, Formula], reader: Reader
) -> tuple[Formula | None, Formula]:
    """tau_syn and bias of dI/dt = (bias - I)/tau_syn."""
    if current is None:
        return None, sympy.Integer(0)
    slope, feedback, rest = _linear(current, v, rates, reader)
    if slope == 0:
        raise reader.refused(f"{current} never decays; NIR's synaptic currents do")
    if feedback != 0:
        raise reader.refused(f"d{current}/dt depends on {v}; NIR's synaptic currents do not")
    tau_syn = sympy.simplify(-1 / slope)
    _check_positive(f"time constant of {current}", tau_syn, reader)
    return tau_syn, sympy.simplify(-rest / slope)


def _linear(
    state: sympy.Symbol, other: sympy.Symbol | None, rates: Mapping[sympy.Symbol, Formula], reader: Reader
) -> tuple[Formula, Formula, Formula]:
    """Coefficients of d(state)/dt in the state itself and in the other one, and what is left."""
    rate = rates.get(state, sympy.Integer(0))
    states = {state, other} - {None}
    slope, gain = rate.diff(state), rate.diff(other) if other is not None else sympy.Integer(0)
    if states & (slope.free_symbols | gain.free_symbols):
        raise reader.refused(f"d{state}/dt = {rate} is not linear, as NIR's equations are")
    return slope, gain, rate.xreplace({symbol: sympy.Integer(0) for symbol in states})


def _check_positive(what: str, formula: Formula, reader: Reader) -> None:
    value = reader.numbers(formula)
    if not np.all(value > 0):
        raise reader.refused(f"the {what} is {value.min():g} s, expected more than 0")


def _reset(
    group: NeuronGroup, v: sympy.Symbol, threshold: Formula | None, reader: Reader
) -> tuple[Formula | None, bool]:
    """v_reset, and whether the reset subtracts threshold - v_reset."""
    lines = statements(group.event_codes.get("spike", ""))
    if not lines:
        return None, False
    name, operation, text, _ = parse_statement(lines[0])
    if len(lines) > 1 or name != str(v):
        raise reader.refused(f"its reset is {'; '.join(lines)!r}; NIR resets {v} alone")
    operand = reader.formula(text)
    after = {"=": operand, "+=": v + operand, "-=": v - operand, "*=": v * operand}.get(operation)
    kept = None if after is None else sympy.expand(after).diff(v)
    if kept == 0:
        return after, False
    if kept != 1:
        raise reader.refused(f"its reset is {lines[0]!r}, expected '{v} = constant'")
    return sympy.simplify(threshold - (v - after)), True
