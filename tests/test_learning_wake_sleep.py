"""Wake and sleep: what changes a weight, against enumeration; and what is dreamt after learning."""

from itertools import product

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, StateMonitor, defaultclock, device, ms, set_device
from brian2 import seed as seed_brian
from scipy.special import expit

from dvs import emulate
from dvs.errors import InputError, ParameterError
from learning.plasticity import attach
from learning.sampling import boltzmann, clamp, couple_layers, sampling_neurons, states
from learning.wake_sleep import Machine, Schedule, days_and_nights, dream, film, newborn, rates, train, wake_sleep


@pytest.fixture(autouse=True)
def steps_of_a_millisecond():
    defaultclock.dt = 1 * ms


def small_machine(visible=3, hidden=2, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return Machine(
        weights=rng.normal(0, size, (visible, hidden)),
        visible=rng.normal(0, 0.5, visible),
        hidden=rng.normal(0, 0.5, hidden),
    )


def enumerated(machine):
    """(2**visible, 2**hidden) probabilities of all states of both layers."""
    size = sum(machine.weights.shape)
    weights = np.zeros((size, size))
    weights[: len(machine.visible), len(machine.visible) :] = machine.weights
    p = boltzmann(weights + weights.T, np.concatenate([machine.visible, machine.hidden]))
    return p.reshape(2 ** len(machine.hidden), -1).T


def mean_overlaps(machine, seen):
    """<v h> (visible + 1, hidden + 1) with the last of each always on, when rows of `seen` are held."""
    v = np.hstack([seen, np.ones((len(seen), 1))])
    h = np.hstack([expit(seen @ machine.weights + machine.hidden), np.ones((len(seen), 1))])
    return v.T @ h / len(seen)


# The rule


@pytest.mark.parametrize("phase", [1, -1, 0])
def test_the_third_factor_decides_what_a_meeting_of_two_neurons_does(phase):
    """Neurons that are both on for n steps change their weight by eta * phase * n; others leave it alone."""
    below, above = sampling_neurons(2, tau=5, place=0), sampling_neurons(2, tau=5, place=1)
    clamp(below, [0, 1], [1, 0])
    clamp(above, [0, 1], [1, 0])
    couplings = couple_layers(below, above, np.full((2, 2), 0.3))
    mood = NeuronGroup(1, "phase : 1\nrate : 1")
    mood.phase, mood.rate = phase, 0.5
    plasticity = attach(couplings, wake_sleep(eta=0.01), {"phase": mood.phase, "rate": mood.rate})
    Network(below, above, couplings, mood, plasticity).run(40 * ms)
    expected = np.full((2, 2), 0.3)
    expected[0, 0] += 0.5 * 0.01 * phase * 40
    np.testing.assert_allclose(np.reshape(couplings.w, (2, 2)), expected, rtol=1e-12)


def daily_changes(machine, seen, *, days, seed, tau=2):
    """What each of many weeks adds to the weights, over eta: (weeks, visible + 1, hidden + 1); w hardly moves."""
    schedule = Schedule(days=days, half=6 * tau, settle=3 * tau, tau=tau, eta=1e-9, last=1.0)
    seed_brian(seed)
    network, couplings = days_and_nights(machine, seen, schedule)
    week = StateMonitor(couplings, "w", record=True, dt=20 * 2 * schedule.half * ms, when="start", order=-5)
    network.add(week)
    network.run((schedule.steps + 1) * ms)
    changes = np.diff(np.asarray(week.w).T, axis=0) / (20 * 1e-9)
    return changes.reshape(-1, len(machine.visible) + 1, len(machine.hidden) + 1)[1:]


def assert_mean(changes, expected):
    """Weeks are nearly independent: the mean lies within 5 of its standard errors."""
    error = changes.std(axis=0, ddof=1) / np.sqrt(len(changes))
    assert (np.abs(changes.mean(axis=0) - expected) < 5 * error + 1e-6).all()


def test_what_was_dreamt_before_teaches_nothing():
    """A machine that sees its own samples is at rest: <z z> awake and asleep are the same."""
    machine = small_machine()
    p = enumerated(machine).sum(axis=1)
    seen = states(3)[np.random.default_rng(0).choice(8, 20_000, p=p)]
    assert_mean(daily_changes(machine, seen, days=300, seed=1), 0)


def test_a_day_moves_each_weight_along_the_gradient():
    """In the mean by eta (<z z> awake - <z z> asleep), both counted out; biases are weights of a neuron always on."""
    machine = small_machine(seed=3)
    seen = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    p = enumerated(machine)
    asleep = sum(share * mean_overlaps(machine, v[None]) for v, share in zip(states(3), p.sum(axis=1), strict=True))
    expected = mean_overlaps(machine, seen) - asleep
    assert np.abs(expected).max() > 0.3
    assert_mean(daily_changes(machine, seen, days=300, seed=2), expected)


def test_nothing_is_learnt_while_neurons_settle_and_eta_falls_over_the_days():
    schedule = Schedule(days=4, half=5, settle=2, tau=2, last=0.1)
    network, _ = days_and_nights(small_machine(), np.ones((1, 3)), schedule)
    third = StateMonitor(network["day"], ["phase", "rate"], record=0, when="end")
    network.add(third)
    network.run(schedule.steps * ms)
    np.testing.assert_array_equal(third.phase[0], [0, 0, 1, 1, 1, 0, 0, -1, -1, -1] * 4)
    np.testing.assert_allclose(third.rate[0], 0.1 ** (np.arange(40) / 40), rtol=1e-12)


def test_a_machine_that_never_unlearns_has_a_third_factor_that_is_never_negative():
    schedule = Schedule(days=1, half=3, settle=1, tau=2, unlearns=False)
    network, _ = days_and_nights(small_machine(), np.ones((1, 3)), schedule)
    third = StateMonitor(network["day"], "phase", record=0, when="end")
    network.add(third)
    network.run(schedule.steps * ms)
    np.testing.assert_array_equal(third.phase[0], [0, 1, 1, 0, 0, 0])


def test_by_day_it_sees_the_picture_and_by_night_the_dream_goes_on():
    """Pixels are the picture's for the whole day; in the first step of a night counters go on from the last night."""
    schedule = Schedule(days=30, half=6, settle=2, tau=4)
    network, _ = days_and_nights(small_machine(visible=6), np.array([[1, 0, 1, 1, 0, 0]]), schedule)
    zetas = [StateMonitor(network[name], "zeta", record=True, when="end") for name in ("below", "above")]
    network.add(*zetas)
    seed_brian(4)
    network.run(schedule.steps * ms)
    below, above = (np.asarray(one.zeta).reshape(len(one.zeta), 30, 2, 6) for one in zetas)
    on = below[:6, :, 0] > 0
    np.testing.assert_array_equal(on, np.broadcast_to(np.array([1, 0, 1, 1, 0, 0], bool)[:, None, None], on.shape))
    for layer in (below, above):
        last, first = layer[:-1, :-1, 1, -1], layer[:-1, 1:, 1, 0]
        np.testing.assert_array_equal(first[last > 1], last[last > 1] - 1)
        assert (layer[-1] > 0).all()  # the neuron that is always on


# What a machine knows


def test_free_energy_is_what_is_left_when_hidden_neurons_are_summed_over():
    machine = small_machine(visible=4, hidden=3, seed=5)
    p = enumerated(machine).sum(axis=1)
    boltzmann_factor = np.exp(-machine.free_energy(states(4)))
    np.testing.assert_allclose(boltzmann_factor / boltzmann_factor.sum(), p, rtol=1e-12)


def test_a_picture_is_named_by_the_conditional_probability_of_its_label():
    """2 pixels and 2 label neurons: p(label | pixels) from the enumeration, among the codes of labels."""
    machine = small_machine(visible=4, hidden=3, seed=6)
    p, z = enumerated(machine).sum(axis=1), states(4)
    named = machine.classify([[1, 0], [1, 1]], np.eye(2))
    for row, picture in enumerate(([1, 0], [1, 1])):
        joint = [p[(z == [*picture, *code]).all(axis=1)].item() for code in np.eye(2, dtype=int).tolist()]
        np.testing.assert_allclose(named[row], np.array(joint) / sum(joint), rtol=1e-12)


def test_a_newborn_dreams_pixels_of_the_mean_picture():
    """With small weights each pixel is on with its mean, within 5 binomial standard errors of dreams 10 tau apart."""
    seen = np.tile([0.2, 0.5, 0.9], (4, 1))
    machine = newborn(seen, hidden=4, seed=1)
    z = dream(machine, np.full((1, 3), np.nan), steps=3000, tau=2, hot=1, seed=2)[0, 20::20]
    assert (np.abs(z.mean(axis=0) - seen[0]) < 5 * np.sqrt(0.25 / len(z))).all()


BARS = np.array(
    [[*np.repeat(np.eye(3)[k], 3), 1, 0] for k in range(3)] + [[*np.tile(np.eye(3)[k], 3), 0, 1] for k in range(3)]
)
"""3x3 pixels: a horizontal bar, label 10, or a vertical one, label 01."""


@pytest.mark.slow
def test_after_days_of_bars_it_dreams_the_bars_of_a_label():
    """Likelihood rises from that of the mean picture; most dreams are one of the 3 bars of 512 pictures."""
    schedule = Schedule(days=3000, eta=0.1, last=0.1, half=6, settle=3, tau=3)
    before = newborn(BARS, hidden=12, seed=1)
    after = train(before, BARS, schedule, seed=1)
    everything = np.array(list(product((0, 1), repeat=11)))

    def log_likelihood(machine):
        return (-machine.free_energy(BARS) - np.logaddexp.reduce(-machine.free_energy(everything))).mean()

    assert log_likelihood(after) > log_likelihood(before) + 1.5
    known = np.full((20, 11), np.nan)
    known[:, 9:] = np.repeat(np.eye(2), 10, axis=0)
    z = dream(after, known, steps=120, tau=3, seed=3)
    np.testing.assert_array_equal(z[:, 10:, 9:], np.broadcast_to(known[:, None, 9:], z[:, 10:, 9:].shape))
    dreamt = z[:, -30:, :9].mean(axis=1) > 0.5
    bars = np.array([[(picture == bar[:9]).all() for bar in BARS] for picture in dreamt])
    assert bars[:10, :3].any(axis=1).mean() >= 0.5
    assert bars[10:, 3:].any(axis=1).mean() >= 0.5
    assert not bars[:10, 3:].any()
    assert not bars[10:, :3].any()


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_learning_and_dreaming_run_in_cpp_standalone(tmp_path):
    """Weights come out that have learnt, and pixels that are on at times."""
    schedule = Schedule(days=200, eta=0.1, half=6, settle=3, tau=3)
    try:
        set_device("cpp_standalone", directory=str(tmp_path))
        after = train(newborn(BARS, hidden=6, seed=1), BARS, schedule, seed=1)
        device.reinit()
        device.activate(directory=str(tmp_path))
        z = dream(after, np.full((2, 11), np.nan), steps=50, seed=3)
    finally:
        set_device("runtime")
    assert np.isfinite(after.weights).all()
    assert np.abs(after.weights).max() > 0.1
    assert z.shape == (2, 50, 11)
    assert 0 < z.mean() < 1


# To be watched


def test_a_rate_is_the_share_of_the_window_that_a_neuron_was_on():
    z = np.random.default_rng(0).integers(0, 2, (3, 50, 4))
    found = rates(z, 7)
    np.testing.assert_allclose(
        found[:, 6:], [[z[n, t - 6 : t + 1].mean(axis=0) for t in range(6, 50)] for n in range(3)]
    )


def test_a_dream_can_be_seen_by_the_event_camera():
    """A pixel that comes on brightens each of its scale**2 pixels from 0.1 to 0.9: ln 9 of contrast, 10 thresholds."""
    grey = np.zeros((3, 4))
    grey[1:, 2] = 1
    frames = film(grey, scale=3)
    assert frames.shape == (3, 6, 6)
    events = emulate(frames, fps=100, dark_offset=1e-9).events
    assert len(events) == 9 * int(np.log(9) / 0.2)
    assert set(events["y"]) == {3, 4, 5}
    assert set(events["x"]) == {0, 1, 2}
    assert (events["p"] == 1).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Schedule(days=10, half=4, settle=4), ParameterError, "shorter than a half"),
        (lambda: Schedule(days=10, last=0), ParameterError, "last"),
        (lambda: newborn(np.full((2, 3), 7), hidden=2), InputError, "from 0 to 1"),
        (lambda: train(small_machine(), np.ones((2, 5)), Schedule(days=1)), InputError, "visible neuron, 3"),
        (lambda: dream(small_machine(), np.ones((2, 5))), InputError, r"\(dreams, 3\)"),
        (lambda: dream(small_machine(), np.ones((2, 3)), hot=0.5), ParameterError, "temperature"),
        (lambda: film(np.zeros((2, 5))), InputError, "square"),
    ],
)
def test_what_cannot_be_seen_or_dreamt_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
