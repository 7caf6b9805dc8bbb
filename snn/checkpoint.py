"""A checkpoint: what a network has learned, in a plain HDF5 file.

    /                      attributes: format, version, microsaccade, brian2
    /hidden                a NeuronGroup, PoissonGroup or Synapses; attributes: kind, size, equations
    /hidden/v              a variable that the equations declare; attribute: unit
    /synapses/i, /synapses/j   the pairs, counted within source and target
    /synapses/w            one number a synapse
    /synapses/pre/delay    the delay of the pathway `pre`: one number, or one a synapse

Numbers are in SI units, so that h5py alone is enough to use them. A linked variable is stored once, with the group that
owns it. Left out is what belongs to a run and not to a network: the time, when a neuron last spiked, spikes on their
way, what monitors have recorded, events shown to an input.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Network
from brian2.core.variables import ArrayVariable
from brian2.equations.equations import SUBEXPRESSION
from numpy.typing import NDArray

from dvs.errors import FormatError, InputError
from dvs.files.hdf5 import COMPRESSION, new_hdf5
from dvs.files.input import one_line
from dvs.new_file import clear_errors, new_file
from snn.blueprint import NeuronGroupRecord, Part, PoissonGroupRecord, SynapsesRecord, describe
from snn.blueprint.part import Values
from snn.parameters import unit_text

if TYPE_CHECKING:
    import h5py

_FORMAT, _VERSION = "microsaccade checkpoint", 1


def save(network: Network, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write the weights, parameters and states of all groups and synapses of a network.

    The file appears whole or not at all. Raises `OutputError` if it exists (unless `overwrite`) or cannot be written.
    """
    with new_file(path, overwrite=overwrite) as temporary, clear_errors(Path(path)), new_hdf5(temporary) as (file, _):
        versions = {name: version(name) for name in ("microsaccade", "brian2")}
        file.attrs.update(format=_FORMAT, version=_VERSION, **versions)
        for name, kept in _of_network(network).items():
            group = file.create_group(name)
            group.attrs.update(kind=kept.kind, size=kept.size, equations=kept.equations)
            for variable, numbers in kept.arrays.items():
                options = COMPRESSION if numbers.size > 1 else {}
                group.create_dataset(variable, data=numbers, **options).attrs["unit"] = kept.units[variable]


def load(network: Network, path: str | os.PathLike[str]) -> None:
    """Give a network the weights, parameters and states of a checkpoint.

    Everything is compared before anything is changed. Raises `InputError` if the checkpoint is of another network,
    one whose groups have other names, sizes or equations, or whose synapses connect other pairs; `FormatError` if the
    file is no checkpoint.
    """
    path = Path(path)
    with one_line(path):
        stored = _of_file(path)
    difference = next(_differences(stored, _of_network(network)), None)
    if difference is not None:
        raise InputError(f"{path} is the checkpoint of another network: {difference}")
    for name, kept in stored.items():
        for variable in kept.arrays.keys() - kept.pairs:
            _variable(network, name, variable).set_value(kept.arrays[variable])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kept:
    """What a checkpoint knows of a group or of synapses; arrays by name, a delay as 'pathway/delay'."""

    kind: str
    size: int
    equations: str
    arrays: dict[str, NDArray]
    units: dict[str, str]

    @property
    def pairs(self) -> set[str]:
        """The arrays that say which neurons are connected, and are compared, not loaded."""
        return {"i", "j"} if self.kind == "Synapses" else set()


def _of_network(network: Network) -> dict[str, _Kept]:
    kept = {name: _of_part(part) for name, part in describe(network).parts.items()}
    return {name: each for name, each in kept.items() if each is not None}


