"""Intents for people: what they are called, how large they are, and whether to believe it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from hugraph.data.dataset import Dataset
from hugraph.interfaces import DotProduct, IntentColumn, IntentModel, Scorer
from hugraph.report.assignments import assignment_steps, item_assignments
from hugraph.report.keywords import Occurrences, by_chance, coherence, correlations, item_terms
from hugraph.report.labels import Agreement, agreement, labels_of
from hugraph.report.naming import NamedBy, best, name_intents

_TWIN = 0.98  # correlation of intents that are hardly two
_UNIFORM = 0.01  # of the information that a level could hold


@dataclass(frozen=True)
class Link:
    """An intent that another one is tied to.

    Attributes:
        intent: Its index, on its own level.
        weight: How strongly: an assignment, or an overlap.
        lift: The assignment over its mean in that column; 1 says nothing.
    """

    intent: int
    weight: float
    lift: float = math.nan


@dataclass(frozen=True)
class Lift:
    """How much more the items with a label are assigned to an intent than items are in the mean.

    Attributes:
        column: Where the label stands.
        label: The label.
        lift: Mean assignment of the items that have it, over that of all items.
        items: How many have it.
    """

    column: str
    label: str
    lift: float
    items: int


@dataclass(frozen=True)
class Intent:
    """One intent, as people see it.

    Attributes:
        modality: Of which modality.
        level: On which level, 1 being the finest.
        index: Which one there, from 0.
        name: What to call it: unlike its siblings.
        named_by: What the name is made of: telling terms, popularity if the assignment follows it
            more than any term, typical items, or a number.
        keywords: Terms that tell its items from others better than chance, with their
            [correlation][hugraph.report.keywords.correlations] with the assignment; best first.
        typical: The items assigned to it most, with the assignment.
        used: Whether the assignments to it add up to at least one item.
        soft_size: Its share of all assignments.
        hard_size: How many items it is the strongest intent of.
        taste: Its share of the users' taste; None for a model that has no entry for it.
        popularity: Correlation of the assignment with the logarithm of an item's interactions.
        chance: The least that the weight of a keyword must exceed.
        coherence: NPMI of its keywords on the texts of the items; NaN for fewer than two.
        parents: Intents of the next level, by the weight of the assignment.
        children: Intents of the level below, likewise; empty on the finest.
        overlap: Its siblings, by the cosine of the assignments to both; most alike first.
        lifts: Labels that go along with it most.
        remark: Why not to believe in it, in one sentence; empty for most.
    """

    modality: str
    level: int
    index: int
    name: str
    named_by: NamedBy
    keywords: tuple[tuple[str, float], ...]
    typical: tuple[tuple[int, float], ...]
    used: bool
    soft_size: float
    hard_size: int
    taste: float | None
    popularity: float
    chance: float
    coherence: float
    parents: tuple[Link, ...]
    children: tuple[Link, ...]
    overlap: tuple[Link, ...]
    lifts: tuple[Lift, ...]
    remark: str = ""


@dataclass(frozen=True)
class IntentLevel:
    """All intents of one level of one modality, and how far they tell the items apart.

    Attributes:
        modality: Of which modality.
        level: Which one, 1 being the finest.
        intents: By their index.
        entropy: Mean entropy of an item's assignment, over that of a uniform one: 0 to 1.
        information: Mutual information of item and intent over the largest possible: 0 if all
            items are assigned alike, 1 if each has one intent and all intents are equally large.
        coherence: Mean of the intents'.
        shuffled_coherence: The same for intents named in the same way after the items are shuffled.
        agreement: With the labels of the items, by column; of each item's strongest intent.
        remark: Why not to believe in it, in one sentence; empty if nothing speaks against it.
    """

    modality: str
    level: int
    intents: tuple[Intent, ...]
    entropy: float
    information: float
    coherence: float
    shuffled_coherence: float
    agreement: Mapping[str, Agreement]
    remark: str = ""

    @property
    def tells_apart(self) -> bool:
        """Whether its assignments say anything of an item."""
        return self.information >= _UNIFORM


def describe_intents(
    model: IntentModel, dataset: Dataset, *, top: int = 10, seed: int = 0
) -> tuple[IntentLevel, ...]:
    r"""Names and measures every intent of a model.

    An item's assignment to the intents of level $l$ is the product $\Gamma^{(1)} \cdots
    \Gamma^{(l)}$. All texts of the items give [terms][hugraph.report.keywords.item_terms], and the
    terms that [go along][hugraph.report.keywords.correlations] with an intent best, and better
    than chance, are its keywords. A name is the first of them and up to two more that share no word
    with it; among siblings with the same first, those that tell them apart.

    The share of the users' taste is the mean over users of

    $$ \frac{\max(0, u_k - \bar u)\, \sigma_k}{\sum_j \max(0, u_j - \bar u)\, \sigma_j}, $$

    where $u_k$ is the user's entry for intent $k$ in the scorer's vectors, $\bar u$ its mean over
    the intents of the level, and $\sigma_k$ the standard deviation of that entry over items: an
    entry in which items do not differ ranks nothing, and as assignments sum to 1, neither does a
    taste for all intents alike. The sum runs over one level of one modality, or of all if the
    fusion has added them up.

    Args:
        model: With the weights to look at.
        dataset: What it was fitted on.
        top: How many keywords, typical items and lifts at most.
        seed: Of the shuffles.

    Returns:
        Modality by modality, the finest level first.
    """
    assignments = assignment_steps(model)
    with torch.no_grad():
        tastes = _tastes(model.scorer(), model.columns())
    items, rng = _items(dataset), np.random.default_rng(seed)
    return tuple(
        level
        for modality, steps in assignments.items()
        for level in _levels(modality, steps, tastes, items, top, rng)
    )


def intent_names(levels: Iterable[IntentLevel]) -> dict[IntentColumn, str]:
    """The names of intents by the entries of the scorer's vectors that stand for them."""
    return {
        IntentColumn(intent.modality, intent.level, intent.index): intent.name
        for level in levels
        for intent in level.intents
    }


