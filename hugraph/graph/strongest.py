"""Which neighbours of a node a cap keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hugraph.compiled import compiled
from hugraph.graph.kernels import Ids, Starts, Weights


@compiled("b1[::1](i8[::1], u4[::1], f4[::1], i8)")
def strongest(starts: Starts, neighbors: Ids, weights: Weights, limit: int) -> NDArray[np.bool_]:
    """Marks the edges that are among the `limit` strongest of either end; of equals, the first.

    Args:
        starts: `(num_nodes + 1,)`, where the edges of each node begin.
        neighbors: `(num_edges,)`, of a symmetric graph, ascending for each node.
        weights: `(num_edges,)`, the same in both directions.
        limit: At least 1.
    """
    kept = np.ones(len(neighbors), np.bool_)
    for node in range(len(starts) - 1):
        begin, end = starts[node], starts[node + 1]
        if end - begin > limit:
            weakest = np.sort(weights[begin:end])[end - begin - limit]  # that may stay
            equals = limit - (weights[begin:end] > weakest).sum()
            for edge in range(begin, end):
                if weights[edge] == weakest:
                    kept[edge] = equals > 0
                    equals -= 1
                elif weights[edge] < weakest:
                    kept[edge] = False
    free = starts[:-1].copy()
    for node in range(len(starts) - 1):
        for edge in range(starts[node], starts[node + 1]):
            other = neighbors[edge]
            back = free[other]  # nodes come in order, so the edges back do too
            free[other] += 1
            if other > node:
                kept[edge] = kept[back] = kept[edge] or kept[back]
    return kept
