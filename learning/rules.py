"""Three-factor rules as text: what a synapse remembers, which third factor it hears, and how far its weight then moves.

    dopamine = modulators.dopamine(tau=200 * ms)
    plasticity = attach(synapses, rules.r_stdp(eta=0.1), {"D": dopamine.level}, limits=(0, 1))

Each is a `Rule`, and a new one is a few lines:

>>> hebb = Rule(
...     name="Hebb, gated",
...     equations="dx/dt = -x/tau : 1 (clock-driven)",
...     on_pre="x += 1",
...     on_post="captured += x",
...     regularly={"before_groups": "captured = 0*captured"},
...     change="eta*D*captured",
...     parameters={"tau": 20 * ms, "eta": 0.01},
... )

A weight that has a unit changes in steps of `size`, which is 1 of that unit by default: `r_stdp(size=1 * mV)`. Names of
third factors stand in the first line of each rule. The pair rules take all pairs of spikes; of two spikes in one step
the presynaptic one comes first.
"""

from brian2 import NeuronGroup, Quantity, ms, second

from learning.eligibility import Traces
from learning.plasticity import Rule
from snn.parameters import with_changes

Value = Quantity | float

_PAIRS = {"A_plus": 1.0, "A_minus": -1.0, "tau_plus": 20 * ms, "tau_minus": 20 * ms}
_PAIR_TRACES = "dP/dt = -P/tau_plus : 1 (clock-driven)\ndM/dt = -M/tau_minus : 1 (clock-driven)\n"


def r_stdp(*, size: Value = 1.0, **parameters: Value) -> Rule:
    """Third factor D, a concentration of dopamine: a synapse waits with what its spike pairs say, and D collects it.

    dc/dt = -c/tau_c + STDP at spikes; dw/dt = eta c D. Parameters: A_plus 1, A_minus -1.5, tau_plus and tau_minus
    20 ms, tau_c 1 s, eta 1/s. Source: Izhikevich (2007), equations 1 and 2; there the weight has a state of its own.
    """
    chosen = with_changes(
        "r_stdp", {**_PAIRS, "A_minus": -1.5, "tau_c": 1 * second, "eta": 1 / second}, parameters
    )  # fmt: skip
    return Rule(
        name="r_stdp",
        equations=f"{_PAIR_TRACES}dc/dt = -c/tau_c : 1 (clock-driven)",
        on_pre="P += A_plus\nc += M",
        on_post="M += A_minus\nc += P",
        change="eta*D*c*dt*size",
        parameters={**chosen, "size": size},
        source="Izhikevich (2007)",
    )


def r_stdp_triplet(*, size: Value = 1.0, **parameters: Value) -> Rule:
    """Third factor D, a concentration of dopamine, for what triplets of spikes say and not pairs alone.

    At a post spike c rises by r1 (A2_plus + A3_plus o2), at a pre spike it falls by o1 (A2_minus + A3_minus r2).
    Parameters: those of the hippocampus, tau_c 1 s, eta 1/s. Source: Pfister & Gerstner (2006), table 4, full model;
    the eligibility as in Izhikevich (2007).
    """
    defaults = {
        "A2_plus": 6.1e-3,
        "A3_plus": 6.7e-3,
        "A2_minus": 1.6e-3,
        "A3_minus": 1.4e-3,
        "tau_plus": 16.8 * ms,
        "tau_x": 946 * ms,
        "tau_minus": 33.7 * ms,
        "tau_y": 27 * ms,
        "tau_c": 1 * second,
        "eta": 1 / second,
    }
    return Rule(
        name="r_stdp_triplet",
        equations="""dr1/dt = -r1/tau_plus : 1 (clock-driven)
        dr2/dt = -r2/tau_x : 1 (clock-driven)
        do1/dt = -o1/tau_minus : 1 (clock-driven)
        do2/dt = -o2/tau_y : 1 (clock-driven)
        dc/dt = -c/tau_c : 1 (clock-driven)""",
        on_pre="c -= o1*(A2_minus + A3_minus*r2)\nr1 += 1\nr2 += 1",
        on_post="c += r1*(A2_plus + A3_plus*o2)\no1 += 1\no2 += 1",
        change="eta*D*c*dt*size",
        parameters={**with_changes("r_stdp_triplet", defaults, parameters), "size": size},
        source="Pfister & Gerstner (2006); Izhikevich (2007)",
    )


def mstdp(*, size: Value = 1.0, **parameters: Value) -> Rule:
    """Third factor R, the reward of this step: what the spikes of a step say counts at once or never.

    w += eta R zeta; zeta is P at a post spike and M at a pre spike of this step. Parameters: A_plus 1, A_minus -1,
    tau_plus and tau_minus 20 ms, eta 0.01. Source: Florian (2007), equations 37 to 40, "MSTDP".
    """
    chosen = with_changes("mstdp", {**_PAIRS, "eta": 0.01}, parameters)
    return Rule(
        name="mstdp",
        equations=f"{_PAIR_TRACES}zeta : 1",
        on_pre="P += A_plus\nzeta += M",
        on_post="M += A_minus\nzeta += P",
        regularly={"before_groups": "zeta = 0"},
        change="eta*R*zeta*size",
        parameters={**chosen, "size": size},
        source="Florian (2007)",
    )


