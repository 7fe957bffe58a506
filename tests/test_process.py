"""What a process asks of the system: of torch and OpenMP by variables, of glibc by calls."""

import os
import subprocess
import sys

import pytest

from hugraph import process

# Whether a block of 20 MiB lies in the heap, not mapped by itself, and is kept when freed.
WHERE = """
import ctypes, json, os
from hugraph import process

def heap():
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.split()[-1] == "[heap]":
                return tuple(int(end, 16) for end in line.split()[0].split("-"))

if {prepared}:
    process.prepare()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
block = libc.malloc(20 * 2**20)
first, end = heap()
inside = first <= block < end
libc.free(block)
kept = heap()[1] == end
print(json.dumps([inside, kept, os.environ["OMP_WAIT_POLICY"]]))
"""


def has_glibc():
    return sys.platform == "linux" and "CS_GNU_LIBC_VERSION" in os.confstr_names


@pytest.mark.skipif(not has_glibc(), reason="only glibc is asked to keep what is freed")
def test_large_blocks_come_from_the_heap_and_stay_there():
    def where(prepared, **environment):
        command = [sys.executable, "-c", WHERE.format(prepared=prepared)]
        env = {**os.environ, **environment}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    assert where(prepared=True, OMP_WAIT_POLICY="ACTIVE") == '[true, true, "ACTIVE"]\n'
    assert where(prepared=False, OMP_WAIT_POLICY="ACTIVE") == '[false, true, "ACTIVE"]\n'


def test_variables_are_set_unless_they_are(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    process.prepare()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
