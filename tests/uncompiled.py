"""Kernels as the Python text that they are: the same arithmetic, without the seconds that compiling takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from learning.kernels import engine
from learning.kernels.compiling import compiled


@contextmanager
def uncompiled() -> Iterator[None]:
    """Models that are first run within it are not compiled, but for the loops over synapses; give them one thread."""

    def as_text(source):
        kernel = compiled(source)
        return replace(kernel, forward=kernel.forward.py_func, backward=kernel.backward.py_func)

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setenv("MICROSACCADE_CACHE", folder)
        patch.setattr(engine, "compiled", as_text)
        yield
