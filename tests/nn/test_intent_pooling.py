import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.nn import IntentPooling, to_sparse_tensor
from tests.graphs import graph_of, symmetric_adjacencies

PATH = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]).double()


def test_two_clear_clusters_pool_to_sums_worked_by_hand():
    pool = IntentPooling(2, num_supernodes=2, next_features="pooled").double()
    pool.supernodes.data = 100 * torch.eye(2).double()  # softmax is one-hot here
    level = pool(torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]]).double(), PATH)
    assert_close(level.features, torch.tensor([[2, 0], [0, 2]]).double())
    assert_close(level.adjacency, torch.tensor([[2, 1], [1, 2]]).double())


def test_the_assignment_is_the_softmax_of_scaled_inner_products():
    pool = IntentPooling(1, 2, assignment_scale=2.0).double()
    pool.supernodes.data = torch.tensor([[0.0], [1.0]]).double()
    features = torch.tensor([[0.0], [torch.tensor(3.0).log() / 2]]).double()
    level = pool(features, torch.zeros(2, 2).double())
    assert_close(level.assignment, torch.tensor([[0.5, 0.5], [0.25, 0.75]]).double())
    assert level.features is pool.supernodes


@pytest.mark.parametrize("num_supernodes", [1, 3, 7])
def test_pooling_ignores_the_order_of_nodes(num_supernodes):
    pool = IntentPooling(5, num_supernodes=num_supernodes, next_features="pooled").double()
    features, order = torch.randn(4, 5).double(), torch.tensor([2, 0, 3, 1])
    level, shuffled = pool(features, PATH), pool(features[order], PATH[order][:, order])
    assert_close(shuffled.adjacency, level.adjacency)
    assert_close(shuffled.assignment, level.assignment[order])
    assert_close(shuffled.features, level.features)


@given(st.data(), st.booleans())
def test_the_total_weight_survives_and_every_form_of_adjacency_agrees(data, weighted):
    dense = data.draw(symmetric_adjacencies(weighted=weighted))
    torch.manual_seed(0)
    pool = IntentPooling(3, 4, assignment_scale=3.0).double()
    features = torch.randn(len(dense), 3).double()
    expected = pool(features, dense)
    assert_close(expected.adjacency.sum(), dense.sum())
    graph = graph_of(dense, weighted=weighted)
    for adjacency in (graph, to_sparse_tensor(graph, torch.float64)):
        assert_close(pool(features, adjacency).adjacency, expected.adjacency)


def test_no_intent_is_refused():
    with pytest.raises(ValueError, match=r"num_supernodes must be .*0"):
        IntentPooling(3, 0)
    with pytest.raises(ValueError, match=r"next_features must be .*'nope'"):
        IntentPooling(3, 2, next_features="nope")


def test_features_of_other_nodes_are_refused():
    with pytest.raises(ValueError, match="has 4 nodes for 5 feature rows"):
        IntentPooling(3, 2)(torch.ones(5, 3), PATH.float())
