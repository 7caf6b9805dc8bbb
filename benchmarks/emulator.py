"""How fast the emulator is, side by side with others in one process, and how much memory a long video takes.

    python benchmarks/emulator.py --json emulator.json [--frames 32] [--repeats 5] [--minutes 1]

The scene: white noise blurred with sigma = 6 px, scaled to 20-240, rolled by 1 px a frame at 100 frames/s,
1280x720, uint8. Every emulator has the same noise model: thresholds 0.2 with a mismatch of 0.03, bandwidth 200 Hz
at white, leak 1 Hz, shot noise 10 Hz, refractory time 100 us (EventCV's defaults). Each measurement is taken in
turn with the others, after one run that is not counted; ratios are those of the medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dvs.emulator import emulate
from dvs.sensors import Sensor, load_sensor

FPS = 100.0
FULL_NOISE = Sensor(
    name="EventCV's defaults",
    theta_sigma=0.03,
    cutoff_hz=200.0,
    leak_hz=1.0,
    shot_noise_hz=10.0,
    refractory_us=100.0,
)


def scene(frames: int, height: int = 720, width: int = 1280, seed: int = 0) -> NDArray[np.uint8]:
    """The rolling texture, (frames, height, width)."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    texture = gaussian_filter(noise, 6.0, mode="wrap")
    texture = 20 + 220 * (texture - texture.min()) / np.ptp(texture)
    return np.stack([np.roll(texture.astype(np.uint8), k, axis=1) for k in range(frames)])


def contestants(frames: NDArray[np.uint8]) -> dict[str, Callable[[], int]]:
    """Each emulator as a function that returns how many events it made."""
    runs: dict[str, Callable[[], int]] = {
        "microsaccade": lambda: len(emulate(frames, FULL_NOISE, fps=FPS, seed=1)),
        "microsaccade-davis346": lambda: len(
            emulate(frames, load_sensor("davis346").with_(width=None, height=None), fps=FPS, seed=1)
        ),
    }
    try:
        import eventcv

        runs["eventcv-off"] = lambda: len(eventcv.simulate(frames, fps=FPS, seed=1, upsample="off"))
        runs["eventcv-default"] = lambda: len(eventcv.simulate(frames, fps=FPS, seed=1))
    except ImportError:
        print("eventcv is not installed: pip install 'microsaccade[bench]'", file=sys.stderr)
    try:
        from eventify import frame_to_event_tuples

        def eventify() -> int:
            # It has no noise, no memory from frame to frame, and a threshold of 0.05.
            pairs = pairwise(frames)
            return sum(
                len(frame_to_event_tuples(before, after, k * 10_000, (k + 1) * 10_000))
                for k, (before, after) in enumerate(pairs)
            )

        runs["eventify"] = eventify
    except ImportError:
        print("eventify is not installed: pip install 'microsaccade[bench]'", file=sys.stderr)
    return runs


def throughput(frames: int, repeats: int) -> dict[str, dict[str, float]]:
    """Mpixel/s of each emulator, median, minimum and maximum, and its events a pixel a frame."""
    pictures = scene(frames + 1)
    pixels = pictures[1:].size
    runs = contestants(pictures)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    events = {}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            events[name] = run()
            if repeat:
                seconds[name].append(time.perf_counter() - began)
    return {
        name: {
            "mpix_s": pixels / statistics.median(taken) / 1e6,
            "mpix_s_min": pixels / max(taken) / 1e6,
            "mpix_s_max": pixels / min(taken) / 1e6,
            "events_per_pixel_frame": events[name] / pixels,
        }
        for name, taken in seconds.items()
    }


def write_video(path: Path, seconds: float, fps: int = 30) -> None:
    """A 1080p film in which the texture drifts half a pixel a frame, H.264."""
    import av

    texture = scene(1, 1080, 1920)[0]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for k in range(round(seconds * fps)):
            grey = np.roll(texture, k // 2, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode())


def peak_rss_mb(video: Path, output: Path) -> float:
    """Largest resident set of one `convert-video` process."""
    code = (
        "import resource, sys; from dvs.convert_video import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-c", code, str(video), "-o", str(output), "--quiet", "--overwrite"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def memory(minutes: float) -> dict[str, float]:
    """Peak memory (MB) of converting 1080p video to HDF5, for the whole length and for a quarter of it."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, length in (("peak_rss_mb_1080p_quarter", minutes / 4), ("peak_rss_mb_1080p", minutes)):
            video = Path(folder, "film.mp4")
            write_video(video, 60 * length)
            figures[name] = peak_rss_mb(video, Path(folder, "events.h5"))
    return figures


def main() -> None:
    """Measure everything, print it, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=1.0, help="length of the 1080p film; 0 leaves memory out")
    options = parser.parse_args()
    speed = throughput(options.frames, options.repeats)
    ours = speed["microsaccade"]["mpix_s"]
    figures: dict[str, object] = {"ours_mpix_s": ours}
    for name in ("off", "default"):
        peer = speed.get(f"eventcv-{name}")
        figures[f"eventcv_{name}_ratio"] = ours / peer["mpix_s"] if peer else None
    if options.minutes > 0:
        figures |= memory(options.minutes)
    figures["details"] = speed
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
