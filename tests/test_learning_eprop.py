"""e-prop: the losses that NEST publishes, the gradient where nothing recurs, and what feedback means."""

import numpy as np
import pytest
from brian2 import (
    Network,
    SpikeGeneratorGroup,
    TimedArray,
    defaultclock,
    device,
    ms,
    mV,
    set_device,
)
from brian2.devices.device import reset_device
from eprop_fixtures import CLASSIFICATION, REGRESSION, classification, cross_entropies, regression, squared_errors
from uncompiled import uncompiled

import learning
import learning.reading
from dvs.errors import InputError, ParameterError
from learning.e_prop import RateGoal, eprop
from learning.optimisers import SGD, Adam
from learning.surrogates import fast_sigmoid
from snn.neurons import alif, cuba_lif, leaky_readout, lif
from snn.synapses import connect, dense

STEPS, INPUTS, CELLS, OUTPUTS = 40, 5, 6, 2


def test_derived_traces_give_the_regression_losses_that_nest_publishes():
    task = regression(trials=2)
    task.network.run(2000 * ms)
    np.testing.assert_allclose(squared_errors(task), REGRESSION[:2], rtol=1e-11)
    assert task.rule.errors.loss[0] == pytest.approx(REGRESSION[1], rel=1e-11)
    assert task.rule.errors.last_loss[0] == pytest.approx(REGRESSION[0], rel=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "updates"), [(1, 3), (2, 2)])
def test_adaptive_neurons_give_the_classification_losses_that_nest_publishes(batch, updates):
    """Cross-entropy, Adam, refractory neurons, an adaptive threshold, gradients averaged over a window and a batch."""
    task = classification(batch, updates)
    task.network.run(batch * updates * 2250 * ms)
    np.testing.assert_allclose(cross_entropies(task, batch), CLASSIFICATION[batch][:updates], rtol=1e-11)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_standalone_learns_the_same(tmp_path):
    set_device("cpp_standalone", directory=str(tmp_path), build_on_run=True)
    try:
        task = regression(trials=5)
        task.network.run(5000 * ms)
        np.testing.assert_allclose(squared_errors(task), REGRESSION, rtol=1e-11)
    finally:
        device.reinit()
        reset_device()


def layered(model=lif, seed=0, **parameters):
    """Inputs, a hidden layer without recurrence, and a readout."""
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(seed)
    made = model(**parameters)
    raster = rng.random((STEPS, INPUTS)) < 0.2
    when, which = np.nonzero(raster)
    inputs = SpikeGeneratorGroup(INPUTS, which, when * ms, name="inputs")
    cells = made.group(CELLS, name="cells")
    readout = leaky_readout(tau=12 * ms).group(OUTPUTS, name="readout")
    size = 12 * mV if "threshold" in parameters else 1.0
    first = connect(inputs, cells, dense(rng.normal(0.3, 0.3, (INPUTS, CELLS)) * size), onto=made.input, name="first")
    second = connect(cells, readout, dense(rng.normal(0, 1, (CELLS, OUTPUTS))), name="second")
    goal = rng.normal(0, 1, (STEPS, OUTPUTS))
    return Network(inputs, cells, readout, first, second), raster, goal


def found(network, name):
    return next(obj for obj in network.objects if obj.name == name)


def rule_of(network, goal, **options):
    options = {"surrogate": fast_sigmoid(5.0), "optimiser": SGD(1.0), **options}
    return eprop(
        network,
        output=found(network, "readout").v,
        target="goal_of(t, i)",
        weights=[found(network, "first").w, found(network, "second").w],
        trial=STEPS * ms,
        namespace={"goal_of": TimedArray(goal, dt=1 * ms)},
        **options,
    )


MODELS = {
    "lif": (lif, {}),
    "adaptive": (alif, {"tau_a": 30 * ms, "beta": 0.4}),
    "current": (cuba_lif, {"refractory": 2 * ms}),
    "in millivolts": (lif, {"threshold": -55 * mV}),
}


