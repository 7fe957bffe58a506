"""The first propagation of features on disk, kept in a run: later commands need not do it again.

`propagated.npy` holds the features of all modalities side by side. `propagated.safetensors`,
written after it, says of which items they tell, and seals both by a hash of what they hold and of
what they rest on: data, split, spec and code.
"""

import inspect
import io
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

import hugraph
from hugraph.assembly.experiment import Experiment
from hugraph.assembly.options import call
from hugraph.assembly.record import numbering
from hugraph.assembly.registry import Bound
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

_MOST_HEADER = 2**16  # bytes of the header of a .npy file


def keep_propagated(experiment: Experiment, model: Recommender, run: RunDir) -> None:
    """Writes what `model` has propagated of features on disk, unless it was taken from there.

    Nothing is kept where the disk is short of room: that costs later commands time, and nothing
    else.
    """
    propagated, matrix = _propagated(model)
    if experiment.kept or matrix is None:
        return
    rests_on = _rests_on(experiment.spec, experiment.dataset, experiment.split)
    checkpoints = MOST_FILES * file_bytes(*table_bytes(cast(nn.Module, model), model.stages()))
    to_come = max(0, checkpoints - run.checkpoints.occupied())
    try:
        for name in (INDEX, MATRIX):
            run.remove(name)
        atomic.require_space(run.path, 2 * kept_bytes(model) + to_come)  # for all else as much
        digest = _write_npy(run, matrix)
        tensors = {
            "present": torch.stack([each.present for each in propagated.values()], dim=1).cpu(),
            "informed": torch.stack([each.informed for each in propagated.values()], dim=1).cpu(),
        }
        columns = {m: [each.columns.start, each.columns.stop] for m, each in propagated.items()}
        seal = _seal(rests_on, digest, columns, tensors)
        metadata = {"columns": json.dumps(columns), "seal": seal}
        run.write(INDEX, safetensors.torch.save(tensors, metadata))
    except ResourceError as error:
        for name in (INDEX, MATRIX):
            with suppress(ResourceError):
                run.remove(name)
        log.warning(
            "the first propagation is not kept (%s): later commands do it again", error.what
        )


def kept_bytes(model: Recommender) -> int:
    """What `keep_propagated` adds to a run that has nothing of it."""
    _, matrix = _propagated(model)
    return 0 if matrix is None else 4 * math.prod(matrix.shape)


def kept_propagated(
    run: RunDir, spec: Spec, dataset: Dataset, split: Split
) -> dict[str, PropagatedFeatures]:
    """What `keep_propagated` has written for the same spec, data and split, by modality.

    Returns:
        Nothing, with a warning, if it is damaged or rests on anything else.
    """
    if not any((run.path / name).exists() for name in (INDEX, MATRIX)):
        return {}
    rests_on = _rests_on(spec, dataset, split)
    try:
        return _read(run, dataset, rests_on)
    except HugraphError as error:
        reason = error.what
    except OSError as error:
        reason = f"{MATRIX} cannot be read ({error.strerror or error})"
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError):
        reason = f"{INDEX} is damaged"
    log.warning(
        "the first propagation is done again: %s; `hugraph fit --resume %s` keeps it anew",
        reason,
        run.path,
    )
    return {}


def _read(run: RunDir, dataset: Dataset, rests_on: list[Any]) -> dict[str, PropagatedFeatures]:
    content = Folder(run.path).read(INDEX)
    tensors = safetensors.torch.load(content)
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    metadata = json.loads(header)["__metadata__"]
    columns = json.loads(metadata["columns"])
    if not isinstance(columns, dict):
        raise RunError(f"{INDEX} is damaged")
    width = 0
    for start, stop in columns.values():
        if start != width or not stop > start:
            raise RunError(f"{INDEX} is damaged")
        width = stop
    masks = tensors["present"], tensors["informed"]
    shape = dataset.num_items, len(columns)
    if any(mask.shape != shape or mask.dtype != torch.bool for mask in masks):
        raise RunError(f"{INDEX} is of other items")
    folder = Folder(run.path, max_bytes=4 * dataset.num_items * width + _MOST_HEADER)
    path = folder.check(MATRIX)
    if metadata["seal"] != _seal(rests_on, folder.digests[MATRIX], columns, tensors):
        raise RunError(f"{MATRIX} is damaged, or of other code")
    matrix = on_disk(map_npy(path))
    if matrix.shape != (dataset.num_items, width):
        raise RunError(f"{MATRIX} is of another shape")
    return {
        name: PropagatedFeatures(matrix, slice(*ends), masks[0][:, m], masks[1][:, m])
        for m, (name, ends) in enumerate(columns.items())
    }


def _propagated(
    model: Recommender,
) -> tuple[Mapping[str, PropagatedFeatures], FileMatrix | None]:
    """What the model has propagated, and the matrix that holds it, if there is exactly one."""
    propagated = model.propagated() if isinstance(model, PropagatingModel) else {}
    matrices = {each.matrix for each in propagated.values()}
    return propagated, matrices.pop() if len(matrices) == 1 else None


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
    return [_code(spec), dataset.fingerprint, numbering(dataset), split.hash, sections]


def _code(spec: Spec) -> str:
    """SHA-256 of hugraph's sources, and of the modules of others that the spec's components are in.

    Graph, scaling and convolution all have a part in what is propagated.
    """
    files = {inspect.getsourcefile(each) for each in _constructors(spec.graph, spec.model)}
    own = Path(hugraph.__file__).parent.rglob("*.py")
    digest = sha256()
    for path in sorted({*own, *(Path(file) for file in files if file)}):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _constructors(*components: Bound) -> Iterator[Callable[..., Any]]:
    for component in components:
        yield call(component.constructor)[0]
        yield from _constructors(*(o for o in component.options.values() if isinstance(o, Bound)))


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
