"""The command `convert-video`: its options, and what it says to people and to programs."""

import difflib
import json
import math
import re
import signal
import sys
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from dvs import v2e_options
from dvs.command import INTERRUPTED, Command, Margins, Option, Size
from dvs.errors import InputError, ParameterError
from dvs.sensors import Sensor, load_sensor, parse_setting
from dvs.v2e_options import modern_name

if TYPE_CHECKING:
    from dvs.batch.search import Video
    from dvs.conversion import Conversion, Output, Plan

PROGRAM = "convert-video"

# Options that are numbers of the sensor, under the same names.
_PIXEL = ("theta_on", "theta_off", "theta_sigma", "leak_hz", "shot_noise_hz", "refractory_us")

# Options that are about several videos, and the headings of those that a list can give for each of them.
_ABOUT_SEVERAL = ("recursive", "jobs", "resume", "shard", "labels", "cluster")
_OF_A_VIDEO = ("Sensor", "Video", "Light")

_HELP = """Turn a video into the events that an event camera would have sent.

SOURCE is a video file, a GIF, a folder of images, a .npy or .npz stack of frames, the number of a
webcam, or - for a video on standard input.

A data set is a folder that holds videos (one that holds only images is a single video), a pattern in
quotes like 'clips/**/*.mp4', a list, or several SOURCEs. -o is then a folder: it gets the events of each
video, under the same folders, and manifest.jsonl, which says of each what became of it. A list is a .csv
with names in its first line or a .jsonl of objects: source and, where wanted, output, label and options.

\b
Examples:
  convert-video street.mp4
      street.h5: the events of a typical sensor with as many pixels as the video
  convert-video street.mp4 --sensor davis346 --preview look.mp4 --report look.html
      a real sensor, a film to look at and a page of statistics
  convert-video frames/ --fps 960 --sensor ideal -o street.npz
      a folder of images, a sensor without noise, another format
"""

_EPILOGUE = f"Underscores are as good as hyphens. The names of v2e work too: {v2e_options.NAMES}."


