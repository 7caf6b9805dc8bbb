"""A gradient is the derivative of the model in which spikes are smooth, and what others compute of the same equations.

With `smooth=True` a spike is the primitive of its surrogate, so that the loss has a derivative, which differences of
losses measure. What they cannot measure, the derivative of what does spike, is compared with JAX.
"""

import os
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import brian2 as b2
import models_to_learn
import numpy as np
import pytest
from brian2 import ms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models_to_learn import (
    CELLS,
    INPUTS,
    MODELS,
    samples_of,
    weights_of,
    wired,
    with_delays_of_their_own,
    with_parts_and_pathways,
    with_slow_receptors,
    with_sparse_loops,
)
from uncompiled import uncompiled

import snn
from dvs import make_events
from learning import Parameter, trainable
from learning.losses import (
    Loss,
    last,
    latency,
    max_over_time,
    mean_over_time,
    mean_squared_error,
    rate,
    rate_band,
    sparsity,
    van_rossum,
)
from learning.surrogates import (
    arctan,
    boxcar,
    fast_sigmoid,
    gaussian,
    multi_gaussian,
    sigmoid,
    superspike,
    triangle,
)
from snn.neurons import leaky_readout, lif
from snn.synapses import connect, dense

T = 20

model_of = partial(models_to_learn.model_of, duration=T * ms)

SURROGATES = [
    fast_sigmoid(2), superspike(5), arctan(), triangle(width=0.7), gaussian(), multi_gaussian(), boxcar(0.4), sigmoid(),
]  # fmt: skip


def smooth(network, output="layer1.v", **options):
    """A model with smooth spikes, and nothing left out of the derivative."""
    return model_of(network, output, **{"smooth": True, "through_reset": True, "surrogate": sigmoid(), **options})


def target_of(model, loss, samples, seed=5):
    """Some labels or traces."""
    rng = np.random.default_rng(seed)
    if loss.distance is None:
        return rng.integers(0, model.units, samples)
    return rng.normal(size=(samples, model.steps, model.units))


def measured(model, along, total, h):
    """The derivative of a total along a direction of parameters, by differences of the fourth order."""
    at = {name: model.parameters[name].copy() for name in along}

    def moved(distance):
        for name, direction in along.items():
            model.parameters[name][...] = at[name] + distance * direction
        model.changed()
        return total()

    found = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
    moved(0)
    return found


def check_gradient(model, samples, loss=None, regularisers=None, seed=0, together=False):
    """For each parameter along one direction, or for all together: to 1e-6 what differences say.

    A difference says nothing where a corner of a surrogate, or the beginning of a refractory time, lies between its
    ends; then a smaller one does. It is a rounding error where it is much smaller than the loss.
    """
    loss, regularisers = loss or mean_squared_error(), regularisers or {}
    samples = model.encode(samples)
    target = target_of(model, loss, len(samples))
    found = model.gradient(samples, target, loss, regularisers)

    def total():
        run = model.forward(samples)
        prices = [price.evaluate(run.counts[name])[0] for name, price in regularisers.items()]
        return loss.evaluate(run.output, target)[0] + sum(prices)

    assert found.value == pytest.approx(total(), rel=1e-12)
    rng = np.random.default_rng(seed)
    along = {
        name: rng.normal(size=values.shape) * (np.sqrt(np.mean(values**2)) or 1.0)
        for name, values in model.parameters.items()
    }
    for part in [along] if together else [{name: direction} for name, direction in along.items()]:
        derived = sum(float((found.gradients[name] * direction).sum()) for name, direction in part.items())
        errors = []
        for h in (1e-4, 1e-5, 1e-6, 1e-7):
            difference = measured(model, part, total, h)
            errors.append(abs(derived - difference) / max(abs(derived), abs(difference), 1e-4 * found.value))
            if errors[-1] < 1e-6:
                break
        assert errors[-1] < 1e-6, f"{[*part]}: {derived}, differences {difference}, errors {errors}"
        assert together or derived != 0, part


def check_equal(found, expected, tolerance):
    for name, gradient in expected.items():
        assert np.abs(gradient).max() > 0, name
        assert np.abs(found[name] - gradient).max() <= tolerance * np.abs(gradient).max(), name


