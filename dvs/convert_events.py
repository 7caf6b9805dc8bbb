"""The command `convert-events`: files of events into other files of events, and what is in them."""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvs.command import Command, Margins, Option, Size

if TYPE_CHECKING:
    from collections.abc import Callable

    from dvs.files.format import Format

PROGRAM = "convert-events"

_CHANGES = {
    "start_s": "--start", "stop_s": "--stop", "rebase": "--rebase", "crop": "--crop", "polarity": "--polarity",
    "hot_pixels": "--hot-pixels", "refractory_us": "--refractory", "denoise_us": "--denoise",
    "downsample": "--downsample", "size": "--size",
}  # fmt: skip

_HELP = """Turn a file of events into others, or say what is in it.

SOURCE is any file that dvs.read can read: HDF5 of DSEC, Metavision, v2e, M3ED or tonic, Prophesee RAW and DAT, AEDAT,
Event Stream, NPZ, CSV, text, and the rest that --formats lists.

\b
Examples:
  convert-events street.raw
      what is in it: sensor, span, rates
  convert-events street.raw -o street.h5 -o street.aedat4
      two other formats
  convert-events street.h5 -o part.h5 --start 1.5 --stop 2 --rebase --crop 100,100,0,0
      half a second of the middle, from time 0
  convert-events dark.raw -o clean.h5 --hot-pixels --denoise 10000
      without hot pixels, and without events that no neighbour confirms within 10 ms
"""

_EPILOGUE = (
    "Times are whole microseconds and never rounded. A file is read block by block, so that its size does not matter. "
    "What a format cannot hold, sensor size or span or provenance, is said."
)


def _options() -> list[click.Parameter]:
    """All options, in the order of the help."""
    path = click.Path(path_type=Path)

    def option(heading: str, *names: str, **kwargs: Any) -> Option:
        return Option(names, heading=heading, **kwargs)

    files, part, less, run = "Files", "Which part", "Fewer events", "Running"
    return [
        click.Argument(["source"], required=False, metavar="SOURCE", type=path),
        option(files, "-o", "--output", "outputs", type=path, multiple=True, metavar="FILE",
               help="File to write; can be repeated. Without one, SOURCE is only described."),
        option(files, "--format", metavar="NAME", help="Of the outputs, whatever their suffix."),
        option(files, "--from", "source_format", metavar="NAME", help="Of SOURCE, whatever its suffix."),
        option(files, "--size", type=Size(), metavar="WxH", help="Of the sensor, where SOURCE does not say it."),
        option(files, "--formats", is_flag=True, help="List the formats."),
        option(files, "--overwrite", is_flag=True, help="Replace files that exist."),
        option(files, "--keep-good", is_flag=True, help="Of a damaged file, take what is in front of the damage."),
        option(part, "--start", "start_s", type=float, metavar="S", help="Begin so many seconds after the beginning."),
        option(part, "--stop", "stop_s", type=float, metavar="S", help="End so many seconds after the beginning."),
        option(part, "--rebase", is_flag=True, help="Let time begin at 0."),
        option(part, "--crop", type=Margins(), metavar="L,R,T,B",
               help="Pixels to cut off at left, right, top and bottom."),
        option(part, "--polarity", type=click.Choice(["on", "off"]), help="Only one."),
        option(less, "--hot-pixels", is_flag=True, help="Drop pixels that fire far more often than the others."),
        option(less, "--refractory", "refractory_us", type=float, metavar="US",
               help="Dead time of a pixel after an event, microseconds."),
        option(less, "--denoise", "denoise_us", type=float, metavar="US",
               help="Keep an event only if a neighbour had one no longer ago, microseconds."),
        option(less, "--downsample", type=click.IntRange(1), metavar="N",
               help="Make N x N pixels one; no event is dropped."),
        option(run, "--info", is_flag=True, help="Say what is in the outputs too, or in SOURCE."),
        option(run, "--json", "as_json", is_flag=True, help="Print the summary as JSON."),
        option(run, "--quiet", is_flag=True, help="Print nothing but warnings and errors."),
    ]  # fmt: skip


