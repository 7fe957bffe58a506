"""`hugraph ablate`."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.compare import pairing_tree, read_run
from hugraph.cli.paths import PathName, data_overrides, new_directory
from hugraph.cli.replicates import read_seeds, spread
from hugraph.cli.stopping import stoppable
from hugraph.cli.terminal import say, write_json, write_line, write_table
from hugraph.errors import hint

if TYPE_CHECKING:
    from hugraph.assembly.ablation import Tested
    from hugraph.report.comparison import Pairing


@click.command(short_help="Take parts of a model away, one at a time, and test.")
@click.argument("spec", type=PathName())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--drop",
    required=True,
    multiple=True,
    metavar="NAMES",
    help="What to take away, with commas between: conv,pooling,modality:visual; repeatable.",
)
@click.option(
    "--seeds",
    callback=read_seeds,
    metavar="0,1,2",
    help="Fit each variant once for each seed; the spec's seed if left out.",
)
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Which to show; repeatable."
)
@click.option(
    "--out",
    type=PathName(),
    metavar="DIR",
    help="Directory of the runs; runs/<spec>-ablation-<time> if left out.",
)
@click.option(
    "--data",
    type=PathName(),
    metavar="DIR",
    help="Fit on the dataset in DIR instead of the spec's.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON, and nothing else.")
def ablate(
    spec: str,
    overrides: tuple[str, ...],
    drop: tuple[str, ...],
    seeds: tuple[int, ...],
    metrics: tuple[str, ...],
    out: str | None,
    data: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fit and test SPEC, and SPEC without each of several parts of its model.

    KEY=VALUE changes the spec for all of them. Differences are in percent of the full spec; p is of
    a paired t-test over users, each with the mean over the seeds, corrected by Holm for the number
    of variants (in JSON, what is `paired` is the full spec less the variant). The same command with
    --out DIR goes on where it was stopped; --drop may then name more.

    \b
    fusion        every modality counts alike, by their plain mean
    conv          content is not refined by the item graph
    pooling       no hierarchy: only the finest of the levels of intents
    entropy       the penalty assignment_entropy has weight 0
    independence  the penalty intent_independence has weight 0
    id            no ID embeddings
    propagation   nothing is smoothed over the user-item graph
    modality:NAME the modalities without NAME

    \b
    hugraph ablate examples/huign_3level.yaml --drop conv,pooling,modality:visual
    """
    from hugraph.assembly.ablation import Ablation
    from hugraph.metrics import METRICS

    for word in overrides:
        if "=" not in word:
            wanted = "parts to drop have commas between, as in --drop conv,pooling"
            raise click.UsageError(f"{word!r} is not of the form KEY=VALUE; {wanted}")
    planned = Ablation(
        spec,
        (*data_overrides(data), *overrides),
        drop=[name.strip() for names in drop for name in names.split(",")],
        seeds=seeds,
    )
    watched = planned.spec.train.early_stopping.metric
    evaluate = planned.spec.evaluate.options
    known = [f"{name}@{k}" for name in evaluate["metrics"] for k in evaluate["k"]]
    for name in metrics:
        if name not in known:
            raise click.UsageError(f"no metric {name!r} is evaluated{hint(name, known)}")
    alike = [one for one in known if one.endswith(f"@{watched.partition('@')[2]}")]
    shown = metrics or list(dict.fromkeys([watched, *alike]))
    directory = Path(out) if out else new_directory(f"{Path(spec).stem}-ablation")

    def then() -> str:
        how = f"the same command and --out {shlex.quote(str(directory))}"
        return f"every finished run and epoch is kept\n  go on with: {how}"

    ended: list[Tested] = []
    with stoppable(then):
        for tested in planned.run(directory):
            ended.append(tested)
            if not quiet and not as_json:
                state = tested.failure or f"{shown[0]} {spread(tested.values(shown[0]))}"
                say(f"{len(ended)} of {len(planned.variants)}  {tested.variant.name}: {state}")
    judged = next((name for name in shown if name.partition("@")[0] in METRICS), watched)
    tests = _paired(ended, judged)
    if as_json:
        variants = [_tree(one, ended[0], tests.get(one.variant.name)) for one in ended]
        write_json({"directory": str(directory), "metric": judged, "variants": variants})
        return
    header = ["without", *(f"test {name}" for name in shown), f"p of {judged}"]
    rows = [_row(one, ended[0], shown, tests.get(one.variant.name)) for one in ended]
    write_table(header, rows, whole=header, parted=True)
    for one in ended:
        if one.failure:
            write_line(f"without {one.variant.name}: {one.failure}")
    write_line(f"runs: {directory}", wrap=False)


def _paired(ended: Sequence["Tested"], metric: str) -> dict[str, "Pairing"]:
    """The full spec against each variant that was tested, by name."""
    from hugraph.report.comparison import compare

    tested = [one for one in ended if one.results]
    runs = [read_run(path) for one in tested for path in one.runs]
    compared = compare(runs, metric=metric, ours=tested[0].runs[0])
    names = [one.variant.name for one in tested[1:]]
    return dict(zip(names, compared.pairings, strict=True))


def _row(
    one: "Tested", full: "Tested", metrics: Sequence[str], paired: "Pairing | None"
) -> list[str]:
    cells = [one.variant.name if one is not full else "(nothing)"]
    for name in metrics:
        change = one.difference(full, name)
        percent = "" if change is None or one is full else f" {change:+.1f}%"
        cells.append("failed" if one.failure else spread(one.values(name)) + percent)
    return [*cells, f"{paired.t_p:.2g}" if paired else ""]


def _tree(one: "Tested", full: "Tested", paired: "Pairing | None") -> dict[str, Any]:
    names = full.results[0]["popularity"]
    return {
        "without": None if one is full else one.variant.name,
        "changes": one.variant.changes,
        "runs": list(map(str, one.runs)),
        "test": {name: fmean(one.values(name)) for name in names} if one.results else None,
        "percent": {name: one.difference(full, name) for name in names},
        "paired": paired and pairing_tree(paired),
        "failure": one.failure,
    }
