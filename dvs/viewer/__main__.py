"""The command `dvs view`: a recording in the browser."""

import tempfile
import webbrowser
from pathlib import Path

import click

from dvs.command import Command
from dvs.errors import ParameterError
from dvs.events import Recording
from dvs.files.recording_file import RecordingFile
from dvs.viewer.packing import MAX_EVENTS

PROGRAM = "dvs view"

_HELP = """Look at a recording in the browser: cloud in space and time, picture of a window, rates.

FILE is a recording in any format that can be read. The page holds the events, needs no network and can be sent on.

\b
Examples:
  dvs view street.h5
      a page in a temporary folder, opened in the browser
  dvs view drive.h5 --start 12 --stop 15 --output turn.html
      three seconds of a long one, kept
"""


@click.command(cls=Command, name=PROGRAM, help=_HELP)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the page in this file.  [default: a temporary one]",
)
@click.option("--overwrite", is_flag=True, help="Replace a page that exists.")
@click.option("--no-browser", is_flag=True, help="Write the page and do not open it.")
@click.option("--start", "start_s", type=float, metavar="S", help="Begin so many seconds after the recording does.")
@click.option("--stop", "stop_s", type=float, metavar="S", help="End so many seconds after the recording begins.")
@click.option(
    "--max-events",
    type=click.IntRange(min=1),
    default=MAX_EVENTS,
    show_default=True,
    metavar="N",
    help="Of more events draw an even choice.",
)
def main(
    file: Path,
    output: Path | None,
    overwrite: bool,
    no_browser: bool,
    start_s: float | None,
    stop_s: float | None,
    max_events: int,
) -> None:
    """Write the page of a recording and open it."""
    # Only now: what reads and draws takes a while to import.
    from dvs.files import open as open_recording
    from dvs.new_file import clear_errors, new_file, refuse_existing
    from dvs.viewer.document import page

    if output is not None:
        refuse_existing(output, overwrite)
    recording = _part(open_recording(file), start_s, stop_s)
    text = page(recording, title=file.name, max_events=max_events)
    if output is None:
        output = Path(tempfile.mkdtemp(prefix="dvs-view-")) / f"{file.stem}.html"
    with new_file(output, overwrite=overwrite) as temporary, clear_errors(output):
        temporary.write_text(text, encoding="utf-8")
    click.echo(f"written {output}")
    if not no_browser and not webbrowser.open(output.resolve().as_uri()):
        click.echo(f"{PROGRAM}: no browser was found; open the page yourself", err=True)


def _part(
    recording: Recording | RecordingFile, start_s: float | None, stop_s: float | None
) -> Recording | RecordingFile:
    """The part from start_s to stop_s after the recording begins."""
    if start_s is None and stop_s is None:
        return recording
    length_s = recording.duration_s
    first_s, last_s = (0.0 if start_s is None else start_s), (length_s if stop_s is None else stop_s)
    if not (0 <= first_s < last_s and first_s < length_s):
        raise ParameterError(
            f"--start {first_s:g} and --stop {last_s:g} leave nothing of {length_s:g} s; give --start below --stop, "
            "both in seconds after the recording begins"
        )
    start_us = recording.start_us + round(first_s * 1e6)
    if last_s >= length_s:
        # The last event may be at the very stop.
        return recording.between(start_us, int(recording.stop_us) + 1)
    return recording.between(start_us, recording.start_us + round(last_s * 1e6))


if __name__ == "__main__":
    main()
