"""Feature matrices of items: checks and scaling. A row of zeros means: the modality is missing."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hugraph.errors import DataError

_LARGEST = 1e30  # squares beyond it are no longer finite in float32


def checked_float32(matrix: np.ndarray, item_ids: np.ndarray, *, at: str) -> np.ndarray:
    """A float32 copy of a feature matrix, if every value is usable.

    Args:
        matrix: Features as read, `(num_items, dim)`.
        item_ids: Raw id of each row, `(num_items,)`.
        at: The file, for messages.

    Raises:
        DataError: If a value is NaN, infinite or at least 1e30 in size, or all rows are zero.
    """
    low, high = float(matrix.min()), float(matrix.max())  # NaN if there is any
    if not (low > -_LARGEST and high < _LARGEST):
        unusable = ~np.isfinite(matrix)
        kind, fix = "NaN or infinite", "set the rows of items without the modality to zeros"
        if not unusable.any():
            unusable = np.abs(matrix.astype(np.float64)) >= _LARGEST
            kind, fix = "1e30 or larger and overflow in float32", "scale the features down"
        rows, columns = np.nonzero(unusable)
        raise DataError(
            f"{len(rows):,} values are {kind}; the first is {matrix[rows[0], columns[0]]} at row "
            f"{rows[0]}, column {columns[0]}, item {item_ids[rows[0]]!r}",
            at=at,
            fix=fix,
        )
    features = matrix.astype(np.float32, order="C")
    if not features.any():
        raise DataError("all rows are zero", at=at, fix="leave the modality out, or fill the file")
    return features


def constant_columns(features: np.ndarray) -> np.ndarray:
    """Which columns of `features` `(num_items, dim)` have one value in all rows: `(dim,)` bool."""
    return features.min(axis=0) == features.max(axis=0)


def repeated_columns(features: np.ndarray) -> np.ndarray:
    """Which columns of `features` `(num_items, dim)` equal an earlier one: `(dim,)` bool."""
    repeated = np.zeros(features.shape[1], dtype=bool)
    checksums = features.sum(axis=0, dtype=np.float64)
    seen: dict[float, list[int]] = {}
    for column, checksum in enumerate(checksums.tolist()):
        earlier = seen.setdefault(checksum, [])
        repeated[column] = any(
            np.array_equal(features[:, column], features[:, other]) for other in earlier
        )
        if not repeated[column]:
            earlier.append(column)
    return repeated


def scale_features(
    features: np.ndarray, method: Literal["raw", "standardize", "unit"]
) -> np.ndarray:
    r"""Brings the features of one modality to a scale at which inner products are of order one.

    With `standardize`, over the items that have the modality,

    $$ x'_{ij} = \frac{x_{ij} - \mu_j}{\sigma_j \sqrt{d'}} $$

    where $d'$ counts the columns that vary, so that the squared norm of a row is 1 on average;
    columns that do not vary become 0. With `unit`, every row is divided by its Euclidean norm.
    Missing rows stay zero.

    Args:
        features: Feature matrix, `(num_items, dim)`, float32.
        method: `raw` returns `features` itself.

    Returns:
        Scaled features, `(num_items, dim)`, float32.

    Raises:
        ValueError: If `method` is none of the three.
    """
    present = features.any(axis=1)
    if method == "raw" or not present.any():
        return features
    scaled = np.zeros_like(features)
    rows = features[present].astype(np.float64)
    if method == "unit":
        scaled[present] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    elif method == "standardize":
        varying = ~constant_columns(rows)
        rows = rows[:, varying] - rows[:, varying].mean(axis=0)
        deviation = np.sqrt((rows**2).mean(axis=0))
        scaled[np.ix_(present, varying)] = rows / (deviation * np.sqrt(varying.sum()))
    else:
        raise ValueError(f"method must be 'raw', 'standardize' or 'unit', got {method!r}")
    return scaled
