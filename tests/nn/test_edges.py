import copy
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.nn import Edges, SymmetricAdjacency, to_sparse_tensor
from tests.graphs import graph_of, symmetric_adjacencies

# Two targets, 0 and 1, hear from the sources {1, 2} and {2}; node 2 hears nobody.
FEW = torch.tensor([[0, 1, 1], [0, 0, 1], [0, 0, 0]]).double()


def pairs_of(dense):
    """Target and source of every edge, in the promised order."""
    n = len(dense)
    return [(i, j) for i in range(n) for j in range(n) if dense[i, j]]


def forms(dense):
    graph = graph_of(dense)
    held = [graph, to_sparse_tensor(graph)]
    return [*held, *(SymmetricAdjacency(one) for one in held if torch.equal(dense, dense.T))]


@st.composite
def adjacencies(draw):
    """Symmetric ones, and as many whose direction matters."""
    dense = draw(symmetric_adjacencies())
    return dense if draw(st.booleans()) else dense.triu()


def naive_sums(pairs, weights, features, num_targets):
    sums = torch.zeros(len(weights), num_targets, features.shape[2], dtype=features.dtype)
    for head in range(len(weights)):
        for edge, (i, j) in enumerate(pairs):
            sums[head, i] += weights[head, edge] * features[head, j]
    return sums


def naive_softmax(nodes, logits):
    shares = torch.empty_like(logits)
    for head in range(len(logits)):
        for edge, node in enumerate(nodes):
            rivals = [math.exp(logits[head, e]) for e, other in enumerate(nodes) if other == node]
            shares[head, edge] = math.exp(logits[head, edge]) / sum(rivals)
    return shares


def test_edges_are_ordered_by_target_then_source():
    edges = Edges(graph_of(FEW))
    assert edges.targets.tolist() == [0, 0, 1] and edges.sources.tolist() == [1, 2, 2]
    assert (edges.num_targets, edges.num_sources, edges.num_edges) == (3, 3, 3)


def test_attention_of_one_head_worked_by_hand():
    edges = Edges(graph_of(FEW))
    keys = torch.tensor([[[9.0], [0], [math.log(3)]]])
    queries = torch.tensor([[[1.0], [2], [9]]])
    logits = edges.dot(keys, queries)
    assert_close(logits, torch.tensor([[0, math.log(3), 2 * math.log(3)]]))
    weights = edges.softmax(logits)
    assert_close(weights, torch.tensor([[0.25, 0.75, 1]]))
    values = torch.tensor([[[7.0, 7], [4, 0], [0, 8]]])
    assert_close(edges.weighted_sum(weights, values), torch.tensor([[[1.0, 6], [0, 8], [0, 0]]]))


def test_a_weight_of_the_adjacency_plays_no_part():
    edges = Edges(graph_of(FEW * 5, weighted=True))
    assert_close(edges.dot(torch.ones(1, 3, 2), torch.ones(1, 3, 2)), torch.full((1, 3), 2.0))


def test_more_edges_of_all_heads_than_an_int32_counts_are_summed_alike(monkeypatch):
    edges = Edges(graph_of(FEW))
    weights, features = torch.randn(2, edges.num_edges), torch.randn(2, 3, 2)
    expected = edges.weighted_sum(weights, features)
    asked = []
    bags = F.embedding_bag
    monkeypatch.setattr(
        F, "embedding_bag", lambda i, *a, **k: asked.append(i.dtype) or bags(i, *a, **k)
    )
    for largest in (2 * max(3, edges.num_edges), 2 * max(3, edges.num_edges) - 1):
        monkeypatch.setattr("hugraph.nn.edges._LARGEST_INT32", largest)
        assert torch.equal(edges.weighted_sum(weights, features), expected)
    assert asked == [torch.int32, torch.int64]


