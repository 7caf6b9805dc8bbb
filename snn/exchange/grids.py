"""Convolutions and pools found again in a matrix of weights between two grids."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snn.exchange.operators import matrix_of
from snn.synapses.wiring import Shape, conv2d


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution:
    """A kernel (out, in, kh, kw); stride and padding are (y, x)."""

    kernel: NDArray[np.float64]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def pool(self) -> str | None:
        """The pool that this is, "SumPool2d" or "AvgPool2d", if it treats each channel alike and apart."""
        out, channels, *window = self.kernel.shape
        for name, share in (("SumPool2d", 1.0), ("AvgPool2d", 1 / np.prod(window))):
            if out == channels and np.all(self.kernel == share * np.eye(out)[:, :, None, None]):
                return name
        return None


def find_convolution(weights: sparse.csr_array, in_shape: Shape, out_shape: Shape) -> Convolution | None:
    """The convolution that has exactly these weights (n_post, n_pre) between grids (C, H, W), if there is one."""
    entries = weights.tocoo()
    if entries.nnz == 0:
        return None
    channel, *place_in = np.unravel_index(entries.col, in_shape)
    out, *place_out = np.unravel_index(entries.row, out_shape)
    axes = [_axis(place_in[axis], place_out[axis], in_shape[axis + 1], out_shape[axis + 1]) for axis in range(2)]
    if None in axes:
        return None
    stride, padding, window = zip(*axes, strict=True)
    kernel = np.zeros((out_shape[0], in_shape[0], *window))
    ky, kx = (place_in[axis] - stride[axis] * place_out[axis] + padding[axis] for axis in range(2))
    kernel[out, channel, ky, kx] = entries.data
    if (matrix_of(conv2d(kernel, in_shape, stride, padding)) != weights).nnz:
        return None
    return Convolution(kernel=kernel, stride=stride, padding=padding)


def _axis(place_in: NDArray, place_out: NDArray, size_in: int, size_out: int) -> tuple[int, int, int] | None:
    """Stride, padding and the smallest window that explain which places are connected."""
    found = []
    for stride in range(1, size_in + 1):
        offset = place_in - stride * place_out
        padding = max(0, -int(offset.min()))
        # (size_in + 2 padding - window) // stride + 1 = size_out bounds the window on both sides.
        most = size_in + 2 * padding - stride * (size_out - 1)
        window = max(int(offset.max()) + padding + 1, most - stride + 1)
        if window <= most:
            found.append((window, stride, padding))
    if not found:
        return None
    window, stride, padding = min(found)
    return stride, padding, window
