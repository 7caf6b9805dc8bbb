"""Frames: pictures with times, the one thing the emulator takes.

A source of frames (a video, a folder, a camera, an array) is a record that can be iterated;
each pass reads the source again and yields one picture after the other, so that a film of
any length needs the memory of a few pictures.
"""

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import chain
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from dvs.luminance import LINEAR, Encoding, to_grey

TimedFrames = Iterator[tuple[float, NDArray]]

# Float frames are relative luminance, white = 1. Highlights go beyond, but hardly this far:
# such numbers are codes whose encoding was forgotten.
_BRIGHTEST_UNASKED = 20.0


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Pictures of one size with their times.

    `read` starts a new pass and yields (t_us, frame): the time in microseconds, a float because
    frames fall between microseconds, and the picture, (height, width), uint8 or uint16 codes or
    float. `encoding` says how its numbers stand for light. A frame stays valid after the next one
    is read. `count` is the number of frames where it is known (for a video an estimate), `digest`
    the SHA-256 of the source where it has one.

    Iterate over the record itself, not over `read()`, to have the frames checked.
    """

    width: int
    height: int
    encoding: Encoding
    read: Callable[[], TimedFrames]
    count: int | None = None
    name: str = "array"
    digest: str | None = None

    def __iter__(self) -> TimedFrames:
        """The frames, C-contiguous and in native byte order.

        Raises InputError for fewer than two frames, another size or dtype than the first, times that
        do not rise, NaN, infinity, and negative light.
        """
        seen = 0
        t_before, dtype = -inf, None
        for t_us, frame in self.read():
            label = f"frame {seen} of {self.name}"
            frame = np.ascontiguousarray(_checked_picture(frame, label))
            if not t_before < t_us < inf:
                raise InputError(
                    f"{label} is at {t_us} us, not after the frame in front of it ({t_before} us); "
                    "give the frame rate instead (fps)"
                )
            if frame.shape != (self.height, self.width):
                raise InputError(
                    f"{label} has shape {frame.shape}, expected {(self.height, self.width)}; "
                    "bring all frames to one size"
                )
            if dtype not in (None, frame.dtype):
                raise InputError(f"{label} has dtype {frame.dtype}, the ones before {dtype}; use one dtype")
            check_values(frame, label)
            t_before, dtype = t_us, frame.dtype
            seen += 1
            yield float(t_us), frame
        if seen < 2:
            raise InputError(
                f"{self.name} has {seen} frame{'s' * (seen != 1)} in the chosen span, expected at least 2: "
                "events come from change; give a longer span or another source"
            )


def frames_from_array(
    stack: ArrayLike | Iterable[NDArray],
    *,
    fps: float | None = None,
    times_us: ArrayLike | None = None,
    encoding: Encoding | None = None,
    name: str = "array",
) -> Frames:
    """Frames from an array (T, H, W) or (T, H, W, 3 | 4), a list of pictures, or a generator of them.

    Numbers are uint8 or uint16 (sRGB codes unless `encoding` says otherwise) or float (linear light
    with white = 1). Colour, in the order red, green, blue, becomes linear luminance. Times come from
    `fps` (the first frame is at 0) or from `times_us`, which are kept as they are. A generator is read
    once; its pictures are copied, so it may reuse its buffer.

    Raises InputError for unusable pictures or times, ParameterError for wrong options.

    >>> bar = np.zeros((3, 2, 8), np.uint8)
    >>> [t_us for t_us, frame in frames_from_array(bar, fps=1000)]
    [0.0, 1000.0, 2000.0]
    """
    if (fps is None) == (times_us is None):
        raise ParameterError("frames need either fps or times_us; give exactly one of them")
    if fps is not None:
        check_positive("fps", fps)
    times = None if times_us is None else check_times(times_us, name)

    if not isinstance(stack, Iterable):
        raise InputError(f"{name} is a {type(stack).__name__}, expected an array (T, H, W) or pictures to iterate")
    total = len(stack) if isinstance(stack, Sized) else None
    first, start = _opened(stack, name)
    if first is None:
        raise InputError(f"{name} has no frames, expected at least 2")
    first = _checked_picture(first, f"frame 0 of {name}")
    if times is not None and total not in (None, times.size):
        raise InputError(f"{name} has {total} frames but {times.size} times; give one time for each frame")
    codes = default_encoding(first, name) if encoding is None else encoding
    colour = first.ndim == 3

    def read() -> TimedFrames:
        for number, picture in enumerate(start()):
            label = f"frame {number} of {name}"
            if times is not None and number >= times.size:
                raise InputError(f"{label} has no time: only {times.size} were given; give one for each frame")
            picture = _checked_picture(picture, label)
            if picture.shape != first.shape:
                raise InputError(f"{label} has shape {picture.shape}, frame 0 has {first.shape}; use one size")
            if colour:
                check_values(picture, label)
                picture = to_grey(picture, codes)
            yield (number * 1e6 / fps if times is None else times[number]), picture

    height, width = first.shape[:2]
    return Frames(width=width, height=height, encoding=LINEAR if colour else codes, read=read, count=total, name=name)


def check_positive(name: str, value: float) -> None:
    """Raises ParameterError unless `value` is a finite number above 0."""
    if not 0 < value < inf:
        raise ParameterError(f"{name} is {value}, expected a number above 0")


def check_times(times_us: ArrayLike, name: str) -> NDArray[np.float64]:
    """Times (T,) in microseconds as float64; raises InputError unless they are finite and rise."""
    times = np.asarray(times_us, dtype=np.float64)
    if times.ndim != 1:
        raise InputError(f"the times of {name} have shape {times.shape}, expected one dimension")
    wrong = ~np.isfinite(times)
    wrong[1:] |= ~(np.diff(times) > 0)
    if wrong.any():
        k = int(np.argmax(wrong))
        before = f" after {times[k - 1]} us" if k else ""
        raise InputError(f"time {k} of {name} is {times[k]} us{before}; expected finite times that rise")
    return times


def check_values(frame: NDArray, label: str) -> None:
    """Raises InputError for NaN, infinity and negative light in a float frame."""
    if frame.dtype.kind != "f":
        return
    lowest, highest = frame.min(), frame.max()  # NaN if there is one
    if not (lowest >= 0 and highest < inf):
        raise InputError(
            f"{label} has values from {lowest} to {highest}, expected finite light of 0 or more; "
            "clip it, or fill what is missing"
        )


def default_encoding(frame: NDArray, name: str) -> Encoding:
    """The encoding numbers have unless something else is said: sRGB codes, or linear light if float.

    Raises InputError for other dtypes, and for float numbers that look like codes.
    """
    frame = _checked_picture(frame, f"frame 0 of {name}")
    if frame.dtype.kind == "u":
        return Encoding(white=float(np.iinfo(frame.dtype).max))
    if frame.max() > _BRIGHTEST_UNASKED:
        raise InputError(
            f"{name} has float values up to {frame.max()}, expected linear light with white = 1; "
            "divide by white, or say what they are with encoding=Encoding(white=255)"
        )
    return LINEAR


def _opened(stack: Iterable[NDArray], name: str) -> tuple[NDArray | None, Callable[[], Iterator[NDArray]]]:
    """The first picture, and a function that starts a pass over all of them."""
    if not isinstance(stack, Iterator):
        return next(iter(stack), None), lambda: iter(stack)
    copies = (np.array(picture) for picture in stack)
    first = next(copies, None)
    passes = [chain([first], copies)]

    def start() -> Iterator[NDArray]:
        if not passes:
            raise InputError(f"{name} is a generator that was read before; give an array or a list instead")
        return passes.pop()

    return first, start


def _checked_picture(picture: ArrayLike, label: str) -> NDArray:
    """The picture as an array in native byte order, or an InputError about its shape or dtype."""
    picture = np.asarray(picture)
    if not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (3, 4))) or picture.size == 0:
        raise InputError(f"{label} has shape {picture.shape}, expected (H, W), or (H, W, 3 or 4) for colour")
    if picture.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float32, np.float64):
        raise InputError(
            f"{label} has dtype {picture.dtype}, expected uint8, uint16, float32 or float64; convert it with astype"
        )
    return picture.astype(picture.dtype.newbyteorder("="), copy=False)
