"""One run of many samples through a network and back, in pieces of time where memory asks for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError
from learning.graded import Graded
from learning.kernels.engine import Engine
from learning.kernels.loops import count_spikes
from learning.kernels.sorting import SpikesOf, sorted_spikes
from learning.reading import Population, Projection
from learning.samples import Spikes

Weights = Mapping[tuple[str, str], NDArray]  # by projection and state, in the kernel's shape

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


class Pass:
    """One run of all samples forward, and the way back; the engine's next run overwrites it.

    inputs: by name, all of as many samples.
    """

    def __init__(self, engine: Engine, inputs: Mapping[str, Spikes | Graded], values: Values) -> None:
        self.engine, self.plan, self._inputs, self._weights = engine, engine.plan, inputs, values.weights
        self.samples, self.steps = len(next(iter(inputs.values()))), engine.steps
        self._rows = engine.rows(self.samples)
        self._pieces = list(range(0, self.steps, self._rows))
        self._arrays: dict[str, Any] = dict(engine.fixed)
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

        self._run()

    def _run(self) -> None:
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
            backward = self.engine.kernel.backward
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
        forward = self.engine.kernel.forward
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
        kept, real = self.plan.kept[p.name], self.engine.real
        for state in p.states:
            self._array(f"all_{p.name}_{state}", (self.samples, p.n), real)[:] = start[state]
        for moment, states in kept.items():
            for state in states:
                self._array(f"{p.name}_{state}_{moment}", (self.samples, self._rows, p.n), real)
        for state in self.plan.heard[p.name]:
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
            for state in self.plan.heard[p.name]:
                heard = self._arrays[f"{p.name}_{state}_heard"]
                if end == self.steps:
                    length = end - self._pieces[-1]
                    heard[:, length : length + delay] = 0
                elif delay:
                    heard[:, self._rows : self._rows + delay] = heard[:, :delay].copy()

    def _add_slopes(self, slopes: Mapping[tuple[str, str], NDArray], begin: int, end: int) -> None:
        """Add what spikes sent from begin to end contribute to the derivatives by weights."""
        trained = [q for q in self.plan.reading.projections if q.name in self.plan.trained_projections]
        for source, valued in dict.fromkeys((q.source, self.plan.valued(q)) for q in trained):
            of_source = [q for q in trained if (q.source, self.plan.valued(q)) == (source, valued)]
            given = self._inputs.get(source)
            if isinstance(given, Graded):
                for q in of_source:
                    self._add_dense_slopes(slopes, q, given, begin, end)
                continue
            real = self.engine.real
            spikes = SpikesOf(
                name=source,
                size=self._size(source),
                neurons=self._arrays[f"{source}_neurons"],
                starts=self._arrays[f"{source}_starts"],
                values=self._arrays[f"{source}_values"] if valued else np.zeros(0, real),
            )
            sort = sorted_spikes(
                self.engine,
                spikes,
                (begin, end),
                rows_a_sample=self._rows + self.plan.longest_delay,
                row_bytes=max(self._size(q.target) for q in of_source) * np.dtype(real).itemsize,
            )
            for q in of_source:
                for state in q.adds:
                    heard = self._arrays[f"{q.target}_{state}_heard"].reshape(-1, self._size(q.target))
                    work = partial(sort.add_gradient, slopes[q.name, state], heard, self.plan.wiring[q.name])
                    self.engine.map(work, sort.shares(self.engine.threads))

    def _add_dense_slopes(
        self, slopes: Mapping[tuple[str, str], NDArray], q: Projection, given: Graded, begin: int, end: int
    ) -> None:
        sent = self._real(given.numbers[:, begin:end]).reshape(-1, given.size)
        for state in q.adds:
            heard = self._arrays[f"{q.target}_{state}_heard"][:, : end - begin]
            slopes[q.name, state][...] += sent.T @ heard.reshape(-1, heard.shape[2])

    def spikes(self, name: str) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Neuron and step of each spike of a population, sample by sample."""
        found = []
        for starts in self._arrays[f"{name}_starts"]:
            neurons = self._arrays[f"{name}_neurons"][starts[0] : starts[-1]].astype(np.int64)
            found.append((neurons, np.repeat(np.arange(self.steps), np.diff(starts))))
        return found

    def by_input(self, name: str) -> NDArray[np.float64]:
        """The derivative of what `backward` went back from by a spike of each input in each step, (samples, steps, n).

        It is read from what the way back keeps for weights: of each state that synapses add to, the derivative at the
        moment when spikes arrive, which is to be multiplied by weights. Raises `ParameterError` where the weights of
        the input are not trained, as then nothing is kept there, or for a run in several pieces.
        """
        if self._rows < self.steps:
            raise ParameterError("the run does not fit in memory_mb of the model; make it with more")
        size = self._size(name)
        found = np.zeros((self.samples, self.steps, size))
        for q in self.plan.reading.projections:
            if q.source != name or q.target not in self.plan.relevant:
                continue
            wiring = self.plan.wiring[q.name]
            for state in q.adds:
                if state not in self.plan.heard[q.target]:
                    raise ParameterError(f"the weights of {q.name} are not among the model's parameters; train them")
                heard = self._arrays[f"{q.target}_{state}_heard"].astype(float)
                weights = self._weights[q.name, state]
                for group, delay in enumerate(wiring.delays):
                    arriving = heard[:, delay : delay + self.steps]
                    there = found[:, : arriving.shape[1]]
                    if wiring.all_to_all:
                        there += arriving @ weights.T
                        continue
                    ends = wiring.first[group]
                    chosen = slice(ends[0], ends[-1])
                    pre = np.repeat(np.arange(size), np.diff(ends))
                    each = arriving[:, :, wiring.post[chosen]] * weights[chosen]
                    np.add.at(there, (slice(None), slice(None), pre), each)
        return found

    def _counts(self, p: Population) -> NDArray:
        counts = np.zeros((self.samples, p.n), self.engine.real if self.plan.smooth else np.int64)
        values = self._arrays[f"{p.name}_values"] if self.plan.smooth else np.zeros(0, np.int64)
        count_spikes(self._arrays[f"{p.name}_neurons"], values, self._arrays[f"{p.name}_starts"], counts)
        return counts

    def _array(self, name: str, shape: tuple[int, ...], dtype: type) -> NDArray:
        self._arrays[name] = self.engine.array(name, shape, dtype)
        return self._arrays[name]

    def _real(self, value: Any) -> Any:
        """In the kernel's precision; a number stays a number."""
        return self.engine.real(value) if np.ndim(value) == 0 else np.ascontiguousarray(value, self.engine.real)

    def _size(self, name: str) -> int:
        if name in self.plan.populations:
            return self.plan.populations[name].n
        return self.plan.reading.inputs[name]

    def _units(self) -> int:
        return self._size(self.plan.output[0])
