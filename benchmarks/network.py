"""Events into Brian2, many samples, and the closed loop: beside what a careful user writes by hand.

    python benchmarks/network.py --json network.json [--events 10000000] [--samples 100] [--repeats 3]

Bridge: a recording of 128x128x2 channels for 10 s, one event a channel and step of 1 ms at most (a plain
SpikeGeneratorGroup breaks on more), in an HDF5 file. Set-up is from the file to the end of the first step; each run
is a process of its own, so that its peak memory is known, and what the imports take is subtracted.
Samples: 2312-200-10 LIF neurons, dt 1 ms, 300 ms, N-MNIST-like: 4163 events in three saccades. By hand: restore,
set_spikes, run, read the monitors. Both in this process, in turn; Cython.
Closed loop: the same network for 10 ms at a time, 140 events in each.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import ms
from numpy.typing import NDArray

import dvs

SIDE, STEPS = 34, 300


def bridge_recording(path: Path, events: int, *, side: int = 128, steps: int = 10_000, seed: int = 0) -> None:
    """A recording in which no channel has two events in a millisecond."""
    rng = np.random.default_rng(seed)
    channels = 2 * side * side
    step = np.arange(events) * steps // events
    # Within a step, channels follow each other at a stride that has no common divisor with their number.
    channel = (rng.integers(0, channels) + np.arange(events) * 12_345) % channels
    p, cell = np.divmod(channel, side * side)
    t_us = 1000 * step + np.sort(rng.integers(0, 1000, events).reshape(steps, -1), axis=1).ravel()
    recorded = dvs.make_events(cell % side, cell // side, t_us, p)
    dvs.write(path, dvs.Recording(events=recorded, width=side, height=side, stop_us=1000 * steps), overwrite=True)


def bridge(kind: str, path: Path) -> dict[str, float]:
    """Set-up and run of one way into Brian2, in this process."""
    from snn.inputs import event_input  # imported by both, so that both carry it

    b2.defaultclock.dt = 1 * ms
    before_mb = peak_mb()
    began = time.perf_counter()
    if kind == "ours":
        group = event_input(path, collisions="first").group
    else:
        recording = dvs.read(path)
        events = recording.events
        indices = (events["p"].astype(np.int32) * recording.height + events["y"]) * recording.width + events["x"]
        group = b2.SpikeGeneratorGroup(2 * recording.width * recording.height, indices, events["t"] * b2.us)
    spikes = b2.SpikeMonitor(group, record=False)
    network = b2.Network(group, spikes)
    network.run(1 * ms)
    ready = time.perf_counter()
    duration_ms = round(dvs.open(path).duration_s * 1000)
    network.run((duration_ms - 1) * ms)
    done = time.perf_counter()
    return {
        "setup_s": ready - began,
        "total_s": done - began,
        "peak_mb": peak_mb() - before_mb,
        "spikes": int(spikes.num_spikes),
    }


def peak_mb() -> float:
    """Largest resident set of this process so far (Linux; getrusage would begin with that of the parent)."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def measure_bridge(events: int, repeats: int) -> dict[str, dict[str, float]]:
    """Medians over processes that are run in turn, after one of each that fills the caches of compiled code."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "spike_generator_group": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "recording.h5")
        bridge_recording(path, events)
        for repeat in range(repeats + 1):
            for kind, runs in found.items():
                command = [sys.executable, __file__, "--bridge", kind, str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                if repeat:
                    runs.append(json.loads(done.stdout.splitlines()[-1]))
    if len({run["spikes"] for runs in found.values() for run in runs}) != 1:
        raise AssertionError(f"the two do not deliver the same spikes: {found}")
    return {
        kind: {name: statistics.median(run[name] for run in runs) for name in runs[0]} for kind, runs in found.items()
    }


def samples_like_nmnist(count: int, *, events: int = 4163, seed: int = 0) -> list[dvs.Recording]:
    """Three saccades of 100 ms each; the events sit around a drifting ring, most of them early in a saccade."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        t_us = np.sort(rng.integers(0, 3, events) * 100_000 + 100_000 * rng.beta(2, 3, events)).astype(int)
        angle, radius = rng.uniform(0, 2 * np.pi, events), rng.normal(8, 2, events)
        x, y = (np.clip(17 + radius * f(angle), 0, SIDE - 1).astype(int) for f in (np.cos, np.sin))
        made.append(
            dvs.Recording(
                events=dvs.make_events(x, y, t_us, rng.integers(0, 2, events)),
                width=SIDE,
                height=SIDE,
                stop_us=1000 * STEPS,
            )
        )
    return made


def network_2312_200_10(source: b2.NeuronGroup) -> b2.Network:
    """The network behind an input group, weights drawn so that hidden and output neurons fire."""
    tau = {"tau": 20 * ms}
    model = {
        "model": "dv/dt = -v/tau : 1",
        "threshold": "v > 1",
        "reset": "v -= 1",
        "method": "exact",
        "namespace": tau,
    }
    hidden = b2.NeuronGroup(200, name="hidden", **model)
    output = b2.NeuronGroup(10, name="output", **model)
    rng = np.random.default_rng(0)
    first = b2.Synapses(source, hidden, "w : 1", on_pre="v_post += w", name="first")
    first.connect()
    first.w = rng.normal(0.01, 0.1, 2312 * 200)
    second = b2.Synapses(hidden, output, "w : 1", on_pre="v_post += w", name="second")
    second.connect()
    second.w = rng.normal(0.02, 0.2, 2000)
    return b2.Network(source, hidden, output, first, second)


