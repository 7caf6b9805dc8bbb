"""The loop over a data set: what is left to do is given to an engine, what comes back is written down."""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dvs.batch.cluster import run_cluster
from dvs.batch.local import run_local
from dvs.batch.manifest import Manifest, labels_path, manifest_path, read_manifest, read_records
from dvs.batch.tasks import Task, in_shard
from dvs.batch.work import Outcome, publish
from dvs.errors import OutputError
from dvs.new_file import clear_errors


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The tasks of a set and how to go about them.

    resume: go on with what an earlier run left: videos that are unchanged and done are skipped. shard: (i, n), do the
    i-th of n parts. jobs: videos at a time on this machine; cluster: the address of a Dask scheduler instead.
    """

    folder: Path
    tasks: Sequence[Task]
    resume: bool = False
    overwrite: bool = False
    shard: tuple[int, int] | None = None
    jobs: int = 1
    cluster: str | None = None

    @property
    def manifest(self) -> Path:
        """Where the manifest is written."""
        return manifest_path(self.folder, self.shard)


@dataclass
class Tally:
    """How far a set is; `shares` are those of the videos that are being converted."""

    total: int
    done: int = 0
    failed: int = 0
    skipped: int = 0
    events: int = 0
    began_s: float = field(default_factory=time.monotonic)
    shares: dict[str, float] = field(default_factory=dict)
    records: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def finished(self) -> int:
        """Videos of which the outcome is known."""
        return self.done + self.failed + self.skipped

    @property
    def left(self) -> int:
        """Videos of which it is not."""
        return self.total - self.finished

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.monotonic() - self.began_s

    def add(self, record: Mapping[str, Any]) -> None:
        """Count the record of a video: done, failed or skipped."""
        self.shares.pop(record["output"], None)
        self.records.append(record)
        setattr(self, record["status"], getattr(self, record["status"]) + 1)
        if record["status"] == "done":
            self.events += record["events"]


def plan_batch(batch: Batch) -> Batch:
    """The tasks of the shard, each with what an earlier run says of it; nothing is written.

    Raises `OutputError` where there is a manifest already and nobody has said what to do about it.
    """
    mine = [batch.manifest]
    if any(task.label is not None for task in batch.tasks):
        mine.append(labels_path(batch.manifest))
    there = [path for path in mine if path.exists()]
    if there and not (batch.resume or batch.overwrite):
        raise OutputError(f"{there[0]} exists; --resume goes on with it, --overwrite makes everything again")
    if batch.folder.exists() and not batch.folder.is_dir():
        raise OutputError(f"{batch.folder} is no folder; give one for the events of the set")
    before = read_records(batch.folder) if batch.resume else {}
    tasks = [
        replace(task, before=_done(before.get(task.output)))
        for task in batch.tasks
        if batch.shard is None or in_shard(task, batch.shard)
    ]
    return replace(batch, tasks=tasks)


def run_batch(
    batch: Batch,
    *,
    show: Callable[[Tally], None] = lambda tally: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Tally:
    """Do what `plan_batch` has planned; a video that fails stops no other.

    `show` is called now and then. Once `stopped` says so no more videos are begun. The manifest is written as the work
    goes, so that it can be resumed after whatever ends it. Raises `OutputError` where the folder cannot be written or
    another run is at it, and what an engine raises.
    """
    tally = Tally(total=len(batch.tasks))
    with clear_errors(batch.folder):
        batch.folder.mkdir(parents=True, exist_ok=True)
    with _parts(batch.manifest) as parts, Manifest(batch.manifest, _kept(batch)) as manifest:
        show(tally)
        with closing(_engine(batch, parts, stopped)) as reports:
            for task, report in reports:
                if isinstance(report, Outcome):
                    tally.add(_settled(task, report, manifest))
                else:
                    tally.shares[task.output] = report.share
                show(tally)
    return tally


def _settled(task: Task, outcome: Outcome, manifest: Manifest) -> Mapping[str, Any]:
    """The record of a video whose files have their names now.

    It is written first: what is killed in between is done again, because its files are missing.
    """
    if outcome.record["status"] != "skipped":
        manifest.add(outcome.record)
    settled = publish(task, outcome)
    if settled is not outcome:
        manifest.add(settled.record)
    return settled.record


def _engine(batch: Batch, parts: Path, stopped: Callable[[], bool]) -> Iterator[tuple[Task, Any]]:
    if batch.cluster is not None:
        return run_cluster(_absolute(batch.tasks), parts.absolute(), address=batch.cluster, stopped=stopped)
    return run_local(batch.tasks, parts, jobs=min(batch.jobs, max(len(batch.tasks), 1)), stopped=stopped)


def _absolute(tasks: Iterable[Task]) -> list[Task]:
    """Tasks that mean the same in any current folder."""

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else path.absolute()

    return [
        replace(
            task,
            folder=task.folder.absolute(),
            conversion=replace(
                task.conversion,
                source=str(Path(task.conversion.source).absolute()),
                outputs=tuple(replace(each, path=each.path.absolute()) for each in task.conversion.outputs),
                preview=absolute(task.conversion.preview),
                report=absolute(task.conversion.report),
                timestamps=absolute(task.conversion.timestamps),
            ),
        )
        for task in tasks
    ]


def _done(record: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return record if record is not None and record.get("status") == "done" else None


def _kept(batch: Batch) -> dict[str, Mapping[str, Any]]:
    """What the manifest begins with: what it says already, and what those of other shards say of these videos."""
    return read_manifest(batch.manifest) | {task.output: task.before for task in batch.tasks if task.before is not None}


@contextmanager
def _parts(manifest: Path) -> Iterator[Path]:
    """A folder beside a manifest for what is not finished; gone at the end, and while it is there no other run has it.

    What a killed run left in it is removed.
    """
    folder = manifest.with_name(f".{manifest.stem}.parts")
    with clear_errors(folder):
        folder.mkdir(exist_ok=True)
    with _locked(folder):
        for left in folder.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """A lock that the system takes back when the process ends, however it does; none where it has no such locks."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another run is writing to {folder.parent}; wait for it, or give each a --shard"
            ) from error
        yield
    finally:
        os.close(handle)
