import numpy as np
import torch
from scipy import sparse

from hugraph.graph.symmetric import symmetric_graph
from hugraph.nn import neighbor_sum


def test_a_product_with_many_wide_features_is_that_of_scipy():
    """Where DGL's kernel works in blocks, a graph without ids of its edges crashed the process."""
    rng = np.random.default_rng(0)
    ends = rng.integers(1000, size=(2, 50_000))
    upper = sparse.coo_array((np.ones(50_000, dtype=np.float32), tuple(ends)), shape=(1000, 1000))
    adjacency = ((upper + upper.T) > 0).astype(np.float32).tocsr()
    features = torch.from_numpy(rng.integers(-8, 9, size=(1000, 4096)).astype(np.float32))
    summed = neighbor_sum(symmetric_graph(adjacency, weighted=False), features)
    assert np.array_equal(summed.numpy(), adjacency @ features.numpy())
