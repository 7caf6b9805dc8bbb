"""Rules: what a spike does at a synapse, and what it does to the synapse; which pairs are connected is the wiring."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from brian2 import Hz, Quantity, ms, second

from dvs.errors import ParameterError
from snn.parameters import unit_text, with_changes

Value = Quantity | float


@dataclass(frozen=True, kw_only=True)
class SynapseModel:
    """A synapse as Brian2 texts with three blanks, which `connect` fills in.

    {onto} is the variable of the target that a spike changes, {unit} its unit, {w} the weight: `w`, or `w*count_pre`
    from an input that counts. parameters become the namespace; start: initial values of variables other than the
    weight. source: author, year.
    """

    name: str
    on_pre: str
    on_post: str | None = None
    equations: str = "w : {unit}"
    parameters: Mapping[str, Value] = field(default_factory=dict, hash=False)
    start: Mapping[str, Value] = field(default_factory=dict, hash=False)
    source: str = ""


def static() -> SynapseModel:
    """A spike adds the weight to the target's variable, and that is all."""
    return SynapseModel(name="static", on_pre="{onto} += {w}")


# Tsodyks, Pawelzik & Markram (1998), figure 1; the depressing synapse does not facilitate.
SHORT_TERM_PLASTICITY: Mapping[str, Mapping[str, Value]] = MappingProxyType(
    {
        "depressing": {"U": 0.5, "tau_rec": 800 * ms},
        "facilitating": {"U": 0.03, "tau_rec": 130 * ms, "tau_facil": 530 * ms},
    }
)


def short_term_plasticity(kind: str = "depressing", **parameters: Value) -> SynapseModel:
    """A spike uses a share u of the resources x, which recover: it adds w*u*x.

    x recovers to 1 with tau_rec. "facilitating": each spike raises u by U (1 - u), and u decays with tau_facil;
    "depressing": u is U. Parameters: "depressing" U 0.5, tau_rec 800 ms; "facilitating" U 0.03, tau_rec 130 ms,
    tau_facil 530 ms. Source: Tsodyks, Pawelzik & Markram (1998), figure 1.
    """
    if kind not in SHORT_TERM_PLASTICITY:
        raise ParameterError(f"there is no {kind!r} synapse; there are {', '.join(SHORT_TERM_PLASTICITY)}")
    chosen = with_changes(f"the {kind} synapse", SHORT_TERM_PLASTICITY[kind], parameters)
    if not 0 < chosen["U"] <= 1:
        raise ParameterError(f"U is {chosen['U']}, expected a share, above 0 and at most 1")
    facilitating = kind == "facilitating"
    return SynapseModel(
        name=kind,
        equations="w : {unit}\ndx/dt = (1 - x)/tau_rec : 1 (event-driven)"
        + ("\ndu/dt = -u/tau_facil : 1 (event-driven)" if facilitating else ""),
        on_pre="u += U*(1 - u)\n{onto} += w*u*x\nx -= u*x" if facilitating else "{onto} += w*U*x\nx -= U*x",
        parameters=chosen,
        start={"x": 1.0},
        source="Tsodyks, Pawelzik & Markram (1998)",
    )


def stdp_pair(**parameters: Value) -> SynapseModel:
    """Spike-timing-dependent plasticity of all pairs of spikes; weights stay between 0 and w_max.

    A pair with t_post - t_pre = d >= 0 changes w by w_max A_plus exp(-d/tau_plus), one with d < 0 by
    -w_max A_minus exp(d/tau_minus): of two spikes in one step the presynaptic one comes first.
    Parameters: A_plus 0.005, A_minus 0.00525, tau_plus and tau_minus 20 ms; w_max 1, or in the unit of the target's
    variable. Source: Song, Miller & Abbott (2000).
    """
    defaults = {"A_plus": 0.005, "A_minus": 0.00525, "tau_plus": 20 * ms, "tau_minus": 20 * ms}
    return SynapseModel(
        name="stdp_pair",
        equations="w : {unit}\ndP/dt = -P/tau_plus : 1 (event-driven)\ndM/dt = -M/tau_minus : 1 (event-driven)",
        on_pre="{onto} += w\nw = clip(w + w_max*M, 0*w_max, w_max)\nP += A_plus",
        on_post="w = clip(w + w_max*P, 0*w_max, w_max)\nM -= A_minus",
        parameters=_bounded("stdp_pair", defaults, parameters),
        source="Song, Miller & Abbott (2000)",
    )


