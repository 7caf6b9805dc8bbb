"""What each tool of the landscape returns: data, a picture, and one line that says what it means."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Finding(ABC):
    """A result; printed, it is its one line."""

    @property
    @abstractmethod
    def reading(self) -> str:
        """One line that says what was found."""

    @abstractmethod
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """A picture of it, in axes of its own or in those that are given."""

    def __str__(self) -> str:
        return self.reading
