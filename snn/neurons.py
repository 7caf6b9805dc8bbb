"""Neuron models: equation texts with the parameters of their papers.

A function such as `lif` returns a `NeuronModel`, a record of texts and numbers; its `group` makes an ordinary
NeuronGroup of it. The numbers live in the group's namespace. Numbers are changed by keyword:

>>> from brian2 import ms
>>> fast = lif(tau=5 * ms, refractory=2 * ms)
>>> fast.equations, fast.threshold, fast.reset
('dv/dt = (v_rest - v)/tau : 1 (unless refractory)', 'v > threshold', 'v = v_reset')

Every model that has no other scale is written for v with rest 0 and threshold 1; give a threshold in volts, and it
is written in volts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from brian2 import Clock, Hz, Mohm, NeuronGroup, Quantity, amp, have_same_dimensions, ms, mV, nA, nS, pF, second, volt

from dvs.errors import ParameterError
from snn.parameters import unit_text, with_changes

Value = Quantity | float
Reset = Literal["hard", "soft"]


@dataclass(frozen=True, kw_only=True)
class NeuronModel:
    """A neuron as Brian2 texts: what its state does, when it spikes and what a spike does to it.

    parameters become the group's namespace; start: initial values of variables. input: the variable to which a
    synapse adds its weight. source: author, year.
    """

    name: str
    equations: str
    threshold: str | None = None
    reset: str | None = None
    refractory: Quantity | str | bool = field(default=False, hash=False)
    method: str = "exact"
    parameters: Mapping[str, Value] = field(default_factory=dict, hash=False)
    start: Mapping[str, Value | str] = field(default_factory=dict, hash=False)
    input: str = "v"
    source: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.refractory, str | bool) and not have_same_dimensions(self.refractory, second):
            raise ParameterError(f"refractory of {self.name} is {self.refractory}, expected a time, or False for none")

    def group(
        self, n: int, name: str = "neurongroup*", dt: Quantity | None = None, clock: Clock | None = None
    ) -> NeuronGroup:
        """An ordinary NeuronGroup of n such neurons, at their initial values; on Brian2's clock unless one is given."""
        if n != int(n) or n < 1:
            raise ParameterError(f"{name} is to have {n} neurons, expected a whole number, 1 or more")
        group = NeuronGroup(
            int(n),
            self.equations,
            threshold=self.threshold,
            reset=self.reset,
            refractory=self.refractory,
            method=self.method,
            namespace=dict(self.parameters),
            name=name,
            dt=dt,
            clock=clock,
        )
        for variable, value in self.start.items():
            setattr(group, variable, value)
        return group


# Rest 0 and threshold 1, with the time constants of Cramer et al. (2022).
_NORMALISED = {"tau": 20 * ms, "v_rest": 0.0, "threshold": 1.0, "v_reset": 0.0, "R": 1.0, "tau_syn": 10 * ms}

# A cortical neuron: Dayan & Abbott (2001), figure 5.5; the synapse of Vogels & Abbott (2005).
_CORTICAL = {
    "tau": 10 * ms,
    "v_rest": -65 * mV,
    "threshold": -50 * mV,
    "v_reset": -65 * mV,
    "R": 10 * Mohm,
    "tau_syn": 5 * ms,
}

_RESETS: dict[Reset, str] = {"hard": "v = v_reset", "soft": "v -= threshold - v_reset"}


