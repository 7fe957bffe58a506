"""Each user's best items, in blocks of users within a memory bound."""

from typing import NamedTuple

import torch
from torch import Tensor

from hugraph.errors import DivergedError
from hugraph.interfaces import Interactions, Scorer

BLOCK_BYTES = 2**23  # of scores at a time; more falls out of the cache and is slower


class TopK(NamedTuple):
    """The lists of some users, one per row."""

    items: Tensor  # (users, k) int64, best first; -1 where a user has no item left
    scores: Tensor  # (users, k), -inf where there is no item


@torch.no_grad()
def top_k(
    scorer: Scorer,
    users: Tensor,
    seen: Interactions,
    k: int,
    num_items: int,
    *,
    seen_score: float | None = None,
) -> TopK:
    """The `k` best items of each user that the user has not seen.

    Equal scores are ordered by item index, lowest first, also where they meet the cut: the result
    is a function of the scores alone.

    Args:
        scorer: Scores blocks of users.
        users: `(n,)`; the ranking runs on their device.
        seen: Interactions never to be returned; those of other users are ignored.
        k: Length of a list; lists are no longer than `num_items`.
        num_items: How many items `scorer` ranks.
        seen_score: If given, seen items are ranked too, all with this score.

    Returns:
        Rows aligned with `users`, `min(k, num_items)` wide.

    Raises:
        DivergedError: If a score is not finite.
        ValueError: If `k` is not positive or `scorer` returns another shape.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    k = min(k, num_items)
    if not len(users):
        return TopK(users.new_empty((0, k)), torch.empty((0, k), device=users.device))
    users = users.long()
    owners, order = seen.users.to(users).sort(stable=True)
    owned = seen.items.to(users)[order]
    buffer: Tensor | None = None
    blocks = []
    for block in users.split(max(1, BLOCK_BYTES // (4 * num_items))):
        scores = scorer(block)
        if scores.shape != (len(block), num_items):
            raise ValueError(
                f"the scorer must return {(len(block), num_items)}, got {tuple(scores.shape)}"
            )
        _require_finite(scores, block)
        if buffer is None:
            buffer = torch.empty_like(scores, memory_format=torch.contiguous_format)
        masked = buffer[: len(block)].copy_(scores)  # the scorer's own tensor stays as it is
        rows, positions = _ranges(owners, block)
        masked[rows, owned[positions]] = float("-inf") if seen_score is None else seen_score
        blocks.append(_best(masked, k))
    return TopK(torch.cat([b.items for b in blocks]), torch.cat([b.scores for b in blocks]))


def _ranges(owners: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
    """Where the sorted `owners` name a user of `block`: the row in `block`, and the position."""
    starts = torch.searchsorted(owners, block)
    counts = torch.searchsorted(owners, block, right=True) - starts
    rows = torch.repeat_interleave(counts)
    within = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    return rows, starts[rows] + within


def _best(scores: Tensor, k: int) -> TopK:
    """The first `k` columns of each row by (score descending, column ascending)."""
    values, columns = scores.topk(min(k + 1, scores.shape[1]))
    columns = columns[:, :k].sort(dim=1).values
    if k < scores.shape[1]:
        # topk keeps any of the scores that tie at the cut: there, choose again by column
        tied = (values[:, k - 1] == values[:, k]).nonzero().squeeze(1)
        if len(tied):
            row_scores, cut = scores[tied], values[tied, k - 1, None]
            above, at_cut = row_scores > cut, row_scores == cut
            room = k - above.sum(dim=1, keepdim=True)
            chosen = above | (at_cut & (at_cut.cumsum(dim=1) <= room))
            columns[tied] = chosen.nonzero()[:, 1].view(-1, k)
    values, order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True)
    items = columns.gather(1, order)
    return TopK(items.masked_fill(values == float("-inf"), -1), values)


def _require_finite(scores: Tensor, users: Tensor) -> None:
    if not torch.stack(scores.aminmax()).isfinite().all():  # one pass; NaN is both
        finite = scores.isfinite()
        row, item = (~finite).nonzero()[0].tolist()
        raise DivergedError(
            f"{int((~finite).sum())} scores are not finite: that of user index {int(users[row])} "
            f"and item index {item} is {float(scores[row, item])}",
            fix="train again with a lower learning rate, and look for extreme feature values",
        )
