import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.graph import user_item_graph
from hugraph.interfaces import TokenBag, Triples
from hugraph.models.mgcn import MGCN
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default


class TestMGCN(RecommenderContract):
    def make(self, world):
        content = world.modality_features["visual"]
        return MGCN(
            world.num_users,
            world.num_items,
            {"visual": content[:, :3], "acoustic": content[:, 3:]},  # one would need no attention
            world.user_item_adjacency,
            dim=8,
            num_neighbors=4,
        )


EDGES = [(0, 0), (0, 1), (1, 1), (2, 2), (2, 3)]
BATCH = Triples(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 2]), torch.tensor([2, 4, 4, 1]))
COUNTS = [[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]  # of tokens in each item


def small(**options):
    """Four users and five items; the last of each is cold, and no modality is complete."""
    graph = user_item_graph(*zip(*EDGES, strict=True), 4, 5)
    visual = torch.randn(5, 6)
    visual[2:4] = 0  # so that vision tells nothing of user 2
    textual = TokenBag(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 2, 3, 4]), 3)
    features = {"visual": visual, "textual": textual}
    options = {"dim": 3, "num_neighbors": 2, "token_dim": 2} | options
    return MGCN(4, 5, features, graph, **options)


def test_one_user_and_one_item_worked_by_hand():
    graph = user_item_graph([0], [0], 1, 1)
    features = {"visual": torch.tensor([[1.0]]), "acoustic": torch.tensor([[2.0]])}
    model = MGCN(1, 1, features, graph, dim=1, num_layers=1, num_neighbors=1)
    for parameter in model.parameters():
        parameter.data.zero_()
    model.user_embeddings.data = torch.tensor([[2.0]])
    model.item_embeddings.data = torch.tensor([[6.0]])
    model.gates[1].bias.data = torch.tensor([math.log(3)])  # opens three quarters, not one half
    # Behaviour smooths to 4. The item's content is 3 and 4.5, and so is the user's; attention is
    # even, so that both share 3.75. Half of -0.75 and of 0.75 are specific, on average 0.
    u, v = model.views()
    for view in (u, v):
        assert_close(view.behaviour.item(), 4.0)
        assert_close(view.content.item(), 3.75)
    model.preferences.bias.data = torch.tensor([math.log(3), 0.0])
    u, _ = model.views()
    assert_close(u.content.item(), 3.75 + (0.75 * -0.75 + 0.5 * 0.75) / 2)
    assert_close(model.scorer()(torch.tensor([0])).item(), (4 + 3.75 - 0.09375) ** 2)


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def cosine(a, b):
    lengths = a.square().sum().sqrt() * b.square().sum().sqrt()
    return (a * b).sum() / lengths if lengths > 0 else torch.zeros(())


