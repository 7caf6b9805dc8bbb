"""Spiking sampling against enumeration: every state has its Boltzmann share, and the gradient is two correlations."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, StateMonitor, defaultclock, ms
from brian2 import seed as seed_brian
from scipy.special import expit
from scipy.stats import chi2

from dvs.errors import ParameterError
from learning.sampling import (
    boltzmann,
    clamp,
    correlations,
    couple,
    couple_layers,
    kl,
    release,
    sample,
    sampling_neurons,
    shares,
    states,
)

PAIR = np.array([[0, 1.5], [1.5, 0]]), np.array([-0.5, -1.0])
TRIPLE = np.array([[0, 1.2, -2.0], [1.2, 0, 0.8], [-2.0, 0.8, 0]]), np.array([0.3, -0.7, 0.5])


@pytest.fixture(autouse=True)
def steps_of_a_millisecond():
    defaultclock.dt = 1 * ms


def run(*parts, steps, seed=1):
    seed_brian(seed)
    Network(*parts).run(steps * defaultclock.dt)


def many_machines(weights, biases, *, machines, tau, steps, turns, held=None, seed=1):
    """The states (machines, K) of machines beside each other after some steps: one independent sample of each."""
    size = len(biases)
    neurons = sampling_neurons(machines * size, tau=tau, turns=turns)
    neurons.bias = np.tile(biases, machines)
    if held:
        for neuron, value in held.items():
            clamp(neurons, np.arange(neuron, machines * size, size), value)
    run(neurons, couple(neurons, weights), steps=steps, seed=seed)
    return np.asarray(neurons.zeta).reshape(machines, size) > 0


def assert_drawn_from(z, p):
    """Pearson's chi-squared of independent samples; a correct machine fails once in 10,000 seeds."""
    counts, expected = len(z) * shares(z), len(z) * p
    there = p > 0
    assert not counts[~there].any()
    distance = ((counts - expected)[there] ** 2 / expected[there]).sum()
    assert distance < chi2.ppf(1 - 1e-4, there.sum() - 1)


def stationary(weights, biases, tau, *, in_turn):
    """The slow twin: shares of z from the matrix of all (zeta_1 .. zeta_K), one eigenvector of a Markov chain."""
    size = len(biases)
    shape = (tau + 1,) * size
    zetas = np.indices(shape).reshape(size, -1).T

    def moved(matrix, movers):
        """The chain after those neurons have moved together, each by the state before."""
        after = np.zeros_like(matrix)
        for number, zeta in enumerate(zetas):
            u = biases + weights @ (zeta > 0)
            branches = [(1.0, tuple(zeta))]
            for k in movers:
                if zeta[k] > 1:
                    options = [(1.0, zeta[k] - 1)]
                else:
                    p = expit(u[k] - np.log(tau))
                    options = [(p, tau), (1 - p, 0)]
                branches = [
                    (q * p, (*state[:k], value, *state[k + 1 :])) for q, state in branches for p, value in options
                ]
            for q, state in branches:
                after[:, np.ravel_multi_index(state, shape)] += q * matrix[:, number]
        return after

    chain = np.eye(len(zetas))
    for movers in [[k] for k in range(size)] if in_turn else [list(range(size))]:
        chain = moved(chain, movers)
    share = np.linalg.solve(
        np.vstack([(chain.T - np.eye(len(chain)))[:-1], np.ones(len(chain))]), np.eye(len(chain))[-1]
    )
    number = (zetas > 0) @ (1 << np.arange(size))
    return np.bincount(number, share)


def test_neurons_that_move_in_turn_have_exactly_the_boltzmann_law():
    """By the eigenvector of the chain of refractory counters, without any chance."""
    for tau in (1, 3, 7):
        np.testing.assert_allclose(stationary(*PAIR, tau, in_turn=True), boltzmann(*PAIR), rtol=1e-10)
    np.testing.assert_allclose(stationary(*TRIPLE, 3, in_turn=True), boltzmann(*TRIPLE), rtol=1e-10)


def test_neurons_that_move_at_once_miss_it_by_one_over_tau():
    """Two neurons that move in one step do not see each other, in one step of tau: doubling tau halves the error."""
    errors = [np.abs(stationary(*PAIR, tau, in_turn=False) - boltzmann(*PAIR)).max() for tau in (5, 10, 20)]
    assert errors[0] > 0.01
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(("model", "turns"), [(PAIR, 2), (TRIPLE, 3)])
def test_spikes_sample_the_boltzmann_law(model, turns):
    z = many_machines(*model, machines=3000, tau=4, steps=80 * turns, turns=turns)
    assert_drawn_from(z, boltzmann(*model))


