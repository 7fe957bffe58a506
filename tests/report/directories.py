"""Run directories of finished runs that nobody had to fit."""

import copy
import json

import numpy as np

from hugraph.assembly.spec import parse, write
from hugraph.train.evaluator import Evaluation
from hugraph.train.run_dir import RunDir

SPEC = {
    "version": 1,
    "seed": 0,
    "data": {"source": "directory", "path": "data", "split": {"scheme": "given"}},
    "model": {"component": "huign"},
    "train": {"epochs": 3},
    "evaluate": {"metrics": ["ndcg"], "k": [10], "seen_score": None},
}


def write_run(
    path,
    scores,
    *,
    model="huign",
    seed=0,
    users=None,
    fingerprint="f" * 64,
    split="5" * 64,
    lists=None,
    synthetic=False,
    **keys,
):
    """Writes a run whose test gave the users `scores` of ndcg@10, or of several metrics.

    Args:
        path: The run directory.
        scores: Of each user, or by metric.
        model: Its name.
        seed: Of the run.
        users: Raw ids; u0, u1 and so on by default.
        fingerprint: Of the data.
        split: The hash of the split.
        lists: Metrics of all lists together.
        synthetic: Whether the data are.
        keys: Keys of the spec, such as `train__epochs=4`.
    """
    scores = scores if isinstance(scores, dict) else {"ndcg@10": scores}
    scores = {name: np.array(values, dtype=np.float64) for name, values in scores.items()}
    num_users = len(next(iter(scores.values())))
    means = {name: float(values.mean()) for name, values in scores.items()} | (lists or {})
    spec = copy.deepcopy(SPEC) | {"seed": seed, "model": {"component": model}}
    for key, value in keys.items():
        section, _, option = key.partition("__")
        spec[section][option] = value
    record = {
        "format": 1,
        "model": model,
        "data": {"name": "shop", "synthetic": synthetic, "fingerprint": fingerprint},
        "split_hash": split,
    }
    with RunDir.create(path) as run:
        run.write_text("spec.yaml", write(spec))
        run.write_text("run.json", json.dumps(record))
        run.append_metrics({"epoch": 1})
        evaluation = Evaluation(means, np.arange(num_users), scores)
        run.write_per_user(users or [f"u{i}" for i in range(num_users)], evaluation)
        run.write_result({"test": {**means, "users": num_users}})
    return path


def spec_of(path):
    """What its `spec.yaml` holds."""
    return parse((path / "spec.yaml").read_text(), "spec.yaml").plain()
