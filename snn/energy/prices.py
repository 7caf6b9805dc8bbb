"""Prices: what each thing that is counted costs, as records with bounds, a grade of evidence and a source.

A price list is data, not code: one TOML file, in `snn/energy/profiles` or the user's own. What nobody published is left
out, for a missing price can be seen and a guessed one cannot.
"""

import math
import os
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from dvs.errors import ParameterError
from dvs.toml_records import Shelf, did_you_mean, parsed
from snn.energy.terms import MEMORY, TERMS, Widths

_SHELF = Shelf(package="snn.energy", folder="profiles", kind="price list")

EVIDENCE = ("metered", "measured", "simulated", "derived", "estimated")
"""Strongest first: read from the rails of the running chip; a published measurement of silicon; a circuit simulated
before it was made; computed from other published numbers; a guess with a reason."""

PARTS = ("chip", "host", "sensor")
"""Whose power it is. In `covers`, "power:chip" is all power of that part."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"arithmetic": ("additions", "multiplications", "functions"), "memory": MEMORY}
)
"""Words that stand for several terms in the `covers` of a file."""

_UNITS = MappingProxyType(
    {
        "J": {"J": 1.0, "mJ": 1e3, "uJ": 1e6, "nJ": 1e9, "pJ": 1e12, "fJ": 1e15},
        "W": {"W": 1.0, "mW": 1e3, "uW": 1e6, "nW": 1e9},
        "J/bit": {"nJ/bit": 1e9, "pJ/bit": 1e12, "fJ/bit": 1e15},
        "s": {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9},
    }
)
"""How many of each unit are one of the SI unit."""


class ScopeError(ParameterError):
    """A price that already includes something was put beside a price of that thing: it would be paid twice."""


@dataclass(frozen=True, kw_only=True)
class _Sourced:
    """A number with its bounds, in SI units, and where it comes from."""

    low: float
    high: float
    shown_unit: str
    evidence: str
    source: str
    range: str = ""

    si: ClassVar[str]
    """The SI unit of the number and its bounds."""
    _field: ClassVar[str]

    def __post_init__(self) -> None:
        _check_evidence(self.evidence, self.source)
        if self.shown_unit not in _UNITS[self.si]:
            raise ParameterError(f"the unit is {self.shown_unit!r}, expected one of {', '.join(_UNITS[self.si])}")
        if not 0 <= self.low <= self.value <= self.high < math.inf:
            low, value, high = (f"{self.in_shown_unit(x):g}" for x in (self.low, self.value, self.high))
            raise ParameterError(
                f"value = {value} with low = {low} and high = {high}, expected 0 <= low <= value <= high"
            )
        if self.low < self.high and not self.range.strip():
            raise ParameterError("low and high differ and range is empty; say in range where the bounds come from")

    @property
    def value(self) -> float:
        """The number itself, in SI units."""
        return getattr(self, self._field)

    def in_shown_unit(self, value: float) -> float:
        """A number in SI units, such as `low`, in the unit of this one: 23.6e-12 J is 23.6 pJ."""
        return value * _UNITS[self.si][self.shown_unit]


@dataclass(frozen=True, kw_only=True)
class Price(_Sourced):
    """Energy of one of a term.

    joules, low, high: of one. covers: the terms (or power, "power:chip") that this price includes, so that they must
    not be charged again. Raises ParameterError for unknown words and bounds that do not enclose the value.
    """

    term: str
    joules: float
    covers: tuple[str, ...] = ()

    si = "J"
    _field = "joules"

    def __post_init__(self) -> None:
        _check_term(self.term, TERMS)
        _check_covers(self.covers)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class Power(_Sourced):
    """Power that is drawn whether or not anything happens: of a whole part or of one of its supply rails.

    watts, low, high: of one chip, or of the system however many chips it has (`per`). covers: as for a price.
    """

    name: str
    watts: float
    part: Literal["chip", "host", "sensor"] = "chip"
    per: Literal["chip", "system"] = "chip"
    covers: tuple[str, ...] = ()

    si = "W"
    _field = "watts"

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ParameterError(f"part is {self.part!r}, expected one of {', '.join(PARTS)}")
        if self.per not in ("chip", "system"):
            raise ParameterError(f"per is {self.per!r}, expected 'chip' or 'system'")
        _check_covers(self.covers)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class Memory(_Sourced):
    """Energy of reading or writing a bit of a memory that holds `kib` KiB; inf for one without an end."""

    name: str
    kib: float
    joules: float

    si = "J/bit"
    _field = "joules"

    def __post_init__(self) -> None:
        _check_number("kib", self.kib)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class Duration(_Sourced):
    """Time on the hardware that one of a term takes; "barrier" is the agreement of all cores that a step is done."""

    name: str
    seconds: float

    si = "s"
    _field = "seconds"

    def __post_init__(self) -> None:
        _check_term(self.name, [*TERMS, "barrier"])
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class Cores:
    """What the cores of a chip hold, and how they lie: tiles in rows, a router for each tile.

    neurons, synapses: of a core at most; None for no limit.
    """

    neurons: int | None
    synapses: int | None
    per_tile: int
    tiles_per_row: int
    per_chip: int
    evidence: str
    source: str

    def __post_init__(self) -> None:
        for name in ("neurons", "synapses", "per_tile", "tiles_per_row", "per_chip"):
            value = getattr(self, name)
            if value is None and name in ("neurons", "synapses"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ParameterError(f"{name} is {value!r}, expected a whole number from 1 on")
        _check_evidence(self.evidence, self.source)


@dataclass(frozen=True, kw_only=True)
class PriceList:
    """Prices of one kind of hardware. What has no price is missing here, never zero.

    prices, powers, times: by name. memories: in order of capacity; they price the terms of memory that have no price
    of their own. excludes: sentences that say what these numbers leave out.

    Raises ScopeError if one price includes what another one charges.
    """

    name: str
    title: str = ""
    technology: str = ""
    note: str = ""
    prices: Mapping[str, Price] = field(default_factory=dict, hash=False)
    powers: Mapping[str, Power] = field(default_factory=dict, hash=False)
    memories: tuple[Memory, ...] = ()
    times: Mapping[str, Duration] = field(default_factory=dict, hash=False)
    cores: Cores | None = None
    widths: Widths = field(default_factory=Widths)
    excludes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "memories", tuple(sorted(self.memories, key=lambda memory: memory.kib)))
        for owner, covered in _coverage(self):
            for charged in self._charged_as(covered):
                if charged != owner:
                    raise ScopeError(
                        f"{self.name}: the price of {owner} includes {covered}, and {charged} has a price of its own; "
                        "that would be paid twice: leave one of them out"
                    )

    def _charged_as(self, word: str) -> list[str]:
        """The entries of this list that charge a term, or the power of a part."""
        if word.startswith("power:"):
            return [f"power.{name}" for name, power in self.powers.items() if power.part == word.removeprefix("power:")]
        return [word] if word in self.prices or (word in MEMORY and self.memories) else []

    def covered_by(self, word: str) -> tuple[str, ...]:
        """The entries whose price includes a term or "power:<part>": names of terms, or "power.<name>"."""
        return tuple(owner for owner, covered in _coverage(self) if covered == word)

    def memory_for(self, bits: int) -> Memory:
        """The smallest memory that holds so many bits.

        Raises ParameterError if there is none, or none so large.
        """
        for memory in self.memories:
            if bits <= memory.kib * 8192:
                return memory
        raise ParameterError(f"{self.name} has no memory of {bits / 8192:g} KiB; add a [[memory]] with kib = inf")

    def with_(self, other: "PriceList") -> "PriceList":
        """Both lists as one; where both have a price, that of `other`. Also written `prices | other`.

        Raises ScopeError if one list charges what a price of the other includes.
        """
        return replace(
            self,
            name=f"{self.name} + {other.name}",
            title=" + ".join(filter(None, (self.title, other.title))),
            technology=" + ".join(filter(None, dict.fromkeys((self.technology, other.technology)))),
            note=" ".join(filter(None, (self.note, other.note))),
            excludes=(*self.excludes, *other.excludes),
            **_laid_over(self, other),
        )

    __or__ = with_


def _coverage(prices: PriceList) -> list[tuple[str, str]]:
    """Pairs of an entry and what its price includes."""
    pairs = [(term, covered) for term, price in prices.prices.items() for covered in price.covers]
    return pairs + [(f"power.{name}", covered) for name, power in prices.powers.items() for covered in power.covers]


def _laid_over(below: PriceList, above: PriceList) -> dict[str, Any]:
    memories = {memory.kib: memory for memory in (*below.memories, *above.memories)}
    return {
        "prices": {**below.prices, **above.prices},
        "powers": {**below.powers, **above.powers},
        "memories": tuple(memories.values()),
        "times": {**below.times, **above.times},
        "cores": above.cores or below.cores,
        "widths": below.widths if above.widths == Widths() else above.widths,
    }


# Checks


def _check_term(word: str, known: Iterable[str]) -> None:
    if word not in known:
        raise ParameterError(f"{word!r} is not a term{did_you_mean(word, known)}; snn.energy.terms lists them")


def _check_evidence(evidence: str, source: str) -> None:
    if evidence not in EVIDENCE:
        near = did_you_mean(evidence, EVIDENCE)
        raise ParameterError(f"evidence is {evidence!r}{near}, expected one of {', '.join(EVIDENCE)}")
    if not source.strip():
        raise ParameterError("source is empty; say who published the number, or why you think so")


def _check_covers(covers: Iterable[str]) -> None:
    for word in covers:
        _check_term(word, [*TERMS, *(f"power:{part}" for part in PARTS)])


def _check_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not value >= 0:
        raise ParameterError(f"{name} is {value!r}, expected a number from 0 on")
    return float(value)


# Files


def price_list_names() -> tuple[str, ...]:
    """Names of the lists that come along, in alphabetical order."""
    return _SHELF.names()


def load_prices(name_or_path: str | os.PathLike[str]) -> PriceList:
    """The price list of that name, or the one that a TOML file describes.

    A file has tables such as `[prices.synaptic_operations]` with value, low, high, unit, evidence, source, range and
    covers; `base` names a list that it is laid over.

    Raises ParameterError for an unknown name or a file that is missing or says something wrong, and ScopeError for one
    that charges what another of its prices includes.

    >>> load_prices("loihi1").prices["synaptic_operations"].joules
    2.36e-11
    """
    return _parse(*_SHELF.text(name_or_path))


_HEAD = ("title", "technology", "note")
_TABLES = ("prices", "power", "memory", "times", "cores", "bits")


def _parse(text: str, file: str, name: str) -> PriceList:
    """The list of a TOML text; `file` is named in errors."""
    document = parsed(text, file, '[prices.macs] value = 4.6, unit = "pJ"')
    try:
        _check_keys("the file", document, ("base", "name", "excludes", *_HEAD, *_TABLES))
        base = document.get("base")
        start = PriceList(name=name) if base is None else _parse(*_SHELF.shipped(str(base)))
        own = PriceList(
            name=str(document.get("name", name)),
            prices=_read_table(document, "prices", Price, "term"),
            powers=_read_table(document, "power", Power, "name"),
            memories=tuple(_read_memories(document.get("memory", []))),
            times=_read_table(document, "times", Duration, "name"),
            cores=_read_cores(document.get("cores")),
            widths=_read_widths(document.get("bits", {})),
        )
        return replace(
            start,
            name=own.name,
            **{key: str(document[key]) for key in _HEAD if key in document},
            excludes=(*start.excludes, *_words("excludes", document.get("excludes", []))),
            **_laid_over(start, own),
        )
    except ParameterError as error:
        raise type(error)(f"{file}: {error}") from None


def _read_table(document: Mapping[str, Any], table: str, kind: type[_Sourced], key: str) -> dict[str, Any]:
    entries = _as_table(f"[{table}]", document.get(table, {}))
    return {name: _read_entry(f"[{table}.{name}]", entry, kind, {key: name}) for name, entry in entries.items()}


def _read_memories(entries: Any) -> list[Memory]:
    if not isinstance(entries, list):
        raise ParameterError("memory is not a list of tables; write [[memory]] for each")
    return [_read_entry("[[memory]]", entry, Memory, {}) for entry in entries]


def _read_entry(place: str, entry: Any, kind: type[_Sourced], given: dict[str, Any]) -> Any:
    """A number with its bounds and source, from a table that gives them in its own unit."""
    own = [each.name for each in fields(kind) if each.name not in (*given, kind._field, "shown_unit", "low", "high")]
    entry = _as_table(place, entry)
    try:
        _check_keys("it", entry, ("value", "low", "high", "unit", *own))
        for key in ("value", "unit", "evidence", "source", *(["name", "kib"] if kind is Memory else [])):
            if key not in entry:
                raise ParameterError(f"{key} is missing")
        _check_texts(entry)
        unit, units = entry["unit"], _UNITS[kind.si]
        if unit not in units:
            raise ParameterError(f"the unit is {unit!r}, expected one of {', '.join(units)}")
        numbers = {key: _check_number(key, entry.get(key, entry["value"])) for key in ("value", "low", "high")}
        # Divided, not multiplied: 23.6 / 1e12 is the double nearest to 23.6e-12, 23.6 * 1e-12 need not be.
        value, low, high = (number / units[unit] for number in numbers.values())
        values = {key: entry[key] for key in own if key in entry}
        if "covers" in values:
            words = _words("covers", values["covers"])
            values["covers"] = tuple(term for word in words for term in GROUPS.get(word, (word,)))
        return kind(**given, **{kind._field: value}, low=low, high=high, shown_unit=unit, **values)
    except ParameterError as error:
        raise ParameterError(f"{place}: {error}") from None


def _read_cores(entry: Any) -> Cores | None:
    if entry is None:
        return None
    names = [each.name for each in fields(Cores)]
    entry = {"neurons": None, "synapses": None, **_as_table("[cores]", entry)}
    _check_keys("[cores]", entry, names)
    missing = [name for name in names if name not in entry]
    if missing:
        raise ParameterError(f"[cores]: {missing[0]} is missing")
    try:
        _check_texts(entry)
        return Cores(**entry)
    except ParameterError as error:
        raise ParameterError(f"[cores]: {error}") from None


def _read_widths(entry: Any) -> Widths:
    _check_keys("[bits]", _as_table("[bits]", entry), [each.name for each in fields(Widths)])
    try:
        return Widths(**entry)
    except ParameterError as error:
        raise ParameterError(f"[bits]: {error}") from None


def _as_table(place: str, entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ParameterError(f"{place} is {entry!r}, expected a table")
    return entry


def _check_texts(entry: Mapping[str, Any]) -> None:
    for key in ("unit", "evidence", "source", "range", "name", "part", "per"):
        if key in entry and not isinstance(entry[key], str):
            raise ParameterError(f"{key} is {entry[key]!r}, expected a text")


def _words(name: str, words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ParameterError(f"{name} is {words!r}, expected a list of texts")
    return tuple(words)


def _check_keys(place: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            raise ParameterError(f"{place} has the unknown key {key!r}{did_you_mean(key, known)}")


# Text


def describe(prices: PriceList, width: int = 100) -> str:
    """The list as text: each number with its bounds, unit and evidence, and below it its source."""
    entries = [
        *prices.prices.items(),
        *((f"power {name}", power) for name, power in prices.powers.items()),
        *((memory.name, memory) for memory in prices.memories),
        *((f"time of {name}", time) for name, time in prices.times.items()),
    ]
    rows = [": ".join(filter(None, (prices.name, prices.title)))]
    for name, entry in entries:
        value, low, high = (f"{entry.in_shown_unit(x):.4g}" for x in (entry.value, entry.low, entry.high))
        bounds = f"{low} to {high}" if entry.low < entry.high else ""
        rows.append(f"{name:<30}{value:>7} {entry.shown_unit:<6}  {bounds:<16}  {entry.evidence}")
        covers = getattr(entry, "covers", ())
        said = (entry.source, f"range: {entry.range}", f"includes {', '.join(covers)}")
        rows += [_filled(text, width) for text, there in zip(said, (True, entry.range, covers), strict=True) if there]
    missing = [term for term in TERMS if not (prices._charged_as(term) or prices.covered_by(term))]
    tail = [prices.note, *(f"left out: {said}" for said in prices.excludes), f"without a price: {', '.join(missing)}"]
    return "\n".join([*rows, "", *(textwrap.fill(said, width, subsequent_indent="    ") for said in tail if said)])


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    ")
