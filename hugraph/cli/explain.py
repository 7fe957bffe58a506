"""`hugraph explain`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.paths import PathName
from hugraph.cli.terminal import count, say, write_json, write_line, write_table
from hugraph.errors import DataError, RunError

if TYPE_CHECKING:
    from hugraph.assembly.experiment import Experiment
    from hugraph.data.dataset import Dataset
    from hugraph.interfaces import IntentColumn, IntentModel
    from hugraph.report.explanation import Explainer, Explanation
    from hugraph.report.fidelity import Fidelity, Mean

    Names = Mapping[IntentColumn, str]

_SHOWN = 5  # intents of an explanation


@click.command(short_help="Say why a run ranks an item for a user.")
@click.argument("run", type=PathName())
@click.option("--user", "-u", metavar="ID", help="The user's raw id.")
@click.option("--item", "-i", metavar="ID", help="The item's raw id; else the highest ranked ones.")
@click.option(
    "--k", "-k", default=5, show_default=True, type=click.IntRange(1), help="How many of those."
)
@click.option(
    "--fidelity", "faithful", is_flag=True, help="Measure how far intents can be trusted."
)
@click.option(
    "--users",
    "num_users",
    default=200,
    show_default=True,
    type=click.IntRange(1),
    help="Over how many users, drawn at random, --fidelity is measured.",
)
@click.option(
    "--data", type=PathName(), metavar="DIR", help="Where the dataset is now, if it has moved."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, with every intent.")
def explain(
    run: str,
    user: str | None,
    item: str | None,
    k: int,
    faithful: bool,
    num_users: int,
    data: str | None,
    as_json: bool,
) -> None:
    """Say why RUN ranks an item for a user.

    The score is taken apart without a remainder: what the user gives to the average item, what each
    intent adds, what ID embeddings add. An intent adds the user's taste for it, beyond the mean
    taste of its level, times how much more of it the item has than the average item. Beside it
    stand the user's training items that carry it most.

    --fidelity takes intents out of the vectors of users, those first that add most, and says how
    much faster the ranking changes than with intents in random order; and the reverse.

    \b
    hugraph explain RUN --user u17
    hugraph explain RUN --user u17 --item i3 --json
    hugraph explain RUN --fidelity --users 500
    """
    if faithful == (user is not None):
        raise click.UsageError("Give either --user ID or --fidelity.")
    if item is not None and user is None:
        raise click.UsageError("--item ID needs --user ID.")

    from hugraph.assembly import runs
    from hugraph.interfaces import IntentModel
    from hugraph.report.explanation import Explainer
    from hugraph.train import RunDir

    experiment = runs.reopen(Path(run), data=data)
    dataset = experiment.dataset
    asked = None if user is None else _historied(experiment, user)
    items = [] if item is None else [dataset.item_index(item)]
    model = runs.trained_model(experiment, RunDir(Path(run)))
    explainer = Explainer(model, experiment.known, experiment.train)
    name = experiment.spec.model.name or type(model).__name__
    if asked is None:
        if not explainer.intents:
            what = f"{name} has no intents whose fidelity could be measured"
            raise RunError(what, at=run, fix="fit huign")
        from hugraph.report.fidelity import drawn_users, fidelity

        seed = experiment.spec.seed
        found = fidelity(explainer, drawn_users(explainer, num_users, seed=seed), seed=seed)
        if as_json:
            write_json(_fidelity_tree(found))
        else:
            _show_fidelity(found, dataset)
        return
    explanations = [explainer.explain(asked, one) for one in items or explainer.top(asked, k)]
    names = _names(model, dataset, experiment.spec.seed) if isinstance(model, IntentModel) else {}
    if as_json:
        write_json(_tree(dataset, asked, explanations, names))
        return
    if not explainer.intents:
        say(f"note: {_lack(name, explainer)}")
    write_line(f"for user {user}" + (" (synthetic data)" if dataset.synthetic else ""))
    if not explanations:
        write_line("the user has every item already; there is nothing to recommend")
    for explanation in explanations:
        write_line()
        _show(dataset, explainer, explanation, names)


def _historied(experiment: "Experiment", user: str) -> int:
    index = experiment.dataset.user_index(user)
    if not (experiment.train.users == index).any():
        some = experiment.dataset.user_ids[int(experiment.train.users[0])]
        raise DataError(
            f"user {user!r} has no training interaction; nothing is known of their taste, so there "
            "is nothing to explain",
            fix=f"choose a user with a history, for example {some!r}",
        )
    return index


def _names(model: "IntentModel", dataset: "Dataset", seed: int) -> "Names":
    """What the intents are called after the texts of their items."""
    try:
        from hugraph.report.intents import column_names, describe_intents
    except ModuleNotFoundError as error:
        say(
            f"note: intents go by their numbers, as naming them needs {error.name}, which is not "
            "installed; pip install 'hugraph[figures]'"
        )
        return {}
    return column_names(model, dataset, describe_intents(model, dataset, seed=seed))


def _lack(name: str, explainer: "Explainer") -> str:
    """What a model without intents has to tell, and which one tells more."""
    how = (
        "its scores are taken apart no further than into the average and the rest"
        if explainer.vectors is not None
        else "and its scores are no products of vectors; they are only held against the average"
    )
    return f"{name} has no intents, {how}; fit huign to explain by intents"


def _show(
    dataset: "Dataset", explainer: "Explainer", explanation: "Explanation", names: "Names"
) -> None:
    from hugraph.report.explanation import sentence

    def label(item: int) -> str:
        return dataset.title(item) or f"item {dataset.item_ids[item]}"

    def listed(items: Sequence[int]) -> str:
        return ", ".join(label(item) for item in items)

    raw_id = dataset.item_ids[explanation.item]
    write_line(f"{label(explanation.item)} ({raw_id})")
    if explainer.vectors is not None:
        write_line(sentence(explanation, label, names))
    strongest = sorted(explanation.terms, key=lambda term: -abs(term.effect))[:_SHOWN]
    others = len(explanation.terms) - len(strongest)
    left = explanation.intents - sum(term.effect for term in strongest)
    rows: list[Sequence[object]] = [
        ("the average item", "", "", "", "", f"{explanation.average:.4f}", "")
    ]
    rows += [
        (
            names.get(term.column, f"intent {term.column.intent}"),
            term.column.level,
            term.column.modality or "",
            f"{term.taste:+.3f}",
            f"{term.presence:+.3f}",
            f"{term.effect:+.4f}",
            listed(term.evidence),
        )
        for term in strongest
    ]
    if others:
        rows.append((count(others, "more intent"), "", "", "", "", f"{left:+.4f}", ""))
    if explanation.terms:
        rows.append(("weight on all intents", "", "", "", "", f"{explanation.amount:+.4f}", ""))
    if explainer.vectors is None or None in explainer.columns:
        what = "ID embeddings" if explanation.terms else "above the average"
        rows.append((what, "", "", "", "", f"{explanation.rest:+.4f}", listed(explanation.kin)))
    rows.append(("score", "", "", "", "", f"{explanation.score:.4f}", ""))
    write_table(
        ("part", "level", "modality", "your taste", "its share", "adds", "as in your"), rows
    )


def _show_fidelity(found: "Fidelity", dataset: "Dataset") -> None:
    synthetic = " (synthetic data)" if dataset.synthetic else ""
    write_line(f"over {count(found.num_users, 'user')}{synthetic}; means with 95 % intervals")
    for curve in found.curves:
        of = f" of the first {found.k}" if curve.measure == "overlap" else ""
        verb = "out" if curve.direction == "deletion" else "in"
        write_line(
            f"\n{curve.direction}, {curve.measure}{of}: better than random by "
            f"{_interval(curve.gain)}"
        )
        rows = [
            (step, _interval(ours), _interval(theirs))
            for step, ours, theirs in zip(curve.steps, curve.explained, curve.random, strict=True)
        ]
        write_table((f"intents {verb}", "as explained", "at random"), rows)


def _interval(mean: "Mean") -> str:
    return f"{mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f})"


def _tree(
    dataset: "Dataset", user: int, explanations: "Sequence[Explanation]", names: "Names"
) -> dict[str, Any]:
    def item(index: int) -> dict[str, str]:
        return {"item": str(dataset.item_ids[index]), "title": dataset.title(index)}

    return {
        "user": str(dataset.user_ids[user]),
        "explanations": [
            {
                **item(one.item),
                "rank": one.rank,
                "score": one.score,
                "average": one.average,
                "intents": [
                    {
                        "name": names.get(term.column),
                        **term.column._asdict(),
                        "taste": term.taste,
                        "presence": term.presence,
                        "effect": term.effect,
                        "history": [item(index) for index in term.evidence],
                    }
                    for term in one.terms
                ],
                "amount": one.amount,
                "rest": one.rest,
                "history": [item(index) for index in one.kin],
            }
            for one in explanations
        ],
    }


def _fidelity_tree(found: "Fidelity") -> dict[str, Any]:
    return {
        "users": found.num_users,
        "k": found.k,
        "curves": [
            {
                "direction": curve.direction,
                "measure": curve.measure,
                "gain": _mean_tree(curve.gain),
                "steps": curve.steps,
                "explained": [_mean_tree(mean) for mean in curve.explained],
                "random": [_mean_tree(mean) for mean in curve.random],
            }
            for curve in found.curves
        ],
    }


def _mean_tree(mean: "Mean") -> dict[str, Any]:
    low, high = mean.low, mean.high
    return {"mean": mean.value, "interval": [low, high] if math.isfinite(low) else None}
