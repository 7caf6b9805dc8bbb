"""What has been done, as lines of JSON: one for each video, written as soon as it is known.

The last line of an output counts, and a line that breaks off does not: so a run that is killed leaves a manifest from
which the next can go on. A run that ends by itself leaves one line for each output.

Where videos have labels, labels.csv beside it has the path and the label of each that is done; it is a manifest for
`EventFolder`.
"""

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from dvs.errors import FormatError
from dvs.new_file import clear_errors, new_file

Record = Mapping[str, Any]
"""source, output, label, status (done or failed), error, events, seconds, source_sha256, output_sha256,
settings_sha256 and warnings. `output` is relative to the folder of the manifest, with /."""


def manifest_path(folder: Path, shard: tuple[int, int] | None = None) -> Path:
    """Where a run keeps its manifest; each shard has one of its own, so that none waits for another."""
    name = "manifest.jsonl" if shard is None else f"manifest-{shard[0]}-of-{shard[1]}.jsonl"
    return folder / name


def labels_path(manifest: Path) -> Path:
    """Where the labels of a manifest are: labels.csv, or labels-1-of-4.csv."""
    return manifest.with_name(manifest.name.replace("manifest", "labels", 1)).with_suffix(".csv")


def read_records(folder: Path) -> dict[str, Record]:
    """What all manifests in a folder say, by output; that a video was done counts more than that it failed."""
    records: dict[str, Record] = {}
    for path in sorted(folder.glob("manifest*.jsonl")):
        for output, record in read_manifest(path).items():
            if records.get(output, {}).get("status") != "done":
                records[output] = record
    return records


def read_manifest(path: Path) -> dict[str, Record]:
    """The records of a manifest by output, none where there is no file; `FormatError` for another kind of file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    records = {}
    # What follows the last line break is a line that was not finished.
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            record = json.loads(line)
            records[record["output"]] = record
        except (ValueError, TypeError, KeyError) as error:
            raise FormatError(
                f"line {number} of {path} is no record of a conversion; move the file away, or repair the line"
            ) from error
    return records


class Manifest:
    """A manifest that is being written: it begins with the records to keep, and is tidy when its block is left."""

    def __init__(self, path: Path, keep: Mapping[str, Record]) -> None:
        self.path = path
        self._records = dict(keep)

    def add(self, record: Record) -> None:
        """Add a record; it is on the disk when this returns."""
        self._records[record["output"]] = record
        with clear_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())

    def __enter__(self) -> "Manifest":
        self._tidy()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tidy()

    def _tidy(self) -> None:
        """Leave one line for each output, in one step."""
        with new_file(self.path, overwrite=True) as temporary:
            lines = (_line(self._records[output]) for output in sorted(self._records))
            temporary.write_text("".join(lines), encoding="utf-8")
        labelled = [record for _, record in sorted(self._records.items()) if record.get("label") is not None]
        if labelled:
            rows = [("path", "label")]
            rows += [(each["output"], each["label"]) for each in labelled if each["status"] == "done"]
            with (
                new_file(labels_path(self.path), overwrite=True) as temporary,
                temporary.open("w", encoding="utf-8", newline="") as file,
            ):
                csv.writer(file, lineterminator="\n").writerows(rows)


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"
