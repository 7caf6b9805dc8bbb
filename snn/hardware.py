"""Networks on imperfect hardware: weights of few bits, parts that differ or are dead, spikes that get lost.

Each function takes a network and returns another one (see `snn.blueprint`); the given one stays as it is, and effects
can be put one upon the other. `replace` is that of `Blueprint.build`: what cannot be copied, such as the group of an
`EventInput`, needs a fresh object. If the given network is dropped without a run, Brian2 will say that its objects
were not used; they were.

>>> from brian2 import NeuronGroup, Network, ms
>>> cells = NeuronGroup(4, "dv/dt = -v / tau : 1", namespace={"tau": 10 * ms}, method="exact", name="cells")
>>> rough = mismatch(Network(cells), {"tau": 0.2}, seed=1)
>>> cells.namespace["tau"], rough["cells"].tau.shape
(10. * msecond, (4,))
"""

from collections.abc import Collection, Mapping
from dataclasses import replace as changed
from numbers import Number
from typing import Any, Literal

import numpy as np
from brian2 import BrianObject, Equations, Network, second
from brian2.equations.equations import FLOAT, PARAMETER, SingleEquation
from brian2.units.fundamentalunits import get_dimensions
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dvs.errors import ParameterError
from snn.blueprint import Blueprint, NeuronGroupRecord, PathwayRecord, SynapsesRecord, describe

Replace = Mapping[str, BrianObject | None]


def quantise(
    network: Network,
    bits: int | Literal["ternary"] = 8,
    *,
    per: Literal["tensor", "neuron"] = "tensor",
    synapses: Collection[str] | None = None,
    weight: str = "w",
    replace: Replace | None = None,
) -> Network:
    """The network with weights of a few bits, as digital chips store them.

    bits: 2 to 16. The 2**bits - 1 levels lie evenly between -m and m, the largest |w|; no weight moves by more than
    half a level. "ternary": -a, 0 and a; 0 is every |w| up to 0.7 mean |w|, and a the mean of the others (Li & Liu
    2016, "Ternary weight networks").
    per: one m or a for all weights of a Synapses object, or one for those that meet in a neuron (in a convolution,
    for each output channel). synapses: their names, by default all with the variable `weight`. Weights that synapses
    share stay shared.

    Raises ParameterError for other bits, and if there are no such synapses.
    """
    if bits != "ternary" and bits not in range(2, 17):
        raise ParameterError(f"bits is {bits!r}, expected 2 to 16 or 'ternary'")
    if per not in ("tensor", "neuron"):
        raise ParameterError(f"per is {per!r}, expected 'tensor' or 'neuron'")
    blueprint = describe(network)
    for (name, variable), users in _weights(blueprint, synapses, weight).items():
        part = blueprint.parts[name]
        weights = np.asarray(part.values[variable])
        scale = _that_meet(users, weight, weights.size) if per == "neuron" else np.zeros(weights.size, np.intp)
        rounded = _ternary(weights, scale) if bits == "ternary" else _to_levels(weights, scale, 2 ** (bits - 1) - 1)
        blueprint = blueprint.with_parts(_with_value(part, variable, rounded))
    return blueprint.build(replace)


