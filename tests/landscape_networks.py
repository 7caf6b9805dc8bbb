"""The small spiking network at which tests of the landscape look."""

from types import SimpleNamespace
from typing import Any

from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms, start_scope

from learning import Model, trainable


def two_layers(inputs: int, hidden: int, readouts: int) -> SimpleNamespace:
    """Inputs, neurons that leak for 10 ms and spike at 1, readouts that leak for 20 ms, all connected to all, steps of
    1 ms; weights `first.w` and `second.w` are 0."""
    start_scope()
    defaultclock.dt = 1 * ms
    source = SpikeGeneratorGroup(inputs, [], [] * ms, name="source")
    cells = NeuronGroup(
        hidden, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v -= 1", method="exact", name="hidden"
    )
    readout = NeuronGroup(readouts, "dv/dt = -v/(20*ms) : 1", method="exact", name="readout")
    first = Synapses(source, cells, "w : 1", on_pre="v_post += w", name="first")
    second = Synapses(cells, readout, "w : 1", on_pre="v_post += w", name="second")
    for synapses in (first, second):
        synapses.connect()
    network = Network(source, cells, readout, first, second)
    return SimpleNamespace(network=network, source=source, readout=readout, first=first, second=second)


def model_of(net: SimpleNamespace, steps: int, *, parameters: Any = None, **options: Any) -> Model:
    """A model of it in float64, of both layers' weights."""
    return trainable(
        net.network, inputs=net.source, output=net.readout.v, parameters=parameters or [net.first.w, net.second.w],
        duration=steps * ms, precision="float64", threads=1, namespace={}, **options,
    )  # fmt: skip
