"""Small pushes: the fewest events that change a decision, where they are known, and of a network that spikes."""

import itertools

import numpy as np
import pytest
from uncompiled import uncompiled

import dvs
import snn
from dvs.errors import InputError, ParameterError
from learning import Adam, losses, surrogates, trainable
from learning.landscape.pushes import KINDS, event_gradient, fewest_events, robustness
from snn.neurons import leaky_readout, lif
from snn.synapses import connect, dense

STEPS, INPUTS, TAU = 30, 12, 20.0


@pytest.fixture(autouse=True, scope="module")
def interpreted():
    """Brian2 without compiling, and as it was found."""
    import brian2

    kept = brian2.prefs.codegen.target, brian2.defaultclock.dt
    brian2.prefs.codegen.target = "numpy"
    brian2.start_scope()
    brian2.defaultclock.dt = 1 * brian2.ms
    yield
    brian2.prefs.codegen.target, brian2.defaultclock.dt = kept


@pytest.fixture(scope="module")
def linear():
    """Two leaky readouts that hear 12 inputs, and a sample: (model, weights, spikes (steps, inputs))."""
    from brian2 import Network, SpikeGeneratorGroup, ms

    rng = np.random.default_rng(3)
    source = SpikeGeneratorGroup(INPUTS, [], [] * ms, name="source")
    readout = leaky_readout(tau=TAU * ms).group(2, name="readout")
    synapses = connect(source, readout, dense(rng.normal(0, 1, (INPUTS, 2)) + np.array([0.4, 0])), name="last")
    weights = np.array(synapses.w[:]).reshape(INPUTS, 2)
    with uncompiled():
        model = trainable(
            Network(source, readout, synapses), inputs=source, output=readout.v, parameters=[synapses.w],
            duration=STEPS * ms, precision="float64", threads=1, namespace={},
        )  # fmt: skip
        yield model, weights, (rng.random((STEPS, INPUTS)) < 0.25).astype(int)


def worth(weights):
    """(steps, inputs): what an event adds to v_0 - v_1 at the end; it has decayed over the steps that came after."""
    decay = np.exp(-(STEPS - 1 - np.arange(STEPS)) / TAU)
    return decay[:, None] * (weights[:, 0] - weights[:, 1])


def fewest_of(gains, margin):
    """How many of these gains, the largest first, sum to more than the margin."""
    return 1 + int(np.searchsorted(np.cumsum(np.sort(gains)[::-1]), margin, side="right"))


def test_the_event_gradient_of_a_leaky_readout_is_weight_times_decay(linear):
    model, weights, spikes = linear
    found = event_gradient(model, spikes, losses.last(), label=0)
    np.testing.assert_allclose(found, worth(weights), rtol=1e-10)


def test_the_fewest_removals_of_a_linear_readout_are_its_largest_shares(linear):
    """The margin is a sum over events: no k of them take away more than the k largest shares do."""
    model, weights, spikes = linear
    shares = (worth(weights) * spikes)[spikes > 0]
    margin = shares.sum()
    assert margin > 0
    push = fewest_events(model, spikes, losses.last(), kinds=("remove",), progress=False)
    assert (push.decision, push.now, push.success) == (0, 1, True)
    assert len(push.operations) == fewest_of(shares, margin) > 1
    removed = np.sort([worth(weights)[one.step, one.neuron] for one in push.operations])[::-1]
    np.testing.assert_allclose(removed, np.sort(shares)[::-1][: removed.size])
    np.testing.assert_allclose(push.margins, margin - np.append(0, np.cumsum(removed)), atol=1e-12)


def test_the_fewest_additions_are_those_of_the_best_free_places(linear):
    model, weights, spikes = linear
    gains = -worth(weights)[spikes == 0]
    push = fewest_events(model, spikes, losses.last(), kinds=("add",), progress=False)
    assert len(push.operations) == fewest_of(gains, (worth(weights) * spikes).sum())
    assert all(spikes[one.step, one.neuron] == 0 for one in push.operations)


