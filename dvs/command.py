"""What the project's commands share: headings in the help, and one line for whatever goes wrong."""

import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from dvs.errors import MicrosaccadeError

INTERRUPTED = 130


class Option(click.Option):
    """An option that stands under a heading of the help."""

    def __init__(self, *args: Any, heading: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


class Command(click.Command):
    """A command that leaves with 0, with 2 after one line about an error, or with 130 after Ctrl-C; -h is --help.

    said: what functions call by other names than the options of the command. interrupted: what is said after Ctrl-C.
    """

    def __init__(
        self, *args: Any, said: Mapping[str, str] | None = None, interrupted: str = "stopped", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.context_settings = {
            "help_option_names": ["-h", "--help"],
            "max_content_width": 110,
            **self.context_settings,
        }
        self._said, self._interrupted = dict(said or {}), interrupted

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings."""
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        shown = [(each, each.get_help_record(ctx)) for each in options if not each.hidden]
        width = max(len(names) for _, (names, _) in shown)
        last = getattr(options[-2], "heading", "Options")  # of --help, which click adds
        sections: dict[str, list[tuple[str, str]]] = {}
        for option, (names, text) in shown:
            section = sections.setdefault(getattr(option, "heading", last), [])
            section.append((names.ljust(width), text))
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run, and leave."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **kwargs)
        code, message = 2, None
        try:
            with self._told_once():
                code = super().main(*args, standalone_mode=False, **kwargs) or 0
        except click.ClickException as error:
            message = error.format_message()
        except MicrosaccadeError as error:
            message = str(error)
        except MemoryError:
            message = "there is not enough memory"
        except OSError as error:
            message = f"{error.filename or 'input or output'}: {error.strerror or error}"
        except (click.Abort, KeyboardInterrupt):
            code, message = INTERRUPTED, self._interrupted
        if message is not None:
            for name, option in self._said.items():
                message = message.replace(name, option)
            click.echo(f"{self.name}: {' '.join(message.split())}", err=True)
        sys.exit(code)

    @contextmanager
    def _told_once(self) -> Iterator[None]:
        """Warnings are lines for people, each once."""
        told = set()

        def tell(message: Warning | str, *about: Any) -> None:
            text = " ".join(str(message).split())
            if text not in told:
                told.add(text)
                click.echo(f"{self.name}: warning: {text}", err=True)

        with warnings.catch_warnings():
            warnings.showwarning = tell
            yield


class Margins(click.ParamType):
    """(left, right, top, bottom)."""

    name = "L,R,T,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The margins, or a complaint."""
        numbers = re.split(r"\s*,\s*", value.strip("()[] "))
        if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
            self.fail(f"{value!r} are not four margins; write 100,100,0,0 (left, right, top, bottom)", param, ctx)
        return tuple(map(int, numbers))


class Size(click.ParamType):
    """(width, height), or a word that may stand for it, and means something."""

    name = "WxH"

    def __init__(self, word: str | None = None, meaning: str = "") -> None:
        self._word, self._meaning = word, meaning

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int] | str:
        """The size, or a complaint."""
        if value == self._word:
            return value
        found = re.fullmatch(r"(\d+)x(\d+)", value.lower())
        if found is None:
            other = "" if self._word is None else f", or {self._word} {self._meaning}"
            self.fail(f"{value!r} is no size; write 346x260{other}", param, ctx)
        return int(found[1]), int(found[2])
