import torch
from torch.testing import assert_close

from hugraph.interfaces import TokenBag, Triples
from hugraph.models.vbpr import VBPR
from tests.contracts.recommender import RecommenderContract


class TestVBPR(RecommenderContract):
    def make(self, world):
        return VBPR(
            world.num_users, world.num_items, world.modality_features, id_dim=4, content_dim=4
        )


def test_scores_and_penalties_equal_the_formula_entry_by_entry():
    torch.manual_seed(0)
    bag = TokenBag(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1, 3]), 2)
    model = VBPR(
        2, 3, {"visual": torch.randn(3, 4), "textual": bag}, id_dim=2, content_dim=3, token_dim=5
    ).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    features = torch.cat(model.content.rows(), dim=1)
    scores = model.scorer()(torch.arange(2))
    for u in range(2):
        for v in range(3):
            expected = (
                model.item_bias[v, 0]
                + model.user_embeddings[u] @ model.item_embeddings[v]
                + model.user_tastes[u] @ (model.projection.T @ features[v])
                + model.feature_bias[:, 0] @ features[v]
            )
            assert_close(scores[u, v], expected)
    terms = model.terms(Triples(torch.tensor([1]), torch.tensor([0]), torch.tensor([2])))
    rows = [model.user_embeddings[1], model.user_tastes[1]]
    rows += [model.item_embeddings[v] for v in (0, 2)] + [model.item_bias[v] for v in (0, 2)]
    assert_close(terms["l2"], sum(row.square().sum() for row in rows) / 2)
    projection = model.projection.square().sum() + model.feature_bias.square().sum()
    assert_close(terms["content_l2"], projection / 2)


def test_items_with_the_same_content_and_no_history_score_alike():
    model = VBPR(1, 3, {"visual": torch.tensor([[1.0, 2], [1, 2], [0, 5]])})
    model.item_embeddings.data.zero_()
    scores = model.scorer()(torch.tensor([0]))[0]
    assert_close(scores[0], scores[1])
    assert scores[0] != scores[2]
