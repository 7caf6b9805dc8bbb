"""Is a learning rule the gradient of anything? Descent is; spikes, memory and temporal differences are not.

A rule that adds F(w) to the weights descends some function only if the Jacobian J of F is symmetric. Here |J - J'| over
|J + J'| is measured: of exact descent on the smooth twin of a recurrent spiking network, of e-prop on the same (the
gradient in which loops carry no error: Bellec et al. 2020), of the surrogate gradient of its spikes (Neftci, Mostafa &
Zenke 2019), of momentum seen in the weights alone, and of TD(0) (Barnard 1993). Spikes jump, so that their asymmetry is
measured over many lengths, and by the work around a loop, which is zero for whatever descends. And what may happen to a
rule that descends nothing: Baird's star (1995), on which TD runs away while true gradients come home.

    python examples/34_is_it_a_gradient.py [--hidden 8] [--rules smooth e-prop spikes] [--lengths 6] [--pieces 30]
        [--sweeps 1000] [--seed 0] [--codegen numpy] [--output gradient.png]
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import BrianLogger, Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms, prefs
from matplotlib.figure import Figure

import learning
from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from learning.landscape.bairds_star import Baird, baird
from learning.landscape.field import Asymmetry, LoopWork, asymmetry, loop_work, td_field, update_field
from learning.landscape.objective import Objective, of_function, of_model

STEPS, INPUTS = 25, 6
RULES = {
    "smooth": {"smooth": True},
    "e-prop": {"smooth": True, "damping": 0.0},
    "spikes": {"smooth": False},
}
NAMES = {
    "smooth": "smooth twin, exact",
    "e-prop": "smooth twin, e-prop",
    "spikes": "spikes, surrogate gradient",
}
COLOURS = {"smooth": ON, "e-prop": "#7b61a8", "spikes": OFF}


def losses_of(hidden: int, rules: list[str], seed: int) -> dict[str, Objective]:
    """The loss of one recurrent network as a function of its weights, by each way of taking its gradient."""
    rng = np.random.default_rng(seed)
    source = SpikeGeneratorGroup(INPUTS, [], [] * ms, name="source")
    cells = NeuronGroup(hidden, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v -= 1", method="exact")
    readout = NeuronGroup(2, "dv/dt = -v/(20*ms) : 1", method="exact", name="readout")
    network = Network(source, cells, readout)
    wires = []
    for name, (pre, post, gain) in {
        "entry": (source, cells, 1.5),
        "loops": (cells, cells, 0.7),
        "exit": (cells, readout, 1.0),
    }.items():
        synapses = Synapses(pre, post, "w : 1", on_pre="v_post += w", name=name)
        synapses.connect()
        synapses.w = gain / np.sqrt(len(pre)) * rng.standard_normal(len(synapses))
        network.add(synapses)
        wires.append(synapses.w)
    samples, labels = (rng.random((20, STEPS, INPUTS)) < 0.3).astype(int), rng.integers(0, 2, 20)
    found = {}
    for rule in rules:
        model = learning.trainable(
            network, inputs=source, output=readout.v, parameters=wires, duration=STEPS * ms, through_reset=True,
            surrogate=learning.surrogates.sigmoid(), precision="float64", threads=1, namespace={}, **RULES[rule],
        )  # fmt: skip
        found[rule] = of_model(model, samples, labels, learning.losses.mean_over_time())
    return found


def main() -> None:
    """Measure, say what was found, draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=8, help="neurons")
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES), help="of the network")
    parser.add_argument("--lengths", type=int, default=6, help="of steps, from 1e-5 to 1")
    parser.add_argument("--pieces", type=int, default=30, help="of each side of a loop, at most")
    parser.add_argument("--sweeps", type=int, default=1000, help="of Baird's star")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--codegen", default="auto", help="numpy for a short run: Brian2 then compiles nothing")
    parser.add_argument("--output", type=Path, default=Path("gradient.png"))
    options = parser.parse_args()
    prefs.codegen.target = options.codegen
    defaultclock.dt = 1 * ms
    BrianLogger.suppress_name("unused_brian_object")  # the model runs, Brian2 does not
    rng = np.random.default_rng(options.seed)

    lengths = np.geomspace(1e-5, 1, options.lengths)
    turned: dict[str, Asymmetry] = {}
    loops: dict[str, LoopWork] = {}
    for rule, loss in losses_of(options.hidden, options.rules, options.seed).items():
        field = update_field(loss)
        turned[rule] = asymmetry(field, loss.start, steps=lengths)
        # Around a triangle in the plane in which the rule turns most, 0.3 from its middle.
        angles = 2 * np.pi * np.arange(3) / 3
        corners = loss.start + 0.3 * np.stack([np.cos(angles), np.sin(angles)], axis=1) @ turned[rule].plane
        loops[rule] = loop_work(field, corners, tolerance=1e-3, pieces=options.pieces)
        print(f"{NAMES[rule]}: {turned[rule]}")
        print(f"  {loops[rule]}")

    bowl = of_function(lambda x: float(x @ x) / 2, lambda x: x, np.ones(2))
    memory = {
        b: asymmetry(update_field(bowl, learning.Momentum(0.1, momentum=b), steps=20), np.ones(40)).asymmetry
        for b in (0.0, 0.3, 0.5, 0.7, 0.9, 0.99)
    }
    print("momentum over 20 steps: " + ", ".join(f"{b:g}: {found:.3f}" for b, found in memory.items()))

    chain = rng.random((8, 8)) ** 3
    chain /= chain.sum(axis=1, keepdims=True)
    walk = chain + chain.T
    walk /= walk.sum(axis=1, keepdims=True)
    print(f"TD(0) of a random chain: {asymmetry(td_field(chain), np.zeros(8))}")
    print(f"TD(0) of a walk that looks the same backwards: {asymmetry(td_field(walk), np.zeros(8))}")

    stars = {rule: baird(rule, steps=options.sweeps) for rule in ("semi-gradient", "on-policy", "residual", "tdc")}
    for star in stars.values():
        print(star)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(turned, loops, memory, stars).savefig(options.output, dpi=100)
    print(f"see {options.output}")


