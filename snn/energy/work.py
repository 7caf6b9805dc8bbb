"""What one execution of a Brian2 text costs: its arithmetic, and what it reads and writes in memory.

The text is taken after Brian2's own optimisation, so that what is the same for all neurons (`exp(-dt/tau)`) is not
counted for each.
"""

import ast
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields

from brian2 import Synapses
from brian2.codegen.statements import Statement
from brian2.codegen.translation import make_statements
from brian2.core.variables import ArrayVariable, Variable

_LIKE_ADDITIONS = {"int": 1, "int_": 1, "float_": 0, "timestep": 1, "abs": 1, "sign": 1, "clip": 2}
"""Functions that a circuit does with a comparison or none, and how many."""

NEURON_INDICES = ("_presynaptic_idx", "_postsynaptic_idx")
"""Where a synapse finds the neuron before it, and the one behind it."""

FLAGS = frozenset({"not_refractory"})
"""What Brian2 keeps but follows from `lastspike`."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Operations of one execution, for one neuron or one synapse; reads and writes are in words.

    A comparison is an addition. functions: divisions, powers, exponentials, random numbers and all else. weight: by
    which synapses weigh. trace: of what else synapses keep. state: of neurons. index_reads: addresses of where a
    synapse leads, and of the weight that it shares.
    """

    additions: int = 0
    multiplications: int = 0
    functions: int = 0
    weight_reads: int = 0
    weight_writes: int = 0
    trace_reads: int = 0
    trace_writes: int = 0
    state_reads: int = 0
    state_writes: int = 0
    index_reads: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


def work_of(
    code: str, variables: Mapping[str, Variable], indices: Mapping[str, str], weights: Collection[int] = ()
) -> Work:
    """The work of a text for one neuron, or for one synapse.

    variables: of every name in it. indices: of the arrays, as Brian2 has them: "_idx" where each neuron or synapse has
    a value of its own. weights: the variables by which synapses weigh, as their `id`.
    """
    if not code.strip():
        return Work()
    _, statements = make_statements(code, variables, float, optimise=True)
    arithmetic = [0, 0, 0]
    reads, writes = set(), set()
    for statement in statements:
        for kind, count in _operations(statement):
            arithmetic[kind] += count
        reads |= {node.id for node in ast.walk(ast.parse(statement.expr)) if isinstance(node, ast.Name)} - writes
        if statement.inplace and statement.var not in writes:
            reads.add(statement.var)
        writes.add(statement.var)
    reads, writes = ({name for name in names if _is_stored(name, variables, indices)} for names in (reads, writes))
    kinds = {name: _kind_of_memory(variables[name], indices[name], weights) for name in reads | writes}
    words = Counter([f"{kinds[name]}_reads" for name in reads] + [f"{kinds[name]}_writes" for name in writes])
    return Work(
        additions=arithmetic[_ADDITION],
        multiplications=arithmetic[_MULTIPLICATION],
        functions=arithmetic[_FUNCTION],
        index_reads=len({indices[name] for name in reads | writes if is_shared(indices[name])}),
        **words,
    )


_ADDITION, _MULTIPLICATION, _FUNCTION = range(3)


def _operations(statement: Statement) -> Iterator[tuple[int, int]]:
    """(kind, how many) of the operations of a statement."""
    if statement.inplace:
        yield _kind(statement.op.rstrip("=")), 1
    for node in ast.walk(ast.parse(statement.expr)):
        match node:
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                yield _ADDITION, 1
            case ast.BinOp(op=ast.Mult()):
                yield _MULTIPLICATION, 1
            case ast.BinOp():
                yield _FUNCTION, 1
            case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
                yield _ADDITION, 1
            case ast.Compare(ops=ops):
                yield _ADDITION, len(ops)
            case ast.Call(func=ast.Name(id=name)):
                yield (_ADDITION, _LIKE_ADDITIONS[name]) if name in _LIKE_ADDITIONS else (_FUNCTION, 1)


def _kind(operator: str) -> int:
    return {"+": _ADDITION, "-": _ADDITION, "*": _MULTIPLICATION}.get(operator, _FUNCTION)


def _is_stored(name: str, variables: Mapping[str, Variable], indices: Mapping[str, str]) -> bool:
    """Whether it is an array that every neuron or synapse looks into, at a place of its own."""
    variable = variables.get(name)
    is_array = isinstance(variable, ArrayVariable) and not variable.scalar
    return is_array and indices.get(name, "0") != "0" and name not in FLAGS


def _kind_of_memory(variable: ArrayVariable, index: str, weights: Collection[int]) -> str:
    if id(variable) in weights:
        return "weight"
    at_synapse = is_shared(index) or (isinstance(variable.owner, Synapses) and index not in NEURON_INDICES)
    return "trace" if at_synapse else "state"


def is_shared(index: str) -> bool:
    """Whether it is by a variable of their own that synapses find something."""
    return index not in ("_idx", "0", *NEURON_INDICES)
