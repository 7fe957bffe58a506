"""The directory of one run: who may write to it, and what it holds."""

import io
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hugraph.errors import RunError
from hugraph.train import atomic
from hugraph.train.checkpoint import Checkpoints
from hugraph.train.evaluator import Evaluation
from hugraph.train.events import EventLog
from hugraph.train.lock import locked

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger(__name__)

_LOCK = "lock"  # the first file of a run, so also its mark
_BEFORE_RECORD = ("spec.yaml", "split.parquet")  # of a run that was stopped before it was begun
_METRICS, _RESULT, _PER_USER = "metrics.jsonl", "result.json", "per_user.parquet"
_STAGE = re.compile(r'^{"epoch": \d+, "stage": ("[^"]*")', re.MULTILINE)
_CHECKPOINTS, _EVENTS = "checkpoints", "tensorboard"


class RunDir:
    """A run on disk, to read from; write inside of `create` or `resume`, which hold its lock.

    Attributes:
        path: The directory.
        checkpoints: Weights and training state, in `checkpoints/`.
        events: TensorBoard's view, in `tensorboard/`.

    Raises:
        RunError: If `path` is not the directory of a run.
    """

    def __init__(self, path: Path) -> None:
        if not (path / _LOCK).is_file():
            name, fix = path.name or path, "give a directory that `hugraph fit` has made"
            if path.is_dir():
                what = f"{name} is not a run directory"
                fix += f"; `hugraph runs {path}` lists those inside"
            else:
                what = f"there is no run {name}"
            raise RunError(what, at=str(path), fix=fix)
        self.path = path
        self.checkpoints = Checkpoints(path / _CHECKPOINTS)
        self.events = EventLog(path / _EVENTS)

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> "Iterator[RunDir]":
        """Makes and holds the directory of a new run; what is already there is never touched.

        A directory that was made for a run and stopped before the run was begun counts as empty.

        Raises:
            RunError: If `path` exists and holds anything else.
            BusyError: If another process holds it.
            ResourceError: If it cannot be made.
        """
        if not (path / _LOCK).exists():
            require_unbegun(path)
        atomic.make_directory(path)
        with locked(path / _LOCK):
            atomic.remove_temporaries(path)
            require_unbegun(path)
            run = cls(path)
            try:
                yield run
            finally:
                run.events.close()

    @classmethod
    @contextmanager
    def resume(cls, path: Path) -> "Iterator[RunDir]":
        """Holds the directory of a run that was begun before.

        Raises:
            RunError: If `path` is not the directory of a run, or holds links in place of its own.
            BusyError: If another process holds it.
        """
        run = cls(path)
        for name in (_CHECKPOINTS, _EVENTS):
            if (path / name).is_symlink():
                raise RunError(
                    f"{name} of the run is a link, which may lead anywhere",
                    at=str(path / name),
                    fix="put the directory itself in its place, or fit again in a new one",
                )
        with locked(path / _LOCK):
            for directory in (path, path / _CHECKPOINTS, path / _EVENTS):
                atomic.remove_temporaries(directory)
            try:
                yield run
            finally:
                run.events.close()

    def write(self, name: str, content: bytes) -> None:
        """Writes the file `name` whole, or not at all."""
        atomic.write(self.path / name, content)

    def write_text(self, name: str, text: str) -> None:
        """Writes the text file `name` whole, or not at all."""
        self.write(name, text.encode())

    def remove(self, name: str) -> None:
        """Deletes the file `name`, if the run has it."""
        atomic.remove(self.path / name)

    def read_text(self, name: str) -> str:
        """The file `name`.

        Raises:
            RunError: If the run has no such file, or it is not text.
        """
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(
                f"the run's {name} cannot be read ({type(error).__name__})",
                at=str(self.path / name),
                fix="resume the run so that it is written, or fit again in a new run directory",
            ) from error

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Writes `result.json`, the last file of a run."""
        self.write_text(_RESULT, json.dumps(result, indent=2, allow_nan=False) + "\n")

    def write_per_user(self, user_ids: Sequence[str], evaluation: Evaluation) -> None:
        """Writes `per_user.parquet`: a column `user`, then one for each metric.

        Args:
            user_ids: The raw ids of `evaluation.users`, aligned.
            evaluation: The scores.
        """
        import polars as pl  # slow, and ranking needs none

        buffer = io.BytesIO()
        pl.DataFrame({"user": list(user_ids), **evaluation.per_user}).write_parquet(buffer)
        self.write(_PER_USER, buffer.getvalue())

    def read_per_user(self) -> "pl.DataFrame":
        """What `write_per_user` wrote, in ascending order of the ids.

        Raises:
            RunError: If the run has no such file, or it is damaged.
        """
        import polars as pl

        path = self.path / _PER_USER
        try:
            frame = pl.read_parquet(path.read_bytes() if path.is_file() else b"").sort("user")
            ids, scores = frame["user"], frame.drop("user")
            sound = (
                ids.dtype == pl.String
                and ids.is_unique().all()
                and set(scores.dtypes) <= {pl.Float64}
                and np.isfinite(scores.to_numpy()).all()
                and not ids.has_nulls()
            )
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            sound = False
        if not sound:
            raise RunError(
                f"{_PER_USER} is {'damaged' if path.exists() else 'not there'}",
                at=str(self.path),
                fix="restore it, or fit again",
            )
        return frame

    def append_metrics(self, row: Mapping[str, Any]) -> int:
        """Adds a line to `metrics.jsonl`; returns its size in bytes."""
        line = json.dumps(row, allow_nan=False) + "\n"
        return atomic.append(self.path / _METRICS, line.encode())

    def cut_metrics(self, size: int) -> None:
        """Drops the lines of `metrics.jsonl` that were never committed.

        Raises:
            ResourceError: If the system refuses, or the file is a link.
        """
        atomic.cut(self.path / _METRICS, size)

    def epochs_of_a_stage(self) -> int:
        """How many lines `metrics.jsonl` has of one stage, at the most."""
        path = self.path / _METRICS
        lines = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        return max(Counter(_STAGE.findall(lines)).values(), default=0)

    def require_not_begun(self) -> None:
        """Makes sure that no epoch was ever committed, where no checkpoint is found.

        A run that died in its first commit has one line of metrics, and is begun again.

        Raises:
            RunError: If there are traces of a later one.
        """
        metrics, found = self.path / _METRICS, []
        if (self.path / _RESULT).exists():
            found.append(_RESULT)
        if metrics.is_file():
            with metrics.open("rb") as lines:
                if len(list(islice(lines, 2))) == 2:
                    found.append(_METRICS)
        if found:
            raise RunError(
                f"the run has {' and '.join(found)}, but its checkpoints are lost",
                at=str(self.path / _CHECKPOINTS),
                fix="restore the directory from a copy, or fit again in a new run directory",
            )


def require_unbegun(path: Path) -> None:
    """Makes sure that a new run may be made at `path`.

    Raises:
        RunError: If `path` exists and holds anything but what a run leaves that is not begun.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise RunError(f"{path.name} is a file", at=str(path), fix="choose another --run")
    found = sorted(entry.name for entry in path.iterdir())
    unbegun = {_LOCK, *_BEFORE_RECORD} if _LOCK in found else set()
    if not set(found) <= unbegun:
        more = ", …" if len(found) > 3 else ""
        begun = (path / "run.json").exists()
        raise RunError(
            f"the run directory already holds something ({', '.join(found[:3])}{more})",
            at=str(path),
            fix=f"continue it with --resume {path}, or choose another --run"
            if begun
            else "choose another --run",
        )
