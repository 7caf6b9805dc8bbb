"""What chance would have given: an observed number against the same number after shuffling."""

import numpy as np
from numpy.typing import NDArray

from dvs.errors import ParameterError


def check_shuffles(shuffles: int, confidence: float) -> None:
    """Raise `ParameterError` for less than one shuffle or a confidence outside (0, 1)."""
    if shuffles < 1 or shuffles != int(shuffles):
        raise ParameterError(f"{shuffles} shuffles were asked for, expected a whole number, 1 or more")
    if not 0 < confidence < 1:
        raise ParameterError(f"confidence is {confidence}, expected a share between 0 and 1, such as 0.95")


def against_shuffles(
    observed: NDArray[np.float64], shuffled: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where chance puts each unit: (low, high) of the given confidence, and the two-sided p value, each (neurons,).

    observed: (neurons,). shuffled: (shuffles, neurons). The p value counts the observed number among the shuffled
    ones, (1 + those at least as far from their mean) / (1 + shuffles), so it is never 0 (Phipson & Smyth 2010).
    """
    low, high = np.quantile(shuffled, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    centre = shuffled.mean(axis=0)
    # The margin counts ties as ties: equal shares differ in their last digit.
    as_far = np.abs(shuffled - centre) >= np.abs(observed - centre) - 1e-12
    p_value = (1 + as_far.sum(axis=0)) / (1 + len(shuffled))
    return low, high, np.where(np.isfinite(observed), p_value, np.nan)
