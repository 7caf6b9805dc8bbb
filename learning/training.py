"""Training: samples, targets, a loss and an optimiser change the parameters of a model, minibatch by minibatch."""

import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, OutputError, ParameterError
from dvs.new_file import refuse_existing
from learning.augmentation import Augmentation
from learning.checkpoint import Snapshot, read, write
from learning.history import History
from learning.losses import Loss, Regulariser
from learning.optimisers import Optimiser, State, clip_by_norm
from learning.progress import training_bar


class Learner(Protocol):
    """What can be trained: a `Model`."""

    parameters: dict[str, NDArray]
    steps: int
    units: int

    def encode(self, samples: Any) -> Any:
        """Samples in a form of which `encoded[numbers]` are some."""

    def gradient(self, samples: Any, target: ArrayLike, loss: Loss, regularisers: Mapping[str, Regulariser]) -> Any:
        """A record of value, gradients, norm, predictions and counts."""

    def evaluate(self, samples: Any, targets: ArrayLike, loss: Loss, batch: int) -> tuple[float, float]:
        """Mean loss and accuracy."""

    def changed(self) -> None:
        """Use the parameters as they are now."""

    def write(self) -> None:
        """Hand the parameters over."""

    def settings(self) -> dict[str, str]:
        """What a gradient depends on besides the parameters."""


def fit(
    model: Learner,
    samples: Iterable[Any],
    targets: ArrayLike,
    *,
    loss: Loss,
    optimiser: Optimiser,
    epochs: int = 1,
    batch: int = 64,
    validation: tuple[Iterable[Any], ArrayLike] | float | None = None,
    regularisers: Mapping[str, Regulariser] | None = None,
    clip: float | None = None,
    augment: Augmentation | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    seed: int = 0,
    progress: bool = True,
    on_epoch: Callable[[History], object] | None = None,
) -> History:
    """Train the parameters of a model and write them into its Brian2 objects; how it went, epoch by epoch.

    samples: what `model.encode` takes; it is done once, or with `augment` for each minibatch anew. targets: labels
    (samples,) or traces (samples, steps, units), as the loss asks for. batch: samples of a minibatch; the last one
    of an epoch may have fewer. validation: samples and targets of their own, or the share of the samples, drawn by
    the seed, that is kept for it. regularisers: by population. clip: the largest norm of a gradient. patience: stop
    after so many epochs without a lower validation loss; the parameters are then, however it ends, those of the best
    epoch.

    checkpoint: an HDF5 file that is replaced after each epoch. resume: go on from it if it is there; parameters and
    history are then, to the last bit, those of a training that was never stopped. seed: order of the samples and
    chance in `augment`, both anew in each epoch. progress: a bar on a terminal or in a notebook. on_epoch: called
    after each epoch with the history so far.

    Ctrl-C and errors leave the parameters of the last epoch that was finished; after Ctrl-C the history says
    `interrupted`. Raises `InputError` for targets that do not fit the samples, for NaN, and for a checkpoint of
    another training; `OutputError` for a checkpoint that is there but not to be resumed; `ParameterError`.
    """
    _check_numbers(epochs=(epochs, 1), batch=(batch, 1), patience=(patience, 1), seed=(seed, 0))
    if patience is not None and validation is None:
        raise ParameterError("patience waits for a lower validation loss; give validation=(samples, targets) or 0.1")
    path = _checkpoint_path(checkpoint, resume)
    regularisers = dict(sorted((regularisers or {}).items()))
    method = _Method(
        loss=loss, optimiser=optimiser, batch=batch, regularisers=regularisers, clip=clip, augment=augment, seed=seed
    )
    data = _data(model, samples, targets, loss, encoded=augment is None)
    data, held = _split(model, method, data, validation)
    settings = {
        **{each.name: _text(getattr(method, each.name)) for each in fields(method)},
        "patience": _text(patience),
        "targets": _digest(data),
        "validation": _digest(held),
        **model.settings(),
        "parameters": ", ".join(f"{name} {value.dtype} {value.shape}" for name, value in model.parameters.items()),
    }
    if resume and path.exists():
        at = read(path, settings)
        _put(model, at.parameters)
    else:
        start = _copies(model.parameters)
        at = Snapshot(parameters=start, best=start, state=optimiser.start(start), history=History())
    batches = math.ceil(len(data) / batch)
    try:
        with training_bar(epochs * batches, len(at.history) * batches, progress) as advance:
            while len(at.history) < epochs and not _exhausted(at.history, patience):
                at = _epoch(model, method, data, held, at, partial(advance, f"epoch {len(at.history) + 1}/{epochs}"))
                if path is not None:
                    write(path, at, settings, overwrite=resume or len(at.history) > 1)
                if on_epoch is not None:
                    on_epoch(at.history)
    except KeyboardInterrupt:
        at = replace(at, history=replace(at.history, interrupted=True))
    finally:
        _put(model, at.parameters if patience is None else at.best)
        model.write()
    return at.history


