"""Ridge Rider on functions whose tree is known, on a valley that turns, and on a spiking network's symmetric saddle."""

from dataclasses import replace

import numpy as np
import pytest
from uncompiled import uncompiled

from dvs.errors import InputError, ParameterError
from learning.landscape.objective import of_function, of_model
from learning.landscape.ridges import compare_with_restarts, ridge_rider, saddle
from learning.landscape.tracking import track


def wells(size, *, rotated=False):
    """f(y) = sum a_i (y_i^2 - b_i)^2 with x = Q y: gradient 4 a_i y_i (y_i^2 - b_i), eigenvalues 4 a_i (3 y_i^2 - b_i).

    Critical where each y_i is 0, +sqrt(b_i) or -sqrt(b_i): 3^n points, of which 2^n are minima, with f = 0.
    """
    a, b = 1 + 0.3 * np.arange(size), 1.5 - 0.15 * np.arange(size)
    q = np.eye(size)
    if rotated:
        q, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((size, size)))
    return of_function(
        lambda x: a @ ((q.T @ x) ** 2 - b) ** 2,
        lambda x: q @ (4 * a * (q.T @ x) * ((q.T @ x) ** 2 - b)),
        np.zeros(size),
        product=lambda x, v: q @ (4 * a * (3 * (q.T @ x) ** 2 - b) * (q.T @ v)),
    ), q, b  # fmt: skip


def rivals():
    """f = x^4 - x^2 + 3 x^2 y^2 + y^4/10 - y^2/2: two steep ways with shallow ends, two flat ones with deep ends.

    At 0 the eigenvalues are -2 along x and -1 along y. Where y = 0, x^2 = 1/2 and f = -1/4; where x = 0, y^2 = 5/2 and
    f = -5/8. There the other direction has curvature -1 + 6/2 = 2 and -2 + 6 5/2 = 13: all four are minima.
    """
    return of_function(
        lambda z: z[0] ** 4 - z[0] ** 2 + 3 * z[0] ** 2 * z[1] ** 2 + z[1] ** 4 / 10 - z[1] ** 2 / 2,
        lambda z: np.array(
            [4 * z[0] ** 3 - 2 * z[0] + 6 * z[0] * z[1] ** 2, 6 * z[0] ** 2 * z[1] + 0.4 * z[1] ** 3 - z[1]]
        ),
        np.zeros(2),
    )


def bend(steep=20.0, height=1.0):
    """A valley along the unit circle: steep (r - 1)^2 / 2 + height cos(angle), with its saddle at (1, 0)."""

    def value(x):
        r = np.hypot(*x)
        return steep * (r - 1) ** 2 / 2 + height * x[0] / r

    def gradient(x):
        r = np.hypot(*x)
        return steep * (r - 1) * x / r + height * (np.array([1.0, 0.0]) / r - x[0] * x / r**3)

    return of_function(value, gradient, [1.0, 0.0])


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("size", [2, 3])
def test_the_tree_of_separate_wells_is_whole(size, rotated):
    """All 2^n minima, once each. Of the 3^n critical points all but the minima have rides, two for each y_i = 0: with
    k of them 0 there are C(n, k) 2^(n - k) points and 2k rides, which sum to 2n 3^(n - 1)."""
    f, q, b = wells(size, rotated=rotated)
    tree = ridge_rider(f, step=0.15, progress=False)
    y = tree.solutions.x @ q
    assert len({tuple(signs) for signs in np.sign(y)}) == len(tree.solutions) == 2**size
    np.testing.assert_allclose(np.abs(y), np.tile(np.sqrt(b), (2**size, 1)), rtol=1e-6)
    assert len(tree.nodes) - 1 == 2 * size * 3 ** (size - 1)
    assert tree.count("saddle") == 3**size - 2**size
    assert tree.count("lost") == 0


@pytest.mark.slow
def test_the_tree_of_four_wells_is_whole():
    f, q, _ = wells(4, rotated=True)
    tree = ridge_rider(f, step=0.15, rides=1000, progress=False)
    assert len({tuple(signs) for signs in np.sign(tree.solutions.x @ q)}) == len(tree.solutions) == 16
    assert (len(tree.nodes) - 1, tree.count("saddle")) == (8 * 27, 81 - 16)


