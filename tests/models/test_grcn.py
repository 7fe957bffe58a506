import math

import pytest
import torch
from torch.testing import assert_close

from hugraph.graph import user_item_graph
from hugraph.interfaces import TokenBag, Triples
from hugraph.models.grcn import GRCN
from hugraph.nn import to_sparse_tensor
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default

NUM_USERS, NUM_ITEMS = 4, 5
USERS, ITEMS = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 3, 3]  # nobody knows item 4; user 3 knows nothing
LINKS = list(zip(USERS, ITEMS, strict=True))
# Item 1 lacks the visual modality, item 3 both; all items of user 2 lack both.
VISUAL = torch.tensor([[1.0, 2], [0, 0], [3, -1], [0, 0], [1, -1]]).double()
BAG = TokenBag(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 3, 3, 4]), 3)


class TestGRCN(RecommenderContract):
    def make(self, world):
        return GRCN(
            world.num_users,
            world.num_items,
            world.modality_features,
            world.user_item_adjacency,
            id_dim=4,
            content_dim=4,
        )


def small(adjacency=None, **options):
    """A model of the small graph in double precision, all of its parameters random."""
    torch.manual_seed(0)
    graph = user_item_graph(USERS, ITEMS, NUM_USERS, NUM_ITEMS)
    with float64_by_default():
        model = GRCN(
            NUM_USERS,
            NUM_ITEMS,
            {"visual": VISUAL, "textual": BAG},
            graph if adjacency is None else adjacency(graph),
            id_dim=3,
            content_dim=2,
            token_dim=4,
            **options,
        )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def unit(vector):
    return vector / vector.norm() if vector.norm() > 0 else vector


def naive_points(model, m):
    points = []
    for features, present in zip(model.content.of(m), model.content.present[:, m], strict=True):
        row = model.projections[m].T @ features + model.biases[m]
        row = torch.where(row > 0, row, 0.01 * row)
        points.append(unit(row) if present else torch.zeros_like(row))
    return points


def naive_shares(scores):
    powers = {key: math.exp(score) for key, score in scores.items()}
    return {key: power / sum(powers.values()) for key, power in powers.items()}


def naive_modality(model, m):
    """Content of users and items, and attention on every edge in both directions."""
    points, present = naive_points(model, m), model.content.present[:, m]
    users, items, to_users, to_items = [], [], {}, {}

    def attention(u, prototype):
        items_of_u = [v for user, v in LINKS if user == u and present[v]]
        return naive_shares({v: float(prototype @ points[v]) for v in items_of_u})

    prototypes = []
    for u in range(NUM_USERS):
        prototype = unit(model.prototypes[m, u])
        for _ in range(model.num_routing):
            shares = attention(u, prototype)
            prototype = unit(prototype + sum(a * points[v] for v, a in shares.items()))
        prototypes.append(prototype)
        shares = attention(u, prototype)
        users.append(prototype + sum(a * points[v] for v, a in shares.items()))
        to_users |= {(u, v): shares.get(v, 0.0) for user, v in LINKS if user == u}
    for v in range(NUM_ITEMS):
        users_of_v = [u for u, item in LINKS if item == v]
        shares = naive_shares({u: float(prototypes[u] @ points[v]) for u in users_of_v})
        items.append(points[v] + sum(a * prototypes[u] for u, a in shares.items()))
        to_items |= {(u, v): a for u, a in shares.items()}
    return users, items, to_users, to_items


def naive_encoding(model):
    """The whole model, one user, one item and one edge at a time."""
    modalities = [naive_modality(model, m) for m in range(2)]
    weights_to_users, weights_to_items = {}, {}
    for u, v in LINKS:
        best_to_user = max(
            float(to_users[u, v] * model.item_confidence[m, v])
            for m, (_, _, to_users, _) in enumerate(modalities)
        )
        best_to_item = max(
            float(to_items[u, v] * model.user_confidence[m, u])
            for m, (_, _, _, to_items) in enumerate(modalities)
        )
        weights_to_users[u, v] = max(best_to_user, 0) if model.pruning else best_to_user
        weights_to_items[u, v] = max(best_to_item, 0) if model.pruning else best_to_item
    users = [unit(row) for row in model.user_embeddings]
    items = [unit(row) for row in model.item_embeddings]
    total_users, total_items = list(users), list(items)
    for _ in range(model.num_layers):
        next_users = [torch.zeros(3).double() for _ in range(NUM_USERS)]
        next_items = [torch.zeros(3).double() for _ in range(NUM_ITEMS)]
        for u, v in LINKS:
            next_users[u] = next_users[u] + weights_to_users[u, v] * items[v]
            next_items[v] = next_items[v] + weights_to_items[u, v] * users[u]
        users, items = next_users, next_items
        total_users = [a + b for a, b in zip(total_users, users, strict=True)]
        total_items = [a + b for a, b in zip(total_items, items, strict=True)]
    content_users, content_items = zip(*(m[:2] for m in modalities), strict=True)
    return (
        torch.stack([torch.cat(row) for row in zip(total_users, *content_users, strict=True)]),
        torch.stack([torch.cat(row) for row in zip(total_items, *content_items, strict=True)]),
    )


