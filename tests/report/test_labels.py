import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from hugraph.data.synthetic import planted
from hugraph.report.keywords import item_labels
from hugraph.report.labels import agreement, labels_of


def agreed(parts, cells):
    return agreement(np.array(parts), item_labels(cells), np.random.default_rng(0))


@given(st.integers(0, 99))
def test_one_label_an_item_gives_the_scores_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    parts, labels = rng.integers(4, size=40), rng.integers(3, size=40)
    match = agreed(parts, [f"genre {label}" for label in labels])
    assert match.nmi == pytest.approx(normalized_mutual_info_score(labels, parts), abs=1e-9)
    assert match.ari == pytest.approx(adjusted_rand_score(labels, parts), abs=1e-9)
    assert match.items == 40


def test_an_item_with_two_labels_counts_half_with_each():
    # the same joint distribution as of four items with one label each
    match = agreed([0, 0, 1, 1], ["a|b", "a|b", "c|d", "c|d"])
    # I = ln 2, H(parts) = ln 2, H(labels) = ln 4
    assert match.nmi == pytest.approx(2 * np.log(2) / (np.log(2) + np.log(4)))
    assert match.ari is None


def test_items_without_a_label_are_left_out():
    match = agreed([0, 0, 1, 1, 1, 0], ["a", "a", "b", "b", "", None])
    assert (match.nmi, match.ari, match.items) == (pytest.approx(1.0), 1.0, 4)


def test_one_part_agrees_with_nothing():
    assert agreed([0, 0, 0, 0], ["a", "a", "b", "b"]).nmi == 0.0


def test_shuffled_items_agree_far_less():
    rng = np.random.default_rng(1)
    labels = rng.integers(5, size=500)
    match = agreed(labels, [f"genre {label}" for label in labels])
    assert match.nmi == pytest.approx(1.0)
    assert 0 < match.shuffled < 0.05


def test_a_planted_truth_and_columns_of_labels_are_found():
    found = labels_of(planted(num_users=20, num_items=40, levels=(4, 2)))
    assert list(found) == ["planted level_1", "planted level_2", "text"]
    assert found["planted level_1"].table.sum() == 40
    assert {"bread", "baking"} <= set(found["text"].terms)
