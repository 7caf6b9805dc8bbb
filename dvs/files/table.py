"""The table of formats. A new format is one file and one line here."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from dvs.errors import FormatError, MissingExtraError, ParameterError
from dvs.files import (
    aedat2,
    aedat4,
    aedat31,
    dat,
    event_stream,
    evreal,
    evt2,
    evt3,
    evt21,
    hdf5_dsec,
    hdf5_m3ed,
    hdf5_metavision,
    hdf5_tonic,
    hdf5_v2e,
    mat,
    nmnist,
    npz,
    text,
)
from dvs.files.format import Format

# Where formats share a suffix, the first of them is written, and the content decides which is read.
FORMATS = (
    hdf5_dsec.FORMAT, hdf5_v2e.FORMAT, hdf5_metavision.FORMAT, hdf5_m3ed.FORMAT, hdf5_tonic.FORMAT,
    npz.FORMAT, text.CSV, text.TXT, evreal.FORMAT,
    evt3.FORMAT, evt2.FORMAT, evt21.FORMAT, dat.FORMAT,
    aedat4.FORMAT, aedat2.FORMAT, aedat31.FORMAT, event_stream.FORMAT,
    nmnist.FORMAT, mat.FORMAT,
)  # fmt: skip


def format_to_write(path: Path, name: str | None = None) -> Format:
    """The format of that name, else the one with the longest suffix that fits."""
    if name is not None:
        item = _named(name)
        if item.write is None:
            raise _read_only(item)
        return _usable(item)
    file = path.name.lower()
    fitting = [(suffix, item) for item in FORMATS for suffix in item.suffixes if file.endswith(suffix)]
    writable = [(suffix, item) for suffix, item in fitting if item.write is not None]
    if fitting and not writable:
        raise _read_only(fitting[0][1])
    if not writable:
        raise _unknown_suffix(path, [item for item in FORMATS if item.write is not None], "format=, --format")
    # Of formats that share a suffix, the first of the table is written.
    return _usable(max(writable, key=lambda pair: len(pair[0]))[1])


def format_to_read(path: Path, name: str | None = None) -> Format:
    """The format of that name, else the one that fits both the suffix and the content, else the content.

    Layouts that share the suffix .h5 are told apart by the content.
    """
    if name is not None:
        return _usable(_named(name))
    if path.is_dir():
        return _of_folder(path)
    if path.stat().st_size == 0:
        raise FormatError(f"{path} is empty; write the recording again")
    last = path.suffix.lower()
    items = [item for item in FORMATS if not item.folder]
    fitting = [item for item in items if last and any(suffix.endswith(last) for suffix in item.suffixes)]
    for item in (*fitting, *(item for item in items if item.signed)):
        if item.recognises(path):
            return _usable(item)
    if not fitting:
        raise _unknown_suffix(path, items, "format=, --from")
    names = " or ".join(item.name for item in fitting)
    raise FormatError(
        f"{path} does not hold events as {names}; it is cut short, or of another kind than its suffix says: give the "
        "format by name (format=, --from)"
    )


def _of_folder(path: Path) -> Format:
    items = [item for item in FORMATS if item.folder]
    for item in items:
        if item.recognises(path):
            return _usable(item)
    names = " or ".join(item.name for item in items)
    raise FormatError(f"{path} is a folder, and not one of files that make up a recording ({names}); give a file")


def _named(name: str) -> Format:
    for item in FORMATS:
        if item.name == name:
            return item
    names = ", ".join(item.name for item in FORMATS)
    raise ParameterError(f"format is {name!r}, expected one of {names}")


def _read_only(item: Format) -> FormatError:
    names = ", ".join(item.name for item in FORMATS if item.write is not None)
    return FormatError(f"{item.name} is only read; write one of {names}")


def _unknown_suffix(path: Path, items: Iterable[Format], option: str) -> FormatError:
    suffixes = ", ".join(dict.fromkeys(suffix for item in items for suffix in item.suffixes))
    return FormatError(f"{path} has no known suffix; expected one of {suffixes}, or the format by name ({option})")


def _usable(item: Format) -> Format:
    if item.requires is not None:
        try:
            import_module(item.requires)
        except ImportError as error:
            raise MissingExtraError(
                f'{item.name} needs the library {item.requires}: pip install "microsaccade[formats]"'
            ) from error
    return item
