"""Fits models in one process, or in several: `python -m tests.train.together DIRECTORY`."""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

from hugraph.errors import HugraphError
from hugraph.interfaces import Interactions
from hugraph.models.bm3 import BM3
from hugraph.models.bpr_mf import BPRMF
from hugraph.models.cb2cf import CB2CF
from hugraph.models.disen_gcn import DisenGCN
from hugraph.models.huign import HUIGN
from hugraph.models.lightgcn import LightGCN
from hugraph.models.row_sharding import shard_rows
from hugraph.nn import BPRLoss, IntraLevelConv, LightPropagation, SampledSoftmaxLoss
from hugraph.train import EarlyStopping, Objective, RunDir, TrainConfig, evaluate, fit
from hugraph.train.processes import joined
from hugraph.train.signals import Stopped
from tests.contracts.recommender import NUM_ITEMS, NUM_USERS, World

WORLD = World()
SIZES = NUM_USERS, NUM_ITEMS
GRAPH = WORLD.user_item_adjacency
FEATURES = WORLD.modality_features


class Exploding(BPRMF):
    """Breaks in the process that has user 0 in its part."""

    def terms(self, batch):
        broken = torch.where((batch.users == 0).any(), torch.nan, 1.0)
        return {name: broken * term for name, term in super().terms(batch).items()}


def huign(ranking, propagation=LightPropagation, **options):
    return HUIGN(
        *SIZES,
        FEATURES,
        WORLD.item_adjacency,
        GRAPH,
        levels=(6, 3),
        conv=lambda dim: IntraLevelConv(dim, self_loops="add"),
        propagation=propagation,
        ranking=ranking,
        id_dim=8,
        l2="mean",
        **options,
    )


MODELS = {
    "bpr_mf": lambda: BPRMF(*SIZES, dim=8),
    "huign_softmax": lambda: huign(SampledSoftmaxLoss),
    "few_negatives": lambda: LightGCN(
        *SIZES, GRAPH, dim=8, ranking=lambda: SampledSoftmaxLoss(num_negatives=30)
    ),
    "channels": lambda: DisenGCN(*SIZES, {}, GRAPH, num_channels=2, channel_dim=4),
    "lazy": lambda: huign(BPRLoss, None, hierarchy="sampled", sparse_gradients=True),
    "two_stages": lambda: CB2CF(*SIZES, FEATURES, dim=8, layers=(8,), dropout=0),
    "views": lambda: BM3(*SIZES, FEATURES, GRAPH, dim=8),
    "exploding": lambda: Exploding(*SIZES),
}
EQUAL = [name for name in MODELS if name not in ("views", "exploding")]
OBJECTIVES = {"two_stages": Objective(loss=["bpr", "squared_error"], penalties=1e-2)}


def validate(scorer):
    held_out = Interactions(torch.arange(NUM_USERS), WORLD.withheld)
    degrees = torch.bincount(WORLD.train_interactions.items, minlength=NUM_ITEMS)
    known = WORLD.train_interactions
    return evaluate(scorer, held_out, known, degrees, metrics=["recall", "ndcg"], k=[1, 5]).metrics


def stopped(scorer):
    """A validation that a signal ends."""
    raise Stopped(15)


def train(name, processes=None, *, run=None, epochs=5, patience=2, seed=7):
    """The model after its epochs; the last batch of an epoch, of 432 triples, has one row."""
    torch.manual_seed(0 if processes is None else processes.rank)  # the first one's weights count
    model = MODELS[name]()
    config = TrainConfig(
        epochs=epochs,
        batch_size=431 if name == "bpr_mf" else 100,
        lr=0.02,
        early_stopping=EarlyStopping(metric="ndcg@5", patience=patience),
        clip_norm=0.5,
    )
    fitted = fit(
        model,
        WORLD.train_interactions,
        validate,
        seed=seed,
        config=config,
        objective=OBJECTIVES.get(name, Objective(penalties=1e-2)),
        run=run,
        processes=processes,
    )
    return model, fitted


def train_in(path, processes=None, *, epochs):
    """Begins a run, or goes on with it."""
    if processes is not None and processes.rank:
        return train("huign_softmax", processes, epochs=epochs, patience=epochs)
    hold = RunDir.resume if path.exists() else RunDir.create
    with hold(path) as run:
        return train("huign_softmax", processes, run=run, epochs=epochs, patience=epochs)


TABLES = {
    "bpr_mf": ["user_embeddings", "item_embeddings"],
    "huign": ["user_embeddings", "item_embeddings", "user_tastes"],
}


def step(name, *, sharded=False):
    """A model after three steps of Adam, its tables shared out among processes or not."""
    torch.manual_seed(0)
    model = huign(BPRLoss, None) if name == "huign" else BPRMF(*SIZES, dim=8)
    if sharded:
        shard_rows(model, TABLES[name])
    tables = [model.get_parameter(table) for table in TABLES[name]]
    others = [p for p in model.parameters() if not any(p is table for table in tables)]
    adams = [torch.optim.Adam(group, lr=0.05) for group in (tables, others) if group]
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        for adam in adams:
            adam.zero_grad()
        sum(model.terms(WORLD.batch("triples", generator)).values()).backward()
        for adam in adams:
            adam.step()
    return model


def whole(model):
    return {
        name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        for name, tensor in model.state_dict().items()
    }


def main(directory):
    with joined() as processes:
        mine = directory / f"process_{processes.rank}"
        mine.mkdir()
        said = {}
        for name in MODELS:
            try:
                model, fitted = train(name, processes)
            except HugraphError as error:
                said[name] = f"{type(error).__name__}: {error}"
            else:
                said[name] = [fitted.best_epoch, fitted.epochs, fitted.validation]
                save_file(model.state_dict(), mine / f"{name}.safetensors")
        train_in(directory / "begun_alone", processes, epochs=3)
        train_in(directory / "begun_together", processes, epochs=1)
        train_in(directory / "together", processes, epochs=3)
        train_in(directory / "stopped", processes, epochs=1)
        train_in(directory / "stopped", processes, epochs=3)
        rows = [[1, 1, 4], [0]][processes.rank]
        values = torch.arange(2.0 * len(rows)).view(-1, 2) + processes.rank
        sparse = torch.sparse_coo_tensor([rows], values, (6, 2), check_invariants=True)
        both = processes.summed([torch.tensor([1.0 + processes.rank]), sparse])
        assert both[1].is_sparse
        said["sums"] = [tensor.to_dense().tolist() for tensor in both]
        for name in TABLES:
            sharded = step(name, sharded=True)
            said[f"rows_{name}"] = [
                len(getattr(sharded, table).to_local()) for table in TABLES[name]
            ]
            save_file(whole(sharded), mine / f"sharded_{name}.safetensors")
        try:
            fit(sharded, WORLD.train_interactions, validate, seed=0)
        except ValueError as error:
            said["sharded_fit"] = str(error)
        try:
            fit(BPRMF(*SIZES), WORLD.train_interactions, stopped, seed=0, processes=processes)
        except Stopped as stop:
            said["stopped"] = stop.signum
        said["speaks"] = processes.speaks_first()
        try:
            train("bpr_mf", processes, seed=processes.rank)
        except HugraphError as error:
            said["other_seed"] = f"{type(error).__name__}: {error}"
        (mine / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
    os._exit(0)  # the sharded tables keep the group, whose threads can abort the interpreter's end
