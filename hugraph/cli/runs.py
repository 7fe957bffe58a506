"""`hugraph runs`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.paths import PathName
from hugraph.cli.terminal import write_json, write_line, write_table
from hugraph.errors import RunError, hint

if TYPE_CHECKING:
    from hugraph.report.runs import RunSummary


@click.command(short_help="List runs with their test metrics.")
@click.argument("directory", default="runs", type=PathName())
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Which to show; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Write everything as JSON.")
def runs(directory: str, metrics: tuple[str, ...], as_json: bool) -> None:
    """List the runs in DIRECTORY (by default `runs`) with their test metrics.

    A damaged one does not hide the others; the exit code is then 5.

    \b
    hugraph runs
    hugraph runs experiments --metric recall@20 --metric ndcg@20
    """
    from hugraph.report.runs import find_runs, summarize

    root = Path(directory)
    listed: dict[Path, RunSummary | RunError] = {}
    for path in find_runs(root):
        try:
            listed[path] = summarize(path)
        except RunError as error:
            listed[path] = error
    damaged = [run for run in listed.values() if isinstance(run, RunError)]
    sound = [run for run in listed.values() if not isinstance(run, RunError)]
    known = {name for run in sound for name in run.metrics if name != "users"}
    for name in metrics:
        if known and name not in known:
            raise click.UsageError(f"no run has the metric {name!r}{hint(name, known)}")
    if as_json:
        write_json([_tree(path, run) for path, run in listed.items()])
    elif not listed:
        write_line(f"no run in {directory}")
    else:
        shown = metrics or ("recall@10", "ndcg@10")
        rows = [
            (path.name if path == root else path.relative_to(root), *_cells(run, shown))
            for path, run in listed.items()
        ]
        write_table(("run", "model", "data", "state", *shown), rows, whole=("run",))
    if damaged:
        first = damaged[0]
        many = f"{len(damaged)} runs are damaged; the first: " if len(damaged) > 1 else ""
        raise RunError(many + first.what, at=first.at, fix=first.fix)


def _tree(path: Path, run: "RunSummary | RunError") -> dict[str, Any]:
    if isinstance(run, RunError):
        keys: dict[str, Any] = dict.fromkeys(("model", "data", "epochs", "result"))
        return {"path": str(path), **keys, "damage": run.what}
    return {
        "path": str(path),
        "model": run.model,
        "data": run.data,
        "epochs": run.epochs,
        "result": run.result,
        "damage": None,
    }


def _cells(run: "RunSummary | RunError", metrics: Sequence[str]) -> list[str]:
    if isinstance(run, RunError):
        return ["", "", "damaged", *("" for _ in metrics)]
    state = "done" if run.result is not None else f"epoch {run.epochs}"
    values = (f"{run.metrics[name]:.4f}" if name in run.metrics else "" for name in metrics)
    return [run.model, run.data, state, *values]
