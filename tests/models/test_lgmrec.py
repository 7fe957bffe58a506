import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.graph import user_item_graph
from hugraph.interfaces import TokenBag, Triples
from hugraph.models.lgmrec import LGMRec
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default


class TestLGMRec(RecommenderContract):
    def make(self, world):
        content = world.modality_features["visual"]
        return LGMRec(
            world.num_users,
            world.num_items,
            {"visual": content[:, :3], "acoustic": content[:, 3:]},
            world.user_item_adjacency,
            dim=8,
        )


EDGES = [(0, 0), (0, 1), (1, 1), (2, 2), (2, 3)]
BATCH = Triples(torch.tensor([2, 0, 1, 2]), torch.tensor([3, 1, 1, 2]), torch.tensor([1, 4, 4, 0]))
USERS, POSITIVES, ITEMS = [0, 1, 2], [1, 2, 3], [0, 1, 2, 3, 4]
LACKING = ({2}, {0, 1})  # items of the first and of the second modality


def small(**options):
    """Four users and five items; the last of each is cold, and no modality is complete."""
    graph = user_item_graph(*zip(*EDGES, strict=True), 4, 5)
    visual = torch.randn(5, 6)
    visual[2] = 0
    textual = TokenBag(torch.tensor([1, 1, 2, 0]), torch.tensor([0, 0, 0, 1, 3, 4]), 3)
    features = {"visual": visual, "textual": textual}
    options = {"dim": 3, "num_hyperedges": 2, "token_dim": 2} | options
    return LGMRec(4, 5, features, graph, **options)


def test_one_user_and_one_item_worked_by_hand():
    graph = user_item_graph([0], [0], 1, 1)
    features = {"visual": torch.tensor([[2.0]])}
    options = {"dim": 1, "num_layers": 1, "num_hyperedges": 2, "temperature": 0.5}
    model = LGMRec(1, 1, features, graph, **options).eval()
    model.user_embeddings.data = torch.tensor([[2.0]])
    model.item_embeddings.data = torch.tensor([[6.0]])
    model.hyperedges[0].data = torch.tensor([[0.0, math.log(3) / 4]])
    # Both smooth to 4, and content of length 1 adds 1. The logits (0, ln 3 / 2) over the
    # temperature are (0, ln 3): the hyperedges get 1/4 and 3/4 of the item's 4, and give as much
    # of that back, (1/16 + 9/16) 4 = 2.5, of which 0.3 times the sign is added.
    u, v = model.sights()
    assert_close(u.of_hyperedges[0], torch.tensor([[2.5]]))
    assert_close(v.of_hyperedges[0], torch.tensor([[2.5]]))
    near = 4 + model.projections[0].detach().sign()
    assert_close(u.local, near)
    assert_close(model.scorer()(torch.tensor([0])), (near + 0.3) ** 2)


def cosine(a, b):
    lengths = a.square().sum().sqrt() * b.square().sum().sqrt()
    return (a * b).sum() / lengths if lengths > 0 else torch.zeros(())


def normalized(row):
    length = row.square().sum().sqrt()
    return row / length if length > 0 else row


def naive_rows(model, users, draws):
    """The paper's equations: what is final and, per modality, global, of `users` and all items.

    `draws` gives, in turn, the uniform numbers of the noise and of the dropping, for users and
    then for items of each modality; None is the noise's median and no dropping.
    """
    history = torch.zeros(4, 5)
    for u, v in EDGES:
        history[u, v] = 1
    adjacency = torch.zeros(9, 9)
    adjacency[:4, 4:], adjacency[4:, :4] = history, history.T
    root = [1 / math.sqrt(max(row.sum().item(), 1)) for row in adjacency]
    smooth = torch.stack(
        [torch.stack([root[a] * adjacency[a, b] * root[b] for b in range(9)]) for a in range(9)]
    )
    own = torch.cat([model.user_embeddings, model.item_embeddings])
    num_layers = model.propagation.num_layers
    layers = [torch.linalg.matrix_power(smooth, layer) @ own for layer in range(num_layers + 1)]
    mean = sum(layers) / len(layers)
    final = {node: mean[node] for node in (*users, *range(4, 9))}
    hyper = []
    for m in range(2):
        features = model.content.of(m)
        start = torch.zeros(9, features.shape[1])
        logits = []
        for u in range(4):
            known = [v for v in range(5) if (u, v) in EDGES and v not in LACKING[m]]
            total = sum((features[v] for v in known), torch.zeros(features.shape[1]))
            start[u] = total / max(len(known), 1)
            if u in users:
                logits.append(total @ model.hyperedges[m])
        start[4:] = features
        nearby = torch.linalg.matrix_power(smooth, model.content_layers) @ start
        for node in final:
            final[node] = final[node] + normalized(nearby[node] @ model.projections[m])

        def assigned(rows):
            if draws is None:
                return [torch.exp(row / 0.5) / torch.exp(row / 0.5).sum() for row in rows]
            delta, kept = draws.pop(0), draws.pop(0)
            noisy = [
                torch.exp((row + torch.log(d / (1 - d))) / 0.5)
                for row, d in zip(rows, delta, strict=True)
            ]
            return [
                row / row.sum() * (k < model.keep_rate) for row, k in zip(noisy, kept, strict=True)
            ]

        of_users = assigned(logits)
        of_items = assigned([row @ model.hyperedges[m] for row in features])
        of_items = [row * (v not in LACKING[m]) for v, row in enumerate(of_items)]
        reached = [mean[4 + v] for v in range(5)]
        for _ in range(model.hyperedge_layers):
            hubs = [sum(of_items[v][e] * reached[v] for v in range(5)) for e in range(2)]
            reached = [sum(row[e] * hubs[e] for e in range(2)) for row in of_items]
        told = [sum(row[e] * hubs[e] for e in range(2)) for row in of_users]
        hyper.append(dict(zip(final, told + reached, strict=True)))
    for node in final:
        final[node] = final[node] + model.global_weight * normalized(sum(h[node] for h in hyper))
    return final, hyper


options = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 2),
        "content_layers": st.integers(0, 2),
        "hyperedge_layers": st.integers(1, 3),
    }
)


@settings(max_examples=25)
@given(st.integers(0, 10**6), options)
def test_scores_terms_and_gradients_are_those_of_the_formulas(seed, options):
    torch.manual_seed(seed)
    draws = []

    def recorded(like, draw=torch.rand_like):
        draws.append(draw(like))
        return draws[-1]

    with float64_by_default(), pytest.MonkeyPatch.context() as patch:
        model = small(temperature=0.5, **options)
        final, _ = naive_rows(model, range(4), None)
        scores = [torch.stack([final[u] @ final[4 + v] for v in range(5)]) for u in range(4)]
        assert_close(model.eval().scorer()(torch.arange(4)), torch.stack(scores))

        patch.setattr(torch, "rand_like", recorded)
        terms = model.train().terms(BATCH)
        final, hyper = naive_rows(model, USERS, draws)
        bpr, l2 = 0.0, 0.0
        for u, i, j in zip(*(ids.tolist() for ids in BATCH), strict=True):
            bpr = bpr + torch.log(1 + torch.exp(final[u] @ (final[4 + j] - final[4 + i]))) / 4
            rows = model.user_embeddings[u], model.item_embeddings[i], model.item_embeddings[j]
            l2 = l2 + sum(row.square().sum() for row in rows) / 8
        contrast = 0.0
        for nodes in (USERS, [4 + 3]):  # of the positive items only 3 has both modalities
            for a in nodes:
                found = [torch.exp(cosine(hyper[0][a], hyper[1][b]) / 0.5) for b in nodes]
                contrast = contrast - torch.log(found[nodes.index(a)] / sum(found)) / len(nodes)
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


def test_hyperedges_show_a_cold_item_as_they_show_a_known_one_of_the_same_content():
    graph = user_item_graph([0, 1], [0, 1], 2, 3)
    look = torch.tensor([[1.0, 0], [0, 1], [1, 0]])  # item 2 is cold and looks like item 0
    model = LGMRec(2, 3, {"visual": look}, graph, dim=2).eval()
    _, v = model.sights()
    known, other, cold = v.of_hyperedges[0]
    assert_close(cold, known)
    assert (other - known).abs().sum() > 0
    assert_close(v.local[2], model.item_embeddings[2] / 3)


def test_noise_and_dropping_belong_to_training():
    model = small()
    first, second = (model.encode().items for _ in range(2))
    assert not torch.equal(first, second)
    model.eval()
    first, second = (model.encode().items for _ in range(2))
    assert torch.equal(first, second)


def test_there_is_nothing_to_contrast_with_one_modality_or_no_item_that_has_two():
    assert small(modalities=["visual"]).terms(BATCH)["contrast"] == 0
    batch = Triples(torch.tensor([1]), torch.tensor([1]), torch.tensor([4]))
    assert small().terms(batch)["contrast"] == 0  # one user alone is always found


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"keep_rate must be greater than 0, got 0\.0"):
        small(keep_rate=0.0)
    with pytest.raises(ValueError, match=r"temperature must be greater than 0, got -1\.0"):
        small(temperature=-1.0)
