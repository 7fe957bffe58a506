"""`hugraph intents`."""

import io
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.paths import PathName, require_out, write_out
from hugraph.cli.terminal import count, say, write_json, write_line, write_table
from hugraph.errors import ResourceError, RunError, hint

if TYPE_CHECKING:
    from hugraph.assembly.experiment import Experiment
    from hugraph.data.dataset import Dataset
    from hugraph.interfaces import IntentModel
    from hugraph.report.intents import Intent, IntentLevel, Link
    from hugraph.report.stability import LevelStability

_FEW = 3  # relatives that are shown of an intent


@click.command(short_help="Name the intents of a run, and say how far to believe the names.")
@click.argument("runs", nargs=-1, required=True, type=PathName(), metavar="RUN...")
@click.option("--level", type=click.IntRange(1), metavar="N", help="One level; 1 is the finest.")
@click.option("--modality", metavar="NAME", help="One modality.")
@click.option(
    "--top",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Keywords, items and labels of an intent at most.",
)
@click.option("--details", is_flag=True, help="Also show what each intent consists of.")
@click.option(
    "--graphml", type=PathName(), metavar="FILE", help="Write the hierarchy with its names to FILE."
)
@click.option(
    "--data", type=PathName(), metavar="DIR", help="Where the dataset is now, if it has moved."
)
@click.option("--json", "as_json", is_flag=True, help="Write everything as JSON.")
def intents(
    runs: tuple[str, ...],
    level: int | None,
    modality: str | None,
    top: int,
    details: bool,
    graphml: str | None,
    data: str | None,
    as_json: bool,
) -> None:
    """Name the intents of RUN, and say how far to believe the names.

    An intent is called by the terms that go along with it: whose items are assigned to it more than
    others, by more than chance would give. Beside the name stand its share of all assignments, the
    number of items whose strongest it is, its share of the users' taste, the correlation of its
    assignments with the popularity of items and with its best keyword, its strongest parent and
    the sibling most like it. Above stand the numbers of the level: entropy and information of the
    assignments, coherence of the keywords, agreement with labels of the items, each beside what
    shuffled items give.

    Of several runs on the same data the first is described, and how far the others find the same
    intents.

    \b
    hugraph intents RUN --level 1 --modality textual --details
    hugraph intents RUN1 RUN2 RUN3
    hugraph intents RUN --modality textual --graphml intents.graphml
    """
    path = graphml and require_out(graphml, (".graphml",), runs[0], option="--graphml")
    _require_learning()

    from hugraph.report.assignments import assignment_steps
    from hugraph.report.intents import describe_intents
    from hugraph.report.stability import stability

    experiment, model = _open(runs[0], data)
    others = [same_intents(run, data, experiment, model, runs[0]) for run in runs[1:]]
    _require_shown(model, level, modality)
    if graphml is not None and modality is None and len(model.assignments()) > 1:
        known = ", ".join(model.assignments())
        raise click.UsageError(f"--graphml shows one modality; choose it by --modality: {known}")
    seed = experiment.spec.seed
    described = describe_intents(model, experiment.dataset, top=top, seed=seed)
    steps = [assignment_steps(one) for one in (model, *others)]
    stable = stability(steps, seed=seed) if others else ()
    if path:
        _write_graphml(described, model, experiment.dataset, modality, path)
    shown = [
        (one, next((s for s in stable if (s.modality, s.level) == (one.modality, one.level)), None))
        for one in described
        if modality in (None, one.modality) and level in (None, one.level)
    ]
    names = {(i.modality, i.level, i.index): i.name for one in described for i in one.intents}
    if as_json:
        write_json(_tree(runs, experiment, shown))
        return
    _show_head(runs, experiment, model)
    if all(math.isinf(intent.chance) for one in described for intent in one.intents):
        write_line("the items have no texts, so that no terms can name the intents")
    for one, agreed in shown:
        write_line()
        _show_level(one, agreed, names)
        for intent in one.intents if details else ():
            if intent.used:
                write_line()
                _show_intent(intent, experiment.dataset, names)


def _require_learning() -> None:
    try:
        import hugraph.report.keywords  # noqa: F401
    except ModuleNotFoundError as error:
        raise ResourceError(
            f"naming intents needs {error.name}, which is not installed",
            fix="pip install 'hugraph[figures]'",
        ) from error


def _open(run: str, data: str | None) -> "tuple[Experiment, IntentModel]":
    from hugraph.assembly import runs
    from hugraph.interfaces import IntentModel
    from hugraph.train import RunDir

    experiment = runs.reopen(Path(run), data=data)
    model = runs.trained_model(experiment, RunDir(Path(run)))
    if not isinstance(model, IntentModel):
        raise RunError(
            f"{experiment.spec.model.name} has no intents that items are distributed over",
            at=run,
            fix="fit huign",
        )
    return experiment, model


