import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hugraph import metrics
from hugraph.metrics import LIST_METRICS, METRICS


def score(name, hits, num_relevant, k):
    return METRICS[name](np.array([hits], bool), np.array([num_relevant]), k)[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("precision", 1 / 3),
        ("recall", 1 / 5),
        ("ndcg", 0.469278),  # 1 / (1 + 1/log2(3) + 1/2)
        ("ndcg_hits", 1.0),
        ("hit_rate", 1.0),
        ("mrr", 1.0),
        ("map", 1 / 3),
    ],
)
def test_one_hit_of_five_relevant_items_at_rank_1_worked_by_hand(name, expected):
    assert_allclose(score(name, [1, 0, 0], 5, 3), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("precision", 2 / 4),
        ("recall", 2 / 2),
        ("ndcg", (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))),
        ("ndcg_hits", (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))),
        ("hit_rate", 1.0),
        ("mrr", 1 / 2),
        ("map", (1 / 2 + 2 / 4) / 2),
    ],
)
def test_hits_at_ranks_2_and_4_worked_by_hand(name, expected):
    assert_allclose(score(name, [0, 1, 0, 1], 2, 4), expected)


@pytest.mark.parametrize("name", METRICS)
def test_a_list_without_hits_scores_zero(name):
    assert score(name, [0, 0, 0], 4, 3) == 0


@pytest.mark.parametrize("name", METRICS)
def test_hits_below_the_cut_do_not_count(name):
    assert score(name, [0, 1, 1, 1], 3, 1) == 0
    assert score(name, [1, 1, 0, 0], 9, 2) == score(name, [1, 1, 1, 1], 9, 2)


def naive(name, hits, num_relevant, k):
    """Each metric by its textbook loop over ranks."""
    hits = hits[:k]
    gains = [1 / math.log2(rank + 1) for rank, hit in enumerate(hits, 1) if hit]
    ideal = [1 / math.log2(rank + 1) for rank in range(1, k + 1)]
    match name:
        case "precision":
            return sum(hits) / k
        case "recall":
            return sum(hits) / num_relevant
        case "ndcg":
            return sum(gains) / sum(ideal[:num_relevant])
        case "ndcg_hits":
            return sum(gains) / sum(ideal[: len(gains)]) if gains else 0.0
        case "hit_rate":
            return float(any(hits))
        case "mrr":
            return next((1 / rank for rank, hit in enumerate(hits, 1) if hit), 0.0)
        case "map":
            at_hits = [sum(hits[:rank]) / rank for rank, hit in enumerate(hits, 1) if hit]
            return sum(at_hits) / min(num_relevant, k)


@given(st.data())
def test_every_metric_agrees_with_a_loop_over_ranks(data):
    places = data.draw(st.integers(1, 12))
    k = data.draw(st.integers(1, places))
    rows = data.draw(
        st.lists(st.lists(st.booleans(), min_size=places, max_size=places), min_size=1, max_size=5)
    )
    num_relevant = [max(sum(row), 1) + data.draw(st.integers(0, 4)) for row in rows]
    for name, metric in METRICS.items():
        expected = [naive(name, row, n, k) for row, n in zip(rows, num_relevant, strict=True)]
        got = metric(np.array(rows), np.array(num_relevant), k)
        assert_allclose(got, expected, rtol=1e-12, err_msg=name)
        assert ((got >= 0) & (got <= 1 + 1e-12)).all()


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("k", [0, 4])
def test_a_cut_outside_of_the_list_is_refused_with_both_numbers(name, k):
    with pytest.raises(ValueError, match=f"from 1 to the 3 places of the lists, got {k}"):
        METRICS[name](np.ones((2, 3), bool), np.array([3, 3]), k)


LISTS = np.array([[0, 1], [0, 2], [0, -1]])  # counts 3, 1, 1, 0
POPULARITY = np.array([3, 3, 1, 0])  # with one added: 4, 4, 2, 1 of 11


def test_list_metrics_worked_by_hand():
    assert metrics.coverage(LISTS, POPULARITY) == 3 / 4
    # ascending counts 0, 1, 1, 3 with factors -3, -1, 1, 3 over 4 items and 5 places
    assert_allclose(metrics.gini(LISTS, POPULARITY), 9 / 20)
    bits = [math.log2(11 / 4)] * 3 + [math.log2(11 / 4), math.log2(11 / 2)]
    assert_allclose(metrics.novelty(LISTS, POPULARITY), sum(bits) / 5)


@given(st.lists(st.lists(st.integers(-1, 5), min_size=3, max_size=3), min_size=1, max_size=6))
def test_gini_is_half_the_relative_mean_difference(lists):
    counts = [sum(row.count(item) for row in lists) for item in range(6)]
    total = sum(abs(a - b) for a in counts for b in counts)
    expected = total / (2 * 6 * sum(counts)) if sum(counts) else 0.0
    assert_allclose(metrics.gini(np.array(lists), np.ones(6, int)), expected, atol=1e-12)


def test_gini_is_0_for_equal_shares_and_almost_1_for_a_single_item():
    assert metrics.gini(np.array([[0, 1], [2, 3]]), np.ones(4, int)) == 0
    assert_allclose(metrics.gini(np.zeros((7, 1), int), np.ones(100, int)), 0.99)


def test_novelty_rises_as_lists_leave_the_popular_items():
    popularity = np.array([100, 10, 1, 0])
    bits = [metrics.novelty(np.array([[item]]), popularity) for item in range(4)]
    assert bits == sorted(bits) and len(set(bits)) == 4


@pytest.mark.parametrize("name", LIST_METRICS)
def test_list_metrics_of_empty_lists_are_zero(name):
    assert LIST_METRICS[name](np.full((2, 3), -1), np.ones(4, int)) == 0


def test_the_names_a_spec_may_use_are_those_of_the_tables():
    assert set(get_args(metrics.MetricName)) == set(METRICS)
    assert set(get_args(metrics.ListMetricName)) == set(LIST_METRICS)
