"""The bus: how events leave the sensor, one after the other.

A pixel that fires waits its latency (with jitter) and then asks for the bus. Two kinds are modelled:

* `row-arbiter`: word-serial address events (Boahen 2004, "A burst-mode word-serial
  address-event link", IEEE TCAS-I): the row that has asked for longest is granted, and all
  its waiting events leave as one burst;
* `row-scan`: rows are visited in turn, whether or not they have events (Son et al. 2017,
  ISSCC; Finateu et al. 2020, ISSCC).

Each row costs `row_us`, each event 1 / `bus_mev_s`. An event that waited longer than
`bus_queue_us` is dropped, and a pixel that still waits to be fetched makes no further event, so that no
more than one event a pixel is ever under way. The time stamp is that of leaving the sensor: a saturated bus shows
as events that are late, or missing.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from dvs.draws import normal
from dvs.events import EventArray, empty_events, join_events
from dvs.ordering import sorted_by_time
from dvs.sensors import Sensor

WIDEST_JITTER = 4.0
"""Jitter is cut off at this many standard deviations, so that a sorted stream stays possible."""

_DRAW_JITTER = 1 << 50


@dataclass(frozen=True, kw_only=True)
class Bus:
    """Events under way: not yet asking (their latency runs), and asking but not yet sent."""

    delayed: EventArray
    waiting: EventArray
    free_us: float = -math.inf
    row: int = 0
    dropped: int = 0


def idle_bus() -> Bus:
    """A bus with nothing to do."""
    return Bus(delayed=empty_events(), waiting=empty_events())


def is_instant(sensor: Sensor) -> bool:
    """Whether events leave the moment they happen, so that there is nothing to model."""
    return sensor.readout == "none" and sensor.latency_us == 0 and sensor.jitter_us == 0


def transfer(
    sensor: Sensor, bus: Bus, events: EventArray, until_us: float, *, width: int, height: int, seed: int
) -> tuple[EventArray, Bus]:
    """Events that leave the sensor once those fired before `until_us` are known, and the bus after.

    `events` are sorted and none is earlier than those of the call before; with `until_us` = inf the bus
    is emptied. What is returned is sorted, also from call to call.
    """
    asking = sorted_by_time(join_events([bus.delayed, _delayed(sensor, events, seed)]))
    # Events still to come fire at until_us or later, and ask no earlier than this.
    horizon_us = until_us + max(0.0, sensor.latency_us - WIDEST_JITTER * sensor.jitter_us)
    split = int(np.searchsorted(asking["t"], horizon_us, side="left"))
    asking, delayed = asking[:split], asking[split:]
    if sensor.readout == "none":
        return asking, replace(bus, delayed=delayed)

    requests = join_events([bus.waiting, asking])
    output, waiting = empty_events(requests.size), empty_events(requests.size)
    sent, left, free_us, row, dropped = _serve(
        requests, width, height, sensor.readout == "row-scan", sensor.row_us, 1.0 / sensor.bus_mev_s,
        sensor.bus_queue_us, bus.free_us, bus.row, horizon_us, output, waiting,
    )  # fmt: skip
    after = Bus(
        delayed=delayed,
        waiting=waiting[:left].copy(),
        free_us=free_us,
        row=row,
        dropped=bus.dropped + dropped,
    )
    return output[:sent], after


def _delayed(sensor: Sensor, events: EventArray, seed: int) -> EventArray:
    if sensor.latency_us == 0 and sensor.jitter_us == 0:
        return events
    delayed = events.copy()
    delayed["t"] += _delays_us(events["x"], events["y"], events["t"], sensor.latency_us, sensor.jitter_us, seed)
    return delayed


@njit(cache=True, nogil=True)
def _delays_us(x, y, t, latency_us, jitter_us, seed):
    """Latency and jitter of each event; the draw is named by the pixel and the time of the event."""
    delays = np.empty(t.size, np.int64)
    for i in range(t.size):
        z = 0.0
        if jitter_us > 0:
            z = normal(seed, (np.int64(y[i]) << 16) | np.int64(x[i]), _DRAW_JITTER + 2 * t[i])
        z = min(max(z, -WIDEST_JITTER), WIDEST_JITTER)
        delays[i] = np.int64(np.rint(max(latency_us + jitter_us * z, 0.0)))
    return delays


@njit(cache=True, nogil=True)
def _serve(
    requests, width, height, scan, row_us, event_us, queue_us, free_us, row, horizon_us, output, waiting
):  # fmt: skip
    """Serve requests (sorted by t) while the bus is free before `horizon_us`.

    What is sent goes to `output`, what is left to `waiting`; returns both numbers, when the bus is free,
    its row, and how many were dropped. Requests of a row are a linked list (`first`, `following`);
    `queue` holds the rows in the order of asking.
    """
    size = requests.size
    first = np.full(height, -1, np.int64)
    last = np.full(height, -1, np.int64)
    following = np.full(size, -1, np.int64)
    queue = np.empty(size, np.int64)
    asks = np.zeros((height, width), np.bool_)
    done = np.zeros(size, np.bool_)
    head = tail = admitted = sent = dropped = pending = 0
    now = free_us
    while admitted < size or pending > 0:
        if pending == 0 and now < requests[admitted].t:
            wait_us = requests[admitted].t - now
            if scan and row_us > 0 and now > -np.inf:
                # The scan goes on over empty rows until the next request.
                visits = math.ceil(wait_us / row_us)
                row = (row + visits) % height
                now += visits * row_us
            else:
                now = float(requests[admitted].t)
        if now >= horizon_us:
            break
        while admitted < size and requests[admitted].t <= now:
            request = requests[admitted]
            if asks[request.y, request.x]:
                # The pixel still waits for its last event to be fetched: it has seen nothing.
                done[admitted] = True
                dropped += 1
            else:
                asks[request.y, request.x] = True
                if first[request.y] < 0:
                    first[request.y] = admitted
                    queue[tail] = request.y
                    tail += 1
                else:
                    following[last[request.y]] = admitted
                last[request.y] = admitted
                pending += 1
            admitted += 1
        if not scan:
            if pending == 0:
                continue
            row = queue[head]
            head += 1
        number = first[row]
        first[row] = -1
        now += row_us
        while number >= 0:
            request = requests[number]
            asks[request.y, request.x] = False
            done[number] = True
            pending -= 1
            if now - request.t > queue_us:
                dropped += 1
            else:
                now += event_us
                output[sent] = request
                output[sent].t = np.int64(np.rint(now))
                sent += 1
            number = following[number]
        if scan:
            row = (row + 1) % height
    left = 0
    for number in range(size):
        if not done[number]:
            waiting[left] = requests[number]
            left += 1
    return sent, left, now, row, dropped
