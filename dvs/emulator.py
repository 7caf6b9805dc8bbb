"""The emulator: frames in, events out. The only loop over time.

`start` and `advance` are the pixel array as a step function, for live use; `stream` runs them over
a source of frames with flat memory; `emulate` collects everything into one recording.
"""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs import ordering, pixel, readout
from dvs.errors import InputError, ParameterError
from dvs.events import EventArray, Recording, empty_events, join_events
from dvs.frames import Frames, frames_from_array
from dvs.luminance import DARK_OFFSET, Encoding, log_luminance_table, relative_luminance
from dvs.noise import QUIET_HZ, is_noisy, light_laws
from dvs.sensors import Sensor, load_sensor

CHUNK_PIXELS = 8_000_000
LONGEST_CHUNK = 256

STILL_BEFORE_S = 100.0
"""A scene as one meets it: longer than the cycle of any leak above 0.01 Hz, but not for ever. With
uniform phases whatever the leak, pixels of a busy scene would begin half a threshold too near to ON."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an emulation is given besides its frames.

    illuminance_lux: illuminance at which white is seen; a sensor's bandwidth, leak and noise
    depend on it. dark_offset: added to luminance (white = 1) before the logarithm; a property of the
    input, see `dvs.luminance`. still_before_s: for how long the scene had been still before the first frame:
    what the leak has built up by then is each pixel's random phase. threads: None for one on each core;
    the result does not depend on it.
    """

    sensor: Sensor
    seed: int = 0
    illuminance_lux: float = 1000.0
    dark_offset: float = DARK_OFFSET
    still_before_s: float = STILL_BEFORE_S
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("illuminance_lux", "dark_offset"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ParameterError(f"{name} is {value}, expected a finite number above 0")
        if not 0 <= self.still_before_s < math.inf:
            raise ParameterError(f"still_before_s is {self.still_before_s}, expected a finite number, 0 or more")
        if not (isinstance(self.seed, int | np.integer) and 0 <= self.seed < 2**63):
            raise ParameterError(f"seed is {self.seed!r}, expected a whole number from 0 to 2**63 - 1")
        if self.threads is not None and self.threads < 1:
            raise ParameterError(f"threads is {self.threads}, expected at least 1, or None for all cores")

    def to_dict(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON values."""
        return {
            "sensor": self.sensor.to_dict(),
            "seed": int(self.seed),
            "illuminance_lux": self.illuminance_lux,
            "dark_offset": self.dark_offset,
            "still_before_s": self.still_before_s,
        }


@dataclass
class State:
    """The pixel array at one moment. `advance` uses it up: go on with the state it returns."""

    start_us: float
    t_us: float
    until_us: float
    width: int
    height: int
    frames: int
    wide: NDArray[np.float64]
    narrow: NDArray[np.float32]
    draws: NDArray[np.uint32]
    laws: NDArray[np.float64]
    laws_from: float
    bus: readout.Bus
    # Room for the events of each tile, (tiles, room), used again for every chunk.
    out_t: NDArray[np.int64]
    out_address: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Events of a few frame intervals, and the frames (F, H, W) at `times_us` (F,) that end them.

    The recording began at `since_us`; all later events are at `until_us` or after. `frames` were seen,
    and `dropped` events lost on the bus, since then.
    """

    events: EventArray
    frames: int
    since_us: float
    until_us: float
    dropped: int
    times_us: NDArray[np.float64]
    pictures: NDArray


def start(settings: Settings, encoding: Encoding, t_us: float, frame: NDArray) -> State:
    """Pixels that have watched the first frame, (H, W), for a long time."""
    sensor = settings.sensor
    height, width = frame.shape
    _check_size(sensor, width, height)
    laws, laws_from = light_laws(sensor, settings.illuminance_lux, settings.dark_offset)
    tiles = -(-frame.size // pixel.TILE)
    state = State(
        start_us=float(t_us),
        t_us=float(t_us),
        until_us=float(t_us),
        width=width,
        height=height,
        frames=1,
        wide=np.empty((tiles, pixel.WIDE_FIELDS * pixel.TILE)),
        narrow=np.empty((tiles, pixel.NARROW_FIELDS * pixel.TILE), np.float32),
        draws=np.zeros((tiles, pixel.TILE), np.uint32),
        laws=laws,
        laws_from=laws_from,
        bus=readout.idle_bus(),
        out_t=np.empty((tiles, 2 * pixel.TILE), np.int64),
        out_address=np.empty((tiles, 2 * pixel.TILE), np.int32),
    )
    light, table = _light(settings, encoding, frame.reshape(1, -1))
    spreads = (
        sensor.theta_sigma / sensor.theta_on,
        sensor.theta_sigma / sensor.theta_off,
        sensor.cutoff_sigma,
        sensor.leak_sigma,
        sensor.shot_noise_sigma,
    )
    hot_hz = max(sensor.hot_pixel_hz, QUIET_HZ)
    hot_per_us = 1e-6 * hot_hz / (1 - 1e-6 * hot_hz * sensor.refractory_us)

    def settle(part: NDArray[np.int64]) -> None:
        pixel.start_tiles(
            part, light[0], table, state.wide, state.narrow, state.draws, _nominal(sensor), spreads,
            settings.still_before_s * 1e6, (sensor.hot_pixel_fraction, hot_per_us), laws, laws_from, settings.seed,
        )  # fmt: skip

    with ThreadPoolExecutor(_threads(settings)) as pool:
        list(pool.map(settle, np.array_split(np.arange(tiles), _threads(settings))))
    return state


def global_reset(settings: Settings, encoding: Encoding, state: State, t_us: float, frame: NDArray) -> State:
    """Pixels that are all reset at `t_us`, to what they see in the frame, (H, W): they have forgotten what was before.

    Event cameras can do so; it is not an event. Fixed pattern and noise go on, and so do events on the bus.
    """
    fresh = start(replace(settings, still_before_s=0.0), encoding, t_us, frame)
    fuse = slice(pixel.FUSE, pixel.FUSE + pixel.TILE)
    fresh.wide[:, fuse] = state.wide[:, fuse]
    return replace(
        fresh,
        start_us=state.start_us,
        until_us=state.until_us,
        frames=state.frames + 1,
        draws=state.draws,
        bus=state.bus,
    )


def advance(
    settings: Settings,
    encoding: Encoding,
    state: State,
    times_us: ArrayLike,
    frames: NDArray,
    pool: ThreadPoolExecutor | None = None,
) -> tuple[EventArray, State]:
    """Events until the last of `frames`, (F, H, W) at `times_us` (F,), and the state there.

    Events that are still on the bus come with a later call; `flush` empties it.
    """
    sensor = settings.sensor
    times = np.concatenate([[state.t_us], np.asarray(times_us, np.float64)])
    if not (np.diff(times) > 0).all():
        raise InputError(f"frame times {times.tolist()[:5]} us do not rise; give each frame a later time")
    if frames.shape != (times.size - 1, state.height, state.width):
        raise InputError(
            f"frames have shape {frames.shape}, expected (frames, height, width) = "
            f"{(times.size - 1, state.height, state.width)}"
        )
    light, table = _light(settings, encoding, frames.reshape(len(frames), -1))
    if pool is None:
        with ThreadPoolExecutor(_threads(settings)) as pool:
            events = _solved(settings, state, times, light, table, pool)
    else:
        events = _solved(settings, state, times, light, table, pool)
    state.t_us = float(times[-1])
    state.frames += len(frames)
    if not readout.is_instant(sensor):
        events, state.bus = readout.transfer(
            sensor, state.bus, events, state.t_us, width=state.width, height=state.height, seed=settings.seed
        )
    return events, state


def flush(settings: Settings, state: State) -> tuple[EventArray, State]:
    """Events still on the bus when the last frame is over."""
    events, state.bus = readout.transfer(
        settings.sensor,
        state.bus,
        empty_events(),
        math.inf,
        width=state.width,
        height=state.height,
        seed=settings.seed,
    )
    return events, state


def stream(frames: Frames, settings: Settings, *, chunk_frames: int | None = None) -> Iterator[Batch]:
    """Batches of events, in order, while the frames are read; memory does not grow with the film.

    chunk_frames: frames solved together, for a live source 1; it changes nothing but the delay.
    """
    with ThreadPoolExecutor(_threads(settings)) as pool:
        state = None
        for times, pictures in _chunks(frames, chunk_frames or _chunk_frames(frames)):
            if state is None:
                state = start(settings, frames.encoding, times[0], pictures[0])
                times, pictures = times[1:], pictures[1:]
            if pictures.size:
                events, state = advance(settings, frames.encoding, state, times, pictures, pool)
                yield _batch(events, state, times, pictures)
        if state is not None:
            events, state = flush(settings, state)
            yield _batch(events, state, np.empty(0), np.empty((0, state.height, state.width)))


def emulate(
    frames: Frames | ArrayLike,
    sensor: Sensor | str = "ideal",
    *,
    fps: float | None = None,
    times_us: ArrayLike | None = None,
    seed: int = 0,
    illuminance_lux: float = 1000.0,
    dark_offset: float = DARK_OFFSET,
    still_before_s: float = STILL_BEFORE_S,
    threads: int | None = None,
    progress: Callable[[Batch], None] | None = None,
) -> Recording:
    """The events that `sensor` sends when it sees `frames`.

    frames: a `Frames` record (a video, a scene), or an array (T, H, W) or (T, H, W, 3) of uint8,
    uint16 or float (linear luminance, white = 1), with `fps` or `times_us`. sensor: a preset's name, a
    TOML file, or a `Sensor`. progress is called with each batch.

    >>> step = np.full((3, 1, 1), 0.2)
    >>> step[1:] *= np.exp(0.5)  # ln units: two thresholds of 0.2 and a bit
    >>> emulate(step, fps=100, dark_offset=1e-9).events["t"].tolist()
    [4000, 8000]
    """
    if not isinstance(frames, Frames):
        frames = frames_from_array(frames, fps=fps, times_us=times_us)
    elif fps is not None or times_us is not None:
        raise ParameterError("these frames have their times already; leave out fps and times_us")
    settings = Settings(
        sensor=load_sensor(sensor) if not isinstance(sensor, Sensor) else sensor,
        seed=seed,
        illuminance_lux=illuminance_lux,
        dark_offset=dark_offset,
        still_before_s=still_before_s,
        threads=threads,
    )
    batches = []
    start_us = stop_us = 0
    for batch in stream(frames, settings):
        if not batches and batch.times_us.size:
            start_us = math.floor(batch.since_us)
        batches.append(batch.events)
        stop_us = math.ceil(batch.until_us)
        if progress is not None:
            progress(batch)
    return Recording(
        events=join_events(batches),
        width=frames.width,
        height=frames.height,
        start_us=start_us,
        stop_us=stop_us,
        provenance=provenance(frames, settings),
    )


def provenance(frames: Frames, settings: Settings) -> dict[str, Any]:
    """What made a recording: program and version, source and its hash, every parameter, the seed."""
    return {
        "program": "microsaccade",
        "version": version("microsaccade"),
        "source": frames.name,
        "source_sha256": frames.digest,
        **settings.to_dict(),
    }


def _batch(events: EventArray, state: State, times: NDArray, pictures: NDArray) -> Batch:
    # An event may leave the bus after the last frame.
    state.until_us = max(state.until_us, state.t_us, float(events["t"][-1]) if events.size else -math.inf)
    return Batch(
        events=events,
        frames=state.frames,
        since_us=state.start_us,
        until_us=state.until_us,
        dropped=state.bus.dropped,
        times_us=times,
        pictures=pictures,
    )


def _threads(settings: Settings) -> int:
    if settings.threads is not None:
        return settings.threads
    # Cores that this process may use; containers and job schedulers give fewer than there are.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_size(sensor: Sensor, width: int, height: int) -> None:
    if max(width, height) > np.iinfo(np.int16).max:
        raise InputError(f"frames are {width}x{height}, expected at most 32767 a side; resize them")
    if (sensor.width or width, sensor.height or height) != (width, height):
        raise InputError(
            f"frames are {width}x{height}, sensor {sensor.name} has {sensor.width}x{sensor.height}; "
            "resize the frames, or use sensor.with_(width=None, height=None)"
        )


def _nominal(sensor: Sensor) -> tuple[float, float, float]:
    return float(sensor.theta_on), float(sensor.theta_off), float(sensor.refractory_us)


def _light(settings: Settings, encoding: Encoding, frames: NDArray) -> tuple[NDArray, NDArray[np.float64]]:
    """(frames, table) for the kernel: codes with their log luminance, or log luminance itself."""
    if frames.dtype.kind == "u":
        return frames, log_luminance_table(encoding, 8 * frames.dtype.itemsize, settings.dark_offset)
    return np.log(relative_luminance(frames, encoding) + settings.dark_offset), np.empty(0)


def _solved(
    settings: Settings,
    state: State,
    times: NDArray[np.float64],
    light: NDArray,
    table: NDArray[np.float64],
    pool: ThreadPoolExecutor,
) -> EventArray:
    """Events of the pixels themselves, sorted; `state` moves on to the last frame."""
    sensor, threads = settings.sensor, _threads(settings)
    tiles = len(state.wide)
    ends = np.empty((tiles, len(light)), np.int64)
    todo = np.arange(tiles)
    while todo.size:

        def solve(part: NDArray[np.int64]) -> None:
            pixel.advance_tiles(
                part, light, table, times, state.wide, state.narrow, state.draws, _nominal(sensor), state.laws,
                state.laws_from, settings.seed, is_noisy(sensor), state.out_t, state.out_address, ends,
            )  # fmt: skip

        list(pool.map(solve, np.array_split(todo, min(todo.size, 4 * threads))))
        # A tile with more events than there was room for has not moved: it gets room and another go.
        todo = np.flatnonzero(ends[:, -1] > state.out_t.shape[1])
        if todo.size:
            more = 2 ** int(ends[:, -1].max()).bit_length() - state.out_t.shape[1]
            state.out_t = np.pad(state.out_t, ((0, 0), (0, more)))
            state.out_address = np.pad(state.out_address, ((0, 0), (0, more)))

    interval_ends = ends.sum(axis=0)
    bounds_us = np.stack([np.floor(times[:-1]), np.ceil(times[1:])], axis=1).astype(np.int64)
    events = empty_events(interval_ends[-1])

    def order(part: NDArray[np.int64]) -> None:
        ordering.order_intervals(
            part, state.out_t, state.out_address, ends, state.width, bounds_us, interval_ends, events
        )

    list(pool.map(order, np.array_split(np.arange(len(light)), threads)))
    return events


def _chunk_frames(frames: Frames) -> int:
    return max(1, min(LONGEST_CHUNK, CHUNK_PIXELS // (frames.width * frames.height)))


def _chunks(frames: Frames, size: int) -> Iterator[tuple[NDArray[np.float64], NDArray]]:
    """Frames in groups, (F,) times and (F, H, W) pictures; the next is read while one is used."""

    def group() -> tuple[NDArray[np.float64], NDArray] | None:
        taken = list(islice(source, size))
        if not taken:
            return None
        times, pictures = zip(*taken, strict=True)
        return np.array(times), np.stack(pictures)

    source = iter(frames)
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(group)
        while (chunk := following.result()) is not None:
            following = reader.submit(group)
            yield chunk
