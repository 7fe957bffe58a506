"""Whether the intents that an explanation names are those that the ranking rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hugraph.interfaces import DotProduct
from hugraph.report.explanation import Explainer
from hugraph.report.statistics import bootstrap_interval
from hugraph.seed import stream

Direction = Literal["deletion", "insertion"]
Measure = Literal["reciprocal rank", "overlap"]

_DIRECTIONS: tuple[Direction, ...] = ("deletion", "insertion")
_MEASURES: tuple[Measure, ...] = ("reciprocal rank", "overlap")


class Mean(NamedTuple):
    """A mean over users and its 95 % bootstrap interval, which is unbounded for one user."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """What becomes of a ranking as intents go, or come, one after another.

    Attributes:
        direction: `deletion` begins with all intents, `insertion` with none.
        measure: `reciprocal rank` of the explained item, or `overlap` of the list with the model's.
        steps: How many intents are gone, or are there.
        explained: By step, with intents in the order of the explanation.
        random: By step, with intents in random order.
        gain: How much better the explanation's order is than random ones, as a mean over the steps:
            how much lower under deletion, higher under insertion. Positive is faithful.
    """

    direction: Direction
    measure: Measure
    steps: tuple[int, ...]
    explained: tuple[Mean, ...]
    random: tuple[Mean, ...]
    gain: Mean


@dataclass(frozen=True)
class Fidelity:
    """How far the named intents carry the ranking.

    Attributes:
        num_users: Over how many users the means are taken.
        k: Length of the lists whose overlap is measured.
        curves: Deletion and insertion, each by both measures.
    """

    num_users: int
    k: int
    curves: tuple[Curve, ...]


def drawn_users(explainer: Explainer, num_users: int, *, seed: int = 0) -> list[int]:
    """Users with a history, as many as asked for or all, drawn at random; in ascending order."""
    historied = np.unique(explainer.history.users.cpu().numpy())
    drawn = stream(seed, "fidelity users").permutation(historied)[:num_users]
    chosen: list[int] = np.sort(drawn).tolist()
    return chosen


def fidelity(
    explainer: Explainer,
    users: Sequence[int],
    *,
    k: int = 10,
    repeats: int = 3,
    seed: int = 0,
) -> Fidelity:
    r"""Takes intents out of users' vectors, and looks at what the model then ranks.

    Explained is the item that the model ranks first. Its intents are ordered by their effects, the
    strongest first. An intent is taken out by setting the user's taste for it to the mean taste of
    the level, which changes every item's score by what an explanation calls the intent's effect, up
    to a constant; IDs stay. After 0, 1, 2, 4, 8, ... and all of them, the reciprocal rank of the
    item is taken, ties counting half, and the share of the list's `k` items that are still among
    the first `k`. Under insertion all are out at first and come back in that order.

    A score falls fastest in this order by construction; a rank need not, as the rivals of an item
    often share its intents. Where the rest of the vectors decides alone, all curves are flat.

    Args:
        explainer: Of a model with intents.
        users: Over whom means are taken; those who have at most one item left are passed over.
        k: Length of the list.
        repeats: How many random orders each user gets; their mean counts.
        seed: Of the random orders.

    Raises:
        ValueError: If the model has no intents, or no user is left.

    Source:
        Deletion and insertion of [Petsiuk et al. 2018](https://arxiv.org/abs/1806.07421), section
        3.2, for entries of a vector in the place of pixels. Departures: ranks in the place of
        probabilities, random orders as the reference, steps that double, and a plain mean over them
        in the place of the area.
    """
    vectors, num_intents = explainer.vectors, len(explainer.intents)
    if vectors is None or not num_intents:
        raise ValueError("fidelity is that of intents, and the model has none")
    if k < 1 or repeats < 1:
        raise ValueError(f"k and repeats must be at least 1, got {k} and {repeats}")
    steps = [0, *(2**power for power in range(num_intents.bit_length())), num_intents]
    steps = sorted({step for step in steps if step <= num_intents})
    measured = []
    for user in users:
        if explainer.num_items - len(explainer.known_to(user)) > 1:
            random = stream(seed, "fidelity", user)
            measured.append(_measure(explainer, vectors, user, k, steps, repeats, random))
    if not measured:
        raise ValueError("no user has more than one item left to rank")
    curves = np.stack(measured)  # (users, orders, directions, measures, steps)
    return Fidelity(len(measured), k, tuple(_curves(curves, steps)))


@torch.no_grad()
def _measure(
    explainer: Explainer,
    vectors: DotProduct,
    user: int,
    k: int,
    steps: Sequence[int],
    repeats: int,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Both measures `(orders, directions, 2, steps)`: the explanation's order, then random ones."""
    listed = explainer.top(user, k)
    full = vectors.users[user]
    device = full.device
    centred = explainer.centred(full)
    entries = explainer.entries
    neutral = full.clone()
    neutral[entries] -= centred[entries]
    effects = (centred * (vectors.items[listed[0]] - explainer.mean.to(full)))[entries]
    orders = [effects.argsort(descending=True, stable=True)]
    orders += [torch.from_numpy(random.permutation(len(entries))) for _ in range(repeats)]
    variants = []
    for order in orders:
        ordered = entries[order.to(device)]
        for begin, end in ((full, neutral), (neutral, full)):
            for step in steps:
                variant = begin.clone()
                variant[ordered[:step]] = end[ordered[:step]]
                variants.append(variant)
    scores = torch.stack(variants) @ vectors.items.T
    scores[:, explainer.known_to(user)] = float("-inf")
    best = scores.sort(dim=1, descending=True, stable=True).indices[:, : len(listed)]
    kept = torch.isin(best, torch.tensor(listed, device=device)).sum(dim=1) / len(listed)
    target = scores[:, listed[0], None]
    ranks = 1 + (scores > target).sum(dim=1) + ((scores == target).sum(dim=1) - 1) / 2
    both = torch.stack([1 / ranks, kept], dim=1).double().cpu().numpy()
    return both.reshape(len(orders), 2, len(steps), 2).swapaxes(2, 3)


def _curves(curves: NDArray[np.float64], steps: Sequence[int]) -> list[Curve]:
    explained, random = curves[:, 0], curves[:, 1:].mean(axis=1)
    found = []
    for d, direction in enumerate(_DIRECTIONS):
        for m, measure in enumerate(_MEASURES):
            ours, theirs = explained[:, d, m], random[:, d, m]
            better = ours - theirs if direction == "insertion" else theirs - ours
            found.append(
                Curve(
                    direction=direction,
                    measure=measure,
                    steps=tuple(steps),
                    explained=tuple(_mean(column) for column in ours.T),
                    random=tuple(_mean(column) for column in theirs.T),
                    gain=_mean(better.mean(axis=1)),
                )
            )
    return found


def _mean(values: NDArray[np.float64]) -> Mean:
    return Mean(float(values.mean()), *bootstrap_interval(values))
