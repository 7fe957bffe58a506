"""`hugraph figure`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from hugraph.cli.drawing import drawn_items, require_drawing
from hugraph.cli.paths import PathName, require_out, write_out
from hugraph.cli.terminal import count, say
from hugraph.errors import DataError, ResourceError, RunError, hint

if TYPE_CHECKING:
    from hugraph.assembly.experiment import Experiment
    from hugraph.interfaces import IntentModel
    from hugraph.report.intents import IntentLevel

_SUFFIXES = (".png", ".svg", ".pdf")

_Of = TypeVar("_Of")


@click.command(short_help="Draw a figure of a run for a paper.")
@click.argument("kind", type=click.Choice(["tsne", "tree", "curves", "histogram", "heatmap"]))
@click.argument("run", type=PathName())
@click.option(
    "--out",
    required=True,
    type=PathName(),
    metavar="FILE",
    help="Write to FILE: .png, .svg or .pdf; replaces it if it exists.",
)
@click.option("--modality", metavar="NAME", help="Draw this modality alone: tsne, tree, heatmap.")
@click.option(
    "--level",
    type=click.IntRange(1),
    metavar="N",
    help="Colour items by intents of this level, 1 being the finest: tsne.",
)
@click.option(
    "--data", type=PathName(), metavar="DIR", help="Where the dataset is now, if it has moved."
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
def figure(
    kind: Literal["tsne", "tree", "curves", "histogram", "heatmap"],
    run: str,
    out: str,
    modality: str | None,
    level: int | None,
    data: str | None,
    quiet: bool,
) -> None:
    """Draw a figure of RUN, in colours that most colour-blind readers can tell apart.

    \b
    tsne       items in three dimensions, coloured by their strongest intent
    tree       the intents with their names and sizes, each under its strongest parent
    curves     losses and validation metrics, epoch by epoch
    histogram  how many edges the item graph has at each threshold
    heatmap    the assignments of items to intents, and of intents to those above them

    Levels of intents that do not tell items apart are left out of tsne and tree. A model without
    intents has the other figures, and its item vectors as tsne.

    \b
    hugraph figure tree RUN --out tree.pdf
    hugraph figure tsne RUN --modality textual --level 1 --out items.png
    """
    path = require_out(out, _SUFFIXES, run)
    if modality is not None and kind in ("curves", "histogram"):
        raise click.UsageError(f"{kind} is not of a modality; leave --modality out.")
    if level is not None and kind != "tsne":
        raise click.UsageError(f"{kind} is not of a level; leave --level out.")
    require_drawing()
    from hugraph.report import figures

    if kind == "curves":
        drawn = _curves(Path(run))
    else:
        from hugraph.assembly import runs

        experiment = runs.reopen(Path(run), data=data)
        if kind == "histogram":
            drawn = _histogram(experiment, run)
        elif kind == "tsne":
            drawn = _tsne(experiment, run, modality, level, quiet)
        else:
            drawn = {"tree": _tree, "heatmap": _heatmap}[kind](experiment, run, modality)
    form = cast(Literal["png", "svg", "pdf"], path.suffix[1:])
    write_out(path, figures.image(drawn, form))
    if not quiet:
        say(f"{kind} in {path}", wrap=False)


def _curves(run: Path) -> Any:
    from hugraph.report.figures import curves
    from hugraph.report.runs import read_epochs, summarize
    from hugraph.report.views import measured

    result = summarize(run).result
    panels = measured(read_epochs(run))
    if not panels:
        raise RunError(
            "no epoch has been trained, so there are no curves to draw",
            at=str(run),
            fix="fit a model that is trained, or resume the run",
        )
    return curves(panels, result["best_epoch"] if result else None)


def _histogram(experiment: "Experiment", run: str) -> Any:
    from hugraph.report.figures import histogram

    try:
        edges = experiment.edges()
    except (DataError, ResourceError) as error:
        error.at, error.fix = run, f"fit again with another graph: {error.fix}"
        raise
    return histogram(edges, experiment.spec.graph.options.get("min_common_users"))


def _tree(experiment: "Experiment", run: str, modality: str | None) -> Any:
    from hugraph.report.figures import tree
    from hugraph.report.tree import intent_tree
    from hugraph.report.views import by_modality

    _, levels = _intents(experiment, run, "tree")
    for one in levels:
        if not one.tells_apart:
            say(f"note: level {one.level} of {one.modality} is left out: {one.remark}")
    chosen = _of_modality(by_modality(levels), modality)
    return tree({name: intent_tree(own) for name, own in chosen.items()})


def _heatmap(experiment: "Experiment", run: str, modality: str | None) -> Any:
    from hugraph.report.figures import heatmap
    from hugraph.report.views import ordered_assignments

    model, levels = _intents(experiment, run, "heatmap")
    return heatmap(_of_modality(ordered_assignments(model, levels), modality))


def _tsne(
    experiment: "Experiment", run: str, modality: str | None, level: int | None, quiet: bool
) -> Any:
    from hugraph.report.figures import Cloud, clouds
    from hugraph.report.projection import tsne
    from hugraph.report.views import item_spaces

    model, levels = _model(experiment, run)
    spaces = item_spaces(model, levels)
    if not spaces:
        raise RunError(
            f"{experiment.spec.model.name} has no vectors of items that could be placed",
            at=run,
            fix="draw a model that has, such as huign",
        )
    chosen = _of_modality(spaces, modality)
    deepest = max(len(space.levels) for space in chosen.values())
    if level is not None and level > max(deepest, 1):
        known = f"1 to {deepest}" if deepest > 1 else "only 1"
        raise click.UsageError(f"--level {level}: the levels that tell items apart are {known}.")
    items = drawn_items(experiment.dataset.num_items)
    panels = {}
    for number, (name, space) in enumerate(chosen.items(), start=1):
        if not quiet:
            place = f" ({number} of {len(chosen)})" if len(chosen) > 1 else ""
            say(f"placing {count(len(items), 'item')} by t-SNE: {name}{place}")
        points = tsne(space.vectors[items], seed=experiment.spec.seed)
        if space.levels:
            at = min(level or len(space.levels), len(space.levels)) - 1
            groups, shown = space.strongest[at][items], space.levels[at]
            names = [intent.name for intent in shown.intents]
            panels[name] = Cloud(points, groups, f"strongest intent of level {at + 1}", names)
        else:
            panels[name] = Cloud(points, items * 0, "")
    return clouds(panels)


def _model(experiment: "Experiment", run: str) -> Any:
    """The model of a run, and its intents if it has any."""
    from hugraph.assembly import runs
    from hugraph.interfaces import IntentModel
    from hugraph.report.intents import describe_intents
    from hugraph.train import RunDir

    model = runs.trained_model(experiment, RunDir(Path(run)))
    if not isinstance(model, IntentModel):
        return model, ()
    return model, describe_intents(model, experiment.dataset, seed=experiment.spec.seed)


def _intents(
    experiment: "Experiment", run: str, kind: str
) -> "tuple[IntentModel, Sequence[IntentLevel]]":
    model, levels = _model(experiment, run)
    if not levels:
        name = experiment.spec.model.name or type(model).__name__
        raise RunError(f"{name} has no intents, so there is no {kind}", at=run, fix="fit huign")
    return model, levels


def _of_modality(found: Mapping[str, _Of], modality: str | None) -> Mapping[str, _Of]:
    if modality is None:
        return found
    if modality not in found:
        raise click.UsageError(f"the model has no modality {modality!r}{hint(modality, found)}")
    return {modality: found[modality]}
