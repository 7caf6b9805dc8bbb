"""Many samples through one network: the same as Brian2's own run, whichever way they are run."""

from pathlib import Path

import brian2 as b2
import numpy as np
import pytest
from brian2 import Hz, ms

import dvs
from dvs.errors import InputError, MicrosaccadeError, ParameterError
from snn.drive import Drive
from snn.inputs import EventInput
from snn.running import Runner, run
from snn.stepper import Stepper

WIDTH, HEIGHT = 6, 5


def recording(seed, count=200, span_us=40_000):
    rng = np.random.default_rng(seed)
    events = dvs.make_events(
        rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count),
        np.sort(rng.integers(0, span_us, count)), rng.integers(0, 2, count),
    )  # fmt: skip
    return dvs.Recording(events=events, width=WIDTH, height=HEIGHT, stop_us=span_us)


def seeing_network(*, noise=0.0):
    """Input, 20 refractory neurons, 3 readouts behind a delay; weights drawn once."""
    b2.defaultclock.dt = 1 * ms
    eye = EventInput(width=WIDTH, height=HEIGHT, collisions="first")
    namespace = {"tau": 10 * ms, "noise": noise}
    hidden = b2.NeuronGroup(
        20, "dv/dt = -v/tau : 1 (unless refractory)", threshold="v > 1 - noise*rand()", reset="v -= 1",
        refractory=3 * ms, method="exact", namespace=namespace, name="hidden",
    )  # fmt: skip
    output = b2.NeuronGroup(
        3, "dv/dt = -v/tau : 1", threshold="v > 1", reset="v = 0", method="exact", namespace=namespace, name="output"
    )
    rng = np.random.default_rng(0)
    first = b2.Synapses(eye.group, hidden, "w : 1", on_pre="v_post += w", name="first")
    first.connect()
    first.w = rng.normal(0.05, 0.3, 60 * 20)
    second = b2.Synapses(hidden, output, "w : 1", on_pre="v_post += w", delay=4 * ms, name="second")
    second.connect()
    second.w = rng.normal(0.1, 0.4, 20 * 3)
    return eye, b2.Network(eye.group, hidden, output, first, second)


def brian_s_own(eye, network, samples):
    """Counts of hidden and output neurons and the output's v, by restore and run."""
    monitors = [b2.SpikeMonitor(network[name]) for name in ("hidden", "output")]
    v = b2.StateMonitor(network["output"], "v", record=True, when="end")
    network.add(*monitors, v)
    network.store()
    counts, states = [[], []], []
    for sample in samples:
        network.restore()
        eye.show(sample)
        network.run(50 * ms)
        for kept, monitor in zip(counts, monitors, strict=True):
            kept.append(np.array(monitor.count))
        states.append(np.array(v.v).T)
    return *map(np.array, counts), np.array(states)


@pytest.mark.parametrize("target", ["numpy", pytest.param("cython", marks=pytest.mark.slow)])
def test_a_runner_does_what_restore_and_run_do(target):
    b2.prefs.codegen.target = target
    eye, network = seeing_network()
    samples = [recording(seed) for seed in range(4)]
    responses = run(network, samples, input=eye, duration=50 * ms, states={"output": ["v"]}, progress=False)
    eye, network = seeing_network()
    hidden, output, v = brian_s_own(eye, network, samples)
    assert hidden.sum() > 50
    assert output.sum() > 10
    np.testing.assert_array_equal(responses.counts("hidden"), hidden)
    np.testing.assert_array_equal(responses.counts("output"), output)
    np.testing.assert_array_equal(responses.states["output"]["v"], v)
    assert responses.states["output"]["v"].shape == (4, 50, 3)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_a_compiled_network_runs_new_samples_without_compiling():
    """The same spikes as in runtime, and the binary is the same file before and after."""
    eye, network = seeing_network()
    samples = [recording(seed) for seed in range(5)]
    expected = run(network, samples, input=eye, duration=50 * ms, states={"output": ["v"]}, progress=False)
    b2.set_device("cpp_standalone", build_on_run=False)
    eye, network = seeing_network()
    runner = Runner(network, input=eye, duration=50 * ms, states={"output": ["v"]})
    binary = Path(b2.get_device().project_dir) / "main"
    built = binary.stat().st_mtime_ns
    for chosen in (slice(0, 2), slice(2, 5), slice(0, 5)):
        responses = runner.run(samples[chosen], progress=False)
        for name in ("hidden", "output"):
            np.testing.assert_array_equal(responses.counts(name), expected.counts(name)[chosen])
        np.testing.assert_allclose(responses.states["output"]["v"], expected.states["output"]["v"][chosen], atol=1e-12)
    assert binary.stat().st_mtime_ns == built


