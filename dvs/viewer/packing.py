"""How a recording travels to the viewer: a header that goes as JSON, and one run of bytes.

The bytes, little-endian and by default gzip:

    count x uint32    ticks from the event before, the first from the start of the recording
    bins x uint32     OFF events of each bin of time, of all events
    bins x uint32     ON events
    count x uint16    x, its top bit the polarity
    count x uint16    y

A tick is a microsecond, or for recordings above 71 minutes as many as let the last tick fit 32 bits. Steps from
event to event, and one column after the other, are what gzip makes smallest.
"""

import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray, Recording, join_events
from dvs.files.recording_file import RecordingFile
from dvs.palettes import PALETTES

MAX_EVENTS = 2_000_000
PALETTE_NAMES = ("auto", *PALETTES)
POLARITIES = ("both", "on", "off")

_BINS = 600
_TICKS = 1 << 32


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A recording on its way: `header` is plain data for JSON, `data` the bytes that it describes."""

    header: dict[str, Any]
    data: bytes


def pack(recording: Recording | RecordingFile, *, max_events: int = MAX_EVENTS, compress: bool = True) -> Packed:
    """The recording for the viewer; of more than `max_events` an even choice, and the header says so.

    One of each run of about total / max_events successive events is kept, drawn by chance, the same every time: what
    is fast stays dense, and the order in which a row is read out leaves no stripes. The rates count all events. A
    recording in a file is read block by block.

    Raises `ParameterError` for max_events below 1, and what reading the file raises.
    """
    if max_events < 1:
        raise ParameterError(f"max_events = {max_events}; give a whole number from 1 on")
    # One more, so that a window may close behind an event at the very stop.
    span_us = int(recording.stop_us) - int(recording.start_us) + 1
    bins, tick_us = min(_BINS, span_us), -(-span_us // _TICKS)
    events, rates = _chosen(recording, max_events, bins, span_us)
    ticks = (events["t"] - recording.start_us) // tick_us
    columns = [
        np.diff(ticks, prepend=0).astype("<u4"),
        rates.astype("<u4"),
        events["x"].astype("<u2") | (events["p"].astype("<u2") << 15),
        events["y"].astype("<u2"),
    ]
    data = b"".join(column.tobytes() for column in columns)
    header = {
        "width": recording.width,
        "height": recording.height,
        "start_us": int(recording.start_us),
        "span_us": span_us,
        "tick_us": tick_us,
        "count": events.size,
        "total": int(rates.sum()),
        "bins": bins,
        "gzip": compress,
        "palettes": {
            name: {"ground": palette.background, "on": palette.on, "off": palette.off}
            for name, palette in PALETTES.items()
        },
    }
    # Without the time of day, so that the same recording makes the same page.
    return Packed(header=header, data=gzip.compress(data, 6, mtime=0) if compress else data)


def busiest_us(packed: Packed, window_us: int) -> int:
    """The beginning of the window in which most happens, as well as the bins of the rate tell."""
    header = packed.header
    data = gzip.decompress(packed.data) if header["gzip"] else packed.data
    counts = np.frombuffer(data, "<u4", 2 * header["bins"], 4 * header["count"]).reshape(2, -1).sum(axis=0)
    bin_us = header["span_us"] / header["bins"]
    sums = np.cumsum(np.append(0, counts))
    long = min(max(round(window_us / bin_us), 1), counts.size)
    middle_us = (int(np.argmax(sums[long:] - sums[:-long])) + long / 2) * bin_us
    return header["start_us"] + max(round(middle_us - window_us / 2), 0)


def _chosen(
    recording: Recording | RecordingFile, max_events: int, bins: int, span_us: int
) -> tuple[EventArray, NDArray[np.int64]]:
    """The events to draw, and OFF and ON events of each bin, (2, bins)."""
    total = len(recording)
    chosen = None
    if total > max_events:
        chance = np.random.default_rng(0).random(max_events)
        chosen = ((np.arange(max_events) + chance) * (total / max_events)).astype(np.int64)
    rates = np.zeros((2, bins), np.int64)
    kept, seen = [], 0
    for block in recording.blocks():
        where = (block["t"] - recording.start_us) * bins // span_us
        rates += np.bincount(block["p"] * np.int64(bins) + where, minlength=2 * bins).reshape(2, bins)
        if chosen is None:
            kept.append(block)
        else:
            first, last = np.searchsorted(chosen, [seen, seen + block.size])
            kept.append(block[chosen[first:last] - seen])
        seen += block.size
    return join_events(kept), rates


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `ParameterError` for a value that is none of the choices."""
    if value not in choices:
        raise ParameterError(f"{name} = {value!r}; choose one of {', '.join(choices)}")
