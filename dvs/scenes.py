"""Scenes with known answers: frames made from a formula, so that the events can be worked out.

Frames are linear relative luminance (white = 1), made one at a time and again on every pass.
Contrast is counted in ln units, like a threshold theta. The answers hold for an ideal sensor and a
dark offset far below the luminance; an offset d makes the contrast of a luminance Y smaller by
Y / (Y + d). Default contrasts lie half way between two multiples of the usual threshold, 0.2.

Directions are those of the picture: 0 degrees to the right, 90 degrees down, as rows count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import cos, exp, inf, pi, radians, sin, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from dvs.frames import Frames, TimedFrames, default_encoding
from dvs.luminance import LINEAR, Encoding, relative_luminance, to_grey

Floats = NDArray[np.float64]

JUMP_S = 1e-6
"""Time that a jump of light takes, between two frames of its own: the resolution of events."""

_GAZE_STEP_S = 1e-3
"""Sampling of a simulated eye: that of an eye tracker, finer than any movement in it."""


def step(
    *,
    contrast_ln: float = 1.1,
    luminance: float = 0.2,
    at_s: float = 0.5,
    width: int = 64,
    height: int = 48,
    fps: float = 1000.0,
    duration_s: float = 1.0,
) -> Frames:
    """The whole field jumps from `luminance` by `contrast_ln`, up or down, at `at_s`.

    Answer: each pixel makes floor(|contrast_ln| / theta) events, all within 1 us of `at_s`.

    >>> [frame[0, 0].item() for t_us, frame in step(contrast_ln=np.log(4), fps=1)]
    [0.2, 0.2, 0.8, 0.8]
    """
    _check(at_s=at_s, luminance=luminance)
    if at_s >= duration_s:
        raise ParameterError(
            f"at_s is {at_s:g}, expected a time before the end of the scene, duration_s = {duration_s:g}"
        )

    def picture(t_s: float) -> Floats:
        return np.full((height, width), luminance * exp(contrast_ln if t_s > at_s else 0.0))

    return _frames(picture, width, height, fps, duration_s, "step", jumps_s=[at_s])


def ramp(
    *,
    slope_ln_s: float = 2.1,
    luminance: float = 0.05,
    width: int = 64,
    height: int = 48,
    fps: float = 1000.0,
    duration_s: float = 1.0,
) -> Frames:
    """Light of the whole field changes at the same rate on the log scale, from `luminance` on.

    Answer: |slope_ln_s| / theta events a second and pixel, the k-th at k theta / |slope_ln_s|.
    """
    _check(luminance=luminance)

    def picture(t_s: float) -> Floats:
        return np.full((height, width), luminance * exp(slope_ln_s * t_s))

    return _frames(picture, width, height, fps, duration_s, "ramp")


def flicker(
    *,
    amplitude_ln: float = 0.55,
    frequency_hz: float = 10.0,
    shape: str = "sine",
    luminance: float = 0.2,
    width: int = 64,
    height: int = 48,
    fps: float = 1000.0,
    duration_s: float = 1.0,
) -> Frames:
    """The whole field flickers by plus and minus `amplitude_ln` around the log of `luminance`.

    `luminance` is thus the geometric mean. Answer for equal thresholds theta: a "sine" crosses
    4 amplitude_ln / theta of them a period; the comparator starts at the mean and counts whole ones,
    2 floor(amplitude_ln / theta) ON and as many OFF. A "square", up first, makes
    floor(2 amplitude_ln / theta) ON at each jump up; on the way back the last OFF just touches its
    threshold, so that one less may come.
    """
    _check(frequency_hz=frequency_hz, luminance=luminance)
    if shape not in ("sine", "square"):
        raise ParameterError(f"shape is {shape!r}, expected 'sine' or 'square'")
    jumps_s = np.arange(1, np.ceil(2 * frequency_hz * duration_s)) / (2 * frequency_hz) if shape == "square" else []

    def picture(t_s: float) -> Floats:
        if shape == "sine":
            wave = sin(2 * pi * frequency_hz * t_s)
        else:
            wave = 1 - 2 * (np.searchsorted(jumps_s, t_s) % 2)
        return np.full((height, width), luminance * exp(amplitude_ln * wave))

    return _frames(picture, width, height, fps, duration_s, f"{shape} flicker", jumps_s=jumps_s)


def grating(
    *,
    amplitude_ln: float = 0.55,
    wavelength_px: float = 16.0,
    speed_px_s: float = 200.0,
    direction_deg: float = 0.0,
    luminance: float = 0.2,
    width: int = 64,
    height: int = 48,
    fps: float = 1000.0,
    duration_s: float = 1.0,
) -> Frames:
    """A sinusoid of log luminance that drifts across the field, sampled at the pixel centres.

    Answer: each pixel sees the sine flicker of speed_px_s / wavelength_px Hz from a phase of its own,
    which decides whether it makes 4 amplitude_ln / theta events a period or up to 4 fewer.
    """
    _check(wavelength_px=wavelength_px, luminance=luminance)
    along_px = _along(direction_deg, width, height)

    def picture(t_s: float) -> Floats:
        return luminance * np.exp(amplitude_ln * np.sin(2 * pi / wavelength_px * (along_px - speed_px_s * t_s)))

    return _frames(picture, width, height, fps, duration_s, "grating")


def moving_bar(
    *,
    contrast_ln: float = 1.1,
    bar_px: float = 8.0,
    speed_px_s: float = 200.0,
    direction_deg: float = 0.0,
    luminance: float = 0.2,
    width: int = 64,
    height: int = 48,
    fps: float = 1000.0,
    duration_s: float | None = None,
) -> Frames:
    """A bar crosses a field of `luminance`, from just outside to just outside if no duration is given.

    It is `bar_px` long in the direction of movement, endless across it, and `contrast_ln` brighter
    (or darker) than the field; a pixel on its edge holds exactly the share that the bar covers.

    Answer: two fronts. At the first each pixel makes floor(|contrast_ln| / theta) events, ON for a
    bright bar, at the second, bar_px / speed_px_s later, as many of the other sign or one less: the
    last one just touches its threshold. Take fps above speed_px_s, or edges skip pixels.
    """
    _check(bar_px=bar_px, speed_px_s=speed_px_s, luminance=luminance)
    cosine, sine = cos(radians(direction_deg)), sin(radians(direction_deg))
    along_px = _along(direction_deg, width, height)
    reach_px = sqrt(0.5)  # no corner of a pixel is farther from its centre
    start_px, end_px = along_px.min() - reach_px - bar_px, along_px.max() + reach_px
    if duration_s is None:
        duration_s = (end_px - start_px) / speed_px_s

    def picture(t_s: float) -> Floats:
        behind_px = along_px - (start_px + speed_px_s * t_s)
        covered = _beyond(behind_px, cosine, sine) - _beyond(behind_px - bar_px, cosine, sine)
        return luminance * (1 + (exp(contrast_ln) - 1) * covered)

    return _frames(picture, width, height, fps, duration_s, "moving bar")


def rotating_dot(
    *,
    contrast_ln: float = 1.1,
    radius_px: float = 3.0,
    orbit_px: float = 16.0,
    frequency_hz: float = 2.0,
    luminance: float = 0.2,
    width: int = 64,
    height: int = 48,
    fps: float = 1000.0,
    duration_s: float = 1.0,
) -> Frames:
    """A disc goes round the centre of the field, from the right by way of the bottom.

    Answer: events lie in a ring from orbit_px - radius_px to orbit_px + radius_px, and on the pixels
    that its borders cut. At the time t those of the front edge (ON for a bright dot) and those of the
    back edge (OFF) lie on either side of the angle 2 pi frequency_hz t. Each pixel well inside the ring
    makes floor(|contrast_ln| / theta) ON events a turn.
    """
    _check(radius_px=radius_px, orbit_px=orbit_px, luminance=luminance)
    y, x = np.indices((height, width)) - np.array([height - 1, width - 1]).reshape(2, 1, 1) / 2

    def picture(t_s: float) -> Floats:
        angle = 2 * pi * frequency_hz * t_s
        dx, dy = x - orbit_px * cos(angle), y - orbit_px * sin(angle)
        distance_px = np.maximum(np.hypot(dx, dy), 1e-9)
        # Within one pixel the rim is taken as straight; at radius 3 that is 1 % of a pixel too much.
        covered = _beyond(radius_px - distance_px, dx / distance_px, dy / distance_px)
        return luminance * (1 + (exp(contrast_ln) - 1) * covered)

    return _frames(picture, width, height, fps, duration_s, "rotating dot")


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaze:
    """Where an eye looks: positions in pixels of the picture, (N,) each, at rising times in seconds.

    Raises ParameterError if lengths differ or times do not rise.
    """

    t_s: Floats
    x_px: Floats
    y_px: Floats

    def __post_init__(self) -> None:
        if not np.shape(self.t_s) == np.shape(self.x_px) == np.shape(self.y_px):
            shapes = np.shape(self.t_s), np.shape(self.x_px), np.shape(self.y_px)
            raise ParameterError(f"t_s, x_px and y_px have the shapes {shapes}, expected one length")
        if np.ndim(self.t_s) != 1 or not (np.diff(self.t_s) > 0).all():
            raise ParameterError("t_s does not rise from sample to sample; sort the samples by time")

    def at(self, t_s: float) -> tuple[float, float]:
        """(x, y) in pixels at a time, on the straight line between samples."""
        return float(np.interp(t_s, self.t_s, self.x_px)), float(np.interp(t_s, self.t_s, self.y_px))


def three_saccades(*, size_px: float = 7.0, saccade_s: float = 0.105) -> Gaze:
    """The gaze of N-MNIST: three saccades along the sides of a triangle, back to where it began.

    Orchard et al. 2015, "Converting static image datasets to spiking neuromorphic datasets using
    saccades". The picture moves down right, up right, and back to the left; base and height of the
    isosceles triangle are `size_px`. The defaults are those with which the data set's own tools take
    the motion out again. Each saccade starts from rest and ends in it.
    """
    _check(size_px=size_px, saccade_s=saccade_s)
    corners = np.array([[0, 0], [-0.5, -1], [-1, 0], [0, 0]]) * size_px
    steps = max(2, round(saccade_s / _GAZE_STEP_S))
    progress = _stroke(np.arange(steps) / steps)[:, None]
    path = [start + (end - start) * progress for start, end in pairwise(corners)]
    x_px, y_px = np.concatenate([*path, corners[-1:]]).T
    return Gaze(t_s=np.linspace(0.0, 3 * saccade_s, x_px.size), x_px=x_px, y_px=y_px)


def fixation(
    *,
    seed: int,
    duration_s: float = 1.0,
    px_per_deg: float = 20.0,
    drift_arcmin2_s: float = 40.0,
    drift_speed_arcmin_s: float = 50.0,
    microsaccade_hz: float = 1.5,
    microsaccade_deg: float = 0.25,
    largest_deg: float = 0.5,
    microsaccade_s: float = 0.02,
    pause_s: float = 0.1,
) -> Gaze:
    """The gaze of an eye that fixates a point: drift and microsaccades, starting at (0, 0).

    Drift wanders like a Brownian particle with inertia: persistent over short times, diffusive
    over long ones (Engbert & Kliegl 2004, "Microsaccades keep the eyes' balance during fixation").
    With D = `drift_arcmin2_s`, the root mean square speed s and t0 = 2 D / s^2 its mean square
    displacement is 4 D (t - t0 (1 - exp(-t / t0))) (Uhlenbeck & Ornstein 1930, "On the theory of the
    Brownian motion").

    Microsaccades come at random, 1 to 2 a second (Engbert & Mergenthaler 2006), at least `pause_s`
    apart; sizes are exponential with the mean `microsaccade_deg`, cut off at `largest_deg`. They all
    take the same time, so that peak velocity is proportional to size, 1.875 size / microsaccade_s:
    the main sequence (Zuber, Stark & Cook 1965). They aim back at the point, give or take
    45 degrees, and so keep the eye near it.

    The defaults are typical of human eyes; `px_per_deg` brings them to the size of the picture.
    """
    _check(
        duration_s=duration_s, px_per_deg=px_per_deg, drift_speed_arcmin_s=drift_speed_arcmin_s,
        microsaccade_deg=microsaccade_deg, largest_deg=largest_deg, microsaccade_s=microsaccade_s,
    )  # fmt: skip
    _check(zero=True, drift_arcmin2_s=drift_arcmin2_s, microsaccade_hz=microsaccade_hz)
    if pause_s < microsaccade_s or microsaccade_hz * pause_s >= 1:
        raise ParameterError(
            f"pause_s is {pause_s:g}, expected at least microsaccade_s = {microsaccade_s:g} "
            f"and less than 1 / microsaccade_hz; change one of the three"
        )
    rng = np.random.default_rng(seed)
    t_s = np.arange(int(np.ceil(duration_s / _GAZE_STEP_S)) + 1) * _GAZE_STEP_S
    drift_deg = _drift(rng, t_s.size, drift_arcmin2_s, drift_speed_arcmin_s) / 60
    moves_deg = np.zeros_like(drift_deg)
    jumped_deg, onset_s = np.zeros(2), 0.0
    while microsaccade_hz > 0:
        onset_s += pause_s + rng.exponential(1 / microsaccade_hz - pause_s)
        if onset_s >= duration_s:
            break
        first = int(onset_s / _GAZE_STEP_S)
        x, y = drift_deg[first] + jumped_deg
        angle = np.arctan2(-y, -x) + rng.normal(0.0, pi / 4)
        size_deg = min(rng.exponential(microsaccade_deg), largest_deg)
        jump_deg = size_deg * np.array([np.cos(angle), np.sin(angle)])
        stroke_s = t_s[first : first + int(microsaccade_s / _GAZE_STEP_S) + 3] - onset_s
        progress = _stroke(np.clip(stroke_s / microsaccade_s, 0.0, 1.0))
        moves_deg[first + 1 : first + progress.size] = np.diff(progress)[:, None] * jump_deg
        jumped_deg += jump_deg
    x_px, y_px = (drift_deg + np.cumsum(moves_deg, axis=0)).T * px_per_deg
    return Gaze(t_s=t_s, x_px=x_px, y_px=y_px)


def microsaccades(
    image: ArrayLike,
    gaze: Gaze | None = None,
    *,
    fps: float = 1000.0,
    margin_px: int = 0,
    encoding: Encoding | None = None,
    name: str = "microsaccades",
) -> Frames:
    """A still picture seen by a moving eye; without a `gaze` that of `three_saccades`.

    `image` is (H, W) or (H, W, 3), in sRGB codes if its numbers are integers and in linear light if
    they are floats, unless `encoding` says otherwise. Beyond its edge the light of the edge goes on;
    `margin_px` widens the view by that much.

    The light is resampled with a cubic B-spline. It blurs by 1/3 px^2, as optics do, and by the same
    amount at every fraction of a pixel (Unser 1999, "Splines: a perfect fit for signal and image
    processing"); with linear interpolation edges would breathe as they move, and make events of it.

    Answer: events at edges only, of a sign that turns with the motion; a uniform picture and an eye
    at rest are silent. Over a closed path ON and OFF of a pixel cancel to within a threshold.
    """
    gaze = three_saccades() if gaze is None else gaze
    light = _still(image, encoding)
    if margin_px < 0:
        raise ParameterError(f"margin_px is {margin_px}, expected 0 or more")
    light = np.pad(light, margin_px, mode="edge")
    height, width = light.shape

    def picture(t_s: float) -> Floats:
        return _resampled(light, *gaze.at(t_s))

    return _frames(picture, width, height, fps, float(gaze.t_s[-1]), name)


def _frames(
    picture: Callable[[float], Floats],
    width: int,
    height: int,
    fps: float,
    duration_s: float,
    name: str,
    jumps_s: ArrayLike = (),
) -> Frames:
    """Frames of `picture(t_s)` from 0 to the duration, ends included; a jump gets two of its own."""
    _check(width=width, height=height, fps=fps, duration_s=duration_s)
    times_s = np.arange(int(duration_s * fps + 1e-6) + 1) / fps
    jumps_s = np.asarray(jumps_s, np.float64)
    # A regular frame next to a jump would come within less than a microsecond of one of the two.
    beside = np.searchsorted(jumps_s - JUMP_S / 2, times_s) > np.searchsorted(jumps_s + 1.5 * JUMP_S, times_s)
    times_s = np.sort(np.concatenate([times_s[~beside], jumps_s, jumps_s + JUMP_S]))
    if times_s.size < 2:
        raise ParameterError(f"{duration_s:g} s at {fps:g} frames/s is one frame; give a longer duration_s or more fps")

    def read() -> TimedFrames:
        for t_s in times_s:
            yield t_s * 1e6, picture(t_s)

    return Frames(width=width, height=height, encoding=LINEAR, read=read, count=times_s.size, name=name)


def _check(*, zero: bool = False, **values: float) -> None:
    """ParameterError unless all are finite and above 0 (or, with `zero`, at least 0)."""
    for name, value in values.items():
        if not (0 < value < inf or (zero and value == 0)):
            raise ParameterError(f"{name} is {value}, expected a finite number {'of at least' if zero else 'above'} 0")


def _along(direction_deg: float, width: int, height: int) -> Floats:
    """Position of each pixel centre along a direction, from the top left one; shape (H, W)."""
    y, x = np.indices((height, width))
    return x * cos(radians(direction_deg)) + y * sin(radians(direction_deg))


def _beyond(distance_px: Floats, cosine: ArrayLike, sine: ArrayLike) -> Floats:
    """Share of a pixel beyond a straight edge that passes its centre at `distance_px`, 1 far beyond.

    (cosine, sine) is the normal of the edge. Seen along it a unit square is a trapezium, the
    convolution of boxes as wide as |cosine| and |sine|; the share is its integral, a second
    difference of the parabola max(d, 0)^2 / 2.
    """
    a, b = np.maximum(np.abs(cosine), 1e-6), np.maximum(np.abs(sine), 1e-6)
    # Outside the pixel the share is 0 or 1 anyway, inside the squares are small enough to subtract.
    d = np.clip(distance_px, -(a + b) / 2, (a + b) / 2)
    corners = ((1, a + b), (-1, a - b), (-1, b - a), (1, -a - b))
    return sum(sign * np.maximum(d + corner / 2, 0.0) ** 2 for sign, corner in corners) / (2 * a * b)


def _stroke(u: Floats) -> Floats:
    """Progress of a movement from rest to rest, u and result in 0..1: least jerk (Flash & Hogan 1985)."""
    return u**3 * (10 - 15 * u + 6 * u**2)


def _drift(rng: np.random.Generator, count: int, diffusion: float, speed: float) -> Floats:
    """Path (count, 2) of a Brownian particle with inertia, in the units of `diffusion` and `speed`."""
    memory_s = 2 * diffusion / speed**2
    if memory_s == 0:
        return np.zeros((count, 2))
    keep = exp(-_GAZE_STEP_S / memory_s)
    kicks = rng.normal(0.0, speed / sqrt(2), (count, 2))
    velocity = np.empty((count, 2))
    velocity[0] = kicks[0]
    for i in range(1, count):
        velocity[i] = keep * velocity[i - 1] + sqrt(1 - keep**2) * kicks[i]
    path = np.zeros((count, 2))
    path[1:] = np.cumsum((velocity[1:] + velocity[:-1]) / 2, axis=0) * _GAZE_STEP_S
    return path


def _still(image: ArrayLike, encoding: Encoding | None) -> Floats:
    """Linear luminance (H, W) of a picture."""
    image = np.asarray(image)
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise InputError(f"the image has shape {image.shape}, expected (H, W) or (H, W, 3)")
    encoding = encoding or default_encoding(image, "the image")
    light = to_grey(image, encoding) if image.ndim == 3 else relative_luminance(image, encoding)
    return light.astype(np.float64)


def _resampled(light: Floats, x_px: float, y_px: float) -> Floats:
    """The picture (H, W) seen with the gaze moved by (x, y): cubic B-spline, edges continued."""
    for axis, shift_px in enumerate((y_px, x_px)):
        whole = int(np.floor(shift_px))
        f = shift_px - whole
        weights = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, 1 + 3 * f * (1 + f - f**2), f**3)
        index = np.arange(light.shape[axis]) + whole
        last = light.shape[axis] - 1
        light = sum(
            weight / 6 * light.take(np.clip(index + tap, 0, last), axis) for tap, weight in enumerate(weights, -1)
        )
    return light
