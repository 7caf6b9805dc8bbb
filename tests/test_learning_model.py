"""A model does what Brian2 does: spike for spike, and state for state to the rounding of formulas in another order."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import brian2 as b2
import numpy as np
import pytest
from brian2 import ms, mV
from brian2.devices.device import reset_device
from models_to_learn import (
    CELLS,
    INPUTS,
    MODELS,
    STEPS,
    model_of,
    samples_of,
    source,
    wired,
    with_delays_of_their_own,
    with_subexpressions,
)
from uncompiled import uncompiled

import snn
from dvs import make_events
from dvs.errors import InputError, OutputError, ParameterError
from learning import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, Parameter, RMSProp, trainable
from learning.losses import (
    every_step,
    last,
    latency,
    max_over_time,
    mean_absolute_error,
    mean_over_time,
    mean_squared_error,
    rate,
    sparsity,
    van_rossum,
)
from learning.optimisers import Cosine
from learning.surrogates import triangle
from snn.neurons import adex, cuba_lif, leaky_readout, lif
from snn.synapses import connect, dense


def states_of(model):
    """The names of all states, as "group.state"."""
    populations = [derivation.population for derivation in model.equations().derivations]
    return [f"{population.name}.{state}" for population in populations for state in population.states]


def brian2_does(network, told, spiking, states):
    """(step, neuron) rows of each group and (steps, n) of each state, for one sample after the other.

    told: for each sample a function that is called before it.
    """
    spikes = {name: b2.SpikeMonitor(network[name]) for name in spiking}
    traces = {
        name: b2.StateMonitor(network[name.split(".")[0]], name.split(".")[1], True, when="end") for name in states
    }
    network.add(*spikes.values(), *traces.values())
    network.store()
    for tell in told:
        network.restore()
        tell()
        network.run(STEPS * ms)
        yield (
            {name: np.stack([np.rint(found.t / ms), found.i], axis=1) for name, found in spikes.items()},
            {name: np.asarray(getattr(found, name.split(".")[1])).T for name, found in traces.items()},
        )
    network.remove(*spikes.values(), *traces.values())


def check_against_brian2(network, model, samples, told):
    """Spikes are Brian2's, some at least; states agree to 1e-12 of the largest."""
    states = states_of(model)
    ours = model.respond(samples, states)
    assert sum(trains.neuron.size for trains in ours.spikes.values()) > 10
    for k, (spikes, traces) in enumerate(brian2_does(network, told, ours.spikes, states)):
        for name, theirs in spikes.items():
            trains = ours.spikes[name].of_sample(k)
            np.testing.assert_array_equal(np.stack([np.rint(trains.t / ms), trains.neuron], axis=1), theirs, name)
        for name, theirs in traces.items():
            group, state = name.split(".")
            assert np.abs(ours.states[group][state][k] - theirs).max() <= 1e-12 * np.abs(theirs).max(), name


def telling(network, samples):
    """Tell the spike generators what they do in each sample."""
    for k in range(len(next(iter(samples.values())))):
        yield lambda k=k: [network[name].set_spikes(*given[k]) for name, given in samples.items()]


def with_adaptive_exponentials():
    """Brette & Gerstner (2005): the upstroke of a spike is in the equations."""
    cells = adex().group(CELLS, name="layer1")
    synapses = b2.Synapses(inputs := source(), cells, "j_syn : volt", on_pre="v_post += j_syn", name="in")
    synapses.connect()
    synapses.j_syn = np.random.default_rng(2).normal(2, 4, INPUTS * CELLS) * mV
    return b2.Network(inputs, cells, synapses)


