"""`hugraph new`."""

import click

from hugraph.cli.terminal import write_line
from hugraph.errors import hint


@click.command()
@click.argument("model")
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
        f"# {model} on the synthetic dataset, every key at its default: delete what you keep.\n"
        "# For data of your own: `source: directory` and `path:` in place of the keys of `planted`."
    )
    write_line(commented(SCHEMA, {"data": "planted", "model": model}), end="")