def lif(
    *, reset: Reset = "hard", refractory: Quantity | bool = False, current: bool = False, **parameters: Value
) -> NeuronModel:
    """Leaky integrate-and-fire: dv/dt = (v_rest - v)/tau, a spike where v > threshold; a synapse adds its weight to v.

    reset: "hard" sets v to v_reset; "soft" subtracts threshold - v_reset, and what was above the threshold stays.
    refractory: for this long after a spike v is held, and what arrives at it is lost. current: adds R*I, with I a
    variable of each neuron.
    Parameters, normalised (in volts): tau 20 ms (10 ms), v_rest 0 (-65 mV), threshold 1 (-50 mV), v_reset v_rest,
    R 1 (10 Mohm). Source: Lapicque (1907); numbers of Cramer et al. (2022) and of Dayan & Abbott (2001), figure 5.5.

    >>> lif(threshold=-50 * mV).equations
    'dv/dt = (v_rest - v)/tau : volt'
    """
    chosen, unit = _membrane("lif", ("R",) if current else (), parameters)
    drive, variable = (" + R*I", f"\nI : {_current(unit)}") if current else ("", "")
    return NeuronModel(
        name="lif",
        equations=f"dv/dt = (v_rest - v{drive})/tau : {unit}{_held(refractory)}{variable}",
        threshold="v > threshold",
        reset=_reset(reset),
        refractory=refractory,
        parameters=chosen,
        start={"v": chosen["v_rest"]},
        source="Lapicque (1907)",
    )


def cuba_lif(*, reset: Reset = "hard", refractory: Quantity | bool = False, **parameters: Value) -> NeuronModel:
    """LIF whose synapses make exponential currents: tau dv/dt = v_rest - v + R*I, tau_syn dI/dt = -I.

    A synapse adds its weight to I. Reset and refractory as in `lif`, whose parameters it has too, and tau_syn 10 ms
    (5 ms). Source: Cramer et al. (2022); in volts, tau_syn of Vogels & Abbott (2005).
    """
    chosen, unit = _membrane("cuba_lif", ("R", "tau_syn"), parameters)
    # The exact solution divides by tau - tau_syn. Under one name Brian2 solves the case of equals, t exp(-t/tau).
    equal = bool(np.isclose(float(chosen["tau"]), float(chosen["tau_syn"]), rtol=1e-9, atol=0))
    if equal:
        del chosen["tau_syn"]
    return NeuronModel(
        name="cuba_lif",
        equations=f"dv/dt = (v_rest - v + R*I)/tau : {unit}{_held(refractory)}\n"
        f"dI/dt = -I/{'tau' if equal else 'tau_syn'} : {_current(unit)}",
        threshold="v > threshold",
        reset=_reset(reset),
        refractory=refractory,
        parameters=chosen,
        start={"v": chosen["v_rest"]},
        input="I",
        source="Cramer et al. (2022)",
    )


def alif(*, reset: Reset = "soft", refractory: Quantity | bool = False, **parameters: Value) -> NeuronModel:
    """LIF whose threshold each spike raises by beta and which forgets with tau_a: v > threshold + beta*a.

    tau_a da/dt = -a; a spike adds 1 to a. During the refractory time v goes on, as in the paper; only spikes are
    held back. Parameters: those of `lif`, tau_a 2 s, beta 0.029 (threshold - v_rest), its share in the task of
    evidence accumulation (0.0174 of 0.6). Source: Bellec et al. (2018, 2020).
    """
    chosen, unit = _membrane("alif", (), parameters, {"tau_a": 2 * second}, {"beta": 0.0174 / 0.6})
    return NeuronModel(
        name="alif",
        equations=f"dv/dt = (v_rest - v)/tau : {unit}\nda/dt = -a/tau_a : 1",
        threshold="v > threshold + beta*a",
        reset=f"{_reset(reset)}\na += 1",
        refractory=refractory,
        parameters=chosen,
        start={"v": chosen["v_rest"]},
        source="Bellec et al. (2020)",
    )


def escape_noise_lif(*, reset: Reset = "hard", refractory: Quantity | bool = False, **parameters: Value) -> NeuronModel:
    """LIF that spikes by chance, at the rate rho0 exp((v - threshold)/delta_u): in a step with 1 - exp(-rate*dt).

    Reset and refractory as in `lif`, whose parameters it has too; rho0 60 Hz, delta_u (threshold - v_rest) 5/16.
    Source: Gerstner & Kistler (2002), section 5.3; numbers of Frémaux et al. (2013): threshold 16 mV, delta_u 5 mV.
    """
    chosen, unit = _membrane("escape_noise_lif", (), parameters, {"rho0": 60 * Hz}, {"delta_u": 5 / 16})
    if not chosen["delta_u"] > 0 * chosen["delta_u"]:
        raise ParameterError(f"delta_u of escape_noise_lif is {chosen['delta_u']}, expected more than 0")
    return NeuronModel(
        name="escape_noise_lif",
        equations=f"dv/dt = (v_rest - v)/tau : {unit}{_held(refractory)}",
        threshold="rand() < 1 - exp(-rho0*exp((v - threshold)/delta_u)*dt)",
        reset=_reset(reset),
        refractory=refractory,
        parameters=chosen,
        start={"v": chosen["v_rest"]},
        source="Gerstner & Kistler (2002)",
    )