def test_a_sample_leaves_no_trace_in_the_next():
    """Membranes, refractoriness and spikes on their way (a delay of 4 ms) all go back: the order does not matter."""
    eye, network = seeing_network()
    samples = [recording(seed, span_us=50_000) for seed in range(4)]
    runner = Runner(network, input=eye, duration=50 * ms)
    there = runner.run(samples, progress=False).counts("output")
    back = runner.run(samples[::-1], progress=False).counts("output")
    np.testing.assert_array_equal(there, back[::-1])


def test_several_processes_give_the_same_spikes_as_one():
    """Also with noise: each sample's chance comes from its own seed."""
    eye, network = seeing_network(noise=0.3)
    samples = [recording(seed) for seed in range(7)]
    runner = Runner(network, input=eye, duration=50 * ms)
    before = np.random.get_state()[1]  # noqa: NPY002
    one = runner.run(samples, seed=3, progress=False)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    three = runner.run(samples, seed=3, processes=3, progress=False)
    other = runner.run(samples, seed=4, progress=False)
    for field in ("sample", "neuron", "t"):
        np.testing.assert_array_equal(getattr(one.spikes["hidden"], field), getattr(three.spikes["hidden"], field))
    assert not np.array_equal(one.counts("hidden"), other.counts("hidden"))


def test_an_error_in_a_process_is_said_here():
    eye, network = seeing_network()
    samples = [recording(0), dvs.Recording(events=dvs.empty_events(), width=3, height=3)]
    with pytest.raises(InputError, match="the source is 3x3, input sees a sensor of 6x5"):
        run(network, samples, input=eye, duration=50 * ms, processes=2, progress=False)


def test_labels_come_with_the_samples_or_beside_them():
    """tonic's data sets give pairs (events, target)."""
    eye, network = seeing_network()
    runner = Runner(network, input=eye, duration=10 * ms)
    samples = [recording(seed) for seed in range(3)]
    pairs = list(zip(samples, [7, 1, 4], strict=True))
    assert runner.run(pairs, progress=False).labels.tolist() == [7, 1, 4]
    assert runner.run(samples, labels=[7, 1, 4], progress=False).labels.tolist() == [7, 1, 4]
    assert runner.run(samples, progress=False).labels is None
    with pytest.raises(InputError, match=r"labels have shape \(2,\), expected \(3,\)"):
        runner.run(samples, labels=[1, 2], progress=False)


def test_a_function_may_set_what_a_sample_is():
    """A LIF neuron under constant current fires every tau ln(I / (I - 1)): a sample is a current."""
    b2.defaultclock.dt = 0.1 * ms
    group = b2.NeuronGroup(
        1, "dv/dt = (I - v)/(10*ms) : 1\nI : 1", threshold="v > 1", reset="v = 0", method="exact", name="neuron"
    )
    responses = run(
        b2.Network(group), [0.9, 1.5, 4.0], input=lambda current: group.__setattr__("I", current),
        duration=200 * ms, progress=False,
    )  # fmt: skip
    for current, count in zip([1.5, 4.0], responses.counts("neuron")[1:, 0], strict=True):
        period_ms = np.ceil(10 * np.log(current / (current - 1)) / 0.1) * 0.1  # the step in which v is above 1
        assert count == int(200 / period_ms)
    assert responses.counts("neuron")[0, 0] == 0


