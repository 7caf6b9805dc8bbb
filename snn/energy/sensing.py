"""The sensor's share: events that left it, the bits they are, and which camera it was."""

import os
from collections.abc import Iterable

import numpy as np

from dvs.errors import InputError
from dvs.events import Recording
from dvs.files.recording_file import RecordingFile, open_recording
from dvs.sensors import Sensor
from snn.energy.counts import SensorCounts

Source = Recording | RecordingFile | str | os.PathLike[str]


def sensed(recordings: Iterable[Source], *, bits_per_event: int | None = None) -> SensorCounts:
    """What the sensor sent in each recording, a sample each; files are read block by block.

    bits_per_event: on the bus, by default an address event: enough for the column, the row and the polarity. When it
    happened, its arrival says (Boahen 2000, "Point-to-point connectivity between neuromorphic chips using address
    events"); a receiver that writes time stamps sends more.

    Raises `InputError` for recordings of different sensors.
    """
    opened = [open_recording(one) if isinstance(one, str | os.PathLike) else one for one in recordings]
    sizes = {(one.width, one.height) for one in opened}
    if len(sizes) > 1:
        raise InputError(f"the recordings are of sensors of {sorted(sizes)} pixels; count each kind by itself")
    if bits_per_event is None:
        bits_per_event = max((sum((side - 1).bit_length() for side in size) + 1 for size in sizes), default=0)
    names = {sensor.name for sensor in map(sensor_of, opened) if sensor is not None}
    return SensorCounts(
        events=np.array([_events(one) for one in opened], np.int64),
        bits_per_event=bits_per_event,
        sensor=names.pop() if len(names) == 1 else "",
    )


def sensor_of(recording: Source) -> Sensor | None:
    """The emulated sensor whose numbers `convert-video` wrote into a file; None for recordings of others."""
    if isinstance(recording, str | os.PathLike):
        recording = open_recording(recording)
    record = recording.provenance.get("sensor")
    return Sensor.from_dict(record) if isinstance(record, dict) and "sources" in record else None


def _events(recording: Recording | RecordingFile) -> int:
    return len(recording) if isinstance(recording, Recording) else sum(block.size for block in recording.blocks())
