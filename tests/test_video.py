"""Video of every kind in: codes, times and light come out as the source means them."""

import io
import subprocess
import sys
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from dvs.errors import FormatError, InputError, ParameterError
from dvs.luminance import LINEAR, Encoding, relative_luminance
from dvs.video import open_video

RNG = np.random.default_rng(0)
CODES = RNG.integers(0, 256, (6, 18, 30), dtype=np.uint8)


def write_video(path, planes, *, codec="ffv1", pixel_format="gray", times=None, time_base=Fraction(1, 30), **more):
    """Writes pictures (T, H, W) as luma, or (T, H, W, 3) as they are; `more` is set on every frame."""
    options, rotation = more.pop("options", {}), more.pop("rotation", None)
    with av.open(str(path), "w", options=options) as file:
        stream = file.add_stream(codec, rate=round(1 / time_base) if times is None else 30)
        stream.height, stream.width = planes.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.time_base = stream.codec_context.time_base = time_base
        if rotation:
            stream.set_display_rotation(rotation)
        for number, plane in enumerate(planes):
            frame = video_frame(plane, pixel_format)
            frame.pts, frame.time_base = number if times is None else times[number], time_base
            for name, value in more.items():
                setattr(frame, name, value)
                setattr(stream.codec_context, name, value)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def video_frame(plane, pixel_format):
    """A frame whose first plane holds these codes and whose colour, if any, is neutral."""
    if plane.ndim == 3 or pixel_format.startswith("gray"):
        return av.VideoFrame.from_ndarray(plane, format=pixel_format)
    frame = av.VideoFrame(plane.shape[1], plane.shape[0], pixel_format)
    neutral = 2 ** (frame.format.components[0].bits - 1)
    for number, target in enumerate(frame.planes):
        rows = np.full((target.height, target.line_size // plane.itemsize), neutral, plane.dtype)
        if number == 0:
            rows[:, : target.width] = plane
        target.update(rows.tobytes())
    return frame


def write_images(folder, pictures, kind="png", name="{:d}"):
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{name.format(number)}.{kind}"), picture)
    return folder


def times(frames):
    return [t_us for t_us, _ in frames]


def pictures(frames):
    return np.stack([frame for _, frame in frames])


# Codes


@pytest.mark.parametrize(
    ("pixel_format", "black", "white"),
    [
        ("gray", 0, 255),
        ("yuv420p", 16, 235),
        ("yuv444p", 16, 235),
        ("yuv411p", 16, 235),
        ("yuva420p", 16, 235),
    ],
)
def test_the_luma_codes_of_a_lossless_video_come_back(tmp_path, pixel_format, black, white):
    """FFV1 is lossless. Without a word about it YUV is limited (16 to 235) and grey is full range."""
    frames = open_video(write_video(tmp_path / "v.mkv", CODES, pixel_format=pixel_format))
    assert (frames.width, frames.height) == (30, 18)
    assert frames.encoding == Encoding(transfer="srgb", black=black, white=white)
    np.testing.assert_array_equal(pictures(frames), CODES)


@pytest.mark.parametrize(("bits", "pixel_format"), [(10, "yuv420p10le"), (12, "yuv422p12le"), (16, "gray16le")])
def test_deep_video_keeps_every_bit(tmp_path, bits, pixel_format):
    """Limited black and white grow with the depth: 16 and 235 times 2**(bits - 8)."""
    codes = RNG.integers(0, 2**bits, (3, 10, 12), dtype=np.uint16)
    frames = open_video(write_video(tmp_path / "v.mkv", codes, pixel_format=pixel_format))
    grey = pixel_format.startswith("gray")
    black, white = (0, 2**bits - 1) if grey else (16 * 2 ** (bits - 8), 235 * 2 ** (bits - 8))
    assert frames.encoding == Encoding(black=black, white=white)
    assert pictures(frames).dtype == np.uint16
    np.testing.assert_array_equal(pictures(frames), codes)


def test_packed_video_has_the_same_luma(tmp_path):
    """YUYV, as webcams deliver it: luma at every second byte."""
    packed = np.full((4, 6, 8, 2), 128, np.uint8)
    packed[..., 0] = CODES[:4, :6, :8]
    frames = open_video(write_video(tmp_path / "v.nut", packed, codec="rawvideo", pixel_format="yuyv422"))
    np.testing.assert_array_equal(pictures(frames), packed[..., 0])


@pytest.mark.parametrize(("color_range", "black", "white"), [(1, 16, 235), (2, 0, 255)])
def test_the_range_the_file_states_is_believed(tmp_path, color_range, black, white):
    path = write_video(tmp_path / "v.mkv", CODES, pixel_format="yuv420p", color_range=color_range)
    assert open_video(path).encoding == Encoding(black=black, white=white)


@pytest.mark.parametrize(
    ("number", "transfer"),
    [(1, "bt709"), (4, "gamma22"), (8, "linear"), (13, "srgb"), (16, "pq"), (18, "hlg")],
)
def test_the_transfer_function_the_file_states_is_believed(tmp_path, number, transfer):
    """Numbers of ITU-T H.273, table 3."""
    path = write_video(tmp_path / "v.mkv", CODES, pixel_format="yuv420p", color_trc=number)
    assert open_video(path).encoding.transfer == transfer


def test_what_the_caller_says_about_codes_goes_before_the_file(tmp_path):
    path = write_video(tmp_path / "v.mkv", CODES, pixel_format="yuv420p", color_trc=17)
    with pytest.raises(InputError, match=r"transfer function 17 of H.273, which is not known"):
        open_video(path)
    assert open_video(path, transfer="gamma22").encoding == Encoding(transfer="gamma22", black=16, white=235)
    own = Encoding(transfer="linear", black=3, white=77)
    assert open_video(path, encoding=own).encoding == own
    with pytest.raises(ParameterError, match="both encoding and transfer"):
        open_video(path, encoding=own, transfer="srgb")
    with pytest.raises(ParameterError, match="transfer is 'log'"):
        open_video(path, transfer="log")


def test_colour_video_is_linear_luminance(tmp_path):
    """Pure red, green and blue are 0.2126, 0.7152 and 0.0722 of white."""
    colour = np.zeros((3, 4, 6, 3), np.uint8)
    for channel in range(3):
        colour[channel, ..., channel] = 255
    frames = open_video(write_video(tmp_path / "v.mov", colour, codec="png", pixel_format="rgb24"))
    assert frames.encoding == LINEAR
    np.testing.assert_allclose(pictures(frames)[:, 0, 0], [0.2126, 0.7152, 0.0722], rtol=1e-6)


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_a_phone_video_is_upright(tmp_path, turned):
    """The display matrix turns the picture counter-clockwise by a multiple of 90 degrees."""
    path = write_video(
        tmp_path / "v.mp4",
        CODES,
        codec="libx264",
        pixel_format="gray",
        rotation=turned,
    )
    frames = open_video(path)
    flat = pictures(open_video(write_video(tmp_path / "flat.mp4", CODES, codec="libx264", pixel_format="gray")))
    upright = np.rot90(flat, turned // 90, axes=(1, 2))
    assert (frames.height, frames.width) == upright.shape[1:]
    np.testing.assert_array_equal(pictures(frames), upright)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (7, 5), (33, 17)])
def test_odd_sizes_pass(tmp_path, size):
    codes = RNG.integers(0, 256, (3, *size), dtype=np.uint8)
    frames = open_video(write_video(tmp_path / "v.nut", codes, codec="rawvideo"))
    np.testing.assert_array_equal(pictures(frames), codes)


def test_frames_stay_valid_after_the_next(tmp_path):
    kept = list(open_video(write_video(tmp_path / "v.mkv", CODES)))
    assert all(frame.flags.c_contiguous for _, frame in kept)
    np.testing.assert_array_equal(np.stack([frame for _, frame in kept]), CODES)


# Times


def test_variable_frame_rate_keeps_the_exact_times(tmp_path):
    """Time stamps in units of 1/90000 s: k units are k / 0.09 us, rounded once, to a float."""
    stamps = [0, 3003, 3004, 9000, 90_000, 90_007]
    path = write_video(
        tmp_path / "v.mp4",
        CODES,
        codec="libx264",
        pixel_format="yuv420p",
        times=stamps,
        time_base=Fraction(1, 90_000),
    )
    assert times(open_video(path)) == [float(Fraction(stamp * 1_000_000, 90_000)) for stamp in stamps]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_avi_has_its_frames_in_even_places(tmp_path, codec):
    """AVI keeps no times: place k of 25 Hz is at k / 25 s. A place may be empty, the frame before stays."""
    smooth = np.stack([np.roll(np.kron(CODES[0], np.ones((4, 4), np.uint8)), k, axis=1) for k in range(12)])
    path = write_video(tmp_path / "v.avi", smooth, codec=codec, pixel_format="yuv420p", time_base=Fraction(1, 25))
    np.testing.assert_allclose(times(open_video(path)), np.arange(12) * 40_000)
    path = write_video(
        tmp_path / "gaps.avi",
        CODES,
        pixel_format="yuv420p",
        times=[0, 1, 4, 5, 9, 10],
        time_base=Fraction(1, 30),
    )
    np.testing.assert_allclose(times(open_video(path)), np.array([0, 1, 4, 5, 9, 10]) * 1e6 / 30)


def test_a_bare_stream_needs_a_frame_rate(tmp_path):
    """As a Raspberry Pi records it: H.264 without a container has no times."""
    path = write_video(tmp_path / "v.h264", CODES, codec="libx264", pixel_format="yuv420p")
    with pytest.raises(InputError, match="has no times; give fps"):
        open_video(path)
    frames = open_video(path, fps=50, start_s=0.04)
    assert times(frames) == [0, 20_000, 40_000, 60_000]


def test_the_first_frame_is_at_time_zero(tmp_path):
    path = write_video(tmp_path / "v.mkv", CODES, times=range(300, 306), time_base=Fraction(1, 1000))
    assert times(open_video(path)) == [0, 1000, 2000, 3000, 4000, 5000]


def test_the_span_is_counted_from_the_first_frame_and_half_open(tmp_path):
    """Frames lie every 0.1 s; 0.2 s <= t < 0.5 s are the frames 2, 3 and 4, now at 0, 0.1 and 0.2 s."""
    path = write_video(tmp_path / "v.mkv", CODES, times=range(300, 306), time_base=Fraction(1, 10))
    frames = open_video(path, start_s=0.2, stop_s=0.5)
    np.testing.assert_array_equal(pictures(frames), CODES[2:5])
    np.testing.assert_allclose(times(frames), [0, 100_000, 200_000])
    with pytest.raises(InputError, match="has 1 frame in the chosen span"):
        list(open_video(path, start_s=0.5))


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "ts"])
@pytest.mark.parametrize("start", [1, 37, 75])
def test_seeking_finds_the_same_frames_as_reading(tmp_path, kind, start):
    """The key frames of the video lie far apart: the decoder starts early, the frames in front go."""
    codes = np.stack([np.roll(np.kron(CODES[0], np.ones((2, 2), np.uint8)), k, axis=1) for k in range(80)])
    codec = "mpeg4" if kind == "avi" else "libx264"
    path = write_video(tmp_path / f"v.{kind}", codes, codec=codec, pixel_format="yuv420p")
    everything = pictures(open_video(path))
    assert len(everything) == 80
    part = open_video(path, start_s=start / 30, stop_s=(start + 4) / 30)
    if kind == "mkv":  # its times are rounded to milliseconds
        part = open_video(path, start_s=start / 30 - 0.001, stop_s=(start + 4) / 30 - 0.001)
    np.testing.assert_array_equal(pictures(part), everything[start : start + 4])


