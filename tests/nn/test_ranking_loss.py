import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.interfaces import Triples
from hugraph.nn import BPRLoss, SampledSoftmaxLoss

ONE = Triples(torch.tensor([0]), torch.tensor([0]), torch.tensor([1]))


def test_bpr_of_scores_five_and_four_worked_by_hand():
    u, v, other = torch.tensor([[[1.0, 2]], [[3, 1]], [[0, 2]]])
    assert_close(BPRLoss()(ONE, u, v, other).item(), math.log1p(math.exp(-1)))
    users, items = BPRLoss().factors(u, v)
    assert_close(users @ items.T, torch.tensor([[5.0]]))


def test_softmax_of_a_liked_item_ahead_and_one_across_worked_by_hand():
    u, v, other = torch.tensor([[[2.0, 0]], [[5, 0]], [[0, 3]]])
    loss = SampledSoftmaxLoss(temperature=0.5)(ONE, u, v, other)
    assert_close(loss.item(), math.log(1 + math.exp(-2)))  # cosines 1 and 0, over 1/2


def test_a_longer_item_is_ahead_by_the_power_of_its_length_worked_by_hand():
    u, v, other = torch.tensor([[[3.0, 0]], [[4, 0]], [[1, 0]]])
    loss = SampledSoftmaxLoss(temperature=1.0, item_length=0.5)(ONE, u, v, other)
    assert_close(loss.item(), math.log(1 + math.exp(-1)))  # scores 2 and 1


@given(
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.sampled_from([0.1, 1.0]),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_the_softmax_is_that_of_each_example_by_itself(seed, num_negatives, temperature, power):
    torch.manual_seed(seed)
    batch = Triples(*torch.randint(4, (3, 5)))
    u, v, others = torch.randn(3, 5, 3).double()

    def score(user, item):
        return torch.cosine_similarity(user, item, dim=0) * item.norm() ** power

    losses = []
    for i in range(5):
        scores = [score(u[i], v[i])]
        for j in range(min(num_negatives, 5)):
            if batch.neg_items[j] != batch.pos_items[i]:
                scores.append(score(u[i], others[j]))
        exponentials = (torch.stack(scores) / temperature).exp()
        losses.append(-(exponentials[0] / exponentials.sum()).log())
    ranking = SampledSoftmaxLoss(
        temperature=temperature, item_length=power, num_negatives=num_negatives
    )
    assert_close(ranking(batch, u, v, others), torch.stack(losses).mean())
    users, items = ranking.factors(u, v)
    assert_close(users @ items.T, torch.stack([torch.stack([score(a, b) for b in v]) for a in u]))


def test_representations_of_zeros_score_zero():
    rows = torch.tensor([[3.0, 4], [0, 0]], requires_grad=True)
    users, items = SampledSoftmaxLoss(item_length=0.5).factors(rows, rows)
    scores = users @ items.T
    assert_close(scores, torch.tensor([[5**0.5, 0], [0, 0]]))
    (gradient,) = torch.autograd.grad(scores.sum(), rows)
    assert gradient.isfinite().all()


def test_an_option_out_of_range_is_refused():
    with pytest.raises(ValueError, match="temperature must be greater than 0, got 0"):
        SampledSoftmaxLoss(temperature=0.0)
    with pytest.raises(ValueError, match=r"num_negatives must be .* 1, got 0"):
        SampledSoftmaxLoss(num_negatives=0)
