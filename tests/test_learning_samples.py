"""Samples as spikes: what is encoded is what Brian2 would have been told, sample by sample and step by step."""

import re
from dataclasses import replace

import brian2 as b2
import numpy as np
import pytest
from brian2 import ms, mV, us
from hypothesis import given, settings
from hypothesis import strategies as st

import dvs
from dvs.errors import InputError, ParameterError
from dvs.files.format import Format
from dvs.files.recording_file import RecordingFile
from learning import samples as module
from learning.samples import Spikes, encode
from snn.binning import Timing
from snn.inputs import EventInput
from snn.spikes import spike_trains

WIDTH, HEIGHT, STEPS, DT = 8, 6, 20, 1 * ms
POLICIES = ("first", "count", "spread", "error")


def random_events(seed, count=300, *, span_us=25_000):
    rng = np.random.default_rng(seed)
    return dvs.make_events(
        rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count),
        np.sort(rng.integers(0, span_us, count)), rng.integers(0, 2, count),
    )  # fmt: skip


def eye(**options):
    return EventInput(width=WIDTH, height=HEIGHT, dt=DT, **({"collisions": "first"} | options))


def told(n=5):
    """A group that can be told any spikes."""
    return b2.SpikeGeneratorGroup(n, [], [] * ms, dt=DT)


def shown(watcher, recording, steps):
    """What a network would see: numbers (steps, neurons), the events of each cell."""
    numbers = np.zeros((steps, watcher.group.N))
    watcher.show(recording)
    for block in watcher.blocks():
        step = np.repeat(block.steps, np.diff(block.starts))
        kept = step < steps
        numbers[step[kept], block.neurons[kept]] = block.counts[kept]
    return numbers


def until(recording, steps, dt_us):
    """The events of the first steps."""
    timing = Timing(dt_us=dt_us, start_us=recording.start_us)
    inside = [timing.step(t) < steps for t in recording.events["t"]]
    return replace(recording, events=recording.events[inside])


event_columns = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.booleans()), max_size=60
).map(sorted)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(event_columns, min_size=1, max_size=3),
    start_us=st.integers(0, 5000),
    polarity=st.sampled_from(["split", "merge", "on", "off"]),
    roi=st.sampled_from([None, (2, 1, 5, 4), (0, 0, 1, 6)]),
    pool=st.integers(1, 3),
    dt_us=st.sampled_from([100, 300, 1000 / 3, 1000]),
    steps=st.integers(1, 12),
    policy=st.sampled_from(POLICIES),
)
def test_events_are_binned_as_the_networks_input_bins_them(rows, start_us, polarity, roi, pool, dt_us, steps, policy):
    """The spikes of each step, counts, and refusals are those of `EventInput` and its `snn.binning`.

    Of the events of the steps that are seen, each has a spike (or is counted by one) or is dropped. An input that
    refuses collisions also refuses later ones, which a run of these steps would not reach: those are left out.
    """
    recordings = []
    for row in rows:
        t, x, y, p = np.array(row, int).reshape(-1, 4).T
        events = dvs.make_events(x, y, t + start_us, p)
        recordings.append(dvs.Recording(events=events, width=WIDTH, height=HEIGHT, start_us=start_us))
    inside = [until(recording, steps, dt_us) for recording in recordings]
    options = {"polarity": polarity, "roi": roi, "pool": pool, "dt": dt_us * us}
    watcher = EventInput(width=WIDTH, height=HEIGHT, collisions=policy, **options)
    try:
        expected = [shown(watcher, r, steps) for r in (inside if policy == "error" else recordings)]
    except InputError as error:
        with pytest.raises(InputError, match=rf"^samples\[\d\]: {re.escape(str(error))}$"):
            encode(recordings, watcher, steps=steps, dt=dt_us * us)
        return
    spikes = encode(recordings, watcher, steps=steps, dt=dt_us * us)
    graded = policy == "count"
    np.testing.assert_array_equal(spikes.dense(), expected if graded else np.array(expected) > 0)
    counter = EventInput(width=WIDTH, height=HEIGHT, collisions="count", **options)
    seen = sum(shown(counter, recording, steps).sum() for recording in inside)
    assert (spikes.values.sum() if graded else spikes.neurons.size) + spikes.dropped == seen


