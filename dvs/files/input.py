"""Reading events from a file."""

import os
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Literal, get_args

from dvs.errors import FormatError, InputError, MicrosaccadeError, ParameterError
from dvs.events import EventArray, Recording, join_events
from dvs.files.attributes import recording_from_events
from dvs.files.prepared import prepared_events
from dvs.files.table import format_to_read

# What h5py, numpy and zipfile raise when the bytes are not what they should be.
UNREADABLE = (
    OSError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RuntimeError, EOFError,
    zipfile.BadZipFile, zlib.error, TokenError,
)  # fmt: skip


OnError = Literal["raise", "keep"]


def read(path: str | os.PathLike[str], *, format: str | None = None, on_error: OnError = "raise") -> Recording:
    """The recording in a file, its format known from suffix and content, or given by name.

    What the file does not say is inferred: the sensor then ends at the outermost event, and was
    watched from the first event to the last. Events out of order are sorted by time (stable).
    on_error: "keep" takes what is good in front of a place that is damaged, and warns.

    Raises `InputError` for a file that cannot be opened or holds no valid events, `FormatError`
    for one that is unknown, cut short or not what its suffix says, and `MissingExtraError`.
    """
    path = Path(path)
    check_on_error(on_error)
    with one_line(path):
        chosen = format_to_read(path, format)
        if chosen.read is not None and (on_error == "raise" or chosen.blocks is None):
            return chosen.read(path)
        blocks = list(kept(chosen.blocks(path), on_error))
        with prepared_events(sum(map(len, blocks))) as room:
            events = join_events(blocks, room)
        attributes = {} if chosen.attributes is None else chosen.attributes(path)
        return recording_from_events(events, attributes)


def check_on_error(on_error: str) -> None:
    """Raise `ParameterError` for anything but "raise" and "keep"."""
    if on_error not in get_args(OnError):
        raise ParameterError(f"on_error is {on_error!r}, expected one of {', '.join(get_args(OnError))}")


def kept(blocks: Iterator[EventArray], on_error: OnError) -> Iterator[EventArray]:
    """The blocks of a file; with "keep" those before it is damaged, and a warning."""
    try:
        yield from blocks
    except UNREADABLE as error:
        if on_error == "raise":
            raise
        warnings.warn(f"the rest is lost: {' '.join(str(error).split())}", stacklevel=4)


@contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Whatever fails while `path` is read becomes one line that names the file."""
    try:
        if not path.is_dir():  # a format may be a folder
            with path.open("rb"):
                pass
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except MicrosaccadeError:
        raise
    except MemoryError as error:
        raise InputError(f"{path} does not fit into the memory; dvs.open leaves its events in the file") from error
    except UNREADABLE as error:
        reason = " ".join(str(error).split())  # some repeat the bytes
        raise FormatError(
            f"{path} cannot be read: {reason:.300}; it is cut short, damaged, or of another kind than it says"
        ) from error
