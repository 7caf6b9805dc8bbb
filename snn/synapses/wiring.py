"""Wiring: which neurons are connected, and with what weights; what a spike then does is the synapse's rule.

Neurons of a grid are numbered (channel * H + y) * W + x, as everywhere in `snn`.
"""

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from brian2 import Quantity
from numpy.typing import ArrayLike, NDArray

from dvs.errors import ParameterError

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Wiring:
    """Synapse s goes from neuron pre[s] to neuron post[s], both (S,).

    weights: (S,), one of each synapse; or, where synapses share weights, (W,) and `shared` (S,) says which of them
    synapse s has. in_shape and out_shape: of the two populations, (n,) or (C, H, W).
    """

    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    weights: NDArray[np.float64] | Quantity
    shared: NDArray[np.int64] | None = None
    in_shape: Shape
    out_shape: Shape

    def __post_init__(self) -> None:
        sizes = {"pre": self.pre.shape, "post": self.post.shape}
        sizes |= {"weights": np.shape(self.weights)} if self.shared is None else {"shared": self.shared.shape}
        if len(set(sizes.values())) != 1 or self.pre.ndim != 1:
            raise ParameterError(f"columns of the wiring have shapes {sizes}, expected one length for all")
        indices = {"pre": (self.pre, self.n_pre), "post": (self.post, self.n_post)}
        if self.shared is not None:
            indices["shared"] = (self.shared, np.size(self.weights))
        for name, (column, count) in indices.items():
            if column.size and not (column.min() >= 0 and column.max() < count):
                raise ParameterError(f"{name} goes from {column.min()} to {column.max()}, expected 0 to {count - 1}")

    def __len__(self) -> int:
        return self.pre.size

    @property
    def n_pre(self) -> int:
        """Neurons that send."""
        return int(np.prod(self.in_shape))

    @property
    def n_post(self) -> int:
        """Neurons that receive."""
        return int(np.prod(self.out_shape))

    def unshared(self) -> "Wiring":
        """The same synapses, each with a weight of its own."""
        return self if self.shared is None else replace(self, weights=self.weights[self.shared], shared=None)

    def matrix(self) -> NDArray[np.float64] | Quantity:
        """The weights as a matrix (n_pre, n_post); synapses of one pair are added, no synapse is 0."""
        own = self.unshared().weights
        pair = self.pre * self.n_post + self.post
        summed = np.bincount(pair, np.asarray(own), minlength=self.n_pre * self.n_post).reshape(self.n_pre, self.n_post)
        return Quantity(summed, dim=own.dim) if isinstance(own, Quantity) else summed


def dense(weights: ArrayLike | Quantity) -> Wiring:
    """Every neuron to every neuron; weights (n_pre, n_post). Synapses are in the order of weights.ravel()."""
    matrix = _numbers(weights)
    if matrix.ndim != 2:
        raise ParameterError(f"weights have shape {matrix.shape}, expected (n_pre, n_post)")
    pre, post = np.indices(matrix.shape).reshape(2, -1)
    n_pre, n_post = matrix.shape
    return Wiring(pre=pre, post=post, weights=matrix.ravel(), in_shape=(n_pre,), out_shape=(n_post,))


def sparse(n_pre: int, n_post: int, p: float, weights: ArrayLike | Quantity, seed: int | np.random.Generator) -> Wiring:
    """Each pair with probability p, independently (Gilbert 1959).

    weights: one for all, or (n_pre, n_post), of which the chosen pairs take theirs.
    """
    if not 0 <= p <= 1:
        raise ParameterError(f"p is {p}, expected a probability from 0 to 1")
    values = _numbers(weights)
    if values.shape not in ((), (n_pre, n_post)):
        raise ParameterError(f"weights have shape {values.shape}, expected one number or {(n_pre, n_post)}")
    rng = np.random.default_rng(seed)
    # How many and then which: the same law as a coin for each pair, without a matrix of coins.
    pairs = np.sort(rng.choice(n_pre * n_post, rng.binomial(n_pre * n_post, p), replace=False))
    pre, post = np.divmod(pairs, n_post)
    chosen = values[pre, post] if values.ndim else _full(pairs.size, values)
    return Wiring(pre=pre, post=post, weights=chosen, in_shape=(n_pre,), out_shape=(n_post,))


def one_to_one(n: int, weight: float | Quantity = 1.0) -> Wiring:
    """Neuron k to neuron k."""
    index = np.arange(n)
    return Wiring(pre=index, post=index, weights=_full(n, weight), in_shape=(n,), out_shape=(n,))


