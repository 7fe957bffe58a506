import math

import pytest
import torch
from numpy.testing import assert_allclose

from hugraph.report.explanation import Explainer
from hugraph.report.fidelity import drawn_users, fidelity
from tests.report.intent_models import IntentVectors, Vectors, interactions, one_hot


def curves(found):
    return {(curve.direction, curve.measure): curve for curve in found.curves}


def values(means):
    return [mean.value for mean in means]


def explainer(model, *known):
    return Explainer(model, interactions(*known), interactions())


def test_curves_of_four_items_that_are_their_own_intents_are_worked_by_hand():
    found = fidelity(explainer(one_hot(4)), [0], k=1, repeats=4000)
    by = curves(found)
    # The neutral taste is 1/4, and the user's (1, 0, 0, 0). Intent 0 goes first, which leaves item
    # 0 the best; then intent 1, whose item draws level; in the end all four are level.
    gone = by["deletion", "reciprocal rank"]
    assert gone.steps == (0, 1, 2, 4)
    assert_allclose(values(gone.explained), [1, 1, 1 / 1.5, 1 / 2.5], rtol=1e-6)
    # Of two at random, 0 is one in half of the cases; without it, item 0 stays the best.
    assert_allclose(values(gone.random), [1, 1, (1 + 1 / 1.5) / 2, 1 / 2.5], atol=0.02)
    assert_allclose(gone.gain.value, (0 + 0 + 1 / 6 + 0) / 4, atol=0.005)
    # Coming back, 0 wins at once; at random another one comes first in 3 of 4 cases, which puts
    # its own item below the three that stay at 1/4.
    come = by["insertion", "reciprocal rank"]
    assert_allclose(values(come.explained), [1 / 2.5, 1, 1, 1], rtol=1e-6)
    assert_allclose(
        values(come.random), [1 / 2.5, (1 + 3 / 2) / 4, (1 + 1 / 1.5) / 2, 1], atol=0.02
    )
    assert come.gain.value > 0
    # Level scores are ordered by index, so that the first item stays in the list of one.
    assert values(by["deletion", "overlap"].explained) == [1, 1, 1, 1]


def test_the_overlap_is_the_share_of_the_list_that_stays():
    items = torch.eye(4).tolist()
    model = IntentVectors([[0.0, 0.0, 1.0, 0.5]], items, [items])
    overlap = curves(fidelity(explainer(model), [0], k=2))["deletion", "overlap"]
    # The list is (2, 3). Neutral is 3/8: without 2, (3, 2); with all but 3 gone too, items 0 and 1
    # reach 3/8 as well as 2, and 3 stays above.
    assert overlap.steps == (0, 1, 2, 4)
    assert values(overlap.explained)[:2] == [1, 1]
    assert values(overlap.explained)[-1] == 0  # level: the first two by index


def test_seen_items_take_no_part():
    by = curves(fidelity(explainer(one_hot(4), (0, 1), (0, 2)), [0], k=1))
    assert_allclose(values(by["deletion", "reciprocal rank"].explained)[-1], 1 / 1.5, rtol=1e-6)


def test_where_ids_decide_all_curves_are_flat():
    items = torch.cat([100 * torch.eye(4), torch.eye(4)], dim=1)
    users = torch.tensor([[4.0, 3.0, 2.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
    model = IntentVectors(users, items, [torch.eye(4)])
    for curve in fidelity(explainer(model), [0], k=2).curves:
        assert set(values(curve.explained)) == set(values(curve.random)) == {1.0}
        assert curve.gain.value == 0


def test_means_are_over_users_with_an_interval():
    model = one_hot(4)
    model.users = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
    found = fidelity(explainer(model), [0, 1], k=1)
    begin = curves(found)["deletion", "reciprocal rank"].explained[0]
    assert found.num_users == 2
    assert_allclose(begin, ((1 + 1 / 1.5) / 2, 1 / 1.5, 1), rtol=1e-6)
    alone = fidelity(explainer(model), [1], k=1).curves[0].explained[0]
    assert (alone.low, alone.high) == (-math.inf, math.inf)


def test_the_numbers_of_a_user_do_not_depend_on_the_others():
    model = one_hot(4)
    model.users = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.5]])
    both = fidelity(explainer(model), [0, 1]).curves[0].random
    each = [fidelity(explainer(model), [user]).curves[0].random for user in (0, 1)]
    assert_allclose(values(both), [(a + b) / 2 for a, b in zip(*map(values, each), strict=True)])
    assert fidelity(explainer(model), [0, 1]) == fidelity(explainer(model), [0, 1])


def test_what_cannot_be_measured_is_said():
    with pytest.raises(ValueError, match="the model has none"):
        fidelity(explainer(Vectors([[1.0]], [[1.0], [2.0]])), [0])
    with pytest.raises(ValueError, match="no user has more than one item left"):
        fidelity(explainer(one_hot(2), (0, 1)), [0])
    with pytest.raises(ValueError, match="at least 1, got 0 and 3"):
        fidelity(explainer(one_hot(2)), [0], k=0)


def test_users_are_drawn_once_for_all_commands_among_those_with_a_history():
    history = interactions(*((user, item) for user in (2, 5, 7, 9) for item in (0, 1)))
    asked = Explainer(one_hot(4), interactions(), history)
    assert drawn_users(asked, 10) == [2, 5, 7, 9]
    some = drawn_users(asked, 2, seed=4)
    assert some == drawn_users(asked, 2, seed=4) == sorted(some) and set(some) < {2, 5, 7, 9}
    assert len({tuple(drawn_users(asked, 2, seed=seed)) for seed in range(9)}) > 1