def test_a_frame_rate_replaces_the_times(tmp_path):
    path = write_video(tmp_path / "v.mkv", CODES, times=[0, 1, 5, 6, 7, 90], time_base=Fraction(1, 1000))
    assert times(open_video(path, fps=100)) == [0, 10_000, 20_000, 30_000, 40_000, 50_000]


def test_slow_motion_runs_at_its_real_speed(tmp_path):
    """A video that shows 1 s in 8 s: its frames, 1/30 s apart, were taken 1/240 s apart."""
    path = write_video(tmp_path / "v.mp4", CODES, codec="mpeg4", pixel_format="yuv420p")
    np.testing.assert_allclose(np.diff(times(open_video(path, slow_motion=8))), 1e6 / 240)
    np.testing.assert_allclose(np.diff(times(open_video(path, fps=50, slow_motion=4))), 1e6 / 200)


def test_equal_time_stamps_are_refused(tmp_path):
    """At 2000 frames a second in the milliseconds of Matroska two frames fall on one time."""
    path = write_video(tmp_path / "v.mkv", CODES, time_base=Fraction(1, 2000))
    with pytest.raises(InputError, match=r"not after the frame in front of it .* give the frame rate"):
        list(open_video(path))
    assert times(open_video(path, fps=2000)) == [0, 500, 1000, 1500, 2000, 2500]


