"""What a network did, in whole numbers: nothing here knows a price."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.errors import FormatError, InputError
from dvs.new_file import new_file
from snn.energy.structure import Stored
from snn.energy.terms import Widths

Each = NDArray[np.int64]
"""A number for each sample, (samples,)."""


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What is paid for. term: one of `TERMS`. where: a layer or projection. total: of all samples together.

    memory_bits: the size of the memory that is read or written; None for what is not memory.
    """

    term: str
    where: str
    total: int
    memory_bits: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class PopulationCounts:
    """Neurons. updates: neurons times steps, in each sample; driven: how many of them had something arrive.

    work: operations of all updates and resets, and words read and written, by the names of `Work`. packets, hops_...:
    of its spikes on their way to the cores, None without a placement. values_read: what the host reads of it.
    """

    name: str
    neurons: int
    is_input: bool
    updates: int
    spikes: Each
    driven: Each
    values_read: Each
    work: Mapping[str, Each]
    stored: Stored
    packets: Each | None = None
    hops_east_west: Each | None = None
    hops_north_south: Each | None = None

    @property
    def idle(self) -> Each:
        """Updates of neurons at which nothing arrived."""
        return self.updates - self.driven


@dataclass(frozen=True, kw_only=True, eq=False)
class ProjectionCounts:
    """What events did at the synapses of one pathway.

    emitted: events times synapses to which they were sent; delivered: of these, what arrived before the sample ended;
    nonzero: of these, at a weight that is not 0, None where weights change. twin: synapses with such a weight whose
    source spiked at all, which is what an artificial network with the same activity would multiply.
    """

    name: str
    synapses: str
    source: str
    target: str
    side: str
    number: int
    steps: int
    delivers: bool
    graded: bool
    learns: bool
    emitted: Each
    delivered: Each
    nonzero: Each | None
    twin: Each
    work: Mapping[str, Each]
    stored: Stored

    @property
    def in_flight(self) -> Each:
        """Sent, and still on the way when the sample ended."""
        return self.emitted - self.delivered

    @property
    def dense(self) -> int:
        """What a network that computes every synapse in every step does, in each sample."""
        return self.number * self.steps


