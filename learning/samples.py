"""Samples become spikes in steps, all of them in one record that the kernels of a training step read.

An input group of Brian2 spikes as it is told. Here it is told nothing: what it would do in every step of every sample
is written down at once, by the rules by which events (`snn.binning`) and given spikes (Brian2's SpikeGeneratorGroup)
find their steps.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from brian2 import Quantity, have_same_dimensions, second
from brian2.core.spikesource import SpikeSource
from numba import njit
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from dvs.events import EVENT_DTYPE, EventArray, Recording, check_events, join_events
from dvs.files import recording_file
from dvs.files.recording_file import RecordingFile
from snn.binning import Timing, spike_blocks
from snn.channels import Channels
from snn.inputs import EventInput
from snn.spikes import SpikeTrains

# What an `EventInput` sees in a sample, and what any other group is told.
EventSample = EventArray | Recording | RecordingFile | str | os.PathLike[str]
SpikeSample = tuple[ArrayLike, Quantity] | NDArray

# Events held at once: a batch and more, so that its spikes are written where they stay.
_CHUNK = 1 << 22

# The number of a neuron is the sum of three; one of these makes any sum negative.
_UNSEEN = -(1 << 40)

# A step begins this part of a step early for given spikes, as in Brian2's SpikeGeneratorGroup.
_EARLY = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Spikes:
    """What an input group does in many samples: neurons[starts[b, t] : starts[b, t + 1]] spike in step t of sample b.

    starts: (samples, steps + 1), rising along steps; the samples need not follow each other. neurons: (S,), each at
    most once a step, in no order within it. values: (S,) of graded spikes, the events of a cell or a given number;
    None where each is 1. size: neurons of the group. lost: (samples,) events of these steps that no spike stands for;
    None where there are no events.

    >>> spikes = Spikes(starts=np.array([[0, 1, 2], [2, 2, 3]]), neurons=np.array([0, 1, 1], np.int32), size=2)
    >>> spikes[[1]].dense().tolist()
    [[[0.0, 0.0], [0.0, 1.0]]]
    """

    starts: NDArray[np.int64]
    neurons: NDArray[np.int32]
    values: NDArray[np.float64] | None = None
    size: int
    lost: NDArray[np.int64] | None = None

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.starts.shape[0]

    @property
    def steps(self) -> int:
        """Steps of each sample."""
        return self.starts.shape[1] - 1

    @property
    def dropped(self) -> int:
        """Events that became no spike: two at once under collisions="first", or under "spread" moved past the end."""
        return 0 if self.lost is None else int(self.lost.sum())

    @property
    def density(self) -> float:
        """Share of the cells (sample, step, neuron) in which there is a spike."""
        spikes = int((self.starts[:, -1] - self.starts[:, 0]).sum())
        return spikes / max(self.samples * self.steps * self.size, 1)

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, chosen: ArrayLike | slice) -> "Spikes":
        """Some of the samples, by number, numbers, mask or slice; the spikes are shared, not copied."""
        lost = None if self.lost is None else np.atleast_1d(self.lost[chosen])
        return replace(self, starts=np.atleast_2d(self.starts[chosen]), lost=lost)

    def columns(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Neuron and step of each spike, sample by sample."""
        for starts in self.starts:
            neurons = self.neurons[starts[0] : starts[-1]].astype(np.int64)
            yield neurons, np.repeat(np.arange(self.steps), np.diff(starts))

    def dense(self) -> NDArray[np.float64]:
        """The same as numbers, (samples, steps, size), 0 where there is no spike; for looking at few samples."""
        numbers = np.zeros((self.samples, self.steps, self.size))
        for sample, starts in zip(numbers, self.starts, strict=True):
            chosen = slice(starts[0], starts[-1])
            step = np.repeat(np.arange(self.steps), np.diff(starts))
            sample[step, self.neurons[chosen]] = 1 if self.values is None else self.values[chosen]
        return numbers


