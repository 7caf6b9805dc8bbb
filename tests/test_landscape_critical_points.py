"""Critical points: laws of random matrices and fields, and what is found of functions that are known."""

import numpy as np
import pytest

from dvs.errors import InputError, ParameterError
from learning import landscape
from learning.landscape.critical_points import (
    all_uphill,
    field_shares,
    goe,
    index_by_size,
    index_law,
    random_field,
    semicircle_index,
)


@pytest.mark.parametrize("shift", [-0.6, 0.0, 0.3, 0.8])
def test_the_index_of_a_moved_random_matrix_is_the_semicircle_s(shift):
    size = 400
    values = np.linalg.eigvalsh(goe(size, np.random.default_rng(0))[0]) + shift * 2 * np.sqrt(size)
    assert (values < 0).mean() == pytest.approx(semicircle_index(shift), abs=0.01)


def test_the_semicircle_s_index_is_its_integral():
    """Of the density 2/pi sqrt(1 - x^2) from -1 to -shift."""
    shift = 0.37
    x = np.linspace(-1, -shift, 100_001)
    assert semicircle_index(shift) == pytest.approx(np.trapezoid(2 / np.pi * np.sqrt(1 - x**2), x), rel=1e-6)
    assert semicircle_index(shift) + semicircle_index(-shift) == pytest.approx(1)


def test_all_eigenvalues_are_positive_as_often_as_known():
    """1/2; for [[a, b], [b, c]] a > 0 and ac > b^2, (2 - sqrt(2))/4; for three 1/4 - 1/(sqrt(2) pi)."""
    expected = [1 / 2, (2 - np.sqrt(2)) / 4, 1 / 4 - 1 / (np.sqrt(2) * np.pi)]
    assert [all_uphill(size) for size in (1, 2, 3)] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("size", [2, 4])
def test_all_eigenvalues_are_positive_as_often_as_drawn(size):
    values = np.linalg.eigvalsh(goe(size, np.random.default_rng(1), count=200_000))
    p = all_uphill(size)
    assert (values > 0).all(axis=1).mean() == pytest.approx(p, abs=4 * np.sqrt(p / 200_000))


def test_that_all_go_up_gets_rare_as_dean_and_majumdar_say():
    """The second difference of log P tends to -2 (ln 3)/4."""
    logs = np.log([all_uphill(size) for size in range(4, 13)])
    np.testing.assert_allclose(np.diff(logs, 2)[-4:], -np.log(3) / 2, rtol=0.01)


def test_critical_points_of_a_gaussian_field_are_shared_as_known():
    """1/2 and 1/2 on a line; in the plane as many saddles as ends (Morse); in space after Bardeen et al. 1986."""
    np.testing.assert_allclose(field_shares(1), [0.5, 0.5])
    np.testing.assert_allclose(field_shares(2), [0.25, 0.5, 0.25], atol=0.005)
    few, many = (29 - 6 * np.sqrt(6)) / 116, (29 + 6 * np.sqrt(6)) / 116
    np.testing.assert_allclose(field_shares(3), [few, many, many, few], atol=0.004)


def test_shares_of_a_field_are_those_of_the_formula_of_kac_and_rice():
    """Hessians drawn at critical points: GOE plus a normal multiple of the identity, each weighing |det H|."""
    rng = np.random.default_rng(0)
    values = np.linalg.eigvalsh(goe(5, rng, count=100_000)) + rng.standard_normal((100_000, 1))
    down = (values < 0).sum(axis=1)
    direct = np.bincount(down, np.abs(values.prod(axis=1)), minlength=6)
    np.testing.assert_allclose(field_shares(5), direct / direct.sum(), atol=0.01)


def test_a_random_field_has_its_gradient_and_its_hessian():
    f = random_field(6, waves=50, seed=1)
    x, v = np.random.default_rng(0).standard_normal((2, 6))
    h = 1e-5
    slope = f.slope(x)[1]
    assert (f.value(x + h * v) - f.value(x - h * v)) / (2 * h) == pytest.approx(slope @ v, rel=1e-8)
    difference = (f.slope(x + h * v)[1] - f.slope(x - h * v)[1]) / (2 * h)
    np.testing.assert_allclose(f.product(x, v), difference, rtol=1e-7)


def test_a_random_field_has_variance_1_and_the_covariance_that_is_said():
    values = np.array(
        [[f.value(np.zeros(3)), f.value(np.array([1.0, 0, 0]))] for f in map(_field_of_few_waves, range(4000))]
    )
    np.testing.assert_allclose(np.cov(values.T), [[1, np.exp(-0.5)], [np.exp(-0.5), 1]], atol=0.08)


def _field_of_few_waves(seed):
    return random_field(3, waves=20, seed=seed)


@pytest.mark.parametrize("size", [10, 30])
def test_high_critical_points_lead_down_as_bray_and_dean_say(size):
    """A semicircle of radius 2 sqrt(n), moved by less the height."""
    found = index_law(random_field(size), starts=30, progress=False)
    assert len(found.heights) > 10
    assert (found.slopes < 1e-8).all()
    np.testing.assert_allclose(found.down, semicircle_index(-found.heights / (2 * np.sqrt(size))), atol=2.5 / size)
    assert np.abs(found.down - found.law).mean() < 0.05
    assert found.correlation > 0.8


def test_what_a_descent_finds_has_no_way_down():
    found = index_law(random_field(15), starts=6, descents=(1000,), progress=False)
    assert len(found.heights)
    assert (found.down == 0).all()
    assert (found.up == 1).all()


