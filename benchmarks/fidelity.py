"""How true the emulated events are: against closed forms, against what was asked for, against a real sensor.

    python benchmarks/fidelity.py --json fidelity.json [--recording davis346_traffic.aedat4]

The traffic recording is not part of the repository; without it that part is null.
"""

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.emulator import emulate
from dvs.events import Recording, make_events
from dvs.frames import Frames, frames_from_array
from dvs.luminance import DARK_OFFSET, Encoding, relative_luminance
from dvs.sensors import Sensor, load_sensor
from dvs.statistics import count_ratio, spatial_correlation

RECORDING = Path(__file__).parents[2] / "shared" / "data" / "recordings" / "davis346_traffic.aedat4"

APS_DARK_OFFSET = 0.12
"""Dark offset for the frames of the DAVIS346: linear, 8 bits, with a noise of 1.5 codes in still pixels. With it
four standard deviations in the deepest black, ln(1 + 6 / 255 / 0.12) = 0.18, stay at about one threshold."""

FIRST_HALF, SECOND_HALF = (0, 29), (29, 58)
TONES = (20, 40, 60, 80, 100, 120)


def log_linear_frames(log_luminance: NDArray[np.float64], times_us: NDArray[np.float64]) -> Frames:
    """Frames of linear light whose logarithm is `log_luminance` (T, H, W); `emulate` them with dark offset ~0."""
    return frames_from_array(np.exp(log_luminance), times_us=times_us)


def random_walk(rng: np.random.Generator, knots: int, pixels: int) -> NDArray[np.float64]:
    """Log luminance of independent pixels at each knot, (knots, 1, pixels), slopes over three decades."""
    steps = rng.choice([-1.0, 1.0], (knots, 1, pixels)) * 10 ** rng.uniform(-2.5, 0.0, (knots, 1, pixels))
    walk = np.cumsum(steps, axis=0)
    return -3.0 + np.clip(walk - walk[:1], -2.5, 2.5)


