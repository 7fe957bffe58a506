"""Combines the representations of several modalities into one."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from hugraph.checks import check_options


class MultiModalFusion(nn.Module):
    r"""Fuses one block per modality; a modality that an item lacks takes no part.

    With $P_i$ the modalities that item $i$ has, out of $M$:

    * `concat`: $\frac{M}{|P_i|}\,[x_{i1} \,\|\, \cdots \,\|\, x_{iM}]$, missing blocks zero;
    * `sum`: $\frac{M}{|P_i|}\sum_{m \in P_i} x_{im}$;
    * `mean`: $\frac{1}{|P_i|}\sum_{m \in P_i} x_{im}$;
    * `attention`: $\sum_{m \in P_i} \alpha_{im} x_{im}$, where
      $\alpha_i = \operatorname{softmax}_{m \in P_i}(w_m^\top x_{im} + b_m)$ starts as the mean.

    The factor $M / |P_i|$ keeps scores of incomplete items on the scale of complete ones. A
    preference vector that matches a fused item has `output_dim` entries; preference vectors given
    per modality are fused by the same call.

    Args:
        num_modalities: Number $M$ of blocks.
        dim: Size of each block.
        method: How to combine.

    Raises:
        ValueError: If a size is not positive, or blocks do not match what was promised.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), Eq. 14: `concat`, with every
        modality present. The authors' published code sums. Mean, attention and the handling of
        missing modalities are extensions.
    """

    def __init__(
        self,
        num_modalities: Annotated[int, Ge(1)],
        dim: Annotated[int, Ge(1)],
        *,
        method: Literal["concat", "sum", "mean", "attention"] = "concat",
    ) -> None:
        super().__init__()
        check_options(MultiModalFusion, num_modalities=num_modalities, dim=dim, method=method)
        self.num_modalities = num_modalities
        self.dim = dim
        self.method = method
        self.output_dim = dim * num_modalities if method == "concat" else dim
        if method == "attention":
            self.gate = nn.Parameter(torch.zeros(num_modalities, dim))
            self.gate_bias = nn.Parameter(torch.zeros(num_modalities))

    def forward(self, blocks: Sequence[Tensor], present: Tensor | None = None) -> Tensor:
        """Fuses the modalities.

        Args:
            blocks: One `(n, dim)` tensor per modality.
            present: `(n, num_modalities)` bool: which modalities each row has; all, if not given.

        Returns:
            `(n, output_dim)`; zeros for a row without any modality.
        """
        shapes = {tuple(block.shape[1:]) for block in blocks}
        if len(blocks) != self.num_modalities or shapes != {(self.dim,)}:
            raise ValueError(
                f"expected {self.num_modalities} blocks of width {self.dim}, "
                f"got {[tuple(block.shape) for block in blocks]}"
            )
        if present is None and self.method == "concat":
            return torch.cat(list(blocks), dim=1)
        if present is None and self.method == "sum":
            return torch.stack(list(blocks)).sum(dim=0)
        stacked = torch.stack(list(blocks), dim=1)  # (n, num_modalities, dim)
        if present is None:
            present = torch.ones(stacked.shape[:2], dtype=torch.bool, device=stacked.device)
        weights = self._weights(stacked, present).unsqueeze(2)
        if self.method == "concat":
            return (stacked * weights).flatten(1)
        return (stacked * weights).sum(dim=1)

    def _weights(self, stacked: Tensor, present: Tensor) -> Tensor:
        if self.method == "attention":
            logits = (stacked * self.gate).sum(dim=2) + self.gate_bias
            lowest = torch.finfo(logits.dtype).min  # a row of -inf would become NaN
            return logits.masked_fill(~present, lowest).softmax(dim=1) * present
        scale = 1 if self.method == "mean" else self.num_modalities
        count = present.sum(dim=1, keepdim=True).clamp(min=1).to(stacked.dtype)
        return present * scale / count
