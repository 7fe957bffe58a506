"""An experiment and its run directory: begin, go on, finish, and come back to it later.

Beside what training writes, a run holds `spec.yaml` (every default filled in), `run.json` (what
the data were and what computed), `split.parquet`, `result.json` and `per_user.parquet`,
and what was propagated of features on disk.
"""

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hugraph import __version__
from hugraph.assembly.demand import require_memory
from hugraph.assembly.experiment import Experiment, load_data
from hugraph.assembly.propagation import kept_propagated
from hugraph.assembly.record import (
    RECORD,
    DataRecord,
    environment,
    numbering,
    read_record,
    record_of,
)
from hugraph.assembly.sections import SCHEMA, Spec
from hugraph.data.dataset import Dataset
from hugraph.data.split import encode_split, read_split
from hugraph.errors import DataError, RunError, SpecError
from hugraph.interfaces import Recommender
from hugraph.train import Fitted, RunDir, fit, restore_best
from hugraph.train.processes import Processes
from hugraph.train.trainer import OnProgress

log = logging.getLogger(__name__)

SPEC, SPLIT, RESULT = "spec.yaml", "split.parquet", "result.json"

RESUMABLE = ("train.epochs", "train.early_stopping.patience")  # may differ when a run goes on


def begin(experiment: Experiment, run: RunDir) -> None:
    """Records what a new run is about to do, before it does it.

    `run.json` is written last: a directory without it was never begun, and may be begun again.
    """
    run.write_text(SPEC, SCHEMA.dump(experiment.spec))
    run.write(SPLIT, encode_split(experiment.split, experiment.dataset))
    run.write_text(RECORD, record_of(experiment, run).model_dump_json(indent=2) + "\n")


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
    record = read_record(run)
    spec = _spec(run, overrides, may_change)
    if data and "path" not in spec.data.source.options:
        raise RunError(
            f"this run's data are drawn by {spec.data.source.name}, not read from a directory",
            at=str(path),
            fix="leave --data out",
        )
    where = data or (record.data.path and path / record.data.path)
    if where:
        options = {**spec.data.source.options, "path": os.path.relpath(where)}
        source = replace(spec.data.source, options=options)
        spec = replace(spec, data=replace(spec.data, source=source))
    dataset = _same_data(spec, record.data, str(where or path))
    try:
        split = read_split(path / SPLIT, dataset)
    except DataError as error:
        raise RunError(error.what, at=error.at, fix="fit again in a new run directory") from error
    if split.hash != record.split_hash:
        raise RunError(
            "the stored split is not the one this run was fitted on",
            at=str(path / SPLIT),
            fix="restore the file from a copy, or fit again in a new run directory",
        )
    return Experiment(spec, dataset, split, kept_propagated(run, spec, dataset, split))


def go_on(experiment: Experiment, run: RunDir) -> None:
    """Records the overrides with which a run goes on; what they outdate is taken back."""
    begun_with = read_record(run).environment
    for name, now in environment(experiment).items():
        if (then := begun_with.get(name)) != now:
            log.warning(
                "the run was begun with %s %s, now it is %s: the last bits may differ",
                name,
                then,
                now,
            )
    stored = _spec(run, (), ())
    keys = replace(experiment.spec, data=stored.data)
    if keys != stored:
        for name in (RESULT, "per_user.parquet"):
            run.remove(name)
        run.write_text(SPEC, SCHEMA.dump(keys))


def finish(
    experiment: Experiment,
    model: Recommender,
    run: RunDir,
    on_progress: OnProgress | None = None,
    processes: Processes | None = None,
) -> dict[str, Any]:
    """Trains to the end, tests once, and writes the result.

    Args:
        experiment: Spec and data.
        model: As `experiment.build_model()` made it.
        run: Where to write; if it was stopped, training goes on.
        on_progress: Called after each step and each epoch.
        processes: Those that train together, if this is the first of several; the others `assist`.

    Returns:
        What `result.json` holds: `validation` and `test` metrics of the best epoch, the test
        metrics of `popularity`, `best_epoch`, `epochs` and `seconds`.
    """
    fitted = _fit(experiment, model, run, on_progress, processes)
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


def assist(experiment: Experiment, model: Recommender, processes: Processes) -> None:
    """Trains along with the first process, which calls `finish`.

    Args:
        experiment: The same spec and data.
        model: As `experiment.build_model()` made it.
        processes: All that train together.
    """
    _fit(experiment, model, None, None, processes)


