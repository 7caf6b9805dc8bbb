"""The bill of an inference: its lines, what has no price, and their sums."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from snn.energy.breakeven import BreakEven
from snn.energy.counts import Counts
from snn.energy.frame_network import FrameCounts
from snn.energy.prefixes import with_prefix
from snn.energy.prices import EVIDENCE, Memory, Power, Price, PriceList

STATIC = {
    "power:chip": "static power of the chip",
    "power:host": "power of the host",
    "power:sensor": "static power of the sensor",
}
"""Powers in words; in an account they stand beside the names of `snn.energy.terms.TERMS`."""


@dataclass(frozen=True)
class Amount:
    """An energy in joules with its bounds; `at_least` where something that belongs to it has no price."""

    joules: float
    low: float
    high: float
    at_least: bool = False

    def __str__(self) -> str:
        text = ("≥ " if self.at_least else "") + with_prefix(self.joules, "J")
        if self.low == self.high:
            return text
        return f"{text} ({with_prefix(self.low, 'J')} to {with_prefix(self.high, 'J')})"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One term in one place.

    term: a name of TERMS, or "power:chip", "power:host", "power:sensor". where: a layer, a projection, "network" or
    "sensor"; for a power its name in the price list. total: counts over all samples; for a power the seconds that it
    was drawn, chips and samples added up. per_inference: total / inferences. joules, low, high: per_inference times
    the price and its bounds.
    """

    term: str
    where: str
    part: Literal["network", "host", "sensor"]
    kind: Literal["dynamic", "static"]
    total: int | float
    per_inference: float
    price: Price | Power | Memory

    @property
    def joules(self) -> float:
        """Energy of an inference."""
        return self.per_inference * self.price.value

    @property
    def low(self) -> float:
        """Energy at the lowest price."""
        return self.per_inference * self.price.low

    @property
    def high(self) -> float:
        """Energy at the highest price."""
        return self.per_inference * self.price.high


@dataclass(frozen=True, kw_only=True)
class Unpriced:
    """Something inside the boundary that costs energy nobody has published.

    term: as for a line. where: the places that have it. total: counts over all samples, per_inference: total /
    inferences; both None for a power.
    """

    term: str
    where: tuple[str, ...]
    part: Literal["network", "host", "sensor"]
    kind: Literal["dynamic", "static"]
    total: int | None
    per_inference: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Bill:
    """What an inference costs.

    lines: the terms that have a price. unpriced: those that have none; every sum that one of them belongs to is a
    lower bound, "≥". inferences: the samples of the counts. time_s: of an inference on the hardware, and time_from:
    whether that is the simulated time, was given, or estimated from the times of the price list. chips: that draw
    static power. boundary_in, boundary_out: what is included and what is not, in sentences.

    The bounds of a sum are the sums of the bounds: prices of one source tend to be wrong together.
    """

    title: str
    counts: Counts | FrameCounts
    prices: PriceList
    lines: tuple[Line, ...]
    unpriced: tuple[Unpriced, ...]
    inferences: int
    time_s: float
    time_from: Literal["real time", "given", "estimated"]
    chips: int
    boundary_in: tuple[str, ...]
    boundary_out: tuple[str, ...]
    synops_only: Amount | None
    """What papers often give: every synaptic operation (and MAC) times its price and nothing else; None if it has
    no price. For comparison, not part of the account."""
    break_even: BreakEven | None = None
    """The network against its twin without spikes."""

    @property
    def dynamic(self) -> Amount:
        """What the work of the network costs."""
        return self._sum("network", "dynamic")

    @property
    def static(self) -> Amount:
        """What its chips draw at rest during an inference."""
        return self._sum("network", "static")

    @property
    def host(self) -> Amount:
        """The processor that feeds the chips and reads them."""
        return self._sum("host")

    @property
    def sensor(self) -> Amount:
        """The sensor: its static power and its events."""
        return self._sum("sensor")

    @property
    def total(self) -> Amount:
        """All of the account: dynamic + static + host + sensor."""
        return added(self.lines, self.unpriced)

    @property
    def energy_delay(self) -> float:
        """Energy-delay product of an inference in J s."""
        return self.total.joules * self.time_s

    @property
    def power(self) -> float:
        """Mean power in W while it works; NaN if an inference takes no time.

        The sensor watches for the whole sample, however fast the rest of it runs: each has its own time.
        """
        if not self.time_s:
            return float("nan")
        return (self.total.joules - self.sensor.joules) / self.time_s + self.sensor.joules / self.counts.duration_s

    @property
    def weakest_evidence(self) -> str | None:
        """The weakest grade among the prices that were paid; None if none was."""
        return max((line.price.evidence for line in self.lines if line.joules), key=EVIDENCE.index, default=None)

    def shares(self) -> tuple[float, ...]:
        """Of each line, its part of the total: 0 to 1, in the order of `lines`."""
        total = self.total.joules
        return tuple(line.joules / total if total else 0.0 for line in self.lines)

    def by_layer(self) -> dict[str, Amount]:
        """What the work in each layer, projection or other place costs, static power left out."""
        places = dict.fromkeys(line.where for line in self.lines if line.kind == "dynamic")
        places.update(dict.fromkeys(place for each in self.unpriced if each.kind == "dynamic" for place in each.where))
        return {
            place: added(
                [line for line in self.lines if line.kind == "dynamic" and line.where == place],
                [each for each in self.unpriced if place in each.where],
            )
            for place in places
        }

    def _sum(self, part: str, kind: str | None = None) -> Amount:
        def belongs(each: Line | Unpriced) -> bool:
            return each.part == part and kind in (None, each.kind)

        return added(filter(belongs, self.lines), filter(belongs, self.unpriced))

    def to_dict(self) -> dict[str, Any]:
        """All of the account as JSON values: each line with what it takes to compute its joules again."""
        return {
            "title": self.title,
            "network": self.counts.name,
            "prices": self.prices.name,
            "inferences": self.inferences,
            "time_s": self.time_s,
            "time_from": self.time_from,
            "chips": self.chips,
            "boundary": {"in": list(self.boundary_in), "out": list(self.boundary_out)},
            "lines": [
                {**_line_record(line), "share": share} for line, share in zip(self.lines, self.shares(), strict=True)
            ],
            "unpriced": [{**vars(each), "where": list(each.where)} for each in self.unpriced],
            **{name: vars(getattr(self, name)) for name in ("dynamic", "static", "host", "sensor", "total")},
            "energy_delay_js": self.energy_delay,
            "power_w": self.power if self.time_s else None,
            "synops_only": None if self.synops_only is None else vars(self.synops_only),
            "twin_macs": getattr(self.counts, "twin_macs", None),
            "break_even": None if self.break_even is None else vars(self.break_even),
            "weakest_evidence": self.weakest_evidence,
        }


def added(lines: Iterable[Line], unpriced: Iterable[Unpriced]) -> Amount:
    """The sum of some lines; at least that, if something belongs to it that has no price."""
    lines = list(lines)
    return Amount(
        sum(line.joules for line in lines),
        sum(line.low for line in lines),
        sum(line.high for line in lines),
        any(True for _ in unpriced),
    )


def _line_record(line: Line) -> Mapping[str, Any]:
    record = {name: getattr(line, name) for name in ("term", "where", "part", "kind", "total", "per_inference")}
    price = {name: getattr(line.price, name) for name in ("value", "low", "high", "evidence", "source", "range")}
    return {
        **record,
        "price": {**price, "unit": line.price.si},
        "joules": line.joules,
        "low": line.low,
        "high": line.high,
    }
