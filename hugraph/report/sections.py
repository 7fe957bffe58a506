"""The parts of a report on one run: numbers, pictures and sentences, from what a run has left."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hugraph.data.dataset import Dataset
from hugraph.interfaces import IntentColumn
from hugraph.report import figures
from hugraph.report.explanation import Explainer, Explanation, intent_name, sentence
from hugraph.report.exposure import Exposure
from hugraph.report.fidelity import Fidelity, Mean
from hugraph.report.intents import Intent, IntentLevel, intent_names
from hugraph.report.labels import between
from hugraph.report.page import (
    Block,
    Cell,
    Code,
    Details,
    Facts,
    Number,
    Picture,
    Plot,
    Prose,
    Section,
    Table,
)
from hugraph.report.runs import Epoch
from hugraph.report.stability import LevelStability
from hugraph.report.statistics import bootstrap_interval, paired_test
from hugraph.report.tree import Branch, intent_tree, telling
from hugraph.report.views import Heat, ItemSpace, by_modality, measured

_DPI = 110
_HISTORY = 8  # items of a user that are shown
_TITLE = 80  # characters of a title in a plot
_FEW = 5  # keywords and items in a hover


def run_card(
    record: Mapping[str, Any], result: Mapping[str, Any], spec: str, dataset: Dataset
) -> Section:
    """What was fitted, on what, by what, and how long it took.

    Args:
        record: What `run.json` holds.
        result: What `result.json` holds.
        spec: What `spec.yaml` holds.
        dataset: The data.
    """
    data, counts, machine = record["data"], record["split_counts"], record["environment"]
    versions = {name: str(value) for name, value in machine.items()}
    values = {
        "model": record["model"],
        "data": f"{data['name']}{' (synthetic)' if data['synthetic'] else ''}",
        "users": f"{dataset.num_users:,}",
        "items": f"{dataset.num_items:,}",
        "interactions": f"{dataset.num_interactions:,}",
        "modalities": ", ".join(dataset.features) or "none",
        "training, validation, test": ", ".join(
            f"{counts[part]:,}" for part in ("train", "validation", "test") if part in counts
        ),
        "epochs": f"{result['epochs']}, the best {result['best_epoch']}",
        "seconds of training": f"{result['seconds']:,}",
        "hash of the split": record["split_hash"][:16],
        "hash of the data": data["fingerprint"][:16],
        **versions,
    }
    warnings = [Prose(text, beware=True) for text in data["warnings"]]
    headline = Facts(_headline(result), large=True)
    more = Details("The spec", [Code(spec)])
    return Section("run", "Run", [headline, *warnings, Facts(values), more])


def metrics(
    model: str,
    result: Mapping[str, Any],
    ours: Mapping[str, NDArray[np.float64]],
    theirs: Mapping[str, NDArray[np.float64]],
) -> Section:
    """The test beside that of popularity.

    Args:
        model: Its name.
        result: What `result.json` holds.
        ours: By metric, the score of each user.
        theirs: The scores of popularity for the same users.
    """
    rows: list[list[Cell]] = []
    for name, value in result["test"].items():
        if name == "users":
            continue
        baseline = result["popularity"].get(name, math.nan)
        row: list[Cell] = [name, _number(value)]
        if name in ours and name in theirs:
            test = paired_test(ours[name], theirs[name])
            row += [
                _interval(*bootstrap_interval(ours[name])),
                _number(baseline),
                _ratio(value, baseline),
                Number(test.difference, f"{test.difference:+.4f}"),
                _interval(*test.interval),
                f"{test.wins:,} / {test.ties:,} / {test.losses:,}",
            ]
        else:
            row += ["", _number(baseline), _ratio(value, baseline), "", "", ""]
        rows.append(row)
    header = ["metric", model, "95 % interval", "popularity", "ratio", "difference"]
    header += ["95 % interval", "users better / equal / worse"]
    caption = f"Test metrics over {result['test']['users']:,} users"
    how = Prose(
        "Popularity shows everybody the items with most training interactions, and is what any "
        "model must beat. Intervals are bootstrapped over users; the difference is paired."
    )
    return Section("metrics", "Metrics", [_table(caption, header, rows), how])


def training(epochs: Sequence[Epoch], best_epoch: int) -> Section:
    """The learning curves.

    Args:
        epochs: Of the run.
        best_epoch: Whose weights the model has.
    """
    if not epochs:
        said = Prose("The model has no parameters to train, so there are no learning curves.")
        return Section("training", "Training", [said])
    panels = measured(epochs)
    drawn = figures.curves(panels, best_epoch)
    text = f"Each loss term and validation metric by epoch; the best, {best_epoch}, is dotted."
    columns = [line for lines in panels.values() for line in lines]
    rows: list[list[Cell]] = [
        [
            epoch.number,
            *(_shortest({**epoch.terms, **epoch.validation}.get(column)) for column in columns),
        ]
        for epoch in epochs
    ]
    table = Table("Terms, unweighted, and validation metrics", ["epoch", *columns], rows)
    return Section(
        "training",
        "Training",
        [Prose(text), _svg(drawn, text), Details("The numbers", [table])],
    )


def item_graph(edges: Mapping[int, int], chosen: int | None) -> Section:
    """How many edges the item graph has at each threshold.

    Args:
        edges: By threshold.
        chosen: That of the run.
    """
    text = (
        "Two items are joined if at least so many users have both in training. The bars are those "
        "of Figure 3 of the HUIGN paper"
    )
    text += f"; the run's threshold, {chosen}, stands out." if chosen else "."
    table = Table(
        "Edges by threshold",
        ["least number of common users", "edges"],
        [[threshold, Number(count, f"{count:,}")] for threshold, count in edges.items()],
    )
    drawn = _svg(figures.histogram(edges, chosen), text)
    return Section("graph", "Item graph", [Prose(text), drawn, Details("The numbers", [table])])


def intents(
    levels: Sequence[IntentLevel], dataset: Dataset
) -> tuple[Section, dict[str, list[dict[str, Any]]]]:
    """The tree and the table of intents, and what the page's script draws of them.

    Args:
        levels: Of all modalities.
        dataset: Whose items are named.
    """

    def label(item: int) -> str:
        return dataset.title(item) or str(dataset.item_ids[item])

    modalities = by_modality(levels)
    trees = {name: intent_tree(own) for name, own in modalities.items()}
    text = (
        "Sizes are shares of all assignments. Coarse intents are inside, finer ones outside; each "
        "stands under its strongest parent. Point at one for its keywords and items, click to "
        "enlarge; the table below has the same."
    )
    still = _svg(figures.tree(trees), "The intents as a tree, with their names and sizes.")
    blocks: list[Block] = []
    if doubted := [f"{one.modality} {one.level}" for one in levels if one.remark]:
        said = f"Not to be believed as they stand: levels {', '.join(doubted)}; the table says why."
        blocks.append(Prose(said, beware=True))
    dropped = [one for one in levels if not one.tells_apart and one.level > 1]
    if dropped:
        blocks.append(Prose("Levels that do not tell items apart are left out of the tree."))
    blocks += [Plot("tree", text, still), _level_table(levels)]
    for name, own in modalities.items():
        for one in own:
            blocks.append(
                Details(
                    f"{name}, level {one.level}: {len(one.intents)} intents",
                    [_intent_table(one, own, label)],
                    open=one is own[0] and name == next(iter(modalities)),
                )
            )
    drawn = {
        name: [
            {"id": "root", "parent": "", "name": name, "size": 0, "branch": None,
             "said": []},
            *_nodes(branches, "root", label),
        ]
        for name, branches in trees.items()
    }  # fmt: skip
    return Section("intents", "Intents", blocks), drawn


def items(
    spaces: Mapping[str, ItemSpace],
    layouts: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
    shown: NDArray[np.int64],
    dataset: Dataset,
) -> tuple[Section, dict[str, Any]]:
    """Items in three and in two dimensions, and what the page's script draws of them.

    Args:
        spaces: By modality.
        layouts: By modality, the places of the items in three and in two dimensions.
        shown: Which items these are.
        dataset: Whose titles are shown.
    """

    def views(name: str, dimension: int) -> list[tuple[str, figures.Cloud]]:
        space, points = spaces[name], layouts[name][dimension]
        if not space.levels:
            return [(name, figures.Cloud(points, np.zeros(len(shown), np.int64), ""))]
        return [
            (
                f"{name}, level {level.level}",
                figures.Cloud(
                    points,
                    strongest[shown],
                    "strongest intent",
                    [intent.name for intent in level.intents],
                ),
            )
            for level, strongest in zip(space.levels, space.strongest, strict=True)
        ]

    solid = figures.clouds(dict(views(name, 0)[-1] for name in spaces))
    flat = figures.clouds(dict(view for name in spaces for view in views(name, 1)))
    whose = "their strongest intent" if any(s.levels for s in spaces.values()) else "one kind"
    text = (
        f"Items placed by t-SNE in three dimensions, coloured by {whose}. Drag or use the arrow "
        "keys to turn, point at an item for its title, click a name to hide its items."
    )
    some = len(shown) < dataset.num_items
    blocks: list[Block] = [
        Prose(
            "t-SNE keeps near items near; distances between groups and their sizes mean little."
            + (f" Shown are {len(shown):,} of {dataset.num_items:,} items, drawn at random." * some)
        ),
        Plot("items", text, _png(solid, text)),
        Prose("The same by t-SNE in two dimensions, at each level that tells items apart:"),
        _png(flat, "Items in two dimensions, coloured by their strongest intent."),
    ]
    titles = [dataset.title(item) or str(dataset.item_ids[item]) for item in shown.tolist()]
    drawn = {
        "titles": [title[:_TITLE] for title in titles],
        "spaces": {
            name: {
                **dict(zip("xyz", _coordinates(layouts[name][0]), strict=True)),
                "levels": [
                    {
                        "level": level.level,
                        "strongest": strongest[shown].tolist(),
                        "intents": [intent.name for intent in level.intents],
                    }
                    for level, strongest in zip(space.levels, space.strongest, strict=True)
                ],
            }
            for name, space in spaces.items()
        },
    }
    return Section("items", "Items", blocks), drawn


def assignments(panels: Mapping[str, Sequence[Heat]]) -> list[Block]:
    """The heat maps of assignments.

    Args:
        panels: By modality.
    """
    text = (
        "Assignments of items to intents, and of intents to those above them, alike beside alike; "
        "the bar beside each gives the weights. Clear blocks are clear intents; a level of even "
        "colour says nothing."
    )
    return [Prose(text), _png(figures.heatmap(panels), text)]


def modality_agreement(spaces: Mapping[str, ItemSpace], seed: int) -> list[Block]:
    """Whether modalities sort the items alike.

    Args:
        spaces: By modality.
        seed: Of the shuffles.
    """
    if len(spaces) < 2:
        return [Prose("The model has one modality, so there is no other to compare it with.")]
    rng = np.random.default_rng(seed)
    rows: list[list[Cell]] = []
    for (one, first), (other, second) in combinations(spaces.items(), 2):
        for level, (mine, theirs) in enumerate(
            zip(first.strongest, second.strongest, strict=False), start=1
        ):
            found = between(mine, theirs, rng)
            rows.append([f"{one}, {other}", level, _three(found.nmi), _three(found.shuffled)])
    header = ["modalities", "level", "NMI", "NMI, items shuffled"]
    text = (
        "Normalised mutual information of the items' strongest intents: 1 if both modalities sort "
        "items into the same groups; beside it, what chance gives."
    )
    return [Prose(text), Table("Agreement of modalities", header, rows)]


def lists(groups: Mapping[str, Exposure], k: int) -> Section:
    """Whether lists show all items or only popular ones.

    Args:
        groups: The lists of the model and of popularity, and the interactions, by name.
        k: Length of the lists.
    """
    text = (
        f"Left, how the places of everybody's {k} best items are shared among items, from the most "
        "popular tenth to the least; right, how unevenly: the dotted line is all items alike."
    )
    rows: list[list[Cell]] = [
        [
            name,
            Number(one.coverage, f"{one.coverage:.1%}"),
            _three(one.gini),
            Number(one.tenths[0], f"{one.tenths[0]:.1%}"),
            Number(sum(one.tenths[5:]), f"{sum(one.tenths[5:]):.1%}"),
        ]
        for name, one in groups.items()
    ]
    header = ["whose", "items shown at all", "Gini", "share of the most popular tenth"]
    header += ["share of the less popular half"]
    table = Table(f"Lists of {k} items for every user", header, rows)
    return Section(
        "lists",
        "Popularity and coverage",
        [table, Prose(text), _svg(figures.exposures(groups), text)],
    )


def users(
    explainer: Explainer,
    chosen: Sequence[int],
    tested: Mapping[int, set[int]],
    dataset: Dataset,
    levels: Sequence[IntentLevel],
    k: int = 5,
) -> Section:
    """Some users with what they have, what they are shown, and why.

    Args:
        explainer: Of the model.
        chosen: The users.
        tested: By user, the items of the test.
        dataset: Whose items are named.
        levels: Of intents, for the names.
        k: How many items are explained to each.
    """
    names = intent_names(levels)

    def label(item: int) -> str:
        return dataset.title(item) or f"item {dataset.item_ids[item]}"

    blocks: list[Block] = [
        Prose(
            "Drawn at random. A score is what the average item gets, plus what each intent adds, "
            "plus the rest, without a remainder; items that the user took to in the test are "
            "marked."
        )
    ]
    for place, user in enumerate(chosen):
        owned = explainer.history.items[explainer.history.users == user].tolist()
        more = f", and {len(owned) - _HISTORY:,} more" if len(owned) > _HISTORY else ""
        rows: list[list[Cell]] = []
        for item in explainer.top(user, k):
            found = explainer.explain(user, item)
            why = sentence(found, label, names) if explainer.vectors is not None else ""
            for name in names.values():
                why = why.replace(f"*{name}*", f"“{name}”")
            rows.append(
                [
                    found.rank or 0,
                    label(item),
                    "yes" if item in tested.get(user, ()) else "",
                    _number(found.score),
                    _strongest(found, names),
                    why,
                ]
            )
        header = ["rank", "item", "in the test", "score", "what adds most", "in words"]
        history = ", ".join(map(label, owned[:_HISTORY]))
        table = _table(f"The first {len(rows)} for {dataset.user_ids[user]}", header, rows)
        blocks.append(
            Details(
                f"User {dataset.user_ids[user]}, with {len(owned):,} training items",
                [Prose(f"Has {history}{more}."), table],
                open=place == 0,
            )
        )
    return Section("users", "Users", blocks)


def faithfulness(found: Fidelity | None, lack: str) -> Section:
    """Whether the named intents are those that the ranking rests on.

    Args:
        found: The measure, of a model with intents.
        lack: What is said of one without.
    """
    if found is None:
        return Section("fidelity", "Fidelity", [Prose(lack)])
    panels = {
        f"{curve.direction}, {curve.measure}": {
            name: figures.Band(
                curve.steps,
                [mean.value for mean in means],
                [mean.low if math.isfinite(mean.low) else mean.value for mean in means],
                [mean.high if math.isfinite(mean.high) else mean.value for mean in means],
            )
            for name, means in (("as explained", curve.explained), ("at random", curve.random))
        }
        for curve in found.curves
    }
    text = (
        "Intents are taken out of the users' vectors (deletion) or put back (insertion), those "
        "first that an explanation names first, or in random order. The further the lines part, "
        "the more the ranking rests on the named intents; flat lines rest on something else."
    )
    rows: list[list[Cell]] = [
        [
            curve.direction,
            curve.measure,
            Number(curve.gain.value, f"{curve.gain.value:+.4f}"),
            _of_mean(curve.gain),
        ]
        for curve in found.curves
    ]
    caption = f"How much better than random, over {found.num_users:,} users"
    table = Table(caption, ["direction", "measure", "gain", "95 % interval"], rows)
    drawn = _svg(figures.bands(panels, "intents taken out, or put back"), text)
    return Section("fidelity", "Fidelity", [table, Prose(text), drawn])


def stable(found: Sequence[LevelStability], levels: Sequence[IntentLevel], runs: int) -> Section:
    """Whether other seeds find the same intents.

    Args:
        found: By level; none if no other run is there.
        levels: For the names.
        runs: How many other runs.
    """
    if not found:
        said = Prose(
            "One run cannot say whether another seed finds the same intents: fit the spec with "
            "other seeds, and name those runs with --beside."
        )
        return Section("stability", "Stability", [said])
    rows: list[list[Cell]] = [
        [one.modality, one.level, _three(one.mean), _three(one.shuffled)] for one in found
    ]
    of_intents: list[list[Cell]] = [
        [intent.name, level.modality, level.level, _three(agreed)]
        for one in found
        for level in levels
        if (level.modality, level.level) == (one.modality, one.level)
        for intent, agreed in zip(level.intents, one.intents, strict=True)
        if intent.used
    ]
    text = (
        f"Intents of {runs} other run{'s' * (runs > 1)} are matched one to one with these. The "
        "agreement is the correlation of the assignments: 1 for the same intent, beside it what "
        "matching alone gives."
    )
    header = ["modality", "level", "agreement", "agreement, items shuffled"]
    by_intent = Table("By intent", ["intent", "modality", "level", "agreement"], of_intents)
    return Section(
        "stability",
        "Stability",
        [Prose(text), Table("By level", header, rows), Details("Intent by intent", [by_intent])],
    )


def _headline(result: Mapping[str, Any]) -> dict[str, str]:
    """The test metrics at the first cut-off, beside those of popularity."""
    metrics = [name for name in result["test"] if name != "users"]
    cut = metrics[0].partition("@")[2] if metrics else ""
    shown = {}
    for name in metrics:
        value, baseline = result["test"][name], result["popularity"].get(name, 0.0)
        if name.partition("@")[2] == cut:
            times = f" ({value / baseline:.1f}× popularity)" if baseline else ""
            shown[f"{name}{times}"] = f"{value:.4f}"
    return shown


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table without the columns that are empty in every row."""
    kept = [column for column in range(len(header)) if any(row[column] != "" for row in rows)]
    shown = [[row[column] for column in kept] for row in rows]
    return Table(caption, [header[column] for column in kept], shown)


