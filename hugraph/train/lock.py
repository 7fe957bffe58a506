"""One process at a time in a run directory."""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hugraph.errors import BusyError, ResourceError

log = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Holds the lock file at `path`, which names the process; the kernel frees it on any death.

    Args:
        path: Made if it is missing.
        wait: Whether to wait for another process that holds it.

    Raises:
        BusyError: If another process holds it.
        ResourceError: If the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ResourceError(
            f"cannot open the lock file ({error.strerror})",
            at=str(path),
            fix="make the run directory writable, or choose another",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                log.warning("%s: this file system has no locks (%s)", path, error.strerror)
            else:
                holder = os.read(descriptor, 20).decode(errors="replace").strip()
                raise BusyError(
                    f"process {holder or '(unknown)'} is using this run",
                    at=str(path.parent),
                    fix="wait for it to end, or choose another run directory",
                ) from None
        with suppress(OSError):  # a full disk costs the name, not the lock
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