def convert_events(**options: Any) -> int:
    """What the command does with its options; returns the exit code."""
    if options["formats"]:
        click.echo(_formats_text())
        return 0
    if options["source"] is None:
        raise click.UsageError(f"no SOURCE is given; {PROGRAM} --help says what it can be")
    if not options["outputs"]:
        if changes := [name for name in _CHANGES if options[name] not in (None, False)]:
            raise click.UsageError(f"{_CHANGES[changes[0]]} changes events; give a file for them: -o FILE")
        _describe(options["source"], options)
        return 0
    from dvs.event_conversion import EventConversion
    from dvs.event_conversion import convert_events as convert

    names = {each.name for each in fields(EventConversion)}
    given = {name: value for name, value in options.items() if name in names and value is not None}
    given |= {
        "outputs": tuple((path, options["format"]) for path in options["outputs"]),
        "format": options["source_format"],
        "on_error": _on_error(options),
        "polarity": {"on": 1, "off": 0, None: None}[options["polarity"]],
    }
    with _progress(options["quiet"]) as progress:
        result = convert(EventConversion(**given), progress)
    for path, lost in result.lost.items():
        click.echo(f"{PROGRAM}: {path} does not hold {lost}; .h5 and .npz do", err=True)
    if options["as_json"]:
        click.echo(json.dumps(result.to_dict(), indent=2))
    elif not options["quiet"]:
        click.echo(_result_text(result))
    if options["info"]:
        for path in result.files:
            if not options["as_json"]:
                click.echo("")
            _describe(path, options | {"source_format": options["format"]})
    return 0


def _describe(path: Path, options: dict[str, Any]) -> None:
    """Say what is in a file."""
    from dvs import statistics
    from dvs.files import recording_file
    from dvs.files.table import format_to_read
    from dvs.new_file import size_bytes

    name = options["source_format"]
    source = recording_file.open(path, format=name, on_error=_on_error(options))
    chosen = format_to_read(path, name)
    record = {
        "file": str(path),
        "format": chosen.name,
        "bytes": size_bytes(path),
        "size_is_stated": _states_size(chosen, path),
        "start_us": source.start_us,
        "stop_us": source.stop_us,
        **statistics.summary(source).to_dict(),
        "provenance": dict(source.provenance),
    }
    click.echo(json.dumps(record, indent=2) if options["as_json"] else _info_text(record))


def _states_size(item: "Format", path: Path) -> bool:
    """Whether the file itself says how large the sensor is."""
    return "size" not in item.loses if item.attributes is None else "width" in item.attributes(path)


def _on_error(options: dict[str, Any]) -> str:
    return "keep" if options["keep_good"] else "raise"


def _info_text(record: dict[str, Any]) -> str:
    from dvs.charts import time_text, with_prefix
    from dvs.terminal import aligned

    start_s, stop_s = record["start_us"] / 1e6, record["stop_us"] / 1e6
    active = f"{100 * record['active_share']:.3g} % of the pixels fired"
    if not record["size_is_stated"]:
        active += ", up to the outermost event, as the file names no sensor: --size sets it"
    rows = [
        ("format", record["format"], with_prefix(record["bytes"], "B")),
        ("sensor", f"{record['width']}x{record['height']}", active),
        ("time", time_text(1e6 * record["duration_s"]), f"from {start_s:.6f} s to {stop_s:.6f} s"),
        ("events", f"{record['events']:,}", f"{100 * record['on_share']:.1f} % ON" if record["events"] else ""),
        ("rate", with_prefix(record["rate_hz"], "ev/s"), f"{with_prefix(record['rate_per_pixel_hz'], 'ev/s')} a pixel"),
        ("hot pixels", f"{record['hot_pixels']:,}", ""),
    ]
    if program := record["provenance"].get("program"):
        rows.append(("from", f"{program} {record['provenance'].get('version', '')}".strip(),
                     str(record["provenance"].get("source", ""))))  # fmt: skip
    return "\n".join([record["file"], *aligned(rows)])


def _result_text(result: Any) -> str:
    from dvs.charts import time_text, with_prefix
    from dvs.new_file import size_bytes
    from dvs.terminal import aligned

    kept = 100 * result.events_out / result.events_in if result.events_in else 100
    rows = [
        ("events", f"{result.events_out:,}", f"{kept:.3g} % of {result.events_in:,} in this part"),
        ("sensor", f"{result.width}x{result.height}", ""),
        ("time", time_text(result.stop_us - result.start_us), f"from {result.start_us / 1e6:.6f} s"),
        *(("written", str(path), with_prefix(size_bytes(path), "B")) for path in result.files),
    ]
    return "\n".join(aligned(rows))


def _formats_text() -> str:
    from dvs.files.table import FORMATS
    from dvs.terminal import aligned

    rows = [("name", "suffix", "", "does not hold")]
    for item in FORMATS:
        ways = "read and written" if item.write is not None else "read"
        rows.append((item.name, " ".join(item.suffixes), ways, item.lost if item.write is not None else ""))
    return "\n".join(aligned(rows))


def _progress(quiet: bool) -> "AbstractContextManager[Callable[[float], None]]":
    """A bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        return nullcontext(lambda share: None)
    from dvs.terminal import share_shown

    return share_shown("converting")


main = Command(
    PROGRAM,
    params=_options(),
    callback=convert_events,
    help=_HELP,
    epilog=_EPILOGUE,
    interrupted="stopped; nothing was written",
)

if __name__ == "__main__":
    main()
