"""`hugraph sweep`."""

import re
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.paths import PathName, data_overrides, new_directory
from hugraph.cli.replicates import read_seeds, spread
from hugraph.cli.stopping import stoppable
from hugraph.cli.terminal import count, say, write_json, write_line, write_table
from hugraph.errors import ResourceError, RunError

if TYPE_CHECKING:
    from hugraph.assembly.study import Search, Trial
    from hugraph.assembly.sweep import Outcome, Selected, Sweep


class _ManyLists(click.Command):
    """Takes all lists that follow `--grid` or `--range` for it; click takes one of them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeats the option before each further list."""
        words: list[str] = []
        option, full = "", False
        for word in args:
            if word.startswith("-"):
                option, equals, _ = word.partition("=")
                full = bool(equals)
            elif option in ("--grid", "--range"):
                if full and re.match(r"[\w.]+=\s*\[", word):
                    words.append(option)
                elif full:
                    option = ""
                full = True
            words.append(word)
        return super().parse_args(ctx, words)


@click.command(cls=_ManyLists, short_help="Fit a spec at many points and select by validation.")
@click.argument("spec", type=PathName())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--grid",
    multiple=True,
    metavar="KEY=[...]",
    help="Choices for a key, as in 'train.lr=[1e-3,1e-2]'; more may follow; repeatable.",
)
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="KEY=[LOW,HIGH]",
    help="Numbers for a key, as in 'train.lr=[1e-4,1e-1,log]' or 'model.id_dim=[16,128]'; "
    "integers if both ends are; repeatable; with --search tpe.",
)
@click.option(
    "--search",
    type=click.Choice(["grid", "tpe"]),
    default="grid",
    show_default=True,
    help="Try every combination, or look near what was good; no point is tried twice.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most trials, if there are as many points; all of a grid, or 50 with tpe, if left out.",
)
@click.option(
    "--seeds",
    callback=read_seeds,
    metavar="0,1,2",
    help="Fit each trial once for each seed; the spec's seed if left out.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="Validation metric to stop and select by; train.early_stopping.metric if left out.",
)
@click.option(
    "--prune", is_flag=True, help="Give up trials whose best is below the median at the same epoch."
)
@click.option(
    "--out",
    type=PathName(),
    metavar="DIR",
    help="Directory of the sweep; runs/<spec>-sweep-<time> if left out.",
)
@click.option(
    "--data",
    type=PathName(),
    metavar="DIR",
    help="Fit on the dataset in DIR instead of the spec's.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON, and nothing else.")