# Differences


ALSO = {
    "currents, refractory, recurrent": ["layer1_recurrent.w", "layer1.I"],
    "conductances": [Parameter("layer1.g_e", scale=10 * b2.nS)],
    "subexpressions": ["layer1.bias", "layer1.tau", "layer1.a"],
    "sparse loops": ["loops.w", "layer1.v"],
    "gap junctions": ["gaps.g"],
    "slow receptors": ["nmda.w", "layer1.receptors", "layer1.s"],
    "mean": ["b_back.w"],
    "sum before": ["layer1.v"],
    "parts": ["within.w", "layer1.tau", "layer1.rate", "layer1.offset", "layer1.gain", "layer1.I"],
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_derivatives_of_the_smooth_model(name):
    """Of weights, dense, sparse and shared; and of what else there is, in networks of all kinds."""
    network = MODELS[name]()
    with uncompiled():
        check_gradient(smooth(network, parameters=[*weights_of(network), *ALSO.get(name, [])]), samples_of(network, 1))


@pytest.mark.parametrize("name", ["conductances", "inclusive threshold"])
def test_single_precision_is_enough_for_any_units(name):
    """Picofarads and nanoamperes: of seven digits a sum over 20 steps loses one or two."""
    network = MODELS[name]()
    samples, found = samples_of(network), []
    with uncompiled():
        for precision in ("float64", "float32"):
            model = smooth(network, precision=precision)
            target = target_of(model, mean_squared_error(), 2)
            found.append(model.gradient(samples, target, mean_squared_error()).gradients)
    check_equal(found[1], found[0], 1e-5)


@pytest.mark.parametrize("tau_s", [9.9, 9.999])
def test_time_constants_that_are_nearly_equal_have_their_derivatives(tau_s):
    """The exact solution divides by their difference, of which single precision knows two digits or none."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (I - v)/tau : 1\ndI/dt = -I/tau_s : 1\ntau : second (constant)\ntau_s : second (constant)",
        threshold="v > 1", reset="v = 0", method="exact", name="layer1",
    )  # fmt: skip
    cells.tau, cells.tau_s = 10 * ms, tau_s * ms
    network = wired(cells, 1.0, "I")
    samples, found = samples_of(network), []
    with uncompiled():
        for precision in ("float64", "float32"):
            model = smooth(network, parameters=["in.w", "layer1.tau", "layer1.tau_s"], precision=precision)
            target = target_of(model, mean_squared_error(), 2)
            found.append(model.gradient(samples, target, mean_squared_error()).gradients)
    check_equal(found[1], found[0], 1e-5)


def with_everything():
    """Three states, exact, in a loop with a delay; constants of all kinds in update, threshold and reset."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = (I - v - u)/tau : 1\ndI/dt = -I/tau_s : 1\ndu/dt = -u/tau_u : 1\ntau : second (constant)\n"
        "tau_s : second (constant, shared)\ntau_u : second (shared)\nb : 1\nlow : 1 (shared)\ntop : 1 (constant)",
        threshold="v > top + 0.1*u", reset="v = low + 0.1*v; u += b*(1 + u)", refractory=2 * ms, method="exact",
        name="layer1",
    )  # fmt: skip
    cells.tau, cells.tau_s, cells.tau_u = np.linspace(6, 14, CELLS) * ms, 4 * ms, 30 * ms
    cells.b, cells.low, cells.top = 0.1, -0.1, np.linspace(0.3, 0.6, CELLS)
    network = wired(cells, 1.4, "I")
    weights = np.random.default_rng(1).normal(size=(CELLS, CELLS)) * 0.4
    network.add(connect(cells, cells, dense(weights), onto="I", delay=2 * ms, name="loop"))
    return network


EVERYTHING = [f"layer1.{name}" for name in ("tau", "tau_s", "tau_u", "b", "low", "top", "v", "I", "u")]


