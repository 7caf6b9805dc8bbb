"""Times of frames that have none of their own, from a file beside them.

The rule for the unit: whole numbers are microseconds, numbers with a decimal point seconds. So a
text file that holds a point or an exponent anywhere, and an array of floats, are in seconds (as
rpg_vid2e and openeb write them); a text file of nothing but whole numbers, and an array of integers,
are in microseconds.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError, InputError
from dvs.frames import check_times
from dvs.video.request import Request


def times_of(count: int, name: str, beside: list[Path], request: Request) -> NDArray[np.float64]:
    """Times (count,) in microseconds, the first at 0.

    They come from `request.timestamps`, or else from the first file of `beside` that exists, or else
    from `request.fps`. Raises InputError if there is none or their number is not `count`.
    """
    paths = [request.timestamps] if request.timestamps else [path for path in beside if path.exists()]
    if not paths:
        if request.fps is None:
            raise InputError(f"{name} says nothing about times; give fps, or a file with timestamps")
        return np.arange(count) * 1e6 / request.fps
    times_us = read_timestamps(paths[0])
    if times_us.size != count:
        raise InputError(f"{paths[0]} has {times_us.size} times for {count} frames; give one for each frame")
    return times_us - times_us[:1]


def read_timestamps(path: Path) -> NDArray[np.float64]:
    """Times in microseconds, shape (T,), from one number a line of text or a one-dimensional .npy.

    Raises InputError for a file that is missing, has other content, or times that do not rise.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a file of timestamps")
    values = _read_npy(path) if path.suffix.lower() == ".npy" else _read_text(path)
    times_us = check_times(values * 1e6 if values.dtype.kind == "f" else values, str(path))
    step_us = float(np.median(np.diff(times_us))) if times_us.size > 1 else 1e6
    if not 10 <= step_us <= 100e6:
        raise InputError(
            f"{path} puts frames {step_us:g} us apart, which looks like another unit; "
            "write seconds with a decimal point, microseconds as whole numbers"
        )
    return times_us


def _read_npy(path: Path) -> NDArray:
    try:
        values = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError) as error:
        raise FormatError(f"{path} is not a NumPy array of numbers ({error})") from error
    if values.dtype.kind not in "iuf":
        raise InputError(f"{path} has dtype {values.dtype}, expected float (seconds) or integer (us)")
    return values


def _read_text(path: Path) -> NDArray:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    words = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    values = []
    for number, word in words:
        try:
            values.append(float(word))
        except ValueError:
            raise InputError(f"line {number} of {path} is {word[:40]!r}, expected one time") from None
    whole = all(word.isdecimal() for _, word in words)
    return np.array(values, dtype=np.int64 if whole else np.float64)
