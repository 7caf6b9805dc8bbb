"""Where the peak of interpolation is, and how far critical points follow the laws of random matrices.

    python benchmarks/landscape_widths.py [--json widths.json] [--seeds 0 1 2 3 4] [--small]

Each row has a name, a target (None where nothing is aimed at), what was got over the seeds as mean, least and most, and
the values. Digits, random layer and small networks are those of examples/33_how_wide.py: 100 digits are fitted, a fifth
of their labels wrong. `--small`: one seed, and no networks.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from brian2 import BrianLogger, defaultclock, ms, prefs

from learning.landscape.critical_points import all_uphill, goe, index_law, random_field, semicircle_index
from learning.landscape.widths import gaussian_sweep, width_sweep


def example() -> ModuleType:
    """Its data and its networks."""
    path = Path(__file__).parents[1] / "examples" / "33_how_wide.py"
    spec = importlib.util.spec_from_file_location("how_wide", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["how_wide"] = module
    spec.loader.exec_module(module)
    return module


def row(name: str, target: Any, values: Sequence[float]) -> dict[str, Any]:
    """One line of the result; values that are none are left out of the mean."""
    known = [float(value) for value in values if np.isfinite(value)]
    some = {"got": float(np.mean(known)), "least": min(known), "most": max(known)} if known else {"got": None}
    return {"name": name, "target": target, **some, "values": [float(value) for value in values]}


def regression(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Normal features: n = 40 of 400, noise 0.5, all coefficients 1/20."""
    beta = np.full(400, 1 / 20)
    peaks = [gaussian_sweep(beta, samples=40, repeats=20, seed=seed, progress=False).peak for seed in seeds]
    widths = [5, 10, 20, 30, 60, 120, 400]
    sweeps = [gaussian_sweep(beta, samples=40, widths=widths, repeats=200, seed=s, progress=False) for s in seeds]
    off = [np.abs(one.test[0].mean(axis=1) / one.law[0] - 1).max() for one in sweeps]
    return [
        row("peak of least squares, n = 40", 40, peaks),
        row("closed form against 200 draws, largest relative error of 7 widths", 0, off),
    ]


def readout(module: ModuleType, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Spike counts of random neurons for digits."""
    found = {"peak": [], "height": [], "tuned": [], "wide": [], "wide tuned": []}
    for seed in seeds:
        counts, labels = module.spike_counts(30, 600, seed)
        one = width_sweep(counts, labels, samples=100, noise=0.2, ridge="tuned", repeats=10, seed=seed, progress=False)
        none, tuned = np.median(one.test, axis=2)
        wrong = np.median(one.wrong, axis=2)
        found["peak"].append(one.peak)
        found["height"].append(none.max() / none[-1])
        found["tuned"].append(tuned.max() / tuned[0])
        found["wide"].append(wrong[0, -1])
        found["wide tuned"].append(wrong[1, -1])
    return [
        row("peak of the readout of spiking neurons, n = 100", 100, found["peak"]),
        row("its height over the error at 600 neurons", None, found["height"]),
        row("with a tuned ridge: highest error over that of 10 neurons", 1, found["tuned"]),
        row("share of wrong labels at 600 neurons, no ridge", None, found["wide"]),
        row("share of wrong labels at 600 neurons, tuned ridge", None, found["wide tuned"]),
    ]


def matrices(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Random matrices and a random field, whose laws are known."""
    shifts = np.array([-0.6, -0.2, 0, 0.3, 0.8])
    off, four, field, ordered = [], [], [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        values = np.linalg.eigvalsh(goe(400, rng)[0])
        shares = [(values + 2 * 20 * shift < 0).mean() for shift in shifts]
        off.append(np.abs(shares - semicircle_index(shifts)).max())
        four.append((np.linalg.eigvalsh(goe(3, rng, count=200_000)) > 0).all(axis=1).mean())
        one = index_law(random_field(30, seed=seed), starts=40, seed=seed, progress=False)
        field.append(np.abs(one.down - semicircle_index(-one.heights / (2 * np.sqrt(30)))).mean())
        ordered.append(one.correlation)
    return [
        row("index of a moved GOE matrix of 400, largest error of 5 shifts", 0, off),
        row("share of GOE matrices of 3 with no way down", all_uphill(3), four),
        row("index at critical points of a random field of 30 against Bray & Dean, mean error", 0, field),
        row("its rank correlation with height", None, ordered),
    ]


def networks(module: ModuleType, seeds: Sequence[int], hidden: Sequence[int] = (1, 2, 3)) -> list[dict[str, Any]]:
    """Critical points of small networks of smooth spikes."""
    rows = []
    for cells in hidden:
        found = [module.network_points(cells, 12, seed) for seed in seeds]
        title = f"network of {4 * cells} weights"
        some = [one for one in found if len(one.heights)]
        rows += [
            row(f"{title}: starts that end at a critical point", None, [len(f.heights) / f.tried for f in found]),
            row(f"{title}: different heights among them", None, [f.distinct for f in found]),
            row(f"{title}: directions up", None, [f.up.mean() for f in some]),
            row(f"{title}: points with no way down", None, [(f.down == 0).mean() for f in some]),
            row(f"{title}: rank correlation of height and index", None, [f.correlation for f in some]),
            row(f"{title}: semicircle less what was counted", 0, [(f.law - f.down).mean() for f in some]),
        ]
    return rows


def rows(seeds: Sequence[int] = (0, 1, 2, 3, 4), *, small: bool = False) -> list[dict[str, Any]]:
    """All of it; some minutes."""
    BrianLogger.suppress_name("unused_brian_object")  # the models run, Brian2 does not
    prefs.codegen.target = "numpy"
    module = example()
    seeds = seeds[:1] if small else seeds
    found = regression(seeds) + readout(module, seeds) + matrices(seeds)
    if not small:
        defaultclock.dt = 1 * ms
        found += networks(module, seeds)
    return found


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    found = rows(options.seeds, small=options.small)
    for one in found:
        spread = f" ({one['least']:.3g} to {one['most']:.3g})" if one["got"] is not None else ""
        got = "none" if one["got"] is None else f"{one['got']:.3g}"
        print(f"{one['name']}: {got}{spread}" + ("" if one["target"] is None else f", expected {one['target']:.3g}"))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
