import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.dgl_backend import dgl
from hugraph.graph import user_item_graph
from hugraph.interfaces import Triples
from hugraph.models.lightgcn import LightGCN
from hugraph.nn import SampledSoftmaxLoss, to_sparse_tensor
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default


class TestLightGCN(RecommenderContract):
    def make(self, world):
        return LightGCN(world.num_users, world.num_items, world.user_item_adjacency, dim=8)


class TestLightGCNWithSampledSoftmax(RecommenderContract):
    def make(self, world):
        return LightGCN(
            world.num_users,
            world.num_items,
            world.user_item_adjacency,
            dim=8,
            ranking=SampledSoftmaxLoss,
        )


def test_one_layer_on_one_edge_swaps_half_worked_by_hand():
    model = LightGCN(1, 1, user_item_graph([0], [0], 1, 1), dim=1, num_layers=1)
    model.embeddings.data = torch.tensor([[2.0], [6.0]])
    code = model.encode()
    assert code.users.item() == 4 and code.items.item() == 4


def test_l2_penalises_the_rows_of_layer_zero_not_the_smoothed_ones():
    model = LightGCN(1, 2, user_item_graph([0], [1], 1, 2), dim=1)
    model.embeddings.data = torch.tensor([[2.0], [3.0], [5.0]])
    batch = Triples(torch.tensor([0]), torch.tensor([1]), torch.tensor([0]))
    assert model.terms(batch)["l2"].item() == (4 + 25 + 9) / 2


def test_a_graph_in_one_direction_or_of_other_nodes_is_refused():
    one_way = dgl.graph(([0], [1]), num_nodes=2, idtype=torch.int32)
    with pytest.raises(ValueError, match="symmetric"):
        LightGCN(1, 1, one_way)
    with pytest.raises(ValueError, match="has 2 nodes, expected 3"):
        LightGCN(1, 2, user_item_graph([0], [0], 1, 1))


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_representations_and_gradients_equal_dense_products(seed, num_layers):
    torch.manual_seed(seed)
    links = torch.rand(4, 5) < 0.4
    links[0, 0] = True
    users, items = links.nonzero(as_tuple=True)
    graph = user_item_graph(users, items, 4, 5)
    dense = torch.zeros(9, 9).double()
    dense[:4, 4:] = links
    dense[4:, :4] = links.T
    scale = dense.sum(dim=1).clamp(min=1).rsqrt()
    smooth = scale[:, None] * dense * scale
    powers = [torch.linalg.matrix_power(smooth, k) for k in range(num_layers + 1)]
    upstream = torch.randn(9, 3).double()
    for adjacency in (graph, to_sparse_tensor(graph, torch.float64)):
        with float64_by_default():
            model = LightGCN(4, 5, adjacency, dim=3, num_layers=num_layers)
        code = model.encode()
        result = torch.cat([code.users, code.items])
        mean = sum(powers) / (num_layers + 1)
        assert_close(result.detach(), mean @ model.embeddings.detach())
        result.backward(upstream)
        assert_close(model.embeddings.grad, mean.T @ upstream)
