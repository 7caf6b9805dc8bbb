"""Speed and memory of training: `learning` beside snnTorch, SpikingJelly, Norse, sinabs and Spyx.

    python benchmarks/training.py --json training.json [--peers-python PATH ...] [--rounds 7] [--workloads NAME ...]

One network, one set of events, one surrogate or the nearest that a library has, two cores, denormals flushed. A
training step goes from raw events to updated weights: conversion, forward, backward, Adam; but for `dense`, which is
forward and backward as in the comparison by Open Neuromorphic. Every library works in a process of its own; they take
turns, round by round, and a turn in which other processes took the cores is done again, up to a time. Figures are
medians over turns.

Memory is what training takes on top of code, loaded and compiled, and of the raw events. Libraries are looked for in
this Python and in those of --peers-python; one that is nowhere is left out.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvs.events import EVENT_DTYPE

HERE = Path(__file__).parent
PEERS = ("snntorch", "spikingjelly", "norse", "sinabs", "spyx")
TAU_US = 20_000

TURN_S = 0.5  # a contestant's turn is about as long
OTHERS = 0.05  # share of the cores that other processes may take in a turn


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Sizes of a workload, what is aimed at, and what weights make 2-10 % of the hidden neurons spike in a step."""

    name: str
    target: float  # times faster than the fastest peer
    side: int
    events: int
    duration_ms: int
    steps: int
    batch: int
    hidden: int
    spread: float  # standard deviation of the first weights


# N-MNIST: 300 ms in three saccades. DVS128 Gesture: half a second of a gesture.
NMNIST = {"side": 34, "events": 4163, "duration_ms": 300, "hidden": 200, "spread": 0.1}
WORKLOADS = (
    Workload(name="nmnist-T100", target=6, steps=100, batch=64, **NMNIST),
    Workload(name="nmnist-T100-batch128", target=6, steps=100, batch=128, **NMNIST),
    Workload(name="nmnist-T300", target=15, steps=300, batch=64, **NMNIST),
    Workload(name="nmnist-T300-batch128", target=15, steps=300, batch=128, **NMNIST),
    Workload(
        name="dvs128",
        target=40,
        side=128,
        events=20_000,
        duration_ms=500,
        steps=100,
        batch=64,
        hidden=256,
        spread=0.05,
    ),
    Workload(
        name="dense",
        target=1,
        side=16,
        events=0,
        duration_ms=500,
        steps=500,
        batch=16,
        hidden=512,
        spread=0.02,
    ),
)


def sample_events(rng: np.random.Generator, *, side: int, count: int, duration_us: int) -> NDArray[np.void]:
    """Three saccades; the events sit around a ring, most of them early in a saccade."""
    saccade_us = duration_us / 3
    angle, radius = rng.uniform(0, 2 * np.pi, count), rng.normal(8, 2, count) * side / 34
    events = np.empty(count, EVENT_DTYPE)
    events["t"] = np.sort(saccade_us * (rng.integers(0, 3, count) + rng.beta(2, 3, count)))
    events["x"], events["y"] = (np.clip(side / 2 + radius * f(angle), 0, side - 1) for f in (np.cos, np.sin))
    events["p"] = rng.integers(0, 2, count)
    return events


