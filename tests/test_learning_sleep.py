"""Sleep: the spiking copy fires as the units are active, plasticity keeps its formula, and what was lost comes back."""

from pathlib import Path

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, PoissonGroup, SpikeGeneratorGroup, SpikeMonitor, TimedArray, kHz, ms, seed

from dvs.errors import InputError, ParameterError
from learning.sleep import (
    Sleep,
    accuracy,
    activities,
    balanced_rate,
    first_weights,
    hebbian,
    keeps,
    normalised,
    relive,
    shuffled,
    sleep,
    spiking_copy,
    train,
)
from snn.neurons import integrate_and_fire, lif
from snn.synapses import connect, dense

SIZES = [30, 20, 20, 6]


@pytest.fixture
def weights():
    return first_weights(SIZES, np.random.default_rng(0))


@pytest.fixture
def inputs():
    return np.random.default_rng(1).random((50, SIZES[0]))


def plan(**changes):
    """A short night in which all layers fire."""
    settings = {
        "steps": 100,
        "parts": 1,
        "rate": 0.3,
        "thresholds": (0.2, 0.2, 0.2),
        "inc": (0.01,) * 3,
        "dec": (0.02,) * 3,
    }
    return Sleep(**settings | changes)


# Awake


def test_normalising_changes_no_decision(weights, inputs):
    """Rectified units without biases are homogeneous: a positive factor on a layer is a factor on all outputs."""
    before, after = activities(weights, inputs), activities(normalised(weights, inputs, percentile=100), inputs)
    ratio = after[-1] / before[-1]
    assert np.allclose(ratio, ratio[0, 0])
    assert [layer.max() for layer in after[1:]] == pytest.approx([1, 1, 1])


def test_training_goes_down_the_gradient_of_the_squared_error(weights, inputs):
    """One step of one batch without momentum is -rate times the finite difference of the error."""
    labels = np.arange(50) % 6
    targets = np.eye(6)[labels]

    def error(layers):
        return 0.5 * ((activities(layers, inputs)[-1] - targets) ** 2).sum() / 50

    rng, once = np.random.default_rng(0), {"epochs": 1, "rate": 0.1, "momentum": 0, "batch": 50, "dropout": 0}
    learnt = train(weights, inputs, labels, rng=rng, **once)
    for layer, pair in ((0, (3, 4)), (1, (5, 6)), (2, (7, 2))):
        sides = []
        for step in (1e-5, -1e-5):
            moved = [matrix.copy() for matrix in weights]
            moved[layer][pair] += step
            sides.append(error(moved))
        slope = (sides[0] - sides[1]) / 2e-5
        assert learnt[layer][pair] - weights[layer][pair] == pytest.approx(-0.1 * slope, rel=1e-4, abs=1e-9)


# The spiking copy


def test_spiking_copy_fires_in_proportion_to_the_rectified_activities(weights):
    """A counter without leak that subtracts its threshold fires at mean input/threshold, or never.

    Input j fires x_j a step on average, so that unit i of the first layer fires max(0, sum_j w_ji x_j)/threshold a
    step, which is the activity of the rectified unit; likewise from layer to layer while no rate reaches 1 a step.
    Of N = 4000 steps the error of a rate is its count's, of the order sqrt(sum w^2 x/N)/threshold.
    """
    steps, x = 4000, 0.3 * np.random.default_rng(2).random(SIZES[0])
    seed(3)
    source = PoissonGroup(SIZES[0], x * kHz, dt=1 * ms, name="layer0")
    network = spiking_copy(weights, source, [integrate_and_fire()] * 3)
    monitors = [SpikeMonitor(network[f"layer{k}"], record=False) for k in (1, 2, 3)]
    network.add(monitors)
    network.run(steps * ms)
    expected = activities(weights, x[None])
    for k, monitor in enumerate(monitors, 1):
        rates, units = monitor.count[:] / steps, np.maximum(expected[k][0], 0)
        assert np.corrcoef(rates, units)[0, 1] > 0.95
        assert np.abs(rates - units).max() < 0.1 * units.max() + 5 / np.sqrt(steps)


