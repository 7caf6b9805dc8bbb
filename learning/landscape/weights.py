"""All parameters of a model as one vector."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from learning.model import Model

Vector = NDArray[np.float64]
"""Shape (size,)."""

Found = TypeVar("Found")


class Weights:
    """The parameters of a model, one after the other, as x (size,).

    start: x where the model was. names: which numbers of x each parameter holds.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._shapes = {name: value.shape for name, value in model.parameters.items()}
        self._dtype = next(iter(model.parameters.values())).dtype
        ends = np.cumsum([0, *(value.size for value in model.parameters.values())]).tolist()
        self.names = {name: slice(*span) for name, span in zip(self._shapes, pairwise(ends), strict=True)}
        self.start = self.joined(model.parameters)

    def joined(self, arrays: Mapping[str, NDArray]) -> Vector:
        """An array for each parameter as one vector."""
        return np.concatenate([np.ravel(arrays[name]).astype(float) for name in self.names])

    def rounded(self, x: Vector) -> Vector:
        """X in the precision of the model."""
        return x.astype(self._dtype).astype(float)

    def at(self, x: Vector, work: Callable[[Vector], Found]) -> Found:
        """What `work` returns while the model is at x; the model stays as it was.

        `work` gets where the model really is: within the limits of its parameters.
        """
        model, before = self._model, self._model.parameters
        try:
            model.parameters = {
                name: x[part].reshape(self._shapes[name]).astype(self._dtype) for name, part in self.names.items()
            }
            model.changed()
            return work(self.joined(model.parameters))
        finally:
            model.parameters = before
            model.changed()
