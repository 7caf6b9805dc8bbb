"""The conversion of one video, from a record that says what is wanted to the files.

`prepare` checks all that can be checked before the work, `run` does the work, `convert` both.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.emulator import CHUNK_PIXELS, Batch, Settings, provenance, stream
from dvs.errors import FormatError, OutputError, ParameterError
from dvs.events import Recording
from dvs.files import Writer, open_writer, recording_file
from dvs.files.recording_file import RecordingFile
from dvs.files.table import format_to_write
from dvs.frames import Frames
from dvs.interpolation import interpolate
from dvs.luminance import DARK_OFFSET
from dvs.new_file import clear_errors, refuse_existing, size_bytes
from dvs.observers import Gate, MotionWatch, ReportNotes, Tally
from dvs.preview import Preview
from dvs.sensors import Sensor, load_sensor
from dvs.video import open_video
from dvs.video.transforms import crop_frames, resize_frames

INTERPOLATIONS = ("none", "flow")

_PREVIEW_FPS = {".mp4": 30.0, ".gif": 25.0}  # a .gif keeps its times in hundredths of a second


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file of events; its format is the one its suffix names unless one is given."""

    path: Path
    format: str | None = None


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """All that is wanted: the same record makes the same bytes.

    `source` is what `dvs.open_video` takes. `crop` is cut off at the left, right, top and bottom, in
    pixels of the source. Frames of another size than the sensor's are cut to its aspect, around the
    centre, and resized; a sensor without a size has that of the frames. `start_s`, `stop_s`, `fps`,
    `slow_motion`, `timestamps` and `transfer` are those of `open_video`, `illuminance_lux`,
    `dark_offset`, `seed` and `threads` those of `Settings`. With `interpolation` = "flow" frames are
    made between the frames until no step moves anything by more than a pixel. preview_slowdown: how much slower than
    the film the preview is; palette: its colours, a name of `dvs.palettes.PALETTES`.
    """

    source: str
    outputs: tuple[Output, ...]
    preview: Path | None = None
    preview_slowdown: float = 1.0
    palette: str = "dark"
    report: Path | None = None
    overwrite: bool = False
    sensor: Sensor = field(default_factory=lambda: load_sensor("custom"))
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    start_s: float | None = None
    stop_s: float | None = None
    fps: float | None = None
    slow_motion: float = 1.0
    timestamps: Path | None = None
    transfer: str | None = None
    interpolation: str = "none"
    illuminance_lux: float = 1000.0
    dark_offset: float = DARK_OFFSET
    seed: int = 0
    threads: int | None = None

    @property
    def is_webcam(self) -> bool:
        """Whether the source is a camera, which has no end of its own."""
        return is_webcam(self.source)

    @property
    def is_live(self) -> bool:
        """Whether the source can be read only once."""
        return self.is_webcam or self.source == "-"

    @property
    def targets(self) -> tuple[Path, ...]:
        """All files that will be written."""
        extras = (path for path in (self.preview, self.report) if path is not None)
        return (*(output.path for output in self.outputs), *extras)


