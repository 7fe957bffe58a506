"""Schemes of splitting: each gives every interaction of a dataset its part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, Len

from hugraph.data.dataset import Dataset
from hugraph.data.split import TEST, TRAIN, VALIDATION
from hugraph.errors import DataError
from hugraph.seed import stream

Ratios = Annotated[Sequence[Annotated[float, Ge(0), Le(1)]], Len(3, 3)]


def given(dataset: Dataset, seed: int) -> np.ndarray:
    """The split that came with the data, from the column `split`.

    Args:
        dataset: What to split.
        seed: Not used.

    Returns:
        Part of each interaction, `(num_interactions,)` int8.

    Raises:
        DataError: If the data came without one.
    """
    if dataset.given_split is None:
        raise DataError(
            "split scheme 'given' needs a column 'split', there is none",
            at=dataset.name,
            fix="add the column, or choose 'random'",
        )
    return dataset.given_split


def random(dataset: Dataset, seed: int, *, ratios: Ratios = (0.8, 0.1, 0.1)) -> np.ndarray:
    """Draws over all interactions at once.

    A user with few interactions may then lack a part, and be left without training items.

    Args:
        dataset: What to split.
        seed: Seed of the run.
        ratios: Shares of train, validation and test; their sum is 1.

    Returns:
        Part of each interaction, `(num_interactions,)` int8.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), section 4.1.
    """
    order = stream(seed, "split").permutation(dataset.num_interactions)
    return _cut(order, ratios)


def random_per_user(dataset: Dataset, seed: int, *, ratios: Ratios = (0.8, 0.1, 0.1)) -> np.ndarray:
    """Draws within each user's interactions.

    Of a user's $n$ interactions, $n$ times the ratio, rounded half up, go to test and to
    validation; one at least stays in training.

    Args:
        dataset: What to split.
        seed: Seed of the run.
        ratios: Shares of train, validation and test; their sum is 1.

    Returns:
        Part of each interaction, `(num_interactions,)` int8.
    """
    _check(ratios)
    keys = stream(seed, "split").random(dataset.num_interactions)
    from_last, degrees = _place_from_last(dataset.users, keys)
    num_test = np.minimum(np.floor(degrees * ratios[TEST] + 0.5), degrees - 1)
    num_held = num_test + np.floor(degrees * ratios[VALIDATION] + 0.5)
    num_held = np.minimum(num_held, degrees - 1)
    return _held_out(from_last < num_test, from_last < num_held)


def leave_one_out(dataset: Dataset, seed: int) -> np.ndarray:
    """Each user's last interaction tests, the one before validates, all others train.

    Of equal timestamps the later row is the later one; without timestamps the order is random.
    Users with fewer than three interactions only train.

    Args:
        dataset: What to split.
        seed: Seed of the run; used only where there are no timestamps.

    Returns:
        Part of each interaction, `(num_interactions,)` int8.
    """
    times = dataset.timestamps
    keys = stream(seed, "split").random(dataset.num_interactions) if times is None else times
    from_last, degrees = _place_from_last(dataset.users, keys)
    enough = degrees >= 3
    return _held_out(enough & (from_last == 0), enough & (from_last <= 1))


def temporal(dataset: Dataset, seed: int, *, ratios: Ratios = (0.8, 0.1, 0.1)) -> np.ndarray:
    """The oldest interactions of all train, the next validate, the newest test.

    Of equal timestamps the later row is the later one.

    Args:
        dataset: What to split.
        seed: Not used.
        ratios: Shares of train, validation and test; their sum is 1.

    Returns:
        Part of each interaction, `(num_interactions,)` int8.

    Raises:
        DataError: If there are no timestamps.
    """
    if dataset.timestamps is None:
        raise DataError(
            "split scheme 'temporal' needs timestamps, there are none",
            at=dataset.name,
            fix="add a column 'timestamp', or choose 'random'",
        )
    return _cut(np.argsort(dataset.timestamps, kind="stable"), ratios)


def _cut(order: np.ndarray, ratios: Sequence[float]) -> np.ndarray:
    _check(ratios)
    bounds = np.rint(np.cumsum(ratios)[:2] * len(order)).astype(np.int64)
    parts = np.empty(len(order), dtype=np.int8)
    for part, members in enumerate(np.split(order, bounds)):
        parts[members] = part
    return parts


def _check(ratios: Sequence[float]) -> None:
    if len(ratios) != 3 or min(ratios) < 0 or abs(sum(ratios) - 1) > 1e-6:
        raise ValueError(
            f"ratios must be three shares that sum to 1, got {list(ratios)}, sum {sum(ratios):g}"
        )
    if not ratios[TRAIN] or not ratios[TEST]:
        raise ValueError(f"train and test need a share each, got {list(ratios)}")


def _place_from_last(users: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each interaction's place from its user's last one, by `keys`, and its user's degree."""
    order = np.lexsort((keys, users))  # stable
    degrees = np.bincount(users)
    ends = np.cumsum(degrees)
    from_last = np.empty(len(users), dtype=np.int64)
    from_last[order] = ends[users[order]] - 1 - np.arange(len(users))
    return from_last, degrees[users]


def _held_out(test: np.ndarray, held: np.ndarray) -> np.ndarray:
    return np.where(test, TEST, np.where(held, VALIDATION, TRAIN)).astype(np.int8)
