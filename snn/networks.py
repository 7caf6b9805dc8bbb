"""Whole networks from a list of layers: ordinary Brian2 groups and synapses with names.

    eye = EventInput(width=34, height=34, dt=1 * ms)
    network = feedforward(eye, [Conv(8, lif(), size=5), Pool(2), Dense(10, leaky_readout())], seed=1)
    hidden, synapses = network["layer1"], network["layer1_in"]

A network of any other plan is made of `NeuronModel.group` and `connect`, as this one is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from brian2 import Network, Quantity, SpikeSource
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from dvs.errors import ParameterError
from snn.neurons import NeuronModel, integrate_and_fire
from snn.synapses.connect import connect
from snn.synapses.rules import SynapseModel
from snn.synapses.wiring import Shape, Wiring, conv2d, dense, pool2d

Weights = ArrayLike | Quantity


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """What all layers have. name: of the group, "layer1", "layer2", ... unless given; its synapses are `<name>_in`.

    rule: of its synapses, static unless given. delay: of its synapses.
    """

    name: str | None = None
    rule: SynapseModel | None = None
    delay: Quantity | None = None


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """Neurons that each hear all of the layer before.

    weights: (inputs, neurons); or else they are drawn, normal with standard deviation gain / sqrt(inputs), so that
    the sum of one spike of each input has the standard deviation `gain` (Bellec et al. 2018, LeCun et al. 1998).
    gain has the unit of `model.input`; few spikes need a large one.
    """

    neurons: int
    model: NeuronModel
    weights: Weights | None = field(default=None, kw_only=True)
    gain: float | Quantity = field(default=1.0, kw_only=True)

    def wiring(self, in_shape: Shape, rng: Generator) -> Wiring:
        """From a population of in_shape to this layer."""
        shape = (int(np.prod(in_shape)), self.neurons)
        return dense(_weights("weights", self.weights, shape, shape[0], self.gain, rng))


@dataclass(frozen=True, eq=False)
class Recurrent(Dense):
    """A `Dense` layer that also hears itself one step later, through the synapses `<name>_recurrent`.

    recurrent_weights: (neurons, neurons), or drawn with recurrent_gain as the others are with gain.
    """

    recurrent_weights: Weights | None = field(default=None, kw_only=True)
    recurrent_gain: float | Quantity = field(default=1.0, kw_only=True)

    def recurrent_wiring(self, rng: Generator) -> Wiring:
        """From this layer to itself."""
        shape = (self.neurons, self.neurons)
        name = "recurrent_weights"
        return dense(_weights(name, self.recurrent_weights, shape, self.neurons, self.recurrent_gain, rng))


@dataclass(frozen=True, eq=False)
class Conv(Layer):
    """`channels` maps of neurons that hear windows of size x size in all channels of the layer before, with one kernel.

    weights: the kernel (channels, in, size, size), or drawn as in `Dense` with channels_in size^2 inputs.
    """

    channels: int
    model: NeuronModel
    size: int = field(default=3, kw_only=True)
    stride: int = field(default=1, kw_only=True)
    padding: int = field(default=0, kw_only=True)
    weights: Weights | None = field(default=None, kw_only=True)
    gain: float | Quantity = field(default=1.0, kw_only=True)

    def wiring(self, in_shape: Shape, rng: Generator) -> Wiring:
        """From a population of in_shape, (C, H, W), to this layer."""
        if len(in_shape) != 3:
            raise ParameterError(f"a Conv layer is given neurons of shape {in_shape}, expected (C, H, W)")
        shape = (self.channels, in_shape[0], self.size, self.size)
        kernel = _weights("weights", self.weights, shape, int(np.prod(shape[1:])), self.gain, rng)
        return conv2d(kernel, in_shape, stride=self.stride, padding=self.padding)


@dataclass(frozen=True, eq=False)
class Pool(Layer):
    """Windows of size x size of each channel; stride is the size unless given.

    With the default model, a counter, spikes of a window come out one a step: all for kind "sum", one for each size^2
    for "average".
    """

    size: int
    model: NeuronModel = field(default_factory=integrate_and_fire)
    stride: int | None = field(default=None, kw_only=True)
    kind: str = field(default="sum", kw_only=True)
    weight: float | Quantity = field(default=1.0, kw_only=True)

    def wiring(self, in_shape: Shape, rng: Generator) -> Wiring:
        """From a population of in_shape, (C, H, W), to this layer."""
        if len(in_shape) != 3:
            raise ParameterError(f"a Pool layer is given neurons of shape {in_shape}, expected (C, H, W)")
        return pool2d(in_shape, self.size, self.stride, self.kind, self.weight)


class ShapedInput(Protocol):
    """A spike source that knows its shape, such as `EventInput`."""

    group: SpikeSource
    shape: Shape


def feedforward(
    input: ShapedInput | SpikeSource,
    layers: Sequence[Dense | Conv | Pool],
    *,
    seed: int | Generator = 0,
    shape: Shape | None = None,
) -> Network:
    """A network in which each layer hears the one before it; all run on the clock of the input.

    input: an `EventInput`, or any Brian2 source of spikes with the shape of its neurons, (n,) unless given. seed:
    of the weights that are drawn; what one layer draws does not depend on the others. Parts are found by name:
    `network["layer1"]`, `network["layer1_in"]`, `network["layer1_recurrent"]`.
    Raises ParameterError if shapes do not fit or two layers have one name.
    """
    source = input if isinstance(input, SpikeSource) else input.group
    if shape is None:
        shape = (len(source),) if source is input else input.shape
    if np.prod(shape) != len(source):
        raise ParameterError(f"{source.name!r} has {len(source)} neurons, which is not its shape {tuple(shape)}")
    names = [layer.name or f"layer{number}" for number, layer in enumerate(layers, 1)]
    if len({source.name, *names}) != len(names) + 1:
        raise ParameterError(f"names of the layers are {names} after {source.name!r}; give each a name of its own")
    parts = [source]
    rngs = np.random.default_rng(seed).spawn(len(layers))
    for name, layer, rng in zip(names, layers, rngs, strict=True):
        wiring = layer.wiring(shape, rng)
        group = layer.model.group(wiring.n_post, name=name, clock=source.clock)
        common = {"rule": layer.rule, "onto": layer.model.input, "delay": layer.delay}
        parts += [group, connect(source, group, wiring, name=f"{name}_in", **common)]
        if isinstance(layer, Recurrent):
            parts.append(connect(group, group, layer.recurrent_wiring(rng), name=f"{name}_recurrent", **common))
        source, shape = group, wiring.out_shape
    return Network(*parts)


def _weights(
    name: str, weights: Weights | None, shape: Shape, inputs: int, gain: float | Quantity, rng: Generator
) -> NDArray[np.float64] | Quantity:
    """The weights that were given, of the right shape, or drawn ones."""
    if weights is None:
        return rng.standard_normal(shape) * (gain / np.sqrt(inputs))
    if np.shape(weights) != shape:
        raise ParameterError(f"{name} have shape {np.shape(weights)}, expected {shape}")
    return weights
