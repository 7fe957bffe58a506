"""Small graphs and their dense twins, for tests."""

from contextlib import contextmanager

import numpy as np
import torch
from hypothesis import strategies as st

from hugraph.dgl_backend import dgl


def graph_of(dense: torch.Tensor, *, weighted: bool = False) -> "dgl.DGLGraph":
    """The DGL graph of a dense adjacency: `dense[i, j]` is the edge from j to i."""
    rows, columns = dense.nonzero(as_tuple=True)
    graph = dgl.graph((columns, rows), num_nodes=len(dense), idtype=torch.int32)
    if weighted:
        graph.edata["weight"] = dense[rows, columns].float()
    return graph


@st.composite
def symmetric_adjacencies(draw, max_nodes=8, weighted=False):
    """Dense symmetric float64 adjacencies, with and without self-loops and isolated nodes."""
    n = draw(st.integers(2, max_nodes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    upper = np.triu(rng.random((n, n)) < draw(st.sampled_from([0.1, 0.4, 0.9])))
    # Weights exact in float32, in which a graph stores them.
    values = rng.integers(1, 9, (n, n)) / 4 if weighted else np.ones((n, n))
    dense = upper * values
    return torch.from_numpy(dense + np.triu(dense, 1).T)


@contextmanager
def float64_by_default():
    """Builds models in double precision from their first constant on."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
