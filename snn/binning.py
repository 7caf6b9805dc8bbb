"""Events in continuous time become spikes in steps: at most one a neuron and step, whatever the events.

Brian2 keeps the spikes of a step as a list of neurons that has room for each of them once; that every
neuron stands there once, in rising order, is seen to here and nowhere else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from dvs.events import EventArray
from snn.channels import Channels

Collisions = Literal["error", "first", "count", "spread"]

# A step begins this part of a step early: 0.3 ms are then three steps of 0.1 ms, in floating point too.
_EARLY = 1e-6


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Steps of `dt_us`; `start_us` of the events falls on `offset_us` of the network, and time runs `speed` times."""

    dt_us: float
    start_us: float = 0.0
    offset_us: float = 0.0
    speed: float = 1.0

    def step(self, t_us: float) -> int:
        """The step in which an event at `t_us` is seen."""
        return int(np.floor((t_us - self.start_us) * self.steps_per_us + self.first_step))

    @property
    def steps_per_us(self) -> float:
        """Steps in a microsecond of the events."""
        return 1 / (self.dt_us * self.speed)

    @property
    def first_step(self) -> float:
        """Where in steps `start_us` falls, with the tolerance of rounding."""
        return self.offset_us / self.dt_us + _EARLY


@dataclass(frozen=True, kw_only=True)
class SpikeBlock:
    """The spikes of all steps below `stop` that earlier blocks did not hold.

    steps: (K,) steps with spikes, rising. starts: (K + 1,) where the spikes of each begin. neurons: (S,) rising in
    each step. counts: (S,) events of that cell. dropped: events that no spike stands for.
    """

    stop: float
    steps: NDArray[np.int64]
    starts: NDArray[np.int64]
    neurons: NDArray[np.int32]
    counts: NDArray[np.int32]
    dropped: int


def check_collisions(collisions: str) -> None:
    """Raise `ParameterError` for a policy that does not exist."""
    if collisions not in get_args(Collisions):
        raise ParameterError(f"collisions is {collisions!r}, expected one of {list(get_args(Collisions))}")


def spike_blocks(
    chunks: Iterable[tuple[EventArray, float, Timing]], channels: Channels, collisions: Collisions
) -> Iterator[SpikeBlock]:
    """Spikes of events that come in chunks: (events, until_us, timing), all later events at until_us or after.

    Events are sorted by time. Two of one neuron in one step: "error" raises `InputError`; "first" keeps one spike and
    drops the others; "count" makes one spike that stands for both; "spread" moves the others to later steps, each to
    the first in which the neuron is free. Memory is that of a chunk.
    """
    check_collisions(collisions)
    neurons = len(channels)
    free_from = np.zeros(neurons, np.int64)
    waiting = np.empty(0, np.int64)
    for events, until_us, timing in chunks:
        neuron, step = _seen(events, channels, timing)
        if collisions == "spread":
            _spread(neuron, step, free_from)
        keys = step * neurons + neuron
        if waiting.size:
            keys = np.concatenate([waiting, keys])
        stop = timing.step(until_us) if np.isfinite(until_us) else np.inf
        ready = keys < stop * neurons
        keys, waiting = np.sort(keys[ready]), keys[~ready]
        block = _block(keys, neurons, stop, lossless=collisions == "count")
        if collisions == "error" and block.dropped:
            raise _collision(block, timing, channels)
        yield block


def _seen(events: EventArray, channels: Channels, timing: Timing) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The neuron and the step of each event that is seen."""
    left, top, width, height = channels.region
    channel = np.array(channels.channel_of)[(events["p"] > 0).view(np.int8)]
    x, y = events["x"].astype(np.int64) - left, events["y"].astype(np.int64) - top
    step = np.floor((events["t"] - timing.start_us) * timing.steps_per_us + timing.first_step).astype(np.int64)
    if min(channels.channel_of) < 0 or channels.roi is not None:
        seen = (channel >= 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        channel, x, y, step = channel[seen], x[seen], y[seen], step[seen]
    if channels.pool > 1:
        x, y = x // channels.pool, y // channels.pool
    _, rows, columns = channels.shape
    return (channel * rows + y) * columns + x, step


@njit(cache=True, nogil=True)
def _spread(neuron, step, free_from):
    """Move each event to the first step in which its neuron is free."""
    for k in range(neuron.size):
        step[k] = max(step[k], free_from[neuron[k]])
        free_from[neuron[k]] = step[k] + 1


def _block(keys: NDArray[np.int64], neurons: int, stop: float, *, lossless: bool) -> SpikeBlock:
    """The spikes of sorted keys, step * neurons + neuron, each once."""
    first = _changes(keys)
    step, neuron = np.divmod(keys[first[:-1]], neurons)
    starts = _changes(step)
    return SpikeBlock(
        stop=stop,
        steps=step[starts[:-1]],
        starts=starts,
        neurons=neuron.astype(np.int32),
        counts=(first[1:] - first[:-1]).astype(np.int32),
        dropped=0 if lossless else keys.size - neuron.size,
    )


def _changes(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a run of equal values begins, and at last where all end."""
    new = np.ones(values.size + 1, bool)
    np.not_equal(values[1:], values[:-1], out=new[1:-1])
    return new.nonzero()[0] if values.size else np.zeros(1, np.int64)


def _collision(block: SpikeBlock, timing: Timing, channels: Channels) -> InputError:
    worst = int(np.argmax(block.counts))
    p, y, x = np.unravel_index(int(block.neurons[worst]), channels.shape)
    step = int(block.steps[np.searchsorted(block.starts, worst, side="right") - 1])
    left, top, _, _ = channels.region
    pool = channels.pool
    place = f"pixel ({left + x}, {top + y})" if pool == 1 else f"the {pool}x{pool} pixels of neuron (x {x}, y {y})"
    kind = {"split": ("OFF ", "ON ")[p], "on": "ON ", "off": "OFF "}.get(channels.polarity, "")
    return InputError(
        f"{place} has {block.counts[worst]} {kind}events in the {timing.dt_us:g} us step {step}; "
        "use a shorter dt, or collisions='first', 'count' or 'spread'"
    )
