"""An experiment and its run directory: begin, go on, finish, and come back to it later.

Beside what training writes, a run holds `spec.yaml` (every default filled in), `run.json` (what
the data were and what computed), `split.parquet`, `result.json` and `per_user.parquet`.
"""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hugraph import __version__
from hugraph.assembly.experiment import Experiment, load_data
from hugraph.assembly.sections import SCHEMA, Spec
from hugraph.data.split import encode_split, read_split
from hugraph.errors import DataError, RunError, SpecError
from hugraph.interfaces import Recommender
from hugraph.train import RunDir, fit, restore_best
from hugraph.train.trainer import OnProgress

FORMAT = 1
SPEC, RECORD, SPLIT = "spec.yaml", "run.json", "split.parquet"

RESUMABLE = ("train.epochs", "train.early_stopping.patience")  # may differ when a run goes on


def begin(experiment: Experiment, run: RunDir) -> None:
    """Records what a new run is about to do, before it does it."""
    dataset, split = experiment.dataset, experiment.split
    path = experiment.spec.data.source.options.get("path")
    record = {
        "format": FORMAT,
        "model": experiment.spec.model.name,
        "data": {
            "name": dataset.name,
            "synthetic": dataset.synthetic,
            "path": None if path is None else os.path.relpath(path, run.path),
            "fingerprint": dataset.fingerprint,
            "files": dict(dataset.files),
            "warnings": list(dataset.warnings),
        },
        "split": {"hash": split.hash, **split.counts},
        "environment": {
            "hugraph": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "dgl", "numpy")},
            "device": str(experiment.device),
            "threads": torch.get_num_threads(),
        },
    }
    run.write_text(SPEC, SCHEMA.dump(experiment.spec))
    run.write(SPLIT, encode_split(split, dataset))
    run.write_text(RECORD, json.dumps(record, indent=2) + "\n")


def reopen(
    path: Path,
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    may_change: Sequence[str] = RESUMABLE,
) -> Experiment:
    """Brings back the experiment of a run: the same spec, the same data, the same split.

    Args:
        path: The run directory.
        data: Where the dataset is now, if it has moved.
        overrides: Changes of the spec, such as `train.epochs=300`.
        may_change: The keys and sections that they may change.

    Raises:
        RunError: If the run is incomplete, the data are not those it was fitted on, or other keys
            are changed.
    """
    run = RunDir(path)
    record = _record(run)
    spec = _spec(run, overrides, may_change)
    where = data or (record["data"]["path"] and path / record["data"]["path"])
    if where:
        options = {**spec.data.source.options, "path": os.path.relpath(where)}
        source = replace(spec.data.source, options=options)
        spec = replace(spec, data=replace(spec.data, source=source))
    dataset = load_data(spec)
    if dataset.fingerprint != record["data"]["fingerprint"]:
        then, now = record["data"]["files"], dataset.files
        changed = sorted(
            name for name in then.keys() | now.keys() if then.get(name) != now.get(name)
        )
        hashes = [
            f"{n} ({then.get(n, 'absent')[:12]}, now {now.get(n, 'absent')[:12]})" for n in changed
        ]
        raise RunError(
            f"the data changed since this run was fitted: {', '.join(hashes) or dataset.name}",
            at=str(where or path),
            fix="restore the files, name their copy with --data, or fit again",
        )
    try:
        split = read_split(path / SPLIT, dataset)
    except DataError as error:
        raise RunError(error.what, at=error.at, fix="fit again in a new run directory") from error
    if split.hash != record["split"]["hash"]:
        raise RunError(
            "the stored split is not the one this run was fitted on",
            at=str(path / SPLIT),
            fix="restore the file from a copy, or fit again in a new run directory",
        )
    return Experiment(spec, dataset, split)


def finish(
    experiment: Experiment, run: RunDir, on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """Trains to the end, tests once, and writes the result.

    Returns:
        What `result.json` holds: `validation` and `test` metrics of the best epoch, the test
        metrics of `popularity`, `best_epoch`, `epochs` and `seconds`.
    """
    model = experiment.build_model()
    fitted = fit(
        model,
        experiment.train,
        experiment.validate,
        seed=experiment.spec.seed,
        config=experiment.spec.train,
        objective=experiment.spec.objective(),
        run=run,
        on_progress=on_progress,
    )
    with torch.no_grad():
        evaluation = experiment.evaluate(model.scorer())
        baseline = experiment.evaluate(experiment.popularity().scorer())
    run.write_per_user(experiment.dataset.user_ids[evaluation.users].tolist(), evaluation)
    result = {
        "validation": {name: fitted.validation[name] for name in evaluation.metrics},
        "test": {**evaluation.metrics, "users": len(evaluation.users)},
        "popularity": baseline.metrics,
        "best_epoch": fitted.best_epoch,
        "epochs": fitted.epochs,
        "seconds": round(fitted.seconds, 3),
    }
    run.write_result(result)
    return result


def trained_model(experiment: Experiment, run: RunDir) -> Recommender:
    """The model of a run with its best weights, ready to rank."""
    model = experiment.build_model()
    restore_best(model, run)
    return model


def _record(run: RunDir) -> dict[str, Any]:
    try:
        record = json.loads(run.read_text(RECORD))
        if record["format"] != FORMAT:
            raise RunError(
                f"run format {record['format']} is not supported (only {FORMAT} is)",
                at=str(run.path),
                fix="use the version of hugraph that wrote the run",
            )
        record["data"]["fingerprint"], record["data"]["files"], record["data"]["path"]
        record["split"]["hash"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{RECORD} is damaged", at=str(run.path / RECORD), fix="restore it, or fit again"
        ) from error
    return record


def _spec(run: RunDir, overrides: Sequence[str], may_change: Sequence[str]) -> Spec:
    try:
        stored = SCHEMA.resolve(run.path / SPEC)
    except SpecError as error:
        raise RunError(
            f"the run's {SPEC} cannot be used: {(error.problems or (error,))[0].what}",
            at=str(run.path / SPEC),
            fix="restore it, or fit again",
        ) from error
    if not overrides:
        return stored
    spec = SCHEMA.resolve(run.path / SPEC, overrides)
    _require_same(spec, stored, may_change)
    return spec


def _require_same(spec: Spec, stored: Spec, may_change: Sequence[str]) -> None:
    here, there = _flat(SCHEMA.tree(spec)), _flat(SCHEMA.tree(stored))
    changes = [
        f"{key}: {there.get(key)!r} -> {here.get(key)!r}"
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key)
        and not any(f"{key}.".startswith(f"{allowed}.") for allowed in may_change)
    ]
    if changes:
        raise RunError(
            f"the spec is not the one this run was begun with ({'; '.join(changes)})",
            fix=f"change only {', '.join(may_change)}, or fit a new run",
        )


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {path: tree}
    parts = [_flat(child, f"{path}.{key}" if path else key) for key, child in tree.items()]
    return {key: value for part in parts for key, value in part.items()}
