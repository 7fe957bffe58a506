"""What a process that trains asks of the system."""

import ctypes
import os
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
_OF_ITS_OWN = 2**25  # bytes from which a block is mapped by itself; glibc takes no more
_KEPT = 2**30  # bytes that may lie free
_OF_MALLOC = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def prepare() -> None:
    """Asks for what makes steps of training quicker. Call it before torch is loaded.

    Idle threads of a parallel loop soon sleep instead of spinning, which beside another busy
    process makes steps many times slower; GNU's spin for some 25 microseconds first, which is less
    than it takes to wake them. Large tensors lie in large pages, of which the kernel has fewer to
    hand out and to clear. With glibc, memory that a step frees stays with the process for the next
    step, up to 1 GiB. What the environment says about any of these stands.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # it outweighs the policy
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform == "linux" and not any(name in os.environ for name in _OF_MALLOC):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _OF_ITS_OWN)
            mallopt(_TRIM_THRESHOLD, _KEPT)
