"""How few events make a spiking network change its mind? Digits, a handful of events, and the Brian2 network agrees.

A network learns digits from the events of one saccade (emulated, as in example 08). Then events are removed, added or
moved by up to 10 ms, one after the other, each time that which takes most of the margin between the label and the next
best one: proposed by the derivative of the margin by each event, and chosen by running the network that spikes. Beside
it, as many events are changed at random. Such attacks: Marchisio et al. 2021, "DVS-Attacks", and Büchel et al. 2022,
"Adversarial attacks on spiking convolutional neural networks for event-based vision", Front. Neurosci. 16.

    python examples/35_small_pushes.py [--digits 40] [--epochs 12] [--hidden 64] [--pushed 10] [--counts 1 2 5 10 20 50]
        [--seed 0] [--codegen numpy] [--output pushes.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import ms, prefs
from matplotlib.figure import Figure
from numpy.typing import NDArray

import dvs
import learning
import snn
from dvs.charts import INK, OFF, ON
from dvs.events import EventArray
from dvs.scenes import microsaccades
from learning.landscape.pushes import KINDS, Push, Robustness, fewest_events, robustness
from snn.neurons import leaky_readout, lif

DIGITS = Path(__file__).parent / "data" / "digits.npz"
SIZE, CLASSES = 34, 5
LOOK = 105 * ms  # one saccade
MARKS = {"remove": ("x", OFF), "add": ("+", ON), "move": ("o", "#7b61a8")}


def seen(image: NDArray[np.uint8], seed: int) -> EventArray:
    """The events of the first saccade over a digit."""
    sensor = dvs.Sensor(theta_on=0.3, theta_off=0.3)
    events = dvs.emulate(microsaccades(0.2 + 0.4 * image / 255, margin_px=3, fps=250), sensor, seed=seed).events
    return events[events["t"] < 105_000]


def middle(needed: NDArray[np.float64]) -> int:
    """The sample in the middle of those that were turned; the first if none was."""
    turned = np.flatnonzero(np.isfinite(needed))
    return int(turned[np.argsort(needed[turned])[len(turned) // 2]]) if turned.size else 0


def main() -> None:
    """Train, push, ask Brian2, change events at random, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--digits", type=int, default=40, help="of each of five classes; a fifth is kept for the test")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=64, help="neurons of the hidden layer")
    parser.add_argument("--pushed", type=int, default=10, help="new digits that are pushed")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 5, 10, 20, 50], help="events changed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("pushes.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen

    with np.load(DIGITS) as file:
        chosen = np.concatenate([np.flatnonzero(file["labels"] == k)[: options.digits] for k in range(CLASSES)])
        images, labels = file["images"][chosen], file["labels"][chosen]
    events = [seen(image, seed) for seed, image in enumerate(images)]
    order = np.random.default_rng(options.seed).permutation(len(labels))
    new, known = order[: len(order) // 5], order[len(order) // 5 :]

    eye = snn.EventInput(width=SIZE, height=SIZE, dt=1 * ms, pool=2, collisions="first", name="eye")
    layers = [
        snn.Dense(options.hidden, lif(tau=20 * ms), gain=2, name="hidden"),
        snn.Dense(CLASSES, leaky_readout(tau=20 * ms), name="readout"),
    ]
    network = snn.feedforward(eye, layers, seed=options.seed)
    loss = learning.losses.max_over_time()
    model = learning.trainable(
        network, inputs=eye, output="readout.v", parameters=["hidden_in.w", "readout_in.w"], duration=LOOK
    )
    model.fit(
        [events[k] for k in known], labels[known], loss=loss, optimiser=learning.Adam(3e-3), epochs=options.epochs,
        batch=20, seed=options.seed,
    )  # fmt: skip
    told = model.predict([events[k] for k in new], loss)
    print(f"the model reads {(told == labels[new]).mean():.0%} of {len(new)} new digits")

    pushed = new[told == labels[new]][: options.pushed]
    pushed = pushed if len(pushed) else new[: options.pushed]
    found = robustness(model, [events[k] for k in pushed], labels[pushed], loss, counts=options.counts)
    print(found)
    # One digit for each kind of change, of those that it can turn the one in the middle.
    shown = [pushed[middle(found.needed[kind])] for kind in KINDS]
    pushes = [
        fewest_events(model, events[k], loss, kinds=(kind,), most=max(options.counts))
        for k, kind in zip(shown, KINDS, strict=True)
    ]
    for push in pushes:
        print(push)
    responses = snn.run(
        network, [push.sample for push in pushes], input=eye, duration=LOOK, states={"readout": ["v"]}
    )  # fmt: skip
    decided = loss.predict(responses.states["readout"]["v"])
    print(f"Brian2 decides {decided.tolist()}, the model {[push.now for push in pushes]}")

    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture([events[k] for k in shown], pushes, found).savefig(options.output, dpi=100)
    print(f"see {options.output}")


def picture(samples: list[EventArray], pushes: list[Push], found: Robustness) -> Figure:
    """Digits with what was done to them, how their margins fell, and accuracy against events changed."""
    figure = Figure(figsize=(12, 7.6), layout="constrained")
    above, below = figure.subfigures(2, height_ratios=[1.15, 1])
    for box, events, push in zip(above.subplots(1, len(pushes), squeeze=False)[0], samples, pushes, strict=True):
        there = np.zeros((SIZE, SIZE))
        np.add.at(there, (events["y"], events["x"]), 1)
        box.imshow(there, cmap="Greys", vmax=1.6 * there.max())
        for kind, (marker, colour) in MARKS.items():
            places = [one.pixel for one in push.operations if one.kind == kind]
            if places:
                x, y, _ = np.array(places).T
                fill = {"facecolors": "none"} if marker == "o" else {}
                box.scatter(x + 0.5, y + 0.5, marker=marker, s=90, linewidths=2.2, color=colour, label=kind, **fill)
        box.set_axis_off()
        fate = f"a {push.decision} becomes a {push.now}" if push.success else f"a {push.decision} stays one"
        done = {"remove": "removed from", "add": "added to", "move": "moved among"}[push.operations[0].kind]
        title = f"{fate}: {len(push.operations)} {done} {len(push.before[0])} events"
        box.set_title(title, color=INK, fontsize=11, loc="left")
    margins, accuracy = below.subplots(1, 2)
    for push in pushes:
        push.plot_margins(margins)
    margins.set_title("margin of the decision, event by event", loc="left", color=INK, fontsize=11)
    found.plot(accuracy)
    accuracy.set_title("events chosen by their gradient, and at random", loc="left", color=INK, fontsize=11)
    return figure


if __name__ == "__main__":
    main()
