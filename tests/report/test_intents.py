import math

import numpy as np
import polars as pl
import pytest

from hugraph.data.dataset import Dataset
from hugraph.interfaces import IntentColumn
from hugraph.report.intents import column_names, describe_intents, intent_names
from tests.report.intent_models import Told

ROCK, JAZZ = "guitar, rock", "saxophone, jazz"


def shop(texts, interactions=None, columns=None, titles=True):
    """A dataset of as many items as texts."""
    ids = [f"i{item}" for item in range(len(texts))]
    users, items = zip(*(interactions or [(0, item) for item in range(len(texts))]), strict=True)
    table = {"item": ids, "text": texts, **(columns or {})}
    if titles:
        table["title"] = [f"{item}" for item in range(len(texts))]
    return Dataset(
        name="shop",
        user_ids=np.array(["u0", "u1"], dtype=object),
        item_ids=np.array(ids, dtype=object),
        users=np.array(users),
        items=np.array(items),
        item_table=None if texts[0] is None else pl.DataFrame(table),
        fingerprint="",
    )


SIX = [ROCK] * 4 + [JAZZ] * 2
FINE = [[0.9, 0.1, 0]] * 4 + [[0, 1, 0]] * 2
COARSE = [[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]]


@pytest.fixture(scope="module")
def levels():
    users = [[2, 0, 1, 0, 1], [0, 0, 0, 1, 0]]
    return describe_intents(Told({"textual": [FINE, COARSE]}, users), shop(SIX))


def test_sizes_typical_items_and_relatives_worked_by_hand(levels):
    first, second, empty = levels[0].intents
    assert (first.soft_size, first.hard_size) == (pytest.approx(0.6), 4)
    assert (second.soft_size, second.hard_size) == (pytest.approx(0.4), 2)
    assert first.typical[0] == (0, pytest.approx(0.9))
    assert [item for item, _ in second.typical[:2]] == [4, 5]
    sizes = [0.6 * 0.8 + 0.4 * 0.3, 0.6 * 0.2 + 0.4 * 0.7]
    assert [one.soft_size for one in levels[1].intents] == pytest.approx(sizes)
    assert [(link.intent, link.weight) for link in first.parents] == [(0, 0.8), (1, 0.2)]
    assert first.parents[0].lift == pytest.approx(0.8 / 0.6)
    children = levels[1].intents[0].children
    assert [(link.intent, link.weight) for link in children] == [(0, 0.8), (2, 0.5), (1, 0.3)]
    assert (first.children, levels[1].intents[0].parents) == ((), ())
    norms = math.sqrt(4 * 0.9**2) * math.sqrt(4 * 0.1**2 + 2)
    assert first.overlap[0].intent == 1
    assert first.overlap[0].weight == pytest.approx(4 * 0.9 * 0.1 / norms)
    assert [link.intent for link in empty.overlap] == [0, 1]


def test_names_and_keywords_come_from_the_texts(levels):
    assert [(term, weight) for term, weight in levels[0].intents[0].keywords] == []
    # of six items no correlation is beyond chance: some shuffle gives it too
    many = describe_intents(
        Told({"textual": [np.repeat(FINE, 10, axis=0)]}, np.zeros((2, 3))),
        shop([ROCK] * 40 + [JAZZ] * 20),
    )[0].intents
    assert [one.name for one in many] == ["guitar, rock", "jazz, saxophone", "intent 2"]
    assert [one.named_by for one in many] == ["terms", "terms", "number"]
    assert many[0].keywords == (("guitar", pytest.approx(1)), ("rock", pytest.approx(1)))
    assert many[0].coherence == pytest.approx(1.0)
    assert many[0].chance < 1


def test_an_intent_without_items_says_so(levels):
    empty = levels[0].intents[2]
    assert not empty.used
    assert empty.remark == "no item is assigned to it"
    assert "1 of 3 intents have no items" in levels[0].remark
    assert levels[0].intents[0].used


def test_taste_worked_by_hand(levels):
    # level 1: tastes less their mean are (1, -1, 0) for the first user, nothing for the second
    assert [one.taste for one in levels[0].intents] == [1, 0, 0]
    # level 2: (-0.5, 0.5) and (0.5, -0.5); both entries have the same deviation
    assert [one.taste for one in levels[1].intents] == pytest.approx([0.5, 0.5])


def test_taste_counts_only_where_items_differ():
    users = [[3, 3, 0], [3, 3, 0]]
    assignment = [[0.5, 0.5, 0], [0.5, 0.0, 0.5], [0.5, 0.1, 0.4]]
    told = describe_intents(Told({"textual": [assignment]}, users), shop(["a", "b", "c"]))
    assert [one.taste for one in told[0].intents] == pytest.approx([0, 1, 0])


def test_modalities_that_the_fusion_added_up_share_their_tastes():
    both = {"visual": [FINE], "textual": [FINE]}
    told = describe_intents(Told(both, [[2, 0, 1], [0, 0, 0]], summed=True), shop(SIX))
    assert [one.taste for level in told for one in level.intents] == [1, 0, 0] * 2


def test_entropy_and_information_worked_by_hand():
    def told(assignment):
        return describe_intents(Told({"textual": [assignment]}, np.zeros((2, 2))), shop(SIX))[0]

    clear = told([[1, 0]] * 3 + [[0, 1]] * 3)
    assert (clear.entropy, clear.information) == (0.0, pytest.approx(1.0))
    even = told([[0.5, 0.5]] * 6)
    assert (even.entropy, even.information) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-9))
    mixed = told([[0.5, 0.5]] * 3 + [[1, 0]] * 3)
    assert mixed.entropy == pytest.approx(0.5)
    of_mean = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2)
    assert mixed.information == pytest.approx(of_mean - 0.5)


