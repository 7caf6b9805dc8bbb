"""Which input neuron an event reaches: polarity, region of interest, pooling of pixels."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError

Polarity = Literal["split", "merge", "on", "off"]

# The channel of OFF and of ON events; -1 is none.
_CHANNEL_OF: dict[Polarity, tuple[int, int]] = {"split": (0, 1), "merge": (0, 0), "on": (-1, 0), "off": (0, -1)}


@dataclass(frozen=True, kw_only=True)
class Channels:
    """The input neurons of a sensor, (polarity, y, x), neuron number = (p * H + y) * W + x.

    polarity: "split" makes OFF (p = 0) and ON (p = 1) two channels, "merge" one of both, "on" and "off" keep one of
    them. roi: (x, y, width, height) in pixels of the sensor; what lies outside is not seen. pool: pool x pool pixels
    share a neuron, counted from the corner of the region; the last ones may have fewer.

    >>> Channels(width=34, height=34, pool=2).shape
    (2, 17, 17)
    """

    width: int
    height: int
    polarity: Polarity = "split"
    roi: tuple[int, int, int, int] | None = None
    pool: int = 1

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ParameterError(f"the sensor is {self.width}x{self.height}, expected at least 1x1 pixels")
        if self.polarity not in _CHANNEL_OF:
            raise ParameterError(f"polarity is {self.polarity!r}, expected one of {list(get_args(Polarity))}")
        if self.pool < 1 or self.pool != int(self.pool):
            raise ParameterError(f"pool is {self.pool}, expected a whole number of pixels, 1 or more")
        x, y, width, height = self.region
        if not (0 <= x < x + width <= self.width and 0 <= y < y + height <= self.height):
            raise ParameterError(
                f"roi is {self.roi}, which leaves the {self.width}x{self.height} sensor; "
                "give (x, y, width, height) inside it"
            )

    @property
    def region(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the pixels that are seen."""
        return self.roi or (0, 0, self.width, self.height)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(polarities, H, W) of the input neurons."""
        _, _, width, height = self.region
        return max(_CHANNEL_OF[self.polarity]) + 1, -(-height // self.pool), -(-width // self.pool)

    @property
    def channel_of(self) -> tuple[int, int]:
        """The channel of OFF and of ON events; -1 where they are not seen."""
        return _CHANNEL_OF[self.polarity]

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    def coordinates(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """(p, y, x) of every neuron, each (neurons,), on the pooled grid."""
        p, y, x = np.indices(self.shape).reshape(3, -1)
        return p, y, x
