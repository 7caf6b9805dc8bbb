"""Scenes: the light of every frame is what the formula says, so that events can be worked out."""

import numpy as np
import pytest

from dvs import scenes
from dvs.errors import InputError, ParameterError
from dvs.luminance import LINEAR, Encoding, relative_luminance

ALL = (scenes.step, scenes.ramp, scenes.flicker, scenes.grating, scenes.moving_bar, scenes.rotating_dot)
SMALL = {"width": 40, "height": 30}
RATIO = np.exp(1.1)  # of bar or dot to field, unless asked otherwise


def stack(frames):
    """Times in seconds, (T,), and luminance, (T, H, W)."""
    times_us, pictures = zip(*frames, strict=True)
    return np.array(times_us) * 1e-6, np.stack(pictures)


def centroid(weights):
    y, x = np.indices(weights.shape)
    return np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()


def photograph(height=40, width=50):
    """A smooth picture with light everywhere."""
    y, x = np.mgrid[:height, :width]
    return 0.4 + 0.3 * np.sin(x / 5) * np.cos(y / 7)


@pytest.mark.parametrize("scene", ALL)
def test_a_scene_can_be_read_again_and_is_the_same(scene):
    frames = scene(**SMALL, fps=100)
    times, pictures = stack(frames)
    assert pictures.shape == (frames.count, 30, 40)
    assert frames.encoding == LINEAR
    assert times[0] == 0
    np.testing.assert_array_equal(stack(frames)[1], pictures)


@pytest.mark.parametrize("scene", ALL)
def test_the_frame_rate_samples_a_scene_and_does_not_change_it(scene):
    """Every frame of 50 frames/s is also one of 200 frames/s."""
    coarse = dict(scene(**SMALL, fps=50, duration_s=0.6))
    fine = dict(scene(**SMALL, fps=200, duration_s=0.6))
    assert coarse.keys() <= fine.keys()
    for t_us, picture in coarse.items():
        np.testing.assert_array_equal(picture, fine[t_us])


def test_a_scene_lasts_from_zero_to_its_duration():
    times, _ = stack(scenes.ramp(fps=30, duration_s=2, width=1, height=1))
    assert times.size == 61
    assert times[-1] == pytest.approx(2)


def test_a_step_is_one_jump_of_its_contrast_within_a_microsecond():
    times, pictures = stack(scenes.step(contrast_ln=-0.7, luminance=0.5, at_s=0.3, fps=10, **SMALL))
    levels = np.log(pictures[:, 0, 0] / 0.5)
    before = np.flatnonzero(np.diff(levels))
    assert before.size == 1
    np.testing.assert_allclose(times[[before[0], before[0] + 1]], [0.3, 0.3 + 1e-6], rtol=0, atol=1e-12)
    assert levels[-1] == pytest.approx(-0.7)
    assert np.ptp(pictures, axis=(1, 2)).max() == 0


def test_a_ramp_is_a_straight_line_on_the_log_scale():
    times, pictures = stack(scenes.ramp(slope_ln_s=3, luminance=0.01, width=2, height=2, fps=100))
    np.testing.assert_allclose(np.log(pictures[:, 1, 1] / 0.01), 3 * times, atol=1e-12)


@pytest.mark.parametrize("shape", ["sine", "square"])
def test_flicker_keeps_its_geometric_mean_and_amplitude(shape):
    """Over whole periods the mean of ln Y is ln luminance; the extremes lie at plus and minus a."""
    frames = scenes.flicker(amplitude_ln=0.6, luminance=0.3, frequency_hz=5, shape=shape, width=1, height=1, fps=1000)
    times, pictures = stack(frames)
    levels = np.log(pictures[:, 0, 0] / 0.3)
    assert np.trapezoid(levels, times) == pytest.approx(0, abs=1e-3)
    assert levels.max() == pytest.approx(0.6)
    assert levels.min() == pytest.approx(-0.6)