def mstdpet(*, size: Value = 1.0, **parameters: Value) -> Rule:
    """Third factor R, the reward of this step: what spikes say is remembered for tau_z.

    dz/dt = -z/tau_z + zeta at spikes, dw/dt = eta R z/tau_z. Parameters: A_plus 1, A_minus -1, tau_plus and tau_minus
    20 ms, tau_z 25 ms, eta 0.01. Source: Florian (2007), equations 41 and 42, "MSTDPET".
    """
    chosen = with_changes("mstdpet", {**_PAIRS, "tau_z": 25 * ms, "eta": 0.01}, parameters)
    return Rule(
        name="mstdpet",
        equations=f"{_PAIR_TRACES}dz/dt = -z/tau_z : 1 (clock-driven)",
        on_pre="P += A_plus\nz += M",
        on_post="M += A_minus\nz += P",
        change="eta*R*z*dt/tau_z*size",
        parameters={**chosen, "size": size},
        source="Florian (2007)",
    )


def decolle(traces: Traces, *, eta: float = 1e-3, size: Value = 1.0) -> Rule:
    """Third factor L, an error of a readout of this layer alone: nothing is heard of other layers, nor of later.

    w -= eta L e, with e the trace that `learning.eligibility` derives. Source: Kaiser, Mostafa & Neftci (2020),
    equations 6 to 10; L is G.T (G s - goal) of a fixed random readout G, which `learning.eprop` makes of a readout of
    each layer with `memory=False`.
    """
    return traces.rule(
        f"-eta*L*{traces.trace}*size**2",
        name="decolle",
        parameters={**traces.parameters, "eta": eta, "size": size},
        source="Kaiser, Mostafa & Neftci (2020)",
    )


def ottt(traces: Traces, *, eta: float = 1e-3, size: Value = 1.0) -> Rule:
    """Third factor L, the gradient by this step's spike through this step's layers: the past is in the trace alone.

    w -= eta L e; of the trace, what a spike's reset would take away is kept. Source: Xiao, Meng, Zhang, He & Lin
    (2022), equations 9 and 10.
    """
    return traces.rule(
        f"-eta*L*{traces.trace}*size**2",
        name="ottt",
        on_post=None,
        parameters={**traces.parameters, "eta": eta, "size": size},
        source="Xiao et al. (2022)",
    )


def node_perturbation(*, size: Value = 1.0, tau: Quantity = 20 * ms, eta: float = 1e-3) -> Rule:
    """Third factors nudge, the noise of a neuron in this step, and R, the reward of a trial less what is usual.

    The trace adds up noise times what came in, and at a trial's end w += eta R trace: noise that made things better is
    repeated. `shaken` makes the noise. `attach` it with every=trial, forget="trial".
    Source: Fiete & Seung (2006), equation 4.
    """
    return Rule(
        name="node_perturbation",
        equations="dx/dt = -x/tau : 1 (clock-driven)\ng : 1",
        on_pre="x += 1",
        regularly={"end": "g += nudge*x"},
        change="0*w",
        after_trial="change_sum += eta*R*g*size",
        parameters={"tau": tau, "eta": eta, "size": size},
        source="Fiete & Seung (2006)",
    )


def weight_perturbation(*, sigma: Value = 0.01, eta: float = 1e-3) -> Rule:
    """Third factor R, the reward of a trial less what is usual: weights are shaken, and go there if it helped.

    In a trial the weight is w + shake, and at its end w += eta R shake. `attach` it with every=trial. sigma: of it, in
    the weight's unit. Source: Jabri & Flower (1992); Werfel, Xie & Seung (2005).
    """
    return Rule(
        name="weight_perturbation",
        equations="shake : {unit}",
        change="0*w",
        after_trial="change_sum += eta*R*shake\nw -= shake\nshake = sigma*randn()\nw += shake",
        parameters={"sigma": sigma, "eta": eta},
        source="Werfel, Xie & Seung (2005)",
    )


def shaken(neurons: NeuronGroup, sigma: Value, *, onto: str = "v", name: str = "shaken*") -> NeuronGroup:
    """Noise for `node_perturbation`: in each step normal numbers `nudge` of size 1, times sigma added to each neuron.

    onto: the variable that is shaken. Add it to the Network.
    """
    noise = NeuronGroup(len(neurons), "nudge : 1", clock=neurons.clock, namespace={"sigma": sigma}, name=name)
    noise.variables.add_reference("shaken_now", neurons, onto)
    noise.run_regularly("nudge = randn()\nshaken_now += sigma*nudge", when="before_groups")
    return noise
