"""Counts of other libraries: `python peer_counts.py neurobench|sinabs|spikingjelly numbers.npz counts.npz`.

The network is a convolution, neurons that integrate and fire, a linear layer, and more of them. The numbers are
`events`, 0 or 1, (samples, steps, channels, y, x), `kernel`, (out, channels, ky, kx), with `stride` and `padding`, and
`matrix`, (hidden, outputs). NeuroBench counts while snnTorch runs the network. The other two are shown what each layer
receives, so they get `hidden` too, (samples, steps, hidden).
"""

import sys

import numpy as np
import torch
from torch import nn


def layers(numbers):
    """The two layers with weights."""
    kernel, matrix = torch.tensor(numbers["kernel"]), torch.tensor(numbers["matrix"])
    convolution = nn.Conv2d(
        kernel.shape[1], kernel.shape[0], kernel.shape[2:], int(numbers["stride"]), int(numbers["padding"]), bias=False
    )
    linear = nn.Linear(*matrix.shape, bias=False)
    convolution.weight.data, linear.weight.data = kernel, matrix.T.contiguous()
    return convolution, linear


def neurobench(numbers):
    """Totals of all samples, and the spikes of the hidden neurons."""
    import snntorch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.workload import MembraneUpdates, NeuronOperations, SynapticOperations
    from neurobench.models import SNNTorchModel
    from torch.utils.data import DataLoader, TensorDataset

    def fire(threshold, **options):
        return snntorch.Leaky(beta=1.0, threshold=threshold, reset_mechanism="subtract", init_hidden=True, **options)

    def measured(threshold):
        convolution, linear = layers(numbers)
        hidden = fire(threshold)
        found = []
        hidden.register_forward_hook(lambda module, given, spikes: found.append(spikes.detach()))
        net = nn.Sequential(convolution, hidden, nn.Flatten(), linear, fire(threshold, output=True))
        events = torch.tensor(numbers["events"])
        data = TensorDataset(events, torch.zeros(len(events)))
        metrics = [SynapticOperations, MembraneUpdates, NeuronOperations]
        benchmark = Benchmark(SNNTorchModel(net), DataLoader(data, batch_size=len(events)), [], [], [[], metrics])
        figures = benchmark.run(quiet=True)
        return {
            "effective": figures["SynapticOperations"]["Effective_ACs"] * len(events),
            "macs": figures["SynapticOperations"]["Effective_MACs"] * len(events),
            "dense": figures["SynapticOperations"]["Dense"] * len(events),
            "membrane_updates": figures["MembraneUpdates"] * len(events),
            # Of a neuron that subtracts its threshold: four a step.
            "neuron_steps": figures["NeuronOperations"]["Neuron Dense Ops"] / 4 * len(events),
            "hidden": torch.stack(found, dim=1).flatten(start_dim=2),
        }

    silent = measured(1e9)
    return measured(1.0) | {"membrane_updates_in_silence": silent["membrane_updates"]}


def sinabs(numbers):
    """Operations of each layer in all samples."""
    from sinabs.hooks import register_synops_hooks

    found = []
    for layer, given in shown(numbers):
        net = nn.Sequential(layer)
        register_synops_hooks(net)
        net(given)
        found.append(float(net.hook_data["total_synops_per_timestep"]) * len(given))
    return {"operations": found}


def spikingjelly(numbers):
    """Operations of each layer in all samples."""
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    found = []
    for layer, given in shown(numbers):
        counter = SynOpCounter()
        with DispatchCounterMode([counter]):
            layer(given)
        found.append(counter.get_total())
    return {"operations": found}


def shown(numbers):
    """Each layer and what it receives in all steps of all samples."""
    given = (torch.tensor(numbers[name]).flatten(end_dim=1) for name in ("events", "hidden"))
    return zip(layers(numbers), given, strict=True)


if __name__ == "__main__":
    _, peer, source, target = sys.argv
    with torch.no_grad():
        counts = {"neurobench": neurobench, "sinabs": sinabs, "spikingjelly": spikingjelly}[peer](np.load(source))
    np.savez(target, **{name: np.asarray(value) for name, value in counts.items()})
