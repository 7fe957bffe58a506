"""Feature matrices in fewer columns."""

from __future__ import annotations

import numpy as np

_ROWS = 4096  # in float64 at a time


def project_features(features: np.ndarray, num_columns: int) -> np.ndarray:
    r"""Turns features into the directions in which they are longest, and keeps those.

    With $V$ the leading right singular vectors of $X$, the result is $XV$. Where $X$ has no higher
    rank than `num_columns`, inner products of rows stay as they are; otherwise no other projection
    loses less of their squared lengths. Missing rows stay zero.

    Args:
        features: $X$, `(num_items, dim)`, float32, scaled as they are to count.
        num_columns: How many columns there shall be.

    Returns:
        `(num_items, num_columns)`, float32; `features` itself if it is no wider than that.

    Raises:
        ValueError: If `num_columns` is not positive.
    """
    if num_columns < 1:
        raise ValueError(f"num_columns must be at least 1, got {num_columns}")
    if features.shape[1] <= num_columns:
        return features
    blocks = [features[start : start + _ROWS] for start in range(0, len(features), _ROWS)]
    gram = sum(block.T @ block for block in (block.astype(np.float64) for block in blocks))
    _, vectors = np.linalg.eigh(gram)  # in order of ascending length
    leading = vectors[:, : -num_columns - 1 : -1]
    largest = np.abs(leading).argmax(axis=0)
    leading = leading * np.sign(leading[largest, np.arange(num_columns)])  # signs are arbitrary
    return np.concatenate([block @ leading.astype(np.float32) for block in blocks])
