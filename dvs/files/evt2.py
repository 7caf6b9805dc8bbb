"""Prophesee RAW with EVT 2.0: 32-bit words, one for each event ("EVT 2.0 Format", docs.prophesee.ai).

    type 0, 1   OFF, ON:    6 bits time, 11 bits column, 11 bits row
    type 8      TIME_HIGH:  28 bits, the time in steps of 64 us

All other types (10 trigger, 14, 15 of vendors) are skipped, and so is what comes before the first TIME_HIGH. The
time rolls over after 2^34 us (4.8 h): a TIME_HIGH that falls by half its range or more. Times count from the
sensor's start, so a file begins at time 0 of its clock: ours open with TIME_HIGH 0 and name each roll-over since,
so that all readers, those that shift times to the first TIME_HIGH too, find the same ones.
"""

from functools import partial
from pathlib import Path

import numpy as np

from dvs.files import prophesee
from dvs.files.attributes import Attributes
from dvs.files.spool import Spool

WORD = np.dtype("<u4")
SIDE = 2048
LAST_US = 2**51 - 1  # 71 years: 2^17 roll-overs before the first event, 2.1 MB


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events as EVT2."""
    from dvs.files.evt_kernels import encode_evt2

    prophesee.write_encoded(path, prophesee.new_raw_header("EVT2", attributes), spool, WORD, encode_evt2)


def _words(path: Path) -> prophesee.Words:
    from dvs.files.evt_kernels import decode_evt2

    first = prophesee.header_of(path).size
    return prophesee.Words(path=path, first=first, word=WORD, decode=decode_evt2, largest=SIDE)


FORMAT = prophesee.format_of_words(
    _words,
    name="evt2",
    suffixes=(".raw",),
    write=write,
    recognises=partial(prophesee.recognises, encoding="EVT2"),
    first_us=0,
    last_us=LAST_US,
    largest=(SIDE, SIDE),
)