@pytest.mark.parametrize("target", ["numpy", pytest.param("cython", marks=pytest.mark.slow)])
def test_a_function_may_set_the_spikes_of_a_sample(target):
    """Brian2 finds the steps of a SpikeGeneratorGroup's times before a run; here that is before each sample.

    A relay spikes one step after what is sent to it.
    """
    b2.prefs.codegen.target = target
    b2.defaultclock.dt = 1 * ms
    source = b2.SpikeGeneratorGroup(4, [3], [1] * ms, name="source")
    relay = b2.NeuronGroup(4, "v : 1", threshold="v > 0", reset="v = 0", name="relay")
    wires = b2.Synapses(source, relay, on_pre="v_post = 1", name="wires")
    wires.connect(j="i")
    sent = [([0, 2], [0, 4] * ms), ([], [] * ms), ([1, 1, 2], [3, 5, 5] * ms)]
    responses = run(
        b2.Network(source, relay, wires), range(3), input=lambda k: source.set_spikes(*sent[k]), duration=7 * ms,
        progress=False,
    )  # fmt: skip
    for k, (i, t) in enumerate(sent):
        seen = responses.spikes["relay"].of_sample(k)
        assert seen.neuron.tolist() == i
        assert np.allclose(seen.t / ms, t / ms + 1)


def test_plastic_weights_go_on_and_traces_do_not():
    """Each sample pairs pre before post once; the trace is 1 at that moment in every sample, not more."""
    b2.defaultclock.dt = 1 * ms
    pre = b2.SpikeGeneratorGroup(1, [0], [1] * ms)
    post = b2.SpikeGeneratorGroup(1, [0], [5] * ms)
    synapses = b2.Synapses(
        pre, post, "w : 1\ndapre/dt = -apre/(1*second) : 1 (event-driven)",
        on_pre="apre += 1", on_post="w += apre", name="synapses",
    )  # fmt: skip
    synapses.connect()
    network = b2.Network(pre, post, synapses)
    drive = Drive(network, {})
    assert list(drive.plastic) == ["synapses.w"]
    weights = []
    for _ in range(3):
        drive.reset()
        drive.advance(10 * ms)
        weights.append(float(synapses.w[0]))
    np.testing.assert_allclose(weights, np.arange(1, 4) * np.exp(-4e-3), rtol=1e-12)


def test_a_network_that_is_only_tested_does_not_learn():
    """Weights after the run are those before it, in one process and in two, which may then share the samples."""
    b2.defaultclock.dt = 1 * ms
    pre = b2.SpikeGeneratorGroup(1, [0], [1] * ms)
    post = b2.NeuronGroup(1, "v : 1", threshold="v > 0.5", reset="v = 0", name="post")
    synapses = b2.Synapses(pre, post, "w : 1", on_pre="v_post += w; w += 1", name="synapses")
    synapses.connect()
    synapses.w = 1
    runner = Runner(b2.Network(pre, post, synapses), input=lambda _: None, duration=10 * ms)
    runner.run([0, 1, 2], learn=False, progress=False)
    assert synapses.w[0] == 1
    runner.run([0, 1, 2], learn=False, processes=2, progress=False)
    assert synapses.w[0] == 1
    runner.run([0, 1, 2], progress=False)
    assert synapses.w[0] == 4
    with pytest.raises(ParameterError, match=r"synapses\.w learn from sample to sample"):
        runner.run([0, 1, 2], processes=2, progress=False)


def test_what_is_to_be_kept_is_kept():
    group = b2.NeuronGroup(1, "dv/dt = 1/ms : 1\nn : 1", threshold="v > 1.05", reset="v = 0; n += 1", name="cell")
    network = b2.Network(group)
    drive = Drive(network, {}, keep=["cell.n"])
    drive.advance(10 * ms)
    first = group.n[0]
    drive.reset()
    assert group.v[0] == 0
    drive.advance(10 * ms)
    assert group.n[0] == 2 * first > 0
    with pytest.raises(ParameterError, match=r"keep names \['cell.m'\], but a step changes only"):
        Drive(network, {}, keep=["cell.m"])


