"""DUIF: users and items meet in one space that is learned from content alone."""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, MinLen, Predicate
from torch import Tensor

from hugraph.checks import check_options, distinct
from hugraph.interfaces import ModalityFeatures
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import ModalityContent
from hugraph.nn.dense import hidden_layers


class DUIF(PairwiseModel):
    r"""Scores by content that a network maps into the users' space; items have no ID.

    $$ \hat y_{uv} = p_u^\top h_v, \qquad h_v = W_L\,\rho(\cdots\rho(W_1 f_v + b_1)\cdots) $$

    $f_v$ are all modalities of the item side by side, $\rho$ is ReLU. Items with the same content
    score alike, whoever knows them: a cold item is ranked as well as any other, and items without
    any content all share one score.
    Besides `l2` (over $p_u$ of the batch) there is the penalty `content_l2`,
    $\frac12\lVert\theta\rVert^2$ over all weights and biases of the network.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        modalities: Which modalities to use; all, if not given.
        layers: Sizes of the network's layers, the last one that of $p_u$. A single layer is linear.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If `layers` is empty or has a size that is not positive.

    Source:
        [Geng et al. 2015](https://doi.org/10.1109/ICCV.2015.486), who train a convolutional network
        on the pixels of images. HUIGN's paper has the features concatenated and refined by a
        trainable network. As there is no usable code, all else is inferred: the layers, ReLU, the
        inner product, BPR and the penalties. The last layer has no bias: it would cancel in BPR.
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
        layers: Annotated[Sequence[Annotated[int, Ge(1)]], MinLen(1)] = (256, 64),
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__(num_users, num_items)
        check_options(DUIF, layers=layers)
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        *hidden, dim = layers
        feature_dim = sum(self.content.dims)
        self.user_embeddings = xavier(num_users, dim)
        self.hidden = hidden_layers(feature_dim, hidden)
        self.projection = xavier([feature_dim, *hidden][-1], dim)

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Looks users up and runs the content of items through the network."""
        u = take(self.user_embeddings, users)
        features = torch.cat(self.content.rows(items), dim=1)
        network = [*self.hidden.parameters(), self.projection]
        content_l2 = torch.stack([weights.square().sum() for weights in network]).sum() / 2
        return Encoding(
            users=u,
            items=self.hidden(features) @ self.projection,
            ego=(u,),
            penalties={"content_l2": content_l2},
        )
