"""What all models share that rank by dot product and learn from triples."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hugraph.interfaces import Batch, DotProduct, Stage, Terms, Triples
from hugraph.nn import BPRLoss, RankingLoss, batch_l2
from hugraph.nn.adjacency import full_precision


class Encoding(NamedTuple):
    """Representations of some users and items, and what there is to penalise about them."""

    users: Tensor  # (num_chosen_users, dim)
    items: Tensor  # (num_chosen_items, dim)
    ego: tuple[Tensor, ...]  # the learned rows behind them, for L2; users' first
    penalties: Mapping[str, Tensor] = {}  # further unweighted scalars


class PairwiseModel(nn.Module, ABC):
    r"""A model that scores by inner products, $\hat y_{uv} = u^\top v$, and is trained on triples.

    A subclass says how users and items are represented. Its terms are that of its ranking loss, BPR
    unless it says otherwise, `l2`, and whatever penalties it names in `penalty_names`. In
    `penalty_weights` it states what these weigh where the spec does not say, if not 1e-4. In
    `separable` it says that its terms, but for that of its ranking loss, are those of a batch's
    parts: see [`Stage`][hugraph.interfaces.Stage].
    """

    penalty_names: tuple[str, ...] = ()
    penalty_weights: ClassVar[Mapping[str, float]] = MappingProxyType({})
    separable: bool = False

    def __init__(
        self, num_users: int, num_items: int, ranking: Callable[[], RankingLoss] = BPRLoss
    ) -> None:
        super().__init__()
        self.num_users = num_users
        self.num_items = num_items
        self.ranking = ranking()

    @abstractmethod
    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Represents the given users `(b,)` and items `(c,)`, or all where None is given."""

    def terms(self, batch: Batch) -> Terms:
        """Gives the named, unweighted terms of the loss for one batch of triples."""
        assert isinstance(batch, Triples)
        items = torch.cat([batch.pos_items, batch.neg_items])
        return self.ranking_terms(batch, self.encode(batch.users, items))

    def ranking_terms(self, batch: Triples, code: Encoding) -> Terms:
        """The terms of a batch whose users, positive and then negative items `code` represents."""
        pos, neg = full_precision(code.items).chunk(2)
        loss = self.ranking(batch, full_precision(code.users), pos, neg)
        return {self.ranking.name: loss, "l2": self.l2(*code.ego), **code.penalties}

    def l2(self, *rows: Tensor) -> Tensor:
        """Penalises the size of the rows a batch touches."""
        return batch_l2(*rows)

    def stages(self) -> tuple[Stage, ...]:
        """One stage that trains every parameter on triples."""
        name = self.ranking.name
        names = (name, "l2", *self.penalty_names)
        return (
            Stage(
                name,
                "triples",
                self.terms,
                names,
                tuple(self.parameters()),
                penalty_weights=self.penalty_weights,
                lazy=self.lazy_tables(),
                separable=self.separable and self.ranking.separable,
            ),
        )

    def lazy_tables(self) -> tuple[nn.Parameter, ...]:
        """The tables of which `encode` takes rows with sparse gradients; none, unless it says."""
        return ()

    def scorer(self) -> DotProduct:
        """Represents everybody once."""
        code = self.encode()
        return DotProduct(*self.ranking.factors(code.users, code.items))

    def histograms(self) -> Mapping[str, Tensor]:
        """Nothing, unless a subclass has something to watch."""
        return {}


def take(table: Tensor, index: Tensor | None, *, sparse: bool = False) -> Tensor:
    """Takes rows of a table, or all of it; the gradient does not depend on thread timing.

    Args:
        table: `(rows, dim)`; they may lie in several processes, after
            [`shard_rows`][hugraph.models.row_sharding.shard_rows].
        index: `(n,)` int64; None for all rows.
        sparse: Whether the gradient holds only the rows that were taken.
    """
    if index is None:
        return table
    if hasattr(table, "device_mesh"):  # a DTensor; torch takes half a second to load the class
        from hugraph.models.row_sharding import sharded_rows

        return sharded_rows(table, index)
    return F.embedding(index, table, sparse=sparse)


def take_both(
    table: Tensor, num_users: int, users: Tensor | None, items: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Takes rows of users and of items from one table, users first, with one gradient for both."""
    if users is None or items is None:
        all_users, all_items = table.split([num_users, len(table) - num_users])
        return take(all_users, users), take(all_items, items)
    rows = take(table, torch.cat([users, items + num_users]))
    both = rows.split([len(users), len(items)])
    return both[0], both[1]


def xavier(rows: int, columns: int) -> nn.Parameter:
    """Makes a table of learned rows, Xavier initialised from torch's global generator."""
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(rows, columns)))
