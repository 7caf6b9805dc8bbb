"""Whether a rule is a gradient: of fields whose Jacobian, loops and growth are known."""

import numpy as np
import pytest
from landscape_networks import model_of, two_layers
from uncompiled import uncompiled

from dvs.errors import InputError, ParameterError
from learning import Adam, losses, surrogates
from learning.landscape.bairds_star import baird
from learning.landscape.field import asymmetry, loop_work, stationary, td_field, update_field
from learning.landscape.objective import of_function, of_model
from learning.optimisers import SGD, Momentum


def ratio(matrix):
    """|A - A'| / |A + A'|."""
    return np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix + matrix.T)


def valley(size=6, seed=0):
    """sum(exp(a.x)) of some a: smooth, convex, with a different Hessian everywhere."""
    ways = np.random.default_rng(seed).standard_normal((4, size)) / 2
    return of_function(lambda x: np.exp(ways @ x).sum(), lambda x: ways.T @ np.exp(ways @ x), np.linspace(-1, 1, size))


def chain(n, seed=0):
    """A random chain of n states, and what it is seen by."""
    rng = np.random.default_rng(seed)
    transitions = rng.random((n, n)) ** 3
    return transitions / transitions.sum(axis=1, keepdims=True), rng.standard_normal((n, 3))


def test_descent_of_a_smooth_function_is_a_gradient():
    f = valley()
    found = asymmetry(update_field(f), f.start)
    assert found.asymmetry < 1e-8
    assert "is a gradient here" in found.reading


@pytest.mark.parametrize("size", [2, 20])
def test_a_linear_field_has_the_asymmetry_of_its_matrix(size):
    matrix = np.random.default_rng(0).standard_normal((size, size))
    found = asymmetry(lambda x: matrix @ x + 3, np.ones(size))
    assert found.asymmetry == pytest.approx(ratio(matrix), rel=1e-8)
    np.testing.assert_allclose(found.jacobian, matrix, atol=1e-8)
    assert "the gradient of nothing" in found.reading


def test_a_rotation_has_nothing_of_a_gradient_and_a_constant_nothing_else():
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    assert asymmetry(lambda x: turn @ x, [1.0, 2.0]).asymmetry == np.inf
    assert asymmetry(lambda x: np.ones(2), [1.0, 2.0]).asymmetry == 0


def test_the_error_of_a_step_is_told_by_another():
    """F = (x^3 y, 0) at (1, 1): J = [[3, 1], [0, 0]]. The symmetric difference over h of x^3 is 3 + h^2, so that
    a(h) = sqrt(2)/|J + J'| = sqrt(2/(4 (3 + h^2)^2 + 2))."""
    h = 0.05
    found = asymmetry(lambda x: np.array([x[0] ** 3 * x[1], 0.0]), [1.0, 1.0], steps=(h, 2 * h))
    expected = [np.sqrt(2 / (4 * (3 + step**2) ** 2 + 2)) for step in (h, 2 * h)]
    np.testing.assert_allclose(found.by_step, expected, rtol=1e-9)
    true = abs(expected[0] - np.sqrt(2 / 38))
    assert found.error == pytest.approx(true, rel=0.02)


def test_probes_find_the_asymmetry_of_many_numbers_within_their_error():
    """E[(u'(J - J')v)^2] = |J - J'|^2: over 30 seeds the estimates scatter about the truth, as far as they say."""
    rng = np.random.default_rng(1)
    half = rng.standard_normal((300, 300))
    matrix = half + half.T + 0.5 * (half - half.T)
    found = [asymmetry(lambda x: matrix @ x, np.zeros(300), probes=12, seed=k, steps=[0.1]) for k in range(30)]
    values, errors = np.array([one.asymmetry for one in found]), np.array([one.error for one in found])
    assert values.mean() == pytest.approx(ratio(matrix), abs=4 * values.std() / np.sqrt(30))
    # A jackknife errs on the safe side, Efron & Stein (1981).
    assert 0.8 < errors.mean() / values.std(ddof=1) < 2
    assert (np.abs(values - ratio(matrix)) < 4 * errors).all()
    assert found[0].jacobian is None
    with pytest.raises(ParameterError, match="probes=0"):
        _ = found[0].plane


def test_probes_see_that_a_gradient_is_one():
    f = valley(500)
    assert asymmetry(update_field(f), f.start, probes=5).asymmetry < 1e-7


def test_a_loop_gives_nothing_back_in_a_gradient_field():
    f = valley()
    corners = np.random.default_rng(0).uniform(-2, 2, (5, 6))
    found = loop_work(update_field(f), corners)
    assert abs(found.work) < 1e-9 * np.ptp(found.height)
    assert "as for a gradient" in found.reading


