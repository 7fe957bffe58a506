"""`hugraph runs`."""

import json
from pathlib import Path

import click

from hugraph.cli.terminal import write_line, write_table


@click.command()
@click.argument("directory", default="runs")
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

    found = [summarize(path) for path in find_runs(Path(directory))]
    if as_json:
        rows = [
            {
                "path": str(run.path),
                "model": run.model,
                "data": run.data,
                "epochs": run.epochs,
                "result": run.result,
            }
            for run in found
        ]
        write_line(json.dumps(rows, indent=2))
        return
    if not found:
        write_line(f"no run in {directory}")
        return
    shown = metrics or ("recall@10", "ndcg@10", "recall@20", "ndcg@20")
    write_table(
        ("run", "model", "data", "state", *shown),
        [
            (
                run.path,
                run.model,
                run.data,
                "finished" if run.result is not None else f"after epoch {run.epochs}",
                *(f"{run.metrics[name]:.4f}" if name in run.metrics else "" for name in shown),
            )
            for run in found
        ],
    )
