from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.errors import DivergedError
from hugraph.graph import user_item_graph
from hugraph.interfaces import IntentColumn
from hugraph.models.huign import HUIGN
from hugraph.nn import LightPropagation, MultiModalFusion, SampledSoftmaxLoss
from hugraph.report.explanation import Explainer, Explanation, IntentTerm, ordinal, sentence
from tests.graphs import graph_of
from tests.report.intent_models import IntentVectors, Vectors, interactions

NUM_USERS, NUM_ITEMS = 6, 9
A, B = IntentColumn("textual", 1, 0), IntentColumn("textual", 1, 1)


def worked_by_hand():
    """One entry of an ID, then two intents."""
    items = [[1.0, 1.0, 0.0], [0.0, 0.5, 0.5], [-1.0, 0.0, 1.0]]
    return IntentVectors([[2.0, 3.0, 1.0]], items, [[row[1:] for row in items]])


def huign(**options):
    """HUIGN with nothing small about its numbers, over two modalities, one of them incomplete."""
    torch.manual_seed(1)
    pairs = torch.tensor([[u, i] for u in range(NUM_USERS) for i in range(NUM_ITEMS) if u * i % 3])
    adjacency = torch.ones(NUM_ITEMS, NUM_ITEMS) - torch.eye(NUM_ITEMS)
    adjacency[0], adjacency[:, 0] = 0, 0  # an item without neighbours
    features = {name: torch.randn(NUM_ITEMS, 5) for name in ("visual", "textual")}
    features["textual"][0] = 0
    model = HUIGN(
        NUM_USERS,
        NUM_ITEMS,
        features,
        graph_of(adjacency),
        user_item_graph(pairs[:, 0].numpy(), pairs[:, 1].numpy(), NUM_USERS, NUM_ITEMS),
        **{"levels": [4, 3, 2], "id_dim": 4, **options},
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


VARIANTS = {
    "paper": {},
    **{fusion: {"fusion": partial(MultiModalFusion, method=fusion)} for fusion in ("sum", "mean")},
    "attention": {"fusion": partial(MultiModalFusion, method="attention")},
    "propagated": {"propagation": LightPropagation},
    "cosines": {"ranking": SampledSoftmaxLoss},
    "propagated cosines": {"propagation": LightPropagation, "ranking": SampledSoftmaxLoss},
    "propagated sum without IDs": {
        "propagation": LightPropagation,
        "fusion": partial(MultiModalFusion, method="sum"),
        "id_dim": 0,
    },
    "without IDs": {"id_dim": 0},
    "one level": {"levels": [3]},
    "one modality": {"modalities": ["visual"]},
    "scaled intents": {"intent_scale": 3.0},
}


def test_a_score_of_one_id_and_two_intents_is_split_as_by_hand():
    explainer = Explainer(worked_by_hand(), interactions(), interactions((0, 1), (0, 2)))
    found = explainer.explain(0, 0)
    # The mean vector is (0, 1/2, 1/2), the user's mean taste (3 + 1) / 2.
    assert (found.score, found.average, found.amount, found.rest) == (5.0, 2.0, 0.0, 2.0)
    assert found.terms == (
        IntentTerm(A, taste=1.0, presence=0.5, evidence=()),  # of no item more than of the average
        IntentTerm(B, taste=-1.0, presence=-0.5, evidence=(2,)),
    )
    assert [term.effect for term in found.terms] == [0.5, 0.5]
    assert found.kin == ()  # the IDs are 0 and -1


def test_what_all_items_have_alike_and_what_they_do_not_is_told_apart():
    items = [[2.0, 0.0], [0.5, 0.5]]  # the first weighs 2 on the level, the average item 1.5
    model = IntentVectors([[3.0, 1.0]], items, [[[0.5, 0.5], [0.5, 0.5]]])
    found = Explainer(model, interactions(), interactions()).explain(0, 0)
    assert (found.score, found.average) == (6.0, 4.0)
    assert [term.effect for term in found.terms] == [0.75, 0.25]
    assert found.amount == 2.0 * 0.5
    assert (found.rest, found.kin) == (0.0, ())


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_parts_sum_to_the_score_of_every_intent_model(variant):
    model = huign(**VARIANTS[variant])
    history = interactions(*((u, i) for u in range(NUM_USERS) for i in range(u)))
    explainer = Explainer(model, history, history)
    with torch.no_grad():
        scores = model.scorer()(torch.arange(NUM_USERS))
    for user in range(NUM_USERS):
        for item in range(NUM_ITEMS):
            found = explainer.explain(user, item)
            effects = [term.effect for term in found.terms]
            whole = found.average + sum(effects) + found.amount + found.rest
            assert abs(whole - float(scores[user, item])) < 1e-5
            assert effects == sorted(effects, reverse=True)
            assert [term.column for term in found.terms if term.effect] != []
        assert abs(found.average - float(scores[user].mean())) < 1e-5


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_term_is_that_of_the_formula_entry_by_entry(variant):
    model = huign(**VARIANTS[variant])
    explained = Explainer(model, interactions(), interactions()).explain(2, 4)
    with torch.no_grad():
        users, items = (rows.double() for rows in model.scorer())
        assignments = model.assignments()
    terms = {term.column: term for term in explained.terms}
    weight, rest = 0.0, 0.0
    for entry, column in enumerate(model.columns()):
        presence = items[4, entry] - items[:, entry].mean()
        if column is None:
            rest += float(users[2, entry] * presence)
            continue
        mean_taste = 0.0
        for other, rival in enumerate(model.columns()):
            if rival is not None and rival[:2] == column[:2]:
                shares = []
                for modality, steps in assignments.items():
                    if column.modality in (None, modality):
                        chain = torch.eye(NUM_ITEMS).double()
                        for step in steps[: column.level]:
                            chain = chain @ step.double()
                        shares.append(float(chain[:, rival.intent].mean()))
                mean_taste += sum(shares) / len(shares) * float(users[2, other])
        assert_close(
            terms.pop(column).taste, float(users[2, entry]) - mean_taste, rtol=1e-6, atol=1e-6
        )
        weight += mean_taste * float(presence)
    assert terms == {}
    assert_close([explained.amount, explained.rest], [weight, rest], rtol=1e-6, atol=1e-6)


def test_in_the_papers_form_items_do_not_differ_in_their_weight_on_a_level():
    explainer = Explainer(huign(modalities=["visual"]), interactions(), interactions())
    assert abs(explainer.explain(0, 3).amount) < 1e-5


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(-8, 8))
def test_a_constant_added_to_all_tastes_of_a_level_changes_no_term(seed, constant):
    generator = torch.Generator().manual_seed(seed)
    items = torch.rand(7, 4, generator=generator, dtype=torch.float64)
    items /= items.sum(dim=1, keepdim=True)
    tastes = torch.randn(1, 4, generator=generator, dtype=torch.float64)
    models = [IntentVectors(tastes + shift, items, [items]) for shift in (0, constant)]
    found, moved = (Explainer(m, interactions(), interactions()).explain(0, 3) for m in models)
    assert_close(
        {term.column: term.effect for term in moved.terms},
        {term.column: term.effect for term in found.terms},
    )
    assert_close(moved.average, found.average + constant)
    assert (moved.rank, round(moved.amount, 9)) == (found.rank, 0)


