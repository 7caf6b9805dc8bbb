"""What it costs to see a digit, from the sensor to the decision: events and spikes, or a frame and a CNN as good.

An eye makes the three saccades of N-MNIST over handwritten digits (Orchard et al. 2015, "Converting static image
datasets to spiking neuromorphic datasets using saccades", Front. Neurosci. 9:437). An event camera watches and a
spiking network decides after 315 ms; a frame camera watches too and a small CNN decides by its first frame. Both were
made smaller until they just read nine of ten new digits: over five seeds, 90 % each. Both are counted and priced alike,
with 45 nm CMOS and 8-bit weights (Horowitz 2014, "Computing's energy problem", ISSCC), or with sensors and chips as
they were measured. Weights are not rounded to 8 bits; sensors are whole chips, of which 34x34 pixels are read.

By its synaptic operations alone the spiking network wins. With its memory it loses, ten times to a CNN that fetches a
number for each use and seventy times to one that uses it sixteen times. While the eye is still there are no events, but
neurons are updated all the same, for no less than a frame costs. With sensors both networks are less than a thousandth
of the bill, and the sensor wins that draws less at rest. A spiking chip wins against a processor that is always on; the
same processor, asleep until there is a frame, beats Loihi, and not Speck, as far as Speck has prices. What it costs to
sleep and wake, buses and clocks have none here: "≥".

    python examples/23_energy_of_seeing.py [--digits 100] [--epochs 20] [--hidden 14] [--channels 3] [--seed 0]
        [--codegen numpy] [--output energy.png]
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from brian2 import Network, ms, prefs, second
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import binomtest

import dvs
import learning
import snn
from dvs.scenes import Gaze, microsaccades
from dvs.sensors import Source
from snn import energy
from snn.energy.bill import Amount
from snn.energy.prefixes import prefix_for, shown, with_prefix
from snn.neurons import leaky_readout, lif
from snn.probes.pictures import BLUE, INK, ORANGE, name_axes, prepare

DIGITS = Path(__file__).parent / "data" / "digits.npz"
SIZE, LOOK = 34, 315 * ms  # pixels of the eye, three saccades
STILL = Gaze(t_s=np.array([0.0, 0.315]), x_px=np.zeros(2), y_px=np.zeros(2))
LOSS = learning.losses.max_over_time()
FRAMES = dvs.Sensor(
    name="VGA frame sensor", static_mw=1.35,
    sources={"static_mw": Source(unit="mW", source="Zou et al. 2020, JSSC 55(11): gray VGA pictures at 8 frames/s")},
)  # fmt: skip
FRAME_HZ = 8
PRICES = "generic-45nm-int8"
JETSON_TIME = second / 419  # of an inference, Blouw et al. 2019, NICE


def scene(image: NDArray[np.uint8], gaze: Gaze | None = None) -> dvs.Frames:
    """An eye over a digit, a little grey on a darker grey."""
    return microsaccades(0.2 + 0.4 * image / 255, gaze, margin_px=3, fps=250)


def events(image: NDArray[np.uint8], seed: int, gaze: Gaze | None = None) -> dvs.Recording:
    """What the event camera sends."""
    return dvs.emulate(scene(image, gaze), dvs.Sensor(theta_on=0.3, theta_off=0.3), seed=seed)


def frame(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The first picture of the frame camera, 8 bits from the darker grey to the other, as 0 to 1."""
    _, light = next(iter(scene(image)))
    return np.rint((light - 0.2) / 0.4 * 255) / 255


def spiking(hidden: int, step_ms: float, seed: int) -> tuple[Network, snn.EventInput, learning.Model]:
    """A layer of integrate-and-fire neurons, and a membrane for each digit."""
    eye = snn.EventInput(width=SIZE, height=SIZE, dt=step_ms * ms, collisions="first")
    layers = [
        snn.Dense(hidden, lif(tau=20 * ms), gain=2, name="hidden"),
        snn.Dense(10, leaky_readout(tau=20 * ms), name="readout"),
    ]
    network = snn.feedforward(eye, layers, seed=seed)
    weights = ["hidden_in.w", "readout_in.w"]
    return network, eye, learning.trainable(
        network, inputs=eye, output="readout.v", parameters=weights, duration=LOOK
    )  # fmt: skip


