"""What a Brian2 network is made of, as far as it is counted: who is updated, who sends to whom, and at what work."""

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Network, NeuronGroup, PoissonGroup, PoissonInput, SpikeGeneratorGroup, Synapses
from brian2.core.variables import ArrayVariable, Variable
from brian2.groups.group import CodeRunner, Group
from brian2.groups.neurongroup import Resetter
from brian2.parsing.statements import parse_statement
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from snn.drive import changing_variables
from snn.energy.texts import Texts, outer_statements, texts_of
from snn.energy.work import FLAGS, Work, is_shared
from snn.names import whole
from snn.statements import assigned


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Words that are kept in memory: weights, traces of synapses, states of neurons, addresses."""

    weights: int = 0
    traces: int = 0
    states: int = 0
    addresses: int = 0


@dataclass(frozen=True, kw_only=True)
class Routine:
    """Work that is done for each member in every step of a clock."""

    dt_s: float
    work: Work


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """A group of neurons. is_input: its spikes come from outside, and nothing is computed for them.

    events: what its neurons may do, "spike" or another name. moves: equations advance its neurons. routines: work by
    the clock. spike_work: the reset.
    """

    name: str
    neurons: int
    dt_s: float
    is_input: bool
    events: tuple[str, ...]
    moves: bool
    routines: tuple[Routine, ...]
    spike_work: Work
    stored: Stored


@dataclass(frozen=True, kw_only=True, eq=False)
class Pathway:
    """What an event of the neurons of `source` does at synapses that lead to `target`.

    The synapses of source neuron n are starts[n] to starts[n + 1] of the arrays targets, delay_steps, nonzero and
    addressed, all (S,). nonzero: whether the weight is not 0; None if weights change. addressed: whether its target
    must be looked up, because it is not the next one after that of the synapse before. delivers: it adds to the state
    of the target; graded: it weighs a value that the source has. learns: it changes something at the synapse. side:
    "pre" or "post", where the event happens.
    """

    name: str
    synapses: str
    source: str
    target: str
    event: str
    side: str
    dt_s: float
    starts: NDArray[np.int64]
    targets: NDArray[np.int32]
    delay_steps: NDArray[np.int32]
    nonzero: NDArray[np.bool_] | None
    addressed: NDArray[np.bool_]
    delivers: bool
    graded: bool
    learns: bool
    work: Work
    stored: Stored


@dataclass(frozen=True, kw_only=True, eq=False)
class Clocked:
    """Synapses that are computed in every step: traces, or a (summed) variable, which drives `target`.

    addressed: how many of the `number` must have their target looked up.
    """

    name: str
    synapses: str
    number: int
    addressed: int
    target: str | None
    dt_s: float
    work: Work
    stored: Stored


@dataclass(frozen=True, kw_only=True, eq=False)
class Structure:
    """All that there is to count."""

    populations: tuple[Population, ...]
    pathways: tuple[Pathway, ...]
    clocked: tuple[Clocked, ...]


def read_structure(network: Network, namespace: Mapping[str, Any], inputs: Collection[str] | None = None) -> Structure:
    """What the active objects of a network do in a step, and at each event.

    inputs: names of groups whose spikes come from outside, by default all to which no synapses lead and which no
    equations move. namespace: where names are found that groups do not hold, as in `Network.run`.

    Raises `InputError` for a PoissonInput, whose events nobody can know, and for names that nothing knows.
    """
    objects = [obj for obj in network.sorted_objects if obj.active]
    for obj in objects:
        if isinstance(obj, PoissonInput):
            raise InputError(
                f"{obj.name} is a PoissonInput: it adds events that are not kept; make it a PoissonGroup with synapses"
            )
    runners = [obj for obj in objects if isinstance(obj, CodeRunner) and not isinstance(obj, SpikeGeneratorGroup)]
    for runner in runners:
        _update(runner, namespace)
    groups = [obj for obj in objects if isinstance(obj, NeuronGroup | SpikeGeneratorGroup | PoissonGroup)]
    pathways = [obj for obj in runners if isinstance(obj, SynapticPathway)]
    outside = _outside(groups, runners, inputs)
    ends = {whole(end).name for one in pathways for end in (one.source, one.target)}
    texts = Texts(namespace, runners)
    changing = {id(variable) for variable in changing_variables(objects, ())[0].values()}
    populations = [
        _population(group, runners, texts, group.name in outside)
        for group in groups
        if getattr(group, "events", True) or _moves(group) or group.name in ends
    ]
    ways = [_pathway(pathway, texts, changing) for pathway in pathways]
    depth = _depths(populations, ways)
    return Structure(
        populations=tuple(sorted(populations, key=lambda one: (depth[one.name], one.name))),
        pathways=tuple(sorted(ways, key=lambda one: (depth[one.target], depth[one.source], one.name))),
        clocked=tuple(_clocked(runners, texts)),
    )


def _depths(populations: Sequence[Population], pathways: Sequence[Pathway]) -> dict[str, int]:
    """How many synapses away from an input each population is, for a report that reads in the order of the layers."""
    depth = {one.name: 0 if one.is_input else len(populations) for one in populations}
    for _ in populations:
        for one in pathways:
            if one.delivers:
                depth[one.target] = min(depth[one.target], depth[one.source] + 1)
    return depth


def _update(runner: CodeRunner, namespace: Mapping[str, Any]) -> None:
    """Let Brian2 write down what the runner does, as it does before a run."""
    try:
        runner.update_abstract_code(run_namespace=namespace)
    except KeyError as error:  # 'The identifier "tau" could not be resolved.'
        raise InputError(
            f"{runner.group.name}: no object knows {str(error).split(chr(34))[1]!r}; give namespace={{...}}"
        ) from None


def _outside(groups: Sequence[Group], runners: Sequence[CodeRunner], given: Collection[str] | None) -> frozenset[str]:
    """Names of the groups whose spikes come from outside."""
    names = {group.name for group in groups}
    if given is not None:
        if unknown := set(given) - names:
            raise ParameterError(f"inputs are {sorted(unknown)}, expected groups of {sorted(names)}")
        return frozenset(given)
    driven = {
        whole(one.target).name
        for one in runners
        if isinstance(one, SummedVariableUpdater) or (isinstance(one, SynapticPathway) and one.prepost == "pre")
    }
    return frozenset(group.name for group in groups if not _moves(group) and group.name not in driven)


def _moves(group: Group) -> bool:
    """Whether differential equations move it."""
    return isinstance(group, NeuronGroup) and bool(group.equations.diff_eq_names)


def _population(group: Group, runners: Sequence[CodeRunner], texts: Texts, is_input: bool) -> Population:
    routines: dict[float, list[CodeRunner]] = {}
    spike_work = Work()
    for runner in runners:
        if is_input or runner.group.name != group.name or isinstance(runner, SummedVariableUpdater):
            continue
        if isinstance(runner, Resetter):
            # A neuron that is then refractory keeps the time of its spike.
            spike_work += texts.work(runner) + Work(state_writes=int(group._refractory is not False))
        elif any(texts_of(runner)):
            routines.setdefault(float(runner.clock.dt_), []).append(runner)
    own = isinstance(group, NeuronGroup) and not is_input
    return Population(
        name=group.name,
        neurons=int(group.N),
        dt_s=float(group.clock.dt_),
        is_input=is_input,
        events=tuple(group.events) if isinstance(group, NeuronGroup) else ("spike",),
        moves=bool(routines),
        # What the update has in hand, the threshold need not read again.
        routines=tuple(Routine(dt_s=dt_s, work=texts.work(*together)) for dt_s, together in routines.items()),
        spike_work=spike_work,
        stored=Stored(states=sum(1 for _ in _arrays(group)) * int(group.N)) if own else Stored(),
    )


def _pathway(pathway: SynapticPathway, texts: Texts, changing: Collection[int]) -> Pathway:
    synapses, dt_s = pathway.group, float(pathway.source.clock.dt_)
    sources, targets, delays = (
        np.asarray(variable.get_value())
        for variable in (pathway.synapse_sources, pathway.synapse_targets, pathway.variables["delay"])
    )
    # As Brian2's queue rounds them.
    delay_steps = np.floor(delays / dt_s + 0.5).astype(np.int32)
    delay_steps = np.broadcast_to(delay_steps, sources.shape)
    order = _order(sources, delay_steps, targets)
    addressed = _addressed(synapses, order, sources, targets, delay_steps)
    known, indices = texts.known(pathway), synapses.variables.indices
    outer = outer_statements(pathway)
    weighed = {name for line in outer for name in get_identifiers(line) if _is_value_of(name, known, indices, pathway)}
    return Pathway(
        name=pathway.name,
        synapses=synapses.name,
        source=whole(pathway.source).name,
        target=whole(pathway.target).name,
        event=pathway.event,
        side=pathway.prepost,
        dt_s=dt_s,
        starts=np.searchsorted(sources[order], np.arange(len(whole(pathway.source)) + 1)),
        targets=targets[order],
        delay_steps=delay_steps[order],
        nonzero=_nonzero(outer, synapses, texts.weights, changing, order),
        addressed=addressed,
        delivers=bool(outer),
        graded=bool(weighed),
        learns=bool(assigned(pathway.code) & {name for name in synapses.variables if indices[name] == "_idx"}),
        work=texts.work(pathway) + Work(index_reads=1),
        stored=_stored(synapses, int(addressed.sum()), texts.weights),
    )


def _is_value_of(
    name: str, known: Mapping[str, Variable], indices: Mapping[str, str], pathway: SynapticPathway
) -> bool:
    """Whether it is a value that the neuron before the synapse has, and that may differ from event to event."""
    side = "_presynaptic_idx" if pathway.prepost == "pre" else "_postsynaptic_idx"
    variable = known.get(name)
    return (
        isinstance(variable, ArrayVariable)
        and not variable.constant
        and indices.get(name) == side
        and (variable.name not in assigned(pathway.code))
    )


def _nonzero(
    lines: Sequence[str],
    synapses: Synapses,
    weights: Collection[int],
    changing: Collection[int],
    order: NDArray[np.int64],
) -> NDArray[np.bool_] | None:
    """Whether these statements can change anything, (S,) in the given order; None where the weights change."""
    names = {name for name, variable in synapses.variables.items() if id(variable) in weights}
    names &= {name for line in lines for name in get_identifiers(line)}
    if any(id(synapses.variables[name]) in changing for name in names):
        return None
    zero = {name: _values(name, synapses)[order] == 0 for name in names}
    changes = np.zeros(order.size, bool)
    for line in lines:
        changes |= ~_is_zero(ast.parse(parse_statement(line)[2], mode="eval").body, zero, order.size)
    return changes


def _is_zero(node: ast.expr, zero: Mapping[str, NDArray[np.bool_]], size: int) -> NDArray[np.bool_]:
    """Where a sum of products is 0 because weights are, whatever everything else is."""
    match node:
        case ast.Name(id=name) if name in zero:
            return zero[name]
        case ast.Constant(value=value):
            return np.full(size, value == 0)
        case ast.UnaryOp(operand=operand):
            return _is_zero(operand, zero, size)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _is_zero(left, zero, size) | _is_zero(right, zero, size)
        case ast.BinOp(left=left, op=ast.Div()):
            return _is_zero(left, zero, size)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return _is_zero(left, zero, size) & _is_zero(right, zero, size)
    return np.zeros(size, bool)


def _values(name: str, synapses: Synapses) -> NDArray[np.float64]:
    """A number for each synapse, also if synapses share it."""
    variable, index = synapses.variables[name], synapses.variables.indices[name]
    values = np.asarray(variable.get_value())
    return values if index == "_idx" else values[np.asarray(synapses.variables[index].get_value())]


def _order(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order by the first column, then the second, ...: by one number, which is fast where they are in order."""
    key = np.zeros(columns[0].size, np.int64)
    for column in columns:
        key = key * (int(column.max(initial=0)) + 1) + column
    return np.argsort(key, kind="stable")