def same_intents(
    run: str, data: str | None, first: "Experiment", model: "IntentModel", named: str
) -> "IntentModel":
    """The model of another run on the same data, with as many intents."""
    experiment, other = _open(run, data)
    if (experiment.dataset.fingerprint, experiment.dataset.item_ids.tolist()) != (
        first.dataset.fingerprint,
        first.dataset.item_ids.tolist(),
    ):
        raise RunError(
            f"it was fitted on other data than {named}, so that their intents cannot be matched",
            at=run,
            fix="name runs on the same data",
        )
    ours, theirs = _sizes(model), _sizes(other)
    if ours != theirs:
        raise RunError(
            f"it has intents {theirs}, and {named} has {ours}",
            at=run,
            fix="name runs that differ in nothing but their seeds",
        )
    return other


def _sizes(model: "IntentModel") -> dict[str, list[int]]:
    return {name: [step.shape[1] for step in steps] for name, steps in model.assignments().items()}


def _require_shown(model: "IntentModel", level: int | None, modality: str | None) -> None:
    sizes = _sizes(model)
    if modality is not None and modality not in sizes:
        raise click.UsageError(f"the run has no modality {modality!r}{hint(modality, sizes)}")
    most = max(map(len, sizes.values()))
    if level is not None and level > most:
        raise click.UsageError(f"the run has {count(most, 'level')}, not {level}")


def _show_head(runs: Sequence[str], experiment: "Experiment", model: "IntentModel") -> None:
    dataset, sizes = experiment.dataset, _sizes(model)
    levels = " + ".join(map(str, next(iter(sizes.values()))))
    synthetic = " (synthetic)" if dataset.synthetic else ""
    write_line(
        f"{experiment.spec.model.name} on {dataset.name}{synthetic}: {levels} intents in each of "
        f"{', '.join(sizes)}"
    )
    if len(runs) > 1:
        write_line(f"of {runs[0]}; stable: the agreement of {count(len(runs) - 1, 'other run')}")


def _show_level(
    one: "IntentLevel", agreed: "LevelStability | None", names: dict[tuple[str, int, int], str]
) -> None:
    write_line(f"{one.modality}, level {one.level}: {count(len(one.intents), 'intent')}")
    said = [f"entropy {one.entropy:.3f}", f"information {one.information:.3f}"]
    if not math.isnan(one.coherence):
        said.append(f"coherence {one.coherence:.2f} (shuffled {one.shuffled_coherence:.2f})")
    for column, match in one.agreement.items():
        ari = "" if match.ari is None else f", ARI {match.ari:.3f}"
        said.append(f"NMI with {column} {match.nmi:.3f} (shuffled {match.shuffled:.3f}){ari}")
    if agreed is not None:
        said.append(f"stable {agreed.mean:.2f} (shuffled {agreed.shuffled:.2f})")
    write_line("; ".join(said))
    strongest = [intent for intent in one.intents if intent.hard_size]
    kinds = Counter(intent.named_by for intent in strongest).most_common()
    by = ", ".join(f"{number} by {kind}" for kind, number in kinds)
    write_line(f"some item's strongest: {count(len(strongest), 'intent')}, named {by}")
    if one.remark:
        write_line(f"beware: {one.remark}")
    used = [intent for intent in one.intents if intent.used]
    rows = [
        (
            intent.index,
            intent.name,
            f"{intent.soft_size:.1%}",
            intent.hard_size,
            "" if intent.taste is None else f"{intent.taste:.1%}",
            f"{intent.popularity:+.2f}",
            f"{intent.keywords[0][1]:.2f}" if intent.keywords else "",
            *([f"{agreed.intents[intent.index]:.2f}"] if agreed is not None else []),
            *_relative(intent.parents, names, intent.modality, intent.level + 1),
            *_relative(intent.overlap, None, intent.modality, intent.level),
        )
        for intent in sorted(used, key=lambda intent: -intent.soft_size)
    ]
    parent = ["parent"] if any(intent.parents for intent in used) else []
    header = ["", "name", "share", "items", "taste", "popular", "keyword"]
    header += ["stable"] * (agreed is not None)
    write_table([*header, *parent, "most like"], rows)
    for remark in dict.fromkeys(intent.remark for intent in one.intents if intent.remark):
        those = [str(intent.index) for intent in one.intents if intent.remark == remark]
        write_line(f"{', '.join(those)}: {remark}")


def _relative(
    links: "Sequence[Link]",
    names: dict[tuple[str, int, int], str] | None,
    modality: str,
    level: int,
) -> list[str]:
    if not links:
        return []
    first = links[0]
    name = str(first.intent) if names is None else names[modality, level, first.intent]
    return [f"{name} {first.weight:.2f}"]


