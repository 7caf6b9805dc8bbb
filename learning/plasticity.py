"""Plasticity: a learning rule as text, put beside synapses that exist.

A rule says three things: what a synapse remembers (the eligibility), which third factors it hears (a neuromodulator, a
learning signal), and by how much the weight then changes. `attach` makes a companion of the synapses, with the same
pairs and delays, that changes their weights in place while Brian2 runs:

    dopamine = modulators.dopamine(tau=200 * ms)
    plasticity = attach(synapses, rules.r_stdp(), {"D": dopamine.level}, limits=(0, 4))
    network.add(plasticity, dopamine)

The synapses themselves stay as they are: what a spike transmits is theirs, how a weight learns is the companion's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from brian2 import Clock, Quantity, Synapses, get_device, have_same_dimensions, second
from brian2.core.variables import Variable, VariableView
from brian2.equations.equations import SUBEXPRESSION, Equations
from brian2.groups.subgroup import Subgroup
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions, get_unit
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from learning.online import Update, updating
from learning.optimisers import Optimiser
from snn.parameters import unit_text
from snn.statements import statements

Value = Quantity | float

# Where in a step, at "end" unless said otherwise: the learning signals are ready before it.
CHANGE_ORDER = 10
# Where at "start" of a step: before monitors look.
_CORRECT_ORDER, _APPLY_ORDER, TRIAL_ORDER = -30, -20, -10


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A learning rule as Brian2 texts.

    equations: what a synapse remembers, as equations of Brian2's Synapses; {unit} is the unit of the weight. on_pre,
    on_post: what spikes do to that. regularly: statements of every step, by Brian2's slots ("before_groups",
    "after_groups", "before_resets", "end" ...). change: an expression, by how much the weight `w` changes in a step, of
    the traces, third factors, `w`, `dt`, and variables of both neurons (`v_post`, `x_pre`). after_change: statements
    right after it. after_trial: statements at the end of a trial, before changes that were summed are applied; the sum
    is `change_sum`. parameters become the namespace; start: initial values of traces, and of what is (shared). method:
    of integration. source: author, year.

    >>> Rule(
    ...     name="hebb",
    ...     equations="dx/dt = -x/tau : 1 (clock-driven)",
    ...     on_pre="x += 1",
    ...     change="eta*D*x*dt",
    ...     parameters={"tau": 20e-3 * second, "eta": 0.1 / second},
    ... ).traces
    ('x',)
    """

    name: str
    equations: str = ""
    on_pre: str | None = None
    on_post: str | None = None
    regularly: Mapping[str, str] = field(default_factory=dict, hash=False)
    change: str
    after_change: str = ""
    after_trial: str = ""
    parameters: Mapping[str, Value] = field(default_factory=dict, hash=False)
    start: Mapping[str, Value] = field(default_factory=dict, hash=False)
    method: str = "exact"
    source: str = ""

    @property
    def traces(self) -> tuple[str, ...]:
        """The names of what a synapse remembers."""
        equations = Equations(self.equations.replace("{unit}", "1"))
        fixed = {"constant", "shared"}
        return tuple(
            name for name, one in equations.items() if one.type != SUBEXPRESSION and not fixed & set(one.flags)
        )

    def text(self) -> str:
        """The rule as it is read, line by line."""
        parts = {"": self.equations, "on_pre": self.on_pre, "on_post": self.on_post, **self.regularly}
        parts |= {"each step": f"w += {self.change}\n{self.after_change}", "after each trial": self.after_trial}
        lines = []
        for when, code in parts.items():
            lines += [f"{when + ':' if when else '':18}{line}" for line in statements(code or "")]
        return "\n".join(lines)


class Plasticity(Synapses):
    """The companion of some synapses that changes their weights; made by `attach`.

    rule: what it does. synapses, weight: whose weights. Its traces are variables like those of any Synapses.
    """

    rule: Rule | None = None
    synapses: Synapses | None = None
    weight: str = ""
    learns_online = True  # `read_network` leaves it out


