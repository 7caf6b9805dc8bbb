"""The landscape's tools against what is known, and on spiking networks.

    python benchmarks/landscape.py [--json landscape.json] [--parts curvature ridges descents widths field]

The rows of benchmarks/landscape_*.py, which say what is measured, and those of curvature: the top ten eigenpairs of
quadratic forms, and of a trained 2312-200-10 spiking network. It reads digits from the events of three saccades, 100
steps of 3 ms, with smooth spikes and in float64; the loss is that of the samples it was trained on. The JSON has
`rows`: {name, target, got, ...}.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import landscape_descents
import landscape_field
import landscape_ridge_rider
import landscape_widths
import numpy as np
from brian2 import BrianLogger, ms, prefs

import dvs
import learning
import snn
from dvs.scenes import microsaccades
from learning import landscape
from snn.neurons import leaky_readout, lif

DIGITS = Path(__file__).parents[1] / "examples" / "data" / "digits.npz"
SIZE, CLASSES = 34, 10
SEEDS = range(5)


def quadratic_forms(size: int = 1000, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """The largest relative error of the top ten eigenvalues, from gradients alone."""
    errors = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        directions, _ = np.linalg.qr(rng.standard_normal((size, size)))
        values = np.sort(rng.standard_normal(size) * 10)
        matrix = (directions * values) @ directions.T
        start = rng.standard_normal(size)
        f = landscape.of_function(lambda x, a=matrix: x @ a @ x / 2, lambda x, a=matrix: a @ x, start)
        found = landscape.eigenpairs(f, 10, progress=False)
        errors.append(float(np.max(np.abs(found.values / values[::-1][:10] - 1))))
    return {
        "name": f"top ten eigenvalues of quadratic forms of {size} numbers, largest relative error",
        "target": 1e-6,
        "got": max(errors),
        "values": errors,
    }


def large_network(samples: int = 200, epochs: int = 20, seed: int = 0) -> list[dict[str, Any]]:
    """Seconds for the top ten eigenpairs, and how exact they are."""
    with np.load(DIGITS) as file:
        images, labels = file["images"], file["labels"]
    chosen = np.random.default_rng(seed).permutation(len(labels))[:samples]
    seen = [
        dvs.emulate(microsaccades(0.2 + 0.4 * images[k] / 255, margin_px=3, fps=250), dvs.Sensor(), seed=int(k))
        for k in chosen
    ]
    eye = snn.EventInput(width=SIZE, height=SIZE, dt=3 * ms, collisions="first")
    layers = [
        snn.Dense(200, lif(tau=20 * ms), gain=3, name="hidden"),
        snn.Dense(CLASSES, leaky_readout(tau=20 * ms), name="readout"),
    ]
    network = snn.feedforward(eye, layers, seed=seed)
    model = learning.trainable(
        network, inputs=eye, output="readout.v", parameters=["hidden_in.w", "readout_in.w"], duration=300 * ms,
        surrogate=learning.surrogates.sigmoid(), smooth=True, through_reset=True, precision="float64",
    )  # fmt: skip
    loss = learning.losses.mean_over_time()
    history = model.fit(
        seen, labels[chosen], loss=loss, optimiser=learning.Adam(2e-3), epochs=epochs, batch=50, progress=False
    )
    f = landscape.of_model(model, seen, labels[chosen], loss)
    f.slope(f.start)  # compiled
    began_s = time.perf_counter()
    found = landscape.eigenpairs(f, 10, tolerance=1e-4, progress=False)
    took_s = time.perf_counter() - began_s
    name = f"top ten eigenpairs of a trained 2312-200-10 network, {f.size} weights, {samples} samples"
    return [
        {"name": f"{name}, seconds", "target": 120, "got": took_s, "products": found.products,
         "accuracy": history.accuracy[-1], "loss": history.loss[-1]},
        {"name": f"{name}, largest residual over the eigenvalue", "target": None,
         "got": float(np.max(found.residuals / found.values)), "eigenvalues": found.values.tolist()},
    ]  # fmt: skip


PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "curvature": lambda: [quadratic_forms(), *large_network()],
    "ridges": landscape_ridge_rider.rows,
    "descents": landscape_descents.rows,
    "widths": landscape_widths.rows,
    "field": landscape_field.rows,
}


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    prefs.codegen.target = "numpy"
    BrianLogger.suppress_name("unused_brian_object")
    rows = []
    for part in options.parts:
        began_s = time.perf_counter()
        found = PARTS[part]()
        rows += found
        for row in found:
            print(f"{row['name']}: {row['got']}   target {row['target']}", flush=True)
        print(f"{part} took {time.perf_counter() - began_s:.0f} s", flush=True)
        if options.json:
            record = {
                "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
                "python": platform.python_version(), "load": os.getloadavg(),
                "versions": {name: version(name) for name in ("microsaccade", "brian2", "numpy", "scipy")},
                "rows": rows,
            }  # fmt: skip
            options.json.write_text(json.dumps(record, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
