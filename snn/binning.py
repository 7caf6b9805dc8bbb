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
    x, y, width, height = channels.region
    neurons = len(channels)
    free_from = np.zeros(neurons if collisions == "spread" else 0, np.int64)
    waiting = np.empty(0, np.int64)
    for events, until_us, timing in chunks:
        keys = np.empty(events.size, np.int64)
        seen = _keys(
            events, x, y, width, height, channels.pool, channels.channel_of,
            timing.start_us, timing.steps_per_us, timing.first_step, free_from, keys,
        )  # fmt: skip
        keys = np.concatenate([waiting, keys[:seen]])
        stop = timing.step(until_us) if np.isfinite(until_us) else np.inf
        ready = keys < stop * neurons
        keys, waiting = np.sort(keys[ready]), keys[~ready]
        steps, starts, spiking, counts = _cells(keys, neurons)
        lost = 0 if collisions == "count" else keys.size - spiking.size
        block = SpikeBlock(stop=stop, steps=steps, starts=starts, neurons=spiking, counts=counts, dropped=lost)
        if collisions == "error" and lost:
            raise _collision(block, timing, channels)
        yield block


@njit(cache=True, nogil=True)
def _keys(
    events, left, top, width, height, pool, channel_of, start_us, steps_per_us, first_step, free_from, keys
):  # fmt: skip
    """Step * neurons + neuron of every event that is seen; how many these are. With `free_from`, no key comes twice."""
    columns, rows = -(-width // pool), -(-height // pool)
    neurons = columns * rows * (max(channel_of[0], channel_of[1]) + 1)
    seen = 0
    for event in events:
        channel = channel_of[1] if event.p > 0 else channel_of[0]
        x, y = np.int64(event.x) - left, np.int64(event.y) - top
        if channel < 0 or x < 0 or x >= width or y < 0 or y >= height:
            continue
        neuron = (channel * rows + y // pool) * columns + x // pool
        step = np.int64(np.floor((event.t - start_us) * steps_per_us + first_step))
        if free_from.size:
            step = max(step, free_from[neuron])
            free_from[neuron] = step + 1
        keys[seen] = step * neurons + neuron
        seen += 1
    return seen


@njit(cache=True, nogil=True)
def _cells(keys, neurons):
    """(steps, starts, neurons, counts) of sorted keys; see `SpikeBlock`."""
    steps, starts = np.empty(keys.size, np.int64), np.empty(keys.size + 1, np.int64)
    spiking, counts = np.empty(keys.size, np.int32), np.empty(keys.size, np.int32)
    cells = seen = 0
    before = np.int64(-1)
    for key in keys:
        if key == before:
            counts[cells - 1] += 1
            continue
        step = key // neurons
        if cells == 0 or step != steps[seen - 1]:
            steps[seen], starts[seen] = step, cells
            seen += 1
        spiking[cells], counts[cells] = key - step * neurons, 1
        cells += 1
        before = key
    starts[seen] = cells
    return steps[:seen].copy(), starts[: seen + 1].copy(), spiking[:cells].copy(), counts[:cells].copy()


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
