"""Numbers as people read them: a few digits, a prefix and the unit."""

import math

_PREFIXES = {-5: "f", -4: "p", -3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G"}


def with_prefix(value: float, unit: str, digits: int = 3) -> str:
    """So many digits, a prefix from femto to giga, and the unit.

    >>> with_prefix(2.721e-4, "J"), with_prefix(23.6e-12, "J"), with_prefix(0.0295392, "W", 5), with_prefix(0, "s")
    ('272 µJ', '23.6 pJ', '29.539 mW', '0 s')
    """
    factor, prefix = prefix_for(float(f"{value:.{digits}g}"))
    return f"{shown(value / factor, digits)} {prefix}{unit}"


def prefix_for(value: float) -> tuple[float, str]:
    """The power of a thousand that leaves one to three digits before the point, and its prefix.

    >>> prefix_for(2.721e-4)
    (1e-06, 'µ')
    """
    # The exponent of the decimal text: a logarithm puts 1e-6 just below 1e-6.
    power = math.floor(int(f"{value:e}".split("e")[1]) / 3) if value and math.isfinite(value) else 0
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return float(f"1e{3 * power}"), _PREFIXES[power]


def shown(value: float, digits: int) -> str:
    """A number with so many digits, thousands apart, never as a power of ten between 1e-4 and 1e15.

    >>> shown(5437656, 9), shown(5437656.125, 9), shown(0.3125, 3), shown(1000.4, 3)
    ('5,437,656', '5,437,656.12', '0.312', '1,000')
    """
    if not math.isfinite(value) or (value and not 1e-4 <= abs(value) < 1e15):
        return f"{value:.{digits}g}"
    rounded = float(f"{value:.{digits}g}")
    exponent = int(f"{rounded:e}".split("e")[1]) if rounded else 0
    text = f"{rounded:,.{max(0, digits - 1 - exponent)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
