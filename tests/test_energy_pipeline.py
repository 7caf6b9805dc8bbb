"""From the sensor to the answer: what the camera sends, what an early answer saves, what a network of frames costs."""

import json

import numpy as np
import pytest
from brian2 import SpikeGeneratorGroup, ms

import dvs
import snn
from dvs.errors import InputError, ParameterError
from snn import Dense
from snn.energy import account, anytime, by_class, conv_layer, count, dense_layer, sensed, sensor_of, twin
from snn.energy.frame_network import FrameCounts
from snn.energy.prices import load_prices
from snn.energy.terms import Widths
from snn.neurons import lif


def recording(events, width=346, height=260, duration_us=100_000, provenance=None):
    t_us = np.linspace(0, duration_us - 1, events).astype(np.int64)
    made = dvs.make_events(np.zeros(events, int), np.zeros(events, int), t_us, np.ones(events, int))
    return dvs.Recording(events=made, width=width, height=height, stop_us=duration_us, provenance=provenance or {})


def test_an_event_is_a_column_a_row_and_a_polarity():
    """346 columns need 9 bits, 260 rows 9, ON or OFF one: 19."""
    found = sensed([recording(10), recording(3)])
    assert (found.events.tolist(), found.bits_per_event) == ([10, 3], 19)
    assert sensed([recording(10)], bits_per_event=64).bits_per_event == 64


def test_a_camera_that_was_watched_for_longer_than_the_network_is_refused(seen):
    """100 events in 100 ms, of which the network saw the 50 of the first 50 ms."""
    network, responses = seen
    watched = [recording(100)] * 3
    with pytest.raises(ParameterError, match=r"watched for 0\.1 s, the network for 0\.05 s"):
        count(network, responses, duration=50 * ms, sensor=sensed(watched))
    with pytest.raises(ParameterError, match="in 2 samples, the network in 3"):
        count(network, responses, sensor=sensed(watched[:2]))
    counts = count(network, responses, duration=50 * ms, sensor=sensed(watched, duration=50 * ms))
    assert counts.sensor.events.tolist() == [50, 50, 50]


def test_recordings_of_two_sensors_are_not_added():
    with pytest.raises(InputError, match="sensors of"):
        sensed([recording(1), recording(1, width=128, height=128)])


def test_the_sensor_comes_with_the_file(tmp_path):
    """What `convert-video` writes beside the events says which camera it was, and what that draws."""
    settings = dvs.Settings(sensor=dvs.load_sensor("davis346"))
    path = tmp_path / "events.h5"
    dvs.write(path, recording(5, provenance={"program": "microsaccade", **settings.to_dict()}))
    assert sensor_of(path) == dvs.load_sensor("davis346")
    assert sensed([path]).sensor == "davis346"
    assert sensor_of(recording(1)) is None


@pytest.fixture
def seen():
    """Two classes: of two inputs, the one of the class spikes every 10 ms, and drives the output of its class."""
    source = SpikeGeneratorGroup(2, [], [] * ms, dt=1 * ms, name="source")
    network = snn.feedforward(source, [Dense(2, lif(), weights=1.5 * np.eye(2))], seed=0)
    labels = np.array([0, 1, 0])

    def show(label):
        source.set_spikes(label * 10, np.arange(5, 105, 10) * ms)

    samples = [[label] for label in labels]
    responses = snn.run(network, samples, input=show, duration=100 * ms, record="all", progress=False, labels=labels)
    return network, responses


def test_an_early_answer_costs_the_events_until_then(seen):
    """A spike every 10 ms to two synapses: after 20, 50 and 100 ms 4, 10 and 20 operations of 23.6 pJ; before the first
    spike the answer is a coin's.
    """
    network, responses = seen
    curve = anytime(
        network, responses, responses.spikes["layer1"], responses.labels, "loihi1", times=[2, 20, 50, 100] * ms
    )
    assert curve.accuracy.tolist() == [0.5, 1, 1, 1]
    operations = [
        sum(line.joules for line in one.lines if line.term == "synaptic_operations") for one in curve.accounts
    ]
    assert operations == pytest.approx([0, 4 * 23.6e-12, 10 * 23.6e-12, 20 * 23.6e-12])
    assert [one.time_s for one in curve.accounts] == pytest.approx([0.002, 0.02, 0.05, 0.1])
    assert (np.diff(curve.joules) > 0).all()
    assert curve.reaches(0.9) is curve.accounts[1]
    assert curve.reaches(1.1) is None
    ax = curve.plot()
    assert [text.get_text() for text in ax.texts] == ["2 ms", "20 ms", "50 ms", "100 ms"]
    assert ax.get_xlabel() == "energy of an inference (≥ mJ)"


