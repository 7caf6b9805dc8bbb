"""The videos of a data set, from folders, patterns and lists; each has a name that keeps the folders it lies in."""

import csv
import glob
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dvs.errors import InputError

# What a folder is searched for; a file of any name can be given by itself or in a list.
_VIDEOS = frozenset((
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
    ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))  # fmt: skip
_IMAGES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
_STACKS = frozenset((".npy", ".npz"))
_LISTS = frozenset((".csv", ".jsonl", ".ndjson"))


@dataclass(frozen=True, kw_only=True)
class Video:
    """One video of a set.

    `name` is its place in the set, with /; `stem` the same without the suffix of a file. `output` and `options`, by the
    names of the command, are what a list says of it, and `where` is its line there.
    """

    source: str
    name: str
    stem: str
    label: str | int | None = None
    output: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A path, and the folder from which on its name counts."""

    root: Path
    path: Path
    row: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""


def is_set(source: str) -> bool:
    """Whether a source stands for several videos: a folder that holds some, a list, or a pattern.

    A folder that holds images but no videos is a sequence, which is one video.
    """
    path = Path(source)
    if path.is_dir():
        videos, has_images, folders = _parts(path)
        return bool(videos) or (bool(folders) and not has_images)
    return _is_list(path) or _is_pattern(source)


def find_videos(
    sources: Sequence[str], *, recursive: bool = False, leave_out: Path | None = None, label_folders: bool = False
) -> list[Video]:
    """All videos of the sources, each once, in the order of their names.

    recursive: also those in folders inside a folder; links are followed, each folder is entered once. leave_out: a
    folder that is not searched, unless it is a source itself. label_folders: the folder in which a video lies is its
    label, where a list gives none. Hidden files are no part of a set. Raises `InputError` for a source without any
    video, a folder that cannot be searched and a list that cannot be used.
    """
    found: list[_Found] = []
    for source in sources:
        more = list(_from_source(source, recursive, leave_out))
        if not more:
            deeper = "" if recursive or not Path(source).is_dir() else ", or --recursive to search its folders"
            raise InputError(f"{source} holds no videos; give a folder, a pattern or a list that does{deeper}")
        found += more
    base = Path(os.path.commonpath([each.root for each in found]))
    videos, seen = [], set()
    for each in found:
        place = _place(each.path)
        # A list may name a video several times, with other options.
        if place in seen and not each.where:
            continue
        seen.add(place)
        videos.append(_video(each, place.relative_to(base), label_folders))
    return sorted(videos, key=lambda video: video.name)


def _video(found: _Found, name: Path, label_folders: bool) -> Video:
    row = found.row
    folder = _place(found.path).parent.name
    return Video(
        source=str(found.path),
        name=name.as_posix(),
        stem=(name if found.path.is_dir() else name.with_suffix("")).as_posix(),
        label=row.get("label", folder if label_folders else None),
        output=row.get("output"),
        options={key: value for key, value in row.items() if key not in ("source", "output", "label")},
        where=found.where,
    )


def _from_source(source: str, recursive: bool, leave_out: Path | None) -> Iterator[_Found]:
    path = Path(source)
    if _is_list(path):
        yield from _from_list(path)
    elif _is_pattern(source):
        root = _fixed_part(source)
        for match in sorted(glob.glob(source, recursive=True)):  # noqa: PTH207, it may be absolute
            path = Path(match)
            if path.is_dir():
                yield from _from_folder(path, root, recursive, leave_out)
            elif path.suffix.lower() in _VIDEOS or (path.suffix.lower() in _STACKS and _is_stack(path)):
                yield _Found(root=root, path=path)
    elif path.is_dir():
        inside = recursive or _parts(path)[0]
        yield from _from_folder(path, _place(path) if inside else _place(path).parent, recursive, leave_out)
    elif path.exists():
        yield _Found(root=_place(path).parent, path=path)
    else:
        raise InputError(f"{source} does not exist; give a video, a folder, a pattern or a list")


def _from_folder(folder: Path, root: Path, recursive: bool, leave_out: Path | None) -> Iterator[_Found]:
    left_out = None if leave_out is None else os.path.realpath(leave_out)
    entered, waiting = set(), [folder]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in entered or (real == left_out and entered):
            continue
        entered.add(real)
        videos, has_images, folders = _parts(folder)
        if has_images and not videos:
            # A sequence that is the whole set has the name of its folder.
            yield _Found(root=root.parent if _place(folder) == root else root, path=folder)
        for video in videos:
            yield _Found(root=root, path=video)
        if recursive:
            waiting += reversed(folders)


def _parts(folder: Path) -> tuple[list[Path], bool, list[Path]]:
    """The videos in a folder, whether it holds images, and the folders in it."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder} cannot be searched: {error.strerror}; make it readable, or leave it out") from error
    folders = [entry for entry in entries if entry.is_dir()]
    files = [entry for entry in entries if entry not in set(folders)]
    has_images = any(entry.suffix.lower() in _IMAGES for entry in files)
    # Beside images an array holds their times.
    videos = [
        entry
        for entry in files
        if entry.suffix.lower() in _VIDEOS or (entry.suffix.lower() in _STACKS and not has_images and _is_stack(entry))
    ]
    return videos, has_images, folders


def _place(path: Path) -> Path:
    """A path from the root on; links stay as they are."""
    return Path(os.path.normpath(path.absolute()))


def _is_stack(path: Path) -> bool:
    """Whether an array holds frames, not times or events; one that cannot be opened had better be noticed."""
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as file:
                return "frames.npy" in file.namelist()
        return np.lib.format.open_memmap(path, mode="r").ndim > 2
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        return True


def _is_pattern(source: str) -> bool:
    """Whether a name has wildcards; a file of that very name comes first."""
    return glob.has_magic(source) and not os.path.lexists(source)


def _fixed_part(pattern: str) -> Path:
    """The folder in front of the first wildcard of a pattern."""
    parts = Path(pattern).parts
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return _place(Path(*parts[:fixed]))


# Lists


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in _LISTS and path.is_file()


def _from_list(path: Path) -> Iterator[_Found]:
    """Rows with `source`, perhaps `output`, `label` and names of options; paths are relative to the list."""
    folder = _place(path.parent)
    for number, row in _rows(path):
        where = f"{path} line {number}"
        source = row.get("source")
        if not isinstance(source, str):
            raise InputError(f'{where} names no source; write a column source, or lines like {{"source": "a.mp4"}}')
        if not isinstance(row.get("label"), str | int | None) or not isinstance(row.get("output"), str | None):
            raise InputError(f"{where} has an output or a label that is no text; write output as text, label too")
        if isinstance(row.get("timestamps"), str):
            row = {**row, "timestamps": str(path.parent / row["timestamps"])}
        video = path.parent / source
        place = _place(video)
        root = folder if place.is_relative_to(folder) else place.parent
        yield _Found(root=root, path=video, row=row, where=where)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line numbers and the cells that are not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a list of videos: {error}; save it as UTF-8 text") from error
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
        for row in reader:
            if None in row:
                raise InputError(f"{path} line {reader.line_num} has more cells than the first line has names")
            yield reader.line_num, {key.strip(): value.strip() for key, value in row.items() if value and value.strip()}
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path} line {number} is no JSON ({error}); write one object a line") from error
        if not isinstance(row, dict):
            raise InputError(f'{path} line {number} is no JSON object; write lines like {{"source": "a.mp4"}}')
        yield number, {key: value for key, value in row.items() if value is not None}