def write_problem(workload: Workload, path: Path, *, classes: int = 10, seed: int = 0) -> None:
    """Two batches and the first weights, as every library gets them."""
    rng = np.random.default_rng(seed)
    duration_us = 1000 * workload.duration_ms
    step_us = duration_us // workload.steps
    shape = (2 * workload.side**2, workload.hidden)
    problem = {
        "width": workload.side,
        "height": workload.side,
        "steps": workload.steps,
        "step_us": step_us,
        "batch": workload.batch,
        "decay": np.exp(-step_us / TAU_US),
        "first": rng.normal(0, workload.spread, shape).astype(np.float32),
        "second": rng.normal(0, 0.1, (workload.hidden, classes)).astype(np.float32),
    }
    if workload.events:
        sizes = {"side": workload.side, "count": workload.events, "duration_us": duration_us}
        problem["events"] = np.concatenate([sample_events(rng, **sizes) for _ in range(2 * workload.batch)])
        problem["starts"] = workload.events * np.arange(2 * workload.batch + 1)
        problem["labels"] = rng.integers(0, classes, (2, workload.batch))
    else:
        numbers = rng.standard_normal((2, workload.steps, workload.batch, len(problem["first"])))
        problem["numbers"] = numbers.astype(np.float32)
    np.savez(path, **problem)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Some steps of one contestant: seconds of each, and peak memory.

    peak_mb: on top of code and events. from_imports_mb: on top of what was imported. quiet: the cores were its own.
    """

    s: float
    peak_mb: float
    from_imports_mb: float
    quiet: bool


class Contestant:
    """A library at work in a process of its own, which does steps when told to."""

    def __init__(self, command: Sequence[str | Path], errors: Path) -> None:
        self._errors = errors
        with errors.open("w") as stderr:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": stderr}
            self._process = subprocess.Popen(command, text=True, **pipes)
        self.name = self._answer()["ready"]
        self.turns: list[Turn] = []

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended: {self._errors.read_text()[-2000:]}")
        return json.loads(line)

    def _ask(self, line: str) -> dict[str, Any]:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def activity(self) -> float:
        """Share of hidden neurons and steps with a spike."""
        return self._ask("activity")["activity"]

    def turn(self, patience_s: float) -> None:
        """Some steps, when the cores are free; again, if they were not in the end."""
        count = max(1, round(TURN_S / self.turns[-1].s)) if self.turns else 1
        deadline = time.monotonic() + patience_s
        while True:
            wait_for_cores(deadline)
            before, own_s = cores_s(), self._cpu_s()
            answer = self._ask(f"step {count}")
            busy, total = (after - at_first for after, at_first in zip(cores_s(), before, strict=True))
            quiet = busy - (self._cpu_s() - own_s) <= OTHERS * total
            if quiet or time.monotonic() > deadline:
                self.turns.append(Turn(**answer, quiet=quiet))
                return

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def seconds(self) -> float:
        """A step's, the median of quiet turns if there are any."""
        turns = self.turns[1:] or self.turns
        return statistics.median([turn.s for turn in turns if turn.quiet] or [turn.s for turn in turns])

    def close(self) -> None:
        """No more orders; the process ends."""
        self._process.stdin.close()
        self._process.wait()


def wait_for_cores(deadline: float) -> None:
    """Until other processes leave the cores alone, or it is late."""
    while time.monotonic() < deadline:
        before = cores_s()
        time.sleep(0.2)
        busy, total = (after - at_first for after, at_first in zip(cores_s(), before, strict=True))
        if busy <= OTHERS * total:
            return


def cores_s() -> tuple[float, float]:
    """Seconds that all cores together have worked, and have been there, since the machine started (Linux)."""
    user, nice, system, idle, waiting, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    busy = user + nice + system + irq + soft + steal
    tick = os.sysconf("SC_CLK_TCK")
    return busy / tick, (busy + idle + waiting) / tick


@contextlib.contextmanager
def contestants(commands: dict[str, list[str | Path]], folder: Path) -> Iterator[dict[str, Contestant]]:
    """Processes that have warmed up, one after another; what they complain of goes into the folder."""
    with contextlib.ExitStack() as stack:
        entered = {}
        for name, command in commands.items():
            entered[name] = Contestant(command, folder / f"{name}.txt")
            stack.callback(entered[name].close)
        yield entered


def interpreters(pythons: Sequence[Path]) -> dict[str, Path]:
    """The first of the interpreters that has a peer, for every peer that is somewhere."""
    found = {}
    for peer in PEERS:
        question = f"import importlib.util as u; raise SystemExit(u.find_spec({peer!r}) is None)"
        for python in pythons:
            if subprocess.run([python, "-c", question]).returncode == 0:
                found[peer] = python
                break
    return found


