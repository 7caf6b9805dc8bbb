"""Luminance: what the numbers in a frame say about light.

A camera does not store light but a code: a curve (the transfer function) squeezes the dark
end into more codes, and a video keeps room below black and above white. Everything behind
this file sees relative luminance Y, linear in light, with Y = 1 for diffuse white.

Curves: IEC 61966-2-1 (sRGB); ITU-R BT.709-6; SMPTE ST 2084 (PQ) with diffuse white at
203 cd/m2 and ARIB STD-B67 (HLG) with diffuse white at 75 % signal, both as in ITU-R BT.2408.
BT.709 and HLG are undone towards the light in front of the camera, not that of a display.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError

# The smallest offset (two digits) with which one code step in the deepest shadow of an 8-bit
# sRGB frame, 0 -> 1 or Y = 0.0003035, stays below the usual threshold of 0.2:
# ln(1 + 0.0003035 / 0.0014) = 0.196. Without an offset that step is infinite.
DARK_OFFSET = 0.0014

# Share of red, green and blue in luminance: ITU-R BT.709-6, on linear light.
BT709_WEIGHTS = (0.2126, 0.7152, 0.0722)

Floats = NDArray[np.float64]


def _srgb(signal: Floats) -> Floats:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _bt709(signal: Floats) -> Floats:
    # The published 1.099 and 0.018 are rounded and make the curve step back where its two
    # halves meet; these are the values that make it smooth.
    alpha, beta = 1.099296826809442, 0.018053968510807
    return np.where(signal < 4.5 * beta, signal / 4.5, ((signal + alpha - 1) / alpha) ** (1 / 0.45))


def _pq(signal: Floats) -> Floats:
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = np.minimum(signal, 1.0) ** (1 / m2)
    return 10_000 / 203 * (np.maximum(root - c1, 0.0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg(signal: Floats) -> Floats:
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * log(4 * a)
    white = (exp((0.75 - c) / a) + b) / 12
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12) / white


_TRANSFERS: dict[str, Callable[[Floats], Floats]] = {
    "srgb": _srgb,
    "bt709": _bt709,
    "linear": lambda signal: signal,
    "gamma22": lambda signal: signal**2.2,
    "gamma28": lambda signal: signal**2.8,
    "pq": _pq,
    "hlg": _hlg,
}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the numbers in a frame stand for light.

    `transfer` names the curve; `black` and `white` are the codes of no light and of full
    signal: 0 and 255 for pictures, 16 and 235 for most 8-bit video, 0 and 1 for linear light.

    Raises ParameterError for an unknown curve or a white that is not above black.
    """

    transfer: str = "srgb"
    black: float = 0.0
    white: float = 255.0

    def __post_init__(self) -> None:
        if self.transfer not in _TRANSFERS:
            raise ParameterError(f"transfer is {self.transfer!r}, expected one of {', '.join(_TRANSFERS)}")
        if not -inf < self.black < self.white < inf:
            raise ParameterError(f"black is {self.black} and white {self.white}, expected black below white")


LINEAR = Encoding(transfer="linear", black=0.0, white=1.0)


def relative_luminance(codes: ArrayLike, encoding: Encoding) -> Floats:
    """Relative luminance of codes of any shape: 0 is black, 1 diffuse white, more is possible.

    Codes below black are no light. Raises InputError for NaN and infinity.

    >>> relative_luminance([0, 188, 255], Encoding()).round(2).tolist()
    [0.0, 0.5, 1.0]
    """
    codes = np.asarray(codes)
    if codes.dtype in (np.uint8, np.uint16):
        return np.take(luminance_table(encoding, 8 * codes.dtype.itemsize), codes)
    signal = (codes.astype(np.float64) - encoding.black) / (encoding.white - encoding.black)
    if not np.isfinite(signal).all():
        raise InputError("a frame holds NaN or infinity, expected finite codes; replace them before")
    return _TRANSFERS[encoding.transfer](np.maximum(signal, 0.0))


@lru_cache(maxsize=8)
def luminance_table(encoding: Encoding, bits: int) -> Floats:
    """Relative luminance of every code of `bits` bits, shape (2**bits,), read-only."""
    table = relative_luminance(np.arange(2**bits, dtype=np.float64), encoding)
    table.flags.writeable = False
    return table


def log_luminance_table(encoding: Encoding, bits: int, dark_offset: float = DARK_OFFSET) -> Floats:
    """L = ln(Y + dark_offset) of every code of `bits` bits, shape (2**bits,).

    Raises ParameterError unless dark_offset is above 0.
    """
    if not 0 < dark_offset < inf:
        raise ParameterError(f"dark_offset is {dark_offset}, expected a luminance above 0, such as {DARK_OFFSET}")
    return np.log(luminance_table(encoding, bits) + dark_offset)


def linear_light(frame: NDArray, encoding: Encoding) -> NDArray[np.float32]:
    """Relative luminance of a frame of codes (H, W) as float32 (H, W)."""
    if frame.dtype in (np.uint8, np.uint16):
        return np.take(luminance_table(encoding, 8 * frame.dtype.itemsize).astype(np.float32), frame)
    if encoding == LINEAR:
        return frame.astype(np.float32, copy=False)
    return relative_luminance(frame, encoding).astype(np.float32)


def to_grey(frame: NDArray, encoding: Encoding) -> NDArray[np.float32]:
    """Relative luminance, float32 (H, W), of a colour frame (H, W, 3) in the order red, green, blue.

    A fourth channel is opacity, the picture lies on black. Raises InputError for another shape.

    >>> round(to_grey(np.array([[[0, 255, 0]]], np.uint8), Encoding()).item(), 4)
    0.7152
    """
    if frame.ndim != 3 or frame.shape[2] not in (3, 4):
        raise InputError(f"a colour frame has shape {frame.shape}, expected (H, W, 3) or (H, W, 4)")
    grey = np.zeros(frame.shape[:2], np.float32)
    for channel, weight in enumerate(BT709_WEIGHTS):
        grey += np.float32(weight) * linear_light(frame[..., channel], encoding)
    if frame.shape[2] == 4:
        opaque = np.iinfo(frame.dtype).max if frame.dtype.kind == "u" else 1.0
        grey *= frame[..., 3] / np.float32(opaque)
    return grey
