"""What can go wrong, as a small tree of exceptions.

Every message says what came, what was expected and what to do. A command prints
that one line and exits with code 2.
"""


class MicrosaccadeError(Exception):
    """Root of the tree: catch this to catch everything the project raises on purpose."""


class InputError(MicrosaccadeError, ValueError):
    """A video, an image or a recording that cannot be used as it is."""


class ParameterError(MicrosaccadeError, ValueError):
    """A parameter out of its range, of the wrong type, or in conflict with another."""


class FormatError(MicrosaccadeError, ValueError):
    """A file format that is unknown, or a file that is not what its name says."""


class OutputError(MicrosaccadeError, OSError):
    """An output that cannot be written; an existing file is never harmed."""


class MissingExtraError(MicrosaccadeError, ImportError):
    """An optional dependency is needed; the message names the `pip install` line."""
