"""`hugraph report`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.drawing import drawn_items, require_drawing
from hugraph.cli.intents import same_intents
from hugraph.cli.paths import PathName, require_out, write_out
from hugraph.cli.terminal import count, say
from hugraph.errors import DataError, ResourceError
from hugraph.sizes import in_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hugraph.assembly.experiment import Experiment
    from hugraph.interfaces import IntentColumn, Recommender, Scorer
    from hugraph.report.exposure import Exposure
    from hugraph.report.intents import IntentLevel
    from hugraph.report.page import Page, Section
    from hugraph.report.views import ItemSpace
    from hugraph.train import RunDir

    Layouts = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

_NAME = "report.html"
_FEWEST = 4  # items that t-SNE can place
_LISTS = 10  # items in the lists whose coverage is measured
_USERS = 10  # that are shown
_FAITHFUL = 200  # users over whom fidelity is measured


@click.command("report", short_help="Write all there is to see of a run into one page of HTML.")
@click.argument("run", type=PathName())
@click.option(
    "--out",
    type=PathName(),
    metavar="FILE",
    help=f"Write to FILE, .html; {_NAME} in RUN if left out. Replaces it if it exists.",
)
@click.option(
    "--beside",
    multiple=True,
    type=PathName(),
    metavar="RUN",
    help="A run of the same spec with another seed, to see whether its intents are the same; "
    "repeatable.",
)
@click.option(
    "--data", type=PathName(), metavar="DIR", help="Where the dataset is now, if it has moved."
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
def write_report(
    run: str, out: str | None, beside: tuple[str, ...], data: str | None, quiet: bool
) -> None:
    """Write all there is to see of RUN into one page of HTML.

    The page needs no network and no other file: what was run on what, the test beside popularity,
    learning curves, the item graph, the tree of named intents, items in three dimensions to turn
    and point at, assignments, coverage, ten users with explained recommendations, and how far to
    believe all this. Without scripts, and on paper, it shows tables and still pictures.

    \b
    hugraph report RUN
    hugraph report RUN --beside RUN2 --beside RUN3 --out ~/report.html
    """
    path = None if out is None else require_out(out, (".html",), run)
    require_drawing("page")

    from hugraph.assembly import runs
    from hugraph.report.page import render
    from hugraph.train import RunDir

    tell: Callable[[str], None] = (lambda text: None) if quiet else say
    directory = RunDir(Path(run))
    experiment = runs.reopen(Path(run), data=data)
    result = runs.read_result(directory)
    page = _page(experiment, directory, result, beside, data, tell)
    tell("writing")
    content = render(page)
    if path is None:
        with RunDir.resume(Path(run)) as held:
            held.write(_NAME, content)
    else:
        write_out(path, content)
    where = path or Path(run) / _NAME
    tell(f"{in_bytes(len(content))} in {where}")


def _page(
    experiment: "Experiment",
    run: "RunDir",
    result: Mapping[str, Any],
    beside: Sequence[str],
    data: str | None,
    tell: Callable[[str], None],
) -> "Page":
    from hugraph.assembly import runs
    from hugraph.assembly.record import read_record
    from hugraph.interfaces import IntentModel
    from hugraph.report.assignments import assignment_steps
    from hugraph.report.intents import column_names, describe_intents
    from hugraph.report.page import Page, Prose, Section
    from hugraph.report.runs import read_epochs
    from hugraph.report.sections import assignments
    from hugraph.report.sections.intents import intents
    from hugraph.report.sections.items import items
    from hugraph.report.sections.lists import lists
    from hugraph.report.sections.run import run_card
    from hugraph.report.sections.stability import stable
    from hugraph.report.sections.training import training
    from hugraph.report.stability import stability
    from hugraph.report.views import item_spaces, ordered_assignments

    dataset, seed = experiment.dataset, experiment.spec.seed
    record, spec = read_record(run).model_dump(), run.read_text(runs.SPEC)
    name = record["model"]
    lack = f"{name} has no intents that items are distributed over; fit huign to see some."
    epochs = read_epochs(run.path)
    model = runs.trained_model(experiment, run)
    shown: list[Section] = [
        run_card(record, result, spec, dataset),
        _metrics(experiment, run, result, name),
        training(epochs, result["best_epoch"]),
        _item_graph(experiment),
    ]
    drawn: dict[str, Any] = {}
    described: tuple[IntentLevel, ...] = ()
    names: dict[IntentColumn, str] = {}
    if isinstance(model, IntentModel):
        tell("naming the intents")
        described = describe_intents(model, dataset, seed=seed)
        names = column_names(model, dataset, described)
        section, drawn["tree"] = intents(described, dataset)
        shown.append(section)
    else:
        shown.append(Section("intents", "Intents", [Prose(lack)]))
    spaces = item_spaces(model, described)
    placed = drawn_items(dataset.num_items)
    if spaces and len(placed) >= _FEWEST:
        layouts = _layouts(spaces, placed, seed, tell)
        section, drawn["items"] = items(spaces, layouts, placed, dataset)
        shown.append(section)
    if isinstance(model, IntentModel):
        shown.append(assignments.assignments(ordered_assignments(model, described)))
        shown.append(assignments.modalities(spaces, seed))
    tell("ranking for every user")
    shown.append(lists(_exposures(experiment, model, name), _LISTS))
    shown += _explained(experiment, model, names, lack, tell)
    if isinstance(model, IntentModel):
        others = [same_intents(one, data, experiment, model, str(run.path)) for one in beside]
        steps = [assignment_steps(one) for one in (model, *others)]
        found = stability(steps) if others else ()
        shown.append(stable(found, described, len(others)))
    synthetic = " (synthetic)" if dataset.synthetic else ""
    where = run.path.resolve().name
    return Page(f"{name} on {dataset.name}{synthetic}", f"The run {where}", shown, drawn)


def _metrics(
    experiment: "Experiment", run: "RunDir", result: Mapping[str, Any], name: str
) -> "Section":
    from hugraph.report.sections.run import metrics

    baseline = experiment.evaluate(experiment.popularity().scorer())
    scores = run.read_per_user()
    places = {user: place for place, user in enumerate(scores["user"])}
    rows = [places[user] for user in experiment.dataset.user_ids[baseline.users].tolist()]
    ours = {one: scores[one].to_numpy()[rows] for one in scores.columns if one != "user"}
    return metrics(name, result, ours, baseline.per_user)


def _item_graph(experiment: "Experiment") -> "Section":
    from hugraph.report.page import Prose, Section
    from hugraph.report.sections.item_graph import item_graph

    try:
        return item_graph(experiment.edges(), experiment.spec.graph.options.get("min_common_users"))
    except (DataError, ResourceError) as error:
        return Section("graph", "Item graph", [Prose(f"Its edges are not counted: {error.what}.")])


def _layouts(
    spaces: "Mapping[str, ItemSpace]",
    items: "NDArray[np.int64]",
    seed: int,
    tell: Callable[[str], None],
) -> "Layouts":
    from hugraph.report.projection import tsne

    layouts: Layouts = {}
    for number, (name, space) in enumerate(spaces.items(), start=1):
        place = f" ({number} of {len(spaces)})" if len(spaces) > 1 else ""
        tell(f"placing {count(len(items), 'item')} by t-SNE: {name}{place}")
        vectors = space.vectors[items]
        layouts[name] = tsne(vectors, 3, seed=seed), tsne(vectors, 2, seed=seed)
    return layouts


def _exposures(experiment: "Experiment", model: "Recommender", name: str) -> "dict[str, Exposure]":
    import torch

    from hugraph.report.exposure import exposure
    from hugraph.train import top_k

    num_items, popularity = experiment.dataset.num_items, experiment.item_degrees.cpu().numpy()
    everybody = torch.unique(experiment.train.users)

    def shown(scorer: "Scorer") -> "NDArray[np.int64]":
        items = top_k(scorer, everybody, experiment.known, _LISTS, num_items).items.flatten()
        return torch.bincount(items[items >= 0], minlength=num_items).cpu().numpy()

    with torch.no_grad():
        counts = {"training interactions": popularity, name: shown(model.scorer())}
        counts.setdefault("popularity", shown(experiment.popularity().scorer()))
    return {one: exposure(many, popularity) for one, many in counts.items()}


def _explained(
    experiment: "Experiment",
    model: "Recommender",
    names: "Mapping[IntentColumn, str]",
    lack: str,
    tell: Callable[[str], None],
) -> "list[Section]":
    import numpy as np

    from hugraph.report.explanation import Explainer
    from hugraph.report.fidelity import drawn_users, fidelity
    from hugraph.report.sections.fidelity import faithfulness
    from hugraph.report.sections.users import users
    from hugraph.seed import stream

    dataset, seed = experiment.dataset, experiment.spec.seed
    explainer = Explainer(model, experiment.known, experiment.train)
    historied = np.unique(experiment.split.train.users)
    chosen = stream(seed, "report users").permutation(historied)[:_USERS].tolist()
    test: dict[int, set[int]] = {}
    for user, item in zip(*(one.tolist() for one in experiment.test), strict=True):
        test.setdefault(user, set()).add(item)
    tell(f"explaining {count(len(chosen), 'user')}")
    shown = users(explainer, chosen, test, dataset, names)
    found = None
    if explainer.intents:
        tell("measuring fidelity")
        found = fidelity(explainer, drawn_users(explainer, _FAITHFUL, seed=seed), seed=seed)
    return [shown, faithfulness(found, lack)]
