"""A network as data: read from any Brian2 network, changed, and built anew."""

from snn.blueprint.attached import MonitorRecord, PoissonInputRecord, RunnerRecord
from snn.blueprint.groups import NeuronGroupRecord, PoissonGroupRecord, SpikeGeneratorRecord
from snn.blueprint.network import Blueprint, ForeignRecord, describe
from snn.blueprint.part import Link, Members, Part, Slot
from snn.blueprint.synapses import PathwayRecord, SynapsesRecord

__all__ = [
    "Blueprint",
    "ForeignRecord",
    "Link",
    "Members",
    "MonitorRecord",
    "NeuronGroupRecord",
    "Part",
    "PathwayRecord",
    "PoissonGroupRecord",
    "PoissonInputRecord",
    "RunnerRecord",
    "Slot",
    "SpikeGeneratorRecord",
    "SynapsesRecord",
    "describe",
]
