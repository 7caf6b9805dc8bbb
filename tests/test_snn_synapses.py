"""Wiring against SciPy and laws of chance, rules against the closed formulas of their papers."""

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    defaultclock,
    device,
    ms,
    mV,
    nS,
    second,
    set_device,
)
from scipy.signal import correlate2d

from dvs.errors import ParameterError
from snn.neurons import coba_lif, integrate_and_fire, lif
from snn.synapses import (
    SHORT_TERM_PLASTICITY,
    STDP_TRIPLET,
    SynapseModel,
    Wiring,
    connect,
    conv2d,
    dense,
    free_weights,
    lateral,
    one_to_one,
    pool2d,
    short_term_plasticity,
    sparse,
    static,
    stdp_pair,
    stdp_triplet,
    synaptic_scaling,
    winner_take_all,
)

DT_MS = 0.1


def at_once(neurons, number):
    """`number` input neurons of which some spike in step 0."""
    return SpikeGeneratorGroup(number, neurons, np.zeros(len(neurons)) * ms, name="input")


def counters(number):
    """Neurons that only add up what arrives."""
    return NeuronGroup(number, "v : 1", name="sums")


def spiking_at(times_ms):
    """One neuron with an input v that spikes at given times, whatever arrives."""
    flags = np.zeros(round(max(times_ms) / DT_MS) + 2)
    flags[np.round(np.array(times_ms) / DT_MS).astype(int)] = 1
    return NeuronGroup(1, "v : 1", threshold="flag(t) > 0.5", namespace={"flag": TimedArray(flags, dt=DT_MS * ms)})


def image_and_kernel():
    rng = np.random.default_rng(5)
    return rng.random((2, 7, 9)) < 0.3, rng.normal(size=(3, 2, 3, 2))


def correlated(image, kernel, stride=(1, 1), padding=(0, 0)):
    """What a convolution layer computes, (out, rows, columns), by SciPy."""
    padded = np.pad(image.astype(float), ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    full = [sum(correlate2d(plane, part, "valid") for plane, part in zip(padded, out, strict=True)) for out in kernel]
    return np.array(full)[:, :: stride[0], :: stride[1]]


# Wiring


def test_dense_is_its_matrix():
    weights = np.arange(6.0).reshape(2, 3)
    wiring = dense(weights)
    assert (wiring.n_pre, wiring.n_post, len(wiring)) == (2, 3, 6)
    np.testing.assert_array_equal(wiring.weights, weights.ravel())
    np.testing.assert_array_equal(wiring.matrix(), weights)


def test_one_to_one_is_the_identity():
    np.testing.assert_array_equal(one_to_one(4, 2.5).matrix(), 2.5 * np.eye(4))


def test_units_of_weights_stay():
    assert (dense(np.ones((2, 2)) * mV).matrix() == np.ones((2, 2)) * mV).all()
    assert one_to_one(2, 3 * mV).weights[0] == 3 * mV
    assert sparse(2, 2, 1.0, 3 * mV, seed=1).weights[0] == 3 * mV


def test_sparse_has_its_density_and_no_pair_twice():
    """Binomial: 300 x 200 pairs with p = 0.07 are 4200, give or take 5 sqrt(60000 p (1 - p)) = 312."""
    wiring = sparse(300, 200, 0.07, 1.0, seed=8)
    assert abs(len(wiring) - 4200) < 312
    assert wiring.matrix().max() == 1
    assert wiring.matrix().sum() == len(wiring)
    # Rows are binomial too: 14 a row, 5.2 standard deviations of 3.6 for the largest of 300.
    assert wiring.matrix().sum(axis=1).max() < 14 + 5.2 * 3.6


def test_the_same_seed_is_the_same_wiring():
    one, same, other = (sparse(50, 50, 0.2, 1.0, seed=seed).matrix() for seed in (1, np.random.default_rng(1), 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_sparse_takes_the_weights_of_its_pairs():
    weights = np.random.default_rng(0).normal(size=(20, 30))
    chosen = sparse(20, 30, 0.3, weights, seed=1).matrix()
    np.testing.assert_array_equal(chosen, np.where(chosen != 0, weights, 0))


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 0), (2, 1), ((2, 3), (1, 0))])
def test_convolution_is_scipy_s_correlation(stride, padding):
    image, kernel = image_and_kernel()
    wiring = conv2d(kernel, (2, 7, 9), stride=stride, padding=padding)
    pairs = [value if isinstance(value, tuple) else (value, value) for value in (stride, padding)]
    expected = correlated(image, kernel, *pairs)
    assert wiring.out_shape == expected.shape
    np.testing.assert_allclose(image.ravel() @ wiring.matrix(), expected.ravel(), atol=1e-12)


