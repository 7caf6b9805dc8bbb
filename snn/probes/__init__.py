"""Probes: what a physiologist would ask of a network, from its spikes, its events and its decisions.

Each is a function that returns a frozen record with a picture, `record.plot()`.
This file is a table of names; each is imported when it is first used.
"""

from typing import TYPE_CHECKING

from dvs.lazy import lazy_names

_HOMES = {
    "snn.probes.ablation": ("Ablation", "ablate", "cut", "silenced"),
    "snn.probes.accuracy": ("AccuracyCurve", "accuracy_over_time"),
    "snn.probes.choice": ("ChoiceProbability", "choice_probability"),
    "snn.probes.decisions": ("Decisions", "decide"),
    "snn.probes.latency": ("Latencies", "first_spikes"),
    "snn.probes.peristimulus": ("PSTH", "psth"),
    "snn.probes.rasters": ("Raster", "raster"),
    "snn.probes.reverse_correlation": ("ReceptiveFields", "receptive_field"),
    "snn.probes.selectivity": ("ClassSelectivity", "class_selectivity", "dprime", "information_bits", "sparseness"),
    "snn.probes.timing": ("DecisionTiming", "decision_timing"),
    "snn.probes.tuning": (
        "AngularSelectivity", "TuningCurve", "direction_selectivity", "orientation_selectivity", "tuning_curve",
    ),
}  # fmt: skip

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)

if TYPE_CHECKING:
    from snn.probes.ablation import Ablation, ablate, cut, silenced
    from snn.probes.accuracy import AccuracyCurve, accuracy_over_time
    from snn.probes.choice import ChoiceProbability, choice_probability
    from snn.probes.decisions import Decisions, decide
    from snn.probes.latency import Latencies, first_spikes
    from snn.probes.peristimulus import PSTH, psth
    from snn.probes.rasters import Raster, raster
    from snn.probes.reverse_correlation import ReceptiveFields, receptive_field
    from snn.probes.selectivity import (
        ClassSelectivity,
        class_selectivity,
        dprime,
        information_bits,
        sparseness,
    )
    from snn.probes.timing import DecisionTiming, decision_timing
    from snn.probes.tuning import (
        AngularSelectivity,
        TuningCurve,
        direction_selectivity,
        orientation_selectivity,
        tuning_curve,
    )