def column_names(
    model: IntentModel, dataset: Dataset, levels: Iterable[IntentLevel], *, seed: int = 0
) -> dict[IntentColumn, str]:
    """The names of what the entries of a model's vectors stand for.

    An entry of all modalities, which a fusion has added up, is named like any intent, by the mean
    over modalities of the items' assignments: what an item has of it.

    Args:
        model: With the weights to look at.
        dataset: What it was fitted on.
        levels: Of its intents, as [`describe_intents`][hugraph.report.intents.describe_intents]
            gives them.
        seed: Of the shuffles.
    """
    names = intent_names(levels)
    fused = {column.level for column in model.columns() if column and column.modality is None}
    if not fused:
        return names
    chained = [item_assignments(steps) for steps in assignment_steps(model).values()]
    items, rng = _items(dataset), np.random.default_rng(seed)
    for level in sorted(fused):
        mean = np.mean([one[level - 1] for one in chained], axis=0)
        (described,) = _levels("", [mean], {}, items, 1, rng)
        names |= {IntentColumn(None, level, one.index): one.name for one in described.intents}
    return names


@dataclass(frozen=True)
class _Items:
    """What is known of the items, read once for all levels."""

    titles: Sequence[str]
    terms: Occurrences
    labels: Mapping[str, Occurrences]
    popularity: NDArray[np.float64]  # (num_items,)


def _items(dataset: Dataset) -> _Items:
    nothing = pl.DataFrame({"title": [""] * dataset.num_items})
    return _Items(
        titles=[dataset.title(item) for item in range(dataset.num_items)],
        terms=item_terms(nothing if dataset.item_table is None else dataset.item_table),
        labels=labels_of(dataset),
        popularity=np.log1p(np.bincount(dataset.items, minlength=dataset.num_items)),
    )


