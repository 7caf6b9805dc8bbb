"""Reads a Brian2 network as what it does in one step, symbol by symbol.

Brian2 runs a step in this order: the state of every group is updated, thresholds are compared, synapses act on what
has arrived, spiking neurons are reset. The records here say what each of these does to the state, as sympy expressions
that Brian2's own integrators made; nothing is simulated here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from brian2 import (
    BrianObject,
    Network,
    NetworkOperation,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Subgroup,
    Synapses,
)
from brian2.core.functions import Function
from brian2.core.variables import ArrayVariable, Constant, Subexpression, Variable
from brian2.groups.group import Group
from brian2.groups.neurongroup import Resetter, StateUpdater, Thresholder
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray
from sympy.core.function import AppliedUndef

from dvs.errors import InputError
from learning.symbols import expression, folded, symbol, where_refractory
from snn.statements import assigned

Numbers = float | NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """A group of n neurons and what a step does to each of them.

    states: names of the variables that change. step, held: each state after the update, by the states before it and
    the constants, where a neuron is not refractory, and where it is (the same, without a refractory time). margin:
    what is above 0 where a neuron spikes, or 0 too if `inclusive`; None without a threshold. reset: each state that a
    spike changes, by the states after synapses. refractory_steps: (n,) for how many steps a neuron is held after a
    spike. guarded: states that nothing but the reset changes while a neuron is refractory. constants: values of all
    other names, one for all or (n,). start: (n,) of each state.
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
    """

    name: str
    source: str
    target: str
    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    delay_steps: NDArray[np.int64]
    adds: Mapping[str, sympy.Expr]
    values: Mapping[str, Numbers]
    index: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A network: populations in the order in which they are updated, projections in that in which they act.

    inputs: (name, n) of the groups whose spikes come from outside.
    """

    dt_s: float
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    inputs: Mapping[str, int]


def read_network(network: Network, namespace: Mapping[str, Any] | None = None) -> Reading:
    """What a step of a Brian2 network does.

    Groups that spike without a membrane, an `EventInput`'s, SpikeGeneratorGroup and PoissonGroup, are inputs. Monitors
    are left out. namespace: where external names are found that groups do not hold, as in `Network.run`.
    Raises `InputError` for what cannot be said as such a step, by the name of the object, with what to write instead.
    """
    namespace = dict(namespace or {})
    objects = [obj for obj in network.sorted_objects if obj.active]
    inputs = [obj for obj in objects if _is_input(obj)]
    groups = [obj for obj in objects if isinstance(obj, NeuronGroup) and obj not in inputs]
    pathways = [obj for obj in objects if isinstance(obj, SynapticPathway)]
    _refuse_others(objects, inputs)
    steps_s = {obj.name: float(obj.clock.dt) for obj in (*inputs, *groups, *pathways)}
    if len(set(steps_s.values())) != 1:
        raise InputError(f"the groups have steps of {steps_s} seconds; use one dt for all")
    if tuple(network.schedule) != ("start", "groups", "thresholds", "synapses", "resets", "end"):
        raise InputError(f"the schedule is {network.schedule}; only Brian2's default order is known")
    dt_s = next(iter(steps_s.values()))
    projections = [_projection(pathway, namespace, dt_s) for pathway in pathways]
    targets = {group.name: [p for p in projections if p.target == group.name] for group in groups}
    return Reading(
        dt_s=dt_s,
        populations=tuple(_population(group, targets[group.name], namespace, dt_s) for group in groups),
        projections=tuple(projections),
        inputs={group.name: int(group.N) for group in inputs},
    )


def _is_input(obj: BrianObject) -> bool:
    if isinstance(obj, SpikeGeneratorGroup | PoissonGroup):
        return True
    # The group of an EventInput: its spikes are put in place of a threshold.
    return isinstance(obj, NeuronGroup) and "spike" in obj.thresholder and not obj.thresholder["spike"].active