def _level_table(levels: Sequence[IntentLevel]) -> Table:
    columns = [*dict.fromkeys(column for one in levels for column in one.agreement)]
    rows: list[list[Cell]] = []
    for one in levels:
        row: list[Cell] = [one.modality, one.level, len(one.intents)]
        row += [_three(one.entropy), _three(one.information), _three(one.coherence)]
        row.append(_three(one.shuffled_coherence))
        for column in columns:
            match = one.agreement.get(column)
            row += [_three(match.nmi), _three(match.shuffled)] if match else ["", ""]
        rows.append([*row, one.remark])
    header = ["modality", "level", "intents", "entropy", "information", "coherence"]
    header.append("coherence, shuffled")
    for column in columns:
        header += [f"NMI with {column}", "shuffled"]
    header.append("remark")
    return _table("How far each level tells items apart, and how far to believe it", header, rows)


def _intent_table(
    level: IntentLevel, levels: Sequence[IntentLevel], label: Callable[[int], str]
) -> Table:
    above = next((one for one in telling(levels) if one.level == level.level + 1), None)
    rows: list[list[Cell]] = []
    for intent in sorted(level.intents, key=lambda one: -one.soft_size):
        if not intent.used:
            continue
        parent = intent.parents[0] if intent.parents and above is not None else None
        rows.append(
            [
                intent.name,
                Number(intent.soft_size, f"{intent.soft_size:.1%}"),
                intent.hard_size,
                "" if intent.taste is None else Number(intent.taste, f"{intent.taste:.1%}"),
                ", ".join(f"{term} {weight:.2f}" for term, weight in intent.keywords[:_FEW]),
                "; ".join(label(item) for item, _ in intent.typical[:_FEW]),
                f"{above.intents[parent.intent].name} {parent.weight:.0%}"
                if parent and above
                else "",
                _labels(intent),
                _three(intent.coherence),
                intent.remark,
            ]
        )
    left_out = len(level.intents) - len(rows)
    caption = f"Intents of {level.modality}, level {level.level}"
    caption += f"; {left_out} without items are left out" if left_out else ""
    header = ["name", "share", "items", "taste", "keywords", "most typical items", "parent"]
    return _table(caption, [*header, "labels", "coherence", "remark"], rows)


