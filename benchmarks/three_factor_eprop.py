"""e-prop: NEST's published losses in every target of Brian2, Bellec's equation 1, and evidence that must be remembered.

    python benchmarks/three_factor_eprop.py [--json eprop.json] [--seeds 0 1 2 3 4] [--small]
        [--only fixture identity evidence] [--without adaptation|feedback]

fixture: the losses of both tasks, from traces that were derived, against NEST's, largest relative error; regression in
NumPy, Cython and C++ standalone. identity: eligibility times total learning signal against backpropagation, largest
difference by the largest gradient, over the neuron models of tests/test_learning_eligibility.py.
evidence: the classification task goes on: seven cues on the left or right, then more than a second of nothing, then
the question which side had more. Everything is in one Brian2 network, the cues too, that runs in C++ standalone: 300
updates of 32 trials. The task counts as solved when less than 7 % are wrong over 8 updates (Bellec et al. 2020, whose
program then stops; this one goes on). `--without adaptation`: all thresholds are fixed; `--without feedback`: errors
reach the readout only.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    StateMonitor,
    Synapses,
    device,
    ms,
    prefs,
    set_device,
    start_scope,
)
from brian2.core.variables import VariableView
from brian2.devices.device import reset_device
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import test_learning_eligibility as identity
from eprop_fixtures import (
    CLASSIFICATION,
    REGRESSION,
    classification,
    cross_entropies,
    regression,
    squared_errors,
)
from uncompiled import uncompiled

from learning import Adam, RateGoal, eprop
from learning.e_prop import EProp
from learning.surrogates import fast_sigmoid, triangle
from snn.compiling import compiled

ABLATIONS = ("adaptation", "feedback")
TRIAL, RECALL, CUES = 2250, 150, 7
# Updates of 32 trials by learning rate, and how many are averaged.
PHASES = {5e-3: 150, 2.5e-3: 150}
AVERAGED = 8
TARGETS = ("numpy", "cython", "cpp_standalone")


@contextmanager
def running_in(target: str) -> Iterator[None]:
    """A scope of its own in a target of Brian2."""
    start_scope()
    kept = prefs.codegen.target
    if target != "cpp_standalone":
        prefs.codegen.target = target
        yield
        prefs.codegen.target = kept
        return
    with tempfile.TemporaryDirectory() as folder:
        set_device("cpp_standalone", directory=folder, build_on_run=True)
        try:
            yield
        finally:
            device.reinit()
            reset_device()


def fixture_error(target: str, trials: int) -> float:
    """Of the regression task."""
    with running_in(target):
        task = regression(trials)
        task.network.run(trials * task.trial * ms, namespace={})
        return float(np.abs(squared_errors(task) / REGRESSION[:trials] - 1).max())


def classification_error(batch: int, updates: int) -> float:
    """Of the task with cues."""
    with running_in("numpy"):
        task = classification(batch, updates)
        task.network.run(updates * batch * task.trial * ms, namespace={})
        return float(np.abs(cross_entropies(task, batch) / CLASSIFICATION[batch][:updates] - 1).max())


def identity_error(name: str, seed: int) -> float:
    """Largest difference of signal times eligibility from the gradient, by the largest gradient."""
    surrogate = fast_sigmoid(5.0)
    worst = 0.0
    with running_in("numpy"):
        network, synapses, raster = identity.network_of(identity.MODELS[name], seed)
        goal = np.random.default_rng(seed + 1).normal(0, 1, (identity.STEPS, identity.OUTPUTS))
        with uncompiled():
            signals, slopes = identity.learning_signals(network, synapses, raster, goal, surrogate)
        for projection in ("S", "R"):
            again = identity.network_of(identity.MODELS[name], seed)[:2]
            found = identity.accumulated(*again, projection, signals, surrogate, check=False)
            worst = max(worst, np.abs(found - slopes[projection]).max() / np.abs(slopes[projection]).max())
    return float(worst)


def experimenter() -> NeuronGroup:
    """Who shows cues: sides of this trial's seven, the one of now (0, 1, or -1: none), and which had more.

    One side has each cue with probability 0.7; a cue is 100 ms long, 50 ms after the last.
    """
    sides = "\n".join(f"side_{k} : 1" for k in range(CUES))
    group = NeuronGroup(1, f"{sides}\nfavourite : 1\ncue : 1\nasked : 1\nmore : 1\nplace : 1", name="experimenter")
    drawn = "\n".join(f"side_{k} = int(rand() < 0.3 + 0.4*favourite)" for k in range(CUES))
    total = " + ".join(f"side_{k}" for k in range(CUES))
    group.run_regularly(
        f"favourite = int(rand() < 0.5)\n{drawn}\nmore = int({total} > {CUES // 2})",
        dt=TRIAL * ms,
        when="start",
        order=-50,
    )
    shown = " + ".join(f"int(place >= {150 * k + 50})*int(place < {150 * k + 150})*(1 + side_{k})" for k in range(CUES))
    group.run_regularly(
        f"place = timestep(t, dt) % {TRIAL}\ncue = {shown} - 1\nasked = int(place >= {TRIAL - RECALL})",
        when="start",
        order=-40,
    )
    return group


@dataclass(frozen=True, kw_only=True, eq=False)
class Remembering:
    """The network of the classification task, its rule, and monitors of right and given answers, at trials' ends."""

    network: Network
    rule: EProp
    right: StateMonitor
    given: StateMonitor

    def begun(self, seed: int, without: str | None) -> dict[VariableView, NDArray]:
        """First weights, and those of the feedback."""
        rng = np.random.default_rng(seed)
        n_in, n, n_out = 40, 100, 2
        limit = np.sqrt(3 / ((n + n_out) / 2))
        drawn = {
            "entry": rng.normal(0, 1 / np.sqrt(n_in), (n_in, n)),
            "loop": rng.normal(0, 1 / np.sqrt(n), (n, n))[~np.eye(n, dtype=bool)],
            "exit": rng.uniform(-limit, limit, (n, n_out)),
        }
        feedback = rng.normal(0, 0 if without == "feedback" else 1, (n, n_out))
        weights = {self.network[name].w: weights.ravel() for name, weights in drawn.items()}
        return {**weights, self.rule.feedback["cells"].B: feedback.ravel()}


