"""One video of a set, from a task to its files and its record; what an engine runs in its workers."""

import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dvs.batch.tasks import Task, hash_of
from dvs.conversion import Conversion, Progress, prepare, run
from dvs.errors import InputError, MicrosaccadeError, OutputError
from dvs.new_file import clear_errors, refuse_existing, take_name


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a task: `record` for the manifest, and in the folder `parts` the files that were made.

    Its status is done, failed, or skipped where an earlier run has made the same.
    """

    record: Mapping[str, Any]
    parts: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far a task is: the share of its frames that has been seen, 0 where nobody knows how many there are."""

    share: float


_TELL_EVERY_S = 0.2


def convert_task(task: Task, parts: Path, tell: Callable[[Step], None] = lambda step: None) -> Outcome:
    """Convert one video into a new folder inside `parts`; whatever is wrong with it ends up in the record.

    Nothing is written to the folder of the set: `publish` does that, so that a worker can be killed at any moment.
    """
    began_s, hashes = time.perf_counter(), {}
    try:
        hashes |= {"source_sha256": _hash_of_source(task), "settings_sha256": task.settings_sha256}
        if task.before is not None and _is_unchanged(task, hashes):
            return Outcome(record={**task.before, "status": "skipped"})
        _check_targets(task)
        return _made(task, parts, tell, hashes, began_s)
    except MicrosaccadeError as error:
        reason = str(error)
    except MemoryError:
        reason = "there is not enough memory"
    except Exception as error:  # of a library: it stops this video only
        reason = f"{type(error).__name__}: {error}"
    return failed(task, reason, seconds=time.perf_counter() - began_s, **hashes)


def failed(task: Task, reason: str, *, seconds: float = 0.0, **hashes: str) -> Outcome:
    """The outcome of a task that cannot be done."""
    return Outcome(record=_record(task, status="failed", error=" ".join(reason.split()), seconds=seconds, **hashes))


def publish(task: Task, outcome: Outcome) -> Outcome:
    """Give the files of an outcome their names in the folder of the set, or say why that cannot be."""
    if outcome.parts is None:
        return outcome
    try:
        for target in task.conversion.targets:
            with clear_errors(target):
                take_name(outcome.parts / target.name, target, task.conversion.overwrite)
    except OutputError as error:
        return failed(task, str(error), seconds=outcome.record["seconds"])
    finally:
        shutil.rmtree(outcome.parts, ignore_errors=True)
    return outcome


def _made(task: Task, parts: Path, tell: Callable[[Step], None], hashes: Mapping[str, str], began_s: float) -> Outcome:
    folder = parts / secrets.token_hex(8)
    wanted = task.conversion
    final = wanted.outputs[0].path.parent
    try:
        with clear_errors(folder):
            folder.mkdir(parents=True)
        result = run(prepare(_moved(wanted, folder)), progress=_teller(tell))
        made = hash_of(folder / wanted.outputs[0].path.name)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, MicrosaccadeError):
            # People know the name of the output, not where it is made.
            raise type(error)(str(error).replace(str(folder), str(final))) from error
        raise
    record = _record(
        task,
        status="done",
        events=result.events,
        seconds=time.perf_counter() - began_s,
        output_sha256=made,
        warnings=list(result.warnings),
        **hashes,
    )
    return Outcome(record=record, parts=folder)


def _record(task: Task, **facts: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("status", "error", "events", "seconds", "source_sha256", "output_sha256", "settings_sha256"))
    about = {"source": task.conversion.source, "output": task.output, "label": task.label}
    record = {**about, **empty, "warnings": [], **facts}
    return {**record, "seconds": round(record["seconds"], 3)}


def _hash_of_source(task: Task) -> str:
    source = Path(task.conversion.source)
    try:
        return hash_of(source)
    except FileNotFoundError as error:
        raise InputError(f"{source} does not exist") from error
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from error


def _is_unchanged(task: Task, hashes: Mapping[str, str]) -> bool:
    """Whether a record of before speaks of this video, these settings and the files that are there."""
    if any(task.before.get(name) != value for name, value in hashes.items()):
        return False
    if not all(target.exists() for target in task.conversion.targets):
        return False
    return task.before.get("output_sha256") == hash_of(task.conversion.outputs[0].path)


def _check_targets(task: Task) -> None:
    """No file is there that must not be overwritten."""
    for target in task.conversion.targets:
        with clear_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        try:
            refuse_existing(target, task.conversion.overwrite)
        except OutputError as error:
            if task.before is None:
                raise
            raise OutputError(
                f"{target} was made from another video or with other settings; --overwrite makes it again"
            ) from error


def _moved(conversion: Conversion, folder: Path) -> Conversion:
    """The conversion with its outputs in another folder."""

    def move(path: Path | None) -> Path | None:
        return None if path is None else folder / path.name

    outputs = tuple(replace(output, path=folder / output.path.name) for output in conversion.outputs)
    return replace(
        conversion, outputs=outputs, preview=move(conversion.preview), report=move(conversion.report), overwrite=False
    )


def _teller(tell: Callable[[Step], None]) -> Callable[[Progress], None]:
    """Tell how far a conversion is, not too often."""
    last_s = 0.0

    def progress(seen: Progress) -> None:
        nonlocal last_s
        if time.monotonic() - last_s > _TELL_EVERY_S:
            last_s = time.monotonic()
            tell(Step(share=seen.frames / seen.of_frames if seen.of_frames else 0.0))

    return progress
