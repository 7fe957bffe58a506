import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hugraph.report.naming import best, name_intents

NONE = [0] * 7
TERMS = ["death metal", "hip hop", "hip-hop", "jazz", "metal", "metalcore", "soul"]


def alone(*args, **kwargs):
    """The name of the first of several intents."""
    return names(*args, **kwargs)[0]


def names(weights, *, chance=0.1, popularity=None, typical=None, used=None):
    weights = np.array(weights, dtype=float)
    count = len(weights)
    return name_intents(
        TERMS,
        weights,
        np.full(weights.shape, chance),
        np.zeros(count) if popularity is None else np.array(popularity),
        typical or [["Heat", "Alien"]] * count,
        np.ones(count, dtype=bool) if used is None else np.array(used),
    )


def test_a_name_is_the_best_terms_that_share_no_word_and_no_spelling():
    assert alone([[0.5, 0.8, 0.9, 0.6, 0.0, 0.0, 0.7], NONE]) == ("hip-hop, soul, jazz", "terms")
    assert alone([[0.6, 0, 0, 0, 0.9, 0, 0.2], NONE]) == ("metal", "terms")  # soul is too weak


def test_siblings_with_the_same_first_term_are_called_by_what_parts_them():
    weights = [[0.8, 0, 0, 0.7, 0.9, 0.6, 0], [0.3, 0, 0, 0.7, 0.9, 0.8, 0]]
    assert [name for name, _ in names(weights)] == [
        "metal, death metal, jazz",
        "metal, metalcore, jazz",
    ]


def test_weaker_terms_are_taken_where_a_name_is_taken():
    weights = [[0, 0, 0, 0.9, 0, 0, 0], [0, 0, 0, 0.9, 0, 0, 0.3]]
    assert [name for name, _ in names(weights)] == ["jazz", "jazz, soul"]


def test_what_cannot_be_parted_is_numbered():
    alike = [[0, 0, 0, 0.9, 0, 0, 0]] * 3
    assert [name for name, _ in names(alike)] == ["jazz", "jazz (2)", "jazz (3)"]


def test_without_a_term_beyond_chance_typical_items_are_the_name_and_without_titles_a_number():
    weak = [[0.05] * 7] * 2
    assert alone(weak) == ("such as Heat; Alien", "items")
    assert alone(weak, typical=[["Heat", ""]] * 2) == ("intent 0", "number")
    assert alone(weak, typical=[[]] * 2) == ("intent 0", "number")


def test_an_intent_without_items_has_no_name():
    assert alone([[0.9] * 7] * 3, used=[False, True, True]) == ("intent 0", "number")


def test_what_follows_popularity_more_than_any_term_is_called_so():
    weights = [[0, 0, 0, 0.6, 0, 0, 0]] * 3
    assert names(weights, popularity=[0.7, -0.7, 0.59]) == [
        ("popular items", "popularity"),
        ("rarely chosen items", "popularity"),
        ("jazz", "terms"),
    ]
    assert alone([NONE, NONE], popularity=[0.49, 0]) == ("such as Heat; Alien", "items")


def test_the_only_intent_with_items_is_that_of_all_items():
    assert names([[0.9] * 7] * 3, used=[False, True, False]) == [
        ("intent 0", "number"),
        ("all items", "number"),
        ("intent 2", "number"),
    ]


@given(st.integers(0, 999))
def test_no_two_intents_of_a_level_have_the_same_name(seed):
    rng = np.random.default_rng(seed)
    count = 9
    found = names(
        rng.integers(0, 3, size=(count, len(TERMS))) / 2,
        popularity=rng.choice([0, 0.9], size=count),
        used=rng.random(count) < 0.8,
    )
    assert len({name for name, _ in found}) == count


def test_the_best_are_in_order_and_above_the_limit():
    values = np.array([0.2, 0.9, 0.2, 0.5])
    assert best(values, 3) == [1, 3, 0]
    assert best(values, 9, above=0.2) == [1, 3]
    assert best(values, 9, above=np.array([0.1, 1.0, 0.3, 0.0])) == [3, 0]