def test_a_moved_event_changes_the_margin_by_the_decay_of_its_way(linear):
    """From step t to t': weight times (exp(-(T - t')/tau) - exp(-(T - t)/tau))."""
    model, weights, spikes = linear
    from brian2 import ms

    push = fewest_events(model, spikes, losses.last(), kinds=("move",), shift=4 * ms, most=3, progress=False)
    for one, before, after in zip(push.operations, push.margins, push.margins[1:], strict=False):
        assert 0 < abs(one.to_step - one.step) <= 4
        there = worth(weights)[[one.step, one.to_step], one.neuron]
        assert after - before == pytest.approx(there[1] - there[0], abs=1e-12)
        factor = np.exp((one.to_step - one.step) / TAU)
        assert there[1] / there[0] == pytest.approx(factor)


def test_no_other_pair_of_events_does_it_where_greedy_needs_more(linear):
    """By trying all of them: removals of up to two events."""
    model, weights, spikes = linear
    shares = (worth(weights) * spikes)[spikes > 0]
    needed = len(fewest_events(model, spikes, losses.last(), kinds=("remove",), progress=False).operations)
    for count in range(1, min(needed, 3)):
        assert all(shares.sum() - sum(some) > 0 for some in itertools.combinations(shares, count))


def test_a_push_towards_a_label_ends_there_or_says_so(linear):
    model, _, spikes = linear
    assert fewest_events(model, spikes, losses.last(), towards=1, progress=False).now == 1
    nothing = fewest_events(model, spikes, losses.last(), towards=0, progress=False)
    assert nothing.success
    assert nothing.operations == ()
    failed = fewest_events(model, spikes, losses.last(), towards=1, most=1, progress=False)
    assert not failed.success
    assert "leave it a 0" in failed.reading


def test_added_and_moved_events_keep_the_refractory_time(linear):
    model, _, spikes = linear
    from brian2 import ms

    push = fewest_events(
        model, spikes, losses.last(), kinds=("add", "move"), refractory=3 * ms, shift=8 * ms, progress=False
    )
    neuron, step = push.after
    for one in push.operations:
        place = one.step if one.to_step is None else one.to_step
        others = step[(neuron == one.neuron) & (step != place)]
        assert (np.abs(others - place) > 3).all()
    assert push.success


def test_a_sample_after_a_push_is_one_the_model_takes(linear):
    model, _, spikes = linear
    push = fewest_events(model, spikes, losses.last(), progress=False)
    assert model.predict([push.sample], losses.last())[0] == push.now != push.decision
    # One operation changes one cell, a move two.
    cells = sum(2 if one.kind == "move" else 1 for one in push.operations)
    now = np.zeros_like(spikes)
    now[push.after[1], push.after[0]] = 1
    assert np.abs(now - spikes).sum() == cells


@pytest.mark.parametrize("whole", [True, False])
def test_a_delayed_event_decays_less_and_too_late_a_one_does_nothing(whole):
    """An event of step t adds weight times exp(-(T - 1 - t - delay)/tau), if t + delay < T."""
    from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

    source, readout = SpikeGeneratorGroup(3, [], [] * ms), leaky_readout(tau=TAU * ms).group(2, name="readout")
    synapses = Synapses(source, readout, "w : 1", on_pre="v_post += w", name="last")
    synapses.connect() if whole else synapses.connect(i=[0, 1, 1, 2], j=[1, 0, 1, 0])
    synapses.w = np.arange(1, 1 + len(synapses))
    delays = np.full(len(synapses), 4) if whole else np.array([5, 0, 2, 5])
    synapses.pre.delay = delays * ms
    with uncompiled():
        model = trainable(
            Network(source, readout, synapses), inputs=source, output=readout.v, parameters=[synapses.w],
            duration=STEPS * ms, precision="float64", threads=1, namespace={},
        )  # fmt: skip
        found = event_gradient(model, np.zeros((STEPS, 3), int), losses.last(), label=0)
    expected = np.zeros((STEPS, 3))
    for i, j, w, delay in zip(synapses.i[:], synapses.j[:], synapses.w[:], delays, strict=True):
        left = STEPS - 1 - np.arange(STEPS) - delay
        expected[:, i] += (1 if j == 0 else -1) * w * np.exp(-left / TAU) * (left >= 0)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("whole", [True, False])
