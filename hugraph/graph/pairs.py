"""How many users each pair of items shares, counted block by block in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hugraph.errors import DataError, ResourceError
from hugraph.graph.indices import Indices, aligned_indices

MAX_PAIRS = 1_000_000_000
MEMORY_BUDGET_MB = 2048

# Peak bytes, by what they grow with; a test holds the sum against RLIMIT_AS.
_BYTES_PER_INTERACTION = 64
_BYTES_PER_ITEM = 64
_BYTES_PER_BLOCK_ENTRY = 32
_BYTES_PER_PAIR = 112  # of the pairs that a caller keeps, and makes a graph of

# Each block slices the interactions once, which larger blocks amortise; beyond this many entries
# fresh pages cost more than slicing.
_ENTRIES_PER_INTERACTION = 4


class PairCounts(NamedTuple):
    """Some pairs of items, each once, with the number of distinct users that have both."""

    first: NDArray[np.int32]  # (num_pairs,)
    second: NDArray[np.int32]  # (num_pairs,), above `first`
    common_users: NDArray[np.int32]  # (num_pairs,), at least 1


def incidence_matrix(
    user_ids: Indices, item_ids: Indices, num_items: int, *, max_items_per_user: int | None = None
) -> sparse.csr_array:
    """Says who has what: `(num_active_users, num_items)`, ones, each pair counted once.

    Args:
        user_ids: `(num_interactions,)`, any ids that are not negative.
        item_ids: `(num_interactions,)`, in `[0, num_items)`.
        num_items: Number of items.
        max_items_per_user: Keeps of each user only this many items: those with the most users, and
            of equals those with the smaller id.

    Raises:
        ValueError: If the arrays differ in length or an id is out of range.
    """
    users, items = aligned_indices(user_ids, item_ids, None, num_items)
    active, rows = np.unique(users, return_inverse=True)
    ones = np.ones(len(rows), dtype=np.int32)
    matrix = sparse.coo_array((ones, (rows, items)), shape=(len(active), num_items)).tocsr()
    matrix.data[:] = 1
    if max_items_per_user is not None and matrix.nnz:
        matrix = _most_popular(matrix, max_items_per_user)
    return matrix


def count_pairs(
    incidence: sparse.csr_array,
    *,
    at_least: int = 1,
    max_pairs: int = MAX_PAIRS,
    memory_budget_mb: int = MEMORY_BUDGET_MB,
) -> Iterator[PairCounts]:
    r"""Yields every pair of items with at least `at_least` common users, ordered by first item.

    $R^\top R$ is multiplied in blocks of rows, from the diagonal on, and each block is cut at the
    threshold before the next is begun. Nothing of the size `num_items` squared is ever made.

    Args:
        incidence: `(num_users, num_items)`, $R$.
        at_least: The threshold.
        max_pairs: Refuses histories that hold more item pairs, $\sum_u d_u (d_u - 1) / 2$: they
            are the work to do.
        memory_budget_mb: MiB for the interactions and one block.

    Raises:
        DataError: If there are more than `max_pairs` pairs.
        ResourceError: If `memory_budget_mb` does not hold the interactions and one row.
    """
    users_per_item = np.bincount(incidence.indices, minlength=incidence.shape[1])
    incidence = _only(incidence, users_per_item[incidence.indices] >= at_least)
    _check_work(incidence, max_pairs)
    spare = _spare_bytes(incidence, memory_budget_mb)
    fitting = spare // 2 // _BYTES_PER_BLOCK_ENTRY
    worthwhile = max(_ENTRIES_PER_INTERACTION * incidence.nnz, incidence.shape[1])
    return _blocks(incidence, at_least, min(fitting, worthwhile))


def pair_capacity(incidence: sparse.csr_array, memory_budget_mb: int) -> int:
    """How many pairs fit into `memory_budget_mb` MiB, with the graph that is made of them."""
    return _spare_bytes(incidence, memory_budget_mb) // _BYTES_PER_PAIR


def _blocks(
    items_of_user: sparse.csr_array, at_least: int, max_entries: int
) -> Iterator[PairCounts]:
    users_of_item = items_of_user.T.tocsr()
    degrees = np.diff(items_of_user.indptr).astype(np.int64)
    bounds = np.minimum(users_of_item @ degrees, items_of_user.shape[1])
    ends = np.concatenate([[0], np.cumsum(bounds)])
    start = 0
    while start < len(bounds):
        stop = int(np.searchsorted(ends, ends[start] + max_entries, side="right")) - 1
        block = (users_of_item[start:stop] @ items_of_user[:, start:]).tocoo()
        kept = block.data >= at_least
        kept &= block.col > block.row
        yield PairCounts(
            first=block.row[kept].astype(np.int32) + np.int32(start),
            second=block.col[kept].astype(np.int32) + np.int32(start),
            common_users=block.data[kept],
        )
        start = stop


def _most_popular(incidence: sparse.csr_array, limit: int) -> sparse.csr_array:
    users_per_item = np.bincount(incidence.indices, minlength=incidence.shape[1])
    users = np.repeat(np.arange(incidence.shape[0]), np.diff(incidence.indptr))
    order = np.lexsort((incidence.indices, -users_per_item[incidence.indices], users))
    rank = np.arange(incidence.nnz) - incidence.indptr[users]  # `users` is sorted already
    kept = np.zeros(incidence.nnz, dtype=bool)
    kept[order[rank < limit]] = True
    return _only(incidence, kept)


def _only(incidence: sparse.csr_array, kept: NDArray[np.bool_]) -> sparse.csr_array:
    if kept.all():
        return incidence
    indptr = np.concatenate([[0], np.cumsum(kept)])[incidence.indptr].astype(np.int32)
    entries = (incidence.data[kept], incidence.indices[kept], indptr)
    return sparse.csr_array(entries, shape=incidence.shape)


def _check_work(incidence: sparse.csr_array, max_pairs: int) -> None:
    degrees = np.sort(np.diff(incidence.indptr).astype(np.int64))
    num_pairs = _num_pairs(degrees)
    if num_pairs <= max_pairs:
        return
    fits, too_many = 1, int(degrees[-1])  # one item per user makes no pair
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if _num_pairs(np.minimum(degrees, middle)) <= max_pairs:
            fits = middle
        else:
            too_many = middle
    raise DataError(
        f"the users' histories hold {num_pairs:,} pairs of items, above max_pairs of"
        f" {max_pairs:,}; the heaviest user has {degrees[-1]:,} items",
        fix=f"set max_items_per_user to {fits} or less, or raise max_pairs",
    )


def _num_pairs(degrees: NDArray[np.int64]) -> int:
    return int((degrees * (degrees - 1) // 2).sum())


def _spare_bytes(incidence: sparse.csr_array, memory_budget_mb: int) -> int:
    num_items = incidence.shape[1]
    held = _BYTES_PER_INTERACTION * incidence.nnz + _BYTES_PER_ITEM * num_items
    one_row = 2 * _BYTES_PER_BLOCK_ENTRY * num_items
    needed_mb = -(-(held + one_row) // 2**20)
    if needed_mb > memory_budget_mb:
        raise ResourceError(
            f"{incidence.nnz:,} interactions with {num_items:,} items need at least {needed_mb:,}"
            f" MiB for their co-interaction graph, above memory_budget_mb of {memory_budget_mb:,}",
            fix=f"raise memory_budget_mb to {4 * needed_mb:,}",
        )
    return memory_budget_mb * 2**20 - held
