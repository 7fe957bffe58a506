"""A modality whose features are learned: bags of tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hugraph.interfaces import TokenBag
from hugraph.nn.ragged import entries_of


class TokenEmbedding(nn.Module):
    r"""Represents an item by the mean of its tokens' learned embeddings.

    Args:
        bag: The tokens of every item.
        dim: Size of an embedding.

    Raises:
        ValueError: If `dim` is not positive, or the bag's tokens or offsets are out of range.

    Source:
        HUIGN's TikTok titles, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), section 4.1.1;
        that the 128-d word embeddings are trained is in the authors' answers, not in the paper.
    """

    tokens: Tensor
    offsets: Tensor

    def __init__(self, bag: TokenBag, dim: int = 128) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        steps = bag.offsets.diff()
        if bag.offsets[0] != 0 or bag.offsets[-1] != len(bag.tokens) or (steps < 0).any():
            raise ValueError(
                f"offsets must rise from 0 to {len(bag.tokens)}, the number of tokens, "
                f"got {int(bag.offsets[0])} to {int(bag.offsets[-1])}"
            )
        if len(bag.tokens) and not 0 <= bag.tokens.min() <= bag.tokens.max() < bag.num_tokens:
            raise ValueError(
                f"tokens must lie in [0, {bag.num_tokens}), "
                f"got {int(bag.tokens.min())} to {int(bag.tokens.max())}"
            )
        self.register_buffer("tokens", bag.tokens, persistent=False)
        self.register_buffer("offsets", bag.offsets, persistent=False)
        self.embeddings = nn.Parameter(nn.init.xavier_normal_(torch.empty(bag.num_tokens, dim)))

    def forward(self, items: Tensor | None = None) -> Tensor:
        """Represents `items` `(b,)`, or all: `(b, dim)`; zeros for an empty bag."""
        tokens, offsets = self.tokens, self.offsets
        if items is not None:
            entries, offsets = entries_of(items, offsets)
            tokens = tokens.index_select(0, entries)
        return F.embedding_bag(
            tokens, self.embeddings, offsets, mode="mean", include_last_offset=True
        )

    def counts(self) -> Tensor:
        """Counts how often each item has each token: `(num_items, num_tokens)`, sparse COO."""
        items = torch.repeat_interleave(self.offsets.diff())
        size = (len(self.offsets) - 1, len(self.embeddings))
        ones = self.embeddings.new_ones(len(items))
        held = torch.stack([items, self.tokens])
        return torch.sparse_coo_tensor(held, ones, size, check_invariants=True).coalesce()
