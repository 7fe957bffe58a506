from dataclasses import replace

import pytest

from hugraph.errors import SpecError
from hugraph.interfaces import Stage
from hugraph.train.objective import Objective


def stage(name, *term_names):
    return Stage(name, "triples", lambda batch: {}, term_names, ())


TRAIN = stage("train", "bpr", "entropy", "l2")


def test_the_loss_weighs_one_and_penalties_what_the_spec_says():
    objective = Objective(loss="bpr", penalties={"l2": 0.5, "entropy": 0})
    assert objective.weights([TRAIN]) == [{"bpr": 1.0, "entropy": 0.0, "l2": 0.5}]


def test_a_penalty_that_the_spec_does_not_name_weighs_what_the_stage_states_or_1e_4():
    stages = [TRAIN, replace(TRAIN, penalty_weights={"entropy": 2.0, "l2": 3.0})]
    for penalties in ({"l2": 0.5}, {"l2": 0.0}):
        plain, stated = Objective(penalties=penalties).weights(stages)
        assert plain == {"bpr": 1.0, "entropy": 1e-4, **penalties}
        assert stated == {"bpr": 1.0, "entropy": 2.0, **penalties}


def test_the_loss_of_a_stage_is_its_first_term_if_none_is_named():
    stages = [TRAIN, stage("regress", "squared_error", "l2")]
    assert Objective(penalties={"l2": 2.0}).weights(stages) == [
        {"bpr": 1.0, "entropy": 1e-4, "l2": 2.0},
        {"squared_error": 1.0, "l2": 2.0},
    ]


def test_a_single_number_weighs_every_term_but_the_loss():
    stages = [TRAIN, replace(TRAIN, penalty_weights={"entropy": 2.0})]
    for weights in Objective(penalties=0.1).weights(stages):
        assert weights == {"bpr": 1.0, "entropy": 0.1, "l2": 0.1}


def test_a_spec_without_penalties_leaves_all_of_them_to_the_stage():
    stages = [TRAIN, replace(TRAIN, penalty_weights={"entropy": 2.0})]
    for nothing in (None, {}):
        assert Objective(penalties=nothing).weights(stages) == [
            {"bpr": 1.0, "entropy": 1e-4, "l2": 1e-4},
            {"bpr": 1.0, "entropy": 2.0, "l2": 1e-4},
        ]


def test_each_stage_gets_its_own_loss():
    stages = [TRAIN, stage("regress", "squared_error", "l2")]
    weights = Objective(loss=["bpr", "squared_error"], penalties={"l2": 2.0}).weights(stages)
    assert weights[1] == {"squared_error": 1.0, "l2": 2.0}


def test_a_model_that_is_not_trained_fits_any_objective():
    assert Objective(loss="bpr", penalties={"l2": 1.0}).weights([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "bprr"}, "no term 'bprr'; did you mean 'bpr'. .known: bpr, entropy, l2."),
        ({"penalties": {"entropyy": 1.0}}, "no term 'entropyy'; did you mean 'entropy'"),
        ({"penalties": {"bpr": 1.0}}, "'bpr' is both a loss and a penalty"),
    ],
)
def test_a_wrong_name_is_answered_with_the_names_there_are(options, message):
    with pytest.raises(SpecError, match=message) as caught:
        Objective(**options).weights([TRAIN])
    assert caught.value.at.startswith("objective.")


def test_all_wrong_names_are_reported_at_once():
    with pytest.raises(SpecError) as caught:
        Objective(loss="warp", penalties={"a": 1.0, "b": 1.0}).weights([TRAIN])
    assert len(caught.value.problems) == 3


def test_a_stage_without_a_loss_is_an_error_naming_the_stage_and_its_terms():
    with pytest.raises(SpecError, match=r"stage 'regress' has no loss \(its terms: error\)"):
        Objective(loss="bpr").weights([TRAIN, stage("regress", "error")])


@pytest.mark.parametrize("penalties", [-5.0, float("nan"), {"l2": -1.0}, "l2"])
def test_a_penalty_that_is_no_weight_is_refused(penalties):
    with pytest.raises(ValueError, match=r"^penalties must be "):
        Objective(penalties=penalties)