@pytest.mark.parametrize("policy", ["first", "count", "spread"])
def test_a_network_that_runs_sees_the_same_spikes(policy):
    events = random_events(1)
    watcher = eye(collisions=policy)
    watcher.show(events)
    monitor = b2.SpikeMonitor(watcher.group)
    b2.Network(watcher.group, monitor).run(STEPS * DT)
    expected = np.zeros((STEPS, watcher.group.N), bool)
    expected[np.rint(monitor.t / DT).astype(int), monitor.i] = True
    np.testing.assert_array_equal(encode([events], watcher, steps=STEPS, dt=DT).dense()[0] > 0, expected)


@pytest.mark.parametrize("policy", ["first", "count", "spread"])
def test_a_sample_does_not_know_of_the_others(policy):
    """Together or alone, in whatever order and in chunks of whatever size, a sample has the same spikes."""
    events = [random_events(seed, 200 + seed) for seed in range(4)]
    alone = np.concatenate([encode([sample], eye(collisions=policy), steps=STEPS, dt=DT).dense() for sample in events])
    together = encode(events, eye(collisions=policy), steps=STEPS, dt=DT)
    np.testing.assert_array_equal(together.dense(), alone)
    backwards = encode(reversed(events), eye(collisions=policy), steps=STEPS, dt=DT)
    np.testing.assert_array_equal(backwards.dense(), alone[::-1])


def test_chunks_of_samples_make_no_difference(monkeypatch):
    events = [random_events(seed) for seed in range(5)]
    expected = encode(events, eye(collisions="count"), steps=STEPS, dt=DT)
    monkeypatch.setattr(module, "_CHUNK", 500)
    spikes = encode(iter(events), eye(collisions="count"), steps=STEPS, dt=DT)
    for name in ("starts", "neurons", "values", "lost"):
        np.testing.assert_array_equal(getattr(spikes, name), getattr(expected, name))


def test_each_neuron_stands_in_a_step_once_and_starts_hold_all_spikes():
    spikes = encode([random_events(1), random_events(2)], eye(), steps=STEPS, dt=DT)
    assert spikes.starts[0, 0] == 0
    assert spikes.starts[0, -1] == spikes.starts[1, 0]
    assert spikes.starts[1, -1] == spikes.neurons.size
    for first, last in zip(spikes.starts[:, :-1].ravel(), spikes.starts[:, 1:].ravel(), strict=True):
        chosen = spikes.neurons[first:last]
        assert np.unique(chosen).size == chosen.size


def test_events_become_spikes_or_are_counted_as_dropped():
    """Of 300 events all within the steps, spikes + dropped = 300; of the first sample alone those of the first."""
    events = [random_events(seed, span_us=20_000) for seed in (1, 2)]
    spikes = encode(events, eye(), steps=STEPS, dt=DT)
    assert spikes.neurons.size + spikes.dropped == 600
    assert np.diff(spikes.starts[0, [0, -1]]) + spikes[0].dropped == 300
    assert encode(events, eye(collisions="count"), steps=STEPS, dt=DT).values.sum() == 600


def test_spread_events_that_find_no_free_step_are_dropped():
    """Four events of a pixel in step 1 of 3: spikes in steps 1 and 2, two are past the end."""
    events = dvs.make_events([0] * 4, [0] * 4, [1000, 1001, 1002, 1003], [1] * 4)
    spikes = encode([events], eye(collisions="spread", polarity="merge"), steps=3, dt=DT)
    assert spikes.dense()[0, :, 0].tolist() == [0, 1, 1]
    assert spikes.dropped == 2


def test_events_after_the_last_step_may_collide():
    events = dvs.make_events([0] * 3, [0] * 3, [100, 5000, 5001], [1] * 3)
    assert encode([events], eye(collisions="error"), steps=5, dt=DT).neurons.size == 1


