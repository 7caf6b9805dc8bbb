"""Critic, actor and their rules in continuous time against formulas of Frémaux et al. (2013), and laws of a maze."""

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    cm,
    defaultclock,
    device,
    metre,
    ms,
    mV,
    second,
    seed,
    set_device,
)

from dvs.errors import ParameterError
from learning.continuous_td import actor_critic, excite, heading, lateral, r_max, srm0, td_error, td_ltp
from learning.plasticity import attach
from learning.worlds.maze import Maze
from learning.worlds.track import Track

MS = 1e-3


@pytest.fixture(autouse=True)
def _steps_of_one_ms(fresh_brian):
    defaultclock.dt = 1 * ms


def still_world(present=1, reward=0 * Hz):
    """A world that stays as it is."""
    group = NeuronGroup(1, "r : Hz\npresent : integer\nplastic : integer", name="still*")
    group.r, group.present, group.plastic = reward, present, 1
    return group


def firing_at(rate, count=100):
    """Neurons that fire regularly, evenly out of phase, at a rate given as text in t."""
    group = NeuronGroup(count, f"rate = {rate} : Hz\nphase : 1", threshold="phase >= 1", reset="phase -= 1")
    group.run_regularly("phase += rate*dt", when="before_thresholds")
    group.phase = "i/N"
    return group


def silent(count=1):
    return NeuronGroup(count, "v : 1", threshold="v > 1")


def spikes(times_ms):
    return SpikeGeneratorGroup(1, np.zeros(len(times_ms), int), np.array(times_ms) * ms, name="pre*")


def learnt_alone(pre_ms, post_ms, duration=2 * second):
    """Change of weight of one synapse while delta is 2/s, for spikes at given times."""
    target = NeuronGroup(1, "spike : 1", threshold="spike > 0.5", name="post*")  # one step after it is told to
    forced = Synapses(spikes(np.array(post_ms) - 1), target, on_pre="spike_post = 1", name="forced*")
    forced.connect()
    target.run_regularly("spike = 0", when="after_thresholds")
    synapses = Synapses(spikes(pre_ms), target, "w : 1")
    synapses.connect(i=[0], j=[0])
    error = NeuronGroup(1, "delta : Hz")
    error.delta = 2 * Hz
    rule = attach(synapses, td_ltp(), {"delta": error.delta})
    Network(forced.source, target, forced, synapses.source, synapses, error, rule).run(duration)
    return float(synapses.w[0])


def epsilon_mv(t_ms):
    """20 mV ms (exp(-t/20) - exp(-t/5))/15, of the time since an input."""
    return 20 / 15 * (np.exp(-t_ms / 20) - np.exp(-t_ms / 5))


# Value and TD error


def test_one_spike_of_one_critic_is_worth_nu():
    """kappa has area 1, so the integral of V - V0 after one spike of one neuron is nu = 2 s."""
    world = still_world()
    td, readout = td_error(silent(), world)
    td.slow = td.fast = 1
    record = StateMonitor(td, "V", record=True, when="end")
    Network(world, td, readout, readout.source, record).run(3 * second)
    assert np.sum(record.V[0] + 40) * MS == pytest.approx(2, rel=1e-4)


def test_value_is_nu_times_the_mean_rate():
    """At 50 Hz, V = 2 s * 50 Hz - 40 = 60, but for the ripple of 100 neurons out of phase, 0.2 ms apart."""
    critic = firing_at("50*Hz")
    world = still_world()
    td, readout = td_error(critic, world)
    Network(critic, world, td, readout).run(1.5 * second)
    assert td.V[0] == pytest.approx(60, abs=0.7)


def test_a_value_that_grows_as_it_is_discounted_has_no_error():
    """V' = V/tau_r without reward. Rates of (V/K - V0)/nu make that V; K = 1/((1 + 0.2/4)(1 + 0.05/4)) is kappa's."""
    factor = 1 / ((1 + 0.2 / 4) * (1 + 0.05 / 4))
    critic = firing_at(f"(30*exp(t/(4*second))/{factor} + 40)/(2*second)", 400)
    world = still_world()
    td, readout = td_error(critic, world)
    record = StateMonitor(td, ["V", "delta"], record=True, when="end")
    Network(critic, world, td, readout, record).run(3 * second)
    late = record.t > 1.7 * second
    assert record.V[0][late] == pytest.approx(30 * np.exp(record.t[late] / (4 * second)), rel=0.01)
    assert record.delta[0][late].mean() == pytest.approx(0, abs=0.1)  # of V/tau_r = 15/s


