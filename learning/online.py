"""Optimisers as Brian2 text: what `learning.SGD`, `Momentum` and `Adam` do to one weight of a synapse."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from brian2 import Quantity, have_same_dimensions

from dvs.errors import ParameterError
from learning.optimisers import SGD, Adam, Momentum, Nesterov, Optimiser
from snn.parameters import unit_words

Value = Quantity | float

# Stands for a limit that is not there.
_BEYOND = 1e300


@dataclass(frozen=True, kw_only=True)
class Update:
    """How a change becomes a new weight: at once in each step, or summed, as the text of an optimiser.

    equations: what an optimiser remembers, and its rate, which may be changed between two runs. each_step: with the
    blank {change}. summed: of `change_sum`. shared: statements that are the same for all synapses. start: values of
    variables.
    """

    equations: str = ""
    each_step: str
    summed: str
    shared: str = ""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    start: Mapping[str, Value] = field(default_factory=dict)


def updating(optimiser: Optimiser | None, *, limits: tuple[Value | None, Value | None], unit: Quantity) -> Update:
    """The texts of an optimiser, or of a plain sum.

    limits: of the weight, None where there is none. unit: of the weight. Raises ParameterError for another optimiser,
    a schedule, or limits that do not fit.
    """
    low, high = limits
    parameters: dict[str, Value] = {}
    for value in limits:
        if value is not None and not have_same_dimensions(value, unit):
            raise ParameterError(f"limits of the weight: {unit_words(value)} came, expected {unit_words(unit)}")
    if low is not None or high is not None:
        parameters = {
            "w_min": -_BEYOND * unit if low is None else low,
            "w_max": _BEYOND * unit if high is None else high,
        }
        if not parameters["w_min"] < parameters["w_max"]:
            raise ParameterError(f"limits of the weight are {low} and {high}, expected the lower one first")
    new = "clip(w + {step}, w_min, w_max)" if parameters else "w + {step}"
    each_step = f"w = {new.format(step='{change}')}"
    if optimiser is None:
        return Update(each_step=each_step, summed=f"w = {new.format(step='change_sum')}", parameters=parameters)
    if callable(optimiser.learning_rate):
        raise ParameterError(
            "a schedule of learning rates cannot run inside Brian2; give one number, and set learning_rate of what "
            "learns between two runs"
        )
    match optimiser:
        case SGD():
            equations, before, step, shared = "", "", "learning_rate*change_sum", ""
        case Nesterov():
            raise ParameterError("Nesterov's momentum has no text for Brian2; use Momentum or Adam")
        case Momentum():
            parameters["momentum"] = optimiser.momentum
            equations, shared = "velocity : {unit}", ""
            before, step = "velocity = momentum*velocity + change_sum\n", "learning_rate*velocity"
        case Adam() if type(optimiser) is Adam:
            parameters |= {"beta1": optimiser.beta1, "beta2": optimiser.beta2, "epsilon": optimiser.epsilon}
            parameters["w_unit"] = unit
            equations = "mean : {unit}\nsquare : 1\nupdates : integer (shared)"
            shared = "updates += int(t > 0*second)"  # nothing has been summed before the first step
            before = (
                "mean = beta1*mean + (1 - beta1)*change_sum\n"
                "square = beta2*square + (1 - beta2)*(change_sum/w_unit)**2\n"
            )
            corrected = "(1 - beta2**clip(updates, 1, inf))"
            fading = f"/sqrt{corrected}" if optimiser.fading_epsilon else ""
            step = f"learning_rate*mean/(1 - beta1**clip(updates, 1, inf))/(sqrt(square/{corrected}) + epsilon{fading})"
        case _:
            raise ParameterError(
                f"{type(optimiser).__name__} has no text for Brian2; use SGD, Momentum or Adam, or no optimiser"
            )
    return Update(
        equations=f"learning_rate : 1 (shared)\n{equations}",
        each_step=each_step,
        summed=f"{before}w = {new.format(step=step)}",
        shared=shared,
        parameters=parameters,
        start={"learning_rate": optimiser.learning_rate},
    )
