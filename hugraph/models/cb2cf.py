"""CB2CF: a bridge from what an item is to where collaborative filtering would put it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge, Lt, MinLen, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.interfaces import Batch, DotProduct, ItemBatch, ModalityFeatures, Stage, Terms
from hugraph.models.bpr_mf import BPRMF
from hugraph.nn import ModalityContent
from hugraph.nn.dense import hidden_layers, linear


class CB2CF(nn.Module):
    r"""Factorises the interactions, then predicts the item vectors from content.

    The first stage trains [`BPRMF`][hugraph.models.bpr_mf.BPRMF] with the terms `bpr` and `l2`. The
    second leaves its vectors as they are and regresses those of items on their modalities $f_v^m$,
    each through layers of its own, with the single term `squared_error`:

    $$ \frac{1}{|B|} \sum_{v \in B} \lVert \hat q_v - q_v \rVert^2, \qquad
       \hat q_v = W\,[\,\mathrm{enc}_1(f_v^1) \,\|\, \cdots \,\|\, \mathrm{enc}_M(f_v^M)\,] + b $$

    In the end every item, warm or cold, scores $\hat y_{uv} = p_u^\top \hat q_v$; the regression
    learns from warm items alone.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        modalities: Which modalities to use; all, if not given.
        dim: Size of the vectors.
        layers: Sizes of each modality's layers, its encoder.
        dropout: Share of the encoders' units that is left out while training.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If `layers` is empty or has a size that is not positive, or `dropout` is not in
            [0, 1).

    Source:
        [Barkan et al. 2019](https://arxiv.org/abs/1611.00384): one encoder per view, side by side,
        then a regression. There the collaborative vectors are item2vec's, and items are ranked by
        their likeness to an item; here, for users, they are BPR-MF's and ranked by inner product.
        Inferred, as there is no usable code: the sizes, ReLU, dropout, and that warm items score by
        content too. Their $q_v$ is at hand, but a prediction leaves out what content does not tell
        and is shorter: among scores of $q_v$, cold items would come too late.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        modality_features: ModalityFeatures,
        *,
        modalities: Annotated[Sequence[str], MinLen(1), Predicate(distinct)] | None = None,
        dim: Annotated[int, Ge(1)] = 64,
        layers: Annotated[Sequence[Annotated[int, Ge(1)]], MinLen(1)] = (256, 64),
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.2,
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__()
        check_options(CB2CF, layers=layers, dropout=dropout)
        self.num_users = num_users
        self.num_items = num_items
        self.dropout = dropout
        self.factors = BPRMF(num_users, num_items, dim=dim)
        self.content = ModalityContent(
            modality_features, num_items, modalities=modalities, token_dim=token_dim
        )
        self.encoders = nn.ModuleList(
            hidden_layers(feature_dim, layers, dropout=dropout) for feature_dim in self.content.dims
        )
        self.combiner = linear(len(self.content) * layers[-1], dim)

    def predict(self, items: Tensor | None = None) -> Tensor:
        r"""Predicts $\hat q$ of the given items `(b,)`, or of all: `(b, dim)`."""
        views = zip(self.encoders, self.content.rows(items), strict=True)
        return self.combiner(torch.cat([encode(features) for encode, features in views], dim=1))

    def regression_terms(self, batch: Batch) -> Terms:
        """Gives the error of the predictions for one batch of items."""
        assert isinstance(batch, ItemBatch)
        targets = self.factors.encode(items=batch.items).items.detach()
        error = self.predict(batch.items) - targets
        return {"squared_error": error.square().sum(dim=1).mean()}

    def stages(self) -> tuple[Stage, ...]:
        """First the factorisation, ranked by itself, then the regression."""
        (factorise,) = self.factors.stages()
        bridge = [self.content, self.encoders, self.combiner]
        return (
            replace(factorise, name="factorisation", scorer=self.factors.scorer),
            Stage(
                "regression",
                "items",
                self.regression_terms,
                ("squared_error",),
                tuple(parameter for module in bridge for parameter in module.parameters()),
                separable=not self.dropout,
            ),
        )

    def scorer(self) -> DotProduct:
        """Predicts all items once."""
        return DotProduct(self.factors.user_embeddings, self.predict())

    def histograms(self) -> Mapping[str, Tensor]:
        """Nothing."""
        return {}
