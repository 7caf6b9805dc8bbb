"""From how many spikes on a network that spikes costs more than the same network that does not.

The twin without spikes reads each weight once an inference (or less often, if it is reused) and does one
multiply-accumulate at each synapse. The spiking network does an addition there for each spike that arrives, reads the
weight, and reads and writes the membrane; and its neurons have to be advanced in every step. Of equal cost are

    e_mac + m_ann / reuse  =  s (e_ac + m_snn) + T e_upd / fan_in

a synapse and inference, at s spikes. Lemaire et al. 2022, "An analytical estimation of spiking neural networks energy
efficiency"; Dampfhoffer et al. 2023 (IEEE TETCI 7:731) find 0.15 to 1.38 spikes, Yan et al. 2024 (arXiv:2409.08290)
0.285. Without the memory terms, as papers often count, the limit is ten to eighty times too lenient.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from dvs.errors import InputError, ParameterError
from snn.energy.counts import Counts
from snn.energy.prices import PriceList


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """What a synapse costs in an inference, in a spiking network and in its twin without spikes; energies in pJ.

    spikes_per_synapse: of the network. addition_pj: at a synapse, for a spike; spike_memory_pj: what is read and
    written for it. steps: of an inference; update_pj: to advance a neuron by one of them; fan_in: synapses of a neuron.
    mac_pj: a multiply-accumulate of the twin; twin_memory_pj: what is read for it, reuse: by so many of them.
    source: of the numbers.
    """

    spikes_per_synapse: float
    addition_pj: float
    mac_pj: float
    spike_memory_pj: float = 0.0
    twin_memory_pj: float = 0.0
    reuse: float = 1.0
    steps: float = 0.0
    update_pj: float = 0.0
    fan_in: float = 1.0

    source: str = ""

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name == "source":
                continue
            value, lowest = getattr(self, each.name), 1 if each.name == "reuse" else 0
            divides = each.name in ("addition_pj", "fan_in")
            if not (math.isfinite(value) and value >= lowest) or (divides and value == 0):
                expected = "a number above 0" if divides else f"a number from {lowest} on"
                raise ParameterError(f"{each.name} is {value}, expected {expected}")

    @property
    def spike_pj(self) -> float:
        """What a spike costs at a synapse."""
        return self.addition_pj + self.spike_memory_pj

    @property
    def upkeep_pj(self) -> float:
        """What a synapse has to bear of the neuron's updates, even if no spike arrives."""
        return self.steps * self.update_pj / self.fan_in

    @property
    def network_pj(self) -> float:
        """What a synapse of the spiking network costs in an inference."""
        return self.spikes_per_synapse * self.spike_pj + self.upkeep_pj

    @property
    def twin_pj(self) -> float:
        """What a synapse of the twin costs in an inference."""
        return self.mac_pj + self.twin_memory_pj / self.reuse

    @property
    def break_even(self) -> float:
        """Spikes per synapse and inference at which both cost the same; 0 if the updates alone cost more.

        Horowitz 2014, 45 nm, fp32: an addition costs 0.9 pJ, a multiply-accumulate 4.6 pJ; so, without memory,

        >>> round(BreakEven(spikes_per_synapse=1, addition_pj=0.9, mac_pj=4.6).break_even, 1)
        5.1
        """
        return max(0.0, (self.twin_pj - self.upkeep_pj) / self.spike_pj)

    @property
    def verdict(self) -> str:
        """One sentence: who costs less, and by how much."""
        twin = f"{self.twin_pj:.3g} pJ"
        if self.break_even == 0:
            return (
                f"without a single spike its updates cost {self.upkeep_pj:.3g} pJ a synapse and inference, "
                f"its twin {twin}: the twin costs less at any activity"
            )
        cheap, dear = sorted((self.network_pj, self.twin_pj))
        wins = self.network_pj < self.twin_pj
        factor = f", {dear / cheap:.3g} times less" if cheap > 0 else ""
        return (
            f"{self.spikes_per_synapse:.3g} spikes a synapse and inference are {'below' if wins else 'above'} the "
            f"break-even of {self.break_even:.3g}: {'the spiking network' if wins else 'the twin'} costs less, "
            f"{cheap:.3g} pJ a synapse{factor}"
        )


