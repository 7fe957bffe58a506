"""MacridVAE: a user's history, taken apart by concepts, each encoded and decoded by itself."""

from collections.abc import Mapping
from functools import reduce
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hugraph.checks import check_options
from hugraph.interfaces import Batch, Interactions, Scorer, Stage, Terms, UserBatch
from hugraph.models.pairwise import take, xavier
from hugraph.nn.dense import linear
from hugraph.nn.ragged import entries_of


class _Items(NamedTuple):
    directions: Tensor  # (num_items, dim), rows of length 1
    log_concepts: Tensor  # (num_items, num_concepts)


class _History(NamedTuple):
    items: Tensor  # (num_entries,), user after user
    owners: Tensor  # (num_entries,), rows of the batch
    offsets: Tensor  # (batch + 1,)


class _Tastes(NamedTuple):
    mean: Tensor  # (num_concepts, batch, dim), rows of length 1
    log_variance: Tensor  # (num_concepts, batch, dim), relative to the prior's


class MacridVAE(nn.Module):
    r"""Macro-micro disentangled variational auto-encoder.

    Items belong softly to $K$ concepts. For each concept, a user's history $N_u$ is weighted by it
    and encoded, by a network that all concepts share:

    $$ C_{vk} = \operatorname{softmax}_k \frac{\cos(h_v, m_k)}{\tau}, \qquad
       [a_k \,\|\, b_k] = W \tanh\Big(\frac{\sum_{v \in N_u} C_{vk}\, t_v}
       {\sqrt{\sum_{v \in N_u} C_{vk}^2}} + b\Big) + b' $$

    The user's taste within a concept is drawn around $a_k$; those of all concepts together explain
    the history:

    $$ z_k \sim \mathcal N\Big(\frac{a_k}{\lVert a_k \rVert},\,
       \sigma_0^2 \operatorname{diag}(e^{b_k})\Big), \qquad
       p(v \mid u) \propto \sum_k C_{vk} \exp \frac{\cos(z_k, h_v)}{\tau} $$

    Terms are `reconstruction`, $-\sum_{v \in N_u} \ln p(v \mid u)$, and `kl`,
    $\frac12 \sum_k \sum_d (e^{b_{kd}} - b_{kd} - 1)$, as means over users. What is emitted as `kl`
    rises from nothing to the full value within the first `anneal_steps` steps; its weight in the
    objective is the $\beta$ that this ends with: 0.2, where the spec gives none.

    Scores are $p(v \mid u)$ with $z_k$ at its mean. A cold item is never part of what is to be
    explained, so it falls behind all others. Users without a history share one ranking.

    No matrix is dense but `(batch, num_items)` masses, one concept at a time: the first layer is a
    weighted sum over the history, and the backward pass computes a concept's mass again.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        train_interactions: The users' histories.
        num_concepts: $K$.
        dim: Size of the vectors $h$, $m$ and $z$.
        hidden_dim: Size of the vectors $t$, and so of the encoder's hidden layer.
        temperature: $\tau$; at least 0.05, so that $e^{-2/\tau}$ is well within float32.
        prior_std: $\sigma_0$.
        dropout: Share of the weighted history, concept by concept, that is left out while training.
        anneal_steps: Steps until `kl` counts in full; 0 for at once.
        sample_concepts: Draws the assignment by Gumbel-softmax in each training step.

    Raises:
        ValueError: If `temperature` is below 0.05, or `dropout` is not in [0, 1).

    Source:
        [Ma et al. 2019](https://arxiv.org/abs/1910.14238). The paper and its code sample concepts
        while training; here that is an option. Their code anneals by $\min(\beta, t / T)$ with $T$
        of five epochs; `anneal_steps` is $\beta T$, where this ends. $b_k$ is the logarithm of the
        variance, their code's its negative. Sizes are the 64 of HUIGN's models, not 100.
    """

    history: Tensor
    offsets: Tensor
    steps: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        train_interactions: Interactions,
        *,
        num_concepts: Annotated[int, Ge(1)] = 7,
        dim: Annotated[int, Ge(1)] = 64,
        hidden_dim: Annotated[int, Ge(1)] = 64,
        temperature: Annotated[float, Ge(0.05)] = 0.1,
        prior_std: Annotated[float, Gt(0)] = 0.075,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
        anneal_steps: Annotated[int, Ge(0)] = 1000,
        sample_concepts: bool = False,
    ) -> None:
        super().__init__()
        check_options(MacridVAE, temperature=temperature, dropout=dropout)
        self.num_users = num_users
        self.num_items = num_items
        self.temperature = temperature
        self.prior_std = prior_std
        self.dropout = dropout
        self.anneal_steps = anneal_steps
        self.sample_concepts = sample_concepts

        self.item_embeddings = xavier(num_items, dim)
        self.prototypes = xavier(num_concepts, dim)
        self.context_embeddings = xavier(num_items, hidden_dim)
        self.context_bias = nn.Parameter(torch.zeros(hidden_dim))
        self.output = linear(hidden_dim, 2 * dim)

        users, order = train_interactions.users.sort(stable=True)
        ends = torch.bincount(users, minlength=num_users).cumsum(0)
        history = train_interactions.items.index_select(0, order)
        self.register_buffer("history", history, persistent=False)
        self.register_buffer("offsets", F.pad(ends, (1, 0)), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def terms(self, batch: Batch) -> Terms:
        """Gives both terms for one batch of users; while training, that is one step."""
        assert isinstance(batch, UserBatch)
        history, items = self._history(batch.users), self._items()
        tastes = self._encode(history, items)
        mass = self._mass(self._draw(tastes), items)
        happened = mass.flatten().index_select(0, history.owners * self.num_items + history.items)
        log_total = mass.sum(dim=1).log() * history.offsets.diff()
        reconstruction = log_total.sum() - happened.log().sum()
        b = tastes.log_variance
        kl = (b.exp() - b - 1).sum() / 2
        if self.anneal_steps:
            kl = kl * (self.steps / self.anneal_steps).clamp(max=1)
        if self.training:
            self.steps += 1
        num_users = len(batch.users)
        return {"reconstruction": reconstruction / num_users, "kl": kl / num_users}

    def stages(self) -> tuple[Stage, ...]:
        """One stage that trains every parameter on users."""
        names = ("reconstruction", "kl")
        parameters = tuple(self.parameters())
        weights = {"kl": 0.2}
        return (
            Stage("likelihood", "users", self.terms, names, parameters, penalty_weights=weights),
        )

    def scorer(self) -> Scorer:
        r"""Scores by $p(v \mid u)$."""
        items = self._items()

        def probabilities(users: Tensor) -> Tensor:
            mass = self._mass(self._encode(self._history(users), items).mean, items)
            return mass / mass.sum(dim=1, keepdim=True)

        return probabilities

    def histograms(self) -> Mapping[str, Tensor]:
        """The assignment of items to concepts."""
        return {"concepts": self._items().log_concepts.exp().flatten()}

    def _items(self) -> _Items:
        directions = F.normalize(self.item_embeddings, dim=1)
        cosines = directions @ F.normalize(self.prototypes, dim=1).T
        logits = cosines / self.temperature
        if self.sample_concepts and self.training:
            logits = logits - torch.empty_like(logits).exponential_().log()
        return _Items(directions, logits.log_softmax(dim=1, dtype=directions.dtype))

    def _history(self, users: Tensor) -> _History:
        entries, offsets = entries_of(users, self.offsets)
        owners = torch.repeat_interleave(offsets.diff(), output_size=len(entries))
        return _History(self.history.index_select(0, entries), owners, offsets)

    def _encode(self, history: _History, items: _Items) -> _Tastes:
        weights = take(items.log_concepts, history.items).exp()  # (num_entries, num_concepts)
        entries = torch.arange(len(weights), device=weights.device)
        squares = F.embedding_bag(
            entries, weights.square(), history.offsets, mode="sum", include_last_offset=True
        )
        scale = squares.clamp(min=torch.finfo(squares.dtype).tiny).rsqrt()  # (batch, num_concepts)
        weights = F.dropout(weights * take(scale, history.owners), self.dropout, self.training)

        num_concepts = weights.shape[1]
        firsts = len(weights) * torch.arange(num_concepts, device=weights.device)
        summed = F.embedding_bag(
            history.items.repeat(num_concepts),
            self.context_embeddings,
            (firsts.unsqueeze(1) + history.offsets[:-1]).flatten(),
            mode="sum",
            per_sample_weights=weights.T.flatten(),
        )
        hidden = torch.tanh(summed + self.context_bias).view(num_concepts, -1, summed.shape[1])
        mean, log_variance = self.output(hidden).to(hidden.dtype).chunk(2, dim=2)
        return _Tastes(F.normalize(mean, dim=2), log_variance)

    def _draw(self, tastes: _Tastes) -> Tensor:
        if not self.training:
            return tastes.mean
        std = self.prior_std * (tastes.log_variance / 2).exp()
        return F.normalize(tastes.mean + std * torch.randn_like(std), dim=2)

    def _mass(self, tastes: Tensor, items: _Items) -> Tensor:
        r"""What $p$ is in proportion to, times $e^{-1/\tau}$ and so at most 1."""
        masses = (
            checkpoint(
                self._mass_of_concept,
                *(taste, items.directions, log_concept),
                use_reentrant=False,
                preserve_rng_state=False,
            )
            for taste, log_concept in zip(tastes, items.log_concepts.T, strict=True)
        )
        return reduce(torch.add, masses)

    def _mass_of_concept(self, taste: Tensor, directions: Tensor, log_concept: Tensor) -> Tensor:
        sharpness = 1 / self.temperature
        return torch.add(log_concept - sharpness, taste @ directions.T, alpha=sharpness).exp()