def _show_intent(
    intent: "Intent", dataset: "Dataset", names: dict[tuple[str, int, int], str]
) -> None:
    def label(item: int) -> str:
        return dataset.title(item) or str(dataset.item_ids[item])

    def related(links: "Sequence[Link]", level: int) -> str:
        return "; ".join(
            f"{names[intent.modality, level, link.intent]} {link.weight:.2f}"
            + ("" if math.isnan(link.lift) else f" ({link.lift:.2f} times the mean)")
            for link in links[:_FEW]
        )

    parts = {
        "keywords": ", ".join(f"{term} {weight:.2f}" for term, weight in intent.keywords),
        "items": "; ".join(f"{label(item)} {weight:.2f}" for item, weight in intent.typical),
        "parents": related(intent.parents, intent.level + 1),
        "children": related(intent.children, intent.level - 1),
        "siblings": related(intent.overlap, intent.level),
        "labels": "; ".join(
            f"{lift.label} {lift.lift:.2f} times the mean ({lift.column}, "
            f"{count(lift.items, 'item')})"
            for lift in intent.lifts
        ),
    }
    write_line(f"{intent.index}: {intent.name}")
    for kind, said in parts.items():
        if said:
            write_line(f"  {kind}: {said}")


def _write_graphml(
    described: "Sequence[IntentLevel]",
    model: "IntentModel",
    dataset: "Dataset",
    modality: str | None,
    path: Path,
) -> None:
    from hugraph.graph.hierarchy import intent_hierarchy, write_graphml
    from hugraph.report.assignments import assignment_steps

    chosen = modality or next(iter(model.assignments()))
    items = [dataset.title(i) or str(dataset.item_ids[i]) for i in range(dataset.num_items)]
    names = [[i.name for i in one.intents] for one in described if one.modality == chosen]
    graph = intent_hierarchy(
        assignment_steps(model)[chosen], item_labels=items, intent_labels=names
    )
    content = io.BytesIO()
    write_graphml(graph, content)
    write_out(path, content.getvalue(), option="--graphml")
    say(f"{count(len(graph), 'node')} and {count(graph.size(), 'edge')} in {path}", wrap=False)


def _tree(
    runs: Sequence[str],
    experiment: "Experiment",
    shown: "Sequence[tuple[IntentLevel, LevelStability | None]]",
) -> dict[str, Any]:
    dataset = experiment.dataset
    return {
        "runs": list(runs),
        "model": experiment.spec.model.name,
        "data": dataset.name,
        "synthetic": dataset.synthetic,
        "levels": [
            {
                "modality": one.modality,
                "level": one.level,
                "entropy": one.entropy,
                "information": one.information,
                "coherence": _finite(one.coherence),
                "shuffled_coherence": _finite(one.shuffled_coherence),
                "agreement": {
                    column: {
                        "nmi": match.nmi,
                        "shuffled": match.shuffled,
                        "ari": match.ari,
                        "items": match.items,
                    }
                    for column, match in one.agreement.items()
                },
                "stability": None
                if agreed is None
                else {"mean": agreed.mean, "shuffled": agreed.shuffled},
                "remark": one.remark,
                "intents": [
                    {
                        **_intent_tree(intent, dataset),
                        "stability": None if agreed is None else agreed.intents[intent.index],
                    }
                    for intent in one.intents
                ],
            }
            for one, agreed in shown
        ],
    }


def _intent_tree(intent: "Intent", dataset: "Dataset") -> dict[str, Any]:
    def links(of: "Sequence[Link]") -> list[dict[str, Any]]:
        return [
            {"intent": link.intent, "weight": link.weight, "lift": _finite(link.lift)}
            for link in of
        ]

    return {
        "intent": intent.index,
        "name": intent.name,
        "named_by": intent.named_by,
        "keywords": [{"term": term, "weight": weight} for term, weight in intent.keywords],
        "items": [
            {"item": str(dataset.item_ids[item]), "title": dataset.title(item), "weight": weight}
            for item, weight in intent.typical
        ],
        "used": intent.used,
        "share": intent.soft_size,
        "strongest_of": intent.hard_size,
        "taste": intent.taste,
        "popularity": intent.popularity,
        "chance": _finite(intent.chance),
        "coherence": _finite(intent.coherence),
        "parents": links(intent.parents),
        "children": links(intent.children),
        "siblings": links(intent.overlap),
        "lifts": [
            {"column": lift.column, "label": lift.label, "lift": lift.lift, "items": lift.items}
            for lift in intent.lifts
        ],
        "remark": intent.remark,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
