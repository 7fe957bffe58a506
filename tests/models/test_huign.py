"""HUIGN against a second derivation: dense matrices, one equation at a time, in float64."""

from functools import partial
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.file_matrix import FileMatrix
from hugraph.graph import user_item_graph
from hugraph.interfaces import IntentModel, TokenBag, Triples
from hugraph.models.huign import HUIGN
from hugraph.nn import (
    IntentPooling,
    IntraLevelConv,
    LightPropagation,
    MultiModalFusion,
    SAGEConv,
    SampledSoftmaxLoss,
    to_sparse_tensor,
)
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default, graph_of

NUM_USERS = 4


class TestHUIGN(RecommenderContract):
    options: ClassVar = {}

    def make(self, world):
        return HUIGN(
            world.num_users,
            world.num_items,
            world.modality_features,
            self.adjacency(world),
            levels=[8, 4],
            id_dim=8,
            **self.options,
        )

    def adjacency(self, world):
        return world.item_adjacency


class TestHUIGNOnSparseTensors(TestHUIGN):
    def adjacency(self, world):
        return to_sparse_tensor(world.item_adjacency)


class TestSampledHUIGN(TestHUIGN):
    options: ClassVar = {"hierarchy": "sampled", "sampled_edges": 100}


class TestHUIGNAsInTheAuthorsCode(RecommenderContract):
    def make(self, world):
        conv = partial(
            IntraLevelConv, hops=2, weight=True, activation="leaky_relu", clamp_degree=True
        )
        return HUIGN(
            world.num_users,
            world.num_items,
            world.modality_features,
            world.item_adjacency,
            levels=[8, 4],
            conv=conv,
            fusion=partial(MultiModalFusion, method="sum"),
            l2="mean",
            aliased_penalties=True,
        )


class TestPropagatedHUIGN(RecommenderContract):
    options: ClassVar = {}

    def make(self, world):
        return HUIGN(
            world.num_users,
            world.num_items,
            world.modality_features,
            world.item_adjacency,
            world.user_item_adjacency,
            levels=[8, 4],
            id_dim=8,
            propagation=LightPropagation,
            **self.options,
        )


class TestSampledPropagatedHUIGN(TestPropagatedHUIGN):
    options: ClassVar = {"hierarchy": "sampled", "sampled_edges": 100}


class TestPropagatedHUIGNWithSampledSoftmax(TestPropagatedHUIGN):
    options: ClassVar = {"ranking": SampledSoftmaxLoss}


def naive_conv(conv, features, adjacency):
    a = adjacency + torch.eye(len(adjacency)).double() * (conv.self_loops == "add")
    degree = a.sum(dim=1, keepdim=True)
    degree = degree.clamp(min=1) if conv.clamp_degree else torch.where(degree > 0, degree, 1.0)
    for _ in range(conv.hops):
        features = (a / degree) @ features  # Eq. 4
        if conv.weight is not None:
            features = features @ conv.weight
    return F.leaky_relu(features) if conv.activation == "leaky_relu" else features


def naive_scores_and_penalties(model, contents, adjacency, scale, temperature, pooled_features):
    """Eq. 3 to 15, with every matrix dense."""
    blocks, entropy, independence = [], 0.0, 0.0
    for hierarchy, features in zip(model.hierarchies, contents, strict=True):
        a, chain, levels = adjacency, torch.eye(len(adjacency)).double(), []
        for conv, pooling in zip(hierarchy.convs, hierarchy.poolings, strict=True):
            z = naive_conv(conv, features, a)
            x = pooling.supernodes
            gamma = torch.softmax(temperature * z @ x.T, dim=1)  # Eq. 6-7
            entropy = entropy - (gamma * gamma.log()).sum() / len(gamma)  # Eq. 9
            gram = x @ x.T - torch.eye(len(x)).double()
            independence = independence + gram.square().sum().sqrt() / len(x) ** 2  # Eq. 10
            chain = chain @ gamma  # Eq. 11
            levels.append(scale * chain)
            a = gamma.T @ a @ gamma  # Eq. 8
            features = gamma.T @ z if pooled_features else x  # Eq. 5
        blocks.append(torch.cat(levels, dim=1))  # Eq. 12
    method = model.fusion.method
    fused = torch.cat(blocks, dim=1) if method == "concat" else sum(blocks)  # Eq. 14
    users = torch.cat([model.user_embeddings, model.user_tastes], dim=1)  # Eq. 15
    items = torch.cat([model.item_embeddings, fused], dim=1)
    if model.propagation is not None:
        users, items = naive_smoothing(users, items, model.propagation.num_layers)
    return users @ items.T, entropy, independence


