"""`learning` at work on one workload of `training.py`; the counterpart of `training_peers.py`.

    python benchmarks/training_ours.py PROBLEM.npz

The network of the peers in Brian2 equations: LIF with exponential decay and soft reset, readout without spikes.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import Network, NeuronGroup, Quantity, Synapses, defaultclock, prefs, us
from numpy.typing import NDArray
from training_peers import CORES, LEARNING_RATE, SLOPE, Measure, Problem, Step, read_problem, serve

from learning import Adam, Model, trainable
from learning.losses import Loss, mean_over_time
from learning.surrogates import fast_sigmoid
from snn.inputs import EventInput


class Sum(Loss):
    """The sum of the output."""

    def evaluate(self, output: NDArray, target: Any) -> tuple[float, NDArray, None]:
        """Its gradient is one everywhere."""
        return float(output.sum()), np.ones_like(output), None


def lif(n: int, tau: Quantity, *, spikes: bool, name: str) -> NeuronGroup:
    """Neurons that a synapse's weight is added to."""
    firing = {"threshold": "v > 1", "reset": "v -= 1"} if spikes else {}
    return NeuronGroup(n, "dv/dt = -v/tau : 1", method="exact", namespace={"tau": tau}, name=name, **firing)


def connected(source: NeuronGroup, target: NeuronGroup, weights: NDArray, *, name: str, adds: str = "w") -> Synapses:
    """Synapses from all to all."""
    synapses = Synapses(source, target, "w : 1", on_pre=f"v_post += {adds}", name=name)
    synapses.connect()
    synapses.w = weights.ravel()
    return synapses


def build(problem: Problem) -> Model:
    """The model.

    The peers let a neuron spike as soon as its input has come, Brian2 a step later, when the input has decayed once.
    First weights that are larger by that give the same spikes.
    """
    defaultclock.dt = problem.step_us * us
    tau = -problem.step_us / math.log(problem.decay) * us
    inputs, hidden_size = problem.weights[0].shape
    options = {"duration": problem.steps * problem.step_us * us, "surrogate": fast_sigmoid(slope=SLOPE)}
    hidden = lif(hidden_size, tau, spikes=True, name="hidden")
    weights = problem.weights[0] / problem.decay
    if problem.numbers:
        source = NeuronGroup(inputs, "x : 1", threshold="False", name="input")
        first = connected(source, hidden, weights, name="first", adds="w*x_pre")
        network = Network(source, hidden, first)
        return trainable(network, inputs=source, output=hidden, parameters=[first.w], **options)
    eye = EventInput(width=problem.width, height=problem.height, collisions="first")
    readout = lif(problem.weights[1].shape[1], tau, spikes=False, name="readout")
    first = connected(eye.group, hidden, weights, name="first")
    second = connected(hidden, readout, problem.weights[1], name="second")
    network = Network(eye.group, hidden, readout, first, second)
    return trainable(network, inputs=eye, output=readout.v, parameters=[first.w, second.w], **options)


def steps(problem: Problem) -> tuple[Step, Measure]:
    """Training step and activity."""
    model = build(problem)
    if problem.numbers:
        batches = [model.encode(np.ascontiguousarray(of_batch.swapaxes(0, 1))) for of_batch in problem.numbers]
        labels, loss = problem.numbers, Sum(name="sum", on="spikes", distance=np.subtract)
    else:
        batches, labels, loss = problem.events, problem.labels, mean_over_time()
    optimiser = Adam(LEARNING_RATE)
    state = optimiser.start(model.parameters)

    def step(batch: int) -> None:
        nonlocal state
        found = model.gradient(model.encode(batches[batch]), labels[batch], loss)
        if not problem.numbers:
            _, state = optimiser.step(found.gradients, state, model.parameters, in_place=True)
            model.changed()

    def activity() -> float:
        return float(model.forward(batches[0]).counts["hidden"].mean() / problem.steps)

    return step, activity


def main() -> None:
    """Read the problem, and wait for orders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", type=Path)
    parser.add_argument("--first-step", action="store_true", help="only say how long it takes to make the first step")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    prefs.codegen.target = "numpy"  # Brian2 only makes the network
    if not options.first_step:
        serve("microsaccade", steps, options.problem)
        return
    problem = read_problem(options.problem)
    began = time.perf_counter()
    step, _ = steps(problem)
    step(0)
    print(json.dumps({"s": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