def test_a_convolution_has_the_weights_of_its_kernel_only():
    _, kernel = image_and_kernel()
    wiring = conv2d(kernel, (2, 7, 9))
    np.testing.assert_array_equal(wiring.weights, kernel.ravel())
    own = wiring.unshared()
    assert own.weights.size == len(own) == 3 * 5 * 8 * kernel[0].size
    np.testing.assert_array_equal(own.matrix(), wiring.matrix())


@pytest.mark.parametrize(("size", "stride"), [(2, None), ((2, 3), None), (3, 1), (3, 2)])
def test_pooling_sums_windows_of_each_channel(size, stride):
    image, _ = image_and_kernel()
    wiring = pool2d((2, 7, 9), size, stride)
    window = np.ones(size if isinstance(size, tuple) else (size, size))
    steps = window.shape if stride is None else (stride, stride)
    kernel = np.eye(2)[:, :, None, None] * window
    np.testing.assert_allclose(image.ravel() @ wiring.matrix(), correlated(image, kernel, steps).ravel())
    average = pool2d((2, 7, 9), size, stride, kind="average")
    np.testing.assert_allclose(average.matrix() * window.size, wiring.matrix())


def test_lateral_reaches_all_others_and_never_itself():
    np.testing.assert_array_equal(lateral(4, -2.0).matrix(), -2 * (1 - np.eye(4)))
    np.testing.assert_array_equal(lateral((1, 2, 2), -2.0).matrix(), -2 * (1 - np.eye(4)))


def test_lateral_within_a_radius_reaches_the_neighbourhood():
    """On a 3 x 4 grid with 2 channels and radius 1: a corner has 2 x 2 x 2 - 1 neighbours, an inner one 3 x 3 x 2 - 1;

    radius 0: the other channel at the same place.
    """
    targets = (lateral((2, 3, 4), -1.0, radius=1).matrix() != 0).sum(axis=1).reshape(2, 3, 4)
    assert (targets[:, 0, 0] == 7).all()
    assert (targets[:, 1, 1] == 17).all()
    competing = lateral((2, 3, 4), -1.0, radius=0)
    np.testing.assert_array_equal(competing.post, (competing.pre + 12) % 24)


# Synapses


def test_a_spike_adds_its_weights():
    weights = np.arange(6.0).reshape(2, 3)
    source, target = at_once([1], 2), counters(3)
    synapses = connect(source, target, dense(weights), name="forward")
    Network(source, target, synapses).run(1 * ms)
    assert synapses.name == "forward"
    np.testing.assert_array_equal(target.v, weights[1])


def test_weights_have_the_unit_of_what_they_change():
    source, target = at_once([0], 1), lif(threshold=-50 * mV).group(1)
    Network(source, target, connect(source, target, dense([[3]] * mV))).run(DT_MS * ms)
    assert target.v[0] / mV == pytest.approx(-62)


def test_a_spike_changes_the_variable_it_is_sent_to():
    source, target = at_once([0], 1), coba_lif().group(1)
    Network(source, target, connect(source, target, dense([[3]] * nS), onto="g_i")).run(DT_MS * ms)
    assert target.g_i[0] == 3 * nS
    assert target.g_e[0] == 0 * nS


def test_a_convolution_in_a_network_is_scipy_s_correlation():
    image, kernel = image_and_kernel()
    source, target = at_once(np.flatnonzero(image), image.size), counters(3 * 5 * 8)
    synapses = connect(source, target, conv2d(kernel, image.shape), name="edges")
    network = Network(source, target, synapses)
    network.run(1 * ms)
    np.testing.assert_allclose(target.v, correlated(image, kernel).ravel(), atol=1e-12)
    assert kernel.size == network["edges_weights"].N


