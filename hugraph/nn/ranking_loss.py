"""Losses that put a user's items before others, as parts that a model is composed of."""

from typing import Annotated, Protocol

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor

from hugraph.checks import check_options
from hugraph.interfaces import Triples
from hugraph.nn.functional import bpr_loss


class RankingLoss(Protocol):
    """What a model asks of its loss."""

    @property
    def name(self) -> str:
        """The name of the term."""
        ...

    def __call__(
        self, batch: Triples, users: Tensor, pos_items: Tensor, neg_items: Tensor
    ) -> Tensor:
        """The mean loss of a batch whose representations are `(batch, dim)` each, a scalar."""
        ...

    def scaled(self, rows: Tensor) -> Tensor:
        """Representations `(n, dim)` such that the score is their inner product: `(n, dim)`."""
        ...


class BPRLoss:
    r"""Compares each liked item with one other.

    $$ -\ln\sigma(u^\top v - u^\top v') $$

    Source:
        [Rendle et al. 2009](https://arxiv.org/abs/1205.2618); HUIGN Eq. 17.
    """

    name = "bpr"

    def __call__(
        self, batch: Triples, users: Tensor, pos_items: Tensor, neg_items: Tensor
    ) -> Tensor:
        """The mean over the batch."""
        return bpr_loss((users * pos_items).sum(dim=1), (users * neg_items).sum(dim=1))

    def scaled(self, rows: Tensor) -> Tensor:
        """The representations themselves."""
        return rows


class SampledSoftmaxLoss:
    r"""Compares each liked item with many others at once, by the cosine.

    $$ -\ln \frac{\exp(\cos(u, v) / \tau)}
       {\exp(\cos(u, v) / \tau) + \sum_{v' \in N} \exp(\cos(u, v') / \tau)} $$

    $N$ are negatives of the batch, shared by all its users but for those that equal $v$; a user may
    have seen a few of them.

    Args:
        temperature: $\tau$; the lower, the more the hardest negatives count.
        num_negatives: $|N|$; as many as the batch has, if that is fewer.

    Raises:
        ValueError: If an option is out of range.

    Source:
        [Wu et al. 2022](https://arxiv.org/abs/2201.02327), who study it for recommendation; here
        with cosines, a temperature, and negatives that are drawn uniformly and shared by a batch.
    """

    name = "softmax"

    def __init__(
        self,
        *,
        temperature: Annotated[float, Gt(0)] = 0.2,
        num_negatives: Annotated[int, Ge(1)] = 512,
    ) -> None:
        check_options(SampledSoftmaxLoss, temperature=temperature, num_negatives=num_negatives)
        self.temperature = temperature
        self.num_negatives = num_negatives

    def __call__(
        self, batch: Triples, users: Tensor, pos_items: Tensor, neg_items: Tensor
    ) -> Tensor:
        """The mean over the batch."""
        shared = slice(self.num_negatives)
        u = self.scaled(users) / self.temperature
        liked = (u * self.scaled(pos_items)).sum(dim=1, keepdim=True)
        others = u @ self.scaled(neg_items[shared]).T
        same = batch.pos_items.unsqueeze(1) == batch.neg_items[shared]
        others = others.masked_fill(same, float("-inf"))
        return (torch.cat([liked, others], dim=1).logsumexp(dim=1) - liked[:, 0]).mean()

    def scaled(self, rows: Tensor) -> Tensor:
        """The representations at length 1; zeros stay zeros."""
        return F.normalize(rows, dim=1)
