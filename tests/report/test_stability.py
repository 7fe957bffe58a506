from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugraph.report.stability import stability


def run(seed, items=60, levels=(5, 3)):
    rng = np.random.default_rng(seed)
    sizes = (items, *levels)
    return {"textual": [rng.dirichlet(np.full(k, 0.3), size=n) for n, k in pairwise(sizes)]}


def renumbered(told, order):
    first, second = told["textual"]
    return {"textual": [first[:, order], second[order]]}


def test_two_intents_matched_by_hand():
    first = {"visual": [np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])]}
    other = {"visual": [np.array([[0.2, 0.8], [0.4, 0.6], [0.8, 0.2], [0.8, 0.2]])]}
    (level,) = stability([first, other])
    agreed = np.corrcoef([1, 1, 0, 0], [0.8, 0.6, 0.2, 0.2])[0, 1]
    assert level.intents == pytest.approx((agreed, agreed))
    assert (level.modality, level.level, level.mean) == ("visual", 1, pytest.approx(agreed))


@given(st.permutations(range(5)))
def test_the_order_of_intents_does_not_matter(order):
    told = run(0)
    for level in stability([told, renumbered(told, order)]):
        assert level.intents == pytest.approx([1.0] * len(level.intents))
        assert level.shuffled < 0.5


def test_agreement_is_the_mean_over_the_other_runs():
    runs = [run(0), run(0), run(1)]
    (with_both, _), (with_last, _) = stability(runs), stability([runs[0], runs[2]])
    assert with_both.intents == pytest.approx([(1 + one) / 2 for one in with_last.intents])


def test_runs_that_have_nothing_in_common_agree_as_shuffled_ones_do():
    fine, _ = stability([run(0, items=2000), run(1, items=2000)])
    assert abs(fine.mean - fine.shuffled) < 0.05


def test_nearly_uniform_rows_do_not_look_stable():
    told, other = run(0, items=2000), run(1, items=2000)
    for one in (told, other):
        one["textual"][0] = 0.2 + 1e-3 * (one["textual"][0] - 0.2)
    assert stability([told, other])[0].mean < 0.1


def test_intents_to_which_all_items_are_assigned_alike_agree_with_nothing():
    flat = {"textual": [np.full((6, 2), 0.5)]}
    assert stability([flat, flat])[0].intents == (0, 0)


def test_runs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least 2 runs, got 1"):
        stability([run(0)])
    with pytest.raises(ValueError, match=r"run 1 has intents .*\(60, 4\).*run 0 has .*\(60, 5\)"):
        stability([run(0), run(0, levels=(4, 3))])
