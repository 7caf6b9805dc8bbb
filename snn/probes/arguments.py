"""What the probes ask of their arguments, said once."""

from typing import Any

import numpy as np
from brian2 import Quantity, second
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from snn.spikes import SpikeTrains

# A step begins this part of a step early: 0.3 ms are then three steps of 0.1 ms, in floating point too.
_EARLY = 1e-6


def times_s(value: Any, name: str) -> NDArray[np.float64]:
    """Times in seconds, or a `ParameterError` if they are no times."""
    if not isinstance(value, Quantity) or value.dim is not second.dim:
        raise ParameterError(f"{name} is {value!r}, expected times with a unit, such as 20*ms")
    return np.asarray(value / second, np.float64)


def time_s(value: Any, name: str, *, positive: bool = False) -> float:
    """One finite time in seconds; with `positive`, above zero."""
    t_s = times_s(value, name)
    if t_s.ndim or not np.isfinite(t_s) or (positive and t_s <= 0):
        raise ParameterError(f"{name} is {value}, expected one finite time{' above zero' * positive}")
    return float(t_s)


def window_s(window: Any) -> tuple[float, float]:
    """(start, stop) of a window in seconds."""
    if not isinstance(window, tuple) or len(window) != 2:
        raise ParameterError(f"window is {window!r}, expected (start, stop), such as (-50*ms, 200*ms)")
    start_s, stop_s = time_s(window[0], "the start of the window"), time_s(window[1], "the stop of the window")
    if stop_s <= start_s:
        raise ParameterError(f"the window ends at {window[1]}, not after its start at {window[0]}; give (start, stop)")
    return start_s, stop_s


def whole_steps(duration_s: float, step_s: float) -> int:
    """How many whole steps a duration holds."""
    return int(np.floor(duration_s / step_s + _EARLY))


def step_of(t_s: NDArray[np.float64], step_s: float) -> NDArray[np.int64]:
    """The step in which each time lies: step k is [k, k + 1) steps."""
    return np.floor(t_s / step_s + _EARLY).astype(np.int64)


def step_after(t_s: NDArray[np.float64], step_s: float) -> NDArray[np.int64]:
    """The first step that begins at or after each time."""
    return np.ceil(t_s / step_s - _EARLY).astype(np.int64)


def zeros_s(spikes: SpikeTrains, align: Any) -> NDArray[np.float64]:
    """The zero of time of each sample in seconds, (samples,); NaN leaves a sample out. None: its beginning."""
    if align is None:
        return np.zeros(spikes.samples)
    zero_s = times_s(align, "align")
    if zero_s.shape not in ((), (spikes.samples,)):
        raise InputError(
            f"align has shape {zero_s.shape}, expected one time or ({spikes.samples},), one for each sample"
        )
    return np.broadcast_to(zero_s, spikes.samples)


def watched_s(spikes: SpikeTrains, zero_s: NDArray[np.float64]) -> tuple[float, float]:
    """From the first to the last time at which any sample was watched, in seconds from its zero."""
    used_s = zero_s[np.isfinite(zero_s)]
    duration_s = float(spikes.duration / second)
    return (-float(used_s.max()), duration_s - float(used_s.min())) if used_s.size else (0.0, duration_s)


def chosen(which: Any, count: int, name: str) -> NDArray[np.int64]:
    """Numbers of what was chosen out of `count` by number(s), slice or mask; None is all. In the order given."""
    try:
        return np.atleast_1d(np.arange(count)[slice(None) if which is None else _index(which)])
    except IndexError as error:
        raise ParameterError(f"{name} {which!r} came, expected numbers from 0 to {count - 1} or a mask") from error


def _index(which: Any) -> Any:
    if isinstance(which, slice):
        return which
    index = np.asarray(which)
    return index.astype(np.int64) if index.size == 0 else index


def classes_of(labels: ArrayLike, samples: int, name: str = "labels") -> tuple[NDArray, NDArray[np.int64]]:
    """The distinct labels, rising, and for each sample which of them it has."""
    labels = np.asarray(labels)
    if labels.shape != (samples,):
        raise InputError(f"{name} have shape {labels.shape}, expected ({samples},), one for each sample")
    return np.unique(labels, return_inverse=True)


def sums(values: NDArray[np.float64], which: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of rows (samples, ...) over the samples of each group 0, 1, ... of `which`, none of which is empty."""
    order = np.argsort(which, kind="stable")
    first = np.flatnonzero(np.diff(which[order], prepend=-1))
    return np.add.reduceat(values[order], first, axis=0)


def responses_of(responses: ArrayLike) -> NDArray[np.float64]:
    """Responses (samples, neurons) as plain numbers."""
    array = np.asarray(responses, np.float64)
    if array.ndim != 2:
        raise InputError(
            f"responses have shape {array.shape}, expected (samples, neurons); SpikeTrains.counts() has them so"
        )
    return array