def integrate_and_fire(**parameters: Value) -> NeuronModel:
    """A counter without a leak: v keeps what synapses add; at v >= threshold it spikes and v -= threshold.

    Nothing is lost: spikes out are what came in, over the threshold. threshold: 1, or volts.
    """
    threshold = with_changes("integrate_and_fire", {"threshold": _scale("integrate_and_fire", parameters)}, parameters)
    unit = unit_text(threshold["threshold"])
    return NeuronModel(
        name="integrate_and_fire",
        equations=f"dv/dt = 0*{unit}/second : {unit}",
        threshold="v >= threshold",
        reset="v -= threshold",
        method="euler",
        parameters=threshold,
        source="Lapicque (1907), without the leak",
    )


def leaky_readout(**parameters: Value) -> NeuronModel:
    """A membrane that never spikes: dv/dt = (v_rest - v)/tau; a synapse adds its weight to v.

    Parameters: tau 20 ms, v_rest 0, or volts. Source: Bellec et al. (2020).
    """
    zero = 0 * mV if have_same_dimensions(parameters.get("v_rest", 0), volt) else 0.0
    chosen = with_changes("leaky_readout", {"tau": 20 * ms, "v_rest": zero}, parameters)
    return NeuronModel(
        name="leaky_readout",
        equations=f"dv/dt = (v_rest - v)/tau : {unit_text(zero)}",
        parameters=chosen,
        start={"v": chosen["v_rest"]},
        source="Bellec et al. (2020)",
    )


def coba_lif(*, refractory: Quantity | bool = 5 * ms, **parameters: Value) -> NeuronModel:
    """LIF with conductances: C dv/dt = g_L (E_L - v) + g_e (E_e - v) + g_i (E_i - v) + I.

    A synapse adds its weight to g_e, or to g_i where it inhibits; they decay with tau_e and tau_i. I is a current into
    each neuron. Parameters of Vogels & Abbott (2005): C 200 pF, g_L 10 nS, E_L -60 mV, E_e 0 mV, E_i -80 mV,
    tau_e 5 ms, tau_i 10 ms, threshold -50 mV, v_reset -60 mV, refractory 5 ms.
    """
    defaults = {
        "C": 200 * pF,
        "g_L": 10 * nS,
        "E_L": -60 * mV,
        "E_e": 0 * mV,
        "E_i": -80 * mV,
        "tau_e": 5 * ms,
        "tau_i": 10 * ms,
        "threshold": -50 * mV,
        "v_reset": -60 * mV,
    }
    chosen = with_changes("coba_lif", defaults, parameters)
    return NeuronModel(
        name="coba_lif",
        equations=f"dv/dt = (g_L*(E_L - v) + g_e*(E_e - v) + g_i*(E_i - v) + I)/C : volt{_held(refractory)}\n"
        "dg_e/dt = -g_e/tau_e : siemens\n"
        "dg_i/dt = -g_i/tau_i : siemens\n"
        "I : amp",
        threshold="v > threshold",
        reset=_RESETS["hard"],
        refractory=refractory,
        method="exponential_euler",
        parameters=chosen,
        start={"v": chosen["E_L"]},
        input="g_e",
        source="Vogels & Abbott (2005)",
    )


