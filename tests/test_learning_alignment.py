"""Alignment: angles of known vectors, estimates of a known gradient, and what a step does."""

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, TimedArray, defaultclock, ms
from uncompiled import uncompiled

import learning
from dvs.errors import InputError, ParameterError
from learning.alignment import cosine, loss_change, noise, online_estimates, weight_perturbation
from learning.e_prop import eprop
from learning.losses import mean_squared_error
from learning.plasticity import Rule, attach
from learning.surrogates import fast_sigmoid
from snn.neurons import leaky_readout, lif
from snn.synapses import connect, dense

STEPS, INPUTS, CELLS = 40, 5, 6


@pytest.fixture
def case():
    """A recurrent network with two readouts, its sample and its goal."""
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(2)
    raster = rng.random((STEPS, INPUTS)) < 0.25
    when, which = np.nonzero(raster)
    inputs = SpikeGeneratorGroup(INPUTS, which, when * ms, name="inputs")
    cells, readout = lif().group(CELLS, name="cells"), leaky_readout(tau=12 * ms).group(2, name="readout")
    synapses = [
        connect(inputs, cells, dense(rng.normal(0.3, 0.3, (INPUTS, CELLS))), name="first"),
        connect(cells, cells, dense(rng.normal(0, 0.3, (CELLS, CELLS))), name="loop"),
        connect(cells, readout, dense(rng.normal(0, 1, (CELLS, 2))), name="last"),
    ]
    goal = rng.normal(0, 1, (STEPS, 2))
    return Network(inputs, cells, readout, *synapses), synapses, readout, inputs, raster, goal


def model_of(case, weights=None, **options):
    network, synapses, readout, inputs, _, _ = case
    return learning.trainable(
        network,
        inputs=inputs,
        output=readout.v,
        parameters=weights or [one.w for one in synapses],
        duration=STEPS * ms,
        surrogate=fast_sigmoid(5.0),
        precision="float64",
        threads=1,
        namespace={},
        **options,
    )


def rule_of(case, **options):
    network, synapses, readout, _, _, goal = case
    return eprop(
        network,
        output=readout.v,
        target="goal_of(t, i)",
        weights=[one.w for one in synapses],
        trial=STEPS * ms,
        surrogate=fast_sigmoid(5.0),
        namespace={"goal_of": TimedArray(goal, dt=1 * ms)},
        **options,
    )


def test_cosine_is_that_of_the_angle():
    one = {"a": np.array([1.0, 0.0]), "b": np.array([[0.0]])}
    assert cosine(one, one) == pytest.approx(1)
    assert cosine(one, {"a": np.array([-2.0, 0.0]), "b": np.zeros((1, 1))}) == pytest.approx(-1)
    assert cosine(one, {"a": np.array([0.0, 5.0]), "b": np.zeros((1, 1))}) == 0
    assert cosine(one, {"a": np.array([1.0, 0.0]), "b": np.array([[1.0]])}) == pytest.approx(1 / np.sqrt(2))


def test_noise_is_how_many_estimates_must_be_averaged():
    """A mean of length 1 in 4 dimensions, with normal numbers of sd 2: a variance of 16."""
    rng = np.random.default_rng(0)
    draws = [{"a": np.array([1.0, 0, 0, 0]) + 2 * rng.standard_normal(4)} for _ in range(20_000)]
    assert noise(draws) == pytest.approx(16, rel=0.05)
    assert noise(draws[:1] * 3) == 0
    with pytest.raises(InputError, match="two or more"):
        noise(draws[:1])


def test_an_exploded_gradient_still_has_a_direction():
    huge = {"a": np.array([3e200, 4e200])}
    assert cosine(huge, {"a": np.array([1.0, 0.0])}) == pytest.approx(0.6)


