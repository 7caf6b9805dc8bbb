"""Python source, written line by line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager


class Text:
    """Lines with their indentation, and the names of the arrays that they use, in order of first use."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self.arguments: list[str] = []

    def line(self, text: str = "") -> None:
        """Add a line."""
        self._lines.append("    " * self._depth + text if text else "")

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Lines added within belong to `head:`."""
        self.line(f"{head}:")
        self._depth += 1
        yield
        self._depth -= 1

    def argument(self, name: str) -> str:
        """A name that the function is given."""
        if name not in self.arguments:
            self.arguments.append(name)
        return name

    def words(self) -> set[str]:
        """All names in the lines."""
        return set(re.findall(r"\w+", "\n".join(self._lines)))

    def indented(self, depth: int) -> str:
        """All lines, moved to the right."""
        return "\n".join("    " * depth + line if line else "" for line in self._lines)
