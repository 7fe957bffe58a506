"""Does HUIGN find the intents that the built-in dataset was drawn from?"""

import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score

from hugraph.assembly import SCHEMA, Experiment
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
