"""What is read of a network is what Brian2 does: a plain simulation of the records, spike for spike beside it."""

import functools

import brian2 as b2
import numpy as np
import pytest
import sympy
from brian2 import ms
from models_to_learn import CELLS, INPUTS, MODELS, STEPS, source, spikes_of

import snn
from dvs.errors import InputError
from learning.reading import read_network
from learning.symbols import symbol
from snn.neurons import cuba_lif, lif
from snn.synapses import connect, dense


@functools.cache
def function_of(expression, names):
    return sympy.lambdify([symbol(name) for name in names], expression, "numpy")


def numbers(expression, names):
    """The value of an expression, names being those of all that it may depend on."""
    return function_of(expression, tuple(names))(*names.values())


def on_synapses(record, state=None):
    """Values of all names of a projection or coupling, each one number or one for each synapse."""
    names = {key: value[record.index[key]] if key in record.index else value for key, value in record.values.items()}
    if state is not None:
        names |= {key: state[record.source][name][record.pre] for key, name in record.pre_states.items()}
        names |= {key: state[record.target][name][record.post] for key, name in record.post_states.items()}
    return names


def simulated(reading, incoming, carried=None):
    """Spikes [step] and states [step][name] of all populations, by definition.

    The order is that of the reading: couplings, update, threshold, projections, reset. incoming: neurons that spike in
    each step, of every input or by input. carried: (steps, n) by input, values that the spikes carry.
    """
    if not isinstance(incoming, dict):
        incoming = dict.fromkeys(reading.inputs, incoming)
    populations = {p.name: p for p in reading.populations}
    state = {name: dict(p.start) for name, p in populations.items()}
    last = {name: np.full(p.n, -(10**9)) for name, p in populations.items()}
    spikes = {name: [] for name in (*populations, *reading.inputs)}
    trace = {name: [] for name in populations}
    for now in range(STEPS):
        for c in reading.couplings:
            terms = numbers(c.value, on_synapses(c, state)) * np.ones(c.pre.size)
            state[c.target][c.variable] = np.bincount(c.post, terms, minlength=populations[c.target].n)
        free = {}
        for name, p in populations.items():
            held = np.zeros(p.n, bool) if p.refractory_steps is None else now - last[name] < p.refractory_steps
            before = {**p.constants, "dt": reading.dt_s, **state[name]}
            with np.errstate(all="ignore"):  # the formula of the other case may divide by zero
                state[name] = {
                    key: np.where(held, numbers(p.held[key], before), numbers(p.step[key], before)) * np.ones(p.n)
                    for key in p.states
                }
            fired = np.zeros(p.n, bool)
            if p.margin is not None:
                margin = numbers(p.margin, {**p.constants, "dt": reading.dt_s, **state[name]}) * np.ones(p.n)
                fired = ((margin >= 0) if p.inclusive else (margin > 0)) & ~held
            last[name][fired] = now
            free[name] = ~held & ~fired if p.refractory_steps is not None else np.ones(p.n, bool)
            spikes[name].append(np.flatnonzero(fired))
        for name in reading.inputs:
            spikes[name].append(incoming[name][now])
        for q in reading.projections:
            factor = carried[q.source][now][q.pre] if q.graded else 1
            for delay in np.unique(q.delay_steps[q.delay_steps <= now]):
                arrives = (q.delay_steps == delay) & np.isin(q.pre, spikes[q.source][now - delay])
                for key, add in q.adds.items():
                    heard = arrives
                    if key in populations[q.target].guarded:
                        heard = arrives & free[q.target][q.post]
                    added = factor * numbers(add, on_synapses(q)) * np.ones(q.pre.size)
                    np.add.at(state[q.target][key], q.post[heard], added[heard])
        for name, p in populations.items():
            fired, before = spikes[name][now], {**p.constants, "dt": reading.dt_s, **state[name]}
            after = {key: numbers(value, before) * np.ones(p.n) for key, value in p.reset.items()}
            for key, value in after.items():
                state[name][key][fired] = value[fired]
            trace[name].append({key: value.copy() for key, value in state[name].items()})
    return spikes, trace


def check_against_brian(network, reading, incoming, carried=None):
    """Spikes are the same ones; states agree to 1e-12 of the largest, rounding of formulas in another order."""
    read = next(p for p in reading.populations if p.name == "layer1")
    spikes = b2.SpikeMonitor(network["layer1"])
    states = {name: b2.StateMonitor(network["layer1"], name, record=True, when="end") for name in read.states}
    network.add(spikes, *states.values())
    network.run(STEPS * ms)
    expected, trace = simulated(reading, incoming, carried)
    steps = np.rint(spikes.t / ms).astype(int)
    assert spikes.num_spikes > 10
    np.testing.assert_array_equal(steps, np.repeat(np.arange(STEPS), [n.size for n in expected["layer1"]]))
    np.testing.assert_array_equal(spikes.i, np.concatenate(expected["layer1"]))
    for name, monitor in states.items():
        theirs = np.asarray(getattr(monitor, name)).T
        ours = np.array([step[name] for step in trace["layer1"]])
        assert np.abs(ours - theirs).max() <= 1e-12 * np.abs(theirs).max(), name


