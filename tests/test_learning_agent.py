import av
import numpy as np
import pytest
from brian2 import defaultclock, ms, second

from dvs.errors import FormatError, InputError, OutputError, ParameterError
from dvs.events import empty_events, make_events

gymnasium = pytest.importorskip("gymnasium")

from learning.agent import EventAgent, WideFields, decorrelated, ramps, train  # noqa: E402
from learning.agent_video import film  # noqa: E402
from learning.event_env import EventEnv  # noqa: E402

NOTHING = empty_events()


def fields(width=5, height=2, bands=((0, 1), (1, 2))):
    weights = ramps(width, height, bands)
    return WideFields(weights=weights, where_gain=np.ones(len(weights)), motion_gain=np.full(len(weights), 2.0))


@pytest.fixture
def agent():
    defaultclock.dt = 1 * ms
    return EventAgent(fields(), 2, record=["retina"], gamma=0.9, eta=0.05, eta_value=0.001)


class Bars(gymnasium.Env):
    """Two bars, one over the other, that chance moves; reward 1 for action 1, and episodes of 5 steps."""

    metadata = {"render_fps": 50, "render_modes": ["rgb_array"]}  # noqa: RUF012
    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(0, 40, (2,))
    render_mode = "rgb_array"

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.places, self.left = np.array([20, 20]), 5
        return self.places.copy(), {}

    def step(self, action):
        self.places = np.clip(self.places + self.np_random.integers(-2, 3, 2), 3, 37)
        self.left -= 1
        return self.places.copy(), float(action), self.left == 0, False, {}

    def render(self):
        picture = np.full((8, 40, 3), 200, np.uint8)
        for row, place in enumerate(self.places):
            picture[4 * row : 4 * row + 4, place - 2 : place + 2] = 50
        return picture


def sums(agent):
    return np.array(agent.network["sums"].m[:])


def test_a_sum_has_the_weight_of_the_pixel_and_the_sign_of_the_event_and_fades():
    """ON at x = 4 of row 0, where the ramp is 1; OFF at x = 1 of row 1, where it is -0.5: 1 and 0.5.

    The events come in the first step of 20 of 1 ms. A sum fades from the step after: exp(-19 ms / tau).
    """
    defaultclock.dt = 1 * ms
    agent = EventAgent(fields(), 2)
    agent.act(make_events([4, 1], [0, 1], [100, 200], [1, 0]))
    fade = np.exp(-19e-3 / np.array([2.0, 0.03]))
    assert np.allclose(sums(agent), [fade[0], 0.5 * fade[0], fade[1], 0.5 * fade[1]])


def test_events_of_one_pixel_in_one_step_count_each():
    defaultclock.dt = 1 * ms
    agent = EventAgent(fields(), 2)
    agent.act(make_events([4] * 3, [0] * 3, [5000, 5100, 5200], [1, 1, 1]), since_us=5000)
    assert np.isclose(sums(agent)[0], 3 * np.exp(-19e-3 / 2))


def test_an_opposite_movement_is_told_by_the_other_cell():
    """A dark bar from x = 1 to 3 takes ON to 1 and OFF to 3: sum -0.5 - 0.5 = -1. Backwards it is +1."""
    defaultclock.dt = 1 * ms
    told = []
    for behind, ahead in ((1, 3), (3, 1)):
        agent = EventAgent(fields(), 2, record=["retina"], name=f"agent{behind}")
        agent.act(make_events([behind, ahead], [0, 0], [0, 0], [1, 0]))
        counts = [agent.spikes["retina"].counts()[0]]
        for _ in range(3):
            agent.act(NOTHING)
            counts.append(agent.spikes["retina"].counts()[0])
        told.append(np.sum(counts, axis=0).reshape(-1, 5).sum(axis=1))
    rightwards, leftwards = told
    assert rightwards[0] == leftwards[1] == 0
    assert rightwards[1] == leftwards[0] > 0


