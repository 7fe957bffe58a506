import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from hugraph.errors import DataError, ResourceError
from hugraph.graph import CoInteractionGraphBuilder, co_interaction_histogram, cointeraction, pairs
from hugraph.graph.cointeraction import EdgeWeight, SelfLoops

# Users 0, 1, 2 have items 0 and 1; users 1, 2 have item 2 as well; user 3 has item 3 alone.
USERS = np.array([0, 0, 1, 1, 1, 2, 2, 2, 3])
ITEMS = np.array([0, 1, 0, 1, 2, 0, 1, 2, 3])


def edges_of(graph):
    """{(source, target): weight}, 1 where the graph has no weights; asserts no parallel edges."""
    sources, targets = (ends.tolist() for ends in graph.edges())
    weights = graph.edata["weight"].tolist() if "weight" in graph.edata else [1.0] * len(sources)
    edges = dict(zip(zip(sources, targets, strict=True), weights, strict=True))
    assert len(edges) == len(sources)
    return edges


def naive_edges(histories, num_items, builder):
    """The definition, pair by pair over all of num_items squared."""
    histories = [set(history) for history in histories]
    if builder.max_items_per_user is not None:
        users_per_item = [sum(i in history for history in histories) for i in range(num_items)]
        histories = [
            set(sorted(h, key=lambda i: (-users_per_item[i], i))[: builder.max_items_per_user])
            for h in histories
        ]
    users = [{u for u, history in enumerate(histories) if i in history} for i in range(num_items)]
    strength = {}
    for i, j in itertools.permutations(range(num_items), 2):
        common = len(users[i] & users[j])
        if common >= builder.min_common_users:
            strength[i, j] = {
                "binary": common,
                "count": common,
                "jaccard": np.float32(common / len(users[i] | users[j])),
                "cosine": np.float32(common / math.sqrt(len(users[i]) * len(users[j]))),
            }[builder.weight]
    if builder.max_neighbors is not None:
        kept = set()
        for i in range(num_items):
            mine = [j for j in range(num_items) if (i, j) in strength]
            mine.sort(key=lambda j: (-strength[i, j], j))
            kept |= {pair for j in mine[: builder.max_neighbors] for pair in ((i, j), (j, i))}
        strength = {pair: weight for pair, weight in strength.items() if pair in kept}
    edges = {pair: 1.0 if builder.weight == "binary" else w for pair, w in strength.items()}
    if strength:
        ends = {i for i, _ in strength}
        for i in range(num_items):
            if builder.self_loops == "all" or (builder.self_loops == "isolated" and i not in ends):
                edges[i, i] = 1.0
    return edges


histories = st.lists(st.lists(st.integers(0, 7), max_size=12), min_size=1, max_size=12)
options = st.fixed_dictionaries(
    {
        "min_common_users": st.integers(1, 4),
        "weight": st.sampled_from(EdgeWeight.__args__),
        "max_neighbors": st.none() | st.integers(1, 4),
        "self_loops": st.sampled_from(SelfLoops.__args__),
        "max_items_per_user": st.none() | st.integers(1, 5),
    }
)


def arrays(histories):
    rows = [(user, item) for user, history in enumerate(histories) for item in history]
    return np.array(rows, dtype=np.int64).reshape(-1, 2).T


@pytest.mark.parametrize(
    ("weight", "weights"),
    [
        ("binary", {(0, 1): 1, (0, 2): 1, (1, 2): 1}),
        ("count", {(0, 1): 3, (0, 2): 2, (1, 2): 2}),
        ("jaccard", {(0, 1): 1, (0, 2): 2 / 3, (1, 2): 2 / 3}),
        ("cosine", {(0, 1): 1, (0, 2): 2 / math.sqrt(6), (1, 2): 2 / math.sqrt(6)}),
    ],
)
def test_a_graph_of_three_neighbours_and_a_loner_has_the_weights_worked_by_hand(weight, weights):
    graph = CoInteractionGraphBuilder(min_common_users=2, weight=weight).build(USERS, ITEMS, 4)
    assert graph.num_nodes() == 4
    assert edges_of(graph) == pytest.approx(
        {**weights, **{(j, i): weights[i, j] for i, j in weights}}
    )


def test_a_higher_threshold_leaves_only_the_pair_of_three_users():
    graph = CoInteractionGraphBuilder(min_common_users=3).build(USERS, ITEMS, 4)
    assert edges_of(graph) == {(0, 1): 1, (1, 0): 1}


@given(histories, options)
def test_the_graph_is_the_one_that_the_definition_gives(histories, options):
    builder = CoInteractionGraphBuilder(**options)
    expected = naive_edges(histories, 8, builder)
    if not expected:
        with pytest.raises(DataError, match="0 edges at threshold"):
            builder.build(*arrays(histories), 8)
        return
    graph = builder.build(*arrays(histories), 8)
    assert edges_of(graph) == expected
    sources, targets = graph.edges()
    order = targets * 8 + sources
    assert (order.diff() > 0).all()  # by destination, then source
    assert graph.idtype == torch.int32