@pytest.mark.parametrize("model", MODELS)
def test_what_is_read_does_what_brian2_does(model):
    network = MODELS[model]()
    check_against_brian(network, read_network(network), spikes_of(network))


def test_spikes_of_an_input_carry_values():
    """Each neuron of the input adds w x, x being another number in every step."""
    b2.defaultclock.dt = 1 * ms
    shown = np.random.default_rng(9).uniform(-0.2, 0.5, (STEPS, INPUTS))
    stim = b2.TimedArray(shown, dt=1 * ms)
    group = b2.NeuronGroup(
        INPUTS, "x : 1\nsize : 1 (constant)", threshold="True", name="input", namespace={"stim": stim}
    )
    group.run_regularly("x = stim(t, i)")
    group.size = np.linspace(0.5, 1, INPUTS)
    cells = cuba_lif(refractory=2 * ms).group(CELLS, name="layer1")
    synapses = b2.Synapses(
        group[2:], cells, "w : 1", on_pre="I_post += 2*w*x_pre*size_pre; v_post -= x_pre/50", name="in"
    )
    synapses.connect()
    synapses.w = np.random.default_rng(10).uniform(-0.2, 0.4, len(synapses))
    network = b2.Network(group, cells, synapses)
    reading = read_network(network, inputs=[group])
    (projection,) = reading.projections
    assert projection.graded
    assert projection.adds == {"I": 2 * symbol("size_pre") * symbol("w"), "v": sympy.Rational(-1, 50)}
    assert projection.borrowed == {"size_pre": ("input", "size")}
    check_against_brian(network, reading, [np.arange(INPUTS)] * STEPS, {"input": shown})


def test_events_that_are_counted_are_values_of_spikes():
    eye = snn.EventInput(width=4, height=3, polarity="merge", collisions="count")
    cells = lif().group(2, name="layer1")
    synapses = b2.Synapses(eye.group, cells, "w : 1", on_pre="v_post += w*count_pre/(1 + x_pre)", name="in")
    synapses.connect()
    reading = read_network(b2.Network(eye.group, cells, synapses))
    (projection,) = reading.projections
    assert projection.graded
    assert projection.adds == {"v": symbol("w") / (1 + symbol("x_pre"))}
    np.testing.assert_array_equal(projection.values["x_pre"][projection.index["x_pre"]], np.repeat([0, 1, 2, 3] * 3, 2))


def test_any_group_can_be_an_input():
    """A layer that is read as an input: its own spikes, given from outside, do to the next what they did in Brian2."""
    b2.defaultclock.dt = 1 * ms
    first = b2.NeuronGroup(
        INPUTS, "dv/dt = (drive - v)/(10*ms) : 1\ndrive : 1", threshold="v > 1", reset="v = 0", method="exact",
        name="input",
    )  # fmt: skip
    first.drive = np.linspace(1.1, 3, INPUTS)
    cells = lif(refractory=2 * ms).group(CELLS, name="layer1")
    weights = np.random.default_rng(11).uniform(0, 0.8, (INPUTS, CELLS))
    network = b2.Network(first, cells, connect(first, cells, dense(weights), name="in"))
    reading = read_network(network, inputs=[first])
    assert [p.name for p in reading.populations] == ["layer1"]
    assert reading.inputs == {"input": INPUTS}
    both = read_network(network)
    spikes, _ = simulated(both, {})
    check_against_brian(network, reading, {"input": spikes["input"]})


def cells_of(name="cells", **changes):
    text = {"model": "dv/dt = -v/(10*ms) : 1", "threshold": "v > 1", "reset": "v = 0", "method": "euler"}
    return b2.NeuronGroup(CELLS, **{**text, **changes}, name=name)


def alone(**changes):
    """A network of one group with something that cannot be differentiated."""
    return b2.Network(cells_of(**changes))


def with_synapses(model="w : 1", start=None, **code):
    """An input and cells with states v and u and a parameter b, joined by synapses."""
    cells = b2.NeuronGroup(
        CELLS, "dv/dt = -v/(9*ms) : 1\nu : 1\nb : 1", threshold="v > 1", reset="v = 0; u = 0", method="exact",
        name="cells",
    )  # fmt: skip
    group = start or source()
    synapses = b2.Synapses(group, cells, model, **code, name="in")
    synapses.connect()
    return b2.Network(group, cells, synapses)


