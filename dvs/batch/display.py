"""What a person at a terminal gets to see of a data set: one bar over all of it, a line for what fails, a table."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dvs.charts import time_text, with_prefix
from dvs.terminal import aligned, clock

if TYPE_CHECKING:
    from rich.console import Console

    from dvs.batch.run import Batch, Tally
    from dvs.batch.tasks import Task

_LINE_EVERY_S = 10.0
_ERROR = 40  # letters
_ROWS = 30  # of a table; a larger set has its failures there


@contextmanager
def batch_shown(program: str, *, quiet: bool = False) -> Iterator[Callable[["Tally"], None]]:
    """Show how far a set is on standard error: a bar on a terminal, else a line now and then.

    What fails has a line at once; when quiet, there is nothing else.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not quiet and console.is_terminal and not console.is_dumb_terminal:
        with _bar(console, program) as show:
            yield show
    else:
        yield _lines(program, quiet)


@contextmanager
def _bar(console: "Console", program: str) -> Iterator[Callable[["Tally"], None]]:
    from rich.progress import BarColumn, Progress, TextColumn

    meter = BarColumn()
    columns = TextColumn("{task.description}"), meter, TextColumn("{task.fields[words]}")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("videos", total=None, words="")

        def say(line: str) -> None:
            # Without markup: the name of a file may have brackets in it.
            bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

        failures = _failures(program, say)

        def show(tally: "Tally") -> None:
            failures(tally)
            stage, words = f"{tally.finished}/{tally.total} videos", "  ".join(_words(tally))
            # Not the whole line: a Ctrl-C is echoed at its end, and would break it into two.
            meter.bar_width = max(console.width - len(stage) - len(words) - 6, 4)
            bar.update(task, description=stage, completed=_progress(tally), total=tally.total, words=words)

        yield show


def _lines(program: str, quiet: bool) -> Callable[["Tally"], None]:
    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    failures = _failures(program, say)
    last_s = time.monotonic()

    def show(tally: "Tally") -> None:
        nonlocal last_s
        failures(tally)
        if not quiet and time.monotonic() - last_s > _LINE_EVERY_S:
            last_s = time.monotonic()
            say(f"{program}: {', '.join([f'{tally.finished}/{tally.total} videos', *_words(tally)])}")

    return show


def _failures(program: str, say: Callable[[str], None]) -> Callable[["Tally"], None]:
    """Say of each video that failed why, once."""
    seen = 0

    def show(tally: "Tally") -> None:
        nonlocal seen
        for record in tally.records[seen:]:
            if record["status"] == "failed":
                # The reason begins with the name of the file, or is about the machine.
                named = "" if record["source"] in record["error"] else f"{record['source']}: "
                say(f"{program}: failed: {named}{record['error']}")
        seen = len(tally.records)

    return show


def _progress(tally: "Tally") -> float:
    """Videos that are finished, and the parts of those that are not."""
    return tally.finished + sum(tally.shares.values())


def _words(tally: "Tally") -> list[str]:
    words = [f"{tally.failed} failed"] if tally.failed else []
    words.append(with_prefix(tally.events, "ev") if _progress(tally) > 0 else "starting")
    # What was skipped took no time.
    worked = _progress(tally) - tally.skipped
    if worked > 0:
        words.append(f"{clock(tally.seconds / worked * (tally.total - _progress(tally)))} left")
    return words


def batch_text(batch: "Batch", tally: "Tally") -> str:
    """The end of a set: its videos, or those that failed where it is large, and the sums."""
    records = sorted(tally.records, key=lambda record: record["output"])
    if len(records) > _ROWS:
        records = [record for record in records if record["status"] == "failed"][:_ROWS]
    table = [_row(record) for record in records]
    if table:
        table = [*aligned([("video", "status", "events", "took", ""), *table]), ""]
    warned = sum(bool(record["warnings"]) for record in tally.records)
    counts = {"done": tally.done, "failed": tally.failed, "unchanged": tally.skipped, "left": tally.left}
    sums = [
        ("videos", ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "none"),
        ("new events", f"{tally.events:,}"),
        *([("warnings", f"for {warned:,} videos, in the manifest")] if warned else []),
        ("took", time_text(tally.seconds * 1e6)),
        ("written", str(batch.folder)),
        ("manifest", str(batch.manifest)),
    ]
    return "\n".join([*table, *aligned(sums)])


def batch_record(batch: "Batch", tally: "Tally") -> dict[str, Any]:
    """The end of a set as JSON values."""
    return {
        "done": tally.done,
        "failed": tally.failed,
        "skipped": tally.skipped,
        "left": tally.left,
        "events": tally.events,
        "seconds": tally.seconds,
        "output": str(batch.folder),
        "manifest": str(batch.manifest),
        "videos": sorted(tally.records, key=lambda record: record["output"]),
    }


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    status = "unchanged" if record["status"] == "skipped" else record["status"]
    events = "" if record["events"] is None else f"{record['events']:,}"
    took = time_text(record["seconds"] * 1e6) if record["status"] == "done" else ""
    wrong = (record["error"] or "").removeprefix(record["source"]).strip()
    if len(wrong) > _ERROR:  # all of it stands above the table, and in the manifest
        wrong = f"{wrong[: _ERROR - 1]}…"
    return record["source"], status, events, took, wrong


def plan_text(batch: "Batch") -> str:
    """What would be done."""
    rows = [
        (task["source"], task["plan"], task["output"], _label(task["label"])) for task in plan_record(batch)["videos"]
    ]
    table = aligned([("video", "plan", "output", "label"), *rows]) if rows else ["no videos in this shard"]
    where = f"{batch.jobs} at a time" if batch.cluster is None else f"on the cluster at {batch.cluster}"
    return "\n".join([*table, "", f"{len(rows)} videos to {batch.folder}, {where}", "", "Nothing was written."])


def plan_record(batch: "Batch") -> dict[str, Any]:
    """What would be done, as JSON values.

    The plan of a video is convert, check (it was done before, and is skipped if unchanged), or refuse (a file exists).
    """
    videos = [
        {
            "source": task.conversion.source,
            "output": task.output,
            "label": task.label,
            "plan": _plan(task),
            "files": [str(path) for path in task.conversion.targets],
        }
        for task in batch.tasks
    ]
    return {"dry_run": True, "output": str(batch.folder), "manifest": str(batch.manifest), "videos": videos}


def _plan(task: "Task") -> str:
    exists = any(target.exists() for target in task.conversion.targets)
    if task.before is not None and exists:
        return "check"
    return "refuse" if exists and not task.conversion.overwrite else "convert"


def _label(label: str | int | None) -> str:
    return "" if label is None else str(label)
