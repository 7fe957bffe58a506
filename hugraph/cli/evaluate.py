"""`hugraph evaluate`."""

from pathlib import Path

import click

from hugraph.cli.outcome import write_outcome
from hugraph.cli.paths import PathName
from hugraph.cli.terminal import say, write_json


@click.command(short_help="Test a run again, beside the popularity baseline.")
@click.argument("run", type=PathName())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--data", type=PathName(), metavar="DIR", help="Where the dataset is now, if it has moved."
)
@click.option("--json", "as_json", is_flag=True, help="Write the metrics as JSON.")
def evaluate(run: str, overrides: tuple[str, ...], data: str | None, as_json: bool) -> None:
    """Test the best epoch of RUN again, beside the popularity baseline.

    KEY=VALUE may change keys of `evaluate`. The run directory is not changed.

    \b
    hugraph evaluate runs/huign_3level-20250131-101500
    hugraph evaluate RUN 'evaluate.k=[10,20]'
    hugraph evaluate RUN 'evaluate.metrics=[recall, coverage, novelty]'
    """
    import torch

    from hugraph.assembly import runs
    from hugraph.report.runs import summarize
    from hugraph.train import RunDir

    path = Path(run)
    experiment = runs.reopen(path, data=data, overrides=overrides, may_change=("evaluate",))
    model = runs.trained_model(experiment, RunDir(path))
    with torch.no_grad():
        measured = experiment.evaluate(model.scorer())
        baseline = experiment.evaluate(experiment.popularity().scorer()).metrics
    if not (path / "result.json").exists():
        epochs = summarize(path).epochs
        say(f"note: the run is not finished (epoch {epochs})")
    test = {**measured.metrics, "users": len(measured.users)}
    if as_json:
        write_json({"test": test, "popularity": baseline})
    else:
        write_outcome(experiment, test, baseline)
