"""Frames between frames: moving things pass over the pixels in between, nothing else changes."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from dvs.errors import ParameterError
from dvs.frames import frames_from_array
from dvs.interpolation import estimate_motion, frame_between, interpolate, largest_motion
from dvs.luminance import LINEAR, Encoding, relative_luminance


def texture(height, width, seed=0, grain=2.0):
    """Smooth noise of linear light between 0.05 and 0.95."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), grain, mode="wrap")
    return (0.05 + 0.9 * (noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def moved(picture, x_px, y_px=0.0):
    """The picture some pixels further to the right and down, by spline interpolation."""
    return shift(picture, (y_px, x_px), order=3, mode="grid-wrap").clip(0, 1).astype(np.float32)


def error(picture, truth):
    """Root mean square difference away from the border, where the picture comes in."""
    return float(np.sqrt(np.mean((picture - truth)[12:-12, 12:-12] ** 2)))


def car(x_px, background=0.2):
    """A textured car, 24x16, on a still street; its left edge is at column x_px."""
    street = background * texture(64, 96, seed=1)
    street[24:40, x_px : x_px + 24] = 0.4 + 0.6 * texture(16, 24, seed=2)
    return street


def test_frames_that_came_in_stay_as_they_are_at_their_times():
    codes = np.stack([np.roll((255 * texture(64, 80)).astype(np.uint8), 4 * k, axis=1) for k in range(3)])
    frames = frames_from_array(codes, times_us=[5.0, 1005.0, 4005.0])
    out = dict(interpolate(frames))
    assert interpolate(frames).encoding == LINEAR
    for t_us, frame in frames:
        np.testing.assert_allclose(out[t_us], relative_luminance(frame, Encoding()), rtol=1e-6)


@pytest.mark.parametrize("motion_px", [2, 5, 8])
def test_no_step_is_longer_than_a_pixel(motion_px):
    """k pixels need k steps; the flow is not exact, so one or two more are allowed, none less.

    The steps divide the time evenly: with n steps frame i is at i/n of the interval.
    """
    picture = texture(96, 128)
    frames = frames_from_array([picture, moved(picture, motion_px)], times_us=[0, 900])
    times = [t_us for t_us, _ in interpolate(frames)]
    steps = len(times) - 1
    assert motion_px <= steps <= motion_px + 2
    np.testing.assert_allclose(times, np.arange(steps + 1) * 900 / steps)


def test_half_the_way_in_half_pixel_steps():
    picture = texture(96, 128)
    frames = frames_from_array([picture, moved(picture, 3)], fps=30)
    assert 6 <= len(list(interpolate(frames, max_motion_px=0.5))) - 1 <= 8


def test_a_limited_factor_limits_the_frames():
    picture = texture(96, 128)
    frames = frames_from_array([picture, moved(picture, 8)], fps=30)
    assert len(list(interpolate(frames, max_factor=3))) == 4
    assert len(list(interpolate(frames, max_factor=1))) == 2


@pytest.mark.parametrize(("x_px", "y_px"), [(3, 0), (6, 0), (0, 5), (4, -3)])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_moving_picture_is_met_on_its_way(x_px, y_px, share):
    """Blending shows two faint pictures, the truth is one at `share` of the way: at least 4 times nearer."""
    start, stop = texture(96, 128), moved(texture(96, 128), x_px, y_px)
    truth = moved(start, share * x_px, share * y_px)
    between = frame_between(start, stop, estimate_motion(start, stop), share)
    assert error(between, truth) < error((1 - share) * start + share * stop, truth) / 4


def test_a_bright_bar_moves_at_constant_speed():
    """Its centre of light is at 20 + 6 i/n; the bar is blurred, so that it has a place between pixels."""
    x = np.arange(64)
    bar = [np.tile(np.exp(-(((x - centre) / 3) ** 2)).astype(np.float32), (32, 1)) for centre in (20, 26)]
    out = [frame for _, frame in interpolate(frames_from_array(bar, fps=30))]
    centres = [float((frame * x).sum() / frame.sum()) for frame in out]
    np.testing.assert_allclose(centres, np.linspace(20, 26, len(out)), atol=0.25)


def test_what_the_car_covers_and_uncovers_belongs_to_the_street():
    """Half-way the car of 24 pixels has moved from column 30 to 34, of 38 in the end.

    Columns 32 to 34 are street again, seen by the second frame only; columns 58 to 60 are still
    street, seen by the first frame only. A blend shows half a car in both.
    """
    start, stop, truth = car(30), car(38), car(34)
    between = frame_between(start, stop, estimate_motion(start, stop), 0.5)
    blend = (start + stop) / 2
    for columns in (slice(31, 33), slice(59, 61)):
        region = (slice(26, 38), columns)
        assert np.abs(between - truth)[region].mean() < np.abs(blend - truth)[region].mean() / 2
    assert error(between, truth) < error(blend, truth) / 1.5


def test_a_still_scene_needs_no_frames():
    frames = frames_from_array([texture(64, 64)] * 3, fps=30)
    assert len(list(interpolate(frames))) == 3


def test_a_dark_scene_moves_as_well():
    """The flow sees light relative to the brightest point: a thousandth of the light, the same steps."""
    picture = texture(96, 128) / 1000
    frames = frames_from_array([picture, moved(picture, 5)], fps=30)
    assert 5 <= len(list(interpolate(frames))) - 1 <= 7


def test_between_unrelated_frames_there_is_a_blend():
    """At a cut nothing moves from one frame to the other: most pixels are the mean of both."""
    start, stop = texture(96, 128, seed=3, grain=1), texture(96, 128, seed=4, grain=1)
    between = frame_between(start, stop, estimate_motion(start, stop), 0.5)
    assert np.median(np.abs(between - (start + stop) / 2)) < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 7), (11, 12), (17, 15)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_small_pictures_of_every_kind_pass(shape, dtype):
    scale = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    stack = (scale * np.random.default_rng(0).random((2, *shape))).astype(dtype)
    out = [frame for _, frame in interpolate(frames_from_array(stack, fps=10))]
    assert len(out) >= 2
    assert {frame.shape for frame in out} == {shape}
    assert all(np.isfinite(frame).all() for frame in out)


def test_complete_darkness_passes():
    assert len(list(interpolate(frames_from_array(np.zeros((3, 20, 20), np.uint8), fps=10)))) == 3


@pytest.mark.parametrize(("size", "motion_px"), [((96, 128), 4), ((480, 640), 12), ((720, 1280), 40)])
def test_the_largest_motion_is_measured_in_pixels_of_the_frame(size, motion_px):
    """Measured on a small copy, given for the frame: within a fifth."""
    picture = texture(*size, grain=size[0] / 48)
    assert largest_motion(picture, np.roll(picture, motion_px, axis=1)) == pytest.approx(motion_px, rel=0.2)
    assert largest_motion(picture, picture) == 0


@pytest.mark.parametrize("options", [{"max_motion_px": 0}, {"max_motion_px": -1}, {"max_factor": 0}])
def test_steps_are_positive(options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        interpolate(frames_from_array([texture(8, 8)] * 2, fps=1), **options)