def naive_views(model, lacking):
    """The paper's equations, one entry after the other: a behaviour and a content per node."""
    num_users, num_items, k = 4, 5, 2
    users, items = list(model.user_embeddings), list(model.item_embeddings)
    linked = [[float((u, v) in EDGES) for v in range(num_items)] for u in range(num_users)]
    degree_u = [sum(row) for row in linked]
    degree_v = [sum(row[v] for row in linked) for v in range(num_items)]
    strength = lambda u, v: linked[u][v] and 1 / math.sqrt(degree_u[u] * degree_v[v])
    layers = [(users, items)]
    for _ in range(model.propagation.num_layers):
        below_u, below_v = layers[-1]
        layers.append(
            (
                [sum(strength(u, v) * below_v[v] for v in range(5)) for u in range(4)],
                [sum(strength(u, v) * below_u[u] for u in range(4)) for v in range(5)],
            )
        )
    mean = lambda nodes: [sum(rows) / len(layers) for rows in zip(*nodes, strict=True)]
    behaviour = mean([u for u, _ in layers]) + mean([v for _, v in layers])

    content = []
    for m, (projection, gate) in enumerate(zip(model.projections, model.gates, strict=True)):
        features = model.content.of(m)
        raw = [features, torch.tensor(COUNTS)][m]
        purified = []
        for v in range(num_items):
            projected = projection.weight @ features[v] + projection.bias
            purified.append(items[v] * sigmoid(gate.weight @ projected + gate.bias))
        similarity = [[0.0] * num_items for _ in range(num_items)]
        for v in set(range(num_items)) - lacking[m]:
            others = sorted(
                set(range(num_items)) - lacking[m],
                key=lambda w: -cosine(raw[v], raw[w]).item(),
            )
            for w in others[:k]:
                similarity[v][w] = max(cosine(raw[v], raw[w]).item(), 0.0)
        degree = [sum(row) for row in similarity]
        smoothed = []
        for v in range(num_items):
            row = torch.zeros(3)
            for w in range(num_items):
                if similarity[v][w]:
                    row = row + similarity[v][w] / math.sqrt(degree[v] * degree[w]) * purified[w]
            smoothed.append(row)
        content.append(
            [sum(strength(u, v) * smoothed[v] for v in range(5)) for u in range(4)] + smoothed
        )

    informed = [
        [any((u, v) in EDGES and v not in lacking[m] for v in range(5)) for m in range(2)]
        for u in range(4)
    ] + [[v not in lacking[m] for m in range(2)] for v in range(5)]
    fused = []
    inner, _, outer = model.attention
    for node in range(9):
        having = [m for m in range(2) if informed[node][m]]
        if not having:
            fused.append(torch.zeros(3))
            continue
        logits = [
            outer.weight[0] @ torch.tanh(inner.weight @ content[m][node] + inner.bias)
            for m in having
        ]
        shares = [torch.exp(logit) / sum(torch.exp(other) for other in logits) for logit in logits]
        common = sum(s * content[m][node] for s, m in zip(shares, having, strict=True))
        total = common
        for m in having:
            rows = slice(3 * m, 3 * m + 3)
            wish = model.preferences.weight[rows] @ behaviour[node] + model.preferences.bias[rows]
            total = total + (content[m][node] - common) * sigmoid(wish) / len(having)
        fused.append(total)
    return behaviour, fused


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 2))
def test_scores_terms_and_gradients_are_those_of_the_formulas(seed, num_layers):
    torch.manual_seed(seed)
    with float64_by_default():
        model = small(num_layers=num_layers, temperature=0.5)
        terms = model.terms(BATCH)
        behaviour, content = naive_views(model, lacking=({2, 3}, {0}))
        final = [b + c for b, c in zip(behaviour, content, strict=True)]
        scores = torch.stack([torch.stack([u @ v for v in final[4:]]) for u in final[:4]])
        assert_close(model.scorer()(torch.arange(4)), scores)

        bpr, l2 = 0.0, 0.0
        for u, i, j in zip(*(ids.tolist() for ids in BATCH), strict=True):
            bpr = bpr - torch.log(sigmoid(scores[u, i] - scores[u, j])) / 4
            rows = model.user_embeddings[u], model.item_embeddings[i], model.item_embeddings[j]
            l2 = l2 + sum(row.square().sum() for row in rows) / 8
        contrast = 0.0
        for nodes in ([0, 1, 2], [4, 5, 6]):  # users 0 to 2, positive items 0 to 2
            for a in nodes:
                found = [torch.exp(cosine(content[a], behaviour[b]) / 0.5) for b in nodes]
                contrast = contrast - torch.log(found[nodes.index(a)] / sum(found)) / 3
    expected = {"bpr": bpr, "l2": l2, "contrast": contrast}
    assert terms.keys() == expected.keys()
    for name in terms:
        assert_close(terms[name], expected[name])
    weights = dict(zip(terms, torch.randn(3).double(), strict=True))
    gradients, naive = (
        torch.autograd.grad(sum(weights[name] * given[name] for name in given), model.parameters())
        for given in (terms, expected)
    )
    for gradient, wanted in zip(gradients, naive, strict=True):
        assert_close(gradient, wanted)


def test_a_cold_item_ranks_by_the_items_that_it_resembles():
    graph = user_item_graph([0], [0], 1, 3)
    look = torch.tensor([[1.0, 0], [2, 0], [0, 1]])  # item 1 looks like item 0, item 2 does not
    model = MGCN(1, 3, {"visual": look}, graph, dim=2, num_neighbors=2)
    model.user_embeddings.data = torch.ones(1, 2)
    model.item_embeddings.data = torch.tensor([[1.0, 1], [0, 0], [0, 0]])
    known, similar, different = model.scorer()(torch.tensor([0]))[0].tolist()
    assert known > similar > 0 and different == 0


def test_an_item_without_any_content_has_behaviour_alone():
    graph = user_item_graph([0, 0], [0, 1], 1, 2)
    model = MGCN(1, 2, {"visual": torch.tensor([[1.0], [0]])}, graph, dim=2)
    _, v = model.views()
    assert v.content[1].tolist() == [0, 0] and v.content[0].abs().sum() > 0


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="item_layers must be greater than or equal to 1, got 0"):
        small(item_layers=0)
    with pytest.raises(ValueError, match="k must be greater than or equal to 1, got 0"):
        small(num_neighbors=0)
    with pytest.raises(ValueError, match=r"temperature must be greater than 0, got 0\.0"):
        small(temperature=0.0)


def test_with_one_modality_the_content_view_is_what_similar_items_say():
    model = small(modalities=["visual"])
    u, v = model.views()
    told = model.informed[:, 0].split([4, 5])
    smoothed = model._similar(0)
    assert_close(v.content, smoothed * told[1].unsqueeze(1))
    assert_close(u.content, model._to_users(smoothed) * told[0].unsqueeze(1))