HISTORY = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]]).double()  # of the first items


def naive_smoothing(users, items, num_layers):
    """The mean of dense powers of the user-item graph of `HISTORY`."""
    links = F.pad(HISTORY, (0, len(items) - 3))
    corner = [torch.zeros(len(side), len(side)).double() for side in (users, items)]
    dense = torch.cat([torch.cat([corner[0], links], 1), torch.cat([links.T, corner[1]], 1)])
    root = dense.sum(dim=1).clamp(min=1).rsqrt()
    layers = [torch.cat([users, items])]
    for _ in range(num_layers):
        layers.append((root[:, None] * dense * root) @ layers[-1])
    mean = sum(layers) / len(layers)
    return mean[: len(users)], mean[len(users) :]


@st.composite
def cases(draw):
    torch.manual_seed(draw(st.integers(0, 2**31)))
    num_items = draw(st.integers(4, 9))
    upper = (torch.rand(num_items, num_items) < draw(st.sampled_from([0.2, 0.6]))).triu(1)
    return {
        "adjacency": (upper | upper.T).double(),
        "dims": draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)),
        "levels": draw(st.sampled_from([[2], [4], [3, 2], [4, 3, 2]])),
        "official": draw(st.booleans()),
        "self_loops": draw(st.sampled_from(["keep", "add"])),
        "scale": draw(st.sampled_from([1.0, 3.0])),
        "temperature": draw(st.sampled_from([1.0, 4.0])),
        "pooled_features": draw(st.booleans()),
        "num_layers": draw(st.sampled_from([None, 1, 2])),
    }


def build(case, features, adjacency):
    official = {"hops": 2, "weight": True, "activation": "leaky_relu", "clamp_degree": True}
    options = {"self_loops": case["self_loops"], **(official if case["official"] else {})}
    next_features = "pooled" if case["pooled_features"] else "supernodes"
    user_ids, item_ids = HISTORY.nonzero(as_tuple=True)
    user_items = user_item_graph(user_ids, item_ids, NUM_USERS, len(case["adjacency"]))
    num_layers = case["num_layers"]
    with float64_by_default():
        model = HUIGN(
            NUM_USERS,
            len(case["adjacency"]),
            features,
            adjacency,
            to_sparse_tensor(user_items, torch.float64)
            if isinstance(adjacency, torch.Tensor)
            else user_items,
            propagation=num_layers and partial(LightPropagation, num_layers=num_layers),
            levels=case["levels"],
            conv=partial(IntraLevelConv, **options),
            pooling=partial(
                IntentPooling, assignment_scale=case["temperature"], next_features=next_features
            ),
            fusion=partial(MultiModalFusion, method="sum" if case["official"] else "concat"),
            id_dim=3,
            intent_scale=case["scale"],
        )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


@settings(max_examples=60)
@given(cases(), st.booleans())
def test_the_whole_forward_pass_and_every_gradient_equal_the_naive_derivation(case, on_torch):
    adjacency = case["adjacency"]
    graph = graph_of(adjacency)
    form = to_sparse_tensor(graph, torch.float64) if on_torch else graph
    contents = [torch.randn(len(adjacency), dim).double() for dim in case["dims"]]
    model = build(case, {f"m{i}": x for i, x in enumerate(contents)}, form)
    batch = Triples(torch.tensor([0, 3, 3]), torch.tensor([0, 1, 2]), torch.tensor([3, 0, 3]))
    weights = {"assignment_entropy": 0.3, "intent_independence": 0.7, "l2": 0.1}

    terms = model.terms(batch)
    loss = terms["bpr"] + sum(weights[name] * terms[name] for name in weights)
    gradients = torch.autograd.grad(loss, list(model.parameters()))

    scores, entropy, independence = naive_scores_and_penalties(
        model,
        contents,
        adjacency,
        case["scale"],
        case["temperature"],
        case["pooled_features"],
    )
    users, pos, neg = batch
    bpr = -torch.log(torch.sigmoid(scores[users, pos] - scores[users, neg])).mean()  # Eq. 17
    rows = [model.user_embeddings[users], model.user_tastes[users]]
    rows += [model.item_embeddings[pos], model.item_embeddings[neg]]
    l2 = sum(row.square().sum() for row in rows) / (2 * len(users))
    naive = bpr + 0.3 * entropy + 0.7 * independence + 0.1 * l2  # Eq. 18
    expected = torch.autograd.grad(naive, list(model.parameters()))

    tight = {"rtol": 1e-9, "atol": 1e-9}
    assert_close(model.scorer()(torch.arange(NUM_USERS)), scores, **tight)
    assert_close(loss, naive, **tight)
    for name, got, want in zip(dict(model.named_parameters()), gradients, expected, strict=True):
        assert_close(got, want, **tight, msg=lambda text, name=name: f"{name}: {text}")