def attach(
    synapses: Synapses,
    rule: Rule,
    factors: Mapping[str, VariableView] | None = None,
    *,
    weight: str = "w",
    limits: tuple[Value | None, Value | None] = (None, None),
    optimiser: Optimiser | None = None,
    every: Quantity | None = None,
    trial: Quantity | None = None,
    forget: VariableView | str | None = None,
    dt: Quantity | Clock | None = None,
    when: str = "end",
    order: int = CHANGE_ORDER,
    name: str | None = None,
) -> Plasticity:
    """A companion that changes the weights of synapses by a rule; add it to the Network beside them.

    factors: variables of other groups by the names that the rule gives them, such as {"D": dopamine.level}; of a group
    of one neuron, one value for all synapses; of as many neurons as the target has, that of the postsynaptic one; of
    Synapses as many as these, that of the same synapse. limits: of the weight. every: changes are summed and applied
    so often, else in every step. trial: how often the rule's `after_trial` runs, `every` unless given. optimiser: takes
    the summed change as minus the gradient; its learning rate is one number, the companion's `learning_rate`, which may
    be set between two runs. forget: a variable of a group of one neuron; where it is not 0 all traces are 0 after the
    change (an episode ends); or "trial": after each. dt: of the rule's own steps, or their clock, the synapses' unless
    given; spikes are heard when they come. when, order: where in such a step the weight changes, one of Brian2's slots
    and the order in it.

    Works in every target of Brian2; in C++ standalone the synapses must have been connected by arrays, with
    connect(i=..., j=...). Raises ParameterError if a name is missing or a unit does not fit, and InputError if the
    synapses are not connected yet.
    """
    unit = _weight_unit(synapses, weight)
    if isinstance(forget, str) and (forget != "trial" or every is None):
        raise ParameterError(f"forget is {forget!r}, expected a variable of one neuron, or 'trial' with every=")
    own_clock = dt if isinstance(dt, Clock) else None
    dt = own_clock.dt if own_clock else dt
    if dt is not None:
        _check_period("dt", dt, synapses)
    pairs, delay = pairs_of(synapses), _delay(synapses)
    if optimiser is not None and every is None:
        every = synapses.clock.dt if dt is None else dt
    update = updating(optimiser, limits=limits, unit=unit)
    _check_names(synapses, rule, factors or {}, unit)
    summed = f"change_sum : {unit_text(unit)}\n{update.equations}" if every is not None else ""
    companion = Plasticity(
        synapses.source,
        synapses.target,
        f"{rule.equations}\n{summed}".format(unit=unit_text(unit)),
        on_pre=rule.on_pre,
        on_post=rule.on_post,
        delay=delay if np.ndim(delay) == 0 and rule.on_pre else None,
        namespace={**rule.parameters, **update.parameters},
        method=rule.method,
        clock=synapses.clock if dt is None else own_clock,
        dt=None if own_clock else dt,
        name=name or f"{synapses.name}_{re.sub(r'[^0-9a-zA-Z_]', '_', rule.name)}*",
    )
    companion.rule, companion.synapses, companion.weight = rule, synapses, weight
    companion.connect(i=pairs[0], j=pairs[1]) if len(pairs[0]) else companion.connect(condition="False")
    if np.ndim(delay) and rule.on_pre:
        companion.pre.delay = delay
    if rule.on_post:
        companion.post.order = 1  # what arrives in a step comes before the postsynaptic spike of that step
    companion.variables.add_reference("w", synapses, weight)
    for factor, view in (factors or {}).items():
        _refer(companion, factor, view)
    for trace, value in {**rule.start, **update.start}.items():
        setattr(companion, trace, value)
    for slot, code in rule.regularly.items():
        companion.run_regularly(code, when=slot)
    if forget is not None and not isinstance(forget, str):
        _refer(companion, "forgotten", forget)
    companion.run_regularly(_each_step(companion, update, summed=every is not None), when=when, order=order)
    if every is not None:
        _apply_sums(companion, update, every, trial, forget=forget == "trial")
    return companion


