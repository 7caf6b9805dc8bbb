"""The moment at which Brian2 compares with the threshold: spikes from outside are put in its place."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from brian2 import NeuronGroup
from numpy.typing import NDArray

from snn.binning import SpikeBlock

_NO_SPIKES = SpikeBlock(
    stop=-np.inf,
    steps=np.empty(0, np.int64),
    starts=np.zeros(1, np.int64),
    neurons=np.empty(0, np.int32),
    counts=np.empty(0, np.int32),
    dropped=0,
)
_NOTHING_MORE = replace(_NO_SPIKES, stop=np.inf)


class Player:
    """Puts the spikes of each step where Brian2 looks for them."""

    def __init__(self, group: NeuronGroup, blocks: Callable[[int], Iterator[SpikeBlock]]) -> None:
        """blocks: the spikes to be put, from their beginning, given the step in which they begin."""
        self._open = blocks
        self._timestep = group.clock.variables["timestep"].get_value()
        self._spikes = group.variables["_spikespace"].get_value()
        self._count = group.variables["count"].get_value() if "count" in group.variables else None
        self._kept: list[SpikeBlock] | None = None
        self.begin()

    def begin(self) -> None:
        """Show what the input shows now from the next step on."""
        self._first_step: int | None = None
        self._restart()

    def _restart(self) -> None:
        self._kept = None if self._kept is None else []
        self._blocks: Iterator[SpikeBlock] | None = None
        self.dropped = 0  # events that became no spike
        self._block = _NO_SPIKES
        self._place = 0  # in the steps of the block
        self._due = -np.inf  # the next step at which there is something to do
        self.step = -1

    def keep(self) -> None:
        """From now on keep what is put, for `taken`."""
        self._kept = []

    def taken(self, first_step: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(neuron, step since `first_step`) of each spike that was put of what is shown now, in order."""
        neurons, steps = [], []
        for block in self._kept or ():
            first, last = np.searchsorted(block.steps, [first_step, self.step + 1])
            starts = block.starts[first : last + 1]
            neurons.append(block.neurons[starts[0] : starts[-1]])
            steps.append(np.repeat(block.steps[first:last] - first_step, np.diff(starts)))
        if not neurons:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(neurons, dtype=np.int64), np.concatenate(steps, dtype=np.int64)

    def __call__(self) -> None:
        """Put the spikes of the step that is now."""
        step = int(self._timestep[0])
        if step <= self.step:  # a restored or reset network is back in the past
            self._restart()
        self.step = step
        if self._spikes[-1]:
            if self._count is not None:
                self._count[self._spikes[: self._spikes[-1]]] = 0
            self._spikes[-1] = 0
        if step >= self._due:
            self._deliver(step)

    def _deliver(self, step: int) -> None:
        if self._blocks is None:
            if self._first_step is None:
                self._first_step = step
            self._blocks = self._open(self._first_step)
        while step >= self._block.stop:
            self._block = next(self._blocks, _NOTHING_MORE)
            if self._kept is not None:
                self._kept.append(self._block)
            self.dropped += self._block.dropped
            self._place = int(np.searchsorted(self._block.steps, step))
        block, place = self._block, self._place
        if place < block.steps.size and block.steps[place] == step:
            chosen = slice(block.starts[place], block.starts[place + 1])
            neurons = block.neurons[chosen]
            self._spikes[: neurons.size] = neurons
            self._spikes[-1] = neurons.size
            if self._count is not None:
                self._count[neurons] = block.counts[chosen]
            place = self._place = place + 1
        self._due = block.steps[place] if place < block.steps.size else block.stop
