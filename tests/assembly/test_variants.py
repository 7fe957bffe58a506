"""Structures and ablations of HUIGN are specs, made by overrides alone."""

import pytest
import torch

from hugraph.assembly import SCHEMA, Experiment
from hugraph.interfaces import Triples
from tests.assembly.small import write_small_spec

VARIANTS = [
    ["model.levels=[32]"],
    ["model.levels=[32,8]"],
    ["model.levels=[32,8,4]"],
    ["model.levels=[48,32,16]"],
    ["model.levels=[48,32,8,4]"],
    ["objective.penalties.assignment_entropy=0"],
    ["objective.penalties.intent_independence=0"],
    ["objective.penalties={assignment_entropy: 0, intent_independence: 0}"],
    ["model.modalities=[visual]"],
    ["model.modalities=[acoustic]"],
    ["model.modalities=[textual]"],
    ["model.fusion=sum"],
    ["model.fusion=mean"],
    ["model.fusion=attention"],
    ["model.pooling.next_features=pooled"],
    ["model.conv=gcn"],
    ["model.conv=sage"],
    ["model.conv.self_loops=keep"],
    ["model.id_dim=0"],
    *([f"graph.min_common_users={threshold}"] for threshold in range(3, 8)),
    *([f"graph.weight={weight}"] for weight in ("count", "jaccard")),
    ["model.propagation=light"],
    ["model.ranking=sampled_softmax"],
]


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return write_small_spec(tmp_path_factory.mktemp("variants"))


@pytest.fixture(scope="module")
def plain(spec):
    return after_one_step(spec, [])


def after_one_step(spec, overrides):
    """The loss of a batch, and the scores of everybody after a step along its gradient."""
    resolved = SCHEMA.resolve(spec, overrides)
    experiment = Experiment.prepare(resolved)
    model = experiment.build_model()
    (stage,) = model.stages()
    (weights,) = resolved.objective().weights([stage])
    users, items = experiment.train
    terms = stage.terms(Triples(users[:64], items[:64], items[64:128]))
    loss = sum(weights[name] * term for name, term in terms.items())
    gradients = torch.autograd.grad(loss, stage.parameters, allow_unused=True)
    with torch.no_grad():
        for parameter, gradient in zip(stage.parameters, gradients, strict=True):
            if gradient is not None:
                parameter -= gradient
        return loss.item(), model.scorer()(torch.arange(experiment.dataset.num_users))


@pytest.mark.parametrize("overrides", VARIANTS, ids=" ".join)
def test_a_variant_is_a_spec_and_computes_something_else(spec, plain, overrides):
    loss, scores = after_one_step(spec, overrides)
    assert torch.isfinite(scores).all()
    assert loss != plain[0] or not torch.equal(scores, plain[1])
