import numpy as np
import pytest
from brian2 import ms, us

import dvs
from dvs.errors import InputError, ParameterError

gymnasium = pytest.importorskip("gymnasium")

from learning.event_env import EventEnv, EventSpace  # noqa: E402

GREY = 200


class Box(gymnasium.Env):
    """A dark box on grey, 4 x 4 pixels, that an action moves by so many pixels to the right."""

    metadata = {"render_fps": 50, "render_modes": ["rgb_array"]}  # noqa: RUF012
    action_space = gymnasium.spaces.Discrete(5)
    observation_space = gymnasium.spaces.Box(-100, 100, (1,))
    render_mode = "rgb_array"

    def __init__(self, steps=10):
        self.steps = steps

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.step_count = np.array([8.0]), 0
        return self.state.copy(), {}

    def step(self, action):
        self.state, self.step_count = self.state + action, self.step_count + 1
        return self.state.copy(), 1.0, self.step_count >= self.steps, False, {}

    def render(self):
        """Edges between pixels are averaged in sRGB codes; the boxes of these tests stand on whole pixels."""
        columns = np.clip(np.arange(40) + 1 - self.state[0], 0, 1) * np.clip(self.state[0] + 4 - np.arange(40), 0, 1)
        picture = np.full((12, 40, 3), GREY, np.float64)
        picture[4:8] -= GREY * 0.75 * columns[None, :, None]
        return picture.round().astype(np.uint8)


def lived(env, actions, seed=0):
    """Events and infos of the steps of one episode."""
    env.reset(seed=seed)
    steps = [env.step(action) for action in actions]
    return [step[0] for step in steps], [step[4] for step in steps]


def luminance(code):
    """The sRGB curve of IEC 61966-2-1."""
    signal = code / 255
    return ((signal + 0.055) / 1.055) ** 2.4 if signal > 0.04045 else signal / 12.92


def test_a_still_world_is_silent():
    """No change of light, no noise: no event."""
    events, _ = lived(EventEnv(Box()), [0] * 5)
    assert not np.concatenate(events).size


def test_a_dark_box_moving_right_darkens_what_is_ahead_and_uncovers_what_is_behind():
    """From x = 8..11 to 9..12: column 12 becomes dark, column 8 light; rows 4 to 7, nothing else."""
    (events,), _ = lived(EventEnv(Box()), [1])
    off, on = events[events["p"] == 0], events[events["p"] == 1]
    assert set(off["x"]) == {12}
    assert set(on["x"]) == {8}
    assert set(events["y"]) == {4, 5, 6, 7}


