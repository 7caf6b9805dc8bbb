"""Losses against closed forms, slow twins and finite differences."""

import math

import numpy as np
import pytest
from brian2 import ms

from dvs.errors import InputError, ParameterError
from learning.losses import (
    Loss,
    every_step,
    last,
    latency,
    max_over_time,
    mean_absolute_error,
    mean_over_time,
    mean_squared_error,
    rate,
    rate_band,
    sparsity,
    van_rossum,
)

SAMPLES, STEPS, UNITS = 4, 7, 3
LABELS = np.array([2, 0, 1, 1])
CLASSIFICATIONS = (max_over_time(), last(), mean_over_time(), every_step(), rate(gain=0.7), latency(tau=2.5))
DISTANCES = (van_rossum(tau=2.5), mean_squared_error(), mean_absolute_error())

every_classification = pytest.mark.parametrize("loss", CLASSIFICATIONS, ids=lambda loss: loss.name)
every_loss = pytest.mark.parametrize("loss", CLASSIFICATIONS + DISTANCES, ids=lambda loss: loss.name)


def case(loss, seed=1):
    """An output such as the loss is read from, and a target."""
    rng = np.random.default_rng(seed)
    shape = (SAMPLES, STEPS, UNITS)
    output = (rng.random(shape) < 0.3).astype(float) if loss.on == "spikes" else rng.normal(size=shape)
    if loss.reading is not None:
        return output, LABELS
    return output, (rng.random(shape) < 0.3).astype(float) if loss.on == "spikes" else rng.normal(size=shape)


def spikes_at(*steps, units=1, unit=0, length=40):
    """One sample in which one of some units spikes in these steps."""
    train = np.zeros((1, length, units))
    train[0, list(steps), unit] = 1
    return train


def finite_difference(function, x, h=1e-6):
    """Central differences of a function of an array, one element at a time."""
    slope = np.empty_like(x)
    for k in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[k] += h
        down[k] -= h
        slope[k] = (function(up) - function(down)) / (2 * h)
    return slope


# All losses


@every_loss
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gradient_is_that_of_the_value(loss, seed):
    output, target = case(loss, seed)
    _, gradient, _ = loss.evaluate(output, target)
    slope = finite_difference(lambda x: loss.evaluate(x, target)[0], output)
    np.testing.assert_allclose(gradient, slope, rtol=1e-6, atol=1e-9)


@every_loss
def test_gradient_of_spikes_between_0_and_1_is_that_of_the_value(loss):
    """The smooth model, in which a spike is the primitive of its surrogate, has values in between, and below 0."""
    output, target = case(loss)
    output = 0.8 * output + np.linspace(-0.1, 0.15, output.size).reshape(output.shape)
    slope = finite_difference(lambda x: loss.evaluate(x, target)[0], output)
    np.testing.assert_allclose(loss.evaluate(output, target)[1], slope, rtol=1e-6, atol=1e-9)


@every_loss
def test_order_of_samples_changes_nothing(loss):
    output, target = case(loss)
    order = np.array([3, 1, 0, 2])
    value, gradient, _ = loss.evaluate(output, target)
    shuffled_value, shuffled_gradient, _ = loss.evaluate(output[order], target[order])
    assert shuffled_value == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(shuffled_gradient, gradient[order], rtol=1e-12)


@every_loss
def test_value_is_the_mean_over_samples(loss):
    output, target = case(loss)
    each = [loss.evaluate(output[k : k + 1], target[k : k + 1])[0] for k in range(SAMPLES)]
    assert loss.evaluate(output, target)[0] == pytest.approx(np.mean(each), rel=1e-12)


@every_loss
def test_gradient_has_the_precision_of_the_output_and_the_output_is_left_alone(loss):
    output, target = case(loss)
    single = output.astype(np.float32)
    kept = single.copy()
    value, gradient, _ = loss.evaluate(single, target)
    np.testing.assert_array_equal(single, kept)
    assert gradient.dtype == np.float32
    exact_value, exact, _ = loss.evaluate(output, target)
    assert value == pytest.approx(exact_value, rel=1e-5)
    np.testing.assert_allclose(gradient, exact, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "loss", [loss for loss in CLASSIFICATIONS + DISTANCES if loss.on == "state"], ids=lambda loss: loss.name
)
def test_going_down_the_gradient_brings_the_target(loss):
    """The loss as the whole of the training: labels become the predictions, traces the output."""
    output, target = case(loss)
    start, _, _ = loss.evaluate(output, target)
    for _ in range(500):
        value, gradient, predictions = loss.evaluate(output, target)
        output = output - 0.5 * gradient
    assert value < 0.5 * start
    if predictions is not None:
        np.testing.assert_array_equal(predictions, target)


