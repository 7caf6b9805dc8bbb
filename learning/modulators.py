"""Neuromodulators: one neuron each, whose `level` is one number for all synapses.

Anybody may write `reward`, from Python or by a synapse's `reward_post += ...`; what was written is heard in the next
step and then gone. `level` goes to a rule as its third factor:

    dopamine_neuron = dopamine(tau=200 * ms)
    plasticity = attach(synapses, rules.r_stdp(), {"D": dopamine_neuron.level})
"""

from brian2 import NeuronGroup, Quantity, have_same_dimensions, ms, second

from dvs.errors import ParameterError
from snn.parameters import unit_words

# At "start" of a step: after the worlds have moved, before monitors look.
_ORDER = -65


def dopamine(*, tau: Quantity = 200 * ms, baseline: float = 0.0, name: str = "dopamine*") -> NeuronGroup:
    """A concentration that each reward raises by its size, and that falls back to its baseline with tau.

    Izhikevich (2007): dD/dt = -D/tau + DA(t), where tau is 200 ms.
    """
    _check_time("tau", tau)
    neuron = NeuronGroup(
        1,
        "dlevel/dt = (baseline - level)/tau : 1\nreward : 1",
        method="exact",
        namespace={"tau": tau, "baseline": baseline},
        name=name,
    )
    neuron.level = baseline
    neuron.run_regularly("level += reward\nreward = 0", when="start", order=_ORDER)
    return neuron


def reward_prediction_error(
    *, stimuli: int = 1, trials: float = 10.0, first: float = 0.0, name: str = "surprise*"
) -> NeuronGroup:
    """Reward less what was usual: `level` is it for the one step after `known` was set to 1, else 0.

    What is usual is a running average of the rewards over about so many `trials`; one for each of the stimuli, whose
    number is written to `stimulus`. first: its value before any reward. The average of stimulus k is `usual_k`.
    A baseline takes nothing from the gradient and much from its variance (Williams 1992); each stimulus needs one
    of its own (Fremaux, Sprekeler & Gerstner 2010).
    """
    if stimuli != int(stimuli) or stimuli < 1:
        raise ParameterError(f"stimuli is {stimuli}, expected a whole number, 1 or more")
    if not trials >= 1:
        raise ParameterError(f"trials is {trials}, expected 1 or more")
    each = range(int(stimuli))
    neuron = NeuronGroup(
        1,
        "level : 1\nreward : 1\nknown : 1\nstimulus : 1\n" + "\n".join(f"usual_{k} : 1" for k in each),
        namespace={"share": 1 / trials},
        name=name,
    )
    for k in each:
        setattr(neuron, f"usual_{k}", first)
    usual = " + ".join(f"int(stimulus == {k})*usual_{k}" for k in each)
    averages = "\n".join(f"usual_{k} += int(stimulus == {k})*share*level" for k in each)
    neuron.run_regularly(
        f"level = known*(reward - ({usual}))\n{averages}\nreward *= 1 - known\nknown = 0", when="start", order=_ORDER
    )
    return neuron


def rectified(source: NeuronGroup, variable: str, *, baseline: float = 0.0, name: str = "rectified*") -> NeuronGroup:
    """What is left of a signed variable of one neuron when a rate has to carry it: level = max(variable, -baseline).

    A dopamine neuron that spikes at a low rate cannot say how much worse than expected something was: it can only
    fall silent (Potjans, Diesmann & Morrison 2011). baseline: how far below 0 the level can go.
    """
    if len(source) != 1 or variable not in source.variables:
        raise ParameterError(f"{source.name!r} has no single {variable!r}; give a variable of a group of one neuron")
    if not baseline >= 0:
        raise ParameterError(f"baseline is {baseline}, expected 0 or more")
    neuron = NeuronGroup(1, "level : 1", namespace={"baseline": baseline}, name=name, dt=source.clock.dt)
    neuron.variables.add_reference("signed", source, variable, index="0")
    # After the error of the step, which an actor-critic knows at "start", too.
    neuron.run_regularly("level = clip(signed, -baseline, inf)", when="start", order=_ORDER + 10)
    return neuron


def _check_time(name: str, time: Quantity) -> None:
    if not have_same_dimensions(time, second) or not time > 0 * second:
        raise ParameterError(f"{name} is {unit_words(time)}, expected a time above 0")
