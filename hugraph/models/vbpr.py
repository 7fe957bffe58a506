"""VBPR: matrix factorisation with a second, content-based part."""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import distinct
from hugraph.interfaces import ModalityFeatures
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import ModalityContent


class VBPR(PairwiseModel):
    r"""Scores by free vectors, by content projected into a taste space, and by bias.

    $$ \hat y_{uv} = \beta_v + \gamma_u^\top \gamma_v + \theta_u^\top E f_v + \beta'^\top f_v $$

    $f_v$ are all modalities of the item side by side. The content part ranks
    cold items too; their free vector stays near its start and their bias can only have fallen, as
    items without a history are drawn as negatives.
    Besides `l2` (over $\gamma$, $\theta$ and $\beta$ of the batch) there is the penalty
    `content_l2`, $\frac12(\lVert E\rVert^2 + \lVert\beta'\rVert^2)$.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        modalities: Which modalities to use; all, if not given.
        id_dim: Size of $\gamma$.
        content_dim: Size of $\theta$, the projected content.
        token_dim: Embedding size of a modality given as tokens.
        sparse_gradients: Updates only the rows of a batch, by a lazy Adam: for tables so long that
            a step of Adam over all rows would cost more than the rest. Other arithmetic, and other
            results: moments of rows outside of the batch do not decay.

    Source:
        [He and McAuley 2016](https://arxiv.org/abs/1510.01784), Eq. 4. $\alpha$ and $\beta_u$
        cancel in BPR and are left out. The paper has one modality; several are concatenated, as
        HUIGN's paper does for its baselines. Sizes 32 + 32 give the 64 that its models share.
    """

    separable = True
    penalty_names = ("content_l2",)

    def __init__(
        self,
        num_users: int,
        num_items: int,
        modality_features: ModalityFeatures,
        *,
        modalities: Annotated[Sequence[str], MinLen(1), Predicate(distinct)] | None = None,
        id_dim: Annotated[int, Ge(1)] = 32,
        content_dim: Annotated[int, Ge(1)] = 32,
        token_dim: Annotated[int, Ge(1)] = 128,
        sparse_gradients: bool = False,
    ) -> None:
        super().__init__(num_users, num_items)
        self.sparse_gradients = sparse_gradients
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        feature_dim = sum(self.content.dims)

        self.user_embeddings = xavier(num_users, id_dim)
        self.item_embeddings = xavier(num_items, id_dim)
        self.user_tastes = xavier(num_users, content_dim)
        self.projection = xavier(feature_dim, content_dim)
        self.item_bias = nn.Parameter(torch.zeros(num_items, 1))
        self.feature_bias = nn.Parameter(torch.zeros(feature_dim, 1))

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Concatenates the free and the content part; biases are columns that meet a constant."""
        sparse = self.sparse_gradients
        gamma_u = take(self.user_embeddings, users, sparse=sparse)
        theta_u = take(self.user_tastes, users, sparse=sparse)
        gamma_v = take(self.item_embeddings, items, sparse=sparse)
        beta_v = take(self.item_bias, items, sparse=sparse)
        features = torch.cat(self.content.rows(items), dim=1)
        ones = gamma_u.new_ones(len(gamma_u), 1)
        bias = beta_v + features @ self.feature_bias
        content_l2 = (self.projection.square().sum() + self.feature_bias.square().sum()) / 2
        return Encoding(
            users=torch.cat([gamma_u, theta_u, ones], dim=1),
            items=torch.cat([gamma_v, features @ self.projection, bias], dim=1),
            ego=(gamma_u, theta_u, gamma_v, beta_v),
            penalties={"content_l2": content_l2},
        )

    def lazy_tables(self) -> tuple[nn.Parameter, ...]:
        """All that is learned of single users and items, with sparse gradients."""
        if not self.sparse_gradients:
            return ()
        return (self.user_embeddings, self.user_tastes, self.item_embeddings, self.item_bias)