def test_the_history_is_searched_for_what_carries_an_intent_at_its_level():
    fine = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.4, 0.3, 0.3]]
    coarse = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    items = [[*row, row[0], row[1] + row[2]] for row in fine]
    model = IntentVectors([[1.0] * 5], items, [fine, coarse])
    history = interactions((0, 1), (0, 2), (0, 3), (1, 0))
    found = Explainer(model, history, history).explain(0, 0)
    evidence = {term.column[1:]: term.evidence for term in found.terms}
    # the average item is (0.35, 0.325, 0.325) on level 1, (0.35, 0.65) on level 2
    assert evidence == {(1, 0): (3,), (1, 1): (1,), (1, 2): (2,), (2, 0): (3,), (2, 1): (1, 2)}


def test_an_item_is_ranked_among_those_that_the_user_does_not_have():
    items = [[5.0], [4.0], [3.0], [3.0], [1.0]]
    known = interactions((0, 0), (1, 1))
    explainer = Explainer(Vectors([[1.0], [1.0]], items), known, known)
    assert [explainer.explain(0, item).rank for item in range(5)] == [None, 1, 2, 3, 4]
    assert explainer.top(0, 9) == [1, 2, 3, 4]


def test_a_model_of_vectors_without_intents_tells_what_is_near():
    model = Vectors([[1.0, 1.0]], [[1.0, 0.0], [1.0, 0.1], [0.5, 0.5], [-1.0, 0.0]])
    history = interactions((0, 1), (0, 2), (0, 3))
    found = Explainer(model, history, history).explain(0, 0)
    assert (found.terms, found.amount, found.kin) == ((), 0.0, (1, 2))
    assert_close([found.average, found.average + found.rest], [2.1 / 4, 1.0])


