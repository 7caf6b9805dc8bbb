"""Reads a Brian2 network as what it does in one step, symbol by symbol.

Brian2 runs a step in this order: summed variables are set, the state of every group is updated, thresholds are
compared, synapses act on what has arrived, spiking neurons are reset. The records here say what each of these does to
the state, as sympy expressions that Brian2's own integrators made; nothing is simulated here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from brian2 import (
    BrianObject,
    EventMonitor,
    Network,
    NetworkOperation,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    StateMonitor,
    Subgroup,
    Synapses,
    TimedArray,
    second,
)
from brian2.core.clocks import Clock
from brian2.core.functions import Function
from brian2.core.variables import ArrayVariable, Variable
from brian2.groups.group import CodeRunner, Group
from brian2.groups.neurongroup import Resetter, StateUpdater, Thresholder
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.stateupdaters.base import UnsupportedEquationsException
from brian2.synapses.synapses import StateUpdater as SynapseUpdater
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray
from sympy.core.function import AppliedUndef

from dvs.errors import InputError
from learning.symbols import expression, folded, symbol, where_refractory
from snn.names import resolved, whole
from snn.statements import statements

Numbers = float | NDArray[np.float64]

_SLOTS = {StateUpdater: "groups", Thresholder: "thresholds", SynapticPathway: "synapses", Resetter: "resets"}
_GRADED = "a graded input: a NeuronGroup(n, 'x : 1', threshold='True') in inputs, with on_pre='v_post += w*x_pre'"


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """A group of n neurons and what a step does to each of them.

    states: names of the variables that change. step, held: each state after the update, by the states before it and
    the constants, where a neuron is not refractory, and where it is (the same, without a refractory time). margin:
    what is above 0 where a neuron spikes, or 0 too if `inclusive`; None without a threshold. reset: each state that a
    spike changes, by the states after synapses. refractory_steps: (n,) for how many steps a neuron is held after a
    spike. guarded: states that nothing but the reset changes while a neuron is refractory. constants: values of all
    other names, one for all or (n,). start: (n,) of each state; no neuron is refractory there.
    """

    name: str
    n: int
    states: tuple[str, ...]
    step: Mapping[str, sympy.Expr]
    held: Mapping[str, sympy.Expr]
    margin: sympy.Expr | None
    inclusive: bool
    reset: Mapping[str, sympy.Expr]
    refractory_steps: NDArray[np.int64] | None
    guarded: frozenset[str]
    constants: Mapping[str, Numbers]
    start: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Synapses: what an arriving spike adds to the states of the neuron behind it.

    pre, post: (S,) neurons of each synapse. delay_steps: (S,). adds: by state of the target, an expression in names of
    the synapse. values: of those names, one for all, (S,), or with index[name], (S,), an array that synapses share.
    borrowed: those of the names that are constants of a group, to (group, constant); they are called `tau_pre` where
    they belong to the source and `tau_post` where to the target. carries: the variable of the source, an input, whose
    value each spike carries and by which what is added is multiplied; `adds` is what a spike of value 1 adds. "" if
    none.
    """

    name: str
    source: str
    target: str
    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    delay_steps: NDArray[np.int64]
    adds: Mapping[str, sympy.Expr]
    values: Mapping[str, Numbers]
    index: Mapping[str, NDArray[np.int64]]
    borrowed: Mapping[str, tuple[str, str]]
    carries: str

    @property
    def graded(self) -> bool:
        """Whether spikes carry values."""
        return bool(self.carries)


