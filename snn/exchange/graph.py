"""A NIR graph seen from its neurons: what reaches each of them, from where, through which matrix."""

from collections.abc import Iterator
from dataclasses import fields
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dvs.errors import InputError
from snn.exchange.operators import OPERATORS, Operator, operator, shared_kernel
from snn.synapses.wiring import Shape, Wiring

if TYPE_CHECKING:
    import nir

SPIKING = ("LIF", "CubaLIF", "IF", "Threshold")
NEURONS = (*SPIKING, "LI", "CubaLI", "I")
_SOURCES = ("Input", *NEURONS)
_WIRE = "end of an inner graph"
_KNOWN = (*_SOURCES, *OPERATORS, "Delay", "Output", _WIRE)

# By source and delay in seconds, the matrix (n_post, n_source).
Paths = dict[tuple[str, float], sparse.csr_array]
Constant = NDArray[np.float64] | float


def numbers(node: "nir.NIRNode") -> dict[str, NDArray[np.float64]]:
    """The fields of a NIR neuron, as the node has them."""
    kept = (field.name for field in fields(node) if field.name not in ("input_type", "output_type", "metadata"))
    return {name: np.asarray(getattr(node, name), np.float64) for name in kept}


class FlatGraph:
    """The nodes of a graph and of its inner graphs; raises InputError for what Brian2 cannot say."""

    def __init__(self, graph: "nir.NIRGraph") -> None:
        self.nodes: dict[str, nir.NIRNode] = {}
        self._wires: set[str] = set()
        edges = list(dict.fromkeys(self._unfold(graph)))
        for name in self.nodes:
            if self.kind(name) not in _KNOWN:
                raise InputError(f"the node {name!r} is a {self.kind(name)}, which cannot be said in Brian2")
        for edge in edges:
            self._check_edge(*edge)
        self._before = {name: [source for source, target in edges if target == name] for name in self.nodes}
        self._check_loops()
        self._operators: dict[str, Operator] = {}
        self._shapes: dict[str, Shape] = {}
        self._find_shapes()
        for source, target in edges:
            self._check_size(source, target)

    def kind(self, name: str) -> str:
        """The type of a node."""
        return _WIRE if name in self._wires else type(self.nodes[name]).__name__

    def of(self, *kinds: str) -> list[str]:
        """The names of the nodes of these types."""
        return [name for name in self.nodes if self.kind(name) in kinds]

    def size(self, name: str) -> int:
        """How many values a node puts out."""
        return int(np.prod(self._shapes[name]))

    def reaching(self, name: str) -> tuple[Paths, Constant]:
        """What comes into a node from inputs and neurons, and a constant, () or (n,), besides."""
        paths: Paths = {}
        constant: Constant = 0.0
        for source in self._before[name]:
            through, bias = self._passing(source)
            for way, matrix in through.items():
                paths[way] = paths[way] + matrix if way in paths else matrix
            constant = constant + bias
        return paths, constant

    def kernel(self, name: str) -> tuple[str, Wiring] | None:
        """The source and the shared weights of a node that one plain convolution reaches and nothing else."""
        convolution = self._reshaped(name)
        source = convolution and self._reshaped(convolution)
        if source is None or self.kind(source) not in _SOURCES:
            return None
        wiring = shared_kernel(convolution, self.nodes[convolution], self._shapes[self._before[convolution][0]])
        return wiring and (source, wiring)

    def _reshaped(self, name: str) -> str | None:
        """What comes into a node, apart from changes of its shape; None if there are several."""
        before = self._before[name]
        if len(before) != 1:
            return None
        return self._reshaped(before[0]) if self.kind(before[0]) in ("Flatten", _WIRE) else before[0]

    def _passing(self, name: str) -> tuple[Paths, Constant]:
        kind = self.kind(name)
        if kind in _SOURCES:
            return {(name, 0.0): sparse.eye_array(self.size(name), format="csr")}, 0.0
        paths, constant = self.reaching(name)
        if kind == _WIRE:
            return paths, constant
        if kind == "Delay":
            delay_s = np.broadcast_to(np.ravel(self.nodes[name].delay), self.size(name))
            return {
                (source, before_s + float(value)): sparse.diags_array((delay_s == value) * 1.0, format="csr") @ matrix
                for (source, before_s), matrix in paths.items()
                for value in np.unique(delay_s)
            }, constant
        matrix, bias, _ = self._operators[name]
        if np.ndim(constant):
            bias = bias + matrix @ constant
        return {way: matrix @ before for way, before in paths.items()}, bias

    def _unfold(self, graph: "nir.NIRGraph", prefix: str = "") -> Iterator[tuple[str, str]]:
        """The edges between the innermost nodes."""
        ends = {}
        for key, node in graph.nodes.items():
            name = f"{prefix}{key}"
            if type(node).__name__ == "NIRGraph":
                yield from self._unfold(node, f"{name}.")
                ends[key] = [
                    [f"{name}.{inner}" for inner, it in node.nodes.items() if type(it).__name__ == kind]
                    for kind in ("Input", "Output")
                ]
                if [len(end) for end in ends[key]] != [1, 1]:
                    raise InputError(f"the inner graph {name!r} has not one Input and one Output, which is expected")
            else:
                self.nodes[name] = node
                ends[key] = [[name], [name]]
                if prefix and type(node).__name__ in ("Input", "Output"):
                    self._wires.add(name)
        for edge in graph.edges:
            for key in edge:
                if key not in ends:
                    raise InputError(f"an edge names the node {prefix + key!r}, which the graph does not have")
            yield ends[edge[0]][1][0], ends[edge[1]][0][0]

    def _check_edge(self, source: str, target: str) -> None:
        if self.kind(target) == "Output":
            if self.kind(source) not in (*NEURONS, _WIRE, "Flatten"):
                raise InputError(
                    f"the output {target!r} comes from {source!r} ({self.kind(source)}), expected from a neuron, "
                    "as Brian2 has no current without a neuron to take it; put an LI node in between"
                )
        elif self.kind(source) in set(NEURONS) - set(SPIKING):
            raise InputError(
                f"{source!r} ({self.kind(source)}) does not spike, but {target!r} ({self.kind(target)}) takes what it "
                "puts out; synapses carry spikes only"
            )

    def _check_loops(self) -> None:
        passing = {
            name: [source for source in before if self.kind(source) not in _SOURCES]
            for name, before in self._before.items()
            if self.kind(name) not in _SOURCES
        }
        try:
            TopologicalSorter(passing).prepare()
        except CycleError as error:
            raise InputError(
                f"the nodes {error.args[1]} form a loop without a neuron, which has no solution"
            ) from error

    def _find_shapes(self) -> None:
        missing = list(self.nodes)
        while missing:
            for name in missing:
                shape = self._find_shape(name)
                if shape is not None:
                    self._shapes[name] = shape
            left = [name for name in missing if name not in self._shapes]
            if left == missing:
                raise InputError(f"the shape of {left[0]!r} ({self.kind(left[0])}) cannot be known: nothing reaches it")
            missing = left

    def _check_size(self, source: str, target: str) -> None:
        takes = self._operators[target].matrix.shape[1] if target in self._operators else self.size(target)
        if self.size(source) != takes:
            raise InputError(
                f"{target!r} ({self.kind(target)}) takes {takes} values, but {source!r} ({self.kind(source)}) gives "
                f"{self.size(source)}"
            )

    def _find_shape(self, name: str) -> Shape | None:
        kind, node = self.kind(name), self.nodes[name]
        if kind == "Input":
            return tuple(int(size) for size in node.input_type["input"])
        own = np.broadcast_shapes(*(np.shape(value) for value in numbers(node).values())) if kind in NEURONS else ()
        if np.prod(own) > 1 or (kind in NEURONS and not self._before[name]):
            return own
        before = next((self._shapes[source] for source in self._before[name] if source in self._shapes), None)
        if before is not None and kind in OPERATORS:
            self._operators[name] = operator(name, node, before)
            return self._operators[name].shape
        return before