def _of_part(part: Part) -> _Kept | None:
    match part:
        case NeuronGroupRecord():
            kind, size, equations, values = "NeuronGroup", part.size, str(part.equations), _declared(part)
        case PoissonGroupRecord(rates=str()):
            kind, size, equations, values = "PoissonGroup", part.size, part.rates, {}
        case PoissonGroupRecord():
            kind, size, equations, values = "PoissonGroup", part.size, "", {"rates": part.rates}
        case SynapsesRecord():
            kind, size, equations = "Synapses", part.i.size, str(part.equations)
            delays = {f"{pathway.name}/delay": pathway.delay for pathway in part.pathways}
            values = {"i": part.i, "j": part.j, **_declared(part), **delays}
        case _:
            return None
    return _Kept(
        kind=kind,
        size=size,
        equations=equations,
        arrays={name: np.asarray(value) for name, value in values.items()},
        units={name: unit_text(value) for name, value in values.items()},
    )


def _declared(part: NeuronGroupRecord | SynapsesRecord) -> Values:
    """The values that the equations ask for, and that cannot be computed from others."""
    asked = {name for name, equation in part.equations.items() if equation.type != SUBEXPRESSION}
    return {name: value for name, value in part.values.items() if name in asked}


def _of_file(path: Path) -> dict[str, _Kept]:
    import h5py

    with h5py.File(path) as file:
        kind = file.attrs.get("format")
        if kind != _FORMAT:
            raise FormatError(f"{path} has the format {kind!r}, expected {_FORMAT!r}, as snn.checkpoint.save writes it")
        if file.attrs["version"] != _VERSION:
            raise FormatError(f"{path} has version {file.attrs['version']}, expected {_VERSION}; update microsaccade")
        return {name: _of_group(group) for name, group in file.items()}


def _of_group(group: "h5py.Group") -> _Kept:
    found: list[tuple[str, h5py.Dataset | h5py.Group]] = []
    group.visititems(lambda name, item: found.append((name, item)))
    datasets = {name: item for name, item in found if hasattr(item, "shape")}
    return _Kept(
        kind=group.attrs["kind"],
        size=int(group.attrs["size"]),
        equations=group.attrs["equations"],
        arrays={name: dataset[()] for name, dataset in datasets.items()},
        units={name: dataset.attrs["unit"] for name, dataset in datasets.items()},
    )


def _differences(stored: dict[str, _Kept], here: dict[str, _Kept]) -> Iterator[str]:
    """Ways in which a file and a network differ, each looked for only if there are none before it."""
    yield from _only_in_one(stored.keys(), here.keys(), "groups and synapses")
    for name, kept in stored.items():
        other = here[name]
        if (kept.kind, kept.size) != (other.kind, other.size):
            yield f"{name!r} is {kept.kind} of size {kept.size} in the file, {other.kind} of size {other.size} here"
        yield from _only_in_one(kept.equations.splitlines(), other.equations.splitlines(), f"the equations of {name!r}")
        yield from _only_in_one(kept.arrays.keys(), other.arrays.keys(), f"the variables of {name!r}")
        for variable, numbers in kept.arrays.items():
            one, two = (f"{each.arrays[variable].shape} {each.units[variable]}" for each in (kept, other))
            if one != two:
                yield f"{variable!r} of {name!r} is {one} in the file, {two} here"
            if variable in kept.pairs and not np.array_equal(numbers, other.arrays[variable]):
                k = int(np.argmax(numbers != other.arrays[variable]))
                yield (
                    f"synapse {k} of {name!r} has {variable} = {numbers[k]} in the file, "
                    f"{other.arrays[variable][k]} here"
                )


def _only_in_one(stored: Collection[str], here: Collection[str], what: str) -> Iterator[str]:
    missing, added = ([text for text in one if text not in two] for one, two in ((stored, here), (here, stored)))
    if missing or added:
        yield f"{what}: only in the file {', '.join(missing) or 'nothing'}, only here {', '.join(added) or 'nothing'}"


def _variable(network: Network, name: str, variable: str) -> ArrayVariable:
    *pathway, last = variable.split("/")
    owner = getattr(network[name], pathway[0]) if pathway else network[name]
    return owner.variables[last]
