"""What a network has said for each class so far: counts of its output spikes, or the state of a readout."""

from collections.abc import Iterator

import numpy as np
from brian2 import Quantity, second
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError
from snn.probes.arguments import step_after, time_s
from snn.spikes import SpikeTrains

_CELLS = 1 << 22

Evidence = SpikeTrains | ArrayLike


def evidence_in_parts(evidence: Evidence, dt: Quantity, class_of: ArrayLike | None) -> Iterator[tuple[slice, NDArray]]:
    """Samples (a slice) and their evidence (samples, steps, classes), so many at a time as memory likes.

    Step k is the instant k dt. SpikeTrains: the spikes of each class so far, a spike at k dt among them; class_of:
    (neurons,) class of each neuron, by default its number. An array is taken as it is, a readout as `Responses.states`
    has it. Raises `InputError` for wrong shapes or fewer than two classes.
    """
    dt_s = time_s(dt, "dt", positive=True)
    if not isinstance(evidence, SpikeTrains):
        readout = np.asarray(evidence)
        if readout.ndim != 3 or not readout.shape[1]:
            raise InputError(f"evidence has shape {readout.shape}, expected (samples, steps, classes), with steps")
        if class_of is not None:
            raise InputError("class_of came with a readout, expected with SpikeTrains only; leave it out")
        if not np.isfinite(readout).all():
            raise InputError("evidence has values that are not finite, expected numbers; look for an unstable readout")
        _two_classes(readout.shape[2])
        yield slice(0, len(readout)), readout
        return
    owner = _owners(class_of, evidence.neurons)
    classes = int(owner.max(initial=-1)) + 1
    _two_classes(classes)
    steps = int(step_after(np.asarray(evidence.duration / second), dt_s)) + 1
    step = step_after(np.asarray(evidence.t / second), dt_s)
    cell = (evidence.sample * steps + step) * classes + owner[evidence.neuron]
    part = max(1, _CELLS // (steps * classes))
    for first in range(0, evidence.samples, part):
        last = min(first + part, evidence.samples)
        low, high = np.searchsorted(evidence.sample, [first, last])
        shape = (last - first, steps, classes)
        counts = np.bincount(cell[low:high] - first * steps * classes, minlength=int(np.prod(shape)))
        yield slice(first, last), counts.reshape(shape).cumsum(axis=1)


def _owners(class_of: ArrayLike | None, neurons: int) -> NDArray[np.int64]:
    if class_of is None:
        return np.arange(neurons)
    owner = np.asarray(class_of)
    if owner.shape != (neurons,) or owner.dtype.kind not in "iu" or owner.min(initial=0) < 0:
        raise InputError(
            f"class_of has shape {owner.shape} and dtype {owner.dtype}, expected ({neurons},) classes 0, 1, ..."
        )
    return owner.astype(np.int64)


def _two_classes(classes: int) -> None:
    if classes < 2:
        raise InputError(f"evidence is for {classes} class, expected two or more; add an output for the alternative")
