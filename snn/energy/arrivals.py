"""Where spikes arrive, and when: exact counts from the spikes themselves, without running anything again."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from snn.energy.structure import Pathway

_CELLS = 1 << 21
"""Neurons times steps that are looked at together: as many as stay in the cache."""


@njit(cache=True, nogil=True)
def tally(sample, neuron, step, steps, starts, delay_steps, latest, nonzero, addressed, samples):
    """(5, samples): synapses to which each sample's spikes were sent; those that they reached before step `steps`; of
    these, how many have a weight that is not 0, and how many were looked up; and synapses with such a weight whose
    source spiked at all.

    latest: the longest delay. nonzero, addressed: (S,) whether synapses are so.
    """
    found = np.zeros((5, samples), np.int64)
    seen = np.full(starts.size - 1, -1, np.int64)
    own = np.zeros((starts.size - 1, 2), np.int64)
    for n in range(starts.size - 1):
        for s in range(starts[n], starts[n + 1]):
            own[n, 0] += nonzero[s]
            own[n, 1] += addressed[s]
    for k in range(neuron.size):
        if step[k] >= steps:
            continue
        number, n = sample[k], neuron[k]
        first, last = starts[n], starts[n + 1]
        found[0, number] += last - first
        if seen[n] != number:
            seen[n] = number
            found[4, number] += own[n, 0]
        if step[k] + latest < steps:
            found[1, number] += last - first
            found[2, number] += own[n, 0]
            found[3, number] += own[n, 1]
            continue
        for s in range(first, last):
            if step[k] + delay_steps[s] < steps:
                found[1, number] += 1
                found[2, number] += nonzero[s]
                found[3, number] += addressed[s]
    return found


@njit(cache=True, nogil=True)
def _mark(hit, whole, first_step, neuron, step, steps, starts, targets, delay_steps, reaches_all, ratio):
    """Mark in hit, (steps, neurons), who is reached in a window that begins at first_step; whole: all are."""
    for k in range(neuron.size):
        first, last = starts[neuron[k]], starts[neuron[k] + 1]
        while first < last:
            # Synapses are in order of their delays: those of one delay are reached together.
            arrival, stop = step[k] + delay_steps[first], last
            if delay_steps[last - 1] != delay_steps[first]:
                stop = first + 1
                while delay_steps[stop] == delay_steps[first]:
                    stop += 1
            row = int(arrival * ratio + 1e-6) - first_step
            if arrival < steps and 0 <= row < whole.size:
                if reaches_all[neuron[k]]:
                    whole[row] = True
                else:
                    reached = hit[row]
                    for s in range(first, stop):
                        reached[targets[s]] = True
            first = stop


@njit(cache=True, nogil=True)
def _marked(hit, whole):
    """How many are reached."""
    count = 0
    for row in range(whole.size):
        if whole[row]:
            count += hit.shape[1]
        else:
            for neuron in range(hit.shape[1]):
                count += hit[row, neuron]
    return count


@njit(cache=True, nogil=True)
def reaching_all(starts, targets, delay_steps, neurons):
    """(sources,) whether a spike reaches all neurons of the target in one step."""
    reaches = np.zeros(starts.size - 1, np.bool_)
    seen = np.full(neurons, -1, np.int64)
    for source in range(reaches.size):
        first, last = starts[source], starts[source + 1]
        if last - first < neurons:
            continue
        found = 0
        for s in range(first, last):
            if delay_steps[s] != delay_steps[first]:
                break
            if seen[targets[s]] != source:
                seen[targets[s]] = source
                found += 1
        reaches[source] = found == neurons
    return reaches


Spikes = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""(sample, neuron, step) of each spike, sorted by sample and step."""


def driven(arriving: list[tuple[Pathway, Spikes]], neurons: int, steps: int, dt_s: float, samples: int) -> NDArray:
    """(samples,): how often a neuron of a population is in a step in which something arrives at it.

    arriving: the pathways that lead to it, with the spikes of their sources. steps: of the population, in each sample.
    """
    counts = np.zeros(samples, np.int64)
    if not arriving or not neurons:
        return counts
    ways = []
    for pathway, (sample, neuron, step) in arriving:
        edges = np.searchsorted(sample, np.arange(samples + 1))
        reaches = reaching_all(pathway.starts, pathway.targets, pathway.delay_steps, neurons)
        latest = int(pathway.delay_steps.max(initial=0))
        ways.append((pathway, neuron, step, edges, reaches, latest, round(steps * dt_s / pathway.dt_s)))
    rows = max(1, min(steps, _CELLS // neurons))
    hit, whole = np.empty((rows, neurons), np.bool_), np.empty(rows, np.bool_)
    for number in range(samples):
        for first_step in range(0, steps, rows):
            used = min(rows, steps - first_step)
            hit[:used], whole[:used] = False, False
            for pathway, neuron, step, edges, reaches, latest, source_steps in ways:
                ratio = pathway.dt_s / dt_s
                within = step[edges[number] : edges[number + 1]]
                # Those that can arrive in the window: not sent after it, nor longer before than the longest delay.
                first, last = edges[number] + np.searchsorted(
                    within, [np.floor(first_step / ratio) - latest - 1, np.ceil((first_step + used) / ratio) + 1]
                )
                _mark(
                    hit[:used], whole[:used], first_step, neuron[first:last], step[first:last], source_steps,
                    pathway.starts, pathway.targets, pathway.delay_steps, reaches, ratio,
                )  # fmt: skip
            counts[number] += _marked(hit[:used], whole[:used])
    return counts