# Cross-entropies


@every_classification
def test_no_difference_between_units_costs_the_logarithm_of_their_number(loss):
    """Softmax of equal scores is 1/units."""
    output = np.full((SAMPLES, STEPS, UNITS), 0.0)
    assert loss.evaluate(output, LABELS)[0] == pytest.approx(math.log(UNITS))


@pytest.mark.parametrize("loss", CLASSIFICATIONS[:-1], ids=lambda loss: loss.name)
def test_gradient_adds_to_zero_over_units_in_every_sample(loss):
    """Adding one number to all scores changes no softmax. (First spikes have a slope of their own.)"""
    output, target = case(loss)
    np.testing.assert_allclose(loss.evaluate(output, target)[1].sum(axis=(1, 2)), 0, atol=1e-12)


@every_classification
def test_huge_scores_do_not_overflow(loss):
    """exp(1e4) is inf in float64: the largest score is taken off first. Warnings are errors here."""
    output, target = case(loss)
    value, gradient, _ = loss.evaluate(output * 1e4 if loss.on == "state" else output, target)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_cross_entropy_of_two_units_is_the_logistic_loss():
    """-log(exp(a)/(exp(a) + exp(b))) = log(1 + exp(b - a)), for scores 1 and 3 and label 0: log(1 + e^2)."""
    output = np.array([[[1.0, 3.0]]])
    for loss in (max_over_time(), last(), mean_over_time(), every_step()):
        value, gradient, predictions = loss.evaluate(output, np.array([0]))
        assert value == pytest.approx(math.log1p(math.exp(2)))
        p = 1 / (1 + math.exp(2))
        np.testing.assert_allclose(gradient, [[[p - 1, 1 - p]]])
        assert predictions.tolist() == [1]


def test_max_over_time_sees_the_peak_only():
    """Its gradient is at the peak of each unit and nowhere else; lowering anything else changes nothing."""
    output, target = case(max_over_time())
    value, gradient, _ = max_over_time().evaluate(output, target)
    peak = output == output.max(axis=1, keepdims=True)
    np.testing.assert_array_equal(gradient != 0, peak)
    assert max_over_time().evaluate(np.where(peak, output, output - 1), target)[0] == value


def test_last_sees_the_last_step_only():
    output, target = case(last())
    assert not last().evaluate(output, target)[1][:, :-1].any()


