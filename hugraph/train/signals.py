"""Ctrl-C and SIGTERM wait for a safe moment."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    """Holds signals back until the function it yields is called, which then raises `Stopped`.

    A second signal ends the process at once. Outside of the main thread signals are left alone.
    """
    received: list[int] = []

    def receive(signum: int, frame: FrameType | None) -> None:
        if received:
            os._exit(128 + signum)
        received.append(signum)

    def check() -> None:
        if received:
            raise Stopped(received[0])

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {signum: signal.signal(signum, receive) for signum in _SIGNALS}
    try:
        yield check
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
