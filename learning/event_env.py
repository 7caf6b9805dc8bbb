"""A Gymnasium environment seen by an event camera: what it renders goes through the emulator, and events come out.

Between two renders the camera needs a world, too. Each pixel may change along a straight line of log light, as
everywhere in `dvs`; or what moves is carried along its optical flow (`dvs.interpolation`); or the world is moved by
itself, its state being set to points of the straight line between two steps and rendered there. For an environment
that integrates its positions by explicit Euler, as CartPole does, that line is the solution. All this may take less
than a step: a screen shows the new picture some milliseconds after the step began, and then holds it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, SupportsFloat, get_args

import numpy as np
from brian2 import Quantity, ms, second, us
from numpy.typing import NDArray

from dvs.emulator import Settings, State, advance, global_reset, start
from dvs.errors import InputError, MissingExtraError, ParameterError
from dvs.events import EVENT_DTYPE, EventArray, check_events, empty_events
from dvs.interpolation import estimate_motion, frame_between
from dvs.luminance import LINEAR, Encoding, to_grey
from dvs.sensors import Sensor, load_sensor

try:
    import gymnasium
    from gymnasium.spaces import Space
except ImportError as error:
    raise MissingExtraError('environments need the library gymnasium: pip install "microsaccade[rl]"') from error

Between = Literal["light", "flow", "state"]
Light = NDArray[np.float32]


class EventSpace(Space[EventArray]):
    """Any number of events, in order, on a sensor of width x height pixels."""

    def __init__(self, width: int, height: int, *, seed: int | np.random.Generator | None = None) -> None:
        self.width, self.height = width, height
        super().__init__(None, EVENT_DTYPE, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False: their number is not known before."""
        return False

    def contains(self, x: Any) -> bool:
        """Whether these are events that such a sensor may send."""
        if not isinstance(x, np.ndarray):
            return False
        try:
            check_events(x, self.width, self.height)
        except InputError:
            return False
        return True

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> EventArray:
        """Some events at random places within a millisecond."""
        events = empty_events(int(self.np_random.integers(0, 100)))
        for name, limit in (("x", self.width), ("y", self.height), ("t", 1000), ("p", 2)):
            events[name] = self.np_random.integers(0, limit, events.size)
        return events[np.argsort(events["t"], kind="stable")]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventSpace) and (self.width, self.height) == (other.width, other.height)

    def __repr__(self) -> str:
        return f"EventSpace({self.width}, {self.height})"


class _Alone(ThreadPoolExecutor):
    """Does it at once: for a few thousand pixels waiting for a thread takes longer than the work."""

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        return map(fn, *iterables)


