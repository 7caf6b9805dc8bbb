"""Slices, ways and sharpness of functions that are known, and of a spiking network and its rescaled twin."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms, start_scope

from dvs.errors import InputError, ParameterError
from learning import landscape, losses, optimisers, surrogates, trainable


def bowl(curvatures=(1.0, 4.0)):
    """sum(c x^2)/2."""
    c = np.array(curvatures)
    return landscape.of_function(lambda x: float(c @ x**2) / 2, lambda x: c * x, np.zeros(c.size))


def two_layers(scale=1.0):
    """|W2 W1 x - y|^2 of a 3-4-2 network without spikes, its layers times and over a scale; filters are rows."""
    rng = np.random.default_rng(0)
    first, second, x, y = (rng.standard_normal(shape) for shape in ((4, 3), (2, 4), (3, 20), (2, 20)))

    def parts(w):
        return w[:12].reshape(4, 3), w[12:].reshape(2, 4)

    def value(w):
        a, b = parts(w)
        return float(np.mean((b @ a @ x - y) ** 2))

    start = np.concatenate([scale * first.ravel(), second.ravel() / scale])
    filters = np.repeat(np.arange(6), [3] * 4 + [4] * 2)
    return landscape.of_function(value, lambda w: w, start, filters=filters)


def test_a_line_through_a_parabola_is_that_parabola():
    found = landscape.line(bowl(), direction=[0.0, 1.0], span=2, points=5, progress=False)
    np.testing.assert_allclose(found.losses, 2 * np.array([-2, -1, 0, 1, 2]) ** 2, atol=1e-12)
    assert found.distances.tolist() == [-2, -1, 0, 1, 2]


def test_a_width_is_where_the_loss_is_twice_as_high():
    """1 + 2 d^2 = 2 at d = +-0.707: on a grid of 0.05 the first points above are +-0.75."""
    f = landscape.of_function(lambda x: 1 + 2 * x[0] ** 2, lambda x: 4 * x, [0.0])
    assert landscape.line(f, direction=[1.0], span=1, points=41, progress=False).width == pytest.approx(1.5)
    flat = landscape.of_function(lambda x: 1.0, lambda x: 0 * x, [0.0])
    assert landscape.line(flat, direction=[1.0], progress=False).width == np.inf


def test_filters_get_the_lengths_of_those_of_the_weights():
    f = two_layers()
    d = landscape.random_direction(f, seed=3)
    for one in range(6):
        part = f.filters == one
        assert np.linalg.norm(d[part]) == pytest.approx(np.linalg.norm(f.start[part]))


@pytest.mark.parametrize("scale", [0.01, 7.0])
def test_a_rescaled_network_has_the_same_slices(scale):
    """(s W1, W2/s) is the network (W1, W2). With filters normalised its slices are the same; without, they are not."""
    ours, theirs = two_layers(), two_layers(scale)
    line = [landscape.line(f, seed=1, progress=False).losses for f in (ours, theirs)]
    np.testing.assert_allclose(line[1], line[0], rtol=1e-9)
    plane = [landscape.plane(f, points=5, seed=1, progress=False).losses for f in (ours, theirs)]
    np.testing.assert_allclose(plane[1], plane[0], rtol=1e-9)
    raw = np.random.default_rng(1).standard_normal(ours.size)
    plain = [landscape.line(f, direction=raw, progress=False).losses for f in (ours, theirs)]
    assert not np.allclose(plain[1], plain[0], rtol=0.1)


def spiking(unit=1.0, **options):
    """5 inputs, 6 hidden neurons, 2 readouts; hidden weights and thresholds in units of `unit`, which no spike sees."""
    start_scope()
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(0)
    source = SpikeGeneratorGroup(5, [], [] * ms, name="source")
    hidden = NeuronGroup(
        6, "dv/dt = -v/(10*ms) : 1\ntop : 1 (constant)", threshold="v > top", reset="v -= top", method="exact",
        name="hidden",
    )  # fmt: skip
    hidden.top = unit
    readout = NeuronGroup(2, "dv/dt = -v/(20*ms) : 1", method="exact", name="readout")
    first = Synapses(source, hidden, "w : 1", on_pre="v_post += w", name="first")
    second = Synapses(hidden, readout, "w : 1", on_pre="v_post += w", name="second")
    for synapses, size in ((first, unit), (second, 1)):
        synapses.connect()
        synapses.w = size * rng.normal(0.3, 0.5, len(synapses))
    model = trainable(
        Network(source, hidden, readout, first, second), inputs=source, output=readout.v,
        parameters=[first.w, hidden.top, second.w], duration=20 * ms, surrogate=surrogates.sigmoid(), threads=1,
        precision="float64", **options,
    )  # fmt: skip
    samples, labels = (rng.random((24, 20, 5)) < 0.3).astype(int), rng.integers(0, 2, 24)
    return model, samples, labels


def test_a_spiking_network_in_other_units_has_the_same_slices():
    """Weights and thresholds in units a thousand times smaller make the same spikes: (W1, top) times a scale."""
    found = []
    for unit in (1.0, 0.001):
        model, samples, labels = spiking(unit)
        f = landscape.of_model(model, samples, labels, losses.mean_over_time())
        found.append(landscape.line(f, span=0.5, points=21, seed=2, progress=False).losses)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)
    assert np.ptp(found[0]) > 0.1


def test_a_plane_has_the_loss_of_each_of_its_points():
    f = bowl()
    found = landscape.plane(f, directions=([1.0, 0.0], [0.0, 1.0]), span=1, points=5, progress=False)
    a, b = np.meshgrid(found.first, found.second)
    np.testing.assert_allclose(found.losses, (a**2 + 4 * b**2) / 2, atol=1e-12)
    assert "1 place(s) lower than all around" in found.reading


def test_all_valleys_of_a_plane_are_counted():
    """cos(2 pi x) cos(2 pi y) has its minima -1 where one is whole and the other half: on [-1, 1]^2 without its edge
    (0, +-1/2) and (+-1/2, 0)."""
    f = landscape.of_function(lambda x: float(np.prod(np.cos(2 * np.pi * x))), lambda x: x, [0.0, 0.0])
    found = landscape.plane(f, directions=([1.0, 0.0], [0.0, 1.0]), span=1, points=41, progress=False)
    assert "4 place(s)" in found.reading


def test_a_way_in_a_plane_is_shown_as_it_is():
    """A spiral in a plane of 50 dimensions: two directions explain all of it, and distances stay as they are."""
    rng = np.random.default_rng(0)
    plane, _ = np.linalg.qr(rng.standard_normal((50, 2)))
    angle = np.linspace(0, 6, 30)
    points = (np.exp(-angle / 3) * np.array([np.cos(angle), np.sin(angle)])).T @ plane.T + rng.standard_normal(50)
    f = landscape.of_function(lambda x: float(x @ x), lambda x: 2 * x, np.zeros(50))
    found = landscape.trajectory(f, points, grid=5, progress=False)
    assert found.explained.sum() == pytest.approx(1)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    np.testing.assert_allclose(np.linalg.norm(np.diff(found.path, axis=0), axis=1), steps)
    np.testing.assert_allclose(found.path[-1], 0, atol=1e-12)
    assert found.first[0] < found.path[:, 0].min()
    assert found.first[-1] > found.path[:, 0].max()


def test_heights_under_a_way_are_the_loss_there():
    """In the plane through the end the loss of a bowl is that of the foot of each point."""
    f = bowl((1.0, 4.0, 0.0))
    points = [[3.0, 1.0, 0.0], [2.0, -1.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]
    found = landscape.trajectory(f, points, grid=9, progress=False)
    directions = np.linalg.svd(np.array(points), full_matrices=False)[2][:2]
    x = found.first[2] * directions[0] + found.second[7] * directions[1]
    assert found.losses[7, 2] == pytest.approx(f.value(x))


def test_sharpness_is_the_largest_curvature_at_each_point():
    """Of sum(cos x) at x: max(-cos x)."""
    f = landscape.of_function(lambda x: float(np.cos(x).sum()), lambda x: -np.sin(x), np.zeros(40))
    points = [np.linspace(low, low + 2, 40) for low in (0.0, 0.7, 1.5)]
    found = landscape.sharpness(f, points, learning_rate=4.0, tolerance=1e-8, progress=False)
    np.testing.assert_allclose(found.values, [np.max(-np.cos(x)) for x in points], rtol=1e-6)
    assert found.limit == 0.5
    assert found.reading.endswith(f"at the end it is {found.values[-1] / 0.5:.2g} times that")


def test_a_training_is_kept_epoch_by_epoch():
    """The first point is where it began, and the last where the model is then; the loss there is that of the end."""
    model, samples, labels = spiking(smooth=True, through_reset=True)
    loss = losses.mean_over_time()
    f = landscape.of_model(model, samples, labels, loss)
    kept = landscape.Kept(model)
    model.fit(
        samples, labels, loss=loss, optimiser=optimisers.SGD(0.5), epochs=6, batch=24, on_epoch=kept, progress=False
    )
    assert len(kept.points) == 7
    np.testing.assert_array_equal(kept.points[0], f.start)
    assert f.value(kept.points[-1]) < f.value(kept.points[0])
    np.testing.assert_array_equal(landscape.of_model(model, samples, labels, loss).start, kept.points[-1])
    # One step of plain descent on all samples is the gradient.
    np.testing.assert_allclose(kept.points[1], f.start - 0.5 * f.slope(f.start)[1], rtol=1e-12)
    way = landscape.trajectory(f, kept.points, grid=5, progress=False)
    assert way.explained.sum() > 0.9


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda f: landscape.line(f, span=0), ParameterError, "span is 0, expected more than 0"),
        (lambda f: landscape.plane(f, points=2), ParameterError, "points is 2, expected 3 or more"),
        (lambda f: landscape.trajectory(f, [[0, 1]]), InputError, "1 points came, expected 3 or more"),
        (lambda f: landscape.trajectory(f, [[0, 1]] * 3), InputError, "all points are the same"),
        (lambda f: landscape.sharpness(f, []), InputError, "no points came"),
        (lambda f: landscape.line(f, direction=[1.0]), InputError, r"shape \(1,\), expected \(2,\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(bowl())


def test_pictures_are_drawn():
    f = replace(bowl((1.0, 4.0, 0.5)), start=np.array([1.0, 2.0, 3.0]))
    points = [[3.0, 1.0, 0.0], [2.0, -1.0, 1.0], [1.0, 0.5, 0.0]]
    for found in (
        landscape.line(f, progress=False),
        landscape.plane(f, points=5, progress=False),
        landscape.trajectory(f, points, grid=5, progress=False),
        landscape.sharpness(f, points, learning_rate=0.1, progress=False),
    ):
        ax = found.plot()
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert str(found) == found.reading