@dataclass(frozen=True, kw_only=True)
class _Method:
    """How parameters are trained; each of these changes what comes out."""

    loss: Loss
    optimiser: Optimiser
    batch: int
    regularisers: Mapping[str, Regulariser]
    clip: float | None
    augment: Augmentation | None
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Data:
    """Samples, encoded or as they are, and what is wanted for each."""

    samples: Any
    targets: NDArray

    def __len__(self) -> int:
        return len(self.targets)

    def part(self, chosen: NDArray[np.int64]) -> "_Data":
        samples = [self.samples[k] for k in chosen] if isinstance(self.samples, list) else self.samples[chosen]
        return _Data(samples=samples, targets=self.targets[chosen])


def _data(model: Learner, samples: Iterable[Any], targets: ArrayLike, loss: Loss, encoded: bool) -> _Data:
    if not encoded and isinstance(samples, Mapping):
        raise ParameterError("augment takes the samples of one input, these are for several; give none")
    samples = model.encode(samples) if encoded else list(samples)
    targets = np.asarray(targets)
    expected = (len(samples),) if loss.distance is None else (len(samples), model.steps, model.units)
    if targets.shape != expected or not len(samples):
        kind = "a label each" if loss.distance is None else "traces (samples, steps, units)"
        raise InputError(
            f"{len(samples)} samples have targets of shape {targets.shape}, expected {kind}, {expected}, "
            f"for the loss {loss.name!r}"
        )
    return _Data(samples=samples, targets=targets)


def _split(
    model: Learner, method: _Method, data: _Data, validation: tuple[Iterable[Any], ArrayLike] | float | None
) -> tuple[_Data, _Data | None]:
    """What to train on, and what to validate with, which is encoded."""
    match validation:
        case None:
            return data, None
        case (samples, targets):
            return data, _data(model, samples, targets, method.loss, encoded=True)
        case int() | float():
            held = round(validation * len(data))
        case _:
            raise ParameterError(f"validation is a {type(validation).__name__}, expected (samples, targets) or a share")
    if not 0 < held < len(data):
        raise ParameterError(
            f"validation is {validation} of {len(data)} samples, expected a share that leaves some, as 0.1 may"
        )
    order = _chance(method.seed, 0).permutation(len(data))
    ours, theirs = data.part(np.sort(order[held:])), data.part(np.sort(order[:held]))
    return ours, theirs if method.augment is None else replace(theirs, samples=model.encode(theirs.samples))


# The work


