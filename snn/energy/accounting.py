"""The account: counts times prices, for one inference, inside a stated boundary."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from brian2 import Quantity

from dvs.errors import InputError, ParameterError
from dvs.sensors import Sensor, Source
from snn.energy.bill import STATIC, Amount, Bill, Line, Unpriced
from snn.energy.breakeven import BreakEven, break_even_of
from snn.energy.picture import plot
from snn.energy.prices import Memory, Power, Price, PriceList, load_prices
from snn.energy.report import html, text
from snn.energy.terms import MEMORY, TERMS
from snn.probes.arguments import time_s as checked_time_s

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snn.energy.counts import Charge, Counts
    from snn.energy.frame_network import FrameCounts

BOUNDARY = ("sensor", "network", "static", "host")
"""What an account may include: the sensor, what the network's work costs, the power that its chips draw at rest, and
the processor that feeds them and reads them."""

_PART_OF = {"chip": "network", "host": "host", "sensor": "sensor"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Account(Bill):
    """What an inference costs: a `Bill` that says itself as text, as a page and as a picture."""

    def __str__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return html(self)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The account as a stacked bar."""
        return plot(self, ax)


def account(
    counts: "Counts | FrameCounts",
    prices: PriceList | str | os.PathLike[str],
    *,
    sensor: Sensor | None = None,
    time: Quantity | Literal["estimated"] | None = None,
    chips: int = 1,
    cores: int = 1,
    boundary: Collection[str] = BOUNDARY,
    twin: PriceList | str | os.PathLike[str] | None = "generic-45nm-int8",
    title: str | None = None,
) -> Account:
    """What an inference costs: the counts of its samples at these prices.

    prices: a list, its name or its file. sensor: adds its static power and its energy per event; it watches for the
    whole sample, however fast the network runs. time: of an inference on the hardware; None is real time, the simulated
    duration; "estimated" takes the times of the price list, the work of the network being spread evenly over `cores`
    cores, and the barrier after each step. chips: how many draw static power. boundary: what to include, some of
    BOUNDARY. twin: a list with prices of arithmetic, at which the network is compared with one of the same synapses
    that has no spikes; None leaves that out.

    A term without a price becomes `unpriced`, never zero. A term that is in the price of another one that was paid is
    not charged.

    Raises ParameterError for unknown names and bad values, InputError if there are no samples, and ScopeError if the
    sensor has a price that the list includes.
    """
    prices = prices if isinstance(prices, PriceList) else load_prices(prices)
    _check(counts, chips, cores, boundary)
    if sensor is not None:
        prices = _with_sensor(prices, sensor)
    charges = counts.charges(prices.widths)
    hardware_s, time_from = _time(counts, charges, prices, time, cores)
    bill = _Charging(prices, counts.samples, frozenset(boundary))
    for charge in charges:
        bill.charge(charge)
    sensed = sensor is not None or counts.sensor is not None
    bill.draw("chip", hardware_s * counts.samples, chips)
    bill.draw("host", hardware_s * counts.samples, chips)
    if sensed or any(power.part == "sensor" for power in prices.powers.values()):
        bill.draw("sensor", counts.duration_s * counts.samples, 1)
    unpriced = bill.unpriced()
    return Account(
        title=f"{counts.name} on {prices.title or prices.name}" if title is None else title,
        counts=counts,
        prices=prices,
        lines=tuple(bill.lines),
        unpriced=unpriced,
        inferences=counts.samples,
        time_s=hardware_s,
        time_from=time_from,
        chips=chips,
        boundary_in=bill.included(),
        boundary_out=bill.left_out(sensed),
        synops_only=_synops_only(charges, prices, counts.samples),
        break_even=_break_even(counts, twin),
    )


def _break_even(counts: "Counts | FrameCounts", twin: PriceList | str | os.PathLike[str] | None) -> BreakEven | None:
    """Of a network with spikes and synapses."""
    if twin is None or not getattr(counts, "synapses", 0):
        return None
    return break_even_of(counts, twin if isinstance(twin, PriceList) else load_prices(twin))