def remembering(batch: int, without: str | None) -> Remembering:
    """All of it, with weights of 0."""
    n_in, n, n_out = 40, 100, 2
    teller = experimenter()
    inputs = NeuronGroup(n_in, "chance : 1", threshold="rand() < chance", name="inputs")
    inputs.variables.add_reference("cue", teller, "cue", index="0")
    inputs.variables.add_reference("asked", teller, "asked", index="0")
    inputs.run_regularly(
        "chance = 0.04*int(i < 20)*int(cue == floor(i/10)) + 0.04*asked*int(i >= 20)*int(i < 30) + 0.01*int(i >= 30)",
        when="start",
        order=-30,
    )
    namespace = {"tau": 20 * ms, "tau_a": 2000 * ms, "threshold": 0.6}
    cells = NeuronGroup(
        n,
        "dv/dt = -v/tau : 1\nda/dt = -a/tau_a : 1\nbeta : 1 (constant)",
        threshold="v >= threshold + beta*a",
        reset="v -= threshold/exp(-dt/tau); a += exp(dt/tau_a)",
        refractory=5 * ms,
        method="exact",
        namespace=namespace,
        name="cells",
    )
    beta = 1.7 * (1 - np.exp(-1 / 2000)) / (1 - np.exp(-1 / 20))
    cells.beta = np.repeat([0.0, 0.0 if without == "adaptation" else beta], n // 2)
    readout = NeuronGroup(n_out, "dv/dt = -v/tau : 1", method="exact", namespace=namespace, name="readout")
    goal = NeuronGroup(n_out, "ideal : 1", name="goal")
    goal.variables.add_reference("more", teller, "more", index="0")
    goal.run_regularly("ideal = int(i == more)", when="start", order=-30)
    wired = {
        "entry": (inputs, cells, "v_post += w/exp(-dt/(20*ms))"),
        "loop": (cells, cells, "v_post += w/exp(-dt/(20*ms))"),
        "exit": (cells, readout, "v_post += w*(1 - exp(-dt/(20*ms)))"),
    }
    synapses = []
    for name, (source, target, code) in wired.items():
        one = Synapses(source, target, "w : 1", on_pre=code, name=name)
        pre, post = np.nonzero(np.ones((len(source), len(target))) - (np.eye(n) if name == "loop" else 0))
        one.connect(i=pre, j=post)
        synapses.append(one)
    network = Network(teller, inputs, cells, readout, goal, *synapses)
    rule = eprop(
        Network(inputs, cells, readout, *synapses), inputs=[inputs], output=readout.v, target=goal.ideal,
        loss="cross_entropy", weights=[one.w for one in synapses], trial=TRIAL * ms, batch=batch,
        window=RECALL * ms, average=True,
        feedback={"cells": np.zeros((n, n_out))}, optimiser=Adam(fading_epsilon=True), rate=RateGoal(strength=300.0),
        restart=True, surrogate=triangle(height=0.3, width=1.0), scale={"cells": 0.6}, namespace={},
    )  # fmt: skip
    # Which readout was higher on average while it was asked.
    judge = NeuronGroup(1, "lead : 1\nahead : 1", name="judge")
    comparing = Synapses(readout, judge, "ahead_post = (2*i - 1)*v_pre : 1 (summed)", name="comparing")
    comparing.connect(i=[0, 1], j=[0, 0])
    judge.variables.add_reference("asked", teller, "asked", index="0")
    judge.run_regularly("lead += asked*ahead", when="end")
    judge.run_regularly("lead = 0", dt=TRIAL * ms, when="start", order=-10)
    # At the start of a trial, before anything of it: what the one before was.
    right = StateMonitor(teller, "more", record=True, dt=TRIAL * ms, when="start", order=-60)
    given = StateMonitor(judge, "lead", record=True, dt=TRIAL * ms, when="start", order=-60)
    network.add(*rule.objects, judge, comparing, right, given)
    return Remembering(network=network, rule=rule, right=right, given=given)


def wrong_answers(
    seeds: Sequence[int], batch: int, phases: Mapping[float, int], without: str | None = None
) -> Iterator[tuple[NDArray[np.float64], float]]:
    """The share of wrong answers in each update, and the seconds it ran, for each seed; compiled once.

    phases: numbers of updates by learning rate, one after the other.
    """

    def live(task: Remembering) -> None:
        for rate, updates in phases.items():
            for one in task.rule.plasticity.values():
                one.learning_rate = rate
            task.network.run(updates * batch * TRIAL * ms, namespace={})
        task.network.run(1 * ms, namespace={})  # the last answer is known when the next trial begins

    with compiled(lambda: remembering(batch, without), live) as program:
        task = program.made
        for seed in seeds:
            seconds = program(seed, task.begun(seed, without))
            right, given = program.read(task.right, "more")[1:], program.read(task.given, "lead")[1:]
            yield ((given > 0) != (right > 0)).reshape(-1, batch).mean(axis=1), seconds


def rows(
    seeds: Sequence[int],
    *,
    small: bool = False,
    without: str | None = None,
    progress: bool = True,
    only: Sequence[str] = ("fixture", "identity", "evidence"),
) -> list[dict[str, Any]]:
    """One object a row: name, target, got, spread, seeds, each, met."""
    found = []

    def add(name: str, target: str, each: Sequence[float], met: bool | None) -> None:
        row = {"name": name, "target": target, "got": float(np.mean(each)), "spread": float(np.std(each))}
        each, met = [float(one) for one in each], None if met is None else bool(met)
        found.append({**row, "seeds": list(seeds), "each": each, "met": met})
        if progress:
            print(f"{name}: {found[-1]['got']:.3g} +- {found[-1]['spread']:.2g} ({target})", flush=True)

    if "fixture" in only:
        for target in TARGETS[:1] if small else TARGETS:
            error = fixture_error(target, 2 if small else 5)
            add(f"e-prop regression fixture, {target}", "<= 1e-8", [error], error <= 1e-8)
        for batch in (1,) if small else (1, 2):
            error = classification_error(batch, 2 if small else 5)
            add(f"e-prop evidence accumulation fixture, batch {batch}", "<= 1e-8", [error], error <= 1e-8)
    if "identity" in only:
        names = list(identity.MODELS)[: 1 if small else None]
        errors = [max(identity_error(name, seed) for name in names) for seed in seeds]
        add("eligibility x total signal = backpropagation", "<= 1e-12", errors, max(errors) <= 1e-12)
    if "evidence" in only:
        batch, phases = (2, {5e-3: 5, 2e-3: 5}) if small else (32, PHASES)
        lowest, last = [], []
        for seed, (curve, seconds) in zip(seeds, wrong_answers(seeds, batch, phases, without), strict=True):
            running = np.convolve(curve, np.full(AVERAGED, 1 / AVERAGED), "valid")
            solved = np.flatnonzero(running < 0.07)
            lowest.append(running[solved[0]] if solved.size else running.min())
            last.append(running[-1])
            if progress:
                steps = curve[: curve.size // 10 * 10].reshape(-1, 10).mean(axis=1)
                when = f"solved after {solved[0] + AVERAGED} updates" if solved.size else f"lowest {running.min():.3f}"
                print(f"  seed {seed}: {seconds:.0f} s, {when}; wrong by 10: {np.round(steps, 2).tolist()}", flush=True)
        name = "e-prop evidence accumulation, trained on" + (f", without {without}" if without else "")
        add(name, "8 updates with < 0.07 wrong", lowest, max(lowest) < 0.07)
        add(f"{name}: the last 8 updates", "reported", last, None)
    return found


def main() -> None:
    """Measure, say, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--small", action="store_true", help="to see that it runs")
    parser.add_argument("--only", nargs="+", default=["fixture", "identity", "evidence"])
    parser.add_argument("--without", choices=ABLATIONS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = rows(options.seeds, small=options.small, without=options.without, only=options.only)
    if options.json:
        options.json.write_text(json.dumps({"results": results}, indent=1))


if __name__ == "__main__":
    main()
