"""Many samples through one network: reset, show, run, record; in this process, in several, or compiled."""

import multiprocessing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Literal

import numpy as np
from brian2 import Network, Quantity, SpikeSource, get_device
from brian2 import seed as set_seed
from brian2.core.namespace import get_local_namespace
from brian2.devices.device import RuntimeDevice
from brian2.units.fundamentalunits import DIMENSIONLESS
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from snn.drive import Drive
from snn.forking import forked
from snn.inputs import EventInput
from snn.player import Player
from snn.progress import progress_bar
from snn.recording import Part, SpikeRecorder, StateRecorder, named_group, recorded_groups, trains
from snn.seeds import random_state_kept, sample_seed
from snn.spikes import Responses
from snn.standalone_run import CompiledRun

Input = EventInput | Callable[[Any], object]


def run(
    network: Network,
    samples: Iterable[Any],
    *,
    input: Input,
    duration: Quantity,
    record: Collection[str] | Literal["all"] | None = None,
    states: Mapping[str, Collection[str]] | None = None,
    labels: ArrayLike | None = None,
    keep: Collection[str] = (),
    learn: bool = True,
    seed: int | None = None,
    processes: int = 1,
    progress: bool = True,
    namespace: Mapping[str, object] | None = None,
) -> Responses:
    """What a network does in each of many samples: one line for `Runner(network, ...).run(samples, ...)`."""
    if namespace is None:
        namespace = get_local_namespace(level=1)
    runner = Runner(
        network, input=input, duration=duration, record=record, states=states, keep=keep, namespace=namespace
    )
    return runner.run(samples, labels=labels, learn=learn, seed=seed, processes=processes, progress=progress)


