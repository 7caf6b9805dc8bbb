"""What an account charges for: the words that counts and prices share."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from dvs.errors import ParameterError

Part = Literal["network", "host", "sensor"]


@dataclass(frozen=True, kw_only=True)
class Term:
    """Something that is counted and costs energy each time.

    part: of the account that it belongs to. meaning: one of it.
    """

    part: Part
    meaning: str


TERMS: Mapping[str, Term] = MappingProxyType(
    {
        "synaptic_operations": Term(part="network", meaning="an event that arrives at a synapse and adds its weight"),
        "macs": Term(part="network", meaning="a multiply-accumulate: a synapse that weighs a value, not an event"),
        "neuron_updates_driven": Term(
            part="network", meaning="a neuron advanced by a step in which something arrived at it"
        ),
        "neuron_updates_idle": Term(part="network", meaning="a neuron advanced by a step in which nothing arrived"),
        "spikes": Term(part="network", meaning="a spike of a neuron, its reset included"),
        "synapse_updates": Term(part="network", meaning="a synapse whose own state is advanced by a step"),
        "plasticity_events": Term(part="network", meaning="a spike, before or behind, that changes a synapse"),
        "additions": Term(part="network", meaning="an addition, subtraction or comparison of numbers"),
        "multiplications": Term(part="network", meaning="a multiplication of numbers"),
        "functions": Term(part="network", meaning="a division, power, exponential, random number, ..."),
        "weight_read_bits": Term(part="network", meaning="a bit of a weight that is read"),
        "weight_write_bits": Term(part="network", meaning="a bit of a weight that is written"),
        "state_read_bits": Term(part="network", meaning="a bit of the state of a neuron or synapse that is read"),
        "state_write_bits": Term(part="network", meaning="a bit of the state of a neuron or synapse that is written"),
        "index_read_bits": Term(part="network", meaning="a bit of the address of a synapse's target that is read"),
        "packets": Term(part="network", meaning="a spike on its way to one core"),
        "hops_east_west": Term(part="network", meaning="a packet that goes on to the next tile, east or west"),
        "hops_north_south": Term(part="network", meaning="a packet that goes on to the next tile, north or south"),
        "time_steps": Term(part="network", meaning="a step of the clock: all cores agree that it is done"),
        "host_inputs": Term(part="host", meaning="a spike or value that the host sends into the network"),
        "host_outputs": Term(part="host", meaning="a spike or value that the host reads out"),
        "sensor_events": Term(part="sensor", meaning="an event that leaves the sensor"),
        "sensor_bits": Term(part="sensor", meaning="a bit on the bus from the sensor"),
    }
)
"""By name; what draws power whether or not anything happens is not a term but a `Power`."""

MEMORY = ("weight_read_bits", "weight_write_bits", "state_read_bits", "state_write_bits", "index_read_bits")
"""Terms whose price depends on how large the memory is."""


@dataclass(frozen=True, kw_only=True)
class Widths:
    """Bits of a word of each kind."""

    weight: int = 32
    state: int = 32
    index: int = 32

    def __post_init__(self) -> None:
        for name in ("weight", "state", "index"):
            bits = getattr(self, name)
            if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 64:
                raise ParameterError(f"{name} has {bits!r} bits, expected a whole number from 1 to 64")