@dataclass(frozen=True, kw_only=True, eq=False)
class Coupling:
    """Synapses that act in every step: a (summed) variable, one of the states of the target.

    Before the states are updated, `variable` of each neuron is set to the sum of `value` over the synapses that end
    at it, 0 where none does; what it was before does not matter. pre, post: (S,) neurons of each synapse; post is
    where the sum goes, also if Brian2 calls that side pre. pre_states, post_states: names in `value` that are states
    of the source and of the target, to the states, such as {"v_pre": "v"}. values, index, borrowed: of all other
    names, as in `Projection`. A value may be of a summed variable that an earlier coupling has set in the same step.
    """

    name: str
    source: str
    target: str
    variable: str
    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    value: sympy.Expr
    pre_states: Mapping[str, str]
    post_states: Mapping[str, str]
    values: Mapping[str, Numbers]
    index: Mapping[str, NDArray[np.int64]]
    borrowed: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A network: populations in the order in which they are updated, the others in that in which they act.

    couplings come before the update, projections after the threshold. inputs: (name, n) of the groups whose spikes
    come from outside.
    """

    dt_s: float
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    couplings: tuple[Coupling, ...]
    inputs: Mapping[str, int]


def read_network(
    network: Network, namespace: Mapping[str, Any] | None = None, inputs: Collection[Group] = ()
) -> Reading:
    """What a step of a Brian2 network does.

    inputs: groups whose spikes come from outside, whatever they are; those that spike without a membrane, an
    `EventInput`'s, SpikeGeneratorGroup and PoissonGroup, always are. A variable of an input that is not marked
    (constant) is the value that its spikes carry. Monitors and rules that learn online are left out. namespace: where
    external names are found that groups do not hold, as in `Network.run`. With a standalone device, what is known only
    when it runs (pairs, weights) is empty.

    Raises `InputError` for what cannot be said as such a step, by the name of the object, with its line and what to
    write instead.
    """
    namespace = dict(namespace or {})
    objects = _without_online([obj for obj in network.sorted_objects if obj.active])
    outside = _inputs(objects, inputs)
    groups = [obj for obj in objects if isinstance(obj, NeuronGroup) and obj not in outside]
    pathways = [obj for obj in objects if isinstance(obj, SynapticPathway)]
    sums = [obj for obj in objects if isinstance(obj, SummedVariableUpdater)]
    _refuse_others(objects, outside)
    dt_s = _common_dt_s(network, (*outside, *groups, *pathways, *sums))
    alone = {group.name: _Alone.of(group, namespace) for group in groups}
    states = {name: tuple(one.step | one.reset) for name, one in alone.items()}
    actions = [_Action.of(pathway, namespace) for pathway in pathways]
    _check_ends([*pathways, *sums], states, outside)
    for action in actions:
        states[whole(action.pathway.target).name] += tuple(action.adds)
    _check_order(objects, sums, alone)
    for updater in sums:
        states[whole(updater.target).name] += (updater.target_var.name,)
    states = {name: tuple(dict.fromkeys(names)) for name, names in states.items()}
    carried = {group.name: _carried(group) for group in outside}
    changing = states | carried
    return Reading(
        dt_s=dt_s,
        populations=tuple(_population(one, changing, namespace, dt_s) for one in alone.values()),
        projections=tuple(_projections(actions, changing, carried.keys(), dt_s)),
        couplings=tuple(_couplings(sums, changing, carried.keys(), namespace)),
        inputs={group.name: int(group.N) for group in outside},
    )


def _without_online(objects: Sequence[BrianObject]) -> list[BrianObject]:
    """All but the companions by which a network learns while it runs, which change no state of a neuron."""
    online = {obj.name for obj in objects if getattr(obj, "learns_online", False)}
    online |= {part.name for obj in objects if obj.name in online for part in obj.contained_objects}
    return [obj for obj in objects if obj.name not in online]


def _inputs(objects: Sequence[BrianObject], given: Collection[Group]) -> list[Group]:
    names = {whole(group).name for group in given}
    missing = names - {obj.name for obj in objects}
    if missing:
        raise InputError(f"the inputs {sorted(missing)} are not in the network; add them to it")
    return [obj for obj in objects if obj.name in names or _is_input(obj)]


def _is_input(obj: BrianObject) -> bool:
    if isinstance(obj, SpikeGeneratorGroup | PoissonGroup):
        return True
    # The group of an EventInput: its spikes are put in place of a threshold.
    return isinstance(obj, NeuronGroup) and "spike" in obj.thresholder and not obj.thresholder["spike"].active


def _refuse_others(objects: Sequence[BrianObject], inputs: Sequence[Group]) -> None:
    groups = (NeuronGroup, Subgroup, Synapses, SummedVariableUpdater)
    known = (*groups, EventMonitor, StateMonitor, PopulationRateMonitor)
    of_inputs = {inner.name for group in inputs for inner in group.contained_objects}
    for obj in objects:
        if isinstance(obj, known) or obj in inputs or obj.name in of_inputs:
            continue
        slot = next((slot for kind, slot in _SLOTS.items() if isinstance(obj, kind)), None)
        match obj:
            case SynapseUpdater():
                line = _line(obj.group, *obj.group.equations.diff_eq_names)
                what = f"integrates {line} for each synapse; make it an equation of the neurons before or behind it"
            case Thresholder() | Resetter() if obj.event != "spike":
                condition = obj.group.events[obj.event]
                what = f"acts on {condition!r}, the event {obj.event}; make it the threshold of a group, a spike"
            case _ if slot is not None and obj.when == slot:
                continue
            case _ if slot is not None:
                what = f"runs at {obj.when!r}; leave it at {slot!r}, where Brian2 puts it"
            case NetworkOperation():
                what = "is Python code that may change anything; leave it out of the network that is to learn"
            case PoissonInput():
                what = "adds chance; use a PoissonGroup as an input instead"
            case CodeRunner() if obj.abstract_code:
                what = f"runs {_one_line(obj.abstract_code)} besides the equations; write it into the equations"
            case _:
                what = f"is a {type(obj).__name__}; leave it out of the network that is to learn"
        raise InputError(f"{obj.name} cannot be differentiated: it {what}")
    for group in objects:
        if not isinstance(group, NeuronGroup) or group in inputs:
            continue
        off = [part.name for part in group.contained_objects if isinstance(part, tuple(_SLOTS)) and not part.active]
        if off:
            raise InputError(f"{off[0]} is switched off; set its active to True, or name {group.name} in inputs")


def _common_dt_s(network: Network, objects: Iterable[BrianObject]) -> float:
    steps_s = {obj.name: float(obj.clock.dt) for obj in objects}
    if not steps_s:
        raise InputError("the network has no groups; add those that are to learn")
    if len(set(steps_s.values())) != 1:
        raise InputError(f"the groups have steps of {steps_s} seconds; use one dt for all")
    if tuple(network.schedule) != ("start", "groups", "thresholds", "synapses", "resets", "end"):
        raise InputError(f"the schedule is {network.schedule}; only Brian2's default order is known")
    return next(iter(steps_s.values()))


def _check_ends(
    actors: Sequence[SynapticPathway | SummedVariableUpdater], groups: Collection[str], inputs: Sequence[Group]
) -> None:
    """Synapses go from one group of the network to another, and to no input."""
    outside = {group.name for group in inputs}
    for actor in actors:
        synapses = actor.group
        for end in (synapses.source, synapses.target):
            if whole(end).name not in groups and whole(end).name not in outside:
                raise InputError(
                    f"{synapses.name} connects {whole(end).name}, which is no group of neurons in the network; add "
                    f"it, or leave out {synapses.name}"
                )
        if whole(actor.target).name in outside:
            raise InputError(
                f"{actor.name}: {_line(actor)} changes {whole(actor.target).name}, an input, which has no states; "
                f"leave {synapses.name} out of the network that is to learn"
            )


def _check_order(
    objects: Sequence[BrianObject], sums: Sequence[SummedVariableUpdater], alone: Mapping[str, "_Alone"]
) -> None:
    """Brian2 sets a summed variable before the update of groups of one order, but of a part of a group after it."""
    place = {obj.name: k for k, obj in enumerate(objects)}
    targets: dict[Variable, str] = {}
    for updater in sums:
        line = f"{updater.name}: {_line(updater)}"
        if isinstance(updater.target, Subgroup):
            raise InputError(
                f"{line} goes to a part of {whole(updater.target).name}, and Brian2 sets that only after the update; "
                "make synapses to the whole group, with connect(i=..., j=...)"
            )
        for end in (updater.group.source, updater.group.target):
            one = alone.get(whole(end).name)
            if one and one.group.state_updater and place[one.group.state_updater.name] < place[updater.name]:
                raise InputError(f"{line} is set after the update of {one.group.name}; give all groups the same order")
        if updater.target_var in targets:
            raise InputError(f"{line} and {targets[updater.target_var]} set one variable; use a variable for each")
        targets[updater.target_var] = updater.name


@dataclass(frozen=True, kw_only=True, eq=False)
class _Alone:
    """What a group does without what arrives: each state that its update and its reset change."""

    group: NeuronGroup
    variables: Mapping[str, Variable]
    step: dict[str, sympy.Expr]
    reset: dict[str, sympy.Expr]
    threshold: str

    @classmethod
    def of(cls, group: NeuronGroup, namespace: dict[str, Any]) -> "_Alone":
        threshold, reset = group.events.get("spike", ""), group.event_codes.get("spike") or ""
        if "gsl" in (method := str(group.state_updater.method_choice).lower()):
            raise InputError(f"{group.name} is integrated by {method}, which has no formula; use 'rk4' or another")
        with _named(group):
            group.state_updater.update_abstract_code(namespace)
            code = group.state_updater.abstract_code
            lines = [line for line in code.splitlines() if not line.startswith("not_refractory")]
            variables = resolved(group, namespace, f"{code}\n{reset}", threshold)
            updated = folded("\n".join(lines), variables)
            after_spike = folded(reset, variables)
        own = {
            name
            for name in (*updated, *after_spike)
            if isinstance(variables.get(name), ArrayVariable) and variables[name].owner.name == group.name
        }
        return cls(
            group=group,
            variables=variables,
            step={name: _plain(value) for name, value in updated.items() if name in own},
            reset={
                # A neuron that spikes is refractory when it is reset.
                name: where_refractory(_plain(value), group._refractory is not False)
                for name, value in after_spike.items()
                if name in own
            },
            threshold=threshold,
        )


def _population(
    one: _Alone, changing: Mapping[str, Sequence[str]], namespace: dict[str, Any], dt_s: float
) -> Population:
    group, states = one.group, changing[one.group.name]
    step = {name: one.step.get(name, symbol(name)) for name in states}
    free = {name: where_refractory(value, False) for name, value in step.items()}
    guarded = frozenset(name for name in states if group.variables[name].conditional_write is not None)
    held = {name: symbol(name) if name in guarded else where_refractory(value, True) for name, value in step.items()}
    margin, inclusive = _margin(one) if one.threshold else (None, False)
    used = [*free.values(), *held.values(), *one.reset.values(), *([margin] if margin is not None else [])]
    return Population(
        name=group.name,
        n=int(group.N),
        states=states,
        step=free,
        held=held,
        margin=margin,
        inclusive=inclusive,
        reset=one.reset,
        refractory_steps=_refractory_steps(group, states, namespace, dt_s),
        guarded=guarded,
        constants=_constants(one, used, changing),
        start={name: _start(group, name) for name in states},
    )


def _start(group: NeuronGroup, name: str) -> NDArray[np.float64]:
    try:
        return np.array(group.variables[name].get_value(), float)
    except NotImplementedError:
        raise InputError(
            f"{group.name}: initial values of {name} are not known before a standalone run; set them as numbers"
        ) from None


def _margin(one: _Alone) -> tuple[sympy.Expr, bool]:
    constant = one.threshold in ("True", "False")  # Brian2 makes no formula of these
    condition = None if constant else _plain(expression(one.threshold, one.variables))
    match condition:
        case sympy.StrictGreaterThan() | sympy.GreaterThan():
            margin = condition.lhs - condition.rhs
        case sympy.StrictLessThan() | sympy.LessThan():
            margin = condition.rhs - condition.lhs
        case _:
            raise InputError(
                f"the threshold of {one.group.name} is {one.threshold!r}, expected one inequality such as "
                "'v > v_th'; a refractory time says when it does not count, and a group that spikes by itself "
                "belongs to the inputs"
            )
    return where_refractory(margin, False), isinstance(condition, sympy.GreaterThan | sympy.LessThan)


def _refractory_steps(
    group: NeuronGroup, states: Collection[str], namespace: dict[str, Any], dt_s: float
) -> NDArray[np.int64] | None:
    refractory = group._refractory
    if refractory is False:
        return None
    if isinstance(refractory, str):
        said = f"{group.name}: refractory={refractory!r}"
        with _named(group):
            variables = resolved(group, namespace, "", refractory)
        if parse_expression_dimensions(refractory, variables) is not second.dim:
            raise InputError(f"{said} is a condition; write a time, such as refractory=2*ms")
        length = _plain(expression(refractory, variables))
        names = sorted(free.name for free in length.free_symbols)
        if length.atoms(AppliedUndef) or any(name in states or _moves(variables[name]) for name in names):
            raise InputError(f"{said} is another time at every spike; write a constant, or one of each neuron")
        values = [_constant(group, name, variables[name]) for name in names]
        refractory_s = sympy.lambdify([symbol(name) for name in names], length, "numpy")(*values)
    else:
        refractory_s = float(refractory)
    # Brian2's timestep(): whole steps, with the tolerance of rounding.
    return np.broadcast_to(np.floor(np.asarray(refractory_s) / dt_s + 1e-3).astype(np.int64), group.N).copy()


def _constants(one: _Alone, used: Sequence[sympy.Expr], changing: Mapping[str, Collection[str]]) -> dict[str, Numbers]:
    constants = {}
    group, states = one.group, changing[one.group.name]
    for value in used:
        _check_functions(group, value, one.variables)
        for name in sorted(free.name for free in value.free_symbols):
            if name in states or name in constants:
                continue
            said = f"{group.name}: {_line(group, name)} depends on {name}"
            variable = one.variables[name]
            if _moves(variable):
                raise InputError(
                    f"{said}; a step may depend on states and constants only: what changes by itself can be {_GRADED}"
                )
            if isinstance(variable, ArrayVariable) and variable.name in changing.get(variable.owner.name, ()):
                raise InputError(
                    f"{said}, linked to a state of {variable.owner.name}; let synapses bring it, with the model "
                    f"'{name}_post = {variable.name}_pre : ... (summed)'"
                )
            constants[name] = _constant(group, name, variable)
    return constants


def _constant(group: Group, name: str, variable: Variable) -> Numbers:
    """The value of a name that no step changes, one for all or one for each neuron."""
    value = _value(variable)
    # A linked variable may have an index to the neurons that it is taken from.
    place = group.variables.indices.get(name, "0") if name in group.variables else "0"
    return value if place in ("0", "_idx") else value[group.variables[place].get_value()]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Action:
    """What a pathway adds to each variable of its target, in the names that Brian2 has for it."""

    pathway: SynapticPathway
    variables: Mapping[str, Variable]
    adds: dict[str, sympy.Expr]

    @classmethod
    def of(cls, pathway: SynapticPathway, namespace: dict[str, Any]) -> "_Action":
        synapses, code = pathway.synapses, pathway.code
        said = f"{pathway.name}: {_one_line(code)}"
        if pathway.prepost != "pre" or synapses.event_driven is not None or pathway.event != "spike":
            raise InputError(
                f"{said} is plastic or listens to other events; give the network that is to learn synapses with "
                "on_pre and nothing else"
            )
        with _named(pathway):
            variables = resolved(synapses, namespace, code)
            after = folded(code, variables)
        adds: dict[str, sympy.Expr] = {}
        for name, value in after.items():
            if name not in synapses.variables:
                continue  # a name within the statements
            variable = variables[name]
            if _side(synapses, name, variable) != "post":
                raise InputError(
                    f"{said} changes {name}, which is not a variable of the neurons behind it; only add to those"
                )
            add = sympy.simplify(_plain(value) - symbol(name))
            adds[variable.name] = adds.get(variable.name, sympy.Integer(0)) + add
        return cls(pathway=pathway, variables=variables, adds=adds)


def _carried(group: Group) -> tuple[str, ...]:
    """Variables of an input that may differ from spike to spike."""
    return tuple(
        name
        for name, variable in group.variables.items()
        if isinstance(variable, ArrayVariable)
        and variable.owner.name == group.name
        and not (variable.constant or name.startswith("_"))
    )


def _projections(
    actions: Sequence[_Action], changing: Mapping[str, Collection[str]], inputs: Collection[str], dt_s: float
) -> Iterator[Projection]:
    values: dict[str, str] = {}
    for action in actions:
        pathway, source = action.pathway, whole(action.pathway.source).name
        said = f"{pathway.name}: {_one_line(pathway.code)}"
        terms = _terms(pathway, pathway.synapses, action.adds, action.variables, changing)
        delay_steps = np.floor(_stored(pathway.variables["delay"]) / dt_s + 0.5).astype(np.int64)
        adds = terms.expressions
        if terms.post_states or (terms.pre_states and source not in inputs):
            raise InputError(
                f"{said} depends on {sorted({**terms.pre_states, **terms.post_states})}, which changes in time; add "
                "constants of the synapse and its neurons only: what depends on a state belongs into the equations "
                "of the target or a (summed) variable; a variable of the source may be a factor if that is in inputs"
            )
        if terms.pre_states:
            name, *others = terms.pre_states
            adds = {target: sympy.simplify(add / symbol(name)) for target, add in adds.items()}
            if others or any(symbol(name) in add.free_symbols for add in adds.values()):
                raise InputError(
                    f"{said} is not proportional to one variable of the input {source}, {sorted(terms.pre_states)}; "
                    "write the products alone, and the rest as another pathway: on_pre={'graded': ..., 'plain': ...}"
                )
            if delay_steps.any():
                raise InputError(
                    f"{said} is delayed, and Brian2 takes {name} from when a spike arrives, not from when it was sent; "
                    "leave out the delay, or show the input later"
                )
            if values.setdefault(source, name) != name:
                raise InputError(
                    f"{said} multiplies by {name}, and another pathway by {values[source]}; the spikes of an input "
                    "carry one value: make an input for each"
                )
        pre = _stored(pathway.synapse_sources).astype(np.int32)
        yield Projection(
            name=pathway.name,
            source=source,
            target=whole(pathway.target).name,
            pre=pre,
            post=_stored(pathway.synapse_targets).astype(np.int32),
            delay_steps=np.broadcast_to(delay_steps if delay_steps.size else 0, pre.size),
            adds=adds,
            values=terms.values,
            index=terms.index,
            borrowed=terms.borrowed,
            carries=next(iter(terms.pre_states.values()), ""),
        )


def _couplings(
    sums: Sequence[SummedVariableUpdater],
    changing: Mapping[str, Collection[str]],
    inputs: Collection[str],
    namespace: dict[str, Any],
) -> Iterator[Coupling]:
    for k, updater in enumerate(sums):
        synapses, code = updater.group, updater.expression.code
        pre, post = ("post", "pre") if updater.target_varname.endswith("_pre") else ("pre", "post")
        source, target = (whole(synapses.target if pre == "post" else synapses.source).name, updater.target.name)
        said = f"{updater.name}: {_line(updater)}"
        if source in inputs:
            raise InputError(
                f"{said} sums over {source}, an input, which has spikes but no states; let its spikes add: "
                f"on_pre='{updater.target_varname} += w'"
            )
        with _named(updater):
            variables = resolved(synapses, namespace, "", code)
            value = {updater.target_var.name: _plain(expression(code, variables))}
        terms = _terms(updater, synapses, value, variables, changing, sides={"pre": pre, "post": post})
        later = {(other.target.name, other.target_var.name) for other in sums[k:]}
        for end, names in ((source, terms.pre_states), (target, terms.post_states)):
            late = sorted(name for name in names.values() if (end, name) in later)
            if late:
                raise InputError(
                    f"{said} needs {late[0]} of {end} before it is summed in this step; name the synapses so that "
                    "theirs come first in the alphabet, or sum something else"
                )
        yield Coupling(
            name=updater.name,
            source=source,
            target=target,
            variable=updater.target_var.name,
            pre=_stored(synapses.variables[f"_synaptic_{pre}"]).astype(np.int32),
            post=_stored(synapses.variables[f"_synaptic_{post}"]).astype(np.int32),
            value=terms.expressions[updater.target_var.name],
            pre_states=terms.pre_states,
            post_states=terms.post_states,
            values=terms.values,
            index=terms.index,
            borrowed=terms.borrowed,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Terms:
    """Expressions of a synapse, their names sorted by whose they are; the fields are those of `Coupling`."""

    expressions: dict[str, sympy.Expr]
    pre_states: dict[str, str]
    post_states: dict[str, str]
    values: dict[str, Numbers]
    index: dict[str, NDArray[np.int64]]
    borrowed: dict[str, tuple[str, str]]


def _terms(
    actor: SynapticPathway | SummedVariableUpdater,
    synapses: Synapses,
    expressions: Mapping[str, sympy.Expr],
    variables: Mapping[str, Variable],
    changing: Mapping[str, Collection[str]],
    sides: Mapping[str, str] = {"pre": "pre", "post": "post"},
) -> _Terms:
    """sides: how the neurons before and behind the synapse are called in the result."""
    ends = {whole(synapses.source).name, whole(synapses.target).name}
    states: dict[str, dict[str, str]] = {"pre": {}, "post": {}}
    values, index, borrowed, renamed = {}, {}, {}, {}
    for value in expressions.values():
        _check_functions(actor, value, variables)
    for name in sorted({free.name for value in expressions.values() for free in value.free_symbols}):
        variable, place = variables[name], synapses.variables.indices.get(name, "0")
        said = f"{actor.name}: {_line(actor, name)} depends on {name}"
        if _moves(variable):
            raise InputError(f"{said}; what changes by itself can be {_GRADED}")
        side, known = _side(synapses, name, variable), name
        if side is not None:
            known = f"{variable.name}_{sides[side]}"
            renamed[symbol(name)] = symbol(known)
            if variable.owner.name not in ends:
                raise InputError(f"{said}, linked to {variable.owner.name}; make synapses from there")
            if variable.name in changing[variable.owner.name]:
                states[sides[side]][known] = variable.name
                continue
            if not variable.read_only:
                borrowed[known] = (variable.owner.name, variable.name)
        values[known] = _value(variable)
        if isinstance(variable, ArrayVariable) and place not in ("_idx", "0"):
            index[known] = _stored(synapses.variables[place]).astype(np.int64)
    return _Terms(
        expressions={target: value.xreplace(renamed) for target, value in expressions.items()},
        pre_states=states["pre"],
        post_states=states["post"],
        values=values,
        index=index,
        borrowed=borrowed,
    )


def _side(synapses: Synapses, name: str, variable: Variable) -> str | None:
    """Whether Brian2 takes a variable from the neurons before the synapse or behind it; None where from neither."""
    if not isinstance(variable, ArrayVariable) or variable.owner.name == synapses.name:
        return None
    match synapses.variables.indices.get(name):
        case "_presynaptic_idx":
            return "pre"
        case "_postsynaptic_idx":
            return "post"
        case _:  # shared by all neurons
            sides = {whole(synapses.source).name: "pre", whole(synapses.target).name: "post"}
            return sides.get(variable.owner.name)


def _value(variable: Variable) -> Numbers:
    """The number in SI units, or one for each neuron or synapse."""
    value = _stored(variable).astype(float)
    return value.item() if value.size == 1 and (value.ndim == 0 or variable.scalar) else value


def _stored(variable: Variable) -> NDArray:
    """Its values now; none where a standalone device will know them only when it runs."""
    try:
        return np.asarray(variable.get_value())
    except NotImplementedError:
        return np.zeros(0)


def _moves(variable: Variable) -> bool:
    """Whether Brian2 itself changes a variable from step to step."""
    if isinstance(getattr(variable, "owner", None), Clock):
        return variable.name != "dt"
    return variable.name in ("lastspike", "not_refractory")


def _plain(value: sympy.Expr) -> sympy.Expr:
    """Brian2's own functions by those that sympy knows."""
    for name, formula in _FORMULAS.items():
        value = value.replace(lambda part, name=name: part.is_Function and part.func.__name__ == name, formula)
    return value


