"""The threshold: how far a neuron is from it, and what of its spike an error passes back through."""

import numpy as np
import sympy
from brian2 import Quantity

from dvs.errors import ParameterError
from learning.derivation import Derivation, value_of
from learning.reading import Population
from learning.symbols import symbol


def distance(p: Population, given: Quantity | float | None = None) -> float:
    """What counts as 1 of the margin, in SI units: as far from the threshold as neurons are at the start, or given."""
    if given is not None:
        found = float(given)
    else:
        found = float(np.abs(value_of(p.margin, p, p.start)).mean())
    if not (found > 0 and np.isfinite(found)):
        raise ParameterError(
            f"{p.name} is {found} from its threshold at the start, so a distance that counts as 1 is not known; "
            f"give scale={{'{p.name}': ...}}"
        )
    return found


def jumps(derivation: Derivation, through_reset: bool) -> dict[str, sympy.Expr]:
    """By how much a spike changes each state through whose change an error passes."""
    population, margin = derivation.population, derivation.margin
    return {
        state: value - symbol(state)
        for state, value in population.reset.items()
        if through_reset
        or state not in margin
        # What rises towards the threshold is what a reset takes back; an adaptation falls, or is not in it.
        or value_of(margin[state], population, population.start).mean() <= 0
    }
