"""What is to be done for each video of a set: its conversion, its files, its share of the work."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from dvs.batch.search import Video
from dvs.conversion import Conversion, Output
from dvs.errors import ParameterError
from dvs.files.table import format_to_write

# What does not change the events, and what has a part of its own in the hash.
_NO_SETTINGS = frozenset(("source", "outputs", "preview", "report", "overwrite", "threads", "sensor", "timestamps"))


@dataclass(frozen=True, kw_only=True)
class Task:
    """A video on its way: a conversion whose files lie in `folder`, at `output` and beside it.

    `output`, with / and relative to the folder, is what the task is known by. `before` is the record of an earlier run:
    a video whose source, settings and output are still those is not converted again.
    """

    output: str
    folder: Path
    conversion: Conversion
    label: str | int | None = None
    before: Mapping[str, Any] | None = None

    @property
    def settings_sha256(self) -> str:
        """A hash of everything but the video that decides what the files hold."""
        wanted = self.conversion
        record = {each.name: getattr(wanted, each.name) for each in fields(wanted) if each.name not in _NO_SETTINGS}
        record |= {
            "sensor": wanted.sensor.to_dict(),
            "formats": [format_to_write(output.path, output.format).name for output in wanted.outputs],
            "extras": [path.suffix for path in (wanted.preview, wanted.report) if path is not None],
            "timestamps": None if wanted.timestamps is None else hash_of(wanted.timestamps),
            "version": version("microsaccade"),
        }
        return hashlib.sha256(json.dumps(record, sort_keys=True, default=str).encode()).hexdigest()


def hash_of(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and bytes of all files in it."""
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(entry for entry in path.iterdir() if entry.is_file()):
            digest.update(f"{file.name}\0{hash_of(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plan_tasks(
    videos: Sequence[Video],
    folder: Path,
    *,
    conversion_of: Callable[[Video], Conversion],
    format: str | None = None,
    preview: str | None = None,
    report: str | None = None,
) -> list[Task]:
    """A task for each video; its files keep the folders of the video.

    conversion_of gives the conversion; its outputs are set here. `preview` and `report` are endings, like .mp4 and
    .html. Videos that differ in their suffix alone, a.mp4 and a.mkv, become a.mp4.h5 and a.mkv.h5. Raises
    `ParameterError` where a list gives an output outside of the folder, or one twice, and `FormatError` for an output
    of no known format.
    """
    suffix = ".h5" if format is None else format_to_write(Path(), format).suffixes[0]
    tasks = []
    for video, output in zip(videos, _outputs(videos, suffix), strict=True):
        path = folder / output
        stem = _without_suffix(path, format)
        conversion = replace(
            conversion_of(video),
            outputs=(Output(path=path, format=format),),
            preview=None if preview is None else path.with_name(stem + preview),
            report=None if report is None else path.with_name(stem + report),
        )
        tasks.append(Task(output=output, folder=folder, conversion=conversion, label=video.label))
    targets = Counter(path for task in tasks for path in task.conversion.targets)
    for task in tasks:
        twice = [path for path in task.conversion.targets if targets[path] > 1]
        if twice:
            raise ParameterError(f"{twice[0]} would be written for two videos; give each an output in a list")
    # An earlier run may have put previews, which are videos too, among the videos.
    return [task for task in tasks if Path(task.conversion.source) not in targets]


def in_shard(task: Task, shard: tuple[int, int]) -> bool:
    """Whether a task is part of shard (i, n), i from 1 to n; its name alone decides, whatever else is in the set."""
    number, shards = shard
    return int.from_bytes(hashlib.sha256(task.output.encode()).digest()[:8]) % shards == number - 1


def _outputs(videos: Sequence[Video], suffix: str) -> list[str]:
    """A name for the events of each video; the full name of a video where its stem would not do."""
    given = [None if video.output is None else _given(video, suffix) for video in videos]
    full = [name or video.name + suffix for name, video in zip(given, videos, strict=True)]
    names = [name or video.stem + suffix for name, video in zip(given, videos, strict=True)]
    while True:
        count = Counter(map(str.casefold, names))
        clash = [number for number, name in enumerate(names) if count[name.casefold()] > 1 and name != full[number]]
        if not clash:
            return names
        for number in clash:
            names[number] = full[number]


def _given(video: Video, suffix: str) -> str:
    """The output that a list gives."""
    path = PurePosixPath(video.output)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ParameterError(
            f"{video.where}: the output {video.output} is not in the folder of the set; give a name in it"
        )
    return path.as_posix() if path.suffix else f"{path.as_posix()}{suffix}"


def _without_suffix(path: Path, format: str | None) -> str:
    """The name of a file of events without what says its format."""
    suffixes = format_to_write(path, format).suffixes
    longest = max((len(suffix) for suffix in suffixes if path.name.lower().endswith(suffix)), default=0)
    return path.name[: len(path.name) - longest]
