"""Ctrl-C and SIGTERM while a command works."""

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
        raise SystemExit(128 + signum)

    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                before[signum] = signal.signal(signum, stop)
    try:
        yield
    except SystemExit as stopped:
        if name := {130: "SIGINT", 143: "SIGTERM"}.get(cast(int, stopped.code)):
            say(f"stopped by {name}; {then()}", wrap=False)
        raise
    finally:
        restore()
