"""Names for the intents of a level, no two alike."""

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import NDArray

NamedBy = Literal["terms", "popularity", "items", "number"]

_POOL = 50  # terms out of which a name is chosen
_IN_NAME = 3  # terms at most
_TELLING = (0.6, 0.3)  # of the weight of the first term, for the others; less if need be
_SAME = 0.8  # similarity of two spellings, as of `hip-hop` and `hip hop`
_POPULAR = 0.5  # correlation with popularity that is a name, if it exceeds that of any term


def best(
    values: NDArray[np.float64], at_most: int, *, above: NDArray[np.float64] | float = -np.inf
) -> list[int]:
    """The places of the highest values that exceed a limit, of equal ones the earlier first."""
    order = np.argsort(-values, kind="stable")
    return [int(place) for place in order[(values > above)[order]][:at_most]]


def name_intents(
    terms: Sequence[str],
    weights: NDArray[np.float64],
    chance: NDArray[np.float64],
    popularity: NDArray[np.float64],
    typical: Sequence[Sequence[str]],
    used: NDArray[np.bool_],
) -> list[tuple[str, NamedBy]]:
    """Names the intents of a level.

    A name is the term with the highest weight and up to two more that share no word with it, nor
    are another spelling of it. Intents with the same first term get those others by which they
    differ; these may narrow it, `metal, death metal`. Where no term exceeds chance, or popularity
    goes along with an intent more than any term, the name says so instead; as does that of an
    intent which all items are in.

    Args:
        terms: All terms.
        weights: How much each tells of each intent, `(num_intents, num_terms)`.
        chance: What a weight must exceed, likewise.
        popularity: Correlation of each intent with the popularity of items, `(num_intents,)`.
        typical: Titles of items that are typical of each intent, the first the most.
        used: Which intents have items, `(num_intents,)`.

    Returns:
        Each name, and what it is made of.
    """
    pools = [best(row, _POOL, above=least) for row, least in zip(weights, chance, strict=True)]
    highest = [row[pool[0]] if pool else 0.0 for row, pool in zip(weights, pools, strict=True)]
    popular = np.abs(popularity) > np.maximum(_POPULAR, highest)
    pools = [pool if told else [] for pool, told in zip(pools, used & ~popular, strict=True)]
    names: dict[str, NamedBy] = {}
    by: NamedBy
    for k, pool in enumerate(pools):
        if not used[k]:
            name, by = f"intent {k}", "number"
        elif used.sum() == 1:
            name, by = "all items", "number"
        elif popular[k]:
            name, by = f"{'popular' if popularity[k] > 0 else 'rarely chosen'} items", "popularity"
        elif pool:
            others = [j for j in range(len(pools)) if j != k and pools[j][:1] == pool[:1]]
            name, by = _of_terms(terms, pool, weights[k], weights[others], names), "terms"
        elif typical[k] and all(typical[k]):
            name, by = f"such as {'; '.join(typical[k])}", "items"
        else:
            name, by = f"intent {k}", "number"
        names[_distinct(name, names)] = by
    return list(names.items())


def _of_terms(
    terms: Sequence[str],
    pool: Sequence[int],
    weights: NDArray[np.float64],
    namesakes: NDArray[np.float64],
    taken: Mapping[str, object],
) -> str:
    """The first term of the pool and those that say more; weaker ones if need be."""
    first, *others = pool
    if len(namesakes):
        contrast = weights - namesakes.max(axis=0)
        others.sort(key=lambda term: -contrast[term])
    name = ""
    for share in _TELLING:
        chosen = [terms[first]]
        for term in others:
            enough = len(chosen) < _IN_NAME and weights[term] >= share * weights[first]
            if enough and not any(_alike(terms[term], c, bool(len(namesakes))) for c in chosen):
                chosen.append(terms[term])
        name = ", ".join(chosen)
        if len(chosen) > 1 and name not in taken:
            break
    return name


def _alike(term: str, chosen: str, may_narrow: bool) -> bool:
    """Whether a term says nothing new beside a chosen one, but perhaps what narrows it."""
    words, known = set(term.split()), set(chosen.split())
    if may_narrow and known < words:
        return False
    letters, others = (re.sub(r"\W", "", text) for text in (term, chosen))
    return bool(words & known) or SequenceMatcher(None, letters, others).ratio() > _SAME


def _distinct(name: str, taken: Mapping[str, object]) -> str:
    numbered = (name if number == 1 else f"{name} ({number})" for number in count(1))
    return next(one for one in numbered if one not in taken)
