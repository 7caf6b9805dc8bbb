"""Frames with times: arrays, lists and generators in, checked pictures out."""

import numpy as np
import pytest

from dvs.errors import InputError, ParameterError
from dvs.frames import Frames, frames_from_array
from dvs.luminance import LINEAR, Encoding, relative_luminance

STACK = np.arange(4 * 3 * 5, dtype=np.uint8).reshape(4, 3, 5)


def times(frames):
    return [t_us for t_us, _ in frames]


def pictures(frames):
    return np.stack([frame for _, frame in frames])


def test_an_array_comes_back_frame_by_frame():
    frames = frames_from_array(STACK, fps=100, name="ramp")
    assert (frames.width, frames.height, frames.count, frames.name) == (5, 3, 4, "ramp")
    np.testing.assert_array_equal(pictures(frames), STACK)
    assert pictures(frames).dtype == np.uint8
    assert times(frames) == [0, 10_000, 20_000, 30_000]


def test_times_between_microseconds_stay_there():
    """Frame k of a 30 Hz video is at k / 30 s, also after an hour: no sum of rounded steps."""
    frames = frames_from_array(STACK, fps=30)
    assert times(frames)[1] == pytest.approx(33_333.333_333, abs=1e-6)
    given = [0.5, 1.25, 1e12, 1e12 + 0.125]
    assert times(frames_from_array(STACK, times_us=given)) == given


def test_every_pass_starts_at_the_first_frame():
    frames = frames_from_array(STACK, fps=10)
    assert times(frames) == times(frames)


def test_numbers_mean_srgb_codes_or_linear_light_by_their_type():
    assert frames_from_array(STACK, fps=1).encoding == Encoding(transfer="srgb", black=0, white=255)
    assert frames_from_array(STACK.astype(np.uint16), fps=1).encoding.white == 65535
    assert frames_from_array(STACK / 255, fps=1).encoding == LINEAR
    codes = Encoding(transfer="bt709", black=16, white=235)
    assert frames_from_array(STACK, fps=1, encoding=codes).encoding == codes


def test_colour_becomes_linear_luminance():
    colour = np.stack([STACK] * 3, axis=-1)
    frames = frames_from_array(colour, fps=1)
    assert frames.encoding == LINEAR
    np.testing.assert_allclose(pictures(frames), relative_luminance(STACK, Encoding()), rtol=1e-6)


def test_a_generator_may_reuse_its_buffer():
    def flicker():
        buffer = np.zeros((2, 2), np.uint8)
        for code in (1, 2, 3):
            buffer[:] = code
            yield buffer

    frames = frames_from_array(flicker(), fps=10)
    assert frames.count is None
    assert pictures(frames)[:, 0, 0].tolist() == [1, 2, 3]


def test_a_generator_is_read_once():
    frames = frames_from_array(iter(STACK), fps=10, name="noise")
    list(frames)
    with pytest.raises(InputError, match="noise is a generator that was read before"):
        list(frames)


def test_frames_are_contiguous_and_native():
    turned = STACK.astype(">u2").transpose(0, 2, 1)
    for _, frame in frames_from_array(turned, fps=1):
        assert frame.flags.c_contiguous
        assert frame.dtype == np.uint16
        assert frame.dtype.isnative


@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 1, 7), (2, 7, 1)])
def test_the_smallest_pictures_pass(shape):
    stack = np.zeros(shape, np.uint8)
    np.testing.assert_array_equal(pictures(frames_from_array(stack, fps=1)), stack)


@pytest.mark.parametrize("options", [{}, {"fps": 10, "times_us": [0, 1, 2, 3]}])
def test_times_are_given_in_exactly_one_way(options):
    with pytest.raises(ParameterError, match="exactly one"):
        frames_from_array(STACK, **options)


@pytest.mark.parametrize("fps", [0, -30, float("nan"), float("inf")])
def test_a_frame_rate_is_positive(fps):
    with pytest.raises(ParameterError, match="fps is"):
        frames_from_array(STACK, fps=fps)


@pytest.mark.parametrize(
    ("given", "index"),
    [([0, 10, 10, 20], 2), ([0, 30, 20, 40], 2), ([0, 1, 2, float("nan")], 3), ([float("inf"), 1, 2, 3], 0)],
)
def test_times_that_do_not_rise_are_refused_by_index(given, index):
    with pytest.raises(InputError, match=f"time {index} of array"):
        frames_from_array(STACK, times_us=given)


def test_there_is_one_time_for_each_frame():
    with pytest.raises(InputError, match="4 frames but 3 times"):
        frames_from_array(STACK, times_us=[0, 1, 2])
    with pytest.raises(InputError, match="frame 3 of array has no time"):
        list(frames_from_array(iter(STACK), times_us=[0, 1, 2]))
    with pytest.raises(InputError, match=r"shape \(2, 2\), expected one dimension"):
        frames_from_array(STACK, times_us=[[0, 1], [2, 3]])


def test_nothing_to_see_is_refused():
    with pytest.raises(InputError, match="has no frames"):
        frames_from_array(STACK[:0], fps=1)
    with pytest.raises(InputError, match=r"has 1 frame in .* at least 2"):
        list(frames_from_array(STACK[:1], fps=1))
    with pytest.raises(InputError, match="shape"):
        frames_from_array(np.zeros((3, 0, 4), np.uint8), fps=1)


@pytest.mark.parametrize("stack", [np.zeros(5, np.uint8), STACK[0], np.zeros((2, 3, 4, 1), np.uint8)])
def test_pictures_have_two_dimensions_and_perhaps_colour(stack):
    with pytest.raises(InputError, match=r"frame 0 of array has shape .* expected \(H, W\)"):
        frames_from_array(stack, fps=1)
    with pytest.raises(InputError, match="is a int, expected an array"):
        frames_from_array(7, fps=1)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint32, bool, np.float16, complex])
def test_other_numbers_are_refused(dtype):
    with pytest.raises(InputError, match=r"dtype .* convert it with astype"):
        frames_from_array(STACK.astype(dtype), fps=1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.001])
@pytest.mark.parametrize("colour", [False, True])
def test_light_is_finite_and_never_negative(bad, colour):
    stack = np.full((3, 4, 4, 3) if colour else (3, 4, 4), 0.5, np.float32)
    stack[2, 1, 1] = bad
    with pytest.raises(InputError, match="frame 2 of array has values from"):
        list(frames_from_array(stack, fps=1))


def test_float_codes_are_not_taken_for_light():
    """255 times as bright as white is a forgotten encoding; with an encoding it is accepted."""
    with pytest.raises(InputError, match=r"float values up to 59\.0, expected linear light"):
        frames_from_array(STACK[::-1].astype(np.float32), fps=1)
    frames = frames_from_array(STACK.astype(np.float32), fps=1, encoding=Encoding())
    assert pictures(frames).max() == 59


def test_frames_have_one_size_and_one_dtype():
    with pytest.raises(InputError, match=r"frame 1 of array has shape \(3, 4\)"):
        list(frames_from_array([STACK[0], STACK[1, :, :4]], fps=1))
    with pytest.raises(InputError, match="frame 1 of array has dtype uint16"):
        list(frames_from_array([STACK[0], STACK[1].astype(np.uint16)], fps=1))


def test_own_sources_are_checked_when_iterated():
    def stuck():
        yield 0.0, STACK[0]
        yield 0.0, STACK[1]

    frames = Frames(width=5, height=3, encoding=Encoding(), read=stuck, name="camera")
    with pytest.raises(InputError, match=r"frame 1 of camera is at 0\.0 us, not after"):
        list(frames)