def _addressed(synapses: Synapses, order: NDArray[np.int64], *columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(S,) in this order, where a run of synapses ends that a counter can walk along: the same source and delay, one
    target after the other, and where weights are shared, one weight after the other, up or down.

    columns: source, target and delay of each synapse. A layer of all to all has one run a neuron, a convolution one a
    row of its window, and sparse synapses hardly any.
    """
    source, target, delay = (np.diff(column[order]) for column in columns)
    goes_on = (source == 0) & (delay == 0) & (target == 1)
    for index in {index for index in synapses.variables.indices.values() if is_shared(index)}:
        goes_on &= np.abs(np.diff(np.asarray(synapses.variables[index].get_value())[order])) == 1
    return np.concatenate([np.ones(min(order.size, 1), bool), ~goes_on])


def _clocked(runners: Sequence[CodeRunner], texts: Texts) -> Iterator[Clocked]:
    """Sums, each by itself, and what else is done to synapses by a clock, together."""
    together: dict[tuple[str, float, str], list[CodeRunner]] = {}
    for runner in runners:
        if isinstance(runner.group, Synapses) and not isinstance(runner, SynapticPathway):
            target = whole(runner.target).name if isinstance(runner, SummedVariableUpdater) else ""
            together.setdefault((runner.group.name, float(runner.clock.dt_), target), []).append(runner)
    for (name, dt_s, target), alike in together.items():
        synapses, work = alike[0].group, texts.work(*alike)
        sources, targets = (np.asarray(synapses.variables[f"_synaptic_{end}"].get_value()) for end in ("pre", "post"))
        order = _order(sources, np.zeros_like(sources), targets)
        addressed = int(_addressed(synapses, order, sources, targets, np.zeros_like(sources)).sum())
        if target:
            # Each synapse adds to the sum of the neuron behind it.
            work += Work(additions=1, state_reads=1, state_writes=1, index_reads=1)
        if work != Work():
            yield Clocked(
                name=alike[0].name,
                synapses=name,
                number=len(synapses),
                addressed=addressed,
                target=target or None,
                dt_s=dt_s,
                work=work,
                stored=_stored(synapses, addressed, texts.weights),
            )


def _arrays(group: Group) -> Iterator[Variable]:
    """What a group keeps for each of its members."""
    kept = {*group.equations, *(getattr(group, "event_driven", None) or ()), "lastspike", "lastupdate"}
    for name in kept & set(group.variables) - set(group.variables.indices.values()) - FLAGS:
        variable = group.variables[name]
        if isinstance(variable, ArrayVariable) and not variable.scalar and variable.owner.name == group.name:
            yield variable


def _stored(synapses: Synapses, addressed: int, weights: Collection[int]) -> Stored:
    own = list(_arrays(synapses))
    weighing = sum(1 for variable in own if id(variable) in weights)
    indices = synapses.variables.indices
    shared = {
        id(variable): int(variable.size)
        for name, variable in synapses.variables.items()
        if isinstance(variable, ArrayVariable) and is_shared(indices[name])
    }
    return Stored(
        weights=weighing * len(synapses) + sum(shared.values()),
        traces=(len(own) - weighing) * len(synapses),
        addresses=addressed * (1 + bool(shared)),
    )
