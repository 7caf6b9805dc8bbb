"""A file of events into other files of events: cut, cropped, filtered, in blocks, however large it is."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dvs import statistics
from dvs.errors import InputError, ParameterError
from dvs.events import EventArray, Recording
from dvs.files import recording_file
from dvs.files.input import OnError
from dvs.files.output import open_writer
from dvs.files.recording_file import RecordingFile
from dvs.files.table import format_to_read, format_to_write
from dvs.transforms import Crop, Denoise, Downsample, DropPixel, OnlyPolarity, RefractoryPeriod, Streamed


@dataclass(frozen=True, kw_only=True)
class EventConversion:
    """What becomes of a file of events, in the order of the fields.

    source, format: the file, and its format where content and suffix do not say. size: width and height of the sensor,
    for a file that does not say, or says it wrongly. outputs: each a path and a format, or
    None for that of the suffix. start_s, stop_s: the part of time that is kept, since the beginning of the recording;
    rebase: where it begins becomes time 0. polarity: 1 only ON, 0 only OFF. crop: pixels that are cut off at the left,
    right, top and bottom. hot_pixels: pixels that fire far more often than others are dropped
    (`dvs.statistics.hot_pixels`). refractory_us: dead time of a pixel. denoise_us: an event stays if a neighbour had
    one no longer ago. downsample: so many pixels, along both axes, become one.
    """

    source: Path
    outputs: tuple[tuple[Path, str | None], ...]
    format: str | None = None
    size: tuple[int, int] | None = None
    start_s: float | None = None
    stop_s: float | None = None
    rebase: bool = False
    polarity: int | None = None
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    hot_pixels: bool = False
    refractory_us: float | None = None
    denoise_us: float | None = None
    downsample: int = 1
    on_error: OnError = "raise"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.downsample < 1 or min(self.crop) < 0:
            raise ParameterError(
                f"downsample is {self.downsample}, crop {self.crop}; expected 1 or more, and margins from 0 pixels on"
            )


@dataclass(frozen=True, kw_only=True)
class EventResult:
    """What a conversion did. lost: by output, what its format cannot hold."""

    source: Path
    events_in: int
    events_out: int
    width: int
    height: int
    start_us: int
    stop_us: int
    files: tuple[Path, ...]
    lost: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        record = asdict(self)
        return record | {"source": str(self.source), "files": [str(path) for path in self.files]}


def convert_events(conversion: EventConversion, progress: Callable[[float], None] = lambda share: None) -> EventResult:
    """Carry it out; progress is called with the share of the time that is done.

    Outputs appear whole or not at all. Raises what `dvs.open` and `dvs.write` raise, and `ParameterError` for a crop
    that leaves nothing.
    """
    source = recording_file.open(conversion.source, format=conversion.format, on_error=conversion.on_error)
    if conversion.size is not None:
        source = replace(source, width=conversion.size[0], height=conversion.size[1])
    start_us, stop_us = _span(conversion, source)
    width, height, steps = _steps(conversion, source)
    shift_us = -start_us if conversion.rebase else 0
    formats = [format_to_write(path, name) for path, name in conversion.outputs]
    places = [path.resolve() for path, _ in conversion.outputs]
    if twice := next((path for path in places if places.count(path) > 1), None):
        raise ParameterError(f"{twice} is named twice; give each output a name of its own")
    states = [step.start() for step in steps]
    events_in = events_out = 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(open_writer(path, width, height, format=item.name, overwrite=conversion.overwrite))
            for (path, _), item in zip(conversion.outputs, formats, strict=True)
        ]
        for block in _within(source.blocks(), start_us, stop_us):
            events_in += block.size
            kept, states = _through(steps, states, block)
            if shift_us:
                kept = kept.copy()
                kept["t"] += shift_us
            events_out += kept.size
            for writer in writers:
                writer.append(kept)
            if block.size:
                progress((int(block["t"][-1]) - start_us) / max(stop_us - start_us, 1))
        notes = _provenance(conversion, source)
        for writer in writers:
            writer.finish(start_us + shift_us, stop_us + shift_us, notes)
    return EventResult(
        source=conversion.source,
        events_in=events_in,
        events_out=events_out,
        width=width,
        height=height,
        start_us=start_us + shift_us,
        stop_us=stop_us + shift_us,
        files=tuple(path for path, _ in conversion.outputs),
        lost={str(path): item.lost for (path, _), item in zip(conversion.outputs, formats, strict=True) if item.loses},
    )


def _span(conversion: EventConversion, source: Recording | RecordingFile) -> tuple[int, int]:
    start_s = 0.0 if conversion.start_s is None else conversion.start_s
    stop_s = source.duration_s if conversion.stop_s is None else conversion.stop_s
    # A stop that was read off a summary may be rounded up.
    if not 0 <= start_s <= stop_s <= source.duration_s + 1e-3:
        raise InputError(
            f"the part from {start_s:g} s to {stop_s:g} s is asked of a recording of {source.duration_s:g} s; give "
            "--start and --stop within it, counted from its beginning"
        )
    return tuple(min(source.start_us + round(1e6 * at_s), source.stop_us) for at_s in (start_s, stop_s))


def _steps(conversion: EventConversion, source: Recording | RecordingFile) -> tuple[int, int, list[Streamed]]:
    """Width and height that come out, and what is done to the events."""
    left, right, top, bottom = conversion.crop
    width, height = source.width - left - right, source.height - top - bottom
    if min(width, height) < 1:
        raise ParameterError(
            f"a crop of {','.join(map(str, conversion.crop))} leaves nothing of {source.width}x{source.height} pixels"
        )
    steps: list[Streamed] = []
    if conversion.hot_pixels:
        steps.append(DropPixel(coordinates=statistics.hot_pixels(statistics.accumulate(source))))
    if conversion.polarity is not None:
        steps.append(OnlyPolarity(conversion.polarity))
    if any(conversion.crop):
        steps.append(Crop(left, top, width, height))
    if conversion.refractory_us is not None:
        steps.append(RefractoryPeriod(delta=conversion.refractory_us))
    if conversion.denoise_us is not None:
        steps.append(Denoise(filter_time=conversion.denoise_us))
    if conversion.downsample > 1:
        steps.append(Downsample(spatial_factor=1 / conversion.downsample))
        width, height = -(-width // conversion.downsample), -(-height // conversion.downsample)
    return width, height, steps


def _within(blocks: Iterable[EventArray], start_us: int, stop_us: int) -> Iterator[EventArray]:
    """The events from start_us to stop_us, ends included; what comes later is not read."""
    for block in blocks:
        if block.size and block["t"][0] > stop_us:
            return
        yield block[(block["t"] >= start_us) & (block["t"] <= stop_us)]


def _through(steps: list[Streamed], states: list[Any], events: EventArray) -> tuple[EventArray, list[Any]]:
    after = []
    for step, state in zip(steps, states, strict=True):
        events, state = step.advance(state, events)
        after.append(state)
    return events, after


def _provenance(conversion: EventConversion, source: Recording | RecordingFile) -> dict[str, Any]:
    """What the source says, with what was done to it on top."""
    done = {name: value for name, value in asdict(conversion).items() if name not in ("outputs", "overwrite")}
    done["format"] = format_to_read(conversion.source, conversion.format).name
    done |= {"program": "microsaccade", "version": version("microsaccade"), "source": conversion.source.name}
    return {**source.provenance, "converted": [*source.provenance.get("converted", []), done]}