def test_all_at_once_brian_has_the_law_of_its_own_chain():
    z = many_machines(*PAIR, machines=6000, tau=3, steps=80, turns=1)
    assert_drawn_from(z, stationary(*PAIR, 3, in_turn=False))
    with pytest.raises(AssertionError):
        assert_drawn_from(z, boltzmann(*PAIR))


def test_two_layers_that_follow_each_other_sample_the_boltzmann_law():
    """Three machines' worth of law in one: 2 visible, 1 hidden; the samples are apart by 40 tau."""
    w, b = np.array([[1.5], [-1.0]]), np.array([0.2, 0.5, -0.3])
    below, above = sampling_neurons(2, tau=2, place=0), sampling_neurons(1, tau=2, place=1)
    below.bias, above.bias = b[:2], b[2:]
    seen = [StateMonitor(layer, "zeta", record=True, dt=20 * ms, when="end") for layer in (below, above)]
    run(below, above, couple_layers(below, above, w), *seen, steps=6_000)
    z = np.vstack([monitor.zeta for monitor in seen]).T[5:] > 0
    whole = np.zeros((3, 3))
    whole[:2, 2:], whole[2:, :2] = w, w.T
    assert_drawn_from(z, boltzmann(whole, b))


def test_without_weights_a_neuron_is_on_with_the_logistic_function_of_its_bias():
    """Each of n neurons by binomial chance: within 5 standard deviations."""
    biases, n = np.array([-2.0, -0.5, 0.0, 1.0, 3.0]), 4000
    neurons = sampling_neurons(5 * n, tau=5)
    neurons.bias = np.repeat(biases, n)
    run(neurons, steps=200)
    on = (np.asarray(neurons.zeta) > 0).reshape(5, n).mean(axis=1)
    p = expit(biases)
    assert (np.abs(on - p) < 5 * np.sqrt(p * (1 - p) / n)).all()


def test_a_spike_keeps_its_neuron_on_for_exactly_tau_steps():
    """Then it is off, or spikes again in the very next step, with probability sigma(b - log tau)."""
    tau, bias = 7, 1.0
    neurons = sampling_neurons(50, tau=tau)
    neurons.bias = bias
    spikes, on = SpikeMonitor(neurons), StateMonitor(neurons, "z", record=True, when="end")
    run(neurons, spikes, on, steps=2000)
    expected = np.zeros((50, 2000 + tau), int)
    for neuron, step in zip(spikes.i, np.rint(spikes.t / ms).astype(int), strict=True):
        assert not expected[neuron, step : step + tau].any()
        expected[neuron, step : step + tau] = 1
    np.testing.assert_array_equal(on.z, expected[:, :2000])
    intervals = np.concatenate([np.diff(train) for train in spikes.spike_trains().values()])
    again, p = np.isclose(np.asarray(intervals / ms), tau).mean(), expit(bias - np.log(tau))
    assert abs(again - p) < 5 * np.sqrt(p * (1 - p) / len(intervals))


def test_with_tau_one_no_state_is_circled():
    """Gibbs moves obey detailed balance: of n changes, those clockwise less the others are of the order of sqrt(n)."""
    z = sample(*PAIR, 4000, tau=1, seed=3)
    # A sweep moves the first neuron, then the second: the states between sweeps and between moves.
    between = np.column_stack([z[1:, 0], z[:-1, 1]])
    path = np.stack([z[:-1], between], axis=1).reshape(-1, 2)
    place = np.array([[0, 3], [1, 2]])[path[:, 0], path[:, 1]]
    turned = (np.diff(place) + 1) % 4 - 1
    assert set(np.unique(turned)) <= {-1, 0, 1}
    assert abs(turned.sum()) < 5 * np.sqrt(np.abs(turned).sum())


def test_clamped_neurons_never_move_and_the_others_sample_the_conditional():
    held = {0: 1, 2: 0}
    z = sample(*TRIPLE, 3000, tau=3, clamped=held, seed=2)
    assert (z[:, 0] == 1).all()
    assert (z[:, 2] == 0).all()
    z = many_machines(*TRIPLE, machines=3000, tau=4, steps=240, turns=3, held={0: 1})
    assert_drawn_from(z, boltzmann(*TRIPLE, clamped={0: 1}))


