"""Chance in a run: each sample has a seed of its own, and Brian2's use of NumPy's generator leaves no trace."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def sample_seed(seed: int, sample: int) -> int:
    """The seed of one sample, the same wherever and whenever it is run."""
    return int(np.random.SeedSequence([seed, sample]).generate_state(1)[0])


@contextmanager
def random_state_kept(seed: int | None) -> Iterator[None]:
    """Brian2 seeds NumPy's global generator; afterwards it is as it was."""
    state = np.random.get_state() if seed is not None else None  # noqa: NPY002  (it is Brian2's)
    try:
        yield
    finally:
        if state is not None:
            np.random.set_state(state)  # noqa: NPY002