def test_tonics_events_and_others_are_read_as_they_are():
    """A bool polarity, fields in another order, and every second event of an array."""
    events = random_events(1)
    foreign = np.zeros(2 * events.size, [("t", np.int64), ("x", np.int16), ("y", np.uint16), ("p", bool)])[::2]
    for name in ("t", "x", "y", "p"):
        foreign[name] = events[name]
    first, second = encode([events, foreign], eye(), steps=STEPS, dt=DT).dense()
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["r.h5", "r.npz"])
def test_a_file_is_seen_from_the_beginning_of_its_recording(tmp_path, name):
    events = random_events(3)
    events["t"] += 70_000
    recording = dvs.Recording(events=events, width=WIDTH, height=HEIGHT, start_us=70_000, stop_us=100_000)
    dvs.write(tmp_path / name, recording)
    sources = [recording, tmp_path / name, str(tmp_path / name), dvs.open(tmp_path / name)]
    spikes = encode(sources, eye(), steps=STEPS, dt=DT).dense()
    np.testing.assert_array_equal(spikes[0], encode([random_events(3)], eye(), steps=STEPS, dt=DT).dense()[0])
    for other in spikes[1:]:
        np.testing.assert_array_equal(other, spikes[0])


def test_of_a_long_file_only_the_beginning_is_read(tmp_path):
    """The third block is past the last step; after it, reading on would raise."""

    def blocks(path):
        for k in range(3):
            yield dvs.make_events([k], [0], [k * 10_000 + 5000], [1])
        raise AssertionError("read too far")

    (tmp_path / "long").touch()
    recording = RecordingFile(
        path=tmp_path / "long",
        width=WIDTH,
        height=HEIGHT,
        start_us=0,
        stop_us=10**6,
        format=Format(name="made up", suffixes=(), recognises=lambda path: True, blocks=blocks),
    )
    spikes = encode([recording], eye(polarity="merge"), steps=20, dt=DT)
    assert np.argwhere(spikes.dense()[0]).tolist() == [[5, 0], [15, 1]]


def test_no_events_are_a_sample_too():
    spikes = encode([dvs.empty_events(), random_events(1)], eye(), steps=STEPS, dt=DT)
    assert spikes[0].density == 0 < spikes[1].density == 2 * spikes.density


@pytest.mark.parametrize("chosen", [2, -1, [2, 0, 2], np.array([True, False, True, False]), slice(1, None, 2), []])
def test_a_batch_is_some_rows_and_shares_the_spikes(chosen):
    spikes = encode([random_events(seed) for seed in range(4)], eye(collisions="count"), steps=STEPS, dt=DT)
    batch = spikes[chosen]
    np.testing.assert_array_equal(batch.dense(), np.atleast_3d(spikes.dense()[chosen]).reshape(-1, STEPS, spikes.size))
    assert batch.neurons is spikes.neurons
    assert batch.values is spikes.values
    assert len(batch) == batch.samples == batch.lost.size


def test_samples_can_be_gone_through():
    spikes = encode([random_events(seed) for seed in range(3)], eye(), steps=STEPS, dt=DT)
    np.testing.assert_array_equal(np.concatenate([sample.dense() for sample in spikes]), spikes.dense())


def test_density_is_the_share_of_cells_that_spike():
    spikes = Spikes(starts=np.array([[0, 1, 3]]), neurons=np.array([4, 0, 1], np.int32), size=5)
    assert spikes.density == 3 / (2 * 5)
    assert spikes.dropped == 0


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, ">i4", np.float32, np.float64])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_numbers_come_back_as_they_were(dtype, share):
    """Encoded and made dense again, an array is itself; whole, as a list or one by one, in C order or not."""
    rng = np.random.default_rng(1)
    numbers = rng.random((3, STEPS, 5)) < share
    graded = np.dtype(dtype).kind == "f"
    numbers = numbers.astype(dtype) * (rng.normal(size=numbers.shape).astype(dtype) if graded else np.array(1, dtype))
    for samples in (numbers, list(numbers), iter(numbers), np.asfortranarray(numbers)):
        spikes = encode(samples, told(), steps=STEPS, dt=DT)
        np.testing.assert_array_equal(spikes.dense(), numbers)
        assert (spikes.values is None) != graded
        assert spikes.neurons.size == np.count_nonzero(numbers)
        assert spikes.starts.flags.c_contiguous


