import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.graph import user_item_graph
from hugraph.interfaces import TokenBag, Triples
from hugraph.models.mmgcn import MMGCN
from hugraph.nn import to_sparse_tensor
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default


class TestMMGCN(RecommenderContract):
    combine, projection_dim = "concat", 256

    def make(self, world):
        return MMGCN(
            world.num_users,
            world.num_items,
            world.modality_features,
            world.user_item_adjacency,
            dim=8,
            combine=self.combine,
            projection_dim=self.projection_dim,
        )


class TestMMGCNThatSumsAndProjects(TestMMGCN):
    combine, projection_dim = "sum", 5


def phi(x):
    return torch.where(x > 0, x, 0.01 * x)


def unit(x):
    return x / x.square().sum().sqrt()


def node_by_node(model, features, neighbors, combine):
    """The formulas, one modality, layer and node after the other; `None` stands for no features."""
    ids = torch.cat([model.user_embeddings, model.item_embeddings])
    total = 0
    for m, rows in enumerate(features):
        start = [unit(preference) for preference in model.preferences[m]]
        for row in rows:
            if row is not None and len(row) > model.preferences[m].shape[1]:
                projection = model.projections[m]
                row = projection.weight @ row + projection.bias
            start.append(None if row is None else unit(row))
        for layer in model.layers[m]:
            zero = torch.zeros_like(start[0])
            after = []
            for node, x in enumerate(start):
                heard = [start[j] for j in neighbors[node] if start[j] is not None]
                mean = sum(heard, zero) / max(len(heard), 1)
                h = phi(mean @ layer.hear)
                own = layer.keep.weight @ (zero if x is None else x) + layer.keep.bias
                own = phi(own) + ids[node]
                if combine == "concat":
                    w3 = torch.cat([layer.join.weight, layer.join_own.T], dim=1)
                    after.append(phi(w3 @ torch.cat([h, own]) + layer.join.bias))
                else:
                    after.append(phi(layer.join.weight @ h + layer.join.bias + own))
            start = after
        total = total + torch.stack(start)
    return total[: model.num_users], total[model.num_users :]


BAG = TokenBag(torch.tensor([0, 2, 2, 1, 0]), torch.tensor([0, 2, 3, 3, 4, 5]), 3)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from(["concat", "sum"]))
def test_representations_and_gradients_equal_the_formulas_node_by_node(seed, num_layers, combine):
    torch.manual_seed(seed)
    links = torch.rand(4, 5) < 0.5
    links[0, :3], links[:, 4], links[3] = True, False, False  # a cold item, a cold user
    users, items = links.nonzero(as_tuple=True)
    neighbors = {node: [] for node in range(9)}
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        neighbors[user].append(4 + item)
        neighbors[4 + item].append(user)
    graph = user_item_graph(users, items, 4, 5)
    for adjacency in (graph, to_sparse_tensor(graph, torch.float64)):
        with float64_by_default():
            visual, acoustic = torch.randn(5, 4), torch.randn(5, 6)  # to 4 columns: one as it is
            visual[1], acoustic[0] = 0, 0
            model = MMGCN(
                4,
                5,
                {"visual": visual, "acoustic": acoustic, "textual": BAG},
                adjacency,
                dim=3,
                num_layers=num_layers,
                combine=combine,
                projection_dim=4,
                token_dim=2,
            )
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter)
        rows = [[r if r.any() else None for r in table] for table in (visual, acoustic)]
        titles = model.content.of(2)
        rows.append([titles[i] if BAG.offsets.diff()[i] else None for i in range(5)])
        all_users, all_items = node_by_node(model, rows, neighbors, combine)
        everybody = model.encode()
        assert_close(everybody.users, all_users)
        assert_close(everybody.items, all_items)

        some, others = torch.tensor([2, 0, 2, 3]), torch.tensor([4, 1, 0, 1, 1])
        code = model.encode(some, others)
        expected = torch.cat([all_users[some], all_items[others]])
        result = torch.cat([code.users, code.items])
        assert_close(result, expected)
        upstream, parameters = torch.randn_like(expected), list(model.parameters())
        assert_close(
            torch.autograd.grad(result, parameters, upstream, materialize_grads=True),
            torch.autograd.grad(expected, parameters, upstream, materialize_grads=True),
        )


@pytest.mark.parametrize("combine", ["concat", "sum"])
def test_one_layer_on_one_edge_worked_by_hand(combine):
    graph, features = user_item_graph([0], [0], 1, 1), {"visual": torch.tensor([[-3.0]])}
    model = MMGCN(1, 1, features, graph, dim=1, num_layers=1, combine=combine)
    for parameter in model.layers.parameters():
        parameter.data.fill_(1 if parameter.ndim == 2 else 0)
    model.preferences[0].data = torch.tensor([[2.0]])
    model.user_embeddings.data = torch.tensor([[0.5]])
    model.item_embeddings.data = torch.tensor([[0.25]])
    code = model.encode()
    # The user starts from 1 and hears -1, the item starts from -1 and hears 1.
    assert_close(code.users, torch.tensor([[-0.01 + 1 + 0.5]]))
    assert_close(code.items, torch.tensor([[1 - 0.01 + 0.25]]))


def test_an_item_without_features_is_as_good_as_absent_from_the_first_means():
    def user(items, features):
        torch.manual_seed(0)
        graph = user_item_graph([0] * len(items), items, 1, 3)
        return MMGCN(1, 3, {"visual": features}, graph, num_layers=1).encode().users

    features = torch.tensor([[1.0, 2], [3, -1], [0, 0]])
    assert_close(user([0, 1, 2], features), user([0, 1], features))
    assert not torch.allclose(user([0, 1, 2], features + 0.1), user([0, 1], features + 0.1))


def test_a_cold_item_ranks_by_its_content_and_id_embedding():
    features = {"visual": torch.tensor([[1.0, 2], [3, -1], [3, -1], [5, 0], [3, -1]])}
    model = MMGCN(1, 5, features, user_item_graph([0], [0], 1, 5))
    model.item_embeddings.data[:4] = 0
    scores = model.scorer()(torch.tensor([0]))[0]
    assert_close(scores[1], scores[2])
    assert scores[1] != scores[3]  # by content
    assert scores[1] != scores[4]  # by ID embedding


def test_l2_penalises_id_and_preference_rows_of_the_batch():
    features = {"visual": torch.randn(3, 2), "acoustic": torch.randn(3, 4)}
    model = MMGCN(2, 3, features, user_item_graph([0, 1], [1, 2], 2, 3), dim=5)
    batch = Triples(torch.tensor([1, 1]), torch.tensor([2, 2]), torch.tensor([0, 1]))
    rows = [model.user_embeddings[1]] * 2 + [model.item_embeddings[i] for i in (2, 2, 0, 1)]
    rows += [preferences[1] for preferences in model.preferences] * 2
    assert_close(model.terms(batch)["l2"], sum(row.square().sum() for row in rows) / (2 * 2))


def test_what_is_impossible_is_refused():
    graph, features = user_item_graph([0], [0], 1, 1), {"visual": torch.ones(1, 2)}
    with pytest.raises(ValueError, match=r"combine must be 'concat' or 'sum', got 'add'"):
        MMGCN(1, 1, features, graph, combine="add")
    with pytest.raises(ValueError, match=r"num_layers must be greater than or equal to 1, got 0"):
        MMGCN(1, 1, features, graph, num_layers=0)
    with pytest.raises(ValueError, match="has 2 nodes, expected 3"):
        MMGCN(1, 2, {"visual": torch.ones(2, 2)}, graph)