def _exprel(call: sympy.Expr) -> sympy.Expr:
    """(exp(x) - 1)/x, near 0 by its series, which is exact to rounding up to 0.01."""
    (x,) = call.args
    series = sum(x**k / sympy.factorial(k + 1) for k in range(7))
    return sympy.Piecewise((series, sympy.Abs(x) < sympy.Float(0.01)), ((sympy.exp(x) - 1) / x, True))


_FORMULAS = {
    "sqrt": lambda call: sympy.sqrt(*call.args),
    "log10": lambda call: sympy.log(*call.args) / sympy.log(10),
    "exprel": _exprel,
}


def _check_functions(owner: BrianObject, value: sympy.Expr, variables: Mapping[str, Variable]) -> None:
    for call in sorted(value.atoms(AppliedUndef), key=str):
        name = call.func.__name__.rstrip("_")
        function = variables.get(name)
        if isinstance(function, TimedArray):
            raise InputError(f"{owner.name}: {_line(owner, name)} reads the TimedArray {name}; make it {_GRADED}")
        if isinstance(function, Function) and not function.stateless:
            noise = owner.equations.stochastic_variables if isinstance(owner, NeuronGroup) else ()
            line = _line(owner, name, *noise)
            raise InputError(f"{owner.name}: {line} has chance; leave it out, or make it a PoissonGroup, an input")
        line = _line(owner, name)
        raise InputError(f"{owner.name}: {line} uses {name}(), whose derivative is not known; write it as a formula")


