"""Feature matrices in fewer columns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from hugraph.file_matrix import FileMatrix

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
    leading = _leading_directions(blocks, num_columns)
    return np.concatenate([block @ leading for block in blocks])


def project_on_disk(features: FileMatrix, num_columns: int) -> FileMatrix:
    """The same as [`project_features`][hugraph.data.projection.project_features], block by block.

    Raises:
        ResourceError: If the disk is full.
    """
    if features.shape[1] <= num_columns:
        return features
    blocks = list(features.blocks())
    leading = _leading_directions((features.read(rows).numpy() for rows in blocks), num_columns)
    turned = torch.from_numpy(leading)
    return FileMatrix.from_rows(features.read(rows) @ turned for rows in blocks)


def _leading_directions(blocks: Iterable[np.ndarray], num_columns: int) -> np.ndarray:
    gram = sum(block.T @ block for block in (block.astype(np.float64) for block in blocks))
    _, vectors = np.linalg.eigh(gram)  # in order of ascending length
    leading = vectors[:, : -num_columns - 1 : -1]
    largest = np.abs(leading).argmax(axis=0)
    signs = np.sign(leading[largest, np.arange(num_columns)])  # either would do
    return (leading * signs).astype(np.float32)