def test_a_loop_in_a_rotation_gives_twice_its_area():
    """Green: the integral of -y dx + x dy is that of 2 dx dy. Backwards it takes as much."""
    corners = np.array([[0, 0], [3, 0], [3, 1], [1, 2]])  # shoelace: 9 - 0 + ... halves to 4
    area = 0.5 * np.sum(corners[:, 0] * np.roll(corners[:, 1], -1) - np.roll(corners[:, 0], -1) * corners[:, 1])
    for order, sign in ((1, 1), (-1, -1)):
        found = loop_work(lambda x: np.array([-x[1], x[0]]), corners[::order])
        assert found.work == pytest.approx(2 * sign * area)
        assert found.height[-1] == found.work
        assert found.way[-1] == pytest.approx(np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1).sum())


def test_a_field_turns_most_in_its_plane():
    """Around a unit square of directions u and v the work is v'(A - A')u, at most the largest singular value."""
    matrix = np.random.default_rng(0).standard_normal((5, 5))
    rule = lambda x: matrix @ x  # noqa: E731
    u, v = asymmetry(rule, np.zeros(5)).plane
    assert [u @ u, u @ v, v @ v] == pytest.approx([1, 0, 1], abs=1e-12)
    found = loop_work(rule, [0 * u, u, u + v, v])
    assert found.work == pytest.approx(np.linalg.norm(matrix - matrix.T, 2))


def test_a_field_that_jumps_but_falls_still_gives_nothing_back():
    """-sign(x) is minus the gradient of |x|, and no Jacobian shows it."""
    found = loop_work(lambda x: -np.sign(x), [[-1.0, -1], [2, -0.5], [0.5, 1.5]], tolerance=1e-6)
    assert abs(found.work) < 1e-5


def test_circulation_is_the_mean_cosine_of_field_and_way():
    """Around a fine circle of a rotation they are parallel: 1, less what a polygon of 60 corners is not a circle."""
    turn = 2 * np.pi * np.arange(60) / 60
    found = loop_work(lambda x: np.array([-x[1], x[0]]), np.stack([np.cos(turn), np.sin(turn)], axis=1))
    assert found.circulation == pytest.approx(1, abs=1e-3)


def test_td_has_the_asymmetry_of_its_matrix():
    """A = Phi' D (gamma P - I) Phi, Sutton & Barto (2018), 9.11 and 11.7; Barnard (1993): no gradient."""
    transitions, features = chain(7)
    visits = stationary(transitions)
    np.testing.assert_allclose(visits @ transitions, visits)
    matrix = features.T * visits @ (0.9 * transitions - np.eye(7)) @ features
    rule = td_field(transitions, features=features, rewards=np.arange(7), gamma=0.9)
    found = asymmetry(rule, np.ones(3))
    assert found.asymmetry == pytest.approx(ratio(matrix), rel=1e-8)
    assert found.asymmetry > 0.01


def test_td_on_a_circle_has_asymmetry_gamma_over_root_of_gamma_squared_and_two():
    """P takes each of three states to the next: 3 A = gamma P - I, |P - P'|^2 = |P + P'|^2 = 6 and |2 I|^2 = 12."""
    found = asymmetry(td_field(np.roll(np.eye(3), 1, axis=1), gamma=0.8), np.zeros(3))
    assert found.asymmetry == pytest.approx(0.8 / np.sqrt(0.8**2 + 2))


def test_td_of_a_chain_that_looks_the_same_backwards_is_a_gradient():
    """A random walk on a graph: D P is its matrix of weights over their sum, which is symmetric."""
    rng = np.random.default_rng(0)
    weights = rng.random((6, 6))
    weights += weights.T
    transitions = weights / weights.sum(axis=1, keepdims=True)
    for features in (None, rng.standard_normal((6, 4))):
        rule = td_field(transitions, features=features, rewards=rng.random(6))
        assert asymmetry(rule, np.zeros(6 if features is None else 4)).asymmetry < 1e-8


def test_the_fixed_point_of_td_is_the_value():
    """Tabular: v = (I - gamma P)^-1 r."""
    transitions, _ = chain(5)
    values = np.linalg.solve(np.eye(5) - 0.9 * transitions, np.arange(5))
    np.testing.assert_allclose(td_field(transitions, rewards=np.arange(5), gamma=0.9)(values), 0, atol=1e-12)