def test_solutions_are_as_far_apart_as_the_corners_of_a_box():
    """Of two wells at +-p and +-q the six distances are 2p and 2q, twice each, and 2 sqrt(p^2 + q^2), twice."""
    f, _, (p, q) = wells(2)
    tree = ridge_rider(f, step=0.15, code=np.abs, progress=False)
    mean = (2 * np.sqrt(p) + 2 * np.sqrt(q) + 2 * np.sqrt(p + q)) / 3
    assert tree.diversity == pytest.approx(mean, rel=1e-6)
    assert tree.solutions.code_diversity == pytest.approx(0, abs=1e-6)
    assert "4 solutions" in tree.reading


def test_the_most_curved_ridges_are_ridden_first():
    f, _, b = wells(2)
    tree = ridge_rider(f, step=0.15, progress=False)
    first = [(node.parent, node.rank, node.sign) for node in tree.nodes[1:5]]
    assert first == [(0, 0, 1), (0, 0, -1), (0, 1, 1), (0, 1, -1)]
    # At 0 the curvatures are -4 a b: -6 and -4 1.3 1.35 = -7.02, so the second number comes first.
    assert tree.nodes[1].curvatures[0] == pytest.approx(-4 * 1.3 * b[1])
    np.testing.assert_allclose(tree.nodes[1].x, [0, np.sqrt(b[1])], atol=1e-6)


def test_a_ride_ends_where_its_curvature_turns():
    """Along y_i the curvature 4a (3 y^2 - b) is positive from y = sqrt(b/3) on: one step further at most."""
    f, _, b = wells(1)
    tree = ridge_rider(f, step=0.02, keep_paths=True, progress=False)
    ends = np.array([node.path[-1, 0] for node in tree.nodes[1:]])
    assert (np.abs(ends) >= np.sqrt(b[0] / 3)).all()
    assert (np.abs(ends) < np.sqrt(b[0] / 3) + 0.02).all()
    assert tree.nodes[1].length == pytest.approx(np.sqrt(b[0]), rel=1e-6)


def test_the_flat_ways_have_the_deep_ends():
    """What gradient descent does not find: beside 0, x grows as exp(2t) and y as exp(t)."""
    f = rivals()
    tree = ridge_rider(f, step=0.02, progress=False)
    np.testing.assert_allclose(np.sort(tree.solutions.losses), [-5 / 8, -5 / 8, -1 / 4, -1 / 4], rtol=1e-9)
    found = compare_with_restarts(f, tree, spread=1e-4, steps=50, rate=0.1, progress=False)
    assert found.restarts.tries > 3
    np.testing.assert_allclose(np.sort(found.restarts.losses), [-1 / 4, -1 / 4], rtol=1e-9)
    assert len(found.ridges.below(-0.5)) == 2
    assert len(found.restarts.below(-0.5)) == 0
    assert "ridges found 4 distinct solutions" in found.reading
    assert "restarts found 2" in found.reading


def test_the_eigenvector_is_followed_around_a_bend():
    """In polar coordinates the Hessian on the circle is k along r, -h cos(a) along the angle a, and h sin(a) between
    them: the lower eigenvector is the tangent turned inwards by h sin(a) / k. So a path along it has

        dr/da = -h sin(a) / k,    r = 1 - (1 - cos(a)) h/k + s a / 2

    where the last term is that of steps of length s, each of which ends s^2/2 outside. With k = 20 and h = 1 the
    direction overlaps with the tangent by 1 - 1/800 or more, all the way: beside the floor of the valley the term
    k (r - 1) keeps the curvature negative until the valley rises again, at a = pi, half a turn from the saddle.
    """
    step = 0.01
    tree = ridge_rider(bend(), step=step, depth=1, keep_paths=True, progress=False)
    assert len(tree.nodes) == 3
    for node in tree.nodes[1:]:
        path = node.path
        r, angle = np.linalg.norm(path, axis=1), np.abs(np.arctan2(path[:, 1], path[:, 0]))
        np.testing.assert_allclose(r, 1 - (1 - np.cos(angle)) / 20 + step * angle / 2, atol=1 / 20**2)
        along = np.diff(path, axis=0) / step
        middle = (path[1:] + path[:-1]) / 2
        tangent = np.stack([-middle[:, 1], middle[:, 0]], axis=1) / np.linalg.norm(middle, axis=1, keepdims=True)
        assert (np.abs((along * tangent).sum(axis=1)) > 1 - 1 / 400).all()
        assert angle[-1] == pytest.approx(np.pi, abs=1.5 * step)
        assert node.overlaps.min() > 0.999
    # Both ways around lead to (-1, 0), where the valley is lowest: one solution.
    assert (tree.count("solution"), tree.count("known")) == (1, 1)
    np.testing.assert_allclose(tree.solutions.x, [[-1, 0]], atol=1e-5)
    assert tree.solutions.losses[0] == pytest.approx(-1)


