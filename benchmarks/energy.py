"""What counting costs while a network runs, and what an inference costs by each list of prices.

    python benchmarks/energy.py [--json energy.json] [--rounds 25] [--samples 40] [--small]

Overhead, with and without in turn, after a round that is not counted; a ratio is of neighbours. Cython.
Samples: 2312-200-10 LIF neurons, dt 1 ms, 300 ms, N-MNIST-like; a `Runner` that keeps all spikes, and `count`, against
one that keeps those of neurons, as it does by default.
CUBA: 4000 LIF neurons, 2 % connectivity, dt 0.1 ms, 1 s (Brette et al. 2007, benchmark 2, as in Brian2's examples);
`Network.run` with a `Meter`, made before and read after, against `Network.run`; every run is of a new network.
`counting_overhead` is the larger of the two medians. CPU time, which other work on the machine does not change as much,
is given beside time on the clock.

Keyword spotting on Loihi (Blouw et al. 2019; 272.1 uJ metered, dynamic) is that of tests/test_energy_account.py.
Lists: the energy of the network of 2312-200-10 neurons, without host and sensor, at the prices of every list, in real
time; where a list says how large cores are, neurons are placed on them.

The JSON has one object a row under `results`: name, target, got, met, and what lies around it.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import brian2 as b2
import numpy as np
from brian2 import ms, mV
from network import SIDE, STEPS, network_2312_200_10, samples_like_nmnist
from training import wait_for_cores

from snn.energy import Counts, Meter, account, count, load_prices, place, price_list_names, read_structure
from snn.inputs import EventInput
from snn.running import Runner
from snn.spikes import Responses

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from test_energy_account import METERED_J, keyword_spotting

TARGET = 0.05
PATIENCE_S = 3  # for other processes to leave a core alone, before each run


class Pairs:
    """Times of two ways to do the same, in turn; who begins changes from round to round."""

    def __init__(self) -> None:
        self.clock_s: dict[str, list[float]] = {"without": [], "with": []}
        self.cpu_s: dict[str, list[float]] = {"without": [], "with": []}

    def measure(self, ways: dict[str, Callable[[], Callable[[], object]]], rounds: int) -> None:
        """ways: each prepares a run, which is not timed, and gives back what is."""
        for number in range(rounds + 1):
            for name in sorted(ways, reverse=bool(number % 2)):
                run = ways[name]()
                wait_for_cores(time.monotonic() + PATIENCE_S)
                began = time.perf_counter(), time.process_time()
                run()
                clock_s, cpu_s = time.perf_counter() - began[0], time.process_time() - began[1]
                if number:
                    self.clock_s[name].append(clock_s)
                    self.cpu_s[name].append(cpu_s)

    def row(self, name: str) -> dict[str, Any]:
        """The overhead: median and quartiles of the ratios of neighbours, less 1."""
        clock, cpu = (overheads(times) for times in (self.clock_s, self.cpu_s))
        got = statistics.median(clock)
        return {
            "name": name,
            "target": f"<= {TARGET}",
            "got": got,
            "met": got <= TARGET,
            "quartiles": quartiles(clock),
            "cpu": statistics.median(cpu),
            "cpu_quartiles": quartiles(cpu),
            "seconds": {way: statistics.median(times) for way, times in self.clock_s.items()},
            "each": clock,
            # Near 1 if the process had a core for itself.
            "cpu_of_clock": sum(map(sum, self.cpu_s.values())) / sum(map(sum, self.clock_s.values())),
        }


def overheads(times: dict[str, list[float]]) -> list[float]:
    """Of each round."""
    return [after / before - 1 for before, after in zip(times["without"], times["with"], strict=True)]


def quartiles(values: list[float]) -> list[float]:
    """The first and the third."""
    return [float(value) for value in np.quantile(values, [0.25, 0.75])]


def of_samples(samples: int, rounds: int) -> tuple[list[dict[str, Any]], b2.Network, Responses]:
    """Overhead and speed of counts of many samples; the network and its responses."""
    b2.defaultclock.dt = 1 * ms
    shown = samples_like_nmnist(samples)
    networks, runners = {}, {}
    for way, record in (("without", None), ("with", "all")):
        eye = EventInput(width=SIDE, height=SIDE, collisions="first", name="input")
        networks[way] = network_2312_200_10(eye.group)
        runners[way] = Runner(networks[way], input=eye, duration=STEPS * ms, record=record)
    began = time.perf_counter()
    structure = read_structure(networks["with"], {})
    read_s = time.perf_counter() - began
    pairs = Pairs()
    pairs.measure(
        {
            "without": lambda: lambda: runners["without"].run(shown, progress=False),
            "with": lambda: lambda: count(structure, runners["with"].run(shown, progress=False)),
        },
        rounds,
    )
    responses = runners["with"].run(shown, progress=False)
    speed = speed_row("samples", lambda: count(structure, responses)) | {"structure_read_in_s": read_s}
    return (
        [pairs.row(f"overhead, {samples} samples of 2312-200-10") | {"samples": samples}, speed],
        networks["with"],
        responses,
    )


def of_cuba(duration_ms: int, rounds: int) -> list[dict[str, Any]]:
    """Overhead and speed of the counts of one long run."""
    b2.defaultclock.dt = 0.1 * ms
    made: list[Meter] = []

    def metered() -> Callable[[], object]:
        network = cuba()

        def run() -> None:
            made[:] = [Meter(network)]
            network.run(duration_ms * ms, namespace={})
            made[0].counts(namespace={})

        return run

    def alone() -> Callable[[], object]:
        network = cuba()
        return lambda: network.run(duration_ms * ms, namespace={})

    pairs = Pairs()
    pairs.measure({"without": alone, "with": metered}, rounds)
    return [
        pairs.row(f"overhead, CUBA for {duration_ms} ms"),
        speed_row("CUBA", lambda: made[0].counts(namespace={})),
    ]


def cuba(neurons: int = 4000) -> b2.Network:
    """Excitatory and inhibitory neurons with synaptic currents; the same synapses every time."""
    names = {"taum": 20 * ms, "taue": 5 * ms, "taui": 10 * ms, "El": -49 * mV, "Vt": -50 * mV, "Vr": -60 * mV}
    cells = b2.NeuronGroup(
        neurons,
        """dv/dt = (ge + gi - (v - El))/taum : volt (unless refractory)
        dge/dt = -ge/taue : volt
        dgi/dt = -gi/taui : volt""",
        threshold="v > Vt",
        reset="v = Vr",
        refractory=5 * ms,
        method="exact",
        namespace=names,
        name="cells",
    )
    rng = np.random.default_rng(0)
    cells.v = (-60 + 10 * rng.random(neurons)) * mV
    network = b2.Network(cells)
    excitatory = neurons * 4 // 5
    for name, first, last, onto, weight in (
        ("excitatory", 0, excitatory, "ge", 60 * 0.27 / 10 * mV),
        ("inhibitory", excitatory, neurons, "gi", -20 * 4.5 / 10 * mV),
    ):
        synapses = b2.Synapses(cells, cells, on_pre=f"{onto}_post += w", namespace={"w": weight}, name=name)
        pre, post = np.nonzero(rng.random((last - first, neurons)) < 0.02)
        synapses.connect(i=pre + first, j=post)
        network.add(synapses)
    return network


def speed_row(name: str, counted: Callable[[], Counts]) -> dict[str, Any]:
    """How fast spikes are counted: median of five."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        counts = counted()
        taken.append(time.perf_counter() - began)
    took_s = statistics.median(taken)
    spikes = sum(int(one.spikes.sum()) for one in counts.populations)
    events = sum(int(one.delivered.sum()) for one in counts.projections)
    return {
        "name": f"synaptic events counted in a second, {name}",
        "target": "",
        "got": events / took_s,
        "spikes_s": spikes / took_s,
        "spikes": spikes,
        "synaptic_events": events,
        "count_s": took_s,
    }