@pytest.mark.parametrize("output", ["layer1.v", "layer1"])
def test_every_constant_and_every_start_has_its_derivative(output):
    """Time constants, thresholds, resets, adaptation, initial values; by what cells hold and by when they spike."""
    network = with_everything()
    loss, price = (van_rossum(5), rate_band(3, 4)) if output == "layer1" else (mean_squared_error(), sparsity(3))
    with uncompiled():
        model = smooth(network, output, parameters=[*EVERYTHING, "in.w", "loop.w"])
        check_gradient(model, samples_of(network), loss, {"layer1": price})


@pytest.mark.parametrize("loss", [last(), max_over_time(), mean_over_time(), rate(), latency(5)], ids=lambda x: x.name)
def test_every_reading_of_an_output_passes_its_gradient_on(loss):
    network = with_sparse_loops()
    with uncompiled():
        model = smooth(network, "layer1" if loss.on == "spikes" else "layer1.v", parameters=["in.w", "loops.w"])
        check_gradient(model, samples_of(network), loss)


@pytest.mark.parametrize("surrogate", SURROGATES, ids=lambda surrogate: surrogate.name)
def test_every_surrogate_has_the_gradient_of_its_primitive(surrogate):
    """Through a loop and a layer behind it; some reach few neurons at a time, and some all."""
    network = MODELS["currents, refractory, recurrent"]()
    with uncompiled():
        model = smooth(network, "layer2.v", parameters=["layer1_in.w", "layer1_recurrent.w"], surrogate=surrogate)
        check_gradient(model, samples_of(network))


def test_numbers_that_synapses_multiply_have_their_derivatives():
    """Weights and gains of each synapse, or of all; one of them in two pathways."""
    network = wired(lif().group(CELLS, name="layer1"), 0.7)
    more = b2.Synapses(
        network["input"], network["layer1"], "w : 1\ngain : 1 (shared)\nk : 1",
        on_pre={"now": "v_post += w*gain*k**2", "later": "v_post += 0.1*w*exp(-k)"}, delay={"later": 2 * ms},
        name="more",
    )  # fmt: skip
    more.connect(condition="i != j")
    more.w, more.gain, more.k = 0.3, 0.7, "0.5 + 0.1*j"
    network.add(more)
    with uncompiled():
        check_gradient(smooth(network, parameters=["more.w", "more.gain", "more.k", "in.w"]), samples_of(network))


def with_borrowed_constants():
    """Two groups, coupled by currents and by spikes, whose synapses use constants of the neurons at both ends."""
    network = with_slow_receptors()
    cells = network["layer1"]
    others = b2.NeuronGroup(
        CELLS, "dv/dt = (gap*R - v)/(10*ms) : 1 (unless refractory)\ngap : 1\nR : 1 (constant)", threshold="v > 0.3",
        reset="v = 0", refractory=2 * ms, method="euler", name="others",
    )  # fmt: skip
    others.R = "1 + 0.1*i"
    gap = "w : 1\nq : 1 (shared)\ngap_post = w*q*(v_pre - v_post)*receptors_pre*R_post : 1 (summed)"
    there = b2.Synapses(cells, others, gap, name="there")
    there.connect(condition="(i + j) % 2 == 0")
    there.w, there.q = "0.5 + 0.1*i", 0.7
    on_pre = "v_post += w*R_pre/receptors_post; x_post -= w*0.1"
    back = b2.Synapses(others, cells, "w : 1", on_pre=on_pre, name="back")
    back.connect(condition="i != j")
    back.w, back.pre.delay = 0.2, "(i + j) % 4*ms"
    network.add(others, there, back)
    return network


BORROWED = ["there.w", "there.q", "layer1.receptors", "others.R", "back.w", "nmda.w", "in.w"]


