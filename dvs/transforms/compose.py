"""One transform after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.streamed import Streamed


@dataclass(frozen=True)
class Compose(Streamed):
    """The transforms in turn, any callables; a stream goes through those that are `Streamed`.

    tonic's ends as soon as no event is left and returns these no events, whatever was to come; here the
    transforms after that are called too, so that frames are frames.
    """

    transforms: Sequence[Callable[[Any], Any]]

    def __call__(self, events: Any) -> Any:
        """What the last transform makes of what those in front of it made."""
        for transform in self.transforms:
            events = transform(events)
        return events

    def start(self) -> tuple[Any, ...]:
        """The states of all; `ParameterError` where one cannot go over a stream."""
        for transform in self.transforms:
            if not isinstance(transform, Streamed):
                raise ParameterError(f"{transform!r} needs all events at once; leave it out, or call it on an array")
        return tuple(transform.start() for transform in self.transforms)

    def advance(self, state: tuple[Any, ...], events: EventArray) -> tuple[EventArray, tuple[Any, ...]]:
        """What becomes of the next events."""
        after = []
        for transform, before in zip(self.transforms, state, strict=True):
            events, now = transform.advance(before, events)
            after.append(now)
        return events, tuple(after)
