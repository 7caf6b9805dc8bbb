"""What travels beside the events in a file, as whole numbers and one string.

`width`, `height`, `start_us`, `stop_us` and `provenance` (JSON): the same five names in every
format that can hold them. A file that lacks some is completed from its events.
"""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.errors import InputError
from dvs.events import EVENT_DTYPE, EventArray, Recording, make_events

Attributes = Mapping[str, int | str]
AXES = (("x", "width"), ("y", "height"))
LIMITS = {
    **dict.fromkeys(("width", "height"), (1, 2**15 - 1)),
    **dict.fromkeys(("start_us", "stop_us"), (-(2**63), 2**63 - 1)),
}
ATTRIBUTES = ("width", "height", "start_us", "stop_us", "provenance")


def pack_attributes(recording: Recording) -> Attributes:
    """The five attributes of a recording."""
    assert recording.stop_us is not None
    return {
        "width": int(recording.width),
        "height": int(recording.height),
        "start_us": int(recording.start_us),
        "stop_us": int(recording.stop_us),
        "provenance": json.dumps(dict(recording.provenance), default=_plain),
    }


def stated(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the five attributes that a file holds, in whatever form: whole numbers, and provenance as a mapping.

    Raises `InputError` for what no recording has, as a sensor without pixels.
    """
    known: dict[str, Any] = {
        name: _whole(name, attributes[name], *limits) for name, limits in LIMITS.items() if name in attributes
    }
    if known.get("start_us", 0) > known.get("stop_us", 2**63):
        raise InputError(f"it ends at {known['stop_us']} us, before it starts at {known['start_us']} us; it is damaged")
    if "provenance" in attributes:
        known["provenance"] = json.loads(str(attributes["provenance"]))
        if not isinstance(known["provenance"], Mapping):
            raise InputError(f"its provenance is {known['provenance']!r:.40}, expected a JSON object; it is damaged")
    return known


def _whole(name: str, value: Any, low: int, high: int) -> int:
    """A number, which files hold as text, as a float or as an array of one, too."""
    try:
        item = np.asarray(value).item()
        number = int(item)
        if low <= number <= high and (isinstance(item, str | bytes) or number == item):
            return number
    except (ValueError, TypeError, OverflowError):
        pass  # no number at all
    raise InputError(f"its {name} is {value!s:.40}, expected a whole number from {low} to {high}; it is damaged")


def _plain(value: object) -> object:
    """A value JSON lacks, in its nearest form: a note that is less exact beats hours of lost work."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)


def events_from_columns(x: NDArray[Any], y: NDArray[Any], t_us: NDArray[Any], p: NDArray[Any]) -> EventArray:
    """Four columns of shape (N,), as a file holds them, as events in the order of the file.

    Polarities may be 0/1, -1/+1 or bool. Raises `InputError` for numbers that are no events.
    """
    for name, column in {"x": x, "y": y, "t": t_us, "p": p}.items():
        limits = np.iinfo(EVENT_DTYPE[name])
        if column.dtype.kind not in "iub":
            raise InputError(f"column {name} has dtype {column.dtype}, expected whole numbers")
        if column.size and not (limits.min <= column.min() and column.max() <= limits.max):
            raise InputError(
                f"column {name} goes from {column.min()} to {column.max()}, "
                f"expected numbers from {limits.min} to {limits.max}"
            )
    if p.size and not -1 <= int(p.min()) <= int(p.max()) <= 1:
        raise InputError(f"polarities are {np.unique(p)[:5].tolist()}, expected 0/1 or -1/+1")
    return make_events(x, y, t_us, p > 0)


def in_order_of_time(events: EventArray) -> EventArray:
    """The events, sorted by time (stable) with a warning where they are not."""
    backwards = events["t"][1:] < events["t"][:-1]
    if not backwards.any():
        return events
    warnings.warn(
        f"{np.count_nonzero(backwards):,} of {events.size:,} events came before their time; all are sorted by it now",
        stacklevel=2,
    )
    return events[np.argsort(events["t"], kind="stable")]


def recording_from_columns(
    x: NDArray[Any], y: NDArray[Any], t_us: NDArray[Any], p: NDArray[Any], attributes: Mapping[str, Any]
) -> Recording:
    """Four columns of shape (N,), as a file holds them, as a recording.

    Polarities may be 0/1, -1/+1 or bool. Events that a file holds out of order are sorted by time (stable).
    Raises `InputError` for numbers that are no events of this sensor.
    """
    return recording_from_events(events_from_columns(x, y, t_us, p), attributes)


def recording_from_events(
    events: EventArray, attributes: Mapping[str, Any], *, checked: bool = False
) -> Recording:  # fmt: skip
    """Events with what a file says of them; those out of order are sorted by time (stable).

    Without `width` or `height` the sensor ends at the outermost event; without `start_us` or `stop_us` it was watched
    from the first event to the last. checked: as of a `Recording`.

    Raises `InputError` for events that are not on this sensor, and where nothing says how large it is.
    """
    try:
        return _recording(events, attributes, checked)
    except InputError:  # most files are in order, and those a recording checks in one pass
        ordered = in_order_of_time(events)
        if ordered is events:
            raise
    return _recording(ordered, attributes, checked)


def _recording(events: EventArray, attributes: Mapping[str, Any], checked: bool) -> Recording:
    known = stated(attributes)
    if events.size:
        known |= {side: int(events[axis].max()) + 1 for axis, side in AXES if side not in known}
    elif not {"width", "height"} <= set(known):
        raise InputError("no events and no sensor size; use a format that keeps the size, such as .h5")
    first_us, last_us = map(int, events["t"][[0, -1]]) if events.size else (0, 0)
    return Recording(
        events=events,
        width=known["width"],
        height=known["height"],
        start_us=known.get("start_us", first_us),
        stop_us=known.get("stop_us", max(first_us, last_us)),
        provenance=known.get("provenance", {}),
        checked=checked,
    )