def crossing_times_us(
    log_luminance: NDArray[np.float64], times_us: NDArray[np.float64], theta: float
) -> list[tuple[float, int]]:
    """Events (t, p) of one ideal pixel on a piecewise log-linear path: each threshold passed, in closed form."""
    memory, events = log_luminance[0], []
    for k in range(len(times_us) - 1):
        start, end = log_luminance[k], log_luminance[k + 1]
        slope = (end - start) / (times_us[k + 1] - times_us[k])
        while abs(end - memory) >= theta and slope != 0:
            sign = 1 if end > memory else -1
            memory += sign * theta
            events.append((times_us[k] + (memory - start) / slope, (sign + 1) // 2))
    return events


def max_crossing_error_us(seed: int = 0, pixels: int = 400, knots: int = 40) -> float:
    """Largest distance of an event from its closed form, over random piecewise log-linear paths.

    Infinite if an event is missing, is one too many, or has the other polarity.
    """
    rng = np.random.default_rng(seed)
    times_us = np.cumsum(rng.uniform(1e3, 1e5, knots))
    path = random_walk(rng, knots, pixels)
    theta = 0.2
    events = emulate(
        log_linear_frames(path, times_us), Sensor(theta_on=theta, theta_off=theta), dark_offset=1e-12
    ).events
    worst = 0.0
    for pixel in range(pixels):
        got = events[events["x"] == pixel]
        expected = crossing_times_us(path[:, 0, pixel], times_us, theta)
        if [int(p) for p in got["p"]] != [p for _, p in expected]:
            return math.inf
        if expected:
            worst = max(worst, float(np.max(np.abs(got["t"] - [t for t, _ in expected]))))
    return worst


def frame_rate_invariance_us(seed: int = 0, pixels: int = 400, knots: int = 20) -> float:
    """Largest move of an event when the same input is given at 4 and 16 times the frame rate; noise off.

    Bandwidth (falling with light), refractory time and mismatch are on.
    """
    rng = np.random.default_rng(seed)
    times_us = np.arange(knots) * 40_000.0
    path = random_walk(rng, knots, pixels)
    sensor = Sensor(theta_sigma=0.02, cutoff_hz=300.0, cutoff_max_hz=1000.0, cutoff_sigma=0.2, refractory_us=500.0)
    recordings = []
    for factor in (1, 4, 16):
        fine_us = np.linspace(times_us[0], times_us[-1], (knots - 1) * factor + 1)
        fine = np.stack([np.interp(fine_us, times_us, path[:, 0, k]) for k in range(pixels)], axis=-1)[:, None]
        events = emulate(log_linear_frames(fine, fine_us), sensor, dark_offset=1e-12, seed=seed).events
        recordings.append(events[np.lexsort((events["t"], events["x"]))])
    reference = recordings[0]
    worst = 0.0
    for events in recordings[1:]:
        if events.size != reference.size or (events[["x", "p"]] != reference[["x", "p"]]).any():
            return math.inf
        worst = max(worst, float(np.max(np.abs(events["t"] - reference["t"]))))
    return worst


def tone_events() -> list[list[float]]:
    """[from, to, predicted, ideal, got] of 2:1 steps of an 8-bit sRGB code, threshold 0.2, noise off."""
    rows = []
    for tone in TONES:
        frames = np.full((3, 1, 1), tone, np.uint8)
        frames[1:] = 2 * tone
        low, high = relative_luminance(np.array([tone, 2 * tone], np.uint8), Encoding())
        predicted = math.floor(math.log((high + DARK_OFFSET) / (low + DARK_OFFSET)) / 0.2)
        ideal = math.floor(math.log(high / low) / 0.2)
        got = len(emulate(frames, Sensor(theta_on=0.2, theta_off=0.2), fps=100))
        rows.append([tone, 2 * tone, predicted, ideal, got])
    return rows


def noise_rate_max_error(seed: int = 0, events: float = 4e4) -> float:
    """Largest relative difference between shot noise obtained and requested, 0.01-100 Hz at 10-1000 frames/s.

    Each cell is run until about `events` events are due, so that chance alone makes 0.5 %.
    """
    worst = 0.0
    for rate_hz in (0.01, 0.1, 1.0, 10.0, 100.0):
        for fps in (10, 100, 1000):
            side = 1000 if rate_hz < 1 else 200
            seconds = max(events / (rate_hz * side * side), 3 / fps)
            sensor = Sensor(shot_noise_hz=rate_hz, shot_noise_max_hz=1e3, cutoff_hz=300.0, refractory_us=100.0)
            count = math.ceil(seconds * fps) + 1
            picture = np.full((side, side), 128, np.uint8)
            still = frames_from_array((picture for _ in range(count)), fps=fps)
            recording = emulate(still, sensor, seed=seed)
            obtained_hz = len(recording) / (side * side * recording.duration_s)
            worst = max(worst, abs(obtained_hz / rate_hz - 1))
    return worst


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The traffic recording: events and frames of the same pixels."""

    recording: Recording
    frames: NDArray[np.uint8]
    times_us: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Emulated against real: events made, and Pearson r of maps blurred with sigma = 1 px."""

    count_ratio: float
    signed_r: float
    count_r: float


def read_traffic(path: Path) -> Traffic:
    """Events, and frames at the middle of their exposure, times from the first frame on."""
    import aedat

    events, frames, times = [], [], []
    for packet in aedat.Decoder(path):
        if "events" in packet:
            events.append(packet["events"])
        elif "frame" in packet:
            frame = packet["frame"]
            frames.append(frame["pixels"])
            times.append((int(frame["exposure_begin_t"]) + int(frame["exposure_end_t"])) / 2)
    columns = np.concatenate(events)
    height, width = frames[0].shape
    start_us = int(times[0])
    watched = columns["t"].astype(np.int64) >= start_us
    columns = columns[watched]
    array = make_events(columns["x"], columns["y"], columns["t"].astype(np.int64) - start_us, columns["on"])
    return Traffic(
        recording=Recording(events=array, width=width, height=height),
        frames=np.stack(frames),
        times_us=np.array(times) - times[0],
    )


def compare(traffic: Traffic, sensor: Sensor, *, half: tuple[int, int], seed: int = 0) -> Agreement:
    """Emulate the frames of one half from a standing start, and compare with the real events of that time."""
    first, last = half
    times_us = traffic.times_us[first : last + 1]
    frames = frames_from_array(
        traffic.frames[first : last + 1], times_us=times_us, encoding=Encoding(transfer="linear", white=255.0)
    )
    emulated = emulate(frames, sensor, dark_offset=APS_DARK_OFFSET, seed=seed)
    real = traffic.recording.between(math.ceil(times_us[0]), math.ceil(times_us[-1]))
    return Agreement(
        count_ratio=count_ratio(emulated, real),
        signed_r=spatial_correlation(emulated, real, signed=True),
        count_r=spatial_correlation(emulated, real),
    )


def main() -> None:
    """Measure everything, print it, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--recording", type=Path, default=RECORDING, help="davis346_traffic.aedat4")
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "max_crossing_error_us": max_crossing_error_us(),
        "frame_rate_invariance_us": frame_rate_invariance_us(),
        "tone_events": tone_events(),
        "noise_rate_max_error": noise_rate_max_error(),
        "traffic": None,
    }
    if options.recording.is_file():
        traffic = read_traffic(options.recording)
        agreement = compare(traffic, load_sensor("davis346"), half=SECOND_HALF)
        figures["traffic"] = asdict(agreement)
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