def test_an_eigenvector_is_known_again_among_others():
    """A matrix turned by a small angle: its eigenvector, not that of the lowest value, continues the one before."""
    rng = np.random.default_rng(0)
    directions, _ = np.linalg.qr(rng.standard_normal((40, 40)))
    values = np.linspace(-3, 3, 40)
    turned, _ = np.linalg.qr(directions + 0.002 * rng.standard_normal((40, 40)))
    turned *= np.sign(np.sum(turned * directions, axis=0))
    matrix = (turned * values) @ turned.T
    found = track(lambda v: matrix @ v, directions[:, 7], depth=40, tolerance=1e-9)
    assert found.value == pytest.approx(values[7], rel=1e-6)
    assert found.vector @ turned[:, 7] == pytest.approx(1, abs=1e-6)
    assert found.overlap == pytest.approx(directions[:, 7] @ turned[:, 7], abs=1e-6)
    assert found.residual < 1e-6


def test_a_single_way_down_leads_to_two_solutions():
    """(x^2 - 1)^2 and a bowl in five other numbers."""
    f = of_function(
        lambda x: (x[0] ** 2 - 1) ** 2 + x[1:] @ x[1:], lambda x: np.r_[4 * x[0] * (x[0] ** 2 - 1), 2 * x[1:]],
        np.full(6, 0.1),
    )  # fmt: skip
    found = saddle(f, progress=False)
    np.testing.assert_allclose(found.x, np.zeros(6), atol=1e-8)
    assert (found.loss, found.distance) == (pytest.approx(1), pytest.approx(0.1 * np.sqrt(6)))
    assert found.gradient < 1e-8
    assert found.index.negative == pytest.approx(1 / 6)
    tree = ridge_rider(f, found, progress=False)
    np.testing.assert_allclose(sorted(tree.solutions.x[:, 0]), [-1, 1], atol=1e-6)


def test_a_saddle_is_the_best_of_a_plane_that_a_symmetry_leaves():
    """f = (x - y)^4 - (x - y)^2 + (x + y - 2)^2 does not change when x and y do: in x = y it is least at (1, 1)."""
    f = of_function(
        lambda z: (z[0] - z[1]) ** 4 - (z[0] - z[1]) ** 2 + (z.sum() - 2) ** 2,
        lambda z: (4 * (z[0] - z[1]) ** 3 - 2 * (z[0] - z[1])) * np.array([1, -1]) + 2 * (z.sum() - 2),
        [3.0, 3.0],
    )
    found = saddle(f, within=[[1.0], [1.0]], progress=False)
    np.testing.assert_allclose(found.x, [1, 1], atol=1e-6)
    assert found.gradient < 1e-7
    assert found.index.negative == 0.5


def test_a_critical_point_that_is_not_there_is_not_claimed():
    """F = x + exp(x): the gradient 1 + exp(x) is nowhere zero."""
    f = of_function(lambda x: float(x[0] + np.exp(x[0])), lambda x: 1 + np.exp(x), [0.0])
    assert saddle(f, limit=20, progress=False).gradient > 1


def test_what_is_the_same_can_be_told():
    """Up to the signs of all numbers, the four minima of two wells are one."""
    f, _, _ = wells(2)
    tree = ridge_rider(f, step=0.15, same=lambda a, b: np.allclose(np.abs(a), np.abs(b), atol=1e-4), progress=False)
    assert len(tree.solutions) == 1
    assert np.isnan(tree.diversity)


def test_rides_and_depth_have_their_limits():
    f, _, _ = wells(3)
    assert len(ridge_rider(f, step=0.15, rides=5, progress=False).nodes) == 6
    shallow = ridge_rider(f, step=0.15, depth=1, branches=1, progress=False)
    assert [node.depth for node in shallow.nodes] == [0, 1, 1]
    # Sorted by curvature alone, the first branch of the first branch may come before the second.
    greedy = ridge_rider(f, step=0.15, rides=6, order="curvature", progress=False)
    assert greedy.nodes[5].curvatures[0] <= greedy.nodes[6].curvatures[0]


def test_pictures_have_their_axes():
    f = rivals()
    tree = ridge_rider(f, progress=False)
    assert tree.plot().get_ylabel() == "loss"
    assert compare_with_restarts(f, tree, progress=False).plot().get_xlabel() == "gradients"
    assert saddle(f, progress=False).plot().get_ylabel() == "eigenvalue"


