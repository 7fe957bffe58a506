"""`hugraph components`."""

import inspect
from pathlib import Path

import click

from hugraph.cli import completion
from hugraph.cli.terminal import write_docstring, write_line, write_table
from hugraph.errors import hint


class Kinds(click.Group):
    """Takes a kind of component in the place of a subcommand."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """`show`, or the list of one kind."""
        known = super().get_command(ctx, cmd_name)
        return known or click.Command(cmd_name, callback=lambda: write_kinds(cmd_name))


@click.group(
    cls=Kinds,
    invoke_without_command=True,
    subcommand_metavar="[KIND | show NAME]",
    short_help="List what a spec can name, or show one component.",
)
@click.pass_context
def components(ctx: click.Context) -> None:
    """List the components that a spec can name, of all kinds or of KIND; or show one.

    \b
    hugraph components
    hugraph components model
    hugraph components show intent_pooling
    """
    if ctx.invoked_subcommand is None:
        write_kinds(None)


@components.command(short_help="Show options, documentation and source of NAME.")
@click.argument("name", shell_complete=completion.components)
def show(name: str) -> None:
    """Show the options, documentation and source of the component NAME."""
    from hugraph.assembly.annotation import describe
    from hugraph.assembly.catalog import REGISTRIES
    from hugraph.assembly.options import REQUIRED, call, options, runtime
    from hugraph.assembly.sections import SCHEMA
    from hugraph.assembly.spec import write_inline

    found = [registry for registry in REGISTRIES.values() if name in registry]
    if not found:
        known = [other for registry in REGISTRIES.values() for other in registry]
        raise click.UsageError(f"unknown component {name!r}{hint(name, known)}")
    for registry in found:
        constructor = registry[name]
        function, bound = call(constructor)
        fixed = "".join(f", {key}={value!r}" for key, value in bound.items())
        write_line(f"{name}: {registry.kind}, {function.__module__}.{function.__qualname__}{fixed}")
        write_line(f"At run time: {', '.join(runtime(constructor)) or 'nothing'}\n")
        rows = [
            (
                option.name,
                "required" if option.default is REQUIRED else write_inline(SCHEMA.default(option)),
                describe(option.annotation),
            )
            for option in options(constructor).values()
        ]
        if rows:
            write_table(("option", "default", "allowed"), rows)
            write_line()
        write_docstring(inspect.getdoc(function) or "")
        lines, start = inspect.getsourcelines(function)
        file = Path(inspect.getsourcefile(function) or "")
        write_line(f"\nDefined in {file.name}, lines {start}-{start + len(lines) - 1}: {file}")


def write_kinds(kind: str | None) -> None:
    """Writes a table of the components of one kind, or of all."""
    from hugraph.assembly.catalog import REGISTRIES
    from hugraph.assembly.options import call, summary

    if kind is not None and kind not in REGISTRIES:
        raise click.UsageError(f"unknown kind of component {kind!r}{hint(kind, REGISTRIES)}")
    rows = []
    for registry in REGISTRIES.values():
        for name in registry if kind in (None, registry.kind) else ():
            _, bound = call(registry[name])
            fixed = ", ".join(f"{key}={value}" for key, value in bound.items())
            what = summary(registry[name])
            rows.append((registry.kind, name, f"{what} ({fixed})" if fixed else what))
    write_table(("kind", "name", "what it is"), rows)
