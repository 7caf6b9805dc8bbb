"""How fast the transforms of events are, side by side with tonic's in one process.

    python benchmarks/files_transforms.py --json transforms.json [--events 1000000] [--repeats 5]

The events: of a DAVIS346 (346x260), a second for each million, half of them uniform noise and half bursts of 20
neighbours in a row, as moving edges make them, with the dtype of a `dvs.Recording`. Each measurement is taken in turn
with tonic's, after a run of each that is not counted; of each the best is taken. Mev/s are million events that go in,
per second. tonic's loops in Python run once.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dvs import transforms
from dvs.events import EventArray, make_events

WIDTH, HEIGHT = 346, 260
SIZE = (WIDTH, HEIGHT, 2)
BURST = 20

TRANSFORMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ToFrame", {"sensor_size": SIZE, "time_window": 10_000}),
    ("ToFrame", {"sensor_size": SIZE, "n_time_bins": 10}),
    ("ToVoxelGrid", {"sensor_size": SIZE, "n_time_bins": 10}),
    ("ToTimesurface", {"sensor_size": SIZE, "dt": 100_000, "tau": 50_000}),
    ("Denoise", {"filter_time": 10_000}),
    ("RefractoryPeriod", {"delta": 1_000}),
    ("DropPixel", {"hot_pixel_frequency": 25}),
    ("Decimation", {"n": 4}),
    ("Downsample", {"spatial_factor": 0.5, "time_factor": 0.001}),
    ("CenterCrop", {"sensor_size": SIZE, "size": (128, 128)}),
    ("MergePolarities", {}),
)
LOOPS = {"Denoise", "RefractoryPeriod", "DropPixel", "Decimation"}
"""Those that tonic does event by event, or pixel by pixel, in Python."""


def scene(events: int, seed: int = 0) -> EventArray:
    """Half noise, half bursts of 20 neighbours in a row at one time; a second for each million."""
    rng = np.random.default_rng(seed)
    bursts = events // 2 // BURST
    alone = events - bursts * BURST
    t_us = np.concatenate([rng.integers(0, events, alone), np.repeat(rng.integers(0, events, bursts), BURST)])
    x = np.concatenate(
        [
            rng.integers(0, WIDTH, alone),
            (rng.integers(0, WIDTH - BURST + 1, bursts)[:, None] + np.arange(BURST)).reshape(-1),
        ]
    )
    y = np.concatenate([rng.integers(0, HEIGHT, alone), np.repeat(rng.integers(0, HEIGHT, bursts), BURST)])
    p = np.concatenate([rng.integers(0, 2, alone), np.repeat(rng.integers(0, 2, bursts), BURST)])
    order = np.argsort(t_us, kind="stable")
    return make_events(x[order], y[order], t_us[order], p[order])


def rows(events: int = 1_000_000, repeats: int = 5) -> list[dict[str, Any]]:
    """{transform, ours_mev_s, tonic_mev_s} of each transform, with its parameters."""
    import tonic.transforms

    made = scene(events)
    for name in {name for name, _ in TRANSFORMS}:  # compiled before the clock runs
        getattr(transforms, name)(**dict(TRANSFORMS)[name])(made[:100])
    found = []
    for name, arguments in TRANSFORMS:
        mine, theirs = (getattr(module, name)(**arguments) for module in (transforms, tonic.transforms))
        once = name in LOOPS
        ours_s, theirs_s = [], []
        for _ in range(repeats + 1):
            ours_s.append(_seconds(mine, made))
            if not (once and theirs_s):
                # Some of tonic's change the array that they are given.
                theirs_s.append(_seconds(theirs, made.copy()))
        what = ", ".join(f"{key}={value}" for key, value in arguments.items() if key != "sensor_size")
        found.append(
            {
                "transform": f"{name}({what})",
                "ours_mev_s": round(events * 1e-6 / min(ours_s[1:]), 3),
                "tonic_mev_s": round(events * 1e-6 / min(theirs_s if once else theirs_s[1:]), 3),
            }
        )
    return found


def _seconds(transform: Callable[[EventArray], Any], events: EventArray) -> float:
    began_s = time.perf_counter()
    transform(events)
    return time.perf_counter() - began_s


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = rows(options.events, options.repeats)
    print(f"{'transform':50} {'Mev/s':>8} {'tonic':>8} {'ratio':>7}")
    for row in found:
        ratio = row["ours_mev_s"] / row["tonic_mev_s"]
        print(f"{row['transform']:50} {row['ours_mev_s']:8.1f} {row['tonic_mev_s']:8.2f} {ratio:7.1f}")
    if options.json is not None:
        options.json.write_text(json.dumps({"transforms": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
