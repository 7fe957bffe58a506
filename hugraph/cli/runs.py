"""`hugraph runs`."""

from pathlib import Path

import click

from hugraph.cli.terminal import write_json, write_line, write_table
from hugraph.errors import hint


@click.command(short_help="List runs with their test metrics.")
@click.argument("directory", default="runs", type=click.Path())
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Which to show; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Write everything as JSON.")
def runs(directory: str, metrics: tuple[str, ...], as_json: bool) -> None:
    """List the runs in DIRECTORY (by default `runs`) with their test metrics.

    \b
    hugraph runs
    hugraph runs experiments --metric recall@20 --metric ndcg@20
    """
    from hugraph.report import find_runs, summarize

    root = Path(directory)
    found = [summarize(path) for path in find_runs(root)]
    known = {name for run in found for name in run.metrics if name != "users"}
    for name in metrics:
        if known and name not in known:
            raise click.UsageError(f"no run has the metric {name!r}{hint(name, known)}")
    if as_json:
        write_json(
            [
                {
                    "path": str(run.path),
                    "model": run.model,
                    "data": run.data,
                    "epochs": run.epochs,
                    "result": run.result,
                }
                for run in found
            ]
        )
        return
    if not found:
        write_line(f"no run in {directory}")
        return
    shown = metrics or ("recall@10", "ndcg@10")
    write_table(
        ("run", "model", "data", "state", *shown),
        [
            (
                run.path.name if run.path == root else run.path.relative_to(root),
                run.model,
                run.data,
                "done" if run.result is not None else f"epoch {run.epochs}",
                *(f"{run.metrics[name]:.4f}" if name in run.metrics else "" for name in shown),
            )
            for run in found
        ],
        whole=("run",),
    )
