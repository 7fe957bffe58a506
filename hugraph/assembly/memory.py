"""How much memory this process has taken, and how much more it may take."""

import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_DROPPABLE = ("inactive_file", "active_file", "slab_reclaimable")  # of what a control group holds


class Room(NamedTuple):
    """What a process may still take.

    Attributes:
        free: Bytes.
        limit: What sets them.
    """

    free: int
    limit: str


def room(proc: Path = _PROC, cgroups: Path = _CGROUPS, *, beside: int = 0) -> Room | None:
    """The tightest of the machine, the control groups and the limits of the process.

    Swap counts, and so does what the system holds of files and can drop: the number may be too
    large, but memory that a process can have is never left out.

    Args:
        proc: Where the system tells of itself.
        cgroups: Where it tells of control groups, of version 1 or 2.
        beside: Bytes that other processes will take of what they share with this one.

    Returns:
        None where the system does not tell.
    """
    machine = _numbers(proc / "meminfo")
    if "MemAvailable" not in machine:
        return None
    swap = machine.get("SwapFree", 0)
    rooms = [Room(machine["MemAvailable"] + swap, "the memory of this machine")]
    rooms += [
        Room(free + swap, f"the control group {name}") for name, free in _groups(proc, cgroups)
    ]
    rooms = [Room(shared.free - beside, shared.limit) for shared in rooms]
    taken = _numbers(proc / "self" / "status")
    for kind, used, name in (
        (resource.RLIMIT_AS, "VmSize", "RLIMIT_AS (ulimit -v)"),
        (resource.RLIMIT_DATA, "VmData", "RLIMIT_DATA (ulimit -d)"),
    ):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY and used in taken:
            rooms.append(Room(limit - taken[used], name))
    return min(Room(max(one.free, 0), one.limit) for one in rooms)


def resident() -> int:
    """Bytes of memory that this process holds now; 0 where the system does not tell."""
    return _numbers(_PROC / "self" / "status").get("VmRSS", 0)


def peak() -> int:
    """The most bytes of memory that this process has held."""
    measured = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    measured *= 1 if sys.platform == "darwin" else 2**10
    # On Linux, ru_maxrss starts with what the parent held.
    return _numbers(_PROC / "self" / "status").get("VmHWM", measured)


def _groups(proc: Path, cgroups: Path) -> Iterator[tuple[str, int]]:
    """The bytes free in each control group that limits this process."""
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in ("", "memory"):
                continue
            root = cgroups / controllers
            limit, used = (
                ("limit_in_bytes", "usage_in_bytes") if controllers else ("max", "current")
            )
            home = root / path.lstrip("/")
            for group in (home, *home.parents):
                if not group.is_relative_to(root):
                    break
                with suppress(OSError, ValueError):  # none here, or "max"
                    most = int((group / f"memory.{limit}").read_text())
                    held = int((group / f"memory.{used}").read_text())
                    stat = _numbers(group / "memory.stat")
                    prefix = "total_" if controllers else ""  # with the groups inside
                    free = sum(stat.get(f"{prefix}{kind}", 0) for kind in _DROPPABLE)
                    yield str(group), most - held + free


def _numbers(path: Path) -> dict[str, int]:
    """By name, the numbers of a file of the system, in bytes; none if it cannot be read."""
    try:
        lines = [line.replace(":", " ").split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {
        name: int(value) * (2**10 if unit == ["kB"] else 1)
        for name, value, *unit in (line for line in lines if len(line) > 1)
        if value.isdecimal()
    }
