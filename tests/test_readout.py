"""The bus: what it keeps, what it delays, what it drops, by the arithmetic of queues."""

import math

import numpy as np
import pytest

from dvs.events import EventArray, make_events
from dvs.readout import Bus, idle_bus, is_instant, transfer
from dvs.sensors import Sensor

WIDTH, HEIGHT = 20, 10
ARBITER = Sensor(readout="row-arbiter", bus_mev_s=2.0, row_us=3.0)
SCAN = ARBITER.with_(readout="row-scan")


def traffic(count: int, duration_us: int, *, seed: int = 0) -> EventArray:
    """Events at random pixels and times."""
    rng = np.random.default_rng(seed)
    columns = (rng.integers(0, size, count) for size in (WIDTH, HEIGHT))
    return make_events(*columns, np.sort(rng.integers(0, duration_us, count)), rng.integers(0, 2, count))


def sent(sensor: Sensor, events: EventArray, *, seed: int = 0) -> tuple[EventArray, Bus]:
    return transfer(sensor, idle_bus(), events, math.inf, width=WIDTH, height=HEIGHT, seed=seed)


def test_without_a_bus_and_without_latency_nothing_changes() -> None:
    events = traffic(500, 1000)
    assert is_instant(Sensor())
    assert sent(Sensor(), events)[0].tobytes() == events.tobytes()


def test_latency_shifts_every_event() -> None:
    events = traffic(500, 1000)
    output, _ = sent(Sensor(latency_us=30.0), events)
    assert (output["t"] == events["t"] + 30).all()


def test_jitter_scatters_events_around_their_latency_and_keeps_them_sorted() -> None:
    """Normal, sd 20 us: 20 000 draws know the mean to 0.14 us and the sd to 0.1 us. A seed repeats itself."""
    rng = np.random.default_rng(1)
    number = np.arange(20_000)
    # A millisecond apart, so that none overtakes another.
    events = make_events(number % WIDTH, number % HEIGHT, number * 1000, rng.integers(0, 2, number.size))
    sensor = Sensor(latency_us=100.0, jitter_us=20.0)
    output, _ = sent(sensor, events)
    delays_us = output["t"] - events["t"]
    assert delays_us.mean() == pytest.approx(100, abs=4 * 0.14)
    assert delays_us.std() == pytest.approx(20, abs=4 * 0.1)
    assert (np.diff(sent(sensor, traffic(5000, 10_000))[0]["t"]) >= 0).all()
    assert sent(sensor, events)[0].tobytes() == output.tobytes() != sent(sensor, events, seed=1)[0].tobytes()


def test_an_event_alone_waits_for_its_row_and_its_place_on_the_bus() -> None:
    """3 us to select the row and 1 / 2 us to send: from 1000 us on until 1003.5, rounded to even."""
    output, _ = sent(ARBITER, make_events([4], [7], [1000], [1]))
    assert output["t"].tolist() == [1004]


def test_an_arbiter_serves_the_row_that_has_waited_longest_and_all_of_it_at_once() -> None:
    """A row takes 3.25 us, an event 0.5 us; what asks for a row during its own burst goes to the end."""
    together = make_events([0, 9, 3], [2, 2, 5], [1000, 1000, 1000], [1, 1, 0])
    output, _ = sent(ARBITER.with_(row_us=3.25), together)
    assert output["y"].tolist() == [2, 2, 5]
    assert (np.abs(output["t"] - 1000 - np.array([3.75, 4.25, 8.0])) <= 0.5).all()

    one_by_one = make_events([0, 3, 9, 4], [2, 5, 2, 1], [1000, 1001, 1002, 1003], [1, 1, 0, 1])
    output, _ = sent(ARBITER.with_(row_us=3.25), one_by_one)
    assert output["y"].tolist() == [2, 5, 2, 1]
    assert (np.abs(output["t"] - 1000 - np.array([3.75, 7.5, 11.25, 15.0])) <= 0.5).all()


def test_a_scan_visits_rows_in_turn() -> None:
    """From row 0 on, 3 us a row: row 6 is reached after 7 of them; row 2 has to wait for the next round."""
    events = make_events([1, 1], [6, 2], [1000, 1010], [1, 1])
    output, _ = sent(SCAN, events)
    assert output["y"].tolist() == [6, 2]
    # Between them: 0.5 us for the event, then rows 7, 8, 9, 0, 1 and 2.
    assert (np.abs(output["t"] - 1000 - np.array([21.5, 40.0])) <= 0.5).all()


