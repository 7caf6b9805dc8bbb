"""Synapses: a wiring (which pairs, what weights) times a rule (what a spike does), joined by `connect`.

    from snn.synapses import connect, dense, stdp_pair

    synapses = connect(retina, cortex, dense(weights), stdp_pair(w_max=0.5), delay=1 * ms)

This file is a table of names.
"""

from snn.synapses.connect import connect, free_weights
from snn.synapses.rules import (
    SHORT_TERM_PLASTICITY,
    STDP_TRIPLET,
    SynapseModel,
    short_term_plasticity,
    static,
    stdp_pair,
    stdp_triplet,
    synaptic_scaling,
)
from snn.synapses.wiring import Wiring, conv2d, dense, lateral, one_to_one, pool2d, sparse, winner_take_all

__all__ = [
    "SHORT_TERM_PLASTICITY",
    "STDP_TRIPLET",
    "SynapseModel",
    "Wiring",
    "connect",
    "conv2d",
    "dense",
    "free_weights",
    "lateral",
    "one_to_one",
    "pool2d",
    "short_term_plasticity",
    "sparse",
    "static",
    "stdp_pair",
    "stdp_triplet",
    "synaptic_scaling",
    "winner_take_all",
]
