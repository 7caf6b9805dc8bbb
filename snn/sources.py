"""Where events come from, as chunks: recordings, files, live emulators, a world that is watched.

A chunk is (events, until_us, timing): events in order, all later ones at until_us or after, and how their times fall
on the steps of the network. A source is a function of the moment at which it begins.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
from brian2 import Quantity, us
from numpy.typing import NDArray

from dvs.emulator import Batch, Settings, advance, start
from dvs.errors import InputError
from dvs.events import EventArray, Recording, check_events, empty_events
from dvs.files.recording_file import RecordingFile
from dvs.frames import frames_from_array
from dvs.luminance import Encoding
from snn.binning import Timing
from snn.channels import Channels

Chunks = Iterable[tuple[EventArray, float, Timing]]
# What is shown begins when the next step is run: only then is it known which one that is.
Begin = Callable[[Timing], Chunks]

# Events looked at together: enough for vector code, few beside any network.
_CHUNK = 1 << 18


def nothing(now: Timing) -> Chunks:
    """No event, ever."""
    return ()


def once(begin: Begin) -> Begin:
    """A beginning that there is only once."""
    left = [begin]

    def begin_once(now: Timing) -> Chunks:
        if not left:
            raise InputError("a live source cannot be seen again from its beginning; show it anew")
        return left.pop()(now)

    return begin_once


def recorded(
    recording: Recording | RecordingFile, later_us: float, speed: float, repeat: int | None, now: Timing
) -> Chunks:
    """A recording `later_us` after now, `speed` times as fast, `repeat` times (None: for ever)."""
    timing = replace(now, start_us=recording.start_us, offset_us=now.offset_us + later_us, speed=speed)
    period_us = (recording.stop_us - recording.start_us) / speed
    for k in itertools.count() if repeat is None else range(repeat):
        shifted = replace(timing, offset_us=timing.offset_us + k * period_us)
        if isinstance(recording, Recording):
            events = recording.events
            blocks = (events[first : first + _CHUNK] for first in range(0, events.size, _CHUNK))
        else:
            blocks = recording.blocks()
        for block in blocks:
            yield block, float(block["t"][-1]), shifted
        if k != (repeat or 0) - 1:
            yield empty_events(), float(recording.stop_us), shifted
    yield empty_events(), np.inf, timing


def live(
    source: Iterator[Batch] | Iterator[EventArray], later_us: float, speed: float, channels: Channels, now: Timing
) -> Chunks:
    """Events as they come from an iterator, checked as they come."""
    timing = replace(now, offset_us=now.offset_us + later_us, speed=speed)
    until_us = -np.inf
    for item in source:
        events, later_ones_us = (item.events, item.until_us) if isinstance(item, Batch) else (item, None)
        check_events(events, channels.width, channels.height)
        if events.size and events["t"][0] < until_us:
            raise InputError(
                f"a live source sent an event at {events['t'][0]} us after one at {until_us:g} us; send them in order"
            )
        if events.size or later_ones_us is not None:
            until_us = float(events["t"][-1]) if later_ones_us is None else later_ones_us
            yield events, until_us, timing
    yield empty_events(), np.inf, timing


def watched(
    see: Callable[[Quantity], NDArray],
    settings: Settings,
    every_us: float,
    encoding: Encoding | None,
    check_size: Callable[[int, int], None],
    now: Timing,
) -> Chunks:
    """What an emulated camera sees of a world that is drawn when it is looked at, one frame interval later."""
    pictures = (see(k * every_us * us) for k in itertools.count())
    frames = frames_from_array(pictures, fps=1e6 / every_us, encoding=encoding, name="the world")
    check_size(frames.width, frames.height)
    timing = replace(now, offset_us=now.offset_us + every_us)
    state = None
    for t_us, frame in frames:
        if state is None:
            state, events = start(settings, frames.encoding, t_us, frame), empty_events()
        else:
            events, state = advance(settings, frames.encoding, state, [t_us], frame[None])
        yield events, t_us, timing
