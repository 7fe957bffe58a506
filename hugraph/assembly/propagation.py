"""The first propagation of features on disk, kept in a run: later commands need not do it again.

`propagated.npy` holds the features of all modalities side by side. `propagated.safetensors`,
written after it, says of which items they tell, and seals both by a hash of what they hold and of
what they rest on: data, split, spec and version.
"""

import io
import json
import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from hugraph import __version__
from hugraph.assembly.experiment import Experiment
from hugraph.assembly.record import numbering
from hugraph.assembly.sections import SCHEMA, Spec
from hugraph.data.dataset import Dataset
from hugraph.data.features import on_disk
from hugraph.data.folder import Folder
from hugraph.data.npy import map_npy
from hugraph.data.split import Split
from hugraph.errors import HugraphError, ResourceError, RunError
from hugraph.file_matrix import FileMatrix
from hugraph.interfaces import PropagatedFeatures, PropagatingModel, Recommender
from hugraph.train import RunDir, atomic
from hugraph.train.checkpoint import MOST_FILES, file_bytes, table_bytes

log = logging.getLogger(__name__)

MATRIX, INDEX = "propagated.npy", "propagated.safetensors"


def keep_propagated(experiment: Experiment, model: Recommender, run: RunDir) -> None:
    """Writes what `model` has propagated of features on disk, unless it was taken from there.

    Nothing is kept where the disk has no room for it beside the checkpoints to come: that costs
    later commands time, and nothing else.
    """
    propagated = _propagated(model)
    matrices = {each.matrix for each in propagated.values()}
    if experiment.kept or len(matrices) != 1:
        return
    (matrix,) = matrices
    checkpoint = file_bytes(*table_bytes(cast(nn.Module, model), model.stages()))
    try:
        for name in (INDEX, MATRIX):
            run.remove(name)
        atomic.require_space(run.path, kept_bytes(model) + MOST_FILES * checkpoint)
        digest = _write_npy(run, matrix)
        tensors = {
            "present": torch.stack([each.present for each in propagated.values()], dim=1).cpu(),
            "informed": torch.stack([each.informed for each in propagated.values()], dim=1).cpu(),
        }
        columns = {m: [each.columns.start, each.columns.stop] for m, each in propagated.items()}
        rests_on = _rests_on(experiment.spec, experiment.dataset, experiment.split)
        metadata = {
            "columns": json.dumps(columns),
            "seal": _seal(rests_on, digest, columns, tensors),
        }
        run.write(INDEX, safetensors.torch.save(tensors, metadata))
    except ResourceError as error:
        with suppress(ResourceError):
            run.remove(MATRIX)
        log.warning(
            "the first propagation is not kept (%s): later commands do it again", error.what
        )


def kept_bytes(model: Recommender) -> int:
    """What `keep_propagated` adds to a run that has nothing of it."""
    matrices = {each.matrix for each in _propagated(model).values()}
    return sum(4 * math.prod(matrix.shape) for matrix in matrices)


def kept_propagated(
    run: RunDir, spec: Spec, dataset: Dataset, split: Split
) -> dict[str, PropagatedFeatures]:
    """What `keep_propagated` has written for the same spec, data and split, by modality.

    Returns:
        Nothing, with a warning, if it is damaged or rests on anything else.
    """
    try:
        folder = Folder(run.path, max_bytes=2**63)
        if INDEX not in folder.names:
            return {}
        with safe_open(folder.check(INDEX), "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in ("present", "informed")}
        columns = json.loads(metadata["columns"])
        path = folder.check(MATRIX)
        seal = _seal(_rests_on(spec, dataset, split), folder.digests[MATRIX], columns, tensors)
        if metadata["seal"] != seal:
            raise RunError(f"{MATRIX} is damaged, or of another version of hugraph")
        matrix = on_disk(map_npy(path))
        given = [(len(matrix), len(columns)), *(mask.shape for mask in tensors.values())]
        if set(given) != {(dataset.num_items, len(columns))}:
            raise RunError(f"{MATRIX} is of other items")
    except (HugraphError, SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        reason = error.what if isinstance(error, HugraphError) else f"{INDEX} is damaged"
        log.warning("the first propagation is done again: %s", reason)
        return {}
    return {
        name: PropagatedFeatures(
            matrix, slice(*ends), tensors["present"][:, m], tensors["informed"][:, m]
        )
        for m, (name, ends) in enumerate(columns.items())
    }


def _propagated(model: Recommender) -> Mapping[str, PropagatedFeatures]:
    return model.propagated() if isinstance(model, PropagatingModel) else {}


def _write_npy(run: RunDir, matrix: FileMatrix) -> str:
    """Writes the matrix to the run, a block at a time; gives the SHA-256 of the file."""
    head = io.BytesIO()
    header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": matrix.shape}
    np.lib.format.write_array_header_1_0(head, header)
    digest = sha256(head.getvalue())
    with atomic.writing(run.path / MATRIX) as file:
        file.write(head.getvalue())
        for rows in matrix.blocks():
            block = matrix.read(rows).numpy().data
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _rests_on(spec: Spec, dataset: Dataset, split: Split) -> list[Any]:
    tree = SCHEMA.tree(spec)
    data = {key: value for key, value in tree["data"].items() if key != "path"}
    sections = data, tree["graph"], tree["model"]
    return [__version__, dataset.fingerprint, numbering(dataset), split.hash, sections]


def _seal(
    rests_on: list[Any],
    digest: str,
    columns: Mapping[str, list[int]],
    tensors: Mapping[str, Tensor],
) -> str:
    seal = sha256(json.dumps([rests_on, digest, columns]).encode())
    for name in sorted(tensors):
        seal.update(tensors[name].contiguous().numpy().data)
    return seal.hexdigest()
