import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from hugraph.errors import DataError, DivergedError, SpecError
from hugraph.interfaces import Interactions
from hugraph.metrics import LIST_METRICS, METRICS
from hugraph.train.evaluator import evaluate
from tests.test_metrics import naive
from tests.train.test_ranking import NOTHING, Table, interactions

SCORES = [[0.9, 0.8, 0.7, 0.1], [0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 0.0, 1.0]]
RELEVANT = interactions([(2, 0), (0, 2), (0, 3)])
SEEN = interactions([(0, 0), (1, 3), (2, 3)])
POPULARITY = torch.tensor([1, 0, 0, 2])


def test_an_evaluation_worked_by_hand():
    # user 0 sees 1, 2, 3 (hits at 2 and 3), user 2 sees 0, 1, 2 (hit at 1), user 1 is left out
    result = evaluate(
        Table(SCORES), RELEVANT, SEEN, POPULARITY, metrics=["recall", "ndcg", "coverage"], k=[2, 1]
    )
    assert result.users.tolist() == [0, 2]
    assert list(result.metrics) == [
        *("recall@1", "recall@2", "ndcg@1", "ndcg@2", "coverage@1", "coverage@2")
    ]
    assert result.metrics["recall@1"] == (0 + 1) / 2
    assert result.metrics["recall@2"] == (1 / 2 + 1) / 2
    assert result.per_user["recall@2"].tolist() == [1 / 2, 1]
    first = (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    assert_allclose(result.metrics["ndcg@2"], (first + 1) / 2)
    assert result.metrics["coverage@2"] == 3 / 4  # items 1, 2 and 0, 1
    assert "coverage@2" not in result.per_user


def test_every_metric_agrees_with_sorting_and_counting_user_by_user():
    rng = np.random.default_rng(3)
    num_users, num_items, k = 30, 25, [1, 4, 25]
    kind = rng.choice(["", "seen", "relevant"], p=[0.6, 0.25, 0.15], size=(num_users, num_items))
    scores = rng.integers(0, 6, size=kind.shape).astype(float)
    relevant, seen = np.argwhere(kind == "relevant"), np.argwhere(kind == "seen")
    counts = (kind == "seen").sum(0)
    result = evaluate(
        Table(scores),
        interactions(relevant.tolist()),
        interactions(seen.tolist()),
        torch.from_numpy(counts),
        metrics=[*METRICS, *LIST_METRICS],
        k=k,
    )
    users = sorted({int(u) for u, _ in relevant})
    assert result.users.tolist() == users
    lists = []
    for row, user in enumerate(users):
        unseen = np.flatnonzero(kind[user] != "seen")
        ranked = sorted(unseen, key=lambda item: (-scores[user, item], item))
        lists.append(ranked)
        hits = [kind[user, item] == "relevant" for item in ranked] + [False] * num_items
        for name in METRICS:
            for cut in k:
                expected = naive(name, hits, int((kind[user] == "relevant").sum()), cut)
                assert_allclose(result.per_user[f"{name}@{cut}"][row], expected)
    for name in METRICS:
        assert_allclose(result.metrics[f"{name}@4"], result.per_user[f"{name}@4"].mean())
    recommended = [item for ranked in lists for item in ranked[:4]]
    assert result.metrics["coverage@4"] == len(set(recommended)) / num_items
    bits = -np.log2((counts + 1) / (counts + 1).sum())
    assert_allclose(result.metrics["novelty@4"], np.mean([bits[item] for item in recommended]))


def test_the_seen_score_of_the_published_code_lets_seen_items_take_places():
    scorer, relevant = Table([[-3.0, -1.0, -2.0]]), interactions([(0, 2)])
    seen, popularity = interactions([(0, 1)]), torch.tensor([0, 1, 0])
    masked = evaluate(scorer, relevant, seen, popularity, metrics=["recall"], k=[1])
    kept = evaluate(scorer, relevant, seen, popularity, metrics=["recall"], k=[1], seen_score=1e-5)
    assert (masked.metrics["recall@1"], kept.metrics["recall@1"]) == (1.0, 0.0)


def test_a_list_longer_than_the_items_is_refused_before_anything_is_scored():
    def scorer(users):
        raise AssertionError("scored")

    with pytest.raises(SpecError, match="lists of 20 are asked for, but there are 4 items"):
        evaluate(scorer, RELEVANT, SEEN, POPULARITY, k=[1, 20])
    with pytest.raises(SpecError, match="unknown metric 'recal'; did you mean 'recall'"):
        evaluate(scorer, RELEVANT, SEEN, POPULARITY, metrics=["recal"], k=[1])


def test_nothing_to_find_is_an_error_not_a_nan():
    with pytest.raises(DataError, match="no user has an item to find"):
        evaluate(Table(SCORES), NOTHING, SEEN, POPULARITY, k=[1])


def test_scores_that_are_nan_end_the_evaluation():
    with pytest.raises(DivergedError, match="not finite"):
        evaluate(Table(torch.full((3, 4), math.nan)), RELEVANT, SEEN, POPULARITY, k=[1])


def test_int32_interactions_of_many_users_and_items_do_not_overflow():
    num_items = 70_000
    relevant = Interactions(*(column.int() for column in interactions([(30_678, 61_184)])))
    scores = torch.zeros(num_items).index_fill(0, torch.tensor([61_184]), 1.0)
    assert 30_678 * num_items < 2**31 < 30_678 * num_items + 61_184
    result = evaluate(
        lambda users: scores.expand(len(users), -1),
        relevant,
        NOTHING,
        torch.zeros(num_items, dtype=torch.int64),
        metrics=["recall"],
        k=[1],
    )
    assert result.metrics == {"recall@1": 1.0} and result.users.dtype == np.int64


@pytest.mark.parametrize("k", [[], [0], [1.5]])
def test_a_cut_off_that_is_no_length_is_refused(k):
    with pytest.raises(ValueError, match=r"^k must be "):
        evaluate(Table(SCORES), RELEVANT, SEEN, POPULARITY, k=k)
