"""NIR graphs in files (HDF5), as the library nir lays them out."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brian2 import Network
from brian2.core.namespace import get_local_namespace

from dvs.errors import FormatError, InputError
from dvs.files.input import one_line
from dvs.new_file import new_file
from snn.exchange.exporting import to_nir
from snn.exchange.extra import import_nir
from snn.exchange.importing import from_nir

if TYPE_CHECKING:
    import h5py


def write_nir(
    path: str | os.PathLike[str],
    network: Network,
    *,
    overwrite: bool = False,
    namespace: Mapping[str, object] | None = None,
    **options: Any,
) -> None:
    """Write a network as a NIR file; options are those of `to_nir`.

    Raises what `to_nir` raises, and OutputError where the file exists or cannot be written.
    """
    nir = import_nir()
    graph = to_nir(network, namespace=get_local_namespace(level=1) if namespace is None else namespace, **options)
    with new_file(path, overwrite=overwrite) as temporary:
        nir.write(temporary, graph)


def read_nir(path: str | os.PathLike[str], **options: Any) -> Network:
    """The network that a NIR file says; options are those of `from_nir`.

    Raises what `from_nir` raises, and FormatError for a file that is no NIR graph.
    """
    import h5py

    nir = import_nir()
    path = Path(path)
    with one_line(path):
        with h5py.File(path) as file:
            (_, outermost), *inner = _kinds(file["node"], "")
        if outermost != "NIRGraph":
            raise FormatError(f"{path} holds one {outermost}, expected a graph of nodes")
        for name, kind in inner:
            if kind not in nir.ir.__all__:
                raise InputError(f"the node {name!r} is a {kind}, which nir {nir.version} does not know")
        # `from_nir` looks after shapes: files by others often leave them open.
        graph = nir.read(path, type_check=False)
    return from_nir(graph, **options)


def _kinds(node: "h5py.Group", name: str) -> Iterator[tuple[str, str]]:
    """Name and type of a node and of all nodes in it."""
    yield name, node["type"][()].decode()
    for key, inner in node.get("nodes", {}).items():
        yield from _kinds(inner, f"{name}.{key}".lstrip("."))
