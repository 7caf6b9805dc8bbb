"""What is saved comes back exactly, and only into the network it belongs to."""

import h5py
import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    SpikeMonitor,
    Synapses,
    linked_var,
    ms,
    mV,
    nS,
    seed,
)

from dvs.errors import FormatError, InputError, OutputError
from snn.blueprint import describe
from snn.checkpoint import load, save

MODEL = """
dv/dt = (v_rest - v) / tau : volt (unless refractory)
v_rest : volt (constant)
adapted : boolean
count : integer
j : 1
gain = 2 * v : volt
now = t : second (constant over dt)
"""
PLASTIC = """
w : volt
dx/dt = -x / (10*ms) : 1 (event-driven)
rate : 1 (shared)
"""


def network_of(*, cells=6, equations="", pairs=((0, 1), (1, 2)), plastic="plastic", random=0):
    """Neurons with units, integers and booleans, an input, plastic synapses, and synapses that share weights."""
    rng = np.random.default_rng(random)
    texts = {"threshold": "v > -50*mV", "reset": "v = -70*mV", "method": "exact"}
    group = NeuronGroup(cells, MODEL + equations, refractory=2 * ms, namespace={"tau": 20 * ms}, name="cells", **texts)
    group.v, group.v_rest = rng.uniform(-70, -50, cells) * mV, rng.uniform(-60, -40, cells) * mV
    group.adapted, group.count, group.j = rng.integers(0, 2, cells) == 1, rng.integers(0, 9, cells), rng.random(cells)
    noise = PoissonGroup(3, rng.uniform(0, 500, 3) * Hz, name="noise")
    learning = Synapses(noise, group, PLASTIC, on_pre="v_post += w\nx += rate\nw += 0.001*x*mV", name=plastic)
    learning.connect()
    learning.w, learning.rate = rng.uniform(0, 2, learning.N) * mV, rng.random()
    learning.delay = rng.uniform(0, 3, learning.N) * ms
    kernel = NeuronGroup(2, "k : volt", name="kernel")
    kernel.k = rng.standard_normal(2) * mV
    model = "m : integer (constant)\nw : volt (linked)"
    shared = Synapses(group, group, model, on_pre="v_post += w", delay=rng.random() * ms, name="shared")
    i, j = np.array(pairs).T
    shared.connect(i=i, j=j)
    shared.m = np.arange(len(pairs)) % 2
    shared.w = linked_var(kernel, "k", index="m")
    return Network(group, noise, learning, kernel, shared, SpikeMonitor(group, name="spikes"))


def values_of(network):
    """All numbers of a network that a checkpoint keeps."""
    parts = describe(network).parts
    transient = {"lastspike", "not_refractory", "now", "lastupdate"}
    found = {
        f"{name}.{variable}": value
        for name in ("cells", "kernel", "plastic", "shared")
        for variable, value in parts[name].values.items()
        if variable not in transient
    }
    delays = {f"{name}.delay": parts[name].pathways[0].delay for name in ("plastic", "shared")}
    return {**found, **delays, "noise.rates": parts["noise"].rates}


def assert_same(values, expected):
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(values[name], value, name)


def test_what_is_saved_comes_back_exactly(tmp_path):
    learned, fresh = network_of(random=1), network_of(random=2)
    learned.run(20 * ms)
    expected = values_of(learned)
    save(learned, tmp_path / "net.h5")
    load(fresh, tmp_path / "net.h5")
    assert_same(values_of(fresh), expected)
    np.testing.assert_array_equal(fresh["shared"].w, learned["shared"].w)
    assert fresh.t == 0 * ms


def test_a_loaded_network_does_what_the_saved_one_did(tmp_path):
    saved, fresh = network_of(random=1), network_of(random=2)
    save(saved, tmp_path / "net.h5")
    load(fresh, tmp_path / "net.h5")
    trains = []
    for network in (saved, fresh):
        seed(1)
        network.run(60 * ms)
        trains.append(np.stack([network["spikes"].i, network["spikes"].t / ms]))
    assert trains[0].shape[1] > 10
    np.testing.assert_array_equal(*trains)


