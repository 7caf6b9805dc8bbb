"""The Hessian of functions whose Hessian is known, and of a spiking network whose gradient is."""

import numpy as np
import pytest
from landscape_networks import model_of, two_layers

from dvs.errors import InputError, ParameterError
from learning import Parameter, landscape, losses, surrogates


def quadratic(eigenvalues, *, seed=0, formula=False):
    """x'Ax/2 with these eigenvalues, and their directions."""
    size = len(eigenvalues)
    directions, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    matrix = (directions * eigenvalues) @ directions.T
    product = (lambda x, v: matrix @ v) if formula else None
    start = np.random.default_rng(seed + 1).standard_normal(size)
    f = landscape.of_function(lambda x: x @ matrix @ x / 2, lambda x: matrix @ x, start, product=product)
    return f, matrix, directions


def ripples(size=30):
    """sum(cos x): its Hessian is -diag(cos x), and its third derivative is not zero."""
    start = np.random.default_rng(2).uniform(-3, 3, size)
    return landscape.of_function(lambda x: float(np.cos(x).sum()), lambda x: -np.sin(x), start)


def test_a_product_is_known_with_its_error():
    """The estimate lies within a factor of 3 of the true error where the third derivative makes it."""
    f, v = ripples(), np.ones(30)
    found = landscape.hessian_product(f, v, step=0.05)
    true = np.linalg.norm(found.value + np.cos(f.start))
    # |(g(x + h) - g(x - h)) / 2h - g'| = h^2/6 |g'''| for a step of h/sqrt(30) in each number.
    assert true == pytest.approx(0.05**2 / 30 / 6 * np.linalg.norm(np.cos(f.start)), rel=1e-2)
    assert found.error == pytest.approx(true, rel=1e-2)


def test_the_step_that_is_chosen_is_good_to_nine_digits():
    f, v = ripples(), np.random.default_rng(0).standard_normal(30)
    found = landscape.hessian_product(f, v)
    true = -np.cos(f.start) * v
    assert np.linalg.norm(found.value - true) < 1e-9 * np.linalg.norm(true)
    assert found.error < 1e-9 * np.linalg.norm(true)


