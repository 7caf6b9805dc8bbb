"""From a NIR graph to a Brian2 network of ordinary groups and synapses."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np
from brian2 import Clock, Network, Quantity, SpikeGeneratorGroup, have_same_dimensions, second
from brian2.core.spikesource import SpikeSource
from scipy import sparse

from dvs.errors import ParameterError
from snn.exchange.cells import Reset, cell
from snn.exchange.graph import NEURONS, Constant, FlatGraph, Paths
from snn.synapses.connect import connect
from snn.synapses.wiring import Wiring

if TYPE_CHECKING:
    import nir


def from_nir(
    graph: "nir.NIRGraph",
    *,
    dt: Quantity | None = None,
    reset: Reset = "file",
    inputs: Mapping[str, SpikeSource] | None = None,
) -> Network:
    """A Brian2 network that computes what the graph says, in steps of dt.

    Each neuron becomes a NeuronGroup, each Input a SpikeGeneratorGroup without spikes, which `set_spikes` fills, and
    what leads from one to another Synapses. `network["name"]` is the group of a node, with "_" for what a name cannot
    have; a name that begins with a digit gets the node's type in front ("lif_1").

    dt: the step; by default the one that `to_nir` wrote down. Files by snnTorch have 0.1 ms. reset: "file" sets v to
    v_reset, or subtracts where `to_nir` wrote that down; "subtract" lowers v by v_threshold - v_reset;
    "subtract-late" does so one step later, as snnTorch's Leaky does by default. inputs: groups of your own for Input
    nodes, such as {"input": EventInput(...).group}.

    Raises InputError, which names the node, for what Brian2 cannot say; ParameterError for arguments that do not fit.
    """
    if reset not in get_args(Reset):
        raise ParameterError(f"reset is {reset!r}, expected one of {', '.join(get_args(Reset))}")
    if type(graph).__name__ != "NIRGraph":
        raise ParameterError(f"the graph is a {type(graph).__name__}, expected a NIRGraph; read_nir takes a path")
    for name, group in (inputs or {}).items():
        if not isinstance(group, SpikeSource):
            raise ParameterError(f"the input {name!r} is a {type(group).__name__}, expected a group of Brian2")
    flat = FlatGraph(graph)
    clock = _clock(_step(graph, dt), inputs or {})
    names = _names(flat)
    groups: dict[str, SpikeSource] = {
        name: SpikeGeneratorGroup(flat.size(name), [], [] * second, clock=clock, name=names[name])
        for name in flat.of("Input")
    }
    for name, group in (inputs or {}).items():
        if name not in groups or len(group) != len(groups[name]):
            sizes = {key: len(value) for key, value in groups.items()}
            raise ParameterError(f"inputs names {name!r} with {len(group)} neurons; the graph's inputs are {sizes}")
        groups[name] = group
    reaching = {name: flat.reaching(name) for name in flat.of(*NEURONS)}
    cells = {
        name: cell(name, flat.kind(name), flat.nodes[name], constant, clock.dt_, reset)
        for name, (_, constant) in reaching.items()
    }
    groups |= {name: cell.group(flat.size(name), names[name], clock) for name, cell in cells.items()}
    synapses = [
        connect(
            groups[source], groups[name], wiring, onto=cell.onto, delay=delay, name=f"{names[source]}_to_{names[name]}"
        )
        for name, cell in cells.items()
        for source, wiring, delay in _connections(flat, name, reaching[name][0], cell.gain)
    ]
    return Network(*groups.values(), *synapses)


def _connections(
    flat: FlatGraph, name: str, paths: Paths, gain: Constant
) -> Iterator[tuple[str, Wiring, Quantity | None]]:
    """Of each source that reaches a neuron: the wiring, with the gain in its weights, and the delays."""
    kernel = flat.kernel(name) if np.all(gain == np.ravel(gain)[0]) else None
    if kernel is not None:
        source, wiring = kernel
        yield source, replace(wiring, weights=wiring.weights * np.ravel(gain)[0]), None
        return
    scale = sparse.diags_array(np.broadcast_to(gain, flat.size(name)))
    for source in dict.fromkeys(source for source, _ in paths):
        parts = {delay_s: (scale @ matrix).tocoo() for (of, delay_s), matrix in paths.items() if of == source}
        for part in parts.values():
            part.eliminate_zeros()
        delay = np.repeat(list(parts), [part.nnz for part in parts.values()]) * second
        wiring = Wiring(
            pre=np.concatenate([part.col for part in parts.values()]),
            post=np.concatenate([part.row for part in parts.values()]),
            weights=np.concatenate([part.data for part in parts.values()]),
            in_shape=(flat.size(source),),
            out_shape=(flat.size(name),),
        )
        yield source, wiring, (next(iter(parts)) * second or None) if len(parts) == 1 else delay


def _step(graph: "nir.NIRGraph", dt: Quantity | None) -> Quantity:
    if dt is None and "dt" not in graph.metadata:
        raise ParameterError(
            "the graph does not say in what steps it was made; give dt, such as dt=0.1*ms for snnTorch"
        )
    step = float(graph.metadata["dt"]) * second if dt is None else dt
    if not (have_same_dimensions(step, second) and np.ndim(step) == 0 and step > 0 * second):
        raise ParameterError(f"dt is {step}, expected one time of more than 0")
    return step


def _clock(dt: Quantity, inputs: Mapping[str, SpikeSource]) -> Clock:
    clocks = [group.clock for group in inputs.values()]
    for name, clock in zip(inputs, clocks, strict=True):
        if not np.isclose(clock.dt_, float(dt), rtol=1e-9, atol=0):
            raise ParameterError(f"the input {name!r} has steps of {clock.dt}, the graph of {dt}; give both the same")
    return clocks[0] if clocks else Clock(dt)


def _names(flat: FlatGraph) -> dict[str, str]:
    """Names that Brian2 takes, each once."""
    names: dict[str, str] = {}
    for node in flat.of("Input", *NEURONS):
        name = re.sub(r"\W", "_", node, flags=re.ASCII)
        if not name[:1].isalpha():
            name = f"{flat.kind(node).lower()}_{name.lstrip('_')}"
        while name in names.values():
            name += "_"
        names[node] = name
    return names