def _check(counts: "Counts | FrameCounts", chips: int, cores: int, boundary: Collection[str]) -> None:
    if isinstance(boundary, str) or not set(boundary) <= set(BOUNDARY):
        raise ParameterError(f"boundary is {boundary!r}, expected some of {', '.join(BOUNDARY)}")
    for name, number in (("chips", chips), ("cores", cores)):
        if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
            raise ParameterError(f"{name} is {number!r}, expected a whole number from 1 on")
    if counts.samples < 1:
        raise InputError(f"the counts of {counts.name!r} have no samples; count a run of one at least")


# Sensor


def _with_sensor(prices: PriceList, sensor: Sensor) -> PriceList:
    """The list with the static power and the energy per event of a sensor, as far as they are known."""
    own = [name for name, power in prices.powers.items() if power.part == "sensor"]
    if own:
        raise ParameterError(
            f"{prices.name} has the power of a sensor of its own, {', '.join(own)}; leave sensor= out, or take "
            "another list"
        )
    powers, costs = {}, {}
    if sensor.static_mw is not None:
        powers["sensor"] = Power(
            name="sensor", part="sensor", per="system", watts=sensor.static_mw / 1e3, shown_unit="mW",
            **_of_source(sensor, "static_mw", sensor.static_mw / 1e3),
        )  # fmt: skip
    if sensor.energy_per_event_pj is not None:
        joules = sensor.energy_per_event_pj / 1e12
        costs["sensor_events"] = Price(
            term="sensor_events", joules=joules, shown_unit="pJ", **_of_source(sensor, "energy_per_event_pj", joules)
        )
    return prices | PriceList(name=sensor.name, prices=costs, powers=powers)


def _of_source(sensor: Sensor, field: str, value: float) -> dict[str, Any]:
    source = sensor.sources.get(field, Source(unit="", source="set by the user", estimate=True))
    evidence = "estimated" if source.estimate else "measured"
    return {"low": value, "high": value, "evidence": evidence, "source": source.source}


# Time


def _time(
    counts: "Counts | FrameCounts",
    charges: Iterable["Charge"],
    prices: PriceList,
    time: Quantity | str | None,
    cores: int,
) -> tuple[float, Literal["real time", "given", "estimated"]]:
    """Seconds of an inference on the hardware, and where they are from."""
    if time is None:
        return counts.duration_s, "real time"
    if not isinstance(time, str):
        return checked_time_s(time, "time", positive=True), "given"
    if time != "estimated":
        raise ParameterError(f"time is {time!r}, expected a time, 'estimated', or None for real time")
    if not prices.times:
        raise ParameterError(f"{prices.name} has no times to estimate one from; give time= of an inference")
    seconds = 0.0
    for charge in charges:
        # All cores wait for the barrier together; the rest they do side by side.
        name, share = ("barrier", 1) if charge.term == "time_steps" else (charge.term, cores)
        if name in prices.times:
            seconds += charge.total * prices.times[name].seconds / share
    return seconds / counts.samples, "estimated"


# Charging


