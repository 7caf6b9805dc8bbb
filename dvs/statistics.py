"""Statistics of events: how many, where, when, and how alike two recordings are.

Everything that has to see the events one after another is gathered by an `Accumulator`, in one
pass and in memory that does not grow with the recording, so a film of hours is summarised
while it is converted. Every function that takes a `Source` accepts it in place of a recording.
The sums are whole numbers: how the events were cut into chunks cannot show in the result.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from dvs.events import EventArray, Recording, Sliceable, check_events, empty_events

# Lower edges of the histogram of intervals: ten a decade from 10 us to 28 hours, rounded to
# whole microseconds because intervals are whole too; the last bin is open.
INTERVAL_EDGES_US = np.concatenate([[0], np.round(10.0 ** np.arange(1, 11.01, 0.1))]).astype(np.int64)

FINEST_BIN_US = 1000
RATE_BINS = 1024

_NEVER_US = np.iinfo(np.int64).min
_SLICE = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Accumulator:
    """What the statistics remember of the events that went by; advanced by `advance`.

    `counts` (2, height, width) are OFF and ON events per pixel, `last_us` and `last_p`
    (height, width) the latest event of each pixel. `interval_counts` is the histogram of the times
    between successive events of a pixel over `INTERVAL_EDGES_US`, `flips` how many of those
    pairs changed polarity. `bin_counts` (2, RATE_BINS) are OFF and ON events in bins of `bin_us`
    from `start_us` on. Bins pair up whenever they run out, so `bin_us` is the smallest
    1000 * 2**k that covers the span.
    """

    width: int
    height: int
    start_us: int
    stop_us: int
    counts: NDArray[np.int64]
    last_us: NDArray[np.int64]
    last_p: NDArray[np.int8]
    interval_counts: NDArray[np.int64]
    flips: int
    bin_us: int
    bin_counts: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.counts.sum())

    @property
    def duration_s(self) -> float:
        """Length of the span watched so far, in seconds."""
        return (self.stop_us - self.start_us) * 1e-6


Source = Sliceable | Accumulator


def begin(width: int, height: int, start_us: int = 0) -> Accumulator:
    """An accumulator that has seen nothing yet of a width x height sensor watched from start_us on."""
    return Accumulator(
        width=width,
        height=height,
        start_us=start_us,
        stop_us=start_us,
        counts=np.zeros((2, height, width), np.int64),
        last_us=np.full((height, width), _NEVER_US, np.int64),
        last_p=np.zeros((height, width), np.int8),
        interval_counts=np.zeros(INTERVAL_EDGES_US.size, np.int64),
        flips=0,
        bin_us=FINEST_BIN_US,
        bin_counts=np.zeros((2, RATE_BINS), np.int64),
    )


def advance(accumulator: Accumulator, events: EventArray, until_us: int | None = None) -> Accumulator:
    """The accumulator after the next events, watched up to until_us or the last event if later.

    Raises `InputError` for events that are off the sensor, out of order, or before those seen.

    >>> from dvs.events import make_events
    >>> seen = advance(begin(4, 3), make_events([1, 1], [2, 2], [100, 350], [1, 0]), until_us=1_000)
    >>> len(seen), seen.flips, seen.counts[1, 2, 1].item()
    (2, 1, 1)
    """
    check_events(events, accumulator.width, accumulator.height)
    seen_us = max(int(accumulator.last_us.max()), accumulator.start_us)
    if events.size and events["t"][0] < seen_us:
        raise InputError(
            f"the next events begin at {events['t'][0]} us, before {seen_us} us, up to where events were "
            "seen; begin at start_us and give the chunks in order of time"
        )
    last_us = int(events["t"][-1]) if events.size else seen_us
    if until_us is None:
        until_us = last_us
    return _advance(accumulator, events, max(last_us, accumulator.stop_us, until_us))


def accumulate(recording: Sliceable) -> Accumulator:
    """The accumulator that has seen a whole recording, in memory or in a file."""
    accumulator = begin(recording.width, recording.height, recording.start_us)
    for block in recording.blocks():
        for first in range(0, block.size, _SLICE):
            events = block[first : first + _SLICE]
            accumulator = _advance(accumulator, events, int(events["t"][-1]))
    return _advance(accumulator, empty_events(), _stop_us(recording))


def _advance(accumulator: Accumulator, events: EventArray, stop_us: int) -> Accumulator:
    shape = accumulator.counts.shape
    pixel, t_us, p = _columns(events, accumulator.width)
    last_us, last_p = accumulator.last_us.copy(), accumulator.last_p.copy()
    before_us = _exchange(last_us.reshape(-1), pixel, t_us)
    before_p = _exchange(last_p.reshape(-1), pixel, p)
    again = before_us != _NEVER_US
    bin_us, bin_counts = accumulator.bin_us, accumulator.bin_counts
    while (stop_us - accumulator.start_us) // bin_us >= RATE_BINS:
        paired = bin_counts.reshape(2, -1, 2).sum(axis=2)
        bin_us, bin_counts = 2 * bin_us, np.concatenate([paired, np.zeros_like(paired)], axis=1)
    time_bin = (t_us - accumulator.start_us) // bin_us
    counted = np.bincount(p * np.int64(shape[1] * shape[2]) + pixel, minlength=accumulator.counts.size)
    binned = np.bincount(p * np.int64(RATE_BINS) + time_bin, minlength=bin_counts.size)
    return replace(
        accumulator,
        stop_us=stop_us,
        counts=accumulator.counts + counted.reshape(shape),
        last_us=last_us,
        last_p=last_p,
        interval_counts=accumulator.interval_counts + _interval_counts(t_us[again] - before_us[again]),
        flips=accumulator.flips + int(np.count_nonzero(again & (before_p != p))),
        bin_us=bin_us,
        bin_counts=bin_counts + binned.reshape(bin_counts.shape),
    )


def _columns(events: EventArray, width: int) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int8]]:
    """(pixel number, t in us, p) of the events, each contiguous."""
    pixel = events["y"].astype(np.int32) * width + events["x"]
    return pixel, np.ascontiguousarray(events["t"]), np.ascontiguousarray(events["p"])


@njit(cache=True)
def _exchange(memory: NDArray, cell: NDArray, value: NDArray) -> NDArray:
    """Puts each value into its cell in turn; returns what stood there, as long as value."""
    before = np.empty_like(value)
    for i in range(cell.size):
        before[i] = memory[cell[i]]
        memory[cell[i]] = value[i]
    return before


def _interval_counts(intervals_us: NDArray[np.int64]) -> NDArray[np.int64]:
    bins = np.searchsorted(INTERVAL_EDGES_US, intervals_us, side="right") - 1
    return np.bincount(bins, minlength=INTERVAL_EDGES_US.size)


def _stop_us(source: Source) -> int:
    assert source.stop_us is not None  # a Recording fills it in
    return source.stop_us


# How many, and where


def count_map(source: Source, polarity: int | None = None) -> NDArray[np.int64]:
    """Events per pixel, (height, width); of one polarity (1 ON, 0 OFF) if given."""
    _check_polarity(polarity)
    if isinstance(source, Accumulator):
        return source.counts.sum(axis=0) if polarity is None else source.counts[polarity]
    pixel, _, _ = _columns(_of_polarity(source.events, polarity), source.width)
    counted = np.bincount(pixel, minlength=source.width * source.height)
    return counted.reshape(source.height, source.width)


def _check_polarity(polarity: int | None) -> None:
    if polarity not in (None, 0, 1):
        raise ParameterError(f"polarity = {polarity!r}; give 1 for ON, 0 for OFF, or None for both")


def _of_polarity(events: EventArray, polarity: int | None) -> EventArray:
    return events if polarity is None else events[events["p"] == polarity]


def signed_map(source: Source) -> NDArray[np.int64]:
    """ON minus OFF events per pixel, (height, width)."""
    return count_map(source, 1) - count_map(source, 0)


def rate_hz(source: Source) -> float:
    """Events a second of the whole sensor over the watched span; 0 where nothing happened.

    Raises `InputError` for events without a span of time.
    """
    if len(source) == 0:
        return 0.0
    if source.duration_s == 0:
        raise InputError(f"{len(source)} events in a span of 0 us have no rate; give the recording its stop_us")
    return len(source) / source.duration_s


def rate_per_pixel_hz(source: Source) -> float:
    """Events a second of the average pixel."""
    return rate_hz(source) / (source.width * source.height)


def on_share(source: Source) -> float:
    """Share of the events that are ON, in [0, 1]; 0 where there are none."""
    return int(count_map(source, 1).sum()) / max(len(source), 1)


def count_ratio(a: Source, b: Source) -> float:
    """Events of a for each event of b: 1 where both are silent, inf where only b is."""
    if len(b) == 0:
        return 1.0 if len(a) == 0 else np.inf
    return len(a) / len(b)


def hot_pixels(source: Source, false_alarms: float = 0.01, ratio: float = 5.0) -> NDArray[np.bool_]:
    """Pixels that fire for no reason of the scene, bool (height, width).

    A global bound on the count (mean + 5 sd, as published rules have it) takes every moving edge
    for hot. But the optics and an edge, being a line, always drive neighbours too, so a
    pixel is judged by the 5 x 5 pixels around it, and called hot when both hold:

    * chance cannot explain it. Given its count k and the m events of its n neighbours, all
      firing at one rate, k is binomial(k + m, 1 / (n + 1)): the exact test of two Poisson counts
      (Przyborowski & Wilenski 1940). The bound makes `false_alarms` pixels a recording on average.
    * it fires more than `ratio` times as often as its second busiest neighbour. A line crosses
      two neighbours at least, so an edge is not hot, while two hot pixels side by side are;
      and `ratio` is more than the leak and the thresholds of sound pixels differ.

    A flickering point of light (a star) looks the same.
    """
    from scipy.special import betainc

    if not 0 < false_alarms < source.width * source.height:
        raise ParameterError(f"false_alarms = {false_alarms}; give a number of pixels above 0, such as 0.01")
    if ratio < 1:
        raise ParameterError(f"ratio = {ratio}; give at least 1")
    counts = count_map(source)
    height, width = counts.shape
    around = np.pad(counts, 2)
    there = np.pad(np.ones_like(counts), 2)
    busiest, second, total, neighbours = (np.zeros_like(counts) for _ in range(4))
    for dy, dx in np.ndindex(5, 5):
        if (dy, dx) == (2, 2):
            continue
        neighbour = around[dy : dy + height, dx : dx + width]
        second = np.maximum(second, np.minimum(busiest, neighbour))
        busiest = np.maximum(busiest, neighbour)
        total += neighbour
        neighbours += there[dy : dy + height, dx : dx + width]
    hot = counts > ratio * second
    k, m, n = counts[hot], total[hot], neighbours[hot]
    # P(K >= k) of the binomial, as a regularised incomplete beta function.
    hot[hot] = betainc(k, m + 1, 1 / (n + 1)) < false_alarms / hot.size
    return hot


# When


def rate_over_time(recording: Recording, bin_us: int, polarity: int | None = None) -> NDArray[np.float64]:
    """Events a second in successive bins of bin_us from start_us on, (bins,).

    The last bin ends with the recording and is divided by its own, shorter length.
    """
    if bin_us < 1:
        raise ParameterError(f"bin_us = {bin_us}; give a bin of at least 1 us")
    _check_polarity(polarity)
    stop_us = _stop_us(recording)
    edges_us = np.append(np.arange(recording.start_us, stop_us, bin_us), stop_us)
    if edges_us.size == 1:
        return np.zeros(0)
    counts, _ = np.histogram(_of_polarity(recording.events, polarity)["t"], edges_us)
    return counts / np.diff(edges_us) * 1e6


def inter_event_intervals_us(recording: Recording, same_polarity: bool = False) -> NDArray[np.int64]:
    """Times from each event to the one before it at the same pixel, pooled over the pixels, (n,).

    In the order of the later events. With `same_polarity`, the event before it of its polarity.
    """
    pixel, t_us, p = _columns(recording.events, recording.width)
    cell = 2 * pixel + p if same_polarity else pixel
    before_us = _exchange(np.full(2 * recording.width * recording.height, _NEVER_US), cell, t_us)
    again = before_us != _NEVER_US
    return t_us[again] - before_us[again]


def interval_quantiles(recording: Recording) -> NDArray[np.float64]:
    """Where each interval lies in the distribution it has at a Poisson pixel, (events,) in [0, 1].

    Uniform when every pixel fires as a Poisson process of a constant rate of its own. Pooled
    raw intervals are not exponential then: rates differ, and a short recording has no room for
    long intervals. Given its number of events, the events of a Poisson pixel are a
    uniform sample of the span. So, with m events to come in the remaining span R, the
    interval s to the next has P(S <= s) = 1 - (1 - s / R)**m, whatever the rate, and
    independently of those before it (Rosenblatt 1952). The first interval counts from start_us.
    """
    pixel, t_us, _ = _columns(recording.events, recording.width)
    t_us = t_us[np.argsort(pixel, kind="stable")]
    counts = count_map(recording).ravel()
    past = np.cumsum(counts)
    to_come = np.repeat(past, counts) - np.arange(t_us.size)
    before_us = np.roll(t_us, 1)
    before_us[(past - counts)[counts > 0]] = recording.start_us
    remaining_us = np.maximum(_stop_us(recording) - before_us, 1)
    return 1 - (1 - (t_us - before_us) / remaining_us) ** to_come


def polarity_flips(source: Source) -> float:
    """Share of successive events of a pixel that change polarity, in [0, 1]; 0 where there are none.

    An edge that passes makes runs of one polarity, independent coins flip half the time, and
    flicker flips more.
    """
    seen = source if isinstance(source, Accumulator) else accumulate(source)
    return seen.flips / max(int(seen.interval_counts.sum()), 1)


# How alike


def temporal_correlation(a: Recording, b: Recording, bin_us: int) -> float:
    """Pearson's r of the events in bins of bin_us over the span that both recordings watched.

    0 where one of them does not vary. Raises `InputError` where the spans do not share two bins.
    """
    if bin_us < 1:
        raise ParameterError(f"bin_us = {bin_us}; give a bin of at least 1 us")
    start_us = max(a.start_us, b.start_us)
    edges = np.arange(start_us, min(_stop_us(a), _stop_us(b)) + 1, bin_us)
    if edges.size < 3:
        raise InputError(
            f"recordings of {a.start_us}..{a.stop_us} us and {b.start_us}..{b.stop_us} us share fewer "
            f"than two bins of {bin_us} us; shift one in time, or give a smaller bin_us"
        )
    counts = [np.histogram(one.events["t"], edges)[0] for one in (a, b)]
    return _pearson(*counts)


def spatial_correlation(a: Source, b: Source, sigma_px: float = 1.0, signed: bool = False) -> float:
    """Pearson's r of the two count maps, or of the signed maps, blurred with a Gaussian.

    The blur of `sigma_px` pixels forgives an event one pixel off. 0 where a map is constant.
    Raises `InputError` where the sensors differ in size.
    """
    from scipy.ndimage import gaussian_filter

    if (a.width, a.height) != (b.width, b.height):
        raise InputError(
            f"the first sensor is {a.width}x{a.height}, the second {b.width}x{b.height}; "
            "maps of one size are needed: crop or downsample one recording"
        )
    if sigma_px < 0:
        raise ParameterError(f"sigma_px = {sigma_px}; give 0 for no blur, or a width in pixels")
    of = signed_map if signed else count_map
    return _pearson(*(gaussian_filter(of(one).astype(np.float64), sigma_px) for one in (a, b)))


def _pearson(a: NDArray, b: NDArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 0 else 0.0


# In short


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The numbers of a recording; shares are in [0, 1] and rates are over the watched span.

    `active_share` of the pixels fired at all. `median_interval_us`, between successive events of
    a pixel, is interpolated in a histogram of ten bins a decade; None where no pixel fired twice.
    """

    width: int
    height: int
    duration_s: float
    events: int
    rate_hz: float
    rate_per_pixel_hz: float
    on_share: float
    active_share: float
    polarity_flips: float
    median_interval_us: float | None
    hot_pixels: int

    def to_dict(self) -> dict[str, int | float | None]:
        """The fields by name, as JSON takes them."""
        return asdict(self)


def summary(source: Source) -> Summary:
    """The summary of a recording, or of what an accumulator has seen."""
    seen = source if isinstance(source, Accumulator) else accumulate(source)
    return Summary(
        width=seen.width,
        height=seen.height,
        duration_s=seen.duration_s,
        events=len(seen),
        rate_hz=rate_hz(seen),
        rate_per_pixel_hz=rate_per_pixel_hz(seen),
        on_share=on_share(seen),
        active_share=float((count_map(seen) > 0).mean()),
        polarity_flips=polarity_flips(seen),
        median_interval_us=_median_interval_us(seen.interval_counts),
        hot_pixels=int(hot_pixels(seen).sum()),
    )


def _median_interval_us(interval_counts: NDArray[np.int64]) -> float | None:
    total = int(interval_counts.sum())
    if total == 0:
        return None
    upper = np.cumsum(interval_counts)
    middle = int(np.searchsorted(upper, total / 2))
    below = upper[middle] - interval_counts[middle]
    lower_edge, upper_edge = INTERVAL_EDGES_US[[middle, min(middle + 1, INTERVAL_EDGES_US.size - 1)]]
    return float(lower_edge + (upper_edge - lower_edge) * (total / 2 - below) / interval_counts[middle])