RING = torch.tensor([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]]).double()


def small(features=None, adjacency=RING, **options):
    torch.manual_seed(0)
    features = features or {"visual": torch.randn(4, 3).double()}
    options = {"levels": [3, 2], "id_dim": 2, **options}
    return HUIGN(NUM_USERS, 4, features, graph_of(adjacency), **options).double()


def lowest(model):
    """The items of a model with one modality, as its first level sees them."""
    (refined,) = model._refined([0])
    return refined


def test_token_features_are_learned_through_the_same_equations():
    bag = TokenBag(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 3, 4]), 3)
    model = small({"textual": bag}, token_dim=2)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    tokens = model.content._sources[0].embeddings
    scores, entropy, _ = naive_scores_and_penalties(
        model, [tokens[[0, 1, 1, 2]]], RING, 1.0, 1.0, False
    )
    assert_close(model.scorer()(torch.arange(NUM_USERS)), scores)
    got = model.encode().penalties["assignment_entropy"]
    assert_close(torch.autograd.grad(got, tokens)[0], torch.autograd.grad(entropy, tokens)[0])


TWO_MODALITIES = {"visual": torch.randn(4, 3).double(), "textual": torch.randn(4, 2).double()}


@pytest.mark.parametrize("id_dim", [0, 2])
@pytest.mark.parametrize("method", ["concat", "sum"])
def test_its_columns_tell_which_intent_each_entry_of_an_item_is(method, id_dim):
    fusion = partial(MultiModalFusion, method=method)
    model = small(TWO_MODALITIES, fusion=fusion, id_dim=id_dim)
    assert isinstance(model, IntentModel)
    fine_to_all = {}
    for name, (first, second) in model.assignments().items():
        fine_to_all[name, 1], fine_to_all[name, 2] = first, first @ second
    items = model.scorer().items
    columns = model.columns()
    assert columns[:id_dim] == (None,) * id_dim
    for entries, column in zip(items.T[id_dim:], columns[id_dim:], strict=True):
        modalities = list(TWO_MODALITIES) if column.modality is None else [column.modality]
        weights = [fine_to_all[name, column.level][:, column.intent] for name in modalities]
        assert_close(entries, sum(weights))
    assert (columns[-1].modality is None) == (method == "sum")


def test_a_constant_added_to_all_tastes_of_one_level_changes_no_ranking():
    model = small()
    before = model.scorer()(torch.arange(NUM_USERS))
    model.user_tastes.data[:, 3:] += 5.0  # the coarse level
    after = model.scorer()(torch.arange(NUM_USERS))
    assert_close(after - before, torch.full_like(after, 5.0))


def test_without_id_embeddings_items_alike_in_content_and_neighbours_score_alike():
    model = small({"visual": torch.tensor([[1.0], [2], [1], [2]]).double()}, id_dim=0)
    scores = model.scorer()(torch.arange(NUM_USERS))
    assert_close(scores[:, 0], scores[:, 2])
    assert (scores[:, 0] - scores[:, 1]).abs().min() > 0


def test_a_modality_nobody_tells_of_takes_no_part():
    lonely = RING.clone()
    lonely[3] = lonely[:, 3] = 0
    features = {
        "visual": torch.tensor([[1.0], [2], [3], [4]]).double(),
        "acoustic": torch.tensor([[1.0], [2], [3], [0]]).double(),
    }
    model = small(features, lonely, levels=[2])
    assert model.informed.tolist() == [[True, True]] * 3 + [[True, False]]
    assert_close(model.encode().items[3, 2:].tolist(), [1.0, 1.0, 0.0, 0.0])  # even, doubled; none