@pytest.mark.parametrize("options", [{"fps": 0}, {"fps": -1}, {"slow_motion": 0}, {"slow_motion": float("nan")}])
def test_rates_are_positive(tmp_path, options):
    with pytest.raises(ParameterError, match=f"{next(iter(options))} is"):
        open_video(write_video(tmp_path / "v.mkv", CODES), **options)


@pytest.mark.parametrize("span", [(-1, None), (2, 1), (1, 1), (float("nan"), None)])
def test_a_span_begins_before_it_ends(tmp_path, span):
    with pytest.raises(ParameterError, match="expected 0 <= start < stop"):
        open_video(write_video(tmp_path / "v.mkv", CODES), start_s=span[0], stop_s=span[1])


# Size


def test_a_part_is_cut_out_by_left_top_width_height(tmp_path):
    frames = open_video(write_video(tmp_path / "v.mkv", CODES), crop=(3, 2, 7, 5))
    assert (frames.width, frames.height) == (7, 5)
    np.testing.assert_array_equal(pictures(frames), CODES[:, 2:7, 3:10])


@pytest.mark.parametrize("crop", [(0, 0, 31, 5), (25, 0, 6, 5), (0, 14, 5, 5), (-1, 0, 5, 5), (0, 0, 0, 5)])
def test_a_part_lies_inside_the_picture(tmp_path, crop):
    with pytest.raises(ParameterError, match="crop"):
        open_video(write_video(tmp_path / "v.mkv", CODES), crop=crop)