def by_hand() -> Callable[[dvs.Recording], NDArray[np.int64]]:
    """What a careful user writes: one network, restored and run once a sample."""
    source = b2.SpikeGeneratorGroup(2312, [], [] * ms)
    network = network_2312_200_10(source)
    spikes = b2.SpikeMonitor(network["output"])
    network.add(spikes)
    network.store()

    def present(sample: dvs.Recording) -> NDArray[np.int64]:
        events = sample.events
        channel = (events["p"].astype(np.int64) * SIDE + events["y"]) * SIDE + events["x"]
        step, channel = np.divmod(np.unique(events["t"] // 1000 * 2312 + channel), 2312)
        network.restore()
        source.set_spikes(channel, step * ms)
        network.run(STEPS * ms)
        return np.array(spikes.count)

    return present


def measure_samples(count: int, repeats: int) -> dict[str, float]:
    """Samples a second by hand and with a `Runner`, in turn; medians."""
    from snn.inputs import EventInput
    from snn.running import Runner

    b2.defaultclock.dt = 1 * ms
    samples = samples_like_nmnist(count)
    eye = EventInput(width=SIDE, height=SIDE, collisions="first")
    runner = Runner(network_2312_200_10(eye.group), input=eye, duration=STEPS * ms, record=["output"])
    present = by_hand()
    by_hand_counts = np.array([present(sample) for sample in samples[:3]])
    if not np.array_equal(runner.run(samples[:3], progress=False).counts("output"), by_hand_counts):
        raise AssertionError("the two do not make the same spikes")
    taken: dict[str, list[float]] = {"ours": [], "ours_two_processes": [], "by_hand": []}
    for _ in range(repeats):
        for name, run in {
            "ours": lambda: runner.run(samples, progress=False),
            "ours_two_processes": lambda: runner.run(samples, processes=2, progress=False),
            "by_hand": lambda: [present(sample) for sample in samples[: max(count // 5, 1)]],
        }.items():
            began = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - began)
    scale = {"by_hand": max(count // 5, 1)}
    return {name: scale.get(name, count) / statistics.median(times) for name, times in taken.items()}


def measure_standalone(count: int, repeats: int) -> dict[str, float]:
    """Samples a second of the compiled network, and how long it took to build; in this process."""
    from snn.inputs import EventInput
    from snn.running import Runner

    b2.set_device("cpp_standalone", build_on_run=False)
    b2.defaultclock.dt = 1 * ms
    samples = samples_like_nmnist(count)
    eye = EventInput(width=SIDE, height=SIDE, collisions="first")
    began = time.perf_counter()
    runner = Runner(network_2312_200_10(eye.group), input=eye, duration=STEPS * ms, record=["output"])
    built = time.perf_counter() - began
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        runner.run(samples, progress=False)
        taken.append(time.perf_counter() - began)
    return {"samples_s": count / statistics.median(taken), "build_s": built}


def measure_closed_loop(repeats: int) -> dict[str, float]:
    """Milliseconds for each 10 ms of network time: with a `Stepper`, and with `Network.run` in pieces."""
    from snn.inputs import EventInput
    from snn.stepper import Stepper

    b2.defaultclock.dt = 1 * ms
    rng = np.random.default_rng(0)
    observations = [
        dvs.make_events(
            *rng.integers(0, SIDE, (2, 140)), np.sort(rng.integers(0, 10_000, 140)), rng.integers(0, 2, 140)
        )
        for _ in range(200)
    ]
    eye = EventInput(width=SIDE, height=SIDE, collisions="first")
    stepper = Stepper(network_2312_200_10(eye.group), input=eye, interval=10 * ms, record=["output"])
    pieces_eye = EventInput(width=SIDE, height=SIDE, collisions="first")
    pieces = network_2312_200_10(pieces_eye.group)

    def in_pieces(events: NDArray) -> None:
        pieces_eye.show(events)
        pieces.run(10 * ms)

    taken: dict[str, list[float]] = {"stepper": [], "network_run": []}
    for _ in range(repeats):
        for name, step, chosen in (
            ("stepper", stepper.step, observations),
            ("network_run", in_pieces, observations[:10]),
        ):
            step(chosen[0])
            for events in chosen:
                began = time.perf_counter()
                step(events)
                taken[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Measure everything, print it, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bridge", nargs=2, metavar=("KIND", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--standalone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bridge:
        print(json.dumps(bridge(options.bridge[0], Path(options.bridge[1]))))
        return
    if options.standalone:
        print(json.dumps(measure_standalone(options.samples, options.repeats)))
        return
    bridges = measure_bridge(options.events, options.repeats)
    samples = measure_samples(options.samples, options.repeats)
    command = [sys.executable, __file__, "--standalone", "--samples", str(options.samples)]
    compiled = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    loop = measure_closed_loop(options.repeats)
    ours, theirs = bridges["ours"], bridges["spike_generator_group"]
    figures = {
        "bridge_speedup": theirs["setup_s"] / ours["setup_s"],
        "bridge_total_speedup": theirs["total_s"] / ours["total_s"],
        "bridge_memory_ratio": ours["peak_mb"] / theirs["peak_mb"],
        "bridge_events_s": options.events / ours["total_s"],
        "samples_s": samples["ours"],
        "handwritten_samples_s": samples["by_hand"],
        "samples_s_two_processes": samples["ours_two_processes"],
        "standalone_samples_s": compiled["samples_s"],
        "standalone_build_s": compiled["build_s"],
        "closed_loop_ms_per_10ms": loop["stepper"],
        "closed_loop_network_run_ms_per_10ms": loop["network_run"],
        "details": bridges,
    }
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
