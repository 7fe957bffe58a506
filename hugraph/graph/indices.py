"""Index arrays, checked before any graph library sees them: DGL reads foreign memory on bad ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.integer] | Tensor

MAX_NODES = 2**31 - 1  # the graphs have int32 ids


def index_array(name: str, values: Indices, size: int | None = None) -> NDArray[np.int64]:
    r"""Gives `values` as int64, not always a copy, once it is sure that they index `size` rows.

    Args:
        name: What the caller calls `values`, for the message.
        values: `(n,)`, of any integer type.
        size: Number of rows; without it, only negative values are refused.

    Raises:
        ValueError: If `values` is not one-dimensional, not integer, or leaves $[0, \text{size})$.
    """
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, got {array.dtype}")
    upper = np.iinfo(np.int64).max if size is None else size - 1
    for position in (array.argmin(), array.argmax()):
        if not 0 <= array[position] <= upper:
            allowed = "must not be negative" if size is None else f"must lie in [0, {size})"
            raise ValueError(f"{name} {allowed}, got {array[position]} at position {position}")
    return array.astype(np.int64, copy=False)


def aligned_indices(
    user_ids: Indices, item_ids: Indices, num_users: int | None, num_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Checks two id arrays of which the n-th entries belong together.

    Args:
        user_ids: `(num_interactions,)`.
        item_ids: `(num_interactions,)`.
        num_users: Number of users; None allows any id that is not negative.
        num_items: Number of items.

    Raises:
        ValueError: If the arrays differ in length, or ids or sizes are out of range.
    """
    for name, size in (("num_users", num_users), ("num_items", num_items)):
        if size is not None and not 1 <= size <= MAX_NODES:
            raise ValueError(f"{name} must lie in [1, {MAX_NODES}], got {size}")
    users = index_array("user_ids", user_ids, num_users)
    items = index_array("item_ids", item_ids, num_items)
    if len(users) != len(items):
        raise ValueError(
            f"user_ids and item_ids must be aligned, got {len(users)} users and {len(items)} items"
        )
    return users, items