def test_a_model_without_vectors_is_held_against_the_average_alone():
    model = Vectors([[1.0]], [[1.0], [2.0], [6.0]])
    model.scorer = lambda: lambda users: torch.tensor([[1.0, 2.0, 6.0]]).repeat(len(users), 1)
    found = Explainer(model, interactions(), interactions((0, 0))).explain(0, 2)
    assert found == Explanation(0, 2, 1, 6.0, 3.0, (), 0.0, 3.0, ())


def test_a_score_that_is_not_finite_is_refused():
    explainer = Explainer(Vectors([[1.0]], [[float("nan")], [1.0]]), *[interactions()] * 2)
    for ask in (explainer.top, explainer.explain):
        with pytest.raises(DivergedError, match="1 scores of user index 0 are not finite"):
            ask(0, 1)


TITLES = ["Yes", "Rush", "ABBA", "Björk"]
NAMES = {A: "progressive rock", B: "disco"}


def told(terms=(), *, amount=0.0, rest=0.0, rank: "int | None" = 1, kin=(), names=NAMES):
    score = sum(term.effect for term in terms) + amount + rest
    explanation = Explanation(0, 0, rank, score, 0.0, tuple(terms), amount, rest, kin)
    return sentence(explanation, TITLES.__getitem__, names)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"terms": [IntentTerm(A, 1.0, 0.41, (1, 3))]},
            "Yes ranks 1st because you like *progressive rock* (+0.41, textual, as in Rush), with "
            "all intents together (+0.41).",
        ),
        (
            {
                "terms": [IntentTerm(A, 1.0, 0.5, ()), IntentTerm(B, -1.0, -0.75, (2,))],
                "rest": 2.0,
                "kin": (3, 1),
                "rank": 12,
            },
            "Yes ranks 12th mainly because its ID embedding is near to those of Björk and Rush in "
            "your history (+2.00), and because it has little of *disco* (+0.75, textual), which "
            "you like less, and you like *progressive rock* (+0.50, textual), with all intents "
            "together (+1.25).",
        ),
        (
            {"terms": [IntentTerm(A, 1.0, 0.0625, ())], "amount": -0.1, "rank": 3, "names": {}},
            "Yes ranks 3rd because of its weight on intents, whichever they are (-0.10).",
        ),
        (
            {"terms": [IntentTerm(A, 1.0, -0.5, (1,)), IntentTerm(B, -1.0, 0.25, (2,))]},
            "Yes ranks 1st because it has little of *progressive rock* (-0.50, textual, as in "
            "Rush), which you like, and it has much of *disco* (-0.25, textual), which you like "
            "less, with all intents together (-0.75).",
        ),
        (
            {"terms": [IntentTerm(A, 1.0, 0.25, ())], "names": {}},
            "Yes ranks 1st because you like *intent 0 of level 1* (+0.25, textual), with all "
            "intents together (+0.25).",
        ),
        ({"rest": 1.0}, "Yes ranks 1st because its vector fits yours (+1.00)."),
        ({"rest": -1.0}, "Yes ranks 1st because its vector does not fit yours (-1.00)."),
        (
            {"rest": 1.0, "rank": None},
            "Yes, which you have, scores as it does because its vector fits yours (+1.00).",
        ),
        ({}, "Yes ranks 1st as the average item would."),
    ],
)
def test_the_sentence_names_what_pulls_most(parts, said):
    assert told(**parts) == said


def test_two_intents_of_one_name_are_named_once():
    finer, coarser = A, IntentColumn("textual", 2, 0)
    terms = [IntentTerm(finer, 1.0, 0.5, ()), IntentTerm(coarser, 1.0, 0.25, ())]
    said = told(terms, names={finer: "disco", coarser: "disco"})
    assert said.count("disco") == 1


def test_ordinals_of_a_teen_end_in_th():
    numbers = (1, 2, 3, 4, 11, 12, 13, 21, 102, 113, 1001)
    assert [ordinal(number) for number in numbers] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "113th", "1,001st"]
    )
