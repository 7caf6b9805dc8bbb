"""Writes the forward function of a kernel: the steps of one sample after another, each in the order of Brian2.

Update, threshold, synapses, reset; before them the sums over synapses that a step begins with.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from learning.kernels.formulas import lines, local, synapse_lines
from learning.kernels.text import Text
from learning.kernels.writing import Writer, either, fired, used
from learning.reading import Coupling, Population, Projection
from learning.symbols import symbol


class ForwardWriter(Writer):
    """Writes the phases of a step."""

    def forward(self) -> Text:
        """Lines of the function."""
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

    def _update(self, text: Text, p: Population) -> None:
        name, kept = p.name, self.plan.kept[p.name]
        differs = {s for s in p.states if p.refractory_steps is not None and p.held[s] != p.step[s]}
        changing = [s for s in p.states if p.step[s] != symbol(s) or s in differs]
        for state in kept["before"]:
            text.line(f"{text.argument(f'{name}_{state}_before')}[sample, row] = {name}_{state}")
        if not changing:
            return
        text.line(f"# {name}: update")
        with text.block(f"for neuron in range({name}_{p.states[0]}.size)"):
            self._load(
                text, p, used(p.states, [*(p.step[s] for s in changing), *(p.held[s] for s in differs)], differs)
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
                code = either(held[state], codes[state]) if state in differs else codes[state]
                text.line(f"{name}_{state}[neuron] = {code}")

    def _threshold(self, text: Text, p: Population) -> None:
        name = p.name
        for state in self.plan.kept[name]["updated"]:
            text.line(f"{text.argument(f'{name}_{state}_updated')}[sample, row] = {name}_{state}")
        text.line(f"# {name}: threshold")
        text.line(f"{name}_margin = {text.argument(f'all_{name}_margin')}[sample, row]")
        margin = self.plan.scaled_margin(name)
        with text.block(f"for neuron in range({name}_margin.size)"):
            self._load(text, p, used(p.states, [margin]))
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
        spikes = f"{name}_margin[neuron] > -np.inf" if self.plan.smooth else fired(p)
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
                with text.block(f"if {fired(p)}"):
                    text.line(free)
            else:
                text.line(free)

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

    def _arrivals(self, text: Text, p: Population) -> None:
        name = p.name
        for state in self._buffered(p):
            text.line(f"# {name}: what arrives while a neuron is refractory is lost")
            with text.block(f"for neuron in range({name}_{state}.size)"):
                with text.block(f"if step >= {name}_free[neuron]"):
                    text.line(f"{name}_{state}[neuron] += {name}_{state}_input[neuron]")
                text.line(f"{name}_{state}_input[neuron] = 0")
        for state in self.plan.kept[name]["arrived"]:
            text.line(f"{text.argument(f'{name}_{state}_arrived')}[sample, row] = {name}_{state}")

    def _reset(self, text: Text, p: Population) -> None:
        name = p.name
        if not p.reset:
            return
        starts, neurons = text.argument(f"{name}_starts"), text.argument(f"{name}_neurons")
        text.line(f"# {name}: reset")
        with text.block(f"for spike in range({starts}[sample, step], {starts}[sample, step + 1])"):
            text.line(f"neuron = {neurons}[spike]")
            self._load(text, p, used(p.states, p.reset.values(), also=p.reset if self.plan.smooth else ()))
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
