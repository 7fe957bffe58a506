r"""Ranking metrics over plain arrays.

Two kinds. [`METRICS`][hugraph.metrics.METRICS] score each user's list against the items that are
relevant to that user; they take the boolean matrix of hits in rank order. With $h_r \in \{0, 1\}$
the hit at rank $r$ and $n$ the number of relevant items of a user, the discounted gain is
$\mathrm{DCG}@k = \sum_{r \le k} h_r / \log_2(r + 1)$.
[`LIST_METRICS`][hugraph.metrics.LIST_METRICS] look at what the lists of all users hold together.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Counts = NDArray[np.integer]
PerUser = NDArray[np.float64]

MetricName = Literal["precision", "recall", "ndcg", "ndcg_hits", "hit_rate", "mrr", "map"]
ListMetricName = Literal["coverage", "gini", "novelty"]


def precision(hits: Hits, num_relevant: Counts, k: int) -> PerUser:
    """The share of the first `k` places that are hits; an empty place counts as a miss.

    Args:
        hits: `(users, places)`, whether the item at each rank is relevant, best rank first.
        num_relevant: `(users,)`, relevant items of each user, each at least 1.
        k: Cut-off, from 1 to `places`.

    Returns:
        `(users,)` in [0, 1]. All metrics of this table share these arguments and this result.

    Raises:
        ValueError: If `k` is outside of 1 to `places`.
    """
    return _first(hits, k).sum(axis=1) / k


def recall(hits: Hits, num_relevant: Counts, k: int) -> PerUser:
    """The share of a user's relevant items found in the first `k` places."""
    return _first(hits, k).sum(axis=1) / num_relevant


def ndcg(hits: Hits, num_relevant: Counts, k: int) -> PerUser:
    r"""$\mathrm{DCG}@k$ over that of the best possible list, with $\min(n, k)$ hits in front.

    Source:
        [Järvelin and Kekäläinen 2002](https://doi.org/10.1145/582415.582418), binary gains.
    """
    return _dcg(hits, k) / _ideal_dcg(num_relevant, k)


def ndcg_hits(hits: Hits, num_relevant: Counts, k: int) -> PerUser:
    r"""$\mathrm{DCG}@k$ over that of the same hits moved to the front: how early, not how many.

    Source:
        The NDCG of HUIGN's published code, and so most likely of the paper's tables. It never falls
        below `ndcg`: one hit at rank 1 out of five relevant items is 1, where `ndcg` at 3 is 0.469.
    """
    num_hits = _first(hits, k).sum(axis=1)
    return _dcg(hits, k) / _ideal_dcg(np.maximum(num_hits, 1), k)


def hit_rate(hits: Hits, num_relevant: Counts, k: int) -> PerUser:
    """1 where the first `k` places hold a hit, else 0."""
    return np.asarray(_first(hits, k).any(axis=1), dtype=np.float64)


def mrr(hits: Hits, num_relevant: Counts, k: int) -> PerUser:
    """One over the rank of the first hit; 0 where the first `k` places hold none."""
    first = _first(hits, k)
    return np.where(first.any(axis=1), 1 / (first.argmax(axis=1) + 1.0), 0.0)


def average_precision(hits: Hits, num_relevant: Counts, k: int) -> PerUser:
    r"""$\frac{1}{\min(n, k)} \sum_{r \le k} h_r\,\mathrm{precision}@r$; its mean is MAP."""
    first = _first(hits, k)
    precisions = first.cumsum(axis=1) / np.arange(1, k + 1)
    return (first * precisions).sum(axis=1) / np.minimum(num_relevant, k)


METRICS: Mapping[str, Callable[[Hits, Counts, int], PerUser]] = {
    "precision": precision,
    "recall": recall,
    "ndcg": ndcg,
    "ndcg_hits": ndcg_hits,
    "hit_rate": hit_rate,
    "mrr": mrr,
    "map": average_precision,
}
"""Metrics of each user's list, by the name that a spec gives them."""


def coverage(items: Counts, popularity: Counts) -> float:
    """The share of all items that stand in at least one list.

    Args:
        items: `(users, k)` recommended items; -1 marks an empty place.
        popularity: `(num_items,)` training interactions of each item.

    Returns:
        A number in [0, 1]. All metrics of this table share these arguments.
    """
    return float((_recommended(items, len(popularity)) > 0).mean())


def gini(items: Counts, popularity: Counts) -> float:
    r"""How unequally the places are shared among all items: 0 evenly, $1 - 1/M$ all to one item.

    $$ G = \frac{\sum_{i=1}^{M} (2i - M - 1)\,c_{(i)}}{M \sum_i c_i}, $$

    $c_{(i)}$ being the number of lists that hold an item, in ascending order.
    """
    counts = np.sort(_recommended(items, len(popularity)))
    num_items = len(counts)
    ranks = np.arange(1, num_items + 1)
    return float(((2 * ranks - num_items - 1) * counts).sum() / (num_items * max(counts.sum(), 1)))


def novelty(items: Counts, popularity: Counts) -> float:
    r"""Mean self-information $-\log_2 p_i$ of the recommended items, in bits.

    $p_i = (c_i + 1) / \sum_j (c_j + 1)$ is the chance that a training interaction is with item $i$;
    the added one keeps items without training interactions finite.

    Source:
        [Zhou et al. 2010](https://doi.org/10.1073/pnas.1000488107). Differs: there, $p_i$ is the
        share of users who have the item, $c_i$ over their number; here, its smoothed share of all
        interactions. Values lie higher by about $\log_2$ of the mean interactions per user.
    """
    bits = -np.log2((popularity + 1) / (popularity + 1).sum())
    counts = _recommended(items, len(popularity))
    return float((counts * bits).sum() / max(counts.sum(), 1))


LIST_METRICS: Mapping[str, Callable[[Counts, Counts], float]] = {
    "coverage": coverage,
    "gini": gini,
    "novelty": novelty,
}
"""Metrics of all lists together, by the name that a spec gives them."""


def _first(hits: Hits, k: int) -> Hits:
    if not 1 <= k <= hits.shape[1]:
        raise ValueError(f"k must be from 1 to the {hits.shape[1]} places of the lists, got {k}")
    return hits[:, :k]


def _discounts(k: int) -> PerUser:
    return 1 / np.log2(np.arange(2, k + 2))


def _dcg(hits: Hits, k: int) -> PerUser:
    return (_first(hits, k) * _discounts(k)).sum(axis=1)


def _ideal_dcg(num_hits: Counts, k: int) -> PerUser:
    return _discounts(k).cumsum()[np.minimum(num_hits, k) - 1]


def _recommended(items: Counts, num_items: int) -> Counts:
    return np.bincount(items[items >= 0], minlength=num_items)
