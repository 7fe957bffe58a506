import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hugraph.graph import user_item_graph


def test_two_users_and_three_items_give_the_edges_worked_by_hand():
    graph = user_item_graph(np.array([0, 1, 1]), torch.tensor([2, 0, 2]), 2, 3)
    assert graph.num_nodes() == 5
    assert graph.idtype == torch.int32
    edges = list(zip(*(ends.tolist() for ends in graph.edges()), strict=True))
    assert edges == [(4, 0), (2, 1), (4, 1), (1, 2), (0, 4), (1, 4)]  # by destination


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=300))
def test_the_graph_joins_exactly_the_pairs_in_both_directions(pairs):
    users, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = user_item_graph(users, items, 4, 6)
    edges = list(zip(*(ends.tolist() for ends in graph.edges()), strict=True))
    assert len(edges) == len(set(edges))
    assert set(edges) == {e for u, i in pairs for e in ((u, i + 4), (i + 4, u))}


def test_a_pair_given_256_times_is_one_edge():
    graph = user_item_graph(np.zeros(256, dtype=int), np.zeros(256, dtype=int), 1, 1)
    assert graph.num_edges() == 2


@pytest.mark.parametrize(
    ("users", "items", "sizes", "message"),
    [
        ([2], [0], (2, 3), r"user_ids must lie in \[0, 2\), got 2"),
        ([0], [-1], (2, 3), r"item_ids must lie in \[0, 3\), got -1"),
        ([0, 1], [0], (2, 3), "got 2 users and 1 items"),
        ([0], [0], (2**31 - 1, 1), "num_users .* num_items must be at most 2147483647"),
    ],
)
def test_bad_ids_never_reach_dgl(users, items, sizes, message):
    with pytest.raises(ValueError, match=message):
        user_item_graph(np.array(users), np.array(items), *sizes)
