"""tonic data sets of recordings and of videos, and the way back: any tonic data set as recordings.

import dvs
import tonic
from dvs.transforms import ToFrame

gestures = dvs.EventFolder("gestures")  # gestures/wave/0.h5, gestures/clap/0.raw, ...
frames = tonic.DiskCachedDataset(
dvs.EventFolder("gestures", transform=ToFrame(gestures.sensor_size, n_time_bins=10)), cache_path="frames"
)
"""

import csv
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tonic

from dvs.conversion import Conversion, Output, convert, prepare
from dvs.errors import FormatError, InputError, ParameterError
from dvs.events import EVENT_DTYPE, EventArray, Recording, make_events
from dvs.files import input as reading
from dvs.files import recording_file
from dvs.files.table import FORMATS
from dvs.new_file import clear_errors
from dvs.sensors import Sensor, load_sensor
from dvs.transforms.columns import SensorSize, are_on, check_fields

FilePath = str | os.PathLike[str]
Labels = str | Callable[[Path], str | int]

FROM_FOLDERS = "from-folders"
"""The label of a file is the sub-folder it is in."""

VIDEO_SUFFIXES = (
    ".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".npy", ".npz", ".webm", ".wmv", ".y4m",
)  # fmt: skip
"""What `VideoDataset` looks for in a folder; a manifest may name anything that `dvs.open_video` takes."""

# What a conversion has that is no setting: it differs from video to video, or makes no difference to the events.
_NO_SETTINGS = ("source", "outputs", "preview", "report", "overwrite", "threads")


