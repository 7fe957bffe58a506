import pytest
import torch
from torch.testing import assert_close

from hugraph.interfaces import TokenBag, Triples
from hugraph.models.duif import DUIF
from tests.contracts.recommender import RecommenderContract


class TestDUIF(RecommenderContract):
    def make(self, world):
        return DUIF(world.num_users, world.num_items, world.modality_features, layers=(16, 4))


def test_scores_and_penalties_equal_the_formula_entry_by_entry():
    torch.manual_seed(0)
    bag = TokenBag(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1, 3]), 2)
    features = {"visual": torch.randn(3, 4), "textual": bag}
    model = DUIF(2, 3, features, layers=[6, 5, 2], token_dim=3)
    model.double().requires_grad_(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    w1, b1, w2, b2 = model.hidden.parameters()
    w3 = model.projection.T
    content = torch.cat(model.content.rows(), dim=1)
    scores = model.scorer()(torch.arange(2))
    for u in range(2):
        for v in range(3):
            first = [max(0, float(w1[j] @ content[v] + b1[j])) for j in range(6)]
            second = [max(0, float(w2[j] @ w2.new(first) + b2[j])) for j in range(5)]
            assert_close(scores[u, v], model.user_embeddings[u] @ (w3 @ w3.new(second)))
    terms = model.terms(Triples(torch.tensor([1]), torch.tensor([0]), torch.tensor([2])))
    assert_close(terms["bpr"], -(scores[1, 0] - scores[1, 2]).sigmoid().log())
    assert_close(terms["l2"], model.user_embeddings[1].square().sum() / 2)
    squares = [weights.square().sum() for weights in (w1, b1, w2, b2, w3)]
    assert_close(terms["content_l2"], sum(squares) / 2)


def test_one_layer_is_linear_in_the_content_worked_by_hand():
    model = DUIF(1, 3, {"visual": torch.tensor([[1.0, 2], [-1, -2], [0, 0]])}, layers=[1])
    model.user_embeddings.data = torch.tensor([[2.0]])
    model.projection.data = torch.tensor([[3.0], [5.0]])
    assert model.scorer()(torch.tensor([0])).tolist() == [[26, -26, 0]]


def test_a_cold_item_scores_as_its_twin_in_content_that_was_trained():
    model = DUIF(1, 3, {"visual": torch.tensor([[1.0, 2], [1, 2], [0, 5]])}, layers=[8, 4])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    before = model.scorer()(torch.tensor([0]))[0].detach()
    for _ in range(5):
        optimizer.zero_grad()
        model.terms(Triples(*torch.tensor([[0], [0], [2]])))["bpr"].backward()
        optimizer.step()
    trained, cold, other = model.scorer()(torch.tensor([0]))[0].detach()
    assert trained == cold and cold - other > before[1] - before[2]


@pytest.mark.parametrize("layers", [[], [4, 0]])
def test_layers_without_a_size_are_refused(layers):
    with pytest.raises(ValueError, match="layers must"):
        DUIF(1, 1, {"visual": torch.ones(1, 2)}, layers=layers)
