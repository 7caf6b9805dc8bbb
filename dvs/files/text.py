"""Text: .csv for spreadsheets and data frames, .txt in the convention of rpg_davis and v2e.

.csv    `t,x,y,p` in the first line, then whole microseconds, as `pandas.read_csv(path)` and
        `np.loadtxt(path, delimiter=",", skiprows=1)` expect. Nothing else: sensor size, watched
        span and provenance are not kept. Read back, the sensor ends at the outermost event;
        `dataclasses.replace(recording, width=346, height=260)` puts it right.
.txt    comment lines with all of these, then `t x y p` with t in seconds and six decimals,
        made from whole numbers and therefore exact; `np.loadtxt(path)` skips the comments.

One reader takes both, and files of others: columns in any order where a first line names them,
else t x y p; commas or blanks between them; polarities 0/1 or -1/+1. Times with a decimal point
or an exponent are seconds, rounded to microseconds; times without are microseconds.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError, InputError
from dvs.events import EventArray, Recording
from dvs.files.attributes import ATTRIBUTES, Attributes, recording_from_columns
from dvs.files.format import Format
from dvs.files.spool import Spool

ALIASES = {"time": "t", "timestamp": "t", "t_us": "t", "polarity": "p", "pol": "p", "on": "p"}
# float64 seconds tell neighbouring microseconds apart up to here: 142 years.
MAX_SECONDS_US = 2**52


def write_csv(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write `t,x,y,p` and the events; the attributes are not kept."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write("t,x,y,p\n")
        for block in spool:
            file.write(_lines("%d,%d,%d,%d\n", *(block[name] for name in "txyp")))


def write_txt(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the attributes as comments, then the events."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write("# events: t [s] x y p (0 = OFF, 1 = ON)\n")
        file.writelines(f"# {name} {value}\n" for name, value in attributes.items())
        for block in spool:
            seconds, rest_us = np.divmod(block["t"], 1_000_000)
            file.write(_lines("%d.%06d %d %d %d\n", seconds, rest_us, *(block[name] for name in "xyp")))


def _lines(template: str, *columns: NDArray[Any]) -> str:
    """One line for each row of the columns; one big % is four times as fast as a loop."""
    rows = np.stack(columns, axis=1, dtype=np.int64)
    return template * len(rows) % tuple(rows.ravel().tolist())


def read(path: Path) -> Recording:
    """A recording from a .csv or .txt file."""
    attributes: dict[str, str] = {}
    names = ["t", "x", "y", "p"]
    data = ""
    with path.open(encoding="utf-8-sig") as file:
        for skipped, line in enumerate(file):  # noqa: B007  (used after the loop)
            line = line.strip()
            if line.startswith("#"):
                key, _, value = line.lstrip("# ").partition(" ")
                if key in ATTRIBUTES:
                    attributes[key] = value
            elif line[:1].isalpha():
                header = [name.strip().lower() for name in line.replace(",", " ").split()]
                names = [ALIASES.get(name, name) for name in header]
            elif line:
                data = line
                break
    if not {"t", "x", "y", "p"} <= set(names):
        raise FormatError(f"{path} has the columns {', '.join(names)}; expected t, x, y and p")
    if not data:
        return recording_from_columns(*np.empty((4, 0), np.int64), attributes)
    delimiter = "," if "," in data else None
    first = data.split(delimiter)
    in_seconds = len(first) > names.index("t") and not set(".eE").isdisjoint(first[names.index("t")])
    events = np.loadtxt(
        path,
        dtype=[("t", "f8" if in_seconds else "i8"), ("x", "i8"), ("y", "i8"), ("p", "i8")],
        delimiter=delimiter,
        skiprows=skipped,
        usecols=[names.index(name) for name in "txyp"],
        ndmin=1,
        encoding="utf-8-sig",
    )
    t_us = _microseconds(events) if in_seconds else events["t"]
    return recording_from_columns(events["x"], events["y"], t_us, events["p"], attributes)


def _microseconds(events: EventArray) -> NDArray[np.int64]:
    t_us = np.rint(events["t"] * 1e6)
    if not (np.abs(t_us) < MAX_SECONDS_US).all():
        raise InputError("a time is not a number of seconds below 142 years")
    return t_us.astype(np.int64)


def recognises(path: Path) -> bool:
    """Whether the file begins like text: without a zero byte."""
    with path.open("rb") as file:
        return b"\0" not in file.read(4096)


CSV = Format(
    name="csv",
    suffixes=(".csv",),
    write=write_csv,
    read=read,
    recognises=recognises,
    loses=("size", "span", "provenance"),
)
TXT = Format(
    name="txt",
    suffixes=(".txt",),
    write=write_txt,
    read=read,
    recognises=recognises,
    first_us=0,
    last_us=MAX_SECONDS_US - 1,
)
