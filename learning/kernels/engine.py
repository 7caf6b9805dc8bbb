"""A kernel at work: its arrays, which are used again and again, and its threads."""

import itertools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError
from learning.kernels.compiling import Kernel, compiled
from learning.kernels.plan import Plan
from learning.kernels.writer import Source, write


class Engine:
    """A plan, made into a kernel, with its memory.

    threads: by default as many as this process may use. memory_mb: for what is kept of a run until the way back; where
    that is not enough for all steps, they are run again in pieces. fixed: arrays that no run changes.
    """

    def __init__(self, plan: Plan, steps: int, *, threads: int | None, memory_mb: float) -> None:
        self.plan, self.steps = plan, steps
        self.real = np.float32 if plan.single else np.float64
        self.source: Source = write(plan)
        self.kernel: Kernel = compiled(self.source.text)
        self._memory_bytes = memory_mb * 1e6
        self._pool: dict[str, NDArray] = {}
        self.threads = threads or _usable_threads()
        self._executor = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self.fixed: Mapping[str, NDArray] = (
            {
                f"{q.name}_{what}": array
                for q in plan.reading.projections
                for what, array in zip(
                    ("first", "post", "delays"),
                    (plan.wiring[q.name].first, plan.wiring[q.name].post, plan.wiring[q.name].delays),
                    strict=True,
                )
            }
            | {
                f"{p.name}_refractory": np.maximum(p.refractory_steps, 1).astype(np.int32)
                for p in plan.reading.populations
                if p.refractory_steps is not None
            }
            | {
                f"{c.name}_{end}": neurons.astype(np.int32)
                for c in plan.reading.couplings
                for end, neurons in (("pre", c.pre), ("post", c.post))
            }
        )

    def array(self, name: str, shape: tuple[int, ...], dtype: type) -> NDArray:
        """An array that is reused by the next run; what it holds is undefined."""
        size = int(np.prod(shape, dtype=np.int64))
        if name not in self._pool or self._pool[name].size < size or self._pool[name].dtype != dtype:
            self._pool[name] = np.empty(size, dtype)
        return self._pool[name][:size].reshape(shape)

    def rows(self, samples: int) -> int:
        """Steps of which all that is needed can be kept."""
        plan = self.plan
        numbers = sum(
            p.n * (sum(map(len, plan.kept[p.name].values())) + (p.margin is not None) + len(plan.heard[p.name]))
            for p in plan.reading.populations
        )
        bytes_a_step = max(1, samples * numbers * np.dtype(self.real).itemsize)
        return int(np.clip(self._memory_bytes // bytes_a_step, 1, self.steps))

    def share(self, work: Callable[[int, int], None], count: int, parts: int) -> None:
        """work(first, last) for parts of a range, in threads."""
        self.map(work, np.linspace(0, count, min(parts, count) + 1).astype(int))

    def map(self, work: Callable[[int, int], None], edges: NDArray[np.int64]) -> None:
        """work(first, last) between edges, in threads."""
        pieces = list(itertools.pairwise(edges.tolist()))
        if self._executor is None or len(pieces) == 1:
            for first, last in pieces:
                work(first, last)
        else:
            list(self._executor.map(lambda piece: work(*piece), pieces))


def _usable_threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int | None) -> None:
    """Raise `ParameterError` for a number of threads that cannot be."""
    if threads is not None and threads < 1:
        raise ParameterError(f"threads is {threads}, expected 1 or more, or None for as many as there are")
