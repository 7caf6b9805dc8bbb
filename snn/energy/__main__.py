"""The command `snn-energy`: prices what a run has counted."""

import json
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvs.command import Command
from dvs.errors import ParameterError
from dvs.new_file import clear_errors, new_file

if TYPE_CHECKING:
    from snn.energy.accounting import Account
    from snn.energy.prices import PriceList

PROGRAM = "snn-energy"

_SIZES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

_HELP = """Say what an inference costs in joules, and how well that is known.

COUNTS is the file that a network's counts were saved to: counts.save("counts.json").

\b
Examples:
  snn-energy counts.json --prices loihi1
      the account of a run on Loihi that takes as long as the run was simulated
  snn-energy counts.json --prices loihi1 --time 3.4ms --chips 2 --sensor davis346
      on two chips in 3.4 ms an inference, with the camera
  snn-energy counts.json --prices loihi1 --prices mine.toml --html account.html
      with prices of your own on top, and a page to send to a reviewer
  snn-energy --list
  snn-energy --show loihi1
      what there is, and every price with its source
"""

_EPILOGUE = (
    "A price that nobody published is never taken as zero: what was counted and has no price is named, and the total "
    "is printed as ≥ X."
)


class _Time(click.ParamType):
    """Seconds, from a number with its unit, or the word estimated."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """The seconds, or a complaint."""
        if value == "estimated":
            return value
        found = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?) *(\w+)", str(value).strip())
        try:
            return float(found[1]) * _SIZES[found[2]]
        except (TypeError, ValueError, KeyError):
            self.fail(f"{value!r} is no time; write a number and s, ms, us or ns, such as 3.4ms", param, ctx)


def _options() -> list[click.Parameter]:
    """All options, in the order of the help."""
    path = click.Path(path_type=Path)
    return [
        click.Argument(["counts"], required=False, metavar="COUNTS", type=path),
        click.Option(["--prices"], multiple=True, metavar="NAME|FILE",
                     help="Price list: one that --list shows, or a .toml file. Repeated, later ones are laid on top."),
        click.Option(["--sensor"], metavar="NAME|FILE",
                     help="Camera whose power and events are charged: a preset of dvs or a .toml file."),
        click.Option(["--time", "time_s"], type=_Time(), metavar="TIME|estimated",
                     help="Of an inference on the hardware, such as 3.4ms, or estimated from the times of the price "
                     "list.  [default: as long as was simulated]"),
        click.Option(["--cores"], type=click.IntRange(1), metavar="N",
                     help="Cores that share the work, for the estimate.  [default: 1]"),
        click.Option(["--chips"], type=click.IntRange(1), metavar="N",
                     help="Chips that draw power whether or not anything happens.  [default: 1]"),
        click.Option(["--twin"], metavar="NAME|FILE",
                     help="At how many spikes a synapse the same network without spikes costs less is said at the "
                     "prices of arithmetic of this list.  [default: generic-45nm-int8]"),
        click.Option(["--boundary"], metavar="PARTS",
                     help="What is charged for, with commas between.  [default: sensor,network,static,host]"),
        click.Option(["--json", "json_path"], type=path, metavar="FILE", help="Also write it as JSON."),
        click.Option(["--html", "html_path"], type=path, metavar="FILE", help="Also write it as a page."),
        click.Option(["--picture", "picture_path"], type=path, metavar="FILE",
                     help="Also draw it: .png .svg or .pdf."),
        click.Option(["--overwrite"], is_flag=True, help="Replace files that exist."),
        click.Option(["--list", "list_"], is_flag=True, help="List the price lists."),
        click.Option(["--show"], metavar="NAME|FILE", help="Every price of a list with its source."),
    ]  # fmt: skip


def snn_energy(**options: Any) -> int:
    """What the command does with its options; returns the exit code."""
    from snn.energy.prices import describe

    if options["list_"]:
        _say(_lists())
    elif options["show"] is not None:
        _say(describe(_prices([options["show"]])))
    else:
        _write(_account(options), options)
    return 0


def _say(text: str) -> None:
    """Print it, also where the terminal has no sign for "at least" or for a millionth."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding))


def _lists() -> str:
    from snn.energy.prices import load_prices, price_list_names

    names = price_list_names()
    width = max(map(len, names))
    lines = [f"{name.ljust(width)}  {load_prices(name).title}" for name in names]
    return "\n".join([*lines, "", f"{PROGRAM} --show NAME shows every price of one with its source."])


def _prices(names: Sequence[str]) -> "PriceList":
    """The lists, each laid on the one before."""
    from snn.energy.prices import load_prices

    if not names:
        raise click.UsageError(f"no --prices are given; {PROGRAM} --list shows what there is")
    first, *others = map(load_prices, names)
    for other in others:
        first = first | other
    return first


def _account(options: dict[str, Any]) -> "Account":
    if options["counts"] is None:
        raise click.UsageError(f"no COUNTS are given; {PROGRAM} --help says what they are")
    from brian2 import second

    from dvs.sensors import load_sensor
    from snn.energy.accounting import account
    from snn.energy.counts import load

    given: dict[str, Any] = {name: options[name] for name in ("chips", "cores") if options[name] is not None}
    if options["sensor"] is not None:
        given["sensor"] = load_sensor(options["sensor"])
    if options["time_s"] is not None:
        given["time"] = options["time_s"] if options["time_s"] == "estimated" else options["time_s"] * second
    if options["boundary"] is not None:
        given["boundary"] = tuple(re.split(r"\s*,\s*", options["boundary"].strip()))
    if options["twin"] is not None:
        given["twin"] = options["twin"]
    return account(load(options["counts"]), _prices(options["prices"]), **given)


def _write(made: "Account", options: dict[str, Any]) -> None:
    """Print the account, after all files that were asked for are there: all of them, or none."""
    from snn.energy.picture import plot
    from snn.energy.report import page

    json_path, html_path, picture_path = (options[f"{kind}_path"] for kind in ("json", "html", "picture"))
    if picture_path is not None and picture_path.suffix not in (".png", ".svg", ".pdf"):
        raise ParameterError(f"{picture_path} is no name of a picture; end it with .png, .svg or .pdf")
    with ExitStack() as files:

        def file(path: Path) -> Path:
            temporary = files.enter_context(new_file(path, overwrite=options["overwrite"]))
            files.enter_context(clear_errors(path))
            return temporary

        if json_path is not None:
            file(json_path).write_text(json.dumps(made.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if html_path is not None:
            file(html_path).write_text(page(made), encoding="utf-8")
        if picture_path is not None:
            plot(made).figure.savefig(file(picture_path), format=picture_path.suffix[1:], dpi=200)
    _say(str(made))


main = Command(
    PROGRAM,
    params=_options(),
    callback=snn_energy,
    help=_HELP,
    epilog=_EPILOGUE,
    interrupted="stopped; nothing was written",
)

if __name__ == "__main__":
    main()
