"""The spikes of a source by the neuron that sent them: so a weight gradient is summed neuron by neuron, by threads that
never meet.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learning.kernels.engine import Engine
from learning.kernels.loops import add_row_gradient, add_synapse_gradient, sort_by_neuron
from learning.kernels.plan import Synapses

# Samples whose adjoints are summed together: so much of them stays in the cache while it is read in random order.
_CACHED_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikesOf:
    """The spikes of a source: neurons[starts[sample, step] : starts[sample, step + 1]] are those of a step.

    values: of each spike; empty where none is graded. size: neurons of the source.
    """

    name: str
    size: int
    neurons: NDArray[np.int32]
    starts: NDArray[np.int64]
    values: NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class SortedSpikes:
    """Spikes by neuron: those of one are rows[place[neuron] : place[neuron + 1]] for the `place` of a group of samples.

    A row is a moment's place in an array (samples * steps, n). values: of each row; empty where none is graded. places:
    (groups, neurons + 1).
    """

    rows: NDArray[np.int32]
    values: NDArray
    places: NDArray[np.int64]

    def shares(self, count: int) -> NDArray[np.int64]:
        """Edges between neurons, so that each share has about as many spikes; sums do not depend on them."""
        spikes = np.concatenate([[0], np.diff(self.places).sum(axis=0).cumsum()])
        edges = np.searchsorted(spikes, np.linspace(0, spikes[-1], count + 1)[1:-1])
        return np.concatenate([[0], edges, [spikes.size - 1]])

    def add_gradient(self, gradient: NDArray, heard: NDArray, wiring: Synapses, first: int, last: int) -> None:
        """Add to the gradient by the weights of some neurons what was heard of their spikes, (rows, post)."""
        for place in self.places:
            spikes = (self.rows, self.values, place, (first, last))
            if wiring.all_to_all:
                add_row_gradient(gradient, heard, *spikes, int(wiring.delays[0]))
            else:
                add_synapse_gradient(gradient, heard, *spikes, wiring.delays, wiring.first, wiring.post)


def sorted_spikes(
    engine: Engine, spikes: SpikesOf, steps: tuple[int, int], *, rows_a_sample: int, row_bytes: int
) -> SortedSpikes:
    """The spikes of some steps by neuron; row_bytes: of what is read at a row."""
    samples, size = len(spikes.starts), max(1, _CACHED_BYTES // (rows_a_sample * row_bytes))
    firsts = list(range(0, samples, size))
    ends = (spikes.starts[:, steps[1]] - spikes.starts[:, steps[0]]).cumsum()
    rows = engine.array(f"{spikes.name}_rows", (int(ends[-1]),), np.int32)
    values = engine.array(f"{spikes.name}_sorted", (rows.size if spikes.values.size else 0,), engine.real)
    places = engine.array(f"{spikes.name}_places", (len(firsts), spikes.size + 1), np.int64)
    places[:, 0] = [ends[first - 1] if first else 0 for first in firsts]

    def sort(first: int, last: int) -> None:
        for group in range(first, last):
            chosen = (firsts[group], min(firsts[group] + size, samples))
            sort_by_neuron(
                spikes.neurons,
                spikes.values,
                spikes.starts,
                chosen,
                steps,
                rows_a_sample,
                rows,
                values,
                places[group],
            )

    engine.share(sort, len(firsts), len(firsts))
    return SortedSpikes(rows=rows, values=values, places=places)