def watch(
    network: Network, eye: snn.EventInput, recordings: Sequence[dvs.Recording]
) -> tuple[snn.Responses, energy.Counts]:
    """What Brian2 answers, and what happened on the way."""
    responses = snn.run(network, recordings, input=eye, duration=LOOK, record="all", states={"readout": ["v"]})
    placed = energy.place(energy.read_structure(network, {}), energy.load_prices("loihi1").cores)
    sensed = energy.sensed(recordings)
    return responses, energy.count(network, responses, sensor=sensed, placement=placed, name="spiking network")


class Cnn:
    """Windows of 5x5 pixels, every third, rectified; then a value for each digit."""

    def __init__(self, channels: int, seed: int) -> None:
        windows = energy.conv_layer("windows", (1, SIZE, SIZE), channels, 5, stride=3)
        outputs = windows.outputs
        self.layers = windows, energy.dense_layer("digits", outputs, 10)
        rng = np.random.default_rng(seed)
        self.weights = {
            "windows": rng.normal(0, 0.3, (25, channels)), "window_bias": np.zeros(channels),
            "digits": rng.normal(0, outputs**-0.5, (outputs, 10)), "digit_bias": np.zeros(10),
        }  # fmt: skip

    def forward(self, frames: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Windows (N, places, 25), rectified values (N, places, channels), and a value for each digit (N, 10)."""
        w = self.weights
        windows = sliding_window_view(frames, (5, 5), axis=(1, 2))[:, ::3, ::3].reshape(len(frames), -1, 25)
        values = np.maximum(windows @ w["windows"] + w["window_bias"], 0)
        return windows, values, values.reshape(len(frames), -1) @ w["digits"] + w["digit_bias"]

    def gradient(self, frames: NDArray, labels: NDArray) -> dict[str, NDArray]:
        """Of the cross-entropy."""
        windows, values, scores = self.forward(frames)
        error = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = (error / error.sum(axis=1, keepdims=True) - np.eye(10)[labels]) / len(labels)
        back = (error @ self.weights["digits"].T).reshape(values.shape) * (values > 0)
        return {
            "windows": np.einsum("npi,npc->ic", windows, back), "window_bias": back.sum(axis=(0, 1)),
            "digits": values.reshape(len(labels), -1).T @ error, "digit_bias": error.sum(axis=0),
        }  # fmt: skip

    def fit(self, frames: NDArray, labels: NDArray, epochs: int, seed: int) -> None:
        """In each batch the digits are seen at another place, as those of the spiking network are."""
        optimiser, rng = learning.AdamW(3e-3, weight_decay=0.1), np.random.default_rng(seed)
        state = optimiser.start(self.weights)
        for _ in range(epochs):
            for batch in np.array_split(rng.permutation(len(labels)), max(1, len(labels) // 32)):
                seen = np.roll(frames[batch], rng.integers(-1, 2, 2), axis=(1, 2))
                self.weights, state = optimiser.step(self.gradient(seen, labels[batch]), state, self.weights)

    def counts(self, reuse: int = 1) -> energy.FrameCounts:
        """Of a decision from one frame. reuse: multiply-accumulates for each number that is fetched from memory."""
        seconds = float(LOOK / second)
        return energy.FrameCounts(
            name="CNN", layers=self.layers, duration_s=seconds, reuse=reuse, pixels=SIZE**2,
            frames=int(seconds * FRAME_HZ) + 1,
        )  # fmt: skip


def wilson(right: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Share of right answers, and Wilson's interval."""
    found = binomtest(int(right.sum()), right.size)
    return found.statistic, *found.proportion_ci(method="wilson")


def in_words(accuracy: tuple[float, float, float]) -> str:
    """As printed."""
    return "{:.1%} of new digits are read ({:.1%} to {:.1%})".format(*accuracy)


def table(
    spikes: energy.Counts, coarse: energy.Counts, still: energy.Counts, cnn: Cnn
) -> dict[str, tuple[Amount, Amount]]:
    """By what is included: the energy of a decision from spikes, and of one from a frame."""
    eye, once = dvs.load_sensor("genx320"), cnn.counts()
    synops, own_macs, macs = (energy.account(one, PRICES).synops_only for one in (spikes, energy.twin(spikes), once))
    by_spikes, by_frame = work(spikes), work(once)
    on_loihi, on_speck = energy.account(spikes, "loihi1", sensor=eye), energy.account(spikes, "speck")
    jetson_on = energy.account(once, "jetson-tx1", sensor=FRAMES)
    jetson_woken = energy.account(once, "jetson-tx1", sensor=FRAMES, time=JETSON_TIME)
    return {
        "SynOps only, and MACs of the same network": (synops, own_macs),
        "SynOps only, and MACs of the CNN": (synops, macs),
        "network: arithmetic and memory": (by_spikes.total, by_frame.total),
        "- CNN with 16 MACs to a fetch": (by_spikes.total, work(cnn.counts(reuse=16)).total),
        "- spiking network in steps of 5 ms": (work(coarse).total, by_frame.total),
        "- while the eye is still": (work(still).total, by_frame.total),
        "network and sensor": (work(spikes, eye).total, work(once, FRAMES).total),
        "all: Loihi and its host; a Jetson that is always on": (on_loihi.total, jetson_on.total),
        "all: Loihi and its host; a Jetson on for 2.4 ms": (on_loihi.total, jetson_woken.total),
        "all: Speck, its work unpriced; a Jetson on for 2.4 ms": (on_speck.total, jetson_woken.total),
    }


def work(counts: energy.Counts | energy.FrameCounts, sensor: dvs.Sensor | None = None) -> energy.Account:
    """The account of a network at 45 nm, alone or with its sensor; without the chip at rest, and without a host."""
    return energy.account(counts, PRICES, sensor=sensor, boundary=["network"] + ["sensor"] * (sensor is not None))


def verdict(spikes: Amount, frames: Amount) -> str:
    """Who costs less, and how often."""
    cheap, dear = sorted((spikes.joules, frames.joules))
    return f"{'spikes' if spikes.joules < frames.joules else 'frames'}, {shown(dear / cheap, 2)} times"


def brief(amount: Amount) -> str:
    """Without its bounds."""
    return f"{'≥ ' if amount.at_least else ''}{with_prefix(amount.joules, 'J')}"


def draw_table(axes: Axes, found: Mapping[str, tuple[Amount, Amount]]) -> None:
    """A line for each row, from what spikes cost to what frames cost; what is pale goes from low to high prices."""
    prepare(axes).grid(visible=False, axis="y")
    beside = axes.get_yaxis_transform()
    for row, (name, pair) in enumerate(found.items()):
        dear = max(pair, key=lambda one: one.joules)
        axes.plot([one.joules for one in pair], [row, row], color=INK, linewidth=1, alpha=0.4, zorder=1)
        for one, colour in zip(pair, (BLUE, ORANGE), strict=True):
            axes.plot([one.low, one.high], [row, row], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
            axes.plot(one.joules, row, "o", color=colour, markersize=8)
            place = {"xytext": (8, 0), "ha": "left"} if one is dear else {"xytext": (-8, 0), "ha": "right"}
            axes.annotate(
                brief(one), (one.high if one is dear else one.low, row), textcoords="offset points", va="center",
                color=colour, fontsize=9, **place,
            )  # fmt: skip
        wins = ORANGE if dear is pair[0] else BLUE
        axes.text(1, row, verdict(*pair), transform=beside, va="center", ha="right", color=wins, fontsize=9.5)
        axes.text(0, row - 0.25, name, transform=beside, va="bottom", color=INK, fontsize=9.5)
    axes.text(1, -0.6, "who costs less", transform=beside, va="center", ha="right", color=INK, fontsize=9.5)
    axes.set(xscale="log", xlim=(3e-11, 3e3), ylim=(len(found) - 0.5, -0.9), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: with_prefix(value, "J"))
    name_axes(axes, "energy of a decision: blue from events and spikes, orange from a frame and a CNN", "")
    axes.set_title("What is counted decides who wins", loc="left", color=INK, fontsize=12, fontweight="bold")


def draw_early(
    axes: Axes, curve: energy.AnytimeCurve, cnn: energy.Account, accuracy: tuple[float, float, float]
) -> None:
    """Accuracy and energy of an answer after each saccade, and of that from a frame."""
    curve.plot(axes)
    share, low, high = accuracy
    x = cnn.total.joules / prefix_for(curve.joules.max())[0]
    axes.errorbar(x, share, [[share - low], [high - share]], color=ORANGE, marker="o", capsize=3)
    axes.annotate("one frame", (x, share), (8, -4), textcoords="offset points", color=ORANGE, fontsize=9.5)
    axes.set_xlim(0, None)
    axes.set_title("An early answer: cheap, and worse", loc="left", color=INK, fontsize=12, fontweight="bold")


def main() -> None:
    """Emulate the digits, train both, count, price, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--digits", type=int, default=100, help="of each class; a fifth of all is kept for the test")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--hidden", type=int, default=14, help="neurons of the spiking network's hidden layer")
    parser.add_argument("--channels", type=int, default=3, help="kinds of window of the CNN")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights and the training")
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("energy.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen

    with np.load(DIGITS) as file:
        chosen = np.concatenate([np.flatnonzero(file["labels"] == digit)[: options.digits] for digit in range(10)])
        images, labels = file["images"][chosen], file["labels"][chosen]
    order = np.random.default_rng(options.seed).permutation(len(labels))
    new, known = order[: len(order) // 5], order[len(order) // 5 :]
    recordings = [events(image, seed) for seed, image in enumerate(images)]
    unseen = [recordings[k] for k in new]

    runs = {}
    for step_ms in (1, 5):
        network, eye, model = spiking(options.hidden, step_ms, options.seed)
        model.fit(
            [recordings[k] for k in known], labels[known], loss=LOSS,
            optimiser=learning.AdamW(2e-3, weight_decay=1.0), epochs=options.epochs, batch=32,
            augment=learning.augmentation.shift(1), seed=options.seed,
        )  # fmt: skip
        runs[step_ms] = network, eye, *watch(network, eye, unseen)
        told = LOSS.predict(runs[step_ms][2].states["readout"]["v"])
        print(f"spikes, steps of {step_ms} ms:  {in_words(wilson(told == labels[new]))}")
    network, eye, responses, spikes = runs[1]
    _, still = watch(network, eye, [events(images[k], int(k), STILL) for k in new[:10]])

    frames = np.stack([frame(image) for image in images])
    cnn = Cnn(options.channels, options.seed)
    cnn.fit(frames[known], labels[known], options.epochs, options.seed)
    *_, scores = cnn.forward(frames[new])
    read = wilson(scores.argmax(axis=1) == labels[new])
    print(f"a frame and a CNN:      {in_words(read)}")

    found = table(spikes, runs[5][3], still, cnn)
    print(f"\n{'energy of a decision':<55}{'spikes':>10}{'frames':>11}   who costs less")
    for name, pair in found.items():
        print(f"{name:<55}{brief(pair[0]):>10}{brief(pair[1]):>11}   {verdict(*pair)}")

    evidence = np.maximum.accumulate(responses.states["readout"]["v"], axis=1)
    curve = energy.anytime(
        network, responses, evidence, labels[new], PRICES, times=[105, 210, 315] * ms, boundary=["network"]
    )
    figure = Figure(figsize=(13, 6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2.3, 1])
    draw_table(left, found)
    draw_early(right, curve, work(cnn.counts()), read)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=100)
    print(f"\nsee {options.output}")


if __name__ == "__main__":
    main()
