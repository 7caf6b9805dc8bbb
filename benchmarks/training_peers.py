"""One training library at work on one workload of `training.py`; it knows nothing of this project.

    python benchmarks/training_peers.py PEER PROBLEM.npz

Says in a line of JSON that it is ready, then answers each line `step N` with seconds a step and peak memory, and each
line `activity` with the share of neurons and steps that have a spike.

A step: raw events of a batch to what the library takes, forward, cross-entropy of the readout's mean membrane,
backward, Adam. The workload without events: forward and backward of output.sum(), as in the comparison by Open
Neuromorphic. The network is the same everywhere: linear without bias, LIF with exponential decay and soft reset,
readout without spikes; the same first weights. The first linear layer takes all steps at once, which is faster, also
where the library's own examples go step by step.
"""

import argparse
import ctypes
import gc
import importlib
import importlib.metadata
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLOPE = 25.0
LEARNING_RATE = 1e-5
CORES = 2

Step = Callable[[int], None]  # a training step on batch 0 or 1
Measure = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A workload in memory: two batches of raw events, or of numbers, and the first weights."""

    width: int
    height: int
    steps: int
    step_us: int
    batch: int
    decay: float
    weights: list[NDArray[np.float32]]  # (inputs, hidden) and (hidden, classes)
    events: list[list[NDArray[np.void]]] = field(default_factory=list)  # batches of samples with fields x, y, t, p
    labels: list[NDArray[np.int64]] = field(default_factory=list)
    numbers: list[NDArray[np.float32]] = field(default_factory=list)  # (steps, batch, inputs)

    def cells(self, batch: int, *, batch_first: bool = False) -> NDArray[np.int64]:
        """Where the events of a batch lie in a flat array (steps, batch, inputs), or (batch, steps, inputs)."""
        samples = self.events[batch]
        events = np.concatenate(samples)
        sample = np.repeat(np.arange(self.batch), [len(of_sample) for of_sample in samples])
        step = events["t"] // self.step_us
        row = sample * self.steps + step if batch_first else step * self.batch + sample
        pixel = (events["p"].astype(np.int64) * self.height + events["y"]) * self.width + events["x"]
        return row * len(self.weights[0]) + pixel


def read_problem(path: Path) -> Problem:
    """A workload as `training.py` writes it."""
    with np.load(path) as file:
        arrays = dict(file)
    sizes = {name: int(arrays[name]) for name in ("width", "height", "steps", "step_us", "batch")}
    problem = {**sizes, "decay": float(arrays["decay"]), "weights": [arrays["first"], arrays["second"]]}
    if "numbers" in arrays:
        return Problem(**problem, numbers=list(arrays["numbers"]))
    samples = np.split(arrays["events"], arrays["starts"][1:-1])
    batch = sizes["batch"]
    events = [samples[first : first + batch] for first in range(0, len(samples), batch)]
    return Problem(**problem, events=events, labels=list(arrays["labels"]))


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of linear layers and neurons, written in one library.

    hidden: spikes for an input. readout: mean membrane (batch, classes) for an input. gains: what the library
    multiplies the input of its neurons by, layer for layer; the weights are divided by it.
    """

    layers: Sequence[Any]
    hidden: Callable[[Any], Any]
    readout: Callable[[Any], Any]
    gains: tuple[float, float] = (1.0, 1.0)
    batch_first: bool = False


def snntorch(problem: Problem) -> Network:
    """`Leaky` in a loop over time, as in the tutorials."""
    import snntorch as snn
    from snntorch.surrogate import fast_sigmoid
    from torch import nn, stack

    first, second = (nn.Linear(*weights.shape, bias=False) for weights in problem.weights)
    lif = snn.Leaky(beta=problem.decay, spike_grad=fast_sigmoid(slope=SLOPE))
    leaky = snn.Leaky(beta=problem.decay, reset_mechanism="none")

    def hidden(x: Any) -> Any:
        mem, spikes = lif.reset_mem(), []
        for current in first(x).unbind():
            spk, mem = lif(current, mem)
            spikes.append(spk)
        return stack(spikes)

    def readout(x: Any) -> Any:
        mem, mem_out, potentials = lif.reset_mem(), leaky.reset_mem(), []
        for current in first(x).unbind():
            spk, mem = lif(current, mem)
            _, mem_out = leaky(second(spk), mem_out)
            potentials.append(mem_out)
        return stack(potentials).mean(0)

    return Network(layers=(first, second), hidden=hidden, readout=readout)