def break_even_from(
    prices: PriceList,
    *,
    spikes_per_synapse: float,
    weights: int,
    memory: bool = True,
    activation_bits: int | None = None,
    reuse: float = 1.0,
    steps: float = 0.0,
    fan_in: float = 1.0,
    update_additions: float = 0.0,
    update_multiplications: float = 0.0,
    states: float = 1,
) -> BreakEven:
    """The break-even at the prices of a list, which must have those of `additions` and `macs`, and of memories.

    spikes_per_synapse: that arrive in an inference. weights: how many are stored; they lie in the smallest memory that
    holds them all, in both networks. State and activations lie in the smallest memory of the list. memory=False leaves
    reading and writing out, as papers often do. activation_bits: of the twin, by default those of a weight. reuse:
    multiply-accumulates of the twin for each weight and activation that is read. steps: of an inference, with so many
    additions and multiplications, and `states` variables read and written, to advance a neuron; fan_in: its synapses.

    Raises ParameterError for a list without these prices, and for numbers out of range.
    """
    needed = ["additions", "macs"] + ["multiplications"] * (update_multiplications * steps > 0)
    missing = [term for term in needed if term not in prices.prices]
    if missing or (memory and not prices.memories):
        lacks = " and ".join(missing) or "memories"
        raise ParameterError(
            f"the price list {prices.name!r} has no price of {lacks}; take one that has, such as generic-45nm-int8"
        )
    widths, source = prices.widths, f"{prices.name}, arithmetic only"
    weight_pj = state_pj = activation_pj = 0.0
    if memory:
        large, small = prices.memory_for(weights * widths.weight), prices.memory_for(1)
        weight_pj = widths.weight * large.joules * 1e12
        state_pj = 2 * widths.state * small.joules * 1e12
        activation_pj = (activation_bits or widths.weight) * small.joules * 1e12
        source = f"{prices.name}, weights of {widths.weight} bits in {large.name}, state in {small.name}"
    add_pj, mac_pj, multiply_pj = (
        prices.prices[term].joules * 1e12 if term in prices.prices else 0.0
        for term in ("additions", "macs", "multiplications")
    )
    return BreakEven(
        spikes_per_synapse=spikes_per_synapse,
        addition_pj=add_pj,
        mac_pj=mac_pj,
        spike_memory_pj=weight_pj + state_pj,
        twin_memory_pj=weight_pj + activation_pj,
        reuse=reuse,
        steps=steps,
        update_pj=update_additions * add_pj + update_multiplications * multiply_pj + states * state_pj,
        fan_in=fan_in,
        source=source,
    )


def break_even_of(
    counts: Counts,
    prices: PriceList,
    *,
    memory: bool = True,
    activation_bits: int | None = None,
    reuse: float = 1.0,
) -> BreakEven:
    """The break-even of a network that was counted, and how many spikes its synapses saw; see `break_even_from`.

    Updates and fan-in are those of the average neuron that is computed. Divisions, exponentials and the like have no
    price in lists of arithmetic: they are left out, in favour of the spiking network, and `source` says so.

    Raises InputError for a network without synapses or samples, and ParameterError as `break_even_from`.
    """
    if not (counts.synapses and counts.samples):
        raise InputError(f"{counts.name!r} has no synapses or no samples; count a network that weighs something")
    computed = [one for one in counts.populations if not one.is_input]
    updates = sum(one.updates for one in computed)
    neurons = sum(one.neurons for one in computed)

    def per_update(*names: str) -> float:
        total = sum(int(np.sum(one.work.get(name, 0))) for one in computed for name in names)
        return total / (updates * counts.samples) if updates else 0.0

    made = break_even_from(
        prices,
        spikes_per_synapse=counts.spikes_per_synapse,
        weights=sum(one.stored.weights for one in (*counts.projections, *counts.clocked)),
        memory=memory,
        activation_bits=activation_bits,
        reuse=reuse,
        steps=updates / neurons if neurons else 0.0,
        fan_in=counts.synapses / neurons if neurons else 1.0,
        update_additions=per_update("additions"),
        update_multiplications=per_update("multiplications"),
        states=per_update("state_reads", "state_writes") / 2,
    )
    left_out = ", divisions and functions left out" if per_update("functions") else ""
    return replace(made, source=made.source + left_out)
