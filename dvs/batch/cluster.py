"""Tasks on the workers of a Dask scheduler, which see the same files under the same names."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dvs.batch.tasks import Task
from dvs.batch.work import Outcome, convert_task, failed
from dvs.errors import InputError, MissingExtraError


def run_cluster(
    tasks: Iterable[Task], parts: Path, *, address: str, stopped: Callable[[], bool]
) -> Iterator[tuple[Task, Outcome]]:
    """Do the tasks on the cluster whose scheduler is at `address`; yields the outcome of each once.

    As many tasks are there at a time as the cluster has threads, now: workers may come and go. Dask gives the task of a
    worker that died to another; a task with which four workers died has failed. Once `stopped` says so no more tasks
    are begun. Raises `MissingExtraError` without Dask and `InputError` where no scheduler answers.
    """
    try:
        from distributed import Client, wait
    except ImportError as error:
        raise MissingExtraError('--cluster needs Dask: pip install "microsaccade[cluster]"') from error
    try:
        client = Client(address, timeout=_ANSWER_WITHIN_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address}; give its address, like tcp://10.0.0.1:8786"
        ) from error
    with client:
        waiting = deque(tasks)
        running = {}
        try:
            while running or (waiting and not stopped()):
                room = max(sum(client.nthreads().values()), 1)
                while waiting and len(running) < room and not stopped():
                    task = waiting.popleft()
                    # Not pure: a task is done whenever it is asked for, and known by itself alone.
                    running[client.submit(convert_task, task, parts, pure=False)] = task
                try:
                    finished = wait(list(running), timeout=_LOOK_EVERY_S, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    continue
                for future in finished:
                    task = running.pop(future)
                    error = future.exception()
                    yield task, future.result() if error is None else failed(task, f"{type(error).__name__}: {error}")
        finally:
            client.cancel(list(running))


_ANSWER_WITHIN_S = 10
_LOOK_EVERY_S = 0.5