def test_few_of_many_directions_all_go_up():
    sizes = [index_law(random_field(size), starts=40, descents=(0,), progress=False) for size in (12, 2)]
    found = index_by_size(sizes)
    assert found.sizes.tolist() == [2, 12]
    assert found.minima[0] > 0.1
    assert found.minima[1] < 0.05
    assert 0.3 < found.up[1] < 0.7


def test_all_critical_points_of_an_egg_box_are_told_apart():
    """cos x + cos y at k pi: a minimum, -2, where both are odd, a maximum, 2, where both are even, else a saddle, 0."""
    f = landscape.of_function(lambda x: float(np.cos(x).sum()), lambda x: -np.sin(x), np.zeros(2))
    starts = np.pi * np.array([[0, 0], [1, 1], [0, 1], [1, 0]]) + 0.3
    found = index_law(f, starts=starts, descents=(0,), progress=False)
    np.testing.assert_allclose(found.heights, [2, -2, 0, 0], atol=1e-12)
    assert found.down.tolist() == [1, 0, 0.5, 0.5]
    assert found.correlation == pytest.approx(1)


def test_a_slope_that_gets_no_flatter_is_no_critical_point():
    """x + cos(x)/2: its derivative is 1/2 at least."""
    f = landscape.of_function(lambda x: float(x[0] + np.cos(x[0]) / 2), lambda x: 1 - np.sin(x) / 2, [0.3])
    found = index_law(f, starts=5, progress=False, descents=(0,))
    assert (len(found.heights), found.tried) == (0, 5)
    assert found.reading == "none of 5 starts ended at a critical point of these 1 numbers"
    assert index_by_size([found]).reading == "no critical points were found, from 1 to 1 numbers"
    assert index_by_size([found]).plot().get_xlabel() == "parameters"
    with pytest.raises(InputError, match="no findings"):
        index_by_size([])


def test_flat_directions_are_neither_up_nor_down():
    f = landscape.of_function(lambda x: float(x[0] ** 2 - x[1] ** 2), lambda x: x * [2, -2, 0, 0], np.zeros(4))
    found = index_law(f, starts=3, descents=(0,), progress=False)
    assert found.down.tolist() == found.up.tolist() == [0.25] * 3


@pytest.fixture(scope="module")
def spiking():
    """The loss of a network of smooth spikes, one input, two hidden and two readout neurons, kept in by a decay."""
    from dataclasses import replace

    import brian2
    from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, defaultclock, ms, start_scope

    from learning import losses, surrogates, trainable
    from snn.synapses import connect, dense

    kept = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"
    brian2.BrianLogger.suppress_name("unused_brian_object")
    start_scope()
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(0)
    source = SpikeGeneratorGroup(1, [], [] * ms, name="source")
    hidden = NeuronGroup(2, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v -= 1", method="exact", name="hidden")
    readout = NeuronGroup(2, "dv/dt = -v/(20*ms) : 1", method="exact", name="readout")
    first = connect(source, hidden, dense(rng.normal(1, 0.5, (1, 2))), name="first")
    second = connect(hidden, readout, dense(rng.normal(0, 1, (2, 2))), name="second")
    model = trainable(
        Network(source, hidden, readout, first, second), inputs=source, output=readout.v,
        parameters=[first.w, second.w], duration=10 * ms, surrogate=surrogates.sigmoid(), smooth=True,
        through_reset=True, precision="float64", threads=1, namespace={},
    )  # fmt: skip
    samples, labels = (rng.random((8, 10, 1)) < 0.5).astype(int), np.arange(8) % 2
    f = landscape.of_model(model, samples, labels, losses.mean_over_time())

    def slope(x):
        value, gradient = f.slope(x)
        return value + 0.01 * x @ x, gradient + 0.02 * x

    yield replace(f, value=lambda x: f.value(x) + 0.01 * x @ x, slope=slope)
    brian2.prefs.codegen.target = kept


def test_critical_points_of_a_spiking_network_are_found(spiking):
    """Where the gradient is zero; along the ends of the spectrum the loss itself bends as they say."""
    found = index_law(spiking, starts=3, descents=(200,), tolerance=1e-7, steps=30, progress=False)
    assert len(found.heights)
    for height, x, values in zip(found.heights, found.points, found.eigenvalues, strict=True):
        assert np.linalg.norm(spiking.slope(x)[1]) < 1e-7
        assert spiking.value(x) == pytest.approx(height, rel=1e-12)
        _, directions = np.linalg.eigh(landscape.hessian(spiking, at=x))
        for end in (0, -1):
            v = 1e-3 * directions[:, end]
            bend = (spiking.value(x + v) - 2 * height + spiking.value(x - v)) / 1e-6
            assert bend == pytest.approx(values[end], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: all_uphill(0), "size is 0, expected 1 to 12"),
        (lambda: field_shares(0), "size and draws are 0"),
        (lambda: random_field(3, waves=0), "size and waves are 3 and 0"),
        (lambda: index_law(random_field(2), descents=()), r"descents are \(\)"),
        (lambda: index_law(random_field(2001, waves=1)), "2001 numbers, expected 2000 at most"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_starts_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"starts have shape \(4, 3\), expected \(starts, 2\)"):
        index_law(random_field(2), starts=np.zeros((4, 3)))


def test_pictures_are_drawn():
    found = [index_law(random_field(size), starts=12, progress=False) for size in (2, 5)]
    for one in (*found, index_by_size(found)):
        ax = one.plot()
        assert ax.get_xlabel()
        assert str(one) == one.reading