def test_a_smaller_picture_gathers_the_light_not_the_codes(tmp_path):
    """Half black, half white pixels: mean light 0.5. (The mean of the codes, 127.5, is 0.21.)"""
    checks = np.zeros((2, 8, 8), np.uint8)
    checks[:, ::2, ::2] = checks[:, 1::2, 1::2] = 255
    frames = open_video(write_video(tmp_path / "v.mkv", checks), size=(4, 2))
    assert frames.encoding == LINEAR
    np.testing.assert_allclose(pictures(frames), np.full((2, 2, 4), 0.5), rtol=1e-6)


def test_an_enlarged_picture_keeps_an_even_light(tmp_path):
    even = np.full((2, 6, 8), 188, np.uint8)
    frames = open_video(write_video(tmp_path / "v.mkv", even), size=(20, 3))
    np.testing.assert_allclose(pictures(frames), np.full((2, 3, 20), relative_luminance(188, Encoding())), rtol=1e-6)


def test_the_part_is_cut_out_before_the_size_changes(tmp_path):
    frames = open_video(write_video(tmp_path / "v.mkv", CODES), crop=(2, 2, 4, 4), size=(1, 1))
    light = relative_luminance(CODES[:, 2:6, 2:6], Encoding())
    np.testing.assert_allclose(pictures(frames)[:, 0, 0], light.mean(axis=(1, 2)), rtol=1e-5)


def test_a_mean_does_not_hide_negative_light(tmp_path):
    light = np.ones((2, 4, 4))
    light[1, 0, 0] = -1
    np.save(tmp_path / "a.npy", light)
    with pytest.raises(InputError, match=r"frame 1 of .* has values from -1\.0"):
        list(open_video(tmp_path / "a.npy", fps=1, size=(1, 1)))


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_a_size_is_positive(tmp_path, size):
    with pytest.raises(ParameterError, match="size is"):
        open_video(write_video(tmp_path / "v.mkv", CODES), size=size)


# GIF


