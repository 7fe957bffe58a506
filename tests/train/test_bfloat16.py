import pytest
import torch
from torch.testing import assert_close

from hugraph.interfaces import Interactions
from hugraph.models.huign import HUIGN
from hugraph.models.lightgcn import LightGCN
from hugraph.nn import to_sparse_tensor
from hugraph.train import EarlyStopping, EpochDone, TrainConfig, fit
from hugraph.train.evaluator import evaluate
from tests.contracts.recommender import World

WORLD = World()
SIZES = WORLD.num_users, WORLD.num_items


def lightgcn(as_given):
    return LightGCN(*SIZES, as_given(WORLD.user_item_adjacency), dim=8)


def huign(as_given):
    adjacency = as_given(WORLD.item_adjacency)
    return HUIGN(*SIZES, WORLD.modality_features, adjacency, levels=[8, 4], id_dim=8)


def trained(make, as_given, precision):
    """The terms of three epochs, and how well the withheld items are found."""
    relevant = Interactions(torch.arange(WORLD.num_users), WORLD.withheld)
    seen = WORLD.train_interactions
    popularity = torch.bincount(seen.items, minlength=WORLD.num_items)
    validate = lambda scorer: (
        evaluate(scorer, relevant, seen, popularity, metrics=["recall"], k=[1]).metrics
    )
    config = TrainConfig(
        epochs=3,
        batch_size=32,
        lr=0.05,
        early_stopping=EarlyStopping(metric="recall@1"),
        precision=precision,
    )
    torch.manual_seed(11)
    model, events = make(as_given), []
    fitted = fit(model, seen, validate, seed=7, config=config, on_progress=events.append)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    return [e.terms for e in events if isinstance(e, EpochDone)], fitted.validation["recall@1"]


@pytest.mark.parametrize("make", [lightgcn, huign])
@pytest.mark.parametrize("as_given", [lambda graph: graph, to_sparse_tensor], ids=["dgl", "tensor"])
def test_a_model_on_a_graph_learns_in_bfloat16_much_as_in_float32(make, as_given):
    narrow, found = trained(make, as_given, "bfloat16")
    wide, expected = trained(make, as_given, "float32")
    assert (narrow != wide) == (make is huign)  # LightGCN has no dense product to make narrow
    for epoch, reference in zip(narrow, wide, strict=True):
        assert_close(epoch["bpr"], reference["bpr"], rtol=0.05, atol=0.02)
    assert narrow[-1]["bpr"] < narrow[0]["bpr"] and abs(found - expected) < 0.2
