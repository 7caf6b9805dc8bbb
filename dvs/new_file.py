"""A file that appears whole or not at all, and never harms one that is there."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvs.errors import OutputError


@contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside the target; leaving the block gives the file its own name in one step.

    Leaving by an exception removes what was written. Raises `OutputError` before any work where
    the target exists (unless `overwrite`), is no regular file, or its folder cannot be written.
    """
    target = Path(path)
    refuse_existing(target, overwrite)
    with appearing(target, overwrite) as temporary:
        yield temporary


def refuse_existing(target: Path, overwrite: bool) -> None:
    """`OutputError` where the target exists, unless it is a regular file that may be overwritten.

    Also where its folder does not exist.
    """
    if not target.parent.exists():
        raise OutputError(f"{target} cannot be written: there is no folder {target.parent}; make it first")
    if os.path.lexists(target) and not target.is_file():
        raise OutputError(f"{target} exists and is not a regular file; choose another name")
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target} exists; choose another name, or overwrite it (overwrite=True, --overwrite)")


@contextmanager
def appearing(target: Path, overwrite: bool) -> Iterator[Path]:
    """What `new_file` does after its check: a file that appeared meanwhile is not replaced either.

    What is put in the place of the temporary file may also be a folder of files.
    """
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    with clear_errors(target):
        temporary.touch(exist_ok=False)
    try:
        yield temporary
        for path in temporary.iterdir() if temporary.is_dir() else [temporary]:
            with clear_errors(target), path.open("rb+") as file:
                # On the disk before it has its name: a power cut must not leave an empty target.
                os.fsync(file.fileno())
    except BaseException:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)
        raise
    with clear_errors(target):
        try:
            take_name(temporary, target, overwrite)
        except FileExistsError as error:
            raise OutputError(f"{target} appeared meanwhile; what was made is kept in {temporary}") from error


def take_name(made: Path, target: Path, overwrite: bool) -> None:
    """Give a complete file, or a folder of files, its own name in one step.

    Raises `FileExistsError` for one that appeared there meanwhile, unless `overwrite`.
    """
    if not overwrite:
        # Claim the name first: a rename alone would replace a file that appeared meanwhile.
        target.touch(exist_ok=False)
    try:
        if made.is_dir():
            target.unlink(missing_ok=True)  # a folder does not take the place of a file
        made.replace(target)
    except OSError:
        if not overwrite:
            target.unlink(missing_ok=True)
        raise


def size_bytes(path: Path) -> int:
    """Of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(each.stat().st_size for each in path.iterdir())


@contextmanager
def clear_errors(target: Path) -> Iterator[None]:
    """Turn whatever the system says while a file is written into one line."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise OutputError(f"{target} cannot be written: {reason}; free some space, or choose another folder") from error
