"""Ctrl-C and SIGTERM while a command works."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

from hugraph.cli.terminal import say

_PATIENCE = 10.0


@contextmanager
def stoppable(then: Callable[[], str]) -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM end the process with 130 and 143, and says what can be done then.

    A second signal acts as if there were none of this.

    Args:
        then: Says what is kept and how to go on.
    """
    before: dict[int, Any] = {}

    def restore() -> None:
        for signum, handler in before.items():
            signal.signal(signum, handler)

    def stop(signum: int) -> None:
        restore()
        raise SystemExit(128 + signum)

    handler = once_loaded(stop)
    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                before[signum] = signal.signal(signum, handler)
    try:
        yield
    except SystemExit as stopped:
        if name := {130: "SIGINT", 143: "SIGTERM"}.get(cast(int, stopped.code)):
            say(f"stopped by {name}; {then()}", wrap=False)
        raise
    finally:
        restore()


def interrupt(signum: int) -> None:
    """Does what Python does at Ctrl-C."""
    raise KeyboardInterrupt


def once_loaded(act: Callable[[int], None]) -> Callable[[int, FrameType | None], None]:
    """Makes a handler that puts a signal off while modules are loaded.

    An exception would be taken for a fault of the module, and C++ aborts at it. A module that
    takes longer than `_PATIENCE` seconds is interrupted nevertheless.

    Args:
        act: Called with the signal.
    """
    began: float | None = None

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal began
        began = began or time.monotonic()
        if _is_loading(frame) and time.monotonic() - began < _PATIENCE:
            again = threading.Timer(0.01, os.kill, (os.getpid(), signum))
            again.daemon = True
            again.start()
        else:
            act(signum)

    return handle


def _is_loading(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None
