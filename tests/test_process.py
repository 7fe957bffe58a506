"""What a process asks of the system: of torch and OpenMP by variables, of glibc by calls."""

import json
import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE")

# Whether a block of 20 MiB lies in the heap, not mapped by itself, and whether it stays when freed.
HEAP = """
def heap():
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.split()[-1] == "[heap]":
                return tuple(int(end, 16) for end in line.split()[0].split("-"))

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
block = libc.malloc(20 * 2**20)
first, end = heap()
inside = first <= block < end
libc.free(block)
print(json.dumps([inside, heap()[1] == end]))
"""


def prepared(code, **variables):
    """What a new process prints, with no variables but these set beforehand."""
    env = {k: v for k, v in os.environ.items() if k not in NAMES and "MALLOC" not in k}
    start = "import ctypes, json, os\nfrom hugraph import process\nprocess.prepare()\n"
    command = [sys.executable, "-c", start + code]
    done = subprocess.run(
        command, env={**env, **variables}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="only glibc is asked to keep memory"
)
def test_large_blocks_come_from_the_heap_and_stay_there_unless_the_environment_says_otherwise():
    assert prepared(HEAP) == [True, True]
    assert prepared(HEAP, MALLOC_MMAP_THRESHOLD_=str(2**20))[0] is False


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["PASSIVE", "1000", "1"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None, "1"]),
        ({"GOMP_SPINCOUNT": "7", "THP_MEM_ALLOC_ENABLE": "0"}, ["PASSIVE", "7", "0"]),
    ],
)
def test_what_is_set_is_left_as_it_is(given, expected):
    code = f"print(json.dumps([os.environ.get(name) for name in {NAMES}]))"
    assert prepared(code, **given) == expected
