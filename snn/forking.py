"""Work shared among copies of this process, which need nothing sent to them: they have everything already."""

import multiprocessing
import warnings
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from dvs.errors import MicrosaccadeError

Share = TypeVar("Share")
Result = TypeVar("Result")


def forked(
    work: Callable[[Share], Iterable[Result]], shares: Sequence[Share], tick: Callable[[], None]
) -> list[Result]:
    """The results of `work(share)`, each share in a process of its own, in the order of the shares.

    `tick` is called as each result arrives. An exception in a process is raised here, and the others are stopped.
    """
    context = multiprocessing.get_context("fork")
    results: list[list[Result]] = [[] for _ in shares]
    processes, places = [], {}
    try:
        for place, share in enumerate(shares):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_send_all, args=(work, share, theirs), daemon=True)
            with warnings.catch_warnings():
                # Python warns of locks that other threads might hold; these copies only step through a network.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            theirs.close()
            processes.append(process)
            places[ours] = place
        while places:
            for connection in wait(list(places)):
                try:
                    kind, value = connection.recv()
                except EOFError:
                    kind, value = (
                        "error",
                        MicrosaccadeError("a process ended before its work was done; use processes=1"),
                    )
                if kind == "error":
                    raise value
                if kind == "done":
                    del places[connection]
                else:
                    results[places[connection]].append(value)
                    tick()
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return [result for share in results for result in share]


def _send_all(work: Callable[[Share], Iterable[Result]], share: Share, connection: Connection) -> None:
    try:
        for result in work(share):
            connection.send(("result", result))
        connection.send(("done", None))
    except Exception as error:
        connection.send(("error", _as_sent(error)))


def _as_sent(error: Exception) -> Exception:
    """The exception itself if its kind is one of ours, else its text: not everything survives the way."""
    return error if isinstance(error, MicrosaccadeError) else MicrosaccadeError(f"{type(error).__name__}: {error}")
