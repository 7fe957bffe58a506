import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.graph import user_item_graph
from hugraph.interfaces import Triples
from hugraph.models.ngcf import NGCF
from hugraph.nn import to_sparse_tensor
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default


class TestNGCF(RecommenderContract):
    def make(self, world):
        return NGCF(
            world.num_users, world.num_items, world.user_item_adjacency, dim=8, layers=[8, 6]
        )


def leaky_relu(x):
    return torch.where(x > 0, x, 0.2 * x)


def refined_by_messages(model, neighbors, vectors, layer):
    """Eq. 3-5 for one node after the other."""
    w1, w2 = model.sum_weights[layer], model.product_weights[layer]
    rows = []
    for node, vector in enumerate(vectors):
        total = vector @ w1  # the message to itself
        for other in neighbors[node]:
            message = vectors[other] @ w1 + (vectors[other] * vector) @ w2
            total = total + message / math.sqrt(len(neighbors[node]) * len(neighbors[other]))
        rows.append(leaky_relu(total))
    return torch.stack(rows)


@given(st.integers(0, 10**6))
def test_representations_and_gradients_equal_messages_node_by_node(seed):
    torch.manual_seed(seed)
    links = torch.rand(4, 5) < 0.4
    links[0, 0], links[:, 4], links[3] = True, False, False  # a cold item, a cold user
    users, items = links.nonzero(as_tuple=True)
    neighbors = {node: [] for node in range(9)}
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        neighbors[user].append(4 + item)
        neighbors[4 + item].append(user)
    graph = user_item_graph(users, items, 4, 5)
    for adjacency in (graph, to_sparse_tensor(graph, torch.float64)):
        with float64_by_default():
            model = NGCF(4, 5, adjacency, dim=3, layers=[4, 2], message_dropout=0)
            upstream = torch.randn(9, 3 + 4 + 2)
        vectors = [model.embeddings]
        for layer in range(2):
            vectors.append(refined_by_messages(model, neighbors, vectors[-1], layer))
        lengths = [v.square().sum(dim=1, keepdim=True).sqrt() for v in vectors[1:]]
        scaled = [v / length for v, length in zip(vectors[1:], lengths, strict=True)]
        expected = torch.cat([vectors[0], *scaled], dim=1)
        code = model.encode()
        result = torch.cat([code.users, code.items])
        assert_close(result, expected)
        parameters = list(model.parameters())
        assert_close(
            torch.autograd.grad(result, parameters, upstream),
            torch.autograd.grad(expected, parameters, upstream),
        )


def test_one_layer_on_one_edge_worked_by_hand():
    model = NGCF(1, 1, user_item_graph([0], [0], 1, 1), dim=1, layers=[1])
    model.embeddings.data = torch.tensor([[2.0], [-3.0]])
    model.sum_weights[0].data = torch.tensor([[1.0]])
    model.product_weights[0].data = torch.tensor([[0.5]])
    # Both have the sum 2 - 3 = -1 and the product -6: the activation of -1 - 3 is -0.8.
    (layer,) = model.eval()._layers(torch.arange(2))[1:]
    assert_close(layer, torch.tensor([[-0.8], [-0.8]]))
    code = model.encode()
    assert_close(code.users, torch.tensor([[2.0, -1.0]]))
    assert_close(code.items, torch.tensor([[-3.0, -1.0]]))


def test_a_cold_item_is_its_own_vector_through_the_layers():
    model = NGCF(1, 2, user_item_graph([0], [0], 1, 2), dim=3, layers=[2]).eval()
    own = model.embeddings[2]
    refined = leaky_relu(own @ model.sum_weights[0])
    assert_close(model.encode().items[1], torch.cat([own, refined / refined.norm()]))


def test_l2_penalises_the_vectors_that_score():
    model = NGCF(2, 3, user_item_graph([0, 1], [1, 2], 2, 3), dim=2, layers=[4]).eval()
    code = model.encode()
    batch = Triples(torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([0, 0]))
    rows = torch.cat([code.users, code.items[[1, 2]], code.items[[0, 0]]])
    assert_close(model.terms(batch)["l2"], rows.square().sum() / (2 * 2))


def test_dropout_zeroes_its_share_of_a_layer_in_training_alone_and_keeps_the_mean():
    users, items = torch.arange(200) % 20, torch.arange(200) // 20
    model = NGCF(20, 10, user_item_graph(users, items, 20, 10), layers=[200], message_dropout=0.3)
    torch.manual_seed(4)
    everybody = torch.arange(len(model.embeddings))
    dropped, whole = model._layers(everybody)[1], model.eval()._layers(everybody)[1]
    zeros = dropped == 0
    assert zeros.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert not (whole == 0).any()
    assert_close(dropped[~zeros], whole[~zeros] / 0.7)


def test_some_rows_and_their_gradients_are_those_of_everybody():
    model = NGCF(3, 4, user_item_graph([0, 0, 1, 2], [1, 2, 2, 0], 3, 4), dim=4, layers=[4, 5])
    model.double().eval()
    users, items = torch.tensor([2, 0, 2]), torch.tensor([3, 1])
    torch.manual_seed(6)
    upstream = torch.randn(3, 13).double(), torch.randn(2, 13).double()
    some, everybody = model.encode(users, items), model.encode()
    rows = everybody.users[users], everybody.items[items]
    parameters = list(model.parameters())
    results = [
        torch.autograd.grad(pair, parameters, upstream, retain_graph=True)
        for pair in ((some.users, some.items), rows)
    ]
    assert_close(some.users, rows[0])
    assert_close(some.items, rows[1])
    assert_close(*results)


def test_what_is_impossible_is_refused():
    graph = user_item_graph([0], [0], 1, 1)
    with pytest.raises(ValueError, match="has 2 nodes, expected 3"):
        NGCF(1, 2, graph)
    with pytest.raises(ValueError, match=r"layers must .* at least 1 item .*, got \[\]"):
        NGCF(1, 1, graph, layers=[])
    with pytest.raises(ValueError, match=r"message_dropout must be less than 1, got 1.0"):
        NGCF(1, 1, graph, message_dropout=1.0)