def mismatch(
    network: Network,
    spread: Mapping[str, float],
    *,
    seed: int | np.random.Generator,
    parts: Collection[str] | None = None,
    distribution: Literal["lognormal", "normal"] = "lognormal",
    namespace: Mapping[str, Any] | None = None,
    replace: Replace | None = None,
) -> Network:
    """The network on an analog chip, where every neuron has its own time constant, threshold, ...

    Devices that are drawn alike are not alike; the differences are frozen (Büchel et al. 2021, "Supervised training of
    spiking neural networks for robust deployment on mixed-signal neuromorphic processors", Scientific Reports
    11:23376).

    spread: for each name the coefficient of variation, 0.2 for 20 %. A constant of a namespace becomes a variable, with
    a value for each neuron or synapse; a parameter in the equations is scattered around the values it has. The mean
    stays. distribution: "lognormal" keeps the sign, "normal" may not. parts: names of neuron groups and synapses, by
    default all that use the name. namespace: where to find names that are in no group's namespace.

    Raises ParameterError for a name that nothing uses, or that is a constant of a group and of its synapses as well:
    as a variable of the group it would mean the same there.
    """
    for name, variation in spread.items():
        if not (np.isfinite(variation) and variation >= 0):
            raise ParameterError(f"the spread of {name} is {variation}, expected a number from 0, such as 0.2")
    if distribution not in ("lognormal", "normal"):
        raise ParameterError(f"distribution is {distribution!r}, expected 'lognormal' or 'normal'")
    blueprint = describe(network, namespace)
    rng = np.random.default_rng(seed)
    for name, variation in spread.items():
        users = [part for part in _chosen(blueprint, parts, NeuronGroupRecord, SynapsesRecord) if _has(part, name)]
        if not users:
            raise ParameterError(f"no part of the network has the constant {name!r}; say with namespace= where it is")
        for part in users:
            _check_clash(blueprint, name, part)
            blueprint = blueprint.with_parts(_scattered(part, name, variation, distribution, rng))
    return blueprint.build(replace)


def dead_units(
    network: Network,
    group: str,
    fraction: float,
    *,
    seed: int | np.random.Generator,
    replace: Replace | None = None,
) -> Network:
    """The network in which a fraction of a neuron group never spikes, whatever its input.

    Which ones, the group's variable `dead` says; their number is the fraction of the group, rounded.
    Raises ParameterError for a fraction outside 0 to 1, or a group that has no threshold or is none of neurons.
    """
    _check_share("fraction", fraction)
    blueprint = describe(network)
    (part,) = _chosen(blueprint, [group], NeuronGroupRecord)
    if "spike" not in part.events:
        raise ParameterError(f"{group!r} has no threshold, so it never spikes anyway")
    dead = np.array(part.values.get("dead", np.zeros(part.size, bool)))
    dead[np.random.default_rng(seed).permutation(part.size)[: round(fraction * part.size)]] = True
    threshold = part.events["spike"]
    if "dead" not in part.equations:
        equations = part.equations + Equations("dead : boolean (constant)")
        part = changed(part, equations=equations, events={**part.events, "spike": f"({threshold}) and not dead"})
    elif not threshold.endswith(" and not dead"):
        raise ParameterError(f"{group!r} has a variable 'dead' of its own; give it another name")
    return blueprint.with_parts(_with_value(part, "dead", dead)).build(replace)


def spike_loss(
    network: Network,
    probability: float,
    *,
    groups: Collection[str] | None = None,
    replace: Replace | None = None,
) -> Network:
    """The network with a bus that loses each spike of a neuron with some probability, for all its targets at once.

    The neuron itself has fired: it is reset, monitors see its spike, and so does `on_post` code, which is local to it.
    What arrives, and drives `on_pre`, is the group's own event "sent"; `EventMonitor(group, "sent")` records it.
    Which spikes are lost is drawn while the network runs, by Brian2's own chance: `brian2.seed` repeats it.
    groups: names of neuron groups, by default all from which synapses hear. Events of an input are lost in the camera.

    Raises ParameterError for a probability outside 0 to 1, or if there are no such groups.
    """
    _check_share("probability", probability)
    blueprint = describe(network)
    synapses = _chosen(blueprint, None, SynapsesRecord)
    heard = {part.source.of for part in synapses for pathway in part.pathways if _from_afar(pathway)}
    senders = [part for part in _chosen(blueprint, groups, NeuronGroupRecord) if part.name in heard]
    if not senders:
        raise ParameterError(f"no synapses hear {'a neuron group' if groups is None else ', '.join(groups)}")
    slots = dict(blueprint.slots)
    for part in senders:
        blueprint = blueprint.with_parts(_sending(part, float(probability)))
        # Right after the threshold, which sets `lastspike`.
        threshold = slots[f"{part.name}_spike_thresholder"]
        slots[f"{part.name}_sent_thresholder"] = changed(threshold, order=threshold.order + 1)
    rewired = [_hearing(part) for part in synapses if part.source.of in {sender.name for sender in senders}]
    return changed(blueprint.with_parts(*rewired), slots=slots).build(replace)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ParameterError(f"{name} is {value}, expected 0 to 1")