class Runner:
    """A network made ready to be shown many samples; each begins in the state the network has now, at the same time.

    input: the `EventInput` that sees the samples, or a function that is called with each sample and sets what it
    likes, such as `lambda rates: setattr(group, "rates", rates)`. duration: of a sample. record: names of the groups
    whose spikes are kept, by default all that have a threshold but the input; "all" takes the input too. states:
    names of variables that are kept, by group. keep: variables as "group.variable" that go on from sample to sample;
    weights that synapses change themselves always do. namespace: where external names of equations are found; by
    default among the names where this is called, as in `Network.run`. {} where the groups hold all they need.

    With `set_device("cpp_standalone", build_on_run=False)` the network is compiled when the runner is made, together
    with the loop over samples; every `run` uses the same binary.
    Afterwards the network is as it was before, but for what is kept. Monitors that are in it go on recording, and time
    restarts in them with every sample.
    """

    def __init__(
        self,
        network: Network,
        *,
        input: Input,
        duration: Quantity,
        record: Collection[str] | Literal["all"] | None = None,
        states: Mapping[str, Collection[str]] | None = None,
        keep: Collection[str] = (),
        namespace: Mapping[str, object] | None = None,
    ) -> None:
        if namespace is None:
            namespace = get_local_namespace(level=1)
        self._input = input
        self._duration = duration
        self._groups = recorded_groups(network, record, input)
        self._variables = {
            (name, variable): named_group(network, name) for name in states or {} for variable in (states or {})[name]
        }
        for (name, variable), group in self._variables.items():
            if variable not in group.variables:
                raise ParameterError(f"{name} has no variable {variable!r}, only {sorted(group.equations.names)}")
        clocks = [group.clock for group in (*self._groups.values(), *self._variables.values())]
        if len({float(clock.dt) for clock in clocks}) != 1:
            raise ParameterError(
                f"the recorded groups have {len(clocks)} clocks of dt {sorted({str(clock.dt) for clock in clocks})}; "
                "record at least one group, all of one dt"
            )
        self._dt = clocks[0].dt
        self._steps = round(float(duration / self._dt))
        if self._steps < 1:
            raise ParameterError(f"duration is {duration}, expected at least one step of {self._dt}")
        if isinstance(get_device(), RuntimeDevice):
            self._compiled = None
            self._drive = Drive(network, namespace, keep=keep)
            self._spikes = {name: self._recorder(group) for name, group in self._groups.items()}
            self._states = {key: StateRecorder(group, key[1]) for key, group in self._variables.items()}
            for name, recorder in self._spikes.items():
                if isinstance(recorder, SpikeRecorder):
                    self._drive.after_each_step(self._groups[name].clock, recorder)
            for key, recorder in self._states.items():
                self._drive.after_each_step(self._variables[key].clock, recorder)
        elif isinstance(input, EventInput):
            self._compiled = CompiledRun(network, input, duration, self._groups, self._variables, keep, namespace)
        else:
            raise ParameterError("a compiled network calls no Python between samples; give it an EventInput")

    def run(
        self,
        samples: Iterable[Any],
        *,
        labels: ArrayLike | None = None,
        learn: bool = True,
        seed: int | None = None,
        processes: int = 1,
        progress: bool = True,
    ) -> Responses:
        """Show the samples, one after the other, each for `duration`.

        samples: whatever the input can show; or pairs (sample, label), as tonic's data sets give them. labels: the
        class of each sample, (samples,). learn: False puts weights that synapses change back after every sample, as a
        test wants it. seed: of Brian2's random numbers; each sample has its own, so that neither
        order nor number of processes matters; None leaves chance alone. processes: copies of this process that share
        the samples (a sequence then), where the system can fork. progress: a bar on a terminal or in a notebook.
        """
        total = len(samples) if isinstance(samples, Sized) else None
        with progress_bar("samples", total, progress) as tick:
            if self._compiled is not None:
                if not learn:
                    raise ParameterError("a compiled network keeps what it learns; set its learning rate to 0")
                found: list[object] = []
                parts = self._compiled.run(_without_labels(samples, found), seed, tick)
            elif processes > 1:
                parts, found = self._in_processes(samples, learn, seed, processes, tick)
            else:
                parts, found = self._in_turn(enumerate(samples), learn, seed, tick)
        if labels is None and any(label is not None for label in found):
            labels = found
        return self._responses(parts, labels)

    def _recorder(self, group: SpikeSource) -> SpikeRecorder | Player:
        """An `EventInput` knows what it has shown."""
        seen = isinstance(self._input, EventInput) and group is self._input.group
        return self._input.recorder() if seen else SpikeRecorder(group)

    def _in_turn(
        self, samples: Iterable[tuple[int, Any]], learn: bool, seed: int | None, tick: Callable[[], None]
    ) -> tuple[list[Part], list[object]]:
        parts, labels = [], []
        weights = [] if learn else [(weight, weight.get_value().copy()) for weight in self._drive.plastic.values()]
        with random_state_kept(seed):
            for number, item in samples:
                sample, label = _split(item)
                self._drive.reset()
                if seed is not None:
                    set_seed(sample_seed(seed, number))
                self._show(sample)
                self._drive.advance(self._duration)
                for weight, value in weights:
                    weight.get_value()[:] = value
                parts.append(self._taken())
                labels.append(label)
                tick()
            self._drive.reset()
        return parts, labels

    def _show(self, sample: Any) -> None:
        if isinstance(self._input, EventInput):
            self._input.show(sample)
        else:
            self._input(sample)

    def _taken(self) -> Part:
        spikes = {}
        for name, recorder in self._spikes.items():
            spikes[name] = recorder.taken(self._drive.first_step(self._groups[name].clock))
        return Part(spikes=spikes, states={key: recorder.taken() for key, recorder in self._states.items()})

    def _in_processes(
        self, samples: Iterable[Any], learn: bool, seed: int | None, processes: int, tick: Callable[[], None]
    ) -> tuple[list[Part], list[object]]:
        if not isinstance(samples, Sized) or not hasattr(samples, "__getitem__"):
            raise ParameterError("several processes share samples that can be counted and indexed; give a sequence")
        if "fork" not in multiprocessing.get_all_start_methods():
            raise ParameterError("this system cannot fork a process; use processes=1")
        if self._drive.plastic and learn:
            raise ParameterError(
                f"{', '.join(self._drive.plastic)} learn from sample to sample, which several processes cannot share; "
                "use processes=1, or learn=False"
            )
        shares = np.array_split(np.arange(len(samples)), min(processes, len(samples)))

        def work(share: NDArray[np.int64]) -> Iterator[tuple[Part, object]]:
            for number in share:
                (part,), (label,) = self._in_turn([(int(number), samples[int(number)])], learn, seed, lambda: None)
                yield part, label

        results = forked(work, shares, tick)
        parts, labels = zip(*results, strict=True)
        return list(parts), list(labels)

    def _responses(self, parts: Sequence[Part], labels: ArrayLike | None) -> Responses:
        if labels is not None:
            labels = np.asarray(labels)
            if labels.shape != (len(parts),):
                raise InputError(f"labels have shape {labels.shape}, expected ({len(parts)},): one for each sample")
        return Responses(
            spikes={
                name: trains([part.spikes[name] for part in parts], int(group.N), self._dt, self._duration)
                for name, group in self._groups.items()
            },
            states=self._all_states(parts),
            labels=labels,
            duration=self._duration,
            dt=self._dt,
        )

    def _all_states(self, parts: Sequence[Part]) -> dict[str, dict[str, Quantity | NDArray]]:
        states: dict[str, dict[str, Quantity | NDArray]] = {}
        for (name, variable), group in self._variables.items():
            values = np.array([part.states[name, variable] for part in parts])
            unit = group.variables[variable].dim
            states.setdefault(name, {})[variable] = values if unit is DIMENSIONLESS else Quantity(values, dim=unit)
        return states


def _split(item: Any) -> tuple[Any, object]:
    """(sample, label) of a pair, (sample, None) of anything else."""
    return item if isinstance(item, tuple) and len(item) == 2 else (item, None)


def _without_labels(samples: Iterable[Any], labels: list[object]) -> Iterator[Any]:
    for item in samples:
        sample, label = _split(item)
        labels.append(label)
        yield sample
