"""Each user's best items: blocks of users, tiles of items, and scores that stay in the cache."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from hugraph.errors import DivergedError
from hugraph.interfaces import DotProduct, Interactions, Scorer
from hugraph.train.signals import check_stop

BLOCK_BYTES = 2**23  # of a scorer's scores at a time; more falls out of the cache and is slower
TILE_BYTES = 2**21  # of a product's, for each thread; few enough to be read again at little cost
_TILE_ROWS = 1024  # at least: with fewer, a matrix product is slower
_ELSEWHERE = 2**7  # times as much on a device that is no CPU, where starting an operation is dear
_LONG = 256  # a list into which items are not inserted one by one


class TopK(NamedTuple):
    """The lists of some users, one per row."""

    items: Tensor  # (users, k) int64, best first; -1 where a user has no item left
    scores: Tensor  # (users, k), -inf where there is no item


class _Tile(NamedTuple):
    first: int  # item
    scores: Tensor  # (users, items from `first` on), in a buffer that is used again


class _Seen(NamedTuple):
    items: Tensor  # those of one user after those of another, ascending
    starts: Tensor  # (users,), where those of each user of a block begin
    stops: Tensor  # (users,), and end
    score: float  # what they are given


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
    is a function of the scores alone, whose last bits may depend on the block of users that they
    are computed in. A [`DotProduct`][hugraph.interfaces.DotProduct] is multiplied
    tile by tile; any other scorer is called for blocks of users. While `fit` runs, a signal stops
    the ranking before the next block.

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
    keys = (seen.users.to(users) * num_items + seen.items.to(users)).sort(stable=True).values
    known = keys % num_items
    fill = float("-inf") if seen_score is None else seen_score
    scoring: _Products | _WholeRows
    in_tiles = k <= _LONG or users.device.type != "cpu"
    if isinstance(scorer, DotProduct) and len(scorer.items) == num_items and in_tiles:
        scoring = _Products(scorer)
    else:
        scoring = _WholeRows(scorer, num_items)
    blocks = []
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for block in users.split(scoring.num_rows):
            check_stop()
            starts, stops = (torch.searchsorted(keys, (block + n) * num_items) for n in (0, 1))
            best: TopK | None = None
            for tile in scoring.tiles(block):
                if best is None:
                    empty = tile.scores.new_full((len(block), k), float("-inf"))
                    best = TopK(torch.full_like(empty, -1, dtype=torch.int64), empty)
                best = _taken_in(best, tile, _Seen(known, starts, stops, fill), threads)
            assert best is not None
            blocks.append(best)
    return TopK(torch.cat([b.items for b in blocks]), torch.cat([b.scores for b in blocks]))


class _Products:
    """The scores of a `DotProduct`, multiplied tile by tile into one buffer."""

    def __init__(self, scorer: DotProduct) -> None:
        users, items = scorer
        threads, scale = torch.get_num_threads(), 1
        if items.device.type != "cpu":
            threads, scale = 1, _ELSEWHERE
        scores = threads * scale * TILE_BYTES // items.element_size()
        self.num_rows = max(threads * _TILE_ROWS, scores // len(items))
        num_columns = min(len(items), max(1, scores // self.num_rows))
        self._users = users
        self._items = items.split(num_columns)
        self._buffer = items.new_empty(self.num_rows * num_columns)
        self._longest = items.norm(dim=1).max()

    def tiles(self, block: Tensor) -> Iterator[_Tile]:
        vectors = self._users.index_select(0, block)
        # By Cauchy-Schwarz no score is larger, nor is any partial sum.
        largest = vectors.norm(dim=1).max() * self._longest
        surely_finite = bool(largest < torch.finfo(vectors.dtype).max / 2)
        first = 0
        for items in self._items:
            scores = self._buffer[: len(block) * len(items)].view(len(block), len(items))
            torch.mm(vectors, items.T, out=scores)
            if not surely_finite:
                _require_finite(scores, block, first)
            yield _Tile(first, scores)
            first += len(items)


class _WholeRows:
    """The scores of any scorer, checked, then copied: its own tensor stays as it is."""

    def __init__(self, scorer: Scorer, num_items: int) -> None:
        self.num_rows = max(1, BLOCK_BYTES // (4 * num_items))
        self._scorer, self._num_items = scorer, num_items
        self._buffer: Tensor | None = None

    def tiles(self, block: Tensor) -> Iterator[_Tile]:
        given = self._scorer(block)
        shape = (len(block), self._num_items)
        if given.shape != shape:
            raise ValueError(f"the scorer must return {shape}, got {tuple(given.shape)}")
        _require_finite(given, block)
        if self._buffer is None:
            self._buffer = torch.empty_like(given, memory_format=torch.contiguous_format)
        yield _Tile(0, self._buffer[: len(block)].copy_(given))


def _taken_in(best: TopK, tile: _Tile, seen: _Seen, threads: ThreadPoolExecutor) -> TopK:
    """The best of `best`, which may be overwritten, and of a tile, whose items all come later."""
    k = best.items.shape[1]
    if tile.scores.device.type == "cpu" and tile.scores.dtype == torch.float32 and k <= _LONG:
        _take_in(best, tile, seen, threads)
        return best
    tile.scores[_in_tile(tile, seen)] = seen.score
    columns, scores = _first_columns(torch.cat([best.scores, tile.scores], dim=1), k)
    earlier = best.items.gather(1, columns.clamp(max=k - 1))
    items = torch.where(columns < k, earlier, columns - k + tile.first)
    return TopK(items.masked_fill(scores == float("-inf"), -1), scores)


def _take_in(best: TopK, tile: _Tile, seen: _Seen, threads: ThreadPoolExecutor) -> None:
    from hugraph.train.kernels import take_in

    items = seen.items.numpy()

    def rows(scores: Tensor, starts: Tensor, stops: Tensor, *lists: Tensor) -> None:
        where = items, starts.numpy(), stops.numpy(), seen.score
        take_in(scores.numpy(), tile.first, *where, *(t.numpy() for t in lists))

    parts = [
        t.chunk(torch.get_num_threads()) for t in (tile.scores, seen.starts, seen.stops, *best)
    ]
    over = map if len(parts[0]) == 1 else threads.map  # a thread of its own has its price
    list(over(rows, *parts))


def _in_tile(tile: _Tile, seen: _Seen) -> tuple[Tensor, Tensor]:
    """The rows and columns of a tile whose items were seen."""
    counts = seen.stops - seen.starts
    rows = torch.repeat_interleave(counts)
    within = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    columns = seen.items[seen.starts[rows] + within] - tile.first
    inside = (columns >= 0) & (columns < tile.scores.shape[1])
    return rows[inside], columns[inside]


def _first_columns(scores: Tensor, k: int) -> TopK:
    """The first `k` columns of each row by (score descending, column ascending)."""
    values, columns = scores.topk(min(k + 1, scores.shape[1]))
    columns = columns[:, :k].sort(dim=1).values
    if k < scores.shape[1]:
        # topk keeps any of the scores that tie at the cut: there, choose again by column
        cut = values[:, k - 1]
        tied = ((cut == values[:, k]) & (cut > float("-inf"))).nonzero().squeeze(1)
        if len(tied):
            row_scores, row_cut = scores[tied], cut[tied, None]
            above, at_cut = row_scores > row_cut, row_scores == row_cut
            room = k - above.sum(dim=1, keepdim=True)
            chosen = above | (at_cut & (at_cut.cumsum(dim=1) <= room))
            columns[tied] = chosen.nonzero()[:, 1].view(-1, k)
    values, order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return TopK(columns.gather(1, order), values)


def _require_finite(scores: Tensor, users: Tensor, first: int = 0) -> None:
    if not torch.stack(scores.aminmax()).isfinite().all():  # one pass; NaN is both
        finite = scores.isfinite()
        row, column = (~finite).nonzero()[0].tolist()
        raise DivergedError(
            f"{int((~finite).sum())} scores are not finite: that of user index {int(users[row])} "
            f"and item index {first + column} is {float(scores[row, column])}",
            fix="train again with a lower learning rate, and look for extreme feature values",
        )