def _chosen(blueprint: Blueprint, names: Collection[str] | None, *kinds: type) -> list[Any]:
    """The parts of these names, or all there are, of these kinds."""
    known = {name: part for name, part in blueprint.parts.items() if isinstance(part, kinds)}
    for name in names or ():
        if name not in known:
            raise ParameterError(f"{name!r} cannot be changed so; the network has {', '.join(known) or 'no such part'}")
    return list(known.values()) if names is None else [known[name] for name in names]


def _with_value(part: Any, variable: str, numbers: NDArray) -> Any:
    numbers = numbers.astype(part.values[variable].dtype) if variable in part.values else numbers
    return changed(part, values={**part.values, variable: numbers})


# Weights


def _weights(
    blueprint: Blueprint, synapses: Collection[str] | None, weight: str
) -> dict[tuple[str, str], list[SynapsesRecord]]:
    """Where weights are kept (a part and its variable), and the synapses that use them."""
    places: dict[tuple[str, str], list[SynapsesRecord]] = {}
    for part in _chosen(blueprint, synapses, SynapsesRecord):
        if weight in part.links:
            places.setdefault((part.links[weight].of, part.links[weight].variable), []).append(part)
        elif weight in part.values:
            places.setdefault((part.name, weight), []).append(part)
        elif synapses is not None:
            raise ParameterError(f"{part.name!r} has no variable {weight!r}; say with weight= how its weight is called")
    if not places:
        raise ParameterError(f"no synapses have the variable {weight!r}; say with weight= how their weight is called")
    return places


def _that_meet(users: Collection[SynapsesRecord], weight: str, count: int) -> NDArray[np.int32]:
    """A number for each of the weights, the same for those that meet in a neuron: (W,)."""
    ends, neurons, stop = [], [], count
    for part in users:
        index = part.links[weight].index if weight in part.links else None
        if index is None:  # one weight a synapse, or one for all
            ends.append(np.arange(part.i.size) % count)
        else:
            ends.append(np.asarray({"i": part.i, "j": part.j, **part.values}[index]))
        neurons.append(stop + part.j)
        stop += int(part.j.max(initial=-1)) + 1
    pairs = np.concatenate(ends), np.concatenate(neurons)
    graph = coo_array((np.ones(pairs[0].size, bool), pairs), shape=(stop, stop))
    return connected_components(graph, directed=False)[1][:count]


def _to_levels(weights: NDArray, scale: NDArray[np.integer], steps: int) -> NDArray:
    """The nearest of 2 steps + 1 levels; weights of one number in `scale` have one largest |w|."""
    largest = np.zeros(scale.max(initial=0) + 1)
    np.maximum.at(largest, scale, np.abs(weights))
    top = np.where(largest > 0, largest, 1)[scale]
    # In this order a largest weight stays what it is, bit by bit, and so does what is quantised already.
    return np.rint(weights / top * steps) / steps * top


def _ternary(weights: NDArray, scale: NDArray[np.integer]) -> NDArray:
    threshold = 0.7 * _means(np.abs(weights), scale)[scale]
    kept = np.abs(weights) > threshold
    size = _means(np.abs(weights[kept]), scale[kept], scale.max(initial=0) + 1)[scale]
    return np.where(kept, np.sign(weights) * size, 0)


def _means(values: NDArray, of: NDArray[np.integer], count: int = 0) -> NDArray:
    counts = np.bincount(of, minlength=count)
    return np.bincount(of, weights=values, minlength=count) / np.maximum(counts, 1)


