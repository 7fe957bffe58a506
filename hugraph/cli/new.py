"""`hugraph new`."""

import click

from hugraph.cli import completion
from hugraph.cli.terminal import write_line
from hugraph.errors import hint


@click.command(short_help="Write a spec for MODEL with every key explained.")
@click.argument("model", shell_complete=completion.models)
def new(model: str) -> None:
    """Write a spec for MODEL on the synthetic dataset, with every key at its default, explained.

    `hugraph components model` lists the models.

    \b
    hugraph new huign > my.yaml
    """
    from hugraph.assembly.catalog import MODELS
    from hugraph.assembly.sections import SCHEMA
    from hugraph.assembly.template import commented

    if model not in MODELS:
        raise click.UsageError(f"unknown model {model!r}{hint(model, MODELS)}")
    write_line(
        f"# {model} on the synthetic dataset, every key at its default.\n"
        "# Delete the lines that you do not change. For data of your own write\n"
        "# `source: directory` and `path:` in place of the keys of `planted`.",
        wrap=False,
    )
    write_line(commented(SCHEMA, {"data": "planted", "model": model}), end="", wrap=False)
