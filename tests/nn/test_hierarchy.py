import pytest
import torch
from torch.testing import assert_close

from hugraph.nn import IntentHierarchy, IntentPooling, IntraLevelConv
from tests.graphs import graph_of

PATH = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]).double()


def hierarchy(levels, dim=3, **options):
    convs = [IntraLevelConv(dim) for _ in levels]
    poolings = [IntentPooling(dim, k, assignment_scale=4.0) for k in levels]
    return IntentHierarchy(convs, poolings, **options).double()


def test_certain_assignments_chain_to_certain_memberships_worked_by_hand():
    stack = hierarchy([3, 2], dim=3)
    stack.poolings[0].supernodes.data = 1000 * torch.eye(3).double()
    stack.poolings[1].supernodes.data = torch.tensor([[1, 1, 0], [0, 0, 1]]).double()
    features = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]]).double()
    intents = stack(features, torch.eye(4).double())  # every node its own only neighbour
    fine = intents.representations()[:, :3]
    assert_close(fine, torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]]).double())
    assert intents.representations()[:, 3:].argmax(dim=1).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("levels", [[1], [5], [5, 3], [6, 4, 2], [6, 4, 3, 2]])
def test_an_item_is_a_distribution_at_every_level_times_the_scale(levels):
    torch.manual_seed(0)
    intents = hierarchy(levels, intent_scale=3.0)(torch.randn(4, 3).double(), graph_of(PATH))
    for block in intents.representations().split(levels, dim=1):
        assert_close(block.sum(dim=1), torch.full((4,), 3.0).double())


def test_a_single_intent_cannot_rank():
    torch.manual_seed(0)
    intents = hierarchy([1])(torch.randn(4, 3).double(), graph_of(PATH))
    assert_close(intents.representations(), torch.ones(4, 1).double())


def test_chosen_items_are_the_rows_of_all():
    torch.manual_seed(0)
    intents = hierarchy([5, 2])(torch.randn(4, 3).double(), graph_of(PATH))
    items = torch.tensor([3, 0, 3])
    assert_close(intents.representations(items), intents.representations()[items])


def test_an_item_without_neighbours_is_spread_evenly():
    lonely = torch.zeros(4, 4).double()
    lonely[0, 1] = lonely[1, 0] = 1
    torch.manual_seed(0)
    intents = hierarchy([4, 2])(torch.randn(4, 3).double(), graph_of(lonely))
    assert_close(intents.assignments[0][3], torch.full((4,), 0.25).double())


def test_an_intent_that_nothing_belongs_to_spoils_no_gradient():
    stack = hierarchy([3, 2]).float()
    stack.poolings[0].supernodes.data = torch.tensor([[9.0, 0, 0], [-9, 0, 0], [-9, 0, 0]])
    features = torch.tensor([[1.4, 0, 0]]).repeat(4, 1)  # e^-101 is a denormal, its square is zero
    intents = stack(features, graph_of(PATH))
    assert 0 < intents.assignments[0][0, 1] < 1e-40
    (intents.representations().sum() + sum(intents.penalties.values())).backward()
    for parameter in stack.parameters():
        assert torch.isfinite(parameter.grad).all()


def test_the_penalties_add_up_over_levels():
    torch.manual_seed(0)
    stack = hierarchy([5, 2])
    features = torch.randn(4, 3).double()
    intents = stack(features, graph_of(PATH))
    entropy = sum(-(a * a.log()).sum(dim=1).mean() for a in intents.assignments)
    independence = sum(
        torch.linalg.norm(p.supernodes @ p.supernodes.T - torch.eye(k).double()) / k**2
        for p, k in zip(stack.poolings, [5, 2], strict=True)
    )
    assert_close(intents.penalties["assignment_entropy"], entropy)
    assert_close(intents.penalties["intent_independence"], independence)


def test_convs_and_poolings_must_pair_up():
    with pytest.raises(ValueError, match="got 2 and 1"):
        IntentHierarchy([IntraLevelConv(2), IntraLevelConv(2)], [IntentPooling(2, 3)])
    with pytest.raises(ValueError, match="got 0 and 0"):
        IntentHierarchy([], [])
