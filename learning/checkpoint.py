"""A training on disk: all that is needed to go on after an epoch as if nothing had happened.

    /                      attributes: format, version, microsaccade, steps (of the optimiser)
    /settings              attributes: what the training was asked to do, each as a text
    /parameters/S1.w       a parameter at the end of the epoch
    /best/S1.w             the same at the end of the best epoch
    /optimiser/S1.w/mean   what the optimiser remembers of a parameter
    /history/loss          a column of the history, one number an epoch
    /history/spikes/hidden

It is a plain HDF5 file. A whole Brian2 network, trained or not, is saved by `snn.checkpoint`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError, InputError
from dvs.files.hdf5 import new_hdf5
from dvs.files.input import one_line
from dvs.new_file import clear_errors, new_file
from learning.history import History
from learning.optimisers import State

if TYPE_CHECKING:
    import h5py

_FORMAT, _VERSION = "microsaccade training", 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """Where a training stands at the end of an epoch; `best` are the parameters of the best epoch so far."""

    parameters: Mapping[str, NDArray]
    best: Mapping[str, NDArray]
    state: State
    history: History


def write(path: Path, snapshot: Snapshot, settings: Mapping[str, str], *, overwrite: bool) -> None:
    """Write a snapshot; the file appears, or is replaced, whole or not at all. Raises `OutputError`."""
    with new_file(path, overwrite=overwrite) as temporary, clear_errors(path), new_hdf5(temporary) as (file, _):
        file.attrs.update(
            format=_FORMAT, version=_VERSION, microsaccade=version("microsaccade"), steps=snapshot.state.steps
        )
        file.create_group("settings").attrs.update(settings)
        file.create_group("parameters").update(snapshot.parameters)
        file.create_group("best").update(snapshot.best)
        for name, memory in snapshot.state.memory.items():
            file.create_group(f"optimiser/{name}").update(memory)
        file.create_group("history").update(snapshot.history.columns())
        file.create_group("history/spikes").update(snapshot.history.spikes)


def read(path: Path, settings: Mapping[str, str]) -> Snapshot:
    """The snapshot in a file.

    Raises `InputError` if it is of a training with other settings, `FormatError` if the file is none of these.
    """
    import h5py

    with one_line(path), h5py.File(path) as file:
        kind = file.attrs.get("format")
        if kind != _FORMAT:
            raise FormatError(f"{path} has the format {kind!r}, expected {_FORMAT!r}, as learning.fit writes it")
        if file.attrs["version"] != _VERSION:
            raise FormatError(f"{path} has version {file.attrs['version']}, expected {_VERSION}; update microsaccade")
        _compare(dict(file["settings"].attrs), settings)
        columns = {name: item[()] for name, item in file["history"].items() if name != "spikes"}
        return Snapshot(
            parameters=_arrays(file["parameters"]),
            best=_arrays(file["best"]),
            state=State(
                steps=int(file.attrs["steps"]),
                memory={name: _arrays(memory) for name, memory in file["optimiser"].items()},
            ),
            history=History(**columns, spikes=_arrays(file["history/spikes"])),
        )


def _compare(stored: Mapping[str, str], here: Mapping[str, str]) -> None:
    differences = [
        f"{name} is {stored.get(name)} in the file, {here.get(name)} here"
        for name in sorted(stored.keys() | here.keys())
        if stored.get(name) != here.get(name)
    ]
    if differences:
        raise InputError(f"{'; '.join(differences)}; go on with the same settings, or give another file")


def _arrays(group: "h5py.Group") -> dict[str, NDArray]:
    return {name: np.array(item) for name, item in group.items()}
