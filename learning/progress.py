"""A bar on a terminal or in a notebook while a model is trained; silent elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# To be called after each minibatch with what stands before and behind the bar.
Advance = Callable[[str, str], None]

_REDRAWN_EVERY_S = 0.1


@contextmanager
def training_bar(total: int | None, done: int, shown: bool) -> Iterator[Advance]:
    """A bar of `total` minibatches, `done` of which were trained on before; it goes away at the end.

    total: None where nobody knows.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if shown and console.is_jupyter:
        with _in_notebook(total, done) as advance:
            yield advance
    elif shown and console.is_terminal:
        with _on_terminal(total, done, console) as advance:
            yield advance
    else:
        yield lambda before, behind: None


@contextmanager
def _on_terminal(total: int | None, done: int, console: "Console") -> Iterator[Advance]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[behind]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total, completed=done, behind="")
        yield lambda before, behind: bar.update(task, advance=1, description=before, behind=behind)


@contextmanager
def _in_notebook(total: int | None, done: int) -> Iterator[Advance]:
    """By HTML alone: rich draws in a notebook only where ipywidgets are installed."""
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)
    drawn_s = 0.0

    def advance(before: str, behind: str) -> None:
        nonlocal done, drawn_s
        done += 1
        if time.monotonic() - drawn_s > _REDRAWN_EVERY_S:
            drawn_s = time.monotonic()
            bar = "<progress></progress>" if total is None else f'<progress max="{total}" value="{done}"></progress>'
            handle.update(HTML(f"{escape(before)} {bar} {escape(behind)}"))

    try:
        yield advance
    finally:
        handle.update(HTML(""))
