"""What codes say about light: the curves of the standards, and their two ends."""

from math import exp, log

import numpy as np
import pytest

from dvs.errors import InputError, ParameterError
from dvs.luminance import (
    DARK_OFFSET,
    LINEAR,
    Encoding,
    linear_light,
    log_luminance_table,
    relative_luminance,
    to_grey,
)

TRANSFERS = ["srgb", "bt709", "linear", "gamma22", "gamma28", "pq", "hlg"]


def test_srgb_code_188_is_half_the_light_of_white():
    """IEC 61966-2-1: ((188/255 + 0.055) / 1.055)**2.4 = 0.5029; one code less is 0.4969."""
    below, half = relative_luminance([187, 188], Encoding())
    assert below < 0.5 < half
    assert half == pytest.approx(0.5, abs=0.004)


def test_the_srgb_curve_begins_with_a_straight_line():
    """Codes 1 to 10 lie below 0.04045 * 255 = 10.3, so code k is k / 255 / 12.92."""
    k = np.arange(1, 11)
    np.testing.assert_allclose(relative_luminance(k, Encoding()), k / 255 / 12.92)


@pytest.mark.parametrize("transfer", ["srgb", "bt709", "linear", "gamma22", "gamma28"])
def test_black_is_no_light_and_white_is_one(transfer):
    encoding = Encoding(transfer=transfer, black=16, white=235)
    np.testing.assert_allclose(relative_luminance([16, 235], encoding), [0, 1], atol=1e-12)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_more_code_is_more_light(transfer):
    light = relative_luminance(np.arange(256), Encoding(transfer=transfer))
    assert light[0] == pytest.approx(0)
    assert (np.diff(light) > 0).all()


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_limited_range_has_room_below_black_and_above_white(bits):
    """Black is 16 and white 235 at 8 bits, both four times as large with every two bits more."""
    scale = 2 ** (bits - 8)
    encoding = Encoding(transfer="linear", black=16 * scale, white=235 * scale)
    codes = np.array([0, 16, 235, 254]) * scale
    np.testing.assert_allclose(relative_luminance(codes, encoding), [0, 0, 1, 238 / 219])


def test_bt709_is_the_inverse_of_the_camera_curve_of_the_standard():
    """BT.709-6: V = 1.099 Y**0.45 - 0.099 from Y = 0.018 up, 4.5 Y below; its digits are rounded."""
    light = np.array([0.001, 0.01, 0.1, 0.18, 0.5, 0.9])
    signal = np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)
    encoding = Encoding(transfer="bt709", white=1)
    np.testing.assert_allclose(relative_luminance(signal, encoding), light, rtol=2e-3)


def test_pq_puts_diffuse_white_at_58_percent_signal():
    """BT.2408: 203 cd/m2 is 58 % PQ. Full signal is 10000 cd/m2 by definition: 10000 / 203 whites."""
    encoding = Encoding(transfer="pq", white=1)
    white, full = relative_luminance([0.5807, 1.0], encoding)
    assert white == pytest.approx(1, rel=2e-3)
    assert full == pytest.approx(10_000 / 203)


def test_hlg_puts_diffuse_white_at_75_percent_signal():
    """BT.2408: diffuse white is 75 % HLG. At 50 % scene light is 1/12 of the peak, which is at 100 %."""
    white, half, peak = relative_luminance([0.75, 0.5, 1.0], Encoding(transfer="hlg", white=1))
    assert white == pytest.approx(1)
    assert half / peak == pytest.approx(1 / 12)


def test_integer_codes_and_float_codes_mean_the_same():
    codes = np.arange(256, dtype=np.uint8)
    encoding = Encoding(transfer="bt709", black=16, white=235)
    expected = relative_luminance(codes.astype(np.float64), encoding)
    np.testing.assert_array_equal(relative_luminance(codes, encoding), expected)
    np.testing.assert_allclose(linear_light(codes, encoding), expected, rtol=1e-6)
    np.testing.assert_array_equal(relative_luminance(codes.astype(np.uint16), encoding), expected)


def test_one_step_in_the_deepest_shadow_stays_below_threshold():
    """ln(1 + Y1 / offset) < 0.2 needs offset > Y1 / (e**0.2 - 1) = 0.00137: 0.0014 in two digits."""
    assert np.diff(log_luminance_table(Encoding(), 8, DARK_OFFSET))[0] < 0.2
    assert np.diff(log_luminance_table(Encoding(), 8, DARK_OFFSET - 0.0001))[0] > 0.2
    assert (1 / 255 / 12.92) / (exp(0.2) - 1) == pytest.approx(0.00137, abs=5e-6)


def test_the_log_table_runs_from_the_dark_offset_to_white():
    table = log_luminance_table(Encoding(white=1023), 10, 0.01)
    assert table.shape == (1024,)
    assert table[0] == pytest.approx(log(0.01))
    assert table[-1] == pytest.approx(log(1.01))


def test_grey_of_a_grey_picture_is_its_luminance():
    """The weights of red, green and blue add up to 1."""
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = to_grey(np.stack([codes] * 3, axis=-1), Encoding())
    assert grey.dtype == np.float32
    np.testing.assert_allclose(grey, relative_luminance(codes, Encoding()), rtol=1e-6)


def test_green_is_brighter_than_red_and_red_than_blue():
    """ITU-R BT.709: 0.7152, 0.2126 and 0.0722 of white, whatever the curve and the depth."""
    full = np.eye(3, dtype=np.uint16)[None] * 65535
    np.testing.assert_allclose(to_grey(full, Encoding(white=65535)), [[0.2126, 0.7152, 0.0722]], rtol=1e-6)


def test_a_transparent_picture_lies_on_black():
    white = np.array([[[255, 255, 255, 0], [255, 255, 255, 51], [255, 255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(to_grey(white, Encoding()), [[0, 51 / 255, 1]], rtol=1e-6)
    np.testing.assert_allclose(to_grey(white / np.float32(255), LINEAR), [[0, 51 / 255, 1]], rtol=1e-6)


def test_an_unknown_curve_is_refused_with_the_known_ones():
    with pytest.raises(ParameterError, match="'rec709', expected one of srgb, bt709"):
        Encoding(transfer="rec709")


@pytest.mark.parametrize(("black", "white"), [(255, 0), (1, 1), (0, float("inf")), (float("nan"), 1)])
def test_white_must_be_above_black(black, white):
    with pytest.raises(ParameterError, match="expected black below white"):
        Encoding(black=black, white=white)


@pytest.mark.parametrize("offset", [0.0, -1e-3, float("nan"), float("inf")])
def test_the_dark_offset_must_be_positive(offset):
    with pytest.raises(ParameterError, match="dark_offset"):
        log_luminance_table(Encoding(), 8, offset)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_light_that_is_not_a_number_is_refused(bad):
    with pytest.raises(InputError, match="NaN or infinity"):
        relative_luminance([0.1, bad], LINEAR)


def test_a_picture_without_three_colours_is_refused():
    with pytest.raises(InputError, match=r"shape \(4, 5, 2\)"):
        to_grey(np.zeros((4, 5, 2), np.uint8), Encoding())
