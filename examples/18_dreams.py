"""A machine of spiking neurons sees handwritten digits by day; by night, with a label held, it dreams that digit.

"Dreaming about 2-ness": the label of a 2 is clamped, nothing comes in, and the pixels go on by themselves. Neurons that
sample a Boltzmann machine (Buesing et al. 2011) learn by a rule whose third factor is +1 awake and -1 asleep (Ackley,
Hinton & Sejnowski 1985; event-driven contrastive divergence of Neftci et al. 2014). A judge that never met the machine,
kernel regression on the same real digits, names what was dreamt. One dream is watched by the event camera.

Over five seeds the judge names 95.6 +- 1.3 % of new real digits, and 99.6 +- 0.1 % of dreams as the digit that was
held. Nearly all dreams differ, but those of a digit are half as far apart as real ones are.

    python examples/18_dreams.py [--days 40000] [--hidden 100] [--dreams 50] [--seed 0] [--codegen standalone]
        [--output dreams.png]
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from brian2 import defaultclock, device, ms, prefs, set_device
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.spatial.distance import cdist

import dvs
from dvs.charts import INK, OFF, ON
from learning import wake_sleep
from snn.probes.pictures import name_axes, prepare, rising, two_sided

DIGITS = Path(__file__).parent / "data" / "digits.npz"
SIDE = 10  # pixels of what the machine sees
CODES = np.repeat(np.eye(10), 2, axis=1)  # two label neurons for each digit
SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))  # where an eye may look that is not held still
STEPS, LOOK = 300, 50  # of a dream, and how many of the last are looked at
WATCHED = 2  # the digit whose dream is shown step by step,
WINDOW = 20  # each as the mean of so many steps,
SCALE = 3  # and each pixel so many pixels wide for the camera
COLUMNS = 16  # dreams of a digit in the picture


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Grey pictures (N, SIDE * SIDE) from 0 to 1 and their digits: 80 of each to learn from, shifted; 20 kept."""

    pictures: NDArray[np.float64]
    labels: NDArray[np.int64]
    new_pictures: NDArray[np.float64]
    new_labels: NDArray[np.int64]

    def seen(self) -> NDArray[np.float64]:
        """Pictures with the code of their label, as the machine sees them."""
        return np.hstack([self.pictures, CODES[self.labels]])


def digits(seed: int) -> Digits:
    """The digits in the data of the examples, divided at random, and reduced to the inner 20 pixels, two by two."""

    def reduced(images: NDArray[np.float64]) -> NDArray[np.float64]:
        return images[:, 4:24, 4:24].reshape(len(images), SIDE, 2, SIDE, 2).mean(axis=(2, 4)).reshape(len(images), -1)

    with np.load(DIGITS) as file:
        images, labels = file["images"] / 255, file["labels"]
    rng = np.random.default_rng(seed)
    order = np.array([rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)])
    known, new = order[:, :80].ravel(), order[:, 80:].ravel()
    return Digits(
        pictures=np.concatenate([reduced(np.roll(images[known], shift, (1, 2))) for shift in SHIFTS]),
        labels=np.tile(labels[known], len(SHIFTS)),
        new_pictures=reduced(images[new]),
        new_labels=labels[new],
    )


class Judge:
    """Kernel ridge regression on real digits: it has never seen a dream, nor the machine."""

    def __init__(self, known: Digits) -> None:
        self.known = known.pictures
        self.width = np.median(cdist(self.known[:500], self.known[:500])) / 2
        kernel = self._kernel(self.known) + 0.05 * np.eye(len(self.known))
        self.answers = solve(kernel, 2 * np.eye(10)[known.labels] - 1, assume_a="pos")

    def __call__(self, pictures: NDArray[np.float64]) -> NDArray[np.int64]:
        """The digits (N,) that pictures (N, SIDE * SIDE) show."""
        return (self._kernel(pictures) @ self.answers).argmax(axis=1)

    def _kernel(self, pictures: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-0.5 * cdist(pictures, self.known, "sqeuclidean") / self.width**2)


@contextmanager
def brian2_target(codegen: str) -> Iterator[None]:
    """Brian2 in NumPy or Cython, or for one run in C++."""
    if codegen != "standalone":
        prefs.codegen.target = codegen
        yield
        return
    with TemporaryDirectory() as folder:
        set_device("cpp_standalone", directory=folder)
        try:
            yield
        finally:
            device.reinit()
            set_device("runtime")


