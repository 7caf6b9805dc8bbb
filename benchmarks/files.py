"""Event files and transforms: how fast, beside the fastest correct library there is for each.

    python benchmarks/files.py [--json files.json] [--events 10000000] [--rounds 3]

10 million events of a 1280x720 sensor in 20 s, half of them noise and half bursts of 20 pixels in a row; 5 million on a
smaller sensor for formats that hold no larger one. Reading is `dvs.read`, from the file to a checked recording;
writing is `dvs.write`, to a complete file on the disk (fsync). Peers read the same file into arrays and write from
arrays; those that are known to be wrong for a format are left out (benchmarks/README.md says which). Each in turn, the
best of the rounds. A slice is 10 ms out of a DSEC file of about a gigabyte, opened anew, which the system may have in
its cache.

Transforms: those of `files_transforms.py`, against tonic, with a million events of 346x260.
The JSON has `files`: {format, direction, ours_mev_s, best_peer, best_peer_mev_s, peers, megabytes}, `transforms`:
{transform, ours_mev_s, tonic_mev_s}, and `slice_ms`.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import aedat
import event_stream
import evt3
import evutils.io
import expelliarmus
import faery
import h5py
import numpy as np
import tonic.io
from files_transforms import rows as transform_rows
from numpy.typing import NDArray

import dvs

TARGETS_MEV_S = {("dsec", "write"): 20, ("dsec", "read"): 40}
PEERS = ("aedat", "event_stream", "evt3", "evutils", "expelliarmus", "faery", "h5py", "tonic")


def recording(events: int, width: int, height: int, span_us: int = 20_000_000, seed: int = 0) -> dvs.Recording:
    """Half noise, half bursts of 20 neighbours at one time."""
    rng = np.random.default_rng(seed)
    bursts = events // 40
    noise = events - 20 * bursts
    first = rng.integers(0, width - 20, bursts)
    x = np.concatenate([rng.integers(0, width, noise), (first[:, None] + np.arange(20)).ravel()])
    y = np.concatenate([rng.integers(0, height, noise), np.repeat(rng.integers(0, height, bursts), 20)])
    t_us = np.concatenate([rng.integers(0, span_us, noise), np.repeat(rng.integers(0, span_us, bursts), 20)])
    p = np.concatenate([rng.integers(0, 2, noise), np.repeat(rng.integers(0, 2, bursts), 20)])
    order = np.argsort(t_us, kind="stable")
    made = dvs.make_events(x[order], y[order], t_us[order], p[order])
    return dvs.Recording(events=made, width=width, height=height, stop_us=span_us)


def peers_that_read(name: str, path: Path) -> dict[str, Callable[[], object]]:
    """The libraries that read a format right, each as what reads all of a file."""
    columns = np.dtype([("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "i1")])

    def of_evutils() -> object:
        return evutils.io.EventReader(str(path)).read_all()

    def of_faery() -> object:
        return list(faery.events_stream_from_file(path))

    def of_h5py() -> object:
        with h5py.File(path) as file:
            return [file[f"events/{column}"][:] for column in "xytp"]

    found = {
        "dsec": {"evutils": of_evutils, "h5py": of_h5py},
        "npz": {"numpy": lambda: [np.load(path)[column] for column in "xytp"]},
        "csv": {"numpy": lambda: np.loadtxt(path, np.int64, delimiter=",", skiprows=1)},
        "evt2": {"evutils": of_evutils, "expelliarmus": lambda: expelliarmus.Wizard(encoding="evt2").read(path)},
        "evt3": {"evutils": of_evutils, "evt3": lambda: evt3.decode_file(str(path))},
        "dat": {"evutils": of_evutils, "expelliarmus": lambda: expelliarmus.Wizard(encoding="dat").read(path)},
        "aedat4": {
            "evutils": of_evutils,
            "faery": of_faery,
            "aedat": lambda: [packet["events"] for packet in aedat.Decoder(path)],
        },
        "aedat2": {"tonic": lambda: tonic.io.read_davis_346(path)},
        "es": {"faery": of_faery, "event_stream": lambda: list(event_stream.Decoder(str(path)))},
        "nmnist": {"tonic": lambda: tonic.io.read_mnist_file(path, columns)},
    }
    return found.get(name, {})


def peers_that_write(name: str, path: Path, given: dvs.Recording) -> dict[str, Callable[[], object]]:
    """The libraries that write a format right."""
    events = given.events
    plain = np.empty(events.size, faery.EVENTS_DTYPE)
    plain["t"], plain["x"], plain["y"], plain["on"] = (events[column] for column in "txyp")
    size = (given.width, given.height)

    def of_h5py() -> None:
        with h5py.File(path, "w") as file:
            for column, kind in {"x": "u2", "y": "u2", "t": "u4", "p": "u1"}.items():
                file.create_dataset(
                    f"events/{column}", data=events[column].astype(kind), compression="gzip", shuffle=True,
                    chunks=(65536,),
                )  # fmt: skip

    def of_event_stream() -> None:
        with event_stream.Encoder(str(path), "dvs", *size) as encoder:
            for first in range(0, events.size, 65536):
                block = np.zeros(min(65536, events.size - first), event_stream.dvs_dtype)
                for ours, theirs in zip("txyp", ("t", "x", "y", "on"), strict=True):
                    block[theirs] = events[ours][first : first + 65536]
                encoder.write(block)

    def of_expelliarmus() -> None:
        wizard = expelliarmus.Wizard(encoding=name)
        wizard.save(fpath=path, arr=events.astype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")]))

    found = {
        "dsec": {"h5py": of_h5py},
        "npz": {"numpy": lambda: np.savez_compressed(path, **{column: events[column] for column in "xytp"})},
        "evt2": {"expelliarmus": of_expelliarmus},
        "dat": {"expelliarmus": of_expelliarmus},
        "es": {"event_stream": of_event_stream},
    }
    return found.get(name, {})


def best_s(work: Callable[[], object], rounds: int, before: Callable[[], object] = lambda: None) -> float:
    """The shortest of some rounds."""
    times = []
    for _ in range(rounds):
        before()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def file_rows(events: int, rounds: int, folder: Path) -> list[dict[str, object]]:
    """One row for each format and direction."""
    large, small = recording(events, 1280, 720), recording(events // 2, 240, 180, span_us=8_000_000)
    found = []
    for name, suffix in {
        "dsec": ".h5", "metavision": ".metavision.h5", "v2e": ".v2e.h5", "npz": ".npz", "csv": ".csv", "evt2": ".raw",
        "evt3": ".raw", "dat": ".dat", "aedat4": ".aedat4", "aedat2": ".aedat", "es": ".es", "nmnist": ".bin",
    }.items():  # fmt: skip
        given = small if name in ("aedat2", "nmnist") else large
        path, other = folder / f"ours{suffix}", folder / f"theirs{suffix}"
        dvs.write(path, given[:1000], format=name, overwrite=True)  # compiles
        dvs.read(path, format=name)
        writing_s = best_s(lambda: dvs.write(path, given, format=name, overwrite=True), rounds)  # noqa: B023
        peers = peers_that_write(name, other, given)
        found.append(_row(name, "write", given, writing_s, peers, rounds, path, lambda: other.unlink(missing_ok=True)))  # noqa: B023
        reading_s = best_s(lambda: dvs.read(path, format=name), rounds)  # noqa: B023
        if not (dvs.read(path, format=name).events == given.events).all():
            raise AssertionError(f"{name} does not read what it wrote")
        found.append(_row(name, "read", given, reading_s, peers_that_read(name, path), rounds, path))
        path.unlink()
        other.unlink(missing_ok=True)
    return found


def _row(
    name: str, direction: str, given: dvs.Recording, ours_s: float, peers: dict[str, Callable[[], object]], rounds: int,
    path: Path, before: Callable[[], object] = lambda: None,
) -> dict[str, object]:  # fmt: skip
    speed = {peer: len(given) / best_s(work, rounds, before) / 1e6 for peer, work in peers.items()}
    best = max(speed, key=speed.__getitem__, default=None)
    row = {
        "format": name, "direction": direction, "ours_mev_s": len(given) / ours_s / 1e6, "best_peer": best,
        "best_peer_mev_s": speed.get(best), "peers": speed, "megabytes": path.stat().st_size / 1e6,
    }  # fmt: skip
    beside = "  ".join(f"{peer} {mev_s:.1f}" for peer, mev_s in speed.items())
    print(f"{name:11} {direction:6} {row['ours_mev_s']:7.1f} Mev/s   {beside}", flush=True)
    return row


def slice_ms(folder: Path, events: int) -> dict[str, float]:
    """Opening a large DSEC file and taking 10 ms out of its middle."""
    path = folder / "large.h5"
    span_us = 20_000_000
    with dvs.open_writer(path, 1280, 720) as writer:
        piece = recording(10_000_000, 1280, 720).events
        for number in range(events // 10_000_000):
            shifted = piece.copy()
            shifted["t"] += number * span_us
            writer.append(shifted)
    middle_us = events // 10_000_000 * span_us // 2

    def take() -> NDArray[np.void]:
        return dvs.open(path)[middle_us : middle_us + 10_000].events

    take()
    return {"megabytes": path.stat().st_size / 1e6, "events": len(take()), "ms": 1e3 * best_s(take, 9)}


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slice-events", type=int, default=400_000_000, help="of the large file; 0: no slice")
    options = parser.parse_args()
    load_before = os.getloadavg()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = file_rows(options.events, options.rounds, folder)
        sliced = slice_ms(folder, options.slice_events) if options.slice_events else None
    transforms = transform_rows()
    for row in transforms:
        print(f"{row['transform']:28} {row['ours_mev_s']:7.1f} Mev/s   tonic {row['tonic_mev_s']:.2f}")
    if sliced:
        print(f"10 ms of {sliced['megabytes']:.0f} MB: {sliced['ms']:.1f} ms")
    record = {
        "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": [load_before, os.getloadavg()], "events": options.events, "rounds": options.rounds, "seed": 0,
        "versions": {name: version(name) for name in ("microsaccade", "numpy", "numba", *PEERS)},
        "files": files, "transforms": transforms, "slice": sliced,
    }  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
