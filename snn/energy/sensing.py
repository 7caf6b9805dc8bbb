"""The sensor's share: events that left it, the bits they are, and which camera it was."""

import os
from collections.abc import Iterable

import numpy as np
from brian2 import Quantity, second

from dvs.errors import InputError
from dvs.events import Recording
from dvs.files import recording_file
from dvs.files.recording_file import RecordingFile
from dvs.sensors import Sensor
from snn.energy.counts import SensorCounts

Source = Recording | RecordingFile | str | os.PathLike[str]


def sensed(
    recordings: Iterable[Source], *, duration: Quantity | None = None, bits_per_event: int | None = None
) -> SensorCounts:
    """What the sensor sent in each recording, a sample each; files are read block by block.

    duration: from the beginning of each, by default all of it. bits_per_event: on the bus, by default an address event:
    enough for the column, the row and the polarity. When it happened, its arrival says (Boahen 2000, "Point-to-point
    connectivity between neuromorphic chips using address events"); a receiver that writes time stamps sends more.

    Raises `InputError` for recordings of different sensors.
    """
    opened = [recording_file.open(one) if isinstance(one, str | os.PathLike) else one for one in recordings]
    sizes = {(one.width, one.height) for one in opened}
    if len(sizes) > 1:
        raise InputError(f"the recordings are of sensors of {sorted(sizes)} pixels; count each kind by itself")
    if bits_per_event is None:
        bits_per_event = max((sum((side - 1).bit_length() for side in size) + 1 for size in sizes), default=0)
    names = {sensor.name for sensor in map(sensor_of, opened) if sensor is not None}
    until_s = np.inf if duration is None else float(duration / second)
    return SensorCounts(
        events=np.array([_events(one, until_s) for one in opened], np.int64),
        bits_per_event=bits_per_event,
        sensor=names.pop() if len(names) == 1 else "",
        watched_s=max((min(one.duration_s, until_s) for one in opened), default=None),
    )


def sensor_of(recording: Source) -> Sensor | None:
    """The emulated sensor whose numbers `convert-video` wrote into a file; None for recordings of others."""
    if isinstance(recording, str | os.PathLike):
        recording = recording_file.open(recording)
    record = recording.provenance.get("sensor")
    return Sensor.from_dict(record) if isinstance(record, dict) and "sources" in record else None


def _events(recording: Recording | RecordingFile, until_s: float) -> int:
    until_us = recording.start_us + 1e6 * until_s
    blocks = [recording.events] if isinstance(recording, Recording) else recording.blocks()
    return sum(int(np.searchsorted(block["t"], until_us)) for block in blocks)