@pytest.mark.parametrize("dt", [0.1 * ms, 0.3 * ms, 1 * ms / 3])
def test_given_spikes_fall_in_the_steps_in_which_brian2_has_them(dt):
    """Times on the edges of steps, where rounding would move them, and half a step later."""
    rng = np.random.default_rng(2)
    step = np.sort(rng.choice(400, 150, replace=False))
    i, t = rng.integers(0, 5, step.size), (step + rng.choice([0, 0.5, 0.9985, 0.9995], step.size)) * dt
    cells = np.unique(np.stack([np.floor(t / dt + 1e-3), i]), axis=1, return_index=True)[1]
    i, t = i[cells], t[cells]
    group = b2.SpikeGeneratorGroup(5, i, t, dt=dt)
    monitor = b2.SpikeMonitor(group)
    b2.Network(group, monitor).run(300 * dt)
    expected = np.zeros((300, 5))
    expected[np.rint(monitor.t / dt).astype(int), monitor.i] = 1
    shuffled = rng.permutation(i.size)
    spikes = encode([(i[shuffled], t[shuffled]), (i, t)], group, steps=300, dt=dt)
    np.testing.assert_array_equal(spikes.dense(), [expected, expected])


def test_what_a_monitor_recorded_can_be_told_again():
    group = b2.NeuronGroup(5, "v : 1", threshold="i == t_in_timesteps % 5", reset="", dt=DT)
    monitor = b2.SpikeMonitor(group)
    b2.Network(group, monitor).run(STEPS * DT)
    spikes = encode([(monitor.i, monitor.t)], group, steps=STEPS, dt=DT)
    np.testing.assert_array_equal(spikes.dense()[0], np.tile(np.eye(5), (4, 1)))


def test_spike_trains_are_samples():
    """Neuron 1 at 2 ms and neuron 0 at 3 ms, and a sample in which nothing happens."""
    trains = spike_trains([1, 0], [2, 3] * ms, neurons=5, duration=4 * ms)
    trains = type(trains)(
        sample=2 * trains.sample + 1, neuron=trains.neuron, t=trains.t, samples=3, neurons=5, duration=4 * ms
    )
    assert np.argwhere(encode(trains, told(), steps=4, dt=DT).dense()).tolist() == [[1, 2, 1], [1, 3, 0]]


def test_plain_and_graded_samples_may_be_mixed():
    numbers = np.zeros((2, 5))
    numbers[1, 3] = 0.5
    spikes = encode([([4], [0] * ms), numbers], told(), steps=2, dt=DT)
    assert spikes.values.tolist() == [1, 0.5]
    assert np.argwhere(spikes.dense()).tolist() == [[0, 0, 4], [1, 1, 3]]


EVENTS = dvs.make_events([12, 12, 12], [7, 7, 7], [20_000, 20_010, 20_900], [1, 1, 1])
LATE = dvs.make_events([0, 1], [0, 0], [10, 20], [1, 1])
wrong_events = [
    ([LATE, EVENTS], r"^samples\[1\]: pixel \(12, 7\) has 3 ON events in the 1000 us step 20; .*'first'"),
    ([LATE, LATE[::-1]], r"samples\[1\]\[1\] is at 10 us, before the event in front of it .*sort"),
    ([dvs.make_events([16], [0], [0], [1])], r"samples\[0\]\[0\] has x = 16, outside the 16x9 sensor"),
    ([dvs.make_events([0], [0], [-5], [1])], r"samples\[0\] begins at -5 us, before its start at 0 us; count times"),
    ([np.zeros(3)], r"samples\[0\] have dtype float64, expected the fields x, y, t, p"),
    ([LATE.reshape(2, 1)], r"samples\[0\] have shape \(2, 1\), expected one dimension"),
    ([(LATE, 3)], r"samples\[0\] is a tuple, which input cannot see; .*without labels"),
    ([dvs.Recording(events=LATE, width=5, height=4)], r"samples\[0\] is 5x4, input sees a sensor of 16x9; .*crop"),
    (spike_trains([1], [2] * ms, neurons=5, duration=4 * ms), r"samples\[0\] is a tuple, which input cannot see"),
    ([], "there are no samples; give at least one"),
    (LATE, r"samples are one ndarray, expected several; give a list"),
    ("events.h5", r"samples are one str, expected several"),
    (dvs.Recording(events=LATE, width=16, height=9), r"samples are one Recording, expected several"),
]


