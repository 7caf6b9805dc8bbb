"""Event files: `write` a recording, `read` one, or `open_writer` for events that come in pieces."""

from dvs.files.format import Format
from dvs.files.input import read
from dvs.files.output import Writer, open_writer, write
from dvs.files.recording_file import RecordingFile, open
from dvs.files.table import FORMATS

__all__ = ["FORMATS", "Format", "RecordingFile", "Writer", "open", "open_writer", "read", "write"]