def test_a_frame_that_falls_into_a_jump_gives_way():
    """At 1 MHz a frame would fall on each end of the jump; times still rise, by more than 0.4 us."""
    times, _ = stack(scenes.step(at_s=3.3e-6, fps=1e6, duration_s=1e-5, width=1, height=1))
    assert np.diff(times).min() > 0.4e-6
    assert np.isclose(times, 3.3e-6, rtol=0, atol=1e-12).sum() == 1


def test_a_square_flicker_jumps_at_every_half_period():
    """7 Hz for 1 s: 13 jumps, at k / 14 s, though 30 frames/s fall beside them."""
    frames = scenes.flicker(frequency_hz=7, shape="square", fps=30, width=1, height=1)
    times, pictures = stack(frames)
    jumps = np.flatnonzero(np.diff(pictures[:, 0, 0]))
    np.testing.assert_allclose(times[jumps], np.arange(1, 14) / 14, atol=1e-12)
    np.testing.assert_allclose(np.diff(times)[jumps], 1e-6, rtol=1e-6)


def test_a_drifting_grating_is_a_flicker_in_every_pixel():
    """After one period, wavelength / speed = 16 / 160 s, the picture is the first one again."""
    _, pictures = stack(scenes.grating(wavelength_px=16, speed_px_s=160, fps=100, duration_s=0.1, width=32, height=4))
    np.testing.assert_allclose(pictures[-1], pictures[0], rtol=1e-12)
    np.testing.assert_allclose(np.log(pictures / 0.2).mean(), 0, atol=1e-12)


@pytest.mark.parametrize("direction_deg", [0, 90, 180, 35])
def test_a_grating_moves_by_speed_times_time_in_its_direction(direction_deg):
    """A step of 0.05 s at 40 px/s is 2 px: what pixel p shows now, p + 2 d shows then, cos 35 = 0.82."""
    first, later = stack(scenes.grating(direction_deg=direction_deg, speed_px_s=40, fps=20, duration_s=0.05, **SMALL))[
        1
    ]
    y, x = np.indices(first.shape)
    direction = np.cos(np.radians(direction_deg)), np.sin(np.radians(direction_deg))
    phase = 2 * np.pi / 16 * (x * direction[0] + y * direction[1])
    np.testing.assert_allclose(np.log(first / 0.2), 0.55 * np.sin(phase), atol=1e-12)
    np.testing.assert_allclose(np.log(later / 0.2), 0.55 * np.sin(phase - 2 * np.pi / 16 * 2), atol=1e-12)


@pytest.mark.parametrize("direction_deg", [0, 90, 180, 270, 30, 217])
def test_a_bar_enters_from_outside_and_passes_every_pixel(direction_deg):
    _, pictures = stack(scenes.moving_bar(direction_deg=direction_deg, fps=300, **SMALL))
    np.testing.assert_allclose(pictures[0], 0.2)
    assert (pictures.max(axis=0) > 0.2 * RATIO * 0.999).all()


@pytest.mark.parametrize("direction_deg", [0, 90])
def test_the_centroid_of_a_bar_moves_at_its_speed(direction_deg):
    """100 px/s x 0.003 s = 0.3 px a frame, smoothly, though pixels are whole."""
    frames = scenes.moving_bar(direction_deg=direction_deg, speed_px_s=100, fps=1000 / 3, **SMALL)
    _, pictures = stack(frames)
    axis = 0 if direction_deg == 0 else 1
    positions = np.array([centroid(picture - 0.2)[axis] for picture in pictures[40:70]])
    np.testing.assert_allclose(np.diff(positions), 0.3, atol=1e-9)


@pytest.mark.parametrize(("right", "down"), [(5, 0), (0, 5), (4, 3), (3, 4), (-4, 3), (-3, -4)])
def test_a_bar_moves_unchanged(right, down):
    """In 5 px / 100 px/s it moves by whole pixels, (4, 3) for instance: the picture is the shifted one."""
    direction_deg = np.degrees(np.arctan2(down, right))
    frames = scenes.moving_bar(direction_deg=direction_deg, speed_px_s=100, fps=60, **SMALL)
    _, pictures = stack(frames)
    middle = len(pictures) // 2
    before, after = pictures[middle], pictures[middle + 3]
    shifted = np.roll(before, (down, right), axis=(0, 1))
    inner = slice(5, -5)
    np.testing.assert_allclose(after[inner, inner], shifted[inner, inner], atol=1e-9)
    assert np.ptp(after[inner, inner]) > 0.3