def encode(
    samples: Iterable[EventSample] | Iterable[SpikeSample] | SpikeTrains,
    input: EventInput | SpikeSource,
    *,
    steps: int,
    dt: Quantity,
) -> Spikes:
    """The spikes of `input` in each sample, in `steps` steps of `dt` from its beginning; what comes later is left out.

    Samples of an `EventInput`: event arrays (microseconds from 0), `Recording`s (from their start), files or their
    paths, binned as the input bins what it shows, collisions included. Samples of any other group of N neurons:
    (i, t), neuron numbers and their times in any order; or arrays (steps, N), of which whole numbers or bool say
    whether a neuron spikes, and floats make graded spikes of what is not 0; or `SpikeTrains`.
    The samples may be an iterator, or one array (samples, steps, N). Raises `InputError` for what is none of these,
    for times before the beginning, and for two spikes of a neuron in one step, by the number of the sample.

    >>> from brian2 import SpikeGeneratorGroup, ms
    >>> group = SpikeGeneratorGroup(3, [], [] * ms)
    >>> encode([([0, 2, 0], [0, 1, 1] * ms)], group, steps=2, dt=1 * ms).dense().tolist()
    [[[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]]
    """
    if steps < 1 or not dt > 0 * second:
        raise ParameterError(f"steps is {steps} and dt {dt}, expected 1 or more steps of a time above 0")
    if isinstance(samples, SpikeTrains):
        samples = _one_by_one(samples)
    one_array_of_events = isinstance(samples, np.ndarray) and samples.dtype.names is not None
    if not isinstance(samples, Iterable) or isinstance(samples, str) or one_array_of_events:
        raise InputError(f"samples are one {type(samples).__name__}, expected several; give a list, [sample]")
    if not isinstance(input, EventInput | SpikeSource):
        raise InputError(f"the input is a {type(input).__name__}, expected an EventInput or a group that spikes")
    kind = _SeenEvents if isinstance(input, EventInput) else _GivenSpikes
    parts = list(kind(input, steps, dt).encoded(samples))
    if not parts:
        raise InputError("there are no samples; give at least one")
    return _joined(parts)


def _joined(parts: list[Spikes]) -> Spikes:
    """The samples of all parts, which have spikes of one kind, or some none that are graded."""
    if len(parts) == 1:
        return parts[0]
    firsts = np.cumsum([0, *(part.neurons.size for part in parts[:-1])])
    values = None
    if any(part.values is not None for part in parts):
        values = np.concatenate([np.ones(p.neurons.size) if p.values is None else p.values for p in parts])
    return Spikes(
        starts=np.concatenate([part.starts + first for part, first in zip(parts, firsts, strict=True)]),
        neurons=np.concatenate([part.neurons for part in parts]),
        values=values,
        size=parts[0].size,
        lost=np.concatenate([part.lost for part in parts]) if parts[0].lost is not None else None,
    )


class _SeenEvents:
    """Bins the events of samples as an `EventInput` does while a network runs."""

    def __init__(self, eye: EventInput, steps: int, dt: Quantity) -> None:
        self._name, self._channels, self._collisions = eye.group.name, eye.channels, eye.collisions
        self._neuron_of, self._size = _neuron_of(eye.channels), len(eye.channels)
        self._steps, self._timing = steps, Timing(dt_us=1e6 * float(dt))

    def encoded(self, samples: Iterable[EventSample]) -> Iterator[Spikes]:
        """The spikes of some samples after the other, those of a chunk together."""
        chunk, held = [], 0
        for k, sample in enumerate(samples):
            name = f"samples[{k}]"
            events, start_us = self._opened(sample, name)
            chunk.append((events, start_us, name))
            held += events.size
            if held >= _CHUNK:
                yield self._binned(chunk, held)
                chunk, held = [], 0
        if chunk:
            yield self._binned(chunk, held)

    def _opened(self, sample: EventSample, name: str) -> tuple[EventArray, int]:
        """Events of a sample, at least those that fall in the steps, and when it begins."""
        if isinstance(sample, np.ndarray):
            if sample.dtype != EVENT_DTYPE or sample.ndim != 1:
                check_events(sample, self._channels.width, self._channels.height, name)
            return sample, 0
        if isinstance(sample, str | os.PathLike):
            sample = recording_file.open(Path(sample))
        if not isinstance(sample, Recording | RecordingFile):
            raise InputError(
                f"{name} is a {type(sample).__name__}, which {self._name} cannot see; "
                "give event arrays, recordings or files, without labels"
            )
        channels = self._channels
        if (sample.width, sample.height) != (channels.width, channels.height):
            raise InputError(
                f"{name} is {sample.width}x{sample.height}, {self._name} sees a sensor of "
                f"{channels.width}x{channels.height}; make an EventInput of that size, or crop the events"
            )
        if isinstance(sample, Recording):
            return sample.events, sample.start_us
        return join_events(list(self._first_blocks(sample))), sample.start_us

    def _first_blocks(self, recording: RecordingFile) -> Iterator[EventArray]:
        timing = replace(self._timing, start_us=recording.start_us)
        for events in recording.blocks():
            yield events
            if timing.step(events["t"][-1]) >= self._steps:
                return

    def _binned(self, chunk: list[tuple[EventArray, int, str]], held: int) -> Spikes:
        timing, collisions = self._timing, self._collisions
        starts = np.empty((len(chunk), self._steps + 1), np.int64)
        neurons = np.empty(held, np.int32)
        values = np.empty(held) if collisions == "count" else None
        lost = np.zeros(len(chunk), np.int64)
        latest = np.full(self._size, -1, np.int32)
        stop = 0
        for k, (events, start_us, name) in enumerate(chunk):
            starts[k, 0] = stop
            within, stop, collided = _bin(
                events, start_us, timing.steps_per_us, timing.first_step, *self._neuron_of,
                latest, starts[k], neurons, values,
            )  # fmt: skip
            if within < 0:
                check_events(events, self._channels.width, self._channels.height, name)
                raise InputError(
                    f"{name} begins at {events['t'][0]} us, before its start at {start_us} us; "
                    "count times from the beginning of the sample"
                )
            if collisions == "first":
                lost[k] = collided
            elif collisions != "count" and collided:
                stop, lost[k] = self._resolve(events[:within], start_us, name, starts[k], neurons)
        return Spikes(
            starts=starts,
            neurons=neurons[:stop],
            values=None if values is None else values[:stop],
            size=self._size,
            lost=lost,
        )

    def _resolve(
        self, events: EventArray, start_us: int, name: str, starts: NDArray[np.int64], neurons: NDArray[np.int32]
    ) -> tuple[int, int]:
        """Write what `snn.binning` makes of events that collide; where it ends, and how many are past the end."""
        chunk = events, np.inf, replace(self._timing, start_us=start_us)
        try:
            (block,) = spike_blocks([chunk], self._channels, self._collisions)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        starts[:] = starts[0] + block.starts[np.searchsorted(block.steps, np.arange(self._steps + 1))]
        neurons[starts[0] : starts[-1]] = block.neurons[: starts[-1] - starts[0]]
        return int(starts[-1]), block.neurons.size - int(starts[-1] - starts[0])