def complete(
    spec: Spec, path: Path, dataset: Dataset, on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """Brings a spec to the end in a run directory, wherever it stands there.

    A run that was not begun is begun, one that was stopped goes on, and of one that is finished the
    result is read.

    Args:
        spec: What to do.
        path: The run directory; made if there is none.
        dataset: The data of `spec`, as `load_data` gives them.
        on_progress: Called after each step and each epoch.

    Returns:
        What `finish` returns.

    Raises:
        RunError: If the directory holds a run of another spec or of other data, or no run.
        BusyError: If another process holds it.
        TooLargeError: If less memory is free than training takes at the least.
    """
    if not (path / RECORD).exists():
        experiment = Experiment.prepare(spec, dataset)
        require_memory(experiment)
        model = experiment.build_model()
        with RunDir.create(path) as run:
            begin(experiment, run)
            return finish(experiment, model, run, on_progress)
    with RunDir.resume(path) as run:
        stored = _spec(run, (), ())
        _require_same(
            spec,
            stored,
            ("data.path",),
            at=str(path),
            fix="give the spec as it was, or choose another directory",
        )
        if (path / RESULT).exists():
            _require_data(dataset, read_record(run).data, str(path))
            return read_result(run)
        experiment = reopen(path, data=spec.data.source.options.get("path"))
        require_memory(experiment)
        go_on(experiment, run)
        return finish(experiment, experiment.build_model(), run, on_progress)


def require_home(directory: Path, what: str, belongs: Callable[[str], bool]) -> None:
    """Makes sure that a directory is missing, or holds nothing but what belongs there.

    Args:
        directory: Where many runs are to be.
        what: What they are together, such as `sweep`.
        belongs: Whether an entry of that name may be there.

    Raises:
        RunError: If there is anything else.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise RunError(f"{directory.name} is a file", at=str(directory), fix="choose another --out")
    found = sorted(entry.name for entry in directory.iterdir() if not belongs(entry.name))
    if found:
        more = ", …" if len(found) > 3 else ""
        raise RunError(
            f"the directory holds something that is no {what} ({', '.join(found[:3])}{more})",
            at=str(directory),
            fix="choose another --out",
        )


def read_result(run: RunDir) -> dict[str, Any]:
    """What `result.json` of a finished run holds.

    Raises:
        RunError: If the run is not finished, or the file is damaged.
    """
    if not (run.path / RESULT).exists():
        raise RunError(
            "the run is not finished",
            at=str(run.path),
            fix=f"finish it with `hugraph fit --resume {run.path}`",
        )
    try:
        return dict(json.loads(run.read_text(RESULT)))
    except (ValueError, TypeError) as error:
        raise RunError(
            f"{RESULT} is damaged", at=str(run.path), fix="restore it, or fit again"
        ) from error


def trained_model(experiment: Experiment, run: RunDir) -> Recommender:
    """The model of a run with its best weights, ready to rank."""
    model = experiment.build_model()
    restore_best(model, run)
    return model


def _fit(
    experiment: Experiment,
    model: Recommender,
    run: RunDir | None,
    on_progress: OnProgress | None,
    processes: Processes | None,
) -> Fitted:
    if processes is not None:
        spec = {k: v for k, v in _flat(SCHEMA.tree(experiment.spec)).items() if k != "data.path"}
        data = (experiment.dataset.fingerprint, experiment.split.hash)
        processes.require_same(repr((__version__, data, spec)))
    return fit(
        model,
        experiment.train,
        experiment.validate,
        seed=experiment.spec.seed,
        config=experiment.spec.train,
        objective=experiment.spec.objective(),
        run=run,
        on_progress=on_progress,
        processes=processes,
    )


def _same_data(spec: Spec, record: DataRecord, at: str) -> Dataset:
    try:
        dataset = load_data(spec)
    except DataError as error:
        raise RunError(
            f"the data of this run cannot be read: {error.what}",
            at=error.at,
            fix="if they have moved, name their directory with --data",
        ) from error
    _require_data(dataset, record, at)
    return dataset


def _require_data(dataset: Dataset, record: DataRecord, at: str) -> None:
    if dataset.fingerprint == record.fingerprint and numbering(dataset) == record.numbering:
        return
    if record.synthetic and not record.files:
        raise RunError(
            "this hugraph draws other data from the options of this run",
            at=at,
            fix="use the versions of hugraph and NumPy that run.json names, or fit again",
        )
    then, now = record.files, dataset.files
    hashes = [
        f"{name} ({then.get(name, 'absent')[:12]}, now {now.get(name, 'absent')[:12]})"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    changed = ", ".join(hashes) or "the same files, numbered in another way by this hugraph"
    raise RunError(
        f"the data changed since this run was fitted: {changed}",
        at=at,
        fix="restore the files, name their copy with --data, or fit again",
    )


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
    _require_same(
        spec,
        stored,
        may_change,
        at=str(run.path),
        fix=f"change only {', '.join(may_change)}, or fit a new run",
    )
    if spec.train.epochs != stored.train.epochs and spec.train.lr_schedule != "constant":
        raise RunError(
            f"train.epochs cannot change: with lr_schedule {spec.train.lr_schedule} the learning "
            "rate of every epoch depends on it",
            at=str(run.path / SPEC),
            fix="resume without changing it, or fit a new run",
        )
    done = run.epochs_of_a_stage()
    if spec.train.epochs < min(done, stored.train.epochs):
        raise RunError(
            f"train.epochs is {spec.train.epochs}, but {done} have been trained already",
            at=str(run.path),
            fix=f"give {done} or more, or fit a new run",
        )
    return spec


def differences(here: Any, there: Any, may_differ: Sequence[str] = ()) -> list[str]:
    """The keys in which two trees of plain values differ, each as `key: there -> here`.

    Args:
        here: Mappings within mappings.
        there: Likewise.
        may_differ: Dotted keys that do not count, nor do those below them.
    """
    now, then = _flat(here), _flat(there)
    return [
        f"{key}: {then.get(key)!r} -> {now.get(key)!r}"
        for key in sorted(now.keys() | then.keys())
        if now.get(key) != then.get(key)
        and not any(f"{key}.".startswith(f"{allowed}.") for allowed in may_differ)
    ]


def _require_same(
    spec: Spec, stored: Spec, may_change: Sequence[str], *, at: str, fix: str
) -> None:
    if changes := differences(SCHEMA.tree(spec), SCHEMA.tree(stored), may_change):
        raise RunError(
            f"the spec is not the one this run was begun with ({'; '.join(changes)})",
            at=at,
            fix=fix,
        )


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {path: tree}
    parts = [_flat(child, f"{path}.{key}" if path else key) for key, child in tree.items()]
    return {key: value for part in parts for key, value in part.items()}
