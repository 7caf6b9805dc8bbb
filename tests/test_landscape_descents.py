"""Ways down and out of saddles, on quadratic forms whose answers are known and on a spiking network."""

import numpy as np
import pytest
from landscape_networks import model_of, two_layers

from dvs.errors import InputError, ParameterError
from learning import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSProp, losses, surrogates
from learning.landscape.curvature import eigenpairs, hessian
from learning.landscape.escape import (
    escape_time,
    first_passage,
    growth,
    newton,
    noise_variance,
    quadratic,
    share_outside,
    steps_to_leave,
    tied,
    tied_minimum,
)
from learning.landscape.methods import (
    Method,
    _batches,
    as_task,
    by_optimiser,
    descents,
    metropolis,
    proximal_point,
    sharpness,
    standard_methods,
    task_of,
)
from learning.landscape.objective import of_function, of_model

INPUTS, HIDDEN, CLASSES, STEPS = 6, 5, 3, 15


@pytest.fixture(scope="module")
def spiking():
    """Three classes, each with a pair of inputs that fires more; a smooth model of it, the samples and the labels."""
    net, rng = two_layers(INPUTS, HIDDEN, CLASSES), np.random.default_rng(2)
    for synapses in (net.first, net.second):
        synapses.w = rng.normal(0.3, 0.5, len(synapses))
    labels = np.arange(24) % CLASSES
    chance = np.where(np.arange(INPUTS) // 2 == labels[:, None], 0.5, 0.2)
    samples = (rng.random((24, STEPS, INPUTS)) < chance[:, None]).astype(int)

    model = model_of(net, STEPS, surrogate=surrogates.sigmoid(), smooth=True, through_reset=True)
    return model, samples, labels


@pytest.fixture(scope="module")
def smooth(spiking):
    model, samples, labels = spiking
    return of_model(model, samples, labels, losses.mean_over_time())


# Side by side


def test_descent_on_a_bowl_is_a_power_of_its_step():
    """f = c x^2/2: after k steps x = (1 - rate c)^k x0."""
    bowl = quadratic([0.5], start=[2.0])
    method = by_optimiser(SGD, rates=[0.1])
    found = descents(bowl, methods=[method], steps=20, seeds=[0], progress=False)
    expected = 0.25 * (2 * 0.95**found.step_marks) ** 2
    np.testing.assert_allclose(found.methods[0].over_steps[0], expected, rtol=1e-12)
    assert found.methods[0].after_cost.sharpness == pytest.approx(0.5)


def test_the_proximal_point_of_a_bowl_is_known():
    """argmin c y^2/2 + (y - x)^2/(2 rate) = x/(1 + rate c)."""
    walk = proximal_point(inner=20).walk
    steps = walk(as_task(quadratic([0.5, 2.0], start=[2.0, 1.0])), 0.4, np.random.default_rng(0), 1.0)
    for k in range(1, 4):
        _, x = next(steps)
        np.testing.assert_allclose(x, [2 / 1.2**k, 1 / 1.8**k], rtol=1e-5)


def test_metropolis_visits_states_as_boltzmann_says():
    """At a temperature that stays the variance of x under exp(-x^2/2T) is T; the unit of T is the mean change at first.

    From x = 0 a step of sd s changes x^2/2 by s^2/2 on average; its estimate from ten proposals is put aside by taking
    T from the variance of two coordinates of different curvature, whose ratio is that of the curvatures.
    """
    task = as_task(quadratic([1.0, 4.0], start=[0.0, 0.0]))
    walk = metropolis(hot=3.0, cold=3.0).walk(task, 0.7, np.random.default_rng(1), 1e4)
    places = np.array([x for (_, x), _ in zip(walk, range(40_000), strict=False)])
    one, other = places[1000:].var(axis=0)
    assert one / other == pytest.approx(4, rel=0.12)


def test_cost_is_three_for_a_gradient_and_one_for_a_loss(spiking):
    """24 samples: 72 for all gradients, 12 for those of a batch of 4, 24 for a loss of all, of which Metropolis takes
    eleven more at the beginning."""
    model, samples, labels = spiking
    task = task_of(model, samples, labels, losses.mean_over_time())

    def costs(method):
        walk = method.walk(task, method.rates[0], np.random.default_rng(0), 1000.0)
        return [next(walk)[0] for _ in range(2)]

    assert costs(by_optimiser(SGD)) == [72, 72]
    assert costs(by_optimiser(Adam, batch=4)) == [12, 12]
    assert costs(metropolis()) == [12 * 24, 24]
    assert all(cost % 72 == 0 and cost > 72 for cost in costs(proximal_point()))


def test_equal_cost_gives_small_batches_more_steps(spiking):
    """A method that counts its steps: 24 samples a step, or 4."""
    model, samples, labels = spiking
    task = task_of(model, samples, labels, losses.mean_over_time())
    seen = {}

    def counting(batch):
        def walk(task, rate, rng, cost):
            seen[batch] = 0
            while True:
                seen[batch] += 1
                yield 3 * batch, task.start

        return Method(name=str(batch), rates=(1.0,), walk=walk)

    found = descents(task, methods=[counting(24), counting(4)], steps=5, seeds=[0], progress=False)
    assert found.cost == 5 * 3 * 24
    assert seen == {24: 6, 4: 31}  # one more, which says that the ones before were within


def test_batches_take_each_sample_once_before_any_again(spiking):
    batches = _batches(24, 6, np.random.default_rng(0))
    for _ in range(3):
        assert sorted(np.concatenate([next(batches) for _ in range(4)])) == list(range(24))
    assert next(_batches(24, None, np.random.default_rng(0))) is None


def test_a_model_trained_as_a_task_does_what_fit_does(spiking):
    """Descent on all samples: three steps are three epochs of one batch."""
    model, samples, labels = spiking
    loss = losses.mean_over_time()
    task = task_of(model, samples, labels, loss, test=(samples, labels))
    before = {name: value.copy() for name, value in model.parameters.items()}
    walk = by_optimiser(Adam).walk(task, 0.1, np.random.default_rng(0), 0.0)
    x = [next(walk)[1] for _ in range(3)][-1]
    for name, value in before.items():
        np.testing.assert_array_equal(model.parameters[name], value)
    history = model.fit(samples, labels, loss=loss, optimiser=Adam(0.1), epochs=3, batch=24, progress=False)
    assert len(history) == 3
    np.testing.assert_allclose(x, np.concatenate(list(model.parameters.values())), rtol=1e-9)
    assert task.value(x) == pytest.approx(model.evaluate(samples, labels, loss)[0])
    assert task.score(x) == model.evaluate(samples, labels, loss)[1]
    model.parameters = before
    model.changed()
    model.write()


def test_the_standard_methods_all_learn_on_a_spiking_network(spiking, smooth):
    model, samples, labels = spiking
    task = task_of(model, samples, labels, losses.mean_over_time(), test=(samples, labels), curvature=smooth)
    methods = [
        Method(name=one.name, rates=one.rates[-2:-1], walk=one.walk)
        for one in standard_methods(batches=(4, 12), noise=0.05)
    ]
    found = descents(task, methods=methods, steps=8, seeds=[0], progress=False)
    for one in found.methods:
        assert min(one.after_steps.loss.mean(), one.after_cost.loss.mean()) < task.value(task.start)
        assert ((one.after_cost.accuracy >= 0) & (one.after_cost.accuracy <= 1)).all()
        assert (one.after_cost.sharpness > 0).all()
    assert all(one.name in found.table() for one in found.methods)
    assert "is lowest" in str(found)


def test_the_rate_that_is_reported_was_the_best_of_those_tried():
    """f = c x^2/2, c = 1: a rate of 1 is Newton's step, 0.1 is slow, and 3 diverges by 2 in each step."""
    found = descents(
        quadratic([1.0], start=[1.0]), methods=[by_optimiser(SGD, rates=[0.1, 1.0, 3.0])], steps=60, progress=False
    )
    one = found.methods[0]
    assert one.rate == 1
    assert one.tried[1.0] == 0
    assert one.tried[3.0] == np.inf


def test_noise_on_a_bowl_ends_at_its_known_level():
    """x -> (1 - a) x + s n: variance s^2/(1 - (1 - a)^2), so a mean loss of half of that with c = 1, per number."""
    size, rate, noise = 400, 0.1, 0.3
    found = descents(
        quadratic(np.ones(size)), methods=[by_optimiser(SGD, rates=[rate], noise=noise)], steps=100, progress=False
    )
    expected = size / 2 * (rate * noise) ** 2 / (1 - (1 - rate) ** 2)
    assert found.methods[0].after_cost.loss.mean() == pytest.approx(expected, rel=0.15)


def test_annealed_noise_falls_as_its_paper_says():
    """f = 0: what remains is the noise; variances of steps k = 0 and 99 are as 1 to 100^-0.55."""
    flat = as_task(quadratic(np.zeros(4000)))
    walk = by_optimiser(SGD, noise=1.0, annealed=True).walk(flat, 1.0, np.random.default_rng(0), 0.0)
    places = np.array([flat.start] + [next(walk)[1] for _ in range(100)])
    variance = np.diff(places, axis=0).var(axis=1)
    assert variance[0] == pytest.approx(1, rel=0.1)
    assert variance[99] == pytest.approx(100**-0.55, rel=0.1)


def test_methods_that_cannot_be_told_apart_are_said_to_be_so():
    bowl = quadratic([1.0, 2.0], start=[1.0, 1.0])
    twins = [by_optimiser(SGD, name=name, rates=[0.1], noise=0.1) for name in ("one", "other")]
    worse = by_optimiser(SGD, name="slow", rates=[1e-4])
    found = descents(bowl, methods=[*twins, worse], steps=30, seeds=range(4), progress=False)
    assert set(found.best()) == {"one", "other"}
    assert "not to be told from it" in found.reading


# Out of a saddle


@pytest.mark.parametrize("optimiser", [SGD(0.1), Momentum(0.1), Nesterov(0.1), Momentum(0.03, momentum=0.5)])
def test_descent_leaves_a_saddle_after_the_known_number_of_steps(optimiser):
    """x_k = eps (1 + a)^k for SGD: ln(r/eps)/ln(1 + a) steps; with momentum the larger root is in its place."""
    f = quadratic([1.0, -0.2])
    method = by_optimiser(lambda rate: optimiser)
    found = escape_time(f, method, radius=1.0, nudge=[0.0, 1e-6], seeds=[0], most=3000, progress=False)
    expected = steps_to_leave(optimiser, curvature=-0.2, nudge=1e-6, radius=1.0)
    assert found.steps[0] == np.ceil(expected)
    if type(optimiser) is SGD:
        assert expected == pytest.approx(np.log(1e6) / np.log1p(0.02))


@pytest.mark.parametrize("kind", [Momentum, Nesterov])
def test_momentum_grows_by_the_root_of_its_polynomial(kind):
    """Heavy ball: x_{k+1} = (1 + beta + a) x_k - beta x_{k-1}. Nesterov: the velocity is taken at the place ahead."""
    a, beta = 0.05, 0.8
    z = growth(kind(0.1, momentum=beta), -0.5)
    b, c = ((1 + beta + a), beta) if kind is Momentum else ((1 + beta) * (1 + a), beta * (1 + a))
    assert z**2 - b * z + c == pytest.approx(0, abs=1e-14)
    optimiser, x = kind(0.1, momentum=beta), {"x": np.array([1e-9])}
    state, places = optimiser.start(x), []
    for _ in range(60):
        x, state = optimiser.step({"x": -0.5 * x["x"]}, state, x)
        places.append(x["x"][0])
    assert places[-1] / places[-2] == pytest.approx(z, rel=1e-6)


def test_the_spread_of_noise_at_a_saddle_is_known():
    """s^2 (q^k - 1)/(q - 1), q = (1 + a)^2; 4000 directions at once."""
    task = as_task(quadratic(np.full(4000, -0.5)))
    walk = by_optimiser(SGD, noise=0.1).walk(task, 0.2, np.random.default_rng(0), 0.0)
    for k in range(1, 31):
        _, x = next(walk)
        # The variance of a variance from n numbers is 2/n of its square.
        assert x.var() == pytest.approx(float(noise_variance(k, curvature=-0.5, rate=0.2, noise=0.1)), rel=0.1)


def test_noise_leaves_a_saddle_as_the_law_says():
    """The largest distance between the shares measured and expected is below 1.63/sqrt(n) in 99 of 100 experiments
    (Kolmogorov)."""
    law = {"curvature": -0.5, "rate": 0.2, "noise": 0.05, "radius": 0.5}
    method = by_optimiser(SGD, rates=[law["rate"]], noise=law["noise"])
    found = escape_time(quadratic([-0.5]), method, radius=0.5, most=120, seeds=range(300), progress=False)
    passed = first_passage(120, **law)
    measured = (found.steps[:, None] <= np.arange(1, 121)).mean(axis=0)
    assert np.abs(measured - passed).max() < 1.63 / np.sqrt(300)
    # Who is outside has been there: never more; and with noise of a hundredth of the radius not much less.
    outside = share_outside(np.arange(1, 121), **law)
    assert (outside <= passed + 1e-9).all()
    assert (outside >= passed - 0.02).all()


def test_first_passage_in_one_step_is_the_tail_of_the_normal():
    """A single step of sd 0.01 from the saddle: P(|n| > 2)."""
    found = first_passage(1, curvature=-1.0, rate=0.1, noise=0.1, radius=0.02)
    assert found[0] == pytest.approx(0.0455002638963584, rel=1e-9)


def test_without_noise_descent_stays_on_a_saddle_and_newton_returns_to_it():
    f = quadratic([1.0, -0.2, 3.0])
    assert escape_time(f, by_optimiser(SGD), 0.1, radius=1.0, progress=False).left == 0
    found = escape_time(f, newton(f), radius=1.0, nudge=0.99, most=50, progress=False)
    assert found.left == 0
    assert "stayed at the saddle" in found.reading


@pytest.mark.parametrize("kind", [Adam, RMSProp, AdaGrad])
def test_divided_by_its_own_size_a_gradient_leaves_any_saddle_in_the_same_time(kind):
    """Neither the distance nor the curvature matter: f -> c f and x -> e x change no g/|g|, as long as epsilon is
    small beside the gradient."""
    times = [
        escape_time(
            quadratic([curvature]), by_optimiser(lambda rate: kind(rate, epsilon=1e-30)), 0.01, radius=1.0,
            nudge=[nudge], seeds=[0], most=20_000, progress=False,
        ).steps[0]
        for curvature, nudge in [(-1.0, 1e-6), (-1e-3, 1e-6), (-1.0, 1e-9)]
    ]  # fmt: skip
    assert times[0] == times[1] == times[2] < np.inf


def test_numbers_of_a_group_are_put_at_their_mean():
    np.testing.assert_array_equal(tied([1.0, 3.0, 5.0, 9.0], [0, 0, 1, 1]), [2, 2, 7, 7])


@pytest.fixture(scope="module")
def twins(smooth):
    """The saddle of the network whose hidden neurons are all alike, and the groups of weights that are equal there."""
    groups = np.concatenate([np.repeat(np.arange(INPUTS), HIDDEN), INPUTS + np.tile(np.arange(CLASSES), HIDDEN)])
    begin = np.concatenate([np.full(INPUTS * HIDDEN, 0.3), np.tile([0.1, 0.0, -0.1], HIDDEN)])
    return tied_minimum(smooth, groups, at=begin, tolerance=1e-7), groups


def test_hidden_neurons_that_are_all_alike_make_a_saddle(smooth, twins):
    """No slope, and ways down that break the symmetry: a change of one neuron less the mean of all, so the lowest
    eigenvalue comes hidden - 1 times (the standard representation of their permutations)."""
    f, (saddle, groups) = smooth, twins
    assert np.linalg.norm(f.slope(saddle)[1]) < 1e-5
    values, vectors = np.linalg.eigh(hessian(f, at=saddle))
    assert values[0] < -1e-3
    np.testing.assert_allclose(values[: HIDDEN - 1], values[0], rtol=1e-4)
    assert values[HIDDEN - 1] > 0.1 * values[0]
    for vector in vectors.T[: HIDDEN - 1]:
        assert np.abs(tied(vector, groups)).max() < 1e-4


def test_only_noise_that_breaks_the_symmetry_leaves_it(spiking, smooth, twins):
    """All neurons have the same gradient, of all samples and of any batch: batches never leave, up to rounding; noise
    does, as a quadratic saddle with hidden - 1 equal ways down says."""
    (model, samples, labels), f, (saddle, groups) = spiking, smooth, twins
    task = task_of(model, samples, labels, losses.mean_over_time())
    known = {"saddle": saddle, "radius": 0.05, "away": lambda x: float(np.linalg.norm(x - tied(x, groups)))}
    known["progress"] = False
    for batch in (None, 4):
        assert escape_time(task, by_optimiser(SGD, batch=batch), 0.5, most=60, seeds=[0, 1], **known).left == 0
    lowest = float(eigenpairs(f, 1, ends="smallest", at=saddle, progress=False).values[0])
    found = escape_time(task, by_optimiser(SGD, noise=0.01), 0.5, most=300, seeds=range(8), **known)
    law = share_outside(np.arange(1, 301), curvature=lowest, rate=0.5, noise=0.01, radius=0.05, directions=HIDDEN - 1)
    # What the other directions add to the distance lets it leave earlier, never much later.
    assert found.left == 1
    assert found.median <= np.searchsorted(law, 0.75) + 1


# What does not fit


def test_what_does_not_fit_is_refused(spiking, smooth):
    (model, samples, labels), f = spiking, smooth
    with pytest.raises(InputError, match="23 targets came for 24 samples"):
        task_of(model, samples, labels[:23], losses.mean_over_time())
    with pytest.raises(InputError, match="curvature is of 2 numbers, the model has 45"):
        task_of(model, samples, labels, losses.mean_over_time(), curvature=quadratic([1.0, 2.0]))
    for wrong in ({"batch": 0}, {"noise": -1.0}):
        with pytest.raises(ParameterError, match="expected"):
            by_optimiser(SGD, **wrong)
    with pytest.raises(ParameterError, match="expected 0 < cold <= hot"):
        metropolis(hot=0.1, cold=1.0)
    with pytest.raises(ParameterError, match="inner is 0"):
        proximal_point(inner=0)
    with pytest.raises(ParameterError, match="0 steps of 1 methods"):
        descents(f, methods=[by_optimiser(SGD)], steps=0)
    with pytest.raises(ParameterError, match="a name of its own"):
        descents(f, methods=[by_optimiser(SGD), by_optimiser(SGD)])
    with pytest.raises(ParameterError, match="expected all to be above 0"):
        escape_time(f, by_optimiser(SGD), radius=0.0)
    with pytest.raises(InputError, match=r"saddle has shape \(2,\)"):
        escape_time(f, by_optimiser(SGD), radius=1.0, saddle=[0.0, 0.0])
    with pytest.raises(ParameterError, match="expected one below 0"):
        growth(SGD(0.1), 1.0)
    with pytest.raises(ParameterError, match="Adam is not linear"):
        growth(Adam(0.1), -1.0)
    with pytest.raises(ParameterError, match="without one it stays"):
        steps_to_leave(SGD(0.1), curvature=-1.0, nudge=0.0, radius=1.0)
    with pytest.raises(ParameterError, match="1 to 300 times the noise"):
        first_passage(3, curvature=-1.0, rate=0.1, noise=1e-6, radius=1.0)
    with pytest.raises(InputError, match="groups have shape"):
        tied_minimum(f, [0, 1])
    with pytest.raises(InputError, match="a symmetry exchanges"):
        tied_minimum(quadratic([1.0, 2.0], start=[1.0, 1.0]), [0, 0])


def test_without_a_known_curvature_there_is_no_sharpness(spiking):
    model, samples, labels = spiking
    task = task_of(model, samples, labels, losses.mean_over_time())
    assert np.isnan(sharpness(task, task.start))


def test_pictures_are_drawn():
    f = of_function(lambda x: float(np.sum(x**4) / 4 + 1), lambda x: x**3, [1.0, 2.0])
    found = descents(f, steps=5, seeds=[0], progress=False)
    for over, name in (("steps", "steps"), ("cost", "cost (runs of one sample)")):
        assert found.plot(over=over).get_xlabel() == name
    method = by_optimiser(SGD, noise=0.1)
    out = escape_time(quadratic([-1.0]), method, 0.3, radius=1.0, seeds=range(5), progress=False)
    ax = out.plot(law=first_passage(out.most, curvature=-1.0, rate=0.3, noise=0.1, radius=1.0))
    assert ax.get_ylabel() == "share that has left"
    assert str(out) == out.reading
