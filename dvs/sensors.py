"""Sensors: what a camera is, as a record of numbers with their sources.

A sensor is data, not code: one TOML file, in `dvs/presets` or the user's own. A number nobody
published is marked as an estimate and says from what it was estimated.
"""

import math
import os
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any

from dvs.errors import ParameterError
from dvs.toml_records import Shelf, did_you_mean, parsed

SET_BY_USER = "set by the user"
"""Source of a number that was changed."""

_SHELF = Shelf(package="dvs", folder="presets", kind="sensor")

READOUTS = ("none", "row-arbiter", "row-scan")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a number comes from; `estimate` marks one that nobody published."""

    unit: str
    source: str
    estimate: bool = False


def _quantity(default: float | None, unit: str, lowest: float, highest: float, hint: str) -> Any:
    """A field with its unit, its range (ends included) and the advice given when it is left."""
    return field(default=default, metadata={"unit": unit, "range": (lowest, highest), "hint": hint})


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """An event camera. The defaults are those of an ideal one: no noise and no limits.

    Each number is checked for its range, and for combinations that no pixel can do; what fails is
    a ParameterError. `sources` says for each field where its number comes from; change numbers with
    `with_`, which keeps that true.
    """

    name: str = "custom"

    # Size in pixels; None: that of the video. Coordinates of events are 16-bit.
    width: int | None = _quantity(None, "px", 1, 32767, "give the number of columns")
    height: int | None = _quantity(None, "px", 1, 32767, "give the number of rows")

    # Change amplifier: one event a threshold, in ln units of luminance. The fixed pattern of
    # thresholds has the standard deviation theta_sigma, ON and OFF drawn independently.
    theta_on: float = _quantity(0.2, "ln", 0.001, 5.0, "a contrast c is a threshold of ln(1 + c), usually 0.1 to 0.5")
    theta_off: float = _quantity(0.2, "ln", 0.001, 5.0, "a contrast c is a threshold of ln(1 + c), usually 0.1 to 0.5")
    theta_sigma: float = _quantity(0.0, "ln", 0.0, 1.0, "usually 0.02 to 0.05")

    # Photoreceptor: a first-order low-pass whose time constant falls with the light E,
    # tau = (reference / E)^exponent / (2 pi cutoff) + 1 / (2 pi cutoff_max).
    cutoff_hz: float = _quantity(math.inf, "Hz", 0.01, math.inf, "give the -3 dB bandwidth; inf is no limit")
    cutoff_max_hz: float = _quantity(math.inf, "Hz", 0.01, math.inf, "give what the buffer passes; inf is no limit")
    cutoff_light_exponent: float = _quantity(1.0, "", 0.0, 4.0, "1 is bandwidth proportional to light, 0 constant")
    cutoff_sigma: float = _quantity(0.0, "", 0.0, 2.0, "the sd of ln(bandwidth) over pixels, usually 0.1 to 0.3")

    # Blind time after an event.
    refractory_us: float = _quantity(0.0, "us", 0.0, 1e6, "usually 10 to 1000")

    # ON events of a still pixel at the reference light; a share of them is proportional to light.
    leak_hz: float = _quantity(0.0, "Hz", 0.0, 1e4, "usually 0.01 to 0.5")
    leak_light_share: float = _quantity(0.0, "", 0.0, 1.0, "give a fraction")
    leak_sigma: float = _quantity(0.0, "", 0.0, 3.0, "the sd of ln(leak rate) over pixels, usually 0.2 to 0.5")

    # ON and OFF events of a still pixel: rate (reference / E)^exponent, at most the maximum.
    shot_noise_hz: float = _quantity(0.0, "Hz", 0.0, 1e5, "usually below 10")
    shot_noise_on_share: float = _quantity(0.5, "", 0.0, 1.0, "give a fraction")
    shot_noise_light_exponent: float = _quantity(0.0, "", 0.0, 4.0, "0 is noise that does not depend on light")
    shot_noise_max_hz: float = _quantity(100.0, "Hz", 0.0, 1e5, "give the rate in the dark")
    shot_noise_sigma: float = _quantity(
        0.0, "", 0.0, 3.0, "the sd of ln(shot-noise rate) over pixels, usually 0.2 to 1"
    )

    hot_pixel_fraction: float = _quantity(0.0, "", 0.0, 1.0, "give a fraction")
    hot_pixel_hz: float = _quantity(0.0, "Hz", 0.0, 1e5, "give the rate of a hot pixel")

    # The light at which the rates above hold.
    reference_lux: float = _quantity(1000.0, "lux", 1e-3, 1e6, "an office has 500, a cloudy day 10000")

    # Readout: time to select a row (arbiter) or to scan one; an event that waits longer than
    # bus_queue_us for the bus is dropped; inf: delayed however long.
    readout: str = field(default="none", metadata={"unit": ""})
    bus_mev_s: float = _quantity(math.inf, "Mev/s", 1e-6, math.inf, "give millions of events a second")
    row_us: float = _quantity(0.0, "us", 0.0, 1e5, "usually below 1")
    bus_queue_us: float = _quantity(math.inf, "us", 0.0, math.inf, "inf is a queue without an end")
    latency_us: float = _quantity(0.0, "us", 0.0, 1e6, "usually 3 to 500")
    jitter_us: float = _quantity(0.0, "us", 0.0, 1e5, "usually 1 to 100")

    # Power: at rest, and what an event adds. None: unknown.
    static_mw: float | None = _quantity(None, "mW", 0.0, 1e6, "leave it out where unknown")
    energy_per_event_pj: float | None = _quantity(None, "pJ", 0.0, 1e9, "leave it out where unknown")

    sources: Mapping[str, Source] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for each in fields(self):
            if "range" in each.metadata:
                object.__setattr__(self, each.name, _checked(each.name, getattr(self, each.name)))
        if self.readout not in READOUTS:
            raise ParameterError(f"readout is {self.readout!r}, expected one of {', '.join(READOUTS)}")
        lower = min(self.theta_on, self.theta_off)
        if self.theta_sigma > lower / 2:
            raise ParameterError(
                f"theta_sigma = {self.theta_sigma:g} ln is more than half the threshold of {lower:g} ln: "
                "some pixels would have none; lower theta_sigma or raise theta_on and theta_off"
            )
        rate_hz = self.leak_hz + self.shot_noise_hz + (self.hot_pixel_hz if self.hot_pixel_fraction else 0.0)
        if rate_hz * self.refractory_us >= 1e6:
            raise ParameterError(
                f"leak, shot noise and hot pixels ask for {rate_hz:g} events/s, but with refractory_us "
                f"= {self.refractory_us:g} a pixel makes at most {1e6 / self.refractory_us:g}; lower one"
            )

    def with_(self, **changes: Any) -> "Sensor":
        """The sensor with some fields changed, their source being the user.

        Raises ParameterError for an unknown field, with the nearest known one, and for bad values.

        >>> load_sensor("davis346").with_(theta_on=0.3).theta_on
        0.3
        """
        for key in changes:
            if key not in _UNITS and key != "name":
                raise ParameterError(f"a sensor has no field {key!r}{did_you_mean(key, _UNITS)}")
        given = {key: Source(unit=_UNITS[key], source=SET_BY_USER) for key in changes if key in _UNITS}
        return replace(self, **changes, sources={**self.sources, **given})

    def to_dict(self) -> dict[str, Any]:
        """All of the sensor as JSON values (infinity is the text "inf"), for provenance."""
        record = {each.name: _to_json(getattr(self, each.name)) for each in fields(self)}
        record["sources"] = {key: vars(source) for key, source in self.sources.items()}
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Sensor":
        """The sensor that `to_dict` wrote down.

        >>> Sensor.from_dict(load_sensor("imx636").to_dict()) == load_sensor("imx636")
        True
        """
        values = {key: math.inf if value == "inf" and key in _UNITS else value for key, value in record.items()}
        values["sources"] = {key: Source(**source) for key, source in record["sources"].items()}
        return cls(**values)


_FIELDS = {each.name: each for each in fields(Sensor)}
_UNITS: dict[str, str] = {name: each.metadata["unit"] for name, each in _FIELDS.items() if each.metadata}


def _checked(name: str, value: Any) -> float | None:
    """The value as a plain number, or a ParameterError that says what the field expects."""
    default, limits = _FIELDS[name].default, _FIELDS[name].metadata
    lowest, highest = limits["range"]
    unit = f" {limits['unit']}" if limits["unit"] else ""
    if value is None and default is None:
        return None
    whole = limits["unit"] == "px"
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        expected = f"a whole number of{unit}" if whole else f"a number of{unit}" if unit else "a number"
        raise ParameterError(f"{name} is {value!r}, expected {expected}; {limits['hint']}")
    if not lowest <= value <= highest:
        raise ParameterError(f"{name} = {value:g}{unit} is outside {lowest:g} to {highest:g}{unit}; {limits['hint']}")
    return int(value) if whole else float(value)


def _to_json(value: Any) -> Any:
    return "inf" if value == math.inf else value


def sensor_names() -> tuple[str, ...]:
    """Names of the presets, in alphabetical order."""
    return _SHELF.names()


def load_sensor(name_or_path: str | os.PathLike[str]) -> Sensor:
    """The preset of that name, or the sensor that a TOML file describes.

    In a file a field is a number, `theta_on = 0.3`, or a table with `value`, `unit`, `source` and
    `estimate`. Fields left out are those of the preset that `base` names, or else ideal.

    Raises ParameterError for an unknown name or a file that is missing or says something wrong.

    >>> load_sensor("davis346").width, load_sensor("ideal").width
    (346, None)
    """
    return _parse(*_SHELF.text(name_or_path))


def parse_setting(text: str) -> tuple[str, int | float | str]:
    """Field and value of a change written as FIELD=VALUE, for `Sensor.with_`.

    Raises ParameterError where there is no value.

    >>> parse_setting("theta_on=0.3")
    ('theta_on', 0.3)
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise ParameterError(f"--set {text} gives no value; write --set FIELD=VALUE, such as --set theta_on=0.3")
    for kind in (int, float):
        with suppress(ValueError):
            return name, kind(value)
    return name, value


