"""Surrogates: each derivative is that of the function it names, proven in symbols, and looks as its paper says."""

import dataclasses
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import sympy
from numba import njit
from scipy.integrate import quad

from dvs.errors import ParameterError
from learning.kernels.formulas import scalar_code
from learning.surrogates import (
    Surrogate,
    U,
    arctan,
    boxcar,
    fast_sigmoid,
    gaussian,
    multi_gaussian,
    sigmoid,
    superspike,
    triangle,
)

ALL = (fast_sigmoid, superspike, arctan, triangle, gaussian, multi_gaussian, boxcar, sigmoid)
ONE_HUMP = tuple(make for make in ALL if make is not multi_gaussian)

every_surrogate = pytest.mark.parametrize("make", ALL)


def symbols_of(surrogate):
    """Primitive and derivative with the parameters left as symbols: what holds for these holds for all numbers."""
    u = sympy.Symbol("u", real=True)
    names = {name: sympy.Symbol(name, positive=True) for name in surrogate.parameters}
    primitive, derivative = (
        sympy.sympify(text, locals={**names, "u": u}) for text in (surrogate.primitive, surrogate.derivative)
    )
    return primitive, derivative, u, names


@pytest.mark.parametrize("make", [make for make in ALL if make not in (triangle, boxcar)])
@pytest.mark.parametrize("side", [-1, 1])
def test_derivative_is_that_of_the_primitive_for_all_parameters(make, side):
    """At u = side x, x > 0, where |u| is plainly x: d primitive/dx = side derivative."""
    primitive, derivative, u, _ = symbols_of(make())
    x = sympy.Symbol("x", positive=True)
    difference = sympy.diff(primitive.subs(u, side * x), x) - side * derivative.subs(u, side * x)
    assert sympy.simplify(difference.rewrite(sympy.exp)) == 0


@pytest.mark.parametrize("make", [triangle, boxcar])
@pytest.mark.parametrize("eighths", [-13, -9, -7, -5, -3, -1, 1, 3, 5, 7, 9, 13])
def test_derivative_is_that_of_the_primitive_in_every_piece(make, eighths):
    """Pieces of the derivative are at most linear in u: two points in each prove it for all widths and heights."""
    primitive, derivative, u, names = symbols_of(make())
    place = sympy.Rational(eighths, 8) * names["width"]
    assert sympy.simplify(sympy.diff(primitive, u).subs(u, place) - derivative.subs(u, place)) == 0


