"""Records that are data: a shipped TOML file by its name, or the user's own by its path."""

import difflib
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from dvs.errors import ParameterError


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A folder of shipped records. package, folder: where it is. kind: of what, as errors say it."""

    package: str
    folder: str
    kind: str

    def names(self) -> tuple[str, ...]:
        """Names of the records, in alphabetical order."""
        entries = files(self.package).joinpath(self.folder).iterdir()
        return tuple(sorted(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml")))

    def text(self, name_or_path: str | os.PathLike[str]) -> tuple[str, str, str]:
        """(text, name of the file, name of the record) of a shipped record, or of a file.

        Raises ParameterError for an unknown name, with the nearest known one, and for a file that cannot be read.
        """
        name = os.fspath(name_or_path)
        if isinstance(name_or_path, os.PathLike) or name.endswith(".toml") or os.sep in name:
            path = Path(name)
            try:
                return path.read_text(encoding="utf-8"), path.name, path.stem
            except (OSError, UnicodeDecodeError) as error:
                raise ParameterError(f"cannot read the {self.kind} file {path}: {error}; give a .toml file") from None
        return self.shipped(name)

    def shipped(self, name: str) -> tuple[str, str, str]:
        """The same, of a shipped record only."""
        key = name.lower().replace("_", "-")
        if key not in self.names():
            raise ParameterError(
                f"no {self.kind} is called {name!r}{did_you_mean(key, self.names())}; "
                f"choose one of {', '.join(self.names())}, or give a .toml file"
            )
        resource = files(self.package).joinpath(self.folder, f"{key}.toml")
        return resource.read_text(encoding="utf-8"), f"{key}.toml", key


def parsed(text: str, file: str, example: str) -> dict[str, Any]:
    """The document of a TOML text; `file` and an example of a line are named in the error."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{file} is not valid TOML: {error}; write lines such as {example}") from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest known word, or nothing.

    >>> did_you_mean("thetaon", ["theta_on", "leak_hz"])
    " (did you mean 'theta_on'?)"
    """
    nearest = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