def _neuron_of(channels: Channels) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """By p, y and x of an event, three numbers whose sum is its neuron, or negative where it is not seen."""
    left, top, width, height = channels.region
    _, rows, columns = channels.shape
    of_p = np.array([rows * columns * channel if channel >= 0 else _UNSEEN for channel in channels.channel_of])
    of_y, of_x = np.full(channels.height, _UNSEEN), np.full(channels.width, _UNSEEN)
    of_y[top : top + height] = np.arange(height) // channels.pool * columns
    of_x[left : left + width] = np.arange(width) // channels.pool
    return of_p, of_y, of_x


@njit(cache=True, nogil=True)
def _bin(
    events: EventArray,
    start_us: int,
    steps_per_us: float,
    first_step: float,
    of_p: NDArray[np.int64],
    of_y: NDArray[np.int64],
    of_x: NDArray[np.int64],
    latest: NDArray[np.int32],
    starts: NDArray[np.int64],
    neurons: NDArray[np.int32],
    values: NDArray[np.float64] | None,
) -> tuple[int, int, int]:
    """How many events fall in the steps, where their spikes end, and how many events were one too many in their cell.

    starts: (steps + 1,), the first is given. latest: (size,) where in `neurons` each neuron was written last, or -1.
    values: events of each cell, or None. The first number is -1 where an event is not on the sensor, or before the one
    in front of it or the start.
    """
    steps = starts.size - 1
    within = step = collided = 0
    stop = starts[0]
    before = start_us
    for k in range(events.size):
        event = events[k]
        x, y, p, t = event["x"], event["y"], int(event["p"]), event["t"]
        if not (0 <= x < of_x.size and 0 <= y < of_y.size and 0 <= p <= 1 and t >= before):
            return -1, stop, collided
        before = t
        place = (t - start_us) * steps_per_us + first_step
        if place < steps:
            within += 1
            neuron = of_p[p] + of_y[y] + of_x[x]
            if neuron >= 0:
                while step < int(place):
                    step += 1
                    starts[step] = stop
                earlier = latest[neuron]
                if earlier < starts[step]:
                    latest[neuron] = stop
                    neurons[stop] = neuron
                    if values is not None:
                        values[stop] = 1
                    stop += 1
                else:
                    collided += 1
                    if values is not None:
                        values[earlier] += 1
    starts[step + 1 :] = stop
    return within, stop, collided


