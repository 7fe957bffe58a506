"""`hugraph compare`."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.grids import Cell, Grid, latex, markdown, write_grids
from hugraph.cli.paths import PathName
from hugraph.cli.terminal import count, inert, write_json, write_line
from hugraph.errors import RunError, SpecError, hint

if TYPE_CHECKING:
    from hugraph.report.comparison import Comparison, Contender, FinishedRun, Pairing


@click.command(short_help="Put finished runs side by side and test whether they differ.")
@click.argument("runs", nargs=-1, required=True, type=PathName(), metavar="RUN...")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Which to show, repeatable; runs are judged by the first. By default all, and ndcg@10.",
)
@click.option("--ours", type=PathName(), metavar="RUN", help="The one to hold the others against.")
@click.option("--latex", "form", flag_value="latex", help="Write tables for LaTeX with booktabs.")
@click.option("--markdown", "form", flag_value="markdown", help="Write tables in Markdown.")
@click.option("--csv", "form", flag_value="csv", help="Write each metric of each run as CSV.")
@click.option("--json", "form", flag_value="json", help="Write everything as JSON.")
def compare(
    runs: tuple[str, ...], metrics: tuple[str, ...], ours: str | None, form: str | None
) -> None:
    """Put finished runs side by side and test whether they differ.

    They must share data, split and evaluation. The best value of a metric is bold, the second
    underlined. The last line says by how many percent one run exceeds the best other one in each
    metric: the one given with --ours, else the best. Choosing it by its test result flatters it;
    better name --ours beforehand.

    Then it is tested against each other one, user by user: the mean gain with its 95 % bootstrap
    interval; Cohen's d, which is the mean of the users' gains over their standard deviation; the
    p-values of the paired t-test and of Wilcoxon's signed-rank test, each corrected by Holm over
    all comparisons; and for how many users it wins, ties and loses.

    Runs that differ in nothing but their seeds make one row of means and standard deviations; a
    user's score is then the mean over them: over those that test the user, if each seed draws a
    split of its own. Then all must have the same seeds.

    \b
    hugraph compare runs/huign runs/lightgcn runs/bpr_mf --ours runs/huign
    hugraph compare runs/table2/runs/*/seed-0 --metric ndcg@10 --latex > table.tex
    """
    if len(runs) == 1:
        raise click.UsageError("one run alone cannot be compared; name two or more")
    if ours is not None and Path(ours).resolve() not in {Path(run).resolve() for run in runs}:
        raise click.UsageError(f"--ours {ours} is none of the runs to compare: {', '.join(runs)}")

    from hugraph.report import comparison

    read = [read_run(Path(run)) for run in runs]
    for name in metrics:
        if name not in read[0].metrics:
            raise click.UsageError(f"the runs have no metric {name!r}{hint(name, read[0].metrics)}")
    if metrics and metrics[0] not in read[0].per_user_metrics:
        per_user = ", ".join(read[0].per_user_metrics)
        raise click.UsageError(f"no user has a {metrics[0]}; name one of {per_user} first")
    compared = comparison.compare(
        read,
        metric=metrics[0] if metrics else None,
        ours=None if ours is None else Path(ours),
    )
    shown = metrics or tuple(read[0].metrics)
    if form == "json":
        write_json(_tree(compared, shown))
    elif form == "csv":
        write_line(_csv(read, shown), end="", wrap=False)
    else:
        grids = _grids(compared, shown)
        if form:
            write_line({"latex": latex, "markdown": markdown}[form](grids), wrap=False)
        else:
            write_grids(grids)


def read_run(path: Path) -> "FinishedRun":
    """Reads a finished run and its spec."""
    from hugraph.assembly.runs import SPEC
    from hugraph.assembly.spec import parse
    from hugraph.report import comparison
    from hugraph.train import RunDir

    try:
        spec = parse(RunDir(path).read_text(SPEC), SPEC).plain()
    except SpecError as error:
        what = f"{SPEC} is damaged"
        raise RunError(what, at=str(path), fix="restore it, or fit again") from error
    return comparison.read_run(path, spec)


def _grids(compared: "Comparison", shown: Sequence[str]) -> list[Grid]:
    named = all(one.name == one.model for one in compared.contenders)
    kind = "model" if named else "run"
    runs = [run for one in compared.contenders for run in one.runs]
    fewest, most = (end(len(run.per_user) for run in runs) for end in (min, max))
    users = count(most, "user") if fewest == most else f"{fewest:,} to {most:,} users"
    grids = [_metrics(compared, shown, kind, f"{runs[0].summary.data}, tested on {users}")]
    if compared.pairings:
        caption = (
            f"{compared.metric} of {compared.ours.name} less that of each other {kind}, user by "
            "user; p-values corrected by Holm"
        )
        grids.append(_pairings(compared, caption))
    return grids


def _metrics(compared: "Comparison", shown: Sequence[str], kind: str, caption: str) -> Grid:
    seeds = any(one.deviations for one in compared.contenders)

    def cell(one: "Contender", metric: str) -> Cell:
        deviation = f"{one.deviations[metric]:.4f}" if one.deviations else ""
        return Cell(f"{one.means[metric]:.4f}", deviation, compared.place(one, metric))

    rows = [
        [
            Cell(one.name),
            *([Cell(str(len(one.runs)))] if seeds else []),
            *(cell(one, metric) for metric in shown),
        ]
        for one in compared.contenders
    ]
    gains = [compared.improvement(metric) for metric in shown]
    footer = [
        Cell("improvement"),
        *([Cell("")] if seeds else []),
        *(Cell("" if gain is None else f"{gain:+.1f}%") for gain in gains),
    ]
    header = [kind, *(["seeds"] if seeds else []), *shown]
    return Grid(caption, header, rows, footer if compared.others else None)


def _pairings(compared: "Comparison", caption: str) -> Grid:
    rows = []
    for pairing in compared.pairings:
        test = pairing.test
        cells = (
            pairing.against.name,
            f"{test.difference:+.4f}",
            "{:.4f} to {:.4f}".format(*test.interval),
            f"{test.effect_size:.2f}",
            *("<1e-16" if p < 1e-16 else f"{p:.2g}" for p in (pairing.t_p, pairing.wilcoxon_p)),
            f"{test.wins}/{test.ties}/{test.losses}",
        )
        rows.append([Cell(text) for text in cells])
    header = ["against", "gain", "95% interval", "d", "t-test p", "Wilcoxon p", "W/T/L"]
    return Grid(caption, header, rows)


def _csv(runs: "Sequence[FinishedRun]", shown: Sequence[str]) -> str:
    lines = io.StringIO()
    rows = csv.writer(lines, lineterminator="\n")
    rows.writerow(["run", "model", "seed", "metric", "value"])
    for run in runs:
        for metric in shown:
            path, model = inert(run.path), inert(run.summary.model)
            rows.writerow([path, model, run.seed, metric, run.metrics[metric]])
    return lines.getvalue()


def _tree(compared: "Comparison", shown: Sequence[str]) -> dict[str, Any]:
    return {
        "data": compared.ours.runs[0].summary.data,
        "metric": compared.metric,
        "ours": compared.ours.name,
        "contenders": [
            {
                "name": one.name,
                "model": one.model,
                "runs": [{"path": str(run.path), "seed": run.seed} for run in one.runs],
                "means": {metric: one.means[metric] for metric in shown},
                "deviations": {metric: one.deviations[metric] for metric in shown}
                if one.deviations
                else None,
            }
            for one in compared.contenders
        ],
        "improvement": {metric: compared.improvement(metric) for metric in shown},
        "tests": [
            {"against": pairing.against.name, **pairing_tree(pairing)}
            for pairing in compared.pairings
        ],
    }


def pairing_tree(pairing: "Pairing") -> dict[str, Any]:
    """Plain values of a paired test."""
    test = pairing.test
    return {
        "users": test.wins + test.ties + test.losses,
        "difference": test.difference,
        "interval": [_finite(end) for end in test.interval],
        "effect_size": _finite(test.effect_size),
        "t_p": test.t_p,
        "t_p_holm": pairing.t_p,
        "wilcoxon_p": test.wilcoxon_p,
        "wilcoxon_p_holm": pairing.wilcoxon_p,
        "wins": test.wins,
        "ties": test.ties,
        "losses": test.losses,
    }


def _finite(value: float) -> float | None:
    """The value, which JSON has no word for if it is infinite."""
    return value if math.isfinite(value) else None