def test_neighbours_without_a_modality_do_not_count_in_the_mean():
    model = small({"visual": torch.tensor([[2.0], [0], [6], [8]]).double()})
    assert lowest(model).tolist() == [[8.0], [4.0], [8.0], [4.0]]


def test_an_aggregation_of_somebody_else_runs_whole():
    class Doubling(torch.nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.full((dim,), 2.0))

        def forward(self, features, adjacency):
            return features * self.scale

    visual = torch.randn(4, 3).double()
    model = small({"visual": visual}, conv=Doubling)
    assert_close(lowest(model), 2 * visual)
    model.terms(Triples(*torch.tensor([[0], [1], [2]])))["bpr"].backward()
    assert model.hierarchies[0].convs[0].scale.grad.abs().sum() > 0


class WholeMean(IntraLevelConv):
    def forward(self, features, adjacency, present=None):
        return super().forward(features, adjacency, present)


class WholeSAGE(SAGEConv):
    def forward(self, features, adjacency, present=None):
        return super().forward(features, adjacency, present)


@pytest.mark.parametrize(("conv", "whole"), [(IntraLevelConv, WholeMean), (SAGEConv, WholeSAGE)])
@pytest.mark.parametrize("fixed", [True, False])
def test_a_split_aggregation_equals_the_whole_and_propagates_fixed_features_once(
    conv, whole, fixed
):
    bag = TokenBag(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 3, 4]), 3)
    features = {"visual": torch.randn(4, 3).double()} if fixed else {"textual": bag}
    split, whole = (small(features, conv=one, token_dim=2) for one in (conv, whole))
    if fixed:
        split.hierarchies[0].convs[0].propagate = None
    batch = Triples(*torch.tensor([[0, 1], [1, 2], [2, 0]]))
    got, expected = split.terms(batch), whole.terms(batch)
    assert_close(got, expected)
    gradients = (
        torch.autograd.grad(sum(terms.values()), list(model.parameters()))
        for model, terms in ((split, got), (whole, expected))
    )
    assert_close(*gradients)


def test_an_override_of_forward_is_called_on_every_level():
    class Doubled(IntraLevelConv):
        def forward(self, features, adjacency):
            return 2 * super().forward(features, adjacency)

    visual = torch.randn(4, 3).double()
    plain, doubled = small({"visual": visual}), small({"visual": visual}, conv=Doubled)
    assert_close(lowest(doubled), 2 * lowest(plain))


def test_an_item_without_a_modality_is_informed_by_neighbours_under_any_conv():
    class Identity(torch.nn.Module):
        def __init__(self, dim):
            super().__init__()

        def forward(self, features, adjacency):
            return features

    lonely = RING.clone()
    lonely[3] = lonely[:, 3] = 0
    visual = torch.tensor([[0.0], [2], [3], [0]]).double()
    model = small({"visual": visual}, lonely, levels=[2], conv=Identity)
    assert model.informed.tolist() == [[True], [True], [True], [False]]


def test_without_a_hop_neighbours_tell_nothing_of_an_item_without_a_modality():
    visual = torch.tensor([[0.0, 1], [2, 1], [3, 0], [0, 0]]).double()
    model = small({"visual": visual}, levels=[2], conv=partial(IntraLevelConv, hops=0))
    assert model.informed.tolist() == [[True], [True], [True], [False]]
    assert_close(lowest(model), visual)


def test_the_authors_penalties_share_one_tensor():
    plain, aliased = small().encode().penalties, small(aliased_penalties=True).encode().penalties
    total = plain["assignment_entropy"] + plain["intent_independence"]
    assert_close(aliased["assignment_entropy"], total)
    assert_close(aliased["intent_independence"], total)


def test_the_authors_l2_is_a_mean_of_squares_per_kind_of_rows():
    model = small(l2="mean")
    users, pos, neg = torch.tensor([1, 2]), torch.tensor([0, 1]), torch.tensor([2, 3])
    items = model.item_embeddings[torch.cat([pos, neg])]
    expected = (
        model.user_embeddings[users].square().mean()
        + model.user_tastes[users].square().mean()
        + items.square().mean()
    )
    assert_close(model.terms(Triples(users, pos, neg))["l2"], expected)


def test_histograms_show_every_level_of_every_modality():
    histograms = small().histograms()
    assert set(histograms) == {"assignment/visual/level_1", "assignment/visual/level_2"}
    assert_close(histograms["assignment/visual/level_1"].sum().item(), 4.0)