@pytest.mark.parametrize(("momentum", "steps"), [(0.9, 2), (0.9, 5), (0.5, 4)])
def test_momentum_seen_in_weights_alone_is_no_gradient(momentum, steps):
    """The update of step k is -rate sum over j <= k of b^(k - j) g(x_j): in x_1 ... x_n blocks below the diagonal, of
    which |J - J'|^2 = 2 rate^2 |H|^2 S and |J + J'|^2 = rate^2 |H|^2 (4 n + 2 S), S = sum of (n - m) b^(2m)."""
    hessian = np.diag([1.0, 2.0, -3.0]) + 0.3
    f = of_function(lambda x: x @ hessian @ x / 2, lambda x: hessian @ x, np.ones(3))
    rule = update_field(f, Momentum(0.1, momentum=momentum), steps=steps)
    found = asymmetry(rule, np.ones(3 * steps))
    m = np.arange(1, steps)
    s = np.sum((steps - m) * momentum ** (2 * m))
    assert found.asymmetry == pytest.approx(np.sqrt(s / (2 * steps + s)), rel=1e-7)


def test_what_remembers_nothing_is_a_gradient_over_several_steps_too():
    f = valley()
    for optimiser in (SGD(0.1), Momentum(0.1, momentum=0.0)):
        found = asymmetry(update_field(f, optimiser, steps=3), np.linspace(-1, 1, 18))
        assert found.asymmetry < 1e-8


def test_one_step_of_momentum_is_one_of_descent():
    f = valley()
    np.testing.assert_allclose(update_field(f, Momentum(0.1))(f.start), 0.1 * update_field(f)(f.start))


def test_a_heavy_ball_that_shows_its_speed_is_no_gradient_either():
    """x' = v, v' = -c v - H x: J - J' has the blocks +-(I + H), J + J' has +-(I - H) and -2 c I."""
    h, c = np.diag([1.0, 4.0]), 0.5
    found = asymmetry(lambda z: np.concatenate([z[2:], -c * z[2:] - h @ z[:2]]), np.ones(4))
    up, down = 2 * np.sum((1 + np.diag(h)) ** 2), 2 * np.sum((1 - np.diag(h)) ** 2) + 4 * 2 * c**2
    assert found.asymmetry == pytest.approx(np.sqrt(up / down), rel=1e-8)


def test_a_rate_for_each_weight_makes_a_gradient_no_gradient():
    """Adam's first step is -rate g/(|g| + epsilon): J = -rate diag(e/(|g| + e)^2) H. Big e: rows of H, rescaled."""
    hessian = np.array([[2.0, 1.0], [1.0, 3.0]])
    f = of_function(lambda x: x @ hessian @ x / 2, lambda x: hessian @ x, [1.0, 1.0])
    g = hessian @ f.start
    expected = ratio((1 / (np.abs(g) + 1) ** 2)[:, None] * hessian)
    found = asymmetry(update_field(f, Adam(0.1, epsilon=1.0)), f.start)
    assert found.asymmetry == pytest.approx(expected, rel=1e-7)
    assert found.asymmetry > 0.01


# Baird's star


def star_growth(gamma, rate):
    """Per step, in the logarithm: of the eigenvalue in the docstring of `baird`."""
    slope = 17 * gamma - 15
    return np.log(abs(1 + rate * (slope + np.emath.sqrt(slope**2 - 104 * (1 - gamma))) / 14))


@pytest.mark.parametrize(("gamma", "rate"), [(0.99, 0.01), (0.98, 0.02), (0.95, 0.02), (0.8, 0.05)])
def test_bairds_star_grows_as_its_largest_eigenvalue_says(gamma, rate):
    found = baird(gamma=gamma, rate=rate, steps=8000)
    assert found.expected == pytest.approx(star_growth(gamma, rate), abs=1e-12)
    if gamma > 0.97:  # below, two eigenvalues are complex, and values turn as they grow or fall
        assert found.growth == pytest.approx(found.expected, rel=1e-4)
    assert (found.values[-1] > found.values[0]) == (gamma > 15 / 17)


def test_the_star_is_that_of_the_book():
    """Figure 11.2, right: after 1000 sweeps w_8 is above 300, w_1 to w_6 above 100, w_7 below 10."""
    weights = baird().weights
    np.testing.assert_array_equal(weights[0], [1, 1, 1, 1, 1, 1, 10, 1])
    # The first sweep by hand, v = 3 and 12: errors 0.99*12 - 3 = 8.88 of six states, and -0.12 of the seventh.
    first = 0.01 / 7 * np.array([*[2 * 8.88] * 6, -0.12, 6 * 8.88 - 2 * 0.12])
    np.testing.assert_allclose(weights[1] - weights[0], first)
    assert weights[-1, 7] > 300
    assert (weights[-1, :6] > 100).all()
    assert weights[-1, 6] < 10


def test_samples_run_away_as_their_mean_does():
    runs = [baird(sampled=True, steps=3000, seed=seed) for seed in range(5)]
    assert all(run.values[-1] > 100 * run.values[0] for run in runs)
    assert np.mean([run.growth for run in runs]) == pytest.approx(runs[0].expected, rel=0.2)


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("rule", ["on-policy", "residual", "tdc"])
def test_the_controls_come_home(rule, sampled):
    """No direction of the expected update that values show grows, and values fall."""
    found = baird(rule, sampled=sampled, steps=2000)
    assert found.expected < 0
    assert found.values[-1] < 0.5 * found.values[0]
    assert f"{rule} converges" in found.reading


