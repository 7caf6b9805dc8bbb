"""Parameters with defaults: which may be changed, and in what unit."""

from collections.abc import Mapping

import numpy as np
from brian2 import Quantity, farad, second
from brian2.units.fundamentalunits import get_dimensions, get_unit

from dvs.errors import ParameterError


def with_changes(
    model: str, defaults: Mapping[str, Quantity | float], changes: Mapping[str, Quantity | float]
) -> dict[str, Quantity | float]:
    """The defaults of a model with some replaced.

    A name that is not there, another unit, an array, or a time or capacitance that is not positive: ParameterError.

    >>> from brian2 import ms
    >>> with_changes("lif", {"tau": 20 * ms, "v_rest": 0.0}, {"tau": 5 * ms})
    {'tau': 5. * msecond, 'v_rest': 0.0}
    """
    for name, value in changes.items():
        if name not in defaults:
            raise ParameterError(f"{model} has no parameter {name!r}; it has {', '.join(defaults)}")
        unit = get_dimensions(defaults[name])
        if get_dimensions(value) is not unit:
            raise ParameterError(f"{name} of {model} is {value}, expected {unit_words(defaults[name])}")
        if np.ndim(value) or not np.isfinite(float(value)):
            raise ParameterError(f"{name} of {model} is {value}, expected one finite number for all")
        if unit in (second.dim, farad.dim) and float(value) <= 0:
            raise ParameterError(f"{name} of {model} is {value}, expected more than 0 {unit_text(value)}")
    return {**defaults, **changes}


def unit_text(value: Quantity | float) -> str:
    """The unit of a value as equations spell it: '1', 'volt', 'siemens' ...

    >>> from brian2 import mV
    >>> unit_text(-50 * mV), unit_text(0.6)
    ('volt', '1')
    """
    return "1" if get_dimensions(value).is_dimensionless else repr(get_unit(get_dimensions(value)))


def unit_words(value: Quantity | float) -> str:
    """The unit of a value as errors spell it: 'a plain number', 'a quantity in volt' ..."""
    return "a plain number" if unit_text(value) == "1" else f"a quantity in {unit_text(value)}"
