"""Which items a model's lists show: how many of them, and whether only popular ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TENTHS = 10


@dataclass(frozen=True)
class Exposure:
    """How places in lists, or interactions, are spread over items.

    Attributes:
        coverage: Share of the items that have any.
        gini: 0 if all items have equally many, towards 1 if a few have all.
        tenths: Share that falls on each tenth of the items, the most popular tenth first.
        curve: Share that falls on the items that have fewest, `(101,)`: the first 0 %, 1 %, ... of
            all items; the Lorenz curve.
    """

    coverage: float
    gini: float
    tenths: tuple[float, ...]
    curve: tuple[float, ...]


def exposure(counts: NDArray[np.integer], popularity: NDArray[np.integer]) -> Exposure:
    r"""Measures how `counts` are spread over items.

    The Gini coefficient is $1 - \frac1n \sum_{i=1}^n (L_{i-1} + L_i)$, with $L_i$ the share of the
    $i$ items of $n$ that have fewest.

    Args:
        counts: How often each item is shown, `(num_items,)`; not all 0.
        popularity: Interactions of each item, `(num_items,)`; of equals, the earlier item counts
            as more popular.

    Raises:
        ValueError: If nothing is shown.
    """
    total = int(counts.sum())
    if total == 0:
        raise ValueError("no item is shown")
    shares = counts / total
    order = np.argsort(-popularity, kind="stable")
    lorenz = np.concatenate([[0.0], np.cumsum(np.sort(shares))])
    places = np.linspace(0, len(counts), 101)
    return Exposure(
        coverage=float(np.count_nonzero(counts) / len(counts)),
        gini=float(1 - (lorenz[:-1] + lorenz[1:]).sum() / len(counts)),
        tenths=tuple(float(part.sum()) for part in np.array_split(shares[order], _TENTHS)),
        curve=tuple(float(one) for one in np.interp(places, np.arange(len(lorenz)), lorenz)),
    )