def norse(problem: Problem) -> Network:
    """`LIFBoxCell`, the LIF neuron without synaptic current, in a loop over time.

    The slope of its SuperSpike cannot be set: 1 / (1 + |u|)**2.
    """
    import torch
    from norse.torch import LIBoxCell, LIBoxParameters, LIFBoxCell, LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract
    from torch import nn, stack

    first, second = (nn.Linear(*weights.shape, bias=False) for weights in problem.weights)
    gain = 1.0 - problem.decay
    per_s = torch.as_tensor(gain / 1e-3)
    lif = LIFBoxCell(LIFBoxParameters(tau_mem_inv=per_s, reset_method=reset_subtract), dt=1e-3)
    integrator = LIBoxCell(LIBoxParameters(tau_mem_inv=per_s), dt=1e-3)

    def hidden(x: Any) -> Any:
        state, spikes = None, []
        for current in first(x).unbind():
            spike, state = lif(current, state)
            spikes.append(spike)
        return stack(spikes)

    def readout(x: Any) -> Any:
        state, state_out, potentials = None, None, []
        for current in first(x).unbind():
            spike, state = lif(current, state)
            potential, state_out = integrator(second(spike), state_out)
            potentials.append(potential)
        return stack(potentials).mean(0)

    return Network(layers=(first, second), hidden=hidden, readout=readout, gains=(gain, gain))


def spikingjelly(problem: Problem) -> Network:
    """Multi-step modules. The nearest surrogate, SoftSign, is slope / 2 times the fast sigmoid."""
    from spikingjelly.activation_based import functional, layer, neuron, surrogate
    from torch import nn

    first, second = (layer.Linear(*weights.shape, bias=False) for weights in problem.weights)
    gain = 1.0 - problem.decay
    lif = neuron.LIFNode(
        tau=1.0 / gain,
        decay_input=False,
        v_reset=None,
        surrogate_function=surrogate.SoftSign(alpha=SLOPE),
        detach_reset=True,
    )
    network = nn.Sequential(first, lif, second, neuron.NonSpikingLIFNode(tau=1.0 / gain, decode="mean-mem"))
    functional.set_step_mode(network, "m")

    def hidden(x: Any) -> Any:
        functional.reset_net(network)
        return network[:2](x)

    def readout(x: Any) -> Any:
        functional.reset_net(network)
        return network(x)

    return Network(layers=(first, second), hidden=hidden, readout=readout, gains=(1.0, gain))


def sinabs(problem: Problem) -> Network:
    """A Sequential of layers that take (batch, steps, neurons)."""
    import torch
    from sinabs import reset_states
    from sinabs.activation import SingleSpike
    from sinabs.layers import LIF, ExpLeak
    from torch import nn

    def fast_sigmoid(v_mem: Any, spike_threshold: Any) -> Any:
        return 1.0 / (1.0 + SLOPE * torch.abs(v_mem - spike_threshold)) ** 2

    first, second = (nn.Linear(*weights.shape, bias=False) for weights in problem.weights)
    tau = -1.0 / math.log(problem.decay)
    lif = LIF(tau_mem=tau, norm_input=False, spike_fn=SingleSpike, surrogate_grad_fn=fast_sigmoid)
    network = nn.Sequential(first, lif, second, ExpLeak(tau_mem=tau))
    for constant in (*network[1].parameters(), *network[3].parameters()):
        constant.requires_grad_(False)

    def hidden(x: Any) -> Any:
        reset_states(network)
        return network[:2](x)

    def readout(x: Any) -> Any:
        reset_states(network)
        return network(x).mean(1)

    return Network(layers=(first, second), hidden=hidden, readout=readout, batch_first=True)


