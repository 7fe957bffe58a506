"""Ctrl-C and SIGTERM while a command works."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

from hugraph.cli.terminal import say


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

    def stop(signum: int, frame: FrameType | None) -> None:
        restore()
        if _is_loading(frame):
            tell(signum)
            os._exit(128 + signum)
        raise SystemExit(128 + signum)

    def tell(signum: int) -> None:
        say(f"stopped by {signal.Signals(signum).name}; {then()}", wrap=False)

    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                before[signum] = signal.signal(signum, stop)
    try:
        yield
    except SystemExit as stopped:
        if stopped.code in (130, 143):
            tell(cast(int, stopped.code) - 128)
        raise
    finally:
        restore()


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Handles SIGINT as Python does, but ends the process at once while modules are loaded."""
    if _is_loading(frame):
        say("interrupted")
        os._exit(128 + signum)
    raise KeyboardInterrupt


def _is_loading(frame: FrameType | None) -> bool:
    """Whether modules are loaded; C++ aborts there at an exception, or it is taken for a fault."""
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None
