"""Spikes and states of many samples, as arrays: what a run leaves and a probe looks at."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from brian2 import Quantity, second
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeTrains:
    """Spikes of one population in one or many samples (trials): three columns of equal length S.

    sample: (S,) sample of each spike, rising. neuron: (S,) its neuron. t: (S,) its time in that sample, from 0, rising
    within a sample. `samples`, `neurons` and `duration` say what was watched: a silent neuron is an observation too.
    """

    sample: NDArray[np.int64]
    neuron: NDArray[np.int64]
    t: Quantity
    samples: int
    neurons: int
    duration: Quantity

    def __post_init__(self) -> None:
        sizes = {name: np.shape(getattr(self, name)) for name in ("sample", "neuron", "t")}
        if len(set(sizes.values())) != 1 or np.ndim(self.neuron) != 1:
            raise InputError(f"spike columns have shapes {sizes}; give three 1-D columns of one length")
        for name, count in (("sample", self.samples), ("neuron", self.neurons)):
            column = getattr(self, name)
            if column.size and not (column.min() >= 0 and column.max() < count):
                raise InputError(
                    f"spikes have {name} {column.min()} to {column.max()}, expected 0 to {count - 1}; "
                    f"give the right number of {name}s"
                )
        sample, t_s = self.sample, np.asarray(self.t)
        late = sample[1:] < sample[:-1]
        late |= (sample[1:] == sample[:-1]) & (t_s[1:] < t_s[:-1])
        if late.any():
            raise InputError(
                f"spike {int(np.argmax(late)) + 1} comes before the one in front of it; sort by sample, then by time"
            )

    def __len__(self) -> int:
        return self.neuron.size

    def counts(self) -> NDArray[np.int64]:
        """Spikes of each neuron in each sample, (samples, neurons)."""
        cell = self.sample * self.neurons + self.neuron
        return np.bincount(cell, minlength=self.samples * self.neurons).reshape(self.samples, self.neurons)

    def rates(self) -> Quantity:
        """Mean rate of each neuron in each sample, (samples, neurons)."""
        return self.counts() / self.duration

    def of_sample(self, sample: int) -> "SpikeTrains":
        """The spikes of one sample, as its only one."""
        if not 0 <= sample < self.samples:
            raise ParameterError(f"sample {sample} was asked for, expected 0 to {self.samples - 1}")
        first, last = np.searchsorted(self.sample, [sample, sample + 1])
        kept = self._where(slice(first, last))
        return replace(kept, sample=np.zeros_like(kept.sample), samples=1)

    def of_samples(self, samples: ArrayLike) -> "SpikeTrains":
        """The spikes of some samples (indices or a mask), which become samples 0, 1, ... in rising order."""
        chosen = np.unique(np.arange(self.samples)[np.asarray(samples)])
        kept = self._where(np.isin(self.sample, chosen))
        return replace(kept, sample=np.searchsorted(chosen, kept.sample), samples=chosen.size)

    def of_neurons(self, neurons: ArrayLike) -> "SpikeTrains":
        """The spikes of some neurons (indices or a mask); neurons keep their numbers."""
        chosen = np.arange(self.neurons)[np.asarray(neurons)]
        return self._where(np.isin(self.neuron, chosen))

    def between(self, start: Quantity, stop: Quantity) -> "SpikeTrains":
        """The spikes in [start, stop) of every sample; times are kept as they are."""
        return self._where((self.t >= start) & (self.t < stop))

    def _where(self, chosen: NDArray | slice) -> "SpikeTrains":
        return replace(self, sample=self.sample[chosen], neuron=self.neuron[chosen], t=self.t[chosen])


def spike_trains(i: ArrayLike, t: Quantity, *, neurons: int, duration: Quantity) -> SpikeTrains:
    """The spikes of one sample from neuron numbers and times in any order, as a SpikeMonitor has them in `.i`, `.t`.

    >>> from brian2 import ms
    >>> spike_trains([1, 0], [3, 2] * ms, neurons=2, duration=10 * ms).counts().tolist()
    [[1, 1]]
    """
    i, t = np.asarray(i, np.int64), Quantity(np.array(t / second), dim=second.dim)
    order = np.argsort(t / second, kind="stable")
    return SpikeTrains(
        sample=np.zeros(i.size, np.int64), neuron=i[order], t=t[order], samples=1, neurons=neurons, duration=duration
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Responses:
    """What a network did in many samples.

    spikes: of each recorded group. states: of each recorded group, its recorded variables, each (samples, steps,
    neurons), as they were at the end of the step. labels: (samples,) the class of each sample, or None.
    """

    spikes: Mapping[str, SpikeTrains]
    duration: Quantity
    dt: Quantity
    states: Mapping[str, Mapping[str, Quantity | NDArray]] = field(default_factory=lambda: MappingProxyType({}))
    labels: NDArray | None = None

    def __len__(self) -> int:
        return next(iter(self.spikes.values())).samples if self.spikes else 0

    def counts(self, group: str) -> NDArray[np.int64]:
        """Spikes of each neuron of a group in each sample, (samples, neurons)."""
        if group not in self.spikes:
            raise ParameterError(f"no spikes of {group!r} were recorded, only of {sorted(self.spikes)}")
        return self.spikes[group].counts()