@given(adjacencies(), st.integers(1, 3))
def test_every_operation_equals_its_loop_over_edges_in_every_form(dense, heads):
    torch.manual_seed(0)
    n, pairs = len(dense), pairs_of(dense)
    backwards = [(j, i) for i, j in pairs]
    sources, targets = torch.randn(2, heads, n, 4).double()
    weights = torch.randn(heads, len(pairs)).double()
    for adjacency in forms(dense):
        edges = Edges(adjacency)
        dots = edges.dot(sources, targets)
        assert dots.shape == (heads, len(pairs))
        for head in range(heads):
            for edge, (i, j) in enumerate(pairs):
                assert_close(dots[head, edge], sources[head, j] @ targets[head, i])
        assert_close(edges.softmax(weights), naive_softmax([i for i, _ in pairs], weights))
        assert_close(
            edges.softmax(weights, reverse=True), naive_softmax([j for _, j in pairs], weights)
        )
        assert_close(edges.weighted_sum(weights, sources), naive_sums(pairs, weights, sources, n))
        assert_close(
            edges.weighted_sum(weights, targets, reverse=True),
            naive_sums(backwards, weights, targets, n),
        )


@given(symmetric_adjacencies(), st.data())
def test_a_block_has_the_edges_between_its_nodes_counted_from_the_first(dense, data):
    n = len(dense)
    ranges = st.tuples(st.integers(0, n), st.integers(0, n)).map(lambda ends: range(*sorted(ends)))
    targets, sources = data.draw(ranges), data.draw(ranges)
    edges = Edges(graph_of(dense), targets=targets, sources=sources)
    kept = [
        (i - targets.start, j - sources.start)
        for i, j in pairs_of(dense)
        if i in targets and j in sources
    ]
    assert list(zip(edges.targets.tolist(), edges.sources.tolist(), strict=True)) == kept
    torch.manual_seed(0)
    weights = torch.randn(2, len(kept)).double()
    sent, received = torch.randn(2, len(sources), 3), torch.randn(2, len(targets), 3)
    assert_close(
        edges.weighted_sum(weights, sent.double()),
        naive_sums(kept, weights, sent.double(), len(targets)),
    )
    assert_close(
        edges.weighted_sum(weights, received.double(), reverse=True),
        naive_sums([(j, i) for i, j in kept], weights, received.double(), len(sources)),
    )
    assert edges.dot(sent, received).shape == edges.softmax(weights).shape == (2, len(kept))


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_finite_differences(reverse):
    torch.manual_seed(1)
    dense = (torch.rand(6, 6) < 0.4).double()
    edges = Edges(graph_of(dense), targets=range(5), sources=range(2, 6))
    assert edges.num_edges > 4
    sources, targets = torch.randn(2, 4, 3).double(), torch.randn(2, 5, 3).double()
    weights = torch.randn(2, edges.num_edges).double()
    sent = targets if reverse else sources
    check = torch.autograd.gradcheck

    def dot(s, t):
        return edges.dot(s, t)

    def softmax(logits):
        return edges.softmax(logits, reverse=reverse)

    def weighted_sum(w, x):
        return edges.weighted_sum(w, x, reverse=reverse)

    for function, inputs in (
        (dot, (sources, targets)),
        (softmax, (weights,)),
        (weighted_sum, (weights, sent)),
    ):
        for one in range(len(inputs)):  # each alone, as where the other is constant
            leaves = [x.clone().requires_grad_(k == one) for k, x in enumerate(inputs)]
            assert check(function, leaves)
        assert check(function, [x.clone().requires_grad_() for x in inputs])


def test_the_plain_sum_of_a_result_has_its_gradient_too():
    edges = Edges(graph_of(FEW))
    weights, features = torch.ones(1, 3, requires_grad=True), torch.ones(1, 3, 2)
    edges.weighted_sum(weights, features).sum().backward()  # an expanded, strided gradient
    assert_close(weights.grad, torch.full((1, 3), 2.0))


