"""Names in the text of a kernel, which are made of those of groups and of their variables: each means one thing."""

from collections import Counter
from collections.abc import Iterator, Mapping

from dvs.errors import InputError
from learning.kernels.formulas import Coefficients, local
from learning.kernels.plan import Plan

_OF_GROUP = ("margin", "free", "spike", "slope", "active", "starts", "neurons", "values", "refractory")
_OF_STATE = ("before", "updated", "arrived", "heard", "input", "record")


def check_names(plan: Plan, coefficients: Mapping[str, Coefficients]) -> None:
    """Raise `InputError` where two things would have one name."""
    twice = [name for name, count in Counter(_names(plan, coefficients)).items() if count > 1]
    if twice:
        raise InputError(
            f"a kernel would call two things {sorted(twice)[0]!r}, after a group and its variable; give one of the two "
            "another name"
        )


def _names(plan: Plan, coefficients: Mapping[str, Coefficients]) -> Iterator[str]:
    populations, reading = plan.reading.populations, plan.reading
    yield "output_gradient"
    yield from {local(state) for p in populations for state in p.states}
    for p in populations:
        constants = plan.derivations[p.name].constants
        own = [*p.states, *(f"{name}_gradient" for name in ("count", *constants)), *_OF_GROUP]
        yield from (f"{p.name}_{what}" for what in own)
        yield from (f"{p.name}_{state}_{what}" for state in p.states for what in _OF_STATE)
        yield from (f"all_{p.name}_{what}" for what in (*p.states, "margin", "free"))
        yield from (f"all_{p.name}_{state}_adjoint" for state in p.states)
        yield from coefficients[p.name].named
    for name in reading.inputs:
        yield from (f"{name}_{what}" for what in ("starts", "neurons", "values"))
    for q in reading.projections:
        yield from (f"{q.name}_{what}" for what in ("first", "post", "delays"))
        yield from (f"{q.name}_{state}_{what}" for state in q.adds for what in ("weights", "transposed", "drive"))
    for c in reading.couplings:
        own = (*c.values, *(f"{name}_gradient" for name in c.values))
        yield from (f"{c.name}_{what}" for what in ("pre", "post", *own))