def torch_steps(name: str, problem: Problem) -> tuple[Step, Measure]:
    """Training step and activity of a network made of PyTorch modules."""
    import torch

    network = TORCH[name](problem)
    weights = [layer.weight for layer in network.layers]
    with torch.no_grad():
        for weight, first, gain in zip(weights, problem.weights, network.gains, strict=True):
            weight.copy_(torch.from_numpy(first.T / gain))
    optimiser = torch.optim.Adam(weights, lr=LEARNING_RATE)
    shape = (problem.batch, problem.steps) if network.batch_first else (problem.steps, problem.batch)
    # Made once and cleared, because the pages of a new array cost more than what is written into them.
    frames = torch.zeros(*shape, len(problem.weights[0])) if problem.events else None
    labels = [torch.from_numpy(of_batch) for of_batch in problem.labels]
    numbers = [torch.from_numpy(of_batch) for of_batch in problem.numbers]
    if network.batch_first:
        numbers = [of_batch.transpose(0, 1).contiguous() for of_batch in numbers]

    def inputs(batch: int) -> Any:
        if numbers:
            return numbers[batch]
        frames.zero_()
        frames.view(-1)[torch.from_numpy(problem.cells(batch, batch_first=network.batch_first))] = 1.0
        return frames

    def step(batch: int) -> None:
        x = inputs(batch)
        optimiser.zero_grad()
        if numbers:
            network.hidden(x).sum().backward()
            return
        loss = torch.nn.functional.cross_entropy(network.readout(x), labels[batch])
        loss.backward()
        optimiser.step()

    @torch.no_grad()
    def activity() -> float:
        return float(network.hidden(inputs(0)).mean())

    return step, activity


def spyx_steps(problem: Problem) -> tuple[Step, Measure]:
    """Training step and activity in Spyx: a `Sequential` under `run`, a scan over time; compiled as one."""
    import jax
    import jax.numpy as jnp
    import optax
    import spyx.nn as snn
    from flax import nnx
    from spyx.axn import superspike

    rngs = nnx.Rngs(0)
    first, second = (nnx.Linear(*weights.shape, use_bias=False, rngs=rngs) for weights in problem.weights)
    hidden_size, classes = problem.weights[1].shape
    lif = snn.LIF((hidden_size,), beta=problem.decay, activation=superspike(SLOPE), rngs=rngs)
    integrator = snn.LI((classes,), beta=problem.decay, rngs=rngs)
    for layer, weights in zip((first, second), problem.weights, strict=True):
        layer.kernel[...] = jnp.asarray(weights)
    for neurons in (lif, integrator):
        neurons.beta = nnx.Variable(neurons.beta[...])  # a constant, as in the others
    network = snn.Sequential(first, lif) if problem.numbers else snn.Sequential(first, lif, second, integrator)
    optimiser = nnx.Optimizer(network, optax.adam(LEARNING_RATE), wrt=nnx.Param)

    def run(network: Any, x: Any) -> Any:
        return snn.run(snn.Sequential(*network.layers[1:]), network.layers[0](x))[0]

    def frames(cells: Any) -> Any:
        shape = (problem.steps, problem.batch, len(problem.weights[0]))
        return jnp.zeros(math.prod(shape)).at[cells].set(1.0).reshape(shape)

    def loss(network: Any, cells: Any, labels: Any) -> Any:
        readout = run(network, frames(cells)).mean(0)
        return optax.softmax_cross_entropy_with_integer_labels(readout, labels).mean()

    @nnx.jit
    def train(network: Any, optimiser: Any, cells: Any, labels: Any) -> Any:
        value, gradients = nnx.value_and_grad(loss)(network, cells, labels)
        optimiser.update(network, gradients)
        return value

    @nnx.jit
    def differentiate(network: Any, x: Any) -> Any:
        return nnx.value_and_grad(lambda network, x: run(network, x).sum())(network, x)

    @nnx.jit
    def mean_spikes(network: Any, x: Any) -> Any:
        return run(snn.Sequential(*network.layers[:2]), x).mean()

    numbers = [jnp.asarray(of_batch) for of_batch in problem.numbers]

    def step(batch: int) -> None:
        if numbers:
            jax.block_until_ready(differentiate(network, numbers[batch]))
        else:
            cells = problem.cells(batch).astype(np.int32)
            jax.block_until_ready(train(network, optimiser, cells, problem.labels[batch]))

    def activity() -> float:
        return float(mean_spikes(network, numbers[0] if numbers else frames(problem.cells(0).astype(np.int32))))

    return step, activity


