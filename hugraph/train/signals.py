"""Ctrl-C and SIGTERM wait for a safe moment."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []  # while signals are held back; of a process there is one list


class Stopped(SystemExit):
    """Raised at a safe moment after a signal; uncaught, it ends the process with 130 or 143.

    Args:
        signum: The signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum
        self.signal_name = signal.Signals(signum).name


@contextmanager
def stop_at_safe_moments() -> Iterator[Callable[[], None]]:
    """Holds signals back until `check_stop`, which it yields, is called.

    A second signal ends the process at once. Outside of the main thread signals are left alone.
    """

    def receive(signum: int, frame: FrameType | None) -> None:
        if _received:
            os._exit(128 + signum)
        _received.append(signum)

    if not _in_main_thread():
        yield check_stop
        return
    before = {signum: signal.signal(signum, receive) for signum in _SIGNALS}
    try:
        yield check_stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        _received.clear()


def check_stop() -> None:
    """A safe moment: raises `Stopped` if a signal was held back."""
    if _received and _in_main_thread():
        raise Stopped(_received[0])


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
