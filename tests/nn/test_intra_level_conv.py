import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.nn import IntraLevelConv, to_sparse_tensor
from tests.graphs import graph_of, symmetric_adjacencies

PATH = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]).double()


def naive(conv, features, adjacency, present=None):
    """The layer once more, entry by entry."""
    n = len(adjacency)
    a = adjacency.clone()
    for i in range(n):
        if conv.self_loops == "remove":
            a[i, i] = 0
        if conv.self_loops == "add":
            a[i, i] += 1
    has = [True] * n
    if present is not None and conv.normalization == "random_walk":
        has = present.tolist()
    for _ in range(conv.hops):
        degree = [sum(a[i, j].item() for j in range(n) if has[j]) for i in range(n)]
        reached = [d > 0 for d in degree]
        if conv.clamp_degree:
            degree = [max(d, 1) for d in degree]
        out = torch.zeros_like(features)
        for i, j in itertools.product(range(n), range(n)):
            if a[i, j] == 0 or (conv.normalization != "none" and degree[i] == 0):
                continue
            divisor = {
                "none": 1,
                "random_walk": degree[i],
                "symmetric": (degree[i] * degree[j]) ** 0.5,
            }[conv.normalization]
            out[i] += a[i, j] * features[j] / divisor
        features = out
        has = reached if has != [True] * n else has
    for _ in range(conv.hops):
        features = features if conv.weight is None else features @ conv.weight
    if conv.activation == "relu":
        return features.clamp(min=0)
    if conv.activation == "leaky_relu":
        return torch.where(features > 0, features, 0.01 * features)
    return features


def test_a_node_becomes_the_mean_of_its_neighbours_worked_by_hand():
    features = torch.tensor([[2.0], [4], [6], [8]]).double()
    expected = torch.tensor([[4.0], [4], [6], [6]]).double()
    assert_close(IntraLevelConv(1)(features, graph_of(PATH)), expected)


def test_two_hops_of_symmetric_normalisation_on_a_pair_return_where_they_began():
    pair = torch.tensor([[0, 1], [1, 0]]).double()
    features = torch.tensor([[1.0, 2], [3, 4]]).double()
    conv = IntraLevelConv(2, normalization="symmetric", hops=2)
    assert_close(conv(features, graph_of(pair)), features)


def test_without_a_hop_no_node_learns_from_another():
    features = torch.randn(4, 2).double()
    assert_close(IntraLevelConv(2, hops=0, self_loops="add")(features, graph_of(PATH)), features)


def test_an_isolated_node_is_zero_unless_it_hears_itself():
    lonely = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).double()
    features = torch.tensor([[1.0], [2], [3]]).double()
    assert IntraLevelConv(1)(features, graph_of(lonely))[2].item() == 0
    assert IntraLevelConv(1, self_loops="add")(features, graph_of(lonely))[2].item() == 3


def test_a_neighbour_without_the_modality_does_not_pull_the_mean_to_zero():
    features = torch.tensor([[2.0], [4], [0], [8]]).double()
    present = torch.tensor([True, True, False, True])
    refined = IntraLevelConv(1).propagate(features, graph_of(PATH), present)
    assert_close(refined, torch.tensor([[4.0], [2], [6], [0]]).double())


def test_loops_are_taken_off_before_they_drown_the_rest():
    """Two intents that are nearly apart: each becomes the other, not what rounding left."""
    pooled = torch.tensor([[1e6, 1e-3], [1e-3, 1e6]])
    features = torch.tensor([[0.1, 0.7], [0.3, -0.9]])
    assert_close(IntraLevelConv(2, self_loops="remove")(features, pooled), features.flip(0))


@given(
    st.data(),
    st.sampled_from(["random_walk", "symmetric", "none"]),
    st.sampled_from(["keep", "add", "remove"]),
    st.integers(0, 3),
    st.sampled_from(["none", "relu", "leaky_relu"]),
    st.booleans(),
    st.booleans(),
)
def test_every_combination_of_options_equals_the_naive_layer(
    data, normalization, self_loops, hops, activation, weight, clamp
):
    dense = data.draw(symmetric_adjacencies(weighted=True, max_nodes=6))
    torch.manual_seed(0)
    conv = IntraLevelConv(
        3,
        normalization=normalization,
        self_loops=self_loops,
        hops=hops,
        weight=weight and hops > 0,
        activation=activation,
        clamp_degree=clamp,
    ).double()
    features = torch.randn(len(dense), 3).double()
    expected = naive(conv, features, dense)
    graph = graph_of(dense, weighted=True)
    for adjacency in (dense, graph, to_sparse_tensor(graph, torch.float64)):
        assert_close(conv(features, adjacency), expected)


@given(st.data(), st.sampled_from(["random_walk", "symmetric"]), st.integers(1, 2))
def test_incomplete_features_equal_the_naive_layer(data, normalization, hops):
    dense = data.draw(symmetric_adjacencies(max_nodes=6))
    mask = st.lists(st.booleans(), min_size=len(dense), max_size=len(dense))
    present = torch.tensor(data.draw(mask))
    torch.manual_seed(0)
    features = torch.randn(len(dense), 2).double() * present.unsqueeze(1)
    conv = IntraLevelConv(2, normalization=normalization, hops=hops)
    refined = conv.propagate(features, graph_of(dense), present)
    assert_close(refined, naive(conv, features, dense, present))


def test_a_layer_leaves_the_graph_as_it_found_it():
    graph = graph_of(PATH)
    IntraLevelConv(2, self_loops="add")(torch.ones(4, 2), graph)
    assert graph.num_edges() == 6 and not graph.ndata and not graph.edata


def test_mismatched_features_are_refused_with_both_sizes():
    with pytest.raises(ValueError, match=r"must be \(4, 3\).*got \(5, 3\)"):
        IntraLevelConv(3)(torch.ones(5, 3), graph_of(PATH))
    with pytest.raises(ValueError, match=r"hops must be .*-1"):
        IntraLevelConv(3, hops=-1)
    with pytest.raises(ValueError, match="a weight takes part in each hop, but hops is 0"):
        IntraLevelConv(3, hops=0, weight=True)