def held(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """What is known in a dream: the label, and no pixel."""
    return np.hstack([np.full((len(labels), SIDE * SIDE), np.nan), CODES[labels]])


def different(pictures: NDArray[np.float64]) -> int:
    """How many pictures there are if pixels are black or white."""
    return len(np.unique(pictures > 0.5, axis=0))


def picture(
    dreamt: NDArray[np.float64], labels: NDArray[np.int64], verdicts: NDArray[np.int64], watched: NDArray[np.float64]
) -> tuple[Figure, dvs.Recording]:
    """Dreams of each digit, with the judge's word where it is another; below one dream in time, and its events."""
    recording = dvs.emulate(
        wake_sleep.film(watched, scale=SCALE), dvs.Sensor(theta_on=0.3, theta_off=0.3), fps=1000, seed=0
    )
    figure = Figure(figsize=(9, 11), layout="constrained")
    above, below = figure.subfigures(2, height_ratios=[1.7, 1])
    above.suptitle("dreams while a label is held; in orange, what else the judge took them for", color=INK, fontsize=11)
    # One picture of all: the layout of 170 axes takes seconds.
    box, wide, high = above.subplots(), SIDE + 2, SIDE + 5
    wall = np.zeros((10 * high, COLUMNS * wide))
    for digit in range(10):
        top = digit * high + 4
        box.text(-wide / 2, top + SIDE / 2, str(digit), ha="center", va="center", fontsize=15, color=INK)
        for column, k in enumerate(np.flatnonzero(labels == digit)[:COLUMNS]):
            left = column * wide
            wall[top : top + SIDE, left : left + SIDE] = dreamt[k].reshape(SIDE, SIDE)
            if verdicts[k] != digit:
                frame = {"edgecolor": OFF, "facecolor": "none", "linewidth": 2}
                box.add_patch(Rectangle((left - 0.5, top - 0.5), SIDE, SIDE, **frame))
                place = {"x": left + SIDE / 2, "y": top - 0.9, "ha": "center", "va": "bottom"}
                box.text(**place, s=str(verdicts[k]), color=OFF, fontsize=9, fontweight="bold")
    box.imshow(wall, cmap=rising(), vmin=0, vmax=1)
    box.set_axis_off()

    events, t_ms = recording.events, recording.events["t"] / 1000
    below.suptitle(f"a dream of {WATCHED} that cools down, and its events", color=INK, fontsize=11)
    grid = below.add_gridspec(3, COLUMNS // 2, height_ratios=[1, 1, 1.1])
    for column, moment in enumerate(np.linspace(WINDOW, len(watched), COLUMNS // 2).astype(int)):
        since = (t_ms > moment - WINDOW) & (t_ms <= moment)
        signs = np.zeros((SCALE * SIDE, SCALE * SIDE))
        np.add.at(signs, (events["y"][since], events["x"][since]), 2.0 * events["p"][since] - 1)
        for line, shown, colours, limits in (
            (0, watched[moment - 1].reshape(SIDE, SIDE), rising(), (0, 1)),
            (1, signs, two_sided(), (-4, 4)),
        ):
            box = below.add_subplot(grid[line, column])
            box.imshow(shown, cmap=colours, vmin=limits[0], vmax=limits[1])
            box.set(xticks=[], yticks=[])
            box.spines[:].set_color("#d5dae0")
            if line == 0:
                box.set_title(f"{moment} ms", color=INK, fontsize=9)
    box = prepare(below.add_subplot(grid[2, :]))
    for polarity, colour, sign, name in ((1, ON, 1, "ON"), (0, OFF, -1, "OFF")):
        counts, edges = np.histogram(t_ms[events["p"] == polarity], bins=len(watched) // 5, range=(0, len(watched)))
        box.stairs(sign * counts, edges, fill=True, color=colour, label=name)
    low, high = box.get_ylim()
    box.set(xlim=(0, len(watched)), ylim=(low, high + 0.5 * (high - low)))  # room for the legend
    box.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    box.legend(frameon=False, labelcolor=INK, fontsize=9, ncols=2, loc="upper right")
    name_axes(box, "time (ms)", "events in 5 ms")
    return figure, recording


def main() -> None:
    """Learn, dream of each digit, ask the judge, send one dream through the camera, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=40_000, help="pictures seen, each followed by a night")
    parser.add_argument("--hidden", type=int, default=100, help="neurons")
    parser.add_argument("--dreams", type=int, default=50, help="of each digit")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights and all spikes")
    parser.add_argument("--codegen", default="standalone", help="or cython, or numpy for a short run without compiling")
    parser.add_argument("--output", type=Path, default=Path("dreams.png"))
    options = parser.parse_args()
    defaultclock.dt = 1 * ms

    known = digits(options.seed)
    judge = Judge(known)
    machine = wake_sleep.newborn(known.seen(), options.hidden, seed=options.seed)
    with brian2_target(options.codegen):
        machine = wake_sleep.train(machine, known.seen(), wake_sleep.Schedule(days=options.days), seed=options.seed)
    labels = np.repeat(np.arange(10), options.dreams)
    with brian2_target(options.codegen):
        z = wake_sleep.dream(machine, held(labels), steps=STEPS, seed=options.seed)[..., : SIDE * SIDE]
    dreamt = z[:, -LOOK:].mean(axis=1)
    verdicts = judge(dreamt)
    distinct = [different(dreamt[labels == digit]) for digit in range(10)]

    watched = np.flatnonzero(labels == WATCHED)[0]
    figure, recording = picture(dreamt, labels, verdicts, wake_sleep.rates(z[watched], WINDOW)[WINDOW - 1 :])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=100)
    named = machine.classify(known.new_pictures, CODES).argmax(axis=1)
    print(
        f"awake: of new digits the machine names {(named == known.new_labels).mean():.1%}, the judge "
        f"{(judge(known.new_pictures) == known.new_labels).mean():.1%}; a dream makes {len(recording)} events\n"
        f"asleep: {(verdicts == labels).mean():.1%} of {len(labels)} dreams are judged the digit that was held; "
        f"at least {min(distinct)} of {options.dreams} of a digit differ; see {options.output}"
    )


if __name__ == "__main__":
    main()
