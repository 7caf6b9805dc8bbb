"""Prophesee DAT, version 2: a header, two bytes, and 8 bytes an event ("DAT File Format", docs.prophesee.ai).

    byte     type: 0x0C contrast event, 0x00 the same in older files
    byte     size: 8
    uint32   time, us
    uint32   4 bits polarity, 14 bits row, 14 bits column

Times are written up to 2^32 us (71.6 minutes); few readers know that they roll over after that. Read, a time that
falls by half that range or more is a roll-over.
"""

from pathlib import Path

from dvs.errors import FormatError
from dvs.files import prophesee
from dvs.files.attributes import Attributes
from dvs.files.spool import Spool

SIDE = 2**14
CONTRAST = (0x0C, 0x00)
SIZE = 8


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events as contrast events."""
    from dvs.files.evt_kernels import encode_dat

    lines = {
        "Data": "file containing CD events",
        "Version": "2",
        "Width": str(attributes["width"]),
        "Height": str(attributes["height"]),
    }
    header = prophesee.new_header(lines, attributes) + bytes([CONTRAST[0], SIZE])
    prophesee.write_encoded(path, header, spool, prophesee.PAIR, encode_dat)


def _words(path: Path) -> prophesee.Words:
    """What the file holds; raises `FormatError` for triggers, or another version."""
    from dvs.files.evt_kernels import decode_dat

    with path.open("rb") as file:
        header = prophesee.read_header(file)
        kind = file.read(2)
    version = header.values.get("version", "2")
    if version != "2":
        raise FormatError(
            f"{path} is DAT version {version[:10]}, expected 2; convert it with the software that wrote it"
        )
    if len(kind) < 2:
        raise FormatError(f"{path} is cut short: type and size of its events are missing (byte {header.size})")
    if kind[0] not in CONTRAST or kind[1] != SIZE:
        raise FormatError(
            f"{path} holds events of type {kind[0]} and {kind[1]} bytes, expected contrast events: "
            f"type 0 or 12 and {SIZE} bytes"
        )
    first = header.size + len(kind)
    return prophesee.Words(path=path, first=first, word=prophesee.PAIR, decode=decode_dat, largest=SIDE)


def recognises(path: Path) -> bool:
    """Whether the file begins with a header."""
    return prophesee.header_of(path).size > 0


FORMAT = prophesee.format_of_words(
    _words,
    name="dat",
    suffixes=(".dat",),
    write=write,
    recognises=recognises,
    signed=False,
    first_us=0,
    last_us=2**32 - 1,
    largest=(SIDE, SIDE),
)
