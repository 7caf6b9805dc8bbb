"""Other libraries count the same: NeuroBench through weights that are not 0, sinabs and SpikingJelly through all.

They need PyTorch and run in a Python of their own: `make test PEERS=/path/to/python` says which, and this Python is
asked first. A peer that none of them has is skipped.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, Quantity, SpikeGeneratorGroup, ms, second

import snn
from snn.energy import count, read_structure
from snn.spikes import SpikeTrains
from snn.synapses import connect, conv2d, dense

SAMPLES, STEPS, OUTPUTS = 3, 8, 10
HIDDEN = 8 * 16 * 16
GEOMETRY = {"stride": 2, "padding": 1}


@pytest.fixture(scope="module")
def numbers():
    """Two channels of 32x32 in which one in twenty fires in a step; a kernel 2 -> 8 of 3x3 with a few zeros, and a
    matrix of which half is 0. All weights are quarters, so that sums are exact in any order and any precision.
    """
    rng = np.random.default_rng(6)
    kernel = rng.choice([-0.25, 0.0, 0.25, 0.5], (8, 2, 3, 3), p=[0.3, 0.1, 0.3, 0.3])
    matrix = rng.choice([-0.5, 0.25, 0.5], (HIDDEN, OUTPUTS)) * (rng.random((HIDDEN, OUTPUTS)) < 0.5)
    events = rng.random((SAMPLES, STEPS, 2, 32, 32)) < 0.05
    return {
        name: value.astype(np.float32) for name, value in (("kernel", kernel), ("matrix", matrix), ("events", events))
    }


def brian_network(numbers):
    """The same network: neurons that integrate, and lose 1 when they exceed 1."""
    source = SpikeGeneratorGroup(2 * 32 * 32, [], [] * ms, dt=1 * ms, name="source")
    hidden, output = (
        NeuronGroup(n, "v : 1", threshold="v > 1", reset="v -= 1", dt=1 * ms, name=name)
        for n, name in ((HIDDEN, "hidden"), (OUTPUTS, "output"))
    )
    convolution = connect(source, hidden, conv2d(numbers["kernel"], (2, 32, 32), **GEOMETRY), onto="v", name="kernel")
    linear = connect(hidden, output, dense(numbers["matrix"]), onto="v", name="matrix")
    return Network(source, hidden, output, convolution, linear)


def trains(spikes):
    """Spikes as 0 or 1, (samples, steps, ...)."""
    samples, steps = spikes.shape[:2]
    flat = spikes.reshape(samples, steps, -1)
    sample, step, neuron = np.nonzero(flat)
    t = Quantity(step * 1e-3, dim=second.dim)
    return SpikeTrains(
        sample=sample, neuron=neuron, t=t, samples=samples, neurons=flat.shape[2], duration=steps * ms
    )  # fmt: skip


def counted(numbers, hidden):
    """Our counts of these spikes of the input and of the hidden neurons; those of the output reach nobody."""
    silence = np.zeros((SAMPLES, STEPS, OUTPUTS))
    spikes = {"source": trains(numbers["events"]), "hidden": trains(hidden), "output": trains(silence)}
    return count(read_structure(brian_network(numbers), {}), spikes)


@pytest.fixture(scope="module")
def peer(numbers, tmp_path_factory):
    """What a library counts, by its name; with other numbers, if they are given."""

    def run(name, **others):
        python = python_with(name)
        folder = tmp_path_factory.mktemp(name)
        files = [folder / "numbers.npz", folder / "counts.npz"]
        np.savez(files[0], **numbers | GEOMETRY | others)
        program = Path(__file__).parent / "data" / "peer_counts.py"
        subprocess.run([python, program, name, *files], check=True, capture_output=True, timeout=300)
        return dict(np.load(files[1]))

    return run


def python_with(name):
    """A Python that has the library and PyTorch, or the test is skipped."""
    if find_spec(name) and find_spec("torch"):
        return sys.executable
    for python in os.environ.get("PEERS", "").split():
        question = f"from importlib.util import find_spec as f; raise SystemExit(not (f({name!r}) and f('torch')))"
        if subprocess.run([python, "-c", question], check=False).returncode == 0:
            return python
    pytest.skip(f"{name} is not here: pip install {name} with PyTorch, or name a Python that has it in PEERS")


@pytest.fixture(scope="module")
def neurobench(peer):
    return peer("neurobench")


def test_neurobench_counts_the_same_operations_through_weights_that_are_not_0(numbers, neurobench):
    counts = counted(numbers, neurobench["hidden"])
    assert neurobench["macs"] == 0
    assert neurobench["hidden"].sum() > 100
    assert sum(one.nonzero.sum() for one in counts.projections) == neurobench["effective"]


def test_neurobench_counts_the_same_dense_operations(numbers, neurobench):
    """The convolution has 2 x 8 x 47^2 taps, 3*16 - 1 along an axis, and the matrix 2048 x 10; both in 8 steps."""
    convolution, linear = counted(numbers, neurobench["hidden"]).projections
    assert convolution.dense == 8 * 2 * 8 * 47**2 == 282752
    assert SAMPLES * (convolution.dense + linear.dense) == neurobench["dense"]


def test_neurobench_advances_the_same_neurons(numbers, neurobench):
    """Neuron updates are neurons times steps, its "dense" count. What it calls effective differs from our "driven":
    it asks whether the membrane has moved. A leak moves one at which nothing arrives, and arrivals that cancel do not.
    """
    counts = counted(numbers, neurobench["hidden"])
    assert SAMPLES * sum(one.updates for one in counts.populations) == neurobench["neuron_steps"]


def test_where_nothing_leaks_fires_or_cancels_neurobench_moves_the_neurons_we_call_driven(numbers, peer):
    """Positive weights onto neurons that never fire; NeuroBench takes all neurons to move in the first step."""
    kernel = np.abs(numbers["kernel"]) + 0.25
    theirs = peer("neurobench", kernel=kernel)
    silence = np.zeros((SAMPLES, STEPS, HIDDEN))
    structure = read_structure(brian_network(numbers | {"kernel": kernel}), {})
    spikes = {"source": trains(numbers["events"]), "hidden": trains(silence), "output": trains(silence[..., :OUTPUTS])}
    in_all, in_the_first = (
        sum(one.driven.sum() for one in count(structure, spikes, duration=steps * ms).populations)
        for steps in (STEPS, 1)
    )
    assert theirs["membrane_updates_in_silence"] == SAMPLES * (HIDDEN + OUTPUTS) + in_all - in_the_first


def test_brian2_makes_the_spikes_that_neurobench_counts(numbers, neurobench):
    """snnTorch lets a neuron fire in the step in which its input comes, Brian2 in the next; all else is equal."""
    network = brian_network(numbers)
    responses = run(network, numbers, steps=STEPS + 1)
    spikes = responses.spikes["hidden"]
    found = np.zeros_like(neurobench["hidden"])
    found[spikes.sample, np.rint(spikes.t / ms).astype(int) - 1, spikes.neuron] = 1
    assert np.array_equal(found, neurobench["hidden"])
    assert sum(one.nonzero.sum() for one in count(network, responses).projections) == neurobench["effective"]


def run(network, numbers, steps):
    def show(events):
        step, channel = np.nonzero(events.reshape(STEPS, -1))
        network["source"].set_spikes(channel, step * ms)

    return snn.run(
        network, list(numbers["events"]), input=show, duration=steps * ms, record="all", progress=False, namespace={}
    )


@pytest.mark.parametrize("name", ["sinabs", "spikingjelly"])
def test_libraries_that_count_all_weights_count_what_was_delivered(name, numbers, peer):
    hidden = (np.random.default_rng(1).random((SAMPLES, STEPS, HIDDEN)) < 0.1).astype(np.float32)
    counts = counted(numbers, hidden)
    # sinabs takes a mean in single precision, so its totals are near whole numbers, closer than one operation.
    operations = peer(name, hidden=hidden)["operations"]
    assert operations == pytest.approx([one.delivered.sum() for one in counts.projections], rel=0, abs=0.5)
