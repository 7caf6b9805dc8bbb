"""What one pixel of the emulator has in mind: its light, its photoreceptor, and the level it remembers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dvs import pixel
from dvs.emulator import Settings, advance, start
from dvs.errors import ParameterError
from dvs.events import EventArray, join_events
from dvs.frames import Frames
from dvs.luminance import LINEAR, relative_luminance
from dvs.sensors import Sensor, load_sensor


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelTrace:
    """Pixel (x, y) at `times_us` (N,), all levels in ln units of luminance, dark offset included.

    `light_ln` is the scene, `photoreceptor_ln` what the photoreceptor makes of it, `reference_ln` the level that
    the pixel remembers, NaN while it is blind after an event. An ON event comes when the photoreceptor is `theta_on`
    above the reference, an OFF event when it is `theta_off` below. `events` are those of this pixel.
    """

    x: int
    y: int
    times_us: NDArray[np.float64]
    light_ln: NDArray[np.float64]
    photoreceptor_ln: NDArray[np.float64]
    reference_ln: NDArray[np.float64]
    theta_on: float
    theta_off: float
    events: EventArray


def watch_pixel(
    frames: Frames, settings: Settings | Sensor | str = "ideal", *, x: int, y: int, samples: int = 2000
) -> PixelTrace:
    """The trace of pixel (x, y) while the emulator sees `frames`, at about so many `samples` of time.

    It is the emulator itself that runs here, with the same fixed pattern, its light handed over in as many frames
    as there are samples. The pixel is solved along the straight line between frames, so signal and leak make the
    events that they make in `dvs.emulate`, to the microsecond; shot noise is drawn anew. Events are those of the pixel:
    the bus is left out.
    """
    if not isinstance(settings, Settings):
        settings = Settings(sensor=settings if isinstance(settings, Sensor) else load_sensor(settings))
    if not (0 <= x < frames.width and 0 <= y < frames.height):
        raise ParameterError(f"pixel ({x}, {y}) is outside the {frames.width}x{frames.height} frames")
    if samples < 2:
        raise ParameterError(f"samples = {samples}; give at least 2")
    seen = [(t_us, relative_luminance(frame[y, x], frames.encoding).item()) for t_us, frame in frames]
    frame_us, luminance = (np.array(column) for column in zip(*seen, strict=True))
    frame_ln = np.log(luminance + settings.dark_offset)
    times_us = _sampled(frame_us, samples)
    light_ln = np.interp(times_us, frame_us, frame_ln)

    free = settings.sensor.with_(width=None, height=None, readout="none", latency_us=0.0, jitter_us=0.0)
    settings = replace(settings, sensor=free, threads=1)
    # Fixed pattern goes by the number of the pixel; so those in front of it are there, in a light that never changes.
    tile, place = divmod(y * frames.width + x, pixel.TILE)
    picture = np.full((y + 1, frames.width), luminance[0])

    def pictures() -> Iterator[NDArray[np.float64]]:
        for level in light_ln:
            picture[y, x] = max(np.exp(level) - settings.dark_offset, 0.0)
            yield picture[None]

    following = pictures()
    state = start(settings, LINEAR, times_us[0], next(following)[0])
    levels = np.empty((3, times_us.size))
    found = []
    with ThreadPoolExecutor(1) as pool:
        for k, t_us in enumerate(times_us):
            if k:
                events, state = advance(settings, LINEAR, state, [t_us], next(following), pool)
                found.append(events[(events["x"] == x) & (events["y"] == y)])
            levels[:, k] = (
                state.wide[tile, pixel.PHOTORECEPTOR + np.uint64(place)],
                state.wide[tile, pixel.MEMORY + np.uint64(place)],
                state.wide[tile, pixel.HOLD + np.uint64(place)],
            )
    photoreceptor_ln, memory_ln, blind_us = levels
    return PixelTrace(
        x=x,
        y=y,
        times_us=times_us,
        light_ln=light_ln,
        photoreceptor_ln=photoreceptor_ln,
        reference_ln=np.where(blind_us > 0, np.nan, memory_ln),
        theta_on=float(state.narrow[tile, pixel.THETA_ON + np.uint64(place)] * free.theta_on),
        theta_off=float(state.narrow[tile, pixel.THETA_OFF + np.uint64(place)] * free.theta_off),
        events=join_events(found),
    )


def _sampled(frame_us: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """The times of the frames, and evenly spaced ones that are not within a microsecond of them."""
    even = np.linspace(frame_us[0], frame_us[-1], samples)
    after = np.searchsorted(frame_us, even).clip(1, frame_us.size - 1)
    nearest = np.minimum(np.abs(frame_us[after] - even), np.abs(frame_us[after - 1] - even))
    return np.union1d(frame_us, even[nearest > 1.0])
