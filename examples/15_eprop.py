"""A recurrent network learns a wave while it runs: e-prop, with traces derived from the neurons' own equations.

The task is the pattern generation of Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
spiking neurons", Nature Communications 11: the same input spikes come in every trial of a second, and a readout is to
follow a sum of four sines. Nothing is stored and nothing runs backwards: each synapse keeps a trace of what it did, and
each neuron hears the error of now, through the weights of its own synapses to the readout, through random ones, or as
one number for all. The neurons are adaptive; nobody wrote down what that means for their traces.

    python examples/15_eprop.py [--trials 60] [--seed 0] [--codegen numpy] [--output eprop.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    prefs,
)
from matplotlib.figure import Figure
from numpy.typing import NDArray

import learning
from dvs.charts import INK, OFF, ON
from snn.probes.pictures import legend, name_axes, prepare

STEPS = 1000
adaptive = """
dv/dt = -v / (30*ms) : 1
da/dt = -a / (400*ms) : 1
"""


def wave(rng: np.random.Generator) -> NDArray[np.float64]:
    """Four sines of 1 to 5 Hz, from 0, at most 1 high."""
    t = np.arange(STEPS) / STEPS
    sines = sum(rng.uniform(0.5, 2) * np.sin(2 * np.pi * (f * t + rng.random())) for f in (1, 2, 3, 5))
    return (sines - sines[0]) / np.abs(sines - sines[0]).max()


def recurrent_network(trials: int, rng: np.random.Generator) -> Network:
    """Input that repeats, adaptive neurons that hear it and each other, and a leaky readout."""
    step, wire = np.nonzero(rng.random((STEPS, 50)) < 0.05)
    times = (step + STEPS * np.arange(trials)[:, None]).ravel()
    wires = SpikeGeneratorGroup(50, np.tile(wire, trials), times * ms, name="wires")
    cells = NeuronGroup(80, adaptive, threshold="v > 1 + 0.1*a", reset="v -= 1; a += 1", method="exact", name="cells")
    readout = NeuronGroup(1, "dv/dt = -v / (30*ms) : 1", method="exact", name="readout")
    network = Network(wires, cells, readout)
    gains = {"entry": (wires, cells, 1.2), "recurrent": (cells, cells, 0.6), "exit": (cells, readout, 0.2)}
    for name, (source, target, gain) in gains.items():
        synapses = Synapses(source, target, "w : 1", on_pre="v_post += w", name=name)
        pre, post = np.indices((len(source), len(target))).reshape(2, -1)
        synapses.connect(i=pre, j=post)
        synapses.w = gain / np.sqrt(len(source)) * rng.standard_normal(len(synapses))
        network.add(synapses)
    return network


def main() -> None:
    """Learn with three kinds of feedback, say how the errors fell, draw what the readout does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60, help="of one second")
    parser.add_argument("--seed", type=int, default=0, help="of weights, input, wave and random feedback")
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("eprop.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen
    defaultclock.dt = 1 * ms

    figure = Figure(figsize=(9, 5.4), layout="constrained")
    boxes = figure.subplot_mosaic([["symmetric", "errors"], ["random", "errors"], ["broadcast", "errors"]])
    for feedback, colour in (("symmetric", ON), ("random", OFF), ("broadcast", "#7a8793")):
        rng = np.random.default_rng(options.seed)
        goal = wave(rng)
        network = recurrent_network(options.trials, rng)
        target = TimedArray(np.tile(goal, options.trials)[:, None], dt=1 * ms)
        rule = learning.eprop(
            network, output=network["readout"].v, target="target(t, i)", trial=STEPS * ms, feedback=feedback,
            weights=[network[name].w for name in ("entry", "recurrent", "exit")], optimiser=learning.Adam(5e-3),
            surrogate=learning.surrogates.triangle(), restart=True, seed=options.seed, namespace={"target": target},
        )  # fmt: skip
        followed = StateMonitor(network["readout"], "v", record=True, when="end")
        network.add(*rule.objects, followed)
        network.run(options.trials * STEPS * ms)
        if feedback == "symmetric":
            print(rule.equations())
        output = followed.v[0].reshape(options.trials, STEPS)
        errors = 0.5 * ((output - goal) ** 2).sum(axis=1)
        print(f"{feedback:9} feedback: error {errors[0]:.1f} in the first trial, {errors[-1]:.1f} in the last")

        box = prepare(boxes[feedback])
        box.plot(goal, color=INK, linewidth=1, label="goal")
        box.plot(output[0], color=colour, alpha=0.35, label="first trial")
        box.plot(output[-1], color=colour, label="last trial")
        box.set_title(f"{feedback} feedback", loc="left", color=INK, fontsize=10)
        name_axes(box, "time (ms)" if feedback == "broadcast" else "", "readout")
        prepare(boxes["errors"]).semilogy(np.arange(1, options.trials + 1), errors, color=colour, label=feedback)
    legend(boxes["broadcast"])
    legend(boxes["errors"])
    name_axes(boxes["errors"], "trial", "half the sum of squared errors")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=100)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
