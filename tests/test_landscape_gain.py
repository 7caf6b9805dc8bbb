"""Where firing dies and where it saturates: a neuron of which both are known, and a layer of others."""

import numpy as np
import pytest
from landscape_networks import model_of, two_layers

from dvs.errors import ParameterError
from learning import losses
from learning.landscape.gain import GainSweep, gain_sweep

STEPS, TAU = 60, 10


@pytest.fixture(scope="module")
def driven():
    """Neurons with a leak of 10 steps, each told 1 in every step; the model, and its sample."""
    net = two_layers(1, 4, 2)
    net.first.w, net.second.w = [1.0, 1.0, 1.0, 0.5], np.linspace(-0.1, 0.1, 8)
    model = model_of(net, STEPS)
    # A short sample and a long one, so that there is something to learn.
    samples = np.ones((2, STEPS, 1), int)
    samples[1, STEPS // 2 :] = 0
    return model, samples, np.array([0, 1])


def sweep(driven, gains, **options):
    model, samples, labels = driven
    options = {"scaled": ["first.w"], "progress": False, **options}
    return gain_sweep(model, samples, labels, losses.mean_over_time(), gains, **options)


def test_a_neuron_dies_below_its_rheobase_and_saturates_above_its_threshold(driven):
    """With k = exp(-dt/tau), v decays by k, is compared, and then the input w is added. Without a spike v before the
    comparison comes to w k/(1 - k), in n inputs to w k (1 - k^n)/(1 - k): below the threshold 1 the neuron never fires.
    The reset takes 1 away: it fires in each step if k (v - 1 + w) > 1 for any v > 1, so from w > 1/k on, in all steps
    but the first, which no input has come before. The fourth neuron has half the weight, and both at twice the gain.
    """
    kept = np.exp(-1 / TAU)
    rheobase = (1 - kept) / kept / (1 - kept ** (STEPS - 1))
    ceiling = 1 / kept
    gains = np.geomspace(0.08, 3, 90)
    grid = gains[1] / gains[0]
    model, samples, labels = driven
    found = gain_sweep(
        model, samples[:1], labels[:1], losses.mean_over_time(), gains, scaled=["first.w"], steps=0,
        saturated=(STEPS - 1.5) / STEPS, progress=False,
    )  # fmt: skip
    for share, factor in ((0.99, 1), (0.24, 2)):
        first_alive = gains[np.argmax(found.dead["hidden"] < share)]
        assert rheobase * factor <= first_alive < rheobase * factor * grid
    for share, factor in ((0.7, 1), (0.99, 2)):
        first_full = gains[np.argmax(found.saturated["hidden"] > share)]
        assert ceiling * factor / grid <= first_full < ceiling * factor * grid
    low, high = found.band
    assert rheobase <= low < rheobase * grid
    assert ceiling / grid**2 < high < ceiling * grid


def test_above_the_rheobase_spikes_are_what_the_leak_leaves(driven):
    """In n steps w n comes in, r n spikes take 1 each, and the leak (1 - k) of each v that it meets, which is between
    0 and 1 + w: so w - (1 - k)(1 + w) <= r <= w, but for the ends."""
    model, samples, labels = driven
    gains = np.array([0.3, 0.5, 0.8])
    found = gain_sweep(
        model, samples[:1], labels[:1], losses.mean_over_time(), gains, scaled=["first.w"], steps=0, progress=False
    )
    weights = gains[:, None] * [1, 1, 1, 0.5]
    lost = 1 - np.exp(-1 / TAU)
    most, least = weights.mean(axis=1), (weights - lost * (1 + weights)).mean(axis=1)
    rates = found.rates["hidden"]
    assert (rates <= most).all()
    assert (rates >= least - 2 / STEPS).all()


def test_a_refractory_neuron_is_full_at_fewer_spikes(driven):
    """Told that the layer can fire in half of the steps, a rate of 0.49 is saturation."""
    model, samples, labels = driven
    loss = losses.mean_over_time()
    known = {"scaled": ["first.w"], "steps": 0, "progress": False}
    free = gain_sweep(model, samples[:1], labels[:1], loss, [0.8], **known)
    held = gain_sweep(model, samples[:1], labels[:1], loss, [0.8], fastest={"hidden": 0.5}, **known)
    assert free.saturated["hidden"] == 0
    assert held.saturated["hidden"] == 0.75


def test_dead_neurons_have_no_gradient_to_the_readout(driven):
    """Their traces are all zero, and so is the derivative by weights that they feed; those of living ones are not."""
    found = sweep(driven, [0.01, 0.5], steps=0)
    assert found.gradients["second.w"][0] == 0
    assert found.gradients["second.w"][1] > 0
    assert found.loss[0] == pytest.approx(np.log(2))


def test_training_lowers_the_loss_where_neurons_fire_and_the_model_stays(driven):
    model = driven[0]
    before = {name: value.copy() for name, value in model.parameters.items()}
    found = sweep(driven, [0.02, 0.5], steps=30)
    assert found.trained[1] < found.loss[1]
    assert found.loss[1] - found.trained[1] > 3 * (found.loss[0] - found.trained[0])
    for name, value in before.items():
        np.testing.assert_array_equal(model.parameters[name], value)
    assert "best at 0.5" in found.reading
    assert found.learns[1] == 0.5


def a_sweep(dead, saturated):
    gains = np.arange(1.0, 1 + len(dead))
    nothing = np.full(len(dead), np.inf)
    return GainSweep(
        gains=gains, rates={"a": gains}, dead={"a": np.array(dead)}, saturated={"a": np.array(saturated)},
        gradients={}, loss=gains, trained=nothing, most=0.5,
    )  # fmt: skip


def test_the_band_is_the_longest_run_of_usable_gains():
    assert a_sweep([1, 0.5, 0.6, 0, 0, 0], [0, 0, 0, 0.1, 0.5, 0.9]).band == (4, 5)
    assert a_sweep([1, 1], [0, 0]).band is None
    assert "no gain is usable" in a_sweep([1, 1], [0, 0]).reading
    assert "at a gain of 2 alone" in a_sweep([1, 0], [0, 0]).reading


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gains": [1.0, 0.5]}, "ascending order"),
        ({"gains": [0.0, 0.5]}, "above 0"),
        ({"saturated": 0.0}, "0 < saturated <= 1"),
        ({"steps": -1}, "0 steps or more"),
        ({"scaled": ["third.w"]}, r"\['third.w'\] cannot be scaled"),
        ({"fastest": {"readout": 1.0}}, r"fastest is given for \['readout'\]"),
    ],
)
def test_what_does_not_fit_is_refused(driven, options, said):
    with pytest.raises(ParameterError, match=said):
        sweep(driven, **{"gains": [1.0], **options})


def test_pictures_are_drawn(driven):
    found = sweep(driven, [0.1, 0.5, 2.0], steps=1)
    assert found.plot().get_xlabel() == found.plot(show="learning").get_xlabel() == "gain of the weights"