def test_a_formula_is_taken_as_it_is():
    f, matrix, _ = quadratic([1.0, -2.0, 3.0], formula=True)
    found = landscape.hessian_product(f, [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(found.value, matrix[:, 0])
    assert found.error == 0


def test_a_product_goes_with_the_length_of_the_vector():
    f = ripples()
    v = np.random.default_rng(0).standard_normal(30)
    np.testing.assert_allclose(
        landscape.hessian_product(f, 1000 * v).value, 1000 * landscape.hessian_product(f, v).value, rtol=1e-7
    )
    assert not landscape.hessian_product(f, 0 * v).value.any()


@pytest.mark.parametrize("formula", [True, False])
@pytest.mark.parametrize("size", [10, 300])
def test_eigenpairs_of_a_quadratic_form_are_right_to_a_millionth(formula, size):
    eigenvalues = np.linspace(-2, 10, size)
    f, matrix, directions = quadratic(eigenvalues, formula=formula)
    found = landscape.eigenpairs(f, 4, ends="both", progress=False)
    expected = eigenvalues[[-1, -2, 1, 0]]
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    np.testing.assert_allclose(matrix @ found.vectors, found.values * found.vectors, atol=1e-4)
    overlap = np.abs(np.sum(found.vectors * directions[:, [-1, -2, 1, 0]], axis=0))
    np.testing.assert_allclose(overlap, 1, atol=1e-6)
    # An eigenvalue lies within the residual of each value (Weyl).
    assert (np.abs(found.values - expected) <= found.residuals + 1e-9).all()


@pytest.mark.parametrize(("ends", "expected"), [("largest", [10, 9]), ("smallest", [2, 1])])
def test_either_end_can_be_asked_for(ends, expected):
    f, *_ = quadratic(np.arange(1.0, 11.0))
    found = landscape.eigenpairs(f, 2, ends=ends, progress=False)
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    assert "none of them leads down" in found.reading


def test_a_spectrum_has_the_moments_of_the_matrix():
    """Gauss' quadrature of depth m integrates powers up to 2m - 1; +-1 probes give the trace of a diagonal matrix
    without error: v'Av = sum a_i v_i^2."""
    values = np.linspace(-1, 3, 200)
    f = landscape.of_function(lambda x: values @ x**2 / 2, lambda x: values * x, np.ones(200))
    found = landscape.density(f, probes=4, depth=10, progress=False)
    for power in (1, 2, 5):
        assert found.mean(power) == pytest.approx(np.mean(values**power), rel=1e-7)


def test_few_eigenvalues_are_found_with_their_shares():
    """Three different ones need three steps; each probe sees a share of each that is right on average: for +-1 probes
    of a diagonal matrix exactly."""
    values = np.repeat([-1.0, 0.5, 4.0], [20, 60, 120])
    f = landscape.of_function(lambda x: values @ x**2 / 2, lambda x: values * x, np.ones(200))
    found = landscape.density(f, probes=3, depth=30, progress=False)
    assert found.share(-2, 0) == pytest.approx(0.1, abs=1e-9)
    assert found.share(0, 1) == pytest.approx(0.3, abs=1e-9)
    assert found.share(3.9, 4.1) == pytest.approx(0.6, abs=1e-9)
    assert np.trapezoid(found.curve(np.linspace(-3, 6, 4000), 0.05), np.linspace(-3, 6, 4000)) == pytest.approx(1)


def test_the_index_counts_ways_down():
    f, *_ = quadratic(np.repeat([-1.0, 0.0, 2.0], [10, 30, 60]))
    found = landscape.index(f)
    assert (found.negative, found.positive) == (0.1, 0.6)
    assert found.flat == pytest.approx(0.3)
    assert landscape.index(quadratic(np.ones(5))[0]).reading.endswith("no way down")


def test_the_index_of_many_numbers_is_estimated_with_its_error():
    """3000 numbers, a tenth below zero."""
    values = np.random.default_rng(0).uniform(0.5, 1, 3000) * np.repeat([-1, 1], [300, 2700])
    f = landscape.of_function(lambda x: values @ x**2 / 2, lambda x: values * x, np.ones(3000))
    found = landscape.index(f, probes=8, depth=40, progress=False)
    assert found.negative == pytest.approx(0.1, abs=4 * found.error + 1e-3)
    assert found.error < 0.01


@pytest.fixture(scope="module")
def spiking():
    """A network of 4 inputs, 6 hidden and 2 readout neurons, with smooth spikes."""
    net, rng = two_layers(4, 6, 2), np.random.default_rng(0)
    for synapses in (net.first, net.second):
        synapses.w = rng.normal(0.3, 0.5, len(synapses))
    samples, labels = (rng.random((12, 20, 4)) < 0.3).astype(int), rng.integers(0, 2, 12)

    def make(limits=None, **options):
        options = {"smooth": True, "through_reset": True, "surrogate": surrogates.sigmoid(), **options}
        parameters = None if limits is None else [Parameter(net.first.w, limits=limits)]
        model = model_of(net, 20, parameters=parameters, **options)
        return model, landscape.of_model(model, samples, labels, losses.mean_over_time())

    return make


def test_a_network_is_a_function_of_its_weights_and_stays_as_it_was(spiking):
    model, f = spiking()
    before = {name: value.copy() for name, value in model.parameters.items()}
    assert f.size == 4 * 6 + 6 * 2
    assert f.value(f.start) == pytest.approx(f.slope(f.start)[0], rel=1e-12)
    assert f.value(f.start + 0.1) != f.value(f.start)
    for name, value in before.items():
        np.testing.assert_array_equal(model.parameters[name], value)
        np.testing.assert_array_equal(f.start[f.names[name]], value)


def test_numbers_that_feed_one_neuron_are_one_filter(spiking):
    """Six hidden neurons with four weights each, two readout neurons with six."""
    _, f = spiking()
    assert np.bincount(f.filters).tolist() == [4] * 6 + [6] * 2
    # Brian2 connects input by input: weight k of the first layer feeds neuron k % 6.
    assert f.filters[:8].tolist() == [0, 1, 2, 3, 4, 5, 0, 1]


def test_the_hessian_of_a_spiking_network_is_the_curvature_of_its_loss(spiking):
    """Symmetric, and along any line the second difference of the loss itself, which no gradient entered."""
    _, f = spiking()
    whole = landscape.hessian(f)
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal((2, f.size))
    products = [landscape.hessian_product(f, direction) for direction in (u, v)]
    assert v @ products[0].value == pytest.approx(u @ products[1].value, rel=1e-6)
    np.testing.assert_allclose(whole @ u, products[0].value, rtol=1e-5, atol=1e-7)
    unit, h = u / np.linalg.norm(u), 1e-3
    second = (f.value(f.start + h * unit) - 2 * f.value(f.start) + f.value(f.start - h * unit)) / h**2
    assert unit @ whole @ unit == pytest.approx(second, rel=1e-4)
    ends = landscape.eigenpairs(f, 3, ends="both", progress=False)
    all_values = np.linalg.eigvalsh(whole)
    np.testing.assert_allclose(ends.values, all_values[[-1, -2, 0]], rtol=1e-6)


def test_the_gradient_of_spikes_has_no_hessian(spiking):
    _, f = spiking(smooth=False, through_reset=False)
    for tool in (landscape.hessian, landscape.eigenpairs, landscape.density, landscape.index):
        with pytest.raises(ParameterError, match="smooth=True, through_reset=True"):
            tool(f)


@pytest.mark.parametrize("wrong", [np.ones(3), np.full(30, np.nan)])
def test_a_point_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match=r"expected \(30,\) finite numbers"):
        landscape.hessian_product(ripples(), np.ones(30), at=wrong)


def test_a_point_beyond_the_limits_of_a_weight_is_refused(spiking):
    """The model would stay at the limit, and the loss would be that of another point."""
    model, f = spiking(limits=(-5, 5))
    assert f.value(f.start + 1) > 0
    with pytest.raises(InputError, match=r"x leaves the limits of first\.w"):
        f.value(f.start + 10)
    np.testing.assert_array_equal(model.parameters["first.w"], f.start)


def test_pictures_are_drawn():
    f, *_ = quadratic(np.linspace(-1, 2, 40))
    for found in (
        landscape.eigenpairs(f, 5, ends="both", progress=False),
        landscape.density(f, progress=False),
        landscape.index(f),
    ):
        ax = found.plot()
        assert ax.get_ylabel()
        assert str(found) == found.reading
