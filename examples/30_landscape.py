"""The loss of a spiking network as a landscape: the way that training took, how sharp it was there, what lies around.

A small network learns which of four ways a bar moves, by plain gradient descent on all samples. Its spikes are smooth
then, so that the surrogate gradient is the derivative of the loss. Then four looks at where it came to:

- the way in the plane of its two principal directions (Li et al. 2018, "Visualizing the loss landscape of neural
  nets");
- the loss along a random line, filter by filter as long as the weights, with smooth spikes and with real ones;
- the sharpness along the way, beside the 2 / learning rate up to which gradient descent holds a valley (Cohen et al.
  2021, "Gradient descent on neural networks typically occurs at the edge of stability");
- the spectrum of the Hessian at its end: a few steep directions, many flat ones, and some that still lead down.

    python examples/30_landscape.py [--bars 60] [--epochs 60] [--rate 0.5] [--grid 15] [--depth 60] [--seed 0]
        [--output landscape.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import BrianLogger, ms, prefs
from matplotlib.figure import Figure

import dvs
import learning
import snn
from dvs.charts import INK, OFF, ON
from dvs.scenes import moving_bar
from learning import landscape
from snn.neurons import leaky_readout, lif

FIELD = 8  # pixels
LOOK = 60 * ms


def bar(direction: int, rng: np.random.Generator) -> dvs.Recording:
    """The events of a bar that moves right, down, left or up."""
    scene = moving_bar(
        direction_deg=90 * direction, speed_px_s=rng.uniform(250, 500), bar_px=rng.uniform(2, 3),
        contrast_ln=rng.choice([-0.7, 0.7]), width=FIELD, height=FIELD,
    )  # fmt: skip
    return dvs.emulate(scene)


def picture(
    way: landscape.Trajectory, lines: dict[str, landscape.Line], sharp: landscape.Sharpness, seen: landscape.Density
) -> Figure:
    """The four looks."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    (a, b), (c, d) = figure.subplots(2, 2)
    way.plot(a)
    for (name, found), colour, style in zip(lines.items(), (ON, OFF), ("-", "--"), strict=True):
        found.plot(b)
        b.lines[-2].set(color=colour, linestyle=style, label=name)
    b.legend(frameon=False, labelcolor=INK)
    sharp.plot(c)
    seen.plot(d)
    titles = ("the way of training", "along a random line", "sharpness on the way", "spectrum at the end")
    for ax, title in zip((a, b, c, d), titles, strict=True):
        ax.set_title(title, loc="left", fontweight="bold", color=INK)
    return figure


def main() -> None:
    """Train, look, say what was seen, draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bars", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0.5, help="learning rate of gradient descent")
    parser.add_argument("--grid", type=int, default=15, help="points of the plane each way")
    parser.add_argument("--depth", type=int, default=60, help="Lanczos steps of the spectrum")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("landscape.png"))
    options = parser.parse_args()
    prefs.codegen.target = "numpy"
    BrianLogger.suppress_name("unused_brian_object")  # the models run, Brian2 does not

    rng = np.random.default_rng(options.seed)
    labels = np.arange(options.bars) % 4
    bars = [bar(label, rng) for label in labels]
    eye = snn.EventInput(width=FIELD, height=FIELD, dt=1 * ms, collisions="first")
    layers = [
        snn.Dense(16, lif(tau=10 * ms), gain=3, name="hidden"),
        snn.Dense(4, leaky_readout(tau=20 * ms), name="readout"),
    ]
    network = snn.feedforward(eye, layers, seed=options.seed)
    told = {"inputs": eye, "output": "readout.v", "parameters": ["hidden_in.w", "readout_in.w"], "duration": LOOK}
    smooth = learning.trainable(
        network, surrogate=learning.surrogates.sigmoid(), smooth=True, through_reset=True, precision="float64", **told
    )
    loss = learning.losses.mean_over_time()
    kept = landscape.Kept(smooth)
    history = smooth.fit(
        bars, labels, loss=loss, optimiser=learning.SGD(options.rate), epochs=options.epochs, batch=options.bars,
        on_epoch=kept,
    )  # fmt: skip
    f = landscape.of_model(smooth, bars, labels, loss)
    print(f"{f.size} weights; loss {history.loss[0]:.3f} at first, {history.loss[-1]:.3f} at last, "
          f"{history.accuracy[-1]:.0%} right")  # fmt: skip

    way = landscape.trajectory(f, kept.points, grid=options.grid)
    print("the way:", way)
    spiking = learning.trainable(network, **told)
    lines = {
        name: landscape.line(landscape.of_model(model, bars, labels, loss), seed=options.seed)
        for name, model in {"smooth spikes": smooth, "real spikes": spiking}.items()
    }
    for name, found in lines.items():
        print(f"along a line, {name}: {found}")
    after = np.arange(0, options.epochs + 1, max(1, options.epochs // 15))
    sharp = landscape.sharpness(f, [kept.points[k] for k in after], epochs=after, learning_rate=options.rate)
    print("on the way:", sharp)
    seen = landscape.density(f, depth=options.depth)
    print("at the end:", seen)
    print("           ", landscape.eigenpairs(f, 10, ends="both"))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(way, lines, sharp, seen).savefig(options.output, dpi=100)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
