"""Neurons on the cores of a chip: who shares a core, and how far a spike travels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError
from snn.energy.prices import Cores
from snn.energy.structure import Population, Structure


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """Where the neurons of each population are.

    core: by population, (neurons,) number of the core of each; an input is with the host, at the first tile, and has
    no cores. costs: by population, what one spike of each neuron costs, (neurons,): "packets", one to each core that
    has a synapse for it, "hops_east_west" and "hops_north_south".
    """

    cores: int
    chips: int
    core: Mapping[str, NDArray[np.int64]]
    costs: Mapping[str, Mapping[str, NDArray[np.int64]]]


def place(structure: Structure, cores: Cores) -> Placement:
    """Fill core after core in the order of the populations, each beginning a new one.

    A core is full when it holds as many neurons, or as many of their incoming synapses, as it can. Tiles lie in rows;
    a packet goes first along its row and then along its column, once for each core that it is for, as on Loihi
    (Davies et al. 2018). Chips lie in a row from west to east.

    Raises `ParameterError` for a neuron with more synapses than a core holds.
    """
    incoming = {one.name: np.zeros(one.neurons, np.int64) for one in structure.populations}
    for pathway in structure.pathways:
        if pathway.delivers:
            incoming[pathway.target] += np.bincount(pathway.targets, minlength=incoming[pathway.target].size)
    core, used = {}, 0
    for population in structure.populations:
        if population.is_input:
            core[population.name] = np.empty(0, np.int64)
        else:
            core[population.name] = used + _filled(population, incoming[population.name], cores)
            used = int(core[population.name][-1]) + 1
    return Placement(
        cores=used,
        chips=-(-used // cores.per_chip),
        core=core,
        costs={one.name: _costs(one, structure, core, cores) for one in structure.populations},
    )


def _filled(population: Population, incoming: NDArray[np.int64], cores: Cores) -> NDArray[np.int64]:
    """(neurons,) core of each, from 0."""
    neurons = cores.neurons or population.neurons
    if cores.synapses is not None and incoming.max(initial=0) > cores.synapses:
        raise ParameterError(
            f"a neuron of {population.name} has {incoming.max()} synapses, a core holds {cores.synapses}; "
            "split the layer, or give cores that hold more"
        )
    core = np.empty(population.neurons, np.int64)
    number = held = synapses = 0
    for neuron, own in enumerate(incoming):
        if held == neurons or (cores.synapses is not None and synapses + own > cores.synapses):
            number, held, synapses = number + 1, 0, 0
        core[neuron] = number
        held, synapses = held + 1, synapses + int(own)
    return core


def _costs(
    population: Population, structure: Structure, core: Mapping[str, NDArray[np.int64]], cores: Cores
) -> dict[str, NDArray[np.int64]]:
    """What a spike of each neuron costs: packets and hops to all cores where it is heard."""
    pairs = [np.empty((0, 2), np.int64)]
    for pathway in structure.pathways:
        if pathway.delivers and pathway.source == population.name:
            neuron = np.repeat(np.arange(population.neurons), np.diff(pathway.starts))
            pairs.append(np.stack([neuron, core[pathway.target][pathway.targets]], axis=1))
    neuron, target = np.unique(np.concatenate(pairs), axis=0).T
    own = core[population.name]
    from_x, from_y = _tile(own[neuron] if own.size else np.zeros_like(neuron), cores)
    to_x, to_y = _tile(target, cores)
    return {
        "packets": np.bincount(neuron, minlength=population.neurons),
        "hops_east_west": _sums(neuron, np.abs(to_x - from_x), population.neurons),
        "hops_north_south": _sums(neuron, np.abs(to_y - from_y), population.neurons),
    }


def _sums(index: NDArray[np.int64], values: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    total = np.zeros(size, np.int64)
    np.add.at(total, index, values)
    return total


def _tile(core: NDArray[np.int64], cores: Cores) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(x, y) of the tile of a core."""
    chip, within = np.divmod(core, cores.per_chip)
    y, x = np.divmod(within // cores.per_tile, cores.tiles_per_row)
    return x + chip * cores.tiles_per_row, y
