"""e-prop: a network learns from the errors of its readout while Brian2 runs, with traces derived from its equations.

    rule = eprop(network, output=readout.v, target="ideal(t, i)", weights=[inputs.w, recurrent.w, outputs.w],
                 trial=1000 * ms, optimiser=learning.Adam(5e-3), namespace={"ideal": waves})
    network.add(*rule.objects)
    network.run(100 * second)

Each synapse keeps its eligibility trace (`learning.eligibility`), each neuron hears a learning signal, a sum of the
errors of the readout, and their product moves the weight. Nothing is stored of the past, and no time runs backwards.
Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from brian2 import BrianObject, Hz, Network, NeuronGroup, Quantity, Synapses, have_same_dimensions, kHz, ms, second
from brian2.core.namespace import get_local_namespace
from brian2.core.variables import VariableView
from brian2.groups.group import Group
from brian2.synapses.synapses import SynapticPathway
from brian2.units.fundamentalunits import DIMENSIONLESS, get_unit
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray

from dvs.errors import InputError, ParameterError
from learning.derivation import derive
from learning.eligibility import ELIGIBILITY, Slopes, Traces, eligibility, low_pass, slopes_of, unit_of_quotient
from learning.optimisers import SGD, Optimiser
from learning.plasticity import TRIAL_ORDER, Plasticity, Rule, attach, pairs_of, whole_group
from learning.reading import Population, Projection, read_network
from learning.surrogates import Surrogate
from learning.symbols import symbol
from snn.parameters import unit_text

Value = Quantity | float

FEEDBACK = ("symmetric", "random", "adaptive", "broadcast")
LOSSES = ("mean_squared_error", "cross_entropy")


@dataclass(frozen=True, kw_only=True)
class RateGoal:
    """A price of strength/2 (rate - goal)**2 a neuron and trial, rates in kHz. Bellec et al. (2020), equation 31."""

    goal: Quantity = field(default_factory=lambda: 10 * Hz)
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not have_same_dimensions(self.goal, Hz) or not self.goal >= 0 * Hz:
            raise ParameterError(f"goal is {self.goal}, expected a rate of 0 Hz or more")
        if not self.strength >= 0:
            raise ParameterError(f"strength is {self.strength}, expected 0 or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class EProp:
    """What makes a network learn by e-prop; `network.add(*rule.objects)`.

    errors: one neuron a readout, with `error`, `loss` so far in this trial and `last_loss`, of the trial before.
    signals: by group of the network, with the learning signal `L` of each neuron. feedback: by group, the synapses that
    bring errors, with weights `B`. plasticity: by name of the synapses, what moves their weights. slopes: how much a
    state matters to the next spike, for all synapses of a neuron the same.
    """

    errors: NeuronGroup
    signals: Mapping[str, NeuronGroup]
    feedback: Mapping[str, Synapses]
    plasticity: Mapping[str, Plasticity]
    slopes: Mapping[str, Slopes]
    objects: tuple[BrianObject, ...]

    def estimate(self) -> dict[str, NDArray]:
        """What it takes for the gradient, of the errors of this trial so far: by "synapses.w", (S,), in SI units.

        The price of rates, which is known at the end of a trial only, is not in it.
        """
        return {
            f"{one.synapses.name}.{one.weight}": -np.array(one.change_sum, float)
            / (one.namespace["share"] * float(one.namespace["w_size"]) ** 2)
            for one in self.plasticity.values()
        }

    def equations(self) -> str:
        """The rule of each synapse, and what is worked out once a neuron for it, as Brian2 runs it."""
        texts = {name: one.text for name, one in self.slopes.items()}
        texts |= {name: one.rule.text() for name, one in self.plasticity.items()}
        return "\n\n".join(f"{name}\n{_indented(text)}" for name, text in texts.items())


def eprop(
    network: Network,
    *,
    output: VariableView,
    target: str | VariableView,
    weights: Sequence[VariableView],
    trial: Quantity,
    inputs: Collection[Group] = (),
    batch: int = 1,
    loss: str = "mean_squared_error",
    window: Quantity | None = None,
    average: bool = False,
    feedback: str | Mapping[str, NDArray] = "symmetric",
    decay: float = 0.0,
    optimiser: Optimiser | None = None,
    rate: RateGoal | None = None,
    restart: bool = False,
    surrogate: Surrogate | None = None,
    scale: Mapping[str, Quantity | float] | None = None,
    through_reset: bool = False,
    limits: tuple[Any, Any] = (None, None),
    memory: bool = True,
    seed: int | np.random.Generator | None = None,
    namespace: Mapping[str, Any] | None = None,
) -> EProp:
    """Objects by which a network learns by e-prop, in every target of Brian2.

    output: the state of the readout that errors are of, such as `readout.v`. target: what it should be, as an
    expression of `t` and `i`, or a variable of a group as large. weights: those that learn, such as `synapses.w`.
    trial: after this time weights change, by the mean over `batch` trials. inputs: groups whose spikes come from
    outside; an `EventInput`'s, SpikeGeneratorGroup and PoissonGroup always are. loss: half the sum of
    "mean_squared_error" over steps and readouts, or the "cross_entropy" of a softmax with targets of 0 and 1. window:
    errors count in this last part of a trial; average: all prices are divided by its steps. restart: a trial begins
    with states as they were at the start, and without traces.

    feedback: what brings errors to a neuron: "symmetric", the weights of its synapses to the readout; "random", fixed
    and normal with variance 1 over its neurons (feedback alignment); "adaptive", random at first and changed as those
    weights are, with a `decay` a trial; "broadcast", the sum of all errors, for every neuron the same; or weights
    (neurons, readouts) by group. memory: whether traces are kept as long as the readout remembers a spike; without it
    an error teaches the spikes of its own step only, as in OTTT (Xiao et al. 2022), and in DECOLLE (Kaiser, Mostafa &
    Neftci 2020), where each layer has a fixed random readout of its own.

    optimiser: SGD unless given. rate: a goal for the rate of all neurons but the readout. surrogate, scale,
    through_reset, namespace: as for `learning.trainable`. limits: of the weights. seed: of random feedback.

    Raises InputError for a network that cannot be read so, and ParameterError for arguments that do not fit it.
    """
    if namespace is None:
        namespace = get_local_namespace(level=1)
    _check(trial, batch, loss, window)
    parts = _Parts(network, inputs, output, weights, namespace, surrogate, scale or {}, through_reset)
    window = trial if window is None else window
    share = 1 / batch / (round(float(window / parts.dt)) if average else 1)
    errors, objects = _errors(parts, target, loss, trial, window, namespace)
    rng = np.random.default_rng(seed)
    signals, brought, plasticity = {}, {}, {}
    options = {
        "optimiser": optimiser or SGD(1e-3),
        "limits": limits,
        "trial": trial,
        "every": trial * batch,
        "forget": "trial" if restart else None,
    }
    for name, (projection, synapses, weight) in parts.learning.items():
        if projection.target == parts.readout.name:
            rule, factors = _of_readout(parts, projection, synapses, weight, share)
            factors = {**factors, "error": errors.error}
        else:
            if projection.target not in signals:
                signals[projection.target] = _signals(parts, projection.target, trial if rate else None)
            rule, factors = _of_hidden(parts, projection, synapses, weight, share, rate, trial, memory)
            factors = {**factors, "L": signals[projection.target].L}
            factors |= {"spike_count": signals[projection.target].spike_count} if rate else {}
        if feedback == "adaptive" and projection.target == parts.readout.name and decay:
            rule = replace(rule, after_trial="w *= 1 - decay", parameters={**rule.parameters, "decay": decay})
        plasticity[name] = attach(synapses, rule, factors, weight=weight, name=f"{synapses.name}_eprop*", **options)
    for name, heard in signals.items():
        brought[name] = _feedback(parts, name, errors, heard, feedback, rng)
        if feedback == "adaptive":
            objects.append(_adapting(parts, name, brought[name], plasticity, share, decay, options))
        if rate is not None:
            objects.append(_counting(parts.groups[name], heard))
    if restart:
        objects += [_restarting(parts.groups[name], p, trial) for name, p in parts.populations.items()]
    slopes = {one.group.name: one for one in parts.slopes.values()}
    objects = [errors, *objects, *signals.values(), *brought.values(), *plasticity.values()]
    objects += [one.group for one in slopes.values()]
    for obj in objects:
        if not isinstance(obj, Plasticity):
            obj.add_attribute("learns_online")
            obj.learns_online = True
    return EProp(
        errors=errors, signals=signals, feedback=brought, plasticity=plasticity, slopes=slopes, objects=tuple(objects)
    )


def _check(trial: Quantity, batch: int, loss: str, window: Quantity | None) -> None:
    for name, value in {"trial": trial, "window": trial if window is None else window}.items():
        if not have_same_dimensions(value, second) or not 0 * second < value <= trial:
            raise ParameterError(f"{name} is {value}, expected a time above 0, at most the trial")
    if not (isinstance(batch, int | np.integer) and batch >= 1):
        raise ParameterError(f"batch is {batch}, expected a whole number of trials, 1 or more")
    if loss not in LOSSES:
        raise ParameterError(f"there is no loss {loss!r}; there are {', '.join(LOSSES)}")


class _Parts:
    """The network as e-prop sees it: the readout, the weights that learn, and what is derived for them."""

    def __init__(
        self,
        network: Network,
        inputs: Collection[Group],
        output: VariableView,
        weights: Sequence[VariableView],
        namespace: Mapping[str, Any],
        surrogate: Surrogate | None,
        scale: Mapping[str, Value],
        through_reset: bool,
    ) -> None:
        self.namespace, self.scale = namespace, scale
        self.derived_with = {"surrogate": surrogate, "through_reset": through_reset, "namespace": namespace}
        self.reading = read_network(network, namespace, inputs)
        self.dt = self.reading.dt_s * second
        self.populations = {p.name: p for p in self.reading.populations}
        self.derivations = {name: derive(p) for name, p in self.populations.items()}
        self.groups = {obj.name: obj for obj in network.sorted_objects if isinstance(obj, NeuronGroup)}
        self._pathways = {obj.name: obj for obj in network.sorted_objects if isinstance(obj, SynapticPathway)}
        if not isinstance(output, VariableView) or output.group.name not in self.populations:
            raise ParameterError(f"output is {output!r}, expected a state of a readout in the network: readout.v")
        self.slopes: dict[tuple[str, tuple[str, ...]], Slopes] = {}
        self.readout, self.state = output.group, output.name
        if self.populations[self.readout.name].margin is not None:
            raise InputError(f"{self.readout.name} spikes; e-prop compares the state of a readout that does not")
        if self.state not in self.populations[self.readout.name].states:
            raise ParameterError(f"{self.state!r} of {self.readout.name!r} is no state; give what synapses change")
        self.learning = dict(self._found(view) for view in weights)
        if not self.learning:
            raise ParameterError("no weights learn; give weights=[synapses.w, ...]")

    def to_readout(self, name: str) -> tuple[Projection, Synapses, str] | None:
        """The synapses from a group to the readout, and their weight."""
        for q in self.reading.projections:
            if q.source == name and q.target == self.readout.name:
                synapses = self._pathways[q.name].synapses
                known = [weight for _, other, weight in self.learning.values() if other is synapses]
                return q, synapses, known[0] if known else "w"
        return None

    def any_to_readout(self) -> tuple[Projection, Synapses, str]:
        """Some synapses to the readout: its memory is the same for all."""
        for q in self.reading.projections:
            if q.target == self.readout.name and (found := self.to_readout(q.source)):
                return found
        raise InputError(f"no synapses of the network go to {self.readout.name}, so its errors are nobody's")

    def with_slopes(self, traces: Traces, target: str) -> Traces:
        """Traces that find the slopes of the target's spikes in a group of its own, the same for all synapses."""
        key = target, tuple(traces.slopes)
        if key not in self.slopes:
            self.slopes[key] = slopes_of(traces, self.groups[target])
        return self.slopes[key].rewritten(traces)

    def _found(self, view: VariableView) -> tuple[str, tuple[Projection, Synapses, str]]:
        if not isinstance(view, VariableView) or not isinstance(view.group, Synapses):
            raise ParameterError(f"{view!r} cannot learn by e-prop; give weights of synapses, such as synapses.w")
        synapses, weight = view.group, view.name
        acting = [
            q
            for q in self.reading.projections
            if self._pathways[q.name].synapses.name == synapses.name
            and any(symbol(weight) in add.free_symbols for add in q.adds.values())
        ]
        if len(acting) != 1:
            raise InputError(
                f"{weight!r} of {synapses.name!r} acts in {len(acting)} pathways of the network, expected one; add the "
                "synapses to the network, or split their pathways"
            )
        return synapses.name, (acting[0], synapses, weight)


