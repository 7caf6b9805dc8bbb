"""A Brian2 network as a model that learns: run, differentiated and changed by kernels, written back into Brian2.

    model = trainable(network, inputs=eye, output=readout.v, parameters=[first.w, second.w], duration=100 * ms)
    model.fit(recordings, labels, loss=max_over_time(), optimiser=Adam(1e-3), epochs=20)

`docs/derivation.md` says what is derived, and how.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import Network, NeuronGroup, Quantity, get_device, second
from brian2.core.namespace import get_local_namespace
from brian2.core.variables import VariableView
from brian2.devices.device import RuntimeDevice
from brian2.groups.group import Group
from numpy.typing import ArrayLike, NDArray

from dvs.errors import InputError, ParameterError
from learning.derivation import Derivation, derive
from learning.graded import Graded
from learning.history import History
from learning.kernels.engine import Engine, check_threads
from learning.kernels.passes import Pass, Run, Values
from learning.kernels.plan import Plan, reached, wiring
from learning.losses import Loss, Regulariser
from learning.optimisers import Optimiser, joint_norm
from learning.parameters import Named, Parameter, Trained, find, place
from learning.reading import Population, Reading, read_network
from learning.samples import Spikes, encode
from learning.sites import Sites
from learning.surrogates import Surrogate, fast_sigmoid
from learning.threshold import distance
from learning.training import fit
from snn.inputs import EventInput
from snn.recording import trains
from snn.spikes import Responses, SpikeTrains

Input = EventInput | Group

# Share of numbers that are not zero from which a graded input is quicker as one product of matrices.
_DENSE = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Samples as a model takes them: for each input by name, all of as many samples."""

    inputs: Mapping[str, Spikes | Graded]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def __getitem__(self, chosen: ArrayLike | slice) -> "Batch":
        """Some of the samples."""
        return Batch(inputs={name: given[chosen] for name, given in self.inputs.items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class Gradient:
    """A loss, and its derivative by each parameter.

    value: mean over samples, prices of regularisers included. gradients: by name, of the shape of the parameter.
    norm: of all gradients as one vector. predictions: (samples,) labels, or None. counts: spikes (samples, n) by group.
    """

    value: float
    gradients: Mapping[str, NDArray]
    norm: float
    predictions: NDArray[np.int64] | None
    counts: Mapping[str, NDArray]


@dataclass(frozen=True, kw_only=True)
class Equations:
    """What was derived of each group; as text when printed, as formulas in a notebook."""

    derivations: tuple[Derivation, ...]

    def __str__(self) -> str:
        return "\n\n".join(derivation.equations() for derivation in self.derivations)

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        groups = []
        for derivation in self.derivations:
            name = derivation.population.name.replace("_", r"\_")
            groups.append(rf"$$\textbf{{{name}}}$$ $${derivation.latex()}$$")
        return " ".join(groups)


def trainable(
    network: Network,
    *,
    inputs: Input | Sequence[Input],
    output: VariableView | NeuronGroup | str,
    parameters: Sequence[Parameter | Named],
    duration: Quantity,
    surrogate: Surrogate | Mapping[str, Surrogate] | None = None,
    scale: Mapping[str, Quantity | float] | None = None,
    through_reset: bool = False,
    damping: float = 1.0,
    smooth: bool = False,
    precision: str = "float32",
    threads: int | None = None,
    memory_mb: float = 512.0,
    namespace: Mapping[str, Any] | None = None,
) -> "Model":
    """A model of a network, which is read now: what changes in Brian2 later is not seen, but for `Model.read`.

    inputs: the `EventInput`, or the group, whose spikes are the samples; several as a list. output: a state of a group
    that a loss looks at, `readout.v`, or a group, whose spikes it looks at. parameters: variables that learn, as
    `synapses.w`, or `Parameter`s with scale and limits: weights and other numbers of synapses, constants of groups such
    as time constants and thresholds, and states, which means their initial values. duration: of a sample.

    surrogate: in place of the derivative of a spike, one for all or by group; `fast_sigmoid()` by default. scale: by
    group, the distance from its threshold that the surrogate takes for 1; by default the one at the start.
    through_reset: whether an error also passes through the reset of what carried a neuron to its threshold; through
    what else a spike changes, such as an adaptation that it increments, one always passes. damping: factor of errors
    at each passage of synapses that are part of a loop: below 1 they fade instead of exploding. smooth: spikes are
    replaced by the primitive of the surrogate, which makes the model the one whose derivative the surrogate gradient
    is; for proofs.
    precision: "float32" for speed, "float64" for proofs. threads: by default all. memory_mb: for what is kept of a run
    until the way back; longer runs go back in pieces that are run twice. namespace: where external names of equations
    are found, by default where this is called.

    Raises `InputError` for a network that cannot be differentiated, with what to write instead, and `ParameterError`
    for arguments that do not fit it.
    """
    if namespace is None:
        namespace = get_local_namespace(level=1)
    check_threads(threads)
    if not isinstance(get_device(), RuntimeDevice):
        raise InputError("a network is trained without a standalone device; train first, then `write` and build that")
    if precision not in ("float32", "float64"):
        raise ParameterError(f"precision is {precision!r}, expected 'float32' or 'float64'")
    if not (np.isfinite(damping) and damping >= 0):
        raise ParameterError(f"damping is {damping}, expected 0 or more; 1 is none")
    given = list(inputs) if isinstance(inputs, Sequence) else [inputs]
    groups = {_group(one).name: one for one in given}
    reading = read_network(network, namespace, [_group(one) for one in given])
    if unknown := set(reading.inputs) - set(groups):
        raise ParameterError(f"{sorted(unknown)} spike by themselves; give them as inputs too, or leave them out")
    dt = reading.dt_s * second
    steps = round(float(duration / dt))
    if steps < 1:
        raise ParameterError(f"duration is {duration}, expected at least one step of {dt}")
    trained = find(network, parameters, dt)
    return Model(
        network=network,
        reading=reading,
        inputs=groups,
        output=_output(network, reading, output),
        trained=trained,
        steps=steps,
        surrogate=surrogate or fast_sigmoid(),
        scale=scale or {},
        options={"through_reset": through_reset, "damping": float(damping), "smooth": smooth},
        precision=precision,
        threads=threads,
        memory_mb=memory_mb,
    )


class Model:
    """A network that learns; made by `trainable`.

    parameters: by name, as an optimiser sees them, in units of their scale; change them in place or put others there,
    and call `changed`. inputs: by name, as they were given. steps, dt: of a sample. units: of the output.
    """

    def __init__(
        self,
        *,
        network: Network,
        reading: Reading,
        inputs: Mapping[str, Input],
        output: tuple[str, str],
        trained: Sequence[Trained],
        steps: int,
        surrogate: Surrogate | Mapping[str, Surrogate],
        scale: Mapping[str, Quantity | float],
        options: Mapping[str, Any],
        precision: str,
        threads: int | None,
        memory_mb: float,
    ) -> None:
        self.steps, self.dt = steps, reading.dt_s * second
        self._reading, self.inputs, self._trained = reading, inputs, {one.name: one for one in trained}
        self._precision, self._threads, self._memory_mb = precision, threads, memory_mb
        synapses = wiring(reading)
        self._sites = Sites(reading, network, trained, synapses)
        populations = {p.name: p for p in reading.populations}
        self._plan = Plan(
            reading=reading,
            wiring=synapses,
            output=output,
            derivations={name: derive(p, self._sites.trained_constants(p)) for name, p in populations.items()},
            surrogates=_by_group(surrogate, populations),
            scales={name: distance(p, scale.get(name)) for name, p in populations.items() if p.margin is not None},
            trained_projections=frozenset(q.name for q in reading.projections if self._sites.trained_in(q)),
            trained_couplings={c.name: names for c in reading.couplings if (names := self._sites.trained_in(c))},
            trained_starts=frozenset(name for name, p in populations.items() if self._sites.trained_starts(p)),
            single=precision == "float32",
            **options,
        )
        if unknown := set(scale) - set(populations):
            raise ParameterError(f"scale is given for {sorted(unknown)}, expected groups of {sorted(populations)}")
        self._check_reach(output[0])
        self.units = populations[output[0]].n
        self._real = np.float32 if precision == "float32" else np.float64
        self._engines: dict[Any, Engine] = {}
        self.parameters: dict[str, NDArray] = {}
        self.read()

    # Parameters

    def read(self) -> None:
        """Take the parameters from Brian2."""
        self.parameters = {name: one.read().astype(self._real) for name, one in self._trained.items()}
        self.changed()

    def write(self) -> None:
        """Give the parameters to Brian2."""
        for name, one in self._trained.items():
            one.write(self.parameters[name])

    def neurons(self) -> dict[str, NDArray[np.int64]]:
        """Of each number of each parameter, the neuron that it feeds or belongs to; 0 for what all share."""
        return {name: one.neurons() for name, one in self._trained.items()}

    def changed(self) -> None:
        """Use the parameters as they are now, within their limits."""
        for name, one in self._trained.items():
            one.limit(self.parameters[name])
        self._numbers = {
            one.key: self.parameters[name] if one.scale == 1 else self.parameters[name] * one.scale
            for name, one in self._trained.items()
        }
        sites, numbers, reading = self._sites, self._numbers, self._reading
        self._values = Values(
            weights={
                (q.name, state): sites.weights(q, state, numbers, self._real)
                for q in reading.projections
                for state in q.adds
            },
            couplings={(c.name, name): sites.value(c, name, numbers) for c in reading.couplings for name in c.values},
            constants={p.name: sites.constants(p, numbers) for p in reading.populations},
            starts={p.name: sites.starts(p, numbers) for p in reading.populations},
        )

    # Runs

    def encode(self, samples: Iterable[Any] | Mapping[str, Iterable[Any]]) -> Batch:
        """Samples as the model takes them; for several inputs a mapping from their names.

        Events in any form for an `EventInput`; for other groups (i, t) pairs, or arrays (steps, n): whole numbers for
        spikes, floats for graded input. Encoding once and taking `batch[numbers]` saves time.
        """
        if isinstance(samples, Batch):
            return samples
        if len(self.inputs) == 1 and not isinstance(samples, Mapping):
            samples = {next(iter(self.inputs)): samples}
        if not isinstance(samples, Mapping) or set(samples) != set(self.inputs):
            found = sorted(samples) if isinstance(samples, Mapping) else type(samples).__name__
            raise InputError(f"samples are for {found}, expected a mapping with the inputs {sorted(self.inputs)}")
        batch = {name: self._encoded(name, of_input) for name, of_input in samples.items()}
        if len(sizes := {name: len(of_input) for name, of_input in batch.items()}) and len(set(sizes.values())) != 1:
            raise InputError(f"there are {sizes} samples; give as many for every input")
        return Batch(inputs=batch)

    def forward(self, samples: Any) -> Run:
        """Output and spike counts of samples, or of a `Batch`."""
        return self._pass(samples).result()

    def respond(self, samples: Any, states: Collection[str] = (), *, inputs: bool = False) -> Responses:
        """Spikes of all groups, and some states, "hidden.v", at the end of each step: what `snn.run` gives too.

        inputs: also the spikes of the inputs, but for graded ones, as `snn.energy.count` wants them.
        """
        recorded = tuple(self._recorded(name) for name in states)
        batch = self.encode(samples)
        done = self._pass(batch, recorded)
        found = done.result()
        duration = self.steps * self.dt
        values: dict[str, dict[str, Any]] = {}
        for group, state in recorded:
            values.setdefault(group, {})[state] = found.recorded[group, state]
        spikes = {
            name: trains(done.spikes(name), counts.shape[1], self.dt, duration) for name, counts in found.counts.items()
        }
        if inputs:
            spikes |= {
                name: trains(list(given.columns()), given.size, self.dt, duration)
                for name, given in batch.inputs.items()
                if isinstance(given, Spikes)
            }
        return Responses(
            spikes=spikes,
            duration=duration,
            dt=self.dt,
            states=values,
        )

    def predict(self, samples: Any, loss: Loss, batch: int = 256) -> NDArray[np.int64]:
        """The label of each sample as a classification loss reads it."""
        return np.concatenate([loss.predict(part.output) for _, part in self._in_parts(samples, batch)])

    def evaluate(self, samples: Any, targets: ArrayLike, loss: Loss, batch: int = 256) -> tuple[float, float]:
        """Mean loss and share of right labels; NaN for the latter where a loss predicts none."""
        value, right, count = 0.0, 0.0, 0
        targets = np.asarray(targets)
        for chosen, part in self._in_parts(samples, batch):
            one, _, predictions = loss.evaluate(part.output, targets[chosen])
            size = len(part.output)
            value, count = value + one * size, count + size
            right += np.nan if predictions is None else float((predictions == targets[chosen]).sum())
        return value / count, right / count

    def gradient(
        self,
        samples: Any,
        target: ArrayLike,
        loss: Loss,
        regularisers: Mapping[str, Regulariser] | None = None,
    ) -> Gradient:
        """Loss of some samples and its derivative by each parameter.

        target: labels (samples,) or traces (samples, steps, units), as the loss wants. regularisers: by group.
        """
        self._check_loss(loss, regularisers or {})
        done = self._pass(samples)
        found = done.result()
        value, by_output, predictions = loss.evaluate(found.output, target)
        prices = {name: price.evaluate(found.counts[name]) for name, price in (regularisers or {}).items()}
        slopes = done.backward(by_output, {name: by_count for name, (_, by_count) in prices.items()})
        gradients = self._sites.gradients(slopes, self._numbers, self.parameters)
        norm = joint_norm(gradients)
        if not np.isfinite(norm):
            wrong = [name for name, slope in gradients.items() if not np.isfinite(slope).all()]
            raise InputError(
                f"the gradient by {wrong} holds NaN or inf; damp loops (damping=0.3), lower the learning rate, or look "
                "for a formula with no derivative where the states are"
            )
        return Gradient(
            value=value + sum(price for price, _ in prices.values()),
            gradients=gradients,
            norm=norm,
            predictions=predictions,
            counts=found.counts,
        )

    def by_input(self, samples: Any, by_output: Callable[[NDArray], NDArray]) -> dict[str, NDArray[np.float64]]:
        """The derivative of a function of the output by a spike of an input in a step, by name (samples, steps, n).

        by_output: from the output (samples, steps, units) to the derivative of the function by it. To first order,
        through the surrogate: a spike of value x changes the function by x times what is found there, its absence by
        minus that; for a smooth model it is the derivative. Raises `ParameterError` if the weights of an input are not
        among the parameters.
        """
        done = self._pass(samples)
        done.backward(by_output(done.result().output), {})
        return {name: done.by_input(name) for name in self.inputs}

    def fit(self, samples: Any, targets: ArrayLike, *, loss: Loss, optimiser: Optimiser, **options: Any) -> History:
        """Train, and give the network what was learnt: `learning.fit`, which says what the options are."""
        return fit(self, samples, targets, loss=loss, optimiser=optimiser, **options)

    # What it is

    def settings(self) -> dict[str, str]:
        """What a gradient depends on besides the parameters, as texts; training goes on only where these are equal."""
        plan = self._plan
        found = {
            "duration": str(self.steps * self.dt),
            "dt": str(self.dt),
            "output": ".".join(plan.output).rstrip("."),
            "precision": self._precision,
            "through_reset": str(plan.through_reset),
            "damping": repr(plan.damping),
            "smooth": str(plan.smooth),
        }
        found |= {f"surrogate of {name}": repr(one) for name, one in plan.surrogates.items()}
        found |= {f"distance of {name}": repr(scale) for name, scale in plan.scales.items()}
        for name, one in self._trained.items():
            found |= {f"scale of {name}": repr(one.scale), f"limits of {name}": repr(one.limits)}
        return found

    def equations(self) -> Equations:
        """The step of each group and its derivatives."""
        return Equations(derivations=tuple(self._plan.derivations.values()))

    def kernel_source(self) -> str:
        """The source of the compiled functions."""
        return self._engine(frozenset()).source.text

    @property
    def kernel_path(self) -> Path:
        """The file of that source."""
        return self._engine(frozenset()).kernel.path

    # Within

    def _pass(self, samples: Any, recorded: tuple[tuple[str, str], ...] = ()) -> Pass:
        batch = self.encode(samples)
        dense = frozenset(name for name, given in batch.inputs.items() if isinstance(given, Graded))
        return Pass(self._engine(dense, recorded), batch.inputs, self._values)

    def _engine(self, dense: frozenset[str], recorded: tuple[tuple[str, str], ...] = ()) -> Engine:
        """The kernel for inputs of which some are dense."""
        if (dense, recorded) not in self._engines:
            driven = frozenset(q.name for q in self._reading.projections if q.source in dense)
            plan = replace(self._plan, driven=driven, recorded=recorded)
            self._engines[dense, recorded] = Engine(plan, self.steps, threads=self._threads, memory_mb=self._memory_mb)
        return self._engines[dense, recorded]

    def _encoded(self, name: str, samples: Iterable[Any]) -> Spikes | Graded:
        size = self._reading.inputs[name]
        if self._takes_numbers(name) and not isinstance(samples, np.ndarray | SpikeTrains):
            samples = list(samples)
            if samples and all(_is_float(sample) and sample.shape == (self.steps, size) for sample in samples):
                samples = np.stack(samples)
        dense = _is_float(samples) and samples.shape[1:] == (self.steps, size) and self._takes_numbers(name)
        if dense and np.count_nonzero(samples) > _DENSE * samples.size:
            return Graded(numbers=samples.astype(self._real, copy=False))
        spikes = encode(samples, self.inputs[name], steps=self.steps, dt=self.dt)
        plain = [q.name for q in self._reading.projections if q.source == name and not q.graded]
        if plain and spikes.values is not None and not isinstance(self.inputs[name], EventInput):
            raise InputError(
                f"samples of {name} are numbers, but {plain} add the same whatever they are; write on_pre="
                "'v_post += w*x_pre' with a variable x of the group, or give whole numbers 0 and 1 for spikes"
            )
        return spikes

    def _takes_numbers(self, name: str) -> bool:
        """Whether all that an input does can be said as products of matrices."""
        behind = [q for q in self._reading.projections if q.source == name]
        return all(q.graded and self._plan.wiring[q.name].all_to_all for q in behind)

    def _in_parts(self, samples: Any, size: int) -> Iterator[tuple[slice, Run]]:
        batch = self.encode(samples)
        for first in range(0, len(batch), size):
            chosen = slice(first, first + size)
            yield chosen, self.forward(batch[chosen])

    def _recorded(self, name: str) -> tuple[str, str]:
        known = [f"{p.name}.{state}" for p in self._reading.populations for state in p.states]
        if name not in known:
            raise ParameterError(f"state {name!r} cannot be recorded, only {known}")
        group, _, state = name.partition(".")
        return group, state

    def _check_loss(self, loss: Loss, regularisers: Mapping[str, Regulariser]) -> None:
        group, state = self._plan.output
        if (loss.on == "state") != bool(state):
            has = f"the state {group}.{state}" if state else f"the spikes of {group}"
            wants = "a state, as output=readout.v" if loss.on == "state" else "spikes, as output=readout"
            raise ParameterError(f"loss {loss.name!r} looks at {wants}; this model puts out {has}")
        spiking = [p.name for p in self._reading.populations if p.margin is not None]
        if unknown := set(regularisers) - set(spiking):
            raise ParameterError(f"regularisers are for {sorted(unknown)}, expected groups that spike: {spiking}")

    def _check_reach(self, output: str) -> None:
        for name, one in self._trained.items():
            if output not in reached(self._reading, self._sites.targets(one)):
                raise ParameterError(f"{name} does not act on the output {output}; leave it out, or connect it")


def _group(given: Input) -> Group:
    return given.group if isinstance(given, EventInput) else given


def _output(network: Network, reading: Reading, given: VariableView | NeuronGroup | str) -> tuple[str, str]:
    populations = {p.name: p for p in reading.populations}
    if isinstance(given, NeuronGroup) or (isinstance(given, str) and given in populations):
        name = given if isinstance(given, str) else given.name
        if name not in populations or populations[name].margin is None:
            raise ParameterError(f"output is {name}, which does not spike; give one of its states, {name}.v")
        return name, ""
    owner, state = place(network, given, "output")
    if owner.name not in populations or state not in populations[owner.name].states:
        known = [f"{p.name}.{name}" for p in reading.populations for name in p.states]
        raise ParameterError(f"output {owner.name}.{state} is not a state that changes, those are {known}")
    return owner.name, state


def _by_group(
    given: Surrogate | Mapping[str, Surrogate], populations: Mapping[str, Population]
) -> dict[str, Surrogate]:
    if isinstance(given, Surrogate):
        return dict.fromkeys(populations, given)
    if unknown := set(given) - set(populations):
        raise ParameterError(f"surrogates are for {sorted(unknown)}, expected groups of {sorted(populations)}")
    return {name: given.get(name, fast_sigmoid()) for name in populations}


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and not isinstance(value, Quantity)
