"""A few of many, drawn at random."""

import numpy as np
from numpy.typing import NDArray


def sample(num_points: int, at_most: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Indices of all points, or of `at_most` of them drawn without replacement, ascending."""
    if num_points <= at_most:
        return np.arange(num_points)
    return np.sort(np.random.default_rng(seed).choice(num_points, at_most, replace=False))
