"""Some users with explained lists."""

from collections.abc import Mapping, Sequence

from hugraph.data.dataset import Dataset
from hugraph.interfaces import IntentColumn
from hugraph.report.explanation import Explainer, Explanation, intent_name, sentence
from hugraph.report.page import Block, Cell, Details, Prose, Section
from hugraph.report.sections.cells import counted, four, table_of

_HISTORY = 8  # items of a user that are shown


def users(
    explainer: Explainer,
    chosen: Sequence[int],
    tested: Mapping[int, set[int]],
    dataset: Dataset,
    names: Mapping[IntentColumn, str],
    k: int = 5,
) -> Section:
    """Some users with what they have, what they are shown, and why.

    Args:
        explainer: Of the model.
        chosen: The users.
        tested: By user, the items of the test.
        dataset: Whose items are named.
        names: Of the intents that have one.
        k: How many items are explained to each.
    """

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
        reasons: list[Block] = []
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
                    four(found.score),
                    _strongest(found, names),
                ]
            )
            reasons += [Prose(why)] * bool(why)
        header = ["rank", "item", "in the test", "score", "what adds most"]
        history = ", ".join(map(label, owned[:_HISTORY]))
        table = table_of(f"The first {len(rows)} for {dataset.user_ids[user]}", header, rows)
        blocks.append(
            Details(
                f"User {dataset.user_ids[user]}, with {counted(len(owned), 'training item')}",
                [Prose(f"Has {history}{more}."), table, *reasons],
                open=place == 0,
            )
        )
    return Section("users", "Users", blocks)


def _strongest(found: Explanation, names: Mapping[IntentColumn, str]) -> str:
    parts = [(_whose(term.column, names), term.effect) for term in found.terms]
    parts += [("the rest", found.rest), ("its weight on all intents", found.amount)]
    strongest = sorted(parts, key=lambda part: -abs(part[1]))[:3]
    return "; ".join(f"{name} {effect:+.3f}" for name, effect in strongest if effect)


def _whose(column: IntentColumn, names: Mapping[IntentColumn, str]) -> str:
    modality = f" ({column.modality})" if column.modality else ""
    return f"{intent_name(column, names)}{modality}"
