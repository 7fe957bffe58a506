import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.interfaces import Interactions, TokenBag
from hugraph.models.item_knn import ItemKNN
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default


class TestItemKNNByInteractions(RecommenderContract):
    def make(self, world):
        return ItemKNN(
            world.num_users, world.num_items, world.train_interactions, world.modality_features
        )


class TestItemKNNByContent(RecommenderContract):
    def make(self, world):
        return ItemKNN(
            world.num_users,
            world.num_items,
            world.train_interactions,
            world.modality_features,
            similarity="content",
            num_neighbors=9,
        )


# Item 0 has users 0 and 1; item 1 users 0, 1 and 2; item 2 user 2; item 3 nobody.
TRAIN = Interactions(torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 1, 0, 1, 1, 2]))
ALL = torch.arange(3)


def test_two_items_vote_for_their_neighbours_worked_by_hand():
    to_1, to_2 = 2 / math.sqrt(2 * 3), 1 / math.sqrt(3 * 1)
    scores = ItemKNN(3, 4, TRAIN, {}, normalize=False).scorer()(torch.tensor([2, 0]))
    expected = [[to_1, to_2, to_2, 0], [to_1, to_1, to_2, 0]]
    assert_close(scores, torch.tensor(expected))

    scores = ItemKNN(3, 4, TRAIN, {}).scorer()(torch.tensor([2]))
    both = to_1 + to_2  # item 1 shares its vote between items 0 and 2, item 2 votes for it alone
    assert_close(scores, torch.tensor([[to_1 / both, 1, to_2 / both, 0]]))


def test_an_item_votes_only_for_its_nearest():
    model = ItemKNN(3, 4, TRAIN, {}, num_neighbors=1)
    assert_close(model.scorer()(torch.tensor([2])), torch.tensor([[1.0, 1, 0, 0]]))


def test_a_cold_item_is_voted_for_by_content_alone():
    visual = torch.tensor([[1.0, 0], [0, 1], [0, 1], [2, 0]])
    options = {"similarity": "content", "num_neighbors": 1}
    assert ItemKNN(3, 4, TRAIN, {"visual": visual}).scorer()(ALL)[:, 3].tolist() == [0, 0, 0]
    scores = ItemKNN(3, 4, TRAIN, {"visual": visual}, **options).scorer()(ALL)
    assert_close(scores[:, 3], torch.tensor([1.0, 1, 0]))


def test_an_item_unlike_all_others_does_not_vote_against_them():
    visual = torch.tensor([[-1.0], [1], [1], [1]])
    scores = ItemKNN(3, 4, TRAIN, {"visual": visual}, similarity="content").scorer()(ALL)
    # User 0 has items 0 and 1; item 0 is opposed to all, item 1 like items 2 and 3.
    assert_close(scores[0], torch.tensor([0, 0, 0.5, 0.5]))


@given(
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.sampled_from([0.0, 3.0]),
    st.booleans(),
    st.sampled_from(["interactions", "content"]),
)
def test_scores_are_those_of_the_formula_entry_by_entry(seed, k, shrinkage, normalize, similarity):
    torch.manual_seed(seed)
    num_users, num_items = 20, 6
    history = torch.rand(num_users, num_items) < torch.rand(num_items)
    visual = torch.randn(num_items, 3).double()
    visual[0] = 0
    counts = torch.randint(0, 9, (num_items, 5))
    counts[3] = 0
    tokens = [t for row in counts for t, count in enumerate(row) for _ in range(count)]
    offsets = torch.cat([torch.tensor([0]), counts.sum(dim=1).cumsum(0)])
    with float64_by_default():
        model = ItemKNN(
            num_users,
            num_items,
            Interactions(*history.nonzero(as_tuple=True)),
            {"visual": visual, "textual": TokenBag(torch.tensor(tokens), offsets, 5)},
            similarity=similarity,
            num_neighbors=k,
            shrinkage=shrinkage,
            normalize=normalize,
        )
    expected = torch.zeros(num_users, num_items).double()
    for rows in [history.T.double()] if similarity == "interactions" else [visual, counts.double()]:
        for w in range(num_items):
            alike = {}
            for v in range(num_items):
                if v != w and rows[v].any() and rows[w].any():
                    lengths = rows[v].norm() * rows[w].norm()
                    alike[v] = max(float(rows[v] @ rows[w] / (lengths + shrinkage)), 0.0)
            ranked = sorted(alike.items(), key=lambda pair: -pair[1])
            # Which of two equals is the last neighbour is anybody's choice.
            assume(len(ranked) <= k or ranked[k][1] < ranked[k - 1][1] - 1e-9 or not ranked[k][1])
            total = sum(value for _, value in ranked[:k]) if normalize else 1
            for v, value in ranked[:k]:
                expected[:, v] += history[:, w] * (value / total if value else 0)
    assert_close(model.scorer()(torch.arange(num_users)), expected)


def test_options_out_of_range_and_unknown_modalities_are_refused():
    with pytest.raises(ValueError, match=r"num_neighbors must be .* 1, got 0"):
        ItemKNN(3, 4, TRAIN, {}, num_neighbors=0)
    with pytest.raises(ValueError, match=r"shrinkage must be .* 0, got -1"):
        ItemKNN(3, 4, TRAIN, {}, shrinkage=-1.0)
    with pytest.raises(ValueError, match="similarity must be 'interactions' or 'content'"):
        ItemKNN(3, 4, TRAIN, {}, similarity="users")
    with pytest.raises(ValueError, match="at least one modality is needed"):
        ItemKNN(3, 4, TRAIN, {}, similarity="content")