# Pfister & Gerstner (2006), tables 3 and 4: the full model, all spikes with all.
STDP_TRIPLET: Mapping[str, Mapping[str, Value]] = MappingProxyType(
    {
        "visual cortex": {
            "A2_plus": 5e-10,
            "A3_plus": 6.2e-3,
            "A2_minus": 7e-3,
            "A3_minus": 2.3e-4,
            "tau_x": 101 * ms,
            "tau_y": 125 * ms,
        },
        "hippocampus": {
            "A2_plus": 6.1e-3,
            "A3_plus": 6.7e-3,
            "A2_minus": 1.6e-3,
            "A3_minus": 1.4e-3,
            "tau_x": 946 * ms,
            "tau_y": 27 * ms,
        },
    }
)


def stdp_triplet(tissue: str = "visual cortex", **parameters: Value) -> SynapseModel:
    """Plasticity of pairs and triplets of spikes; weights stay between 0 and w_max.

    At a presynaptic spike w falls by w_max o1 (A2_minus + A3_minus r2), at a postsynaptic one it rises by
    w_max r1 (A2_plus + A3_plus o2); r1, r2, o1 and o2 are traces of the spikes before it, with tau_plus 16.8 ms, tau_x,
    tau_minus 33.7 ms and tau_y. tissue: a set of `STDP_TRIPLET`; w_max 1, or in the unit of the target's variable.
    Source: Pfister & Gerstner (2006), equations 3 and 4, tables 3 and 4.
    """
    if tissue not in STDP_TRIPLET:
        raise ParameterError(f"there are no triplet parameters of {tissue!r}; there are {', '.join(STDP_TRIPLET)}")
    defaults = {**STDP_TRIPLET[tissue], "tau_plus": 16.8 * ms, "tau_minus": 33.7 * ms}
    return SynapseModel(
        name="stdp_triplet",
        equations="w : {unit}\n"
        "dr1/dt = -r1/tau_plus : 1 (event-driven)\n"
        "dr2/dt = -r2/tau_x : 1 (event-driven)\n"
        "do1/dt = -o1/tau_minus : 1 (event-driven)\n"
        "do2/dt = -o2/tau_y : 1 (event-driven)",
        on_pre="{onto} += w\nw = clip(w - w_max*o1*(A2_minus + A3_minus*r2), 0*w_max, w_max)\nr1 += 1\nr2 += 1",
        on_post="w = clip(w + w_max*r1*(A2_plus + A3_plus*o2), 0*w_max, w_max)\no1 += 1\no2 += 1",
        parameters=_bounded("stdp_triplet", defaults, parameters),
        source="Pfister & Gerstner (2006)",
    )


def synaptic_scaling(**parameters: Value) -> SynapseModel:
    """All weights of a neuron grow or shrink by one factor until it fires at its goal.

    dw/dt = w (goal - rate)/(goal tau_scaling), with `rate` the neuron's own spikes over about tau_rate; at `goal`
    nothing changes. Parameters: goal 10 Hz, tau_rate 1 s, tau_scaling 100 s (days in tissue).
    Source: van Rossum, Bi & Turrigiano (2000), without their integral term.
    """
    defaults = {"goal": 10 * Hz, "tau_rate": 1 * second, "tau_scaling": 100 * second}
    return SynapseModel(
        name="synaptic_scaling",
        equations="dw/dt = w*(goal - rate)/(goal*tau_scaling) : {unit} (clock-driven)\n"
        "drate/dt = -rate/tau_rate : Hz (clock-driven)",
        on_pre="{onto} += {w}",
        on_post="rate += 1/tau_rate",
        parameters=with_changes("synaptic_scaling", defaults, parameters),
        source="van Rossum, Bi & Turrigiano (2000)",
    )


def _bounded(rule: str, defaults: Mapping[str, Value], changes: Mapping[str, Value]) -> dict[str, Value]:
    """Parameters with w_max, which may have any unit: `connect` compares it with the target's."""
    w_max = changes.get("w_max", 1.0)
    chosen = with_changes(rule, {**defaults, "w_max": w_max}, changes)
    if not w_max > 0 * w_max:
        raise ParameterError(f"w_max of {rule} is {w_max}, expected more than 0 {unit_text(w_max)}")
    return chosen
