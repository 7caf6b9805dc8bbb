"""Neuron models against closed formulas, fixed points and laws of chance."""

import ast

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    amp,
    defaultclock,
    ms,
    mV,
    nS,
    pA,
    second,
    seed,
)
from scipy.optimize import brentq

from dvs.errors import ParameterError
from snn import neurons
from snn.neurons import (
    IZHIKEVICH,
    NeuronModel,
    adex,
    alif,
    coba_lif,
    cuba_lif,
    diehl_cook,
    escape_noise_lif,
    integrate_and_fire,
    izhikevich,
    leaky_readout,
    lif,
    poisson,
)
from snn.synapses import connect, dense

DT_MS = 0.1


def spike_times_ms(group, duration):
    """Times of the spikes of a group of one neuron."""
    monitor = SpikeMonitor(group)
    Network(group, monitor).run(duration)
    return np.asarray(monitor.t / ms)


def trace(group, variable, duration):
    """Times in ms and a variable of neuron 0, at the start of each step."""
    monitor = StateMonitor(group, variable, record=[0])
    Network(group, monitor).run(duration)
    return np.asarray(monitor.t / ms), getattr(monitor, variable)[0]


# Leaky integrate-and-fire


@pytest.mark.parametrize("refractory_ms", [0, 3])
def test_interval_under_constant_current_is_that_of_the_textbook(refractory_ms):
    """From v_reset towards v_rest + R I: tau ln((R I - 0)/(R I - 1)) = 20 ln 3 = 21.97 ms for R I = 1.5.

    After it the refractory time. A spike waits for the end of its step, and the step in which the refractory time ends
    integrates already: one dt more or less.
    """
    group = lif(current=True, refractory=refractory_ms * ms if refractory_ms else False).group(1)
    group.I = 1.5
    intervals = np.diff(spike_times_ms(group, 300 * ms))
    late = intervals - (20 * np.log(1.5 / 0.5) + refractory_ms)
    assert intervals.size >= 10
    assert (np.abs(late) <= DT_MS + 1e-9).all()


def test_the_unit_of_v_changes_no_spike():
    """v = v_rest + span u turns the normalised equation into the one in volts; R I = 1.5 span = 22.5 mV."""
    normal = lif(current=True, tau=10 * ms).group(1)
    normal.I = 1.5
    cortical = lif(current=True, threshold=-50 * mV).group(1)
    cortical.I = 2.25e-9 * amp
    times = spike_times_ms(normal, 100 * ms)
    assert times.size
    np.testing.assert_array_equal(times, spike_times_ms(cortical, 100 * ms))


def test_a_soft_reset_keeps_what_was_above_the_threshold():
    """v = 2.5: spikes leave 2.5 d - 1 and then (2.5 d - 1) d - 1 with d = exp(-dt/tau) = 0.995; the rest decays."""
    d = np.exp(-DT_MS / 20)
    soft, hard = lif(reset="soft").group(1), lif(reset="hard").group(1)
    soft.v = hard.v = 2.5
    assert len(spike_times_ms(soft, 5 * DT_MS * ms)) == 2
    assert len(spike_times_ms(hard, 5 * DT_MS * ms)) == 1
    assert soft.v[0] == pytest.approx(((2.5 * d - 1) * d - 1) * d**3)
    assert hard.v[0] == 0


def test_v_is_held_while_refractory():
    """v_rest = 5 pulls v up at once; for the 3 ms after its spike it stays where the reset has put it."""
    group = lif(v_rest=5, v_reset=0, refractory=3 * ms).group(1)
    t_ms, v = trace(group, "v", 4 * ms)
    # v starts at v_rest, above the threshold, and spikes in the step at 0.
    np.testing.assert_array_equal(v[(t_ms > 0) & (t_ms < 3 + DT_MS / 2)], 0)
    assert v[-1] > 0


def test_what_arrives_while_refractory_is_lost():
    """A spike in step 0, inputs of 0.5 after 1 and 4 ms: only the second is there, and decays for one step."""
    group = lif(refractory=3 * ms).group(1)
    group.v = 1.5
    source = SpikeGeneratorGroup(1, [0, 0], [1, 4] * ms)
    synapses = connect(source, group, dense([[0.5]]))
    Network(source, group, synapses).run((4 + 2 * DT_MS) * ms)
    assert group.v[0] == pytest.approx(0.5 * np.exp(-DT_MS / 20))


