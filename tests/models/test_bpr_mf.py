import torch
from torch.testing import assert_close

from hugraph.interfaces import Triples
from hugraph.models.bpr_mf import BPRMF
from tests.contracts.recommender import RecommenderContract


class TestBPRMF(RecommenderContract):
    def make(self, world):
        return BPRMF(world.num_users, world.num_items, dim=8)


def test_one_triple_worked_by_hand():
    model = BPRMF(1, 2, dim=2)
    model.user_embeddings.data = torch.tensor([[1.0, 2]])
    model.item_embeddings.data = torch.tensor([[3.0, 1], [0, 2]])
    terms = model.terms(Triples(torch.tensor([0]), torch.tensor([0]), torch.tensor([1])))
    assert_close(terms["bpr"], torch.log1p(torch.exp(torch.tensor(-1.0))))  # 5 against 4
    assert_close(terms["l2"], torch.tensor((5 + 10 + 4) / 2))
