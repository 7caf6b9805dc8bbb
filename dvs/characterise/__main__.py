"""The command `python -m dvs.characterise`: measure a sensor, draw one picture, write one JSON file."""

import json
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dvs.characterise.experiments import experiments
from dvs.characterise.measurement import Measurement
from dvs.characterise.poster import poster, value_text
from dvs.errors import MicrosaccadeError, ParameterError
from dvs.new_file import clear_errors, new_file
from dvs.sensors import Sensor, load_sensor, parse_setting, sensor_names

_PICTURES = (".png", ".pdf", ".svg")

_HELP = f"""Measure an emulated event camera as one would measure a real one.

The sensor looks at jumps, ramps and flicker of known contrast, at still scenes in light from 0.1 lux
to sunshine, and at more than its bus can carry. Thresholds, latency, bandwidth, noise and
throughput are read off the events alone, and shown beside what theory says, or what was asked for.

\b
Examples:
  python -m dvs.characterise --sensor davis346
  python -m dvs.characterise --sensor imx636 --set theta_on=0.3 --set refractory_us=1000
  python -m dvs.characterise --sensor my_camera.toml --illuminance 50 --output results

Writes NAME-characterisation.png and NAME-characterisation.json, NAME being that of the sensor.
It takes about half a minute.

Sensors: {", ".join(sensor_names())}.
"""


@click.command(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--sensor", "name", required=True, metavar="NAME", help="A preset, or a file of your own (.toml).")
@click.option(
    "--set", "changes", multiple=True, metavar="FIELD=VALUE",
    help="Change a parameter of the sensor; repeat for more. Thresholds are in ln units, inf is no limit.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Another seed, another chip of the same kind.")
@click.option(
    "--illuminance", "lux", default=1000.0, show_default=True, metavar="LUX",
    help="The light for experiments that do not vary it.",
)  # fmt: skip
@click.option("--output", default=".", metavar="FOLDER", help="Where both files go.  [default: here]")
@click.option("--json", "json_path", metavar="FILE", help="A name of its own for the numbers.")
@click.option(
    "--picture", "picture_path", metavar="FILE", help="A name of its own for the picture: .png, .pdf or .svg."
)
@click.option("--quiet", is_flag=True, help="No progress, no table.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
def main(
    name: str,
    changes: tuple[str, ...],
    seed: int,
    lux: float,
    output: str,
    json_path: str | None,
    picture_path: str | None,
    quiet: bool,
    overwrite: bool,
) -> None:
    """Run the command."""
    try:
        sensor = _changed(load_sensor(name), changes)
        stem = re.sub(r"[^\w.-]+", "-", f"{sensor.name}-characterisation")
        numbers = Path(json_path or Path(output, f"{stem}.json"))
        picture = Path(picture_path or Path(output, f"{stem}.png"))
        if picture.suffix not in _PICTURES:
            raise ParameterError(f"the picture {picture} ends in none of {', '.join(_PICTURES)}; name it so")
        for path in (numbers, picture):
            with clear_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
        # Both files are begun before the work, so that nothing is measured in vain.
        with new_file(numbers, overwrite=overwrite) as text, new_file(picture, overwrite=overwrite) as image:
            found = _measured(sensor, seed, lux, quiet)
            text.write_text(_json(sensor, found, seed, lux), encoding="utf-8")
            figure = poster(sensor, found, seed=seed, illuminance_lux=lux)
            figure.savefig(image, format=picture.suffix[1:], dpi=130)
    except MicrosaccadeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    if not quiet:
        Console().print(_table(found))
        click.echo(f"{picture}\n{numbers}")


def _changed(sensor: Sensor, changes: tuple[str, ...]) -> Sensor:
    values = dict(parse_setting(change) for change in changes)
    return sensor.with_(**values) if values else sensor


def _measured(sensor: Sensor, seed: int, lux: float, quiet: bool) -> dict[str, Measurement]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    found = {}
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        todo = experiments(sensor, seed=seed, illuminance_lux=lux)
        task = progress.add_task("", total=len(todo))
        for name, measure in todo.items():
            progress.update(task, description=name.replace("_", " "))
            found[name] = measure()
            progress.advance(task)
    return found


def _json(sensor: Sensor, found: Mapping[str, Measurement], seed: int, lux: float) -> str:
    record = {
        "program": "microsaccade",
        "version": version("microsaccade"),
        "sensor": sensor.to_dict(),
        "seed": seed,
        "illuminance_lux": lux,
        "measurements": {name: measurement.to_dict() for name, measurement in found.items()},
    }
    return json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _table(found: Mapping[str, Measurement]) -> Table:
    table = Table("", "", "measured", "theory", box=None, pad_edge=False)
    for measurement in found.values():
        title = measurement.title
        for name, number in measurement.numbers.items():
            measured, theory = value_text(number)
            table.add_row(title, name, measured, theory)
            title = ""
        if measurement.note:
            table.add_row(title, measurement.note, "", "")
    return table


if __name__ == "__main__":
    main(prog_name="python -m dvs.characterise")
