"""NIR's neurons as Brian2 texts.

A current lasts one step: `dI/dt = -I/dt`, of which Euler's method makes I = 0 before the spikes of a step add to it
again. So v does what libraries compute step by step, v <- v + (dt/tau) (v_leak - v + R W x), and a reset leaves the
input that arrives in the same step alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from brian2 import Clock, Hz, NeuronGroup, Quantity, second
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray

from dvs.errors import InputError
from snn.exchange.graph import SPIKING, Constant, numbers
from snn.parameters import unit_text

if TYPE_CHECKING:
    import nir

Reset = Literal["file", "subtract", "subtract-late"]

# NIR's names of numbers, and the names that neurons have in `snn.neurons`.
_NAMES = {
    "tau": "tau", "tau_mem": "tau", "tau_syn": "tau_syn", "v_leak": "v_rest", "r": "R",
    "v_threshold": "threshold", "threshold": "threshold", "v_reset": "v_reset",
}  # fmt: skip

# What was 1 before it was rounded to float32, times and over another number.
_FLOAT32 = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """A NIR neuron in Brian2's words. onto: the variable a spike changes, by gain, () or (n,), times the weight."""

    equations: str
    threshold: str | None
    reset: str | None
    method: str
    values: Mapping[str, Quantity | NDArray[np.float64]]
    onto: str
    gain: Constant

    def group(self, n: int, name: str, clock: Clock) -> NeuronGroup:
        """A group of n, at rest. Numbers that all share are in its namespace, others are constants of each neuron."""
        shared = {key: _one(value) for key, value in self.values.items() if np.all(value == value[0])}
        own = {key: value for key, value in self.values.items() if key not in shared}
        constants = [f"{key} : {unit_text(value)} (constant)" for key, value in own.items()]
        group = NeuronGroup(
            n, "\n".join([self.equations, *constants]), threshold=self.threshold, reset=self.reset, method=self.method,
            namespace=shared, clock=clock, name=name,
        )  # fmt: skip
        for key, value in own.items():
            setattr(group, key, value)
        if "v_rest" in self.values:
            group.v = "v_rest"
        return group


def cell(name: str, kind: str, node: "nir.NIRNode", bias: Constant, dt_s: float, reset: Reset) -> Cell:
    """The neuron that a node is. bias: the constant that reaches it."""
    given = {key: np.ravel(value) for key, value in numbers(node).items()}
    method = node.metadata.get("method") if node.metadata.get("method") in StateUpdateMethod.stateupdaters else "euler"
    values = {_NAMES[key]: value for key, value in given.items() if key in _NAMES}
    for key in {"tau", "tau_syn"} & set(values):
        if not np.all(values[key] > 0):
            raise InputError(
                f"the node {name!r} ({kind}) has a time constant of {values[key].min():g} s, expected more than 0"
            )
    leaky = "tau" in values
    onto = "v" if node.metadata.get("onto") == "v" and kind in ("LIF", "LI", "IF", "I") else "I"
    gain: Constant = 1.0
    if "tau_syn" in values:
        gain, bias = given["w_in"] * dt_s / given["tau_syn"], given["w_in"] * bias
    elif onto == "v":
        gain = given["r"] * dt_s / (given["tau"] if leaky else 1.0)
    else:
        method = "euler"  # as dI/dt = -I/dt supposes
    values["bias"] = np.ravel(bias)
    text = _equations(kind, onto, leaky, bool(np.any(bias)), _current_time(values, method))
    spikes = kind in SPIKING
    threshold = f"v {'>=' if node.metadata.get('threshold') == '>=' else '>'} threshold" if spikes else None
    how = node.metadata.get("reset") if reset == "file" else reset
    if how == "subtract-late" and leaky and not np.all(values["tau"] > dt_s):
        raise InputError(f"the node {name!r} ({kind}) forgets v within a step; nothing can be subtracted a step later")
    after = _reset(kind, leaky, how) if spikes else None
    units = {"tau": second, "tau_syn": second, "R": 1 if leaky else Hz}
    used = get_identifiers(f"{text} {threshold} {after}")
    return Cell(
        equations=text,
        threshold=threshold,
        reset=after,
        method=method,
        values={key: value * units.get(key, 1) for key, value in values.items() if key in used},
        onto=onto,
        gain=np.where(np.abs(gain - 1) < _FLOAT32, 1.0, gain),
    )


def _equations(kind: str, onto: str, leaky: bool, biased: bool, time: str) -> str:
    if kind == "Threshold":
        potential = "(I - v)/dt"
    else:
        drive = "R*I" if onto == "I" else "R*bias" if biased else ""
        potential = f"(v_rest - v{drive and f' + {drive}'})/tau" if leaky else drive or "0/second"
    current = f"\ndI/dt = {'(bias - I)' if biased else '-I'}/{time} : 1" if onto == "I" else ""
    return f"dv/dt = {potential} : 1{current}"


def _current_time(values: Mapping[str, NDArray], method: str) -> str:
    if "tau_syn" not in values:
        return "dt"
    # The exact solution divides by tau - tau_syn. Under one name Brian2 solves the case of equals.
    equal = method in ("exact", "linear") and np.allclose(values["tau"], values["tau_syn"], rtol=1e-9, atol=0)
    return "tau" if equal else "tau_syn"


def _reset(kind: str, leaky: bool, how: str | None) -> str:
    if kind == "Threshold":
        return ""
    if how == "subtract-late" and leaky:
        # What is taken off in the step after the spike escapes the leak of that step.
        return "v -= (threshold - v_reset)/(1 - dt/tau)"
    return "v -= threshold - v_reset" if how in ("subtract", "subtract-late") else "v = v_reset"


def _one(values: Quantity | NDArray[np.float64]) -> Quantity | float:
    return values[0] if isinstance(values, Quantity) else float(values[0])
