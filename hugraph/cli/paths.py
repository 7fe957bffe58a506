"""Paths on the command line."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import click


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
