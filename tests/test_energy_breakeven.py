"""Break-even: how many spikes a synapse may see before the network without spikes costs less."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dvs.errors import InputError, ParameterError
from snn.energy.breakeven import BreakEven, break_even_from, break_even_of
from snn.energy.counts import Counts, PopulationCounts, ProjectionCounts
from snn.energy.prices import Memory, Price, PriceList
from snn.energy.structure import Stored
from snn.energy.terms import Widths

DAMPFHOFFER_2023 = (0.15, 1.38)
YAN_2024 = 0.285

ABOUT = {"evidence": "derived", "source": "Horowitz 2014"}


def energy(term, pj):
    return Price(term=term, joules=pj * 1e-12, low=pj * 1e-12, high=pj * 1e-12, shown_unit="pJ", **ABOUT)


def memory(kib, pj):
    """A memory that is accessed by 64 bits at once, which cost `pj` in all."""
    joules = pj / 64 * 1e-12
    return Memory(name=f"{kib} KiB", kib=kib, joules=joules, low=joules, high=joules, shown_unit="pJ/bit", **ABOUT)


def prices(**terms_pj):
    """Of 45 nm: 64 bits from 8 KiB cost 10 pJ, from 32 KiB 20 pJ, from 1 MiB 100 pJ; 8-bit weights, 16-bit state."""
    return PriceList(
        name="toy",
        prices={term: energy(term, pj) for term, pj in terms_pj.items()},
        memories=(memory(8, 10), memory(32, 20), memory(1024, 100)),
        widths=Widths(weight=8, state=16, index=16),
    )


# An 8-bit multiplication and addition: 0.23 pJ; the spiking network adds to 16 bits: 0.05 pJ.
INT8 = prices(additions=0.05, multiplications=0.2, macs=0.23)
IN_32_KIB = 32 * 1024  # weights of a byte


def of_int8(**changes):
    return break_even_from(INT8, **{"spikes_per_synapse": 0.1, "weights": IN_32_KIB} | changes)


@pytest.mark.parametrize(("addition_pj", "mac_pj", "spikes"), [(0.9, 4.6, 5.1), (0.05, 0.23, 4.6)])
def test_without_memory_a_multiplication_buys_five_spikes(addition_pj, mac_pj, spikes):
    """4.6 / 0.9 = 5.11 for numbers of 32 bits with a point, 0.23 / 0.05 = 4.6 for whole ones of 8."""
    assert BreakEven(spikes_per_synapse=1, addition_pj=addition_pj, mac_pj=mac_pj).break_even == pytest.approx(
        spikes, abs=0.05
    )
    assert of_int8(memory=False).break_even == pytest.approx(4.6)


def test_with_memory_a_spike_costs_7_55_pj_and_the_twin_3_98():
    """A spike: 8 bits of weight from 32 KiB (8 * 20 / 64 = 2.5), 16 of state from 8 KiB, read and written
    (2 * 16 * 10 / 64 = 5), an addition (0.05). The twin: the weight (2.5), 8 bits of activation from 8 KiB
    (8 * 10 / 64 = 1.25), a multiply-accumulate (0.23). 3.98 / 7.55 = 0.527.
    """
    twin = of_int8()
    assert twin.spike_pj == pytest.approx(2.5 + 5 + 0.05)
    assert twin.twin_pj == pytest.approx(2.5 + 1.25 + 0.23)
    assert twin.break_even == pytest.approx(3.98 / 7.55)


def test_reuse_makes_the_twin_cheap():
    """Read once for 16 multiply-accumulates: 0.23 + 3.75 / 16 = 0.464 pJ, 0.464 / 7.55 = 0.0615 spikes."""
    twin = of_int8(reuse=16)
    assert twin.twin_pj == pytest.approx(0.464, abs=5e-4)
    assert twin.break_even == pytest.approx(0.061, abs=6e-4)


def test_with_memory_the_limit_is_where_others_found_it():
    """From much reuse to none it covers Yan's 0.285 and overlaps Dampfhoffer's 0.15 to 1.38; arithmetic alone gives
    more than either of them.
    """
    low, high = of_int8(reuse=16).break_even, of_int8().break_even
    assert low < YAN_2024 < high
    assert low < DAMPFHOFFER_2023[1]
    assert high > DAMPFHOFFER_2023[0]
    naive = of_int8(memory=False).break_even
    assert naive > DAMPFHOFFER_2023[1]
    assert 8 < naive / high < naive / low < 80


def test_a_larger_memory_moves_the_limit():
    """In 1 MiB a weight of 8 bits costs 8 * 100 / 64 = 12.5 pJ: (0.23 + 12.5 + 1.25) / (0.05 + 12.5 + 5)."""
    assert of_int8(weights=IN_32_KIB + 1).break_even == pytest.approx(13.98 / 17.55)


def test_at_the_break_even_both_cost_the_same():
    """By definition, whatever the parts are."""
    parts = of_int8(steps=10, fan_in=250, update_additions=2, update_multiplications=1)
    even = replace(parts, spikes_per_synapse=parts.break_even)
    assert even.network_pj == pytest.approx(even.twin_pj)


def test_updates_are_paid_by_the_synapses_of_the_neuron():
    """10 steps, each two additions, a multiplication and two variables of 16 bits, read and written in 8 KiB:
    2 * 0.05 + 0.2 + 2 * 5 = 10.3 pJ; a fan-in of 100 makes 10 * 10.3 / 100 = 1.03 pJ a synapse.
    """
    parts = of_int8(steps=10, fan_in=100, update_additions=2, update_multiplications=1, states=2)
    assert parts.upkeep_pj == pytest.approx(1.03)
    assert parts.break_even == pytest.approx((3.98 - 1.03) / 7.55)
    assert of_int8(steps=10, fan_in=10**9).break_even == pytest.approx(of_int8().break_even)


def test_a_neuron_of_few_synapses_can_never_win():
    """With a fan-in of 10 the updates alone cost 10 * 5 / 10 = 5 pJ a synapse, more than the 3.98 pJ of the twin."""
    parts = of_int8(steps=10, fan_in=10, spikes_per_synapse=0)
    assert parts.break_even == 0
    assert "the twin costs less at any activity" in parts.verdict
    assert "without a single spike its updates cost 5 pJ" in parts.verdict


@pytest.mark.parametrize(("spikes", "side", "winner"), [(0.1, "below", "spiking network"), (2, "above", "twin")])
def test_the_verdict_names_the_cheaper_one(spikes, side, winner):
    """0.1 spikes cost 0.755 pJ, 3.98 / 0.755 = 5.27 times less; 2 cost 15.1 pJ, 3.79 times more."""
    verdict = of_int8(spikes_per_synapse=spikes).verdict
    assert f"are {side} the break-even of 0.527: the {winner} costs less" in verdict
    cheap, factor = {0.1: ("0.755", "5.27"), 2: ("3.98", "3.79")}[spikes]
    assert f"{cheap} pJ a synapse, {factor} times less" in verdict


def test_a_silent_network_costs_nothing():
    """Infinitely many times less: no factor is given."""
    assert of_int8(spikes_per_synapse=0).verdict.endswith("the spiking network costs less, 0 pJ a synapse")


def test_it_says_whose_prices_and_which_memory():
    assert of_int8().source == "toy, weights of 8 bits in 32 KiB, state in 8 KiB"
    assert of_int8(memory=False).source == "toy, arithmetic only"


def test_a_list_without_the_price_of_a_mac_is_refused():
    """Loihi has no multiply-accumulate: its twin runs elsewhere."""
    with pytest.raises(ParameterError, match="'toy' has no price of additions and macs; take one that has"):
        break_even_from(prices(synaptic_operations=23.6), spikes_per_synapse=0.1, weights=10)


def test_a_list_without_multiplications_will_do_if_none_is_needed():
    bare = prices(additions=0.05, macs=0.23)
    given = {"spikes_per_synapse": 0.1, "weights": 10, "steps": 5, "fan_in": 10}
    assert break_even_from(bare, **given).steps == 5
    with pytest.raises(ParameterError, match="no price of multiplications"):
        break_even_from(bare, **given, update_multiplications=1)


def test_a_list_without_memories_is_refused_unless_memory_is_left_out():
    bare = replace(INT8, memories=())
    with pytest.raises(ParameterError, match="no price of memories"):
        break_even_from(bare, spikes_per_synapse=0.1, weights=10)
    assert break_even_from(bare, spikes_per_synapse=0.1, weights=10, memory=False).break_even == pytest.approx(4.6)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("spikes_per_synapse", -0.1, "a number from 0 on"),
        ("spikes_per_synapse", math.nan, "a number from 0 on"),
        ("addition_pj", 0, "a number above 0"),
        ("fan_in", 0, "a number above 0"),
        ("reuse", 0.5, "a number from 1 on"),
        ("steps", math.inf, "a number from 0 on"),
    ],
)
def test_numbers_out_of_range_are_refused(name, value, expected):
    with pytest.raises(ParameterError, match=f"{name} is {value}, expected {expected}"):
        BreakEven(**{"spikes_per_synapse": 0.1, "addition_pj": 0.9, "mac_pj": 4.6, name: value})


def each(*numbers):
    return np.array(numbers, np.int64)


def counts(**changes):
    """Two samples of two steps: 100 synapses onto 10 neurons, at which 8 and 12 spikes arrive.

    An update takes two additions and a multiplication, and reads and writes one variable.
    """
    hidden = PopulationCounts(
        name="hidden", neurons=10, is_input=False, updates=20, spikes=each(3, 5), driven=each(8, 9),
        values_read=each(0, 0), stored=Stored(states=10),
        work={
            "additions": each(40, 40), "multiplications": each(20, 20), "functions": each(0, 0),
            "state_reads": each(20, 20), "state_writes": each(20, 20),
        },
    )  # fmt: skip
    synapses = ProjectionCounts(
        name="synapses", synapses="synapses", source="input", target="hidden", side="pre", number=100, steps=2,
        delivers=True, graded=False, learns=False, emitted=each(9, 12), delivered=each(8, 12), nonzero=each(8, 12),
        twin=each(50, 60), stored=Stored(weights=100), work={},
    )  # fmt: skip
    return Counts(
        **{"name": "net", "samples": 2, "duration_s": 0.002, "steps": 2, "populations": (hidden,)}
        | {"projections": (synapses,)}
        | changes
    )


def test_a_network_that_was_counted_brings_its_own_numbers():
    """10 spikes at 100 synapses are 0.1; 10 synapses a neuron, 2 steps. 100 weights lie in 8 KiB, 8 * 10 / 64 = 1.25 pJ
    each. An update costs 2 * 0.05 + 0.2 + 5 = 5.3 pJ, so 2 * 5.3 / 10 = 1.06 a synapse; the twin 0.23 + 1.25 + 1.25 =
    2.73; a spike 0.05 + 1.25 + 5 = 6.3: (2.73 - 1.06) / 6.3.
    """
    parts = break_even_of(counts(), INT8)
    assert (parts.spikes_per_synapse, parts.steps, parts.fan_in) == (0.1, 2, 10)
    assert parts.update_pj == pytest.approx(5.3)
    assert parts.break_even == pytest.approx(1.67 / 6.3)
    assert parts.source == "toy, weights of 8 bits in 8 KiB, state in 8 KiB"


def test_functions_are_left_out_and_that_is_said():
    """No list of arithmetic has the price of an exponential."""
    made = counts()
    (hidden,) = made.populations
    costly = replace(hidden, work={**hidden.work, "functions": each(20, 20)})
    parts = break_even_of(replace(made, populations=(costly,)), INT8)
    assert parts.source.endswith(", divisions and functions left out")
    assert parts.break_even == break_even_of(made, INT8).break_even


def test_a_network_without_synapses_has_no_break_even():
    with pytest.raises(InputError, match="'net' has no synapses or no samples"):
        break_even_of(counts(projections=()), INT8)