def with_nothing_to_hear():
    """Cells that drive themselves; their synapses were never connected, or deliver after the end."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (1.5 + 0.1*i - v)/(10*ms) : 1", threshold="v > 1", reset="v = 0", refractory=0.4 * ms,
        method="exact", name="layer1",
    )  # fmt: skip
    inputs = source()
    empty = b2.Synapses(inputs, cells, "w : 1", on_pre="v_post += w", name="in")
    empty.connect(condition="False")
    late = b2.Synapses(cells, cells, "w : 1", on_pre="v_post += w", delay=STEPS * ms, name="late")
    late.connect()
    late.w = 1
    return b2.Network(inputs, cells, empty, late)


MORE_MODELS = {
    "adaptive exponential": with_adaptive_exponentials,
    "nothing to hear": with_nothing_to_hear,
}


@pytest.mark.parametrize("name", [*MODELS, *MORE_MODELS])
def test_a_model_does_what_brian2_does(name):
    network = {**MODELS, **MORE_MODELS}[name]()
    samples = samples_of(network)
    with uncompiled():
        check_against_brian2(network, model_of(network), samples, telling(network, samples))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conductances", "currents, refractory, recurrent", "slow receptors", "parts"])
def test_a_compiled_model_does_what_brian2_does(name):
    network = MODELS[name]()
    samples = samples_of(network)
    check_against_brian2(network, model_of(network, threads=None), samples, telling(network, samples))


@pytest.mark.parametrize("collisions", ["first", "count", "spread"])
def test_a_model_sees_events_as_its_eye_does(collisions):
    """Many events of one cell fall into one step; a neuron that is held loses what arrives."""
    b2.defaultclock.dt = 1 * ms
    eye = snn.EventInput(width=4, height=4, pool=2, collisions=collisions)
    cells = lif(refractory=2 * ms).group(CELLS, name="layer1")
    weights = np.random.default_rng(3).normal(0.3, 0.5, (eye.group.N, CELLS))
    network = b2.Network(eye.group, cells, connect(eye.group, cells, dense(weights), name="in"))
    model = model_of(network, inputs=eye, parameters=["in.w"])
    rng = np.random.default_rng(4)
    samples = [
        make_events(*rng.integers(0, 4, (2, 600)), np.sort(rng.integers(0, 90_000, 600)), rng.integers(0, 2, 600))
        for _ in range(2)
    ]
    with uncompiled():
        check_against_brian2(network, model, samples, [lambda k=k: eye.show(samples[k]) for k in range(2)])


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_a_model_sees_numbers_as_its_input_does(share):
    """Each input adds w x, x being another number in every step: mostly 0 in one case, and never in the other."""
    b2.defaultclock.dt = 1 * ms
    rng = np.random.default_rng(9)
    samples = rng.normal(0.1, 0.4, (2, STEPS, INPUTS)) * (rng.random((2, STEPS, INPUTS)) < share)
    group = b2.NeuronGroup(INPUTS, "x : 1\nsize : 1 (constant)", threshold="True", name="input")
    group.run_regularly("x = stim(t, i)")
    group.size = np.linspace(0.5, 1, INPUTS)
    cells = cuba_lif(refractory=2 * ms).group(CELLS, name="layer1")
    synapses = b2.Synapses(
        group, cells, "w : 1", on_pre="I_post += 2*w*x_pre*size_pre; v_post += w*x_pre/50", name="in"
    )
    synapses.connect()
    synapses.w = rng.normal(size=len(synapses))
    network = b2.Network(group, cells, synapses)
    model = model_of(network, inputs=group, parameters=["in.w"])
    told = [lambda k=k: group.namespace.update(stim=b2.TimedArray(samples[k], dt=1 * ms)) for k in range(2)]
    with uncompiled():
        check_against_brian2(network, model, samples, told)


def test_a_sample_alone_does_what_it_does_among_others():
    """In any order, and in any number of threads, to the last bit."""
    model = model_of(with_delays_of_their_own(), threads=1)
    batch = model.encode(samples_of_delays := samples_of(with_delays_of_their_own(), 5))
    together = model.forward(batch).output
    for k in range(5):
        np.testing.assert_array_equal(model.forward(batch[[k]]).output, together[[k]])
    order = np.array([3, 1, 4, 0, 2])
    np.testing.assert_array_equal(model.forward(batch[order]).output, together[order])
    for threads in (2, 3):
        again = model_of(with_delays_of_their_own(), threads=threads)
        np.testing.assert_array_equal(again.forward(samples_of_delays).output, together)


# What is learnt is in Brian2


WRITTEN = {
    "subexpressions": ["in.w", "layer1.bias", "layer1.tau", "layer1.a", "layer1.v"],
    "kernel": ["layer1_in.w"],
    "parts": ["in_left.w", "in_right.w", "within.w", "layer1.tau", "layer1.rate", "layer1.offset", "layer1.gain"],
    "slow receptors": ["in.w", "nmda.w", "layer1.receptors", "layer1.s"],
    "lif in volts, delayed": ["layer1_in.w", "layer1.v"],
    "sparse loops": ["in.w", "loops.w"],
}


@pytest.mark.parametrize("name", WRITTEN)
def test_brian2_runs_what_is_written(name):
    """All parameters are moved; Brian2 then does what the model does with them, and gives them back."""
    network = MODELS[name]()
    samples = samples_of(network)
    rng = np.random.default_rng(1)
    with uncompiled():
        model = model_of(network, parameters=WRITTEN[name])
        before = model.forward(samples).output
        for values in model.parameters.values():
            values += rng.uniform(0, 0.2, values.shape) * np.maximum(values, 0.1)
        model.changed()
        model.write()
        moved = dict(model.parameters)
        model.read()
        for parameter, values in moved.items():
            np.testing.assert_allclose(model.parameters[parameter], values, rtol=1e-15)
        assert np.abs(model.forward(samples).output - before).max() > 1e-3 * np.abs(before).max()
        check_against_brian2(network, model, samples, telling(network, samples))


def test_brian2_runs_what_was_fitted():
    network = MODELS["currents, refractory, recurrent"]()
    samples = samples_of(network, 4)
    with uncompiled():
        weights = ["layer1_in.w", "layer1_recurrent.w", "layer2_in.w"]
        model = model_of(network, "layer2.v", parameters=weights)
        before = np.array(network["layer1_in"].w)
        labels = np.array([0, 1, 2, 0])
        model.fit(samples, labels, loss=max_over_time(), optimiser=Adam(0.05), epochs=2, batch=2, progress=False)
        assert np.abs(np.array(network["layer1_in"].w) - before).max() > 0.1
        check_against_brian2(network, model, samples, telling(network, samples))


def test_parameters_stay_within_their_limits():
    """A time constant no shorter than a step unless told otherwise; in the units of its scale."""
    network = with_subexpressions()
    free = model_of(network, parameters=["layer1.tau", Parameter("layer1.bias", scale=2, limits=(0.5, 1.2))])
    np.testing.assert_allclose(free.parameters["layer1.bias"], np.linspace(0.5, 2, CELLS).clip(0.5, 1.2) / 2)
    free.parameters["layer1.tau"] -= 100
    free.parameters["layer1.bias"] += 100
    free.changed()
    free.write()
    np.testing.assert_allclose(network["layer1"].tau / ms, 1)
    np.testing.assert_allclose(network["layer1"].bias, 1.2)


# What can be learnt


@functools.cache
def echo(spiking):
    """Four inputs all to all to four cells; sample k is four spikes of input k."""
    b2.defaultclock.dt = 1 * ms
    inputs = b2.SpikeGeneratorGroup(4, [], [] * ms, name="input")
    cells = (lif if spiking else leaky_readout)(tau=5 * ms).group(4, name="cells")
    network = b2.Network(inputs, cells, connect(inputs, cells, dense(np.zeros((4, 4))), name="in"))
    output = cells if spiking else cells.v
    model = trainable(network, inputs=inputs, output=output, parameters=["in.w"], duration=20 * ms)
    return model, model.encode([([k] * 4, [2, 6, 10, 14] * ms) for k in range(4)])


def set_weights(model, weights):
    model.parameters["in.w"][:] = np.ravel(weights)
    model.changed()


def learn_to_echo(spiking, loss, optimiser, gain=None):
    """The loss after 150 steps from equal weights; gain: of the weights whose output is wanted, or None for labels."""
    model, samples = echo(spiking)
    target = np.arange(4)
    if gain is not None:
        set_weights(model, gain * np.eye(4))
        target = model.forward(samples).output
    set_weights(model, np.full((4, 4), 0.1))
    start, _ = model.evaluate(samples, target, loss)
    model.fit(samples, target, loss=loss, optimiser=optimiser, epochs=150, progress=False)
    value, right = model.evaluate(samples, target, loss)
    assert gain is not None or (start == pytest.approx(np.log(4)) and right == 1)
    return start, value


ADAM = Adam(Cosine(0.3, over=150))

BEST = {
    "max over time": (max_over_time(), 0),
    "last": (last(), 0),
    "mean over time": (mean_over_time(), 0),
    # Nothing is known in the two steps before the first spike.
    "every step": (every_step(), 2 / 20 * np.log(4)),
    # No cell spikes more often than its input, once for each spike.
    "rate": (rate(), np.log(1 + 3 * np.exp(-4))),
    # A cell hears of step 2 in step 3 at the earliest; what never spikes is as good as a spike in step 20.
    "latency": (latency(5 * ms, 1 * ms), np.log(1 + 3 * np.exp(-(20 - 3) / 5))),
}


@pytest.mark.parametrize("name", BEST)
def test_every_classification_loss_learns_to_say_which_input_spikes(name):
    """From log 4, where nothing is known, to within 0.02 of the best that there is."""
    loss, best = BEST[name]
    _, value = learn_to_echo(loss.on == "spikes", loss, ADAM)
    assert best - 1e-6 <= value < best + 0.02


@pytest.mark.parametrize(
    ("loss", "gain"), [(mean_squared_error(), 1), (mean_absolute_error(), 1), (van_rossum(5), 1.5)]
)
def test_every_loss_of_traces_learns_to_repeat_the_input(loss, gain):
    """The traces are those of known weights, so that the best is 0: one in a hundred of where it began is near."""
    start, value = learn_to_echo(loss.on == "spikes", loss, ADAM, gain)
    assert value < start / 100


OPTIMISERS = [SGD(30), Momentum(5), Nesterov(5), AdaGrad(1), RMSProp(0.3), Adam(0.3), AdamW(0.3)]


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda optimiser: type(optimiser).__name__)
def test_every_optimiser_learns_to_say_which_input_spikes(optimiser):
    """A loss below 0.02 is 98 % for the right one."""
    _, value = learn_to_echo(False, mean_over_time(), optimiser)
    assert value < 0.02


# What is refused


def linked_cells():
    """Cells with a time constant that others take from them, and in which they are refractory."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = -v/tau : 1\nhold = wait + 1*ms : second\ntau : second (constant)\nwait : second (constant)",
        threshold="v > 1", reset="v = 0", refractory="hold", method="exact", name="layer1",
    )  # fmt: skip
    others = b2.NeuronGroup(CELLS, "dv/dt = (wait - tau)/tau**2 : 1\ntau : second (linked)\nwait : second (linked)",
        method="euler", name="others",
    )  # fmt: skip
    cells.tau, cells.wait = 10 * ms, 2 * ms
    others.tau, others.wait = b2.linked_var(cells, "tau"), b2.linked_var(cells, "wait")
    network = wired(cells, 1.0)
    network.add(others, connect(cells, others, dense(np.ones((CELLS, CELLS))), name="on"))
    return network


