"""dvs: the event camera. Frames go in, the events that a dynamic vision sensor would have sent come out.

    import dvs

    recording = dvs.emulate(dvs.open_video("street.mp4"), sensor="davis346")
    dvs.write(recording, "street.h5")

This file is a table of names; each is imported when it is first used, so that `import dvs` is light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "dvs.conversion": ("Conversion", "Output", "convert"),
    "dvs.emulator": ("Batch", "Settings", "State", "advance", "emulate", "flush", "start", "stream"),
    "dvs.errors": (
        "FormatError", "InputError", "MicrosaccadeError", "MissingExtraError", "OutputError", "ParameterError",
    ),
    "dvs.events": ("EVENT_DTYPE", "Recording", "check_events", "empty_events", "make_events"),
    "dvs.files": ("RecordingFile", "open_recording", "open_writer", "read", "write"),
    "dvs.frames": ("Frames", "frames_from_array"),
    "dvs.interpolation": ("interpolate",),
    "dvs.luminance": ("DARK_OFFSET", "Encoding"),
    "dvs.sensors": ("Sensor", "load_sensor", "sensor_names"),
    "dvs.video": ("open_video",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)

if TYPE_CHECKING:
    from dvs.conversion import Conversion, Output, convert
    from dvs.emulator import Batch, Settings, State, advance, emulate, flush, start, stream
    from dvs.errors import (
        FormatError,
        InputError,
        MicrosaccadeError,
        MissingExtraError,
        OutputError,
        ParameterError,
    )
    from dvs.events import EVENT_DTYPE, Recording, check_events, empty_events, make_events
    from dvs.files import RecordingFile, open_recording, open_writer, read, write
    from dvs.frames import Frames, frames_from_array
    from dvs.interpolation import interpolate
    from dvs.luminance import DARK_OFFSET, Encoding
    from dvs.sensors import Sensor, load_sensor, sensor_names
    from dvs.video import open_video


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'dvs' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__doc__"]