def test_eprop_is_the_gradient_in_which_loops_carry_no_error(case):
    """damping=0 leaves out what passes through recurrent synapses, which is what e-prop leaves out."""
    network = case[0]
    with uncompiled():
        gradient = model_of(case, damping=0.0).gradient([case[4]], case[5][None], mean_squared_error()).gradients
    rule = rule_of(case)
    network.add(*rule.objects)
    estimate = online_estimates(network, {"e-prop": rule}, STEPS * ms)["e-prop"]
    for name, slope in gradient.items():
        expected = slope.ravel() * STEPS * 2 / 2  # half the sum of squares, not their mean
        np.testing.assert_allclose(estimate[name], expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


def test_an_estimate_leaves_the_network_as_it_was(case):
    network, synapses, *_ = case
    rules = {"symmetric": rule_of(case), "random": rule_of(case, feedback="random", seed=1)}
    network.add(*rules["symmetric"].objects, *rules["random"].objects)
    before = [np.array(one.w[:]) for one in synapses]
    first = online_estimates(network, rules, STEPS * ms)
    again = online_estimates(network, rules, STEPS * ms)
    assert all(np.array_equal(one.w[:], old) for one, old in zip(synapses, before, strict=True))
    assert all(np.array_equal(first[name][key], again[name][key]) for name in rules for key in first[name])
    assert cosine(first["symmetric"], first["random"]) < 1


@pytest.mark.parametrize("every", [None, STEPS * ms])
def test_the_estimate_of_any_rule_is_minus_its_change(case, every):
    """A rule that adds 0.25 for each spike that the synapse has heard."""
    network, synapses, _, _, raster, _ = case
    counting = Rule(
        name="counting", equations="heard : 1", on_pre="heard += 1", change="0.25*heard", after_change="heard = 0"
    )
    companion = attach(synapses[0], counting, every=every)
    network.add(companion)
    found = online_estimates(network, {"counting": companion}, STEPS * ms)["counting"]["first.w"]
    # A spike is sent in its step, and heard in it.
    np.testing.assert_allclose(found, -0.25 * raster.sum(axis=0)[synapses[0].i[:]])


def test_two_rules_that_change_a_weight_at_once_are_refused(case):
    network, synapses, *_ = case
    rules = {name: attach(synapses[0], Rule(name=name, change="0.1")) for name in ("one", "other")}
    network.add(*rules.values())
    with pytest.raises(InputError, match="'one' and 'other' both change"):
        online_estimates(network, rules, STEPS * ms)


def test_weight_perturbation_finds_the_slope_of_a_smooth_loss(case):
    """Only the readout's weights are shaken: the loss is quadratic in them, and the mean of draws its gradient.

    With n weights, the cosine of a mean of k draws is about sqrt(k/(n + k)): 0.985 for n = 12 and k = 400.
    """
    with uncompiled():
        model = model_of(case, weights=[case[1][2].w])
        target = case[5][None]
        gradient = model.gradient([case[4]], target, mean_squared_error()).gradients
        before = model.parameters["last.w"].copy()
        draws = list(weight_perturbation(model, [case[4]], target, mean_squared_error(), draws=400, sigma=1e-3))
    mean = {"last.w": np.mean([one["last.w"] for one in draws], axis=0)}
    assert cosine(mean, gradient) == pytest.approx(np.sqrt(400 / 412), abs=0.02)
    assert np.array_equal(model.parameters["last.w"], before)


def test_a_step_along_the_gradient_of_a_smooth_loss_does_what_it_says(case):
    """Weights of the readout: E(w - s g/|g|) = E - s |g| + s**2 c, so a short step lowers the loss by s |g|."""
    with uncompiled():
        model = model_of(case, weights=[case[1][2].w])
        found = model.gradient([case[4]], case[5][None], mean_squared_error())
        change = loss_change(
            model, [case[4]], case[5][None], mean_squared_error(), found.gradients, step=1e-3, jitter=1e-6
        )  # fmt: skip
        back = {name: -slope for name, slope in found.gradients.items()}
        away = loss_change(model, [case[4]], case[5][None], mean_squared_error(), back, step=1e-3, jitter=1e-6)
    norm = np.linalg.norm(found.gradients["last.w"])
    assert change.lowers
    assert change.mean == pytest.approx(-change.step * norm, rel=0.02)
    assert not away.lowers


def test_what_does_not_fit_is_refused(case):
    network, *_ = case
    with pytest.raises(InputError, match="no parameter in common"):
        cosine({"a": np.zeros(1)}, {"b": np.zeros(1)})
    with pytest.raises(InputError, match="sizes differ"):
        cosine({"a": np.zeros(1)}, {"a": np.zeros(2)})
    with pytest.raises(InputError, match="is not in the network"):
        online_estimates(network, {"e-prop": rule_of(case)}, STEPS * ms)
    with uncompiled():
        model = model_of(case)
        with pytest.raises(InputError, match="has length 0"):
            loss_change(model, [case[4]], case[5][None], mean_squared_error(), {"last.w": np.zeros(12)})
        with pytest.raises(ParameterError, match="expected a length above 0"):
            loss_change(model, [case[4]], case[5][None], mean_squared_error(), {"last.w": np.ones(12)}, step=0)