def _labels(intent: Intent) -> str:
    several = len({lift.column for lift in intent.lifts}) > 1
    return "; ".join(
        f"{f'{lift.column}: ' * several}{lift.label} ×{lift.lift:.1f}" for lift in intent.lifts[:3]
    )


def _nodes(
    branches: Sequence[Branch], parent: str, label: Callable[[int], str], root: int | None = None
) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    for place, one in enumerate(branches):
        intent, color = one.intent, place if root is None else root
        name = f"{intent.level}/{intent.index}"
        nodes.append(
            {
                "id": name,
                "parent": parent,
                "name": intent.name,
                "size": 0 if one.children else round(intent.soft_size, 6),
                "branch": color,
                "said": _said(intent, one.weight if root is not None else None, label),
            }
        )
        nodes += _nodes(one.children, name, label, color)
    return nodes


def _said(intent: Intent, weight: float | None, label: Callable[[int], str]) -> list[str]:
    said = [f"{intent.soft_size:.1%} of all assignments, {intent.hard_size:,} items"]
    if weight is not None:
        said.append(f"to the intent above: {weight:.0%}")
    if intent.keywords:
        said.append(f"keywords: {', '.join(term for term, _ in intent.keywords[:_FEW])}")
    said += [label(item)[:_TITLE] for item, _ in intent.typical[:_FEW]]
    return said


