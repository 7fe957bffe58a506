"""Reads files of a directory that somebody else may have filled."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from hugraph.errors import DataError, HugraphError, ResourceError

CHECKSUMS = "SHA256SUMS"
_LISTED = 10


class Folder:
    """A directory whose files are read whole, once, and hashed as they are read.

    What is hashed is what is parsed, so a file that changes meanwhile cannot be recorded under the
    wrong hash. Only regular files are read: a FIFO or a device would never end. If the directory
    holds a `SHA256SUMS` as `sha256sum` writes it, every file that it names must match. Hidden files
    are not listed.

    Args:
        path: The directory; a relative path counts from the current directory.
        max_bytes: Largest file that is read, and the most that a compressed one may expand to.
        allow_outside: Whether links may lead out of the directory.

    Raises:
        DataError: If there is no such directory.
    """

    def __init__(
        self, path: str | Path, *, max_bytes: int = 8 * 2**30, allow_outside: bool = False
    ) -> None:
        self.path = Path(path).absolute()
        self.max_bytes = max_bytes
        self.allow_outside = allow_outside
        self.digests: dict[str, str] = {}
        try:
            names = sorted(entry.name for entry in self.path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(
                f"no directory {str(path)!r}",
                at=str(self.path),
                fix=f"name it with --data DIR, or set data.path{_siblings(self.path)}",
            ) from None
        except OSError as error:
            raise _unreadable(self.path, error) from None
        self.names = [name for name in names if not name.startswith(".")]

    def read(self, name: str) -> bytes:
        """The bytes of a file; their SHA-256 goes into `digests`.

        Raises:
            DataError: If the file is missing, not regular, too large, outside of the directory, or
                not what `SHA256SUMS` says.
            ResourceError: If the system refuses to read it.
        """
        content = self._bytes(name)
        self._record(name, hashlib.sha256(content).hexdigest())
        return content

    def check(self, name: str) -> Path:
        """As `read`, but holds no more than a block of the file; gives its path.

        Whoever reads it from there sees a change after this, which the hash does not.
        """
        path = self._regular(name)
        digest, buffer = hashlib.sha256(), bytearray(2**24)
        with _reading(path, self), path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(memoryview(buffer)[:count])
        self._record(name, digest.hexdigest())
        return path

    def _record(self, name: str, digest: str) -> None:
        expected = self._checksums.get(name, digest)
        if digest != expected:
            raise DataError(
                f"{name} is damaged or was changed: its SHA-256 is {digest[:12]}…, "
                f"{CHECKSUMS} says {expected[:12]}…",
                at=str(self.path / name),
                fix=f"fetch the file again, or renew {CHECKSUMS} if the change is meant",
            )
        self.digests[name] = digest

    def fingerprint(self) -> str:
        """SHA-256 over the names and hashes of all files read so far."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.digests.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def listing(self) -> str:
        """A few of the names in it, those of directories with a slash."""
        shown = self.names[:_LISTED]
        slashed = [f"{n}/" if os.path.isdir(self.path / n) else n for n in shown]
        return _shortened(slashed, len(self.names)) or "nothing"

    @cached_property
    def _checksums(self) -> dict[str, str]:
        if CHECKSUMS not in self.names:
            return {}
        text = self._bytes(CHECKSUMS).decode(errors="replace")
        found = re.findall(r"^([0-9a-f]{64}) [ *](.+?)\r?$", text, flags=re.MULTILINE)
        return {name: digest for digest, name in found}

    def _bytes(self, name: str) -> bytes:
        path = self._regular(name)
        with _reading(path, self):
            return path.read_bytes()

    def _regular(self, name: str) -> Path:
        """The path of a file that may be read."""
        path = self.path / name
        with _reading(path, self):
            target, status = path.resolve(strict=True), path.stat()
            if not self.allow_outside and not target.is_relative_to(self.path.resolve()):
                raise DataError(
                    f"{name} leads out of the dataset's directory, to {target}",
                    at=str(path),
                    fix="copy the file here, or set allow_outside",
                )
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{name} is not a regular file", at=str(path), fix="copy it here")
            if status.st_size > self.max_bytes:
                raise DataError(
                    f"{name} has {status.st_size:,} bytes, max_bytes is {self.max_bytes:,}",
                    at=str(path),
                    fix="raise max_bytes, if the memory is there",
                )
        return path


@contextmanager
def _reading(path: Path, folder: Folder) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError(
            f"{path.name} is not there",
            at=str(path),
            fix=f"add it; the directory has: {folder.listing()}",
        ) from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, in Python 3.10
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> HugraphError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ResourceError(
        f"{path.name} cannot be read: {reason}", at=str(path), fix="check permissions and the disk"
    )


def _siblings(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_dir())
    except OSError:
        return ""
    return f"; beside it are: {_shortened(names, len(names))}" if names else ""


def _shortened(names: Sequence[str], count: int) -> str:
    return ", ".join(names[:_LISTED]) + (", …" if count > _LISTED else "")
