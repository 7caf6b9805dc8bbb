"""A film of events beside their video, to look at: made while the events come."""

import math
import os
from collections import deque
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from dvs.events import EventArray, check_events, empty_events
from dvs.film import Film
from dvs.luminance import Encoding
from dvs.palettes import Palette, find_palette
from dvs.rendering import Picture, end_us, last_polarity, make_shutter, screen_codes

# The film is drawn in at most 256 colours, all that a .gif can hold: greys for video and caption, then
# background, OFF and ON of the palette. A .gif with a quarter of the greys is about half the size.
_GREYS = {".mp4": 253, ".gif": 64}

_GAP_PX = 8
_CAPTION_PX = 24
_SMALLEST_HEIGHT_PX = 240


class Preview:
    """A film of events, .mp4 or .gif; the memory it takes does not grow with its length.

        with Preview("film.mp4", 346, 260, encoding=frames.encoding) as preview:
            preview.show(frame, t_us)           # before the events from t_us on
            preview.append(events, until_us)

    With an `encoding` the film has the frames given to `show` on its left. Picture k shows the
    events of the `exposure_us` (default: one period) up to start_us + (k + 1) / (fps * slowdown):
    a slowdown of 10 makes 1 s last 10 s. Small sensors are enlarged by `scale`, by default the
    least whole number that makes them 240 pixels high. Below stand the time and the event rate.

    The file appears when the film is closed; an exception in the block discards it. Raises
    `OutputError` where it exists or cannot be written, `FormatError` for another suffix, and
    `ParameterError`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        *,
        encoding: Encoding | None = None,
        fps: float = 30.0,
        slowdown: float = 1.0,
        exposure_us: float | None = None,
        start_us: int = 0,
        palette: str | Palette = "dark",
        scale: int | None = None,
        overwrite: bool = False,
    ) -> None:
        from PIL import ImageFont

        if scale is not None and scale < 1:
            raise ParameterError(f"scale = {scale}; give a whole number from 1 on")
        self._shutter = make_shutter(start_us, fps, slowdown, exposure_us)
        self._palette = find_palette(palette)
        self._width, self._height = width, height
        self._encoding = encoding
        self._slowdown = slowdown
        self._scale = scale or math.ceil(_SMALLEST_HEIGHT_PX / height)
        self._font = ImageFont.load_default(size=14)
        self._taken = 0
        self._until_us = start_us
        self._waiting = empty_events()  # events that pictures to come will show
        self._frames: deque[tuple[float, NDArray]] = deque()  # the one on show, then those to come
        path = Path(path)
        self._greys = _GREYS.get(path.suffix.lower(), 253)
        colours = _colours(self._palette, self._greys)
        self._film = Film(path, self._draw().shape, fps=fps, colours=colours, overwrite=overwrite)

    def show(self, frame: NDArray, t_us: float) -> None:
        """Show this frame (height, width) on the left from t_us on."""
        if self._encoding is None:
            raise ParameterError("this preview shows events alone; open it with the encoding of the frames")
        if frame.shape != (self._height, self._width):
            raise InputError(
                f"the frame has shape {frame.shape}, expected {(self._height, self._width)} (height, width); "
                "show what the sensor saw"
            )
        self._frames.append((t_us, frame))

    def append(self, events: EventArray, until_us: int) -> None:
        """Add the next events; all of them up to until_us have come now."""
        check_events(events, self._width, self._height)
        self._waiting = np.concatenate([self._waiting, events])
        self._until_us = max(self._until_us, until_us)
        while self._shutter.closes_us(self._taken) <= until_us:
            self._take()

    def close(self) -> None:
        """Take the last picture and give the file its name."""
        finished_us = end_us(self._until_us, self._waiting)
        with self._film:
            while self._taken == 0 or self._shutter.closes_us(self._taken - 1) < finished_us:
                self._take()

    def __enter__(self) -> "Preview":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._film.__exit__(kind, error, trace)

    def _take(self) -> None:
        """Draw the next picture and forget what none after it will show."""
        while len(self._frames) > 1 and self._frames[1][0] < self._shutter.closes_us(self._taken):
            self._frames.popleft()
        self._film.add(self._draw())
        self._taken += 1
        needed = np.searchsorted(self._waiting["t"], self._shutter.opens_us(self._taken))
        self._waiting = self._waiting[needed:].copy()

    def _draw(self) -> Picture:
        """The picture that is due, (rows, columns) of indices into the colours; both are even."""
        events = self._shutter.exposed(self._taken, self._waiting)
        right = self._greys + last_polarity(events, self._width, self._height)
        panels = [np.full_like(right, self._greys), right] if self._encoding else [right]
        if self._frames and self._frames[0][0] < self._shutter.closes_us(self._taken):
            panels[0] = self._grey(screen_codes(self._frames[0][1], self._encoding))
        panels = [panel.repeat(self._scale, axis=0).repeat(self._scale, axis=1) for panel in panels]
        if self._encoding:
            panels.insert(1, np.full((panels[0].shape[0], _GAP_PX), self._greys, np.uint8))
        picture = np.hstack(panels)
        # 4:2:0 video wants even numbers of rows and columns.
        picture = np.pad(picture, [(0, size % 2) for size in picture.shape], constant_values=self._greys)
        return np.vstack([picture, self._caption(picture.shape[1], events.size)])

    def _caption(self, columns: int, events: int) -> Picture:
        """Time on the left, event rate on the right, (_CAPTION_PX, columns)."""
        from PIL import Image, ImageDraw

        dark = self._palette.is_dark
        strip = Image.new("L", (columns, _CAPTION_PX), 16 if dark else 240)
        draw = ImageDraw.Draw(strip)
        ink = 224 if dark else 32
        speed = f"  at 1/{self._slowdown:g} speed" if self._slowdown != 1 else ""
        time = f"{self._shutter.closes_us(self._taken) * 1e-6:.3f} s{speed}"
        rate = f"{events / self._shutter.exposure_us * 1e3:.1f} kev/s"
        draw.text((6, _CAPTION_PX // 2), time, fill=ink, font=self._font, anchor="lm")
        draw.text((columns - 6, _CAPTION_PX // 2), rate, fill=ink, font=self._font, anchor="rm")
        return self._grey(np.asarray(strip))

    def _grey(self, codes: Picture) -> Picture:
        return np.round(codes * ((self._greys - 1) / 255)).astype(np.uint8)


def _colours(palette: Palette, count: int) -> NDArray[np.uint8]:
    """Opacity, red, green and blue of each index, (256, 4): so many greys, then the palette."""
    colours = np.zeros((256, 3))
    colours[:count] = np.linspace(0, 255, count).round()[:, None]
    colours[count : count + 3] = palette.background, palette.off, palette.on
    return np.insert(colours, 0, 255, axis=1).astype(np.uint8)
