"""Does Ridge Rider find every solution where all are known, and more than restarts where they are not?

    python benchmarks/landscape_ridge_rider.py [--wells 2 3 4] [--seeds 0 1 2 3 4] [--depth 1]

The wells are f(x) = sum a_i ((Q'x)_i^2 - b_i)^2 for a random rotation Q, with 2^n minima. The network is that of
examples/29_ridge_rider.py: three wires, two neurons; a seed draws the spike trains and where the restarts begin.
"""

import argparse
import runpy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import defaultclock, ms, prefs

from learning.landscape.objective import of_function
from learning.landscape.ridges import compare_with_restarts, ridge_rider

EXAMPLE = Path(__file__).parents[1] / "examples" / "29_ridge_rider.py"


def wells(size: int) -> dict[str, Any]:
    """All minima of a function with 2^size of them."""
    a, b = 1 + 0.3 * np.arange(size), 1.5 - 0.15 * np.arange(size)
    q, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((size, size)))
    f = of_function(
        lambda x: a @ ((q.T @ x) ** 2 - b) ** 2,
        lambda x: q @ (4 * a * (q.T @ x) * ((q.T @ x) ** 2 - b)),
        np.zeros(size),
    )
    tree = ridge_rider(f, step=0.15, rides=10_000, progress=False)
    places = {tuple(signs) for signs in np.sign(tree.solutions.x @ q)}
    return {
        "name": f"ridge rider: minima of {size} wells",
        "target": 2**size,
        "got": len(places),
        "repeats": len(tree.solutions) - len(places),
        "rides": len(tree.nodes) - 1,
        "gradients": tree.gradients,
    }


def network(seed: int, depth: int) -> dict[str, dict[str, float]]:
    """Distinct solutions of the network, by who looked for them."""
    prefs.codegen.target = "numpy"
    defaultclock.dt = 1 * ms
    example = runpy.run_path(str(EXAMPLE))
    f, code, _ = example["problem"](3, 0.01, seed)
    shared = {"apart": 0.01, "tolerance": 1e-5, "code": code, "seed": seed, "progress": False}
    tree = ridge_rider(f, step=0.2, depth=depth, rides=100, curvature=1e-3, **shared)
    found = {"ridges": tree.solutions}
    for name, spread in {"restarts beside the saddle": 0.02, "restarts far away": 0.5}.items():
        found[name] = compare_with_restarts(f, tree, spread=spread, steps=20, rate=0.5, **shared).restarts
    return {
        name: {
            "solutions": len(one),
            "diversity": one.diversity,
            "code_diversity": one.code_diversity,
            "code_correlation": example["likeness"](one.codes) if len(one) > 1 else np.nan,
            "best": float(one.losses.min()) if len(one) else np.nan,
            "worst": float(one.losses.max()) if len(one) else np.nan,
            "tries": one.tries,
            "gradients": one.gradients,
        }
        for name, one in found.items()
    }


def rows(sizes: Iterable[int] = (2, 3, 4), seeds: Iterable[int] = range(5), depth: int = 1) -> list[dict[str, Any]]:
    """{name, target, got, ...}: for the network the target of the ridges is what restarts far away found."""
    found = [wells(size) for size in sizes]
    by_seed = [network(seed, depth) for seed in seeds]
    means = {
        name: {key: [one[name][key] for one in by_seed] for key in by_seed[0][name]}
        for name in (by_seed[0] if by_seed else ())
    }
    for name, numbers in means.items():
        others = means["restarts far away" if name == "ridges" else "ridges"]
        for key in ("solutions", "diversity", "code_diversity"):
            found.append(
                {
                    "name": f"{name}: {key.replace('_', ' ')} of a spiking network",
                    "target": float(np.mean(others[key])) if name == "ridges" else None,
                    "got": float(np.nanmean(numbers[key])),
                    "by_seed": numbers[key],
                }
            )
        found[-1] |= {key: numbers[key] for key in ("code_correlation", "best", "worst", "tries", "gradients")}
    return found


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wells", type=int, nargs="*", default=[2, 3, 4])
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(5)))
    parser.add_argument("--depth", type=int, default=1, help="rides one after the other in the network")
    options = parser.parse_args()
    for row in rows(options.wells, options.seeds, options.depth):
        print(row)


if __name__ == "__main__":
    main()