def measure(
    workload: Workload, pythons: dict[str, Path], *, ours: bool, rounds: int, patience_s: float
) -> dict[str, Any]:
    """Everybody's seconds a step and memory in one workload."""
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder, "problem.npz")
        write_problem(workload, problem)
        commands = {"ours": [sys.executable, HERE / "training_ours.py", problem]} if ours else {}
        for peer, python in pythons.items():
            commands[peer] = [python, HERE / "training_peers.py", peer, problem]
        with contestants(commands, problem.parent) as entered:
            for _ in range(rounds):
                for contestant in entered.values():
                    contestant.turn(patience_s)
            activity = {name: contestant.activity() for name, contestant in entered.items()}
    seconds = {name: contestant.seconds() for name, contestant in entered.items()}
    last = {name: contestant.turns[-1] for name, contestant in entered.items()}
    peers = {name: s for name, s in seconds.items() if name != "ours"}
    figures = {
        "name": workload.name,
        "target": workload.target,
        "ours_s": seconds.get("ours"),
        "peers": peers,
        "batch": workload.batch,
        "fastest_turn_s": {name: min(turn.s for turn in one.turns) for name, one in entered.items()},
        "quiet_turns": {name: sum(turn.quiet for turn in one.turns) for name, one in entered.items()},
        "peak_mb": {name: turn.peak_mb for name, turn in last.items()},
        "from_imports_mb": {name: turn.from_imports_mb for name, turn in last.items()},
        "activity": activity,
        "versions": [contestant.name for contestant in entered.values()],
    }
    if ours and peers:
        figures["speedup_over_best"] = min(peers.values()) / seconds["ours"]
        for ratio, memory in (("memory_ratio", "peak_mb"), ("from_imports_ratio", "from_imports_mb")):
            figures[ratio] = figures[memory]["ours"] / min(figures[memory][name] for name in peers)
    return figures


def measure_compilation(patience_s: float) -> dict[str, float]:
    """Seconds from the equations to the end of the first step, in new processes: nothing cached, then everything."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        problem, cache = Path(folder, "problem.npz"), Path(folder, "cache")
        write_problem(WORKLOADS[0], problem)
        command = [sys.executable, HERE / "training_ours.py", problem, "--first-step"]
        environment = os.environ | {"MICROSACCADE_CACHE": str(cache), "NUMBA_CACHE_DIR": str(cache / "numba")}
        for _ in range(4):
            wait_for_cores(time.monotonic() + patience_s)
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            taken.append(json.loads(done.stdout.splitlines()[-1])["s"])
    return {"compile_s": taken[0], "cached_compile_s": statistics.median(taken[1:])}


def table(workloads: Sequence[dict[str, Any]]) -> str:
    """Milliseconds a step and megabytes of everybody, a workload a line."""
    names = ["ours", *(peer for peer in PEERS if any(peer in figures["peers"] for figures in workloads))]
    lines = [f"{'ms a step (MB)':22}" + "".join(f"{name:>16}" for name in names) + f"{'times':>8}{'aim':>6}"]
    for figures in workloads:
        seconds = {"ours": figures["ours_s"], **figures["peers"]}
        cells = [
            f"{1e3 * seconds[name]:8.1f} ({figures['peak_mb'][name]:5.0f})" if seconds.get(name) else "-"
            for name in names
        ]
        times = f"{figures['speedup_over_best']:.1f}" if "speedup_over_best" in figures else "-"
        line = f"{figures['name']:22}" + "".join(f"{cell:>16}" for cell in cells)
        lines.append(line + f"{times:>8}{figures['target']:>6g}")
    return "\n".join(lines)


def main() -> None:
    """Measure everything, print it, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--peers-python", type=Path, nargs="*", default=[], help="interpreters that have the peers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--patience", type=float, default=10, help="seconds that a turn waits for other processes")
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--workloads", nargs="*", choices=names, default=names)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--without-ours", action="store_true", help="measure the peers alone")
    options = parser.parse_args()
    pythons = interpreters([Path(sys.executable), *options.peers_python])
    pythons = {peer: python for peer, python in pythons.items() if peer in options.peers}
    for peer in set(options.peers) - set(pythons):
        print(f"{peer} is absent: install it, or name a Python that has it with --peers-python", file=sys.stderr)
    how = {"ours": not options.without_ours, "rounds": options.rounds, "patience_s": options.patience}
    measured = []
    for workload in WORKLOADS:
        if workload.name in options.workloads:
            measured.append(measure(workload, pythons, **how))
            print(table(measured[-1:]), flush=True)
    figures = {"workloads": measured, "cores": len(os.sched_getaffinity(0))}
    if not options.without_ours:
        figures |= measure_compilation(options.patience)
    print(json.dumps(figures, indent=2))
    print(table(measured))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
