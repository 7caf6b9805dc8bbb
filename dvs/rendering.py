"""Events as pictures: stills, one after the other, and a figure for a page.

A picture of events shows those of a span of time, its exposure; where a pixel fired more than
once the last event is seen. Nothing here needs a screen.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray, Recording
from dvs.luminance import Encoding, linear_light, luminance_table
from dvs.palettes import Palette, find_palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = NDArray[np.uint8]


# Stills


def accumulate(events: EventArray, width: int, height: int, palette: str | Palette = "dark") -> Picture:
    """The events as a picture, (height, width, 3) uint8; the last event of a pixel is seen."""
    colours = find_palette(palette)
    table = np.array([colours.background, colours.off, colours.on], np.uint8)
    return table[last_polarity(events, width, height)]


def last_polarity(events: EventArray, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width): 0 where nothing happened, 1 where the last event was OFF, 2 where ON."""
    last = np.zeros((height, width), np.uint8)
    last[events["y"], events["x"]] = events["p"] + 1
    return last


def time_surface(
    events: EventArray, width: int, height: int, t_us: int, tau_us: float = 30_000.0
) -> NDArray[np.float32]:
    """The fading trace of the events up to t_us, (height, width) in [-1, 1].

    Each pixel is +-exp(-(t - t_last) / tau) of its last event, + for ON (Lagorce et al. 2017,
    HOTS, with both polarities on one surface); 0 where there was none.
    """
    if not tau_us > 0:
        raise ParameterError(f"tau_us = {tau_us}; give a time above 0 us, such as 30000")
    past = events[: np.searchsorted(events["t"], t_us, side="right")]
    surface = np.zeros((height, width), np.float32)
    surface[past["y"], past["x"]] = (2 * past["p"] - 1) * np.exp((past["t"] - t_us) / tau_us)
    return surface


def shade(values: NDArray[np.floating], palette: str | Palette = "dark") -> Picture:
    """Numbers in [-1, 1] (H, W) as a picture: 0 is background, 1 is ON and -1 is OFF in full."""
    colours = find_palette(palette)
    background, on, off = (np.array(colour, np.float32) for colour in (colours.background, colours.on, colours.off))
    strength = np.clip(np.abs(values), 0, 1)[..., None]
    full = np.where(values[..., None] > 0, on, off)
    return np.round(background + strength * (full - background)).astype(np.uint8)


def screen_codes(frame: NDArray, encoding: Encoding) -> Picture:
    """A frame (H, W) as 8-bit sRGB codes, for a screen; brighter than white is white."""
    steps = luminance_table(Encoding(), 8)
    middle = (steps[1:] + steps[:-1]) / 2
    if frame.dtype in (np.uint8, np.uint16):
        table = luminance_table(encoding, 8 * frame.dtype.itemsize)
        return np.searchsorted(middle, table).astype(np.uint8)[frame]
    return np.searchsorted(middle, linear_light(frame, encoding)).astype(np.uint8)


# One after the other


@dataclass(frozen=True, kw_only=True)
class Shutter:
    """When picture k = 0, 1, ... is exposed: the exposures end one period apart."""

    start_us: int
    period_us: float
    exposure_us: float

    def closes_us(self, k: int) -> int:
        """The first microsecond that picture k does not show."""
        return round(self.start_us + (k + 1) * self.period_us)

    def opens_us(self, k: int) -> int:
        """The first microsecond that picture k shows."""
        # In this order it is closes_us(k - 1) to the last bit for an exposure of one period.
        return round(self.start_us + k * self.period_us + (self.period_us - self.exposure_us))

    def exposed(self, k: int, events: EventArray) -> EventArray:
        """The events of picture k."""
        first, last = np.searchsorted(events["t"], [self.opens_us(k), self.closes_us(k)], side="left")
        return events[first:last]


def make_shutter(start_us: int, fps: float, slowdown: float, exposure_us: float | None) -> Shutter:
    """The shutter for fps pictures a second of film, which is `slowdown` times slower than life."""
    for name, value in (("fps", fps), ("slowdown", slowdown), ("exposure_us", exposure_us)):
        if value is not None and not 0 < value < math.inf:
            raise ParameterError(f"{name} = {value}; give a number above 0")
    period_us = 1e6 / (fps * slowdown)
    if period_us < 1:
        raise ParameterError(f"{fps * slowdown:g} pictures a second are closer than 1 us; lower fps or slowdown")
    return Shutter(start_us=start_us, period_us=period_us, exposure_us=exposure_us or period_us)


