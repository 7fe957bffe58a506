"""Checkpoints that survive a kill at any moment, a full disk and a flipped bit.

The tensors of an epoch go to a file of their own. Then `state.json` is replaced: it is the single
commit record, names the files with their size and SHA-256, and carries a SHA-256 of itself. The
record before it stays as `state.prev.json`, with its files, and is used when the newest is damaged.
"""

import json
import logging
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from hugraph.errors import ResourceError, RunError
from hugraph.train import atomic

log = logging.getLogger(__name__)

FORMAT = 1
_FILE_NAME = re.compile(r"epoch-\d{6,}-[0-9a-f]{8}\.safetensors")


class Checkpoint(NamedTuple):
    """What a commit record stands for, verified."""

    epoch: int
    state: dict[str, Any]  # what was given to `save`, JSON values only
    tensors: dict[str, Tensor]
    best: dict[str, Tensor]  # the tensors of the last epoch saved as the best


class Checkpoints:
    """The checkpoints of one run: the newest, the one before it, and the best.

    Args:
        directory: Holds nothing else; made by the first `save`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._state, self._previous = directory / "state.json", directory / "state.prev.json"
        self._committed: dict[str, Any] | None = None  # the last record that load or save stood by

    def save(
        self, epoch: int, state: Mapping[str, Any], tensors: Mapping[str, Tensor], *, best: bool
    ) -> None:
        """Commits an epoch. If this fails at any point, the epoch before it is still committed.

        Args:
            epoch: Number of the epoch, for the name of the file and for messages.
            state: JSON values; comes back from `load` as it is.
            tensors: Model and optimiser.
            best: Whether these tensors are the best so far; the first ones saved always are.

        Raises:
            ResourceError: If the disk is full or refuses; names the last good checkpoint.
        """
        data = safetensors.torch.save(
            {key: t.detach().cpu().contiguous().clone() for key, t in tensors.items()}
        )
        digest = sha256(data).hexdigest()
        name = f"epoch-{epoch:06d}-{digest[:8]}.safetensors"
        file = {"name": name, "size": len(data), "sha256": digest}
        previous = self._committed
        record = {
            "format": FORMAT,
            "epoch": epoch,
            "state": dict(state),
            "file": file,
            "best": file if best or previous is None else previous["best"],
        }
        try:
            atomic.make_directory(self._directory)
            atomic.write(self._directory / name, data)
            if previous is not None:
                atomic.write(self._previous, _seal(previous))
            atomic.write(self._state, _seal(record))
            self._committed = record
            self._remove_all_but(record, previous)
        except ResourceError as error:
            last = self._committed
            good = f"epoch {last['epoch']}" if last else "none"
            raise ResourceError(
                f"{error.what}; last good checkpoint: {good}", at=error.at, fix=error.fix
            ) from error

    def load(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None if nothing was ever committed.

        A damaged one is reported in the log, and the one before it is used.

        Raises:
            RunError: If both are damaged, or were written by another version.
        """
        faults = []
        for path in (self._state, self._previous):
            try:
                record = _unseal(path.read_bytes())
                tensors = self._read(record["file"])
                best = tensors if record["best"] == record["file"] else self._read(record["best"])
            except FileNotFoundError as error:
                faults.append(f"{path.name}: no file {Path(error.filename).name}")
            except (_DamageError, OSError) as error:
                faults.append(f"{path.name}: {error}")
            else:
                if faults:
                    log.warning(
                        "the newest checkpoint is damaged (%s); going on from epoch %d",
                        faults[0],
                        record["epoch"],
                    )
                self._committed = record
                return Checkpoint(record["epoch"], record["state"], tensors, best)
        if not self._directory.exists() or not any(self._directory.glob("state*.json")):
            return None
        raise RunError(
            f"no checkpoint can be read: {'; '.join(faults)}",
            at=str(self._directory),
            fix="restore the files from a copy, or fit again in a new run directory",
        )

    def _read(self, file: Mapping[str, Any]) -> dict[str, Tensor]:
        if not _FILE_NAME.fullmatch(file["name"]):
            raise _DamageError(f"{file['name']!r} is not the name of a checkpoint")
        data = (self._directory / file["name"]).read_bytes()
        if len(data) != file["size"]:
            raise _DamageError(f"{file['name']} has {len(data)} bytes, not {file['size']}")
        if sha256(data).hexdigest() != file["sha256"]:
            raise _DamageError(f"{file['name']} does not have the SHA-256 of its record")
        try:
            return safetensors.torch.load(data)
        except safetensors.SafetensorError as error:
            raise _DamageError(f"{file['name']}: {error}") from error

    def _remove_all_but(self, *records: dict[str, Any] | None) -> None:
        kept = {record[role]["name"] for record in records if record for role in ("file", "best")}
        for path in self._directory.iterdir():
            if _FILE_NAME.fullmatch(path.name) and path.name not in kept:
                atomic.remove(path)


class _DamageError(Exception):
    """A record or file that is not what was written."""


def _seal(record: Mapping[str, Any]) -> bytes:
    digest = sha256(_canonical(record)).hexdigest()
    return _canonical({**record, "sha256": digest})


def _unseal(data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data)
        del record["sha256"]
        whole = _seal(record) == data
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise _DamageError("its bytes are not those written")
    if record["format"] != FORMAT:
        raise RunError(
            f"checkpoint format {record['format']} is not supported (only {FORMAT} is)",
            fix="use the version of hugraph that wrote the run",
        )
    return record


def _canonical(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, indent=1, allow_nan=False).encode()
