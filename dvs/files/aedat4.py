"""AEDAT4, the format of iniVation's DV, with LZ4, through the library faery (extra "formats").

Times are absolute microseconds from 0 on. Sensor size, watched span and provenance stand in
the XML description of the event stream (sizeX, sizeY as DV writes them); other readers ignore
what they do not know. Of a file with several streams the first one with events is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np

from dvs.errors import FormatError
from dvs.events import Recording
from dvs.files.attributes import Attributes, recording_from_columns
from dvs.files.format import Format
from dvs.files.spool import Spool

if TYPE_CHECKING:
    from faery import aedat


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events, one packet for each block of the spool."""
    from faery import EVENTS_DTYPE, aedat

    try:
        with aedat.Encoder(path, [_description(attributes)], aedat.LZ4_DEFAULT) as encoder:
            for block in spool:
                packet = np.empty(block.size, EVENTS_DTYPE)
                packet["t"], packet["x"], packet["y"], packet["on"] = (block[name] for name in "txyp")
                encoder.write(0, packet)
        # faery drops what it still buffers when the disk is full, and says nothing.
        with aedat.Decoder(path) as decoder:
            written = sum(packet.elements_count for packet in decoder.file_data_definitions())
    except RuntimeError as error:
        raise OSError(str(error)) from error
    if written != len(spool):
        raise OSError(f"{written} of {len(spool)} events arrived")


def _description(attributes: Attributes) -> "aedat.DescriptionNode":
    """DV's tree for one stream of events; faery does not escape what it puts into the XML."""
    from faery import aedat

    def typed(kind: str, **values: int | str) -> dict[str, aedat.DescriptionAttribute]:
        return {name: aedat.DescriptionAttribute(kind, value) for name, value in values.items()}

    root = "/mainloop/Recorder/outInfo/"
    about = {
        **typed("string", source="microsaccade", provenance=escape(str(attributes["provenance"]))),
        **typed("int", sizeX=attributes["width"], sizeY=attributes["height"]),
        **typed("long", start_us=attributes["start_us"], stop_us=attributes["stop_us"]),
    }
    kind = typed("string", compression="LZ4", originalOutputName="events", typeIdentifier="EVTS")
    info = aedat.DescriptionNode("info", f"{root}0/info/", about, [])
    stream = aedat.DescriptionNode("0", f"{root}0/", kind, [info])
    return aedat.DescriptionNode("outInfo", root, {}, [stream])


def read(path: Path) -> Recording:
    """The first stream of events in the file."""
    from faery import EVENTS_DTYPE, aedat

    with _calm(path), aedat.Decoder(path) as decoder:
        tracks = [track for track in decoder.tracks() if track.data_type == "events"]
        if not tracks:
            raise FormatError(f"{path} has no stream of events")
        track = tracks[0]
        width, height = track.dimensions
        attributes = {"width": width, "height": height} | _kept(decoder.description(), track.id)
        packets = [packet for source, packet in decoder if source.id == track.id]
    events = np.concatenate([np.empty(0, EVENTS_DTYPE), *packets])
    return recording_from_columns(events["x"], events["y"], events["t"], events["on"], attributes)


@contextmanager
def _calm(path: Path) -> Iterator[None]:
    """A damaged header makes faery panic, which is not an `Exception` to Python."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise FormatError(f"{path} cannot be read: its AEDAT4 header is damaged") from error


def _kept(description: list["aedat.DescriptionNode"], stream: int) -> dict[str, int | str]:
    """What `write` put beside the events of a stream; nothing in a file of others."""
    nodes = {child.path: child for root in description for node in root.nodes for child in node.nodes if child.path}
    info = nodes.get(f"/mainloop/Recorder/outInfo/{stream}/info/")
    names = ("start_us", "stop_us", "provenance")
    return {name: info.attributes[name].value for name in names if info and name in info.attributes}


def recognises(path: Path) -> bool:
    """Whether the file begins with the mark of AEDAT4."""
    with path.open("rb") as file:
        return file.read(12) == b"#!AER-DAT4.0"


FORMAT = Format(
    name="aedat4",
    suffixes=(".aedat4",),
    write=write,
    read=read,
    recognises=recognises,
    first_us=0,
    requires="faery",
)