def test_a_released_neuron_moves_again():
    neurons = sampling_neurons(200, tau=2)
    clamp(neurons, np.arange(200), np.arange(200) % 2)
    seed_brian(0)
    network = Network(neurons)
    network.run(20 * ms)
    np.testing.assert_array_equal(np.asarray(neurons.zeta) > 0, np.arange(200) % 2)
    release(neurons)
    network.run(20 * ms)
    assert 60 < np.count_nonzero(neurons.zeta) < 140


def test_temperature_divides_what_a_neuron_hears():
    neurons = sampling_neurons(4000, tau=3, temperature="4")
    neurons.bias = 4.0
    run(neurons, steps=100)
    assert abs((np.asarray(neurons.zeta) > 0).mean() - expit(1)) < 5 * np.sqrt(0.2 / 4000)


def test_it_goes_on_without_any_input():
    """A sampler with bias b spikes at the rate sigma(b)/tau, all by itself; a leaky neuron is silent for ever."""
    tau, bias = 20, -1.0
    sampler = sampling_neurons(500, tau=tau)
    sampler.bias = bias
    leaky = NeuronGroup(500, "dv/dt = -v/(20*ms) : 1", threshold="v > 1", reset="v = 0", method="exact")
    alive, still = SpikeMonitor(sampler, record=False), SpikeMonitor(leaky, record=False)
    run(sampler, leaky, alive, still, steps=2000)
    assert alive.num_spikes / 500 / 2000 == pytest.approx(expit(bias) / tau, rel=0.05)
    assert still.num_spikes == 0


def test_the_gradient_is_the_correlation_awake_less_that_asleep():
    """d log p(v) / dw_km = <z_k z_m> with v clamped - <z_k z_m> free, by finite differences of the enumeration."""
    weights, biases = TRIPLE
    seen = {0: 1, 1: 0}

    def log_p(weights, biases):
        z = states(3)
        there = np.all([z[:, k] == value for k, value in seen.items()], axis=0)
        return np.log(boltzmann(weights, biases)[there].sum())

    gradient = correlations(boltzmann(weights, biases, clamped=seen)) - correlations(boltzmann(weights, biases))
    step = 1e-5
    for k, m in ((0, 1), (0, 2), (1, 2)):
        change = np.zeros((3, 3))
        change[k, m] = change[m, k] = step
        numeric = (log_p(weights + change, biases) - log_p(weights - change, biases)) / (2 * step)
        assert gradient[k, m] == pytest.approx(numeric, abs=1e-9)
    for k in range(3):
        change = step * np.eye(3)[k]
        numeric = (log_p(weights, biases + change) - log_p(weights, biases - change)) / (2 * step)
        assert gradient[k, k] == pytest.approx(numeric, abs=1e-9)


def test_the_divergence_of_samples_falls_as_their_number():
    """Plug-in KL of n independent samples of m states is (m - 1)/2n in the mean (a chi-squared over 2n)."""
    p = boltzmann(*TRIPLE)
    rng = np.random.default_rng(0)
    for n in (500, 5000):
        found = np.mean([kl(rng.multinomial(n, p) / n, p) for _ in range(400)])
        assert found == pytest.approx(7 / (2 * n), rel=0.1)
    assert kl(p, p) == 0


def test_the_same_seed_gives_the_same_samples():
    first, again, other = (sample(*PAIR, 200, tau=3, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(sample(*PAIR, 1, tau=50, start=[1, 1]), [[1, 1]])


@pytest.mark.slow
def test_five_neurons_come_within_five_thousandths_of_a_nat():
    rng = np.random.default_rng(11)
    weights = np.triu(rng.normal(0, 1, (5, 5)), 1)
    weights, biases = weights + weights.T, rng.normal(0, 1, 5)
    assert kl(shares(sample(weights, biases, 40_000, seed=11)), boltzmann(weights, biases)) <= 0.005


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boltzmann([[0, 1], [2, 0]], [0, 0]), "symmetric"),
        (lambda: boltzmann([[1.0]], [0]), "diagonal"),
        (lambda: boltzmann([[0, 1]], [0, 0]), r"\(K, K\)"),
        (lambda: states(40), "1 to 20"),
        (lambda: sampling_neurons(3, tau=0), "tau"),
        (lambda: sampling_neurons(2.5), "whole number"),
        (lambda: couple(sampling_neurons(3), PAIR[0]), "multiple of 2"),
        (lambda: couple(sampling_neurons(3), [[0.0]]), "no couplings"),
        (lambda: couple_layers(sampling_neurons(3), sampling_neurons(2), PAIR[0]), r"\(3, 2\)"),
        (lambda: clamp(sampling_neurons(2), [0], [0.5]), "0 or 1"),
    ],
)
def test_what_is_no_boltzmann_machine_is_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
