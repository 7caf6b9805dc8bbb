"""ON and OFF."""

from dataclasses import dataclass

import numpy as np

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import are_on, check_fields, taken, with_columns
from dvs.transforms.streamed import Streamed


@dataclass(frozen=True)
class MergePolarities(Streamed):
    """All events have polarity 0."""

    def advance(self, state: None, events: EventArray) -> tuple[EventArray, None]:
        """The next events, with polarity 0."""
        check_fields(events, "p")
        return with_columns(events, p=np.zeros(events.size, np.int8)), state


@dataclass(frozen=True)
class OnlyPolarity(Streamed):
    """Only the ON events (polarity = 1) or only the OFF events (polarity = 0)."""

    polarity: int

    def __post_init__(self) -> None:
        if self.polarity not in (0, 1):
            raise ParameterError(f"polarity is {self.polarity!r}, expected 1 for ON or 0 for OFF")

    def advance(self, state: None, events: EventArray) -> tuple[EventArray, None]:
        """The next events of that polarity."""
        check_fields(events, "p")
        return taken(events, are_on(events) == self.polarity), state


@dataclass(frozen=True)
class FlipPolarity(Streamed):
    """ON becomes OFF and OFF becomes ON, written as 1 and 0 even where they came as +1 and -1."""

    def advance(self, state: None, events: EventArray) -> tuple[EventArray, None]:
        """The next events, each of the other polarity."""
        check_fields(events, "p")
        return with_columns(events, p=1 - are_on(events)), state
