"""Errors against the number of parameters: laws that are known, and the readout of spiking neurons."""

import numpy as np
import pytest

from dvs.errors import InputError, ParameterError
from learning.landscape.widths import gaussian_sweep, least_squares_risk, ridge_risk, width_sweep


def test_the_expected_error_is_that_of_many_draws():
    """Means of 600 draws, whose variance is finite where p is 4 or more away from n."""
    beta = np.full(60, 1 / np.sqrt(60))
    widths = [2, 6, 10, 14, 28, 40, 60]
    found = gaussian_sweep(beta, samples=20, noise=0.5, widths=widths, repeats=600, progress=False)
    np.testing.assert_allclose(found.test[0].mean(axis=1), found.law[0], rtol=0.05)


def test_the_error_that_is_expected_is_written_out_once_by_hand():
    """n = 10. p = 4 of coefficients of squared length 0.4, 0.6 unseen, noise 0.25: 0.85 (1 + 4/5) = 1.53.
    p = 21: seen 1, rest 0.25: 1 - 10/21 + 0.25 (1 + 10/10)."""
    found = least_squares_risk([4, 21], 10, seen=[0.4, 1.0], rest=[0.85, 0.25])
    assert found.tolist() == pytest.approx([1.53, 11 / 21 + 0.5])
    assert np.isinf(least_squares_risk([9, 10, 11], 10, seen=1, rest=1)).all()
    assert np.isfinite(least_squares_risk([8, 12], 10, seen=1, rest=1)).all()


def test_training_errors_fall_in_a_line_to_zero_at_the_peak():
    """A fit of p parameters leaves n - p of n directions of the noise: rest (1 - p/n)."""
    beta = np.full(40, 0.1)
    found = gaussian_sweep(beta, samples=20, noise=1.0, widths=[5, 10, 15, 20, 30], repeats=300, progress=False)
    rest = 0.4 - np.array([5, 10, 15]) * 0.01 + 1
    np.testing.assert_allclose(found.train[0].mean(axis=1)[:3], rest * (1 - np.array([5, 10, 15]) / 20), rtol=0.06)
    np.testing.assert_allclose(found.train[0][3:], 0, atol=1e-15)


@pytest.mark.parametrize("samples", [15, 30])
def test_the_peak_is_where_parameters_meet_samples(samples):
    found = gaussian_sweep(
        np.full(120, 0.1), samples=samples, widths=range(samples - 8, samples + 9), repeats=40, progress=False
    )
    assert found.peak == samples
    assert f"highest at {samples} parameters" in found.reading


def test_a_ridge_has_its_law_and_the_best_has_no_peak():
    """The law is one of the limit; at n = 60 it holds to some percent."""
    beta = np.full(200, 1 / np.sqrt(200))
    widths = [20, 60, 100, 200]
    found = gaussian_sweep(beta, samples=60, widths=widths, ridge=20.0, repeats=60, progress=False)
    np.testing.assert_allclose(found.test[1].mean(axis=1), found.law[1], rtol=0.05)
    p = np.arange(1, 200)
    best = ridge_risk(p, 60, ridge=None, seen=p / 200, rest=1 - p / 200 + 0.25)
    assert (np.diff(best) < 0).all()
    worse = [ridge_risk(p, 60, ridge=f * p * (1 - p / 200 + 0.25) / (p / 200), seen=p / 200, rest=1 - p / 200 + 0.25)
             for f in (0.5, 2)]  # fmt: skip
    assert (np.array(worse) > best).all()


def test_without_a_ridge_its_law_is_that_of_least_squares():
    """For a ridge that goes to zero, in the limit of large p and n at the same ratio."""
    p, n = np.array([5000, 20_000]), 10_000
    np.testing.assert_allclose(
        ridge_risk(p, n, ridge=1e-6, seen=0.5, rest=0.7), least_squares_risk(p, n, seen=0.5, rest=0.7), rtol=1e-3
    )


def test_a_tuned_ridge_is_near_the_best_one():
    beta = np.full(200, 1 / np.sqrt(200))
    found = gaussian_sweep(beta, samples=60, widths=[20, 60, 200], ridge="tuned", repeats=40, progress=False)
    np.testing.assert_allclose(np.median(found.test[1], axis=1), found.law[1], rtol=0.1)


