"""Worlds against Gymnasium and against the rules of the game, their eyes against the definition of an event."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, StateMonitor, TimedArray, defaultclock, ms, seed
from numpy.testing import assert_allclose

from dvs.errors import ParameterError
from learning.worlds.cartpole import cartpole
from learning.worlds.catch import catch
from learning.worlds.strips import Strip, strips

TICK = {"dt": 20 * ms, "when": "start"}


def pushed_by(actions, world, interval=20 * ms):
    """The world does one action after the other; the first interval is for looking."""
    world.namespace["actions"] = TimedArray(np.asarray(actions, float), dt=interval)
    world.run_regularly("action = actions(t)", dt=interval, when="start", order=-71)


def test_the_cart_and_the_pole_move_as_in_gymnasium():
    """The same pushes from the same state lead to the same states, to the end of the episode, step for step."""
    gymnasium = pytest.importorskip("gymnasium")
    defaultclock.dt = 5 * ms
    actions = np.random.default_rng(3).integers(0, 2, 60)
    world = cartpole()
    start = np.array([0.01, -0.02, 0.03, 0.04])
    world.x, world.x_dot, world.theta, world.theta_dot = start
    # Known at 0 ms is that the world waits; at 20 ms comes the first push, whose result is there at 40 ms.
    pushed_by([0, *actions], world)
    seen = StateMonitor(world, ["x", "x_dot", "theta", "theta_dot", "ended", "steps"], record=0, **TICK, order=-69)
    Network(world, seen).run(60 * 20 * ms)
    env = gymnasium.make("CartPole-v1").unwrapped
    env.reset(seed=0)
    env.state = start
    ended = False
    for k, action in enumerate(actions):
        _, _, ended, *_ = env.step(int(action))
        ours = [getattr(seen, name)[0][k + 2] for name in ("x", "x_dot", "theta", "theta_dot")]
        assert_allclose(ours, env.state, atol=1e-12)
        assert bool(seen.ended[0][k + 2]) == ended
        if ended:
            break
    assert ended
    assert seen.steps[0][k + 2] == k + 1


def test_between_pushes_cart_and_pole_move_at_constant_speed():
    """Explicit Euler: what is seen at a push is where the state is."""
    defaultclock.dt = 5 * ms
    world = cartpole()
    world.x_dot, world.theta_dot = 0.7, -0.3
    seen = StateMonitor(world, ["x", "x_seen", "theta", "theta_seen"], record=0, when="start", order=-69)
    Network(world, seen).run(101 * ms)
    for name in ("x", "theta"):
        state, shown = getattr(seen, name)[0], getattr(seen, f"{name}_seen")[0]
        assert_allclose(shown[::4], state[::4], atol=1e-12)
        assert_allclose(shown[6], (shown[4] + shown[8]) / 2, atol=1e-12)


def test_an_episode_of_cartpole_ends_in_time_with_a_truncation_and_in_a_fall_with_a_punishment():
    defaultclock.dt = 10 * ms
    seed(0)
    world = cartpole(most_steps=3)
    names = ["ended", "truncated", "reward", "steps"]
    seen = StateMonitor(world, names, record=0, **TICK, order=-69)
    network = Network(world, seen)
    network.run(5 * 20 * ms)
    assert seen.ended[0].tolist() == [0, 0, 0, 0, 1]
    assert (seen.truncated[0][-1], seen.reward[0][-1], seen.steps[0][-1]) == (1, 0, 3)
    assert world.steps[0] == 0
    assert np.abs([world.x[0], world.x_dot[0], world.theta[0], world.theta_dot[0]]).max() <= 0.05
    world.theta = 0.3
    network.run(2 * 20 * ms)
    assert (seen.ended[0][5], seen.truncated[0][5], seen.reward[0][5]) == (1, 0, -1)


def test_catch_rewards_the_paddle_where_the_ball_lands():
    """The ball falls a row an interval; a paddle that runs under it, at most four columns away, is there in nine."""
    defaultclock.dt = 25 * ms
    seed(1)
    for follows in (True, False):
        world = catch()
        towards = "+" if follows else "-"
        world.run_regularly(f"action = 1 {towards} sign(aside)", dt=50 * ms, when="start", order=-71)
        seen = StateMonitor(world, ["ended", "reward", "steps"], record=0, dt=50 * ms, when="start", order=-69)
        Network(world, seen).run(2000 * ms)
        ends = np.flatnonzero(seen.ended[0])
        assert np.diff(ends).tolist() == [10] * (len(ends) - 1)
        assert set(seen.steps[0][ends]) == {9}
        if follows:
            assert set(seen.reward[0][ends]) == {1}
        else:
            assert -1 in seen.reward[0][ends]


def watched(speed, duration, **settings):
    """A strip before which a bar moves at a constant speed."""
    defaultclock.dt = 1 * ms
    world = NeuronGroup(1, f"place = -2 + {speed}*t/ms : 1\nended : 1")
    camera = strips(world, [Strip(watches="place", farthest=10, pixels=21, width=1.0)], **settings)
    events = StateMonitor(camera.pixels, "events", record=True, dt=5 * ms, when="after_groups")
    spikes = SpikeMonitor(camera.motion)
    network = Network(world, *camera.objects, events, spikes)
    network.run(duration)
    return network, world, camera, events, spikes


def test_events_add_up_to_the_change_of_contrast_over_the_threshold():
    """A bar walks over the strip: ON less OFF events of a pixel are what is seen over theta, within one event."""
    seed(0)
    _, _, camera, events, spikes = watched(0.01, 200 * ms, contrast=2.0)
    at_last_frame = -2 + 0.01 * 195
    seen = 2.0 * np.exp(-((at_last_frame - camera.pixels.centre[:]) ** 2) / 2)
    net = events.events.sum(axis=1)
    assert np.abs(seen / camera.pixels.theta[:] - net).max() < 1 + 1e-6
    assert_allclose(camera.pixels.reference[:], net * camera.pixels.theta[:], atol=1e-12)
    on, off = np.bincount(spikes.i, minlength=42).reshape(2, 21)
    shown = events.events[:, :-1]  # those of the last frame are still on their way
    assert_allclose(on - off, shown.sum(axis=1), atol=3)
    assert on.sum() > off.sum() > 0


def test_without_motion_there_are_no_events_after_the_appearance():
    seed(0)
    *_, events, _ = watched(0.0, 100 * ms)
    assert events.events[:, 0].sum() > 0
    assert not events.events[:, 1:].any()


def test_thresholds_differ_by_3_percent_from_pixel_to_pixel_and_with_the_seed():
    """The deviation of 2000 draws is known within 1/sqrt(4000), 1.6 percent of itself."""
    defaultclock.dt = 1 * ms
    world = NeuronGroup(1, "place : 1\nended : 1")
    seed(0)
    theta = strips(world, [Strip(watches="place", farthest=1, pixels=2000, width=1)]).pixels.theta[:]
    assert theta.mean() == pytest.approx(0.2, abs=4 * 0.006 / np.sqrt(2000))
    assert theta.std() == pytest.approx(0.006, rel=0.07)


def test_a_sustained_neuron_spikes_in_proportion_to_what_stands_before_it():
    """Memory m decays as exp(-t/tau): rate x m x tau (1 - exp(-T/tau)) spikes, within four deviations of a Poisson."""
    seed(0)
    defaultclock.dt = 1 * ms
    world = NeuronGroup(1, "place : 1\nended : 1")
    camera = strips(world, [Strip(watches="place", farthest=1, pixels=41, width=0.5)], contrast=1.0)
    spikes = SpikeMonitor(camera.sustained, record=False)
    Network(world, *camera.objects, spikes).run(300 * ms)
    expected = 300 * camera.pixels.reference[:].sum() * (1 - np.exp(-0.3))
    assert spikes.num_spikes == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_the_screen_is_blank_where_an_episode_ends():
    seed(0)
    network, world, camera, *_ = watched(0.0, 40 * ms)
    assert camera.pixels.memory[:].any()
    world.ended = 1
    before = camera.pixels.reference[:].sum()
    network.run(1 * ms)
    # Blank, and in the same step the first frame of the next episode.
    assert camera.pixels.memory[:].sum() == pytest.approx(before, rel=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda world: Strip(watches="place", farthest=1, pixels=1, width=1), "1 pixels, expected a whole number"),
        (lambda world: Strip(watches="place", farthest=1, pixels=5, width=0), "expected numbers above 0"),
        (lambda world: strips(world, []), "no strip to see with"),
        (lambda world: catch(columns=1), "1 columns and 10 rows"),
        (
            lambda world: strips(world, [Strip(watches="place", farthest=1, pixels=5, width=1)]).ablation("colour"),
            "without is 'colour'",
        ),
    ],
)
def test_a_world_says_what_is_wrong(make, message):
    with pytest.raises(ParameterError, match=message):
        make(NeuronGroup(1, "place : 1\nended : 1"))