class _Files(tonic.Dataset, ABC):
    """Files with labels; what makes events of a file is left to the data sets below."""

    dtype = EVENT_DTYPE
    ordering = EVENT_DTYPE.names

    def __init__(
        self,
        path: FilePath,
        suffixes: Sequence[str],
        labels: Labels,
        transform: Callable[[Any], Any] | None,
        target_transform: Callable[[Any], Any] | None,
        transforms: Callable[[Any, Any], Any] | None,
    ) -> None:
        super().__init__(str(path), transform=transform, target_transform=target_transform, transforms=transforms)
        self.location_on_system = str(path)
        found = list(_listed(Path(path), suffixes, labels))
        if not found:
            raise InputError(f"{path} holds no file that ends in one of {', '.join(suffixes)}; is it the right folder?")
        self.data: list[Path] = [file for file, _ in found]
        self.classes, self.targets = _numbered([label for _, label in found])

    @cached_property
    def sensor_size(self) -> SensorSize:
        """(W, H, 2) of the smallest sensor that all recordings fit on; looks into each file, once."""
        sizes = [self._size(index) for index in range(len(self))]
        return max(width for width, _ in sizes), max(height for _, height in sizes), 2

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(events, label) after the transforms."""
        events, target = self.recording(index).events, self.targets[index]
        if self.transform is not None:
            events = self.transform(events)
        if self.target_transform is not None:
            target = self.target_transform(target)
        if self.transforms is not None:
            events, target = self.transforms(events, target)
        return events, target

    @abstractmethod
    def recording(self, index: int) -> Recording:
        """The recording itself: its events with sensor size, span and provenance."""

    @abstractmethod
    def _size(self, index: int) -> tuple[int, int]:
        """(width, height) of a recording, without reading it where possible."""


class EventFolder(_Files):
    """A tonic data set of recordings: (events, label) of every file, in any format that `dvs.read` reads.

    path: a folder, in which every file with the suffix of a format counts, hidden ones aside, in order of their names;
    or a manifest, which is JSON lines or CSV with the fields `path` (from the folder of the manifest) and `label`.
    labels: "from-folders" takes the name of the sub-folder; or a function of the path. transform, target_transform
    and transforms are tonic's.

    Labels that are whole numbers from 0 on stay as they are, others become their place in `classes`, which is in order
    of the alphabet. Events are as tonic's transforms need them: fields x, y, t (us) and a signed p in {0, 1}.

    Raises `InputError` for a path, a manifest or a label that is missing, and what `dvs.read` raises when a damaged
    file is reached.
    """

    def __init__(
        self,
        path: FilePath,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        transforms: Callable[[Any, Any], Any] | None = None,
        *,
        labels: Labels = FROM_FOLDERS,
    ) -> None:
        suffixes = sorted({suffix for item in FORMATS for suffix in item.suffixes})
        super().__init__(path, suffixes, labels, transform, target_transform, transforms)

    def recording(self, index: int) -> Recording:
        """The recording itself: its events with sensor size, span and provenance."""
        return reading.read(self.data[index])

    def _size(self, index: int) -> tuple[int, int]:
        file = recording_file.open(self.data[index])
        return file.width, file.height


class VideoDataset(_Files):
    """A tonic data set of videos, seen by an emulated sensor: (events, label) of every video.

    A video is converted when it is first asked for, and its events are kept in the folder `cache`, under a name made of
    its content, of all settings and of the version of this program: a changed video or setting is converted anew, and
    any number of processes may share the folder. options: those of `dvs.Conversion`, such as sensor (also by name),
    fps, start_s, stop_s or seed. Each video has noise of its own, drawn from the seed and its content.

    path, labels and the transforms: as in `EventFolder`; of a folder the files with a suffix in `VIDEO_SUFFIXES` count.
    Raises what `EventFolder` raises, `ParameterError` for an option, and what `dvs.convert` raises for a video.
    """

    def __init__(
        self,
        path: FilePath,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        transforms: Callable[[Any, Any], Any] | None = None,
        *,
        cache: FilePath,
        labels: Labels = FROM_FOLDERS,
        **options: Any,
    ) -> None:
        super().__init__(path, VIDEO_SUFFIXES, labels, transform, target_transform, transforms)
        self.cache = Path(cache)
        self._settings = _settings(options)
        self._digests: dict[Path, str] = {}

    def recording(self, index: int) -> Recording:
        """The recording itself: its events with sensor size, span and provenance."""
        conversion = self._conversion(index)
        target = conversion.outputs[0].path
        if not target.exists():
            with clear_errors(target):
                self.cache.mkdir(parents=True, exist_ok=True)
            convert(conversion)
        return reading.read(target)

    def _size(self, index: int) -> tuple[int, int]:
        conversion = self._conversion(index)
        target = conversion.outputs[0].path
        if target.exists():
            file = recording_file.open(target)
            return file.width, file.height
        frames = prepare(replace(conversion, outputs=())).frames
        return frames.width, frames.height

    def _conversion(self, index: int) -> Conversion:
        """How this video is converted, into a file whose name says so."""
        source = self.data[index]
        if source not in self._digests:
            self._digests[source] = _digest_of_path(source)
        digest = self._digests[source]
        own_seed = int(_digest(self._settings.seed, digest)[:15], 16)
        timestamps = self._settings.timestamps
        settings = asdict(self._settings)
        key = _digest(
            digest,
            {name: value for name, value in settings.items() if name not in _NO_SETTINGS},
            None if timestamps is None else _digest_of_path(Path(timestamps)),
            version("microsaccade"),
        )
        # Two processes that make the same file make the same bytes; either may come last.
        return replace(
            self._settings,
            source=str(source),
            outputs=(Output(path=self.cache / f"{key}.h5"),),
            overwrite=True,
            seed=own_seed,
        )


def from_tonic(
    events: EventArray, sensor_size: SensorSize, *, sort: bool = False, start_us: int = 0, stop_us: int | None = None
) -> Recording:
    """The events of a tonic data set as a recording, that everything here takes.

    events: structured, with the fields x, y, t (whole microseconds) and p in any order and dtype; p may be bool,
    0/1 or -1/+1. sort: put events that are out of order in order (stable). start_us, stop_us: when watching began and
    ended. As a transform it makes samples for `snn.run` of any data set:

        seen = partial(dvs.from_tonic, sensor_size=tonic.datasets.NMNIST.sensor_size)
        snn.run(network, tonic.datasets.NMNIST("data", transform=seen), input=eye, duration=300 * ms)

    Raises `InputError` for events that are out of order, off the sensor, or none.

    >>> raw = np.array([(7, True, 2, 1)], [("t", "u8"), ("p", "?"), ("x", "u2"), ("y", "u2")])
    >>> from_tonic(raw, sensor_size=(4, 3, 2)).events.tolist()
    [(2, 1, 7, 1)]
    """
    check_fields(events)
    p = events["p"]
    if p.dtype != bool and not (np.isin(p, (0, 1)).all() or np.isin(p, (-1, 1)).all()):
        raise InputError(f"polarities are {np.unique(p)[:5].tolist()}, expected bool, 0/1 or -1/+1")
    made = make_events(events["x"], events["y"], events["t"], are_on(events))
    backwards = made["t"][1:] < made["t"][:-1]
    if backwards.any():
        if not sort:
            first = int(np.argmax(backwards)) + 1
            raise InputError(
                f"events[{first}] is at {made['t'][first]} us, before the event in front of it "
                f"({made['t'][first - 1]} us); give sort=True"
            )
        made = made[np.argsort(made["t"], kind="stable")]
    width, height = sensor_size[:2]
    return Recording(events=made, width=int(width), height=int(height), start_us=start_us, stop_us=stop_us)


# Files and labels


def _listed(path: Path, suffixes: Sequence[str], labels: Labels) -> Iterator[tuple[Path, str | int]]:
    """(file, label) of a folder or a manifest."""
    if not path.exists():
        raise InputError(f"{path} does not exist; give a folder, or a manifest (.jsonl or .csv)")
    if path.is_file():
        yield from _of_manifest(path, labels)
        return
    if labels != FROM_FOLDERS and not callable(labels):
        raise ParameterError(f"labels is {labels!r}, expected {FROM_FOLDERS!r} or a function of the path")
    lists = [*sorted(path.glob("labels.csv")), *sorted(path.glob("labels-*-of-*.csv"))]  # of convert-video --labels
    if lists and labels == FROM_FOLDERS:
        # A video that changed its shard is in two of them.
        yield from {file: (file, label) for each in lists for file, label in _of_manifest(each, labels)}.values()
        return
    folders = tuple(suffix for item in FORMATS if item.folder for suffix in item.suffixes)
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.name.lower().endswith(tuple(suffixes)) and (file.is_file() or file.name.lower().endswith(folders))
    ]
    shown = [
        file
        for file in files
        if file not in lists and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    in_folders = [file.parent != path for file in shown]
    for file, inside in zip(shown, in_folders, strict=True):
        if callable(labels):
            yield file, labels(file)
        elif inside:
            yield file, file.relative_to(path).parts[0]
        elif any(in_folders):
            raise InputError(f"{file} is in no sub-folder, so it has no label; move it, or give labels as a function")
        else:
            yield file, path.resolve().name


def _of_manifest(path: Path, labels: Labels) -> Iterator[tuple[Path, str | int]]:
    for number, row in _rows(path):
        if "output" in row and row.get("status") != "done":
            continue
        if "output" in row:  # the manifest of convert-video
            row = {**row, "path": row["output"]}
        if not isinstance(row.get("path"), str) or (row.get("label") is None and not callable(labels)):
            raise InputError(f"{path}, line {number}: {dict(row)}, expected the fields path and label")
        file = path.parent / row["path"]
        if not file.exists():
            raise InputError(f"{path}, line {number}: {file} does not exist; paths are from the folder of the manifest")
        yield file, labels(file) if callable(labels) else row["label"]


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line number and fields of each line of a manifest."""
    if path.suffix.lower() not in (".jsonl", ".csv"):
        raise FormatError(f"{path} is no manifest; give a folder, JSON lines (.jsonl) or CSV (.csv)")
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".csv":
            for row in (reader := csv.DictReader(file)):
                yield reader.line_num, row
            return
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, line {number} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: {row!r}, expected the fields path and label")
            yield number, row


