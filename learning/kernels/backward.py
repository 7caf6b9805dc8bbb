"""Writes the backward function of a kernel: the phases of a step in reverse, from the last step to the first.

It carries the adjoint of each state, the derivative of the loss by it, from the end of a step to its beginning.
"""

import math
import re
from collections.abc import Mapping

import sympy

from learning.kernels.formulas import lines, scalar_code, synapse_lines
from learning.kernels.text import Text
from learning.kernels.writing import U, Writer, added, either, fired, times, used
from learning.reading import Coupling, Population
from learning.symbols import symbol


class BackwardWriter(Writer):
    """Writes the phases of a step in reverse."""

    def backward(self) -> Text:
        """Lines of the function."""
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
            if jumps := plan.jumps(name):
                self._load_kept(text, p, used(p.states, jumps.values()), "arrived")
                before, codes = lines(jumps, p.states, self.coefficients[name], "jump_")
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
            self._load_kept(text, p, used(p.states, derivation.reset.values()), "arrived")
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
                new = added(
                    times(slopes[f"{what}_by_{by}"], f"{what}_adjoint")
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
                        changed.append(f"{gradient}[sample, neuron] += {z}{times(slope, f'{what}_adjoint')}")
            for what in p.states:
                if any(re.search(rf"\b{what}_adjoint\b", line) for line in changed):
                    text.line(f"{what}_adjoint = {name}_{what}[neuron]")
            for line in changed:
                text.line(line)

    def _heard(self, text: Text, p: Population) -> None:
        name = p.name
        for state in self.plan.heard[name]:
            kept = text.argument(f"{name}_{state}_heard")
            if state in self._buffered(p):
                with text.block(f"for neuron in range({name}_{state}.size)"):
                    lost = f"{name}_margin[neuron] == -np.inf or {fired(p)}"
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
                self._load_kept(text, p, used(p.states, by.values()), "updated")
                before, slopes = lines({f"margin_by_{n}": v for n, v in by.items()}, p.states, coefficients, "")
                for line in before:
                    text.line(line)
                text.line(f"through = {name}_spike[neuron] * {name}_slope[neuron]")
            for state in p.states:
                key = f"margin_by_{state}"
                spike = f" + {times(slopes[key], 'through')}" if key in slopes else ""
                text.line(f"{state}_adjoint = {name}_{state}[neuron]{spike}".replace("+ -", "- "))
            for constant in derivation.constants:
                if f"margin_by_{constant}" in slopes:
                    gradient = text.argument(f"{name}_{constant}_gradient")
                    text.line(f"{gradient}[sample, neuron] += {times(slopes[f'margin_by_{constant}'], 'through')}")
            free = self._pulled_back(text, p, derivation.step, "")
            if p.refractory_steps is not None and dict(derivation.held) != dict(derivation.step):
                held = self._pulled_back(text, p, derivation.held, "held_")
                text.line(f"held = {name}_margin[neuron] == -np.inf")
                new = {by: free[by] if free[by] == held[by] else either(held[by], free[by]) for by in free}
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
        self._load_kept(text, p, used(p.states, jacobian.values()), "before")
        before, slopes = lines(
            {f"{what}_by_{by}": value for (what, by), value in jacobian.items()},
            p.states,
            self.coefficients[p.name],
            hint,
        )
        for line in before:
            text.line(line)
        return {
            by: added(
                times(slopes[f"{what}_by_{by}"], f"{what}_adjoint") for what in p.states if (what, by) in jacobian
            )
            for by in (*p.states, *self.plan.derivations[p.name].constants)
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
                    if self.plan.damping != 1 and self.plan.recurrent(c):
                        code = f"real({self.plan.damping!r}) * {code}"
                elif name in c.post_states:
                    place = f"{c.target}_{c.post_states[name]}[{post}[synapse]]"
                else:
                    place = f"{text.argument(f'{c.name}_{name}_gradient')}[sample, synapse]"
                text.line(f"{place} += {times(code, 'through')}")
        text.line(f"{total}[:] = 0")

    def _slope(self, p: Population) -> str:
        _, derivative = self.plan.surrogates[p.name].expressions()
        return scalar_code(derivative, U)

    def _sparse(self, p: Population) -> bool:
        """Whether there is a distance from the threshold beyond which nothing passes."""
        return math.isfinite(self.plan.surrogates[p.name].support)