@pytest.mark.parametrize(("samples", "message"), wrong_events, ids=[message[:30] for _, message in wrong_events])
def test_events_that_cannot_be_encoded_are_named_with_their_sample(samples, message):
    with pytest.raises(InputError, match=message):
        encode(samples, EventInput(width=16, height=9, dt=DT, collisions="error"), steps=40, dt=DT)


wrong_spikes = [
    ([([0], [3])], r"samples\[0\] has times that are not in units of time; give \(i, t\), such as"),
    ([([0], [3] * mV)], r"samples\[0\] has times that are not in units of time"),
    ([([0, 1], [3] * ms)], r"samples\[0\] has int64 neuron numbers of shape \(2,\) and times of shape \(1,\)"),
    ([([0.5], [3] * ms)], r"samples\[0\] has float64 neuron numbers"),
    ([([0, 5], [3, 3] * ms)], r"samples\[0\] has spikes of neurons 0 to 5, expected 0 to 4 of fed"),
    ([([0], [-3] * ms)], r"samples\[0\] has a spike at -0.003 s; count times from the beginning"),
    ([([2, 1, 2], [3.2, 3.1, 3] * ms)], r"samples\[0\]: neuron 2 of fed spikes more than once in step 3 of 1. ms; use"),
    ([LATE], r"samples\[0\] is an array of \[.*, which fed cannot be told; .*events need an EventInput"),
    ([[0, 1]], r"samples\[0\] is a list, which fed cannot be told"),
    ([np.zeros((4, 5), complex)], r"samples\[0\] is an array of complex128, which fed cannot be told"),
    ([np.zeros((4, 5)) * mV], r"samples\[0\] is an array of float64, which fed cannot be told; .*plain numbers"),
    ([np.zeros((4, 5)), np.zeros((3, 5))], r"samples\[1\] has shape \(3, 5\), expected \(4, 5\)"),
    (np.zeros((2, 4, 6)), r"samples\[0\] has shape \(4, 6\), expected \(4, 5\)"),
    (np.arange(40).reshape(2, 4, 5), r"samples\[0\] says 2 of neuron 2 in step 0, expected 0 or 1; give floats"),
    (np.where(np.arange(40) == 26, np.nan, 1).reshape(2, 4, 5), r"samples\[1\] says nan of neuron 1 in step 1, .*fini"),
    (np.zeros((0, 4, 5)), "there are no samples"),
]


@pytest.mark.parametrize(("samples", "message"), wrong_spikes, ids=[message[:30] for _, message in wrong_spikes])
def test_spikes_that_cannot_be_encoded_are_named_with_their_sample(samples, message):
    with pytest.raises(InputError, match=message):
        encode(samples, b2.SpikeGeneratorGroup(5, [], [] * ms, name="fed"), steps=4, dt=DT)


def test_steps_and_an_input_are_needed():
    with pytest.raises(ParameterError, match=r"steps is 0 and dt 1\. ms, expected 1 or more steps"):
        encode([LATE], eye(), steps=0, dt=DT)
    with pytest.raises(InputError, match="the input is a Clock, expected an EventInput or a group that spikes"):
        encode([LATE], b2.Clock(DT), steps=4, dt=DT)
