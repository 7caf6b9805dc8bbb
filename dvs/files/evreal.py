"""The folder of .npy files that EVREAL and its relatives read, memory-mapped.

Layout (Ercan et al. 2023, EVREAL's dataset.py): events_ts.npy, float64 seconds (N,); events_xy.npy, int16 (N, 2);
events_p.npy, bool (N,); metadata.json with sensor_resolution, height first. Watched span and provenance stand in
metadata.json, where EVREAL does not look. Frames (images.npy and others) are left alone.

Times are rounded to microseconds, so those written from microseconds come back exactly.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError
from dvs.events import EventArray
from dvs.files.attributes import Attributes, events_from_columns
from dvs.files.format import Format
from dvs.files.spool import BLOCK, Spool
from dvs.files.text import MAX_SECONDS_US

COLUMNS = {"events_ts": "<f8", "events_xy": "<i2", "events_p": "|b1"}
METADATA = "metadata.json"


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write a folder; what `path` is before is replaced where it is a file, and filled where it is a folder."""
    if path.is_file():
        path.unlink()
    path.mkdir(exist_ok=True)
    for name, kind in COLUMNS.items():
        shape = (len(spool), 2) if name == "events_xy" else (len(spool),)
        with (path / f"{name}.npy").open("wb") as file:
            header = {"descr": kind, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in spool:
                file.write(_column(name, block).astype(kind).tobytes())
    rest = {name: attributes[name] for name in ("start_us", "stop_us", "provenance")}
    resolution = [attributes["height"], attributes["width"]]
    (path / METADATA).write_text(json.dumps({"sensor_resolution": resolution} | rest), encoding="utf-8")


def _column(name: str, block: EventArray) -> NDArray[Any]:
    if name == "events_ts":
        return block["t"] / 1e6
    if name == "events_xy":
        return np.stack([block["x"], block["y"]], axis=1)
    return block["p"]


def attributes(path: Path) -> Mapping[str, Any]:
    """Sensor size, and what `write` put beside it; the metadata may be missing."""
    if not (path / METADATA).is_file():
        return {}
    try:
        kept = json.loads((path / METADATA).read_text(encoding="utf-8"))
        height, width = kept["sensor_resolution"]
        known = {name: kept[name] for name in ("start_us", "stop_us", "provenance") if name in kept}
        return {"width": int(width), "height": int(height), **known}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FormatError(f"{path / METADATA} has no sensor_resolution of height and width") from error


def blocks(path: Path) -> Iterator[EventArray]:
    """The events, `BLOCK` at a time."""
    t, xy, p = (_array(path / f"{name}.npy") for name in COLUMNS)
    if xy.shape[-1:] != (2,):
        raise FormatError(f"{path / 'events_xy.npy'} has shape {xy.shape}, expected an array of (events, 2)")
    t, xy, p = t.ravel(), xy.reshape(-1, 2), p.ravel()
    if not len(t) == len(xy) == len(p):
        raise FormatError(
            f"{path} has {len(t)} times, {len(xy)} places, {len(p)} polarities; expected one number of all"
        )
    for first in range(0, len(t), BLOCK):
        part = slice(first, first + BLOCK)
        yield events_from_columns(xy[part, 0], xy[part, 1], _microseconds(t[part], path), p[part])


def _array(path: Path) -> NDArray[Any]:
    """An array that stays in its file."""
    if not path.is_file():
        raise FormatError(f"{path.parent} has no {path.name}; expected {', '.join(f'{name}.npy' for name in COLUMNS)}")
    try:
        # Of a size that no file has, or that Python 2 wrote.
        with np.errstate(over="ignore"), warnings.catch_warnings(action="ignore"):
            return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # damaged bytes make anything wrong
        raise FormatError(f"{path} cannot be read: {' '.join(str(error).split()):.300}; it is damaged") from error


def _microseconds(t: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if t.dtype.kind in "iu":
        return t.astype(np.int64)
    if t.dtype.kind != "f":
        raise FormatError(f"{path} has times of dtype {t.dtype}, not numbers of seconds")
    with np.errstate(all="ignore"):  # infinity is refused below
        t_us = np.rint(t.astype(np.float64) * 1e6)
    if not (np.abs(t_us) < MAX_SECONDS_US).all():
        raise FormatError(f"{path} has a time that is not a number of seconds below 142 years")
    return t_us.astype(np.int64)


def recognises(path: Path) -> bool:
    """Whether it is a folder with the three arrays."""
    return path.is_dir() and all((path / f"{name}.npy").is_file() for name in COLUMNS)


FORMAT = Format(
    name="evreal",
    suffixes=(".evreal",),
    folder=True,
    recognises=recognises,
    write=write,
    attributes=attributes,
    blocks=blocks,
    first_us=1 - MAX_SECONDS_US,
    last_us=MAX_SECONDS_US - 1,
)