def test_summed_errors_are_what_value_and_reward_changed():
    """Sum of delta dt = V(end) - V(start) + sum of (r - V/tau_r) dt: nothing is lost to the filter, whatever dt is."""
    seed(1)
    critic = NeuronGroup(10, "v : 1", threshold="rand() < 60*Hz*dt")
    world = still_world(reward=7 * Hz)
    td, readout = td_error(critic, world)
    record = StateMonitor(td, ["V", "delta"], record=True, when="end")
    Network(critic, world, td, readout, record).run(1 * second)
    value, delta = record.V[0], np.asarray(record.delta[0])
    expected = value[-1] - value[0] + np.sum(7 - value[1:] / 4) * MS
    assert np.sum(delta[1:]) * MS == pytest.approx(expected, rel=1e-9)


def test_the_value_of_being_nowhere_decays_to_zero():
    """V(t) = V exp(-t/200 ms), not V0 = -40, to which the critic falls without input."""
    world = still_world(present=0)
    td, readout = td_error(silent(), world)
    td.V = 80
    Network(world, td, readout, readout.source).run(400 * ms)
    assert td.V[0] == pytest.approx(80 * np.exp(-2), rel=1e-9)
    assert td.delta[0] / Hz == pytest.approx(-80 * np.exp(-2) * (1 / 0.2 + 1 / 4), rel=0.01)


# Neurons


def test_an_input_makes_the_potential_epsilon():
    """w = 2: u(t) = 2 * 20 mV ms (exp(-t/20 ms) - exp(-t/5 ms))/15 ms."""
    source, target = spikes([0]), srm0(rho0=0 * Hz).group(1)
    synapses = excite(source, target, 2.0, 0.0, name="in*")
    record = StateMonitor(target, "v", record=True, when="end")
    Network(source, target, synapses, record).run(60 * ms)
    assert np.asarray(record.v[0] / mV) == pytest.approx(2 * epsilon_mv(np.arange(60)), abs=1e-9)


def test_a_spike_forgets_the_input():
    """After it u = -5 mV exp(-t/20 ms), whatever had arrived."""
    source, target = spikes([0]), srm0(rho0=1e9 * Hz).group(1)
    synapses = excite(source, target, 5.0, 0.0, name="in*")
    Network(source, target, synapses).run(1 * ms)
    assert target.v[0] / mV == pytest.approx(-5)
    assert target.I[0] / mV == 0


def test_without_input_the_rate_is_that_of_the_escape():
    """rho0 exp(-threshold/delta_u) = 60 exp(-16/5) = 2.45 Hz; 10000 neuron seconds, four standard errors, less what
    resets of 5 mV, for 20 ms, take of it: below 4 %."""
    seed(2)
    group = srm0().group(2000)
    count = SpikeMonitor(group, record=False)
    Network(group, count).run(5 * second)
    expected = 60 * np.exp(-16 / 5)
    assert 0.96 * expected - 0.07 < count.num_spikes / 10000 < expected + 0.07


def test_lateral_synapses_of_a_neuron_sum_to_both_strengths():
    """sum_j w_ij = inhibition (N - 1)/N + excitation, and the nearest are excited most."""
    ring = srm0().group(12)
    synapses = lateral(ring, inhibition=-24, excitation=7)
    weights = np.zeros((12, 12))
    weights[synapses.i[:], synapses.j[:]] = synapses.w[:]
    assert weights.sum(axis=0) == pytest.approx(np.full(12, -24 * 11 / 12 + 7))
    assert weights[0, 1] == pytest.approx(weights[0, 11])
    assert weights[0, 1] > weights[0, 2] > weights[0, 6]


