"""Losses that put a user's items before others, as parts that a model is composed of."""

from typing import Annotated, Protocol

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Interval
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

    @property
    def separable(self) -> bool:
        """Whether it is that of a batch's parts, weighted by their rows: see `Stage.separable`."""
        ...

    def __call__(
        self, batch: Triples, users: Tensor, pos_items: Tensor, neg_items: Tensor
    ) -> Tensor:
        """The mean loss of a batch whose representations are `(batch, dim)` each, a scalar."""
        ...

    def factors(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Turns representations of users and items into those whose inner product is the score.

        Both keep their shapes, `(num_users, dim)` and `(num_items, dim)`.
        """
        ...


class BPRLoss:
    r"""Compares each liked item with one other.

    $$ -\ln\sigma(u^\top v - u^\top v') $$

    Source:
        [Rendle et al. 2009](https://arxiv.org/abs/1205.2618); HUIGN Eq. 17.
    """

    name = "bpr"
    separable = True

    def __call__(
        self, batch: Triples, users: Tensor, pos_items: Tensor, neg_items: Tensor
    ) -> Tensor:
        """The mean over the batch."""
        return bpr_loss((users * pos_items).sum(dim=1), (users * neg_items).sum(dim=1))

    def factors(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The representations themselves."""
        return users, items


class SampledSoftmaxLoss:
    r"""Compares each liked item with many others at once, by the cosine or with lengths of items.

    $$ -\ln \frac{\exp(s(u, v) / \tau)}
       {\exp(s(u, v) / \tau) + \sum_{v' \in N} \exp(s(u, v') / \tau)},
       \qquad s(u, v) = \cos(u, v) \, \lVert v \rVert^p $$

    $N$ are negatives of the batch, shared by all its users but for those that equal $v$; a user may
    have seen a few of them. With $p > 0$ an item that is liked by many can be ahead by its length.

    Args:
        temperature: $\tau$; the lower, the more the hardest negatives count.
        item_length: $p$; 0 for the cosine, 1 for the product with the user's direction.
        num_negatives: $|N|$; as many as the batch has, if that is fewer.

    Raises:
        ValueError: If an option is out of range.

    Source:
        [Wu et al. 2022](https://arxiv.org/abs/2201.02327), who study it for recommendation; here
        with negatives that are drawn uniformly and shared by a batch. The power $p$ is ours.
    """

    name = "softmax"
    separable = True

    def __init__(
        self,
        *,
        temperature: Annotated[float, Gt(0)] = 0.2,
        item_length: Annotated[float, Interval(ge=0, le=1)] = 0.0,
        num_negatives: Annotated[int, Ge(1)] = 512,
    ) -> None:
        check_options(
            SampledSoftmaxLoss,
            temperature=temperature,
            item_length=item_length,
            num_negatives=num_negatives,
        )
        self.temperature = temperature
        self.item_length = item_length
        self.num_negatives = num_negatives

    def __call__(
        self, batch: Triples, users: Tensor, pos_items: Tensor, neg_items: Tensor
    ) -> Tensor:
        """The mean over the batch."""
        negatives = batch.first(batch.neg_items, self.num_negatives)
        items = torch.cat([pos_items, batch.first(neg_items, self.num_negatives)])
        u, v = self.factors(users, items)
        u, (pos, neg) = u / self.temperature, v.split([len(pos_items), len(negatives)])
        liked = (u * pos).sum(dim=1, keepdim=True)
        same = batch.pos_items.unsqueeze(1) == negatives
        others = (u @ neg.T).masked_fill(same, float("-inf"))
        return (torch.cat([liked, others], dim=1).logsumexp(dim=1) - liked[:, 0]).mean()

    def factors(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Users at length 1, items at the power $p$ of theirs; zeros stay zeros."""
        directions = F.normalize(items, dim=1)
        if self.item_length:
            length = torch.linalg.vector_norm(items, dim=1, keepdim=True).clamp(min=1e-12)
            directions = directions * length**self.item_length
        return F.normalize(users, dim=1), directions