@pytest.mark.parametrize("output", ["layer1.v", "others.v"])
def test_constants_that_synapses_borrow_have_their_derivatives(output):
    """What a constant does in its own group and in synapses on both sides adds up."""
    network = with_borrowed_constants()
    with uncompiled():
        check_gradient(smooth(network, output, parameters=BORROWED), samples_of(network))


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_weights_behind_numbers_have_their_derivatives(share):
    """Of inputs that are mostly zero, and of those that never are; in one piece or many."""
    b2.defaultclock.dt = 1 * ms
    group = b2.NeuronGroup(INPUTS, "x : 1\nsize : 1 (constant)", threshold="True", name="input")
    group.size = np.linspace(0.5, 1, INPUTS)
    cells = lif(refractory=2 * ms).group(CELLS, name="layer1")
    synapses = b2.Synapses(group, cells, "w : 1", on_pre="v_post += w*x_pre*size_pre", name="in")
    synapses.connect()
    rng = np.random.default_rng(6)
    synapses.w = rng.normal(size=len(synapses))
    samples = rng.normal(0.1, 0.4, (2, T, INPUTS)) * (rng.random((2, T, INPUTS)) < share)
    network = b2.Network(group, cells, synapses)
    for memory_mb in (512, 0.01):
        with uncompiled():
            model = smooth(network, inputs=group, parameters=["in.w", "input.size"], memory_mb=memory_mb)
            check_gradient(model, samples)


@pytest.mark.parametrize("collisions", ["first", "count"])
def test_weights_behind_events_have_their_derivatives(collisions):
    b2.defaultclock.dt = 1 * ms
    eye = snn.EventInput(width=4, height=4, pool=2, collisions=collisions)
    cells = lif().group(CELLS, name="layer1")
    rng = np.random.default_rng(7)
    network = b2.Network(eye.group, cells, connect(eye.group, cells, dense(rng.normal(size=(8, CELLS))), name="in"))
    events = make_events(*rng.integers(0, 4, (2, 300)), np.sort(rng.integers(0, 20_000, 300)), rng.integers(0, 2, 300))
    with uncompiled():
        check_gradient(smooth(network, inputs=eye, parameters=["in.w"]), [events])


# Networks made by chance

KINDS = {
    "leaky": ("dv/dt = -v/tau : 1", "v", "v = 0.1*v", "exact"),
    "soft": ("dv/dt = (0.2 - v)/tau : 1", "v", "v -= top", "euler"),
    "currents": ("dv/dt = (I - v)/tau : 1\ndI/dt = -I/(4*ms) : 1", "I", "v = 0", "exact"),
    "adaptive": ("dv/dt = (-v - u)/tau : 1\ndu/dt = (0.2*v - u)/(20*ms) : 1", "v", "v = 0; u += 0.2", "rk4"),
    "quadratic": ("dv/dt = (v*v/2 - v + 0.1)/tau : 1", "v", "v = -0.1", "rk2"),
    "conducting": ("dv/dt = (g*(2 - v) - v)/tau : 1\ndg/dt = -g/(5*ms) : 1", "g", "v = 0", "exponential_euler"),
}


@st.composite
def layers(draw):
    """What each layer of a network is."""
    return {
        "kind": draw(st.sampled_from(sorted(KINDS))),
        "n": draw(st.integers(1, 4)),
        "refractory": draw(st.sampled_from([False, 2 * ms, 3 * ms])),
        "guarded": draw(st.booleans()),
        "share": draw(st.sampled_from([1.0, 0.6])),
        "delay": draw(st.sampled_from(["none", "one", "many"])),
        "loop": draw(st.sampled_from(["none", "now", "later", "many"])),
        "surrogate": draw(st.sampled_from(SURROGATES)),
    }


def joined(source, target, onto, share, delay, rng, name):
    synapses = b2.Synapses(source, target, "w : 1", on_pre=f"{onto}_post += w", name=name)
    i, j = np.nonzero(rng.random((len(source), len(target))) < share)
    if i.size:
        synapses.connect(i=i, j=j)
    else:
        synapses.connect(i=0, j=0)
    synapses.w = rng.normal(0.4, 0.6, len(synapses))
    if delay == "later" or delay == "one":
        synapses.pre.delay = 2 * ms
    elif delay == "many":
        synapses.pre.delay = rng.integers(0, 5, len(synapses)) * ms
    return synapses


