"""`hugraph reproduce`."""

import csv
import io
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.drawing import drawn_items, require_drawing
from hugraph.cli.grids import Cell, Grid, latex, markdown, write_grids
from hugraph.cli.paths import PathName, data_overrides, new_directory
from hugraph.cli.replicates import read_seeds, spread
from hugraph.cli.stopping import stoppable
from hugraph.cli.terminal import say, write_json, write_line
from hugraph.errors import RunError

if TYPE_CHECKING:
    from hugraph.assembly.reproduction import Fitted, Reproduction


@click.command(short_help="Fit the rows of a table or figure of a paper, and write it.")
@click.argument("study", type=PathName())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--data",
    type=PathName(),
    metavar="DIR",
    help="Fit on the dataset in DIR instead of that of the specs.",
)
@click.option(
    "--seeds",
    callback=read_seeds,
    metavar="0,1,2",
    help="Fit each row once for each seed; the seed of the first row's spec if left out.",
)
@click.option(
    "--out",
    type=PathName(),
    metavar="DIR",
    help="Directory of the study; runs/<study>-<time> if left out.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON, and nothing else.")
def reproduce(
    study: str,
    overrides: tuple[str, ...],
    data: str | None,
    seeds: tuple[int, ...],
    out: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fit and test every row of STUDY, and write its table and its figure.

    A study is a YAML file that names specs and what is changed in them; examples/paper/ has one for
    each table and figure of the paper. KEY=VALUE changes every spec. The table is shown, and
    written to DIR as table.md, table.tex and table.csv; a figure, if the study has one, as
    figure.png and figure.svg. With several seeds, numbers are means and standard deviations. Each
    fit is a run directory in DIR/runs; the same command with --out DIR goes on where it was
    stopped. Another study needs another DIR.

    \b
    hugraph reproduce examples/paper/table3.yaml --data my_dataset --seeds 0,1,2 --out runs/table3
    hugraph reproduce examples/paper/figure4.yaml --data my_dataset train.epochs=50
    """
    from hugraph.assembly.reproduction import Reproduction
    from hugraph.train import atomic

    planned = Reproduction(Path(study), (*data_overrides(data), *overrides), seeds=seeds)
    if planned.study.figure:
        require_drawing()
    directory = Path(out) if out else new_directory(Path(study).stem)

    def then() -> str:
        how = f"the same command and --out {shlex.quote(str(directory))}"
        return f"every finished run and epoch is kept\n  go on with: {how}"

    ended: list[Fitted] = []
    with stoppable(then):
        for fitted in planned.run(directory / "runs"):
            ended.append(fitted)
            if not quiet and not as_json:
                say(f"{len(ended)} of {len(planned.rows)}  {_line(fitted, planned)}")
        sound = [one for one in ended if one.results]
        if not sound:
            raise RunError(
                f"no row could be fitted; {ended[0].row.name}: {ended[0].failure}",
                at=str(directory),
                fix="change what the study sets, or name other data",
            )
        grid = _grid(planned, ended)
        files = {
            "table.md": markdown([grid]).encode() + b"\n",
            "table.tex": latex([grid]).encode() + b"\n",
            "table.csv": _csv(planned, sound).encode(),
            **_figure(planned, ended),
        }
        for name, content in files.items():
            atomic.write(directory / name, content)
    if as_json:
        write_json(_tree(planned, ended, directory, [*files]))
        return
    write_grids([grid])
    for one in ended:
        if one.failure:
            write_line(f"{_title(one)}: {one.failure}")
    write_line(f"in {directory}: {', '.join(files)}, runs", wrap=False)


def _grid(planned: "Reproduction", ended: Sequence["Fitted"]) -> Grid:
    from hugraph.metrics import METRICS

    means = {
        metric: [fmean(one.values(metric)) for one in ended if one.results]
        for metric in planned.metrics
    }

    def cell(one: "Fitted", metric: str) -> Cell:
        if one.failure:
            return Cell("failed")
        values = one.values(metric)
        deviation = f"{stdev(values):.4f}" if len(values) > 1 else ""
        ranked = len(means[metric]) > 1 and metric.partition("@")[0] in METRICS
        place = 1 + sum(other > fmean(values) for other in means[metric]) if ranked else None
        return Cell(f"{fmean(values):.4f}", deviation, place)

    rows = [
        [
            *map(Cell, (one.row.name, *map(str, one.row.point.values()))),
            *(cell(one, metric) for metric in planned.metrics),
        ]
        for one in ended
    ]
    study, seeds = planned.study, len(planned.rows[0].specs)
    over = f", mean over {seeds} seeds" if seeds > 1 else ""
    caption = f"{study.title} ({study.paper}); {planned.data}{over}"
    return Grid(caption, ["", *_short(planned), *planned.metrics], rows)


def _csv(planned: "Reproduction", ended: Sequence["Fitted"]) -> str:
    lines = io.StringIO()
    rows = csv.writer(lines, lineterminator="\n")
    rows.writerow(["row", *planned.study.grid, "seed", "metric", "value"])
    for one in ended:
        for seed, result in zip(one.runs, one.results, strict=True):
            for metric in planned.metrics:
                point = one.row.point.values()
                rows.writerow([one.row.name, *point, seed, metric, result["test"][metric]])
    return lines.getvalue()


def _figure(planned: "Reproduction", ended: Sequence["Fitted"]) -> dict[str, bytes]:
    """The files of the figure, if there is one to draw."""
    if planned.study.figure is None:
        return {}
    from hugraph.report.figures import image

    draw = {"loss_by_threshold": _by_threshold, "tsne": _clouds}[planned.study.figure]
    figure = draw(planned, ended)
    return {"figure.png": image(figure, "png"), "figure.svg": image(figure, "svg")}


def _by_threshold(planned: "Reproduction", ended: Sequence["Fitted"]) -> Any:
    from hugraph.report.figures import Line, by_threshold

    edges = planned.edges()
    thresholds = sorted(edges)
    names = dict.fromkeys(one.row.name for one in ended)
    found = {(one.row.name, *one.row.point.values()): one for one in ended if one.results}

    def line(name: str, metric: str) -> Line:
        values = [
            one.values(metric) if (one := found.get((name, threshold))) else []
            for threshold in thresholds
        ]
        return Line(
            [fmean(one) if one else float("nan") for one in values],
            [stdev(one) if len(one) > 1 else 0.0 for one in values],
        )

    shown = [metric for metric in planned.metrics if metric.endswith(f"@{planned.cut}")]
    panels = {metric: {name: line(name, metric) for name in names} for metric in shown}
    return by_threshold(thresholds, panels, [edges[threshold] for threshold in thresholds])


def _clouds(planned: "Reproduction", ended: Sequence["Fitted"]) -> Any:
    from hugraph.report.figures import Cloud, clouds
    from hugraph.report.projection import tsne

    intents = planned.intents(ended[0])
    chosen = drawn_items(len(next(iter(intents.values())).strongest))
    panels = {
        name: Cloud(
            tsne(items.distributions[chosen]),
            items.strongest[chosen],
            f"strongest intent of level {items.level}",
        )
        for name, items in intents.items()
    }
    return clouds(panels)


def _tree(
    planned: "Reproduction", ended: Sequence["Fitted"], directory: Path, files: list[str]
) -> dict[str, Any]:
    def means(one: "Fitted") -> dict[str, float]:
        return {metric: fmean(one.values(metric)) for metric in planned.metrics}

    return {
        "title": planned.study.title,
        "paper": planned.study.paper,
        "directory": str(directory),
        "files": files,
        "rows": [
            {
                "name": one.row.name,
                "point": one.row.point,
                "runs": [str(path) for path in one.runs.values()],
                "test": means(one) if one.results else None,
                "failure": one.failure,
            }
            for one in ended
        ],
    }


def _line(one: "Fitted", planned: "Reproduction") -> str:
    watched = one.row.spec.train.early_stopping.metric
    return f"{_title(one)}: {one.failure or f'{watched} {spread(one.values(watched))}'}"


def _title(one: "Fitted") -> str:
    return ", ".join([one.row.name, *(f"{key}={value}" for key, value in one.row.point.items())])


def _short(planned: "Reproduction") -> list[str]:
    return [key.rpartition(".")[2] for key in planned.study.grid]
