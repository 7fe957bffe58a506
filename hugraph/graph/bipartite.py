"""The bipartite graph of users and items."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from hugraph.dgl_backend import dgl
from hugraph.graph.indices import MAX_NODES, Indices, aligned_indices
from hugraph.graph.symmetric import symmetric_graph


def user_item_graph(
    user_ids: Indices, item_ids: Indices, num_users: int, num_items: int
) -> dgl.DGLGraph:
    """Joins each user with the items of their history, in both directions.

    Args:
        user_ids: `(num_interactions,)`, in `[0, num_users)`.
        item_ids: `(num_interactions,)`, in `[0, num_items)`. A pair given twice counts once.
        num_users: Number $U$ of users: nodes $0$ to $U - 1$.
        num_items: Number $I$ of items: nodes $U$ to $U + I - 1$, in the order of their ids.

    Returns:
        Homogeneous, int32, symmetric, `num_users + num_items` nodes, edges ordered by destination,
        then source.

    Raises:
        ValueError: If the arrays differ in length or an id is out of range.
    """
    users, items = aligned_indices(user_ids, item_ids, num_users, num_items)
    if num_users + num_items > MAX_NODES:
        raise ValueError(
            f"num_users + num_items must be at most {MAX_NODES}, got {num_users + num_items}"
        )
    shape = (num_users, num_items)
    ones = np.ones(len(users), dtype=bool)
    items_of_user = sparse.coo_array((ones, (users, items)), shape=shape).tocsr()
    users_of_item = items_of_user.tocsc()
    nodes = np.concatenate([items_of_user.indices + num_users, users_of_item.indices])
    starts = np.concatenate(
        [items_of_user.indptr, len(users_of_item.indices) + users_of_item.indptr[1:]]
    )
    num_nodes = num_users + num_items
    entries = (np.ones(len(nodes), dtype=bool), nodes, starts)
    adjacency = sparse.csr_array(entries, shape=(num_nodes, num_nodes))
    return symmetric_graph(adjacency, weighted=False)