def test_the_retina_spikes_at_the_rate_of_the_normalised_sum(agent):
    """With sums of gain g m = (1, 0, 2, 0), held still, and strength 4: 100 Hz / sqrt(1 + 5/4) of (1, 2), and 100 Hz
    always; in 20 ms the 5 copies send 5 * 0.02 * rate spikes, one more or less."""
    group = agent.network["sums"]
    group.tau = 1e6 * second
    agent.act(NOTHING)
    group.m = [1, 0, 1, 0]
    counts = np.zeros(9)
    for _ in range(10):
        agent.act(NOTHING)
        counts += agent.spikes["retina"].counts()[0].reshape(-1, 5).sum(axis=1)[:9]
    rate = 100 / np.sqrt(1 + 5 / 4)
    assert np.abs(counts - [rate, 0, 0, 0, 2 * rate, 0, 0, 0, 100]).max() <= 5


def test_what_was_done_is_kept_and_fades(agent):
    """A deed is 1 while it is done and 0.3 of that in the next step; an episode begins with none."""
    actions = [agent.act(NOTHING) for _ in range(6)]
    expected = np.zeros(2)
    for action in actions:
        expected = 0.3 * expected + np.eye(2)[action]
    assert np.allclose(agent.network["deeds"].m[:], expected)
    agent.act(NOTHING, terminated=True)
    assert not agent.network["deeds"].m[:].any()


def test_a_cell_tells_of_a_deed_at_the_rate_of_its_strength(agent):
    """Held at (0, 0.5): 0 and 50 Hz; 5 copies send 50 spikes in 200 ms, one more or less each."""
    counts = np.zeros(2)
    for _ in range(10):
        agent.network["deeds"].m = [0, 0.5]
        agent.act(NOTHING)
        counts += agent.spikes["retina"].counts()[0].reshape(-1, 5).sum(axis=1)[9:]
    assert counts[0] == 0
    assert abs(counts[1] - 50) <= 5


def test_decorrelated_cells_say_different_things_of_one_size():
    """Whitening: the covariance of the sums, over the time that was watched, is the identity."""
    env = EventEnv(Bars())
    weights = ramps(40, 8, [(0, 4), (2, 8)])  # rows 2 and 3 are seen by both
    found = decorrelated(env, weights, steps=300, where_tau=1 * second, seed=1)
    again = EventEnv(Bars())
    rng = np.random.default_rng(1)
    again.action_space.seed(int(rng.integers(2**31)))
    again.reset(seed=int(rng.integers(2**31)))
    sum_, seen = np.zeros(2), []
    for _ in range(300):
        events, _, ended, _, _ = again.step(0)
        sum_ = sum_ * np.exp(-0.02) + found.weights[:, events["y"], events["x"]] @ (2.0 * events["p"] - 1)
        seen.append(sum_)
        if ended:
            again.reset()
            sum_ = np.zeros(2)
    assert np.allclose(np.cov(np.transpose(seen)), np.eye(2), atol=1e-9)


def test_cells_that_see_nothing_or_the_same_are_said():
    weights = ramps(40, 8, [(0, 4), (0, 4)])
    with pytest.raises(InputError, match="see the same"):
        decorrelated(EventEnv(Bars()), weights, steps=50)
    with pytest.raises(InputError, match="cell 1 saw no event"):
        decorrelated(EventEnv(Bars()), weights * [[[1]], [[0]]], steps=50)


def test_the_error_of_a_last_step_is_its_reward_less_what_was_expected(agent):
    """A terminal state is worth nothing: td_error = reward - V, V being what was expected before the last step."""
    agent.brain.values.w = 0.01
    agent.act(NOTHING)
    agent.act(NOTHING)
    expected = agent.value
    agent.act(NOTHING, -1.0, terminated=True)
    agent.act(NOTHING)
    assert expected > 0
    assert np.isclose(agent.td_error, -1 - expected)


def test_the_reward_meets_the_events_that_came_with_it(agent):
    """td_error = r + gamma V' - V, V' being the value when the events of the rewarded step have been heard."""
    agent.brain.values.w = 0.01
    agent.act(NOTHING)
    agent.act(NOTHING)
    before = agent.value
    agent.act(make_events([4, 4], [0, 1], [100, 100], [1, 1]), 0.5)
    after = agent.value
    agent.act(NOTHING)
    assert after != before
    assert np.isclose(agent.td_error, 0.5 + 0.9 * after - before)