def picture(
    turned: dict[str, Asymmetry], loops: dict[str, LoopWork], memory: dict[float, float], stars: dict[str, Baird]
) -> Figure:
    """Asymmetry over lengths, work around a loop, momentum, and the star."""
    figure = Figure(figsize=(13, 7.4), layout="constrained")
    (lengths, loop, momentum), (away, values, home) = figure.subplots(2, 3)
    prepare(lengths)
    prepare(loop)
    for rule, found in turned.items():
        lengths.loglog(found.steps, np.maximum(found.by_step, 1e-12), "o-", color=COLOURS[rule], label=NAMES[rule])
    for rule, found in loops.items():
        largest = np.abs(found.height).max()
        loop.plot(found.way / found.way[-1], found.height / largest, color=COLOURS[rule], label=NAMES[rule])
        loop.plot(1, found.height[-1] / largest, "o", color=COLOURS[rule])
    loop.axhline(0, color=INK, linewidth=0.6)
    name_axes(lengths, "length of the step in the weights", "|J - J'| / |J + J'|")
    name_axes(loop, "way around a triangle", "work done, of the most")
    prepare(momentum).plot(list(memory), list(memory.values()), "o", color=ON, label="measured over 20 steps")
    b = np.linspace(0, 0.99, 200)
    m = np.arange(1, 20)[:, None]
    s = np.sum((20 - m) * b ** (2 * m), axis=0)
    momentum.plot(b, np.sqrt(s / (40 + s)), color=INK, linewidth=1, label="closed form")
    momentum.plot(b, b / np.sqrt(2 - b**2), color=INK, linewidth=1, linestyle=":", label="of endless learning")
    name_axes(momentum, "momentum", "|J - J'| / |J + J'|")
    stars["semi-gradient"].plot(away)
    stars["on-policy"].plot(home)
    prepare(values)
    for (rule, star), colour in zip(stars.items(), (OFF, ON, "#7b61a8", "#2a9d6f"), strict=True):
        values.semilogy(star.values, color=colour, label=rule)
    name_axes(values, "step", "values, root mean square (all should be 0)")
    for box, title in (
        (lengths, "is the rule a gradient?"),
        (loop, "once around gives nothing back, if it is"),
        (momentum, "momentum seen in the weights alone"),
        (away, "Baird's star: TD runs away"),
        (values, "rules on the star"),
        (home, "the same on policy comes home"),
    ):
        box.set_title(title, loc="left", color=INK, fontsize=11)
        legend(box)
    return figure


if __name__ == "__main__":
    main()
