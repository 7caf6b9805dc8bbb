"""Prophesee RAW with EVT 2.1, read only: 64-bit words ("EVT 2.1 Format", docs.prophesee.ai).

One half is a word of EVT2 (evt2.py), its column the first of 32; the other half is the mask of those columns that
had an event, of one polarity. The word lies in the upper half of the 64 bits (GenX320), or in the lower half
where `endianness` is `legacy` (IMX636 and older). A header that does not say is legacy for cameras older than
system_ID 55, as in OpenEB.
"""

from functools import partial
from pathlib import Path

from dvs.errors import FormatError
from dvs.files import prophesee
from dvs.files.evt2 import SIDE

FIRST_LITTLE = 0x37  # system_ID of the first camera that is not legacy
HEAD = {"legacy": 0, "little": 1}


def _words(path: Path) -> prophesee.Words:
    from dvs.files.evt_kernels import decode_evt21, most_evt21

    header = prophesee.header_of(path)
    _, options = header.options()
    default = "legacy" if 0 < header.camera < FIRST_LITTLE else "little"
    endianness = options.get("endianness", header.values.get("endianness", default)).lower()
    if endianness not in HEAD:
        raise FormatError(
            f"{path} has endianness {endianness!r:.40}, expected little or legacy; no file like it is known"
        )

    head = HEAD[endianness]
    return prophesee.Words(
        path=path,
        first=header.size,
        word=prophesee.PAIR,
        decode=lambda words, state, events: decode_evt21(words, state, events, head),
        most=lambda words: most_evt21(words, head),
        largest=SIDE,
    )


FORMAT = prophesee.format_of_words(
    _words,
    name="evt2.1",
    suffixes=(".raw",),
    recognises=partial(prophesee.recognises, encoding="EVT21"),
    first_us=0,
    largest=(SIDE, SIDE),
)