class _GivenSpikes:
    """Finds the steps of given spikes as a SpikeGeneratorGroup does, and the spikes in given numbers."""

    def __init__(self, group: SpikeSource, steps: int, dt: Quantity) -> None:
        self._name, self._size, self._steps, self._dt = group.name, int(group.N), steps, dt

    def encoded(self, samples: Iterable[SpikeSample]) -> Iterator[Spikes]:
        """The spikes of one sample after the other, those of a whole array at once."""
        if isinstance(samples, np.ndarray) and samples.ndim == 3 and len(samples):
            yield self._of_numbers(samples, 0)
            return
        for k, sample in enumerate(samples):
            if isinstance(sample, np.ndarray):
                yield self._of_numbers(sample[None], k)
            elif isinstance(sample, tuple) and len(sample) == 2:
                yield self._of_times(*sample, f"samples[{k}]")
            else:
                raise self._strange(sample, k)

    def _of_times(self, i: ArrayLike, t: Quantity, name: str) -> Spikes:
        if not have_same_dimensions(t, second):
            raise InputError(
                f"{name} has times that are not in units of time; give (i, t), such as ([0, 4], [3, 7] * ms)"
            )
        neuron, t_s = np.asarray(i), np.asarray(t, float)
        if neuron.ndim != 1 or neuron.shape != t_s.shape or (neuron.size and neuron.dtype.kind not in "iu"):
            raise InputError(
                f"{name} has {neuron.dtype} neuron numbers of shape {neuron.shape} and times of shape {t_s.shape}; "
                "give a whole number and a time for each spike"
            )
        if neuron.size and not 0 <= neuron.min() <= neuron.max() < self._size:
            raise InputError(
                f"{name} has spikes of neurons {neuron.min()} to {neuron.max()}, "
                f"expected 0 to {self._size - 1} of {self._name}"
            )
        if not (t_s >= 0).all():
            raise InputError(f"{name} has a spike at {t_s.min()} s; count times from the beginning of the sample")
        dt_s = float(self._dt)
        step = (t_s + _EARLY * dt_s) / dt_s
        within = step < self._steps
        cells = np.sort(step[within].astype(np.int64) * self._size + neuron[within].astype(np.int64))
        twice = cells[1:] == cells[:-1]
        if twice.any():
            late, which = divmod(int(cells[np.argmax(twice)]), self._size)
            raise InputError(
                f"{name}: neuron {which} of {self._name} spikes more than once in step {late} of {self._dt}; "
                "use a shorter dt, or give graded spikes as floats (steps, neurons)"
            )
        return Spikes(
            starts=np.searchsorted(cells, np.arange(self._steps + 1) * self._size)[None],
            neurons=(cells % self._size).astype(np.int32),
            size=self._size,
        )

    def _of_numbers(self, numbers: NDArray, first: int) -> Spikes:
        """Spikes in numbers (samples, steps, neurons), of which the first is sample `first`."""
        graded = numbers.dtype in (np.float32, np.float64)
        if not (graded or numbers.dtype.kind in "biu") or not have_same_dimensions(numbers, 1):
            raise self._strange(numbers[0], first)
        if numbers.shape[1:] != (self._steps, self._size):
            raise InputError(
                f"samples[{first}] has shape {numbers.shape[1:]}, expected {(self._steps, self._size)}: "
                f"the steps of a sample and the neurons of {self._name}"
            )
        cells = np.asarray(numbers) if graded else numbers != 0
        wrong = ~np.isfinite(cells) if graded else numbers != cells
        if wrong.any():
            sample, step, neuron = np.argwhere(wrong)[0]
            raise InputError(
                f"samples[{first + sample}] says {numbers[sample, step, neuron]} of neuron {neuron} in step {step}, "
                f"expected {'finite numbers' if graded else '0 or 1; give floats for graded spikes'}"
            )
        spikes = np.count_nonzero(cells)
        starts = np.empty(len(numbers) * self._steps + 1, np.int64)
        # Room for one more, which is written before it is known that there is none.
        neurons, values = np.empty(spikes + 1, np.int32), np.empty(spikes + 1) if graded else None
        _gather(cells.reshape(-1, self._size), starts, neurons, values)
        return Spikes(
            starts=starts[np.arange(len(numbers))[:, None] * self._steps + np.arange(self._steps + 1)],
            neurons=neurons[:-1],
            values=None if values is None else values[:-1],
            size=self._size,
        )

    def _strange(self, sample: object, k: int) -> InputError:
        kind = f"an array of {sample.dtype}" if isinstance(sample, np.ndarray) else f"a {type(sample).__name__}"
        return InputError(
            f"samples[{k}] is {kind}, which {self._name} cannot be told; give (i, t) or an array of plain numbers "
            f"({self._steps} steps, {self._size} neurons); events need an EventInput"
        )


def _one_by_one(trains: SpikeTrains) -> Iterator[tuple[NDArray[np.int64], Quantity]]:
    """Each sample as (i, t)."""
    ends = np.searchsorted(trains.sample, np.arange(trains.samples + 1))
    for first, last in itertools.pairwise(ends):
        yield trains.neuron[first:last], trains.t[first:last]


@njit(cache=True, nogil=True)
def _gather(
    rows: NDArray, starts: NDArray[np.int64], neurons: NDArray[np.int32], values: NDArray[np.float64] | None
) -> None:
    """Columns and values of what is not 0, and where those of each row start."""
    stop = starts[0] = 0
    for row in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            # Written always and kept where it counts: a branch would be guessed wrong at most spikes.
            neurons[stop] = column
            if values is not None:
                values[stop] = rows[row, column]
            stop += rows[row, column] != 0
        starts[row + 1] = stop
