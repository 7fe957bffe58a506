import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.interfaces import Interactions, TokenBag, Triples
from hugraph.models.freedom import FREEDOM
from hugraph.nn import neighbor_sum
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default


class TestFREEDOM(RecommenderContract):
    def make(self, world):
        return FREEDOM(
            world.num_users,
            world.num_items,
            world.train_interactions,
            world.modality_features,
            dim=8,
        )


ONE_EDGE = Interactions(torch.tensor([0]), torch.tensor([0]))


def test_an_item_takes_the_mean_of_its_neighbours_worked_by_hand():
    visual = torch.tensor([[1.0, 0], [0, 1], [0, 2]])
    model = FREEDOM(1, 3, ONE_EDGE, {"visual": visual}, dim=1, num_neighbors=2)
    model.user_embeddings.data = torch.tensor([[9.0]])
    model.item_embeddings.data = torch.tensor([[3.0], [6.0], [12.0]])
    items = model.scorer().items
    # Two layers give (3 + 9 + 3) / 3 to the item of the edge, a third of their own to the others.
    assert_close(items[1:], torch.tensor([[2 + 9.0], [4 + 9.0]]))
    assert items[0].item() in (5 + 4.5, 5 + 7.5)  # itself, and either of two it is not like


def dense_propagation(links, own):
    num_users = len(links)
    graph = torch.zeros(len(own), len(own), dtype=own.dtype)
    graph[:num_users, num_users:], graph[num_users:, :num_users] = links, links.T
    root = graph.sum(dim=1).clamp(min=1).rsqrt()
    smooth = root.unsqueeze(1) * graph * root
    return (own + smooth @ own + smooth @ smooth @ own) / 3


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([1, 2]))
def test_representations_and_terms_are_those_of_the_formula(seed, k, item_layers):
    torch.manual_seed(seed)
    num_users, num_items = 4, 5
    links = torch.rand(num_users, num_items) < 0.6
    links[0, 1] = True
    users, items = links.nonzero(as_tuple=True)
    visual = torch.randn(num_items, 4).double()
    visual[2] = 0
    counts = torch.randint(0, 20, (num_items, 3))
    counts[4] = 0
    if seed % 2:
        counts[2] = 0  # lacks everything
    tokens = [t for row in counts for t, count in enumerate(row) for _ in range(count)]
    offsets = torch.cat([torch.tensor([0]), counts.sum(dim=1).cumsum(0)])
    bag = TokenBag(torch.tensor(tokens, dtype=torch.int64), offsets, 3)
    with float64_by_default():
        model = FREEDOM(
            num_users,
            num_items,
            Interactions(users, items),
            {"visual": visual, "textual": bag},
            modality_weights={"textual": 3.0},
            dim=3,
            item_layers=item_layers,
            num_neighbors=k,
            dropped_edges=0.5,
            token_dim=6,
        )
        model.stages()[0].begin_epoch()

    item_graph = torch.zeros(num_items, num_items).double()
    for features, weight in ((visual, 1), (counts.double(), 3)):
        present = [i for i in range(num_items) if features[i].any()]
        for i in present:
            total = sum(w for rows, w in ((visual, 1), (counts, 3)) if rows[i].any())
            unit = {j: features[j] / features[j].norm() for j in present}
            nearest = sorted(present, key=lambda j: -float(unit[i] @ unit[j]))[:k]
            for j in nearest:
                item_graph[i, j] += weight / total / len(nearest)
    added = torch.linalg.matrix_power(item_graph, item_layers) @ model.item_embeddings
    own = torch.cat([model.user_embeddings, model.item_embeddings])

    everything = dense_propagation(links, own)
    assert_close(model.scorer().users, everything[:num_users])
    assert_close(model.scorer().items, everything[num_users:] + added)

    identity = torch.eye(num_users + num_items).double()
    kept = neighbor_sum(model.thinned.adjacency, identity)[:num_users, num_users:]
    assert abs(kept.sum() - len(users) / 2) <= 0.5
    assert not kept[~links].any() and kept.max() == 1
    e = dense_propagation(kept, own)
    e_users, e_items = e[:num_users], e[num_users:] + added
    batch = Triples(torch.tensor([0, 3, 1]), torch.tensor([1, 2, 4]), torch.tensor([0, 4, 3]))
    terms = model.terms(batch)
    embeddings = dict(model.named_parameters())["content._sources.1.embeddings"]
    shares = counts.double() / counts.sum(dim=1, keepdim=True).clamp(min=1)
    expected = dict.fromkeys(terms, 0.0)
    for u, v, w in zip(*(column.tolist() for column in batch), strict=True):
        expected["bpr"] -= torch.sigmoid(e_users[u] @ (e_items[v] - e_items[w])).log() / 3
        rows = (model.user_embeddings[u], model.item_embeddings[v], model.item_embeddings[w])
        expected["l2"] += sum(row.square().sum() for row in rows) / 6
    for layer, raw, features in zip(
        model.projections, (visual, counts), (visual, shares @ embeddings), strict=True
    ):
        losses = [
            -torch.sigmoid(e_users[u] @ (layer(features[v]) - layer(features[w]))).log()
            for u, v, w in zip(*(column.tolist() for column in batch), strict=True)
            if raw[v].any() and raw[w].any()
        ]
        expected["content_bpr"] += sum(losses) / max(len(losses), 1)
    for name, term in terms.items():
        assert_close(term, torch.as_tensor(expected[name], dtype=term.dtype))
    losses = (sum(values.values()) for values in (terms, expected))
    parameters = list(model.parameters())
    gradients = [torch.autograd.grad(t, parameters, materialize_grads=True) for t in losses]
    for gradient, naive in zip(*gradients, strict=True):
        assert_close(gradient, naive)