def test_changing_the_kernel_changes_all_synapses():
    """Twice the kernel, and the second presentation adds twice the first."""
    image, kernel = image_and_kernel()
    active = np.flatnonzero(image)
    times_ms = np.repeat([0, 1], active.size)
    source = SpikeGeneratorGroup(image.size, np.tile(active, 2), times_ms * ms)
    target = counters(3 * 5 * 8)
    synapses = connect(source, target, conv2d(kernel, image.shape))
    network = Network(source, target, synapses)
    network.run(1 * ms)
    first = np.array(target.v)
    free_weights(synapses)[:] = 2 * kernel.ravel()
    network.run(1 * ms)
    np.testing.assert_allclose(target.v[:] - first, 2 * first)


def test_pooling_conserves_spikes():
    """Counters without a leak give back every spike of their window, one a step, or one for four of the average."""
    image = np.random.default_rng(2).random((2, 6, 8)) < 0.5
    for kind, share in (("sum", 1), ("average", 4)):
        source = at_once(np.flatnonzero(image), image.size)
        target = integrate_and_fire().group(2 * 3 * 4)
        monitor = SpikeMonitor(target, record=False)
        Network(source, target, monitor, connect(source, target, pool2d(image.shape, 2, kind=kind))).run(1 * ms)
        windows = image.reshape(2, 3, 2, 4, 2).sum(axis=(2, 4)).ravel()
        np.testing.assert_array_equal(monitor.count, windows // share)
        np.testing.assert_allclose(monitor.count + target.v, windows / share)


def test_the_winner_takes_all():
    """Under constant drives only the strongest spikes; without inhibition all three do."""
    spikes = {}
    for inhibited in (True, False):
        group = lif(current=True).group(3)
        group.I = [1.5, 1.6, 1.4]
        monitor = SpikeMonitor(group, record=False)
        parts = [connect(group, group, winner_take_all(3))] if inhibited else []
        Network(group, monitor, *parts).run(200 * ms)
        spikes[inhibited] = np.array(monitor.count)
    assert (spikes[False] > 0).all()
    np.testing.assert_array_equal(spikes[True], [0, spikes[False][1], 0])


@pytest.mark.parametrize("delay_ms", [0, 0.3, [0.0, 0.1, 1.7]])
def test_delays_arrive_exactly(delay_ms):
    """A spike of step 0 with delay d changes v in step d / dt: seen at the end of that step."""
    source, target = at_once([0], 1), counters(3)
    synapses = connect(source, target, dense(np.ones((1, 3))), delay=delay_ms * ms)
    monitor = StateMonitor(target, "v", record=True, when="end")
    Network(source, target, synapses, monitor).run(3 * ms)
    arrived = np.round(np.asarray(monitor.t / ms)[np.argmax(monitor.v > 0, axis=1)], 6)
    np.testing.assert_array_equal(arrived, np.broadcast_to(delay_ms, 3))


def test_a_count_multiplies_the_weight():
    """An input neuron that stands for 3 events adds 3 weights."""
    source = NeuronGroup(2, "count : integer", threshold="t < dt/2")
    source.count = [3, 1]
    target = counters(2)
    Network(source, target, connect(source, target, dense(np.array([[1, 10], [100, 1000]])))).run(1 * ms)
    np.testing.assert_array_equal(target.v, [103, 1030])


def test_a_wiring_without_synapses_does_nothing():
    source, target = at_once([0], 4), counters(4)
    synapses = connect(source, target, sparse(4, 4, 0.0, 1.0, seed=1))
    Network(source, target, synapses).run(1 * ms)
    assert len(synapses) == 0
    assert (target.v[:] == 0).all()


# Short-term plasticity


@pytest.mark.parametrize("kind", SHORT_TERM_PLASTICITY)
def test_short_term_plasticity_settles_where_the_paper_says(kind):
    """20 Hz, interval D. Just after a spike u = u (1 - U) exp(-D/tau_facil) + U, so that
    u = U / (1 - (1 - U) exp(-D/tau_facil)), and x = (1 - E) / (1 - (1 - u) E) before it with E = exp(-D/tau_rec).
    The first spike releases U. Tsodyks, Pawelzik & Markram (1998), with exp(-D/0) = 0 if nothing facilitates.
    """
    numbers = SHORT_TERM_PLASTICITY[kind]
    defaultclock.dt = 1 * ms
    source = SpikeGeneratorGroup(1, np.zeros(200, int), np.arange(200) * 50 * ms)
    target = counters(1)
    synapses = connect(source, target, dense([[2.0]]), short_term_plasticity(kind))
    monitor = StateMonitor(target, "v", record=True, when="end", dt=50 * ms)
    Network(source, target, synapses, monitor).run(10 * second)
    released = np.diff(monitor.v[0], prepend=0)
    share = numbers["U"]
    fading = np.exp(-50 * ms / numbers["tau_facil"]) if "tau_facil" in numbers else 0
    u = share / (1 - (1 - share) * fading)
    recovery = np.exp(-50 * ms / numbers["tau_rec"])
    x = (1 - recovery) / (1 - (1 - u) * recovery)
    assert released.size == 200
    assert released[0] == pytest.approx(2 * share)
    assert released[-1] == pytest.approx(2 * u * x, rel=1e-9)


# Plasticity


def weights_after(rule, pre_ms, post_ms, start=0.5):
    """Weights of synapses whose inputs spike at the times in pre_ms, a list each, onto one that spikes at post_ms."""
    neuron = np.repeat(np.arange(len(pre_ms)), [len(times) for times in pre_ms])
    source = SpikeGeneratorGroup(len(pre_ms), neuron, np.concatenate(pre_ms) * ms)
    target = spiking_at(post_ms)
    synapses = connect(source, target, dense(np.full((len(pre_ms), 1), start)), rule)
    Network(source, target, synapses).run((max(np.concatenate([*pre_ms, post_ms])) + 1) * ms)
    return synapses.w[:]


def test_stdp_has_the_window_of_song_miller_and_abbott():
    """One pair each, d = t_post - t_pre: +0.005 exp(-d/20) for d >= 0, -0.00525 exp(d/20) for d < 0."""
    lag_ms = np.array([-60, -20, -5, -0.1, 0, 0.1, 5, 20, 60])
    change = weights_after(stdp_pair(), [[70 - lag] for lag in lag_ms], [70]) - 0.5
    expected = np.where(lag_ms >= 0, 0.005, -0.00525) * np.exp(-np.abs(lag_ms) / 20)
    np.testing.assert_allclose(change, expected, rtol=1e-9)


def test_stdp_counts_all_pairs():
    """Changes of all pairs of two trains add up, as long as no bound is met."""
    rng = np.random.default_rng(6)
    steps = rng.choice(2000, 35, replace=False)  # no pair in one step
    pre, post = np.sort(steps[:20]) * DT_MS, np.sort(steps[20:]) * DT_MS
    lag = post[None, :] - pre[:, None]
    window = np.where(lag > 0, 0.005, -0.00525) * np.exp(-np.abs(lag) / 20)
    assert weights_after(stdp_pair(), [pre], post)[0] - 0.5 == pytest.approx(window.sum(), rel=1e-9)


def test_stdp_keeps_weights_between_0_and_the_maximum():
    strong = stdp_pair(A_plus=10.0, A_minus=10.0, w_max=0.8)
    np.testing.assert_array_equal(weights_after(strong, [[5], [15]], [10]), [0.8, 0])


@pytest.mark.parametrize("tissue", STDP_TRIPLET)
def test_triplets_change_weights_as_pfister_and_gerstner_say(tissue):
    """Pre at 10 and 32, post at 20 ms: + r1 A2_plus, - o1 (A2_minus + A3_minus r2), with r1 = exp(-10/16.8),

    o1 = exp(-12/33.7), r2 = exp(-22/tau_x). Pre at 20, post at 10 and 32 ms: - o1 A2_minus, + r1 (A2_plus + A3_plus o2)
    with o1 = exp(-10/33.7), r1 = exp(-12/16.8), o2 = exp(-22/tau_y).
    """
    numbers = {name: float(value / ms) if "tau" in name else value for name, value in STDP_TRIPLET[tissue].items()}
    pre_post_pre = np.exp(-10 / 16.8) * numbers["A2_plus"] - np.exp(-12 / 33.7) * (
        numbers["A2_minus"] + numbers["A3_minus"] * np.exp(-22 / numbers["tau_x"])
    )
    post_pre_post = -np.exp(-10 / 33.7) * numbers["A2_minus"] + np.exp(-12 / 16.8) * (
        numbers["A2_plus"] + numbers["A3_plus"] * np.exp(-22 / numbers["tau_y"])
    )
    rule = stdp_triplet(tissue)
    assert weights_after(rule, [[10, 32]], [20])[0] - 0.5 == pytest.approx(pre_post_pre, rel=1e-9)
    assert weights_after(rule, [[20]], [10, 32])[0] - 0.5 == pytest.approx(post_pre_post, rel=1e-9)


def test_scaling_multiplies_all_weights_until_the_goal():
    """d ln w/dt = (1 - rate/goal)/tau_scaling, and each spike adds 1 - exp(-(T - t)/tau_rate) to the integral of rate.

    20 Hz with a goal of 10 Hz: both weights shrink by one factor.
    """
    spikes_ms = np.arange(25, 1000, 50)
    source, target = at_once([0], 2), spiking_at(spikes_ms)
    rule = synaptic_scaling(goal=10 * Hz, tau_rate=100 * ms, tau_scaling=1 * second)
    synapses = connect(source, target, dense([[0.2], [0.4]]), rule)
    Network(source, target, synapses).run(1 * second)
    counted = (1 - np.exp(-(1000 - spikes_ms) / 100)).sum()
    assert synapses.w[0] / 0.2 == pytest.approx(np.exp(1 - counted / 10), rel=2e-3)
    assert synapses.w[1] / synapses.w[0] == pytest.approx(2)


def test_a_shared_kernel_learns_from_all_its_places():
    """Two places of one 1 x 1 kernel: the changes of both pairs, 5 and 10 ms before the spike, add up."""
    source = SpikeGeneratorGroup(2, [0, 1], [5, 10] * ms)
    target = NeuronGroup(2, "v : 1", threshold="abs(t - 15*ms) < dt/2")
    synapses = connect(source, target, conv2d([[[[0.5]]]], (1, 1, 2)), stdp_pair())
    Network(source, target, synapses).run(16 * ms)
    assert free_weights(synapses)[0] == pytest.approx(0.5 + 0.005 * (np.exp(-10 / 20) + np.exp(-5 / 20)))


# Compiled


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_convolutions_and_plasticity_are_the_same_when_compiled(tmp_path):
    """A strided convolution with delays and STDP in one network: C++ standalone gives what NumPy gives."""
    image, kernel = image_and_kernel()
    results = []
    for compiled in (False, True):
        if compiled:
            set_device("cpp_standalone", directory=str(tmp_path / "code"))
        try:
            source = at_once(np.flatnonzero(image), image.size)
            hidden = lif(tau=1 * second).group(3 * 3 * 4, name="hidden")
            output = lif(threshold=0.2).group(2, name="output")
            edges = conv2d(kernel, image.shape, stride=2, padding=(0, 0))
            first = connect(source, hidden, edges, name="first", delay=np.linspace(0, 2, len(edges)) * ms)
            weights = np.random.default_rng(1).random((36, 2))
            second_ = connect(hidden, output, dense(weights), stdp_pair(A_plus=0.1), name="second")
            spikes = SpikeMonitor(output)
            Network(source, hidden, output, first, second_, spikes).run(10 * ms)
            results.append([np.array(part) for part in (hidden.v, second_.w, spikes.t, spikes.i, first.w)])
        finally:
            if compiled:
                device.reinit()
                set_device("runtime")
    assert results[0][2].size
    for runtime, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, runtime, rtol=1e-12, atol=1e-15)


