"""Events into Brian2: what arrives, when, and what happens to two events in one step."""

import brian2 as b2
import numpy as np
import pytest
from brian2 import ms, us

import dvs
from dvs.errors import InputError, ParameterError
from dvs.scenes import moving_bar
from snn.drive import Drive
from snn.inputs import EventInput, event_input

WIDTH, HEIGHT = 8, 6


def random_events(seed, count, *, width=WIDTH, height=HEIGHT, span_us=50_000):
    rng = np.random.default_rng(seed)
    return dvs.make_events(
        rng.integers(0, width, count), rng.integers(0, height, count),
        np.sort(rng.integers(0, span_us, count)), rng.integers(0, 2, count),
    )  # fmt: skip


def played(eye, duration):
    """(steps, neurons) of the spikes that Brian2 itself recorded."""
    monitor = b2.SpikeMonitor(eye.group)
    b2.Network(eye.group, monitor).run(duration)
    return np.rint(monitor.t / eye.group.clock.dt).astype(int), np.array(monitor.i)


def cells(events, *, dt_us=1000, width=WIDTH, height=HEIGHT):
    """(step, neuron) of each event by the definition: the step that contains it, (p * H + y) * W + x."""
    neuron = (events["p"].astype(int) * height + events["y"]) * width + events["x"]
    return np.stack([events["t"] // dt_us, neuron], axis=1)


def test_every_event_arrives_in_its_step_at_its_pixel_and_polarity():
    """With one event a cell, spikes are the events: sorted by (step, neuron), nothing more and nothing less."""
    expected = np.unique(cells(random_events(1, 500)), axis=0)
    events = dvs.make_events(
        expected[:, 1] % WIDTH,
        expected[:, 1] // WIDTH % HEIGHT,
        expected[:, 0] * 1000,
        expected[:, 1] // (WIDTH * HEIGHT),
    )
    eye = EventInput(width=WIDTH, height=HEIGHT, dt=1 * ms)
    eye.show(events)
    np.testing.assert_array_equal(np.stack(played(eye, 60 * ms), axis=1), expected)
    assert eye.dropped == 0


def test_the_neurons_know_where_they_look():
    eye = EventInput(width=WIDTH, height=HEIGHT)
    p, y, x = (np.array(getattr(eye.group, name)) for name in "pyx")
    np.testing.assert_array_equal((p * HEIGHT + y) * WIDTH + x, np.arange(2 * HEIGHT * WIDTH))


@pytest.mark.parametrize("target", ["numpy", pytest.param("cython", marks=pytest.mark.slow)])
@pytest.mark.parametrize("collisions", ["first", "count", "spread"])
def test_events_are_conserved_under_each_policy(collisions, target):
    """Spikes + dropped = events for "first"; counts add up for "count"; spikes = events for "spread"."""
    b2.prefs.codegen.target = target
    events = random_events(2, 4000)
    eye = EventInput(width=WIDTH, height=HEIGHT, dt=1 * ms, collisions=collisions)
    eye.show(events)
    sink = b2.NeuronGroup(1, "n : 1")
    synapses = b2.Synapses(eye.group, sink, on_pre="n_post += count_pre" if collisions == "count" else "n_post += 1")
    synapses.connect()
    monitor = b2.SpikeMonitor(eye.group)
    b2.Network(eye.group, sink, synapses, monitor).run(200 * ms)
    occupied = len(np.unique(cells(events), axis=0))
    if collisions == "spread":
        assert monitor.num_spikes == sink.n[0] == events.size
    else:
        assert monitor.num_spikes == occupied
        assert sink.n[0] == (events.size if collisions == "count" else occupied)
    assert eye.dropped == (events.size - occupied if collisions == "first" else 0)


def test_spread_moves_the_later_event_to_the_next_free_step_and_no_further():
    """Three events of a pixel in step 0 and one in step 1 are spikes of steps 0, 1, 2, 3."""
    eye = EventInput(width=WIDTH, height=HEIGHT, dt=1 * ms, collisions="spread")
    eye.show(dvs.make_events([0] * 4, [0] * 4, [0, 1, 2, 1000], [1] * 4))
    assert played(eye, 10 * ms)[0].tolist() == [0, 1, 2, 3]


def test_a_collision_is_named_with_its_pixel_and_the_way_out():
    eye = EventInput(width=16, height=9, dt=1 * ms)
    eye.show(dvs.make_events([3, 12, 12, 12, 4], [7, 7, 7, 7, 0], [1, 20_000, 20_010, 20_900, 30_000], [0, 1, 1, 1, 1]))
    with pytest.raises(InputError, match=r"pixel \(12, 7\) has 3 ON events in the 1000 us step 20; .*'first'"):
        played(eye, 40 * ms)


def test_two_events_of_a_pixel_with_another_event_between_them_are_noticed():
    """Brian2's own check looks at neighbours only, and overflows its memory where that does not help."""
    eye = EventInput(width=2, height=1, dt=1 * ms, polarity="merge", collisions="first")
    eye.show(dvs.make_events([0, 1] * 1000, [0] * 2000, np.arange(2000) // 4, [1] * 2000))
    steps, neurons = played(eye, 5 * ms)
    assert steps.tolist() == [0, 0]
    assert neurons.tolist() == [0, 1]


def test_polarities_are_split_merged_or_chosen():
    events = dvs.make_events([0, 1, 2], [0, 0, 0], [0, 1000, 2000], [0, 1, 0])
    seen = {}
    for polarity in ("split", "merge", "on", "off"):
        eye = EventInput(width=4, height=1, dt=1 * ms, polarity=polarity, name=f"input_{polarity}")
        eye.show(events)
        seen[polarity] = (eye.shape[0], played(eye, 4 * ms)[1].tolist())
    assert seen == {"split": (2, [0, 5, 2]), "merge": (1, [0, 1, 2]), "on": (1, [1]), "off": (1, [0, 2])}


def test_a_region_is_cut_out_and_pooled():
    """roi (2, 1, 5, 4) pooled by 2 has 3 x 2 neurons; pixel (6, 4) is the last of them, (1, 1) is outside."""
    eye = EventInput(width=WIDTH, height=HEIGHT, dt=1 * ms, polarity="merge", roi=(2, 1, 5, 4), pool=2)
    eye.show(dvs.make_events([1, 2, 6, 3], [1, 1, 4, 2], [0, 1000, 2000, 3000], [1] * 4))
    assert eye.shape == (1, 2, 3)
    assert list(zip(*(column.tolist() for column in played(eye, 5 * ms)), strict=True)) == [(1, 0), (2, 5), (3, 0)]


def test_a_recording_can_be_delayed_sped_up_and_repeated():
    """An event 4 ms into a 10 ms recording, at twice the speed, three times, from 20 ms on: 22, 27, 32 ms."""
    events = dvs.make_events([0], [0], [104_000], [1])
    recording = dvs.Recording(events=events, width=1, height=1, start_us=100_000, stop_us=110_000)
    eye = event_input(recording, dt=1 * ms, start=20 * ms, speed=2, repeat=3)
    assert played(eye, 50 * ms)[0].tolist() == [22, 27, 32]


def test_for_ever_is_as_long_as_the_run():
    recording = dvs.Recording(events=dvs.make_events([0], [0], [0], [1]), width=1, height=1, stop_us=10_000)
    eye = event_input(recording, dt=1 * ms, repeat=None)
    assert played(eye, 95 * ms)[0].tolist() == list(range(0, 95, 10))


@pytest.mark.parametrize("dt", [0.1 * ms, 0.3 * ms, 0.7 * ms, 1 * ms / 3])
def test_an_event_on_the_edge_of_a_step_belongs_to_the_step_that_begins(dt):
    """Rounding must not move it: k * dt in floating point is often a hair below the edge."""
    steps = np.arange(1, 2000, 7)
    edges_us = np.ceil(steps * float(dt / us) - 1e-6).astype(int)  # the first whole microsecond of each step
    eye = EventInput(width=1, height=1, dt=dt)
    eye.show(dvs.make_events(0 * steps, 0 * steps, edges_us, 0 * steps))
    np.testing.assert_array_equal(played(eye, 2000 * dt)[0], steps)


@pytest.mark.parametrize("name", ["r.h5", "r.npz"])
def test_a_file_is_seen_as_the_recording_in_it(tmp_path, name):
    events = random_events(3, 2000)
    recording = dvs.Recording(events=events, width=WIDTH, height=HEIGHT, stop_us=50_000)
    dvs.write(tmp_path / name, recording)
    seen = []
    for source in (recording, tmp_path / name):
        eye = event_input(source, dt=1 * ms, collisions="first", name=f"input_{len(seen)}")
        seen.append(np.stack(played(eye, 60 * ms)))
    np.testing.assert_array_equal(*seen)


def test_a_live_emulator_is_seen_as_its_recording():
    scene = moving_bar(width=WIDTH, height=HEIGHT, speed_px_s=200)
    whole = dvs.emulate(scene, seed=1)
    eye = EventInput(width=WIDTH, height=HEIGHT, collisions="count", name="whole")
    eye.show(whole)
    live = EventInput(width=WIDTH, height=HEIGHT, collisions="count", name="live")
    live.show(dvs.stream(scene, dvs.Settings(sensor=dvs.load_sensor("ideal"), seed=1), chunk_frames=1))
    duration = (whole.duration_s * 1000 + 1) * ms
    np.testing.assert_array_equal(np.stack(played(eye, duration)), np.stack(played(live, duration)))
    assert len(whole) > 0


def test_the_world_that_is_watched_may_depend_on_the_network():
    """A lamp is switched on by a neuron's spike at 20 ms. The frame of 30 ms is the first to show it; the events of
    the interval before, 20 to 30 ms, arrive one frame later, from 30 to 40 ms: the network sees its own deed.
    The frame interval is 10 ms, one pixel brightens by exp(1), five thresholds of 0.2: five ON events.
    """
    alarm = b2.NeuronGroup(1, "", threshold="abs(t - 20*ms) < 0.01*ms", reset="")
    fired = b2.SpikeMonitor(alarm)
    asked = []

    def see(t):
        asked.append(round(float(t / ms)))
        return np.full((1, 1), 0.1 * np.exp(1 + 1e-6) if fired.num_spikes else 0.1)

    eye = EventInput(width=1, height=1, collisions="spread")
    sensor = dvs.load_sensor("ideal")
    eye.watch(see, dvs.Settings(sensor=sensor, dark_offset=1e-9), every=10 * ms)
    monitor = b2.SpikeMonitor(eye.group)
    b2.Network(alarm, fired, eye.group, monitor).run(60 * ms)
    assert asked == [0, 10, 20, 30, 40, 50]
    assert np.array(monitor.i).tolist() == [1] * 5
    # The luminance rises along a straight line in log light: a crossing every 2 ms.
    np.testing.assert_allclose(monitor.t / ms, [32, 34, 36, 38, 40], atol=0.11)


def test_a_restored_network_sees_the_recording_again():
    eye = EventInput(width=WIDTH, height=HEIGHT, dt=1 * ms, collisions="first")
    eye.show(random_events(4, 1000))
    monitor = b2.SpikeMonitor(eye.group)
    network = b2.Network(eye.group, monitor)
    network.store()
    network.run(60 * ms)
    first = np.array(monitor.i)
    network.restore()
    network.run(60 * ms)
    np.testing.assert_array_equal(np.array(monitor.i), first)


def test_what_is_shown_in_the_middle_of_a_run_begins_there():
    eye = EventInput(width=1, height=1, dt=1 * ms)
    monitor = b2.SpikeMonitor(eye.group)
    network = b2.Network(eye.group, monitor)
    network.run(10 * ms)
    eye.show(dvs.make_events([0], [0], [3000], [1]))
    network.run(10 * ms)
    np.testing.assert_allclose(monitor.t / ms, [13])


def test_memory_does_not_grow_with_the_recording(tmp_path):
    """What Python allocates for ten times the events is no more than twice as much: they are read in blocks."""
    import tracemalloc

    peaks = []
    for count in (300_000, 3_000_000):
        path = tmp_path / f"{count}.h5"
        events = random_events(5, count, width=128, height=128, span_us=count // 10)
        dvs.write(path, dvs.Recording(events=events, width=128, height=128))
        eye = event_input(path, dt=1 * ms, collisions="first", name=f"input_{count}")
        network = b2.Network(eye.group)
        network.run(1 * ms)
        tracemalloc.start()
        network.run(count // 10_000 * ms)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


@pytest.mark.slow
def test_two_thousand_random_recordings_do_no_harm_and_lose_nothing():
    """Dense, colliding, unsorted, off the sensor: refused with one error, or conserved to the last event."""
    rng = np.random.default_rng(6)
    eyes, drives, sinks = [], [], []
    for collisions, polarity in (("first", "split"), ("count", "merge"), ("spread", "split")):
        eye = EventInput(
            width=5, height=4, dt=1 * ms, collisions=collisions, polarity=polarity, name=f"fuzz_{collisions}"
        )
        sink = b2.NeuronGroup(1, "n : 1", dt=1 * ms)
        synapses = b2.Synapses(eye.group, sink, on_pre="n += count_pre" if collisions == "count" else "n += 1")
        synapses.connect()
        drives.append(Drive(b2.Network(eye.group, sink, synapses), {}))
        eyes.append(eye)
        sinks.append(sink)
    refused = 0
    for number in range(2000):
        eye, drive, sink = (things[number % 3] for things in (eyes, drives, sinks))
        count = int(rng.integers(0, 60))
        t = rng.integers(0, 10 ** rng.integers(1, 5), count)
        t = t if rng.random() < 0.1 else np.sort(t)
        x = rng.integers(0, 5 + (rng.random() < 0.1), count)
        events = dvs.make_events(x, rng.integers(0, 4, count), t, rng.integers(0, 2, count))
        drive.reset()
        if (np.diff(t) < 0).any() or (x > 4).any():
            with pytest.raises(InputError):
                eye.show(events)
            refused += 1
            continue
        eye.show(events)
        most_in_a_cell = np.bincount(x + 5 * events["y"]).max() if count else 0
        drive.advance((t.max(initial=0) // 1000 + 1 + most_in_a_cell) * ms)
        assert sink.n[0] + eye.dropped == count
    assert 100 < refused < 600


def test_what_cannot_be_shown_is_said_in_one_line():
    eye = EventInput(width=4, height=3, dt=1 * ms)
    one = dvs.make_events([0], [0], [5], [1])
    early = dvs.make_events([0, 0], [0, 0], [-5, 5], [1, 1])
    cases = [
        (InputError, lambda: eye.show(dvs.Recording(events=one, width=8, height=6)), "8x6, input sees a sensor of 4x3"),
        (InputError, lambda: eye.show(dvs.make_events([4], [0], [5], [1])), r"x = 4, outside the 4x3 sensor"),
        (InputError, lambda: eye.show(dvs.make_events([0, 0], [0, 0], [5, 4], [1, 1])), "before the event in front"),
        (InputError, lambda: eye.show(early), "first event is at -5 us, before start_us = 0"),
        (InputError, lambda: eye.feed(one, 0 * ms), "events are at 5 to 5 us, expected 0 to 0 us"),
        (InputError, lambda: eye.show("nowhere.h5"), "nowhere.h5 cannot be opened"),
        (InputError, lambda: eye.show(dvs.Recording(events=one[:0], width=4, height=3), repeat=2), "no duration"),
        (InputError, lambda: event_input(one), "has no sensor size"),
        (ParameterError, lambda: eye.show(one, speed=0), "speed is 0, expected a number above 0"),
        (ParameterError, lambda: eye.show(one, start=-1 * ms), "what is past cannot be shown"),
        (ParameterError, lambda: eye.show(one, repeat=0), "repeat is 0, expected 1 or more"),
        (ParameterError, lambda: eye.show(iter([one]), repeat=2), "a live source is seen once"),
        (ParameterError, lambda: EventInput(width=4, height=3, polarity="both"), "polarity is 'both', expected one of"),
        (ParameterError, lambda: EventInput(width=4, height=3, collisions="last"), "collisions is 'last', expected"),
        (ParameterError, lambda: EventInput(width=4, height=3, roi=(2, 0, 3, 3)), "leaves the 4x3 sensor"),
        (ParameterError, lambda: EventInput(width=4, height=3, pool=0), "pool is 0"),
        (ParameterError, lambda: EventInput(width=0, height=3), "0x3, expected at least 1x1"),
    ]
    for kind, call, message in cases:
        with pytest.raises(kind, match=message):
            call()


def test_a_live_source_is_seen_once_and_in_order():
    first, second = dvs.make_events([0], [0], [5000], [1]), dvs.make_events([0], [0], [4000], [1])
    eye = EventInput(width=1, height=1, dt=1 * ms)
    eye.show(iter([first, second]))
    with pytest.raises(InputError, match="an event at 4000 us after one at 5000 us"):
        b2.Network(eye.group).run(10 * ms)
    again = EventInput(width=1, height=1, dt=1 * ms)
    again.show(iter([second, first]))
    network = b2.Network(again.group)
    network.store()
    network.run(10 * ms)
    network.restore()
    with pytest.raises(InputError, match="a live source cannot be seen again"):
        network.run(10 * ms)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_build")
def test_a_compiled_network_sees_another_recording_without_compiling(tmp_path):
    """Counts of the first recording, then of the second, from the same binary."""
    b2.set_device("cpp_standalone", build_on_run=False)
    eye = EventInput(width=WIDTH, height=HEIGHT, dt=1 * ms, collisions="count")
    sink = b2.NeuronGroup(1, "n : 1")
    synapses = b2.Synapses(eye.group, sink, on_pre="n_post += count_pre")
    synapses.connect()
    spikes = b2.SpikeMonitor(eye.group)
    network = b2.Network(eye.group, sink, synapses, spikes)
    recordings = [random_events(seed, count) for seed, count in ((1, 3000), (2, 1000))]
    eye.show(recordings[0])
    network.run(60 * ms)
    b2.device.build(directory=str(tmp_path), run=False, with_output=False)
    built = (tmp_path / "main").stat().st_mtime_ns
    for events in recordings:
        eye.show(events)
        b2.device.run(with_output=False)
        assert len(spikes.variables["i"].get_value()) == len(np.unique(cells(events), axis=0))
        written = tmp_path / "results" / b2.device.get_array_filename(sink.variables["n"])
        assert np.fromfile(written) == events.size
    assert (tmp_path / "main").stat().st_mtime_ns == built
    with pytest.raises(ParameterError, match="a compiled network cannot call Python"):
        eye.watch(lambda t: None, dvs.Settings(sensor=dvs.load_sensor("ideal")), every=1 * ms)
    with pytest.raises(ParameterError, match="a compiled network runs to its end at once"):
        eye.feed(recordings[0], 60 * ms)
    with pytest.raises(ParameterError, match="give repeat a number"):
        eye.show(dvs.Recording(events=recordings[0], width=WIDTH, height=HEIGHT, stop_us=50_000), repeat=None)