def _refuse_others(objects: Sequence[BrianObject], inputs: Sequence[BrianObject]) -> None:
    known = (NeuronGroup, Synapses, SynapticPathway, StateUpdater, Thresholder, Resetter, SpikeMonitor, StateMonitor)
    of_inputs = {inner.name for group in inputs for inner in group.contained_objects}
    for obj in objects:
        if isinstance(obj, (*known, PopulationRateMonitor)) or obj in inputs or obj.name in of_inputs:
            continue
        what = {
            SummedVariableUpdater: "a (summed) variable; let the spikes add to a variable of the target instead",
            NetworkOperation: "Python code that may change anything; leave it out of the network that is to learn",
            PoissonInput: "chance; use a PoissonGroup as an input instead",
        }.get(type(obj), f"a {type(obj).__name__}; leave it out of the network that is to learn")
        raise InputError(f"{obj.name} cannot be differentiated: it is {what}")


def _population(
    group: NeuronGroup, arriving: Sequence[Projection], namespace: dict[str, Any], dt_s: float
) -> Population:
    if set(group.events) - {"spike"}:
        raise InputError(f"{group.name} has the events {sorted(group.events)}; only 'spike' can be differentiated")
    code = ""
    if group.state_updater is not None:
        group.state_updater.update_abstract_code(namespace)
        code = group.state_updater.abstract_code
    threshold, reset = group.events.get("spike", ""), group.event_codes.get("spike", "")
    variables = _variables(group, namespace, f"{code}\n{reset}", threshold)
    lines = [line for line in code.splitlines() if not line.startswith("not_refractory")]
    updated = _own(folded("\n".join(lines), variables), group, variables)
    after_spike = _own(folded(reset or "", variables), group, variables)
    states = tuple(dict.fromkeys((*updated, *after_spike, *(name for p in arriving for name in p.adds))))
    step = {name: updated.get(name, symbol(name)) for name in states}
    margin, inclusive = _margin(group, threshold, variables) if threshold else (None, False)
    guarded = frozenset(name for name in states if group.variables[name].conditional_write is not None)
    used = [*step.values(), *after_spike.values(), *([margin] if margin is not None else [])]
    return Population(
        name=group.name,
        n=int(group.N),
        states=states,
        step={name: where_refractory(value, False) for name, value in step.items()},
        held={name: symbol(name) if name in guarded else where_refractory(value, True) for name, value in step.items()},
        margin=margin,
        inclusive=inclusive,
        reset=after_spike,
        refractory_steps=_refractory_steps(group, namespace, dt_s),
        guarded=guarded,
        constants=_constants(group, used, states, variables),
        start={name: np.array(group.variables[name].get_value(), float) for name in states},
    )


def _projection(pathway: SynapticPathway, namespace: dict[str, Any], dt_s: float) -> Projection:
    synapses = pathway.synapses
    name = pathway.name
    if pathway.prepost != "pre" or synapses.event_driven is not None or pathway.event != "spike":
        raise InputError(
            f"{name} is plastic or listens to other events; give the network that is to learn synapses with on_pre "
            "and nothing else"
        )
    variables = _variables(synapses, namespace, pathway.code)
    adds = {}
    for target, value in folded(pathway.code, variables).items():
        variable = variables[target]
        if variable.owner.name != _whole(synapses.target).name or not isinstance(variable, ArrayVariable):
            raise InputError(
                f"{name} changes {target}, which is not a variable of the neurons behind it; only add to those"
            )
        add = sympy.simplify(value - symbol(target))
        of_synapse = {other for other in add.free_symbols if _of_synapse(synapses, variables.get(other.name))}
        if add.free_symbols - of_synapse:
            names = sorted(other.name for other in add.free_symbols - of_synapse)
            raise InputError(
                f"{name} adds {add} to {target}, which depends on {names}; add numbers of the synapse only"
            )
        adds[variable.name] = add
    values, index = {}, {}
    for used in sorted({other.name for add in adds.values() for other in add.free_symbols}):
        variable = variables[used]
        values[used] = _value(variable)
        place = synapses.variables.indices.get(used, "_idx")
        if isinstance(variable, ArrayVariable) and place not in ("_idx", "0"):
            index[used] = np.array(synapses.variables[place].get_value(), np.int64)
    count = len(synapses)
    delay_s = np.broadcast_to(pathway.variables["delay"].get_value(), count)
    return Projection(
        name=name,
        source=_whole(pathway.source).name,
        target=_whole(pathway.target).name,
        pre=np.array(pathway.synapse_sources.get_value(), np.int64),
        post=np.array(pathway.synapse_targets.get_value(), np.int64),
        delay_steps=np.floor(delay_s / dt_s + 0.5).astype(np.int64),
        adds=adds,
        values=values,
        index=index,
    )