@given(histories, st.integers(1, 3), st.randoms())
def test_order_and_repetition_of_interactions_do_not_matter(histories, threshold, random):
    users, items = arrays(histories)
    builder = CoInteractionGraphBuilder(
        min_common_users=threshold, weight="count", max_neighbors=2, max_items_per_user=3
    )
    if not naive_edges(histories, 8, builder):
        return
    order = [*range(len(users)), *range(len(users))]
    random.shuffle(order)
    once = builder.build(users, items, 8)
    again = builder.build(9 * users[order], items[order], 8)  # user ids may have gaps
    assert edges_of(once) == edges_of(again)


def naive_counts(histories, at_least):
    histories = [set(history) for history in histories]
    pairs = itertools.combinations(range(8), 2)
    counts = {pair: sum(history >= {*pair} for history in histories) for pair in pairs}
    return {pair: count for pair, count in counts.items() if count >= at_least}


@given(histories, st.integers(1, 3), st.integers(1, 9))
def test_blocks_of_any_size_count_each_pair_once(histories, at_least, pairs_per_block):
    owners = pairs.item_owners(*arrays(histories), 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_PAIRS_PER_BLOCK", pairs_per_block)
        blocks = list(pairs.count_pairs(owners, at_least=at_least))
    counted = [row for block in blocks for row in zip(*map(np.ndarray.tolist, block), strict=True)]
    expected = naive_counts(histories, at_least)
    assert sorted(counted) == [(*pair, count) for pair, count in expected.items()]


def test_a_block_holds_no_more_than_it_may(monkeypatch):
    owners = pairs.item_owners(np.repeat(np.arange(5), 8), np.tile(np.arange(8), 5), 8)
    monkeypatch.setattr(pairs, "_PAIRS_PER_BLOCK", 9)
    sizes = [len(block.first) for block in pairs.count_pairs(owners)]
    assert sizes == [6, 9, 6, 7]  # of the ranks 0 to 3, 4 and 5, 6, 7


@pytest.mark.parametrize("num_threads", [1, 3])
def test_the_graph_does_not_depend_on_the_number_of_threads(num_threads, monkeypatch):
    rng = np.random.default_rng(0)
    users, items = rng.integers(200, size=4000), rng.integers(60, size=4000) ** 2 // 60
    builder = CoInteractionGraphBuilder(weight="cosine", max_neighbors=9)
    monkeypatch.setattr(pairs, "_PAIRS_PER_BLOCK", 50)
    monkeypatch.setattr(torch, "get_num_threads", lambda: num_threads)
    graph = builder.build(users, items, 60)
    histories = [items[users == user].tolist() for user in range(200)]
    assert edges_of(graph) == naive_edges(histories, 60, builder)


def test_of_more_edges_than_int32_can_number_the_strongest_are_kept_too():
    weights = np.array([[0, 3, 1, 2], [3, 0, 0, 5], [1, 0, 0, 4], [2, 5, 4, 0]], np.float32)
    adjacency = sparse.csr_array(weights)
    expected = cointeraction._strongest(adjacency, 1).toarray()
    # What scipy turns both arrays of indices into where one needs it.
    adjacency.indices, adjacency.indptr = (
        part.astype(np.int64) for part in (adjacency.indices, adjacency.indptr)
    )
    found = cointeraction._strongest(adjacency, 1).toarray()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, [[0, 3, 0, 0], [3, 0, 0, 5], [0, 0, 0, 4], [0, 5, 4, 0]])


def test_popular_items_and_heavy_users_are_counted_as_scipy_counts_them():
    rng = np.random.default_rng(0)
    users = (2000 * rng.random(30_000) ** 3).astype(np.int64)
    items = (900 * rng.random(30_000) ** 2).astype(np.int64)
    history = sparse.csr_array((np.ones(30_000, np.int32), (users, items)), shape=(2000, 901))
    history.data[:] = 1
    common = np.triu((history.T @ history).toarray(), 1)
    graph = CoInteractionGraphBuilder(min_common_users=4, weight="count").build(users, items, 901)
    counted = {(i, j): n for (i, j), n in edges_of(graph).items() if i < j}
    first, second = (common >= 4).nonzero()
    expected = dict(zip(zip(first, second, strict=True), common[first, second], strict=True))
    assert counted == expected


def test_more_edges_than_int32_can_number_are_refused(monkeypatch):
    monkeypatch.setattr("hugraph.graph.symmetric.MAX_NODES", 5)
    with pytest.raises(DataError, match="6 edges are more than the 5 that a graph can number"):
        CoInteractionGraphBuilder(min_common_users=2).build(USERS, ITEMS, 4)


@given(histories, st.integers(1, 4))
def test_the_histogram_counts_the_edges_of_each_graph(histories, first):
    users, items = arrays(histories)
    histogram = co_interaction_histogram(users, items, 8, range(first, first + 4))
    assert histogram == {
        t: len(naive_edges(histories, 8, CoInteractionGraphBuilder(min_common_users=t))) // 2
        for t in range(first, first + 4)
    }


