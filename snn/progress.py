"""A bar on a terminal or in a notebook while many samples are run; silent elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def progress_bar(what: str, total: int | None, shown: bool) -> Iterator[Callable[[], None]]:
    """A function to be called once for each of `total` samples that is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    # In a notebook rich draws through ipywidgets, and warns where there are none.
    shown = shown and (console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
