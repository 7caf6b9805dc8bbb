"""From the options of the command to a data set that is ready to be converted."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dvs.batch.run import Batch, plan_batch
from dvs.batch.search import Video, find_videos
from dvs.batch.tasks import plan_tasks
from dvs.conversion import Conversion
from dvs.files.table import FORMATS


def batch_of(
    sources: Sequence[str], options: Mapping[str, Any], conversion_of: Callable[[Video, int | None], Conversion]
) -> Batch:
    """What is to be done with a data set. conversion_of: of a video, with so many threads unless options say more.

    Raises `click.UsageError` for options that do not go with a data set, and what `find_videos`, `plan_tasks` and
    `plan_batch` raise.
    """
    folder = _folder(sources, options)
    preview = _ending(options["preview"], "--preview", (".mp4", ".gif"))
    report = _ending(options["report"], "--report", (".html",))
    videos = find_videos(
        sources, recursive=options["recursive"], leave_out=folder, label_folders=options["labels"] is not None
    )
    jobs = min(options["jobs"] or os.cpu_count() or 1, len(videos))
    threads = 1 if jobs > 1 or options["cluster"] else None
    tasks = plan_tasks(
        videos,
        folder,
        conversion_of=lambda video: conversion_of(video, threads),
        format=options["format"],
        preview=preview,
        report=report,
    )
    named = {name: options[name] for name in ("resume", "overwrite", "shard", "cluster")}
    return plan_batch(Batch(folder=folder, tasks=tasks, jobs=jobs, **named))


def _folder(sources: Sequence[str], options: Mapping[str, Any]) -> Path:
    """The folder for the events; it need not exist."""
    if options["cluster"] and options["jobs"]:
        raise click.UsageError("--jobs is about this machine and --cluster about others; give one of them")
    if options["files"]:
        raise click.UsageError("--dvs-h5, --dvs-aedat4 and --dvs-text name one file; choose a --format for a data set")
    folders = options["output"]
    if not folders and len(sources) > 1:
        raise click.UsageError(f"Got unexpected extra argument ({sources[1]}); several videos need a folder: -o FOLDER")
    if not folders:
        raise click.UsageError(f"{sources[0]} is a data set; give the folder for its events: -o FOLDER")
    if len(folders) > 1:
        raise click.UsageError("a data set has one -o FOLDER; run it again with another --format and folder for more")
    suffixes = tuple(suffix for item in FORMATS for suffix in item.suffixes)
    if folders[0].name.lower().endswith(suffixes) and not folders[0].is_dir():
        raise click.UsageError(f"{folders[0]} is one file; give a folder for the events of a data set")
    return folders[0]


def _ending(path: Path | None, option: str, endings: tuple[str, ...]) -> str | None:
    """What is put behind the name of each video: .mp4, or more, like .events.mp4."""
    text = None if path is None else str(path)
    if text is not None and re.fullmatch(rf"(\.[^/\\]+)?({'|'.join(map(re.escape, endings))})", text) is None:
        raise click.UsageError(f"{option} {text} is one file; for a data set give an ending: {option} {endings[0]}")
    return text
