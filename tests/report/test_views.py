from dataclasses import replace

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from hugraph.report.runs import Epoch
from hugraph.report.views import by_modality, item_spaces, measured, ordered_assignments
from tests.report.intent_models import IntentVectors, Vectors
from tests.report.test_tree import level

# items 0 and 3 are mostly of intent 2, item 1 of intent 0, item 2 of intent 1
FINE = [[0.2, 0.1, 0.7], [0.6, 0.3, 0.1], [0.1, 0.5, 0.4], [0.0, 0.1, 0.9]]
COARSE = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
MODEL = IntentVectors(np.zeros((2, 5)), np.zeros((4, 5)), [np.array(FINE), np.array(COARSE)])


def described(coarse_information=0.5):
    """Levels as described of MODEL: intents 0 and 2 belong to 2.0, and intent 1 to 2.1."""
    fine = level(1, np.mean(FINE, axis=0), COARSE)
    coarse = level(2, (np.array(FINE) @ COARSE).mean(axis=0), information=coarse_information)
    return [replace(one, modality="textual") for one in (fine, coarse)]


def test_levels_are_parted_by_modality_in_their_order():
    first, second = level(1, [1.0]), level(2, [1.0])
    other = replace(first, modality="textual")
    assert by_modality([first, second, other]) == {"visual": (first, second), "textual": (other,)}


def test_items_are_distributions_over_all_levels_with_their_strongest_intent_at_each():
    space = item_spaces(MODEL, described())["textual"]
    chained = np.array(FINE) @ COARSE
    assert_allclose(space.vectors, np.concatenate([FINE, chained], axis=1))
    assert [one.level for one in space.levels] == [1, 2]
    assert_array_equal(space.strongest[0], [2, 0, 1, 2])
    assert_array_equal(space.strongest[1], chained.argmax(axis=1))


def test_a_level_that_tells_nothing_colours_nothing_but_keeps_its_place_in_the_vectors():
    space = item_spaces(MODEL, described(coarse_information=0.0))["textual"]
    assert [one.level for one in space.levels] == [1] and len(space.strongest) == 1
    assert space.vectors.shape == (4, 5)


def test_without_intents_items_are_where_their_vectors_are():
    vectors = np.arange(6.0).reshape(3, 2)
    (space,) = item_spaces(Vectors(np.zeros((1, 2)), vectors)).values()
    assert_array_equal(space.vectors, vectors)
    assert space.levels == space.strongest == ()


class NoVectors(Vectors):
    """Scores by no product of vectors."""

    def scorer(self):
        return lambda users: self.items


def test_a_model_without_vectors_has_no_place_for_items():
    assert item_spaces(NoVectors([[1.0]], [[1.0]])) == {}


def test_intents_stand_as_in_the_tree_and_items_by_their_strongest_one():
    fine, coarse = ordered_assignments(MODEL, described())["textual"]
    # 2.0 is larger than 2.1; under it intent 2 is larger than intent 0
    assert list(fine.columns) == ["1.2", "1.0", "1.1"] == list(coarse.rows)
    assert list(coarse.columns) == ["2.0", "2.1"]
    items = [3, 0, 1, 2]  # of intent 2, the surest first; then that of 0, then that of 1
    assert_allclose(fine.weights, np.array(FINE)[np.ix_(items, [2, 0, 1])])
    assert_allclose(coarse.weights, np.array(COARSE)[[2, 0, 1]])
    assert (fine.title, coarse.title) == ("items to level 1", "level 1 to level 2")
    assert list(fine.rows) == []


def test_intents_of_a_level_outside_the_tree_stand_by_their_size():
    _, coarse = ordered_assignments(MODEL, described(coarse_information=0.0))["textual"]
    assert list(coarse.columns) == ["2.0", "2.1"] and list(coarse.rows) == ["1.2", "1.1", "1.0"]


def test_terms_have_panels_of_their_own_and_metrics_share_one_by_kind():
    epochs = [
        Epoch(1, "a", {"bpr": 0.7}, {"recall@5": 0.1, "recall@10": 0.2}),
        Epoch(2, "b", {"l2": 3.0}, {"recall@5": 0.3}),
    ]
    assert measured(epochs) == {
        "bpr": {"bpr": ([1], [0.7])},
        "l2": {"l2": ([2], [3.0])},
        "validation recall": {"recall@5": ([1, 2], [0.1, 0.3]), "recall@10": ([1], [0.2])},
    }
    assert measured([]) == {}
