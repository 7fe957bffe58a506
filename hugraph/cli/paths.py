"""Paths on the command line."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hugraph.errors import ResourceError

_ELSEWHERE = "give {} in a directory that is there, may be written to and has space"


class PathName(click.Path):
    """A path, which a shell completes; an empty one is wrong usage, not the current directory."""

    def convert(
        self, value: "str | os.PathLike[str]", param: click.Parameter | None, ctx: Any
    ) -> "str | bytes | os.PathLike[str]":
        """The path as it was given."""
        if value == "":
            self.fail("an empty path; is a variable of the shell not set?", param, ctx)
        return super().convert(value, param, ctx)


def data_overrides(data: str | None) -> tuple[str, ...]:
    """What `--data` changes of a spec."""
    from hugraph.assembly.spec import write_inline

    if data is None:
        return ()
    return ("data.source=directory", f"data.path={write_inline(data)}")


def new_directory(name: str) -> Path:
    """A directory in `runs` that there is not yet, named for what it is for and the time."""
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    path, number = Path("runs") / stem, 2
    while path.exists():
        path, number = Path("runs") / f"{stem}-{number}", number + 1
    return path


def require_out(out: str, suffixes: Sequence[str], run: str, *, option: str = "--out") -> Path:
    """Makes sure, before anything is computed, that an option names a file that may be written.

    Args:
        out: What was given.
        suffixes: What it may end in.
        run: The run directory, in which nothing else may lie.
        option: Which option.
    """
    if not out.endswith(tuple(suffixes)):
        raise click.UsageError(f"{option} {out!r} must end in {' or '.join(suffixes)}.")
    if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(run)):
        raise click.UsageError(
            f"{option} {out!r} is inside the run directory; choose another place."
        )
    if not Path(out).parent.is_dir():
        what = f"there is no directory {Path(out).parent}"
        raise ResourceError(what, at=f"{option} {out}", fix=_ELSEWHERE.format(option))
    return Path(out)


def write_out(path: Path, content: bytes, *, option: str = "--out") -> None:
    """Writes the file of an option whole, or not at all."""
    from hugraph.train import atomic

    with elsewhere(option):
        atomic.write(path, content)


@contextmanager
def elsewhere(option: str = "--out") -> Iterator[None]:
    """Says how the option may be given if its file cannot be written."""
    try:
        yield
    except ResourceError as error:
        raise ResourceError(error.what, at=error.at, fix=_ELSEWHERE.format(option)) from error
