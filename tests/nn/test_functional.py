import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.nn import (
    assignment_entropy,
    batch_l2,
    bpr_loss,
    info_nce,
    intent_independence,
    soft_assignment,
    unit_rows,
)

scores = st.lists(st.floats(-50, 50), min_size=1, max_size=6)


def test_equal_scores_cost_ln_two():
    assert_close(
        bpr_loss(torch.tensor([1.0, -3]), torch.tensor([1.0, -3])), torch.tensor(math.log(2))
    )


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=6))
def test_bpr_is_the_mean_of_minus_log_sigmoid(pairs):
    pos, neg = torch.tensor(pairs, dtype=torch.float64).T
    naive = sum(-math.log(1 / (1 + math.exp(-(p - n)))) for p, n in pairs) / len(pairs)
    assert_close(bpr_loss(pos, neg).item(), naive)


def test_bpr_stays_finite_where_sigmoid_underflows():
    pos = torch.tensor([-1000.0], requires_grad=True)
    loss = bpr_loss(pos, torch.tensor([1000.0]))
    loss.backward()
    assert loss.item() == 2000.0
    assert pos.grad.item() == -1.0


def test_entropy_is_zero_when_decided_and_ln_k_when_spread():
    assert assignment_entropy(torch.tensor([[0.0, -800.0, -800.0]])).item() == 0.0
    assert_close(assignment_entropy(torch.zeros(5, 3)).item(), math.log(3))


def test_an_underflown_assignment_has_finite_gradients():
    logits = torch.tensor([[0.0, -1000.0]], requires_grad=True)
    assignment, entropy = soft_assignment(logits)
    (entropy + assignment[0, 1]).backward()
    assert torch.isfinite(logits.grad).all()


matrices = st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=5)


@given(matrices)
def test_entropy_is_the_mean_over_rows_of_the_naive_sum(rows):
    logits = torch.tensor(rows, dtype=torch.float64)
    naive = sum(-p * math.log(p) for row in logits.softmax(dim=1).tolist() for p in row)
    assert_close(assignment_entropy(logits).item(), naive / len(rows))


@given(matrices, st.floats(-2, 2), st.integers(0, 10**6))
def test_assignment_and_gradients_are_those_of_plain_autograd(rows, weight, seed):
    torch.manual_seed(seed)
    upstream = torch.randn(len(rows), 3).double()
    ours, plain = (torch.tensor(rows, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assignment, entropy = soft_assignment(ours)
    ((assignment * upstream).sum() + weight * entropy).backward()
    naive = plain.softmax(dim=1)
    naive_entropy = -(naive * naive.log()).sum(dim=1).mean()
    ((naive * upstream).sum() + weight * naive_entropy).backward()
    assert_close(assignment, naive)
    assert_close(ours.grad, plain.grad)


def test_orthonormal_intents_are_independent():
    assert intent_independence(torch.eye(3, 5)).item() == 0.0


def test_two_equal_unit_intents_cost_root_two_over_four_worked_by_hand():
    supernodes = torch.tensor([[1.0, 0], [1, 0]]).double()
    assert_close(intent_independence(supernodes).item(), math.sqrt(2) / 4)


def test_l2_of_two_examples_worked_by_hand():
    users = torch.tensor([[3.0, 4], [0, 0]])
    items = torch.tensor([[1.0, 0], [0, 1], [0, 0], [0, 2]])
    assert batch_l2(users, items).item() == (25 + 1 + 1 + 4) / (2 * 2)


def test_two_orthogonal_pairs_cost_ln_one_plus_e_to_minus_two_worked_by_hand():
    anchors = torch.tensor([[3.0, 0], [0, 0.1]])  # lengths do not matter
    positives = torch.tensor([[1.0, 0], [0, 7]])
    loss = info_nce(anchors, positives, 0.5)
    assert_close(loss.item(), math.log(1 + math.exp(-2)))
    swapped = info_nce(anchors, positives.flip(0), 0.5)
    assert_close(swapped.item(), math.log(1 + math.exp(2)))


def cosine(a, b):
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0.05, 5))
def test_info_nce_is_the_naive_mean_over_anchors_and_lies_within_its_bounds(seed, rows, tau):
    torch.manual_seed(seed)
    anchors, positives = torch.randn(2, rows, 3).double()
    anchors[0] *= seed % 2  # in half of the cases one anchor is zero
    a, p = anchors.tolist(), positives.tolist()
    naive = 0.0
    for b in range(rows):
        exponentials = [math.exp(cosine(a[b], p[other]) / tau) for other in range(rows)]
        naive -= math.log(exponentials[b] / sum(exponentials)) / rows
    loss = info_nce(anchors, positives, tau).item()
    assert_close(loss, naive)
    lowest, highest = (math.log1p((rows - 1) * math.exp(sign * 2 / tau)) for sign in (-1, 1))
    assert lowest - 1e-12 <= loss <= highest + 1e-12