def _errors(
    parts: _Parts,
    target: str | VariableView,
    loss: str,
    trial: Quantity,
    window: Quantity,
    namespace: Mapping[str, Any],
) -> tuple[NeuronGroup, list[BrianObject]]:
    """The group of errors, one a readout, and what else it needs."""
    n, dim = len(parts.readout), parts.readout.variables[parts.state].dim
    unit = get_unit(dim)
    text = unit_text(unit)
    steps, first = round(float(trial / parts.dt)), round(float((trial - window) / parts.dt))
    given = isinstance(target, VariableView)
    named = {} if given else {name: namespace[name] for name in get_identifiers(target) & set(namespace)}
    errors = NeuronGroup(
        n,
        f"""seen : {text}
        wanted : {text}
        share : 1
        error : {unit_of_quotient(DIMENSIONLESS, dim)}
        loss : 1
        last_loss : 1
        counts : 1 (shared)""",
        clock=parts.readout.clock,
        namespace={**named, "unit_of_output": unit},
        name=f"{parts.readout.name}_errors*",
    )
    errors.variables.add_reference("output_now", parts.readout, parts.state)
    if given:
        whole_group(target)
        if len(target.group) != n:
            raise ParameterError(f"the target has {len(target.group)} values, expected {n}, one a readout")
        errors.variables.add_reference("target_now", target.group, target.name)
    errors.run_regularly(
        f"""counts = int(timestep(t, dt) % {steps} >= {first})
        seen = output_now
        wanted = {"target_now" if given else f"({target})"}""",
        when="end",
        order=0,
    )
    objects: list[BrianObject] = []
    if loss == "mean_squared_error":
        code = """error = counts*(seen - wanted)/unit_of_output**2
        loss += counts*0.5*((seen - wanted)/unit_of_output)**2"""
    else:
        # 1/share is what the softmax gives: no number overflows that matters.
        rivals = Synapses(
            errors,
            errors,
            "share_post = exp((seen_pre - seen_post)/unit_of_output) : 1 (summed)",
            namespace={"unit_of_output": unit},
            name=f"{errors.name}_softmax*",
        )
        pre, post = np.indices((n, n)).reshape(2, -1)
        rivals.connect(i=pre, j=post)
        rivals.summed_updaters["share_post"].when, rivals.summed_updaters["share_post"].order = "end", 1
        objects.append(rivals)
        code = """error = counts*(1/share - wanted/unit_of_output)/unit_of_output
        loss += counts*wanted/unit_of_output*log(share)"""
    errors.run_regularly(code, when="end", order=2)
    errors.run_regularly("last_loss = loss\nloss = 0", dt=trial, when="start", order=TRIAL_ORDER)
    return errors, objects