def sweep(
    spec: str,
    overrides: tuple[str, ...],
    grid: tuple[str, ...],
    ranges: tuple[str, ...],
    search: "Search",
    trials: int | None,
    seeds: tuple[int, ...],
    metric: str | None,
    prune: bool,
    out: str | None,
    data: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fit SPEC with other values of some keys, select by validation, and test what was selected.

    KEY=VALUE changes the spec for all trials; KEY=[...] behind a grid or range is another of these.
    Each trial is a run directory in DIR/trials. The same command with --out DIR goes on with a
    sweep that was stopped, in whatever way, and helps with one that is running elsewhere.

    \b
    hugraph sweep my.yaml --grid 'train.lr=[1e-3,1e-2]' 'model.id_dim=[32,64]'
    hugraph sweep my.yaml --search tpe --range 'train.lr=[1e-4,1e-1,log]' --trials 30
    """
    from hugraph.assembly.space import Space
    from hugraph.assembly.sweep import Sweep

    stop_by = () if metric is None else (f"train.early_stopping.metric={metric}",)
    planned = Sweep(
        spec,
        (*data_overrides(data), *overrides, *stop_by),
        space=Space.parse(grid, ranges),
        search=search,
        trials=trials,
        seeds=seeds,
        prune=prune,
    )
    directory = Path(out) if out else new_directory(f"{Path(spec).stem}-sweep")

    def then() -> str:
        how = f"the same command and --out {shlex.quote(str(directory))}"
        return f"every finished trial and epoch is kept\n  go on with: {how}"

    with stoppable(then):
        outcome = planned.run(directory, None if quiet or as_json else partial(_report, planned))
    if as_json:
        write_json(_tree(planned, outcome, directory))
    else:
        _show(planned, outcome, directory)
    if outcome.selected is None and not any(one.state == "running" for one in outcome.trials):
        if refused := sum(one.state == "refused" for one in outcome.trials):
            raise ResourceError(
                f"none of {count(len(outcome.trials), 'trial')} is complete; "
                f"{refused} had too little memory",
                at=str(directory),
                fix="give the same command with this --out where more is free",
            )
        raise RunError(
            f"none of {count(len(outcome.trials), 'trial')} is complete",
            at=str(directory),
            fix="vary other values, in a new directory",
        )


def _report(planned: "Sweep", trial: "Trial", trials: Sequence["Trial"]) -> None:
    """Says how a trial has ended, on one line."""
    ended = sum(one.state not in ("running", "refused") for one in trials)
    best = trials[0]
    line = f"trial {trial.number:3d}  ({ended} of {planned.trials})  "
    if trial.value is None:
        line += f"{trial.state}: {trial.reason}"
    else:
        line += f"{planned.metric} {_validation(trial)}"
    if best.value is not None:
        line += f"  best {best.value:.4f} (trial {best.number})"
    say(f"{line}  {_at(trial)}")


def _show(planned: "Sweep", outcome: "Outcome", directory: Path) -> None:
    keys = list(planned.space)
    short = [key.rpartition(".")[2] for key in keys]
    names = [one if short.count(one) == 1 else key for key, one in zip(keys, short, strict=True)]
    rows = [
        (
            trial.number,
            *(_brief(trial.point.get(key, "")) for key in keys),
            trial.state if trial.value is None else _validation(trial),
            sum(fit.epochs for fit in trial.fits) or "",
            f"{sum(fit.seconds for fit in trial.fits):.1f}" if trial.fits else "",
        )
        for trial in outcome.trials
    ]
    results = (f"validation {planned.metric}", "epochs", "seconds")
    write_table(("trial", *names, *results), rows, whole=results, parted=True)
    for trial in outcome.trials:
        if trial.reason:
            write_line(f"trial {trial.number} {trial.state}: {trial.reason}")
    if any(trial.state == "refused" for trial in outcome.trials):
        write_line("what was refused is tried again by the same command with --out")
    if running := sum(trial.state == "running" for trial in outcome.trials):
        write_line(f"{count(running, 'trial is', 'trials are')} in the hands of another process")
    if outcome.selected:
        _show_selected(outcome.selected)
    write_line(f"sweep directory: {directory}", wrap=False)


def _show_selected(selected: "Selected") -> None:
    seeds = f", mean over {len(selected.runs)} seeds" if len(selected.runs) > 1 else ""
    write_line(f"\nselected by validation: trial {selected.trial.number}, {_at(selected.trial)}")
    baseline = _means(selected, "popularity")
    rows = [
        (name, spread([result["test"][name] for result in selected.results]), f"{value:.4f}")
        for name, value in baseline.items()
    ]
    write_table((f"test metric{seeds}", "selected", "popularity"), rows)
    run, spec = (shlex.quote(str(path)) for path in (selected.runs[0], selected.spec))
    write_line(f"next:\n  hugraph evaluate {run}\n  hugraph fit --spec {spec}", wrap=False)


def _tree(planned: "Sweep", outcome: "Outcome", directory: Path) -> dict[str, Any]:
    from hugraph.assembly.spec import parse

    def tree(trial: "Trial") -> dict[str, Any]:
        point = trial.point.items()
        return {
            "trial": trial.number,
            "state": trial.state,
            "parameters": {key: parse(text, key, inline=True).plain() for key, text in point},
            "validation": trial.value,
            "fits": [fit._asdict() for fit in trial.fits],
            "reason": trial.reason,
        }

    best = outcome.selected and {
        **tree(outcome.selected.trial),
        "spec": str(outcome.selected.spec),
        "runs": list(map(str, outcome.selected.runs)),
        "test": _means(outcome.selected, "test"),
        "popularity": _means(outcome.selected, "popularity"),
    }
    return {
        "directory": str(directory),
        "metric": planned.metric,
        "trials": list(map(tree, outcome.trials)),
        "best": best,
    }


def _means(selected: "Selected", part: str) -> dict[str, float]:
    names = selected.results[0]["popularity"]
    return {name: fmean(result[part][name] for result in selected.results) for name in names}


def _validation(trial: "Trial") -> str:
    return spread([fit.validation for fit in trial.fits])


def _at(trial: "Trial") -> str:
    return ", ".join(f"{key}={_brief(text)}" for key, text in trial.point.items())


def _brief(text: str) -> str:
    from hugraph.assembly.spec import resolve_scalar

    value = resolve_scalar(text)
    return f"{value:.4g}" if isinstance(value, float) else text
