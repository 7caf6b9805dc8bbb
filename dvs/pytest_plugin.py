"""The pytest plugin: recordings under test.

It comes with the installation; nothing has to be imported. A test asks for what it needs:

    def test_the_lamp_is_as_it_was(recording_file, event_statistics, assert_no_hot_pixels):
        recording = recording_file("lamp.aedat4")
        assert_no_hot_pixels(recording)
        event_statistics.check(recording)

`event_statistics.check` compares the summary of a recording to one stored beside the test, and
`pytest --update-event-statistics` stores it. The assertions are plain functions too:
`from dvs.assertions import assert_silent`.

This file is loaded by every pytest run of the environment it is installed in. So it imports
nothing but pytest and the standard library until a fixture is used.
"""

import importlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dvs.events import Recording

FOLDER = "event_statistics"

_stored = pytest.StashKey[list[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-event-statistics`."""
    parser.getgroup("microsaccade", "event recordings").addoption(
        "--update-event-statistics",
        action="store_true",
        help="store the statistics that event_statistics.check finds, instead of comparing them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin the list of files stored in this run."""
    config.stash[_stored] = []


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter", config: pytest.Config) -> None:
    """Say which files were stored: they belong into version control."""
    for path in config.stash[_stored]:
        terminalreporter.write_line(f"stored event statistics: {path}")


@pytest.fixture
def event_statistics(request: pytest.FixtureRequest) -> "EventStatistics":
    """Stored statistics of recordings: `event_statistics.check(recording)`."""
    return EventStatistics(
        folder=request.path.parent / FOLDER / request.path.stem,
        test=request.node.name,
        stored=request.config.stash[_stored] if request.config.getoption("update_event_statistics") else None,
    )


@pytest.fixture
def recording_file(request: pytest.FixtureRequest) -> Callable[..., "Recording"]:
    """Reads a recording: `recording_file(path)`, relative to the folder of the test."""
    from dvs.files import read

    return lambda path, **options: read(request.path.parent / path, **options)


def _assertion(name: str) -> Callable[[], Callable[..., None]]:
    def fixture() -> Callable[..., None]:
        return getattr(importlib.import_module("dvs.assertions"), name)

    fixture.__doc__ = f"The function `dvs.assertions.{name}`."
    return pytest.fixture(scope="session", name=name)(fixture)


assert_event_rate = _assertion("assert_event_rate")
assert_on_share = _assertion("assert_on_share")
assert_silent = _assertion("assert_silent")
assert_same_events = _assertion("assert_same_events")
assert_intervals_exponential = _assertion("assert_intervals_exponential")
assert_no_hot_pixels = _assertion("assert_no_hot_pixels")
assert_spatial_correlation = _assertion("assert_spatial_correlation")


class EventStatistics:
    """Statistics stored as `event_statistics/<test file>/<name>.json` beside the test.

    `stored` collects the files written when statistics are updated; None to compare.
    """

    def __init__(self, folder: Path, test: str, stored: list[Path] | None) -> None:
        self._folder, self._test, self._stored = folder, test, stored
        self._checked: set[Path] = set()

    def check(
        self, recording: "Recording", name: str | None = None, *, rtol: float | Mapping[str, float] = 0.01
    ) -> None:
        """The summary of the recording is the stored one, every number within rtol of it.

        `name` is needed by a test that checks two recordings; without it the test's own name is
        taken. `rtol` is one share for every field, or a share for each field named, 0 for the
        rest: `rtol={"events": 0.02, "rate_hz": 0.02}`. Fails where nothing is stored.
        """
        from dvs.errors import ParameterError
        from dvs.statistics import summary

        __tracebackhide__ = True
        found = summary(recording).to_dict()
        tolerance = rtol if isinstance(rtol, Mapping) else dict.fromkeys(found, rtol)
        if unknown := tolerance.keys() - found.keys():
            raise ParameterError(f"rtol names {sorted(unknown)}; the fields are {', '.join(found)}")
        path = self._folder / (re.sub(r"[^\w.-]+", "-", name or self._test).strip("-") + ".json")
        if path in self._checked:
            raise ParameterError(f"{path.stem} is checked twice in one test; give each check a name")
        self._checked.add(path)
        if self._stored is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            self._stored.append(path)
            return
        if not path.exists():
            pytest.fail(
                f"no event statistics are stored in {path}; if these are right, store them with "
                f"--update-event-statistics:\n{json.dumps(found, indent=2)}"
            )
        stored = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            (field, stored.get(field), found.get(field), tolerance.get(field, 0.0)) for field in {**found, **stored}
        ]
        wrong = [row for row in rows if not _close(*row[1:])]
        if wrong:
            pytest.fail(
                f"event statistics differ from {path}; if that is meant, store the new ones with "
                f"--update-event-statistics:\n{_table(wrong)}"
            )


def _close(stored: float | None, got: float | None, rtol: float) -> bool:
    if stored is None or got is None:
        return stored is got
    return abs(got - stored) <= rtol * abs(stored)


def _table(rows: list[tuple[str, float | None, float | None, float]]) -> str:
    lines = [("field", "stored", "got", "difference", "tolerance")]
    for field, stored, got, rtol in rows:
        difference = f"{100 * (got / stored - 1):+.3g} %" if stored and got is not None else "-"
        lines.append((field, _number(stored), _number(got), difference, f"{100 * rtol:g} %"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]) for name, *cells in lines)


def _number(value: float | None) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)
