"""A program that is built once: what a seed decides, what is set, and that Brian2 is itself again afterwards."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, get_device, ms
from brian2.devices.device import runtime_device
from numpy.testing import assert_allclose, assert_array_equal

import snn


def walkers():
    """Two neurons that begin at chance and decay: v(t) = v(0) exp(-t/tau)."""
    group = NeuronGroup(2, "dv/dt = -v/(10*ms) : 1\nbegan : 1", method="exact", name="walkers")
    group.v = "rand()"
    group.run_regularly("began = v*int(t < dt/2) + began*int(t >= dt/2)", when="start")
    return Network(group)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_a_program_lives_by_its_seed_and_by_what_is_set():
    with snn.compiled(walkers, lambda network: network.run(20 * ms), dt=1 * ms) as program:
        group = program.made["walkers"]
        lives = []
        for seed in (3, 3, 4):
            assert program(seed) > 0
            lives.append((program.read(group, "began"), program.read(group, "v")))
        program(3, {group.v: [1.0, 2.0]})
        given = program.read(group, "v")
    assert get_device() is runtime_device
    (first, ends), (again, _), (other, _) = lives
    assert_array_equal(first, again)
    assert ((first > 0) & (first < 1)).all()
    assert not np.array_equal(first, other)
    assert_allclose(ends, first * np.exp(-2), rtol=1e-12)
    assert_allclose(given, np.array([1.0, 2.0]) * np.exp(-2), rtol=1e-12)
