import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.errors import DivergedError
from hugraph.interfaces import DotProduct, Interactions
from hugraph.train import ranking
from hugraph.train.ranking import top_k

NOTHING = Interactions(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
INF = float("inf")


class Table:
    """Scores looked up in a matrix, `(num_users, num_items)`."""

    def __init__(self, scores):
        self.scores = torch.as_tensor(scores)

    def __call__(self, users):
        return self.scores.index_select(0, users)


def interactions(pairs):
    return Interactions(*torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T)


def test_the_best_unseen_items_come_first_worked_by_hand():
    scorer = Table([[0.1, 0.9, 0.5, 0.7], [0.4, 0.3, 0.2, 0.1]])
    lists = top_k(scorer, torch.tensor([1, 0]), interactions([(0, 1), (1, 2)]), 2, 4)
    assert lists.items.tolist() == [[0, 1], [3, 2]]
    assert_close(lists.scores, torch.tensor([[0.4, 0.3], [0.7, 0.5]]))


def test_equal_scores_come_in_order_of_their_item_also_at_the_cut():
    scorer = Table([[1.0, 2.0, 1.0, 1.0, 2.0, 1.0]])
    for k, expected in ((1, [1]), (3, [1, 4, 0]), (4, [1, 4, 0, 2]), (6, [1, 4, 0, 2, 3, 5])):
        assert top_k(scorer, torch.tensor([0]), NOTHING, k, 6).items.tolist() == [expected]


def test_a_user_with_few_items_left_gets_a_shorter_list():
    lists = top_k(Table([[3.0, 2.0, 1.0]]), torch.tensor([0]), interactions([(0, 0), (0, 1)]), 3, 3)
    assert lists.items.tolist() == [[2, -1, -1]]
    assert lists.scores.tolist() == [[1.0, -INF, -INF]]


def test_a_list_is_never_longer_than_the_items():
    assert top_k(Table([[1.0, 2.0]]), torch.tensor([0]), NOTHING, 10, 2).items.tolist() == [[1, 0]]


def test_a_seen_score_ranks_seen_items_above_negative_scores_as_the_published_code_does():
    scorer = Table([[-1.0, -2.0, 5.0, 0.5]])
    lists = top_k(scorer, torch.tensor([0]), interactions([(0, 1), (0, 2)]), 4, 4, seen_score=1e-5)
    assert lists.items.tolist() == [[3, 1, 2, 0]]


@given(st.data())
def test_lists_agree_with_sorting_every_item_whatever_the_scorer_and_the_blocks(data):
    num_users, num_items = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 90))
    few_values = st.integers(-2, 2)  # so that most scores tie, and products are exact
    vectors = [
        data.draw(st.lists(st.tuples(few_values, few_values), min_size=n, max_size=n))
        for n in (num_users, num_items)
    ]
    pair = st.tuples(st.integers(0, num_users - 1), st.integers(0, num_items - 1))
    seen = data.draw(st.lists(pair, max_size=60))
    users = data.draw(st.permutations(range(num_users)))
    k = data.draw(st.integers(1, 10))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    num_threads = data.draw(st.integers(1, 3))

    expected = []
    for user in users:
        scores = [u * i + v * j for i, j in vectors[1] for u, v in vectors[0][user : user + 1]]
        unseen = [i for i in range(num_items) if (user, i) not in seen]
        best = sorted(unseen, key=lambda i: (-scores[i], i))[:k]
        expected.append(best + [-1] * (min(k, num_items) - len(best)))
    product = DotProduct(*(torch.tensor(side, dtype=dtype) for side in vectors))
    with pytest.MonkeyPatch.context() as patch:
        for size in ("BLOCK_BYTES", "TILE_BYTES"):
            patch.setattr(ranking, size, data.draw(st.sampled_from([1, 100, 2**20])))
        patch.setattr(ranking, "_TILE_ROWS", data.draw(st.integers(1, 7)))
        patch.setattr(torch, "get_num_threads", lambda: num_threads)
        patch.setattr(ranking, "_LONG", data.draw(st.sampled_from([3, 256])))
        for scorer in (product, Table(product(torch.arange(num_users)))):
            lists = top_k(scorer, torch.tensor(users), interactions(seen), k, num_items)
            assert lists.items.tolist() == expected
            found = lists.items >= 0
            assert torch.equal(found, lists.scores > -INF)
            rows = torch.tensor(users)[:, None].expand_as(found)[found]
            assert torch.equal(
                lists.scores[found], scorer(rows)[range(len(rows)), lists.items[found]]
            )