@pytest.mark.parametrize("sensor", [ARBITER, SCAN])
def test_the_events_of_a_pixel_keep_their_order(sensor: Sensor) -> None:
    """On a bus with room nothing is lost, and ON and OFF of a pixel leave in the order in which they came."""
    events = traffic(2000, 1_000_000)
    output, bus = sent(sensor, events)
    assert bus.dropped == 0
    assert (np.diff(output["t"]) >= 0).all()
    for x, y in np.ndindex(WIDTH, HEIGHT):
        before, after = (each[(each["x"] == x) & (each["y"] == y)]["p"].tolist() for each in (events, output))
        assert before == after


@pytest.mark.parametrize("sensor", [ARBITER, SCAN])
def test_a_saturated_bus_sends_rows_without_a_pause(sensor: Sensor) -> None:
    """When every pixel asks all the time, a row of 20 takes 3 + 20 / 2 us: 20 / 13 Mev/s."""
    events = traffic(100_000, 10_000)
    output, _ = sent(sensor, events)
    assert output.size / (output["t"][-1] - events["t"][0]) == pytest.approx(20 / 13, rel=0.03)


@pytest.mark.parametrize("sensor", [ARBITER, SCAN])
@pytest.mark.parametrize("queue_us", [math.inf, 50.0])
@pytest.mark.parametrize("count", [300, 30_000])
def test_every_event_is_either_sent_or_counted_as_dropped(sensor: Sensor, queue_us: float, count: int) -> None:
    events = traffic(count, 10_000)
    output, bus = sent(sensor.with_(bus_queue_us=queue_us), events)
    assert output.size + bus.dropped == count
    assert bus.waiting.size == bus.delayed.size == 0


def test_a_pixel_that_waits_for_the_bus_sees_nothing_further() -> None:
    """Row 9 has the bus until 1002.5; until then row 3 waits, and loses its second event, not the third."""
    events = make_events([0, 5, 5, 5], [9, 3, 3, 3], [999, 1000, 1002, 1010], [1, 1, 0, 1])
    output, bus = sent(ARBITER, events)
    assert output[output["y"] == 3]["p"].tolist() == [1, 1]
    assert bus.dropped == 1


@pytest.mark.parametrize("sensor", [ARBITER, SCAN])
def test_nothing_is_sent_that_has_waited_too_long(sensor: Sensor) -> None:
    """One event from each of 200 pixels within 20 us is more than 70 us can carry.

    An event that is sent had waited for 50 us at most when its turn came, and took 0.5 us.
    """
    pixel = np.random.default_rng(2).permutation(200)
    events = make_events(pixel % WIDTH, pixel // WIDTH, np.sort(pixel % 20), np.ones(200, int))
    output, bus = sent(sensor.with_(bus_queue_us=50.0), events)
    born = np.zeros((HEIGHT, WIDTH), np.int64)
    born[events["y"], events["x"]] = events["t"]
    delays_us = output["t"] - born[output["y"], output["x"]]
    assert delays_us.max() <= 51
    assert bus.dropped > 50
    assert output.size + bus.dropped == 200


@pytest.mark.parametrize("sensor", [ARBITER, SCAN, ARBITER.with_(bus_queue_us=30.0), Sensor(latency_us=5.0)])
@pytest.mark.parametrize("jitter_us", [0.0, 7.0])
@pytest.mark.parametrize("count", [100, 2000, 20_000])
def test_the_output_does_not_depend_on_how_the_input_was_cut(sensor: Sensor, jitter_us: float, count: int) -> None:
    """Told in pieces what was fired until when, the bus sends the same events at the same times."""
    sensor = sensor.with_(latency_us=20.0, jitter_us=jitter_us)
    events = traffic(count, 10_000, seed=count)
    whole, at_the_end = sent(sensor, events)
    cuts_us = np.sort(np.random.default_rng(3).uniform(0, 10_000, 40))
    bus, pieces, first = idle_bus(), [], 0
    for until_us in [*cuts_us, math.inf]:
        last = int(np.searchsorted(events["t"], until_us))
        piece, bus = transfer(sensor, bus, events[first:last], until_us, width=WIDTH, height=HEIGHT, seed=0)
        pieces.append(piece)
        first = last
    assert np.concatenate(pieces).tobytes() == whole.tobytes()
    assert bus.dropped == at_the_end.dropped
    assert sum(piece.size > 0 for piece in pieces) > 10