def test_without_a_leak_spikes_are_the_input_over_the_threshold():
    """7.3 with threshold 0.5 is 14 spikes, one a step, and 0.3 are left."""
    group = integrate_and_fire(threshold=0.5).group(1)
    group.v = 7.3
    assert len(spike_times_ms(group, 5 * ms)) == 14
    assert group.v[0] == pytest.approx(0.3)


# Current-based and conductance-based synapses


@pytest.mark.parametrize("tau_syn_ms", [3, 20, 50])
def test_a_spike_makes_a_potential_of_two_exponentials(tau_syn_ms):
    """v = w s/(20 - s) (exp(-t/20) - exp(-t/s)) with s = tau_syn in ms; the limit s = 20 is w t/20 exp(-t/20)."""
    group = cuba_lif(tau_syn=tau_syn_ms * ms, threshold=10).group(1)
    group.I = 2
    t, v = trace(group, "v", 100 * ms)
    if tau_syn_ms == 20:
        expected = 2 * t / 20 * np.exp(-t / 20)
    else:
        expected = 2 * tau_syn_ms / (20 - tau_syn_ms) * (np.exp(-t / 20) - np.exp(-t / tau_syn_ms))
    np.testing.assert_allclose(v, expected, rtol=1e-9, atol=1e-12)


def test_nearly_equal_time_constants_are_as_good_as_equal_ones():
    """The potential is smooth in tau_syn: a relative change of 1e-7 moves it by about as little."""
    near = cuba_lif(tau_syn=20.000002 * ms).group(1)
    near.I = 0.5
    t, v = trace(near, "v", 50 * ms)
    np.testing.assert_allclose(v, 0.5 * t / 20 * np.exp(-t / 20), rtol=1e-6, atol=1e-9)


def test_an_input_moves_nothing_at_its_reversal_potential():
    group = coba_lif(E_L=-80 * mV, E_i=-80 * mV).group(1)
    group.g_i = 100 * nS
    _, v = trace(group, "v", 20 * ms)
    np.testing.assert_allclose(v / mV, -80, rtol=1e-12)


def test_conductances_settle_at_the_weighted_mean_of_their_reversals():
    """(10 (-60) + 5 (0) + 20 (-80)) / 35 = -62.857 mV, with conductances that do not decay."""
    group = coba_lif(tau_e=1e9 * second, tau_i=1e9 * second).group(1)
    group.g_e, group.g_i = 5 * nS, 20 * nS
    _, v = trace(group, "v", 200 * ms)
    assert v[-1] / mV == pytest.approx(-2200 / 35, abs=1e-6)


# Adaptation


def test_each_spike_raises_the_threshold_of_alif():
    """With a trace that never fades, interval n is that of a threshold n beta higher, from 0 towards 2:

    20 ln(2 / (2 - (1 + 0.2 n))) ms, at most one step later.
    """
    group = alif(v_rest=2, v_reset=0, beta=0.2, tau_a=1e9 * second, reset="hard").group(1)
    group.v = 0
    intervals = np.diff(np.concatenate([[0], spike_times_ms(group, 200 * ms)]))
    expected = 20 * np.log(2 / (1 - 0.2 * np.arange(5)))
    assert intervals.size == 5  # and never a sixth: the threshold has reached 2
    # The first interval is counted from the start of step 0, not from a spike: no step of waiting.
    late = intervals - expected
    assert ((late >= -DT_MS - 1e-9) & (late <= DT_MS + 1e-9)).all()


def test_the_threshold_of_alif_comes_back():
    """The spike of step 0 sets a = 1 at its end; then a = exp(-t/tau_a)."""
    group = alif(tau_a=10 * ms).group(1)
    group.v = 1.5
    t_ms, a = trace(group, "a", 30 * ms)
    np.testing.assert_allclose(a[1:], np.exp(-(t_ms[1:] - DT_MS) / 10), rtol=1e-9)


def test_beta_is_that_of_the_paper_at_the_paper_s_threshold():
    """Bellec et al. (2020): 1.7 (1 - exp(-1/2000))/(1 - exp(-1/20)) = 0.0174 at threshold 0.6."""
    beta = alif(threshold=0.6).parameters["beta"]
    assert beta == pytest.approx(1.7 * (1 - np.exp(-1 / 2000)) / (1 - np.exp(-1 / 20)), abs=5e-5)


def test_each_spike_raises_the_threshold_of_diehl_and_cook():
    """One spike: theta from 20 mV by 0.05 mV, forgotten over 1e7 ms: 1 ms takes 2e-6 mV of it."""
    group = diehl_cook().group(1)
    group.v = -51 * mV
    assert spike_times_ms(group, 1 * ms).tolist() == [0]
    assert group.theta[0] / mV == pytest.approx(20.05, abs=1e-5)