def _weight_size(synapses: Synapses, weight: str) -> Quantity:
    """The step of 1 of an optimiser, in the weight's unit."""
    variable = synapses.variables[weight]
    if variable.dim is DIMENSIONLESS:
        return 1.0
    try:
        size = float(np.sqrt(np.mean(np.square(variable.get_value()))))
    except NotImplementedError:  # standalone: known only when it runs
        size = 0.0
    return Quantity(size, dim=variable.dim) if size > 0 else get_unit(variable.dim)


def _of_readout(
    parts: _Parts, projection: Projection, synapses: Synapses, weight: str, share: float
) -> tuple[Rule, Mapping[str, VariableView]]:
    traces = eligibility(
        parts.reading,
        parts.derivations[projection.target],
        projection,
        synapses,
        weight=weight,
        output=parts.state,
        **parts.derived_with,
    )
    size = _weight_size(synapses, weight)
    rule = traces.rule(
        f"-error*{traces.trace}*share*w_size**2",
        name="e-prop, readout",
        parameters={**traces.parameters, "share": share, "w_size": size},
    )
    return rule, traces.factors


def _of_hidden(
    parts: _Parts,
    projection: Projection,
    synapses: Synapses,
    weight: str,
    share: float,
    rate: RateGoal | None,
    trial: Quantity,
    memory: bool,
) -> tuple[Rule, Mapping[str, VariableView]]:
    target = projection.target
    traces = parts.with_slopes(
        eligibility(
            parts.reading,
            parts.derivations[target],
            projection,
            synapses,
            weight=weight,
            scale=parts.scale.get(target),
            **parts.derived_with,
        ),
        target,
    )
    heard_by = parts.to_readout(target) or parts.any_to_readout()
    of = synapses.variables[weight].dim
    heard = low_pass(
        parts.derivations[parts.readout.name],
        heard_by[0],
        heard_by[1],
        parts.state,
        weight=heard_by[2],
        of=of,
        remembers=memory,
        namespace=parts.namespace,
    )
    parameters = {**traces.parameters, **heard.parameters, "share": share, "w_size": _weight_size(synapses, weight)}
    equations, step, after_trial = f"{traces.equations}\n{heard.equations}", heard.step, ""
    if rate is not None:
        equations += f"\n{ELIGIBILITY}_sum : {unit_of_quotient(DIMENSIONLESS, of)}"
        step += f"\n{ELIGIBILITY}_sum += {ELIGIBILITY}"
        # The rate of a trial times its derivative by the weight, both in kHz.
        after_trial = (
            "change_sum -= strength*(spike_count/trial_ms - goal_khz)/trial_ms*eligibility_sum*share*w_size**2\n"
            "eligibility_sum = 0*eligibility_sum"
        )
        parameters |= {
            "strength": rate.strength,
            "goal_khz": float(rate.goal / kHz),
            "trial_ms": float(trial / ms),
        }
    rule = traces.rule(
        f"-L*{heard.trace}*share*w_size**2",
        name="e-prop",
        equations=equations,
        regularly={**traces.regularly, "end": step},
        after_trial=after_trial,
        parameters=parameters,
    )
    return rule, traces.factors