def test_the_histogram_of_the_worked_case_is_3_3_1_0():
    assert co_interaction_histogram(USERS, ITEMS, 4, range(1, 5)) == {1: 3, 2: 3, 3: 1, 4: 0}


def test_tensors_and_arrays_give_the_same_graph():
    builder = CoInteractionGraphBuilder(min_common_users=2)
    tensors = builder.build(torch.from_numpy(USERS), torch.from_numpy(ITEMS).int(), 4)
    assert edges_of(tensors) == edges_of(builder.build(USERS.astype(np.uint16), ITEMS, 4))


def test_an_empty_graph_is_an_error_that_names_the_largest_count():
    with pytest.raises(DataError) as caught:
        CoInteractionGraphBuilder().build(USERS, ITEMS, 4)
    assert str(caught.value) == (
        "0 edges at threshold 5; the largest co-interaction count is 3\n"
        "  fix: set min_common_users to 3 or less"
    )


@pytest.mark.parametrize("self_loops", ["none", "all"])
def test_users_of_one_item_each_give_no_graph_even_with_self_loops(self_loops):
    builder = CoInteractionGraphBuilder(min_common_users=1, self_loops=self_loops)
    with pytest.raises(DataError, match="largest co-interaction count is 0"):
        builder.build(np.arange(3), np.arange(3), 3)
    with pytest.raises(DataError, match="some user has two items"):
        builder.build(np.array([]), np.array([]), 3)


def test_a_power_user_is_refused_with_the_largest_cap_that_fits():
    users, items = np.zeros(300, dtype=int), np.arange(300)
    builder = CoInteractionGraphBuilder(min_common_users=1, max_pairs=190)
    with pytest.raises(DataError) as caught:
        builder.build(users, items, 300)
    assert str(caught.value) == (
        "the users' histories hold 44,850 pairs of items, above max_pairs of 190; the heaviest"
        " user has 300 items\n  fix: set max_items_per_user to 20 or less, or raise max_pairs"
    )
    capped = CoInteractionGraphBuilder(min_common_users=1, max_pairs=190, max_items_per_user=20)
    assert capped.build(users, items, 300).num_edges() == 2 * 190


def test_a_graph_beyond_the_memory_budget_is_refused():
    users, items = np.zeros(700, dtype=int), np.arange(700)
    builder = CoInteractionGraphBuilder(min_common_users=1, memory_budget_mb=1)
    with pytest.raises(ResourceError, match=r"more than [\d,]+ edges at threshold 1 do not fit"):
        builder.build(users, items, 700)
    with pytest.raises(ResourceError, match=r"at least 2 MiB.*memory_budget_mb of 1"):
        builder.build(users, items, 10_000)


@pytest.mark.parametrize(
    ("users", "items", "num_items", "message"),
    [
        ([0, 1], [0, -1], 5, r"item_ids must lie in \[0, 5\), got -1 at position 1"),
        ([0, 1], [5, 0], 5, r"item_ids must lie in \[0, 5\), got 5 at position 0"),
        ([-3, 1], [0, 1], 5, "user_ids must not be negative, got -3 at position 0"),
        ([0, 1], [0], 5, "must be aligned, got 2 users and 1 items"),
        ([[0, 1]], [[0, 1]], 5, r"user_ids must be one-dimensional, got shape \(1, 2\)"),
        ([0.0, 1.0], [0, 1], 5, "user_ids must be integers, got float64"),
        ([0], [0], 0, r"num_items must lie in \[1, 2147483647\], got 0"),
        ([0], [0], 2**31, r"num_items must lie in \[1, 2147483647\], got 2147483648"),
    ],
)
def test_bad_ids_never_reach_dgl(users, items, num_items, message):
    with pytest.raises(ValueError, match=message):
        CoInteractionGraphBuilder().build(np.array(users), np.array(items), num_items)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_common_users": 0}, "min_common_users must be at least 1, got 0"),
        ({"max_neighbors": 0}, "max_neighbors must be at least 1, got 0"),
        ({"weight": "cosin"}, "weight must be one of binary, count, jaccard, cosine, got 'cosin'"),
        ({"self_loops": True}, "self_loops must be one of none, isolated, all, got True"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CoInteractionGraphBuilder(**options)


def test_a_threshold_below_one_is_refused_by_the_histogram():
    with pytest.raises(ValueError, match=r"thresholds must be at least 1, got \[0, 1\]"):
        co_interaction_histogram(USERS, ITEMS, 4, [0, 1])


def test_an_empty_graph_is_said_even_where_counting_every_pair_would_be_too_much():
    users, items = np.arange(1200) // 20, np.arange(1200)  # 11,400 pairs, each seen once
    builder = CoInteractionGraphBuilder(min_common_users=5, max_pairs=1000)
    with pytest.raises(DataError, match="0 edges at threshold 5"):
        builder.build(users, items, 1200)
