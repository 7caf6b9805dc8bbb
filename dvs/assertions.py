"""Assertions on recordings, for tests: each says what it found, what was asked, and where.

`events` may be a `Recording` or a bare array of events; a bare array is taken as watched from
0 us to its last event, by a sensor just large enough.
"""

import numpy as np

from dvs import statistics
from dvs.events import EventArray, Recording, empty_events


def assert_event_rate(events: Recording | EventArray, expected_hz: float, rtol: float = 0.1) -> None:
    """The whole sensor makes expected_hz events a second, within the share rtol of that."""
    __tracebackhide__ = True
    recording = _recording(events)
    rate_hz = statistics.rate_hz(recording)
    if abs(rate_hz - expected_hz) > rtol * expected_hz:
        raise AssertionError(
            f"event rate is {rate_hz:.6g} Hz, expected {expected_hz:.6g} Hz within {rtol:.3g} of it"
            f"{_change(rate_hz, expected_hz)}: {_described(recording)}"
        )


def assert_on_share(events: Recording | EventArray, expected: float, atol: float = 0.05) -> None:
    """The share of ON events is `expected`, within atol."""
    __tracebackhide__ = True
    recording = _recording(events)
    share = statistics.on_share(recording)
    if len(recording) == 0 or abs(share - expected) > atol:
        raise AssertionError(
            f"share of ON events is {share:.4g}, expected {expected:.4g} within {atol:.3g}: {_described(recording)}"
        )


def assert_silent(events: Recording | EventArray) -> None:
    """Nothing happened."""
    __tracebackhide__ = True
    recording = _recording(events)
    if len(recording):
        first = _event(recording.events[0])
        raise AssertionError(f"expected silence, found {_described(recording)}; the first is {first}")


def assert_same_events(a: Recording | EventArray, b: Recording | EventArray, tolerance_us: int = 0) -> None:
    """Both hold the same events; their times may differ by tolerance_us.

    The n-th ON event of a pixel in a is compared to its n-th ON event in b, and so for OFF, so
    the order of events at one time is free.
    """
    __tracebackhide__ = True
    ours, theirs = (_recording(one).events for one in (a, b))
    ours, theirs = (one[np.lexsort((one["t"], one["p"], one["x"], one["y"]))] for one in (ours, theirs))
    compared = min(ours.size, theirs.size)
    place = ["x", "y", "p"]
    moved = np.any([ours[field][:compared] != theirs[field][:compared] for field in place], axis=0)
    if ours.size != theirs.size or moved.any():
        first = int(np.argmax(moved)) if moved.any() else compared
        raise AssertionError(
            f"a has {ours.size} events and b has {theirs.size}; sorted by pixel, polarity and time the first "
            f"to differ in place or number is {_event_at(ours, first)} in a, {_event_at(theirs, first)} in b"
        )
    late_us = np.abs(ours["t"] - theirs["t"])
    if late_us.size and late_us.max() > tolerance_us:
        worst = int(np.argmax(late_us))
        raise AssertionError(
            f"{np.count_nonzero(late_us > tolerance_us)} of {ours.size} events differ by more than "
            f"{tolerance_us} us; the worst is {_event(ours[worst])} in a, at {theirs['t'][worst]} us in b "
            f"({late_us[worst]} us apart)"
        )


def assert_intervals_exponential(events: Recording | EventArray, p_value: float = 0.001) -> None:
    """Every pixel fires as a Poisson process with a constant rate of its own.

    The Kolmogorov-Smirnov test on `dvs.statistics.interval_quantiles`; a sound recording fails
    once in 1 / p_value times, so fix the seed.
    """
    from scipy.stats import kstest

    __tracebackhide__ = True
    recording = _recording(events)
    if len(recording) == 0:
        raise AssertionError("there are no events, so no intervals to test; record for longer")
    result = kstest(statistics.interval_quantiles(recording), "uniform")
    if result.pvalue < p_value:
        side = "short" if result.statistic_sign > 0 else "long"
        raise AssertionError(
            f"intervals are not exponential: too many {side} ones (Kolmogorov-Smirnov distance "
            f"{result.statistic:.3g} at quantile {result.statistic_location:.3g}, p = {result.pvalue:.2g} "
            f"below {p_value:g}): {_described(recording)}"
        )


def assert_no_hot_pixels(events: Recording | EventArray, false_alarms: float = 0.01, ratio: float = 5.0) -> None:
    """No pixel fires far beyond its neighbours, by the rule of `dvs.statistics.hot_pixels`."""
    __tracebackhide__ = True
    recording = _recording(events)
    hot = statistics.hot_pixels(recording, false_alarms, ratio)
    if hot.any():
        counts = statistics.count_map(recording) * hot
        loudest = np.argsort(counts, axis=None)[::-1][: min(5, hot.sum())]
        places = (np.unravel_index(cell, hot.shape) for cell in loudest)
        listed = ", ".join(f"({x}, {y}) with {counts[y, x]} events" for y, x in places)
        raise AssertionError(f"{hot.sum()} hot pixels, expected none; the loudest at (x, y): {listed}")


def assert_spatial_correlation(
    a: Recording, b: Recording, at_least: float, sigma_px: float = 1.0, signed: bool = False
) -> None:
    """The blurred count maps (or signed maps) of a and b correlate by Pearson's r >= at_least."""
    __tracebackhide__ = True
    r = statistics.spatial_correlation(a, b, sigma_px, signed)
    if r < at_least:
        maps = "signed maps" if signed else "count maps"
        raise AssertionError(
            f"the {maps}, blurred by {sigma_px:g} px, correlate with r = {r:.4f}, expected at least "
            f"{at_least:g}; a is {_described(a)}, b is {_described(b)}"
        )


def _recording(events: Recording | EventArray) -> Recording:
    if isinstance(events, Recording):
        return events
    if events.size == 0:
        return Recording(events=empty_events(), width=1, height=1)
    return Recording(events=events, width=int(events["x"].max()) + 1, height=int(events["y"].max()) + 1)


def _described(recording: Recording) -> str:
    on = int(np.count_nonzero(recording.events["p"]))
    return f"{len(recording)} events ({on} ON, {len(recording) - on} OFF) in {recording.duration_s:.6g} s"


def _change(found: float, expected: float) -> str:
    return f" ({100 * (found / expected - 1):+.3g} %)" if expected else ""


def _event(event: np.void) -> str:
    return f"{'ON' if event['p'] else 'OFF'} at ({event['x']}, {event['y']}), {event['t']} us"


def _event_at(events: EventArray, index: int) -> str:
    return _event(events[index]) if index < events.size else "missing"