class _Tally:
    """Sums over the minibatches of an epoch."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self._samples = 0
        self._loss = self._right = 0.0
        self._spikes: dict[str, float] = {}

    def add(self, targets: NDArray, loss: float, predictions: NDArray | None, counts: Mapping[str, NDArray]) -> None:
        self._samples += len(targets)
        self._loss += len(targets) * loss
        self._right += np.nan if predictions is None else np.count_nonzero(predictions == targets)
        for name, count in counts.items():
            self._spikes[name] = self._spikes.get(name, 0.0) + count.sum() / count.shape[1]

    @property
    def loss(self) -> float:
        return self._loss / self._samples

    @property
    def accuracy(self) -> float:
        return self._right / self._samples

    @property
    def spikes(self) -> dict[str, float]:
        return {name: total / self._samples for name, total in self._spikes.items()}

    def __str__(self) -> str:
        accuracy = "" if math.isnan(self.accuracy) else f"  accuracy {100 * self.accuracy:.1f} %"
        return f"loss {self.loss:.4g}{accuracy}  gradient {self.norms[-1]:.3g}"


def _epoch(
    model: Learner, method: _Method, data: _Data, held: _Data | None, at: Snapshot, tell: Callable[[str], None]
) -> Snapshot:
    """Each sample once, in an order of its own, and where the training stands then."""
    began_s = time.perf_counter()
    epoch, state, tally = len(at.history) + 1, at.state, _Tally()
    parts = _minibatches(_chance(method.seed, epoch).permutation(len(data)), method.batch)
    for number, chosen in enumerate(parts, start=1):
        with _placed(f"epoch {epoch}, batch {number} of {len(parts)}"):
            part = data.part(chosen)
            if method.augment is not None:
                part = replace(part, samples=_augmented(model, method, part.samples, chosen, epoch))
            state = _step(model, method, part, state, tally)
        tell(str(tally))
    numbers = {"loss": tally.loss, "accuracy": tally.accuracy}
    if held is not None:
        with _placed(f"epoch {epoch}, validation"):
            value, accuracy = model.evaluate(held.samples, held.targets, method.loss, method.batch)
        numbers |= {"validation_loss": value, "validation_accuracy": accuracy}
    numbers |= {"gradient_norm": float(np.mean(tally.norms)), "gradient_norm_max": max(tally.norms)}
    history = at.history.with_epoch({**numbers, "seconds": time.perf_counter() - began_s}, tally.spikes)
    parameters = _copies(model.parameters)
    best = parameters if history.best == epoch else at.best
    return Snapshot(parameters=parameters, best=best, state=state, history=history)


def _step(model: Learner, method: _Method, part: _Data, state: State, tally: _Tally) -> State:
    gradient = model.gradient(part.samples, part.targets, method.loss, method.regularisers)
    if not math.isfinite(gradient.value):
        raise InputError(f"the loss is {gradient.value}; lower the learning rate or clip gradients")
    gradients = gradient.gradients
    if method.clip is not None:
        gradients, _ = clip_by_norm(gradients, method.clip)
    _, state = method.optimiser.step(gradients, state, model.parameters, in_place=True)
    model.changed()
    tally.add(part.targets, gradient.value, gradient.predictions, gradient.counts)
    tally.norms.append(gradient.norm)
    return state


def _augmented(model: Learner, method: _Method, samples: list[Any], numbers: NDArray[np.int64], epoch: int) -> Any:
    # Sample k has stream 1 + k of the epoch: NumPy's generators of [seed, epoch] and [seed, epoch, 0] are the same.
    return model.encode(
        [
            method.augment(sample, _chance(method.seed, epoch, 1 + int(k)))
            for k, sample in zip(numbers, samples, strict=True)
        ]
    )


def _minibatches(order: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [order[first : first + size] for first in range(0, len(order), size)]


def _chance(*numbers: int) -> np.random.Generator:
    """Chance of a seed and an epoch is known without the epochs before, so that resuming needs no generator."""
    return np.random.default_rng(numbers)


def _exhausted(history: History, patience: int | None) -> bool:
    return patience is not None and len(history) - history.best >= patience


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Say where in a training something was wrong."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}; the model keeps what it learnt before this epoch") from error


def _copies(parameters: Mapping[str, NDArray]) -> dict[str, NDArray]:
    return {name: value.copy() for name, value in parameters.items()}


def _put(model: Learner, parameters: Mapping[str, NDArray]) -> None:
    for name, value in parameters.items():
        model.parameters[name][...] = value
    model.changed()


# Checks and the checkpoint


def _check_numbers(**numbers: tuple[int | None, int]) -> None:
    for name, (number, least) in numbers.items():
        if number is not None and (number != int(number) or number < least):
            raise ParameterError(f"{name} is {number}, expected a whole number, {least} or more")


def _checkpoint_path(checkpoint: str | os.PathLike[str] | None, resume: bool) -> Path | None:
    if checkpoint is None:
        if resume:
            raise ParameterError("resume goes on from a checkpoint; give checkpoint='training.h5'")
        return None
    path = Path(checkpoint)
    refuse_existing(path, overwrite=True)
    if path.exists() and not resume:
        raise OutputError(f"{path} exists; give resume=True to go on from it, or another name to start afresh")
    return path


def _text(value: object) -> str:
    """What a setting is, the same in every process: without the addresses of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _digest(data: _Data | None) -> str:
    if data is None:
        return "None"
    targets = np.ascontiguousarray(data.targets)
    return f"{targets.dtype} {targets.shape} sha256 {sha256(targets).hexdigest()[:16]}"
