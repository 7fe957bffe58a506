from hugraph.report.explanation import Explainer
from hugraph.report.fidelity import fidelity
from hugraph.report.sections.fidelity import faithfulness
from tests.report.intent_models import interactions, one_hot
from tests.report.sections.blocks import pictures, shown, tables, texts


def test_each_curve_has_its_gain_and_one_user_no_bounds():
    found = fidelity(Explainer(one_hot(4), interactions(), interactions()), [0], k=1)
    section = faithfulness(found, "")
    (table,) = tables(section)
    assert table.caption == "How much better than random, over 1 user"
    assert [row[:2] for row in shown(table)] == [
        [direction, measure]
        for direction in ("deletion", "insertion")
        for measure in ("reciprocal rank", "overlap")
    ]
    assert all(row[2].startswith("+") and row[3] == "unbounded" for row in shown(table))
    assert len(pictures(section)) == 1


def test_a_model_without_intents_says_what_it_lacks():
    section = faithfulness(None, "bpr_mf has no intents")
    assert texts(section) == ["bpr_mf has no intents"] and not tables(section)