def test_features_that_never_vary_are_no_parameters():
    """Half of 60 features are zero: 20 samples are met by about 40 parameters of which 20 count."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((300, 60)) * np.repeat([1, 0], 30)
    targets = features @ rng.standard_normal(60) + rng.standard_normal(300)
    found = width_sweep(features, targets, samples=20, widths=range(20, 61, 4), repeats=40, progress=False)
    assert 32 <= found.peak <= 48
    assert found.ranks[0] == pytest.approx(10, abs=1)
    assert found.ranks[-1] == 20


def test_clean_targets_of_few_features_are_learnt_without_error():
    features = np.random.default_rng(0).standard_normal((50, 5))
    found = width_sweep(features, features[:, :2], samples=20, widths=[5], repeats=3, progress=False)
    np.testing.assert_allclose(found.test, 0, atol=1e-25)
    assert found.wrong is None


def test_so_many_labels_are_wrong_as_were_asked_for():
    """Two classes, one feature that tells them: a fit of +-1/2 with a share q wrong has the slope 1 - 2q, and leaves
    1/4 - (1 - 2q)^2/4 in each of two outputs; what is told of new samples is still right."""
    labels = np.arange(400) % 2
    features = (labels - 0.5)[:, None]
    found = width_sweep(features, labels, samples=200, noise=0.2, widths=[1], repeats=5, progress=False)
    np.testing.assert_allclose(found.train, 2 * (0.25 - 0.36 / 4), rtol=1e-9)
    np.testing.assert_allclose(found.wrong, 0)


@pytest.fixture(scope="module")
def spike_counts():
    """Counts (400, 90) of a random layer of leaky neurons for noisy copies of four patterns, and which it was."""
    import brian2

    import snn
    from learning import trainable
    from snn.neurons import lif

    kept = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"
    brian2.BrianLogger.suppress_name("unused_brian_object")
    brian2.start_scope()
    ms = brian2.ms
    brian2.defaultclock.dt = 1 * ms
    rng = np.random.default_rng(0)
    source = brian2.SpikeGeneratorGroup(40, [], [] * ms, name="source")
    network = snn.feedforward(source, [snn.Dense(90, lif(tau=20 * ms), gain=4, name="hidden")], seed=1)
    model = trainable(
        network, inputs=source, output="hidden", parameters=["hidden_in.w"], duration=60 * ms, threads=1, namespace={}
    )
    rates, labels = rng.uniform(0.02, 0.2, (4, 40)), rng.integers(0, 4, 400)
    samples = (rng.random((400, 60, 40)) < rates[labels][:, None]).astype(int)
    yield model.forward(samples).counts["hidden"], labels
    brian2.prefs.codegen.target = kept


def test_the_readout_of_spiking_neurons_peaks_where_its_weights_meet_the_samples(spike_counts):
    counts, labels = spike_counts
    widths = [10, 20, 26, 28, 29, 30, 31, 32, 34, 40, 60, 90]
    found = width_sweep(counts, labels, samples=30, noise=0.2, widths=widths, ridge="tuned", repeats=20, progress=False)
    assert abs(found.peak - 30) <= 1
    none, tuned = np.median(found.test, axis=2)
    assert none[widths.index(30)] > 10 * none[-1]
    assert tuned.max() < 1.2 * tuned[0]
    assert np.median(found.wrong[1], axis=1)[-1] < 0.2


def test_a_sweep_is_the_same_again():
    one, again, other = (
        gaussian_sweep(np.ones(10), samples=5, repeats=2, seed=seed, progress=False).test for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 20}, "samples is 20, expected 1 to 19"),
        ({"noise": 1.5}, "noise is 1.5, expected a share of labels"),
        ({"ridge": "best"}, "ridge is 'best', expected a number, 'tuned' or None"),
        ({"ridge": 0}, "ridge is 0, expected more than 0"),
        ({"repeats": 0}, "repeats is 0"),
        ({"widths": [1, 7]}, "expected from 1 to the 6 features"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    features, labels = np.random.default_rng(0).random((20, 6)), np.arange(20) % 2
    with pytest.raises(ParameterError, match=message):
        width_sweep(features, labels, **{"samples": 10, "progress": False} | options)


def test_wrong_data_are_refused():
    with pytest.raises(InputError, match=r"shape \(20,\)"):
        width_sweep(np.ones(20), np.ones(20), samples=5)
    with pytest.raises(InputError, match="one label"):
        width_sweep(np.ones((20, 3)), np.ones(20, int), samples=5)
    with pytest.raises(InputError, match="coefficients"):
        gaussian_sweep([[1.0]])
    with pytest.raises(ParameterError, match="noise is -1"):
        gaussian_sweep([1.0], noise=-1)


def test_a_sweep_has_a_picture():
    found = gaussian_sweep(np.ones(30), samples=10, ridge="tuned", repeats=3, progress=False)
    ax = found.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("parameters p", "squared error")
    assert str(found) == found.reading
