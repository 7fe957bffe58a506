import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hugraph.report.keywords import (
    by_chance,
    coherence,
    correlations,
    item_labels,
    item_terms,
    occurrences,
)


def terms_of(*texts, column="text"):
    return item_terms(pl.DataFrame({column: list(texts)})).terms


def occurring(*documents):
    return occurrences([set(document.split()) for document in documents], 1, set())


def test_a_list_of_tags_keeps_them_whole():
    tags = "Progressive Rock, 80s, jazz, 1984"
    assert terms_of(tags, tags) == ("80s", "jazz", "progressive rock")


def test_genres_between_bars_are_tags_too():
    assert terms_of("Film-Noir|Sci-Fi", "Film-Noir|Drama", "Sci-Fi") == ("film-noir", "sci-fi")


def test_prose_becomes_words_and_pairs_without_stop_words_and_numbers():
    texts = [
        "The serial killer's house in 1995. Snow falls!",
        "A serial killer flees; a house of snow",
        "Her serial",
    ]
    # `serial` is by itself once in three, `killer` never
    assert terms_of(*texts) == ("house", "serial", "serial killer", "snow")


def test_a_pair_does_not_reach_over_the_end_of_a_sentence():
    assert "dog barks" not in terms_of("see the dog. barks", "see the dog. barks")


def test_a_cell_of_several_texts_is_taken_apart():
    cell = "A girl leaves the town for good | Jean Reno, Natalie Portman"
    assert {"girl leaves", "jean reno", "natalie portman"} <= set(terms_of(cell, cell))


def test_who_signed_a_text_and_who_gave_a_tag_are_no_terms():
    text = "A film about trains that never arrive —Joe Bloggs <joe@example.com>"
    assert terms_of(text, text) == ("arrive", "film", "trains")
    tags = "my favourites, fav artists, rock, music to play very loud at night"
    assert terms_of(tags, tags) == ("rock",)


def test_a_pair_that_says_no_more_than_tags_is_left_out():
    items = pl.DataFrame(
        {"title": ["Seaside sailing 1", "Seaside sailing 2"], "text": ["travel, sailing"] * 2}
    )
    assert item_terms(items).terms == ("sailing", "seaside", "travel")


def test_a_term_of_fewer_than_one_item_in_a_hundred_is_left_out():
    assert terms_of(*["common"] * 200, "rare", "rare", "rarer") == ("common",)
    assert terms_of("twice", "twice", "once") == ("twice",)


@pytest.mark.parametrize(
    "text",
    [
        "Группа крови",
        "椎名林檎",
        "하늘을 달리다",
        "أم كلثوم",
        "हिन्दी फ़िल्म",
        "Ｆｕｌｌ ｗｉｄｔｈ",
        "ﬁlm İstanbul",
        "🎸🎸",
    ],
)
def test_every_script_is_read(text):
    found = item_terms(pl.DataFrame({"title": [text] * 3, "text": [None, "", " "]}))
    assert len(found.terms) == len(set(found.terms))
    assert found.table.shape == (3, len(found.terms))
    assert bool(found.terms) == any(map(str.isalpha, text))


def test_no_texts_are_no_terms():
    found = item_terms(pl.DataFrame({"item": ["a", "b"], "title": ["", None]}))
    assert found.terms == ()
    assert correlations(found, np.eye(2)).shape == (2, 0)
    assert by_chance(found, np.eye(2), np.random.default_rng(0)).shape == (2, 0)


def test_labels_are_read_one_or_several_to_an_item():
    labels = item_labels(["Drama|War", "War", "", None, "Drama"])
    assert labels.terms == ("Drama", "War")
    assert labels.table.toarray().tolist() == [[1, 1], [0, 1], [0, 0], [0, 0], [1, 0]]


