"""Errors that a person reads: what went wrong, where, and how to mend it."""

from collections.abc import Iterable
from difflib import get_close_matches


class HugraphError(Exception):
    """Something that the person at the keyboard can mend.

    Args:
        what: One sentence: what is wrong, with the offending values.
        at: Where: a file with line and column, a row, a key.
        fix: One action that mends it.
    """

    exit_code = 1

    def __init__(self, what: str, *, at: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.at = at
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.at:
            lines.append(f"  at: {self.at}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


class SpecError(HugraphError):
    """A spec that cannot be run as written; `problems` holds every fault found, not only one."""

    exit_code = 3

    def __init__(
        self,
        what: str,
        *,
        at: str | None = None,
        fix: str | None = None,
        problems: "Iterable[SpecError]" = (),
    ) -> None:
        super().__init__(what, at=at, fix=fix)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *map(str, self.problems)])


class DataError(HugraphError):
    """A dataset, or an id asked of it, that cannot be used."""

    exit_code = 4


class RunError(HugraphError):
    """A run directory or checkpoint that is missing, damaged, or not what the command needs."""

    exit_code = 5


class DivergedError(HugraphError):
    """Training reached a loss or gradient that is not finite."""

    exit_code = 6


class ResourceError(HugraphError):
    """Not enough disk or memory, no permission, or a broken installation."""

    exit_code = 7


class BusyError(HugraphError):
    """Another process holds the run directory."""

    exit_code = 8


_OUT_OF_MEMORY = (  # what torch and the system say
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "storage size calculation overflowed",
)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error, of Python, torch or the system, says that memory was not enough."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in _OUT_OF_MEMORY)


def hint(given: str, known: Iterable[str]) -> str:
    """Says which known name `given` was meant to be, and which names there are."""
    names = sorted(known)
    near = get_close_matches(given, names, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return f"{guess} (known: {', '.join(names) or 'none'})"