def test_h5py_alone_reads_a_checkpoint(tmp_path):
    network = network_of()
    save(network, tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5") as file:
        assert file.attrs["format"] == "microsaccade checkpoint"
        assert set(file) == {"cells", "noise", "plastic", "kernel", "shared"}
        assert file["plastic"].attrs["kind"] == "Synapses"
        assert "dv/dt = (v_rest - v) / tau : V" in file["cells"].attrs["equations"]
        assert set(file["cells"]) == {"v", "v_rest", "adapted", "count", "j"}
        assert set(file["plastic"]) == {"i", "j", "w", "x", "rate", "pre"}
        matrix = np.zeros((3, 6))
        matrix[file["plastic/i"][:], file["plastic/j"][:]] = file["plastic/w"][:]
        assert file["plastic/w"].attrs["unit"] == "volt"
        assert file["cells/count"].attrs["unit"] == "1"
        assert file["shared/pre/delay"].shape == ()
        assert "w" not in file["shared"]
    np.testing.assert_array_equal(matrix, np.asarray(network["plastic"].w[:]).reshape(3, 6))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"cells": 7}, "'cells' is NeuronGroup of size 6 in the file, NeuronGroup of size 7 here"),
        ({"plastic": "stdp"}, "groups and synapses: only in the file plastic, only here stdp"),
        ({"equations": "u : 1"}, "the equations of 'cells': only in the file nothing, only here u : 1"),
        ({"pairs": ((0, 1), (1, 3))}, "synapse 1 of 'shared' has j = 2 in the file, 3 here"),
        ({"pairs": ((0, 1), (1, 2), (2, 3))}, "'shared' is Synapses of size 2 in the file, Synapses of size 3 here"),
    ],
)
def test_another_network_is_refused_and_left_alone(tmp_path, other, message):
    save(network_of(random=1), tmp_path / "net.h5")
    network = network_of(random=2, **other)
    before = describe(network).parts["kernel"].values["k"]
    with pytest.raises(InputError, match=f"net.h5 is the checkpoint of another network: {message}"):
        load(network, tmp_path / "net.h5")
    np.testing.assert_array_equal(network["kernel"].k, before)


def test_another_unit_is_another_network(tmp_path):
    save(Network(NeuronGroup(1, "g : siemens", name="cells")), tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "a") as file:
        file["cells/g"].attrs["unit"] = "volt"
    cells = NeuronGroup(1, "g : siemens", name="cells")
    cells.g = 3 * nS
    with pytest.raises(InputError, match=r"'g' of 'cells' is \(1,\) volt in the file, \(1,\) siemens here"):
        load(Network(cells), tmp_path / "net.h5")
    assert cells.g[0] == 3 * nS


def test_synapses_without_a_pair_are_saved_too(tmp_path):
    cells = NeuronGroup(2, "v : 1", threshold="v > 1", reset="v = 0", name="cells")
    synapses = Synapses(cells, cells, "w : 1", on_pre="v_post += w", name="synapses")
    synapses.connect(condition=False)
    network = Network(cells, synapses)
    save(network, tmp_path / "net.h5")
    load(network, tmp_path / "net.h5")


# Files


def test_an_existing_file_is_not_harmed(tmp_path):
    path = tmp_path / "net.h5"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        save(network_of(), path)
    assert path.read_text() == "precious"
    save(network_of(), path, overwrite=True)
    load(network_of(), path)


def test_what_fails_while_it_is_written_leaves_no_file(tmp_path, monkeypatch):
    """The second group cannot be written; the old file is still there, and no other."""
    path = tmp_path / "net.h5"
    save(network_of(random=1), path)
    before = path.read_bytes()
    create = h5py.Group.create_group

    def fail(self, name, **options):
        if name == "kernel":
            raise OSError(28, "No space left on device")
        return create(self, name, **options)

    monkeypatch.setattr(h5py.Group, "create_group", fail)
    with pytest.raises(OutputError, match=r"net.h5 cannot be written: No space left on device"):
        save(network_of(random=2), path, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_what_is_no_checkpoint_is_refused(tmp_path):
    network, path = network_of(), tmp_path / "net.h5"
    with pytest.raises(InputError, match=r"net.h5 cannot be opened"):
        load(network, path)
    path.write_text("not HDF5")
    with pytest.raises(FormatError, match=r"net.h5 cannot be read"):
        load(network, path)
    with h5py.File(path, "w") as file:
        file["w"] = [1, 2]
    with pytest.raises(FormatError, match="has the format None, expected 'microsaccade checkpoint'"):
        load(network, path)
    save(network, path, overwrite=True)
    with h5py.File(path, "a") as file:
        del file["cells"].attrs["equations"]
    with pytest.raises(FormatError, match=r"net.h5 cannot be read"):
        load(network, path)
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 2
    with pytest.raises(FormatError, match="has version 2, expected 1; update microsaccade"):
        load(network, path)
