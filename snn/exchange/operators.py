"""NIR's nodes without a state, as matrices: what each output is, as a sum of inputs."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from dvs.errors import InputError
from snn.synapses.wiring import Shape, Wiring, conv2d

if TYPE_CHECKING:
    import nir

OPERATORS = ("Affine", "Linear", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten")


class Operator(NamedTuple):
    """What a node does: matrix (n_out, n_in), bias (n_out,), and the shape of what it puts out."""

    matrix: sparse.csr_array
    bias: NDArray[np.float64]
    shape: Shape


def operator(name: str, node: "nir.NIRNode", shape: Shape) -> Operator:
    """What a node does to an input of this shape; InputError, which names the node, where they do not fit."""
    kind = type(node).__name__
    size = int(np.prod(shape))
    if kind == "Flatten":
        return Operator(sparse.eye_array(size, format="csr"), np.zeros(size), _flattened(node, shape))
    if kind == "Scale":
        scale = np.broadcast_to(np.ravel(node.scale), size) if np.size(node.scale) == 1 else np.ravel(node.scale)
        _check(name, kind, scale.size == size, f"{size} factors", np.shape(node.scale))
        return Operator(sparse.diags_array(scale, format="csr"), np.zeros(size), shape)
    if kind in ("Affine", "Linear"):
        weight = np.asarray(node.weight, np.float64)
        _check(name, kind, weight.ndim == 2 and weight.shape[1] == size, f"weights (n, {size})", weight.shape)
        bias = np.ravel(node.bias).astype(np.float64) if kind == "Affine" else np.zeros(len(weight))
        return Operator(sparse.csr_array(weight), bias, (len(weight),))
    if kind in ("Conv1d", "Conv2d"):
        matrix, grid = _convolution(name, node, _grid(name, kind, shape))
        bias = np.repeat(np.ravel(node.bias).astype(np.float64), grid[1] * grid[2])
        return Operator(matrix, bias, grid if kind == "Conv2d" else (grid[0], grid[2]))
    channels, height, width = _grid(name, kind, shape)
    window = _pair(node.kernel_size)
    share = 1 / np.prod(window) if kind == "AvgPool2d" else 1.0
    one = conv2d(np.full((1, 1, *window), share), (1, height, width), _pair(node.stride), _pair(node.padding))
    matrix = sparse.kron(sparse.eye_array(channels), matrix_of(one), format="csr")
    return Operator(matrix, np.zeros(matrix.shape[0]), (channels, *one.out_shape[1:]))


def shared_kernel(name: str, node: "nir.NIRNode", shape: Shape) -> Wiring | None:
    """The wiring of a plain Conv2d, whose synapses share the kernel's weights; None for any other node."""
    if type(node).__name__ != "Conv2d" or int(node.groups) != 1 or _pair(node.dilation) != (1, 1):
        return None
    kernel = np.asarray(node.weight, np.float64)
    return conv2d(kernel, shape[-3:], _pair(node.stride), _padding(name, node, kernel.shape[2:]))


def matrix_of(wiring: Wiring) -> sparse.csr_array:
    """The weights of a wiring as a sparse matrix (n_post, n_pre)."""
    entries = wiring.unshared().weights, (wiring.post, wiring.pre)
    return sparse.coo_array(entries, shape=(wiring.n_post, wiring.n_pre)).tocsr()


def _convolution(name: str, node: "nir.NIRNode", shape: Shape) -> tuple[sparse.csr_array, Shape]:
    kind, weight = type(node).__name__, np.asarray(node.weight, np.float64)
    one_axis = kind == "Conv1d"
    weight = weight[:, :, None] if one_axis else weight
    stride, dilation = ((1, _pair(v)[0]) if one_axis else _pair(v) for v in (node.stride, node.dilation))
    groups, (channels, height, width) = int(node.groups), shape
    fits = weight.shape[1] * groups == channels
    _check(name, kind, fits, f"a kernel for {channels} channels", weight.shape)
    rows, columns = (step * (size - 1) + 1 for step, size in zip(dilation, weight.shape[2:], strict=True))
    kernel = np.zeros((*weight.shape[:2], rows, columns))
    kernel[:, :, :: dilation[0], :: dilation[1]] = weight
    padding = _padding(name, node, kernel.shape[2:])
    padding = (0, padding[1]) if one_axis else padding
    parts = [conv2d(part, (channels // groups, height, width), stride, padding) for part in np.split(kernel, groups)]
    matrix = sparse.block_diag([matrix_of(part) for part in parts], format="csr")
    return matrix, (len(kernel), *parts[0].out_shape[1:])


def _padding(name: str, node: "nir.NIRNode", window: Shape) -> tuple[int, int]:
    padding = node.padding
    if isinstance(padding, str):
        if padding == "same" and any(size % 2 == 0 for size in window):
            raise InputError(
                f"padding 'same' of the node {name!r} is not the same on both sides of {window}; give numbers"
            )
        return (0, 0) if padding == "valid" else (window[0] // 2, window[1] // 2)
    return _pair(padding)


def _pair(value: ArrayLike) -> tuple[int, int]:
    first, *rest = np.ravel(value)
    return int(first), int(rest[0] if rest else first)


def _grid(name: str, kind: str, shape: Shape) -> Shape:
    grid = (shape[-2], 1, shape[-1]) if kind == "Conv1d" and len(shape) >= 2 else shape[-3:]
    _check(name, kind, len(grid) == 3 and np.prod(grid) == np.prod(shape), "an input (C, H, W)", shape)
    return grid


def _flattened(node: "nir.NIRNode", shape: Shape) -> Shape:
    first, last = (int(dim) % len(shape) for dim in (node.start_dim, node.end_dim))
    return (*shape[:first], int(np.prod(shape[first : last + 1])), *shape[last + 1 :])


def _check(name: str, kind: str, fits: Any, expected: str, found: Shape) -> None:
    if not fits:
        raise InputError(f"the node {name!r} ({kind}) has {tuple(found)}, expected {expected}")