def test_a_gif_keeps_its_durations_and_a_duration_of_zero_is_100_ms(tmp_path):
    """Browsers show a frame of duration 0 (or 10 ms) for 100 ms."""
    images = [Image.fromarray(np.full((6, 8), code, np.uint8)) for code in (0, 90, 188, 255)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[40, 0, 250, 30])
    frames = open_video(tmp_path / "a.gif")
    assert times(frames) == [0, 40_000, 140_000, 390_000]
    assert frames.encoding == LINEAR
    expected = relative_luminance(np.array([0, 90, 188, 255]), Encoding())
    np.testing.assert_allclose(pictures(frames)[:, 3, 4], expected, rtol=1e-6, atol=1e-9)


# Folders


def test_images_come_in_natural_order(tmp_path):
    pixels = np.stack([np.full((4, 5), 10 * k, np.uint8) for k in range(12)])
    frames = open_video(write_images(tmp_path / "film", pixels, name="frame_{:d}"), fps=50)
    assert frames.count == 12
    np.testing.assert_array_equal(pictures(frames), pixels)
    assert times(frames) == [20_000 * k for k in range(12)]


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_16_bit_images_keep_their_depth(tmp_path, kind):
    deep = RNG.integers(0, 65536, (3, 4, 5), dtype=np.uint16)
    frames = open_video(write_images(tmp_path / "film", deep, kind), fps=1)
    assert frames.encoding == Encoding(white=65535)
    np.testing.assert_array_equal(pictures(frames), deep)


@pytest.mark.parametrize("kind", ["png", "tif", "bmp", "webp", "jpg"])
def test_colour_images_become_luminance_in_the_right_order(tmp_path, kind):
    """Green is 0.7152, blue 0.0722; OpenCV writes blue, green, red. JPEG and WebP are lossy."""
    green, blue = np.zeros((2, 8, 8, 3), np.uint8)
    green[..., 1] = blue[..., 0] = 255
    frames = open_video(write_images(tmp_path / "film", [green, blue], kind), fps=1)
    assert frames.encoding == LINEAR
    np.testing.assert_allclose(pictures(frames)[:, 4, 4], [0.7152, 0.0722], rtol=0.03)


def test_a_jpeg_is_shown_upright(tmp_path):
    """Orientation 6 in the EXIF data: to be turned by 90 degrees clockwise."""
    (tmp_path / "film").mkdir()
    exif = Image.Exif()
    exif[274] = 6
    for number in range(2):
        Image.fromarray(np.zeros((8, 24), np.uint8)).save(tmp_path / "film" / f"{number}.jpg", exif=exif)
    frames = open_video(tmp_path / "film", fps=1)
    assert (frames.width, frames.height) == (8, 24)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("timestamps.txt", "0.5\n0.6\n\n0.75\n", [0, 100_000, 250_000]),
        ("timestamps.txt", "1000\n2000\n4000\n", [0, 1000, 3000]),
        ("timestamps.txt", "0\n1e-3\n0.004\n", [0, 1000, 4000]),
        ("film_ts.npy", np.array([10.0, 10.5, 11.5]), [0, 500_000, 1_500_000]),
        ("../film_ts.npy", np.array([7, 57, 157]), [0, 50, 150]),
    ],
)
def test_times_beside_the_images_are_seconds_or_whole_microseconds(tmp_path, name, content, expected):
    """With a decimal point (or float) seconds, without (or integer) microseconds; the first is 0."""
    folder = write_images(tmp_path / "film", CODES[:3])
    if isinstance(content, str):
        (folder / name).write_text(content)
    else:
        np.save(folder / name, content)
    np.testing.assert_allclose(times(open_video(folder)), expected, atol=1e-6)


