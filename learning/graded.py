"""Input that is a number for every neuron in every step: a picture, a current, anything that is not events."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Graded:
    """Numbers of an input group in many samples, (samples, steps, size), floats; where most of them are not zero.

    A neuron with the number x acts in that step as a spike of value x.
    """

    numbers: NDArray

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.numbers.shape[0]

    @property
    def steps(self) -> int:
        """Steps of each sample."""
        return self.numbers.shape[1]

    @property
    def size(self) -> int:
        """Neurons of the group."""
        return self.numbers.shape[2]

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, chosen: ArrayLike | slice) -> "Graded":
        """Some of the samples."""
        numbers = self.numbers[chosen]
        return Graded(numbers=numbers if numbers.ndim == 3 else np.expand_dims(numbers, 0))