class _Charging:
    """Lines as they are charged, and what could not be."""

    def __init__(self, prices: PriceList, inferences: int, boundary: frozenset[str]) -> None:
        self.lines: list[Line] = []
        self._prices, self._inferences, self._boundary = prices, inferences, boundary
        self._waiting: dict[str, list[Unpriced]] = {}  # those that may yet be in the price of others

    def charge(self, charge: "Charge") -> None:
        """A count: times its price, if there is one."""
        part = TERMS[charge.term].part
        if part not in self._boundary:
            return
        price: Price | Memory | None = self._prices.prices.get(charge.term)
        if price is None and charge.term in MEMORY and self._prices.memories:
            price = self._prices.memory_for(charge.memory_bits or 0)
        if price is None:
            self._wait(charge.term, charge.where, part, "dynamic", charge.total)
        else:
            self._add(charge.term, charge.where, part, "dynamic", charge.total, price)

    def draw(self, part: str, seconds: float, chips: int) -> None:
        """All power of a part, for so many seconds."""
        word = f"power:{part}"
        if ("static" if part == "chip" else part) not in self._boundary:
            return
        powers = [power for power in self._prices.powers.values() if power.part == part]
        for power in powers:
            total = seconds * (chips if power.per == "chip" else 1)
            self._add(word, power.name, _PART_OF[part], "static", total, power)
        if not powers:
            self._wait(word, part, _PART_OF[part], "static", None)

    def _add(self, term: str, where: str, part: str, kind: str, total: float, price: Price | Power | Memory) -> None:
        per_inference = total / self._inferences
        self.lines.append(
            Line(term=term, where=where, part=part, kind=kind, total=total, per_inference=per_inference, price=price)
        )

    def _wait(self, term: str, where: str, part: str, kind: str, total: int | None) -> None:
        per_inference = None if total is None else total / self._inferences
        self._waiting.setdefault(term, []).append(
            Unpriced(term=term, where=(where,), part=part, kind=kind, total=total, per_inference=per_inference)
        )

    def _payers(self, word: str) -> list[str]:
        """Entries of the list that include a term or power, and were paid."""
        paid = {f"power.{line.where}" if isinstance(line.price, Power) else line.term for line in self.lines}
        return [owner for owner in self._prices.covered_by(word) if owner in paid]

    def unpriced(self) -> tuple[Unpriced, ...]:
        """What has no price and is in no price that was paid, one entry a term."""
        return tuple(_merged(entries) for word, entries in self._waiting.items() if not self._payers(word))

    def included(self) -> tuple[str, ...]:
        """What is in the account, in sentences."""
        sentences = []
        for part, head in (("sensor", "Sensor"), ("network", "Network"), ("host", "Host")):
            words = dict.fromkeys(_words(line.term) for line in self.lines if line.part == part)
            if words:
                sentences.append(f"{head}: {', '.join(words)}.")
        borne: dict[str, list[str]] = {}
        for word in dict.fromkeys((*self._waiting, *STATIC)):
            payers = self._payers(word)
            if payers:
                borne.setdefault(self._said(payers), []).append(_words(word))
        return (*sentences, *(f"In {payers}: {', '.join(words)}." for payers, words in borne.items()))

    def _said(self, payers: list[str]) -> str:
        """Entries of the list in words; a rail by the part that it belongs to."""
        powers = self._prices.powers
        terms = [_words(entry) for entry in payers if not entry.startswith("power.")]
        parts = [powers[entry.removeprefix("power.")].part for entry in payers if entry.startswith("power.")]
        said = [f"the price of {', '.join(terms)}"] if terms else []
        return " and ".join([*said, *(f"the {STATIC[f'power:{part}']}" for part in dict.fromkeys(parts))])

    def left_out(self, sensed: bool) -> tuple[str, ...]:
        """What is not, in sentences."""
        words = {
            "sensor": "the sensor",
            "network": "the work of the network",
            "static": "the static power of the chip",
            "host": "the host",
        }
        sentences = [
            f"Left out on request: {words[word]}."
            for word in BOUNDARY
            # An all-in price cannot leave its parts out.
            if word not in self._boundary and not self._payers(f"power:{'chip' if word == 'static' else word}")
        ]
        if "sensor" in self._boundary and not sensed and not any(line.part == "sensor" for line in self.lines):
            sentences.append("No sensor: the input of the network is taken as given.")
        return (*sentences, *self._prices.excludes)


def _words(name: str) -> str:
    """A term or a power as one says it."""
    return STATIC.get(name, name.replace("_", " "))


def _merged(entries: list[Unpriced]) -> Unpriced:
    """The same term in several places, as one; a power has only one."""
    first, *others = entries
    if not others:
        return first
    return replace(
        first,
        where=tuple(dict.fromkeys(place for each in entries for place in each.where)),
        total=sum(each.total for each in entries),
        per_inference=sum(each.per_inference for each in entries),
    )


def _synops_only(charges: Iterable["Charge"], prices: PriceList, inferences: int) -> Amount | None:
    """Synaptic operations and MACs times their price; at arithmetic prices an operation is one addition."""
    joules = low = high = 0.0
    for charge in charges:
        if charge.term not in ("synaptic_operations", "macs"):
            continue
        price = prices.prices.get(charge.term)
        if price is None and "additions" in prices.covered_by(charge.term):
            price = prices.prices["additions"]
        if price is None:
            return None
        per_inference = charge.total / inferences
        joules, low, high = (
            sum_ + per_inference * each
            for sum_, each in zip((joules, low, high), (price.joules, price.low, price.high), strict=True)
        )
    return Amount(joules, low, high)
