"""Writes the source of a kernel: a module with two functions, a network step by step forward, and its derivative."""

from collections.abc import Mapping
from dataclasses import dataclass

from learning.kernels.backward import BackwardWriter
from learning.kernels.formulas import Coefficients
from learning.kernels.forward import ForwardWriter
from learning.kernels.names import check_names
from learning.kernels.plan import Plan
from learning.kernels.text import Text
from learning.kernels.writing import is_array

_HEAD = '''"""{title}

Generated from the Brian2 equations by microsaccade. Arrays of neurons are (samples, neurons), those that are kept
(samples, steps, neurons). The spikes of a step are GROUP_neurons[starts[sample, step]:starts[sample, step + 1]].
GROUP_margin is how far neurons are past their threshold, -inf where they are refractory. In `backward` a state stands
for its adjoint, the derivative of the loss by it; GROUP_STATE_before is what the state itself was before the update,
and GROUP_STATE_heard its adjoint at the moment at which synapses act.

Coefficients, which are computed before:
{where}
"""

{math}import numpy as np
from numba import njit

{imports}

real = np.{real}
'''

_DENORMALS = ("flush_denormals", "restore")
_LOOPS = ("add_graded_rows", "add_graded_synapses", "add_rows", "add_synapses", "gather_rows", "gather_synapses")


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """The text of a kernel, what its functions are given in this order, and the expressions of its coefficients."""

    text: str
    forward: tuple[str, ...]
    backward: tuple[str, ...]
    coefficients: Mapping[str, Coefficients]


def write(plan: Plan) -> Source:
    """The source of both functions."""
    coefficients = {
        p.name: Coefficients(owner=p.name, arrays=frozenset(k for k, v in p.constants.items() if is_array(v)))
        for p in plan.reading.populations
    }
    forward, backward = ForwardWriter(plan, coefficients).forward(), BackwardWriter(plan, coefficients).backward()
    check_names(plan, coefficients)
    named = {name: value for of_group in coefficients.values() for name, value in of_group.named.items()}
    for text in (forward, backward):
        for name in named:
            if name in text.words():
                text.argument(name)
    used = forward.words() | backward.words()
    imports = [
        f"from learning.kernels.{module} import {', '.join(found)}"
        for module, names in (("denormals", _DENORMALS), ("loops", _LOOPS))
        if (found := [name for name in names if name in used])
    ]
    head = _HEAD.format(
        title=f"One step of {', '.join(plan.populations)}, forward and backward.",
        where="\n".join(f"{name} = {value}" for name, value in named.items()),
        imports="\n".join(imports),
        math="import math\n\n" if "math" in used else "",
        real="float32" if plan.single else "float64",
    )
    return Source(
        text=f"{head}\n\n{_function('forward', forward, plan)}\n\n\n{_function('backward', backward, plan)}\n",
        forward=tuple(forward.arguments),
        backward=tuple(backward.arguments),
        coefficients=coefficients,
    )


def _function(name: str, body: Text, plan: Plan) -> str:
    arguments = "".join(f"    {argument},\n" for argument in body.arguments)
    keep = "    keep,\n" if name == "forward" else ""
    # Double precision is for proofs: there a product is rounded before it is added, as elsewhere.
    fast = '{"contract", "nsz"}' if plan.single else '{"nsz"}'
    options = f'nogil=True, cache=True, error_model="numpy", fastmath={fast}'
    return (
        f"@njit({options})\n"
        f"def {name}(\n    first,\n    last,\n    begin,\n    end,\n{keep}{arguments}):\n"
        f"{body.indented(1)}"
    )
