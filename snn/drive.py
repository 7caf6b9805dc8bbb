"""A Brian2 network made ready once, then advanced and put back as often as you like.

`Network.run` prepares every object anew at each call, which takes far longer than a sample of 100 steps. Here the
objects are prepared once, and their code is called in Brian2's own order.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

import numpy as np
from brian2 import BrianObject, Clock, Network, NeuronGroup, Quantity, SpikeGeneratorGroup, Synapses
from brian2.codegen.runtime.cython_rt import CythonCodeObject
from brian2.core.variables import ArrayVariable
from brian2.equations.equations import PARAMETER
from brian2.groups.group import CodeRunner
from brian2.groups.neurongroup import Thresholder
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway

from dvs.errors import InputError, ParameterError
from snn.statements import assigned


class Drive:
    """Steps through a network; `reset` brings back the state that it had when the drive was made.

    namespace: where names of equations are looked up that the groups do not hold themselves, as in `Network.run`.
    keep: variables, as "group.variable", that `reset` leaves as they are. Synaptic parameters that synapses change
    themselves, which is what plastic weights are, are kept too. What a `network_operation` changes by itself is not
    known here and is kept.
    """

    def __init__(self, network: Network, namespace: Mapping[str, object], *, keep: Collection[str] = ()) -> None:
        self._network = network
        self._namespace = namespace
        self._objects = [obj for obj in network.sorted_objects if obj.active]
        self._made_of = set(network.objects)
        self._clocks = list({obj.clock for obj in self._objects})
        for clock in self._clocks:
            if not isinstance(clock, Clock):
                raise InputError(f"{clock.name} is a {type(clock).__name__}; use clocks that tick with one dt each")
            clock.set_interval(network.t, network.t)
        network._clocks = set(self._clocks)
        network.before_run(namespace)
        self._calls: list[tuple[Clock, Callable[[], object]]] = []
        for obj in self._objects:
            self._calls += [(obj.clock, call) for call in _calls(obj)]
        # What is called when those of the different dt tick that the key names.
        self._called: dict[tuple[int, ...], list[Callable[[], object]]] = {}
        self._times = {
            clock: tuple(clock.variables[name].get_value() for name in ("timestep", "t", "dt"))
            for clock in self._clocks
        }
        self._start = {clock: (int(step[0]), float(t[0])) for clock, (step, t, _) in self._times.items()}
        self.plastic, transient = changing_variables(self._objects, keep)
        self._saved = [(variable, np.array(variable.get_value())) for variable in transient]
        self._queues = [
            (obj.queue, obj.queue._full_state()) for obj in self._objects if isinstance(obj, SynapticPathway)
        ]
        self._events = [
            obj.variables[f"_{event}space"].get_value()
            for obj in self._objects if isinstance(obj, NeuronGroup) for event in obj.events
        ]  # fmt: skip

    def after_each_step(self, clock: Clock, call: Callable[[], object]) -> None:
        """Let `call` be called at the end of every step of a clock."""
        self._calls.append((clock, call))
        self._called.clear()

    def first_step(self, clock: Clock) -> int:
        """The step of a clock to which `reset` goes back."""
        return self._start[clock][0]

    def next_step(self, clock: Clock) -> int:
        """The step of a clock with which `advance` goes on."""
        return _steps(float(self._network.t_), float(self._times[clock][2][0]))

    def advance(self, duration: Quantity) -> None:
        """Run for `duration`; several clocks tick together where their times agree, as in Brian2."""
        if self._made_of != set(self._network.objects):
            raise InputError(
                f"objects were added to or removed from {self._network.name} since it was made ready; "
                "make the Runner or Stepper after that"
            )
        for clock, (step, t, dt) in self._times.items():
            # Other networks may have moved a clock that all share.
            step[0] = self.next_step(clock)
            t[0] = step[0] * dt[0]
        for obj in self._objects:
            if isinstance(obj, SpikeGeneratorGroup) and obj._spikes_changed:
                obj.before_run(self._namespace)  # where Brian2 makes steps of the times of `set_spikes`
        until_s = float(self._network.t_) + float(duration)
        if len(self._clocks) == 1:
            self._advance_one_clock(until_s)
        else:
            self._advance_clocks(until_s)
        self._network.t_ = until_s

    def reset(self) -> None:
        """Go back to the beginning."""
        for variable, value in self._saved:
            variable.get_value()[:] = value
        for queue, state in self._queues:
            queue._restore_from_full_state(state)
        for space in self._events:
            space[-1] = 0
        for clock, (step, t_s) in self._start.items():
            self._times[clock][0][0], self._times[clock][1][0] = step, t_s
        self._network.t_ = min(t_s for _, t_s in self._start.values())

    def _advance_one_clock(self, until_s: float) -> None:
        (step, t, dt), calls = self._times[self._clocks[0]], [call for _, call in self._calls]
        dt_s = float(dt[0])
        for now in range(int(step[0]), _steps(until_s, dt_s)):
            for call in calls:
                call()
            step[0] = now + 1
            t[0] = (now + 1) * dt_s

    def _advance_clocks(self, until_s: float) -> None:
        """Clocks of one dt tick as one: `advance` has put all of them to the same step."""
        ticking: dict[float, list[Clock]] = {}
        for clock, (_, _, dt) in self._times.items():
            ticking.setdefault(float(dt[0]), []).append(clock)
        sizes = list(ticking)
        steps = [int(self._times[ticking[dt_s][0]][0][0]) for dt_s in sizes]
        ends = [_steps(until_s, dt_s) for dt_s in sizes]
        times = [[self._times[clock][:2] for clock in clocks] for clocks in ticking.values()]
        which = range(len(sizes))
        while True:
            now_s = [steps[k] * sizes[k] for k in which]
            first = min(which, key=now_s.__getitem__)
            if steps[first] >= ends[first]:
                return
            current = tuple(
                k for k in which if abs(now_s[k] - now_s[first]) <= Clock.epsilon_dt * min(sizes[k], sizes[first])
            )
            if current not in self._called:
                clocks = {clock for k in current for clock in ticking[sizes[k]]}
                self._called[current] = [call for owner, call in self._calls if owner in clocks]
            for call in self._called[current]:
                call()
            for k in current:
                steps[k] += 1
                for step, t in times[k]:
                    step[0] = steps[k]
                    t[0] = steps[k] * sizes[k]


def _steps(until_s: float, dt_s: float) -> int:
    """The first step that is not before `until_s`, with Brian2's tolerance."""
    return int(np.ceil(until_s / dt_s - Clock.epsilon_dt))