def test_what_cannot_be_trained_is_refused_by_name():
    network, sums, linked = MODELS["parts"](), MODELS["mean"](), linked_cells()
    cases = [
        (network, ["in_left.delay"], "in_left.delay is a number of steps, .* no derivative; train weights"),
        (network, [10 * ms], r"parameter is .*, a Quantity, expected a variable such as synapses.w"),
        (network, ["in_right.k"], "in_right.k is not a variable with values of its own.* 'k : 1 .constant.'"),
        (network, ["layer1.pull"], r"layer1.pull is not a variable .*, those of layer1 are \['I', 'gain', 'hold',"),
        (network, ["layer2.v"], "parameter layer2.v: there is no group 'layer2' in the network, only"),
        (network, ["layer1.hold"], "layer1.hold does not act on any state"),
        (network, ["layer1.lastspike"], "layer1.lastspike is not a variable with values"),
        (network, ["within.w", network["within"].w], r"\['within.w', 'within.w'\]; name each once"),
        (network, [], "no parameters are given"),
        (network, [Parameter("layer1.tau", limits=(5 * ms, 2 * ms))], "expected the lower one first"),
        (network, [Parameter("layer1.tau", limits=(5, None))], "limit of layer1.tau is 5, expected a quantity"),
        (network, [Parameter("layer1.tau", scale=0 * ms)], "layer1.tau has a scale of 0.0"),
        (sums, ["layer1.mean"], "layer1.mean does not act on any state"),
        (sums, ["pool.m"], "pool.m does not act on any state"),
        (linked, ["layer1.tau"], "layer1.tau is also others.tau, by a link, .* give others a variable of its own"),
        (linked, ["others.tau"], "others.tau is also layer1.tau, by a link"),
        (linked, ["layer1.wait"], "layer1.wait does not act on any state"),
        (linked, ["others.wait"], "others.wait is part of the refractory time of layer1, 'hold', .* no derivative"),
    ]
    for among, parameters, message in cases:
        with pytest.raises(ParameterError, match=message):
            model_of(among, "others.v" if among is linked else "layer1.v", parameters=parameters)


