"""Receptive fields by reverse correlation: which events, where and how long before, go with a spike.

The spike-triggered average (de Boer & Kuyper 1968; Chichilnisky 2001) of the events of a sensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Quantity, ms, second, us
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from dvs.events import EventArray, check_events
from snn.probes.arguments import chosen, time_s
from snn.probes.pictures import INK, colour_bar, in_ms, name_axes, prepare, two_sided
from snn.spikes import SpikeTrains

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class ReceptiveFields:
    """Events that go with a spike, beyond those that are there anyway.

    field: (neurons, lags, 2, height, width), polarity 0 = OFF, 1 = ON: events of the pixel in this bin of lag before
    a spike, on average over spikes, less `mean`. mean: (lags, 2, height, width), the same before any instant. lag:
    (lags,) middle of each bin. spikes: (neurons,) how many entered; a neuron without any has NaN. neurons: their
    numbers.
    """

    field: NDArray[np.float64]
    mean: NDArray[np.float64]
    lag: Quantity
    spikes: NDArray[np.int64]
    neurons: NDArray[np.int64]

    def plot(self, ax: "Axes | None" = None, *, neuron: int | None = None) -> "Axes":
        """The field of one neuron (by default the first): ON above OFF, time running towards the spike on the right."""
        from matplotlib.patches import Rectangle

        probed = np.flatnonzero(np.full(self.neurons.size, True) if neuron is None else self.neurons == neuron)
        if not probed.size:
            raise ParameterError(f"neuron {neuron} was not probed, expected one of {self.neurons.tolist()}")
        row = int(probed[0])
        lags, _, height, width = self.field.shape[1:]
        gap = max(1, round(0.08 * min(width, height)))
        sheet = np.full((2 * height + gap, lags * (width + gap) - gap), np.nan)
        for k in range(lags):
            left = (lags - 1 - k) * (width + gap)
            sheet[:height, left : left + width] = self.field[row, k, 1]
            sheet[height + gap :, left : left + width] = self.field[row, k, 0]
        inch = 8.6 / sheet.shape[1]
        ax = prepare(ax, 9.6, float(np.clip(sheet.shape[0] * inch + 0.7, 1.6, 7)), grid=False)
        ax.spines[:].set_visible(False)
        largest = np.max(np.abs(sheet), where=np.isfinite(sheet), initial=1e-9)
        image = ax.imshow(sheet, cmap=two_sided(), vmin=-largest, vmax=largest, interpolation="none")
        for left in range(0, sheet.shape[1], width + gap):
            for top in (0, height + gap):
                corner = (left - 0.5, top - 0.5)
                ax.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=INK, alpha=0.35, linewidth=0.6))
        ax.tick_params(length=0)
        ax.set_yticks([(height - 1) / 2, height + gap + (height - 1) / 2], ["ON", "OFF"])
        ax.set_xticks(
            (lags - 1 - np.arange(lags)) * (width + gap) + (width - 1) / 2,
            [f"{-lag:g}" for lag in in_ms(self.lag).round(2)],
        )
        colour_bar(ax, image, "events a spike")
        name_axes(ax, "time to the spike (ms)", "")
        return ax


def receptive_field(
    spikes: SpikeTrains,
    events: Sequence[EventArray],
    *,
    width: int,
    height: int,
    window: Quantity = 100 * ms,
    lags: int = 5,
    neurons: ArrayLike | slice | None = None,
) -> ReceptiveFields:
    """Receptive field of each neuron (or of some) from what it was shown and when it fired.

    events: one array (dtype of dvs.events) for each sample, t in microseconds from its beginning. window: how far
    before the spike to look, in `lags` bins [k, k + 1) window / lags. Spikes earlier than a whole window are left out.
    The mean is that before an instant drawn evenly from where spikes are used, so events and spikes that know nothing
    of each other leave a field of zero. Where events are independent and equally frequent at all pixels, the field of a
    linear-nonlinear neuron is its linear filter up to a factor (Chichilnisky 2001); elsewhere their correlations
    blur it.

    Time: O(events) for each neuron and lag. Raises `InputError` for events that do not fit, `ParameterError` for
    arguments out of range.
    """
    window_us = time_s(window, "window", positive=True) * 1e6
    if lags < 1 or lags != int(lags):
        raise ParameterError(f"lags is {lags}, expected a whole number of bins, 1 or more")
    duration_us = float(spikes.duration / second) * 1e6
    if window_us >= duration_us:
        raise ParameterError(f"window is {window}, expected less than the {spikes.duration} of a sample")
    if len(events) != spikes.samples:
        raise InputError(f"events of {len(events)} samples came with spikes of {spikes.samples}; give one array each")
    units = chosen(neurons, spikes.neurons, "neurons")
    edges_us = np.linspace(0, window_us, lags + 1)
    shape = (2, height, width)
    sample, event_us, pixel = _joined(events, width, height, duration_us)

    used_us = duration_us - window_us
    mean = np.empty((lags, *shape))
    for k in range(lags):
        begin_us = np.maximum(event_us + edges_us[k], window_us)
        end_us = np.minimum(event_us + edges_us[k + 1], duration_us)
        share = np.maximum(end_us - begin_us, 0) / used_us
        mean[k] = _on_the_grid(pixel, share, shape) / max(spikes.samples, 1)

    # One time for all: samples one after the other, so far apart that no window reaches into the one before.
    period_us = duration_us + window_us + 1
    event_us = event_us + sample * period_us
    # Events are at whole microseconds; so are spikes, but for the last digits of a float.
    spike_us = np.round(np.asarray(spikes.t / second) * 1e6, 3)
    used = spike_us >= window_us
    neuron = spikes.neuron[used]
    spike_us = (spike_us + spikes.sample * period_us)[used]
    count = np.bincount(neuron, minlength=spikes.neurons)[units]
    field = np.full((units.size, lags, *shape), np.nan)
    for row in np.flatnonzero(count):
        at_us = spike_us[neuron == units[row]]
        # Where in the events each edge of each window falls: the events of bin k are [place[k + 1], place[k]).
        place = [np.searchsorted(event_us, at_us - edge_us, side="right") for edge_us in edges_us]
        opened = [np.bincount(where, minlength=event_us.size + 1) for where in place]
        for k in range(lags):
            times_used = np.cumsum(opened[k + 1] - opened[k])[:-1]
            field[row, k] = _on_the_grid(pixel, times_used, shape) / count[row] - mean[k]
    return ReceptiveFields(
        field=field,
        mean=mean,
        lag=(edges_us[:-1] + edges_us[1:]) / 2 * us,
        spikes=count,
        neurons=units,
    )


def _joined(
    events: Sequence[EventArray], width: int, height: int, duration_us: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Sample, time and (polarity, y, x) as one number, of all events that fall in the samples."""
    columns = [(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))]
    for k, shown in enumerate(events):
        check_events(shown, width, height, f"events[{k}]")
        if shown.size and shown["t"][0] < 0:
            raise InputError(
                f"events[{k}] begin at {shown['t'][0]} us, expected 0 or later; count from the sample's start"
            )
        seen = shown[: np.searchsorted(shown["t"], duration_us)]
        pixel = (seen["p"].astype(np.int64) * height + seen["y"]) * width + seen["x"]
        columns.append((np.full(seen.size, k), seen["t"].astype(np.float64), pixel))
    sample, event_us, pixel = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return sample, event_us, pixel


def _on_the_grid(pixel: NDArray[np.int64], weight: NDArray, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Sum of the weights at each (polarity, y, x)."""
    return np.bincount(pixel, weight, minlength=int(np.prod(shape))).reshape(shape)
