"""Runs a kernel: holds its arrays, shares samples among threads, and goes back through time piece by piece."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError
from learning.graded import Graded
from learning.kernels.compiling import Kernel, compiled
from learning.kernels.loops import add_row_gradient, add_synapse_gradient, count_spikes, sort_by_neuron
from learning.kernels.plan import Plan
from learning.kernels.writer import Source, write
from learning.reading import Population, Projection
from learning.samples import Spikes

Weights = Mapping[tuple[str, str], NDArray]  # by projection and state, in the kernel's shape

# Samples whose adjoints are summed together: so much of them stays in the cache while it is read in random order.
_CACHED_BYTES = 1 << 20

# Parts into which samples are divided: more than there are threads, so that none waits long for another.
_PARTS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Values:
    """The numbers of a network: weights by projection and state, in the kernel's shape; couplings by name and value, a
    number or (S,); constants and starts by population.
    """

    weights: Weights
    couplings: Mapping[tuple[str, str], Any]
    constants: Mapping[str, Mapping[str, Any]]
    starts: Mapping[str, Mapping[str, NDArray]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What came of a forward run: output (samples, steps, units), counts of spikes (samples, n) by population.

    recorded: (samples, steps, n) by group and state.
    """

    output: NDArray
    counts: Mapping[str, NDArray]
    recorded: Mapping[tuple[str, str], NDArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Slopes:
    """Derivatives of a loss: by weight, as in the kernel; by value of a coupling, (S,); by constant and start, (n,)."""

    weights: Mapping[tuple[str, str], NDArray]
    couplings: Mapping[tuple[str, str], NDArray]
    constants: Mapping[tuple[str, str], NDArray]
    starts: Mapping[tuple[str, str], NDArray]


class Engine:
    """A plan, made into a kernel, with its memory.

    threads: by default as many as this process may use. memory_mb: for what is kept of a run until the way back; where
    that is not enough for all steps, they are run again in pieces.
    """

    def __init__(self, plan: Plan, steps: int, *, threads: int | None, memory_mb: float) -> None:
        self.plan, self.steps = plan, steps
        self.real = np.float32 if plan.single else np.float64
        self.source: Source = write(plan)
        self._kernel: Kernel = compiled(self.source.text)
        self._memory_bytes = memory_mb * 1e6
        self._pool: dict[str, NDArray] = {}
        self.threads = threads or _usable_threads()
        self._executor = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self._fixed = (
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

    @property
    def path(self) -> Path:
        """The file of the kernel."""
        return self._kernel.path

    def forward(self, inputs: Mapping[str, Spikes | Graded], values: Values) -> "Pass":
        """Run all samples; the result can go back. inputs: by name, all of as many samples."""
        done = Pass(self, inputs, values)
        done.run()
        return done

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
            p.n * (sum(map(len, plan.kept(p.name).values())) + (p.margin is not None) + len(plan.heard(p.name)))
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


class Pass:
    """One run of all samples forward, and the way back."""

    def __init__(self, engine: Engine, inputs: Mapping[str, Spikes | Graded], values: Values) -> None:
        self.engine, self.plan, self._inputs, self._weights = engine, engine.plan, inputs, values.weights
        self.samples, self.steps = len(next(iter(inputs.values()))), engine.steps
        self._rows = engine.rows(self.samples)
        self._pieces = list(range(0, self.steps, self._rows))
        self._arrays: dict[str, Any] = dict(engine._fixed)
        self._snapshots: dict[int, dict[str, NDArray]] = {}
        for name, given in inputs.items():
            self._set_input(name, given)
        for (projection, state), array in values.weights.items():
            self._arrays[f"{projection}_{state}_weights"] = array
            wanted = f"{projection}_{state}_transposed"
            if wanted in engine.source.backward:
                self._arrays[wanted] = np.ascontiguousarray(array.T)
        for (coupling, name), number in values.couplings.items():
            self._arrays[f"{coupling}_{name}"] = self._real(number)
        for name, coefficients in engine.source.coefficients.items():
            for key, value in coefficients.values(values.constants[name]).items():
                self._arrays[key] = self._real(value)
        for p in self.plan.reading.populations:
            self._set_population(p, values.starts[p.name])
        self.output = self._array("output", (self.samples, self.steps, self._units()), engine.real)
        if not self.plan.output[1]:
            self.output[:] = 0
        for group, state in self.plan.recorded:
            self._array(f"{group}_{state}_record", (self.samples, self.steps, self._size(group)), engine.real)

    def run(self) -> None:
        """Forward through all steps."""
        for begin in self._pieces:
            if len(self._pieces) > 1:
                self._snapshots[begin] = {name: self._arrays[name].copy() for name in self._moving()}
            self._forward(begin, keep=begin == self._pieces[-1])

    def result(self) -> Run:
        """Copies of what came out."""
        return Run(
            output=self.output.copy(),
            counts={p.name: self._counts(p) for p in self.plan.reading.populations if p.margin is not None},
            recorded={key: self._arrays[f"{key[0]}_{key[1]}_record"].copy() for key in self.plan.recorded},
        )

    def backward(self, output_gradient: NDArray, count_gradients: Mapping[str, NDArray]) -> Slopes:
        """Derivatives of a loss, by those by the output (samples, steps, units) and by counts (samples, n)."""
        plan, real = self.plan, self.engine.real
        self._arrays["output_gradient"] = np.ascontiguousarray(output_gradient, real)
        for p in plan.reading.populations:
            if p.name not in plan.relevant:
                continue
            for state in p.states:
                self._array(f"all_{p.name}_{state}_adjoint", (self.samples, p.n), real)[:] = 0
            for constant in plan.derivations[p.name].constants:
                self._array(f"{p.name}_{constant}_gradient", (self.samples, p.n), real)[:] = 0
            counts = self._array(f"{p.name}_count_gradient", (self.samples, p.n), real)
            counts[:] = count_gradients.get(p.name, 0)
        for c in plan.reading.couplings:
            for name in plan.trained_couplings.get(c.name, ()):
                self._array(f"{c.name}_{name}_gradient", (self.samples, c.pre.size), real)[:] = 0
        slopes = {
            (q.name, state): np.zeros_like(self._weights[q.name, state])
            for q in plan.reading.projections
            if q.name in plan.trained_projections
            for state in q.adds
        }
        for begin in reversed(self._pieces):
            if begin != self._pieces[-1]:
                for name, kept in self._snapshots[begin].items():
                    self._arrays[name][:] = kept
                self._forward(begin, keep=True)
            end = min(begin + self._rows, self.steps)
            self._move_tails(end)
            call = [self._arrays[name] for name in self.engine.source.backward]
            backward = self.engine._kernel.backward
            self.engine.share(lambda a, b: backward(a, b, begin, end, *call), self.samples, _PARTS)  # noqa: B023
            self._add_slopes(slopes, begin, end)
        return Slopes(
            weights=slopes,
            couplings={
                (name, value): self._arrays[f"{name}_{value}_gradient"].sum(axis=0)
                for name, values in plan.trained_couplings.items()
                for value in values
            },
            constants={
                (p.name, constant): self._arrays[f"{p.name}_{constant}_gradient"].sum(axis=0)
                for p in plan.reading.populations
                for constant in plan.derivations[p.name].constants
                if p.name in plan.relevant
            },
            starts={
                (p.name, state): self._arrays[f"all_{p.name}_{state}_adjoint"].sum(axis=0)
                for p in plan.reading.populations
                if p.name in plan.trained_starts
                for state in p.states
            },
        )

    def _forward(self, begin: int, *, keep: bool) -> None:
        end = min(begin + self._rows, self.steps)
        call = [self._arrays[name] for name in self.engine.source.forward]
        forward = self.engine._kernel.forward
        self.engine.share(lambda a, b: forward(a, b, begin, end, int(keep), *call), self.samples, _PARTS)

    def _set_input(self, name: str, given: Spikes | Graded) -> None:
        if isinstance(given, Graded):
            for q in self.plan.reading.projections:
                if q.source == name:
                    for state in q.adds:
                        self._set_drive(q, state, given)
            return
        self._arrays[f"{name}_starts"] = np.ascontiguousarray(given.starts)
        self._arrays[f"{name}_neurons"] = given.neurons
        if f"{name}_values" in self.engine.source.forward:
            self._arrays[f"{name}_values"] = self._spike_values(name, given)

    def _spike_values(self, name: str, given: Spikes) -> NDArray:
        """Of the spikes of these samples, at their places."""
        values = self._array(f"{name}_values", (given.neurons.size,), self.engine.real)
        if given.values is None:
            values[:] = 1
        else:
            for starts in given.starts:
                values[starts[0] : starts[-1]] = given.values[starts[0] : starts[-1]]
        return values

    def _set_drive(self, q: Projection, state: str, given: Graded) -> None:
        """What all synapses together add in each step: numbers of the input times weights, one product of matrices.

        Numbers have no delay: Brian2 reads them when a spike arrives.
        """
        shape = (self.samples, self.steps, self._size(q.target))
        drive = self._array(f"{q.name}_{state}_drive", shape, self.engine.real)
        sent = self._real(given.numbers).reshape(-1, given.size)
        np.matmul(sent, self._weights[q.name, state], out=drive.reshape(-1, shape[2]))

    def _set_population(self, p: Population, start: Mapping[str, NDArray]) -> None:
        kept, real = self.plan.kept(p.name), self.engine.real
        for state in p.states:
            self._array(f"all_{p.name}_{state}", (self.samples, p.n), real)[:] = start[state]
        for moment, states in kept.items():
            for state in states:
                self._array(f"{p.name}_{state}_{moment}", (self.samples, self._rows, p.n), real)
        for state in self.plan.heard(p.name):
            rows = self._rows + self.plan.longest_delay
            self._array(f"{p.name}_{state}_heard", (self.samples, rows, p.n), real)
        if p.refractory_steps is not None:
            self._array(f"all_{p.name}_free", (self.samples, p.n), np.int32)[:] = 0
        if p.margin is not None:
            self._array(f"all_{p.name}_margin", (self.samples, self._rows, p.n), real)
            room = self.steps * p.n  # pages that no spike reaches take no memory
            self._array(f"{p.name}_neurons", (self.samples * room,), np.int32)
            self._array(f"{p.name}_starts", (self.samples, self.steps + 1), np.int64)[:, 0] = (
                np.arange(self.samples) * room
            )
            if self.plan.smooth:
                self._array(f"{p.name}_values", (self.samples * room,), real)

    def _moving(self) -> Iterator[str]:
        """Names of arrays from which a run can go on."""
        for p in self.plan.reading.populations:
            yield from (f"all_{p.name}_{state}" for state in p.states)
            if p.refractory_steps is not None:
                yield f"all_{p.name}_free"

    def _move_tails(self, end: int) -> None:
        """Adjoints of the steps after a piece, which delayed spikes of the piece reach."""
        delay = self.plan.longest_delay
        for p in self.plan.reading.populations:
            for state in self.plan.heard(p.name):
                heard = self._arrays[f"{p.name}_{state}_heard"]
                if end == self.steps:
                    length = end - self._pieces[-1]
                    heard[:, length : length + delay] = 0
                elif delay:
                    heard[:, self._rows : self._rows + delay] = heard[:, :delay].copy()

    def _add_slopes(self, slopes: Mapping[tuple[str, str], NDArray], begin: int, end: int) -> None:
        """Add what spikes sent from begin to end contribute to the derivatives by weights."""
        trained = [q for q in self.plan.reading.projections if q.name in self.plan.trained_projections]
        for source in dict.fromkeys(q.source for q in trained):
            of_source = [q for q in trained if q.source == source]
            given = self._inputs.get(source)
            if isinstance(given, Graded):
                for q in of_source:
                    self._add_dense_slopes(slopes, q, given, begin, end)
                continue
            ordered = {}
            for q in of_source:
                rows_a_sample = self._rows + self.plan.longest_delay
                if (valued := self.plan.valued(q)) not in ordered:
                    ordered[valued] = self._sorted(source, valued, (begin, end), rows_a_sample)
                for state in q.adds:
                    heard = self._arrays[f"{q.target}_{state}_heard"].reshape(-1, self._size(q.target))
                    self.engine.map(
                        partial(self._add_of_neurons, slopes[q.name, state], heard, q, ordered[valued]),
                        _equal_shares(ordered[valued], self.engine.threads),
                    )

    def _add_of_neurons(
        self, slope: NDArray, heard: NDArray, q: Projection, ordered: Sequence[tuple], first: int, last: int
    ) -> None:
        wiring = self.plan.wiring[q.name]
        for rows, values, place in ordered:
            if wiring.all_to_all:
                add_row_gradient(slope, heard, rows, values, place, (first, last), int(wiring.delays[0]))
            else:
                add_synapse_gradient(
                    slope, heard, rows, values, place, (first, last), wiring.delays, wiring.first, wiring.post
                )

    def _add_dense_slopes(
        self, slopes: Mapping[tuple[str, str], NDArray], q: Projection, given: Graded, begin: int, end: int
    ) -> None:
        sent = self._real(given.numbers[:, begin:end]).reshape(-1, given.size)
        for state in q.adds:
            heard = self._arrays[f"{q.target}_{state}_heard"][:, : end - begin]
            slopes[q.name, state][...] += sent.T @ heard.reshape(-1, heard.shape[2])

    def _sorted(
        self, source: str, valued: bool, steps: tuple[int, int], rows_a_sample: int
    ) -> list[tuple[NDArray, NDArray, NDArray]]:
        """Spikes of a source by neuron, for groups of samples: their rows, values, and where each neuron begins."""
        neurons, starts = self._arrays[f"{source}_neurons"], self._arrays[f"{source}_starts"]
        values = self._arrays[f"{source}_values"] if valued else np.zeros(0, self.engine.real)
        targets = max(self._size(q.target) for q in self.plan.reading.projections if q.source == source)
        row_bytes = rows_a_sample * targets * np.dtype(self.engine.real).itemsize
        size = int(np.clip(_CACHED_BYTES // row_bytes, 1, self.samples))
        firsts = list(range(0, self.samples, size))
        spikes = (starts[:, steps[1]] - starts[:, steps[0]]).cumsum()
        rows = self._scratch(f"{source}_rows", (int(spikes[-1]),), np.int32)
        sorted_values = self._scratch(f"{source}_sorted", (int(spikes[-1]) if valued else 0,), self.engine.real)
        place = self._scratch(f"{source}_place", (len(firsts), self._size(source) + 1), np.int64)
        place[:, 0] = [spikes[first - 1] if first else 0 for first in firsts]

        def sort(first: int, last: int) -> None:
            for group in range(first, last):
                samples = (firsts[group], min(firsts[group] + size, self.samples))
                sort_by_neuron(
                    neurons, values, starts, samples, steps, rows_a_sample, rows, sorted_values, place[group]
                )

        self.engine.share(sort, len(firsts), len(firsts))
        return [(rows, sorted_values, place[group]) for group in range(len(firsts))]

    def spikes(self, name: str) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Neuron and step of each spike of a population, sample by sample."""
        found = []
        for starts in self._arrays[f"{name}_starts"]:
            neurons = self._arrays[f"{name}_neurons"][starts[0] : starts[-1]].astype(np.int64)
            found.append((neurons, np.repeat(np.arange(self.steps), np.diff(starts))))
        return found

    def _counts(self, p: Population) -> NDArray:
        counts = np.zeros((self.samples, p.n), self.engine.real if self.plan.smooth else np.int64)
        values = self._arrays[f"{p.name}_values"] if self.plan.smooth else np.zeros(0, np.int64)
        count_spikes(self._arrays[f"{p.name}_neurons"], values, self._arrays[f"{p.name}_starts"], counts)
        return counts

    def _array(self, name: str, shape: tuple[int, ...], dtype: type) -> NDArray:
        self._arrays[name] = self.engine.array(name, shape, dtype)
        return self._arrays[name]

    def _scratch(self, name: str, shape: tuple[int, ...], dtype: type) -> NDArray:
        return self.engine.array(name, shape, dtype)

    def _real(self, value: Any) -> Any:
        """In the kernel's precision; a number stays a number."""
        return self.engine.real(value) if np.ndim(value) == 0 else np.ascontiguousarray(value, self.engine.real)

    def _size(self, name: str) -> int:
        if name in self.plan.populations:
            return self.plan.populations[name].n
        return self.plan.reading.inputs[name]

    def _units(self) -> int:
        return self._size(self.plan.output[0])


def _equal_shares(ordered: Sequence[tuple[NDArray, NDArray, NDArray]], shares: int) -> NDArray[np.int64]:
    """Edges between neurons, so that each thread has about as many spikes; sums do not depend on them."""
    spikes = np.concatenate([[0], sum(np.diff(place) for _, _, place in ordered).cumsum()])
    edges = np.searchsorted(spikes, np.linspace(0, spikes[-1], shares + 1)[1:-1])
    return np.concatenate([[0], edges, [spikes.size - 1]])


def _usable_threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int | None) -> None:
    """Raise `ParameterError` for a number of threads that cannot be."""
    if threads is not None and threads < 1:
        raise ParameterError(f"threads is {threads}, expected 1 or more, or None for as many as there are")