def chain(plan, rng):
    """Layers one behind the other, some of them with loops."""
    b2.defaultclock.dt = 1 * ms
    groups = [b2.SpikeGeneratorGroup(4, [], [] * ms, name="input")]
    network = b2.Network(groups[0])
    for k, layer in enumerate(plan):
        equations, onto, reset, method = KINDS[layer["kind"]]
        if layer["guarded"] and layer["refractory"] is not False:
            equations = equations.replace(" : 1", " : 1 (unless refractory)", 1)
        group = b2.NeuronGroup(
            layer["n"], f"{equations}\ntau : second (constant)\ntop : 1 (shared, constant)", threshold="v > top",
            reset=reset, refractory=layer["refractory"], method=method, name=f"layer{k}",
        )  # fmt: skip
        group.tau, group.top = rng.uniform(5, 15, layer["n"]) * ms, rng.uniform(0.4, 0.8)
        group.v = rng.uniform(0, 0.3, layer["n"])
        network.add(group, joined(groups[-1], group, onto, layer["share"], layer["delay"], rng, f"in{k}"))
        if layer["loop"] != "none":
            network.add(joined(group, group, onto, 0.7, layer["loop"], rng, f"loop{k}"))
        groups.append(group)
    return network


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(layers(), min_size=1, max_size=3),
    st.sampled_from([mean_squared_error(), max_over_time(), van_rossum(3), rate()]),
    st.sampled_from([None, 0.0004]),
    st.integers(0, 1000),
)
def test_gradients_of_networks_made_by_chance_are_derivatives(plan, loss, memory_mb, seed):
    """Chains of one to three layers, any neurons, delays, loops, surrogates, output and loss."""
    rng = np.random.default_rng(seed)
    network = chain(plan, rng)
    end = f"layer{len(plan) - 1}"
    parameters = [f"in{k}.w" for k in range(len(plan))]
    parameters += [f"loop{k}.w" for k, layer in enumerate(plan) if layer["loop"] != "none"]
    parameters += [f"layer{k}.{name}" for k in range(len(plan)) for name in ("tau", "top", "v")]
    fired = rng.random((2, 15, 4)) < 0.4
    with uncompiled():
        model = smooth(
            network, end if loss.on == "spikes" else f"{end}.v", parameters=parameters, duration=15 * ms,
            surrogate={f"layer{k}": layer["surrogate"] for k, layer in enumerate(plan)}, memory_mb=memory_mb or 512,
        )  # fmt: skip
        check_gradient(model, fired, loss, {"layer0": sparsity(0.3)}, seed, together=True)


# Closed formulas


def summed_output():
    """The loss is the sum of all outputs."""
    return Loss(name="sum", on="state", distance=lambda output, target: (float(output.sum()), np.ones_like(output)))


def check_slopes(precision, surrogates):
    """A spike of weight w brings a counter to w, w - 1 above its threshold; the derivative by w is the slope there.

    In the next step the counter is compared, and what spikes adds 1 to the readout, whose sum over the two steps is
    the loss. All weights at once: a counter each, one group for each surrogate.
    """
    margins = np.concatenate([np.linspace(-2.2, 2.2, 90), [-0.013, 0.0131, 8.1, -7.9, 30]])
    n, b2.defaultclock.dt = margins.size, 1 * ms
    inputs = b2.SpikeGeneratorGroup(n, [], [] * ms, name="input")
    readout = b2.NeuronGroup(1, "dv/dt = 0/second : 1", method="euler", name="readout")
    network = b2.Network(inputs, readout)
    for k in range(len(surrogates)):
        cells = b2.NeuronGroup(
            n, "dv/dt = 0/second : 1", threshold="v > 1", reset="v = 0", method="euler", name=f"cells{k}"
        )
        wires = b2.Synapses(inputs, cells, "w : 1", on_pre="v_post += w", name=f"in{k}")
        wires.connect(j="i")
        wires.w = margins + 1
        network.add(cells, wires, connect(cells, readout, dense(np.ones((n, 1))), name=f"out{k}"))
    model = trainable(
        network, inputs=inputs, output=readout.v, parameters=[f"in{k}.w" for k in range(len(surrogates))],
        duration=2 * ms, surrogate={f"cells{k}": surrogate for k, surrogate in enumerate(surrogates)},
        precision=precision, threads=1,
    )  # fmt: skip
    found = model.gradient([(np.arange(n), np.zeros(n) * ms)], np.zeros((1, 2, 1)), summed_output())
    tolerance = 1e-12 if precision == "float64" else 2e-5
    for k, surrogate in enumerate(surrogates):
        slopes = surrogate.slope(margins)
        np.testing.assert_allclose(found.gradients[f"in{k}.w"], slopes, tolerance, tolerance * slopes.max())
        np.testing.assert_array_equal(found.counts[f"cells{k}"][0], margins > 0)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_gradient_is_the_slope_of_the_surrogate_at_every_margin(precision):
    with uncompiled():
        check_slopes(precision, SURROGATES)


