import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.nn import LightPropagation, to_sparse_tensor
from tests.graphs import float64_by_default, graph_of, symmetric_adjacencies


def test_two_nodes_of_one_edge_meet_in_the_middle_worked_by_hand():
    pair = graph_of(torch.tensor([[0, 1], [1, 0]]))
    smoothed = LightPropagation(pair, num_layers=1)(torch.tensor([[2.0], [6.0]]))
    assert_close(smoothed, torch.tensor([[4.0], [4.0]]))


def test_a_light_edge_counts_as_much_as_its_ends_have_worked_by_hand():
    pair = to_sparse_tensor(graph_of(torch.tensor([[0, 1], [1, 0]]))) * 0.25
    layer = LightPropagation(pair, num_layers=1)
    assert_close(layer.hop(torch.tensor([[2.0], [6.0]])), torch.tensor([[6.0], [2.0]]))


@given(symmetric_adjacencies(), st.integers(0, 3))
def test_the_mean_of_dense_powers_is_the_result_and_its_transpose_the_gradient(dense, num_layers):
    degree = dense.sum(dim=1)
    scale = torch.where(degree > 0, degree.rsqrt(), 0)
    powers = [
        torch.linalg.matrix_power(scale[:, None] * dense * scale, layer)
        for layer in range(num_layers + 1)
    ]
    mean = sum(powers) / (num_layers + 1)
    torch.manual_seed(0)
    features, upstream = torch.randn(2, len(dense), 3).double()
    graph = graph_of(dense)
    for adjacency in (graph, to_sparse_tensor(graph, torch.float64)):
        with float64_by_default():
            layer = LightPropagation(adjacency, num_layers=num_layers)
        leaf = features.clone().requires_grad_()
        result = layer(leaf)
        result.backward(upstream)
        assert_close(result.detach(), mean @ features)
        assert_close(leaf.grad, mean.T @ upstream)
        assert_close(layer.hop(features), scale[:, None] * dense * scale @ features)


def test_a_graph_in_one_direction_of_other_nodes_or_a_negative_depth_is_refused():
    with pytest.raises(ValueError, match="must be symmetric"):
        LightPropagation(graph_of(torch.tensor([[0, 1], [0, 0]])))
    pair = graph_of(torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(ValueError, match="has 2 nodes, expected 3"):
        LightPropagation(pair, 3)
    with pytest.raises(ValueError, match="num_layers must be greater than or equal to 0, got -1"):
        LightPropagation(pair, num_layers=-1)
