"""A network forgets what it learnt first; a night of noise brings it back, without a look at what was forgotten.

Rectified units learn the digits 0 to 4, then 5 to 9, and then name every old digit as one of the new ones. At night the
same weights connect integrate-and-fire neurons in Brian2 that hear noise as bright as the mean of the new digits. Each
spike makes the synapses weaker whose source was silent just before, and stronger those whose source was not. What fires
most is turned down most, until all speak about equally loud: the old digits are heard again. The night ends before the
network names less than 95 % of the new digits that it learnt from. Golden et al. (2022), PLoS Comput. Biol.
18:e1010628; Tadros et al. (2022), Nat. Commun. 13:7742.

Controls: no sleep; the same plasticity at the same spikes, but each neuron is given those of another one of its layer,
which brings little back; or the steps of the night are put into another order, which brings the old task back at the
cost of the new one: how often neurons fire decides what is turned down, which ones fire in turn decides what is spared.
Rehearsal, with all old digits, is the upper bound.
The numbers of the night were chosen without old digits: benchmarks/three_factor_sleep.py says how.

    python examples/19_sleep.py [--epochs 80] [--steps 4000] [--seed 0] [--codegen numpy] [--output sleep.png]
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from brian2 import ms, prefs
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dvs.charts import INK, OFF, ON
from learning.sleep import (
    Night,
    Sleep,
    Weights,
    accuracy,
    first_weights,
    keeps,
    normalised,
    relive,
    shuffled,
    sleep,
    train,
)
from snn.probes.pictures import legend, name_axes, prepare

DIGITS = Path(__file__).parent / "data" / "digits.npz"
WATCHED = 500 * ms  # of the night, in the raster
NAMES = {"old: digits 0 to 4": OFF, "new: digits 5 to 9": ON}
Task = tuple[NDArray[np.float64], NDArray[np.int64]]


def tasks() -> tuple[list[Task], list[Task]]:
    """The old and the new task: 70 digits of each class to learn from, 30 others to judge by; 14x14, 0 to 1."""
    with np.load(DIGITS) as file:
        images, labels = file["images"], file["labels"]
    inputs = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(len(images), -1) / 255
    of_class = [np.flatnonzero(labels == digit) for digit in range(10)]
    parts = []
    for part in (slice(70), slice(70, None)):
        chosen = [np.concatenate([own[part] for own in half]) for half in (of_class[:5], of_class[5:])]
        parts.append([(inputs[half], labels[half]) for half in chosen])
    return parts[0], parts[1]


def picture(day: NDArray[np.float64], mornings: dict[str, NDArray[np.float64]], night: Night) -> Figure:
    """Accuracy by day and night (times, tasks), in the morning with the controls, and the spikes of the night."""
    figure = Figure(figsize=(10, 7.4), layout="constrained")
    boxes = figure.subplot_mosaic([["course", "controls"], ["spikes", "spikes"]], height_ratios=[1, 1.25])
    course, controls, spikes = (prepare(boxes[name]) for name in ("course", "controls", "spikes"))

    hours = np.concatenate([[0, 1], np.linspace(2, 4, len(day) - 2)])
    course.axvspan(2, 4, color=INK, alpha=0.1, linewidth=0)
    width = 0.38
    for task, (name, colour) in enumerate(NAMES.items()):
        course.plot(hours, 100 * day[:, task], "o-", markersize=4, color=colour, label=name)
        height = [100 * morning[task] for morning in mornings.values()]
        bars = controls.bar(np.arange(len(height)) + width * (task - 0.5), height, width, color=colour, label=name)
        controls.bar_label(bars, fmt="%.0f", fontsize=9, color=INK)
    course.set_xticks([0, 1, 2, 3], ["untrained", "old task\nlearnt", "new task\nlearnt", "asleep"])
    controls.set_xticks(range(len(mornings)), list(mornings))
    for box in (course, controls):
        name_axes(box, "", "unseen images named right (%)")
        box.set_ylim(0, 109)
    legend(course)

    labels, ticks, row = ["noise", "hidden 1", "hidden 2"], [], 0
    for trains in night.spikes[:-1]:
        spikes.scatter(trains.t / ms, row + trains.neuron, s=0.4, color=INK, linewidths=0, rasterized=True)
        ticks.append(row + trains.neurons / 2)
        row += trains.neurons + 15
    output = night.spikes[-1]
    for task, colour in enumerate(NAMES.values()):
        own = output.of_neurons(np.arange(5) + 5 * task)
        spikes.vlines(own.t / ms, row + 15 * own.neuron, row + 15 * own.neuron + 13, color=colour, linewidth=0.8)
    ticks += [row + 15 * (task + 0.5) * 5 for task in (0, 1)]
    spikes.set_yticks(ticks, [*labels, "output 0 to 4", "output 5 to 9"])
    spikes.set_xlim(0, min(WATCHED, night.plan.duration) / ms)
    spikes.set_ylim(-5, row + 155)
    name_axes(spikes, "time asleep (ms)", "")
    return figure


def main() -> None:
    """Learn two tasks, sleep, compare with the controls, draw all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=80, help="of each task")
    parser.add_argument("--steps", type=int, default=Sleep().steps, help="of 1 ms, of the night at most")
    parser.add_argument("--seed", type=int, default=0, help="of first weights, training and noise")
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("sleep.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen

    rng = np.random.default_rng(options.seed)
    learn, judge = tasks()
    old, new = learn
    plan = replace(Sleep(), steps=options.steps)

    def judged(weights: Weights) -> NDArray[np.float64]:
        return np.array([accuracy(weights, *task) for task in judge])

    first = first_weights([196, 200, 200, 10], rng)
    once = train(first, *old, rng=rng, epochs=options.epochs)
    evening = normalised(train(once, *new, rng=rng, epochs=options.epochs), new[0])
    night = sleep(evening, new[0].mean(axis=0), plan, seed=options.seed, goes_on=keeps(evening, *new))
    neurons, order = (relive(evening, shuffled(night, what, rng), night.plan) for what in ("neurons", "order"))
    both = [np.concatenate(column) for column in zip(*learn, strict=True)]
    mornings = {
        "no\nsleep": judged(evening),
        "neurons\nshuffled": judged(neurons),
        "order\nshuffled": judged(order),
        "sleep": judged(night.weights),
        "rehearsal": judged(train(evening, *both, rng=rng, epochs=options.epochs)),
    }
    day = np.array([judged(weights) for weights in (first, once, *night.course)])

    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(day, mornings, night).savefig(options.output, dpi=110)
    print(
        f"old digits named right: {day[1, 0]:.0%} when learnt, {day[2, 0]:.0%} after the new ones, {day[-1, 0]:.0%} "
        f"after sleep (new ones {day[2, 1]:.0%}, then {day[-1, 1]:.0%}; chance 10%); see {options.output}"
    )


if __name__ == "__main__":
    main()
