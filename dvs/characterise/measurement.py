"""What a measurement says: curves and numbers, each with what theory says beside it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Values measured at `x`, their standard errors, and the theory there; all (n,).

    NaN stands for what could not be measured, or what no theory is known for.
    """

    x: Floats
    measured: Floats
    error: Floats
    theory: Floats

    def __post_init__(self) -> None:
        arrays = (self.x, self.measured, self.error, self.theory)
        if len({array.shape for array in arrays}) != 1 or self.x.ndim != 1:
            raise InputError(f"the columns of a curve have shapes {[array.shape for array in arrays]}; give (n,) each")


def curve(x: ArrayLike, measured: ArrayLike, *, theory: ArrayLike, error: ArrayLike = 0.0) -> Curve:
    """A curve from whatever can be brought to the shape of `x`."""
    x = np.asarray(x, np.float64)
    columns = [np.broadcast_to(np.asarray(column, np.float64), x.shape) for column in (measured, error, theory)]
    return Curve(x=x, measured=columns[0], error=columns[1], theory=columns[2])


@dataclass(frozen=True, kw_only=True)
class Number:
    """One measured number, its standard error, and the theory."""

    measured: float
    theory: float
    error: float = 0.0
    unit: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement:
    """One experiment on a sensor: how it was done, what came out, what was expected.

    `note` says why there is nothing to see, where a sensor has no such limit.
    """

    title: str
    procedure: str
    x_label: str
    y_label: str
    x_log: bool = False
    y_log: bool = False
    y_range: tuple[float, float] | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    numbers: Mapping[str, Number] = field(default_factory=dict)
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values; infinity is the text "inf", NaN is null."""
        record = vars(self).copy()
        for group in ("curves", "numbers"):
            record[group] = {name: vars(entry) for name, entry in record[group].items()}
        return _to_json(record)


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_json(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return [_to_json(entry) for entry in value.tolist()]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
