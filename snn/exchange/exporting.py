"""From any Brian2 network to a NIR graph."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import (
    EventMonitor,
    Network,
    NeuronGroup,
    PoissonGroup,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    StateMonitor,
    Synapses,
)
from brian2.core.namespace import get_local_namespace
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from snn.exchange.connection import Connection, read_connections
from snn.exchange.extra import import_nir
from snn.exchange.grids import find_convolution
from snn.exchange.membrane import INCLUSIVE_THRESHOLD, SOFT_RESET, Membrane, read_membrane
from snn.synapses.wiring import Shape

if TYPE_CHECKING:
    import nir

_MONITORS = (EventMonitor, StateMonitor, PopulationRateMonitor)

# Weights of a dense matrix, as NIR writes them: 1 GiB.
_MOST_WEIGHTS = 2**27


def to_nir(
    network: Network,
    *,
    outputs: Collection[str] | None = None,
    shapes: Mapping[str, Shape] | None = None,
    record: Collection[str] = (),
    namespace: Mapping[str, object] | None = None,
) -> "nir.NIRGraph":
    """The graph that says what a network computes. Numbers are those of the network, in SI units.

    Models are recognised by their equations; the table in `snn.exchange` says what becomes what. Groups without
    equations that nothing reaches are the inputs. Nodes have the names of groups and synapses.

    outputs: names of the groups that are outputs; by default those that send to no other group. shapes: (C, H, W) of
    groups that are grids; between two of them a convolution or a pool is written as such, and not as a matrix of
    everything with everything. record: what NIR has no word for but `from_nir` of this package shall have again:
    "soft reset", "inclusive threshold". namespace: where names are looked up that groups do not hold themselves; by
    default where this is called, as in Brian2.

    Raises InputError, which names the object, for what NIR cannot say; ParameterError; MissingExtraError without nir.
    """
    if namespace is None:
        namespace = get_local_namespace(level=1)
    nir = import_nir()
    if unknown := set(record) - {SOFT_RESET, INCLUSIVE_THRESHOLD}:
        raise ParameterError(f"record names {sorted(unknown)}, expected {SOFT_RESET!r} or {INCLUSIVE_THRESHOLD!r}")
    groups, connections = _read(network, namespace)
    grids = _grids(shapes or {}, groups)
    onto = {name: _onto(name, connections) for name in groups}
    membranes = {
        name: read_membrane(group, onto[name], namespace, record)
        for name, group in groups.items()
        if _has_equations(group) or onto[name] is not None
    }
    dt_s = _step(groups)
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[tuple[str, str]] = []
    for name, group in groups.items():
        shape = grids.get(name, (group.N,))
        if name in membranes:
            nodes[name] = _neuron(nir, name, membranes[name], shape, dt_s)
        else:
            nodes[name] = nir.Input(np.array(shape))
    for connection in connections:
        chain = _chain(nir, connection, grids)
        nodes |= chain
        edges += pairwise([connection.source, *chain, connection.target])
    for name, membrane in membranes.items():
        _add_bias(nir, name, membrane, nodes, edges, dt_s)
    for name in _output_names(outputs, membranes, connections):
        end = "output" if "output" not in nodes else f"{name}_output"
        nodes[end] = nir.Output(np.array(grids.get(name, (groups[name].N,))))
        edges.append((name, end))
    return nir.NIRGraph(nodes, edges, metadata={"dt": dt_s})


def _read(network: Network, namespace: Mapping[str, object]) -> tuple[dict[str, Any], list[Connection]]:
    """Groups by name, and what connects them."""
    groups: dict[str, Any] = {}
    connections: list[Connection] = []
    for part in sorted(network.objects, key=lambda part: part.name):
        if isinstance(part, NeuronGroup | SpikeGeneratorGroup | PoissonGroup):
            groups[part.name] = part
        elif isinstance(part, Synapses):
            connections += read_connections(part, namespace)
        elif not isinstance(part, _MONITORS):
            raise InputError(
                f"{part.name!r} cannot be written as NIR: it is a {type(part).__name__}, expected groups of neurons, "
                "sources of spikes and synapses; remove it from the network"
            )
    ends = {name: link.name for link in connections for name in (link.source, link.target)}
    for name, link in ends.items():
        if name not in groups:
            raise InputError(f"{link!r} connects {name!r}, which is not in the network; add it")
    # Groups may also be mere containers of numbers, to which others are linked.
    return {name: group for name, group in groups.items() if name in ends or _has_equations(group)}, connections


def _grids(shapes: Mapping[str, Shape], groups: Mapping[str, Any]) -> dict[str, Shape]:
    for name, shape in shapes.items():
        if name not in groups or len(shape) != 3 or np.prod(shape) != groups[name].N:
            sizes = {key: group.N for key, group in groups.items()}
            raise ParameterError(
                f"shapes has {name!r}: {tuple(shape)}, expected (C, H, W) of one of the groups {sizes}"
            )
    return {name: tuple(shape) for name, shape in shapes.items()}


def _onto(name: str, connections: Collection[Connection]) -> str | None:
    """The variable of a group that spikes change."""
    found = sorted({connection.onto for connection in connections if connection.target == name})
    if len(found) > 1:
        raise InputError(f"{name!r} cannot be written as NIR: synapses change its {found}; a NIR neuron has one input")
    return found[0] if found else None


def _has_equations(group: Any) -> bool:
    return isinstance(group, NeuronGroup) and bool(group.user_equations.diff_eq_names)


def _step(groups: Mapping[str, Any]) -> float:
    steps = {group.clock.dt_ for group in groups.values()}
    if len(steps) != 1:
        raise InputError(f"the groups have steps of {sorted(steps)} s, expected one dt for all")
    return float(steps.pop())


def _neuron(nir: ModuleType, name: str, membrane: Membrane, shape: Shape, dt_s: float) -> "nir.NIRNode":
    def full(value: NDArray | float) -> NDArray[np.float64]:
        return np.broadcast_to(np.asarray(value, np.float64), int(np.prod(shape))).reshape(shape).copy()

    tau, r, metadata = membrane.tau, membrane.r, {"method": membrane.method}
    if r is None:
        # A spike adds its weight to v, which a current r w of one step does if r = tau/dt.
        r, metadata["onto"] = (1 if tau is None else tau) / dt_s, "v"
    values = {"r": full(r)}
    if tau is not None:
        values |= {"tau" if membrane.tau_syn is None else "tau_mem": full(tau), "v_leak": full(membrane.v_leak)}
    if membrane.tau_syn is not None:
        values |= {"tau_syn": full(membrane.tau_syn), "w_in": full(membrane.tau_syn / dt_s)}
    if membrane.threshold is None:
        kind = "I" if tau is None else "LI" if membrane.tau_syn is None else "CubaLI"
        return getattr(nir, kind)(**values, metadata=metadata)
    if membrane.v_reset is None:
        one_step = membrane.r is not None and membrane.tau_syn is None and np.all(tau == dt_s)
        if one_step and np.all(r == 1) and np.all(membrane.v_leak == 0):
            return nir.Threshold(threshold=full(membrane.threshold))
        raise InputError(f"{name!r} cannot be written as NIR: it has no reset, expected 'v = constant'")
    metadata |= {"reset": "subtract"} if membrane.soft else {}
    metadata |= {"threshold": ">="} if membrane.inclusive else {}
    values |= {"v_threshold": full(membrane.threshold), "v_reset": full(membrane.v_reset)}
    kind = "IF" if tau is None else "LIF" if membrane.tau_syn is None else "CubaLIF"
    return getattr(nir, kind)(**values, metadata=metadata)


def _chain(nir: ModuleType, connection: Connection, grids: Mapping[str, Shape]) -> dict[str, "nir.NIRNode"]:
    """The nodes between source and target, in their order."""
    name, weights = connection.name, connection.weights
    source, target = grids.get(connection.source), grids.get(connection.target)
    chain: dict[str, nir.NIRNode] = {}
    if np.any(connection.delay_s):
        delay_s = np.broadcast_to(connection.delay_s, weights.shape[1]).reshape(source or -1)
        chain[f"{name}_delay"] = nir.Delay(delay_s.copy())
    if target is not None:
        found = source and find_convolution(weights, source, target)
        if not found:
            raise InputError(
                f"{name!r} is no convolution from {connection.source!r} {source} to {connection.target!r} {target}, "
                f"and NIR makes grids in no other way; leave {connection.target!r} out of shapes"
            )
        pads = {"stride": np.array(found.stride), "padding": np.array(found.padding)}
        if found.pool:
            chain[name] = getattr(nir, found.pool)(kernel_size=np.array(found.kernel.shape[2:]), **pads)
        else:
            chain[name] = nir.Conv2d(
                input_shape=source[1:], weight=found.kernel, dilation=np.array([1, 1]),
                groups=1, bias=np.zeros(target[0]), **pads,
            )  # fmt: skip
            # nir 1.0.8 takes the height of a kernel for its width, too.
            chain[name].output_type = {"output": np.array(target)}
        return chain
    if np.prod(weights.shape) > _MOST_WEIGHTS:
        raise InputError(
            f"{name!r} would be a matrix of {weights.shape[0]} x {weights.shape[1]} weights; "
            "give the shapes of the grids that a convolution connects"
        )
    if source is not None:
        chain[f"{name}_flatten"] = nir.Flatten(input_type=np.array(source), start_dim=0)
    chain[name] = nir.Linear(weights.toarray())
    return chain


def _add_bias(
    nir: ModuleType,
    name: str,
    membrane: Membrane,
    nodes: dict[str, "nir.NIRNode"],
    edges: Collection[tuple[str, str]],
    dt_s: float,
) -> None:
    """Put the constant current of a neuron into a node that leads to it."""
    bias = membrane.bias if membrane.tau_syn is None else membrane.bias * dt_s / membrane.tau_syn
    if not np.any(bias):
        return
    bias = np.broadcast_to(bias, int(np.prod(nodes[name].output_type["output"])))
    for key in (source for source, target in edges if target == name):
        node = nodes[key]
        if isinstance(node, nir.Linear):
            nodes[key] = nir.Affine(node.weight, bias.copy())
            return
        if isinstance(node, nir.Conv2d) and np.all((planes := bias.reshape(len(node.bias), -1)) == planes[:, :1]):
            node.bias = planes[:, 0].copy()
            return
    raise InputError(
        f"{name!r} cannot be written as NIR: it has a constant current of its own, expected one that a matrix or a "
        "convolution (then one a channel) that leads to it can have as its bias"
    )


def _output_names(
    outputs: Collection[str] | None, membranes: Collection[str], connections: Collection[Connection]
) -> list[str]:
    if outputs is None:
        sending = {connection.source for connection in connections if connection.source != connection.target}
        outputs = [name for name in membranes if name not in sending]
    if not outputs or set(outputs) - set(membranes):
        raise ParameterError(f"outputs are {sorted(outputs)}, expected some of the neurons {sorted(membranes)}")
    return list(outputs)