def test_each_pixel_sends_one_event_a_threshold_of_contrast():
    """ln Y changes by ln((Y1 + d) / (Y0 + d)), d the dark offset: so many thresholds of 0.2 fit in."""
    (events,), _ = lived(EventEnv(Box()), [1])
    grey, dark = luminance(GREY), luminance(GREY // 4)
    expected = int(np.log((grey + dvs.DARK_OFFSET) / (dark + dvs.DARK_OFFSET)) / 0.2)
    _, counts = np.unique(events[["x", "y"]], return_counts=True)
    assert set(counts) == {expected}


def test_times_lie_in_the_step_and_go_on_over_episodes():
    """50 renders a second are steps of 20 ms; a blink of 100 ms lies between two episodes."""
    env = EventEnv(Box(steps=3))
    seen, until = [], 0
    for episode in range(3):
        events, info = env.reset(seed=0)
        assert not events.size
        assert info["until_us"] - until == (100_000 if episode else 0)
        for _ in range(3):
            until = info["until_us"]
            events, _, _, _, info = env.step(2)
            assert info["since_us"] == until
            assert info["until_us"] == until + 20_000
            assert events.size
            assert info["since_us"] <= events["t"][0]
            assert events["t"][-1] <= info["until_us"]
            seen.append(events)
        until = info["until_us"]
    assert (np.diff(np.concatenate(seen)["t"]) >= 0).all()


def test_a_reset_is_not_seen_and_each_episode_looks_as_the_first():
    """All that the pixels remember is the new view: moved by three quarters of a pixel and put back, then still,
    silent; then moved as in the first episode, the same events at the same times of the step.
    """
    env = EventEnv(Box(steps=3))
    (first, *_), (told, *_) = lived(env, [1, 0.75, 1])
    env.reset()
    assert not env.step(0)[0].size
    again, *_, told_again = env.step(1)
    first["t"] -= told["since_us"]
    again["t"] -= told_again["since_us"]
    assert first.size
    assert np.array_equal(first, again)


@pytest.mark.parametrize("sensor", ["ideal", "davis240c"])
def test_the_same_seed_sees_the_same_events(sensor):
    sensor = dvs.load_sensor(sensor).with_(width=None, height=None)
    runs = [np.concatenate(lived(EventEnv(Box(), sensor=sensor, seed=3), [1, 2, 0, 1] * 2)[0]) for _ in range(2)]
    assert runs[0].size
    assert np.array_equal(*runs)


def test_another_seed_is_another_sensor():
    sensor = dvs.load_sensor("ideal").with_(theta_sigma=0.03)
    runs = [np.concatenate(lived(EventEnv(Box(), sensor=sensor, seed=s), [1, 2, 0, 1])[0]) for s in (0, 1)]
    assert not np.array_equal(*runs)


def test_a_moved_state_passes_over_the_pixels_between():
    """4 pixels in 20 ms: in 4 substeps column 12 darkens in the first 5 ms, column 15 in the last."""
    (coarse,), _ = lived(EventEnv(Box()), [4])
    (fine,), _ = lived(EventEnv(Box(), between="state", substeps=4), [4])
    for column, (begin, end) in {12: (0, 5000), 13: (5000, 10_000), 15: (15_000, 20_000)}.items():
        t = fine["t"][(fine["x"] == column) & (fine["p"] == 0)]
        assert ((begin <= t) & (t <= end)).all()
        assert t.size
    assert np.array_equal(np.sort(coarse[["x", "y", "p"]]), np.sort(fine[["x", "y", "p"]]))


def test_finer_substeps_move_no_event_by_more_than_a_coarse_one():
    """Both pictures at the ends of a coarse substep are the same; what differs lies in between."""
    (coarse,), _ = lived(EventEnv(Box(), between="state", substeps=4), [4])
    (fine,), _ = lived(EventEnv(Box(), between="state", substeps=16), [4])
    order = ["x", "y", "p", "t"]
    assert np.abs(np.sort(coarse, order=order)["t"] - np.sort(fine, order=order)["t"]).max() <= 5000


@pytest.mark.parametrize(("between", "substeps"), [("light", 1), ("state", 4)])
def test_a_screen_holds_the_picture_when_it_is_there(between, substeps):
    """Light goes straight to the new picture in 5 ms: the same events as in 20 ms, all times a fourth."""
    options = {"between": between, "substeps": substeps}
    (slow, *_), _ = lived(EventEnv(Box(), **options), [4, 0])
    (fast, still), (info, _) = lived(EventEnv(Box(), rise=5 * ms, **options), [4, 0])
    assert np.array_equal(fast[["x", "y", "p"]], slow[["x", "y", "p"]])
    assert np.abs(fast["t"] - slow["t"] / 4).max() <= 1
    assert not still.size
    assert info["until_us"] == 20_000


def test_moving_the_state_leaves_the_world_as_it_was():
    env = EventEnv(Box(), between="state", substeps=3)
    _, infos = lived(env, [2, 1])
    assert env.unwrapped.state == infos[-1]["state"] == 11.0


def test_flow_carries_the_box_over_the_pixels_between():
    """As far as a flow can tell: on the way of the box, and later columns later."""
    (events,), _ = lived(EventEnv(Box(), between="flow", substeps=4), [4])
    off = events[(events["p"] == 0) & (events["x"] >= 12)]
    assert set(off["x"]) <= {12, 13, 14, 15}
    assert off["t"][off["x"] == 12].mean() < off["t"][off["x"] == 15].mean()


def test_a_crop_and_a_size_average_linear_light():
    """A pixel of 4 x 4 render pixels, wholly in the box, has the light of the box; the others that of the wall."""
    env = EventEnv(Box(), crop=(0, 4, 40, 4), size=(10, 1))
    env.reset()
    expected = np.full((1, 10), luminance(GREY))
    expected[0, 2] = luminance(GREY // 4)
    assert env.observation_space == EventSpace(10, 1)
    assert np.allclose(env.view, expected, atol=1e-6)


def test_it_is_a_wrapper_and_its_events_are_in_its_space():
    env = EventEnv(Box())
    assert isinstance(env, gymnasium.Wrapper)
    (events,), _ = lived(env, [3])
    assert events in env.observation_space
    assert env.observation_space.sample() in env.observation_space
    events["x"][0] = 40
    assert events not in env.observation_space
    assert [1, 2] not in env.observation_space


def test_cartpole_is_seen():
    env = EventEnv(gymnasium.make("CartPole-v1", render_mode="rgb_array"), crop=(0, 166, 600, 150), size=(120, 30))
    events, infos = lived(env, [1, 1, 0, 1])
    assert np.concatenate(events).size > 50
    assert infos[-1]["state"].shape == (4,)
    env.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"between": "magic"}, "between is 'magic'"),
        ({"substeps": 2}, "substeps is 2 with between='light'"),
        ({"step": 0.5 * us}, "whole microseconds"),
        ({"blink": 0 * ms}, "blink is 0. s, expected whole microseconds"),
        ({"crop": (30, 0, 20, 5)}, "leaves the render of 40x12"),
    ],
)
def test_what_cannot_be_is_said(options, message):
    with pytest.raises(ParameterError, match=message):
        EventEnv(Box(), **options).reset()


def test_a_step_before_the_reset_is_said():
    with pytest.raises(ParameterError, match=r"call reset\(\)"):
        EventEnv(Box(), size=(40, 12)).step(0)


def test_an_environment_without_a_picture_is_said():
    box = Box()
    box.render_mode = None
    with pytest.raises(ParameterError, match="rgb_array"):
        EventEnv(box)
    box = Box()
    box.render = lambda: np.zeros((4, 4))
    with pytest.raises(InputError, match="expected uint8"):
        EventEnv(box, size=(4, 4)).reset()
