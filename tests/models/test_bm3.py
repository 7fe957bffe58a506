import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.graph import user_item_graph
from hugraph.interfaces import TokenBag, Triples
from hugraph.models.bm3 import BM3
from hugraph.train import Objective
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default


class TestBM3(RecommenderContract):
    def make(self, world):
        return BM3(
            world.num_users,
            world.num_items,
            world.modality_features,
            world.user_item_adjacency,
            dim=8,
        )


def triples(users, items):
    return Triples(torch.tensor(users), torch.tensor(items), torch.zeros(len(users)).long())


def small(**options):
    """Three users, four items, of which the last is cold; two modalities, neither complete."""
    graph = user_item_graph([0, 0, 1, 2], [0, 1, 1, 2], 3, 4)
    visual = torch.randn(4, 5)
    visual[2] = 0
    textual = TokenBag(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 3, 4]), 3)
    features = {"visual": visual, "textual": textual}
    return BM3(3, 4, features, graph, dim=3, token_dim=2, **options)


def test_one_edge_worked_by_hand():
    graph = user_item_graph([0], [0], 1, 1)
    model = BM3(1, 1, {"visual": torch.tensor([[1.0, 0]])}, graph, dim=2, dropout=0.0)
    model.embeddings.data = torch.tensor([[2.0, 0], [0, 2]])
    model.predictor.weight.data = torch.eye(2)
    model.projections[0].weight.data = torch.eye(2)
    # Both smooth to (1, 1), and the item becomes (1, 3); the content is (1, 0).
    terms = model.terms(triples([0], [0]))
    assert_close(terms["alignment"].item(), 2 * (1 - 4 / math.sqrt(20)))
    assert_close(terms["modal_alignment"].item(), 1 - 1 / math.sqrt(10))
    assert terms["intra_modal"].item() == 0
    assert terms["l2"].item() == (2 + 10) / 2
    assert model.scorer()(torch.tensor([0])).item() == 4


def cosine(a, b):
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def naive(model, users, items):
    """The paper's losses, one example after the other."""
    edges = {(0, 0), (0, 1), (1, 1), (2, 2)}
    degree = [sum(node in (u, 3 + v) for u, v in edges) for node in range(7)]
    linked = lambda a, b: (a, b - 3) in edges or (b, a - 3) in edges
    layers = [list(model.embeddings)]
    for _ in range(model.propagation.num_layers):
        layers.append(
            [
                sum(
                    (
                        layers[-1][b] / math.sqrt(degree[a] * degree[b])
                        for b in range(7)
                        if linked(a, b)
                    ),
                    torch.zeros(3),
                )
                for a in range(7)
            ]
        )
    h = [sum(rows) / len(layers) for rows in zip(*layers, strict=True)]
    h_user, h_item = h[:3], [h[3 + v] + model.embeddings[3 + v] for v in range(4)]
    predict = lambda row: model.predictor.weight @ row + model.predictor.bias
    terms = {"alignment": 0.0, "modal_alignment": 0.0, "intra_modal": 0.0, "l2": 0.0}
    batch = len(users)
    for u, v in zip(users, items, strict=True):
        terms["alignment"] += (1 - cosine(predict(h_user[u]), h_item[v].detach())) / batch
        terms["alignment"] += (1 - cosine(predict(h_item[v]), h_user[u].detach())) / batch
        terms["l2"] += (h_user[u].square().sum() + h_item[v].square().sum()) / (2 * batch)
    for m, (linear, lacking) in enumerate(zip(model.projections, (2, 0), strict=True)):
        having = [v for v in items if v != lacking]
        for v in having:
            content = linear.weight @ model.content.of(m)[v] + linear.bias
            to_item = 1 - cosine(predict(content), h_item[v].detach())
            within = 1 - cosine(predict(content), content.detach())
            terms["modal_alignment"] += to_item / len(having)
            terms["intra_modal"] += within / len(having)
    scores = [[predict(h_user[u]) @ predict(h_item[v]) for v in range(4)] for u in range(3)]
    return terms, torch.stack([torch.stack(row) for row in scores])


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_terms_gradients_and_scores_are_those_of_the_formulas(seed, num_layers):
    torch.manual_seed(seed)
    with float64_by_default():
        model = small(num_layers=num_layers, dropout=0.0)
        for linear in (*model.projections, model.predictor):
            torch.nn.init.normal_(linear.bias)
        users, items = [0, 0, 1, 2, 0], [0, 1, 1, 2, 0]
        terms, (expected, scores) = model.terms(triples(users, items)), naive(model, users, items)
    assert terms.keys() == expected.keys()
    assert_close(model.scorer()(torch.arange(3)), scores)
    weights = dict(zip(terms, torch.randn(4).double(), strict=True))
    gradients, naive_gradients = (
        torch.autograd.grad(sum(weights[name] * given[name] for name in given), model.parameters())
        for given in (terms, expected)
    )
    for name in terms:
        assert_close(terms[name], expected[name])
    for gradient, wanted in zip(gradients, naive_gradients, strict=True):
        assert_close(gradient, wanted)


def test_a_view_keeps_the_entries_that_are_not_dropped(monkeypatch):
    model = small(dropout=0.5)
    model.predictor.weight.data = torch.eye(3)
    drawn = torch.tensor([[0.4, 0.5, 0.9]])  # drops the first entry
    monkeypatch.setattr(torch, "rand_like", lambda rows: drawn)
    h_user, h_item = model.represent(torch.tensor([1]), torch.tensor([1]))
    kept = torch.tensor([0.0, 1, 1])
    expected = 2 - cosine(h_user[0], h_item[0] * kept) - cosine(h_item[0], h_user[0] * kept)
    assert_close(model.terms(triples([1], [1]))["alignment"], expected)


def test_both_modal_terms_weigh_two_where_the_spec_gives_no_weights():
    (weights,) = Objective().weights(small().stages())
    assert weights == {"alignment": 1, "modal_alignment": 2, "intra_modal": 2, "l2": 1e-4}


def test_negatives_change_nothing():
    model = small(dropout=0.0)
    batch = triples([0, 1], [1, 1])
    other = batch._replace(neg_items=torch.tensor([3, 2]))
    assert model.terms(batch) == model.terms(other)


def test_where_no_item_of_a_batch_has_a_modality_its_terms_are_zero():
    model = small(modalities=["visual"])
    terms = model.terms(triples([2], [2]))
    assert terms["modal_alignment"] == terms["intra_modal"] == 0


def test_the_embedding_of_a_cold_item_is_never_trained():
    model = small()
    sum(model.terms(triples([0, 0, 1, 2], [0, 1, 1, 2])).values()).backward()
    moved = model.embeddings.grad.abs().sum(dim=1) > 0
    assert moved.tolist() == [True] * 6 + [False]


def test_a_graph_of_other_nodes_or_views_without_any_entry_are_refused():
    with pytest.raises(ValueError, match=r"dropout must be less than 1, got 1\.0"):
        small(dropout=1.0)
    with pytest.raises(ValueError, match="has 2 nodes, expected 3"):
        BM3(1, 2, {"visual": torch.ones(2, 1)}, user_item_graph([0], [0], 1, 1))
