"""The bus: what comes out of a sensor, and how late, when more and more goes in."""

import math
from dataclasses import dataclass

import numpy as np

from dvs.characterise.bench import JUMP_S, LARGEST_LN, quiet, watch
from dvs.characterise.measurement import Floats, Measurement, Number, curve
from dvs.events import EventArray
from dvs.sensors import Sensor

_LOADS = np.geomspace(0.03, 3.0, 12)
_MOST_EVENTS_PER_PIXEL = 12

# A field of whole rows, which are what a bus serves, and of no more pixels than it takes.
_WIDTH, _ROWS, _MOST_PIXELS = 128, 64, 20_000

# Shorter runs, in units of the microsecond that time stamps have, show no rate.
_SHORTEST_RUN_US = 10.0

_PROCEDURE = (
    f"the pixels of up to {_ROWS} rows fire evenly, ever faster; "
    "instantaneous pixels without blind time, mismatch, leak, noise or jitter"
)


def bus_throughput(sensor: Sensor, *, seed: int = 0, illuminance_lux: float = 1000.0) -> Measurement:
    """Events that leave the sensor, against those that its pixels make, both in millions a second.

    A row of W events takes row_us + W / bus_mev_s, and a pixel that waits makes no further event: so
    at most W / (row_us + W / bus_mev_s) can leave.
    """
    load = _loaded(sensor, seed, illuminance_lux)
    curves, numbers = {}, {}
    if load.note == "":
        capacity = _capacity_mev_s(sensor)
        curves["rate"] = curve(load.made_mev_s, load.sent_mev_s, theory=np.minimum(load.made_mev_s, capacity))
        numbers["at 300 % load"] = Number(measured=load.sent_mev_s[-1], theory=capacity, unit="Mev/s")
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
    * More: rows are served in turn, as always in a scan. Of H rows, events wait for half a round,
      H row_us / 2 (1 - R / bus_mev_s) (Takagi 1988, "Queuing analysis of polling models").
    * Above the capacity C, each of N pixels fires N / 2 R after it was fetched, on average, and waits
      for the rest of the round, N / C - N / 2 R.

    Not measured where events that waited too long are dropped.
    """
    load = _loaded(sensor, seed, illuminance_lux)
    curves, numbers = {}, {}
    if load.note == "":
        rate, capacity = load.made_mev_s, _capacity_mev_s(sensor)
        alone_us = sensor.row_us + 1 / sensor.bus_mev_s
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.maximum(1 - rate * alone_us, 0.0)
            queue_us = rate * alone_us**2 / (2 * room)
            round_us = load.rows * sensor.row_us / (2 * np.maximum(1 - rate / sensor.bus_mev_s, 0.0))
        waits_us = round_us if sensor.readout == "row-scan" else np.minimum(queue_us, round_us)
        full_us = load.pixels / capacity - load.pixels / (2 * np.maximum(rate, capacity))
        theory_us = alone_us + np.where(rate < capacity, np.minimum(waits_us, full_us), full_us)
        curves["delay"] = curve(rate, load.delay_us, theory=theory_us)
        for name, at in (("at 3 % load", 0), ("at 300 % load", -1)):
            numbers[name] = Number(measured=load.delay_us[at], theory=theory_us[at], unit="µs")
    return Measurement(
        title="Bus delay",
        procedure=_PROCEDURE,
        x_label="events in (Mev/s)",
        y_label="mean delay (µs)",
        x_log=True,
        curves=curves,
        numbers=numbers,
        note=load.note,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Load:
    """Rates of events made and sent, and their mean delay; or a note on why there are none."""

    rows: int
    pixels: int
    made_mev_s: Floats
    sent_mev_s: Floats
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
    pixels = width * rows
    times = min(_MOST_EVENTS_PER_PIXEL, int(LARGEST_LN / sensor.theta_on) - 1)
    made_mev_s = capacity * _LOADS
    sent_mev_s, delay_us = np.full((2, _LOADS.size), math.nan)
    note = ""
    if times * pixels / made_mev_s[-1] < _SHORTEST_RUN_US:
        note = "no bus: events leave at once" if math.isinf(capacity) else "the bus is too fast to measure"
    bare = quiet(sensor).with_(
        cutoff_hz=math.inf,
        cutoff_max_hz=math.inf,
        theta_sigma=0.0,
        refractory_us=0.0,
        latency_us=0.0,
        jitter_us=0.0,
    )
    start = (np.random.default_rng(seed).permutation(pixels) + 0.5) / pixels
    light = sensor.theta_on * np.stack([np.zeros(pixels), start, start + times]).reshape(3, rows, width)
    for k, rate in enumerate(made_mev_s if note == "" else ()):
        times_s = [0.0, JUMP_S, JUMP_S + 1e-6 * times * pixels / rate]
        made, sent = (
            watch(field, times_s, light, seed=seed, illuminance_lux=illuminance_lux).events
            for field in (bare, bare.with_(readout=sensor.readout))
        )
        sent_mev_s[k] = sent.size / (sent["t"][-1] - made["t"][0])
        if sent.size == made.size or math.isinf(sensor.bus_queue_us):
            delay_us[k] = _delay_us(made, sent, width)
    return _Load(rows=rows, pixels=pixels, made_mev_s=made_mev_s, sent_mev_s=sent_mev_s, delay_us=delay_us, note=note)


def _delay_us(made: EventArray, sent: EventArray, width: int) -> float:
    """Mean delay of the events sent in the second half of the run, when the bus is as full as it gets.

    Each is the first event that its pixel made after the one sent before.
    """
    # Places on one line on which the pixels' spans of time follow each other.
    span = int(sent["t"][-1]) + 2
    made_at, sent_at = (
        np.sort((events["y"].astype(np.int64) * width + events["x"]) * span + events["t"]) for events in (made, sent)
    )
    pixel = sent_at // span
    before = np.where(np.diff(pixel, prepend=-1) > 0, pixel * span - 1, np.roll(sent_at, 1))
    delays_us = sent_at - made_at[np.searchsorted(made_at, before, side="right")]
    return float(delays_us[sent_at % span > made["t"][-1] / 2].mean())
