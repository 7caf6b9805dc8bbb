"""A network read and built anew: the copy does what the original does, and is another network."""

import pickle
from dataclasses import replace

import brian2
import numpy as np
import pytest
from brian2 import (
    EventMonitor,
    Hz,
    Network,
    NetworkOperation,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    linked_var,
    ms,
    mV,
    nS,
    pF,
    second,
    seed,
    uS,
)

from dvs.errors import InputError
from dvs.events import make_events
from snn.blueprint import describe
from snn.inputs import EventInput

LIF = {"model": "dv/dt = (drive - v) / tau : 1 (unless refractory)\ndrive : 1 (constant)", "method": "exact"}


def lif(n, *, name="cells", drive=(1.1, 2.0), **options):
    """Neurons that spike by themselves, each at its own rate."""
    settings = {"threshold": "v > 1", "reset": "v = 0", "namespace": {"tau": 10 * ms}, **LIF, **options}
    group = NeuronGroup(n, name=name, **settings)
    group.drive = np.linspace(*drive, n)
    return group


def refractory():
    cells = lif(20, refractory=3 * ms)
    return Network(cells, SpikeMonitor(cells, name="spikes"))


def delayed_currents():
    """Current-based synapses; one pathway with a delay for all, one with a delay for each synapse."""
    sender = lif(10, name="sender")
    model = "dv/dt = (g - v) / tau : 1\ndg/dt = -g / tau_syn : 1"
    receiver = lif(15, name="receiver", model=model + "\ndrive : 1", namespace={"tau": 10 * ms, "tau_syn": 5 * ms})
    on_pre = {"fast": "g_post += w", "slow": "g_post += 0.5 * w"}
    synapses = Synapses(sender, receiver, "w : 1", on_pre=on_pre, delay={"fast": 1.5 * ms}, name="synapses")
    synapses.connect(p=0.5)
    synapses.w = "0.8 * rand()"
    synapses.slow.delay = "20 * rand() * ms"
    return Network(sender, receiver, synapses, SpikeMonitor(receiver, name="spikes"))


def plastic():
    """Pair STDP with event-driven traces, Song, Miller & Abbott 2000."""
    sender, receiver = lif(20, name="sender"), lif(10, name="receiver", drive=(0.5, 0.9))
    model = """
    w : 1
    dpre_trace/dt = -pre_trace / tau_trace : 1 (event-driven)
    dpost_trace/dt = -post_trace / tau_trace : 1 (event-driven)
    """
    on_pre = "v_post += w\npre_trace += 0.01\nw = clip(w + post_trace, 0, 0.3)"
    on_post = "post_trace -= 0.012\nw = clip(w + pre_trace, 0, 0.3)"
    constants = {"tau_trace": 20 * ms}
    synapses = Synapses(sender, receiver, model, on_pre=on_pre, on_post=on_post, namespace=constants, name="synapses")
    synapses.connect()
    synapses.w = "0.3 * rand()"
    return Network(sender, receiver, synapses, SpikeMonitor(receiver, name="spikes"))


def convolution():
    """36 neurons see a 6 x 6 image of neurons through one 3 x 3 kernel, whose 9 weights all synapses share."""
    image, maps = lif(36, name="image"), lif(16, name="maps", drive=(0, 0))
    kernel = NeuronGroup(9, "k : 1", name="kernel")
    kernel.k = np.linspace(0.1, 0.5, 9)
    synapses = Synapses(image, maps, "m : integer (constant)\nw : 1 (linked)", on_pre="v_post += w", name="synapses")
    y, x, dy, dx = (axis.ravel() for axis in np.indices((4, 4, 3, 3)))
    synapses.connect(i=(y + dy) * 6 + x + dx, j=y * 4 + x)
    synapses.m = dy * 3 + dx
    synapses.w = linked_var(kernel, "k", index="m")
    synapses.contained_objects.append(kernel)
    return Network(image, maps, synapses, SpikeMonitor(maps, name="spikes"))


def noisy():
    """Poisson spikes at fixed rates, at rates from a TimedArray, as a PoissonInput; white noise; an escape rate."""
    flat = PoissonGroup(10, np.arange(10) * 20 * Hz, name="flat")
    stimulus = {"stimulus": TimedArray([20, 200] * Hz, dt=20 * ms)}
    varied = PoissonGroup(10, "stimulus(t)", namespace=stimulus, name="varied")
    model = "dv/dt = -v / tau + sigma * xi / sqrt(tau) : 1\ndrive : 1"
    chance = {"threshold": "rand() < exp(4 * (v - 1))", "method": "euler", "namespace": {"tau": 10 * ms, "sigma": 0.3}}
    cells = lif(10, model=model, **chance)
    synapses = [Synapses(group, cells, on_pre="v_post += 0.3", name=f"from_{group.name}") for group in (flat, varied)]
    for each in synapses:
        each.connect(p=0.5)
    extra = [PoissonInput(cells[:5], "v", 20, 10 * Hz, weight="0.2 * sigma"), PoissonInput(cells, "v", 5, 10 * Hz, 0.1)]
    return Network(flat, varied, cells, synapses, extra, SpikeMonitor(cells, name="spikes"))