def _parse(text: str, file: str, name: str) -> Sensor:
    """The sensor of a TOML text; `file` is named in errors and as the source of bare numbers."""
    document = parsed(text, file, "theta_on = 0.3")
    try:
        base = document.pop("base", None)
        start = Sensor() if base is None else _parse(*_SHELF.shipped(str(base)))
        values = {"name": name, "sources": dict(start.sources)}
        for key, entry in document.items():
            if key == "name":
                values["name"] = str(entry)
                continue
            if key not in _UNITS:
                raise ParameterError(f"unknown key {key!r}{did_you_mean(key, [*_UNITS, 'base', 'name'])}")
            values[key], values["sources"][key] = _parse_entry(key, entry, file)
        return replace(start, **values)
    except ParameterError as error:
        raise ParameterError(f"{file}: {error}") from None


def _parse_entry(key: str, entry: Any, file: str) -> tuple[Any, Source]:
    """Value and source of one field, given as a bare value or as a table."""
    unit = _UNITS[key]
    if not isinstance(entry, dict):
        return entry, Source(unit=unit, source=f"set in {file}")
    unknown = entry.keys() - {"value", "unit", "source", "estimate"}
    if unknown or "value" not in entry:
        wrong = f"the unknown key {min(unknown)!r}" if unknown else "no value"
        raise ParameterError(f"[{key}] has {wrong}; its keys are value, unit, source and estimate")
    if entry.get("unit", unit) != unit:
        raise ParameterError(f"[{key}] has the unit {entry['unit']!r}, expected {unit!r}; convert the value")
    estimate = entry.get("estimate", False)
    if not isinstance(estimate, bool):
        raise ParameterError(f"[{key}] has estimate = {estimate!r}, expected true or false")
    return entry["value"], Source(unit=unit, source=str(entry.get("source", f"set in {file}")), estimate=estimate)


def describe(sensor: Sensor, width: int = 100) -> str:
    """The sensor as a table of text: field, value, unit and source, `~` marking estimates."""
    rows = []
    for key, unit in _UNITS.items():
        value = getattr(sensor, key)
        source = sensor.sources.get(key, Source(unit=unit, source="default, as in an ideal sensor"))
        if value is None:
            shown, said = ("any", "as the video") if unit == "px" else ("unknown", "not published")
        else:
            shown, said = (value if isinstance(value, str) else f"{value:g}"), source.source
        head = f"{key:<26}{'~' if source.estimate else ' '}{shown:>11} {unit:<6}"
        rows.append(textwrap.fill(said, width, initial_indent=head, subsequent_indent=" " * len(head)))
    legend = "~ estimate: nobody published the number, the source says what it rests on"
    return "\n".join([f"sensor {sensor.name}", *rows, legend])