def _signals(parts: _Parts, name: str, counted: Quantity | None) -> NeuronGroup:
    """What each neuron hears of the errors, and how often it spiked in this trial."""
    _, synapses, weight = parts.any_to_readout()
    dim = synapses.variables[weight].dim / parts.readout.variables[parts.state].dim
    group = parts.groups[name]
    signals = NeuronGroup(
        len(group), f"L : {unit_text(get_unit(dim))}\nspike_count : 1", clock=group.clock, name=f"{name}_signals*"
    )
    if counted is not None:
        signals.run_regularly("spike_count = 0", dt=counted, when="start", order=TRIAL_ORDER)
    return signals


def _counting(group: NeuronGroup, signals: NeuronGroup) -> Synapses:
    counting = Synapses(
        group, signals, on_pre="spike_count_post += 1", name=f"{group.name}_counting*", clock=group.clock
    )
    counting.connect(i=np.arange(len(group)), j=np.arange(len(group)))
    return counting


def _feedback(
    parts: _Parts,
    name: str,
    errors: NeuronGroup,
    signals: NeuronGroup,
    kind: str | Mapping[str, NDArray],
    rng: np.random.Generator,
) -> Synapses:
    """Synapses that sum errors into the learning signal of each neuron."""
    given = None if isinstance(kind, str) else kind.get(name)
    if given is None and kind not in FEEDBACK:
        raise ParameterError(f"feedback is {kind!r}, expected one of {', '.join(FEEDBACK)}, or weights for {name!r}")
    n, outputs = len(signals), len(errors)
    direct = parts.to_readout(name)
    _, synapses, weight = parts.any_to_readout()
    unit = get_unit(synapses.variables[weight].dim)
    own = "" if kind == "symmetric" else f"B : {unit_text(unit)}\n"
    feedback = Synapses(
        errors,
        signals,
        f"{own}L_post = B*error_pre : {unit_text(get_unit(signals.variables['L'].dim))} (summed)",
        clock=errors.clock,
        name=f"{name}_feedback*",
    )
    feedback.summed_updaters["L_post"].when, feedback.summed_updaters["L_post"].order = "end", 3
    if kind in ("symmetric", "adaptive"):
        if direct is None:
            raise InputError(f"{name} has no synapses to {parts.readout.name}; use feedback='random' for it")
        _, synapses, weight = direct
        pre, post = pairs_of(synapses)
        feedback.connect(i=post, j=pre)
        if kind == "symmetric":
            feedback.variables.add_reference("B", synapses, weight)
            return feedback
        weights = rng.normal(0, 1 / np.sqrt(n), len(pre))
    else:
        neurons, readouts = np.indices((n, outputs)).reshape(2, -1)
        feedback.connect(i=readouts, j=neurons)
        if given is not None:
            if np.shape(given) != (n, outputs):
                raise ParameterError(f"feedback of {name!r} has shape {np.shape(given)}, expected {(n, outputs)}")
            weights = np.asarray(given).ravel()
        else:
            weights = np.ones(n * outputs) if kind == "broadcast" else rng.normal(0, 1 / np.sqrt(n), n * outputs)
    feedback.B = weights * unit
    return feedback