def test_the_event_gradient_of_smooth_spikes_is_the_derivative(whole):
    """Of the margin by the value of a graded spike, against the difference of two runs, also with sparse wires."""
    from brian2 import Network, NeuronGroup, Synapses, ms

    rng = np.random.default_rng(0)
    source = NeuronGroup(4, "x : 1", threshold="False", reset="", name="source")
    hidden, readout = lif().group(5, name="hidden"), leaky_readout().group(3, name="readout")
    first = Synapses(source, hidden, "w : 1", on_pre="v_post += w*x_pre", name="first")
    first.connect() if whole else first.connect(condition="(i + j) % 3 > 0")
    first.w = rng.normal(0.4, 0.4, len(first))
    last = connect(hidden, readout, dense(rng.normal(0, 1, (5, 3))), name="second")
    loss = losses.mean_over_time()
    sample = np.zeros((12, 4))
    sample[[0, 2, 2, 5, 7], [1, 0, 3, 2, 1]] = 1

    with uncompiled():
        model = trainable(
            Network(source, hidden, readout, first, last), inputs=source, output=readout.v, parameters=[first.w],
            duration=12 * ms, surrogate=surrogates.sigmoid(), smooth=True, through_reset=True, precision="float64",
            threads=1, namespace={},
        )  # fmt: skip

        def margin(changed):
            scores = model.forward([changed]).output[0].mean(axis=0)
            return scores[1] - max(scores[0], scores[2])

        found = event_gradient(model, sample, loss, label=1)
        for step, neuron in ((2, 3), (5, 2), (0, 1)):
            more, less = sample.copy(), sample.copy()
            more[step, neuron] += 1e-5
            less[step, neuron] -= 1e-5
            assert found[step, neuron] == pytest.approx((margin(more) - margin(less)) / 2e-5, rel=1e-6)


WIDTH = 6


def bars(count, seed):
    """Events of bars that move right, left or down over a sensor of 6x6 in 30 ms, with some noise."""
    rng = np.random.default_rng(seed)
    found, labels = [], rng.integers(0, 3, count)
    for label in labels:
        along, across = np.meshgrid(np.arange(WIDTH), np.arange(WIDTH))
        t = 4000 * along.ravel() + rng.integers(1000, 4000, WIDTH**2)
        x, y = (across.ravel(), along.ravel()) if label == 2 else (along.ravel(), across.ravel())
        x = WIDTH - 1 - x if label == 1 else x
        keep = rng.random(x.size) < 0.7
        noise = rng.integers(0, [[WIDTH], [WIDTH], [29_000]], (3, 5))
        x, y, t = (np.append(one[keep], more) for one, more in zip((x, y, t), noise, strict=True))
        order = np.argsort(t, kind="stable")
        p = np.append(np.ones(keep.sum(), int), rng.integers(0, 2, 5))
        found.append(dvs.make_events(x=x[order], y=y[order], t_us=t[order], p=p[order]))
    return found, labels


@pytest.fixture(scope="module")
def camera():
    """A trained network that sees which way a bar moves: (network, eye, model, loss, events, labels)."""
    from brian2 import ms

    eye = snn.EventInput(width=WIDTH, height=WIDTH, dt=1 * ms, collisions="first", name="eye")
    layers = [snn.Dense(20, lif(tau=8 * ms), gain=2.5, name="hidden"), snn.Dense(3, leaky_readout(), name="readout")]
    network = snn.feedforward(eye, layers, seed=0)
    model = trainable(
        network, inputs=eye, output="readout.v", parameters=["hidden_in.w", "readout_in.w"], duration=STEPS * ms,
        threads=1, namespace={},
    )  # fmt: skip
    loss = losses.max_over_time()
    events, labels = bars(150, 0)
    model.fit(events, labels, loss=loss, optimiser=Adam(0.01), epochs=12, batch=25, progress=False)
    new, true = bars(12, 1)
    assert model.evaluate(new, true, loss)[1] > 0.9
    return network, eye, model, loss, new, true


