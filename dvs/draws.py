"""Counter-based randomness: a number is a hash of (seed, pixel, draw), not the next of a stream.

The same seed therefore gives the same bytes on any number of threads and however the frames
are grouped. The hash is two rounds of SplitMix64's finaliser (Steele, Lea & Flood 2014,
"Fast splittable pseudorandom number generators", OOPSLA), keyed by Weyl increments.
"""

import math

import numpy as np
from numba import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_PIXEL = np.uint64(0xD1B54A32D192ED03)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@njit(cache=True, nogil=True, inline="always")
def _mix(bits):
    bits = (bits ^ (bits >> _30)) * _MIX_1
    bits = (bits ^ (bits >> _27)) * _MIX_2
    return bits ^ (bits >> _31)


@njit(cache=True, nogil=True)
def uniform(seed: int, pixel: int, draw: int) -> float:
    """A number in (0, 1), never 0 or 1: the draw-th one of this pixel under this seed."""
    key = _mix(np.uint64(seed) + np.uint64(pixel) * _PIXEL)
    bits = _mix(key + (np.uint64(draw) + np.uint64(1)) * _GOLDEN)
    return (np.float64(bits >> _11) + 0.5) * 2.0**-53


@njit(cache=True, nogil=True)
def exponential(seed: int, pixel: int, draw: int) -> float:
    """Exponentially distributed with mean 1."""
    return -math.log(uniform(seed, pixel, draw))


@njit(cache=True, nogil=True)
def normal(seed: int, pixel: int, draw: int) -> float:
    """Standard normal (Box & Muller 1958); takes two draws, `draw` and `draw + 1`."""
    radius = math.sqrt(2.0 * exponential(seed, pixel, draw))
    return radius * math.cos(2.0 * math.pi * uniform(seed, pixel, draw + 1))