def test_tied_weights_are_refused():
    """One kernel for two projections: each would see its half of the derivative."""
    network = MODELS["kernel"]()
    weights = network["layer1_in"].contained_objects[-1]
    again = b2.Synapses(
        network["input"], network["layer1"], "w : 1 (linked)\nnumber : integer (constant)", on_pre="v_post += w",
        name="again",
    )  # fmt: skip
    again.connect(i=[0, 1], j=[0, 1])
    again.w = b2.linked_var(weights, "w", index="number")
    network.add(again)
    with pytest.raises(ParameterError, match=r"layer1_in.w is also again.w, by a link"):
        model_of(network, parameters=["layer1_in.w"])


def test_a_model_that_makes_no_sense_is_refused():
    network = MODELS["currents, refractory, recurrent"]()
    layer, readout = network["layer1"], network["layer2"]
    parts = MODELS["parts"]()
    still = b2.NeuronGroup(CELLS, "v : 1\nc : 1 (constant)", threshold="v > c", name="layer1")
    cases = [
        ({"parameters": ["layer2_in.w"]}, "layer2_in.w does not act on the output layer1; leave it out, or connect it"),
        ({"output": readout}, "output is layer2, which does not spike; give one of its states, layer2.v"),
        (
            {"output": "layer1.tau"},
            r"output layer1.tau is not a state that changes, those are \['layer1.I', 'layer1.v'",
        ),
        ({"output": "layer3.v"}, "output layer3.v: there is no group 'layer3'"),
        ({"duration": 0.4 * ms}, "duration is .*, expected at least one step of 1. ms"),
        ({"precision": "double"}, "precision is 'double', expected 'float32' or 'float64'"),
        ({"damping": -0.1}, "damping is -0.1, expected 0 or more"),
        ({"threads": 0}, "threads is 0, expected 1 or more"),
        ({"scale": {"layer3": 1}}, r"scale is given for \['layer3'\]"),
        ({"scale": {"layer1": 0}}, "layer1 is 0.0 from its threshold at the start"),
        ({"surrogate": {"layer3": triangle()}}, r"surrogates are for \['layer3'\], expected groups of"),
    ]
    for options, message in cases:
        with pytest.raises(ParameterError, match=message):
            model_of(network, **{"output": layer.v, **options})
    with pytest.raises(ParameterError, match=r"\['right'\] spike by themselves; give them as inputs too, or leave"):
        model_of(parts, inputs=parts["left"])
    with pytest.raises(ParameterError, match=r"layer1 is 0.0 from its threshold .*; give scale=\{'layer1': ...\}"):
        model_of(wired(still, 1.0))