def _calls(obj: BrianObject) -> Iterator[Callable[[], object]]:
    if isinstance(obj, SpikeGeneratorGroup):
        yield obj.run  # `set_spikes` makes its code anew
    elif type(obj).run is BrianObject.run:
        for code in obj._code_objects:
            if isinstance(code, CythonCodeObject) and not code.nonconstant_values:
                # What `code()` ends in: a third of the time of a step is spent on the way there.
                if code.compiled_code["run"]:
                    yield partial(code.compiled_code["run"].main, code.namespace)
            else:
                yield code.__call__
    else:
        yield obj.run


def changing_variables(
    objects: Collection[BrianObject], keep: Collection[str]
) -> tuple[dict[str, ArrayVariable], list[ArrayVariable]]:
    """What a step of these objects changes: the plastic weights by name, and what a reset puts back.

    Raises `ParameterError` for a name in `keep` that no step changes.
    """
    written = dict(_written_variables(objects))
    unknown = set(keep) - set(written)
    if unknown:
        raise ParameterError(f"keep names {sorted(unknown)}, but a step changes only {sorted(written)}")
    plastic = {name: variable for name, variable in written.items() if _is_weight(variable)}
    return plastic, [variable for name, variable in written.items() if name not in {*keep, *plastic}]


def _written_variables(objects: Collection[BrianObject]) -> Iterator[tuple[str, ArrayVariable]]:
    """Every array that a step of these objects changes, by "owner.variable"."""
    for obj in objects:
        names, variables = set(), {}
        if isinstance(obj, SpikeGeneratorGroup):
            names, variables = {"_lastindex"}, obj.variables
        elif isinstance(obj, CodeRunner):
            code, variables = obj.abstract_code, obj.group.variables
            for text in code.values() if isinstance(code, dict) else [code]:
                names |= assigned(str(text))
            if isinstance(obj, Thresholder) and obj.template_kwds["_uses_refractory"]:
                names |= {"lastspike", "not_refractory"}
        if isinstance(obj, SummedVariableUpdater):
            yield f"{obj.target.name}.{obj.target_var.name}", obj.target_var
        for name in sorted(names):
            variable = variables.get(name)
            if isinstance(variable, ArrayVariable):
                yield f"{variable.owner.name}.{variable.name}", variable


def _is_weight(variable: ArrayVariable) -> bool:
    """Whether it is a parameter of synapses, not a trace that follows an equation."""
    owner = variable.owner
    return (
        isinstance(owner, Synapses)
        and variable.name in owner.equations
        and owner.equations[variable.name].type == PARAMETER
    )
