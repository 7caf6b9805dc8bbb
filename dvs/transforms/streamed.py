"""What goes over a stream of events piece by piece."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from dvs.events import EventArray


class Streamed(ABC):
    """A transform of events to events that can be given a stream in pieces.

    What comes out does not depend on how the stream was cut, so a file larger than memory is no harder than a small
    array.

    >>> import numpy as np
    >>> from dvs.events import make_events
    >>> from dvs.transforms import RefractoryPeriod
    >>> events = make_events(x=[1, 1, 1], y=[0, 0, 0], t_us=[10, 60, 120], p=[1, 1, 1])
    >>> dead = RefractoryPeriod(delta=100)
    >>> dead(events)["t"].tolist(), [piece["t"].tolist() for piece in dead.stream([events[:2], events[2:]])]
    ([10, 120], [[10], [120]])
    """

    def start(self) -> Any:
        """The state in front of the first event."""
        return None

    @abstractmethod
    def advance(self, state: Any, events: EventArray) -> tuple[EventArray, Any]:
        """What becomes of the next events, and the state after them; the state that is given is used up."""

    def __call__(self, events: EventArray) -> EventArray:
        """What becomes of these events and no others."""
        return self.advance(self.start(), events)[0]

    def stream(self, blocks: Iterable[EventArray]) -> Iterator[EventArray]:
        """What becomes of a stream that comes in blocks, block by block; some may come out empty."""
        state = self.start()
        for block in blocks:
            events, state = self.advance(state, block)
            yield events