@pytest.mark.parametrize("adjacency", [None, to_sparse_tensor])
@pytest.mark.parametrize(
    "options",
    [{}, {"pruning": False}, {"num_routing": 0, "num_layers": 1}, {"num_layers": 0}],
    ids=str,
)
@torch.no_grad()
def test_representations_equal_the_formula_user_by_user(adjacency, options):
    model = small(adjacency, **options)
    users, items = naive_encoding(model)
    code = model.encode()
    assert_close(code.users, users)
    assert_close(code.items, items)
    some = model.encode(torch.tensor([2, 0]), torch.tensor([3]))
    assert_close(some.users, users[[2, 0]])
    assert_close(some.items, items[[3]])


@torch.no_grad()
def test_without_missing_modalities_the_formula_is_the_same():
    bag = TokenBag(torch.arange(NUM_ITEMS), torch.arange(NUM_ITEMS + 1), NUM_ITEMS)
    torch.manual_seed(1)
    graph = user_item_graph(USERS, ITEMS, NUM_USERS, NUM_ITEMS)
    with float64_by_default():
        features = {"visual": torch.randn(NUM_ITEMS, 2), "textual": bag}
        model = GRCN(NUM_USERS, NUM_ITEMS, features, graph, id_dim=3, content_dim=2)
    assert model.all_present
    users, items = naive_encoding(model)
    code = model.encode()
    assert_close(code.users, users)
    assert_close(code.items, items)


@torch.no_grad()
def test_the_refined_graph_of_one_user_with_two_items_worked_by_hand():
    features = {"visual": torch.tensor([[1.0, 0], [0, 1]])}
    model = GRCN(
        1, 2, features, user_item_graph([0, 0], [0, 1], 1, 2), content_dim=2, num_routing=0
    )
    model.projections[0].data = torch.eye(2)
    model.prototypes.data = torch.tensor([[[math.log(3), 0]]])  # of length 1: (1, 0)
    model.item_confidence.data = torch.tensor([[2.0, -5]])
    model.user_confidence.data = torch.tensor([[0.5]])
    weights = model.histograms()
    first = math.e / (math.e + 1)
    assert_close(weights["edge_weight/to_users"], torch.tensor([2 * first, 0]))
    assert_close(weights["edge_weight/to_items"], torch.tensor([0.5, 0.5]))


@torch.no_grad()
def test_an_item_without_a_modality_takes_on_what_its_users_like():
    model = small()
    prototypes = model._routed(model._points())[0]
    visual = model.encode().items[1, 3:5]
    assert_close(visual, (prototypes[0] + prototypes[1]) / 2)


@torch.no_grad()
def test_nothing_of_an_item_without_any_content_reaches_its_users():
    model = small()
    before = model.encode().users
    model.item_embeddings[3] = torch.randn(3).double()
    assert_close(model.encode().users, before)


@torch.no_grad()
def test_a_cold_item_is_ranked_by_its_own_content():
    model = small()
    item = model.encode().items[4]
    points = model._points()
    assert_close(item, torch.cat([unit(model.item_embeddings[4]), points[0, 4], points[1, 4]]))


@torch.no_grad()
def test_every_edge_is_believed_at_first():
    graph = user_item_graph(USERS, ITEMS, NUM_USERS, NUM_ITEMS)
    features = {"visual": torch.randn(NUM_ITEMS, 3)}
    for weights in GRCN(NUM_USERS, NUM_ITEMS, features, graph).histograms().values():
        assert weights.shape == (len(LINKS),) and weights.min() > 0


def test_l2_penalises_ids_and_the_free_vectors_of_users():
    model = small()
    terms = model.terms(Triples(torch.tensor([1]), torch.tensor([0]), torch.tensor([3])))
    rows = [model.user_embeddings[1], model.prototypes[:, 1]]
    rows += [model.item_embeddings[v] for v in (0, 3)]
    assert_close(terms["l2"], sum(row.square().sum() for row in rows) / 2)


def test_an_adjacency_of_other_nodes_and_a_model_without_content_are_refused():
    graph = user_item_graph(USERS, ITEMS, NUM_USERS, NUM_ITEMS)
    with pytest.raises(ValueError, match="has 9 nodes, expected 10"):
        GRCN(NUM_USERS + 1, NUM_ITEMS, {"visual": VISUAL.float()}, graph)
    with pytest.raises(ValueError, match="at least one modality"):
        GRCN(NUM_USERS, NUM_ITEMS, {}, graph)


@pytest.mark.parametrize("option", ["num_routing", "num_layers"])
def test_a_negative_number_of_steps_is_refused(option):
    with pytest.raises(ValueError, match=f"{option} must be greater than or equal to 0, got -1"):
        small(**{option: -1})
