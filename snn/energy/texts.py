"""The texts that Brian2 executes for the objects of a network, and what the names in them stand for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from brian2 import Synapses
from brian2.core.variables import ArrayVariable, Variable
from brian2.equations.equations import PARAMETER
from brian2.groups.group import CodeRunner
from brian2.parsing.statements import parse_statement
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from brian2.utils.stringtools import get_identifiers

from snn.energy.work import NEURON_INDICES, Work, work_of
from snn.names import resolved
from snn.statements import statements


class Texts:
    """What the names in the texts of a network stand for, and which of them are weights."""

    def __init__(self, namespace: Mapping[str, Any], runners: Sequence[CodeRunner]) -> None:
        self._namespace = namespace
        self.weights = frozenset(
            id(variable)
            for runner in runners
            if isinstance(runner.group, Synapses)
            for variable in self._weighs(runner)
        )

    def known(self, runner: CodeRunner) -> dict[str, Variable]:
        """Every name in the texts of a runner."""
        return {
            name: one
            for text in texts_of(runner)
            for name, one in resolved(runner.group, self._namespace, text).items()
        }

    def work(self, *runners: CodeRunner) -> Work:
        """The work of runners of one group that are executed together."""
        known = {name: one for runner in runners for name, one in self.known(runner).items()}
        text = "\n".join(text for runner in runners for text in texts_of(runner))
        return work_of(text, known, runners[0].group.variables.indices, self.weights)

    def _weighs(self, runner: CodeRunner) -> Iterator[Variable]:
        """The parameters of synapses that are in what they do to other neurons."""
        known, indices = self.known(runner), runner.group.variables.indices
        for line in outer_statements(runner):
            for name in get_identifiers(line) & set(known):
                variable = known[name]
                if isinstance(variable, ArrayVariable) and indices.get(name, "0") not in ("0", *NEURON_INDICES):
                    equation = variable.owner.equations.get(variable.name)
                    if equation is not None and equation.type == PARAMETER:
                        yield variable


def outer_statements(runner: CodeRunner) -> list[str]:
    """The statements by which synapses change neurons."""
    if isinstance(runner, SummedVariableUpdater):
        return list(texts_of(runner))
    if not isinstance(runner, SynapticPathway):
        return []
    indices = runner.group.variables.indices
    return [line for line in statements(runner.code) if indices.get(_assigned(line), "") in NEURON_INDICES]


def texts_of(runner: CodeRunner) -> Iterator[str]:
    """What a runner executes, for a neuron that is not refractory."""
    code = runner.abstract_code
    for text in code.values() if isinstance(code, Mapping) else [code]:
        if text and text.strip():
            yield re.sub(r"\bint_?\(not_refractory\)", "1", text)


def _assigned(line: str) -> str:
    return parse_statement(line)[0]