def test_a_level_of_one_intent_tells_nothing():
    level = describe_intents(Told({"textual": [[[1.0]] * 6]}, np.zeros((2, 1))), shop(SIX))[0]
    assert (level.entropy, level.information) == (0.0, 0.0)
    assert [one.name for one in level.intents] == ["all items"]
    assert level.remark == "collapsed: one intent has 100.0% of all assignments"


def test_a_collapsed_and_a_uniform_level_are_told():
    def remark(assignment):
        model = Told({"textual": [assignment]}, np.zeros((2, 2)))
        return describe_intents(model, shop(SIX))[0].remark

    assert remark([[1, 0]] * 6) == "collapsed: one intent has 100.0% of all assignments"
    assert "nearly alike" in remark([[0.5, 0.5]] * 5 + [[0.501, 0.499]])
    assert "of 0.001 at most" in remark([[0.5, 0.5]] * 5 + [[0.501, 0.499]])
    assert remark([[1, 0]] * 3 + [[0, 1]] * 3) == ""


def test_popularity_is_the_correlation_with_the_logarithm_of_interactions():
    pairs = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]
    assignment = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
    model = Told({"textual": [assignment]}, np.zeros((2, 2)))
    one = describe_intents(model, shop([""] * 4, pairs))[0].intents[0]
    counts = np.log1p([2, 2, 1, 0])
    assert one.popularity == pytest.approx(np.corrcoef(counts, [0.9, 0.8, 0.3, 0.1])[0, 1])
    assert (one.name, one.named_by) == ("popular items", "popularity")


def test_lifts_worked_by_hand():
    dataset = shop([""] * 6, columns={"genres": ["War|Drama"] * 2 + ["Drama"] * 2 + ["Comedy"] * 2})
    level = describe_intents(Told({"textual": [FINE]}, np.zeros((2, 3))), dataset)[0]
    lifts = {lift.label: lift for lift in level.intents[0].lifts}
    assert (lifts["Drama"].column, lifts["Drama"].items) == ("genres", 4)
    assert lifts["Drama"].lift == pytest.approx(0.9 / 0.6)
    assert lifts["War"].lift == pytest.approx(0.9 / 0.6)
    assert "Comedy" not in lifts  # it goes the other way
    assert level.intents[1].lifts[0].label == "Comedy"
    assert level.intents[1].lifts[0].lift == pytest.approx(1 / 0.4)
    assert level.agreement["genres"].nmi > level.agreement["genres"].shuffled


def test_of_two_intents_that_go_together_the_second_says_so():
    steps = [[0.3, 0.6, 0.1]] * 3 + [[0.1, 0.2, 0.7]] * 3
    level = describe_intents(Told({"textual": [steps]}, np.zeros((2, 3))), shop([""] * 6))[0]
    assert [one.remark for one in level.intents] == ["", "hardly to be told from intent 0", ""]


@pytest.mark.parametrize("texts", [[""] * 6, [None] * 6])
def test_without_texts_intents_are_called_after_items_or_numbers(texts):
    model = Told({"textual": [FINE, COARSE]}, np.zeros((2, 5)))
    untitled = describe_intents(model, shop(texts, titles=False))
    assert [one.name for one in untitled[0].intents] == ["intent 0", "intent 1", "intent 2"]
    assert math.isnan(untitled[0].coherence)
    assert [one.keywords for one in untitled[0].intents] == [()] * 3
    if texts[0] is not None:
        titled = describe_intents(model, shop(texts))
        assert titled[0].intents[0].name == "such as 0; 1"
        assert titled[0].intents[0].remark == ""


def test_names_are_found_by_the_columns_that_a_model_tells(levels):
    names = intent_names(levels)
    assert names[IntentColumn("textual", 2, 1)] == levels[1].intents[1].name
    assert len(names) == 5


def test_a_column_that_the_fusion_has_added_up_is_named_by_the_mean_over_modalities():
    weak = [[0.6, 0.4]] * 20 + [[0.4, 0.6]] * 10  # its intent 0 is rock
    strong = [[0.1, 0.9]] * 20 + [[0.9, 0.1]] * 10  # its intent 0 is jazz, and so is the mean's
    model = Told({"visual": [weak], "textual": [strong]}, np.zeros((2, 2)), summed=True)
    dataset = shop([ROCK] * 20 + [JAZZ] * 10)
    names = column_names(model, dataset, describe_intents(model, dataset))
    rock, jazz = (names[IntentColumn("visual", 1, k)] for k in (0, 1))
    assert "rock" in rock and "jazz" in jazz
    assert (names[IntentColumn(None, 1, 0)], names[IntentColumn(None, 1, 1)]) == (jazz, rock)


def test_columns_of_a_modality_each_have_the_names_of_its_intents():
    model = Told({"textual": [FINE, COARSE]}, np.zeros((2, 5)))
    levels = describe_intents(model, shop(SIX))
    assert column_names(model, shop(SIX), levels) == intent_names(levels)


def test_the_same_seed_describes_alike_and_top_shortens():
    model, dataset = Told({"textual": [FINE]}, np.zeros((2, 3))), shop(SIX)
    assert repr(describe_intents(model, dataset)) == repr(describe_intents(model, dataset))
    assert len(describe_intents(model, dataset, top=2)[0].intents[0].typical) == 2