def graded(on_pre, **options):
    """A network with a graded input of variables x, y, and a constant c."""
    group = b2.NeuronGroup(INPUTS, "x : 1\ny : 1\nc : 1 (constant)", threshold="True", name="shown")
    return with_synapses(start=group, on_pre=on_pre, **options)


def coupled(model, target=slice(None), name="in", **options):
    cells = cells_of(model="dv/dt = (g - v)/(10*ms) : 1\ng : 1\nh : 1", **options)
    synapses = b2.Synapses(cells, cells[target] if target != slice(None) else cells, model, name=name)
    synapses.connect()
    return b2.Network(cells, synapses)


def test_equations_that_cannot_be_differentiated_are_refused_by_their_line():
    stim = {"stim": b2.TimedArray([1, 2], dt=1 * ms)}
    other = cells_of("other")
    linked = cells_of(model="dv/dt = (u - v)/(10*ms) : 1\nu : 1 (linked)")
    linked.u = b2.linked_var(other, "v")
    cases = [
        (alone(threshold="v > 1 and v < 2"), "threshold of cells is 'v > 1 and v < 2', expected one inequality"),
        (alone(model="x : 1", threshold="True", reset=""), "'True', expected .* belongs to the inputs"),
        (alone(model="dv/dt = (sin(t/ms) - v)/(10*ms) : 1"), r"cells: 'dv/dt = \(sin.* depends on t; .*graded input"),
        (alone(model="dv/dt = (f - v)/ms : 1\nf = t/ms : 1"), "cells: 'f = t/ms : 1' depends on t"),
        (alone(model="dv/dt = (stim(t) - v)/ms : 1", namespace=stim), r"\(stim.* reads the TimedArray stim; .* graded"),
        (alone(model="dv/dt = -v/(10*ms) + 0.1*xi*ms**-0.5 : 1"), "cells: 'dv/dt.*xi.* has chance; leave it out, or"),
        (alone(model="dv/dt = -v/tau : 1"), "'dv/dt = -v/tau : 1' has the name tau, which no object knows; give"),
        (alone(model="dv/dt = -v*v*v/ms : 1", method="exact"), "cells: .*; use another method"),
        (alone(method="gsl_rk4"), "cells is integrated by gsl_rk4, which has no formula; use 'rk4' or"),
        (alone(reset="v = 0; v = rand()"), r"cells: 'reset: v = 0; v = rand\(\)' has chance"),
        (alone(reset="v = clip(v, 0, 1)"), r"uses clip\(\), whose derivative is not known"),
        (alone(reset="v = int(v > 2)"), r"uses int\(\), whose derivative is not known"),
        (alone(reset="v **= 2"), r"cells: v is changed by '\*\*='; write it with"),
        (alone(refractory="v > 0"), "cells: refractory='v > 0' is a condition; write a time"),
        (alone(refractory="v*ms"), r"cells: refractory='v\*ms' is another time at every spike; write a constant"),
        (alone(refractory="rand()*ms"), "cells: refractory='rand.* is another time at every spike"),
        (alone(events={"burst": "v > 2"}), "cells_burst_thresholder .* acts on 'v > 2', the event burst; make"),
        (b2.Network(other, linked), r"cells: 'dv/dt = .* depends on u, linked to a state of other; .*summed"),
    ]
    for network, message in cases:
        with pytest.raises(InputError, match=message):
            read_network(network)


def test_synapses_that_cannot_be_differentiated_are_refused_by_their_line():
    delayed = graded("v_post += w*x_pre", delay=2 * ms)
    stp = "da/dt = -a/(5*ms) : 1 (event-driven)"
    per_synapse = "da/dt = -a/(5*ms) : 1 (clock-driven)\nu_post = a : 1 (summed)"
    cases = [
        (with_synapses(on_pre="v_post += w", on_post="w += 0.1"), r"in_post: 'w \+= 0.1' is plastic"),
        (with_synapses(stp, on_pre="a += 1; v_post += a"), r"in_pre: 'a \+= 1; v_post \+= a' is plastic"),
        (with_synapses(per_synapse), "in_stateupdater .* integrates 'da/dt = .* for each synapse; make it an equation"),
        (with_synapses(on_pre="v_post = w"), r"in_pre: 'v_post = w' depends on \['v_post'\], which changes"),
        (with_synapses(on_pre="v_post += w*u"), r"in_pre: .* depends on \['u_post'\], which changes in time"),
        (with_synapses(on_pre="w += 0.1"), r"in_pre: 'w \+= 0.1' changes w, which is not a variable of the neurons"),
        (with_synapses(on_pre="v_pre += w", start=cells_of("first")), r"in_pre: .* changes v_pre"),
        (with_synapses(on_pre="v_post += w*v_pre", start=cells_of("first")), r"depends on \['v_pre'\].* in inputs"),
        (with_synapses(on_pre="v_post += w*rand()"), r"in_pre: 'v_post \+= w\*rand\(\)' has chance"),
        (with_synapses(on_pre="v_post += w*t/ms"), r"in_pre: 'v_post \+= w\*t/ms' depends on t; .* graded input"),
        (with_synapses(on_pre="v_post += w/tau"), "has the name tau, which no object knows"),
        (graded("v_post += w*x_pre**2"), r"not proportional to one variable of the input shown, \['x_pre'\]"),
        (graded("v_post += w*x_pre; u_post += w"), "not proportional .* another pathway"),
        (graded("v_post += w*x_pre*y_pre"), r"not proportional to one variable .* \['x_pre', 'y_pre'\]"),
        (graded({"a": "v_post += w*x_pre", "b": "v_post += w*y_pre"}), r"in_b: .* and another pathway by x_pre; .*"),
        (delayed, r"in_pre: 'v_post \+= w\*x_pre' is delayed, and Brian2 takes x_pre from when a spike arrives"),
    ]
    for network, message in cases:
        with pytest.raises(InputError, match=message):
            read_network(network, inputs=[obj for obj in network.objects if obj.name == "shown"])