# Constants


def _has(part: NeuronGroupRecord | SynapsesRecord, name: str) -> bool:
    """Whether the name is a constant of the part: a parameter with a value for each, or a number in its namespace."""
    if name in part.equations:
        equation = part.equations[name]
        numbers = equation.type == PARAMETER and equation.var_type == FLOAT
        return numbers and not {"linked", "shared"} & {*equation.flags}
    value = part.namespace.get(name)
    return isinstance(value, Number | np.ndarray) and np.ndim(value) == 0


def _check_clash(blueprint: Blueprint, name: str, part: NeuronGroupRecord | SynapsesRecord) -> None:
    """A variable of a group is known under its name to its synapses too, where the name may mean something else."""
    if isinstance(part, SynapsesRecord) or name in part.equations:
        return
    for synapses in _chosen(blueprint, None, SynapsesRecord):
        uses = {*synapses.equations, *get_identifiers("\n".join(synapses.code))}
        if part.name in (synapses.source.of, synapses.target.of) and name in uses:
            raise ParameterError(
                f"{name!r} is a constant of {part.name!r} and of its synapses {synapses.name!r} as well; "
                "give it another name in one of them"
            )


def _scattered(
    part: NeuronGroupRecord | SynapsesRecord,
    name: str,
    variation: float,
    distribution: str,
    rng: np.random.Generator,
) -> NeuronGroupRecord | SynapsesRecord:
    """The part with the values of the name times factors of mean 1 and standard deviation `variation`."""
    noise = rng.standard_normal(part.size if isinstance(part, NeuronGroupRecord) else part.i.size)
    if distribution == "normal":
        factor = 1 + variation * noise
    else:
        # exp(N(-s^2 / 2, s^2)) has the mean 1 and the variance exp(s^2) - 1.
        s = np.sqrt(np.log1p(variation**2))
        factor = np.exp(s * noise - s**2 / 2)
    if name in part.equations:
        value = part.values[name]
    else:
        value = part.namespace[name]
        constant = SingleEquation(PARAMETER, name, get_dimensions(value), flags=["constant"])
        others = {other: kept for other, kept in part.namespace.items() if other != name}
        part = changed(part, equations=part.equations + Equations([constant]), namespace=others)
    return _with_value(part, name, np.asarray(value) * factor)


# Spikes on the bus


def _sending(part: NeuronGroupRecord, probability: float) -> NeuronGroupRecord:
    """A group with the event "sent": a spike of this step that is not lost."""
    spiked = part.events.get("sent", "lastspike == t")
    if not spiked.startswith("lastspike == t"):
        raise ParameterError(f"{part.name!r} has an event 'sent' of its own; give it another name")
    part = changed(part, events={**part.events, "sent": f"{spiked} and rand() >= {probability}"})
    if part.refractory is not False:
        return part
    # Brian2 keeps `lastspike` only for groups with a refractory time, and without one takes no notice of this flag.
    equations = Equations([_without_flag(equation, "unless refractory") for equation in part.equations.values()])
    return changed(part, equations=equations, refractory=0 * second)


def _without_flag(equation: SingleEquation, flag: str) -> SingleEquation:
    flags = [other for other in equation.flags if other != flag]
    return SingleEquation(equation.type, equation.varname, equation.dim, equation.var_type, equation.expr, flags)


def _hearing(part: SynapsesRecord) -> SynapsesRecord:
    """Synapses that hear the event "sent" of their source instead of its spikes."""
    pathways = (changed(pathway, event="sent") if _from_afar(pathway) else pathway for pathway in part.pathways)
    return changed(part, pathways=tuple(pathways))


def _from_afar(pathway: PathwayRecord) -> bool:
    """Whether spikes come to this code over the bus."""
    return pathway.prepost == "pre" and pathway.event in ("spike", "sent")
