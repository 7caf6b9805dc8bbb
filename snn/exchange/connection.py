"""Brian2 Synapses as matrices of weights, if all they do is to add a weight when a spike comes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import sympy
from brian2 import Synapses
from brian2.core.variables import ArrayVariable
from brian2.groups.subgroup import Subgroup
from brian2.parsing.statements import parse_statement
from brian2.synapses.synapses import SummedVariableUpdater
from numpy.typing import NDArray
from scipy import sparse

from snn.exchange.reading import Reader
from snn.statements import statements

_MOST_DELAYS = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Connection:
    """What a spike of `source` adds to the variable `onto` of `target`, after a delay.

    weights: (n_post, n_pre); several synapses of a pair are added. delay_s: () or one of each presynaptic neuron.
    """

    name: str
    source: str
    target: str
    onto: str
    weights: sparse.csr_array
    delay_s: NDArray[np.float64]


def read_connections(synapses: Synapses, namespace: Mapping[str, object]) -> Iterator[Connection]:
    """The connections of one Synapses, one a pathway; InputError for what is more than a weight."""
    reader = Reader(synapses, namespace)
    summed = any(isinstance(part, SummedVariableUpdater) for part in synapses.contained_objects)
    if summed or synapses.equations.diff_eq_names:
        raise reader.refused("its synapses have dynamics of their own (plasticity or a summed variable); NIR's do not")
    for pathway in synapses._pathways:
        lines = statements(pathway.code)
        if pathway.prepost == "post" and lines:
            raise reader.refused("it does something at postsynaptic spikes; NIR has no plasticity")
        if not lines:
            continue
        if pathway.event != "spike":
            raise reader.refused(f"it acts on the event {pathway.event!r}; NIR has spikes only")
        variable, operation, text, _ = parse_statement(lines[0])
        added = reader.formula(text)
        onto = reader.variable(sympy.Symbol(variable))
        if len(lines) > 1 or operation not in ("+=", "-=") or onto.owner.name != _whole(synapses.target).name:
            raise reader.refused(f"on_pre is {'; '.join(lines)!r}, expected one line such as 'v_post += w'")
        for symbol in added.free_symbols:
            if symbol.name.endswith("_pre") and not reader.variable(symbol).constant:
                raise reader.refused(f"what a spike does depends on {symbol} at that time; NIR's spikes are not graded")
        source, target = _whole(synapses.source), _whole(synapses.target)
        pre, post = (synapses.variables[name].get_value() for name in ("_synaptic_pre", "_synaptic_post"))
        weights = np.broadcast_to(reader.numbers(added if operation == "+=" else -added), pre.shape)
        name = synapses.name if len(synapses._pathways) == 1 else pathway.name
        parts = _delays(reader, pathway.variables["delay"], pre, source.N)
        for number, (delay_s, chosen) in enumerate(parts):
            entries = weights[chosen], (post[chosen], pre[chosen])
            yield Connection(
                name=name if len(parts) == 1 else f"{name}_{number}",
                source=source.name,
                target=target.name,
                onto=onto.name,
                weights=sparse.coo_array(entries, shape=(target.N, source.N)).tocsr(),
                delay_s=delay_s,
            )


def _whole(group: object) -> object:
    return group.source if isinstance(group, Subgroup) else group


def _delays(
    reader: Reader, variable: ArrayVariable, pre: NDArray, n_pre: int
) -> list[tuple[NDArray[np.float64], NDArray | slice]]:
    """Delays, () or one of each presynaptic neuron, each with the synapses that have it."""
    delay_s = variable.get_value()
    values = np.unique(delay_s)
    if values.size <= 1:
        return [(values.sum(), slice(None))]  # 0 without synapses
    of_neuron = np.zeros(n_pre)
    of_neuron[pre] = delay_s
    if np.all(of_neuron[pre] == delay_s):
        return [(of_neuron, slice(None))]
    if values.size > _MOST_DELAYS:
        raise reader.refused(
            f"its synapses have {values.size} different delays, expected at most {_MOST_DELAYS}, "
            "each of which is a matrix in NIR, or one for all synapses of a neuron; round them"
        )
    return [(value, delay_s == value) for value in values]
