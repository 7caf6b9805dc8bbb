"""What a person at a terminal gets to see: progress, the summary at the end, the plan, the sensors."""

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dvs.charts import time_text, with_prefix
from dvs.new_file import size_bytes
from dvs.sensors import Sensor, describe, load_sensor, sensor_names

if TYPE_CHECKING:
    from rich.console import Console

    from dvs.conversion import Plan, Progress, Result
    from dvs.forecast import Forecast

_LINE_EVERY_S = 10.0


@contextmanager
def progress_shown(program: str, compiling: bool) -> Iterator[Callable[["Progress"], None]]:
    """Show the progress on standard error: a bar on a terminal, else a line now and then."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        with _bar(console, "compiling (first run only)" if compiling else "reading") as show:
            yield show
    else:
        if compiling:
            print(f"{program}: compiling (first run only)", file=sys.stderr, flush=True)
        yield _lines(program)


@contextmanager
def _bar(console: "Console", first_stage: str) -> Iterator[Callable[["Progress"], None]]:
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    meter, pace = BarColumn(), _Pace()
    # Without markup: the name of a file may have brackets in it.
    before, behind = (TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[words]"))
    with Bar(before, meter, behind, console=console, transient=True) as bar:
        task = bar.add_task(first_stage, total=None, words="")

        def show(progress: "Progress") -> None:
            words = "  ".join(pace.words(progress))
            # Not the whole line: a Ctrl-C is echoed at its end, and would break it into two.
            meter.bar_width = max(console.width - len(progress.stage) - len(words) - 6, 4)
            bar.update(
                task,
                description=progress.stage,
                completed=progress.frames,
                total=progress.of_frames,
                words=words,
            )

        yield show


def _lines(program: str) -> Callable[["Progress"], None]:
    pace = _Pace()
    last_s = time.monotonic()

    def show(progress: "Progress") -> None:
        nonlocal last_s
        words = pace.words(progress)
        if time.monotonic() - last_s > _LINE_EVERY_S:
            last_s = time.monotonic()
            print(f"{program}: {progress.stage}, {', '.join(words)}", file=sys.stderr, flush=True)

    return show


class _Pace:
    """How fast the work is since its first report: what came before was compiling and opening."""

    def __init__(self) -> None:
        self._first: tuple[float, Progress] | None = None

    def words(self, progress: "Progress") -> list[str]:
        """Frames, event rate and, when they are known, speed and time left."""
        if self._first is None:
            self._first = time.monotonic(), progress
        since_s, first = self._first
        took_s = time.monotonic() - since_s
        of_frames = f"/{progress.of_frames}" if progress.of_frames else ""
        words = [f"{progress.frames}{of_frames} frames"]
        if progress.scene_s > 0:
            words.append(with_prefix(progress.events / progress.scene_s, "ev/s"))
        if progress.scene_s > first.scene_s:
            words.append(f"{(progress.scene_s - first.scene_s) / took_s:.2g}x real time")
        if progress.of_frames and progress.frames > first.frames:
            left_s = took_s * (progress.of_frames - progress.frames) / (progress.frames - first.frames)
            words.append(f"{clock(left_s)} left")
        return words


def clock(seconds: float) -> str:
    """h:mm:ss, or m:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def summary_text(result: "Result") -> str:
    """The end of a conversion: what came out, how fast, and where it is."""
    rate, pixel_rate = (with_prefix(hz, "ev/s") for hz in (result.rate_hz, result.rate_per_pixel_hz))
    frames = f"{result.frames:,} frames of {result.width}x{result.height}, sensor {result.sensor}"
    rows = [
        ("events", f"{result.events:,}", f"{100 * result.on_share:.1f} % ON, {result.dropped:,} dropped"),
        ("rate", rate, f"{pixel_rate} a pixel"),
        ("duration", time_text(result.duration_s * 1e6), frames),
        ("speed", f"{result.speed:.3g}x real time", f"took {time_text(result.seconds * 1e6)}"),
    ]
    files = [f"{path}, {with_prefix(size_bytes(path), 'B')}" for path in result.files]
    return "\n".join([*aligned(rows), *aligned(_labelled("written ", files))])


def plan_text(plan: "Plan", forecast: "Forecast | None") -> str:
    """What a conversion would do; without a forecast for a source that can be read only once."""
    conversion, film, encoding = plan.conversion, plan.film, plan.film.encoding
    length, events, sizes = "live", "unknown before the source is read", []
    if forecast is not None:
        length, events, sizes = _length(forecast), _expected(forecast), forecast.disk_bytes
    about = [
        ("source", f"{film.name}: {film.width}x{film.height}, {length}"),
        ("light", f"{encoding.transfer}, black {encoding.black:g}, white {encoding.white:g}"),
        *_labelled("size", plan.notes or ["as the source has it"]),
        ("interpolation", conversion.interpolation),
    ]
    expected = [("events", events), ("memory", f"about {with_prefix(plan.memory_bytes, 'B')}")]
    if forecast is not None and sizes:
        room = with_prefix(forecast.temporary_bytes, "B")
        expected.append(("disk", f"about {room} beside the outputs until they are finished"))
    targets = [str(path) for path in conversion.targets]
    for number, size in enumerate(sizes):
        targets[number] += f", about {with_prefix(size, 'B')}"
    expected += _labelled("to write", targets)
    expected += _labelled("lost", list(plan.losses))
    sensor = sensor_text(plan.settings.sensor)
    return "\n".join([*aligned(about), "", sensor, "", *aligned(expected), "", "Nothing was written."])


def sensor_text(sensor: Sensor) -> str:
    """Every number of a sensor with its source, as wide as the terminal."""
    return describe(sensor, min(shutil.get_terminal_size((100, 24)).columns, 120))


def sensors_text() -> str:
    """The presets, one a line."""
    rows = [("", "pixels", "thresholds", "bandwidth", "leak", "shot noise", "refractory", "bus")]
    for name in sensor_names():
        sensor = load_sensor(name)
        lag = 1 / sensor.cutoff_hz + 1 / sensor.cutoff_max_hz
        rows.append(
            (
                name,
                f"{sensor.width}x{sensor.height}" if sensor.width else "any",
                f"{sensor.theta_on:g} {sensor.theta_off:g}",
                with_prefix(1 / lag, "Hz") if lag else "no limit",
                with_prefix(sensor.leak_hz, "Hz"),
                with_prefix(sensor.shot_noise_hz, "Hz"),
                time_text(sensor.refractory_us),
                "no limit" if math.isinf(sensor.bus_mev_s) else with_prefix(sensor.bus_mev_s * 1e6, "ev/s"),
            )
        )
    legend = (
        "Thresholds ON and OFF in ln units; bandwidth and noise of a pixel at white under 1000 lux.\n"
        "--list-sensors --sensor NAME shows every number of one with its source."
    )
    return "\n".join([*aligned(rows), "", legend])


def _length(forecast: "Forecast") -> str:
    if forecast.duration_s is None:
        return "of unknown length"
    return f"{forecast.frames:,} frames in {time_text(forecast.duration_s * 1e6)}"


def _expected(forecast: "Forecast") -> str:
    rate = with_prefix(forecast.rate_hz, "ev/s")
    total = "" if forecast.events is None else f" and {with_prefix(forecast.events, '').strip()} in all"
    return f"about {rate}{total}, if it goes on as it begins"


def _labelled(label: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    """Rows of which only the first has the label."""
    return [(label if number == 0 else "", line) for number, line in enumerate(lines)]


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with the cells of the rows below each other."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


@contextmanager
def share_shown(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on standard error for work of which the share is known that is done."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)