def hodgkin_huxley():
    """Conductance-based Hodgkin-Huxley cells: benchmark 3 of Brette et al. 2007 in the small."""
    model = """
    dv/dt = (g_l*(E_l - v) + g_e*(E_e - v) - g_Na*m**3*h*(v - E_Na) - g_K*n**4*(v - E_K)) / C : volt
    dm/dt = alpha_m*(1 - m) - beta_m*m : 1
    dn/dt = alpha_n*(1 - n) - beta_n*n : 1
    dh/dt = alpha_h*(1 - h) - beta_h*h : 1
    dg_e/dt = -g_e/tau_e : siemens
    alpha_m = 0.32/mV*4*mV/exprel((13*mV - v + V_T)/(4*mV))/ms : Hz
    beta_m = 0.28/mV*5*mV/exprel((v - V_T - 40*mV)/(5*mV))/ms : Hz
    alpha_h = 0.128*exp((17*mV - v + V_T)/(18*mV))/ms : Hz
    beta_h = 4/(1 + exp((40*mV - v + V_T)/(5*mV)))/ms : Hz
    alpha_n = 0.032/mV*5*mV/exprel((15*mV - v + V_T)/(5*mV))/ms : Hz
    beta_n = 0.5*exp((10*mV - v + V_T)/(40*mV))/ms : Hz
    """
    constants = {"C": 200 * pF, "g_l": 10 * nS, "g_Na": 20 * uS, "g_K": 6 * uS, "tau_e": 5 * ms}
    constants |= {"E_l": -60 * mV, "E_K": -90 * mV, "E_Na": 50 * mV, "E_e": 0 * mV, "V_T": -63 * mV}
    options = {"threshold": "v > -20*mV", "refractory": "v > -40*mV", "method": "exponential_euler"}
    cells = NeuronGroup(12, model, namespace=constants, name="cells", **options)
    cells.v, cells.g_e = "-60*mV + 5*mV*rand()", "40*nS*rand()"
    synapses = Synapses(cells, cells, on_pre="g_e_post += 6*nS", name="synapses")
    synapses.connect(p=0.3)
    return Network(cells, synapses, SpikeMonitor(cells, name="spikes"))


def everything_else():
    """Subgroups, own events, code that runs regularly, values constant over a step, summed and shared variables."""
    model = """
    dv/dt = (drive - v) / tau : 1 (unless refractory)
    drive : 1 (constant)
    wait : second (constant)
    trend : 1
    flicker = 0.01 * rand() : 1 (constant over dt)
    count : integer (shared)
    """
    cells = lif(30, model=model, events={"near": "v > 0.9"}, refractory="wait", drive=(0.9, 1.5))
    cells.wait = "i * 0.1 * ms"
    cells.run_on_event("near", "v += flicker")
    cells.run_regularly("v += 0.05 * trend", dt=2 * ms)
    cells[20:].run_regularly("v *= 0.99", when="end", order=3)
    cells.thresholder["near"].order = 5
    model = """
    w : 1
    bias : 1 (shared)
    dx/dt = -x / tau_x : 1 (clock-driven)
    half = x / 2 : 1 (constant over dt)
    trend_post = half * w + bias : 1 (summed)
    """
    options = {"method": "exact", "namespace": {"tau_x": 4 * ms}, "multisynaptic_index": "n"}
    summed = Synapses(cells[:12], cells, model, on_pre="x += 1", on_event="near", name="summed", **options)
    for _ in range(2):
        summed.connect(p=0.2)
    summed.w, summed.bias, summed.delay = "0.2 * rand()", -0.01, "n * 5 * ms"
    given = SpikeGeneratorGroup(2, [0, 1, 0], [1, 3, 6] * ms, period=8 * ms, name="given")
    kick = Synapses(given, cells[10:20], on_pre="v_post += 0.3", delay=2 * ms, name="kick")
    kick.connect(j="2 * i + k for k in range(3)")
    unwired = Synapses(cells, cells, on_pre="v_post += 1", name="unwired")
    unwired.connect(condition=False)
    silent = Synapses(cells, cells, on_pre="v_post += 1", name="silent")
    silent.connect()
    silent.active = False
    network = Network(cells, summed, given, kick, unwired, silent, SpikeMonitor(cells, name="spikes"))
    network.schedule = ["start", "synapses", "groups", "thresholds", "resets", "end"]
    return network