def _each_step(companion: Plasticity, update: Update, *, summed: bool) -> str:
    """The change, or its sum; what follows it; and forgetting, if a variable says when."""
    rule = companion.rule
    lines = [
        f"change_sum += {rule.change}" if summed else update.each_step.format(change=f"({rule.change})"),
        rule.after_change,
    ]
    if "forgotten" in companion.variables:
        lines += [f"{trace} *= int(forgotten == 0*forgotten)" for trace in rule.traces]
    return "\n".join(lines)


def _apply_sums(
    companion: Plasticity, update: Update, every: Quantity, trial: Quantity | None, *, forget: bool
) -> None:
    """Every so often the summed change is corrected and applied, and traces are forgotten."""
    rule = companion.rule
    for name, period in (("every", every), ("trial", trial)):
        if period is not None:
            _check_period(name, period, companion)
    at_start, at_trials = {"dt": every, "when": "start"}, {"dt": trial or every, "when": "start"}
    if rule.after_trial:
        companion.run_regularly(rule.after_trial, **at_trials, order=_CORRECT_ORDER)
    if update.shared:
        companion.run_regularly(update.shared, **at_start, order=_APPLY_ORDER - 1)
    companion.run_regularly(f"{update.summed}\nchange_sum = 0*change_sum", **at_start, order=_APPLY_ORDER)
    if forget:
        zero = "\n".join(f"{trace} = 0*{trace}" for trace in rule.traces)
        companion.run_regularly(zero, **at_trials, order=TRIAL_ORDER)


def _weight_unit(synapses: Synapses, weight: str) -> Quantity:
    if weight not in synapses.variables:
        raise ParameterError(f"{synapses.name!r} has no variable {weight!r}; say with weight= what is to learn")
    variable = synapses.variables[weight]
    if variable.owner is not None and variable.owner.name != synapses.name:
        raise ParameterError(
            f"{weight!r} of {synapses.name!r} is shared: it belongs to {variable.owner.name!r}; connect synapses with "
            "a weight each (`wiring.unshared()`)"
        )
    if variable.scalar or variable.constant:
        kind = "(shared)" if variable.scalar else "(constant)"
        raise ParameterError(f"{weight!r} of {synapses.name!r} is {kind}; a rule needs one variable weight a synapse")
    return get_unit(variable.dim)


