"""The intents of a modality as a tree, each under the one intent that it belongs to most."""

from collections.abc import Sequence
from typing import NamedTuple

from hugraph.report.intents import Intent, IntentLevel


class Branch(NamedTuple):
    """An intent with those below it."""

    intent: Intent
    weight: float  # of its assignment to the intent above; 1 for those at the top
    children: tuple["Branch", ...]  # the largest first


def telling(levels: Sequence[IntentLevel]) -> tuple[IntentLevel, ...]:
    """The levels up to the coarsest one that tells items apart; at least the finest.

    Args:
        levels: Of one modality, the finest first.
    """
    known = [place for place, level in enumerate(levels) if level.tells_apart]
    return tuple(levels[: 1 + max(known, default=0)])


def intent_tree(levels: Sequence[IntentLevel]) -> tuple[Branch, ...]:
    """The coarsest intents of a modality with those below them, the largest first.

    Assignments are soft: an intent is drawn under its strongest parent alone, with the weight of
    that assignment. Left out are intents without items, and levels that do not tell items apart.

    Args:
        levels: Of one modality, the finest first.
    """
    shown = telling(levels)

    def branches(place: int, parent: int | None) -> tuple[Branch, ...]:
        if place < 0:
            return ()
        mine = [
            (intent, intent.parents[0].weight if parent is not None else 1.0)
            for intent in shown[place].intents
            if parent is None or intent.parents[0].intent == parent
        ]
        found = [
            Branch(intent, weight, branches(place - 1, intent.index)) for intent, weight in mine
        ]
        kept = [one for one in found if one.children or one.intent.used]
        return tuple(sorted(kept, key=lambda one: (-_size(one), one.intent.index)))

    return branches(len(shown) - 1, None)


def in_order(branches: Sequence[Branch]) -> list[list[int]]:
    """The intents of each level as the tree shows them from top to bottom, the finest level first.

    Args:
        branches: The coarsest ones.
    """
    if not branches:
        return []
    below = in_order([child for branch in branches for child in branch.children])
    return [*below, [branch.intent.index for branch in branches]]


def _size(branch: Branch) -> float:
    return branch.intent.soft_size
