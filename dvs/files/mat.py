"""MATLAB's .mat with the columns x, y, p and t. Read only: version 5 by itself, 7.3, which is HDF5, through h5py.

Taken are four vectors of one length (x, y; t, ts or timestamp; p, pol or polarity), as variables or as the fields of
one struct, or one matrix with four columns, or rows, in any order: p is the one of -1, 0 and 1, t the one that never
decreases, x comes before y. Whole times are microseconds, others seconds. Coordinates are taken as they are, from 0.

Layout of version 5: MathWorks, "MAT-File Format". It is read here because SciPy's reader takes gigabytes for, or even
crashes at, a few damaged bytes. The file is read as a whole: MATLAB compresses each variable in one piece.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError
from dvs.events import EventArray
from dvs.files.attributes import events_from_columns
from dvs.files.format import Format
from dvs.files.hdf5 import opened
from dvs.files.hdf5_chunks import array_of
from dvs.files.spool import BLOCK
from dvs.files.text import ALIASES, MAX_SECONDS_US

NAMES = {"ts": "t", **ALIASES}
MATRIX, COMPRESSED = 14, 15  # types of elements
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
STRUCT, NUMBERS = 2, range(6, 16)  # classes of matrices
MARKS = (b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")


def blocks(path: Path) -> Iterator[EventArray]:
    """The events, `BLOCK` at a time."""
    columns = _columns(_variables(path), path)
    for first in range(0, len(columns[0]), BLOCK):
        yield events_from_columns(*(column[first : first + BLOCK] for column in columns))


def _variables(path: Path) -> dict[str, Any]:
    """All variables: arrays, or structs as dictionaries of arrays."""
    with path.open("rb") as file:
        is_hdf5 = file.read(len(MARKS[1])) == MARKS[1]
    try:
        return _variables_hdf5(path) if is_hdf5 else _variables_5(path)
    except MemoryError as error:
        raise FormatError(f"{path} is damaged: a variable is larger than the memory") from error
    except Exception as error:  # damaged bytes make anything wrong
        reason = " ".join(str(error).split())
        raise FormatError(f"{path} cannot be read: {reason:.300}; it is cut short or damaged") from error


def _variables_5(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    order = "<" if content[126:128] == b"IM" else ">"
    variables = {}
    for kind, data in _elements(content[128:], order):
        packed = _elements(zlib.decompress(data), order) if kind == COMPRESSED else [(kind, data)]
        variables.update(_matrix(item, order) for is_a, item in packed if is_a == MATRIX)
    return variables


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of elements that follow each other; those of up to four bytes lie in their own head."""
    at = 0
    while at < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:
            yield kind & 0xFFFF, content[at + 4 : at + 4 + min(kind >> 16, 4)]
            at += 8
            continue
        if at + 8 + size > len(content):
            raise ValueError(f"an element of {size} bytes does not end where it should")
        yield kind, content[at + 8 : at + 8 + size]
        at += 8 + size + (0 if kind == COMPRESSED else -size % 8)


def _matrix(content: bytes, order: str) -> tuple[str, Any]:
    """Name and value of a matrix: an array, for a struct a dictionary, None for anything else.

    Its elements are flags with the class, dimensions, name, and for numbers one that holds them, column after column;
    for a struct the length of field names, the names, and a matrix for each.
    """
    (_, flags), (_, dimensions), (_, name), *rest = _elements(content, order)
    shape = np.frombuffer(dimensions, f"{order}i4")
    kind = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    value: Any = None
    if kind == STRUCT and (shape == 1).all():
        (_, width), (_, names), *fields = rest
        step = struct.unpack_from(f"{order}i", width)[0]
        labels = [names[at : at + step].split(b"\0")[0].decode("latin-1") for at in range(0, len(names), max(step, 1))]
        value = dict(zip(labels, (_matrix(item, order)[1] for _, item in fields), strict=True))
    elif kind in NUMBERS and rest:
        stored, data = rest[0]
        value = np.frombuffer(data, f"{order}{STORED[stored]}").reshape(shape[::-1]).T
    return name.decode("latin-1"), value


def _variables_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    def arrays(group: h5py.Group) -> dict[str, Any]:
        sets = {name: item for name, item in group.items() if isinstance(item, h5py.Dataset)}
        sets = {name: item for name, item in sets.items() if item.ndim and item.dtype.kind in "biuf"}
        return {name: array_of(item).T for name, item in sets.items()}  # MATLAB's order

    with opened(path) as file:
        structs = {name: arrays(item) for name, item in file.items() if isinstance(item, h5py.Group)}
        return arrays(file) | structs


def _columns(variables: Mapping[str, Any], path: Path) -> list[NDArray[Any]]:
    """x, y, t in microseconds and p, each (N,)."""
    for candidate in (variables, *(value for value in variables.values() if isinstance(value, Mapping))):
        lowered = {NAMES.get(name.lower(), name.lower()): value for name, value in candidate.items()}
        if set("xytp") <= set(lowered):
            columns = [np.asarray(lowered[name]) for name in "xytp"]
            break
    else:
        matrices = [np.asarray(value) for value in variables.values() if not isinstance(value, Mapping)]
        columns = next((_of_matrix(item, path) for item in matrices if item.ndim == 2 and 4 in item.shape), [])
    if not columns:
        names = ", ".join(variables) or "none"
        raise FormatError(f"{path} has the variables {names:.200}; expected x, y, t and p, or a matrix of four columns")
    if len({column.size for column in columns}) > 1 or any(column.dtype.kind not in "biuf" for column in columns):
        raise FormatError(f"{path}: x, y, t and p are not four columns of numbers of one length")
    x, y, t, p = (column.ravel() for column in columns)
    return [_whole(x, path), _whole(y, path), _microseconds(t, path), _whole(p, path)]


def _of_matrix(matrix: NDArray[Any], path: Path) -> list[NDArray[Any]]:
    columns = list(matrix.T if matrix.shape[1] == 4 else matrix)
    signs = [k for k, column in enumerate(columns) if np.isin(column, (-1, 0, 1)).all()]
    rising = [k for k, column in enumerate(columns) if k not in signs and (column[1:] >= column[:-1]).all()]
    if len(signs) != 1 or len(rising) != 1:
        raise FormatError(f"{path}: the matrix of four columns does not show which is t and which p; name the columns")
    places = [k for k in range(4) if k not in (signs[0], rising[0])]
    return [columns[k] for k in (*places, rising[0], signs[0])]


def _microseconds(t: NDArray[Any], path: Path) -> NDArray[Any]:
    if t.dtype.kind == "f" and not (t == np.rint(t)).all():
        with np.errstate(all="ignore"):  # infinity is refused below
            t = np.rint(t.astype(np.float64) * 1e6)
    return _whole(t, path)


def _whole(column: NDArray[Any], path: Path) -> NDArray[Any]:
    """MATLAB keeps whole numbers as float64, too."""
    if column.dtype.kind != "f":
        return column
    column = column.astype(np.float64)  # to which the limit is not infinite
    if not ((column == np.rint(column)) & (np.abs(column) < MAX_SECONDS_US)).all():
        raise FormatError(f"{path} has coordinates, times or polarities that are not whole numbers, or too large")
    return column.astype(np.int64)


def recognises(path: Path) -> bool:
    """Whether the file begins with the text of MATLAB 5 or 7.3."""
    with path.open("rb") as file:
        return file.read(len(MARKS[0])) in MARKS


FORMAT = Format(
    name="mat", suffixes=(".mat",), recognises=recognises, blocks=blocks, loses=("size", "span", "provenance")
)  # fmt: skip
