"""What a conversion would make, judged by its first frames."""

from dataclasses import dataclass

from dvs.conversion import Plan
from dvs.emulator import stream
from dvs.files.table import format_to_write
from dvs.interpolation import interpolate
from dvs.observers import Gate, MotionWatch

_LOOK_AT = 20  # frames

# Bytes an event takes, as measured with films of street and desk scenes; sparse noise takes more.
_EVENT_BYTES = {"dsec": 4.0, "v2e": 4.5, "npz": 4.5, "csv": 18.0, "txt": 20.0, "aedat4": 9.0}
_SPOOL_BYTES = 13  # an event while it waits to be written; gone at the end


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is to be expected, as far as the source says how long it is.

    `rate_hz` are events a second of the scene. `disk_bytes` are the sizes of the outputs in their order
    (none for a source of unknown length), `temporary_bytes` what lies beside them until they are finished.
    """

    frames: int | None
    duration_s: float | None
    rate_hz: float
    events: int | None
    disk_bytes: list[int]
    temporary_bytes: int
    warning: str | None


def forecast(plan: Plan) -> Forecast:
    """Emulate the first frames of a source that can be read again."""
    gate = Gate(plan.frames, lambda: gate.passed == _LOOK_AT)
    by_flow = plan.conversion.interpolation == "flow"
    motion = MotionWatch(plan.frames.encoding, every=_LOOK_AT // 5)
    seen = 0
    for batch in stream(interpolate(gate.frames) if by_flow else gate.frames, plan.settings, chunk_frames=2):
        seen += batch.events.size
        seen_us = batch.until_us
        if not by_flow:
            motion.look(batch)
    rate_hz = seen / seen_us * 1e6
    count = plan.film.count
    duration_s = None if count is None else seen_us / (gate.passed - 1) * (count - 1) * 1e-6
    events = None if duration_s is None else round(rate_hz * duration_s)
    outputs = plan.conversion.outputs
    formats = (format_to_write(output.path, output.format).name for output in outputs)
    return Forecast(
        frames=count,
        duration_s=duration_s,
        rate_hz=rate_hz,
        events=events,
        disk_bytes=[] if events is None else [round(_EVENT_BYTES[name] * events) for name in formats],
        temporary_bytes=_SPOOL_BYTES * len(outputs) * (events or 0),
        warning=motion.complaint,
    )