@pytest.mark.parametrize("name", MODELS)
def test_without_recurrence_eprop_is_the_gradient(name):
    """All ways from a spike to the loss then pass through the readout, so the learning signal is complete."""
    model, parameters = MODELS[name]
    network, raster, goal = layered(model, **parameters)
    scale = {"first": 12 * mV if "threshold" in parameters else 1.0, "second": 1.0}
    with uncompiled():
        twin = learning.trainable(
            network,
            inputs=found(network, "inputs"),
            output=found(network, "readout").v,
            parameters=[learning.Parameter(found(network, one).w, scale=size) for one, size in scale.items()],
            duration=STEPS * ms,
            surrogate=fast_sigmoid(5.0),
            precision="float64",
            namespace={},
        )
        gradients = twin.gradient([raster], goal[None], learning.losses.mean_squared_error()).gradients
    rule = rule_of(network, goal)
    network.add(*rule.objects)
    network.run(STEPS * ms)
    for one, size in scale.items():
        companion = rule.plasticity[one]
        # Half the sum of squares here, their mean there; the sizes of weights cancel.
        step = np.asarray(companion.change_sum) / np.square(float(companion.namespace["w_size"]))
        expected = -gradients[f"{one}.w"].ravel() * STEPS * OUTPUTS / 2 / float(size)
        np.testing.assert_allclose(step, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


def test_adaptive_feedback_that_begins_symmetric_stays_so():
    """It changes by what the weights to the readout change."""
    ends = []
    for kind in ("symmetric", "adaptive"):
        network, _, goal = layered()
        rule = rule_of(network, goal, feedback=kind, optimiser=Adam(0.01), seed=3)
        if kind == "adaptive":
            rule.feedback["cells"].B = found(network, "second").w[:]
        network.add(*rule.objects)
        network.run(3 * STEPS * ms)
        ends.append(np.array(found(network, "first").w[:]))
        if kind == "adaptive":
            np.testing.assert_allclose(rule.feedback["cells"].B[:], found(network, "second").w[:], rtol=1e-12)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-12)


def test_broadcast_feedback_tells_every_neuron_the_sum_of_errors():
    network, _, goal = layered()
    rule = rule_of(network, goal, feedback="broadcast")
    network.add(*rule.objects)
    network.run(10 * ms)
    expected = rule.errors.error[:].sum()
    assert expected != 0
    np.testing.assert_allclose(rule.signals["cells"].L[:], expected, rtol=1e-12)


def test_random_feedback_is_that_of_its_seed():
    weights = []
    for seed in (1, 1, 2):
        network, _, goal = layered()
        weights.append(np.array(rule_of(network, goal, feedback="random", seed=seed).feedback["cells"].B[:]))
        del network
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_a_goal_for_the_rate_weakens_the_busy_and_strengthens_the_silent():
    """No error reaches the cells, so that only the price of rates is left, and its traces are never negative here.

    One spike in 40 ms is 25 Hz, above the goal of 10 Hz; none is below.
    """
    network, _, goal = layered()
    nothing = {"cells": np.zeros((CELLS, OUTPUTS))}
    network.add(*(rule := rule_of(network, goal, feedback=nothing, rate=RateGoal(strength=100.0))).objects)
    found(network, "first").w["j == 0"] = -0.1
    before = found(network, "first").w[:].copy()
    network.run((STEPS - 1) * ms)
    spikes = np.array(rule.signals["cells"].spike_count)
    network.run(2 * ms)
    change = (found(network, "first").w[:] - before).reshape(INPUTS, CELLS).sum(axis=0)
    assert (change[spikes > 0] < 0).all()
    assert (change[spikes == 0] > 0).all()
    assert spikes[0] == 0
    assert spikes[1:].all()


def test_losses_fall_in_training():
    """The readout is told where to go: weights of the readout alone must bring it nearer."""
    network, _, goal = layered()
    rule = rule_of(network, 0 * goal + 0.5, optimiser=Adam(0.02))
    network.add(*rule.objects)
    network.run((STEPS + 1) * ms)
    first = rule.errors.last_loss[:].sum()
    network.run(30 * STEPS * ms)
    assert rule.errors.last_loss[:].sum() < 0.5 * first


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"feedback": "sideways"}, "feedback is 'sideways'"),
        ({"feedback": {"cells": np.zeros((2, 2))}}, r"shape \(2, 2\), expected \(6, 2\)"),
        ({"loss": "hinge"}, "no loss 'hinge'"),
        ({"window": 1000 * ms}, "window is 1. s"),
        ({"batch": 0}, "batch is 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, said):
    network, _, goal = layered()
    with pytest.raises(ParameterError, match=said):
        rule_of(network, goal, **options)


def test_a_readout_that_spikes_is_refused():
    network, _, _ = layered()
    with pytest.raises(InputError, match="cells spikes"):
        eprop(network, output=found(network, "cells").v, target="0", weights=[found(network, "first").w], trial=9 * ms)


def test_symmetric_feedback_needs_synapses_to_the_readout():
    network, _, _ = layered()
    deep = lif().group(3, name="deep")
    more = connect(found(network, "cells"), deep, dense(np.ones((CELLS, 3))), name="more")
    network.add(deep, more)
    with pytest.raises(InputError, match="deep has no synapses to readout"):
        eprop(
            network, output=found(network, "readout").v, target="0", weights=[more.w], trial=9 * ms, namespace={}
        )  # fmt: skip


def test_a_network_that_learns_online_can_still_be_differentiated():
    """The rule changes no state of a neuron, so the model that is read is the one without it."""
    network, _, goal = layered()
    before = learning.reading.read_network(network)
    network.add(*rule_of(network, goal, feedback="random", rate=RateGoal(), restart=True).objects)
    after = learning.reading.read_network(network)
    assert [p.name for p in after.populations] == [p.name for p in before.populations]
    assert [q.name for q in after.projections] == [q.name for q in before.projections]
