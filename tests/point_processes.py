"""Spikes whose statistics are known, for the tests of probes."""

import numpy as np
from brian2 import ms, second

from snn.spikes import SpikeTrains


def trains(rows, *, samples, neurons, duration=100 * ms):
    """Spikes from rows (sample, neuron, time in ms) in any order."""
    sample, t_ms, neuron = np.array(sorted((s, t, n) for s, n, t in rows)).reshape(-1, 3).T
    return SpikeTrains(
        sample=sample.astype(np.int64), neuron=neuron.astype(np.int64), t=t_ms * ms,
        samples=samples, neurons=neurons, duration=duration,
    )  # fmt: skip


def poisson(rate_hz, duration=100 * ms, seed=0, start=0 * ms):
    """Each neuron of each sample a Poisson process of its rate (samples, neurons), from `start` on."""
    rng = np.random.default_rng(seed)
    start_s, span_s = float(start / second), float((duration - start) / second)
    counts = rng.poisson(np.asarray(rate_hz) * span_s)
    sample, neuron = (np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices(counts.shape))
    t_s = start_s + rng.random(sample.size) * span_s
    order = np.lexsort((t_s, sample))
    return SpikeTrains(
        sample=sample[order], neuron=neuron[order], t=t_s[order] * second,
        samples=counts.shape[0], neurons=counts.shape[1], duration=duration,
    )  # fmt: skip


SILENT = trains([], samples=3, neurons=2)
NO_SAMPLES = trains([], samples=0, neurons=2)
