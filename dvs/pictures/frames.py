"""Events in the plane of the sensor: those of a moment, their balance, and their fading trace."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvs import rendering
from dvs.charts import INK, colour_bar, name_axes, prepare, time_text
from dvs.errors import ParameterError
from dvs.events import Recording, Sliceable
from dvs.palettes import Palette, find_palette
from dvs.pictures.common import Drawable, Size, clock, note, polarity_legend, recorded, three_colours, two_sided
from dvs.statistics import signed_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def event_frame(
    recording: Drawable,
    *,
    at_us: int | None = None,
    window_us: int = 33_000,
    palette: str | Palette = "light",
    size: Size | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """The events of [at_us, at_us + window_us); where a pixel fired more than once, the last is seen.

    By default the window is the busiest of the recording. The image is 0 where nothing happened, 1 where the last
    event was OFF, 2 where it was ON, (height, width). Of a recording in a file only the window is read, if `at_us`
    is given.
    """
    shown = _window(recording, at_us, window_us, size)
    image = rendering.last_polarity(shown.events, shown.width, shown.height)
    colours = find_palette(palette)
    ax = _image(ax, image, None, cmap=three_colours(colours), vmin=0, vmax=2)
    polarity_legend(ax, colours)
    note(ax, _window_text(shown, recording))
    return ax


def signed_counts(
    recording: Drawable,
    *,
    at_us: int | None = None,
    window_us: int | None = None,
    full: int | None = None,
    palette: str | Palette = "light",
    size: Size | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """ON minus OFF events of each pixel, (height, width): what jAER calls accumulating.

    Of the whole recording, or of [at_us, at_us + window_us) (without at_us, the busiest such window). Colour is full at
    `full` events, by default so many that 95 % of the active pixels differ by no more.
    """
    shown = recorded(recording, size) if window_us is None else _window(recording, at_us, window_us, size)
    counts = signed_map(shown)
    full = full_colour(counts) if full is None else full
    if full < 1:
        raise ParameterError(f"full = {full}; give a number of events from 1 on")
    ax = _image(ax, counts, "ON minus OFF events", cmap=two_sided(find_palette(palette)), vmin=-full, vmax=full)
    note(ax, _window_text(shown, recording))
    return ax


def time_surface(
    recording: Drawable,
    *,
    at_us: int | None = None,
    tau_us: float = 30_000.0,
    palette: str | Palette = "light",
    size: Size | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """The fading trace of the events up to at_us, by default the end: +-exp(-(t - t_last) / tau), + for ON.

    Lagorce et al. 2017, HOTS, with both polarities on one surface; 0 where there was no event.
    """
    shown = recorded(recording, size)
    at_us = shown.stop_us if at_us is None else at_us
    if at_us < shown.start_us:
        raise _outside(at_us, shown)
    surface = rendering.time_surface(shown.events, shown.width, shown.height, at_us, tau_us)
    name = f"$\\pm\\exp(-\\mathrm{{age}}/\\tau)$, $\\tau$ = {time_text(tau_us)}"
    ax = _image(ax, surface, name, cmap=two_sided(find_palette(palette)), vmin=-1, vmax=1)
    note(ax, f"time surface at {_moment(at_us, recording)}")
    return ax


def full_colour(counts: NDArray[np.int64]) -> int:
    """The count that 95 % of the active pixels do not exceed, so that a lamp that flickers leaves the rest visible."""
    active = np.abs(counts[counts != 0])
    return max(1, round(np.percentile(active, 95))) if active.size else 1


def _image(ax: "Axes | None", values: NDArray, bar: str | None, **look: Any) -> "Axes":
    """The values as an image, with a colour bar if it has a name."""
    height, width = values.shape
    ax = prepare(ax, 5.2 + bool(bar), float(np.clip(4.5 * height / width + 0.7, 2, 8)), grid=False)
    image = ax.imshow(values, interpolation="nearest", **look)
    ax.spines[:].set(visible=True, color=INK, linewidth=0.6)
    name_axes(ax, "x (pixels)", "y (pixels)")
    if bar:
        colour_bar(ax, image, bar)
    return ax


def _window(source: Drawable, at_us: int | None, window_us: int, size: Size | None) -> Recording:
    if window_us < 1:
        raise ParameterError(f"window_us = {window_us}; give a window of at least 1 us")
    whole = source if at_us is not None and isinstance(source, Sliceable) else recorded(source, size)
    if at_us is None:
        at_us = rendering.busiest_us(whole, window_us)
    elif at_us + window_us <= whole.start_us or at_us > whole.stop_us:
        raise _outside(at_us, whole)
    return whole.between(at_us, at_us + window_us)


def _outside(at_us: int, whole: Sliceable) -> ParameterError:
    return ParameterError(
        f"at_us = {at_us} is outside the recording, which goes from {whole.start_us} to {whole.stop_us} us; "
        "give a time within it, such as recording.start_us + 100_000"
    )


def _window_text(shown: Recording, whole: Drawable) -> str:
    count = len(shown)
    span = time_text(shown.stop_us - shown.start_us)
    return f"{count:,} event{'s' * (count != 1)} in {span} from {_moment(shown.start_us, whole)}"


def _moment(t_us: int, whole: Drawable) -> str:
    origin_us = clock(whole)[0] if isinstance(whole, Sliceable) else 0
    return f"{(t_us - origin_us) * 1e-6:.3f} s"
