"""The co-interaction graph: items are neighbours if enough users have both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from scipy import sparse

from hugraph.dgl_backend import dgl
from hugraph.errors import DataError, ResourceError
from hugraph.graph.indices import Indices
from hugraph.graph.pairs import (
    MAX_PAIRS,
    MEMORY_BUDGET_MB,
    Owners,
    PairCounts,
    count_pairs,
    item_owners,
    pair_capacity,
    starts_of,
)
from hugraph.graph.symmetric import Pairs, symmetric_graph, symmetric_matrix

EdgeWeight = Literal["binary", "count", "jaccard", "cosine"]
SelfLoops = Literal["none", "isolated", "all"]


class CoInteractionGraphBuilder:
    r"""Joins two items by an edge if at least `min_common_users` distinct users have both.

    $$ A_{ij} = 1 \text{ if } c_{ij} \ge t, \text{ else } 0, \qquad c_{ij} = |U_i \cap U_j| $$

    Args:
        min_common_users: The threshold $t$.
        weight: What `edata["weight"]` holds: nothing for `"binary"`; $c_{ij}$ for `"count"`;
            $c_{ij} / |U_i \cup U_j|$ for `"jaccard"`; $c_{ij} / \sqrt{|U_i| |U_j|}$ for
            `"cosine"`.
        max_neighbors: Keeps the strongest neighbours of each item: by weight, for `"binary"` by
            $c_{ij}$; of equals, the smaller id. An edge stays if either of its ends keeps it, so
            an item may end with more neighbours than this.
        self_loops: Adds an edge of weight 1 from `"all"` items to themselves, or only from those
            without a neighbour (`"isolated"`), whose mean over neighbours would otherwise be zero.
        max_items_per_user: Counts of each user only this many items: those with the most users (of
            equals, the smaller id), whose pairs are likeliest to reach the threshold.
        max_pairs: Refuses histories that hold more item pairs, $\sum_u d_u (d_u - 1) / 2$, where
            $d_u$ counts items with at least `min_common_users` users. Work grows with them, so that
            one user with 50,000 items costs more than a million users with 40.
        memory_budget_mb: MiB that building may take on top of its arguments. The product is made
            in blocks that fit; a graph that does not fit is refused.

    Raises:
        ValueError: If an option is out of range.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), Eq. 2 and section 4.1.1 (binary,
        threshold 5). Weights other than binary, the cap and self-loops are extensions.
    """

    def __init__(
        self,
        *,
        min_common_users: Annotated[int, Ge(1)] = 5,
        weight: EdgeWeight = "binary",
        max_neighbors: Annotated[int, Ge(1)] | None = None,
        self_loops: SelfLoops = "none",
        max_items_per_user: Annotated[int, Ge(1)] | None = None,
        max_pairs: Annotated[int, Ge(1)] = MAX_PAIRS,
        memory_budget_mb: Annotated[int, Ge(1)] = MEMORY_BUDGET_MB,
    ) -> None:
        for name, number in (
            ("min_common_users", min_common_users),
            ("max_neighbors", max_neighbors),
            ("max_items_per_user", max_items_per_user),
            ("max_pairs", max_pairs),
            ("memory_budget_mb", memory_budget_mb),
        ):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        for name, choice, known in (
            ("weight", weight, get_args(EdgeWeight)),
            ("self_loops", self_loops, get_args(SelfLoops)),
        ):
            if choice not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {choice!r}")
        self.min_common_users = min_common_users
        self.weight = weight
        self.max_neighbors = max_neighbors
        self.self_loops = self_loops
        self.max_items_per_user = max_items_per_user
        self.max_pairs = max_pairs
        self.memory_budget_mb = memory_budget_mb

    def build(self, user_ids: Indices, item_ids: Indices, num_items: int) -> dgl.DGLGraph:
        """Builds the graph from the training interactions; a pair given twice counts once.

        Args:
            user_ids: `(num_interactions,)`, any ids that are not negative.
            item_ids: `(num_interactions,)`, in `[0, num_items)`.
            num_items: Number of nodes, items without interactions included.

        Returns:
            Homogeneous, int32, symmetric, both directions of each edge, ordered by destination,
            then source; float32 `edata["weight"]` `(num_edges,)` unless binary.

        Raises:
            ValueError: If the arrays differ in length or an id is out of range.
            DataError: If no pair reaches the threshold, or there are more than `max_pairs` pairs.
            ResourceError: If the graph does not fit into `memory_budget_mb`.
        """
        owners = item_owners(
            user_ids, item_ids, num_items, max_items_per_user=self.max_items_per_user
        )
        adjacency = symmetric_matrix(self._pairs(owners), num_items)
        if self.max_neighbors is not None:
            adjacency = _strongest(adjacency, self.max_neighbors)
        if self.self_loops != "none":
            looped = np.ones(num_items, dtype=bool)
            if self.self_loops == "isolated":
                looped = np.diff(adjacency.indptr) == 0
            adjacency = adjacency + _loops(looped, adjacency.dtype)
        return symmetric_graph(adjacency, weighted=self.weight != "binary")

    def _pairs(self, owners: Owners) -> list[Pairs]:
        users_per_item = np.diff(owners.starts)
        capacity = pair_capacity(owners, self.memory_budget_mb)
        found: list[Pairs] = []
        num_edges = 0
        for pairs in count_pairs(
            owners,
            at_least=self.min_common_users,
            max_pairs=self.max_pairs,
            memory_budget_mb=self.memory_budget_mb,
        ):
            num_edges += len(pairs.first)
            if num_edges > capacity:
                raise ResourceError(
                    f"more than {capacity:,} edges at threshold {self.min_common_users} do not fit"
                    f" into memory_budget_mb of {self.memory_budget_mb:,}",
                    fix="raise min_common_users or memory_budget_mb",
                )
            found.append(Pairs(pairs.first, pairs.second, self._strengths(pairs, users_per_item)))
        if num_edges == 0:
            raise self._no_edges(owners)
        return found

    def _strengths(
        self, pairs: PairCounts, users_per_item: NDArray[np.int64]
    ) -> NDArray[np.float32] | None:
        if self.weight == "binary" and self.max_neighbors is None:
            return None
        common = pairs.common_users.astype(np.int64)
        if self.weight in ("binary", "count"):
            return common.astype(np.float32)
        first, second = users_per_item[pairs.first], users_per_item[pairs.second]
        if self.weight == "jaccard":
            return (common / (first + second - common)).astype(np.float32)
        return (common / np.sqrt(first * second)).astype(np.float32)

    def _no_edges(self, owners: Owners) -> DataError:
        try:
            blocks = count_pairs(
                owners, max_pairs=self.max_pairs, memory_budget_mb=self.memory_budget_mb
            )
            largest = max((int(p.common_users.max(initial=0)) for p in blocks), default=0)
        except (DataError, ResourceError):  # counting every pair is more than was asked for
            return DataError(
                f"0 edges at threshold {self.min_common_users}", fix="lower min_common_users"
            )
        return DataError(
            f"0 edges at threshold {self.min_common_users}; the largest co-interaction count is"
            f" {largest}",
            fix=f"set min_common_users to {largest} or less"
            if largest
            else "give interactions in which some user has two items",
        )


def co_interaction_histogram(
    user_ids: Indices,
    item_ids: Indices,
    num_items: int,
    thresholds: Iterable[int] = range(1, 11),
    *,
    max_items_per_user: int | None = None,
    max_pairs: int = MAX_PAIRS,
    memory_budget_mb: int = MEMORY_BUDGET_MB,
) -> dict[int, int]:
    """Counts the undirected edges that the co-interaction graph has at each threshold.

    Args:
        user_ids: `(num_interactions,)`, any ids that are not negative.
        item_ids: `(num_interactions,)`, in `[0, num_items)`.
        num_items: Number of items.
        thresholds: Values of `min_common_users`, each at least 1.
        max_items_per_user: As for `CoInteractionGraphBuilder`.
        max_pairs: As for the builder.
        memory_budget_mb: As for the builder; the edges are only counted, never kept.

    Returns:
        Threshold to number of edges, in the order given.

    Raises:
        ValueError: If the arrays differ in length, or an id or a threshold is out of range.
        DataError: If there are more than `max_pairs` pairs.
        ResourceError: If the interactions alone do not fit into `memory_budget_mb`.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), figure 3.
    """
    edges = {int(threshold): 0 for threshold in thresholds}
    if not edges or min(edges) < 1:
        raise ValueError(f"thresholds must be at least 1, got {sorted(edges)}")
    owners = item_owners(user_ids, item_ids, num_items, max_items_per_user=max_items_per_user)
    for pairs in count_pairs(
        owners,
        at_least=min(edges),
        max_pairs=max_pairs,
        memory_budget_mb=memory_budget_mb,
    ):
        for threshold in edges:
            edges[threshold] += int((pairs.common_users >= threshold).sum())
    return edges


def _strongest(adjacency: sparse.csr_array, limit: int) -> sparse.csr_array:
    from hugraph.graph.strongest import strongest

    starts, columns = adjacency.indptr, adjacency.indices.astype(np.int32, copy=False)
    kept = strongest(starts.astype(np.int64), columns.view(np.uint32), adjacency.data, limit)
    entries = (adjacency.data[kept], columns[kept], starts_of(kept, starts))
    return sparse.csr_array(entries, shape=adjacency.shape)


def _loops(looped: NDArray[np.bool_], dtype: np.dtype[Any]) -> sparse.csr_array:
    items = np.flatnonzero(looped)
    starts = np.concatenate([[0], np.cumsum(looped)])
    entries = (np.ones(len(items), dtype=dtype), items, starts)
    return sparse.csr_array(entries, shape=(len(looped), len(looped)))
