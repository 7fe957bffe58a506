import numpy as np

from hugraph.interfaces import IntentColumn
from hugraph.report.item_columns import item_columns
from tests.report.intent_models import IntentVectors, Vectors
from tests.report.test_intents import shop

ITEMS = np.array([0, 2])
FINE = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]
COARSE = [[0.3, 0.7], [1.0, 0.0]]  # item 0: 0.37 and 0.63; item 2: 0.72 and 0.28


def test_items_stand_with_title_id_and_the_intent_of_each_level_they_have_most_of():
    model = IntentVectors(np.zeros((2, 4)), np.zeros((3, 4)), [np.array(FINE), np.array(COARSE)])
    names = {IntentColumn("textual", 1, 1): "jazz"}
    assert item_columns(model, shop(["a", "b", "c"]), ITEMS, names) == {
        "title": ["0", "2"],
        "item": ["i0", "i2"],
        "textual 1": ["intent 0", "jazz"],
        "textual 2": ["intent 1", "intent 0"],
    }


def test_without_titles_and_intents_the_ids_are_left():
    model = Vectors(np.zeros((2, 4)), np.zeros((3, 4)))
    assert item_columns(model, shop([None] * 3), ITEMS, {}) == {"item": ["i0", "i2"]}