def test_an_early_answer_saves_the_sensors_events_too(seen):
    network, responses = seen
    curve = anytime(
        network, responses, responses.spikes["layer1"], responses.labels, "loihi1", times=[50, 100] * ms,
        recordings=[recording(100)] * 3, sensor=dvs.load_sensor("davis346"),
    )  # fmt: skip
    events = [line.per_inference for one in curve.accounts for line in one.lines if line.term == "sensor_events"]
    assert events == pytest.approx([50, 100], abs=1)


def test_times_outside_the_samples_are_refused(seen):
    network, responses = seen
    with pytest.raises(ParameterError, match="times are"):
        anytime(network, responses, responses.spikes["layer1"], responses.labels, "loihi1", times=[101] * ms)


def test_classes_add_up_to_the_whole(seen):
    """The mean over samples is the mean over classes, each as often as it came."""
    network, responses = seen
    counts = count(network, responses)
    classes = by_class(counts, "loihi1")
    assert list(classes) == [0, 1]
    mean = sum((responses.labels == label).mean() * one.total.joules for label, one in classes.items())
    assert mean == pytest.approx(account(counts, "loihi1").total.joules)
    with pytest.raises(InputError, match="one label for each sample"):
        by_class(counts, "loihi1", [0, 1])


def test_a_network_of_frames_is_counted_by_its_shapes():
    """Conv 3x3, 1 to 4, on 10x10: 8x8x4 outputs of 9 = 2304 MACs, 40 weights; dense 256 to 10: 2560 MACs."""
    layers = (conv_layer("conv", (1, 10, 10), 4, 3), dense_layer("dense", 256, 10))
    counts = FrameCounts(name="cnn", layers=layers, duration_s=0.033, samples=5, pixels=100)
    assert counts.macs == 2304 + 2560
    charges = {(one.term, one.where): one for one in counts.charges(Widths(weight=8))}
    assert charges["macs", "conv"].total == 5 * 2304
    assert charges["weight_read_bits", "conv"].total == 5 * 2304 * 8
    assert charges["weight_read_bits", "conv"].memory_bits == 40 * 8
    assert charges["state_write_bits", "dense"].total == 5 * 10 * 8
    assert charges["sensor_bits", "frames"].total == 5 * 100 * 8
    reused = FrameCounts(name="cnn", layers=layers, duration_s=0.033, reuse=16)
    fetched = {one.where: one.total for one in reused.charges(Widths(weight=8)) if one.term == "weight_read_bits"}
    assert fetched == {"conv": 2304 // 16 * 8, "dense": 2560 // 16 * 8}


def test_a_measured_device_prices_a_network_of_frames():
    """The CPU of the keyword-spotting benchmark: 36.5 nJ a MAC, 6.3 mJ for 172800 of them."""
    layers = (dense_layer("a", 390, 256), dense_layer("b", 256, 256), dense_layer("c", 256, 29))
    counts = FrameCounts(name="keywords", layers=layers, duration_s=1e-3)
    made = account(counts, "cpu", boundary=["network"])
    assert made.dynamic.joules == pytest.approx(6.3e-3, rel=0.01)
    assert made.break_even is None


def test_the_twin_has_the_synapses_and_weighs_each_once(seen):
    network, responses = seen
    counts = count(network, responses)
    frames = twin(counts)
    assert frames.macs == counts.twin_macs == 4
    # Of each sample one input was active, and its two weights are 1.5 and 0.
    assert counts.twin_effective_macs.tolist() == [1, 1, 1]
    assert json.dumps(account(frames, load_prices("generic-45nm-int8")).to_dict())
