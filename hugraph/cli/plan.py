"""`hugraph plan`."""

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hugraph.cli.drawing import figures_option
from hugraph.cli.paths import PathName, data_overrides, new_directory
from hugraph.cli.stopping import stoppable
from hugraph.cli.terminal import count, write_json, write_line, write_table
from hugraph.sizes import in_bytes

if TYPE_CHECKING:
    from hugraph.assembly.plan import Plan


@click.command(short_help="Say what a fit will take: memory, disk and time.")
@click.option(
    "--spec", "-s", type=PathName(), metavar="SPEC", required=True, help="The spec, a YAML file."
)
@click.option(
    "--data",
    type=PathName(),
    metavar="DIR",
    help="Plan for the dataset in DIR instead of the spec's.",
)
@click.option(
    "--run",
    "run_path",
    type=PathName(),
    metavar="DIR",
    help="Where the run directory will be; in runs/ if left out.",
)
@figures_option
@click.option("--json", "as_json", is_flag=True, help="Write the plan as JSON.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def plan(
    spec: str,
    data: str | None,
    run_path: str | None,
    figures: bool,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Say what fitting a spec will take, before anything runs.

    Takes what `hugraph fit` takes. Data, graphs and model are made, steps taken for two seconds,
    some users validated, and one epoch is saved where the run will be, drawn for TensorBoard as
    after a fit, and removed again. What that shows is counted up to `train.epochs`; training may
    stop before. The exit code is 7, as that of `fit`, if the memory is not enough.

    \b
    hugraph plan --spec examples/huign_3level.yaml
    hugraph plan --spec my.yaml --data my_dataset model.id_dim=128 train.epochs=50
    """
    from hugraph.assembly.plan import make_plan
    from hugraph.assembly.sections import SCHEMA
    from hugraph.cli.board import show_on_board

    with stoppable(lambda: "nothing is kept"):
        resolved = SCHEMA.resolve(spec, (*data_overrides(data), *overrides))
        path = Path(run_path) if run_path else new_directory(Path(spec).stem)
        display = partial(show_on_board, tell=lambda text: None, figures=figures)
        made, experiment = make_plan(resolved, path, display=display)
    dataset, to_train_on = experiment.dataset, experiment.split.counts["train"]
    if as_json:
        counts = {
            "name": dataset.name,
            "users": dataset.num_users,
            "items": dataset.num_items,
            "train_interactions": to_train_on,
        }
        write_json({"dataset": counts, **made.tree()})
    else:
        kind = " (synthetic)" if dataset.synthetic else ""
        write_line(
            f"{made.model} on {dataset.name}{kind}: {count(dataset.num_users, 'user')}, "
            f"{count(dataset.num_items, 'item')}, "
            f"{count(to_train_on, 'interaction')} to train on"
        )
        write_table(("what", "plan", "how it is known"), _rows(made))
        if made.disk is not None and made.disk > made.disk_free:
            write_line("note: the run may take more than its disk has; choose a --run on another")
    if made.refusal is not None:
        raise made.refusal


def _rows(plan: "Plan") -> list[tuple[str, str, str]]:
    rows = []
    if plan.parameters is not None and plan.parameter_bytes is not None:
        number = f"{plan.parameters:,} ({in_bytes(plan.parameter_bytes)})"
        rows.append(("parameters", number, "counted"))
    if plan.edges is not None:
        edges, sampled, items = plan.edges
        known = "counted" if sampled == items else f"estimated from {sampled:,} of {items:,} items"
        rows.append(("item graph", count(edges, "edge"), known))
    if plan.memory is None and plan.least_memory is not None:
        needed = f"over {in_bytes(plan.least_memory)}"
        rows.append(("memory", _of(needed, plan.memory_free), "a bound, beside the data"))
    if plan.memory is not None:
        rows.append(("memory", _of(in_bytes(plan.memory), plan.memory_free), "measured"))
    if plan.gpu_memory is not None:
        rows.append(("GPU memory", _of(in_bytes(plan.gpu_memory), plan.gpu_free), "measured"))
    if plan.disk is not None:
        rows.append(("disk", _of(in_bytes(plan.disk), plan.disk_free), "at most"))
    for stage in plan.stages:
        name = "epoch" if len(plan.stages) == 1 else f"epoch of {stage.name}"
        rows.append((name, _time(stage.epoch()), "measured"))
        parts = (
            (f"{count(stage.steps, 'step')}", stage.begin + stage.steps * stage.step),
            ("validation", stage.validation),
            ("saving", stage.saving),
        )
        rows += [(f"  {part}", _time(seconds), "") for part, seconds in parts]
    if plan.display is not None:
        rows.append(("TensorBoard", _time(plan.display), "measured"))
    if (seconds := plan.seconds()) is not None:
        epochs = sum(stage.epochs for stage in plan.stages)
        whole = f"the fit, {count(epochs, 'epoch')}" if epochs else "the fit"
        rows.append((whole, _time(seconds), "at most, once loaded" if epochs else "once loaded"))
    return rows


def _of(needed: str, free: int | None) -> str:
    return needed if free is None else f"{needed} of {in_bytes(free)}"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
