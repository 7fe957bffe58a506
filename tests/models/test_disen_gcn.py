import math

import pytest
import torch
from torch.testing import assert_close

from hugraph.graph import user_item_graph
from hugraph.interfaces import Triples
from hugraph.models.disen_gcn import DisenGCN
from hugraph.nn import to_sparse_tensor
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default

NUM_USERS, NUM_ITEMS = 3, 4
USERS, ITEMS = [0, 0, 1, 1, 2], [0, 1, 1, 2, 0]  # nobody knows item 3
FEATURES = {"visual": torch.tensor([[1.0, 2], [0, 0], [3, -1], [-2, 1]]).double()}


class TestDisenGCN(RecommenderContract):
    def make(self, world):
        return DisenGCN(
            world.num_users,
            world.num_items,
            world.modality_features,
            world.user_item_adjacency,
            modalities=None,
            num_channels=2,
            channel_dim=4,
            num_layers=2,
            num_iterations=2,
        )


def small(adjacency=None, **options):
    """A model of the small graph in double precision, all of its parameters random."""
    torch.manual_seed(0)
    graph = user_item_graph(USERS, ITEMS, NUM_USERS, NUM_ITEMS)
    with float64_by_default():
        model = DisenGCN(
            NUM_USERS,
            NUM_ITEMS,
            FEATURES,
            graph if adjacency is None else adjacency(graph),
            num_channels=3,
            channel_dim=2,
            **options,
        )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def neighbours_of(node):
    links = [(user, NUM_USERS + item) for user, item in zip(USERS, ITEMS, strict=True)]
    return [b for a, b in links if a == node] + [a for a, b in links if b == node]


def unit(vector):
    return vector / vector.norm() if vector.norm() > 0 else vector


def naive_layer(rows, weight, bias, num_iterations, temperature, activation):
    """The paper's layer, one node, one neighbour and one channel at a time."""
    num_channels = len(weight)
    z = [
        [unit(activation(weight[k].T @ row + bias[k, 0])) for k in range(num_channels)]
        for row in rows
    ]
    outputs = []
    for node in range(len(rows)):
        centre = list(z[node])
        for _ in range(num_iterations):
            moved = list(z[node])
            for other in neighbours_of(node):
                powers = [
                    math.exp(float(z[other][k] @ centre[k]) / temperature)
                    for k in range(num_channels)
                ]
                for k in range(num_channels):
                    moved[k] = moved[k] + powers[k] / sum(powers) * z[other][k]
            centre = [unit(vector) for vector in moved]
        outputs.append(torch.cat(centre))
    return outputs


@pytest.mark.parametrize("combine", ["last", "mean"])
@pytest.mark.parametrize("modalities", [(), None])
@pytest.mark.parametrize("adjacency", [None, to_sparse_tensor])
@torch.no_grad()
def test_representations_equal_the_formula_node_by_node(combine, modalities, adjacency):
    model = small(
        adjacency,
        modalities=modalities,
        combine=combine,
        num_layers=2,
        num_iterations=3,
        temperature=0.5,
    )
    rows = list(model.embeddings)
    if modalities is None:
        for item, features in enumerate(FEATURES["visual"]):
            rows[NUM_USERS + item] = rows[NUM_USERS + item] + model.projection.T @ features
    first = naive_layer(rows, model.weights[0], model.biases[0], 3, 0.5, torch.relu)
    last = naive_layer(first, model.weights[1], model.biases[1], 3, 0.5, lambda x: x)
    expected = torch.stack(last)
    if combine == "mean":
        expected = (torch.stack(first) + expected) / 2
    code = model.encode()
    assert_close(torch.cat([code.users, code.items]), expected)
    some = model.encode(torch.tensor([2, 0]), torch.tensor([3]))
    assert_close(some.users, expected[[2, 0]])
    assert_close(some.items, expected[[NUM_USERS + 3]])


def test_a_neighbour_moves_only_the_channel_it_speaks_through_worked_by_hand():
    graph = user_item_graph([0], [0], 1, 1)
    model = DisenGCN(1, 1, {}, graph, num_channels=2, channel_dim=2, temperature=1e-3)
    model.weights[0].data = torch.eye(4).view(4, 2, 2).transpose(0, 1)  # cut a row in two
    # Alike in the first channel, which so takes all of the neighbour, opposite in the second.
    model.embeddings.data = torch.tensor([[3.0, 0, 0, 2], [3, 3, 0, -5]])
    code = model.encode()
    between = math.pi / 8
    direction = [math.cos(between), math.sin(between)]
    assert_close(code.users.detach(), torch.tensor([[*direction, 0, 1]]))
    assert_close(code.items.detach(), torch.tensor([[*direction, 0, -1]]))


def test_the_last_layer_is_free_to_score_below_zero_down_to_the_number_of_channels():
    for num_layers in (1, 2):
        scores = small(num_layers=num_layers).scorer()(torch.arange(NUM_USERS))
        assert scores.min() < 0 and scores.abs().max() <= 3


@torch.no_grad()
def test_a_cold_item_keeps_the_directions_of_its_own_channels():
    model = small()
    own, (weight,), (bias,) = model.embeddings[-1], model.weights, model.biases
    expected = torch.cat([unit(weight[k].T @ own + bias[k, 0]) for k in range(3)])
    assert_close(model.encode().items[3], expected)


def test_l2_penalises_the_embeddings_that_a_batch_touches():
    model = small(modalities=None)
    terms = model.terms(Triples(torch.tensor([1]), torch.tensor([0]), torch.tensor([3])))
    rows = model.embeddings[[1, NUM_USERS, NUM_USERS + 3]]
    assert_close(terms["l2"], rows.square().sum() / 2)


def test_content_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="there is no modality 'sound'"):
        small(modalities=["sound"])


def test_an_adjacency_of_other_nodes_is_refused():
    with pytest.raises(ValueError, match="has 2 nodes, expected 3"):
        DisenGCN(1, 2, {}, user_item_graph([0], [0], 1, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"combine": "sum"}, "combine must be 'last' or 'mean', got 'sum'"),
        ({"temperature": 0.0}, r"temperature must be greater than 0, got 0\.0"),
        ({"num_iterations": 0}, "num_iterations must be greater than or equal to 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