@contextmanager
def _named(owner: BrianObject) -> Iterator[None]:
    """Says of an error whose it is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{owner.name}: {error}") from None
    except KeyError as error:  # 'The identifier "tau" could not be resolved.'
        name = str(error).split('"')[1]
        raise InputError(
            f"{owner.name}: {_line(owner, name)} has the name {name}, which no object knows; give namespace={{...}}"
        ) from None
    except (NotImplementedError, UnsupportedEquationsException) as error:
        raise InputError(f"{owner.name}: {' '.join(str(error).split())}; use another method") from None


def _line(owner: BrianObject, *names: str) -> str:
    """The first line of an object's text that has one of some names, as it is quoted; without names the first."""
    lines = _lines(owner)
    return repr(next((line for line in lines if get_identifiers(line) & set(names)), lines[0]))


def _lines(owner: BrianObject) -> list[str]:
    match owner:
        case NeuronGroup():
            lines = [str(equation) for equation in owner.user_equations.values()]
            for event, condition in owner.events.items():
                lines += [f"threshold: {condition}", f"reset: {_joined(owner.event_codes.get(event) or '')}"]
            return [*lines, f"refractory: {owner._refractory}"]
        case SynapticPathway():
            return [*statements(owner.code), *_lines(owner.group)]
        case SummedVariableUpdater():
            return [f"{owner.target_varname} = {owner.expression.code} (summed)", *_lines(owner.group)]
        case Synapses():
            return [str(equation) for equation in owner.equations.values()]
    return [owner.name]


def _joined(code: str) -> str:
    return "; ".join(statements(code))


def _one_line(code: str) -> str:
    return repr(_joined(code))
