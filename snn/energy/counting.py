"""Counts of what a Brian2 network did, from its structure and the spikes that were recorded."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from brian2 import Network, Quantity, second
from brian2.core.namespace import get_local_namespace
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from snn.energy.arrivals import Spikes, driven, tally
from snn.energy.counts import ClockedCounts, Counts, Each, PopulationCounts, ProjectionCounts, SensorCounts
from snn.energy.placement import Placement
from snn.energy.structure import Clocked, Pathway, Population, Structure, read_structure
from snn.energy.work import Work
from snn.spikes import Responses, SpikeTrains


def count(
    network: Network | Structure,
    spikes: Responses | Mapping[str, SpikeTrains],
    *,
    duration: Quantity | None = None,
    inputs: Collection[str] | None = None,
    outputs: Collection[str] | None = None,
    placement: Placement | None = None,
    sensor: SensorCounts | None = None,
    labels: ArrayLike | None = None,
    name: str = "network",
    namespace: Mapping[str, Any] | None = None,
) -> Counts:
    """What the network did in each sample, exactly: nothing is run again, and nothing is estimated.

    spikes: of all groups that spike, the input too, as `snn.run(..., record="all")`, `Model.respond(..., inputs=True)`
    and `Meter.spikes` give them. An event that is no spike is found under "group.event". duration: of a sample, by
    default all that was watched; less of it counts what happened until then. inputs: names of groups whose spikes come
    from outside, by default all to which no synapses lead and which no equations move. outputs: what the host reads,
    by default what no other neuron hears: the spikes of each sample, or where there are none, one value a neuron.
    placement: of the neurons on cores, for packets and hops. namespace: as in `Network.run`.

    sensor: what `sensed` found in the same recordings.

    Raises `ParameterError` for a group whose spikes are needed and were not recorded, and for a sensor that was watched
    in other samples, or for longer than they last.
    """
    if isinstance(network, Structure):
        structure = network
    else:
        structure = read_structure(network, get_local_namespace(level=1) if namespace is None else namespace, inputs)
    if isinstance(spikes, Responses):
        labels = spikes.labels if labels is None else labels
        spikes = spikes.spikes
    if not spikes:
        raise InputError("there are no spikes to count; run with record='all'")
    watched = next(iter(spikes.values()))
    if duration is None:
        duration = watched.duration
    if duration > watched.duration * (1 + 1e-9):
        raise ParameterError(f"duration is {duration}, but only {watched.duration} of each sample was watched")
    return _Counting(structure, spikes, float(duration / second), watched.samples).counts(
        name, outputs, placement, sensor, None if labels is None else np.asarray(labels)
    )


class _Counting:
    """One structure, and the spikes of its groups."""

    def __init__(
        self, structure: Structure, spikes: Mapping[str, SpikeTrains], duration_s: float, samples: int
    ) -> None:
        self._structure, self._duration_s, self._samples = structure, duration_s, samples
        self._spikes = {}
        for population in structure.populations:
            for event in population.events:
                name = population.name if event == "spike" else f"{population.name}.{event}"
                if name not in spikes:
                    raise ParameterError(
                        f"spikes of {name!r} are needed and were not recorded, only of {sorted(spikes)}; record them, "
                        "as snn.run(..., record='all') does"
                    )
                self._spikes[population.name, event] = self._columns(spikes[name], population)

    def _columns(self, trains: SpikeTrains, population: Population) -> Spikes:
        if trains.neurons != population.neurons or trains.samples != self._samples:
            raise ParameterError(
                f"spikes of {population.name} are of {trains.neurons} neurons in {trains.samples} samples, expected "
                f"{population.neurons} in {self._samples}"
            )
        return trains.sample, trains.neuron, np.rint(np.asarray(trains.t) / population.dt_s).astype(np.int64)

    def counts(
        self,
        name: str,
        outputs: Collection[str] | None,
        placement: Placement | None,
        sensor: SensorCounts | None,
        labels: NDArray | None,
    ) -> Counts:
        structure = self._structure
        self._check(sensor)
        heard = {one.source for one in structure.pathways if one.delivers}
        if outputs is None:
            outputs = [one.name for one in structure.populations if not one.is_input and one.name not in heard]
        if unknown := set(outputs) - {one.name for one in structure.populations}:
            raise ParameterError(
                f"outputs are {sorted(unknown)}, expected groups of {[one.name for one in structure.populations]}"
            )
        return Counts(
            name=name,
            samples=self._samples,
            duration_s=self._duration_s,
            steps=max((self._steps(one.dt_s) for one in structure.populations), default=0),
            populations=tuple(self._population(one, one.name in outputs, placement) for one in structure.populations),
            projections=tuple(self._projection(one) for one in structure.pathways),
            clocked=tuple(self._clocked(one) for one in structure.clocked),
            sensor=sensor,
            labels=labels,
        )

    def _check(self, sensor: SensorCounts | None) -> None:
        if sensor is None:
            return
        if sensor.events.shape != (self._samples,):
            raise ParameterError(
                f"the sensor was watched in {sensor.events.size} samples, the network in {self._samples}; "
                "give sensed() the same recordings"
            )
        # A frame may end a little after the sample.
        if sensor.watched_s is not None and sensor.watched_s > 1.02 * self._duration_s:
            raise ParameterError(
                f"the sensor was watched for {sensor.watched_s:g} s, the network for {self._duration_s:g} s of each "
                f"sample; give sensed(..., duration={self._duration_s:g} * second)"
            )

    def _steps(self, dt_s: float) -> int:
        return round(self._duration_s / dt_s)

    def _each(self, value: int) -> Each:
        return np.full(self._samples, value, np.int64)

    def _population(self, one: Population, is_output: bool, placement: Placement | None) -> PopulationCounts:
        steps = self._steps(one.dt_s)
        spikes = self._summed(one, steps, np.ones(one.neurons, np.int64))
        work = {
            each.name: spikes * getattr(one.spike_work, each.name)
            + sum(getattr(part.work, each.name) * one.neurons * self._steps(part.dt_s) for part in one.routines)
            for each in fields(Work)
        }
        traffic = {}
        if placement is not None:
            costs = placement.costs[one.name]
            traffic = {name: self._summed(one, steps, per_spike) for name, per_spike in costs.items()}
        return PopulationCounts(
            name=one.name,
            neurons=one.neurons,
            is_input=one.is_input,
            updates=one.neurons * steps if one.moves else 0,
            spikes=spikes,
            driven=self._driven(one, steps) if one.moves else self._each(0),
            values_read=(spikes if one.events else self._each(one.neurons)) if is_output else self._each(0),
            work=work,
            stored=one.stored,
            **traffic,
        )

    def _summed(self, one: Population, steps: int, per_spike: NDArray[np.int64]) -> Each:
        total = self._each(0)
        for event in one.events:
            sample, neuron, step = self._spikes[one.name, event]
            weights = per_spike[neuron] * (step < steps)
            # As floats, whole numbers are exact up to 2^53.
            total += np.bincount(sample, weights, minlength=self._samples).astype(np.int64)
        return total

    def _driven(self, one: Population, steps: int) -> Each:
        if any(part.target == one.name for part in self._structure.clocked):
            return self._each(one.neurons * steps)
        arriving = [
            (pathway, self._spikes[pathway.source, pathway.event])
            for pathway in self._structure.pathways
            if pathway.delivers and pathway.target == one.name
        ]
        return driven(arriving, one.neurons, steps, one.dt_s, self._samples)

    def _projection(self, one: Pathway) -> ProjectionCounts:
        sample, neuron, step = self._spikes[one.source, one.event]
        steps = self._steps(one.dt_s)
        nonzero = np.ones(one.targets.size, np.bool_) if one.nonzero is None else one.nonzero
        emitted, delivered, nonzero_delivered, addressed, twin = tally(
            sample, neuron, step, steps, one.starts, one.delay_steps, int(one.delay_steps.max(initial=0)),
            nonzero, one.addressed, self._samples,
        )  # fmt: skip
        work = {each.name: delivered * getattr(one.work, each.name) for each in fields(Work)}
        return ProjectionCounts(
            name=one.name,
            synapses=one.synapses,
            source=one.source,
            target=one.target,
            side=one.side,
            number=one.targets.size,
            steps=steps,
            delivers=one.delivers,
            graded=one.graded,
            learns=one.learns,
            emitted=emitted,
            delivered=delivered,
            nonzero=None if one.nonzero is None else nonzero_delivered,
            twin=twin,
            work=work | {"index_reads": addressed * one.work.index_reads},
            stored=one.stored,
        )

    def _clocked(self, one: Clocked) -> ClockedCounts:
        steps = self._steps(one.dt_s)
        work = {each.name: self._each(getattr(one.work, each.name) * one.number * steps) for each in fields(Work)}
        return ClockedCounts(
            name=one.name,
            synapses=one.synapses,
            number=one.number,
            steps=steps,
            summed=one.target is not None,
            work=work | {"index_reads": self._each(one.work.index_reads * one.addressed * steps)},
            stored=one.stored,
        )