def diehl_cook(*, refractory: Quantity | bool = 5 * ms, **parameters: Value) -> NeuronModel:
    """The excitatory neuron of Diehl & Cook (2015): each spike raises its threshold by theta_plus, for hours.

    tau dv/dt = v_rest - v + g_e (E_e - v) + g_i (E_i - v), conductances in units of the leak; it spikes where
    v > threshold + theta. Numbers of the authors' program: tau 100 ms, v_rest and v_reset -65 mV, E_e 0 mV,
    E_i -100 mV, tau_e 1 ms, tau_i 2 ms, threshold -72 mV, theta 20 mV at first, theta_plus 0.05 mV, tau_theta 1e7 ms.
    """
    defaults = {
        "tau": 100 * ms,
        "v_rest": -65 * mV,
        "v_reset": -65 * mV,
        "E_e": 0 * mV,
        "E_i": -100 * mV,
        "tau_e": 1 * ms,
        "tau_i": 2 * ms,
        "threshold": -72 * mV,
        "theta_plus": 0.05 * mV,
        "tau_theta": 1e7 * ms,
    }
    chosen = with_changes("diehl_cook", defaults, parameters)
    return NeuronModel(
        name="diehl_cook",
        equations=f"dv/dt = (v_rest - v + g_e*(E_e - v) + g_i*(E_i - v))/tau : volt{_held(refractory)}\n"
        "dg_e/dt = -g_e/tau_e : 1\n"
        "dg_i/dt = -g_i/tau_i : 1\n"
        "dtheta/dt = -theta/tau_theta : volt",
        threshold="v > threshold + theta",
        reset="v = v_reset\ntheta += theta_plus",
        refractory=refractory,
        method="exponential_euler",
        parameters=chosen,
        start={"v": chosen["v_rest"], "theta": 20 * mV},
        input="g_e",
        source="Diehl & Cook (2015)",
    )


def adex(*, refractory: Quantity | bool = False, **parameters: Value) -> NeuronModel:
    """Adaptive exponential integrate-and-fire neuron; a synapse adds its weight to v, I is a current into each neuron.

    C dv/dt = g_L (E_L - v) + g_L Delta_T exp((v - V_T)/Delta_T) - w + I, tau_w dw/dt = a (v - E_L) - w; at V_peak
    v = V_r and w += b. Parameters of Brette & Gerstner (2005): C 281 pF, g_L 30 nS, E_L -70.6 mV,
    V_T -50.4 mV, Delta_T 2 mV, tau_w 144 ms, a 4 nS, b 0.0805 nA; V_r is E_L, V_peak 20 mV.
    """
    defaults = {
        "C": 281 * pF,
        "g_L": 30 * nS,
        "E_L": -70.6 * mV,
        "V_T": -50.4 * mV,
        "Delta_T": 2 * mV,
        "tau_w": 144 * ms,
        "a": 4 * nS,
        "b": 0.0805 * nA,
        "V_r": -70.6 * mV,
        "V_peak": 20 * mV,
    }
    chosen = with_changes("adex", defaults, parameters)
    return NeuronModel(
        name="adex",
        equations="dv/dt = (g_L*(E_L - v) + g_L*Delta_T*exp((v - V_T)/Delta_T) - w + I)/C : volt"
        f"{_held(refractory)}\n"
        "dw/dt = (a*(v - E_L) - w)/tau_w : amp\n"
        "I : amp",
        threshold="v > V_peak",
        reset="v = V_r\nw += b",
        refractory=refractory,
        method="euler",  # at the peak the exponential overflows any method that looks ahead
        parameters=chosen,
        start={"v": chosen["E_L"]},
        source="Brette & Gerstner (2005)",
    )


# a (1/ms), b (1/ms), c (mV), d (mV/ms): Izhikevich (2003), figure 2.
IZHIKEVICH: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "regular spiking": (0.02, 0.2, -65, 8),
        "intrinsically bursting": (0.02, 0.2, -55, 4),
        "chattering": (0.02, 0.2, -50, 2),
        "fast spiking": (0.1, 0.2, -65, 2),
        "thalamo-cortical": (0.02, 0.25, -65, 0.05),
        "resonator": (0.1, 0.26, -65, 2),
        "low-threshold spiking": (0.02, 0.25, -65, 2),
    }
)


