"""A stand-in for `os` that fails or dies at the nth call that changes the disk."""

import os

CALLS = ("open", "write", "fsync", "replace", "unlink", "ftruncate", "makedirs")


class Crash(BaseException):
    """The process is dead: nothing that runs after it may touch the disk."""


class CrashingOs:
    """Counts the calls and dies at the `n`th; a write dies after half of its bytes."""

    def __init__(self, n):
        self.left = n
        self.points = []

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*args, **kwargs):
            self.left -= 1
            self.points.append(name)
            if self.left < 0:
                raise Crash
            if self.left == 0:
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise Crash
            return real(*args, **kwargs)

        return call


class FailingOs:
    """Refuses the `n`th call, once, with an error number."""

    def __init__(self, n, code):
        self.left = n
        self.code = code

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **kwargs)

        return call


class ShortWritingOs:
    """Writes at most 7 bytes a call."""

    def __getattr__(self, name):
        if name == "write":
            return lambda descriptor, data: os.write(descriptor, bytes(data)[:7])
        return getattr(os, name)