@pytest.mark.parametrize("direction_deg", [0, 30, 45, 90, 200])
def test_a_bar_covers_its_area_exactly(direction_deg):
    """Light is neither gained nor lost at the edges of pixels.

    A bar of w px across a field of height h, seen under the angle a, covers w h / |cos a| of it.
    """
    height, width = 20, 120
    if direction_deg == 90:
        height, width = width, height
    frames = scenes.moving_bar(direction_deg=direction_deg, bar_px=7.3, fps=200, width=width, height=height)
    _, pictures = stack(frames)
    middle = pictures[len(pictures) // 2]
    angle = np.radians(direction_deg)
    covered = ((middle / 0.2 - 1) / (RATIO - 1)).sum()
    assert covered == pytest.approx(7.3 * 20 / max(abs(np.cos(angle)), abs(np.sin(angle))), rel=1e-9)


def test_a_dark_bar_is_darker_than_the_field():
    _, pictures = stack(scenes.moving_bar(contrast_ln=-1, fps=100, **SMALL))
    assert pictures.min() == pytest.approx(0.2 / np.e)
    assert pictures.max() == pytest.approx(0.2)


def test_a_dot_goes_round_at_its_frequency():
    """At 2 Hz and 40 frames/s a frame is 18 degrees; the centroid is on the orbit, at that angle."""
    times, pictures = stack(scenes.rotating_dot(frequency_hz=2, orbit_px=9.4, fps=40, **SMALL))
    positions = np.array([centroid(picture - 0.2) for picture in pictures]) - [19.5, 14.5]
    angles = 4 * np.pi * times
    np.testing.assert_allclose(positions, 9.4 * np.stack([np.cos(angles), np.sin(angles)], axis=1), atol=0.02)


@pytest.mark.parametrize("radius_px", [2, 3, 5])
def test_a_dot_has_the_area_of_a_disc(radius_px):
    """pi r^2, plus what a rim straight within a pixel adds: 1 / 24 r of a pixel along 2 pi r, pi / 12."""
    _, pictures = stack(scenes.rotating_dot(radius_px=radius_px, orbit_px=7, fps=20, **SMALL))
    areas = ((pictures / 0.2 - 1) / (RATIO - 1)).sum(axis=(1, 2))
    assert areas.mean() == pytest.approx(np.pi * radius_px**2 + np.pi / 12, abs=0.02)


def test_three_saccades_end_where_they_began():
    """The sides of an isosceles triangle as high as it is wide, 0.105 s each, rested at the corners."""
    gaze = scenes.three_saccades(size_px=7)
    corners = [gaze.at(t_s) for t_s in (0, 0.105, 0.21, 0.315)]
    np.testing.assert_allclose(corners, [(0, 0), (-3.5, -7), (-7, 0), (0, 0)], atol=1e-9)
    speed = np.hypot(np.diff(gaze.x_px), np.diff(gaze.y_px)) / np.diff(gaze.t_s)
    assert speed[[0, 105, 210, -1]].max() < 0.001 * speed.max()


def test_over_a_closed_path_the_picture_comes_back():
    _, pictures = stack(scenes.microsaccades(photograph(), fps=1000))
    np.testing.assert_allclose(pictures[-1], pictures[0], atol=1e-12)
    assert np.abs(pictures - pictures[0]).max() > 0.1


def test_the_picture_moves_against_the_gaze():
    """A spot seen with the gaze 2.6 px to the right and 1.3 px up lies 2.6 px left and 1.3 px down."""
    spot = np.zeros((30, 30))
    spot[15, 15] = 1.0
    gaze = scenes.Gaze(t_s=np.array([0.0, 1.0]), x_px=np.array([0.0, 2.6]), y_px=np.array([0.0, -1.3]))
    _, (start, end) = stack(scenes.microsaccades(spot, gaze, fps=1))
    np.testing.assert_allclose(centroid(end) - centroid(start), [-2.6, 1.3], atol=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5, 0.9])
