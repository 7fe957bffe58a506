"""Machine code from a Python loop, kept for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

Function = Callable[..., Any]


def compiled(signature: str) -> Callable[[Function], Function]:
    """Compiles a function at once; other Python threads run while its loops do.

    The code is kept next to the module or, where nobody may write, in numba's own folder
    (`NUMBA_CACHE_DIR`). Where that fails too, each process compiles anew.

    Args:
        signature: The types, in numba's words.
    """

    def compile_(function: Function) -> Function:
        try:
            return numba.njit(signature, nogil=True, cache=True)(function)
        except Exception:  # no folder, a full disk, a damaged file: each has a type of its own
            return numba.njit(signature, nogil=True)(function)

    return compile_
