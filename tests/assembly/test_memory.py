import resource

import numpy as np
import pytest

from hugraph.assembly import memory
from hugraph.assembly.memory import Room, room

GB = 10**9


@pytest.fixture
def system(tmp_path):
    """A machine with 6 GB free and as much as 1 GB of swap, whose process has 1 GB."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    groups.mkdir()
    (proc / "meminfo").write_text(
        "MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\nSwapFree: 1000 kB"
    )
    (proc / "self" / "status").write_text("Name:\tpython\nVmSize:\t 1000000 kB\nVmRSS:\t 500 kB\n")
    (proc / "self" / "cgroup").write_text("")
    return proc, groups


def group(system, name, **files):
    directory = system[1] / name
    directory.mkdir(parents=True, exist_ok=True)
    for key, text in files.items():
        (directory / f"memory.{key}").write_text(str(text))


def test_a_machine_gives_what_is_available_and_swap(system):
    assert room(*system) == Room(6_001_000 * 1024, "the memory of this machine")


def test_a_control_group_of_version_2_is_tighter(system):
    (system[0] / "self" / "cgroup").write_text("0::/a/b\n")
    group(system, "a", max=3 * GB, current=GB, stat="anon 5\nfile 9\nactive_file 7\nshmem 2")
    group(system, "a/b", max="max", current=GB, stat="")
    free = 2 * GB + 7 + 1000 * 1024
    assert room(*system) == Room(free, f"the control group {system[1] / 'a'}")


def test_a_control_group_of_version_1_is_tighter(system):
    (system[0] / "self" / "cgroup").write_text("4:memory:/docker/x\n1:cpu:/\n0::/\n")
    limits = {"limit_in_bytes": 3 * GB, "usage_in_bytes": GB}
    group(system, "memory", **limits, stat="inactive_file 1\ntotal_inactive_file 7\n")
    assert room(*system).free == 2 * GB + 7 + 1000 * 1024  # the host's path is not there


def test_a_limit_of_the_process_is_tighter(system, monkeypatch):
    limits = {resource.RLIMIT_AS: 3 * GB, resource.RLIMIT_DATA: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], limits[kind]))
    assert room(*system) == Room(3 * GB - 1_024_000_000, "RLIMIT_AS (ulimit -v)")
    limits[resource.RLIMIT_AS] = 1000
    assert room(*system).free == 0


def test_what_others_will_take_leaves_less_of_the_machine_but_not_of_the_limit_of_a_process(
    system, monkeypatch
):
    (system[0] / "self" / "cgroup").write_text("0::/a\n")
    group(system, "a", max=4 * GB, current=GB)
    assert room(*system, beside=GB).free == room(*system).free - GB
    assert room(*system, beside=9 * GB).free == 0
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (2 * GB, 2 * GB))
    assert room(*system, beside=GB) == room(*system)


def test_a_system_that_does_not_tell_sets_no_limit(tmp_path):
    assert room(tmp_path, tmp_path) is None


@pytest.mark.skipif(room() is None, reason="the system does not tell")
def test_what_a_process_holds_follows_what_it_takes():
    before, peak = memory.resident(), memory.peak()
    taken = np.ones(50_000_000, dtype=np.uint8)
    assert memory.resident() > before + 40_000_000
    assert memory.peak() >= max(peak, memory.resident())
    assert 0 < len(taken) < room().free
