"""Rules as text: what they change, when, and that they leave the synapses themselves alone."""

import numpy as np
import pytest
from brian2 import Clock, Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms, mV, nS, second

from dvs.errors import InputError, ParameterError
from learning import rules
from learning.modulators import dopamine
from learning.optimisers import SGD, Adam, Momentum, Nesterov, StepDecay
from learning.plasticity import Rule, attach

TAU = 20.0


def pair(pre_ms, post_ms, unit="1", weight=0.5, delay=None):
    """One synapse whose two neurons spike when they are told."""
    defaultclock.dt = 1 * ms
    before = SpikeGeneratorGroup(1, np.zeros(len(pre_ms), int), pre_ms * ms, name="before")
    after = NeuronGroup(1, f"v : {unit}\nfires : 1", threshold="fires > 0", reset="fires = 0", name="after")
    spark = SpikeGeneratorGroup(1, np.zeros(len(post_ms), int), (np.asarray(post_ms) - 1) * ms, name="spark")
    lit = Synapses(spark, after, on_pre="fires_post = 1", name="lit")
    lit.connect(i=[0], j=[0])
    synapses = Synapses(before, after, f"w : {unit}", on_pre="v_post += w", delay=delay, name="synapses")
    synapses.connect(i=[0], j=[0])
    synapses.w = weight
    return Network(before, after, spark, lit, synapses), synapses


def constant(value):
    factor = NeuronGroup(1, "level : 1", name="factor")
    factor.level = value
    return factor


def learnt(rule, pre_ms, post_ms, name, value=1.0, duration=200, **options):
    network, synapses = pair(np.array(pre_ms), np.array(post_ms))
    factor = constant(value)
    network.add(factor, attach(synapses, rule, {name: factor.level}, **options))
    network.run(duration * ms)
    return synapses.w[0] - 0.5


def test_reward_modulated_stdp_is_stdp_times_what_dopamine_collects():
    """Izhikevich (2007): a pair 10 ms apart leaves c = exp(-10/20); with D = 1 for ever, w gains eta c tau_c.

    In steps of dt the sum of c dt over all steps after it is c dt/(1 - exp(-dt/tau_c)), less the step of the spike, in
    which c is taken before it decays: the series starts with c itself.
    """
    rule = rules.r_stdp(tau_c=30 * ms, eta=2 / second)
    expected = 2 * np.exp(-10 / TAU) * 1e-3 / (1 - np.exp(-1 / 30))
    assert learnt(rule, [10], [20], "D", duration=1000) == pytest.approx(expected, rel=1e-9)
    assert learnt(rule, [20], [10], "D", duration=1000) == pytest.approx(-1.5 * expected, rel=1e-9)


def test_no_third_factor_no_change():
    assert learnt(rules.r_stdp(), [10], [20], "D", value=0.0) == 0
    assert learnt(rules.mstdp(), [10], [20], "R", value=0.0) == 0


def test_mstdp_rewards_the_step_of_the_spike_only():
    """Florian (2007): w += eta R zeta; zeta = exp(-10/20) in the step of the post spike."""
    assert learnt(rules.mstdp(eta=0.1), [10], [20], "R") == pytest.approx(0.1 * np.exp(-10 / TAU), rel=1e-9)
    assert learnt(rules.mstdp(eta=0.1), [20], [10], "R") == pytest.approx(-0.1 * np.exp(-10 / TAU), rel=1e-9)


def test_mstdpet_pays_the_same_in_the_end():
    """The trace spreads zeta over tau_z: with a reward that lasts the sum is that of MSTDP, to order dt/tau_z."""
    found = learnt(rules.mstdpet(eta=0.1), [10], [20], "R", duration=1000)
    assert found == pytest.approx(0.1 * np.exp(-10 / TAU) / 25 / (1 - np.exp(-1 / 25)), rel=1e-9)


def test_triplets_learn_more_than_their_pairs():
    """Pfister & Gerstner (2006): the second post spike of pre-post-post has o2 left, and gains A3_plus r1 o2 more."""
    rule = rules.r_stdp_triplet(tau_c=30 * ms)
    collected = 1e-3 / (1 - np.exp(-1 / 30))
    single = learnt(rule, [10], [20], "D", duration=1500)
    assert single == pytest.approx(6.1e-3 * np.exp(-10 / 16.8) * collected, rel=1e-6)
    both = learnt(rule, [10], [20, 30], "D", duration=1500)
    more = np.exp(-20 / 16.8) * (6.1e-3 + 6.7e-3 * np.exp(-10 / 27)) * collected
    assert both - single == pytest.approx(more, rel=1e-6)


