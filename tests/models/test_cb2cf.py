import pytest
import torch
from torch.testing import assert_close

from hugraph.interfaces import DotProduct, ItemBatch, TokenBag
from hugraph.models.cb2cf import CB2CF
from tests.contracts.recommender import RecommenderContract


class TestCB2CF(RecommenderContract):
    def make(self, world):
        return CB2CF(
            world.num_users, world.num_items, world.modality_features, dim=8, layers=[16, 8]
        )


def test_scores_and_error_equal_the_formula_entry_by_entry():
    torch.manual_seed(0)
    bag = TokenBag(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1, 3]), 2)
    features = {"visual": torch.randn(3, 4), "textual": bag}
    model = CB2CF(2, 3, features, dim=2, layers=[3], dropout=0.0, token_dim=5)
    model.double().requires_grad_(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    p, q = model.factors.user_embeddings, model.factors.item_embeddings
    encoders = [tuple(encoder.parameters()) for encoder in model.encoders]
    predicted = torch.empty(3, 2).double()
    for v in range(3):
        views = [
            max(0, float(w[j] @ rows[v] + b[j]))
            for (w, b), rows in zip(encoders, model.content.rows(), strict=True)
            for j in range(3)
        ]
        predicted[v] = model.combiner.weight @ p.new(views) + model.combiner.bias
    assert_close(model.scorer()(torch.tensor([1, 0])), torch.stack([p[1], p[0]]) @ predicted.T)
    terms = model.regression_terms(ItemBatch(torch.tensor([2, 0])))
    errors = [(predicted[v, d] - q[v, d]) ** 2 for v in (0, 2) for d in range(2)]
    assert_close(terms["squared_error"], sum(errors) / 2)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    features = {"visual": torch.tensor([[1.0, 2], [1, 2], [0, 5]])}
    return CB2CF(2, 3, features, dim=4, layers=[8])


def test_each_stage_has_its_own_parameters_and_leaves_those_of_the_other_alone(model):
    first, second = model.stages()
    own = [{id(parameter) for parameter in stage.parameters} for stage in (first, second)]
    assert not own[0] & own[1]
    assert own[0] | own[1] == {id(parameter) for parameter in model.parameters()}
    second.terms(ItemBatch(torch.tensor([0, 2])))["squared_error"].backward()
    assert all(parameter.grad is None for parameter in first.parameters)


def test_the_first_stage_is_validated_by_the_factors_and_the_second_by_content(model):
    first, second = model.stages()
    users, p, q = torch.arange(2), model.factors.user_embeddings, model.factors.item_embeddings
    assert torch.equal(first.scorer()(users), DotProduct(p, q)(users))
    assert second.scorer is None


def test_units_are_left_out_while_training_alone(model):
    assert not torch.equal(model.train().predict(), model.predict())
    assert torch.equal(model.eval().predict(), model.predict())


def test_a_cold_item_scores_as_its_twin_in_content(model):
    model.eval()
    warm, cold, other = model.scorer()(torch.tensor([0]))[0]
    assert warm == cold != other


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": []}, "layers must"),
        ({"layers": [0]}, "layers must"),
        ({"dropout": 1.0}, "less than 1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CB2CF(1, 1, {"visual": torch.ones(1, 2)}, **options)
