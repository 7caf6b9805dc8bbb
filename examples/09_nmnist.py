"""N-MNIST, the digits that a real event camera saw, learnt by a Brian2 network; and how soon it knows them.

Orchard et al. 2015, "Converting static image datasets to spiking neuromorphic datasets using saccades", Front.
Neurosci. 9:437. The data come from the loader of tonic (`pip install tonic`); with them

    python -c 'import tonic; [tonic.datasets.NMNIST("data", train=train) for train in (True, False)]'

fetches 1.2 GB. A file of NumPy arrays does as well: x, y, p and dt, in microseconds, of the events of all samples, one
after the other; offsets, where each begins; label. Without data there is nothing to do. Training goes on from its
checkpoint if it was stopped: delete training.h5 to begin anew.

    python examples/09_nmnist.py --data FOLDER_OR_FILE [--samples 1000] [--epochs 15] [--hidden 200] [--seed 0]
        [--codegen numpy] [--checkpoint training.h5] [--output nmnist.png]
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from brian2 import ms, prefs
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tonic.datasets import NMNIST

import dvs
import learning
import snn
from learning.augmentation import chain, drop_events, shift
from snn.neurons import leaky_readout, lif
from snn.probes import AccuracyCurve, accuracy_over_time

SIZE = 34  # pixels of the camera
LOOK = 300 * ms  # three saccades
Samples = tuple[list[dvs.Recording], NDArray[np.int64]]


def recording(events: NDArray) -> dvs.Recording:
    """The events of a sample as tonic gives them, with the size of their sensor."""
    columns = (events[name] for name in ("x", "y", "t", "p"))
    return dvs.Recording(events=dvs.make_events(*columns), width=SIZE, height=SIZE)


def from_tonic(folder: Path, count: int, train: bool, rng: np.random.Generator) -> Samples:
    """`count` samples, drawn from the training or the test set."""
    samples = NMNIST(str(folder), train=train)
    chosen = [samples[k] for k in rng.choice(len(samples), count, replace=False)]
    return [recording(events) for events, _ in chosen], np.array([label for _, label in chosen])


def from_arrays(path: Path, count: int, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """`count` samples of a file: four fifths of them for training, and the others."""
    with np.load(path) as file:
        columns = {name: file[name] for name in ("x", "y", "p", "dt", "offsets", "label")}
    recordings = []
    for first, last in pairwise(columns["offsets"]):
        x, y, p, dt_us = (columns[name][first:last] for name in ("x", "y", "p", "dt"))
        recordings.append(recording({"x": x, "y": y, "p": p, "t": np.cumsum(dt_us)}))
    chosen = rng.permutation(len(recordings))[:count]
    new, known = np.split(chosen, [len(chosen) // 5])
    labels = columns["label"].astype(np.int64)
    return ([recordings[k] for k in known], labels[known]), ([recordings[k] for k in new], labels[new])


def picture(history: learning.History, curve: AccuracyCurve) -> Figure:
    """How the training went, and how early in a sample the answer is there."""
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[2, 1])
    history.plot(left.subplots(1, 2))
    curve.plot(right.subplots())
    return figure


def main() -> None:
    """Load, train, let Brian2 read new digits, draw the learning curve and accuracy against time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of tonic's N-MNIST, or a .npz file")
    parser.add_argument("--samples", type=int, default=1000, help="of which a fifth is for the test")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--hidden", type=int, default=200, help="neurons of the hidden layer")
    parser.add_argument("--seed", type=int, default=0, help="of the samples, the first weights and the training")
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--checkpoint", type=Path, default=Path("training.h5"))
    parser.add_argument("--output", type=Path, default=Path("nmnist.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen

    rng = np.random.default_rng(options.seed)
    if options.data.is_file():
        known, new = from_arrays(options.data, options.samples, rng)
    elif (options.data / "NMNIST" / "train.zip").exists():
        test = options.samples // 5
        known = from_tonic(options.data, options.samples - test, True, rng)
        new = from_tonic(options.data, test, False, rng)
    else:
        print(f"no N-MNIST at {options.data}: skipped; the head of this file says how to fetch it")
        return

    eye = snn.EventInput(width=SIZE, height=SIZE, dt=1 * ms, collisions="first")
    hidden = snn.Dense(options.hidden, lif(tau=20 * ms), gain=2, name="hidden")
    readout = snn.Dense(10, leaky_readout(tau=20 * ms), name="readout")
    network = snn.feedforward(eye, [hidden, readout], seed=options.seed)

    loss = learning.losses.max_over_time()
    model = learning.trainable(
        network, inputs=eye, output="readout.v", parameters=["hidden_in.w", "readout_in.w"], duration=LOOK
    )
    history = model.fit(
        *known, validation=new, loss=loss, optimiser=learning.AdamW(2e-3, weight_decay=0.5), epochs=options.epochs,
        batch=32, augment=chain(shift(1), drop_events(0.1)), seed=options.seed, checkpoint=options.checkpoint,
        resume=True,
    )  # fmt: skip

    recordings, labels = new
    responses = snn.run(network, recordings, input=eye, duration=LOOK, states={"readout": ["v"]})
    v = responses.states["readout"]["v"]
    curve = accuracy_over_time(np.maximum.accumulate(v, axis=1), labels, dt=responses.dt)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(history, curve).savefig(options.output, dpi=100)
    read, told = loss.predict(v), model.predict(recordings, loss)
    print(f"the model reads {(told == labels).mean():.1%} of {len(labels)} new digits (chance 10%)")
    print(f"with its weights Brian2 reads {(read == labels).mean():.1%}, {(told == read).sum()} of them alike")
    print(f"nine tenths of these it knows {curve.reaches(0.9) / ms:.0f} ms after the start; see {options.output}")


if __name__ == "__main__":
    main()