def _whole(group: Group) -> Group:
    """The group of which this is a part, or itself."""
    return group.source if isinstance(group, Subgroup) else group


def _variables(group: Group, namespace: dict[str, Any], code: str, *expressions: str) -> dict[str, Variable]:
    """Every name in statements and expressions, and in the subexpressions that they lead to."""
    found: dict[str, Variable] = {}
    names = get_identifiers("\n".join((code, *expressions))) - (assigned(code) - set(group.variables))
    while names:
        found |= group.resolve_all(names, namespace)
        inner = (found[name].expr for name in names if isinstance(found[name], Subexpression))
        names = get_identifiers("\n".join(inner)) - set(found)
    return found


def _own(after: dict[str, sympy.Expr], group: Group, variables: Mapping[str, Variable]) -> dict[str, sympy.Expr]:
    """Of what statements change, the variables of the group; the rest are names within the statements."""
    return {
        name: value
        for name, value in after.items()
        if isinstance(variables.get(name), ArrayVariable) and variables[name].owner.name == group.name
    }


def _margin(group: NeuronGroup, threshold: str, variables: Mapping[str, Variable]) -> tuple[sympy.Expr, bool]:
    condition = expression(threshold, variables)
    match condition:
        case sympy.StrictGreaterThan() | sympy.GreaterThan():
            margin = condition.lhs - condition.rhs
        case sympy.StrictLessThan() | sympy.LessThan():
            margin = condition.rhs - condition.lhs
        case _:
            raise InputError(
                f"the threshold of {group.name} is {threshold!r}, expected one inequality such as 'v > v_th'; "
                "a refractory time says when it does not count"
            )
    return margin, isinstance(condition, sympy.GreaterThan | sympy.LessThan)


def _refractory_steps(group: NeuronGroup, namespace: dict[str, Any], dt_s: float) -> NDArray[np.int64] | None:
    refractory = group._refractory
    if refractory is False:
        return None
    if isinstance(refractory, str):
        variables = _variables(group, namespace, "", refractory)
        length = expression(refractory, variables)
        values = {name.name: _value(variables[name.name]) for name in length.free_symbols}
        refractory_s = sympy.lambdify([*map(symbol, values)], length, "numpy")(*values.values())
    else:
        refractory_s = float(refractory)
    # Brian2's timestep(): whole steps, with the tolerance of rounding.
    return np.broadcast_to(np.floor(np.asarray(refractory_s) / dt_s + 1e-3).astype(np.int64), group.N).copy()


def _constants(
    group: NeuronGroup, used: Sequence[sympy.Expr], states: Collection[str], variables: Mapping[str, Variable]
) -> dict[str, Numbers]:
    constants = {}
    for value in used:
        for call in value.atoms(AppliedUndef):
            if call.func.__name__.rstrip("_") != "int":
                raise InputError(f"{group.name} uses {call}, whose derivative is not known; write it as a formula")
        for name in sorted(free.name for free in value.free_symbols):
            if name in states or name in constants or name == "not_refractory":
                continue
            if name in ("t", "t_in_timesteps", "lastspike", "i", "xi") or name.startswith("xi_"):
                raise InputError(f"{group.name} depends on {name}; a step may depend on states and constants only")
            constants[name] = _value(variables[name])
    return constants


def _value(variable: Variable) -> Numbers:
    """The number in SI units, or one for each neuron or synapse."""
    value = np.array(variable.get_value(), float)
    return value.item() if value.ndim == 0 or variable.scalar else value


def _of_synapse(synapses: Synapses, variable: Variable | Function | None) -> bool:
    if isinstance(variable, ArrayVariable):
        return synapses.variables.indices.get(variable.name, "_idx") not in ("_presynaptic_idx", "_postsynaptic_idx")
    return isinstance(variable, Constant)
