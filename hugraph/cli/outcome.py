"""The test of a model beside the popularity baseline, as `fit` and `evaluate` show it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hugraph.cli.terminal import count, write_line, write_table

if TYPE_CHECKING:
    from hugraph.assembly.experiment import Experiment


def write_outcome(
    experiment: "Experiment",
    test: Mapping[str, float],
    baseline: Mapping[str, float],
    training: str = "",
) -> None:
    """Writes a line on what was tested, then a table of the metrics.

    Args:
        experiment: What was run.
        test: The metrics of its model, and on how many `users`.
        baseline: The metrics of `popularity`.
        training: How training went.
    """
    name = experiment.spec.model.name or "model"
    training = training and f"{training}; "
    synthetic = ", on synthetic data" if experiment.dataset.synthetic else ""
    write_line(f"{name}: {training}tested on {count(int(test['users']), 'user')}{synthetic}")
    if name == "popularity":
        rows = [(metric, f"{value:.4f}") for metric, value in baseline.items()]
        write_table(("test metric", name), rows)
        return
    compared = [
        (
            metric,
            f"{test[metric]:.4f}",
            f"{value:.4f}",
            f"{test[metric] / value:.2f}x" if value else "",
        )
        for metric, value in baseline.items()
    ]
    write_table(("test metric", name, "popularity", "ratio"), compared)