def render_frames(
    recording: Recording,
    fps: float = 30.0,
    exposure_us: float | None = None,
    palette: str | Palette = "dark",
) -> Iterator[tuple[int, Picture]]:
    """(t_us, picture (height, width, 3)) for each t_us = start + k / fps, k = 1, 2, ... to the end.

    A picture shows the events of [t_us - exposure_us, t_us); the default exposure is 1 / fps,
    so that every event is seen once. The last picture may reach beyond the end.
    """
    shutter = make_shutter(recording.start_us, fps, 1.0, exposure_us)
    finished_us = end_us(recording.stop_us, recording.events)
    for k in count():
        if k and shutter.closes_us(k - 1) >= finished_us:
            return
        events = shutter.exposed(k, recording.events)
        yield shutter.closes_us(k), accumulate(events, recording.width, recording.height, palette)


def end_us(stop_us: int | None, events: EventArray) -> int:
    """Where pictures may end: exposures are open above, so beyond an event at the very stop."""
    assert stop_us is not None
    return max(stop_us, int(events["t"][-1]) + 1) if events.size else stop_us


# For a page


def figure_summary(
    recording: Recording,
    frame: Picture | None = None,
    *,
    at_us: int | None = None,
    exposure_us: int = 40_000,
    points: int = 15_000,
    palette: str | Palette = "dark",
) -> "Figure":
    """A Matplotlib figure of a recording: a frame (if given), a picture of events, and x-y-t.

    The picture shows `exposure_us` from at_us on, by default the busiest of the recording; the
    cloud shows all of it, thinned evenly to about `points` events. `frame` is (height, width) or
    (height, width, 3) uint8. Save it with `figure.savefig(path)`; no window is opened.
    """
    from matplotlib.figure import Figure

    colours = find_palette(palette)
    on, off, ground = (np.array(colour) / 255 for colour in (colours.on, colours.off, colours.background))
    width, height = recording.width, recording.height
    panels = 2 if frame is None else 3
    figure = Figure(figsize=(4 * panels + 1, 3.6), layout="compressed")
    grid = figure.add_gridspec(1, panels, width_ratios=[1] * (panels - 1) + [1.4])
    flat = [figure.add_subplot(grid[k], xticks=[], yticks=[]) for k in range(panels - 1)]
    if frame is not None:
        flat[0].imshow(frame, cmap="gray", vmin=0, vmax=255)
        flat[0].set_title("frame", fontsize=10)
    start_us = busiest_us(recording, exposure_us) if at_us is None else at_us
    shown = recording.between(start_us, start_us + exposure_us)
    flat[-1].imshow(accumulate(shown.events, width, height, colours), interpolation="nearest")
    flat[-1].set_title(f"events of {exposure_us / 1e3:g} ms", fontsize=10)

    cloud = figure.add_subplot(grid[-1], projection="3d")
    thinned = recording.events[:: max(1, math.ceil(len(recording) / points))]
    cloud.scatter(
        thinned["t"] * 1e-6,
        thinned["x"],
        height - 1 - thinned["y"],
        c=np.where(thinned["p"][:, None] == 1, on, off),
        s=1.5,
        linewidths=0,
        alpha=0.6,
    )
    cloud.set(xlabel="t (s)", ylabel="x", zlabel="y", yticks=[], zticks=[], ylim=(0, width), zlim=(0, height))
    cloud.yaxis.labelpad = cloud.zaxis.labelpad = -12
    cloud.set_box_aspect((2, 1, height / width), zoom=1.35)
    cloud.view_init(elev=20, azim=-62)
    for axis in (cloud.xaxis, cloud.yaxis, cloud.zaxis):
        axis.set_pane_color((*ground, 1.0))
    cloud.set_title("events in space and time", fontsize=10)
    return figure


def busiest_us(recording: Recording, exposure_us: int) -> int:
    """Start of the span of exposure_us, beginning with an event, that has the most events."""
    t_us = recording.events["t"]
    if t_us.size == 0:
        return recording.start_us
    within = np.searchsorted(t_us, t_us + exposure_us) - np.arange(t_us.size)
    return int(t_us[np.argmax(within)])