def test_the_residual_rule_is_a_gradient_and_the_semi_gradient_is_not():
    features, solid = np.zeros((7, 8)), np.zeros((7, 7))
    features[:6, :6], features[:6, 7], features[6, 6:] = 2 * np.eye(6), 1, (1, 2)
    solid[:, 6] = 1
    rule = td_field(solid, features=features, gamma=0.99, visits=np.full(7, 1 / 7))
    first = rule(np.array([1, 1, 1, 1, 1, 1, 10, 1.0]))
    np.testing.assert_allclose(0.01 * first, np.diff(baird(steps=4).weights[:2], axis=0)[0])
    assert asymmetry(rule, np.ones(8)).asymmetry > 0.3
    error = (0.99 * solid - np.eye(7)) @ features
    assert asymmetry(lambda w: -error.T @ error @ w / 7, np.ones(8)).asymmetry < 1e-8


# A network that spikes


@pytest.fixture(scope="module")
def fields():
    """The updates of one network: of its smooth twin, and by the surrogate gradient of its spikes; and a start."""
    net, rng = two_layers(3, 4, 2), np.random.default_rng(0)
    for synapses in (net.first, net.second):
        synapses.w = rng.normal(0.4, 0.4, len(synapses))
    samples, labels = (rng.random((6, 15, 3)) < 0.4).astype(int), rng.integers(0, 2, 6)
    with uncompiled():
        found = {}
        for smooth in (True, False):
            model = model_of(net, 15, surrogate=surrogates.sigmoid(), smooth=smooth, through_reset=True)
            found[smooth] = of_model(model, samples, labels, losses.mean_over_time())
        yield found


def test_the_smooth_twin_descends_and_the_surrogate_gradient_does_not(fields):
    """Of spikes that come and go, neither the loss nor the readout's slope feels a small change of a hidden weight; the
    surrogate feels the readout's weights: one block of the Jacobian is 0, and its mirror image is not."""
    smooth, spiking = (asymmetry(update_field(fields[kind]), fields[kind].start) for kind in (True, False))
    assert smooth.asymmetry < 1e-6
    assert spiking.asymmetry > 0.1
    hidden, readout = (fields[False].names[f"{name}.w"] for name in ("first", "second"))
    np.testing.assert_allclose(spiking.jacobian[readout, hidden], 0, atol=1e-12)
    assert np.abs(spiking.jacobian[hidden, readout]).max() > 1e-3
    np.testing.assert_allclose(spiking.jacobian[readout, readout], spiking.jacobian[readout, readout].T, atol=1e-8)


def test_rules_are_drawn(fields):
    f = valley()
    turning = asymmetry(lambda x: np.array([-x[1], 2 * x[0]]), [1.0, 2.0], steps=[1e-3, 1e-2, 1e-1])
    assert "over steps from" in turning.reading
    for found in (asymmetry(update_field(f), f.start), turning, loop_work(update_field(f), np.eye(6)[:3]), baird()):
        ax = found.plot()
        assert ax.get_ylabel()
        assert found.plot(ax) is ax
        assert str(found) == found.reading


def test_what_is_no_field_is_refused():
    with pytest.raises(InputError, match="an update has the shape of x"):
        asymmetry(lambda x: x[:1], [1.0, 2.0])
    with pytest.raises(InputError, match="NaN or inf"):
        asymmetry(lambda x: x * np.nan, [1.0, 2.0])
    with pytest.raises(InputError, match="one dimension of finite numbers"):
        asymmetry(lambda x: x, [[1.0]])
    with pytest.raises(ParameterError, match="lengths above 0"):
        asymmetry(lambda x: x, [1.0], steps=[0.0])
    with pytest.raises(ParameterError, match="3 or more"):
        asymmetry(lambda x: x, [1.0], probes=2)
    with pytest.raises(InputError, match="three or more"):
        loop_work(lambda x: x, [[0, 0], [1, 1]])
    with pytest.raises(InputError, match="sum to 1"):
        td_field([[0.5, 0.4], [0, 1]])
    with pytest.raises(ParameterError, match="never leaves"):
        td_field(np.eye(2))
    with pytest.raises(InputError, match="a row for each of 2 states"):
        td_field([[0.5, 0.5], [0, 1]], rewards=[1.0])
    with pytest.raises(ParameterError, match="expected one of"):
        baird("magic")
    with pytest.raises(ParameterError, match="give an optimiser"):
        update_field(valley(), steps=2)