def test_resampling_blurs_equally_at_every_fraction_of_a_pixel(shift):
    """The variance of the cubic B-spline is 4 x 1 / 12 = 1 / 3 px^2, and light is kept."""
    spot = np.zeros((1, 21))
    spot[0, 10] = 1.0
    gaze = scenes.Gaze(t_s=np.array([0.0, 1.0]), x_px=np.array([shift, shift]), y_px=np.zeros(2))
    seen = next(iter(scenes.microsaccades(spot, gaze, fps=1)))[1][0]
    x = np.arange(21)
    assert seen.min() >= 0
    assert seen.sum() == pytest.approx(1)
    assert (seen * (x - 10 + shift) ** 2).sum() == pytest.approx(1 / 3)


def test_a_uniform_picture_is_still_under_any_gaze():
    _, pictures = stack(scenes.microsaccades(np.full((8, 8), 0.37), scenes.fixation(seed=1), fps=100))
    np.testing.assert_allclose(pictures, 0.37, rtol=1e-12)


def test_codes_are_resampled_as_light():
    """Black and white codes side by side: half way between them is half the light, code 188, not 127."""
    edge = np.zeros((4, 40), np.uint8)
    edge[:, 20:] = 255
    gaze = scenes.Gaze(t_s=np.array([0.0, 1.0]), x_px=np.array([0.5, 0.5]), y_px=np.zeros(2))
    seen = next(iter(scenes.microsaccades(edge, gaze, fps=1)))[1]
    assert seen[0, 19] == pytest.approx(0.5)
    assert relative_luminance(np.uint8(188), Encoding()) == pytest.approx(seen[0, 19], abs=0.01)


def test_colour_becomes_luminance_and_a_margin_widens_the_view():
    green = np.zeros((6, 7, 3), np.uint8)
    green[..., 1] = 255
    frames = scenes.microsaccades(green, fps=100, margin_px=3)
    assert (frames.height, frames.width) == (12, 13)
    np.testing.assert_allclose(next(iter(frames))[1], 0.7152, rtol=1e-6)


def test_drift_spreads_as_a_brownian_particle_with_inertia():
    """<r^2> = 4 D (t - t0 (1 - exp(-t / t0))), t0 = 2 D / s^2 = 32 ms, in px: (20 / 60)^2 px^2/arcmin^2.

    400 eyes: the mean square of a 2-D Gaussian has the relative deviation 1 / sqrt(400) = 5 %.
    """
    eyes = [scenes.fixation(seed=seed, duration_s=0.4, microsaccade_hz=0) for seed in range(400)]
    for t_s in (0.01, 0.05, 0.4):
        measured = np.mean([np.square(eye.at(t_s)).sum() for eye in eyes])
        expected = 4 * 40 * (t_s - 0.032 * (1 - np.exp(-t_s / 0.032))) * (20 / 60) ** 2
        assert measured == pytest.approx(expected, rel=0.2)