# What is refused


def pair_of(rule=None, wiring=None, target=None, **options):
    source = at_once([0], 2)
    return connect(source, target or counters(3), wiring or dense(np.ones((2, 3))), rule, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pair_of(wiring=dense(np.ones((4, 3)))), r"'input' has 2 neurons, the wiring expects 4, shape \(4,\)"),
        (lambda: pair_of(wiring=dense(np.ones((2, 5)))), "'sums' has 3 neurons, the wiring expects 5"),
        (lambda: pair_of(onto="g"), "'sums' has no variable 'g'; say with onto="),
        (
            lambda: pair_of(wiring=dense(np.ones((2, 3)) * mV)),
            "weights for 'v' of 'sums': a quantity in volt",
        ),
        (lambda: pair_of(stdp_pair(w_max=1 * mV)), "w_max for 'v' of 'sums': a quantity in volt"),
        (lambda: pair_of(delay=3), "delay is 3, expected one time of 0 or more, or 6"),
        (lambda: pair_of(delay=-1 * ms), "expected one time of 0 or more"),
        (lambda: pair_of(delay=[1, 2] * ms), "or 6, one a synapse"),
        (lambda: stdp_pair(w_max=0.0), "w_max of stdp_pair is 0.0, expected more than 0 1"),
        (lambda: stdp_pair(tau=3 * ms), "stdp_pair has no parameter 'tau'; it has A_plus"),
        (lambda: stdp_triplet("liver"), "no triplet parameters of 'liver'; there are visual cortex"),
        (lambda: short_term_plasticity("both"), "no 'both' synapse; there are depressing"),
        (lambda: short_term_plasticity(U=1.5), "U is 1.5, expected a share"),
        (lambda: dense([1.0, 2.0]), r"weights have shape \(2,\), expected \(n_pre, n_post\)"),
        (lambda: sparse(2, 2, 1.5, 1.0, seed=1), "p is 1.5, expected a probability"),
        (lambda: sparse(2, 3, 0.5, np.ones(3), seed=1), r"expected one number or \(2, 3\)"),
        (lambda: conv2d(np.ones((1, 3, 2, 2)), (2, 5, 5)), r"expected \(out, 2, kh, kw\) for \(2, 5, 5\)"),
        (lambda: conv2d(np.ones((1, 2, 6, 2)), (2, 5, 5)), "a window of 6 does not fit into 5 with padding 0"),
        (lambda: conv2d(np.ones((1, 2, 2, 2)), (2, 5, 5), stride=0), "stride is 0, expected one whole number of 1"),
        (lambda: conv2d(np.ones((1, 2, 2, 2)), (50,)), r"the shape is \(50,\), expected \(C, H, W\)"),
        (lambda: pool2d((1, 4, 4), 2, kind="max"), "kind of pooling is 'max', expected 'sum' or 'average'"),
        (lambda: lateral((1, 4, 4), -1.0, radius=-1), "radius is -1, expected 0 or more"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_a_count_is_neither_delayed_nor_learnt_from():
    source = NeuronGroup(2, "count : integer", threshold="False", name="eye")
    with pytest.raises(ParameterError, match="stdp_pair takes spikes one at a time; give 'eye' other collisions"):
        connect(source, counters(2), one_to_one(2), stdp_pair())
    with pytest.raises(ParameterError, match="a count is not delayed"):
        connect(source, counters(2), one_to_one(2), delay=1 * ms)


def test_weights_that_change_all_the_time_are_not_shared():
    with pytest.raises(ParameterError, match="synaptic_scaling needs a weight for each synapse"):
        connect(at_once([0], 4), counters(4), conv2d([[[[1.0]]]], (1, 2, 2)), synaptic_scaling())


def test_a_wiring_is_checked():
    index = np.arange(3)
    with pytest.raises(ParameterError, match="columns of the wiring have shapes"):
        Wiring(pre=index, post=index, weights=np.ones(2), in_shape=(3,), out_shape=(3,))
    with pytest.raises(ParameterError, match="post goes from 0 to 2, expected 0 to 1"):
        Wiring(pre=index, post=index, weights=np.ones(3), in_shape=(3,), out_shape=(2,))


def test_rules_are_records():
    assert isinstance(static(), SynapseModel)
    assert static() == static()
