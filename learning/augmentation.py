"""Augmentation: recordings that could have been made as well as the one that was.

Each function here takes parameters and returns an `Augmentation`: from a sample and a generator to a new sample. What
then leaves the sensor or the watched span is lost, events are in order, and a sample without events stays as it is.

>>> import dvs
>>> recording = dvs.Recording(events=dvs.make_events([3], [1], [500], [1]), width=8, height=4, stop_us=1000)
>>> augment = chain(flip(probability=1), flip(probability=1, axis="y"))
>>> augment(recording, np.random.default_rng(0)).events.tolist()
[(4, 2, 500, 1)]

Samples are recordings, or arrays of events; those do not know how large their sensor is, so that functions of places
ask for `size`, (width, height). Their span is from 0 to the last event.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from brian2 import Hz, Quantity, have_same_dimensions, second, us
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from dvs.events import EventArray, Recording, make_events
from snn.seeds import random_state_kept

Sample = Recording | EventArray
Augmentation = Callable[[Sample, np.random.Generator], Sample]
Size = tuple[int, int] | None

# x, y, t in microseconds, p of each event: whole numbers of any type.
Columns = tuple[NDArray, NDArray, NDArray, NDArray]

# For what moves no event: as large as a sensor can be.
_ANY_SIZE = (1 << 15, 1 << 15)


def chain(*augmentations: Augmentation) -> Augmentation:
    """One after the other."""
    return partial(_one_by_one, augmentations=augmentations)


def flip(probability: float = 0.5, *, axis: Literal["x", "y"] = "x", size: Size = None) -> Augmentation:
    """Mirror the sample, left and right ("x") or top and bottom ("y"), with some probability."""
    if axis not in ("x", "y"):
        raise ParameterError(f"axis is {axis!r}, expected 'x' or 'y'")
    return _augmentation(partial(_flipped, probability=_share("probability", probability), axis=axis), size)


def shift(pixels: int, *, size: Size = None) -> Augmentation:
    """Move the sample by -pixels to pixels, each whole number as likely as the others, along x and along y."""
    if pixels != int(pixels) or pixels < 0:
        raise ParameterError(f"pixels is {pixels}, expected a whole number, 0 or more")
    return _augmentation(partial(_shifted, pixels=int(pixels)), size)


def rotate(degrees: float, *, size: Size = None) -> Augmentation:
    """Turn the sample about the centre of the sensor by -degrees to degrees; events go to the nearest pixel."""
    return _augmentation(partial(_rotated, most=np.deg2rad(_not_negative("degrees", degrees))), size)


def jitter_place(pixels: float, *, size: Size = None) -> Augmentation:
    """Move each event on its own, normally distributed with a standard deviation of `pixels` along x and along y.

    tonic's SpatialJitter rounds towards zero, which moves all by half a pixel.
    """
    return _augmentation(partial(_scattered, sd=_not_negative("pixels", pixels)), size)


def jitter_time(sd: Quantity) -> Augmentation:
    """Move each event on its own in time, normally distributed with this standard deviation."""
    return _augmentation(partial(_delayed, sd_us=float(_quantity("sd", sd, us) / us)), _ANY_SIZE)


def drop_events(share: float) -> Augmentation:
    """Lose each event with this probability."""
    return _augmentation(partial(_thinned, share=_share("share", share)), _ANY_SIZE)


def add_noise(rate: Quantity, *, size: Size = None) -> Augmentation:
    """Add Poisson events at this rate in every pixel, ON and OFF equally likely."""
    return _augmentation(partial(_noisy, rate_hz=float(_quantity("rate", rate, Hz) / Hz)), size)


def from_tonic(transform: Callable[[EventArray], EventArray], *, size: Size = None) -> Augmentation:
    """A transform of tonic from events to events, such as `DropEventByTime(0.2)`, with chance from the generator.

    tonic draws from NumPy's global generator, which is afterwards as it was. In tonic 1.7 `DropEventByArea` with a
    range of areas takes none of that range; give it a number.
    """
    return _augmentation(partial(_by_tonic, transform=transform), size)


def _augmentation(change: Callable[[Recording, np.random.Generator], Columns], size: Size) -> Augmentation:
    return partial(_changed, change=change, size=size)


def _one_by_one(sample: Sample, rng: np.random.Generator, augmentations: tuple[Augmentation, ...]) -> Sample:
    for augment in augmentations:
        sample = augment(sample, rng)
    return sample


def _changed(
    sample: Sample, rng: np.random.Generator, change: Callable[[Recording, np.random.Generator], Columns], size: Size
) -> Sample:
    """The sample with other events: those that are on the sensor and in the span, in order."""
    recording = _recording(sample, size)
    if not len(recording):
        return sample
    x, y, t, p = (np.asarray(column, np.int64) for column in change(recording, rng))
    kept = (x >= 0) & (x < recording.width) & (y >= 0) & (y < recording.height)
    kept &= (t >= recording.start_us) & (t <= recording.stop_us)
    order = np.flatnonzero(kept)[np.argsort(t[kept], kind="stable")]
    events = make_events(x[order], y[order], t[order], p[order])
    return replace(recording, events=events) if isinstance(sample, Recording) else events


def _recording(sample: Sample, size: Size) -> Recording:
    if isinstance(sample, Recording):
        return sample
    if not isinstance(sample, np.ndarray) or sample.dtype.names is None:
        raise InputError(f"a {type(sample).__name__} cannot be augmented, expected a dvs.Recording or an event array")
    if size is None:
        raise InputError("an event array does not know its sensor; give size=(width, height), or a dvs.Recording")
    return Recording(events=sample, width=size[0], height=size[1])


# From a recording and a generator to the columns of other events


def _flipped(recording: Recording, rng: np.random.Generator, probability: float, axis: str) -> Columns:
    x, y, t, p = _columns(recording.events)
    if rng.random() >= probability:
        return x, y, t, p
    return (recording.width - 1 - x, y, t, p) if axis == "x" else (x, recording.height - 1 - y, t, p)


def _shifted(recording: Recording, rng: np.random.Generator, pixels: int) -> Columns:
    x, y, t, p = _columns(recording.events)
    dx, dy = rng.integers(-pixels, pixels, 2, endpoint=True)
    return x + dx, y + dy, t, p


def _rotated(recording: Recording, rng: np.random.Generator, most: float) -> Columns:
    x, y, t, p = _columns(recording.events)
    middle_x, middle_y = (recording.width - 1) / 2, (recording.height - 1) / 2
    angle = rng.uniform(-most, most)
    turned = (x - middle_x + 1j * (y - middle_y)) * np.exp(1j * angle)
    return np.rint(middle_x + turned.real), np.rint(middle_y + turned.imag), t, p


def _scattered(recording: Recording, rng: np.random.Generator, sd: float) -> Columns:
    x, y, t, p = _columns(recording.events)
    dx, dy = np.rint(rng.normal(0, sd, (2, x.size)))
    return x + dx, y + dy, t, p


def _delayed(recording: Recording, rng: np.random.Generator, sd_us: float) -> Columns:
    x, y, t, p = _columns(recording.events)
    return x, y, t + np.rint(rng.normal(0, sd_us, t.size)).astype(np.int64), p


def _thinned(recording: Recording, rng: np.random.Generator, share: float) -> Columns:
    return _columns(recording.events[rng.random(len(recording)) >= share])


def _noisy(recording: Recording, rng: np.random.Generator, rate_hz: float) -> Columns:
    count = rng.poisson(rate_hz * recording.duration_s * recording.width * recording.height)
    limits = ((0, recording.width), (0, recording.height), (recording.start_us, recording.stop_us), (0, 2))
    noise = [rng.integers(low, high, count) for low, high in limits]
    return tuple(np.append(column, more) for column, more in zip(_columns(recording.events), noise, strict=True))


def _by_tonic(recording: Recording, rng: np.random.Generator, transform: Callable[[EventArray], EventArray]) -> Columns:
    seed = int(rng.integers(1 << 32))
    with random_state_kept(seed):
        np.random.seed(seed)  # noqa: NPY002  (it is tonic's)
        events: Any = transform(recording.events.copy())
    if not {"x", "y", "t", "p"} <= set(getattr(getattr(events, "dtype", None), "names", None) or ()):
        raise InputError(f"{transform} made no events of the events, but a {type(events).__name__}; leave it out")
    return _columns(events)


def _columns(events: EventArray) -> Columns:
    return events["x"], events["y"], events["t"], events["p"]


# Checks


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ParameterError(f"{name} is {value}, expected 0 to 1")
    return value


def _not_negative(name: str, value: float) -> float:
    if not 0 <= value < np.inf:
        raise ParameterError(f"{name} is {value}, expected 0 or more")
    return value


def _quantity(name: str, value: Quantity, unit: Quantity) -> Quantity:
    if not have_same_dimensions(value, unit) or not 0 <= float(value) < np.inf:
        example = "2*ms" if have_same_dimensions(unit, second) else "0.1*Hz"
        raise ParameterError(f"{name} is {value}, expected 0 or more with its unit, such as {example}")
    return value
