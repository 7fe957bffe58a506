import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.graph import user_item_graph
from hugraph.interfaces import TokenBag, Triples
from hugraph.models.lattice import LATTICE
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default


class TestLATTICE(RecommenderContract):
    def make(self, world):
        visual = world.modality_features["visual"]
        return LATTICE(
            world.num_users,
            world.num_items,
            {"visual": visual, "textual": visual[:, :3]},  # of one alone, the weight learns nothing
            world.user_item_adjacency,
            dim=8,
        )


def test_an_item_takes_the_direction_of_its_neighbours_worked_by_hand():
    graph = user_item_graph([0], [0], 1, 3)
    visual = torch.tensor([[1.0, 0], [0, 1], [0, 2]])
    model = LATTICE(1, 3, {"visual": visual}, graph, dim=2, num_neighbors=2, fixed_share=1.0)
    model.item_embeddings.data = torch.tensor([[3.0, 0], [0, 3], [4, 0]])
    model.user_embeddings.data.zero_()
    # Item 0 is like nobody and hears itself; items 1 and 2 hear both of them, at equal strength.
    added = torch.tensor([[1.0, 0], [0.8, 0.6], [0.8, 0.6]])
    # Two layers give the item of an edge 2/3 of its own vector, those without an edge 1/3.
    own = torch.tensor([[2.0, 0], [0, 1], [4 / 3, 0]])
    assert_close(model.scorer().items, own + added)


def dense_graph(features, k, neighbors=None):
    """The normalised graph of nearest neighbours, entry by entry, and who they are."""
    n = len(features)
    graph, chosen = torch.zeros(n, n, dtype=features.dtype), []
    lengths = features.norm(dim=1)
    for i in range(n):
        similarity = {
            j: features[i] @ features[j] / (lengths[i] * lengths[j])
            for j in range(n)
            if lengths[i] > 0 and lengths[j] > 0
        }
        ranked = sorted(similarity, key=lambda j: -similarity[j].item())[:k]
        chosen.append(ranked if neighbors is None else neighbors[i])
        for j in chosen[i]:
            graph[i, j] = similarity[j].clamp(min=0)
    degree = graph.sum(dim=1)
    root = torch.stack([d.rsqrt() if d > 0 else d for d in degree])
    return root.unsqueeze(1) * graph * root, chosen


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([1, 2]), st.booleans())
def test_scores_and_gradients_are_those_of_dense_graphs(seed, k, item_layers, moved):
    torch.manual_seed(seed)
    num_users, num_items = 3, 5
    links = torch.rand(num_users, num_items) < 0.5
    links[0, 1] = True
    visual = torch.randn(num_items, 4).double()
    visual[2] = 0
    counts = torch.randint(0, 20, (num_items, 3))
    counts[4] = 0
    tokens = [t for row in counts for t, count in enumerate(row) for _ in range(count)]
    offsets = torch.cat([torch.tensor([0]), counts.sum(dim=1).cumsum(0)])
    bag = TokenBag(torch.tensor(tokens, dtype=torch.int64), offsets, 3)
    with float64_by_default():
        model = LATTICE(
            num_users,
            num_items,
            {"visual": visual, "textual": bag},
            user_item_graph(*links.nonzero(as_tuple=True), num_users, num_items),
            dim=3,
            item_layers=item_layers,
            num_neighbors=k,
            fixed_share=0.6,
            token_dim=6,
        )
    model.modality_logits.data = torch.randn(2).double()
    projections = list(model.projections)
    embeddings = dict(model.named_parameters())["content._sources.1.embeddings"]

    def projected():
        shares = counts.double() / counts.sum(dim=1, keepdim=True).clamp(min=1)
        for layer, features in zip(projections, (visual, shares @ embeddings), strict=True):
            present = (features != 0).any(dim=1, keepdim=True)
            yield torch.where(present, features @ layer.weight.T + layer.bias, 0)

    neighbors = [dense_graph(x.detach(), k)[1] for x in projected()]
    if moved:  # the neighbours in training stay those of the epoch's beginning
        for layer in projections:
            layer.weight.data += torch.randn_like(layer.weight)
    learned = [dense_graph(x, k, n)[0] for x, n in zip(projected(), neighbors, strict=True)]
    fixed = [dense_graph(x, k)[0] for x in (visual, counts.double())]
    alpha = model.modality_logits.exp() / model.modality_logits.exp().sum()
    item_graph = sum(a * (0.6 * f + 0.4 * s) for a, f, s in zip(alpha, fixed, learned, strict=True))
    h = torch.linalg.matrix_power(item_graph, item_layers) @ model.item_embeddings
    length = h.norm(dim=1, keepdim=True)
    bipartite = torch.zeros(8, 8).double()
    bipartite[:3, 3:], bipartite[3:, :3] = links, links.T
    root = bipartite.sum(dim=1).clamp(min=1).rsqrt()
    smooth = root.unsqueeze(1) * bipartite * root
    own = torch.cat([model.user_embeddings, model.item_embeddings])
    users, items = ((own + smooth @ own + smooth @ smooth @ own) / 3).split([3, 5])
    items = items + torch.where(length > 0, h / length.where(length > 0, 1), 0)

    code = model.encode()
    assert_close(code.users, users)
    assert_close(code.items, items)
    upstream = torch.randn(num_users, num_items).double()
    parameters = list(model.parameters())
    gradients = [
        torch.autograd.grad((u @ v.T * upstream).sum(), parameters)
        for u, v in ((code.users, code.items), (users, items))
    ]
    for gradient, expected in zip(*gradients, strict=True):
        assert_close(gradient, expected)