def _numbered(labels: Sequence[str | int]) -> tuple[list[str], list[int]]:
    """`classes`, and the place in it of each label."""
    names = [str(label) for label in labels]
    if all(name.isdecimal() and str(int(name)) == name for name in names):
        targets = [int(name) for name in names]
        return [str(number) for number in range(max(targets) + 1)], targets
    classes = sorted(set(names))
    place = {name: number for number, name in enumerate(classes)}
    return classes, [place[name] for name in names]


# Names in the cache


def _settings(options: Mapping[str, Any]) -> Conversion:
    """A conversion of nothing yet with these options."""
    known = {item.name for item in fields(Conversion)} - {"source", "outputs", "preview", "report", "overwrite"}
    if unknown := sorted(set(options) - known):
        raise ParameterError(
            f"{', '.join(unknown)} is no option of a conversion; choose from {', '.join(sorted(known))}"
        )
    sensor = options.get("sensor")
    if sensor is not None and not isinstance(sensor, Sensor):
        options = {**options, "sensor": load_sensor(sensor)}
    return Conversion(source="", outputs=(), **options)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()[:32]


def _digest_of_path(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of the files in a folder."""
    files: Iterable[Path] = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            own = hashlib.file_digest(content, "sha256").hexdigest()
        digest.update(f"{file.relative_to(path)}\0{own}\n".encode())
    return digest.hexdigest()