def test_propagation_alone_carries_the_intents_of_a_liked_item_to_those_like_it():
    user_items = user_item_graph([0], [1], NUM_USERS, 4)
    torch.manual_seed(0)
    model = HUIGN(
        NUM_USERS,
        4,
        {"visual": torch.tensor([[5.0, 0], [5, 0], [0, 5], [0, 5]])},
        graph_of(torch.zeros(4, 4)),
        user_items,
        levels=[2],
        conv=partial(IntraLevelConv, self_loops="add"),
        propagation=LightPropagation,
    )
    for table in (model.user_embeddings, model.item_embeddings, model.user_tastes):
        table.data.zero_()
    model.hierarchies[0].poolings[0].supernodes.data = torch.eye(2)
    scores = model.scorer()(torch.arange(2))
    assert scores[0, 0] > scores[0, 2]  # nothing was learned: the one liked item is like item 0
    assert_close(scores[1], torch.zeros(4))


def test_propagation_without_a_user_item_graph_is_refused():
    with pytest.raises(ValueError, match="propagation needs the user-item adjacency, got none"):
        small(propagation=LightPropagation)


BATCH = Triples(*torch.tensor([[0, 1, 1], [1, 2, 1], [2, 0, 3]]))


@pytest.mark.parametrize("levels", [[3], [3, 2]])
@pytest.mark.parametrize("conv", [IntraLevelConv, partial(IntraLevelConv, weight=True), WholeSAGE])
@pytest.mark.parametrize("next_features", ["supernodes", "pooled"])
def test_a_sample_of_every_edge_and_item_gives_the_exact_terms_and_gradients(
    levels, conv, next_features
):
    bag = TokenBag(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 3, 4]), 3)
    features = {"visual": TWO_MODALITIES["visual"], "textual": bag}
    pooling = partial(IntentPooling, next_features=next_features)
    options = {"levels": levels, "conv": conv, "pooling": pooling, "token_dim": 2}
    exact = small(features, **options)
    sampled = small(features, **options, hierarchy="sampled", sampled_edges=8)
    assert exact.adjacency.matrix.num_edges() == 8
    terms = [model.terms(BATCH) for model in (exact, sampled)]
    gradients = [
        torch.autograd.grad(sum(t.values()), list(model.parameters()))
        for model, t in zip((exact, sampled), terms, strict=True)
    ]
    assert_close(terms[1], terms[0])
    assert_close(gradients[1], gradients[0])


def test_the_entropy_of_a_sample_is_that_of_all_items_on_average():
    torch.manual_seed(0)
    features = {"visual": 5 * torch.randn(40, 3).double()}
    ring = torch.eye(40).roll(1, 0)
    model = HUIGN(
        NUM_USERS,
        40,
        features,
        graph_of(ring + ring.T),
        levels=[4],
        hierarchy="sampled",
        sampled_edges=3,
    ).double()
    exact = model.encode().penalties["assignment_entropy"]
    draws = [model.terms(BATCH)["assignment_entropy"] for _ in range(500)]
    error = torch.stack(draws).mean() - exact
    assert abs(error) < 4 * torch.stack(draws).std() / 500**0.5
    assert torch.stack(draws).std() > 0


def test_only_training_samples_and_a_scorer_is_exact():
    path = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]).double()
    exact, sampled = (
        small(adjacency=path, hierarchy=how, sampled_edges=1) for how in ("exact", "sampled")
    )
    users = torch.arange(NUM_USERS)
    assert_close(sampled.scorer()(users), exact.scorer()(users))
    assert_close(sampled.assignments(), exact.assignments())
    assert not torch.equal(sampled.encode(users, users).items, exact.encode(users, users).items)
    assert_close(sampled.eval().encode(users, users), exact.encode(users, users))


def test_a_sampled_step_looks_only_at_a_batch_and_at_what_was_drawn():
    torch.manual_seed(0)
    ring = torch.eye(100).roll(1, 0)
    model = HUIGN(
        NUM_USERS,
        100,
        {"visual": torch.randn(100, 3)},
        graph_of(ring + ring.T),
        levels=[4, 2],
        hierarchy="sampled",
        sampled_edges=2,
    )
    seen = []
    assign = model.hierarchies[0].poolings[0].assign
    model.hierarchies[0].poolings[0].assign = lambda rows: (seen.append(len(rows)), assign(rows))[1]
    model.terms(BATCH)
    assert len(seen) == 2 and seen[0] <= 4 + 2 * 2 + 2 and seen[1] == 2