def test_equal_time_constants_of_an_exact_solution_are_refused():
    """It divides by their difference, and Brian2 itself computes NaN."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (I - v)/tau : 1\ndI/dt = -I/tau_s : 1\ntau : second (constant)\ntau_s : second (constant)",
        threshold="v > 1", reset="v = 0", method="exact", name="layer1",
    )  # fmt: skip
    cells.tau = cells.tau_s = 10 * ms
    with pytest.raises(
        InputError, match=r"the step of v in layer1 is not a finite number: .* two time constants are eq"
    ):
        model_of(wired(cells, 1.0, "I"))


def test_samples_and_losses_that_do_not_fit_are_refused():
    network = MODELS["parts"]()
    model, spiking = model_of(network), model_of(network, "layer1")
    given = samples_of(network)
    cases = [
        (InputError, lambda: model.forward(given["left"]), r"samples are for list, expected .* \['left', 'right'\]"),
        (InputError, lambda: model.forward({"left": given["left"]}), r"samples are for \['left'\], expected"),
        (InputError, lambda: model.forward({**given, "left": given["left"][:1]}), "'left': 1, 'right': 2} samples; gi"),
        (
            ParameterError,
            lambda: model.gradient(given, [0, 1], rate()),
            "'rate' looks at spikes, .* the state layer1.v",
        ),
        (ParameterError, lambda: spiking.gradient(given, [0, 1], last()), "looks at a state, .* the spikes of layer1"),
        (
            ParameterError,
            lambda: model.gradient(given, [0, 1], last(), {"left": sparsity()}),
            r"regularisers are for \['left'\], expected groups that spike: \['layer1'\]",
        ),
        (
            InputError,
            lambda: model.forward({**given, "left": np.ones((2, STEPS, INPUTS))}),
            "left are numbers, but .*in_l",
        ),
        (ParameterError, lambda: model.respond(given, ["layer1.tau"]), "state 'layer1.tau' cannot be recorded, only"),
    ]
    with uncompiled():
        for error, call, message in cases:
            with pytest.raises(error, match=message):
                call()


NAMES = [
    ("step", "neuron", "real"), ("u", "z", "np"), ("through", "held", "row"), ("part0", "step_part0", "sample"),
    ("sent", "then", "d"), ("output", "last", "first"), ("b", "abs_", "mode"), ("x_adjoint", "part1", "count"),
]  # fmt: skip
TAKEN = [
    ("margin", "x", "y"), ("x", "slope", "y"), ("spike", "x", "y"), ("x", "y", "free"), ("x", "neurons", "y"),
    ("x_before", "x", "y"), ("x", "x_by_x", "y"), ("constant", "x", "y"), ("count_gradient", "x", "y"),
]  # fmt: skip


def with_states_called(first, second, third):
    cells = b2.NeuronGroup(
        CELLS, f"d{first}/dt = ({second} - {first})/(10*ms) : 1\nd{second}/dt = -{second}*{third}/(5*ms) : 1\n"
        f"d{third}/dt = (1 - {third})/(20*ms) : 1",
        threshold=f"{first} > 0.5", reset=f"{first} = 0; {third} += 0.3*{second}", method="euler",
        refractory=2 * ms, name="layer1",
    )  # fmt: skip
    network = wired(cells, 1.0, on=second)
    return model_of(network, f"layer1.{first}", scale={"layer1": 0.5}, through_reset=True), samples_of(network)


def test_a_state_may_have_any_name_that_leaves_no_doubt():
    """Names that the text of a kernel has for something else change nothing, or are refused."""
    wanted = np.ones((2, STEPS, CELLS))
    with uncompiled():
        model, samples = with_states_called("x", "y", "v")
        expected = model.gradient(samples, wanted, mean_squared_error())
        for names in NAMES:
            model, samples = with_states_called(*names)
            found = model.gradient(samples, wanted, mean_squared_error())
            # Sums are taken in the order of the alphabet, and rounded accordingly.
            error = np.abs(found.gradients["in.w"] - expected.gradients["in.w"]).max()
            assert error < 1e-12 * np.abs(expected.gradients["in.w"]).max(), names
        for names in TAKEN:
            model, samples = with_states_called(*names)
            with pytest.raises(
                InputError, match=r"a kernel would call two things '.*layer1_.*', after a group and its"
            ):
                model.forward(samples)


# The cache

TWICE = """
import sys
import brian2 as b2
from models_to_learn import MODELS, samples_of
from learning import trainable
from learning.losses import last

