"""A network without spikes, counted by the same words: what a camera that takes frames and a CNN would do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dvs.errors import ParameterError
from snn.energy.counts import Charge, Counts, SensorCounts
from snn.energy.terms import Widths


@dataclass(frozen=True, kw_only=True)
class FrameLayer:
    """A layer that weighs all its inputs in every pass.

    macs: multiply-accumulates of a pass; weights: numbers stored; inputs, outputs: values that go in and come out.
    """

    name: str
    macs: int
    weights: int
    inputs: int
    outputs: int


def conv_layer(name: str, in_shape: tuple[int, int, int], channels: int, size: int, *, stride: int = 1) -> FrameLayer:
    """A convolution of (C, H, W) without padding, with a bias for each channel."""
    depth, height, width = in_shape
    if size > min(height, width):
        raise ParameterError(f"{name} has windows of {size} pixels on a picture of {height}x{width}")
    rows, columns = ((side - size) // stride + 1 for side in (height, width))
    outputs = channels * rows * columns
    return FrameLayer(
        name=name, macs=outputs * depth * size**2, weights=channels * (depth * size**2 + 1),
        inputs=depth * height * width, outputs=outputs,
    )  # fmt: skip


def dense_layer(name: str, inputs: int, outputs: int) -> FrameLayer:
    """All inputs to all outputs, with a bias for each output."""
    return FrameLayer(name=name, macs=inputs * outputs, weights=(inputs + 1) * outputs, inputs=inputs, outputs=outputs)


@dataclass(frozen=True, kw_only=True)
class FrameCounts:
    """What a network of such layers does in one inference, to be priced by `account` like a spiking one.

    passes: through the network until it decides. reuse: how many multiply-accumulates each word that is fetched from
    memory serves, weights and values alike; 1 is none, 16 a small systolic array (energy of the rest of the array is
    not counted). duration_s: of an inference, with frames taken all the while. pixels: of a frame, bits_per_pixel: of
    each on the way from the sensor; frames: taken in an inference.
    """

    name: str
    layers: tuple[FrameLayer, ...]
    duration_s: float
    passes: int = 1
    reuse: int = 1
    pixels: int = 0
    bits_per_pixel: int = 8
    frames: int = 1
    samples: int = 1

    def __post_init__(self) -> None:
        if min(self.passes, self.reuse, self.samples) < 1:
            raise ParameterError(
                f"passes, reuse and samples are {self.passes}, {self.reuse}, {self.samples}, expected 1 or more"
            )

    @property
    def steps(self) -> int:
        """Of a clock that all cores wait for: there is none."""
        return 0

    @property
    def sensor(self) -> SensorCounts | None:
        """Frames are no events."""
        return None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an inference."""
        return self.passes * sum(layer.macs for layer in self.layers)

    def charges(self, widths: Widths | None = None) -> tuple[Charge, ...]:
        """All that can have a price, over all samples together."""
        return tuple(charge for charge in self._charges(widths or Widths()) if charge.total)

    def _charges(self, widths: Widths) -> Iterator[Charge]:
        times = self.passes * self.samples
        for layer in self.layers:
            fetched = times * -(-layer.macs // self.reuse)
            values_bits = max(layer.inputs, layer.outputs) * widths.weight
            yield Charge(term="macs", where=layer.name, total=times * layer.macs)
            yield Charge(
                term="weight_read_bits", where=layer.name, total=fetched * widths.weight,
                memory_bits=layer.weights * widths.weight,
            )  # fmt: skip
            # A value has as many bits as a weight, its sum stays in the unit that adds.
            for term, words in (("state_read_bits", fetched), ("state_write_bits", times * layer.outputs)):
                yield Charge(term=term, where=layer.name, total=words * widths.weight, memory_bits=values_bits)
        if self.layers:
            yield Charge(term="host_inputs", where=self.layers[0].name, total=times * self.layers[0].inputs)
            yield Charge(term="host_outputs", where=self.layers[-1].name, total=times * self.layers[-1].outputs)
        frames = self.samples * self.frames
        yield Charge(term="sensor_bits", where="frames", total=frames * self.pixels * self.bits_per_pixel)


def twin(counts: Counts, *, passes: int = 1, reuse: int = 1) -> FrameCounts:
    """The network of the same synapses that weighs values instead of events, once in an inference or `passes` times."""
    neurons = {one.name: one.neurons for one in counts.populations}
    layers: Sequence[FrameLayer] = [
        FrameLayer(
            name=one.name, macs=one.number, weights=one.stored.weights, inputs=neurons.get(one.source, 0),
            outputs=neurons.get(one.target, 0),
        )
        for one in counts.projections
        if one.delivers
    ]  # fmt: skip
    return FrameCounts(
        name=f"{counts.name} without spikes", layers=tuple(layers), duration_s=counts.duration_s, passes=passes,
        reuse=reuse, samples=counts.samples,
    )  # fmt: skip