def test_the_agent_goes_where_the_ring_points():
    """Of 8 neurons one, at 90 degrees, fires at 80 Hz: a mean of 10 Hz in one direction is the speed, upwards."""
    ring = firing_at("80*Hz*int(i == 2)", 8)
    steering, synapses = heading(ring, speed=0.5 * metre / second)
    record = StateMonitor(steering, ["vx", "vy"], record=True)
    Network(ring, steering, synapses, record).run(0.8 * second)
    late = record.t >= 500 * ms
    assert np.asarray(record.vx[0][late]) == pytest.approx(0, abs=1e-9)
    assert np.mean(record.vy[0][late] / (metre / second)) == pytest.approx(0.5, rel=0.02)


# Rules


def test_with_a_constant_error_td_ltp_is_hebbian():
    """Area of kappa 1: dw = eta delta epsilon(t_post - t_pre) = 0.02 ms/mV * 2/s * epsilon(12 ms), in the long run."""
    expected = 0.02e-3 * 2 * epsilon_mv(12) * 1
    assert learnt_alone([100], [112]) == pytest.approx(expected, rel=1e-3)


def test_post_before_pre_changes_nothing():
    assert learnt_alone([112], [100]) == 0


def test_what_met_a_spike_does_not_meet_the_next():
    """X_j counts input since the neuron's last spike: the second of two spikes finds nothing."""
    assert learnt_alone([100], [112, 120]) == pytest.approx(learnt_alone([100], [112]), rel=1e-9)


def test_without_reward_r_max_learns_nothing_and_chance_cancels():
    """The spike less its probability has mean 0: so has z, within four standard errors of 400 neurons."""
    seed(3)
    world = NeuronGroup(1, "r : Hz")
    source, target = NeuronGroup(1, "v : 1", threshold="rand() < 300*Hz*dt"), srm0().group(400)
    synapses = excite(source, target, 3.0, 0.0, name="in*")
    rule = attach(synapses, r_max(), {"r": world.r})
    Network(world, source, target, synapses, rule).run(1 * second)
    z = np.asarray(rule.z[:])
    assert z.std() > 0.1
    assert abs(z.mean()) < 4 * z.std() / 20
    assert np.all(synapses.w[:] == 3)


def test_reward_follows_what_was_done_by_chance():
    """Neurons that happened to spike more than expected are those whose weights a reward raises."""
    seed(4)
    world = NeuronGroup(1, "r : Hz")
    source, target = NeuronGroup(1, "v : 1", threshold="rand() < 300*Hz*dt"), srm0().group(50)
    synapses = excite(source, target, 3.0, 0.0, name="in*")
    rule = attach(synapses, r_max(), {"r": world.r})
    network = Network(world, source, target, synapses, rule)
    network.run(500 * ms)
    world.r = 100 * Hz
    network.run(1 * ms)
    z, change = np.asarray(rule.z[:]), synapses.w[:] - 3
    assert change == pytest.approx(0.02 * 0.1 * (20 / 15) / 5 * z / 200, rel=1e-9)


# Worlds


def test_a_place_cell_fires_by_the_distance_of_its_place():
    """400 Hz exp(-d^2/width^2): 400/e Hz at one width, 400 exp(-2) Hz at (1, 1) widths."""
    rates = Maze().rates([0.0], [0.0])[0] / Hz
    at = {tuple(place): rate for place, rate in zip(Maze().centres(), rates, strict=True)}
    assert [at[0, 0], at[2, 0], at[2, -2]] == pytest.approx([400, 400 / np.e, 400 * np.exp(-2)])


def test_place_cells_of_a_held_agent_fire_at_their_rates():
    """Of 1 s, held at the start: within five standard errors of 400 Hz exp(-d^2/width^2)."""
    seed(5)
    maze = Track()
    world = maze.world()
    cells = maze.place_cells(world)
    counts = SpikeMonitor(cells, record=False)
    Network(world, cells, counts).run(1 * second)
    expected = np.asarray(maze.rates(*maze.starts[0])[0] / Hz)
    assert np.all(np.abs(counts.count[:] - expected) < 5 * np.sqrt(expected) + 1)


