"""Wiring times rule makes ordinary Brian2 Synapses."""

import numpy as np
from brian2 import Group, NeuronGroup, Quantity, SpikeSource, Synapses, have_same_dimensions, linked_var, second
from brian2.core.variables import VariableView
from brian2.units.fundamentalunits import get_unit

from dvs.errors import ParameterError
from snn.parameters import unit_text, unit_words
from snn.synapses.rules import SynapseModel, static
from snn.synapses.wiring import Wiring


def connect(
    source: SpikeSource,
    target: Group,
    wiring: Wiring,
    rule: SynapseModel | None = None,
    *,
    onto: str = "v",
    delay: Quantity | None = None,
    name: str = "synapses*",
) -> Synapses:
    """Synapses from source to target, connected, with their weights and delays.

    rule: `static()` unless given. onto: the variable of the target that a spike changes (`NeuronModel.input` says it);
    the weights have its unit. delay: one for all, or (S,), one a synapse.

    If synapses share weights (a convolution), the weights are a small group `<name>_weights` with the variable `w`,
    to which the synapses' `w` is linked; it goes into a Network together with the Synapses. `free_weights` finds it.

    An input with a variable `count` (`EventInput(collisions="count")`) makes count times the weight arrive.

    Raises ParameterError if sizes or units do not fit.
    """
    rule = rule or static()
    _check_sizes(source, target, wiring)
    if onto not in target.variables:
        raise ParameterError(f"{target.name!r} has no variable {onto!r}; say with onto= which one a spike changes")
    unit = get_unit(target.variables[onto].dim)
    _check_units(rule, wiring, unit, f"{onto!r} of {target.name!r}")
    if delay is not None:
        _check_delay(delay, wiring)
    graded = "count" in source.variables
    if graded and "{w}" not in rule.on_pre:
        raise ParameterError(
            f"{rule.name} takes spikes one at a time; give {source.name!r} other collisions than 'count'"
        )
    if graded and delay is not None:
        # The count would be read when the spike arrives.
        raise ParameterError(f"a count is not delayed; give {source.name!r} other collisions than 'count'")
    blanks = {"onto": f"{onto}_post", "unit": unit_text(unit), "w": "w*count_pre" if graded else "w"}
    one_delay = delay is not None and np.ndim(delay) == 0
    synapses = Synapses(
        source,
        target,
        _equations(rule, wiring).format(**blanks),
        on_pre=rule.on_pre.format(**blanks),
        on_post=rule.on_post.format(**blanks) if rule.on_post else None,
        namespace=dict(rule.parameters),
        delay=delay if one_delay else None,
        method="euler",  # of what is clock-driven; at spikes, decay is exact
        clock=target.clock,
        name=name,
    )
    if len(wiring):
        synapses.connect(i=wiring.pre, j=wiring.post)
    else:
        synapses.connect(condition="False")  # Brian2 takes no empty arrays
    if wiring.shared is None:
        synapses.w = wiring.weights
    else:
        weights = NeuronGroup(
            wiring.weights.size, f"w : {blanks['unit']}", name=f"{synapses.name}_weights", clock=target.clock
        )
        weights.w = wiring.weights
        synapses.weight_index = wiring.shared
        synapses.w = linked_var(weights, "w", index="weight_index")
        synapses.contained_objects.append(weights)
    for variable, value in rule.start.items():
        setattr(synapses, variable, value)
    if delay is not None and not one_delay:
        synapses.pre.delay = delay
    return synapses


def free_weights(synapses: Synapses) -> VariableView:
    """The numbers that may be chosen, (W,): a convolution's kernel, flat, or else one weight a synapse.

    Read them with `free_weights(synapses)[:]`, set them with `free_weights(synapses)[:] = ...`.
    """
    name = f"{synapses.name}_weights"
    shared = [group for group in synapses.contained_objects if group.name == name]
    return shared[0].w if shared else synapses.w


def _check_sizes(source: SpikeSource, target: Group, wiring: Wiring) -> None:
    for side, group, size, shape in (
        ("source", source, wiring.n_pre, wiring.in_shape),
        ("target", target, wiring.n_post, wiring.out_shape),
    ):
        if len(group) != size:
            raise ParameterError(
                f"the {side} {group.name!r} has {len(group)} neurons, the wiring expects {size}, shape {shape}"
            )


_WEIGHT = "w : {unit}"


def _equations(rule: SynapseModel, wiring: Wiring) -> str:
    if wiring.shared is None:
        return rule.equations
    if _WEIGHT not in rule.equations:
        raise ParameterError(f"{rule.name} needs a weight for each synapse; connect wiring.unshared()")
    return rule.equations.replace(_WEIGHT, f"weight_index : integer (constant)\n{_WEIGHT} (linked)")


def _check_units(rule: SynapseModel, wiring: Wiring, unit: Quantity, what: str) -> None:
    for name, value in {"weights": wiring.weights, "w_max": rule.parameters.get("w_max", unit)}.items():
        if not have_same_dimensions(value, unit):
            raise ParameterError(
                f"{name} for {what}: {unit_words(value)} came, expected {unit_words(unit)}; give it that unit"
            )


def _check_delay(delay: Quantity, wiring: Wiring) -> None:
    fits = np.shape(delay) in ((), (len(wiring),)) and have_same_dimensions(delay, second)
    if not (fits and np.all(delay >= 0 * second)):
        raise ParameterError(f"delay is {delay}, expected one time of 0 or more, or {len(wiring)}, one a synapse")