def pairs_of(synapses: Synapses) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The neurons of each synapse."""
    if not synapses._connect_called:
        raise InputError(f"{synapses.name!r} is not connected; call connect() before a rule is attached")
    try:
        pairs = np.array(synapses.i[:]), np.array(synapses.j[:])
    except NotImplementedError:  # standalone: nothing is connected before the run, but arrays wait to be
        pairs = _waiting_pairs(synapses)
    return pairs


def _waiting_pairs(synapses: Synapses) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    found = [(np.zeros(0, np.int32), np.zeros(0, np.int32))]
    for what, args in get_device().main_queue:
        code = args[0] if what == "run_code_object" else None
        if code is None or getattr(code.owner, "name", None) != synapses.name:
            continue
        if "synapses_create_array" in code.template_name:
            variables = code.variables
            found.append((variables["sources"].get_value(), variables["targets"].get_value()))
        elif "synapses_create" in code.template_name:
            raise InputError(
                f"{synapses.name!r} is connected by a condition, whose pairs are not known before a standalone run; "
                "connect by arrays, connect(i=..., j=...)"
            )
    return np.concatenate([pre for pre, _ in found]), np.concatenate([post for _, post in found])


def _delay(synapses: Synapses) -> Quantity | None:
    """When spikes arrive, of the first pathway from the source."""
    pathway = next((one for one in synapses._pathways if one.prepost == "pre"), None)
    if pathway is None:
        return None
    delay = pathway.variables["delay"]
    if delay.scalar:
        return pathway.delay
    try:
        delays = pathway.delay[:]
    except NotImplementedError:
        name = get_device().get_array_name(delay, access_data=False)
        if any(name in map(str, args) for what, args in get_device().main_queue if what.startswith("set_by")):
            raise InputError(
                f"delays of {synapses.name!r} are not known before a standalone run; give one, Synapses(..., delay=...)"
            ) from None
        return None
    return delays if np.asarray(delays).any() else None


def _refer(companion: Plasticity, name: str, view: VariableView) -> None:
    whole_group(view)
    group, variable = view.group, view.name
    if companion.variables.get(name) is group.variables[variable]:
        return  # Brian2 lets synapses say `v` for `v_post`
    if name in companion.variables:
        raise ParameterError(f"{name!r} is a variable of the rule already; give the factor another name")
    target = companion.target
    neurons = len(target.source) if isinstance(target, Subgroup) else len(target)  # they are counted in the whole
    if isinstance(group, Synapses):
        if not _same_pairs(group, companion):
            raise ParameterError(f"{group.name!r} has other synapses than {companion.synapses.name!r}")
        index = "_idx"
    elif len(group) == 1:
        index = "0"
    elif len(group) == neurons:
        index = "_synaptic_post"
    else:
        raise ParameterError(
            f"factor {name!r} has {len(group)} values, expected 1, or {neurons}, one a neuron of {target.name!r}"
        )
    companion.variables.add_reference(name, group, variable, index=index)


def whole_group(view: VariableView) -> None:
    """Raise ParameterError for a variable of a part of a group, of which a reference would read the first neurons."""
    try:
        whole = not isinstance(view.group, Subgroup)
    except ReferenceError:  # a part that nobody has kept
        whole = False
    if not whole:
        raise ParameterError(
            f"{view.name!r} is a variable of a part of a group; give one of a whole group, such as a NeuronGroup that "
            "copies it"
        )


def _same_pairs(synapses: Synapses, companion: Plasticity) -> bool:
    ours = pairs_of(companion)
    theirs = pairs_of(synapses)
    return len(ours[0]) == len(theirs[0])


def _names(rule: Rule) -> set[str]:
    texts = [rule.equations, rule.on_pre, rule.on_post, *rule.regularly.values()]
    texts += [rule.change, rule.after_change, rule.after_trial]
    return set().union(*(get_identifiers(text) for text in texts if text))


def _check_names(synapses: Synapses, rule: Rule, factors: Mapping[str, VariableView], unit: Quantity) -> None:
    """A change can be computed, and has the weight's unit; before any object is made."""
    named = _names(rule)
    for factor, view in factors.items():
        if not isinstance(view, VariableView):
            raise ParameterError(f"factor {factor!r} is {view!r}, expected a variable of a group: dopamine.level")
        if factor not in named:
            raise ParameterError(f"rule {rule.name!r} has no third factor {factor!r}; it has the names {sorted(named)}")
    own = {name: dim.dim for name, dim in factors.items()}
    own |= Equations(rule.equations.format(unit=unit_text(unit))).dimensions
    own |= {name: get_dimensions(value) for name, value in rule.parameters.items()} | {"w": unit.dim}
    variables = {name: Variable(name, dimensions=dim) for name, dim in own.items()}
    try:
        variables |= synapses.resolve_all(get_identifiers(rule.change) - set(own), {})
    except KeyError as error:
        missing = str(error).split('"')[1]
        raise ParameterError(
            f"rule {rule.name!r} needs {missing!r}; give it as a third factor, factors={{{missing!r}: ...}}"
        ) from None
    found = parse_expression_dimensions(rule.change, variables)
    if found is not unit.dim:
        raise ParameterError(
            f"rule {rule.name!r} changes a weight by {rule.change!r}, which is {_dimension(found)}, expected "
            f"{_dimension(unit.dim)}; adapt the unit of its rate"
        )


def _dimension(dim: object) -> str:
    return "a plain number" if dim is DIMENSIONLESS else f"in {get_unit(dim)!r}"


def _check_period(name: str, period: Quantity, synapses: Synapses) -> None:
    dt = synapses.clock.dt
    if not have_same_dimensions(period, second) or not period >= dt:
        raise ParameterError(f"{name} is {period}, expected a time of one step, {dt}, or more")
    steps = float(period / dt)
    if abs(steps - round(steps)) > 1e-6 * steps:
        raise ParameterError(f"{name} is {period}, expected whole steps of {dt}")