def test_adex_has_the_rheobase_of_its_equations():
    """A resting point has (g_L + a)(v - E_L) - g_L Delta_T exp((v - V_T)/Delta_T) = I. The left side is highest where
    exp = 1 + a/g_L: I_max = (g_L + a)(V_T - E_L - Delta_T + Delta_T ln(1 + a/g_L)) = 627 pA. Above there is no rest.
    """
    left = lambda v_mv: 34 * (v_mv + 70.6) - 60 * np.exp((v_mv + 50.4) / 2)  # noqa: E731  pA
    highest_pa = 34 * (20.2 - 2 + 2 * np.log(1 + 4 / 30))
    below_pa = 0.97 * highest_pa
    rest_mv = brentq(lambda v: left(v) - below_pa, -70.6, -50.4)
    spikes = {}
    for drive_pa in (below_pa, 1.03 * highest_pa):
        group = adex().group(1)
        group.v, group.w, group.I = rest_mv * mV, 4 * (rest_mv + 70.6) * pA, drive_pa * pA
        spikes[drive_pa] = len(spike_times_ms(group, 500 * ms))
    silent, firing = spikes.values()
    assert silent == 0
    assert firing > 0


def test_intervals_of_adex_lengthen():
    """Each spike adds b to w: the current that is left falls until w decays by b in one interval."""
    group = adex().group(1)
    group.I = 1000 * pA
    intervals = np.diff(spike_times_ms(group, 500 * ms))
    assert (np.diff(intervals[:4]) > 0).all()
    assert intervals[-1] > 2 * intervals[0]


def test_a_spike_adds_b_to_w():
    """At V_peak, dw = dt (a (v - E_L) - w)/tau_w in the step, and then b = 80.5 pA."""
    group = adex().group(1)
    group.v = 19.9 * mV  # beyond V_peak after one step
    assert len(spike_times_ms(group, DT_MS * ms)) == 1
    assert group.w[0] / pA == pytest.approx(80.5 + DT_MS / 144 * 4 * (19.9 + 70.6))
    assert group.v[0] / mV == pytest.approx(-70.6)


def test_izhikevich_rests_at_minus_70_mv():
    """0.04 v^2 + (5 - b) v + 140 = 0 with b = 0.2: v = -70 or -50, the lower one stable."""
    group = izhikevich().group(1)
    assert len(spike_times_ms(group, 1000 * ms)) == 0
    assert group.v[0] / mV == pytest.approx(-70, abs=1e-3)
    assert group.u[0] / (mV / ms) == pytest.approx(-14, abs=1e-3)


def test_izhikevich_has_the_rheobase_of_its_equations():
    """Resting points need 4.8^2 >= 0.16 (140 + I), that is I <= 4; the lower stable until 0.08 v + 5 = a, I = 3.8."""
    spikes = {}
    rest_mv = (-4.8 - np.sqrt(4.8**2 - 0.16 * 143.7)) / 0.08
    for drive in (3.7, 4.1):
        group = izhikevich().group(1)
        group.v, group.u, group.I = rest_mv * mV, 0.2 * rest_mv * mV / ms, drive * mV / ms
        spikes[drive] = len(spike_times_ms(group, 1000 * ms))
    assert spikes[3.7] == 0
    assert spikes[4.1] > 0


def test_kinds_of_izhikevich_fire_as_their_names_say():
    """At I = 10 (figure 2): chattering fires in bursts, regular spiking evenly, fast spiking more often than that."""
    intervals = {}
    for kind in IZHIKEVICH:
        group = izhikevich(kind).group(1)
        group.I = 10 * mV / ms
        times = spike_times_ms(group, 500 * ms)
        intervals[kind] = np.diff(times[times > 100])
    assert intervals["chattering"].max() > 5 * intervals["chattering"].min()
    assert np.ptp(intervals["regular spiking"]) <= 4 * DT_MS
    assert intervals["fast spiking"].mean() < intervals["regular spiking"].mean() / 2


# Chance and readout


@pytest.mark.parametrize("rho0_hz", [60, 20_000])
def test_escape_noise_has_the_probability_of_its_hazard(rho0_hz):
    """v stays at 0.5: p = 1 - exp(-rho0 exp(-0.5/0.25) dt), in 1000 neurons x 200 steps; 5 standard deviations."""
    seed(3)
    p = 1 - np.exp(-rho0_hz * np.exp(-2) * DT_MS * 1e-3)
    group = escape_noise_lif(v_rest=0.5, delta_u=0.25, rho0=rho0_hz * Hz).group(1000)
    trials = 1000 * 200
    spikes = len(spike_times_ms(group, 200 * DT_MS * ms))
    assert abs(spikes - trials * p) < 5 * np.sqrt(trials * p * (1 - p))


