"""World, eyes and agent as one network: who tells whom what and when, and the same life from the same seed."""

import numpy as np
import pytest
from brian2 import StateMonitor, defaultclock, get_device, ms
from brian2.devices.device import runtime_device
from numpy.testing import assert_array_equal

from dvs.errors import ParameterError
from learning.closed_loop import cartpole_loop, catch_loop, compiled_loop, run_loop


@pytest.fixture
def step():
    defaultclock.dt = 1 * ms


@pytest.mark.usefixtures("step")
def test_the_error_at_a_fall_is_the_reward_less_the_value_before():
    """Two episodes and more of CartPole: td_error = r + gamma V' - V, at an end r - V, after it 0."""
    life = run_loop(cartpole_loop(), 60, seed=4)
    (end, *_) = life.ends
    assert len(life.lengths) >= 1
    assert life.returns[0] == -1
    assert life.td_error[0] == life.td_error[end + 1] == 0
    assert life.td_error[end] == pytest.approx(-1 - life.value[end - 1])
    inside = np.arange(2, end)
    expected = 0.995 * life.value[inside] - life.value[inside - 1]
    assert life.td_error[inside] == pytest.approx(expected)


@pytest.mark.usefixtures("step")
def test_a_push_is_the_action_that_most_actors_voted_for():
    loop = cartpole_loop()
    names = StateMonitor(loop.world, "pushed", record=0, dt=20 * ms, when="start", order=0)
    actions = StateMonitor(loop.agent.choice, "action", record=0, dt=20 * ms, when="start", order=0)
    loop.network.add(names, actions)
    run_loop(loop, 30, seed=0)
    assert_array_equal(names.pushed[0], actions.action[0])
    assert set(names.pushed[0]) == {0, 1}


@pytest.mark.usefixtures("step")
def test_nothing_is_learnt_without_learning_and_nothing_moves_without_motion_channels():
    loop = catch_loop()
    life = run_loop(loop, 25, seed=0, settings={**loop.ablation("learning"), **loop.ablation("motion")})
    assert not life.policy.any()
    assert not life.values.any()
    assert set(life.returns) <= {-1.0, 1.0}
    assert loop.camera.motion.waiting[:].sum() == 0


@pytest.mark.usefixtures("step")
@pytest.mark.parametrize("make", [cartpole_loop, catch_loop])
def test_all_that_happens_once_an_interval_shares_one_clock(make):
    """The step, the frames of the camera and the control interval: three clocks."""
    loop = make()
    clocks = {one.clock for each in loop.network.objects for one in (each, *each.contained_objects)}
    assert len(clocks) == 3
    assert loop.agent.clock in clocks


@pytest.mark.usefixtures("step")
def test_an_unknown_ablation_is_refused_and_so_is_no_time():
    loop = catch_loop()
    with pytest.raises(ParameterError, match="without is 'sleep', expected one of"):
        loop.ablation("sleep")
    with pytest.raises(ParameterError, match="steps is 0"):
        run_loop(loop, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_a_compiled_loop_lives_the_same_life_again_from_the_same_seed_and_learns():
    """Catch on three columns: by chance one ball in three is caught, +1, and two are not, -1: a mean of -1/3, of which
    400 balls tell 4 standard errors of sqrt(8/9/400) = 0.05; when 300 balls have been seen most are caught."""
    with compiled_loop(lambda: catch_loop(columns=3, rows=5), 2001) as run:
        first, again, other = run(0), run(0), run(1)
        fixed = run(0, run.loop.ablation("learning"))
    assert get_device() is runtime_device
    assert_array_equal(first.td_error, again.td_error)
    assert not np.array_equal(first.td_error, other.td_error)
    assert len(fixed.returns) == 400
    assert abs(fixed.returns.mean() + 1 / 3) < 0.2
    assert first.returns[-100:].mean() > 0.6