b2.prefs.codegen.target = "numpy"
network = MODELS["subexpressions"]()
model = trainable(
    network, inputs=network["input"], output="layer1.v", parameters=["in.w", "layer1.tau"], duration=20 * b2.ms
)
model.gradient(samples_of(network), [0, 1], last())
kernel = sys.modules[model.kernel_path.stem]
print(model.kernel_path, *(sum(f.stats.cache_hits.values()) for f in (kernel.forward, kernel.backward)))
"""


@pytest.mark.slow
def test_a_kernel_is_compiled_once_for_all_processes(tmp_path):
    """The second process, in which sets have another order, writes the same text and finds it compiled."""
    places = []
    for seed, hits in (("1", "0"), ("2", "1")):
        environment = {**os.environ, "MICROSACCADE_CACHE": str(tmp_path), "PYTHONHASHSEED": seed}
        environment["PYTHONPATH"] = str(Path(__file__).parent)
        done = subprocess.run(
            [sys.executable, "-c", TWICE], capture_output=True, text=True, check=True, env=environment
        )
        place, *found = done.stdout.split()
        assert found == [hits, hits]
        places.append(place)
    assert places[0] == places[1] == str(next(tmp_path.glob("*.py")))


def test_a_cache_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MICROSACCADE_CACHE", str(tmp_path / "file" / "folder"))
    with pytest.raises(OutputError, match=r"kernels cannot be kept in .*folder: .*; set MICROSACCADE_CACHE to"):
        model_of(with_delays_of_their_own()).kernel_source()


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_a_standalone_network_does_what_the_model_does(tmp_path):
    """C++ of Brian2: recurrence and refractoriness; sparse delayed loops; sums in the same step."""
    for name in ("currents, refractory, recurrent", "sparse loops", "mean"):
        network = MODELS[name]()
        with uncompiled():
            model = model_of(network)
            ours = model.respond(samples_of(network, 1), states_of(model))
        b2.set_device("cpp_standalone", directory=str(tmp_path / name.replace(", ", "_")))
        network = MODELS[name]()
        spikes = b2.SpikeMonitor(network["layer1"])
        states = [state.split(".") for state in states_of(model)]
        # One monitor a group: each is a file of C++.
        monitors = {
            group: b2.StateMonitor(network[group], [name for of, name in states if of == group], True, when="end")
            for group in {group for group, _ in states}
        }
        network.add(spikes, *monitors.values())
        network.run(STEPS * ms)
        assert spikes.num_spikes > 10
        np.testing.assert_array_equal(ours.spikes["layer1"].neuron, spikes.i)
        np.testing.assert_array_equal(np.rint(ours.spikes["layer1"].t / ms), np.rint(spikes.t / ms))
        for group, state in states:
            theirs = np.asarray(getattr(monitors[group], state)).T
            assert np.abs(ours.states[group][state][0] - theirs).max() <= 1e-12 * np.abs(theirs).max(), (group, state)
        b2.get_device().reinit()
        reset_device()
