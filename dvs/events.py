"""Events: the array that everything downstream of the sensor takes.

An event says that the light at pixel (x, y) rose (p = 1, ON) or fell (p = 0, OFF) by one
threshold at time t. Events are a NumPy structured array, sorted by time; the size of the
sensor and the span of time that was watched travel with them in a `Recording`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError

# p is a *signed* 0/1: a bool makes tonic's ToVoxelGrid count every event as +1, and -1/+1
# makes its ToFrame put everything into one channel. x and y are signed because transforms
# that shift events (CenterCrop with padding, SpatialJitter) pass through negative values.
EVENT_DTYPE = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "i1")])

EventArray = NDArray[np.void]

_PIECE = 1 << 14
_LONG = 1 << 18  # from here on loading Numba takes less time than it saves


def empty_events(count: int = 0) -> EventArray:
    """Uninitialised events, shape (count,); with no count, the value of "nothing happened"."""
    return np.empty(count, EVENT_DTYPE)


def make_events(x: ArrayLike, y: ArrayLike, t_us: ArrayLike, p: ArrayLike) -> EventArray:
    """Events from four columns of equal length; t in whole microseconds, p in {0, 1} or bool.

    >>> make_events([3, 4], [0, 0], [10, 25], [1, 0])["t"].tolist()
    [10, 25]
    """
    columns = {"x": x, "y": y, "t": t_us, "p": p}
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    lengths = {name: array.shape for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or arrays["t"].ndim != 1:
        raise InputError(f"event columns differ in shape: {lengths}; give four 1-D columns of one length")
    if arrays["t"].dtype.kind not in "iu" and arrays["t"].size:
        raise InputError(
            f"event times have dtype {arrays['t'].dtype}, expected whole microseconds; "
            "convert seconds with np.round(t * 1e6).astype(np.int64)"
        )
    polarities = arrays["p"]
    if polarities.size and polarities.dtype != bool and not np.isin(polarities, (0, 1)).all():
        raise InputError(
            f"polarities are {np.unique(polarities)[:5].tolist()}, expected 0 (OFF) and 1 (ON); "
            "turn -1/+1 into 0/1 with (p > 0)"
        )
    events = empty_events(arrays["t"].size)
    for name, array in arrays.items():
        limits = np.iinfo(EVENT_DTYPE[name])
        if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
            raise InputError(
                f"{name} goes from {array.min()} to {array.max()}, expected {limits.min} to {limits.max}; "
                "correct or leave out what lies outside"
            )
        events[name] = array
    return events


def join_events(parts: Sequence[EventArray], room: EventArray | None = None) -> EventArray:
    """The events of all parts, one after the other; in `room`, if there is one, which is as long as all of them."""
    room = empty_events(sum(part.size for part in parts)) if room is None else room
    # As raw bytes: NumPy copies packed records field by field, ten times slower.
    raw = [np.ascontiguousarray(part).view(np.uint8) for part in parts]
    if raw:
        np.concatenate(raw, out=room.view(np.uint8))
    return room


def check_events(events: EventArray, width: int, height: int, name: str = "events") -> EventArray:
    """The same events, or an `InputError` that names the first one that breaks the contract.

    Checked: the fields, times in order, coordinates on the sensor, polarities in {0, 1}.
    """
    if events.dtype.names is None or not {"x", "y", "t", "p"} <= set(events.dtype.names):
        raise InputError(
            f"{name} have dtype {events.dtype}, expected the fields x, y, t, p; "
            "build them with dvs.make_events(x, y, t_us, p)"
        )
    if events.ndim != 1:
        raise InputError(f"{name} have shape {events.shape}, expected one dimension")
    if events.size > _LONG and events.dtype == EVENT_DTYPE:
        from dvs.event_checks import keeps_contract

        if not keeps_contract(events, width, height):
            raise _first_offence(events, width, height, name)
        return events
    # Piece by piece, so that a piece is looked at while it is in the cache.
    for first in range(0, events.size, _PIECE):
        # One event of the piece in front, for the order of times.
        piece = events[max(first - 1, 0) : first + _PIECE]
        fine = (
            0 <= piece["x"].min() <= piece["x"].max() < width
            and 0 <= piece["y"].min() <= piece["y"].max() < height
            and 0 <= piece["p"].min() <= piece["p"].max() <= 1
            and (piece["t"][1:] >= piece["t"][:-1]).all()
        )
        if not fine:
            raise _first_offence(events, width, height, name)
    return events


def _first_offence(events: EventArray, width: int, height: int, name: str) -> InputError:
    for axis, size in (("x", width), ("y", height)):
        out = (events[axis] < 0) | (events[axis] >= size)
        if out.any():
            first = int(np.argmax(out))
            return InputError(
                f"{name}[{first}] has {axis} = {events[axis][first]}, outside the {width}x{height} sensor; "
                "give the right sensor size, or crop"
            )
    backwards = np.diff(events["t"]) < 0
    if backwards.any():
        first = int(np.argmax(backwards)) + 1
        return InputError(
            f"{name}[{first}] is at {events['t'][first]} us, before the event in front of it "
            f"({events['t'][first - 1]} us); sort with events[np.argsort(events['t'], kind='stable')]"
        )
    first = int(np.argmax((events["p"] != 0) & (events["p"] != 1)))
    return InputError(f"{name}[{first}] has polarity {events['p'][first]}, expected 0 (OFF) or 1 (ON)")


class Sliceable(ABC):
    """What a recording can be cut into; times are whole microseconds, and stay as they are."""

    width: int
    height: int
    start_us: int
    stop_us: int

    @abstractmethod
    def blocks(self) -> Iterator[EventArray]:
        """The events, in order of time."""

    @abstractmethod
    def between(self, start_us: int, stop_us: int) -> "Recording":
        """The part watched in [start_us, stop_us)."""

    @abstractmethod
    def _part(self, events: EventArray, start_us: int, stop_us: int) -> "Recording":
        """These events as a recording of the same sensor."""

    def __getitem__(self, span: slice) -> "Recording":
        """recording[t0:t1] is the part watched in [t0, t1) microseconds; recording[t0:] goes on to the end."""
        if not isinstance(span, slice) or span.step is not None:
            raise ParameterError(f"{span!r} came, expected a span of time in microseconds, as in recording[0:10_000]")
        start_us = self.start_us if span.start is None else _whole("the beginning", span.start)
        # The last event may be at the very end.
        stop_us = self.stop_us + 1 if span.stop is None else _whole("the end", span.stop)
        part = self.between(start_us, stop_us)
        return self._part(part.events, start_us, self.stop_us) if span.stop is None else part

    def by_time(self, step_us: int) -> Iterator["Recording"]:
        """One part after the other of step_us each, the last one as long as what is left; silent ones too."""
        if _whole("step_us", step_us) < 1:
            raise ParameterError(f"step_us is {step_us}, expected 1 or more")
        edge_us, waiting = self.start_us + step_us, empty_events()
        for block in self.blocks():
            waiting = join_events([waiting, block])
            while waiting.size and waiting["t"][-1] >= edge_us and edge_us < self.stop_us:
                cut = int(np.searchsorted(waiting["t"], edge_us))
                yield self._part(waiting[:cut], edge_us - step_us, edge_us)
                waiting, edge_us = waiting[cut:], edge_us + step_us
        while edge_us < self.stop_us:
            yield self._part(waiting, edge_us - step_us, edge_us)
            edge_us, waiting = edge_us + step_us, empty_events()
        yield self._part(waiting, edge_us - step_us, self.stop_us)

    def by_count(self, count: int) -> Iterator["Recording"]:
        """One part after the other of `count` events each, the last one of what is left.

        A part is watched from the end of the one before to its own last event.
        """
        if _whole("count", count) < 1:
            raise ParameterError(f"count is {count}, expected 1 or more")
        since_us, waiting = self.start_us, empty_events()
        for block in self.blocks():
            waiting = join_events([waiting, block])
            while waiting.size >= count:
                until_us = int(waiting["t"][count - 1])
                yield self._part(waiting[:count], since_us, until_us)
                waiting, since_us = waiting[count:], until_us
        if waiting.size:
            yield self._part(waiting, since_us, self.stop_us)


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording(Sliceable):
    """Events together with what they cannot say themselves.

    `start_us` and `stop_us` bound the time that was watched: a second without events is an
    observation too, and every rate is taken over this span. Without `stop_us` the span ends
    with the last event. `provenance` says where the events come from (parameters, version,
    seed, hash of the source) and is written into every file that can hold it.

    checked: whoever made the events has just proved what `check_events` would look for, as a
    decoder does word by word.
    """

    events: EventArray
    width: int
    height: int
    start_us: int = 0
    stop_us: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    checked: InitVar[bool] = False

    def __post_init__(self, checked: bool) -> None:
        if not checked:
            check_events(self.events, self.width, self.height)
        if self.events.size and int(self.events["t"][0]) < self.start_us:
            raise InputError(
                f"the first event is at {self.events['t'][0]} us, before start_us = {self.start_us}; "
                "give the time at which watching began"
            )
        last_us = int(self.events["t"][-1]) if self.events.size else self.start_us
        if self.stop_us is None:
            object.__setattr__(self, "stop_us", last_us)
        elif self.stop_us < last_us:
            raise InputError(
                f"the last event is at {last_us} us, after stop_us = {self.stop_us}; "
                "give the time at which watching ended"
            )

    def __repr__(self) -> str:
        """What is in it, in a line.

        >>> Recording(events=make_events([3, 3], [4, 4], [0, 2_764_212], [1, 0]), width=346, height=260)
        Recording: 2 events, 346x260, 2.76 s
        """
        sensor = self.provenance.get("sensor")
        name = sensor.get("name") if isinstance(sensor, Mapping) else sensor
        named = f", {name}" if name and isinstance(name, str) else ""
        length = f"{self.duration_s:.3g}" if self.duration_s < 100 else f"{self.duration_s:,.0f}"
        return f"Recording: {len(self):,} event{'s' * (len(self) != 1)}, {self.width}x{self.height}, {length} s{named}"

    def __len__(self) -> int:
        return self.events.size

    @property
    def duration_s(self) -> float:
        """Length of the watched span in seconds."""
        assert self.stop_us is not None
        return (self.stop_us - self.start_us) * 1e-6

    @property
    def sensor_size(self) -> tuple[int, int, int]:
        """(width, height, polarities): what tonic calls `sensor_size`."""
        return self.width, self.height, 2

    def blocks(self) -> Iterator[EventArray]:
        """The events, all at once, as a recording in a file has them one block after the other."""
        yield self.events

    def between(self, start_us: int, stop_us: int) -> "Recording":
        """The part watched in [start_us, stop_us); times are kept as they are."""
        if stop_us < start_us:
            raise InputError(f"the span ends at {stop_us} us, before it starts at {start_us} us")
        first, last = np.searchsorted(self.events["t"], [start_us, stop_us], side="left")
        return self._part(self.events[first:last], start_us, stop_us)

    def _part(self, events: EventArray, start_us: int, stop_us: int) -> "Recording":
        return replace(self, events=events, start_us=start_us, stop_us=stop_us, checked=True)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ParameterError(f"{name} is {value!r}, expected a whole number")
    return int(value)
