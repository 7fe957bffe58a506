import numpy as np
from numpy.testing import assert_allclose

from hugraph.report.assignments import assignment_steps, item_assignments
from tests.report.intent_models import Told

FINE = [[0.9, 0.1, 0]] * 4 + [[0, 1, 0]] * 2
COARSE = [[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]]


def test_the_assignments_to_a_level_are_the_product_of_those_below():
    fine, coarse = np.array(FINE), np.array(COARSE)
    first, second = item_assignments([fine, coarse])
    assert_allclose(first, fine)
    assert_allclose(second, [[0.9 * 0.8 + 0.1 * 0.3, 0.9 * 0.2 + 0.1 * 0.7]] * 4 + [[0.3, 0.7]] * 2)


def test_a_model_gives_the_steps_of_each_modality():
    steps = assignment_steps(Told({"visual": [FINE], "textual": [FINE, COARSE]}, np.zeros((2, 8))))
    assert {name: len(own) for name, own in steps.items()} == {"visual": 1, "textual": 2}
    assert_allclose(steps["textual"][1], COARSE)