@pytest.mark.slow
def test_a_compiled_gradient_is_the_slope_of_the_surrogate_at_every_margin():
    """A fraction, exponentials, and a comparison; what is compiled of each formula, `test_learning_surrogates` says."""
    check_slopes("float32", [superspike(5), multi_gaussian(), boxcar(0.4)])


def test_a_gradient_is_by_the_scale():
    """A parameter that is counted in other units has a derivative as many times as large."""
    network = with_everything()
    samples = samples_of(network)
    with uncompiled():
        plain = model_of(network, parameters=[Parameter("layer1.tau", scale=1 * b2.second), "layer1.top"])
        scaled = model_of(
            network, parameters=[Parameter("layer1.tau", scale=1 * ms), Parameter("layer1.top", scale=0.25)]
        )
        target = target_of(plain, mean_squared_error(), 2)
        one = plain.gradient(samples, target, mean_squared_error()).gradients
        other = scaled.gradient(samples, target, mean_squared_error()).gradients
    np.testing.assert_allclose(other["layer1.tau"], one["layer1.tau"] / 1000, rtol=1e-12)
    np.testing.assert_allclose(other["layer1.top"], one["layer1.top"] / 4, rtol=1e-12)


def test_damping_counts_passages_of_a_loop():
    """Where an error passes a loop once at most, the gradient is one part without it and one times the damping.

    A delay of 11 of 20 steps leaves no time for a second passage. Without damping it is the derivative.
    """
    network = with_parts_and_pathways()
    network["within"].pre.delay = 11 * ms
    samples, found = samples_of(network), {}
    with uncompiled():
        for damping in (0.0, 0.3, 1.0):
            model = smooth(network, parameters=["in_left.w", "layer1.tau"], damping=damping)
            target = target_of(model, mean_squared_error(), 2)
            found[damping] = model.gradient(samples, target, mean_squared_error()).gradients
        check_gradient(model, samples)
    for name, whole in found[1.0].items():
        passed = whole - found[0.0][name]
        assert np.abs(passed).max() > 1e-3 * np.abs(whole).max()
        np.testing.assert_allclose(found[0.3][name], found[0.0][name] + 0.3 * passed, rtol=1e-9, atol=1e-15)


def test_damping_changes_nothing_where_there_is_no_loop():
    network = MODELS["currents"]()
    samples, found = samples_of(network), []
    with uncompiled():
        for damping in (0.0, 1.0):
            model = model_of(network, "layer2.v", parameters=["layer1_in.w"], damping=damping)
            target = target_of(model, mean_squared_error(), 2)
            found.append(model.gradient(samples, target, mean_squared_error()).gradients["layer1_in.w"])
    assert np.abs(found[0]).max() > 0
    np.testing.assert_array_equal(*found)


# What makes no difference


def gradient_of(model, samples, target, chosen=slice(None)):
    found = model.gradient(model.encode(samples)[chosen], target[chosen], mean_squared_error(), {"layer1": sparsity()})
    return found.gradients


@pytest.mark.parametrize("name", ["lif in volts, delayed", "delays", "sparse loops", "parts", "slow receptors"])
def test_pieces_in_time_change_nothing(name):
    """One step at a time, which is shorter than any delay, or a few; to the order of sums."""
    network = MODELS[name]()
    samples = samples_of(network)
    parameters = [*weights_of(network), *ALSO.get(name, [])]
    with uncompiled():
        whole = model_of(network, parameters=parameters)
        target = target_of(whole, mean_squared_error(), 2)
        expected = gradient_of(whole, samples, target)
        for memory_mb in (1e-6, 0.007):
            model = model_of(network, parameters=parameters, memory_mb=memory_mb)
            check_equal(gradient_of(model, samples, target), expected, 1e-12)