def test_what_cannot_be_ridden_is_refused():
    f, _, b = wells(2)
    with pytest.raises(InputError, match="no ridge begins here"):
        ridge_rider(f, np.sqrt(b), progress=False)
    with pytest.raises(InputError, match="give a critical point"):
        ridge_rider(f, [0.3, 0.3], progress=False)
    with pytest.raises(ParameterError, match="step is 0"):
        ridge_rider(f, step=0, progress=False)
    with pytest.raises(ParameterError, match="order is 'depth'"):
        ridge_rider(f, order="depth", progress=False)
    with pytest.raises(InputError, match=r"within has shape \(3,\)"):
        saddle(f, within=[1.0, 2.0, 3.0])
    tree = ridge_rider(f, rides=1, progress=False)
    with pytest.raises(ParameterError, match="rate"):
        compare_with_restarts(f, tree, rate=0)


@pytest.fixture(scope="module")
def senses(frozen_brian):
    """Two eyes' wires and two ears' wires, a neuron behind each sense, two readouts, and samples that mirror."""
    from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms, prefs, start_scope

    from learning import losses, surrogates, trainable

    start_scope()
    target, prefs.codegen.target = prefs.codegen.target, "numpy"
    defaultclock.dt = 1 * ms
    wires = SpikeGeneratorGroup(4, [], [] * ms, name="wires")
    cells = NeuronGroup(2, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v -= 1", method="exact", name="cells")
    readout = NeuronGroup(2, "dv/dt = -v/(20*ms) : 1", method="exact", name="readout")
    entry = Synapses(wires, cells, "w : 1", on_pre="v_post += w", name="entry")
    entry.connect(condition="i//2 == j")
    away = Synapses(cells, readout, "w : 1", on_pre="v_post += w", name="away")
    away.connect()
    entry.w, away.w = 0.5, 0
    rng = np.random.default_rng(0)
    half = np.zeros((2, 16, 4), int)
    for sample in half:
        for wire, count in ((0, 5), (2, 3)):
            sample[rng.choice(12, count, replace=False), wire] = 1
    samples = np.concatenate([half, half[:, :, [1, 0, 3, 2]]])
    with uncompiled():
        model = trainable(
            Network(wires, cells, readout, entry, away), inputs=wires, output=readout.v, duration=16 * ms,
            parameters=[entry.w, away.w], surrogate=surrogates.sigmoid(4.0), smooth=True, through_reset=True,
            precision="float64", threads=1, namespace={},
        )  # fmt: skip
        bare = of_model(model, list(samples), np.repeat([0, 1], 2), losses.mean_over_time())
        here = bare.start

        def slope(x):
            value, gradient = bare.slope(x)
            return value + 0.02 * (x - here) @ (x - here), gradient + 0.04 * (x - here)

        yield replace(bare, value=lambda x: slope(x)[0], slope=slope)
    prefs.codegen.target = target


def test_an_undecided_network_is_a_saddle_by_symmetry(senses):
    """Swap the labels, with the wires of each sense and the readouts: the samples stay, and so does the network whose
    weights are equal in pairs. The gradient is then equal in pairs too, in which the loss is ln 2 everywhere: there is
    no gradient. Weights in times weights out: each neuron has one way down, to both sides."""
    loss, gradient = senses.slope(senses.start)
    assert loss == pytest.approx(np.log(2), rel=1e-12)
    assert np.linalg.norm(gradient) < 1e-12
    found = saddle(senses, senses.start + 0.02 * np.random.default_rng(1).standard_normal(8), progress=False)
    assert found.gradient < 1e-8
    assert found.loss == pytest.approx(np.log(2), rel=1e-6)
    np.testing.assert_allclose(found.x, senses.start, atol=1e-6)
    assert found.index.negative == pytest.approx(2 / 8)


@pytest.mark.slow
def test_ridges_of_a_network_come_in_mirrored_pairs(senses):
    """The two sides of a ridge are each other's mirror: they end at the same loss."""
    tree = ridge_rider(senses, step=0.3, depth=1, tolerance=1e-4, limit=30, progress=False)
    assert len(tree.nodes) == 5
    assert tree.count("lost") == 0
    for one, other in ((1, 2), (3, 4)):
        assert tree.nodes[one].loss == pytest.approx(tree.nodes[other].loss, rel=1e-4)
        assert tree.nodes[one].loss < 0.6
