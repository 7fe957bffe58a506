"""From a symmetric sparse matrix to a DGL graph, without a sort or a second copy of the edges."""

from __future__ import annotations

import torch
from scipy import sparse

from hugraph.dgl_backend import dgl


def symmetric_graph(adjacency: sparse.csr_array, *, weighted: bool) -> dgl.DGLGraph:
    """Makes a homogeneous int32 graph whose edges are ordered by destination, then source.

    The matrix is handed over in compressed form, by destination: the layout that message passing
    reads, so DGL has nothing to convert.

    Args:
        adjacency: `(num_nodes, num_nodes)`, symmetric in pattern and values.
        weighted: Whether the values become `edata["weight"]` `(num_edges,)`, float32.
    """
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