def test_an_end_clears_what_was_seen(agent):
    agent.act(make_events([4], [0], [0], [1]))
    agent.act(NOTHING, terminated=True)
    assert sums(agent).any()
    agent.act(NOTHING)
    assert not sums(agent).any()


def test_the_agent_focuses_and_settles_with_age():
    """At 60 ms: the gain is 1 + 60/30, the learning rate a half after 60 ms; a rate of 0 stays 0."""
    defaultclock.dt = 1 * ms
    agent = EventAgent(fields(), 2, focus=30 * ms, settle=60 * ms, eta=0.01)
    for _ in range(4):  # the last one begins at 60 ms
        agent.act(NOTHING)
    assert np.isclose(agent.brain.policy.gain[:], 3)
    assert np.isclose(agent.brain.policy_learning.eta[:], 0.005)
    agent.brain.policy_learning.eta = 0
    agent.act(NOTHING)
    assert agent.brain.policy_learning.eta[:] == 0


def test_a_life_is_its_episodes_and_the_seed_decides_it():
    """23 steps of episodes of 5 are 4 whole ones; the return is how often action 1 was taken."""
    defaultclock.dt = 1 * ms
    lives = []
    for k in range(2):
        agent = EventAgent(fields(40, 8, ((0, 4), (4, 8))), 2, name=f"life{k}")
        lives.append(train(EventEnv(Bars()), agent, 23, seed=5))
    assert lives[0].lengths.tolist() == [5] * 4
    assert lives[0].last() == 5
    assert lives[0].returns.tolist() == lives[1].returns.tolist()
    assert ((lives[0].returns >= 0) & (lives[0].returns <= 5)).all()


@pytest.mark.slow
def test_an_action_that_pays_is_taken_more_often():
    """Chance is 2.5 of 5; at the end it is taken nearly always."""
    defaultclock.dt = 1 * ms
    agent = EventAgent(fields(40, 8, ((0, 4), (4, 8))), 2, eta=0.02, eta_value=0.0003)
    life = train(EventEnv(Bars()), agent, 500, seed=0)
    assert life.returns[-20:].mean() > 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ramps(4, 4, [(2, 5)]), r"a band is \(2, 5\)"),
        (lambda: WideFields(weights=np.zeros((2, 3)), where_gain=np.ones(2), motion_gain=np.ones(2)), "cells, height"),
        (lambda: EventAgent(fields(), 2, copies=0), "copies is 0"),
    ],
)
def test_what_cannot_be_is_said(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_a_life_that_goes_on_elsewhere_begins_a_new_episode():
    """What was seen of an episode that was cut short is no part of the next: its sums are 0 while nothing is seen."""
    defaultclock.dt = 1 * ms
    env = EventEnv(Bars(), size=(20, 4))
    agent = EventAgent(fields(20, 4, ((0, 2), (2, 4))), 2)
    train(env, agent, 3, seed=1)
    assert np.any(agent.network["sums"].m[:])
    train(env, agent, 0, seed=1)
    assert not np.any(agent.network["sums"].m[:])


def test_a_film_of_an_agent_has_a_picture_for_each_step_and_teaches_nothing(tmp_path):
    """Seven steps of 20 ms: seven pictures at 50 a second; weights stay what they were."""
    defaultclock.dt = 1 * ms
    env = EventEnv(Bars(), size=(20, 4))
    agent = EventAgent(fields(20, 4, ((0, 2), (2, 4))), 2, record=["retina", "agent_actors"])
    train(env, agent, 20, seed=1)
    before = [np.array(synapses.w[:]) for synapses in (agent.brain.values, agent.brain.policy)]
    film(tmp_path / "agent.mp4", env, agent, steps=7)
    with av.open(str(tmp_path / "agent.mp4")) as file:
        pictures = list(file.decode(video=0))
    assert len(pictures) == 7
    assert float(pictures[1].time - pictures[0].time) == pytest.approx(0.02)
    after = [np.array(synapses.w[:]) for synapses in (agent.brain.values, agent.brain.policy)]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    with pytest.raises(OutputError, match="exists"):
        film(tmp_path / "agent.mp4", env, agent, steps=1)
    with pytest.raises(FormatError, match=r"a film is an \.mp4"):
        film(tmp_path / "agent.avi", env, agent, steps=1)