def conv2d(
    kernel: ArrayLike | Quantity,
    in_shape: Shape,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> Wiring:
    """Cross-correlation with a kernel (out, in, kh, kw), as deep-learning libraries convolve; in_shape (C, H, W).

    The synapses share the kernel's weights, in the order of kernel.ravel(). stride and padding: of both axes, or
    (y, x); beyond the edge there is no neuron, which is the same as zeros. out_shape is
    (out, (H + 2 padding - kh) // stride + 1, ...).

    >>> edges = conv2d(np.ones((4, 2, 3, 3)), in_shape=(2, 8, 8), stride=2)
    >>> edges.out_shape, len(edges), edges.weights.size
    ((4, 3, 3), 648, 72)
    """
    values = _numbers(kernel)
    channels, height, width = _grid(in_shape)
    if values.ndim != 4 or values.shape[1] != channels:
        raise ParameterError(f"the kernel has shape {values.shape}, expected (out, {channels}, kh, kw) for {in_shape}")
    stride, padding = _pair("stride", stride, 1), _pair("padding", padding, 0)
    rows, columns = (
        _steps(size, values.shape[axis + 2], stride[axis], padding[axis]) for axis, size in enumerate((height, width))
    )
    out_shape = (values.shape[0], rows, columns)
    out, y_out, x_out, channel, ky, kx = np.indices((*out_shape, *values.shape[1:]), sparse=True)
    y, x = y_out * stride[0] - padding[0] + ky, x_out * stride[1] - padding[1] + kx
    pre, post, shared, inside = np.broadcast_arrays(
        (channel * height + y) * width + x,
        (out * rows + y_out) * columns + x_out,
        np.arange(values.size).reshape(values.shape)[:, None, None],
        (y >= 0) & (y < height) & (x >= 0) & (x < width),
    )
    return Wiring(
        pre=pre[inside],
        post=post[inside],
        weights=values.ravel(),
        shared=shared[inside],
        in_shape=in_shape,
        out_shape=out_shape,
    )


def pool2d(
    in_shape: Shape,
    size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    kind: str = "sum",
    weight: float | Quantity = 1.0,
) -> Wiring:
    """Each channel's windows of size x size to one neuron each; stride is the size unless given; in_shape (C, H, W).

    All synapses have the same weight, for kind "average" over the window's area.
    """
    channels, height, width = _grid(in_shape)
    if kind not in ("sum", "average"):
        raise ParameterError(f"kind of pooling is {kind!r}, expected 'sum' or 'average'")
    window = _pair("size", size, 1)
    one = conv2d(np.ones((1, 1, *window)), (1, height, width), window if stride is None else stride)
    offset = np.arange(channels)[:, None]
    n_pre, n_post = one.n_pre, one.n_post
    share = weight / (window[0] * window[1]) if kind == "average" else weight
    return Wiring(
        pre=(offset * n_pre + one.pre).ravel(),
        post=(offset * n_post + one.post).ravel(),
        weights=_full(channels * len(one), share),
        in_shape=in_shape,
        out_shape=(channels, *one.out_shape[1:]),
    )


def lateral(shape: int | Shape, weight: float | Quantity, radius: int | None = None) -> Wiring:
    """Every neuron to every other of the same population, never to itself; a negative weight inhibits.

    shape: n, or (C, H, W). radius: on a grid, only to neurons at most so many rows and columns away, in all channels;
    0 is competition of the channels at each place.
    """
    shape = (shape,) if isinstance(shape, Integral) else tuple(shape)
    if radius is None:
        n = int(np.prod(shape))
        pre, post = np.divmod(np.arange(n * n), n)
    else:
        channels, height, width = _grid(shape)
        if radius < 0:
            raise ParameterError(f"radius is {radius}, expected 0 or more")
        window = np.zeros((channels, channels, 2 * radius + 1, 2 * radius + 1))
        near = conv2d(window, (channels, height, width), padding=radius)
        pre, post = near.pre, near.post
    others = pre != post
    weights = _full(int(others.sum()), weight)
    return Wiring(pre=pre[others], post=post[others], weights=weights, in_shape=shape, out_shape=shape)


def winner_take_all(n: int, span: float | Quantity = 1.0) -> Wiring:
    """Each spike puts every other neuron at least `span` back.

    With span = threshold - v_reset no other is left above the reset, where the winner starts too: of neurons under
    constant drive only the strongest ever spikes.
    """
    return lateral(n, -span)


def _numbers(weights: ArrayLike | Quantity) -> NDArray[np.float64] | Quantity:
    return weights if isinstance(weights, Quantity) else np.asarray(weights, np.float64)


def _full(count: int, weight: float | Quantity) -> NDArray[np.float64] | Quantity:
    return np.ones(count) * weight


def _grid(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape) < 1:
        raise ParameterError(f"the shape is {shape}, expected (C, H, W)")
    return shape[0], shape[1], shape[2]


def _pair(name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, Integral) else tuple(value)
    if len(pair) != 2 or min(pair) < least:
        raise ParameterError(f"{name} is {value}, expected one whole number of {least} or more, or two (y, x)")
    return pair[0], pair[1]


def _steps(size: int, window: int, stride: int, padding: int) -> int:
    """How many windows fit."""
    steps = (size + 2 * padding - window) // stride + 1
    if steps < 1:
        raise ParameterError(
            f"a window of {window} does not fit into {size} with padding {padding}; "
            "make the window smaller or the padding larger"
        )
    return steps
