"""Does HUIGN find the intents that the built-in dataset was drawn from?"""

import numpy as np
import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score

from hugraph.assembly import SCHEMA, Experiment
from hugraph.report.assignments import item_assignments
from hugraph.report.intents import describe_intents
from hugraph.train import fit


@pytest.fixture(scope="module")
def trained():
    overrides = ["train.epochs=8", "train.lr=5e-3"]
    experiment = Experiment.prepare(SCHEMA.resolve("examples/huign_3level.yaml", overrides))
    model = experiment.build_model()
    fit(
        model,
        experiment.train,
        experiment.validate,
        seed=experiment.spec.seed,
        config=experiment.spec.train,
        objective=experiment.spec.objective(),
    )
    return experiment, model


def test_each_modality_recovers_the_planted_fine_intents(trained):
    experiment, model = trained
    with torch.no_grad():
        for name, intents in model.intents().items():
            strongest = intents.assignments[0].argmax(dim=1).numpy()
            nmi = normalized_mutual_info_score(experiment.dataset.truth["level_1"], strongest)
            assert nmi > 0.6, name  # about 0.04 for a random assignment


def test_it_ranks_far_better_than_popularity(trained):
    experiment, model = trained
    with torch.no_grad():
        learned = experiment.evaluate(model.scorer()).metrics["recall@10"]
        baseline = experiment.evaluate(experiment.popularity().scorer()).metrics["recall@10"]
    assert learned > 1.5 * baseline


@pytest.fixture(scope="module")
def described(trained):
    experiment, model = trained
    return describe_intents(model, experiment.dataset)


@pytest.fixture(scope="module")
def assignments(trained):
    _, model = trained
    with torch.no_grad():
        steps = model.assignments()
    return {
        name: item_assignments([s.double().numpy() for s in own]) for name, own in steps.items()
    }


def planted_groups(dataset):
    """Every planted intent of every level: its keyword and its items."""
    paths = [text.split(", ")[::-1] for text in dataset.item_table["text"]]
    for level, intents in dataset.truth.items():
        words = np.array([path[int(level[-1]) - 1] for path in paths])
        for word in np.unique(words):
            members = words == word
            assert len(np.unique(intents[members])) == 1
            yield word, members


def test_nine_in_ten_fine_intents_have_the_planted_keyword_first(trained, described, assignments):
    """An intent that holds several planted ones together is planted one level up."""
    groups = list(planted_groups(trained[0].dataset))
    right, right_if_pure = [], []
    for level in described:
        for intent in level.intents if level.level == 1 else ():
            if not intent.used:
                continue
            column = assignments[intent.modality][0][:, intent.index]
            overlap = [
                np.minimum(column, items).sum() / np.maximum(column, items).sum()
                for _, items in groups
            ]
            word, items = groups[int(np.argmax(overlap))]
            right.append(intent.keywords[0][0] == word)
            if column[items].sum() > 0.5 * column.sum() and items.sum() < 100:
                right_if_pure.append(right[-1])
    assert len(right) > 30
    assert len(right_if_pure) > 15
    assert np.mean(right) >= 0.9
    assert all(right_if_pure)


def test_every_level_agrees_with_the_planted_one_by_its_nmi(trained, described):
    for level in described:
        match = level.agreement[f"planted level_{level.level}"]
        assert match.nmi > 0.5
        assert match.shuffled < 0.05
        assert match.items == trained[0].dataset.num_items