NETWORKS = [refractory, delayed_currents, plastic, convolution, noisy, hodgkin_huxley, everything_else]


def run_alike(*networks, duration=40 * ms):
    """The spikes of each, run with the same random numbers: (neurons, times)."""
    seen = []
    for network in networks:
        seed(4)
        before = network["spikes"].num_spikes
        network.run(duration)
        seen.append((network["spikes"].i[before:], np.asarray(network["spikes"].t)[before:]))
    return seen


@pytest.mark.parametrize("make", NETWORKS)
def test_a_copy_spikes_as_its_original(make):
    """Also from the middle of a run: with neurons refractory, spikes on their way, traces and events in between."""
    seed(3)
    network = make()
    for _ in range(2):
        copy = describe(network).build()
        (neurons, times), (neurons_of_copy, times_of_copy) = run_alike(network, copy)
        assert neurons.size > 10
        np.testing.assert_array_equal(neurons_of_copy, neurons)
        np.testing.assert_array_equal(times_of_copy, times)
        assert [obj.name for obj in copy.sorted_objects] == [obj.name for obj in network.sorted_objects]


@pytest.mark.parametrize("make", NETWORKS)
def test_a_copy_of_a_copy_is_the_same_blueprint(make):
    blueprint = describe(make())
    again = describe(blueprint.build())
    assert again.parts.keys() == blueprint.parts.keys()
    assert (again.slots, again.clocks, again.contained) == (blueprint.slots, blueprint.clocks, blueprint.contained)
    for name, part in blueprint.parts.items():
        assert getattr(again.parts[name], "equations", None) == getattr(part, "equations", None)
        for variable, value in getattr(part, "values", {}).items():
            np.testing.assert_array_equal(again.parts[name].values[variable], value)


def test_a_change_of_the_copy_leaves_the_original_alone():
    network = plastic()
    before = describe(network)
    copy = before.build()
    copy["synapses"].w, copy["receiver"].v, copy["synapses"].pre.delay = 5, 3, 1 * ms
    copy["receiver"].namespace["tau"] = 1 * ms
    copy.run(10 * ms)
    after = describe(network)
    assert (network.t, copy.t) == (0 * ms, 10 * ms)
    assert network["receiver"].namespace["tau"] == 10 * ms
    for name in ("sender", "receiver", "synapses"):
        for variable, value in before.parts[name].values.items():
            np.testing.assert_array_equal(after.parts[name].values[variable], value)
    assert not network["synapses"].pre.delay[:].any()


def test_a_blueprint_keeps_its_numbers_when_the_network_runs_on():
    network = refractory()
    blueprint = describe(network)
    network.run(20 * ms)
    assert not blueprint.build()["cells"].v[:].any()
    with pytest.raises(ValueError, match="read-only"):
        blueprint.parts["cells"].values["v"][0] = 1


def test_shared_weights_stay_shared():
    """One weight of the kernel changes: so do the 16 synapses that use it, one a neuron, and nothing else."""
    network = convolution()
    copy = describe(network).build()
    copy["kernel"].k[4] = 7
    assert np.count_nonzero(copy["synapses"].w[:] == 7) == 16
    assert not np.any(network["synapses"].w[:] == 7)


def test_linked_variables_stay_linked():
    """To all of a group, to a part of it, by indices; two groups to each other."""
    a = NeuronGroup(4, "x : 1\ny : 1 (linked)", name="a")
    b = NeuronGroup(4, "x : 1 (linked)\ny : 1", name="b")
    part = NeuronGroup(2, "x : 1 (linked)", name="part")
    picked = NeuronGroup(3, "x : 1 (linked)", name="picked")
    a.y, b.x = linked_var(b, "y"), linked_var(a, "x")
    part.x, picked.x = linked_var(a[2:], "x"), linked_var(a, "x", index=[3, 0, 0])
    copy = describe(Network(a, b, part, picked)).build()
    copy["a"].x, copy["b"].y = [1, 2, 3, 4], [5, 6, 7, 8]
    assert copy["a"].y[:].tolist() == [5, 6, 7, 8]
    assert copy["b"].x[:].tolist() == [1, 2, 3, 4]
    assert copy["part"].x[:].tolist() == [3, 4]
    assert copy["picked"].x[:].tolist() == [4, 1, 1]
    assert not a.x[:].any()