@dataclass(frozen=True, kw_only=True, eq=False)
class ClockedCounts:
    """Synapses that are computed in every step. summed: they weigh values; if not, they only advance themselves."""

    name: str
    synapses: str
    number: int
    steps: int
    summed: bool
    work: Mapping[str, Each]
    stored: Stored


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorCounts:
    """Events that left the sensor in each sample, and the bits of one on its bus.

    watched_s: for how long, at most; None if it is not known.
    """

    events: Each
    bits_per_event: int
    sensor: str = ""
    watched_s: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """What a network did in some samples, each an inference.

    duration_s: of a sample, in the time of the network; steps: of its fastest clock. labels: (samples,), or None.
    """

    name: str
    samples: int
    duration_s: float
    steps: int
    populations: tuple[PopulationCounts, ...]
    projections: tuple[ProjectionCounts, ...]
    clocked: tuple[ClockedCounts, ...] = ()
    sensor: SensorCounts | None = None
    labels: NDArray | None = None

    @property
    def synaptic_operations(self) -> Each:
        """Events that arrived at a synapse and changed the neuron behind it, (samples,)."""
        return sum((one.delivered for one in self.projections if one.delivers), np.zeros(self.samples, np.int64))

    @property
    def spikes(self) -> Each:
        """Spikes of all neurons that are computed, (samples,)."""
        return sum((one.spikes for one in self.populations if not one.is_input), np.zeros(self.samples, np.int64))

    @property
    def synapses(self) -> int:
        """Synapses through which neurons drive neurons."""
        return sum(one.number for one in self._weighing())

    @property
    def spikes_per_synapse(self) -> float:
        """Operations of a synapse in an inference, on average."""
        return float(self.synaptic_operations.mean()) / self.synapses if self.synapses and self.samples else 0.0

    @property
    def twin_macs(self) -> int:
        """Multiply-accumulates of an artificial network with the same synapses, in each inference."""
        return self.synapses

    @property
    def twin_effective_macs(self) -> Each | None:
        """The same, but for weights of 0 and for neurons that were silent; None where weights change."""
        if any(one.nonzero is None for one in self.projections if one.delivers):
            return None
        active = sum((one.twin for one in self.projections if one.delivers), np.zeros(self.samples, np.int64))
        return active + sum(one.number for one in self.clocked if one.summed)

    def charges(self, widths: Widths | None = None) -> tuple[Charge, ...]:
        """All that can have a price, over all samples together; what did not happen is left out."""
        return tuple(charge for charge in self._charges(widths or Widths()) if charge.total)

    def of_samples(self, samples: ArrayLike) -> "Counts":
        """The counts of some samples, indices or a mask."""
        chosen = np.arange(self.samples)[np.asarray(samples)]
        return _with_samples(self, chosen)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a JSON file that `load` reads; an existing one is kept unless `overwrite`."""
        with new_file(Path(path), overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps({"format": _FORMAT, **_to_json(self)}) + "\n", encoding="utf-8")

    def _weighing(self) -> Iterator[ProjectionCounts | ClockedCounts]:
        yield from (one for one in self.projections if one.delivers)
        yield from (one for one in self.clocked if one.summed)

    def _charges(self, widths: Widths) -> Iterator[Charge]:
        states = {one.name: one.stored.states * widths.state for one in self.populations}
        for one in self.populations:
            if one.is_input:
                yield _charge("host_inputs", one.name, one.spikes)
            else:
                yield _charge("spikes", one.name, one.spikes)
                yield _charge("neuron_updates_driven", one.name, one.driven)
                yield _charge("neuron_updates_idle", one.name, one.idle)
            yield _charge("host_outputs", one.name, one.values_read)
            for term in ("packets", "hops_east_west", "hops_north_south"):
                if (count := getattr(one, term)) is not None:
                    yield _charge(term, one.name, count)
            yield from _charges_of_work(one.name, one.work, one.stored, states[one.name], widths)
        for one in self.projections:
            if one.delivers:
                yield _charge("macs" if one.graded else "synaptic_operations", one.name, one.delivered)
            if one.learns:
                yield _charge("plasticity_events", one.name, one.delivered)
            yield from _charges_of_work(one.name, one.work, one.stored, states.get(one.target, 0), widths)
        for one in self.clocked:
            number = np.full(self.samples, one.number * one.steps)
            yield _charge("macs" if one.summed else "synapse_updates", one.name, number)
            yield from _charges_of_work(one.name, one.work, one.stored, max(states.values(), default=0), widths)
        yield Charge(term="time_steps", where="network", total=self.steps * self.samples)
        if self.sensor is not None:
            name = self.sensor.sensor or "sensor"
            yield _charge("sensor_events", name, self.sensor.events)
            yield _charge("sensor_bits", name, self.sensor.events * self.sensor.bits_per_event)


def load(path: str | os.PathLike[str]) -> Counts:
    """The counts that `Counts.save` wrote. Raises `FormatError` for any other file."""
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give a file that Counts.save wrote") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FormatError(f"{path.name} is no JSON file: {error}; give a file that Counts.save wrote") from None
    if not isinstance(record, dict) or record.pop("format", None) != _FORMAT:
        raise FormatError(f"{path.name} holds no counts of this version; give a file that Counts.save wrote")
    try:
        return _counts(record)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{path.name} is damaged: {error!r}; save the counts again") from None


_FORMAT = "microsaccade counts 1"

_ARITHMETIC = ("additions", "multiplications", "functions")


def _charge(term: str, where: str, each: Each) -> Charge:
    return Charge(term=term, where=where, total=int(each.sum()))


def _charges_of_work(
    where: str, work: Mapping[str, Each], stored: Stored, state_bits: int, widths: Widths
) -> Iterator[Charge]:
    for name in _ARITHMETIC:
        yield _charge(name, where, work[name])
    for kind, term, bits, held in (
        ("weight", "weight", widths.weight, stored.weights * widths.weight),
        ("trace", "state", widths.state, stored.traces * widths.state),
        ("state", "state", widths.state, state_bits),
        ("index", "index", widths.index, stored.addresses * widths.index),
    ):
        for way in ("read", "write"):
            if f"{kind}_{way}s" in work:
                total = int(work[f"{kind}_{way}s"].sum()) * bits
                yield Charge(term=f"{term}_{way}_bits", where=where, total=total, memory_bits=held)


def _with_samples(record: Any, chosen: NDArray[np.int64]) -> Any:
    """The record with only these samples in every array of it."""
    if isinstance(record, np.ndarray):
        return record[chosen]
    if isinstance(record, tuple):
        return tuple(_with_samples(one, chosen) for one in record)
    if isinstance(record, Mapping):
        return {name: _with_samples(one, chosen) for name, one in record.items()}
    if is_dataclass(record):
        changes = {each.name: _with_samples(getattr(record, each.name), chosen) for each in fields(record)}
        return replace(record, **changes | ({"samples": chosen.size} if isinstance(record, Counts) else {}))
    return record


def _to_json(record: Any) -> Any:
    if isinstance(record, np.ndarray):
        return record.tolist()
    if isinstance(record, tuple):
        return [_to_json(one) for one in record]
    if isinstance(record, Mapping):
        return {name: _to_json(one) for name, one in record.items()}
    if is_dataclass(record):
        return {each.name: _to_json(getattr(record, each.name)) for each in fields(record)}
    return record


def _counts(record: dict[str, Any]) -> Counts:
    record["populations"] = tuple(_part(PopulationCounts, one) for one in record["populations"])
    record["projections"] = tuple(_part(ProjectionCounts, one) for one in record["projections"])
    record["clocked"] = tuple(_part(ClockedCounts, one) for one in record["clocked"])
    if record["sensor"] is not None:
        record["sensor"] = _part(SensorCounts, record["sensor"])
    if record["labels"] is not None:
        record["labels"] = np.array(record["labels"])
    return Counts(**record)


def _part(kind: type, record: dict[str, Any]) -> Any:
    """A part, its lists as arrays."""
    values = {name: np.array(one, np.int64) if isinstance(one, list) else one for name, one in record.items()}
    if "work" in values:
        values["work"] = {name: np.array(one, np.int64) for name, one in values["work"].items()}
        values["stored"] = Stored(**values["stored"])
    return kind(**values)
