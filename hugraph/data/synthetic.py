"""Draws a dataset from a planted tree of intents, and keeps the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Ge, Interval, Lt, MinLen, Predicate

from hugraph.checks import check_options, descending, distinct
from hugraph.data.dataset import Dataset
from hugraph.data.modalities import is_file_name
from hugraph.seed import stream

_KEYWORDS = {
    "food": {
        "baking": ("bread", "cake", "cookies", "pie"),
        "grilling": ("steak", "burger", "ribs", "kebab"),
    },
    "music": {
        "band": ("guitar", "drums", "bass", "vocals"),
        "orchestra": ("violin", "cello", "flute", "harp"),
    },
    "sport": {
        "ball games": ("football", "tennis", "basketball", "golf"),
        "winter sport": ("skiing", "skating", "hockey", "sledding"),
    },
    "travel": {
        "seaside": ("diving", "surfing", "sailing", "beach"),
        "mountains": ("hiking", "climbing", "camping", "skyline"),
    },
}
_CONCENTRATION = 0.3  # of a user's taste; small, so that a few intents hold most of it
_MIDDLE = [middle for branch in _KEYWORDS.values() for middle in branch]
_FINE = [word for branch in _KEYWORDS.values() for words in branch.values() for word in words]


def planted(
    *,
    num_users: Annotated[int, Interval(ge=2, le=10**6)] = 1000,
    num_items: Annotated[int, Interval(ge=8, le=10**6)] = 2000,
    interactions_per_user: Annotated[int, Ge(3)] = 12,
    levels: Annotated[
        Sequence[Annotated[int, Interval(ge=1, le=10**4)]], MinLen(1), Predicate(descending)
    ] = (32, 8, 4),
    modalities: Annotated[
        Sequence[Annotated[str, Predicate(is_file_name)]], MinLen(1), Predicate(distinct)
    ] = ("visual", "acoustic", "textual"),
    dim: Annotated[int, Interval(ge=1, le=4096)] = 64,
    noise: Annotated[float, Ge(0)] = 1.0,
    stray: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    popularity_skew: Annotated[float, Interval(ge=0, le=5)] = 0.5,
    missing: Annotated[float, Ge(0), Lt(1)] = 0.0,
    seed: Annotated[int, Ge(0)] = 0,
) -> Dataset:
    r"""Users, items and features that follow a tree of intents, with titles that tell the intents.

    Every item has one finest intent, and through the tree one on each coarser level. In each
    modality an intent $t$ has a centre $c_t \sim \mathcal N(0, I)$ and item $i$ the features

    $$ x_i = \sum_{t \ni i} c_t + \sigma \epsilon_i, \qquad \epsilon_i \sim \mathcal N(0, I). $$

    A user prefers one intent of the coarsest level, and a few of the finest intents within it.
    Items are drawn without repetition: in proportion to the user's weight for their intent and to
    their popularity, or, for the stray share, to their popularity alone. Popularity falls as a
    power of a random rank.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        interactions_per_user: Mean number of interactions of a user; each has 3 or more.
        levels: Number of intents on each level, from the finest to the coarsest.
        modalities: Their names.
        dim: Length of the feature vector in each modality.
        noise: Standard deviation $\sigma$ of the features around the sum of centres.
        stray: Share of interactions that have nothing to do with the user's intents.
        popularity_skew: Exponent of the popularity; 0 makes all items equally popular.
        missing: Share of items that lack a modality, drawn for each modality.
        seed: Seed of this dataset, apart from the seed of a run.

    Returns:
        A dataset marked as synthetic, whose `truth` holds `level_1` (the finest) and upward.

    Raises:
        ValueError: If a value is out of its range, or there are fewer items than finest intents or
            than a user may have interactions.
    """
    check_options(planted, **locals())
    if num_items < max(levels[0], 2 * interactions_per_user):
        raise ValueError(
            f"{num_items} items are too few for {levels[0]} intents and {interactions_per_user} "
            f"interactions a user, at least {max(levels[0], 2 * interactions_per_user)} are needed"
        )
    truth = _truth(num_items, levels, seed)
    users, items = _interactions(
        truth[0],
        _parents(levels),
        num_users=num_users,
        mean=interactions_per_user,
        stray=stray,
        skew=popularity_skew,
        seed=seed,
    )
    features = {
        modality: _features(truth, levels, dim, noise, missing, seed, position)
        for position, modality in enumerate(modalities)
    }
    return Dataset(
        name="planted",
        synthetic=True,
        user_ids=np.array([f"u{user}" for user in range(num_users)], dtype=object),
        item_ids=np.array([f"i{item}" for item in range(num_items)], dtype=object),
        users=users,
        items=items,
        item_table=_item_table(truth, levels),
        features=features,
        truth={f"level_{level}": intents for level, intents in enumerate(truth, start=1)},
        fingerprint=_fingerprint(list(features), users, items, *truth, *features.values()),
    )


def _parents(levels: Sequence[int]) -> list[np.ndarray]:
    """For each level, the intent that stands above each of the finest intents."""
    parents = [np.arange(levels[0])]
    for fine, coarse in pairwise(levels):
        parents.append(parents[-1] * coarse // fine)
    return parents


def _truth(num_items: int, levels: Sequence[int], seed: int) -> list[np.ndarray]:
    fine = stream(seed, "planted items").permutation(np.arange(num_items) % levels[0])
    return [parent[fine] for parent in _parents(levels)]


def _interactions(
    fine: np.ndarray,
    parents: list[np.ndarray],
    *,
    num_users: int,
    mean: int,
    stray: float,
    skew: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    rng = stream(seed, "planted interactions")
    num_items, num_fine = len(fine), len(parents[0])
    popularity = (1.0 + rng.permutation(num_items)) ** -skew
    within = popularity / np.bincount(fine, popularity)[fine]  # sums to 1 in each intent

    preferred = rng.integers(parents[-1].max() + 1, size=num_users)
    tastes = rng.gamma(_CONCENTRATION, size=(num_users, num_fine))
    tastes *= parents[-1] == preferred[:, None]
    tastes /= tastes.sum(axis=1, keepdims=True)

    degrees = 3 + rng.negative_binomial(2, 2 / (mean - 1), size=num_users)
    degrees = np.minimum(degrees, num_items // 2)
    overall = max(stray, 1e-9) * popularity / popularity.sum()

    chosen = []
    block = max(1, 2**20 // num_items)
    for start in range(0, num_users, block):
        weights = (1 - stray) * tastes[start : start + block][:, fine] * within + overall
        keys = np.log(weights) + rng.gumbel(size=weights.shape)
        ranked = np.argsort(-keys, axis=1)  # the first n are a sample without repetition
        own = degrees[start : start + block]
        chosen += [np.sort(row[:degree]) for row, degree in zip(ranked, own, strict=True)]
    return np.repeat(np.arange(num_users), degrees), np.concatenate(chosen)


def _features(
    truth: list[np.ndarray],
    levels: Sequence[int],
    dim: int,
    noise: float,
    missing: float,
    seed: int,
    position: int,
) -> np.ndarray:
    rng = stream(seed, "planted features", position)
    features = noise * rng.standard_normal((len(truth[0]), dim))
    for intents, num_intents in zip(truth, levels, strict=True):
        features += rng.standard_normal((num_intents, dim))[intents]
    features[rng.random(len(features)) < missing] = 0
    return features.astype(np.float32)


def _item_table(truth: list[np.ndarray], levels: Sequence[int]) -> pl.DataFrame:
    words = (_FINE, _MIDDLE, list(_KEYWORDS))
    keywords = []
    for level, intents in enumerate(truth):
        names = [_keyword(words[min(level, 2)], intent) for intent in range(levels[level])]
        keywords.append([names[intent] for intent in intents])
    paths = [row[::-1] for row in zip(*keywords, strict=True)]  # from coarse to fine
    return pl.DataFrame(
        {
            "item": [f"i{item}" for item in range(len(paths))],
            "title": [f"{' '.join(path[-2:]).capitalize()} {i}" for i, path in enumerate(paths)],
            "text": [", ".join(path) for path in paths],
        }
    )


def _keyword(words: Sequence[str], intent: int) -> str:
    round_, place = divmod(intent, len(words))
    return f"{words[place]} {round_ + 1}" if round_ else words[place]


def _fingerprint(modalities: list[str], *arrays: np.ndarray) -> str:
    digest = hashlib.sha256(repr(modalities).encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
