"""Every change that a run makes to its files: each is done wholly or not at all.

A file is written beside its place, synced, then renamed over it. A process that dies at any point
leaves the old file or the new one, and perhaps a temporary one.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hugraph.errors import ResourceError
from hugraph.sizes import in_bytes

_TEMPORARY = ".tmp-"


def write(path: Path, data: bytes) -> None:
    """Replaces the file at `path` by `data`, and waits until the disk knows.

    Raises:
        ResourceError: If the system refuses; the old file or the new one is then there.
    """
    replace(path, data)
    sync_name(path)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Gives a temporary file beside `path`; once written, that replaces `path`.

    For what is too large to be held in memory. The file is not replaced if the block raises.

    Raises:
        ResourceError: If the system refuses, also within the block; the old file or the new one is
            then there.
    """
    temporary = _beside(path)
    with _explained(path, 0):
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    sync_name(path)


def replace(path: Path, data: bytes) -> None:
    """Replaces the file at `path` by `data`; only `sync_name` makes the disk know.

    Raises:
        ResourceError: If the system refuses; the old file is then still there.
    """
    temporary = _beside(path)
    with _explained(path, len(data)):
        try:
            _write_all(temporary, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, data)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise


def sync_name(path: Path) -> None:
    """Waits until the disk knows by its name the file that was put at `path`.

    Raises:
        ResourceError: If the system refuses.
    """
    with _explained(path, 0):
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def append(path: Path, data: bytes) -> int:
    """Adds `data` to the end of the file at `path`; returns the new size in bytes.

    Raises:
        ResourceError: If the system refuses; a part of `data` may then have been written.
    """
    with _explained(path, len(data)):
        _write_all(path, os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, data)
        return os.stat(path).st_size


def cut(path: Path, size: int) -> None:
    """Drops what the file at `path` holds beyond its first `size` bytes.

    Raises:
        ResourceError: If the system refuses, or `path` is a link.
    """
    with _explained(path, 0), suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if os.fstat(descriptor).st_size > size:
                os.ftruncate(descriptor, size)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Deletes the file at `path`; a file that is not there is no error.

    Raises:
        ResourceError: If the system refuses.
    """
    with _explained(path, 0), suppress(FileNotFoundError):
        os.unlink(path)


def make_directory(path: Path) -> None:
    """Makes the directory at `path` and those above it, where they are missing.

    Raises:
        ResourceError: If the system refuses.
    """
    with _explained(path, 0):
        os.makedirs(path, exist_ok=True)


def remove_temporaries(directory: Path) -> None:
    """Deletes what writers that died have left in `directory`; hold its lock.

    Raises:
        ResourceError: If the system refuses.
    """
    for path in directory.glob(f"{_TEMPORARY}*"):
        remove(path)


def require_space(directory: Path, size: int) -> None:
    """Refuses to begin what will not fit.

    Raises:
        ResourceError: If the disk of `directory` has less than `size` bytes free.
    """
    free = _free(directory)
    if free is not None and free < size:
        raise ResourceError(
            f"not enough disk space: need {in_bytes(size)}, {in_bytes(free)} free",
            at=str(directory),
            fix="free space, or choose a run directory on another disk",
        )


def _beside(path: Path) -> Path:
    return path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")


def _write_all(path: Path, flags: int, data: bytes) -> None:
    descriptor = os.open(path, flags | os.O_WRONLY, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path, size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        free = _free(path.parent)
        space = (
            f": need {in_bytes(size)}, {in_bytes(free)} free" if size and free is not None else ""
        )
        raise ResourceError(
            f"cannot write {path.name} ({error.strerror or error}){space}",
            at=str(path),
            fix="free space or mend the permissions, then resume the run",
        ) from error


def _free(directory: Path) -> int | None:
    try:
        status = os.statvfs(directory)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