def test_a_file_of_times_can_be_named(tmp_path):
    folder = write_images(tmp_path / "film", CODES[:3])
    (tmp_path / "clock.txt").write_text("0.0\n0.1\n0.3\n")
    frames = open_video(folder, timestamps=tmp_path / "clock.txt", start_s=0.1)
    np.testing.assert_allclose(times(frames), [0, 200_000])
    np.testing.assert_array_equal(pictures(frames), CODES[1:3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.0\n0.1\n", "has 2 times for 3 frames"),
        ("0.0\n0.2\n0.1\n", "time 2 of"),
        ("0.0\nsoon\n0.1\n", "line 2 of .* is 'soon', expected one time"),
        ("0.0 a.png\n0.1 b.png\n", "line 1 of .* expected one time"),
        ("0\n1\n2\n", "1 us apart, which looks like another unit"),
        ("0.0\n1000000.0\n2000000.0\n", "1e.12 us apart, which looks like another unit"),
        ("", "has 0 times for 3 frames"),
    ],
)
def test_times_that_do_not_fit_are_refused(tmp_path, text, message):
    folder = write_images(tmp_path / "film", CODES[:3])
    (folder / "timestamps.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        open_video(folder)


def test_a_folder_without_times_needs_a_frame_rate(tmp_path):
    with pytest.raises(InputError, match="says nothing about times; give fps"):
        open_video(write_images(tmp_path / "film", CODES))
    with pytest.raises(InputError, match=r"clock\.txt does not exist"):
        open_video(tmp_path / "film", timestamps=tmp_path / "clock.txt")


def test_times_of_another_kind_are_refused(tmp_path):
    folder = write_images(tmp_path / "film", CODES[:3])
    np.save(tmp_path / "a.npy", np.array(["now", "later", "never"]))
    with pytest.raises(InputError, match=r"has dtype <U5, expected float \(seconds\)"):
        open_video(folder, timestamps=tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(b"no array")
    with pytest.raises(FormatError, match="is not a NumPy array"):
        open_video(folder, timestamps=tmp_path / "b.npy")
    for source in (write_video(tmp_path / "v.mkv", CODES), "-", 0):
        with pytest.raises(ParameterError, match="has times of its own"):
            open_video(source, timestamps=tmp_path / "a.npy")


def test_a_folder_holds_one_film(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        open_video(tmp_path / "empty", fps=1)
    with pytest.raises(InputError, match="has 1 of its 1 frames in the span"):
        open_video(write_images(tmp_path / "one", CODES[:1]), fps=1)
    write_images(tmp_path / "two", CODES[:2])
    with pytest.raises(InputError, match=r"several kinds \(bmp, png\)"):
        open_video(write_images(tmp_path / "two", CODES[:2], "bmp"), fps=1)


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (CODES[0, :, :20], r"2\.png is 20x18 grey uint8, but 0\.png is 30x18 grey uint8"),
        (CODES[0].astype(np.uint16), r"2\.png is 30x18 grey uint16, but"),
        (np.dstack([CODES[0]] * 3), r"2\.png is 30x18 colour uint8, but"),
        (np.dstack([CODES[0]] * 4), r"2\.png is 30x18 colour with opacity uint8, but"),
    ],
)
def test_the_image_that_differs_is_named(tmp_path, odd, message):
    folder = write_images(tmp_path / "film", [CODES[0], CODES[1], odd, CODES[2]])
    with pytest.raises(InputError, match=message):
        list(open_video(folder, fps=1))


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp"])
def test_the_image_that_is_cut_short_is_named(tmp_path, kind, capfd):
    folder = write_images(tmp_path / "film", np.kron(CODES, np.ones((1, 8, 8), np.uint8)), kind)
    path = folder / f"3.{kind}"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=rf"3\.{kind} is not a complete image"):
        list(open_video(folder, fps=1))
    path.write_bytes(b"")
    with pytest.raises(InputError, match=rf"3\.{kind} is not a complete image"):
        list(open_video(folder, fps=1))


# Arrays


def test_an_array_file_is_a_video(tmp_path):
    np.save(tmp_path / "a.npy", CODES)
    frames = open_video(tmp_path / "a.npy", fps=10, start_s=0.2)
    np.testing.assert_array_equal(pictures(frames), CODES[2:])
    np.testing.assert_allclose(times(frames), [0, 100_000, 200_000, 300_000])