def test_brian_decides_as_the_model_after_a_push(camera):
    from brian2 import ms

    network, eye, model, loss, events, _ = camera
    pushes = [fewest_events(model, one, loss, kinds=kinds, candidates=60, progress=False)
              for one, kinds in zip(events, (("remove",), ("add",), KINDS), strict=False)]  # fmt: skip
    assert all(push.success for push in pushes)
    responses = snn.run(
        network, [push.sample for push in pushes], input=eye, duration=STEPS * ms, states={"readout": ["v"]},
        progress=False,
    )  # fmt: skip
    decided = loss.predict(responses.states["readout"]["v"])
    assert decided.tolist() == [push.now for push in pushes]
    for push, one in zip(pushes, events, strict=False):
        assert push.now != push.decision == model.predict([one], loss)[0]
        assert "make a" in str(push)
        operation = push.operations[0]
        x, y, p = operation.pixel
        assert operation.neuron == (p * WIDTH + y) * WIDTH + x
        assert f"x={x}, y={y}, p={p} at {operation.step} ms" in str(operation)


def test_no_operation_of_a_push_is_left_out_without_loss(camera):
    *_, model, loss, events, _ = camera
    push = fewest_events(model, events[1], loss, candidates=60, progress=False)
    keep = set(zip(*(one.tolist() for one in push.before), strict=True))
    for left_out in push.operations:
        cells = set(keep)
        for one in push.operations:
            if one is not left_out:
                cells -= set() if one.kind == "add" else {(one.neuron, one.step)}
                cells |= (
                    set() if one.kind == "remove" else {(one.neuron, one.step if one.kind == "add" else one.to_step)}
                )
        spikes = sorted(cells, key=lambda cell: cell[1])
        p, y, x = np.unravel_index([cell[0] for cell in spikes], (2, WIDTH, WIDTH))
        t = [1000 * step + 500 for _, step in spikes]
        assert model.predict([dvs.make_events(x=x, y=y, t_us=t, p=p)], loss)[0] == push.decision


def test_chosen_events_do_more_than_random_ones(camera):
    *_, model, loss, events, labels = camera
    found = robustness(
        model, events[:6], labels[:6], loss, counts=(1, 2, 4, 8), kinds=("remove", "add"), seeds=range(3),
        candidates=40, progress=False,
    )  # fmt: skip
    assert found.counts.tolist() == [0, 1, 2, 4, 8]
    for kind in ("remove", "add"):
        share = model.evaluate(events[:6], labels[:6], loss)[1]
        assert (found.random[kind][:, 0] == share).all()
        assert found.greedy[kind][0] == share
        assert (np.diff(found.greedy[kind]) <= 0).all()
        assert (found.greedy[kind] <= found.random[kind].mean(axis=0) + 1e-9).all()
    assert found.greedy["add"][-1] < found.random["add"][:, -1].mean()
    assert "chosen ones, at random" in found.reading


def test_random_changes_depend_on_their_seeds_alone(camera):
    *_, model, loss, events, labels = camera
    one, same = (
        robustness(model, events[:3], labels[:3], loss, counts=(5, 20), seeds=(4,), most=0, progress=False)
        for _ in range(2)
    )
    assert all(np.array_equal(one.random[kind], same.random[kind]) for kind in KINDS)
    assert one.greedy == {}


def test_pictures_are_drawn(camera, linear):
    *_, model, loss, events, labels = camera
    push = fewest_events(model, events[0], loss, candidates=30, progress=False)
    assert len(push.plot().figure.axes) == 2
    found = robustness(model, events[:2], labels[:2], loss, counts=(2,), seeds=(0,), candidates=20, progress=False)
    for ax in (push.plot_margins(), found.plot()):
        assert ax.get_ylabel()
    assert push.plot(ax) is ax


def test_what_does_not_fit_is_refused(linear):
    model, _, spikes = linear
    loss = losses.last()
    with pytest.raises(ParameterError, match="expected some of"):
        fewest_events(model, spikes, loss, kinds=("swap",))
    with pytest.raises(ParameterError, match="expected a label from 0 to 1"):
        fewest_events(model, spikes, loss, towards=2)
    with pytest.raises(ParameterError, match="most is 0"):
        fewest_events(model, spikes, loss, most=0)
    with pytest.raises(ParameterError, match="decides nothing"):
        fewest_events(model, spikes, losses.mean_squared_error())
    with pytest.raises(InputError, match="expected one for each of 1 samples"):
        robustness(model, [spikes], [0, 1], loss)
    with pytest.raises(ParameterError, match="expected 0 or more events"):
        robustness(model, [spikes], [0], loss, counts=(-1,))
