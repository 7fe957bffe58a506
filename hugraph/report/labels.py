"""How far assignments agree with labels of the items, planted or from a column."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from hugraph.data.dataset import Dataset
from hugraph.report.keywords import Occurrences, item_labels


@dataclass(frozen=True)
class Agreement:
    """How far a partition of the items agrees with their labels.

    Attributes:
        nmi: Normalised mutual information, from 0 to 1.
        shuffled: What it is when the items are shuffled, which is more than 0 for many labels.
        ari: Adjusted Rand index; None where an item has several labels.
        items: How many items have a label.
    """

    nmi: float
    shuffled: float
    ari: float | None
    items: int


def labels_of(dataset: Dataset) -> dict[str, Occurrences]:
    """The labels of the items by column; those of a planted truth as `planted level_1` and so on.

    A column of `item_table` holds labels if its cells are short, or lists of short pieces, and
    some label belongs to more than one item in a hundred.
    """
    found = {f"planted {level}": _one_hot(intents) for level, intents in dataset.truth.items()}
    if dataset.item_table is not None:
        for column in dataset.item_table.columns:
            if column not in ("item", "title"):
                labels = item_labels(dataset.item_table[column])
                if labels is not None:
                    found[column] = labels
    return found


def agreement(
    strongest: NDArray[np.int64], labels: Occurrences, rng: np.random.Generator
) -> Agreement:
    r"""Compares a partition of the items with labels.

    With $n$ labels an item counts as $1/n$ with each of them, so that mutual information and
    entropies are those of drawing an item, then one of its labels. NMI is the mutual information
    over the mean of both entropies.

    Args:
        strongest: The part of each item, `(num_items,)`.
        labels: Labels of the items; items without any are left out.
        rng: Shuffles the items.
    """
    per_item = np.asarray(labels.table.sum(axis=1)).ravel()
    labelled = np.flatnonzero(per_item)
    parts = strongest[labelled]
    shares = labels.table[labelled].multiply(1 / per_item[labelled, None])
    joint = _joint(parts, shares)
    ari = None
    if (per_item <= 1).all():
        ari = float(adjusted_rand_score(shares.argmax(axis=1), parts))
    shuffled = _nmi(_joint(rng.permutation(parts), shares))
    return Agreement(_nmi(joint), shuffled, ari, len(labelled))


def between(
    one: NDArray[np.int64], other: NDArray[np.int64], rng: np.random.Generator
) -> Agreement:
    """Compares two partitions of the items, such as those of two modalities.

    Args:
        one: The part of each item, `(num_items,)`.
        other: Likewise.
        rng: Shuffles the items.
    """
    return agreement(one, _one_hot(other), rng)


def _joint(parts: NDArray[np.int64], shares: sparse.csr_array) -> NDArray[np.float64]:
    return np.asarray((_one_hot(parts).table.T @ shares).toarray(), dtype=np.float64)


def _one_hot(values: NDArray[np.int64]) -> Occurrences:
    size = int(values.max(initial=-1)) + 1
    table = sparse.csr_array(
        (np.ones(len(values)), (np.arange(len(values)), values)), shape=(len(values), size)
    )
    return Occurrences(tuple(map(str, range(size))), table, np.ones(size, dtype=bool))


def _entropy(counts: NDArray[np.float64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _nmi(joint: NDArray[np.float64]) -> float:
    rows, columns = _entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0))
    both = rows + columns
    return 0.0 if both <= 1e-12 else max(0.0, 2 * (both - _entropy(joint.ravel())) / both)