def test_edges_of_busy_ends_are_kept_less_often_as_probabilities_say():
    # The users have 3 and 1 items, the items 1, 2 and 1 users.
    edges = Interactions(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 2, 1]))
    model = FREEDOM(2, 3, edges, {"visual": torch.eye(3)}, dim=1, dropped_edges=0.5)
    rates = [3**-0.5, 6**-0.5, 3**-0.5, 2**-0.5]
    expected = [0.0] * 4
    for first, second in permutations(range(4), 2):
        chance = rates[first] / sum(rates) * rates[second] / (sum(rates) - rates[first])
        expected[first] += chance
        expected[second] += chance
    (stage,) = model.stages()
    torch.manual_seed(0)
    draws = 600
    counts = torch.zeros(4)
    for _ in range(draws):
        stage.begin_epoch()
        seen = neighbor_sum(model.thinned.adjacency, torch.eye(5))
        counts += seen[edges.users, edges.items + 2]
    for count, chance in zip(counts.tolist(), expected, strict=True):
        assert abs(count / draws - chance) < 4 * math.sqrt(chance * (1 - chance) / draws)


def test_each_epoch_draws_anew_from_the_generator_and_ranking_sees_every_edge():
    torch.manual_seed(0)
    users, items = (torch.rand(10, 10) < 0.5).nonzero(as_tuple=True)
    model = FREEDOM(10, 10, Interactions(users, items), {"visual": torch.randn(10, 3)}, dim=4)
    (stage,) = model.stages()
    ranked = model.scorer().items
    assert_close(model.encode().items, ranked)

    def epoch(seed):
        torch.manual_seed(seed)
        stage.begin_epoch()
        return model.encode().items

    first, second = epoch(1), epoch(2)
    assert not torch.allclose(first, second)
    assert torch.equal(epoch(1), first)
    assert torch.equal(model.scorer().items, ranked)


def test_without_dropped_edges_an_epoch_sees_them_all():
    users, items = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    model = FREEDOM(2, 2, Interactions(users, items), {"visual": torch.eye(2)}, dropped_edges=0.0)
    model.stages()[0].begin_epoch()
    assert_close(model.encode().users, model.scorer().users)


def test_a_cold_item_ranks_by_what_is_like_it():
    edges = Interactions(torch.tensor([0, 1]), torch.tensor([0, 1]))  # nobody has items 2 and 3
    visual = torch.tensor([[1.0, 0], [0, 1], [2, 0], [0, 3]])
    model = FREEDOM(2, 4, edges, {"visual": visual}, dim=4, num_neighbors=2)
    model.item_embeddings.data = torch.eye(4)[[0, 1, 3, 3]]
    model.user_embeddings.data = torch.eye(4)[:2]
    scores = model.scorer()(torch.arange(2))
    assert scores[0, 2] > scores[0, 3] and scores[1, 3] > scores[1, 2]


def test_options_out_of_range_and_unknown_modalities_are_refused():
    visual = {"visual": torch.eye(2)}
    with pytest.raises(ValueError, match="dropped_edges must be less than 1, got 1"):
        FREEDOM(1, 2, ONE_EDGE, visual, dropped_edges=1.0)
    with pytest.raises(ValueError, match=r"num_neighbors must be .* 1, got 0"):
        FREEDOM(1, 2, ONE_EDGE, visual, num_neighbors=0)
    with pytest.raises(ValueError, match="no modality 'visuel'; did you mean 'visual'"):
        FREEDOM(1, 2, ONE_EDGE, visual, modality_weights={"visuel": 1.0})
    with pytest.raises(ValueError, match="modality_weights must be"):
        FREEDOM(1, 2, ONE_EDGE, visual, modality_weights={"visual": -1.0})
