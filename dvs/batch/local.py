"""Tasks on this machine: processes that each take one video after another.

A process that dies, killed by the system or by a video, takes nothing with it: its video is begun again by a fresh one.
"""

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from dvs.batch.tasks import Task
from dvs.batch.work import Outcome, Step, convert_task, failed

TRIES = 3

Work = Callable[[Task, Path, Callable[[Step], None]], Outcome]


def run_local(
    tasks: Iterable[Task], parts: Path, *, jobs: int, stopped: Callable[[], bool], work: Work = convert_task
) -> Iterator[tuple[Task, Step | Outcome]]:
    """Do the tasks in `jobs` processes; yields how far each is and, once, its outcome.

    Once `stopped` says so no more tasks are begun. A task whose process dies is begun again, three times in all, then
    it has failed. Closing the iterator ends the processes at once.
    """
    waiting, tries = deque(tasks), Counter()
    crew: list[_Worker] = []
    try:
        while True:
            while waiting and not stopped() and (free := _free(crew, jobs, work, parts)) is not None:
                free.begin(waiting.popleft())
            busy = {worker.pipe: worker for worker in crew if worker.task is not None}
            if not busy:
                return
            for pipe in wait(list(busy), timeout=_LOOK_EVERY_S):
                worker = busy[pipe]
                task = worker.task
                try:
                    message = pipe.recv()
                except (EOFError, OSError):
                    crew.remove(worker)
                    how = worker.end()
                    tries[task.output] += 1
                    if tries[task.output] < TRIES:
                        waiting.appendleft(task)
                        yield task, Step(share=0.0)
                    else:
                        yield task, failed(task, f"its process died {TRIES} times ({how}); is there enough memory?")
                    continue
                if isinstance(message, Outcome):
                    worker.task = None
                yield task, message
    finally:
        for worker in crew:
            worker.end()


_LOOK_EVERY_S = 0.5  # for Ctrl-C


class _Worker:
    """A process, the pipe to it, and the task it is at."""

    def __init__(self, work: Work, parts: Path, alone: bool) -> None:
        context = _context()
        self.pipe, other = context.Pipe()
        self.task: Task | None = None
        self._process = context.Process(target=_serve, args=(other, work, parts, alone), daemon=True)
        self._process.start()
        # The only other end is now that of the process: when it dies, the pipe ends.
        other.close()

    def begin(self, task: Task) -> None:
        self.task = task
        with suppress(OSError):  # a process that died meanwhile is noticed when it is listened to
            self.pipe.send(task)

    def end(self) -> str:
        """End the process, whatever it is at; returns how it ended."""
        self.pipe.close()
        if self.task is None:
            self._process.join(1)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _free(crew: list[_Worker], jobs: int, work: Work, parts: Path) -> _Worker | None:
    """A worker without a task; a new one as long as there are fewer than `jobs`."""
    for worker in crew:
        if worker.task is None:
            return worker
    if len(crew) == jobs:
        return None
    crew.append(_Worker(work, parts, alone=jobs == 1))
    return crew[-1]


def _context() -> multiprocessing.context.BaseContext:
    """Processes that inherit no threads and no locks; where the system can, copies of one that has imported all."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dvs.batch.work"])
    return context


def _serve(pipe: Connection, work: Work, parts: Path, alone: bool) -> None:
    """What a process does: tasks that come through the pipe, until it ends."""
    # Ctrl-C reaches every process of a terminal; the one that shares out the work decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not alone:
        import cv2

        cv2.setNumThreads(1)
    # Without an end to report to, telling raises and the work stops.
    with suppress(EOFError, OSError):
        while True:
            task = pipe.recv()
            pipe.send(work(task, parts, pipe.send))
