"""Derivatives of a step: each against the difference quotient of what it is the derivative of."""

from dataclasses import replace

import brian2 as b2
import numpy as np
import pytest
import sympy
from brian2 import ms
from test_learning_reading import MODELS, STEPS

from dvs.errors import InputError, ParameterError
from learning.derivation import derive, value_of
from learning.reading import read_network
from learning.symbols import symbol

H = 1e-5


def population_of(model):
    """The first layer as it is after a run: its start is where it has come to."""
    network = MODELS[model]()
    network.run(STEPS * ms)
    return next(p for p in read_network(network).populations if p.name == "layer1")


@pytest.mark.parametrize("model", MODELS)
def test_derivatives_are_the_limits_of_difference_quotients(model):
    """Central differences of a step h err by h^2 f''' / 6, and by rounding f eps / h: 1e-6 is above both.

    By every state and every constant, for the update, the update while refractory, the reset and the margin.
    """
    population = population_of(model)
    constants = [name for name in population.constants if name != "dt"]
    derivation = derive(population, constants)
    states = population.start
    parts = [
        (population.step, derivation.step), (population.held, derivation.held), (population.reset, derivation.reset),
        ({"margin": population.margin}, {("margin", by): value for by, value in derivation.margin.items()}),
    ]  # fmt: skip
    for values, jacobian in parts:
        for what, value in values.items():
            for by in (*population.states, *constants):
                quotient = difference_quotient(value, population, states, by)
                derivative = jacobian.get((what, by), sympy.Integer(0))
                exact = value_of(derivative, population, states)
                largest = max(np.abs(exact).max(), np.abs(quotient).max(), 1e-300)
                error = np.abs(exact - quotient).max()
                assert error <= 1e-6 * largest or error < 1e-9 * scale_of(value, population, states, by), (what, by)


def difference_quotient(value, population, states, by):
    """(f(x + h) - f(x - h)) / 2h, h a small part of x."""
    here = states[by] if by in states else np.asarray(population.constants[by])
    h = H * max(float(np.abs(here).max()), 1e-12)
    ends = []
    for shifted in (here + h, here - h):
        if by in states:
            ends.append(value_of(value, population, {**states, by: shifted}))
        else:
            moved = replace(population, constants={**population.constants, by: shifted})
            ends.append(value_of(value, moved, states))
    return (ends[0] - ends[1]) / (2 * h)


def scale_of(value, population, states, by):
    """A derivative of f / x: below a billionth of it, a difference quotient is rounding."""
    here = states[by] if by in states else np.asarray(population.constants[by])
    return np.abs(value_of(value, population, states)).max() / max(float(np.abs(here).max()), 1e-12)


def test_a_leak_forgets_by_its_time_constant():
    """dv/dt = -v/tau: after dt, d v / d v = exp(-dt/tau), and d v / d tau = v dt/tau^2 exp(-dt/tau)."""
    cells = b2.NeuronGroup(2, "dv/dt = -v/tau : 1", method="exact", name="cells", namespace={"tau": 10 * ms})
    cells.v = [1, 3]
    (population,) = read_network(b2.Network(cells)).populations
    derivation = derive(population, ["tau"])
    dt, tau, v = symbol("dt"), symbol("tau"), symbol("v")
    leak = sympy.exp(-dt / tau)
    assert sympy.simplify(derivation.step["v", "v"] - leak) == 0
    assert sympy.simplify(derivation.step["v", "tau"] - v * dt / tau**2 * leak) == 0
    assert derivation.reset == {}
    assert derivation.margin == {}
    assert "\\frac{\\partial v}{\\partial v}" in derivation.latex()


def test_a_hard_reset_forgets_and_a_soft_one_does_not():
    hard, soft = (
        b2.NeuronGroup(1, "dv/dt = -v/ms : 1", threshold="v > 1", reset=reset, method="exact", name="cells")
        for reset in ("v = 0", "v -= 1")
    )
    assert derive(read_network(b2.Network(hard)).populations[0]).reset == {}
    assert derive(read_network(b2.Network(soft)).populations[0]).reset == {("v", "v"): 1}


def test_what_has_no_derivative_or_no_value_is_refused():
    def cells(**text):
        given = {"model": "dv/dt = -v/ms : 1", "threshold": "v > 1", "reset": "v = 0", "method": "euler", **text}
        return read_network(b2.Network(b2.NeuronGroup(1, **given, name="cells"))).populations[0]

    with pytest.raises(InputError, match=r"cells: floor\(v\) has no derivative by v"):
        derive(cells(reset="v = floor(v)"))
    equal = cells(
        model="dv/dt = (I - v)/tau : 1\ndI/dt = -I/tau_s : 1",
        method="exact",
        namespace={"tau": 5 * ms, "tau_s": 5 * ms},
    )
    with pytest.raises(InputError, match="step of v in cells is not a finite number"):
        derive(equal)
    with pytest.raises(ParameterError, match=r"cells has no constant \['tau_m'\], only"):
        derive(cells(), ["tau_m"])