def test_poisson_neurons_have_their_rates():
    """Binomial counts of 500 neurons over 1000 steps of 1 ms, 5 standard deviations."""
    seed(4)
    defaultclock.dt = 1 * ms
    group = poisson(20 * Hz).group(1000)
    group.rate[500:] = 100 * Hz
    monitor = SpikeMonitor(group)
    Network(group, monitor).run(1 * second)
    for neurons_, p in ((slice(0, 500), 0.02), (slice(500, 1000), 0.1)):
        count = monitor.count[neurons_].sum()
        assert abs(count - 5e5 * p) < 5 * np.sqrt(5e5 * p * (1 - p))


def test_the_readout_decays_and_never_spikes():
    model = leaky_readout(tau=7 * ms)
    assert model.threshold is None
    group = model.group(1)
    group.v = 3
    t_ms, v = trace(group, "v", 50 * ms)
    np.testing.assert_allclose(v, 3 * np.exp(-t_ms / 7), rtol=1e-9)


# Texts and parameters

ALL = {
    name: getattr(neurons, name)()
    for name in (
        "adex",
        "alif",
        "coba_lif",
        "cuba_lif",
        "diehl_cook",
        "escape_noise_lif",
        "integrate_and_fire",
        "izhikevich",
        "leaky_readout",
        "lif",
        "poisson",
    )
}


@pytest.mark.parametrize("name", ALL)
def test_a_group_rests_where_it_starts(name):
    """No input, no current: every state is finite after 20 ms, and nothing but chance and Izhikevich's 65 mV moves."""
    model = ALL[name]
    group = model.group(3, name="cells")
    assert isinstance(model, NeuronModel)
    assert (group.name, group.N, dict(group.namespace)) == ("cells", 3, dict(model.parameters))
    assert model.input in group.equations.names
    before = group.get_states(model.start, units=False)
    Network(group).run(20 * ms)
    for variable, value in group.get_states(model.start, units=False).items():
        assert np.isfinite(value).all()
        if name != "izhikevich":
            np.testing.assert_allclose(value, before[variable], rtol=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_a_threshold_is_one_comparison(name):
    """What differentiates a network needs one margin, left side minus right side."""
    if ALL[name].threshold is not None:
        tree = ast.parse(ALL[name].threshold, mode="eval").body
        assert isinstance(tree, ast.Compare)
        assert len(tree.ops) == 1


def test_a_group_has_the_step_it_is_given():
    assert lif().group(2, dt=0.5 * ms).dt == 0.5 * ms


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lif(tua=5 * ms), "lif has no parameter 'tua'; it has tau, v_rest"),
        (lambda: lif(R=5), "lif has no parameter 'R'"),
        (lambda: lif(tau=5), "tau of lif is 5, expected a quantity in second"),
        (lambda: lif(tau=0 * ms), "expected more than 0 second"),
        (lambda: lif(tau=[5, 6] * ms), "expected one finite number for all"),
        (lambda: lif(v_rest=float("nan")), "expected one finite number"),
        (lambda: lif(v_rest=-70 * mV), "v_rest of lif is .*, expected a plain number"),
        (lambda: lif(threshold=3 * ms), "expected a plain number or volts"),
        (lambda: integrate_and_fire(threshold=3 * ms), "expected a plain number or volts"),
        (lambda: lif(v_reset=1.0), "lif resets to 1.0, expected below its threshold"),
        (lambda: lif(reset="zero"), "reset is 'zero', expected one of \\['hard', 'soft'\\]"),
        (lambda: lif(refractory=5), "refractory of lif is 5, expected a time"),
        (lambda: escape_noise_lif(delta_u=0.0), "delta_u of escape_noise_lif is 0.0, expected more than 0"),
        (lambda: izhikevich("slow"), "no Izhikevich neuron 'slow'; there are regular spiking"),
        (lambda: adex(b=1 * mV), "b of adex is .*, expected a quantity in amp"),
        (lambda: coba_lif(C=0 * nS * second), "C of coba_lif"),
        (lambda: poisson(10), "rate of poisson is 10, expected a quantity in hertz"),
        (lambda: lif().group(0, name="nobody"), "nobody is to have 0 neurons"),
    ],
)
def test_what_is_refused_says_what_was_expected(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
