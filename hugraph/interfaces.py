"""What the rooms of hugraph share: batches, feature records, and a model's side of training.

Training and evaluation know a model only as a [`Recommender`][hugraph.interfaces.Recommender].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from hugraph.file_matrix import FileMatrix


class Triples(NamedTuple):
    """A batch for pairwise ranking, HUIGN Eq. 16: users like `pos_items` over `neg_items`."""

    users: Tensor  # (batch,) int64
    pos_items: Tensor  # (batch,) int64, items of the user's training history
    neg_items: Tensor  # (batch,) int64, items outside of it

    def first(self, rows: Tensor, count: int) -> Tensor:
        """The first `count` rows of the batch, or all it has.

        Where a batch is shared among processes, these are rows of the whole of it.

        Args:
            rows: Aligned with this batch.
            count: How many.
        """
        return rows[:count]


class UserBatch(NamedTuple):
    """A batch of distinct users, for models with a likelihood over whole histories."""

    users: Tensor  # (batch,) int64


class ItemBatch(NamedTuple):
    """A batch of distinct items, for models that regress item vectors."""

    items: Tensor  # (batch,) int64


Batch = Triples | UserBatch | ItemBatch
BatchKind = Literal["triples", "users", "items"]
Terms = dict[str, Tensor]


class Scorer(Protocol):
    """Ranks: higher is better. Made once per evaluation, called for block after block of users."""

    def __call__(self, users: Tensor) -> Tensor:
        """Scores every item for each of `users` `(batch,)`: `(batch, num_items)`."""
        ...


class DotProduct(NamedTuple):
    """The scorer of every model whose score is an inner product of representations."""

    users: Tensor  # (num_users, dim)
    items: Tensor  # (num_items, dim)

    def __call__(self, users: Tensor) -> Tensor:
        """Scores every item for each of `users` `(batch,)`: `(batch, num_items)`."""
        return self.users.index_select(0, users) @ self.items.T


@dataclass(frozen=True)
class Stage:
    """One round of optimisation, trained to its own early stopping before the next begins.

    Attributes:
        name: Shown in progress and metrics.
        batches: Which batches `terms` wants: `"triples"` ([`Triples`][hugraph.interfaces.Triples]),
            `"users"` or `"items"`.
        terms: Maps a batch to named, unweighted scalars. The objective weights and adds them.
        term_names: The names that `terms` returns, known before anything runs; the loss first.
        parameters: What this stage optimises; everything else stays as it is.
        scorer: What to validate while this stage is trained, if the model's own scorer rests on a
            later stage.
        begin_epoch: Called before the first batch of each epoch, for what is drawn or rebuilt once
            an epoch. Torch's generator is seeded for the epoch by then; what is made must follow
            from it and from the parameters alone, or a resumed run would differ.
        penalty_weights: What terms other than the loss weigh where the spec gives them no weight,
            after the model's paper or its authors' code; a term that is not listed weighs 1e-4.
        lazy: Those of `parameters` that a batch takes rows of, with sparse gradients. The optimiser
            updates these rows alone, which is other arithmetic than Adam's.
        separable: Whether the terms of a batch are those of its parts, weighted by their rows, on
            which training by several processes rests. True for means over rows, and for what no row
            changes; False if rows are compared with one another, other than with those that
            `Triples.first` gives, or if random numbers are drawn for each row.
    """

    name: str
    batches: BatchKind
    terms: Callable[[Batch], Terms]
    term_names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...]
    scorer: Callable[[], Scorer] | None = None
    begin_epoch: Callable[[], None] | None = None
    penalty_weights: Mapping[str, float] = field(default_factory=dict)
    lazy: tuple[nn.Parameter, ...] = ()
    separable: bool = False


@runtime_checkable
class Recommender(Protocol):
    """All that training, evaluation and recommendation know of a model.

    A `Recommender` is also a `torch.nn.Module`. A model that is not trained has no stages; a model
    with a likelihood of its own asks for another kind of batch; a model in two steps has two
    stages.
    """

    num_users: int
    num_items: int

    def stages(self) -> tuple[Stage, ...]:
        """The rounds of optimisation, in order."""
        ...

    def scorer(self) -> Scorer:
        """A scorer that stands for the model as it is now; call it under `torch.no_grad()`."""
        ...

    def histograms(self) -> Mapping[str, Tensor]:
        """Named values whose distribution is worth watching over epochs; may be empty."""
        ...


class IntentColumn(NamedTuple):
    """The intent that one entry of a user's and of an item's vector stands for."""

    modality: str | None  # None: of all modalities, which the fusion has added up
    level: int  # from 1, the finest
    intent: int  # from 0


@runtime_checkable
class IntentModel(Recommender, Protocol):
    """A `Recommender` whose items are distributions over levels of intents.

    Its scorer is a [`DotProduct`][hugraph.interfaces.DotProduct], so that each entry of the vectors
    adds a part of the score.
    """

    def assignments(self) -> Mapping[str, tuple[Tensor, ...]]:
        """By modality and level, the distribution of each node over the intents above it.

        The first tensor of a modality is `(num_items, K_1)`, the next one `(K_1, K_2)` and so on;
        rows sum to 1.
        """
        ...

    def columns(self) -> tuple[IntentColumn | None, ...]:
        """What each entry of the scorer's vectors stands for; None for an entry of an ID."""
        ...


class TokenBag(NamedTuple):
    """A modality given as a bag of tokens per item; its embeddings are learned.

    Item `i` holds `tokens[offsets[i]:offsets[i + 1]]`; an empty bag means that the modality is
    missing.
    """

    tokens: Tensor  # (num_occurrences,) int64, each in [0, num_tokens)
    offsets: Tensor  # (num_items + 1,) int64, non-decreasing, from 0 to num_occurrences
    num_tokens: int


class PropagatedFeatures(NamedTuple):
    """Fixed features of one modality after the first propagation, which need not be done again.

    They belong to the graph and the convolution that made them.
    """

    matrix: FileMatrix  # (num_items, width), of one or several modalities
    columns: slice  # those of this one
    present: Tensor  # (num_items,) bool: which items have the modality
    informed: Tensor  # (num_items,) bool: of which it says something, if only by neighbours


ModalityFeatures = Mapping[str, Tensor | TokenBag | FileMatrix | PropagatedFeatures]


@runtime_checkable
class PropagatingModel(Recommender, Protocol):
    """A `Recommender` that first propagates features on disk, and takes them so as well."""

    def propagated(self) -> Mapping[str, PropagatedFeatures]:
        """What the first propagation made of features on disk, by modality.

        A model with the same graph and convolution takes them in the place of the features.
        """
        ...


class Interactions(NamedTuple):
    """Training interactions as aligned index arrays, each pair once."""

    users: Tensor  # (num_interactions,) int64
    items: Tensor  # (num_interactions,) int64


class Component(NamedTuple):
    """Marks a keyword that takes a component, as in `Annotated[Callable, Component("conv")]`."""

    kind: str