def test_a_dopamine_pulse_turns_a_trace_into_change():
    """Eligibility waits: reward 100 ms after the pair changes the weight, without reward nothing does."""
    changes = []
    for reward in (0.0, 1.0):
        network, synapses = pair(np.array([10]), np.array([15]))
        chemical = dopamine()
        network.add(chemical, attach(synapses, rules.r_stdp(), {"D": chemical.level}))
        network.run(115 * ms)
        before = synapses.w[0]
        chemical.reward = reward
        network.run(300 * ms)
        changes.append(synapses.w[0] - before)
    assert changes[0] == 0
    assert changes[1] > 0


def test_transmission_stays_with_the_synapses():
    network, synapses = pair(np.array([10, 30]), np.array([50]))
    factor = constant(0.0)
    companion = attach(synapses, rules.r_stdp(), {"D": factor.level})
    network.add(factor, companion)
    network.run(60 * ms)
    assert next(obj for obj in network.objects if obj.name == "after").v[0] == 2 * 0.5
    assert companion.learns_online


def test_traces_hear_spikes_when_the_synapse_does():
    """With a delay of 7 ms the pre spike of 10 ms comes at 17, 3 ms before the post spike."""
    network, synapses = pair(np.array([10]), np.array([20]), delay=7 * ms)
    factor = constant(1.0)
    network.add(factor, attach(synapses, rules.mstdp(eta=1.0), {"R": factor.level}))
    network.run(50 * ms)
    assert synapses.w[0] - 0.5 == pytest.approx(np.exp(-3 / TAU), rel=1e-9)


COUNT = Rule(name="counting", equations="n : 1", on_pre="n += 1", change="step*R", parameters={"step": 0.1})


def test_limits_hold():
    assert learnt(COUNT, [10], [20], "R", limits=(0, 0.7)) == pytest.approx(0.2)
    assert learnt(COUNT, [10], [20], "R", value=-1.0, limits=(0.2, None)) == pytest.approx(-0.3)


def test_changes_are_summed_and_applied_from_time_to_time():
    """50 steps of 0.1 by 50 ms, applied before the next step begins."""
    assert learnt(COUNT, [10], [20], "R", duration=50, every=50 * ms) == 0
    assert learnt(COUNT, [10], [20], "R", duration=51, every=50 * ms) == pytest.approx(5.0)


@pytest.mark.parametrize(
    "optimiser", [SGD(0.1), Momentum(0.1, momentum=0.8), Adam(0.1), Adam(0.1, fading_epsilon=True)]
)
def test_optimisers_step_as_they_do_elsewhere(optimiser):
    """The text for Brian2 and the function for arrays: four updates with the gradient -5."""
    weights = {"w": np.array([0.5])}
    state = optimiser.start(weights)
    for _ in range(4):
        weights, state = optimiser.step({"w": np.array([-5.0])}, state, weights)
    found = learnt(COUNT, [10], [20], "R", duration=201, every=50 * ms, optimiser=optimiser)
    assert 0.5 + found == pytest.approx(weights["w"][0], rel=1e-12)


def test_traces_are_forgotten_when_an_episode_ends():
    network, synapses = pair(np.array([10]), np.array([20]))
    end = NeuronGroup(1, "over : 1", name="end")
    end.run_regularly("over = int(timestep(t, dt) == 15)")
    factor = constant(0.0)
    companion = attach(synapses, rules.r_stdp(), {"D": factor.level}, forget=end.over)
    network.add(end, factor, companion)
    network.run(15 * ms)
    assert companion.P[0] > 0
    network.run(1 * ms)
    assert companion.P[0] == 0
    network.run(30 * ms)
    assert companion.c[0] == 0


def test_a_factor_for_each_neuron_reaches_its_own_synapses():
    defaultclock.dt = 1 * ms
    source, target = NeuronGroup(2, "x : 1"), NeuronGroup(3, "y : 1")
    synapses = Synapses(source, target, "w : 1")
    synapses.connect(i=[0, 1, 1], j=[2, 0, 1])
    teacher = NeuronGroup(3, "L : 1")
    teacher.L = [1, 2, 3]
    rule = Rule(name="told", change="L")
    network = Network(source, target, synapses, teacher, attach(synapses, rule, {"L": teacher.L}))
    network.run(1 * ms)
    assert synapses.w[:].tolist() == [3, 1, 2]


def test_a_factor_of_a_whole_group_reaches_synapses_to_a_part_of_it():
    """The part's first neuron is the whole's second, which is told 2."""
    defaultclock.dt = 1 * ms
    source, whole = NeuronGroup(1, "x : 1"), NeuronGroup(3, "y : 1")
    synapses = Synapses(source, whole[1:], "w : 1")
    synapses.connect(i=[0, 0], j=[0, 1])
    teacher = NeuronGroup(3, "L : 1", name="teacher")
    teacher.L = [1, 2, 3]
    companion = attach(synapses, Rule(name="told", change="L"), {"L": teacher.L})
    Network(source, whole, synapses, teacher, companion).run(1 * ms)
    assert synapses.w[:].tolist() == [2, 3]
    with pytest.raises(ParameterError, match="a part of a group"):
        attach(synapses, Rule(name="told", change="L"), {"L": teacher[1:].L})


