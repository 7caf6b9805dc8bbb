"""Writes the two functions of a kernel: a network step by step forward, and the derivative of that backward.

Both go through the steps of one sample after another, in the order of a Brian2 step: update, threshold, synapses,
reset. The backward function takes the same in reverse: it carries the adjoint of each state, the derivative of the loss
by it, from the end of a step to its beginning.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import sympy

from learning.kernels.formulas import Coefficients, lines, local, scalar_code, synapse_lines
from learning.kernels.names import check_names
from learning.kernels.plan import Plan
from learning.kernels.text import Text
from learning.reading import Coupling, Population, Projection
from learning.symbols import symbol

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
    writer = _Writer(plan)
    forward, backward = writer.forward(), writer.backward()
    check_names(plan, writer.coefficients)
    for text in (forward, backward):
        used = set(re.findall(r"\w+", text.indented(0)))
        for coefficients in writer.coefficients.values():
            for name in coefficients.named:
                if name in used:
                    text.argument(name)
    precision = "float32" if plan.single else "float64"
    used = set(re.findall(r"\w+", forward.indented(0) + backward.indented(0)))
    imports = [
        f"from learning.kernels.{module} import {', '.join(found)}"
        for module, names in (("denormals", _DENORMALS), ("loops", _LOOPS))
        if (found := [name for name in names if name in used])
    ]
    where = [f"{name} = {value}" for c in writer.coefficients.values() for name, value in c.named.items()]
    head = _HEAD.format(
        title=f"One step of {', '.join(plan.populations)}, forward and backward.",
        where="\n".join(where),
        imports="\n".join(imports),
        math="import math\n\n" if "math" in used else "",
        real=precision,
    )
    return Source(
        text=f"{head}\n\n{_function('forward', forward, plan)}\n\n\n{_function('backward', backward, plan)}\n",
        forward=tuple(forward.arguments),
        backward=tuple(backward.arguments),
        coefficients=writer.coefficients,
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


class _Writer:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.wiring = plan, plan.wiring
        self.coefficients = {
            p.name: Coefficients(
                owner=p.name, arrays=frozenset(name for name, value in p.constants.items() if _is_array(value))
            )
            for p in plan.reading.populations
        }

    # Forward

    def forward(self) -> Text:
        text, plan = Text(), self.plan
        if plan.single:
            text.line("mode = flush_denormals()")
        for p in plan.reading.populations:
            for state in self._buffered(p):
                text.line(f"{p.name}_{state}_input = np.zeros({text.argument(f'all_{p.name}_{state}')}.shape[1], real)")
        with text.block("for sample in range(first, last)"):
            for p in plan.reading.populations:
                self._rows(text, p)
            with text.block("for step in range(begin, end)"):
                text.line("row = (step - begin) * keep")
                for c in plan.reading.couplings:
                    self._coupling(text, c)
                for p in plan.reading.populations:
                    self._update(text, p)
                for p in plan.reading.populations:
                    if p.margin is not None:
                        self._threshold(text, p)
                for q in plan.reading.projections:
                    self._synapses(text, q)
                for p in plan.reading.populations:
                    self._arrivals(text, p)
                for p in plan.reading.populations:
                    if p.margin is not None:
                        self._reset(text, p)
                self._output(text)
        if plan.single:
            text.line("restore(mode)")
        return text

    def _rows(self, text: Text, p: Population) -> None:
        for state in p.states:
            text.line(f"{p.name}_{state} = {text.argument(f'all_{p.name}_{state}')}[sample]")
        if p.refractory_steps is not None:
            text.line(f"{p.name}_free = {text.argument(f'all_{p.name}_free')}[sample]")

    def _coupling(self, text: Text, c: Coupling) -> None:
        total = f"{c.target}_{c.variable}"
        text.line(f"# {c.name}: a sum over synapses")
        text.line(f"{total}[:] = 0")
        pre, post = text.argument(f"{c.name}_pre"), text.argument(f"{c.name}_post")
        names = {name: f"{c.source}_{state}[{pre}[synapse]]" for name, state in c.pre_states.items()}
        names |= {name: f"{c.target}_{state}[{post}[synapse]]" for name, state in c.post_states.items()}
        with text.block(f"for synapse in range({pre}.size)"):
            before, (code,) = synapse_lines([c.value], names | self._values_of(text, c, [c.value]))
            for line in before:
                text.line(line)
            text.line(f"{total}[{post}[synapse]] += {code}")

    def _values_of(self, text: Text, c: Coupling, used: Iterable[sympy.Expr]) -> dict[str, str]:
        """Code of the numbers of a synapse that some expressions use."""
        names = {free.name for value in used for free in value.free_symbols}
        return {
            name: text.argument(f"{c.name}_{name}") + ("[synapse]" if _is_array(value) else "")
            for name, value in c.values.items()
            if name in names
        }

    def _coupling_reversed(self, text: Text, c: Coupling) -> None:
        slopes = self.plan.coupling_slopes(c)
        if c.source not in self.plan.relevant:
            slopes = {name: value for name, value in slopes.items() if name not in c.pre_states}
        total = f"{c.target}_{c.variable}"
        text.line(f"# {c.name}: a sum over synapses")
        pre, post = text.argument(f"{c.name}_pre"), text.argument(f"{c.name}_post")
        names = {
            name: f"{text.argument(f'{end}_{state}_before')}[sample, row, {place}[synapse]]"
            for end, place, states in ((c.source, pre, c.pre_states), (c.target, post, c.post_states))
            for name, state in states.items()
            if any(value.has(symbol(name)) for value in slopes.values())
        }
        with text.block(f"for synapse in range({pre}.size)"):
            before, codes = synapse_lines(slopes.values(), names | self._values_of(text, c, slopes.values()))
            for line in before:
                text.line(line)
            text.line(f"through = {total}[{post}[synapse]]")
            for name, code in zip(slopes, codes, strict=True):
                if name in c.pre_states:
                    place = f"{c.source}_{c.pre_states[name]}[{pre}[synapse]]"
                elif name in c.post_states:
                    place = f"{c.target}_{c.post_states[name]}[{post}[synapse]]"
                else:
                    place = f"{text.argument(f'{c.name}_{name}_gradient')}[sample, synapse]"
                text.line(f"{place} += {_times(code, 'through')}")
        text.line(f"{total}[:] = 0")

    def _update(self, text: Text, p: Population) -> None:
        name, kept = p.name, self.plan.kept(p.name)
        differs = {s for s in p.states if p.refractory_steps is not None and p.held[s] != p.step[s]}
        changing = [s for s in p.states if p.step[s] != symbol(s) or s in differs]
        for state in kept["before"]:
            text.line(f"{text.argument(f'{name}_{state}_before')}[sample, row] = {name}_{state}")
        if not changing:
            return
        text.line(f"# {name}: update")
        with text.block(f"for neuron in range({name}_{p.states[0]}.size)"):
            self._load(
                text, p, _used(p.states, [*(p.step[s] for s in changing), *(p.held[s] for s in differs)], differs)
            )
            before, codes = lines({s: p.step[s] for s in changing}, p.states, self.coefficients[name], "")
            held_before, held = lines(
                {s: p.held[s] for s in p.states if s in differs}, p.states, self.coefficients[name], "held_"
            )
            if differs:
                text.line(f"held = step < {name}_free[neuron]")
            for line in (*before, *held_before):
                text.line(line)
            for state in changing:
                code = _either(held[state], codes[state]) if state in differs else codes[state]
                text.line(f"{name}_{state}[neuron] = {code}")

    def _threshold(self, text: Text, p: Population) -> None:
        name = p.name
        for state in self.plan.kept(name)["updated"]:
            text.line(f"{text.argument(f'{name}_{state}_updated')}[sample, row] = {name}_{state}")
        text.line(f"# {name}: threshold")
        text.line(f"{name}_margin = {text.argument(f'all_{name}_margin')}[sample, row]")
        margin = self.plan.scaled_margin(name)
        with text.block(f"for neuron in range({name}_margin.size)"):
            self._load(text, p, _used(p.states, [margin]))
            before, codes = lines({"margin": margin}, p.states, self.coefficients[name], "")
            for line in before:
                text.line(line)
            code = codes["margin"]
            if p.refractory_steps is not None:
                code = f"real(-np.inf) if step < {name}_free[neuron] else {code}"
            text.line(f"{name}_margin[neuron] = {code}")
        starts, neurons = text.argument(f"{name}_starts"), text.argument(f"{name}_neurons")
        text.line(f"count = {starts}[sample, step]")
        # Written always and kept if it counts: a branch would be guessed wrong at most spikes.
        spikes = f"{name}_margin[neuron] > -np.inf" if self.plan.smooth else _fired(p)
        with text.block(f"for neuron in range({name}_margin.size)"):
            text.line(f"{neurons}[count] = neuron")
            if self.plan.smooth:
                text.line(f"{text.argument(f'{name}_values')}[count] = {self._primitive(p)}")
            text.line(f"count += {spikes}")
        text.line(f"{starts}[sample, step + 1] = count")
        if p.refractory_steps is None:
            return
        free = f"{name}_free[neuron] = step + {text.argument(f'{name}_refractory')}[neuron]"
        with text.block(f"for spike in range({starts}[sample, step], count)"):
            text.line(f"neuron = {neurons}[spike]")
            if self.plan.smooth:
                with text.block(f"if {_fired(p)}"):
                    text.line(free)
            else:
                text.line(free)

    def _primitive(self, p: Population) -> str:
        """The smooth spike of a neuron at its margin."""
        primitive, _ = self.plan.surrogates[p.name].expressions()
        margin = sympy.Symbol(f"{p.name}_margin[neuron]", real=True)
        return scalar_code(primitive.xreplace({_U: margin}), margin)

    def _sparse(self, p: Population) -> bool:
        """Whether there is a distance from the threshold beyond which nothing passes."""
        return math.isfinite(self.plan.surrogates[p.name].support)

    def _slope(self, p: Population) -> str:
        _, derivative = self.plan.surrogates[p.name].expressions()
        return scalar_code(derivative, _U)

    def _synapses(self, text: Text, q: Projection) -> None:
        target, wiring = self.plan.populations[q.target], self.wiring[q.name]
        text.line(f"# {q.name}")
        for state in q.adds:
            buffer = f"{q.target}_{state}_input" if state in self._buffered(target) else f"{q.target}_{state}"
            if q.name in self.plan.driven:
                drive = text.argument(f"{q.name}_{state}_drive")
                with text.block(f"for neuron in range({buffer}.size)"):
                    text.line(f"{buffer}[neuron] += {drive}[sample, step, neuron]")
                continue
            weights = text.argument(f"{q.name}_{state}_weights")
            graded = "graded_" if self.plan.valued(q) else ""
            if wiring.all_to_all:
                with self._sent(text, q, str(wiring.delays[0])) as spikes:
                    text.line(f"add_{graded}rows({buffer}, {weights}, {spikes})")
            else:
                first, post = text.argument(f"{q.name}_first"), text.argument(f"{q.name}_post")
                delays = text.argument(f"{q.name}_delays")
                with text.block(f"for d in range({delays}.size)"), self._sent(text, q, f"{delays}[d]") as spikes:
                    text.line(f"add_{graded}synapses({buffer}, {weights}, {first}[d], {post}, {spikes})")

    @contextmanager
    def _sent(self, text: Text, q: Projection, delay: str) -> Iterator[str]:
        """Lines within act on spikes that were sent a delay ago; the arguments that stand for them."""
        starts, spikes = text.argument(f"{q.source}_starts"), text.argument(f"{q.source}_neurons")
        if self.plan.valued(q):
            spikes += f", {text.argument(f'{q.source}_values')}"
        with ExitStack() as stack:
            sent = "step"
            if delay != "0":
                text.line(f"sent = step - {delay}")
                stack.enter_context(text.block("if sent >= 0"))
                sent = "sent"
            text.line(f"a, b = {starts}[sample, {sent}], {starts}[sample, {sent} + 1]")
            yield f"{spikes}, a, b"

    def _buffered(self, p: Population) -> tuple[str, ...]:
        """States to which synapses add only where a neuron is not refractory."""
        if p.refractory_steps is None:
            return ()
        heard = {s for q in self.plan.reading.projections if q.target == p.name for s in q.adds}
        return tuple(s for s in p.states if s in heard and s in p.guarded)

    def _arrivals(self, text: Text, p: Population) -> None:
        name = p.name
        for state in self._buffered(p):
            text.line(f"# {name}: what arrives while a neuron is refractory is lost")
            with text.block(f"for neuron in range({name}_{state}.size)"):
                with text.block(f"if step >= {name}_free[neuron]"):
                    text.line(f"{name}_{state}[neuron] += {name}_{state}_input[neuron]")
                text.line(f"{name}_{state}_input[neuron] = 0")
        for state in self.plan.kept(name)["arrived"]:
            text.line(f"{text.argument(f'{name}_{state}_arrived')}[sample, row] = {name}_{state}")

    def _reset(self, text: Text, p: Population) -> None:
        name = p.name
        if not p.reset:
            return
        starts, neurons = text.argument(f"{name}_starts"), text.argument(f"{name}_neurons")
        text.line(f"# {name}: reset")
        with text.block(f"for spike in range({starts}[sample, step], {starts}[sample, step + 1])"):
            text.line(f"neuron = {neurons}[spike]")
            self._load(text, p, _used(p.states, p.reset.values(), also=p.reset if self.plan.smooth else ()))
            before, codes = lines(p.reset, p.states, self.coefficients[name], "reset_")
            for line in before:
                text.line(line)
            for state, code in codes.items():
                if self.plan.smooth:
                    value = f"{text.argument(f'{name}_values')}[spike]"
                    code = f"{local(state)} + {value} * ({code} - {local(state)})"
                text.line(f"{name}_{state}[neuron] = {code}")

    def _output(self, text: Text) -> None:
        name, state = self.plan.output
        output = text.argument("output")
        if state:
            text.line(f"{output}[sample, step] = {name}_{state}")
        else:
            starts, neurons = text.argument(f"{name}_starts"), text.argument(f"{name}_neurons")
            with text.block(f"for spike in range({starts}[sample, step], {starts}[sample, step + 1])"):
                value = f"{text.argument(f'{name}_values')}[spike]" if self.plan.smooth else "1"
                text.line(f"{output}[sample, step, {neurons}[spike]] = {value}")
        for group, variable in self.plan.recorded:
            text.line(f"{text.argument(f'{group}_{variable}_record')}[sample, step] = {group}_{variable}")

    # Backward

    def backward(self) -> Text:
        text, plan = Text(), self.plan
        relevant = [p for p in plan.reading.populations if p.name in plan.relevant]
        if plan.single:
            text.line("mode = flush_denormals()")
        for p in relevant:
            if p.margin is not None:
                size = f"{text.argument(f'all_{p.name}_margin')}.shape[2]"
                text.line(f"{p.name}_spike = np.zeros({size}, real)")
                text.line(f"{p.name}_slope = np.zeros({size}, real)")
                text.line(f"{p.name}_active = np.arange({size})")
        with text.block("for sample in range(first, last)"):
            for p in relevant:
                for state in p.states:
                    text.line(f"{p.name}_{state} = {text.argument(f'all_{p.name}_{state}_adjoint')}[sample]")
            with text.block("for step in range(end - 1, begin - 1, -1)"):
                text.line("row = step - begin")
                self._output_reversed(text)
                for p in relevant:
                    if p.margin is not None:
                        self._reset_reversed(text, p)
                for p in relevant:
                    self._heard(text, p)
                for p in relevant:
                    if p.margin is not None:
                        self._spikes_reversed(text, p)
                for p in relevant:
                    self._update_reversed(text, p)
                for c in reversed(plan.reading.couplings):
                    if c.target in plan.relevant:
                        self._coupling_reversed(text, c)
        if plan.single:
            text.line("restore(mode)")
        return text

    def _output_reversed(self, text: Text) -> None:
        name, state = self.plan.output
        if state:
            gradient = text.argument("output_gradient")
            with text.block(f"for neuron in range({name}_{state}.size)"):
                text.line(f"{name}_{state}[neuron] += {gradient}[sample, step, neuron]")

    def _reset_reversed(self, text: Text, p: Population) -> None:
        name, plan = p.name, self.plan
        derivation = plan.derivations[name]
        text.line(f"# {name}: what a spike changes by itself")
        count = f"{text.argument(f'{name}_count_gradient')}[sample, neuron]"
        if plan.output == (name, ""):
            count = f"{text.argument('output_gradient')}[sample, step, neuron] + {count}"
        text.line(f"{name}_margin = {text.argument(f'all_{name}_margin')}[sample, row]")
        with text.block(f"for neuron in range({name}_spike.size)"):
            code = count
            if plan.through_reset and p.reset:
                steps = plan.reset_steps(name)
                self._load_kept(text, p, _used(p.states, steps.values()), "arrived")
                before, codes = lines(steps, p.states, self.coefficients[name], "jump_")
                for line in before:
                    text.line(line)
                code += "".join(f" + {name}_{state}[neuron] * ({jump})" for state, jump in codes.items())
            text.line(f"{name}_spike[neuron] = {code}")
        if not p.reset:
            return
        by_states = [by for by in p.states if by in p.reset or any((what, by) in derivation.reset for what in p.reset)]
        text.line(f"# {name}: reset")
        if plan.smooth:
            loop = text.block(f"for neuron in range({name}_spike.size)")
        else:
            starts, neurons = text.argument(f"{name}_starts"), text.argument(f"{name}_neurons")
            loop = text.block(f"for spike in range({starts}[sample, step], {starts}[sample, step + 1])")
        with loop:
            if plan.smooth:
                with text.block(f"if {name}_margin[neuron] == -np.inf"):
                    text.line("continue")
                text.line(f"z = {self._primitive(p)}")
            else:
                text.line(f"neuron = {neurons}[spike]")
            self._load_kept(text, p, _used(p.states, derivation.reset.values()), "arrived")
            before, slopes = lines(
                {f"{what}_by_{by}": value for (what, by), value in derivation.reset.items()},
                p.states,
                self.coefficients[name],
                "reset_",
            )
            for line in before:
                text.line(line)
            changed = []
            for by in by_states:
                new = _sum(
                    _times(slopes[f"{what}_by_{by}"], f"{what}_adjoint")
                    for what in p.reset
                    if (what, by) in derivation.reset
                )
                if by not in p.reset:
                    new = f"{by}_adjoint + {new}"
                if plan.smooth:
                    new = f"(real(1.0) - z) * {by}_adjoint + z * ({new})"
                changed.append(f"{name}_{by}[neuron] = {new}")
            z = "z * " if plan.smooth else ""
            for constant in derivation.constants:
                for what in p.reset:
                    if (what, constant) in derivation.reset:
                        gradient = text.argument(f"{name}_{constant}_gradient")
                        slope = slopes[f"{what}_by_{constant}"]
                        changed.append(f"{gradient}[sample, neuron] += {z}{_times(slope, f'{what}_adjoint')}")
            for what in p.states:
                if any(re.search(rf"\b{what}_adjoint\b", line) for line in changed):
                    text.line(f"{what}_adjoint = {name}_{what}[neuron]")
            for line in changed:
                text.line(line)

    def _heard(self, text: Text, p: Population) -> None:
        name = p.name
        for state in self.plan.heard(name):
            kept = text.argument(f"{name}_{state}_heard")
            if state in self._buffered(p):
                with text.block(f"for neuron in range({name}_{state}.size)"):
                    lost = f"{name}_margin[neuron] == -np.inf or {_fired(p)}"
                    text.line(f"{kept}[sample, row, neuron] = real(0.0) if {lost} else {name}_{state}[neuron]")
            else:
                text.line(f"{kept}[sample, row] = {name}_{state}")

    def _spikes_reversed(self, text: Text, p: Population) -> None:
        name, plan = p.name, self.plan
        text.line(f"# {name}: neurons near enough to their threshold, and what their spikes do behind synapses")
        with text.block(f"for neuron in range({name}_spike.size)"):
            text.line(f"u = {name}_margin[neuron]")
            text.line(f"{name}_slope[neuron] = {self._slope(p)}")
        if self._sparse(p):
            text.line("count = 0")
            with text.block(f"for neuron in range({name}_spike.size)"):
                text.line(f"{name}_active[count] = neuron")
                text.line(f"count += {name}_slope[neuron] != 0")
        else:
            text.line(f"count = {name}_spike.size")
        for q in plan.reading.projections:
            if q.source != name or not plan.carries_error(q):
                continue
            wiring, factor = self.wiring[q.name], f"real({plan.damping if plan.recurrent(q) else 1.0!r})"
            for state in q.adds:
                heard = text.argument(f"{q.target}_{state}_heard")
                weights = text.argument(f"{q.name}_{state}_weights")
                near = f"{name}_active, count, {factor}"
                if wiring.all_to_all:
                    transposed = text.argument(f"{q.name}_{state}_transposed")
                    text.line(f"then = {heard}[sample, row + {wiring.delays[0]}]".replace(" + 0]", "]"))
                    text.line(f"gather_rows({name}_spike, {weights}, {transposed}, then, {near})")
                else:
                    first, post = text.argument(f"{q.name}_first"), text.argument(f"{q.name}_post")
                    delays = text.argument(f"{q.name}_delays")
                    with text.block(f"for d in range({delays}.size)"):
                        text.line(f"then = {heard}[sample, row + {delays}[d]]")
                        text.line(f"gather_synapses({name}_spike, {weights}, {first}[d], {post}, then, {near})")

    def _update_reversed(self, text: Text, p: Population) -> None:
        name, plan = p.name, self.plan
        derivation = plan.derivations[name]
        coefficients = self.coefficients[name]
        text.line(f"# {name}: threshold and update")
        with text.block(f"for neuron in range({name}_{p.states[0]}.size)"):
            slopes: dict[str, str] = {}
            if p.margin is not None:
                by = plan.margin_slopes(name)
                self._load_kept(text, p, _used(p.states, by.values()), "updated")
                before, slopes = lines({f"margin_by_{n}": v for n, v in by.items()}, p.states, coefficients, "")
                for line in before:
                    text.line(line)
                text.line(f"through = {name}_spike[neuron] * {name}_slope[neuron]")
            for state in p.states:
                key = f"margin_by_{state}"
                spike = f" + {_times(slopes[key], 'through')}" if key in slopes else ""
                text.line(f"{state}_adjoint = {name}_{state}[neuron]{spike}".replace("+ -", "- "))
            for constant in derivation.constants:
                if f"margin_by_{constant}" in slopes:
                    gradient = text.argument(f"{name}_{constant}_gradient")
                    text.line(f"{gradient}[sample, neuron] += {_times(slopes[f'margin_by_{constant}'], 'through')}")
            free = self._pulled_back(text, p, derivation.step, "")
            if p.refractory_steps is not None and dict(derivation.held) != dict(derivation.step):
                held = self._pulled_back(text, p, derivation.held, "held_")
                text.line(f"held = {name}_margin[neuron] == -np.inf")
                new = {by: free[by] if free[by] == held[by] else _either(held[by], free[by]) for by in free}
            else:
                new = free
            for by, code in new.items():
                if by in p.states:
                    if code != f"{by}_adjoint" or f"margin_by_{by}" in slopes:
                        text.line(f"{name}_{by}[neuron] = {code}")
                elif code != "real(0.0)":
                    text.line(f"{text.argument(f'{name}_{by}_gradient')}[sample, neuron] += {code}")

    def _pulled_back(
        self, text: Text, p: Population, jacobian: Mapping[tuple[str, str], sympy.Expr], hint: str
    ) -> dict[str, str]:
        """The adjoint of each state and trained constant before an update, by the adjoints of states after it."""
        self._load_kept(text, p, _used(p.states, jacobian.values()), "before")
        before, slopes = lines(
            {f"{what}_by_{by}": value for (what, by), value in jacobian.items()},
            p.states,
            self.coefficients[p.name],
            hint,
        )
        for line in before:
            text.line(line)
        return {
            by: _sum(
                _times(slopes[f"{what}_by_{by}"], f"{what}_adjoint") for what in p.states if (what, by) in jacobian
            )
            for by in (*p.states, *self.plan.derivations[p.name].constants)
        }

    def _load(self, text: Text, p: Population, states: Iterable[str]) -> None:
        for state in states:
            text.line(f"{local(state)} = {p.name}_{state}[neuron]")

    def _load_kept(self, text: Text, p: Population, states: Iterable[str], moment: str) -> None:
        for state in states:
            text.line(f"{local(state)} = {text.argument(f'{p.name}_{state}_{moment}')}[sample, row, neuron]")


_U = symbol("u")


def _fired(p: Population) -> str:
    """Code for whether a neuron spikes."""
    return f"{p.name}_margin[neuron] {'>=' if p.inclusive else '>'} 0"


def _is_array(value: object) -> bool:
    return getattr(value, "ndim", 0) > 0


def _used(states: Iterable[str], values: Iterable[sympy.Expr], also: Iterable[str] = ()) -> list[str]:
    """The states that some expressions need, and some others."""
    names = {free.name for value in values for free in value.free_symbols} | set(also)
    return [state for state in states if state in names]


def _either(held: str, free: str) -> str:
    """Code of a value that depends on whether a neuron is refractory."""
    held, free = (f"({code})" if " " in code else code for code in (held, free))
    return f"{held} if held else {free}"


def _times(slope: str, adjoint: str) -> str:
    if slope == "real(1.0)":
        return adjoint
    if slope == "real(-1.0)":
        return f"-{adjoint}"
    return f"({slope}) * {adjoint}" if " " in slope else f"{slope} * {adjoint}"


def _sum(terms: Iterable[str]) -> str:
    return " + ".join(terms).replace("+ -", "- ") or "real(0.0)"
