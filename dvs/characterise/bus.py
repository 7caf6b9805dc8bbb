"""The bus: what comes out of a sensor, and how late, when more and more goes in."""

import math
from dataclasses import dataclass

import numpy as np

from dvs.characterise.bench import JUMP_S, quiet, watch
from dvs.characterise.measurement import Floats, Measurement, Number, curve
from dvs.sensors import Sensor

_EVENTS_PER_PIXEL = 3
_LOADS = np.geomspace(0.03, 3.0, 13)

# A field of whole rows, which are what a bus serves, and of no more pixels than it takes.
_WIDTH, _ROWS, _MOST_PIXELS = 128, 64, 100_000

# Runs shorter than this, in units of the microsecond that time stamps have, show no rate.
_SHORTEST_RUN_US = 10.0

_PROCEDURE = (
    f"{_EVENTS_PER_PIXEL} events from each pixel of up to {_ROWS} rows, ever faster; "
    "instantaneous pixels without blind time, mismatch, leak, noise or jitter"
)


def bus_throughput(sensor: Sensor, *, seed: int = 0, illuminance_lux: float = 1000.0) -> Measurement:
    """Events that leave the sensor, against those that its pixels make, both in millions a second.

    A row of W events takes row_us + W / bus_mev_s, so that at most W / (row_us + W / bus_mev_s) can
    leave. Where events that waited for Q are dropped, a run of length T loses all but
    that rate times T + Q.
    """
    load = _loaded(sensor, seed, illuminance_lux)
    curves, numbers = {}, {}
    if load.note == "":
        capacity = _capacity_mev_s(sensor)
        kept = capacity * (load.events / load.made_mev_s[-1] + sensor.bus_queue_us) / load.events
        curves["rate"] = curve(load.made_mev_s, load.sent_mev_s, theory=np.minimum(load.made_mev_s, capacity))
        numbers["at saturation"] = Number(measured=load.sent_mev_s[-1], theory=capacity, unit="Mev/s")
        numbers["sent at saturation"] = Number(measured=load.sent_share[-1], theory=min(kept, 1.0))
    return Measurement(
        title="Bus throughput",
        procedure=_PROCEDURE,
        x_label="events in (Mev/s)",
        y_label="events out (Mev/s)",
        x_log=True,
        y_log=True,
        curves=curves,
        numbers=numbers,
        note=load.note,
    )


def bus_delay(sensor: Sensor, *, seed: int = 0, illuminance_lux: float = 1000.0) -> Measurement:
    """Time that events wait for the bus on average, against the rate at which pixels make them.

    * Few events: an arbiter that takes s for each is a queue of the kind M/D/1, s + R s^2 / 2 (1 - R s)
      (Pollaczek 1930, Khinchin 1932).
    * More: rows are served in turn, as always in a scan. H rows wait for half a round on average,
      H row_us / 2 (1 - R / bus_mev_s) (Takagi 1988, "Queuing analysis of polling models").
    * Above the capacity C, N events wait for half of the backlog, (N / C - N / R) / 2.

    Not measured where the bus drops events.
    """
    load = _loaded(sensor, seed, illuminance_lux)
    curves, numbers = {}, {}
    if load.note == "":
        rate, capacity = load.made_mev_s, _capacity_mev_s(sensor)
        alone_us = sensor.row_us + 1 / sensor.bus_mev_s
        with np.errstate(divide="ignore"):
            queue_us = np.where(
                rate * alone_us < 1, rate * alone_us**2 / (2 * np.abs(1 - rate * alone_us)), np.inf
            )
            round_us = load.rows * sensor.row_us / (2 * np.maximum(1 - rate / sensor.bus_mev_s, 0.0))
        waits_us = round_us if sensor.readout == "row-scan" else np.minimum(queue_us, round_us)
        backlog_us = (load.events / capacity - load.events / rate) / 2
        theory_us = alone_us + np.where(rate < capacity, waits_us, backlog_us)
        curves["delay"] = curve(rate, load.delay_us, theory=theory_us)
        for name, at in (("at 3 % load", 0), ("at 300 % load", -1)):
            numbers[name] = Number(measured=load.delay_us[at], theory=theory_us[at], unit="us")
    return Measurement(
        title="Bus delay",
        procedure=_PROCEDURE,
        x_label="events in (Mev/s)",
        y_label="mean delay (us)",
        x_log=True,
        curves=curves,
        numbers=numbers,
        note=load.note,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Load:
    """Rates of events made and sent, the share that is sent, and the mean delay; or why there are none."""

    rows: int = 0
    events: int = 0
    made_mev_s: Floats
    sent_mev_s: Floats
    sent_share: Floats
    delay_us: Floats
    note: str = ""


def _capacity_mev_s(sensor: Sensor) -> float:
    if sensor.readout == "none":
        return math.inf
    width = sensor.width or _WIDTH
    row_us = sensor.row_us + width / sensor.bus_mev_s
    return width / row_us if row_us > 0 else math.inf


def _loaded(sensor: Sensor, seed: int, illuminance_lux: float) -> _Load:
    """The sensor under all loads: every pixel fires evenly, and no two at the same moment."""
    capacity = _capacity_mev_s(sensor)
    width = sensor.width or _WIDTH
    rows = min(sensor.height or _ROWS, _ROWS, max(1, _MOST_PIXELS // width))
    events = _EVENTS_PER_PIXEL * width * rows
    made_mev_s = capacity * _LOADS
    sent_mev_s, sent_share, delay_us = (np.full(_LOADS.size, math.nan) for _ in range(3))
    if events / made_mev_s[-1] < _SHORTEST_RUN_US:
        note = (
            "no bus: events leave when they happen"
            if math.isinf(capacity)
            else "the bus is too fast to measure"
        )
        return _Load(
            made_mev_s=made_mev_s, sent_mev_s=sent_mev_s, sent_share=sent_share, delay_us=delay_us, note=note
        )
    bare = quiet(sensor).with_(
        cutoff_hz=math.inf,
        cutoff_max_hz=math.inf,
        theta_sigma=0.0,
        refractory_us=0.0,
        latency_us=0.0,
        jitter_us=0.0,
    )
    start = (np.random.default_rng(seed).permutation(width * rows) + 0.5) / (width * rows)
    light = sensor.theta_on * np.stack([np.zeros_like(start), start, start + _EVENTS_PER_PIXEL])
    for k, rate in enumerate(made_mev_s):
        times_s = [0.0, JUMP_S, JUMP_S + 1e-6 * events / rate]
        made_us, sent_us = (
            watch(
                pixels, times_s, light.reshape(3, rows, width), seed=seed, illuminance_lux=illuminance_lux
            ).events["t"]
            for pixels in (bare, bare.with_(readout=sensor.readout))
        )
        sent_mev_s[k] = sent_us.size / (sent_us[-1] - made_us[0])
        sent_share[k] = sent_us.size / made_us.size
        if sent_us.size == made_us.size:
            delay_us[k] = sent_us.mean() - made_us.mean()
    return _Load(
        rows=rows,
        events=events,
        made_mev_s=made_mev_s,
        sent_mev_s=sent_mev_s,
        sent_share=sent_share,
        delay_us=delay_us,
    )
