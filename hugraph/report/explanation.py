"""Why a model ranks an item for a user: its score, taken apart without a remainder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hugraph.errors import DivergedError
from hugraph.interfaces import DotProduct, IntentColumn, IntentModel, Interactions, Recommender

_EVIDENCE = 3  # items of the history that are named for an intent
_NAMED = 2  # intents, and items near by, that a sentence names
_KINDS = {  # of intents, by whether the user likes them more, and the item has more, than usual
    (True, True): "you like {}",
    (True, False): "it has little of {}, which you like",
    (False, True): "it has much of {}, which you like less",
    (False, False): "it has little of {}, which you like less",
}


@dataclass(frozen=True)
class IntentTerm:
    """The part of a score that one intent gives.

    Attributes:
        column: The intent.
        taste: How much more the user likes it than the level's intents on average.
        presence: How much more of it the item has than the average item.
        evidence: Items of the user's history that carry it more than the average item does, the
            strongest first.
    """

    column: IntentColumn
    taste: float
    presence: float
    evidence: tuple[int, ...]

    @property
    def effect(self) -> float:
        """What it adds to the score: positive as well where both are negative."""
        return self.taste * self.presence


@dataclass(frozen=True)
class Explanation:
    """A score as a sum: `average + intents + amount + rest`.

    Attributes:
        user: Its index.
        item: Its index.
        rank: Place of the item among those that the user does not have, from 1; None if the user
            has it.
        score: What the model gives.
        average: The user's mean score over all items.
        terms: One for each intent, level and modality, by descending effect.
        amount: What the item's weight on all intents of a level together adds, as it is more or
            less than the average item's; 0 where every item has the same, as in the paper's form.
            In a propagated model it goes with the item's popularity.
        rest: What entries add that stand for no intent, such as ID embeddings, above the average
            item. Of a model without intents, all that is above the average.
        kin: Items of the user's history whose such entries point most in the item's direction.
    """

    user: int
    item: int
    rank: int | None
    score: float
    average: float
    terms: tuple[IntentTerm, ...]
    amount: float
    rest: float
    kin: tuple[int, ...]

    @property
    def intents(self) -> float:
        """What all intents add together."""
        return sum(term.effect for term in self.terms)


class _Level(NamedTuple):
    """The entries that stand for the intents of one level and modality."""

    entries: Tensor  # (num_intents,) int64, positions in the vectors
    intents: Tensor  # (num_intents,) int64, which intent each of them stands for
    shares: Tensor  # (num_intents,), of the average item


class Explainer:
    r"""Takes the scores of one model apart; made once, asked for many users and items.

    The score $u^\top v_i$ is a sum of one product for each entry of the vectors. Alone, a product
    says little: in the paper's form an item's weights on a level sum to 1, so that what is added to
    a user's tastes for all its intents changes no ranking; nor does a taste for what every item
    has. So both factors are taken relative to a reference. With $\bar v$ the mean of all items'
    vectors, $L$ the levels of all modalities, $p$ the mean of the items' distributions over the
    intents of a level and $\bar u_l = \sum_{c \in l} p_c u_c$ the user's mean taste there,

    $$ u^\top v_i = \underbrace{u^\top \bar v}_{\text{average}}
       + \sum_{l \in L, c \in l} \underbrace{(u_c - \bar u_l)(v_{ic} - \bar v_c)}_{\text{intent}}
       + \underbrace{\sum_{l \in L} \bar u_l \sum_{c \in l} (v_{ic} - \bar v_c)}_{\text{amount}}
       + \underbrace{\sum_{c \notin L} u_c (v_{ic} - \bar v_c)}_{\text{rest}} . $$

    This is exact. An intent counts for an item that has more of what the user likes more, or less
    of what the user likes less, than usual.

    Args:
        model: Any; of one whose scores are no inner products, only the average is told apart.
        known: What is left out of the user's ranking.
        history: What the user is reminded of: training interactions.

    Source:
        The products $u_c (v_{ic} - \bar v_c)$ are the Shapley values of the item's entries, taken
        as independent: [Lundberg and Lee 2017](https://arxiv.org/abs/1705.07874), corollary 1. That
        tastes are centred too, which leaves `amount`, is ours.
    """

    def __init__(self, model: Recommender, known: Interactions, history: Interactions) -> None:
        self.num_items = model.num_items
        self.known = known
        self.history = history
        with torch.no_grad():
            self.scorer = model.scorer()
            self._assignments: Mapping[str, tuple[Tensor, ...]] = {}
            columns: Sequence[IntentColumn | None] = ()
            if isinstance(self.scorer, DotProduct):
                columns = (None,) * self.scorer.items.shape[1]
                self.mean = self.scorer.items.mean(dim=0, dtype=torch.float64)
            if isinstance(model, IntentModel):
                columns = model.columns()
                self._assignments = model.assignments()
            self.columns = tuple(columns)
            self._levels = self._find_levels()
            stands = torch.tensor([c is not None for c in columns], dtype=torch.bool)
            self.entries, self._rest = (
                mask.nonzero().squeeze(1).to(known.items.device) for mask in (stands, ~stands)
            )

    @property
    def vectors(self) -> DotProduct | None:
        """The vectors whose products are the scores, if the model has such."""
        return self.scorer if isinstance(self.scorer, DotProduct) else None

    @property
    def intents(self) -> tuple[IntentColumn, ...]:
        """The intents that the vectors tell of; none of a model without."""
        return tuple(column for column in self.columns if column is not None)

    def known_to(self, user: int) -> Tensor:
        """The items that are left out of the user's ranking, `(n,)`."""
        return self.known.items[self.known.users == user]

    def top(self, user: int, k: int) -> list[int]:
        """The `k` items that the model ranks highest for a user; fewer if no more are left.

        Raises:
            DivergedError: If a score is not finite.
        """
        ranked: list[int] = self._ranked(user, self._scores(user))[:k].tolist()
        return ranked

    @torch.no_grad()
    def explain(self, user: int, item: int) -> Explanation:
        """Takes the score of one item for one user apart, both given by their indices.

        Raises:
            DivergedError: If a score is not finite.
        """
        scores = self._scores(user)
        owned = self.history.items[(self.history.users == user) & (self.history.items != item)]
        places = (self._ranked(user, scores) == item).nonzero()
        rank = 1 + int(places) if len(places) else None
        if self.vectors is None:
            score, average = float(scores[item]), float(scores.double().mean())
            rest = score - average
            return Explanation(user, item, rank, score, average, (), 0.0, rest, ())
        u, v = self.vectors.users[user].double(), self.vectors.items[item].double()
        presence = v - self.mean
        tastes = self.centred(u)
        return Explanation(
            user=user,
            item=item,
            rank=rank,
            score=float(u @ v),
            average=float(u @ self.mean),
            terms=self._terms(tastes, presence, owned),
            amount=float((u - tastes) @ presence),
            rest=float(u[self._rest] @ presence[self._rest]),
            kin=self._kin(item, owned),
        )

    def centred(self, tastes: Tensor) -> Tensor:
        """A user's vector `(dim,)` less, where it stands for intents, the mean taste of the level.

        Entries that stand for no intent are kept.
        """
        centred = tastes.clone()
        for level in self._levels.values():
            centred[level.entries] -= level.shares.to(tastes) @ tastes[level.entries]
        return centred

    @torch.no_grad()
    def _scores(self, user: int) -> Tensor:
        scores = self.scorer(torch.tensor([user], device=self.known.users.device))[0]
        if not scores.isfinite().all():
            raise DivergedError(
                f"{int((~scores.isfinite()).sum())} scores of user index {user} are not finite",
                fix="train again with a lower learning rate",
            )
        return scores

    def _ranked(self, user: int, scores: Tensor) -> Tensor:
        """The items that the user does not have, best first, equal ones by index."""
        unknown = torch.ones_like(scores, dtype=torch.bool)
        unknown[self.known_to(user)] = False
        order = scores.sort(descending=True, stable=True).indices
        return order[unknown[order]]

    def _find_levels(self) -> dict[tuple[str | None, int], _Level]:
        places: dict[tuple[str | None, int], list[tuple[int, int]]] = {}
        for entry, column in enumerate(self.columns):
            if column is not None:
                place = places.setdefault((column.modality, column.level), [])
                place.append((entry, column.intent))
        found = {}
        for (modality, level), pairs in places.items():
            entries, intents = torch.tensor(pairs, device=self.known.items.device).T
            shares = self._shares(modality, level, None)[0, intents]
            found[modality, level] = _Level(entries, intents, shares)
        return found

    def _shares(self, modality: str | None, level: int, items: Tensor | None) -> Tensor:
        """The distributions of `items` `(n,)` over the intents of a level; of their mean, if None.

        Returns:
            `(n, num_intents)`, or `(1, num_intents)`; the mean over modalities, if fused.
        """
        names = [modality] if modality is not None else list(self._assignments)
        found = []
        for name in names:
            first, *others = self._assignments[name][:level]
            shares = (
                first.mean(dim=0, keepdim=True, dtype=torch.float64)
                if items is None
                else first.index_select(0, items).double()
            )
            for assignment in others:
                shares = shares @ assignment.double()
            found.append(shares)
        return torch.stack(found).mean(dim=0)

    def _terms(self, tastes: Tensor, presence: Tensor, owned: Tensor) -> tuple[IntentTerm, ...]:
        terms = []
        for (modality, number), level in self._levels.items():
            carried = self._shares(modality, number, owned)[:, level.intents] - level.shares
            strongest, order = carried.sort(dim=0, descending=True, stable=True)
            for place, entry in enumerate(level.entries.tolist()):
                carriers = owned[order[:_EVIDENCE, place][strongest[:_EVIDENCE, place] > 0]]
                terms.append(
                    IntentTerm(
                        column=IntentColumn(modality, number, int(level.intents[place])),
                        taste=float(tastes[entry]),
                        presence=float(presence[entry]),
                        evidence=tuple(carriers.tolist()),
                    )
                )
        return tuple(sorted(terms, key=lambda term: -term.effect))

    def _kin(self, item: int, owned: Tensor) -> tuple[int, ...]:
        assert self.vectors is not None
        rows = self.vectors.items[torch.cat([owned, owned.new_tensor([item])])][:, self._rest]
        unit = F.normalize(rows.double(), dim=1)
        cosines = unit[:-1] @ unit[-1]
        nearest, order = cosines.sort(descending=True, stable=True)
        return tuple(owned[order[:_EVIDENCE][nearest[:_EVIDENCE] > 0]].tolist())


def intent_name(column: IntentColumn, names: Mapping[IntentColumn, str]) -> str:
    """The name of an intent, or its number and level where it has none."""
    return names.get(column) or f"intent {column.intent} of level {column.level}"


def sentence(
    explanation: Explanation,
    label: Callable[[int], str],
    names: Mapping[IntentColumn, str] | None = None,
) -> str:
    """Says in one sentence to the user why the item ranks where it does.

    Of an item above the user's average, what lifts it is told; of one below, what holds it down.
    What weighs most comes first, and what weighs less than a tenth of all that pulls the same way
    is left out. Of the intents, the two of most effect are named.

    Args:
        explanation: Of an item for the user.
        label: The title of an item, or its id.
        names: Of the intents that have one.
    """
    sign = 1 if explanation.score >= explanation.average else -1
    effects = {
        "intents": explanation.intents,
        "amount": explanation.amount,
        "rest": explanation.rest,
    }
    pull = sum(max(effect * sign, 0) for effect in effects.values())
    told = [part for part, effect in effects.items() if effect * sign > pull / 10]
    reasons = []
    for part in sorted(told, key=lambda part: -abs(effects[part])):
        if part == "intents":
            said = _by_intents(explanation, sign, label, names or {})
        elif part == "amount":
            said = "of its weight on intents, whichever they are"
        else:
            said = _by_rest(explanation, sign, label)
        reasons.append(f"because {said} ({_signed(effects[part])})")
    if len(reasons) > 1:
        reasons[0] = f"mainly {reasons[0]}"
    what, rank = label(explanation.item), explanation.rank
    place = (
        f"{what} ranks {ordinal(rank)}" if rank else f"{what}, which you have, scores as it does"
    )
    return f"{place} {_listed(reasons, ', and ') or 'as the average item would'}."


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 * (number // 10 % 10 != 1), "th")
    return f"{number:,}{ending}"


def _by_intents(
    explanation: Explanation,
    sign: int,
    label: Callable[[int], str],
    names: Mapping[IntentColumn, str],
) -> str:
    strongest: dict[str, IntentTerm] = {}
    for term in sorted(explanation.terms, key=lambda term: -sign * term.effect):
        name = intent_name(term.column, names)
        if len(strongest) < _NAMED and term.effect * sign > 0 and name not in strongest:
            strongest[name] = term
    kinds: dict[str, list[str]] = {}
    for name, term in strongest.items():
        details = [_signed(term.effect), *filter(None, [term.column.modality])]
        if term.taste > 0 and term.evidence:
            details.append(f"as in {label(term.evidence[0])}")
        kind = _KINDS[term.taste > 0, term.presence > 0]
        kinds.setdefault(kind, []).append(f"*{name}* ({', '.join(details)})")
    said = [kind.format(_listed(texts, " and ")) for kind, texts in kinds.items()]
    return f"{_listed(said, ', and ')}, with all intents together"


def _by_rest(explanation: Explanation, sign: int, label: Callable[[int], str]) -> str:
    what = "its ID embedding" if explanation.terms else "its vector"
    if sign < 0:
        return f"{what} does not fit yours"
    if not explanation.kin:
        return f"{what} fits yours"
    near = _listed([label(item) for item in explanation.kin[:_NAMED]], " and ")
    return f"{what} is near to those of {near} in your history"


def _signed(effect: float) -> str:
    """With at least two digits that tell something."""
    return f"{effect:+.2f}" if abs(effect) >= 0.1 else f"{effect:+.2g}"


def _listed(texts: Sequence[str], last: str) -> str:
    return last.join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)