def test_several_clocks_tick_as_in_brian2():
    """A group at 0.1 ms drives one at 0.5 ms and one at 1 ms; counts as after Network.run."""

    def network():
        fast = b2.NeuronGroup(1, "dv/dt = 1/ms : 1", threshold="v > 0.75", reset="v = 0", dt=0.1 * ms, name="fast")
        middle = b2.NeuronGroup(1, "n : 1", threshold="n > 3", reset="n = 0", dt=0.5 * ms, name="middle")
        slow = b2.NeuronGroup(1, "n : 1", dt=1 * ms, name="slow")
        to_middle = b2.Synapses(fast, middle, on_pre="n_post += 1")
        to_middle.connect()
        to_slow = b2.Synapses(middle, slow, on_pre="n_post += 1")
        to_slow.connect()
        return b2.Network(fast, middle, slow, to_middle, to_slow)

    expected, driven = network(), network()
    expected.run(50 * ms)
    drive = Drive(driven, {})
    drive.advance(20 * ms)
    drive.advance(30 * ms)
    assert driven["slow"].n[0] == expected["slow"].n[0] > 5
    assert driven["fast"].v[0] == expected["fast"].v[0]
    assert driven.t == expected.t


def test_brian2_can_go_on_where_the_drive_stopped():
    _, network = seeing_network()
    Drive(network, {}).advance(7 * ms)
    network.run(3 * ms)
    assert network.t == 10 * ms


def test_a_stepper_closes_the_loop():
    """The world shows an event only after the network has spiked: one spike sets off a chain, one each interval."""
    b2.defaultclock.dt = 1 * ms
    eye = EventInput(width=2, height=1)
    relay = b2.NeuronGroup(4, "v : 1", threshold="v > 0", reset="v = 0", name="relay")
    wires = b2.Synapses(eye.group, relay, on_pre="v_post = 1")
    wires.connect(j="i")
    stepper = Stepper(b2.Network(eye.group, relay, wires), input=eye, interval=10 * ms)
    event = dvs.make_events([1], [0], [2000], [1])
    assert len(stepper.step()["relay"]) == 0
    spikes = stepper.step(event)["relay"]
    for _ in range(5):
        # The event is in step 2 of the interval; the synapse acts after the threshold, so the relay follows in step 3.
        assert spikes.neuron.tolist() == [3]
        np.testing.assert_allclose(spikes.t / ms, [3])
        spikes = stepper.step(event if len(spikes) else None)["relay"]
    assert stepper.t == 70 * ms
    stepper.reset()
    assert stepper.t == 0 * ms
    assert len(stepper.step()["relay"]) == 0


def test_a_stepper_sees_frames_through_an_emulator():
    """One pixel brightens by exp(1) between the second and the third frame: five ON events, every 2 ms, the
    last at the very end of the third interval: the fourth begins with it."""
    b2.defaultclock.dt = 0.1 * ms
    eye = EventInput(width=1, height=1, collisions="spread")
    settings = dvs.Settings(sensor=dvs.load_sensor("ideal"), dark_offset=1e-9)
    stepper = Stepper(b2.Network(eye.group), input=eye, interval=10 * ms, record=["input"], emulator=settings)
    bright = 0.1 * np.exp(1 + 1e-6)
    seen = [stepper.step(np.full((1, 1), light))["input"] for light in (0.1, 0.1, bright, bright)]
    assert [len(spikes) for spikes in seen] == [0, 0, 4, 1]
    np.testing.assert_allclose(seen[2].t / ms, [2, 4, 6, 8], atol=0.11)
    np.testing.assert_allclose(seen[3].t / ms, [0])


def test_rates_of_poisson_spikes_are_those_that_were_asked_for():
    """1000 neurons for 1 s at 50 Hz: the mean count is 50 +- 4 standard errors, 4 sqrt(50 / 1000) = 0.9."""
    b2.defaultclock.dt = 1 * ms
    group = b2.NeuronGroup(1000, "", threshold="rand() < 50*Hz*dt", reset="", name="poisson")
    responses = run(b2.Network(group), [None] * 2, input=lambda _: None, duration=1000 * ms, seed=0, progress=False)
    assert abs(responses.spikes["poisson"].rates()[0].mean() / Hz - 50) < 0.9
    assert not np.array_equal(*responses.counts("poisson"))


