import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.nn import SAGEConv, to_sparse_tensor
from tests.graphs import graph_of, symmetric_adjacencies


def test_own_features_and_the_mean_of_neighbours_add_up_worked_by_hand():
    star = graph_of(torch.tensor([[0, 1, 1], [1, 0, 0], [1, 0, 0]]))
    conv = SAGEConv(1)
    conv.own_weight.data.fill_(10.0)
    conv.neighbor_weight.data.fill_(-1.0)
    assert_close(conv(torch.tensor([[1.0], [2], [4]]), star).tolist(), [[7.0], [19.0], [39.0]])


@given(st.data(), st.sampled_from(["none", "relu"]))
def test_every_form_of_an_adjacency_equals_the_layer_node_by_node(data, activation):
    dense = data.draw(symmetric_adjacencies(weighted=True))
    torch.manual_seed(0)
    conv = SAGEConv(3, activation=activation).double()
    features = torch.randn(len(dense), 3).double()
    expected = []
    for i, row in enumerate(dense):
        mean = sum(w * x for w, x in zip(row, features, strict=True)) / (row.sum() or 1)
        mixed = features[i] @ conv.own_weight + mean @ conv.neighbor_weight
        expected.append(mixed.clamp(min=0) if activation == "relu" else mixed)
    graph = graph_of(dense, weighted=True)
    for adjacency in (dense, graph, to_sparse_tensor(graph, torch.float64)):
        assert_close(conv(features, adjacency), torch.stack(expected))


def test_a_neighbour_without_the_modality_is_left_out_of_the_mean():
    star = graph_of(torch.tensor([[0, 1, 1], [1, 0, 0], [1, 0, 0]]))
    features, present = torch.tensor([[1.0], [0], [4]]), torch.tensor([True, False, True])
    both = SAGEConv(1).propagate(features, star, present)
    assert_close(both.tolist(), [[1.0, 4.0], [0.0, 1.0], [4.0, 1.0]])


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation must be 'none' or 'relu', got 'tanh'"):
        SAGEConv(2, activation="tanh")
