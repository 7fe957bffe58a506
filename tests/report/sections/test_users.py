import numpy as np

from hugraph.interfaces import IntentColumn
from hugraph.report.explanation import Explainer
from hugraph.report.page import Details
from hugraph.report.sections.users import users
from tests.report.intent_models import Vectors, interactions, one_hot
from tests.report.sections.blocks import flat, shown, tables, texts
from tests.report.test_intents import shop


def test_a_user_has_a_history_and_a_list_that_says_why_and_what_came_true():
    explainer = Explainer(one_hot(4), interactions((0, 3)), interactions((0, 3)))
    section = users(explainer, [0], {0: {1}}, shop(["a"] * 4), {}, k=2)
    (user,) = (block for block in section.blocks if isinstance(block, Details))
    assert (user.summary, user.open) == ("User u0, with 1 training item", True)
    assert texts(section)[1] == "Has 3."
    (table,) = tables(section)
    assert list(table.header)[:4] == ["rank", "item", "in the test", "score"]
    first, second = shown(table)
    assert first[:4] == [1, "0", "", "1.0000"] and second[:4] == [2, "1", "yes", "0.0000"]
    assert first[4].startswith("intent 0 of level 1 (textual) +")
    assert "because you like" in texts(section)[2] and len(texts(section)) == 4


def test_intents_go_by_their_names_in_quotation_marks():
    names = {IntentColumn("textual", 1, 0): "jazz", IntentColumn("textual", 1, 1): "rock"}
    explainer = Explainer(one_hot(4), interactions(), interactions((0, 3)))
    section = users(explainer, [0], {}, shop(["a"] * 4), names, k=1)
    (row,) = shown(tables(section)[0])
    assert row[-1].startswith("jazz (textual) +")
    assert "“jazz”" in texts(section)[-1] and "*" not in texts(section)[-1]


def test_a_long_history_is_cut_and_every_further_user_is_folded():
    eye = np.eye(12)
    model = Vectors(eye[:2], eye)
    history = interactions(*((0, item) for item in range(11)), (1, 0))
    explainer = Explainer(model, history, history)
    section = users(explainer, [0, 1], {}, shop(["a"] * 12, titles=False), {})
    assert texts(section)[1].endswith("item i7, and 3 more.")
    assert [block.open for block in flat(section.blocks) if isinstance(block, Details)] == [
        True,
        False,
    ]
    assert "in the test" not in tables(section)[0].header