def test_a_weight_changes_where_in_a_step_the_rule_says():
    """At "start" of each third step, before what is sent: the second tick's spike carries one change, not none."""
    defaultclock.dt = 1 * ms
    source = NeuronGroup(1, "x : 1", threshold="timestep(t, dt) % 3 == 0", reset="")
    target = NeuronGroup(1, "y : 1")
    synapses = Synapses(source, target, "w : 1", on_pre="y_post += w")
    synapses.connect()
    clock = Clock(dt=3 * ms)
    rule = Rule(name="growth", equations="z : 1", change="1", after_change="z = w")
    companion = attach(synapses, rule, dt=clock, when="start")
    Network(source, target, synapses, companion).run(4 * ms)
    assert target.y[0] == 1 + 2
    assert companion.z[0] == 2
    assert companion.clock is clock


def test_weights_with_a_unit_move_by_a_size():
    network, synapses = pair(np.array([10]), np.array([20]), unit="volt", weight=2 * mV)
    factor = constant(1.0)
    network.add(factor, attach(synapses, rules.mstdp(eta=0.1, size=1 * mV), {"R": factor.level}))
    network.run(50 * ms)
    assert synapses.w[0] / mV - 2 == pytest.approx(0.1 * np.exp(-10 / TAU), rel=1e-9)


def test_weight_perturbation_repeats_what_helped():
    """A trial has w + shake, and its end adds eta R shake: with R = 1, half of the first shake is kept."""
    network, synapses = pair(np.array([10]), np.array([20]))
    factor = constant(1.0)
    companion = attach(
        synapses, rules.weight_perturbation(sigma=0.1, eta=0.5), {"R": factor.level}, every=10 * ms
    )  # fmt: skip
    network.add(factor, companion)
    network.run(5 * ms)
    first, shaken = companion.shake[0], synapses.w[0]
    assert shaken == pytest.approx(0.5 + first)
    network.run(10 * ms)
    assert synapses.w[0] == pytest.approx(0.5 + 0.5 * first + companion.shake[0])


def test_node_perturbation_adds_up_noise_times_input():
    """One pre spike at 10 ms leaves x = exp(-k/20) k steps later; the trace is the sum of nudge x."""
    network, synapses = pair(np.array([10]), np.array([25]))
    after = next(obj for obj in network.objects if obj.name == "after")
    noise, factor = rules.shaken(after, 0.1), constant(1.0)
    companion = attach(
        synapses, rules.node_perturbation(eta=1.0), {"nudge": noise.nudge, "R": factor.level}, every=40 * ms
    )  # fmt: skip
    network.add(noise, factor, companion)
    expected = 0.0
    for step in range(20):
        network.run(1 * ms)
        expected += noise.nudge[0] * (np.exp(-(step - 10) / TAU) if step >= 10 else 0)
    assert companion.g[0] == pytest.approx(expected, rel=1e-9)


# What does not fit


def some(connected=True, flags="", unit="1"):
    group = NeuronGroup(2, f"v : {unit}")
    synapses = Synapses(group, group, f"w : {unit} {flags}")
    if connected:
        synapses.connect(i=[0], j=[1])
    return synapses


@pytest.mark.parametrize(
    ("make", "options", "error", "said"),
    [
        (lambda: some(connected=False), {}, InputError, "is not connected"),
        (some, {"weight": "strength"}, ParameterError, "no variable 'strength'"),
        (lambda: some(flags="(constant)"), {}, ParameterError, "is \\(constant\\)"),
        (some, {"rule": rules.r_stdp()}, ParameterError, "needs 'D'; give it as a third factor"),
        (lambda: some(unit="siemens"), {}, ParameterError, "which is a plain number, expected in siemens"),
        (some, {"limits": (0 * nS, 1 * nS)}, ParameterError, "limits of the weight: a quantity in"),
        (some, {"limits": (1, 0)}, ParameterError, "expected the lower one first"),
        (some, {"every": 0.15 * ms}, ParameterError, "whole steps"),
        (some, {"optimiser": Nesterov(0.1)}, ParameterError, "no text for Brian2"),
        (some, {"optimiser": SGD(StepDecay(0.1, every=5))}, ParameterError, "schedule"),
        (some, {"forget": "now"}, ParameterError, "forget is 'now'"),
    ],
)
def test_what_does_not_fit_is_refused(make, options, error, said):
    rule = options.pop("rule", Rule(name="growth", change="0.1"))
    with pytest.raises(error, match=said):
        attach(make(), rule, **options)


def test_a_factor_of_the_wrong_size_is_refused():
    factors = NeuronGroup(5, "L : 1")
    with pytest.raises(ParameterError, match="has 5 values, expected 1, or 2"):
        attach(some(), Rule(name="told", change="L"), {"L": factors.L})
