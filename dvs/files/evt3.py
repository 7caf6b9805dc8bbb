"""Prophesee RAW with EVT 3.0: 16-bit words that say what changes ("EVT 3.0 Format", docs.prophesee.ai).

    type 0      row (11 bits)
    type 2      one event: polarity, column (11 bits)
    type 3      polarity and column where the next vector begins
    type 4, 5   vector: mask of 12 or 8 columns; the next one begins behind it
    type 6      TIME_LOW, us (12 bits)
    type 8      TIME_HIGH, 4096 us (12 bits)

Each stays as it is until it changes: TIME_LOW through a new TIME_HIGH, too, on which evutils relies. OpenEB begins it
at 0 again; sensors, and our files, send it after each TIME_HIGH, so that both are right.

All other types (7, 14, 15 of vendors, 10 trigger) are skipped, and so is what comes before the first TIME_HIGH, row
or beginning of a vector. Type 1, a row of another kind of event, silences what follows up to the next row. The time
rolls over after 2^24 us (16.8 s): a TIME_HIGH that falls by half its range or more.

Vectors are written as 12, 12 and 8 columns that lie on the sensor: OpenEB's decoder takes three words whatever they
are, and drops those that reach beyond the sensor. Read are vectors in any order. Our files open with TIME_HIGH 0,
as evt2.py explains.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvs.events import EventArray
from dvs.files import prophesee
from dvs.files.attributes import Attributes
from dvs.files.evt2 import SIDE
from dvs.files.spool import Spool

WORD = np.dtype("<u2")
LAST_US = 2**41 - 1  # 25 days: 2^17 roll-overs before the first event, 1.1 MB


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events as EVT3."""
    from dvs.files.evt_kernels import encode_evt3

    width = int(attributes["width"])

    def encode(events: EventArray, state: NDArray[np.int64], words: NDArray[np.uint16]) -> tuple[int, int]:
        return encode_evt3(events, state, words, width)

    prophesee.write_encoded(path, prophesee.new_raw_header("EVT3", attributes), spool, WORD, encode)


def _words(path: Path) -> prophesee.Words:
    from dvs.files.evt_kernels import decode_evt3, most_evt3

    first = prophesee.header_of(path).size
    return prophesee.Words(path=path, first=first, word=WORD, decode=decode_evt3, most=most_evt3, largest=SIDE)


FORMAT = prophesee.format_of_words(
    _words,
    name="evt3",
    suffixes=(".raw",),
    write=write,
    recognises=partial(prophesee.recognises, encoding="EVT3"),
    first_us=0,
    last_us=LAST_US,
    largest=(SIDE, SIDE),
)