def test_microsaccades_come_at_their_rate_and_on_the_main_sequence():
    """Without drift only microsaccades move the eye. In 200 s at 1.5 Hz come 300 of them, sd below 17.

    The peak of a stroke from rest to rest with least jerk is 1.875 size / duration, so that
    (30 / 16) x 0.5 deg / 0.02 s = 46.9 deg/s is the highest speed.
    """
    gaze = scenes.fixation(seed=4, duration_s=200, drift_arcmin2_s=0, px_per_deg=1)
    speed = np.hypot(np.diff(gaze.x_px), np.diff(gaze.y_px)) / 1e-3
    moving = np.concatenate([[False], speed > 0, [False]])
    starts, ends = np.flatnonzero(~moving[:-1] & moving[1:]), np.flatnonzero(moving[:-1] & ~moving[1:])
    assert starts.size == pytest.approx(300, abs=51)
    assert np.diff(starts).min() >= 100
    ends = np.minimum(ends, gaze.t_s.size - 1)
    sizes = np.hypot(gaze.x_px[ends] - gaze.x_px[starts], gaze.y_px[ends] - gaze.y_px[starts])
    assert sizes.max() <= 0.5 + 1e-12
    peaks = np.array([speed[a:b].max() for a, b in zip(starts, ends, strict=True)])
    whole = slice(None, -1)  # the last one may be cut by the end
    np.testing.assert_allclose(peaks[whole], 1.875 * sizes[whole] / 0.02, rtol=0.02)


def test_microsaccades_keep_the_eye_near_its_point():
    """Drift changes r^2 by 4 D = 160 arcmin^2 a second, a microsaccade of size s by s^2 - 2 r s cos a.

    The angle a is off the point by 45 degrees (sd): <cos a> = exp(-(pi / 4)^2 / 2) = 0.735. Sizes are
    exponential with mean m = 15, cut off at 2 m: <s> = m (1 - e^-2) = 12.97 and
    <s^2> = 2 m^2 (1 - 3 e^-2) = 267. At 1.5 Hz the two balance at
    <r> = (160 + 1.5 x 267) / (2 x 1.5 x 12.97 x 0.735) = 19.6 arcmin. Drift alone would reach 126.
    """
    eyes = [scenes.fixation(seed=seed, duration_s=100, px_per_deg=60) for seed in range(6)]
    distances = np.mean([np.hypot(eye.x_px[10_000:], eye.y_px[10_000:]).mean() for eye in eyes])
    assert distances == pytest.approx(19.6, rel=0.1)


def test_the_seed_decides_the_gaze():
    first, again, other = (scenes.fixation(seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.x_px, again.x_px)
    assert np.abs(first.x_px - other.x_px).max() > 0.1
    assert first.at(0) == (0, 0)


@pytest.mark.parametrize(
    ("scene", "wrong"),
    [
        (scenes.step, {"luminance": 0}), (scenes.step, {"at_s": 2}), (scenes.ramp, {"fps": 0}),
        (scenes.ramp, {"duration_s": -1}), (scenes.ramp, {"fps": 1, "duration_s": 0.5}),
        (scenes.ramp, {"width": 0}), (scenes.flicker, {"frequency_hz": np.nan}),
        (scenes.flicker, {"shape": "saw"}), (scenes.grating, {"wavelength_px": 0}),
        (scenes.moving_bar, {"bar_px": -3}), (scenes.moving_bar, {"speed_px_s": 0}),
        (scenes.rotating_dot, {"radius_px": np.inf}), (scenes.three_saccades, {"size_px": 0}),
    ],
)  # fmt: skip
def test_a_scene_that_cannot_be_is_refused(scene, wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        scene(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"duration_s": 0}, {"microsaccade_hz": -1}, {"pause_s": 0.01}, {"microsaccade_hz": 20}]
)
def test_an_eye_that_cannot_be_is_refused(wrong):
    with pytest.raises(ParameterError):
        scenes.fixation(seed=0, **wrong)


def test_a_gaze_needs_positions_at_rising_times():
    with pytest.raises(ParameterError, match="one length"):
        scenes.Gaze(t_s=np.arange(3), x_px=np.zeros(3), y_px=np.zeros(2))
    with pytest.raises(ParameterError, match="does not rise"):
        scenes.Gaze(t_s=np.zeros(3), x_px=np.zeros(3), y_px=np.zeros(3))


def test_an_image_must_be_a_picture():
    with pytest.raises(InputError, match=r"shape \(4,\)"):
        scenes.microsaccades(np.zeros(4))
    with pytest.raises(ParameterError, match="margin_px"):
        scenes.microsaccades(np.ones((4, 4)), margin_px=-1)
