"""snnTorch at work on the problem of `accuracy.py`; it knows nothing of this project.

    python benchmarks/accuracy_peer.py PROBLEM.npz

Trains `Leaky` - `Leaky` on events with each of some settings, takes the one that is best in validation, trains with it
once for each pair of first weights, and writes a line of JSON. Written as snnTorch's tutorials are: a loop over time,
`ce_max_membrane_loss`, Adam, denormals flushed.
"""

import importlib.metadata
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping

import numpy as np
import snntorch
import snntorch.functional
import torch
from numpy.typing import NDArray
from snntorch.surrogate import fast_sigmoid
from torch import nn


class Net(nn.Module):
    """Hidden neurons with soft reset, a readout that does not spike; the membrane of the readout comes out."""

    def __init__(self, first: NDArray, second: NDArray, beta: float, slope: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(*first.shape, bias=False)
        self.lif1 = snntorch.Leaky(beta=beta, spike_grad=fast_sigmoid(slope=slope))
        self.fc2 = nn.Linear(*second.shape, bias=False)
        self.lif2 = snntorch.Leaky(beta=beta, reset_mechanism="none")
        with torch.no_grad():
            self.fc1.weight.copy_(torch.from_numpy(first.T))
            self.fc2.weight.copy_(torch.from_numpy(second.T))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(steps, batch, inputs) to (steps, batch, classes)."""
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        recorded = []
        for step in x.unbind():
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            recorded.append(mem2)
        return torch.stack(recorded)


def dense(problem: Mapping[str, NDArray], samples: NDArray[np.int64]) -> torch.Tensor:
    """Spikes of some samples, (steps, batch, inputs)."""
    starts, neurons = problem["starts"], problem["neurons"]
    spikes = torch.zeros(starts.shape[1] - 1, len(samples), problem["first"].shape[1])
    for place, sample in enumerate(samples):
        step = np.repeat(np.arange(spikes.shape[0]), np.diff(starts[sample]))
        spikes[step, place, neurons[starts[sample, 0] : starts[sample, -1]]] = 1
    return spikes


def trained_accuracy(
    problem: Mapping[str, NDArray],
    seed: int,
    setting: tuple[float, float],
    learnt: NDArray[np.int64],
    held: NDArray[np.int64],
) -> float:
    """Train on some samples, and the share of others that is classified correctly; setting: gain, learning rate."""
    gain, rate = setting
    first = np.float32(gain) * problem["first"][seed]
    net = Net(first, problem["second"][seed], float(problem["decay"]), float(problem["slope"]))
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    loss_of = snntorch.functional.ce_max_membrane_loss()
    labels = torch.from_numpy(problem["labels"])
    chance = np.random.default_rng(seed)
    batch = int(problem["batch"])
    for _ in range(int(problem["epochs"])):
        for chosen in batches(chance.permutation(learnt), batch):
            optimiser.zero_grad()
            loss_of(net(dense(problem, chosen)), labels[chosen]).backward()
            optimiser.step()
    right = 0
    with torch.no_grad():
        for chosen in batches(held, batch):
            predicted = net(dense(problem, chosen)).max(0).values.argmax(1)
            right += int((predicted == labels[chosen]).sum())
    return right / len(held)


def batches(samples: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Some after the other, the last one maybe fewer."""
    return [samples[begin : begin + size] for begin in range(0, len(samples), size)]


def one_core() -> None:
    """Trainings share the cores, one each: small steps of one training gain little from two."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def main() -> None:
    """Find the best setting, train with all seeds."""
    with np.load(sys.argv[1]) as file:
        problem = dict(file)
    learnt, validation, test = problem["learnt"], problem["validation"], problem["test"]
    settings, seeds = [tuple(setting) for setting in problem["settings"].tolist()], range(len(problem["first"]))
    both = np.concatenate([learnt, validation])
    began = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0)), one_core) as pool:
        tried = [(problem, 0, setting, learnt, validation) for setting in settings]
        validated = pool.starmap(trained_accuracy, tried, 1)
        setting = settings[int(np.argmax(validated))]
        tested = [(problem, seed, setting, both, test) for seed in seeds]
        accuracies = pool.starmap(trained_accuracy, tested, 1)
    answer = {
        "version": importlib.metadata.version("snntorch"),
        "validation": validated,
        "setting": setting,
        "accuracies": accuracies,
        "minutes": (time.perf_counter() - began) / 60,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
