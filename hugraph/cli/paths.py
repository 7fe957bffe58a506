"""A path on the command line."""

import os
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