@pytest.mark.parametrize(
    "cells",
    [
        ["a text that goes on and on", "a text that goes on and on"],  # prose
        ["17", "18", "19"],  # ids
        ["1", "1", "1"],  # one label
        ["", None],
    ],
)
def test_a_column_that_tells_no_two_groups_apart_is_no_labels(cells):
    assert item_labels(cells) is None


def test_correlations_worked_by_hand():
    found = occurring("rock loud", "rock", "jazz", "jazz")
    assignment = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    third = 1 / math.sqrt(3)  # phi of one item out of two
    assert found.terms == ("jazz", "loud", "rock")
    assert_allclose(correlations(found, assignment), [[-1, third, 1], [1, -third, -1]])


@given(st.integers(0, 99))
def test_correlations_are_those_of_numpy_and_know_no_scale(seed):
    rng = np.random.default_rng(seed)
    has = rng.random((12, 5)) < 0.4
    found = occurring(*(" ".join(f"t{w}" for w in np.flatnonzero(row)) for row in has))
    columns = [int(term[1:]) for term in found.terms]
    kept = [(w, c) for w, c in enumerate(columns) if has[:, c].std() > 0]
    assignment = rng.dirichlet(np.ones(3), size=12)
    ours = correlations(found, assignment)
    for w, c in kept:
        for k in range(3):
            assert ours[k, w] == pytest.approx(np.corrcoef(has[:, c], assignment[:, k])[0, 1])
    assert_allclose(correlations(found, 1 / 3 + 1e-6 * assignment), ours, atol=1e-8)


def test_what_all_items_have_alike_goes_along_with_nothing():
    found = occurring("all rock", "all", "all rock")
    weights = correlations(found, np.full((3, 2), 0.5))
    assert weights.tolist() == [[0, 0], [0, 0]]
    assert correlations(found, np.array([[1, 0], [0, 1], [1, 0]]))[:, 0].tolist() == [0, 0]


def test_chance_is_below_a_planted_term_and_above_most_others():
    rng = np.random.default_rng(0)
    has = rng.random((300, 40)) < 0.2
    texts = [" ".join(f"w{w}" for w in np.flatnonzero(row)) or "none" for row in has]
    found = occurring(*texts)
    assignment = np.stack([has[:, 3], ~has[:, 3]], axis=1) * 0.2 + 0.4 * rng.random((300, 2))
    weights, chance = correlations(found, assignment), by_chance(found, assignment, rng)
    assert [found.terms[w] for w in np.flatnonzero(weights[0] > chance[0])] == ["w3"]
    assert_allclose(chance, np.broadcast_to(chance[:, :1], chance.shape))
    assert chance.min() > 0.1 and chance.max() < 0.4  # of 40 draws from N(0, 1/299), 39 times


def test_tags_and_words_have_a_chance_of_their_own():
    rng = np.random.default_rng(0)
    has = rng.random((200, 60)) < 0.1
    documents = [{f"w{w}" for w in np.flatnonzero(row)} | {"none"} for row in has]
    found = occurrences(documents, 1, {"w0"})
    chance = by_chance(found, rng.dirichlet(np.ones(2), size=200), rng)
    assert (chance[:, found.tags].max(axis=1) < chance[:, ~found.tags].min(axis=1)).all()


def test_coherence_worked_by_hand():
    found = occurring("a b", "a b", "c", "d")
    a, b, c, _ = range(4)
    assert coherence(found, [a, b]) == pytest.approx(1.0)  # ln(.5 / .25) / -ln .5
    assert coherence(found, [a, c]) == -1.0
    assert coherence(found, [a, b, c]) == pytest.approx(-1 / 3)
    assert math.isnan(coherence(found, [a]))


def test_coherence_of_terms_that_are_everywhere_is_1_and_of_unrelated_ones_0():
    assert coherence(occurring("a b", "a b"), [0, 1]) == 1.0
    assert coherence(occurring("a b", "a c", "b c", "c"), [0, 1]) == pytest.approx(0.0)