def test_sums_that_cannot_be_read_are_refused_by_their_line():
    late = cells_of("late", order=-2)
    own_sum = "g_post = g_pre/2 : 1 (summed)"
    cases = [
        (with_synapses("w : 1\nu_post = w : 1 (summed)"), "u_post = w .summed.' sums over input, an input, .* spikes"),
        (with_synapses("u_pre = v_post : 1 (summed)", start=cells_of("shown", model="v : 1\nu : 1")), "has no states"),
        (coupled("g_post = v_pre : 1 (summed)", slice(2, 5)), "g_post = v_pre .summed.' goes to a part of cells"),
        (with_synapses("u_post = v_pre : 1 (summed)", start=late), "in_summed.* is set after the update of late; give"),
        (coupled(own_sum), "'g_post = g_pre/2 .summed.' needs g of cells before it is summed"),
        (coupled("g_post = h_pre : 1 (summed)\nh_post = v_pre : 1 (summed)"), "needs h of cells before it is summed"),
        (coupled("g_post = v_pre*rand() : 1 (summed)"), r"in_summed.*: 'g_post = v_pre\*rand\(\) .summed.' has chance"),
    ]
    for network, message in cases:
        with pytest.raises(InputError, match=message):
            read_network(network, inputs=[obj for obj in network.objects if obj.name == "shown"])
    network = coupled("g_post = v_pre : 1 (summed)")
    again = b2.Synapses(network["cells"], network["cells"], "g_post = -v_pre : 1 (summed)", name="more")
    network.add(again)
    with pytest.raises(InputError, match=r"more_summed.* set one variable; use a variable for each"):
        read_network(network)


def test_what_acts_besides_the_equations_is_refused_by_name():
    def changed(change):
        network = alone()
        change(network, network["cells"])
        return network

    def add(obj):
        return lambda network, cells: network.add(obj(cells))

    def resetter(name, value):
        return lambda network, cells: setattr(cells.resetter["spike"], name, value)

    rest = b2.NeuronGroup(1, "v : 1", threshold="v > 1", name="rest")
    slots = ["groups", "start", "thresholds", "synapses", "resets", "end"]
    cases = [
        (add(lambda cells: b2.NetworkOperation(lambda: None, name="meddler")), "meddler .* it is Python code"),
        (add(lambda cells: b2.PoissonInput(cells, "v", 3, 5 * b2.Hz, 0.1)), "it adds chance; use a PoissonGroup"),
        (
            add(lambda cells: b2.Synapses(rest, cells, on_pre="v += 1", name="in")),
            "in connects rest, which is no",
        ),
        (add(lambda cells: cells_of("fast", dt=0.05 * ms)), "use one dt for all"),
        (lambda network, cells: cells.run_regularly("v += 1"), r"cells_run_regularly .* runs 'v \+= 1' besides the"),
        (lambda network, cells: setattr(network, "schedule", slots), "only Brian2's default order is known"),
        (resetter("when", "end"), "cells_spike_resetter .* runs at 'end'; leave it at 'resets'"),
        (resetter("active", False), "cells_spike_resetter is switched off; set its active to True"),
    ]
    for change, message in cases:
        with pytest.raises(InputError, match=message):
            read_network(changed(change))
    averaged = alone(model="dv/dt = (a - v)/ms : 1\na = v/2 : 1 (constant over dt)")
    with pytest.raises(InputError, match=r"cells_subexpression_update .* runs .* besides the equations"):
        read_network(averaged)
    with pytest.raises(InputError, match=r"the inputs \['rest'\] are not in the network"):
        read_network(alone(), inputs=[rest])
    with pytest.raises(InputError, match="no groups"):
        read_network(b2.Network())
