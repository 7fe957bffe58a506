"""Feature matrices of items: checks and scaling. A row of zeros means: the modality is missing."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import Literal, TypeGuard

import numpy as np
import torch

from hugraph.errors import DataError
from hugraph.file_matrix import FileMatrix

_LARGEST = 1e30  # squares beyond it are no longer finite in float32


def stays_on_disk(features: object) -> TypeGuard[np.memmap]:
    """Whether these are a whole map of float32, row by row, that shows what its file holds."""
    return (
        isinstance(features, np.memmap)
        and isinstance(features.base, mmap)  # that of a part is the whole
        and features.mode != "c"  # whose changes are in memory alone
        and features.dtype == np.float32
        and features.flags.c_contiguous
    )


def row_blocks(features: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of `features` `(num_items, dim)` in order: all at once, or those on disk by blocks.

    What stays on disk is read from its file, so that no pages of a map stay in this process.
    """
    if stays_on_disk(features):
        stored = on_disk(features)
        yield from (stored.read(rows).numpy() for rows in stored.blocks())
    else:
        yield features


def on_disk(features: np.memmap) -> FileMatrix:
    """The matrix in the file of which this is a map."""
    num_rows, dim = features.shape
    with open(str(features.filename), "rb") as file:
        return FileMatrix(file, (num_rows, dim), features.offset)


def checked_float32(matrix: np.ndarray, item_ids: np.ndarray, *, at: str) -> np.ndarray:
    """A float32 copy of a feature matrix, if every value is usable.

    Args:
        matrix: Features as read, `(num_items, dim)`; those that stay on disk are not copied.
        item_ids: Raw id of each row, `(num_items,)`.
        at: The file, for messages.

    Raises:
        DataError: If a value is NaN, infinite or at least 1e30 in size, or all rows are zero.
    """
    start, anything = 0, False
    for block in row_blocks(matrix):
        low, high = float(block.min()), float(block.max())  # NaN if there is any
        if not (low > -_LARGEST and high < _LARGEST):
            raise _unusable(block, start, item_ids, at)
        anything |= bool(block.any())
        start += len(block)
    if stays_on_disk(matrix):
        features: np.ndarray = matrix
    else:
        features = matrix.astype(np.float32, order="C")
        anything = bool(features.any())  # what is tiny in float64 may be none in float32
    if not anything:
        raise DataError("all rows are zero", at=at, fix="leave the modality out, or fill the file")
    return features


def _unusable(block: np.ndarray, start: int, item_ids: np.ndarray, at: str) -> DataError:
    unusable = ~np.isfinite(block)
    kind, fix = "NaN or infinite", "set the rows of items without the modality to zeros"
    if not unusable.any():
        unusable = np.abs(block.astype(np.float64)) >= _LARGEST
        kind, fix = "1e30 or larger and overflow in float32", "scale the features down"
    rows, columns = np.nonzero(unusable)
    row = start + rows[0]
    return DataError(
        f"{len(rows):,} values are {kind}; the first is {block[rows[0], columns[0]]} at row "
        f"{row}, column {columns[0]}, item {item_ids[row]!r}",
        at=at,
        fix=fix,
    )


def present_rows(features: np.ndarray) -> np.ndarray:
    """Which rows of `features` `(num_items, dim)` are not all zeros: `(num_items,)` bool."""
    return np.concatenate([_present(block) for block in row_blocks(features)])


def constant_columns(features: np.ndarray) -> np.ndarray:
    """Which columns of `features` `(num_items, dim)` have one value in all rows: `(dim,)` bool."""
    ends = [(block.min(axis=0), block.max(axis=0)) for block in row_blocks(features)]
    low, high = (np.stack(each) for each in zip(*ends, strict=True))
    return low.min(axis=0) == high.max(axis=0)


def repeated_columns(features: np.ndarray) -> np.ndarray:
    """Which columns of `features` `(num_items, dim)` equal an earlier one: `(dim,)` bool."""
    repeated = np.zeros(features.shape[1], dtype=bool)
    checksums = sum(block.sum(axis=0, dtype=np.float64) for block in row_blocks(features))
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
    if method == "raw":
        return features
    return np.concatenate(list(_scaled(features, method)))


def scaled_on_disk(
    features: np.memmap, method: Literal["raw", "standardize", "unit"]
) -> FileMatrix:
    """As [`scale_features`][hugraph.data.features.scale_features], of features that stay on disk.

    Returns:
        A temporary file, or that of the features themselves if the method is `raw`.

    Raises:
        ResourceError: If the disk is full.
    """
    if method == "raw":
        return on_disk(features)
    return FileMatrix.from_rows(torch.from_numpy(block) for block in _scaled(features, method))


def _scaled(features: np.ndarray, method: str) -> Iterator[np.ndarray]:
    if method == "unit":
        for block in row_blocks(features):
            rows = block[_present(block)].astype(np.float64)
            yield _filled(block, rows / np.linalg.norm(rows, axis=1, keepdims=True))
        return
    if method != "standardize":
        raise ValueError(f"method must be 'raw', 'standardize' or 'unit', got {method!r}")

    count, total = 0, np.zeros(features.shape[1])
    low, high = np.full_like(total, np.inf), np.full_like(total, -np.inf)
    for block in row_blocks(features):
        rows = block[_present(block)].astype(np.float64)
        count, total = count + len(rows), total + rows.sum(axis=0)
        low = np.minimum(low, rows.min(axis=0, initial=np.inf))
        high = np.maximum(high, rows.max(axis=0, initial=-np.inf))
    varying, mean = low < high, total / max(count, 1)
    squares = sum(
        np.square(block[_present(block)].astype(np.float64) - mean).sum(axis=0)
        for block in row_blocks(features)
    )
    deviation = np.sqrt(squares / max(count, 1))
    scale = np.where(varying, deviation, 1) * np.sqrt(max(varying.sum(), 1))
    for block in row_blocks(features):
        rows = (block[_present(block)].astype(np.float64) - mean) / scale
        yield _filled(block, np.where(varying, rows, 0))


def _filled(block: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Float32 rows of zeros but for those that are present."""
    filled = np.zeros(block.shape, dtype=np.float32)
    filled[_present(block)] = rows
    return filled


def _present(block: np.ndarray) -> np.ndarray:
    return np.any(block, axis=1)