def test_order_threads_and_company_change_nothing():
    """Compiled: samples in any order (to the order of sums), any number of threads (to the last bit), one at a time."""
    network = with_delays_of_their_own()
    samples, found = samples_of(network, 5), {}
    for threads in (1, 2, 3):
        model = model_of(network, threads=threads)
        target = target_of(model, mean_squared_error(), 5)
        found[threads] = gradient_of(model, samples, target)
    for threads in (2, 3):
        np.testing.assert_array_equal(found[threads]["in.w"], found[1]["in.w"])
    check_equal(gradient_of(model, samples, target, np.array([3, 1, 4, 0, 2])), found[1], 1e-12)
    alone = [gradient_of(model, samples, target, np.array([k]))["in.w"] for k in range(5)]
    check_equal({"in.w": np.mean(alone, axis=0)}, found[1], 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conductances", "currents, refractory, recurrent", "slow receptors", "parts"])
def test_a_compiled_gradient_is_that_of_the_text(name):
    network = MODELS[name]()
    samples = samples_of(network)
    with uncompiled():
        model = model_of(network)
        target = target_of(model, mean_squared_error(), 2)
        expected = gradient_of(model, samples, target)
    check_equal(gradient_of(model_of(network), samples, target), expected, 1e-12)


# The same by JAX


def lif_network(p):
    hidden = b2.NeuronGroup(
        10, "dv/dt = -v/tau : 1\ntau : second (constant)\ntheta : 1 (constant)", threshold="v > theta", reset="v = 0",
        method="exact", name="hidden",
    )  # fmt: skip
    readout = b2.NeuronGroup(3, "dv/dt = -v/tau : 1\ntau : second (constant, shared)", method="exact", name="readout")
    hidden.tau, hidden.theta, readout.tau, hidden.v = p["tau"] * ms, p["theta"], p["tau_out"] * ms, p["v"]
    return hidden, readout, ["hidden.tau", "hidden.theta", "readout.tau", "hidden.v"], ["tau", "theta", "tau_out", "v"]


def cuba_network(p):
    hidden = b2.NeuronGroup(
        10, "dv/dt = (I - v)/tau : 1 (unless refractory)\ndI/dt = -I/tau_s : 1\ntau : second (shared)\n"
        "tau_s : second (shared)", threshold="v > 1", reset="v = 0", refractory=2 * ms, method="exact", name="hidden",
    )  # fmt: skip
    hidden.tau, hidden.tau_s = p["tau"] * ms, p["tau_s"] * ms
    readout = leaky_readout(tau=15 * ms).group(2, name="readout")
    return hidden, readout, ["hidden.tau", "hidden.tau_s"], ["tau", "tau_s"]


def alif_network(p):
    hidden = b2.NeuronGroup(
        4, "dv/dt = -v/tau : 1\nda/dt = -a/tau_a : 1\ntau : second (constant)\ntau_a : second (constant, shared)\n"
        "beta : 1 (constant)", threshold="v > 1 + beta*a", reset="v -= 1; a += 1", method="exact", name="hidden",
    )  # fmt: skip
    hidden.tau, hidden.tau_a, hidden.beta = p["tau"] * ms, p["tau_a"] * ms, p["beta"]
    return hidden, None, ["hidden.tau", "hidden.tau_a", "hidden.beta"], ["tau", "tau_a", "beta"]


BY_JAX = {
    "lif": (lif_network, max_over_time()),
    "lif_through": (lif_network, max_over_time()),
    "cuba": (cuba_network, mean_squared_error()),
    "alif": (alif_network, rate()),
    "alif_through": (alif_network, rate()),
}


def jax_numbers():
    """Input spikes, targets and parameters of the networks in `data/jax_gradients.py`."""
    rng = np.random.default_rng(0)
    x = (rng.random((6, 40, 8)) < 0.15).astype(float)
    lif = {
        "x": x, "target": rng.integers(0, 3, 6), "w_in": rng.normal(0.3, 0.6, (8, 10)), "v": rng.uniform(0, 0.5, 10),
        "w_out": rng.normal(size=(10, 3)), "tau": rng.uniform(5, 20, 10), "theta": rng.uniform(0.8, 1.2, 10),
        "tau_out": np.array(12.0),
    }  # fmt: skip
    cuba = {
        "x": x, "target": rng.normal(size=(6, 40, 2)), "w_in": rng.normal(0.6, 1.0, (8, 10)), "tau": np.array(9.0),
        "w_rec": rng.normal(0, 0.8, (10, 10)), "w_out": rng.normal(size=(10, 2)), "tau_s": np.array(4.0),
    }  # fmt: skip
    alif = {
        "x": x, "target": rng.integers(0, 4, 6), "w_in": rng.normal(0.5, 0.6, (8, 4)), "tau": rng.uniform(5, 20, 4),
        "w_rec": rng.normal(0, 0.6, (4, 4)), "tau_a": np.array(30.0), "beta": rng.uniform(0.1, 0.4, 4),
    }  # fmt: skip
    return {"lif": lif, "lif_through": lif, "cuba": cuba, "alif": alif, "alif_through": alif}


@pytest.fixture(scope="module")
def by_jax(tmp_path_factory):
    """Gradients by network and name, from another process: JAX does not let the tests fork after it."""
    if find_spec("jax") is None:
        pytest.skip("JAX is not installed: pip install microsaccade[test]")
    folder = tmp_path_factory.mktemp("jax")
    flat = {f"{name}.{key}": value for name, own in jax_numbers().items() for key, value in own.items()}
    np.savez(folder / "numbers.npz", **flat)
    program = Path(__file__).parent / "data" / "jax_gradients.py"
    environment = {**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0"}  # half the time to compile
    files = [folder / "numbers.npz", folder / "gradients.npz"]
    subprocess.run([sys.executable, program, *files], check=True, env=environment)
    return dict(np.load(folder / "gradients.npz"))


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("name", BY_JAX)
def test_gradients_are_those_of_jax(name, precision, tolerance, by_jax):
    """With spikes that are 0 or 1, whose reset of the membrane an error passes through, or does not."""
    p, (build, loss) = jax_numbers()[name], BY_JAX[name]
    b2.defaultclock.dt = 1 * ms
    inputs = b2.SpikeGeneratorGroup(8, [], [] * ms, name="input")
    hidden, readout, parameters, keys = build(p)
    onto = "I" if name == "cuba" else "v"
    network = b2.Network(inputs, hidden, connect(inputs, hidden, dense(p["w_in"]), onto=onto, name="in"))
    if "w_rec" in p:
        delay = None if name == "cuba" else 2 * ms
        network.add(connect(hidden, hidden, dense(p["w_rec"]), onto=onto, delay=delay, name="loop"))
        parameters, keys = [*parameters, "loop.w"], [*keys, "w_rec"]
    if readout is not None:
        network.add(readout, connect(hidden, readout, dense(p["w_out"]), name="out"))
        parameters, keys = [*parameters, "out.w"], [*keys, "w_out"]
    names = dict(zip([*parameters, "in.w"], [*keys, "w_in"], strict=True))
    in_ms = {name for name, key in names.items() if key.startswith("tau")}
    with uncompiled():
        model = trainable(
            network, inputs=inputs, output=hidden if readout is None else readout.v, duration=40 * ms, threads=1,
            parameters=[Parameter(name, scale=1 * ms if name in in_ms else 1) for name in names],
            surrogate=superspike(10), scale={"hidden": 1}, through_reset=name.endswith("through"),
            precision=precision,
        )  # fmt: skip
        found = model.gradient(p["x"].astype(int), p["target"], loss)
    assert found.value == pytest.approx(by_jax[f"{name}.loss"], rel=tolerance)
    assert sum(counts.sum() for counts in found.counts.values()) > 100
    for parameter, key in names.items():
        expected = np.ravel(by_jax[f"{name}.{key}"])
        assert np.linalg.norm(expected) > 0
        error = np.linalg.norm(np.ravel(found.gradients[parameter]) - expected) / np.linalg.norm(expected)
        assert error < tolerance, (parameter, error)