def _tastes(scorer: Scorer, columns: Sequence[IntentColumn | None]) -> dict[IntentColumn, float]:
    """The share of the users' taste by column; nothing if the scorer is no inner product."""
    if not isinstance(scorer, DotProduct):
        return {}
    groups: dict[tuple[str | None, int], list[tuple[int, IntentColumn]]] = {}
    for place, column in enumerate(columns):
        if column is not None:
            groups.setdefault((column.modality, column.level), []).append((place, column))
    users, vectors = (side.double().cpu().numpy() for side in (scorer.users, scorer.items))
    shares: dict[IntentColumn, float] = {}
    for group in groups.values():
        places = [place for place, _ in group]
        tastes = users[:, places] - users[:, places].mean(axis=1, keepdims=True)
        liked = np.maximum(tastes, 0) * vectors[:, places].std(axis=0)
        totals = liked.sum(axis=1)
        some = totals > 0
        mean = (liked[some] / totals[some, None]).sum(axis=0) / max(int(some.sum()), 1)
        shares |= {column: float(share) for (_, column), share in zip(group, mean, strict=True)}
    return shares


def _levels(
    modality: str,
    steps: Sequence[NDArray[np.float64]],
    tastes: Mapping[IntentColumn, float],
    items: _Items,
    top: int,
    rng: np.random.Generator,
) -> Iterator[IntentLevel]:
    chained = item_assignments(steps)
    terms = items.terms.terms
    for place, assignment in enumerate(chained):
        used, strongest = assignment.sum(axis=0) >= 1, assignment.argmax(axis=1)
        weights = correlations(items.terms, assignment)
        chance = by_chance(items.terms, assignment, rng)
        followed = _correlations(items.popularity, assignment)
        keywords = [best(row, top, above=least) for row, least in zip(weights, chance, strict=True)]
        typical = [best(column, top) for column in assignment.T]
        titles = [[*dict.fromkeys(items.titles[item] for item in own)][:2] for own in typical]
        names = name_intents(terms, weights, chance, followed, titles, used)
        overlaps = _cosines(assignment)
        alike = _cosines(assignment - assignment.mean(axis=0))
        lifts = _lifts(items.labels, assignment, top)
        parents, children = _relations(steps, chained, place)
        hard = np.bincount(strongest, minlength=len(names))
        intents = tuple(
            Intent(
                modality=modality,
                level=place + 1,
                index=k,
                name=name,
                named_by=by,
                keywords=tuple((terms[w], float(weights[k, w])) for w in keywords[k]),
                typical=tuple((item, float(assignment[item, k])) for item in typical[k]),
                used=bool(used[k]),
                soft_size=float(assignment[:, k].mean()),
                hard_size=int(hard[k]),
                taste=_taste(tastes, modality, place + 1, k),
                popularity=float(followed[k]),
                chance=float(chance[k].min(initial=math.inf)),
                coherence=coherence(items.terms, keywords[k]),
                parents=parents[k],
                children=children[k],
                overlap=tuple(
                    Link(j, float(overlaps[k, j])) for j in best(overlaps[k], len(names)) if j != k
                ),
                lifts=lifts[k],
                remark=_doubt(k, by, used, alike[k], bool(terms)),
            )
            for k, (name, by) in enumerate(names)
        )
        shuffled = correlations(items.terms, assignment[rng.permutation(len(assignment))])
        yield IntentLevel(
            modality=modality,
            level=place + 1,
            intents=intents,
            entropy=_share(_entropy(assignment).mean(), len(names)),
            information=_information(assignment),
            coherence=_mean([one.coherence for one in intents if one.named_by == "terms"]),
            shuffled_coherence=_mean([coherence(items.terms, best(row, top)) for row in shuffled]),
            agreement={
                column: agreement(strongest, labels, rng) for column, labels in items.labels.items()
            },
            remark=_doubts(assignment, used),
        )


