"""dvs: the event camera. Frames go in, the events that a dynamic vision sensor would have sent come out.

    import dvs

    recording = dvs.emulate(dvs.open_video("street.mp4"), sensor="davis346")
    dvs.write("street.h5", recording)

This file is a table of names; each is imported when it is first used, so that `import dvs` is light.
"""

from typing import TYPE_CHECKING

from dvs.lazy import lazy_names

_HOMES = {
    "dvs.conversion": ("Conversion", "Output", "convert"),
    "dvs.emulator": ("Batch", "Settings", "State", "advance", "emulate", "flush", "global_reset", "start", "stream"),
    "dvs.errors": (
        "FormatError", "InputError", "MicrosaccadeError", "MissingExtraError", "OutputError", "ParameterError",
    ),
    "dvs.events": ("EVENT_DTYPE", "Recording", "check_events", "empty_events", "make_events"),
    "dvs.files": ("RecordingFile", "open", "open_writer", "read", "write"),
    "dvs.frames": ("Frames", "frames_from_array"),
    "dvs.interpolation": ("interpolate",),
    "dvs.luminance": ("DARK_OFFSET", "Encoding"),
    "dvs.pixel_trace": ("PixelTrace", "watch_pixel"),
    "dvs.sensors": ("Sensor", "load_sensor", "sensor_names"),
    "dvs.tonic_data": ("EventFolder", "VideoDataset", "from_tonic"),
    "dvs.video": ("open_video",),
}  # fmt: skip

_MODULES = ("palettes", "pictures", "statistics", "transforms", "viewer")

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES, modules=_MODULES)

if TYPE_CHECKING:
    from dvs import palettes, pictures, statistics, transforms, viewer
    from dvs.conversion import Conversion, Output, convert
    from dvs.emulator import Batch, Settings, State, advance, emulate, flush, global_reset, start, stream
    from dvs.errors import (
        FormatError,
        InputError,
        MicrosaccadeError,
        MissingExtraError,
        OutputError,
        ParameterError,
    )
    from dvs.events import EVENT_DTYPE, Recording, check_events, empty_events, make_events
    from dvs.files import RecordingFile, open, open_writer, read, write
    from dvs.frames import Frames, frames_from_array
    from dvs.interpolation import interpolate
    from dvs.luminance import DARK_OFFSET, Encoding
    from dvs.pixel_trace import PixelTrace, watch_pixel
    from dvs.sensors import Sensor, load_sensor, sensor_names
    from dvs.tonic_data import EventFolder, VideoDataset, from_tonic
    from dvs.video import open_video