def test_an_npz_brings_its_times(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", frames=CODES / 255, times_us=[5, 6, 8, 10, 20, 30])
    frames = open_video(tmp_path / "a.npz")
    assert frames.encoding == LINEAR
    np.testing.assert_array_equal(pictures(frames), CODES / 255)
    assert times(frames) == [0, 1, 3, 5, 15, 25]


def test_an_array_of_colours_becomes_luminance(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([CODES] * 3, axis=-1))
    light = relative_luminance(CODES, Encoding(transfer="gamma22"))
    np.testing.assert_allclose(pictures(open_video(tmp_path / "a.npy", fps=1, transfer="gamma22")), light, rtol=1e-5)


def test_array_files_that_do_not_fit_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", video=CODES)
    with pytest.raises(InputError, match=r"has the fields \['video'\], expected one called frames"):
        open_video(tmp_path / "a.npz", fps=1)
    np.savez(tmp_path / "b.npz", frames=CODES, times_us=[1, 2])
    with pytest.raises(InputError, match="6 frames but 2 times"):
        open_video(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", CODES[0])
    with pytest.raises(InputError, match=r"shape \(18, 30\), expected \(T, H, W\)"):
        open_video(tmp_path / "c.npy", fps=1)
    np.save(tmp_path / "d.npy", CODES.astype(np.int32))
    with pytest.raises(InputError, match="dtype int32"):
        open_video(tmp_path / "d.npy", fps=1)
    np.save(tmp_path / "e.npy", np.array([None, 1]))
    with pytest.raises(FormatError, match="is not a NumPy file of numbers"):
        open_video(tmp_path / "e.npy", fps=1)
    for name in ("f.npy", "f.npz"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 not an array")
        with pytest.raises(FormatError, match="is not a NumPy file"):
            open_video(tmp_path / name, fps=1)
    np.save(tmp_path / "g.npy", np.full((2, 3, 3), np.nan))
    with pytest.raises(InputError, match="values from nan to nan"):
        list(open_video(tmp_path / "g.npy", fps=1))


# Videos of other people


@pytest.mark.parametrize("name", ["bikes.mp4", "book.mkv", "bulk-water.mov", "carphone_pristine.mp4", "chaplin.mp4"])
def test_real_videos_are_read_to_their_end(shared_data, name):
    """The header's own word: the number of frames or, in Matroska, the duration of 3.6 s at 30 Hz."""
    path = shared_data / "videos" / name
    with av.open(str(path)) as file:
        promised = file.streams.video[0].frames or round(3.6 * 30) + 1
    frames = open_video(path)
    seen = times(frames)
    assert len(seen) == promised
    np.testing.assert_allclose(np.diff(seen), np.mean(np.diff(seen)), atol=1000)


def test_the_demo_video_is_still_but_for_the_hand():
    """The camera is fixed: of the left quarter less than 1 % changes by more than 20 % in 5 frames."""
    frames = list(open_video(Path(__file__).parents[1] / "examples" / "data" / "cup.mp4"))
    assert len(frames) == 75
    light = [relative_luminance(frame, Encoding(black=16, white=235)) for _, frame in frames[:6:5]]
    changed = np.abs(np.log((light[1] + 0.01) / (light[0] + 0.01))) > 0.2
    assert changed[:, :86].mean() < 0.01
    assert changed.mean() > 0.02


# Files that are none


@pytest.mark.parametrize("kind", ["mkv", "avi", "mp4"])
def test_a_file_that_breaks_off_is_refused_after_its_good_frames(tmp_path, kind):
    """The message names the time up to which it can be used, and there it can."""
    codes = RNG.integers(0, 256, (40, 48, 64), dtype=np.uint8)
    path = write_video(
        tmp_path / f"v.{kind}",
        codes,
        codec="mpeg4",
        pixel_format="yuv420p",
        options={"movflags": "faststart"} if kind == "mp4" else {},
    )
    whole = pictures(open_video(path))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    seen = []
    with pytest.raises(InputError, match=r"breaks off after .* use the part in front with stop_s") as refused:
        seen.extend(open_video(path))
    assert 2 < len(seen) < 30
    stop_s = float(str(refused.value).rpartition("=")[2])
    part = pictures(open_video(path, stop_s=stop_s))
    assert len(part) == len(seen) - 1
    np.testing.assert_array_equal(part, whole[: len(part)])


def test_a_video_without_its_index_is_refused(tmp_path):
    path = write_video(tmp_path / "v.mp4", CODES, codec="mpeg4", pixel_format="yuv420p")
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(FormatError, match="is not a complete video"):
        open_video(path)


@pytest.mark.parametrize(("name", "content"), [("a.mp4", b"hello"), ("a.mp4", b""), ("a.txt", b"hello\nyou\n" * 99)])
def test_what_is_no_video_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=r"not a complete video|holds no video"):
        open_video(tmp_path / name)


def test_sound_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
    with pytest.raises(FormatError, match="holds no video"):
        open_video(tmp_path / "a.wav")


def test_a_picture_is_no_film(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), CODES[0])
    with pytest.raises(InputError, match="has 1 frame in the chosen span, expected at least 2"):
        list(open_video(tmp_path / "a.png"))


def test_what_does_not_exist_is_said_to_be_missing(tmp_path):
    with pytest.raises(InputError, match=r"v\.mp4 does not exist"):
        open_video(tmp_path / "v.mp4")


def test_a_name_with_a_colon_is_a_file(tmp_path, monkeypatch):
    write_video(tmp_path / "a:b.mkv", CODES)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(pictures(open_video("a:b.mkv")), CODES)


def test_the_digest_is_that_of_the_bytes(tmp_path):
    path = write_video(tmp_path / "v.mkv", CODES)
    assert open_video(path).digest == sha256(path.read_bytes()).hexdigest()
    np.save(tmp_path / "a.npy", CODES)
    assert open_video(tmp_path / "a.npy", fps=1).digest == sha256((tmp_path / "a.npy").read_bytes()).hexdigest()
    folder = write_images(tmp_path / "film", CODES)
    before = open_video(folder, fps=1).digest
    write_images(folder, CODES[1:2])
    assert open_video(folder, fps=1).digest != before


# Live


def test_a_video_comes_through_a_pipe(tmp_path):
    path = write_video(tmp_path / "v.mkv", CODES, time_base=Fraction(1, 50))
    program = (
        "from dvs.video import open_video\n"
        "frames = open_video('-', start_s=0.02)\n"
        "print(frames.digest, [(round(t_us), int(frame[0, 0])) for t_us, frame in frames])\n"
        "list(frames)"
    )
    with path.open("rb") as pipe:
        run = subprocess.run([sys.executable, "-c", program], stdin=pipe, capture_output=True, text=True)
    assert run.stdout.strip() == f"None {[(20_000 * k, int(CODES[k + 1, 0, 0])) for k in range(5)]}"
    assert run.stderr.strip().endswith("standard input can be read once; write the video to a file to read it again")


def test_an_empty_pipe_is_refused(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(FormatError, match="standard input is not a complete video"):
        open_video("-")


class Camera:
    """A webcam that delivers five pictures, each a thousandth of a second after the one before."""

    clock_ns = 0

    def __init__(self, number):
        self.number, self.left, self.released = number, 5, False

    def isOpened(self):  # noqa: N802
        return self.number == 0

    def get(self, name):
        return {cv2.CAP_PROP_FRAME_WIDTH: 8.0, cv2.CAP_PROP_FRAME_HEIGHT: 6.0}[name]

    def read(self):
        self.left -= 1
        Camera.clock_ns += 1_000_000
        return (self.left >= 0, np.full((6, 8, 3), 50 * self.left, np.uint8) if self.left >= 0 else None)

    def release(self):
        self.released = True


def test_a_webcam_gives_frames_as_they_arrive(monkeypatch):
    monkeypatch.setattr("cv2.VideoCapture", Camera)
    monkeypatch.setattr("time.monotonic_ns", lambda: Camera.clock_ns)
    frames = open_video(0, stop_s=0.004)
    assert (frames.width, frames.height, frames.encoding) == (8, 6, Encoding())
    assert times(frames) == [0, 1000, 2000, 3000]
    assert pictures(open_video("0", stop_s=0.004))[:, 0, 0].tolist() == [200, 150, 100, 50]
    with pytest.raises(InputError, match="webcam 0 stopped delivering"):
        list(open_video(0))


def test_a_webcam_that_is_not_there_is_refused(capfd):
    with pytest.raises(InputError, match="webcam 97 cannot be opened"):
        open_video(97)
    assert capfd.readouterr() == ("", "")