def test_without_edges_sums_are_zero_and_nothing_is_left_to_weigh():
    edges = Edges(graph_of(torch.zeros(3, 3)))
    features = torch.ones(2, 3, 4, requires_grad=True)
    weights = edges.softmax(edges.dot(features, features))
    assert weights.shape == (2, 0)
    summed = edges.weighted_sum(weights, features)
    assert_close(summed, torch.zeros(2, 3, 4))
    summed.sum().backward()
    assert_close(features.grad, torch.zeros(2, 3, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reverse", [False, True])
def test_extreme_logits_give_finite_shares_and_gradients(dtype, reverse):
    edges = Edges(graph_of(torch.ones(3, 3)))
    huge = torch.finfo(dtype).max
    values = [[huge, -huge, 0, 800, 900, 900, -huge, -huge, -huge]]
    logits = torch.tensor(values, dtype=dtype, requires_grad=True)
    shares = edges.softmax(logits, reverse=reverse)
    totals = edges.weighted_sum(shares, torch.ones(1, 3, 1, dtype=dtype), reverse=reverse)
    assert_close(totals, torch.ones(1, 3, 1, dtype=dtype))
    if not reverse:
        assert_close(shares[0, :3].detach(), torch.tensor([1, 0, 0], dtype=dtype))
        assert_close(shares[0, 6:].detach(), torch.full((3,), 1 / 3, dtype=dtype))
    shares.square().sum().backward()
    assert logits.grad.isfinite().all()


def test_results_and_gradients_repeat_to_the_bit_with_deterministic_algorithms():
    torch.manual_seed(2)
    edges = Edges(graph_of((torch.rand(300, 300) < 0.1).double()))
    features = torch.randn(3, 300, 16)

    def attend():
        leaf = features.clone().requires_grad_()
        result = edges.weighted_sum(edges.softmax(edges.dot(leaf, leaf)), leaf)
        backwards = edges.weighted_sum(
            edges.softmax(edges.dot(leaf, leaf), reverse=True), result, reverse=True
        )
        backwards.square().sum().backward()
        return backwards.detach(), leaf.grad

    torch.use_deterministic_algorithms(True)
    try:
        first, second = attend(), attend()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_edges_move_with_their_model_and_are_no_part_of_its_state():
    edges = Edges(graph_of(FEW))
    model = torch.nn.Sequential(edges).double()
    assert not model.state_dict()
    assert {buffer.dtype for buffer in model.buffers()} == {torch.int32}
    twin = copy.deepcopy(edges)
    ones = torch.ones(1, 3, 1)
    assert_close(twin.weighted_sum(ones[:, :, 0], ones), torch.tensor([[[2.0], [1], [0]]]))
    assert {buffer.device.type for buffer in model.to("meta").buffers()} == {"meta"}


def test_half_precision_is_computed_in_single_also_under_autocast():
    edges = Edges(graph_of(FEW))
    features = torch.full((2, 3, 4), 1.0009765625, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = edges.dot(features, features)
        weights = edges.softmax(logits.bfloat16())
        summed = edges.weighted_sum(weights.bfloat16(), features)
    assert {logits.dtype, weights.dtype, summed.dtype} == {torch.float32}
    assert_close(logits, torch.full((2, 3), 4 * 1.0009765625**2))
    summed.sum().backward()
    assert features.grad.dtype == torch.float32 and features.grad.isfinite().all()


def test_tensors_and_ranges_that_do_not_fit_are_refused():
    graph = graph_of(FEW)
    edges = Edges(graph, targets=range(2))
    three, two = torch.ones(1, 3, 4), torch.ones(1, 2, 4)
    with pytest.raises(ValueError, match=r"targets must be \(1, 2, 4\), got \(1, 3, 4\)"):
        edges.dot(three, three)
    with pytest.raises(ValueError, match=r"sources must be \(any, 3, any\), got \(1, 2, 4\)"):
        edges.dot(two, two)
    with pytest.raises(ValueError, match=r"logits must be \(any, 3\), got \(3,\)"):
        edges.softmax(torch.ones(3))
    with pytest.raises(ValueError, match=r"features must be \(2, 3, any\), got \(1, 3, 4\)"):
        edges.weighted_sum(torch.ones(2, 3), three)
    with pytest.raises(ValueError, match=r"features must be \(1, 2, any\), got \(1, 3, 4\)"):
        edges.weighted_sum(torch.ones(1, 3), three, reverse=True)
    with pytest.raises(ValueError, match=r"range\(2, 4\) is not .* consecutive nodes out of 3"):
        Edges(graph, targets=range(2, 4))
    with pytest.raises(ValueError, match=r"range\(0, 3, 2\) is not"):
        Edges(graph, sources=range(0, 3, 2))