def is_webcam(source: str) -> bool:
    """Whether a source is the number of a camera; a file of that name comes first."""
    return source.isdecimal() and not Path(source).exists()


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A conversion whose source is open and whose outputs can be written.

    `film` are the frames as the source has them, `frames` those the sensor sees; `notes` say in words
    what happens to them on the way.
    """

    conversion: Conversion
    settings: Settings
    film: Frames
    frames: Frames
    notes: tuple[str, ...]
    memory_bytes: int

    @property
    def losses(self) -> tuple[str, ...]:
        """What the outputs do not hold, in words."""
        formats = [(output.path, format_to_write(output.path, output.format)) for output in self.conversion.outputs]
        return tuple(f"{path} does not hold {item.lost}; .h5 and .npz do" for path, item in formats if item.lost)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a conversion is: frames of the source and, where known, how many there are."""

    stage: str
    frames: int
    of_frames: int | None
    events: int
    scene_s: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came out. `duration_s` is time of the scene, `seconds` that of the work."""

    source: str
    sensor: str
    width: int
    height: int
    seed: int
    frames: int
    duration_s: float
    events: int
    on_events: int
    dropped: int
    seconds: float
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    partial: bool

    @property
    def rate_hz(self) -> float:
        """Events a second of the scene."""
        return self.events / self.duration_s

    @property
    def rate_per_pixel_hz(self) -> float:
        """Events a second of the average pixel."""
        return self.rate_hz / (self.width * self.height)

    @property
    def on_share(self) -> float:
        """Share of the events that are ON; 0 where there are none."""
        return self.on_events / max(self.events, 1)

    @property
    def speed(self) -> float:
        """Seconds of the scene for each second of work."""
        return self.duration_s / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        derived = {name: getattr(self, name) for name in ("rate_hz", "rate_per_pixel_hz", "on_share", "speed")}
        files = [{"path": str(path), "bytes": size_bytes(path)} for path in self.files]
        return {**asdict(self), **derived, "files": files}


def convert(conversion: Conversion) -> Result:
    """Convert a video; raises what `prepare` and `run` raise."""
    return run(prepare(conversion))


# Before the work


def prepare(conversion: Conversion) -> Plan:
    """Open the source and check the outputs and every parameter; nothing is written.

    Raises `ParameterError`, `InputError`, `FormatError`, `OutputError` and `MissingExtraError`.
    """
    if conversion.interpolation not in INTERPOLATIONS:
        raise ParameterError(
            f"interpolation is {conversion.interpolation!r}, expected one of {', '.join(INTERPOLATIONS)}"
        )
    _check_targets(conversion)
    settings = Settings(
        sensor=conversion.sensor,
        seed=conversion.seed,
        illuminance_lux=conversion.illuminance_lux,
        dark_offset=conversion.dark_offset,
        threads=conversion.threads,
    )
    film = open_video(
        int(conversion.source) if conversion.is_webcam else conversion.source,
        start_s=conversion.start_s,
        stop_s=conversion.stop_s,
        fps=conversion.fps,
        slow_motion=conversion.slow_motion,
        timestamps=conversion.timestamps,
        transfer=conversion.transfer,
    )
    frames, notes = _fitted(film, conversion)
    memory_bytes = _memory_bytes(film, frames, conversion)
    _check_memory(memory_bytes, frames)
    return Plan(
        conversion=conversion,
        settings=settings,
        film=film,
        frames=frames,
        notes=notes,
        memory_bytes=memory_bytes,
    )


def _check_targets(conversion: Conversion) -> None:
    """Each target can be written, is named once, and is not what is read."""
    for output in conversion.outputs:
        format_to_write(output.path, output.format)
    preview = conversion.preview
    if preview is not None and preview.suffix.lower() not in _PREVIEW_FPS:
        raise FormatError(f"a preview is an .mp4 or a .gif, not {preview.name}; choose one of these")
    read = [Path(name) for name in (conversion.source, conversion.timestamps) if name is not None]
    seen = set()
    for path in conversion.targets:
        if any(path.exists() and other.exists() and path.samefile(other) for other in read):
            raise OutputError(f"{path} is what is to be read; choose another name")
        refuse_existing(path, conversion.overwrite)
        if path.resolve() in seen:
            raise ParameterError(f"{path} is named twice; give each output a name of its own")
        seen.add(path.resolve())
        # The one sure way to know that a folder can be written; the file has no name.
        with clear_errors(path), tempfile.TemporaryFile(dir=path.parent):
            pass


def _fitted(film: Frames, conversion: Conversion) -> tuple[Frames, tuple[str, ...]]:
    """The frames that the sensor sees, and what was done to them, in words."""
    sensor, frames, notes = conversion.sensor, film, []
    if any(conversion.crop):
        left, right, top, bottom = conversion.crop
        box = left, top, film.width - left - right, film.height - top - bottom
        if min(conversion.crop) < 0 or min(box[2:]) < 1:
            raise ParameterError(
                f"crop cuts {left}, {right}, {top} and {bottom} pixels off the left, right, top and bottom "
                f"of {film.width}x{film.height} frames; give numbers from 0 up that leave something"
            )
        frames = crop_frames(frames, box)
        notes.append(f"cropped to {frames.width}x{frames.height}")
    width, height = sensor.width or frames.width, sensor.height or frames.height
    if (width, height) != (frames.width, frames.height):
        scale = min(frames.width / width, frames.height / height)
        part = max(round(width * scale), 1), max(round(height * scale), 1)
        if part != (frames.width, frames.height):
            left, top = (frames.width - part[0]) // 2, (frames.height - part[1]) // 2
            frames = crop_frames(frames, (left, top, *part))
            notes.append(f"cut to their central {part[0]}x{part[1]}")
        frames = resize_frames(frames, (width, height))
        notes.append(f"{'enlarged' if scale < 1 else 'reduced'} to the {width}x{height} of the sensor")
    if not notes:
        return frames, ()
    return frames, (f"{film.width}x{film.height} frames are {', '.join(notes)}",)


def _memory_bytes(film: Frames, frames: Frames, conversion: Conversion) -> int:
    """About how much memory the work takes at its peak; fitted to films of 32x32 to 3840x2160."""
    pixels = frames.width * frames.height
    as_light = conversion.interpolation == "flow" or frames.encoding != film.encoding
    in_chunk = pixels if conversion.is_webcam else max(pixels, CHUNK_PIXELS)
    in_film = 250 * pixels if conversion.preview else 0
    return 250_000_000 + 150 * pixels + (40 if as_light else 8) * in_chunk + in_film


def _check_memory(needed_bytes: int, frames: Frames) -> None:
    if not hasattr(os, "sysconf"):
        return
    present_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed_bytes > present_bytes:
        raise ParameterError(
            f"frames of {frames.width}x{frames.height} need {needed_bytes / 1e9:.0f} GB of memory, this "
            f"machine has {present_bytes / 1e9:.0f}; give a smaller size"
        )


# The work


def run(
    plan: Plan,
    *,
    progress: Callable[[Progress], None] = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Result:
    """Do the work; memory does not grow with the film.

    `progress` is called now and then. Once `stopped` says so no more frames are read, and the files
    hold what was seen until then. An exception leaves no part of a file behind, and whatever was
    there before as it was. Raises `InputError` for a source that cannot be read to its end (a webcam
    that goes away only ends the recording) and `OutputError`.
    """
    began_s = time.perf_counter()
    conversion, film = plan.conversion, plan.film
    source = seen = Gate(plan.frames, stopped, forgiving=conversion.is_webcam)
    if conversion.interpolation == "flow":
        seen = Gate(interpolate(source.frames), stopped)
    frames = seen.frames
    tally, motion = Tally(), MotionWatch(frames.encoding)
    notes = ReportNotes(frames, conversion.slow_motion) if conversion.report else None

    def was_cut() -> bool:
        return source.was_cut or seen.was_cut

    def tell(stage: str) -> None:
        progress(
            Progress(
                stage=stage,
                frames=source.passed,
                # The header of a film only estimates how many there are.
                of_frames=film.count and max(film.count, source.passed),
                events=tally.events,
                scene_s=tally.stop_us * 1e-6,
            )
        )

    with ExitStack() as stack:
        writers = [stack.enter_context(_writer(conversion, output, frames)) for output in conversion.outputs]
        with _preview(conversion, frames) as preview:
            for batch in stream(frames, plan.settings, chunk_frames=1 if conversion.is_webcam else None):
                tally.look(batch)
                for writer in writers:
                    writer.append(batch.events)
                if preview is not None:
                    _show(preview, batch, seen.first)
                if notes is not None:
                    notes.look(batch)
                if conversion.interpolation == "none":
                    motion.look(batch)
                tell("stopping" if was_cut() else "converting")
        partial = was_cut() and not conversion.is_webcam
        record = _provenance(plan) | {"frames": source.passed, "partial": partial}
        for output, writer in zip(conversion.outputs, writers, strict=True):
            tell(f"writing {output.path.name}")
            writer.finish(0, tally.stop_us, record)

    warnings = [text for text in (source.complaint, motion.complaint, tally.complaint) if text]
    if partial:
        warnings.append(f"the conversion is partial: it was stopped after {tally.stop_us * 1e-6:.3f} s")
    if notes is not None:
        tell(f"writing {conversion.report.name}")
        notes.write(
            conversion.report,
            source=film.name,
            sensor=plan.settings.sensor,
            provenance=record,
            player=_played(conversion),
            warnings=warnings,
            overwrite=conversion.overwrite,
        )
    return Result(
        source=film.name,
        sensor=plan.settings.sensor.name,
        width=frames.width,
        height=frames.height,
        seed=plan.settings.seed,
        frames=source.passed,
        duration_s=tally.stop_us * 1e-6,
        events=tally.events,
        on_events=tally.on_events,
        dropped=tally.dropped,
        seconds=time.perf_counter() - began_s,
        files=conversion.targets,
        notes=(*plan.notes, *plan.losses),
        warnings=tuple(warnings),
        partial=partial,
    )


def _writer(conversion: Conversion, output: Output, frames: Frames) -> AbstractContextManager[Writer]:
    return open_writer(output.path, frames.width, frames.height, format=output.format, overwrite=conversion.overwrite)


def _preview(conversion: Conversion, frames: Frames) -> AbstractContextManager[Preview | None]:
    """The preview, as slow as the film, or nothing."""
    if conversion.preview is None:
        return nullcontext()
    return Preview(
        conversion.preview,
        frames.width,
        frames.height,
        encoding=frames.encoding,
        fps=_PREVIEW_FPS[conversion.preview.suffix.lower()],
        slowdown=conversion.slow_motion * conversion.preview_slowdown,
        palette=conversion.palette,
        overwrite=conversion.overwrite,
    )


def _played(conversion: Conversion) -> Recording | RecordingFile | None:
    """The events for the report's player: those of the first output that holds all that it needs."""
    for output in conversion.outputs:
        if not format_to_write(output.path, output.format).loses:
            return recording_file.open(output.path, format=output.format)
    return None


def _show(preview: Preview, batch: Batch, first: list[tuple[float, NDArray]]) -> None:
    """Add a batch to the preview; the first frame of all ends no interval and is in no batch."""
    while first:
        t_us, frame = first.pop()
        preview.show(frame, t_us)
    # Piece by piece: the preview looks through all that waits for each of its pictures.
    ends = np.searchsorted(batch.events["t"], batch.times_us)
    pieces = np.split(batch.events, ends)
    for t_us, frame, piece in zip(batch.times_us, batch.pictures, pieces, strict=False):
        preview.append(piece, math.floor(t_us))
        preview.show(frame, t_us)
    preview.append(pieces[-1], math.floor(batch.until_us))


def _provenance(plan: Plan) -> dict[str, Any]:
    """What made the events, with the choices that were made before the sensor saw a frame."""
    conversion = plan.conversion
    names = ("crop", "start_s", "stop_s", "fps", "slow_motion", "transfer", "interpolation")
    return {
        **provenance(plan.frames, plan.settings),
        **{name: getattr(conversion, name) for name in names},
        "timestamps": None if conversion.timestamps is None else str(conversion.timestamps),
        "encoding": asdict(plan.film.encoding),
    }