@pytest.mark.parametrize("hierarchy", ["exact", "sampled"])
@pytest.mark.parametrize("conv", [partial(IntraLevelConv, hops=2, weight=True), SAGEConv])
@pytest.mark.parametrize("next_features", ["supernodes", "pooled"])
def test_features_on_disk_give_the_same_terms_gradients_and_scores(
    monkeypatch, hierarchy, conv, next_features
):
    monkeypatch.setattr("hugraph.file_matrix.ROW_BLOCK_BYTES", 4 * 5 * 2)
    monkeypatch.setattr("hugraph.file_matrix.COLUMN_BLOCK_BYTES", 4 * 4 * 2)
    lonely = RING.clone()
    lonely[3] = lonely[:, 3] = 0
    bag = TokenBag(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 3, 4]), 3)
    features = {"visual": torch.randn(4, 3), "textual": bag, "acoustic": torch.randn(4, 2)}
    features["visual"][[0, 3]] = 0
    on_disk = {m: FileMatrix.from_rows([features[m]]) for m in ("visual", "acoustic")}
    pooling = partial(IntentPooling, next_features=next_features)
    options = {"conv": conv, "pooling": pooling, "hierarchy": hierarchy, "sampled_edges": 3}
    results = []
    for given_features in (features, {**features, **on_disk}):
        model = small(given_features, lonely, **options)
        torch.manual_seed(1)
        terms = model.terms(BATCH)
        gradients = torch.autograd.grad(sum(terms.values()), list(model.parameters()))
        scores = model.scorer()(torch.arange(NUM_USERS))
        results.append((terms, gradients, scores, model.informed, model.assignments()))
    # Features are propagated in float32, before the model is made double.
    assert_close(results[1], results[0], rtol=1e-5, atol=1e-6)
    assert not results[0][3].all()


def test_what_one_model_propagated_another_takes_in_its_place():
    lonely = RING.clone()
    lonely[3] = lonely[:, 3] = 0
    features = {"visual": torch.randn(4, 3), "textual": torch.randn(4, 2)}
    features["visual"][[0, 3]] = 0
    stored = {name: FileMatrix.from_rows([matrix]) for name, matrix in features.items()}
    first = small(stored, lonely)
    assert list(first.propagated()) == ["visual", "textual"]
    for given_features in (first.propagated(), {**stored, "visual": first.propagated()["visual"]}):
        second = small(given_features, lonely)
        assert torch.equal(second.informed, first.informed) and not first.informed.all()
        terms = [model.terms(BATCH) for model in (first, second)]
        assert_close(terms[1], terms[0], rtol=0, atol=0)
    assert small(features, lonely).propagated() == {}


def test_a_conv_that_only_runs_whole_refuses_what_was_propagated():
    class Whole(IntraLevelConv):
        def forward(self, features, adjacency, present=None):
            return features

    stored = {"visual": FileMatrix.from_rows([torch.randn(4, 2)])}
    with pytest.raises(ValueError, match="visual is propagated already"):
        small(small(stored).propagated(), conv=Whole)


def test_a_sampled_step_reads_an_item_once_for_all_modalities(monkeypatch):
    features = {name: torch.randn(4, 2) for name in ("visual", "acoustic")}
    stored = {name: FileMatrix.from_rows([matrix]) for name, matrix in features.items()}
    model = small(stored, hierarchy="sampled", sampled_edges=1)
    read = []
    rows = FileMatrix.rows
    monkeypatch.setattr(FileMatrix, "rows", lambda self, i: (read.append(i), rows(self, i))[1])
    model.terms(BATCH)
    (items,) = read
    assert len(items) <= 4 + 1  # those of the batch and of the edge, and one for the entropy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hierarchy": "most"}, "hierarchy must be 'exact' or 'sampled', got 'most'"),
        ({"sampled_edges": 0}, "sampled_edges must be greater than or equal to 1, got 0"),
        ({"levels": [2, 3]}, r"descend.*\[2, 3\]"),
        ({"levels": []}, r"descend.*\[\]"),
        ({"levels": [3, 1]}, r"at least 2 intents, got \[3, 1\]"),
        ({"levels": [5]}, "5 intents for 4 items"),
        ({"adjacency": torch.zeros(3, 3)}, "3 nodes, expected 4"),
        ({"adjacency": torch.eye(4).roll(1, 0)}, "symmetric"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