def test_wrong_requests_are_said_in_one_line():
    eye, network = seeing_network()
    cases = [
        ({"record": ["nobody"]}, "the network has no group 'nobody'"),
        ({"states": {"output": ["u"]}}, "output has no variable 'u'"),
        ({"duration": 0.1 * ms}, "duration is 100. us, expected at least one step of 1. ms"),
        ({"record": []}, "record at least one group"),
    ]
    for options, message in cases:
        with pytest.raises(ParameterError, match=message):
            Runner(network, **{"input": eye, "duration": 10 * ms, **options})
    with pytest.raises(InputError, match="'input' is not in the network"):
        Runner(b2.Network(network["hidden"]), input=eye, duration=10 * ms)
    with pytest.raises(ParameterError, match=r"interval is 1\.5 ms, expected whole steps of 1\. ms"):
        Stepper(network, input=eye, interval=1.5 * ms)
    with pytest.raises(ParameterError, match="give a sequence"):
        run(network, iter([recording(0)]), input=eye, duration=10 * ms, processes=2, progress=False)
    assert issubclass(ParameterError, MicrosaccadeError)


def test_a_network_that_was_changed_must_be_made_ready_again():
    """Else what was added would be left out in silence."""
    _, network = seeing_network()
    drive = Drive(network, {})
    network.add(b2.SpikeMonitor(network["hidden"]))
    with pytest.raises(InputError, match="objects were added to or removed from network"):
        drive.advance(1 * ms)


def test_real_nmnist_samples_arrive_to_the_last_event(shared_data):
    """Ten samples as tonic gives them, (events, label), pooled by 2: the counts of the input add up to the events."""
    b2.defaultclock.dt = 1 * ms
    with np.load(shared_data / "labelled" / "nmnist_train1000.npz") as archive:
        columns = {name: archive[name] for name in ("x", "y", "p", "dt", "offsets", "label")}
    samples = []
    for k in range(10):
        part = slice(columns["offsets"][k], columns["offsets"][k + 1])
        x, y, p, dt_us = (columns[name][part] for name in ("x", "y", "p", "dt"))
        events = np.zeros(x.size, [("x", int), ("y", int), ("t", int), ("p", int)])  # tonic's own layout
        events["x"], events["y"], events["t"], events["p"] = x, y, np.cumsum(dt_us), p
        samples.append((events, int(columns["label"][k])))
    eye = EventInput(width=34, height=34, pool=2, collisions="count")
    sink = b2.NeuronGroup(1, "n : 1", name="sink")
    synapses = b2.Synapses(eye.group, sink, on_pre="n_post += count_pre")
    synapses.connect()
    responses = run(
        b2.Network(eye.group, sink, synapses), samples, input=eye, duration=330 * ms,
        record=["input"], states={"sink": ["n"]}, progress=False,
    )  # fmt: skip
    arrived = responses.states["sink"]["n"][:, -1, 0]
    assert arrived.tolist() == [events.size for events, _ in samples]
    assert responses.labels.tolist() == [label for _, label in samples]
    assert responses.counts("input").sum() < arrived.sum()


def test_networks_that_share_brian2_s_clock_do_not_disturb_each_other():
    """Both fire every third step of 1 ms, however often the other one ran in between."""
    b2.defaultclock.dt = 1 * ms
    text = {"model": "n : 1", "threshold": "n >= 2", "reset": "n = 0"}
    networks = []
    for _ in range(2):
        group = b2.NeuronGroup(1, **text, name="counter")
        group.run_regularly("n += 1", when="start")
        networks.append(b2.Network(group))
    stepper = Stepper(networks[0], input=lambda _: None, interval=10 * ms)
    times = []
    for k in range(3):
        times += [k * 10 + t for t in np.asarray(stepper.step()["counter"].t / ms)]
        networks[1].run(7 * ms)
    np.testing.assert_allclose(times, np.arange(1, 30, 2))
    assert stepper.t == 30 * ms
    assert networks[1].t == 21 * ms
