"""The `--help` of every command, from the commands themselves."""

from collections.abc import Iterator
from typing import Any

import click
from mkdocs.structure.pages import Page

from hugraph.cli.main import hugraph

WIDTH = 80


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str | None:
    """Adds the reference to its page."""
    return f"{markdown}\n\n{reference()}" if page.file.src_uri == "cli.md" else None


def reference() -> str:
    """Every command with its help."""
    root = hugraph.make_context("hugraph", [], resilient_parsing=True, terminal_width=WIDTH)
    return "\n\n".join(f"## {path}\n\n```text\n{text}\n```" for path, text in helps(root))


def helps(context: click.Context) -> Iterator[tuple[str, str]]:
    """The path and help of a command, then those of its subcommands."""
    command = context.command
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (found := command.get_command(context, name)) is not None:
                yield from helps(found.make_context(name, [], context, resilient_parsing=True))
