"""`hugraph validate`."""

import click

from hugraph.cli.paths import PathName
from hugraph.cli.terminal import write_json, write_line
from hugraph.errors import SpecError


@click.command(short_help="Check a spec and say everything that is wrong with it.")
@click.argument("spec", required=False, type=PathName())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--schema", is_flag=True, help="Write a JSON Schema for editors, and check nothing.")
@click.option("--json", "as_json", is_flag=True, help="Write the faults, or the spec, as JSON.")
def validate(spec: str | None, overrides: tuple[str, ...], schema: bool, as_json: bool) -> None:
    """Check SPEC and say everything that is wrong with it.

    KEY=VALUE changes the spec first, as in `train.lr=1e-3` or `'model.levels=[64,16,4]'`. Nothing
    is read but the spec and what it extends, and nothing is written. The exit code is 0 or 3.

    \b
    hugraph validate my.yaml
    hugraph validate my.yaml model.component=bpr_mf train.epochs=50
    hugraph validate --schema > hugraph.schema.json
    """
    from hugraph.assembly.sections import SCHEMA

    if schema:
        write_json(SCHEMA.json_schema())
        return
    if spec is None:
        raise click.UsageError("Missing argument 'SPEC'.")
    try:
        resolved = SCHEMA.resolve(spec, overrides)
    except SpecError as error:
        if not as_json:
            raise
        problems = error.problems or (error,)
        faults = [{"what": one.what, "at": one.at, "fix": one.fix} for one in problems]
        write_json({"valid": False, "faults": faults})
        raise click.exceptions.Exit(error.exit_code) from None
    if as_json:
        write_json({"valid": True, "spec": SCHEMA.tree(resolved)})
    else:
        write_line(f"{spec} is valid")