class _Shard(click.ParamType):
    """(i, n): the i-th of n parts."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The shard, or a complaint."""
        found = re.fullmatch(r"(\d+)/(\d+)", value)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is no shard; four machines take 1/4, 2/4, 3/4 and 4/4", param, ctx)
        return int(found[1]), int(found[2])


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Take what a TOML file says as the defaults of the options."""
    if path is None:
        return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"{path} cannot be used: {error}") from error
    allowed = [each for each in ctx.command.params if each is not param]
    given = [_given(allowed, key, value, str(path)) for key, value in document.items()]
    ctx.default_map = {option.name: text for option, text in given}


def _given(
    allowed: Iterable[click.Parameter], key: str, value: Any, where: str
) -> tuple[click.Parameter, str | list[str]]:
    """The option of that name, and the value as text: a wrong type is refused just as on the command line."""
    options = {name.lstrip("-"): each for each in allowed for name in each.opts}
    option = options.get(modern_name(key))
    if option is None:
        nearest = difflib.get_close_matches(modern_name(key), options, n=1)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise click.BadParameter(f"{where} has the unknown key {key!r}{hint}; keys are names of options")
    several = value if isinstance(value, list) else [value]
    return option, list(map(str, several)) if option.multiple or option.nargs == -1 else str(value)


def _say_version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"{PROGRAM} (microsaccade) {version('microsaccade')}")
        ctx.exit()


def _options() -> list[click.Parameter]:
    """All options, in the order of the help."""
    path = click.Path(path_type=Path)

    def option(heading: str, *names: str, **kwargs: Any) -> Option:
        return Option(names, heading=heading, **kwargs)

    out, sensor, video, light, many, run = "Outputs", "Sensor", "Video", "Light", "Data sets", "Running"
    return [
        click.Argument(["source"], required=False, nargs=-1, metavar="SOURCE"),
        option(out, "-o", "--output", type=path, multiple=True, metavar="FILE",
               help="File of events: .h5 .npz .aedat4 .raw .dat .es .csv ...; can be repeated. A folder: "
               "SOURCE.h5 in it.  [default: SOURCE.h5]"),
        option(out, "--format", metavar="NAME",
               help="Whatever the suffix; convert-events --formats lists them."),
        option(out, "--preview", type=path, metavar="FILE",
               help="Film of events beside the video: .mp4 or .gif. For a data set give the ending alone, .mp4; so "
               "with --report."),
        option(out, "--palette", metavar="NAME",
               help="Colours of the preview: dark light metavision cool-warm dv redblue or grey.  [default: dark]"),
        option(out, "--preview-slowdown", type=float, metavar="FACTOR",
               help="How much slower than the film the preview is.  [default: 1]"),
        option(out, "--report", type=path, metavar="FILE", help="Page of statistics, parameters and a player: .html."),
        option(out, "--overwrite", is_flag=True, help="Replace files that exist."),
        option(sensor, "--sensor", metavar="NAME|FILE", help="Preset or .toml file.  [default: custom]"),
        option(sensor, "--list-sensors", is_flag=True,
               help="List the presets; with --sensor, all numbers of one."),
        option(sensor, "--size", type=Size("native", "for that of the video"), metavar="WxH|native",
               help="Size of the sensor in pixels; native: that of the video. Other frames are cut to its "
               "aspect, around the centre, and resized."),
        option(sensor, "--theta-on", type=float, metavar="LN", help="Threshold of ON events, ln units."),
        option(sensor, "--theta-off", type=float, metavar="LN", help="Threshold of OFF events, ln units."),
        option(sensor, "--theta-sigma", type=float, metavar="LN",
               help="Mismatch: sd of the thresholds over pixels, ln units."),
        option(sensor, "--cutoff-hz", type=float, metavar="HZ",
               help="Bandwidth at 1000 lux, -3 dB; 0: no limit."),
        option(sensor, "--leak-hz", type=float, metavar="HZ",
               help="ON events of a still pixel at 1000 lux, Hz."),
        option(sensor, "--shot-noise-hz", type=float, metavar="HZ",
               help="Noise events of a still pixel at 1000 lux, Hz."),
        option(sensor, "--refractory-us", type=float, metavar="US",
               help="Blind time after an event, microseconds."),
        option(sensor, "--set", "set_", multiple=True, metavar="NAME=VALUE",
               help="Any other number that --list-sensors --sensor shows."),
        option(video, "--crop", type=Margins(), metavar="L,R,T,B",
               help="Pixels to cut off at left, right, top and bottom."),
        option(video, "--start", "start_s", type=float, metavar="S", help="Begin at this time, seconds."),
        option(video, "--stop", "stop_s", type=float, metavar="S", help="End at this time, seconds."),
        option(video, "--fps", type=float, metavar="HZ",
               help="Frames a second, instead of what the source says."),
        option(video, "--slow-motion", type=float, metavar="FACTOR",
               help="How much slower than the world the video is.  [default: 1]"),
        option(video, "--timestamps", type=path, metavar="FILE",
               help="Times of a folder or stack, one a line or .npy: seconds with a point, or whole "
               "microseconds."),
        option(video, "--interpolate", "interpolation", metavar="none|flow",
               help="Make frames between frames, by optical flow, until no step moves things by more than "
               "a pixel; slow.  [default: none]"),
        option(light, "--illuminance", "illuminance_lux", type=float, metavar="LUX",
               help="Light on the scene where it is white.  [default: 1000]"),
        option(light, "--dark-offset", type=float, metavar="Y",
               help="Luminance, white being 1, that is added before the logarithm.  [default: 0.0014]"),
        option(light, "--transfer", metavar="NAME",
               help="Curve of the codes, instead of what the source says: srgb bt709 linear gamma22 "
               "gamma28 pq or hlg."),
        option(many, "--recursive", is_flag=True, help="Also the videos in the folders inside a folder."),
        option(many, "--jobs", type=click.IntRange(1, 1024), metavar="N",
               help="Videos at a time; if several, each on one thread.  [default: one for each core]"),
        option(many, "--resume", is_flag=True,
               help="Go on with an earlier run; skip what is done where video, settings and events are unchanged."),
        option(many, "--shard", type=_Shard(), metavar="I/N",
               help="Only the I-th of N parts, told apart by name: N machines share a set without talking."),
        option(many, "--labels", type=click.Choice(["from-folders"]), metavar="from-folders",
               help="Label each video with the name of the folder it lies in."),
        option(many, "--cluster", metavar="ADDRESS",
               help="Work through the Dask scheduler there; its workers must see the same files."),
        option(run, "--seed", type=int, metavar="N",
               help="The same seed makes the same bytes.  [default: 0]"),
        option(run, "--threads", type=click.IntRange(1, 1024), metavar="N",
               help="[default: one for each core]"),
        option(run, "--config", type=path, metavar="FILE", is_eager=True, expose_value=False,
               callback=_read_config,
               help="TOML file of options by their names: theta-on = 0.3. The command line wins."),
        option(run, "--dry-run", is_flag=True, help="Say what would be done; write nothing."),
        option(run, "--json", "as_json", is_flag=True, help="Print the summary as JSON."),
        option(run, "--quiet", is_flag=True, help="Print nothing but warnings and errors."),
        option(run, "--version", is_flag=True, is_eager=True, expose_value=False, callback=_say_version,
               help="Print the version."),
        *v2e_options.HIDDEN,
    ]  # fmt: skip


def convert_video(**options: Any) -> int:
    """What the command does with its options; returns the exit code."""
    sources, given = options["source"], {**options, "source": next(iter(options["source"]), None)}
    options = v2e_options.translate(given)
    if options["list_sensors"]:
        from dvs.terminal import sensor_text, sensors_text

        click.echo(sensors_text() if options["sensor"] is None else sensor_text(_sensor(options)))
        return 0
    if _is_set(sources, options):
        return _convert_set(sources or (options["source"],), given, options)
    conversion = _conversion(options, _outputs(options))
    if conversion.source == "-" and sys.stdin.isatty():
        raise click.UsageError("- stands for standard input, which is a terminal; pipe a video into it")
    # Only now: what is needed for the work takes a while to import.
    from dvs.conversion import prepare

    plan = prepare(conversion)
    if options["dry_run"]:
        _dry_run(plan, as_json=options["as_json"])
        return 0
    if not options["quiet"]:
        for note in (*plan.notes, *plan.losses):
            click.echo(f"{PROGRAM}: {note}", err=True)
    return _run(plan, quiet=options["quiet"], as_json=options["as_json"])


def _sensor(options: Mapping[str, Any]) -> Sensor:
    """The preset or file, with the numbers that were given in place of its own."""
    chosen = options["sensor"] or "custom"
    sensor = chosen if isinstance(chosen, Sensor) else load_sensor(chosen)
    changes = {name: options[name] for name in _PIXEL if options[name] is not None}
    if options["cutoff_hz"] is not None:
        changes |= {"cutoff_hz": options["cutoff_hz"] or math.inf, "cutoff_max_hz": math.inf}
    if options["size"] is not None:
        width, height = (None, None) if options["size"] == "native" else options["size"]
        changes |= {"width": width, "height": height}
    for assignment in options["set_"]:
        field, value = parse_setting(assignment)
        changes[field.replace("-", "_")] = value
    return sensor.with_(**changes)


def _conversion(options: Mapping[str, Any], outputs: "tuple[Output, ...]") -> "Conversion":
    from dvs.conversion import Conversion

    names = {each.name for each in fields(Conversion)} - {"source", "outputs", "sensor"}
    given = {name: options[name] for name in names if options[name] is not None}
    return Conversion(source=options["source"], outputs=outputs, sensor=_sensor(options), **given)


def _outputs(options: Mapping[str, Any]) -> "tuple[Output, ...]":
    """The outputs that were asked for; a folder stands for a file in it that is named after the source."""
    from dvs.conversion import Output
    from dvs.files.table import format_to_write

    if not options["source"]:
        raise click.UsageError(f"no SOURCE is given; {PROGRAM} --help says what it can be")
    source, paths, format = options["source"], options["output"], options["format"]
    suffix = ".h5" if format is None else format_to_write(Path(), format).suffixes[0]
    name = f"{_stem(source)}{suffix}"
    if options["files"]:
        # v2e has a folder for all outputs.
        folder = next((path for path in paths if path.is_dir()), Path())
        files = [Output(path=folder / path, format=kind) for path, kind in options["files"]]
        paths = [path for path in paths if not path.is_dir()]
    else:
        files, paths = [], paths or [Path()]
    named = [Output(path=path / name if path.is_dir() else path, format=format) for path in paths]
    return (*named, *files)


def _stem(source: str) -> str:
    from dvs.conversion import is_webcam

    if source == "-":
        return "stdin"
    if is_webcam(source):
        return f"webcam{source}"
    path = Path(source)
    return path.resolve().name if path.is_dir() else path.stem


def _dry_run(plan: "Plan", *, as_json: bool) -> None:
    """Say what would be done."""
    from dvs.forecast import forecast
    from dvs.terminal import plan_text

    expected = None if plan.conversion.is_live else forecast(plan)
    warnings = [expected.warning] if expected is not None and expected.warning else []
    _warn(warnings)
    if not as_json:
        click.echo(plan_text(plan, expected))
        return
    record = {
        "dry_run": True,
        "source": plan.film.name,
        "source_size": [plan.film.width, plan.film.height],
        "size": [plan.frames.width, plan.frames.height],
        "files": [str(path) for path in plan.conversion.targets],
        "forecast": None if expected is None else asdict(expected),
        "memory_bytes": plan.memory_bytes,
        "notes": [*plan.notes, *plan.losses],
        "warnings": warnings,
        "parameters": plan.settings.to_dict(),
    }
    click.echo(json.dumps(record, indent=2))


def _run(plan: "Plan", *, quiet: bool, as_json: bool) -> int:
    """Run a plan and say what came out; returns the exit code."""
    from dvs.conversion import run
    from dvs.terminal import progress_shown, summary_text

    shown = nullcontext(lambda progress: None) if quiet else progress_shown(PROGRAM, _must_compile())
    with _stoppable() as stop, shown as progress:
        try:
            result = run(plan, progress=progress, stopped=stop.is_set)
        except InputError:
            if stop.is_set():  # before there was anything to keep
                raise KeyboardInterrupt from None
            raise
    _warn(result.warnings)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
    elif not quiet:
        click.echo(summary_text(result))
    return INTERRUPTED if result.partial else 0


def _is_set(sources: Sequence[str], options: Mapping[str, Any]) -> bool:
    """Whether there are several videos, or options that are about several."""
    from dvs.batch.search import is_set

    if not options["source"]:
        return False
    return len(sources) > 1 or any(options[name] for name in _ABOUT_SEVERAL) or is_set(options["source"])


def _convert_set(sources: Sequence[str], given: Mapping[str, Any], options: Mapping[str, Any]) -> int:
    """Convert a data set and say what came out; returns the exit code. given: the options as they came."""
    from dvs.batch.display import batch_record, batch_shown, batch_text, plan_record, plan_text
    from dvs.batch.options import batch_of
    from dvs.batch.run import run_batch

    batch = batch_of(sources, options, lambda video, threads: _conversion_in_set(video, given, threads))
    if options["dry_run"]:
        click.echo(json.dumps(plan_record(batch), indent=2) if options["as_json"] else plan_text(batch))
        return 0
    how = "stopping when the videos that are begun are finished; Ctrl-C again discards them"
    with _stoppable(how) as stop, batch_shown(PROGRAM, quiet=options["quiet"]) as show:
        tally = run_batch(batch, show=show, stopped=stop.is_set)
    if options["as_json"]:
        click.echo(json.dumps(batch_record(batch, tally), indent=2))
    elif not options["quiet"]:
        click.echo(batch_text(batch, tally))
    if tally.failed:
        click.echo(f"{PROGRAM}: {tally.failed} of {tally.total} videos failed; {batch.manifest} says why", err=True)
    if tally.left:
        click.echo(f"{PROGRAM}: {tally.left} of {tally.total} videos are left; --resume goes on", err=True)
        return INTERRUPTED
    return 2 if tally.failed else 0


def _conversion_in_set(video: "Video", given: Mapping[str, Any], threads: int | None) -> "Conversion":
    """The conversion of a video, without its outputs; what its list says comes before the options."""
    context = click.get_current_context()
    allowed = [each for each in context.command.params if getattr(each, "heading", "") in _OF_A_VIDEO]
    allowed += [each for each in context.command.params if each.name == "seed"]
    try:
        row = [_given(allowed, key, value, video.where) for key, value in video.options.items()]
        own = {option.name: option.type_cast_value(context, text) for option, text in row}
    except click.BadParameter as error:
        raise ParameterError(f"{video.where}: {error.format_message()}") from error
    options = v2e_options.translate({**given, **own})
    options |= {"source": video.source, "preview": None, "report": None, "threads": options["threads"] or threads}
    return _conversion(options, ())


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        click.echo(f"{PROGRAM}: {click.style('warning', fg='yellow')}: {warning}", err=True)


def _must_compile() -> bool:
    """Whether Numba has no compiled pixel on disk yet."""
    from dvs import pixel

    return not any(Path(pixel.advance_tiles.stats.cache_path).glob("pixel.advance_tiles-*.nbi"))


@contextmanager
def _stoppable(how: str = "stopping in good order; Ctrl-C again discards everything") -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second raises KeyboardInterrupt, as without this."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()
        print(f"{PROGRAM}: {how}", file=sys.stderr)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


main = Command(
    PROGRAM,
    params=_options(),
    callback=convert_video,
    help=_HELP,
    epilog=_EPILOGUE,
    said={
        "stop_s=": "--stop ",
        "transfer=": "--transfer ",
        "not enough memory": "not enough memory; give a smaller --size",
    },
    interrupted="stopped at once; what was not finished is discarded",
    context_settings={"token_normalize_func": modern_name},
)

if __name__ == "__main__":
    main()