def test_info_nce_stays_finite_where_the_exponential_overflows():
    anchors = torch.eye(2, dtype=torch.float64, requires_grad=True)
    loss = info_nce(anchors, anchors.detach().flip(0), 1e-3)
    loss.backward()
    assert_close(loss.item(), 1000.0)
    assert torch.isfinite(anchors.grad).all()


def test_a_row_of_zeros_gets_no_gradient_and_leaves_that_of_others_finite():
    anchors = torch.tensor([[0.0, 0], [1, 2]], requires_grad=True)
    positives = torch.tensor([[3.0, 1], [0, 0]], requires_grad=True)
    info_nce(anchors, positives, 0.2).backward()
    assert anchors.grad[0].tolist() == positives.grad[1].tolist() == [0, 0]
    assert torch.isfinite(anchors.grad).all() and anchors.grad[1].abs().sum() > 0


def test_info_nce_refuses_rows_that_do_not_match_and_a_temperature_of_zero():
    with pytest.raises(ValueError, match=r"aligned, got \(2, 3\) and \(4, 3\)"):
        info_nce(torch.ones(2, 3), torch.ones(4, 3), 0.2)
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        info_nce(torch.ones(2, 3), torch.ones(2, 3), 0)


def test_under_autocast_an_assignment_keeps_single_precision():
    torch.manual_seed(0)
    logits = torch.randn(1000, 32).bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assignment, entropy = soft_assignment(logits)
    assert assignment.dtype == entropy.dtype == torch.float32
    assert_close(assignment.sum(dim=1), torch.ones(1000))
    entropy.backward()
    assert logits.grad.dtype == torch.bfloat16


def test_a_row_of_three_and_four_has_length_five_and_a_zero_row_stays():
    rows = unit_rows(torch.tensor([[3.0, 4], [0, 0]]))
    assert_close(rows, torch.tensor([[0.6, 0.8], [0, 0]]))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_unit_rows_and_their_gradients_equal_those_of_torch(shape):
    torch.manual_seed(0)
    values, upstream = torch.randn(2, *shape).double()
    ours, theirs = (values.clone().requires_grad_() for _ in range(2))
    ours_rows, their_rows = unit_rows(ours), F.normalize(theirs, dim=-1)
    assert_close(ours_rows, their_rows)
    ours_rows.backward(upstream)
    their_rows.backward(upstream)
    assert_close(ours.grad, theirs.grad)
    assert torch.autograd.gradcheck(unit_rows, ours)


def test_a_zero_row_has_no_gradient_and_a_tiny_one_a_finite_one():
    rows = torch.tensor([[0.0, 0], [1e-30, 0], [1e-10, 0]], requires_grad=True)
    unit_rows(rows).sum().backward()
    assert_close(rows.grad[:2], torch.zeros(2, 2))
    assert_close(rows.grad[2], torch.tensor([0, 1e10]))


def test_half_precision_rows_have_length_one_in_single_precision():
    lengths = unit_rows(torch.tensor([[1.0, 2, 3]]).bfloat16()).norm(dim=1)
    assert lengths.dtype == torch.float32
    assert_close(lengths, torch.ones(1))
