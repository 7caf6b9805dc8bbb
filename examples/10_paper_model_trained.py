"""A network from a paper, as its authors wrote it, becomes a logic gate: five lines make it trainable.

The network is that of Vogels & Abbott 2005, "Signal propagation and logic gating in networks of integrate-and-fire
neurons", J. Neurosci. 25:10786, in the form in which it became a benchmark of simulators (Brette et al. 2007,
"Simulation of networks of spiking neurons", J. Comput. Neurosci. 23:349, benchmark 2), with fewer neurons and as
stronger synapses, and with longer steps. Neurons are driven to fire by themselves and wired at random. The paper makes
gates of such a network by hand, in strengthening the right synapses; here they are found by their gradient. Two groups
of inputs are silent or fire for 50 ms; afterwards two membranes that hear the network are to tell whether exactly one
of them did. Excitation stays excitation, and inhibition inhibition (Dale's law): those are limits of the weights.

    python examples/10_paper_model_trained.py [--neurons 200] [--samples 800] [--epochs 12] [--codegen numpy]
        [--output gate.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import Hz, Network, NeuronGroup, Quantity, SpikeGeneratorGroup, Synapses, defaultclock, ms, mV, prefs, seed
from matplotlib.figure import Figure
from numpy.typing import NDArray

import learning
import snn
from dvs.charts import INK, OFF, ON
from learning import Parameter

# As in the paper, in the names of Brian2's example CUBA.
taum, taue, taui = 20 * ms, 5 * ms, 10 * ms
Vt, Vr, El = -50 * mV, -60 * mV, -49 * mV
eqs = """
dv/dt  = (ge + gi - (v - El)) / taum : volt (unless refractory)
dge/dt = -ge / taue : volt
dgi/dt = -gi / taui : volt
"""
IN_EACH = 80  # synapses that a neuron has

PAIRS = ((0, 0), (1, 0), (0, 1), (1, 1))  # of the two inputs
WIRES = 20  # of each input
LOOK = 150 * ms


def paper_network(neurons: int) -> Network:
    """Four fifths of the neurons excite, the others inhibit; a pair is connected by chance."""
    cells = NeuronGroup(
        neurons, eqs, threshold="v > Vt", reset="v = Vr", refractory=5 * ms, method="exact", name="cells"
    )
    cells.v = "Vr + rand() * (Vt - Vr)"
    p = 0.2
    stronger = IN_EACH / (p * neurons)
    excitation = Synapses(cells[: neurons * 4 // 5], cells, "w : volt", on_pre="ge += w", name="excitation")
    excitation.connect(p=p)
    excitation.w = stronger * (60 * 0.27 / 10) * mV
    inhibition = Synapses(cells[neurons * 4 // 5 :], cells, "w : volt", on_pre="gi += w", name="inhibition")
    inhibition.connect(p=p)
    inhibition.w = stronger * (-20 * 4.5 / 10) * mV

    wires = SpikeGeneratorGroup(2 * WIRES, [], [] * ms, name="wires")
    entry = Synapses(wires, cells, "w : volt", on_pre="ge += w", name="entry")
    entry.connect(p=p)
    entry.w = 5 * mV
    readout = NeuronGroup(2, "dv/dt = -v / taum : 1", method="exact", name="readout")
    exit_ = Synapses(cells, readout, "w : 1", on_pre="v_post += w", name="exit")
    exit_.connect()
    exit_.w = "0.05 * randn()"
    return Network(cells, excitation, inhibition, wires, entry, readout, exit_)


def fired(bits: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], Quantity]:
    """Which wires spike, and when: those of a group whose bit is 1, three times on average from 20 to 70 ms."""
    of_wire = rng.poisson(3 * np.repeat(bits, WIRES))
    step = int(50 * ms / defaultclock.dt)
    i = np.repeat(np.arange(2 * WIRES), np.minimum(of_wire, step))
    at = np.concatenate([rng.choice(step, min(count, step), replace=False) for count in of_wire])
    return i, 20 * ms + at * defaultclock.dt


def picture(responses: snn.Responses, bits: NDArray[np.int64]) -> Figure:
    """What the network does at each of the four pairs of bits, and below it what the readout says."""
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    boxes = figure.subplots(2, 4, sharex=True, sharey="row", height_ratios=[2, 1])
    for column, pair in zip(boxes.T, PAIRS, strict=True):
        k = np.flatnonzero((bits == pair).all(axis=1))[0]
        train, v = responses.spikes["cells"].of_sample(k), responses.states["readout"]["v"][k]
        column[0].plot(train.t / ms, train.neuron, ".", color=INK, markersize=2.5)
        column[0].set_title(f"{pair[0]} and {pair[1]}", fontweight="bold", color=INK)
        t_ms = np.arange(1, len(v) + 1) * float(responses.dt / ms)
        column[1].plot(t_ms, v[:, 1], color=ON, label="one fired")
        column[1].plot(t_ms, v[:, 0], color=OFF, label="none or both")
        column[1].set_xlabel("time (ms)")
        for box in column:
            box.axvspan(20, 70, color=INK, alpha=0.07 * sum(pair), linewidth=0, label="when inputs fire")
            box.spines[["top", "right"]].set_visible(False)
    boxes[0, 0].set(ylabel="neuron", xlim=(0, LOOK / ms))
    boxes[1, 0].set_ylabel("readout")
    figure.legend(*boxes[1, 3].get_legend_handles_labels(), loc="outside lower right", ncols=3, frameon=False)
    return figure


def main() -> None:
    """Train the network, let Brian2 run it with samples it has not seen, draw what it does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=200)
    parser.add_argument("--samples", type=int, default=800, help="a quarter of them is kept for the test")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("gate.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen
    defaultclock.dt = 0.5 * ms
    seed(1)

    network = paper_network(options.neurons)
    wires = network["wires"]
    rng = np.random.default_rng(1)
    bits = np.array(PAIRS)[np.arange(options.samples) % 4]
    samples, labels = [fired(pair, rng) for pair in bits], bits[:, 0] ^ bits[:, 1]
    first_new = options.samples * 3 // 4
    known = samples[:first_new], labels[:first_new]

    def tested() -> tuple[snn.Responses, str]:
        """What Brian2 makes of new samples."""
        responses = snn.run(
            network, range(first_new, options.samples), input=lambda k: wires.set_spikes(*samples[k]), duration=LOOK,
            record=["cells"], states={"readout": ["v"]},
        )  # fmt: skip
        right = learning.losses.last().predict(responses.states["readout"]["v"]) == labels[first_new:]
        rate = responses.spikes["cells"].rates().mean()
        return responses, f"right in {right.mean():.1%} of {len(right)} new samples, neurons fire at {rate / Hz:.1f} Hz"

    print(f"before learning: {tested()[1]} (chance 50%)")

    # Five lines:
    excitatory = [Parameter(network[name].w, limits=(0 * mV, None)) for name in ("excitation", "entry")]
    inhibitory = Parameter(network["inhibition"].w, limits=(None, 0 * mV))
    learnt, loss = [*excitatory, inhibitory, network["exit"].w], learning.losses.last()
    model = learning.trainable(network, inputs=wires, output="readout.v", parameters=learnt, duration=LOOK, damping=0.5)
    model.fit(*known, loss=loss, optimiser=learning.Adam(0.03), epochs=options.epochs, batch=20, clip=1.0)

    responses, result = tested()
    print(f"after learning: {result}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(responses, bits[first_new:]).savefig(options.output, dpi=100)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
