"""Everything that learns while it runs: e-prop, a pole, a track and a maze, a sampler, dreams and sleep.

    python benchmarks/three_factor.py [--json three_factor.json] [--seeds 0 1 2 3 4] [--small]
        [--only eprop loop maze gym sampler sleep] [--without eprop:adaptation loop:critic ...]

Each topic is a file beside this one, which says what it measures and can be run alone. --without: take something away
in one topic, by its name. The JSON has one object a row under `results`: name, target, got (mean over seeds), spread
(standard deviation), seeds, and further each, the value of every seed, and met.
"""

import argparse
import json
import os
import platform
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

TOPICS = ("eprop", "loop", "maze", "gym", "sampler", "sleep")


def main() -> None:
    """Run the topics, print a table, keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", choices=TOPICS, default=list(TOPICS))
    parser.add_argument("--without", nargs="+", default=[], metavar="TOPIC:WHAT")
    parser.add_argument("--small", action="store_true", help="to see that it runs; its numbers mean nothing")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    without = dict(one.partition(":")[::2] for one in options.without)
    if unknown := set(without) - set(TOPICS):
        parser.error(f"--without is for {sorted(unknown)}, expected topics of {', '.join(TOPICS)}")
    machine = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{name: version(name) for name in ("brian2", "numpy", "numba", "microsaccade")},
    }
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    results = []
    for topic in options.only:
        begin = time.perf_counter()
        load = os.getloadavg()[0]
        rows = import_module(f"three_factor_{topic}").rows(
            options.seeds, small=options.small, without=without.get(topic)
        )  # fmt: skip
        print(f"-- {topic}: {time.perf_counter() - begin:.0f} s, load before {load:.1f}", flush=True)
        results += rows
        if options.json:  # after each topic, since the next may take an hour
            options.json.write_text(json.dumps({**machine, "results": results}, indent=1))
    for row in results:
        print(f"{row['name']:60} {row['got']:10.4g} +- {row['spread']:8.2g}  {row['target']}  {row.get('met', '')}")


if __name__ == "__main__":
    main()
