"""From pairs of nodes to a symmetric matrix, and from that to a DGL graph, without a sort."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from hugraph.dgl_backend import dgl
from hugraph.errors import DataError
from hugraph.graph.indices import MAX_NODES


class Pairs(NamedTuple):
    """Undirected edges between different nodes, each once."""

    first: NDArray[np.uint32]  # (num_pairs,)
    second: NDArray[np.uint32]  # (num_pairs,)
    weights: NDArray[np.float32] | None  # (num_pairs,); without them, every edge has weight 1


def symmetric_matrix(blocks: list[Pairs], num_nodes: int) -> sparse.csr_array:
    """Joins each pair of nodes in both directions; columns are sorted.

    Args:
        blocks: Pairs, with weights in all blocks or in none. The list is emptied.
        num_nodes: Number of nodes.

    Returns:
        `(num_nodes, num_nodes)`: float32 weights, or bool where there are none.
    """
    from hugraph.graph.kernels import add_degrees, add_neighbors, sort_symmetric

    weighted = blocks[0].weights is not None
    starts = np.zeros(num_nodes + 1, np.int64)
    for block in blocks:
        add_degrees(block.first, block.second, starts[1:])
    np.cumsum(starts, out=starts)
    columns = np.empty(starts[-1], np.uint32)
    none = np.empty(0, np.float32)
    weights = np.empty(starts[-1], np.float32) if weighted else none
    free = starts[:-1].copy()
    while blocks:
        first, second, given = blocks.pop()
        add_neighbors(first, second, none if given is None else given, free, columns, weights)
    columns, weights = sort_symmetric(starts, columns, weights)
    data = weights if weighted else np.ones(len(columns), dtype=bool)
    starts = starts if starts[-1] > MAX_NODES else starts.astype(np.int32)
    entries = (data, columns.view(np.int32), starts)
    return sparse.csr_array(entries, shape=(num_nodes, num_nodes))


def symmetric_graph(adjacency: sparse.csr_array, *, weighted: bool) -> dgl.DGLGraph:
    """Makes a homogeneous int32 graph whose edges are ordered by destination, then source.

    The matrix is handed over in compressed form, by destination: the layout that message passing
    reads, so DGL has nothing to convert.

    Args:
        adjacency: `(num_nodes, num_nodes)`, symmetric in pattern and values.
        weighted: Whether the values become `edata["weight"]` `(num_edges,)`, float32.

    Raises:
        DataError: If there are more edges than int32 can number.
    """
    if adjacency.nnz > MAX_NODES:
        raise DataError(
            f"{adjacency.nnz:,} edges are more than the {MAX_NODES:,} that a graph can number",
            fix="join fewer nodes",
        )
    adjacency.sort_indices()
    indptr = torch.from_numpy(adjacency.indptr.astype("int32", copy=False))
    indices = torch.from_numpy(adjacency.indices.astype("int32", copy=False))
    # The ids could be left out, but then DGL 1.1.3 crashes where it multiplies in several blocks.
    edge_ids = torch.arange(len(indices), dtype=torch.int32)
    graph = dgl.graph(
        ("csc", (indptr, indices, edge_ids)),
        num_nodes=adjacency.shape[0],
        idtype=torch.int32,
    )
    if weighted:
        graph.edata["weight"] = torch.from_numpy(adjacency.data.astype("float32", copy=False))
    return graph