def _relations(
    steps: Sequence[NDArray[np.float64]], chained: Sequence[NDArray[np.float64]], place: int
) -> tuple[list[tuple[Link, ...]], list[tuple[Link, ...]]]:
    """The parents and the children of each intent of a level."""

    def links(weights: NDArray[np.float64], means: NDArray[np.float64]) -> tuple[Link, ...]:
        return tuple(
            Link(j, float(weights[j]), float(weights[j] / means[j]) if means[j] > 0 else math.nan)
            for j in best(weights, len(weights))
        )

    sizes = [assignment.mean(axis=0) for assignment in chained]
    count = len(sizes[place])
    parents: list[tuple[Link, ...]] = [()] * count
    children: list[tuple[Link, ...]] = [()] * count
    if place + 1 < len(steps):
        parents = [links(steps[place + 1][k], sizes[place + 1]) for k in range(count)]
    if place:
        below = steps[place]
        children = [links(below[:, k], np.full(len(below), sizes[place][k])) for k in range(count)]
    return parents, children


def _lifts(
    labels: Mapping[str, Occurrences], assignment: NDArray[np.float64], top: int
) -> list[tuple[Lift, ...]]:
    found: list[list[tuple[float, Lift]]] = [[] for _ in range(assignment.shape[1])]
    means = np.maximum(assignment.mean(axis=0), 1e-300)
    for column, given in labels.items():
        along, counts = correlations(given, assignment), given.counts
        lifts = (given.table.T @ assignment).T / np.maximum(counts, 1) / means[:, None]
        for k, row in enumerate(along):
            for label in best(row, top, above=0.0):
                lift = Lift(column, given.terms[label], float(lifts[k, label]), int(counts[label]))
                found[k].append((float(row[label]), lift))
    return [
        tuple(lift for _, lift in sorted(own, key=lambda pair: -pair[0])[:top]) for own in found
    ]


def _doubt(
    k: int, by: NamedBy, used: NDArray[np.bool_], alike: NDArray[np.float64], texts: bool
) -> str:
    if not used[k]:
        return "no item is assigned to it"
    said = []
    if by == "popularity":
        said.append("it follows how often items are chosen, more than any term")
    elif by != "terms" and texts and used.sum() > 1:
        said.append("no term goes along with it better than chance")
    twin = next((j for j in range(k) if used[j] and alike[j] > _TWIN), None)
    if twin is not None:
        said.append(f"hardly to be told from intent {twin}")
    return "; ".join(said)


def _doubts(assignment: NDArray[np.float64], used: NDArray[np.bool_]) -> str:
    count = len(used)
    said = []
    if used.sum() == 1:
        share = assignment.mean(axis=0).max()
        said.append(f"collapsed: one intent has {share:.1%} of all assignments")
    elif not used.all():
        said.append(f"{int((~used).sum())} of {count} intents have no items")
    if used.sum() > 1 and _information(assignment) < _UNIFORM:
        widest = (assignment.max(axis=0) - assignment.min(axis=0)).max()
        said.append(
            "all items are assigned nearly alike, so that names rest on small differences, of "
            f"{widest:.2g} at most"
        )
    return "; ".join(said)


def _taste(
    tastes: Mapping[IntentColumn, float], modality: str, level: int, intent: int
) -> float | None:
    own = IntentColumn(modality, level, intent)
    return tastes.get(own, tastes.get(own._replace(modality=None)))


def _correlations(
    values: NDArray[np.float64], assignment: NDArray[np.float64]
) -> NDArray[np.float64]:
    scale = len(values) * values.std() * assignment.std(axis=0)
    along = (values - values.mean()) @ (assignment - assignment.mean(axis=0))
    return np.divide(along, scale, out=np.zeros(len(scale)), where=scale > 1e-12)


def _cosines(assignment: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = assignment / np.maximum(np.linalg.norm(assignment, axis=0), 1e-300)
    return columns.T @ columns


def _entropy(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return -(rows * np.log(np.maximum(rows, 1e-300))).sum(axis=-1)


def _information(assignment: NDArray[np.float64]) -> float:
    known = _entropy(assignment.mean(axis=0)) - _entropy(assignment).mean()
    return _share(known, assignment.shape[1])


def _share(nats: float, num_intents: int) -> float:
    """Of what as many intents can tell; one alone tells nothing."""
    return max(0.0, float(nats) / math.log(num_intents)) if num_intents > 1 else 0.0


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan
