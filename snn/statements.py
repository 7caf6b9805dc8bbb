"""The statements of a Brian2 text: of an update, a reset, or of what a spike does."""

import re

from brian2.parsing.statements import parse_statement


def statements(code: str) -> list[str]:
    """The statements, one each, without comments.

    >>> statements("v = 0; u += 1  # adapts")
    ['v = 0', 'u += 1']
    """
    lines = (line.split("#")[0].strip() for line in re.split(r"[;\n]", code))
    return [line for line in lines if line]


def assigned(code: str) -> set[str]:
    """The names that statements give a value to."""
    return {parse_statement(line)[0] for line in statements(code)}
