"""How many edges the co-interaction graph would have, from a sample of its items."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from scipy import sparse

from hugraph.graph.indices import Indices
from hugraph.graph.pairs import item_owners
from hugraph.seed import stream

_BLOCK = 2_000_000  # pairs that are counted at a time


class EdgeEstimate(NamedTuple):
    """How many edges there are, each counted once, without self-loops.

    Attributes:
        edges: Exact if every item was looked at.
        sampled: Items whose neighbours were counted.
        items: Items that can have a neighbour.
    """

    edges: int
    sampled: int
    items: int


def estimate_edges(
    user_ids: Indices,
    item_ids: Indices,
    num_items: int,
    *,
    min_common_users: Annotated[int, Ge(1)] = 5,
    max_neighbors: Annotated[int, Ge(1)] | None = None,
    max_items_per_user: Annotated[int, Ge(1)] | None = None,
    max_work: Annotated[int, Ge(1)] = 20_000_000,
) -> EdgeEstimate:
    r"""Counts the neighbours of every $s$-th item in order of work, and takes that $s$ times.

    The first of them is drawn from the first $s$, so that the mean over all samples is the number
    itself; the order spreads each over items of every degree. $s$ is the least that keeps a
    sample's work within bounds.

    Args:
        user_ids: `(num_interactions,)`, any ids that are not negative.
        item_ids: `(num_interactions,)`, in `[0, num_items)`.
        num_items: Number of items.
        min_common_users: As for `CoInteractionGraphBuilder`.
        max_neighbors: As for the builder; the number is then the most that there can be, since an
            edge may be kept by one of its ends or by both.
        max_items_per_user: As for the builder.
        max_work: Pairs of interactions of the same user that a sample looks at, about.

    Raises:
        ValueError: If the arrays differ in length or an id is out of range.
    """
    owners = item_owners(user_ids, item_ids, num_items, max_items_per_user=max_items_per_user)
    ones = np.ones(len(owners.users), dtype=np.int32)
    entries = (ones, owners.users.view(np.int32), owners.starts)
    users_of_item = sparse.csr_array(entries, shape=(num_items, owners.num_users))
    history = users_of_item.T.tocsr()
    users_per_item = np.diff(owners.starts)
    work = users_of_item @ np.diff(history.indptr).astype(np.int64)
    able = np.flatnonzero(users_per_item >= min_common_users)
    able = able[np.argsort(work[able], kind="stable")]
    step = max(1, -(-int(work[able].sum()) // max_work))
    sample = able[int(stream(0, "edges").integers(step)) :: step]
    ends = np.cumsum(work[sample])
    blocks = np.split(sample, np.searchsorted(ends, np.arange(_BLOCK, ends[-1:].sum(), _BLOCK)))
    neighbors = np.concatenate(
        [_neighbors(users_of_item, history, block, min_common_users) for block in blocks]
    )
    edges = step * int(neighbors.sum()) // 2
    if max_neighbors is not None:
        edges = min(edges, step * int(neighbors.clip(max=max_neighbors).sum()))
    return EdgeEstimate(edges, len(sample), len(able))


def _neighbors(
    users_of_item: sparse.csr_array, history: sparse.csr_array, items: np.ndarray, at_least: int
) -> NDArray[np.int64]:
    """How many neighbours each of `items` has."""
    common = users_of_item[items] @ history
    rows = np.repeat(np.arange(len(items)), np.diff(common.indptr))
    linked = (common.data >= at_least) & (common.indices != items[rows])
    return np.bincount(rows[linked], minlength=len(items))