def izhikevich(kind: str = "regular spiking", **parameters: Value) -> NeuronModel:
    """Izhikevich's neuron: dv/dt = 0.04 v^2 + 5 v + 140 - u + I, du/dt = a (b v - u) in mV and ms.

    At 30 mV v = c and u += d. A synapse adds its weight to v; I, in mV/ms, is the drive of each neuron.
    kind: one of `IZHIKEVICH`, for a, b, c and d. Source: Izhikevich (2003).
    """
    if kind not in IZHIKEVICH:
        raise ParameterError(f"there is no Izhikevich neuron {kind!r}; there are {', '.join(IZHIKEVICH)}")
    a, b, c, d = IZHIKEVICH[kind]
    defaults = {"a": a / ms, "b": b / ms, "c": c * mV, "d": d * mV / ms}
    return NeuronModel(
        name="izhikevich",
        equations="dv/dt = 0.04*v**2/(mV*ms) + 5*v/ms + 140*mV/ms - u + I : volt\n"
        "du/dt = a*(b*v - u) : volt/second\n"
        "I : volt/second",
        threshold="v >= 30*mV",
        reset="v = c\nu += d",
        method="euler",
        parameters=with_changes(f"the {kind} neuron", defaults, parameters),
        start={"v": -65 * mV, "u": "b*v"},
        source="Izhikevich (2003)",
    )


def poisson(rate: Quantity = 10 * Hz) -> NeuronModel:
    """A neuron without memory that spikes in a step with probability rate*dt; `rate` is a variable of each neuron."""
    start = with_changes("poisson", {"rate": 10 * Hz}, {"rate": rate})
    return NeuronModel(
        name="poisson", equations="rate : Hz", threshold="rand() < rate*dt", reset=None, start=start, input="rate"
    )


def _membrane(
    model: str,
    more: tuple[str, ...],
    changes: Mapping[str, Value],
    others: Mapping[str, Value] = MappingProxyType({}),
    spans: Mapping[str, float] = MappingProxyType({}),
) -> tuple[dict[str, Value], str]:
    """Parameters of a membrane with rest and threshold, and the unit of v, which is that of the threshold.

    more: which beyond tau, v_rest, threshold and v_reset are taken from the standard neuron. spans: parameters that
    are by default in proportion to threshold - v_rest.
    """
    standard = _CORTICAL if unit_text(_scale(model, changes)) == "volt" else _NORMALISED
    span = standard["threshold"] - standard["v_rest"]
    defaults = {name: standard[name] for name in ("tau", "v_rest", "threshold", "v_reset", *more)}
    defaults |= {**others, **{name: share * span for name, share in spans.items()}}
    chosen = with_changes(model, defaults, changes)
    span = chosen["threshold"] - chosen["v_rest"]
    chosen |= {name: share * span for name, share in spans.items() if name not in changes}
    if "v_reset" not in changes:
        chosen["v_reset"] = chosen["v_rest"]
    if not chosen["v_reset"] < chosen["threshold"]:
        raise ParameterError(
            f"{model} resets to {chosen['v_reset']}, expected below its threshold of {chosen['threshold']}; "
            "give threshold and v_rest, or v_reset"
        )
    return chosen, unit_text(span)


def _scale(model: str, changes: Mapping[str, Value]) -> Value:
    """The threshold, which says whether a model is in volts or normalised."""
    threshold = changes.get("threshold", 1.0)
    if unit_text(threshold) not in ("1", "volt"):
        raise ParameterError(f"threshold of {model} is {threshold}, expected a plain number or volts")
    return threshold


def _current(unit: str) -> str:
    return unit_text(amp) if unit == "volt" else unit


def _reset(kind: Reset) -> str:
    if kind not in _RESETS:
        raise ParameterError(f"reset is {kind!r}, expected one of {list(get_args(Reset))}")
    return _RESETS[kind]


def _held(refractory: Quantity | bool) -> str:
    """The flag that holds v while refractory."""
    return " (unless refractory)" if refractory is not False else ""
