"""`hugraph evaluate`."""

import json
from pathlib import Path

import click

from hugraph.cli.terminal import write_line, write_table


@click.command()
@click.argument("run")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--data", metavar="DIR", help="Where the dataset is now, if it has moved.")
@click.option("--json", "as_json", is_flag=True, help="Write the metrics as JSON.")
def evaluate(run: str, overrides: tuple[str, ...], data: str | None, as_json: bool) -> None:
    """Test the best epoch of RUN again, beside the popularity baseline.

    KEY=VALUE may change keys of `evaluate`. The run directory is not changed.

    \b
    hugraph evaluate runs/huign_3level-20250131-101500
    hugraph evaluate RUN evaluate.k=[10,50] 'evaluate.metrics=[recall, coverage, novelty]'
    """
    import torch

    from hugraph.assembly import runs
    from hugraph.train import RunDir

    experiment = runs.reopen(Path(run), data=data, overrides=overrides, may_change=("evaluate",))
    model = runs.trained_model(experiment, RunDir(Path(run)))
    with torch.no_grad():
        measured = experiment.evaluate(model.scorer())
        baseline = experiment.evaluate(experiment.popularity().scorer()).metrics
    if as_json:
        test = {**measured.metrics, "users": len(measured.users)}
        write_line(json.dumps({"test": test, "popularity": baseline}, indent=2))
        return
    write_line(f"tested on {len(measured.users):,} users")
    name = experiment.spec.model.name or "model"
    rows = [
        (key, f"{value:.4f}", f"{baseline[key]:.4f}") for key, value in measured.metrics.items()
    ]
    write_table(("test metric", name, "popularity"), rows)
