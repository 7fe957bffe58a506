"""Full ranking: every item a user has not seen competes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, MinLen
from numpy.typing import NDArray
from torch import Tensor

from hugraph.checks import check_options
from hugraph.errors import DataError, SpecError, hint
from hugraph.interfaces import Interactions, Scorer
from hugraph.metrics import LIST_METRICS, METRICS, Hits, ListMetricName, MetricName
from hugraph.train.ranking import top_k


@dataclass(frozen=True)
class Evaluation:
    """How well a model ranks, averaged and user by user.

    Attributes:
        metrics: Such as `{"recall@10": 0.09}`: the mean over `users`, or a property of all lists.
        users: `(n,)` the users with relevant items, ascending.
        per_user: The metrics that exist user by user, `(n,)` each, aligned with `users`.
    """

    metrics: dict[str, float]
    users: NDArray[np.int64]
    per_user: dict[str, NDArray[np.float64]]


def evaluate(
    scorer: Scorer,
    relevant: Interactions,
    seen: Interactions,
    popularity: Tensor,
    *,
    metrics: Annotated[Sequence[MetricName | ListMetricName], MinLen(1)] = (
        "precision",
        "recall",
        "ndcg",
    ),
    k: Annotated[Sequence[Annotated[int, Ge(1)]], MinLen(1)] = (1, 5, 10, 20),
    seen_score: float | None = None,
) -> Evaluation:
    """Ranks all unseen items for every user with relevant items.

    Args:
        scorer: The model's scorer.
        relevant: What the lists should find; runs on the device of `relevant.users`.
        seen: Left out of the lists: training items at validation, validation items too at test.
        popularity: `(num_items,)` training interactions of each item.
        metrics: Names from `METRICS` and `LIST_METRICS` of `hugraph.metrics`.
        k: Cut-offs of the lists; each metric is taken at each.
        seen_score: If given, seen items stay in the ranking with this score; HUIGN's published code
            does so with 1e-5, which puts them before items of negative score. By default they are
            left out.

    Raises:
        ValueError: If there is no cut-off, or it is not positive.
        SpecError: If a cut-off exceeds the number of items, or a metric is unknown.
        DataError: If no user has a relevant item.
        DivergedError: If a score is not finite.
    """
    check_options(evaluate, k=k)
    known = (*METRICS, *LIST_METRICS)
    for name in metrics:
        if name not in known:
            raise SpecError(f"unknown metric {name!r}{hint(name, known)}", at="evaluate.metrics")
    num_items, longest = len(popularity), max(k)
    if longest > num_items:
        raise SpecError(
            f"lists of {longest} are asked for, but there are {num_items} items",
            at="evaluate.k",
            fix=f"use cut-offs of at most {num_items}",
        )
    users, num_relevant = (
        t.cpu().numpy() for t in relevant.users.long().unique(return_counts=True)
    )
    if not len(users):
        raise DataError(
            "no user has an item to find, so there is nothing to evaluate",
            fix="use a split that gives validation and test interactions",
        )
    lists = top_k(
        scorer,
        torch.from_numpy(users).to(relevant.users.device),
        seen,
        longest,
        num_items,
        seen_score=seen_score,
    )
    items = lists.items.cpu().numpy()
    hits = _hits(users, items, relevant, num_items)
    counts = popularity.cpu().numpy()

    means: dict[str, float] = {}
    per_user: dict[str, NDArray[np.float64]] = {}
    for name in metrics:
        for cut in sorted(set(k)):
            if name in METRICS:
                per_user[f"{name}@{cut}"] = scores = METRICS[name](hits, num_relevant, cut)
                means[f"{name}@{cut}"] = float(scores.mean())
            else:
                means[f"{name}@{cut}"] = LIST_METRICS[name](items[:, :cut], counts)
    return Evaluation(means, users, per_user)


def _hits(
    users: NDArray[np.int64], items: NDArray[np.int64], relevant: Interactions, num_items: int
) -> Hits:
    wanted = (relevant.users.long() * num_items + relevant.items).cpu().numpy()
    return np.isin(users[:, None] * num_items + items, wanted) & (items >= 0)
