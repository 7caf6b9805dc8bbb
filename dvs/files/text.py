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

from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError, InputError
from dvs.events import EventArray, empty_events
from dvs.files.attributes import ATTRIBUTES, Attributes, events_from_columns
from dvs.files.format import Format
from dvs.files.spool import Spool

ALIASES = {"time": "t", "timestamp": "t", "t_us": "t", "polarity": "p", "pol": "p", "on": "p"}
# float64 seconds tell neighbouring microseconds apart up to here: 142 years.
MAX_SECONDS_US = 2**52
MAX_LINE = 1 << 20
BYTES = 1 << 20  # read at a time


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


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How a file writes events: its attributes, the number of lines in front of them, and how a line is read."""

    attributes: Mapping[str, str]
    lines: int
    names: tuple[str, ...] = ("t", "x", "y", "p")
    delimiter: str | None = None
    in_seconds: bool = False

    def plain_events(self, text: bytes, most: int) -> EventArray | None:
        """The events of so many lines that hold nothing but digits, points and what is between; None for others."""
        from dvs.files.text_kernels import parse_lines

        if text.count(b"\r") != text.count(b"\r\n"):
            return None  # ends of lines as on old Macs, between which a blank would be seen
        places = np.array([self.names.index(name) for name in "txyp"])
        rows = np.empty((most, 4), np.int64)
        delimiter = 0 if self.delimiter is None else ord(self.delimiter)
        count = parse_lines(np.frombuffer(text, np.uint8), places, delimiter, self.in_seconds, rows)
        if count < 0:
            return None
        t, x, y, p = rows[:count].T
        try:
            return events_from_columns(x, y, t, p)
        except InputError:  # in one of these lines; the other way finds it
            return None

    def events(self, lines: Sequence[str]) -> EventArray:
        """The events of some lines; raises what NumPy raises for a line that has none."""
        lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not lines:
            return empty_events()
        rows = np.loadtxt(
            lines,
            dtype=[("t", "f8" if self.in_seconds else "i8"), ("x", "i8"), ("y", "i8"), ("p", "i8")],
            delimiter=self.delimiter,
            usecols=[self.names.index(name) for name in "txyp"],
            ndmin=1,
        )
        t_us = _microseconds(rows["t"]) if self.in_seconds else rows["t"]
        return events_from_columns(rows["x"], rows["y"], t_us, rows["p"])


def attributes(path: Path) -> Mapping[str, str]:
    """Those that the comments in front hold."""
    return _layout(path).attributes


def blocks(path: Path) -> Iterator[EventArray]:
    """The events, in the order of the file; `FormatError` with the number of the first line that is none."""
    layout = _layout(path)
    number = layout.lines
    with path.open("rb") as file:
        for _ in range(number):
            file.readline(MAX_LINE)
        while text := file.read(BYTES) + file.readline(MAX_LINE):
            lines_here = text.count(b"\n")
            events = layout.plain_events(text, lines_here + 1)
            if events is None:  # not only digits
                lines = text.decode("utf-8-sig").split("\n")
                try:
                    events = layout.events(lines)
                except (ValueError, InputError):
                    good, problem = _good_lines(layout, lines)
                    yield layout.events(lines[:good])
                    raise FormatError(f"{path} has no event in line {number + good + 1}: {problem}") from None
            yield events
            number += lines_here


def _layout(path: Path) -> _Layout:
    kept: dict[str, str] = {}
    names = ("t", "x", "y", "p")
    data, count = "", 0
    with path.open(encoding="utf-8-sig", newline="\n") as file:  # lines are counted as `blocks` does
        for line in map(str.strip, _lines_of(file)):
            if line.startswith("#"):
                key, _, value = line.lstrip("# ").partition(" ")
                if key in ATTRIBUTES:
                    kept[key] = value
            elif line[:1].isalpha():
                header = [name.strip().lower() for name in line.replace(",", " ").split()]
                names = tuple(ALIASES.get(name, name) for name in header)
            elif line:
                data = line
                break
            count += 1
    if not {"t", "x", "y", "p"} <= set(names):
        raise FormatError(f"{path} has the columns {', '.join(names):.200}; expected t, x, y and p")
    delimiter = "," if "," in data else None
    first = data.split(delimiter)
    in_seconds = len(first) > names.index("t") and not set(".eE").isdisjoint(first[names.index("t")])
    return _Layout(attributes=kept, lines=count, names=names, delimiter=delimiter, in_seconds=in_seconds)


def _lines_of(file: TextIO) -> Iterator[str]:
    """The lines; one that has no end, as in a file of another kind, comes in pieces."""
    return iter(lambda: file.readline(MAX_LINE), "")


def _good_lines(layout: _Layout, lines: Sequence[str]) -> tuple[int, str]:
    """How many lines stand in front of the first that is no event, which is among them, and what is wrong with it."""
    first, stop, problem = 0, len(lines), ""
    while stop - first > 0:
        middle = (first + stop + 1) // 2
        try:
            layout.events(lines[first:middle])
            first = middle
        except (ValueError, InputError) as error:
            problem = " ".join(str(error).split()).partition(" at row")[0]
            if middle - first == 1:
                break
            stop = middle
    return first, problem


def _microseconds(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    with np.errstate(all="ignore"):  # infinity is refused below
        t_us = np.rint(seconds * 1e6)
    if not (np.abs(t_us) < MAX_SECONDS_US).all():
        raise InputError("a time is not a number of seconds below 142 years")
    return t_us.astype(np.int64)


def recognises(path: Path) -> bool:
    """Whether the file begins like text: UTF-8 without a zero byte."""
    with path.open("rb") as file:
        start = file.read(4096)
    try:
        getincrementaldecoder("utf-8")().decode(start)  # a letter may be cut at the end
    except UnicodeDecodeError:
        return False
    return b"\0" not in start


CSV = Format(
    name="csv",
    suffixes=(".csv",),
    write=write_csv,
    attributes=attributes,
    blocks=blocks,
    recognises=recognises,
    signed=False,
    loses=("size", "span", "provenance"),
)
TXT = Format(
    name="txt",
    suffixes=(".txt",),
    write=write_txt,
    attributes=attributes,
    blocks=blocks,
    recognises=recognises,
    signed=False,
    first_us=0,
    last_us=MAX_SECONDS_US - 1,
)