TORCH = {"snntorch": snntorch, "spikingjelly": spikingjelly, "norse": norse, "sinabs": sinabs}
IMPORTS = {
    "snntorch": "snntorch",
    "spikingjelly": "spikingjelly.activation_based.neuron",
    "norse": "norse.torch",
    "sinabs": "sinabs.layers",
    "spyx": "spyx.nn",
}


def small_problem(path: Path) -> Problem:
    """Two pixels, two neurons and a sample, otherwise as in the file: for code to be loaded and compiled."""
    with np.load(path) as file:
        common = {name: int(file[name]) for name in ("steps", "step_us")} | {"decay": float(file["decay"])}
        common |= {"width": 1, "height": 1, "batch": 1, "weights": [np.ones((2, 2), np.float32)] * 2}
        if "numbers" in file:
            return Problem(**common, numbers=[np.ones((common["steps"], 1, 2), np.float32)])
        return Problem(**common, events=[[np.zeros(1, file["events"].dtype)]], labels=[np.zeros(1, np.int64)])


def memory_mb(name: str) -> float:
    """Resident set of this process, now (VmRSS) or at most since `forget_peak` (VmHWM); Linux."""
    status = Path("/proc/self/status").read_text()
    return float(status.split(f"{name}:")[1].split()[0]) / 1024


def forget_peak() -> None:
    """Give back what is free, and let the largest resident set be that of now."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def serve(name: str, make: Callable[[Problem], tuple[Step, Measure]], path: Path) -> None:
    """Warm up, then do what the lines of standard input say.

    Memory is that of training: on top of code, loaded and compiled, and of the events. All from the imports on is
    counted too.
    """
    imported_mb = memory_mb("VmRSS")
    make(small_problem(path))[0](0)
    problem = read_problem(path)
    before_mb = memory_mb("VmHWM")
    forget_peak()
    loaded_mb = memory_mb("VmRSS")
    step, activity = make(problem)
    for batch in range(2):
        step(batch)
    print(json.dumps({"ready": f"{name} {importlib.metadata.version(name)}"}), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "activity":
            print(json.dumps({"activity": activity()}), flush=True)
            continue
        count = int(arguments[0])
        began = time.perf_counter()
        for index in range(count):
            step(index % 2)
        taken_s = time.perf_counter() - began
        peak_mb = memory_mb("VmHWM")
        memory = {"peak_mb": peak_mb - loaded_mb, "from_imports_mb": max(peak_mb, before_mb) - imported_mb}
        print(json.dumps({"s": taken_s / count, **memory}), flush=True)


def main() -> None:
    """Import the library, read the problem, and wait for orders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=IMPORTS)
    parser.add_argument("problem", type=Path)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    importlib.import_module(IMPORTS[options.peer])
    if options.peer in TORCH:
        import torch

        torch.set_num_threads(CORES)
        torch.set_flush_denormal(True)
        serve(options.peer, partial(torch_steps, options.peer), options.problem)
    else:
        serve(options.peer, spyx_steps, options.problem)


if __name__ == "__main__":
    main()