def test_copy_has_the_weights_of_the_network(weights):
    network = spiking_copy(weights, PoissonGroup(SIZES[0], 0 * kHz, name="layer0"), [lif()] * 3)
    for k, matrix in enumerate(weights, 1):
        assert np.array_equal(network[f"synapses{k}"].w[:].reshape(matrix.shape), matrix)


# Plasticity


def pair_of_neurons(source_steps, target_steps, inc=0.1, dec=0.2, w=2.0):
    """The weight after spikes at given steps of 1 ms."""
    source = SpikeGeneratorGroup(1, np.zeros(len(source_steps), int), source_steps * ms, dt=1 * ms)
    fires = np.zeros(50)
    fires[target_steps] = 1
    target = NeuronGroup(
        1, "v : 1", threshold="fires(t) > 0.5", reset="", dt=1 * ms, namespace={"fires": TimedArray(fires, dt=1 * ms)}
    )
    synapses = connect(source, target, dense([[w]]), hebbian(inc, dec))
    synapses.post.order = -1
    Network(source, target, synapses).run(50 * ms)
    return synapses.w[0]


@pytest.mark.parametrize(
    ("source_steps", "target_steps", "factor"),
    [([10], [11], 1.1), ([10], [10], 0.8), ([10], [12], 0.8), ([], [10, 20], 0.64), ([10, 30], [], 1), ([], [], 1)],
    ids=["in turn", "together", "too late", "target alone twice", "source alone", "silence"],
)
@pytest.mark.parametrize("w", [2.0, -2.0])
def test_weight_grows_only_if_the_source_fired_just_before(source_steps, target_steps, factor, w):
    """(1 + inc) for a spike of the target one step after one of the source, (1 - dec) for any other."""
    assert pair_of_neurons(np.array(source_steps), np.array(target_steps, int), w=w) == pytest.approx(factor * w)


def test_gain_and_loss_balance_at_one_share_of_pairs():
    """p ln(1 + inc) + (1 - p) ln(1 - dec) = 0; with (1 - dec) = (1 + inc)^-3 that is p = 3/4: of 4 spikes 3 paired."""
    inc = 0.1
    target_steps = np.array([5, 10, 15, 20])
    assert pair_of_neurons(target_steps[:3] - 1, target_steps, inc=inc, dec=1 - 1.1**-3) == pytest.approx(2.0)


def test_depression_makes_loud_and_soft_neurons_alike():
    """Counters that are driven by w a step and lose the share dec of w at a spike follow r/(1 + dec r t).

    Their drive is constant but for w: dr/dt = -dec r^2. After 2000 steps rates 0.4 and 0.1 are 1/42.5 and 1/50.
    """
    steps, dec = 2000, 0.02
    drive = np.array([0.4, 0.1])
    # The source fires in every step, the window is so short that it never pairs.
    source = NeuronGroup(2, "v : 1", threshold="v < 1", reset="", dt=1 * ms)
    target = integrate_and_fire().group(2, dt=1 * ms)
    synapses = connect(source, target, dense(np.diag(drive)), hebbian(0, dec, window=0.5 * ms))
    synapses.post.order = -1
    Network(source, target, synapses).run(steps * ms)
    rate = np.diag(synapses.w[:].reshape(2, 2))
    assert rate == pytest.approx(balanced_rate(drive, dec, steps), rel=0.05)
    assert rate[0] / rate[1] < 1.25 < drive[0] / drive[1]


def test_sleep_without_spikes_changes_nothing(weights):
    night = sleep(weights, np.zeros(SIZES[0]), plan(), seed=0)
    assert sum(len(trains) for trains in night.spikes) == 0
    for before, after in zip(weights, night.weights, strict=True):
        assert np.array_equal(before, after)