def test_mean_over_time_does_not_care_when():
    output, target = case(mean_over_time())
    value, gradient, _ = mean_over_time().evaluate(output, target)
    assert mean_over_time().evaluate(output[:, ::-1].copy(), target)[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(gradient, gradient[:, :1].repeat(STEPS, axis=1))


def test_every_step_costs_at_least_the_mean_over_time():
    """Cross-entropy is convex in the scores: its mean is not below that of the mean (Jensen)."""
    output, target = case(every_step())
    assert every_step().evaluate(output, target)[0] > mean_over_time().evaluate(output, target)[0]


def test_one_spike_more_multiplies_the_odds_by_the_exponential_of_the_gain():
    """Counts 3 and 1, gain 0.5: odds exp(1); the loss is log(1 + exp(-1))."""
    output = spikes_at(1, 5, 9, units=2) + spikes_at(20, units=2, unit=1)
    value, _, predictions = rate(gain=0.5).evaluate(output, np.array([0]))
    assert value == pytest.approx(math.log1p(math.exp(-1)))
    assert predictions.tolist() == [0]


# First spikes


def test_first_to_spike_is_the_prediction():
    output = spikes_at(12, 13, 14, 15, units=3, unit=0) + spikes_at(9, units=3, unit=2)
    assert latency(tau=5).predict(output).tolist() == [2]


def test_a_lead_of_one_time_constant_makes_odds_of_e():
    """First spikes at 10 ms and 15 ms, tau = 5 ms: the loss of the earlier one is log(1 + exp(-1))."""
    output = spikes_at(10, 11, units=2) + spikes_at(15, units=2, unit=1)
    value, _, _ = latency(tau=5 * ms, dt=1 * ms).evaluate(output, np.array([0]))
    assert value == pytest.approx(math.log1p(math.exp(-1)))


def test_silence_is_a_first_spike_after_the_end():
    """With one unit at step 36 of 40 and the other silent, the lead is 4 steps."""
    output = spikes_at(36, units=2)
    value, _, _ = latency(tau=4).evaluate(output, np.array([0]))
    assert value == pytest.approx(math.log1p(math.exp(-1)))


def test_a_spike_added_before_the_first_counts_by_how_far_it_brings_it_forward():
    """Derivative of t by s_k: k - 10 before the first spike at 10, 10 - 30 at it (the second is at 30), 0 after it."""
    output = spikes_at(10, 30, units=2)
    _, gradient, _ = latency(tau=1).evaluate(output, np.array([1]))
    # Softmin of t = 10 and t = 40 is (1, 0) to 13 digits: d loss/d score of unit 0 is 1, of the score by t -1.
    k = np.arange(40)
    by_spike = np.where(k < 10, k - 10, np.where(k == 10, -20, 0))
    np.testing.assert_allclose(gradient[0, :, 0], -1.0 * by_spike, atol=1e-10)


def test_a_silent_unit_has_a_gradient_that_wakes_it():
    """Nobody spikes: a spike of the labelled unit would lower the loss, most of all an early one."""
    _, gradient, _ = latency(tau=5).evaluate(np.zeros((1, 20, 2)), np.array([0]))
    assert (gradient[0, :, 0] < 0).all()
    assert (np.diff(gradient[0, :, 0]) > 0).all()


# Distances


def test_a_spike_too_many_costs_one_half_wherever_it_is():
    """1/tau int_0^inf exp(-2t/tau) dt = 1/2, also beyond the end of the sample (van Rossum 2001)."""
    for step in (0, 17, 39):
        for train, target in ((spikes_at(step), spikes_at()), (spikes_at(), spikes_at(step))):
            assert van_rossum(tau=12 * ms, dt=1 * ms).evaluate(train, target)[0] == pytest.approx(0.5)


def test_a_spike_that_is_late_costs_one_minus_the_exponential():
    """Two spikes a time d apart: 1/2 + 1/2 - exp(-d/tau) (van Rossum 2001)."""
    for late in (0, 1, 5, 20):
        value, _, _ = van_rossum(tau=12.0).evaluate(spikes_at(10 + late), spikes_at(10))
        assert value == pytest.approx(1 - math.exp(-late / 12), abs=1e-12)


def test_van_rossum_with_a_long_memory_counts_spikes():
    """For tau much longer than the sample D^2 goes to (difference of the counts)^2 / 2: 3 and 1 spikes make 2."""
    value, _, _ = van_rossum(tau=1e6).evaluate(spikes_at(1, 8, 30), spikes_at(20))
    assert value == pytest.approx(2, rel=1e-4)


def test_regression_errors_of_a_constant_offset():
    """An output that is 3 above the target everywhere: squared 9, absolute 3, and slopes 6 and 1 over the size."""
    target = np.zeros((2, 5, 1))
    value, gradient, predictions = mean_squared_error().evaluate(target + 3, target)
    assert (value, predictions) == (9, None)
    np.testing.assert_allclose(gradient, 0.6)
    value, gradient, _ = mean_absolute_error().evaluate(target + 3, target)
    assert value == 3
    np.testing.assert_allclose(gradient, 0.1)


@pytest.mark.parametrize("loss", DISTANCES, ids=lambda loss: loss.name)
def test_the_target_itself_costs_nothing(loss):
    output, _ = case(loss)
    value, gradient, _ = loss.evaluate(output, output)
    assert value == 0
    assert not gradient.any()


# Regularisers


@pytest.mark.parametrize("regulariser", [rate_band(2, 4, strength=0.3), rate_band(3, 3), sparsity(0.2)])
def test_gradient_of_a_regulariser_is_that_of_its_value(regulariser):
    counts = np.array([[0.0, 3, 9], [1, 4, 6]])
    _, gradient = regulariser.evaluate(counts)
    slope = finite_difference(lambda x: regulariser.evaluate(x)[0], counts)
    np.testing.assert_allclose(gradient, slope, rtol=1e-6, atol=1e-9)


def test_rates_within_the_band_are_free():
    """Means over samples of 2, 3 and 4 spikes, single samples outside: the band is on means."""
    value, gradient = rate_band(2, 4).evaluate(np.array([[0, 3, 8], [4, 3, 0]]))
    assert value == 0
    assert not gradient.any()


def test_rates_outside_the_band_cost_the_square_of_the_distance():
    """Means 1 and 7 for a band 2 to 4: (1 + 9)/2 = 5. One spike of 2 x 2 counts: 2 x (-1)/4 and 2 x 3/4."""
    value, gradient = rate_band(2, 4).evaluate(np.array([[1, 6], [1, 8]]))
    assert value == 5
    np.testing.assert_allclose(gradient, [[-0.5, 1.5], [-0.5, 1.5]])


def test_every_spike_has_one_price():
    """10 spikes of 2 samples x 2 units at strength 0.2: 0.2 x 10/4."""
    value, gradient = sparsity(0.2).evaluate(np.array([[1, 2], [3, 4]]))
    assert value == pytest.approx(0.5)
    np.testing.assert_allclose(gradient, 0.05)


# What is refused


@pytest.mark.parametrize(
    ("output", "target", "problem"),
    [
        (np.zeros((2, 3)), [0, 1], "expected .samples, steps, units"),
        (np.zeros((2, 0, 3)), [0, 1], "none of them 0"),
        (np.zeros((2, 3, 4), dtype=int), [0, 1], "expected float32 or float64"),
        (np.full((2, 3, 4), np.nan), [0, 1], "output holds NaN"),
        (np.zeros((2, 3, 4)), [0, 1, 2], "each of 2 samples"),
        (np.zeros((2, 3, 4)), [0.0, 1.0], "a whole number"),
        (np.zeros((2, 3, 4)), [0, 4], "expected 0 to 3"),
        (np.zeros((2, 3, 4)), [-1, 0], "expected 0 to 3"),
    ],
)
def test_outputs_and_labels_that_do_not_fit_are_refused(output, target, problem):
    with pytest.raises(InputError, match=problem):
        max_over_time().evaluate(output, target)


@pytest.mark.parametrize(("target", "problem"), [(np.zeros((2, 3)), "that of the output"), (np.inf, "hold NaN or inf")])
def test_traces_that_do_not_fit_are_refused(target, problem):
    target = np.full((2, 3, 4), target) if np.ndim(target) == 0 else target
    with pytest.raises(InputError, match=problem):
        mean_squared_error().evaluate(np.zeros((2, 3, 4)), target)


@pytest.mark.parametrize(("counts", "problem"), [([1, 2], "expected .samples, units"), ([[np.nan]], "hold NaN")])
def test_counts_that_are_none_are_refused(counts, problem):
    with pytest.raises(InputError, match=problem):
        sparsity().evaluate(counts)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: latency(tau=10 * ms), "expected two times"),
        (lambda: van_rossum(tau=10 * ms, dt=0.1), "expected two times"),
        (lambda: van_rossum(tau=-1), "expected a positive number"),
        (lambda: rate(gain=0), "expected a positive number"),
        (lambda: rate_band(5, 2), "expected 0 <= fewest <= most"),
        (lambda: sparsity(math.nan), "expected a positive number"),
        (lambda: Loss(name="own", on="state"), "one of the two"),
        (lambda: Loss(name="own", on="v", distance=lambda output, target: (0.0, output)), "'state' or 'spikes'"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(make, problem):
    with pytest.raises(ParameterError, match=problem):
        make()


def test_a_distance_predicts_no_labels():
    with pytest.raises(ParameterError, match="use a classification loss"):
        van_rossum(tau=3).predict(np.zeros((1, 2, 3)))