def test_walls_are_not_crossed():
    """A fast agent that turns at random is never in a wall, touches many, and pays 1 for each touch."""
    seed(6)
    drive = NeuronGroup(1, "vx : metre/second\nvy : metre/second\nangle : 1")
    drive.run_regularly("angle += 0.3*randn()\nvx = 5*cos(angle)*metre/second\nvy = 5*sin(angle)*metre/second")
    maze = Maze(goal=(0.0, 7.0), goal_radius=0.01, limit=100 * second)
    world = maze.world((drive.vx, drive.vy))
    place = StateMonitor(world, ["x", "y", "slow"], record=True, when="end")
    Network(drive, world, place).run(5 * second)
    x, y = (np.asarray(one / maze.unit) for one in (place.x[0], place.y[0]))
    assert np.all(maze.is_free(x, y))
    assert np.ptp(x) > 10
    assert np.ptp(y) > 10
    steps = place.slow[0][1:] - place.slow[0][:-1] * np.exp(-1 / 200)
    assert set(np.round(steps, 9)) == {0.0, -1.0}
    assert np.sum(steps < -0.5) > 20


def test_the_track_takes_its_time_and_pays_once():
    """Touched after 4 s, to the step; the reward, released slowly, is 100 in all."""
    world = Track().world()
    ends = SpikeMonitor(world, variables=["latency", "reached"])
    reward = StateMonitor(world, "r", record=True)
    Network(world, ends, reward).run(6.5 * second)
    assert ends.latency[0] / second == pytest.approx(4, abs=0.003)
    assert ends.reached[0] == 1
    assert np.sum(reward.r[0] / Hz) * MS == pytest.approx(100, rel=0.01)


def test_a_trial_without_goal_ends_at_the_limit_and_teaches_nothing_after():
    maze = Maze(limit=300 * ms, hold=100 * ms, rest=50 * ms)
    world = maze.world((0 * metre / second, 0 * metre / second))
    ends = SpikeMonitor(world, variables=["latency", "reached"])
    record = StateMonitor(world, ["plastic", "present"], record=True, when="end")
    Network(world, ends, record).run(1.5 * second)
    assert np.asarray(ends.latency / ms) == pytest.approx(np.full(len(ends.t), 300), abs=1.1)
    assert not ends.reached[:].any()
    assert not record.plastic[0][record.present[0] == 0].any()


def test_the_value_of_the_track_is_discounted_from_the_delivery():
    """4 s way and 210 ms release: 100 at 4.21 s, 100/e four seconds before."""
    assert Track().value([0.21, 4.21] * second, 4 * second) == pytest.approx([100 / np.e, 100])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Maze(goal=(3.0, 0.0)), "goal of the maze"),
        (lambda: Maze(starts=((9.0, 0.0),)), "starts of the maze"),
        (lambda: Maze().world((1 * cm, 1 * cm)), "velocity is"),
        (lambda: Track(duration=0 * second), "duration of the track"),
        (lambda: actor_critic(Maze(), method="TD"), "method is 'TD'"),
    ],
)
def test_what_cannot_be_is_said(make, words):
    with pytest.raises(ParameterError, match=words):
        make()


def test_critic_and_actor_learn_while_the_network_runs():
    """Weights of both change during a trial, and stay within their limits; nothing changes while the agent is held."""
    seed(7)
    brain = actor_critic(Maze(hold=50 * ms), critics=10, actors=12)
    brain.network.run(50 * ms)
    before = [np.array(synapses.w[:]) for synapses in (brain.to_critic, brain.to_actor)]
    brain.network.run(500 * ms)
    limits = (0.75, 6.0), (0.3, 3.0)
    for synapses, old, (low, high) in zip((brain.to_critic, brain.to_actor), before, limits, strict=True):
        assert np.abs(synapses.w[:] - old).max() > 1e-3
        assert low <= synapses.w[:].min() <= synapses.w[:].max() <= high


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_it_is_compiled_as_one_program(tmp_path):
    set_device("cpp_standalone", directory=str(tmp_path / "code"), build_on_run=True)
    seed(8)
    brain = actor_critic(Maze(hold=50 * ms), critics=10, actors=12)
    brain.network.run(500 * ms)
    assert np.ptp(brain.to_actor.w[:]) > 0.1
    device.reinit()
