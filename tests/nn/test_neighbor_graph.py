import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.nn import NeighborGraph

# Row 0 has the neighbours 1 and 2, row 1 has 0 twice, row 2 has itself and 0; nobody has row 3.
INDICES = torch.tensor([[1, 2], [0, 0], [2, 0], [1, 2]])


def test_sums_and_dots_worked_by_hand():
    graph = NeighborGraph(INDICES)
    features = torch.tensor([[1.0, 0], [2, 1], [0, 3], [1, 1]])
    weights = torch.tensor([[1.0, 10], [1, 1], [0, 2], [1, -1]])
    expected = torch.tensor([[2.0, 31], [2, 0], [2, 0], [2, -2]])
    assert_close(graph(features, weights), expected)
    assert_close(NeighborGraph(INDICES, weights)(features), expected)
    assert_close(graph.dots(features), torch.tensor([[2.0, 0], [2, 2], [9, 0], [3, 3]]))


@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([1, 3, 2048]))
def test_sums_dots_and_their_gradients_are_those_of_indexed_rows(seed, k, block):
    torch.manual_seed(seed)
    indices = torch.randint(0, 5, (5, k))
    graph = NeighborGraph(indices)
    features, weights = torch.randn(5, 3).double(), torch.randn(5, k).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hugraph.nn.neighbor_graph.BLOCK_ROWS", block)
        leaves = [t.clone().requires_grad_() for t in (features, weights)]
        results = graph(*leaves), graph.dots(leaves[0])
        plain = [t.clone().requires_grad_() for t in (features, weights)]
        x, w = plain
        expected = (
            torch.stack([sum(w[i, j] * x[indices[i, j]] for j in range(k)) for i in range(5)]),
            torch.stack([torch.stack([x[i] @ x[j] for j in indices[i]]) for i in range(5)]),
        )
        upstream = [torch.randn_like(t) for t in expected]
        for result, wanted in zip(results, expected, strict=True):
            assert_close(result, wanted)
        torch.autograd.backward(results, upstream)
        torch.autograd.backward(expected, upstream)
    for leaf, naive in zip(leaves, plain, strict=True):
        assert_close(leaf.grad, naive.grad)


def test_half_precision_is_multiplied_in_single_also_under_autocast():
    graph = NeighborGraph(INDICES)
    features = torch.full((4, 2), 1.0009765625).bfloat16().requires_grad_()
    weights = torch.ones(4, 2).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = graph(features, weights), graph.dots(features)
    assert [result.dtype for result in results] == [torch.float32] * 2
    assert_close(results[1], graph.dots(features.float()))
    sum(result.sum() for result in results).backward()
    assert features.grad.dtype == torch.bfloat16 and features.grad.isfinite().all()


def test_a_sum_without_weights_is_refused():
    with pytest.raises(ValueError, match="weights are needed"):
        NeighborGraph(INDICES)(torch.ones(4, 2))