def test_monitors_are_rebuilt_empty():
    cells = lif(6, events={"near": "v > 0.9"})
    monitors = [
        SpikeMonitor(cells[2:], variables="v", name="spikes"),
        EventMonitor(cells, "near", record=False, name="near"),
        StateMonitor(cells, ["v", "drive"], record=[1, 4], dt=0.5 * ms, when="end", name="states"),
        PopulationRateMonitor(cells, name="rate"),
    ]
    network = Network(cells, monitors)
    network.run(20 * ms)
    copy = describe(network).build()
    assert [copy[name].N for name in ("spikes", "states", "rate")] == [0, 0, 0]
    copy.t_ = 0.0
    copy["cells"].v = 0
    copy.run(20 * ms)
    np.testing.assert_array_equal(copy["spikes"].v, network["spikes"].v)
    np.testing.assert_array_equal(copy["near"].count, network["near"].count)
    np.testing.assert_array_equal(copy["states"].v, network["states"].v)
    assert copy["states"].drive.shape == (2, 40)
    assert len(copy["rate"].rate[:]) == 200


def test_names_found_nowhere_are_looked_up_when_the_copy_runs():
    """dv/dt = c from v = 0: v = c t."""
    network = Network(NeuronGroup(1, "dv/dt = c : 1", method="euler", name="cells"))
    open_ended = describe(network).build()
    open_ended.run(10 * ms, namespace={"c": 100 * Hz})
    settled = describe(network, namespace={"c": 300 * Hz, "unused": 1}).build()
    assert settled["cells"].namespace == {"c": 300 * Hz}
    settled.run(10 * ms, namespace={})
    assert open_ended["cells"].v[0] == pytest.approx(1)
    assert settled["cells"].v[0] == pytest.approx(3)


def test_names_are_found_for_all_code_that_a_group_runs():
    """Not only in equations: in thresholds, resets, events, code that runs regularly, inputs, rates and synapses."""
    cells = NeuronGroup(
        2, "v : 1", threshold="v > a", reset="v = b", refractory="c", events={"e": "v > d"}, name="cells"
    )
    cells.run_on_event("e", "v -= f")
    cells.run_regularly("v += g")
    rates = PoissonGroup(2, "h * Hz", name="rates")
    synapses = Synapses(rates, cells, "x = k : 1", on_pre="v_post += m", name="synapses")
    synapses.connect()
    network = Network(cells, rates, synapses, PoissonInput(cells, "v", 1, 1 * Hz, "n"))
    parts = describe(network, namespace=dict.fromkeys("abcdefghijklmn", 1)).parts
    assert sorted(parts["cells"].namespace) == list("abcdfgn")
    assert sorted(parts["rates"].namespace) == ["h"]
    assert sorted(parts["synapses"].namespace) == ["k", "m"]


def test_a_changed_record_makes_a_changed_network():
    """An LIF neuron at twice the time constant takes twice as long to its first spike: tau ln(2 / (2 - 1))."""
    network = Network(lif(1, drive=(2, 2)))
    blueprint = describe(network)
    cells = blueprint.parts["cells"]
    slow = blueprint.with_parts(replace(cells, namespace={"tau": 20 * ms})).build()
    first = []
    for each in (network, slow):
        monitor = SpikeMonitor(each["cells"])
        each.add(monitor)
        each.run(20 * ms)
        first.append(monitor.t[0] / second)
    assert first == pytest.approx([0.010 * np.log(2), 0.020 * np.log(2)], abs=0.0001)


def test_numbers_keep_their_type():
    cells = NeuronGroup(3, "a : 1\nb : 1\nc : integer\nd : boolean", dtype={"a": np.float32}, name="cells")
    cells.a, cells.c, cells.d = 0.1, 7, True
    copy = describe(Network(cells)).build()["cells"]
    assert [copy.variables[name].dtype for name in "abcd"] == [cells.variables[name].dtype for name in "abcd"]
    assert copy.a[0] == np.float32(0.1)


def test_a_blueprint_survives_pickling():
    network = plastic()
    there_and_back = pickle.loads(pickle.dumps(describe(network)))
    (_, expected), (_, times) = run_alike(network, there_and_back.build())
    np.testing.assert_array_equal(times, expected)


@pytest.mark.skipif(not hasattr(brian2, "EventClock"), reason="Brian2 2.10 and later")
def test_code_that_runs_at_given_times_runs_then():
    cells = NeuronGroup(1, "v : 1", name="cells")
    cells.run_at("v += 1", times=[1, 4] * ms)
    copy = describe(Network(cells)).build()
    copy.run(2 * ms)
    assert copy["cells"].v[0] == 1
    copy.run(3 * ms)
    assert copy["cells"].v[0] == 2