class EventEnv(gymnasium.Wrapper):
    """An environment whose observations are the events of an emulated camera that looks at its rendered frames.

    env: made with render_mode="rgb_array". sensor: a preset's name, a TOML file, or a `Sensor`. crop: (x, y, width,
    height), the part of the render in view. size: (width, height) of the sensor; the view is averaged in linear
    light over the area of each pixel; by default the render's own. step: how long one step of `env` lasts, by
    default one frame of its `render_fps`. between: "light", "flow" or "state", how the world goes on between two
    renders (see above); substeps: into how many parts "flow" and "state" divide a step. The attribute
    `env.unwrapped.state` that "state" moves must be an array of numbers that do not wrap round. rise: how long a
    change takes from the beginning of a step on, after which the picture stands still; by default the whole step.
    blink: how long nothing is seen at a reset. seed: of the sensor's mismatch and noise.

    The observation of a step are its events, t in microseconds since the camera was switched on: times and the state
    of each pixel go on over all episodes. At a reset the camera does not see how the world is put back: when the
    `blink` is over all its pixels are reset, too (`dvs.emulator.global_reset`), and the observation is empty: the world
    has not moved yet. `info["since_us"]` and `info["until_us"]` bound the time of an observation; what the environment
    itself observed is `info["state"]`, for those who may look. `view` is what the sensor sees now, (height, width) in
    linear light.

    Raises `ParameterError` for options that cannot be, `InputError` for a render that is no colour picture.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        *,
        sensor: Sensor | str = "ideal",
        crop: tuple[int, int, int, int] | None = None,
        size: tuple[int, int] | None = None,
        step: Quantity | None = None,
        between: Between = "light",
        substeps: int = 1,
        rise: Quantity | None = None,
        blink: Quantity = 100 * ms,
        seed: int = 0,
    ) -> None:
        if env.render_mode != "rgb_array":
            raise ParameterError(
                f'the environment has render_mode {env.render_mode!r}; make it with render_mode="rgb_array"'
            )
        if between not in get_args(Between):
            raise ParameterError(f"between is {between!r}, expected one of {list(get_args(Between))}")
        if substeps < 1 or (between == "light" and substeps != 1):
            raise ParameterError(
                f"substeps is {substeps} with between={between!r}; light goes straight on in 1, flow and state in more"
            )
        if between == "state" and not isinstance(getattr(env.unwrapped, "state", None), np.ndarray | tuple | None):
            raise ParameterError(f'{env.unwrapped} has no array `state`; use between="light" or "flow"')
        super().__init__(env)
        # Rendering into an array needs no screen, but pygame looks for one.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        self.step_us = _whole_us("step", step if step is not None else _frame(env.metadata))
        self._rise_us = self.step_us if rise is None else _whole_us("rise", rise)
        if self._rise_us > self.step_us:
            raise ParameterError(f"rise is {rise}, expected at most one step of {self.step_us} us")
        self._blink_us = _whole_us("blink", blink)
        self.settings = Settings(
            sensor=sensor if isinstance(sensor, Sensor) else load_sensor(sensor), seed=seed, threads=1
        )
        self._crop, self._size, self._between, self._substeps = crop, size, between, substeps
        self._pool = _Alone()
        self._camera: State | None = None
        self.view: Light | None = None
        self.since_us = self.until_us = 0
        width, height = size or (crop[2:] if crop else (0, 0))
        if not width:
            env.reset()
            height, width = np.shape(env.render())[:2]
        self.observation_space = EventSpace(width, height)

    @property
    def width(self) -> int:
        """Columns of the sensor."""
        return self.observation_space.width

    @property
    def height(self) -> int:
        """Rows of the sensor."""
        return self.observation_space.height

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EventArray, dict[str, Any]]:
        """Begin a new episode: an empty observation, and the info."""
        state, info = self.env.reset(seed=seed, options=options)
        self.view = self._look()
        if self._camera is None:
            self._camera = start(self.settings, LINEAR, 0.0, self.view)
        else:
            self.since_us, self.until_us = self.until_us, self.until_us + self._blink_us
            self._camera = global_reset(self.settings, LINEAR, self._camera, self.until_us, self.view)
        return empty_events(), self._told(info, state)

    def step(self, action: Any) -> tuple[EventArray, SupportsFloat, bool, bool, dict[str, Any]]:
        """Act; the events of this step are the observation."""
        if self._camera is None:
            raise ParameterError("the environment was not reset; call reset() before the first step")
        before, was = self.view, getattr(self.env.unwrapped, "state", None)
        state, reward, terminated, truncated, info = self.env.step(action)
        self.view = self._look()
        frames = [*self._pictures_between(before, was), self.view]
        times_us = self._rise_us * np.arange(1, len(frames) + 1) / len(frames)
        if self._rise_us < self.step_us:
            frames, times_us = [*frames, self.view], [*times_us, self.step_us]
        events = self._see(times_us, frames)
        return events, reward, terminated, truncated, self._told(info, state)

    def close(self) -> None:
        """Close the environment and the camera."""
        self._pool.shutdown()
        super().close()

    def _look(self) -> Light:
        """What the sensor sees now, (height, width) in linear light."""
        import cv2

        picture = np.asarray(self.env.render())
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise InputError(
                f"the render is {picture.dtype} of shape {picture.shape}, expected uint8 (height, width, 3)"
            )
        if self._crop is not None:
            x, y, width, height = self._crop
            if not (0 <= x < x + width <= picture.shape[1] and 0 <= y < y + height <= picture.shape[0]):
                raise ParameterError(
                    f"crop is {self._crop}, which leaves the render of {picture.shape[1]}x{picture.shape[0]}; "
                    "give (x, y, width, height) inside it"
                )
            picture = picture[y : y + height, x : x + width]
        light = to_grey(picture, Encoding())
        if light.shape == (self.height, self.width):
            return light
        return cv2.resize(light, (self.width, self.height), interpolation=cv2.INTER_AREA)

    def _pictures_between(self, before: Light, was: Any) -> Iterator[Light]:
        """The views at the ends of all substeps but the last."""
        shares = np.arange(1, self._substeps) / self._substeps
        if self._between == "flow":
            motion = estimate_motion(before, self.view)
            for share in shares:
                yield frame_between(before, self.view, motion, share)
        elif self._between == "state":
            world = self.env.unwrapped
            now = world.state
            try:
                for share in shares:
                    world.state = np.asarray(was) + share * (np.asarray(now) - np.asarray(was))
                    yield self._look()
            finally:
                world.state = now

    def _see(self, times_us: Any, frames: list[Light]) -> EventArray:
        """Let the camera look at frames at times from now on; its events."""
        self.since_us = self.until_us
        times = self.since_us + np.asarray(times_us, np.float64)
        events, self._camera = advance(self.settings, LINEAR, self._camera, times, np.stack(frames), self._pool)
        self.until_us = round(times[-1])
        return events

    def _told(self, info: Mapping[str, Any], state: Any) -> dict[str, Any]:
        return {**info, "state": state, "since_us": self.since_us, "until_us": self.until_us}


def _frame(metadata: Mapping[str, Any]) -> Quantity:
    """How long one rendered frame lasts."""
    if not metadata.get("render_fps"):
        raise ParameterError("the environment does not say its render_fps; give step, how long one of its steps lasts")
    return second / metadata["render_fps"]


def _whole_us(name: str, duration: Quantity) -> int:
    """The duration in microseconds."""
    value_us = float(duration / us)
    if not value_us >= 1 or abs(value_us - round(value_us)) > 1e-6:
        raise ParameterError(f"{name} is {duration}, expected whole microseconds, at least one")
    return round(value_us)