def test_sleep_without_plasticity_changes_nothing_but_fires_the_same_noise(weights):
    intensity = np.ones(SIZES[0])
    night, still = (sleep(weights, intensity, p, seed=0) for p in (plan(), plan().without_plasticity()))
    assert np.array_equal(night.spikes[0].t, still.spikes[0].t)
    assert len(still.spikes[-1]) > 0
    for before, after in zip(weights, still.weights, strict=True):
        assert np.array_equal(before, after)


def test_only_weights_into_neurons_that_fired_change_and_none_changes_sign(weights):
    night = sleep(weights, np.ones(SIZES[0]), plan(), seed=0)
    for trains, before, after in zip(night.spikes[1:], weights, night.weights, strict=True):
        fired = trains.counts()[0] > 0
        assert fired.any()
        assert np.array_equal((before != after).any(axis=0), fired)
        assert np.array_equal(np.sign(before), np.sign(after))


def test_weights_follow_from_the_spikes_alone(weights):
    """The product, over spikes of the target, of 1 + inc where the source fired one step before and 1 - dec elsewhere.

    So spikes of the night that are played to the same plasticity make the same weights, exactly.
    """
    p = plan()
    night = sleep(weights, np.ones(SIZES[0]), p, seed=0)
    grids = []
    for trains in night.spikes:
        grid = np.zeros((p.steps + 1, trains.neurons))
        grid[np.rint(np.asarray(trains.t / p.dt)).astype(int) + 1, trains.neuron] = 1
        grids.append(grid)  # row k + 1 is step k; before step 0 there is nothing
    for k, (before, after) in enumerate(zip(weights, night.weights, strict=True)):
        paired = grids[k][:-1].T @ grids[k + 1][1:]
        alone = grids[k + 1].sum(axis=0) - paired
        assert np.allclose(after, before * 1.01**paired * 0.98**alone, rtol=1e-12)
    for after, again in zip(night.weights, relive(weights, night.spikes, p), strict=True):
        assert np.array_equal(after, again)


def test_a_night_is_repeated_by_its_seed_and_leaves_the_worlds_chance_alone(weights):
    np.random.seed(5)  # noqa: NPY002  (the generator that Brian2 seeds)
    expected = np.random.RandomState(5).random_sample()
    nights = [sleep(weights, np.ones(SIZES[0]), plan(), seed=s) for s in (4, 4, 5)]
    assert np.random.random_sample() == expected  # noqa: NPY002
    same, other = (np.array_equal(nights[0].weights[0], night.weights[0]) for night in nights[1:])
    assert same
    assert not other


def test_the_night_ends_before_it_does_harm(weights):
    """Of parts of 25 steps the third is refused: the morning is that of the second, as if no more had been slept."""
    asked = []

    def twice(now):
        asked.append(now)
        return len(asked) < 3

    intensity = np.ones(SIZES[0])
    night = sleep(weights, intensity, plan(parts=4), seed=0, goes_on=twice)
    short = sleep(weights, intensity, plan(steps=50), seed=0)
    assert night.plan.steps == 50
    assert [len(trains) for trains in night.spikes] == [len(trains) for trains in short.spikes]
    for at_end, as_short, refused in zip(night.weights, short.weights, asked[2], strict=True):
        assert np.array_equal(at_end, as_short)
        assert not np.array_equal(at_end, refused)


def test_a_night_that_only_does_harm_is_none(weights):
    night = sleep(weights, np.ones(SIZES[0]), plan(), seed=0, goes_on=lambda now: False)
    assert night.plan.steps == 0
    assert all(len(trains) == 0 for trains in night.spikes)
    assert night.weights is weights


