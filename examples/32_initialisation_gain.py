"""How large should the first weights be? A network of two spiking layers, its weights multiplied over four decades.

Weights that are too small leave a layer silent. Weights that are too large tell a neuron the same whatever came: it is
held down, or fires whenever it can. In between a network can learn. Two of three weights excite, as weights do that are
normal with a mean of half their spread. Printed are the band of gains in which less than a quarter of each layer is
dead or saturated, and the gains from which a short training comes low; the pictures show both. A surrogate gradient
reaches neurons that are silent, so learning goes further down than firing; what it does not survive are large gains.
(Zenke & Vogels 2021, "The remarkable robustness of surrogate gradient learning"; Rossbroich, Gygax & Zenke 2022,
"Fluctuation-driven initialization for spiking neural network training".)

    python examples/32_initialisation_gain.py [--gains 21] [--hidden 20] [--steps 30] [--seed 0] [--output gain.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import BrianLogger, SpikeGeneratorGroup, defaultclock, ms, prefs
from matplotlib.figure import Figure

import learning
from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from learning.landscape.gain import gain_sweep
from snn.networks import Dense, feedforward
from snn.neurons import leaky_readout, lif

INPUTS, CLASSES, STEPS = 6, 3, 20


def main() -> None:
    """Sweep, print the band, draw firing, gradients and losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gains", type=int, default=21, help="from 0.05 to 500")
    parser.add_argument("--hidden", type=int, default=20, help="neurons of each of the two layers")
    parser.add_argument("--steps", type=int, default=30, help="of training at each gain, by Adam")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("gain.png"))
    options = parser.parse_args()
    prefs.codegen.target = "numpy"
    BrianLogger.suppress_name("unused_brian_object")  # the models run, Brian2 does not
    defaultclock.dt = 1 * ms

    source = SpikeGeneratorGroup(INPUTS, [], [] * ms, name="source")
    rng = np.random.default_rng(options.seed)
    sizes = {"first": INPUTS, "second": options.hidden}
    hidden = [
        Dense(
            options.hidden, lif(reset="soft"), weights=rng.normal(0.5, 1, (n, options.hidden)) / np.sqrt(n), name=name
        )
        for name, n in sizes.items()
    ]
    network = feedforward(source, [*hidden, Dense(CLASSES, leaky_readout(), name="readout")], seed=options.seed)
    model = learning.trainable(
        network, inputs=source, output=network["readout"].v, duration=STEPS * ms, threads=1,
        parameters=[network[f"{name}_in"].w for name in ("first", "second", "readout")],
        surrogate=learning.surrogates.sigmoid(),
    )  # fmt: skip
    labels = np.arange(48) % CLASSES
    chance = np.where(np.arange(INPUTS) // 2 == labels[:, None], 0.5, 0.2)
    samples = (np.random.default_rng(options.seed).random((48, STEPS, INPUTS)) < chance[:, None]).astype(int)

    found = gain_sweep(
        model, samples, labels, learning.losses.mean_over_time(), np.geomspace(0.05, 500, options.gains),
        scaled=["first_in.w", "second_in.w"], optimiser=learning.Adam(0.02), steps=options.steps,
    )  # fmt: skip
    print(found)
    for k in range(0, found.gains.size, 4):
        layers = "; ".join(
            f"{name}: {found.rates[name][k]:.2f} spikes a step, {found.dead[name][k]:.0%} dead, "
            f"{found.saturated[name][k]:.0%} saturated" for name in found.dead
        )  # fmt: skip
        print(f"  gain {found.gains[k]:8.3g}: {layers}; loss {found.loss[k]:.3f} -> {found.trained[k]:.3f}")

    figure = Figure(figsize=(13.5, 4.2), layout="constrained")
    firing, slopes, losses = figure.subplots(1, 3)
    found.plot(firing)
    found.plot(losses, show="learning")
    prepare(slopes)
    if found.band is not None:
        slopes.axvspan(*found.band, color=INK, alpha=0.08, linewidth=0, label="usable")
    for (name, norms), colour in zip(found.gradients.items(), (ON, OFF, INK), strict=True):
        slopes.plot(found.gains, np.where(norms > 0, norms, np.nan), color=colour, label=name)
    slopes.set(xscale="log", yscale="log", xlim=(found.gains[0], found.gains[-1]), ylim=(1e-4, None))
    name_axes(slopes, "gain of the weights", "norm of the gradient, at the beginning")
    legend(slopes)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=100)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
