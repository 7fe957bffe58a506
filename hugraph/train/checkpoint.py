"""Checkpoints that survive a kill at any moment, a full disk and a flipped bit.

The tensors of an epoch go to a file of their own. Then `state.json` is replaced: it is the single
commit record, names the files with their size and SHA-256, and carries a SHA-256 of itself. The
record before it stays as `state.prev.json`, with its files, and is used when the newest is damaged.
"""

import errno
import json
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import safetensors
import safetensors.torch
from torch import Tensor, nn

from hugraph.errors import ResourceError, RunError
from hugraph.interfaces import Stage
from hugraph.train import atomic

log = logging.getLogger(__name__)

FORMAT = 1
MOST_FILES = 5  # newest, the one before, the best that each of them names, one being written
_FILE_NAME = re.compile(r"epoch-(\d{6,})-[0-9a-f]{8}\.safetensors")
_MAX_RECORD_BYTES = 2**20
_RECORD = {"format": int, "epoch": int, "state": dict, "file": dict, "best": dict}
_FILE = {"name": str, "size": int, "sha256": str}

Read = TypeVar("Read")


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
            atomic.replace(self._state, _seal(record))
            self._committed = record
            atomic.sync_name(self._state)
        except ResourceError as error:
            last = self._committed
            good = f"epoch {last['epoch']}" if last else "none"
            raise ResourceError(
                f"{error.what}; last good checkpoint: {good}", at=error.at, fix=error.fix
            ) from error
        self._remove_all_but(record, previous)

    def load(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None if nothing was ever committed.

        A damaged one is reported in the log, and the one before it is used.

        Raises:
            RunError: If both are damaged or lost, or were written by another version.
            ResourceError: If the system refuses to read them.
        """

        def read(record: dict[str, Any]) -> Checkpoint:
            tensors = self._read(record["file"])
            best = tensors if record["best"] == record["file"] else self._read(record["best"])
            self._committed = record
            return Checkpoint(record["epoch"], record["state"], tensors, best)

        return self._newest(read)

    def load_best(self) -> dict[str, Tensor] | None:
        """What `load` gives as `best`, without reading the newest epoch's tensors."""
        return self._newest(lambda record: self._read(record["best"]))

    def occupied(self) -> int:
        """Bytes of all files of tensors."""
        return sum(path.lstat().st_size for path, _ in self._files())

    def _newest(self, read: Callable[[dict[str, Any]], Read]) -> Read | None:
        """What `read` makes of the newest record that is whole, with all that `read` reads."""
        faults = []
        for path in (self._state, self._previous):
            try:
                record = _unseal(_contents(path, _MAX_RECORD_BYTES))
                result = read(record)
            except _DamageError as error:
                faults.append(f"{path.name}: {error}")
            else:
                if faults:
                    log.warning(
                        "the newest checkpoint is damaged (%s); going on from epoch %d",
                        faults[0],
                        record["epoch"],
                    )
                return result
        later = any(epoch > 1 for _, epoch in self._files())  # the first is written before a record
        if not later and not any(self._directory.glob("state*.json")):
            return None
        raise RunError(
            f"no checkpoint can be read: {'; '.join(faults)}",
            at=str(self._directory),
            fix="restore the files from a copy, or fit again in a new run directory",
        )

    def _read(self, file: Mapping[str, Any]) -> dict[str, Tensor]:
        if not _FILE_NAME.fullmatch(file["name"]):
            raise _DamageError(f"{file['name']!r} is not the name of a checkpoint")
        data = _contents(self._directory / file["name"], file["size"])
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
        for path, _ in self._files():
            if path.name not in kept:
                try:
                    atomic.remove(path)
                except ResourceError as error:
                    log.warning("%s stays: %s", path, error.what)

    def _files(self) -> Iterator[tuple[Path, int]]:
        """The files of tensors, each with its epoch."""
        for path in list(self._directory.glob("epoch-*")):
            if match := _FILE_NAME.fullmatch(path.name):
                yield path, int(match[1])


def table_bytes(module: nn.Module, stages: Sequence[Stage]) -> list[int]:
    """Bytes of the weights of a model, then of the parameters of each of its stages."""
    trained = [sum(p.nbytes for p in stage.parameters) for stage in stages]
    return [sum(t.nbytes for t in module.state_dict().values()), *trained]


def file_bytes(weights: int, *trained: int) -> int:
    """The most tensors of one file, in bytes, of the sizes of `table_bytes`.

    Beside the weights there are Adam's two moments of each parameter of a stage.
    """
    return weights + 2 * max(trained, default=0)


class _DamageError(Exception):
    """A record or file that is not what was written."""


def _contents(path: Path, most: int) -> bytes:
    """The bytes of a file that is no longer than `most`; never those of a link or device."""
    try:
        with open(path, "rb", opener=_open_without_following) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _DamageError(f"{path.name} is not a file")
            if status.st_size > most:
                raise _DamageError(f"{path.name} has {status.st_size} bytes, more than {most}")
            return file.read()
    except FileNotFoundError:
        raise _DamageError(f"no file {path.name}") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise _DamageError(f"{path.name} is a link or a directory") from None
        raise ResourceError(
            f"cannot read {path.name} ({error.strerror or error})",
            at=str(path),
            fix="mend the permissions or the disk; the run itself may be whole",
        ) from error


def _open_without_following(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _seal(record: Mapping[str, Any]) -> bytes:
    digest = sha256(_canonical(record)).hexdigest()
    return _canonical({**record, "sha256": digest})


def _unseal(data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data)
        del record["sha256"]
        whole = _seal(record) == data
        version = record["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise _DamageError("its bytes are not those written")
    if version != FORMAT:
        raise RunError(
            f"checkpoint format {version} is not supported (only {FORMAT} is)",
            fix="use the version of hugraph that wrote the run",
        )
    if not (
        _has_shape(record, _RECORD)
        and _has_shape(record["file"], _FILE)
        and _has_shape(record["best"], _FILE)
    ):
        raise _DamageError("it is not a commit record")
    return record


def _has_shape(values: Mapping[str, Any], shape: Mapping[str, type]) -> bool:
    return {key: type(value) for key, value in values.items()} == shape


def _canonical(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, indent=1, allow_nan=False).encode()