@every_surrogate
def test_primitive_has_no_jumps(make):
    """A finite slope allows a rise of no more than its maximum times the distance."""
    surrogate = make()
    u = np.linspace(-2, 2, 40001)
    assert np.abs(np.diff(surrogate.value(u))).max() <= surrogate.slope(u).max() * 1e-4 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("surrogate", "height", "area"),
    [
        (fast_sigmoid(), 1, 2 / 25),
        (superspike(), 1, 2 / 10),
        (arctan(), 1, 1),
        (triangle(), 0.3, 0.3),
        (triangle(height=1, width=0.5), 1, 0.5),
        (gaussian(), 1 / (0.5 * math.sqrt(2 * math.pi)), 1),
        (multi_gaussian(), (1.15 - 0.3 / 6 * math.exp(-1 / 72)) / (0.5 * math.sqrt(2 * math.pi)), 0.85),
        (boxcar(), 1, 1),
        (boxcar(width=2), 0.5, 1),
        (sigmoid(), 1, 1),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_height_and_area_are_those_of_the_docstring(surrogate, height, area):
    """The area is both the integral of the derivative and the rise of the primitive from far below to far above."""
    edge = surrogate.support if math.isfinite(surrogate.support) else math.inf
    integral = 2 * quad(lambda u: float(surrogate.slope(u)), 0, edge)[0]
    assert surrogate.slope(0.0) == pytest.approx(height, rel=1e-12)
    assert integral == pytest.approx(area, rel=1e-6)
    assert surrogate.value(1e7) - surrogate.value(-1e7) == pytest.approx(area, rel=1e-6)


@every_surrogate
def test_derivative_is_the_same_on_both_sides_of_the_threshold(make):
    surrogate = make()
    u = np.linspace(0, 3, 301)
    np.testing.assert_allclose(surrogate.slope(-u), surrogate.slope(u), rtol=1e-12)


@pytest.mark.parametrize("make", ONE_HUMP)
def test_derivative_falls_with_distance_and_is_nowhere_zero_within_its_support(make):
    surrogate = make()
    slope = surrogate.slope(np.linspace(0, min(surrogate.support, 3), 301)[:-1])
    assert (slope > 0).all()
    assert (np.diff(slope) <= 0).all()


def test_multi_gaussian_has_negative_tails():
    """At u = 4 sigma the narrow hump is down to exp(-8); the wide ones are near their tops."""
    assert multi_gaussian().slope([-2.0, 2.0]).max() < 0 < multi_gaussian().slope(0.0)


@every_surrogate
def test_derivative_is_zero_beyond_the_support_only(make):
    surrogate = make()
    if math.isinf(surrogate.support):
        assert (surrogate.slope([-3.0, 3.0]) != 0).all()
    else:
        assert surrogate.slope(0.999 * surrogate.support) > 0
        assert not surrogate.slope([-1.001 * surrogate.support, 1.001 * surrogate.support, 1e9]).any()


@every_surrogate
def test_numpy_and_the_code_of_kernels_are_one_function(make):
    surrogate = make()
    u = np.array([-60.0, -1.2, -0.3, 0.0, 0.2, 0.7, 60.0])
    for text, expected in zip(surrogate.expressions(), (surrogate.value(u), surrogate.slope(u)), strict=True):
        scope = {"math": math, "real": float}
        exec(f"def scalar(u): return {scalar_code(text, U)}", scope)
        compiled = njit(scope["scalar"])
        np.testing.assert_allclose([compiled(x) for x in u], expected, rtol=1e-13, atol=1e-15)


@every_surrogate
@pytest.mark.parametrize("u", [-1e30, -1e4, 1e4, 1e30])
def test_far_from_threshold_nothing_overflows(make, u):
    """Warnings are errors here: an overflow would raise."""
    surrogate = make()
    assert np.isfinite([surrogate.value(u), surrogate.slope(u)]).all()
    assert abs(surrogate.slope(u)) < 1e-8


@every_surrogate
def test_a_cut_surrogate_is_the_same_within_its_reach_and_zero_beyond(make):
    """Its primitive has no jump there, and is flat beyond: a neuron that far away neither acts nor is acted on."""
    whole, cut = make(), make().within(0.3)
    inside, beyond = np.linspace(-0.299, 0.299, 7), np.array([-2.0, -0.301, 0.301, 2.0])
    np.testing.assert_allclose(cut.slope(inside), whole.slope(inside), rtol=1e-12)
    np.testing.assert_allclose(cut.value(inside), whole.value(inside), rtol=1e-12)
    assert not cut.slope(beyond).any()
    np.testing.assert_allclose(cut.value(beyond), whole.value(np.clip(beyond, -0.3, 0.3)), rtol=1e-12)
    assert cut.support == min(0.3, whole.support)


def test_a_surrogate_is_cut_once():
    with pytest.raises(ParameterError, match="cut already"):
        boxcar().within(0.3).within(0.2)


def test_superspike_is_the_fast_sigmoid_under_another_name():
    u = np.linspace(-1, 1, 11)
    np.testing.assert_array_equal(superspike(beta=25).slope(u), fast_sigmoid(slope=25).slope(u))


def test_arctan_with_alpha_2_is_that_of_the_paper():
    """Fang et al. (2021): derivative 1/(1 + (pi u)^2), which is 1/2 at u = 1/pi."""
    assert arctan().slope(1 / math.pi) == pytest.approx(0.5)


def test_softer_parameters_widen_and_sharper_ones_narrow():
    """sigma of a Gaussian is the distance at which the derivative is down to exp(-1/2)."""
    for sigma in (0.1, 0.5, 2.0):
        surrogate = gaussian(sigma=sigma)
        assert surrogate.slope(sigma) / surrogate.slope(0.0) == pytest.approx(math.exp(-0.5))


@pytest.mark.parametrize(
    ("make", "number"), [(fast_sigmoid, 0), (boxcar, -1), (gaussian, math.nan), (arctan, math.inf)]
)
def test_parameters_that_are_not_positive_are_refused(make, number):
    with pytest.raises(ParameterError, match="expected a positive number"):
        make(number)


def test_a_surrogate_of_ones_own():
    """Norse's tanh: primitive tanh(a u)/a."""
    own = Surrogate(name="tanh", primitive="tanh(a*u)/a", derivative="1 - tanh(a*u)**2", parameters={"a": 3.0})
    assert own.slope(0.0) == 1
    assert own.slope(0.5) == pytest.approx(1 / math.cosh(1.5) ** 2)


def test_a_wrong_derivative_is_refused():
    with pytest.raises(ParameterError, match="is not that of"):
        Surrogate(name="tanh", primitive="tanh(u)", derivative="1 - tanh(u)")


def test_a_zero_derivative_is_refused():
    with pytest.raises(ParameterError, match="is not that of"):
        Surrogate(name="step", primitive="u", derivative="0*u")


def test_a_wrong_derivative_on_a_narrow_support_is_refused():
    """A ramp of width 0.002 whose slope is said to be 400, not 500."""
    ramp = boxcar(width=0.002)
    with pytest.raises(ParameterError, match="is not that of"):
        dataclasses.replace(ramp, derivative=f"Piecewise((400, Abs(u) < {ramp.support}), (0, True))")


def test_a_support_too_narrow_is_refused():
    with pytest.raises(ParameterError, match="beyond its support"):
        Surrogate(name="tanh", primitive="tanh(u)", derivative="1 - tanh(u)**2", support=1.0)


@pytest.mark.parametrize(
    ("text", "problem"), [("b*u", "has b in"), ("wobble(u)", "has wobble"), ("u +", "cannot read")]
)
def test_a_text_that_is_no_function_of_u_is_refused(text, problem):
    with pytest.raises(ParameterError, match=problem):
        Surrogate(name="own", primitive=text, derivative="1 + 0*u", parameters={"a": 1.0})


def test_a_parameter_that_is_not_finite_is_refused():
    with pytest.raises(ParameterError, match="expected a finite number"):
        Surrogate(name="own", primitive="a*u", derivative="a + 0*u", parameters={"a": math.inf})


def test_picture_shows_derivative_and_primitive():
    ax = sigmoid().plot()
    primitive, derivative = (line.get_ydata() for line in ax.lines[:2])
    u = ax.lines[0].get_xdata()
    np.testing.assert_allclose(np.gradient(primitive, u)[1:-1], derivative[1:-1], atol=1e-3)
    assert ax.get_title() == "sigmoid\nslope 4"
    plt.close(ax.figure)
