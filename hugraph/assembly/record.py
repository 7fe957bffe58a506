"""What a run was begun with: data, split and environment, in `run.json`."""

import hashlib
import json
import os
import platform
from importlib.metadata import version

import torch
from pydantic import BaseModel, ConfigDict

from hugraph import __version__
from hugraph.assembly.experiment import Experiment
from hugraph.data.dataset import Dataset
from hugraph.errors import RunError
from hugraph.interfaces import TokenBag
from hugraph.train import RunDir

FORMAT = 1
RECORD = "run.json"


class DataRecord(BaseModel):
    """What the data of a run were."""

    model_config = ConfigDict(strict=True)

    name: str
    synthetic: bool
    path: str | None  # relative to the run directory
    fingerprint: str
    numbering: str  # SHA-256 of ids in index order and of the modalities: what weights rest on
    files: dict[str, str]  # SHA-256 by name
    warnings: list[str]


class RunRecord(BaseModel):
    """What `run.json` holds."""

    model_config = ConfigDict(strict=True)

    format: int
    model: str
    data: DataRecord
    split_hash: str
    split_counts: dict[str, int]
    environment: dict[str, str | int]


def record_of(experiment: Experiment, run: RunDir) -> RunRecord:
    """Describes a run that is about to begin."""
    dataset, split = experiment.dataset, experiment.split
    path = experiment.spec.data.source.options.get("path")
    data = DataRecord(
        name=dataset.name,
        synthetic=dataset.synthetic,
        path=None if path is None else os.path.relpath(path, run.path),
        fingerprint=dataset.fingerprint,
        numbering=numbering(dataset),
        files=dict(dataset.files),
        warnings=list(dataset.warnings),
    )
    return RunRecord(
        format=FORMAT,
        model=str(experiment.spec.model.name),
        data=data,
        split_hash=split.hash,
        split_counts=dict(split.counts),
        environment=environment(experiment),
    )


def read_record(run: RunDir) -> RunRecord:
    """Reads `run.json`.

    Raises:
        RunError: If the run was never begun, or the file is damaged or of another format.
    """
    if not (run.path / RECORD).exists():
        raise RunError(
            f"there is no {RECORD}: the run stopped before it was begun",
            at=str(run.path),
            fix=f"begin it with `hugraph fit --spec SPEC --run {run.path}`",
        )
    try:
        content = json.loads(run.read_text(RECORD))
        if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
            raise RunError(
                f"run format {content['format']!r} is not supported (only {FORMAT} is)",
                at=str(run.path),
                fix="use the version of hugraph that wrote the run",
            )
        return RunRecord.model_validate(content)
    except ValueError as error:
        raise RunError(
            f"{RECORD} is damaged", at=str(run.path / RECORD), fix="restore it, or fit again"
        ) from error


def numbering(dataset: Dataset) -> str:
    """Hashes ids in index order, modalities and their widths: what the rows of weights rest on."""
    widths = {
        name: one.num_tokens if isinstance(one, TokenBag) else one.shape[1]
        for name, one in dataset.features.items()
    }
    ids = [dataset.user_ids.tolist(), dataset.item_ids.tolist(), list(widths.items())]
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()


def environment(experiment: Experiment) -> dict[str, str | int]:
    """What computes: versions, device and threads, on which the last bits depend."""
    threads: str | int = torch.get_num_threads()
    if threads != 1 and "OMP_NUM_THREADS" not in os.environ:
        threads = f"{threads} (1 in the training of a small model)"  # as `fit` chooses
    return {
        "hugraph": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "dgl", "numpy")},
        "device": str(experiment.device),
        "threads": threads,
    }