def _adapting(
    parts: _Parts,
    name: str,
    feedback: Synapses,
    plasticity: Mapping[str, Plasticity],
    share: float,
    decay: float,
    options: Mapping[str, Any],
) -> Plasticity:
    """Feedback that changes as the weights to the readout do (Bellec et al. 2020, "adaptive e-prop")."""
    _, synapses, weight = parts.to_readout(name)
    if synapses.name not in plasticity:
        raise ParameterError(f"adaptive feedback follows the weights of {synapses.name!r}, which do not learn")
    trace = f"epsilon_{parts.state}"
    rule = Rule(
        name="adaptive feedback",
        change="-error_pre*trace*share*w_size**2",
        after_trial="w *= 1 - decay" if decay else "",
        parameters={"share": share, "w_size": _weight_size(synapses, weight), "decay": decay},
        source="Bellec et al. (2020)",
    )
    factors = {"trace": getattr(plasticity[synapses.name], trace)}
    return attach(feedback, rule, factors, weight="B", name=f"{feedback.name}_adapting", **{**options, "forget": None})


def _restarting(group: NeuronGroup, p: Population, trial: Quantity) -> NeuronGroup:
    """Puts the states of a group back to where they began, at the start of each trial."""
    units = {state: unit_text(get_unit(group.variables[state].dim)) for state in p.states}
    curtain = NeuronGroup(
        len(group),
        "\n".join(f"start_{state} : {unit} (constant)" for state, unit in units.items()),
        clock=group.clock,
        name=f"{group.name}_restart*",
    )
    lines = []
    for state in p.states:
        setattr(curtain, f"start_{state}", Quantity(p.start[state], dim=group.variables[state].dim))
        curtain.variables.add_reference(f"now_{state}", group, state)
        lines.append(f"now_{state} = start_{state}")
    if p.refractory_steps is not None:
        curtain.variables.add_reference("now_lastspike", group, "lastspike")
        lines.append("now_lastspike = -1e4*second")
    curtain.run_regularly("\n".join(lines), dt=trial, when="start", order=TRIAL_ORDER)
    return curtain


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