def _strongest(found: Explanation, names: Mapping[IntentColumn, str]) -> str:
    parts = [(_whose(term.column, names), term.effect) for term in found.terms]
    parts += [("the rest", found.rest), ("its weight on all intents", found.amount)]
    strongest = sorted(parts, key=lambda part: -abs(part[1]))[:3]
    return "; ".join(f"{name} {effect:+.3f}" for name, effect in strongest if effect)


def _whose(column: IntentColumn, names: Mapping[IntentColumn, str]) -> str:
    modality = f" ({column.modality})" if column.modality else ""
    return f"{intent_name(column, names)}{modality}"


def _coordinates(points: NDArray[np.float32]) -> list[list[int]]:
    """Columns of whole numbers within ±1000, which are short in a file."""
    centred = points - (points.max(axis=0) + points.min(axis=0)) / 2
    scale = max(float(np.abs(centred).max()), 1e-12)
    columns: list[list[int]] = np.rint(centred / scale * 1000).astype(int).T.tolist()
    return columns


def _number(value: float) -> Cell:
    return Number(value, f"{value:.4f}") if math.isfinite(value) else ""


def _three(value: float) -> Cell:
    return Number(value, f"{value:.3f}") if math.isfinite(value) else ""


def _shortest(value: float | None) -> Cell:
    return "" if value is None else Number(value, f"{value:.4g}")


def _ratio(value: float, baseline: float) -> Cell:
    return Number(value / baseline, f"{value / baseline:.2f}×") if baseline else ""


def _interval(low: float, high: float) -> str:
    return f"{low:.4f} to {high:.4f}" if math.isfinite(low) else "unbounded"


def _of_mean(mean: Mean) -> str:
    return _interval(mean.low, mean.high)


def _svg(figure: Any, text: str) -> Picture:
    return Picture(figures.image(figure, "svg"), "svg", text)


def _png(figure: Any, text: str) -> Picture:
    return Picture(figures.image(figure, "png", dpi=_DPI), "png", text)