@pytest.mark.parametrize(("wrong", "fine"), [(0, True), (2, True), (3, False)])
def test_new_task_is_kept_by_the_share_that_was_asked_for(wrong, fine):
    """Of 50 inputs that all were named right, 95 % is 47.5, which 48 are and 47 are not."""
    before, inputs, labels = [np.eye(50)], np.eye(50), np.arange(50)
    now = np.eye(50)
    now[np.arange(1, 1 + wrong), np.arange(1, 1 + wrong)] = 0  # the largest of equal outputs is the first, 0
    assert keeps(before, inputs, labels, 0.95)([now]) == fine


def test_shuffles_keep_what_they_say(weights):
    """Another order keeps the spikes of each neuron, other neurons keep the spikes of each step; both all in number."""
    p = plan()
    night = sleep(weights, np.ones(SIZES[0]), p, seed=0)
    order, neurons = (shuffled(night, what, np.random.default_rng(0)) for what in ("order", "neurons"))
    for real, in_order, of_neurons in zip(night.spikes, order, neurons, strict=True):
        assert np.array_equal(real.counts(), in_order.counts())
        assert np.allclose(np.sort(real.t / ms), np.sort(of_neurons.t / ms))
        assert np.array_equal(np.sort(real.counts()), np.sort(of_neurons.counts()))


# What it is for


@pytest.mark.slow
def test_sleep_brings_back_what_the_new_task_outbid_and_shuffled_neurons_do_not():
    """Digits 0 to 4, then 5 to 9, judged among all ten on images that were not learnt from."""
    with np.load(Path(__file__).parents[1] / "examples" / "data" / "digits.npz") as file:
        images, labels = file["images"], file["labels"]
    inputs = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(len(images), -1) / 255
    known = np.concatenate([np.flatnonzero(labels == digit)[:70] for digit in range(10)])
    (old, new), (old_judge, new_judge) = (
        [(inputs[chosen & half], labels[chosen & half]) for half in (labels < 5, labels >= 5)]
        for chosen in (np.isin(np.arange(len(labels)), known), ~np.isin(np.arange(len(labels)), known))
    )
    rng = np.random.default_rng(0)
    learnt = train(train(first_weights([196, 200, 200, 10], rng), *old, rng=rng), *new, rng=rng)
    awake = normalised(learnt, new[0])
    night = sleep(awake, new[0].mean(axis=0), seed=0, goes_on=keeps(awake, *new))
    control = relive(awake, shuffled(night, "neurons", rng), night.plan)
    assert accuracy(awake, *old_judge) <= 0.05
    assert accuracy(night.weights, *old_judge) >= 0.75
    assert (accuracy(night.weights, *old_judge) + accuracy(night.weights, *new_judge)) / 2 >= 0.78
    assert accuracy(control, *old_judge) < 0.5


# Errors


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: hebbian(0.1, 1.0), "dec from 0 to below 1"),
        (lambda: hebbian(-0.1, 0.1), "inc of 0 or more"),
        (lambda: Sleep(dec=(0.1,)), "one number of each a layer"),
        (lambda: Sleep(steps=-1), "0 or more"),
    ],
)
def test_a_night_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ParameterError, match=message):
        wrong()


def test_what_does_not_fit_the_network_is_refused(weights, inputs):
    night = sleep(weights, np.zeros(SIZES[0]), plan(), seed=0)
    with pytest.raises(InputError, match=r"expected \(30,\)"):
        sleep(weights, np.zeros(7), plan(), seed=0)
    with pytest.raises(ParameterError, match="the weights are of 3"):
        spiking_copy(weights, PoissonGroup(SIZES[0], 0 * kHz), [lif()])
    with pytest.raises(InputError, match="the weights of"):
        relive(weights, night.spikes[:2], plan())
    with pytest.raises(ParameterError, match="expected 'order' or 'neurons'"):
        shuffled(night, "labels", np.random.default_rng(0))
    with pytest.raises(InputError, match="a layer is silent"):
        normalised(weights, np.zeros_like(inputs))