def test_learned_neighbours_are_found_before_an_epoch_and_for_ranking():
    torch.manual_seed(0)
    graph = user_item_graph([0], [0], 1, 20)
    model = LATTICE(1, 20, {"visual": torch.randn(20, 4)}, graph, dim=4, num_neighbors=2)
    (stage,) = model.stages()

    def learned():
        return model.learned_graphs[0].indices.clone()

    first = learned()
    model.projections[0].weight.data.normal_()
    model.encode()
    ranked = model.scorer().items
    assert torch.equal(learned(), first)
    assert not torch.allclose(model.encode().items, ranked)
    stage.begin_epoch()
    assert not torch.equal(learned(), first)
    assert_close(model.encode().items, ranked)


def test_a_cold_item_ranks_by_what_is_like_it():
    graph = user_item_graph([0, 1], [0, 1], 2, 4)  # nobody has items 2 and 3
    visual = torch.tensor([[1.0, 0], [0, 1], [2, 0], [0, 3]])
    model = LATTICE(2, 4, {"visual": visual}, graph, dim=4, num_neighbors=2)
    (stage,) = model.stages()
    optimizer = torch.optim.Adam(stage.parameters, lr=0.05)
    batch = Triples(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([1, 0]))
    for _ in range(30):
        stage.begin_epoch()
        optimizer.zero_grad()
        stage.terms(batch)["bpr"].backward()
        optimizer.step()
    scores = model.scorer()(torch.arange(2))
    assert scores[0, 2] > scores[0, 3] and scores[1, 3] > scores[1, 2]


def test_l2_penalises_the_own_vectors_of_a_batch():
    model = LATTICE(1, 2, {"visual": torch.eye(2)}, user_item_graph([0], [1], 1, 2), dim=1)
    model.user_embeddings.data = torch.tensor([[2.0]])
    model.item_embeddings.data = torch.tensor([[3.0], [5.0]])
    batch = Triples(torch.tensor([0]), torch.tensor([1]), torch.tensor([0]))
    assert model.terms(batch)["l2"].item() == (4 + 25 + 9) / 2


def test_options_out_of_range_and_other_graphs_are_refused():
    graph, visual = user_item_graph([0], [0], 1, 2), {"visual": torch.eye(2)}
    with pytest.raises(ValueError, match=r"fixed_share must be .* 1, got 1\.5"):
        LATTICE(1, 2, visual, graph, fixed_share=1.5)
    with pytest.raises(ValueError, match=r"num_neighbors must be .* 1, got 0"):
        LATTICE(1, 2, visual, graph, num_neighbors=0)
    with pytest.raises(ValueError, match="has 3 nodes, expected 4"):
        LATTICE(1, 3, {"visual": torch.ones(3, 2)}, graph)
