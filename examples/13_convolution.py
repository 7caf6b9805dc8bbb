"""A convolutional network learns on the left where bars move to, and knows it on the right, where it never saw one.

A window at a random place shows a bar that moves right, down, left or up at a random speed, brighter or darker than
the field. Spiking neurons see its events through a few small kernels, each the same at all places (LeCun et al. 1989,
"Backpropagation applied to handwritten zip code recognition", Neural Comput. 1:541), and all neurons of a kernel vote
alike for the directions. Training shows the left half of the field, the test the right one; neurons with weights of
their own have to guess there. The kernels that weight decay leaves are edges: what an edge meets first excites, what
it meets next inhibits, as in the retina (Barlow & Levick 1965, "The mechanism of directionally selective units in
rabbit's retina", J. Physiol. 178:477).

    python examples/13_convolution.py [--bars 400] [--epochs 15] [--kernels 8] [--seed 0] [--codegen numpy]
        [--output kernels.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import Network, ms, prefs
from matplotlib.figure import Figure

import dvs
import learning
import snn
from dvs.charts import INK
from dvs.scenes import moving_bar
from snn.neurons import leaky_readout, lif
from snn.probes.pictures import two_sided
from snn.synapses import Wiring, connect, free_weights

FIELD, WINDOW, SIZE = 24, 10, 5  # pixels; the last is that of a kernel
LOOK = 80 * ms
CELL, MEMBRANE = lif(tau=5 * ms), leaky_readout(tau=20 * ms)


def bar(direction: int, from_px: int, rng: np.random.Generator) -> dvs.Recording:
    """The events of a bar that crosses a window, somewhere on the half of the field that begins at from_px."""
    scene = moving_bar(
        direction_deg=90 * direction, speed_px_s=rng.uniform(250, 600), bar_px=rng.uniform(2, 4),
        contrast_ln=rng.choice([-0.7, 0.7]), width=WINDOW, height=WINDOW,
    )  # fmt: skip
    y, x = rng.integers(FIELD - WINDOW + 1), from_px + rng.integers(FIELD // 2 - WINDOW + 1)
    frames = np.full((scene.count, FIELD, FIELD), 0.2)
    frames[:, y : y + WINDOW, x : x + WINDOW] = [frame for _, frame in scene]
    return dvs.emulate(frames, fps=1000)


def convolution(eye: snn.EventInput, kernels: int, seed: int) -> Network:
    """A map of neurons for each kernel, and a membrane for each direction that hears all neurons of a map alike."""
    network = snn.feedforward(eye, [snn.Conv(kernels, CELL, size=SIZE, gain=4, name="hidden")], seed=seed)
    hidden = network["hidden"]
    readout = MEMBRANE.group(4, name="readout", clock=hidden.clock)
    neuron, direction = np.indices((len(hidden), 4)).reshape(2, -1)
    votes = Wiring(
        pre=neuron, post=direction, weights=0.03 * np.random.default_rng(seed).standard_normal(4 * kernels),
        shared=4 * (neuron // (len(hidden) // kernels)) + direction, in_shape=(len(hidden),), out_shape=(4,),
    )  # fmt: skip
    network.add(readout, connect(hidden, readout, votes, name="readout_in"))
    return network


def dense(eye: snn.EventInput, seed: int) -> Network:
    """The same neurons, each with weights of its own."""
    layers = [snn.Dense(64, CELL, gain=4, name="hidden"), snn.Dense(4, MEMBRANE, name="readout")]
    return snn.feedforward(eye, layers, seed=seed)


def picture(network: Network, history: learning.History) -> Figure:
    """What each kernel looks for in ON and in OFF events, under the direction it votes for; how the training went."""
    votes = free_weights(network["readout_in"])[:].reshape(-1, 4)
    kernels = free_weights(network["hidden_in"])[:].reshape(-1, 2, SIZE, SIZE)
    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subfigures(2)
    above.suptitle(
        "kernels: blue excites, orange inhibits", x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK
    )
    boxes = above.subplots(2, len(kernels), squeeze=False)
    order = np.lexsort((-np.abs(kernels).sum(axis=(1, 2, 3)), votes.argmax(axis=1)))
    for column, k in zip(boxes.T, order, strict=True):
        column[0].set_title("→↓←↑"[votes[k].argmax()], fontsize=20, color=INK)
        for box, polarity in zip(column, (1, 0), strict=True):
            box.imshow(kernels[k, polarity], cmap=two_sided(), vmin=-np.abs(kernels).max(), vmax=np.abs(kernels).max())
            box.set(xticks=[], yticks=[])
    for box, name in zip(boxes[:, 0], ("ON", "OFF"), strict=True):
        box.set_ylabel(name, color=INK, fontsize=11, fontweight="bold")
    history.plot(below.subplots(1, 2))
    return figure


def main() -> None:
    """Train both networks on the left half of the field, ask them on the right half, draw the kernels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bars", type=int, default=400, help="on the left; a quarter as many more on the right")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--kernels", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the bars, the first weights and the training")
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("kernels.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen

    rng = np.random.default_rng(options.seed)
    directions = np.arange(options.bars) % 4
    left = [bar(direction, 0, rng) for direction in directions]
    asked = directions[: options.bars // 4]
    right = [bar(direction, FIELD // 2, rng) for direction in asked]

    eyes = [snn.EventInput(width=FIELD, height=FIELD, dt=1 * ms, collisions="first") for _ in range(2)]
    networks = [dense(eyes[0], options.seed), convolution(eyes[1], options.kernels, options.seed)]
    loss = learning.losses.mean_over_time()
    for name, eye, network in zip(("dense", "convolution"), eyes, networks, strict=True):
        model = learning.trainable(
            network, inputs=eye, output="readout.v", parameters=["hidden_in.w", "readout_in.w"], duration=LOOK
        )
        history = model.fit(
            left, directions, loss=loss, optimiser=learning.AdamW(0.02, weight_decay=0.5), epochs=options.epochs,
            batch=20, validation=(right, asked), seed=options.seed,
        )  # fmt: skip
        responses = snn.run(network, right, input=eye, duration=LOOK, states={"readout": ["v"]})
        told = loss.predict(responses.states["readout"]["v"])
        weights = sum(values.size for values in model.parameters.values())
        print(
            f"{name}, {weights} weights: {history.accuracy[-1]:.1%} right on the left, where it learnt; "
            f"in Brian2 {(told == asked).mean():.1%} on the right (chance 25%)"
        )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(networks[1], history).savefig(options.output, dpi=100)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