# What cannot be copied


def test_an_event_input_can_be_described_and_replaced():
    """What one camera shows the original, another can show the copy: two events, a kick of 1 each."""

    def eye(*events_us):
        made = EventInput(width=2, height=1, polarity="merge")
        made.show(make_events([0] * len(events_us), [0] * len(events_us), events_us, [1] * len(events_us)))
        return made

    cells = NeuronGroup(1, "v : 1", name="cells")
    seeing = eye(1000).group
    synapses = Synapses(seeing, cells, on_pre="v_post += 1", name="synapses")
    synapses.connect()
    network = Network(seeing, cells, synapses)
    blueprint = describe(network)
    with pytest.raises(InputError, match="'input' cannot be copied: it contains 'input_player', a NetworkOperation"):
        blueprint.build()
    copy = blueprint.build(replace={"input": eye(1000, 2000).group})
    for each in (network, copy):
        each.run(5 * ms)
    assert (network["cells"].v[0], copy["cells"].v[0]) == (1, 2)
    with pytest.raises(InputError, match="'input' has run in another network; make a new one"):
        blueprint.build(replace={"input": copy["input"]})


def test_a_network_operation_is_refused_replaced_or_left_out():
    calls = []
    cells = lif(2)
    network = Network(cells, NetworkOperation(lambda: calls.append("old"), name="watch"))
    with pytest.raises(InputError, match=r"'watch' .* is a NetworkOperation; .*replace=\{'watch': \.\.\.\}, or None"):
        describe(network).build()
    describe(network).build(replace={"watch": None}).run(1 * ms)
    assert calls == []
    describe(network).build(replace={"watch": NetworkOperation(lambda: calls.append("new"), name="watch")}).run(1 * ms)
    assert set(calls) == {"new"}


def test_what_a_part_needs_cannot_be_left_out():
    with pytest.raises(InputError, match="'sender' is left out, but other parts need it"):
        describe(plastic()).build(replace={"sender": None})


def test_what_is_in_a_replaced_part_goes_with_it():
    blueprint = describe(convolution())
    plain = Synapses(lif(36, name="other"), lif(16, name="another"), on_pre="v_post += 1", name="synapses")
    copy = blueprint.build(replace={"synapses": plain, "image": plain.source, "maps": plain.target})
    assert "kernel" not in copy
    assert copy["spikes"].source is plain.target


def test_a_replacement_is_checked():
    blueprint = describe(refractory())
    with pytest.raises(InputError, match="'cell' cannot be replaced, the network has only cells, spikes"):
        blueprint.build(replace={"cell": None})
    with pytest.raises(InputError, match="the replacement of 'cells' is a str"):
        blueprint.build(replace={"cells": "cells"})


def test_a_part_that_is_not_in_the_network_is_asked_for():
    cells = lif(2)
    with pytest.raises(InputError, match="'spikes' refers to 'cells', which is not in the network; add it"):
        describe(Network(SpikeMonitor(cells, name="spikes")))


def test_another_default_time_step_is_refused():
    blueprint = describe(refractory())
    defaultclock.dt = 1 * ms
    with pytest.raises(InputError, match=r"a default time step of 100\. us, now it is 1\. ms"):
        blueprint.build()


def test_an_empty_network_is_refused():
    with pytest.raises(InputError, match=r"give Network\(collect\(\)\)"):
        describe(Network())


def test_links_that_brian2_does_not_keep_are_refused():
    """Of a link to an expression, or of synapses to a part of a group, it keeps only what comes out."""
    cells = NeuronGroup(4, "v : 1\nu = 2 * v : 1", threshold="v > 1", reset="v = 0", name="cells")
    others = NeuronGroup(4, "x : 1 (linked)", name="others")
    others.x = linked_var(cells, "u")
    with pytest.raises(InputError, match="'x' of 'others' is linked to an expression"):
        describe(Network(cells, others))
    synapses = Synapses(cells, cells, "x : 1 (linked)", on_pre="v_post += x", name="synapses")
    synapses.connect(i=[0, 1], j=[1, 0])
    synapses.x = linked_var(cells[2:], "v")
    with pytest.raises(InputError, match="'x' of 'synapses' is linked to a part of 'cells'"):
        describe(Network(cells, synapses))


def test_a_network_that_has_run_is_not_compiled(tmp_path):
    network = refractory()
    network.run(1 * ms)
    blueprint = describe(network)
    brian2.set_device("cpp_standalone", directory=tmp_path, build_on_run=False)
    with pytest.raises(InputError, match=r"begins at 0 s, this one is at 1\. ms"):
        blueprint.build()
