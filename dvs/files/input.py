"""Reading events from a file."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvs.errors import FormatError, InputError, MicrosaccadeError
from dvs.events import Recording
from dvs.files.table import format_to_read

# What h5py, numpy, zipfile and faery raise when the bytes are not what they should be.
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read(path: str | os.PathLike[str], *, format: str | None = None) -> Recording:
    """The recording in a file, its format known from suffix and content, or given by name.

    What the file does not say is inferred: the sensor then ends at the outermost event, and was
    watched from the first event to the last. Events out of order are sorted by time (stable).

    Raises `InputError` for a file that cannot be opened or holds no valid events, `FormatError`
    for one that is unknown, cut short or not what its suffix says, and `MissingExtraError`.
    """
    path = Path(path)
    with one_line(path):
        return format_to_read(path, format).read(path)


@contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Whatever fails while `path` is read becomes one line that names the file."""
    try:
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
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise FormatError(
            f"{path} cannot be read: {reason}; it is cut short, damaged, or of another kind than it says"
        ) from error
