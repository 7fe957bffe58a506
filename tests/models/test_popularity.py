import torch

from hugraph.interfaces import Interactions
from hugraph.models.popularity import Popularity


def test_items_are_scored_by_how_many_users_know_them():
    train = Interactions(torch.tensor([0, 1, 1, 2]), torch.tensor([2, 2, 0, 2]))
    model = Popularity(3, 4, train)
    assert model.stages() == ()
    assert model.scorer()(torch.tensor([2, 0])).tolist() == [[1, 0, 3, 0], [1, 0, 3, 0]]