def test_a_product_of_many_tiles_gives_what_one_sort_gives():
    generator = torch.Generator().manual_seed(0)
    users, items = (torch.randn(n, 8, generator=generator) for n in (70, 5_000))
    seen = Interactions(
        torch.randint(70, (900,), generator=generator),
        torch.randint(5_000, (900,), generator=generator),
    )
    scores = users @ items.T
    scores[seen.users, seen.items] = -INF
    values, order = scores.sort(dim=1, descending=True, stable=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "TILE_BYTES", 2**16)
        patch.setattr(ranking, "_TILE_ROWS", 32)
        lists = top_k(DotProduct(users, items), torch.arange(70), seen, 20, 5_000)
    assert_close(lists.scores, values[:, :20])
    assert (lists.items == order[:, :20]).float().mean() > 0.999  # sums may round otherwise


def test_the_scorers_own_tensor_is_left_as_it_was():
    popularity = torch.tensor([3.0, 1.0, 2.0])
    top_k(
        lambda users: popularity.expand(len(users), 3),
        torch.arange(4),
        interactions([(1, 0)]),
        2,
        3,
    )
    assert popularity.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("value", [float("nan"), INF, -INF])
def test_a_score_that_is_not_finite_is_never_ranked(value):
    scores = torch.zeros(3, 4)
    scores[2, 1] = value
    with pytest.raises(DivergedError, match=f"of user index 2 and item index 1 is {value}"):
        top_k(Table(scores), torch.arange(3), NOTHING, 2, 4)


@pytest.mark.parametrize("value", [float("nan"), INF, 3e38])
def test_a_product_that_is_not_finite_is_never_ranked(value, monkeypatch):
    monkeypatch.setattr(ranking, "TILE_BYTES", 8)
    product = DotProduct(torch.ones(3, 2), torch.zeros(4, 2))
    product.users[2], product.items[3] = 2.0, value
    with pytest.raises(DivergedError, match=r"of user index . and item index 3 is (inf|nan)"):
        top_k(product, torch.arange(3), NOTHING, 2, 4)


def test_large_entries_whose_product_is_finite_are_ranked():
    product = DotProduct(torch.tensor([[3e38, 0.0]]), torch.tensor([[0.5, 0.0], [0.0, 3e38]]))
    assert top_k(product, torch.tensor([0]), NOTHING, 2, 2).items.tolist() == [[0, 1]]


def test_a_product_of_any_other_number_of_items_is_refused():
    product = DotProduct(torch.ones(1, 2), torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"must return \(1, 5\), got \(1, 3\)"):
        top_k(product, torch.tensor([0]), NOTHING, 1, 5)


def test_scores_of_another_shape_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"must return \(1, 5\), got \(1, 2\)"):
        top_k(Table([[1.0, 2.0]]), torch.tensor([0]), NOTHING, 1, 5)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        top_k(Table([[1.0, 2.0]]), torch.tensor([0]), NOTHING, 0, 2)


def test_no_users_give_no_lists():
    assert top_k(
        Table([[1.0, 2.0]]), torch.tensor([], dtype=torch.int64), NOTHING, 1, 2
    ).items.shape == (0, 1)


def test_int32_interactions_are_ranked_like_int64_ones():
    seen = Interactions(torch.tensor([1], dtype=torch.int32), torch.tensor([0], dtype=torch.int32))
    lists = top_k(Table([[0.0, 1.0], [2.0, 1.0]]), torch.arange(2), seen, 1, 2)
    assert lists.items.tolist() == [[1], [1]] and lists.items.dtype == torch.int64


def test_ranking_loads_neither_tensorboard_nor_polars():
    program = "import hugraph.train.ranking, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "hugraph.train.ranking" in loaded
    assert {"tensorboard", "polars"}.isdisjoint(loaded)