def of_keywords() -> list[dict[str, Any]]:
    """An inference on Loihi against the meter, and what SynOps alone would say."""
    likely, least, most = (keyword_spotting(activity) for activity in (0.1, 0, 1))
    low, high = least.total.low, most.total.high
    error = likely.total.joules / METERED_J - 1
    rows = [
        {
            "name": "keyword spotting on Loihi, uJ",
            "target": f"within 25 % of {1e6 * METERED_J:.1f}",
            "got": 1e6 * likely.total.joules,
            "met": abs(error) <= 0.25,
            "error": error,
        },
        {
            "name": "keyword spotting on Loihi, interval in uJ",
            "target": f"contains {1e6 * METERED_J:.1f}",
            "got": [1e6 * low, 1e6 * high],
            "met": low <= METERED_J <= high,
        },
    ]
    for activity, made in ((0.1, likely), (1, most)):
        miss = METERED_J / made.synops_only.joules
        name = f"metered by SynOps only, {activity:.0%} of synapses active in a step"
        rows.append({"name": name, "target": "> 4, a miss", "got": miss, "met": miss > 4})
    return rows


def of_lists(network: b2.Network, responses: Responses) -> list[dict[str, Any]]:
    """The same network at every list of prices."""
    structure = read_structure(network, {})
    rows = []
    for name in price_list_names():
        prices = load_prices(name)
        placement = place(structure, prices.cores) if prices.cores else None
        made = account(
            count(structure, responses, placement=placement, name="2312-200-10"),
            prices,
            chips=placement.chips if placement else 1,
            boundary=("network", "static"),
        )
        rows.append(
            {
                "name": f"uJ an inference, {name}",
                "target": "",
                "got": 1e6 * made.total.joules,
                "low": 1e6 * made.total.low,
                "high": 1e6 * made.total.high,
                "at_least": made.total.at_least,
                "dynamic": 1e6 * made.dynamic.joules,
                "dynamic_at_least": made.dynamic.at_least,
                "synops_only": made.synops_only and 1e6 * made.synops_only.joules,
                "weakest_evidence": made.weakest_evidence,
                "unpriced": [each.term for each in made.unpriced],
            }
        )
    spreads = []
    for kind, title in (("dynamic", "dynamic energy"), ("got", "energy")):
        known = [row[kind] for row in rows if row[kind]]
        name = f"{title}, largest by smallest of {len(known)} lists"
        spreads.append({"name": name, "target": "", "got": max(known) / min(known)})
    return rows + spreads


def main() -> None:
    """Measure everything, print it, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--small", action="store_true", help="to see that it runs; its times mean nothing")
    options = parser.parse_args()
    rounds, samples, cuba_ms = (2, 3, 20) if options.small else (options.rounds, options.samples, 1000)
    machine = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{name: version(name) for name in ("brian2", "numpy", "numba", "microsaccade")},
        "load_before": os.getloadavg()[0],
    }
    samples_rows, network, responses = of_samples(samples, rounds)
    cuba_rows = of_cuba(cuba_ms, rounds)
    overheads_found = [samples_rows[0]["got"], cuba_rows[0]["got"]]
    figures = {
        "counting_overhead": max(overheads_found),
        **machine,
        "load_after": os.getloadavg()[0],
        "rounds": rounds,
        "seeds": {"samples": 0, "weights": 0, "cuba": 0},
        "results": [*samples_rows, *cuba_rows, *of_keywords(), *of_lists(network, responses)],
    }
    for row in figures["results"]:
        got = row["got"] if isinstance(row["got"], list) else [row["got"]]
        print(f"{row['name']:62} {' to '.join(f'{one:.4g}' for one in got):18} {row['target']:24} {row.get('met', '')}")
    print(f"counting_overhead {figures['counting_overhead']:.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
