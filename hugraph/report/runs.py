"""Runs at a glance: what their directories hold, for people and tables."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hugraph.errors import RunError
from hugraph.train.run_dir import RunDir


@dataclass(frozen=True)
class RunSummary:
    """One run at a glance.

    Attributes:
        path: The run directory.
        model: Name of the model.
        data: Name of the dataset, marked if it is synthetic.
        fingerprint: SHA-256 of the data.
        split_hash: SHA-256 of their split.
        epochs: Epochs in `metrics.jsonl`.
        result: What `result.json` holds; None while the run is not finished.
    """

    path: Path
    model: str
    data: str
    fingerprint: str
    split_hash: str
    epochs: int
    result: Mapping[str, Any] | None

    @property
    def metrics(self) -> dict[str, float]:
        """Test metrics of a finished run; empty otherwise."""
        return {} if self.result is None else dict(self.result["test"])


@dataclass(frozen=True)
class Epoch:
    """What `metrics.jsonl` says of an epoch.

    Attributes:
        number: From 1.
        stage: Of training.
        terms: The losses and penalties, unweighted.
        validation: The metrics.
    """

    number: int
    stage: str
    terms: Mapping[str, float]
    validation: Mapping[str, float]


def read_epochs(path: Path) -> list[Epoch]:
    """How training went in a run directory, epoch by epoch; nothing of a model without training.

    Raises:
        RunError: If it is no run directory, or `metrics.jsonl` is damaged.
    """
    run, name = RunDir(path), "metrics.jsonl"
    if not (path / name).exists():
        return []
    try:
        rows = [json.loads(line) for line in run.read_text(name).splitlines()]
        epochs = [
            Epoch(int(row["epoch"]), str(row["stage"]), row["terms"], row["validation"])
            for row in rows
        ]
        values = [
            v for epoch in epochs for v in (*epoch.terms.values(), *epoch.validation.values())
        ]
        sound = all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise damaged(path, name)
    return epochs


def find_runs(root: Path) -> list[Path]:
    """The run directories at or below `root`, in the order of their paths.

    Raises:
        RunError: If there is no such directory.
    """
    if not root.is_dir():
        raise RunError(f"there is no directory {root}", fix="name one that holds runs")
    records = root.rglob("run.json")
    return sorted(record.parent for record in records if (record.parent / "lock").is_file())


def summarize(path: Path) -> RunSummary:
    """Reads one run directory.

    Raises:
        RunError: If it is not one, or `run.json` or `result.json` is damaged.
    """
    run = RunDir(path)
    record = _json(run, "run.json")
    result = _json(run, "result.json") if (path / "result.json").exists() else None
    metrics = path / "metrics.jsonl"
    epochs = len(run.read_text(metrics.name).splitlines()) if metrics.exists() else 0
    try:
        data = record["data"]
        name = f"{data['name']} (synthetic)" if data["synthetic"] else str(data["name"])
        summary = RunSummary(
            path=path,
            model=str(record["model"]),
            data=name,
            fingerprint=str(data["fingerprint"]),
            split_hash=str(record["split_hash"]),
            epochs=epochs,
            result=result,
        )
    except (KeyError, TypeError) as error:
        raise damaged(path, "run.json") from error
    if result is not None and not _is_result(result):
        raise damaged(path, "result.json")
    return summary


def damaged(path: Path, name: str) -> RunError:
    """The error of a run in `path` whose file `name` cannot be used."""
    return RunError(f"{name} is damaged", at=str(path), fix="restore it, or fit again")


def _is_result(tree: Any) -> bool:
    test = tree.get("test") if isinstance(tree, dict) else None
    return (
        isinstance(test, dict)
        and "users" in test
        and all(isinstance(value, int | float) for value in test.values())
    )


def _json(run: RunDir, name: str) -> Any:
    try:
        return json.loads(run.read_text(name))
    except (ValueError, RecursionError) as error:
        raise damaged(run.path, name) from error
