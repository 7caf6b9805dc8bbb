"""Coarser coordinates and times."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.events import EventArray
from dvs.transforms.columns import SensorSize, check_fields, with_columns
from dvs.transforms.streamed import Streamed

# Of a factor such as 1 / 49 or 0.001 the fraction that was meant is found up to this denominator.
_FINEST = 1_000_000


@dataclass(frozen=True)
class Downsample(Streamed):
    """Times and coordinates multiplied and rounded down; no event is dropped.

    time_factor: 0.001 makes milliseconds of microseconds. spatial_factor: one, or (x, y); or else target_size
    (W', H') of a sensor_size (W, H, P). Whole numbers are multiplied as fractions, so that pixel 49 times 1/49 is
    1; in floating point, as in tonic, it is 0. But for such numbers, and negative ones, the results are tonic's.
    """

    time_factor: float = 1
    spatial_factor: float | tuple[float, float] = 1
    sensor_size: SensorSize | None = None
    target_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.target_size is not None and self.sensor_size is None:
            raise ParameterError(f"target_size is {self.target_size} of an unknown sensor; give sensor_size too")
        if not min(self.time_factor, *self._spatial_factors()) > 0:
            raise ParameterError(
                f"time_factor is {self.time_factor}, spatial_factor {self.spatial_factor}; give numbers above 0"
            )

    def _spatial_factors(self) -> tuple[float, float]:
        factors = self.spatial_factor
        return tuple(factors) if isinstance(factors, tuple | list) else (factors, factors)

    def advance(self, state: None, events: EventArray) -> tuple[EventArray, None]:
        """The next events, multiplied."""
        check_fields(events, "xyt")
        if self.target_size is not None:
            columns = scaled_to(events, self.sensor_size, self.target_size)
        else:
            columns = {
                name: _scaled(events[name], Fraction(factor).limit_denominator(_FINEST))
                for name, factor in zip("xy", self._spatial_factors(), strict=True)
                if factor != 1
            }
        if self.time_factor != 1:
            columns["t"] = _scaled(events["t"], Fraction(self.time_factor).limit_denominator(_FINEST))
        return with_columns(events, **columns), state


def scaled_to(events: EventArray, sensor_size: SensorSize, target_size: tuple[int, int]) -> dict[str, NDArray]:
    """X and y of the events on a sensor of target_size (W', H')."""
    return {
        name: _scaled(events[name], Fraction(int(target), int(size)))
        for name, target, size in zip("xy", target_size, sensor_size, strict=False)
    }


def _scaled(column: NDArray, factor: Fraction) -> NDArray:
    """Column * factor, rounded down where the column holds whole numbers."""
    if column.dtype.kind == "f":
        return column * float(factor)
    return _multiplied(np.ascontiguousarray(column, np.int64), factor.numerator, factor.denominator)


@njit(cache=True, nogil=True)
def _multiplied(column: NDArray, up: int, down: int) -> NDArray:
    scaled = np.empty_like(column)
    near = 2**50 // up
    for i in range(column.size):
        c = column[i]
        if -near < c < near:
            # Many times faster than whole numbers; half a unit up, no rounding reaches the next one.
            scaled[i] = np.int64(np.floor((float(c * up) + 0.5) / down))
        else:
            # Whole and rest apart: the product could overflow.
            whole = c // down
            scaled[i] = whole * up + (c - whole * down) * up // down
    return scaled
