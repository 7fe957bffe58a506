"""`hugraph fit`."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.terminal import write_line, write_table

if TYPE_CHECKING:
    from hugraph.assembly.experiment import Experiment
    from hugraph.train import RunDir


@click.command()
@click.option("--spec", "-s", metavar="SPEC", help="The spec to fit, a YAML file.")
@click.option("--data", metavar="DIR", help="Fit on the dataset in DIR instead of the spec's.")
@click.option(
    "--run", "run_path", metavar="DIR", help="Run directory; runs/<spec>-<time> if left out."
)
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped, exactly.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON, and nothing else.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def fit(
    spec: str | None,
    data: str | None,
    run_path: str | None,
    resume: str | None,
    quiet: bool,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Train the model of a spec, test it once, and keep everything in a run directory.

    KEY=VALUE changes the spec, as in `train.lr=1e-3`. Ctrl-C finishes the current step and stops;
    every finished epoch is kept, and `--resume RUN` goes on to the same result, to the last bit, as
    if nothing had happened. When going on, only `train.epochs` and
    `train.early_stopping.patience` may change.

    \b
    hugraph fit --spec examples/huign_3level.yaml
    hugraph fit --spec examples/lightgcn.yaml --data path/to/my_dataset train.lr=3e-3
    hugraph fit --resume runs/huign_3level-20250131-101500
    """
    if (spec is None) == (resume is None):
        raise click.UsageError("Give either --spec SPEC or --resume RUN.")
    if resume is not None and run_path is not None:
        raise click.UsageError("--resume names the run directory already; leave --run out.")

    from hugraph.assembly import runs
    from hugraph.assembly.experiment import Experiment
    from hugraph.assembly.sections import SCHEMA
    from hugraph.train import RunDir

    quiet = quiet or as_json
    if resume is not None:
        path = Path(resume)
        with RunDir.resume(path) as run:
            experiment = runs.reopen(path, data=data, overrides=overrides)
            result = _train(experiment, run, quiet)
    else:
        assert spec is not None
        if data is not None:
            overrides = ("data.source=directory", f"data.path={json.dumps(data)}", *overrides)
        resolved = SCHEMA.resolve(spec, overrides)
        path = Path(run_path) if run_path else _new_path(Path(spec))
        with RunDir.create(path) as run:
            experiment = Experiment.prepare(resolved)
            runs.begin(experiment, run)
            result = _train(experiment, run, quiet)
    if as_json:
        write_line(json.dumps(result, indent=2))
    else:
        _show(result, experiment, path)


def _train(experiment: "Experiment", run: "RunDir", quiet: bool) -> dict[str, Any]:
    from hugraph.assembly import runs
    from hugraph.cli.progress import progress
    from hugraph.train import Stopped

    if not quiet:
        for line in _introduction(experiment):
            write_line(line, file=sys.stderr)
    metric = experiment.spec.train.early_stopping.metric
    try:
        with progress(metric, quiet=quiet) as on_progress:
            return runs.finish(experiment, run, on_progress)
    except Stopped as stopped:
        write_line(
            f"stopped by {stopped.signal_name}; every finished epoch is kept\n"
            f"  go on with: hugraph fit --resume {run.path}",
            file=sys.stderr,
        )
        raise


def _introduction(experiment: "Experiment") -> list[str]:
    dataset, counts = experiment.dataset, experiment.split.counts
    kind = " (synthetic)" if dataset.synthetic else ""
    lines = [
        f"{dataset.name}{kind}: {dataset.num_users:,} users, {dataset.num_items:,} items, "
        f"{counts['train']:,} interactions to train on, {counts['validation']:,} to validate, "
        f"{counts['test']:,} to test"
    ]
    notable = {
        "users_without_training": "users have no training interaction; their tastes stay untrained",
        "cold_items_in_validation": "items of the validation part are not in training",
        "cold_items_in_test": "items of the test part are not in training; they count as misses "
        "unless their content ranks them",
        "items_without_interactions": "items have no interaction at all",
    }
    lines += [f"note: {counts[key]:,} {text}" for key, text in notable.items() if counts[key]]
    return lines + [f"note: {warning}" for warning in dataset.warnings]


def _new_path(spec: Path) -> Path:
    stem = f"{spec.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    path, number = Path("runs") / stem, 2
    while path.exists():
        path, number = Path("runs") / f"{stem}-{number}", number + 1
    return path


def _show(result: Mapping[str, Any], experiment: "Experiment", path: Path) -> None:
    name = experiment.spec.model.name or "model"
    synthetic = ", on synthetic data" if experiment.dataset.synthetic else ""
    test, baseline = result["test"], result["popularity"]
    write_line(
        f"\n{name}: best epoch {result['best_epoch']} of {result['epochs']}, "
        f"{result['seconds']:.1f} s; tested on {test['users']:,} users{synthetic}"
    )
    rows = [
        (
            metric,
            f"{test[metric]:.4f}",
            f"{value:.4f}",
            f"{test[metric] / value:.2f}x" if value else "",
        )
        for metric, value in baseline.items()
    ]
    write_table(("test metric", name, "popularity", "ratio"), rows)
    user = experiment.dataset.user_ids[0]
    write_line(f"run directory: {path}")
    write_line("next:")
    write_line(f"  hugraph recommend {path} --user {user} --k 10")
    write_line(f"  hugraph evaluate {path} evaluate.k=[10,50]")
    write_line(f"  tensorboard --logdir {path}")
