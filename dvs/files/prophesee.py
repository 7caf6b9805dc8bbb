"""What Prophesee's files have in common: lines of text in front, then words of one size, little endian.

    % evt 3.0
    % format EVT3;height=720;width=1280
    % geometry 1280x720
    % end

Lines of "% ", a key and a value; the first line that is none begins the data, or `% end` does (RAW and DAT file
format, docs.prophesee.ai). OpenEB and the other readers skip keys that they do not know, so watched span and
provenance stand there too: `% start_us`, `% stop_us` and `% provenance` (JSON, cut into lines of 4000 bytes, as
readers limit the length of a line).

Old files name neither size nor encoding; both follow from the number of the camera in `% system_ID`, as in OpenEB,
unless events lie outside that size: some programs write the number of a camera that they are not. faery writes the
time of the first event as `% t0` and counts from there; its files are read with it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dvs.errors import FormatError
from dvs.events import EventArray, Recording, empty_events
from dvs.files.attributes import AXES, Attributes, in_order_of_time, recording_from_events
from dvs.files.format import Format
from dvs.files.prepared import prepared_events
from dvs.files.spool import Spool

MAX_LINE = 1 << 20
MAX_HEADER = 1 << 24
LINE = 4000
BYTES = 1 << 19  # of a file, read or written at a time: stays in the cache
EVENTS = 1 << 18  # in a block
MARGIN = 64  # free places at the end of an array, more than one word makes events


# Cameras of Prophesee that wrote files without size: system_ID of OpenEB's device_system_id.h.
VGA = {0x15, 0x17, 0x19, 0x1C, 0x1D, 0x21, 0x22, 0x23, 0x28, 0x29, 0x97, 0x99, 0xA1, 0xA2}
HD = {0x1A, 0x1E, 0x1F, 0x27, 0x2E, 0x30, 0x31, 0x32}
WRITE_EVT3 = {0x1E, 0x28, 0x2E, 0x30, 0x31, 0x32}  # the others wrote EVT2
ENCODINGS = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}

PAIR = np.dtype(("<u4", 2))

Decode = Callable[[NDArray[Any], NDArray[np.int64], EventArray], tuple[int, int]]
Encode = Callable[[EventArray, NDArray[np.int64], NDArray[Any]], tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Header:
    """The lines in front: values by key in lower case, and where the data begin (bytes)."""

    values: Mapping[str, str]
    size: int

    def options(self) -> tuple[str, dict[str, str]]:
        """Encoding (EVT2, EVT21, EVT3, "" where unknown) and what else the line `format` says."""
        name, *options = self.values.get("format", "").split(";")
        if not name:
            name = ENCODINGS.get(self.values.get("evt", ""), "")
        if not name and self.camera in VGA | HD:
            name = "EVT3" if self.camera in WRITE_EVT3 else "EVT2"
        return name, dict(option.split("=", 1) for option in options if "=" in option)

    @property
    def camera(self) -> int:
        """The number of the camera, 0 where the header lacks it."""
        number = self.values.get("system_id", "")
        return int(number) if number.isdecimal() and len(number) < 10 else 0


def read_header(file: BufferedReader) -> Header:
    """The header of an open file, which is left where the data begin.

    Raises `FormatError` for a header that does not end.
    """
    values: dict[str, str] = {}
    size = 0
    while file.read(2) == b"% ":
        line = file.readline(MAX_LINE)
        size += 2 + len(line)
        if not line.endswith(b"\n") or size > MAX_HEADER:
            raise FormatError(f"{file.name} is cut short: the header does not end (byte {size})")
        key, _, value = line[:-1].decode("utf-8", "replace").partition(" ")
        key = key.strip().lower()
        if key == "end":
            break
        values[key] = values.get(key, "") + value if key == "provenance" else value.strip()
    file.seek(size)
    return Header(values=values, size=size)


def header_of(path: Path) -> Header:
    """The header of a file; without any line in a file of another kind."""
    with path.open("rb") as file:
        return read_header(file)


def recognises(path: Path, encoding: str) -> bool:
    """Whether the header says that the words are of this encoding."""
    header = header_of(path)
    return header.size > 0 and header.options()[0].upper() == encoding


def attributes(path: Path) -> dict[str, Any]:
    """Of width, height, start_us, stop_us and provenance those that the header holds.

    Raises `FormatError` for numbers that are none, or that contradict each other.
    """
    header = header_of(path)
    known = {
        name: _number(path, name, header.values[name]) for name in ("start_us", "stop_us") if name in header.values
    }
    if "provenance" in header.values:
        known["provenance"] = header.values["provenance"]
    return known | (_stated_size(path, header) or _size_of_camera(header))


def _size_of_camera(header: Header) -> dict[str, int]:
    if header.camera in VGA:
        return {"width": 640, "height": 480}
    return {"width": 1280, "height": 720} if header.camera in HD else {}


def _stated_size(path: Path, header: Header) -> dict[str, int]:
    """Width and height, as far as the lines `format` and `geometry`, or those of DAT, say them."""
    _, options = header.options()
    width, cross, height = header.values.get("geometry", "").partition("x")
    places = [options, {"width": width, "height": height} if cross else {}, header.values]
    size: dict[str, int] = {}
    for place in places:
        for name in {"width", "height"} & set(place):
            pixels = _number(path, name, place[name])
            if not 0 < pixels < 2**15:
                raise FormatError(f"{path} says {name} {pixels}, expected 1 to 32767 pixels; the header is damaged")
            if size.setdefault(name, pixels) != pixels:
                raise FormatError(f"{path} says {name} {size[name]} and {pixels}; correct the header")
    return size


def _number(path: Path, name: str, text: str, limit: int = 2**63) -> int:
    try:
        number = int(text)
    except ValueError:
        number = limit
    if not -limit <= number < limit:
        raise FormatError(f"{path} says {name} {text[:40]!r}, expected a whole number; the header is damaged")
    return number


def new_header(lines: Mapping[str, str], attributes: Attributes) -> bytes:
    """The lines, then watched span and provenance."""
    text = str(attributes["provenance"])
    pairs = [*lines.items(), *((name, str(attributes[name])) for name in ("start_us", "stop_us"))]
    pairs += [("provenance", text[first : first + LINE]) for first in range(0, len(text), LINE)]
    return "".join(f"% {key} {value}\n" for key, value in pairs).encode("ascii")


def new_raw_header(encoding: str, attributes: Attributes) -> bytes:
    """The header of a RAW file; OpenEB chooses its decoder by the names of camera and plugin."""
    width, height = attributes["width"], attributes["height"]
    version = next(version for version, name in ENCODINGS.items() if name == encoding)
    lines = {
        "camera_integrator_name": "Prophesee",
        "evt": version,
        "format": f"{encoding};height={height};width={width}",
        "geometry": f"{width}x{height}",
        "integrator_name": "Prophesee",
        "plugin_integrator_name": "Prophesee",
        "plugin_name": "hal_plugin_prophesee",
        "source": "microsaccade",
    }
    return new_header(lines, attributes) + b"% end\n"


@dataclass(frozen=True, kw_only=True)
class Words:
    """The data of a file, from byte `first` on.

    word: what one word is. decode: the kernel that makes events of words. most: counts how many events words hold at
    most, None where that is one each. largest: pixels each way of a sensor whose size the header lacks.

    What stands before the first time of a file is skipped, as no time is known for it.
    """

    path: Path
    first: int
    word: np.dtype
    decode: Decode
    largest: int
    most: Callable[[NDArray[Any]], int] | None = None

    def blocks(self) -> Iterator[EventArray]:
        """The events, block by block.

        Raises `FormatError` after the last one that is good, where a file is cut short or holds events outside
        its sensor.
        """
        state, first_us = self._begin()
        events, made = empty_events(EVENTS), 0
        for words in self._pieces():
            while words.size:
                used, more = self.decode(words, state, events[made:])
                words = words[used:]
                made += more
                if made > EVENTS - MARGIN:
                    yield _later(events[:made], first_us)
                    events, made = empty_events(EVENTS), 0
        if made:
            yield _later(events[:made].copy(), first_us)
        self._refuse_damage(state)

    def recording(self) -> Recording:
        """All events in one array that is written once: counted first, decoded then.

        Raises what `blocks` raises.
        """
        from dvs.files.evt_kernels import UNSORTED

        state, first_us = self._begin()
        made = 0
        with prepared_events(self._room() + MARGIN) as events:
            for words in self._pieces():
                _, more = self.decode(words, state, events[made:])
                made += more
        self._refuse_damage(state)
        events = _later(events[:made], first_us)
        if state[UNSORTED]:
            events = in_order_of_time(events)
        return recording_from_events(events, self._attributes([events]), checked=True)  # by the decoder

    def attributes(self) -> dict[str, Any]:
        """Of width, height, start_us, stop_us and provenance those that the file says."""
        return self._attributes(self._good())

    def _attributes(self, blocks: Iterable[EventArray]) -> dict[str, Any]:
        """What the header says, and the size of its camera where it says none and all events lie on that."""
        known = attributes(self.path)
        guessed = known.keys() & {"width", "height"} - _stated_size(self.path, header_of(self.path)).keys()
        sides = [(axis, side) for axis, side in AXES if side in guessed]
        if sides and any((events[axis] >= known[side]).any() for events in blocks for axis, side in sides):
            known = {name: value for name, value in known.items() if name not in guessed}
        return known

    def _good(self) -> Iterator[EventArray]:
        with suppress(FormatError):  # told to those who read the events
            yield from self.blocks()

    def _room(self) -> int:
        if self.most is not None:
            return sum(map(self.most, self._pieces()))
        return max(self.path.stat().st_size - self.first, 0) // self.word.itemsize

    def _begin(self) -> tuple[NDArray[np.int64], int]:
        """The state before the first word, and the time from which the file counts."""
        from dvs.files.evt_kernels import decoder_state

        header = header_of(self.path)
        size = {"width": self.largest, "height": self.largest} | _stated_size(self.path, header)
        first_us = _number(self.path, "t0", header.values.get("t0", "0"), limit=2**62)  # so that sums fit
        return decoder_state(**size), first_us

    def _pieces(self) -> Iterator[NDArray[Any]]:
        """The words, as many at a time as stay in the cache."""
        buffer = bytearray(BYTES)
        with self.path.open("rb") as file:
            file.seek(self.first)
            while length := file.readinto(buffer):
                yield np.frombuffer(buffer, self.word, length // self.word.itemsize)

    def _refuse_damage(self, state: NDArray[np.int64]) -> None:
        from dvs.files.evt_kernels import FIRST_OUTSIDE, HEIGHT, OUTSIDE, WIDTH

        if state[OUTSIDE]:
            raise FormatError(
                f"{self.path} holds {state[OUTSIDE]} events outside its {state[WIDTH]}x{state[HEIGHT]} sensor, the "
                f"first at byte {self.first + state[FIRST_OUTSIDE] * self.word.itemsize}; it is damaged, or its header "
                'is of another sensor; on_error="keep" leaves them out'
            )
        end = self.path.stat().st_size
        if (end - self.first) % self.word.itemsize:
            raise FormatError(f"{self.path} is cut short: the word at its end (byte {end}) is not complete")


def format_of_words(words: Callable[[Path], Words], **rest: Any) -> Format:
    """The format of files whose events are those of `words(path)`; `rest` as of a `Format`."""
    return Format(
        attributes=lambda path: words(path).attributes(),
        blocks=lambda path: words(path).blocks(),
        read=lambda path: words(path).recording(),
        **rest,
    )


def _later(events: EventArray, by_us: int) -> EventArray:
    if by_us:
        events["t"] += by_us
    return events


def write_encoded(path: Path, header: bytes, spool: Spool, word: DTypeLike, encode: Encode) -> None:
    """Write the header and the events of the spool, encoded."""
    from dvs.files.evt_kernels import encoder_state

    word = np.dtype(word)
    state = encoder_state()
    words = np.empty(BYTES // word.itemsize, word)
    with path.open("wb") as file:
        file.write(header)
        for block in spool:
            while block.size:
                used, made = encode(block, state, words)
                file.write(words[:made].view(np.uint8))
                block = block[used:]
