import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hugraph.dgl_backend import dgl
from hugraph.graph import CoInteractionGraphBuilder, from_networkx, to_networkx


def built(**options):
    users = np.array([0, 0, 1, 1, 1, 2, 2, 2])
    items = np.array([0, 1, 0, 1, 2, 0, 1, 2])
    return CoInteractionGraphBuilder(min_common_users=2, **options).build(users, items, 4)


def test_a_weighted_triangle_becomes_the_networkx_graph_worked_by_hand():
    graph = to_networkx(built(weight="count", self_loops="isolated"))
    assert sorted(graph.nodes) == [0, 1, 2, 3]
    assert sorted(graph.edges(data="weight")) == [(0, 1, 3), (0, 2, 2), (1, 2, 2), (3, 3, 1)]


@pytest.mark.parametrize("weight", ["binary", "count", "jaccard", "cosine"])
@pytest.mark.parametrize("self_loops", ["none", "isolated", "all"])
def test_a_graph_comes_back_from_networkx_as_it_went(weight, self_loops):
    graph = built(weight=weight, self_loops=self_loops)
    again = from_networkx(to_networkx(graph))
    assert again.idtype == torch.int32
    assert again.num_nodes() == graph.num_nodes()
    for ends, ends_again in zip(graph.edges(), again.edges(), strict=True):
        assert torch.equal(ends, ends_again)
    assert set(again.edata) == set(graph.edata)
    for name in graph.edata:
        assert torch.equal(graph.edata[name], again.edata[name])


weighted_pairs = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).map(lambda pair: tuple(sorted(pair))),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(weighted_pairs, st.permutations(range(6)))
def test_any_weighted_networkx_graph_survives_the_round_trip(weights, nodes):
    graph = nx.Graph()
    graph.add_nodes_from(nodes)
    graph.add_weighted_edges_from((i, j, weight) for (i, j), weight in weights.items())
    assert nx.utils.graphs_equal(to_networkx(from_networkx(graph)), graph)


def test_a_graph_that_is_not_symmetric_is_refused():
    with pytest.raises(ValueError, match="not symmetric"):
        to_networkx(dgl.graph(([0, 1], [1, 2])))
    lopsided = dgl.graph(([0, 1], [1, 0]))
    lopsided.edata["weight"] = torch.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="not symmetric"):
        to_networkx(lopsided)
    with pytest.raises(ValueError, match="parallel"):
        to_networkx(dgl.graph(([0, 1, 0, 1], [1, 0, 1, 0])))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (nx.DiGraph([(0, 1)]), "undirected networkx.Graph is needed, got DiGraph"),
        (nx.MultiGraph([(0, 1)]), "got MultiGraph"),
        (nx.Graph([("a", "b")]), "nodes must be the integers 0 to 1, got 'a'"),
        (nx.Graph([(0, 2)]), "nodes must be the integers 0 to 1, got 2"),
        (nx.Graph([(0, 1, {"weight": 2}), (1, 2)]), "1 of 2 edges have a weight"),
        (nx.Graph([(0, 1, {"weight": float("nan")})]), "weights must be finite, got nan"),
    ],
)
def test_a_networkx_graph_that_is_no_item_graph_is_refused(graph, message):
    with pytest.raises(ValueError, match=message):
        from_networkx(graph)
