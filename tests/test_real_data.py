"""Real datasets, where they are at hand: what needs no training has one right answer."""

import json

import pytest
import torch

from hugraph.assembly import SCHEMA, Experiment
from hugraph.interfaces import Triples


def prepared(spec, path, *overrides):
    place = ("data.source=directory", f"data.path={json.dumps(str(path))}")
    return Experiment.prepare(SCHEMA.resolve(f"examples/{spec}.yaml", [*place, *overrides]))


def test_popularity_on_tiktok_is_what_others_measured(real_data):
    experiment = prepared("popularity", real_data("tiktok"), "data.split.scheme=given")
    with torch.no_grad():
        metrics = experiment.evaluate(experiment.build_model().scorer()).metrics
    measured = [metrics[name] for name in ("recall@10", "recall@20", "ndcg@20")]
    assert measured == pytest.approx([0.047, 0.060, 0.026], abs=6e-4)  # ties break either way


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("tiktok", "huign_tiktok"),
        ("lastfm2k", "huign_lastfm2k"),
        ("ml-100k", "huign_ml100k"),
        ("ml-latest-small", "huign_ml_latest_small"),
    ],
)
def test_a_step_of_huign_on_real_features_is_finite_and_learns(real_data, name, spec):
    experiment = prepared(spec, real_data(name))
    model = experiment.build_model()
    (stage,) = model.stages()
    users, items = experiment.train
    batch = Triples(users[:512], items[:512], items[:512].roll(256))
    optimizer = torch.optim.Adam(stage.parameters, lr=1e-2)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        terms = stage.terms(batch)
        terms["bpr"].backward()
        assert all(torch.isfinite(term) for term in terms.values())
        optimizer.step()
        losses.append(terms["bpr"].item())
    assert losses[2] < losses[1] < losses[0]
