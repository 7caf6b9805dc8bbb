"""snn: spiking networks that see, as ordinary Brian2 objects.

    import snn
    from brian2 import ms
    from snn.neurons import leaky_readout, lif

    eye = snn.event_input("street.h5", dt=1 * ms, pool=4, collisions="first")
    network = snn.feedforward(eye, [snn.Dense(200, lif()), snn.Dense(10, leaky_readout())], seed=1)
    network.run(300 * ms)

`snn.neurons`, `snn.synapses`, `snn.probes`, `snn.hardware` and `snn.energy` are modules. This file is a table of
names; each is imported when it is first used.
"""

from typing import TYPE_CHECKING

from dvs.lazy import lazy_names

_HOMES = {
    "snn.blueprint": ("Blueprint", "describe"),
    "snn.checkpoint": ("load", "save"),
    "snn.compiling": ("compiled",),
    "snn.exchange": ("from_nir", "read_nir", "to_nir", "write_nir"),
    "snn.inputs": ("EventInput", "event_input"),
    "snn.networks": ("Conv", "Dense", "Pool", "Recurrent", "feedforward"),
    "snn.running": ("Runner", "run"),
    "snn.spikes": ("Responses", "SpikeTrains", "spike_trains"),
    "snn.stepper": ("Stepper",),
}

_MODULES = ("energy", "hardware", "neurons", "probes", "synapses")

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES, modules=_MODULES)

if TYPE_CHECKING:
    from snn import energy, hardware, neurons, probes, synapses
    from snn.blueprint import Blueprint, describe
    from snn.checkpoint import load, save
    from snn.compiling import compiled
    from snn.exchange import from_nir, read_nir, to_nir, write_nir
    from snn.inputs import EventInput, event_input
    from snn.networks import Conv, Dense, Pool, Recurrent, feedforward
    from snn.running import Runner, run
    from snn.spikes import Responses, SpikeTrains, spike_trains
    from snn.stepper import Stepper
